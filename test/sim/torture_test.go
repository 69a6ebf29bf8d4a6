package sim_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/test/sim"
	"aorta/test/torture"
)

// row is a line of the torture programme that the simulator runs: faults forced
// in so many runs as bring as many injections as planned, judged as any run is.
type row struct {
	id, fault   string
	full, quick int // injections
	force       map[sim.Fault]float64
	with        func(*sim.Plan)
	injected    func(sim.Result) int
	judge       func(sim.Result) []string // besides what every run is judged by
}

func forced(faults ...sim.Fault) func(sim.Result) int {
	return func(r sim.Result) int {
		n := 0
		for _, f := range faults {
			n += r.Injected[f]
		}
		return n
	}
}

// most of the rows that torture.md runs by deterministic simulation; T11 is below.
var rows = []row{
	{
		id: "T07", fault: "PSP time-out, success later", full: 1000, quick: 60,
		force: map[sim.Fault]float64{sim.LostAnswer: 0.6}, injected: forced(sim.LostAnswer),
	},
	{
		id: "T08", fault: "PSP time-out, it never happened or is heard of late", full: 1000, quick: 60,
		force: map[sim.Fault]float64{sim.LostRequest: 0.4, sim.HearsLate: 0.2}, injected: forced(sim.LostRequest, sim.HearsLate),
	},
	{
		id: "T09", fault: "success after our final decline", full: 500, quick: 30,
		force:    map[sim.Fault]float64{sim.Late: 0.7, sim.MindChanged: 0.3},
		injected: func(r sim.Result) int { return r.Late },
	},
	{
		id: "T15", fault: "clocks that jump", full: 200, quick: 20,
		force: map[sim.Fault]float64{sim.ClockJumps: 1, sim.CrashIdle: 0.01, sim.MerchantFails: 0.2}, injected: forced(sim.ClockJumps),
	},
	{
		id: "T17", fault: "poisoned callback", full: 50, quick: 10,
		force: map[sim.Fault]float64{sim.Poison: 0.15}, injected: forced(sim.Poison),
	},
	{
		id: "T18", fault: "retry storm: merchant down 6 h, PSP down 10 min, under load", full: 20, quick: 1,
		force:    map[sim.Fault]float64{sim.MerchantDown: 1, sim.PSPDown: 1},
		with:     load,
		injected: func(r sim.Result) int { return min(r.Injected[sim.MerchantDown], r.Injected[sim.PSPDown]) },
		judge:    judgeStorm,
	},
	{
		id: "T22", fault: "payout asked for twice: at once, again later, under another key", full: 500, quick: 60,
		force: map[sim.Fault]float64{
			sim.DoubleSubmit: 0.8, sim.LostAnswer: 0.2, sim.CrashBeforeCommit: 0.01, sim.CrashAfterCommit: 0.02, sim.CrashDuringCall: 0.1, sim.OperatorReplays: 0.5,
			sim.NewsTwice: 0.2,
		},
		injected: forced(sim.DoubleSubmit),
	},
	{
		id: "T23", fault: "refund unknown at the PSP for days", full: 20, quick: 5,
		force: map[sim.Fault]float64{sim.UnknownDays: 0.5}, injected: forced(sim.UnknownDays),
	},
	{
		id: "T22", fault: "payout of a licensed house asked for twice, approved, held, cancelled and rejected, sent in parts", full: 500, quick: 40,
		force: map[sim.Fault]float64{
			sim.DoubleSubmit: 0.8, sim.LostAnswer: 0.2, sim.Refused: 0.2, sim.CrashBeforeCommit: 0.01, sim.CrashAfterCommit: 0.02, sim.CrashDuringCall: 0.1,
			sim.OperatorReplays: 0.3, sim.NewsTwice: 0.2,
		},
		with: licensed, injected: forced(sim.DoubleSubmit),
	},
	{
		id: "T23", fault: "part of a licensed house's payout unknown at the PSP for days: it stays reserved", full: 20, quick: 5,
		force: map[sim.Fault]float64{sim.PayoutUnknown: 0.7}, with: licensed, injected: forced(sim.PayoutUnknown),
	},
	{
		id: "T24", fault: "payout against refund, exclusion and limit change of its customer, at once", full: 2000, quick: 60,
		force: map[sim.Fault]float64{
			sim.Conflict: 0.05, sim.LostDone: 0.05, sim.LostDead: 0.05, sim.CrashBeforeCommit: 0.02, sim.CrashAfterCommit: 0.02, sim.LostAnswer: 0.1, sim.Late: 0.1,
		},
		with: rush, injected: func(r sim.Result) int { return r.Races },
	},
	{
		// That an operator must look is a case after a day.
		id: "T23", fault: "payout unknown at the PSP for days: it stays reserved", full: 20, quick: 5,
		force: map[sim.Fault]float64{sim.PayoutUnknown: 0.7}, injected: forced(sim.PayoutUnknown),
	},
}

