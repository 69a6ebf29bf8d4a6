package sim

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
)

// Fault is something that goes wrong.
type Fault string

// The faults. A seed draws a rate for each, mostly none, so that rare
// combinations occur (torture.md 2.4).
const (
	Refused       Fault = "psp_refuses"           // proved: the PSP did not take it
	LostRequest   Fault = "psp_never_hears"       // and we cannot tell
	LostAnswer    Fault = "psp_answer_lost"       // done, and we cannot tell
	SilentLookup  Fault = "psp_silent"            // a look-up without an answer
	MindChanged   Fault = "psp_takes_no_back"     // declined, and captured after all
	WrongAmount   Fault = "psp_other_amount"      // captured, but not what we asked for
	Leaves        Fault = "customer_leaves"       // the PSP's page, and never pays
	Late          Fault = "customer_pays_late"    // after our limit time
	NewsTwice     Fault = "news_twice"            // a notification more than once
	NewsLost      Fault = "news_lost"             // on its way; the PSP sends it again
	NewsWrong     Fault = "news_of_other_amount"  // a verified notification that does not fit
	NewsFalse     Fault = "news_too_early"        // it says paid before the provider's look-up does
	MerchantFails Fault = "merchant_fails"        // answers 500
	MerchantDeaf  Fault = "merchant_answer_lost"  // has it, and we cannot tell
	Conflict      Fault = "store_conflict"        // another committer was there first
	Away          Fault = "store_away"            // nothing happened
	LostDone      Fault = "commit_lost_written"   // the answer to COMMIT lost, written
	LostDead      Fault = "commit_lost_unwritten" // the answer to COMMIT lost, not written

	CrashIdle           Fault = "crash_idle"
	CrashBeforeCommit   Fault = "crash_before_commit"
	CrashAfterCommit    Fault = "crash_after_commit"
	CrashBeforeCall     Fault = "crash_before_psp_call"
	CrashAfterCall      Fault = "crash_after_psp_call"
	CrashBeforeCallback Fault = "crash_before_callback"
	CrashAfterCallback  Fault = "crash_after_callback"
)

// most is the highest rate that a seed may draw for each fault.
var most = map[Fault]float64{
	Refused: 0.5, LostRequest: 0.5, LostAnswer: 0.5, SilentLookup: 0.7, MindChanged: 0.3, WrongAmount: 0.2, Leaves: 0.5, Late: 0.4,
	NewsTwice: 0.8, NewsLost: 0.8, NewsWrong: 0.2, NewsFalse: 0.3, MerchantFails: 0.8, MerchantDeaf: 0.5,
	Conflict: 0.3, Away: 0.2, LostDone: 0.2, LostDead: 0.2,
	CrashIdle: 0.01, CrashBeforeCommit: 0.05, CrashAfterCommit: 0.05, CrashBeforeCall: 0.1, CrashAfterCall: 0.1,
	CrashBeforeCallback: 0.1, CrashAfterCallback: 0.1,
}

// Faults lists all faults in order.
func Faults() []Fault {
	all := make([]Fault, 0, len(most))
	for f := range most {
		all = append(all, f)
	}
	slices.Sort(all)
	return all
}

// ParseFaults reads a list with commas between; empty means all. A name that
// does not exist is refused with the list of what does.
func ParseFaults(text string) ([]Fault, error) {
	if text == "" {
		return Faults(), nil
	}
	var out []Fault
	for name := range strings.SplitSeq(text, ",") {
		f := Fault(strings.TrimSpace(name))
		if _, ok := most[f]; !ok {
			return nil, fmt.Errorf("no fault is called %q; there are %v", name, Faults())
		}
		out = append(out, f)
	}
	return out, nil
}

// draw gives a number in [0, 1) that depends on what it is for and not on what
// was drawn before, so a plan that leaves a payment out keeps how the others'
// provider, customer and merchant behave. Faults of the store and idle crashes
// are drawn by their number in the run, and do change.
func draw(seed uint64, purpose string, about ...any) float64 {
	h := fnv.New64a()
	fmt.Fprint(h, seed, "|", purpose)
	for _, a := range about {
		fmt.Fprint(h, "|", a)
	}
	x := h.Sum64()
	x ^= x >> 30 // the finaliser of splitmix64: FNV's upper bits alone are poor
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	x ^= x >> 31
	return float64(x>>11) / (1 << 53)
}

// Plan is what a run does: all of it follows from the seed but what is left out.
type Plan struct {
	Seed     uint64
	Payments []int          // numbers of the payments that are made
	Off      map[Fault]bool // faults that do not occur
}

// PlanOf is the whole plan of a seed, with these faults.
func PlanOf(seed uint64, faults []Fault) Plan {
	p := Plan{Seed: seed, Off: map[Fault]bool{}}
	for n := range 3 + int(draw(seed, "payments")*8) {
		p.Payments = append(p.Payments, n)
	}
	for f := range most {
		if !slices.Contains(faults, f) {
			p.Off[f] = true
		}
	}
	return p
}

// rate is how often a fault occurs in this plan: never, mostly.
func (p Plan) rate(f Fault) float64 {
	if p.Off[f] || draw(p.Seed, "swarm", f) < 0.7 {
		return 0
	}
	return draw(p.Seed, "rate", f) * most[f]
}

// String says how to run the plan again.
func (p Plan) String() string {
	var on []string
	for _, f := range Faults() {
		if p.rate(f) > 0 {
			on = append(on, fmt.Sprintf("%s %.2f", f, p.rate(f)))
		}
	}
	return fmt.Sprintf("seed %d, payments %v, faults: %s", p.Seed, p.Payments, strings.Join(on, ", "))
}
