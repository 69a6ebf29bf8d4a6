package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/customer"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/risk"
	"aorta/internal/store"
	"aorta/internal/store/storetest"
	"aorta/internal/verify"
)

// TestT24: a customer's payouts, refunds of their deposits, stakes, an exclusion and
// limits, all at once and through two processes on PostgreSQL, while the provider pays
// some and refuses others. At no instant is a wallet below zero; in the end what was
// paid in, and not refunded, paid out or staked, is there, and verify finds nothing.
func TestT24(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		out := Row{ID: "T24", Fault: "payouts against refunds, stakes, exclusion and limits of their customer, at once", Store: "sqlite", Planned: Count(t, 500, 12)}
		switch db.(type) {
		case *store.Postgres:
			out.Store = "postgres"
		case *book.Memory:
			out.Store = "memory"
		}
		h := newRush(t, db)
		if wrong, _ := h.race(t, "spoilt", 1, true); len(wrong) == 0 {
			t.Error("a wallet with money of nobody's is taken for right")
		}
		for n := 0; out.Injected < out.Planned && n < 5*out.Planned; n++ {
			wrong, moved := h.race(t, fmt.Sprint("r", n), uint64(n), false)
			if !moved && len(wrong) == 0 {
				continue // the provider refused all of it, or an exclusion and a limit were there first
			}
			out.Injected++
			out.Violations += len(wrong)
			if len(wrong) == 0 {
				out.Survived++
			}
			for _, w := range wrong {
				t.Errorf("customer %d: %s", n, w)
			}
		}
		r, err := verify.Run(t.Context(), db, verify.Options{})
		if err != nil || !r.OK {
			t.Errorf("verify: %v %q", err, r.Violations)
			out.Violations++
		}
		Report(t, out)
	})
}

