package book

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"sync"
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

// Memory is a home in memory, for unit tests and the simulator. It keeps what
// was committed, locks as the databases do, and fails where Fail says so.
type Memory struct {
	// Fail is asked at each step of a batch; nil never fails.
	Fail func(Step) Fault

	// Shared lets the batches of several lanes lie side by side, as PostgreSQL
	// does; else there is one at a time, as on SQLite. What PostgreSQL does by
	// locks, Commit does by looking again: a batch whose rows another has written
	// since it loaded them meets ErrConflict.
	Shared bool

	batch sync.Mutex // held from Begin to Commit or Abort, unless Shared

	mu      sync.RWMutex
	rows    memoryRows
	batches map[id.Batch]bool
	numbers int64
	process map[int64]memoryProcess
}

type memoryProcess struct {
	instance string
	seen     time.Time
}

// Step is a point of a batch where Memory can fail.
type Step string

// The steps of a batch.
const (
	StepBegin  Step = "begin"
	StepLoad   Step = "load"
	StepCommit Step = "commit"
)

// Fault is a way to fail.
type Fault string

// The ways to fail. They are the ways in which the databases do.
const (
	FaultNone     Fault = ""
	FaultAway     Fault = "away"      // nothing happened
	FaultConflict Fault = "conflict"  // run again
	FaultLostDone Fault = "lost_done" // commit only: written, and the answer lost
	FaultLostDead Fault = "lost_dead" // commit only: not written, and the answer lost
)

type memoryTable[R, K any] struct {
	rows map[any]Stored[R]
	key  func(R) K
	cmp  func(a, b K) int
}

type memoryRows struct {
	refs         memoryTable[payment.Ref, payment.RefKey]
	customers    memoryTable[customer.Customer, id.Customer]
	instruments  memoryTable[instrument.Instrument, id.Instrument]
	payments     memoryTable[payment.Payment, id.Payment]
	operations   memoryTable[payment.Operation, id.Operation]
	attempts     memoryTable[payment.Attempt, id.Attempt]
	accounts     memoryTable[ledger.Account, id.Account]
	deliveries   memoryTable[event.Delivery, id.Delivery]
	inbox        memoryTable[payment.Inbox, id.Inbox]
	cases        memoryTable[payment.Case, id.Case]
	rounds       memoryTable[ledger.Round, id.Round]
	endpoints    memoryTable[event.Endpoint, id.Endpoint]
	due          memoryTable[due.Due, id.Raw]
	keys         memoryTable[project.Key, id.Key]
	answers      memoryTable[payment.Answer, id.Answer]
	windows      memoryTable[limit.Window, id.Window]
	checks       memoryTable[customer.Check, id.Check]
	persons      memoryTable[customer.Person, id.Person]
	reviews      memoryTable[payment.Review, id.Raw]
	operators    memoryTable[operator.Operator, id.Operator]
	auditHeads   memoryTable[operator.Head, id.Raw]
	floats       memoryTable[limit.Float, id.Raw]
	claims       memoryTable[limit.Claim, id.Raw]
	calls        memoryTable[fop.Call, id.Call]
	associations memoryTable[fop.Association, id.Association]
	linked       memoryTable[fop.Linked, id.Raw]
	spent        memoryTable[fop.Spent, id.Raw]
	proofs       memoryTable[fop.Proof, id.Proof]
	codes        memoryTable[fop.Code, id.Code]
	statements   memoryTable[fop.Statement, id.Statement]
	lines        memoryTable[fop.Line, id.Raw]
	told         memoryTable[fop.Told, id.Told]
	notes        memoryTable[customer.Note, id.Note]
	audit        memoryTable[operator.Entry, id.Audit]
	transfers    memoryTable[ledger.Transfer, id.Transfer]
	events       memoryTable[event.Event, id.Event]
	requests     memoryTable[payment.Request, id.Raw]
}

func tableOf[R, K any](key func(R) K, order func(a, b K) int) memoryTable[R, K] {
	return memoryTable[R, K]{rows: map[any]Stored[R]{}, key: key, cmp: order}
}

