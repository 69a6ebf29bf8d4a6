package sim

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"slices"
	"time"

	"aorta/internal/book"
	"aorta/internal/id"
)

// task is work of a process that runs until it has to wait; then another may.
// Each is a coroutine, so exactly one runs at any moment, and who goes on next
// is the agenda's to say: by time, and by a draw where times are equal.
type task struct {
	name  string // made of the things it is about: draws hang on it
	of    *process
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
	gone  func()      // called if its process dies under it; nil: nobody waits for it
	ready func() bool // what it waits for; nil: it runs, or has its place in the agenda
	turns int         // how often it has waited
	acts  int         // how many it has made

	lane  bool
	act   act  // the one that waits for its batch
	taken bool // by a lane
	died  bool // with its process
}

// act is one that waits for its batch, as faults and crash points name it.
type act struct {
	name string // "sale.begin"
	key  string // which one: the task's name and a number
	home int
}

// crashed unwinds the work of a process that has died.
type crashed struct{}

// spawn begins a task of p and runs it until it waits. It belongs to the
// driver: a task that wants another to begin puts it into the agenda.
func (w *world) spawn(p *process, name string, do, gone func()) *task {
	t := &task{name: name, of: p, gone: gone}
	t.next, t.stop = iter.Pull(func(yield func(struct{}) bool) {
		t.yield = yield
		defer func() {
			switch r := recover().(type) {
			case nil:
			case crashed:
				t.died = true
			default: // an assertion of the platform: in life it stops the process
				w.stopped = true
				w.wrong("panic in %s: %v\n%s", t.name, r, debug.Stack())
			}
		}()
		do()
	})
	p.tasks = append(p.tasks, t)
	w.resume(t)
	return t
}

// resume has a task go on until it waits again.
func (w *world) resume(t *task) {
	w.current = t
	_, more := t.next()
	w.current = nil
	if !more && !t.died {
		t.of.tasks = slices.DeleteFunc(t.of.tasks, func(x *task) bool { return x == t })
	}
}

// yielded gives the turn back; it returns when the task goes on.
func (t *task) yielded() {
	t.turns++
	if !t.yield(struct{}{}) {
		panic(crashed{})
	}
}

// wake has a task go on after d.
func (w *world) wake(t *task, d time.Duration) {
	t.of.later(d, fmt.Sprint("turn/", t.name, "/", t.turns), func() { w.resume(t) }, nil)
}

// pause lets d go by for the task that runs: a call is under way, or a database works.
func (w *world) pause(d time.Duration) {
	t := w.current
	w.wake(t, d)
	t.yielded()
}

// settle buries who has died, and wakes the tasks that need not wait any more.
func (w *world) settle() {
	for _, p := range w.processes {
		if p.dead {
			w.bury(p)
			continue
		}
		for _, t := range p.tasks {
			if t.ready == nil || !t.ready() {
				continue
			}
			t.ready = nil
			most := 2 * time.Millisecond
			if t.lane {
				most = w.latency // acts gather while a lane is slow to take them
			}
			w.wake(t, w.span(most, "turn", t.name, t.turns))
		}
	}
}

// turns is how a process' book waits.
type turns struct{ p *process }

// Lane begins a lane of the book.
func (x turns) Lane(run func()) {
	p := x.p
	p.lanes++
	p.w.spawn(p, fmt.Sprint("lane/", p.lanes), run, nil).lane = true
}

// Idle waits for acts.
func (x turns) Idle(ready func() bool) {
	t := x.p.w.current
	t.ready = ready
	t.yielded()
}

// Await waits for a batch.
func (x turns) Await(name string, b id.Bucket, ready func() bool) {
	t := x.p.w.current
	t.acts++
	t.act, t.taken = act{name, fmt.Sprint(t.name, "/", name, "/", t.acts), x.p.w.store.place(b)}, false
	t.ready = ready
	t.yielded()
	t.act = act{}
}

