// Package paytm stands in for the Paytm payment gateway, speaking its wire
// protocol as paytm.md describes it: initiate, hosted page, form callback, JSON
// notifications, order status v3, refund apply and refund status.
//
// It is written from the protocol alone and shares no code with the platform's
// connector, so that an error in one is seen by the other. What it has answered
// for it remembers across restarts (package journal). It moves no money, and it
// is no model of the vendor's risk checks, limits or settlement.
//
// An order goes
//
//	open ── a person presses approve ──▶ paid
//	  │  ── decline ──▶ failed
//	  └──── leave ────▶ left ── approve, decline ──▶ paid, failed
//
// Nobody having tried to pay, the vendor has no transaction: status look-ups of
// an open order answer NO_RECORD_FOUND 331 (payment-loop.md L15). A customer who
// pressed "leave" has tried: PENDING 402, for as long as nobody comes back.
// With a fault rule (package fault) the order decides itself, see plans.
package paytm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"aorta/internal/sandbox/fault"
)

// Bounds on what the simulator takes.
const (
	maxBody      = 64 << 10         // of one request
	maxHeld      = 4_096            // connections held open without an answer
	tokenLife    = 15 * time.Minute // paytm.md section 3
	notifyTries  = 10               // paytm.md section 4: up to about 10 attempts
	notifyWait   = 30 * time.Second // paytm.md section 4: an answer within 30 s
	maxJournal   = 10_000           // entries in one page of Journal
	wrongByPaise = 100              // what wrong_amount adds to the reported amount
)

// retryUnits are the pauses between notification attempts in units of
// Options.NotifyUnit (paytm.md section 4: 1 m, 5 m, 30 m, 2 h, 6 h, 24 h …).
var retryUnits = [notifyTries - 1]int{1, 5, 30, 120, 360, 1440, 1440, 1440, 1440}

// Operations are the names a fault rule may be limited to.
var Operations = []string{sale, refunding}

const (
	sale      = "sale"
	refunding = "refund"
)

// Behaviours are the fault rules this simulator understands.
var Behaviours = []fault.Behaviour{
	fault.Approve, fault.Decline, fault.Silent, fault.Timeout, fault.Duplicate, fault.Late,
	fault.WrongAmount, fault.WrongSignature, fault.HTTP500, fault.Slow,
}

// plan is what becomes of an operation on which a fault rule fell.
type plan struct {
	becomes state // waiting means that nothing ever happens by itself
	copies  uint8 // notifications sent about it
}

// plans lists them. http_500 is absent: nothing is recorded, so nothing follows.
var plans = map[fault.Behaviour]plan{
	fault.Approve:        {becomes: paid, copies: 1},
	fault.Decline:        {becomes: failed, copies: 1},
	fault.Silent:         {becomes: paid},               // only a look-up tells
	fault.Timeout:        {becomes: waiting},            // a refund is done all the same, see refund.due
	fault.Duplicate:      {becomes: paid, copies: 3},    // two at once, one a moment later
	fault.Late:           {becomes: paid, copies: 1},    // after Options.LateAfter, PENDING until then
	fault.WrongAmount:    {becomes: paid, copies: 1},    // every report carries another amount
	fault.WrongSignature: {becomes: paid, copies: 1},    // the notification's checksum is another key's
	fault.Slow:           {becomes: paid, copies: 1},    // every answer for it takes Options.SlowFor
	fault.None:           {becomes: waiting, copies: 1}, // a person decides
}

// Account is one merchant at Paytm.
type Account struct {
	MID       string // at most 20 characters
	Key       string // 16 bytes
	Website   string // an initiate naming another answers 501, as the vendor's does
	NotifyURL string // where notifications go; empty until SetNotifyURL
}

// Options are the parts of a Simulator with a sensible default.
type Options struct {
	Prefix      string                  // of every path, without a trailing slash
	Faults      *fault.Queue            // nil: nobody asks for faults
	Append      func(line []byte) error // remembers one line before it is answered for; nil keeps memory only
	Rand        io.Reader               // salts; must bear concurrent use
	Log         *slog.Logger            // nil discards
	Transport   http.RoundTripper       // for notifications; nil keeps connections of its own alive
	Roots       *x509.CertPool          // whom those trust; nil means the system's
	DecideAfter time.Duration           // from initiate to the decision of a fault rule; 0 means 10ms
	RefundAfter time.Duration           // from refund apply to its result; 0 means 100ms
	LateAfter   time.Duration           // for "late"; 0 means 30s
	SlowFor     time.Duration           // for "slow"; 0 means 2s
	HoldFor     time.Duration           // for "timeout"; 0 means 60s
	NotifyUnit  time.Duration           // what the retry schedule counts as a minute; 0 means 1m
	Workers     int                     // notifications sent at once; 0 means 256
	MaxRecords  int                     // orders and refunds remembered, more are refused with 501; 0 means 1,000,000
}

// account is an Account ready for use.
type account struct {
	Account
	key    *Key
	forged *Key // another key: its checksums look right and are not
	notify atomic.Pointer[string]
}

// Simulator is the gateway. Make it with New, feed it its past with Load, then
// call Start.
type Simulator struct {
	opts     Options
	clock    func() time.Time
	mux      *http.ServeMux
	accounts map[string]*account
	client   *http.Client
	held     chan struct{}
	stop     context.CancelFunc // ends notifications under way
	stopped  context.Context    // done once Close was called
	running  sync.WaitGroup

	mu      sync.Mutex
	orders  map[key]*order
	refunds map[key]*refund
	records []record // by seq−1

	agenda agenda
}

