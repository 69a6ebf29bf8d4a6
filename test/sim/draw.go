package sim

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fault is something that goes wrong.
type Fault string

// The faults. A seed draws a rate for each, mostly none, so that rare
// combinations occur (torture.md 2.4).
const (
	Refused         Fault = "psp_refuses"             // proved: the PSP did not take it
	LostRequest     Fault = "psp_never_hears"         // and we cannot tell
	HearsLate       Fault = "psp_hears_late"          // after its look-ups have said that it knows nothing
	LostAnswer      Fault = "psp_answer_lost"         // done, and we cannot tell
	SilentLookup    Fault = "psp_silent"              // a look-up without an answer
	UnknownDays     Fault = "psp_silent_for_days"     // no look-up of a refund has an answer for one day to three
	PSPDown         Fault = "psp_down"                // it answers 503 to everything for ten minutes
	MindChanged     Fault = "psp_takes_no_back"       // declined, and captured after all
	WrongAmount     Fault = "psp_other_amount"        // captured, but not what we asked for; paid out, and told for hours as another amount
	Leaves          Fault = "customer_leaves"         // the PSP's page, and never pays
	Late            Fault = "customer_pays_late"      // after our limit time
	NewsTwice       Fault = "news_twice"              // a notification more than once
	NewsLost        Fault = "news_lost"               // on its way; the PSP sends it again
	NewsWrong       Fault = "news_of_other_amount"    // a verified notification that does not fit
	NewsFalse       Fault = "news_too_early"          // it says paid before the provider's look-up does
	NewsOfNobody    Fault = "news_of_nobody"          // it names no attempt of ours
	MerchantFails   Fault = "merchant_fails"          // answers 500
	MerchantDeaf    Fault = "merchant_answer_lost"    // has it, and we cannot tell
	MerchantDown    Fault = "merchant_down"           // for up to six hours
	Poison          Fault = "merchant_poisoned"       // one event is answered 500 for ever
	Conflict        Fault = "store_conflict"          // another committer was there first
	Away            Fault = "store_away"              // nothing happened
	LostDone        Fault = "commit_lost_written"     // the answer to COMMIT lost, written
	LostDead        Fault = "commit_lost_unwritten"   // the answer to COMMIT lost, not written
	LostLong        Fault = "commit_lost_long"        // the same, and the home is away for up to two minutes
	PayoutsDown     Fault = "psp_pays_nobody"         // it takes no payouts for half an hour or two, of a licensed house
	PayoutUnknown   Fault = "payout_unknown_for_days" // the same of a payout, whose money stays reserved
	DoubleSubmit    Fault = "payout_asked_twice"      // at once, again later, or under another key
	OperatorReplays Fault = "operator_replays"        // what the provider has told of a payout
	ClockJumps      Fault = "clock_jumps"             // ten minutes forward or back, an hour back
	Frozen          Fault = "process_frozen"          // stands still for up to two minutes, and goes on as if nothing had been

	GoogleTwice Fault = "google_asks_twice"    // at once, or again later
	GoogleOther Fault = "google_asks_other"    // under a known requestId for another amount, in another way, with another token; with a used token or proof
	GoogleLost  Fault = "google_answer_lost"   // it asks again
	GoogleAway  Fault = "google_away"          // it does not hear what it is told
	GoogleDeaf  Fault = "google_hears_in_vain" // it has heard it, and we cannot tell

	CrashIdle           Fault = "crash_idle"
	CrashBeforeCommit   Fault = "crash_before_commit"
	CrashAfterCommit    Fault = "crash_after_commit"
	CrashBeforeWork     Fault = "crash_before_work" // leased, and not begun
	CrashBeforeCall     Fault = "crash_before_psp_call"
	CrashDuringCall     Fault = "crash_during_psp_call" // the request was sent
	CrashAfterCall      Fault = "crash_after_psp_call"
	CrashBeforeCallback Fault = "crash_before_callback"
	CrashAfterCallback  Fault = "crash_after_callback"
	CrashBeforeTell     Fault = "crash_before_google_hears"
	CrashAfterTell      Fault = "crash_after_google_hears"
)

