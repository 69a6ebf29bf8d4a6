package book

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"aorta/internal/crash"
	"aorta/internal/due"
	"aorta/internal/id"
)

// lane is one committer of a home: it takes the acts that wait, decides them
// on one page, commits them together, answers, and takes the next.
type lane struct {
	book    *Book
	conn    Lane
	keep    bool      // nobody else writes: rows are kept without a doubt
	apart   int       // batches left that keep to a part of the buckets
	settled time.Time // when its last batch ended
	queue   *queue
	busy    atomic.Int64 // since when it is at a batch, in unix microseconds; 0: it waits
	page    *Page
	minter  *minter // used by the lane alone
	outside *minter // used by callers, under its lock
	forget  id.Batch
	keys    Keys
}

// minter gives ids from a generator of its own, seeded once: 72 random bits
// an id, unpredictable as long as the seed is.
type minter struct {
	mu  sync.Mutex
	src *rand.ChaCha8
}

func newMinter(random io.Reader) (*minter, error) {
	var seed [32]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return nil, fmt.Errorf("seed ids: %w", err)
	}
	return &minter{src: rand.NewChaCha8(seed)}, nil
}

func (m *minter) mint(now time.Time, b id.Bucket) id.Raw {
	m.mu.Lock()
	defer m.mu.Unlock()
	return id.Minter{Bits: m.src.Uint64}.Mint(now, b)
}

func newLane(b *Book, h *home, conn Lane, keep bool) (*lane, error) {
	inside, err := newMinter(b.opts.Random)
	if err != nil {
		return nil, err
	}
	outside, err := newMinter(b.opts.Random)
	if err != nil {
		return nil, err
	}
	l := &lane{book: b, conn: conn, keep: keep, queue: newQueue(b.opts), minter: inside, outside: outside}
	l.page = newPage(func(x id.Bucket) bool { return int(x) < len(h.holds) && h.holds[x] },
		id.Minter{Bits: inside.src.Uint64}, b.opts.Epoch, b.numbers.next)
	l.page.shared = !keep
	return l, nil
}

func (l *lane) loop(ctx context.Context) {
	defer func() {
		if err := l.conn.Close(); err != nil {
			l.book.opts.Log.Warn("close lane", "error", err)
		}
	}()
	var acts []*call
	for {
		acts = l.queue.take(acts[:0], l.apart > 0)
		if acts == nil {
			return
		}
		m := l.book.metrics
		m.batchSize.Observe(float64(len(acts)))
		begun := l.book.opts.Now()
		l.busy.Store(begun.UnixMicro())
		m.queueAge.Observe(begun.Sub(acts[0].queued).Seconds())
		l.batch(ctx, acts, begun.Add(l.book.opts.Deadline))
		l.busy.Store(0)
		m.batchTime.Observe(l.book.opts.Now().Sub(begun).Seconds())
		clear(acts)
	}
}

// A lane that is not the only writer keeps rows between batches as well: it
// mostly is, for its buckets, and rows that it reads so and others have changed
// make the store refuse the batch, by version (Change.Check). Then it runs
// again with all of its rows loaded and locked first, and so do later batches
// with those of the kinds that others had changed, until they have not for a
// while: two that write the same rows would else refuse each other all the time.
// Rows of a lane that had nothing to do are likely to be old.
//
// Two that load first still wait for one another where each batch is about all
// buckets: house accounts are in every one. So while others are seen to write
// the same rows, a lane's batches are about one part of the buckets and the
// other in turn. Who finds a part taken waits for it once; from then on both
// write at the same time, each the part that the other has just left.
const (
	careful  = 5 * time.Second
	keptFor  = time.Second
	apartFor = 8 // batches after the last one that saw others
)

// batch sees to it that every act has its answer when it returns. What others
// keep from being written is given up after until: locks may be held by one that
// stands still, and each run then waits for them as long as the store lets it.
func (l *lane) batch(ctx context.Context, acts []*call, until time.Time) {
	m := l.book.metrics
	now := l.book.opts.Now()
	batch := id.Batch(l.minter.mint(now, 0))
	if !l.keep && now.Sub(l.settled).Abs() > keptFor {
		l.page.forget()
	}
	l.page.open(now)
	for _, c := range acts {
		l.page.hints(c)
	}
	for run := 1; ; run++ {
		work, err := l.once(ctx, batch, acts)
		if errors.Is(err, ErrLost) {
			m.lost.Inc()
			work, err = l.resolve(ctx, batch, work)
		}
		var data *DataError
		late := l.book.opts.Now().After(until)
		conflict := errors.Is(err, ErrConflict)
		switch {
		case err == nil:
			l.settled = l.book.opts.Now()
			l.apart = max(l.apart-1, 0)
			if l.page.settle(l.settled) {
				l.apart = apartFor
			}
			if len(work) > 0 {
				l.book.opts.Work(work)
			}
			l.answer(acts, nil)
			return
		case conflict && run < l.book.opts.MaxRetries && !late:
			m.retries.Inc()
			l.page.again = true
			l.page.drop()
		case errors.As(err, &data) || (conflict && !late):
			if l.page.again {
				l.page.suspect(l.book.opts.Now())
			}
			l.page.forget()
			l.halve(ctx, acts, err, until)
			return
		default:
			l.page.forget()
			if conflict {
				err = fmt.Errorf("%w: %w", ErrNotRun, err)
			}
			if late {
				l.queue.refuse(ErrNotRun) // they have waited as long, and would again
			}
			l.book.failed.Store(l.book.opts.Now().UnixMicro())
			l.book.opts.Log.Error("batch not written", "acts", len(acts), "error", err)
			l.answer(acts, err)
			return
		}
	}
}

