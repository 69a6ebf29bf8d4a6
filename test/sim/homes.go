package sim

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/instrument"
	"aorta/internal/ledger"
	limits "aorta/internal/limit"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/project"
)

// buckets is how many there are in all homes.
const buckets = 32

// homes are one or two databases in memory, read as one.
type homes []*book.Memory

func newHomes(n int, shared bool) homes {
	h := make(homes, n)
	for i := range h {
		h[i] = book.NewMemory()
		h[i].Shared = shared
	}
	return h
}

// open gives the homes as a process' book has them: every second bucket in the second.
func (h homes) open(p *process, lanes int, keep bool) []book.Home {
	out := make([]book.Home, len(h))
	for i := range h {
		out[i] = book.Home{Store: h[i], Lanes: lanes, Keep: keep}
		for b := i; b < buckets; b += len(h) {
			out[i].Buckets = append(out[i].Buckets, id.Bucket(b))
		}
	}
	// The witness sees what is written, and what a faulty way to the home says of it does not deceive it.
	out = p.w.witness.Homes(out, h)
	for i := range out {
		out[i].Store = door{out[i].Store, p, i}
	}
	return out
}

// place is the home of a bucket.
func (h homes) place(b id.Bucket) int { return int(b) % len(h) }

func (h homes) of(b id.Bucket) *book.Memory { return h[h.place(b)] }

func (h homes) Payment(ctx context.Context, k id.Payment) (payment.Payment, bool, error) {
	return h.of(k.Bucket()).Payment(ctx, k)
}

func (h homes) Operation(ctx context.Context, k id.Operation) (payment.Operation, bool, error) {
	return h.of(k.Bucket()).Operation(ctx, k)
}

func (h homes) Attempt(ctx context.Context, k id.Attempt) (payment.Attempt, bool, error) {
	return h.of(k.Bucket()).Attempt(ctx, k)
}

func (h homes) Event(ctx context.Context, k id.Event) (event.Event, bool, error) {
	return h.of(k.Bucket()).Event(ctx, k)
}

func (h homes) Delivery(ctx context.Context, k id.Delivery) (event.Delivery, bool, error) {
	return h.of(k.Bucket()).Delivery(ctx, k)
}

func (h homes) Inbox(ctx context.Context, k id.Inbox) (payment.Inbox, bool, error) {
	return h.of(k.Bucket()).Inbox(ctx, k)
}

func (h homes) Request(ctx context.Context, k id.Raw) (payment.Request, bool, error) {
	return h.of(k.Bucket()).Request(ctx, k)
}

func (h homes) Customer(ctx context.Context, k id.Customer) (customer.Customer, bool, error) {
	return h.of(k.Bucket()).Customer(ctx, k)
}

func (h homes) Account(ctx context.Context, k id.Account) (ledger.Account, bool, error) {
	return h.of(k.Bucket()).Account(ctx, k)
}

func (h homes) Transfer(ctx context.Context, k id.Transfer) (ledger.Transfer, bool, error) {
	return h.of(k.Bucket()).Transfer(ctx, k)
}

func (h homes) Round(ctx context.Context, k id.Round) (ledger.Round, bool, error) {
	return h.of(k.Bucket()).Round(ctx, k)
}

// merge reads a list of each home and puts them together in their order.
func merge[R any](h homes, limit int, order func(a, b R) int, read func(*book.Memory) ([]R, error)) ([]R, error) {
	var out []R
	for _, m := range h {
		rows, err := read(m)
		if err != nil {
			return nil, err
		}
		out = append(out, rows...)
	}
	slices.SortFunc(out, order)
	return out[:min(limit, len(out))], nil
}

// scan is merge for lists that page by key.
func scan[R, K any](ctx context.Context, h homes, after K, limit int, order func(a, b R) int,
	list func(*book.Memory, context.Context, K, int) ([]R, error),
) ([]R, error) {
	return merge(h, limit, order, func(m *book.Memory) ([]R, error) { return list(m, ctx, after, limit) })
}

func compareRaw(a, b id.Raw) int { return bytes.Compare(a[:], b[:]) }

