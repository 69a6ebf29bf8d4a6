package sim

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"aorta/internal/book"
	"aorta/internal/callback"
	"aorta/internal/connector"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/inbox"
	"aorta/internal/project"
	"aorta/internal/risk"
	"aorta/internal/worker"
)

// silence is how long a process may say nothing before others call it dead.
const silence = 15 * time.Second

// process is one life of the platform.
type process struct {
	w     *world
	slot  int
	epoch int64
	life  string // for draws
	dead  bool
	thaw  time.Time // it stands still until then
	still time.Time // since when it stood still; zero: others have heard of it since
	tasks []*task
	lanes int

	sweepAt time.Time // zero: nothing is due

	book      *book.Book
	flows     *flow.Flows
	endpoints *callback.Endpoints
	callbacks *callback.Callbacks
	notices   *inbox.Inbox
	public    http.Handler
}

// clock is what the process believes the time to be.
func (p *process) clock() time.Time { return p.w.now.Add(p.w.ahead[p.slot]) }

// later has something happen in the process after d; gone instead, if it has
// died by then.
func (p *process) later(d time.Duration, name string, do, gone func()) {
	p.w.enter(d, name, entry{of: p, do: do, gone: gone})
}

// start begins a life of the platform on the homes as they are.
func (w *world) start(slot int) {
	w.lives++
	p := &process{w: w, slot: slot, life: fmt.Sprint(slot, "/", w.nth(fmt.Sprint("lives/", slot)))}
	w.processes[slot] = p
	var err error
	if p.epoch, err = w.store[0].Enter(context.Background(), fmt.Sprint("process ", slot), p.clock()); err != nil {
		panic(err) // memory does not fail of itself
	}
	lanes := 1
	if !w.sqlite {
		lanes += int(w.draw("lanes", slot) * 2)
	}
	seed := [32]byte{byte(w.plan.Seed), byte(w.plan.Seed >> 8), byte(w.plan.Seed >> 16), byte(w.plan.Seed >> 24), byte(p.epoch), byte(p.epoch >> 8)}
	p.book, err = book.New(context.Background(), w.store.open(p, lanes, w.sqlite), book.Options{
		Buckets: buckets, Now: p.clock, Random: random{rand.NewChaCha8(seed)}, Epoch: p.epoch, Turns: turns{p}, Pressing: 2,
		Work: func(rows []due.Due) {
			for _, d := range rows {
				p.pickUp(d)
			}
		},
	})
	if err != nil {
		panic(err)
	}
	projects := func(n int64) (project.Project, bool) { return w.project, n == w.project.ID }
	connectors := func(name, _ string) (connector.Connector, bool) { return w.witness.Provider(), name == "sim" }
	p.endpoints = w.hooks.endpoints(p.book, p.clock, random{rand.NewChaCha8(seed)})
	if err := p.endpoints.Refresh(context.Background()); err != nil {
		panic(err)
	}
	p.flows = flow.New(p.book, w.store, w.google.options(p, flow.Options{
		Endpoints: p.endpoints.Seen, Projects: projects, Connectors: connectors, Now: p.clock, Sleep: func(_ context.Context, d time.Duration) { w.pause(d) },
		NotifyURL: func(string, string) string { return "https://pay.example/n/sim/one" }, Rules: func(int64) *risk.Rules { return w.rules() },
		Verifiers: w.bureau.directory(),
	}))
	p.callbacks = callback.New(p.book, w.store, callback.Options{
		Styles: map[string]callback.Style{
			"gate": {Render: w.merchant.render, Delivered: callback.Status200}, "page": {Render: w.merchant.render, Delivered: callback.Status200},
		},
		Projects: projects, Sender: w.merchant, Now: p.clock, Endpoints: p.endpoints,
	})
	p.notices = inbox.New(p.book, w.store, inbox.Options{
		Flows: p.flows, Connectors: connectors, ReturnURL: func(id.Payment) string { return "/" }, Verifiers: w.bureau.directory(),
	})
	mux := http.NewServeMux()
	mux.Handle("/n/{connector}/{account}", p.notices)
	mux.Handle("/n/kyc/{account}", p.notices.Checks())
	p.public = mux
	p.sweepAt = w.now
}

type random struct{ src *rand.ChaCha8 }

func (r random) Read(b []byte) (int, error) { return r.src.Read(b) }

