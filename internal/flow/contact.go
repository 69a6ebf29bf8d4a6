package flow

import (
	"context"
	"fmt"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/project"
)

// Kinds of note of how a customer is reached. Neither has the number.
const (
	NoteContactSet     = "contact_set"
	NoteContactRemoved = "contact_removed"
)

// Contact is how a customer is reached.
type Contact struct {
	Phone customer.Phone // zero: they have given none
}

// SetContact sets the phone of a customer, whom the merchant has asked whether it is
// theirs: whoever has it can link their wallet. The zero Phone removes it. A customer
// who is not known yet is from now on.
//
// Errors: ErrNoWallet; those of the book.
func (f *Flows) SetContact(ctx context.Context, c CustomerChange, phone customer.Phone) error {
	if !c.Project.Wallet || c.CustomerID == "" {
		return ErrNoWallet
	}
	if !c.Note.IsZero() {
		if _, known, err := f.read.Note(ctx, c.Note); err != nil || known {
			return err // an earlier run of the same change
		}
	}
	bucket := c.Project.PaymentBucket(f.book.Buckets(), "", c.CustomerID)
	w := walletOf(bucket, c.Project.Payee(c.CustomerID))
	k := fop.LinkedID(w.customer)
	kind, sealed, hash := NoteContactRemoved, "", ""
	if !phone.IsZero() {
		var err error
		if sealed, err = f.opts.Vault.Seal(phone.Reveal(), fop.PhonePlace(k)); err != nil {
			return fmt.Errorf("set a contact: %w", err)
		}
		kind, hash = NoteContactSet, f.opts.Vault.PhoneHash(c.Project.MerchantID, phone.Reveal())
	}
	_, err := book.Do(ctx, f.book, book.Act[struct{}]{
		Name: "customer.contact", Bucket: bucket,
		Hint: func(p *book.Page) {
			p.Customers.Get(w.customer)
			p.Linked.Get(k)
		},
		Decide: func(p *book.Page) (struct{}, error) {
			mine, _ := p.Linked.Get(k)
			row := customerOn(p, w)
			if mine.PhoneHash == hash || !c.Note.IsZero() && row.LastNote == c.Note {
				return struct{}{}, nil // it is so already
			}
			n := customer.Note{ID: c.Note, Customer: row.ID, Prev: row.LastNote, Kind: kind, By: c.By.Name, Body: "{}", AtUS: p.NowUS()}
			if n.ID.IsZero() {
				n.ID = id.Note(p.Mint())
			}
			p.Notes.Append(n)
			row.LastNote = n.ID
			p.Customers.Put(row)
			mine.ID, mine.Customer, mine.Phone, mine.PhoneHash, mine.ChangedUS = k, row.ID, sealed, hash, p.NowUS()
			p.Linked.Put(mine)
			return struct{}{}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("set a contact: %w", err)
	}
	return nil
}

// ContactOf gives how a customer is reached. Errors: ErrNoWallet; fop.ErrSealed.
func (f *Flows) ContactOf(ctx context.Context, pr project.Project, customerID string) (Contact, error) {
	if !pr.Wallet || customerID == "" {
		return Contact{}, ErrNoWallet
	}
	k := fop.LinkedID(f.CustomerOf(pr, customerID))
	row, there, err := f.read.from.Linked(ctx, k)
	if err != nil || !there || row.Phone == "" {
		return Contact{}, unread(err)
	}
	number, err := f.opts.Vault.Open(row.Phone, fop.PhonePlace(k))
	if err != nil {
		return Contact{}, fmt.Errorf("the phone of customer %s: %w", row.Customer, err)
	}
	phone, err := customer.ParsePhone(number)
	if err != nil {
		return Contact{}, fmt.Errorf("the phone of customer %s: %w", row.Customer, err)
	}
	return Contact{phone}, nil
}

// Hidden is what is kept of a value that can be guessed, to tell one request from
// another by.
func (f *Flows) Hidden(text string) string { return f.opts.Vault.Print(text) }
