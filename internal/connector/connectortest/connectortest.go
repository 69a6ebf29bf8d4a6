// Package connectortest is the one suite that every connector passes: the rules
// of payment-loop.md L15, against the connector's provider or a simulator of it,
// over a wire that breaks in every way we know.
//
// It does not judge a protocol's details; golden files and the connector's own
// tests do. Its weakness is the simulator: what that has wrong, it cannot see.
package connectortest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"aorta/internal/connector"
	"aorta/internal/id"
	"aorta/internal/instrument"
	"aorta/internal/money"
	"aorta/internal/payment"
)

// Decision is what the other side does with one operation.
type Decision string

// The decisions.
const (
	Approve     Decision = "approve"
	Decline     Decision = "decline"
	Leave       Decision = "leave"        // nobody ever decides
	WrongAmount Decision = "wrong amount" // approved, and another amount is reported
	Forge       Decision = "forge"        // approved, and its notification is signed with another key
)

// Subject is a connector under test and the hands on its other side. The suite
// asks for a new one for each test, with books of its own.
type Subject struct {
	// Connector talks to its provider through Wire and gives up on a call after
	// at most a second.
	Connector connector.Connector
	Wire      *Wire

	// Unreachable is the same connector at DeadURL.
	Unreachable connector.Connector

	// NotifyURL is what orders carry; it may be empty.
	NotifyURL string

	// Next has the other side decide the next operation of a kind so. Without a
	// decision it does what it does of itself.
	Next func(t *testing.T, kind payment.OperationKind, d Decision)

	// GivenBack is what by the other side's books was paid back of a sale, minor
	// units. Needed of a Refunder.
	GivenBack func(t *testing.T, sale connector.Order) int64

	// PaidOut is what by the other side's books was paid out under a reference,
	// minor units. Needed of a Payouter.
	PaidOut func(t *testing.T, reference string) int64

	// PaidTo is the token of the instrument to which by the other side's books was
	// paid out under a reference. nil: the provider does not name instruments.
	PaidTo func(t *testing.T, reference string) string

	// Notification waits for what the other side sends about a reference. Needed
	// of a NotificationReader.
	Notification func(t *testing.T, reference string) connector.Notification
}

// patience is how long the other side may take to decide.
const patience = 10 * time.Second

// Exercise runs the suite, each test with a subject of its own, several at once.
func Exercise(t *testing.T, subject func(t *testing.T) Subject) {
	tests := []struct {
		name string
		run  func(t *testing.T, s Subject)
	}{
		{"capabilities", capabilities},
		{"sale approved", saleApproved},
		{"sale declined", saleDeclined},
		{"sale left alone", saleLeft},
		{"sale of another amount", saleWrongAmount},
		{"sale out of bounds", saleOutOfBounds},
		{"sale over a broken wire", saleFaults},
		{"sale refused to dial", unreachable},
		{"sale given up", givenUp},
		{"many sales at once", manySales},
		{"look-up of what was never asked", lookupNothing},
		{"look-up over a broken wire", lookupFaults},
		{"refund approved", refundApproved},
		{"refund declined", refundDeclined},
		{"refund of too much", refundTooMuch},
		{"refund over a broken wire", refundFaults},
		{"look-up of a refund never asked", lookupRefundNothing},
		{"look-up of a refund over a broken wire", lookupRefundFaults},
		{"payout approved", payoutApproved},
		{"payout declined", payoutDeclined},
		{"payout over a broken wire", payoutFaults},
		{"payout refused to dial", payoutUnreachable},
		{"payout to where it came from", payoutBack},
		{"look-up of a payout never asked", lookupPayoutNothing},
		{"look-up of a payout over a broken wire", lookupPayoutFaults},
		{"statement", statement},
		{"statement over a broken wire", statementFaults},
		{"notification", notification},
		{"notification forged", notificationForged},
		{"notification garbled", notificationGarbled},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, subject(t))
		})
	}
}

