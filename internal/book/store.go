package book

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/instrument"
	"aorta/internal/ledger"
	"aorta/internal/limit"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/project"
)

// Store is the database of one home. The book owns it as a port; package store
// implements it for SQLite and PostgreSQL, Memory here for tests.
type Store interface {
	// Lane opens a committer with a connection of its own.
	Lane(ctx context.Context) (Lane, error)

	// FindRef reads a ref outside acts.
	FindRef(ctx context.Context, key payment.RefKey) (id.Raw, bool, error)

	// LeaseNumbers takes a block of n integers that nobody else will get and
	// answers its first. Gaps are normal.
	LeaseNumbers(ctx context.Context, n int64) (int64, error)
}

// Lane is one committer: a connection that writes one batch at a time.
//
// Its methods answer ErrConflict, ErrLost, ErrCommitted or a *DataError where
// those fit; any other error means that the home cannot be reached now and
// nothing happened. After an error the batch is over; Begin starts afresh and
// reconnects if it must.
type Lane interface {
	// Begin opens a batch: it inserts batch, deletes the row of forget (an
	// earlier batch whose fate is known; zero: none), then loads and locks the
	// wanted rows (Keys.Unlocked). ErrCommitted: batch is there already, so the COMMIT whose
	// answer was lost had succeeded.
	Begin(ctx context.Context, batch, forget id.Batch, want *Keys) (*Found, error)

	// Load loads and locks more rows without waiting for locks.
	Load(ctx context.Context, want *Keys) (*Found, error)

	// Commit writes all changes and commits. ErrLost: nobody knows whether it
	// did. It may reorder c, and must not keep it.
	Commit(ctx context.Context, c *Changes) error

	// Abort ends the batch without a trace.
	Abort(ctx context.Context)

	Close() error
}

// ErrConflict: another committer was there first (40001, 40P01, 55P03, a
// duplicate key, a failed version check). Run the batch again.
var ErrConflict = errors.New("batch met another committer")

// ErrLost: the answer to COMMIT did not arrive. Begin the same batch again to
// learn what became of it.
var ErrLost = errors.New("answer to commit was lost")

// ErrCommitted: the batch is in the store already.
var ErrCommitted = errors.New("batch was committed before")

// DataError is a value that the database refuses whoever writes it. The batch
// is halved until the act that wrote it is alone.
type DataError struct{ Err error }

func (e *DataError) Error() string { return fmt.Sprintf("the store refuses a value: %v", e.Err) }
func (e *DataError) Unwrap() error { return e.Err }

// Keys are rows to load, each list sorted and without repeats.
type Keys struct {
	Unlocked bool // windows need not be locked: their versions are compared when the batch is committed

	Refs        []payment.RefKey
	Customers   []id.Customer
	Instruments []id.Instrument
	Payments    []id.Payment
	Operations  []id.Operation
	Attempts    []id.Attempt
	Accounts    []id.Account
	Deliveries  []id.Delivery
	Inbox       []id.Inbox
	Cases       []id.Case
	Rounds      []id.Round
	Endpoints   []id.Endpoint
	Due         []id.Raw
	Keys        []id.Key
	Answers     []id.Answer
	Windows     []id.Window
	Checks      []id.Check
	Persons     []id.Person
	Reviews     []id.Raw
	Operators   []id.Operator
	AuditHeads  []id.Raw
	Floats      []id.Raw
	Claims      []id.Raw

	Calls        []id.Call
	Associations []id.Association
	Linked       []id.Raw
	Spent        []id.Raw
	Proofs       []id.Proof
	Codes        []id.Code
	Statements   []id.Statement
	Lines        []id.Raw
	Told         []id.Told
}

// Stored is a row with the version that the store holds.
type Stored[R any] struct {
	Row     R
	Version int64
}

// StoredKey is the key of a row with the version that the store holds.
type StoredKey[K any] struct {
	Key     K
	Version int64
}

