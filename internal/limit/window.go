// Package limit has what a customer did lately, as exact figures that acts read
// and change together with the money (limits-and-risk.md section 0).
package limit

import (
	"math"

	"aorta/internal/id"
	"aorta/internal/money"
)

// Kind is what a window counts.
type Kind string

// The kinds of window.
const (
	Deposits Kind = "deposit"
	Payouts  Kind = "payout"
	Requests Kind = "request" // payouts that were asked for, whatever became of them
	Play     Kind = "play"    // stakes and wins
)

// Window is what a customer did lately of one kind in one currency.
type Window struct {
	ID          id.Window
	Customer    id.Customer
	Kind        Kind
	Currency    money.Currency
	EverMinor   int64  // deposits captured, payouts paid, the customer's own money staked, for ever
	SinceMinor  int64  // deposits captured since the last payout that was paid
	StakedMinor int64  // the customer's own money staked since then
	Entries     string // the newest, packed; empty of one that counts nothing yet
	Sources     string // of deposits: what each instrument has paid in and got back, as EncodeSources packs it
	ChangedUS   int64

	// LowerUS is, of deposits, when a limit of the customer's was last lowered, and
	// NotKnown while they are restricted: what began a while after it may be captured
	// without a look at the customer's row.
	LowerUS int64
}

// NotKnown in a window's LowerUS: only the customer's row tells whether money that comes
// now is theirs to play with.
const NotKnown = math.MaxInt64

// WindowID is the id of a customer's window: it needs no look-up, and lies with the customer.
func WindowID(c id.Customer, k Kind, cur money.Currency) id.Window {
	var text [32]byte // of the id, which so takes no memory
	return id.Window(id.Derive(c.Bucket(), "window", string(c.Append(text[:0])), string(k), string(cur)))
}
