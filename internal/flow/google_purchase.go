package flow

import (
	"context"
	"fmt"
	"slices"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/money"
)

// Buying is a call to take money from a linked wallet.
type Buying struct {
	GoogleCall
	Token       string
	Amount      money.Amount // above zero
	Description string
	Evidence    Evidence // if the customer was challenged
}

// Purchase takes money from a linked wallet for Google, at once (capture). A decline is
// an answer: the call's result.
//
// Errors: ErrOtherCall, ErrNoToken, ErrNoProof, ErrNoCode; those of the book, after
// which the same call may come again.
func (f *Flows) Purchase(ctx context.Context, b Buying) (fop.Call, error) {
	if row, known, err := f.first(ctx, b.GoogleCall); err != nil || known {
		return row, err
	}
	x, err := f.buying(ctx, b)
	if err != nil {
		return fop.Call{}, err
	}
	return f.once(ctx, b.GoogleCall, "google.capture", x.link.Bucket(), x.hint, func(p *book.Page, c *fop.Call) (Answered, error) {
		if err := x.read(p, c); err != nil {
			return Answered{}, err
		}
		limit := x.judge(c)
		if c.Result == fop.Success && !x.affords(p) {
			c.Result = fop.InsufficientFunds
		}
		if c.Result == fop.Success {
			c.Result = x.by.use(p, c)
		}
		if c.Result != fop.Success {
			return Answered{Limit: limit}, nil
		}
		c.Prev, x.spent.Newest = x.spent.Newest, c.ID
		return Answered{}, x.take(p, c)
	})
}

// buy is a purchase on its way.
type buy struct {
	terms  GoogleTerms
	link   id.Association
	who    id.Customer
	wallet wallet
	google string // owner of the account that takes the money
	amount money.Amount
	by     evidence
	note   string

	// Read by the act.
	row    fop.Association
	owner  customer.Customer
	limits customer.Limits // of the owner, where exclusions stop purchases
	spent  fop.Spent
	sums   fop.Sums
}

func (f *Flows) buying(ctx context.Context, b Buying) (*buy, error) {
	link, err := f.linkByToken(ctx, b.Integration, b.Token)
	if err != nil {
		return nil, err
	}
	by, err := f.findEvidence(ctx, b.Integration, b.Evidence)
	if err != nil {
		return nil, err
	}
	x, err := f.buyingWith(ctx, link.ID, link.Customer, b.Name, b.Amount)
	if err != nil {
		return nil, err
	}
	x.by, x.note = by, b.Description
	return x, nil
}

// buyingWith is a purchase with a link. Whose wallet it is never changes.
func (f *Flows) buyingWith(ctx context.Context, link id.Association, who id.Customer, n fop.Name, a money.Amount) (*buy, error) {
	terms, err := f.terms(n.Integration)
	if err != nil {
		return nil, err
	}
	owner, there, err := f.read.Customer(ctx, who)
	if err != nil || !there {
		return nil, fmt.Errorf("read customer %s of a link (found %t): %w", who, there, err)
	}
	return &buy{terms: terms, link: link, who: who, wallet: wallet{terms.Project.Payee(owner.Name), who}, google: googleOwner(n), amount: a}, nil
}

// googleOwner is who owns the accounts of one of Google's accounts with us.
func googleOwner(n fop.Name) string { return "google:" + n.Integration + ":" + n.Account }

func (x *buy) available(b id.Bucket) id.Account {
	return ledger.AccountID(b, x.wallet.owner, ledger.Available, x.amount.Currency)
}

// hintMoney names the accounts between which it moves.
func (x *buy) hintMoney(p *book.Page) {
	p.Accounts.Get(x.available(p.Bucket()))
	p.Accounts.Get(ledger.AccountID(p.Bucket(), x.google, ledger.Receivable, x.amount.Currency))
}

// hint names the rows that the act will want.
func (x *buy) hint(p *book.Page) {
	p.Associations.Get(x.link)
	p.Customers.Get(x.who)
	p.Spent.Get(fop.SpentID(x.link))
	x.hintMoney(p)
	if !x.by.none() && x.by.bucket() == p.Bucket() {
		x.by.hint(p)
	}
}

// read reads what the purchase is judged by.
func (x *buy) read(p *book.Page, c *fop.Call) error {
	var ok bool
	if x.row, ok = p.Associations.Get(x.link); !ok {
		return ErrNoToken
	}
	if err := x.by.about(p, x.row); err != nil {
		return err
	}
	x.owner, _ = p.Customers.Get(x.who)
	if x.terms.ExclusionsStop {
		var err error
		if x.limits, err = customer.DecodeLimits(x.owner.Limits); err != nil {
			return fmt.Errorf("limits of %s: %w", x.who, err)
		}
	}
	k := fop.SpentID(x.link)
	if x.spent, ok = p.Spent.Get(k); !ok {
		x.spent = fop.Spent{ID: k, Association: x.link}
	}
	sums, err := fop.DecodeSums(x.spent.Sums)
	if err != nil {
		return fmt.Errorf("association %s: %w", x.link, err)
	}
	x.sums = sums.At(p.NowUS())
	c.Customer, c.Association, c.Amount, c.ChangedUS = x.who, x.link, x.amount, p.NowUS()
	if c.Description == "" {
		c.Description = x.note
	}
	return nil
}