func (h homes) Overdue(ctx context.Context, nowUS int64, dead []int64, limit int) ([]due.Due, error) {
	order := func(a, b due.Due) int { return cmp.Or(cmp.Compare(a.DueUS, b.DueUS), compareRaw(a.ID, b.ID)) }
	return merge(h, limit, order, func(m *book.Memory) ([]due.Due, error) { return m.Overdue(ctx, nowUS, dead, limit) })
}

func (h homes) DeadDeliveries(ctx context.Context, after id.Delivery, limit int) ([]event.Delivery, error) {
	order := func(a, b event.Delivery) int { return a.ID.Compare(b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).DeadDeliveries)
}

func (h homes) DeadInbox(ctx context.Context, after id.Inbox, limit int) ([]payment.Inbox, error) {
	order := func(a, b payment.Inbox) int { return a.ID.Compare(b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).DeadInbox)
}

func (h homes) Cases(ctx context.Context, after id.Case, limit int) ([]payment.Case, error) {
	order := func(a, b payment.Case) int { return a.ID.Compare(b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).Cases)
}

func (h homes) Endpoint(ctx context.Context, e id.Endpoint) (event.Endpoint, bool, error) {
	return h.of(e.Bucket()).Endpoint(ctx, e)
}

func (h homes) EndpointDeliveries(ctx context.Context, e id.Endpoint, after id.Delivery, limit int) ([]event.Delivery, error) {
	order := func(a, b event.Delivery) int { return a.ID.Compare(b.ID) }
	return merge(h, limit, order, func(m *book.Memory) ([]event.Delivery, error) { return m.EndpointDeliveries(ctx, e, after, limit) })
}

func (h homes) LinkedByPhone(ctx context.Context, hash string, limit int) ([]fop.Linked, error) {
	order := func(a, b fop.Linked) int { return compareRaw(a.ID, b.ID) }
	return merge(h, limit, order, func(m *book.Memory) ([]fop.Linked, error) { return m.LinkedByPhone(ctx, hash, limit) })
}

func (h homes) NewestDeliveries(ctx context.Context, e id.Endpoint, before id.Delivery, limit int) ([]event.Delivery, error) {
	order := func(a, b event.Delivery) int { return b.ID.Compare(a.ID) }
	return merge(h, limit, order, func(m *book.Memory) ([]event.Delivery, error) { return m.NewestDeliveries(ctx, e, before, limit) })
}

func (h homes) ScanEndpoints(ctx context.Context, after id.Endpoint, limit int) ([]event.Endpoint, error) {
	order := func(a, b event.Endpoint) int { return a.ID.Compare(b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).ScanEndpoints)
}

func (h homes) ScanPayments(ctx context.Context, after id.Payment, limit int) ([]payment.Payment, error) {
	order := func(a, b payment.Payment) int { return a.ID.Compare(b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).ScanPayments)
}

func (h homes) ScanOperations(ctx context.Context, after id.Operation, limit int) ([]payment.Operation, error) {
	order := func(a, b payment.Operation) int { return a.ID.Compare(b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).ScanOperations)
}

func (h homes) ScanAttempts(ctx context.Context, after id.Attempt, limit int) ([]payment.Attempt, error) {
	order := func(a, b payment.Attempt) int { return a.ID.Compare(b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).ScanAttempts)
}

func (h homes) ScanAccounts(ctx context.Context, after id.Account, limit int) ([]ledger.Account, error) {
	order := func(a, b ledger.Account) int { return a.ID.Compare(b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).ScanAccounts)
}

func (h homes) ScanTransfers(ctx context.Context, after id.Transfer, limit int) ([]ledger.Transfer, error) {
	order := func(a, b ledger.Transfer) int { return a.ID.Compare(b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).ScanTransfers)
}

func (h homes) ScanCustomers(ctx context.Context, after id.Customer, limit int) ([]customer.Customer, error) {
	order := func(a, b customer.Customer) int { return a.ID.Compare(b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).ScanCustomers)
}

func (h homes) ScanRounds(ctx context.Context, after id.Round, limit int) ([]ledger.Round, error) {
	order := func(a, b ledger.Round) int { return a.ID.Compare(b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).ScanRounds)
}

func (h homes) ScanEvents(ctx context.Context, after id.Event, limit int) ([]event.Event, error) {
	order := func(a, b event.Event) int { return a.ID.Compare(b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).ScanEvents)
}

