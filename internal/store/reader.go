package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"aorta/internal/book"
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

// querier runs a portable statement on a pooled connection. Arguments are
// id.Raw, int64 or string; $1, $2 … come in this order in the text.
type querier interface {
	query(ctx context.Context, sql string, args []any, each func(values) error) error
}

// reader answers book.Reader on either database, and the rest of what needs no
// lane. Its statements are portable: one text, run by both in the tests.
type reader struct{ q querier }

// list reads whole rows. rest is what follows SELECT … FROM table.
func list[R any](ctx context.Context, q querier, k *kind[R], rest string, args ...any) ([]R, error) {
	var out []R
	cols := k.all()
	err := q.query(ctx, k.selects()+rest, args, func(v values) error {
		var r R
		if err := scan(cols, v, &r); err != nil {
			return err
		}
		out = append(out, r)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", k.name, err)
	}
	return out, nil
}

// one reads a row by its id.
func one[R any](ctx context.Context, q querier, k *kind[R], key id.Raw) (R, bool, error) {
	rows, err := list(ctx, q, k, fmt.Sprintf(whereKey, k.name), key, int64(key.Bucket()))
	if err != nil || len(rows) == 0 {
		var none R
		return none, false, err
	}
	return rows[0], true, nil
}

// page reads the rows after a key.
func page[R any](ctx context.Context, q querier, k *kind[R], after id.Raw, limit int) ([]R, error) {
	return list(ctx, q, k, fmt.Sprintf(afterKey, k.name), after, int64(limit))
}

const (
	whereKey = " WHERE %[1]s.id = $1 AND %[1]s.bucket = $2"
	afterKey = " WHERE %[1]s.id > $1 ORDER BY %[1]s.id LIMIT $2"
	deadKey  = " WHERE %[1]s.id > $1 AND %[1]s.state = 'dead' ORDER BY %[1]s.id LIMIT $2"
)

// FindRef reads a ref outside acts.
func (r reader) FindRef(ctx context.Context, key payment.RefKey) (id.Raw, bool, error) {
	rows, err := list(ctx, r.q, &refs.kind, " WHERE ref.scope = $1 AND ref.ref_text = $2 AND ref.bucket = $3",
		key.Scope, key.Text, int64(key.Bucket))
	if err != nil || len(rows) == 0 {
		return id.Raw{}, false, err
	}
	return rows[0].Target, true, nil
}

// LeaseNumbers takes a block of n integers and answers its first.
func (r reader) LeaseNumbers(ctx context.Context, n int64) (int64, error) {
	var first int64
	err := r.q.query(ctx, leaseNumbers, []any{n}, func(v values) error {
		first = v.int(0)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("lease numbers: %w", err)
	}
	if first == 0 {
		return 0, fmt.Errorf("lease numbers: %w", ErrSchema)
	}
	return first - n, nil
}

// leaseNumbers answers the first number after the block. One statement, so two
// processes never get the same block.
const leaseNumbers = `UPDATE counter SET next_number = counter.next_number + CAST($1 AS BIGINT)
WHERE counter.name = 'number' AND counter.bucket = 0 RETURNING next_number`

// Payment reads a payment.
func (r reader) Payment(ctx context.Context, p id.Payment) (payment.Payment, bool, error) {
	return one(ctx, r.q, &payments.kind, p.Raw())
}

// Operation reads an operation.
func (r reader) Operation(ctx context.Context, o id.Operation) (payment.Operation, bool, error) {
	return one(ctx, r.q, &operations.kind, o.Raw())
}

// Attempt reads an attempt.
func (r reader) Attempt(ctx context.Context, a id.Attempt) (payment.Attempt, bool, error) {
	return one(ctx, r.q, &attempts.kind, a.Raw())
}

// Event reads an event.
func (r reader) Event(ctx context.Context, e id.Event) (event.Event, bool, error) {
	return one(ctx, r.q, &events.kind, e.Raw())
}

// Delivery reads a delivery.
func (r reader) Delivery(ctx context.Context, d id.Delivery) (event.Delivery, bool, error) {
	return one(ctx, r.q, &deliveries.kind, d.Raw())
}

// Inbox reads a notification.
func (r reader) Inbox(ctx context.Context, n id.Inbox) (payment.Inbox, bool, error) {
	return one(ctx, r.q, &inbox.kind, n.Raw())
}

// Endpoint reads an endpoint.
func (r reader) Endpoint(ctx context.Context, e id.Endpoint) (event.Endpoint, bool, error) {
	return one(ctx, r.q, &endpoints.kind, e.Raw())
}

// Request reads what came with a request.
func (r reader) Request(ctx context.Context, q id.Raw) (payment.Request, bool, error) {
	return one(ctx, r.q, &requests.kind, q)
}

// Customer reads a customer.
func (r reader) Customer(ctx context.Context, c id.Customer) (customer.Customer, bool, error) {
	return one(ctx, r.q, &customers.kind, c.Raw())
}

// Account reads an account.
func (r reader) Account(ctx context.Context, a id.Account) (ledger.Account, bool, error) {
	return one(ctx, r.q, &accounts.kind, a.Raw())
}

// Transfer reads a transfer.
func (r reader) Transfer(ctx context.Context, t id.Transfer) (ledger.Transfer, bool, error) {
	return one(ctx, r.q, &transfers.kind, t.Raw())
}

// Round reads a round.
func (r reader) Round(ctx context.Context, n id.Round) (ledger.Round, bool, error) {
	return one(ctx, r.q, &rounds.kind, n.Raw())
}

// Key reads an API key.
func (r reader) Key(ctx context.Context, k id.Key) (project.Key, bool, error) {
	return one(ctx, r.q, &keys.kind, k.Raw())
}

// Answer reads what a request was answered.
func (r reader) Answer(ctx context.Context, a id.Answer) (payment.Answer, bool, error) {
	return one(ctx, r.q, &answers.kind, a.Raw())
}

// Instrument reads an instrument.
func (r reader) Instrument(ctx context.Context, i id.Instrument) (instrument.Instrument, bool, error) {
	return one(ctx, r.q, &instruments.kind, i.Raw())
}

// Window reads what its name says.
func (r reader) Window(ctx context.Context, k id.Window) (limit.Window, bool, error) {
	return one(ctx, r.q, &windows.kind, k.Raw())
}

// Check reads what its name says.
func (r reader) Check(ctx context.Context, k id.Check) (customer.Check, bool, error) {
	return one(ctx, r.q, &checks.kind, k.Raw())
}

// Person reads what its name says.
func (r reader) Person(ctx context.Context, k id.Person) (customer.Person, bool, error) {
	return one(ctx, r.q, &persons.kind, k.Raw())
}

// Review reads what its name says.
func (r reader) Review(ctx context.Context, k id.Raw) (payment.Review, bool, error) {
	return one(ctx, r.q, &reviews.kind, k)
}

// Operator reads what its name says.
func (r reader) Operator(ctx context.Context, k id.Operator) (operator.Operator, bool, error) {
	return one(ctx, r.q, &operators.kind, k.Raw())
}

// AuditHead reads what its name says.
func (r reader) AuditHead(ctx context.Context, k id.Raw) (operator.Head, bool, error) {
	return one(ctx, r.q, &auditHeads.kind, k)
}

// Float reads what its name says.
func (r reader) Float(ctx context.Context, k id.Raw) (limit.Float, bool, error) {
	return one(ctx, r.q, &floats.kind, k)
}

// Claim reads what its name says.
func (r reader) Claim(ctx context.Context, k id.Raw) (limit.Claim, bool, error) {
	return one(ctx, r.q, &claims.kind, k)
}

// Call reads what its name says.
func (r reader) Call(ctx context.Context, k id.Call) (fop.Call, bool, error) {
	return one(ctx, r.q, &fopCalls.kind, k.Raw())
}

// Association reads what its name says.
func (r reader) Association(ctx context.Context, k id.Association) (fop.Association, bool, error) {
	return one(ctx, r.q, &fopAssociations.kind, k.Raw())
}

// Linked reads what its name says.
func (r reader) Linked(ctx context.Context, k id.Raw) (fop.Linked, bool, error) {
	return one(ctx, r.q, &fopLinked.kind, k)
}

// Spent reads what its name says.
func (r reader) Spent(ctx context.Context, k id.Raw) (fop.Spent, bool, error) {
	return one(ctx, r.q, &fopSpent.kind, k)
}

// Proof reads what its name says.
func (r reader) Proof(ctx context.Context, k id.Proof) (fop.Proof, bool, error) {
	return one(ctx, r.q, &fopProofs.kind, k.Raw())
}

// Code reads what its name says.
func (r reader) Code(ctx context.Context, k id.Code) (fop.Code, bool, error) {
	return one(ctx, r.q, &fopCodes.kind, k.Raw())
}

// Statement reads what its name says.
func (r reader) Statement(ctx context.Context, k id.Statement) (fop.Statement, bool, error) {
	return one(ctx, r.q, &fopStatements.kind, k.Raw())
}

// Line reads what its name says.
func (r reader) Line(ctx context.Context, k id.Raw) (fop.Line, bool, error) {
	return one(ctx, r.q, &fopLines.kind, k)
}

// Told reads what its name says.
func (r reader) Told(ctx context.Context, k id.Told) (fop.Told, bool, error) {
	return one(ctx, r.q, &fopTold.kind, k.Raw())
}

// Note reads what its name says.
func (r reader) Note(ctx context.Context, k id.Note) (customer.Note, bool, error) {
	return one(ctx, r.q, &customerNotes.kind, k.Raw())
}

// AuditEntry reads what its name says.
func (r reader) AuditEntry(ctx context.Context, k id.Audit) (operator.Entry, bool, error) {
	return one(ctx, r.q, &audit.kind, k.Raw())
}

// newest lists the rows of a kind that match, newest first, from the one before a
// key on. It goes along the primary key, so nothing pays for an index; the price is
// that rows which do not match are looked at too, at most book.ListWindow of them in
// one call. where has before and from as $1 and $2, the limit as its last.
func newest[R any, T id.Kind](ctx context.Context, q querier, k *kind[R], where string, before, from id.Of[T], limit int, keyOf func(R) id.Of[T], match ...any) ([]R, id.Of[T], error) {
	none := id.Of[T]{}
	if before == none {
		before = id.Of[T](bytes.Repeat([]byte{0xff}, len(before))) // after all of them
	}
	more := false
	err := q.query(ctx, fmt.Sprintf(windowEnd, k.name), []any{before.Raw(), from.Raw(), int64(book.ListWindow - 1)}, func(v values) error {
		v.id(0, (*id.Raw)(&from))
		more = true
		return nil
	})
	if err != nil {
		return nil, none, fmt.Errorf("list %s: %w", k.name, err)
	}
	rows, err := list(ctx, q, k, where, append(append([]any{before.Raw(), from.Raw()}, match...), int64(limit))...)
	switch {
	case err != nil:
		return nil, none, err
	case len(rows) == limit:
		return rows, keyOf(rows[limit-1]), nil
	case more:
		return rows, from, nil
	}
	return rows, none, nil
}

// statusArgs gives the statuses that a list may have as three arguments: one statement,
// whatever is asked for. Empty: any.
func statusArgs[S ~string](statuses []S) []any {
	args := make([]any, maxStatuses)
	for n := range args {
		args[n] = ""
		if len(statuses) > 0 {
			args[n] = string(statuses[min(n, len(statuses)-1)])
		}
	}
	return args
}

// maxStatuses is how many statuses a list can be of at most.
const maxStatuses = 3

// ListPayments lists payments that match, newest first.
func (r reader) ListPayments(ctx context.Context, match book.PaymentFilter, before id.Payment, limit int) ([]payment.Payment, id.Payment, error) {
	return newest(ctx, r.q, &payments.kind, paymentsMatching, before, match.From, limit, func(p payment.Payment) id.Payment { return p.ID },
		append([]any{match.ProjectID, match.CustomerID, string(match.Type)}, statusArgs(match.Statuses)...)...)
}

// ListOperations lists what was done to payments that match, newest first.
func (r reader) ListOperations(ctx context.Context, match book.OperationFilter, before id.Operation, limit int) ([]payment.Operation, id.Operation, error) {
	return newest(ctx, r.q, &operations.kind, operationsMatching, before, match.From, limit, func(o payment.Operation) id.Operation { return o.ID },
		append([]any{match.ProjectID, string(match.Kind)}, statusArgs(match.Statuses)...)...)
}

// ListEvents lists what happened to payments that match, newest first.
func (r reader) ListEvents(ctx context.Context, match book.EventFilter, before id.Event, limit int) ([]event.Event, id.Event, error) {
	return newest(ctx, r.q, &events.kind, eventsMatching, before, match.From, limit, func(e event.Event) id.Event { return e.ID },
		match.ProjectID, string(match.Kind))
}

// ListTransfers lists what moved by payments that match, or was asked for, newest first.
func (r reader) ListTransfers(ctx context.Context, match book.TransferFilter, before id.Transfer, limit int) ([]ledger.Transfer, id.Transfer, error) {
	anybody := ""
	if match.Customer.IsZero() {
		anybody = "yes"
	}
	return newest(ctx, r.q, &transfers.kind, transfersMatching, before, match.From, limit, func(t ledger.Transfer) id.Transfer { return t.ID },
		match.ProjectID, string(match.Kind), anybody, match.Customer.Raw())
}

// Whose an operation or event is its payment says, in a subquery that no planner
// makes a join of: it is looked up by its key for each row of the window.
const (
	windowEnd        = "SELECT %[1]s.id FROM %[1]s WHERE %[1]s.id < $1 AND %[1]s.id >= $2 ORDER BY %[1]s.id DESC LIMIT 1 OFFSET $3"
	paymentsMatching = " WHERE payment.id < $1 AND payment.id >= $2 AND payment.project_id = $3 AND ($4 = '' OR payment.customer_id = $4)" +
		" AND payment.type = $5 AND ($6 = '' OR payment.status IN ($6, $7, $8)) ORDER BY payment.id DESC LIMIT $9"
	operationsMatching = " WHERE operation.id < $1 AND operation.id >= $2" +
		" AND (SELECT payment.project_id FROM payment WHERE payment.id = operation.payment AND payment.bucket = operation.bucket) = $3" +
		" AND ($4 = '' OR operation.kind = $4) AND ($5 = '' OR operation.status IN ($5, $6, $7)) ORDER BY operation.id DESC LIMIT $8"
	eventsMatching = " WHERE event.id < $1 AND event.id >= $2" +
		" AND (SELECT payment.project_id FROM payment WHERE payment.id = event.payment AND payment.bucket = event.bucket) = $3" +
		" AND ($4 = '' OR event.kind = $4) ORDER BY event.id DESC LIMIT $5"
	transfersMatching = " WHERE transfer.id < $1 AND transfer.id >= $2" +
		" AND COALESCE((SELECT payment.project_id FROM payment WHERE payment.id = transfer.payment AND payment.bucket = transfer.bucket), transfer.project_id) = $3" +
		" AND ($4 = '' OR transfer.kind = $4) AND ($5 <> '' OR transfer.customer = $6) ORDER BY transfer.id DESC LIMIT $7"
)

// Deposits follows a customer's statement back, row by row within the statement:
// one question, however long it is, where a thousand would take a second.
func (r reader) Deposits(ctx context.Context, from id.Transfer, most int) ([]id.Payment, error) {
	var out []id.Payment
	args := []any{from.Raw(), int64(from.Bucket()), int64(most), string(ledger.KindDeposit), string(ledger.KindLateCredit)}
	err := r.q.query(ctx, depositsOf, args, func(v values) error {
		var p id.Payment
		v.id(0, (*id.Raw)(&p))
		out = append(out, p)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("follow a statement: %w", err)
	}
	return out, nil
}

// A chain lies in one bucket, and each step is a look-up by the whole key.
const depositsOf = "WITH RECURSIVE line (id, bucket, prev, payment, kind, step) AS (" +
	"SELECT transfer.id, transfer.bucket, transfer.prev, transfer.payment, transfer.kind, 1 FROM transfer WHERE transfer.id = $1 AND transfer.bucket = $2" +
	" UNION ALL SELECT transfer.id, transfer.bucket, transfer.prev, transfer.payment, transfer.kind, line.step + 1 FROM line" +
	" CROSS JOIN transfer WHERE transfer.id = line.prev AND transfer.bucket = line.bucket AND line.step < $3)" +
	" SELECT line.payment FROM line WHERE line.kind IN ($4, $5) ORDER BY line.step"

// leaseWindowUS is how far ahead of now a lease may end: due.LeaseUS, and the
// same again for clocks that differ. It bounds the search for a dead process's
// work, which would otherwise read every timer there is.
const leaseWindowUS = 2 * due.LeaseUS

// Overdue lists work whose time has come, oldest first, and work leased by one
// of the dead epochs. The normal path never comes here: it only proposes, and
// an act reads each row again.
//
// Two statements rather than one OR, so that each goes along the index.
func (r reader) Overdue(ctx context.Context, nowUS int64, dead []int64, limit int) ([]due.Due, error) {
	out, err := list(ctx, r.q, &dues.kind, overdue, nowUS, int64(limit))
	if err != nil || len(dead) == 0 || len(out) >= limit {
		return out, err
	}
	// Epochs are few and dead ones fewer; a row of a list of any length is
	// filtered here rather than with a statement for each length.
	after, last := nowUS, id.Raw{}
	for last[0] = 0xff; ; {
		leased, err := list(ctx, r.q, &dues.kind, leasedAhead, after, last, nowUS+leaseWindowUS, int64(leasedPage))
		if err != nil {
			return nil, err
		}
		for _, d := range leased {
			if slices.Contains(dead, d.Owner) {
				if out = append(out, d); len(out) == limit {
					return out, nil
				}
			}
		}
		if len(leased) < leasedPage {
			return out, nil
		}
		after, last = leased[leasedPage-1].DueUS, leased[leasedPage-1].ID
	}
}

const (
	overdue     = " WHERE due.due_us <= $1 ORDER BY due.due_us, due.id LIMIT $2"
	leasedAhead = " WHERE due.due_us >= $1 AND (due.due_us, due.id) > ($1, $2) AND due.due_us <= $3 AND due.owner <> 0 ORDER BY due.due_us, due.id LIMIT $4"
	leasedPage  = 1000
)

// DeadDeliveries lists dead letters.
func (r reader) DeadDeliveries(ctx context.Context, after id.Delivery, limit int) ([]event.Delivery, error) {
	return list(ctx, r.q, &deliveries.kind, fmt.Sprintf(deadKey, "delivery"), after.Raw(), int64(limit))
}

// DeadInbox lists notifications that could not be applied.
func (r reader) DeadInbox(ctx context.Context, after id.Inbox, limit int) ([]payment.Inbox, error) {
	return list(ctx, r.q, &inbox.kind, fmt.Sprintf(deadKey, "inbox"), after.Raw(), int64(limit))
}

// Cases lists cases.
func (r reader) Cases(ctx context.Context, after id.Case, limit int) ([]payment.Case, error) {
	return page(ctx, r.q, &cases.kind, after.Raw(), limit)
}

// EndpointDeliveries lists what an endpoint is told.
func (r reader) EndpointDeliveries(ctx context.Context, e id.Endpoint, after id.Delivery, limit int) ([]event.Delivery, error) {
	return list(ctx, r.q, &deliveries.kind, endpointAfter, e.Raw(), after.Raw(), int64(limit))
}

// NewestDeliveries lists what an endpoint is told, newest first.
func (r reader) NewestDeliveries(ctx context.Context, e id.Endpoint, before id.Delivery, limit int) ([]event.Delivery, error) {
	return list(ctx, r.q, &deliveries.kind, endpointBefore, e.Raw(), before.Raw(), int64(limit))
}

// LinkedByPhone lists the customers with a phone number.
func (r reader) LinkedByPhone(ctx context.Context, hash string, limit int) ([]fop.Linked, error) {
	return list(ctx, r.q, &fopLinked.kind, linkedWith, hash, int64(limit))
}

// Who has no number is not in the index, so it must be said that one is looked for.
const linkedWith = " WHERE fop_linked.phone_hash = $1 AND fop_linked.phone_hash <> '' ORDER BY fop_linked.id LIMIT $2"

// The door is named so that the index of webhooks alone is used.
const (
	endpointAfter  = " WHERE delivery.door = 'webhook' AND delivery.endpoint = $1 AND delivery.id > $2 ORDER BY delivery.id LIMIT $3"
	endpointBefore = " WHERE delivery.door = 'webhook' AND delivery.endpoint = $1 AND delivery.id < $2 ORDER BY delivery.id DESC LIMIT $3"
)

// ScanPayments pages through all payments.
func (r reader) ScanPayments(ctx context.Context, after id.Payment, limit int) ([]payment.Payment, error) {
	return page(ctx, r.q, &payments.kind, after.Raw(), limit)
}

// ScanOperations pages through all operations.
func (r reader) ScanOperations(ctx context.Context, after id.Operation, limit int) ([]payment.Operation, error) {
	return page(ctx, r.q, &operations.kind, after.Raw(), limit)
}

// ScanAttempts pages through all attempts.
func (r reader) ScanAttempts(ctx context.Context, after id.Attempt, limit int) ([]payment.Attempt, error) {
	return page(ctx, r.q, &attempts.kind, after.Raw(), limit)
}

// ScanAccounts pages through all accounts.
func (r reader) ScanAccounts(ctx context.Context, after id.Account, limit int) ([]ledger.Account, error) {
	return page(ctx, r.q, &accounts.kind, after.Raw(), limit)
}

// ScanTransfers pages through all transfers.
func (r reader) ScanTransfers(ctx context.Context, after id.Transfer, limit int) ([]ledger.Transfer, error) {
	return page(ctx, r.q, &transfers.kind, after.Raw(), limit)
}

// ScanCustomers pages through all customers.
func (r reader) ScanCustomers(ctx context.Context, after id.Customer, limit int) ([]customer.Customer, error) {
	return page(ctx, r.q, &customers.kind, after.Raw(), limit)
}

// ScanRounds pages through all rounds.
func (r reader) ScanRounds(ctx context.Context, after id.Round, limit int) ([]ledger.Round, error) {
	return page(ctx, r.q, &rounds.kind, after.Raw(), limit)
}

// ScanEvents pages through all events.
func (r reader) ScanEvents(ctx context.Context, after id.Event, limit int) ([]event.Event, error) {
	return page(ctx, r.q, &events.kind, after.Raw(), limit)
}

// ScanDeliveries pages through all deliveries.
func (r reader) ScanDeliveries(ctx context.Context, after id.Delivery, limit int) ([]event.Delivery, error) {
	return page(ctx, r.q, &deliveries.kind, after.Raw(), limit)
}

// ScanInbox pages through all notifications.
func (r reader) ScanInbox(ctx context.Context, after id.Inbox, limit int) ([]payment.Inbox, error) {
	return page(ctx, r.q, &inbox.kind, after.Raw(), limit)
}

// ScanRefs pages through all refs.
func (r reader) ScanRefs(ctx context.Context, after payment.RefKey, limit int) ([]payment.Ref, error) {
	return list(ctx, r.q, &refs.kind, refsAfter, after.Scope, after.Text, int64(after.Bucket), int64(limit))
}

const refsAfter = " WHERE (ref.scope, ref.ref_text, ref.bucket) > ($1, $2, $3) ORDER BY ref.scope, ref.ref_text, ref.bucket LIMIT $4"

// ScanEndpoints pages through all endpoints.
func (r reader) ScanEndpoints(ctx context.Context, after id.Endpoint, limit int) ([]event.Endpoint, error) {
	return page(ctx, r.q, &endpoints.kind, after.Raw(), limit)
}

// ScanDue pages through all due rows.
func (r reader) ScanDue(ctx context.Context, after id.Raw, limit int) ([]due.Due, error) {
	return page(ctx, r.q, &dues.kind, after, limit)
}

// ScanKeys pages through all API keys.
func (r reader) ScanKeys(ctx context.Context, after id.Key, limit int) ([]project.Key, error) {
	return page(ctx, r.q, &keys.kind, after.Raw(), limit)
}

// ScanAnswers pages through all answers.
func (r reader) ScanAnswers(ctx context.Context, after id.Answer, limit int) ([]payment.Answer, error) {
	return page(ctx, r.q, &answers.kind, after.Raw(), limit)
}

// ScanInstruments pages through all instruments.
func (r reader) ScanInstruments(ctx context.Context, after id.Instrument, limit int) ([]instrument.Instrument, error) {
	return page(ctx, r.q, &instruments.kind, after.Raw(), limit)
}

// ScanWindows pages through all rows of the kind.
func (r reader) ScanWindows(ctx context.Context, after id.Window, limit int) ([]limit.Window, error) {
	return page(ctx, r.q, &windows.kind, after.Raw(), limit)
}

// ScanChecks pages through all rows of the kind.
func (r reader) ScanChecks(ctx context.Context, after id.Check, limit int) ([]customer.Check, error) {
	return page(ctx, r.q, &checks.kind, after.Raw(), limit)
}

// ScanPersons pages through all rows of the kind.
func (r reader) ScanPersons(ctx context.Context, after id.Person, limit int) ([]customer.Person, error) {
	return page(ctx, r.q, &persons.kind, after.Raw(), limit)
}

// ScanReviews pages through all rows of the kind.
func (r reader) ScanReviews(ctx context.Context, after id.Raw, limit int) ([]payment.Review, error) {
	return page(ctx, r.q, &reviews.kind, after, limit)
}

// ScanOperators pages through all rows of the kind.
func (r reader) ScanOperators(ctx context.Context, after id.Operator, limit int) ([]operator.Operator, error) {
	return page(ctx, r.q, &operators.kind, after.Raw(), limit)
}

// ScanAuditHeads pages through all rows of the kind.
func (r reader) ScanAuditHeads(ctx context.Context, after id.Raw, limit int) ([]operator.Head, error) {
	return page(ctx, r.q, &auditHeads.kind, after, limit)
}

// ScanFloats pages through all rows of the kind.
func (r reader) ScanFloats(ctx context.Context, after id.Raw, limit int) ([]limit.Float, error) {
	return page(ctx, r.q, &floats.kind, after, limit)
}

// ScanClaims pages through all rows of the kind.
func (r reader) ScanClaims(ctx context.Context, after id.Raw, limit int) ([]limit.Claim, error) {
	return page(ctx, r.q, &claims.kind, after, limit)
}

// ScanCalls pages through all rows of the kind.
func (r reader) ScanCalls(ctx context.Context, after id.Call, limit int) ([]fop.Call, error) {
	return page(ctx, r.q, &fopCalls.kind, after.Raw(), limit)
}

// ScanAssociations pages through all rows of the kind.
func (r reader) ScanAssociations(ctx context.Context, after id.Association, limit int) ([]fop.Association, error) {
	return page(ctx, r.q, &fopAssociations.kind, after.Raw(), limit)
}

// ScanLinked pages through all rows of the kind.
func (r reader) ScanLinked(ctx context.Context, after id.Raw, limit int) ([]fop.Linked, error) {
	return page(ctx, r.q, &fopLinked.kind, after, limit)
}

// ScanSpent pages through all rows of the kind.
func (r reader) ScanSpent(ctx context.Context, after id.Raw, limit int) ([]fop.Spent, error) {
	return page(ctx, r.q, &fopSpent.kind, after, limit)
}

// ScanProofs pages through all rows of the kind.
func (r reader) ScanProofs(ctx context.Context, after id.Proof, limit int) ([]fop.Proof, error) {
	return page(ctx, r.q, &fopProofs.kind, after.Raw(), limit)
}

// ScanCodes pages through all rows of the kind.
func (r reader) ScanCodes(ctx context.Context, after id.Code, limit int) ([]fop.Code, error) {
	return page(ctx, r.q, &fopCodes.kind, after.Raw(), limit)
}

// ScanStatements pages through all rows of the kind.
func (r reader) ScanStatements(ctx context.Context, after id.Statement, limit int) ([]fop.Statement, error) {
	return page(ctx, r.q, &fopStatements.kind, after.Raw(), limit)
}

// ScanLines pages through all rows of the kind.
func (r reader) ScanLines(ctx context.Context, after id.Raw, limit int) ([]fop.Line, error) {
	return page(ctx, r.q, &fopLines.kind, after, limit)
}

// ScanTold pages through all rows of the kind.
func (r reader) ScanTold(ctx context.Context, after id.Told, limit int) ([]fop.Told, error) {
	return page(ctx, r.q, &fopTold.kind, after.Raw(), limit)
}

// ScanNotes pages through all rows of the kind.
func (r reader) ScanNotes(ctx context.Context, after id.Note, limit int) ([]customer.Note, error) {
	return page(ctx, r.q, &customerNotes.kind, after.Raw(), limit)
}

// ScanAudit pages through all rows of the kind.
func (r reader) ScanAudit(ctx context.Context, after id.Audit, limit int) ([]operator.Entry, error) {
	return page(ctx, r.q, &audit.kind, after.Raw(), limit)
}

// enterTries bounds how often Enter is tried when several processes enter at
// the same moment.
const enterTries = 10

// Enter registers a process and answers its epoch.
func (r reader) Enter(ctx context.Context, instance string, now time.Time) (int64, error) {
	var epoch int64
	var err error
	for range enterTries {
		err = r.q.query(ctx, enterProcess, []any{instance, now.UnixMicro()}, func(v values) error {
			epoch = v.int(0)
			return nil
		})
		if !errors.Is(err, book.ErrConflict) {
			break
		}
	}
	if err == nil {
		return epoch, nil
	}
	return 0, fmt.Errorf("enter %q: %w", instance, err)
}

// maxDead bounds what Beat lists: the newest. Leases of older epochs have long
// ended, so their work is overdue by its time.
const maxDead = 64

// Beat says that a process lives, and lists the dead.
func (r reader) Beat(ctx context.Context, epoch int64, now, before time.Time) ([]int64, error) {
	var instance string
	found := false
	err := r.q.query(ctx, beatProcess, []any{now.UnixMicro(), epoch}, func(v values) error {
		instance, found = v.text(0), true
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("beat: %w", err)
	}
	if !found {
		return nil, fmt.Errorf("beat: epoch %d has not entered", epoch)
	}
	var dead []int64
	err = r.q.query(ctx, deadProcesses, []any{before.UnixMicro(), instance, epoch, int64(maxDead)}, func(v values) error {
		dead = append(dead, v.int(0))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list dead processes: %w", err)
	}
	slices.Sort(dead)
	return dead, nil
}

const (
	enterProcess = `INSERT INTO process (epoch, bucket, instance, seen_us)
SELECT COALESCE(MAX(process.epoch), 0) + 1, 0, CAST($1 AS TEXT), CAST($2 AS BIGINT) FROM process RETURNING epoch`
	beatProcess   = "UPDATE process SET seen_us = $1 WHERE process.epoch = $2 AND process.bucket = 0 RETURNING instance"
	deadProcesses = `SELECT process.epoch FROM process
WHERE process.bucket = 0 AND (process.seen_us < $1 OR (process.instance = $2 AND process.epoch < $3))
ORDER BY process.epoch DESC LIMIT $4`
)
