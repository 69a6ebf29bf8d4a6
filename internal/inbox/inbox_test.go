package inbox_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/due"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/inbox"
	"aorta/internal/ledger"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/risk"
	"aorta/internal/verification"
)

// psp is one account at a small provider whose news is a form and its HMAC:
// mid=M&order=att_…&kind=approved&minor=250&currency=INR&salt=1.hmac
type psp struct {
	mid string
	key []byte

	mu      sync.Mutex
	answers []connector.Outcome // of look-ups; the last repeats, none is Unknown
	asked   int
	lost    bool // answers to sales are
}

func (p *psp) Capabilities() connector.Capabilities {
	return connector.Capabilities{LookupSchedule: []time.Duration{time.Hour}, NewsHeaders: []string{"X-Seal"}}
}

func (p *psp) Sale(context.Context, connector.Order) connector.Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lost {
		return connector.Outcome{Kind: connector.Unknown}
	}
	return connector.Outcome{Kind: connector.Pending, Redirect: &payment.Redirect{URL: "https://psp.example/page", Method: "POST"}}
}

func (p *psp) Lookup(context.Context, connector.Order) connector.Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if len(p.answers) == 0 {
		return connector.Outcome{Kind: connector.Unknown}
	}
	out := p.answers[0]
	p.answers = p.answers[min(1, len(p.answers)-1):]
	return out
}

// Refund never answers.
func (p *psp) Refund(context.Context, connector.Order) connector.Outcome {
	return connector.Outcome{Kind: connector.Unknown}
}

func (p *psp) LookupRefund(ctx context.Context, o connector.Order) connector.Outcome {
	return p.Lookup(ctx, o)
}

func (p *psp) says(answers ...connector.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers = answers
}

func (p *psp) lookups() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

func (p *psp) sign(form string) string {
	mac := hmac.New(sha256.New, p.key)
	mac.Write([]byte(form))
	return form + "." + hex.EncodeToString(mac.Sum(nil))
}

func (p *psp) ReadNotification(n connector.Notification) (connector.News, error) {
	form, _, found := strings.Cut(string(n.Body), ".")
	if !found {
		return connector.News{}, connector.ErrMalformed
	}
	if !hmac.Equal([]byte(p.sign(form)), n.Body) {
		return connector.News{}, connector.ErrSignature
	}
	v, err := url.ParseQuery(form)
	if err != nil {
		return connector.News{}, connector.ErrMalformed
	}
	minor, _ := strconv.ParseInt(v.Get("minor"), 10, 64)
	news := connector.News{
		Reference: v.Get("order"), Kind: connector.Kind(v.Get("kind")),
		Amount: money.Amount{Minor: minor, Currency: money.Currency(v.Get("currency"))},
	}
	if v.Get("mid") != p.mid {
		news.Mismatch = "names another MID"
	}
	if v.Has("final") {
		news.Final, news.EventID, news.Payment, news.ProviderID, news.Code = true, v.Get("event"), v.Get("payment"), "psp-1", v.Get("code")
		news.Operation = payment.OperationKind(v.Get("operation"))
		if v.Get("currency") == "" {
			news.Amount = money.Amount{}
		}
		if n.Header.Get("X-Seal") != "sealed" {
			return connector.News{}, connector.ErrSignature
		}
	}
	return news, nil
}

// mute is a provider that sends no news.
type mute struct{ connector.Connector }

// house is a platform in memory whose clock and PSPs the test moves by hand.
type house struct {
	t     *testing.T
	home  *book.Memory
	book  *book.Book
	flows *flow.Flows
	in    *inbox.Inbox
	door  http.Handler
	psps  map[string]*psp // by account
	pr    project.Project

	rules    *risk.Rules            // nil: the project is not licensed
	checkers verification.Directory // who checks customers

	away   atomic.Bool // the store fails at commit
	hidden atomic.Bool // attempts are not to be found yet

	connectors func(name, account string) (connector.Connector, bool)
	gone       atomic.Bool // no connector is configured any more

	mu     sync.Mutex
	now    time.Time
	work   []due.Due
	stored map[id.Inbox]bool
}