// judge sets what the purchase is declined with before its money is looked at, or
// Success; and gives the bound that it passes.
func (x *buy) judge(c *fop.Call) (limit money.Amount) {
	if c.Result = closedAs(x.row); c.Result != fop.Success {
		return limit
	}
	if c.Result = heldAs(x.owner); c.Result != fop.Success {
		return limit
	}
	switch {
	case x.excluded(c.ChangedUS):
		c.Result = fop.AccountOnHold
	case x.row.ExpiresUS != 0 && c.ChangedUS >= x.row.ExpiresUS:
		c.Result = fop.TokenRefreshRequired
	case !slices.Contains(x.owner.List(), string(x.amount.Currency)):
		c.Result = fop.NoSuchCurrency
	default:
		for _, l := range x.terms.Limits {
			if l.Currency != x.amount.Currency {
				continue
			}
			var bound int64
			c.Result, bound = l.Refuses(x.amount.Minor, x.sums.Of(l.Currency))
			limit = money.Amount{Minor: bound, Currency: l.Currency}
		}
	}
	return limit
}

// excluded reports whether the customer may not play, where that stops purchases too.
func (x *buy) excluded(nowUS int64) bool {
	return x.terms.ExclusionsStop && x.owner.Restrained(x.limits, nowUS).Restriction != customer.Unrestricted
}

// affords reports whether the wallet has so much.
func (x *buy) affords(p *book.Page) bool {
	a, ok := p.Accounts.Get(x.available(p.Bucket()))
	return ok && a.Balance() >= x.amount.Minor
}

// take moves the money, and counts it.
func (x *buy) take(p *book.Page, c *fop.Call) error {
	sums, err := x.sums.Add(x.amount)
	if err != nil {
		return fmt.Errorf("association %s: %w", x.link, err)
	}
	t := ledger.Transfer{Kind: ledger.KindCaptureFOP, Project: x.terms.Project.ID, Name: c.ID.String(), Description: c.Description}
	t, _, err = post(p, t, x.wallet, x.amount.Currency,
		leg{accountName{x.wallet.owner, ledger.Available}, x.amount.Minor}, leg{accountName{x.google, ledger.Receivable}, -x.amount.Minor})
	if err != nil {
		return err
	}
	c.Transfer = t.ID
	x.spent.Sums, x.spent.ChangedUS = sums.Encode(), p.NowUS()
	p.Spent.Put(x.spent)
	return nil
}

// GivingBack is a call to give back what was captured, or a part of it.
type GivingBack struct {
	GoogleCall
	Capture string       // captureRequestId
	Amount  money.Amount // above zero
}

// GiveBack gives money of a capture back to the wallet that it came from (refund), also
// if the link is closed by now.
//
// Errors: ErrOtherCall, ErrNoCapture, ErrNotCaptured, ErrOtherCurrency, ErrOverRefund;
// those of the book.
func (f *Flows) GiveBack(ctx context.Context, g GivingBack) (fop.Call, error) {
	if row, known, err := f.first(ctx, g.GoogleCall); err != nil || known {
		return row, err
	}
	was, there, err := f.CallOf(ctx, fop.Name{Integration: g.Integration, Method: fop.CaptureNow, Account: g.Account, RequestID: g.Capture})
	if err != nil {
		return fop.Call{}, err
	}
	if !there {
		return fop.Call{}, ErrNoCapture
	}
	if was.Customer.IsZero() {
		return fop.Call{}, ErrNotCaptured
	}
	x, err := f.buyingWith(ctx, was.Association, was.Customer, g.Name, g.Amount)
	if err != nil {
		return fop.Call{}, err
	}
	hint := func(p *book.Page) {
		p.Calls.Get(was.ID)
		p.Customers.Get(x.who)
		x.hintMoney(p)
	}
	return f.once(ctx, g.GoogleCall, "google.refund", was.ID.Bucket(), hint, func(p *book.Page, c *fop.Call) (Answered, error) {
		capture, ok := p.Calls.Get(was.ID)
		owner, _ := p.Customers.Get(x.who)
		c.Customer, c.Association, c.About, c.Amount, c.Description = x.who, x.link, was.ID.Raw(), x.amount, capture.Description
		switch {
		case !ok || !capture.Captured():
			return Answered{}, ErrNotCaptured
		case capture.Amount.Currency != x.amount.Currency:
			return Answered{}, ErrOtherCurrency
		case capture.Left() == 0:
			c.Result = fop.NoMoneyLeft
			return Answered{}, nil
		case x.amount.Minor > capture.Left() && mutation != "overrefund":
			return Answered{}, ErrOverRefund
		}
		if c.Result = heldAs(owner); c.Result != fop.Success {
			return Answered{}, nil
		}
		t := ledger.Transfer{Kind: ledger.KindRefundFOP, Project: x.terms.Project.ID, Name: c.ID.String(), Description: c.Description}
		t, _, err := post(p, t, x.wallet, x.amount.Currency,
			leg{accountName{x.google, ledger.Receivable}, x.amount.Minor}, leg{accountName{x.wallet.owner, ledger.Available}, -x.amount.Minor})
		if err != nil {
			return Answered{}, err
		}
		c.Transfer, c.Prev = t.ID, capture.LastRefund
		capture.RefundedMinor, capture.LastRefund, capture.ChangedUS = capture.RefundedMinor+x.amount.Minor, c.ID, p.NowUS()
		p.Calls.Put(capture)
		return Answered{}, nil
	})
}
