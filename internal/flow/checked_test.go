package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/instrument"
	"aorta/internal/ledger"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/risk"
	"aorta/internal/store/storetest"
	"aorta/internal/verify"
)

// cashier is a PSP that approves every sale and refund, names what is paid with, and
// pays out as the test says, by method; without a word it pays.
type cashier struct {
	mu      sync.Mutex
	says    map[string][]connector.Outcome // by method, one after another; the last one repeats
	lookup  map[string][]connector.Outcome
	methods map[id.Attempt]string
	payouts []connector.Order
	noCards bool // it sends cards no more than they have paid in
}

func (c *cashier) Capabilities() connector.Capabilities {
	return connector.Capabilities{Refund: true, PartialRefund: true, PayoutBeyond: !c.noCards, LookupSchedule: []time.Duration{30 * time.Second, 2 * time.Minute}}
}

func (c *cashier) token(o connector.Order) connector.Instrument {
	kind := instrument.Kind(o.Method[strings.LastIndexByte(o.Method, '-')+1:])
	return connector.Instrument{Token: string(kind) + "-of-" + o.CustomerID, Kind: kind, Label: "••••"}
}

func (c *cashier) Sale(_ context.Context, o connector.Order) connector.Outcome {
	return connector.Outcome{Kind: connector.Approved, ProviderID: "1", Amount: o.Attempt.Amount, Instrument: c.token(o)}
}

func (c *cashier) Refund(_ context.Context, o connector.Order) connector.Outcome {
	return connector.Outcome{Kind: connector.Approved, ProviderID: "2", Amount: o.Attempt.Amount}
}

func (c *cashier) LookupRefund(_ context.Context, o connector.Order) connector.Outcome {
	return c.Refund(context.Background(), o)
}

func (c *cashier) Payout(_ context.Context, o connector.Order) connector.Outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.payouts = append(c.payouts, o)
	if c.methods == nil {
		c.methods = map[id.Attempt]string{}
	}
	c.methods[o.Attempt.ID] = o.Method
	return next(c.says, o.Method, o)
}

func (c *cashier) LookupPayout(_ context.Context, o connector.Order) connector.Outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	return next(c.lookup, c.methods[o.Attempt.ID], o)
}

func next(said map[string][]connector.Outcome, method string, o connector.Order) connector.Outcome {
	list := said[method]
	if len(list) == 0 {
		return connector.Outcome{Kind: connector.Approved, ProviderID: "3", Amount: o.Attempt.Amount}
	}
	if len(list) > 1 {
		said[method] = list[1:]
	}
	if list[0].Kind == connector.Approved && list[0].Amount.Currency == "" {
		list[0].Amount, list[0].ProviderID = o.Attempt.Amount, "3"
	}
	return list[0]
}

// easy are rules that let all pass but what a test adds.
const easy = `
profile = "generic"
[payout]
turnover_permille = 0
[[rule]]
id = "P04"
enabled = false
[[rule]]
id = "V10"
enabled = false
`

const owner = "customer:1:c1"

// checkedHouse is a house whose project has rules, with a verified customer.
func checkedHouse(t *testing.T, rules string) *house {
	t.Helper()
	return checkedHouseOf(t, 1, rules)
}

func checkedHouseOf(t *testing.T, homes int, rules string) *house {
	t.Helper()
	r, err := risk.Load("rules.toml", []byte(rules))
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, homes, func(p *project.Project) {
		p.Wallet, p.Methods = true, nil
		for _, m := range []string{"generic-card", "generic-wallet", "generic-bank"} {
			p.Methods = append(p.Methods, project.Method{Code: m, Connector: "generic", Account: m, Currency: "EUR"})
		}
	})
	h.rules, h.desk = r, &cashier{says: map[string][]connector.Outcome{}, lookup: map[string][]connector.Outcome{}}
	t.Cleanup(func() { // whatever a test does, what is stored then holds
		if homes > 1 {
			return // verify looks into one
		}
		report, err := verify.Run(context.Background(), h.homes[0], verify.Options{})
		if err != nil || !report.OK {
			t.Errorf("verify: %v, %q", err, report.Violations)
		}
	})
	h.give(1) // the customer's row
	storetest.Verify(h.t, h.book, customer.Customer{ID: h.flows.CustomerOf(h.pr, "c1")}, 3)
	return h
}

func eur(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "EUR"} }

