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
// With a fault rule (package fault) the order decides itself, see package desk.
package paytm

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"aorta/internal/sandbox/desk"
	"aorta/internal/sandbox/fault"
)

// Bounds on what the simulator takes.
const (
	maxBody      = 64 << 10         // of one request
	tokenLife    = 15 * time.Minute // paytm.md section 3
	wrongByPaise = 100              // what wrong_amount adds to the reported amount
)

// Operations are the names a fault rule may be limited to.
var Operations = []string{sale, refunding}

const (
	sale      = "sale"
	refunding = "refund"
)

// The states of a record.
const (
	waiting = desk.Waiting
	paid    = desk.Paid
	failed  = desk.Failed
)

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
	desk     *desk.Desk[record] // its lock guards the maps too
	orders   map[key]*order
	refunds  map[key]*refund
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
		orders:   make(map[key]*order),
		refunds:  make(map[key]*refund),
	}
	s.desk = desk.New(clock, desk.Hooks[record]{Letter: s.letter, Usual: s.usual}, desk.Options{
		Name: "paytm", Append: opts.Append, Log: opts.Log, Transport: opts.Transport, Roots: opts.Roots, LateAfter: opts.LateAfter,
		SlowFor: opts.SlowFor, HoldFor: opts.HoldFor, NotifyUnit: opts.NotifyUnit, Workers: opts.Workers, MaxRecords: opts.MaxRecords,
	})
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
	o.DecideAfter = desk.OrElse(o.DecideAfter, 10*time.Millisecond)
	o.RefundAfter = desk.OrElse(o.RefundAfter, 100*time.Millisecond)
	return o
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
func (s *Simulator) Start() { s.desk.Start() }

// Close stops everything; see desk.Close.
func (s *Simulator) Close(ctx context.Context) error { return s.desk.Close(ctx) }

// SetNotifyURL says where an account's notifications go from now on, and sends
// those that had nowhere to go. It reports whether there is such an account.
func (s *Simulator) SetNotifyURL(mid, url string) bool {
	a := s.accounts[mid]
	if a == nil {
		return false
	}
	if before := a.notify.Swap(&url); *before == "" && url != "" {
		s.desk.Resend()
	}
	return true
}

// salt makes the four characters of a checksum's salt.
func (s *Simulator) salt() string {
	var raw [3]byte
	if _, err := io.ReadFull(s.opts.Rand, raw[:]); err != nil {
		panic("paytm sandbox: no randomness: " + err.Error())
	}
	return base64.StdEncoding.EncodeToString(raw[:])
}
