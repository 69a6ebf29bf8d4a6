package bubble

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	seeds = flag.Int("bubble.seeds", 20, "how many seeds to run on the store in memory")
	files = flag.Int("bubble.sqlite", 3, "and how many on SQLite")
	twice = flag.Int("bubble.repeat", 3, "and how many twice, to compare their histories")
	first = flag.Uint64("bubble.first", 1, "the first of them")
)

// run runs a seed in a bubble of its own. An empty path keeps the store in memory.
func run(t *testing.T, seed uint64, path string) (r Result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, seed, path)
		var wg sync.WaitGroup
		for n := range 20 + int(w.draw("payments")*30) {
			w.buy(&wg, n)
		}
		if w.rate(Kill) > 0 {
			for n := range 1 + int(w.draw("kills")*4) {
				time.Sleep(max(0, time.Duration(w.draw("kill", n)*float64(12*time.Minute))))
				w.happened(Kill)
				w.restart()
			}
		}
		wg.Wait()
		time.Sleep(endAfter - time.Since(w.begun))
		r = w.judge()
		w.close()
	})
	return r
}

// TestSeeds runs the seeds, each alone in its bubble.
func TestSeeds(t *testing.T) {
	t.Parallel()
	if *seeds < 1 || *files < 0 {
		t.Fatalf("-bubble.seeds is %d, must be 1 or more; -bubble.sqlite %d, 0 or more", *seeds, *files)
	}
	var mu sync.Mutex
	injected := map[Fault]int{}
	payments, captured, late := 0, 0, 0
	one := func(t *testing.T, seed uint64, path string) {
		r := run(t, seed, path)
		if len(r.Broken) > 0 {
			t.Errorf("seed %d:\n  %s", seed, strings.Join(r.Broken, "\n  "))
		}
		mu.Lock()
		defer mu.Unlock()
		for f, n := range r.Injected {
			injected[f] += n
		}
		payments, captured, late = payments+r.Payments, captured+r.Captured, late+r.Late
	}
	t.Run("seeds", func(t *testing.T) {
		for n := range *seeds {
			seed := *first + uint64(n)
			t.Run(fmt.Sprint("memory/", seed), func(t *testing.T) { t.Parallel(); one(t, seed, "") })
		}
		for n := range *files {
			seed := *first + uint64(n)
			t.Run(fmt.Sprint("sqlite/", seed), func(t *testing.T) { t.Parallel(); one(t, seed, t.TempDir()) })
		}
	})
	t.Logf("%d payments, %d captured, %d booked late", payments, captured, late)
	for _, f := range slices.Sorted(maps.Keys(most)) {
		t.Logf("fault %-24s %d", f, injected[f])
		if *seeds >= 20 && injected[f] == 0 {
			t.Errorf("fault %s never occurred", f)
		}
	}
}

// TestSeedsRepeat: a seed has one canonical history, so that what it finds can
// be found again.
func TestSeedsRepeat(t *testing.T) {
	t.Parallel()
	for n := range *twice {
		seed := *first + uint64(n)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			a, b := run(t, seed, ""), run(t, seed, "")
			if a.History != b.History || a.History == "" {
				t.Errorf("seed %d gave two histories:\n%s", seed, difference(a.History, b.History))
			}
			// How often a fault befell a call that is made again and again is the
			// schedule's, which a bubble does not fix; which faults there were is not.
			if x, y := slices.Sorted(maps.Keys(a.Injected)), slices.Sorted(maps.Keys(b.Injected)); !slices.Equal(x, y) {
				t.Errorf("seed %d had other faults the second time:\n%v\n%v", seed, a.Injected, b.Injected)
			}
		})
	}
}

// difference gives the lines that only one of two histories has.
func difference(a, b string) string {
	var out strings.Builder
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for _, l := range x {
		if !slices.Contains(y, l) {
			fmt.Fprintln(&out, "-", l)
		}
	}
	for _, l := range y {
		if !slices.Contains(x, l) {
			fmt.Fprintln(&out, "+", l)
		}
	}
	return out.String()
}

// TestMistakesAreSeen: builds with a mistake made on purpose fail here too.
func TestMistakesAreSeen(t *testing.T) {
	t.Parallel()
	for tag, sign := range map[string]string{
		"mutation_early":  "at the provider and approved here", // money is credited before the provider has said that it moved
		"mutation_expire": "the limit time to be over",         // a payment is declined before its limit time
	} {
		t.Run(tag, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-tags", tag, "-run", "TestSeeds$", ".", "-bubble.seeds=2", "-bubble.sqlite=0")
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), sign) {
				t.Errorf("layer B on a build with %s: %v, want it to fail and say %q:\n%.4000s", tag, err, sign, out)
			}
		})
	}
}
