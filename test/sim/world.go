// Package sim runs the real flows, callbacks and inbox over the book in memory
// with a virtual clock, a provider and a merchant made of draws, and every
// fault that a seed has drawn (torture.md 2.4, layer A). One goroutine drives
// it, so a seed gives the same history each time; what is concurrent in life
// happens here while a call is under way: the provider's stand-in lets other
// things happen before it answers.
//
// It decides nothing about payments. What must be true in the end is said by
// the provider's own journal (check.go) and by package verify. Its known
// weakness: each act is a batch of its own; batches of several acts are tested
// by package book and by the kills.
package sim

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"aorta/internal/book"
	"aorta/internal/callback"
	"aorta/internal/connector"
	"aorta/internal/due"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/inbox"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/sign"
	"aorta/internal/worker"
	"aorta/test/model/witness"
)

const (
	limitTime = 30 * time.Minute
	quietFrom = 3 * time.Hour // then nothing goes wrong any more
	maxSteps  = 20_000        // of a run: more means that it does not end
	maxNested = 3             // calls under way at once
)

// world is one run.
type world struct {
	plan  Plan
	begun time.Time
	nowUS atomic.Int64 // a lane reads it too
	steps int
	seq   int

	agenda  agenda
	store   homes
	process *process
	epochs  int64
	commits int  // so far, for draws
	lost    bool // the answer to a COMMIT was lost just now
	nested  int

	psp      *psp
	merchant *merchant
	witness  *witness.Witness // for the independent model
	project  project.Project
	names    map[id.Payment]string // the merchant's
	injected map[Fault]int
	broken   []string // what was found wrong on the way
}

// process is one life of the platform.
type process struct {
	epoch     int64
	dead      bool
	book      *book.Book
	flows     *flow.Flows
	callbacks *callback.Callbacks
	notices   *inbox.Inbox
	public    http.Handler
}

// crashed unwinds the work of a process that has died.
type crashed struct{}

// entry is something that will happen.
type entry struct {
	at  time.Time
	tie float64
	seq int
	do  func()
}

type agenda []entry

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return cmp.Or(a[i].at.Compare(a[j].at), cmp.Compare(a[i].tie, a[j].tie), cmp.Compare(a[i].seq, a[j].seq)) < 0
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(entry)) }
func (a *agenda) Pop() any {
	last := len(*a) - 1
	x := (*a)[last]
	*a = (*a)[:last]
	return x
}

func (w *world) clock() time.Time  { return time.UnixMicro(w.nowUS.Load()).UTC() }
func (w *world) set(now time.Time) { w.nowUS.Store(now.UnixMicro()) }

// later has something happen after d.
func (w *world) later(d time.Duration, name string, do func()) {
	w.seq++
	heap.Push(&w.agenda, entry{at: w.clock().Add(d), tie: draw(w.plan.Seed, "tie", name), seq: w.seq, do: do})
}

// chance draws whether a fault occurs, and counts it.
func (w *world) chance(f Fault, about ...any) bool {
	if w.clock().Sub(w.begun) >= quietFrom {
		return false
	}
	rate := w.plan.rate(f)
	if rate == 0 || draw(w.plan.Seed, string(f), about...) >= rate {
		return false
	}
	w.injected[f]++
	return true
}

// span draws a duration up to most; short ones are more frequent.
func (w *world) span(most time.Duration, about ...any) time.Duration {
	x := draw(w.plan.Seed, "span", about...)
	return time.Duration(x * x * x * float64(most))
}

func newWorld(p Plan) *world {
	begun := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	w := &world{
		plan: p, begun: begun, names: map[id.Payment]string{}, injected: map[Fault]int{},
		project: project.Project{
			ID: 200, MerchantID: 1, Secret: sign.NewSecret("sim"), LimitTime: limitTime, RetryTime: 10 * time.Minute,
			CallbackURL: "https://shop.example/callback", Wallet: draw(p.Seed, "wallet") < 0.4,
			LateSuccess: []project.LateRule{project.LateHold, project.LateCredit, project.LateRefund}[int(draw(p.Seed, "late rule")*3)],
			Methods:     []project.Method{{Code: "paytm-wallet", Name: "Paytm Wallet", Connector: "sim", Account: "one", Currency: "INR"}},
		},
	}
	w.set(begun)
	w.psp, w.merchant = newPSP(w), newMerchant(w)
	w.witness = witness.New(w.project, w.psp, w.clock)
	w.store = newHomes(1+int(draw(p.Seed, "homes")*2), w.fail)
	return w
}

