package flow

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/project"
)

// What becomes of the parts of a payout once they are sent. The payout stands where
// its parts make it stand, and ends when all of them have.

// inParts reports whether the attempt is of a payout that was checked and split.
func (x *application) inParts() bool {
	return x.attempt.Kind == payment.KindPayout && x.attempt.Way != ""
}

// partPaid: a PSP has paid the customer a part.
func (x *application) partPaid() error {
	if err := x.transfer(ledger.KindPayoutSettle, x.reserved(), x.clearing()); err != nil {
		return err
	}
	s, err := sourcesOf(x.page, x.wallet().customer, x.attempt.Amount.Currency)
	if err != nil {
		return err
	}
	if err := limit.Settle(s.list, x.op.ID, true); err != nil {
		return err
	}
	s.save(x.page)
	if _, asked := x.attempt.By(); asked != "" && x.out.Instrument.Token != "" && x.out.Instrument.Token != asked {
		// Its money has moved, so it is booked; that it went elsewhere is for a person.
		x.open(CaseMismatch, map[string]any{"asked": asked, "said": x.out.Instrument.Token})
	}
	x.attempt.Status = payment.AttemptApproved
	x.end(payment.OperationSuccess, payment.CodeSuccess)
	x.pay.CapturedMinor += x.attempt.Amount.Minor
	return x.stand(true)
}

// partFailed: a part will not be paid. Its share is the customer's again.
func (x *application) partFailed() error {
	s, err := sourcesOf(x.page, x.wallet().customer, x.attempt.Amount.Currency)
	if err != nil {
		return err
	}
	if n, _ := limit.ShareOf(s.list, x.op.ID); n >= 0 && x.out.Unusable {
		s.list[n].Unusable = true
	}
	code := x.out.Code
	if code == "" {
		code = payment.CodeGeneralDecline
	}
	if err := x.release(&s, code); err != nil {
		return err
	}
	s.save(x.page)
	return x.stand(false)
}

// maxSends bounds how often a part is sent that PSPs provably did not take, and
// sendFor for how long since the first time: after that its share goes back.
const (
	maxSends = 8
	sendFor  = 24 * time.Hour
)

// partNotSent: proved that the PSP did not take a part. It waits, and is sent again
// under a new reference.
func (x *application) partNotSent() error {
	x.attempt.Status = payment.AttemptNotSent
	rules, now := x.rules(), x.page.NowUS()
	sends, firstUS := sends(x.page, x.attempt)
	if rules == nil || !rules.Payout.Defer || sends >= maxSends || now-firstUS >= sendFor.Microseconds() {
		return x.partFailed()
	}
	next := now + (time.Minute << (sends - 1)).Microseconds()
	if was, ok := x.page.Due.Get(x.pay.ID.Raw()); ok {
		next = min(next, was.DueUS)
	}
	x.dueAt(next)
	if r, ok := x.page.Reviews.Get(x.pay.ID.Raw()); ok {
		r.NextUS = next
		x.page.Reviews.Put(r)
	}
	return x.stand(false)
}

// sends is how many attempts a part has had up to the newest, and when the first was made.
func sends(p *book.Page, newest payment.Attempt) (n int, firstUS int64) {
	n, firstUS = 1, newest.CreatedUS
	for prev := newest.Prev; !prev.IsZero(); n++ {
		a, _ := p.Attempts.Get(prev)
		prev, firstUS = a.Prev, a.CreatedUS
	}
	return n, firstUS
}

// partUnknown: the answer was lost, and the part is looked up. The attempt is the
// caller's to save.
func (x *application) partUnknown() error {
	if mutation == "resend" {
		return x.partNotSent()
	}
	return x.regard(false)
}

// stand saves a part that has changed, with the payout as its parts make it stand.
func (x *application) stand(paid bool) error {
	if err := x.regard(paid); err != nil {
		return err
	}
	return x.saveAll()
}