func TestTorture(t *testing.T) {
	t.Parallel()
	for _, r := range rows {
		t.Run(r.id+" "+r.fault, func(t *testing.T) {
			t.Parallel()
			planned := torture.Count(t, r.full, r.quick)
			out := torture.Row{ID: r.id, Fault: r.fault, Store: "memory", Planned: planned}
			for seed := uint64(1); out.Injected < planned && seed < uint64(planned)*50; seed++ {
				plan := sim.PlanOf(seed, slices.Collect(func(yield func(sim.Fault) bool) {
					for f := range r.force {
						if !yield(f) {
							return
						}
					}
				}))
				plan.Force = r.force
				if r.with != nil {
					r.with(&plan)
				}
				got := sim.Run(plan)
				wrong := got.Broken
				if r.judge != nil {
					wrong = append(wrong, r.judge(got)...)
				}
				n := r.injected(got)
				out.Injected += n
				if len(wrong) == 0 {
					out.Survived += n
				}
				out.Violations += len(wrong)
				for _, w := range wrong[:min(len(wrong), 5)] {
					t.Errorf("%s, rates %v: %s", plan, r.force, w)
				}
			}
			torture.Report(t, out)
		})
	}
}

// licensed has the project have rules.
func licensed(p *sim.Plan) { p.Licensed = true }

// rush has all that a licensed house's customers do happen within minutes.
func rush(p *sim.Plan) { p.Licensed, p.Rush = true, true }

// load is a hundred payments in nine hours, so that an outage of six meets
// callbacks of every age, and no limit that refuses most of them.
func load(p *sim.Plan) {
	p.Payments = nil
	for n := range 100 {
		p.Payments = append(p.Payments, n)
	}
	p.Spread, p.Outage, p.Unruled = 9*time.Hour, 6*time.Hour, true
}

// judgeStorm: no callback is tried more often than its schedule says, and the
// end of an outage brings no more calls than twice what there was before it
// ended (merchant) or in the busiest ordinary time (PSP).
func judgeStorm(r sim.Result) []string {
	var wrong []string
	o := r.Outbound
	if most := triesIn(6 * time.Hour); o.MostTries > most {
		wrong = append(wrong, fmt.Sprintf("a callback was tried %d times in 6 h, its schedule has %d", o.MostTries, most))
	}
	const window = 10 * time.Minute
	up := o.MerchantDown[1]
	before, after := busiest(o.Merchant, up-time.Hour, up, window), busiest(o.Merchant, up, up+time.Hour, window)
	if after > 2*before+4 {
		wrong = append(wrong, fmt.Sprintf("%d callbacks in %s after the merchant came back, %d before", after, window, before))
	}
	down := o.PSPDown
	ordinary := max(busiest(o.PSP, 0, down[0], window), busiest(o.PSP, down[1]+time.Hour, 9*time.Hour, window))
	storm := busiest(o.PSP, down[0], down[1]+time.Hour, window)
	if storm > 2*ordinary+4 {
		wrong = append(wrong, fmt.Sprintf("%d calls to the PSP in %s around its outage, %d at most otherwise", storm, window, ordinary))
	}
	return wrong
}

// triesIn is how many tries a callback's schedule has in so long a time
// (ecommpay.md 4.1): six 10 s apart, then 7 + 1.12^(n-4) units of 10 s.
func triesIn(d time.Duration) int {
	n := 1
	for at := time.Duration(0); ; n++ {
		pause := 10 * time.Second
		if n > 6 {
			factor := 1.0
			for range n - 4 {
				factor *= 1.12
			}
			pause = time.Duration((7 + factor) * float64(10*time.Second))
		}
		if at += pause; at > d {
			return n
		}
	}
}

