package book

import (
	"context"
	"errors"
	"fmt"

	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/payment"
)

// errNoRow: an event is about a row that is not there. A bug.
var errNoRow = errors.New("no such row")

// SnapshotOf gives the payment as it was right after an event.
func SnapshotOf(ctx context.Context, r Reader, e event.Event) (event.Snapshot, error) {
	c, err := e.Decode()
	if err != nil {
		return event.Snapshot{}, err
	}
	pay, err := named(ctx, e.Payment, r.Payment)
	if err != nil {
		return event.Snapshot{}, fmt.Errorf("payment of %s: %w", e.ID, err)
	}
	op, err := named(ctx, e.Operation, r.Operation)
	if err != nil {
		return event.Snapshot{}, fmt.Errorf("operation of %s: %w", e.ID, err)
	}
	a, err := named(ctx, c.Attempt.ID, r.Attempt)
	if err != nil {
		return event.Snapshot{}, fmt.Errorf("attempt of %s: %w", e.ID, err)
	}
	return c.Over(pay, op, a), nil
}

// named reads a row that another names; the zero id names none.
func named[R payment.Payment | payment.Operation | payment.Attempt, K ~[16]byte](
	ctx context.Context, k K, get func(context.Context, K) (R, bool, error),
) (R, error) {
	var none R
	if id.Raw(k) == (id.Raw{}) {
		return none, nil
	}
	row, ok, err := get(ctx, k)
	if err == nil && !ok {
		err = errNoRow
	}
	return row, err
}
