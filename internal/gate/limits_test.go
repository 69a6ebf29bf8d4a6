package gate_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"aorta/internal/customer"
	"aorta/internal/flow"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/risk"
)

// TestLimitsAsDeclines: what limits and restrictions refuse is taken and declined, and
// told by callback (ecommpay.md section 3.1).
func TestLimitsAsDeclines(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		before func(f *flow.Flows, c flow.CustomerChange) error
		code   string // empty: it goes on
	}{
		{"nothing", func(*flow.Flows, flow.CustomerChange) error { return nil }, ""},
		{"a limit above it", limited(250), ""},
		{"a limit below it", limited(249), payment.CodeRejectAmount},
		{"cool-off", func(f *flow.Flows, c flow.CustomerChange) error { return f.CoolOff(t.Context(), c, 24) }, payment.CodeRejectCustomer},
		{"exclusion", func(f *flow.Flows, c flow.CustomerChange) error { return f.Exclude(t.Context(), c, 0) }, payment.CodeRejectCustomer},
	} {
		h := newHouse(t)
		h.psp.page = true
		var err error
		if h.rules, err = risk.Load("rules.toml", []byte("profile = \"generic\"\n[rates]\nINR = \"80\"\n")); err != nil {
			t.Fatal(err)
		}
		shop := h.projects[200]
		shop.Wallet, shop.WalletOnly = true, true
		h.projects[200] = shop
		if err := tt.before(h.flows, flow.CustomerChange{Project: shop, CustomerID: "12345", By: flow.Player(shop)}); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		h.pass(time.Second)
		request := h.do(salePath, saleBody)
		h.settle()
		pay, err := h.flows.Find(t.Context(), shop, "gate-1")
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if tt.code == "" {
			if pay.Status != payment.StatusAwaitingCustomer {
				t.Errorf("%s: the payment is %s", tt.name, pay.Status)
			}
			continue
		}
		if len(h.callbacks) != 1 {
			t.Fatalf("%s: %d callbacks, want 1", tt.name, len(h.callbacks))
		}
		var said struct {
			Payment   struct{ ID, Status string }
			Operation struct {
				Type, Status, Code, Message string
				RequestID                   string `json:"request_id"`
			}
		}
		if err := json.Unmarshal(h.callbacks[0], &said); err != nil {
			t.Fatal(err)
		}
		if said.Payment.Status != "decline" || said.Operation.Type != "sale" || said.Operation.Status != "decline" || said.Operation.Code != tt.code ||
			!strings.HasPrefix(said.Operation.Message, "Rejected: ") || said.Operation.RequestID != request {
			t.Errorf("%s: the callback says %s", tt.name, h.callbacks[0])
		}
		if w := h.post(salePath, signed(saleBody)); w.Code != 400 || !strings.Contains(w.Body.String(), `"code":"3041"`) {
			t.Errorf("%s, again: %d %s", tt.name, w.Code, w.Body)
		}
	}
}

func limited(minor int64) func(f *flow.Flows, c flow.CustomerChange) error {
	return func(f *flow.Flows, c flow.CustomerChange) error {
		return f.SetLimit(context.Background(), c, customer.LimitDeposit, limit.Day, money.Amount{Minor: minor, Currency: "INR"})
	}
}