// Found are the rows that exist of those asked for.
type Found struct {
	Refs        []Stored[payment.Ref]
	Customers   []Stored[customer.Customer]
	Instruments []Stored[instrument.Instrument]
	Payments    []Stored[payment.Payment]
	Operations  []Stored[payment.Operation]
	Attempts    []Stored[payment.Attempt]
	Accounts    []Stored[ledger.Account]
	Deliveries  []Stored[event.Delivery]
	Inbox       []Stored[payment.Inbox]
	Cases       []Stored[payment.Case]
	Rounds      []Stored[ledger.Round]
	Endpoints   []Stored[event.Endpoint]
	Due         []Stored[due.Due]
	Keys        []Stored[project.Key]
	Answers     []Stored[payment.Answer]
	Windows     []Stored[limit.Window]
	Checks      []Stored[customer.Check]
	Persons     []Stored[customer.Person]
	Reviews     []Stored[payment.Review]
	Operators   []Stored[operator.Operator]
	AuditHeads  []Stored[operator.Head]
	Floats      []Stored[limit.Float]
	Claims      []Stored[limit.Claim]

	Calls        []Stored[fop.Call]
	Associations []Stored[fop.Association]
	Linked       []Stored[fop.Linked]
	Spent        []Stored[fop.Spent]
	Proofs       []Stored[fop.Proof]
	Codes        []Stored[fop.Code]
	Statements   []Stored[fop.Statement]
	Lines        []Stored[fop.Line]
	Told         []Stored[fop.Told]
}

// Change is what a batch does to one kind of row. Update and Delete carry the
// version that was loaded: the store writes version + 1 where it still holds
// that one, and answers ErrConflict where not.
//
// Check are rows that acts have read as an earlier batch left them, or without a lock, and
// have not changed; of windows also those that they have, if there are any others. The
// store answers ErrConflict unless it holds each at that version before it writes, and lets
// nobody change it before the commit.
type Change[R, K any] struct {
	Insert []R
	Update []Stored[R]
	Delete []StoredKey[K]
	Check  []StoredKey[K]
}

// Changes are all rows that a batch writes.
type Changes struct {
	Refs        Change[payment.Ref, payment.RefKey]
	Customers   Change[customer.Customer, id.Customer]
	Instruments Change[instrument.Instrument, id.Instrument]
	Payments    Change[payment.Payment, id.Payment]
	Operations  Change[payment.Operation, id.Operation]
	Attempts    Change[payment.Attempt, id.Attempt]
	Accounts    Change[ledger.Account, id.Account]
	Deliveries  Change[event.Delivery, id.Delivery]
	Inbox       Change[payment.Inbox, id.Inbox]
	Cases       Change[payment.Case, id.Case]
	Rounds      Change[ledger.Round, id.Round]
	Endpoints   Change[event.Endpoint, id.Endpoint]
	Due         Change[due.Due, id.Raw]
	Keys        Change[project.Key, id.Key]
	Answers     Change[payment.Answer, id.Answer]
	Windows     Change[limit.Window, id.Window]
	Checks      Change[customer.Check, id.Check]
	Persons     Change[customer.Person, id.Person]
	Reviews     Change[payment.Review, id.Raw]
	Operators   Change[operator.Operator, id.Operator]
	AuditHeads  Change[operator.Head, id.Raw]
	Floats      Change[limit.Float, id.Raw]
	Claims      Change[limit.Claim, id.Raw]

	Calls        Change[fop.Call, id.Call]
	Associations Change[fop.Association, id.Association]
	Linked       Change[fop.Linked, id.Raw]
	Spent        Change[fop.Spent, id.Raw]
	Proofs       Change[fop.Proof, id.Proof]
	Codes        Change[fop.Code, id.Code]
	Statements   Change[fop.Statement, id.Statement]
	Lines        Change[fop.Line, id.Raw]
	Told         Change[fop.Told, id.Told]

	Transfers []ledger.Transfer
	Events    []event.Event
	Requests  []payment.Request
	Notes     []customer.Note
	Audit     []operator.Entry
}

