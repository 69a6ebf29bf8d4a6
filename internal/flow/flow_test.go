package flow_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/risk"
	"aorta/internal/verification"

	"github.com/prometheus/client_golang/prometheus"
)

// house is a platform in memory whose clock and PSP the test moves by hand.
type house struct {
	t     *testing.T
	homes []*book.Memory
	book  *book.Book
	read  reader
	flows *flow.Flows
	psp   *psp
	pr    project.Project

	mu     sync.Mutex
	now    time.Time
	work   []due.Due
	behind atomic.Bool
	mute   atomic.Value // string: a connector that can do nothing but sales
	gone   atomic.Bool  // no PSP account is configured
	rules  *risk.Rules  // nil: the project is not licensed

	metrics map[byte]*prometheus.Registry // of each process

	verifiers verification.Directory
	forged    bool     // the test has written rows that no flow would
	desk      *cashier // in place of psp
}

// reader reads from whichever home has the row.
type reader struct {
	book.Reader
	homes  []*book.Memory
	broken *atomic.Bool // operations cannot be read
}

func (r reader) of(b id.Bucket) *book.Memory { return r.homes[int(b)%len(r.homes)] }
func (r reader) Payment(ctx context.Context, p id.Payment) (payment.Payment, bool, error) {
	return r.of(p.Bucket()).Payment(ctx, p)
}

func (r reader) Operation(ctx context.Context, o id.Operation) (payment.Operation, bool, error) {
	if r.broken.Load() {
		return payment.Operation{}, false, errors.New("connect: refused")
	}
	return r.of(o.Bucket()).Operation(ctx, o)
}

func (r reader) Attempt(ctx context.Context, a id.Attempt) (payment.Attempt, bool, error) {
	return r.of(a.Bucket()).Attempt(ctx, a)
}

func (r reader) Customer(ctx context.Context, c id.Customer) (customer.Customer, bool, error) {
	return r.of(c.Bucket()).Customer(ctx, c)
}

func (r reader) Account(ctx context.Context, a id.Account) (ledger.Account, bool, error) {
	return r.of(a.Bucket()).Account(ctx, a)
}

func (r reader) Transfer(ctx context.Context, t id.Transfer) (ledger.Transfer, bool, error) {
	return r.of(t.Bucket()).Transfer(ctx, t)
}

func (r reader) Deposits(ctx context.Context, t id.Transfer, most int) ([]id.Payment, error) {
	return r.of(t.Bucket()).Deposits(ctx, t, most)
}

func (r reader) Note(ctx context.Context, n id.Note) (customer.Note, bool, error) {
	return r.of(n.Bucket()).Note(ctx, n)
}

func (r reader) Window(ctx context.Context, w id.Window) (limit.Window, bool, error) {
	return r.of(w.Bucket()).Window(ctx, w)
}

func (r reader) Review(ctx context.Context, k id.Raw) (payment.Review, bool, error) {
	return r.of(k.Bucket()).Review(ctx, k)
}

func (r reader) Claim(ctx context.Context, k id.Raw) (limit.Claim, bool, error) {
	return r.of(k.Bucket()).Claim(ctx, k)
}

func (r reader) Round(ctx context.Context, n id.Round) (ledger.Round, bool, error) {
	return r.of(n.Bucket()).Round(ctx, n)
}

// psp says what the test has put into its mouth; without a word it is silent.
type psp struct {
	mu       sync.Mutex
	sale     []connector.Outcome
	lookup   []connector.Outcome
	refund   []connector.Outcome
	asked    []id.Attempt
	refunds  []id.Attempt
	payout   []connector.Outcome
	payouts  []connector.Order
	schedule []time.Duration
}

func (p *psp) next(list *[]connector.Outcome) connector.Outcome {
	if len(*list) == 0 {
		return connector.Outcome{Kind: connector.Unknown}
	}
	out := (*list)[0]
	if len(*list) > 1 {
		*list = (*list)[1:]
	}
	return out
}

func (p *psp) Capabilities() connector.Capabilities {
	return connector.Capabilities{Methods: []string{"paytm-wallet"}, Refund: true, PartialRefund: true, LookupSchedule: p.schedule}
}

func (p *psp) Sale(_ context.Context, o connector.Order) connector.Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, o.Attempt.ID)
	return p.next(&p.sale)
}

func (p *psp) Lookup(context.Context, connector.Order) connector.Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next(&p.lookup)
}

func (p *psp) Refund(_ context.Context, o connector.Order) connector.Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refunds = append(p.refunds, o.Attempt.ID)
	return p.next(&p.refund)
}

func (p *psp) LookupRefund(context.Context, connector.Order) connector.Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next(&p.lookup)
}

func (p *psp) Payout(_ context.Context, o connector.Order) connector.Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.payouts = append(p.payouts, o)
	return p.next(&p.payout)
}

func (p *psp) LookupPayout(context.Context, connector.Order) connector.Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next(&p.lookup)
}

// zeroes is randomness enough for ids that need only differ within one run.
type seeded struct{ r *rand.ChaCha8 }

func (s seeded) Read(b []byte) (int, error) { return s.r.Read(b) }

func newHouse(t *testing.T, homes int, change func(*project.Project)) *house {
	t.Helper()
	h := &house{t: t, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), psp: &psp{schedule: []time.Duration{30 * time.Second, 2 * time.Minute}}}
	h.pr = project.Project{
		ID: 200, MerchantID: 1, CallbackURL: "https://shop.example/cb", LateSuccess: project.LateHold, LimitTime: 30 * time.Minute,
		Methods: []project.Method{{Code: "paytm-wallet", Connector: "paytm", Account: "demo", Currency: "INR"}},
	}
	if change != nil {
		change(&h.pr)
	}
	for range homes {
		h.homes = append(h.homes, book.NewMemory())
	}
	h.read = reader{Reader: h.homes[0], homes: h.homes, broken: new(atomic.Bool)}
	h.book, h.flows = h.process(1, func(rows []due.Due) { h.mu.Lock(); h.work = append(h.work, rows...); h.mu.Unlock() })
	return h
}