// regard moves the payout to where its parts make it stand. paid: one has just been
// paid, which is told whether or not it moves.
func (x *application) regard(paid bool) error {
	from, to := x.pay.Status, x.standing()
	if to == from && !paid {
		x.page.Payments.Put(x.pay)
		return nil
	}
	if to != from {
		if err := x.move(to); err != nil {
			return err
		}
	}
	if to.Final() {
		x.pay.Code, x.pay.Message = payment.CodeSuccess, payment.CodeMessage(payment.CodeSuccess)
		if to == payment.StatusFailed {
			x.pay.Code, x.pay.Message = x.op.Code, payment.CodeMessage(x.op.Code)
		}
		if err := x.endWindow(); err != nil {
			return err
		}
		x.forgetPayoutDue()
	}
	x.record(standings[to], from, false)
	r, ok := x.page.Reviews.Get(x.pay.ID.Raw())
	if ok && to.Final() {
		r.State, r.Reason, r.NextUS, r.ChangedUS = reviewClosed, "", 0, x.page.NowUS()
		x.page.Reviews.Put(r)
	}
	if to.Final() || to == payment.StatusDeferred {
		x.tell(r)
	}
	x.page.Payments.Put(x.pay)
	return nil
}

// standings are the kinds of event that tell where parts have brought a payout.
var standings = map[payment.Status]event.Kind{
	payment.StatusDeferred: event.PayoutDeferred, payment.StatusUnknown: event.PayoutUnknown, payment.StatusPartiallyPaid: event.PayoutPartly,
	payment.StatusPaid: event.PayoutPaid, payment.StatusFailed: event.PayoutFailed,
}

// standing is where the parts make the payout stand: ended, when all have; else by
// what is known least of.
func (x *application) standing() payment.Status {
	parts := partsOf(x.page, &x.pay)
	open, flying, unknown := false, false, false
	for _, t := range parts {
		if t.op.ID == x.op.ID {
			t = part{x.op, x.attempt}
		}
		open = open || !t.op.Status.Final()
		flying = flying || !t.op.Status.Final() && !t.waits()
		unknown = unknown || !t.op.Status.Final() && t.attempt.Status == payment.AttemptUnknown
	}
	switch {
	case !open && x.pay.CapturedMinor == 0:
		return payment.StatusFailed
	case !open:
		return payment.StatusPaid
	case x.pay.CapturedMinor > 0:
		return payment.StatusPartiallyPaid
	case unknown, flying && x.pay.Status == payment.StatusUnknown: // one that was lost and is found stays so until it ends
		return payment.StatusUnknown
	case flying:
		return payment.StatusSubmitting
	}
	return payment.StatusDeferred
}

// routes knows which PSP accounts take no payouts at present, as far as this process
// has seen: it is a signal, which makes payouts wait, and guards nothing.
type routes struct {
	mu  sync.Mutex
	psp map[string]health
}

type health struct {
	misses  int // one after another
	untilUS int64
}

// After so many payouts that an account did not take or answer, others wait.
const (
	maxMisses = 3
	downFor   = time.Minute      // then one is tried, and for twice as long if it is missed too
	downMost  = 16 * time.Minute // at most
)

// heard notes how a PSP account has answered when it was asked for a payout.
func (r *routes) heard(psp string, kind connector.Kind, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if kind != connector.NotSent && kind != connector.Unknown {
		delete(r.psp, psp)
		return
	}
	if r.psp == nil {
		r.psp = map[string]health{}
	}
	h := r.psp[psp]
	h.misses++
	if over := h.misses - maxMisses; over >= 0 {
		h.untilUS = now.Add(min(downFor<<min(over, 8), downMost)).UnixMicro()
	}
	r.psp[psp] = h
}

// down gives the accounts that are not asked now, and until when.
func (r *routes) down(now time.Time) map[string]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out map[string]int64
	for psp, h := range r.psp {
		if h.untilUS > now.UnixMicro() {
			if out == nil {
				out = map[string]int64{}
			}
			out[psp] = h.untilUS
		}
	}
	return out
}

// unsent reports whether no part was ever sent.
func unsent(parts []part) bool {
	return !slices.ContainsFunc(parts, func(t part) bool { return !t.attempt.ID.IsZero() || t.op.Status.Final() })
}

