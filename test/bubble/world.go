// Package bubble runs the real platform as it stands in a process, with all its
// goroutines, over real HTTP on pipes, in a bubble of testing/synctest whose
// clock moves only while everybody waits (torture.md 2.4, layer B): Gate, the
// payment page, the inbox, callbacks with their HTTP sender, the worker with its
// pools and sweeps, the book with its lane, Paytm's connector, and a store. On
// the other side are the sandbox's Paytm, its merchant, and clients who are many
// at once.
//
// What goes wrong is drawn by a hash of the seed and of what it happens to, so
// the same seed has the same faults whatever the order in which goroutines run.
// What is compared is not that order but the canonical history: what became of
// each payment, sorted. Package verify, the provider's books, the merchant's and
// the independent model (package model) say whether it is right.
//
// Its known weakness: a process's death is a cut, not a kill. What it had under
// way is kept from the store and the wires, but its memory lives until its
// goroutines have ended. The real kill is test/kill's.
package bubble

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/callback"
	"aorta/internal/connector"
	"aorta/internal/connector/exchange"
	"aorta/internal/connector/paytm"
	"aorta/internal/due"
	"aorta/internal/flow"
	"aorta/internal/gate"
	"aorta/internal/id"
	"aorta/internal/inbox"
	"aorta/internal/paypage"
	"aorta/internal/project"
	"aorta/internal/sandbox"
	"aorta/internal/sign"
	"aorta/internal/store"
	"aorta/internal/worker"
	"aorta/test/model/witness"
)

const (
	limitTime = 10 * time.Minute
	quietFrom = 25 * time.Minute // then nothing goes wrong any more
	endAfter  = 75 * time.Minute // and by then all must have come to rest

	secret = "bubble-secret"
)

// world is one run.
type world struct {
	t        testing.TB
	seed     uint64
	begun    time.Time
	net      *network
	db       database
	outside  *sandbox.Sandbox
	servers  []*http.Server
	witness  *witness.Witness
	project  project.Project
	paytm    *paytm.Paytm
	life     *life
	lives    int
	single   bool // each act is a batch of its own
	client   *http.Client
	provider *http.Transport // the provider's way to us

	mu       sync.Mutex
	counts   map[string]int
	injected map[Fault]int
	names    map[id.Payment]string   // the merchant's
	refunds  map[id.Operation]string // the merchant's
	attempts map[id.Attempt]string   // stable through schedules: "order-3/sale/1"
	tries    map[string]int          // attempts by payment and kind
	acked    map[string]bool         // payments that a merchant was told of
	wrong    []string
}

// database is a home and its reader.
type database interface {
	book.Store
	book.Reader
	book.Processes
}

// life is the platform from its start to its death.
type life struct {
	w      *world
	ended  chan struct{} // closed by death
	db     database
	book   *book.Book
	worker *worker.Worker
	stop   context.CancelFunc
	server *http.Server
	socket *listener
	out    []*http.Transport

	mu    sync.Mutex
	dead  bool
	conns []net.Conn // to the outside
}