// process opens the homes, every nth bucket in each.
func (h *house) process(epoch byte, work func([]due.Due)) (*book.Book, *flow.Flows) {
	h.t.Helper()
	if h.metrics == nil {
		h.metrics = map[byte]*prometheus.Registry{}
	}
	h.metrics[epoch] = prometheus.NewRegistry()
	var cfg []book.Home
	for n, m := range h.homes {
		var buckets []id.Bucket
		for b := n; b < 32; b += len(h.homes) {
			buckets = append(buckets, id.Bucket(b))
		}
		cfg = append(cfg, book.Home{Store: m, Buckets: buckets})
	}
	b, err := book.New(h.t.Context(), cfg, book.Options{
		Now: h.clock, Random: seeded{rand.NewChaCha8([32]byte{epoch})}, Epoch: int64(epoch), Work: work, Metrics: h.metrics[epoch],
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(b.Close)
	return b, flow.New(b, h.read, flow.Options{
		Projects: func(int64) (project.Project, bool) { return h.pr, true },
		Connectors: func(name, _ string) (connector.Connector, bool) {
			if name == h.mute.Load() {
				return struct{ connector.Connector }{h.psp}, true
			}
			if h.desk != nil {
				return h.desk, !h.gone.Load()
			}
			return h.psp, !h.gone.Load()
		},
		NotifyURL: func(string, string) string { return "https://pay.example/n/paytm/demo" },
		Now:       h.clock,
		Rules:     func(int64) *risk.Rules { return h.rules },
		Verifiers: h.verifiers,
		Behind:    func(string) bool { return h.behind.Load() },
		Sleep:     func(_ context.Context, d time.Duration) { h.mu.Lock(); h.now = h.now.Add(d); h.mu.Unlock() },
	})
}

func (h *house) clock() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.now }

func inr(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "INR"} }

func approved(minor int64) connector.Outcome {
	return connector.Outcome{Kind: connector.Approved, ProviderID: "psp-1", Amount: inr(minor)}
}

var redirected = connector.Outcome{Kind: connector.Pending, Redirect: &payment.Redirect{URL: "https://psp.example/page", Method: "POST"}}

func (h *house) begin(paymentID string, minor int64) flow.Begun {
	h.t.Helper()
	b, err := h.flows.BeginSale(h.t.Context(), flow.SaleRequest{
		Project: h.pr, Method: h.pr.Methods[0], Door: "gate", PaymentID: paymentID, CustomerID: "c1", CallbackURL: h.pr.CallbackURL, Amount: inr(minor),
	})
	if err != nil {
		h.t.Fatalf("BeginSale(%s): %v", paymentID, err)
	}
	return b
}

// settle does all work at hand but deliveries, as a worker would.
func (h *house) settle() {
	h.t.Helper()
	for {
		h.mu.Lock()
		work := h.work
		h.work = nil
		h.mu.Unlock()
		if len(work) == 0 {
			return
		}
		for _, d := range work {
			if d.Kind == due.Deliver {
				continue
			}
			if err := h.flows.Handle(h.t.Context(), d); err != nil {
				h.t.Fatalf("Handle(%s): %v", d.Kind, err)
			}
		}
	}
}

// pass lets time go by, and has what is then overdue claimed and done.
func (h *house) pass(d time.Duration) {
	h.t.Helper()
	end := h.clock().Add(d)
	for {
		var next due.Due
		for _, m := range h.homes {
			rows, err := m.ScanDue(h.t.Context(), id.Raw{}, 1000)
			if err != nil {
				h.t.Fatal(err)
			}
			for _, r := range rows {
				if r.Kind != due.Deliver && r.DueUS <= end.UnixMicro() && (next.ID.IsZero() || r.DueUS < next.DueUS) {
					next = r
				}
			}
		}
		if next.ID.IsZero() {
			break
		}
		h.mu.Lock()
		h.now = maxTime(h.now, time.UnixMicro(next.DueUS).UTC())
		h.mu.Unlock()
		_, err := book.Do(h.t.Context(), h.book, book.Act[struct{}]{Name: "test.claim", Bucket: next.ID.Bucket(), Decide: func(p *book.Page) (struct{}, error) {
			if d, ok := p.Due.Get(next.ID); ok {
				p.Due.Put(d.Claim(p.NowUS(), p.Epoch()))
			}
			return struct{}{}, nil
		}})
		if err != nil {
			h.t.Fatal(err)
		}
		h.settle()
	}
	h.mu.Lock()
	h.now = maxTime(h.now, end)
	h.mu.Unlock()
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (h *house) payment(p id.Payment) payment.Payment {
	h.t.Helper()
	row, ok, err := h.read.Payment(h.t.Context(), p)
	if err != nil || !ok {
		h.t.Fatalf("payment %s: found %t, %v", p, ok, err)
	}
	return row
}

func (h *house) wantStatus(p id.Payment, want payment.Status, code string) {
	h.t.Helper()
	if got := h.payment(p); got.Status != want || got.Code != code {
		h.t.Errorf("payment is %s %q, want %s %q", got.Status, got.Code, want, code)
	}
}

// balance sums an account over all buckets and homes.
func (h *house) balance(owner string, p ledger.Purpose) int64 {
	h.t.Helper()
	var sum int64
	for _, m := range h.homes {
		rows, err := m.ScanAccounts(h.t.Context(), id.Account{}, 10_000)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, a := range rows {
			if a.Owner == owner && a.Purpose == p {
				sum += a.Balance()
			}
		}
	}
	return sum
}

func (h *house) wantBalances(want map[string]int64) {
	h.t.Helper()
	for name, minor := range map[string]int64{
		"clearing": h.balance("psp:paytm:demo", ledger.Clearing), "payable": h.balance("merchant:1", ledger.Payable),
		"reserved": h.balance("merchant:1", ledger.Reserved), "refund_due": h.balance("house", ledger.RefundDue),
	} {
		if minor != want[name] {
			h.t.Errorf("balance of %s is %d, want %d", name, minor, want[name])
		}
	}
}

// deliveries lists the kinds of event that the merchant is told, oldest first.
func (h *house) told(p id.Payment) []event.Kind {
	h.t.Helper()
	var out []event.Kind
	m := h.read.of(p.Bucket())
	for next := h.payment(p).LastDelivery; !next.IsZero(); {
		d, ok, err := m.Delivery(h.t.Context(), next)
		if err != nil || !ok {
			h.t.Fatalf("delivery %s: found %t, %v", next, ok, err)
		}
		e, _, _ := m.Event(h.t.Context(), d.Event)
		out = append([]event.Kind{e.Kind}, out...)
		next = d.Prev
	}
	return out
}

func (h *house) wantTold(p id.Payment, want ...event.Kind) {
	h.t.Helper()
	if got := h.told(p); fmt.Sprint(got) != fmt.Sprint(want) {
		h.t.Errorf("merchant is told %v, want %v", got, want)
	}
}

func (h *house) cases() []string {
	h.t.Helper()
	var out []string
	for _, m := range h.homes {
		rows, err := m.Cases(h.t.Context(), id.Case{}, 100)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, c := range rows {
			out = append(out, c.Kind)
		}
	}
	return out
}

func (h *house) apply(a payment.Attempt, out connector.Outcome) {
	h.t.Helper()
	if err := h.flows.Apply(h.t.Context(), a, out); err != nil {
		h.t.Fatalf("Apply(%s): %v", out.Kind, err)
	}
}

func (h *house) noDue() {
	h.t.Helper()
	for _, m := range h.homes {
		rows, _ := m.ScanDue(h.t.Context(), id.Raw{}, 100)
		for _, d := range rows {
			if d.Kind != due.Deliver {
				h.t.Errorf("due row of kind %s is left", d.Kind)
			}
		}
	}
}

func TestSalePaidOnThePSPsPage(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.psp.sale = []connector.Outcome{redirected}
	b := h.begin("order-1", 250)
	h.wantStatus(b.Payment.ID, payment.StatusNew, "")
	h.settle()
	h.wantStatus(b.Payment.ID, payment.StatusAwaitingCustomer, "")
	h.wantBalances(nil)
	h.psp.lookup = []connector.Outcome{approved(250)}
	out, err := h.flows.Confirm(t.Context(), b.Attempt, due.Due{})
	if err != nil || out.Kind != connector.Approved {
		t.Fatalf("Confirm() = %s, %v", out.Kind, err)
	}
	h.wantStatus(b.Payment.ID, payment.StatusCaptured, "0")
	h.wantBalances(map[string]int64{"clearing": 250, "payable": 250})
	h.apply(b.Attempt, approved(250)) // known news changes nothing
	h.wantBalances(map[string]int64{"clearing": 250, "payable": 250})
	h.wantTold(b.Payment.ID, event.PaymentAwaiting, event.PaymentCaptured)
	h.noDue()
}

func TestAskedIsClosedWhenTheAnswerIsBooked(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.psp.sale = []connector.Outcome{redirected}
	b := h.begin("order-1", 250)
	select {
	case <-b.Asked:
		t.Fatal("Asked is closed before the PSP was asked")
	default:
	}
	h.settle()
	select {
	case <-b.Asked:
	default:
		t.Fatal("Asked is open after the answer was booked")
	}
}

func TestDeclines(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		out  connector.Outcome
		code string
	}{
		{name: "declined with a code", out: connector.Outcome{Kind: connector.Declined, Code: "20105"}, code: "20105"},
		{name: "declined without", out: connector.Outcome{Kind: connector.Declined}, code: "100"},
		{name: "not sent", out: connector.Outcome{Kind: connector.NotSent}, code: "314"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 1, nil)
			h.psp.sale = []connector.Outcome{test.out}
			b := h.begin("order-1", 250)
			h.settle()
			h.wantStatus(b.Payment.ID, payment.StatusDeclined, test.code)
			h.wantTold(b.Payment.ID, event.PaymentDeclined)
			h.wantBalances(nil)
			h.noDue()
		})
	}
}

