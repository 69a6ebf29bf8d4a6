package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/instrument"
	"aorta/internal/ledger"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/risk"
)

// A payout of a project with rules is checked in the order of limits-and-risk.md
// section 4, in the act that reserves its money, and split into parts that go back
// the way the money came. Each part is an operation. What stops it makes it wait,
// with its money reserved; whatever ends the waiting runs the checks again.
//
//	begin: reserve, split ─▶ step_up │ hold │ deferred ─▶ submitting ─▶ …
//	                              └──── resume: checks ────┘

// checks are what an act knows of a payout that is checked, beside its rows. It is
// given them, and may run again on the same.
type checks struct {
	rules     *risk.Rules
	pr        project.Project
	pays      func(connectorName, account string) (connector.Capabilities, bool)
	screened  bool             // somebody screens customers, so that a screening can be asked for
	down      map[string]int64 // PSP accounts that take no payouts, and until when
	endpoints endpoints
	claims    *claimed      // of a payout that takes places in floats; nil: it has none
	done      chan struct{} // closed when the PSPs' first answers are booked; nil: nobody waits for them
}

func (f *Flows) checks(pr project.Project, rules *risk.Rules, done chan struct{}) *checks {
	return &checks{
		rules: rules, pr: pr, pays: f.PaysOut, screened: f.opts.Verifiers.Screens(), down: f.routes.down(f.opts.Now()), endpoints: f.opts.Endpoints(), done: done,
	}
}

// refusedPayout is a payout that the rules decline when it is asked for. Nothing of it
// is kept but the decision.
type refusedPayout struct {
	refusal *risk.Refusal
	record  risk.Record
}

func (e *refusedPayout) Error() string { return "payout refused: " + e.refusal.Error() }
func (e *refusedPayout) Unwrap() error { return e.refusal }

// beginChecked is BeginPayout where the project has rules. A *risk.Refusal: the rules
// decline it, and nothing was begun.
func (f *Flows) beginChecked(ctx context.Context, r PayoutRequest, rules *risk.Rules, want id.Payment) (Begun, error) {
	done := make(chan struct{})
	c := f.checks(r.Project, rules, done)
	owner := r.Project.Payee(r.CustomerID)
	f.screenNow(ctx, walletOf(want.Bucket(), owner).customer, rules, screenBudget)
	begun, err := f.startClaimed(ctx, c, start{
		act: "payout.begin", key: f.nameOf(r.Project, r.PayoutID), done: done, guarded: bounded(rules), opening: r.Opening,
		hint: func(p *book.Page) {
			hintPayout(p, walletOf(p.Bucket(), owner), r.Amount.Currency)
			p.Reviews.Get(want.Raw())
			p.Cases.Get(caseKey(p.Bucket(), CasePayoutReview, id.Payout(want).String()))
		},
		open: func(p *book.Page, k id.Payment, fresh bool) (Begun, error) { return c.open(p, r, k, fresh) },
	}, want)
	var no *refusedPayout
	if errors.As(err, &no) {
		f.noteRefused(ctx, walletOf(want.Bucket(), owner), r, no.record)
		return Begun{}, no.refusal
	}
	if err == nil && !begun.Repeat && begun.Attempt.ID.IsZero() {
		close(done) // it waits: no PSP was asked
	}
	return begun, err
}

// noteRefused keeps what a declined payout was declined on. That it was is told either
// way: the decision is for those who look into it later.
func (f *Flows) noteRefused(ctx context.Context, w wallet, r PayoutRequest, record risk.Record) {
	_, err := book.Do(ctx, f.book, book.Act[struct{}]{
		Name: "payout.refused", Bucket: w.customer.Bucket(), Background: true,
		Hint: func(p *book.Page) { p.Customers.Get(w.customer) },
		Decide: func(p *book.Page) (struct{}, error) {
			note(p, w.customer, noteDecision, "rules", json.RawMessage(record.Encode()))
			return struct{}{}, nil
		},
	})
	if err != nil {
		f.opts.Log.Error("a declined payout's decision is not kept", slog.String("customer", w.customer.String()), slog.Any("error", err))
	}
}

// Kinds of note that payouts write.
const (
	noteDecision = "payout_refused" // what a declined one was declined on: not for the customer
	NotePayout   = "payout"         // where one stands, for the customer
)

