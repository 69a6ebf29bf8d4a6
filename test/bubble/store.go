package bubble

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"aorta/internal/book"
	"aorta/internal/id"
	"aorta/internal/payment"
)

// faultyStore loses answers to COMMIT, is away at times, and takes nothing from
// a process that has died.
type faultyStore struct {
	book.Store
	l *life
}

func (s faultyStore) Lane(ctx context.Context) (book.Lane, error) {
	lane, err := s.Store.Lane(ctx)
	return &faultyLane{Lane: lane, l: s.l}, err
}

type faultyLane struct {
	book.Lane
	l    *life
	open bool
}

func (f *faultyLane) Begin(ctx context.Context, batch, forget id.Batch, want *book.Keys) (*book.Found, error) {
	if f.l.isDead() {
		return nil, errDead
	}
	found, err := f.Lane.Begin(ctx, batch, forget, want)
	f.open = err == nil
	return found, err
}

func (f *faultyLane) Load(ctx context.Context, want *book.Keys) (*book.Found, error) {
	if f.l.isDead() {
		f.Lane.Abort(ctx)
		return nil, errDead
	}
	return f.Lane.Load(ctx, want)
}

// Commit loses its answer as the draws say. They go by what is written, which
// is the same in each run only where each act is a batch of its own.
func (f *faultyLane) Commit(ctx context.Context, c *book.Changes) error {
	w := f.l.w
	if f.l.isDead() {
		f.Lane.Abort(ctx)
		return errDead
	}
	key := ""
	if w.single {
		key = w.commitKey(c)
		key += "#" + w.count(key)
	}
	switch {
	case w.single && w.chance(StoreAway, key):
		f.Lane.Abort(ctx)
		return errors.New("the store is away")
	case w.single && w.chance(CommitDead, key):
		f.Lane.Abort(ctx)
		return book.ErrLost
	}
	made := slices.Clone(c.Payments.Insert)
	attempts, operations := slices.Clone(c.Attempts.Insert), slices.Clone(c.Operations.Insert)
	if err := f.Lane.Commit(ctx, c); err != nil {
		return err
	}
	w.learn(made, operations, attempts)
	if w.single && w.chance(CommitLost, key) {
		return book.ErrLost
	}
	return nil
}

// learn gives what was made names that do not depend on the schedule.
func (w *world) learn(pays []payment.Payment, ops []payment.Operation, attempts []payment.Attempt) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range pays {
		w.names[p.ID] = p.MerchantPaymentID
	}
	for _, o := range ops {
		w.refunds[o.ID] = o.MerchantRefundID
	}
	for _, a := range attempts {
		kind := fmt.Sprint(w.names[a.Payment], "/", a.Kind, w.refunds[a.Operation])
		w.tries[kind]++
		w.attempts[a.ID] = fmt.Sprint(kind, "/", w.tries[kind])
	}
}

// commitKey says what a commit of one act is about.
func (w *world) commitKey(c *book.Changes) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var parts []string
	add := func(args ...any) { parts = append(parts, fmt.Sprint(args...)) }
	for _, p := range rows(c.Payments) {
		add("payment ", p.MerchantPaymentID, p.Status)
	}
	for _, a := range rows(c.Attempts) {
		add("attempt ", w.attempts[a.ID], a.Status, a.Lookups)
	}
	for _, d := range rows(c.Deliveries) {
		add("delivery ", w.names[d.Payment], d.State, d.Tries, d.Body != "")
	}
	for _, e := range c.Events {
		add("event ", w.names[e.Payment], e.Kind)
	}
	for _, n := range rows(c.Inbox) {
		add("notice ", n.State, n.Tries)
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

func rows[R, K any](c book.Change[R, K]) []R {
	out := slices.Clone(c.Insert)
	for _, u := range c.Update {
		out = append(out, u.Row)
	}
	return out
}
