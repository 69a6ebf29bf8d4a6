package generic

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"aorta/internal/sandbox/desk"
	"aorta/internal/sandbox/fault"
)

// key finds an operation by its account, its kind and the platform's reference.
type key struct{ account, kind, reference string }

// operation is a payment, a refund or a payout.
type operation struct {
	desk.Fate
	account *account
	order
	of      *operation // of a refund: its payment
	left    bool       // the customer was on the page and went away
	why     string     // of a payment that failed at a step of its own: the reason
	refunds []*operation
}

// order is what the platform asked for. The same reference again must ask for the
// same.
type order struct {
	kind        string
	reference   string
	paymentID   string
	method      string
	minor       int64
	currency    string
	customer    string
	description string
	destination string
	returnURL   string
	notifyURL   string
}

// instrument is a customer's card, wallet or bank account, as it is told.
type instrument struct {
	Token  string `json:"token"`
	Kind   string `json:"kind"`
	Label  string `json:"label"`
	Holder string `json:"holder"`
}

// makers are who issues the instruments, by method.
var makers = map[string]string{"card": "Visa", "wallet": "Purse", "bank": "Northern Bank"}

// instrumentOf is the customer's one of a kind: the same for ever, since it is made
// from their name at this account. nil: nobody knows whose it would be.
func (a *account) instrumentOf(customer, method string) *instrument {
	if customer == "" || makers[method] == "" {
		return nil
	}
	h := hmac.New(sha256.New, []byte(a.Secret))
	fmt.Fprintf(h, "instrument|%s|%s|%s", a.Name, method, customer)
	sum := h.Sum(nil)
	return &instrument{
		Token: "gins_" + hex.EncodeToString(sum)[:26], Kind: method, Holder: "Customer " + customer,
		Label: fmt.Sprintf("%s ••••%04d", makers[method], (int(sum[30])<<8|int(sum[31]))%10_000),
	}
}

// instrument is what a payment was paid with, once it is, or where a payout goes:
// where it was asked to go, else to the customer's own of the method.
func (o *operation) instrument() *instrument {
	if o.kind == refunding || o.kind == sale && o.State != paid {
		return nil
	}
	return o.account.instrumentOf(o.customer, o.method)
}

// line is one line of the journal: a new operation, or, without Kind, what became
// of the one named by Seq.
type line struct {
	Seq         int64           `json:"seq"`
	Kind        string          `json:"kind,omitempty"`
	Account     string          `json:"account,omitempty"`
	Reference   string          `json:"reference,omitempty"`
	Of          int64           `json:"of,omitempty"`
	PaymentID   string          `json:"payment_id,omitempty"`
	Method      string          `json:"method,omitempty"`
	Minor       int64           `json:"minor,omitempty"`
	Currency    string          `json:"currency,omitempty"`
	Customer    string          `json:"customer,omitempty"`
	Description string          `json:"description,omitempty"`
	Destination string          `json:"destination,omitempty"`
	ReturnURL   string          `json:"return_url,omitempty"`
	NotifyURL   string          `json:"notify_url,omitempty"`
	CreatedUS   int64           `json:"created_us,omitempty"`
	Next        fault.Behaviour `json:"next,omitempty"`
	DelayUS     int64           `json:"delay_us,omitempty"`
	State       desk.State      `json:"state,omitempty"`
	DecidedUS   int64           `json:"decided_us,omitempty"`
	Left        bool            `json:"left,omitempty"`
	Why         string          `json:"why,omitempty"`
	Told        bool            `json:"told,omitempty"`
}

// Line is the operation as the journal keeps it.
func (o *operation) Line() any {
	l := line{
		Seq: o.Seq, Kind: o.kind, Account: o.account.Name, Reference: o.reference, PaymentID: o.paymentID, Method: o.method, Minor: o.minor,
		Currency: o.currency, Customer: o.customer, Description: o.description, Destination: o.destination, ReturnURL: o.returnURL,
		NotifyURL: o.notifyURL, CreatedUS: o.CreatedUS, Next: o.Next, DelayUS: o.Delay.Microseconds(), Left: o.left, Why: o.why, Told: o.Told,
	}
	if o.of != nil {
		l.Of = o.of.Seq
	}
	if o.State != waiting {
		l.State, l.DecidedUS = o.State, o.DecidedUS
	}
	return l
}