// Sleep lets time go by.
func (x turns) Sleep(d time.Duration) { x.p.w.pause(d) }

var errAway = errors.New("the home is away")

// door is the way of one process to one home, which may fail.
type door struct {
	book.Store
	p    *process
	home int
}

func (d door) Lane(ctx context.Context) (book.Lane, error) {
	inner, err := d.Store.Lane(ctx)
	return &lane{Lane: inner, w: d.p.w, p: d.p, home: d.home}, err
}

// lane is a committer whose home fails as the seed says.
type lane struct {
	book.Lane
	w    *world
	p    *process
	home int

	batch id.Batch
	run   int
	acts  []act
}

// maxCursed is of how many acts of a batch faults are drawn: a batch of many would
// never be written, and whoever is behind would get ever further behind.
const maxCursed = 8

// gather finds out whose acts are in the batch that begins.
func (l *lane) gather(batch id.Batch) {
	l.run++
	if batch == l.batch {
		return
	}
	l.batch = batch
	var acts []act
	for _, t := range l.p.tasks {
		if t.act.name != "" && t.act.home == l.home && !t.taken {
			t.taken = true
			acts = append(acts, t.act)
		}
	}
	if len(acts) == 0 {
		return // the same acts under another name, or half of them: it goes on to count, or the same draws came again and again
	}
	l.acts, l.run = acts[:min(len(acts), maxCursed)], 1
	l.w.batches++
	if len(acts) > 1 {
		l.w.shared++
	}
}

// chance draws a fault of the store for each act of the batch, by its name and
// not by the batch's place in the run: an act keeps its faults when others are
// left out of the plan.
func (l *lane) chance(f Fault, step string) bool {
	if !l.will(f, step) {
		return false
	}
	l.w.injected[f]++
	return true
}

func (l *lane) will(f Fault, step string) bool {
	return slices.ContainsFunc(l.acts, func(a act) bool { return l.w.will(f, step, a.key, l.run) })
}

func (l *lane) Begin(ctx context.Context, batch, forget id.Batch, want *book.Keys) (*book.Found, error) {
	l.gather(batch)
	l.w.pause(l.w.span(l.w.latency/4, "begins", l.key()))
	switch {
	case l.w.clock().Before(l.w.away[l.home]):
		return nil, errAway
	case l.chance(Conflict, "begin"):
		return nil, book.ErrConflict
	case l.chance(Away, "begin"):
		return nil, errAway
	}
	return l.Lane.Begin(ctx, batch, forget, want)
}

func (l *lane) Load(ctx context.Context, want *book.Keys) (*book.Found, error) {
	if l.chance(Conflict, "load") {
		l.Abort(ctx)
		return nil, book.ErrConflict
	}
	return l.Lane.Load(ctx, want)
}

func (l *lane) Commit(ctx context.Context, c *book.Changes) error {
	w := l.w
	for _, a := range l.acts {
		w.freeze(l.p, fmt.Sprint("commit/", a.key, "/", l.run))
	}
	w.pause(w.span(w.latency, "commits", l.key()))
	if w.clock().Before(w.away[l.home]) {
		l.Abort(ctx)
		return errAway
	}
	switch {
	case l.chance(Conflict, "commit"):
		l.Abort(ctx)
		return book.ErrConflict
	case l.chance(Away, "commit"):
		l.Abort(ctx)
		return errAway
	case l.chance(CrashBeforeCommit, "commit"):
		l.cover("before commit of ")
		w.die(l.p)
	case l.chance(LostDead, "commit"):
		l.Abort(ctx)
		return book.ErrLost
	}
	if l.will(LostLong, "commit") && w.draw("written", l.key()) < 0.5 {
		w.injected[LostLong]++
		l.Abort(ctx)
		w.takeAway(l.home, l.key())
		return book.ErrLost
	}
	if err := l.Lane.Commit(ctx, c); err != nil {
		return err
	}
	switch {
	case l.chance(CrashAfterCommit, "commit"):
		l.cover("after commit of ")
		w.die(l.p) // the rows are written, and nobody hears of it
	case l.chance(LostLong, "commit"):
		w.takeAway(l.home, l.key())
		return book.ErrLost
	case l.chance(LostDone, "commit"):
		return book.ErrLost
	}
	return nil
}

