package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"aorta/internal/book"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/limit"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/risk"
)

var (
	// ErrNoPerson: only an operator with a name of their own can do it.
	ErrNoPerson = errors.New("this takes an operator with a name")
	// ErrRole: none of the operator's roles is one that this calls for.
	ErrRole = errors.New("none of your roles allows this")
	// ErrNotAllowed: the rules of the project do not allow it.
	ErrNotAllowed = errors.New("the rules do not allow this")
)

// waiting is a payout that is gone on with, as an act has it.
type waiting struct {
	*checks
	x       *application
	review  payment.Review
	allowed approvals
	parts   []part
	sources sources
}

// deed is what is done to a payout that was checked.
type deed struct {
	name     string // of its act, and in the log
	payout   id.Payment
	who      operator.Actor // the zero one is this process going on by itself
	why      string
	goesOn   bool // the payout may be sent by it, so its places in floats are claimed first
	releases bool // and a person lets pass what stops it
	decide   func(*waiting) error
}

// onPayout runs an act on a payout that was checked, and audits who does it and why.
// Errors: payment.ErrNoPayment; what decide gives, after which nothing was written.
func (f *Flows) onPayout(ctx context.Context, do deed) (payment.Payment, payment.Review, error) {
	var nothing payment.Review
	k, who, name := do.payout, do.who, do.name
	if int(k.Bucket()) >= f.book.Buckets() {
		return payment.Payment{}, nothing, payment.ErrNoPayment
	}
	pay, ok, err := f.read.Payment(ctx, k)
	switch {
	case err != nil:
		return pay, nothing, fmt.Errorf("read payout: %w", err)
	case !ok || pay.Type != payment.TypePayout:
		return pay, nothing, payment.ErrNoPayment
	}
	pr, ok := f.opts.Projects(pay.ProjectID)
	rules := f.opts.Rules(pay.ProjectID)
	if !ok {
		return pay, nothing, ErrState
	}
	c := f.checks(pr, rules, nil)
	owner := pr.Payee(pay.CustomerID)
	if do.goesOn {
		if err := f.claimAgain(ctx, c, pay, who, do.releases); err != nil {
			return pay, nothing, err
		}
	}
	type answer struct {
		pay    payment.Payment
		review payment.Review
	}
	a, err := book.Do(ctx, f.book, book.Act[answer]{
		Name: name, Bucket: k.Bucket(), Background: who.Name == "",
		Hint: func(p *book.Page) {
			p.Payments.Get(k)
			p.Reviews.Get(k.Raw())
			p.Due.Get(k.Raw())
			if who.Name != "" {
				hintAudit(p)
			}
			hintPayout(p, walletOf(p.Bucket(), owner), pay.Amount.Currency)
		},
		Decide: func(p *book.Page) (answer, error) {
			w, err := c.resume(p, k, owner)
			if err != nil {
				return answer{}, err
			}
			from := w.x.pay.Status
			if err := do.decide(w); err != nil {
				return answer{}, err
			}
			audit(p, who, name, id.Payout(k).String(), map[string]any{"amount": w.x.pay.Amount, "from": from, "to": w.x.pay.Status, "note": do.why})
			w.sources.save(p)
			p.Payments.Put(w.x.pay)
			p.Reviews.Put(w.review)
			return answer{w.x.pay, w.review}, nil
		},
	})
	if err != nil {
		return pay, nothing, fmt.Errorf("%s: %w", name, err)
	}
	f.freeEnded(ctx, a.pay)
	return a.pay, a.review, nil
}

// resume reads a payout with all that belongs to it.
func (c *checks) resume(p *book.Page, k id.Payment, owner string) (*waiting, error) {
	w := &waiting{checks: c, x: c.application(p)}
	var ok bool
	if w.x.pay, ok = p.Payments.Get(k); !ok {
		return nil, payment.ErrNoPayment
	}
	if w.review, ok = p.Reviews.Get(k.Raw()); !ok {
		return nil, ErrState // begun before its project had rules
	}
	var err error
	if w.allowed, err = approvalsOf(w.review); err != nil {
		return nil, err
	}
	w.parts = partsOf(p, &w.x.pay)
	w.x.op = w.parts[len(w.parts)-1].op
	w.x.attempt = payment.Attempt{Payee: owner}
	w.sources, err = sourcesOf(p, walletOf(p.Bucket(), owner).customer, w.x.pay.Amount.Currency)
	return w, err
}

