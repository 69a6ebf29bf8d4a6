package flow

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"aorta/internal/customer"
	"aorta/internal/id"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/project"
)

// CustomerPayout is a payout of a licensed project as its own customer may see it.
type CustomerPayout struct {
	Payment payment.Payment
	Review  payment.Review // its reason says no more than the merchant is told
	Cancels bool           // the customer could cancel it when it was read
}

// CustomerNews is what a customer of a licensed project can be shown of themselves.
type CustomerNews struct {
	Standing CustomerStanding // limits, restrictions, and the newest of what happened
	Verified KYCView
	Payouts  []CustomerPayout // those under way, then those of which the notes tell; of each the newest first
}

// maxNews bounds the payouts that are shown.
const maxNews = 20

// NewsOf gives what a customer can be shown. All is found by primary key: payouts under
// way are named in the customer's windows, those that have ended in their notes, of
// which the newest are read.
//
// Errors: ErrNoRules, ErrNoWallet.
func (f *Flows) NewsOf(ctx context.Context, pr project.Project, customerID string) (CustomerNews, error) {
	var out CustomerNews
	var err error
	if out.Standing, err = f.StandingOf(ctx, pr, customerID); err != nil {
		return out, err
	}
	if out.Verified, err = f.Verification(ctx, pr, customerID); err != nil {
		return out, err
	}
	named, err := f.payoutsNamed(ctx, out.Standing)
	if err != nil {
		return out, err
	}
	for _, k := range named {
		p, ok, err := f.read.Payment(ctx, k)
		if err != nil || !ok {
			return out, fmt.Errorf("read payout %s (found %t): %w", id.Payout(k), ok, err)
		}
		if p.ProjectID == pr.ID { // another one of the merchant's has a page of its own
			out.Payouts = append(out.Payouts, CustomerPayout{Payment: p})
		}
	}
	slices.SortFunc(out.Payouts, func(a, b CustomerPayout) int {
		return cmp.Or(ended(a)-ended(b), cmp.Compare(b.Payment.CreatedUS, a.Payment.CreatedUS), b.Payment.ID.Compare(a.Payment.ID))
	})
	out.Payouts = out.Payouts[:min(len(out.Payouts), maxNews)]
	for n := range out.Payouts {
		if err := f.beside(ctx, &out.Payouts[n]); err != nil {
			return out, err
		}
	}
	return out, nil
}

// ended is 0 of a payout that is under way, and 1 of one that is not.
func ended(p CustomerPayout) int {
	if p.Payment.Status.Final() {
		return 1
	}
	return 0
}

// payoutsNamed are the payouts that a customer's windows and newest notes name.
func (f *Flows) payoutsNamed(ctx context.Context, s CustomerStanding) ([]id.Payment, error) {
	var out []id.Payment
	add := func(k id.Payment) {
		if !k.IsZero() && !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	for _, currency := range s.Customer.List() {
		w, _, err := f.read.Window(ctx, limit.WindowID(s.Customer.ID, limit.Payouts, money.Currency(currency)))
		if err != nil {
			return nil, fmt.Errorf("read window: %w", err)
		}
		entries, err := limit.DecodeEntries(w.Entries)
		if err != nil {
			return nil, fmt.Errorf("payouts of %s: %w", s.Customer.ID, err)
		}
		for _, e := range entries.List {
			add(e.Payment)
		}
	}
	for _, n := range s.Notes {
		if k, ok := PayoutOfNote(n); ok {
			add(k)
		}
	}
	return out, nil
}

// PayoutOfNote says of which payout a note tells the customer; false if of none.
func PayoutOfNote(n customer.Note) (id.Payment, bool) {
	var body struct {
		Payout id.Payout `json:"payout_id"`
	}
	if n.Kind != NotePayout || json.Unmarshal([]byte(n.Body), &body) != nil {
		return id.Payment{}, false
	}
	return id.Payment(body.Payout), true
}

// beside reads what a payout's row does not say.
func (f *Flows) beside(ctx context.Context, p *CustomerPayout) error {
	row, _, err := f.read.from.Review(ctx, p.Payment.ID.Raw())
	if err != nil {
		return fmt.Errorf("read review: %w", unread(err))
	}
	p.Review = row
	rules := f.opts.Rules(p.Payment.ProjectID)
	if p.Payment.Status.Final() || rules == nil || !rules.Payout.Cancel {
		return nil
	}
	v, err := f.Status(ctx, p.Payment, limit.MaxParts)
	p.Cancels = !slices.ContainsFunc(v.Operations, func(o OperationView) bool {
		return !o.Operation.Attempt.IsZero() || o.Operation.Status.Final()
	})
	return err
}

// Verifies reports whether anybody checks customers for a level.
func (f *Flows) Verifies(level int64) bool {
	_, ok := f.opts.Verifiers.For(level)
	return ok
}

// CancelByCustomer is CancelPayout by the customer themselves, on their own page. The
// payout of somebody else is payment.ErrNoPayment.
func (f *Flows) CancelByCustomer(ctx context.Context, pr project.Project, customerID string, k id.Payment) error {
	if int(k.Bucket()) >= f.book.Buckets() {
		return payment.ErrNoPayment
	}
	p, ok, err := f.read.Payment(ctx, k)
	switch {
	case err != nil:
		return fmt.Errorf("read payout: %w", err)
	case !ok || p.CustomerID != customerID || p.ProjectID != pr.ID:
		return payment.ErrNoPayment
	}
	_, _, err = f.CancelPayout(ctx, pr, k, operator.Automatic("customer", f.CustomerOf(pr, customerID).String()))
	if errors.Is(err, ErrState) {
		if now, _, read := f.read.Payment(ctx, k); read == nil && now.Status == payment.StatusCancelled {
			return nil // pressed twice
		}
	}
	return err
}
