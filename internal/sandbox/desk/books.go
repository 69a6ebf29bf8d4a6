package desk

import "aorta/internal/sandbox/fault"

// MaxPage bounds a page of a provider's books.
const MaxPage = 10_000

// Entry is what every provider's own books say of one operation, whatever its
// protocol calls it. Amount is what moved, ReportedAmount what is told.
type Entry struct {
	Seq            int64           `json:"seq"`
	Kind           string          `json:"kind"`      // sale, refund, payout
	Account        string          `json:"account"`   // as the provider calls it
	Reference      string          `json:"reference"` // the platform's name of the operation
	Amount         string          `json:"amount"`
	AmountMinor    int64           `json:"amount_minor"`
	ReportedAmount string          `json:"reported_amount"`
	RefundedMinor  int64           `json:"refunded_minor"` // of a sale: refunds paid back
	Currency       string          `json:"currency"`
	State          string          `json:"state"` // sale: open, left, paid, failed; else: pending, paid, failed
	Behaviour      fault.Behaviour `json:"behaviour,omitempty"`
	CreatedUS      int64           `json:"created_us"`
	DecidedUS      int64           `json:"decided_us,omitempty"`
	Told           bool            `json:"told"` // no notification is outstanding
}

// Entry is the part of an entry that the fate says; kind is one of Entry.Kind,
// left says of a sale that its customer went away.
func (f *Fate) Entry(kind string, left bool) Entry {
	e := Entry{
		Seq: f.Seq, Kind: kind, State: string(f.State), Behaviour: f.Next, CreatedUS: f.CreatedUS, DecidedUS: f.DecidedUS, Told: f.Told,
	}
	switch {
	case f.State != Waiting:
	case kind != "sale":
		e.State = "pending"
	case left:
		e.State = "left"
	default:
		e.State = "open"
	}
	return e
}

// Books lists the operations after a cursor, oldest first, as entry shows those
// that are wanted. next is the cursor of the following page; more says whether
// there may be one. limit is bounded by MaxPage. It takes the lock.
func Books[O Operation, E any](d *Desk[O], after int64, limit int, entry func(O) (e E, wanted bool)) (page []E, next int64, more bool) {
	d.Lock()
	defer d.Unlock()
	page = []E{}
	next = min(max(after, 0), d.Len())
	limit = min(max(limit, 1), MaxPage)
	for _, o := range d.From(next) {
		if len(page) == limit {
			return page, next, true
		}
		next = o.Common().Seq
		if e, wanted := entry(o); wanted {
			page = append(page, e)
		}
	}
	return page, next, false
}
