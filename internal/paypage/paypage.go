// Package paypage is the ECommPay-compatible Payment Page: a merchant's signed
// link opens it, the customer confirms, goes to the provider, comes back and
// reads the result (ecommpay.md section 2).
//
//	GET|POST /payment ──verified──▶ confirm screen      nothing is stored
//	POST /payment/confirm ──▶ flow.BeginSale ──303──▶ /payment/s/{token}
//	/payment/s/{token}: waiting ─▶ handoff to the provider ─▶ waiting ─▶ result
//
// Everything works without JavaScript; the screens are package web's. The page
// never takes a card number, never keeps a customer's data, and believes nothing
// that the merchant's secret has not signed. There is no session but the payment
// itself: the token in the path names it and is the whole authority, so a frame
// whose cookies are blocked works like any other window (security.md S31).
//
// Known weaknesses: whoever has a signed link may confirm it, as the protocol has
// it; and a customer who tries again after a decline does so by the same method,
// and the provider hears no name or e-mail then, since what the merchant allowed
// and sent of the customer is not kept.
//
// Beside it customers of licensed houses have a page of their own (customer.go).
package paypage

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"aorta/internal/book"
	"aorta/internal/flow"
	"aorta/internal/project"
	"aorta/web"

	"github.com/prometheus/client_golang/prometheus"
)

// Options are what a Page must be given, and its parts with a default.
type Options struct {
	Flows     *flow.Flows                                   // required
	Read      book.Reader                                   // of what the flows write; required
	Projects  func(projectID int64) (project.Project, bool) // required
	PublicURL func() string                                 // our origin as browsers know it, "https://pay.example"; required
	Key       [32]byte                                      // makes session tokens; required, secret, the same in every process
	Now       func() time.Time                              // required

	ClientIP func(*http.Request) string // the customer's address (S14); nil takes the socket's
	Random   io.Reader                  // for nonces and references; nil is crypto/rand
	Log      *slog.Logger               // nil discards
	Metrics  prometheus.Registerer      // nil: counted, not registered
	Wait     time.Duration              // how long a confirmation waits for the provider's first answer; 0 means 10s
	TestMode bool                       // says on every screen that no real money moves; lets pages of this machine frame ours

	// AllowInsecureCallbacks lets callbacks go to http:// addresses, as Gate's
	// option of that name does.
	AllowInsecureCallbacks bool
}

// Page serves /payment, /payment/…, /customer/…, /shared/…, /params/check and
// /v1/params/check.
type Page struct {
	opts    Options
	mux     *http.ServeMux
	cross   *http.CrossOriginProtection
	screens *prometheus.CounterVec
	reports prometheus.Counter
}

// New makes the page.
func New(o Options) *Page {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Wait == 0 {
		o.Wait = 10 * time.Second
	}
	if o.ClientIP == nil {
		o.ClientIP = socketIP
	}
	p := &Page{
		opts: o, mux: http.NewServeMux(), cross: http.NewCrossOriginProtection(),
		screens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aorta_page_screens_total", Help: "Screens of the payment page, errors by their kind.",
		}, []string{"screen"}),
		reports: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "aorta_page_policy_reports_total", Help: "Browsers that report something on a page that its policy forbids.",
		}),
	}
	if o.Metrics != nil {
		o.Metrics.MustRegister(p.screens, p.reports)
	}
	for pattern, h := range map[string]handler{
		"GET /payment":            p.open,
		"POST /payment":           p.open,
		"POST /payment/confirm":   p.confirm,
		"GET /payment/s/{token}":  p.session,
		"POST /payment/s/{token}": p.comeBack,

		"POST /payment/s/{token}/again": p.again,

		"GET /customer/{token}":  p.customerPage,
		"POST /customer/{token}": p.customerPress,
	} {
		p.mux.Handle(pattern, p.wrap(h))
	}
	p.mux.HandleFunc("GET /payment/s/{token}/status", p.status)
	p.mux.HandleFunc("POST "+reportPath, p.report)
	p.mux.HandleFunc("GET /params/check", p.check)
	p.mux.HandleFunc("GET /v1/params/check", p.check)
	p.mux.Handle("/shared/", web.Handler())
	return p
}