// race has all of it happen to one customer, and says what is wrong, and whether anything
// moved. spoil: the wallet gets money that nobody counts.
func (h *rush) race(t *testing.T, name string, seed uint64, spoil bool) (wrong []string, moved bool) {
	t.Helper()
	ctx := t.Context()
	dice := rand.New(rand.NewPCG(seed, 24))
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		wrong = append(wrong, fmt.Sprintf(format, args...))
	}
	amount := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "EUR"} }
	paidIn := int64(0)
	var deposits []payment.Payment
	for n := range 3 {
		b, err := h.flows[0].BeginSale(ctx, flow.SaleRequest{
			Project: h.pr, Method: h.pr.Methods[0], Door: "api", PaymentID: fmt.Sprint(name, "-", n), CustomerID: name, Amount: amount(1_000),
		})
		if err == nil {
			err = h.flows[0].Apply(ctx, b.Attempt, connector.Outcome{Kind: connector.Approved, Amount: amount(1_000), ProviderID: b.Attempt.ID.String()})
		}
		if err != nil {
			t.Fatal(err)
		}
		paidIn += 1_000
		pay, _, err := h.db.Payment(ctx, b.Payment.ID)
		if err != nil {
			t.Fatal(err)
		}
		deposits = append(deposits, pay)
	}
	if spoil {
		m := flow.WalletMove{Project: h.pr, CustomerID: name, TxnID: name, Amount: amount(1)}
		if _, err := h.flows[0].Credit(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	var out, back, played atomic.Int64
	var wg sync.WaitGroup
	heard := func(f *flow.Flows, attempts []payment.Attempt, paid bool, sum *atomic.Int64) {
		for _, a := range attempts {
			o := connector.Outcome{Kind: connector.Declined}
			if paid {
				o = connector.Outcome{Kind: connector.Approved, Amount: a.Amount}
				sum.Add(a.Amount.Minor)
			}
			if err := f.Apply(ctx, a, o); err != nil {
				say("apply: %v", err)
			}
		}
	}
	for n := range 6 {
		f, minor, paid := h.flows[n%len(h.flows)], 100+dice.Int64N(1_500), dice.IntN(3) > 0
		wg.Go(func() {
			b, err := f.BeginPayout(ctx, flow.PayoutRequest{
				Project: h.pr, Route: flow.Route{Method: "card", Connector: "mute", Account: "demo"}, Door: "api", CustomerID: name, Amount: amount(minor),
			})
			switch {
			case errors.As(err, new(*risk.Refusal)), errors.Is(err, flow.ErrInsufficient):
			case err != nil:
				say("payout: %v", err)
			case b.Payment.Status == payment.StatusSubmitting:
				heard(f, h.attempts(ctx, t, b.Payment.ID), paid, &out)
			default: // it waits: nobody wants it any more
				if _, _, err := f.CancelPayout(ctx, h.pr, b.Payment.ID, flow.Player(h.pr)); err != nil {
					say("cancel: %v", err)
				}
			}
		})
	}
	for n := range 4 {
		f, minor, paid, of := h.flows[n%len(h.flows)], 100+dice.Int64N(800), dice.IntN(3) > 0, deposits[n%len(deposits)]
		wg.Go(func() {
			b, err := f.BeginRefund(ctx, flow.RefundRequest{Project: h.pr, Payment: of, Amount: amount(minor)})
			switch {
			case errors.Is(err, flow.ErrState):
			case err != nil:
				say("refund: %v", err)
			case !b.Attempt.ID.IsZero():
				heard(f, []payment.Attempt{b.Attempt}, paid, &back)
			}
		})
		wg.Go(func() {
			_, err := f.Stake(ctx, flow.WalletMove{
				Project: h.pr, CustomerID: name, TxnID: fmt.Sprint(name, "-s", n), RoundID: fmt.Sprint(name, "-r", n), Amount: amount(minor),
			})
			switch {
			case errors.As(err, new(*risk.Refusal)), errors.Is(err, flow.ErrInsufficient):
			case err != nil:
				say("stake: %v", err)
			default:
				played.Add(minor)
			}
		})
	}
	c := flow.CustomerChange{Project: h.pr, CustomerID: name, By: flow.Player(h.pr)}
	wg.Go(func() {
		if err := h.flows[0].SetLimit(ctx, c, customer.LimitStake, limit.Day, amount(1+dice.Int64N(1_000))); err != nil {
			say("limit: %v", err)
		}
	})
	if dice.IntN(2) == 0 {
		wg.Go(func() {
			if err := h.flows[len(h.flows)-1].Exclude(ctx, c, 6); err != nil {
				say("exclude: %v", err)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	owner := h.pr.Payee(name)
	balance := func(of ledger.Purpose) int64 {
		a, _, err := h.db.Account(ctx, ledger.AccountID(deposits[0].ID.Bucket(), owner, of, "EUR"))
		if err != nil {
			t.Fatal(err)
		}
		return a.Balance()
	}
	for over := false; !over; {
		select {
		case <-done:
			over = true
		case <-time.After(time.Millisecond):
		}
		if now := balance(ledger.Available); now < 0 {
			say("%d are available", now)
		}
	}
	if got, want := balance(ledger.Available), paidIn-out.Load()-back.Load()-played.Load(); got != want || balance(ledger.Reserved) != 0 {
		say("%d are available and %d reserved, want %d: %d paid in, %d paid out, %d refunded, %d staked",
			got, balance(ledger.Reserved), want, paidIn, out.Load(), back.Load(), played.Load())
	}
	return wrong, out.Load() > 0 && back.Load()+played.Load() > 0
}

// attempts are those of a payout, of which each part has one.
func (h *rush) attempts(ctx context.Context, t *testing.T, k id.Payment) []payment.Attempt {
	t.Helper()
	pay, _, err := h.db.Payment(ctx, k)
	var all []payment.Attempt
	for next := pay.LastOperation; err == nil && !next.IsZero(); {
		var o payment.Operation
		var a payment.Attempt
		if o, _, err = h.db.Operation(ctx, next); err == nil {
			a, _, err = h.db.Attempt(ctx, o.Attempt)
		}
		all, next = append(all, a), o.Prev
	}
	if err != nil {
		t.Error(err)
	}
	return all
}
