package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"aorta/internal/api"
	"aorta/internal/book"
	"aorta/internal/callback"
	"aorta/internal/connector"
	"aorta/internal/crash"
	"aorta/internal/due"
	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/gate"
	"aorta/internal/id"
	"aorta/internal/inbox"
	"aorta/internal/operator"
	"aorta/internal/opsapi"
	"aorta/internal/paypage"
	"aorta/internal/project"
	"aorta/internal/store"
	"aorta/internal/verify"
	"aorta/internal/worker"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sys/unix"
)

// accounts gives the connector of a PSP account.
type accounts = func(name, account string) (connector.Connector, bool)

// buckets is fixed for ever: ids carry it (design section 3).
const buckets = 32

// openDatabase opens the store that the settings name; lanes and keep are how
// the book must use it.
func openDatabase(ctx context.Context, s settings, o store.Options) (db store.DB, lanes int, keep bool, err error) {
	if s.Database != "" {
		db, err = store.OpenPostgres(ctx, s.Database, o)
		return db, 2, false, err
	}
	if err := os.MkdirAll(s.Data, 0o700); err != nil {
		return nil, 0, false, fmt.Errorf("data directory: %w", err)
	}
	db, err = store.OpenSQLite(ctx, filepath.Join(s.Data, "aorta.db"), o)
	return db, 1, true, err
}

// house is the running platform: every part, wired.
type house struct {
	settings  settings
	log       *slog.Logger
	db        store.DB
	book      *book.Book
	worker    *worker.Worker
	metrics   *prometheus.Registry
	public    *http.Server
	ops       *http.Server
	publicURL atomic.Value // string: known once the listener is
	opsURL    string
	unlock    func()
	stop      context.CancelFunc
	failed    chan error
	gone      atomic.Bool      // see lost
	demoKeys  map[int64]string // project → text of the demo's API key
	operators []readyOperator  // of the demo
	guarded   chan struct{}    // closed when the background check and the look at the endpoints have ended
}

// open builds a house and starts it on its two listeners. Close ends it.
func open(ctx context.Context, s settings, log *slog.Logger) (*house, error) {
	h := &house{settings: s, log: log, metrics: prometheus.NewRegistry(), unlock: func() {}, stop: func() {}, failed: make(chan error, 4)}
	h.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := h.build(ctx); err != nil {
		if h.gone.Load() {
			return nil, <-h.failed // it says more than what failed because of it
		}
		h.Close()
		return nil, err
	}
	return h, nil
}

func (h *house) build(ctx context.Context) error {
	s := h.settings
	if err := s.check(); err != nil {
		return err
	}
	secured, err := s.certificate()
	if err != nil {
		return err
	}
	secured = s.secure(secured)
	connectors, err := connectorsByName(s.Connectors, shares().idle, s.TestMode, connect)
	if err != nil {
		return fmt.Errorf("PSP accounts: %w", err)
	}
	instance, err := h.enter()
	if err != nil {
		return err
	}
	pageKey, err := masterKey(s.Data)
	if err != nil {
		return err
	}
	publicListener, err := net.Listen("tcp", s.Listen)
	if err != nil {
		return fmt.Errorf("public listener: %w", err)
	}
	opsListener, err := net.Listen("tcp", s.OpsListen)
	if err != nil {
		_ = publicListener.Close()
		return fmt.Errorf("ops listener: %w", err)
	}
	h.setURLs(publicListener.Addr(), opsListener.Addr())
	handler, ops, err := h.wire(ctx, instance, pageKey, connectors)
	if err != nil {
		_ = publicListener.Close()
		_ = opsListener.Close()
		return err
	}
	if crash.Armed(crash.AfterAnswer) {
		handler = answered(handler)
	}
	public := bound(publicListener, shares().connections)
	h.public, h.ops = newServer(public.turns(handler)), newServer(ops)
	h.public.ErrorLog, h.ops.ErrorLog = slog.NewLogLogger(h.log.Handler(), slog.LevelDebug), slog.NewLogLogger(h.log.Handler(), slog.LevelDebug)
	h.public.TLSConfig = secured
	if secured != nil && len(s.Google) > 0 {
		go h.serve(h.public, silent{public})
	} else {
		go h.serve(h.public, public)
	}
	go h.serve(h.ops, opsListener)
	return nil
}

