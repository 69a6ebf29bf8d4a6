package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"aorta/internal/sandbox"
	"aorta/internal/sign"
	"aorta/test/demo"
	"aorta/test/scenario"
	"aorta/test/scenario/testdb"
)

// Accounts is how many PSP accounts a world has, each with a project of its own
// (project FirstProject+n uses account n).
const (
	Accounts     = 6
	FirstProject = 200
	Secret       = "torture-secret" // of all projects
)

// World is the other side, in the test's process, and any number of platforms
// on one store, each in a process that can be killed, stopped or frozen.
type World struct {
	t        testing.TB
	Store    string // sqlite or postgres
	Database string // PostgreSQL address; empty: SQLite
	Dir      string // all that the run leaves behind
	home     string // where SQLite's platform has its database
	Other    *sandbox.Sandbox
	OtherURL string
	Sandbox  sandbox.Options // of the other side that NewPlatform starts
	Projects string          // further lines of every project in aorta.toml
	client   *http.Client
}

// NewWorld makes a world on an empty store of this kind. The sandbox remembers
// nothing across its own end, which is the test's.
func NewWorld(t testing.TB, kind string) *World {
	t.Helper()
	switch kind {
	case "sqlite":
		return newWorld(t, kind, "")
	case "postgres":
		if given := os.Getenv(GivenDatabase); given != "" {
			return newWorld(t, kind, borrow(t, given))
		}
		return newWorld(t, kind, testdb.New(t))
	}
	t.Fatalf("there are stores sqlite and postgres, not %q", kind)
	return nil
}

// NewWorldOn makes a world on a PostgreSQL database that the test has made.
func NewWorldOn(t testing.TB, database string) *World {
	t.Helper()
	return newWorld(t, "postgres", database)
}

func newWorld(t testing.TB, kind, database string) *World {
	w := &World{
		t: t, Store: kind, Database: database, Dir: t.TempDir(),
		client: &http.Client{Timeout: 60 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 1024}},
	}
	t.Cleanup(w.client.CloseIdleConnections)
	return w
}

// Serve starts the other side, which notifies the platform at public.
func (w *World) Serve(public string, o sandbox.Options) {
	w.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.OtherURL = "http://" + listener.Addr().String()
	o.Clock, o.ProjectID, o.ProjectSecret, o.PublicURL, o.OwnURL = time.Now, FirstProject, Secret, public, w.OtherURL
	if o.NotifyUnit == 0 {
		o.NotifyUnit = time.Second // what a fault kept from being heard is told again within seconds
	}
	for n := range Accounts {
		a := Account(n)
		a.NotifyURL = fmt.Sprintf("%s/n/paytm/a%d", public, n)
		o.Paytm = append(o.Paytm, a)
		g := GenericAccount(n)
		g.NotifyURL = fmt.Sprintf("%s/n/generic/%s", public, g.Name)
		o.Generic = append(o.Generic, g)
	}
	if w.Other, err = sandbox.New(o); err != nil {
		w.t.Fatal(err)
	}
	server := &http.Server{Handler: w.Other.Handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = w.Other.Close(ctx)
		_ = server.Close()
	})
}

// GenericAccount is the n-th of a world's accounts at the generic provider.
func GenericAccount(n int) sandbox.GenericAccount {
	return sandbox.GenericAccount{Name: fmt.Sprintf("a%d", n), Secret: fmt.Sprintf("torture-generic-%04d", n)}
}

// Account is the n-th of a world's accounts at Paytm.
func Account(n int) sandbox.PaytmAccount {
	return sandbox.PaytmAccount{MID: fmt.Sprintf("AORTATORTURE0000000%d", n), Key: fmt.Sprintf("torture#Key@%04d", n), Website: sandbox.DemoWebsite}
}

// Platform is `aorta serve` in a process of its own.
type Platform struct {
	w        *World
	Data     string
	Public   string // http://…
	Ops      string
	Binary   string
	Env      []string // beside the test's own
	Database string   // the world's, unless set before Start: a proxy's
	Limits   string   // arguments of the shell's ulimit, and others after "; ulimit"; empty: none

	config  string
	log     string
	process *exec.Cmd
	ended   chan struct{}
	outcome error
}

