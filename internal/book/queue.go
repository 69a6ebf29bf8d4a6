package book

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// queue holds the acts that wait for one lane, interactive ones before
// background ones.
type queue struct {
	maxLen   int
	maxAge   time.Duration
	maxBatch int
	turns    Turns

	mu          sync.Mutex
	interactive []*call
	background  []*call
	closed      bool
	wake        chan struct{} // holds one token when something waits
	length      atomic.Int64  // of both lists
}

func newQueue(o Options) *queue {
	return &queue{maxLen: o.MaxQueue, maxAge: o.MaxAge, maxBatch: o.MaxBatch, turns: o.Turns, wake: make(chan struct{}, 1)}
}

// add answers ErrBusy rather than let the queue grow old or long.
func (q *queue) add(c *call, now time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrNotRun
	}
	list := &q.interactive
	if c.background {
		list = &q.background
	}
	// The age of background work says nothing about the lane: it waits by design.
	old := !c.background && len(*list) > 0 && now.Sub((*list)[0].queued) > q.maxAge
	if len(*list) >= q.maxLen || old {
		return ErrBusy
	}
	c.queued = now
	*list = append(*list, c)
	q.length.Add(1)
	q.ring()
	return nil
}

// waiting is how many acts wait.
func (q *queue) waiting() int { return int(q.length.Load()) }

func (q *queue) ring() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take waits for work and gives the next batch; nil when the queue is closed
// and empty.
func (q *queue) take(into []*call) []*call {
	for q.idle(); ; q.idle() {
		<-q.wake
		q.mu.Lock()
		// Background work waits behind interactive acts, but a sixteenth of a full batch is its own: under an
		// overload that lasts it must not stand still.
		into = q.move(into, &q.interactive, q.maxBatch-min(len(q.background), q.maxBatch/16))
		into = q.move(into, &q.background, min(q.maxBatch, len(into)+max(1, q.maxBatch/4)))
		left := len(q.interactive) + len(q.background)
		q.length.Store(int64(left))
		closed := q.closed
		q.mu.Unlock()
		if left > 0 || closed {
			q.ring()
		}
		if len(into) > 0 {
			return into
		}
		if closed {
			return nil
		}
	}
}

// move takes calls until into has upTo of them; callers who have gone are
// skipped: nothing happened to them.
func (q *queue) move(into []*call, from *[]*call, upTo int) []*call {
	n := 0
	for ; n < len(*from) && len(into) < upTo; n++ {
		if c := (*from)[n]; !c.taken.Swap(true) {
			into = append(into, c)
		}
	}
	rest := copy(*from, (*from)[n:])
	clear((*from)[rest:])
	*from = (*from)[:rest]
	return into
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.clear(ErrNotRun)
	q.ring()
}

// refuse answers all that wait: the lane cannot take them for a while.
func (q *queue) refuse(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.clear(err)
}

func (q *queue) clear(err error) {
	for _, list := range []*[]*call{&q.interactive, &q.background} {
		for _, c := range *list {
			if !c.taken.Swap(true) {
				c.err = fmt.Errorf("%s: %w", c.name, err)
				close(c.done)
			}
		}
		clear(*list)
		*list = (*list)[:0]
	}
	q.length.Store(0)
}
