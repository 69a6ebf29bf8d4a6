// Package api is the front door of the native API, /v1: JSON over HTTP with API
// keys, for whoever builds against Aorta itself (payment-loop.md L2 and L11,
// errors.md).
//
// It decides nothing about money: it reads strictly, asks package flow, and
// translates. Each call, its members and its answers are said once, in routes and
// in the structs that it names; reading, refusing and openapi.json follow from
// them. Its known weakness: pace is counted by process, so two processes allow
// twice as much.
package api

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"aorta/internal/book"
	"aorta/internal/callback"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/sign"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// Door is the name of this door on its payments.
const Door = "api"

// Options are what the door must be given, and its parts with a default.
type Options struct {
	Flows     *flow.Flows                                   // required
	Read      book.Reader                                   // required
	Projects  func(projectID int64) (project.Project, bool) // required
	PayURL    func(id.Payment) string                       // where a customer goes on to pay; required
	PublicURL func() string                                 // as clients reach us; required

	// CustomerURL is the link to a customer's own page until an instant; required.
	CustomerURL func(p project.Project, customerID, returnURL, language string, until time.Time) string

	// Links says of a project whether its customers' wallets can be linked with Google:
	// then each has a page, also without rules; nil: of none.
	Links func(projectID int64) bool

	Cursors Cursors           // of the master key; required
	KeyHash project.KeyHasher // of the master key, as those who make keys have it; required
	Now     func() time.Time  // required
	Random  io.Reader         // names requests; read by many goroutines at once; required

	// News takes a provider's signed notification, and answers connector.ErrSignature,
	// connector.ErrMalformed, or that it could not be stored; required.
	News func(ctx context.Context, header http.Header, body []byte) error

	Endpoints *callback.Endpoints // whom projects have told of events; required

	// ReplayTo tells an endpoint once more what a filter chooses; required.
	ReplayTo func(ctx context.Context, projectID int64, k id.Endpoint, f callback.Filter) (int, error)

	// ClientIP gives the address that a project's AllowedIPs are compared with;
	// nil takes the socket's (security.md S14).
	ClientIP func(*http.Request) netip.Addr

	// Insecure lets customers be led back to http:// addresses: for a shop on the
	// same machine, and for tests.
	Insecure bool

	// Sole: the house's own accounts are shown, too: there is one merchant, or it is a
	// demo. Other merchants' are not.
	Sole bool

	Rate     float64               // calls per second with one API key; 0: any number
	Burst    int                   // calls that may come at once; 0 means one second's
	InFlight int                   // calls that are answered at once; 0 means 512
	Wait     time.Duration         // for the provider's first answer; 0 means 10s
	KeyTTL   time.Duration         // how long a key is believed without looking again; 0 means 2s
	Log      *slog.Logger          // nil discards
	Metrics  prometheus.Registerer // nil: counted, not registered
}

// API answers requests under /v1/. It is an http.Handler, safe for concurrent use.
type API struct {
	opts    Options
	routes  []*route
	openapi []byte
	keys    keyring
	within  atomic.Int64

	answers *prometheus.CounterVec
	seconds *prometheus.HistogramVec

	mu     sync.Mutex
	limits map[id.Key]*rate.Limiter
}

// New makes the door.
func New(o Options) *API {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.ClientIP == nil {
		o.ClientIP = socketIP
	}
	def(&o.InFlight, 512)
	def(&o.Wait, 10*time.Second)
	def(&o.KeyTTL, 2*time.Second)
	def(&o.Burst, max(1, int(o.Rate)))
	a := &API{
		opts: o, limits: map[id.Key]*rate.Limiter{},
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aorta_api_answers_total", Help: "Answers of /v1 by call and code; ok is success.",
		}, []string{"call", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "aorta_api_answer_seconds", Help: "Time from a request's header to its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}, []string{"call"}),
	}
	a.routes = a.table()
	for _, r := range a.routes {
		r.compile()
	}
	a.openapi = a.describe()
	if o.Metrics != nil {
		o.Metrics.MustRegister(a.answers, a.seconds)
	}
	return a
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func socketIP(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{} // in no network, so in none that is allowed
	}
	return at.Addr().Unmap()
}

// route is one call of the API.
type route struct {
	method, pattern string        // "POST", "/v1/payments/{payment_id}/refunds"
	name, doc       string        // "createRefund", and what it does
	scope           project.Scope // empty: it needs no key
	body            any           // a pointer to the struct of its body; nil: none
	query           any           // a pointer to the struct of its query; nil: none
	answer          any           // a pointer to the struct of its answer's body
	errors          []code        // of its own, besides those that every call has
	plain           func(context.Context, *call) (any, error)
	once            func(context.Context, *call) (once, error) // of a call that is done once per key
	tell            func(*call) (tell, error)                  // of one that moves a customer's money, once per key
	raw             func(http.ResponseWriter, *http.Request, *call) error
	news            func(context.Context, http.ResponseWriter, *call) (any, error) // of the call that providers make

	segments      []string
	bodyMembers   []member
	queryMembers  []member
	answerMembers []member
}

