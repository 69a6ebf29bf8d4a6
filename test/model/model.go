// Package model is what payments and ledger must do, said a second time: from
// the requirements (payment-loop.md, design.md section 5, ecommpay.md) and not
// from the code, with plain texts and integers of its own. It imports nothing
// of the platform, so the two do not share a mistake; a test proves that.
//
// It is told all that the platform is told (merchants' requests, providers'
// answers and news, restarts), and then follows what the platform commits: each
// step must be one of a table (moves.go) and be justified by what was heard up
// to then, the money of each step is moved in the model's own accounts and must
// be what the platform has moved, and in the end nothing that had to happen may
// be missing (end.go). One goroutine at a time may use it.
//
// Its known weakness: it does not know when the platform *could* have acted, so
// being late is seen only in the end. Callbacks are not its subject.
package model

import (
	"fmt"
	"slices"
	"strings"
)

// Settings are what the project and its provider are.
type Settings struct {
	Merchant   string  // the owner of a shop's money, and of its customers' wallets
	Wallet     bool    // sales with a customer go to their wallet
	Late       string  // "hold", "credit" or "refund": what becomes of late success
	LimitUS    int64   // a sale's time
	RetryUS    int64   // how long a customer may try again, from the first decline on
	MovesMoney bool    // asking the provider for a sale may take the money at once
	Rules      *Rules  // of a licensed house, that payouts are checked by; nil: they are not
	Google     *Google // that buys from linked wallets; nil: none
}

// Sale is a merchant's request.
type Sale struct {
	Name     string // payment_id, as sent
	Customer string
	Currency string
	Minor    int64
	Tries    int64 // how often the customer may try again
}

// Refund is a merchant's request; 0 minor units are all that remains.
type Refund struct {
	Payment string
	Name    string // merchant_refund_id; may be empty
	Minor   int64
	used    bool
}

// Outcome is what a provider has said of an attempt, or that nobody knows.
type Outcome struct {
	Attempt  string
	Kind     string // approved, pending, declined, unknown, not_sent
	Currency string
	Minor    int64
	NoRecord bool
	Redirect bool
	Unusable bool   // declined payout: where it was to go takes no money at all
	Token    string // of the instrument; empty: the provider names none
	Of       string // what kind of instrument that is
	AtUS     int64
}

// Payment, Operation, Attempt, Event, Transfer and Account are rows as the
// platform has committed them.
type Payment struct {
	ID, Type, Name, Customer, Status, Currency               string // of type purchase or payout
	Place                                                    int    // its small ledger
	Minor, Captured, Refunded, Refunding, LimitUS, CreatedUS int64
	TriesLeft, RetryUS                                       int64
}

// Operation is a row.
type Operation struct {
	ID, Payment, Kind, Status, RefundName string
	Minor, Number                         int64
}

// Attempt is a row.
type Attempt struct {
	ID, Operation, Payment, Kind, Status, PSP, Currency string
	Token                                               string // of the instrument that it is for
	Minor, ChangedUS                                    int64
	Late                                                bool
}

// Event is a row. Code is the payment's after it, or for a refund the operation's.
type Event struct {
	Payment, Operation, Attempt, Kind, From, To, Code string
	AtUS                                              int64
	Ended                                             bool // the operation has, after it
}

// Transfer is a pair of postings: from the debited to the credited account. Most
// rows have one, a rollback's has up to four. Kind, Name and Round are of moves
// of a wallet alone, Operation is of payments.
type Transfer struct {
	Debit, Credit     AccountName
	Minor             int64
	Of, Operation     string // the row
	Kind, Name, Round string
	AtUS              int64
}

// AccountName is what an account is of.
type AccountName struct {
	Place                    int
	Owner, Purpose, Currency string
}

// Account is a row. Minor is positive for debits.
type Account struct {
	AccountName
	Minor int64
}

// Commit is what the platform has written at once.
type Commit struct {
	Payments   []Payment
	Operations []Operation
	Attempts   []Attempt
	Events     []Event
	Transfers  []Transfer
	Accounts   []Account
	Cases      []Case
	Rounds     []Round
	Limits     []Limit

	// Of a licensed house.
	Reviews      []Review
	Deeds        []Deed // what its log says that was done
	Checks       []Check
	Instruments  []Instrument
	Restrictions []Restriction

	// Of Google's.
	Calls []CallRow
	Links []LinkRow
	Told  []ToldRow
}

// Case is a row.
type Case struct{ Payment, Kind string }

type payment struct {
	Payment           // as it must be
	current  string   // the newest sale's operation, or the payout's
	offered  bool     // the customer may try again
	sales    []string // operations
	refunds  []*Refund
	pressed  map[string]bool // declined operations after which the customer pressed "try again"
	credited bool
	cameUS   int64  // when its money came
	token    string // of what it was paid with
	kind     string
	out      *out // of a payout that rules look at
}

type operation struct {
	Operation // as it must be
	attempts  []string
	late      bool // refund of late money
	seen      string
	token     string // part of a payout: where it goes
	held      bool   // as above: reserved, and neither paid nor back
}