func capabilities(t *testing.T, s Subject) {
	c := s.Connector.Capabilities()
	if len(c.Methods) == 0 || len(c.Currencies) == 0 {
		t.Errorf("no methods or currencies: %+v", c)
	}
	for _, currency := range c.Currencies {
		if !currency.Valid() {
			t.Errorf("currency %q is none", currency)
		}
	}
	if c.MinMinor <= 0 || c.MaxMinor < c.MinMinor {
		t.Errorf("amounts from %d to %d", c.MinMinor, c.MaxMinor)
	}
	_, looks := s.Connector.(connector.Looker)
	if looks != (len(c.LookupSchedule) > 0) {
		t.Errorf("Looker is %v, and the schedule is %v", looks, c.LookupSchedule)
	}
	if c.SaleMovesMoney && !looks {
		t.Error("a lost answer may have moved money, and there is no look-up")
	}
	if _, refunds := s.Connector.(connector.Refunder); refunds != c.Refund {
		t.Errorf("Refunder is %v, Capabilities().Refund is %v", refunds, c.Refund)
	}
	if c.PartialRefund && (!c.Refund || c.MinRefundMinor <= 0) {
		t.Errorf("partial refunds: %+v", c)
	}
	if _, pays := s.Connector.(connector.Payouter); pays && s.PaidOut == nil {
		t.Error("a Payouter, and nobody to say what was paid out")
	}
	if _, reads := s.Connector.(connector.NotificationReader); reads != c.Notifications {
		t.Errorf("NotificationReader is %v, Capabilities().Notifications is %v", reads, c.Notifications)
	}
	c.Methods[0], c.Currencies[0] = "changed", "XXX"
	if again := s.Connector.Capabilities(); reflect.DeepEqual(again, c) {
		t.Error("a caller can change the capabilities")
	}
}

func saleApproved(t *testing.T, s Subject) {
	o, out := s.sold(t)
	if again := s.settled(t, o, out); !reflect.DeepEqual(again, out) && again.Kind != connector.Approved {
		t.Errorf("asked again: %+v, want as before: %+v", again, out)
	}
}

// sold makes a sale that the other side approves.
func (s Subject) sold(t *testing.T) (connector.Order, connector.Outcome) {
	t.Helper()
	o := s.order(t)
	s.Next(t, payment.KindSale, Approve)
	out := s.settled(t, o, s.begin(t, o))
	if out.Kind != connector.Approved || out.Amount != o.Attempt.Amount {
		t.Fatalf("an approved sale of %v = %+v", o.Attempt.Amount, out)
	}
	o.Attempt.ProviderID = out.ProviderID
	return o, out
}

// begin makes a sale that must be taken, and gives the first answer.
func (s Subject) begin(t *testing.T, o connector.Order) connector.Outcome {
	t.Helper()
	out := s.sale(t, context.Background(), o)
	c := s.Connector.Capabilities()
	switch {
	case c.RedirectsToPage && (out.Kind != connector.Pending || out.Redirect == nil):
		t.Fatalf("Sale = %+v, want Pending with a page to go to", out)
	case out.Kind == connector.Unknown, out.Kind == connector.NotSent:
		t.Fatalf("Sale = %+v over a whole wire", out)
	}
	return out
}

func saleDeclined(t *testing.T, s Subject) {
	o := s.order(t)
	s.Next(t, payment.KindSale, Decline)
	if out := s.settled(t, o, s.begin(t, o)); out.Kind != connector.Declined {
		t.Errorf("a declined sale = %+v", out)
	}
}

func saleLeft(t *testing.T, s Subject) {
	o := s.order(t)
	s.Next(t, payment.KindSale, Leave)
	if out := s.begin(t, o); out.Kind != connector.Pending {
		t.Fatalf("Sale = %+v, want Pending while nobody decides", out)
	}
	if _, looks := s.Connector.(connector.Looker); !looks {
		return
	}
	for range 3 {
		if out := s.lookup(t, context.Background(), o); out.Kind != connector.Pending && out.Kind != connector.Unknown {
			t.Errorf("Lookup = %+v while nobody has decided", out)
		}
	}
}

func saleWrongAmount(t *testing.T, s Subject) {
	o := s.order(t)
	s.Next(t, payment.KindSale, WrongAmount)
	out := s.settled(t, o, s.begin(t, o))
	switch {
	case out.Kind == connector.Approved && out.Amount != o.Attempt.Amount: // as it should be told
	case out.Kind == connector.Unknown:
	default:
		t.Errorf("asked for %v, told of another amount: %+v, want that amount", o.Attempt.Amount, out)
	}
}

func saleOutOfBounds(t *testing.T, s Subject) {
	c := s.Connector.Capabilities()
	amounts := []money.Amount{
		{},
		{Minor: 0, Currency: c.Currencies[0]},
		{Minor: -c.MinMinor, Currency: c.Currencies[0]},
		{Minor: c.MinMinor - 1, Currency: c.Currencies[0]},
		{Minor: c.MaxMinor + 1, Currency: c.Currencies[0]},
	}
	for _, foreign := range []money.Currency{"INR", "EUR", "JPY", "USD", "KWD"} {
		if !slices.Contains(c.Currencies, foreign) {
			amounts = append(amounts, money.Amount{Minor: c.MinMinor, Currency: foreign})
		}
	}
	for _, amount := range amounts {
		o := s.order(t)
		o.Attempt.Amount = amount
		if out := s.sale(t, context.Background(), o); out.Kind != connector.NotSent && out.Kind != connector.Declined {
			t.Errorf("Sale of %+v = %+v, want a refusal", amount, out)
		}
	}
}