func (w *world) fault(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

// newWorld builds the outside. An empty path keeps the store in memory.
func newWorld(t testing.TB, seed uint64, path string) *world {
	w := &world{
		t: t, seed: seed, begun: time.Now(), net: newNetwork(), counts: map[string]int{}, injected: map[Fault]int{}, names: map[id.Payment]string{},
		refunds: map[id.Operation]string{}, attempts: map[id.Attempt]string{}, tries: map[string]int{}, acked: map[string]bool{},
		single: seed%2 == 1,
		project: project.Project{
			ID: 200, MerchantID: 1, Secret: sign.NewSecret(secret), LimitTime: limitTime, BaseTime: 5 * time.Minute, RetryTime: 5 * time.Minute,
			PageAttempts: 3, CallbackURL: "http://merchant/merchant/callback",
			Methods: []project.Method{{
				Code: "paytm-wallet", Group: "wallet", Segment: "paytm", Name: "Paytm Wallet", Connector: "paytm", Account: "demo",
				Currency: "INR", MinMinor: 100, MaxMinor: 10_000_000,
			}},
		},
	}
	w.project.Wallet = w.draw("wallet") < 0.4
	w.project.LateSuccess = []project.LateRule{project.LateHold, project.LateCredit, project.LateRefund}[int(w.draw("late rule")*3)]
	if path == "" {
		w.db = book.NewMemory()
	} else {
		w.db = openSQLite(t, path)
	}
	w.client = &http.Client{Timeout: 40 * time.Second, CheckRedirect: noRedirect, Transport: faulty{
		next: newTransport(w.net.dial), w: w, key: w.clientKey, kinds: []Fault{Refused, CutBefore, AnswerLost, Twice},
	}}
	w.provider = newTransport(w.net.dial)
	var err error
	w.outside, err = sandbox.New(sandbox.Options{
		Clock: time.Now, ProjectID: 200, ProjectSecret: secret, RefundAfter: 20 * time.Second, NotifyUnit: 10 * time.Second,
		PublicURL: "http://pay", OwnURL: "http://psp",
		Transport: faulty{next: w.provider, w: w, key: w.newsKey, kinds: []Fault{Refused, CutBefore, AnswerLost, Twice, Tampered}},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.outside.SetNotifyURL(sandbox.DemoMID, "http://pay/n/paytm/demo")
	w.serve("psp", w.outside.Handler())
	w.serve("merchant", w.moody(w.outside.Handler()))
	w.start()
	return w
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func openSQLite(t testing.TB, path string) store.DB {
	db, err := store.OpenSQLite(context.Background(), filepath.Join(path, "aorta.db"), store.Options{Checkpoint: time.Minute})
	if err == nil {
		err = db.Migrate(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func (w *world) serve(host string, h http.Handler) {
	s := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	w.servers = append(w.servers, s)
	l := w.net.listen(host)
	go s.Serve(l)
}

// moody is the merchant's server on some days.
func (w *world) moody(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			h.ServeHTTP(rw, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the platform died while it sent it
		}
		key := "callback/" + word(body)
		key += "#" + w.count(key)
		again := r.Clone(r.Context())
		again.Body = io.NopCloser(strings.NewReader(string(body)))
		switch {
		case w.chance(MerchantFails, key):
			http.Error(rw, "broken", http.StatusInternalServerError)
		case w.chance(MerchantDrops, key):
			h.ServeHTTP(discard{http.Header{}}, again)
			panic(http.ErrAbortHandler)
		case w.chance(MerchantSlow, key):
			h.ServeHTTP(discard{http.Header{}}, again)
			select {
			case <-time.After(2 * time.Minute):
			case <-r.Context().Done():
			}
		default:
			h.ServeHTTP(rw, again)
		}
	})
}

type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// start begins a life of the platform, wired as `aorta serve` is.
func (w *world) start() {
	w.lives++
	l := &life{w: w, ended: make(chan struct{}), db: w.db}
	ctx := context.Background()
	epoch, err := w.db.Enter(ctx, "bubble", time.Now())
	must(w.t, err)
	psp := newTransport(l.dial)
	l.out = append(l.out, psp)
	w.paytm, err = paytm.New(paytm.Config{
		BaseURL: "http://psp/paytm", MID: sandbox.DemoMID, Key: exchange.NewSecret(sandbox.DemoKey), Website: sandbox.DemoWebsite,
		Now: time.Now, Random: rand.Reader,
		Transport: faulty{next: psp, w: w, key: w.callKey, ended: l.ended, kinds: []Fault{Refused, CutBefore, AnswerLost, TooSlow, Broken, HalfAnswer}},
	})
	must(w.t, err)
	if w.witness == nil {
		w.witness = witness.New(w.project, w.paytm, time.Now, nil, nil)
	}
	watched := w.witness.Watch(w.paytm)
	connectors := func(name, account string) (connector.Connector, bool) {
		return watched, name == "paytm" && account == "demo"
	}
	projects := func(n int64) (project.Project, bool) { return w.project, n == w.project.ID }
	l.worker = worker.New(worker.Options{Now: time.Now, Sweep: time.Second, Pool: 32})
	var flows *flow.Flows
	var callbacks *callback.Callbacks
	var notices *inbox.Inbox
	for _, k := range []due.Kind{due.Ask, due.AskLater, due.Watch} {
		l.worker.Serve(k, func(ctx context.Context, d due.Due) error { return flows.Handle(ctx, d) })
	}
	l.worker.ServeWide(due.Deliver, func(ctx context.Context, d due.Due) error { return callbacks.Handle(ctx, d) }, callback.MostAtOnce)
	l.worker.Serve(due.Notice, func(ctx context.Context, d due.Due) error { return notices.Handle(ctx, d) })
	_, keep := w.db.(store.DB)
	opts := book.Options{Now: time.Now, Random: rand.Reader, Epoch: epoch, Work: l.worker.Work}
	if w.single {
		opts.MaxBatch = 1
	}
	seen := w.witness.Homes([]book.Home{{Store: w.db, Lanes: 1, Keep: keep}}, w.db)
	seen[0].Store = faultyStore{seen[0].Store, l}
	l.book, err = book.New(ctx, seen, opts)
	must(w.t, err)
	flows = flow.New(l.book, w.db, flow.Options{
		Projects: projects, Connectors: connectors, Now: time.Now, NotifyURL: func(name, account string) string { return "http://pay/n/" + name + "/" + account },
	})
	page := paypage.New(paypage.Options{
		Flows: flows, Read: w.db, Projects: projects, PublicURL: func() string { return "http://pay" }, Key: [32]byte{1}, Now: time.Now, Random: rand.Reader,
		TestMode: true, AllowInsecureCallbacks: true,
	})
	gates := gate.New(gate.Options{Flows: flows, Projects: projects, Now: time.Now, Random: rand.Reader, AllowInsecureCallbacks: true})
	style := callback.Style{Render: gate.RenderCallback, Delivered: callback.Status200, Unit: 10 * time.Second}
	callbacks = callback.New(l.book, w.db, callback.Options{
		Styles: map[string]callback.Style{"gate": style, "page": style}, Projects: projects, Sender: callback.NewHTTPSenderOver(l.dial), Now: time.Now,
	})
	notices = inbox.New(l.book, w.db, inbox.Options{Flows: flows, Connectors: connectors, ReturnURL: page.SessionURL})
	run, stop := context.WithCancel(ctx)
	l.stop = stop
	l.worker.Start(run, l.book, w.db, w.db, epoch)
	mux := http.NewServeMux()
	mux.Handle("/v2/", gates)
	mux.Handle("/n/{connector}/{account}", notices)
	mux.Handle("/", page)
	l.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	l.socket = w.net.listen("pay")
	go l.server.Serve(l.socket)
	w.life = l
}

func must(t testing.TB, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

// dial is the platform's way out. It ends with the platform.
func (l *life) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := l.w.net.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		c.Close()
		return nil, refused()
	}
	l.conns = append(l.conns, c)
	return c, nil
}

// kill ends a life: from here on nothing of it is written or sent.
func (l *life) kill() {
	l.mu.Lock()
	l.dead = true
	close(l.ended)
	conns := l.conns
	l.mu.Unlock()
	l.socket.Close()
	l.server.Close()
	for _, c := range conns {
		c.Close()
	}
	l.stop()
	l.book.Close()
	l.worker.Wait(context.Background())
	for _, t := range l.out {
		t.CloseIdleConnections()
	}
}

func (l *life) isDead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead
}

// restart is a death, and another start after a moment.
func (w *world) restart() {
	w.life.kill()
	time.Sleep(time.Duration(w.draw("down", w.lives) * float64(20*time.Second)))
	w.witness.Restarted()
	w.start()
}

// close ends the world. Every goroutine must end, or the bubble panics (C11).
func (w *world) close() {
	w.life.kill()
	must(w.t, w.outside.Close(context.Background()))
	for _, s := range w.servers {
		s.Close()
	}
	w.net.mu.Lock()
	for _, l := range w.net.hosts {
		l.Close()
	}
	w.net.mu.Unlock()
	w.provider.CloseIdleConnections()
	w.client.Transport.(faulty).next.(*http.Transport).CloseIdleConnections()
	if db, ok := w.db.(store.DB); ok {
		must(w.t, db.Close())
	}
}
