package google

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"aorta/internal/book"
	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/project"
	"aorta/web"

	"github.com/prometheus/client_golang/prometheus"
)

// PageOptions are what a Page must be given, and its parts with a default.
type PageOptions struct {
	Integrations []Hosted                                      // required; those without a SignIn have no page
	SignIns      map[string]SignIn                             // by the integration's name
	Flows        *flow.Flows                                   // required
	Projects     func(projectID int64) (project.Project, bool) // required
	PublicURL    func() string                                 // our origin as browsers know it; required
	Key          [32]byte                                      // makes sessions; required, secret, the same in every process
	Now          func() time.Time                              // required

	ClientIP func(*http.Request) string // the customer's address (S14); nil takes the socket's
	Random   io.Reader                  // nil is crypto/rand
	TestMode bool                       // says on every screen that no real money moves

	// InFlight bounds the redirects that are opened at once; 0 means 64. Each costs
	// RSA operations before anybody has signed in.
	InFlight int

	Log     *slog.Logger          // nil discards
	Metrics prometheus.Registerer // nil: counted, not registered
}

// Page is where Google sends the browser of a customer whose wallet is to be linked,
// or who is to prove that it is theirs (section 3.4).
//
//	GET  {base}/v1/authenticate?gsp…   checks what Google says, begins a session
//	GET  …/authenticate/s/{session}    sign-in ─▶ what is linked ─▶ back to Google
//	POST …/authenticate/s/{session}    the buttons
//	GET  …/authenticate/s/{session}/back   from the operator's own login
//
// A session is a signed cookie of that path alone: nobody has a row before they have
// signed in, and several windows do not disturb each other. Whoever has not opened the
// redirect in this browser has no session. Nothing may show these pages in a frame.
//
// Its known weakness is the protocol's: a message of Google's has no time, so a
// redirect can be opened as long as its requestId has proved nothing.
type Page struct {
	opts    PageOptions
	mux     *http.ServeMux
	cross   *http.CrossOriginProtection
	within  chan struct{}
	visits  *prometheus.CounterVec
	results *prometheus.CounterVec
}

// NewPage makes the page.
func NewPage(o PageOptions) *Page {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.InFlight == 0 {
		o.InFlight = 64
	}
	if o.ClientIP == nil {
		o.ClientIP = socketIP
	}
	p := &Page{
		opts: o, mux: http.NewServeMux(), cross: http.NewCrossOriginProtection(), within: make(chan struct{}, o.InFlight),
		visits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aorta_google_page_screens_total", Help: "Screens of the page that links wallets, by integration.",
		}, []string{"integration", "screen"}),
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aorta_google_page_results_total", Help: "What browsers were sent back to Google with, by integration and gspResult.",
		}, []string{"integration", "result"}),
	}
	if o.Metrics != nil {
		o.Metrics.MustRegister(p.visits, p.results)
	}
	for _, h := range o.Integrations {
		if o.SignIns[h.Name] == nil {
			continue
		}
		for _, at := range h.pagePatterns() {
			for pattern, serve := range map[string]pageHandler{
				"GET " + at:                       p.open,
				"GET " + at + "/s/{session}":      p.show,
				"POST " + at + "/s/{session}":     p.press,
				"GET " + at + "/s/{session}/back": p.back,
			} {
				p.mux.Handle(pattern, p.wrap(h, serve))
			}
		}
	}
	return p
}

// pageMethod is the page's place among the methods.
const pageMethod = "authenticate"

// pagePatterns are the places of an integration's page, as http.ServeMux writes them.
func (i Integration) pagePatterns() []string {
	at := i.Path(pageMethod)
	if len(i.Hosts) == 0 {
		return []string{at}
	}
	patterns := make([]string, 0, len(i.Hosts))
	for _, h := range i.Hosts {
		patterns = append(patterns, h+at)
	}
	return patterns
}

func socketIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// Patterns are the places that a listener must lead to the page.
func (p *Page) Patterns() []string {
	var patterns []string
	for _, h := range p.opts.Integrations {
		if p.opts.SignIns[h.Name] == nil {
			continue
		}
		for _, at := range h.pagePatterns() {
			patterns = append(patterns, at, at+"/")
		}
	}
	return patterns
}

// ServeHTTP answers a browser.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

// pageHandler answers a request, or says why it will not.
type pageHandler func(w http.ResponseWriter, r *http.Request, h Hosted) error

func (p *Page) wrap(h Hosted, serve pageHandler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := serve(w, r, h); err != nil {
			p.refuse(w, r, h, err)
		}
	})
}

// Why the page shows an error, besides errRedirect and what the flows say.
var (
	errSession  = errors.New("no such session, or its time is over")
	errForeign  = errors.New("pressed on another site")
	errForm     = errors.New("no form of ours")
	errTooMany  = errors.New("too many redirects at once")
	errReturned = errors.New("what came back from the login is not its own")
)

// screenOf is the one place where errors become screens.
func screenOf(err error) (int, web.LinkErrorKind) {
	switch {
	case errors.Is(err, errRedirect), errors.Is(err, errForm), errors.Is(err, errTooLong):
		return http.StatusBadRequest, web.LinkRequest
	case errors.Is(err, errForeign):
		return http.StatusForbidden, web.LinkRequest
	case errors.Is(err, errReturned):
		return http.StatusForbidden, web.LinkLogin
	case errors.Is(err, errSession):
		return http.StatusNotFound, web.LinkOver
	case errors.Is(err, errTooMany), errors.Is(err, book.ErrBusy), errors.Is(err, book.ErrNotRun), errors.Is(err, book.ErrUnknown),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable, web.LinkBusy
	}
	return http.StatusInternalServerError, web.LinkBusy
}

func (p *Page) refuse(w http.ResponseWriter, r *http.Request, h Hosted, err error) {
	status, kind := screenOf(err)
	reference := p.random(9)
	level := slog.LevelInfo
	if status >= http.StatusInternalServerError && !errors.Is(err, context.Canceled) {
		level = slog.LevelError
	}
	p.opts.Log.Log(r.Context(), level, "page of linking refused", "reference", reference, "integration", h.Name, "status", status, "error", err)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "2")
	}
	p.render(w, r, h, status, "", func(page web.Page) web.View {
		return web.LinkErrorView{Page: page, Kind: kind, Reference: reference}
	})
}

// render writes a screen with its headers. goesOn is where its forms may lead besides
// to ourselves: browsers hold redirections after a form against the policy, too.
func (p *Page) render(w http.ResponseWriter, r *http.Request, h Hosted, status int, goesOn string, view func(web.Page) web.View) {
	pr, _ := p.opts.Projects(h.ProjectID)
	page := web.Page{Lang: web.Language(r.Header.Get("Accept-Language")), Nonce: p.random(18), Merchant: pr.Name, TestMode: p.opts.TestMode}
	v := view(page)
	p.visits.WithLabelValues(h.Name, screenName(v)).Inc()
	p.protect(w)
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Language", page.Lang)
	header.Set("Content-Security-Policy", web.Policy{Nonce: page.Nonce, FormAction: []string{web.Origin(goesOn)}}.String())
	w.WriteHeader(status)
	if err := web.Render(w, v); err != nil {
		p.opts.Log.ErrorContext(r.Context(), "page of linking not written", "error", err)
	}
}

// protect sets the headers that every answer has, redirects included.
func (p *Page) protect(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Permissions-Policy", "publickey-credentials-get=(self), publickey-credentials-create=(self), camera=(), display-capture=(), geolocation=(), hid=(), microphone=(), serial=(), usb=()")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	if p.secure() {
		h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	}
}

func (p *Page) secure() bool { return strings.HasPrefix(p.opts.PublicURL(), "https:") }