func TestPaymentIDIsUniqueWithoutCase(t *testing.T) {
	t.Parallel()
	for _, homes := range []int{1, 2} {
		t.Run(fmt.Sprint(homes, " homes"), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, homes, nil)
			first := h.begin("Order-1", 250)
			again := h.begin("order-1", 999)
			if !again.Repeat || again.Payment.ID != first.Payment.ID {
				t.Errorf("second BeginSale() = repeat %t of %s, want a repeat of %s", again.Repeat, again.Payment.ID, first.Payment.ID)
			}
			got, err := h.flows.Find(t.Context(), h.pr, "ORDER-1")
			if len(h.homes) == 1 && (err != nil || got.ID != first.Payment.ID) {
				t.Errorf("Find(ORDER-1) = %s, %v; want %s", got.ID, err, first.Payment.ID)
			}
		})
	}
}

// In a wallet project a payment lies with its customer, so its name may lie in
// another home, and an orphan name must not bar the way.
func TestWalletPaymentsInTwoHomes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, func(p *project.Project) { p.Wallet = true })
	for n := range 40 {
		r := flow.SaleRequest{
			Project: h.pr, Method: h.pr.Methods[0], Door: "gate", PaymentID: fmt.Sprint("order-", n), CustomerID: fmt.Sprint("c", n%7), Amount: inr(100),
		}
		key := h.book.RefKey(h.pr.RefScope(), r.PaymentID)
		if n%2 == 0 { // an earlier request of another customer died between reserve and begin
			other := h.pr.PaymentBucket(32, r.PaymentID, "somebody else")
			if !h.book.SameHome(key.Bucket, h.pr.PaymentBucket(32, r.PaymentID, r.CustomerID)) {
				if _, err := h.book.Reserve(t.Context(), key, h.book.Mint(other)); err != nil {
					t.Fatal(err)
				}
			}
		}
		b, err := h.flows.BeginSale(t.Context(), r)
		if err != nil || b.Repeat {
			t.Fatalf("BeginSale(%s) = repeat %t, %v", r.PaymentID, b.Repeat, err)
		}
		r.CustomerID = "an impostor"
		again, err := h.flows.BeginSale(t.Context(), r)
		if err != nil || !again.Repeat || again.Payment.ID != b.Payment.ID {
			t.Fatalf("BeginSale(%s) of another customer = %v repeat %t, %v; want a repeat", r.PaymentID, again.Payment.ID, again.Repeat, err)
		}
		h.psp.sale = []connector.Outcome{approved(100)}
		h.settle()
		h.wantStatus(b.Payment.ID, payment.StatusCaptured, "0")
	}
	if got := h.balance("customer:1:c0", ledger.Available); got != 600 {
		t.Errorf("wallet of c0 holds %d, want 600", got)
	}
}

