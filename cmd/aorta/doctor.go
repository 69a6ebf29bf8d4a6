package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"aorta/internal/money"
	"aorta/internal/store"

	"golang.org/x/sys/unix"
)

// doctorCmd says whether this machine, configuration and database are fit to
// serve. It changes nothing and may run beside a server.
type doctorCmd struct {
	Config   string `help:"Configuration file to check; without one, the environment alone." env:"AORTA_CONFIG" type:"existingfile"`
	Data     string `help:"Data directory; instead of the configuration's."`
	Database string `help:"PostgreSQL address; instead of the configuration's."`
	JSON     bool   `help:"Print the checks as one line of JSON." name:"json"`
}

// verdict is how a check ended. A warning does not keep anybody from serving.
type verdict string

const (
	checkOK   verdict = "ok"
	checkWarn verdict = "warn"
	checkFail verdict = "fail"
)

// check is one line of the report.
type check struct {
	Name    string  `json:"name"`
	Verdict verdict `json:"verdict"`
	Found   string  `json:"found"`
	ToDo    string  `json:"to_do,omitempty"`
}

// doctorReport is what --json prints.
type doctorReport struct {
	OK     bool    `json:"ok"` // nothing fails
	Checks []check `json:"checks"`
}

// errUnfit: a check failed. The report has been printed.
var errUnfit = errors.New("this machine is not fit to serve: see the checks that fail")

// Run checks everything that can be checked, whatever fails on the way.
func (c doctorCmd) Run(ctx context.Context, s streams) error {
	e := examination{now: time.Now()}
	cfg, loaded := e.configuration(c)
	e.clock()
	e.directory(cfg.Data)
	e.database(ctx, cfg)
	if loaded {
		e.connectors(cfg)
		e.projects(cfg)
		e.rules(cfg)
		e.google(cfg)
		e.sms(cfg)
	}
	e.tls(cfg)
	e.masterKey(cfg.Data)
	e.listeners(ctx, cfg)
	report := doctorReport{OK: !slices.ContainsFunc(e.checks, func(c check) bool { return c.Verdict == checkFail }), Checks: e.checks}
	if c.JSON {
		if err := json.NewEncoder(s.out).Encode(report); err != nil {
			return fmt.Errorf("print report: %w", err)
		}
	} else {
		for _, c := range report.Checks {
			fmt.Fprintf(s.out, "%-5s %-18s %s\n", c.Verdict, c.Name, c.Found)
			if c.ToDo != "" {
				fmt.Fprintf(s.out, "%-24s → %s\n", "", c.ToDo)
			}
		}
	}
	if !report.OK {
		return errUnfit
	}
	return nil
}

// examination gathers checks.
type examination struct {
	now    time.Time
	checks []check
}

func (e *examination) ok(name, found string, args ...any) {
	e.checks = append(e.checks, check{name, checkOK, fmt.Sprintf(found, args...), ""})
}

func (e *examination) warn(name, todo, found string, args ...any) {
	e.checks = append(e.checks, check{name, checkWarn, fmt.Sprintf(found, args...), todo})
}

func (e *examination) fail(name, todo, found string, args ...any) {
	e.checks = append(e.checks, check{name, checkFail, fmt.Sprintf(found, args...), todo})
}

// configuration loads what serve would load.
func (e *examination) configuration(c doctorCmd) (settings, bool) {
	cfg, err := load(c.Config, environment)
	if c.Data != "" {
		cfg.Data, cfg.Database = c.Data, ""
	}
	if c.Database != "" {
		cfg.Database = c.Database
	}
	switch {
	case err != nil:
		e.fail("configuration", "correct the file; docs/operations.md lists every key", "%v", err)
		return cfg, false
	case c.Config == "":
		e.warn("configuration", "name it by --config to have it checked", "no file is named: defaults and environment alone")
	default:
		e.ok("configuration", "%s: %d projects, %d PSP accounts", c.Config, len(cfg.Projects), len(cfg.Connectors))
	}
	return cfg, true
}

// oldest is before any machine could run this program.
var oldest = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// maxSkew is how far the database's clock may be from ours: leases are 30 s.
const maxSkew = 2 * time.Second