// fail is asked by the store at each step of a batch.
func (w *world) fail(s book.Step) book.Fault {
	if w.process.dead {
		return book.FaultAway
	}
	if w.lost { // the book asks at once what became of it, and waits in real time while it gets no answer
		w.lost = false
		return book.FaultNone
	}
	w.commits++
	switch {
	case w.chance(Conflict, w.commits):
		return book.FaultConflict
	case w.chance(Away, w.commits):
		return book.FaultAway
	case s != book.StepCommit:
		return book.FaultNone
	case w.chance(CrashBeforeCommit, w.commits):
		w.process.dead = true
		return book.FaultAway
	case w.chance(CrashAfterCommit, w.commits):
		w.process.dead = true // the rows are written, and nobody hears of it
	case w.chance(LostDone, w.commits):
		w.lost = true
		return book.FaultLostDone
	case w.chance(LostDead, w.commits):
		w.lost = true
		return book.FaultLostDead
	}
	return book.FaultNone
}

// start begins a life of the platform on the store as it is.
func (w *world) start() {
	w.epochs++
	p := &process{epoch: w.epochs}
	w.process = p
	seed := [32]byte{byte(w.plan.Seed), byte(w.plan.Seed >> 8), byte(w.plan.Seed >> 16), byte(w.plan.Seed >> 24), byte(w.epochs), byte(w.epochs >> 8)}
	var err error
	p.book, err = book.New(context.Background(), w.witness.Homes(w.store.open(), w.store), book.Options{
		Buckets: buckets,
		Now:     w.clock, Random: random{rand.NewChaCha8(seed)}, Epoch: p.epoch,
		Work: func(rows []due.Due) {
			for _, d := range rows {
				name := fmt.Sprintf("%x", d.ID)
				w.later(w.span(100*time.Millisecond, "pick up", name, d.Tries), name, func() { w.work(p, d) })
			}
		},
	})
	if err != nil {
		panic(err) // nothing fails that was not told to
	}
	projects := func(n int64) (project.Project, bool) { return w.project, n == w.project.ID }
	connectors := func(name, _ string) (connector.Connector, bool) { return w.witness.Provider(), name == "sim" }
	p.flows = flow.New(p.book, w.store, flow.Options{
		Projects: projects, Connectors: connectors, Now: w.clock, NotifyURL: func(string, string) string { return "https://pay.example/n/sim/one" },
	})
	p.callbacks = callback.New(p.book, w.store, callback.Options{
		Styles: map[string]callback.Style{
			"gate": {Render: w.merchant.render, Delivered: callback.Status200}, "page": {Render: w.merchant.render, Delivered: callback.Status200},
		},
		Projects: projects, Sender: w.merchant, Now: w.clock,
	})
	p.notices = inbox.New(p.book, w.store, inbox.Options{
		Flows: p.flows, Connectors: connectors, ReturnURL: func(id.Payment) string { return "/" },
	})
	mux := http.NewServeMux()
	mux.Handle("/n/{connector}/{account}", p.notices)
	p.public = mux
	w.later(0, "sweep", func() { w.sweep(p) })
}

type random struct{ src *rand.ChaCha8 }

func (r random) Read(b []byte) (int, error) { return r.src.Read(b) }

// crash ends this life at this point, if the seed says so.
func (w *world) crash(f Fault, about ...any) {
	if w.process.dead || w.chance(f, about...) {
		w.process.dead = true
		panic(crashed{})
	}
}

// work does one piece of due work, as package worker would.
func (w *world) work(p *process, d due.Due) {
	if p.dead || w.clock().UnixMicro() >= d.DueUS {
		return
	}
	switch d.Kind {
	case due.Ask, due.AskLater, due.Watch:
		w.bear(p.flows.Handle(context.Background(), d))
	case due.Deliver:
		w.bear(p.callbacks.Handle(context.Background(), d))
	case due.Notice:
		w.bear(p.notices.Handle(context.Background(), d))
	}
}