func saleFaults(t *testing.T, s Subject) {
	for _, fault := range Faults {
		o := s.order(t)
		s.Wire.Break(fault)
		before := s.Wire.Calls()
		out := s.sale(t, context.Background(), o)
		if !inDoubt(fault, out) {
			t.Errorf("%s: Sale = %+v, want Unknown", fault, out)
		}
		if fault == Moved && s.Wire.Calls() != before+1 {
			t.Errorf("%s: %d calls, want 1: redirects are not followed", fault, s.Wire.Calls()-before)
		}
		s.Wire.Break(Whole)
		if _, looks := s.Connector.(connector.Looker); looks {
			if out := s.lookup(t, context.Background(), o); out.Kind == connector.Declined || out.Kind == connector.NotSent {
				t.Errorf("%s: Lookup afterwards = %+v, and nobody has said no", fault, out)
			}
		}
	}
}

// inDoubt says whether out is right for an answer that a fault kept from us. Where
// the wire is cut at once, the reset may come before the connection counts as
// made, and then it is proved that nothing left.
func inDoubt(fault Fault, out connector.Outcome) bool {
	return out.Kind == connector.Unknown || fault == CutBefore && out.Kind == connector.NotSent
}

func unreachable(t *testing.T, s Subject) {
	there := s
	s.Connector = s.Unreachable
	o := s.order(t)
	if out := s.sale(t, context.Background(), o); out.Kind != connector.NotSent {
		t.Errorf("Sale with nobody listening = %+v, want NotSent", out)
	}
	if _, looks := s.Connector.(connector.Looker); looks {
		// That the question was not sent says nothing about the sale.
		if out := s.lookup(t, context.Background(), o); out.Kind != connector.Unknown || out.NoRecord {
			t.Errorf("Lookup with nobody listening = %+v, want Unknown", out)
		}
	}
	if _, refunds := s.Connector.(connector.Refunder); !refunds {
		return
	}
	sale, _ := there.sold(t)
	refund := refundOf(sale, sale.Attempt.Amount.Minor)
	if out := s.refund(t, context.Background(), refund); out.Kind != connector.NotSent {
		t.Errorf("Refund with nobody listening = %+v, want NotSent", out)
	}
	if out := s.lookupRefund(t, context.Background(), refund); out.Kind != connector.Unknown || out.NoRecord {
		t.Errorf("LookupRefund with nobody listening = %+v, want Unknown", out)
	}
}

func givenUp(t *testing.T, s Subject) {
	s.Wire.Break(Hang)
	calls := map[string]func(context.Context) connector.Outcome{
		"Sale": func(ctx context.Context) connector.Outcome { return s.sale(t, ctx, s.order(t)) },
	}
	if _, looks := s.Connector.(connector.Looker); looks {
		calls["Lookup"] = func(ctx context.Context) connector.Outcome { return s.lookup(t, ctx, s.order(t)) }
	}
	if _, refunds := s.Connector.(connector.Refunder); refunds {
		sale := s.order(t)
		sale.Attempt.ProviderID = "1"
		refund := refundOf(sale, sale.Attempt.Amount.Minor)
		calls["Refund"] = func(ctx context.Context) connector.Outcome { return s.refund(t, ctx, refund) }
		calls["LookupRefund"] = func(ctx context.Context) connector.Outcome { return s.lookupRefund(t, ctx, refund) }
	}
	for name, call := range calls {
		cancelled, cancel := context.WithCancel(context.Background())
		time.AfterFunc(20*time.Millisecond, cancel)
		if out := call(cancelled); out.Kind != connector.Unknown {
			t.Errorf("%s, cancelled under way = %+v, want Unknown", name, out)
		}
		cancel()
		late, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		if out := call(late); out.Kind != connector.Unknown {
			t.Errorf("%s, out of time = %+v, want Unknown", name, out)
		}
		cancel()
		// Nothing has left, which a connector may know or not.
		if out := call(cancelled); out.Kind != connector.Unknown && out.Kind != connector.NotSent {
			t.Errorf("%s, cancelled before = %+v, want Unknown or NotSent", name, out)
		}
	}
}

func manySales(t *testing.T, s Subject) {
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			o := s.order(t)
			out := s.Connector.Sale(context.Background(), o)
			if out.Kind == connector.Unknown || out.Kind == connector.NotSent {
				t.Errorf("Sale = %+v, one of many at once", out)
			}
			if out.Redirect != nil && strings.Count(fmt.Sprint(*out.Redirect), "att_") != strings.Count(fmt.Sprint(*out.Redirect), o.Reference()) {
				t.Errorf("Sale of %s sends the customer to another's page: %+v", o.Reference(), *out.Redirect)
			}
		})
	}
	all.Wait()
}