func (h homes) ScanDeliveries(ctx context.Context, after id.Delivery, limit int) ([]event.Delivery, error) {
	order := func(a, b event.Delivery) int { return a.ID.Compare(b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).ScanDeliveries)
}

func (h homes) ScanInbox(ctx context.Context, after id.Inbox, limit int) ([]payment.Inbox, error) {
	order := func(a, b payment.Inbox) int { return a.ID.Compare(b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).ScanInbox)
}

func (h homes) ScanRefs(ctx context.Context, after payment.RefKey, limit int) ([]payment.Ref, error) {
	order := func(a, b payment.Ref) int { return book.CompareRefs(a.RefKey, b.RefKey) }
	return scan(ctx, h, after, limit, order, (*book.Memory).ScanRefs)
}

func (h homes) Key(ctx context.Context, k id.Key) (project.Key, bool, error) {
	return h.of(k.Bucket()).Key(ctx, k)
}

func (h homes) Answer(ctx context.Context, k id.Answer) (payment.Answer, bool, error) {
	return h.of(k.Bucket()).Answer(ctx, k)
}

// newest merges the homes' lists; it goes on from the newest place that one of them has reached.
func newest[R any, T id.Kind](h homes, limit int, keyOf func(R) id.Of[T], list func(*book.Memory) ([]R, id.Of[T], error)) ([]R, id.Of[T], error) {
	var out []R
	var next id.Of[T]
	for _, m := range h {
		rows, at, err := list(m)
		if err != nil {
			return nil, next, err
		}
		out = append(out, rows...)
		if at.Compare(next) > 0 {
			next = at
		}
	}
	slices.SortFunc(out, func(a, b R) int { return keyOf(b).Compare(keyOf(a)) })
	out = slices.DeleteFunc(out, func(r R) bool { return keyOf(r).Compare(next) < 0 })
	if len(out) > limit {
		out, next = out[:limit], keyOf(out[limit-1])
	}
	return out, next, nil
}

func (h homes) Deposits(ctx context.Context, k id.Transfer, most int) ([]id.Payment, error) {
	return h.of(k.Bucket()).Deposits(ctx, k, most)
}

func (h homes) ListPayments(ctx context.Context, match book.PaymentFilter, before id.Payment, limit int) ([]payment.Payment, id.Payment, error) {
	return newest(h, limit, func(p payment.Payment) id.Payment { return p.ID }, func(m *book.Memory) ([]payment.Payment, id.Payment, error) {
		return m.ListPayments(ctx, match, before, limit)
	})
}

func (h homes) ListOperations(ctx context.Context, match book.OperationFilter, before id.Operation, limit int) ([]payment.Operation, id.Operation, error) {
	return newest(h, limit, func(o payment.Operation) id.Operation { return o.ID }, func(m *book.Memory) ([]payment.Operation, id.Operation, error) {
		return m.ListOperations(ctx, match, before, limit)
	})
}

func (h homes) ListEvents(ctx context.Context, match book.EventFilter, before id.Event, limit int) ([]event.Event, id.Event, error) {
	return newest(h, limit, func(e event.Event) id.Event { return e.ID }, func(m *book.Memory) ([]event.Event, id.Event, error) {
		return m.ListEvents(ctx, match, before, limit)
	})
}

func (h homes) ListTransfers(ctx context.Context, match book.TransferFilter, before id.Transfer, limit int) ([]ledger.Transfer, id.Transfer, error) {
	return newest(h, limit, func(t ledger.Transfer) id.Transfer { return t.ID }, func(m *book.Memory) ([]ledger.Transfer, id.Transfer, error) {
		return m.ListTransfers(ctx, match, before, limit)
	})
}

func (h homes) ScanKeys(ctx context.Context, after id.Key, limit int) ([]project.Key, error) {
	order := func(a, b project.Key) int { return a.ID.Compare(b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).ScanKeys)
}

func (h homes) Instrument(ctx context.Context, k id.Instrument) (instrument.Instrument, bool, error) {
	return h.of(k.Bucket()).Instrument(ctx, k)
}

