// Package gate is the front door that speaks ECommPay's Gate API v2: a merchant's
// server asks for a sale, a refund or a status in signed JSON, gets a short answer
// at once, and hears what became of it by callback (ecommpay.md sections 3 to 6).
//
// It decides nothing about money: it reads strictly, asks package flow, and
// translates. What is refused here leaves no trace but a log line and a count.
//
// Its known weakness is the protocol's: a signature has no time stamp, so whoever
// has seen a request can send it again. payment_id and merchant_refund_id make
// that harmless; a refund without merchant_refund_id has no such name.
package gate

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"aorta/internal/flow"
	"aorta/internal/project"
	"aorta/internal/sign"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// maxBody is the largest request that is read (ecommpay.md section 3.1). A receipt
// of 300 positions, the largest genuine one, has a tenth of it.
const maxBody = 1 << 20

// Door is the name under which payments remember that their callbacks have Gate's
// style.
const Door = "gate"

// Options are what Gate must be given, and its parts with a default.
type Options struct {
	Flows    *flow.Flows                                   // required
	Projects func(projectID int64) (project.Project, bool) // required
	Now      func() time.Time                              // required
	Random   io.Reader                                     // names refused requests; read by many goroutines at once; required

	// ClientIP gives the address that a project's AllowedIPs are compared with;
	// nil takes the socket's. Behind a proxy it must be given, and must trust the
	// proxy's header from the proxy alone (security.md S14).
	ClientIP func(*http.Request) netip.Addr

	// AllowInsecureCallbacks lets callbacks go to http:// addresses: for a shop on
	// the same machine, and for tests.
	AllowInsecureCallbacks bool

	Rate  float64 // requests per second that one project may make; 0: any number
	Burst int     // requests that may come at once; 0 means one second's

	// InFlight bounds the requests that are being answered at once; 0 means 512.
	// What comes beyond is refused unread: requests that wait for a processor
	// wait in no queue that anybody bounds, and all become slow together.
	InFlight int

	Log     *slog.Logger          // nil discards
	Metrics prometheus.Registerer // nil: counted, not registered
}

// Gate answers requests under /v2/. It is an http.Handler, safe for concurrent use.
type Gate struct {
	opts    Options
	rules   map[endpoint][]rule
	metrics *metrics
	within  atomic.Int64 // requests being answered

	mu     sync.Mutex
	limits map[int64]*rate.Limiter // by project; as many as there are projects
}

// New makes the door.
func New(o Options) *Gate {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.ClientIP == nil {
		o.ClientIP = socketIP
	}
	if o.InFlight == 0 {
		o.InFlight = 512
	}
	if o.Burst == 0 {
		o.Burst = max(1, int(o.Rate))
	}
	return &Gate{
		opts: o, metrics: newMetrics(o.Metrics), limits: map[int64]*rate.Limiter{},
		rules: map[endpoint][]rule{
			endpointSale:          compile(saleRules(o.AllowInsecureCallbacks)),
			endpointRefund:        compile(refundRules(o.AllowInsecureCallbacks)),
			endpointStatus:        compile(statusRules()),
			endpointRequestStatus: compile(requestStatusRules()),
		},
	}
}

func socketIP(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{} // in no network, so in none that is allowed
	}
	return at.Addr().Unmap()
}

// endpoint is what a path asks for.
type endpoint string

const (
	endpointSale          endpoint = "sale"
	endpointRefund        endpoint = "refund"
	endpointStatus        endpoint = "status"
	endpointRequestStatus endpoint = "status_request"
	endpointNone          endpoint = "none"
)

// target is a path, understood.
type target struct {
	endpoint endpoint
	group    string // the method's, "wallet"
	segment  string // the method's, "paytm"; empty where any method will do
}

// targetOf reads a path: /v2/payment/{group}/{method}/sale or refund, of whatever
// groups the project's methods have (ecommpay.md section 3.4). Plugins refund whatever was paid through
// /v2/payment/card/refund, so there any method will do (ecommpay.md section 6.1).
func targetOf(path string) target {
	rest, ok := strings.CutPrefix(path, "/v2/payment/")
	if !ok {
		return target{endpoint: endpointNone}
	}
	switch rest {
	case "status":
		return target{endpoint: endpointStatus}
	case "status/request":
		return target{endpoint: endpointRequestStatus}
	case "card/refund":
		return target{endpoint: endpointRefund}
	}
	group, rest, _ := strings.Cut(rest, "/")
	segment, action, _ := strings.Cut(rest, "/")
	switch {
	case group == "" || segment == "":
	case action == "sale":
		return target{endpoint: endpointSale, group: group, segment: segment}
	case action == "refund":
		return target{endpoint: endpointRefund, group: group, segment: segment}
	}
	return target{endpoint: endpointNone}
}

// call is one request on its way through the checks. What is not known yet is zero.
type call struct {
	target
	http    *http.Request
	doc     *sign.Doc
	project project.Project
	method  project.Method // of a path that names one

	// What answers repeat of the request. It is set once it is known to be sound.
	projectID int64
	paymentID string
}