func lookupNothing(t *testing.T, s Subject) {
	if _, looks := s.Connector.(connector.Looker); !looks {
		t.Skip("no look-up")
	}
	out := s.lookup(t, context.Background(), s.order(t))
	if out.Kind != connector.Pending && out.Kind != connector.Unknown || !out.NoRecord {
		t.Errorf("Lookup = %+v, want no record of it and no word on it", out)
	}
}

func lookupFaults(t *testing.T, s Subject) {
	if _, looks := s.Connector.(connector.Looker); !looks {
		t.Skip("no look-up")
	}
	o, _ := s.sold(t)
	for _, fault := range Faults {
		s.Wire.Break(fault)
		if out := s.lookup(t, context.Background(), o); out.Kind != connector.Unknown || out.NoRecord {
			t.Errorf("%s: Lookup = %+v, want Unknown", fault, out)
		}
	}
	s.Wire.Break(Whole)
	if out := s.settled(t, o, connector.Outcome{Kind: connector.Unknown}); out.Kind != connector.Approved {
		t.Errorf("Lookup when the wire is whole again = %+v", out)
	}
}

func (s Subject) needRefunds(t *testing.T) {
	t.Helper()
	if _, refunds := s.Connector.(connector.Refunder); !refunds {
		t.Skip("no refunds")
	}
}

func refundApproved(t *testing.T, s Subject) {
	s.needRefunds(t)
	sale, _ := s.sold(t)
	total := sale.Attempt.Amount.Minor
	parts := []int64{total}
	if c := s.Connector.Capabilities(); c.PartialRefund {
		parts = []int64{c.MinRefundMinor, total - c.MinRefundMinor}
	}
	var want int64
	for _, part := range parts {
		o := refundOf(sale, part)
		// The same reference again at once, and after it was done, is the same refund.
		first := s.refund(t, context.Background(), o)
		if second := s.refund(t, context.Background(), o); second.Kind == connector.Declined || second.Kind == connector.NotSent {
			t.Errorf("Refund, repeated = %+v, after %+v", second, first)
		}
		out := s.refundSettled(t, o, first)
		if out.Kind != connector.Approved || out.Amount != o.Attempt.Amount {
			t.Fatalf("an approved refund of %v = %+v", o.Attempt.Amount, out)
		}
		if third := s.refund(t, context.Background(), o); third.Kind == connector.Declined || third.Kind == connector.NotSent {
			t.Errorf("Refund, repeated when it was done = %+v", third)
		}
		want += part
		if got := s.GivenBack(t, sale); got != want {
			t.Fatalf("given back %d, want %d", got, want)
		}
	}
}

func refundDeclined(t *testing.T, s Subject) {
	s.needRefunds(t)
	sale, _ := s.sold(t)
	o := refundOf(sale, sale.Attempt.Amount.Minor)
	s.Next(t, payment.KindRefund, Decline)
	if out := s.refundSettled(t, o, s.refund(t, context.Background(), o)); out.Kind != connector.Declined {
		t.Errorf("a declined refund = %+v", out)
	}
	if got := s.GivenBack(t, sale); got != 0 {
		t.Errorf("given back %d by a refund that was declined", got)
	}
}

func refundTooMuch(t *testing.T, s Subject) {
	s.needRefunds(t)
	sale, _ := s.sold(t)
	o := refundOf(sale, sale.Attempt.Amount.Minor+1)
	if out := s.refund(t, context.Background(), o); out.Kind == connector.Approved {
		t.Errorf("Refund of more than was paid = %+v", out)
	}
	if got := s.GivenBack(t, sale); got != 0 {
		t.Errorf("given back %d", got)
	}
}

func refundFaults(t *testing.T, s Subject) {
	s.needRefunds(t)
	for _, fault := range Faults {
		sale, _ := s.sold(t)
		o := refundOf(sale, sale.Attempt.Amount.Minor)
		s.Wire.Break(fault)
		if out := s.refund(t, context.Background(), o); !inDoubt(fault, out) {
			t.Errorf("%s: Refund = %+v, want Unknown", fault, out)
		}
		s.Wire.Break(Whole)
		if out := s.lookupRefund(t, context.Background(), o); out.Kind == connector.Declined || out.Kind == connector.NotSent {
			t.Errorf("%s: LookupRefund afterwards = %+v, and nobody has said no", fault, out)
		}
		if out := s.refundSettled(t, o, s.refund(t, context.Background(), o)); out.Kind != connector.Approved {
			t.Errorf("%s: Refund, repeated = %+v, want Approved in the end", fault, out)
		}
		if got := s.GivenBack(t, sale); got != o.Attempt.Amount.Minor {
			t.Errorf("%s: given back %d, want %d once", fault, got, o.Attempt.Amount.Minor)
		}
	}
}

