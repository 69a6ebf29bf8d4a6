package sim

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"aorta/internal/customer"
	"aorta/internal/flow"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/operator"
	"aorta/internal/risk"
	"aorta/test/model"
)

// limitAsk is a limit that a customer asks for.
type limitAsk struct {
	name     string // for draws
	customer string
	kind     customer.LimitKind
	period   limit.Period
	amount   money.Amount
}

// limits has the customers of a licensed project set limits: mostly low ones, that some
// of their payments and stakes reach, and lower ones, and higher ones, which some confirm,
// while they pay in and play.
func (w *world) limits() {
	if w.licensed == nil {
		return
	}
	kinds := []customer.LimitKind{
		customer.LimitDeposit, customer.LimitDeposit, customer.LimitDeposit, customer.LimitNetDeposit, customer.LimitSingleDeposit, customer.LimitStake, customer.LimitLoss,
	}
	periods := []limit.Period{limit.Day, limit.Day, limit.Day, limit.Week, limit.CalendarMonth}
	for n := range 3 {
		for k := range int(w.draw("limits", n) * 6) {
			a := limitAsk{name: fmt.Sprint("limit/", n, "/", k), customer: "c" + strconv.Itoa(n)}
			a.kind = kinds[int(w.draw("limits what", a.name)*float64(len(kinds)))]
			a.period = periods[int(w.draw("limits how long", a.name)*float64(len(periods)))]
			if w.begun.In(berlin()).Month() != w.begun.Add(time.Hour).In(berlin()).Month() {
				a.period = limit.CalendarMonth // which ends soon
			}
			if a.kind == customer.LimitSingleDeposit {
				a.period = limit.Once
			}
			a.amount = money.Amount{Minor: 200 + int64(w.draw("limit", a.name)*2500), Currency: "INR"}
			w.later(w.span(time.Hour, "limit at", a.name), a.name, func() { w.setLimit(a, 0) })
			for again := range int(w.draw("confirms", a.name) * 3) {
				at := w.span(time.Hour, "limit at", a.name) + 15*time.Minute + time.Duration(w.draw("confirms at", a.name, again)*float64(time.Hour))
				w.later(at, a.name, func() { w.confirmLimit(a, again, 0) })
			}
		}
	}
}

// berlin is the time zone of the rules.
var berlin = sync.OnceValue(func() *time.Location {
	zone, err := time.LoadLocation(timeZone)
	if err != nil {
		panic(err)
	}
	return zone
})

// setLimit asks for a limit; whoever has no answer asks again, for the same one.
func (w *world) setLimit(a limitAsk, try int) {
	again := func() {
		w.later(w.span(20*time.Second, "asks for a limit again", a.name, try), a.name, func() { w.setLimit(a, try+1) })
	}
	w.request(fmt.Sprint(a.name, "/", try), func(p *process) {
		c := w.change(p, a.name, a.customer, flow.Player(w.project))
		w.witness.Limit(a.customer, a.kind, a.period, a.amount)
		err := p.flows.SetLimit(context.Background(), c, a.kind, a.period, a.amount)
		switch no := flow.RefusalOf(err); {
		case no != nil && no.Code == risk.CodePlayerRestricted && w.restricted[a.customer]:
		case err != nil:
			w.bear(err)
			again()
		default:
			w.witness.LimitAnswered(a.customer, a.kind, a.period, a.amount)
		}
	}, again)
}

// change is a change of a customer's; one name is one change, however often it is asked for.
func (w *world) change(p *process, name, who string, by operator.Actor) flow.CustomerChange {
	if _, known := w.notes[name]; !known {
		w.notes[name] = p.flows.NewNote(w.project, who)
	}
	return flow.CustomerChange{Project: w.project, CustomerID: who, By: by, Note: w.notes[name]}
}