// New makes a simulator of the given accounts. clock gives the present time.
func New(accounts []Account, clock func() time.Time, opts Options) (*Simulator, error) {
	if clock == nil || opts.Rand == nil {
		return nil, errors.New("paytm sandbox: a clock and a source of randomness are needed")
	}
	opts = opts.withDefaults()
	s := &Simulator{
		opts:     opts,
		clock:    clock,
		mux:      http.NewServeMux(),
		accounts: make(map[string]*account, len(accounts)),
		held:     make(chan struct{}, maxHeld),
		orders:   make(map[key]*order),
		refunds:  make(map[key]*refund),
	}
	s.stopped, s.stop = context.WithCancel(context.Background())
	s.agenda.init()
	for _, a := range accounts {
		ready, err := prepare(a)
		if err != nil {
			return nil, fmt.Errorf("paytm sandbox: account %q: %w", a.MID, err)
		}
		if s.accounts[a.MID] != nil {
			return nil, fmt.Errorf("paytm sandbox: account %q is given twice", a.MID)
		}
		s.accounts[a.MID] = ready
	}
	s.client = &http.Client{
		Transport: opts.Transport,
		Timeout:   notifyWait,
		// A redirect is an answer other than 2xx, so it is retried, not followed.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	s.routes()
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.Faults == nil {
		o.Faults = &fault.Queue{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Workers = orElse(o.Workers, 256)
	o.MaxRecords = orElse(o.MaxRecords, 1_000_000)
	o.DecideAfter = orElse(o.DecideAfter, 10*time.Millisecond)
	o.RefundAfter = orElse(o.RefundAfter, 100*time.Millisecond)
	o.LateAfter = orElse(o.LateAfter, 30*time.Second)
	o.SlowFor = orElse(o.SlowFor, 2*time.Second)
	o.HoldFor = orElse(o.HoldFor, time.Minute)
	o.NotifyUnit = orElse(o.NotifyUnit, time.Minute)
	if o.Transport == nil {
		o.Transport = &http.Transport{
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots},
			MaxIdleConns:        o.Workers,
			MaxIdleConnsPerHost: o.Workers,
			IdleConnTimeout:     time.Minute,
			DisableCompression:  true,
		}
	}
	return o
}

// orElse returns v, or the default when v is zero.
func orElse[T comparable](v, or T) T {
	var zero T
	if v == zero {
		return or
	}
	return v
}

func prepare(a Account) (*account, error) {
	if a.MID == "" || len(a.MID) > 20 {
		return nil, errors.New("a MID has 1 to 20 characters")
	}
	good, err := NewKey(a.Key)
	if err != nil {
		return nil, err
	}
	other := []byte(a.Key)
	other[0] ^= 1
	forged, err := NewKey(string(other))
	if err != nil {
		return nil, err
	}
	ready := &account{Account: a, key: good, forged: forged}
	ready.notify.Store(&a.NotifyURL)
	return ready, nil
}

func (s *Simulator) routes() {
	for pattern, h := range map[string]http.HandlerFunc{
		"POST /theia/api/v1/initiateTransaction": s.initiate,
		"POST /theia/api/v1/showPaymentPage":     s.page,
		"GET /theia/api/v1/showPaymentPage":      s.page,
		"POST /v3/order/status":                  s.orderStatus,
		"POST /refund/apply":                     s.refundApply,
		"POST /v2/refund/status":                 s.refundStatus,
	} {
		method, path, _ := strings.Cut(pattern, " ")
		s.mux.HandleFunc(method+" "+s.opts.Prefix+path, h)
	}
}

// ServeHTTP answers the vendor's paths under Options.Prefix.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Start begins to decide and to notify, taking up what Load has brought.
func (s *Simulator) Start() {
	s.resume()
	s.running.Go(s.decide)
	for range s.opts.Workers {
		s.running.Go(s.tell)
	}
}

// Close stops everything and lets go of held connections. What is still to be
// told is told after the next start. It returns ctx's error when the work under
// way does not end in time.
func (s *Simulator) Close(ctx context.Context) error {
	s.stop()
	s.agenda.close()
	ended := make(chan struct{})
	go func() {
		s.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		s.client.CloseIdleConnections()
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close paytm sandbox: %w", ctx.Err())
	}
}

// SetNotifyURL says where an account's notifications go from now on, and sends
// those that had nowhere to go. It reports whether there is such an account.
func (s *Simulator) SetNotifyURL(mid, url string) bool {
	a := s.accounts[mid]
	if a == nil {
		return false
	}
	if before := a.notify.Swap(&url); *before == "" && url != "" {
		s.resend(a)
	}
	return true
}

// hold waits, at most as long as the client and the simulator do. It reports
// false when it could not wait to the end.
func (s *Simulator) hold(r *http.Request, d time.Duration) bool {
	select {
	case s.held <- struct{}{}:
		defer func() { <-s.held }()
	default:
		return false // beyond maxHeld
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
	case <-s.stopped.Done():
	}
	return false
}

// salt makes the four characters of a checksum's salt.
func (s *Simulator) salt() string {
	var raw [3]byte
	if _, err := io.ReadFull(s.opts.Rand, raw[:]); err != nil {
		panic("paytm sandbox: no randomness: " + err.Error())
	}
	return base64.StdEncoding.EncodeToString(raw[:])
}