// wire builds the parts from the store up, and gives the two listeners' handlers.
func (h *house) wire(ctx context.Context, instance string, pageKey [32]byte, connectors accounts) (public, ops http.Handler, err error) {
	s := h.settings
	db, lanes, keep, err := openDatabase(ctx, s, store.Options{Broken: func(err error) { h.lost(fmt.Errorf("%w: %w", errStorage, err)) }})
	if err != nil {
		return nil, nil, err
	}
	h.db = db
	if err := db.Migrate(ctx); err != nil {
		return nil, nil, fmt.Errorf("migrate: %w", err)
	}
	epoch, err := db.Enter(ctx, instance, time.Now())
	if err != nil {
		return nil, nil, fmt.Errorf("enter process: %w", err)
	}
	projects := projectsByID(s.Projects)
	checkers, persons, err := verifiers(s.KYC, s.PersonKey)
	if err != nil {
		return nil, nil, err
	}
	codes, err := s.SMS.codes(connector.NewTransport(smsConnections))
	if err != nil {
		return nil, nil, fmt.Errorf("sms: %w", err)
	}
	may := shares()
	h.worker = worker.New(worker.Options{Now: time.Now, Log: h.log, Metrics: h.metrics, Pool: may.pool})
	parts := &parts{}
	h.worker.Serve(due.Ask, parts.flow)
	h.worker.Serve(due.AskLater, parts.flow)
	h.worker.Serve(due.Watch, parts.flow)
	h.worker.Serve(due.Payout, parts.flow)
	h.worker.Serve(due.Check, parts.flow)
	h.worker.Serve(due.Link, parts.flow)
	h.worker.Serve(due.Float, parts.flow)
	h.worker.Serve(due.Purchase, parts.flow)
	h.worker.Serve(due.Tell, parts.flow)
	h.worker.Serve(due.Statement, parts.flow)
	h.worker.Serve(due.Code, parts.flow)
	h.worker.ServeWide(due.Deliver, parts.callback, may.callbacks)
	h.worker.Serve(due.Notice, parts.inbox)
	h.book, err = book.New(ctx, []book.Home{{Store: db, Lanes: lanes, Keep: keep}}, book.Options{
		Buckets: buckets, Now: time.Now, Random: rand.Reader, Epoch: epoch, Work: h.worker.Work, Log: h.log, Metrics: h.metrics,
	})
	if err != nil {
		return nil, nil, err
	}
	var page *paypage.Page
	endpoints := callback.NewEndpoints(h.book, db, callback.EndpointOptions{
		Projects: projects, Key: pageKey, Random: rand.Reader, Now: time.Now, Insecure: s.insecureCallbacks(), Log: h.log, Metrics: h.metrics,
	})
	if err := endpoints.Refresh(ctx); err != nil {
		return nil, nil, err
	}
	hosted, watchKeys, err := googleHosted(s, pageKey, h.log)
	if err != nil {
		return nil, nil, err
	}
	flows := flow.New(h.book, db, flow.Options{
		Projects: projects, Connectors: connectors, Endpoints: endpoints.Seen, Now: time.Now, Log: h.log, Lookups: s.LookupSchedule,
		Rules: s.rules, Verifiers: checkers, Persons: persons, Vault: fop.NewVault(pageKey, rand.Reader), Codes: codes, Integrations: googleTermsOf(s), Google: googleSide(hosted),
		Behind: func(url string) bool {
			return h.worker.Behind(due.Ask, due.Notice, due.Deliver) || parts.callbacks.Behind(url)
		},
		NotifyURL: func(name, account string) string { return h.url() + "/n/" + name + "/" + account },
		ReturnURL: func(p id.Payment) string { return page.SessionURL(p) },
		Dead:      func(int64) bool { return s.Database == "" }, // SQLite has one process: who wrote before it is dead
	})
	page = paypage.New(paypage.Options{
		Flows: flows, Read: db, Projects: projects, PublicURL: h.url, Key: pageKey, Now: time.Now, Random: rand.Reader, Log: h.log, Metrics: h.metrics,
		TestMode: s.TestMode, AllowInsecureCallbacks: s.insecureCallbacks(),
	})
	gates := gate.New(gate.Options{
		Flows: flows, Projects: projects, Now: time.Now, Random: rand.Reader, Log: h.log, Metrics: h.metrics, AllowInsecureCallbacks: s.insecureCallbacks(),
		Rate: s.GateRate, Burst: int(math.Ceil(2 * s.GateRate)),
	})
	news, keyHash := newsAccounts(s.Connectors), project.NewKeyHasher(pageKey)
	native := api.New(api.Options{
		News: func(ctx context.Context, header http.Header, body []byte) error {
			return parts.in.Accept(ctx, news, header, body)
		},
		Endpoints: endpoints,
		ReplayTo: func(ctx context.Context, projectID int64, k id.Endpoint, f callback.Filter) (int, error) {
			return parts.callbacks.ReplayTo(ctx, projectID, k, f)
		},
		Flows: flows, Read: db, Projects: projects, PayURL: page.PayURL, CustomerURL: page.CustomerURL, Links: s.links, PublicURL: h.url, KeyHash: keyHash, Cursors: api.NewCursors(pageKey), Now: time.Now, Random: rand.Reader,
		Insecure: s.insecureCallbacks(), Sole: s.sole() || s.TestMode, Rate: s.APIRate, Burst: int(math.Ceil(2 * s.APIRate)), Log: h.log, Metrics: h.metrics,
	})
	calls := googleDoor(hosted, flows, h.log, h.metrics)
	links, err := googlePage(s, calls, flows, h.url, pageKey, h.log, h.metrics)
	if err != nil {
		return nil, nil, err
	}
	if err := errors.Join(flows.SealKeys(ctx, keyHash.Seal), h.makeDemoKeys(ctx, flows, pageKey), h.makeDemoOperators(ctx, flows, pageKey), h.logRules(ctx, flows)); err != nil {
		return nil, nil, err
	}
	callbacks := callback.New(h.book, db, callback.Options{
		Styles: map[string]callback.Style{
			"gate": {Render: gate.RenderCallback, Delivered: callback.Status200, Unit: s.CallbackUnit},
			"page": {Render: gate.RenderCallback, Delivered: callback.Status200, Unit: s.CallbackUnit},
		},
		Endpoints: endpoints, WebhookUnit: s.CallbackUnit,
		Projects: projects, Sender: callback.NewHTTPSender(s.Private, may.idle), Now: time.Now, Log: h.log, Metrics: h.metrics,
	})
	in := inbox.New(h.book, db, inbox.Options{Flows: flows, Connectors: connectors, Verifiers: checkers, ReturnURL: page.SessionURL, Log: h.log, Metrics: h.metrics})
	*parts = *newParts(flows, callbacks, in)

	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	h.stop = stop
	h.worker.Start(run, h.book, db, db, epoch)
	go flows.TidyAnswers(run)
	sealer := operator.NewSealer(pageKey)
	guard := verify.NewGuard(db, verify.GuardOptions{
		Now: time.Now, Log: h.log, Metrics: h.metrics, Broken: func(err error) { h.lost(fmt.Errorf("%w: %w", errLedger, err)) },
	})
	h.guarded = make(chan struct{})
	go func() {
		defer close(h.guarded)
		var wg sync.WaitGroup
		wg.Go(func() { endpoints.Run(run) })
		wg.Go(func() { watchKeys(run) })
		wg.Go(func() { h.sealLog(run, flows, sealer) })
		guard.Run(run)
		wg.Wait()
	}()

	mux := http.NewServeMux()
	mux.Handle("/v2/", gates)
	mux.Handle("/v1/", native)
	mux.Handle("/n/{connector}/{account}", in)
	mux.Handle("/n/"+flow.KYC+"/{account}", in.Checks())
	mux.Handle("/", page)
	serveGoogle(mux, s.Google, calls, links)
	return mux, opsapi.New(opsapi.Options{
		Read: db, Writing: func() bool { return h.book.Writing() && h.worker.Speaks() }, Metrics: h.metrics, Token: s.OpsToken, Log: h.log,
		Projects: projects, Endpoints: endpoints, ReplayTo: callbacks.ReplayTo,
		Operators:      &opsapi.Operators{Flows: flows, Hash: operator.NewHasher(pageKey), Sealer: sealer, Random: rand.Reader, Now: time.Now},
		ReplayDelivery: callbacks.Replay, ReplayNotification: in.Replay,
		Keys: &opsapi.Keys{Project: projects, Hash: keyHash, Random: rand.Reader, New: flows.NewKey, Put: flows.PutKey, Revoke: native.RevokeKey, Expire: native.ExpireKey, Now: time.Now},
	}), nil
}