func (r *route) compile() {
	r.segments = strings.Split(r.pattern, "/")
	r.bodyMembers, r.queryMembers, r.answerMembers = tagged(r.body), tagged(r.query), tagged(r.answer)
}

// guessable reports whether a member of the body has values of which there are so few
// that their hash gives them away.
func (r *route) guessable(name string) bool {
	return slices.ContainsFunc(r.bodyMembers, func(m member) bool { return m.kind == "phone" && m.name == name })
}

func tagged(v any) []member {
	if v == nil {
		return nil
	}
	return membersOf(reflect.TypeOf(v).Elem())
}

// mutates reports whether the call needs an idempotency key.
func (r *route) mutates() bool { return r.once != nil || r.tell != nil }

// fits reads the variables of a path; false if it is another route's.
func (r *route) fits(segments []string) (map[string]string, bool) {
	if len(segments) != len(r.segments) {
		return nil, false
	}
	var vars map[string]string
	for n, s := range r.segments {
		if name, ok := strings.CutPrefix(s, "{"); ok {
			if vars == nil {
				vars = map[string]string{}
			}
			vars[strings.TrimSuffix(name, "}")] = segments[n]
		} else if s != segments[n] {
			return nil, false
		}
	}
	return vars, true
}

// call is one request on its way. What is not known yet is zero.
type call struct {
	http    *http.Request
	route   *route
	traceID string
	vars    map[string]string
	key     project.Key
	project project.Project
	doc     *sign.Doc
	body    any // as the route's, filled
	query   any
	idem    string // the idempotency key
}

// finds gives the route of a request; refusals are errors.
func (a *API) find(r *http.Request) (*route, map[string]string, error) {
	segments := strings.Split(r.URL.EscapedPath(), "/")
	for n, s := range segments {
		if strings.IndexByte(s, '%') < 0 {
			continue
		}
		text, err := url.PathUnescape(s)
		if err != nil {
			return nil, nil, refuse(codeNotFound, nil)
		}
		segments[n] = text
	}
	var allow []string
	for _, x := range a.routes {
		vars, ok := x.fits(segments)
		if ok && (x.method == r.Method || x.method == http.MethodGet && r.Method == http.MethodHead) {
			return x, vars, nil
		}
		if ok {
			allow = append(allow, x.method)
		}
	}
	if len(allow) > 0 {
		return nil, nil, &refusal{code: codeMethod, header: http.Header{"Allow": {strings.Join(allow, ", ")}}}
	}
	return nil, nil, refuse(codeNotFound, nil)
}

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := a.opts.Now()
	c := &call{http: r, traceID: a.traceID()}
	values := [...]string{c.traceID, "no-store", "nosniff"} // of one piece of memory
	head := w.Header()
	head[traceHeader], head["Cache-Control"], head["X-Content-Type-Options"] = values[0:1:1], values[1:2:2], values[2:3:3]
	out, err := a.safely(w, r, c)
	if err != nil {
		out = a.refused(c, err)
	}
	name := "none"
	if c.route != nil {
		name = c.route.name
	}
	if out.media != "" {
		maps.Copy(head, out.header)
		values := [...]string{out.media, "Accept, Accept-Language", strconv.Itoa(len(out.body))}
		head["Content-Type"], head["Vary"], head["Content-Length"] = values[0:1:1], values[1:2:2], values[2:3:3]
		w.WriteHeader(out.status)
		if r.Method != http.MethodHead {
			w.Write(out.body)
		}
	}
	result := string(out.code)
	if result == "" {
		result = "ok"
	}
	took := a.opts.Now().Sub(start)
	a.answers.WithLabelValues(name, result).Inc()
	a.seconds.WithLabelValues(name).Observe(took.Seconds())
	if !a.opts.Log.Enabled(r.Context(), slog.LevelInfo) {
		return
	}
	a.opts.Log.InfoContext(r.Context(), "api call", "trace_id", c.traceID, "call", name, "project", c.project.ID, "key", c.key.ID.String(),
		"status", out.status, "code", result, "took", took)
}

// safely is answer, whose bugs are answered too: a connection that breaks off says
// nothing, and leaves no trace_id to ask for.
func (a *API) safely(w http.ResponseWriter, r *http.Request, c *call) (out reply, err error) {
	defer func() {
		if bug := recover(); bug != nil {
			out, err = reply{}, fmt.Errorf("panic: %v\n%s", bug, debug.Stack())
		}
	}()
	return a.answer(w, r, c)
}