type bucketed interface{ Bucket() id.Bucket }

// Key functions: how each kind of row is named.
func refKey(r payment.Ref) payment.RefKey                 { return r.RefKey }
func customerKey(r customer.Customer) id.Customer         { return r.ID }
func instrumentKey(r instrument.Instrument) id.Instrument { return r.ID }
func paymentKey(r payment.Payment) id.Payment             { return r.ID }
func operationKey(r payment.Operation) id.Operation       { return r.ID }
func attemptKey(r payment.Attempt) id.Attempt             { return r.ID }
func accountKey(r ledger.Account) id.Account              { return r.ID }
func deliveryKey(r event.Delivery) id.Delivery            { return r.ID }
func inboxKey(r payment.Inbox) id.Inbox                   { return r.ID }
func caseKey(r payment.Case) id.Case                      { return r.ID }
func roundKey(r ledger.Round) id.Round                    { return r.ID }
func endpointKey(r event.Endpoint) id.Endpoint            { return r.ID }
func dueKey(r due.Due) id.Raw                             { return r.ID }
func keyKey(r project.Key) id.Key                         { return r.ID }
func answerKey(r payment.Answer) id.Answer                { return r.ID }
func windowKey(r limit.Window) id.Window                  { return r.ID }
func checkKey(r customer.Check) id.Check                  { return r.ID }
func personKey(r customer.Person) id.Person               { return r.ID }
func reviewKey(r payment.Review) id.Raw                   { return r.ID }
func operatorKey(r operator.Operator) id.Operator         { return r.ID }
func auditHeadKey(r operator.Head) id.Raw                 { return r.ID }
func floatKey(r limit.Float) id.Raw                       { return r.ID }
func claimKey(r limit.Claim) id.Raw                       { return r.ID }
func fopCallKey(r fop.Call) id.Call                       { return r.ID }
func fopAssociationKey(r fop.Association) id.Association  { return r.ID }
func fopLinkedKey(r fop.Linked) id.Raw                    { return r.ID }
func fopSpentKey(r fop.Spent) id.Raw                      { return r.ID }
func fopProofKey(r fop.Proof) id.Proof                    { return r.ID }
func fopCodeKey(r fop.Code) id.Code                       { return r.ID }
func fopStatementKey(r fop.Statement) id.Statement        { return r.ID }
func fopLineKey(r fop.Line) id.Raw                        { return r.ID }
func fopToldKey(r fop.Told) id.Told                       { return r.ID }
func bucketOf[K bucketed](k K) id.Bucket                  { return k.Bucket() }
func refBucket(k payment.RefKey) id.Bucket                { return k.Bucket }

// CompareRefs orders ref keys as both stores lock them.
func CompareRefs(a, b payment.RefKey) int {
	if a.Scope != b.Scope {
		return compare(a.Scope, b.Scope)
	}
	if a.Text != b.Text {
		return compare(a.Text, b.Text)
	}
	return int(a.Bucket) - int(b.Bucket)
}

func compare(a, b string) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

func compareRaw(a, b id.Raw) int { return slices.Compare(a[:], b[:]) }

