package worker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aorta/internal/book"
	"aorta/internal/due"
	"aorta/internal/id"
	"aorta/internal/worker"

	"github.com/prometheus/client_golang/prometheus"
)

// process is one that works on a home, as cmd wires it. Time is the bubble's.
type process struct {
	t       *testing.T
	home    *book.Memory
	book    *book.Book
	worker  *worker.Worker
	metrics *prometheus.Registry
	epoch   int64
	stop    context.CancelFunc
	away    atomic.Bool // lists cannot be read

	mu   sync.Mutex
	done []done
}

// done is one piece of work as a handler saw it.
type done struct {
	at  time.Duration // since the start
	due due.Due
}

// reader fails while its process says that the store is away.
type reader struct {
	book.Reader
	p *process
}

var errAway = errors.New("away")

func (r reader) Overdue(ctx context.Context, nowUS int64, dead []int64, limit int) ([]due.Due, error) {
	if r.p.away.Load() {
		return nil, errAway
	}
	return r.Reader.Overdue(ctx, nowUS, dead, limit)
}

type seeded struct{ r *rand.ChaCha8 }

func (s seeded) Read(b []byte) (int, error) { return s.r.Read(b) }

var start = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // of every bubble

// newProcess enters a process and starts it. Handle is given the work after it
// was noted; nil ends it.
func newProcess(t *testing.T, home *book.Memory, instance string, o worker.Options, handle func(*process, context.Context, due.Due) error) *process {
	t.Helper()
	p := &process{t: t, home: home, metrics: prometheus.NewRegistry()}
	if handle == nil {
		handle = func(p *process, _ context.Context, d due.Due) error { return p.end(d.ID) }
	}
	var err error
	if p.epoch, err = home.Enter(t.Context(), instance, time.Now()); err != nil {
		t.Fatal(err)
	}
	o.Now, o.Metrics = time.Now, p.metrics
	p.worker = worker.New(o)
	note := func(ctx context.Context, d due.Due) error {
		p.mu.Lock()
		p.done = append(p.done, done{time.Since(start), d})
		p.mu.Unlock()
		return handle(p, ctx, d)
	}
	for _, k := range []due.Kind{due.Ask, due.AskLater, due.Watch} {
		p.worker.Serve(k, note)
	}
	p.worker.ServeWide(due.Deliver, note, o.Pool+2)
	p.book, err = book.New(t.Context(), []book.Home{{Store: home}}, book.Options{
		Now: time.Now, Random: seeded{rand.NewChaCha8([32]byte{byte(p.epoch)})}, Epoch: p.epoch, Work: p.worker.Work,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	p.stop = cancel
	p.worker.Start(ctx, p.book, reader{home, p}, home, p.epoch)
	t.Cleanup(func() {
		cancel()
		p.worker.Wait(context.Background())
		p.book.Close()
	})
	return p
}

// put writes n pieces of work in one act.
func (p *process) put(n int, make func(pg *book.Page) due.Due) []id.Raw {
	p.t.Helper()
	ids, err := book.Do(p.t.Context(), p.book, book.Act[[]id.Raw]{Name: "test.put", Bucket: 3, Decide: func(pg *book.Page) ([]id.Raw, error) {
		var ids []id.Raw
		for range n {
			d := make(pg)
			pg.Due.New(d)
			ids = append(ids, d.ID)
		}
		return ids, nil
	}})
	if err != nil {
		p.t.Fatal(err)
	}
	return ids
}

func now(pg *book.Page) due.Due {
	return due.Now(pg.Mint(), due.Watch, pg.NowUS(), pg.Epoch(), "carried")
}

func later(k due.Kind, wait time.Duration) func(pg *book.Page) due.Due {
	return func(pg *book.Page) due.Due { return due.At(pg.Mint(), k, pg.NowUS()+wait.Microseconds()) }
}

// end deletes a row, as the act does that records a result.
func (p *process) end(k id.Raw) error {
	_, err := book.Do(context.Background(), p.book, book.Act[struct{}]{Name: "test.end", Bucket: k.Bucket(), Decide: func(pg *book.Page) (struct{}, error) {
		if _, ok := pg.Due.Get(k); ok {
			pg.Due.Delete(k)
		}
		return struct{}{}, nil
	}})
	return err
}

func (p *process) seen() []done {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.done)
}

func (p *process) want(instants ...time.Duration) {
	p.t.Helper()
	got := p.seen()
	if len(got) != len(instants) {
		p.t.Fatalf("handled %d pieces of work (%v), want %d", len(got), got, len(instants))
	}
	for n, at := range instants {
		if late := got[n].at - at; late < 0 || late > 250*time.Millisecond { // a sweep every 200 ms
			p.t.Errorf("piece %d was handled after %s, want after %s", n, got[n].at, at)
		}
	}
}

func (p *process) left() []due.Due {
	p.t.Helper()
	rows, err := p.home.ScanDue(context.Background(), id.Raw{}, 10_000)
	if err != nil {
		p.t.Fatal(err)
	}
	return rows
}

func (p *process) counted(name string, want float64) {
	p.t.Helper()
	families, err := p.metrics.Gather()
	if err != nil {
		p.t.Fatal(err)
	}
	var sum float64
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	if sum != want {
		p.t.Errorf("%s is %v, want %v", name, sum, want)
	}
}

func bubble(t *testing.T, fn func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, fn)
}

func TestWorkAtHandRunsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newProcess(t, book.NewMemory(), "a", worker.Options{}, nil)
		p.put(3, now)
		synctest.Wait()
		p.want(0, 0, 0)
		for _, d := range p.seen() {
			if d.due.Carry != "carried" || d.at != 0 {
				t.Errorf("handled %+v after %s, want it at once with what it carries", d.due, d.at)
			}
		}
		time.Sleep(time.Minute)
		p.want(0, 0, 0)
		p.counted("aorta_due_done_total", 3)
		p.counted("aorta_due_taken_total", 0)
	})
}

func TestASweepTakesOverdueTimers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newProcess(t, book.NewMemory(), "a", worker.Options{}, nil)
		p.put(1, later(due.Watch, 20*time.Second))
		p.put(1, later(due.Watch, 10*time.Second))
		time.Sleep(9 * time.Second)
		p.want()
		time.Sleep(time.Minute)
		p.want(10*time.Second, 20*time.Second)
		if left := p.left(); len(left) != 0 {
			t.Errorf("left is %v, want nothing", left)
		}
		p.counted("aorta_due_taken_total", 2)
	})
}

// More than one page is overdue after an outage.
func TestASweepWorksOffManyPages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newProcess(t, book.NewMemory(), "a", worker.Options{}, nil)
		p.away.Store(true)
		p.put(1300, later(due.Watch, time.Second))
		time.Sleep(time.Hour)
		p.want()
		p.away.Store(false)
		time.Sleep(time.Second)
		if n := len(p.seen()); n != 1300 {
			t.Errorf("handled %d pieces a second after the outage, want 1300", n)
		}
		p.counted("aorta_due_taken_total", 1300)
	})
}

func TestWorkOfADeadProcessIsTakenAtOnce(t *testing.T) {
	tests := []struct {
		name     string
		instance string // of the process that comes after
		want     time.Duration
	}{
		{name: "entered again under its name", instance: "a", want: time.Second},
		{name: "silent for long", instance: "b", want: 15 * time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				home := book.NewMemory()
				dead := newProcess(t, home, "a", worker.Options{}, func(*process, context.Context, due.Due) error { return errors.New("crash") })
				dead.stop()
				synctest.Wait()
				dead.put(5, now)
				time.Sleep(time.Second)
				p := newProcess(t, home, test.instance, worker.Options{}, nil)
				time.Sleep(20 * time.Second)
				got := p.seen()
				if len(got) != 5 {
					t.Fatalf("handled %d pieces of work, want 5", len(got))
				}
				for _, d := range got {
					if late := d.at - test.want; late < 0 || late > 4*time.Second { // a sign of life every 3 s
						t.Errorf("taken over after %s, want after about %s, long before the lease ends", d.at, test.want)
					}
				}
			})
		})
	}
}

func TestWorkOfALivingProcessIsLeftToIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		home := book.NewMemory()
		slow := newProcess(t, home, "a", worker.Options{}, func(p *process, _ context.Context, d due.Due) error {
			time.Sleep(29 * time.Second)
			return p.end(d.ID)
		})
		other := newProcess(t, home, "b", worker.Options{}, nil)
		slow.put(5, now)
		time.Sleep(time.Minute)
		slow.want(0, 0, 0, 0, 0)
		other.want()
	})
}