// inOtherHome gives two requests under one name, of customers whose payments lie
// in one home and the name in another.
func (h *house) inOtherHome() (one, two flow.SaleRequest, payments *book.Memory) {
	h.t.Helper()
	for n := range 1000 {
		one = flow.SaleRequest{Project: h.pr, Method: h.pr.Methods[0], Door: "gate", PaymentID: fmt.Sprint("order-", n), CustomerID: "c", Amount: inr(100)}
		two = one
		two.CustomerID = fmt.Sprint("c", n)
		x, y := h.pr.PaymentBucket(32, one.PaymentID, one.CustomerID), h.pr.PaymentBucket(32, two.PaymentID, two.CustomerID)
		if x != y && h.book.SameHome(x, y) && !h.book.SameHome(x, h.book.RefKey(h.pr.RefScope(), one.PaymentID).Bucket) {
			return one, two, h.read.of(x)
		}
	}
	h.t.Fatal("no such name")
	return one, two, nil
}

// Who voids a name and who goes on with it read what neither has written yet. Of
// the two one wins, though they are in two processes: or there were two payments.
func TestVoidedWhileItBegins(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, func(p *project.Project) { p.Wallet = true })
	for _, m := range h.homes {
		m.Shared = true
	}
	_, others := h.process(2, nil)
	one, two, home := h.inOtherHome()
	begins, goOn := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	home.Fail = func(s book.Step) book.Fault {
		if s == book.StepCommit && !first.Swap(true) {
			close(begins)
			<-goOn
		}
		return book.FaultNone
	}
	type answer struct {
		begun flow.Begun
		err   error
	}
	late := make(chan answer)
	go func() {
		begun, err := h.flows.BeginSale(t.Context(), one)
		late <- answer{begun, err}
	}()
	<-begins
	won, err := others.BeginSale(t.Context(), two)
	if err != nil || won.Repeat {
		t.Errorf("BeginSale while another begins = repeat %t, %v; want a payment", won.Repeat, err)
	}
	close(goOn)
	if lost := <-late; lost.err != nil || !lost.begun.Repeat || lost.begun.Payment.ID != won.Payment.ID {
		t.Errorf("BeginSale of what was voided = %s, repeat %t, %v; want a repeat of %s", lost.begun.Payment.ID, lost.begun.Repeat, lost.err, won.Payment.ID)
	}
	if all, err := home.ScanPayments(t.Context(), id.Payment{}, 10); err != nil || len(all) != 1 {
		t.Errorf("there are %d payments of one name, %v; want 1", len(all), err)
	}
}

// A request that has voided a name and died before it had another one must not
// bar the way of who had the name.
func TestVoidedAndLeft(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, func(p *project.Project) { p.Wallet = true })
	one, two, home := h.inOtherHome()
	key := h.book.RefKey(h.pr.RefScope(), one.PaymentID)
	if _, err := h.book.Reserve(t.Context(), key, h.book.Mint(h.pr.PaymentBucket(32, one.PaymentID, one.CustomerID))); err != nil {
		t.Fatal(err)
	}
	var voided atomic.Bool
	home.Fail = func(s book.Step) book.Fault {
		voided.Store(voided.Load() || s == book.StepCommit)
		return book.FaultNone
	}
	names := h.read.of(key.Bucket)
	names.Fail = func(book.Step) book.Fault {
		if voided.Load() {
			return book.FaultAway
		}
		return book.FaultNone
	}
	if _, err := h.flows.BeginSale(t.Context(), two); !errors.Is(err, book.ErrNotRun) {
		t.Fatalf("BeginSale that cannot re-point the name = %v, want ErrNotRun", err)
	}
	if !voided.Load() {
		t.Fatal("nothing was voided")
	}
	names.Fail = nil
	begun, err := h.flows.BeginSale(t.Context(), one)
	if err != nil || begun.Repeat {
		t.Fatalf("BeginSale under a name that was voided and left = repeat %t, %v; want a payment", begun.Repeat, err)
	}
	if again, err := h.flows.BeginSale(t.Context(), two); err != nil || !again.Repeat || again.Payment.ID != begun.Payment.ID {
		t.Errorf("BeginSale of another customer = %s, repeat %t, %v; want a repeat of %s", again.Payment.ID, again.Repeat, err, begun.Payment.ID)
	}
}

// A name that was reserved for a payment in another home, by a request that died,
// does not bar the way of a customer whose payments lie beside the name.
func TestOrphanOfAnotherHome(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, func(p *project.Project) { p.Wallet = true })
	one, _, _ := h.inOtherHome()
	key := h.book.RefKey(h.pr.RefScope(), one.PaymentID)
	if _, err := h.book.Reserve(t.Context(), key, h.book.Mint(h.pr.PaymentBucket(32, one.PaymentID, one.CustomerID))); err != nil {
		t.Fatal(err)
	}
	beside := one
	for n := 0; !h.book.SameHome(key.Bucket, h.pr.PaymentBucket(32, beside.PaymentID, beside.CustomerID)); n++ {
		beside.CustomerID = fmt.Sprint("beside-", n)
	}
	begun, err := h.flows.BeginSale(t.Context(), beside)
	if err != nil || begun.Repeat {
		t.Fatalf("BeginSale = repeat %t, %v; want a payment", begun.Repeat, err)
	}
	if again, err := h.flows.BeginSale(t.Context(), one); err != nil || !again.Repeat || again.Payment.ID != begun.Payment.ID {
		t.Errorf("BeginSale of who had reserved it = %s, repeat %t, %v; want a repeat of %s", again.Payment.ID, again.Repeat, err, begun.Payment.ID)
	}
}

// That a refund's name is known is a last word: it is not said while nobody can
// read whose it is.
func TestRefundNameThatCannotBeRead(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, nil)
	h.psp.sale = []connector.Outcome{approved(100)}
	b := h.begin("order-1", 100)
	h.settle()
	r := flow.RefundRequest{Project: h.pr, Payment: h.payment(b.Payment.ID), Amount: inr(10)}
	var key payment.RefKey
	for n := 0; r.MerchantRefundID == "" || h.book.SameHome(key.Bucket, b.Payment.ID.Bucket()); n++ {
		r.MerchantRefundID = fmt.Sprint("refund-", n)
		key = h.book.RefKey("refund:200", r.MerchantRefundID)
	}
	if _, err := h.book.Reserve(t.Context(), key, h.book.Mint(b.Payment.ID.Bucket())); err != nil {
		t.Fatal(err)
	}
	h.read.of(key.Bucket).Fail = func(book.Step) book.Fault { h.read.broken.Store(true); return book.FaultNone }
	if _, err := h.flows.BeginRefund(t.Context(), r); !errors.Is(err, book.ErrNotRun) || errors.Is(err, flow.ErrRefundIDKnown) {
		t.Errorf("BeginRefund while nothing can be read = %v, want ErrNotRun", err)
	}
	h.read.broken.Store(false)
	h.read.of(key.Bucket).Fail = nil
	if refund, err := h.flows.BeginRefund(t.Context(), r); err != nil || refund.Operation.MerchantRefundID != r.MerchantRefundID {
		t.Errorf("BeginRefund afterwards = %q, %v; want %q", refund.Operation.MerchantRefundID, err, r.MerchantRefundID)
	}
}

