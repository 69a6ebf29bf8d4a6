// Package worker does what is due: the work that acts of this process have
// just leased to it, at once and without asking the store, and by a sweep the
// work whose time has come or whose process has died.
//
// It knows kinds of work, not what they mean. It never writes but through the
// book. Its known weaknesses: a sweep lists at most a page of overdue rows a
// round, so a long outage is worked off page by page; and a piece begun late in
// its lease, after waiting for the pool, may still be under way when it is taken
// over, so handlers must bear to meet their own kind.
package worker

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"aorta/internal/book"
	"aorta/internal/due"

	"github.com/prometheus/client_golang/prometheus"
)

// Handler does one piece of work that this process holds the lease of. On
// success the row is gone or has its next time; on an error it stays leased
// and comes again when the lease ends.
type Handler func(ctx context.Context, d due.Due) error

// Options are the parts of a Worker with a sensible default, and what it must be given.
type Options struct {
	Now     func() time.Time      // the clock; required
	Log     *slog.Logger          // nil discards
	Metrics prometheus.Registerer // nil: counted, not registered
	Sweep   time.Duration         // between sweeps; 0 means 200ms
	Beat    time.Duration         // between signs of life; 0 means 3s
	Silence time.Duration         // after which another process counts as dead; 0 means 15s
	Pool    int                   // concurrent pieces of work of one kind; 0 means 192
	Waiting int                   // pieces of one kind that may wait for the pool; 0 means 16384
}

// Worker runs due work.
type Worker struct {
	opts  Options
	pools map[due.Kind]*pool
	wg    sync.WaitGroup
	run   atomic.Pointer[context.Context] // set by Start: ends when no more work is to be begun

	mu   sync.Mutex
	over bool // Wait was called: nobody joins any more

	book  *book.Book
	read  book.Reader
	procs book.Processes
	epoch int64

	mute atomic.Bool // the last sign of life could not be written

	done, failed, dropped, taken *prometheus.CounterVec
	overdue                      prometheus.Gauge
}

// pool is who does one kind of work: Options.Pool goroutines that stay, and up
// to more others that come when all are busy and go when nothing waits.
type pool struct {
	kind    due.Kind
	handler Handler
	waiting chan due.Due
	stay    int64
	more    int64
	load    atomic.Int64 // pieces that wait or are being done
	extra   atomic.Int64 // goroutines that have come
}

// page bounds the rows of one sweep.
const page = 512

// New makes a worker that takes work at once; Start lets it do it. The book
// that feeds it is opened in between, with Work as its option.
func New(o Options) *Worker {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	def(&o.Sweep, 200*time.Millisecond)
	def(&o.Beat, 3*time.Second)
	def(&o.Silence, 15*time.Second)
	def(&o.Pool, 192)
	def(&o.Waiting, 16384)
	w := &Worker{opts: o, pools: map[due.Kind]*pool{}}
	vec := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "aorta_due_" + name, Help: help}, []string{"kind"})
	}
	w.done = vec("done_total", "Pieces of due work done.")
	w.failed = vec("failed_total", "Pieces of due work that ended in an error and come again.")
	w.dropped = vec("dropped_total", "Pieces of work that found the pool full, or waited in it until their lease ended, and are taken again by a sweep.")
	w.taken = vec("taken_total", "Pieces of work taken by a sweep: timers, retries, work of dead processes.")
	w.overdue = prometheus.NewGauge(prometheus.GaugeOpts{Name: "aorta_due_overdue", Help: "Overdue rows that the last sweep saw, at most a page."})
	if o.Metrics != nil {
		o.Metrics.MustRegister(w.done, w.failed, w.dropped, w.taken, w.overdue)
	}
	return w
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Serve names who does a kind of work. All are named before the book is opened.
func (w *Worker) Serve(k due.Kind, h Handler) { w.ServeWide(k, h, w.opts.Pool) }

