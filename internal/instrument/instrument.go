// Package instrument has what a customer pays with, as far as we may know it:
// a PSP's token and a masked label. It never holds a card number.
package instrument

import "aorta/internal/id"

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