// NewMemory makes an empty home.
func NewMemory() *Memory {
	return &Memory{
		batches: map[id.Batch]bool{}, process: map[int64]memoryProcess{}, numbers: 1,
		rows: memoryRows{
			refs:         tableOf(refKey, CompareRefs),
			customers:    tableOf(customerKey, id.Customer.Compare),
			instruments:  tableOf(instrumentKey, id.Instrument.Compare),
			payments:     tableOf(paymentKey, id.Payment.Compare),
			operations:   tableOf(operationKey, id.Operation.Compare),
			attempts:     tableOf(attemptKey, id.Attempt.Compare),
			accounts:     tableOf(accountKey, id.Account.Compare),
			deliveries:   tableOf(deliveryKey, id.Delivery.Compare),
			inbox:        tableOf(inboxKey, id.Inbox.Compare),
			cases:        tableOf(caseKey, id.Case.Compare),
			rounds:       tableOf(roundKey, id.Round.Compare),
			endpoints:    tableOf(endpointKey, id.Endpoint.Compare),
			due:          tableOf(dueKey, compareRaw),
			keys:         tableOf(keyKey, id.Key.Compare),
			answers:      tableOf(answerKey, id.Answer.Compare),
			windows:      tableOf(windowKey, id.Window.Compare),
			checks:       tableOf(checkKey, id.Check.Compare),
			persons:      tableOf(personKey, id.Person.Compare),
			reviews:      tableOf(reviewKey, compareRaw),
			operators:    tableOf(operatorKey, id.Operator.Compare),
			auditHeads:   tableOf(auditHeadKey, compareRaw),
			floats:       tableOf(floatKey, compareRaw),
			claims:       tableOf(claimKey, compareRaw),
			calls:        tableOf(fopCallKey, id.Call.Compare),
			associations: tableOf(fopAssociationKey, id.Association.Compare),
			linked:       tableOf(fopLinkedKey, compareRaw),
			spent:        tableOf(fopSpentKey, compareRaw),
			proofs:       tableOf(fopProofKey, id.Proof.Compare),
			codes:        tableOf(fopCodeKey, id.Code.Compare),
			statements:   tableOf(fopStatementKey, id.Statement.Compare),
			lines:        tableOf(fopLineKey, compareRaw),
			told:         tableOf(fopToldKey, id.Told.Compare),
			notes:        tableOf(func(r customer.Note) id.Note { return r.ID }, id.Note.Compare),
			audit:        tableOf(func(r operator.Entry) id.Audit { return r.ID }, id.Audit.Compare),
			transfers:    tableOf(func(t ledger.Transfer) id.Transfer { return t.ID }, id.Transfer.Compare),
			events:       tableOf(func(e event.Event) id.Event { return e.ID }, id.Event.Compare),
			requests:     tableOf(func(r payment.Request) id.Raw { return r.ID }, compareRaw),
		},
	}
}

// Lane opens a committer.
func (m *Memory) Lane(context.Context) (Lane, error) { return &memoryLane{m: m}, nil }

// FindRef reads a ref.
func (m *Memory) FindRef(_ context.Context, key payment.RefKey) (id.Raw, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r, ok := m.rows.refs.rows[key]
	return r.Row.Target, ok, nil
}

// LeaseNumbers takes a block of integers.
func (m *Memory) LeaseNumbers(_ context.Context, n int64) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	first := m.numbers
	m.numbers += n
	return first, nil
}

// memoryLane is a batch on a Memory.
type memoryLane struct {
	m     *Memory
	alone bool // it has the home's lock
	batch id.Batch
	drop  id.Batch
	seen  []func() bool // Shared: whether each row loaded is still as it was
}

func (l *memoryLane) fault(s Step) Fault {
	if l.m.Fail == nil {
		return FaultNone
	}
	return l.m.Fail(s)
}

func (l *memoryLane) fail(s Step) error {
	switch l.fault(s) {
	case FaultAway:
		l.end()
		return errAway
	case FaultConflict:
		l.end()
		return ErrConflict
	case FaultNone, FaultLostDone, FaultLostDead: // the last two are commit's alone
	}
	return nil
}

var errAway = errors.New("memory home is away")

func (l *memoryLane) end() {
	if l.alone {
		l.m.batch.Unlock()
	}
	l.alone, l.seen = false, l.seen[:0]
}

// Begin opens a batch and loads rows.
func (l *memoryLane) Begin(ctx context.Context, batch, forget id.Batch, want *Keys) (*Found, error) {
	if !l.m.Shared {
		l.m.batch.Lock()
	}
	l.alone, l.seen, l.batch, l.drop = !l.m.Shared, l.seen[:0], batch, forget
	if err := l.fail(StepBegin); err != nil {
		return nil, err
	}
	l.m.mu.RLock()
	known := l.m.batches[batch]
	l.m.mu.RUnlock()
	if known {
		l.end()
		return nil, ErrCommitted
	}
	return l.load(want), nil
}

// Load loads more rows.
func (l *memoryLane) Load(_ context.Context, want *Keys) (*Found, error) {
	if err := l.fail(StepLoad); err != nil {
		return nil, err
	}
	return l.load(want), nil
}

