package main

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// roundResult is the last line of `bench --flow round --json`. A round is a stake
// and, once that is answered, a win. Each customer has in the end what was
// acknowledged, or the bench fails.
type roundResult struct {
	RoundsPerSecond float64 `json:"rounds_per_second"` // the most, with that many callers
	Callers         int     `json:"callers"`
	HalfRate        float64 `json:"half_rate"`    // rounds begun a second while latency was measured
	RoundP50MS      float64 `json:"round_p50_ms"` // of both answers, from when the round was due
	RoundP99MS      float64 `json:"round_p99_ms"`
	AnswerP50MS     float64 `json:"answer_p50_ms"` // of one: a stake's from when it was due
	AnswerP99MS     float64 `json:"answer_p99_ms"`
	Store           string  `json:"store"`
	DurationS       float64 `json:"duration_s"`
	Rounds          int64   `json:"rounds"` // all, warm-up included
	Processors
}

// round measures rounds of many customers over /v1.
func (c benchCmd) round(ctx context.Context, s streams) error {
	r := roundResult{Store: c.storeName(), DurationS: c.Duration.Seconds(), Callers: c.Callers}
	var err error
	if r.Processors, err = c.onNative(ctx, s, players, func(l *native) (int64, error) {
		if err := c.measureRounds(ctx, s, l, &r); err != nil {
			return 0, err
		}
		r.Rounds = l.rounds.Load()
		return r.Rounds, nil
	}); err != nil {
		return err
	}
	if c.JSON {
		return printResult(s, r)
	}
	fmt.Fprintf(s.out, `store                    %s
rounds/s                 %.0f with %d callers
at %.0f rounds/s:
  a round                p50 %.1f ms, p99 %.1f ms
  an answer              p50 %.1f ms, p99 %.1f ms
rounds                   %d, every balance is what was acknowledged, every invariant holds
processor per round      serve %.2f ms, load %.2f ms
`, r.Store, r.RoundsPerSecond, r.Callers, r.HalfRate, r.RoundP50MS, r.RoundP99MS, r.AnswerP50MS, r.AnswerP99MS, r.Rounds, r.ServeCPUMS, r.BenchCPUMS)
	return nil
}

// roundCallers are what is tried to find the most.
var roundCallers = []int{32, 64, 128, 256}

// measureRounds finds the most rounds a second in a closed loop, then the
// latencies in an open loop at half of it.
func (c benchCmd) measureRounds(ctx context.Context, s streams, l *native, r *roundResult) error {
	if err := l.given(ctx, purseMinor); err != nil {
		return err
	}
	closed := func(conn *nativeConn) error { return l.round(conn, time.Now()) }
	var err error
	if r.Callers, err = mostOf(s, roundCallers, r.Callers, "rounds", func(n int) (float64, error) {
		rate, _, err := l.closed(ctx, n, max(c.Duration/8, 2*time.Second), closed)
		return rate, err
	}); err != nil {
		return err
	}
	if r.RoundsPerSecond, _, err = l.closed(ctx, r.Callers, c.Duration, closed); err != nil {
		return err
	}
	r.RoundsPerSecond = rounded(r.RoundsPerSecond)
	fmt.Fprintf(s.err, "%4d at once: %.0f rounds/s in %s\n", r.Callers, r.RoundsPerSecond, c.Duration)
	if r.HalfRate, err = c.half(r.RoundsPerSecond); err != nil {
		return err
	}
	rounds, answers, err := l.open(ctx, r.HalfRate, c.Duration, l.round)
	if err != nil {
		return err
	}
	r.RoundP50MS, r.RoundP99MS = rounded(rounds.ms(0.50)), rounded(rounds.ms(0.99))
	r.AnswerP50MS, r.AnswerP99MS = rounded(answers.ms(0.50)), rounded(answers.ms(0.99))
	return nil
}

// round plays one round of the next customer's.
func (l *native) round(c *nativeConn, due time.Time) error {
	n := l.rounds.Add(1)
	return l.play(c, &l.customers[n%int64(len(l.customers))], n, due)
}

// play is a round of a customer's: half of the stake comes back.
func (l *native) play(c *nativeConn, p *player, number int64, due time.Time) error {
	name, stake := l.run+"-r"+strconv.FormatInt(number, 10), 100+number%400
	if err := c.move(p, move{path: "/v1/rounds/stake", kind: "stake", round: name, minor: stake, sign: -1}, due); err != nil {
		return err
	}
	return c.move(p, move{path: "/v1/rounds/win", kind: "win", round: name, minor: stake / 2, sign: 1}, time.Now())
}

// debitResult is the last line of `bench --flow debit --json`: one durable
// transfer a request, all of one customer's account.
type debitResult struct {
	TransfersPerSecond float64 `json:"transfers_per_second"`
	Callers            int     `json:"callers"`
	P50MS              float64 `json:"p50_ms"` // of an answer
	P99MS              float64 `json:"p99_ms"`
	Store              string  `json:"store"`
	DurationS          float64 `json:"duration_s"`
	Transfers          int64   `json:"transfers"` // all, warm-up included
	Processors
}

// debitCallers are how many ask at once if nobody says.
const debitCallers = 64

// debit measures debits of one customer, whose account is in every batch.
func (c benchCmd) debit(ctx context.Context, s streams) error {
	r := debitResult{Store: c.storeName(), DurationS: c.Duration.Seconds(), Callers: c.Callers}
	if r.Callers == 0 {
		r.Callers = debitCallers
	}
	var err error
	if r.Processors, err = c.onNative(ctx, s, 1, func(l *native) (int64, error) {
		if err := l.given(ctx, purseMinor); err != nil {
			return 0, err
		}
		rate, took, err := l.closed(ctx, r.Callers, c.Duration, func(conn *nativeConn) error {
			return conn.move(&l.customers[0], move{path: "/v1/wallet/debit", kind: "debit", minor: 1, sign: -1}, time.Now())
		})
		r.TransfersPerSecond, r.P50MS, r.P99MS, r.Transfers = rounded(rate), rounded(took.ms(0.50)), rounded(took.ms(0.99)), l.moved.Load()
		return r.Transfers, err
	}); err != nil {
		return err
	}
	if c.JSON {
		return printResult(s, r)
	}
	fmt.Fprintf(s.out, `store                    %s
transfers/s              %.0f with %d callers, of one customer
an answer                p50 %.1f ms, p99 %.1f ms
transfers                %d, the balance is what was acknowledged, every invariant holds
processor per transfer   serve %.2f ms, load %.2f ms
`, r.Store, r.TransfersPerSecond, r.Callers, r.P50MS, r.P99MS, r.Transfers, r.ServeCPUMS, r.BenchCPUMS)
	return nil
}

// half is the rate of an open loop: half of the most, unless --rate says.
func (c benchCmd) half(most float64) (float64, error) {
	if c.Rate == "auto" {
		return rounded(most / 2), nil
	}
	rate, err := strconv.ParseFloat(c.Rate, 64)
	if err != nil {
		return 0, fmt.Errorf("--rate: %w", err)
	}
	return rate, nil
}

// mostOf gives fixed, or if that is 0 the number of callers that does the most.
func mostOf(s streams, callers []int, fixed int, what string, rate func(n int) (float64, error)) (int, error) {
	if fixed > 0 {
		return fixed, nil
	}
	best, most := 0, 0.0
	for _, n := range callers {
		did, err := rate(n)
		if err != nil {
			return 0, err
		}
		fmt.Fprintf(s.err, "%4d at once: %.0f %s/s\n", n, did, what)
		if best == 0 || did > most {
			best, most = n, did
		}
	}
	return best, nil
}
