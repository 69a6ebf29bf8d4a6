package verify_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/callback"
	"aorta/internal/connector"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/inbox"
	"aorta/internal/ledger"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/risk"
	"aorta/internal/sign"
	"aorta/internal/verify"
)

// house is the real flows over a book in memory. Work is done only when pump
// is called, so a test decides what is left undone.
type house struct {
	t         *testing.T
	mu        sync.Mutex
	now       time.Time
	memory    *book.Memory
	book      *book.Book
	flows     *flow.Flows
	endpoints *callback.Endpoints
	callbacks *callback.Callbacks
	inbox     *inbox.Inbox
	work      []due.Due

	psp      script // what the provider answers
	merchant int    // status that the merchant's endpoint answers; 0: nothing
}

// script is a provider that answers what it is told to.
type script struct{ sale, lookup, refund, payout connector.Outcome }

func (h *house) Capabilities() connector.Capabilities {
	return connector.Capabilities{Refund: true, PartialRefund: true, LookupSchedule: []time.Duration{time.Minute}}
}
func (h *house) Sale(context.Context, connector.Order) connector.Outcome   { return h.psp.sale }
func (h *house) Lookup(context.Context, connector.Order) connector.Outcome { return h.psp.lookup }
func (h *house) Refund(context.Context, connector.Order) connector.Outcome { return h.psp.refund }
func (h *house) LookupRefund(context.Context, connector.Order) connector.Outcome {
	return h.psp.refund
}

func (h *house) Payout(context.Context, connector.Order) connector.Outcome { return h.psp.payout }
func (h *house) LookupPayout(context.Context, connector.Order) connector.Outcome {
	return h.psp.payout
}

// ReadNotification takes a body that is an attempt's id.
func (h *house) ReadNotification(n connector.Notification) (connector.News, error) {
	return connector.News{Reference: string(n.Body), Kind: connector.Approved}, nil
}

// Send is the merchant's endpoint.
func (h *house) Send(context.Context, string, http.Header, []byte) (callback.Answer, error) {
	if h.merchant == 0 {
		return callback.Answer{}, errors.New("no answer")
	}
	return callback.Answer{Status: h.merchant}, nil
}

// Projects of the tests. They differ in what becomes of late money.
const (
	shop = iota + 1
	credits
	refunds
	wallets
	patients // whose customers may try again
	licensed // with rules
)

