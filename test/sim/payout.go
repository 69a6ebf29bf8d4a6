package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"aorta/internal/connector"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/test/model"
)

// payoutAsk is a payout that a payment's client asks for, once or again.
type payoutAsk struct {
	flow.PayoutRequest
	payout string // which: "2/payout/1"
	key    string // under one idempotency key all requests mean one id
	name   string // of this request, for draws
}

// paysOut has the customer of a payment cash out now and then. Clients are
// impatient: they ask twice at once, again later, under another key by the same
// name, and for another amount under it; an operator replays what the provider
// has told of it.
func (w *world) paysOut(payment, customer string, begins time.Duration) {
	if !w.project.Wallet {
		return
	}
	most := 3.0
	if w.licensed != nil {
		most = 4
	}
	for n := range int(w.draw("payouts", payment) * most) {
		a := payoutAsk{payout: fmt.Sprint(payment, "/payout/", n)}
		a.name, a.key = a.payout, a.payout
		a.PayoutRequest = flow.PayoutRequest{
			Project: w.project, Route: flow.Route{Method: "paytm-wallet", Connector: "sim", Account: "one"}, Door: "v1", CustomerID: customer,
			Amount: money.Amount{Minor: 1 + int64(w.draw("paid out", a.payout)*600), Currency: "INR"},
		}
		if w.draw("payout named", a.payout) < 0.7 {
			a.PayoutID = payoutPrefix + strings.ReplaceAll(a.payout, "/", "-")
		}
		at := begins + w.span(90*time.Minute, "payout at", a.payout)
		if w.licensed != nil { // when some of it has come, and enough to be split
			at = begins + w.span(100*time.Minute, "payout early", a.payout)/2 + time.Duration(w.draw("payout late", a.payout)*float64(w.hours(100*time.Minute)))
			a.Amount.Minor = 1 + int64(w.draw("paid out", a.payout)*1100)
		}
		ask := func(at time.Duration, a payoutAsk, more string) {
			a.name += more
			w.later(at, a.name, func() { w.payOut(a, 0) })
		}
		ask(at, a, "")
		if w.chance(DoubleSubmit, a.payout, "twin") { // at the same moment
			ask(at, a, "/twin")
		}
		if w.chance(DoubleSubmit, a.payout, "again") {
			ask(at+w.span(time.Hour, "payout again", a.payout), a, "/again")
		}
		if a.PayoutID != "" && w.chance(DoubleSubmit, a.payout, "other key") {
			other := a
			other.key += "/other"
			if w.draw("payout otherwise", a.payout) < 0.3 {
				other.Amount.Minor++
			}
			ask(at+w.span(time.Minute, "payout by another key", a.payout), other, "/other key")
		}
		for k := range 3 {
			if w.chance(OperatorReplays, a.payout, k) {
				w.later(at+w.span(3*time.Hour, "replay", a.payout, k), a.payout, func() { w.replay(a.payout, k) })
			}
		}
	}
}

// payoutPrefix begins the merchant's names of payouts.
const payoutPrefix = "payout-"

// payoutName is the simulator's name of a payout, made of the merchant's.
func payoutName(merchants string) string {
	return strings.ReplaceAll(strings.TrimPrefix(merchants, payoutPrefix), "-", "/")
}

