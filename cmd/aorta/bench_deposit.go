package main

import (
	"bufio"
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
	"strconv"
	"strings"
	"syscall"
	"time"

	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/sandbox"
	"aorta/internal/sign"
)

// depositResult is the last line of `bench --flow deposit --json`. A payment is
// complete when its final callback has arrived at the merchant; all that are
// counted have their money in the books, or the bench fails.
type depositResult struct {
	PaymentsPerSecond float64 `json:"payments_per_second"` // the most, with that many in flight
	InFlight          int     `json:"in_flight"`
	HalfRate          float64 `json:"half_rate"` // begun a second while latency was measured
	GateP50MS         float64 `json:"gate_p50_ms"`
	GateP99MS         float64 `json:"gate_p99_ms"`
	CallbackP50MS     float64 `json:"callback_p50_ms"` // from the sale to its final callback
	CallbackP99MS     float64 `json:"callback_p99_ms"`
	Store             string  `json:"store"`
	DurationS         float64 `json:"duration_s"`
	Payments          int     `json:"payments"` // all complete ones, warm-up included
	Verified          int     `json:"verified_payments"`
	ServeRSSMiB       float64 `json:"serve_rss_peak_mib"`
	ServeStartMS      float64 `json:"serve_start_ms"` // on the database that the run has left
	ServeCPUMS        float64 `json:"serve_cpu_ms_per_payment"`
	SandboxCPUMS      float64 `json:"sandbox_cpu_ms_per_payment"`
	BenchCPUMS        float64 `json:"bench_cpu_ms_per_payment"`
}

// deposit measures payments from the merchant's sale to the merchant's final
// callback: load here, platform and sandbox as processes of the same program.
func (c benchCmd) deposit(ctx context.Context, s streams) error {
	work, err := os.MkdirTemp("", "aorta-bench-deposit-")
	if err != nil {
		return fmt.Errorf("temporary directory: %w", err)
	}
	defer os.RemoveAll(work)
	if c.Data == "" { // on PostgreSQL the platform still needs a place for its key
		c.Data = filepath.Join(work, "data")
	}
	if err := c.prepare(ctx); err != nil {
		return err
	}
	p, err := c.startPair(ctx, s, work, c.configuration)
	if err != nil {
		return err
	}
	defer p.kill()
	if err := p.approveAll(ctx); err != nil {
		return err
	}
	result, err := c.measureDeposit(ctx, s, p)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, p.logs())
	}
	result.ServeRSSMiB = p.serve.peakMiB()
	if err := errors.Join(p.serve.stop(), p.sandbox.stop()); err != nil {
		return fmt.Errorf("%w\n%s", err, p.logs())
	}
	result.ServeCPUMS, result.SandboxCPUMS = p.serve.cpuMS(result.Payments), p.sandbox.cpuMS(result.Payments)
	result.BenchCPUMS = ownCPUMS(result.Payments)
	if result.Verified, err = c.counted(ctx, s, result.Payments); err != nil {
		return err
	}
	if result.ServeStartMS, err = c.startAgain(ctx, work, p); err != nil {
		return err
	}
	return c.printDeposit(s, result)
}