// reader finds no attempts while they are hidden, as before an act commits.
type reader struct {
	*book.Memory
	hidden *atomic.Bool
}

func (r reader) Attempt(ctx context.Context, a id.Attempt) (payment.Attempt, bool, error) {
	if r.hidden.Load() {
		return payment.Attempt{}, false, nil
	}
	return r.Memory.Attempt(ctx, a)
}

type seeded struct{ r *rand.ChaCha8 }

func (s seeded) Read(b []byte) (int, error) { return s.r.Read(b) }

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{
		t: t, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), home: book.NewMemory(), stored: map[id.Inbox]bool{},
		psps: map[string]*psp{"demo": {mid: "M1", key: []byte("key one")}, "other": {mid: "M2", key: []byte("key two")}},
		pr: project.Project{
			ID: 200, MerchantID: 1, LateSuccess: project.LateHold, LimitTime: 30 * time.Minute,
			Methods: []project.Method{{Code: "small-wallet", Connector: "small", Account: "demo", Currency: "INR"}},
		},
	}
	h.home.Fail = func(s book.Step) book.Fault {
		if s == book.StepCommit && h.away.Load() {
			return book.FaultAway
		}
		return book.FaultNone
	}
	b, err := book.New(t.Context(), []book.Home{{Store: h.home}}, book.Options{
		Now: h.clock, Random: seeded{rand.NewChaCha8([32]byte{1})}, Epoch: 1, Work: h.take,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	h.book = b
	connectors := func(name, account string) (connector.Connector, bool) {
		switch p, ok := h.psps[account]; {
		case name == "small" && account == "mute":
			return mute{h.psps["demo"]}, true
		case name != "small" || !ok || h.gone.Load():
			return nil, false
		default:
			return p, true
		}
	}
	h.connectors = connectors
	h.open()
	return h
}

// open makes the flows and the inbox over the book, as a process does that has
// written nothing yet and so remembers nothing.
func (h *house) open() {
	b, read, connectors := h.book, reader{h.home, &h.hidden}, h.connectors
	h.flows = flow.New(b, read, flow.Options{
		Projects:   func(int64) (project.Project, bool) { return h.pr, true },
		Connectors: connectors, NotifyURL: func(string, string) string { return "https://pay.example/n/small/demo" }, Now: h.clock,
		Rules: func(int64) *risk.Rules { return h.rules }, Verifiers: h.checkers,
	})
	h.in = inbox.New(b, read, inbox.Options{
		Flows: h.flows, Connectors: connectors, ReturnURL: func(p id.Payment) string { return "https://pay.example/payment/" + p.String() },
		Verifiers: h.checkers,
	})
	mux := http.NewServeMux()
	mux.Handle("/n/{connector}/{account}", h.in)
	mux.Handle("/n/"+flow.KYC+"/{account}", h.in.Checks())
	h.door = mux
}

func (h *house) take(rows []due.Due) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.work = append(h.work, rows...)
	for _, d := range rows {
		if d.Kind == due.Notice {
			h.stored[id.Inbox(d.ID)] = true
		}
	}
}

func (h *house) clock() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.now }

// works gives the work at hand. The lane hands it over after it has answered
// and before it takes the next act, so an act that does nothing comes first.
func (h *house) works() []due.Due {
	h.t.Helper()
	_, err := book.Do(h.t.Context(), h.book, book.Act[struct{}]{Name: "test.barrier", Decide: func(*book.Page) (struct{}, error) {
		return struct{}{}, nil
	}})
	if err != nil {
		h.t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	work := h.work
	h.work = nil
	return work
}

// settle does all work at hand.
func (h *house) settle() {
	h.t.Helper()
	for work := h.works(); len(work) > 0; work = h.works() {
		for _, d := range work {
			do := h.flows.Handle
			if d.Kind == due.Notice {
				do = h.in.Handle
			}
			if err := do(h.t.Context(), d); err != nil {
				h.t.Fatalf("Handle(%s) = %v", d.Kind, err)
			}
		}
	}
}

// pass lets time go by, and has what is then overdue claimed and done.
func (h *house) pass(d time.Duration) {
	h.t.Helper()
	end := h.clock().Add(d)
	set := func(now time.Time) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if now.After(h.now) {
			h.now = now
		}
	}
	for {
		rows, err := h.home.Overdue(h.t.Context(), end.UnixMicro(), nil, 1)
		if err != nil {
			h.t.Fatal(err)
		}
		if len(rows) == 0 {
			break
		}
		set(time.UnixMicro(rows[0].DueUS))
		_, err = book.Do(h.t.Context(), h.book, book.Act[struct{}]{Name: "test.claim", Bucket: rows[0].ID.Bucket(), Decide: func(p *book.Page) (struct{}, error) {
			if d, ok := p.Due.Get(rows[0].ID); ok {
				p.Due.Put(d.Claim(p.NowUS(), p.Epoch()))
			}
			return struct{}{}, nil
		}})
		if err != nil {
			h.t.Fatal(err)
		}
		h.settle()
	}
	set(end)
}

