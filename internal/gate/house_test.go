package gate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/flow"
	"aorta/internal/gate"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/risk"
	"aorta/internal/sign"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with testdata/name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs:\ngot\n%s\nwant\n%s", path, got, want)
	}
}

const secret = "aorta-test-secret"

// mill is a small PSP that keeps its own records: the customer pays on its page,
// and a refund of 13 minor units is beneath it.
type mill struct {
	mu      sync.Mutex
	page    bool // a sale needs the customer; otherwise it is decided at once
	sales   map[id.Attempt]connector.Outcome
	refunds map[id.Attempt]connector.Outcome
}

func (m *mill) Capabilities() connector.Capabilities {
	return connector.Capabilities{Methods: []string{"paytm-wallet"}, Refund: true, PartialRefund: true, LookupSchedule: []time.Duration{30 * time.Second}}
}

var millTime = time.Date(2026, 1, 2, 3, 4, 1, 0, time.UTC)

func (m *mill) Sale(_ context.Context, o connector.Order) connector.Outcome {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.page {
		m.sales[o.Attempt.ID] = connector.Outcome{Kind: connector.Pending, Redirect: &payment.Redirect{
			URL: "https://mill.example/pay;v=1?order=7", Method: http.MethodPost, Fields: map[string]string{"mid": "MILL", "txnToken": "t0k3n"},
		}}
	} else {
		m.decide(o.Attempt, true)
	}
	return m.sales[o.Attempt.ID]
}

// decide is the customer on the page.
func (m *mill) decide(a payment.Attempt, pays bool) {
	m.sales[a.ID] = connector.Outcome{
		Kind: connector.Approved, ProviderID: "MILL;1", ProviderCode: "01", ProviderMessage: "ok", ProviderTime: millTime, Amount: a.Amount,
	}
	if !pays {
		m.sales[a.ID] = connector.Outcome{Kind: connector.Declined, Code: payment.CodeExternalFunds, ProviderCode: "227"}
	}
}

func (m *mill) Lookup(_ context.Context, o connector.Order) connector.Outcome {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sales[o.Attempt.ID]
}

func (m *mill) Refund(_ context.Context, o connector.Order) connector.Outcome {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refunds[o.Attempt.ID] = connector.Outcome{Kind: connector.Approved, ProviderID: "R1", ProviderTime: millTime, Amount: o.Attempt.Amount}
	if o.Attempt.Amount.Minor == 13 {
		m.refunds[o.Attempt.ID] = connector.Outcome{Kind: connector.Declined, Code: payment.CodeExternalDecline}
	}
	return m.refunds[o.Attempt.ID]
}

func (m *mill) LookupRefund(_ context.Context, o connector.Order) connector.Outcome {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.refunds[o.Attempt.ID]
}

// house is a platform in memory with Gate before it. Its clock stands still, and
// its work is done when the test says so.
type house struct {
	t        testing.TB
	memory   *book.Memory
	flows    *flow.Flows
	gate     *gate.Gate
	psp      *mill
	projects map[int64]project.Project
	rules    *risk.Rules // nil: no project is licensed
	from     netip.Addr  // whom ClientIP names

	mu        sync.Mutex
	now       time.Time
	work      []due.Due
	done      map[id.Raw]bool
	callbacks [][]byte
}

// source is randomness that is the same in every run.
type source struct {
	mu sync.Mutex
	r  *rand.ChaCha8
}

func (s *source) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r.Read(b)
}

