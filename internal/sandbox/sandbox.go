// Package sandbox is the other side, for the demo, tests and benchmarks: a
// payment provider, one that checks customers, an SMS gateway with its phones, Google, a merchant who is called back, a small shop, and one door
// through which a tester makes them misbehave (design.md sections 4 and 6).
//
// It knows wire protocols only and imports nothing of the platform, so it can
// run in a process of its own, and cannot share the platform's mistakes. It
// opens no listener: whoever starts it serves Handler, on 127.0.0.1, since the
// control door asks nobody for a password.
package sandbox

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"aorta/internal/sandbox/desk"
	"aorta/internal/sandbox/fault"
	"aorta/internal/sandbox/generic"
	"aorta/internal/sandbox/google"
	"aorta/internal/sandbox/journal"
	"aorta/internal/sandbox/kyc"
	"aorta/internal/sandbox/merchant"
	"aorta/internal/sandbox/paytm"
	"aorta/internal/sandbox/shop"
	"aorta/internal/sandbox/sms"
)

// PaytmAccount is one merchant at the Paytm simulator. NotifyURL may be set
// later by SetNotifyURL.
type PaytmAccount = paytm.Account

// GenericAccount is one platform at the generic provider's simulator.
type GenericAccount = generic.Account

// KYCAccount is one platform at the simulator of a provider that checks customers.
type KYCAccount = kyc.Account

// SMSAccount is one customer of the simulator of an SMS gateway.
type SMSAccount = sms.Account

// DemoSMSAccount is the SID of the demo's account there.
const DemoSMSAccount = "ACaorta0demo0aorta0demo0aorta0demo0"

// Google is the platform as the simulator of Google knows it, and the keys.
type Google struct {
	Integrator google.Integrator
	Keys       *google.Keys // nil: there is no gpg; the page says so
}

// The names of the demo's Paytm account: the connector's account name at the
// platform and what the provider knows it by.
const (
	DemoAccountName = "demo"
	DemoMID         = "AORTADEMO00000000001"
	DemoKey         = "demo#Key@AORTA01"
	DemoWebsite     = "WEBSTAGING"
)

// DemoAccount is the Paytm account of `aorta demo`.
func DemoAccount() PaytmAccount {
	return PaytmAccount{MID: DemoMID, Key: DemoKey, Website: DemoWebsite}
}

// Options are the parts of a Sandbox. Clock is needed; the rest has a default.
type Options struct {
	Clock         func() time.Time
	ProjectID     int64             // the shop's project at the platform
	ProjectSecret string            // which the shop signs with and callbacks are verified with
	OtherSecrets  []string          // of the merchant's other projects, whose callbacks it takes too
	Paytm         []PaytmAccount    // nil means DemoAccount alone
	Generic       []GenericAccount  // nil means DemoAccountName alone, with ProjectSecret
	KYC           []KYCAccount      // nil means DemoAccountName alone, with ProjectSecret, which is its person key too
	SMS           []SMSAccount      // nil means DemoSMSAccount alone, with ProjectSecret
	Google        *Google           // nil: there is none
	PublicURL     string            // of the platform, for the shop; or SetPublicURL
	OwnURL        string            // of this listener, for the shop; or SetOwnURL
	StatePath     string            // the journal file; empty keeps memory only
	DecideAfter   time.Duration     // from a controlled sale to its decision; 0 means 10ms
	RefundAfter   time.Duration     // from a refund to its result; 0 means 100ms
	LateAfter     time.Duration     // for "late"; 0 means 30s
	SlowFor       time.Duration     // for "slow"; 0 means 2s
	HoldFor       time.Duration     // for "timeout"; 0 means 60s
	NotifyUnit    time.Duration     // a minute of the notification schedule; 0 means 1m
	MaxRecords    int               // orders and refunds remembered; 0 means 1,000,000
	MaxCallbacks  int               // merchant callbacks remembered; 0 means 200,000
	Transport     http.RoundTripper // for notifications; nil makes one
	Roots         *x509.CertPool    // whom that one trusts; nil means the system's
	Rand          io.Reader         // for salts and payment ids; nil means crypto/rand
	Log           *slog.Logger      // nil discards
}

// Sandbox is everything under one handler. Make it with New.
type Sandbox struct {
	handler    http.Handler
	journal    *journal.Journal
	paytm      *paytm.Simulator
	generic    *generic.Simulator
	kyc        *kyc.Simulator
	sms        *sms.Simulator
	google     *google.Peer // nil: there is none
	merchant   *merchant.Merchant
	connectors map[string]connector
	public     atomic.Pointer[string]
	own        atomic.Pointer[string]
}