// sale begins one of 2.50 INR whose customer is on the PSP's page.
func (h *house) sale(paymentID string) flow.Begun {
	h.t.Helper()
	b, err := h.flows.BeginSale(h.t.Context(), flow.SaleRequest{
		Project: h.pr, Method: h.pr.Methods[0], Door: "gate", PaymentID: paymentID, Amount: money.Amount{Minor: 250, Currency: "INR"},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.settle()
	return b
}

// news is what account demo sends of an attempt, changed as said: "minor=1".
func (h *house) news(a id.Attempt, changes ...string) string {
	v := url.Values{"mid": {"M1"}, "order": {a.String()}, "kind": {"approved"}, "minor": {"250"}, "currency": {"INR"}}
	for _, c := range changes {
		name, value, _ := strings.Cut(c, "=")
		v.Set(name, value)
	}
	return h.psps["demo"].sign(v.Encode())
}

const (
	chrome = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	java   = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"
)

func (h *house) send(method, path, accept string, body io.Reader) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, body)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	r.Header.Set("X-Seal", "sealed")
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	w := httptest.NewRecorder()
	h.door.ServeHTTP(w, r)
	return w
}

// post brings news from account demo, and wants it taken.
func (h *house) post(body string) {
	h.t.Helper()
	if w := h.send(http.MethodPost, "/n/small/demo", "", strings.NewReader(body)); w.Code != http.StatusOK {
		h.t.Fatalf("POST answered %d %s, want 200", w.Code, w.Body)
	}
}

// rows are the notifications that were ever stored.
func (h *house) rows() []payment.Inbox {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []payment.Inbox
	for k := range h.stored {
		row, ok, err := h.home.Inbox(h.t.Context(), k)
		if err != nil || !ok {
			h.t.Fatalf("notification %s: found %t, %v", k, ok, err)
		}
		out = append(out, row)
	}
	return out
}

func (h *house) wantRow(state payment.InboxState, reason string, tries int64) {
	h.t.Helper()
	rows := h.rows()
	if len(rows) != 1 || rows[0].State != state || !strings.Contains(rows[0].Reason, reason) || rows[0].Tries != tries {
		h.t.Errorf("stored are %+v, want one that is %s (%q) after %d tries", rows, state, reason, tries)
	}
}

func (h *house) wantStatus(p id.Payment, want payment.Status) {
	h.t.Helper()
	got, ok, err := h.home.Payment(h.t.Context(), p)
	if err != nil || !ok || got.Status != want {
		h.t.Errorf("payment is %s (found %t, %v), want %s", got.Status, ok, err, want)
	}
}