// busiest is the greatest number of calls in a window that begins between from
// and to, and ends in it.
func busiest(calls []time.Duration, from, to, window time.Duration) int {
	most := 0
	for at := from; at+window <= to; at += time.Minute {
		n := 0
		for _, c := range calls {
			if c >= at && c < at+window {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// TestOutOfOrder is T11: five pieces of news of a sale and its refund, heard in
// each of their 120 orders. What cannot be acted upon yet is refused, and said
// again in the end as providers and merchants do; the final state is the same
// for all orders, and what contradicts it is a case.
func TestOutOfOrder(t *testing.T) {
	t.Parallel()
	times := torture.Count(t, 20, 2)
	orders := permutations([]int{0, 1, 2, 3, 4})
	out := torture.Row{ID: "T11", Fault: "five events in each of their orders", Store: "memory", Planned: len(orders) * times}
	var mu sync.Mutex
	var wg sync.WaitGroup
	work := make(chan []int)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for order := range work {
				for n := range times {
					err := outOfOrder(t.Context(), order, uint64(n))
					mu.Lock()
					out.Injected++
					if err == nil {
						out.Survived++
					} else {
						out.Violations++
						t.Errorf("order %v, %d: %v", order, n, err)
					}
					mu.Unlock()
				}
			}
		})
	}
	for _, order := range orders {
		work <- order
	}
	close(work)
	wg.Wait()
	torture.Report(t, out)
}

func permutations(of []int) [][]int {
	if len(of) == 0 {
		return [][]int{nil}
	}
	var out [][]int
	for n, first := range of {
		for _, rest := range permutations(slices.Delete(slices.Clone(of), n, n+1)) {
			out = append(out, append([]int{first}, rest...))
		}
	}
	return out
}

// quiet is a provider that is never asked: all news of it is told.
type quiet struct{}

func (quiet) Capabilities() connector.Capabilities {
	return connector.Capabilities{Refund: true, PartialRefund: true, SaleMovesMoney: true}
}

func (quiet) Sale(context.Context, connector.Order) connector.Outcome {
	return connector.Outcome{Kind: connector.Unknown}
}

// The news of TestOutOfOrder.
const (
	accepted = iota
	declined
	captured // it takes its no back, or never said it
	refundAsked
	refunded
)

func outOfOrder(ctx context.Context, order []int, seed uint64) error {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m := book.NewMemory()
	clock := func() time.Time { return now }
	b, err := book.New(ctx, []book.Home{{Store: m, Keep: seed%2 == 0}}, book.Options{Now: clock, Random: rand.NewChaCha8([32]byte{byte(seed)}), Epoch: 1})
	if err != nil {
		return err
	}
	defer b.Close()
	pr := project.Project{ID: 200, MerchantID: 1, LimitTime: time.Hour, Wallet: seed%4 < 2, LateSuccess: project.LateCredit}
	f := flow.New(b, m, flow.Options{
		Projects: func(int64) (project.Project, bool) { return pr, true }, Connectors: func(string, string) (connector.Connector, bool) { return quiet{}, true },
		NotifyURL: func(string, string) string { return "" }, Now: clock,
	})
	amount := money.Amount{Minor: 100 + int64(seed), Currency: "INR"}
	begun, err := f.BeginSale(ctx, flow.SaleRequest{
		Project: pr, Method: project.Method{Code: "m", Connector: "quiet", Account: "one", Currency: "INR"}, PaymentID: "order", CustomerID: "c", Amount: amount,
	})
	if err != nil {
		return err
	}
	var refund payment.Attempt
	hear := func(news int) error {
		now = now.Add(time.Second)
		switch news {
		case accepted:
			return f.Apply(ctx, begun.Attempt, connector.Outcome{Kind: connector.Pending})
		case declined:
			return f.Apply(ctx, begun.Attempt, connector.Outcome{Kind: connector.Declined})
		case captured:
			return f.Apply(ctx, begun.Attempt, connector.Outcome{Kind: connector.Approved, Amount: amount})
		case refundAsked:
			r, err := f.BeginRefund(ctx, flow.RefundRequest{Project: pr, Payment: begun.Payment, MerchantRefundID: "back"})
			if errors.Is(err, flow.ErrState) || errors.Is(err, flow.ErrRefundIDKnown) {
				return nil
			}
			refund = r.Attempt
			return err
		}
		if refund.ID.IsZero() {
			return nil // it names nothing that is known here
		}
		return f.Apply(ctx, refund, connector.Outcome{Kind: connector.Approved, Amount: amount})
	}
	for _, news := range append(slices.Clone(order), refundAsked, refunded) {
		// What a request names is read when it comes.
		if begun.Payment, _, err = m.Payment(ctx, begun.Payment.ID); err != nil {
			return err
		}
		if err := hear(news); err != nil {
			return fmt.Errorf("news %d: %w", news, err)
		}
	}
	return afterAll(ctx, m, begun.Payment.ID, amount, slices.Index(order, declined) > slices.Index(order, captured))
}

// afterAll says what is wrong with the end of TestOutOfOrder.
func afterAll(ctx context.Context, m *book.Memory, p id.Payment, amount money.Amount, contradicted bool) error {
	pay, _, err := m.Payment(ctx, p)
	if err != nil {
		return err
	}
	if pay.Status != payment.StatusRefunded || pay.CapturedMinor != amount.Minor || pay.RefundedMinor != amount.Minor || pay.RefundingMinor != 0 {
		return fmt.Errorf("the payment ends as %+v, want all of it refunded", pay)
	}
	accounts, err := m.ScanAccounts(ctx, id.Account{}, 100)
	if err != nil {
		return err
	}
	for _, a := range accounts {
		if a.Balance() != 0 {
			return fmt.Errorf("%s %s ends at %d, want 0", a.Owner, a.Purpose, a.Balance())
		}
	}
	if !slices.ContainsFunc(accounts, func(a ledger.Account) bool { return a.Purpose == ledger.Clearing }) {
		return errors.New("no money has moved")
	}
	cases, err := m.Cases(ctx, id.Case{}, 100)
	if err != nil {
		return err
	}
	want := flow.CaseLateSuccess
	if contradicted {
		want = flow.CaseConflict
	}
	if len(cases) != 1 || cases[0].Kind != want {
		return fmt.Errorf("there are the cases %v, want one of %s", cases, want)
	}
	return nil
}