// A process that was silent, held nothing, and speaks again may lease work and
// then die for good.
func TestAProcessThatDiesTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		home := book.NewMemory()
		p := newProcess(t, home, "a", worker.Options{}, nil)
		other, err := home.Enter(t.Context(), "b", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // silent
		for range 3 {
			if _, err := home.Beat(t.Context(), other, time.Now(), time.Now().Add(-time.Hour)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * time.Second)
		}
		p.put(1, func(pg *book.Page) due.Due {
			return due.Due{ID: pg.Mint(), Kind: due.Watch, DueUS: pg.Now().Add(time.Hour).UnixMicro(), Owner: other}
		})
		time.Sleep(5 * time.Second)
		p.want()
		time.Sleep(time.Minute) // silent for good
		if n := len(p.seen()); n != 1 {
			t.Errorf("took over %d pieces of the dead process, want 1", n)
		}
	})
}

func TestTwoProcessesNeverDoOnePieceAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		home := book.NewMemory()
		var mu sync.Mutex
		under, times := map[id.Raw]int{}, map[id.Raw]int{}
		handle := func(p *process, _ context.Context, d due.Due) error {
			mu.Lock()
			under[d.ID]++
			times[d.ID]++
			if under[d.ID] > 1 {
				t.Errorf("%d handlers of one piece at once", under[d.ID])
			}
			first := times[d.ID] == 1
			mu.Unlock()
			time.Sleep(time.Duration(1+d.ID[15]%20) * time.Second)
			mu.Lock()
			under[d.ID]--
			mu.Unlock()
			if first && d.ID[15]%3 == 0 {
				return errors.New("comes again")
			}
			return p.end(d.ID)
		}
		a, b := newProcess(t, home, "a", worker.Options{}, handle), newProcess(t, home, "b", worker.Options{}, handle)
		ids := a.put(100, later(due.Watch, time.Second))
		ids = append(ids, b.put(100, now)...)
		time.Sleep(time.Hour)
		mu.Lock()
		defer mu.Unlock()
		for _, k := range ids {
			want := 1
			if k[15]%3 == 0 {
				want = 2
			}
			if times[k] != want {
				t.Errorf("piece was done %d times, want %d", times[k], want)
			}
		}
		if left := a.left(); len(left) != 0 {
			t.Errorf("%d rows are left", len(left))
		}
		if len(a.seen()) == 0 || len(b.seen()) == 0 {
			t.Errorf("processes did %d and %d pieces, want both to work", len(a.seen()), len(b.seen()))
		}
	})
}

func TestAFullPoolDropsAndTheLeaseBringsItBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newProcess(t, book.NewMemory(), "a", worker.Options{Pool: 1, Waiting: 1}, func(p *process, _ context.Context, d due.Due) error {
			time.Sleep(time.Second)
			return p.end(d.ID)
		})
		p.put(1, now) // under way
		synctest.Wait()
		p.put(4, now) // one waits
		time.Sleep(29 * time.Second)
		p.want(0, time.Second)
		p.counted("aorta_due_dropped_total", 3)
		time.Sleep(5 * time.Minute)
		if n := len(p.seen()); n != 5 {
			t.Errorf("handled %d pieces, want 5", n)
		}
		if left := p.left(); len(left) != 0 {
			t.Errorf("left is %v, want nothing", left)
		}
	})
}

// Behind is a process of which much more is wanted than it can do, until it has
// done most of it.
func TestBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newProcess(t, book.NewMemory(), "a", worker.Options{Pool: 1}, func(p *process, _ context.Context, d due.Due) error {
			time.Sleep(time.Second)
			return p.end(d.ID)
		})
		p.put(5, now)
		synctest.Wait()
		if p.worker.Behind(due.Watch) {
			t.Error("behind with one piece under way and four that wait")
		}
		p.put(2, now)
		if !p.worker.Behind(due.Deliver, due.Watch) || p.worker.Behind(due.Deliver) || p.worker.Behind("unheard of") {
			t.Error("with six that wait it is not behind, or another kind is")
		}
		deliver := func(pg *book.Page) due.Due { return due.Now(pg.Mint(), due.Deliver, pg.NowUS(), pg.Epoch(), nil) }
		if p.put(15, deliver); p.worker.Behind(due.Deliver) {
			t.Error("behind with fifteen pieces of a kind of which three are done at once")
		}
		if p.put(1, deliver); !p.worker.Behind(due.Deliver) {
			t.Error("not behind with sixteen")
		}
		time.Sleep(2500 * time.Millisecond)
		if p.worker.Behind(due.Watch) {
			t.Error("behind when three of seven wait")
		}
	})
}