func (h *house) wantBalance(owner string, p ledger.Purpose, want int64) {
	h.t.Helper()
	rows, err := h.home.ScanAccounts(h.t.Context(), id.Account{}, 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	var got int64
	for _, a := range rows {
		if a.Owner == owner && a.Purpose == p {
			got += a.Balance()
		}
	}
	if got != want {
		h.t.Errorf("%s of %s is %d, want %d", p, owner, got, want)
	}
}

func (h *house) wantCases(kinds ...string) {
	h.t.Helper()
	rows, err := h.home.Cases(h.t.Context(), id.Case{}, 100)
	if err != nil {
		h.t.Fatal(err)
	}
	var got []string
	for _, c := range rows {
		got = append(got, c.Kind)
	}
	if fmt.Sprint(got) != fmt.Sprint(kinds) {
		h.t.Errorf("cases are %v, want %v", got, kinds)
	}
}

func (h *house) wantNoNotice() {
	h.t.Helper()
	rows, err := h.home.ScanDue(h.t.Context(), id.Raw{}, 100)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, d := range rows {
		if d.Kind == due.Notice {
			h.t.Errorf("work on %s is left, due at %d", id.Inbox(d.ID), d.DueUS)
		}
	}
}

var (
	paid    = connector.Outcome{Kind: connector.Approved, ProviderID: "psp-1", Amount: money.Amount{Minor: 250, Currency: "INR"}}
	unpaid  = connector.Outcome{Kind: connector.Declined, Code: "20105"}
	waiting = connector.Outcome{Kind: connector.Pending}
	unheard = connector.Outcome{Kind: connector.Unknown}
)

func TestNewsIsStoredAnsweredAndAppliedAfterALookUp(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		kind   string
		lookup connector.Outcome
		want   payment.Status
		reason string
		minor  int64
	}{
		{name: "paid", kind: "approved", lookup: paid, want: payment.StatusCaptured, reason: "confirmed: approved", minor: 250},
		{name: "declined", kind: "declined", lookup: unpaid, want: payment.StatusDeclined, reason: "confirmed: declined"},
		{name: "not yet", kind: "pending", lookup: waiting, want: payment.StatusAwaitingCustomer, reason: "confirmed: pending"},
		{name: "the look-up has the last word", kind: "approved", lookup: unpaid, want: payment.StatusDeclined, reason: "confirmed: declined"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			b := h.sale("order-1")
			h.psps["demo"].says(test.lookup)
			body := h.news(b.Attempt.ID, "kind="+test.kind)
			h.post(body)
			h.wantStatus(b.Payment.ID, payment.StatusAwaitingCustomer) // answered before it is acted upon
			h.settle()
			h.wantStatus(b.Payment.ID, test.want)
			h.wantBalance("merchant:1", ledger.Payable, test.minor)
			h.wantRow(payment.InboxApplied, test.reason, 1)
			if row := h.rows()[0]; row.Body != body || row.Header != `{"Content-Type":"application/x-www-form-urlencoded","X-Seal":"sealed"}` {
				t.Errorf("stored %q with %s, want it as it came", row.Body, row.Header)
			}
			h.wantNoNotice()
		})
	}
}

