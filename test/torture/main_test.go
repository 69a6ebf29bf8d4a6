package torture_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets more tests run at once than there are processors: those that
// may wait most of their time, for leases to end and for silence to count.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", "6") // it is a flag of package testing
	}
	os.Exit(m.Run())
}
