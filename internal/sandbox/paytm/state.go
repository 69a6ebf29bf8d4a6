package paytm

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"aorta/internal/sandbox/fault"
)

// state is where an order or a refund stands at the vendor.
type state string

const (
	waiting state = "waiting"
	paid    state = "paid" // of a refund: paid back
	failed  state = "failed"
)

// ist is the vendor's time zone; its texts carry no offset.
var ist = time.FixedZone("IST", 5*60*60+30*60)

// key finds an order by (MID, orderId) and a refund by (MID, refId).
type key struct{ mid, id string }

// fate is what orders and refunds have in common.
type fate struct {
	account   *account
	seq       int64 // from 1, without gaps, orders and refunds together
	paise     int64
	createdUS int64
	decidedUS int64
	state     state
	next      fault.Behaviour
	delay     time.Duration // of the fault rule; 0 means the simulator's own
	copies    uint8         // notifications still under way
	told      bool          // nothing is left to be told
	taken     bool          // the platform has answered 2xx to a notification; not remembered across restarts
}

// reported is the amount that answers and notifications carry.
func (f *fate) reported() int64 {
	if f.next == fault.WrongAmount {
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

// plan is what a fault rule makes of it. A refund on which no rule fell succeeds.
func (r record) plan() plan {
	f := r.fate()
	switch {
	case r.refund != nil && f.next == fault.None:
		return plans[fault.Approve]
	case r.refund != nil && f.next == fault.Timeout:
		return plan{becomes: paid}
	}
	return plans[f.next]
}

// due is when the record decides itself, after its creation.
func (s *Simulator) due(r record) time.Duration {
	f := r.fate()
	usual := s.opts.DecideAfter
	if r.refund != nil {
		usual = s.opts.RefundAfter
	}
	if f.next == fault.Late {
		usual = s.opts.LateAfter
	}
	if f.next == fault.Timeout {
		return 0 // a refund that is done; only the answer never comes
	}
	if f.next == fault.Slow {
		return orElse(f.delay, s.opts.SlowFor) + usual
	}
	return orElse(f.delay, usual)
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
	State     state           `json:"state,omitempty"`
	DecidedUS int64           `json:"decided_us,omitempty"`
	Left      bool            `json:"left,omitempty"`
	Told      bool            `json:"told,omitempty"`
}

// write journals a line. The caller holds s.mu, so lines lie in order of seq.
func (s *Simulator) write(l line) error {
	if s.opts.Append == nil {
		return nil
	}
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return s.opts.Append(text)
}

// errFull means that Options.MaxRecords are remembered.
var errFull = errors.New("too many orders and refunds")

// add gives a new record its number, remembers it and, when a fault rule is to
// decide it, puts that on the agenda. The caller holds s.mu.
func (s *Simulator) add(r record) error {
	if len(s.records) >= s.opts.MaxRecords {
		return errFull
	}
	f := r.fate()
	f.seq = int64(len(s.records)) + 1
	f.state = waiting
	f.createdUS = s.clock().UnixMicro()
	if err := s.write(lineOf(r)); err != nil {
		return err
	}
	s.keep(r)
	s.schedule(r)
	return nil
}

func lineOf(r record) line {
	f := r.fate()
	l := line{
		Seq: f.seq, MID: f.account.MID, Paise: f.paise, CreatedUS: f.createdUS,
		Next: f.next, DelayUS: f.delay.Microseconds(), Told: f.told,
	}
	if f.state != waiting {
		l.State, l.DecidedUS = f.state, f.decidedUS
	}
	if r.order != nil {
		l.Kind, l.ID = sale, r.order.id
		l.Customer, l.Callback, l.Unique, l.Left = r.order.customer, r.order.callback, r.order.unique, r.order.left
	} else {
		l.Kind, l.ID, l.OrderSeq = refunding, r.refund.id, r.refund.order.seq
	}
	return l
}

// keep puts a record into the indexes.
func (s *Simulator) keep(r record) {
	s.records = append(s.records, r)
	if r.order != nil {
		s.orders[key{r.order.account.MID, r.order.id}] = r.order
		return
	}
	s.refunds[key{r.refund.account.MID, r.refund.id}] = r.refund
	r.refund.order.refunds = append(r.refund.order.refunds, r.refund)
}

func (s *Simulator) schedule(r record) {
	f := r.fate()
	if f.state == waiting && r.plan().becomes != waiting {
		s.agenda.push(task{dueUS: f.createdUS + s.due(r).Microseconds(), seq: f.seq, kind: decideTask})
	}
}

// settle decides a record, once, and has it told. The caller holds s.mu.
func (s *Simulator) settle(r record, to state) error {
	f := r.fate()
	if f.state != waiting {
		return nil
	}
	now := s.clock().UnixMicro()
	told := r.plan().copies == 0
	if err := s.write(line{Seq: f.seq, State: to, DecidedUS: now, Told: told}); err != nil {
		return err
	}
	f.state, f.decidedUS, f.told = to, now, told
	s.send(r)
	return nil
}

// leave notes that the customer went away without paying. The caller holds s.mu.
func (s *Simulator) leave(o *order) error {
	if o.left {
		return nil
	}
	if err := s.write(line{Seq: o.seq, Left: true}); err != nil {
		return err
	}
	o.left = true
	return nil
}

// send puts a decided record's notifications on the agenda. Without an address
// they wait for SetNotifyURL. The caller holds s.mu.
func (s *Simulator) send(r record) {
	f := r.fate()
	if f.state == waiting || f.told || f.copies > 0 || *f.account.notify.Load() == "" {
		return
	}
	f.copies = r.plan().copies
	now := s.clock().UnixMicro()
	for i := range f.copies {
		due := now
		if i == 2 { // "duplicate": two at once, then one when the first are done or nearly
			due += (20 * time.Millisecond).Microseconds()
		}
		s.agenda.push(task{dueUS: due, seq: f.seq, kind: tellTask})
	}
}

// resume puts on the agenda what a restart interrupted.
func (s *Simulator) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.records {
		s.schedule(r)
		s.send(r)
	}
}

// resend sends what an account has not been told.
func (s *Simulator) resend(a *account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.records {
		if r.fate().account == a {
			s.send(r)
		}
	}
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
	if l.Seq < 1 || l.Seq > int64(len(s.records)) {
		return fmt.Errorf("no record has the number %d", l.Seq)
	}
	r := s.records[l.Seq-1]
	l.apply(r)
	return nil
}

func (s *Simulator) loadNew(l line) error {
	a := s.accounts[l.MID]
	if a == nil {
		return fmt.Errorf("MID %q is not configured", l.MID)
	}
	if l.Seq != int64(len(s.records))+1 {
		return fmt.Errorf("record %d follows record %d", l.Seq, len(s.records))
	}
	f := fate{
		account: a, seq: l.Seq, paise: l.Paise, createdUS: l.CreatedUS, state: waiting,
		next: l.Next, delay: time.Duration(l.DelayUS) * time.Microsecond,
	}
	var r record
	if l.Kind == sale {
		r.order = &order{fate: f, id: l.ID, customer: l.Customer, callback: l.Callback, unique: l.Unique}
	} else {
		if l.OrderSeq < 1 || l.OrderSeq >= l.Seq || s.records[l.OrderSeq-1].order == nil {
			return fmt.Errorf("refund %d has no order", l.Seq)
		}
		r.refund = &refund{fate: f, id: l.ID, order: s.records[l.OrderSeq-1].order}
	}
	s.keep(r)
	l.apply(r)
	return nil
}

// apply replays what the line says became of r.
func (l line) apply(r record) {
	f := r.fate()
	if l.State != "" {
		f.state, f.decidedUS = l.State, l.DecidedUS
	}
	f.told = f.told || l.Told
	if r.order != nil {
		r.order.left = r.order.left || l.Left
	}
}

// Dump emits the present state; see journal.Keeper.
func (s *Simulator) Dump(emit func(line []byte) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.records {
		text, err := json.Marshal(lineOf(r))
		if err != nil {
			return err
		}
		if err := emit(text); err != nil {
			return err
		}
	}
	return nil
}

// Entry is one order or refund as the vendor's own books have it, for
// reconciliation. Amount is what was paid, ReportedAmount what is told.
type Entry struct {
	Seq            int64           `json:"seq"`
	Kind           string          `json:"kind"` // sale, refund
	MID            string          `json:"mid"`
	OrderID        string          `json:"order_id"`
	TxnID          string          `json:"txn_id"`
	RefID          string          `json:"ref_id,omitempty"`
	RefundID       string          `json:"refund_id,omitempty"`
	Amount         string          `json:"amount"`
	AmountMinor    int64           `json:"amount_minor"`
	ReportedAmount string          `json:"reported_amount"`
	RefundedMinor  int64           `json:"refunded_minor"` // of a sale: refunds paid back
	Currency       string          `json:"currency"`
	State          string          `json:"state"` // sale: open, left, paid, failed; refund: pending, paid, failed
	Behaviour      fault.Behaviour `json:"behaviour,omitempty"`
	CreatedUS      int64           `json:"created_us"`
	DecidedUS      int64           `json:"decided_us,omitempty"`
	Told           bool            `json:"told"` // no notification is outstanding
}

// Journal lists the records after a cursor, oldest first, of one MID or of all
// when mid is empty. next is the cursor of the following page; more says whether
// there may be one. limit is bounded by 10,000.
func (s *Simulator) Journal(mid string, after int64, limit int) (entries []Entry, next int64, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entries = []Entry{}
	next = min(max(after, 0), int64(len(s.records)))
	limit = min(max(limit, 1), maxJournal)
	for _, r := range s.records[next:] {
		if len(entries) == limit {
			return entries, next, true
		}
		next = r.fate().seq
		if mid == "" || r.fate().account.MID == mid {
			entries = append(entries, r.entry())
		}
	}
	return entries, next, false
}

func (r record) entry() Entry {
	f := r.fate()
	e := Entry{
		Seq: f.seq, MID: f.account.MID, Amount: rupees(f.paise), AmountMinor: f.paise,
		ReportedAmount: rupees(f.reported()), Currency: "INR", State: string(f.state), Behaviour: f.next,
		CreatedUS: f.createdUS, DecidedUS: f.decidedUS, Told: f.told,
	}
	if r.order != nil {
		e.Kind, e.OrderID, e.TxnID = sale, r.order.id, r.order.txnID()
		e.RefundedMinor = r.order.refunded()
		switch {
		case f.state == waiting && r.order.left:
			e.State = "left"
		case f.state == waiting:
			e.State = "open"
		}
		return e
	}
	e.Kind, e.OrderID, e.TxnID = refunding, r.refund.order.id, r.refund.order.txnID()
	e.RefID, e.RefundID = r.refund.id, r.refund.refundID()
	if f.state == waiting {
		e.State = "pending"
	}
	return e
}

// refunded is what was paid back, in paise.
func (o *order) refunded() int64 {
	var sum int64
	for _, r := range o.refunds {
		if r.state == paid {
			sum += r.paise
		}
	}
	return sum
}

// refundable is what may still be asked back, pending refunds counted as gone.
func (o *order) refundable() int64 {
	rest := o.paise
	for _, r := range o.refunds {
		if r.state != failed {
			rest -= r.paise
		}
	}
	return rest
}

// txnID, bankTxnID and refundID are made from what is remembered anyway, so
// they are the same after a restart.
func (o *order) txnID() string {
	return vendorID(o.createdUS, "800110168", o.seq)
}

func (o *order) bankTxnID() string {
	if o.state != paid {
		return ""
	}
	return strconv.FormatInt(100_000_000_000+o.seq, 10)
}

func (r *refund) refundID() string {
	return vendorID(r.createdUS, "801300168", r.seq)
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
	fmt.Fprintf(h, "%s|%s|%d", o.account.MID, o.id, o.createdUS)
	return hex.EncodeToString(h.Sum(nil)[:16]) + strconv.FormatInt(o.createdUS/1000, 10)
}

func (s *Simulator) expired(o *order) bool {
	return s.clock().After(time.UnixMicro(o.createdUS).Add(tokenLife))
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