// ServeHTTP answers the page's part of the public listener.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

// maxRequest bounds what a merchant may say of one payment, in bytes: far more
// than any real request and little enough to carry through a form.
const maxRequest = 64 << 10

// handler answers a request, or says why it will not. What it learns about who
// asks it leaves in the visit, for the error's screen.
type handler func(w http.ResponseWriter, r *http.Request, v *visit) error

// visit is what is known so far of a request.
type visit struct {
	looks looks
	back  *web.Button // where the error's screen leads; nil: where the looks say
	retry string      // an address of ours that is worth another try, or ""
}

func (p *Page) wrap(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{looks: looks{dest: r.Header.Get("Sec-Fetch-Dest"), local: p.opts.TestMode}}
		if err := h(w, r, v); err != nil {
			p.refuse(w, r, v, err)
		}
	})
}

// refuse shows the error's screen. The log has the rest, under the reference.
func (p *Page) refuse(w http.ResponseWriter, r *http.Request, v *visit, err error) {
	status, kind := screenOf(err)
	reference := p.random(9)
	level := slog.LevelInfo
	if status >= http.StatusInternalServerError && !errors.Is(err, context.Canceled) {
		level = slog.LevelError
	}
	p.opts.Log.Log(r.Context(), level, "payment page refused", "reference", reference, "project", v.looks.project.ID, "status", status, "error", err)
	view := web.ErrorView{Kind: kind, Reference: reference, Return: v.back}
	if view.Return == nil {
		view.Return = v.looks.back()
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "2")
		view.ReloadURL = v.retry
	}
	p.show(w, r, v.looks, status, func(page web.Page) web.View { view.Page = page; return view }, nil)
}

// show writes one screen with its headers (security.md S28). formAction lists the
// addresses that a form on it may lead to, besides ourselves.
func (p *Page) show(w http.ResponseWriter, r *http.Request, l looks, status int, view func(web.Page) web.View, formAction []string) {
	page := web.Page{
		Lang: web.Language(l.kept.Language, r.Header.Get("Accept-Language")), Nonce: p.random(18),
		Merchant: l.project.Name, TestMode: p.opts.TestMode, Framed: l.framed(), ParentOrigin: l.parent(),
	}
	v := view(page)
	p.screens.WithLabelValues(nameOf(v)).Inc()
	p.protect(w)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", page.Lang)
	policy := web.Policy{Nonce: page.Nonce, FormAction: formAction, FrameAncestors: l.ancestors(), Loopback: l.local, ReportURI: reportPath}
	h.Set("Content-Security-Policy", policy.String())
	w.WriteHeader(status)
	if err := web.Render(w, v); err != nil {
		// The customer has gone, or a view does not fit its template, which web's tests exclude.
		p.opts.Log.ErrorContext(r.Context(), "payment page not written", "error", err)
	}
}

// protect sets the headers that every answer has, redirects included.
func (p *Page) protect(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Permissions-Policy", "payment=(self), camera=(), display-capture=(), geolocation=(), hid=(), microphone=(), serial=(), usb=()")
	h.Set("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
	if strings.HasPrefix(p.opts.PublicURL(), "https:") {
		h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	}
}

// reportPath is where browsers report what a page's policy has kept out (S28).
const reportPath = "/payment/policy-report"

// report counts. What it says is not kept: anybody can send it, browser
// extensions do so daily, and the addresses in it are the customer's business.
func (p *Page) report(w http.ResponseWriter, _ *http.Request) {
	p.reports.Inc()
	w.WriteHeader(http.StatusNoContent)
}

// leadTo sends the browser on by GET, whatever it came with.
func (p *Page) leadTo(w http.ResponseWriter, address string) {
	p.protect(w)
	w.Header().Set("Location", address)
	w.WriteHeader(http.StatusSeeOther)
}

// random gives text of n random bytes.
func (p *Page) random(n int) string {
	b := make([]byte, n)
	if _, err := io.ReadFull(p.opts.Random, b); err != nil {
		panic("no randomness: " + err.Error()) // a guessable nonce would be worse than no answer
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func socketIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}