// key names the batch by its first act.
func (l *lane) key() string {
	if len(l.acts) == 0 {
		return ""
	}
	return fmt.Sprint(l.acts[0].key, "/", l.run)
}

func (l *lane) cover(point string) {
	for _, a := range l.acts {
		l.w.points[point+a.name]++
	}
}

// takeAway has a home not answer for up to two minutes, longer than the book
// asks what became of a batch.
func (w *world) takeAway(home int, about string) {
	w.away[home] = w.clock().Add(2*time.Second + time.Duration(w.draw("away", about)*float64(2*time.Minute)))
}

// Point is a place where a process died, as torture.md 2.3 names them.
type Point struct {
	Name string
	At   []string // any of these
}

// Points lists the crash points of torture.md 2.3 that the simulator has. Not
// here: half-read reports, backups and migrations, which it does not run.
func Points() []Point {
	return []Point{
		{"before the idempotency row", []string{"before commit of sale.begin", "before commit of ref.reserve"}},
		{"after the row, before the effect", []string{"after commit of ref.reserve"}},
		{"inside the ledger transaction, before commit", []string{"before commit of sale.apply", "before commit of refund.apply"}},
		{"after commit, before the answer", []string{"after commit of sale.begin", "after commit of refund.begin"}},
		{"after the answer, before the outbox is polled", []string{string(CrashBeforeWork)}},
		{"operation stored, before the PSP call", []string{string(CrashBeforeCall)}},
		{"request sent", []string{string(CrashDuringCall)}},
		{"answer received, not stored", []string{string(CrashAfterCall), "before commit of sale.apply"}},
		{"notification verified, not stored", []string{"before commit of inbox.store"}},
		{"notification stored, not applied", []string{"after commit of inbox.store"}},
		{"move of a wallet, before commit", []string{"before commit of wallet.stake", "before commit of wallet.win", "before commit of wallet.rollback"}},
		{"move of a wallet, after commit, before the answer", []string{"after commit of wallet.stake", "after commit of wallet.win", "after commit of wallet.rollback"}},
		{"payout reserved, before commit", []string{"before commit of payout.begin"}},
		{"payout reserved, before the answer", []string{"after commit of payout.begin"}},
		{"payout's end, before commit", []string{"before commit of payout.apply"}},
		{"payout's end, after commit", []string{"after commit of payout.apply"}},
		{"wallet linked with Google, before commit", []string{"before commit of google.associate"}},
		{"wallet linked with Google, before the answer", []string{"after commit of google.associate"}},
		{"Google's purchase, before commit", []string{"before commit of google.capture", "before commit of google.begin"}},
		{"Google's purchase, before the answer", []string{"after commit of google.capture", "after commit of google.begin"}},
		{"end of a purchase that waited, before and after commit", []string{
			"before commit of google.confirm", "before commit of google.expire", "after commit of google.confirm", "after commit of google.expire",
		}},
		{"Google's refund, before commit", []string{"before commit of google.refund"}},
		{"Google's refund, before the answer", []string{"after commit of google.refund"}},
		{"Google has heard, not marked", []string{string(CrashAfterTell), "before commit of google.told"}},
		{"outbox row claimed", []string{"after commit of due.claim", "after commit of callback.prepare"}},
		{"callback sent, not marked", []string{string(CrashAfterCallback), "before commit of callback.result"}},
	}
}

// Visits counts how often one was died at.
func (p Point) Visits(points map[string]int) int {
	n := 0
	for at, times := range points {
		if slices.Contains(p.At, at) {
			n += times
		}
	}
	return n
}