type attempt struct {
	Attempt
	asks      int       // calls that ask the provider to do it
	provedAt  int       // length of heard when "not sent" was last acted upon
	sinceUS   int64     // when it was last to be asked
	restarts  int       // of the platform, when it was made
	heard     []Outcome // in order
	booked    bool      // its money is in the accounts
	late      bool      // as late success, or it is the refund of one
	sentBack  bool      // late: a refund of it was begun
	wrongNews bool      // verified news named another amount
	held      bool      // refund, payout: reserved, and neither done nor back
}

// Model is told inputs and history, and says what is wrong with it.
type Model struct {
	s        Settings
	asked    map[string][]Sale // by folded name
	byName   map[string]string // folded name → payment
	pays     map[string]*payment
	ops      map[string]*operation
	atts     map[string]*attempt
	order    []string // attempts
	accounts map[AccountName]int64
	cases    map[Case]bool
	restarts int
	wrong    []string
	made     map[string]int // steps, by the move that allowed them

	moved []Transfer // by the commit that is being followed
	ahead []Transfer // of that commit, in order: what is still to be followed

	wanted  map[string][]Move // wallets: what was asked for, by kind and name
	done    map[string]*madeMove
	rounds  map[player]*Round
	players map[string]player // by the round's row
	rows    map[string]string // names of rounds, as their rows have them
	places  map[string]int    // of customers: where all of their money is
	waiting map[*AskedMove]bool

	payouts []Payout // that were asked for

	limits      map[limitKey]*bound
	limitsAsked map[Limit]bool
	limitsMade  map[Limit]bool
	sales       map[*AskedSale]bool // that limits may refuse
	latestUS    int64               // of events

	licensed
	bought
}

// New makes a model that has heard nothing.
func New(s Settings) *Model {
	return &Model{
		s: s, asked: map[string][]Sale{}, byName: map[string]string{}, pays: map[string]*payment{}, ops: map[string]*operation{},
		atts: map[string]*attempt{}, accounts: map[AccountName]int64{}, cases: map[Case]bool{}, made: map[string]int{},
		wanted: map[string][]Move{}, done: map[string]*madeMove{}, rounds: map[player]*Round{}, players: map[string]player{}, rows: map[string]string{}, places: map[string]int{},
		waiting: map[*AskedMove]bool{},
		limits:  map[limitKey]*bound{}, limitsAsked: map[Limit]bool{}, limitsMade: map[Limit]bool{}, sales: map[*AskedSale]bool{}, licensed: newLicensed(s.Rules), bought: newBought(),
	}
}

// fold: order_1 and Order_1 name one payment (ecommpay.md 3.4).
func fold(name string) string { return strings.ToLower(name) }

func (m *Model) fault(format string, args ...any) {
	if len(m.wrong) < 20 { // the first says what happened; the rest follows from it
		m.wrong = append(m.wrong, "model: "+fmt.Sprintf(format, args...))
	}
}

// Inputs.

// SaleAsked: a merchant asks for a sale. Whether it was taken is not known yet.
func (m *Model) SaleAsked(s Sale) { m.asked[fold(s.Name)] = append(m.asked[fold(s.Name)], s) }

// SaleAnswered: the merchant was told that it is this payment (C2: what was
// acknowledged is there; L3.3: a repeat has the same answer).
func (m *Model) SaleAnswered(name, payment string) {
	if m.byName[fold(name)] != payment {
		m.fault("sale %s was answered as %s, but is %q in what was committed (L3.3)", name, payment, m.byName[fold(name)])
	}
}

// Named gives the payment of a merchant's name; "" if none was committed.
func (m *Model) Named(name string) string { return m.byName[fold(name)] }

// SaleTaken: the merchant was told that his sale was taken, or is known (C2).
func (m *Model) SaleTaken(name string) {
	if m.Named(name) == "" {
		m.fault("sale %s was acknowledged, and was never committed (C2)", name)
	}
}

// RefundTaken: the merchant was told that his refund of this name was taken (C2).
func (m *Model) RefundTaken(name string) {
	for _, o := range m.ops {
		if o.RefundName == name {
			return
		}
	}
	m.fault("refund %s was acknowledged, and was never committed (C2)", name)
}

// RefundAsked: a merchant asks for a refund. One with a name is one request,
// however often it is sent.
func (m *Model) RefundAsked(r Refund) {
	p := m.pays[r.Payment]
	if p == nil {
		m.fault("refund of %s, which was never committed", r.Payment)
		return
	}
	for _, known := range p.refunds {
		if r.Name != "" && known.Name == r.Name {
			return
		}
	}
	p.refunds = append(p.refunds, &r)
}

// RefundAnswered: the merchant was told that it is this operation.
func (m *Model) RefundAnswered(operation string) {
	if m.ops[operation] == nil {
		m.fault("refund was answered as %s, which was never committed (C2)", operation)
	}
}

