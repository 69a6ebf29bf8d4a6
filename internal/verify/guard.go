package verify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"aorta/internal/book"
	"aorta/internal/due"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/payment"

	"github.com/prometheus/client_golang/prometheus"
)

// Guard checks what is cheap, again and again, while the platform works:
//
//	C1   every bucket's accounts sum to zero, no wallet is below it; new transfers balance
//	C5   payments: their history is of allowed moves, and ends where they stand
//	C11  no work is overdue by more than a minute
//	C13  payments, and some new transfers of customers: the rows that they name are there
//
// Of payments it looks at some that have just come, and at some of all others
// in turn. It reads committed rows by their keys, holds no lock and no snapshot
// beyond one statement, and rests a hundred times as long as it has worked: so
// what it costs is bounded, and how soon it sees is not. Rows that change while
// it reads it leaves to Run: it sees no double booking, and nothing of callbacks.
//
// A violation counts once two rounds have seen it. Then it is a line with ALARM
// in the log; one of C1 is told to Broken too.
type Guard struct {
	read Ledger
	opts GuardOptions

	rounds      *prometheus.CounterVec
	found, last *prometheus.GaugeVec

	seen     map[string]int // by violation: in how many rounds on end it was seen
	awakeUS  int64          // since when work could be done: overdue work counts from then on
	transfer id.Transfer    // the last one looked at
	turn     id.Payment     // the last one looked at in turn
	suspects []id.Payment   // to be looked at again

	moves []ledger.Transfer // of customers, to be looked at: some new ones, and those that were wrong
}

// Ledger is what a Guard reads: a home's store.
type Ledger interface {
	book.Reader

	// Sums adds up all accounts as they are at one moment.
	Sums(ctx context.Context) ([]ledger.Sum, error)
}

// GuardOptions are what a Guard must be given, and its parts with a default.
type GuardOptions struct {
	Now     func() time.Time      // the clock; required
	Broken  func(error)           // told when the ledger does not balance; required
	Log     *slog.Logger          // nil discards
	Metrics prometheus.Registerer // nil: counted, not registered
	Every   time.Duration         // between rounds, at least; 0 means 5s
}

// Bounds on what a round reads.
const (
	guardPages    = 10 // of transfers
	guardPage     = 500
	guardPayments = 10 // that have just come, and as many in turn
	guardSuspects = 50
	guardMoves    = 20
	guardOverdue  = 100
	guardChain    = 64 // rows of one kind of one payment
	guardRest     = 99 // times as long as the round has taken
)

// settled is how old an id is when rows with lesser ids are there too: an id is
// made before the commit. The few that take longer are not looked at when new.
const settled = 5 * time.Second

// NewGuard makes a guard over a home.
func NewGuard(r Ledger, o GuardOptions) *Guard {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Every == 0 {
		o.Every = 5 * time.Second
	}
	vec := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "aorta_invariant_" + name, Help: help}, []string{"check"})
	}
	g := &Guard{
		read: r, opts: o, seen: map[string]int{}, awakeUS: o.Now().UnixMicro(), transfer: id.Transfer(id.At(o.Now())),
		rounds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aorta_invariant_checks_total", Help: "Rounds of the background check that have ended, by invariant.",
		}, []string{"check"}),
		found: vec("violations", "Violations that the last round has found, by invariant."),
		last:  vec("last_check_seconds", "When the last round ended, in unix seconds, by invariant."),
	}
	if o.Metrics != nil {
		o.Metrics.MustRegister(g.rounds, g.found, g.last)
	}
	return g
}

// Run goes round until ctx ends.
func (g *Guard) Run(ctx context.Context) {
	for {
		begun := g.opts.Now()
		g.Round(ctx)
		rest := time.NewTimer(max(g.opts.Every, guardRest*g.opts.Now().Sub(begun)))
		select {
		case <-ctx.Done():
			rest.Stop()
			return
		case <-rest.C:
		}
	}
}

// Round checks everything once. What could not be read is not judged: its time
// in the metrics stays behind.
func (g *Guard) Round(ctx context.Context) {
	var all []finding
	sums, err := g.conserved(ctx)
	all = append(all, sums...)
	g.ended(ctx, err, all, C1)
	late, err := g.overdue(ctx)
	if err != nil {
		g.awakeUS = g.opts.Now().UnixMicro() // the store was away from those who work, too
	}
	all = append(all, late...)
	g.ended(ctx, err, all, C11)
	wrong, err := g.payments(ctx)
	all = append(all, wrong...)
	if err == nil {
		wrong, err = g.wallets(ctx)
		all = append(all, wrong...)
	}
	g.ended(ctx, err, all, C5, C13)
	g.ring(all)
}