// confirmLimit is the customer's second word for a raise, if one waits.
func (w *world) confirmLimit(a limitAsk, n, try int) {
	again := func() {
		w.later(w.span(20*time.Second, "confirms again", a.name, n, try), a.name, func() { w.confirmLimit(a, n, try+1) })
	}
	name := fmt.Sprint(a.name, "/confirm/", n)
	w.request(fmt.Sprint(name, "/", try), func(p *process) {
		err := p.flows.ConfirmLimit(context.Background(), w.change(p, name, a.customer, flow.Player(w.project)), a.kind, a.period)
		switch no := flow.RefusalOf(err); {
		case err == nil, errors.Is(err, customer.ErrNoLimit), errors.Is(err, customer.ErrNotPending), errors.Is(err, customer.ErrTooEarly):
		case no != nil && no.Code == risk.CodePlayerRestricted && w.restricted[a.customer]:
		default:
			w.bear(err)
			again()
		}
	}, again)
}

// refusedByRules is what a refusal of a deposit or a stake says to the model; empty: none.
func refusedByRules(err error) string {
	no := flow.RefusalOf(err)
	if no == nil {
		return ""
	}
	return map[risk.Code]string{risk.CodeLimitExceeded: model.RefusedFull, risk.CodePlayerRestricted: model.RefusedRestricted}[no.Code]
}

// restriction is one that somebody asks for.
type restriction struct {
	name, customer string
	what           customer.Restriction
	lift           bool
	by             operator.Actor
}

// restricts has customers pause and exclude themselves, and the house exclude them and
// let them in again, while they pay in, play and are paid.
func (w *world) restricts() {
	if w.licensed == nil {
		return
	}
	for n := range 3 {
		who := "c" + strconv.Itoa(n)
		ask := func(r restriction, at time.Duration) {
			r.name, r.customer = fmt.Sprint("restrict/", n, "/", r.what, "/", r.lift), who
			w.later(at, r.name, func() { w.restrict(r, 0) })
		}
		at := func(what string) time.Duration { return w.span(2*time.Hour, "restricted at", n, what) }
		if w.draw("pauses", n) < 0.2 {
			ask(restriction{what: customer.CoolOff, by: flow.Player(w.project)}, at("pause"))
		}
		if w.draw("excludes", n) < 0.12 {
			ask(restriction{what: customer.SelfExcluded, by: flow.Player(w.project)}, at("exclude"))
		}
		if w.draw("excluded", n) < 0.2 {
			since := at("house")
			ask(restriction{what: customer.OperatorExcluded, by: people[0]}, since)
			if w.draw("let in", n) < 0.6 {
				ask(restriction{what: customer.OperatorExcluded, lift: true, by: people[1]}, since+w.span(time.Hour, "let in at", n))
			}
		}
	}
}

// restrict asks for a restriction, or for its end; whoever has no answer asks again.
func (w *world) restrict(r restriction, try int) {
	again := func() {
		w.later(w.span(20*time.Second, "restricts again", r.name, try), r.name, func() { w.restrict(r, try+1) })
	}
	w.request(fmt.Sprint(r.name, "/", try), func(p *process) {
		c, ctx := w.change(p, r.name, r.customer, r.by), context.Background()
		c.Reason = "said so"
		w.restricted[r.customer] = true
		if w.bureau.linked() { // what holds for one of them does for the other
			w.restricted["c0"], w.restricted["c1"] = true, true
		}
		w.witness.Restriction(r.customer, r.what, r.lift)
		var err error
		switch {
		case r.lift:
			w.witness.Deed(r.by, flow.NoteLifted, w.customerOf(p, r.customer))
			err = p.flows.Lift(ctx, c, r.what)
		case r.what == customer.CoolOff:
			err = p.flows.CoolOff(ctx, c, 24)
		case r.what == customer.SelfExcluded:
			err = p.flows.Exclude(ctx, c, 6*int64(w.draw("for how long", r.name)*2))
		default:
			w.witness.Deed(r.by, flow.NoteRestricted, w.customerOf(p, r.customer))
			err = p.flows.Restrict(ctx, c, customer.Restraint{Restriction: r.what})
		}
		switch {
		case errors.Is(err, customer.ErrRestricted): // a longer one holds
		case r.lift && errors.Is(err, flow.ErrState): // it never came to it, or the same person was let in elsewhere
		case err != nil:
			w.bear(err)
			again()
		}
	}, again)
}

func (w *world) customerOf(p *process, who string) string {
	return p.flows.CustomerOf(w.project, who).String()
}