// ResumePayout goes on with a payout that waited: its PSP account may take it again,
// its customer may be verified now. The worker holds the lease of d.
func (f *Flows) ResumePayout(ctx context.Context, d due.Due) error {
	f.screenPayout(ctx, id.Payment(d.ID), f.opts.CallLimit)
	_, _, err := f.onPayout(ctx, deed{name: "payout.resume", payout: id.Payment(d.ID), goesOn: true, decide: func(w *waiting) error {
		w.x.forgetPayoutDue()
		switch {
		case w.x.pay.Status.Final(), w.allowed.Manual:
			return nil
		case unsent(w.parts) && w.rules == nil && w.x.pay.Status == payment.StatusDeferred:
			return w.end(payment.StatusFailed, payment.CodeProviderUnavailable, event.PayoutFailed, reviewRejected) // nobody else would
		case unsent(w.parts) && w.rules == nil:
			return nil // it waits for a person, who can reject it
		case unsent(w.parts):
			return w.again()
		}
		return w.sendAgain()
	}})
	return err
}

// again runs the checks once more over a payout of which nothing was sent, and goes
// on by what they say now. ErrState: its project has no rules any more.
func (w *waiting) again() error {
	if w.rules == nil {
		return ErrState
	}
	p := w.x.page
	f, err := w.facts(p, walletOf(p.Bucket(), w.x.attempt.Payee), w.x.pay, true)
	if err != nil {
		return err
	}
	f.Approvals, f.Released = len(w.allowed.Approved), w.allowed.Released
	f.Elsewhere = w.last().Payout.Elsewhere
	f.Parts = w.partFacts(w.parts)
	w.claims.facts(&f, w.pr)
	d := w.decide(&w.review, f).Decision
	if mutation == "stepup" && w.x.pay.Status == payment.StatusStepUp {
		d.Action = risk.Allow
	}
	return w.goOn(w.x, &w.review, d, w.parts, &w.sources)
}

// last is the newest decision.
func (w *waiting) last() risk.Record { return lastOf(w.x.pay.ID, w.review) }

func lastOf(k id.Payment, r payment.Review) risk.Record {
	var log []risk.Record
	if err := json.Unmarshal([]byte(r.Log), &log); err != nil || len(log) == 0 || log[len(log)-1].Payout == nil {
		panic(fmt.Sprintf("the review of payout %s has no decision: %v", k, err))
	}
	return log[len(log)-1]
}

func (w *waiting) partFacts(parts []part) []risk.Part {
	var split []limit.Part
	for _, t := range parts {
		if n, _ := limit.ShareOf(w.sources.list, t.op.ID); n >= 0 {
			split = append(split, limit.Part{Source: n, Minor: t.op.Amount.Minor})
		}
	}
	return partFacts(w.sources.list, split)
}

// lookAgain is when a part is looked at again that the rules do not let go now.
const lookAgain = time.Hour

// sendAgain sends the parts that PSPs did not take, of a payout of which others are
// on their way or paid. What the rules say of it by now makes them wait, and those
// that wait for too long go back to the wallet.
func (w *waiting) sendAgain() error {
	x, now := w.x, w.x.page.NowUS()
	var still []part
	for _, t := range w.parts {
		if t.waits() {
			still = append(still, t)
		}
	}
	if len(still) == 0 {
		return nil
	}
	if w.rules == nil { // its project lost them: what was sent goes on to its end, and nothing more is
		return w.giveBackAll(still)
	}
	action := w.last().Decision.Action // what sent it lets it go, and what stopped it goes on stopping it
	if now-w.last().AtUS > w.rules.Payout.RecheckAfter.Microseconds() {
		f, err := w.facts(x.page, walletOf(x.page.Bucket(), x.attempt.Payee), x.pay, true)
		if err != nil {
			return err
		}
		f.Released, f.Approvals, f.Parts = w.allowed.Released, len(w.allowed.Approved), w.partFacts(still)
		w.claims.facts(&f, w.pr)
		action = w.recheck(&w.review, f).Decision.Action
	}
	next := now + lookAgain.Microseconds()
	var ready []part
	for _, t := range still {
		n, _ := limit.ShareOf(w.sources.list, t.op.ID)
		until := w.down[pspOf(&w.sources.list[n])]
		switch {
		case action == risk.Decline, now-w.triedUS(t) >= sendFor.Microseconds():
			if err := w.giveBack(t); err != nil {
				return err
			}
		case action != risk.Allow && action != risk.Review:
			x.dueAt(next)
		case until > now:
			next = min(next, until)
			x.dueAt(next)
		default:
			ready = append(ready, t)
		}
	}
	if len(ready) == 0 || x.pay.Status.Final() {
		return nil
	}
	from, payee := x.pay.Status, x.attempt.Payee
	x.attempt = payment.Attempt{Payee: payee}
	x.submitParts(ready, &w.sources)
	if from == payment.StatusDeferred {
		if err := x.move(payment.StatusSubmitting); err != nil {
			return err
		}
		x.record(event.PayoutPending, from, false)
	}
	x.ask(nil)
	return nil
}

