package sim

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"aorta/internal/book"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/payment"
)

// buckets is how many there are in all homes.
const buckets = 32

// homes are one or two databases in memory, read as one.
type homes []*book.Memory

func newHomes(n int, fail func(book.Step) book.Fault) homes {
	h := make(homes, n)
	for i := range h {
		h[i] = book.NewMemory()
		h[i].Fail = fail
	}
	return h
}

// open gives the homes as a book has them: every second bucket in the second.
func (h homes) open() []book.Home {
	out := make([]book.Home, len(h))
	for i := range h {
		out[i] = book.Home{Store: h[i], Keep: true}
		for b := i; b < buckets; b += len(h) {
			out[i].Buckets = append(out[i].Buckets, id.Bucket(b))
		}
	}
	return out
}

func (h homes) of(b id.Bucket) *book.Memory { return h[int(b)%len(h)] }

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

func compareRaw(a, b id.Raw) int { return bytes.Compare(a[:], b[:]) }

func (h homes) Overdue(ctx context.Context, nowUS int64, dead []int64, limit int) ([]due.Due, error) {
	order := func(a, b due.Due) int { return cmp.Or(cmp.Compare(a.DueUS, b.DueUS), compareRaw(a.ID, b.ID)) }
	return merge(h, limit, order, func(m *book.Memory) ([]due.Due, error) { return m.Overdue(ctx, nowUS, dead, limit) })
}

func (h homes) DeadDeliveries(ctx context.Context, after id.Delivery, limit int) ([]event.Delivery, error) {
	order := func(a, b event.Delivery) int { return a.ID.Compare(b.ID) }
	return merge(h, limit, order, func(m *book.Memory) ([]event.Delivery, error) { return m.DeadDeliveries(ctx, after, limit) })
}

func (h homes) DeadInbox(ctx context.Context, after id.Inbox, limit int) ([]payment.Inbox, error) {
	order := func(a, b payment.Inbox) int { return a.ID.Compare(b.ID) }
	return merge(h, limit, order, func(m *book.Memory) ([]payment.Inbox, error) { return m.DeadInbox(ctx, after, limit) })
}

func (h homes) Cases(ctx context.Context, after id.Case, limit int) ([]payment.Case, error) {
	order := func(a, b payment.Case) int { return a.ID.Compare(b.ID) }
	return merge(h, limit, order, func(m *book.Memory) ([]payment.Case, error) { return m.Cases(ctx, after, limit) })
}

func (h homes) ScanPayments(ctx context.Context, after id.Payment, limit int) ([]payment.Payment, error) {
	order := func(a, b payment.Payment) int { return a.ID.Compare(b.ID) }
	return merge(h, limit, order, func(m *book.Memory) ([]payment.Payment, error) { return m.ScanPayments(ctx, after, limit) })
}

func (h homes) ScanOperations(ctx context.Context, after id.Operation, limit int) ([]payment.Operation, error) {
	order := func(a, b payment.Operation) int { return a.ID.Compare(b.ID) }
	return merge(h, limit, order, func(m *book.Memory) ([]payment.Operation, error) { return m.ScanOperations(ctx, after, limit) })
}

func (h homes) ScanAttempts(ctx context.Context, after id.Attempt, limit int) ([]payment.Attempt, error) {
	order := func(a, b payment.Attempt) int { return a.ID.Compare(b.ID) }
	return merge(h, limit, order, func(m *book.Memory) ([]payment.Attempt, error) { return m.ScanAttempts(ctx, after, limit) })
}

func (h homes) ScanAccounts(ctx context.Context, after id.Account, limit int) ([]ledger.Account, error) {
	order := func(a, b ledger.Account) int { return a.ID.Compare(b.ID) }
	return merge(h, limit, order, func(m *book.Memory) ([]ledger.Account, error) { return m.ScanAccounts(ctx, after, limit) })
}

func (h homes) ScanTransfers(ctx context.Context, after id.Transfer, limit int) ([]ledger.Transfer, error) {
	order := func(a, b ledger.Transfer) int { return a.ID.Compare(b.ID) }
	return merge(h, limit, order, func(m *book.Memory) ([]ledger.Transfer, error) { return m.ScanTransfers(ctx, after, limit) })
}

func (h homes) ScanEvents(ctx context.Context, after id.Event, limit int) ([]event.Event, error) {
	order := func(a, b event.Event) int { return a.ID.Compare(b.ID) }
	return merge(h, limit, order, func(m *book.Memory) ([]event.Event, error) { return m.ScanEvents(ctx, after, limit) })
}

func (h homes) ScanDeliveries(ctx context.Context, after id.Delivery, limit int) ([]event.Delivery, error) {
	order := func(a, b event.Delivery) int { return a.ID.Compare(b.ID) }
	return merge(h, limit, order, func(m *book.Memory) ([]event.Delivery, error) { return m.ScanDeliveries(ctx, after, limit) })
}

func (h homes) ScanInbox(ctx context.Context, after id.Inbox, limit int) ([]payment.Inbox, error) {
	order := func(a, b payment.Inbox) int { return a.ID.Compare(b.ID) }
	return merge(h, limit, order, func(m *book.Memory) ([]payment.Inbox, error) { return m.ScanInbox(ctx, after, limit) })
}

func (h homes) ScanRefs(ctx context.Context, after payment.RefKey, limit int) ([]payment.Ref, error) {
	order := func(a, b payment.Ref) int { return book.CompareRefs(a.RefKey, b.RefKey) }
	return merge(h, limit, order, func(m *book.Memory) ([]payment.Ref, error) { return m.ScanRefs(ctx, after, limit) })
}

func (h homes) ScanDue(ctx context.Context, after id.Raw, limit int) ([]due.Due, error) {
	order := func(a, b due.Due) int { return compareRaw(a.ID, b.ID) }
	return merge(h, limit, order, func(m *book.Memory) ([]due.Due, error) { return m.ScanDue(ctx, after, limit) })
}