// insecureCallbacks reports whether merchants may name http:// addresses: where
// callbacks may reach networks of our own, TLS is not asked for either. The
// demo is such a place.
func (s settings) insecureCallbacks() bool { return len(s.Private) > 0 }

// newsAccounts are the accounts whose providers speak the protocol of
// /v1/payments/webhook.
func newsAccounts(list []connectorConfig) []inbox.Account {
	var out []inbox.Account
	for _, c := range list {
		if c.Name == "generic" {
			out = append(out, inbox.Account{Connector: c.Name, Name: c.Account})
		}
	}
	return out
}

// sole reports whether all projects are one merchant's.
func (s settings) sole() bool {
	return !slices.ContainsFunc(s.Projects, func(p project.Project) bool { return p.MerchantID != s.Projects[0].MerchantID })
}

// parts closes the circle between the worker, which the book feeds, and the
// flows, which need the book. It is filled before the worker starts.
type parts struct {
	flows     *flow.Flows
	callbacks *callback.Callbacks
	in        *inbox.Inbox
}

func newParts(f *flow.Flows, c *callback.Callbacks, n *inbox.Inbox) *parts { return &parts{f, c, n} }

func (p *parts) flow(ctx context.Context, d due.Due) error     { return p.flows.Handle(ctx, d) }
func (p *parts) callback(ctx context.Context, d due.Due) error { return p.callbacks.Handle(ctx, d) }
func (p *parts) inbox(ctx context.Context, d due.Due) error    { return p.in.Handle(ctx, d) }