func (e *examination) clock() {
	if e.now.Before(oldest) || e.now.Year() > 2100 {
		e.fail("clock", "set the clock and keep it by NTP: time limits and ids go by it", "it says %s", e.now.UTC().Format(time.RFC3339))
		return
	}
	e.ok("clock", "%s", e.now.UTC().Format(time.RFC3339))
}

// directory checks the data directory and the disk below it.
func (e *examination) directory(dir string) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.warn("data directory", "nothing, if this is a new installation: serve makes it", "%s does not exist", dir)
		return
	case err != nil:
		e.fail("data directory", "let the server's user read and write it", "%v", err)
		return
	case !info.IsDir():
		e.fail("data directory", "name a directory", "%s is a file", dir)
		return
	case info.Mode().Perm()&0o077 != 0:
		e.fail("data directory", "chmod 700 "+dir+": it holds the master key", "%s may be entered by others (%s)", dir, info.Mode().Perm())
	default:
		e.ok("data directory", "%s (%s)", dir, info.Mode().Perm())
	}
	e.disk(dir)
	e.fsync(dir)
}

// Bounds of the disk checks.
const (
	diskWarn, diskFail = 5 << 30, 512 << 20 // bytes free
	fsyncSlow          = 20 * time.Millisecond
	fsyncTooFast       = 3 * time.Microsecond // nothing reaches a disk so soon
	fsyncs             = 50
)

func (e *examination) disk(dir string) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		e.fail("disk", "check the mount", "%v", err)
		return
	}
	free := uint64(s.Bavail) * uint64(s.Bsize)
	const todo = "make room: a full disk stops payments (writes answer 503)"
	switch found := fmt.Sprintf("%.1f GiB free", float64(free)/(1<<30)); {
	case free < diskFail:
		e.fail("disk", todo, "%s", found)
	case free < diskWarn:
		e.warn("disk", todo, "%s", found)
	default:
		e.ok("disk", "%s", found)
	}
}

// fsync measures what each batch of acts must wait for.
func (e *examination) fsync(dir string) {
	f, err := os.CreateTemp(dir, "doctor-*")
	if err != nil {
		e.fail("fsync", "let the server's user write to the data directory", "%v", err)
		return
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 4096)
	took := make([]time.Duration, fsyncs)
	for n := range took {
		begun := time.Now()
		if _, err = f.Write(block); err == nil {
			err = f.Sync()
		}
		if err != nil {
			e.fail("fsync", "replace the disk", "%v", err)
			return
		}
		took[n] = time.Since(begun)
	}
	slices.Sort(took)
	p50, worst := took[fsyncs/2], took[fsyncs-1]
	found := fmt.Sprintf("p50 %s, slowest of %d %s", p50.Round(time.Microsecond), fsyncs, worst.Round(time.Microsecond))
	switch {
	case p50 > fsyncSlow:
		e.warn("fsync", "use a disk with power-loss protection: every answer waits for this", "%s", found)
	case p50 < fsyncTooFast:
		e.warn("fsync", "this looks like memory: use a file system that survives a restart", "%s", found)
	default:
		e.ok("fsync", "%s", found)
	}
}

func (e *examination) database(ctx context.Context, cfg settings) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if cfg.Database != "" {
		e.postgres(ctx, cfg.Database)
		return
	}
	path := where{Data: cfg.Data}.sqlite()
	s, err := store.SnapshotSQLite(ctx, path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.warn("database", "nothing, if this is a new installation: serve makes it", "%s does not exist", path)
		return
	case errors.Is(err, store.ErrSchema):
		e.fail("schema", "stop the server, make a copy, run aorta migrate", "%v", err)
		return
	case err != nil:
		e.fail("database", "look at the file and its permissions", "%v", err)
		return
	}
	defer func() { _ = s.Close() }()
	e.ok("database", "SQLite, %s", path)
	e.ok("schema", "current")
	e.ok("durability", "write-ahead log, synchronous=FULL (not a setting)")
}

// postgresOldest is the oldest PostgreSQL that is tested.
const postgresOldest = 15_0000

// leastWAL is how much of PostgreSQL's log should be kept to be written over: what is
// new is written twice, zeros first, and commits wait for both (docs/performance.md).
const leastWAL = 1 << 30