// payIn pays in by a method.
func (h *house) payIn(method string, minor int64) payment.Payment {
	h.t.Helper()
	h.tick()
	at := slices.IndexFunc(h.pr.Methods, func(m project.Method) bool { return m.Code == "generic-"+method })
	b, err := h.flows.BeginSale(h.t.Context(), flow.SaleRequest{
		Project: h.pr, Method: h.pr.Methods[at], Door: "gate", PaymentID: fmt.Sprint("d", h.clock().UnixMicro()), CustomerID: "c1", Amount: eur(minor),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.settle()
	return h.payment(b.Payment.ID)
}

func (h *house) giveBack(pay payment.Payment, minor int64) {
	h.t.Helper()
	h.tick()
	if _, err := h.flows.BeginRefund(h.t.Context(), flow.RefundRequest{Project: h.pr, Payment: pay, Amount: eur(minor)}); err != nil {
		h.t.Fatal(err)
	}
	h.settle()
}

// give credits winnings.
func (h *house) give(minor int64) {
	h.t.Helper()
	h.tick()
	m := flow.WalletMove{Project: h.pr, CustomerID: "c1", TxnID: fmt.Sprint("w", h.clock().UnixMicro()), Amount: eur(minor)}
	if _, err := h.flows.Credit(h.t.Context(), m); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) act(bucket id.Bucket, do func(*book.Page)) {
	h.t.Helper()
	_, err := book.Do(h.t.Context(), h.book, book.Act[struct{}]{Name: "test", Bucket: bucket, Decide: func(p *book.Page) (struct{}, error) {
		do(p)
		return struct{}{}, nil
	}})
	if err != nil {
		h.t.Fatal(err)
	}
}

// play stakes, and wins it all back.
func (h *house) play(minor int64) {
	h.t.Helper()
	h.tick()
	m := flow.WalletMove{Project: h.pr, CustomerID: "c1", TxnID: fmt.Sprint("s", h.clock().UnixMicro()), RoundID: fmt.Sprint("r", h.clock().UnixMicro()), Amount: eur(minor)}
	if _, err := h.flows.Stake(h.t.Context(), m); err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.flows.Win(h.t.Context(), m); err != nil {
		h.t.Fatal(err)
	}
}

// paidWindow is the sum of what counts as paid out, and what was paid ever.
func (h *house) paidWindow() (sum, ever, reserved int64) {
	h.t.Helper()
	k := h.flows.CustomerOf(h.pr, "c1")
	h.act(k.Bucket(), func(p *book.Page) {
		w, _ := p.Windows.Get(limit.WindowID(k, limit.Payouts, "EUR"))
		e, err := limit.DecodeEntries(w.Entries)
		if err != nil {
			h.t.Error(err)
		}
		sum, ever, reserved = e.Sum(0), w.EverMinor, e.Reserved()
	})
	return sum, ever, reserved
}

func (h *house) sources() map[string]limit.Source {
	h.t.Helper()
	k := h.flows.CustomerOf(h.pr, "c1")
	out := map[string]limit.Source{}
	h.act(k.Bucket(), func(p *book.Page) {
		row, _ := p.Windows.Get(limit.WindowID(k, limit.Deposits, "EUR"))
		list, err := limit.DecodeSources(row.Sources)
		if err != nil {
			h.t.Error(err)
		}
		for _, s := range list {
			out[s.Method] = s
		}
	})
	return out
}

func (h *house) checkedRequest(name string, minor int64) flow.PayoutRequest {
	return flow.PayoutRequest{Project: h.pr, Door: "api", PayoutID: name, CustomerID: "c1", Amount: eur(minor)}
}

// cashOut asks for a payout, and has all done that it leads to at once.
func (h *house) cashOut(name string, minor int64) flow.Begun {
	h.t.Helper()
	h.tick()
	b, err := h.flows.BeginPayout(h.t.Context(), h.checkedRequest(name, minor))
	if err != nil {
		h.t.Fatalf("BeginPayout(%s): %v", name, err)
	}
	h.settle()
	select {
	case <-b.Asked:
	default:
		h.t.Errorf("payout %s: whoever waits for the answers waits for ever", name)
	}
	return b
}

// rereads is how often a batch has stopped to load rows that no hint had named.
func (h *house) rereads() float64 {
	h.t.Helper()
	families, err := h.metrics[1].Gather()
	if err != nil {
		h.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "aorta_book_load_rounds_total" {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	h.t.Fatal("loads are not counted")
	return 0
}

// Whoever waits for a payout waits for each trip to the database: what its acts read is
// loaded in one, also where nothing is known any more of what the act before has written.
func TestPayoutsAreReadAtOnce(t *testing.T) {
	t.Parallel()
	h := checkedHouse(t, easy)
	h.payIn("card", 10_000)
	for _, name := range []string{"first", "second"} {
		h.pass(time.Minute)
		before := h.rereads()
		b, err := h.flows.BeginPayout(h.t.Context(), h.checkedRequest(name, 100))
		if err != nil {
			t.Fatal(err)
		}
		if n := h.rereads() - before; n != 0 {
			t.Errorf("the %s payout was begun with %v loads after its first, want none", name, n)
		}
		h.pass(time.Minute)
		before = h.rereads()
		h.settle()
		if n := h.rereads() - before; n != 0 {
			t.Errorf("the %s payout was paid with %v loads after its acts' first, want none", name, n)
		}
		if p := h.payment(b.Payment.ID); p.Status != payment.StatusPaid {
			t.Errorf("the %s payout is %s", name, p.Status)
		}
	}
}

func (h *house) wantMoney(available, reserved int64) {
	h.t.Helper()
	get := func(p ledger.Purpose) (minor int64) {
		k := ledger.AccountID(h.flows.CustomerOf(h.pr, "c1").Bucket(), owner, p, "EUR")
		a, _, _ := h.read.Account(h.t.Context(), k)
		return a.Balance()
	}
	if a, r := get(ledger.Available), get(ledger.Reserved); a != available || r != reserved {
		h.t.Errorf("available %d, reserved %d; want %d and %d", a, r, available, reserved)
	}
}

// sent is what the PSP was asked to pay, "method amount → destination".
func (h *house) sent() []string {
	var out []string
	for _, o := range h.desk.payouts {
		out = append(out, fmt.Sprintf("%s %d → %s", o.Method, o.Attempt.Amount.Minor, o.Destination))
	}
	slices.Sort(out)
	return out
}

func (h *house) review(p id.Payment) (r payment.Review) {
	h.t.Helper()
	h.act(p.Bucket(), func(page *book.Page) { r, _ = page.Reviews.Get(p.Raw()) })
	return r
}

// decisions are what a payout's review has recorded; each must be what the rules make of its facts.
func (h *house) decisions(p id.Payment) []risk.Record {
	h.t.Helper()
	var log []risk.Record
	if err := json.Unmarshal([]byte(h.review(p).Log), &log); err != nil {
		h.t.Fatal(err)
	}
	for _, r := range log {
		if err := h.rules.Replay(r); err != nil {
			h.t.Errorf("replay of %s: %v", r.Encode(), err)
		}
	}
	return log
}

func person(name string, roles ...operator.Role) operator.Actor {
	r, err := operator.RolesOf(append(roles, operator.AllRoles()...)...)
	if err != nil {
		panic(err)
	}
	return operator.Actor{Name: name, Roles: r}
}

// The worked example of limits-and-risk.md 4.6.
func TestPayoutGoesBackTheWayItCame(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		minor int64
		want  []string
	}{
		{minor: 20000, want: []string{"generic-bank 7000 → bank-of-c1", "generic-card 8000 → card-of-c1", "generic-wallet 5000 → wallet-of-c1"}},
		{minor: 6000, want: []string{"generic-card 6000 → card-of-c1"}},
	} {
		h := checkedHouse(t, easy)
		// The bank account is the customer's own, as proved by a deposit that went back.
		h.giveBack(h.payIn("bank", 1000), 1000)
		h.giveBack(h.payIn("card", 10000), 2000)
		h.payIn("wallet", 5000)
		h.give(10000)
		b := h.cashOut("p", test.minor)
		h.wantStatus(b.Payment.ID, payment.StatusPaid, "0")
		if got := h.sent(); !slices.Equal(got, test.want) {
			t.Errorf("a payout of %d goes %q, want %q", test.minor, got, test.want)
		}
		h.wantMoney(23001-test.minor, 0)
		s := h.sources()
		if c := s["generic-card"]; c.Captured != 10000 || c.Refunded != 2000 || c.Refunding != 0 || len(c.Open) != 0 || c.Paid != min(test.minor, 8000) {
			t.Errorf("the card's source is %+v", c)
		}
		if sum, ever, reserved := h.paidWindow(); sum != test.minor || ever != test.minor || reserved != 0 {
			t.Errorf("the window has %d, ever %d, reserved %d", sum, ever, reserved)
		}
		h.decisions(b.Payment.ID)
		h.noDue()
	}
}

// Example of limits-and-risk.md 4.5: deposits 100.00 and 50.00, stakes 120.00: 30.00 are missing.
func TestTurnoverHoldsAPayout(t *testing.T) {
	t.Parallel()
	h := checkedHouse(t, strings.Replace(easy, "turnover_permille = 0", "turnover_permille = 1000", 1))
	h.payIn("card", 10000)
	h.payIn("card", 5000)
	h.play(12000)
	b := h.cashOut("p", 3000)
	h.wantStatus(b.Payment.ID, payment.StatusHold, "")
	d := h.decisions(b.Payment.ID)[0].Decision
	if d.Missing == nil || *d.Missing != eur(3000) || h.review(b.Payment.ID).Reason != "under_review" {
		t.Errorf("missing %v, reason %s; want 30.00", d.Missing, h.review(b.Payment.ID).Reason)
	}
	h.wantMoney(12001, 3000)
	if len(h.desk.payouts) != 0 {
		t.Error("a payout that is held was sent")
	}
	if got := h.cases(); !slices.Contains(got, flow.CasePayoutReview) {
		t.Errorf("cases %v, want one of the review", got)
	}
	if _, _, err := h.flows.ReleaseHold(t.Context(), b.Payment.ID, person("ann"), "seen"); err != nil {
		t.Fatal(err)
	}
	h.settle()
	h.wantStatus(b.Payment.ID, payment.StatusPaid, "0")
	k := h.flows.CustomerOf(h.pr, "c1")
	h.act(k.Bucket(), func(p *book.Page) {
		in, _ := p.Windows.Get(limit.WindowID(k, limit.Deposits, "EUR"))
		play, _ := p.Windows.Get(limit.WindowID(k, limit.Play, "EUR"))
		if in.SinceMinor != 0 || play.StakedMinor != 0 {
			t.Errorf("after a paid payout %d and %d count since it, want none", in.SinceMinor, play.StakedMinor)
		}
	})
	want := []event.Kind{event.PayoutOnHold, event.PayoutPending, event.PayoutPaid}
	if got := h.history(b.Payment.ID); !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

// A payout that needs verification keeps its money reserved, and goes on by itself when
// the level is reached.
func TestStepUpGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	h := checkedHouse(t, easy)
	h.payIn("card", 10000)
	storetest.Verify(h.t, h.book, customer.Customer{ID: h.flows.CustomerOf(h.pr, "c1")}, 0)
	b := h.cashOut("p", 4000)
	h.wantStatus(b.Payment.ID, payment.StatusStepUp, "")
	if r := b.Review; r.RequiredLevel != 1 || r.Reason != "verification_required" {
		t.Errorf("it needs level %d since %s", r.RequiredLevel, r.Reason)
	}
	h.wantMoney(6001, 4000)
	verified := func() {
		h.act(b.Payment.ID.Bucket(), func(p *book.Page) {
			p.Due.Get(b.Payment.ID.Raw())
			p.Due.Put(due.At(b.Payment.ID.Raw(), due.Payout, p.NowUS()))
		})
		h.pass(time.Second)
	}
	verified() // that was a false alarm
	h.wantStatus(b.Payment.ID, payment.StatusStepUp, "")
	storetest.Verify(h.t, h.book, customer.Customer{ID: h.flows.CustomerOf(h.pr, "c1")}, 1)
	verified()
	h.wantStatus(b.Payment.ID, payment.StatusPaid, "0")
	h.wantMoney(6001, 0)
	h.noDue()
	if n := len(h.decisions(b.Payment.ID)); n != 3 {
		t.Errorf("%d decisions are recorded, want 3", n)
	}
}

// What the rules decline is not begun: nothing is reserved, the name is free, and the
// decision is kept for those who look into it.
func TestDeclinedPayoutLeavesNothing(t *testing.T) {
	t.Parallel()
	h := checkedHouse(t, easy+"\n")
	h.payIn("card", 10000)
	_, err := h.flows.BeginPayout(t.Context(), h.checkedRequest("p", 10002))
	var no *risk.Refusal
	if !errors.As(err, &no) || no.Code != risk.CodeInsufficientFunds {
		t.Fatalf("a payout of more than there is: %v", err)
	}
	h.wantMoney(10001, 0)
	if sum, _, _ := h.paidWindow(); sum != 0 {
		t.Errorf("%d counts as paid out", sum)
	}
	b := h.cashOut("p", 10001)
	h.wantStatus(b.Payment.ID, payment.StatusPaid, "0")
	k := h.flows.CustomerOf(h.pr, "c1")
	h.act(k.Bucket(), func(p *book.Page) {
		c, _ := p.Customers.Get(k)
		if c.LastNote.IsZero() {
			t.Error("the decision is not kept")
		}
	})
}

// Who has never paid in and asks for a payout has no money, whatever else the checks would
// have wanted to know first.
func TestPayoutOfAStranger(t *testing.T) {
	t.Parallel()
	h := checkedHouse(t, easy)
	r := h.checkedRequest("p", 100)
	r.CustomerID = "c2"
	r.Route = flow.Route{Method: "generic-wallet", Connector: "generic", Account: "generic-wallet"}
	if _, err := h.flows.BeginPayout(t.Context(), r); !errors.Is(err, flow.ErrInsufficient) {
		t.Errorf("a payout of a stranger: %v, want ErrInsufficient", err)
	}
	k := h.flows.CustomerOf(h.pr, "c2")
	h.act(k.Bucket(), func(p *book.Page) {
		if c, known := p.Customers.Get(k); known {
			t.Errorf("the stranger is known now: %+v", c)
		}
	})
}

// Four eyes: nobody twice, not the last editor, and none that is no person.
func TestApprovals(t *testing.T) {
	t.Parallel()
	ann, bob, eve := person("ann"), person("bob"), person("eve")
	begin := func(t *testing.T, minor int64) (*house, id.Payment) {
		h := checkedHouse(t, easy)
		h.payIn("bank", 3_000_000)
		b := h.cashOut("p", minor)
		return h, b.Payment.ID
	}
	approve := func(h *house, p id.Payment, who operator.Actor, want error) {
		h.t.Helper()
		h.tick()
		if _, _, err := h.flows.ApprovePayout(h.t.Context(), p, who, ""); !errors.Is(err, want) {
			h.t.Errorf("%s approves: %v, want %v", who.Name, err, want)
		}
		h.settle()
	}
	t.Run("below", func(t *testing.T) {
		t.Parallel()
		h, p := begin(t, 500_000)
		h.wantStatus(p, payment.StatusPaid, "0")
	})
	t.Run("one", func(t *testing.T) {
		t.Parallel()
		h, p := begin(t, 500_001)
		h.wantStatus(p, payment.StatusHold, "")
		approve(h, p, operator.Actor{Name: operator.Bootstrap}, flow.ErrNoPerson)
		approve(h, p, ann, nil)
		h.wantStatus(p, payment.StatusPaid, "0")
		approve(h, p, bob, flow.ErrState)
	})
	t.Run("two", func(t *testing.T) {
		t.Parallel()
		h, p := begin(t, 2_500_001)
		approve(h, p, ann, nil)
		h.wantStatus(p, payment.StatusHold, "")
		approve(h, p, ann, flow.ErrSamePerson)
		if len(h.desk.payouts) != 0 {
			t.Fatal("sent with one approval of two")
		}
		approve(h, p, bob, nil)
		h.wantStatus(p, payment.StatusPaid, "0")
	})
	t.Run("the last editor", func(t *testing.T) {
		t.Parallel()
		h, p := begin(t, 2_500_001)
		approve(h, p, eve, nil)
		if _, _, err := h.flows.HoldPayout(t.Context(), p, eve, "odd"); err != nil {
			t.Fatal(err)
		}
		approve(h, p, eve, flow.ErrSamePerson)
		approve(h, p, ann, nil)
		approve(h, p, bob, nil)
		h.wantStatus(p, payment.StatusHold, "") // by hand, whoever approves
		if _, _, err := h.flows.ReleaseHold(t.Context(), p, bob, "fine"); err != nil {
			t.Fatal(err)
		}
		h.settle()
		h.wantStatus(p, payment.StatusHold, "") // bob has edited it, so he has not approved it any more
		approve(h, p, bob, flow.ErrSamePerson)
		approve(h, p, eve, nil) // who is not the last editor now
		h.wantStatus(p, payment.StatusPaid, "0")
	})
}

func TestRejectAndCancel(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		end    func(h *house, p id.Payment) error
		status payment.Status
		code   string
		event  event.Kind
	}{
		{"rejected", func(h *house, p id.Payment) error {
			_, _, err := h.flows.RejectPayout(h.t.Context(), p, person("ann"), "no")
			return err
		}, payment.StatusFailed, payment.CodeHouseDecline, event.PayoutFailed},
		{"cancelled", func(h *house, p id.Payment) error {
			_, _, err := h.flows.CancelPayout(h.t.Context(), h.pr, p, operator.Automatic("project", "200"))
			return err
		}, payment.StatusCancelled, payment.CodeCancelled, event.PayoutCancelled},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := checkedHouse(t, easy)
			h.payIn("bank", 400_000)
			h.payIn("card", 400_000)
			b := h.cashOut("p", 600_000)
			if err := test.end(h, b.Payment.ID); err != nil {
				t.Fatal(err)
			}
			h.wantStatus(b.Payment.ID, test.status, test.code)
			h.wantMoney(800_001, 0)
			for m, s := range h.sources() {
				if len(s.Open) != 0 || s.Paid != 0 {
					t.Errorf("%s: %+v", m, s)
				}
			}
			if sum, ever, _ := h.paidWindow(); sum != 0 || ever != 0 {
				t.Errorf("%d counts, ever %d", sum, ever)
			}
			if got := h.history(b.Payment.ID); !slices.Equal(got, []event.Kind{event.PayoutOnHold, test.event}) {
				t.Errorf("events %v", got)
			}
			if err := test.end(h, b.Payment.ID); !errors.Is(err, flow.ErrState) {
				t.Errorf("again: %v, want ErrState", err)
			}
			if len(h.desk.payouts) != 0 {
				t.Error("it was sent")
			}
			h.noDue()
		})
	}
	t.Run("where the rules take none", func(t *testing.T) {
		t.Parallel()
		h := checkedHouse(t, strings.Replace(easy, "[payout]", "[payout]\ncancel = false", 1))
		h.payIn("bank", 800_000)
		b := h.cashOut("p", 600_000)
		if _, _, err := h.flows.CancelPayout(t.Context(), h.pr, b.Payment.ID, operator.Actor{}); !errors.Is(err, flow.ErrNotAllowed) {
			t.Errorf("cancel: %v, want ErrNotAllowed", err)
		}
	})
	t.Run("once it was sent", func(t *testing.T) {
		t.Parallel()
		h := checkedHouse(t, easy)
		h.payIn("bank", 8000)
		h.desk.says["generic-bank"] = []connector.Outcome{{Kind: connector.Pending}}
		h.desk.lookup["generic-bank"] = []connector.Outcome{{Kind: connector.Pending}}
		b := h.cashOut("p", 6000)
		for name, err := range map[string]error{
			"cancel": errOf(h.flows.CancelPayout(t.Context(), h.pr, b.Payment.ID, operator.Actor{})),
			"hold":   errOf(h.flows.HoldPayout(t.Context(), b.Payment.ID, person("ann"), "")),
			"reject": errOf(h.flows.RejectPayout(t.Context(), b.Payment.ID, person("ann"), "")),
		} {
			if !errors.Is(err, flow.ErrState) {
				t.Errorf("%s: %v, want ErrState", name, err)
			}
		}
	})
}