// Time and size limits of both listeners (security.md S32).
func newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 60 * time.Second, MaxHeaderBytes: 32 << 10,
	}
}

// serve serves until the server is shut down, with TLS if it has a certificate.
func (h *house) serve(s *http.Server, l net.Listener) {
	var err error
	if s.TLSConfig != nil {
		err = s.ServeTLS(l, "", "")
	} else {
		err = s.Serve(l)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		h.failed <- fmt.Errorf("listener %s: %w", l.Addr(), err)
	}
}

func (h *house) setURLs(public, ops net.Addr) {
	scheme := "http://"
	if h.settings.TLSCert != "" {
		scheme = "https://"
	}
	url := h.settings.PublicURL
	if url == "" {
		url = scheme + public.String()
	}
	h.publicURL.Store(url)
	h.opsURL = "http://" + ops.String()
}

func (h *house) url() string { return h.publicURL.Load().(string) }

// graceful is how long Close waits for requests and work under way (T30).
// Half of it is the requests', so that slow clients leave time for the work.
const graceful = 15 * time.Second

// What ends a process at once, each with an exit code of its own (exitCode).
var (
	// errStorage: the disk has refused to flush. What it holds is for the next
	// process to find out.
	errStorage = errors.New("the store can never be written again by this process")
	// errLedger: the books do not balance. Nothing must be built on them.
	errLedger = errors.New("the ledger is broken")
)

