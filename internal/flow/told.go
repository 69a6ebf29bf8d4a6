package flow

import (
	"context"
	"errors"
	"fmt"

	"aorta/internal/book"
	"aorta/internal/id"
	"aorta/internal/payment"
)

// A wallet moves thousands of times a second, so its answer is not written by acts
// of its own (answer.go) but by the act that moves the money, where the key of the
// call lies in the customer's home. Elsewhere, and for what did not move anything,
// the answer is written after it.

// Told is what the act of a move writes of its answer.
type Told struct {
	Call   Call
	Media  string
	Status int64
	Body   func(Moved) string // pure: it may run again, and what it gave last is what is written
}

// AnsweredError: the key of the call has an answer already, or is being answered.
type AnsweredError struct{ Answer id.Answer }

func (e *AnsweredError) Error() string { return "answered before: " + e.Answer.String() }

func (f *Flows) callKey(c Call) payment.RefKey {
	return f.book.RefKey(payment.AnswerScope(c.ProjectID, c.Route), c.Key)
}

// TellsIn reports whether the answer to a customer's move can be written by the
// act that moves it.
func (f *Flows) TellsIn(m WalletMove, c Call) bool {
	return f.book.SameHome(f.callKey(c).Bucket, m.Project.PaymentBucket(f.book.Buckets(), "", m.CustomerID))
}

func (m *move) hintTelling(key payment.RefKey) func(*book.Page) {
	return func(p *book.Page) {
		p.Refs.Get(key)
		m.hint(p)
	}
}

// telling is a move's act that writes its answer, too. One that finds its name
// known leaves that to Tell: what is answered then is read after the act.
func (m *move) telling(key payment.RefKey, decide func(*book.Page) (written, error)) func(*book.Page) (written, error) {
	return func(p *book.Page) (written, error) {
		if r, ok := p.Refs.Get(key); ok {
			return written{answered: id.Answer(r.Target)}, nil
		}
		w, err := decide(p)
		if err != nil || !w.known.IsZero() {
			return w, err
		}
		row := m.Told.row(p, w.moved())
		p.Answers.New(row)
		p.Refs.Put(payment.Ref{RefKey: key, Target: row.ID.Raw()})
		return w, nil
	}
}

func (t *Told) row(p *book.Page, what Moved) payment.Answer {
	c := t.Call
	return payment.Answer{
		ID: id.Answer(p.Mint()), ProjectID: c.ProjectID, Route: c.Route, Key: c.Key, Print: c.Print, Thing: c.Thing, Owner: p.Epoch(),
		Status: t.Status, Media: t.Media, Body: t.Body(what), CreatedUS: p.NowUS(), ChangedUS: p.NowUS(),
	}
}

// Tell writes what a call is answered, unless it has an answer: then that is what
// it gives, as an *AnsweredError.
func (f *Flows) Tell(ctx context.Context, t Told, what Moved) error {
	key := f.callKey(t.Call)
	before, err := book.Do(ctx, f.book, book.Act[id.Answer]{
		Name: "answer.tell", Bucket: key.Bucket,
		Hint: func(p *book.Page) { p.Refs.Get(key) },
		Decide: func(p *book.Page) (id.Answer, error) {
			if r, ok := p.Refs.Get(key); ok {
				return id.Answer(r.Target), nil
			}
			row := t.row(p, what)
			p.Answers.New(row)
			p.Refs.Put(payment.Ref{RefKey: key, Target: row.ID.Raw()})
			return id.Answer{}, nil
		},
	})
	switch {
	case err != nil:
		return fmt.Errorf("keep an answer: %w", err)
	case !before.IsZero():
		return &AnsweredError{before}
	}
	return nil
}

// AnswerOf reads the answer that an error names; false for other errors.
func (f *Flows) AnswerOf(ctx context.Context, err error) (payment.Answer, bool, error) {
	var before *AnsweredError
	if !errors.As(err, &before) {
		return payment.Answer{}, false, nil
	}
	row, ok, err := f.read.Answer(ctx, before.Answer)
	if err != nil {
		return row, true, fmt.Errorf("read answer: %w", err)
	}
	if !ok { // given up between the act and the reading
		return row, true, fmt.Errorf("answer %s is gone: %w", before.Answer, book.ErrBusy)
	}
	return row, true, nil
}