func errOf(_ payment.Payment, _ payment.Review, err error) error { return err }

// What becomes of a payout in parts, by what the PSPs say of each.
func TestParts(t *testing.T) {
	t.Parallel()
	no, accepted := connector.Outcome{Kind: connector.Declined, Code: payment.CodeExternalLimit}, connector.Outcome{Kind: connector.Pending}
	lost, never := connector.Outcome{Kind: connector.Unknown}, connector.Outcome{Kind: connector.NotSent}
	yes := connector.Outcome{Kind: connector.Approved}
	gone := connector.Outcome{Kind: connector.Declined, Code: payment.CodeExternalDecline, Unusable: true}
	const first, second = "generic-card", "generic-bank" // 80.00 and 20.00
	for _, test := range []struct {
		name                 string
		first, second        []connector.Outcome
		looks                []connector.Outcome // of the second
		wait                 time.Duration
		status               payment.Status
		code                 string
		paid, back, reserved int64
		events               []event.Kind
		asked                int
	}{
		{name: "both paid", status: payment.StatusPaid, code: "0", paid: 10000, asked: 2, events: []event.Kind{event.PayoutPending, event.PayoutPartly, event.PayoutPaid}},
		{name: "one refused", second: []connector.Outcome{no}, status: payment.StatusPaid, code: "0", paid: 8000, back: 2000, asked: 2, events: []event.Kind{event.PayoutPending, event.PayoutPartly, event.PayoutPaid}},
		{name: "the first refused", first: []connector.Outcome{no}, status: payment.StatusPaid, code: "0", paid: 2000, back: 8000, asked: 2, events: []event.Kind{event.PayoutPending, event.PayoutPaid}},
		{name: "both refused", first: []connector.Outcome{no}, second: []connector.Outcome{gone}, status: payment.StatusFailed, code: payment.CodeExternalDecline, back: 10000, asked: 2, events: []event.Kind{event.PayoutPending, event.PayoutFailed}},
		{name: "one open", second: []connector.Outcome{accepted}, looks: []connector.Outcome{accepted}, wait: time.Hour, status: payment.StatusPartiallyPaid, paid: 8000, reserved: 2000, asked: 2, events: []event.Kind{event.PayoutPending, event.PayoutPartly}},
		{name: "one unknown", first: []connector.Outcome{no}, second: []connector.Outcome{lost}, looks: []connector.Outcome{lost}, wait: time.Hour, status: payment.StatusUnknown, back: 8000, reserved: 2000, asked: 2, events: []event.Kind{event.PayoutPending, event.PayoutUnknown}},
		{name: "one unknown, and found", second: []connector.Outcome{lost}, looks: []connector.Outcome{accepted, yes}, wait: time.Hour, status: payment.StatusPaid, code: "0", paid: 10000, asked: 2, events: []event.Kind{event.PayoutPending, event.PayoutPartly, event.PayoutPaid}},
		{name: "one not taken, then taken", second: []connector.Outcome{never, yes}, wait: time.Hour, status: payment.StatusPaid, code: "0", paid: 10000, asked: 3, events: []event.Kind{event.PayoutPending, event.PayoutPartly, event.PayoutPaid}},
		{name: "none taken, then both", first: []connector.Outcome{never, yes}, second: []connector.Outcome{never, yes}, wait: time.Hour, status: payment.StatusPaid, code: "0", paid: 10000, asked: 4, events: []event.Kind{event.PayoutPending, event.PayoutDeferred, event.PayoutPending, event.PayoutPartly, event.PayoutPaid}},
		{name: "one never taken", second: []connector.Outcome{never}, wait: 25 * time.Hour, status: payment.StatusPaid, code: "0", paid: 8000, back: 2000, asked: 9, events: []event.Kind{event.PayoutPending, event.PayoutPartly, event.PayoutPaid}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := checkedHouse(t, easy)
			h.payIn("bank", 5000)
			h.payIn("card", 8000)
			h.desk.says[first], h.desk.says[second], h.desk.lookup[second] = test.first, test.second, test.looks
			b := h.cashOut("p", 10000)
			h.pass(test.wait)
			h.wantStatus(b.Payment.ID, test.status, test.code)
			pay := h.payment(b.Payment.ID)
			if pay.CapturedMinor != test.paid || pay.RefundedMinor != test.back {
				t.Errorf("paid %d, back %d; want %d and %d", pay.CapturedMinor, pay.RefundedMinor, test.paid, test.back)
			}
			h.wantMoney(13001-10000+test.back, test.reserved)
			if got := h.history(b.Payment.ID); !slices.Equal(got, test.events) {
				t.Errorf("events %v, want %v", got, test.events)
			}
			if len(h.desk.payouts) != test.asked {
				t.Errorf("the PSP was asked %d times: %q, want %d", len(h.desk.payouts), h.sent(), test.asked)
			}
			seen := map[id.Attempt]bool{}
			for _, o := range h.desk.payouts {
				if seen[o.Attempt.ID] {
					t.Errorf("%s was sent twice", o.Attempt.ID)
				}
				seen[o.Attempt.ID] = true
			}
			wantSum, wantReserved := test.paid, int64(0)
			if !test.status.Final() {
				wantSum, wantReserved = 10000, 10000
			} else {
				h.noDue()
			}
			if sum, _, reserved := h.paidWindow(); sum != wantSum || reserved != wantReserved {
				t.Errorf("the window has %d, of it reserved %d; want %d and %d", sum, reserved, wantSum, wantReserved)
			}
			if h.sources()[second].Unusable != (len(test.second) > 0 && test.second[0].Unusable) {
				t.Errorf("the bank account is %+v", h.sources()[second])
			}
		})
	}
}

