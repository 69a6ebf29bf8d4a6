// Package google stands in for Google's side of the tokenized form of payment v1
// (google-tokenized-fop.md): it has users, a store and a clock of remittance, calls
// the methods that the integrator hosts, answers those that Google hosts, and leads
// people through the integrator's page. A small page shows each step.
//
// Its cryptography is gpg as a subprocess, and it is written from the protocol
// alone, so that a mistake of the platform's is not made here too. It believes
// nothing that it has not checked, and keeps what it was told, so that its books
// can be laid beside the platform's. No money moves.
//
// Known weakness: a page may lead to a few calls of gpg at 15 ms each, one at a
// time. It is for people and for tests of what happens, not for load.
package google

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"aorta/internal/sandbox/desk"
	"aorta/internal/sandbox/fault"
)

// Currency is that of the store and of the integrator's account.
const Currency = "INR"

// Integrator is the platform as this Google knows it.
type Integrator struct {
	Account string // its Payment Integrator Account ID
	Methods string // URL of its methods, without a slash behind
	Page    string // URL of the page that users are led to, to say who they are

	// What the page does for people's convenience; each may be empty.
	API, APIKey string     // its API: its books are shown beside Google's, and wallets can be filled
	Ops         string     // its operations: how statements stand there
	Finance     []Operator // who may agree there to what is paid: two
	People      []Person   // who can sign in at its page
	Inbox       string     // path or URL at which messages to phones can be read
}

// Operator is somebody at the integrator who decides by name.
type Operator struct{ Name, Token string }

// Person is a customer of the integrator's, with a wallet.
type Person struct{ Name, Password, CustomerID, Phone string }

// Options are the parts of a Peer with a sensible default.
type Options struct {
	Keys        *Keys                   // nil: there is no gpg here; the page says so
	Integrator  Integrator              // needed
	Own         func() string           // where this Google is, as a browser reaches it
	Faults      *fault.Queue            // nil: nobody asks for faults
	Append      func(line []byte) error // remembers one line before it is answered for; nil keeps memory only
	Rand        io.Reader               // names and tokens; must bear concurrent use
	Log         *slog.Logger            // nil discards
	Transport   http.RoundTripper       // nil makes one
	Roots       *x509.CertPool          // whom that one trusts; nil means the system's
	CallTimeout time.Duration           // of one call of the integrator; 0 means 20s
	SlowFor     time.Duration           // for "slow"; 0 means 2s
	HoldFor     time.Duration           // for "timeout"; 0 means 60s
}

// Peer is Google. Make it with New, feed it its past with Load.
type Peer struct {
	opts     Options
	clock    func() time.Time
	mux      *http.ServeMux
	client   *http.Client
	book     book
	log      wire
	pageSize atomic.Int64 // of a statement's details, at most
	held     *desk.Waits
	stop     context.CancelFunc // lets go of what is held
}

// maxHeld bounds the answers that are held back at once.
const maxHeld = 1_024

// New makes a Google. clock gives the present time.
func New(clock func() time.Time, opts Options) (*Peer, error) {
	if clock == nil || opts.Rand == nil || opts.Own == nil {
		return nil, errors.New("google sandbox: a clock, randomness and its own address are needed")
	}
	if opts.Faults == nil {
		opts.Faults = &fault.Queue{}
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	opts.CallTimeout, opts.SlowFor = desk.OrElse(opts.CallTimeout, 20*time.Second), desk.OrElse(opts.SlowFor, 2*time.Second)
	opts.HoldFor = desk.OrElse(opts.HoldFor, time.Minute)
	if opts.Transport == nil {
		opts.Transport = &http.Transport{
			DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: opts.Roots},
			MaxIdleConnsPerHost: maxCopies, IdleConnTimeout: time.Minute, DisableCompression: true,
		}
	}
	p := &Peer{opts: opts, clock: clock, mux: http.NewServeMux(), client: &http.Client{
		Transport:     opts.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	p.pageSize.Store(maxEvents)
	stopped, stop := context.WithCancel(context.Background())
	p.held, p.stop = desk.NewWaits(maxHeld, stopped.Done()), stop
	p.routes()
	return p, nil
}

func (p *Peer) routes() {
	if p.opts.Keys == nil {
		p.mux.HandleFunc("/", p.without)
		return
	}
	p.mux.HandleFunc("/secure-serving/gsp/v1/{method}/{account}", p.hear)
	p.mux.HandleFunc("GET /google", p.home)
	p.mux.HandleFunc("GET /google/{$}", p.home)
	p.mux.HandleFunc("GET /google/wire", p.showWire)
	p.mux.HandleFunc("GET /google/store", p.showStore)
	p.mux.HandleFunc("GET /google/remittance", p.showRemittance)
	p.mux.HandleFunc("GET /google/callback", p.callback)
	for name, do := range map[string]func(*http.Request) (says, to string){
		"echo": p.pressEcho, "link": p.pressLink, "otp": p.pressOTP, "code": p.pressCode, "refresh": p.pressRefresh, "buy": p.pressBuy,
		"refund": p.pressRefund, "again": p.pressAgain, "period": p.pressPeriod, "agree": p.pressAgree, "fill": p.pressFill, "own": p.pressOwn, "correct": p.pressCorrect,
	} {
		p.mux.HandleFunc("POST /google/"+name, p.press(do))
	}
	p.mux.HandleFunc("GET /google/control", p.showControl)
	p.mux.HandleFunc("POST /google/control", p.setControl)
}

// ServeHTTP answers under /google and /secure-serving/gsp.
func (p *Peer) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

// Close lets go of held connections. The keys are closed by whoever opened them.
func (p *Peer) Close() {
	p.stop()
	p.client.CloseIdleConnections()
}

func (p *Peer) random(n int) []byte {
	raw := make([]byte, n)
	if _, err := io.ReadFull(p.opts.Rand, raw); err != nil {
		panic("google sandbox: no randomness: " + err.Error())
	}
	return raw
}

// name makes a requestId or another name: a prefix and 80 random bits.
func (p *Peer) name(prefix string) string {
	return prefix + base32.StdEncoding.EncodeToString(p.random(10))
}

// token makes a Google payment token: web-safe base64 of 192 random bits.
func (p *Peer) token() string { return base64.RawURLEncoding.EncodeToString(p.random(24)) }
