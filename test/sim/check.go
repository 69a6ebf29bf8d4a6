package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/event"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/verify"
)

const all = 1_000_000

// rows are what the platform has stored.
type rows struct {
	payments   []payment.Payment
	attempts   []payment.Attempt
	accounts   []ledger.Account
	events     []event.Event
	deliveries []event.Delivery
	cases      []payment.Case
}

func read(r book.Reader) rows {
	ctx := context.Background()
	var x rows
	var errs [6]error
	x.payments, errs[0] = r.ScanPayments(ctx, id.Payment{}, all)
	x.attempts, errs[1] = r.ScanAttempts(ctx, id.Attempt{}, all)
	x.accounts, errs[2] = r.ScanAccounts(ctx, id.Account{}, all)
	x.events, errs[3] = r.ScanEvents(ctx, id.Event{}, all)
	x.deliveries, errs[4] = r.ScanDeliveries(ctx, id.Delivery{}, all)
	x.cases, errs[5] = r.Cases(ctx, id.Case{}, all)
	for _, err := range errs {
		if err != nil {
			panic(err)
		}
	}
	return x
}

// judge says what of the run's end must not be.
func (w *world) judge() Result {
	report, err := verify.Run(context.Background(), w.store, verify.Options{})
	if err != nil {
		panic(err)
	}
	r := Result{Broken: append(w.broken, report.Violations...), Injected: w.injected, Moves: map[[2]payment.Status]int{}}
	x := read(w.store)
	wrong := func(format string, args ...any) { r.Broken = append(r.Broken, fmt.Sprintf(format, args...)) }
	w.judgeAttempts(x, wrong)
	w.judgePayments(x, wrong)
	w.judgeBalances(x, wrong)
	w.judgeTold(x, wrong)
	w.judgeDeclines(x, wrong)
	r.Model, r.Made = w.judgeByModel(), w.witness.Made()
	r.Broken = append(r.Broken, r.Model...)
	for _, e := range x.events {
		if e.From != e.To || e.Kind == event.RefundSucceeded {
			r.Moves[[2]payment.Status{e.From, e.To}]++
		}
	}
	var history strings.Builder
	for _, p := range x.payments {
		fmt.Fprintln(&history, p.ID, p.MerchantPaymentID, p.Status, p.Code, p.CapturedMinor, p.RefundedMinor, p.ChangedUS)
		if p.CapturedMinor > 0 {
			r.Captured++
		}
	}
	for _, a := range x.attempts {
		fmt.Fprintln(&history, a.ID, a.Kind, a.Status, a.Late, a.Lookups, a.ChangedUS)
		r.Late += int(a.Late)
	}
	for _, e := range x.events {
		fmt.Fprintln(&history, e.ID, e.Kind, e.AtUS)
	}
	r.History = history.String()
	return r
}

// judgeByModel: an independent model that was told the same has followed all
// that was committed (package model).
func (w *world) judgeByModel() []string {
	wrong, err := w.witness.End(w.store)
	if err != nil {
		panic(err)
	}
	return wrong
}

// judgeAttempts: the provider's journal and ours are the same (C4).
func (w *world) judgeAttempts(x rows, wrong func(string, ...any)) {
	ours := map[string]bool{}
	for _, a := range x.attempts {
		ref := a.ID.String()
		ours[ref] = true
		e := w.psp.entries[ref]
		moved := e != nil && e.state == connector.Approved && !e.wrong
		if moved != (a.Status == payment.AttemptApproved) {
			wrong("Attempt %s (%s of payment %s) is %s, but the provider says %+v.", ref, a.Kind, w.names[a.Payment], a.Status, e)
		}
		if (a.Status == payment.AttemptDeclined && (e == nil || !e.no)) || (a.Status == payment.AttemptNotSent && e != nil) {
			wrong("Attempt %s (%s of payment %s) is %s, but the provider says %+v.", ref, a.Kind, w.names[a.Payment], a.Status, e)
		}
		if e != nil && e.wrong && !slices.ContainsFunc(x.cases, func(c payment.Case) bool { return c.Payment == a.Payment && c.Kind == flow.CaseMismatch }) {
			wrong("Attempt %s moved another amount at the provider, and no case says so.", ref)
		}
		if e != nil && e.refund && a.Status != payment.AttemptApproved && a.Status != payment.AttemptDeclined {
			wrong("Refund %s is %s in the end.", ref, a.Status)
		}
	}
	for _, ref := range w.psp.order {
		if !ours[ref] {
			wrong("The provider knows %s (%s), we do not.", ref, w.psp.entries[ref].name)
		}
	}
}

