package sim

import (
	"time"

	"aorta/internal/flow"
	"aorta/internal/id"
)

// Spoils are changes to what was seen of a run, each with what must be said of it.
var Spoils = map[string]string{
	"a planted case is not there":     "There is no case",
	"a case that nobody planted":      "and nothing was wrong",
	"an answer that is not stored":    "A client was told of",
	"a dead letter that is not one":   "names nobody, and is",
	"a callback out of its turn":      "before its turn",
	"a callback before its delay":     "too early",
	"a callback to nobody":            "is told: true, want false",
	"a callback in other bytes":       "the merchant has",
	"not sent, and nothing says so":   "and nothing says so",
	"the provider moved another sum":  "Our clearing account is",
	"the provider knows another sale": "we do not",
}

// Spoil runs a plan, changes something of what was seen, and judges.
func Spoil(p Plan, what string) []string {
	w := run(p)
	x := read(w.store)
	switch what {
	case "a planted case is not there":
		w.planted.mustBe(flow.CaseMismatch, "nothing")
	case "a case that nobody planted":
		w.planted.must, w.planted.may = map[string]bool{}, map[string]bool{}
		for ref, e := range w.psp.entries {
			e.wrong, e.no = false, false
			w.psp.refused[ref], w.psp.unknown[ref] = false, nil
		}
	case "an answer that is not stored":
		w.acked = append(w.acked, ack{what: "payment of nobody", payment: id.Payment{1}, amount: 1})
	case "a dead letter that is not one":
		for _, n := range x.inbox {
			w.planted.news[n.Body] = true
		}
	case "a callback out of its turn":
		for _, d := range x.deliveries {
			w.merchant.heard[d.Event.String()] = w.now
		}
	case "a callback before its delay":
		for k := range w.merchant.began {
			w.merchant.began[k] = w.begun
		}
	case "a callback to nobody":
		w.plan.Seed++ // another merchant, with other wishes
	case "a callback in other bytes":
		for k := range w.merchant.bodies {
			w.merchant.bodies[k] += " "
		}
	case "not sent, and nothing says so":
		w.psp.refused, w.psp.unknown = map[string]bool{}, map[string][]time.Time{}
	case "the provider moved another sum":
		for _, e := range w.psp.entries {
			e.moved.Minor++
		}
	case "the provider knows another sale":
		w.psp.keep("another", &deed{name: "another"})
	default:
		panic("nothing is spoiled by " + what)
	}
	return w.judge().Broken
}
