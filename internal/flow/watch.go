package flow

import (
	"context"
	"errors"
	"fmt"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/due"
	"aorta/internal/id"
	"aorta/internal/payment"
)

// watch looks an attempt up at its PSP, and ends a sale whose time is over.
// The look-up comes first even then: a customer may have paid in the last
// second, and news is cheaper to take than late success is to settle.
func (f *Flows) watch(ctx context.Context, d due.Due) error {
	a, ok, err := f.read.Attempt(ctx, id.Attempt(d.ID))
	if err != nil || !ok {
		return fmt.Errorf("read attempt to watch (found %t): %w", ok, err)
	}
	if a.Kind == payment.KindSale && a.Status.Final() {
		return f.expire(ctx, a) // the PSP has said its last word: what ends here is the offer to try again
	}
	_, err = f.Confirm(ctx, a, d)
	nobody := errors.Is(err, ErrNoConnector) // to ask: the account is not configured any more
	switch {
	case err != nil && !nobody:
		return err
	case a.Kind == payment.KindSale:
		return f.expire(ctx, a) // by its time, as any other
	case nobody:
		return f.Apply(ctx, a, connector.Outcome{Kind: connector.Unknown}) // looked up later, and a case in the end
	}
	return nil
}

// expire declines a sale with code 603 if its limit time is over and nothing
// has settled it (ecommpay.md section 5). The attempt keeps its status: the
// PSP has not said no, and may yet say yes. A payment that waits for its
// customer to try again is declined as its last try was.
func (f *Flows) expire(ctx context.Context, known payment.Attempt) error {
	f.look(ctx, known.Payee)
	told := f.opts.Endpoints()
	_, err := book.Do(ctx, f.book, book.Act[struct{}]{
		Name: "sale.expire", Bucket: known.ID.Bucket(), Background: true,
		Hint: func(p *book.Page) {
			p.Attempts.Get(known.ID)
			p.Operations.Get(known.Operation)
			p.Payments.Get(known.Payment)
			p.Due.Get(known.ID.Raw())
		},
		Decide: func(p *book.Page) (struct{}, error) {
			pay, ok := p.Payments.Get(known.Payment)
			x := application{page: p, licence: f.ofProject, endpoints: told, pay: pay}
			x.attempt, _ = p.Attempts.Get(known.ID)
			x.op, _ = p.Operations.Get(known.Operation)
			switch {
			case !ok || pay.Status.Final() || !x.current():
				if x.attempt.Status.Final() {
					x.forgetDue()
				}
				return struct{}{}, nil
			case pay.RetryOffered():
				return struct{}{}, x.expireRetry()
			case p.NowUS() < pay.LimitUS && mutation != "expire":
				return struct{}{}, nil
			}
			return struct{}{}, x.declinePayment(payment.CodeAutoDecline)
		},
	})
	if err != nil {
		return fmt.Errorf("expire %s: %w", known.ID, err)
	}
	return nil
}
