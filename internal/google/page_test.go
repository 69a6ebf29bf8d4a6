package google_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/google"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/pgp"
	"aorta/internal/project"
	"aorta/internal/sign"
)

// names is a SignIn that believes who says a name with the password "right".
type names struct{}

func (names) Begin(_ context.Context, v google.Visit) (google.Step, error) {
	if v.Memory != "" {
		return google.Step{}, fmt.Errorf("remembers %q before it has begun", v.Memory)
	}
	return google.Step{Memory: "begun at " + v.Origin}, nil
}

func (names) End(_ context.Context, v google.Visit, brought url.Values) (google.Person, error) {
	switch {
	case v.Memory != "begun at https://pay.example":
		return google.Person{}, fmt.Errorf("memory %q", v.Memory)
	case brought.Get("password") == "too often":
		return google.Person{}, google.ErrTooOften
	case brought.Get("password") != "right":
		return google.Person{}, google.ErrWrong
	}
	return google.Person{CustomerID: brought.Get("name"), How: "password"}, nil
}

// linking is the page over the real flows and a book in memory, with a Google that can
// make redirects and read answers.
type linking struct {
	testing.TB
	page   *google.Page
	flows  *flow.Flows
	book   *book.Book
	google *pgp.Ring
	pr     project.Project
	signIn google.SignIn
	log    *bytes.Buffer

	mu  sync.Mutex
	now time.Time
}

func (l *linking) clock() time.Time { l.mu.Lock(); defer l.mu.Unlock(); return l.now }

func (l *linking) wait(d time.Duration) { l.mu.Lock(); defer l.mu.Unlock(); l.now = l.now.Add(d) }

func newLinking(t testing.TB, change func(*google.Integration)) *linking {
	t.Helper()
	ours, theirs := key(t, "integrator-secret.asc"), key(t, "google-side-secret.asc")
	l := &linking{
		TB: t, google: ring(t, theirs, ours), now: now, log: &bytes.Buffer{}, signIn: names{},
		pr: project.Project{ID: 200, MerchantID: 1, Name: "Tea & <Sons>", Secret: sign.NewSecret("s"), Wallet: true},
	}
	us := ring(t, ours, theirs)
	i := integration("main")
	i.Limits = []google.Limit{{Currency: "INR", Transaction: 5000_00, Day: 20_000_00}}
	if change != nil {
		change(&i)
	}
	store := book.NewMemory()
	b, err := book.New(context.WithoutCancel(t.Context()), []book.Home{{Store: store}}, book.Options{
		Now: l.clock, Random: rand.Reader, Epoch: 1, Work: func([]due.Due) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	l.book = b
	projects := func(n int64) (project.Project, bool) { return l.pr, n == l.pr.ID }
	l.flows = flow.New(b, store, flow.Options{Projects: projects, Now: l.clock})
	l.page = google.NewPage(google.PageOptions{
		Integrations: []google.Hosted{{Integration: i, Ring: func() *pgp.Ring { return us }}, {Integration: integration("off"), Ring: func() *pgp.Ring { return us }}},
		SignIns:      map[string]google.SignIn{"main": l}, Flows: l.flows, Projects: projects, PublicURL: func() string { return "https://pay.example" },
		Key: [32]byte{7}, Now: l.clock, Log: slog.New(slog.NewJSONHandler(l.log, nil)),
	})
	return l
}

// Begin is signIn's, which a test may change.
func (l *linking) Begin(ctx context.Context, v google.Visit) (google.Step, error) {
	return l.signIn.Begin(ctx, v)
}

// End is signIn's.
func (l *linking) End(ctx context.Context, v google.Visit, brought url.Values) (google.Person, error) {
	return l.signIn.End(ctx, v, brought)
}

const (
	pagePath = "/gsp/main/v1/authenticate"
	callback = "https://payments.google.com/cb?s=1"
)

// redirect is a query as Google makes it.
func (l *linking) redirect(plain string, more ...string) url.Values {
	l.Helper()
	text, err := l.google.Seal([]byte(plain), l.clock(), pgp.Form{Short: true})
	if err != nil {
		l.Fatal(err)
	}
	q := url.Values{"gspMajorVersion": {"1"}, "gspAuthenticationRequest": {string(text)}, "gspCallbackUrl": {callback}}
	for i := 0; i+1 < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return q
}

// browser keeps cookies and follows nothing.
type browser struct {
	*linking
	jar  http.CookieJar
	last *httptest.ResponseRecorder
	at   string // path of the page that is shown
}

func (l *linking) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		l.Fatal(err)
	}
	return &browser{linking: l, jar: jar}
}