// Who is behind with what was begun begins nothing more.
func TestNothingIsBegunBehind(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.psp.sale = []connector.Outcome{approved(100)}
	b := h.begin("order-1", 100)
	h.settle()
	h.behind.Store(true)
	r := flow.SaleRequest{Project: h.pr, Method: h.pr.Methods[0], Door: "gate", PaymentID: "order-2", CustomerID: "c", Amount: inr(100)}
	if _, err := h.flows.BeginSale(t.Context(), r); !errors.Is(err, book.ErrBusy) {
		t.Errorf("BeginSale = %v, want ErrBusy", err)
	}
	if _, err := h.flows.BeginRefund(t.Context(), flow.RefundRequest{Project: h.pr, Payment: h.payment(b.Payment.ID), Amount: inr(10)}); !errors.Is(err, book.ErrBusy) {
		t.Errorf("BeginRefund = %v, want ErrBusy", err)
	}
	if all, err := h.homes[0].ScanPayments(t.Context(), id.Payment{}, 10); err != nil || len(all) != 1 || all[0].RefundingMinor != 0 {
		t.Errorf("there are %+v, %v; want order-1 as it was", all, err)
	}
	h.behind.Store(false)
	if _, err := h.flows.BeginSale(t.Context(), r); err != nil {
		t.Errorf("BeginSale afterwards = %v", err)
	}
}

func TestLimitTimeDeclines603(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.psp.sale = []connector.Outcome{redirected}
	h.psp.lookup = []connector.Outcome{{Kind: connector.Pending}}
	b := h.begin("order-1", 250)
	h.settle()
	h.pass(29 * time.Minute)
	h.wantStatus(b.Payment.ID, payment.StatusAwaitingCustomer, "")
	h.pass(2 * time.Minute)
	h.wantStatus(b.Payment.ID, payment.StatusDeclined, "603")
	h.wantTold(b.Payment.ID, event.PaymentAwaiting, event.PaymentDeclined)
	h.noDue()
}

// A PSP that answers nothing must not keep a payment open beyond its time.
func TestLimitTimeWhileThePSPIsAsked(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, func(p *project.Project) { p.LimitTime = 2 * time.Second })
	h.psp.sale = []connector.Outcome{{Kind: connector.Unknown}}
	b := h.begin("order-1", 250)
	h.settle()
	h.pass(3 * time.Second)
	h.wantStatus(b.Payment.ID, payment.StatusDeclined, "603")
	h.wantTold(b.Payment.ID, event.PaymentDeclined)
	if len(h.psp.asked) > 3 {
		t.Errorf("PSP was asked %d times in two seconds", len(h.psp.asked))
	}
	h.noDue()
}

// The turn to be asked again comes when the time is over: nothing is sent.
func TestNothingIsSentAfterTheLimitTime(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, func(p *project.Project) { p.LimitTime = 10 * time.Second })
	h.psp.sale = []connector.Outcome{{Kind: connector.Unknown}, redirected}
	b := h.begin("order-1", 250)
	h.settle()
	h.mu.Lock()
	h.now = h.now.Add(11 * time.Second) // no worker ran in between
	h.mu.Unlock()
	h.pass(0)
	h.wantStatus(b.Payment.ID, payment.StatusDeclined, "603")
	if len(h.psp.asked) != 1 {
		t.Errorf("PSP was asked %d times, want once: the second turn came too late", len(h.psp.asked))
	}
	h.noDue()
}

func TestPaidInTheLastSecond(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, func(p *project.Project) { p.LimitTime = 20 * time.Second })
	h.psp.sale = []connector.Outcome{redirected}
	h.psp.lookup = []connector.Outcome{approved(250)}
	b := h.begin("order-1", 250)
	h.settle()
	h.pass(21 * time.Second)
	h.wantStatus(b.Payment.ID, payment.StatusCaptured, "0")
}

func TestLateSuccess(t *testing.T) {
	t.Parallel()
	tests := []struct {
		rule     project.LateRule
		status   payment.Status
		code     string
		balances map[string]int64
		told     []event.Kind
	}{
		{
			project.LateHold, payment.StatusDeclined, "603",
			map[string]int64{"clearing": 250, "refund_due": 250},
			[]event.Kind{event.PaymentAwaiting, event.PaymentDeclined},
		},
		{
			project.LateCredit, payment.StatusCaptured, "0",
			map[string]int64{"clearing": 250, "payable": 250},
			[]event.Kind{event.PaymentAwaiting, event.PaymentDeclined, event.PaymentCaptured},
		},
		{
			project.LateRefund, payment.StatusDeclined, "603",
			map[string]int64{},
			[]event.Kind{event.PaymentAwaiting, event.PaymentDeclined, event.RefundSucceeded},
		},
	}
	for _, test := range tests {
		t.Run(string(test.rule), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 1, func(p *project.Project) { p.LateSuccess = test.rule })
			h.psp.sale = []connector.Outcome{redirected}
			h.psp.lookup = []connector.Outcome{{Kind: connector.Pending}}
			h.psp.refund = []connector.Outcome{approved(250)}
			b := h.begin("order-1", 250)
			h.settle()
			h.pass(31 * time.Minute)
			for range 3 { // news comes as often as it likes
				h.apply(b.Attempt, approved(250))
				h.settle()
			}
			h.wantStatus(b.Payment.ID, test.status, test.code)
			h.wantBalances(test.balances)
			h.wantTold(b.Payment.ID, test.told...)
			if got := h.cases(); fmt.Sprint(got) != "[late_success]" {
				t.Errorf("cases %v, want one late_success", got)
			}
			h.noDue()
		})
	}
}

