// Package kyc stands in for a provider that checks who customers are and speaks
// the protocol of docs/kyc.md: a hosted page that takes documents, look-ups, a
// signed webhook.
//
// It is written from the protocol alone and shares no code with the platform, so
// that an error in one is seen by the other. What it has answered for it remembers
// across restarts (package journal): of documents a digest, of the person the name
// and a keyed hash, nothing else. It believes whatever it is shown.
package kyc

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
	maxForm  = 8 << 20        // of the page's form, documents and all
	maxText  = 2_048          // bytes of an address, or of any other text
	pageLife = 24 * time.Hour // of a hosted page
)

// Behaviours are the fault rules that the simulator understands; "expire" passes a
// check that soon holds no more.
var Behaviours = []fault.Behaviour{
	fault.Approve, fault.Decline, fault.Silent, fault.Late, fault.Expire,
	fault.Timeout, fault.Duplicate, fault.WrongSignature, fault.HTTP500, fault.Slow,
}

// ListBehaviours are those of the lists that a person is held against: one who was
// passed is on none, unless a rule says so.
var ListBehaviours = []fault.Behaviour{fault.Match, fault.Unclear, fault.PEP, fault.Timeout, fault.HTTP500, fault.Slow}

// Account is one platform at the provider.
type Account struct {
	Name      string
	Secret    string
	PersonKey string // which persons are hashed with
	NotifyURL string // where its webhooks go; empty: where each check says
}

// Options are the parts of a Simulator with a sensible default.
type Options struct {
	Prefix      string                  // of every path, without a trailing slash
	Own         func() string           // where the simulator is, as a browser reaches it; nil or "": as the platform does
	Faults      *fault.Queue            // nil: nobody asks for faults
	Lists       *fault.Queue            // of screenings; nil: nobody is on a list
	Append      func(line []byte) error // remembers one line before it is answered for; nil keeps memory only
	Rand        io.Reader               // trace ids; must bear concurrent use
	Log         *slog.Logger            // nil discards
	Transport   http.RoundTripper       // for webhooks; nil keeps connections of its own alive
	Roots       *x509.CertPool          // whom those trust; nil means the system's
	DecideAfter time.Duration           // from the request to the decision of a fault rule; 0 means 10ms
	ExpireAfter time.Duration           // for "expire": how long what was passed holds; 0 means 5s
	LateAfter   time.Duration           // for "late"; 0 means 30s
	SlowFor     time.Duration           // for "slow"; 0 means 2s
	HoldFor     time.Duration           // for "timeout"; 0 means 60s
	NotifyUnit  time.Duration           // what the retry schedule counts as a minute; 0 means 1m
	Workers     int                     // webhooks sent at once; 0 means 16
	MaxRecords  int                     // checks remembered; 0 means 1,000,000
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
	desk     *desk.Desk[*check] // its lock guards the map too
	known    map[key]*check
}

// New makes a simulator of the given accounts. clock gives the present time.
func New(accounts []Account, clock func() time.Time, opts Options) (*Simulator, error) {
	if clock == nil || opts.Rand == nil {
		return nil, errors.New("kyc sandbox: a clock and a source of randomness are needed")
	}
	if opts.Faults == nil {
		opts.Faults = &fault.Queue{}
	}
	if opts.Lists == nil {
		opts.Lists = &fault.Queue{}
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	opts.DecideAfter = desk.OrElse(opts.DecideAfter, 10*time.Millisecond)
	opts.ExpireAfter = desk.OrElse(opts.ExpireAfter, 5*time.Second)
	s := &Simulator{
		opts: opts, clock: clock, mux: http.NewServeMux(), accounts: make(map[string]*account, len(accounts)), known: make(map[key]*check),
	}
	s.desk = desk.New(clock, desk.Hooks[*check]{
		Letter: s.letter, Usual: func(*check) time.Duration { return opts.DecideAfter },
	}, desk.Options{
		Name: "kyc", Append: opts.Append, Log: opts.Log, Transport: opts.Transport, Roots: opts.Roots, LateAfter: opts.LateAfter,
		SlowFor: opts.SlowFor, HoldFor: opts.HoldFor, NotifyUnit: opts.NotifyUnit, Workers: desk.OrElse(opts.Workers, 16), MaxRecords: opts.MaxRecords,
	})
	for _, a := range accounts {
		switch {
		case a.Name == "" || a.Secret == "" || a.PersonKey == "":
			return nil, errors.New("kyc sandbox: an account needs a name, a secret and a person key")
		case s.accounts[a.Name] != nil:
			return nil, fmt.Errorf("kyc sandbox: account %q is given twice", a.Name)
		}
		ready := &account{Account: a}
		ready.notify.Store(&a.NotifyURL)
		s.accounts[a.Name] = ready
	}
	door := signed.Door[*account]{
		Name: "kyc", Prefix: opts.Prefix, Clock: clock, Rand: opts.Rand, Log: opts.Log,
		Account: func(name string) (*account, bool) { a, known := s.accounts[name]; return a, known },
		Secret:  func(a *account) string { return a.Secret },
	}
	for pattern, h := range map[string]http.HandlerFunc{
		"POST /v1/checks":                      door.Handler(s.begin),
		"GET /v1/checks/{reference}":           door.Handler(s.find),
		"GET /v1/checks/{reference}/screening": door.Handler(s.screen),
		"GET /check/{account}/{reference}":     s.page,
		"POST /check/{account}/{reference}":    s.page,
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