func (l *memoryLane) load(k *Keys) *Found {
	l.m.mu.RLock()
	defer l.m.mu.RUnlock()
	r := &l.m.rows
	return &Found{
		Refs: loadRows(l, r.refs, k.Refs), Customers: loadRows(l, r.customers, k.Customers), Instruments: loadRows(l, r.instruments, k.Instruments),
		Payments: loadRows(l, r.payments, k.Payments), Operations: loadRows(l, r.operations, k.Operations), Attempts: loadRows(l, r.attempts, k.Attempts),
		Accounts: loadRows(l, r.accounts, k.Accounts), Deliveries: loadRows(l, r.deliveries, k.Deliveries), Inbox: loadRows(l, r.inbox, k.Inbox),
		Cases: loadRows(l, r.cases, k.Cases), Rounds: loadRows(l, r.rounds, k.Rounds), Endpoints: loadRows(l, r.endpoints, k.Endpoints), Due: loadRows(l, r.due, k.Due),
		Keys: loadRows(l, r.keys, k.Keys), Answers: loadRows(l, r.answers, k.Answers),
		Windows: load(l, r.windows, k.Windows, !k.Unlocked), Checks: loadRows(l, r.checks, k.Checks), Persons: loadRows(l, r.persons, k.Persons), Reviews: loadRows(l, r.reviews, k.Reviews), Operators: loadRows(l, r.operators, k.Operators), AuditHeads: loadRows(l, r.auditHeads, k.AuditHeads),
		Floats: loadRows(l, r.floats, k.Floats), Claims: loadRows(l, r.claims, k.Claims),
		Calls: loadRows(l, r.calls, k.Calls), Associations: loadRows(l, r.associations, k.Associations), Linked: loadRows(l, r.linked, k.Linked), Spent: loadRows(l, r.spent, k.Spent), Proofs: loadRows(l, r.proofs, k.Proofs),
		Codes: loadRows(l, r.codes, k.Codes), Statements: loadRows(l, r.statements, k.Statements), Lines: loadRows(l, r.lines, k.Lines), Told: loadRows(l, r.told, k.Told),
	}
}

func loadRows[R, K any](l *memoryLane, t memoryTable[R, K], keys []K) []Stored[R] {
	return load(l, t, keys, true)
}

// load is loadRows with or without locks.
func load[R, K any](l *memoryLane, t memoryTable[R, K], keys []K, locked bool) []Stored[R] {
	var out []Stored[R]
	for _, k := range keys {
		if s, ok := t.rows[k]; ok {
			out = append(out, s)
			if l.m.Shared && locked { // a row that is absent cannot be locked either
				l.seen = append(l.seen, func() bool { return t.rows[k].Version == s.Version })
			}
		}
	}
	return out
}

// Commit writes all changes or none.
func (l *memoryLane) Commit(_ context.Context, c *Changes) error {
	defer l.end()
	fault := l.fault(StepCommit)
	switch fault {
	case FaultAway:
		return errAway
	case FaultConflict:
		return ErrConflict
	case FaultLostDead:
		return ErrLost
	case FaultNone, FaultLostDone:
	}
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	for _, still := range l.seen {
		if !still() {
			return ErrConflict
		}
	}
	r := &l.m.rows
	if !(fits(r.refs, c.Refs) && fits(r.customers, c.Customers) && fits(r.instruments, c.Instruments) && fits(r.payments, c.Payments) &&
		fits(r.operations, c.Operations) && fits(r.attempts, c.Attempts) && fits(r.accounts, c.Accounts) && fits(r.deliveries, c.Deliveries) &&
		fits(r.inbox, c.Inbox) && fits(r.cases, c.Cases) && fits(r.rounds, c.Rounds) && fits(r.endpoints, c.Endpoints) && fits(r.due, c.Due) &&
		fits(r.keys, c.Keys) && fits(r.answers, c.Answers) && fits(r.windows, c.Windows) && fits(r.checks, c.Checks) && fits(r.persons, c.Persons) && fits(r.reviews, c.Reviews) && fits(r.operators, c.Operators) && fits(r.auditHeads, c.AuditHeads) &&
		fits(r.floats, c.Floats) && fits(r.claims, c.Claims) &&
		fits(r.calls, c.Calls) && fits(r.associations, c.Associations) && fits(r.linked, c.Linked) && fits(r.spent, c.Spent) && fits(r.proofs, c.Proofs) && fits(r.codes, c.Codes) && fits(r.statements, c.Statements) && fits(r.lines, c.Lines) && fits(r.told, c.Told)) {
		return ErrConflict
	}
	write(r.refs, c.Refs)
	write(r.customers, c.Customers)
	write(r.instruments, c.Instruments)
	write(r.payments, c.Payments)
	write(r.operations, c.Operations)
	write(r.attempts, c.Attempts)
	write(r.accounts, c.Accounts)
	write(r.deliveries, c.Deliveries)
	write(r.inbox, c.Inbox)
	write(r.cases, c.Cases)
	write(r.rounds, c.Rounds)
	write(r.endpoints, c.Endpoints)
	write(r.due, withoutCarry(c.Due))
	write(r.keys, c.Keys)
	write(r.answers, c.Answers)
	write(r.windows, c.Windows)
	write(r.checks, c.Checks)
	write(r.persons, c.Persons)
	write(r.reviews, c.Reviews)
	write(r.operators, c.Operators)
	write(r.auditHeads, c.AuditHeads)
	write(r.floats, c.Floats)
	write(r.claims, c.Claims)
	write(r.calls, c.Calls)
	write(r.associations, c.Associations)
	write(r.linked, c.Linked)
	write(r.spent, c.Spent)
	write(r.proofs, c.Proofs)
	write(r.codes, c.Codes)
	write(r.statements, c.Statements)
	write(r.lines, c.Lines)
	write(r.told, c.Told)
	write(r.notes, Change[customer.Note, id.Note]{Insert: c.Notes})
	write(r.audit, Change[operator.Entry, id.Audit]{Insert: c.Audit})
	write(r.transfers, Change[ledger.Transfer, id.Transfer]{Insert: c.Transfers})
	write(r.events, Change[event.Event, id.Event]{Insert: c.Events})
	write(r.requests, Change[payment.Request, id.Raw]{Insert: c.Requests})
	delete(l.m.batches, l.drop)
	l.m.batches[l.batch] = true
	if fault == FaultLostDone {
		return ErrLost
	}
	return nil
}

