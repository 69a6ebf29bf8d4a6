package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"aorta/internal/id"
	"aorta/internal/operator"
	"aorta/internal/payment"
)

// caseStates say what must be known of a case in each state: whether somebody owns
// it, and whether it says how it ended.
var caseStates = map[payment.CaseState]struct{ owned, ended bool }{
	"open":          {},
	"assigned":      {owned: true},
	"investigating": {owned: true},
	"resolved":      {ended: true},
	"closed":        {ended: true},
}

// caseNext says, from docs/operators.md, where a case may go from where it is.
var caseNext = map[payment.CaseState][]payment.CaseState{
	"open":          {"assigned", "investigating", "resolved", "closed"},
	"assigned":      {"assigned", "investigating", "resolved", "closed", "open"},
	"investigating": {"investigating", "assigned", "resolved", "closed", "open"},
	"resolved":      {"open"},
	"closed":        {"open"},
}

// waitedFor are the kinds of case for which a customer's payouts wait; alone: it is
// about them, and about no payment.
var waitedFor = map[string]struct{ alone bool }{"deposit_review": {}, "other_person": {alone: true}, "sanctions_match": {alone: true}}

// judgeCase checks a case by itself: its log leads from open to where it stands, and
// what it says of its end is so (C5, C13).
func (c *checker) judgeCase(ctx context.Context, x *payment.Case, about id.Attempt) error {
	want, known := caseStates[x.State]
	switch {
	case !known:
		c.violation(C5, "Case %s is in state %q, which does not exist.", x.ID, x.State)
		return nil
	case want.owned && x.Owner == "":
		c.violation(C5, "Case %s is %s, and nobody's.", x.ID, x.State)
	case want.ended != (x.Resolution != ""):
		c.violation(C5, "Case %s is %s, and was settled by %q.", x.ID, x.State, x.Resolution)
	}
	if held, known := waitedFor[x.Kind]; known && !want.ended {
		if _, there := c.customers[x.Customer]; held.alone && !there {
			c.violation(C13, "Case %s is about customer %s, who does not exist.", x.ID, x.Customer)
			return nil
		}
		p := c.customers[x.Customer]
		p.reviews--
		c.customers[x.Customer] = p
	}
	c.judgeCaseLog(x)
	if want.ended && x.Resolution != "close" {
		return c.judgeResolution(ctx, x, about)
	}
	return nil
}

// judgeReviews: a customer's payouts wait for as many cases as there are open ones of
// the kinds that they wait for (C13).
func (c *checker) judgeReviews() {
	for _, k := range slices.SortedFunc(maps.Keys(c.customers), id.Customer.Compare) {
		if n := c.customers[k].reviews; n != 0 {
			c.violation(C13, "Customer %q counts %d open reviews more than there are cases.", k, n)
		}
	}
}

func (c *checker) judgeCaseLog(x *payment.Case) {
	steps, err := x.Steps()
	if err != nil {
		c.violation(C5, "Case %s has a log that cannot be read.", x.ID)
		return
	}
	at := payment.CaseState("open")
	proposed := payment.CaseStep{}
	for n, s := range steps {
		if s.By == "" || s.AtUS == 0 || !slices.Contains(caseNext[at], s.To) {
			c.violation(C5, "Case %s: step %d (%s, by %q) goes from %s to %s, which it may not.", x.ID, n, s.Did, s.By, at, s.To)
		}
		at = s.To
		switch s.Did {
		case "propose":
			proposed = s
		case "resolve", "close":
			rule, _ := operator.House().Of(operator.Resolution(x.Kind, s.How))
			if person := (operator.Actor{Name: s.By}).Person(); person && rule.Persons > 1 && (proposed.How != s.How || proposed.By == s.By) {
				c.violation(C5, "Case %s: step %d settles it by %s, which needs two people, and %s alone was for it.", x.ID, n, s.How, s.By)
			}
			proposed = payment.CaseStep{}
		case "reopen":
			proposed = payment.CaseStep{}
		}
	}
	if at != x.State {
		c.violation(C5, "Case %s is %s, but its log ends at %s.", x.ID, x.State, at)
	}
}

// judgeResolution: what a case says was done has been done (C13).
func (c *checker) judgeResolution(ctx context.Context, x *payment.Case, about id.Attempt) error {
	if x.Kind == "statement_mismatch" || x.Kind == "remittance" {
		return c.judgeStatementCase(x)
	}
	a, ok, err := c.read.Attempt(ctx, about)
	if err != nil {
		return fmt.Errorf("read attempt of a case: %w", err)
	}
	var fits bool
	switch x.Resolution {
	case "credit", "refund":
		fits = ok && c.handled[about] == x.Resolution
	case "accept", "paid":
		fits = ok && a.Status == payment.AttemptApproved
	case "failed":
		fits = ok && (a.Status == payment.AttemptDeclined || a.Status == payment.AttemptNotSent)
	default:
		return nil // of a payout that was looked at: judged with it
	}
	if !fits {
		c.violation(C13, "Case %s was settled by %s, but that has not happened to attempt %s.", x.ID, x.Resolution, about)
	}
	return nil
}

// handleLate notes what has become of a payment's late money: credited, or sent
// back by a refund that has not failed.
func (c *checker) handleLate(h *history) {
	for n := range h.operations {
		op := &h.operations[n]
		chain, _ := h.attemptChain(op)
		switch {
		case op.Kind == payment.KindManualChange:
			c.handled[op.Attempt] = "credit"
		case op.Kind == payment.KindRefund && op.Status != payment.OperationDecline && len(chain) > 0 && chain[0].Late != 0:
			c.handled[chain[0].Of] = "refund"
		}
	}
}

// judgeAudit: the chain of what operators did holds (S34).
func (c *checker) judgeAudit(ctx context.Context) error {
	check := operator.NewAudit()
	all := pages[operator.Entry, id.Audit]{scan: c.read.ScanAudit, key: func(e *operator.Entry) id.Audit { return e.ID }, take: func(e *operator.Entry) { check.Take(*e) }}
	if err := merge(ctx, &all); err != nil {
		return err
	}
	var heads []operator.Head
	ends := pages[operator.Head, id.Raw]{scan: c.read.ScanAuditHeads, key: func(h *operator.Head) id.Raw { return h.ID }, take: func(h *operator.Head) { heads = append(heads, *h) }}
	if err := merge(ctx, &ends); err != nil {
		return err
	}
	for _, sentence := range check.End(heads) {
		c.violation(C9, "%s", sentence)
	}
	return nil
}
