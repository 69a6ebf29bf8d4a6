// Package sim runs the real flows, callbacks and inbox over the book in memory
// with a virtual clock, a provider and a merchant made of draws, and every
// fault that a seed has drawn (torture.md 2.4, layer A).
//
// All that a process does at once in life is at once here, too: calls to the
// provider and the merchant, acts that wait for their batch, lanes that write
// it. Each is a coroutine (turns.go), so exactly one runs at any moment and an
// agenda ordered by time and draws says which: a seed gives the same history
// each time. In half of the seeds the homes are as SQLite is (one process, one
// lane, rows kept), in the others as PostgreSQL (one process or two with one
// lane or two each, no rows kept); a process may stand still while another
// takes its work over, and go on as a zombie.
//
// It decides nothing about payments. What must be true in the end is said by
// the provider's own journal (check.go) and by package verify. Its known
// weaknesses: a process is as fast as it likes between two waits, reads of
// committed rows take no time, and the sender's and connectors' own time-outs
// are what the stand-ins play.
package sim

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"time"

	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/sign"
	"aorta/test/model/witness"
)

const (
	limitTime = 30 * time.Minute
	quietFrom = 3 * time.Hour // then nothing new goes wrong any more; a day later in seeds that last for days
	maxSteps  = 1_500_000     // of a run: more means that it does not end
)

// world is one run.
type world struct {
	plan    Plan
	rates   map[Fault]float64
	begun   time.Time
	now     time.Time // the true one; processes have clocks of their own
	steps   int
	seq     int
	stopped bool // nothing that comes would mean anything
	quiet   bool // nothing goes wrong any more

	agenda    agenda
	current   *task // that runs
	store     homes
	sqlite    bool          // homes are as SQLite is, else as PostgreSQL
	latency   time.Duration // of the databases, at most
	away      []time.Time   // by home: until when it does not answer
	processes []*process    // by slot: the newest life
	ahead     []time.Duration
	lives     int

	psp        *psp
	merchant   *merchant
	hooks      *hooks
	google     *google          // nil: the project is not linked with it
	witness    *witness.Witness // for the independent model
	project    project.Project
	licensed   *house // what the project goes by; nil: it has no rules
	bureau     *bureau
	restricted map[string]bool // customers, some time
	days       bool            // the seed lasts for days
	quietAfter time.Duration
	notes      map[string]id.Note    // limits: what a customer's request stands for
	refused    map[string]bool       // payments, for a limit
	names      map[id.Payment]string // the merchant's
	keys       map[string]id.Payment // payouts: what a client's idempotency key stands for
	labels     map[id.Raw]string     // of other things that are due
	counts     map[string]int
	acked      []ack
	unanswered map[string]bool // moves of wallets and payouts, by their clients' names
	planted    planted
	injected   map[Fault]int
	points     map[string]int // where processes have died
	batches    int
	shared     int      // batches of several acts
	broken     []string // what was found wrong on the way
}

// entry is something that will happen.
type entry struct {
	at   time.Time
	tie  float64
	seq  int
	of   *process // whose it is: it happens not before it goes on, and not after it died
	do   func()
	gone func() // instead of do, if the process has died; nil: nothing
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
	(*a)[last] = entry{}
	*a = (*a)[:last]
	return x
}

func (w *world) clock() time.Time { return w.now }

// enter puts something into the agenda.
func (w *world) enter(d time.Duration, name string, e entry) {
	w.seq++
	e.at, e.tie, e.seq = w.now.Add(d), w.draw("tie", name), w.seq
	heap.Push(&w.agenda, e)
}

// later has something of the world outside happen after d.
func (w *world) later(d time.Duration, name string, do func()) { w.enter(d, name, entry{do: do}) }

func (w *world) draw(purpose string, about ...any) float64 {
	return draw(w.plan.Seed, purpose, about...)
}

// chance draws whether a fault occurs, and counts it.
func (w *world) chance(f Fault, about ...any) bool {
	if !w.will(f, about...) {
		return false
	}
	w.injected[f]++
	return true
}

