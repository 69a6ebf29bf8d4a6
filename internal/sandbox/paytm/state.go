package paytm

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"aorta/internal/sandbox/desk"
	"aorta/internal/sandbox/fault"
)

// ist is the vendor's time zone; its texts carry no offset.
var ist = time.FixedZone("IST", 5*60*60+30*60)

// key finds an order by (MID, orderId) and a refund by (MID, refId).
type key struct{ mid, id string }

// fate is what orders and refunds have in common.
type fate struct {
	desk.Fate
	account *account
	paise   int64
}

// reported is the amount that answers and notifications carry.
func (f *fate) reported() int64 {
	if f.Next == fault.WrongAmount {
		return f.paise + wrongByPaise
	}
	return f.paise
}

type order struct {
	fate
	id       string
	customer string
	callback string
	unique   string // extendInfo.mercUnqRef, echoed back
	left     bool   // the customer was on the page and went away
	opened   bool   // the page was shown once; not remembered across restarts
	refunds  []*refund
}

type refund struct {
	fate
	order *order
	id    string
}

// record is one order or one refund.
type record struct {
	order  *order
	refund *refund
}

func (r record) fate() *fate {
	if r.order != nil {
		return &r.order.fate
	}
	return &r.refund.fate
}

// Common and Address are what the desk must know of a record.
func (r record) Common() *desk.Fate { return &r.fate().Fate }

// Address is where its account's notifications go.
func (r record) Address() string { return *r.account().notify.Load() }

func (r record) account() *account { return r.fate().account }

// usual is when a record decides itself, after its creation.
func (s *Simulator) usual(r record) time.Duration {
	if r.refund != nil {
		return s.opts.RefundAfter
	}
	return s.opts.DecideAfter
}

// line is one line of the journal: a new order or refund, or, with State or
// Left or Told alone, what became of the record named by Seq.
type line struct {
	Seq       int64           `json:"seq"`
	Kind      string          `json:"kind,omitempty"` // sale, refund
	MID       string          `json:"mid,omitempty"`
	ID        string          `json:"id,omitempty"`
	OrderSeq  int64           `json:"order,omitempty"`
	Paise     int64           `json:"paise,omitempty"`
	CreatedUS int64           `json:"created_us,omitempty"`
	Customer  string          `json:"customer,omitempty"`
	Callback  string          `json:"callback,omitempty"`
	Unique    string          `json:"unique,omitempty"`
	Next      fault.Behaviour `json:"next,omitempty"`
	DelayUS   int64           `json:"delay_us,omitempty"`
	State     desk.State      `json:"state,omitempty"`
	DecidedUS int64           `json:"decided_us,omitempty"`
	Left      bool            `json:"left,omitempty"`
	Told      bool            `json:"told,omitempty"`
}

// add remembers a new record. The caller holds the desk.
func (s *Simulator) add(r record) error {
	if err := s.desk.Add(r); err != nil {
		return err
	}
	s.index(r)
	return nil
}

// Line is the record as the journal keeps it.
func (r record) Line() any { return lineOf(r) }

func lineOf(r record) line {
	f := r.fate()
	l := line{
		Seq: f.Seq, MID: f.account.MID, Paise: f.paise, CreatedUS: f.CreatedUS,
		Next: f.Next, DelayUS: f.Delay.Microseconds(), Told: f.Told,
	}
	if f.State != waiting {
		l.State, l.DecidedUS = f.State, f.DecidedUS
	}
	if r.order != nil {
		l.Kind, l.ID = sale, r.order.id
		l.Customer, l.Callback, l.Unique, l.Left = r.order.customer, r.order.callback, r.order.unique, r.order.left
	} else {
		l.Kind, l.ID, l.OrderSeq = refunding, r.refund.id, r.refund.order.Seq
	}
	return l
}

// index puts a record into the indexes.
func (s *Simulator) index(r record) {
	if r.order != nil {
		s.orders[key{r.order.account.MID, r.order.id}] = r.order
		return
	}
	s.refunds[key{r.refund.account.MID, r.refund.id}] = r.refund
	r.refund.order.refunds = append(r.refund.order.refunds, r.refund)
}

// leave notes that the customer went away without paying. The caller holds s.desk.
func (s *Simulator) leave(o *order) error {
	if o.left {
		return nil
	}
	if err := s.desk.Write(line{Seq: o.Seq, Left: true}); err != nil {
		return err
	}
	o.left = true
	return nil
}

// Load takes one journal line; see journal.Keeper. It is for use before Start.
func (s *Simulator) Load(text []byte) error {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return err
	}
	if l.Kind != "" {
		return s.loadNew(l)
	}
	if l.Seq < 1 || l.Seq > s.desk.Len() {
		return fmt.Errorf("no record has the number %d", l.Seq)
	}
	l.apply(s.desk.From(l.Seq - 1)[0])
	return nil
}

func (s *Simulator) loadNew(l line) error {
	a := s.accounts[l.MID]
	if a == nil {
		return fmt.Errorf("MID %q is not configured", l.MID)
	}
	if l.Seq != s.desk.Len()+1 {
		return fmt.Errorf("record %d follows record %d", l.Seq, s.desk.Len())
	}
	f := fate{account: a, paise: l.Paise, Fate: desk.Fate{
		Seq: l.Seq, CreatedUS: l.CreatedUS, State: waiting, Next: l.Next, Delay: time.Duration(l.DelayUS) * time.Microsecond, Moves: l.Kind != sale,
	}}
	var r record
	if l.Kind == sale {
		r.order = &order{fate: f, id: l.ID, customer: l.Customer, callback: l.Callback, unique: l.Unique}
	} else {
		if l.OrderSeq < 1 || l.OrderSeq >= l.Seq || s.desk.From(l.OrderSeq - 1)[0].order == nil {
			return fmt.Errorf("refund %d has no order", l.Seq)
		}
		r.refund = &refund{fate: f, id: l.ID, order: s.desk.From(l.OrderSeq - 1)[0].order}
	}
	s.desk.Keep(r)
	s.index(r)
	l.apply(r)
	return nil
}