func TestWhatIsNoNewsIsRefusedAndNotStored(t *testing.T) {
	t.Parallel()
	demo := "/n/small/demo"
	good := func(h *house, a id.Attempt) string { return h.news(a) }
	forged := func(h *house, a id.Attempt) string { return strings.Replace(h.news(a), "minor=250", "minor=251", 1) }
	tests := []struct {
		name   string
		method string
		path   string
		accept string
		body   func(h *house, a id.Attempt) string
		want   int
	}{
		{name: "forged", path: demo, body: forged, want: 401},
		{name: "forged, by a browser", path: demo, accept: chrome, body: forged, want: 401},
		{name: "signed by another account", path: "/n/small/other", body: good, want: 401},
		{name: "malformed", path: demo, body: func(*house, id.Attempt) string { return "what" }, want: 400},
		{name: "malformed, by a browser", path: demo, accept: chrome, body: func(*house, id.Attempt) string { return "what" }, want: 400},
		{name: "empty", path: demo, body: func(*house, id.Attempt) string { return "" }, want: 400},
		{name: "signed, not UTF-8", path: demo, body: func(h *house, _ id.Attempt) string { return h.psps["demo"].sign("mid=M1&bank=\xff") }, want: 400},
		{name: "signed, with a NUL", path: demo, body: func(h *house, _ id.Attempt) string { return h.psps["demo"].sign("mid=M1&bank=\x00") }, want: 400},
		{name: "2 MiB", path: demo, body: func(*house, id.Attempt) string { return strings.Repeat("a", 2<<20) }, want: 413},
		{name: "unknown account", path: "/n/small/nobody", body: good, want: 404},
		{name: "unknown connector", path: "/n/large/demo", body: good, want: 404},
		{name: "a provider that sends no news", path: "/n/small/mute", body: good, want: 404},
		{name: "GET", method: http.MethodGet, path: demo, body: good, want: 405},
		{name: "GET by a browser", method: http.MethodGet, path: demo, accept: chrome, body: good, want: 200},
		{name: "PUT", method: http.MethodPut, path: demo, body: good, want: 405},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			b := h.sale("order-1")
			h.psps["demo"].says(paid)
			method := test.method
			if method == "" {
				method = http.MethodPost
			}
			w := h.send(method, test.path, test.accept, strings.NewReader(test.body(h, b.Attempt.ID)))
			if w.Code != test.want {
				t.Errorf("%s %s answered %d, want %d", method, test.path, w.Code, test.want)
			}
			if page := strings.HasPrefix(w.Header().Get("Content-Type"), "text/html"); page != (test.accept == chrome) {
				t.Errorf("answer is of type %q", w.Header().Get("Content-Type"))
			}
			if said := w.Body.String(); strings.Contains(said, "signature") || strings.Contains(said, b.Attempt.ID.String()) {
				t.Errorf("a stranger is told %q", said)
			}
			h.settle()
			if rows := h.rows(); len(rows) != 0 {
				t.Errorf("stored %+v, want nothing", rows)
			}
			h.wantStatus(b.Payment.ID, payment.StatusAwaitingCustomer)
			h.wantCases()
		})
	}
}

// Silence would be answered as 200, and the PSP would never send it again.
func TestABodyThatBreaksOffIsAskedForAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	w := h.send(http.MethodPost, "/n/small/demo", "", io.MultiReader(strings.NewReader("mid=M1"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("POST answered %d with Retry-After %q, want 503 with one", w.Code, w.Header().Get("Retry-After"))
	}
}

func TestAStoreThatIsAwayIsAnswered503(t *testing.T) {
	t.Parallel()
	for _, accept := range []string{"", chrome} {
		h := newHouse(t)
		b := h.sale("order-1")
		h.psps["demo"].says(paid)
		h.away.Store(true)
		w := h.send(http.MethodPost, "/n/small/demo", accept, strings.NewReader(h.news(b.Attempt.ID)))
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("POST answered %d with Retry-After %q, want 503 with one", w.Code, w.Header().Get("Retry-After"))
		}
		h.away.Store(false)
		h.settle()
		h.wantStatus(b.Payment.ID, payment.StatusAwaitingCustomer)
		h.post(h.news(b.Attempt.ID))
		h.settle()
		h.wantStatus(b.Payment.ID, payment.StatusCaptured)
	}
}

func TestRepeats(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change string
		rows   int
	}{
		{name: "the same bytes", change: "salt=1", rows: 1},
		{name: "the same news under another salt", change: "salt=2", rows: 2},
	}
	for _, test := range tests {
		for _, between := range []bool{false, true} {
			t.Run(fmt.Sprint(test.name, ", applied between: ", between), func(t *testing.T) {
				t.Parallel()
				h := newHouse(t)
				b := h.sale("order-1")
				h.psps["demo"].says(paid)
				h.post(h.news(b.Attempt.ID, "salt=1"))
				if between {
					h.settle()
				}
				h.post(h.news(b.Attempt.ID, test.change))
				h.settle()
				rows := h.rows()
				if len(rows) != test.rows {
					t.Errorf("%d rows are stored, want %d", len(rows), test.rows)
				}
				for _, row := range rows {
					if row.State != payment.InboxApplied {
						t.Errorf("row is %s (%s), want applied", row.State, row.Reason)
					}
				}
				if n := h.psps["demo"].lookups(); n != 1 {
					t.Errorf("looked up %d times, want once", n)
				}
				h.wantStatus(b.Payment.ID, payment.StatusCaptured)
				h.wantBalance("merchant:1", ledger.Payable, 250)
				h.wantCases()
				h.wantNoNotice()
			})
		}
	}
}