// prepare makes the schema, and makes sure that the database is the bench's own.
func (c benchCmd) prepare(ctx context.Context) error {
	db, err := c.where().open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := db.Migrate(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return ownDatabase(ctx, db)
}

// counted verifies the database and counts the payments in it that were paid:
// there must be as many as finals, since each had a name of its own.
func (c benchCmd) counted(ctx context.Context, s streams, finals int) (int, error) {
	if _, err := c.verified(ctx, s); err != nil {
		return 0, err
	}
	snapshot, end, err := c.where().snapshot(ctx)
	if err != nil {
		return 0, err
	}
	defer end()
	paid := 0
	var after id.Payment
	for {
		rows, err := snapshot.ScanPayments(ctx, after, 1000)
		if err != nil {
			return 0, fmt.Errorf("read payments: %w", err)
		}
		for _, p := range rows {
			if p.Status == payment.StatusCaptured {
				paid++
			}
			after = p.ID
		}
		if len(rows) < 1000 {
			break
		}
	}
	if paid < finals {
		return paid, fmt.Errorf("the merchant was told of %d paid payments, the books have %d", finals, paid)
	}
	return paid, nil
}

func (c benchCmd) printDeposit(s streams, r depositResult) error {
	if c.JSON {
		return printResult(s, r)
	}
	fmt.Fprintf(s.out, `store                    %s
complete payments/s      %.0f with %d in flight
at %.0f payments/s:
  gate answer            p50 %.1f ms, p99 %.1f ms
  sale to final callback p50 %.1f ms, p99 %.1f ms
payments                 %d, every invariant holds
serve                    %.0f MiB at its peak, starts in %.0f ms
processor per payment    serve %.2f ms, sandbox %.2f ms, load %.2f ms
`, r.Store, r.PaymentsPerSecond, r.InFlight, r.HalfRate, r.GateP50MS, r.GateP99MS, r.CallbackP50MS, r.CallbackP99MS, r.Payments,
		r.ServeRSSMiB, r.ServeStartMS, r.ServeCPUMS, r.SandboxCPUMS, r.BenchCPUMS)
	return nil
}

// pair is the platform and the other side, each in a process of its own.
type pair struct {
	serve, sandbox       *child
	public, ops, otherAt string
	secret               sign.Secret
	config               string
}

func (p *pair) kill() {
	p.serve.kill()
	p.sandbox.kill()
}

func (p *pair) logs() string { return p.serve.log() + p.sandbox.log() }

// benchSecret is the secret of the bench's project: nothing real is behind it.
const benchSecret = "bench-secret-of-nothing"

// startPair starts both. Ports are chosen here, since each must know the
// other's before it starts, and they are of the platform's configuration.
func (c benchCmd) startPair(ctx context.Context, s streams, work string, configuration func(*pair, []string) string) (*pair, error) {
	ports, err := freePorts(ctx, 3)
	if err != nil {
		return nil, err
	}
	p := &pair{
		public: "http://" + ports[0], ops: "http://" + ports[1], otherAt: "http://" + ports[2],
		secret: sign.NewSecret(benchSecret), config: filepath.Join(work, "aorta.toml"),
	}
	if err := os.WriteFile(p.config, []byte(configuration(p, ports)), 0o600); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	if p.sandbox, err = start(work, "sandbox", "--listen", ports[2], "--public", p.public, "--account", "bench",
		"--project", strconv.Itoa(benchProject), "--secret", benchSecret); err != nil {
		return nil, err
	}
	if p.serve, err = start(work, "serve", "--config", p.config); err != nil {
		p.sandbox.kill()
		return nil, err
	}
	if err := errors.Join(answers(ctx, p.otherAt+"/healthz"), answers(ctx, p.ops+"/readyz")); err != nil {
		p.kill()
		return nil, fmt.Errorf("%w\n%s", err, p.logs())
	}
	fmt.Fprintf(s.err, "serve %s, sandbox %s\n", p.public, p.otherAt)
	return p, nil
}

// approveAll has the PSP say yes to every sale, soon and by itself.
func (p *pair) approveAll(ctx context.Context) error {
	const body = `{"connector":"paytm","next":"approve","operation":"sale","count":1000000000}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.otherAt+"/control", strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("control answers %d", resp.StatusCode)
	}
	return nil
}

// configuration is the platform's, as an operator would write it.
func (c benchCmd) configuration(p *pair, ports []string) string {
	return fmt.Sprintf(`data = %q
database = %q
listen = %q
ops_listen = %q
callback_networks = ["127.0.0.0/8"]

[[connector]]
name = "paytm"
account = "bench"
base_url = %q
mid = %q
key = %q
website = %q

[[project]]
id = %d
name = "Bench"
secret = %q
callback_url = %q

[[project.method]]
code = "paytm-wallet"
account = "bench"
`, c.Data, c.Database, ports[0], ports[1], p.otherAt+"/paytm", sandbox.DemoMID, sandbox.DemoKey, sandbox.DemoWebsite,
		benchProject, benchSecret, p.otherAt+"/merchant/callback")
}

// startAgain measures how long the platform takes to be ready on what the run
// has left, the processes of the run having ended.
func (c benchCmd) startAgain(ctx context.Context, work string, p *pair) (float64, error) {
	begun := time.Now()
	serve, err := start(work, "serve", "--config", p.config)
	if err != nil {
		return 0, err
	}
	defer serve.kill()
	if err := answers(ctx, p.ops+"/readyz"); err != nil {
		return 0, fmt.Errorf("start again: %w\n%s", err, serve.log())
	}
	took := time.Since(begun)
	return rounded(float64(took.Microseconds()) / 1000), serve.stop()
}

// freePorts finds addresses that nobody listens on.
func freePorts(ctx context.Context, n int) ([]string, error) {
	var out []string
	for range n {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a port: %w", err)
		}
		defer l.Close() // all at the end, or one port might be found twice
		out = append(out, l.Addr().String())
	}
	return out, nil
}

// startWithin bounds how long a process may take to be ready.
const startWithin = 30 * time.Second

// answers waits until a URL answers 200.
func answers(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return fmt.Errorf("wait for %s: %w", url, err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s was not ready in %s: %w", url, startWithin, errors.Join(err, ctx.Err()))
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// child is a process of this program.
type child struct {
	cmd     *exec.Cmd
	errors  *os.File
	ended   chan struct{}
	outcome error
}

func start(work, verb string, args ...string) (*child, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	log, err := os.CreateTemp(work, verb+"-*.log")
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", verb, err)
	}
	c := &child{cmd: exec.Command(program, append([]string{verb}, args...)...), errors: log, ended: make(chan struct{})}
	c.cmd.Stderr, c.cmd.Stdout = log, log
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AORTA_") { // settings of whoever runs the bench are not the bench's
			c.cmd.Env = append(c.cmd.Env, v)
		}
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", verb, err)
	}
	go func() {
		c.outcome = c.cmd.Wait()
		close(c.ended)
	}()
	return c, nil
}

// stop ends the process as an operator would.
func (c *child) stop() error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop %s: %w", c.cmd.Args[1], err)
	}
	select {
	case <-c.ended:
		if c.outcome != nil {
			return fmt.Errorf("%s: %w", c.cmd.Args[1], c.outcome)
		}
		return nil
	case <-time.After(2 * graceful):
		return fmt.Errorf("%s does not stop", c.cmd.Args[1])
	}
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended
	<-c.ended
	_ = c.errors.Close()
}

// log is the end of what the process has logged.
func (c *child) log() string {
	const most = 4000
	text, err := os.ReadFile(c.errors.Name())
	if err != nil {
		return ""
	}
	return string(text[max(0, len(text)-most):])
}

// peakMiB is the most memory that the process has held, 0 where the system
// does not tell.
func (c *child) peakMiB() float64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kib, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 64)
			return rounded(kib / 1024)
		}
	}
	return 0
}

// cpuMS is the processor time that an ended process took per payment.
func (c *child) cpuMS(payments int) float64 {
	s := c.cmd.ProcessState
	return perPayment(s.UserTime()+s.SystemTime(), payments)
}

func ownCPUMS(payments int) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return perPayment(time.Duration(u.Utime.Nano()+u.Stime.Nano()), payments)
}

func perPayment(d time.Duration, payments int) float64 {
	return rounded(float64(d.Microseconds()) / 1000 / float64(max(payments, 1)))
}

// finals follows the merchant's list of payments whose end it was told.
type finals struct {
	url    string
	cursor int64
}

// final is one line of that list.
type final struct {
	PaymentID string `json:"payment_id"`
	Status    string `json:"status"`
	AtUS      int64  `json:"at_us"`
}

// next waits for more, a few seconds at most; there may be none.
func (f *finals) next(ctx context.Context) ([]final, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/merchant/finals?after=%d&limit=10000&wait_ms=1000", f.url, f.cursor), nil)
	if err != nil {
		return nil, fmt.Errorf("finals: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("finals: %w", err)
	}
	defer resp.Body.Close()
	var page struct {
		Cursor int64   `json:"cursor"`
		Missed int64   `json:"missed"`
		Finals []final `json:"finals"`
	}
	text, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(text, &page)
	}
	if err != nil || page.Missed > 0 {
		return nil, fmt.Errorf("finals: %d missed: %w", page.Missed, err)
	}
	f.cursor = page.Cursor
	return page.Finals, nil
}