func projects(n int64) (project.Project, bool) {
	p := project.Project{
		ID: n, MerchantID: n, Secret: sign.NewSecret("secret"), LimitTime: 30 * time.Minute, LateSuccess: project.LateHold, Wallet: n == wallets || n == licensed, WalletOnly: n == licensed,
		Methods: []project.Method{{Code: "paytm-wallet", Connector: "paytm", Account: "demo", Currency: "INR"}},
	}
	switch n {
	case credits:
		p.LateSuccess = project.LateCredit
	case refunds:
		p.LateSuccess = project.LateRefund
	case patients:
		p.PageAttempts, p.RetryTime = 5, 10*time.Minute
	}
	return p, n >= shop && n <= licensed
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC), memory: book.NewMemory(), merchant: http.StatusOK}
	now := func() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.now }
	var err error
	h.book, err = book.New(t.Context(), []book.Home{{Store: h.memory, Lanes: 1, Keep: true}}, book.Options{
		Now: now, Random: rand.Reader, Epoch: 1, Work: func(rows []due.Due) { h.work = append(h.work, rows...) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.book.Close)
	connectors := func(string, string) (connector.Connector, bool) { return h, true }
	h.endpoints = callback.NewEndpoints(h.book, h.memory, callback.EndpointOptions{Projects: projects, Random: rand.Reader, Now: now})
	h.flows = flow.New(h.book, h.memory, flow.Options{
		Endpoints: h.endpoints.Seen, Projects: projects, Connectors: connectors, Now: now, NotifyURL: func(string, string) string { return "https://pay.example/n" },
		Rules: func(n int64) *risk.Rules {
			if n != licensed {
				return nil
			}
			return rules()
		},
	})
	render := func(w event.Work, _ project.Project) ([]byte, http.Header, error) {
		return []byte(w.Event.ID.String()), nil, nil
	}
	h.callbacks = callback.New(h.book, h.memory, callback.Options{
		Styles: map[string]callback.Style{"gate": {Render: render, Delivered: callback.Status200}}, Projects: projects, Sender: h, Now: now,
		Endpoints: h.endpoints,
	})
	h.inbox = inbox.New(h.book, h.memory, inbox.Options{Flows: h.flows, Connectors: connectors, ReturnURL: func(id.Payment) string { return "/" }})
	return h
}

// pump does all work that is due at once, and what that makes due.
func (h *house) pump() {
	h.t.Helper()
	for h.barrier(); len(h.work) > 0; h.barrier() {
		d := h.work[0]
		h.work = h.work[1:]
		var err error
		switch d.Kind {
		case due.Ask, due.AskLater, due.Watch, due.Payout, due.Check, due.Link, due.Float, due.Tell, due.Purchase, due.Code, due.Statement:
			err = h.flows.Handle(h.t.Context(), d)
		case due.Deliver:
			err = h.callbacks.Handle(h.t.Context(), d)
		case due.Notice:
			err = h.inbox.Handle(h.t.Context(), d)
		}
		if err != nil {
			h.t.Fatal(err)
		}
	}
}

// barrier waits until the book has handed out the work of all acts that have
// been answered: it does so after answering, and before it takes the next.
func (h *house) barrier() {
	h.t.Helper()
	_, err := book.Do(h.t.Context(), h.book, book.Act[struct{}]{
		Name: "test.barrier", Decide: func(*book.Page) (struct{}, error) { return struct{}{}, nil },
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// claim does the timed work of an attempt as if its time had come.
func (h *house) claim(a id.Attempt) {
	h.t.Helper()
	rows, err := h.memory.ScanDue(h.t.Context(), id.Raw{}, 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, d := range rows {
		if d.ID != a.Raw() {
			continue
		}
		_, err := book.Do(h.t.Context(), h.book, book.Act[struct{}]{
			Name: "test.claim", Bucket: a.Bucket(), Hint: func(p *book.Page) { p.Due.Get(d.ID) },
			Decide: func(p *book.Page) (struct{}, error) {
				row, _ := p.Due.Get(d.ID)
				p.Due.Put(row.Claim(p.NowUS(), p.Epoch()))
				return struct{}{}, nil
			},
		})
		if err != nil {
			h.t.Fatal(err)
		}
		h.pump()
		return
	}
	h.t.Fatalf("nothing is due on %s", a)
}

func rupees(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "INR"} }

func (h *house) begin(projectID int64, name string) flow.Begun {
	h.t.Helper()
	p, _ := projects(projectID)
	begun, err := h.flows.BeginSale(h.t.Context(), flow.SaleRequest{
		Project: p, Method: p.Methods[0], Door: "gate", PaymentID: name, CustomerID: "c1", CallbackURL: "https://shop.example/cb", Amount: rupees(2500),
		Retries: max(0, p.PageAttempts-1),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.later(time.Second)
	return begun
}

// again has a customer try again.
func (h *house) again(p id.Payment) flow.Begun {
	h.t.Helper()
	pay, _, err := h.memory.Payment(h.t.Context(), p)
	if err != nil {
		h.t.Fatal(err)
	}
	begun, err := h.flows.TryAgain(h.t.Context(), pay, pay.LastOperation, connector.Person{})
	if err != nil || begun.Repeat {
		h.t.Fatalf("try again: repeat %t, %v", begun.Repeat, err)
	}
	h.pump()
	h.later(time.Second)
	return begun
}

// approve is the look-up's answer "paid".
func (h *house) approve(a payment.Attempt) {
	h.t.Helper()
	if err := h.flows.Apply(h.t.Context(), a, connector.Outcome{Kind: connector.Approved, Amount: a.Amount, ProviderID: "T1"}); err != nil {
		h.t.Fatal(err)
	}
	h.pump()
	h.later(time.Second)
}

// expire lets the time limit of a sale pass.
func (h *house) expire(b flow.Begun) {
	h.t.Helper()
	h.later(31 * time.Minute)
	h.psp.lookup = connector.Outcome{Kind: connector.Pending}
	h.claim(b.Attempt.ID)
}

func (h *house) refund(p id.Payment, minor int64, name string) {
	h.t.Helper()
	pay, _, err := h.memory.Payment(h.t.Context(), p)
	if err != nil {
		h.t.Fatal(err)
	}
	pr, _ := projects(pay.ProjectID)
	if _, err := h.flows.BeginRefund(h.t.Context(), flow.RefundRequest{Project: pr, Payment: pay, Amount: rupees(minor), MerchantRefundID: name}); err != nil {
		h.t.Fatal(err)
	}
	h.later(time.Second)
}

// busy runs payments to every state that the flows know.
func busy(t *testing.T) *house {
	t.Helper()
	h := newHouse(t)
	pending := connector.Outcome{Kind: connector.Pending, Redirect: &payment.Redirect{URL: "https://psp.example/pay", Method: "POST"}}
	declined := connector.Outcome{Kind: connector.Declined, Code: payment.CodeExternalDecline}

	h.psp.sale = pending
	paid := h.begin(shop, "Paid")
	h.pump()
	h.approve(paid.Attempt)

	wallet := h.begin(wallets, "wallet")
	h.pump()
	h.approve(wallet.Attempt)

	h.refund(paid.Payment.ID, 9999, "too much")
	h.psp.refund = connector.Outcome{Kind: connector.Approved, Amount: rupees(1000)}
	h.refund(paid.Payment.ID, 1000, "r1")
	h.pump()
	h.psp.refund = declined
	h.refund(paid.Payment.ID, 500, "r2")
	h.pump()
	h.psp.refund = connector.Outcome{Kind: connector.Pending}
	h.refund(paid.Payment.ID, 700, "")
	h.pump()

	h.psp.refund = connector.Outcome{Kind: connector.Approved, Amount: rupees(2500)}
	h.refund(wallet.Payment.ID, 2500, "all")
	h.pump()

	h.psp.sale = declined
	h.begin(shop, "declined")
	h.pump()
	h.begin(patients, "may try")
	h.pump()
	for _, paid := range []string{"second pays", "first pays after all", "both pay"} {
		h.psp.sale = declined
		first := h.begin(patients, paid)
		h.pump()
		h.psp.sale = pending
		second := h.again(first.Payment.ID)
		if paid != "second pays" {
			h.approve(first.Attempt)
		}
		if paid != "first pays after all" {
			h.approve(second.Attempt)
		}
	}
	h.psp.sale = connector.Outcome{Kind: connector.Unknown}
	h.begin(shop, "unknown")
	h.pump()
	h.psp.sale = connector.Outcome{Kind: connector.Pending}
	h.begin(shop, "pending")
	h.pump()

	h.psp.sale = pending
	for _, rule := range []int64{shop, credits, refunds} {
		late := h.begin(rule, "late")
		h.pump()
		h.expire(late)
		h.approve(late.Attempt)
	}

	noticed := h.begin(shop, "noticed")
	h.pump()
	h.psp.lookup = connector.Outcome{Kind: connector.Approved, Amount: rupees(2500)}
	h.post(noticed.Attempt.ID.String())
	h.pump()
	h.post("nobody's")

	h.play()
	h.limit()
	h.payOut()

	h.merchant = 0
	h.begin(shop, "merchant away")
	h.pump()
	h.begin(shop, "not asked yet")
	return h
}

// payOut has a customer paid out, to each end.
func (h *house) payOut() {
	h.t.Helper()
	p, _ := projects(wallets)
	if _, err := h.flows.Credit(h.t.Context(), flow.WalletMove{Project: p, CustomerID: "c3", TxnID: "funds", Amount: rupees(1000)}); err != nil {
		h.t.Fatal(err)
	}
	lost, declined := connector.Outcome{Kind: connector.Unknown}, connector.Outcome{Kind: connector.Declined, Code: payment.CodeExternalDecline}
	for _, x := range []struct {
		name string
		psp  []connector.Outcome
	}{
		{"paid out", []connector.Outcome{{Kind: connector.Approved, Amount: rupees(100)}}},
		{"not paid out", []connector.Outcome{declined}},
		{"not sent", []connector.Outcome{{Kind: connector.NotSent}}},
		{"on its way", []connector.Outcome{{Kind: connector.Pending}}},
		{"lost", []connector.Outcome{lost}},
		{"lost and found", []connector.Outcome{lost, {Kind: connector.Pending}}},
		{"lost and paid", []connector.Outcome{lost, {Kind: connector.Approved, Amount: rupees(100)}}},
		{"lost and refused", []connector.Outcome{lost, declined}},
	} {
		h.psp.payout = x.psp[0]
		b := h.payout(x.name, 100)
		h.pump()
		if len(x.psp) > 1 {
			h.psp.payout = x.psp[1]
			h.later(time.Minute)
			h.claim(b.Attempt.ID)
		}
	}
	h.payout("not sent yet", 100)
	h.barrier()
	h.work = nil
}

func (h *house) payout(name string, minor int64) flow.Begun {
	h.t.Helper()
	h.later(time.Second)
	p, _ := projects(wallets)
	b, err := h.flows.BeginPayout(h.t.Context(), flow.PayoutRequest{
		Project: p, Route: flow.Route{Method: "paytm-wallet", Connector: "paytm", Account: "demo"}, Door: "api", PayoutID: name, CustomerID: "c3", Amount: rupees(minor),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

// rules are those of the licensed project.
var rules = sync.OnceValue(func() *risk.Rules {
	r, ok := risk.Profile("generic")
	if !ok {
		panic("no generic profile")
	}
	return r
})

// limit has a customer of the licensed project limit themselves, pay in to each end,
// play, and pause while a payment is open.
func (h *house) limit() {
	h.t.Helper()
	p, _ := projects(licensed)
	c := flow.CustomerChange{Project: p, CustomerID: "c1", By: flow.Player(p)}
	must := func(err error) {
		h.t.Helper()
		if err != nil {
			h.t.Fatal(err)
		}
		h.later(time.Second)
	}
	must(h.flows.SetLimit(h.t.Context(), c, customer.LimitDeposit, limit.Day, rupees(10_000)))
	must(h.flows.SetLimit(h.t.Context(), c, customer.LimitDeposit, limit.Day, rupees(20_000)))
	was := h.psp.sale
	h.psp.sale, h.psp.refund = connector.Outcome{Kind: connector.Pending}, connector.Outcome{Kind: connector.Approved, Amount: rupees(2500)}
	paid := h.begin(licensed, "counted")
	h.pump()
	h.approve(paid.Attempt)
	h.begin(licensed, "may come")
	h.pump()
	late := h.begin(licensed, "too late")
	h.pump()
	for _, m := range []struct {
		do    func(context.Context, flow.WalletMove) (flow.Moved, error)
		txn   string
		round string
		minor int64
	}{
		{h.flows.Stake, "ls1", "kept", 300},
		{h.flows.Win, "lw1", "kept", 100},
		{h.flows.Stake, "ls2", "returned", 200},
		{h.flows.Win, "lw2", "returned", 50},
		{h.flows.Rollback, "lb", "returned", 200},
	} {
		_, err := m.do(h.t.Context(), flow.WalletMove{Project: p, CustomerID: "c1", TxnID: m.txn, RoundID: m.round, Amount: rupees(m.minor)})
		must(err)
	}
	must(h.flows.CoolOff(h.t.Context(), c, 24))
	h.approve(late.Attempt)
	b, err := h.flows.BeginSale(h.t.Context(), flow.SaleRequest{
		Project: p, Method: p.Methods[0], Door: "gate", PaymentID: "refused", CustomerID: "c1", CallbackURL: "https://shop.example/cb", Amount: rupees(2500), Declines: true,
	})
	if err != nil || b.Payment.Status != payment.StatusDeclined {
		h.t.Fatalf("a restricted customer's payment is %s, %v", b.Payment.Status, err)
	}
	h.pump()
	h.psp.sale = was
}

// play makes each move that a wallet has, and rounds that end in each way.
func (h *house) play() {
	h.t.Helper()
	p, _ := projects(wallets)
	f := h.flows
	for _, m := range []struct {
		do         func(context.Context, flow.WalletMove) (flow.Moved, error)
		txn, round string
		minor      int64
		bonus      bool
	}{
		{f.Credit, "start", "", 1000, false},
		{f.GrantBonus, "given", "", 100, false},
		{f.Stake, "s1", "played", 300, false},
		{f.Win, "w1", "played", 500, false},
		{f.Stake, "s2", "undone", 200, false},
		{f.Stake, "s3", "undone", 60, true},
		{f.Win, "w2", "undone", 50, false},
		{f.Win, "w3", "undone", 5, true},
		{f.Rollback, "b1", "undone", 260, false},
		{f.Rollback, "b2", "never seen", 0, false},
		{f.ReleaseBonus, "freed", "", 40, false},
		{f.Debit, "spent", "", 10, true},
		{f.Debit, "paid", "", 30, false},
	} {
		h.later(time.Second)
		x := flow.WalletMove{Project: p, CustomerID: "c1", TxnID: m.txn, RoundID: m.round, Amount: rupees(m.minor), Bonus: m.bonus}
		if _, err := m.do(h.t.Context(), x); err != nil {
			h.t.Fatalf("%s: %v", m.txn, err)
		}
	}
	if _, err := f.Credit(h.t.Context(), flow.WalletMove{Project: p, CustomerID: "c2", TxnID: "other", Amount: rupees(7)}); err != nil {
		h.t.Fatal(err)
	}
}

// post brings a notification.
func (h *house) post(body string) {
	h.t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/n/{connector}/{account}", h.inbox)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/n/paytm/demo", bytes.NewReader([]byte(body))))
	if w.Code != http.StatusOK {
		h.t.Fatalf("notification: %d %s", w.Code, w.Body)
	}
}

// rows are all rows of a store, to be changed and written to another one. They
// stand in an order that the flows made: payments as busy begins them.
type rows struct {
	*book.Changes
}

func read[R, K any](t *testing.T, scan func(context.Context, K, int) ([]R, error)) []R {
	t.Helper()
	var none K
	all, err := scan(t.Context(), none, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func allRows(t *testing.T, m *book.Memory) rows {
	t.Helper()
	var c book.Changes
	c.Refs.Insert = read(t, m.ScanRefs)
	c.Customers.Insert = read(t, m.ScanCustomers)
	c.Rounds.Insert = read(t, m.ScanRounds)
	c.Payments.Insert = read(t, m.ScanPayments)
	c.Operations.Insert = read(t, m.ScanOperations)
	c.Attempts.Insert = read(t, m.ScanAttempts)
	c.Accounts.Insert = read(t, m.ScanAccounts)
	c.Deliveries.Insert = read(t, m.ScanDeliveries)
	c.Inbox.Insert = read(t, m.ScanInbox)
	c.Cases.Insert = read(t, m.Cases)
	c.Endpoints.Insert = read(t, m.ScanEndpoints)
	c.Due.Insert = read(t, m.ScanDue)
	c.Answers.Insert = read(t, m.ScanAnswers)
	c.Keys.Insert = read(t, m.ScanKeys)
	c.Instruments.Insert = read(t, m.ScanInstruments)
	c.Windows.Insert = read(t, m.ScanWindows)
	c.Checks.Insert = read(t, m.ScanChecks)
	c.Persons.Insert = read(t, m.ScanPersons)
	c.Reviews.Insert = read(t, m.ScanReviews)
	c.Operators.Insert = read(t, m.ScanOperators)
	c.AuditHeads.Insert = read(t, m.ScanAuditHeads)
	c.Floats.Insert = read(t, m.ScanFloats)
	c.Claims.Insert = read(t, m.ScanClaims)
	c.Calls.Insert = read(t, m.ScanCalls)
	c.Associations.Insert = read(t, m.ScanAssociations)
	c.Linked.Insert = read(t, m.ScanLinked)
	c.Spent.Insert = read(t, m.ScanSpent)
	c.Proofs.Insert = read(t, m.ScanProofs)
	c.Codes.Insert = read(t, m.ScanCodes)
	c.Statements.Insert = read(t, m.ScanStatements)
	c.Lines.Insert = read(t, m.ScanLines)
	c.Told.Insert = read(t, m.ScanTold)
	c.Notes = read(t, m.ScanNotes)
	c.Audit = read(t, m.ScanAudit)
	c.Transfers = read(t, m.ScanTransfers)
	c.Events = read(t, m.ScanEvents)
	return rows{&c}
}

// store writes the rows to a store of their own, as no act would let one.
func (r rows) store(t *testing.T) *book.Memory {
	t.Helper()
	m := book.NewMemory()
	lane, err := m.Lane(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lane.Begin(t.Context(), id.Batch{1}, id.Batch{}, &book.Keys{}); err != nil {
		t.Fatal(err)
	}
	if err := lane.Commit(t.Context(), r.Changes); err != nil {
		t.Fatal(err)
	}
	return m
}

// Pickers, for corruptions to say what they corrupt.

// late is a case of money that came late.
func (r rows) late() *payment.Case {
	return pick(r.Cases.Insert, func(c *payment.Case) bool { return c.Kind == "late_success" })
}

func (r rows) payment(name string) *payment.Payment {
	for n := range r.Payments.Insert {
		if r.Payments.Insert[n].MerchantPaymentID == name {
			return &r.Payments.Insert[n]
		}
	}
	panic("no payment " + name)
}

func pick[R any](list []R, fits func(*R) bool) *R {
	for n := range list {
		if fits(&list[n]) {
			return &list[n]
		}
	}
	panic("no such row")
}

func drop[R any](list *[]R, fits func(*R) bool) {
	kept := (*list)[:0:0]
	for n := range *list {
		if !fits(&(*list)[n]) {
			kept = append(kept, (*list)[n])
		}
	}
	if len(kept) == len(*list) {
		panic("nothing dropped")
	}
	*list = kept
}

func (r rows) operation(name string, k payment.OperationKind) *payment.Operation {
	p := r.payment(name)
	return pick(r.Operations.Insert, func(o *payment.Operation) bool { return o.Payment == p.ID && o.Kind == k })
}

func (r rows) attempt(name string) *payment.Attempt {
	o := r.operation(name, payment.KindSale)
	return pick(r.Attempts.Insert, func(a *payment.Attempt) bool { return a.ID == o.Attempt })
}

func (r rows) transfer(name string, k ledger.Kind) *ledger.Transfer {
	p := r.payment(name)
	return pick(r.Transfers, func(x *ledger.Transfer) bool { return x.Payment == p.ID && x.Kind == k })
}

// move is the transfer of a wallet's move, by its name.
func (r rows) move(name string) *ledger.Transfer {
	return pick(r.Transfers, func(x *ledger.Transfer) bool { return x.Name == name })
}

func (r rows) round(name string) *ledger.Round {
	return pick(r.Rounds.Insert, func(x *ledger.Round) bool { return x.Name == name })
}

func (r rows) posted(k id.Account) *ledger.Account {
	return pick(r.Accounts.Insert, func(a *ledger.Account) bool { return a.ID == k })
}

func (r rows) event(name string, k event.Kind) *event.Event {
	p := r.payment(name)
	return pick(r.Events, func(e *event.Event) bool { return e.Payment == p.ID && e.Kind == k })
}

func (r rows) delivery(name string) *event.Delivery {
	p := r.payment(name)
	return pick(r.Deliveries.Insert, func(d *event.Delivery) bool { return d.ID == p.LastDelivery })
}

// payout is the attempt of a payout.
func (r rows) payout(name string) *payment.Attempt {
	o := r.operation(name, payment.KindPayout)
	return pick(r.Attempts.Insert, func(a *payment.Attempt) bool { return a.ID == o.Attempt })
}

// window is that of the licensed project's customer.
func (r rows) window(k limit.Kind) *limit.Window {
	return pick(r.Windows.Insert, func(w *limit.Window) bool { return w.Kind == k })
}

// entries changes what a window of deposits holds.
func (r rows) entries(change func(*limit.Entries)) {
	w := r.window(limit.Deposits)
	e, err := limit.DecodeEntries(w.Entries)
	if err != nil {
		panic(err)
	}
	change(&e)
	w.Entries = e.Encode()
}

// slots changes what a window of play holds.
func (r rows) slots(change func(*limit.Slots)) {
	w := r.window(limit.Play)
	s, err := limit.DecodeSlots(w.Entries)
	if err != nil {
		panic(err)
	}
	change(&s)
	w.Entries = s.Encode()
}

func (r rows) dropDue(subject id.Raw) {
	drop(&r.Due.Insert, func(d *due.Due) bool { return d.ID == subject })
}

func (r rows) account(p ledger.Purpose) *ledger.Account {
	return pick(r.Accounts.Insert, func(a *ledger.Account) bool { return a.Purpose == p && a.Minor != 0 })
}

// mint makes an id like one of k's place and time that nothing has.
func mint[K ~[16]byte](k K) K {
	k[15] ^= 0xff
	return k
}

func run(t *testing.T, r book.Reader, o verify.Options) verify.Report {
	t.Helper()
	report, err := verify.Run(t.Context(), r, o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func list(violations []string) string { return "\n  " + strings.Join(violations, "\n  ") }

// later moves the clock.
func (h *house) later(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}
