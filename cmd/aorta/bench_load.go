package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"aorta/internal/sign"
)

// traffic is the merchant of a bench: it sends signed Gate sales and follows their
// ends. It speaks HTTP by hand over connections that stay open, since it shares
// the processors with what it measures.
type traffic struct {
	pair  *pair
	host  string
	run   string // begins the payments' names
	begun atomic.Int64
	done  atomic.Int64 // payments whose final callback said success

	mu      sync.Mutex
	waiting map[string]*sale // begun, not ended
	failed  error            // the first thing that went wrong
}

// sale is a payment that has not ended.
type sale struct {
	fromUS int64      // when it was due to begin
	ended  chan int64 // receives when its final callback arrived, in unix microseconds
}

// inFlights are what is tried to find the most.
var inFlights = []int{64, 128, 256, 512}

// measureDeposit finds the most payments a second in a closed loop, then the
// latencies in an open loop at half of it: a closed one would wait whenever
// the platform is slow, and so not see it (coordinated omission).
func (c benchCmd) measureDeposit(ctx context.Context, s streams, p *pair) (depositResult, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	l := &traffic{pair: p, host: strings.TrimPrefix(p.public, "http://"), run: "bench-" + rand.Text()[:8], waiting: map[string]*sale{}}
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		l.follow(ctx)
	}()
	defer func() { stop(); <-followed }()

	r := depositResult{Store: c.storeName(), DurationS: c.Duration.Seconds(), InFlight: c.Callers}
	if r.InFlight == 0 {
		var most float64
		for _, n := range inFlights {
			rate, err := l.closed(ctx, n, max(c.Duration/8, 2*time.Second))
			if err != nil {
				return r, err
			}
			fmt.Fprintf(s.err, "%4d in flight: %.0f complete payments/s\n", n, rate)
			if rate > most {
				most, r.InFlight = rate, n
			}
		}
	}
	var err error
	if r.PaymentsPerSecond, err = l.closed(ctx, r.InFlight, c.Duration); err != nil {
		return r, err
	}
	r.PaymentsPerSecond = rounded(r.PaymentsPerSecond)
	fmt.Fprintf(s.err, "%4d in flight: %.0f complete payments/s in %s\n", r.InFlight, r.PaymentsPerSecond, c.Duration)
	r.HalfRate = rounded(r.PaymentsPerSecond / 2)
	if c.Rate != "auto" {
		if r.HalfRate, err = strconv.ParseFloat(c.Rate, 64); err != nil || r.HalfRate <= 0 {
			return r, fmt.Errorf("--rate %q is neither auto nor a positive number", c.Rate)
		}
	}
	gate, callback, err := l.open(ctx, r.HalfRate, c.Duration)
	if err != nil {
		return r, err
	}
	r.GateP50MS, r.GateP99MS = rounded(gate.ms(0.50)), rounded(gate.ms(0.99))
	r.CallbackP50MS, r.CallbackP99MS = rounded(callback.ms(0.50)), rounded(callback.ms(0.99))
	r.Payments = int(l.done.Load())
	return r, nil
}

// fail keeps the first thing that went wrong.
func (l *traffic) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil {
		l.failed = err
	}
}

func (l *traffic) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// follow hands the merchant's news of ends to whoever waits for them.
func (l *traffic) follow(ctx context.Context) {
	f := finals{url: l.pair.otherAt}
	for ctx.Err() == nil {
		list, err := f.next(ctx)
		if err != nil {
			if ctx.Err() == nil {
				l.fail(err)
			}
			return
		}
		l.mu.Lock()
		for _, x := range list {
			s := l.waiting[x.PaymentID]
			if s == nil {
				continue // told twice: the platform may, when it does not know whether it was heard
			}
			delete(l.waiting, x.PaymentID)
			switch {
			case x.Status == "success":
				l.done.Add(1)
			case l.failed == nil:
				l.failed = fmt.Errorf("payment %s ended as %q", x.PaymentID, x.Status)
			}
			s.ended <- x.AtUS
		}
		l.mu.Unlock()
	}
}

// begin names a new payment and waits for its end from now on.
func (l *traffic) begin(from time.Time) (string, int64, *sale) {
	number := l.begun.Add(1)
	name := l.run + "-" + strconv.FormatInt(number, 10)
	s := &sale{fromUS: from.UnixMicro(), ended: make(chan int64, 1)}
	l.mu.Lock()
	l.waiting[name] = s
	l.mu.Unlock()
	return name, number, s
}

// endSoon bounds how long a payment may take to end, and so a phase.
const endSoon = 30 * time.Second

// wait gives when a payment ended.
func (l *traffic) wait(ctx context.Context, name string, s *sale) (int64, error) {
	select {
	case at := <-s.ended:
		return at, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	case <-time.After(endSoon):
		return 0, fmt.Errorf("payment %s did not end in %s", name, endSoon)
	}
}

