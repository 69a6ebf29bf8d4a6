package flow

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/id"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/risk"
	"aorta/internal/verification"
)

// Whoever has a level is held against the lists of sanctions once a day, and when they
// are paid out (limits-and-risk.md section 2, rule A10), by who bears that level. The
// due row of the check is the clock: no other rows are needed.
//
//	passed ─▶ screened ─▶ a day later ─▶ screened …
//	payout ─▶ screened by now? ─▶ asked, for no longer than budget ─▶ else it is held, and asked by a worker
//
// A match freezes, or, where it is unclear, has people look; either way payouts wait.

// Times of screenings.
const (
	screenEvery = 24 * time.Hour
	screenAgain = time.Minute    // after one that was not answered
	screenLate  = 48 * time.Hour // without an answer an operator must know
)

// screenBudget is how long somebody who waits for a payout's first answer waits for who
// screens: what all rules together may take (limits-and-risk.md section 0). When it is
// over the payout is held, and goes on by itself once a worker has heard.
const screenBudget = 200 * time.Millisecond

// caseSanctions: a customer may be on a list of sanctions. Who closes it says that they
// are not: no match that is not better counts from then on.
const caseSanctions = "sanctions_match"

// byScreening is who acts on a screening.
var byScreening = operator.Automatic("rule", "A10")

// screens reports whether who checks under that name also screens.
func (f *Flows) screens(provider string) bool {
	_, ok := f.opts.Verifiers.Screener(provider)
	return ok
}

// screenNow sees to it that a customer has been screened as lately as a payout needs it,
// or is asked about at once by a worker. budget is how long it waits. What came of it
// is on the row: nothing is told here.
func (f *Flows) screenNow(ctx context.Context, k id.Customer, rules *risk.Rules, budget time.Duration) {
	if rules == nil || !f.opts.Verifiers.Screens() {
		return
	}
	c, ok, err := f.read.Customer(ctx, k)
	if err != nil || !ok {
		return // the act will say so
	}
	known, err := customer.DecodeVerification(c.Checks)
	if err != nil || freshlyScreened(known, rules, f.opts.Now().UnixMicro()) {
		return
	}
	row, by, err := f.screener(ctx, known)
	if err == nil && by != nil {
		err = f.screen(ctx, row, c.Name, by, budget, true)
	}
	if err != nil {
		f.opts.Log.Error("a customer is not screened", slog.String("customer", k.String()), slog.Any("error", err))
	}
}

// screener gives the check by which a customer is screened, and who does: of those that
// hold and whose provider screens, the one of the highest level. nil: there is none.
func (f *Flows) screener(ctx context.Context, known customer.Verification) (customer.Check, verification.Screener, error) {
	for _, proof := range known.Proofs { // the highest first
		if !proof.Holds(f.opts.Now().UnixMicro()) {
			continue
		}
		row, ok, err := f.read.Check(ctx, proof.Check)
		if err != nil || !ok {
			return row, nil, fmt.Errorf("read check %s (found %t): %w", proof.Check, ok, err)
		}
		if by, ok := f.opts.Verifiers.Screener(row.Provider); ok {
			return row, by, nil
		}
	}
	return customer.Check{}, nil, nil
}

// screenPayout is screenNow for the customer of a payout.
func (f *Flows) screenPayout(ctx context.Context, k id.Payment, budget time.Duration) {
	if !f.opts.Verifiers.Screens() || int(k.Bucket()) >= f.book.Buckets() {
		return
	}
	pay, ok, err := f.read.Payment(ctx, k)
	if err != nil || !ok || pay.Type != payment.TypePayout || pay.Status.Final() {
		return
	}
	if pr, ok := f.opts.Projects(pay.ProjectID); ok {
		f.screenNow(ctx, walletOf(k.Bucket(), pr.Payee(pay.CustomerID)).customer, f.opts.Rules(pay.ProjectID), budget)
	}
}

// freshlyScreened reports whether the last screening is young enough for a payout, or
// none is asked for.
func freshlyScreened(v customer.Verification, rules *risk.Rules, nowUS int64) bool {
	return !v.Listed.On || nowUS-v.Listed.AtUS <= rules.Payout.RecheckAfter.Microseconds()
}

// screen asks about the person of a check that was passed, and books the answer.
func (f *Flows) screen(ctx context.Context, row customer.Check, name string, by verification.Screener, budget time.Duration, waited bool) error {
	o, err := f.checkOrder(row, name)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	out := by.Screen(limited, o)
	if out.Alarm != "" {
		f.opts.Log.Error("ALARM: who screens customers is set up wrongly", "provider", row.Provider, "check", row.ID.String(), "alarm", out.Alarm)
	}
	return f.screened(ctx, row.ID, out, waited)
}

// screened books what came of a screening; where nothing did, when it is asked for
// again: at once, by a worker, if somebody waits for it.
func (f *Flows) screened(ctx context.Context, k id.Check, out verification.Screening, waited bool) error {
	told := f.opts.Endpoints()
	_, err := book.Do(ctx, f.book, book.Act[struct{}]{
		Name: "check.screen", Bucket: k.Bucket(), Background: !waited,
		Hint: func(p *book.Page) { p.Checks.Get(k); p.Due.Get(k.Raw()) },
		Decide: func(p *book.Page) (struct{}, error) {
			return struct{}{}, f.bookScreening(p, k, out, waited, told)
		},
	})
	if err != nil {
		return fmt.Errorf("book screening of %s: %w", k, err)
	}
	return nil
}

