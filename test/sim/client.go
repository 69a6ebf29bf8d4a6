package sim

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"aorta/internal/connector"
	"aorta/internal/event"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/test/model"
)

// ack is what a client has seen with its own eyes: it must be there in the end
// (torture.md C2).
type ack struct {
	what      string
	payment   id.Payment
	operation id.Operation
	transfer  id.Transfer // of a wallet
	amount    int64
	body      string // of a notification
}

// settings are how the merchant wants to be told of a payment.
type settings struct {
	successURL, declineURL string
	delay                  time.Duration
	mute                   bool
}

func (w *world) settings(name string) settings {
	var s settings
	if w.draw("success url", name) < 0.15 {
		s.successURL = "https://shop.example/success"
	}
	if w.draw("decline url", name) < 0.15 {
		s.declineURL = "https://shop.example/decline"
	}
	if w.draw("delay", name) < 0.15 {
		s.delay = time.Duration(1+int(w.draw("how long", name)*599)) * time.Second
	}
	s.mute = w.draw("mute", name) < 0.1
	return s
}

// address is where the merchant wants to hear of an event; empty: nowhere. It
// says from the documents what event.Address does.
func (w *world) address(name string, k event.Kind) string {
	s := w.settings(name)
	switch k {
	case event.PaymentPending, event.RefundStarted, event.LateSuccess, event.EndpointTest, event.EndpointFailing, event.EndpointDisabled,
		event.PayoutPending, event.PayoutUnknown, event.PayoutPaid, event.PayoutFailed,
		event.PayoutStepUp, event.PayoutOnHold, event.PayoutDeferred, event.PayoutPartly, event.PayoutCancelled, event.CustomerKYC, event.CustomerKYCAsked, // of payouts and moves of wallets only endpoints hear
		event.WalletStake, event.WalletWin, event.WalletRollback, event.WalletDebit, event.WalletCredit, event.WalletBonusGranted, event.WalletBonusReleased:
		return ""
	case event.PaymentAwaiting: // the merchant must act
		return w.project.CallbackURL
	case event.PaymentCaptured, event.PaymentDeclined, event.PaymentRetry, event.RefundSucceeded, event.RefundDeclined:
	}
	switch {
	case s.mute:
		return ""
	case k == event.PaymentCaptured && s.successURL != "":
		return s.successURL
	case k == event.PaymentDeclined && s.declineURL != "":
		return s.declineURL
	}
	return w.project.CallbackURL
}

// client has the merchant make a payment, and what may come of it.
func (w *world) client(n int) {
	name, spread := strconv.Itoa(n), 2*time.Minute
	if w.plan.Spread != 0 {
		spread = w.plan.Spread
	}
	s := w.settings(name)
	r := flow.SaleRequest{
		Project: w.project, Method: w.project.Methods[0], Door: "gate", PaymentID: "order-" + name, CustomerID: "c" + strconv.Itoa(n%3),
		CallbackURL: w.project.CallbackURL, SuccessURL: s.successURL, DeclineURL: s.declineURL, Delay: s.delay, Mute: s.mute,
		Amount: money.Amount{Minor: 100 + int64(w.draw("amount", n)*1000), Currency: "INR"},
	}
	if w.draw("page", n) < 0.4 {
		r.Door, r.Retries = "page", 2
	}
	begins := w.span(spread, "begins", n)
	if w.plan.Spread != 0 {
		begins = time.Duration(w.draw("begins", n) * float64(spread))
	}
	begins += w.nextDay(name)
	w.later(begins, name, func() { w.begin(r, name, 0) })
	w.plays(name, r.CustomerID, begins)
	w.paysOut(name, r.CustomerID, begins)
	w.googles(name, r.CustomerID, begins)
	for i := range int(w.draw("refunds", n) * 5) {
		at := begins + time.Duration(w.draw("refund at", n, i)*float64(90*time.Minute))
		w.later(at, name, func() { w.refund(r, name, i, 0) })
	}
}

// begin makes the payment; whoever has no answer asks again.
func (w *world) begin(r flow.SaleRequest, name string, try int) {
	var asked *model.AskedSale
	again := func() {
		if asked != nil {
			w.witness.SaleHeard(asked)
		}
		w.later(w.span(20*time.Second, "asks again", name, try), name, func() { w.begin(r, name, try+1) })
	}
	w.request(fmt.Sprint(name, "/begin/", try), func(p *process) {
		asked = w.witness.SaleWaits(r)
		begun, err := p.flows.BeginSale(context.Background(), r)
		if why := refusedByRules(err); why != "" {
			w.witness.SaleRefused(asked, why)
			w.refused[name] = true
			return
		}
		if err != nil {
			w.bear(err)
			again()
			return
		}
		w.witness.SaleHeard(asked)
		w.witness.SaleAnswered(r.PaymentID, begun.Payment.ID)
		w.answered(name, r, begun)
		if try == 0 && w.draw("impatient", name) < 0.3 { // the same order once more, in other letters and of another amount
			twice := r
			twice.PaymentID = "ORDER-" + name
			twice.Amount.Minor++
			w.later(w.span(time.Minute, "impatient", name), name, func() { w.begin(twice, name, 1000) })
		}
		if r.Retries > 0 && w.nth("visits/"+name) == 1 {
			for n := 1; n <= 8; n++ {
				w.later(time.Duration(n)*3*time.Minute, name, func() { w.again(begun.Payment.ID, name, n) })
			}
		}
	}, again)
}

