package torture_test

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"aorta/test/torture"
)

// stores are what every fault is tried on.
var stores = []string{"sqlite", "postgres"}

// unavailable skips a test that the machine cannot run, unless all must run.
func unavailable(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("AORTA_TEST_ALL") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// conclude ends the load and counts what is wrong then.
func conclude(t *testing.T, b *torture.Buyers) (violations int) {
	t.Helper()
	b.Stop(ending)
	wrong := b.Settle(ending)
	if len(wrong) > 0 {
		t.Errorf("%d things are wrong: %s", len(wrong), torture.Some(wrong))
	}
	return len(wrong)
}

// TestWorld: payments of all six accounts pass through a platform in a process
// of its own, which is killed, started again, and ends when it is told to.
func TestWorld(t *testing.T) {
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			w := torture.NewWorld(t, store)
			p := w.NewPlatform("p", "")
			p.Start()
			w.Control("approve", "sale", 1000) // more than there are: what a kill interrupts may be asked again
			for n := range torture.Accounts {
				if a, err := p.Sell(t.Context(), n, fmt.Sprint("first-", n), 1000); err != nil || a.Status != 200 {
					t.Fatalf("sale of project %d: %+v, %v", n, a, err)
				}
			}
			p.Kill()
			p.Start()
			for n := range torture.Accounts {
				if err := p.Await(n, fmt.Sprint("first-", n), "success", 20*time.Second); err != nil {
					t.Error(err)
				}
			}
			p.Verify()
			p.Signal(syscall.SIGTERM)
			if err := p.Wait(20 * time.Second); err != nil {
				t.Errorf("after SIGTERM: %v", err)
			}
		})
	}
}