func (e *examination) postgres(ctx context.Context, dsn string) {
	db, err := store.OpenPostgres(ctx, dsn, store.Options{})
	if err != nil {
		e.fail("database", "correct the address, postgres://user@host/name", "%v", err)
		return
	}
	defer func() { _ = db.Close() }()
	f, err := db.Facts(ctx)
	if err != nil {
		e.fail("database", "start it, or correct the address", "%v", err)
		return
	}
	version := fmt.Sprintf("PostgreSQL %d.%d", f.Version/10000, f.Version%10000)
	if f.Version < postgresOldest {
		e.fail("database", "use PostgreSQL 15 or newer", "%s", version)
	} else {
		e.ok("database", "%s", version)
	}
	if err := db.Ready(ctx); err != nil {
		e.fail("schema", "run aorta migrate", "%v", err)
	} else {
		e.ok("schema", "current")
	}
	settings := fmt.Sprintf("fsync %s, synchronous_commit %s, full_page_writes %s", f.Fsync, f.SyncCommit, f.FullPageWrites)
	if f.Fsync != "on" || f.FullPageWrites != "on" || f.SyncCommit == "off" {
		e.fail("durability", "switch fsync, full_page_writes and synchronous_commit on: without them a crash loses money", "%s", settings)
	} else {
		e.ok("durability", "%s", settings)
	}
	if f.MinWAL < leastWAL {
		e.warn("log", "set min_wal_size to 1GB: under load each 16 MB of new log hold up all commits", "min_wal_size is %d MB", f.MinWAL>>20)
	} else {
		e.ok("log", "min_wal_size %d MB", f.MinWAL>>20)
	}
	if skew := time.Until(f.Now).Abs(); skew > maxSkew {
		e.warn("clocks", "keep both by NTP", "the database's clock differs by %s", skew.Round(time.Millisecond))
	}
}

func (e *examination) connectors(cfg settings) {
	if len(cfg.Connectors) == 0 {
		e.warn("PSP accounts", "add a [[connector]] to the configuration", "none: no payment can be taken")
		return
	}
	if _, err := connectorsByName(cfg.Connectors, 1, false, connect); err != nil {
		todo := "correct the account's settings"
		switch {
		case errors.Is(err, errNoKey):
			todo = "give it the key that the provider signs with: AORTA_CONNECTOR_<NAME>_<ACCOUNT>_KEY, or key in the file"
		case errors.Is(err, errUnverified):
			todo = "reach the provider by a connector that verifies its notifications, such as generic (docs/connector.md)"
		}
		e.fail("PSP accounts", todo, "%v", err)
		return
	}
	for _, c := range cfg.Connectors {
		if u, err := url.Parse(c.BaseURL); err != nil || (u.Scheme != "https" && !loopback(u.Hostname())) {
			e.warn("PSP accounts", "use https", "%s/%s is reached by %s", c.Name, c.Account, c.BaseURL)
			return
		}
	}
	e.ok("PSP accounts", "%d", len(cfg.Connectors))
}

func (e *examination) projects(cfg settings) {
	if len(cfg.Projects) == 0 {
		e.warn("projects", "add a [[project]] to the configuration", "none: no merchant can pay in")
		return
	}
	plain := 0
	for _, p := range cfg.Projects {
		if len(p.Methods) == 0 {
			e.warn("projects", "add a [[project.method]]", "project %d offers no method", p.ID)
		}
		u, err := url.Parse(p.CallbackURL)
		if err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
			plain++
			e.warn("callbacks", "use https: callbacks tell of people's payments", "project %d is called back over plain http", p.ID)
		}
	}
	if plain == 0 {
		e.ok("callbacks", "%d projects, none called back over plain http", len(cfg.Projects))
	}
}

// ratesOld is when exchange rates no longer say what thresholds are worth.
const ratesOld = 7 * 24 * time.Hour