// An account that took no payout for a while is not asked: payouts wait in the queue,
// with a time, and leave it when it is back.
func TestDeferredUntilTheRouteIsBack(t *testing.T) {
	t.Parallel()
	h := checkedHouse(t, easy)
	h.payIn("bank", 50000)
	h.desk.says["generic-bank"] = []connector.Outcome{{Kind: connector.NotSent}}
	for n := range 3 {
		h.wantStatus(h.cashOut(fmt.Sprint("p", n), 1000).Payment.ID, payment.StatusDeferred, "")
	}
	asked := len(h.desk.payouts)
	b := h.cashOut("q", 1000)
	h.wantStatus(b.Payment.ID, payment.StatusDeferred, "")
	if len(h.desk.payouts) != asked || b.Review.NextUS <= h.clock().UnixMicro() {
		t.Errorf("asked %d times more; again at %v", len(h.desk.payouts)-asked, time.UnixMicro(b.Review.NextUS))
	}
	h.wantMoney(50001-4000, 4000)
	h.desk.says["generic-bank"] = nil
	h.pass(time.Hour)
	h.wantStatus(b.Payment.ID, payment.StatusPaid, "0")
	if got := h.history(b.Payment.ID); !slices.Equal(got, []event.Kind{event.PayoutDeferred, event.PayoutPending, event.PayoutPaid}) {
		t.Errorf("events %v", got)
	}
	h.wantMoney(50001-4000, 0)
	h.noDue()
}