// fits is the version check, and the primary key.
func fits[R, K any](t memoryTable[R, K], c Change[R, K]) bool {
	for _, r := range c.Insert {
		if _, ok := t.rows[t.key(r)]; ok {
			return false
		}
	}
	for _, u := range c.Update {
		if t.rows[t.key(u.Row)].Version != u.Version {
			return false
		}
	}
	for _, list := range [][]StoredKey[K]{c.Delete, c.Check} {
		for _, d := range list {
			if t.rows[d.Key].Version != d.Version {
				return false
			}
		}
	}
	return true
}

// withoutCarry is what the databases store of due rows.
func withoutCarry(c Change[due.Due, id.Raw]) Change[due.Due, id.Raw] {
	out := Change[due.Due, id.Raw]{Insert: slices.Clone(c.Insert), Update: slices.Clone(c.Update), Delete: c.Delete}
	for n := range out.Insert {
		out.Insert[n].Carry = nil
	}
	for n := range out.Update {
		out.Update[n].Row.Carry = nil
	}
	return out
}

func write[R, K any](t memoryTable[R, K], c Change[R, K]) {
	for _, r := range c.Insert {
		t.rows[t.key(r)] = Stored[R]{r, 1}
	}
	for _, u := range c.Update {
		t.rows[t.key(u.Row)] = Stored[R]{u.Row, u.Version + 1}
	}
	for _, d := range c.Delete {
		delete(t.rows, d.Key)
	}
}

// Abort ends the batch without a trace.
func (l *memoryLane) Abort(context.Context) { l.end() }

// Close ends the lane.
func (l *memoryLane) Close() error {
	l.end()
	return nil
}

// The rest is Memory as a Reader.

func one[R, K any](m *Memory, t *memoryTable[R, K], k K) (R, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	s, ok := t.rows[k]
	return s.Row, ok, nil
}

func scan[R, K any](m *Memory, t *memoryTable[R, K], after K, limit int, keep func(R) bool) ([]R, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []R
	for s := range maps.Values(t.rows) {
		if t.cmp(t.key(s.Row), after) > 0 && (keep == nil || keep(s.Row)) {
			out = append(out, s.Row)
		}
	}
	slices.SortFunc(out, func(a, b R) int { return t.cmp(t.key(a), t.key(b)) })
	return out[:min(limit, len(out))], nil
}

// Payment reads a payment.
func (m *Memory) Payment(_ context.Context, p id.Payment) (payment.Payment, bool, error) {
	return one(m, &m.rows.payments, p)
}

// Operation reads an operation.
func (m *Memory) Operation(_ context.Context, o id.Operation) (payment.Operation, bool, error) {
	return one(m, &m.rows.operations, o)
}

// Attempt reads an attempt.
func (m *Memory) Attempt(_ context.Context, a id.Attempt) (payment.Attempt, bool, error) {
	return one(m, &m.rows.attempts, a)
}

// Event reads an event.
func (m *Memory) Event(_ context.Context, e id.Event) (event.Event, bool, error) {
	return one(m, &m.rows.events, e)
}

// Delivery reads a delivery.
func (m *Memory) Delivery(_ context.Context, d id.Delivery) (event.Delivery, bool, error) {
	return one(m, &m.rows.deliveries, d)
}

// Inbox reads a notification.
func (m *Memory) Inbox(_ context.Context, n id.Inbox) (payment.Inbox, bool, error) {
	return one(m, &m.rows.inbox, n)
}

// Request reads what came with a request.
func (m *Memory) Request(_ context.Context, r id.Raw) (payment.Request, bool, error) {
	return one(m, &m.rows.requests, r)
}