// Reader reads committed rows outside acts: lists, screens, workers. What it
// answers may be old by the time it is used; an act reads again.
type Reader interface {
	Payment(ctx context.Context, p id.Payment) (payment.Payment, bool, error)
	Operation(ctx context.Context, o id.Operation) (payment.Operation, bool, error)
	Attempt(ctx context.Context, a id.Attempt) (payment.Attempt, bool, error)
	Event(ctx context.Context, e id.Event) (event.Event, bool, error)
	Delivery(ctx context.Context, d id.Delivery) (event.Delivery, bool, error)
	Inbox(ctx context.Context, n id.Inbox) (payment.Inbox, bool, error)
	Request(ctx context.Context, r id.Raw) (payment.Request, bool, error)
	Customer(ctx context.Context, c id.Customer) (customer.Customer, bool, error)
	Account(ctx context.Context, a id.Account) (ledger.Account, bool, error)
	Transfer(ctx context.Context, t id.Transfer) (ledger.Transfer, bool, error)
	Round(ctx context.Context, r id.Round) (ledger.Round, bool, error)
	Key(ctx context.Context, k id.Key) (project.Key, bool, error)
	Answer(ctx context.Context, a id.Answer) (payment.Answer, bool, error)
	Instrument(ctx context.Context, i id.Instrument) (instrument.Instrument, bool, error)
	Window(ctx context.Context, k id.Window) (limit.Window, bool, error)
	Check(ctx context.Context, k id.Check) (customer.Check, bool, error)
	Person(ctx context.Context, k id.Person) (customer.Person, bool, error)
	Review(ctx context.Context, k id.Raw) (payment.Review, bool, error)
	Operator(ctx context.Context, k id.Operator) (operator.Operator, bool, error)
	AuditHead(ctx context.Context, k id.Raw) (operator.Head, bool, error)
	Float(ctx context.Context, k id.Raw) (limit.Float, bool, error)
	Claim(ctx context.Context, k id.Raw) (limit.Claim, bool, error)
	Call(ctx context.Context, k id.Call) (fop.Call, bool, error)
	Association(ctx context.Context, k id.Association) (fop.Association, bool, error)
	Linked(ctx context.Context, k id.Raw) (fop.Linked, bool, error)
	Spent(ctx context.Context, k id.Raw) (fop.Spent, bool, error)
	Proof(ctx context.Context, k id.Proof) (fop.Proof, bool, error)
	Code(ctx context.Context, k id.Code) (fop.Code, bool, error)
	Statement(ctx context.Context, k id.Statement) (fop.Statement, bool, error)
	Line(ctx context.Context, k id.Raw) (fop.Line, bool, error)
	Told(ctx context.Context, k id.Told) (fop.Told, bool, error)
	Note(ctx context.Context, k id.Note) (customer.Note, bool, error)
	AuditEntry(ctx context.Context, k id.Audit) (operator.Entry, bool, error)

	// ListPayments lists payments that match, newest first, from the one before a
	// key on. It looks at a bounded number of rows and says at which it stopped:
	// zero if there are no more.
	ListPayments(ctx context.Context, match PaymentFilter, before id.Payment, limit int) ([]payment.Payment, id.Payment, error)
	// ListOperations and ListEvents do the same with what was done to a project's
	// payments, and with what happened to them.
	ListOperations(ctx context.Context, match OperationFilter, before id.Operation, limit int) ([]payment.Operation, id.Operation, error)
	ListEvents(ctx context.Context, match EventFilter, before id.Event, limit int) ([]event.Event, id.Event, error)
	// ListTransfers does the same with what moved by a project's payments or because
	// it asked for it.
	ListTransfers(ctx context.Context, match TransferFilter, before id.Transfer, limit int) ([]ledger.Transfer, id.Transfer, error)
	Endpoint(ctx context.Context, e id.Endpoint) (event.Endpoint, bool, error)

	// Deposits gives the payments that came into a customer's wallet by one of the
	// transfers of their statement, newest first, from one on: of most transfers.
	Deposits(ctx context.Context, from id.Transfer, most int) ([]id.Payment, error)

	// Overdue lists work whose time has come, oldest first, and work leased by
	// one of the dead epochs whatever its time.
	Overdue(ctx context.Context, nowUS int64, dead []int64, limit int) ([]due.Due, error)
	// Dead lists dead letters, oldest first, after a key (zero: from the start).
	DeadDeliveries(ctx context.Context, after id.Delivery, limit int) ([]event.Delivery, error)
	DeadInbox(ctx context.Context, after id.Inbox, limit int) ([]payment.Inbox, error)
	Cases(ctx context.Context, after id.Case, limit int) ([]payment.Case, error)
	// EndpointDeliveries lists what an endpoint is told, oldest first, after a key.
	EndpointDeliveries(ctx context.Context, e id.Endpoint, after id.Delivery, limit int) ([]event.Delivery, error)
	// NewestDeliveries is the same from the other end: newest first, before a key.
	NewestDeliveries(ctx context.Context, e id.Endpoint, before id.Delivery, limit int) ([]event.Delivery, error)

	// LinkedByPhone lists the customers with a phone number, by its hash: at most limit.
	LinkedByPhone(ctx context.Context, hash string, limit int) ([]fop.Linked, error)

	// The scans page by key through everything, for verify.
	ScanPayments(ctx context.Context, after id.Payment, limit int) ([]payment.Payment, error)
	ScanOperations(ctx context.Context, after id.Operation, limit int) ([]payment.Operation, error)
	ScanAttempts(ctx context.Context, after id.Attempt, limit int) ([]payment.Attempt, error)
	ScanAccounts(ctx context.Context, after id.Account, limit int) ([]ledger.Account, error)
	ScanTransfers(ctx context.Context, after id.Transfer, limit int) ([]ledger.Transfer, error)
	ScanCustomers(ctx context.Context, after id.Customer, limit int) ([]customer.Customer, error)
	ScanRounds(ctx context.Context, after id.Round, limit int) ([]ledger.Round, error)
	ScanEvents(ctx context.Context, after id.Event, limit int) ([]event.Event, error)
	ScanDeliveries(ctx context.Context, after id.Delivery, limit int) ([]event.Delivery, error)
	ScanInbox(ctx context.Context, after id.Inbox, limit int) ([]payment.Inbox, error)
	ScanRefs(ctx context.Context, after payment.RefKey, limit int) ([]payment.Ref, error)
	ScanEndpoints(ctx context.Context, after id.Endpoint, limit int) ([]event.Endpoint, error)
	ScanDue(ctx context.Context, after id.Raw, limit int) ([]due.Due, error)
	ScanKeys(ctx context.Context, after id.Key, limit int) ([]project.Key, error)
	ScanAnswers(ctx context.Context, after id.Answer, limit int) ([]payment.Answer, error)
	ScanInstruments(ctx context.Context, after id.Instrument, limit int) ([]instrument.Instrument, error)
	ScanWindows(ctx context.Context, after id.Window, limit int) ([]limit.Window, error)
	ScanChecks(ctx context.Context, after id.Check, limit int) ([]customer.Check, error)
	ScanPersons(ctx context.Context, after id.Person, limit int) ([]customer.Person, error)
	ScanReviews(ctx context.Context, after id.Raw, limit int) ([]payment.Review, error)
	ScanOperators(ctx context.Context, after id.Operator, limit int) ([]operator.Operator, error)
	ScanAuditHeads(ctx context.Context, after id.Raw, limit int) ([]operator.Head, error)
	ScanFloats(ctx context.Context, after id.Raw, limit int) ([]limit.Float, error)
	ScanClaims(ctx context.Context, after id.Raw, limit int) ([]limit.Claim, error)
	ScanCalls(ctx context.Context, after id.Call, limit int) ([]fop.Call, error)
	ScanAssociations(ctx context.Context, after id.Association, limit int) ([]fop.Association, error)
	ScanLinked(ctx context.Context, after id.Raw, limit int) ([]fop.Linked, error)
	ScanSpent(ctx context.Context, after id.Raw, limit int) ([]fop.Spent, error)
	ScanProofs(ctx context.Context, after id.Proof, limit int) ([]fop.Proof, error)
	ScanCodes(ctx context.Context, after id.Code, limit int) ([]fop.Code, error)
	ScanStatements(ctx context.Context, after id.Statement, limit int) ([]fop.Statement, error)
	ScanLines(ctx context.Context, after id.Raw, limit int) ([]fop.Line, error)
	ScanTold(ctx context.Context, after id.Told, limit int) ([]fop.Told, error)
	ScanNotes(ctx context.Context, after id.Note, limit int) ([]customer.Note, error)
	ScanAudit(ctx context.Context, after id.Audit, limit int) ([]operator.Entry, error)
}