func (f *Flows) bookScreening(p *book.Page, k id.Check, out verification.Screening, waited bool, told endpoints) error {
	row, ok := p.Checks.Get(k)
	if !ok || row.State != customer.CheckPassed {
		return nil // it was taken back meanwhile
	}
	c, ok := p.Customers.Get(row.Customer)
	if !ok {
		return fmt.Errorf("check %s is of nobody: %w", k, ErrNoCheck)
	}
	known, err := customer.DecodeVerification(c.Checks)
	if err != nil {
		return err
	}
	now := p.NowUS()
	p.Due.Get(k.Raw())
	if !out.Heard {
		if late := now - known.Listed.AtUS; known.Listed.AtUS != 0 && late >= screenLate.Microseconds() {
			f.opts.Log.Error("ALARM: a customer was not screened for days", "customer", c.ID.String(), "provider", row.Provider, "hours", late/time.Hour.Microseconds())
		}
		next := due.At(k.Raw(), due.Check, untilAtMost(row, now+screenAgain.Microseconds()))
		if waited {
			next = due.Now(k.Raw(), due.Check, now, p.Epoch(), nil)
		}
		p.Due.Put(next)
		return nil
	}
	known.Listed.On, known.Listed.AtUS, known.Listed.Permille, known.Listed.PEP = true, now, out.Permille, out.PEP
	c.Checks = known.Encode()
	p.Customers.Put(c)
	p.Due.Put(due.At(k.Raw(), due.Check, untilAtMost(row, now+screenEvery.Microseconds())))
	facts, err := factsOf(row)
	if err != nil {
		return err
	}
	rules := f.opts.Rules(facts.Project)
	if rules == nil {
		return nil
	}
	if err := matched(p, c, row, known.Listed.Match(), rules); err != nil {
		return err
	}
	c, _ = p.Customers.Get(c.ID)
	if known.Listed.PEP {
		if c, err = warnOfLevel(p, told(facts.Project), c, customer.MaxLevel); err != nil {
			return err
		}
	}
	return checkPayoutsAgain(p, c)
}

// untilAtMost gives an instant, or the check's end if that comes before it.
func untilAtMost(row customer.Check, us int64) int64 {
	if row.UntilUS != 0 {
		return min(us, row.UntilUS)
	}
	return us
}

// matched does what a match with a list of sanctions leads to: from the threshold on
// people look, and payouts wait for them; a certain one freezes at once, with all
// customers who are the same person.
func matched(p *book.Page, c customer.Customer, row customer.Check, match int64, rules *risk.Rules) error {
	rule := rules.Rule("A10")
	if match < rule.Params["unclear_permille"] || match == 0 {
		return nil
	}
	frozen := match >= rule.Params["freeze_permille"]
	if frozen {
		limits, err := customer.DecodeLimits(c.Limits)
		if err != nil {
			return fmt.Errorf("limits of %s: %w", c.ID, err)
		}
		if held := c.Restrained(limits, p.NowUS()); held.Restriction != customer.Frozen {
			next, limits, err := c.Restrict(limits, customer.Restraint{Restriction: customer.Frozen, SinceUS: p.NowUS(), By: byScreening.Name}, p.NowUS())
			if err != nil {
				return fmt.Errorf("freeze %s: %w", c.ID, err)
			}
			putBounded(p, next, limits)
			note(p, c.ID, NoteRestricted, byScreening.Name, restrictionNote{Type: customer.Frozen})
			spread(p, next, customer.Frozen)
		}
	}
	about := c.ID.String()
	found := map[string]any{"check": row.ID, "match_permille": match, "frozen": frozen}
	if openCase(p, id.Payment{}, c.ID, caseSanctions, about, found) {
		await(p, c.ID, 1)
	} else if known, _ := p.Cases.Get(caseKey(p.Bucket(), caseSanctions, about)); known.State.Settled() {
		moveCase(p, caseSanctions, about, byScreening.Name, payment.CaseStep{
			Did: "reopen", To: payment.CaseOpen, Note: fmt.Sprintf("a match of %d permille was found", match),
		}, payment.CaseState.Settled)
		await(p, c.ID, 1)
	} else {
		return nil // people look at it
	}
	audit(p, byScreening, "sanctions.match", c.ID.String(), found)
	return nil
}

// cleared notes that people have closed the case of a match: it is not the customer. One
// that is taken up again counts again.
func cleared(c customer.Customer, closed bool) (customer.Customer, error) {
	known, err := customer.DecodeVerification(c.Checks)
	if err != nil {
		return c, err
	}
	known.Listed.Cleared = 0
	if closed {
		known.Listed.Cleared = known.Listed.Permille
	}
	c.Checks = known.Encode()
	return c, nil
}

// listed gives what a payout's rules must know of screenings.
func (c *checks) listed(row customer.Customer, f *risk.PayoutFacts) error {
	known, err := customer.DecodeVerification(row.Checks)
	if err != nil || !known.Listed.On {
		return err
	}
	f.PEP = known.Listed.PEP
	if match := known.Listed.Match(); known.Listed.AtUS != 0 {
		f.Sanctions = &match
	}
	f.Unscreened = c.screened && !freshlyScreened(known, c.rules, f.NowUS)
	return nil
}