// payOut asks for a payout; whoever has no answer asks again.
func (w *world) payOut(a payoutAsk, try int) {
	if try == 0 {
		w.unanswered[a.name] = true
	}
	var asked *model.AskedPayout
	again := func() {
		if asked != nil {
			w.witness.PayoutUnheard(asked)
		}
		w.later(w.span(20*time.Second, "asks for payout again", a.name, try), a.name, func() { w.payOut(a, try+1) })
	}
	w.request(fmt.Sprint(a.name, "/", try), func(p *process) {
		ctx, r := context.Background(), a.PayoutRequest
		if w.draw("route back", a.payout) < 0.5 {
			route, err := p.flows.RouteBack(ctx, r.Project, r.CustomerID, r.Amount.Currency)
			if err == nil {
				r.Route = route
			} else if !errors.Is(err, flow.ErrNoRoute) {
				w.bear(err)
			}
		}
		if _, known := w.keys[a.key]; !known {
			w.keys[a.key] = p.flows.NewPayment(r.Project, r.PayoutID, r.CustomerID, "")
			w.names[w.keys[a.key]] = a.payout
		}
		r.ID = w.keys[a.key]
		asked = w.witness.Payout(r)
		begun, err := p.flows.BeginPayout(ctx, r)
		switch why := refusedPayout(err); {
		case why != "":
			w.witness.PayoutRefused(asked, why)
			delete(w.unanswered, a.name)
			if why == model.RefusedShort && w.draw("once more", a.name) < 0.5 { // its name is not used up
				a.name += "/once more"
				w.later(w.span(time.Hour, "once more", a.name), a.name, func() { w.payOut(a, 0) })
			}
			return
		case err != nil:
			w.bear(err)
			again()
			return
		}
		w.witness.PayoutAnswered(asked, begun.Payment.ID, begun.Repeat)
		delete(w.unanswered, a.name)
		w.paidOut(a, begun)
	}, again)
}

// paidOut notes what a client was told of its payout: always the same (C7).
func (w *world) paidOut(a payoutAsk, b flow.Begun) {
	known := ack{what: "payout " + a.payout, payment: b.Payment.ID, amount: b.Payment.Amount.Minor}
	for _, before := range w.acked {
		if before.what == known.what && before != known {
			w.wrong("%s is %s of %d and %s of %d", before.what, before.payment, before.amount, known.payment, known.amount)
		}
	}
	if b.Payment.Amount != a.Amount && !b.Repeat {
		w.wrong("payout %s was begun with %d, and %d was asked for", a.payout, b.Payment.Amount.Minor, a.Amount.Minor)
	}
	w.names[b.Payment.ID] = a.payout
	w.acked = append(w.acked, known)
	w.operates(b.Payment.ID, a.payout)
}

// replay is an operator who has all that the provider has told of a payout
// applied once more.
func (w *world) replay(payout string, k int) {
	w.request(fmt.Sprint(payout, "/replay/", k), func(p *process) {
		rows, err := w.store.ScanInbox(context.Background(), id.Inbox{}, all)
		w.bear(err)
		for _, row := range rows {
			var n news
			if json.Unmarshal([]byte(row.Body), &n) == nil && strings.HasPrefix(n.Name, payout+"/") {
				w.bear(p.notices.Replay(context.Background(), row.ID))
			}
		}
	}, func() {})
}

// judgePayouts: each payout that was answered is there once, has ended as the
// provider's one deed did, and nobody made another (C3, C4, C7).
func (w *world) judgePayouts(x rows, wrong func(string, ...any)) {
	told := map[id.Payment]bool{}
	for _, a := range w.acked {
		told[a.payment] = true
	}
	names := map[string]id.Payment{}
	for _, p := range x.payments {
		if p.Type != payment.TypePayout {
			continue
		}
		name := w.nameOf(p.ID)
		if first, twice := names[name]; twice {
			wrong("Payout %s is made twice: as %s and %s.", name, first, p.ID)
		}
		names[name] = p.ID
		if !told[p.ID] {
			wrong("Payout %s (%s) is there, and nobody was told so.", name, p.ID)
		}
		deeds, paid := 0, false
		for ref, e := range w.psp.entries {
			if e.payment != name {
				continue
			}
			deeds++
			paid = paid || e.state == connector.Approved && !w.released(x, ref, e)
		}
		switch {
		case !p.Status.Final():
			wrong("Payout %s is %s in the end.", name, p.Status)
		case w.licensed != nil: // of parts: judgeHouse
		case deeds > 1:
			wrong("The provider has %d payouts for %s.", deeds, name)
		case paid != (p.Status == payment.StatusPaid):
			wrong("Payout %s is %s, and the provider has paid it: %t.", name, p.Status, paid)
		}
	}
}

// released reports whether a payout was heard of by the provider only after it
// had said twice that it knows no such thing, and its money was given back
// meanwhile: a person has to see to that.
func (w *world) released(x rows, ref string, e *deed) bool {
	return e.payout && e.after && slices.ContainsFunc(x.attempts, func(a payment.Attempt) bool {
		return a.ID.String() == ref && a.Status == payment.AttemptNotSent
	})
}