func (h homes) ScanInstruments(ctx context.Context, after id.Instrument, limit int) ([]instrument.Instrument, error) {
	order := func(a, b instrument.Instrument) int { return a.ID.Compare(b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).ScanInstruments)
}

func (h homes) Window(ctx context.Context, k id.Window) (limits.Window, bool, error) {
	return h.of(k.Bucket()).Window(ctx, k)
}

func (h homes) ScanWindows(ctx context.Context, after id.Window, limit int) ([]limits.Window, error) {
	order := func(a, b limits.Window) int { return a.ID.Compare(b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).ScanWindows)
}

func (h homes) Check(ctx context.Context, k id.Check) (customer.Check, bool, error) {
	return h.of(k.Bucket()).Check(ctx, k)
}

func (h homes) ScanChecks(ctx context.Context, after id.Check, limit int) ([]customer.Check, error) {
	order := func(a, b customer.Check) int { return a.ID.Compare(b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).ScanChecks)
}

func (h homes) Person(ctx context.Context, k id.Person) (customer.Person, bool, error) {
	return h.of(k.Bucket()).Person(ctx, k)
}

func (h homes) ScanPersons(ctx context.Context, after id.Person, limit int) ([]customer.Person, error) {
	order := func(a, b customer.Person) int { return a.ID.Compare(b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).ScanPersons)
}

func (h homes) Review(ctx context.Context, k id.Raw) (payment.Review, bool, error) {
	return h.of(k.Bucket()).Review(ctx, k)
}

func (h homes) ScanReviews(ctx context.Context, after id.Raw, limit int) ([]payment.Review, error) {
	order := func(a, b payment.Review) int { return compareRaw(a.ID, b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).ScanReviews)
}

func (h homes) Operator(ctx context.Context, k id.Operator) (operator.Operator, bool, error) {
	return h.of(k.Bucket()).Operator(ctx, k)
}

func (h homes) ScanOperators(ctx context.Context, after id.Operator, limit int) ([]operator.Operator, error) {
	order := func(a, b operator.Operator) int { return a.ID.Compare(b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).ScanOperators)
}

func (h homes) AuditHead(ctx context.Context, k id.Raw) (operator.Head, bool, error) {
	return h.of(k.Bucket()).AuditHead(ctx, k)
}

func (h homes) Float(ctx context.Context, k id.Raw) (limits.Float, bool, error) {
	return h.of(k.Bucket()).Float(ctx, k)
}

func (h homes) Claim(ctx context.Context, k id.Raw) (limits.Claim, bool, error) {
	return h.of(k.Bucket()).Claim(ctx, k)
}

func (h homes) ScanAuditHeads(ctx context.Context, after id.Raw, limit int) ([]operator.Head, error) {
	order := func(a, b operator.Head) int { return compareRaw(a.ID, b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).ScanAuditHeads)
}

func (h homes) ScanFloats(ctx context.Context, after id.Raw, limit int) ([]limits.Float, error) {
	order := func(a, b limits.Float) int { return compareRaw(a.ID, b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).ScanFloats)
}

func (h homes) ScanClaims(ctx context.Context, after id.Raw, limit int) ([]limits.Claim, error) {
	order := func(a, b limits.Claim) int { return compareRaw(a.ID, b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).ScanClaims)
}

func (h homes) Call(ctx context.Context, k id.Call) (fop.Call, bool, error) {
	return h.of(k.Bucket()).Call(ctx, k)
}

func (h homes) ScanCalls(ctx context.Context, after id.Call, limit int) ([]fop.Call, error) {
	return scan(ctx, h, after, limit, func(a, b fop.Call) int { return a.ID.Compare(b.ID) }, (*book.Memory).ScanCalls)
}

func (h homes) Association(ctx context.Context, k id.Association) (fop.Association, bool, error) {
	return h.of(k.Bucket()).Association(ctx, k)
}

func (h homes) ScanAssociations(ctx context.Context, after id.Association, limit int) ([]fop.Association, error) {
	return scan(ctx, h, after, limit, func(a, b fop.Association) int { return a.ID.Compare(b.ID) }, (*book.Memory).ScanAssociations)
}

func (h homes) Linked(ctx context.Context, k id.Raw) (fop.Linked, bool, error) {
	return h.of(k.Bucket()).Linked(ctx, k)
}

