package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/project"
)

// Proving is that a customer has signed in where Google has sent them, and agrees.
type Proving struct {
	Project     project.Project
	Integration string
	RequestID   string // of the redirect: the name of the proof
	Association string // associationId that the redirect named, of a link that may not be there yet; empty: none
	CustomerID  string // the merchant's name of who has signed in
	How         string // "password", "passkey", "operator"
	Lasts       time.Duration
}

var (
	// ErrProofTaken: the redirect's requestId has proved somebody else, or is used up or
	// over, or it names a link that is closed or somebody else's. It is for good.
	ErrProofTaken = errors.New("the redirect cannot prove this customer")
	// ErrHeld: the customer is frozen or closed, and nothing is linked.
	ErrHeld = errors.New("the customer's account is on hold")
)

// Prove writes the proof by which Google may link the customer's wallet, once. The
// same again gives the proof that is there, as long as nobody has used it.
//
// Errors: ErrProofTaken, ErrHeld, ErrNoWallet; those of the book, after which the same
// may be asked for again.
func (f *Flows) Prove(ctx context.Context, g Proving) (fop.Proof, error) {
	if !g.Project.Wallet || g.CustomerID == "" {
		return fop.Proof{}, ErrNoWallet
	}
	who := f.CustomerOf(g.Project, g.CustomerID)
	link, known, err := f.LinkOf(ctx, g.Integration, g.Association)
	switch {
	case err != nil:
		return fop.Proof{}, err
	case known && link.Customer != who:
		return fop.Proof{}, ErrProofTaken
	}
	of := link.ID // the link that is proved for
	if !known && g.Association != "" {
		of = fop.LinkID(who.Bucket(), g.Integration, g.Association)
	}
	key := f.book.RefKey(fop.ProofScope(g.Integration), g.RequestID)
	own := f.book.SameHome(key.Bucket, who.Bucket())
	var reserved id.Proof
	if !own {
		owner, err := f.book.Reserve(ctx, key, f.book.Mint(who.Bucket()))
		if err != nil {
			return fop.Proof{}, fmt.Errorf("reserve proof: %w", err)
		}
		if owner.Bucket() != who.Bucket() {
			return fop.Proof{}, ErrProofTaken // a name stays with whom it was first used for
		}
		reserved = id.Proof(owner)
	}
	return book.Do(ctx, f.book, book.Act[fop.Proof]{
		Name: "google.prove", Bucket: who.Bucket(),
		Hint: func(p *book.Page) {
			p.Customers.Get(who)
			if own {
				p.Refs.Get(key)
			}
			if !of.IsZero() {
				p.Associations.Get(of)
			}
		},
		Decide: func(p *book.Page) (fop.Proof, error) {
			return prove(p, g, who, of, key, own, reserved)
		},
	})
}

// prove is the act of Prove. With own it writes the name itself; else reserved has it.
func prove(p *book.Page, g Proving, who id.Customer, link id.Association, key payment.RefKey, own bool, reserved id.Proof) (fop.Proof, error) {
	if own {
		if ref, named := p.Refs.Get(key); named {
			if ref.Target.Bucket() != who.Bucket() {
				return fop.Proof{}, ErrProofTaken
			}
			reserved = id.Proof(ref.Target)
		}
	}
	if !reserved.IsZero() {
		if row, there := p.Proofs.Get(reserved); there {
			if row.Customer != who || row.Association != link || !row.Good(p.NowUS()) {
				return fop.Proof{}, ErrProofTaken
			}
			return row, nil
		}
	}
	c := meet(p, who, &g.Project, g.CustomerID)
	limits, err := customer.DecodeLimits(c.Limits)
	if err != nil {
		return fop.Proof{}, fmt.Errorf("limits of %s: %w", who, err)
	}
	if r := c.Restrained(limits, p.NowUS()).Restriction; r == customer.Frozen || r == customer.Closed {
		return fop.Proof{}, ErrHeld
	}
	if !link.IsZero() {
		if a, there := p.Associations.Get(link); there && a.State == fop.AssociationClosed {
			return fop.Proof{}, ErrProofTaken
		}
	}
	row := fop.Proof{
		ID: reserved, Customer: who, Association: link, Integration: g.Integration, Name: g.RequestID, State: fop.ProofProven, How: g.How,
		UntilUS: p.NowUS() + g.Lasts.Microseconds(), CreatedUS: p.NowUS(), ChangedUS: p.NowUS(),
	}
	if row.ID.IsZero() {
		row.ID = id.Proof(p.Mint())
		p.Proofs.New(row)
	} else {
		p.Proofs.Put(row)
	}
	if own {
		p.Refs.Put(payment.Ref{RefKey: key, Target: row.ID.Raw()})
	}
	return row, nil
}

// ProofOf finds the proof of a redirect. That there is none proves nothing.
func (f *Flows) ProofOf(ctx context.Context, integration, requestID string) (fop.Proof, bool, error) {
	k, named, err := f.book.Find(ctx, fop.ProofScope(integration), requestID)
	if err != nil || !named {
		return fop.Proof{}, false, unread(err)
	}
	row, there, err := f.read.from.Proof(ctx, id.Proof(k))
	return row, there, unread(err)
}

// LinkOf finds a link by Google's public name of it; of no name there is none.
func (f *Flows) LinkOf(ctx context.Context, integration, associationID string) (fop.Association, bool, error) {
	if associationID == "" {
		return fop.Association{}, false, nil
	}
	k, named, err := f.book.Find(ctx, fop.AssociationScope(integration), associationID)
	if err != nil || !named {
		return fop.Association{}, false, unread(err)
	}
	row, there, err := f.read.from.Association(ctx, id.Association(k))
	return row, there, unread(err)
}
