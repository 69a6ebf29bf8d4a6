// Package google is the front door that Google calls: Standard Payments,
// tokenized form of payment v1, as the integrator (google-tokenized-fop.md).
//
// A request is an OpenPGP message; package pgp opens it. This package finds the
// integration that a URL belongs to, reads the JSON strictly, checks header,
// version, time and account, hands the call to its method, and signs and encrypts
// whatever is answered, errors included: only Google can read what we say.
//
// It decides nothing about money. What is refused with another status than 200
// leaves no trace but a log line and a count, so the same request may come again
// and be judged anew (section 1.5).
//
// No token, no code and no plaintext is ever logged: what a log line has of a
// request is the method, its requestId, and which rule it broke.
package google

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"aorta/internal/pgp"
	"aorta/internal/sign"

	"github.com/prometheus/client_golang/prometheus"
)

// ContentType is that of every request and answer (section 1.7).
const ContentType = "application/octet-stream; charset=utf-8"

// Options are what the door must be given, and its parts with a default.
type Options struct {
	Integrations []Hosted         // required, checked, no two in the same place
	Now          func() time.Time // required
	Random       io.Reader        // names refused requests; read by many goroutines at once; required
	Wallets      Wallets          // links and purchases; required
	Server       string           // what echo says of us, "aorta 0.1"; may be empty

	// InFlight bounds the requests that are being answered at once; 0 means 256.
	// Each costs two RSA operations, so what comes beyond is refused unread.
	InFlight int

	Log     *slog.Logger          // nil discards
	Metrics prometheus.Registerer // nil: counted, not registered
}

// Hosted is an integration with its keys.
type Hosted struct {
	Integration
	Ring func() *pgp.Ring // the keys as they are now; never nil
}

// Door answers Google's calls. It is an http.Handler, safe for concurrent use.
type Door struct {
	opts    Options
	within  chan struct{}
	answers *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

// New makes the door.
func New(o Options) *Door {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.InFlight == 0 {
		o.InFlight = 256
	}
	d := &Door{
		opts: o, within: make(chan struct{}, o.InFlight),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aorta_google_answers_total", Help: "Answers to Google by integration, method and HTTP status.",
		}, []string{"integration", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "aorta_google_answer_seconds", Help: "Time from a request's header to its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}, []string{"method"}),
	}
	if o.Metrics != nil {
		o.Metrics.MustRegister(d.answers, d.seconds)
	}
	return d
}

// Hosted are the door's integrations.
func (d *Door) Hosted() []Hosted { return d.opts.Integrations }

// call is one request on its way through the checks. What is not known yet is zero.
type call struct {
	hosted Hosted
	method string // as the URL names it, one of methods; empty: none of them
	doc    *sign.Doc
	header RequestHeader
	signer string // fingerprint of the key of Google's that signed it

	unheard func(context.Context) // what is done if its answer may have been lost; nil: nothing
}

// methods are those that we host. Each gives the members of its answer without
// its header.
var methods = map[string]func(*Door, context.Context, *call) (any, error){
	"echo":                (*Door).echo,
	"associateAccount":    (*Door).associate,
	"refreshToken":        (*Door).refresh,
	"capture":             (*Door).capture,
	"refund":              (*Door).refund,
	"asynchronousCapture": (*Door).captureLater,
	"sendOtp":             (*Door).sendOTP,
	"verifyOtp":           (*Door).verifyOTP,

	"remittanceStatementNotification": (*Door).statement,
}

// ServeHTTP answers one request. A URL that belongs to no integration is
// answered with an empty 404, for nobody's keys would fit (section 2.4).
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := d.opts.Now()
	hosted, method, ok := d.place(r)
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	select {
	case d.within <- struct{}{}:
		defer func() { <-d.within }()
	default:
		w.Header().Set("Retry-After", "1")
		d.answered(w, hosted, method, http.StatusServiceUnavailable, start)
		return
	}
	c := &call{hosted: hosted, method: method}
	status := http.StatusOK
	members, err := d.answer(w, r, c)
	if err != nil {
		var failed ErrorResponse
		status, failed = d.refuse(c, err)
		members = failed
	}
	body, err := d.seal(c, members)
	if err != nil {
		// Nobody could read an answer. That it is no 200 is the one thing left to say.
		d.opts.Log.Error("ALARM: an answer to Google could not be sealed", "integration", hosted.Name, "method", method, "error", err)
		if status == http.StatusOK {
			status = http.StatusInternalServerError
		}
		d.answered(w, hosted, method, status, start)
		return
	}
	w.Header().Set("Content-Type", ContentType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	d.answered(w, hosted, method, status, start)
	if _, err := w.Write(body); (err != nil || r.Context().Err() != nil) && status == http.StatusOK && c.unheard != nil {
		c.unheard(context.WithoutCancel(r.Context()))
	}
}

func (d *Door) answered(w http.ResponseWriter, h Hosted, method string, status int, start time.Time) {
	if method == "" {
		method = "none"
	}
	w.WriteHeader(status)
	d.answers.WithLabelValues(h.Name, method, strconv.Itoa(status)).Inc()
	d.seconds.WithLabelValues(method).Observe(d.opts.Now().Sub(start).Seconds())
}

// place finds whose a URL is: of the integrations of that host, or of any, the
// one whose base path it lies under, the longest first; and the method that it
// names, if there is one.
func (d *Door) place(r *http.Request) (found Hosted, method string, ok bool) {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(host)
	for _, h := range d.opts.Integrations {
		rest, below := strings.CutPrefix(r.URL.Path, h.BasePath+"/")
		if !below || len(h.Hosts) > 0 && !slices.Contains(h.Hosts, host) || ok && len(h.BasePath) < len(found.BasePath) {
			continue
		}
		name, below := strings.CutPrefix(rest, h.Layout.version()+"/")
		if !below && h.BasePath == "" {
			continue // all of a host lies below nothing
		}
		if _, known := methods[name]; !below || !known {
			name = ""
		}
		found, method, ok = h, name, true
	}
	return found, method, ok
}

// answer goes through the checks in the order of section 2.4, and gives the
// members of a 200.
func (d *Door) answer(w http.ResponseWriter, r *http.Request, c *call) (any, error) {
	serve, known := methods[c.method]
	switch {
	case !known:
		return nil, errNoMethod
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		return nil, errNotPost
	case !isPayload(r.Header):
		return nil, errContentType
	case r.ContentLength > pgp.MaxText+lineBreak:
		return nil, pgp.ErrTooLarge
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, pgp.MaxText+lineBreak))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return nil, pgp.ErrTooLarge
		}
		return nil, fmt.Errorf("%w: %w", errBody, err)
	}
	opened, err := c.hosted.Ring().Open(text, d.opts.Now())
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	c.signer = opened.Signer
	if c.doc, err = sign.ParseJSON(opened.Plain); err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	if c.header, err = readHeader(c.doc); err != nil {
		return nil, err
	}
	if err := c.header.fresh(d.opts.Now()); err != nil {
		return nil, err
	}
	if err := c.ours(); err != nil {
		return nil, err
	}
	return serve(d, r.Context(), c)
}