// lost ends the process at once, as a kill would: what is wrong does not get
// better by finishing what is under way (design section 8). No answer leaves
// that was not written, and the next process takes over the rest.
func (h *house) lost(why error) {
	if h.gone.Swap(true) {
		return
	}
	h.log.Error("ALARM: this process must not go on", "error", why)
	h.failed <- why
}

// Close ends the house: no new requests, requests and work under way finish,
// then the book and the store close. What is left undone is due, and the next
// process takes it over.
func (h *house) Close() {
	if h.gone.Load() {
		return
	}
	requests, cancel := context.WithTimeout(context.Background(), graceful/2)
	defer cancel()
	var listeners sync.WaitGroup
	for _, s := range []*http.Server{h.public, h.ops} {
		if s == nil {
			continue
		}
		listeners.Go(func() {
			if err := s.Shutdown(requests); err != nil {
				h.log.Warn("listener did not end in time", "error", err)
			}
		})
	}
	listeners.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), graceful/2)
	defer cancel()
	h.stop()
	if h.guarded != nil {
		<-h.guarded // it reads for a moment at most
	}
	if h.worker != nil {
		h.worker.Wait(ctx)
	}
	if h.book != nil {
		h.book.Close()
	}
	if h.db != nil {
		if err := h.db.Close(); err != nil {
			h.log.Warn("close store", "error", err)
		}
	}
	h.unlock()
}

// enter takes the data directory for this process and gives the instance's
// name. The lock proves that whoever had the name before is dead.
func (h *house) enter() (string, error) {
	dir := h.settings.Data
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "instance"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close()
		return "", fmt.Errorf("data directory %s is in use by another process", dir)
	}
	h.unlock = func() { _ = lock.Close() }
	name, err := io.ReadAll(io.LimitReader(lock, 64))
	if err != nil {
		return "", fmt.Errorf("read instance: %w", err)
	}
	if len(name) > 0 {
		return string(name), nil
	}
	var fresh [16]byte
	_, _ = rand.Read(fresh[:])
	text := hex.EncodeToString(fresh[:])
	if _, err := lock.WriteString(text); err != nil {
		return "", fmt.Errorf("write instance: %w", err)
	}
	return text, lock.Sync()
}

// masterKeyThere is masterKey for who changes nothing: where none was made yet it
// is one that opens nothing.
func masterKeyThere(dir string) (key [32]byte, err error) {
	if _, err := os.Stat(filepath.Join(dir, "master.key")); errors.Is(err, fs.ErrNotExist) && environment("AORTA_MASTER_KEY") == "" {
		return key, nil
	}
	return masterKey(dir)
}

// masterKey reads the key that page sessions are made with, from
// AORTA_MASTER_KEY (64 hex digits) or the data directory, where it is made
// once. Processes that share a database must share it.
func masterKey(dir string) (key [32]byte, err error) {
	if text := environment("AORTA_MASTER_KEY"); text != "" {
		if n, err := hex.Decode(key[:], []byte(text)); err != nil || n != len(key) {
			return key, errors.New("AORTA_MASTER_KEY must be 64 hexadecimal digits")
		}
		return key, nil
	}
	path := filepath.Join(dir, "master.key")
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		_, _ = rand.Read(key[:])
		if err := os.WriteFile(path, []byte(hex.EncodeToString(key[:])), 0o600); err != nil {
			return key, fmt.Errorf("write master key: %w", err)
		}
		return key, nil
	case err != nil:
		return key, fmt.Errorf("master key: %w", err)
	case info.Mode().Perm()&0o077 != 0:
		return key, fmt.Errorf("master key %s may be read by others: chmod 600 it", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return key, fmt.Errorf("read master key: %w", err)
	}
	if n, err := hex.Decode(key[:], text); err != nil || n != len(key) {
		return key, fmt.Errorf("master key %s is not 64 hexadecimal digits", path)
	}
	return key, nil
}