// Instruments that cannot be paid: their share goes to a verified bank account, once a
// person has looked.
func TestShareOfAnUnusableInstrument(t *testing.T) {
	t.Parallel()
	h := checkedHouse(t, easy)
	h.payIn("bank", 1000)
	h.payIn("card", 8000)
	h.desk.says["generic-card"] = []connector.Outcome{{Kind: connector.Declined, Code: payment.CodeExternalDecline, Unusable: true}}
	h.wantStatus(h.cashOut("p", 3000).Payment.ID, payment.StatusFailed, payment.CodeExternalDecline)
	b := h.cashOut("q", 3000)
	h.wantStatus(b.Payment.ID, payment.StatusHold, "")
	if _, _, err := h.flows.ReleaseHold(t.Context(), b.Payment.ID, person("ann"), ""); err != nil {
		t.Fatal(err)
	}
	h.settle()
	h.wantStatus(b.Payment.ID, payment.StatusPaid, "0")
	if got := h.sent(); !slices.Contains(got, "generic-bank 3000 → bank-of-c1") {
		t.Errorf("sent %q", got)
	}
}

// 50 at once never pay out more than there is, nor than a limit lets pass.
func TestManyCheckedPayoutsAtOnce(t *testing.T) {
	t.Parallel()
	for name, rules := range map[string]string{"the balance": easy, "a limit": strings.Replace(easy, "[payout]", "[payout]\nday_max_minor = 30000", 1)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := checkedHouse(t, rules)
			have := int64(100_000)
			if name == "the balance" {
				have = 30_000
			}
			h.payIn("bank", have)
			var all sync.WaitGroup
			var mu sync.Mutex
			begun, refused := 0, map[risk.Code]int{}
			for n := range 50 {
				all.Go(func() {
					_, err := h.flows.BeginPayout(t.Context(), h.checkedRequest(fmt.Sprint("p", n), 1000))
					mu.Lock()
					defer mu.Unlock()
					var no *risk.Refusal
					switch {
					case err == nil:
						begun++
					case errors.As(err, &no):
						refused[no.Code]++
					default:
						t.Errorf("BeginPayout: %v", err)
					}
				})
			}
			all.Wait()
			h.settle()
			if begun != 30 {
				t.Errorf("%d of 50 were begun, want 30; refused %v", begun, refused)
			}
			if sum, ever, _ := h.paidWindow(); sum != 30000 || ever != 30000 {
				t.Errorf("paid %d, ever %d; want 30000", sum, ever)
			}
			if len(h.desk.payouts) != 30 {
				t.Errorf("%d were sent", len(h.desk.payouts))
			}
		})
	}
}
