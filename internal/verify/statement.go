package verify

import (
	"context"
	"encoding/json"
	"fmt"

	"aorta/internal/due"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/money"
	"aorta/internal/payment"
)

// A statement has of our captures and refunds what its lines claim, each of them once;
// paid, its buckets give up exactly that, and nothing stays on its way between them.

// claims are what lines say of statements.
type claims struct {
	rows    map[id.Statement]*claimed
	by      map[id.Call]id.Statement // captures and refunds that a line claims
	waiting int                      // paid statements whose shares are not all moved
	transit map[money.Currency]int64 // all accounts of it
	moved   map[id.Transfer]bool     // transfers of statements and shares that nothing has named yet
}

type claimed struct {
	fop.Statement
	waits  bool
	lines  int64 // of events
	micros int64 // of claims
	shares int64 // micros that buckets gave up
}

// takeStatement: a statement that nobody need be asked about is gone on with.
func (c *checker) takeStatement(s *fop.Statement) {
	waits := c.isDue(s.ID.Raw(), due.Statement)
	if _, known := fop.StatementMoves()[s.State]; !known {
		c.violation(C5, "Statement %s is in state %q, which does not exist.", s.ID, s.State)
	}
	if moves := s.State == fop.StatementPulling || s.State == fop.StatementReconciled; moves && !waits {
		c.violation(C11, "Statement %s is %s, but nothing goes on with it: it has no due row.", s.ID, s.State)
	}
	if s.State == fop.StatementPaid && s.Order == "" {
		c.violation(C5, "Statement %s is paid without an order that people have agreed to.", s.ID)
	}
	if c.claims.rows == nil {
		c.claims.rows = map[id.Statement]*claimed{}
	}
	c.claims.rows[s.ID] = &claimed{Statement: *s, waits: waits}
	if waits && s.State == fop.StatementPaid {
		c.claims.waiting++
	}
}

// judgeStatements compares lines, what they claim, and what was paid of it.
func (c *checker) judgeStatements(ctx context.Context) error {
	c.claims.by = map[id.Call]id.Statement{}
	if err := merge(ctx, &pages[fop.Line, id.Raw]{scan: c.read.ScanLines, key: func(l *fop.Line) id.Raw { return l.ID }, take: c.takeLine}); err != nil {
		return err
	}
	if err := merge(ctx, &pages[fop.Call, id.Call]{scan: c.read.ScanCalls, key: func(x *fop.Call) id.Call { return x.ID }, take: c.claimedCall}); err != nil {
		return err
	}
	for k, s := range c.claims.by {
		c.violation(C13, "Statement %s claims call %s, which is not there.", s, k)
	}
	for _, s := range c.claims.rows {
		if !s.Transfer.IsZero() {
			c.paidBy(s.ID, s.Transfer)
		}
		if s.Lines != s.lines {
			c.violation(C13, "Statement %s has read %d lines, and %d are there.", s.ID, s.Lines, s.lines)
		}
		switch moved := s.State == fop.StatementPaid && !s.waits; {
		case moved && s.shares != s.micros:
			c.violation(C1, "Statement %s is paid: it claims %d micros, and its buckets gave up %d.", s.ID, s.micros, s.shares)
		case s.State != fop.StatementPaid && s.shares != 0:
			c.violation(C1, "Statement %s is %s, and its buckets gave up %d micros.", s.ID, s.State, s.shares)
		}
	}
	for t := range c.claims.moved {
		c.violation(C13, "Transfer %s pays a statement, and belongs to none.", t)
	}
	if c.claims.waiting > 0 {
		return nil
	}
	for currency, minor := range c.claims.transit {
		if minor != 0 {
			c.violation(C1, "%d minor units of %s are on their way between buckets, and no statement is being paid.", minor, currency)
		}
	}
	return nil
}