func TestAMismatchOpensOneCaseAndChangesNothing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		account string
		change  string
	}{
		{name: "amount", account: "demo", change: "minor=1"},
		{name: "currency", account: "demo", change: "currency=USD"},
		{name: "MID", account: "demo", change: "mid=M2"},
		{name: "another account's attempt", account: "other", change: "mid=M2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			b := h.sale("order-1")
			h.psps["demo"].says(paid)
			for _, salt := range []string{"salt=1", "salt=2"} {
				signed := h.news(b.Attempt.ID, test.change, salt)
				form, _, _ := strings.Cut(signed, ".")
				w := h.send(http.MethodPost, "/n/small/"+test.account, "", strings.NewReader(h.psps[test.account].sign(form)))
				if w.Code != http.StatusOK {
					t.Errorf("POST answered %d, want 200: it was verified", w.Code)
				}
				h.settle()
			}
			for _, row := range h.rows() {
				if row.State != payment.InboxApplied || !strings.Contains(row.Reason, "mismatch") {
					t.Errorf("row is %s (%s), want it settled as a mismatch", row.State, row.Reason)
				}
			}
			h.wantCases(flow.CaseMismatch)
			h.wantStatus(b.Payment.ID, payment.StatusAwaitingCustomer)
			h.wantBalance("merchant:1", ledger.Payable, 0)
			if n := h.psps["demo"].lookups(); n != 0 {
				t.Errorf("looked up %d times, want none", n)
			}
			h.wantNoNotice()
		})
	}
}

func TestAnUnknownOrderIsTriedAgainThenADeadLetterAndReplayed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.sale("order-1")
	h.psps["demo"].says(paid)
	h.open()
	h.hidden.Store(true)
	h.post(h.news(b.Attempt.ID))
	h.settle()
	h.wantRow(payment.InboxStored, "names no attempt", 1)
	h.pass(2 * time.Minute) // 5, 10, 15, 20 and 25 s after one another
	h.wantRow(payment.InboxDead, "names no attempt", 6)
	h.wantNoNotice()
	dead, err := h.home.DeadInbox(t.Context(), id.Inbox{}, 10)
	if err != nil || len(dead) != 1 {
		t.Fatalf("DeadInbox() = %v, %v; want one", dead, err)
	}
	h.post(h.news(b.Attempt.ID)) // the PSP insists
	h.settle()
	h.wantRow(payment.InboxStored, "names no attempt", 1)
	h.pass(2 * time.Minute)
	h.wantRow(payment.InboxDead, "names no attempt", 6)
	h.hidden.Store(false)
	if err := h.in.Replay(t.Context(), dead[0].ID); err != nil {
		t.Fatalf("Replay() = %v", err)
	}
	h.settle()
	h.wantRow(payment.InboxApplied, "confirmed: approved", 1)
	h.wantStatus(b.Payment.ID, payment.StatusCaptured)
	h.wantNoNotice()
}

func TestNewsOfWhatIsNoAttemptOfOursIsADeadLetter(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"", "ORDER-7", "att_00000000000000000000000000", "att_7zzzzzzzzzzzzzzzzzzzzzzzzz"} { // the last is of bucket 255
		h := newHouse(t)
		h.post(h.news(id.Attempt{}, "order="+order))
		h.settle()
		h.pass(2 * time.Minute)
		h.wantRow(payment.InboxDead, "names no attempt", 6)
	}
}

func TestReplayOfNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	elsewhere := id.Inbox(h.book.Mint(7))
	beyond := elsewhere
	beyond[6] = 200 // a bucket that there is not
	for _, k := range []id.Inbox{elsewhere, beyond} {
		if err := h.in.Replay(t.Context(), k); !errors.Is(err, inbox.ErrNoNotification) {
			t.Errorf("Replay(%s) = %v, want ErrNoNotification", k, err)
		}
	}
}