// Load takes one journal line; see journal.Keeper. It is for use before Start.
func (s *Simulator) Load(text []byte) error {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return err
	}
	if l.Kind == "" {
		if l.Seq < 1 || l.Seq > s.desk.Len() {
			return fmt.Errorf("no operation has the number %d", l.Seq)
		}
		s.desk.From(l.Seq - 1)[0].replay(l)
		return nil
	}
	a := s.accounts[l.Account]
	if a == nil {
		return fmt.Errorf("account %q is not configured", l.Account)
	}
	if l.Seq != s.desk.Len()+1 {
		return fmt.Errorf("operation %d follows operation %d", l.Seq, s.desk.Len())
	}
	o := newOperation(a, order{
		kind: l.Kind, reference: l.Reference, paymentID: l.PaymentID, method: l.Method, minor: l.Minor, currency: l.Currency, customer: l.Customer,
		description: l.Description, destination: l.Destination, returnURL: l.ReturnURL, notifyURL: l.NotifyURL,
	}, fault.Rule{Next: l.Next, Delay: time.Duration(l.DelayUS) * time.Microsecond})
	o.Seq, o.CreatedUS, o.State = l.Seq, l.CreatedUS, waiting
	if l.Kind == refunding {
		if l.Of < 1 || l.Of >= l.Seq || s.desk.From(l.Of - 1)[0].kind != sale {
			return fmt.Errorf("refund %d has no payment", l.Seq)
		}
		o.of = s.desk.From(l.Of - 1)[0]
	}
	s.desk.Keep(o)
	s.index(o)
	o.replay(l)
	return nil
}

func (o *operation) replay(l line) {
	o.Fate.Replay(desk.Change{State: l.State, DecidedUS: l.DecidedUS, Told: l.Told})
	o.left = o.left || l.Left
	if l.Why != "" {
		o.why = l.Why
	}
}

// Dump emits the present state; see journal.Keeper.
func (s *Simulator) Dump(emit func(line []byte) error) error { return s.desk.Dump(emit) }

func newOperation(a *account, asked order, rule fault.Rule) *operation {
	return &operation{account: a, order: asked, Fate: desk.Fate{Next: rule.Next, Delay: rule.Delay, Moves: asked.kind != sale}}
}

// add remembers a new operation. The caller holds the desk.
func (s *Simulator) add(o *operation) error {
	if err := s.desk.Add(o); err != nil {
		return err
	}
	s.index(o)
	return nil
}

func (s *Simulator) index(o *operation) {
	s.known[key{o.account.Name, o.kind, o.reference}] = o
	if o.of != nil {
		o.of.refunds = append(o.of.refunds, o)
	}
}

// Address is where webhooks about the operation go.
func (o *operation) Address() string {
	if at := *o.account.notify.Load(); at != "" {
		return at
	}
	return o.notifyURL
}

func (s *Simulator) usual(o *operation) time.Duration {
	if o.kind == sale {
		return s.opts.DecideAfter
	}
	return s.opts.MoveAfter
}

// leave notes that the customer went away without paying. The caller holds the
// desk.
func (s *Simulator) leave(o *operation) error {
	if o.left {
		return nil
	}
	if err := s.desk.Write(line{Seq: o.Seq, Left: true}); err != nil {
		return err
	}
	o.left = true
	return nil
}

// fail ends a payment with a reason. The caller holds the desk.
func (s *Simulator) fail(o *operation, why string) error {
	if err := s.desk.Write(line{Seq: o.Seq, Why: why}); err != nil {
		return err
	}
	o.why = why
	return s.desk.Settle(o, failed)
}