// A credited late success is an ordinary capture from then on.
func TestRefundOfACreditedLateSuccess(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, func(p *project.Project) { p.LateSuccess = project.LateCredit })
	h.psp.sale = []connector.Outcome{redirected}
	h.psp.lookup = []connector.Outcome{{Kind: connector.Pending}}
	h.psp.refund = []connector.Outcome{approved(250)}
	b := h.begin("order-1", 250)
	h.settle()
	h.pass(31 * time.Minute)
	h.apply(b.Attempt, approved(250))
	if _, err := h.flows.BeginRefund(t.Context(), flow.RefundRequest{Project: h.pr, Payment: h.payment(b.Payment.ID), Description: "all"}); err != nil {
		t.Fatal(err)
	}
	h.settle()
	h.wantStatus(b.Payment.ID, payment.StatusRefunded, "0")
	h.wantBalances(nil)
}

func TestNewsThatDoesNotFit(t *testing.T) {
	t.Parallel()
	for _, out := range []connector.Outcome{
		{Kind: connector.Approved, ProviderID: "x", Amount: inr(251)},
		{Kind: connector.Approved, ProviderID: "x", Amount: money.Amount{Minor: 250, Currency: "USD"}},
	} {
		h := newHouse(t, 1, nil)
		h.psp.sale = []connector.Outcome{redirected}
		b := h.begin("order-1", 250)
		h.settle()
		h.apply(b.Attempt, out)
		h.apply(b.Attempt, out)
		h.wantStatus(b.Payment.ID, payment.StatusAwaitingCustomer, "")
		h.wantBalances(nil)
		if got := h.cases(); fmt.Sprint(got) != "[mismatch]" {
			t.Errorf("after %v: cases %v, want one mismatch", out.Amount, got)
		}
	}
}

func TestPSPTakesItsWordBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.psp.sale = []connector.Outcome{approved(250)}
	b := h.begin("order-1", 250)
	h.settle()
	h.apply(b.Attempt, connector.Outcome{Kind: connector.Declined, Code: "20100"})
	h.wantStatus(b.Payment.ID, payment.StatusCaptured, "0")
	h.wantBalances(map[string]int64{"clearing": 250, "payable": 250})
	if got := h.cases(); fmt.Sprint(got) != "[contradiction]" {
		t.Errorf("cases %v, want one contradiction", got)
	}
}

// Paytm's initiate cannot move money: a lost answer is followed by a new
// attempt under a new reference, and money paid under either is booked once.
func TestLostAnswerToACallThatMovesNoMoney(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.psp.sale = []connector.Outcome{{Kind: connector.Unknown}, redirected}
	b := h.begin("order-1", 250)
	h.settle()
	h.wantStatus(b.Payment.ID, payment.StatusNew, "")
	h.pass(2 * time.Second)
	h.wantStatus(b.Payment.ID, payment.StatusAwaitingCustomer, "")
	if len(h.psp.asked) != 2 || h.psp.asked[0] == h.psp.asked[1] {
		t.Fatalf("PSP was asked under %v, want two references", h.psp.asked)
	}
	second, _, _ := h.read.Attempt(t.Context(), h.psp.asked[1])
	h.apply(second, approved(250))
	h.wantStatus(b.Payment.ID, payment.StatusCaptured, "0")
	h.apply(b.Attempt, approved(250)) // and the lost one was paid as well
	h.wantBalances(map[string]int64{"clearing": 500, "payable": 250, "refund_due": 250})
	if got := h.cases(); fmt.Sprint(got) != "[late_success]" {
		t.Errorf("cases %v, want one late_success", got)
	}
}

// The same, and the sale has ended without money when the news comes that the
// first order, whose page nobody was led to, was paid all the same.
func TestAbandonedOrderIsPaidAfterTheDecline(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.psp.sale = []connector.Outcome{{Kind: connector.Unknown}, redirected}
	h.psp.lookup = []connector.Outcome{{Kind: connector.Pending}}
	b := h.begin("order-1", 250)
	h.settle()
	h.pass(31 * time.Minute)
	h.wantStatus(b.Payment.ID, payment.StatusDeclined, "603")
	h.apply(b.Attempt, approved(250))
	h.wantStatus(b.Payment.ID, payment.StatusDeclined, "603")
	h.wantBalances(map[string]int64{"clearing": 250, "refund_due": 250})
	if got := h.cases(); fmt.Sprint(got) != "[late_success]" {
		t.Errorf("cases %v, want one late_success", got)
	}
}

// The process that was asking has died: what it sent is unknown.
func TestTakingOverAnAskingAttempt(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.psp.sale = []connector.Outcome{redirected}
	b := h.begin("order-1", 250)
	h.mu.Lock()
	h.work = nil // the process dies with its pool
	h.mu.Unlock()
	h.pass(35 * time.Second)
	h.wantStatus(b.Payment.ID, payment.StatusAwaitingCustomer, "")
	if len(h.psp.asked) != 1 || h.psp.asked[0] == b.Attempt.ID {
		t.Errorf("PSP was asked under %v, want one new reference", h.psp.asked)
	}
}

func TestRefunds(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.psp.sale = []connector.Outcome{approved(1000)}
	h.psp.refund = []connector.Outcome{{Kind: connector.Pending}}
	b := h.begin("order-1", 1000)
	h.settle()
	refund := func(minor int64, name string) flow.Begun {
		t.Helper()
		r := flow.RefundRequest{Project: h.pr, Payment: h.payment(b.Payment.ID), MerchantRefundID: name, Description: "d"}
		if minor > 0 {
			r.Amount = inr(minor)
		}
		got, err := h.flows.BeginRefund(t.Context(), r)
		if err != nil {
			t.Fatalf("BeginRefund(%d): %v", minor, err)
		}
		return got
	}
	first := refund(300, "r-1")
	h.settle()
	h.wantStatus(b.Payment.ID, payment.StatusCaptured, "0") // a running refund leaves the payment alone
	h.wantBalances(map[string]int64{"clearing": 1000, "payable": 700, "reserved": 300})
	over := refund(701, "r-2")
	if over.Operation.Status != payment.OperationDecline || over.Operation.Code != "3283" {
		t.Errorf("refund beyond what is reserved = %s %s, want decline 3283", over.Operation.Status, over.Operation.Code)
	}
	h.apply(first.Attempt, approved(300))
	h.wantStatus(b.Payment.ID, payment.StatusPartiallyRefunded, "0")
	failing := refund(200, "r-3")
	h.settle()
	h.apply(failing.Attempt, connector.Outcome{Kind: connector.Declined, Code: "20100"})
	h.wantStatus(b.Payment.ID, payment.StatusPartiallyRefunded, "0")
	h.wantBalances(map[string]int64{"clearing": 700, "payable": 700})
	rest := refund(0, "")
	if rest.Operation.Amount != inr(700) {
		t.Errorf("refund of the rest is of %v, want 700", rest.Operation.Amount)
	}
	h.settle()
	h.apply(rest.Attempt, approved(700))
	h.wantStatus(b.Payment.ID, payment.StatusRefunded, "0")
	h.wantBalances(nil)
	if more := refund(0, ""); more.Operation.Code != "3283" {
		t.Errorf("refund of nothing left: code %q, want 3283", more.Operation.Code)
	}
	_, err := h.flows.BeginRefund(t.Context(), flow.RefundRequest{Project: h.pr, Payment: h.payment(b.Payment.ID), MerchantRefundID: "r-1"})
	if !errors.Is(err, flow.ErrRefundIDKnown) {
		t.Errorf("BeginRefund(r-1) again: %v, want ErrRefundIDKnown", err)
	}
	h.wantTold(b.Payment.ID, event.PaymentCaptured, event.RefundDeclined, event.RefundSucceeded, event.RefundDeclined, event.RefundSucceeded, event.RefundDeclined)
	h.noDue()
}

