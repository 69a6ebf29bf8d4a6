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

	// Of customers of a project with rules alone; else zero and empty.
	Level             int64       // of verification, 0 to 3
	LevelUntilUS      int64       // when it ends; 0: it does not
	Restriction       Restriction // what they may not do
	RestrictedUntilUS int64       // when it ends by itself; 0: it does not
	EndingUS          int64       // when they asked for its end; 0: they have not
	Limits            string      // their own, as Limits packs them
	Person            id.Raw      // who they are known to be; zero: nobody knows
	Checks            string      // what is known of that, as Verification packs it
	Review            int64       // open cases that make their payouts wait
	LastNote          id.Note     // the newest of their history; each names the one before it
}

// Restriction is what keeps a customer from paying in and from playing
// (limits-and-risk.md section 1.3).
type Restriction string

// The restrictions.
const (
	Unrestricted     Restriction = ""
	CoolOff          Restriction = "cool_off"          // chosen, ends by itself, and not before
	SelfExcluded     Restriction = "self_excluded"     // chosen, ends only when asked for, and not before its time
	OperatorExcluded Restriction = "operator_excluded" // by the house
	RegistryExcluded Restriction = "registry_excluded" // by a register of the state
	Frozen           Restriction = "frozen"            // by a sanctions list: nothing moves
	Closed           Restriction = "closed"            // the account is closed: what is left may leave
)

// Note is a step in the history of a customer's limits, restrictions and
// verification, or what they were told. It is never changed.
type Note struct {
	ID       id.Note
	Customer id.Customer
	Prev     id.Note // the one before it
	Kind     string  // "limit_set", "restricted", "level"
	By       string  // who did it: "player", an operator's name, "rules"
	Body     string  // JSON
	AtUS     int64
}

// Check is one verification of who a customer is, by a provider.
type Check struct {
	ID        id.Check
	Customer  id.Customer
	Level     int64      // that passing it gives
	State     CheckState // where it stands
	Provider  string     // who verifies
	Reference string     // the provider's name for it
	Reason    string     // why it failed
	Facts     string     // JSON: keyed hashes of who they are, and nothing that a person could read
	CreatedUS int64
	ChangedUS int64
	UntilUS   int64 // when what it proved ends; 0: it does not
}

// CheckState says where a Check stands.
type CheckState string

// The states of a check.
const (
	CheckOpen    CheckState = "open"
	CheckPassed  CheckState = "passed"
	CheckFailed  CheckState = "failed"
	CheckExpired CheckState = "expired"
)

// Person is who several customers are: its id follows from a keyed hash of name,
// date of birth and document, and lies in a bucket of its own.
type Person struct {
	ID        id.Person
	Members   string // JSON: the customers
	ChangedUS int64
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