func TestALookUpThatTellsNothingIsTriedAgain(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		before []connector.Outcome
	}{
		{name: "unknown", before: []connector.Outcome{unheard, unheard}},
		{name: "still pending", before: []connector.Outcome{waiting, waiting}},
		{name: "no record", before: []connector.Outcome{{Kind: connector.Pending, NoRecord: true}, {Kind: connector.Unknown, NoRecord: true}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			b := h.sale("order-1")
			h.psps["demo"].says(append(test.before, paid)...)
			h.post(h.news(b.Attempt.ID))
			h.settle()
			h.wantRow(payment.InboxStored, "not confirmed", 1)
			h.wantStatus(b.Payment.ID, payment.StatusAwaitingCustomer)
			h.pass(5 * time.Second)
			h.wantRow(payment.InboxStored, "not confirmed", 2)
			h.pass(10 * time.Second)
			h.wantRow(payment.InboxApplied, "confirmed: approved", 3)
			h.wantStatus(b.Payment.ID, payment.StatusCaptured)
		})
	}
}

// Money has moved, says the PSP, and then it cannot be asked for half a day:
// the payment ends by its time, and the money is booked all the same.
func TestALookUpThatIsAwayForHours(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.sale("order-1")
	var away []connector.Outcome
	for range 14 {
		away = append(away, unheard)
	}
	h.psps["demo"].says(append(away, paid)...)
	h.post(h.news(b.Attempt.ID))
	h.settle()
	h.pass(12 * time.Hour)
	h.wantStatus(b.Payment.ID, payment.StatusDeclined)
	h.wantCases(flow.CaseLateSuccess)
}

func TestNewsOfASettledPayment(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		first   connector.Outcome // how it was settled
		kind    string            // what is then said
		second  connector.Outcome // and looked up
		status  payment.Status
		payable int64
		owed    int64
		cases   []string
		lookups int
	}{
		{name: "paid, and paid again", first: paid, kind: "approved", second: paid, status: payment.StatusCaptured, payable: 250},
		{name: "paid, and still pending", first: paid, kind: "pending", second: waiting, status: payment.StatusCaptured, payable: 250},
		{name: "paid, and declined", first: paid, kind: "declined", second: paid, status: payment.StatusCaptured, payable: 250, lookups: 1},
		{
			name: "paid, and taken back", first: paid, kind: "declined", second: unpaid, status: payment.StatusCaptured, payable: 250,
			cases: []string{flow.CaseConflict}, lookups: 1,
		},
		{name: "declined, and declined again", first: unpaid, kind: "declined", second: unpaid, status: payment.StatusDeclined},
		{
			name: "declined, and paid", first: unpaid, kind: "approved", second: paid, status: payment.StatusDeclined, owed: 250,
			cases: []string{flow.CaseLateSuccess}, lookups: 1,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			b := h.sale("order-1")
			if err := h.flows.Apply(t.Context(), b.Attempt, test.first); err != nil {
				t.Fatal(err)
			}
			h.psps["demo"].says(test.second)
			h.post(h.news(b.Attempt.ID, "kind="+test.kind))
			h.settle()
			h.wantStatus(b.Payment.ID, test.status)
			h.wantBalance("merchant:1", ledger.Payable, test.payable)
			h.wantBalance("house", ledger.RefundDue, test.owed)
			h.wantCases(test.cases...)
			if n := h.psps["demo"].lookups(); n != test.lookups {
				t.Errorf("looked up %d times, want %d", n, test.lookups)
			}
			if rows := h.rows(); len(rows) != 1 || rows[0].State != payment.InboxApplied {
				t.Errorf("stored are %+v, want one, applied", rows)
			}
		})
	}
}

func TestPaidAfterTheLimitTimeIsLate(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.sale("order-1")
	h.psps["demo"].says(waiting)
	h.pass(31 * time.Minute)
	h.wantStatus(b.Payment.ID, payment.StatusDeclined)
	h.psps["demo"].says(paid)
	h.post(h.news(b.Attempt.ID))
	h.settle()
	h.wantRow(payment.InboxApplied, "confirmed: approved", 1)
	h.wantStatus(b.Payment.ID, payment.StatusDeclined)
	h.wantBalance("house", ledger.RefundDue, 250)
	h.wantCases(flow.CaseLateSuccess)
}