// AgainAsked: a customer presses "try again" on the offer after this sale.
func (m *Model) AgainAsked(payment, declined string) {
	if p := m.pays[payment]; p != nil {
		p.pressed[declined] = true
	}
}

// Asks: the platform asks a provider to carry an attempt out. That is allowed
// for what is durable, and again only where it is proved that it was not taken
// (L15; torture.md 1.2).
func (m *Model) Asks(id string) {
	a := m.atts[id]
	switch {
	case a == nil:
		m.fault("the provider is asked for %s, which was never committed", id)
		return
	case a.Kind != "refund" && a.asks > 0:
		m.fault("%s is asked for twice under one reference (L15)", m.name(a))
	case a.asks > 0 && !m.notTaken(a):
		m.fault("refund %s is sent again without proof that it was not taken (L15)", m.name(a))
	}
	a.asks++
	a.provedAt = len(a.heard)
}

// Heard: a provider, or its silence, has said this of an attempt.
func (m *Model) Heard(o Outcome) {
	a := m.atts[o.Attempt]
	if a == nil {
		m.fault("outcome of %s, which was never committed", o.Attempt)
		return
	}
	a.heard = append(a.heard, o)
	if a.Kind == "payout" && (o.Kind == "unknown" || o.Kind == "not_sent") {
		m.missed++
	}
}

// News: a verified notification was stored. It is a reason to ask, not an answer,
// unless it is the provider's own word (L2 step 4); and what it says must fit what
// we asked for (L6.4).
func (m *Model) News(o Outcome, ownWord bool) {
	a := m.atts[o.Attempt]
	if a == nil {
		return
	}
	if o.Currency != "" && (o.Currency != a.Currency || o.Minor != a.Minor) {
		a.wrongNews = true
	}
	if ownWord {
		a.heard = append(a.heard, o)
	}
}

// NewsTaken: the platform is done with news that it had stored. That the provider
// names another amount says at least that it knows the refund or payout: no later
// "no such operation" may free its money, or have it sent again (L15).
func (m *Model) NewsTaken(o Outcome, ownWord bool) {
	a := m.atts[o.Attempt]
	if a != nil && ownWord && a.Kind != "sale" && a.differs(o) && (a.Status == "asking" || a.Status == "unknown") {
		m.fault("%s is %s after news of another amount, which says that it is known (L15, L6.4)", m.name(a), a.Status)
	}
}

// Restarted: the platform has died and begins again.
func (m *Model) Restarted() { m.restarts++ }

// Wrong says what is wrong so far.
func (m *Model) Wrong() []string { return m.wrong }

// Made counts the steps that were followed, by the move that allowed them.
func (m *Model) Made() map[string]int { return m.made }

// name is how people call an attempt.
func (m *Model) name(a *attempt) string {
	p := m.pays[a.Payment]
	if p == nil {
		return a.ID
	}
	return fmt.Sprintf("%s of payment %s (%s)", a.Kind, p.Name, a.ID)
}

// What the inputs prove.

// said reports whether an outcome of this kind was heard of an attempt, and of no
// other amount than was asked for.
func (a *attempt) said(kind string) bool {
	for _, o := range a.heard {
		if o.Kind == kind && !o.NoRecord && !a.differs(o) {
			return true
		}
	}
	return false
}

// differs: the outcome is of another amount (L6.4).
func (a *attempt) differs(o Outcome) bool {
	return (o.Kind == "approved" || o.Currency != "") && (o.Minor != a.Minor || o.Currency != a.Currency)
}

// other reports whether the provider has named another amount.
func (a *attempt) other() bool { return slices.ContainsFunc(a.heard, a.differs) }

// paid: the provider says that this very amount has moved (L3.2, L6.4).
func (a *attempt) paid() bool {
	for _, o := range a.heard {
		if o.Kind == "approved" && o.Currency == a.Currency && o.Minor == a.Minor {
			return true
		}
	}
	return false
}

// noRecordGapUS is how far apart two "no such operation" must lie (L15).
const noRecordGapUS = 10 * 60 * 1_000_000

// notTaken: it is proved that the provider did not take what it was last asked
// for. It says so, or knows no such operation, twice and long enough apart,
// where that is a proof: not of a customer who was sent to its page. What was
// proved may be booked after another process has heard that it knows it after
// all, and has not booked that yet.
func (m *Model) notTaken(a *attempt) bool {
	first, count := int64(0), 0
	for _, o := range a.heard[a.provedAt:] {
		switch {
		case o.Kind == "not_sent":
			return true
		case o.NoRecord:
			if count == 0 {
				first = o.AtUS
			}
			count++
			if count >= 2 && o.AtUS-first >= noRecordGapUS && (a.Kind != "sale" || m.s.MovesMoney) {
				return true
			}
		case o.Kind != "unknown": // it knows it after all
			count = 0
		}
	}
	return false
}

// no: the provider's last word is no, or it never took it.
func (m *Model) no(a *attempt) bool { return a.said("declined") || m.notTaken(a) }