// note writes a step of a customer's history; one of whom nothing is known has none.
func note(p *book.Page, c id.Customer, kind, by string, body any) {
	row, ok := p.Customers.Get(c)
	if !ok {
		return
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic("a note is of plain values: " + err.Error())
	}
	n := customer.Note{ID: id.Note(p.Mint()), Customer: c, Prev: row.LastNote, Kind: kind, By: by, Body: string(text), AtUS: p.NowUS()}
	p.Notes.Append(n)
	row.LastNote = n.ID
	p.Customers.Put(row)
}

// hintPayout names the rows that a payout will want.
func hintPayout(p *book.Page, w wallet, cur money.Currency) {
	p.Customers.Get(w.customer)
	p.Accounts.Get(ledger.AccountID(p.Bucket(), w.owner, ledger.Available, cur))
	p.Accounts.Get(ledger.AccountID(p.Bucket(), w.owner, ledger.Reserved, cur))
	p.Accounts.Get(ledger.AccountID(p.Bucket(), w.owner, ledger.Bonus, cur))
	for _, k := range []limit.Kind{limit.Deposits, limit.Payouts, limit.Requests, limit.Play} {
		p.Windows.Get(limit.WindowID(w.customer, k, cur))
	}
}

// open writes a payout that the rules do not decline: its money reserved, split, and
// sent or waiting.
func (c *checks) open(p *book.Page, r PayoutRequest, k id.Payment, fresh bool) (Begun, error) {
	now := p.NowUS()
	x := c.application(p)
	x.attempt.Payee = r.Project.Payee(r.CustomerID)
	x.pay = payment.Payment{
		ID: k, ProjectID: r.Project.ID, MerchantPaymentID: r.PayoutID, Type: payment.TypePayout, Status: payment.TypePayout.First(),
		Method: r.Route.Method, Amount: r.Amount, CustomerID: r.CustomerID, Description: r.Description, Door: r.Door, CreatedUS: now, ChangedUS: now,
	}
	w := walletOf(p.Bucket(), x.attempt.Payee)
	s, err := sourcesOf(p, w.customer, r.Amount.Currency)
	if err != nil {
		return Begun{}, err
	}
	split := c.split(&s, r, now)
	review := payment.Review{ID: k.Raw(), Customer: w.customer}
	facts, err := c.facts(p, w, x.pay, false)
	if err != nil {
		return Begun{}, err
	}
	facts.Elsewhere, facts.Parts = split.Elsewhere, partFacts(s.list, split.Parts)
	if shares := sharesOf(c.rules, c.pr, r.Amount, facts.Parts, nil); !c.claims.covers(k, shares) {
		return Begun{}, &claimsError{k, shares}
	}
	c.claims.facts(&facts, c.pr)
	facts.BonusAgreed = r.ForfeitBonus
	record := c.decide(&review, facts)
	if record.Decision.Action == risk.Decline {
		return Begun{}, &refusedPayout{record.Decision.Refusal(), record}
	}
	if split.Left > 0 {
		return Begun{}, ErrNoRoute
	}
	if len(split.Parts) > 0 {
		x.pay.Method = s.list[split.Parts[0].Source].Method
	}
	if err := reserveWindow(p, w, x.pay); err != nil {
		return Begun{}, err
	}
	parts, err := x.reserveParts(&s, split.Parts, r.Description)
	if err != nil {
		return Begun{}, err
	}
	s.save(p)
	if record.Decision.Forfeit {
		if err := x.forfeit(w, c.pr, parts[0].op, facts.Bonus); err != nil {
			return Begun{}, err
		}
	}
	if r.Keep != "" {
		p.Requests.Append(payment.Request{ID: k.Raw(), Body: r.Keep})
	}
	if err := c.goOn(x, &review, record.Decision, parts, &s); err != nil {
		return Begun{}, err
	}
	p.Reviews.Get(k.Raw()) // there is none, as there is no payout
	p.Reviews.Put(review)
	putPayment(p, x.pay, fresh)
	return Begun{Payment: x.pay, Operation: x.op, Attempt: x.attempt, Review: review}, nil
}

func (c *checks) application(p *book.Page) *application {
	return &application{page: p, endpoints: c.endpoints}
}