// PaymentFilter is what a list of payments is to have. Ids are ordered by time,
// so a span of time is a span of the primary key.
type PaymentFilter struct {
	ProjectID  int64
	Type       payment.Type
	CustomerID string           // empty: of any customer, or none
	Statuses   []payment.Status // empty: any
	From       id.Payment       // the oldest that may be listed; zero: no bound
}

// OperationFilter is what a list of operations is to have.
type OperationFilter struct {
	ProjectID int64
	Kind      payment.OperationKind     // empty: any
	Statuses  []payment.OperationStatus // empty: any
	From      id.Operation              // the oldest that may be listed; zero: no bound
}

// EventFilter is what a list of events is to have.
type EventFilter struct {
	ProjectID int64
	Kind      event.Kind // empty: any
	From      id.Event   // the oldest that may be listed; zero: no bound
}

// TransferFilter is what a list of transfers is to have.
type TransferFilter struct {
	ProjectID int64
	Kind      ledger.Kind // empty: any
	Customer  id.Customer // zero: of any, or none
	From      id.Transfer // the oldest that may be listed; zero: no bound
}

// ListWindow is how many rows one list looks at, whatever it finds.
const ListWindow = 5000

// Matches reports whether a payment is to be listed.
func (f PaymentFilter) Matches(p payment.Payment) bool {
	return p.ProjectID == f.ProjectID && p.Type == f.Type && (f.CustomerID == "" || p.CustomerID == f.CustomerID) &&
		(len(f.Statuses) == 0 || slices.Contains(f.Statuses, p.Status)) && p.ID.Compare(f.From) >= 0
}