// triedUS is since when a part is tried: its first attempt, or the first of the
// payout where the part itself was not sent yet.
func (w *waiting) triedUS(t part) int64 {
	if !t.attempt.ID.IsZero() {
		_, first := sends(w.x.page, t.attempt)
		return first
	}
	since := w.x.page.NowUS()
	for _, other := range w.parts {
		if !other.attempt.ID.IsZero() {
			_, first := sends(w.x.page, other.attempt)
			since = min(since, first)
		}
	}
	return since
}

// giveBackAll ends parts that were never taken.
func (w *waiting) giveBackAll(parts []part) error {
	for _, t := range parts {
		if err := w.giveBack(t); err != nil {
			return err
		}
	}
	return nil
}

// giveBack ends a part that was never taken.
func (w *waiting) giveBack(t part) error {
	x, payee := w.x, w.x.attempt.Payee
	x.op, x.attempt = t.op, t.attempt
	if t.attempt.ID.IsZero() {
		x.attempt = payment.Attempt{Payee: payee, Amount: t.op.Amount}
	}
	if err := x.release(&w.sources, payment.CodeProviderUnavailable); err != nil {
		return err
	}
	x.page.Operations.Put(x.op)
	if !t.attempt.ID.IsZero() {
		x.page.Attempts.Put(x.attempt)
	}
	if err := x.regard(false); err != nil {
		return err
	}
	if r, ok := x.page.Reviews.Get(x.pay.ID.Raw()); ok && x.pay.Status.Final() {
		w.review.State, w.review.Reason, w.review.NextUS, w.review.ChangedUS = r.State, r.Reason, r.NextUS, r.ChangedUS // the log has what was noted here
	}
	x.attempt.Payee = payee
	return nil
}

// ApprovePayout is an operator's yes to a payout that waits for approval. With enough
// of them it goes on, and the checks run again. Errors: ErrState, ErrSamePerson,
// ErrNoPerson.
func (f *Flows) ApprovePayout(ctx context.Context, k id.Payment, who operator.Actor, why string) (payment.Payment, payment.Review, error) {
	f.screenPayout(ctx, k, screenBudget)
	return f.onPayout(ctx, deed{name: "payout.approve", payout: k, who: who, why: why, goesOn: true, decide: func(w *waiting) error {
		switch {
		case !who.Person():
			return ErrNoPerson
		case w.x.pay.Status != payment.StatusHold:
			return ErrState
		case mutation != "foureyes" && (who.Name == w.review.Editor || w.allowed.by(who.Name)):
			return ErrSamePerson
		}
		w.allowed.Approved = append(w.allowed.Approved, approval{By: who.Name, AtUS: w.x.page.NowUS(), Note: why})
		w.review.Approvals = w.allowed.encode()
		if w.allowed.Manual {
			return nil
		}
		return w.again()
	}})
}

// ReleaseHold lets a payout pass what holds it: an operator's hand, or the rules that
// its last decision names. The checks run again without those, so it may go on waiting,
// such as for approval. Errors: ErrState, ErrNoPerson; ErrRole if the hold is for
// another role to end.
func (f *Flows) ReleaseHold(ctx context.Context, k id.Payment, who operator.Actor, why string) (payment.Payment, payment.Review, error) {
	f.screenPayout(ctx, k, screenBudget)
	return f.onPayout(ctx, deed{name: "payout.release", payout: k, who: who, why: why, goesOn: true, releases: true, decide: func(w *waiting) error {
		d := w.last().Decision
		switch {
		case !who.Person():
			return ErrNoPerson
		case w.x.pay.Status != payment.StatusHold:
			return ErrState
		case !w.allowed.Manual && !mayRelease(d, who):
			return ErrRole
		}
		w.edit(who)
		if !w.allowed.Manual {
			w.allowed.Released = withPasses(w.allowed.Released, d.Stopped())
		}
		w.allowed.Manual = false
		w.review.Approvals = w.allowed.encode()
		return w.again()
	}})
}