// judgePayments: each payment has ended as its sales did.
func (w *world) judgePayments(x rows, wrong func(string, ...any)) {
	if len(x.payments) != len(w.plan.Payments) {
		wrong("There are %d payments, want %d: one for each name.", len(x.payments), len(w.plan.Payments))
	}
	for _, p := range x.payments {
		name := w.names[p.ID]
		sales, refunded := 0, int64(0)
		for ref, e := range w.psp.entries {
			switch {
			case e.payment != name || e.state != connector.Approved || e.wrong:
			case !e.refund:
				sales++
			case !late(x, ref):
				refunded += e.moved.Minor
			}
		}
		captured := p.CapturedMinor > 0
		switch {
		case !p.Status.Final():
			wrong("Payment %s is %s in the end.", name, p.Status)
		case captured && sales == 0:
			wrong("Payment %s is %s, but the provider has no sale of it.", name, p.Status)
		case !captured && sales > 0 && w.project.LateSuccess == project.LateCredit:
			wrong("Payment %s is %s, but the provider has %d sales of it, and late ones are credited.", name, p.Status, sales)
		case captured && p.CapturedMinor != p.Amount.Minor:
			wrong("Payment %s of %d has %d captured.", name, p.Amount.Minor, p.CapturedMinor)
		case p.RefundedMinor != refunded || p.RefundingMinor != 0:
			wrong("Payment %s says %d refunded and %d under way; the provider says %d.", name, p.RefundedMinor, p.RefundingMinor, refunded)
		}
		lateSales := 0
		for _, a := range x.attempts {
			if a.Payment == p.ID && a.Kind == payment.KindSale && a.Late != 0 {
				lateSales++
			}
		}
		credited := captured && w.project.LateSuccess == project.LateCredit && lateSales == sales
		if want := sales - 1; captured && !credited && lateSales != want || !captured && lateSales != sales {
			wrong("Payment %s is %s with %d sales at the provider, %d of them booked late.", name, p.Status, sales, lateSales)
		}
	}
}

// late reports whether a refund is that of late money, which is not of the
// payment's own sums.
func late(x rows, ref string) bool {
	return slices.ContainsFunc(x.attempts, func(a payment.Attempt) bool { return a.Late != 0 && a.ID.String() == ref })
}

// judgeDeclines: a payment is declined by its time, not before it and not long
// after, or because the provider said no (L15, C11).
func (w *world) judgeDeclines(x rows, wrong func(string, ...any)) {
	for _, e := range x.events {
		if e.Kind != event.PaymentDeclined {
			continue
		}
		s, err := book.SnapshotOf(context.Background(), w.store, e)
		if err != nil {
			panic(err)
		}
		switch late := e.AtUS - s.Payment.LimitUS; {
		case s.Payment.Code == payment.CodeAutoDecline && (late < 0 || late > (10*time.Minute).Microseconds()):
			wrong("Payment %s was declined by time %d us after its limit.", w.names[e.Payment], late)
		case s.Payment.Code != payment.CodeAutoDecline && s.Attempt.Status != payment.AttemptDeclined && s.Attempt.Status != payment.AttemptNotSent:
			wrong("Payment %s was declined with code %s while its attempt was %s.", w.names[e.Payment], s.Payment.Code, s.Attempt.Status)
		}
	}
}

// judgeBalances: our clearing account is the provider's balance, and nothing is
// reserved (C1, C4, C13).
func (w *world) judgeBalances(x rows, wrong func(string, ...any)) {
	want := int64(0)
	for _, e := range w.psp.entries {
		switch {
		case e.state != connector.Approved || e.wrong:
		case e.refund:
			want -= e.moved.Minor
		default:
			want += e.moved.Minor
		}
	}
	clearing, due := int64(0), int64(0)
	for _, a := range x.accounts {
		if a.Purpose == ledger.Clearing {
			clearing += a.Balance()
		}
		if a.Purpose == ledger.RefundDue {
			due += a.Balance()
		}
		if a.Purpose == ledger.Reserved && a.Balance() != 0 {
			wrong("%d minor units of %s are still reserved.", a.Balance(), a.Owner)
		}
	}
	if clearing != want {
		wrong("Our clearing account is at %d, the provider at %d.", clearing, want)
	}
	owed, sales, refunds := int64(0), 0, 0
	for _, a := range x.attempts {
		switch {
		case a.Late == 0:
		case a.Kind == payment.KindSale:
			owed += a.Amount.Minor
			sales++
		default:
			refunds++
			if a.Status == payment.AttemptApproved {
				owed -= a.Amount.Minor
			}
		}
	}
	for _, e := range x.events {
		if e.From == payment.StatusDeclined && e.To == payment.StatusCaptured { // a late success was credited
			s, err := book.SnapshotOf(context.Background(), w.store, e)
			if err != nil {
				panic(err)
			}
			owed -= s.Payment.Amount.Minor
		}
	}
	if due != owed {
		wrong("%d minor units are owed for late money, want %d.", due, owed)
	}
	if w.project.LateSuccess == project.LateRefund && refunds != sales {
		wrong("%d late sales have %d refunds.", sales, refunds)
	}
}

// judgeTold: the merchant has all that is to be told (C6).
func (w *world) judgeTold(x rows, wrong func(string, ...any)) {
	for _, d := range x.deliveries {
		body, heard := w.merchant.bodies[d.Event.String()], w.merchant.heard[d.Event.String()]
		switch {
		case d.State != event.DeliveryDelivered:
			wrong("Delivery %s is %s in the end.", d.ID, d.State)
		case !heard || body != d.Body:
			wrong("Delivery %s is delivered as %q; the merchant has %q.", d.ID, d.Body, body)
		}
	}
}
