package sim_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/payment"
	"aorta/test/sim"
)

var (
	seeds    = flag.String("sim.seeds", "2000", "how many seeds to run")
	first    = flag.String("sim.first", "1", "the first of them")
	faults   = flag.String("sim.faults", "", "the faults that may occur, with commas between; empty: all")
	payments = flag.String("sim.payments", "", "the payments that are made, with commas between; empty: all of the seed")
)

// TestMain collects garbage as seldom as the program does: a quarter less time.
func TestMain(m *testing.M) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	os.Exit(m.Run())
}

// tally adds up what runs have shown.
type tally struct {
	mu              sync.Mutex
	injected        map[sim.Fault]int
	points          map[string]int
	moves           map[[2]payment.Status]int
	captured, late  int
	batches, shared int
	broken          bool
}

func (y *tally) add(r sim.Result) (first bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for f, n := range r.Injected {
		y.injected[f] += n
	}
	for p, n := range r.Points {
		y.points[p] += n
	}
	for m, n := range r.Moves {
		y.moves[m] += n
	}
	y.captured, y.late, y.batches, y.shared = y.captured+r.Captured, y.late+r.Late, y.batches+r.Batches, y.shared+r.Shared
	first = len(r.Broken) > 0 && !y.broken
	y.broken = y.broken || first
	return first
}

func (y *tally) failed() bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.broken
}

// TestSeeds runs the seeds, and fails on the first that breaks something, with
// the least plan that still does. All faults must have occurred, all moves of
// payments have been made and all crash points been visited.
func TestSeeds(t *testing.T) {
	t.Parallel()
	list, err := sim.ParseFaults(*faults)
	if err != nil {
		t.Fatal(err)
	}
	count, err := sim.ParseCount(*seeds)
	if err != nil {
		t.Fatal(err)
	}
	from, err := sim.ParseSeed(*first)
	if err != nil {
		t.Fatal(err)
	}
	y := &tally{injected: map[sim.Fault]int{}, points: map[string]int{}, moves: map[[2]payment.Status]int{}}
	work := make(chan sim.Plan)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for plan := range work {
				if r := sim.Run(plan); y.add(r) {
					least := sim.Minimise(plan)
					t.Errorf("%s\n  %s", least, strings.Join(sim.Run(least).Broken, "\n  "))
				}
			}
		})
	}
	for n := 0; n < count && !y.failed(); n++ {
		plan, err := sim.PlanOf(from+uint64(n), list).Only(*payments)
		if err != nil {
			t.Error(err)
			break
		}
		work <- plan
	}
	close(work)
	wg.Wait()
	t.Logf("%d seeds: %d payments captured, %d booked late; %d batches, %d of them of several acts", count, y.captured, y.late, y.batches, y.shared)
	report(t, y, list, count >= 1_000 && *payments == "" && !y.failed())
}

// report prints what was covered and, where all of it should have been, fails
// on what was not.
func report(t *testing.T, y *tally, list []sim.Fault, most bool) {
	count, err := sim.ParseCount(*seeds)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		t.Logf("fault %-24s %d", f, y.injected[f])
		if least := count / 50; most && y.injected[f] < least {
			t.Errorf("fault %s occurred %d times, want %d or more", f, y.injected[f], least)
		}
	}
	all := most && len(list) == len(sim.Faults())
	for _, p := range sim.Points() {
		n := p.Visits(y.points)
		t.Logf("crash point %q %d", p.Name, n)
		if all && n == 0 {
			t.Errorf("no process died at %q", p.Name)
		}
	}
	for _, m := range slices.SortedFunc(maps.Keys(y.moves), func(a, b [2]payment.Status) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }) {
		t.Logf("move %s → %s %d", m[0], m[1], y.moves[m])
	}
	if !all {
		return
	}
	for from, tos := range payment.Moves() {
		for _, to := range tos {
			switch {
			case sim.NotBuilt(from, to) || y.moves[[2]payment.Status{from, to}] > 0:
			case sim.Rare(from, to):
				t.Logf("no payment moved from %s to %s, as few do", from, to)
			default:
				t.Errorf("no payment moved from %s to %s", from, to)
			}
		}
	}
	if y.shared == 0 {
		t.Error("no batch had several acts")
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

// What does not exist is refused with what does.
func TestBadInputIsRefused(t *testing.T) {
	t.Parallel()
	seed := func(text string) error { _, err := sim.ParseSeed(text); return err }
	count := func(text string) error { _, err := sim.ParseCount(text); return err }
	faults := func(text string) error { _, err := sim.ParseFaults(text); return err }
	payments := func(text string) error {
		_, err := sim.Plan{Seed: 7, Payments: []int{0, 1, 2}}.Only(text)
		return err
	}
	tests := []struct {
		name  string
		parse func(string) error
		text  string
		want  string // in the refusal; empty: none
	}{
		{name: "seed", parse: seed, text: "4711"},
		{name: "seed 0", parse: seed, text: "0", want: "from 1 to"},
		{name: "negative seed", parse: seed, text: "-1", want: "from 1 to"},
		{name: "seed of letters", parse: seed, text: "abc", want: "from 1 to"},
		{name: "count", parse: count, text: "2000"},
		{name: "no seeds", parse: count, text: "0", want: "1 to"},
		{name: "negative count", parse: count, text: "-5", want: "1 to"},
		{name: "count of letters", parse: count, text: "many", want: "1 to"},
		{name: "count of years", parse: count, text: "99999999999", want: "1 to"},
		{name: "faults", parse: faults, text: "psp_refuses, crash_idle"},
		{name: "no faults", parse: faults, text: "none"},
		{name: "unknown fault", parse: faults, text: "psp_refuses,gremlins", want: "crash_idle"},
		{name: "payments", parse: payments, text: "0,2"},
		{name: "unknown payment", parse: payments, text: "0,3", want: "[0 1 2]"},
		{name: "payment of letters", parse: payments, text: "x", want: "[0 1 2]"},
	}
	for _, tt := range tests {
		switch err := tt.parse(tt.text); {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %q is refused: %v", tt.name, tt.text, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %q gives %v, want it refused with %q", tt.name, tt.text, err, tt.want)
		}
	}
}

