// Package generic stands in for a provider that speaks the protocol of
// docs/connector.md: payments by a hosted page (card, bank, wallet), refunds,
// payouts, statements, webhooks.
//
// It is written from the protocol alone and shares no code with the platform's
// connector, so that an error in one is seen by the other. What it has answered
// for it remembers across restarts (package journal). It moves no money, asks
// nobody for a card number, and pays out of a purse that is never empty.
package generic

import (
	"context"
	"crypto/x509"
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
	"aorta/internal/sandbox/signed"
)

// Bounds on what the simulator takes.
const (
	maxBody   = 64 << 10         // of one request
	maxText   = 2_048            // bytes of an address, or of any other text
	pageLife  = 15 * time.Minute // of a hosted page
	pageLines = 1_000            // lines in one page of a statement
)

// Operations are the names a fault rule may be limited to.
var Operations = []string{sale, refunding, payout}

const (
	sale      = "sale"
	refunding = "refund"
	payout    = "payout"
)

// The states of an operation.
const (
	waiting = desk.Waiting
	paid    = desk.Paid
	failed  = desk.Failed
)

// exponents are the decimals of the currencies that the simulator has.
var exponents = map[string]int{"EUR": 2, "INR": 2, "JPY": 0}

// methods are the ways to pay and to be paid, with what the page calls them.
var methods = map[string]string{"card": "Pay by card", "bank": "Pay by bank", "wallet": "Pay from your wallet"}

// Account is one platform at the provider.
type Account struct {
	Name      string
	Secret    string
	NotifyURL string // where its webhooks go; empty: where each operation says
}

// Options are the parts of a Simulator with a sensible default.
type Options struct {
	Prefix      string                  // of every path, without a trailing slash
	Own         func() string           // where the simulator is, as a browser reaches it; nil or "": as the platform does
	Faults      *fault.Queue            // nil: nobody asks for faults
	Append      func(line []byte) error // remembers one line before it is answered for; nil keeps memory only
	Rand        io.Reader               // trace ids; must bear concurrent use
	Log         *slog.Logger            // nil discards
	Transport   http.RoundTripper       // for webhooks; nil keeps connections of its own alive
	Roots       *x509.CertPool          // whom those trust; nil means the system's
	DecideAfter time.Duration           // from init to the decision of a fault rule; 0 means 10ms
	MoveAfter   time.Duration           // from a refund or payout to its result; 0 means 100ms
	LateAfter   time.Duration           // for "late"; 0 means 30s
	SlowFor     time.Duration           // for "slow"; 0 means 2s
	HoldFor     time.Duration           // for "timeout"; 0 means 60s
	NotifyUnit  time.Duration           // what the retry schedule counts as a minute; 0 means 1m
	Workers     int                     // webhooks sent at once; 0 means 256
	MaxRecords  int                     // operations remembered; 0 means 1,000,000
}

// account is an Account ready for use.
type account struct {
	Account
	notify atomic.Pointer[string]
}

// Simulator is the provider. Make it with New, feed it its past with Load, then
// call Start.
type Simulator struct {
	opts     Options
	clock    func() time.Time
	mux      *http.ServeMux
	accounts map[string]*account
	desk     *desk.Desk[*operation] // its lock guards the map too
	known    map[key]*operation
}

// New makes a simulator of the given accounts. clock gives the present time.
func New(accounts []Account, clock func() time.Time, opts Options) (*Simulator, error) {
	if clock == nil || opts.Rand == nil {
		return nil, errors.New("generic sandbox: a clock and a source of randomness are needed")
	}
	if opts.Faults == nil {
		opts.Faults = &fault.Queue{}
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	opts.DecideAfter = desk.OrElse(opts.DecideAfter, 10*time.Millisecond)
	opts.MoveAfter = desk.OrElse(opts.MoveAfter, 100*time.Millisecond)
	s := &Simulator{
		opts: opts, clock: clock, mux: http.NewServeMux(), accounts: make(map[string]*account, len(accounts)), known: make(map[key]*operation),
	}
	s.desk = desk.New(clock, desk.Hooks[*operation]{Letter: s.letter, Usual: s.usual}, desk.Options{
		Name: "generic", Append: opts.Append, Log: opts.Log, Transport: opts.Transport, Roots: opts.Roots, LateAfter: opts.LateAfter,
		SlowFor: opts.SlowFor, HoldFor: opts.HoldFor, NotifyUnit: opts.NotifyUnit, Workers: opts.Workers, MaxRecords: opts.MaxRecords,
	})
	for _, a := range accounts {
		switch {
		case a.Name == "" || a.Secret == "":
			return nil, errors.New("generic sandbox: an account needs a name and a secret")
		case s.accounts[a.Name] != nil:
			return nil, fmt.Errorf("generic sandbox: account %q is given twice", a.Name)
		}
		ready := &account{Account: a}
		ready.notify.Store(&a.NotifyURL)
		s.accounts[a.Name] = ready
	}
	door := signed.Door[*account]{
		Name: "generic", Prefix: opts.Prefix, Clock: clock, Rand: opts.Rand, Log: opts.Log,
		Account: func(name string) (*account, bool) { a, known := s.accounts[name]; return a, known },
		Secret:  func(a *account) string { return a.Secret },
	}
	for pattern, h := range map[string]http.HandlerFunc{
		"POST /v1/payments/init":          door.Handler(s.paymentInit),
		"POST /v1/refunds/init":           door.Handler(s.refundInit),
		"POST /v1/payouts/init":           door.Handler(s.payoutInit),
		"GET /v1/payments/{reference}":    door.Handler(s.find(sale)),
		"GET /v1/refunds/{reference}":     door.Handler(s.find(refunding)),
		"GET /v1/payouts/{reference}":     door.Handler(s.find(payout)),
		"GET /v1/statements/{date}":       door.Handler(s.statement),
		"GET /pay/{account}/{reference}":  s.page,
		"POST /pay/{account}/{reference}": s.page,
	} {
		method, path, _ := strings.Cut(pattern, " ")
		s.mux.HandleFunc(method+" "+opts.Prefix+path, h)
	}
	return s, nil
}

// ServeHTTP answers the provider's paths under Options.Prefix.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Start begins to decide and to notify, taking up what Load has brought.
func (s *Simulator) Start() { s.desk.Start() }

// Close stops everything; see desk.Close.
func (s *Simulator) Close(ctx context.Context) error { return s.desk.Close(ctx) }

// TellAll tells at once what the platform has not taken yet; see desk.TellAll.
func (s *Simulator) TellAll(ctx context.Context) (told, taken int) { return s.desk.TellAll(ctx) }

// SetNotifyURL says where an account's webhooks go from now on, and sends those
// that had nowhere to go. It reports whether there is such an account.
func (s *Simulator) SetNotifyURL(name, url string) bool {
	a := s.accounts[name]
	if a == nil {
		return false
	}
	a.notify.Store(&url)
	s.desk.Resend()
	return true
}