// Customer reads a customer.
func (m *Memory) Customer(_ context.Context, c id.Customer) (customer.Customer, bool, error) {
	return one(m, &m.rows.customers, c)
}

// Account reads an account.
func (m *Memory) Account(_ context.Context, a id.Account) (ledger.Account, bool, error) {
	return one(m, &m.rows.accounts, a)
}

// Transfer reads a transfer.
func (m *Memory) Transfer(_ context.Context, t id.Transfer) (ledger.Transfer, bool, error) {
	return one(m, &m.rows.transfers, t)
}

// Deposits follows a customer's statement back.
func (m *Memory) Deposits(_ context.Context, from id.Transfer, most int) ([]id.Payment, error) {
	var out []id.Payment
	for next, n := from, 0; !next.IsZero() && n < most; n++ {
		t, _, err := one(m, &m.rows.transfers, next)
		if err != nil {
			return nil, err
		}
		if t.Kind == ledger.KindDeposit || t.Kind == ledger.KindLateCredit {
			out = append(out, t.Payment)
		}
		next = t.Prev
	}
	return out, nil
}

// Round reads a round.
func (m *Memory) Round(_ context.Context, r id.Round) (ledger.Round, bool, error) {
	return one(m, &m.rows.rounds, r)
}

// Key reads an API key.
func (m *Memory) Key(_ context.Context, k id.Key) (project.Key, bool, error) {
	return one(m, &m.rows.keys, k)
}

// Answer reads what a request was answered.
func (m *Memory) Answer(_ context.Context, a id.Answer) (payment.Answer, bool, error) {
	return one(m, &m.rows.answers, a)
}

// Instrument reads an instrument.
func (m *Memory) Instrument(_ context.Context, i id.Instrument) (instrument.Instrument, bool, error) {
	return one(m, &m.rows.instruments, i)
}

// Window reads what its name says.
func (m *Memory) Window(_ context.Context, k id.Window) (limit.Window, bool, error) {
	return one(m, &m.rows.windows, k)
}

// Check reads what its name says.
func (m *Memory) Check(_ context.Context, k id.Check) (customer.Check, bool, error) {
	return one(m, &m.rows.checks, k)
}

// Person reads what its name says.
func (m *Memory) Person(_ context.Context, k id.Person) (customer.Person, bool, error) {
	return one(m, &m.rows.persons, k)
}

// Review reads what its name says.
func (m *Memory) Review(_ context.Context, k id.Raw) (payment.Review, bool, error) {
	return one(m, &m.rows.reviews, k)
}

// Operator reads what its name says.
func (m *Memory) Operator(_ context.Context, k id.Operator) (operator.Operator, bool, error) {
	return one(m, &m.rows.operators, k)
}

// AuditHead reads what its name says.
func (m *Memory) AuditHead(_ context.Context, k id.Raw) (operator.Head, bool, error) {
	return one(m, &m.rows.auditHeads, k)
}

// Float reads what its name says.
func (m *Memory) Float(_ context.Context, k id.Raw) (limit.Float, bool, error) {
	return one(m, &m.rows.floats, k)
}

// Claim reads what its name says.
func (m *Memory) Claim(_ context.Context, k id.Raw) (limit.Claim, bool, error) {
	return one(m, &m.rows.claims, k)
}

// Call reads what its name says.
func (m *Memory) Call(_ context.Context, k id.Call) (fop.Call, bool, error) {
	return one(m, &m.rows.calls, k)
}

// Association reads what its name says.
func (m *Memory) Association(_ context.Context, k id.Association) (fop.Association, bool, error) {
	return one(m, &m.rows.associations, k)
}

// Linked reads what its name says.
func (m *Memory) Linked(_ context.Context, k id.Raw) (fop.Linked, bool, error) {
	return one(m, &m.rows.linked, k)
}

// Spent reads what its name says.
func (m *Memory) Spent(_ context.Context, k id.Raw) (fop.Spent, bool, error) {
	return one(m, &m.rows.spent, k)
}

// Proof reads what its name says.
func (m *Memory) Proof(_ context.Context, k id.Proof) (fop.Proof, bool, error) {
	return one(m, &m.rows.proofs, k)
}

// Code reads what its name says.
func (m *Memory) Code(_ context.Context, k id.Code) (fop.Code, bool, error) {
	return one(m, &m.rows.codes, k)
}

// Statement reads what its name says.
func (m *Memory) Statement(_ context.Context, k id.Statement) (fop.Statement, bool, error) {
	return one(m, &m.rows.statements, k)
}

// Line reads what its name says.
func (m *Memory) Line(_ context.Context, k id.Raw) (fop.Line, bool, error) {
	return one(m, &m.rows.lines, k)
}