func (b *browser) send(r *http.Request, header ...string) *httptest.ResponseRecorder {
	b.Helper()
	u := *r.URL
	u.Scheme, u.Host = "https", "pay.example"
	for _, c := range b.jar.Cookies(&u) {
		r.AddCookie(c)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	b.page.ServeHTTP(w, r)
	b.jar.SetCookies(&u, w.Result().Cookies())
	b.last = w
	return w
}

func (b *browser) get(path string, header ...string) *httptest.ResponseRecorder {
	b.Helper()
	b.at, _, _ = strings.Cut(path, "?")
	return b.send(httptest.NewRequest(http.MethodGet, "https://pay.example"+path, nil), header...)
}

// follow goes where the last answer leads, as long as that is here.
func (b *browser) follow() *browser {
	b.Helper()
	for b.last.Code == http.StatusSeeOther && strings.HasPrefix(b.last.Header().Get("Location"), "/") {
		b.get(b.last.Header().Get("Location"))
	}
	return b
}

var formName = regexp.MustCompile(`name="form" value="([^"]+)"`)

// press sends a form of the page that is shown.
func (b *browser) press(do string, more ...string) *browser {
	b.Helper()
	form := url.Values{"do": {do}}
	if found := formName.FindStringSubmatch(b.last.Body.String()); found != nil {
		form.Set("form", html.UnescapeString(found[1]))
	}
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	r := httptest.NewRequest(http.MethodPost, "https://pay.example"+b.at, strings.NewReader(form.Encode()))
	b.send(r, "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")
	return b.follow()
}

func (b *browser) open(q url.Values) *browser {
	b.Helper()
	b.get(pagePath + "?" + q.Encode())
	return b.follow()
}

// answered reads what the browser was sent back to Google with.
func (b *browser) answered(result, plain string) {
	b.Helper()
	to, err := url.Parse(b.last.Header().Get("Location"))
	if err != nil || b.last.Code != http.StatusSeeOther || !strings.HasPrefix(to.String(), callback+"&gspResult=") || len(to.String()) > pgp.MaxURL {
		b.Fatalf("%d to %s (%v), want to be sent to %s\n%s", b.last.Code, to, err, callback, b.last.Body)
	}
	if got := to.Query().Get("gspResult"); got != result {
		b.Fatalf("gspResult = %s, want %s", got, result)
	}
	opened, err := b.google.Open([]byte(to.Query().Get("gspAuthenticationResponse")), b.clock())
	if err != nil {
		b.Fatal(err)
	}
	if string(opened.Plain) != plain {
		b.Errorf("the answer is %s, want %s", opened.Plain, plain)
	}
}

func (b *browser) shows(status int, texts ...string) *browser {
	b.Helper()
	if b.last.Code != status {
		b.Fatalf("status %d to %s, want %d\n%s", b.last.Code, b.last.Header().Get("Location"), status, b.last.Body)
	}
	for _, want := range texts {
		if !strings.Contains(b.last.Body.String(), want) {
			b.Errorf("the page lacks %q:\n%s", want, b.last.Body)
		}
	}
	return b
}

// proof reads the proof of a redirect.
func (l *linking) proof(requestID string) (fop.Proof, bool) {
	l.Helper()
	p, found, err := l.flows.ProofOf(l.Context(), "main", requestID)
	if err != nil {
		l.Fatal(err)
	}
	return p, found
}

// linked writes a link of a customer's, as associateAccount does.
func (l *linking) linked(associationID, customerID string, state fop.AssociationState) id.Association {
	l.Helper()
	who, key := l.flows.CustomerOf(l.pr, customerID), l.book.RefKey(fop.AssociationScope("main"), associationID)
	k, err := book.Do(l.Context(), l.book, book.Act[id.Association]{Name: "test.link", Bucket: who.Bucket(), Decide: func(p *book.Page) (id.Association, error) {
		a := fop.Association{
			ID: id.Association(p.Mint()), Customer: who, Integration: "main", Name: associationID, Token: "x", TokenHash: "x", Account: "a", State: state, CreatedUS: 1, ChangedUS: 1,
		}
		p.Associations.New(a)
		p.Refs.Get(key)
		p.Refs.Put(payment.Ref{RefKey: key, Target: a.ID.Raw()})
		return a.ID, nil
	}})
	if err != nil {
		l.Fatal(err)
	}
	return k
}

// restrict freezes or closes a customer, who is met for it.
func (l *linking) restrict(customerID string, r customer.Restriction) {
	l.Helper()
	who := l.flows.CustomerOf(l.pr, customerID)
	_, err := book.Do(l.Context(), l.book, book.Act[struct{}]{Name: "test.restrict", Bucket: who.Bucket(), Decide: func(p *book.Page) (struct{}, error) {
		p.Customers.Get(who)
		p.Customers.Put(customer.Customer{ID: who, MerchantID: 1, Name: customerID, CreatedUS: 1, Restriction: r})
		return struct{}{}, nil
	}})
	if err != nil {
		l.Fatal(err)
	}
}

const (
	asked   = `{"requestId":"rdr-77"}`
	success = `{"requestId":"rdr-77","authenticationResult":{"success":{}}}`
	failed  = `{"requestId":"rdr-77","authenticationResult":{"fatalError":{}}}`
)

func TestPageLinks(t *testing.T) {
	t.Parallel()
	l := newLinking(t, nil)
	b := l.browser().open(l.redirect(asked))
	b.shows(http.StatusOK, "Link your wallet with Google", "Sign in to Tea &amp; &lt;Sons&gt; to go on.", `name="password" type="password"`)
	if strings.Contains(b.at, "gsp"+"A") || !strings.HasPrefix(b.at, pagePath+"/s/") {
		t.Errorf("the session lies at %s", b.at)
	}
	b.press("signin", "name", "c1", "password", "wrong").shows(http.StatusOK, "That does not fit.", `value="c1"`)
	b.press("signin", "name", "c1", "password", "too often").shows(http.StatusOK, "Too many tries.")
	b.press("link").shows(http.StatusOK, `name="password"`) // nobody has signed in
	b.press("signin", "name", "customer-91", "password", "right").shows(http.StatusOK, fop.Nickname(l.flows.CustomerOf(l.pr, "customer-91").String()), "At most ₹5,000.00 for one purchase.", "At most ₹20,000.00 in a day.", "Link this wallet")
	if _, found := l.proof("rdr-77"); found {
		t.Fatal("who has signed in has not agreed yet, and is proved")
	}
	b.press("link").answered("100", success)
	p, found := l.proof("rdr-77")
	if want := (fop.Proof{
		ID: p.ID, Customer: l.flows.CustomerOf(l.pr, "customer-91"), Integration: "main", Name: "rdr-77", State: fop.ProofProven, How: "password",
		UntilUS: now.Add(google.DefaultProofTime).UnixMicro(), CreatedUS: now.UnixMicro(), ChangedUS: now.UnixMicro(),
	}); !found || p != want {
		t.Errorf("the proof is\n%+v, want\n%+v", p, want)
	}
	// Coming back gives the same answer, as long as Google has not used it.
	session := b.at
	b.get(session)
	b.answered("100", success)
	use(l, p)
	b.get(session)
	b.answered("202", failed)
	b.open(l.redirect(asked)).answered("202", failed)
	for _, secret := range []string{"customer-91", "right", "rdr-77", "payments.google.com/cb"} {
		if strings.Contains(l.log.String(), secret) {
			t.Errorf("the log has %q: %s", secret, l.log)
		}
	}
}

// use is what associateAccount does with a proof.
func use(l *linking, p fop.Proof) {
	l.Helper()
	if _, err := book.Do(l.Context(), l.book, book.Act[struct{}]{Name: "test.use", Bucket: p.Customer.Bucket(), Decide: func(pg *book.Page) (struct{}, error) {
		row, _ := pg.Proofs.Get(p.ID)
		pg.Proofs.Put(row.Consume(id.Call(pg.Mint()), pg.NowUS()))
		return struct{}{}, nil
	}}); err != nil {
		l.Fatal(err)
	}
}

// Another window with the same redirect proves the same customer or nobody.
func TestPageProvesOnce(t *testing.T) {
	t.Parallel()
	l := newLinking(t, nil)
	q := l.redirect(asked)
	first, second, third := l.browser().open(q), l.browser().open(q), l.browser()
	for _, b := range []*browser{first, second} {
		b.press("signin", "name", map[*browser]string{first: "c1", second: "c2"}[b], "password", "right").shows(http.StatusOK, "Link this wallet")
	}
	first.press("link").answered("100", success)
	second.press("link").answered("202", failed)
	third.open(q).shows(http.StatusOK, "Confirm that it is you").press("signin", "name", "c2", "password", "right").shows(http.StatusOK, "That is not the wallet that is linked.")
	third.press("signin", "name", "c1", "password", "right").shows(http.StatusOK, "Yes, it is mine").press("link").answered("100", success)
	l.wait(google.DefaultProofTime)
	l.browser().open(q).answered("202", failed)
}

func TestPageKnowsWhoseLink(t *testing.T) {
	t.Parallel()
	const known, answer = `{"requestId":"rdr-77","associationId":"assoc_5f"}`, `{"requestId":"rdr-77","associationId":"assoc_5f","authenticationResult":{"%s":{}}}`
	l := newLinking(t, nil)
	k := l.linked("assoc_5f", "c1", fop.AssociationActive)
	l.linked("gone", "c1", fop.AssociationClosed)
	b := l.browser().open(l.redirect(known, "gspAssociationId", "assoc_5f")).shows(http.StatusOK, "Confirm that it is you")
	b.press("signin", "name", "c2", "password", "right").shows(http.StatusOK, "That is not the wallet that is linked.")
	b.press("signin", "name", "c1", "password", "right").shows(http.StatusOK, "Google asks whether this wallet is yours.", "Yes, it is mine")
	b.press("link").answered("100", fmt.Sprintf(answer, "success"))
	if p, _ := l.proof("rdr-77"); p.Association != k {
		t.Errorf("the proof is of the link %s, want %s", p.Association, k)
	}
	l.browser().open(l.redirect(known, "gspAssociationId", "other")).answered("202", fmt.Sprintf(answer, "fatalError"))
	l.browser().open(l.redirect(`{"requestId":"2","associationId":"gone"}`)).answered("202", `{"requestId":"2","associationId":"gone","authenticationResult":{"fatalError":{}}}`)
	// Named in the URL alone, and not known yet: the one that is about to be made.
	l.browser().open(l.redirect(`{"requestId":"3"}`, "gspAssociationId", "new")).shows(http.StatusOK, "Link your wallet").
		press("cancel").answered("201", `{"requestId":"3","associationId":"new","authenticationResult":{"cancelled":{}}}`)
}

func TestPageHolds(t *testing.T) {
	t.Parallel()
	for _, r := range []customer.Restriction{customer.Frozen, customer.Closed, customer.SelfExcluded} {
		l := newLinking(t, nil)
		l.restrict("c1", r)
		b := l.browser().open(l.redirect(asked)).press("signin", "name", "c1", "password", "right").press("link")
		if r == customer.SelfExcluded { // from playing, not from their own money
			b.answered("100", success)
			continue
		}
		b.follow().shows(http.StatusOK, "This wallet cannot be linked at the moment.", `name="password"`)
		if _, found := l.proof("rdr-77"); found {
			t.Errorf("who is %s is proved", r)
		}
		b.press("cancel").answered("201", `{"requestId":"rdr-77","authenticationResult":{"cancelled":{}}}`)
		b = l.browser().open(l.redirect(asked)).press("signin", "name", "c1", "password", "right").press("link").follow()
		b.press("signin", "name", "c2", "password", "right").press("link").answered("100", success)
	}
}

func TestPageRefuses(t *testing.T) {
	t.Parallel()
	l := newLinking(t, nil)
	tests := []struct {
		name   string
		change func(url.Values)
	}{
		{"no version", func(q url.Values) { q.Del("gspMajorVersion") }},
		{"another version", func(q url.Values) { q.Set("gspMajorVersion", "2") }},
		{"no message", func(q url.Values) { q.Del("gspAuthenticationRequest") }},
		{"a message that is cut", func(q url.Values) { q.Set("gspAuthenticationRequest", q.Get("gspAuthenticationRequest")[:500]) }},
		{"two messages", func(q url.Values) { q.Add("gspAuthenticationRequest", q.Get("gspAuthenticationRequest")) }},
		{"two callbacks", func(q url.Values) { q.Add("gspCallbackUrl", "https://evil.example/") }},
		{"no callback", func(q url.Values) { q.Del("gspCallbackUrl") }},
		{"callback of a stranger", func(q url.Values) { q.Set("gspCallbackUrl", "https://google.com.evil.example/cb") }},
		{"callback that only ends alike", func(q url.Values) { q.Set("gspCallbackUrl", "https://evilgoogle.com/cb") }},
		{"callback of the bare domain", func(q url.Values) { q.Set("gspCallbackUrl", "https://.google.com/cb") }},
		{"callback by http", func(q url.Values) { q.Set("gspCallbackUrl", "http://payments.google.com/cb") }},
		{"callback at another port", func(q url.Values) { q.Set("gspCallbackUrl", "https://payments.google.com:8443/cb") }},
		{"callback with a user", func(q url.Values) { q.Set("gspCallbackUrl", "https://payments.google.com@evil.example/") }},
		{"callback with a backslash", func(q url.Values) { q.Set("gspCallbackUrl", `https://evil.example\.google.com/`) }},
		{"callback that is script", func(q url.Values) { q.Set("gspCallbackUrl", "javascript://payments.google.com/%0aalert(1)") }},
		{"callback with a fragment", func(q url.Values) { q.Set("gspCallbackUrl", callback+"#x") }},
		{"callback that has a result", func(q url.Values) { q.Set("gspCallbackUrl", callback+"&gspResult=100") }},
		{"callback of this machine, in production", func(q url.Values) { q.Set("gspCallbackUrl", "http://127.0.0.1:8082/cb") }},
		{"callback that no answer fits behind", func(q url.Values) { q.Set("gspCallbackUrl", callback+strings.Repeat("x", 1200)) }},
		{"association too long", func(q url.Values) { q.Set("gspAssociationId", strings.Repeat("a", 513)) }},
		{"not JSON", func(q url.Values) {
			q.Set("gspAuthenticationRequest", l.redirect(`{"requestId":"a",}`).Get("gspAuthenticationRequest"))
		}},
		{"no requestId", func(q url.Values) {
			q.Set("gspAuthenticationRequest", l.redirect(`{}`).Get("gspAuthenticationRequest"))
		}},
		{"requestId is a number", func(q url.Values) {
			q.Set("gspAuthenticationRequest", l.redirect(`{"requestId":7}`).Get("gspAuthenticationRequest"))
		}},
		{"requestId with a NUL", func(q url.Values) {
			q.Set("gspAuthenticationRequest", l.redirect(`{"requestId":"a\u0000"}`).Get("gspAuthenticationRequest"))
		}},
		{"another's account", func(q url.Values) {
			q.Set("gspAuthenticationRequest", l.redirect(`{"requestId":"a","paymentIntegratorAccountId":"X"}`).Get("gspAuthenticationRequest"))
		}},
	}
	for _, tt := range tests {
		q := l.redirect(asked)
		tt.change(q)
		b := l.browser()
		b.get(pagePath + "?" + q.Encode())
		if b.last.Code != http.StatusBadRequest || !strings.Contains(b.last.Body.String(), "This page cannot be opened") || b.last.Header().Get("Location") != "" || len(b.last.Result().Cookies()) > 0 {
			t.Errorf("%s: %d, to %q, cookies %v", tt.name, b.last.Code, b.last.Header().Get("Location"), b.last.Result().Cookies())
		}
	}
	// Signed by somebody else, or not by Google for us.
	strange := ring(t, key(t, "unknown-signer-secret.asc"), key(t, "integrator-secret.asc"))
	text, err := strange.Seal([]byte(asked), now, pgp.Form{Short: true})
	if err != nil {
		t.Fatal(err)
	}
	b := l.browser()
	b.get(pagePath + "?" + l.redirect(asked, "gspAuthenticationRequest", string(text)).Encode())
	b.shows(http.StatusBadRequest, "This page cannot be opened")
	b.send(httptest.NewRequest(http.MethodPost, "https://pay.example"+pagePath, nil))
	b.shows(http.StatusMethodNotAllowed)
	b.get("/gsp/off/v1/authenticate?" + l.redirect(asked).Encode())
	b.shows(http.StatusNotFound)
	// What Google's samples hold: an identifier with "=", an account of ours, this machine in a sandbox.
	l = newLinking(t, func(i *google.Integration) { i.Sandbox = true })
	for _, at := range []string{"http://127.0.0.1:8082/cb", "http://localhost/cb", "https://[::1]:1/cb", "https://payments.google.com:443/cb", "https://a.b.google.com?"} {
		l.browser().open(l.redirect(`{"requestId":"375dhjf9-Uydd=","paymentIntegratorAccountId":"AORTA_MAIN_INR"}`, "gspCallbackUrl", at)).shows(http.StatusOK)
	}
}

// Nobody presses a button but who was shown it, in the browser that opened the redirect.
func TestPageForms(t *testing.T) {
	t.Parallel()
	l := newLinking(t, nil)
	b := l.browser().open(l.redirect(asked)).press("signin", "name", "c1", "password", "right").shows(http.StatusOK, "Link this wallet")
	form := url.Values{"do": {"link"}, "form": {formName.FindStringSubmatch(b.last.Body.String())[1]}}
	post := func(form url.Values, header ...string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "https://pay.example"+b.at, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		return r
	}
	b.send(post(form, "Sec-Fetch-Site", "cross-site"))
	b.shows(http.StatusForbidden)
	b.send(post(form, "Origin", "https://evil.example"))
	b.shows(http.StatusForbidden)
	b.send(post(url.Values{"do": {"link"}, "form": {"x"}}))
	b.shows(http.StatusForbidden)
	b.send(post(url.Values{"do": {"dance"}, "form": form["form"]}))
	b.shows(http.StatusBadRequest)
	b.send(post(form, "Content-Type", "text/plain"))
	b.shows(http.StatusBadRequest)
	b.send(post(url.Values{"do": {"link"}, "form": form["form"], "x": {strings.Repeat("x", 40_000)}}))
	b.shows(http.StatusBadRequest)
	stranger := l.browser()
	stranger.send(post(form))
	stranger.shows(http.StatusNotFound, "Time is over")
	for _, c := range b.jar.Cookies(&url.URL{Scheme: "https", Host: "pay.example", Path: b.at}) {
		for _, forged := range []string{c.Value + "x", "e30." + strings.Split(c.Value, ".")[1], "x" + c.Value} {
			r := post(form)
			r.AddCookie(&http.Cookie{Name: c.Name, Value: forged})
			stranger.send(r)
			stranger.shows(http.StatusNotFound)
		}
		r := httptest.NewRequest(http.MethodGet, "https://pay.example"+pagePath+"/s/another", nil) // a session of another name
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		stranger.send(r)
		stranger.shows(http.StatusNotFound)
	}
	if _, found := l.proof("rdr-77"); found {
		t.Fatal("somebody is proved")
	}
	l.wait(15 * time.Minute)
	b.send(post(form))
	b.shows(http.StatusNotFound, "Time is over")
}

func TestPageHeaders(t *testing.T) {
	t.Parallel()
	l := newLinking(t, nil)
	b := l.browser()
	first := b.get(pagePath + "?" + l.redirect(asked).Encode())
	c := first.Result().Cookies()[0]
	if !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path != first.Header().Get("Location") || c.MaxAge != 900 {
		t.Errorf("the cookie is %+v", c)
	}
	b.follow()
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
		"Strict-Transport-Security": "max-age=31536000; includeSubDomains",
	} {
		if got := b.last.Header().Get(name); got != want || first.Header().Get(name) != want {
			t.Errorf("%s: %q and %q, want %q", name, got, first.Header().Get(name), want)
		}
	}
	policy := b.last.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "form-action 'self' https://payments.google.com;"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy lacks %q: %s", want, policy)
		}
	}
	for _, lang := range []string{"ar", "en", "es", "hi", "ru"} {
		b.get(b.at, "Accept-Language", lang+"-XX,en;q=0.1")
		b.shows(http.StatusOK, `<html lang="`+lang+`"`)
	}
}

