package book

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"aorta/internal/id"
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
	part        id.Bucket     // of the last batch that kept to one
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
// and empty. With apart set all of a batch is of one part of the buckets: the
// other than last time, if any of it waits.
func (q *queue) take(into []*call, apart bool) []*call {
	for q.idle(); ; q.idle() {
		<-q.wake
		q.mu.Lock()
		if apart {
			q.part = 1 - q.part
			if into = q.fill(into, func(c *call) bool { return partOf(c.bucket) == q.part }); len(into) == 0 {
				q.part = 1 - q.part
			}
		}
		if len(into) == 0 {
			into = q.fill(into, func(*call) bool { return true })
		}
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

// partOf is one of two parts of the buckets, the same in every process. Lanes of
// one process prefer buckets by the bit below, so each has half of either part.
func partOf(b id.Bucket) id.Bucket { return b >> 1 & 1 }

// fill moves a batch of the acts that are wanted. Background work waits behind
// interactive acts, but a sixteenth of a full batch is its own: under an overload
// that lasts it must not stand still.
func (q *queue) fill(into []*call, wanted func(*call) bool) []*call {
	into = move(into, &q.interactive, q.maxBatch-min(len(q.background), q.maxBatch/16), wanted)
	return move(into, &q.background, min(q.maxBatch, len(into)+max(1, q.maxBatch/4)), wanted)
}

// move takes the wanted calls until into has upTo of them; callers who have gone
// are skipped: nothing happened to them.
func move(into []*call, from *[]*call, upTo int, wanted func(*call) bool) []*call {
	left := (*from)[:0]
	for n, c := range *from {
		if len(into) >= upTo {
			left = append(left, (*from)[n:]...)
			break
		}
		if !wanted(c) {
			left = append(left, c)
		} else if !c.taken.Swap(true) {
			into = append(into, c)
		}
	}
	clear((*from)[len(left):])
	*from = left
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