// split divides a payout over the customer's instruments. What has no place to go
// there goes by the way that the door found, which then is an instrument of its own.
func (c *checks) split(s *sources, r PayoutRequest, nowUS int64) limit.Split {
	how := limit.Splitting{Minor: r.Amount.Minor, Rest: r.Rest, Usable: c.usable, Beyond: c.beyond}
	split := limit.Divide(s.list, how)
	if split.Left > 0 && r.Route.Connector != "" {
		s.at(r.Route.Connector, r.Route.Account, payment.WayOf(r.Route.Method, ""), kindOf(r.Route.Method))
		split = limit.Divide(s.list, how)
	}
	if mutation == "sameroute" && len(split.Parts) > 1 {
		split.Parts = []limit.Part{{Source: split.Parts[0].Source, Minor: r.Amount.Minor}}
	}
	return split
}

func (c *checks) usable(s *limit.Source) bool {
	_, pays := c.pays(s.Connector, s.Account)
	return pays && !s.Unusable
}

// beyond: what a customer has won may go to their wallets and bank accounts, and to a
// card where the PSP can send more to one than it has taken.
func (c *checks) beyond(s *limit.Source) bool {
	can, _ := c.pays(s.Connector, s.Account)
	return s.Kind != instrument.Card || can.PayoutBeyond
}

func partFacts(list []limit.Source, parts []limit.Part) []risk.Part {
	out := make([]risk.Part, len(parts))
	for n, part := range parts {
		s := &list[part.Source]
		out[n] = risk.Part{Method: s.Method, Connector: s.Connector, Account: s.Account, Minor: part.Minor}
	}
	return out
}

// reserveParts makes an operation of each part, reserves its money in the wallet and
// its share of the source.
func (x *application) reserveParts(s *sources, split []limit.Part, description string) ([]part, error) {
	now := x.page.NowUS()
	var parts []part
	for _, each := range split {
		x.op = payment.Operation{
			ID: id.Operation(x.page.Mint()), Payment: x.pay.ID, Prev: x.pay.LastOperation, Number: x.page.Number(), Kind: payment.KindPayout,
			Status: payment.OperationProcessing, Amount: money.Amount{Minor: each.Minor, Currency: x.pay.Amount.Currency},
			Description: description, CreatedUS: now, ChangedUS: now,
		}
		x.pay.LastOperation = x.op.ID
		x.attempt = payment.Attempt{Payee: x.attempt.Payee, Amount: x.op.Amount}
		if err := x.transfer(ledger.KindPayoutReserve, x.payee(), x.reserved()); err != nil {
			return nil, err
		}
		src := &s.list[each.Source]
		src.Open = append(slices.Clone(src.Open), limit.Share{Operation: x.op.ID, Minor: each.Minor})
		x.page.Operations.New(x.op)
		parts = append(parts, part{op: x.op})
	}
	x.attempt = payment.Attempt{Payee: x.attempt.Payee}
	return parts, nil
}

// forfeit takes a bonus away that its customer has agreed to lose by a payout: it goes
// back to the merchant who gave it. It stays lost, whatever becomes of the payout.
func (x *application) forfeit(w wallet, pr project.Project, op payment.Operation, minor int64) error {
	cur := x.pay.Amount.Currency
	t := ledger.Transfer{Kind: ledger.KindBonusForfeit, Payment: x.pay.ID, Operation: op.ID}
	_, _, err := post(x.page, t, w, cur, leg{accountName{w.owner, ledger.Bonus}, minor}, leg{accountName{pr.Payee(""), ledger.Payable}, -minor})
	return err
}

// part is an operation of a payout with its newest attempt; zero where it was not
// sent yet.
type part struct {
	op      payment.Operation
	attempt payment.Attempt
}

// waits reports whether the part is still to be sent: no PSP has it, or may have it.
func (t *part) waits() bool {
	return !t.op.Status.Final() && (t.attempt.ID.IsZero() || t.attempt.Status == payment.AttemptNotSent)
}

// partsOf reads all parts of a payout, the first first.
func partsOf(p *book.Page, pay *payment.Payment) []part {
	var parts []part
	for next := pay.LastOperation; !next.IsZero(); {
		var t part
		t.op, _ = p.Operations.Get(next)
		if !t.op.Attempt.IsZero() {
			t.attempt, _ = p.Attempts.Get(t.op.Attempt)
		}
		parts, next = append(parts, t), t.op.Prev
	}
	slices.Reverse(parts)
	return parts
}

