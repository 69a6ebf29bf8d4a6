package api_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aorta/internal/api"
	"aorta/internal/book"
	"aorta/internal/callback"
	"aorta/internal/connector"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/inbox"
	"aorta/internal/ledger"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/risk"
	"aorta/internal/sign"
	"aorta/internal/store"
	"aorta/internal/store/storetest"
	"aorta/internal/verification"
	"aorta/internal/verification/manual"
)

// mill is a small PSP that keeps its own records. What it does is told by the
// amount of a sale in minor units.
type mill struct {
	mu    sync.Mutex
	asked int
	sales map[id.Attempt]connector.Outcome // and payouts, as they are looked up
	paid  []connector.Order                // payouts asked for
	most  int64                            // it sends, in minor units; 0: anything
	hold  chan struct{}                    // a sale of silent waits for it
}

// Amounts, in minor units, with a meaning to the mill.
const (
	paidAtOnce = 100
	refused    = 200
	away       = 300
	form       = 400
	silent     = 500
	lost       = 600 // of a payout: so is the answer
	odd        = 13  // of a refund: beneath it
)

func (m *mill) Capabilities() connector.Capabilities {
	return connector.Capabilities{Methods: []string{"generic-card"}, PayoutBeyond: true, Refund: true, PartialRefund: true, LookupSchedule: []time.Duration{30 * time.Second}, MinMinor: 5, MaxMinor: m.most}
}

func (m *mill) Sale(ctx context.Context, o connector.Order) connector.Outcome {
	m.mu.Lock()
	m.asked++
	hold := m.hold
	m.mu.Unlock()
	switch o.Attempt.Amount.Minor {
	case paidAtOnce:
		return connector.Outcome{Kind: connector.Approved, ProviderID: "M1", Amount: o.Attempt.Amount}
	case refused:
		return connector.Outcome{Kind: connector.Declined, Code: payment.CodeExternalFunds, ProviderCode: "51"}
	case away:
		return connector.Outcome{Kind: connector.NotSent}
	case form:
		return connector.Outcome{Kind: connector.Pending, Redirect: &payment.Redirect{URL: "https://mill.example/f", Method: http.MethodPost, Fields: map[string]string{"t": "1"}}}
	case silent:
		select {
		case <-hold:
		case <-ctx.Done():
		}
	}
	return connector.Outcome{Kind: connector.Pending, Redirect: &payment.Redirect{URL: "https://mill.example/pay?o=7", Method: http.MethodGet}}
}

func (m *mill) Lookup(_ context.Context, o connector.Order) connector.Outcome {
	m.mu.Lock()
	defer m.mu.Unlock()
	if out, ok := m.sales[o.Attempt.ID]; ok {
		return out
	}
	return connector.Outcome{Kind: connector.Pending}
}

// webhookKey signs the mill's news.
const webhookKey = "mill's key"

