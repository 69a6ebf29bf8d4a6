package flow

import (
	"context"
	"fmt"

	"aorta/internal/book"
	"aorta/internal/fop"
	"aorta/internal/payment"
)

// Linking is a call to link a wallet with a Google user.
type Linking struct {
	GoogleCall
	Token       string // Google Payment Token
	Association string // Google's public name of the link
	Evidence    Evidence
}

// LinkWallet links a wallet (associateAccount). What is declined keeps nothing of the
// token, and uses nothing up but a guess at a code.
//
// Errors: ErrOtherCall, ErrTokenTaken, ErrNoProof, ErrNoCode; those of the book, after
// which the same may come again.
func (f *Flows) LinkWallet(ctx context.Context, l Linking) (fop.Call, error) {
	if row, known, err := f.first(ctx, l.GoogleCall); err != nil || known {
		return row, err
	}
	terms, err := f.terms(l.Integration)
	if err != nil {
		return fop.Call{}, err
	}
	by, err := f.findEvidence(ctx, l.Integration, l.Evidence)
	if err != nil {
		return fop.Call{}, err
	}
	if by.none() {
		return fop.Call{}, ErrNoProof
	}
	hash := f.opts.Vault.TokenHash(l.Integration, l.Token)
	sealed, err := f.opts.Vault.Seal(l.Token, fop.TokenPlace(hash))
	if err != nil {
		return fop.Call{}, fmt.Errorf("link a wallet: %w", err)
	}
	byToken, byName := f.book.RefKey(fop.TokenScope(l.Integration), hash), f.book.RefKey(fop.AssociationScope(l.Integration), l.Association)
	if !f.book.SameHome(byToken.Bucket, by.bucket()) || !f.book.SameHome(byName.Bucket, by.bucket()) {
		return fop.Call{}, errTwoHomes
	}
	newID := fop.LinkID(by.bucket(), l.Integration, l.Association)
	hint := func(p *book.Page) {
		by.hint(p)
		p.Refs.Get(byToken)
		p.Refs.Get(byName)
		p.Associations.Get(newID)
	}
	return f.once(ctx, l.GoogleCall, "google.associate", by.bucket(), hint, func(p *book.Page, c *fop.Call) (Answered, error) {
		_, token := p.Refs.Get(byToken)
		_, name := p.Refs.Get(byName)
		p.Associations.Get(newID) // it is not there, unless its name is
		if token || name {
			return Answered{}, ErrTokenTaken
		}
		who, which, err := by.of(p)
		switch {
		case err != nil:
			return Answered{}, err
		case !which.IsZero() && by.proof.IsZero():
			return Answered{}, ErrNoCode
		case !which.IsZero() && which != newID:
			return Answered{}, ErrNoProof // they have authenticated for another link
		}
		row, ok := p.Customers.Get(who)
		if !ok {
			return Answered{}, fmt.Errorf("customer %s, who has authenticated, is not there", who)
		}
		k := fop.LinkedID(who)
		mine, ok := p.Linked.Get(k)
		if !ok {
			mine = fop.Linked{ID: k, Customer: who}
		}
		c.Customer = who
		if c.Result = heldAs(row); c.Result != fop.Success {
			return Answered{}, nil
		}
		if mine.Open >= fop.MaxOpen {
			c.Result = fop.NotEligible
			return Answered{}, nil
		}
		if c.Result = by.use(p, c); c.Result != fop.Success {
			return Answered{}, nil
		}
		link := fop.Association{
			ID: newID, Customer: who, Prev: mine.Newest, Call: c.ID, Integration: l.Integration, Name: l.Association,
			Token: sealed, TokenHash: hash, Account: who.String(), State: fop.AssociationActive, ExpiresUS: terms.expires(p),
			CreatedUS: p.NowUS(), ChangedUS: p.NowUS(),
		}
		c.Association = link.ID
		mine.Newest, mine.Open, mine.ChangedUS = link.ID, mine.Open+1, p.NowUS()
		p.Associations.Put(link)
		p.Linked.Put(mine)
		p.Refs.Put(payment.Ref{RefKey: byToken, Target: link.ID.Raw()})
		p.Refs.Put(payment.Ref{RefKey: byName, Target: link.ID.Raw()})
		return Answered{Association: link}, nil
	})
}

// expires is when a token ends that is given out now.
func (t GoogleTerms) expires(p *book.Page) int64 {
	if t.TokenTime == 0 {
		return 0
	}
	return p.NowUS() + t.TokenTime.Microseconds()
}

// Refreshing is a call to make a token good again.
type Refreshing struct {
	GoogleCall
	Token    string
	Evidence Evidence
}

// RefreshLink makes a token good for as long as a new one (refreshToken), whether it has
// ended or not, for the customer whose wallet it is.
//
// Errors: ErrOtherCall, ErrNoToken, ErrNoProof, ErrNoCode; those of the book.
func (f *Flows) RefreshLink(ctx context.Context, r Refreshing) (fop.Call, error) {
	if row, known, err := f.first(ctx, r.GoogleCall); err != nil || known {
		return row, err
	}
	terms, err := f.terms(r.Integration)
	if err != nil {
		return fop.Call{}, err
	}
	link, err := f.linkByToken(ctx, r.Integration, r.Token)
	if err != nil {
		return fop.Call{}, err
	}
	by, err := f.findEvidence(ctx, r.Integration, r.Evidence)
	if err != nil {
		return fop.Call{}, err
	}
	if by.none() {
		return fop.Call{}, ErrNoProof
	}
	hint := func(p *book.Page) {
		p.Associations.Get(link.ID)
		p.Customers.Get(link.Customer)
		if by.bucket() == p.Bucket() {
			by.hint(p)
		}
	}
	return f.once(ctx, r.GoogleCall, "google.refresh", link.ID.Bucket(), hint, func(p *book.Page, c *fop.Call) (Answered, error) {
		link, ok := p.Associations.Get(link.ID)
		if !ok {
			return Answered{}, ErrNoToken
		}
		if err := by.about(p, link); err != nil {
			return Answered{}, err
		}
		row, _ := p.Customers.Get(link.Customer)
		c.Customer, c.Association = link.Customer, link.ID
		if c.Result = closedAs(link); c.Result == fop.Success {
			c.Result = heldAs(row)
		}
		if c.Result == fop.Success {
			c.Result = by.use(p, c)
		}
		if c.Result == fop.Success {
			link.ExpiresUS, link.ChangedUS = terms.expires(p), p.NowUS()
			p.Associations.Put(link)
		}
		return Answered{Association: link}, nil
	})
}

// closedAs is what a closed link declines with; Success if it is open.
func closedAs(link fop.Association) fop.Result {
	if link.State == fop.AssociationActive {
		return fop.Success
	}
	switch link.Reason {
	case fop.ClosedByCustomer:
		return fop.TokenInvalidated
	case fop.ClosedForFraud:
		return fop.AccountFraud
	case fop.ClosedTakenOver:
		return fop.AccountTakenOver
	case fop.ClosedByHouse:
	}
	return fop.AccountClosed
}