// facts gathers what the rules judge a payout by. reserved: its money is reserved
// already, and its own share of the sums is left out.
func (c *checks) facts(p *book.Page, w wallet, pay payment.Payment, reserved bool) (risk.PayoutFacts, error) {
	now, cur := p.NowUS(), pay.Amount.Currency
	row, _ := p.Customers.Get(w.customer)
	limits, err := customer.DecodeLimits(row.Limits)
	if err != nil {
		return risk.PayoutFacts{}, fmt.Errorf("limits of %s: %w", w.customer, err)
	}
	held := row.Restrained(limits, now)
	last, requests := int64(0), int64(1)
	if reserved {
		requests = 0 // it is counted already
	}
	f := risk.PayoutFacts{
		NowUS: now, Amount: pay.Amount, Reserved: reserved, Restriction: string(held.Restriction), RestrictedUntilUS: held.UntilUS,
		Reviews: row.Review, Level: row.LevelAt(now), LastDepositUS: &last, Requests: &requests,
	}
	if c.rules != nil {
		if err := c.listed(row, &f); err != nil {
			return f, fmt.Errorf("screening of %s: %w", w.customer, err)
		}
	}
	available := account(p, ledger.AccountID(p.Bucket(), w.owner, ledger.Available, cur), accountName{w.owner, ledger.Available}, cur)
	bonus := account(p, ledger.AccountID(p.Bucket(), w.owner, ledger.Bonus, cur), accountName{w.owner, ledger.Bonus}, cur)
	f.Available, f.Bonus = available.Balance(), bonus.Balance()
	currencies := row.List()
	if !slices.Contains(currencies, string(cur)) {
		currencies = append(currencies, string(cur))
	}
	for _, text := range currencies {
		if err := c.sums(p, w.customer, money.Currency(text), pay.ID, &f); err != nil {
			return f, err
		}
	}
	deposits, _ := p.Windows.Get(limit.WindowID(w.customer, limit.Deposits, cur))
	play, _ := p.Windows.Get(limit.WindowID(w.customer, limit.Play, cur))
	f.SinceDeposits, f.SinceStakes = deposits.SinceMinor, play.StakedMinor
	f.DepositedEver, f.StakedEver = deposits.EverMinor, play.EverMinor
	return f, nil
}

// sums adds what the windows of one currency say.
func (c *checks) sums(p *book.Page, k id.Customer, cur money.Currency, own id.Payment, f *risk.PayoutFacts) error {
	payouts, _ := p.Windows.Get(limit.WindowID(k, limit.Payouts, cur))
	out, err := limit.DecodeEntries(payouts.Entries)
	if err != nil {
		return fmt.Errorf("payouts of %s: %w", k, err)
	}
	deposits, _ := p.Windows.Get(limit.WindowID(k, limit.Deposits, cur))
	in, err := limit.DecodeEntries(deposits.Entries)
	if err != nil {
		return fmt.Errorf("deposits of %s: %w", k, err)
	}
	out.Free(own)
	day, month, days180 := limit.Day.After(f.NowUS, nil), limit.Month.After(f.NowUS, nil), f.NowUS-risk.Days180.Microseconds()
	add := func(s *risk.Sum, minor int64) {
		if minor != 0 {
			*s = append(*s, money.Amount{Minor: minor, Currency: cur})
		}
	}
	add(&f.PaidEver, payouts.EverMinor)
	if mutation != "unreserved" {
		add(&f.PaidEver, out.Reserved())
	}
	add(&f.Paid180, out.Sum(days180))
	add(&f.Paid30, out.Sum(month))
	add(&f.Day, out.Sum(day))
	add(&f.Deposited180, in.Used(days180))
	add(&f.Deposited30, in.Used(month))
	requests, _ := p.Windows.Get(limit.WindowID(k, limit.Requests, cur))
	asked, err := limit.DecodeEntries(requests.Entries)
	if err != nil {
		return fmt.Errorf("requests of %s: %w", k, err)
	}
	since := f.NowUS - c.rules.Rule("V10").Window.Microseconds()
	for _, e := range asked.List {
		if e.AtUS > since {
			*f.Requests++
		}
	}
	for _, e := range out.List {
		if !e.Reserved() && e.AtUS > day {
			f.DayFreesUS = earliest(f.DayFreesUS, e.AtUS+limit.Day.Length().Microseconds())
		}
		if !e.Reserved() && e.AtUS > month {
			f.MonthFreesUS = earliest(f.MonthFreesUS, e.AtUS+limit.Month.Length().Microseconds())
		}
	}
	for _, e := range in.List {
		if !e.Reserved() {
			*f.LastDepositUS = max(*f.LastDepositUS, e.AtUS)
		}
	}
	return nil
}