func signature(body string) string {
	mac := hmac.New(sha256.New, []byte(webhookKey))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// ReadNotification reads the webhook of L11.
func (m *mill) ReadNotification(n connector.Notification) (connector.News, error) {
	if !hmac.Equal([]byte(n.Header.Get("X-Signature")), []byte(signature(string(n.Body)))) {
		return connector.News{}, connector.ErrSignature
	}
	var w struct {
		EventID   string `json:"event_id"`
		Type      string `json:"type"`
		Reference string `json:"reference"`
		PaymentID string `json:"payment_id"`
		Status    string `json:"status"`
		Amount    string `json:"amount"`
		Currency  string `json:"currency"`
	}
	amount, err := money.Amount{}, json.Unmarshal(n.Body, &w)
	if err == nil {
		amount, err = money.ParseDecimal(w.Amount, money.Currency(w.Currency))
	}
	if err != nil {
		return connector.News{}, connector.ErrMalformed
	}
	kind := payment.KindSale
	if w.Type == "payout" {
		kind = payment.KindPayout
		if payout, err := id.ParsePayout(w.PaymentID); err == nil {
			w.PaymentID = id.Payment(payout).String()
		}
	}
	return connector.News{
		Reference: w.Reference, Payment: w.PaymentID, Operation: kind,
		Kind:   map[string]connector.Kind{"captured": connector.Approved, "succeeded": connector.Approved, "failed": connector.Declined}[w.Status],
		Amount: amount, EventID: w.EventID, Final: true, ProviderID: "M2",
	}, nil
}

func (m *mill) Refund(_ context.Context, o connector.Order) connector.Outcome {
	if o.Attempt.Amount.Minor == odd {
		return connector.Outcome{Kind: connector.Declined, Code: payment.CodeExternalDecline}
	}
	return connector.Outcome{Kind: connector.Approved, ProviderID: "R1", Amount: o.Attempt.Amount}
}

func (m *mill) LookupRefund(context.Context, connector.Order) connector.Outcome {
	return connector.Outcome{Kind: connector.Unknown}
}

func (m *mill) Payout(ctx context.Context, o connector.Order) connector.Outcome {
	m.mu.Lock()
	m.paid = append(m.paid, o)
	hold := m.hold
	m.mu.Unlock()
	switch o.Attempt.Amount.Minor {
	case paidAtOnce:
		return connector.Outcome{Kind: connector.Approved, ProviderID: "P1", Amount: o.Attempt.Amount}
	case refused:
		return connector.Outcome{Kind: connector.Declined, Code: payment.CodeExternalLimit, ProviderCode: "limit"}
	case away:
		return connector.Outcome{Kind: connector.NotSent}
	case lost:
		return connector.Outcome{Kind: connector.Unknown}
	case silent:
		select {
		case <-hold:
		case <-ctx.Done():
		}
	}
	return connector.Outcome{Kind: connector.Pending}
}

func (m *mill) LookupPayout(ctx context.Context, o connector.Order) connector.Outcome {
	return m.Lookup(ctx, o)
}

// will says what a look-up of an attempt is answered from now on.
func (m *mill) will(a id.Attempt, out connector.Outcome) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sales[a] = out
}

// payouts are those asked for.
func (m *mill) payouts() []connector.Order {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.paid)
}

