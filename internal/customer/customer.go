// Package customer has the person who pays. Its fields are the least that a
// payment needs; the merchant's own id names the customer within a project.
package customer

import (
	"slices"
	"strings"

	"aorta/internal/id"
)

// Customer is one payer of one merchant.
type Customer struct {
	ID         id.Customer
	MerchantID int64
	Name       string // the merchant's id of the customer, as first sent
	Currencies string // in which there ever was money of theirs, "EUR,INR"
	CreatedUS  int64
}

// KeyOf gives the id of a merchant's customer. It follows from the two, so it
// needs no look-up, and lies in the customer's bucket.
func KeyOf(b id.Bucket, merchant, name string) id.Customer {
	return id.Customer(id.Derive(b, "customer", merchant, name))
}

// With gives the customer with a currency among theirs.
func (c Customer) With(currency string) Customer {
	switch list := c.List(); {
	case slices.Contains(list, currency):
	case len(list) == 0:
		c.Currencies = currency
	default:
		c.Currencies += "," + currency
	}
	return c
}

// List gives the customer's currencies, in the order in which they came.
func (c Customer) List() []string {
	if c.Currencies == "" {
		return nil
	}
	return strings.Split(c.Currencies, ",")
}