func lookupRefundNothing(t *testing.T, s Subject) {
	s.needRefunds(t)
	sale, _ := s.sold(t)
	out := s.lookupRefund(t, context.Background(), refundOf(sale, sale.Attempt.Amount.Minor))
	if out.Kind != connector.Pending && out.Kind != connector.Unknown || !out.NoRecord {
		t.Errorf("LookupRefund = %+v, want no record of it and no word on it", out)
	}
}

func lookupRefundFaults(t *testing.T, s Subject) {
	s.needRefunds(t)
	sale, _ := s.sold(t)
	o := refundOf(sale, sale.Attempt.Amount.Minor)
	s.refundSettled(t, o, s.refund(t, context.Background(), o))
	for _, fault := range Faults {
		s.Wire.Break(fault)
		if out := s.lookupRefund(t, context.Background(), o); out.Kind != connector.Unknown || out.NoRecord {
			t.Errorf("%s: LookupRefund = %+v, want Unknown", fault, out)
		}
	}
}

func (s Subject) payouter(t *testing.T) connector.Payouter {
	t.Helper()
	p, pays := s.Connector.(connector.Payouter)
	if !pays {
		t.Skip("no payouts")
	}
	return p
}

// payoutOrder is a new payout.
func (s Subject) payoutOrder(t *testing.T) connector.Order {
	t.Helper()
	o := s.order(t)
	o.Attempt.Kind = payment.KindPayout
	return o
}

func (s Subject) payoutSettled(t *testing.T, o connector.Order, out connector.Outcome) connector.Outcome {
	t.Helper()
	return settle(out, func() connector.Outcome {
		return sound(t, "LookupPayout", s.payouter(t).LookupPayout(context.Background(), o))
	})
}

func payoutApproved(t *testing.T, s Subject) {
	p, o := s.payouter(t), s.payoutOrder(t)
	first := sound(t, "Payout", p.Payout(context.Background(), o))
	// The same reference again at once, and after it was done, is the same payout.
	if again := p.Payout(context.Background(), o); again.Kind == connector.Declined || again.Kind == connector.NotSent {
		t.Errorf("Payout, repeated = %+v, after %+v", again, first)
	}
	out := s.payoutSettled(t, o, first)
	if out.Kind != connector.Approved || out.Amount != o.Attempt.Amount {
		t.Fatalf("an approved payout of %v = %+v", o.Attempt.Amount, out)
	}
	if again := p.Payout(context.Background(), o); again.Kind == connector.Declined || again.Kind == connector.NotSent {
		t.Errorf("Payout, repeated when it was done = %+v", again)
	}
	if got := s.PaidOut(t, o.Reference()); got != o.Attempt.Amount.Minor {
		t.Errorf("paid out %d, want %d once", got, o.Attempt.Amount.Minor)
	}
	o.Attempt.Amount.Minor++ // another request under a name that is taken
	if out := p.Payout(context.Background(), o); out.Kind == connector.Approved {
		t.Errorf("Payout of another amount under the same reference = %+v", out)
	}
}

func payoutDeclined(t *testing.T, s Subject) {
	p, o := s.payouter(t), s.payoutOrder(t)
	s.Next(t, payment.KindPayout, Decline)
	if out := s.payoutSettled(t, o, p.Payout(context.Background(), o)); out.Kind != connector.Declined {
		t.Errorf("a declined payout = %+v", out)
	}
	if got := s.PaidOut(t, o.Reference()); got != 0 {
		t.Errorf("paid out %d by a payout that was declined", got)
	}
}

func payoutFaults(t *testing.T, s Subject) {
	p := s.payouter(t)
	for _, fault := range Faults {
		o := s.payoutOrder(t)
		s.Wire.Break(fault)
		if out := sound(t, "Payout", p.Payout(context.Background(), o)); !inDoubt(fault, out) {
			t.Errorf("%s: Payout = %+v, want Unknown", fault, out)
		}
		s.Wire.Break(Whole)
		if out := p.LookupPayout(context.Background(), o); out.Kind == connector.Declined || out.Kind == connector.NotSent {
			t.Errorf("%s: LookupPayout afterwards = %+v, and nobody has said no", fault, out)
		}
		if out := s.payoutSettled(t, o, p.Payout(context.Background(), o)); out.Kind != connector.Approved {
			t.Errorf("%s: Payout, repeated = %+v, want Approved in the end", fault, out)
		}
		if got := s.PaidOut(t, o.Reference()); got != o.Attempt.Amount.Minor {
			t.Errorf("%s: paid out %d, want %d once", fault, got, o.Attempt.Amount.Minor)
		}
	}
}

