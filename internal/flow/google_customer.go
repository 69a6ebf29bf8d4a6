package flow

import (
	"context"
	"errors"
	"fmt"

	"aorta/internal/book"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/project"
)

// CustomerLink is a link of a customer's wallet with a Google user, as they see it.
type CustomerLink struct {
	Association fop.Association
	Last        fop.Call   // the newest purchase that took money; its ID is zero: none did
	Waiting     []fop.Call // purchases that wait for the customer, the newest first
}

// ErrNoLink: the customer has no such link.
var ErrNoLink = errors.New("no such link")

// Bounds of what is read for a customer's page.
const (
	maxLinksRead     = 200 // links, closed ones among them
	maxPurchasesRead = 50  // purchases of one link
)

// LinksOf gives the open links of a customer, the newest first.
func (f *Flows) LinksOf(ctx context.Context, pr project.Project, customerID string) ([]CustomerLink, error) {
	mine, there, err := f.read.from.Linked(ctx, fop.LinkedID(f.CustomerOf(pr, customerID)))
	if err != nil || !there {
		return nil, unread(err)
	}
	var out []CustomerLink
	next := mine.Newest
	for read := 0; !next.IsZero() && read < maxLinksRead && int64(len(out)) < mine.Open; read++ {
		row, there, err := f.read.from.Association(ctx, next)
		if err != nil || !there {
			return nil, fmt.Errorf("read association %s (found %t): %w", next, there, unread(err))
		}
		if next = row.Prev; row.State != fop.AssociationActive {
			continue
		}
		link := CustomerLink{Association: row}
		if err := f.purchases(ctx, &link); err != nil {
			return nil, err
		}
		out = append(out, link)
	}
	return out, nil
}

// purchases reads what was bought with a link, as far as its page shows it.
func (f *Flows) purchases(ctx context.Context, link *CustomerLink) error {
	spent, there, err := f.read.from.Spent(ctx, fop.SpentID(link.Association.ID))
	if err != nil || !there {
		return unread(err)
	}
	next := spent.Newest
	for read := 0; !next.IsZero() && read < maxPurchasesRead; read++ {
		c, there, err := f.read.from.Call(ctx, next)
		if err != nil || !there {
			return fmt.Errorf("read call %s (found %t): %w", next, there, unread(err))
		}
		switch {
		case c.State == fop.CallWaiting:
			link.Waiting = append(link.Waiting, c)
		case c.Captured() && link.Last.ID.IsZero():
			link.Last = c
		}
		if !link.Last.ID.IsZero() && int64(len(link.Waiting)) >= spent.Waiting {
			return nil
		}
		next = c.Prev
	}
	return nil
}

// CloseLink closes a link, as its customer wishes: purchases with it are declined from
// now on, refunds still arrive. One that is closed stays as it is.
//
// Errors: ErrNoLink; those of the book.
func (f *Flows) CloseLink(ctx context.Context, pr project.Project, customerID string, link id.Association) error {
	who := f.CustomerOf(pr, customerID)
	if link.Bucket() != who.Bucket() {
		return ErrNoLink
	}
	k := fop.LinkedID(who)
	_, err := book.Do(ctx, f.book, book.Act[struct{}]{
		Name: "google.close", Bucket: who.Bucket(),
		Hint: func(p *book.Page) { p.Associations.Get(link); p.Linked.Get(k) },
		Decide: func(p *book.Page) (struct{}, error) {
			row, there := p.Associations.Get(link)
			if !there || row.Customer != who {
				return struct{}{}, ErrNoLink
			}
			if row.State == fop.AssociationClosed {
				return struct{}{}, nil
			}
			mine, there := p.Linked.Get(k)
			if !there || mine.Open <= 0 {
				return struct{}{}, fmt.Errorf("customer %s has an open link and counts %d of them (found %t)", who, mine.Open, there)
			}
			mine.Open, mine.ChangedUS = mine.Open-1, p.NowUS()
			p.Associations.Put(row.Close(fop.ClosedByCustomer, p.NowUS()))
			p.Linked.Put(mine)
			return struct{}{}, nil
		},
	})
	return err
}