// PartView is a part of a payout as doors show it.
type PartView struct {
	Operation  payment.Operation
	Method     string        // by which it goes; empty of one that was given back before it was sent
	Instrument id.Instrument // to which it goes; zero as above
	Label      string        // of the instrument, masked; empty if the PSP named none
}

// PartsOf gives the parts of a payout that was checked, the first first.
func (f *Flows) PartsOf(ctx context.Context, pay payment.Payment, r payment.Review) ([]PartView, error) {
	v, err := f.Status(ctx, pay, limit.MaxParts)
	if err != nil {
		return nil, err
	}
	list, err := f.sources(ctx, r.Customer, pay.Amount.Currency)
	if err != nil {
		return nil, err
	}
	out := make([]PartView, len(v.Operations))
	for n, o := range v.Operations {
		out[n].Operation = o.Operation
		if at, _ := limit.ShareOf(list, o.Operation.ID); at >= 0 {
			out[n].Method, out[n].Instrument = list[at].Method, list[at].Instrument
		} else if a := o.Attempt; a.Way != "" {
			out[n].Method, _ = a.By()
			out[n].Instrument = instrumentID(r.Customer, a.Connector, a.Account, a.Way)
		}
		if out[n].Instrument.IsZero() {
			continue
		}
		if out[n].Label, err = f.labelOf(ctx, out[n].Instrument); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// PartsBegun is PartsOf of a payout that was begun just now, and whose row is as it was
// begun, without reading them again; false where it goes in several parts, or waits: then
// more of it may have moved than the row says.
func (f *Flows) PartsBegun(ctx context.Context, b Begun) ([]PartView, bool, error) {
	if b.Attempt.Way == "" || !b.Operation.Prev.IsZero() || b.Attempt.Operation != b.Operation.ID {
		return nil, false, nil
	}
	v := PartView{Operation: b.Operation, Instrument: instrumentID(b.Review.Customer, b.Attempt.Connector, b.Attempt.Account, b.Attempt.Way)}
	v.Method, _ = b.Attempt.By()
	var err error
	v.Label, err = f.labelOf(ctx, v.Instrument)
	return []PartView{v}, true, err
}

// sources reads a customer's, outside acts.
func (f *Flows) sources(ctx context.Context, c id.Customer, cur money.Currency) ([]limit.Source, error) {
	row, _, err := f.read.Window(ctx, limit.WindowID(c, limit.Deposits, cur))
	if err != nil {
		return nil, fmt.Errorf("read sources: %w", err)
	}
	list, err := limit.DecodeSources(row.Sources)
	if err != nil {
		return nil, fmt.Errorf("sources of %s: %w", c, err)
	}
	return list, nil
}

func (f *Flows) labelOf(ctx context.Context, k id.Instrument) (string, error) {
	row, _, err := f.read.Instrument(ctx, k)
	if err != nil {
		return "", fmt.Errorf("read instrument: %w", err)
	}
	return row.Label, nil
}

// InstrumentView is something that a customer has paid with, in one currency.
type InstrumentView struct {
	Source   limit.Source
	Currency money.Currency
	Label    string
	Payouts  bool // whether it can be paid out to
}

// Instruments gives what a customer of a project with rules has paid with, in the
// order in which payouts go back there. ErrNoWallet.
func (f *Flows) Instruments(ctx context.Context, pr project.Project, customerID string) ([]InstrumentView, error) {
	w, currencies, err := f.currencies(ctx, pr, customerID)
	if err != nil {
		return nil, err
	}
	var out []InstrumentView
	for _, cur := range currencies {
		list, err := f.sources(ctx, w.customer, cur)
		if err != nil {
			return nil, err
		}
		limit.Order(list)
		for _, s := range list {
			label, err := f.labelOf(ctx, s.Instrument)
			if err != nil {
				return nil, err
			}
			_, pays := f.PaysOut(s.Connector, s.Account)
			out = append(out, InstrumentView{Source: s, Currency: cur, Label: label, Payouts: pays && !s.Unusable})
		}
	}
	return out, nil
}