// ServeWide is Serve for work that mostly waits for others: up to most pieces of
// it are done at once, so that slow ones leave room. Its goroutines beyond the
// pool exist only while all of the pool are busy.
func (w *Worker) ServeWide(k due.Kind, h Handler, most int) {
	w.pools[k] = &pool{kind: k, handler: h, waiting: make(chan due.Due, w.opts.Waiting), stay: int64(w.opts.Pool), more: int64(max(0, most-w.opts.Pool))}
}

// Work takes rows that this process has just leased to itself. It never blocks:
// what finds no place waits for its lease to end.
func (w *Worker) Work(rows []due.Due) {
	for _, d := range rows {
		if p := w.pools[d.Kind]; p == nil || !w.take(p, d) {
			w.dropped.WithLabelValues(string(d.Kind)).Inc()
		}
	}
}

// Start runs the pools, the sweep and the signs of life until ctx ends; then
// Wait lets the work under way finish.
func (w *Worker) Start(ctx context.Context, b *book.Book, r book.Reader, p book.Processes, epoch int64) {
	w.book, w.read, w.procs, w.epoch = b, r, p, epoch
	for _, p := range w.pools {
		for range w.opts.Pool {
			w.wg.Go(func() { w.drain(ctx, p) })
		}
	}
	w.wg.Go(func() { w.sweep(ctx) })
	w.run.Store(&ctx)
}

// take puts a piece of work where it waits; false if that is full.
func (w *Worker) take(p *pool, d due.Due) bool {
	p.load.Add(1)
	select {
	case p.waiting <- d:
		w.help(p)
		return true
	default:
		p.load.Add(-1)
		return false
	}
}

// help has another goroutine do what waits, if all are busy and there may be
// more of them.
func (w *Worker) help(p *pool) {
	run := w.run.Load()
	if run == nil || p.more == 0 || !p.short() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		p.extra.Add(-1)
		return
	}
	w.wg.Go(func() {
		for (*run).Err() == nil {
			select {
			case d := <-p.waiting:
				w.do(context.WithoutCancel(*run), p, d)
			default:
				if p.extra.Add(-1); !p.short() { // what has come meanwhile took us for one who would do it
					return
				}
			}
		}
		p.extra.Add(-1)
	})
}

// short reports whether something waits for which there is no goroutine, and
// counts one more that will be there for it.
func (p *pool) short() bool {
	for {
		extra := p.extra.Load()
		if extra >= p.more || p.load.Load() <= p.stay+extra {
			return false
		}
		if p.extra.CompareAndSwap(extra, extra+1) {
			return true
		}
	}
}

// behind is how many pieces may wait for each goroutine of a pool before it
// counts as behind: it would wait as long as four pieces take.
const behind = 4

// Behind reports whether much more of one of these kinds waits than is being
// done: what is begun now would be done late.
func (w *Worker) Behind(kinds ...due.Kind) bool {
	for _, k := range kinds {
		if p := w.pools[k]; p != nil && p.load.Load() > (1+behind)*(p.stay+p.more) {
			return true
		}
	}
	return false
}

// Speaks reports whether the last sign of life was written: whether the store
// can be, where nobody else wants to write.
func (w *Worker) Speaks() bool { return !w.mute.Load() }