// rules says of licensed projects what their rules are, and which of their
// currencies the rate table lacks: there, nothing can be judged.
func (e *examination) rules(cfg settings) {
	seen := map[string]bool{}
	for _, p := range cfg.Projects {
		l, licensed := cfg.Licences[p.ID]
		if !licensed {
			continue
		}
		var without []string
		for _, m := range p.Methods {
			c := string(m.Currency)
			if _, err := l.Rules.Convert(money.Amount{Currency: l.Rules.Reference}, m.Currency); err != nil && !slices.Contains(without, c) {
				without = append(without, c)
			}
		}
		if len(without) > 0 {
			e.warn("rules", "add them to [rates] of "+l.File, "project %d: no rate for %s: every deposit in it is reviewed, and every payout waits for a person", p.ID, strings.Join(without, ", "))
		}
		if seen[l.File] {
			continue
		}
		seen[l.File] = true
		if asOf, err := time.Parse(time.DateOnly, l.Rules.Rates.AsOf); err == nil && e.now.Sub(asOf) > ratesOld {
			e.warn("rules", "write the day's rates into [rates] of "+l.File, "%s: exchange rates are of %s", l.File, l.Rules.Rates.AsOf)
		}
		e.ok("rules", "%s: profile %s, hash %s", l.File, l.Rules.Profile, l.Rules.Hash)
	}
}

// loopback reports whether a host is this machine.
func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && a.IsLoopback())
}

// renewBefore is when a certificate that runs out is worth a warning.
const renewBefore = 14 * 24 * time.Hour

func (e *examination) tls(cfg settings) {
	if cfg.TLSCert == "" {
		host, _, err := net.SplitHostPort(cfg.Listen)
		if err == nil && !loopback(host) {
			e.warn("TLS", "set tls_cert and tls_key, unless a proxy in front does TLS", "the public listener %s speaks plain http", cfg.Listen)
			return
		}
		e.ok("TLS", "none needed: the public listener is %s", cfg.Listen)
		return
	}
	pair, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
	if err != nil {
		e.fail("TLS", "name a certificate and its key, readable by the server's user", "%v", err)
		return
	}
	leaf := pair.Leaf
	if leaf == nil {
		if leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			e.fail("TLS", "name a certificate", "%v", err)
			return
		}
	}
	until := leaf.NotAfter.UTC().Format(time.DateOnly)
	switch left := leaf.NotAfter.Sub(e.now); {
	case left <= 0:
		e.fail("TLS", "renew the certificate", "it ran out on %s", until)
	case e.now.Before(leaf.NotBefore):
		e.fail("TLS", "check the clock and the certificate", "the certificate is valid from %s", leaf.NotBefore.UTC().Format(time.DateOnly))
	case left < renewBefore:
		e.warn("TLS", "renew the certificate", "it runs out on %s", until)
	default:
		e.ok("TLS", "valid until %s", until)
	}
}

// masterKey looks at the key that page sessions are made with; serve makes it.
func (e *examination) masterKey(dir string) {
	if environment("AORTA_MASTER_KEY") != "" {
		if _, err := masterKey(dir); err != nil {
			e.fail("master key", "give 64 hexadecimal digits", "%v", err)
			return
		}
		e.ok("master key", "from AORTA_MASTER_KEY")
		return
	}
	path := filepath.Join(dir, "master.key")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		e.ok("master key", "%s will be made at the first start", path)
		return
	}
	if _, err := masterKey(dir); err != nil {
		e.fail("master key", "chmod 600 "+path+"; it is 64 hexadecimal digits", "%v", err)
		return
	}
	e.ok("master key", "%s", path)
}

// listeners says whether the ports are free; they are not while a server runs.
func (e *examination) listeners(ctx context.Context, cfg settings) {
	for _, l := range []struct{ name, address string }{{"public listener", cfg.Listen}, {"ops listener", cfg.OpsListen}} {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.address)
		if err != nil {
			e.warn(l.name, "nothing, if the server is running", "%v", err)
			continue
		}
		_ = listener.Close()
		e.ok(l.name, "%s is free", l.address)
	}
	if host, _, err := net.SplitHostPort(cfg.OpsListen); err == nil && !loopback(host) && cfg.OpsToken == "" {
		e.fail("ops listener", "set ops_token, or listen on 127.0.0.1", "%s is open to whoever reaches it", cfg.OpsListen)
	}
}