// answered notes what a client was told of its payment: always the same (C7).
func (w *world) answered(name string, r flow.SaleRequest, b flow.Begun) {
	known := ack{what: "payment " + name, payment: b.Payment.ID, amount: b.Payment.Amount.Minor}
	for _, a := range w.acked {
		if a.what == known.what && a != known {
			w.wrong("payment %s is %s of %d and %s of %d", name, a.payment, a.amount, known.payment, known.amount)
		}
	}
	if b.Payment.Amount != r.Amount && !b.Repeat {
		w.wrong("payment %s was begun with %d, and %d was asked for", name, b.Payment.Amount.Minor, r.Amount.Minor)
	}
	w.names[b.Payment.ID] = name
	w.acked = append(w.acked, known)
}

// again is the customer, who looks at the page now and then.
func (w *world) again(k id.Payment, name string, n int) {
	if w.draw("gives up", name, n) < 0.3 {
		return
	}
	w.request(fmt.Sprint(name, "/again/", n), func(p *process) {
		pay, ok, err := w.store.Payment(context.Background(), k)
		if err != nil || !ok || !pay.RetryOffered() {
			return
		}
		w.witness.Again(pay.ID, pay.LastOperation)
		begun, err := p.flows.TryAgain(context.Background(), pay, pay.LastOperation, connector.Person{})
		if err != nil {
			w.bear(err)
			return
		}
		if !begun.Repeat {
			w.acked = append(w.acked, ack{what: "try of " + name, payment: k, operation: begun.Operation.ID, amount: pay.Amount.Minor})
		}
		// A finger that presses twice.
		twice, err := p.flows.TryAgain(context.Background(), pay, pay.LastOperation, connector.Person{})
		w.bear(err)
		if err == nil && !twice.Repeat {
			w.wrong("payment %s was tried twice on one offer", name)
		}
	}, func() {})
}

// refund gives some of it back, if it is paid by then.
func (w *world) refund(r flow.SaleRequest, name string, n, try int) {
	share := w.draw("share", name, n)
	merchants := ""
	if share < 0.5 {
		merchants = fmt.Sprint("refund-", name, "-", n)
	}
	again := func() {
		if merchants != "" { // with a name it may ask again
			w.later(w.span(time.Minute, "refund again", name, n, try), name, func() { w.refund(r, name, n, try+1) })
		}
	}
	w.request(fmt.Sprint(name, "/refund/", n, "/", try), func(p *process) {
		ctx := context.Background()
		pay, err := p.flows.Find(ctx, w.project, r.PaymentID)
		if errors.Is(err, payment.ErrNoPayment) {
			return
		}
		w.bear(err)
		q := flow.RefundRequest{
			Project: w.project, Payment: pay, Amount: money.Amount{Minor: 1 + int64(share*1.2*float64(pay.Amount.Minor)), Currency: "INR"},
			MerchantRefundID: merchants,
		}
		if share > 0.8 {
			q.Amount = money.Amount{} // all that remains
		}
		w.witness.Refund(pay.ID, q.MerchantRefundID, q.Amount.Minor)
		begun, err := p.flows.BeginRefund(ctx, q)
		switch {
		case errors.Is(err, flow.ErrState), errors.Is(err, flow.ErrRefundIDKnown):
			return
		case err != nil:
			w.bear(err)
			again()
			return
		}
		w.witness.RefundAnswered(begun.Operation.ID)
		what := fmt.Sprint("refund ", name, "/", n, "/", try)
		if merchants != "" {
			what = "refund " + merchants
		}
		for _, a := range w.acked {
			if a.what == what {
				w.wrong("%s was begun twice", what)
			}
		}
		w.acked = append(w.acked, ack{what: what, payment: pay.ID, operation: begun.Operation.ID, amount: begun.Operation.Amount.Minor})
		if merchants != "" && share < 0.2 { // once more under the same name, and of another amount
			q.Amount.Minor++
			if _, err := p.flows.BeginRefund(ctx, q); !errors.Is(err, flow.ErrRefundIDKnown) && !unheard(err) {
				w.wrong("%s was asked for again with another amount: %v, want it refused", what, err)
			}
		}
	}, again)
}

// outages are those of the seed that concern everybody. One counts when somebody meets it.
func (w *world) outages() {
	if w.will(PSPDown) {
		w.psp.downFrom = w.now.Add(time.Duration(w.draw("psp down") * float64(time.Hour)))
		w.psp.downTo = w.psp.downFrom.Add(10 * time.Minute)
	}
	if w.licensed != nil && w.will(PayoutsDown) {
		w.psp.pausedFrom = w.now.Add(time.Duration(w.draw("payouts down") * float64(w.hours(2*time.Hour))))
		w.psp.pausedTo = w.psp.pausedFrom.Add(w.hours(30*time.Minute) + time.Duration(w.draw("payouts down for", 0)*float64(w.hours(90*time.Minute))))
	}
	if w.will(MerchantDown) {
		w.merchant.downFrom = w.now.Add(time.Duration(w.draw("merchant down") * float64(time.Hour)))
		outage := w.plan.Outage
		if outage == 0 {
			outage = time.Duration((0.1 + 0.9*w.draw("how long down")) * float64(6*time.Hour))
		}
		w.merchant.downTo = w.merchant.downFrom.Add(outage)
	}
}

// meets reports whether there is an outage now; the first who meets it has it counted.
func (w *world) meets(f Fault, from, to time.Time) bool {
	if w.now.Before(from) || !w.now.Before(to) {
		return false
	}
	w.injected[f] = 1
	return true
}
