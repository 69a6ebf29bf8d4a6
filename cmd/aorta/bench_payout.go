package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"aorta/internal/money"
)

// payoutResult is the last line of `bench --flow payout --json`. A payout is
// complete when the customer is paid. Each customer has in the end what is left by
// what was acknowledged, and nothing is reserved, or the bench fails.
type payoutResult struct {
	PayoutsPerSecond float64 `json:"payouts_per_second"` // the most complete ones, with that many under way
	InFlight         int     `json:"in_flight"`
	HalfRate         float64 `json:"half_rate"`   // begun a second while latency was measured
	InitP50MS        float64 `json:"init_p50_ms"` // of init's answer, from when it was due
	InitP99MS        float64 `json:"init_p99_ms"`
	Limits           string  `json:"limits,omitempty"` // all: of a licensed project
	Store            string  `json:"store"`
	DurationS        float64 `json:"duration_s"`
	Payouts          int64   `json:"payouts"` // all, warm-up included
	Processors
}

// payoutsInFlight are what is tried to find the most. The provider takes a tenth of
// a second for each.
var payoutsInFlight = []int{64, 128, 256}

// payout measures payouts over /v1: reserved, sent to the provider, paid by its news.
func (c benchCmd) payout(ctx context.Context, s streams) error {
	r := payoutResult{Limits: c.Limits, Store: c.storeName(), DurationS: c.Duration.Seconds(), InFlight: c.Callers}
	var err error
	if r.Processors, err = c.onNative(ctx, s, players, func(l *native) (int64, error) {
		err := c.measurePayouts(ctx, s, l, &r)
		r.Payouts = l.rounds.Load()
		return r.Payouts, err
	}); err != nil {
		return err
	}
	if c.JSON {
		return printResult(s, r)
	}
	fmt.Fprintf(s.out, `store                    %s
complete payouts/s       %.0f with %d under way
init at %.0f payouts/s    p50 %.1f ms, p99 %.1f ms
payouts                  %d, all paid; every balance is what was acknowledged, every invariant holds
processor per payout     serve %.2f ms, sandbox %.2f ms, load %.2f ms
`, r.Store, r.PayoutsPerSecond, r.InFlight, r.HalfRate, r.InitP50MS, r.InitP99MS, r.Payouts, r.ServeCPUMS, r.SandboxCPUMS, r.BenchCPUMS)
	return nil
}

// measurePayouts finds the most payouts a second in a closed loop, then the latency
// of init in an open loop at half of it.
func (c benchCmd) measurePayouts(ctx context.Context, s streams, l *native, r *payoutResult) error {
	if err := l.given(ctx, purseMinor); err != nil {
		return err
	}
	complete := func(conn *nativeConn) error {
		name, err := l.payOut(conn, time.Now())
		if err != nil {
			return err
		}
		return conn.paid(ctx, name)
	}
	var err error
	if r.InFlight, err = mostOf(s, payoutsInFlight, r.InFlight, "payouts", func(n int) (float64, error) {
		rate, _, err := l.closed(ctx, n, max(c.Duration/8, 2*time.Second), complete)
		return rate, err
	}); err != nil {
		return err
	}
	if r.PayoutsPerSecond, _, err = l.closed(ctx, r.InFlight, c.Duration, complete); err != nil {
		return err
	}
	r.PayoutsPerSecond = rounded(r.PayoutsPerSecond)
	fmt.Fprintf(s.err, "%4d at once: %.0f payouts/s in %s\n", r.InFlight, r.PayoutsPerSecond, c.Duration)
	if r.HalfRate, err = c.half(r.PayoutsPerSecond); err != nil {
		return err
	}
	_, inits, err := l.open(ctx, r.HalfRate, c.Duration, func(conn *nativeConn, due time.Time) error {
		_, err := l.payOut(conn, due)
		return err
	})
	if err != nil {
		return err
	}
	r.InitP50MS, r.InitP99MS = rounded(inits.ms(0.50)), rounded(inits.ms(0.99))
	return l.settled(ctx)
}

// payOut begins a payout of the next customer's, and gives its name. It is noted as
// paid with two transfers, a reservation and a settlement: settled waits for that.
func (l *native) payOut(c *nativeConn, due time.Time) (string, error) {
	number := l.rounds.Add(1)
	p, minor := &l.customers[number%int64(len(l.customers))], 100+number%400
	key := fmt.Sprintf("%s-p%d", l.run, number)
	body := fmt.Appendf(nil, `{"amount":%q,"currency":%q,"method":"bank","customer_id":%q,"merchant_payout_id":%q}`,
		money.Amount{Minor: minor, Currency: benchCurrency}.Decimal(), benchCurrency, p.name, key)
	answer, err := c.post("/v1/payouts/init", key, body)
	if err != nil {
		return "", fmt.Errorf("payout %s: %w", key, err)
	}
	const begins = `{"payout_id":"`
	name, rest, ok := bytes.Cut(bytes.TrimPrefix(answer, []byte(begins)), []byte(`"`))
	if !ok || !bytes.HasPrefix(name, []byte("po_")) || !bytes.Contains(rest, []byte(`"merchant_payout_id":"`+key+`"`)) ||
		!bytes.Contains(rest, []byte(`"status":"pending"`)) && !bytes.Contains(rest, []byte(`"status":"paid"`)) {
		return "", fmt.Errorf("payout %s: the answer is not of a payout that goes its way: %s", key, answer)
	}
	p.minor.Add(-minor)
	l.moved.Add(2)
	c.answers.add(time.Since(due))
	return string(name), nil
}

// How often it is asked whether a payout is paid: not before the provider can have
// paid it.
const (
	firstLook = 110 * time.Millisecond
	nextLook  = 20 * time.Millisecond
)

// paid waits until the customer is paid.
func (c *nativeConn) paid(ctx context.Context, name string) error {
	begun := time.Now()
	for pause := firstLook; ctx.Err() == nil; pause = nextLook {
		time.Sleep(pause)
		answer, err := c.get("/v1/payouts/" + name)
		switch {
		case err != nil:
			return fmt.Errorf("payout %s: %w", name, err)
		case bytes.Contains(answer, []byte(`"status":"paid"`)):
			return nil
		case !bytes.Contains(answer, []byte(`"status":"pending"`)) || time.Since(begun) > endSoon:
			return fmt.Errorf("payout %s is not paid after %s: %s", name, time.Since(begun), answer)
		}
	}
	return ctx.Err()
}

// settled waits until nothing of any customer's is reserved.
func (l *native) settled(ctx context.Context) error {
	c := l.connection()
	defer c.close()
	begun := time.Now()
	for n := 0; n < len(l.customers); {
		has, err := c.balance(l.customers[n].name)
		switch {
		case err != nil:
			return err
		case has.Reserved == "0.00":
			n++
		case time.Since(begun) > endSoon:
			return fmt.Errorf("customer %s still has %s reserved", l.customers[n].name, has.Reserved)
		default:
			time.Sleep(nextLook)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}