func TestACustomersBrowserIsSentOn(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		account string
		accept  string
		change  string
		want    int
		sentOn  bool
	}{
		{name: "browser", account: "demo", accept: chrome, want: http.StatusSeeOther, sentOn: true},
		{name: "browser, wrong amount", account: "demo", accept: chrome, change: "minor=1", want: http.StatusSeeOther, sentOn: true},
		{name: "browser, unknown order", account: "demo", accept: chrome, change: "order=x", want: http.StatusOK},
		{name: "browser, another account's attempt", account: "other", accept: chrome, change: "mid=M2", want: http.StatusOK},
		{name: "program", account: "demo", accept: "*/*", want: http.StatusOK},
		{name: "program in Java", account: "demo", accept: java, want: http.StatusOK},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			b := h.sale("order-1")
			form, _, _ := strings.Cut(h.news(b.Attempt.ID, test.change), ".")
			w := h.send(http.MethodPost, "/n/small/"+test.account, test.accept, strings.NewReader(h.psps[test.account].sign(form)))
			want := ""
			if test.sentOn {
				want = "https://pay.example/payment/" + b.Payment.ID.String()
			}
			if got := w.Header().Get("Location"); w.Code != test.want || got != want {
				t.Errorf("POST answered %d to %q, want %d to %q", w.Code, got, test.want, want)
			}
			h.works()
			if n := len(h.rows()); n != 1 {
				t.Errorf("%d rows are stored, want 1", n)
			}
		})
	}
}

// A notification whose process died is read again from its row, signature and
// all, by whoever takes it over.
func TestAnotherProcessGoesOn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.sale("order-1")
	h.psps["demo"].says(paid)
	h.post(h.news(b.Attempt.ID))
	h.works() // lost
	h.pass(29 * time.Second)
	h.wantStatus(b.Payment.ID, payment.StatusAwaitingCustomer)
	h.pass(2 * time.Second)
	h.wantRow(payment.InboxApplied, "confirmed: approved", 1)
	h.wantStatus(b.Payment.ID, payment.StatusCaptured)
}

func TestARowThatCannotBeReadAgainIsADeadLetter(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		spoil  func(h *house)
		mend   func(h *house)
		reason string
	}{
		{
			name: "the account is gone", reason: "not configured",
			spoil: func(h *house) { h.gone.Store(true) }, mend: func(h *house) { h.gone.Store(false) },
		},
		{
			name: "its key has changed", reason: "cannot be read again",
			spoil: func(h *house) { h.psps["demo"].key = []byte("new") }, mend: func(h *house) { h.psps["demo"].key = []byte("key one") },
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			b := h.sale("order-1")
			h.psps["demo"].says(paid)
			h.post(h.news(b.Attempt.ID))
			h.works() // lost
			test.spoil(h)
			h.pass(5 * time.Minute)
			h.wantRow(payment.InboxDead, test.reason, 6)
			h.wantNoNotice()
			test.mend(h)
			if err := h.in.Replay(t.Context(), h.rows()[0].ID); err != nil {
				t.Fatal(err)
			}
			h.settle()
			h.wantRow(payment.InboxApplied, "confirmed: approved", 1)
			h.wantStatus(b.Payment.ID, payment.StatusCaptured)
		})
	}
}

// The account may leave the settings while its news is at hand.
func TestAnAccountThatGoesMeanwhile(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.sale("order-1")
	h.post(h.news(b.Attempt.ID))
	h.gone.Store(true)
	h.settle()
	h.wantRow(payment.InboxStored, "not configured", 1)
}

// A slow try that ends after another one has settled the notification must not
// have it tried again.
func TestTwoTriesAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.sale("order-1")
	h.post(h.news(b.Attempt.ID))
	work := h.works()
	if len(work) != 1 {
		t.Fatalf("%d pieces of work, want 1", len(work))
	}
	h.psps["demo"].says(paid)
	if err := h.in.Handle(t.Context(), work[0]); err != nil {
		t.Fatal(err)
	}
	h.hidden.Store(true) // the second try would have come again
	if err := h.in.Handle(t.Context(), work[0]); err != nil {
		t.Fatal(err)
	}
	h.wantRow(payment.InboxApplied, "confirmed: approved", 1)
	h.wantNoNotice()
}
