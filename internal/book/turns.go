package book

import (
	"time"

	"aorta/internal/id"
)

// Turns decides who goes on where several could: test/sim gives one, so that a
// seed repeats the same batches in the same order. Wherever the book would
// block it calls these first, and what it blocks on is ready when they return.
// Without one the book leaves all of it to Go.
type Turns interface {
	// Lane begins a lane. It may return before run does.
	Lane(run func())
	// Idle is called by a lane that has no acts, Await by a caller whose act
	// waits for its batch.
	Idle(ready func() bool)
	Await(act string, b id.Bucket, ready func() bool)
	// Sleep is called by a lane between two questions what became of a COMMIT.
	Sleep(d time.Duration)
}

// begin has a lane run.
func (b *Book) begin(run func()) {
	if t := b.opts.Turns; t != nil {
		t.Lane(run)
		return
	}
	b.wg.Go(run)
}

// await returns at once where Go decides.
func (b *Book) await(c *call) {
	if t := b.opts.Turns; t != nil {
		t.Await(c.name, c.bucket, func() bool { return closed(c.done) })
	}
}

func (b *Book) sleep(d time.Duration) {
	if t := b.opts.Turns; t != nil {
		t.Sleep(d)
		return
	}
	time.Sleep(d)
}

// idle returns at once where Go decides.
func (q *queue) idle() {
	if q.turns != nil {
		q.turns.Idle(func() bool { return len(q.wake) > 0 })
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