// NewPlatform prepares a platform; settings are further top-level lines of its
// aorta.toml, other than those of knobs. All platforms of a world use one store; on PostgreSQL each has a
// data directory of its own and all share a master key.
func (w *World) NewPlatform(name, settings string) *Platform {
	w.t.Helper()
	p := &Platform{
		w: w, Data: filepath.Join(w.Dir, name), Binary: demo.Binary(w.t), Database: w.Database,
		Public: "http://" + demo.FreeAddress(w.t), Ops: "http://" + demo.FreeAddress(w.t), config: filepath.Join(w.Dir, name+".toml"), log: filepath.Join(w.Dir, name+".log"),
		Env: []string{"AORTA_MASTER_KEY=" + strings.Repeat("5a", 32)},
	}
	w.t.Cleanup(func() {
		p.Kill()
		if w.t.Failed() {
			w.t.Logf("%s said: %s", name, tail(p.Log(), 4000))
		}
	})
	if w.home == "" {
		w.home = p.Data
	}
	if w.OtherURL == "" {
		w.Serve(p.Public, w.Sandbox)
	}
	p.configure(settings)
	return p
}

// HasWallets reports whether the n-th project of a world keeps its customers' money.
func HasWallets(n int) bool { return n%2 == 1 }

// knobs let what a fault interrupted be looked up and told soon, and nothing
// expire that a test does not want to.
const knobs = "limit_time = \"10m\"\nlookup_schedule = \"500ms,1s\"\ncallback_unit = \"200ms\""

func (p *Platform) configure(settings string) {
	p.w.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "data = %q\nlisten = %q\nops_listen = %q\ncallback_networks = [\"127.0.0.0/8\"]\n%s\n%s\n",
		p.Data, strings.TrimPrefix(p.Public, "http://"), strings.TrimPrefix(p.Ops, "http://"), knobs, settings)
	for n := range Accounts {
		a := Account(n)
		fmt.Fprintf(&b, "\n[[connector]]\nname = \"paytm\"\naccount = \"a%d\"\nbase_url = %q\nmid = %q\nkey = %q\nwebsite = %q\n",
			n, p.w.OtherURL+"/paytm", a.MID, a.Key, a.Website)
		g := GenericAccount(n)
		fmt.Fprintf(&b, "\n[[connector]]\nname = \"generic\"\naccount = %q\nbase_url = %q\nkey = %q\n", g.Name, p.w.OtherURL+"/generic", g.Secret)
	}
	for n := range Accounts {
		fmt.Fprintf(&b, "\n[[project]]\nid = %d\nname = \"Torture %d\"\nsecret = %q\ncallback_url = %q\nwallet = %t\n%s\n",
			FirstProject+n, n, Secret, p.w.OtherURL+"/merchant/callback", HasWallets(n), p.w.Projects)
		for _, method := range []string{"paytm-wallet", "generic-card", "generic-wallet"} {
			fmt.Fprintf(&b, "\n[[project.method]]\ncode = %q\naccount = \"a%d\"\n", method, n)
		}
	}
	if err := os.WriteFile(p.config, []byte(b.String()), 0o600); err != nil {
		p.w.t.Fatal(err)
	}
}

// StartWithin bounds the time from start to ready.
const StartWithin = 30 * time.Second

// Start starts the process and waits until it is ready.
func (p *Platform) Start() {
	p.w.t.Helper()
	p.Launch()
	if err := p.Ready(StartWithin); err != nil {
		p.w.t.Fatalf("%v; it said: %s", err, tail(p.Log(), 4000))
	}
}

// Launch starts the process and does not wait.
func (p *Platform) Launch() {
	p.w.t.Helper()
	f, err := os.OpenFile(p.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		p.w.t.Fatal(err)
	}
	p.process = exec.Command(p.Binary, "serve", "--config", p.config)
	if p.Limits != "" {
		p.process = exec.Command("sh", "-c", "ulimit "+p.Limits+` && exec "$0" "$@"`, p.Binary, "serve", "--config", p.config)
	}
	p.process.Stdout, p.process.Stderr = f, f
	p.process.Env = append(os.Environ(), p.Env...)
	if p.Database != "" {
		p.process.Env = append(p.process.Env, "AORTA_DATABASE="+p.Database)
	}
	if err := p.process.Start(); err != nil {
		_ = f.Close()
		p.w.t.Fatal(err)
	}
	process, ended := p.process, make(chan struct{})
	p.ended = ended
	go func() {
		p.outcome = process.Wait()
		_ = f.Close()
		close(ended)
	}()
}