func (h homes) ScanLinked(ctx context.Context, after id.Raw, limit int) ([]fop.Linked, error) {
	return scan(ctx, h, after, limit, func(a, b fop.Linked) int { return compareRaw(a.ID, b.ID) }, (*book.Memory).ScanLinked)
}

func (h homes) Spent(ctx context.Context, k id.Raw) (fop.Spent, bool, error) {
	return h.of(k.Bucket()).Spent(ctx, k)
}

func (h homes) ScanSpent(ctx context.Context, after id.Raw, limit int) ([]fop.Spent, error) {
	return scan(ctx, h, after, limit, func(a, b fop.Spent) int { return compareRaw(a.ID, b.ID) }, (*book.Memory).ScanSpent)
}

func (h homes) Proof(ctx context.Context, k id.Proof) (fop.Proof, bool, error) {
	return h.of(k.Bucket()).Proof(ctx, k)
}

func (h homes) ScanProofs(ctx context.Context, after id.Proof, limit int) ([]fop.Proof, error) {
	return scan(ctx, h, after, limit, func(a, b fop.Proof) int { return a.ID.Compare(b.ID) }, (*book.Memory).ScanProofs)
}

func (h homes) Code(ctx context.Context, k id.Code) (fop.Code, bool, error) {
	return h.of(k.Bucket()).Code(ctx, k)
}

func (h homes) ScanCodes(ctx context.Context, after id.Code, limit int) ([]fop.Code, error) {
	return scan(ctx, h, after, limit, func(a, b fop.Code) int { return a.ID.Compare(b.ID) }, (*book.Memory).ScanCodes)
}

func (h homes) Statement(ctx context.Context, k id.Statement) (fop.Statement, bool, error) {
	return h.of(k.Bucket()).Statement(ctx, k)
}

func (h homes) ScanStatements(ctx context.Context, after id.Statement, limit int) ([]fop.Statement, error) {
	return scan(ctx, h, after, limit, func(a, b fop.Statement) int { return a.ID.Compare(b.ID) }, (*book.Memory).ScanStatements)
}

func (h homes) Line(ctx context.Context, k id.Raw) (fop.Line, bool, error) {
	return h.of(k.Bucket()).Line(ctx, k)
}

func (h homes) ScanLines(ctx context.Context, after id.Raw, limit int) ([]fop.Line, error) {
	return scan(ctx, h, after, limit, func(a, b fop.Line) int { return compareRaw(a.ID, b.ID) }, (*book.Memory).ScanLines)
}

func (h homes) Told(ctx context.Context, k id.Told) (fop.Told, bool, error) {
	return h.of(k.Bucket()).Told(ctx, k)
}

func (h homes) ScanTold(ctx context.Context, after id.Told, limit int) ([]fop.Told, error) {
	return scan(ctx, h, after, limit, func(a, b fop.Told) int { return a.ID.Compare(b.ID) }, (*book.Memory).ScanTold)
}

func (h homes) Note(ctx context.Context, k id.Note) (customer.Note, bool, error) {
	return h.of(k.Bucket()).Note(ctx, k)
}

func (h homes) ScanNotes(ctx context.Context, after id.Note, limit int) ([]customer.Note, error) {
	order := func(a, b customer.Note) int { return a.ID.Compare(b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).ScanNotes)
}

func (h homes) AuditEntry(ctx context.Context, k id.Audit) (operator.Entry, bool, error) {
	return h.of(k.Bucket()).AuditEntry(ctx, k)
}

func (h homes) ScanAudit(ctx context.Context, after id.Audit, limit int) ([]operator.Entry, error) {
	order := func(a, b operator.Entry) int { return a.ID.Compare(b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).ScanAudit)
}

func (h homes) ScanAnswers(ctx context.Context, after id.Answer, limit int) ([]payment.Answer, error) {
	order := func(a, b payment.Answer) int { return a.ID.Compare(b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).ScanAnswers)
}

func (h homes) ScanDue(ctx context.Context, after id.Raw, limit int) ([]due.Due, error) {
	order := func(a, b due.Due) int { return compareRaw(a.ID, b.ID) }
	return scan(ctx, h, after, limit, order, (*book.Memory).ScanDue)
}