func payoutUnreachable(t *testing.T, s Subject) {
	s.payouter(t)
	p, o := s.Unreachable.(connector.Payouter), s.payoutOrder(t)
	if out := sound(t, "Payout", p.Payout(context.Background(), o)); out.Kind != connector.NotSent {
		t.Errorf("Payout with nobody listening = %+v, want NotSent", out)
	}
	if out := sound(t, "LookupPayout", p.LookupPayout(context.Background(), o)); out.Kind != connector.Unknown || out.NoRecord {
		t.Errorf("LookupPayout with nobody listening = %+v, want Unknown", out)
	}
	late, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	s.Wire.Break(Hang)
	if out := s.payouter(t).Payout(late, o); out.Kind != connector.Unknown {
		t.Errorf("Payout, out of time = %+v, want Unknown", out)
	}
}

// payoutBack: what a sale was paid with is said, the same each time, and is where a
// payout that names it goes.
func payoutBack(t *testing.T, s Subject) {
	p := s.payouter(t)
	if s.PaidTo == nil {
		t.Skip("no instruments")
	}
	first, out := s.sold(t)
	again := s.settled(t, first, connector.Outcome{Kind: connector.Unknown})
	_, second := s.sold(t)
	i := out.Instrument
	if i.Token == "" || again.Instrument != i || second.Instrument != i {
		t.Fatalf("one customer's sales by one method are paid with %+v, %+v when asked again, and %+v", i, again.Instrument, second.Instrument)
	}
	if s.Connector.Capabilities().Notifications {
		if news, err := s.reader(t).ReadNotification(s.Notification(t, first.Reference())); err != nil || news.Final && news.Instrument != i {
			t.Errorf("ReadNotification = %+v, %v, want %+v", news, err, i)
		}
	}
	o := s.payoutOrder(t)
	o.Method, o.Destination = first.Method, i.Token
	out = s.payoutSettled(t, o, sound(t, "Payout", p.Payout(context.Background(), o)))
	if out.Kind != connector.Approved || out.Instrument.Token != "" && out.Instrument != i {
		t.Fatalf("Payout to %s = %+v", i.Token, out)
	}
	if got := s.PaidTo(t, o.Reference()); got != i.Token {
		t.Errorf("paid to %q, want %q", got, i.Token)
	}
	stranger := s.payoutOrder(t)
	stranger.Method, stranger.Destination = first.Method, "nobody-s-"+i.Token[:8]
	if out := s.payoutSettled(t, stranger, sound(t, "Payout", p.Payout(context.Background(), stranger))); out.Kind != connector.Declined || !out.Unusable {
		t.Errorf("Payout to nobody's instrument = %+v, want it declined, since there is none", out)
	}
}

func lookupPayoutNothing(t *testing.T, s Subject) {
	out := sound(t, "LookupPayout", s.payouter(t).LookupPayout(context.Background(), s.payoutOrder(t)))
	if out.Kind != connector.Pending && out.Kind != connector.Unknown || !out.NoRecord {
		t.Errorf("LookupPayout = %+v, want no record of it and no word on it", out)
	}
}

func lookupPayoutFaults(t *testing.T, s Subject) {
	p, o := s.payouter(t), s.payoutOrder(t)
	s.payoutSettled(t, o, p.Payout(context.Background(), o))
	for _, fault := range Faults {
		s.Wire.Break(fault)
		if out := sound(t, "LookupPayout", p.LookupPayout(context.Background(), o)); out.Kind != connector.Unknown || out.NoRecord {
			t.Errorf("%s: LookupPayout = %+v, want Unknown", fault, out)
		}
	}
}

func (s Subject) statements(t *testing.T) connector.StatementReader {
	t.Helper()
	r, reads := s.Connector.(connector.StatementReader)
	if !reads {
		t.Skip("no statements")
	}
	return r
}

// statement: all that moved is in it, by its true amount, and nothing else.
func statement(t *testing.T, s Subject) {
	reader := s.statements(t)
	o, out := s.sold(t)
	declined := s.order(t)
	s.Next(t, payment.KindSale, Decline)
	s.settled(t, declined, s.begin(t, declined))
	lines, err := reader.Statement(context.Background(), time.Now())
	if err == nil && len(lines) == 0 { // midnight fell between
		lines, err = reader.Statement(context.Background(), time.Now().Add(-time.Minute))
	}
	if err != nil || len(lines) != 1 {
		t.Fatalf("Statement = %+v, %v, want the one sale that moved money", lines, err)
	}
	l := lines[0]
	if l.Kind != payment.KindSale || l.Reference != o.Reference() || l.ProviderID != out.ProviderID || l.Amount != o.Attempt.Amount || l.Fee.Minor < 0 || l.At.IsZero() {
		t.Errorf("Statement has %+v, want %s of %v", l, o.Reference(), o.Attempt.Amount)
	}
	if lines, err := reader.Statement(context.Background(), time.Now().AddDate(0, 0, -7)); err != nil || len(lines) != 0 {
		t.Errorf("Statement of a day on which nothing was = %+v, %v", lines, err)
	}
}

