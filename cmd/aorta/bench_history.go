package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// historyResult is the last line of `bench --flow history --json`: what a customer
// with many transfers costs beside customers with few, in turn. Times are medians of
// one caller; a ratio is that of the few to the many: 1 if history costs nothing.
type historyResult struct {
	RoundRatio      float64 `json:"round_ratio"`
	StatementRatio  float64 `json:"statement_ratio"`
	RoundFewMS      float64 `json:"round_few_ms"` // a stake and a win
	RoundManyMS     float64 `json:"round_many_ms"`
	StatementFewMS  float64 `json:"statement_few_ms"` // the first page
	StatementManyMS float64 `json:"statement_many_ms"`
	Rounds          int     `json:"rounds"` // of each side
	Statements      int     `json:"statements"`
	Few             int     `json:"few"` // transfers before the measurement
	Many            int     `json:"many"`
	Store           string  `json:"store"`
	DurationS       float64 `json:"duration_s"`
	Processors              // of everything, the filling included, for each measured round
}

const (
	manyTransfers = 100_000
	fewTransfers  = 10
	// fewRounds are played by a customer with few transfers before the next one
	// comes, who has fewTransfers again.
	fewRounds = 5
	// statementLines is the first page: all that a customer with few has.
	statementLines = fewTransfers
	// mostFew bounds how many customers with few there are.
	mostFew = 20_000
)

// history measures whether a customer's past costs anything.
func (c benchCmd) history(ctx context.Context, s streams) error {
	r := historyResult{Store: c.storeName(), DurationS: c.Duration.Seconds(), Few: fewTransfers, Many: c.Prefill}
	if r.Many == 0 {
		r.Many = manyTransfers
	}
	var err error
	if r.Processors, err = c.onNative(ctx, s, 1+mostFew, func(l *native) (int64, error) {
		err := c.measureHistory(ctx, s, l, &r)
		return int64(2 * r.Rounds), err
	}); err != nil {
		return err
	}
	if c.JSON {
		return printResult(s, r)
	}
	fmt.Fprintf(s.out, `store                    %s
a round                  %.3f ms with %d transfers, %.3f ms with %d: ratio %.2f (%d of each)
first page               %.3f ms and %.3f ms: ratio %.2f (%d of each)
every balance is what was acknowledged, every invariant holds
`, r.Store, r.RoundFewMS, r.Few, r.RoundManyMS, r.Many, r.RoundRatio, r.Rounds, r.StatementFewMS, r.StatementManyMS, r.StatementRatio, r.Statements)
	return nil
}

// measureHistory fills one customer's history, then plays rounds and reads
// statements: one of theirs, one of somebody's who has hardly any, and so on.
func (c benchCmd) measureHistory(ctx context.Context, s streams, l *native, r *historyResult) error {
	many, rest := &l.customers[0], l.customers[1:]
	begun := time.Now()
	if err := l.fill(ctx, many, r.Many); err != nil {
		return err
	}
	fmt.Fprintf(s.err, "filled %d transfers in %.0f s\n", r.Many, time.Since(begun).Seconds())
	conn := l.connection()
	defer conn.close()
	var rounds, pages [2]samples // of few, of many
	measured := time.Now()
	used := 0
	for ; used < len(rest) && ctx.Err() == nil && time.Since(measured) < c.Duration; used++ {
		few := &rest[used]
		for range fewTransfers {
			if err := conn.move(few, credit(1_000_00), time.Now()); err != nil {
				return err
			}
		}
		both := [2]*player{few, many}
		for n := range 2 * fewRounds {
			side := (n + n/2 + used) % 2 // the first of each pair takes turns
			at := time.Now()
			page, err := conn.get(fmt.Sprintf("/v1/customers/%s/transfers?limit=%d", both[side].name, statementLines))
			if err != nil {
				return err
			}
			pages[side].add(time.Since(at))
			if lines := bytes.Count(page, []byte(`"transfer_id":"txn_`)); lines != statementLines {
				return fmt.Errorf("the first page of %s has %d lines: %s", both[side].name, lines, page)
			}
			at = time.Now()
			if err := l.play(conn, both[side], l.rounds.Add(1), at); err != nil {
				return err
			}
			rounds[side].add(time.Since(at))
		}
	}
	l.customers = l.customers[:1+used]
	for _, list := range [][2]samples{rounds, pages} {
		slices.Sort(list[0])
		slices.Sort(list[1])
	}
	r.Rounds, r.Statements = len(rounds[1]), len(pages[1])
	r.RoundFewMS, r.RoundManyMS = rounds[0].ms(0.50), rounds[1].ms(0.50)
	r.StatementFewMS, r.StatementManyMS = pages[0].ms(0.50), pages[1].ms(0.50)
	if r.Rounds == 0 {
		return fmt.Errorf("nothing was measured in %s", c.Duration)
	}
	r.RoundRatio, r.StatementRatio = rounded(r.RoundFewMS/r.RoundManyMS), rounded(r.StatementFewMS/r.StatementManyMS)
	return ctx.Err()
}

// fill gives a customer a history: a credit, then rounds.
func (l *native) fill(ctx context.Context, p *player, transfers int) error {
	conn := l.connection()
	defer conn.close()
	if err := conn.move(p, credit(purseMinor), time.Now()); err != nil {
		return err
	}
	var played atomic.Int64
	_, _, err := l.closed(ctx, 64, 0, func(c *nativeConn) error {
		if 2*played.Add(1) > int64(transfers) {
			return errEnough
		}
		return l.play(c, p, l.rounds.Add(1), time.Now())
	})
	return err
}
