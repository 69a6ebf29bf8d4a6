package flow_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/risk"
	"aorta/internal/store/storetest"
)

// lookAt has a payout that waits looked at after a while.
func (h *house) lookAt(p id.Payment, after time.Duration) {
	h.t.Helper()
	h.act(p.Bucket(), func(page *book.Page) {
		page.Due.Get(p.Raw())
		page.Due.Put(due.At(p.Raw(), due.Payout, h.clock().Add(after).UnixMicro()))
	})
}

// restrain gives the customer's row a restriction.
func (h *house) restrain(to customer.Restriction) {
	h.t.Helper()
	k := h.flows.CustomerOf(h.pr, "c1")
	h.act(k.Bucket(), func(p *book.Page) {
		c, _ := p.Customers.Get(k)
		c.Restriction = to
		p.Customers.Put(c)
	})
}

// lastDecision is what a payout stands by.
func (h *house) lastDecision(p id.Payment) risk.Record {
	h.t.Helper()
	all := h.decisions(p)
	return all[len(all)-1]
}

// halfPaid begins a payout of which the card's 80.00 are paid, and the bank's 20.00 are not taken.
func (h *house) halfPaid() id.Payment {
	h.t.Helper()
	h.payIn("bank", 5000)
	h.payIn("card", 8000)
	h.desk.says["generic-bank"] = []connector.Outcome{{Kind: connector.NotSent}}
	p := h.cashOut("p", 10000).Payment.ID
	h.wantStatus(p, payment.StatusPartiallyPaid, "")
	return p
}

// What a recheck has stopped stays so when it is looked at again before another recheck is due.
func TestRecheckHoldsUntilTheNext(t *testing.T) {
	t.Parallel()
	h := checkedHouse(t, easy)
	p := h.halfPaid()
	h.restrain(customer.Frozen)
	h.mu.Lock()
	h.now = h.now.Add(16 * time.Minute)
	h.mu.Unlock()
	asked := len(h.desk.payouts)
	for range 3 {
		h.lookAt(p, 0)
		h.pass(4 * time.Minute)
	}
	if d := h.lastDecision(p); !d.Again || d.Decision.Action != risk.Hold {
		t.Errorf("the recheck says %s, want hold", d.Decision.Action)
	}
	if n := len(h.desk.payouts) - asked; n != 0 {
		t.Errorf("a part of a frozen customer was sent %d times", n)
	}
	h.desk.says["generic-bank"] = nil
	h.restrain(customer.Unrestricted)
	h.pass(time.Hour)
	h.wantStatus(p, payment.StatusPaid, "0")
	h.noDue()
}

// A payout that its recheck declines has the decision in its log.
func TestGivenBackKeepsTheDecision(t *testing.T) {
	t.Parallel()
	h := checkedHouse(t, easy)
	p := h.halfPaid()
	h.restrain(customer.Closed)
	h.lookAt(p, 16*time.Minute)
	h.pass(16 * time.Minute)
	h.wantStatus(p, payment.StatusPaid, "0")
	h.wantMoney(13001-8000, 0)
	if d := h.lastDecision(p); !d.Again || d.Decision.Action != risk.Decline {
		t.Errorf("the last decision is %s, again %t; want the recheck's decline", d.Decision.Action, d.Again)
	}
	h.noDue()
}

// A payout on hold that the checks then decline waits for nobody.
func TestDeclinedAfterHoldClosesItsCase(t *testing.T) {
	t.Parallel()
	h := checkedHouse(t, easy)
	h.payIn("bank", 800_000)
	b := h.cashOut("p", 600_000)
	h.wantCase(flow.CasePayoutReview, payment.CaseOpen, "")
	h.lookAt(b.Payment.ID, time.Hour)
	h.restrain(customer.Closed)
	if _, _, err := h.flows.ApprovePayout(t.Context(), b.Payment.ID, person("ann"), ""); err != nil {
		t.Fatal(err)
	}
	h.wantStatus(b.Payment.ID, payment.StatusFailed, payment.CodeGeneralDecline)
	h.wantMoney(800_001, 0)
	h.wantCase(flow.CasePayoutReview, payment.CaseClosed, "rejected")
	h.noDue()
}