// What is printed of a plan runs the same plan.
func TestPlanIsItsCommand(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		plan := sim.PlanOf(seed+1, sim.Faults())
		plan.Payments = plan.Payments[1:]
		plan.Off[sim.Leaves] = true
		words := map[string]string{}
		for _, word := range strings.Fields(strings.SplitN(plan.String(), "\n", 2)[0]) {
			if name, value, ok := strings.Cut(word, "="); ok {
				words[name] = value
			}
		}
		from, err := sim.ParseSeed(words["FIRST"])
		if err != nil {
			t.Fatal(err)
		}
		faults, err := sim.ParseFaults(words["FAULTS"])
		if err != nil {
			t.Fatal(err)
		}
		same, err := sim.PlanOf(from, faults).Only(words["PAYMENTS"])
		if err != nil {
			t.Fatal(err)
		}
		if same.String() != plan.String() {
			t.Errorf("%s\nis read as\n%s", plan, same)
		}
	}
}

// Each thing that is judged is seen when it is wrong: what was seen of a good
// run is changed, and the judges must say so.
func TestJudgesSee(t *testing.T) {
	t.Parallel()
	for what, spoiler := range sim.Spoilers {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(300) {
				if strings.Contains(strings.Join(sim.Spoil(sim.PlanOf(seed+1, spoiler.Faults()), spoiler), "\n"), spoiler.Says) {
					return
				}
			}
			t.Errorf("nobody says %q", spoiler.Says)
		})
	}
}

// A storm is seen: callbacks tried too often, a spike when the merchant is back,
// one around an outage of the provider.
func TestStormIsSeen(t *testing.T) {
	t.Parallel()
	calm := sim.Outbound{PSPDown: [2]time.Duration{time.Hour, 70 * time.Minute}, MerchantDown: [2]time.Duration{time.Hour, 7 * time.Hour}}
	for at := time.Duration(0); at < 9*time.Hour; at += 20 * time.Second {
		calm.PSP, calm.Merchant = append(calm.PSP, at), append(calm.Merchant, at)
	}
	if wrong := judgeStorm(sim.Result{Outbound: calm}); len(wrong) > 0 {
		t.Errorf("a calm run is a storm: %v", wrong)
	}
	tests := map[string]func(*sim.Outbound){
		"its schedule has":      func(o *sim.Outbound) { o.MostTries = 100 },
		"merchant came back":    func(o *sim.Outbound) { o.Merchant = append(o.Merchant, burst(7*time.Hour)...) },
		"calls to the PSP in":   func(o *sim.Outbound) { o.PSP = append(o.PSP, burst(72*time.Minute)...) },
		"around its outage, 30": func(o *sim.Outbound) { o.PSP = append(o.PSP, burst(61*time.Minute)...) },
	}
	for want, spoil := range tests {
		o := calm
		o.PSP, o.Merchant = slices.Clone(calm.PSP), slices.Clone(calm.Merchant)
		spoil(&o)
		if wrong := judgeStorm(sim.Result{Outbound: o}); len(wrong) != 1 || !strings.Contains(wrong[0], want) {
			t.Errorf("judgeStorm = %v, want one complaint with %q", wrong, want)
		}
	}
}

// burst is a hundred calls in the minute after at.
func burst(at time.Duration) []time.Duration {
	var out []time.Duration
	for n := range 100 {
		out = append(out, at+time.Duration(n)*500*time.Millisecond)
	}
	return out
}

// TestDeferredPayouts: a licensed house whose provider takes no payouts for a while. Of
// the seeds of TestSeeds so few are one that its steps are looked for here.
func TestDeferredPayouts(t *testing.T) {
	t.Parallel()
	y := &tally{injected: map[sim.Fault]int{}, points: map[string]int{}, moves: map[[2]payment.Status]int{}}
	for seed := range uint64(300) {
		plan := sim.PlanOf(seed+1, []sim.Fault{sim.PayoutsDown, sim.DoubleSubmit, sim.MerchantFails})
		plan.Licensed, plan.Force = true, map[sim.Fault]float64{sim.PayoutsDown: 1}
		for n := len(plan.Payments); n < 25; n++ {
			plan.Payments = append(plan.Payments, n)
		}
		if r := sim.Run(plan); y.add(r) {
			t.Errorf("%s\n  %s", plan, strings.Join(r.Broken, "\n  "))
		}
	}
	for _, m := range [][2]payment.Status{
		{payment.StatusRequested, payment.StatusDeferred},
		{payment.StatusHold, payment.StatusDeferred},
		{payment.StatusSubmitting, payment.StatusDeferred},
		{payment.StatusDeferred, payment.StatusSubmitting},
		{payment.StatusDeferred, payment.StatusHold},
		{payment.StatusDeferred, payment.StatusFailed},
	} {
		if y.moves[m] == 0 {
			t.Errorf("no payout moved from %s to %s", m[0], m[1])
		}
	}
}