// Ready waits until the process says that it is ready, or has ended.
func (p *Platform) Ready(within time.Duration) error {
	for deadline := time.Now().Add(within); time.Now().Before(deadline); {
		select {
		case <-p.ended:
			return fmt.Errorf("ended before it was ready: %w", p.outcome)
		case <-time.After(2 * time.Millisecond):
		}
		if resp, err := p.w.client.Get(p.Ops + "/readyz"); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	return fmt.Errorf("was not ready in %v", within)
}

// Running reports whether the process lives.
func (p *Platform) Running() bool {
	if p.process == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// PID is the process's number.
func (p *Platform) PID() int { return p.process.Process.Pid }

// Signal sends a signal: SIGTERM, SIGSTOP, SIGCONT.
func (p *Platform) Signal(s syscall.Signal) {
	p.w.t.Helper()
	if err := p.process.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.w.t.Fatalf("signal %v: %v", s, err)
	}
}

// Kill ends the process at once, as a power cut would.
func (p *Platform) Kill() {
	if p.process == nil {
		return
	}
	_ = p.process.Process.Kill()
	<-p.ended
}

// Wait waits until the process has ended, and gives how.
func (p *Platform) Wait(within time.Duration) error {
	select {
	case <-p.ended:
		return p.outcome
	case <-time.After(within):
		return fmt.Errorf("still runs after %v", within)
	}
}

// Log is what the process has said, in all its lives.
func (p *Platform) Log() string {
	raw, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// Verify has every invariant checked by the binary, as an operator would. It
// may run beside living platforms.
func (p *Platform) Verify() {
	p.w.t.Helper()
	args := []string{"verify", "--json"}
	if p.w.Database != "" {
		args = append(args, "--database", p.w.Database)
	} else {
		args = append(args, "--data", p.Data)
	}
	out, err := exec.Command(p.Binary, args...).CombinedOutput()
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	var report struct{ OK bool }
	if err != nil || json.Unmarshal(lines[len(lines)-1], &report) != nil || !report.OK {
		p.w.t.Errorf("aorta verify: %v: %s", err, out)
	}
}

// Answer is what a door has answered.
type Answer struct {
	Status int
	Header http.Header
	Body   map[string]any // nil where it was no JSON object
}

// Gate signs and posts a request; project is the number of the world's project, 0 the first.
func (p *Platform) Gate(ctx context.Context, path string, project int, body map[string]any) (Answer, error) {
	raw, err := Signed(project, body)
	if err != nil {
		return Answer{}, err
	}
	return p.w.post(ctx, p.Public+path, json.RawMessage(raw))
}

// Key makes an API key of a project, and waits until there is one: a platform of
// several hears of others' keys within a second.
func (p *Platform) Key(project int) string {
	p.w.t.Helper()
	a, err := p.w.post(context.Background(), p.Ops+"/admin/keys", map[string]any{"project": FirstProject + project, "name": "torture"})
	text, _ := a.Body["key"].(string)
	if err != nil || a.Status != http.StatusOK || text == "" {
		p.w.t.Fatalf("make an API key: %d %v %v", a.Status, a.Body, err)
	}
	return text
}

// Signed is the body of a Gate request of a project, as it is sent.
func Signed(project int, body map[string]any) ([]byte, error) {
	general, ok := body["general"].(map[string]any)
	if !ok {
		general = map[string]any{}
	}
	signed := map[string]any{"project_id": FirstProject + project}
	for k, v := range general {
		signed[k] = v
	}
	out := map[string]any{}
	for k, v := range body {
		out[k] = v
	}
	out["general"] = signed
	raw, err := json.Marshal(out)
	if err != nil {
		return nil, err
	}
	doc, err := sign.ParseJSON(raw)
	if err != nil {
		return nil, err
	}
	signed["signature"] = sign.Sign(doc, sign.NewSecret(Secret))
	return json.Marshal(out)
}

func (w *World) post(ctx context.Context, url string, body any) (Answer, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return Answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(raw))
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := w.client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	a := Answer{Status: resp.StatusCode, Header: resp.Header}
	if raw, err = io.ReadAll(resp.Body); err != nil {
		return a, err
	}
	_ = json.Unmarshal(raw, &a.Body) // an answer that is no JSON has no body for us
	return a, nil
}

// Control tells the PSP's simulator how to behave next; operation may be sale,
// refund or empty for any.
func (w *World) Control(next, operation string, count int) {
	w.t.Helper()
	if err := w.Wish("paytm", next, operation, count); err != nil {
		w.t.Fatal(err)
	}
}

// Wish tells a simulator, the PSP's or the merchant's, how to behave next.
func (w *World) Wish(connector, next, operation string, count int) error {
	body := map[string]any{"connector": connector, "next": next, "count": count}
	if operation != "" {
		body["operation"] = operation
	}
	a, err := w.post(context.Background(), w.OtherURL+"/control", body)
	if err == nil && a.Status != http.StatusOK {
		err = fmt.Errorf("%d %v", a.Status, a.Body)
	}
	if err != nil {
		return fmt.Errorf("control %s: %w", next, err)
	}
	return nil
}

// Forget has the simulators forget all wishes.
func (w *World) Forget() error {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodDelete, w.OtherURL+"/control", nil)
	if err != nil {
		return err
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("forget all wishes: %d", resp.StatusCode)
	}
	return nil
}