func TestRefundBeforeSuccess(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.psp.sale = []connector.Outcome{redirected}
	b := h.begin("order-1", 1000)
	h.settle()
	_, err := h.flows.BeginRefund(t.Context(), flow.RefundRequest{Project: h.pr, Payment: h.payment(b.Payment.ID), Amount: inr(1)})
	if !errors.Is(err, flow.ErrState) {
		t.Errorf("BeginRefund() of an open payment: %v, want ErrState", err)
	}
}

func TestRefundWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.psp.sale = []connector.Outcome{approved(1000)}
	h.psp.refund = []connector.Outcome{{Kind: connector.Unknown}}
	h.psp.lookup = []connector.Outcome{{Kind: connector.Unknown}, {Kind: connector.Pending}, approved(1000)}
	b := h.begin("order-1", 1000)
	h.settle()
	if _, err := h.flows.BeginRefund(t.Context(), flow.RefundRequest{Project: h.pr, Payment: h.payment(b.Payment.ID)}); err != nil {
		t.Fatal(err)
	}
	h.settle()
	h.pass(10 * time.Minute)
	h.wantStatus(b.Payment.ID, payment.StatusRefunded, "0")
	if len(h.psp.refunds) != 1 {
		t.Errorf("refund was sent %d times, want once: an unknown outcome is looked up", len(h.psp.refunds))
	}
}

// A refund of which the PSP has named another amount is known there: that it later
// knows nothing of it neither sends it again nor frees its money.
func TestRefundOfAnotherAmountIsKnown(t *testing.T) {
	t.Parallel()
	for name, out := range map[string]connector.Outcome{
		"looked up": approved(999), "its own word": {Kind: connector.Approved, Amount: inr(999), Mismatch: "amount"},
		"its own word, no": {Kind: connector.Declined, Amount: inr(999), Mismatch: "amount"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 1, nil)
			h.psp.sale = []connector.Outcome{approved(1000)}
			h.psp.refund = []connector.Outcome{{Kind: connector.Unknown}}
			h.psp.lookup = []connector.Outcome{{Kind: connector.Unknown, NoRecord: true}}
			b := h.begin("order-1", 1000)
			h.settle()
			r, err := h.flows.BeginRefund(t.Context(), flow.RefundRequest{Project: h.pr, Payment: h.payment(b.Payment.ID), Description: "all"})
			if err != nil {
				t.Fatal(err)
			}
			h.settle()
			h.apply(r.Attempt, out)
			h.pass(23 * time.Hour)
			if a, _, _ := h.read.Attempt(t.Context(), r.Attempt.ID); a.Status != payment.AttemptAccepted || len(h.psp.refunds) != 1 {
				t.Errorf("attempt is %s and was sent %d times, want accepted, and once", a.Status, len(h.psp.refunds))
			}
			h.wantBalances(map[string]int64{"clearing": 1000, "reserved": 1000})
			cases := h.cases()
			if slices.Sort(cases); !slices.Equal(cases, []string{flow.CaseConflict, flow.CaseMismatch}) {
				t.Errorf("cases %v, want the contradiction and the mismatch", cases)
			}
			h.psp.lookup = []connector.Outcome{approved(1000)}
			h.pass(2 * time.Hour)
			h.wantStatus(b.Payment.ID, payment.StatusRefunded, "0")
		})
	}
}

// "No such operation" twice, at least ten minutes apart, proves that a refund
// was not taken; it is sent again under the same reference.
func TestRefundThatNeverArrived(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.psp.sale = []connector.Outcome{approved(1000)}
	h.psp.refund = []connector.Outcome{{Kind: connector.Unknown}, approved(1000)}
	h.psp.lookup = []connector.Outcome{{Kind: connector.Pending, NoRecord: true}}
	b := h.begin("order-1", 1000)
	h.settle()
	if _, err := h.flows.BeginRefund(t.Context(), flow.RefundRequest{Project: h.pr, Payment: h.payment(b.Payment.ID)}); err != nil {
		t.Fatal(err)
	}
	h.settle()
	h.pass(9 * time.Minute)
	if len(h.psp.refunds) != 1 {
		t.Fatalf("refund was sent %d times within ten minutes, want once", len(h.psp.refunds))
	}
	h.pass(10 * time.Minute)
	h.wantStatus(b.Payment.ID, payment.StatusRefunded, "0")
	if len(h.psp.refunds) != 2 || h.psp.refunds[0] != h.psp.refunds[1] {
		t.Errorf("refund was sent under %v, want twice under one reference", h.psp.refunds)
	}
}

