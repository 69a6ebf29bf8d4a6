// Package due has the Due row: what must happen after an act, and by when.
//
// Whatever leaves the house because of an act (a PSP call, a callback, a timer)
// is a due row written by that act, so nothing is sent that was not committed
// and nothing committed is forgotten (design section 2).
package due

import "aorta/internal/id"

// Kind is the work to do; it names the flow that knows how.
type Kind string

// The kinds of work.
const (
	Ask      Kind = "ask"       // attempt: call the PSP
	AskLater Kind = "ask_later" // attempt: call the PSP when the time comes; nothing was sent yet
	Watch    Kind = "watch"     // attempt: look it up, or end it at its limit time
	Deliver  Kind = "deliver"   // delivery: send the callback
	Notice   Kind = "notice"    // inbox row: apply the notification
	Payout   Kind = "payout"    // payout: go on with one that waited
	Check    Kind = "check"     // check: start it, look it up, end what it proved
	Float    Kind = "float"     // claim on a float: end it with its payout
	Link     Kind = "link"      // customer: tell their restriction to the customers who are the same person

	Tell      Kind = "tell"      // what Google must hear: call Google
	Purchase  Kind = "purchase"  // asynchronous capture: decline it, if the customer has said nothing
	Code      Kind = "code"      // code: give it to who sends SMS
	Statement Kind = "statement" // statement, or a bucket's share of it: read on, pay
)

// Due is one piece of work. A subject has at most one at a time, so the
// subject's id is the row's key: an attempt's row turns from Ask to Watch.
type Due struct {
	ID    id.Raw // the subject: an attempt, a delivery, an inbox row
	Kind  Kind
	DueUS int64 // not before; for leased work, when the lease ends
	Owner int64 // epoch of the process that has leased it; 0: nobody
	Tries int64

	// Carry is what the writer already knows of the subject. It is not stored:
	// it spares the process that leased the work the reading, nothing more.
	Carry any
}

// LeaseUS is how long work belongs to the process that took it: 30 s.
const LeaseUS = 30_000_000

// Now is work that the writing process takes at once.
func Now(subject id.Raw, k Kind, nowUS, epoch int64, carry any) Due {
	return Due{ID: subject, Kind: k, DueUS: nowUS + LeaseUS, Owner: epoch, Carry: carry}
}

// Claim is the work of d taken by a process whose time for it has come. From
// then on something may be sent, so AskLater is stored as Ask: should this
// process die, the next one must not think that nothing was. Carry tells the
// taker what it was.
func (d Due) Claim(nowUS, epoch int64) Due {
	d.Carry = d.Kind
	if d.Kind == AskLater {
		d.Kind = Ask
	}
	d.DueUS, d.Owner = nowUS+LeaseUS, epoch
	d.Tries++
	return d
}

// At is a timer.
func At(subject id.Raw, k Kind, atUS int64) Due {
	return Due{ID: subject, Kind: k, DueUS: atUS}
}
