package torture_test

import (
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"testing"

	"aorta/test/torture"
)

// TestMain refuses a given database that holds anything before anything is
// tried, and lets more tests run at once than there are processors: those that
// may wait most of their time, for leases to end and for silence to count. It
// collects garbage as seldom as the program does: buyers, PSPs and merchants
// are all this process, and must not take the processors from the platform.
func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if database := os.Getenv(torture.GivenDatabase); database != "" {
		if err := torture.Empty(database); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", torture.GivenDatabase, err)
			os.Exit(1)
		}
	}
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", "6") // it is a flag of package testing
	}
	os.Exit(m.Run())
}