// ended notes the end of a part of a round.
func (g *Guard) ended(ctx context.Context, err error, all []finding, checks ...Check) {
	if err != nil {
		if ctx.Err() == nil {
			g.opts.Log.Warn("invariants could not be checked", "checks", checks, "error", err)
		}
		return
	}
	for _, c := range checks {
		n := 0
		for _, f := range all {
			if f.check == c {
				n++
			}
		}
		g.rounds.WithLabelValues(string(c)).Inc()
		g.found.WithLabelValues(string(c)).Set(float64(n))
		g.last.WithLabelValues(string(c)).Set(float64(g.opts.Now().UnixMicro()) / 1e6)
	}
}

// ring rings the alarm for what was seen in two rounds.
func (g *Guard) ring(all []finding) {
	seen := make(map[string]int, len(all))
	for _, f := range all {
		key := string(f.check) + " " + f.key
		if seen[key] > 0 {
			continue
		}
		seen[key] = g.seen[key] + 1
		if seen[key] != 2 {
			continue
		}
		g.opts.Log.Error("ALARM: an invariant is violated", "check", f.check, "violation", f.text)
		if f.check == C1 {
			g.opts.Broken(errors.New(string(C1) + ": " + f.text))
		}
	}
	g.seen = seen
}

// conserved: the sums of all buckets, and the transfers since the last round.
func (g *Guard) conserved(ctx context.Context) ([]finding, error) {
	var out []finding
	sums, err := g.read.Sums(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range sums {
		if s.Minor != 0 {
			out = append(out, finding{
				C1, fmt.Sprintf("%d %s", s.Bucket, s.Currency),
				fmt.Sprintf("The accounts of bucket %d in %s sum to %d minor units, not to zero.", s.Bucket, s.Currency, s.Minor),
			})
		}
		if s.Below > 0 {
			out = append(out, finding{
				C1, fmt.Sprintf("below %d %s", s.Bucket, s.Currency),
				fmt.Sprintf("An account of bucket %d in %s stands %d minor units below zero.", s.Bucket, s.Currency, s.Below),
			})
		}
	}
	until := id.At(g.opts.Now().Add(-settled))
	for range guardPages {
		rows, err := g.read.ScanTransfers(ctx, g.transfer, guardPage)
		if err != nil {
			return out, err
		}
		for n := range rows {
			t := &rows[n]
			if t.ID.Compare(id.Transfer(until)) >= 0 {
				return out, nil
			}
			if len(t.Postings) < 2 || !ledger.Balanced(t.Postings) {
				out = append(out, finding{C1, t.ID.String(), fmt.Sprintf("Transfer %s does not balance.", t.ID)})
				return out, nil // and so the next round meets it again
			}
			g.transfer = t.ID
			if !t.Customer.IsZero() && len(g.moves) < guardMoves {
				g.moves = append(g.moves, *t)
			}
		}
		if len(rows) < guardPage {
			return out, nil
		}
	}
	// There are more than it has time for: the newest count.
	if newest := id.Transfer(id.At(g.opts.Now().Add(-settled - g.opts.Every))); g.transfer.Compare(newest) < 0 {
		g.transfer = newest
	}
	return out, nil
}

// overdue: what is due is done within a minute, counted from when it could be.
func (g *Guard) overdue(ctx context.Context) ([]finding, error) {
	now := g.opts.Now().UnixMicro()
	rows, err := g.read.Overdue(ctx, now-overdueUS, nil, guardOverdue)
	if err != nil || now-g.awakeUS < overdueUS {
		return nil, err
	}
	out := make([]finding, 0, len(rows))
	for _, d := range rows {
		out = append(out, finding{C11, overdueKey(d), fmt.Sprintf("Work %s (%s) is overdue by %d s.", rawText(d.ID), d.Kind, (now-d.DueUS)/1_000_000)})
	}
	return out, nil
}

func overdueKey(d due.Due) string { return fmt.Sprintf("%x %s %d", d.ID, d.Kind, d.DueUS) }

// payments looks at some payments: those that were wrong in the last round,
// some that have just come, and some in turn.
func (g *Guard) payments(ctx context.Context) ([]finding, error) {
	newest, err := g.read.ScanPayments(ctx, id.Payment(id.At(g.opts.Now().Add(-settled-g.opts.Every))), guardPayments)
	if err != nil {
		return nil, err
	}
	turn, err := g.read.ScanPayments(ctx, g.turn, guardPayments)
	if err != nil {
		return nil, err
	}
	g.turn = id.Payment{}
	if len(turn) == guardPayments {
		g.turn = turn[guardPayments-1].ID
	}
	again := make([]payment.Payment, 0, len(g.suspects))
	for _, k := range g.suspects {
		p, ok, err := g.read.Payment(ctx, k)
		if err != nil {
			return nil, err
		}
		if ok {
			again = append(again, p)
		}
	}
	g.suspects = nil
	var out []finding
	for _, p := range slices.Concat(again, newest, turn) {
		c := &checker{findings: newFindings(), late: map[id.Attempt]bool{}}
		if err := g.look(ctx, c, &history{payment: p, exists: true}); err != nil {
			return out, err
		}
		out = append(out, c.found...)
		if len(c.found) > 0 && len(g.suspects) < guardSuspects && !slices.Contains(g.suspects, p.ID) {
			g.suspects = append(g.suspects, p.ID)
		}
	}
	return out, nil
}

// wallets looks at some transfers of customers: the one before it in their
// statement, their row and the round are there. They were written with it or
// before.
func (g *Guard) wallets(ctx context.Context) ([]finding, error) {
	var out []finding
	var again []ledger.Transfer
	for _, t := range g.moves {
		c := &checker{findings: newFindings()}
		if err := g.lookAtMove(ctx, c, &t); err != nil {
			return out, err
		}
		if len(c.found) > 0 {
			out, again = append(out, c.found...), append(again, t)
		}
	}
	g.moves = again[:min(len(again), guardMoves/2)]
	return out, nil
}

func (g *Guard) lookAtMove(ctx context.Context, c *checker, t *ledger.Transfer) error {
	if !t.Prev.IsZero() {
		before, ok, err := g.read.Transfer(ctx, t.Prev)
		switch {
		case err != nil:
			return err
		case !ok:
			c.violation(C13, "Transfer %s follows %s in its statement, which is not there.", t.ID, t.Prev)
		case before.Customer != t.Customer || before.Currency() != t.Currency():
			c.violation(C13, "Transfer %s follows %s in its statement, which is another's.", t.ID, t.Prev)
		}
	}
	if _, ok, err := g.read.Customer(ctx, t.Customer); err != nil {
		return err
	} else if !ok {
		c.violation(C13, "Transfer %s is of customer %s, who does not exist.", t.ID, t.Customer)
	}
	if t.Round.IsZero() {
		return nil
	}
	_, ok, err := g.read.Round(ctx, t.Round)
	if err == nil && !ok {
		c.violation(C13, "Transfer %s is of round %s, which does not exist.", t.ID, t.Round)
	}
	return err
}

// look reads the rows that a payment names, and judges what does not change once
// it is there: its events, and that the chains do not break. A payment's row is
// read before them, so all that it names was written with it or before.
func (g *Guard) look(ctx context.Context, c *checker, h *history) error {
	p := &h.payment
	for next, n := p.LastOperation, 0; !next.IsZero() && n < guardChain; n++ {
		o, ok, err := g.read.Operation(ctx, next)
		if err != nil {
			return err
		}
		if !ok {
			c.violation(C13, "Operations of payment %s break at %s, which is not there.", p.ID, next)
			break
		}
		if !o.Attempt.IsZero() {
			if _, ok, err = g.read.Attempt(ctx, o.Attempt); err != nil {
				return err
			} else if !ok {
				c.violation(C13, "Attempts of operation %s break at %s, which is not there.", o.ID, o.Attempt)
			}
		}
		h.operations = append(h.operations, o)
		next = o.Prev
	}
	for _, head := range []id.Delivery{p.LastDelivery, p.LastWebhook} {
		for next, n := head, 0; !next.IsZero() && n < guardChain; n++ {
			d, ok, err := g.read.Delivery(ctx, next)
			if err != nil {
				return err
			}
			if !ok {
				c.violation(C13, "Deliveries of payment %s break at %s, which is not there.", p.ID, next)
				break
			}
			next = d.Prev
		}
	}
	return g.lookAtEvents(ctx, c, h)
}

func (g *Guard) lookAtEvents(ctx context.Context, c *checker, h *history) error {
	p := &h.payment
	for next := p.LastEvent; !next.IsZero(); {
		if len(h.events) == guardChain || len(h.operations) == guardChain {
			return nil // too long to be looked at from its beginning
		}
		e, ok, err := g.read.Event(ctx, next)
		if err != nil {
			return err
		}
		if !ok {
			c.violation(C13, "Events of payment %s break at %s, which is not there.", p.ID, next)
			return nil
		}
		e.Snapshot = ""
		h.events = append(h.events, e)
		next = e.Prev
	}
	c.judgeEvents(h)
	return nil
}