// die ends the life of a process at this point of the task that runs.
func (w *world) die(p *process) {
	w.beats()
	p.dead = true
	panic(crashed{})
}

// crash dies here, if the seed says so.
func (w *world) crash(f Fault, about ...any) {
	if w.chance(f, about...) {
		w.points[string(f)]++
		w.die(w.current.of)
	}
}

// freeze has a process stand still, if the seed says so: long enough to be
// called dead, or not. One that has just stood still works for a while.
func (w *world) freeze(p *process, about string) {
	if w.now.Sub(p.thaw) < 3*time.Minute || !w.chance(Frozen, about) {
		return
	}
	w.beats()
	p.thaw = w.now.Add(time.Duration(w.draw("still", about) * float64(2*time.Minute)))
	p.still = w.now
	if p.thaw.Sub(p.still) >= silence {
		w.witness.Restarted() // to the others it is dead
	}
}

// bury ends what a dead process was at, and begins its next life after a moment.
func (w *world) bury(p *process) {
	if p.tasks == nil {
		return // its next life has not begun yet
	}
	tasks := p.tasks
	p.tasks = nil
	for _, t := range tasks {
		t.stop()
		if t.gone != nil {
			t.gone()
		}
	}
	w.witness.Restarted()
	w.later(w.span(40*time.Second, "down", p.life), "start/"+p.life, func() { w.start(p.slot) })
}

// beats has all processes that can say that they live. They do it all the
// time; it matters only when somebody asks, or when one falls silent.
func (w *world) beats() {
	for _, p := range w.processes {
		if p != nil && !p.dead && !w.now.Before(p.thaw) {
			if _, err := w.store[0].Beat(context.Background(), p.epoch, p.clock(), p.clock().Add(-silence)); err != nil {
				panic(err)
			}
		}
	}
}

// sweep claims what is overdue or was a dead one's, as package worker does, and
// comes again when something else will be.
func (p *process) sweep() {
	w := p.w
	if w.now.Before(p.thaw) {
		p.sweepAt = p.thaw
		return
	}
	w.beats()
	dead, err := w.store[0].Beat(context.Background(), p.epoch, p.clock(), p.clock().Add(-silence))
	if err != nil {
		panic(err)
	}
	if !p.still.IsZero() && p.thaw.Sub(p.still) >= silence {
		dead = nil // who could not speak for so long itself must not call others dead
	}
	p.still = time.Time{}
	if err := p.endpoints.Refresh(context.Background()); err != nil {
		panic(err)
	}
	rows, err := w.store.Overdue(context.Background(), p.clock().UnixMicro(), dead, 100)
	if err != nil {
		panic(err)
	}
	for _, d := range rows {
		name := "claim/" + w.label(d)
		name = fmt.Sprint(name, "/", w.nth(name))
		p.later(0, name, func() {
			w.spawn(p, name, func() {
				_, err := worker.Claim(context.Background(), p.book, d)
				w.bear(err)
			}, nil)
		}, nil)
	}
	p.plan(len(rows) > 0)
}

// plan sets the next sweep. A clock that nobody watches need not tick: nothing
// is written before the agenda's next entry, so until then only what is due
// already can become overdue.
func (p *process) plan(found bool) {
	w := p.w
	rows, err := w.store.ScanDue(context.Background(), id.Raw{}, 10_000)
	if err != nil {
		panic(err)
	}
	p.sweepAt = time.Time{}
	if len(rows) > 0 {
		least := slices.MinFunc(rows, func(a, b due.Due) int { return cmp.Compare(a.DueUS, b.DueUS) })
		p.sweepAt = time.UnixMicro(least.DueUS).UTC().Add(-w.ahead[p.slot])
	}
	if len(w.agenda) > 0 && (p.sweepAt.IsZero() || w.agenda[0].at.Before(p.sweepAt)) {
		p.sweepAt = w.agenda[0].at.Add(200 * time.Millisecond)
	}
	soonest := w.now.Add(200 * time.Millisecond)
	if found { // it may be under way, or the home away
		soonest = w.now.Add(time.Second)
	}
	if !p.sweepAt.IsZero() && p.sweepAt.Before(soonest) {
		p.sweepAt = soonest
	}
}

