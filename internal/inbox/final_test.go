package inbox_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"aorta/internal/connector"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/payment"
)

// final is the PSP's own word on an attempt, changed as said.
func (h *house) final(b flow.Begun, changes ...string) string {
	return h.news(b.Attempt.ID, append([]string{"final=1", "event=evt-1", "payment=" + b.Payment.ID.String()}, changes...)...)
}

func TestFinalNewsIsAppliedWithoutALookUp(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		changes []string
		want    payment.Status
		minor   int64
		reason  string
	}{
		{name: "paid", want: payment.StatusCaptured, minor: 250, reason: "final: approved"},
		{name: "paid, the payment alone is named", changes: []string{"order="}, want: payment.StatusCaptured, minor: 250, reason: "final: approved"},
		{name: "paid, and says what was done", changes: []string{"operation=sale"}, want: payment.StatusCaptured, minor: 250, reason: "final: approved"},
		{name: "declined", changes: []string{"kind=declined", "code=20105"}, want: payment.StatusDeclined, reason: "final: declined"},
		{name: "not yet", changes: []string{"kind=pending"}, want: payment.StatusAwaitingCustomer, reason: "final: pending"},
	}
	for _, test := range tests {
		for _, taker := range []string{"who stored it", "another process"} {
			t.Run(test.name+", by "+taker, func(t *testing.T) {
				t.Parallel()
				h := newHouse(t)
				b := h.sale("order-1")
				h.post(h.final(b, test.changes...))
				if taker == "another process" {
					h.works() // lost; what another process reads again must be sealed as it was
					h.open()
					h.pass(time.Minute)
				}
				h.settle()
				h.wantStatus(b.Payment.ID, test.want)
				h.wantBalance("merchant:1", ledger.Payable, test.minor)
				h.wantRow(payment.InboxApplied, test.reason, 1)
				if n := h.psps["demo"].lookups(); n != 0 {
					t.Errorf("looked up %d times, want none", n)
				}
				h.wantNoNotice()
				h.wantCases()
			})
		}
	}
}

// What does not fit what we asked for changes nothing, however well it is signed.
func TestFinalNewsThatDoesNotFit(t *testing.T) {
	t.Parallel()
	for _, change := range []string{"minor=251", "currency=USD", "currency=", "operation=refund", "mid=M2", "payment=pay_00000000000000000000000000"} {
		t.Run(change, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			b := h.sale("order-1")
			h.post(h.final(b, change))
			h.settle()
			h.wantStatus(b.Payment.ID, payment.StatusAwaitingCustomer)
			h.wantBalance("merchant:1", ledger.Payable, 0)
			h.wantRow(payment.InboxApplied, "mismatch", 1)
			h.wantCases(flow.CaseMismatch)
		})
	}
}

// The PSP's own word of a refund in another amount says that it knows the refund:
// no later "no such operation" sends it again.
func TestFinalNewsOfAnotherAmountShowsThatItIsKnown(t *testing.T) {
	t.Parallel()
	for _, change := range []string{"minor=251", "currency=USD", "kind=declined minor=249", "mid=M2"} {
		t.Run(change, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			b := h.sale("order-1")
			h.post(h.final(b))
			h.settle()
			pay, _, err := h.home.Payment(t.Context(), b.Payment.ID)
			if err != nil {
				t.Fatal(err)
			}
			r, err := h.flows.BeginRefund(t.Context(), flow.RefundRequest{Project: h.pr, Payment: pay})
			if err != nil {
				t.Fatal(err)
			}
			h.settle()
			h.post(h.final(flow.Begun{Payment: pay, Attempt: r.Attempt}, append(strings.Fields(change), "event=evt-2", "operation=refund")...))
			h.settle()
			h.psps["demo"].says(connector.Outcome{Kind: connector.Unknown, NoRecord: true})
			h.pass(5 * time.Hour)
			a, _, err := h.home.Attempt(t.Context(), r.Attempt.ID)
			if err != nil || a.Status != payment.AttemptAccepted {
				t.Errorf("attempt is %s (%v), want accepted: the PSP has spoken of it", a.Status, err)
			}
			h.wantBalance("merchant:1", ledger.Reserved, 250)
			h.wantCases(flow.CaseConflict, flow.CaseMismatch)
		})
	}
}