// reported is the amount that is told: wrong_amount adds one major unit once the
// money has moved.
func (o *operation) reported() string {
	minor := o.minor
	if o.Next == fault.WrongAmount && o.State == paid {
		minor += pow10(exponents[o.currency])
	}
	return decimal(minor, o.currency)
}

// sum is what was paid back of a payment; with pending, also what may be.
func (o *operation) sum(pending bool) (minor int64) {
	for _, r := range o.refunds {
		if r.State == paid || pending && r.State == waiting {
			minor += r.minor
		}
	}
	return minor
}

// transactionID is made from what is remembered anyway, so it is the same after a
// restart.
func (o *operation) transactionID() string {
	return fmt.Sprintf("gtx_%d_%06d", o.CreatedUS/1000, o.Seq)
}

// eventID names the news of an end: the same for every repetition.
func (o *operation) eventID() string {
	return "evt_" + o.mac("event")[:26]
}

// token is the authority to see a payment's page.
func (o *operation) token() string { return o.mac("page")[:32] }

func (o *operation) mac(use string) string {
	h := hmac.New(sha256.New, []byte(o.account.Secret))
	fmt.Fprintf(h, "%s|%s|%s|%d|%s", use, o.kind, o.reference, o.CreatedUS, o.account.Name)
	return hex.EncodeToString(h.Sum(nil))
}

// Entry is one operation as the provider's own books have it, for reconciliation.
type Entry struct {
	desk.Entry
	PaymentID     string `json:"payment_id,omitempty"`
	TransactionID string `json:"transaction_id"`
	Of            string `json:"of,omitempty"` // of a refund: its payment's reference
	Method        string `json:"method,omitempty"`
	Customer      string `json:"customer,omitempty"`
	Destination   string `json:"destination,omitempty"` // of a payout: the instrument that it was asked to go to
	Instrument    string `json:"instrument,omitempty"`  // what it was paid with, or went to
}

// Journal lists the operations after a cursor, of one account or of all when it
// is empty; see desk.Books.
func (s *Simulator) Journal(account string, after int64, limit int) (entries []Entry, next int64, more bool) {
	return desk.Books(s.desk, after, limit, func(o *operation) (Entry, bool) {
		return o.entry(), account == "" || o.account.Name == account
	})
}

func (o *operation) entry() Entry {
	e := Entry{Entry: o.Fate.Entry(o.kind, o.left), PaymentID: o.paymentID, TransactionID: o.transactionID(), Method: o.method, Customer: o.customer, Destination: o.destination}
	e.Account, e.Reference, e.Currency = o.account.Name, o.reference, o.currency
	e.Amount, e.AmountMinor, e.ReportedAmount, e.RefundedMinor = decimal(o.minor, o.currency), o.minor, o.reported(), o.sum(false)
	if o.of != nil {
		e.Of = o.of.reference
	}
	if i := o.instrument(); i != nil {
		e.Instrument = i.Token
	}
	return e
}

func pow10(exponent int) int64 {
	n := int64(1)
	for range exponent {
		n *= 10
	}
	return n
}

// parse reads digits with exactly the currency's decimals, or none of them:
// "50" and "50.00" EUR. Nothing, zero and more than 13 digits are refused.
func parse(text, currency string) (int64, bool) {
	exponent, known := exponents[currency]
	whole, fraction, point := strings.Cut(text, ".")
	if !known || whole == "" || point && len(fraction) != exponent || point && exponent == 0 {
		return 0, false
	}
	if !point {
		fraction = strings.Repeat("0", exponent)
	}
	digits := whole + fraction
	if len(digits) > 13 || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil && n > 0
}

// decimal writes an amount with all decimals of its currency.
func decimal(minor int64, currency string) string {
	exponent := exponents[currency]
	if exponent == 0 {
		return strconv.FormatInt(minor, 10)
	}
	unit := pow10(exponent)
	return fmt.Sprintf("%d.%0*d", minor/unit, exponent, minor%unit)
}