// mayRelease reports whether somebody has the role that a decision's hold is for: those of
// laundering are for analysts, and for whom they report to.
func mayRelease(d risk.Decision, who operator.Actor) bool {
	return d.Approver == "" || who.Roles.Has(operator.Role(d.Approver)) || d.Approver == risk.RoleAMLAnalyst && who.Roles.Has(operator.MLRO)
}

// withPasses adds what was let pass just now: of one rule the newest counts.
func withPasses(before, now []risk.Pass) []risk.Pass {
	out := slices.DeleteFunc(slices.Clone(before), func(b risk.Pass) bool {
		return slices.ContainsFunc(now, func(p risk.Pass) bool { return p.Rule == b.Rule && p.Unjudged == b.Unjudged })
	})
	return append(out, now...)
}

// edit notes that somebody has changed what the payout waits for: they are the last
// editor, who cannot approve it, and have not approved it.
func (w *waiting) edit(who operator.Actor) {
	w.review.Editor, w.review.ChangedUS = who.Name, w.x.page.NowUS()
	w.allowed.Approved = slices.DeleteFunc(slices.Clone(w.allowed.Approved), func(a approval) bool { return a.By == who.Name })
}

// HoldPayout has a payout wait until an operator releases it. Errors: ErrState when
// it was sent, or has ended; ErrNoPerson.
func (f *Flows) HoldPayout(ctx context.Context, k id.Payment, who operator.Actor, why string) (payment.Payment, payment.Review, error) {
	return f.onPayout(ctx, deed{name: "payout.hold", payout: k, who: who, why: why, decide: func(w *waiting) error {
		switch {
		case !who.Person():
			return ErrNoPerson
		case w.x.pay.Status.Final() || !unsent(w.parts):
			return ErrState
		}
		w.edit(who)
		w.allowed.Manual = true
		w.review.Approvals = w.allowed.encode()
		w.review.State, w.review.Reason, w.review.RequiredLevel, w.review.NextUS = reviewHold, string(risk.UnderReview), 0, 0
		w.x.forgetPayoutDue()
		w.x.reviewCase(risk.Decision{})
		return w.x.await(payment.StatusHold, event.PayoutOnHold, w.review)
	}})
}

// RejectPayout ends a payout that waits, also of a project that has no rules any more:
// its money is the customer's again. Errors:
// ErrState when it was sent, or has ended; ErrNoPerson.
func (f *Flows) RejectPayout(ctx context.Context, k id.Payment, who operator.Actor, why string) (payment.Payment, payment.Review, error) {
	return f.onPayout(ctx, deed{name: "payout.reject", payout: k, who: who, why: why, decide: func(w *waiting) error {
		switch {
		case !who.Person():
			return ErrNoPerson
		case w.x.pay.Status.Final() || !unsent(w.parts):
			return ErrState
		}
		w.edit(who)
		w.review.Approvals = w.allowed.encode()
		return w.end(payment.StatusFailed, payment.CodeHouseDecline, event.PayoutFailed, reviewRejected)
	}})
}

// CancelPayout ends a payout that waits, since its customer does not want it any more.
// Errors: payment.ErrNoPayment, also of another project's; ErrState when it was sent, or
// has ended, or was never checked; ErrNotAllowed where the rules take no cancelling.
func (f *Flows) CancelPayout(ctx context.Context, pr project.Project, k id.Payment, who operator.Actor) (payment.Payment, payment.Review, error) {
	return f.onPayout(ctx, deed{name: "payout.cancel", payout: k, who: who, decide: func(w *waiting) error {
		switch {
		case w.x.pay.ProjectID != pr.ID:
			return payment.ErrNoPayment
		case w.x.pay.Status.Final() || !unsent(w.parts):
			return ErrState
		case w.rules != nil && !w.rules.Payout.Cancel:
			return ErrNotAllowed
		}
		w.edit(who)
		return w.end(payment.StatusCancelled, payment.CodeCancelled, event.PayoutCancelled, reviewCancelled)
	}})
}

// end gives up a payout of which nothing was sent.
func (w *waiting) end(to payment.Status, code string, kind event.Kind, resolution string) error {
	w.x.forgetPayoutDue()
	w.x.closeReview(resolution)
	w.review.State, w.review.Reason, w.review.RequiredLevel, w.review.NextUS = reviewClosed, "", 0, 0
	return w.x.giveUp(w.parts, &w.sources, to, code, kind)
}

// recheck runs what must hold when something is sent, and notes what came out.
func (c *checks) recheck(r *payment.Review, f risk.PayoutFacts) risk.Record {
	return c.noteDecision(r, risk.Record{AtUS: f.NowUS, Again: true, Payout: &f, Decision: c.rules.Recheck(f)})
}