// will draws whether a fault is to occur. Who asks counts it when it does.
func (w *world) will(f Fault, about ...any) bool {
	rate := w.rates[f]
	return rate != 0 && !w.quiet && w.draw(string(f), about...) < rate
}

// span draws a duration up to most; short ones are more frequent.
func (w *world) span(most time.Duration, about ...any) time.Duration {
	x := w.draw("span", about...)
	most = w.hours(most)
	return time.Duration(x * x * x * float64(most))
}

// hours is a stretch of time in which people do things, in a plan that rushes a short one.
func (w *world) hours(d time.Duration) time.Duration {
	if w.plan.Rush && d >= 20*time.Minute {
		return d / 20
	}
	return d
}

// nth counts how often a name was used.
func (w *world) nth(name string) int {
	w.counts[name]++
	return w.counts[name]
}

// wrong notes what must not be.
func (w *world) wrong(format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf(format, args...))
}

func newWorld(p Plan) *world {
	begun := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	w := &world{
		plan: p, quietAfter: quietFrom, restricted: map[string]bool{}, rates: map[Fault]float64{}, begun: begun, now: begun, names: map[id.Payment]string{}, keys: map[string]id.Payment{}, labels: map[id.Raw]string{}, counts: map[string]int{},
		unanswered: map[string]bool{}, injected: map[Fault]int{}, points: map[string]int{}, planted: planted{must: map[string]bool{}, may: map[string]bool{}, news: map[string]bool{}},
		project: project.Project{
			ID: 200, MerchantID: 1, Secret: sign.NewSecret("sim"), LimitTime: limitTime, RetryTime: 10 * time.Minute,
			CallbackURL: "https://shop.example/callback", Wallet: draw(p.Seed, "wallet") < 0.4,
			LateSuccess: []project.LateRule{project.LateHold, project.LateCredit, project.LateRefund}[int(draw(p.Seed, "late rule")*3)],
			Methods:     []project.Method{{Code: "paytm-wallet", Name: "Paytm Wallet", Connector: "sim", Account: "one", Currency: "INR"}},
		},
	}
	if w.licence(); w.licensed != nil {
		w.project.Wallet, w.project.LateSuccess = true, project.LateRefund // which money is that came too late to be played with
	}
	w.notes, w.refused = map[string]id.Note{}, map[string]bool{}
	for _, f := range Faults() {
		w.rates[f] = p.rate(f)
	}
	w.sqlite = w.draw("database") < 0.5
	w.latency = []time.Duration{2 * time.Millisecond, 50 * time.Millisecond, 300 * time.Millisecond, time.Second}[int(w.draw("latency")*4)]
	w.psp, w.merchant, w.bureau = newPSP(w), newMerchant(w), newBureau(w)
	w.integrates()
	w.witness = witness.New(w.project, w.psp, w.clock, w.modelRules(), w.modelGoogle())
	w.store = newHomes(1+int(w.draw("homes")*2), !w.sqlite)
	w.hooks = newHooks(w)
	w.away = make([]time.Time, len(w.store))
	slots := 1
	if !w.sqlite {
		slots += int(w.draw("processes") * 2)
	}
	w.processes, w.ahead = make([]*process, slots), make([]time.Duration, slots)
	for slot := range slots {
		w.start(slot)
		w.jump(slot)
	}
	w.outages()
	return w
}

// jump sets a process' clock forward or back in the middle of things (T15).
func (w *world) jump(slot int) {
	if !w.chance(ClockJumps, slot) {
		return
	}
	at := time.Duration(w.draw("jumps at", slot) * float64(2*time.Hour))
	w.later(at, fmt.Sprint("jump/", slot), func() {
		w.ahead[slot] += []time.Duration{10 * time.Minute, -10 * time.Minute, -time.Hour, 90 * time.Second}[int(w.draw("jumps", slot)*4)]
	})
}