// most is the highest rate that a seed may draw for each fault.
var most = map[Fault]float64{
	Refused: 0.5, LostRequest: 0.5, HearsLate: 0.5, LostAnswer: 0.5, SilentLookup: 0.7, UnknownDays: 0.05, PSPDown: 1, MindChanged: 0.3,
	WrongAmount: 0.2, Leaves: 0.5, Late: 0.4, NewsTwice: 0.8, NewsLost: 0.8, NewsWrong: 0.2, NewsFalse: 0.3, NewsOfNobody: 0.3,
	PayoutUnknown: 0.2, PayoutsDown: 1, DoubleSubmit: 0.6, OperatorReplays: 0.6,
	MerchantFails: 0.8, MerchantDeaf: 0.5, MerchantDown: 1, Poison: 0.05,
	Conflict: 0.1, Away: 0.05, LostDone: 0.1, LostDead: 0.1, LostLong: 0.02, ClockJumps: 1, Frozen: 0.05,
	CrashIdle: 0.1, CrashBeforeCommit: 0.05, CrashAfterCommit: 0.05, CrashBeforeWork: 0.05, CrashBeforeCall: 0.1, CrashDuringCall: 0.1,
	CrashAfterCall: 0.1, CrashBeforeCallback: 0.1, CrashAfterCallback: 0.1, CrashBeforeTell: 0.3, CrashAfterTell: 0.3,
	GoogleTwice: 0.6, GoogleOther: 0.5, GoogleLost: 0.5, GoogleAway: 0.6, GoogleDeaf: 0.5,
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

// noFaults is how an empty list of faults is written.
const noFaults = "none"

// ParseFaults reads a list with commas between; empty means all, and none is
// called so. A name that does not exist is refused with the list of what does.
func ParseFaults(text string) ([]Fault, error) {
	switch text {
	case "":
		return Faults(), nil
	case noFaults:
		return nil, nil
	}
	var out []Fault
	for name := range strings.SplitSeq(text, ",") {
		f := Fault(strings.TrimSpace(name))
		if _, ok := most[f]; !ok {
			return nil, fmt.Errorf("no fault is called %q; there are %v, or %q", name, Faults(), noFaults)
		}
		out = append(out, f)
	}
	return out, nil
}

// draw gives a number in [0, 1) that depends on what it is for and not on what
// was drawn before, so a plan that leaves a payment out keeps how the others'
// provider, customer and merchant behave. Faults of the store hang on the acts
// of a batch, not on its number.
func draw(seed uint64, purpose string, about ...any) float64 {
	x := uint64(14695981039346656037) // FNV-1a
	text := func(s string) {
		for i := range len(s) {
			x = (x ^ uint64(s[i])) * 1099511628211
		}
		x = (x ^ '|') * 1099511628211
	}
	text(strconv.FormatUint(seed, 10))
	text(purpose)
	for _, a := range about {
		switch a := a.(type) {
		case string:
			text(a)
		case int:
			text(strconv.Itoa(a))
		default:
			text(fmt.Sprint(a))
		}
	}
	x ^= x >> 30 // the finaliser of splitmix64: FNV's upper bits alone are poor
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	x ^= x >> 31
	return float64(x>>11) / (1 << 53)
}

// Plan is what a run does: all of it follows from the seed but what is left out
// or forced.
type Plan struct {
	Seed     uint64
	Payments []int             // numbers of the payments that are made
	Off      map[Fault]bool    // faults that do not occur
	Force    map[Fault]float64 // rates that the seed does not draw
	Spread   time.Duration     // in which the payments begin; 0 means two minutes
	Outage   time.Duration     // how long a merchant that is down is down; 0: drawn, up to six hours
	Unruled  bool              // the project has no rules, so that no limit refuses a payment
	Licensed bool              // the project has rules, also where the seed does not draw them
	Rush     bool              // what takes hours takes minutes, so that more of it happens at once
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
	if p.Off[f] {
		return 0
	}
	if rate, forced := p.Force[f]; forced {
		return rate
	}
	if draw(p.Seed, "swarm", string(f)) < 0.7 {
		return 0
	}
	return draw(p.Seed, "rate", string(f)) * most[f]
}

// String is the command that runs the plan again, and the rates it has.
func (p Plan) String() string {
	var on, rates []string
	for _, f := range Faults() {
		if p.rate(f) > 0 {
			on = append(on, string(f))
			rates = append(rates, fmt.Sprintf("%s %.2f", f, p.rate(f)))
		}
	}
	if on == nil {
		on = []string{noFaults}
	}
	payments := strings.Trim(strings.ReplaceAll(fmt.Sprint(p.Payments), " ", ","), "[]")
	return fmt.Sprintf("seed %d: make sim SEEDS=1 FIRST=%d PAYMENTS=%s FAULTS=%s\n  rates: %s",
		p.Seed, p.Seed, payments, strings.Join(on, ","), strings.Join(rates, ", "))
}

// ParseSeed reads the number of a seed.
func ParseSeed(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is no seed; seeds are the whole numbers from 1 to %d", text, uint64(math.MaxUint64))
	}
	return n, nil
}

// maxSeeds bounds a run: more would take days.
const maxSeeds = 10_000_000

// ParseCount reads how many seeds are to run.
func ParseCount(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxSeeds {
		return 0, fmt.Errorf("%q is no number of seeds; there may be 1 to %d", text, maxSeeds)
	}
	return n, nil
}

// Only leaves in the plan the payments of a list with commas between; empty
// leaves all. One that the seed does not make is refused with the list of those
// that it does.
func (p Plan) Only(text string) (Plan, error) {
	if text == "" {
		return p, nil
	}
	var keep []int
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || !slices.Contains(p.Payments, n) {
			return p, fmt.Errorf("seed %d has no payment %q; it has %v", p.Seed, part, p.Payments)
		}
		keep = append(keep, n)
	}
	p.Payments = keep
	return p, nil
}