// Tell has the providers' simulators notify, now, of all whose notification no
// platform has taken yet, and gives how many they told and how many were taken.
func (w *World) Tell() (told, taken int, err error) {
	for _, name := range scenario.Providers() {
		a, err := w.post(context.Background(), w.OtherURL+"/control/notify?connector="+name, struct{}{})
		if err != nil || a.Status != http.StatusOK {
			return told, taken, fmt.Errorf("have %s notify: %d %v %w", name, a.Status, a.Body, err)
		}
		n, _ := a.Body["told"].(float64)
		m, _ := a.Body["taken"].(float64)
		told, taken = told+int(n), taken+int(m)
	}
	return told, taken, nil
}

// Sale is the body of a Gate sale of minor units of INR.
func Sale(name string, minor int64) map[string]any {
	return map[string]any{
		"general":  map[string]any{"payment_id": name},
		"customer": map[string]any{"id": "c1", "ip_address": "192.0.2.10"},
		"payment":  map[string]any{"amount": minor, "currency": "INR"},
	}
}

// Refund is the body of a Gate refund; refundID may be empty.
func Refund(name string, minor int64, refundID string) map[string]any {
	p := map[string]any{"description": "back", "amount": minor, "currency": "INR"}
	if refundID != "" {
		p["merchant_refund_id"] = refundID
	}
	return map[string]any{"general": map[string]any{"payment_id": name}, "payment": p}
}

// Sell begins a payment.
func (p *Platform) Sell(ctx context.Context, project int, name string, minor int64) (Answer, error) {
	return p.Gate(ctx, "/v2/payment/wallet/paytm/sale", project, Sale(name, minor))
}

// Status is the payment's status as Gate tells it; empty while it is unknown.
func (p *Platform) Status(ctx context.Context, project int, name string) string {
	a, err := p.Gate(ctx, "/v2/payment/status", project, map[string]any{"general": map[string]any{"payment_id": name}})
	if err != nil {
		return ""
	}
	fields, _ := a.Body["payment"].(map[string]any)
	s, _ := fields["status"].(string)
	return s
}

// Await waits until a payment has this status.
func (p *Platform) Await(project int, name, want string, within time.Duration) error {
	got := ""
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		got = p.Status(ctx, project, name)
		cancel()
		if got == want {
			return nil
		}
	}
	return fmt.Errorf("payment %s is %q after %v, want %q", name, got, within, want)
}