// halve runs the two halves of a batch apart, until an act that cannot be
// written is alone; then an alarm rings and that act alone is refused.
func (l *lane) halve(ctx context.Context, acts []*call, cause error, until time.Time) {
	if len(acts) == 1 {
		l.book.metrics.culprits.Inc()
		l.book.opts.Log.Error("ALARM: the store refuses an act", "act", acts[0].name, "error", cause)
		l.answer(acts, fmt.Errorf("%w: %w", ErrNotRun, cause))
		return
	}
	l.book.metrics.halvings.Inc()
	l.batch(ctx, acts[:len(acts)/2], until)
	l.batch(ctx, acts[len(acts)/2:], until)
}

// maxLoads bounds how often one batch may stop to load rows that its acts
// found out they need: a chain of that many look-ups in one act is a mistake.
const maxLoads = 64

// once runs a batch from its beginning to its commit.
func (l *lane) once(ctx context.Context, batch id.Batch, acts []*call) ([]due.Due, error) {
	l.page.now = l.book.opts.Now().UTC().Truncate(time.Microsecond)
	l.keys = Keys{}
	l.page.missing(&l.keys, true)
	found, err := l.conn.Begin(ctx, batch, l.forget, &l.keys)
	if err != nil {
		return nil, unreached(err)
	}
	l.page.fill(found)
	open := acts
	for loads := 0; ; loads++ {
		open = l.decide(open)
		if len(open) == 0 {
			break
		}
		l.keys = Keys{}
		if !l.page.missing(&l.keys, false) || loads == maxLoads {
			panic(fmt.Sprintf("book: %s wants rows without end", open[0].name))
		}
		l.book.metrics.rounds.Inc()
		if found, err = l.conn.Load(ctx, &l.keys); err != nil {
			return nil, unreached(err)
		}
		l.page.fill(found)
	}
	changes, work := l.page.changes()
	if changes == nil {
		l.conn.Abort(ctx)
		return nil, nil
	}
	if err := l.conn.Commit(ctx, changes); err != nil {
		return work, unreached(err)
	}
	crash.At(crash.AfterCommit)
	l.forget = batch
	l.book.failed.Store(0)
	return work, nil
}

// unreached marks an error of the store's connection as one that proves that
// nothing happened.
func unreached(err error) error {
	var data *DataError
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrLost) || errors.Is(err, ErrCommitted) || errors.As(err, &data) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNotRun, err)
}

// decide runs the open acts and gives those that miss rows.
func (l *lane) decide(open []*call) []*call {
	var missed []*call
	for _, c := range open {
		if !l.page.try(c) {
			missed = append(missed, c)
		}
	}
	return missed
}

// resolve finds out what became of a batch whose COMMIT got no answer, by
// beginning the same batch again: refused means that it was committed, and the
// answers already computed are true; accepted means that it is dead for ever,
// and the acts are decided again (design section 2). It never asks by SELECT,
// which could miss a commit that is still under way.
func (l *lane) resolve(ctx context.Context, batch id.Batch, work []due.Due) ([]due.Due, error) {
	deadline := l.book.opts.Now().Add(l.book.opts.Deadline)
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		_, err := l.conn.Begin(ctx, batch, id.Batch{}, &Keys{})
		switch {
		case err == nil:
			l.conn.Abort(ctx)
			return nil, ErrConflict // proved dead: run it again
		case errors.Is(err, ErrCommitted):
			l.forget = batch
			l.book.failed.Store(0)
			return work, nil
		}
		if l.book.opts.Now().After(deadline) || l.book.closed.Load() {
			// The last error is told and not wrapped. It may be a conflict, for one with the transaction itself, which
			// waits for its standby, and a conflict is run again, or in halves of other names.
			return nil, fmt.Errorf("%w: %s", ErrUnknown, err)
		}
		if !errors.Is(err, ErrConflict) {
			l.book.failed.Store(l.book.opts.Now().UnixMicro())
			// The home is away, perhaps for long. Whoever waits behind a batch whose fate is unknown need not: nothing happened to them.
			l.queue.refuse(fmt.Errorf("%w: %w", ErrNotRun, err))
		}
		l.book.sleep(pause)
	}
}

func (l *lane) answer(acts []*call, err error) {
	for _, c := range acts {
		if err != nil {
			c.err = fmt.Errorf("%s: %w", c.name, err)
		}
		close(c.done)
	}
}