func newHouse(t testing.TB, change ...func(*house, *gate.Options)) *house {
	t.Helper()
	h := &house{
		t: t, memory: book.NewMemory(), now: time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC), done: map[id.Raw]bool{},
		psp: &mill{sales: map[id.Attempt]connector.Outcome{}, refunds: map[id.Attempt]connector.Outcome{}},
	}
	wallet := project.Method{
		Code: "paytm-wallet", Group: "wallet", Segment: "paytm", Name: "Paytm Wallet", Connector: "paytm", Account: "demo",
		Provider: 2469, Currency: "INR", MinMinor: 100, MaxMinor: 999999999,
	}
	other := wallet
	other.Code, other.Segment, other.Name = "mill-wallet", "mill", "Mill; Wallet"
	shop := project.Project{
		ID: 200, MerchantID: 1, Secret: sign.NewSecret(secret), CallbackURL: "https://shop.example/callback",
		LateSuccess: project.LateHold, LimitTime: 30 * time.Minute, Methods: []project.Method{wallet, other},
	}
	lax, fenced := shop, shop
	lax.ID, lax.CustomerOptional, lax.SumInRefund, lax.CallbackURL = 201, true, project.SumRemaining, ""
	fenced.ID, fenced.AllowedIPs = 202, []string{"192.0.2.7", "nonsense", "2001:db8::/64"}
	h.projects = map[int64]project.Project{200: shop, 201: lax, 202: fenced}
	find := func(id int64) (project.Project, bool) { p, ok := h.projects[id]; return p, ok }

	b, err := book.New(t.Context(), []book.Home{{Store: h.memory}}, book.Options{
		Now: h.clock, Random: &source{r: rand.NewChaCha8([32]byte{1})}, Epoch: 1,
		Work: func(rows []due.Due) { h.mu.Lock(); h.work = append(h.work, rows...); h.mu.Unlock() },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	h.flows = flow.New(b, h.memory, flow.Options{
		Projects:   find,
		Connectors: func(string, string) (connector.Connector, bool) { return h.psp, true },
		NotifyURL:  func(name, account string) string { return "https://pay.example/n/" + name + "/" + account },
		Now:        h.clock,
		Rules:      func(int64) *risk.Rules { return h.rules },
	})
	o := gate.Options{
		Flows: h.flows, Projects: find, Now: h.clock, Random: &source{r: rand.NewChaCha8([32]byte{2})},
		ClientIP: func(*http.Request) netip.Addr { return h.from },
	}
	for _, c := range change {
		c(h, &o)
	}
	h.gate = gate.New(o)
	return h
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// settle does all work for now: PSPs are asked, callbacks rendered.
func (h *house) settle() {
	h.t.Helper()
	for {
		h.mu.Lock()
		work := h.work
		h.work = nil
		h.mu.Unlock()
		for _, d := range work {
			if d.Kind == due.Deliver {
				h.render(*d.Carry.(*event.Work))
			} else if err := h.flows.Handle(h.t.Context(), d); err != nil {
				h.t.Errorf("Handle(%s): %v", d.Kind, err)
			}
			h.done[d.ID] = true
		}
		// Work is handed out after the answer, so it may be on its way still.
		rows, err := h.memory.ScanDue(h.t.Context(), id.Raw{}, 10000)
		if err != nil {
			h.t.Fatal(err)
		}
		if !slices.ContainsFunc(rows, func(d due.Due) bool { return d.Owner == 1 && !h.done[d.ID] }) {
			return
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// render makes a callback's body of what the act carried and of what was stored,
// and checks that the merchant would take it.
func (h *house) render(w event.Work) {
	h.t.Helper()
	p := h.projects[w.Snapshot.Payment.ProjectID]
	body, header, err := gate.RenderCallback(w, p)
	if err != nil {
		h.t.Errorf("RenderCallback(%s): %v", w.Event.Kind, err)
		return
	}
	if got := header.Get("Content-Type"); got != "application/json" {
		h.t.Errorf("callback's Content-Type = %q", got)
	}
	stored := w
	stored.Event, _, _ = h.memory.Event(h.t.Context(), w.Event.ID)
	if stored.Snapshot, err = book.SnapshotOf(h.t.Context(), h.memory, stored.Event); err != nil {
		h.t.Error(err)
	}
	if again, _, err := gate.RenderCallback(stored, p); err != nil || !bytes.Equal(again, body) {
		h.t.Errorf("RenderCallback of the stored event = %s, %v\nwant %s", again, err, body)
	}
	verify(h.t, body, sign.AtRoot)
	h.callbacks = append(h.callbacks, body)
}

// verify is the merchant's check.
func verify(t testing.TB, body []byte, at sign.Place) {
	t.Helper()
	doc, err := sign.ParseJSON(body)
	if err != nil {
		t.Errorf("ParseJSON(%s): %v", body, err)
		return
	}
	if err := sign.Verify(doc, sign.NewSecret(secret), at); err != nil {
		t.Errorf("Verify(%s): %v", body, err)
	}
}

// pay finishes a payment at the PSP's page.
func (h *house) pay(paymentID string, pays bool) {
	h.t.Helper()
	pay, err := h.flows.Find(h.t.Context(), h.projects[200], paymentID)
	if err != nil {
		h.t.Fatal(err)
	}
	view, err := h.flows.Status(h.t.Context(), pay, 1)
	if err != nil {
		h.t.Fatal(err)
	}
	a := view.Operations[0].Attempt
	h.psp.mu.Lock()
	h.psp.decide(a, pays)
	h.psp.mu.Unlock()
	if _, err := h.flows.Confirm(h.t.Context(), a, due.Due{}); err != nil {
		h.t.Fatal(err)
	}
	h.settle()
}

// signed adds general.signature, or the root's where there is no general.
func signed(body string) string {
	doc, err := sign.ParseJSON([]byte(body))
	if err != nil {
		panic(err)
	}
	signature, err := json.Marshal(sign.Sign(doc, sign.NewSecret(secret)))
	if err != nil {
		panic(err)
	}
	if doc.Get("general").Exists() {
		return strings.Replace(body, `"general":{`, `"general":{"signature":`+string(signature)+`,`, 1)
	}
	return strings.Replace(body, `{`, `{"signature":`+string(signature)+`,`, 1)
}

// post sends a body as it is.
func (h *house) post(path, body string) *httptest.ResponseRecorder {
	h.t.Helper()
	w := httptest.NewRecorder()
	h.gate.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader(body)).WithContext(h.t.Context()))
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		h.t.Errorf("POST %s: Content-Type = %q", path, got)
	}
	return w
}

// do signs and sends a body, and wants it taken.
func (h *house) do(path, body string) (requestID string) {
	h.t.Helper()
	w := h.post(path, signed(body))
	var got struct {
		Status    string `json:"status"`
		RequestID string `json:"request_id"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK || got.Status != "success" || got.RequestID == "" {
		h.t.Fatalf("POST %s %s = %d %s", path, body, w.Code, w.Body)
	}
	h.settle()
	return got.RequestID
}

const (
	salePath          = "/v2/payment/wallet/paytm/sale"
	refundPath        = "/v2/payment/wallet/paytm/refund"
	statusPath        = "/v2/payment/status"
	requestStatusPath = "/v2/payment/status/request"

	saleBody   = `{"general":{"project_id":200,"payment_id":"gate-1"},"customer":{"id":"12345","ip_address":"192.0.2.10"},"payment":{"amount":250,"currency":"INR"}}`
	statusBody = `{"general":{"project_id":200,"payment_id":"gate-1"}}`
)

// empty checks that nothing at all is stored.
func (h *house) empty() {
	h.t.Helper()
	if rows := h.rows(); rows != 0 {
		h.t.Errorf("%d rows are stored, want none", rows)
	}
}

// rows counts everything stored.
func (h *house) rows() int {
	ctx, all := h.t.Context(), 1<<20
	payments, _ := h.memory.ScanPayments(ctx, id.Payment{}, all)
	operations, _ := h.memory.ScanOperations(ctx, id.Operation{}, all)
	attempts, _ := h.memory.ScanAttempts(ctx, id.Attempt{}, all)
	accounts, _ := h.memory.ScanAccounts(ctx, id.Account{}, all)
	transfers, _ := h.memory.ScanTransfers(ctx, id.Transfer{}, all)
	events, _ := h.memory.ScanEvents(ctx, id.Event{}, all)
	deliveries, _ := h.memory.ScanDeliveries(ctx, id.Delivery{}, all)
	refs, _ := h.memory.ScanRefs(ctx, payment.RefKey{}, all)
	work, _ := h.memory.ScanDue(ctx, id.Raw{}, all)
	return len(payments) + len(operations) + len(attempts) + len(accounts) + len(transfers) + len(events) + len(deliveries) + len(refs) + len(work)
}

// flowsOver gives the house's flows over another book.
func flowsOver(b *book.Book, h *house) *flow.Flows {
	return flow.New(b, h.memory, flow.Options{
		Projects:   func(int64) (project.Project, bool) { return project.Project{}, false },
		Connectors: func(string, string) (connector.Connector, bool) { return h.psp, true },
		NotifyURL:  func(string, string) string { return "" },
		Now:        h.clock,
	})
}

func (h *house) workOf(e event.Event) event.Work {
	h.t.Helper()
	s, err := book.SnapshotOf(h.t.Context(), h.memory, e)
	if err != nil {
		h.t.Fatal(err)
	}
	return event.Work{Event: e, Snapshot: s}
}
