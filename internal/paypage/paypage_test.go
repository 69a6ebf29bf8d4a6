package paypage_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
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
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/paypage"
	"aorta/internal/project"
	"aorta/internal/risk"
	"aorta/internal/sign"
)

const (
	secretText = "aorta-test-secret"
	pspPage    = "https://psp.example/pay?mid=1"
)

// psp is a small provider: it gives every sale a page, and says of it what the
// test has the customer do there.
type psp struct {
	mu    sync.Mutex
	sales map[string]connector.Outcome // by reference: what became of it
	gate  chan struct{}                // nil, or sales wait until it is closed
	lost  bool                         // answers to sales get lost

	redirect *payment.Redirect // where customers go; nil: pspPage
}

func (p *psp) Capabilities() connector.Capabilities {
	return connector.Capabilities{LookupSchedule: []time.Duration{time.Hour}, RedirectsToPage: true}
}

func (p *psp) Sale(ctx context.Context, o connector.Order) connector.Outcome {
	if p.gate != nil {
		select {
		case <-p.gate:
		case <-ctx.Done():
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	open := connector.Outcome{Kind: connector.Pending, Redirect: p.redirect}
	if open.Redirect == nil {
		open.Redirect = &payment.Redirect{URL: pspPage, Method: "POST", Fields: map[string]string{"orderId": o.Reference(), "submit": `"><b>`}}
	}
	p.sales[o.Reference()] = open
	if p.lost {
		return connector.Outcome{Kind: connector.Unknown}
	}
	return open
}

func (p *psp) Lookup(_ context.Context, o connector.Order) connector.Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.sales[o.Reference()]
	out.Amount = o.Attempt.Amount
	return out
}

// house is the page over the real flows and a book in memory.
type house struct {
	testing.TB
	page    *paypage.Page
	book    *book.Book
	flows   *flow.Flows
	store   *book.Memory
	psp     *psp
	project project.Project
	rules   *risk.Rules // nil: the project is not licensed

	mu  sync.Mutex
	now time.Time
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) wait(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func shop() project.Project {
	return project.Project{
		ID: 198, MerchantID: 1, Name: "Tea & <Sons>", Secret: sign.NewSecret(secretText), CallbackURL: "https://shop.example/callback",
		BaseTime: 5 * time.Minute, LimitTime: 30 * time.Minute,
		Methods: []project.Method{{
			Code: "paytm-wallet", Group: "wallet", Segment: "paytm", Name: "Paytm Wallet", Connector: "psp", Account: "demo", Provider: 3,
			Currency: "INR", MinMinor: 1, MaxMinor: 999_999_999,
		}},
	}
}

func newHouse(t testing.TB, pr project.Project, change func(*paypage.Options)) *house {
	t.Helper()
	h := &house{
		TB: t, store: book.NewMemory(), psp: &psp{sales: map[string]connector.Outcome{}}, project: pr,
		now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	var work sync.WaitGroup
	ctx := context.WithoutCancel(t.Context())
	b, err := book.New(ctx, []book.Home{{Store: h.store}}, book.Options{
		Now: h.clock, Random: rand.Reader, Epoch: 1,
		Work: func(rows []due.Due) {
			for _, d := range rows {
				if d.Kind == due.Ask {
					work.Go(func() { _ = h.flows.Handle(ctx, d) })
				}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { work.Wait(); b.Close() })
	h.book = b
	projects := func(n int64) (project.Project, bool) { return h.project, n == h.project.ID }
	h.flows = flow.New(b, h.store, flow.Options{
		Projects:   projects,
		Connectors: func(name, _ string) (connector.Connector, bool) { return h.psp, name == "psp" },
		NotifyURL:  func(name, account string) string { return "https://pay.example/n/" + name + "/" + account },
		Now:        h.clock,
		Rules:      func(int64) *risk.Rules { return h.rules },
	})
	o := paypage.Options{
		Flows: h.flows, Read: h.store, Projects: projects, PublicURL: func() string { return "https://pay.example" },
		Key: [32]byte{7}, Now: h.clock, Wait: 5 * time.Second,
	}
	if change != nil {
		change(&o)
	}
	h.page = paypage.New(o)
	return h
}

// params are the parameters of an ordinary purchase.
func params(more ...string) url.Values {
	v := url.Values{
		"project_id": {"198"}, "payment_id": {"ord-1"}, "payment_amount": {"2500"}, "payment_currency": {"INR"}, "customer_id": {"c1"},
		"merchant_return_url": {"https://shop.example/cart"},
	}
	for i := 0; i+1 < len(more); i += 2 {
		if more[i+1] == "" {
			v.Del(more[i])
			continue
		}
		v.Set(more[i], more[i+1])
	}
	return v
}

// signed gives the query of a link as a merchant makes it. What cannot be signed
// gets some signature: the page must refuse it all the same.
func signed(t testing.TB, v url.Values) string {
	t.Helper()
	signature := strings.Repeat("A", 86) + "=="
	if doc, err := sign.ParseForm(withoutUnsigned(v).Encode()); err == nil {
		signature = sign.Sign(doc, sign.NewSecret(secretText))
	}
	return v.Encode() + "&signature=" + url.QueryEscape(signature)
}

func withoutUnsigned(v url.Values) url.Values {
	kept := url.Values{}
	for name, values := range v {
		if !strings.HasPrefix(name, "_") && name != "frame_mode" {
			kept[name] = values
		}
	}
	return kept
}

// answer is what a browser got.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) location() string { return a.header.Get("Location") }

func (h *house) do(r *http.Request) answer {
	h.Helper()
	w := httptest.NewRecorder()
	h.page.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

func (h *house) get(path string, header ...string) answer {
	h.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return h.do(r)
}

func (h *house) post(path, body string, header ...string) answer {
	h.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return h.do(r)
}

var (
	formTag  = regexp.MustCompile(`<form id="([a-z-]+)"[^>]*method="([a-z]+)" action="([^"]*)"`)
	inputTag = regexp.MustCompile(`<input type="(hidden|radio)" name="([^"]*)" value="([^"]*)"`)
)

// form reads the only form of a screen, as a browser without scripts would send it.
func form(t testing.TB, a answer) (name, method, action string, fields url.Values) {
	t.Helper()
	f := formTag.FindStringSubmatch(a.body)
	if f == nil {
		t.Fatalf("no form on the screen (%d): %s", a.status, a.body)
	}
	fields = url.Values{}
	for _, i := range inputTag.FindAllStringSubmatch(a.body, -1) {
		if i[1] == "hidden" || !fields.Has(html.UnescapeString(i[2])) {
			fields.Add(html.UnescapeString(i[2]), html.UnescapeString(i[3]))
		}
	}
	return f[1], f[2], html.UnescapeString(f[3]), fields
}

// press opens the link and presses the button, and gives the address it leads to.
func (h *house) press(query string, header ...string) answer {
	h.Helper()
	a := h.get("/payment?"+query, header...)
	if a.status != http.StatusOK {
		h.Fatalf("GET /payment = %d, want 200: %s", a.status, a.body)
	}
	name, method, action, fields := form(h, a)
	if name != "pay-form" || method != "post" || action != "/payment/confirm" {
		h.Fatalf("the form is %s %s %s, want pay-form post /payment/confirm", name, method, action)
	}
	return h.post(action, fields.Encode(), header...)
}

// pay opens the link, confirms, and gives the path of the session.
func (h *house) pay(query string, header ...string) string {
	h.Helper()
	a := h.press(query, header...)
	if a.status != http.StatusSeeOther || !strings.HasPrefix(a.location(), "/payment/s/") {
		h.Fatalf("confirm = %d to %q, want 303 to a session: %s", a.status, a.location(), a.body)
	}
	return a.location()
}

// only gives the one payment and its one attempt.
func (h *house) only() (payment.Payment, payment.Attempt) {
	h.Helper()
	pays, _ := h.store.ScanPayments(h.Context(), id.Payment{}, 100)
	tries, _ := h.store.ScanAttempts(h.Context(), id.Attempt{}, 100)
	if len(pays) != 1 || len(tries) != 1 {
		h.Fatalf("%d payments with %d attempts, want one of each", len(pays), len(tries))
	}
	return pays[0], tries[0]
}

// nothing fails if anything was stored or is to be sent.
func (h *house) nothing() {
	h.Helper()
	pays, _ := h.store.ScanPayments(h.Context(), id.Payment{}, 1)
	refs, _ := h.store.ScanRefs(h.Context(), payment.RefKey{}, 1)
	sent, _ := h.store.ScanDeliveries(h.Context(), id.Delivery{}, 1)
	rows, _ := h.store.ScanDue(h.Context(), id.Raw{}, 1)
	if n := len(pays) + len(refs) + len(sent) + len(rows); n != 0 {
		h.Errorf("a refused request left %v %v %v %v, want nothing", pays, refs, sent, rows)
	}
}

// hear has the provider say what became of the newest attempt.
func (h *house) hear(kind connector.Kind, code string) {
	h.Helper()
	tries, _ := h.store.ScanAttempts(h.Context(), id.Attempt{}, 100)
	a := slices.MaxFunc(tries, func(a, b payment.Attempt) int { return cmp.Compare(a.CreatedUS, b.CreatedUS) })
	out := connector.Outcome{Kind: kind, Code: code, Amount: a.Amount, ProviderID: "t-1"}
	if err := h.flows.Apply(h.Context(), a, out); err != nil {
		h.Fatal(err)
	}
}

func deliveries(h *house) []event.Delivery {
	sent, _ := h.store.ScanDeliveries(h.Context(), id.Delivery{}, 100)
	return sent
}

// TestLibrariesLinksOpen: every link made by an official library opens the page.
func TestLibrariesLinksOpen(t *testing.T) {
	t.Parallel()
	var vectors struct {
		URLs []struct{ ID, Secret, URL string } `json:"payment_page_urls"`
	}
	read(t, "../sign/testdata/ecommpay-signatures.json", &vectors)
	if len(vectors.URLs) != 9 {
		t.Fatalf("%d links in the vectors, want 9", len(vectors.URLs))
	}
	for _, v := range vectors.URLs {
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			pr := shop()
			pr.Secret = sign.NewSecret(v.Secret)
			h := newHouse(t, pr, nil)
			u, err := url.Parse(v.URL)
			if err != nil {
				t.Fatal(err)
			}
			if a := h.get(u.RequestURI()); a.status != http.StatusOK {
				t.Errorf("GET %s = %d, want 200", v.URL, a.status)
			}
			if a := h.post("/payment", u.RawQuery); a.status != http.StatusOK {
				t.Errorf("POST of %s = %d, want 200", v.URL, a.status)
			}
			h.nothing()
			query := strings.Replace(u.RawQuery, "payment_amount=", "payment_amount=1", 1)
			if a := h.get("/payment?" + query); a.status != http.StatusForbidden {
				t.Errorf("GET of a changed link = %d, want 403", a.status)
			}
			h.pay(u.RawQuery)
		})
	}
}

// TestPaymentWithoutScripts follows forms and links alone, from the link to the
// result.
func TestPaymentWithoutScripts(t *testing.T) {
	t.Parallel()
	h := newHouse(t, shop(), nil)
	query := signed(t, params("merchant_success_url", "https://shop.example/thanks", "payment_description", "Green tea"))
	confirm := h.get("/payment?" + query)
	for _, want := range []string{"₹25.00", "Green tea", "ord-1", "Paytm Wallet", "Tea &amp; &lt;Sons&gt;"} {
		if !strings.Contains(confirm.body, want) {
			t.Errorf("the confirm screen lacks %q", want)
		}
	}
	h.nothing()

	session := h.pay(query)
	pay, _ := h.only()
	if pay.Door != paypage.Door || pay.CallbackURL != "https://shop.example/callback" || pay.Status != payment.StatusAwaitingCustomer {
		t.Errorf("payment is %+v, want one of the page that awaits the customer", pay)
	}
	handoff := h.get(session)
	name, method, action, fields := form(t, handoff)
	if name != "psp-form" || method != "post" || action != pspPage || fields.Get("submit") != `"><b>` {
		t.Errorf("handoff is %s %s %s %v, want the provider's form", name, method, action, fields)
	}

	if name, _, action, _ := form(t, h.get(strings.TrimPrefix(h.page.PayURL(pay.ID), "https://pay.example"))); name != "psp-form" || action != pspPage {
		t.Errorf("PayURL leads to %s %s, want the provider's form", name, action)
	}
	back := h.page.SessionURL(pay.ID)
	back, ok := strings.CutPrefix(back, "https://pay.example")
	if !ok {
		t.Fatalf("SessionURL = %q, want one of https://pay.example", back)
	}
	waiting := h.get(back)
	for _, want := range []string{
		`<meta http-equiv="refresh" content="3">`, `href="` + session + `">Continue to Paytm Wallet`, `href="https://shop.example/cart"`, "data-returned",
	} {
		if !strings.Contains(waiting.body, want) {
			t.Errorf("the waiting screen lacks %s:\n%s", want, waiting.body)
		}
	}
	h.hear(connector.Approved, "")
	result := h.get(back)
	for _, want := range []string{"Payment successful", `href="https://shop.example/thanks" target="_parent"`, "₹25.00"} {
		if !strings.Contains(result.body, want) {
			t.Errorf("the result screen lacks %s:\n%s", want, result.body)
		}
	}
}

// TestConfirmingAgainChargesOnce: reloads, second windows and impatient fingers
// all find the one payment.
func TestConfirmingAgainChargesOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, shop(), nil)
	_, _, action, fields := form(t, h.get("/payment?"+signed(t, params())))
	var wg sync.WaitGroup
	places := make([]string, 50)
	for i := range places {
		wg.Go(func() { places[i] = h.post(action, fields.Encode()).location() })
	}
	wg.Wait()
	if distinct := slices.Compact(slices.Sorted(slices.Values(places))); len(distinct) != 1 || distinct[0] == "" {
		t.Errorf("50 confirmations lead to %q, want one session", distinct)
	}
	h.only()
	h.hear(connector.Approved, "")
	if a := h.post(action, fields.Encode()); a.status != http.StatusSeeOther || a.location() != places[0] {
		t.Errorf("confirming a paid payment = %d to %q, want 303 to its session %q", a.status, a.location(), places[0])
	}
	if a := h.get(places[0]); !strings.Contains(a.body, "Payment successful") {
		t.Errorf("the session after payment = %d, want the result", a.status)
	}
	h.only()
	if n := len(h.psp.sales); n != 1 {
		t.Errorf("the provider was asked %d times, want once", n)
	}
}

func read(t testing.TB, file string, into any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}