// bear takes an error of the platform: only those of a store that failed may come.
func (w *world) bear(err error) {
	if w.process.dead {
		panic(crashed{})
	}
	if err != nil && !errors.Is(err, book.ErrNotRun) && !errors.Is(err, book.ErrUnknown) {
		w.broken = append(w.broken, fmt.Sprintf("at %s: %v", w.clock().Sub(w.begun), err))
	}
}

// sweep claims what is overdue, and comes again when something else will be.
func (w *world) sweep(p *process) {
	if p.dead {
		return
	}
	dead := make([]int64, 0, p.epoch)
	for e := int64(1); e < p.epoch; e++ {
		dead = append(dead, e) // whoever holds the data directory knows that they are
	}
	rows, err := w.store.Overdue(context.Background(), w.clock().UnixMicro(), dead, 100)
	if err != nil {
		panic(err)
	}
	for _, d := range rows {
		_, err := worker.Claim(context.Background(), p.book, d)
		w.bear(err)
	}
	w.later(w.untilDue(), "sweep", func() { w.sweep(p) })
}

// untilDue is how long nothing will be due: a clock that nobody watches need
// not tick.
func (w *world) untilDue() time.Duration {
	rows, err := w.store.ScanDue(context.Background(), id.Raw{}, 10_000)
	if err != nil {
		panic(err)
	}
	if len(rows) == 0 {
		return 10 * time.Second
	}
	next := slices.MinFunc(rows, func(a, b due.Due) int { return cmp.Compare(a.DueUS, b.DueUS) })
	return min(10*time.Second, max(200*time.Millisecond, time.UnixMicro(next.DueUS).Sub(w.clock())))
}

// next lets the next thing happen; false if nothing is left.
func (w *world) next() bool {
	if len(w.agenda) == 0 {
		return false
	}
	w.steps++
	e := heap.Pop(&w.agenda).(entry)
	if e.at.After(w.clock()) {
		w.set(e.at)
	}
	e.do()
	return true
}

// while lets up to n things happen that are due within d: a call is under way.
func (w *world) while(d time.Duration, n int) {
	if w.nested >= maxNested {
		return
	}
	w.nested++
	defer func() { w.nested-- }()
	for until := w.clock().Add(d); n > 0 && len(w.agenda) > 0 && !w.agenda[0].at.After(until); n-- {
		w.next()
		if w.process.dead {
			panic(crashed{})
		}
	}
}

// step is next at the top, where a life may end and another begins.
func (w *world) step() (more bool) {
	defer func() {
		r := recover()
		if _, ok := r.(crashed); r != nil && !ok {
			w.broken = append(w.broken, fmt.Sprintf("panic: %v\n%s", r, debug.Stack()))
			more = false
			return
		}
		w.nested = 0
		if w.process.dead {
			w.restart()
			more = true
		}
	}()
	if w.chance(CrashIdle, w.steps, w.epochs) {
		w.process.dead = true
		return true
	}
	return w.next()
}

// restart begins the next life after a moment.
func (w *world) restart() {
	w.process.book.Close()
	w.set(w.clock().Add(w.span(20*time.Second, "down", w.epochs)))
	w.witness.Restarted()
	w.start()
}

// idle reports that nothing is due and nobody has anything to do but to sweep.
func (w *world) idle() bool {
	rows, err := w.store.ScanDue(context.Background(), id.Raw{}, 1)
	return err == nil && len(rows) == 0 && len(w.agenda) <= 1
}

// Result is what a run has shown.
type Result struct {
	Broken   []string // what must not be; empty: all is well
	Injected map[Fault]int
	Moves    map[[2]payment.Status]int // moves of payments seen
	History  string                    // of all payments: equal for equal plans
	Captured int
	Late     int
	Model    []string       // of Broken, what the independent model says
	Made     map[string]int // its moves that were made
}

// Run runs a plan to its end.
func Run(p Plan) Result {
	w := newWorld(p)
	w.start()
	defer func() { w.process.book.Close() }()
	for _, n := range p.Payments {
		w.client(n)
	}
	for w.steps < maxSteps && !(w.clock().Sub(w.begun) > quietFrom && w.idle()) {
		if !w.step() {
			break
		}
	}
	if w.steps >= maxSteps {
		w.broken = append(w.broken, fmt.Sprintf("does not come to rest: %d steps, now %s", w.steps, w.clock().Sub(w.begun)))
	}
	return w.judge()
}
