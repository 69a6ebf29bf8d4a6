package paypage_test

import (
	"strings"
	"testing"

	"aorta/internal/flow"
	"aorta/internal/payment"
	"aorta/internal/risk"
)

// TestRestrictedCustomer: who pauses is led to the result of a payment that is
// declined, once, and never to a provider; the merchant is told.
func TestRestrictedCustomer(t *testing.T) {
	t.Parallel()
	pr := shop()
	pr.Wallet, pr.WalletOnly, pr.PageAttempts = true, true, 5
	h := newHouse(t, pr, nil)
	var err error
	if h.rules, err = risk.Load("rules.toml", []byte("profile = \"generic\"\n")); err != nil {
		t.Fatal(err)
	}
	if err := h.flows.CoolOff(t.Context(), flow.CustomerChange{Project: pr, CustomerID: "c1", By: flow.Player(pr)}, 24); err != nil {
		t.Fatal(err)
	}
	path := h.pay(signed(t, params()))
	p, err := h.flows.Find(t.Context(), pr, "ord-1")
	if err != nil || p.Status != payment.StatusDeclined || p.Code != payment.CodeRejectCustomer {
		t.Errorf("the payment is %s %q (%v)", p.Status, p.Code, err)
	}
	if a := h.get(path); a.status != 200 || strings.Contains(a.body, pspPage) || strings.Contains(a.body, "retry-form") {
		t.Errorf("the session shows %d %s", a.status, a.body)
	}
	if n := len(deliveries(h)); n != 1 {
		t.Errorf("%d callbacks, want 1", n)
	}
}