func statementFaults(t *testing.T, s Subject) {
	reader := s.statements(t)
	s.sold(t)
	for _, fault := range Faults {
		s.Wire.Break(fault)
		if lines, err := reader.Statement(context.Background(), time.Now()); err == nil || len(lines) != 0 {
			t.Errorf("%s: Statement = %+v, %v, want an error", fault, lines, err)
		}
	}
}

func (s Subject) reader(t *testing.T) connector.NotificationReader {
	t.Helper()
	reader, ok := s.Connector.(connector.NotificationReader)
	if !ok {
		t.Skip("no notifications")
	}
	return reader
}

func notification(t *testing.T, s Subject) {
	reader := s.reader(t)
	o, _ := s.sold(t)
	n := s.Notification(t, o.Reference())
	news, err := reader.ReadNotification(n)
	if err != nil || news.Reference != o.Reference() || news.Kind != connector.Approved || news.Mismatch != "" {
		t.Errorf("ReadNotification = %+v, %v, want %s approved", news, err, o.Reference())
	}
	if news.Amount.Currency != "" && news.Amount != o.Attempt.Amount {
		t.Errorf("ReadNotification names %v, want %v", news.Amount, o.Attempt.Amount)
	}
	if again, err := reader.ReadNotification(n); err != nil || again != news {
		t.Errorf("read again: %+v, %v, want the same", again, err)
	}
	n.Method = "GET"
	if news, err := reader.ReadNotification(n); !errors.Is(err, connector.ErrMalformed) {
		t.Errorf("ReadNotification by GET = %+v, %v, want ErrMalformed", news, err)
	}
}

func notificationForged(t *testing.T, s Subject) {
	reader := s.reader(t)
	o := s.order(t)
	s.Next(t, payment.KindSale, Forge)
	s.begin(t, o)
	if news, err := reader.ReadNotification(s.Notification(t, o.Reference())); !errors.Is(err, connector.ErrSignature) || news != (connector.News{}) {
		t.Errorf("ReadNotification of a forged one = %+v, %v, want ErrSignature", news, err)
	}
}

func notificationGarbled(t *testing.T, s Subject) {
	reader := s.reader(t)
	o, _ := s.sold(t)
	genuine := s.Notification(t, o.Reference())
	want, err := reader.ReadNotification(genuine)
	if err != nil {
		t.Fatal(err)
	}
	// Not every byte is signed, but none may change what is said.
	for i := range genuine.Body {
		changed := genuine
		changed.Body = slices.Clone(genuine.Body)
		changed.Body[i] ^= 1
		news, err := reader.ReadNotification(changed)
		if refusedAs(err) || err == nil && news == want {
			continue
		}
		t.Errorf("byte %d changed: %+v, %v", i, news, err)
	}
	bodies := []string{
		"", " ", "{", "{}", "[]", "null", "true", `""`, "=", "&", "%", "a=b", "a=%zz", "\x00", "\xff\xfe",
		`{"head":{},"body":{}}`, `{"head":null,"body":null}`, `{"head":[],"body":[]}`, `{"head":{"signature":""},"body":{}}`,
		strings.Repeat("[", 1<<20), strings.Repeat(`{"a":`, 1<<17), strings.Repeat("a=b&", 1<<18),
		string(genuine.Body[:len(genuine.Body)/2]), string(genuine.Body) + string(genuine.Body),
	}
	types := [][]string{genuine.Header["Content-Type"], nil, {""}, {"application/json"}, {"application/x-www-form-urlencoded"}, {"text/plain"}, {";;"}}
	for _, body := range bodies {
		for _, kind := range types {
			n := connector.Notification{Method: "POST", Header: map[string][]string{"Content-Type": kind}, Body: []byte(body)}
			if news, err := reader.ReadNotification(n); !refusedAs(err) || news != (connector.News{}) {
				t.Errorf("ReadNotification of %.40q as %q = %+v, %v, want a refusal", body, kind, news, err)
			}
		}
	}
	if news, err := reader.ReadNotification(connector.Notification{}); !errors.Is(err, connector.ErrMalformed) {
		t.Errorf("ReadNotification of nothing = %+v, %v, want ErrMalformed", news, err)
	}
}

// refusedAs says whether err is one of the two refusals of the port.
func refusedAs(err error) bool {
	return errors.Is(err, connector.ErrSignature) || errors.Is(err, connector.ErrMalformed)
}

var minter = id.Minter{Bits: rand.Uint64}

