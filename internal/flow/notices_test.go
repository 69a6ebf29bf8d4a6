package flow_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"aorta/internal/connector"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/payment"
)

// TestNewsOfACustomer: a payout under way is always among what a customer is shown,
// however many have ended since; of those the newest are, and none of another project.
func TestNewsOfACustomer(t *testing.T) {
	t.Parallel()
	h := checkedHouse(t, easy)
	if news, err := h.flows.NewsOf(t.Context(), h.pr, "nobody"); err != nil || len(news.Payouts) != 0 || len(news.Standing.Notes) != 0 {
		t.Errorf("of nobody: %+v, %v", news, err)
	}
	h.payIn("card", 10_000)
	h.desk.says = map[string][]connector.Outcome{"generic-card": {{Kind: connector.Pending}, {Kind: connector.Approved}}}
	open := h.cashOut("open", 100).Payment.ID
	var last id.Payment
	for n := range 30 {
		last = h.cashOut(fmt.Sprint("p", n), 101).Payment.ID
	}
	news, err := h.flows.NewsOf(t.Context(), h.pr, "c1")
	if err != nil || len(news.Payouts) != 20 || news.Payouts[0].Payment.ID != open || news.Payouts[0].Payment.Status != payment.StatusSubmitting || news.Payouts[1].Payment.ID != last {
		t.Fatalf("%d payouts, %v; want 20, the one under way first, then the newest", len(news.Payouts), err)
	}
	for _, p := range news.Payouts[1:] {
		if p.Payment.Status != payment.StatusPaid || p.Cancels {
			t.Errorf("payout %s is %s, can be cancelled: %t", p.Payment.ID, p.Payment.Status, p.Cancels)
		}
	}
	if len(news.Standing.Notes) != 30 { // one that was just sent has none
		t.Errorf("%d notes", len(news.Standing.Notes))
	}
	sister := h.pr
	sister.ID++
	if news, err := h.flows.NewsOf(t.Context(), sister, "c1"); err != nil || len(news.Payouts) != 0 {
		t.Errorf("another project shows %d payouts (%v)", len(news.Payouts), err)
	}
	h.rules = nil
	if _, err := h.flows.NewsOf(t.Context(), h.pr, "c1"); !errors.Is(err, flow.ErrNoRules) {
		t.Errorf("without rules: %v", err)
	}
}

// TestCancelByCustomer: a customer cancels their own payout, once, and nobody else's.
func TestCancelByCustomer(t *testing.T) {
	t.Parallel()
	h := checkedHouse(t, strings.Replace(easy, "turnover_permille = 0", "turnover_permille = 0\nmanual_above_minor = 1000", 1))
	h.payIn("card", 10_000)
	held := h.cashOut("held", 2_000).Payment.ID
	sister := h.pr
	sister.ID++
	for what, err := range map[string]error{
		"somebody else":     h.flows.CancelByCustomer(t.Context(), h.pr, "c2", held),
		"another project":   h.flows.CancelByCustomer(t.Context(), sister, "c1", held),
		"one there is not":  h.flows.CancelByCustomer(t.Context(), h.pr, "c1", id.Payment(h.book.Mint(held.Bucket()))),
		"one of no bucket":  h.flows.CancelByCustomer(t.Context(), h.pr, "c1", id.Payment{6: 200, 1: 1}),
		"what is no payout": h.flows.CancelByCustomer(t.Context(), h.pr, "c1", h.payIn("card", 100).ID),
	} {
		if !errors.Is(err, payment.ErrNoPayment) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if news, err := h.flows.NewsOf(t.Context(), h.pr, "c1"); err != nil || len(news.Payouts) != 1 || !news.Payouts[0].Cancels || news.Payouts[0].Review.Reason != "under_review" {
		t.Errorf("what waits is shown as %+v, %v", news.Payouts, err)
	}
	for range 2 {
		if err := h.flows.CancelByCustomer(t.Context(), h.pr, "c1", held); err != nil {
			t.Error(err)
		}
	}
	if p := h.payment(held); p.Status != payment.StatusCancelled {
		t.Errorf("it is %s", p.Status)
	}
	h.wantMoney(10_101, 0)
	paid := h.cashOut("paid", 500).Payment.ID
	if err := h.flows.CancelByCustomer(t.Context(), h.pr, "c1", paid); !errors.Is(err, flow.ErrState) {
		t.Errorf("what is paid: %v", err)
	}
}
