package flow

import (
	"context"
	"sync"

	"aorta/internal/id"
	"aorta/internal/payment"
)

// recent keeps the attempts that this process has written lately, since a
// PSP's notification of an attempt mostly comes soon after. What it gives may
// be older than the store, as everything read outside an act; an act reads
// again.
type recent struct {
	mu       sync.Mutex
	cur, old map[id.Attempt]payment.Attempt
}

// keptAttempts bounds recent: at most twice as many are held.
const keptAttempts = 4096

func (r *recent) put(a payment.Attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.cur) >= keptAttempts || r.cur == nil {
		r.cur, r.old = make(map[id.Attempt]payment.Attempt, keptAttempts), r.cur
	}
	r.cur[a.ID] = a
}

func (r *recent) get(k id.Attempt) (payment.Attempt, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a, ok := r.cur[k]; ok {
		return a, true
	}
	a, ok := r.old[k]
	return a, ok
}

// Attempt gives an attempt by its id, from memory if this process has written
// it lately; false if there is none.
func (f *Flows) Attempt(ctx context.Context, k id.Attempt) (payment.Attempt, bool, error) {
	if a, ok := f.recent.get(k); ok {
		return a, true, nil
	}
	if int(k.Bucket()) >= f.book.Buckets() {
		return payment.Attempt{}, false, nil
	}
	return f.read.Attempt(ctx, k)
}
