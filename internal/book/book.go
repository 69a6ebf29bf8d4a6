// Package book writes everything that changes money or state. A change is an
// Act; the acts of all concurrent callers are committed together, a batch at a
// time, each with all its rows or none (design section 2).
//
// The book never does network I/O but to its store, and never decides anything
// about payments: acts do. Its known weakness: acts of one lane run one after
// another on one processor, so a slow Decide slows its whole lane.
package book

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"aorta/internal/due"
	"aorta/internal/id"
	"aorta/internal/payment"

	"github.com/prometheus/client_golang/prometheus"
)

// Act is one business fact. T is its answer, returned by value.
type Act[T any] struct {
	Name       string                 // "sale.settle": for metrics, logs, errors; low cardinality
	Bucket     id.Bucket              // every row but refs is in it
	Background bool                   // waits behind interactive acts, and fills at most a quarter of a batch
	Hint       func(*Page)            // optional: rows it will want. Saves a round trip, never needed for correctness
	Decide     func(*Page) (T, error) // pure: same rows in, same rows out; no I/O, no clock but p.Now(), no ids but p.Mint(). May run again. An error leaves no trace.
}

var (
	// ErrBusy: the queue is too old or full; certainly nothing happened. Answer
	// 503 with Retry-After.
	ErrBusy = errors.New("the book is busy")
	// ErrNotRun: certainly nothing happened: the caller had gone, or the home
	// cannot be reached. Answer 503 with Retry-After.
	ErrNotRun = errors.New("the act did not run")
	// ErrUnknown: the act may have been written. The reference will tell: read
	// or repeat under the same names.
	ErrUnknown = errors.New("it is unknown whether the act was written")
)

// Home is a database that holds some of the buckets.
type Home struct {
	Store   Store
	Lanes   int         // committers: 1 on SQLite, 2 on PostgreSQL
	Keep    bool        // this process's lane is the only writer: rows that it keeps between batches need no check
	Buckets []id.Bucket // nil: all of them
}

// Options are the parts of a Book with a sensible default, and what it must be given.
type Options struct {
	Buckets int              // number of buckets, fixed at creation; 0 means 32
	Now     func() time.Time // the clock; required
	Random  io.Reader        // cryptographic randomness for ids; required
	Epoch   int64            // names this process among those that ever wrote here

	// Work is handed the due rows that this process has leased to itself, as
	// soon as they are durable. It must not block.
	Work func([]due.Due)

	Log        *slog.Logger          // nil discards
	Metrics    prometheus.Registerer // nil: counted, not registered
	MaxBatch   int                   // acts a batch; 0 means 512
	Pressing   int                   // acts that wait for a home's first lane, from which on all its lanes are used; 0 means 192
	MaxQueue   int                   // acts waiting per lane; 0 means 8192
	MaxAge     time.Duration         // of the oldest waiting act, beyond which new ones are refused; 0 means 2s
	Deadline   time.Duration         // for finding out what became of a batch, and for one that others hold up; 0 means 20s
	Turns      Turns                 // nil: Go decides who goes on
	MaxRetries int                   // runs of a batch that meets others, before it is halved; 0 means 12
}

// Book commits acts.
type Book struct {
	opts    Options
	homes   []*home
	byPlace []*home // index: bucket
	metrics *metrics
	numbers numbers
	closed  atomic.Bool
	failed  atomic.Int64 // when a batch was not written since the store could not, in unix microseconds; 0: another was since
	wg      sync.WaitGroup
	stop    context.CancelFunc
}

type home struct {
	store Store
	lanes []*lane
	holds []bool // index: bucket

	pressing int
	wide     atomic.Int64 // until when all lanes are used, in unix microseconds
}

