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
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/project"
	"aorta/internal/risk"
	"aorta/internal/store"
	"aorta/internal/store/storetest"
	"aorta/internal/verify"
)

// TestParallelDepositsNeverExceed: fifty deposits at once, of amounts that pass a limit
// several times over, some of which are captured or declined while the others begin:
// what is reserved and used never passes it, at any instant, and is what payments and
// transfers say (limits-and-risk.md section 6). On PostgreSQL two processes do it.
func TestParallelDepositsNeverExceed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		h := newRush(t, db)
		for n := range Count(t, 1000, 10) {
			if worst, passed := h.run(t, fmt.Sprint("c", n), 10_000); worst > 10_000 {
				t.Fatalf("repetition %d: %d counted at one time, the limit is 10000 (%d passed)", n, worst, passed)
			} else if passed == 0 {
				t.Fatalf("repetition %d: nothing passed", n)
			}
		}
		if worst, _ := h.run(t, "free", 0); worst <= 10_000 { // nobody limits this one: the test would see it
			t.Errorf("without a limit only %d counted at one time", worst)
		}
		r, err := verify.Run(t.Context(), db, verify.Options{})
		if err != nil || !r.OK {
			t.Errorf("verify: %v %q", err, r.Violations)
		}
	})
}

// rush is one or two processes over a store.
type rush struct {
	db    storetest.DB
	flows []*flow.Flows
	pr    project.Project
}

func newRush(t *testing.T, db storetest.DB) *rush {
	t.Helper()
	rules, err := risk.Load("rules.toml", []byte(rushRules))
	if err != nil {
		t.Fatal(err)
	}
	h := &rush{db: db, pr: project.Project{
		ID: 300, MerchantID: 3, Wallet: true, WalletOnly: true, LateSuccess: project.LateHold, LimitTime: time.Hour,
		Methods: []project.Method{{Code: "card", Connector: "mute", Account: "demo", Currency: "EUR", MinMinor: 1, MaxMinor: 1 << 40}},
	}}
	processes, lanes := 1, 1
	if _, shared := db.(*store.Postgres); shared {
		processes, lanes = 2, 2
	}
	for n := range processes {
		b, err := book.New(t.Context(), []book.Home{{Store: db, Lanes: lanes}}, book.Options{
			Now: time.Now, Random: &randomness{r: rand.NewChaCha8([32]byte{byte(n)})}, Epoch: int64(n + 1),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		h.flows = append(h.flows, flow.New(b, db, flow.Options{
			Projects:   func(int64) (project.Project, bool) { return h.pr, true },
			Connectors: func(string, string) (connector.Connector, bool) { return mute{}, true }, // nobody is asked: the test says what comes
			NotifyURL:  func(string, string) string { return "" }, Now: time.Now, Rules: func(int64) *risk.Rules { return rules },
		}))
	}
	return h
}

// rushRules hold up no payout but for what it takes from a wallet.
const rushRules = `profile = "generic"
[kyc.l0]
payouts = "agreed"
[payout]
turnover_permille = 0
[[rule]]
id = "V10"
params = { count = 1000 }
[[rule]]
id = "P04"
enabled = false
`

// mute is a provider that is never asked.
type mute struct{}

func (mute) Capabilities() connector.Capabilities {
	return connector.Capabilities{Methods: []string{"card"}, Refund: true, PartialRefund: true, SaleMovesMoney: true, PayoutBeyond: true}
}

func (mute) Sale(context.Context, connector.Order) connector.Outcome {
	return connector.Outcome{Kind: connector.Unknown}
}

func (mute) Payout(context.Context, connector.Order) connector.Outcome {
	return connector.Outcome{Kind: connector.Unknown}
}

func (mute) LookupPayout(context.Context, connector.Order) connector.Outcome {
	return connector.Outcome{Kind: connector.Unknown}
}

// randomness is the same in every run.
type randomness struct {
	mu sync.Mutex
	r  *rand.ChaCha8
}

func (s *randomness) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r.Read(b)
}

// run has fifty deposits of a customer begin at once, with a limit a day unless it is
// 0, and gives the most that counted at one time and how many were let in.
func (h *rush) run(t *testing.T, name string, most int64) (worst, passed int64) {
	t.Helper()
	ctx := t.Context()
	c := flow.CustomerChange{Project: h.pr, CustomerID: name, By: flow.Player(h.pr)}
	if most > 0 {
		if err := h.flows[0].SetLimit(ctx, c, customer.LimitDeposit, limit.Day, money.Amount{Minor: most, Currency: "EUR"}); err != nil {
			t.Fatal(err)
		}
	}
	dice := rand.New(rand.NewPCG(uint64(most), uint64(len(name))))
	var in atomic.Int64
	var wg sync.WaitGroup
	for n := range 50 {
		amount, fate, f := money.Amount{Minor: 1 + dice.Int64N(2_500), Currency: "EUR"}, dice.IntN(3), h.flows[n%len(h.flows)]
		wg.Go(func() {
			b, err := f.BeginSale(ctx, flow.SaleRequest{
				Project: h.pr, Method: h.pr.Methods[0], Door: "api", PaymentID: fmt.Sprint(name, "-", n), CustomerID: name, Amount: amount,
			})
			switch {
			case errors.As(err, new(*risk.Refusal)):
				return
			case err != nil:
				t.Errorf("deposit: %v", err)
				return
			}
			in.Add(1)
			out := connector.Outcome{Kind: connector.Approved, Amount: amount}
			switch fate {
			case 0:
				return // stays open
			case 1:
				out = connector.Outcome{Kind: connector.Declined}
			}
			if err := f.Apply(ctx, b.Attempt, out); err != nil {
				t.Errorf("apply: %v", err)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	k := limit.WindowID(h.flows[0].CustomerOf(h.pr, name), limit.Deposits, "EUR")
	for {
		ended := false
		select {
		case <-done:
			ended = true
		default:
		}
		worst = max(worst, h.counted(ctx, t, k))
		if ended || t.Failed() {
			<-done
			return worst, in.Load()
		}
	}
}

// counted is what counts now.
func (h *rush) counted(ctx context.Context, t *testing.T, k id.Window) int64 {
	t.Helper()
	w, _, err := h.db.Window(ctx, k)
	if err != nil {
		t.Fatal(err)
	}
	e, err := limit.DecodeEntries(w.Entries)
	if err != nil {
		t.Fatal(err)
	}
	return e.Sum(limit.Day.After(time.Now().UnixMicro(), nil))
}