// Told reads what its name says.
func (m *Memory) Told(_ context.Context, k id.Told) (fop.Told, bool, error) {
	return one(m, &m.rows.told, k)
}

// Note reads what its name says.
func (m *Memory) Note(_ context.Context, k id.Note) (customer.Note, bool, error) {
	return one(m, &m.rows.notes, k)
}

// AuditEntry reads what its name says.
func (m *Memory) AuditEntry(_ context.Context, k id.Audit) (operator.Entry, bool, error) {
	return one(m, &m.rows.audit, k)
}

// ListPayments lists payments that match, newest first.
func (m *Memory) ListPayments(_ context.Context, match PaymentFilter, before id.Payment, limit int) ([]payment.Payment, id.Payment, error) {
	return newest(m, &m.rows.payments, before, match.From, limit, match.Matches)
}

// ListOperations lists operations that match, newest first.
func (m *Memory) ListOperations(ctx context.Context, match OperationFilter, before id.Operation, limit int) ([]payment.Operation, id.Operation, error) {
	return newest(m, &m.rows.operations, before, match.From, limit, func(o payment.Operation) bool {
		p, ok, err := m.Payment(ctx, o.Payment)
		return ok && err == nil && match.Matches(o, p)
	})
}

// ListEvents lists events that match, newest first.
func (m *Memory) ListEvents(ctx context.Context, match EventFilter, before id.Event, limit int) ([]event.Event, id.Event, error) {
	return newest(m, &m.rows.events, before, match.From, limit, func(e event.Event) bool {
		p, ok, err := m.Payment(ctx, e.Payment)
		return ok && err == nil && match.Matches(e, p)
	})
}

// ListTransfers lists transfers that match, newest first.
func (m *Memory) ListTransfers(ctx context.Context, match TransferFilter, before id.Transfer, limit int) ([]ledger.Transfer, id.Transfer, error) {
	return newest(m, &m.rows.transfers, before, match.From, limit, func(t ledger.Transfer) bool {
		p, ok, err := m.Payment(ctx, t.Payment)
		return (ok || t.Payment.IsZero()) && err == nil && match.Matches(t, p)
	})
}

// newest lists rows that match, newest first, and where to go on.
func newest[R any, T id.Kind](m *Memory, t *memoryTable[R, id.Of[T]], before, from id.Of[T], limit int, match func(R) bool) ([]R, id.Of[T], error) {
	all, err := scan(m, t, id.Of[T]{}, math.MaxInt, nil)
	var out []R
	seen := 0
	for _, r := range slices.Backward(all) {
		k := t.key(r)
		if !before.IsZero() && k.Compare(before) >= 0 {
			continue
		}
		if k.Compare(from) < 0 {
			break
		}
		if match(r) {
			out = append(out, r)
		}
		if seen++; len(out) == limit || seen == ListWindow {
			return out, k, err
		}
	}
	return out, id.Of[T]{}, err
}

// Endpoint reads an endpoint.
func (m *Memory) Endpoint(_ context.Context, e id.Endpoint) (event.Endpoint, bool, error) {
	return one(m, &m.rows.endpoints, e)
}

// EndpointDeliveries lists what an endpoint is told.
func (m *Memory) EndpointDeliveries(_ context.Context, e id.Endpoint, after id.Delivery, limit int) ([]event.Delivery, error) {
	return scan(m, &m.rows.deliveries, after, limit, func(d event.Delivery) bool { return d.Door == event.DoorWebhook && d.Endpoint == e })
}

// NewestDeliveries lists what an endpoint is told, newest first.
func (m *Memory) NewestDeliveries(ctx context.Context, e id.Endpoint, before id.Delivery, limit int) ([]event.Delivery, error) {
	rows, err := m.EndpointDeliveries(ctx, e, id.Delivery{}, math.MaxInt)
	rows = slices.DeleteFunc(rows, func(d event.Delivery) bool { return d.ID.Compare(before) >= 0 })
	slices.Reverse(rows)
	return rows[:min(limit, len(rows))], err
}

// Overdue lists work whose time has come.
func (m *Memory) Overdue(_ context.Context, nowUS int64, dead []int64, limit int) ([]due.Due, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []due.Due
	for s := range maps.Values(m.rows.due.rows) {
		if s.Row.DueUS <= nowUS || slices.Contains(dead, s.Row.Owner) {
			out = append(out, s.Row)
		}
	}
	slices.SortFunc(out, func(a, b due.Due) int { return cmp.Or(cmp.Compare(a.DueUS, b.DueUS), compareRaw(a.ID, b.ID)) })
	return out[:min(limit, len(out))], nil
}

// DeadDeliveries lists dead letters.
func (m *Memory) DeadDeliveries(_ context.Context, after id.Delivery, limit int) ([]event.Delivery, error) {
	return scan(m, &m.rows.deliveries, after, limit, func(d event.Delivery) bool { return d.State == event.DeliveryDead })
}