// lineBreak may stand behind a message.
const lineBreak = 2

// isPayload says whether the content type is that of a PGP payload, with or
// without its charset, in any case (section 1.7).
func isPayload(h http.Header) bool {
	if e := h.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return false
	}
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || kind != "application/octet-stream" {
		return false
	}
	charset, has := params["charset"]
	delete(params, "charset")
	return len(params) == 0 && (!has || strings.EqualFold(charset, "utf-8"))
}

// ours checks that an account which a request names is one of the integration
// that its URL belongs to: of two integrations with keys of the same Google each
// may move the money of its own accounts alone (section 0.1).
func (c *call) ours() error {
	v := c.doc.Get("paymentIntegratorAccountId")
	if !v.Exists() {
		return nil // the method that needs it says so
	}
	account, err := text(v, "paymentIntegratorAccountId")
	if err != nil {
		return err
	}
	if !slices.Contains(c.hosted.Accounts, account) {
		return refused(CodeIdentifier, "unknown paymentIntegratorAccountId")
	}
	return nil
}

// seal writes an answer: its header with the time of now, then its members.
func (d *Door) seal(c *call, members any) ([]byte, error) {
	plain, err := withHeader(members, d.opts.Now())
	if err != nil {
		return nil, err
	}
	sealed, err := c.hosted.Ring().Seal(plain, d.opts.Now(), pgp.Form{Armor: c.hosted.Armor})
	if err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	return sealed, nil
}

// echoAnswer is what echo answers (section 3.1).
type echoAnswer struct {
	ClientMessage string `json:"clientMessage"`
	ServerMessage string `json:"serverMessage,omitempty"`
}

// maxMessage bounds what echo repeats.
const maxMessage = 64 << 10

// echo repeats a message. It is a read, so no repeat of it needs to be known.
func (d *Door) echo(_ context.Context, c *call) (any, error) {
	v := c.doc.Get("clientMessage")
	if v.Kind() == sign.KindString && v.Text() == "" {
		return echoAnswer{ServerMessage: d.opts.Server}, nil
	}
	said, err := textUpTo(v, "clientMessage", maxMessage)
	if err != nil {
		return nil, err
	}
	return echoAnswer{ClientMessage: said, ServerMessage: d.opts.Server}, nil
}
