package sim_test

import (
	"flag"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"aorta/internal/payment"
	"aorta/test/sim"
)

var (
	seeds  = flag.Int("sim.seeds", 2_000, "how many seeds to run")
	first  = flag.Uint64("sim.first", 1, "the first of them")
	faults = flag.String("sim.faults", "", "the faults that may occur, with commas between; empty: all")
)

// TestSeeds runs the seeds, and fails on the first that breaks something, with
// the least plan that still does. All faults must have occurred and all moves
// of payments have been made.
func TestSeeds(t *testing.T) {
	t.Parallel()
	list, err := sim.ParseFaults(*faults)
	if err != nil {
		t.Fatal(err)
	}
	if *seeds < 1 {
		t.Fatalf("-sim.seeds is %d, must be 1 or more", *seeds)
	}
	var mu sync.Mutex
	injected, moves := map[sim.Fault]int{}, map[[2]payment.Status]int{}
	captured, late, broken := 0, 0, false
	work := make(chan uint64)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := range work {
				plan := sim.PlanOf(seed, list)
				r := sim.Run(plan)
				mu.Lock()
				for f, n := range r.Injected {
					injected[f] += n
				}
				for m, n := range r.Moves {
					moves[m] += n
				}
				captured, late = captured+r.Captured, late+r.Late
				report := len(r.Broken) > 0 && !broken
				broken = broken || report
				mu.Unlock()
				if report {
					least := sim.Minimise(plan)
					t.Errorf("%s\n  %s", least, strings.Join(sim.Run(least).Broken, "\n  "))
				}
			}
		})
	}
	for n := range *seeds {
		mu.Lock()
		stop := broken
		mu.Unlock()
		if stop {
			break
		}
		work <- *first + uint64(n)
	}
	close(work)
	wg.Wait()
	t.Logf("%d seeds: %d payments captured, %d booked late", *seeds, captured, late)
	for _, f := range list {
		t.Logf("fault %-24s %d", f, injected[f])
		if injected[f] < *seeds/50 && *seeds >= 1_000 {
			t.Errorf("fault %s occurred %d times, want %d or more", f, injected[f], *seeds/50)
		}
	}
	for _, m := range slices.SortedFunc(maps.Keys(moves), func(a, b [2]payment.Status) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }) {
		t.Logf("move %s → %s %d", m[0], m[1], moves[m])
	}
	if len(list) < len(sim.Faults()) || *seeds < 1_000 {
		return
	}
	for from, tos := range payment.Moves() {
		for _, to := range tos {
			if !sim.NotBuilt(from, to) && moves[[2]payment.Status{from, to}] == 0 {
				t.Errorf("no payment moved from %s to %s", from, to)
			}
		}
	}
}

// A seed gives the same history each time, or what it finds could not be found again.
func TestSeedsRepeat(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		plan := sim.PlanOf(seed+1, sim.Faults())
		if a, b := sim.Run(plan), sim.Run(plan); a.History != b.History || a.History == "" || fmt.Sprint(a.Injected, a.Broken) != fmt.Sprint(b.Injected, b.Broken) {
			t.Errorf("seed %d gave two histories:\n%s\n%s", seed+1, a.History, b.History)
		}
	}
}

func TestUnknownFaultIsRefused(t *testing.T) {
	t.Parallel()
	_, err := sim.ParseFaults("psp_refuses,gremlins")
	if err == nil || !strings.Contains(err.Error(), "gremlins") || !strings.Contains(err.Error(), "crash_idle") {
		t.Errorf("ParseFaults(gremlins) = %v, want it refused with the list of what there is", err)
	}
	if got, err := sim.ParseFaults("psp_refuses"); err != nil || len(got) != 1 {
		t.Errorf("ParseFaults(psp_refuses) = %v, %v", got, err)
	}
}
