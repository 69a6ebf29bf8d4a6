package flow

import (
	"context"
	"fmt"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/instrument"
	"aorta/internal/ledger"
	"aorta/internal/limit"
	"aorta/internal/payment"
)

// reads are the rows that a flow looks at outside an act. A store that does not
// answer is said by book.ErrNotRun, as by an act: nothing happened, and every
// door asks for another try.
type reads struct{ from book.Reader }

func (r reads) Payment(ctx context.Context, p id.Payment) (payment.Payment, bool, error) {
	row, ok, err := r.from.Payment(ctx, p)
	return row, ok, unread(err)
}

func (r reads) Operation(ctx context.Context, o id.Operation) (payment.Operation, bool, error) {
	row, ok, err := r.from.Operation(ctx, o)
	return row, ok, unread(err)
}

func (r reads) Attempt(ctx context.Context, a id.Attempt) (payment.Attempt, bool, error) {
	row, ok, err := r.from.Attempt(ctx, a)
	return row, ok, unread(err)
}

func (r reads) Customer(ctx context.Context, c id.Customer) (customer.Customer, bool, error) {
	row, ok, err := r.from.Customer(ctx, c)
	return row, ok, unread(err)
}

func (r reads) Check(ctx context.Context, k id.Check) (customer.Check, bool, error) {
	row, ok, err := r.from.Check(ctx, k)
	return row, ok, unread(err)
}

func (r reads) Account(ctx context.Context, a id.Account) (ledger.Account, bool, error) {
	row, ok, err := r.from.Account(ctx, a)
	return row, ok, unread(err)
}

func (r reads) Transfer(ctx context.Context, t id.Transfer) (ledger.Transfer, bool, error) {
	row, ok, err := r.from.Transfer(ctx, t)
	return row, ok, unread(err)
}

func (r reads) Deposits(ctx context.Context, from id.Transfer, most int) ([]id.Payment, error) {
	if from.IsZero() {
		return nil, nil
	}
	rows, err := r.from.Deposits(ctx, from, most)
	return rows, unread(err)
}

func (r reads) Round(ctx context.Context, n id.Round) (ledger.Round, bool, error) {
	row, ok, err := r.from.Round(ctx, n)
	return row, ok, unread(err)
}

func (r reads) Note(ctx context.Context, n id.Note) (customer.Note, bool, error) {
	row, ok, err := r.from.Note(ctx, n)
	return row, ok, unread(err)
}

func (r reads) Instrument(ctx context.Context, k id.Instrument) (instrument.Instrument, bool, error) {
	row, ok, err := r.from.Instrument(ctx, k)
	return row, ok, unread(err)
}

func (r reads) Window(ctx context.Context, w id.Window) (limit.Window, bool, error) {
	row, ok, err := r.from.Window(ctx, w)
	return row, ok, unread(err)
}

func (r reads) Claim(ctx context.Context, k id.Raw) (limit.Claim, bool, error) {
	row, ok, err := r.from.Claim(ctx, k)
	return row, ok, unread(err)
}

func (r reads) Review(ctx context.Context, k id.Raw) (payment.Review, bool, error) {
	row, ok, err := r.from.Review(ctx, k)
	return row, ok, unread(err)
}

func (r reads) Call(ctx context.Context, k id.Call) (fop.Call, bool, error) {
	row, ok, err := r.from.Call(ctx, k)
	return row, ok, unread(err)
}

func (r reads) Statement(ctx context.Context, k id.Statement) (fop.Statement, bool, error) {
	row, ok, err := r.from.Statement(ctx, k)
	return row, ok, unread(err)
}

func (r reads) Line(ctx context.Context, k id.Raw) (fop.Line, bool, error) {
	row, ok, err := r.from.Line(ctx, k)
	return row, ok, unread(err)
}

func (r reads) Told(ctx context.Context, k id.Told) (fop.Told, bool, error) {
	row, ok, err := r.from.Told(ctx, k)
	return row, ok, unread(err)
}

func (r reads) Answer(ctx context.Context, a id.Answer) (payment.Answer, bool, error) {
	row, ok, err := r.from.Answer(ctx, a)
	return row, ok, unread(err)
}

func unread(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", book.ErrNotRun, err)
}