// Matches reports whether an operation of payment p is to be listed.
func (f OperationFilter) Matches(o payment.Operation, p payment.Payment) bool {
	return p.ProjectID == f.ProjectID && (f.Kind == "" || o.Kind == f.Kind) &&
		(len(f.Statuses) == 0 || slices.Contains(f.Statuses, o.Status)) && o.ID.Compare(f.From) >= 0
}

// Matches reports whether an event of payment p is to be listed.
func (f EventFilter) Matches(e event.Event, p payment.Payment) bool {
	return p.ProjectID == f.ProjectID && (f.Kind == "" || e.Kind == f.Kind) && e.ID.Compare(f.From) >= 0
}

// Matches reports whether a transfer is to be listed; p is its payment, if it has one.
func (f TransferFilter) Matches(t ledger.Transfer, p payment.Payment) bool {
	of := t.Project
	if !t.Payment.IsZero() {
		of = p.ProjectID
	}
	return of == f.ProjectID && (f.Kind == "" || t.Kind == f.Kind) && (f.Customer.IsZero() || t.Customer == f.Customer) && t.ID.Compare(f.From) >= 0
}

// Processes tells living processes from dead ones, so that work leased by a
// dead one is taken over (design section 2).
type Processes interface {
	// Enter registers a process under a name that only one living process may
	// have (the caller proves that by a lock of its own) and answers its epoch;
	// older epochs of the same name are dead from then on.
	Enter(ctx context.Context, instance string, now time.Time) (epoch int64, err error)
	// Beat says that epoch lives, and lists the epochs that have not said so
	// since before, or were entered again under the same name.
	Beat(ctx context.Context, epoch int64, now, before time.Time) (dead []int64, err error)
}