// Slow work of a kind that is served widely leaves room, up to its bound.
func TestAWidePoolGrowsAndShrinks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newProcess(t, book.NewMemory(), "a", worker.Options{Pool: 1}, func(p *process, _ context.Context, d due.Due) error {
			time.Sleep(10 * time.Second)
			return p.end(d.ID)
		})
		deliver := func(pg *book.Page) due.Due { return due.Now(pg.Mint(), due.Deliver, pg.NowUS(), pg.Epoch(), nil) }
		p.put(5, deliver)
		time.Sleep(25 * time.Second)
		p.want(0, 0, 0, 10*time.Second, 10*time.Second)
		p.put(2, deliver) // those that came have gone, and come again
		time.Sleep(15 * time.Second)
		p.want(0, 0, 0, 10*time.Second, 10*time.Second, 25*time.Second, 25*time.Second)
		if left := p.left(); len(left) != 0 {
			t.Errorf("left is %v, want nothing", left)
		}
	})
}

// What waits in the pool until its lease ends may be another's by then.
func TestWorkIsNotBegunAfterItsLease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var calls atomic.Int64
		p := newProcess(t, book.NewMemory(), "a", worker.Options{Pool: 1}, func(p *process, _ context.Context, d due.Due) error {
			if calls.Add(1) == 1 {
				time.Sleep(40 * time.Second)
			}
			return p.end(d.ID)
		})
		p.put(1, now)
		synctest.Wait()
		second := p.put(1, now)[0]
		time.Sleep(2 * time.Minute)
		var carried []any
		for _, d := range p.seen() {
			if d.due.ID == second {
				carried = append(carried, d.due.Carry)
			}
		}
		if fmt.Sprint(carried) != "[watch]" {
			t.Errorf("the piece that waited was begun with %v, want once, as claimed anew", carried)
		}
	})
}

func TestAskLaterIsStoredAsAskWhenClaimed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var stored []due.Due
		p := newProcess(t, book.NewMemory(), "a", worker.Options{}, func(p *process, _ context.Context, d due.Due) error {
			stored = p.left()
			return p.end(d.ID)
		})
		p.put(1, later(due.AskLater, time.Second))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		got := p.seen()
		if len(got) != 1 || got[0].due.Kind != due.Ask || got[0].due.Carry != due.AskLater {
			t.Errorf("handled %+v, want an ask that carries ask_later", got)
		}
		if len(stored) != 1 || stored[0].Kind != due.Ask || stored[0].Owner != p.epoch || stored[0].Tries != 1 {
			t.Errorf("stored while handled: %+v, want an ask leased to process %d", stored, p.epoch)
		}
	})
}

func TestWhatFailsComesAgainWhenItsLeaseEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var calls atomic.Int64
		p := newProcess(t, book.NewMemory(), "a", worker.Options{}, func(p *process, _ context.Context, d due.Due) error {
			if calls.Add(1) < 3 {
				return errors.New("not yet")
			}
			return p.end(d.ID)
		})
		p.put(1, now)
		time.Sleep(5 * time.Minute)
		p.want(0, 30*time.Second, 60*time.Second)
		p.counted("aorta_due_failed_total", 2)
		p.counted("aorta_due_done_total", 1)
	})
}

func TestWaitLetsWorkUnderWayFinish(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var ended error
		var finished atomic.Bool
		p := newProcess(t, book.NewMemory(), "a", worker.Options{}, func(p *process, ctx context.Context, d due.Due) error {
			time.Sleep(5 * time.Second)
			ended = ctx.Err()
			finished.Store(true)
			return p.end(d.ID)
		})
		p.put(1, now)
		synctest.Wait()
		p.stop()

		hurry, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		p.worker.Wait(hurry)
		if at := time.Since(start); at != time.Second || finished.Load() {
			t.Errorf("Wait() of 1 s returned after %s with the work finished: %t", at, finished.Load())
		}
		p.worker.Wait(context.Background())
		if at := time.Since(start); at != 5*time.Second || !finished.Load() || ended != nil {
			t.Errorf("Wait() returned after %s, work finished: %t, its context: %v; want 5s, finished, alive", at, finished.Load(), ended)
		}
		if left := p.left(); len(left) != 0 {
			t.Errorf("left is %v, want nothing", left)
		}
		p.put(1, now)
		time.Sleep(time.Minute)
		p.want(0)
	})
}

func TestWorkOfAKindThatNobodyServesIsDropped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newProcess(t, book.NewMemory(), "a", worker.Options{}, nil)
		p.put(1, func(pg *book.Page) due.Due { return due.Now(pg.Mint(), due.Notice, pg.NowUS(), pg.Epoch(), nil) })
		time.Sleep(time.Second)
		p.want()
		p.counted("aorta_due_dropped_total", 1)
	})
}
