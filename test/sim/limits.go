package sim

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"aorta/internal/customer"
	"aorta/internal/flow"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/risk"
)

// rules are those of the licensed seeds. Nobody's level stands in a deposit's way: what
// is tried here are the customers' own limits.
var rules = sync.OnceValue(func() *risk.Rules {
	r, err := risk.Load("sim.toml", []byte(`profile = "generic"
[rates]
INR = "100"
[kyc.l0]
deposits = "agreed"
`))
	if err != nil {
		panic(err)
	}
	return r
})

// limitAsk is a limit that a customer asks for.
type limitAsk struct {
	name     string // for draws
	customer string
	period   limit.Period
	amount   money.Amount
}

// limits has the customers of a licensed project set limits: mostly low ones, that some
// of their payments reach, and lower ones, and higher ones, while they pay in.
func (w *world) limits() {
	if !w.licensed {
		return
	}
	for n := range 3 {
		for k := range int(w.draw("limits", n) * 6) {
			a := limitAsk{name: fmt.Sprint("limit/", n, "/", k), customer: "c" + strconv.Itoa(n), period: limit.Day}
			if w.draw("a week", a.name) < 0.3 {
				a.period = limit.Week
			}
			a.amount = money.Amount{Minor: 200 + int64(w.draw("limit", a.name)*2500), Currency: "INR"}
			w.later(w.span(time.Hour, "limit at", a.name), a.name, func() { w.setLimit(a, 0) })
		}
	}
}

// setLimit asks for a limit; whoever has no answer asks again, for the same one.
func (w *world) setLimit(a limitAsk, try int) {
	again := func() {
		w.later(w.span(20*time.Second, "asks for a limit again", a.name, try), a.name, func() { w.setLimit(a, try+1) })
	}
	w.request(fmt.Sprint(a.name, "/", try), func(p *process) {
		if _, known := w.notes[a.name]; !known {
			w.notes[a.name] = p.flows.NewNote(w.project, a.customer)
		}
		c := flow.CustomerChange{Project: w.project, CustomerID: a.customer, By: flow.Player(w.project), Note: w.notes[a.name]}
		w.witness.Limit(a.customer, a.period, a.amount)
		if err := p.flows.SetLimit(context.Background(), c, customer.LimitDeposit, a.period, a.amount); err != nil {
			w.bear(err)
			again()
			return
		}
		w.witness.LimitAnswered(a.customer, a.period, a.amount)
	}, again)
}
