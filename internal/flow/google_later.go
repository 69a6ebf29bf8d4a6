package flow

import (
	"context"
	"errors"
	"fmt"

	"aorta/internal/book"
	"aorta/internal/due"
	"aorta/internal/fop"
	"aorta/internal/id"
)

// An asynchronous purchase waits for its customer to confirm it. It ends once: by what
// they say, or by its time; and the act that ends it has Google told of it.
//
//	begun: waiting ─▶ confirmed: as a purchase at once │ refused, or its time is over: declined

var (
	// ErrNoPurchase: the customer has no such purchase that waits for them, or has.
	ErrNoPurchase = errors.New("no such purchase")
	// ErrPurchaseOver: it has ended, or its time is over.
	ErrPurchaseOver = errors.New("the purchase has ended")
)

// BeginPurchase has a purchase wait for the customer (asynchronousCapture). One that is
// declined whatever they say is over at once, by its due work, and Google hears why in the
// same way.
//
// Errors: ErrOtherCall, ErrNoToken; those of the book.
func (f *Flows) BeginPurchase(ctx context.Context, b Buying) (fop.Call, error) {
	if row, known, err := f.first(ctx, b.GoogleCall); err != nil || known {
		return row, err
	}
	x, err := f.buying(ctx, b)
	if err != nil {
		return fop.Call{}, err
	}
	return f.once(ctx, b.GoogleCall, "google.begin", x.link.Bucket(), x.hint, func(p *book.Page, c *fop.Call) (Answered, error) {
		if err := x.read(p, c); err != nil {
			return Answered{}, err
		}
		x.judge(c)
		declined := c.Result != fop.Success
		c.State, c.Result, c.LimitUS = fop.CallWaiting, "", p.NowUS()+x.terms.AsyncTime.Microseconds()
		work := due.At(c.ID.Raw(), due.Purchase, c.LimitUS)
		if declined {
			c.LimitUS, work = p.NowUS(), due.Now(c.ID.Raw(), due.Purchase, p.NowUS(), p.Epoch(), nil)
		}
		c.Prev, x.spent.Newest, x.spent.Waiting, x.spent.ChangedUS = x.spent.Newest, c.ID, x.spent.Waiting+1, p.NowUS()
		p.Spent.Put(x.spent)
		p.Due.New(work)
		return Answered{}, nil
	})
}

// ConfirmPurchase ends a purchase that waits as its customer says. Whoever has not got
// the money can get it and confirm again, as long as there is time.
//
// Errors: ErrNoPurchase, ErrPurchaseOver, ErrInsufficient; those of the book.
func (f *Flows) ConfirmPurchase(ctx context.Context, who id.Customer, k id.Call, agreed bool) (fop.Call, error) {
	c, err := f.PurchaseOf(ctx, who, k)
	if err != nil {
		return fop.Call{}, err
	}
	return f.end(ctx, "google.confirm", c, func(p *book.Page, x *buy, c *fop.Call) error {
		if p.NowUS() >= c.LimitUS {
			return ErrPurchaseOver // the work that is due ends it
		}
		if !agreed {
			c.Result = fop.NotConfirmed
			return nil
		}
		if x.judge(c); c.Result != fop.Success {
			return nil
		}
		if !x.affords(p) {
			return ErrInsufficient
		}
		return x.take(p, c)
	})
}

// PurchaseOf gives a purchase of a customer's that waits for them, or has.
//
// Errors: ErrNoPurchase; book.ErrNotRun.
func (f *Flows) PurchaseOf(ctx context.Context, who id.Customer, k id.Call) (fop.Call, error) {
	c, err := f.waiting(ctx, k)
	if err == nil && c.Customer != who {
		err = ErrNoPurchase
	}
	if err != nil {
		return fop.Call{}, err
	}
	return c, nil
}

// expirePurchase ends a purchase whose customer has said nothing, or that was declined
// from the beginning: with that decline, if it is still so.
func (f *Flows) expirePurchase(ctx context.Context, d due.Due) error {
	c, err := f.waiting(ctx, id.Call(d.ID))
	if err == nil {
		_, err = f.end(ctx, "google.expire", c, func(_ *book.Page, x *buy, c *fop.Call) error {
			if x.judge(c); c.Result == fop.Success {
				c.Result = fop.NotConfirmed
			}
			return nil
		})
	}
	if errors.Is(err, ErrPurchaseOver) {
		return nil // who ended it took its work with it
	}
	return err
}

func (f *Flows) waiting(ctx context.Context, k id.Call) (fop.Call, error) {
	if int(k.Bucket()) >= f.book.Buckets() {
		return fop.Call{}, ErrNoPurchase
	}
	c, there, err := f.read.from.Call(ctx, k)
	switch {
	case err != nil:
		return fop.Call{}, unread(err)
	case !there || c.Method != fop.CaptureLater:
		return fop.Call{}, ErrNoPurchase
	}
	return c, nil
}

// end ends a purchase as decide says, and has Google told.
func (f *Flows) end(ctx context.Context, act string, c fop.Call, decide func(*book.Page, *buy, *fop.Call) error) (fop.Call, error) {
	x, err := f.buyingWith(ctx, c.Association, c.Customer, c.Name, c.Amount)
	if err != nil {
		return fop.Call{}, err
	}
	out, err := book.Do(ctx, f.book, book.Act[fop.Call]{
		Name: act, Bucket: c.ID.Bucket(),
		Hint: func(p *book.Page) {
			p.Calls.Get(c.ID)
			p.Due.Get(c.ID.Raw())
			x.hint(p)
		},
		Decide: func(p *book.Page) (fop.Call, error) {
			c, _ := p.Calls.Get(c.ID)
			if c.State != fop.CallWaiting {
				return fop.Call{}, ErrPurchaseOver
			}
			if err := x.read(p, &c); err != nil {
				return fop.Call{}, err
			}
			if err := decide(p, x, &c); err != nil {
				return fop.Call{}, err
			}
			c.State = fop.CallDone
			// take has put the row with its sums; what no longer waits is in it or not yet.
			spent, _ := p.Spent.Get(x.spent.ID)
			spent.Waiting, spent.ChangedUS = spent.Waiting-1, p.NowUS()
			p.Spent.Put(spent)
			p.Calls.Put(c)
			p.Due.Get(c.ID.Raw())
			p.Due.Delete(c.ID.Raw())
			tellCaptured(p, c)
			return c, nil
		},
	})
	if err != nil {
		return fop.Call{}, fmt.Errorf("%s: %w", act, err)
	}
	return out, nil
}