func (c *checker) takeLine(l *fop.Line) {
	s, ok := c.claims.rows[l.Statement]
	if !ok {
		c.violation(C13, "Line %s is of statement %s, which is not there.", rawText(l.ID), l.Statement)
		return
	}
	if l.Kind == fop.LineShare {
		s.shares += l.AmountMicros
		if !l.Transfer.IsZero() {
			c.paidBy(s.ID, l.Transfer)
		}
		return
	}
	if l.Number < s.Lines { // else it is of an earlier reading
		s.lines++
	}
	if l.State != claimState || l.Number >= s.Lines || s.State == fop.StatementDisputed || s.State == fop.StatementPulling {
		return // what a disputed one claimed is another's to claim
	}
	if other, twice := c.claims.by[l.Call]; twice {
		c.violation(C3, "Call %s is claimed twice, by statements %s and %s.", l.Call, other, l.Statement)
	}
	c.claims.by[l.Call] = l.Statement
}

// claimState is that of a line which claims its call.
const claimState = "claim"

// claimedCall: what a line claims says so itself, and has moved money.
func (c *checker) claimedCall(x *fop.Call) {
	by, is := c.claims.by[x.ID]
	delete(c.claims.by, x.ID)
	if !is {
		return // it may be of a statement that is still compared
	}
	s := c.claims.rows[by]
	switch {
	case x.Transfer.IsZero():
		c.violation(C1, "Statement %s claims call %s, which has moved no money.", by, x.ID)
	case x.Statement != by:
		c.violation(C3, "Statement %s claims call %s, which is statement %q's.", by, x.ID, x.Statement)
	}
	micros, err := x.Amount.Micros()
	if err != nil || x.Amount.Currency != s.Currency {
		c.violation(C1, "Statement %s in %s claims call %s of %d %s.", by, s.Currency, x.ID, x.Amount.Minor, x.Amount.Currency)
		return
	}
	if x.Method == fop.Refund {
		micros = -micros
	}
	s.micros += micros
}

// takeRemittance notes a transfer that pays a statement or moves a share of one.
func (c *checker) takeRemittance(t *ledger.Transfer) {
	if c.claims.moved == nil {
		c.claims.moved = map[id.Transfer]bool{}
	}
	c.claims.moved[t.ID] = true
}

// paidBy: a statement, or a bucket's share of it, names the transfer that moved its money.
func (c *checker) paidBy(s id.Statement, t id.Transfer) {
	if !c.claims.moved[t] {
		c.violation(C13, "Statement %s names transfer %s, which pays none, or another.", s, t)
	}
	delete(c.claims.moved, t)
}

// googlesCases are about statements and calls of Google's: no payment, and no customer.
var googlesCases = map[string]bool{"statement_mismatch": true, "remittance": true, "google_untold": true}

// takeTransit adds up what is on its way between buckets.
func (c *checker) takeTransit(a *ledger.Account) {
	if a.Purpose != ledger.Transit {
		return
	}
	if c.claims.transit == nil {
		c.claims.transit = map[money.Currency]int64{}
	}
	c.claims.transit[a.Currency] += a.Minor
}

// judgeStatementCase: what a case about a statement says was done has been done (C13).
func (c *checker) judgeStatementCase(x *payment.Case) error {
	var details struct {
		Statement id.Statement `json:"statement"`
	}
	if err := json.Unmarshal([]byte(x.Details), &details); err != nil {
		return fmt.Errorf("details of case %s: %w", x.ID, err)
	}
	s, ok := c.claims.rows[details.Statement]
	if !ok {
		c.violation(C13, "Case %s is about statement %s, which is not there.", x.ID, details.Statement)
		return nil
	}
	fits := true
	switch x.Resolution {
	case "accept":
		fits = s.State != fop.StatementMismatch && s.State != fop.StatementDisputed && s.State != fop.StatementPulling
	case "dispute":
		fits = s.State == fop.StatementDisputed
	case "pay":
		fits = s.Order != ""
	}
	if !fits {
		c.violation(C13, "Case %s was settled by %s, but statement %s is %s.", x.ID, x.Resolution, s.ID, s.State)
	}
	return nil
}