// pickUp has work that was leased to the process done soon.
func (p *process) pickUp(d due.Due) {
	w := p.w
	name := fmt.Sprint(w.label(d), "/", d.Kind, "/", d.Tries)
	name = fmt.Sprint(name, "/", w.nth(name))
	p.later(w.span(100*time.Millisecond, "pick up", name), name, func() {
		if w.chance(CrashBeforeWork, name) {
			w.points[string(CrashBeforeWork)]++
			w.beats()
			p.dead = true
			return
		}
		w.spawn(p, name, func() { p.work(d) }, nil)
	}, nil)
}

// work does one piece of due work, as package worker would.
func (p *process) work(d due.Due) {
	if p.clock().UnixMicro() >= d.DueUS {
		return
	}
	var err error
	switch d.Kind {
	case due.Ask, due.AskLater, due.Watch, due.Payout, due.Check, due.Link, due.Float, due.Tell, due.Purchase, due.Code, due.Statement:
		err = p.flows.Handle(context.Background(), d)
	case due.Deliver:
		err = p.callbacks.Handle(context.Background(), d)
	case due.Notice:
		err = p.notices.Handle(context.Background(), d)
	}
	p.w.bear(err)
}

// bear takes an error of the platform: only those of a store that failed, or is slow, may come.
func (w *world) bear(err error) {
	if err != nil && !unheard(err) {
		w.wrong("at %s: %v", w.now.Sub(w.begun), err)
	}
}

// unheard reports whether an error says that the answer is not known, or that
// nothing happened.
func unheard(err error) bool {
	return errors.Is(err, book.ErrNotRun) || errors.Is(err, book.ErrUnknown) || errors.Is(err, book.ErrBusy)
}

// request is one from outside: serve runs in one of the processes; gone is
// called instead if that one does not live, or dies before serve has ended.
func (w *world) request(name string, serve func(*process), gone func()) {
	p := w.processes[int(w.draw("door", name)*float64(len(w.processes)))]
	if p.dead {
		gone()
		return
	}
	p.later(0, name, func() { w.spawn(p, name, func() { serve(p) }, gone) }, gone)
}

// label names what a due row is about, by the payment that it belongs to.
func (w *world) label(d due.Due) string {
	if name, ok := w.labels[d.ID]; ok {
		return name
	}
	ctx, name := context.Background(), "?"
	switch d.Kind {
	case due.Ask, due.AskLater, due.Watch:
		if a, ok, err := w.store.Attempt(ctx, id.Attempt(d.ID)); ok && err == nil {
			name = fmt.Sprint(w.nameOf(a.Payment), "/", a.Kind)
		}
	case due.Payout:
		name = fmt.Sprint(w.nameOf(id.Payment(d.ID)), "/goes on")
	case due.Check, due.Link: // of customers, who have no name here
	case due.Float: // of a merchant or a PSP account
	case due.Purchase:
		if c, ok, err := w.store.Call(ctx, id.Call(d.ID)); ok && err == nil {
			name = c.RequestID + "/waits"
		}
	case due.Tell:
		if t, ok, err := w.store.Told(ctx, id.Told(d.ID)); ok && err == nil {
			if c, ok, err := w.store.Call(ctx, id.Call(t.Subject)); ok && err == nil {
				name = c.RequestID + "/" + t.Method
			}
		}
	case due.Code, due.Statement: // of Google's: nobody asks for codes or tells statements here
	case due.Deliver:
		if x, ok, err := w.store.Delivery(ctx, id.Delivery(d.ID)); ok && err == nil {
			switch {
			case x.Payment.IsZero():
				name = "endpoint/told"
			case x.Door == event.DoorWebhook:
				name = fmt.Sprint(w.nameOf(x.Payment), "/hooked")
			default:
				name = fmt.Sprint(w.nameOf(x.Payment), "/told")
			}
		}
	case due.Notice:
		var n news
		if x, ok, err := w.store.Inbox(ctx, id.Inbox(d.ID)); ok && err == nil && json.Unmarshal([]byte(x.Body), &n) == nil {
			name = fmt.Sprint("news of ", n.Name)
		}
	}
	name = fmt.Sprint(name, "/", w.nth("label/"+name))
	w.labels[d.ID] = name
	return name
}

// orderName is the simulator's name of a payment, made of the merchant's.
func orderName(merchants string) string { return project.FoldPaymentID(merchants)[len("order-"):] }
