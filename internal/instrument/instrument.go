// Package instrument has what a customer pays with, as far as we may know it:
// a PSP's token and a masked label. It never holds a card number.
package instrument

import "aorta/internal/id"

// Kind is what sort of instrument it is. A payout goes back to a customer's cards
// first, then to wallets, then to bank accounts (limits-and-risk.md section 4.6).
type Kind string

// The kinds, in that order.
const (
	Card   Kind = "card"
	Wallet Kind = "wallet"
	Bank   Kind = "bank"
)

// Instrument is one way to pay that belongs to one customer.
type Instrument struct {
	ID        id.Instrument
	Customer  id.Customer
	Connector string // who issued the token
	Account   string
	Token     string // the PSP's token; opaque to us
	Label     string // masked, for people: "Paytm ••••2211"
	CreatedUS int64
}