// New loads what StatePath remembers, rewrites that file compactly, and begins
// to send the notifications that a restart interrupted.
func New(opts Options) (*Sandbox, error) {
	if opts.Clock == nil {
		return nil, errors.New("sandbox: a clock is needed")
	}
	if opts.Paytm == nil {
		opts.Paytm = []PaytmAccount{DemoAccount()}
	}
	if opts.Generic == nil && opts.ProjectSecret != "" {
		opts.Generic = []GenericAccount{{Name: DemoAccountName, Secret: opts.ProjectSecret}}
	}
	if opts.KYC == nil && opts.ProjectSecret != "" {
		opts.KYC = []KYCAccount{{Name: DemoAccountName, Secret: opts.ProjectSecret, PersonKey: opts.ProjectSecret}}
	}
	if opts.SMS == nil && opts.ProjectSecret != "" {
		opts.SMS = []SMSAccount{{SID: DemoSMSAccount, Key: opts.ProjectSecret}}
	}
	if opts.Rand == nil {
		opts.Rand = rand.Reader
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	s := &Sandbox{connectors: map[string]connector{
		"paytm":    {faults: &fault.Queue{}, behaviours: desk.Behaviours, operations: paytm.Operations},
		"generic":  {faults: &fault.Queue{}, behaviours: desk.Behaviours, operations: generic.Operations},
		"kyc":      {faults: &fault.Queue{}, behaviours: kyc.Behaviours},
		"lists":    {faults: &fault.Queue{}, behaviours: kyc.ListBehaviours},
		"sms":      {faults: &fault.Queue{}, behaviours: sms.Behaviours},
		"merchant": {faults: &fault.Queue{}, behaviours: merchant.Behaviours, operations: merchant.Operations},
	}}
	s.public.Store(&opts.PublicURL)
	s.own.Store(&opts.OwnURL)
	front, err := s.assemble(opts)
	if err != nil {
		return nil, err
	}
	keepers := map[string]journal.Keeper{"paytm": s.paytm, "generic": s.generic, "kyc": s.kyc, "sms": s.sms, "merchant": s.merchant}
	if s.google != nil {
		keepers["google"] = s.google
	}
	s.journal, err = journal.Open(opts.StatePath, keepers)
	if err != nil {
		return nil, err
	}
	s.handler = s.routes(front)
	s.paytm.Start()
	s.generic.Start()
	s.kyc.Start()
	return s, nil
}

// assemble makes the parts; the shop is the one nobody else needs to reach.
func (s *Sandbox) assemble(opts Options) (http.Handler, error) {
	appendFor := func(name string) func([]byte) error {
		if opts.StatePath == "" {
			return nil // spares writing lines that nobody keeps
		}
		return func(line []byte) error { return s.journal.Append(name, line) }
	}
	var err error
	s.paytm, err = paytm.New(opts.Paytm, opts.Clock, paytm.Options{
		Prefix: "/paytm", Faults: s.connectors["paytm"].faults, Append: appendFor("paytm"), Rand: opts.Rand, Log: opts.Log,
		Transport: opts.Transport, Roots: opts.Roots, DecideAfter: opts.DecideAfter, RefundAfter: opts.RefundAfter, LateAfter: opts.LateAfter,
		SlowFor: opts.SlowFor, HoldFor: opts.HoldFor, NotifyUnit: opts.NotifyUnit, MaxRecords: opts.MaxRecords,
	})
	if err != nil {
		return nil, err
	}
	s.generic, err = generic.New(opts.Generic, opts.Clock, generic.Options{
		Prefix: "/generic", Own: func() string { return *s.own.Load() }, Faults: s.connectors["generic"].faults, Append: appendFor("generic"), Rand: opts.Rand,
		Log: opts.Log, Transport: opts.Transport, Roots: opts.Roots, DecideAfter: opts.DecideAfter, MoveAfter: opts.RefundAfter, LateAfter: opts.LateAfter,
		SlowFor: opts.SlowFor, HoldFor: opts.HoldFor, NotifyUnit: opts.NotifyUnit, MaxRecords: opts.MaxRecords,
	})
	if err != nil {
		return nil, err
	}
	s.kyc, err = kyc.New(opts.KYC, opts.Clock, kyc.Options{
		Prefix: "/kyc", Own: func() string { return *s.own.Load() }, Faults: s.connectors["kyc"].faults, Lists: s.connectors["lists"].faults, Append: appendFor("kyc"), Rand: opts.Rand,
		Log: opts.Log, Transport: opts.Transport, Roots: opts.Roots, DecideAfter: opts.DecideAfter, LateAfter: opts.LateAfter,
		SlowFor: opts.SlowFor, HoldFor: opts.HoldFor, NotifyUnit: opts.NotifyUnit, MaxRecords: opts.MaxRecords,
	})
	if err != nil {
		return nil, err
	}
	s.sms, err = sms.New(opts.SMS, opts.Clock, sms.Options{
		Prefix: "/sms", Faults: s.connectors["sms"].faults, Append: appendFor("sms"), Rand: opts.Rand, Log: opts.Log,
		LateAfter: opts.LateAfter, SlowFor: opts.SlowFor, HoldFor: opts.HoldFor,
	})
	if err != nil {
		return nil, err
	}
	s.merchant, err = merchant.New(opts.ProjectSecret, opts.Clock, merchant.Options{
		Faults: s.connectors["merchant"].faults, Append: appendFor("merchant"), Log: opts.Log,
		OtherSecrets: opts.OtherSecrets, SlowFor: opts.SlowFor, HoldFor: opts.HoldFor, MaxCallbacks: opts.MaxCallbacks,
	})
	if err != nil {
		return nil, err
	}
	if opts.Google != nil {
		s.connectors["google"] = connector{faults: &fault.Queue{}, behaviours: google.Behaviours, operations: google.Operations}
		s.google, err = google.New(opts.Clock, google.Options{
			Keys: opts.Google.Keys, Integrator: opts.Google.Integrator, Own: func() string { return *s.own.Load() }, Faults: s.connectors["google"].faults,
			Append: appendFor("google"), Rand: opts.Rand, Log: opts.Log, Transport: opts.Transport, Roots: opts.Roots, SlowFor: opts.SlowFor, HoldFor: opts.HoldFor,
		})
		if err != nil {
			return nil, err
		}
	}
	return shop.New(shop.Options{
		ProjectID: opts.ProjectID, Secret: opts.ProjectSecret, Receipts: s.merchant, Clock: opts.Clock, Rand: opts.Rand,
		Public: func() string { return *s.public.Load() }, Own: func() string { return *s.own.Load() }, Log: opts.Log,
	})
}

func (s *Sandbox) routes(front http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/paytm/", s.paytm)
	mux.Handle("/generic/", s.generic)
	mux.Handle("/kyc/", s.kyc)
	mux.Handle("/sms/", s.sms)
	mux.Handle("/merchant/", s.merchant)
	if s.google != nil {
		mux.Handle("/google", s.google)
		mux.Handle("/google/", s.google)
		mux.Handle("/secure-serving/gsp/", s.google) // where Google's methods lie at Google
	}
	mux.Handle("/shop", front)
	mux.Handle("/shop/", front)
	mux.HandleFunc("POST /control", s.setControl)
	mux.HandleFunc("GET /control", s.showControl)
	mux.HandleFunc("DELETE /control", s.clearControl)
	mux.HandleFunc("GET /control/journal", s.showJournal)
	mux.HandleFunc("POST /control/notify", s.notify)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	// Browsers ask for it by themselves; a 404 would stand in every console.
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.Handle("GET /{$}", http.RedirectHandler("/shop", http.StatusFound))
	return mux
}

// Handler serves /paytm/, /generic/, /kyc/, /sms/, /google, /merchant/, /shop, /control and /healthz. "timeout"
// holds a connection for HoldFor, so the server needs a longer WriteTimeout.
func (s *Sandbox) Handler() http.Handler { return s.handler }

// SetPublicURL says where the platform's public listener is.
func (s *Sandbox) SetPublicURL(url string) { s.public.Store(&url) }

// SetOwnURL says where Handler is served.
func (s *Sandbox) SetOwnURL(url string) { s.own.Store(&url) }

// SetNotifyURL says where notifications about a Paytm account go, and sends
// those that had nowhere to go. It reports whether there is such an account.
func (s *Sandbox) SetNotifyURL(mid, url string) bool { return s.paytm.SetNotifyURL(mid, url) }

// SetGenericNotifyURL is SetNotifyURL of an account at the generic provider.
func (s *Sandbox) SetGenericNotifyURL(account, url string) bool {
	return s.generic.SetNotifyURL(account, url)
}

// SetKYCNotifyURL is SetNotifyURL of an account at the provider that checks customers.
func (s *Sandbox) SetKYCNotifyURL(account, url string) bool { return s.kyc.SetNotifyURL(account, url) }

// Close stops notifying, lets go of held connections and closes the journal.
// Shut the HTTP server down afterwards: it would wait for those connections.
func (s *Sandbox) Close(ctx context.Context) error {
	s.merchant.Close()
	s.sms.Close()
	if s.google != nil {
		s.google.Close()
	}
	return errors.Join(s.paytm.Close(ctx), s.generic.Close(ctx), s.kyc.Close(ctx), s.journal.Close())
}