// away is a SignIn elsewhere.
type away struct{}

func (away) Begin(_ context.Context, v google.Visit) (google.Step, error) {
	return google.Step{Leave: "https://house.example/login?back=" + url.QueryEscape(v.Back), Memory: "m"}, nil
}

func (away) End(_ context.Context, v google.Visit, brought url.Values) (google.Person, error) {
	switch who := brought.Get("who"); {
	case v.Memory != "m":
		return google.Person{}, fmt.Errorf("%w: memory %q", google.ErrForged, v.Memory)
	case who == "nobody":
		return google.Person{}, google.ErrGaveUp
	case who == "forged":
		return google.Person{}, google.ErrForged
	default:
		return google.Person{CustomerID: who, How: "operator"}, nil
	}
}

func TestPageWithAnotherLogin(t *testing.T) {
	t.Parallel()
	l := newLinking(t, nil)
	l.signIn = away{}
	begin := func(q url.Values) (*browser, string) {
		b := l.browser().open(q)
		to, err := url.Parse(b.last.Header().Get("Location"))
		if err != nil || to.Host != "house.example" || !strings.HasPrefix(to.Query().Get("back"), "https://pay.example"+pagePath+"/s/") {
			t.Fatalf("sent to %s (%v)", to, err)
		}
		return b, strings.TrimPrefix(to.Query().Get("back"), "https://pay.example")
	}
	b, back := begin(l.redirect(asked))
	b.get(back + "?who=forged")
	b.shows(http.StatusForbidden, "The sign-in did not work")
	b.get(back + "?who=c1")
	b.follow().shows(http.StatusOK, "Link this wallet").press("link").answered("100", success)
	if p, _ := l.proof("rdr-77"); p.How != "operator" {
		t.Errorf("proved by %q", p.How)
	}
	b, back = begin(l.redirect(`{"requestId":"2"}`))
	b.get(back + "?who=nobody")
	b.answered("201", `{"requestId":"2","authenticationResult":{"cancelled":{}}}`)
	l.browser().get(back + "?who=c1")
	l.linked("assoc", "c1", fop.AssociationActive)
	b, back = begin(l.redirect(`{"requestId":"3","associationId":"assoc"}`))
	b.get(back + "?who=c2")
	b.follow().shows(http.StatusOK, "That is not the wallet that is linked.", "https://house.example/login?back=")
}