// New opens a book on its homes. Every bucket must be in exactly one of them.
func New(ctx context.Context, homes []Home, opts Options) (*Book, error) {
	setDefaults(&opts)
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	b := &Book{opts: opts, byPlace: make([]*home, opts.Buckets), metrics: newMetrics(opts.Metrics), stop: stop}
	for _, h := range homes {
		if err := b.open(ctx, run, h); err != nil {
			b.Close()
			return nil, err
		}
	}
	for n, h := range b.byPlace {
		if h == nil {
			b.Close()
			return nil, fmt.Errorf("bucket %d is in no home", n)
		}
	}
	if err := b.numbers.open(ctx, b.byPlace[0].store); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

func setDefaults(o *Options) {
	def(&o.Buckets, 32)
	def(&o.MaxBatch, 512)
	def(&o.Pressing, 192)
	def(&o.MaxQueue, 8192)
	def(&o.MaxAge, 2*time.Second)
	def(&o.Deadline, 20*time.Second) // less than a door's own limit: the answer must still reach who waits for it
	def(&o.MaxRetries, 12)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Work == nil {
		o.Work = func([]due.Due) {}
	}
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (b *Book) open(ctx, run context.Context, cfg Home) error {
	h := &home{store: cfg.Store, holds: make([]bool, len(b.byPlace)), pressing: b.opts.Pressing}
	buckets := cfg.Buckets
	if buckets == nil {
		for n := range b.byPlace {
			buckets = append(buckets, id.Bucket(n))
		}
	}
	for _, n := range buckets {
		if int(n) >= len(b.byPlace) || b.byPlace[n] != nil {
			return fmt.Errorf("bucket %d is in two homes, or beyond the %d that there are", n, len(b.byPlace))
		}
		b.byPlace[n] = h
		h.holds[n] = true
	}
	b.homes = append(b.homes, h)
	for range max(cfg.Lanes, 1) {
		conn, err := cfg.Store.Lane(ctx)
		if err != nil {
			return fmt.Errorf("open lane: %w", err)
		}
		l, err := newLane(b, h, conn, cfg.Keep)
		if err != nil {
			return err
		}
		h.lanes = append(h.lanes, l)
		b.begin(func() { l.loop(run) })
	}
	return nil
}

// Close lets the batches under way end and closes the lanes. Acts that wait
// are not run.
func (b *Book) Close() {
	if b.closed.Swap(true) {
		return
	}
	for _, h := range b.homes {
		for _, l := range h.lanes {
			l.queue.close()
		}
	}
	b.wg.Wait()
	b.stop()
}

// Writing reports whether the store takes what it is given: false for a moment
// after a batch that it could not write, until it has written another.
func (b *Book) Writing() bool {
	failed := b.failed.Load()
	return failed == 0 || b.opts.Now().UnixMicro()-failed > faltering.Microseconds()
}

// faltering is how long one failure counts where nobody wants to write.
const faltering = 5 * time.Second

// Buckets is the number of buckets.
func (b *Book) Buckets() int { return len(b.byPlace) }

// SameHome reports whether one act may write a ref in bucket x and rows in y.
func (b *Book) SameHome(x, y id.Bucket) bool { return b.byPlace[x] == b.byPlace[y] }

// Mint makes a new id in a bucket outside an act, for a name that is reserved
// before the thing it names is begun.
func (b *Book) Mint(bucket id.Bucket) id.Raw {
	return b.byPlace[bucket].laneOf(bucket).outside.mint(b.opts.Now(), bucket)
}

// RefKey places a name that creates: its bucket is its own hash.
func (b *Book) RefKey(scope, text string) payment.RefKey {
	return payment.RefKey{Bucket: id.BucketOf(len(b.byPlace), scope, text), Scope: scope, Text: text}
}

// Find reads a ref outside acts. Found is always true; not found proves
// nothing, since the act that writes it may be under way.
func (b *Book) Find(ctx context.Context, scope, text string) (id.Raw, bool, error) {
	key := b.RefKey(scope, text)
	return b.byPlace[key.Bucket].store.FindRef(ctx, key)
}

// Reserve gives a name that creates to want, unless it has an owner already,
// and answers the owner. It is an act of its own, for a name that lies in
// another home than the thing it names; in one home the beginning act writes
// the ref itself.
func (b *Book) Reserve(ctx context.Context, key payment.RefKey, want id.Raw) (id.Raw, error) {
	return Do(ctx, b, Act[id.Raw]{
		Name: "ref.reserve", Bucket: key.Bucket,
		Hint: func(p *Page) { p.Refs.Get(key) },
		Decide: func(p *Page) (id.Raw, error) {
			if r, ok := p.Refs.Get(key); ok {
				return r.Target, nil
			}
			p.Refs.Put(payment.Ref{RefKey: key, Target: want})
			return want, nil
		},
	})
}

// Repoint gives a reserved name whose thing was voided to another one, if it
// still belongs to from. It answers the owner.
func (b *Book) Repoint(ctx context.Context, key payment.RefKey, from, to id.Raw) (id.Raw, error) {
	return Do(ctx, b, Act[id.Raw]{
		Name: "ref.repoint", Bucket: key.Bucket,
		Hint: func(p *Page) { p.Refs.Get(key) },
		Decide: func(p *Page) (id.Raw, error) {
			r, ok := p.Refs.Get(key)
			if ok && r.Target != from {
				return r.Target, nil
			}
			p.Refs.Put(payment.Ref{RefKey: key, Target: to})
			return to, nil
		},
	})
}

// call is an act without its type, as it waits in a lane.
type call struct {
	name       string
	bucket     id.Bucket
	background bool
	hint       func(*Page)
	run        func(*Page) error
	queued     time.Time
	taken      atomic.Bool // by the lane, or by a caller who has gone
	err        error
	done       chan struct{}
}

// Do returns when the act's rows are durable. ErrBusy and ErrNotRun: certainly
// nothing happened. ErrUnknown: the reference will tell. Any other error is
// the act's own, and it left no trace.
func Do[T any](ctx context.Context, b *Book, a Act[T]) (T, error) {
	var out, none T
	c := &call{
		name: a.Name, bucket: a.Bucket, background: a.Background, hint: a.Hint, done: make(chan struct{}),
		run: func(p *Page) error {
			v, err := a.Decide(p)
			out = v
			return err
		},
	}
	now := b.opts.Now()
	if err := b.byPlace[a.Bucket].laneFor(a.Bucket, now).queue.add(c, now); err != nil {
		b.metrics.refused.Inc()
		return none, fmt.Errorf("%s: %w", a.Name, err)
	}
	b.await(c)
	select {
	case <-c.done:
	case <-ctx.Done():
		if !c.taken.Swap(true) {
			return none, fmt.Errorf("%s: %w: %w", a.Name, ErrNotRun, context.Cause(ctx))
		}
		<-c.done // its batch is under way: the answer comes within the home's deadline
	}
	if c.err != nil {
		return none, c.err
	}
	return out, nil
}

// laneOf is the lane that acts of a bucket prefer.
func (h *home) laneOf(b id.Bucket) *lane { return h.lanes[int(b)%len(h.lanes)] }

// laneFor is where an act of a bucket waits: in the first lane while little is
// to be done, since one batch of twenty costs the database half of two of ten,
// and in the bucket's own lane under pressure, or while a lane stands still.
// Rows are safe in either.
func (h *home) laneFor(b id.Bucket, now time.Time) *lane {
	if len(h.lanes) == 1 {
		return h.lanes[0]
	}
	us, left := now.UnixMicro(), 0
	for n, l := range h.lanes {
		waiting := l.queue.waiting()
		if since := l.busy.Load(); waiting >= h.pressing || (since != 0 && us-since > stalled.Microseconds()) {
			h.wide.Store(us + stayWide.Microseconds())
			return h.laneOf(b)
		}
		if n > 0 {
			left += waiting
		}
	}
	until := h.wide.Load()
	over := us >= until || until-us > stayWide.Microseconds() // the second: the clock was set back
	if over && left == 0 {
		return h.lanes[0]
	}
	return h.laneOf(b)
}

const (
	stayWide = time.Second            // how long all lanes are used after there was pressure
	stalled  = 250 * time.Millisecond // a batch that takes so long waits for somebody
)