// Where payouts do not wait for a route, one is not begun while there is none.
func TestNoPayoutWithoutARoute(t *testing.T) {
	t.Parallel()
	h := checkedHouse(t, strings.Replace(easy, "[payout]", "[payout]\ndefer = false", 1))
	h.payIn("bank", 50000)
	h.desk.says["generic-bank"] = []connector.Outcome{{Kind: connector.NotSent}}
	for n := range 3 {
		h.wantStatus(h.cashOut(fmt.Sprint("p", n), 1000).Payment.ID, payment.StatusFailed, payment.CodeProviderUnavailable)
	}
	if _, err := h.flows.BeginPayout(t.Context(), h.checkedRequest("q", 1000)); !errors.Is(err, flow.ErrNoRoute) {
		t.Errorf("while the account is down: %v, want ErrNoRoute", err)
	}
	h.wantMoney(50001, 0)
	if sum, _, _ := h.paidWindow(); sum != 0 {
		t.Errorf("%d counts as paid out", sum)
	}
	h.desk.says["generic-bank"] = nil
	h.pass(time.Hour)
	h.mu.Lock()
	h.now = h.now.Add(time.Hour)
	h.mu.Unlock()
	h.wantStatus(h.cashOut("q", 1000).Payment.ID, payment.StatusPaid, "0")
}

// Money that waits can be given back when its project has no rules any more; it cannot leave.
func TestGivenBackWithoutRules(t *testing.T) {
	t.Parallel()
	for _, cancel := range []bool{false, true} {
		h := checkedHouse(t, easy)
		h.payIn("bank", 800_000)
		b := h.cashOut("p", 600_000)
		h.rules = nil
		for name, err := range map[string]error{
			"approve": errOf(h.flows.ApprovePayout(t.Context(), b.Payment.ID, person("ann"), "")),
			"release": errOf(h.flows.ReleaseHold(t.Context(), b.Payment.ID, person("ann"), "")),
		} {
			if !errors.Is(err, flow.ErrState) {
				t.Errorf("%s: %v, want ErrState", name, err)
			}
		}
		want, err := payment.StatusFailed, error(nil)
		if cancel {
			want = payment.StatusCancelled
			_, _, err = h.flows.CancelPayout(t.Context(), h.pr, b.Payment.ID, operator.Automatic("project", "200"))
		} else {
			_, _, err = h.flows.RejectPayout(t.Context(), b.Payment.ID, person("ann"), "no")
		}
		if err != nil {
			t.Errorf("cancel %t: %v", cancel, err)
		}
		if got := h.payment(b.Payment.ID).Status; got != want {
			t.Errorf("it is %s, want %s", got, want)
		}
		h.wantMoney(800_001, 0)
	}
}

// A payout that has waited for long is tried for as long as any other.
func TestTriedSinceItWasSent(t *testing.T) {
	t.Parallel()
	h := checkedHouse(t, easy)
	h.payIn("bank", 5000)
	who := customer.Customer{ID: h.flows.CustomerOf(h.pr, "c1")}
	storetest.Verify(t, h.book, who, 0)
	b := h.cashOut("p", 3000)
	h.wantStatus(b.Payment.ID, payment.StatusStepUp, "")
	h.mu.Lock()
	h.now = h.now.Add(30 * time.Hour)
	h.mu.Unlock()
	storetest.Verify(t, h.book, who, 1)
	yes := connector.Outcome{Kind: connector.Approved}
	h.desk.says["generic-bank"] = []connector.Outcome{{Kind: connector.NotSent}, {Kind: connector.NotSent}, yes}
	h.lookAt(b.Payment.ID, 0)
	h.pass(time.Second)
	h.wantStatus(b.Payment.ID, payment.StatusDeferred, "")
	h.pass(time.Hour)
	h.wantStatus(b.Payment.ID, payment.StatusPaid, "0")
	h.noDue()
}