// Ten minutes lie between what the PSP was asked, not between when we came to
// note its answers: the second may have waited for a store that was away.
func TestNoRecordThatIsNotedLate(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.psp.sale = []connector.Outcome{approved(1000)}
	h.psp.refund = []connector.Outcome{{Kind: connector.Unknown}, approved(1000)}
	b := h.begin("order-1", 1000)
	h.settle()
	if _, err := h.flows.BeginRefund(t.Context(), flow.RefundRequest{Project: h.pr, Payment: h.payment(b.Payment.ID)}); err != nil {
		t.Fatal(err)
	}
	h.settle()
	knowsNothing := func(ago time.Duration) {
		a, ok, err := h.read.Attempt(t.Context(), h.psp.refunds[0])
		if err != nil || !ok {
			t.Fatalf("read attempt: %t, %v", ok, err)
		}
		h.apply(a, connector.Outcome{Kind: connector.Unknown, NoRecord: true, AskedUS: h.clock().Add(-ago).UnixMicro()})
		h.settle()
	}
	knowsNothing(0)
	h.pass(11 * time.Minute)
	knowsNothing(2 * time.Minute)
	h.pass(5 * time.Minute)
	if len(h.psp.refunds) != 1 {
		t.Fatalf("refund was sent %d times, want once: the PSP was asked twice within nine minutes", len(h.psp.refunds))
	}
	knowsNothing(0)
	h.pass(5 * time.Minute)
	if len(h.psp.refunds) != 2 {
		t.Errorf("refund was sent %d times, want twice", len(h.psp.refunds))
	}
}

func TestManyRefundsAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.psp.sale = []connector.Outcome{approved(1000)}
	b := h.begin("order-1", 1000)
	h.settle()
	pay := h.payment(b.Payment.ID)
	var wg sync.WaitGroup
	var mu sync.Mutex
	taken, refused := 0, 0
	for range 50 {
		wg.Go(func() {
			got, err := h.flows.BeginRefund(context.WithoutCancel(t.Context()), flow.RefundRequest{Project: h.pr, Payment: pay, Amount: inr(100)})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				t.Errorf("BeginRefund: %v", err)
			case got.Operation.Code == "3283":
				refused++
			default:
				taken++
			}
		})
	}
	wg.Wait()
	if taken != 10 || refused != 40 {
		t.Errorf("%d refunds taken, %d refused; want 10 and 40", taken, refused)
	}
	h.wantBalances(map[string]int64{"clearing": 1000, "reserved": 1000})
}

func TestStatusShowsTheNewestOperationsOldestFirst(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.psp.sale = []connector.Outcome{approved(1000)}
	h.psp.refund = []connector.Outcome{{Kind: connector.Declined, Code: "20100"}}
	b := h.begin("order-1", 1000)
	h.settle()
	for range 12 {
		if _, err := h.flows.BeginRefund(t.Context(), flow.RefundRequest{Project: h.pr, Payment: h.payment(b.Payment.ID), Amount: inr(1)}); err != nil {
			t.Fatal(err)
		}
		h.settle()
	}
	v, err := h.flows.Status(t.Context(), h.payment(b.Payment.ID), 10)
	if err != nil || len(v.Operations) != 10 {
		t.Fatalf("Status() gives %d operations, %v; want 10", len(v.Operations), err)
	}
	for n := 1; n < 10; n++ {
		if v.Operations[n].Operation.Prev != v.Operations[n-1].Operation.ID {
			t.Errorf("operation %d does not follow operation %d", n, n-1)
		}
	}
}

// The store is away when the PSP answers: the answer is kept, and booked once the
// store is back, but not after the lease. Nobody is asked again.
func TestAnswerOutlivesTheStore(t *testing.T) {
	t.Parallel()
	tests := []struct {
		away time.Duration
		kept bool
	}{
		{away: 3 * time.Second, kept: true},
		{away: 25 * time.Second, kept: true},
		{away: 10 * time.Minute, kept: false},
	}
	for _, test := range tests {
		t.Run(test.away.String(), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 1, nil)
			h.psp.sale = []connector.Outcome{redirected}
			b := h.begin("order-1", 250)
			begun := h.clock()
			h.away(test.away)
			err := h.flows.Handle(t.Context(), h.takeWork())
			if kept := err == nil; kept != test.kept {
				t.Fatalf("Handle: %v; want the answer booked: %t", err, test.kept)
			}
			if took := h.clock().Sub(begun); took < min(test.away, 25*time.Second) || took >= 30*time.Second {
				t.Errorf("it tried for %s, of a lease of 30s", took)
			}
			if len(h.psp.asked) != 1 {
				t.Errorf("the PSP was asked %d times", len(h.psp.asked))
			}
			if test.kept {
				h.wantStatus(b.Payment.ID, payment.StatusAwaitingCustomer, "")
				h.wantTold(b.Payment.ID, event.PaymentAwaiting)
			}
		})
	}
}

// away takes the home from the book for a while.
func (h *house) away(d time.Duration) {
	back := h.clock().Add(d)
	h.homes[0].Fail = func(s book.Step) book.Fault {
		if s == book.StepBegin && h.clock().Before(back) {
			return book.FaultAway
		}
		return book.FaultNone
	}
}

// takeWork gives the one piece of work that is at hand.
func (h *house) takeWork() due.Due {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.work) != 1 {
		h.t.Fatalf("%d pieces of work are at hand, want 1", len(h.work))
	}
	d := h.work[0]
	h.work = nil
	return d
}

// An answer of the look-up is kept as well.
func TestLookupOutlivesTheStore(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.psp.sale, h.psp.lookup = []connector.Outcome{redirected}, []connector.Outcome{approved(250)}
	b := h.begin("order-1", 250)
	h.settle()
	h.away(3 * time.Second)
	if _, err := h.flows.Confirm(t.Context(), b.Attempt, due.Now(b.Attempt.ID.Raw(), due.Watch, h.clock().UnixMicro(), 1, nil)); err != nil {
		t.Errorf("Confirm: %v", err)
	}
	h.wantStatus(b.Payment.ID, payment.StatusCaptured, "0")
}

// That the PSP is silent is no answer to keep.
func TestSilenceIsNotKept(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.begin("order-1", 250)
	h.away(time.Minute)
	before := h.clock()
	if err := h.flows.Handle(t.Context(), h.takeWork()); !errors.Is(err, book.ErrNotRun) || !h.clock().Equal(before) {
		t.Errorf("Handle: %v after %s; want ErrNotRun at once", err, h.clock().Sub(before))
	}
}

// A refund reads before its act. A store that does not answer then is away, as for
// an act, and not our mistake: the doors say 503.
func TestStoreThatCannotBeRead(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.psp.sale = []connector.Outcome{approved(250)}
	b := h.begin("order-1", 250)
	h.settle()
	h.read.broken.Store(true)
	_, err := h.flows.BeginRefund(t.Context(), flow.RefundRequest{Project: h.pr, Payment: h.payment(b.Payment.ID), Amount: inr(100)})
	if !errors.Is(err, book.ErrNotRun) {
		t.Errorf("BeginRefund: %v, want ErrNotRun", err)
	}
}