// refused makes the answer of an error. The text of an error of ours stays in the
// log, under the trace id that the caller is told (security.md S36).
func (a *API) refused(c *call, err error) reply {
	r, ours := refusalOf(err)
	if ours {
		name := "none"
		if c.route != nil {
			name = c.route.name
		}
		a.opts.Log.ErrorContext(c.http.Context(), "api could not answer", "trace_id", c.traceID, "call", name, "project", c.project.ID, "error", err)
	}
	return r.reply(c.traceID, a.opts.PublicURL()+"/v1/errors/", languageOf(c.http.Header), wantsProblem(c.http))
}

// wantsProblem reports whether errors are wanted in the form of RFC 9457.
func wantsProblem(r *http.Request) bool {
	for _, list := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(list, ",") {
			if media, _, err := mime.ParseMediaType(part); err == nil && media == "application/problem+json" {
				return true
			}
		}
	}
	return false
}

// traceID is 32 hexadecimal digits that name a request in its answer and in logs.
func (a *API) traceID() string {
	var bits [16]byte
	if _, err := io.ReadFull(a.opts.Random, bits[:]); err != nil {
		panic("api: no randomness: " + err.Error())
	}
	return hex.EncodeToString(bits[:])
}

// The bounds of a request (security.md S32). A header that is much larger the
// listener refuses in its own words.
const (
	maxBody    = 256 << 10
	maxAddress = 8 << 10
	maxHeader  = 32 << 10
)

// answer takes a request through the checks, and has it answered.
func (a *API) answer(w http.ResponseWriter, r *http.Request, c *call) (reply, error) {
	defer a.within.Add(-1)
	if a.within.Add(1) > int64(a.opts.InFlight) {
		return reply{}, &refusal{code: codeOverloaded, retryAfter: patience}
	}
	if len(r.RequestURI) > maxAddress {
		return reply{}, &refusal{code: codeTooLarge, status: http.StatusRequestURITooLong}
	}
	if headerSize(r.Header) > maxHeader {
		return reply{}, &refusal{code: codeTooLarge, status: http.StatusRequestHeaderFieldsTooLarge}
	}
	var err error
	if c.route, c.vars, err = a.find(r); err != nil {
		return reply{}, err
	}
	if c.route.raw != nil {
		return reply{status: http.StatusOK}, c.route.raw(w, r, c)
	}
	if c.route.news != nil {
		body, err := c.route.news(r.Context(), w, c)
		return reply{status: http.StatusOK, media: mediaJSON, body: encode(body)}, err
	}
	if c.route.scope != "" {
		if err := a.admit(w, c); err != nil {
			return reply{}, err
		}
	}
	if err := a.readCall(w, c); err != nil {
		return reply{}, err
	}
	ctx := r.Context()
	switch {
	case c.route.once != nil:
		return a.once(ctx, c)
	case c.route.tell != nil:
		return a.told(ctx, c)
	}
	body, err := c.route.plain(ctx, c)
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, media: mediaJSON, body: encode(body)}, nil
}

func headerSize(h http.Header) int {
	size := 0
	for name, values := range h {
		for _, v := range values {
			size += len(name) + len(v) + len(": \r\n")
		}
	}
	return size
}

// admit lets a request in by its API key: who, from where, for what, how often.
func (a *API) admit(w http.ResponseWriter, c *call) error {
	var err error
	if c.key, c.project, err = a.authenticate(c.http); err != nil {
		return err
	}
	if !allowed(c.project.AllowedIPs, a.opts.ClientIP(c.http)) {
		return refuse(codeIP, nil)
	}
	if !c.key.May(c.route.scope) {
		return refuse(codeForbidden, map[string]any{"scope": string(c.route.scope)})
	}
	return a.pace(w, c.key.ID)
}

// allowed reports whether the sender's address is in one of the networks. An entry
// that cannot be read allows nobody.
func allowed(networks []string, from netip.Addr) bool {
	if len(networks) == 0 {
		return true
	}
	from = from.Unmap()
	for _, text := range networks {
		if one, err := netip.ParseAddr(text); err == nil && one.Unmap() == from {
			return true
		}
		if network, err := netip.ParsePrefix(text); err == nil && network.Contains(from) {
			return true
		}
	}
	return false
}