// closed keeps n payments in flight and gives how many a second ended, once it
// is warm.
func (l *traffic) closed(ctx context.Context, n int, d time.Duration) (float64, error) {
	const warm = time.Second
	phase, cancel := context.WithTimeout(ctx, warm+d)
	defer cancel()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			conn := &gateConn{host: l.host}
			defer conn.close()
			for phase.Err() == nil && l.err() == nil {
				name, number, s := l.begin(time.Now())
				err := conn.sell(l.pair.secret, name, number)
				if err == nil {
					_, err = l.wait(ctx, name, s)
				}
				if err != nil {
					l.fail(err)
				}
			}
		})
	}
	time.Sleep(warm)
	from, begun := l.done.Load(), time.Now()
	<-phase.Done()
	rate := float64(l.done.Load()-from) / time.Since(begun).Seconds()
	wg.Wait()
	return rate, l.err()
}

// senders are the connections of the open loop: enough that none waits for
// another at the rates a machine of two processors gives.
const senders = 256

// open begins payments at a steady rate, whatever becomes of them, and gives
// how long Gate's answers and the final callbacks took from when each was due.
func (l *traffic) open(ctx context.Context, rate float64, d time.Duration) (gate, callback samples, err error) {
	type job struct {
		name   string
		number int64
		sale   *sale
		from   time.Time
	}
	jobs := make(chan job, 1<<16)
	gates, callbacks := make([]samples, senders), make([]samples, senders)
	var sending, ending sync.WaitGroup
	var mu [senders]sync.Mutex
	for n := range senders {
		sending.Go(func() {
			conn := &gateConn{host: l.host}
			defer conn.close()
			for j := range jobs {
				if err := conn.sell(l.pair.secret, j.name, j.number); err != nil {
					l.fail(err)
					continue
				}
				gates[n].add(time.Since(j.from))
				ending.Go(func() {
					at, err := l.wait(ctx, j.name, j.sale)
					if err != nil {
						l.fail(err)
						return
					}
					mu[n].Lock()
					defer mu[n].Unlock()
					callbacks[n].add(time.Duration(at-j.sale.fromUS) * time.Microsecond)
				})
			}
		})
	}
	begun := time.Now()
	for n := 0; ctx.Err() == nil && l.err() == nil; n++ {
		from := begun.Add(time.Duration(float64(n) / rate * float64(time.Second)))
		if from.Sub(begun) > d {
			break
		}
		time.Sleep(time.Until(from))
		name, number, s := l.begin(from)
		select {
		case jobs <- job{name, number, s, from}:
		default:
			l.fail(fmt.Errorf("%.0f payments a second are more than Gate takes", rate))
		}
	}
	close(jobs)
	sending.Wait()
	ending.Wait()
	return merged(gates), merged(callbacks), l.err()
}

// gateConn is a merchant's connection to Gate.
type gateConn struct {
	host string
	conn net.Conn
	in   *bufio.Reader
	out  []byte
}

func (g *gateConn) close() {
	if g.conn != nil {
		_ = g.conn.Close()
	}
}

// sell sends one signed sale and reads the answer.
func (g *gateConn) sell(secret sign.Secret, name string, number int64) error {
	if g.conn == nil {
		conn, err := net.Dial("tcp", g.host)
		if err != nil {
			return fmt.Errorf("sale: %w", err)
		}
		g.conn, g.in = conn, bufio.NewReader(conn)
	}
	body, err := saleBody(secret, name, number)
	if err != nil {
		return err
	}
	g.out = fmt.Appendf(g.out[:0], "POST /v2/payment/wallet/paytm/sale HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", g.host, len(body), body)
	if _, err := g.conn.Write(g.out); err != nil {
		return fmt.Errorf("sale: %w", err)
	}
	resp, err := http.ReadResponse(g.in, nil)
	if err != nil {
		return fmt.Errorf("sale: %w", err)
	}
	text, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("sale %s: Gate answers %d: %s %w", name, resp.StatusCode, text, err)
	}
	return nil
}

// saleBody is a Gate sale as a merchant's library signs it (ecommpay.md 1.1).
func saleBody(secret sign.Secret, name string, number int64) (string, error) {
	text := func(signature string) string {
		return fmt.Sprintf(`{"general":{"project_id":%d,"payment_id":%q%s},"customer":{"id":"customer-%d","ip_address":"192.0.2.10"},`+
			`"payment":{"amount":%d,"currency":"INR","description":"Bench payment"}}`, benchProject, name, signature, number%1000, 100+number%100_000)
	}
	doc, err := sign.ParseJSON([]byte(text("")))
	if err != nil {
		return "", fmt.Errorf("sign sale: %w", err)
	}
	return text(`,"signature":"` + sign.Sign(doc, secret) + `"`), nil
}
