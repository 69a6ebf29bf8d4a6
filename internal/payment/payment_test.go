package payment_test

import (
	"errors"
	"slices"
	"testing"

	"aorta/internal/id"
	"aorta/internal/payment"

	"pgregory.net/rapid"
)

var statuses = []payment.Status{
	payment.StatusNew, payment.StatusPending, payment.StatusAwaitingCustomer, payment.StatusAuthorized, payment.StatusCaptured,
	payment.StatusPartiallyRefunded, payment.StatusRefunded, payment.StatusDeclined, payment.StatusCancelled, payment.StatusChargedBack,
	payment.StatusRequested, payment.StatusSubmitting, payment.StatusUnknown, payment.StatusPaid, payment.StatusFailed,
	payment.StatusStepUp, payment.StatusHold, payment.StatusDeferred, payment.StatusPartiallyPaid,
}

// payouts are the statuses that payouts alone have.
var payouts = statuses[len(statuses)-9:]

func TestEveryStatusHasItsMoves(t *testing.T) {
	t.Parallel()
	moves := payment.Moves()
	for _, s := range statuses {
		if _, ok := moves[s]; !ok {
			t.Errorf("%s has no entry in the table of moves", s)
		}
		for _, to := range moves[s] {
			if !slices.Contains(statuses, to) {
				t.Errorf("%s may move to %q, which is no status", s, to)
			}
		}
	}
	if len(moves) != len(statuses) {
		t.Errorf("the table has %d entries, want one for each of %d statuses", len(moves), len(statuses))
	}
}

// finals is all that may still become of a payment on which nobody's move is
// left (payment-loop.md L15).
var finals = map[payment.Status][]payment.Status{
	payment.StatusCaptured:          {payment.StatusPartiallyRefunded, payment.StatusRefunded, payment.StatusChargedBack},
	payment.StatusPartiallyRefunded: {payment.StatusPartiallyRefunded, payment.StatusRefunded, payment.StatusChargedBack},
	payment.StatusRefunded:          {payment.StatusChargedBack},
	payment.StatusDeclined:          {payment.StatusCaptured},
	payment.StatusCancelled:         {},
	payment.StatusChargedBack:       {},
	payment.StatusPaid:              {},
	payment.StatusFailed:            {},
}

func TestFinals(t *testing.T) {
	t.Parallel()
	for _, s := range statuses {
		want, final := finals[s]
		if s.Final() != final {
			t.Errorf("%s.Final() = %t, want %t", s, s.Final(), final)
		}
		if final && !slices.Equal(payment.Moves()[s], want) {
			t.Errorf("%s may move to %v, want %v", s, payment.Moves()[s], want)
		}
		payout := slices.Contains(payouts, s)
		if !final && !payout && !slices.Contains(payment.Moves()[s], payment.StatusDeclined) {
			t.Errorf("%s cannot be declined: it would be open for ever", s)
		}
		if !final && payout && s != payment.StatusRequested && s != payment.StatusPartiallyPaid && !slices.Contains(payment.Moves()[s], payment.StatusFailed) {
			t.Errorf("%s cannot fail: its money would be reserved for ever", s)
		}
		for _, to := range payment.Moves()[s] {
			if slices.Contains(payouts, to) != payout && (to != payment.StatusCancelled || !payout) {
				t.Errorf("%s may become %s: a payment a payout, or the other way", s, to)
			}
			if to == payment.TypePurchase.First() || to == payment.TypePayout.First() {
				t.Errorf("%s may become %s again", s, to)
			}
		}
	}
	if payment.Status("lost").Final() {
		t.Error("what is no status is final")
	}
}

