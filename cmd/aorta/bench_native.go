package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"aorta/internal/money"
	"aorta/internal/sandbox"
)

// native is a merchant that uses /v1. It keeps its own account of what was
// acknowledged, and compares it with what the platform says in the end.
type native struct {
	host      string
	key       string // of the API
	run       string // begins all names
	customers []player
	begun     atomic.Int64 // numbers moves
	rounds    atomic.Int64 // numbers rounds, or payouts
	moved     atomic.Int64 // transfers that there must be, by what was acknowledged
	failures  atomic.Int64

	mu     sync.Mutex
	failed error // the first thing that went wrong
}

// player is a customer of the bench.
type player struct {
	name  string
	minor atomic.Int64 // what they must have, by what was acknowledged
}

const (
	// players are as many customers as play rounds.
	players = 1000
	// purseMinor is what each is given before: more than a bench can stake.
	purseMinor = 1_000_000_000_00
	// benchCurrency is what they play in.
	benchCurrency money.Currency = "EUR"
	// mostFailures ends a bench that measures nothing but failures.
	mostFailures = 1000
)

func newNative(host, key string, customers int) *native {
	l := &native{host: host, key: key, run: rand.Text()[:8], customers: make([]player, customers)}
	for n := range l.customers {
		l.customers[n].name = l.run + "-" + strconv.Itoa(n)
	}
	return l
}

// fail counts what went wrong and keeps the first of it.
func (l *native) fail(err error) {
	l.failures.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil {
		l.failed = err
	}
}

// err says that not all went well, or nil.
func (l *native) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil {
		return nil
	}
	return fmt.Errorf("%d requests failed, the first: %w", l.failures.Load(), l.failed)
}

// given gives each customer something to play with.
func (l *native) given(ctx context.Context, minor int64) error {
	next := atomic.Int64{}
	_, _, err := l.closed(ctx, min(64, len(l.customers)), 0, func(c *nativeConn) error {
		n := next.Add(1) - 1
		if n >= int64(len(l.customers)) {
			return errEnough
		}
		return c.move(&l.customers[n], credit(minor), time.Now())
	})
	return err
}

// errEnough ends a caller who has nothing left to do.
var errEnough = errors.New("enough")