// apply replays what the line says became of r.
func (l line) apply(r record) {
	r.Common().Replay(desk.Change{Seq: l.Seq, State: l.State, DecidedUS: l.DecidedUS, Told: l.Told})
	if r.order != nil {
		r.order.left = r.order.left || l.Left
	}
}

// Dump emits the present state; see journal.Keeper.
func (s *Simulator) Dump(emit func(line []byte) error) error { return s.desk.Dump(emit) }

// Entry is one order or refund as the vendor's own books have it, for
// reconciliation.
type Entry struct {
	desk.Entry
	MID      string `json:"mid"`
	OrderID  string `json:"order_id"`
	TxnID    string `json:"txn_id"`
	RefID    string `json:"ref_id,omitempty"`
	RefundID string `json:"refund_id,omitempty"`
}

// Journal lists the records after a cursor, of one MID or of all when mid is
// empty; see desk.Books.
func (s *Simulator) Journal(mid string, after int64, limit int) (entries []Entry, next int64, more bool) {
	return desk.Books(s.desk, after, limit, func(r record) (Entry, bool) {
		return r.entry(), mid == "" || r.account().MID == mid
	})
}

func (r record) entry() Entry {
	f := r.fate()
	var e Entry
	if r.order != nil {
		e = Entry{Entry: f.Entry(sale, r.order.left), OrderID: r.order.id, TxnID: r.order.txnID()}
		e.Reference, e.RefundedMinor = e.OrderID, r.order.refunded()
	} else {
		o := r.refund.order
		e = Entry{Entry: f.Entry(refunding, false), OrderID: o.id, TxnID: o.txnID(), RefID: r.refund.id, RefundID: r.refund.refundID()}
		e.Reference = e.RefID
	}
	e.MID, e.Account, e.Currency = f.account.MID, f.account.MID, "INR"
	e.Amount, e.AmountMinor, e.ReportedAmount = rupees(f.paise), f.paise, rupees(f.reported())
	return e
}

// refunded is what was paid back, in paise.
func (o *order) refunded() int64 {
	var sum int64
	for _, r := range o.refunds {
		if r.State == paid {
			sum += r.paise
		}
	}
	return sum
}

// refundable is what may still be asked back, pending refunds counted as gone.
func (o *order) refundable() int64 {
	rest := o.paise
	for _, r := range o.refunds {
		if r.State != failed {
			rest -= r.paise
		}
	}
	return rest
}

// txnID, bankTxnID and refundID are made from what is remembered anyway, so
// they are the same after a restart.
func (o *order) txnID() string {
	return vendorID(o.CreatedUS, "800110168", o.Seq)
}

func (o *order) bankTxnID() string {
	if o.State != paid {
		return ""
	}
	return strconv.FormatInt(100_000_000_000+o.Seq, 10)
}

func (r *refund) refundID() string {
	return vendorID(r.CreatedUS, "801300168", r.Seq)
}

func vendorID(us int64, middle string, seq int64) string {
	return time.UnixMicro(us).In(ist).Format("20060102150405") + middle + fmt.Sprintf("%012d", seq)
}

// vendorTime is "yyyy-MM-dd HH:mm:ss.S" in IST (paytm.md section 4).
func vendorTime(us int64) string {
	return time.UnixMicro(us).In(ist).Format("2006-01-02 15:04:05.0")
}

// token is the order's page token. It is derived rather than stored, so that a
// restart keeps it; nobody without the merchant key can make one.
func (o *order) token() string {
	h := hmac.New(sha256.New, []byte(o.account.Key))
	fmt.Fprintf(h, "%s|%s|%d", o.account.MID, o.id, o.CreatedUS)
	return hex.EncodeToString(h.Sum(nil)[:16]) + strconv.FormatInt(o.CreatedUS/1000, 10)
}

func (s *Simulator) expired(o *order) bool {
	return s.clock().After(time.UnixMicro(o.CreatedUS).Add(tokenLife))
}

// paise reads a decimal text of rupees with at most two places, the way the
// vendor takes it. Zero and more than ten digits before the point are refused.
func paise(text string) (int64, bool) {
	digits := make([]byte, 0, 12)
	places := -1
	for i := range len(text) {
		switch c := text[i]; {
		case c == '.' && places < 0 && i > 0:
			places = 0
		case '0' <= c && c <= '9' && places < 2:
			digits = append(digits, c)
			if places >= 0 {
				places++
			}
		default:
			return 0, false
		}
	}
	if places == 0 {
		return 0, false
	}
	digits = append(digits, slices.Repeat([]byte{'0'}, 2-max(places, 0))...)
	if len(digits) > 12 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(digits), 10, 64)
	return n, err == nil && n > 0
}

// rupees is the vendor's text of an amount: "25.00".
func rupees(paise int64) string {
	return fmt.Sprintf("%d.%02d", paise/100, paise%100)
}