// Wait returns when all work under way has ended, or ctx has.
func (w *Worker) Wait(ctx context.Context) {
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	ended := make(chan struct{})
	go func() { w.wg.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// drain works until ctx ends. Work already begun is finished: its context
// outlives ctx.
func (w *Worker) drain(ctx context.Context, p *pool) {
	work := context.WithoutCancel(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case d := <-p.waiting:
			w.do(work, p, d)
		}
	}
}

// do does one piece of work.
func (w *Worker) do(ctx context.Context, p *pool, d due.Due) {
	defer p.load.Add(-1)
	kind := string(p.kind)
	if w.opts.Now().UnixMicro() >= d.DueUS {
		// It waited longer than its lease, and may be another's by now.
		w.dropped.WithLabelValues(kind).Inc()
		return
	}
	if err := p.handler(ctx, d); err != nil {
		w.failed.WithLabelValues(kind).Inc()
		w.opts.Log.Warn("due work comes again", "kind", kind, "subject", d.ID, "error", err)
		return
	}
	w.done.WithLabelValues(kind).Inc()
}

// sweep takes over what is overdue, again and again.
func (w *Worker) sweep(ctx context.Context) {
	ticker := time.NewTicker(w.opts.Sweep)
	defer ticker.Stop()
	var beat, heard time.Time // last sign of life tried, and given
	var dead []int64
	settled := map[int64]bool{} // dead processes that hold nothing any more
	for {
		now := w.opts.Now()
		if now.Sub(beat) >= w.opts.Beat {
			beat = now
			all, err := w.procs.Beat(ctx, w.epoch, now, now.Add(-w.opts.Silence))
			w.mute.Store(err != nil)
			if err != nil && ctx.Err() == nil {
				w.opts.Log.Warn("sign of life", "error", err)
			}
			dead = dead[:0]
			// Who could not speak for so long itself must not call others dead: the store was away from them too.
			believe := heard.IsZero() || now.Sub(heard) < w.opts.Silence
			for _, e := range all {
				if believe && !settled[e] {
					dead = append(dead, e)
				}
			}
			if err == nil {
				heard = now
			}
			// One that was silent and speaks again may hold work when it dies for good.
			maps.DeleteFunc(settled, func(e int64, _ bool) bool { return err == nil && !slices.Contains(all, e) })
		}
		more, ok := w.round(ctx, now, dead)
		if ok && !more {
			for _, e := range dead {
				settled[e] = true
			}
			dead = dead[:0]
		}
		if more {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// round claims one page of overdue rows; more says that there may be others.
func (w *Worker) round(ctx context.Context, now time.Time, dead []int64) (more, ok bool) {
	rows, err := w.read.Overdue(ctx, now.UnixMicro(), dead, page)
	if err != nil {
		if ctx.Err() == nil {
			w.opts.Log.Warn("list overdue work", "error", err)
		}
		return false, false
	}
	w.overdue.Set(float64(len(rows)))
	var wg sync.WaitGroup
	var failed atomic.Bool
	for _, d := range rows {
		wg.Go(func() {
			if err := w.claim(ctx, d); err != nil {
				failed.Store(true)
				if !errors.Is(err, book.ErrNotRun) && !errors.Is(err, book.ErrBusy) {
					w.opts.Log.Warn("claim due work", "kind", d.Kind, "error", err)
				}
			}
		})
	}
	wg.Wait()
	return len(rows) == page && !failed.Load() && ctx.Err() == nil, !failed.Load()
}

func (w *Worker) claim(ctx context.Context, seen due.Due) error {
	taken, err := Claim(ctx, w.book, seen)
	if taken {
		w.taken.WithLabelValues(string(seen.Kind)).Inc()
	}
	return err
}

// Claim leases a row to this process, if it is still as it was seen; false if
// it is not. The book then hands it to its Work.
func Claim(ctx context.Context, b *book.Book, seen due.Due) (bool, error) {
	return book.Do(ctx, b, book.Act[bool]{
		Name: "due.claim", Bucket: seen.ID.Bucket(), Background: true,
		Hint: func(p *book.Page) { p.Due.Get(seen.ID) },
		Decide: func(p *book.Page) (bool, error) {
			d, ok := p.Due.Get(seen.ID)
			if !ok || d.Kind != seen.Kind || d.DueUS != seen.DueUS || d.Owner != seen.Owner || d.Tries != seen.Tries {
				return false, nil
			}
			p.Due.Put(d.Claim(p.NowUS(), p.Epoch()))
			return true, nil
		},
	})
}