func earliest(a, b int64) int64 {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// approvals are who has let a payout pass, as its review keeps them.
type approvals struct {
	Approved []approval  `json:"approved,omitempty"`
	Released []risk.Pass `json:"released,omitempty"` // what operators have let pass
	Manual   bool        `json:"manual,omitempty"`   // an operator holds it
}

type approval struct {
	By   string `json:"by"`
	AtUS int64  `json:"at_us"`
	Note string `json:"note,omitempty"`
}

func approvalsOf(r payment.Review) (approvals, error) {
	var a approvals
	if r.Approvals == "" {
		return a, nil
	}
	if err := json.Unmarshal([]byte(r.Approvals), &a); err != nil {
		return a, fmt.Errorf("approvals of %s: %w", r.ID, err)
	}
	return a, nil
}

func (a approvals) encode() string {
	text, err := json.Marshal(a)
	if err != nil {
		panic("plain fields cannot fail to encode: " + err.Error())
	}
	return string(text)
}

// by reports whether somebody has approved.
func (a approvals) by(name string) bool {
	return slices.ContainsFunc(a.Approved, func(x approval) bool { return x.By == name })
}

// maxRecords bounds the decisions that a review keeps: the first and the newest.
const maxRecords = 32

// decide runs the checks and notes what came out on the review.
func (c *checks) decide(r *payment.Review, f risk.PayoutFacts) risk.Record {
	return c.noteDecision(r, risk.Record{AtUS: f.NowUS, Payout: &f, Decision: c.rules.DecidePayout(f)})
}

func (c *checks) noteDecision(r *payment.Review, record risk.Record) risk.Record {
	var log []json.RawMessage
	if r.Log != "" {
		if err := json.Unmarshal([]byte(r.Log), &log); err != nil {
			panic("the log of a review was not written by decide: " + err.Error())
		}
	}
	if len(log) >= maxRecords {
		log = slices.Delete(log, 1, 2)
	}
	text, err := json.Marshal(append(log, json.RawMessage(record.Encode())))
	if err != nil {
		panic("records cannot fail to encode: " + err.Error())
	}
	r.Log, r.ChangedUS = string(text), record.AtUS
	return record
}

// goOn does with a payout that has been reserved, and not been sent, what its checks
// have come to.
func (c *checks) goOn(x *application, r *payment.Review, d risk.Decision, parts []part, s *sources) error {
	now := x.page.NowUS()
	r.State, r.Reason, r.RequiredLevel, r.NextUS, r.ChangedUS = reviewSent, "", 0, 0, now
	switch d.Action {
	case risk.StepUp:
		r.State, r.Reason, r.RequiredLevel = reviewStepUp, string(d.Reason), d.RequiredLevel
		return x.await(payment.StatusStepUp, event.PayoutStepUp, *r)
	case risk.Hold:
		r.State, r.Reason = reviewHold, string(d.Reason)
		if r.Reason == "" {
			r.Reason = string(risk.UnderReview)
		}
		x.reviewCase(d)
		return x.await(payment.StatusHold, event.PayoutOnHold, *r)
	case risk.Decline:
		r.State, r.Reason = reviewClosed, string(d.Reason)
		x.forgetPayoutDue()
		x.closeReview(reviewRejected)
		return x.giveUp(parts, s, payment.StatusFailed, payment.CodeReject, event.PayoutFailed)
	case risk.Allow, risk.Review:
	}
	x.closeReview(reviewPassed)
	var down int64 // when the last of the accounts that are down may be asked again
	ready := parts[:0:0]
	for _, t := range parts {
		n, _ := limit.ShareOf(s.list, t.op.ID)
		if until := c.down[pspOf(&s.list[n])]; until > now {
			down = max(down, until)
			continue
		}
		ready = append(ready, t)
	}
	if down > 0 {
		r.State, r.NextUS = reviewDeferred, down
		x.dueAt(down)
	}
	if len(ready) == 0 {
		if !c.rules.Payout.Defer {
			if x.pay.Status == payment.StatusRequested {
				return ErrNoRoute // it is being begun, and nothing of it is kept
			}
			r.State, r.NextUS = reviewClosed, 0
			x.forgetPayoutDue()
			return x.giveUp(parts, s, payment.StatusFailed, payment.CodeProviderUnavailable, event.PayoutFailed)
		}
		return x.await(payment.StatusDeferred, event.PayoutDeferred, *r)
	}
	from := x.pay.Status
	if err := x.move(payment.StatusSubmitting); err != nil {
		return err
	}
	x.submitParts(ready, s)
	x.record(event.PayoutPending, from, false)
	x.ask(c.done)
	return nil
}

// States of a review.
const (
	reviewStepUp   = "step_up"  // waits until its customer is verified
	reviewHold     = "hold"     // waits for operators
	reviewDeferred = "deferred" // waits until its PSP account takes it
	reviewSent     = "sent"
	reviewClosed   = "closed"
)

func pspOf(s *limit.Source) string { return "psp:" + s.Connector + ":" + s.Account }

// await has a payout wait in a status.
func (x *application) await(to payment.Status, kind event.Kind, r payment.Review) error {
	if x.pay.Status == to {
		return nil
	}
	from := x.pay.Status
	if err := x.move(to); err != nil {
		return err
	}
	x.record(kind, from, false)
	x.tell(r)
	return nil
}

// tell leaves the customer a note of where their payout stands: no rule, no case.
func (x *application) tell(r payment.Review) {
	body := map[string]any{"payout_id": id.Payout(x.pay.ID), "status": x.pay.Status, "amount": x.pay.Amount}
	if r.Reason != "" {
		body["reason"] = r.Reason
	}
	if r.RequiredLevel != 0 {
		body["required_level"] = r.RequiredLevel
	}
	if r.NextUS != 0 {
		body["eta_us"] = r.NextUS
	}
	if x.pay.CapturedMinor != 0 {
		body["paid"] = money.Amount{Minor: x.pay.CapturedMinor, Currency: x.pay.Amount.Currency}
	}
	if x.pay.Code != "" && x.pay.Code != payment.CodeSuccess {
		body["code"], body["message"] = x.pay.Code, x.pay.Message
	}
	note(x.page, x.wallet().customer, NotePayout, "rules", body)
}

// submitParts makes an attempt of each part, at the PSP account of its source.
func (x *application) submitParts(parts []part, s *sources) {
	now := x.page.NowUS()
	x.asked = x.asked[:0:0]
	for _, t := range parts {
		n, _ := limit.ShareOf(s.list, t.op.ID)
		src := &s.list[n]
		a := payment.Attempt{
			ID: id.Attempt(x.page.Mint()), Operation: t.op.ID, Payment: x.pay.ID, Prev: t.op.Attempt, Connector: src.Connector, Account: src.Account,
			Payee: x.attempt.Payee, Kind: payment.KindPayout, Status: payment.AttemptAsking, Amount: t.op.Amount,
			Way: payment.WayOf(src.Method, src.Token), CreatedUS: now, ChangedUS: now,
		}
		t.op.Attempt, t.op.ChangedUS = a.ID, now
		x.page.Operations.Put(t.op)
		x.page.Attempts.New(a)
		x.op, x.attempt = t.op, a
		x.asked = append(x.asked, a)
	}
}

// ask has the PSPs asked for the parts that were just submitted. done is closed when
// all have answered.
func (x *application) ask(done chan struct{}) {
	if done == nil {
		done = make(chan struct{})
	}
	left := new(atomic.Int32)
	left.Store(int32(len(x.asked))) //nolint:gosec // at most limit.MaxParts
	for _, a := range x.asked {
		x.page.Due.New(due.Now(a.ID.Raw(), due.Ask, x.page.NowUS(), x.page.Epoch(), &asking{payment: x.pay, attempt: a, done: done, left: left}))
	}
}

// giveUp ends a payout of which nothing was sent: all that is reserved is the
// customer's again.
func (x *application) giveUp(parts []part, s *sources, to payment.Status, code string, kind event.Kind) error {
	from, payee := x.pay.Status, x.attempt.Payee
	for _, t := range parts {
		x.op, x.attempt = t.op, payment.Attempt{Payee: payee, Amount: t.op.Amount}
		if err := x.release(s, code); err != nil {
			return err
		}
		x.page.Operations.Put(x.op)
	}
	x.attempt = parts[len(parts)-1].attempt
	x.attempt.Payee = payee
	if err := x.move(to); err != nil {
		return err
	}
	x.pay.Code, x.pay.Message = code, payment.CodeMessage(code)
	if err := x.endWindow(); err != nil {
		return err
	}
	x.record(kind, from, false)
	x.tell(payment.Review{})
	return nil
}

// release gives a part's share back.
func (x *application) release(s *sources, code string) error {
	if err := x.transfer(ledger.KindPayoutRelease, x.reserved(), x.payee()); err != nil {
		return err
	}
	if err := limit.Settle(s.list, x.op.ID, false); err != nil {
		return err
	}
	x.pay.RefundedMinor += x.op.Amount.Minor
	x.end(payment.OperationDecline, code)
	return nil
}

// reserveWindow counts a payout in what its customer is paid.
func reserveWindow(p *book.Page, of wallet, pay payment.Payment) error {
	c := of.customer
	w, e, err := payoutWindow(p, c, pay.Amount.Currency)
	if err != nil {
		return err
	}
	if err := e.Reserve(pay.ID, pay.Amount.Minor, p.NowUS()); err != nil {
		return &risk.Refusal{Code: risk.CodeVelocityLimited, Reason: risk.LimitReached, RetryAfterS: max(1, (e.FullUntil()-p.NowUS())/time.Second.Microseconds())}
	}
	w.Entries, w.ChangedUS = e.Encode(), p.NowUS()
	p.Windows.Put(w)
	if err := countRequest(p, c, pay); err != nil {
		return err
	}
	return paying(p, of, pay.Amount.Currency)
}

// paying puts a currency among those in which a customer has a window of payouts, on
// their row: so acts that count what they are paid need not look for it in the others.
// Of whom nothing is known, who has nothing, gets a row too: what is reserved next says so.
func paying(p *book.Page, w wallet, cur money.Currency) error {
	c, row := w.customer, customerOn(p, w)
	head, err := customer.DecodeHead(row.Limits)
	if err != nil {
		return fmt.Errorf("limits of %s: %w", c, err)
	}
	if slices.Contains(head.Paid, cur) {
		return nil
	}
	limits, err := customer.DecodeLimits(row.Limits)
	if err != nil {
		return fmt.Errorf("limits of %s: %w", c, err)
	}
	limits, _ = limits.PaidIn(cur)
	row.Limits = limits.Encode()
	p.Customers.Put(row)
	return nil
}

// countRequest counts that a payout was asked for, whatever becomes of it (rule V10).
func countRequest(p *book.Page, c id.Customer, pay payment.Payment) error {
	k := limit.WindowID(c, limit.Requests, pay.Amount.Currency)
	w, ok := p.Windows.Get(k)
	if !ok {
		w = limit.Window{ID: k, Customer: c, Kind: limit.Requests, Currency: pay.Amount.Currency}
	}
	e, err := limit.DecodeEntries(w.Entries)
	if err != nil {
		return fmt.Errorf("requests of %s: %w", c, err)
	}
	if w.Entries == "" {
		e.SinceUS = p.NowUS()
	}
	e.Add(pay.Amount.Minor, p.NowUS())
	w.Entries, w.ChangedUS = e.Encode(), p.NowUS()
	p.Windows.Put(w)
	return nil
}

func payoutWindow(p *book.Page, c id.Customer, cur money.Currency) (limit.Window, limit.Entries, error) {
	k := limit.WindowID(c, limit.Payouts, cur)
	w, ok := p.Windows.Get(k)
	if !ok {
		w = limit.Window{ID: k, Customer: c, Kind: limit.Payouts, Currency: cur}
	}
	e, err := limit.DecodeEntries(w.Entries)
	if err != nil {
		return w, e, fmt.Errorf("payouts of %s: %w", c, err)
	}
	if w.Entries == "" {
		e.SinceUS = p.NowUS()
	}
	return w, e, nil
}

// endWindow counts what a payout has come to: what was paid, or nothing. What was
// paid ends the span over which turnover is asked for (limits-and-risk.md 4.5): of all
// that was judged when it was let go. What came while it was on its way was not, and
// goes on counting.
func (x *application) endWindow() error {
	c, cur := x.wallet().customer, x.pay.Amount.Currency
	w, e, err := payoutWindow(x.page, c, cur)
	if err != nil {
		return err
	}
	now := x.page.NowUS()
	if x.pay.CapturedMinor > 0 {
		e.Use(x.pay.ID, x.pay.CapturedMinor, now)
		w.EverMinor += x.pay.CapturedMinor
	} else {
		e.Free(x.pay.ID)
	}
	w.Entries, w.ChangedUS = e.Encode(), now
	x.page.Windows.Put(w)
	if x.pay.CapturedMinor == 0 {
		return nil
	}
	r, _ := x.page.Reviews.Get(x.pay.ID.Raw())
	judged, err := letGoBy(x.pay.ID, r)
	if err != nil {
		return err
	}
	if v, ok := x.page.Windows.Get(limit.WindowID(c, limit.Deposits, cur)); ok && v.SinceMinor != 0 {
		v.SinceMinor, v.ChangedUS = min(v.SinceMinor, max(0, v.EverMinor-judged.DepositedEver)), now
		x.page.Windows.Put(v)
	}
	if v, ok := x.page.Windows.Get(limit.WindowID(c, limit.Play, cur)); ok && v.StakedMinor != 0 {
		v.StakedMinor, v.ChangedUS = min(v.StakedMinor, max(0, v.EverMinor-judged.StakedEver)), now
		x.page.Windows.Put(v)
	}
	return nil
}

// letGoBy is what a payout was judged by when all checks let it go the last time.
func letGoBy(k id.Payment, r payment.Review) (risk.PayoutFacts, error) {
	var log []risk.Record
	if err := json.Unmarshal([]byte(r.Log), &log); err != nil {
		return risk.PayoutFacts{}, fmt.Errorf("the decisions of payout %s: %w", k, err)
	}
	for _, record := range slices.Backward(log) {
		if !record.Again && record.Payout != nil {
			return *record.Payout, nil
		}
	}
	return risk.PayoutFacts{}, fmt.Errorf("payout %s: %w", k, errNoDecision)
}

// dueAt has a payout looked at again.
func (x *application) dueAt(us int64) {
	x.page.Due.Get(x.pay.ID.Raw())
	x.page.Due.Put(due.At(x.pay.ID.Raw(), due.Payout, us))
}

func (x *application) forgetPayoutDue() {
	if _, ok := x.page.Due.Get(x.pay.ID.Raw()); ok {
		x.page.Due.Delete(x.pay.ID.Raw())
	}
}

// How a case of a payout's review ends.
const (
	reviewPassed    = "passed"
	reviewRejected  = "rejected"
	reviewCancelled = "cancelled"
)

// CasePayoutReview: a payout waits for operators.
const CasePayoutReview = "payout_review"

// reviewCase opens the case of a payout that is held, or opens it again.
func (x *application) reviewCase(d risk.Decision) {
	about := id.Payout(x.pay.ID).String()
	if _, known := x.page.Cases.Get(caseKey(x.page.Bucket(), CasePayoutReview, about)); known {
		moveCase(x.page, CasePayoutReview, about, byPayout, payment.CaseStep{Did: "reopen", To: payment.CaseOpen, Note: "the payout waits again"}, payment.CaseState.Settled)
		return
	}
	rules := []string{}
	for _, h := range d.Hits() {
		if !h.Shadow && !h.Released {
			rules = append(rules, h.Rule)
		}
	}
	openCase(x.page, x.pay.ID, x.caseCustomer(), CasePayoutReview, about, map[string]any{
		"amount": x.pay.Amount, "check": d.Check, "rules": rules, "approvals": d.Approvals, "approver": d.Approver,
	})
}

// closeReview closes the case of a payout that waits no more, if there is one.
func (x *application) closeReview(resolution string) {
	moveCase(x.page, CasePayoutReview, id.Payout(x.pay.ID).String(), byPayout, payment.CaseStep{Did: "close", To: payment.CaseClosed, How: resolution}, unsettled)
}