// The nonce is taken once, whatever else is said the second time (S15).
func TestTheNonceOfFinalNewsIsTakenOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.sale("order-1")
	h.post(h.final(b))
	h.settle()
	for _, change := range []string{"salt=2", "kind=declined", "minor=999"} {
		h.post(h.final(b, change))
		h.settle()
	}
	h.wantRow(payment.InboxApplied, "final: approved", 1)
	h.wantStatus(b.Payment.ID, payment.StatusCaptured)
	h.wantBalance("merchant:1", ledger.Payable, 250)
	h.wantCases()
	h.post(h.final(b, "event=evt-2")) // another nonce, the same word
	h.settle()
	h.wantBalance("merchant:1", ledger.Payable, 250)
	h.wantCases()
	h.post(h.final(b, "event=evt-3", "kind=declined")) // and another word: a person must look
	h.settle()
	h.wantBalance("merchant:1", ledger.Payable, 250)
	h.wantCases(flow.CaseConflict)
}

// News that names the payment alone means its one open attempt at the account.
func TestFinalNewsOfAPaymentWithoutOneOpenAttempt(t *testing.T) {
	t.Parallel()
	t.Run("two", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		h.psps["demo"].lost = true
		b := h.sale("order-1")
		h.psps["demo"].lost = false
		h.pass(10 * time.Second) // asked again, under another reference
		h.wantStatus(b.Payment.ID, payment.StatusAwaitingCustomer)
		h.post(h.final(b, "order="))
		h.settle()
		h.wantRow(payment.InboxApplied, "2 open attempts", 1)
		h.wantStatus(b.Payment.ID, payment.StatusAwaitingCustomer)
		h.wantCases(flow.CaseUnmatched)
	})
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		b := h.sale("order-1")
		h.post(h.final(b, "kind=declined", "code=20100"))
		h.settle()
		h.post(h.final(b, "event=evt-2", "order=", "kind=declined")) // known
		h.settle()
		h.wantCases()
		h.post(h.final(b, "event=evt-3", "order="))
		h.settle()
		h.wantCases(flow.CaseUnmatched)
		h.wantStatus(b.Payment.ID, payment.StatusDeclined)
		h.wantBalance("merchant:1", ledger.Payable, 0)
	})
	t.Run("of another account", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		b := h.sale("order-1")
		form, _, _ := strings.Cut(h.final(b, "order=", "mid=M2"), ".")
		if w := h.send("POST", "/n/small/other", "", strings.NewReader(h.psps["other"].sign(form))); w.Code != 200 {
			t.Fatalf("POST answered %d, want 200", w.Code)
		}
		h.settle()
		h.wantCases(flow.CaseUnmatched)
		h.wantStatus(b.Payment.ID, payment.StatusAwaitingCustomer)
	})
	t.Run("nobody's", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		b := h.sale("order-1")
		h.post(h.final(b, "order=", "payment=pay_00000000000000000000000000"))
		h.settle()
		h.pass(5 * time.Minute)
		h.wantRow(payment.InboxDead, "names no attempt of ours", 6)
		h.wantCases()
		h.post(h.final(b, "event=evt-2", "order=", "payment="+id.Payment(b.Attempt.ID).String()[:10])) // and no id at all
		h.settle()
		h.wantCases()
	})
}

// A store that is away keeps what was said for good until it is back.
func TestFinalNewsWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.sale("order-1")
	h.post(h.final(b))
	work := h.works()
	h.away.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // as the process ends: the clock stands still here, and so do leases
	defer cancel()
	if len(work) != 1 || h.in.Handle(ctx, work[0]) == nil {
		t.Fatal("Handle() of a store that is away ended well")
	}
	h.away.Store(false)
	h.wantRow(payment.InboxStored, "", 0)
	h.pass(time.Minute)
	h.wantRow(payment.InboxApplied, "final: approved", 1)
	h.wantBalance("merchant:1", ledger.Payable, 250)
}