// next lets the next thing happen; false if nothing is left.
func (w *world) next() bool {
	var sweeper *process
	for _, p := range w.processes {
		if !p.dead && !p.sweepAt.IsZero() && (sweeper == nil || p.sweepAt.Before(sweeper.sweepAt)) {
			sweeper = p
		}
	}
	w.steps++
	switch {
	case sweeper != nil && (len(w.agenda) == 0 || sweeper.sweepAt.Before(w.agenda[0].at)):
		w.pass(sweeper.sweepAt)
		sweeper.sweep()
	case len(w.agenda) > 0:
		e := heap.Pop(&w.agenda).(entry)
		w.pass(e.at)
		w.happen(e)
	default:
		return false
	}
	w.settle()
	return true
}

func (w *world) happen(e entry) {
	switch {
	case e.of != nil && e.of.dead:
		if e.gone != nil {
			e.gone()
		}
	case e.of != nil && w.now.Before(e.of.thaw):
		e.at = e.of.thaw
		heap.Push(&w.agenda, e)
	default:
		e.do()
	}
}

// pass lets time go by until then, in which a process may die of itself.
func (w *world) pass(then time.Time) {
	if !then.After(w.now) {
		return
	}
	was := w.now.Sub(w.begun) / time.Minute
	w.now = then
	since := then.Sub(w.begun)
	w.quiet = since >= w.quietAfter
	if since/time.Minute == was {
		return
	}
	for _, p := range w.processes {
		if !p.dead && !then.Before(p.thaw) && w.chance(CrashIdle, p.slot, since/time.Minute) {
			w.beats()
			p.dead = true
		}
	}
}

// Result is what a run has shown.
type Result struct {
	Broken   []string // what must not be; empty: all is well
	Injected map[Fault]int
	Points   map[string]int            // where processes died
	Moves    map[[2]payment.Status]int // moves of payments seen
	History  string                    // of all payments: equal for equal plans
	Captured int
	Late     int
	Batches  int
	Shared   int // batches of several acts
	Outbound Outbound
	Model    []string       // of Broken, what the independent model says
	Made     map[string]int // its moves that were made
	Races    int            // payouts of a licensed house beside which a refund, a restriction or a limit of their customer went
}

// Outbound is when we called others, and when they were down, as time since the
// run began.
type Outbound struct {
	PSP, Merchant         []time.Duration
	PSPDown, MerchantDown [2]time.Duration
	MostTries             int // of one callback, while the merchant was down
}

func (w *world) outbound() Outbound {
	since := func(at time.Time) time.Duration { return at.Sub(w.begun) }
	var o Outbound
	for _, at := range w.psp.calls {
		o.PSP = append(o.PSP, since(at))
	}
	for _, at := range w.merchant.calls {
		o.Merchant = append(o.Merchant, since(at))
	}
	for _, n := range w.merchant.refused {
		o.MostTries = max(o.MostTries, n)
	}
	o.PSPDown = [2]time.Duration{since(w.psp.downFrom), since(w.psp.downTo)}
	o.MerchantDown = [2]time.Duration{since(w.merchant.downFrom), since(w.merchant.downTo)}
	return o
}

// Run runs a plan to its end.
func Run(p Plan) Result {
	w := run(p)
	return w.judge()
}

func run(p Plan) *world {
	w := newWorld(p)
	defer w.end()
	for _, n := range p.Payments {
		w.client(n)
	}
	w.limits()
	w.verifies()
	w.restricts()
	for w.steps < maxSteps && !w.stopped && w.next() {
	}
	if w.steps >= maxSteps {
		left, err := w.store.ScanDue(context.Background(), id.Raw{}, 3)
		w.wrong("does not come to rest: %d steps, now %s; due is still %+v (%v)", w.steps, w.now.Sub(w.begun), left, err)
	}
	return w
}

// end unwinds what still waits.
func (w *world) end() {
	for _, p := range w.processes {
		p.dead = true
		for _, t := range p.tasks {
			t.stop()
		}
	}
}

// nameOf gives the merchant's name of a payment.
func (w *world) nameOf(p id.Payment) string {
	if name, ok := w.names[p]; ok {
		return name
	}
	pay, ok, err := w.store.Payment(context.Background(), p)
	if err != nil || !ok {
		return ""
	}
	if pay.Type == payment.TypePayout {
		w.names[p] = payoutName(pay.MerchantPaymentID)
	} else {
		w.names[p] = orderName(pay.MerchantPaymentID)
	}
	return w.names[p]
}