// leadTo sends the browser on by GET, whatever it came with.
func (p *Page) leadTo(w http.ResponseWriter, address string) {
	p.protect(w)
	w.Header().Set("Location", address)
	w.WriteHeader(http.StatusSeeOther)
}

func (p *Page) random(n int) string {
	b := make([]byte, n)
	if _, err := io.ReadFull(p.opts.Random, b); err != nil {
		panic("no randomness: " + err.Error()) // a guessable nonce would be worse than no answer
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// session is what the page remembers between a redirect and its answer. The customer
// can read it; what is signed they cannot change.
type session struct {
	Name     string      `json:"n"` // of the session, in its path
	Redirect Redirect    `json:"r"`
	Known    id.Customer `json:"k,omitzero"` // whose wallet is to be proved; zero: whoever signs in
	Until    int64       `json:"u"`          // unix seconds
	Form     string      `json:"f"`          // what a form must bring to be one of ours
	Memory   string      `json:"m,omitempty"`
	Person   Person      `json:"p,omitzero"` // who has signed in
	Problem  string      `json:"e,omitempty"`
	Typed    string      `json:"t,omitempty"` // the name that did not fit
	Added    bool        `json:"a,omitempty"` // a passkey
	Proven   bool        `json:"d,omitempty"` // it is over: coming back gives the same answer
}

// sessionTime is how long a customer may take to sign in.
const sessionTime = 15 * time.Minute

// maxCookie is what browsers keep of one.
const maxCookie = 4000

const cookieName = "aorta_link"

func (p *Page) mac(integration, body string) string {
	mac := hmac.New(sha256.New, p.opts.Key[:])
	mac.Write([]byte("google session:" + integration + ":" + body))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (p *Page) sessionPath(h Hosted, name string) string { return h.Path(pageMethod) + "/s/" + name }

// remember writes a session to its cookie.
func (p *Page) remember(w http.ResponseWriter, h Hosted, s session) error {
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("session: %w", err)
	}
	body := base64.RawURLEncoding.EncodeToString(text)
	value := body + "." + p.mac(h.Name, body)
	if len(value) > maxCookie {
		return fmt.Errorf("%w: its addresses and identifiers are too long for a session", errRedirect)
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: value, Path: p.sessionPath(h, s.Name), MaxAge: int(max(1, s.Until-p.opts.Now().Unix())),
		Secure: p.secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return nil
}

// forget ends a session.
func (p *Page) forget(w http.ResponseWriter, h Hosted, s session) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Path: p.sessionPath(h, s.Name), MaxAge: -1, Secure: p.secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// sessionOf reads the session of a request, or errSession.
func (p *Page) sessionOf(r *http.Request, h Hosted) (s session, err error) {
	for _, c := range r.CookiesNamed(cookieName) {
		body, mac, _ := strings.Cut(c.Value, ".")
		if !hmac.Equal([]byte(mac), []byte(p.mac(h.Name, body))) {
			continue
		}
		text, err := base64.RawURLEncoding.DecodeString(body)
		if err != nil || json.Unmarshal(text, &s) != nil || s.Name != r.PathValue("session") || p.opts.Now().Unix() >= s.Until {
			s = session{}
			continue
		}
		return s, nil
	}
	return session{}, errSession
}

// open takes a redirect of Google's. What can be told at once is: who is proved
// already, or never can be.
func (p *Page) open(w http.ResponseWriter, r *http.Request, h Hosted) error {
	select {
	case p.within <- struct{}{}:
		defer func() { <-p.within }()
	default:
		return errTooMany
	}
	now := p.opts.Now()
	redirect, err := h.readRedirect(r.URL.RawQuery, now)
	if err != nil {
		return err
	}
	// Keys and addresses that no answer fits for are told before anybody signs in for nothing.
	failed, err := h.answerURL(redirect, RedirectFailed, now)
	if err != nil {
		return err
	}
	fail := func() error {
		p.results.WithLabelValues(h.Name, fmt.Sprint(int(RedirectFailed))).Inc()
		p.leadTo(w, failed)
		return nil
	}
	if redirect.Differs {
		return fail()
	}
	s := session{Name: p.random(12), Redirect: redirect, Until: now.Add(sessionTime).Unix(), Form: p.random(12)}
	proof, found, err := p.opts.Flows.ProofOf(r.Context(), h.Name, redirect.RequestID)
	switch {
	case err != nil:
		return err
	case found && !proof.Good(now.UnixMicro()):
		return fail() // used, or over: it is never bound to anybody again
	case found:
		s.Known = proof.Customer
	}
	if redirect.Association != "" {
		link, found, err := p.opts.Flows.LinkOf(r.Context(), h.Name, redirect.Association)
		switch {
		case err != nil:
			return err
		case !found: // the one that is about to be made
		case link.State == fop.AssociationClosed, !s.Known.IsZero() && s.Known != link.Customer:
			return fail()
		default:
			s.Known = link.Customer
		}
	}
	if err := p.remember(w, h, s); err != nil {
		return err
	}
	p.leadTo(w, p.sessionPath(h, s.Name))
	return nil
}

// visit is what a SignIn is told of a request.
func (p *Page) visit(r *http.Request, h Hosted, s session) Visit {
	origin := web.Origin(p.opts.PublicURL())
	if host := "localhost"; isLoopback(hostOf(origin)) && hostOf("//"+r.Host) == host {
		// On this machine browsers know the page by its name, too, and passkeys by that alone.
		origin = strings.Replace(origin, hostOf(origin), host, 1)
	}
	for _, own := range h.Hosts {
		if hostOf("//"+r.Host) == own && p.secure() {
			origin = "https://" + strings.ToLower(r.Host)
		}
	}
	return Visit{
		Origin: origin, Back: origin + p.sessionPath(h, s.Name) + "/back", Memory: s.Memory, IP: p.opts.ClientIP(r),
		Language: web.Language(r.Header.Get("Accept-Language")),
	}
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// show shows where a session stands.
func (p *Page) show(w http.ResponseWriter, r *http.Request, h Hosted) error {
	s, err := p.sessionOf(r, h)
	if err != nil {
		return err
	}
	switch {
	case s.Proven:
		return p.again(w, r, h, s)
	case s.Person.CustomerID != "":
		return p.consent(w, r, h, s)
	}
	visit := p.visit(r, h, s)
	visit.Memory = ""
	step, err := p.opts.SignIns[h.Name].Begin(r.Context(), visit)
	if err != nil {
		return err
	}
	s.Memory = step.Memory
	view := web.SignInView{
		Known: !s.Known.IsZero(), Problem: s.Problem, Name: s.Typed, Action: p.sessionPath(h, s.Name), Fields: s.fields(), Passkey: step.Passkey, Home: step.Leave,
	}
	s.Problem, s.Typed = "", ""
	if err := p.remember(w, h, s); err != nil {
		return err
	}
	if step.Leave != "" && view.Problem == "" {
		p.leadTo(w, step.Leave)
		return nil
	}
	p.render(w, r, h, http.StatusOK, s.Redirect.Callback, func(page web.Page) web.View { view.Page = page; return view })
	return nil
}

const formField = "form"

func (s session) fields() []web.Field { return []web.Field{{Name: formField, Value: s.Form}} }

// consent shows to who has signed in what is about to be linked.
func (p *Page) consent(w http.ResponseWriter, r *http.Request, h Hosted, s session) error {
	pr, ok := p.opts.Projects(h.ProjectID)
	if !ok {
		return fmt.Errorf("project %d of the integration: %w", h.ProjectID, errSession)
	}
	view := web.ConsentView{
		Known: !s.Known.IsZero(), Wallet: fop.Nickname(p.opts.Flows.CustomerOf(pr, s.Person.CustomerID).String()), Action: p.sessionPath(h, s.Name), Fields: s.fields(), Added: s.Added,
	}
	lang := web.Language(r.Header.Get("Accept-Language"))
	for _, l := range h.Limits {
		for _, b := range []struct {
			kind  string
			minor int64
		}{{"once", l.Transaction}, {"day", l.Day}, {"month", l.Month}} {
			if b.minor > 0 {
				view.Limits = append(view.Limits, web.Bound{Kind: b.kind, Amount: money.Amount{Minor: b.minor, Currency: l.Currency}.Format(lang)})
			}
		}
	}
	s.Memory, s.Added = "", false
	if e, can := p.opts.SignIns[h.Name].(Enroller); can && !view.Added {
		step, err := e.BeginEnroll(r.Context(), p.visit(r, h, s), s.Person)
		if err != nil {
			return err
		}
		s.Memory, view.Passkey = step.Memory, step.Passkey
	}
	if err := p.remember(w, h, s); err != nil {
		return err
	}
	p.render(w, r, h, http.StatusOK, s.Redirect.Callback, func(page web.Page) web.View { view.Page = page; return view })
	return nil
}

// maxForm bounds what a form of the page brings, in bytes.
const maxForm = 32 << 10

// press answers the buttons.
func (p *Page) press(w http.ResponseWriter, r *http.Request, h Hosted) error {
	s, err := p.sessionOf(r, h)
	if err != nil {
		return err
	}
	form, err := p.formOf(w, r, s)
	if err != nil {
		return err
	}
	signed := s.Person.CustomerID != ""
	switch do := form.Get("do"); {
	case s.Proven:
		return p.again(w, r, h, s)
	case do == "cancel":
		return p.answer(w, h, s, RedirectCancelled)
	case do == "link" && signed:
		return p.prove(w, r, h, s)
	case do == "other" && signed:
		s.Person, s.Memory = Person{}, ""
	case do == "enroll" && signed:
		e, can := p.opts.SignIns[h.Name].(Enroller)
		if !can {
			return errForm
		}
		err := e.EndEnroll(r.Context(), p.visit(r, h, s), s.Person, form)
		if err != nil && !errors.Is(err, ErrWrong) {
			return err
		}
		s.Added, s.Memory = err == nil, ""
	case (do == "signin" || do == "passkey") && !signed:
		return p.signIn(w, r, h, s, form)
	case do == "signin", do == "passkey", do == "link", do == "other", do == "enroll": // pressed twice, or on an old page
	default:
		return errForm
	}
	return p.goOn(w, h, s)
}

// formOf reads a form, which must be one that this session has shown.
func (p *Page) formOf(w http.ResponseWriter, r *http.Request, s session) (url.Values, error) {
	if r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") != "null" { // "null": a browser of before 2023 without a referrer
		if err := p.cross.Check(r); err != nil {
			return nil, fmt.Errorf("%w: %w", errForeign, err)
		}
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/x-www-form-urlencoded" {
		return nil, errForm
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		return nil, errForm
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errForm
	}
	if !hmac.Equal([]byte(form.Get(formField)), []byte(s.Form)) {
		return nil, errForeign
	}
	return form, nil
}

// goOn keeps a session and shows it anew.
func (p *Page) goOn(w http.ResponseWriter, h Hosted, s session) error {
	if err := p.remember(w, h, s); err != nil {
		return err
	}
	p.leadTo(w, p.sessionPath(h, s.Name))
	return nil
}

// back takes a customer in whom the operator's own login sends back.
func (p *Page) back(w http.ResponseWriter, r *http.Request, h Hosted) error {
	s, err := p.sessionOf(r, h)
	if err != nil {
		return err
	}
	if s.Proven || s.Person.CustomerID != "" {
		p.leadTo(w, p.sessionPath(h, s.Name))
		return nil
	}
	if len(r.URL.RawQuery) > maxRedirect {
		return errReturned
	}
	brought, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return errReturned
	}
	return p.signIn(w, r, h, s, brought)
}

// signIn ends a sign-in: who it is, or what they are told.
func (p *Page) signIn(w http.ResponseWriter, r *http.Request, h Hosted, s session, brought url.Values) error {
	person, err := p.opts.SignIns[h.Name].End(r.Context(), p.visit(r, h, s), brought)
	s.Memory = "" // what was begun is over, however it ended
	switch {
	case errors.Is(err, ErrGaveUp):
		return p.answer(w, h, s, RedirectCancelled)
	case errors.Is(err, ErrForged):
		return fmt.Errorf("%w: %w", errReturned, err)
	case errors.Is(err, ErrWrong), errors.Is(err, ErrTooOften):
		p.opts.Log.InfoContext(r.Context(), "sign-in refused", "integration", h.Name, "error", err)
		s.Problem = "wrong"
		if errors.Is(err, ErrTooOften) {
			s.Problem = "too_often"
		}
		if s.Typed = brought.Get("name"); len(s.Typed) > 100 {
			s.Typed = ""
		}
		return p.goOn(w, h, s)
	case err != nil:
		return err
	}
	pr, ok := p.opts.Projects(h.ProjectID)
	if !ok {
		return errSession
	}
	if !s.Known.IsZero() && p.opts.Flows.CustomerOf(pr, person.CustomerID) != s.Known {
		s.Problem = "other_wallet"
		return p.goOn(w, h, s)
	}
	s.Person = person
	return p.goOn(w, h, s)
}

// prove writes the proof, and sends the browser back with it.
func (p *Page) prove(w http.ResponseWriter, r *http.Request, h Hosted, s session) error {
	pr, ok := p.opts.Projects(h.ProjectID)
	if !ok {
		return errSession
	}
	_, err := p.opts.Flows.Prove(r.Context(), flow.Proving{
		Project: pr, Integration: h.Name, RequestID: s.Redirect.RequestID, Association: s.Redirect.Association,
		CustomerID: s.Person.CustomerID, How: s.Person.How, Lasts: h.ProofTime,
	})
	switch {
	case errors.Is(err, flow.ErrHeld): // they may sign in to another wallet, or go back
		p.opts.Log.InfoContext(r.Context(), "nothing is proved", "integration", h.Name, "error", err)
		s.Person, s.Memory, s.Problem = Person{}, "", "on_hold"
		return p.goOn(w, h, s)
	case errors.Is(err, flow.ErrProofTaken):
		p.opts.Log.InfoContext(r.Context(), "nothing is proved", "integration", h.Name, "error", err)
		return p.answer(w, h, s, RedirectFailed)
	case err != nil:
		return err // nothing is known to have happened: pressing again finds out
	}
	s.Proven = true
	if err := p.remember(w, h, s); err != nil {
		return err
	}
	return p.answer(w, h, s, RedirectProven)
}

// again answers a customer who has come back to a session that is over: as before,
// until Google has made use of the proof.
func (p *Page) again(w http.ResponseWriter, r *http.Request, h Hosted, s session) error {
	proof, found, err := p.opts.Flows.ProofOf(r.Context(), h.Name, s.Redirect.RequestID)
	switch {
	case err != nil:
		return err
	case found && proof.Good(p.opts.Now().UnixMicro()):
		return p.answer(w, h, s, RedirectProven)
	}
	return p.answer(w, h, s, RedirectFailed)
}

// screenName is a screen's name in the metrics.
func screenName(v web.View) string {
	switch v := v.(type) {
	case web.SignInView:
		return "sign_in"
	case web.ConsentView:
		return "consent"
	case web.LinkErrorView:
		return "error_" + string(v.Kind)
	}
	return "other"
}

// answer sends the browser back to Google.
func (p *Page) answer(w http.ResponseWriter, h Hosted, s session, result RedirectResult) error {
	address, err := h.answerURL(s.Redirect, result, p.opts.Now())
	if err != nil {
		return err
	}
	if result != RedirectProven {
		p.forget(w, h, s)
	}
	p.results.WithLabelValues(h.Name, fmt.Sprint(int(result))).Inc()
	p.leadTo(w, address)
	return nil
}