// connect gives the mill, which by its account "mute" can do nothing but sales.
func (h *house) connect(_, account string) (connector.Connector, bool) {
	if account == "mute" {
		return struct{ connector.Connector }{h.psp}, true
	}
	return h.psp, true
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

// homes are databases in memory, read as one: every second bucket in the second.
type homes []*book.Memory

func (h homes) of(b id.Bucket) *book.Memory { return h[int(b)%len(h)] }

// house is a platform in memory with /v1 before it. Its clock stands still unless
// it is told to go on; its work is done at once.
type house struct {
	t        testing.TB
	homes    homes
	db       storetest.DB // instead of homes, in tests that try each store
	book     *book.Book
	flows    *flow.Flows
	api      *api.API
	inbox    *inbox.Inbox
	hooks    *callback.Endpoints
	calls    *callback.Callbacks
	shop     shop // where webhooks arrive
	psp      *mill
	projects map[int64]project.Project
	rules    map[int64]*risk.Rules // of licensed projects
	from     netip.Addr
	key      string // of project 200, for everything

	mu   sync.Mutex
	now  time.Time
	work sync.WaitGroup
	idle bool // work is left undone, as by a process that dies
}

type setting func(*house, *api.Options)

func newHouse(t testing.TB, change ...setting) *house { return newHouseOf(t, 1, change...) }

// newHouseOn is a house over a store of its own.
func newHouseOn(t testing.TB, db storetest.DB, change ...setting) *house {
	t.Helper()
	return build(&house{t: t, db: db}, change)
}

func newHouseOf(t testing.TB, count int, change ...setting) *house {
	t.Helper()
	h := &house{t: t}
	for range count {
		h.homes = append(h.homes, book.NewMemory())
	}
	return build(h, change)
}

func build(h *house, change []setting) *house {
	h.t.Helper()
	h.now, h.from = time.Date(2026, 1, 2, 3, 4, 5, 678_000, time.UTC), netip.MustParseAddr("192.0.2.1")
	h.psp = &mill{sales: map[id.Attempt]connector.Outcome{}, hold: make(chan struct{})}
	card := project.Method{Code: "generic-card", Group: "card", Segment: "generic", Name: "Card", Connector: "generic", Account: "demo", Currency: "EUR", MinMinor: 10, MaxMinor: 99_999_99}
	bank, yen := card, card
	bank.Code, bank.Group = "generic-bank", "bank"
	bank.Group = "online-banking"
	yen.Currency = "JPY"
	shop := project.Project{
		ID: 200, MerchantID: 1, Secret: sign.NewSecret("s"), Wallet: true, LateSuccess: project.LateHold, LimitTime: 30 * time.Minute,
		Methods: []project.Method{card, bank, yen},
	}
	strict, fenced, other := shop, shop, shop
	strict.ID, strict.WalletOnly = 201, true
	fenced.ID, fenced.AllowedIPs = 202, []string{"192.0.2.7", "nonsense", "2001:db8::/64"}
	other.ID, other.MerchantID = 203, 2
	licensed := strict
	licensed.ID, licensed.MerchantID = 300, 3
	h.projects = map[int64]project.Project{200: shop, 201: strict, 202: fenced, 203: other, 300: licensed}
	rules, err := risk.Load("rules.toml", []byte("profile = \"generic\"\n"))
	if err != nil {
		h.t.Fatal(err)
	}
	h.rules = map[int64]*risk.Rules{300: rules}
	find := func(id int64) (project.Project, bool) { p, ok := h.projects[id]; return p, ok }

	h.open(1)
	h.tells(find)
	h.flows = h.newFlows(find)
	h.inbox = inbox.New(h.book, h.reader(), inbox.Options{
		Flows: h.flows, Connectors: h.connect, ReturnURL: func(id.Payment) string { return "" },
	})
	o := api.Options{
		Flows: h.flows, Read: h.reader(), Projects: find, PayURL: func(p id.Payment) string { return "https://pay.example/payment/s/" + p.String() },
		PublicURL: func() string { return "https://pay.example" }, KeyHash: keyHash, Cursors: api.NewCursors([32]byte{9}), Now: h.clock, Random: &source{r: rand.NewChaCha8([32]byte{2})},
		News: func(ctx context.Context, header http.Header, body []byte) error {
			return h.inbox.Accept(ctx, []inbox.Account{{Connector: "generic", Name: "demo"}}, header, body)
		},
		CustomerURL: func(p project.Project, customerID, returnURL, language string, until time.Time) string {
			return "https://pay.example/customer/" + url.PathEscape(strings.Join([]string{strconv.FormatInt(p.ID, 10), customerID, returnURL, language, strconv.FormatInt(until.Unix(), 10)}, "|"))
		},
		Endpoints: h.hooks, ReplayTo: h.calls.ReplayTo,
		ClientIP: func(*http.Request) netip.Addr { return h.from },
	}
	for _, c := range change {
		c(h, &o)
	}
	h.api = api.New(o)
	h.key = h.newKey(200, "", scopes()...)
	h.t.Cleanup(func() { // whatever the test is of, what webhooks tell is as openapi.json says
		for _, m := range h.shop.taken() {
			conformsMessage(h.t, m.body)
		}
	})
	h.t.Cleanup(h.work.Wait)
	return h
}

// open opens the book as a process of that epoch does.
func (h *house) open(epoch int64) {
	h.t.Helper()
	var list []book.Home
	if h.db != nil {
		list = append(list, book.Home{Store: h.db, Lanes: 2})
		if _, one := h.db.(*store.SQLite); one {
			list[0].Lanes = 1
		}
	}
	for n, m := range h.homes {
		home := book.Home{Store: m}
		for b := n; b < 32; b += len(h.homes) {
			home.Buckets = append(home.Buckets, id.Bucket(b))
		}
		list = append(list, home)
	}
	b, err := book.New(h.t.Context(), list, book.Options{
		Now: h.clock, Random: &source{r: rand.NewChaCha8([32]byte{byte(epoch)})}, Epoch: epoch, Work: func(rows []due.Due) {
			for _, d := range rows {
				switch {
				case d.Kind == due.Deliver && h.shop.open.Load():
					h.work.Go(func() { _ = h.calls.Handle(context.Background(), d) })
				case d.Kind == due.Deliver, h.idle:
				case d.Kind == due.Notice:
					h.work.Go(func() { _ = h.inbox.Handle(context.Background(), d) })
				default:
					h.work.Go(func() { _ = h.flows.Handle(context.Background(), d) })
				}
			}
		},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(b.Close)
	h.book = b
}

// shop takes webhooks once it is open.
type shop struct {
	open atomic.Bool
	mu   sync.Mutex
	got  []taken
	say  int // its answer; 0: 204
}

// taken is a webhook as the shop has it.
type taken struct {
	header http.Header
	body   string
}

// Send takes a webhook.
func (s *shop) Send(_ context.Context, _ string, header http.Header, body []byte) (callback.Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, taken{header.Clone(), string(body)})
	if s.say != 0 {
		return callback.Answer{Status: s.say}, nil
	}
	return callback.Answer{Status: http.StatusNoContent}, nil
}

func (s *shop) answers(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.say = status
}

func (s *shop) taken() []taken {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

// tells makes what tells endpoints of events.
func (h *house) tells(find func(int64) (project.Project, bool)) {
	read := h.reader()
	h.hooks = callback.NewEndpoints(h.book, read, callback.EndpointOptions{
		Projects: find, Key: [32]byte{9}, Random: &source{r: rand.NewChaCha8([32]byte{4})}, Now: h.clock,
	})
	if err := h.hooks.Refresh(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	h.calls = callback.New(h.book, read, callback.Options{Projects: find, Sender: &h.shop, Endpoints: h.hooks, Now: h.clock})
}

func (h *house) newFlows(find func(int64) (project.Project, bool)) *flow.Flows {
	return flow.New(h.book, h.reader(), flow.Options{
		Projects: find, Endpoints: h.hooks.Seen, Connectors: h.connect,
		NotifyURL: func(string, string) string { return "https://pay.example/n" }, Now: h.clock,
		Rules:     func(id int64) *risk.Rules { return h.rules[id] },
		Verifiers: verification.Directory{{Name: "people", Levels: []int64{2, 3}, Provider: manual.Manual{}}},
		Vault:     fop.NewVault([32]byte{7}, &source{r: rand.NewChaCha8([32]byte{4})}),
	})
}

// restart is a new process over the same homes.
func (h *house) restart(dead bool) {
	h.t.Helper()
	h.work.Wait()
	h.idle = false
	find := func(id int64) (project.Project, bool) { p, ok := h.projects[id]; return p, ok }
	h.open(2)
	h.tells(find)
	h.flows = flow.New(h.book, h.reader(), flow.Options{
		Projects: find, Endpoints: h.hooks.Seen, Connectors: h.connect,
		NotifyURL: func(string, string) string { return "https://pay.example/n" }, Now: h.clock, Dead: func(epoch int64) bool { return dead && epoch == 1 },
	})
	h.api = api.New(api.Options{
		Flows: h.flows, Read: h.reader(), Projects: find, PayURL: func(p id.Payment) string { return "https://pay.example/payment/s/" + p.String() },
		PublicURL: func() string { return "https://pay.example" }, KeyHash: keyHash, Cursors: api.NewCursors([32]byte{9}), Now: h.clock, Random: &source{r: rand.NewChaCha8([32]byte{3})},
		Endpoints: h.hooks, ReplayTo: h.calls.ReplayTo,
	})
}

func (h *house) reader() book.Reader {
	if h.db != nil {
		return h.db
	}
	return reader{h.homes[0], h.homes}
}

// stores are all databases of the house, each to be read by itself.
func (h *house) stores() []book.Reader {
	if h.db != nil {
		return []book.Reader{h.db}
	}
	var out []book.Reader
	for _, m := range h.homes {
		out = append(out, m)
	}
	return out
}

// reader reads by a row's own bucket where there are several homes.
type reader struct {
	book.Reader
	homes homes
}

func (r reader) Customer(ctx context.Context, k id.Customer) (customer.Customer, bool, error) {
	return r.homes.of(k.Bucket()).Customer(ctx, k)
}

func (r reader) Account(ctx context.Context, k id.Account) (ledger.Account, bool, error) {
	return r.homes.of(k.Bucket()).Account(ctx, k)
}

func (r reader) Transfer(ctx context.Context, k id.Transfer) (ledger.Transfer, bool, error) {
	return r.homes.of(k.Bucket()).Transfer(ctx, k)
}

func (r reader) Deposits(ctx context.Context, k id.Transfer, most int) ([]id.Payment, error) {
	return r.homes.of(k.Bucket()).Deposits(ctx, k, most)
}

func (r reader) Note(ctx context.Context, k id.Note) (customer.Note, bool, error) {
	return r.homes.of(k.Bucket()).Note(ctx, k)
}

func (r reader) Window(ctx context.Context, k id.Window) (limit.Window, bool, error) {
	return r.homes.of(k.Bucket()).Window(ctx, k)
}

func (r reader) Round(ctx context.Context, k id.Round) (ledger.Round, bool, error) {
	return r.homes.of(k.Bucket()).Round(ctx, k)
}

func (r reader) Inbox(ctx context.Context, k id.Inbox) (payment.Inbox, bool, error) {
	return r.homes.of(k.Bucket()).Inbox(ctx, k)
}

func (r reader) Payment(ctx context.Context, k id.Payment) (payment.Payment, bool, error) {
	return r.homes.of(k.Bucket()).Payment(ctx, k)
}

func (r reader) Operation(ctx context.Context, k id.Operation) (payment.Operation, bool, error) {
	return r.homes.of(k.Bucket()).Operation(ctx, k)
}

func (r reader) Attempt(ctx context.Context, k id.Attempt) (payment.Attempt, bool, error) {
	return r.homes.of(k.Bucket()).Attempt(ctx, k)
}

func (r reader) Endpoint(ctx context.Context, k id.Endpoint) (event.Endpoint, bool, error) {
	return r.homes.of(k.Bucket()).Endpoint(ctx, k)
}

func (r reader) Answer(ctx context.Context, k id.Answer) (payment.Answer, bool, error) {
	return r.homes.of(k.Bucket()).Answer(ctx, k)
}

func (r reader) Key(ctx context.Context, k id.Key) (project.Key, bool, error) {
	return r.homes.of(k.Bucket()).Key(ctx, k)
}

func (r reader) Request(ctx context.Context, k id.Raw) (payment.Request, bool, error) {
	return r.homes.of(k.Bucket()).Request(ctx, k)
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

// keyHash hashes the house's API keys.
var keyHash = project.NewKeyHasher([32]byte{7})

func scopes() []project.Scope { return project.Scopes() }

// newKey makes an API key and gives its text.
func (h *house) newKey(projectID int64, customer string, may ...project.Scope) string {
	h.t.Helper()
	words := make([]string, len(may))
	for n, s := range may {
		words[n] = string(s)
	}
	k := project.Key{ID: h.flows.NewKey(h.projects[projectID]), ProjectID: projectID, Scopes: strings.Join(words, " "), DefaultCustomer: customer}
	text := project.KeyText(k.ID, strings.Repeat("k", project.KeySecretLen))
	k.Hash = keyHash.Hash(text)
	if err := h.flows.PutKey(h.t.Context(), k, operator.Actor{}); err != nil {
		h.t.Fatal(err)
	}
	return text
}

// answer is what a call was answered.
type answer struct {
	*httptest.ResponseRecorder
	doc map[string]any
}

func (a answer) text(path ...string) string {
	var v any = a.doc
	for _, name := range path {
		if list, ok := v.([]any); ok {
			n, err := strconv.Atoi(name)
			if err != nil || n >= len(list) {
				return ""
			}
			v = list[n]
			continue
		}
		o, _ := v.(map[string]any)
		v = o[name]
	}
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		text, _ := json.Marshal(v)
		return string(text)
	}
}

// request makes a request with the house's key. An empty value takes a header away.
func (h *house) request(method, target, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body)).WithContext(h.t.Context())
	r.Header.Set("Authorization", "Bearer "+h.key)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for n := 0; n+1 < len(headers); n += 2 {
		if headers[n+1] == "" {
			r.Header.Del(headers[n])
			continue
		}
		r.Header.Add(headers[n], headers[n+1])
		if headers[n] == "Authorization" || headers[n] == "Content-Type" {
			r.Header.Set(headers[n], headers[n+1])
		}
	}
	return r
}

// send has a request answered, and checks what every answer must have.
func (h *house) send(r *http.Request) answer {
	h.t.Helper()
	w := answer{ResponseRecorder: httptest.NewRecorder()}
	h.api.ServeHTTP(w, r)
	if err := json.Unmarshal(w.Body.Bytes(), &w.doc); err != nil && r.Method != http.MethodHead {
		h.t.Errorf("%s %s = %d, not JSON: %s", r.Method, r.URL, w.Code, w.Body)
	}
	if trace := w.Header().Get("Aorta-Trace-Id"); len(trace) != 32 {
		h.t.Errorf("%s %s: Aorta-Trace-Id = %q", r.Method, r.URL, trace)
	} else if w.Code >= 400 && w.Header().Get("Idempotent-Replayed") == "" && w.text("trace_id") != trace {
		h.t.Errorf("%s %s: trace_id = %q, header %q", r.Method, r.URL, w.text("trace_id"), trace)
	}
	told.Store(any(w.text("error")), true)
	conforms(h.t, r, w)
	return w
}

func (h *house) get(target string) answer {
	h.t.Helper()
	return h.send(h.request(http.MethodGet, target, ""))
}

func (h *house) post(target, key, body string, headers ...string) answer {
	h.t.Helper()
	return h.send(h.request(http.MethodPost, target, body, append([]string{"Idempotency-Key", key}, headers...)...))
}

// wants checks status and code of a refusal.
func wants(t testing.TB, what string, a answer, status int, code string) {
	t.Helper()
	if a.Code != status || a.text("error") != code {
		t.Errorf("%s = %d %s, want %d %s: %s", what, a.Code, a.text("error"), status, code, a.Body)
	}
}

const initPath = "/v1/payments/init"

// sale is the body of an init.
func sale(amount string, more ...string) string {
	return `{"amount":"` + amount + `","currency":"EUR","method":"card"` + strings.Join(more, "") + `}`
}

// abandon makes a request whose process dies before it writes the answer: once a
// payment is there, nothing more is written.
func (h *house) abandon(target, key, body string) {
	h.t.Helper()
	_, before, _ := h.rows()
	for _, m := range h.homes {
		m.Fail = func(book.Step) book.Fault {
			if payments, _, _ := h.rows(); payments > 0 {
				return book.FaultAway
			}
			return book.FaultNone
		}
	}
	h.post(target, key, body)
	h.book.Close()
	for _, m := range h.homes {
		m.Fail = nil
	}
	if payments, answers, _ := h.rows(); payments != 1 || answers != before+1 {
		h.t.Fatalf("%d payments and %d answers were begun", payments, answers-before)
	}
}

// expire does the work whose time has come.
func (h *house) expire() {
	h.t.Helper()
	for range 5 {
		for _, m := range h.stores() {
			rows, _ := m.Overdue(h.t.Context(), h.clock().UnixMicro(), nil, 100)
			for _, d := range rows {
				if d.Kind != due.Deliver {
					if err := h.flows.Handle(h.t.Context(), d); err != nil {
						h.t.Errorf("%s: %v", d.Kind, err)
					}
				}
			}
		}
		h.work.Wait()
	}
}

// rows counts what there is of payments, answers and names.
func (h *house) rows() (payments, answers, refs int) {
	for _, m := range h.stores() {
		p, _ := m.ScanPayments(h.t.Context(), id.Payment{}, 1<<20)
		a, _ := m.ScanAnswers(h.t.Context(), id.Answer{}, 1<<20)
		r, _ := m.ScanRefs(h.t.Context(), payment.RefKey{}, 1<<20)
		payments, answers, refs = payments+len(p), answers+len(a), refs+len(r)
	}
	return payments, answers, refs
}