func TestMoveDoesWhatTheTableSaysAndNoMore(t *testing.T) {
	t.Parallel()
	for _, from := range append(statuses, "lost") {
		for _, to := range append(statuses, "lost") {
			p := payment.Payment{ID: id.Payment(id.Derive(3, "p")), Status: from, ChangedUS: 1}
			got, err := p.Move(to, 2)
			if slices.Contains(payment.Moves()[from], to) {
				if err != nil || got.Status != to || got.ChangedUS != 2 {
					t.Errorf("Move(%s → %s) = %s as of %d, %v", from, to, got.Status, got.ChangedUS, err)
				}
				continue
			}
			var refused *payment.MoveError
			if !errors.As(err, &refused) || *refused != (payment.MoveError{ID: p.ID, From: from, To: to}) {
				t.Errorf("Move(%s → %s) = %v, want a *MoveError of it", from, to, err)
			}
			if got != p {
				t.Errorf("Move(%s → %s) was refused and changed the payment to %+v", from, to, got)
			}
		}
	}
}

func TestRefundable(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		p    payment.Payment
		want int64
	}{
		{name: "not paid", p: payment.Payment{}, want: 0},
		{name: "paid", p: payment.Payment{CapturedMinor: 250}, want: 250},
		{name: "one refunded, one under way", p: payment.Payment{CapturedMinor: 250, RefundedMinor: 100, RefundingMinor: 30}, want: 120},
		{name: "all under way", p: payment.Payment{CapturedMinor: 250, RefundingMinor: 250}, want: 0},
		{name: "all refunded", p: payment.Payment{CapturedMinor: 250, RefundedMinor: 250}, want: 0},
	}
	for _, test := range tests {
		if got := test.p.Refundable(); got != test.want {
			t.Errorf("%s: Refundable() = %d, want %d", test.name, got, test.want)
		}
	}
}

// Pending and done refunds never exceed what was captured, whatever their order.
func TestRefundableIsNeverOverdrawn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := payment.Payment{CapturedMinor: rapid.Int64Range(0, 1000).Draw(t, "captured")}
		for _, want := range rapid.SliceOf(rapid.Int64Range(1, 400)).Draw(t, "refunds") {
			if want <= p.Refundable() {
				p.RefundingMinor += want
			}
			if done := rapid.Int64Range(0, p.RefundingMinor).Draw(t, "done"); rapid.Bool().Draw(t, "works") {
				p.RefundingMinor, p.RefundedMinor = p.RefundingMinor-done, p.RefundedMinor+done
			} else {
				p.RefundingMinor -= done
			}
			if left := p.Refundable(); left < 0 || left+p.RefundedMinor+p.RefundingMinor != p.CapturedMinor {
				t.Fatalf("%d is left of %+v", left, p)
			}
		}
	})
}

func TestOperationAndAttemptFinals(t *testing.T) {
	t.Parallel()
	operations := map[payment.OperationStatus]bool{
		payment.OperationProcessing: false, payment.OperationAwaitingCustomer: false, payment.OperationSuccess: true, payment.OperationDecline: true,
	}
	for s, want := range operations {
		if s.Final() != want {
			t.Errorf("operation %s is final: %t, want %t", s, s.Final(), want)
		}
	}
	attempts := map[payment.AttemptStatus]bool{
		payment.AttemptAsking: false, payment.AttemptAccepted: false, payment.AttemptUnknown: false,
		payment.AttemptApproved: true, payment.AttemptDeclined: true, payment.AttemptNotSent: true,
	}
	for s, want := range attempts {
		if s.Final() != want {
			t.Errorf("attempt %s is final: %t, want %t", s, s.Final(), want)
		}
	}
}

func TestPSPOwnsItsAccounts(t *testing.T) {
	t.Parallel()
	if got := (payment.Attempt{Connector: "paytm", Account: "demo"}).PSP(); got != "psp:paytm:demo" {
		t.Errorf("PSP() = %q, want psp:paytm:demo", got)
	}
}

func TestCodeMessage(t *testing.T) {
	t.Parallel()
	tests := []struct{ code, want string }{
		{code: payment.CodeSuccess, want: "Success"},
		{code: payment.CodeAutoDecline, want: "Auto decline"},
		{code: payment.CodeRefundTooMuch, want: "Refund amount more than init amount"},
		{code: "nobody's", want: "General decline"},
		{code: "", want: "General decline"},
	}
	for _, test := range tests {
		if got := payment.CodeMessage(test.code); got != test.want {
			t.Errorf("CodeMessage(%q) = %q, want %q", test.code, got, test.want)
		}
	}
}