// DeadInbox lists notifications that could not be applied.
func (m *Memory) DeadInbox(_ context.Context, after id.Inbox, limit int) ([]payment.Inbox, error) {
	return scan(m, &m.rows.inbox, after, limit, func(n payment.Inbox) bool { return n.State == payment.InboxDead })
}

// Cases lists cases.
func (m *Memory) Cases(_ context.Context, after id.Case, limit int) ([]payment.Case, error) {
	return scan(m, &m.rows.cases, after, limit, nil)
}

// LinkedByPhone lists the customers with a phone number.
func (m *Memory) LinkedByPhone(_ context.Context, hash string, limit int) ([]fop.Linked, error) {
	return scan(m, &m.rows.linked, id.Raw{}, limit, func(r fop.Linked) bool { return hash != "" && r.PhoneHash == hash })
}

// ScanPayments pages through all payments.
func (m *Memory) ScanPayments(_ context.Context, after id.Payment, limit int) ([]payment.Payment, error) {
	return scan(m, &m.rows.payments, after, limit, nil)
}

// ScanOperations pages through all operations.
func (m *Memory) ScanOperations(_ context.Context, after id.Operation, limit int) ([]payment.Operation, error) {
	return scan(m, &m.rows.operations, after, limit, nil)
}

// ScanAttempts pages through all attempts.
func (m *Memory) ScanAttempts(_ context.Context, after id.Attempt, limit int) ([]payment.Attempt, error) {
	return scan(m, &m.rows.attempts, after, limit, nil)
}

// ScanAccounts pages through all accounts.
func (m *Memory) ScanAccounts(_ context.Context, after id.Account, limit int) ([]ledger.Account, error) {
	return scan(m, &m.rows.accounts, after, limit, nil)
}

// ScanTransfers pages through all transfers.
func (m *Memory) ScanTransfers(_ context.Context, after id.Transfer, limit int) ([]ledger.Transfer, error) {
	return scan(m, &m.rows.transfers, after, limit, nil)
}

// ScanCustomers pages through all customers.
func (m *Memory) ScanCustomers(_ context.Context, after id.Customer, limit int) ([]customer.Customer, error) {
	return scan(m, &m.rows.customers, after, limit, nil)
}

// ScanRounds pages through all rounds.
func (m *Memory) ScanRounds(_ context.Context, after id.Round, limit int) ([]ledger.Round, error) {
	return scan(m, &m.rows.rounds, after, limit, nil)
}

// ScanEvents pages through all events.
func (m *Memory) ScanEvents(_ context.Context, after id.Event, limit int) ([]event.Event, error) {
	return scan(m, &m.rows.events, after, limit, nil)
}

// ScanDeliveries pages through all deliveries.
func (m *Memory) ScanDeliveries(_ context.Context, after id.Delivery, limit int) ([]event.Delivery, error) {
	return scan(m, &m.rows.deliveries, after, limit, nil)
}

// ScanInbox pages through all notifications.
func (m *Memory) ScanInbox(_ context.Context, after id.Inbox, limit int) ([]payment.Inbox, error) {
	return scan(m, &m.rows.inbox, after, limit, nil)
}

// ScanRefs pages through all refs.
func (m *Memory) ScanRefs(_ context.Context, after payment.RefKey, limit int) ([]payment.Ref, error) {
	return scan(m, &m.rows.refs, after, limit, nil)
}

// ScanEndpoints pages through all endpoints.
func (m *Memory) ScanEndpoints(_ context.Context, after id.Endpoint, limit int) ([]event.Endpoint, error) {
	return scan(m, &m.rows.endpoints, after, limit, nil)
}

// ScanDue pages through all due rows.
func (m *Memory) ScanDue(_ context.Context, after id.Raw, limit int) ([]due.Due, error) {
	return scan(m, &m.rows.due, after, limit, nil)
}

// ScanKeys pages through all API keys.
func (m *Memory) ScanKeys(_ context.Context, after id.Key, limit int) ([]project.Key, error) {
	return scan(m, &m.rows.keys, after, limit, nil)
}

// ScanAnswers pages through all answers.
func (m *Memory) ScanAnswers(_ context.Context, after id.Answer, limit int) ([]payment.Answer, error) {
	return scan(m, &m.rows.answers, after, limit, nil)
}

// ScanInstruments pages through all instruments.
func (m *Memory) ScanInstruments(_ context.Context, after id.Instrument, limit int) ([]instrument.Instrument, error) {
	return scan(m, &m.rows.instruments, after, limit, nil)
}

// ScanWindows pages through all rows of the kind.
func (m *Memory) ScanWindows(_ context.Context, after id.Window, limit int) ([]limit.Window, error) {
	return scan(m, &m.rows.windows, after, limit, nil)
}