// pace refuses a key that calls too often, and says in every answer how much is
// left (draft-ietf-httpapi-ratelimit-headers).
func (a *API) pace(w http.ResponseWriter, k id.Key) error {
	if a.opts.Rate == 0 {
		return nil
	}
	a.mu.Lock()
	l, ok := a.limits[k]
	if !ok {
		l = rate.NewLimiter(rate.Limit(a.opts.Rate), a.opts.Burst)
		a.limits[k] = l
	}
	a.mu.Unlock()
	now := a.opts.Now()
	place := l.ReserveN(now, 1)
	wait := place.DelayFrom(now)
	if wait > 0 {
		place.CancelAt(now)
	}
	left := max(0, l.TokensAt(now))
	full := math.Ceil((float64(a.opts.Burst) - left) / a.opts.Rate)
	w.Header().Set("RateLimit-Policy", `"key";q=`+strconv.Itoa(a.opts.Burst)+`;w=`+strconv.Itoa(int(math.Ceil(float64(a.opts.Burst)/a.opts.Rate))))
	w.Header().Set("RateLimit", `"key";r=`+strconv.Itoa(int(left))+`;t=`+strconv.Itoa(int(full)))
	if wait > 0 {
		return &refusal{code: codeRate, retryAfter: max(wait, time.Second)}
	}
	return nil
}

// readCall reads path, query, headers and body.
func (a *API) readCall(w http.ResponseWriter, c *call) error {
	query, err := url.ParseQuery(c.http.URL.RawQuery)
	if err != nil {
		return invalid(problem{"", "query", "cannot be read"})
	}
	if err := harmlessHead(c, query); err != nil {
		return err
	}
	if c.route.query != nil {
		c.query = reflect.New(reflect.TypeOf(c.route.query).Elem()).Interface()
		if err := readQuery(query, c.route.queryMembers, c.query); err != nil {
			return err
		}
	} else if len(query) > 0 {
		if err := readQuery(query, nil, &struct{}{}); err != nil {
			return err
		}
	}
	if c.route.body == nil {
		if !c.route.mutates() {
			return nil
		}
		if c.doc, err = sign.ParseJSON([]byte("{}")); err != nil { // all is said by the address
			return err
		}
		c.idem, err = idempotencyKey(c.http.Header, c.doc)
		return err
	}
	raw, err := readBody(w, c.http)
	if err != nil {
		return err
	}
	if c.doc, err = sign.ParseJSON(raw); err != nil {
		return err
	}
	if err := harmless(c.doc, c.route.bodyMembers); err != nil {
		return err
	}
	if c.route.mutates() {
		if c.idem, err = idempotencyKey(c.http.Header, c.doc); err != nil {
			return err
		}
	}
	c.body = reflect.New(reflect.TypeOf(c.route.body).Elem()).Interface()
	return read(c.doc, c.route.bodyMembers, c.body)
}

// plainHeaders hold names that machines make, or are read by nobody here: a long
// number in them is no card, and they are not logged.
var plainHeaders = []string{"Authorization", "Traceparent", "Tracestate", "User-Agent", "X-Signature", "Content-Length", "Date"}

// harmlessHead refuses card data in an address and in headers (S24).
func harmlessHead(c *call, query url.Values) error {
	for name, value := range c.vars {
		if !kinds[name].digits {
			if err := harmlessText(value); err != nil {
				return err
			}
		}
	}
	for name, values := range query {
		if !typed(name, c.route.queryMembers) {
			if err := harmlessText(append(slices.Clone(values), name)...); err != nil {
				return err
			}
		}
	}
	for name, values := range c.http.Header {
		if !slices.Contains(plainHeaders, name) {
			if err := harmlessText(values...); err != nil {
				return err
			}
		}
	}
	return nil
}

// readBody reads a JSON body of at most maxBody. One that says itself to be longer
// is not touched.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if text := r.Header.Get("Content-Type"); text != "" && text != "application/json" {
		media, _, err := mime.ParseMediaType(text)
		if err != nil || media != "application/json" && !strings.HasSuffix(media, "+json") {
			return nil, refuse(codeMedia, nil)
		}
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, refuse(codeMedia, nil)
	}
	if r.ContentLength > maxBody {
		return nil, &http.MaxBytesError{Limit: maxBody}
	}
	text := bytes.NewBuffer(make([]byte, 0, max(r.ContentLength, 0)+bytes.MinRead)) // a read behind the end finds room, too
	if _, err := text.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		if errors.As(err, new(*http.MaxBytesError)) {
			return nil, err
		}
		return nil, refuse(codeMalformedJSON, map[string]any{"problem": "it broke off"})
	}
	return text.Bytes(), nil
}

// payment gives the payment of the caller's project that a path names. Others'
// are not there (security.md S03).
func (a *API) payment(ctx context.Context, c *call, text string) (payment.Payment, error) {
	k, err := id.ParsePayment(text)
	if err != nil || int(k.Bucket()) >= a.opts.Flows.Buckets() {
		return payment.Payment{}, payment.ErrNoPayment
	}
	p, ok, err := a.opts.Read.Payment(ctx, k)
	switch {
	case err != nil:
		return p, away(err)
	case !ok || p.ProjectID != c.project.ID || p.Type != payment.TypePurchase:
		return payment.Payment{}, payment.ErrNoPayment
	}
	return p, nil
}