// closed has callers do one thing after another: until each has had enough, or
// for d once they are warm. It gives how many a second were done in that time, and
// how long each took.
func (l *native) closed(ctx context.Context, callers int, d time.Duration, do func(*nativeConn) error) (float64, samples, error) {
	const warm = time.Second
	from, until := time.Now(), time.Time{}
	if d > 0 {
		from = from.Add(warm)
		until = from.Add(d)
	}
	all := make([]samples, callers)
	var wg sync.WaitGroup
	for n := range callers {
		wg.Go(func() {
			c := l.connection()
			defer c.close()
			for ctx.Err() == nil && l.failures.Load() < mostFailures {
				begun := time.Now()
				if d > 0 && !begun.Before(until) {
					return
				}
				err := do(c)
				if errors.Is(err, errEnough) {
					return
				}
				if err != nil {
					l.fail(err)
					continue
				}
				// What began or ended outside the measured time is not of it.
				if ended := time.Now(); !begun.Before(from) && (d == 0 || ended.Before(until)) {
					all[n].add(ended.Sub(begun))
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(from)
	if d > 0 {
		took = d
	}
	list := merged(all)
	return float64(len(list)) / took.Seconds(), list, errors.Join(l.err(), ctx.Err())
}

// open begins things at a steady rate, whatever becomes of them, and gives how
// long each took from when it was due, and how long each of its answers took.
func (l *native) open(ctx context.Context, rate float64, d time.Duration, do func(c *nativeConn, due time.Time) error) (all, answers samples, err error) {
	due := make(chan time.Time, 1<<16)
	parts, asked := make([]samples, senders), make([]samples, senders)
	var wg sync.WaitGroup
	for n := range senders {
		wg.Go(func() {
			c := l.connection()
			defer c.close()
			for at := range due {
				if err := do(c, at); err != nil {
					l.fail(err)
					continue
				}
				parts[n].add(time.Since(at))
			}
			asked[n] = c.answers
		})
	}
	begun := time.Now()
	for n := 0; ctx.Err() == nil && l.failures.Load() < mostFailures; n++ {
		at := begun.Add(time.Duration(float64(n) / rate * float64(time.Second)))
		if at.Sub(begun) >= d {
			break
		}
		time.Sleep(time.Until(at))
		select {
		case due <- at:
		default:
			l.fail(fmt.Errorf("%.0f a second are more than /v1 takes", rate))
		}
	}
	close(due)
	wg.Wait()
	return merged(parts), merged(asked), errors.Join(l.err(), ctx.Err())
}

// agree compares what each customer has with what was acknowledged.
func (l *native) agree(ctx context.Context) error {
	next := atomic.Int64{}
	_, _, err := l.closed(ctx, 16, 0, func(c *nativeConn) error {
		n := next.Add(1) - 1
		if n >= int64(len(l.customers)) {
			return errEnough
		}
		p := &l.customers[n]
		has, err := c.balance(p.name)
		if err != nil {
			return err
		}
		if want := (money.Amount{Minor: p.minor.Load(), Currency: benchCurrency}).Decimal(); has.Available != want {
			return fmt.Errorf("customer %s has %s, and by what was acknowledged %s", p.name, has.Available, want)
		}
		return nil
	})
	return err
}

// nativeConn is one connection of the merchant's, which stays open. It speaks HTTP
// by hand, since it shares the processors with what it measures.
type nativeConn struct {
	load    *native
	conn    net.Conn
	out, in []byte
	answers samples // how long each answer to a move or a payout took
}

func (l *native) connection() *nativeConn { return &nativeConn{load: l, in: make([]byte, 16<<10)} }

func (c *nativeConn) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// move is a move of a customer's money.
type move struct {
	path, kind string
	round      string // empty: none
	minor      int64
	sign       int64 // 1: the customer gets it; -1: the customer gives it
}

func credit(minor int64) move {
	return move{path: "/v1/wallet/credit", kind: "credit", minor: minor, sign: 1}
}

// move asks for a move, and notes it once it is acknowledged. It took from when it
// was due.
func (c *nativeConn) move(p *player, m move, due time.Time) error {
	txn := c.load.run + "-" + strconv.FormatInt(c.load.begun.Add(1), 10)
	body := make([]byte, 0, 256)
	body = append(body, `{"txn_id":"`...)
	body = append(body, txn...)
	if m.round != "" {
		body = append(append(body, `","round_id":"`...), m.round...)
	}
	body = append(append(body, `","customer_id":"`...), p.name...)
	body = append(append(body, `","amount":"`...), money.Amount{Minor: m.minor, Currency: benchCurrency}.Decimal()...)
	body = append(append(body, `","currency":"`...), benchCurrency...)
	body = append(body, `"}`...)
	answer, err := c.post(m.path, txn, body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", m.kind, txn, err)
	}
	for _, proof := range []string{`"transfer_id":"txn_`, `"txn_id":"` + txn + `"`, `"kind":"` + m.kind + `"`} {
		if !bytes.Contains(answer, []byte(proof)) {
			return fmt.Errorf("%s %s: the answer has no %s: %s", m.kind, txn, proof, answer)
		}
	}
	p.minor.Add(m.sign * m.minor)
	c.load.moved.Add(1)
	c.answers.add(time.Since(due))
	return nil
}

// post sends a body under a key that is new, and gives what is answered until the
// next call. An answer that is not 200, or is that of another request, is an error.
func (c *nativeConn) post(path, key string, body []byte) ([]byte, error) {
	c.out = append(append(c.out[:0], "POST "...), path...)
	c.head()
	c.out = append(append(c.out, "Content-Type: application/json\r\nIdempotency-Key: "...), key...)
	c.out = strconv.AppendInt(append(c.out, "\r\nContent-Length: "...), int64(len(body)), 10)
	c.out = append(append(c.out, "\r\n\r\n"...), body...)
	head, answer, err := c.exchange()
	if err == nil && bytes.Contains(head, []byte("\r\nIdempotent-Replayed:")) {
		err = errors.New("it is the answer of an earlier request")
	}
	return answer, err
}

func (c *nativeConn) get(path string) ([]byte, error) {
	c.out = append(append(c.out[:0], "GET "...), path...)
	c.head()
	c.out = append(c.out, "\r\n"...)
	_, answer, err := c.exchange()
	return answer, err
}

func (c *nativeConn) head() {
	c.out = append(append(c.out, " HTTP/1.1\r\nHost: "...), c.load.host...)
	c.out = append(append(c.out, "\r\nUser-Agent: aorta-bench\r\nAuthorization: Bearer "...), c.load.key...)
	c.out = append(c.out, "\r\n"...)
}

// balance is what a customer has, in major units.
type balance struct{ Currency, Available, Reserved string }

func (c *nativeConn) balance(customer string) (balance, error) {
	text, err := c.get("/v1/customers/" + customer)
	if err != nil {
		return balance{}, fmt.Errorf("customer %s: %w", customer, err)
	}
	var said struct{ Balances []balance }
	if err := json.Unmarshal(text, &said); err != nil {
		return balance{}, fmt.Errorf("customer %s: %w", customer, err)
	}
	if len(said.Balances) != 1 || said.Balances[0].Currency != string(benchCurrency) {
		return balance{}, fmt.Errorf("customer %s has balances %v", customer, said.Balances)
	}
	return said.Balances[0], nil
}

// maxAnswer bounds an answer that a bench reads.
const maxAnswer = 1 << 20

// exchange sends what out holds and reads the answer. Its parts hold until the
// next exchange. After an error nothing is known of the connection, and the next
// request takes a new one.
func (c *nativeConn) exchange() (head, body []byte, err error) {
	if c.conn == nil {
		if c.conn, err = net.DialTimeout("tcp", c.load.host, endSoon); err != nil {
			c.conn = nil
			return nil, nil, fmt.Errorf("connect: %w", err)
		}
	}
	defer func() {
		if err != nil || bytes.Contains(head, []byte("\r\nConnection: close")) {
			c.close()
		}
	}()
	if err := c.conn.SetDeadline(time.Now().Add(endSoon)); err != nil {
		return nil, nil, fmt.Errorf("deadline: %w", err)
	}
	if _, err := c.conn.Write(c.out); err != nil {
		return nil, nil, fmt.Errorf("send: %w", err)
	}
	have, begins, ends := 0, 0, -1 // of the body
	for ends < 0 || have < ends {
		if have == len(c.in) {
			if have >= maxAnswer {
				return nil, nil, errors.New("the answer is too long")
			}
			c.in = append(c.in, make([]byte, len(c.in))...)
		}
		n, err := c.conn.Read(c.in[have:])
		if err != nil {
			return nil, nil, fmt.Errorf("answer: %w", err)
		}
		have += n
		if ends >= 0 {
			continue
		}
		if at := bytes.Index(c.in[:have], []byte("\r\n\r\n")); at >= 0 {
			long, err := lengthOf(c.in[:at+2])
			if err != nil {
				return nil, nil, err
			}
			begins = at + 4
			ends = begins + long
		}
	}
	if have > ends {
		return nil, nil, fmt.Errorf("%d bytes follow the answer", have-ends)
	}
	head, body = c.in[:begins], c.in[begins:ends]
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
		line, _, _ := bytes.Cut(head, []byte("\r\n"))
		return head, nil, fmt.Errorf("/v1 answers %s: %s", line, body)
	}
	return head, body, nil
}

// lengthOf reads the length of the body that a head announces.
func lengthOf(head []byte) (int, error) {
	const name = "\r\nContent-Length: "
	_, rest, ok := bytes.Cut(head, []byte(name))
	text, _, _ := bytes.Cut(rest, []byte("\r\n"))
	n, err := strconv.Atoi(string(text))
	if !ok || err != nil || n < 0 || n > maxAnswer {
		return 0, fmt.Errorf("an answer without a length: %s", head)
	}
	return n, nil
}

// nativeConfiguration is the platform's, with one project that keeps wallets and
// pays through the generic provider.
func (c benchCmd) nativeConfiguration(p *pair, ports []string) string {
	licensed := ""
	if c.Limits == limitsAll {
		licensed = "wallet_only = true\nrules = \"" + rulesName + "\"\n"
	}
	return fmt.Sprintf(`data = %q
database = %q
listen = %q
ops_listen = %q
callback_networks = ["127.0.0.0/8"]

[[connector]]
name = "generic"
account = "bench"
base_url = %q
mid = %q
key = %q

[[project]]
id = %d
name = "Bench"
secret = %q
wallet = true
%s
[[project.method]]
code = "generic-bank"
account = "bench"
`, c.Data, c.Database, ports[0], ports[1], p.otherAt+"/generic", sandbox.DemoAccountName, benchSecret, benchProject, benchSecret, licensed)
}

// rulesName is the file beside the configuration that a licensed project's rules are in.
const rulesName = "rules.toml"

// apiKey makes an API key of the bench's project.
func (p *pair) apiKey(ctx context.Context) (string, error) {
	said, err := opsCall{Ops: p.ops}.do(ctx, http.MethodPost, "/admin/keys", map[string]any{"project": benchProject, "name": "bench"})
	if err != nil {
		return "", err
	}
	var made struct{ Key string }
	if err := json.Unmarshal(said, &made); err != nil || made.Key == "" {
		return "", fmt.Errorf("make an API key: %s %w", said, err)
	}
	return made.Key, nil
}

// Processors are what the processes of a bench have taken, in milliseconds for
// each thing done, those before the measurement included.
type Processors struct {
	ServeRSSMiB  float64 `json:"serve_rss_peak_mib"`
	ServeCPUMS   float64 `json:"serve_cpu_ms"`
	SandboxCPUMS float64 `json:"sandbox_cpu_ms"` // of the providers
	BenchCPUMS   float64 `json:"bench_cpu_ms"`
}

// onNative runs a measurement on a platform of its own, and checks what it has
// left: every customer has what was acknowledged, every invariant holds, and there
// is one transfer for each move. done gives how many things the measurement did.
func (c benchCmd) onNative(ctx context.Context, s streams, customers int, measure func(*native) (done int64, err error)) (Processors, error) {
	var out Processors
	work, err := os.MkdirTemp("", "aorta-bench-native-")
	if err != nil {
		return out, fmt.Errorf("temporary directory: %w", err)
	}
	defer os.RemoveAll(work)
	if c.Data == "" { // on PostgreSQL the platform still needs a place for its key
		c.Data = filepath.Join(work, "data")
	}
	if err := c.prepare(ctx); err != nil {
		return out, err
	}
	before, err := c.verified(ctx, s)
	if err != nil {
		return out, err
	}
	if c.Limits == limitsAll {
		if err := os.WriteFile(filepath.Join(work, rulesName), []byte(payoutRules), 0o600); err != nil {
			return out, fmt.Errorf("write rules: %w", err)
		}
	}
	p, err := c.startPair(ctx, s, work, c.nativeConfiguration)
	if err != nil {
		return out, err
	}
	defer p.kill()
	key, err := p.apiKey(ctx)
	if err != nil {
		return out, err
	}
	l := newNative(strings.TrimPrefix(p.public, "http://"), key, customers)
	done, err := measure(l)
	if err == nil {
		err = l.agree(ctx)
	}
	if err != nil {
		return out, fmt.Errorf("%w\n%s", err, p.logs())
	}
	out.ServeRSSMiB = p.serve.peakMiB()
	if err := errors.Join(p.serve.stop(), p.sandbox.stop()); err != nil {
		return out, fmt.Errorf("%w\n%s", err, p.logs())
	}
	out.ServeCPUMS, out.SandboxCPUMS, out.BenchCPUMS = p.serve.cpuMS(int(done)), p.sandbox.cpuMS(int(done)), ownCPUMS(int(done))
	report, err := c.verified(ctx, s)
	if err != nil {
		return out, err
	}
	if moved, made := int(l.moved.Load()), report.Transfers-before.Transfers; made != moved {
		return out, fmt.Errorf("%d moves were acknowledged, and the books have %d transfers of them", moved, made)
	}
	return out, nil
}