func FuzzPage(f *testing.F) {
	l := newLinking(f, nil)
	f.Add(l.redirect(asked).Encode())
	f.Add("gspMajorVersion=1&gspAuthenticationRequest=x&gspCallbackUrl=https%3A%2F%2Fa.google.com")
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodGet, "https://pay.example"+pagePath, nil)
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		l.page.ServeHTTP(w, r)
		switch w.Code {
		case http.StatusBadRequest:
		case http.StatusSeeOther:
			to, err := url.Parse(w.Header().Get("Location"))
			if err != nil || to.IsAbs() && (to.Scheme != "https" || !strings.HasSuffix(to.Hostname(), ".google.com")) {
				t.Errorf("%q leads to %s (%v)", query, to, err)
			}
		default:
			t.Errorf("%q is answered with %d", query, w.Code)
		}
	})
}

// A message is what the specification's section 11 shows.
func TestPageExample(t *testing.T) {
	t.Parallel()
	var want, got any
	if err := json.Unmarshal([]byte(`{"requestId":"rdr-77","associationId":"assoc_5f","authenticationResult":{"success":{}}}`), &want); err != nil {
		t.Fatal(err)
	}
	l := newLinking(t, nil)
	b := l.browser().open(l.redirect(`{"requestId":"rdr-77","associationId":"assoc_5f"}`, "gspAssociationId", "assoc_5f")).
		press("signin", "name", "c1", "password", "right").press("link")
	to, _ := url.Parse(b.last.Header().Get("Location"))
	opened, err := b.google.Open([]byte(to.Query().Get("gspAuthenticationResponse")), now)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(opened.Plain, &got); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s (%v), want %v", opened.Plain, err, want)
	}
}