// order is a new sale of a hundred times the least amount.
func (s Subject) order(t *testing.T) connector.Order {
	t.Helper()
	c := s.Connector.Capabilities()
	return connector.Order{
		Attempt: payment.Attempt{
			ID:     id.Attempt(minter.Mint(time.Now(), 7)),
			Kind:   payment.KindSale,
			Status: payment.AttemptAsking,
			Amount: money.Amount{Minor: min(100*c.MinMinor, c.MaxMinor), Currency: c.Currencies[0]},
		},
		Method:      c.Methods[0],
		CustomerID:  "customer-1",
		Description: "Test order; not for use",
		NotifyURL:   s.NotifyURL,
	}
}

// refundOf is a new refund of a sale that was approved.
func refundOf(sale connector.Order, minor int64) connector.Order {
	refund := sale
	refund.Attempt.ID = id.Attempt(minter.Mint(time.Now(), 7))
	refund.Attempt.Kind = payment.KindRefund
	refund.Attempt.Amount.Minor = minor
	refund.Attempt.Of, refund.Attempt.OfProviderID = sale.Attempt.ID, sale.Attempt.ProviderID
	refund.Attempt.ProviderID = ""
	return refund
}

// settled gives the last word on a sale, by look-up if its answer was none.
func (s Subject) settled(t *testing.T, o connector.Order, out connector.Outcome) connector.Outcome {
	t.Helper()
	return settle(out, func() connector.Outcome { return s.lookup(t, context.Background(), o) })
}

func (s Subject) refundSettled(t *testing.T, o connector.Order, out connector.Outcome) connector.Outcome {
	t.Helper()
	return settle(out, func() connector.Outcome { return s.lookupRefund(t, context.Background(), o) })
}

func settle(out connector.Outcome, ask func() connector.Outcome) connector.Outcome {
	for end := time.Now().Add(patience); out.Kind == connector.Pending || out.Kind == connector.Unknown; out = ask() {
		if time.Now().After(end) {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	return out
}

func (s Subject) sale(t *testing.T, ctx context.Context, o connector.Order) connector.Outcome {
	t.Helper()
	return sound(t, "Sale", s.Connector.Sale(ctx, o))
}

func (s Subject) lookup(t *testing.T, ctx context.Context, o connector.Order) connector.Outcome {
	t.Helper()
	looker, ok := s.Connector.(connector.Looker)
	if !ok {
		t.Fatal("no look-up, and the provider's first word was not its last")
	}
	return sound(t, "Lookup", looker.Lookup(ctx, o))
}

func (s Subject) refund(t *testing.T, ctx context.Context, o connector.Order) connector.Outcome {
	t.Helper()
	return sound(t, "Refund", s.Connector.(connector.Refunder).Refund(ctx, o))
}

func (s Subject) lookupRefund(t *testing.T, ctx context.Context, o connector.Order) connector.Outcome {
	t.Helper()
	return sound(t, "LookupRefund", s.Connector.(connector.Refunder).LookupRefund(ctx, o))
}

// sound checks what holds for every outcome.
func sound(t *testing.T, call string, out connector.Outcome) connector.Outcome {
	t.Helper()
	bad := func(why string) { t.Errorf("%s = %+v: %s", call, out, why) }
	switch out.Kind {
	case connector.Approved:
		if out.Amount.Minor <= 0 || !out.Amount.Currency.Valid() || out.ProviderID == "" {
			bad("approved without an amount or the provider's id")
		}
	case connector.Declined, connector.NotSent:
		if out.Code == "" || out.Code == payment.CodeSuccess {
			bad("a refusal without a code")
		}
	case connector.Pending, connector.Unknown:
		if out.Code != "" {
			bad("a code without a refusal")
		}
	default:
		bad("no such kind")
	}
	if out.Kind != connector.Approved && out.Amount != (money.Amount{}) {
		bad("an amount that did not move")
	}
	if out.Unusable && out.Kind != connector.Declined {
		bad("a destination that takes no money, and yet no refusal")
	}
	if out.NoRecord && out.Kind != connector.Pending && out.Kind != connector.Unknown {
		bad("no record, and yet a last word")
	}
	if out.Redirect != nil {
		u, err := url.Parse(out.Redirect.URL)
		if out.Kind != connector.Pending || err != nil || !u.IsAbs() || out.Redirect.Method != "GET" && out.Redirect.Method != "POST" {
			bad("a redirect that nobody can follow")
		}
	}
	if i := out.Instrument; i != (connector.Instrument{}) && (i.Token == "" || len(i.Token) > 64 || !slices.Contains([]instrument.Kind{instrument.Card, instrument.Wallet, instrument.Bank}, i.Kind)) {
		bad("an instrument without a name, or of no kind")
	}
	for _, text := range []string{out.Instrument.Token, out.Instrument.Label, out.Instrument.Holder, out.ProviderID, out.ProviderCode, out.ProviderMessage, out.Alarm} {
		if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) || len(text) > 1000 {
			bad("a text that our rows do not take")
		}
	}
	return out
}