// ScanChecks pages through all rows of the kind.
func (m *Memory) ScanChecks(_ context.Context, after id.Check, limit int) ([]customer.Check, error) {
	return scan(m, &m.rows.checks, after, limit, nil)
}

// ScanPersons pages through all rows of the kind.
func (m *Memory) ScanPersons(_ context.Context, after id.Person, limit int) ([]customer.Person, error) {
	return scan(m, &m.rows.persons, after, limit, nil)
}

// ScanReviews pages through all rows of the kind.
func (m *Memory) ScanReviews(_ context.Context, after id.Raw, limit int) ([]payment.Review, error) {
	return scan(m, &m.rows.reviews, after, limit, nil)
}

// ScanOperators pages through all rows of the kind.
func (m *Memory) ScanOperators(_ context.Context, after id.Operator, limit int) ([]operator.Operator, error) {
	return scan(m, &m.rows.operators, after, limit, nil)
}

// ScanAuditHeads pages through all rows of the kind.
func (m *Memory) ScanAuditHeads(_ context.Context, after id.Raw, limit int) ([]operator.Head, error) {
	return scan(m, &m.rows.auditHeads, after, limit, nil)
}

// ScanFloats pages through all rows of the kind.
func (m *Memory) ScanFloats(_ context.Context, after id.Raw, limit int) ([]limit.Float, error) {
	return scan(m, &m.rows.floats, after, limit, nil)
}

// ScanClaims pages through all rows of the kind.
func (m *Memory) ScanClaims(_ context.Context, after id.Raw, limit int) ([]limit.Claim, error) {
	return scan(m, &m.rows.claims, after, limit, nil)
}

// ScanCalls pages through all rows of the kind.
func (m *Memory) ScanCalls(_ context.Context, after id.Call, limit int) ([]fop.Call, error) {
	return scan(m, &m.rows.calls, after, limit, nil)
}

// ScanAssociations pages through all rows of the kind.
func (m *Memory) ScanAssociations(_ context.Context, after id.Association, limit int) ([]fop.Association, error) {
	return scan(m, &m.rows.associations, after, limit, nil)
}

// ScanLinked pages through all rows of the kind.
func (m *Memory) ScanLinked(_ context.Context, after id.Raw, limit int) ([]fop.Linked, error) {
	return scan(m, &m.rows.linked, after, limit, nil)
}

// ScanSpent pages through all rows of the kind.
func (m *Memory) ScanSpent(_ context.Context, after id.Raw, limit int) ([]fop.Spent, error) {
	return scan(m, &m.rows.spent, after, limit, nil)
}

// ScanProofs pages through all rows of the kind.
func (m *Memory) ScanProofs(_ context.Context, after id.Proof, limit int) ([]fop.Proof, error) {
	return scan(m, &m.rows.proofs, after, limit, nil)
}

// ScanCodes pages through all rows of the kind.
func (m *Memory) ScanCodes(_ context.Context, after id.Code, limit int) ([]fop.Code, error) {
	return scan(m, &m.rows.codes, after, limit, nil)
}

// ScanStatements pages through all rows of the kind.
func (m *Memory) ScanStatements(_ context.Context, after id.Statement, limit int) ([]fop.Statement, error) {
	return scan(m, &m.rows.statements, after, limit, nil)
}

// ScanLines pages through all rows of the kind.
func (m *Memory) ScanLines(_ context.Context, after id.Raw, limit int) ([]fop.Line, error) {
	return scan(m, &m.rows.lines, after, limit, nil)
}

// ScanTold pages through all rows of the kind.
func (m *Memory) ScanTold(_ context.Context, after id.Told, limit int) ([]fop.Told, error) {
	return scan(m, &m.rows.told, after, limit, nil)
}

// ScanNotes pages through all rows of the kind.
func (m *Memory) ScanNotes(_ context.Context, after id.Note, limit int) ([]customer.Note, error) {
	return scan(m, &m.rows.notes, after, limit, nil)
}

// ScanAudit pages through all rows of the kind.
func (m *Memory) ScanAudit(_ context.Context, after id.Audit, limit int) ([]operator.Entry, error) {
	return scan(m, &m.rows.audit, after, limit, nil)
}

// Enter registers a process.
func (m *Memory) Enter(_ context.Context, instance string, now time.Time) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	epoch := int64(len(m.process) + 1)
	m.process[epoch] = memoryProcess{instance, now}
	return epoch, nil
}

// Beat says that a process lives, and lists the dead.
func (m *Memory) Beat(_ context.Context, epoch int64, now, before time.Time) ([]int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	self := m.process[epoch]
	m.process[epoch] = memoryProcess{self.instance, now}
	var dead []int64
	for e, p := range m.process {
		if p.seen.Before(before) || (p.instance == self.instance && e < epoch) {
			dead = append(dead, e)
		}
	}
	slices.Sort(dead)
	return dead, nil
}