// ServeHTTP answers one request: 200 with what the endpoint gives, or the error
// body of refuse. It always answers a JSON object with a string "status", or a
// signed document.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := g.opts.Now()
	c := &call{target: targetOf(r.URL.Path), http: r}
	status, body, result := http.StatusOK, []byte(nil), codeSuccess
	body, err := g.answer(w, c)
	if err != nil {
		var header http.Header
		status, header, body, result = g.refuse(c, err)
		for name, values := range header {
			w.Header()[name] = values
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(body)
	g.metrics.seen(c.endpoint, result, g.opts.Now().Sub(start))
}

// answer gives the body of a 200.
func (g *Gate) answer(w http.ResponseWriter, c *call) ([]byte, error) {
	if c.endpoint == endpointNone {
		return nil, errNoEndpoint
	}
	if c.http.Method != http.MethodPost {
		return nil, errNotPost
	}
	defer g.within.Add(-1)
	if g.within.Add(1) > int64(g.opts.InFlight) {
		return nil, errCrowded
	}
	raw, err := read(w, c.http)
	if err != nil {
		return nil, err
	}
	if err := g.admit(c, raw); err != nil {
		return nil, err
	}
	ctx := c.http.Context()
	switch c.endpoint {
	case endpointSale:
		return g.sale(ctx, c)
	case endpointRefund:
		return g.refund(ctx, c)
	case endpointStatus:
		return g.status(ctx, c)
	case endpointRequestStatus:
		return g.requestStatus(ctx, c)
	case endpointNone:
	}
	return nil, errNoEndpoint
}

// read reads a body of at most maxBody. One that says itself to be longer is not
// touched. Its Content-Type is not looked at: plugins send several, and what
// counts is signed.
func read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > maxBody {
		return nil, &http.MaxBytesError{Limit: maxBody}
	}
	var body bytes.Buffer
	if r.ContentLength > 0 {
		body.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		return nil, &bodyError{err}
	}
	return body.Bytes(), nil
}

// admit takes a request through the checks that all endpoints share, in the order
// of ecommpay.md section 3.1: JSON, general, project, signature, schema. Card data
// comes right after JSON, so that no later answer can repeat it.
func (g *Gate) admit(c *call, raw []byte) error {
	doc, err := sign.ParseJSON(raw)
	if err != nil {
		return err
	}
	if err := doc.CheckNumbers(); err != nil {
		return err
	}
	if err := harmless(doc); err != nil {
		return err
	}
	c.doc = doc
	place := sign.AtGeneral
	if c.endpoint == endpointRequestStatus {
		place = sign.AtRoot
	}
	if err := g.findProject(c, place); err != nil {
		return err
	}
	if !allowed(c.project.AllowedIPs, g.opts.ClientIP, c.http) {
		return &refusal{status: http.StatusForbidden, code: codeAccessDenied}
	}
	if err := sign.Verify(doc, c.project.Secret, place); err != nil {
		return err
	}
	if err := g.pace(c.project.ID); err != nil {
		return err
	}
	if c.segment != "" {
		var ok bool
		if c.method, ok = c.project.MethodByPath(c.group, c.segment); !ok {
			return &refusal{status: http.StatusBadRequest, code: codeNoMethod}
		}
	}
	return g.checkSchema(c)
}

// findProject reads project_id from where the signature is.
func (g *Gate) findProject(c *call, place sign.Place) error {
	holder := c.doc.Root()
	if place != sign.AtRoot {
		holder = c.doc.Get(string(place))
		if problem, bad := (rule{path: string(place), kind: kindObject, required: true}).broken(holder); bad {
			return invalid(problem)
		}
	}
	at := holder.Get("project_id")
	path := "project_id"
	if place != sign.AtRoot {
		path = string(place) + ".project_id"
	}
	if problem, bad := (rule{path: path, kind: kindInteger, required: true}).broken(at); bad {
		return invalid(problem)
	}
	id, err := at.Int()
	if err != nil {
		return err
	}
	p, ok := g.opts.Projects(id)
	if !ok {
		return &refusal{status: http.StatusBadRequest, code: codeNoProject}
	}
	c.project, c.projectID = p, p.ID
	return nil
}

// allowed reports whether the sender's address is in one of the networks. An entry
// that cannot be read allows nobody.
func allowed(networks []string, clientIP func(*http.Request) netip.Addr, r *http.Request) bool {
	if len(networks) == 0 {
		return true
	}
	from := clientIP(r).Unmap()
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

// pace refuses a project that asks too often. Only signed requests count, so that
// nobody can use up the pace of someone else's project.
func (g *Gate) pace(projectID int64) error {
	if g.opts.Rate == 0 {
		return nil
	}
	g.mu.Lock()
	l, ok := g.limits[projectID]
	if !ok {
		l = rate.NewLimiter(rate.Limit(g.opts.Rate), g.opts.Burst)
		g.limits[projectID] = l
	}
	g.mu.Unlock()
	now := g.opts.Now()
	place := l.ReserveN(now, 1)
	wait := place.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	place.CancelAt(now)
	return &refusal{status: http.StatusTooManyRequests, code: codeTryAgain, retryAfter: wait}
}

// accepted is the answer to a sale or refund that was taken: taken, not paid.
type accepted struct {
	Status    string `json:"status"`
	RequestID string `json:"request_id"`
	ProjectID int64  `json:"project_id"`
	PaymentID string `json:"payment_id"`
}

// encode writes what an answer or a callback holds. HTML escapes would only make
// addresses hard to read.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("gate: documents of texts and integers cannot fail to encode: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// metrics are what an operator needs to see of the door.
type metrics struct {
	answers *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aorta_gate_answers_total", Help: "Answers of Gate by endpoint and code; 0 is success.",
		}, []string{"endpoint", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "aorta_gate_answer_seconds", Help: "Time from a request's header to its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}, []string{"endpoint"}),
	}
	if r != nil {
		r.MustRegister(m.answers, m.seconds)
	}
	return m
}

func (m *metrics) seen(e endpoint, c code, took time.Duration) {
	m.answers.WithLabelValues(string(e), c.String()).Inc()
	m.seconds.WithLabelValues(string(e)).Observe(took.Seconds())
}
