// Package desk is where a simulated provider works through its operations,
// whatever protocol it speaks: an operation is remembered before it is answered
// for, decided by a person or by a fault rule, and told about until the platform
// has taken it.
//
// An operation goes
//
//	waiting ── decided ──▶ paid | failed ── told, at most notifyTries times
//
// It knows no wire and no amount; those are the simulator's that has the desk.
package desk

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"aorta/internal/sandbox/fault"
)

// Bounds.
const (
	maxAnswer   = 64 << 10         // of the answer to a notification
	maxHeld     = 4_096            // connections held open without an answer
	notifyTries = 10               // paytm.md section 4: up to about 10 attempts
	notifyWait  = 30 * time.Second // paytm.md section 4: an answer within 30 s
)

// retryUnits are the pauses between notification attempts in units of
// Options.NotifyUnit (paytm.md section 4: 1 m, 5 m, 30 m, 2 h, 6 h, 24 h …).
var retryUnits = [notifyTries - 1]int{1, 5, 30, 120, 360, 1440, 1440, 1440, 1440}

// State is where an operation stands at the provider.
type State string

// The states.
const (
	Waiting State = "waiting"
	Paid    State = "paid" // of a refund: paid back; of a payout: paid out
	Failed  State = "failed"
)

// Fate is what all operations have in common. It is guarded by the desk's lock.
type Fate struct {
	Seq       int64 // from 1, without gaps, all operations together
	CreatedUS int64
	DecidedUS int64
	State     State
	Next      fault.Behaviour
	Delay     time.Duration // of the fault rule; 0 means the desk's own
	Moves     bool          // it needs no person: it succeeds by itself unless a fault rule says otherwise
	Told      bool          // nothing is left to be told
	copies    uint8         // notifications still under way
	taken     bool          // the platform has answered 2xx to a notification; not remembered across restarts
}

// Common is the operation's fate: who embeds one has the method.
func (f *Fate) Common() *Fate { return f }

// Operation is what a simulator remembers of one thing that it was asked for.
type Operation interface {
	Common() *Fate
	Address() string // where it is told; empty: nowhere yet
	Line() any       // all of it, as a line of the journal
}

// Plan is what becomes of an operation on which a fault rule fell.
type Plan struct {
	Becomes State // Waiting means that nothing ever happens by itself
	Copies  uint8 // notifications sent about it
}

// Behaviours are the fault rules that every desk understands.
var Behaviours = []fault.Behaviour{
	fault.Approve, fault.Decline, fault.Silent, fault.Timeout, fault.Duplicate, fault.Late,
	fault.WrongAmount, fault.WrongSignature, fault.HTTP500, fault.Slow,
}

// plans lists them. http_500 is absent: nothing is recorded, so nothing follows.
var plans = map[fault.Behaviour]Plan{
	fault.Approve:        {Becomes: Paid, Copies: 1},
	fault.Decline:        {Becomes: Failed, Copies: 1},
	fault.Silent:         {Becomes: Paid},               // only a look-up tells
	fault.Timeout:        {Becomes: Waiting},            // what moves by itself is done all the same, see Fate.Plan
	fault.Duplicate:      {Becomes: Paid, Copies: 3},    // two at once, one a moment later
	fault.Late:           {Becomes: Paid, Copies: 1},    // after Options.LateAfter, pending until then
	fault.WrongAmount:    {Becomes: Paid, Copies: 1},    // every report carries another amount
	fault.WrongSignature: {Becomes: Paid, Copies: 1},    // the notification is signed with another key
	fault.Slow:           {Becomes: Paid, Copies: 1},    // every answer for it takes Options.SlowFor
	fault.Expire:         {Becomes: Paid, Copies: 1},    // what that was soon holds no more
	fault.None:           {Becomes: Waiting, Copies: 1}, // a person decides
}

// Plan is what a fault rule makes of it.
func (f *Fate) Plan() Plan {
	switch {
	case f.Moves && f.Next == fault.None:
		return plans[fault.Approve]
	case f.Moves && f.Next == fault.Timeout:
		return Plan{Becomes: Paid}
	}
	return plans[f.Next]
}

// Letter is a notification as it leaves.
type Letter struct {
	Header http.Header
	Body   []byte
}

// Hooks are what a desk asks of its simulator. All are called with the desk
// locked.
type Hooks[O Operation] struct {
	Letter func(o O, forged bool) (Letter, error) // what is told of it; forged: signed with another key
	Usual  func(o O) time.Duration                // from its creation to its decision, where no rule says otherwise
}

// Options are the parts of a desk with a sensible default.
type Options struct {
	Name       string                  // of the provider, for logs: "paytm"
	Append     func(line []byte) error // remembers one line before it is answered for; nil keeps memory only
	Log        *slog.Logger            // nil discards
	Transport  http.RoundTripper       // for notifications; nil keeps connections of its own alive
	Roots      *x509.CertPool          // whom those trust; nil means the system's
	LateAfter  time.Duration           // for "late"; 0 means 30s
	SlowFor    time.Duration           // for "slow"; 0 means 2s
	HoldFor    time.Duration           // for "timeout"; 0 means 60s
	NotifyUnit time.Duration           // what the retry schedule counts as a minute; 0 means 1m
	Workers    int                     // notifications sent at once; 0 means 256
	MaxRecords int                     // operations remembered, more are refused; 0 means 1,000,000
}

// OrElse returns v, or the default when v is zero.
func OrElse[T comparable](v, or T) T {
	var zero T
	if v == zero {
		return or
	}
	return v
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Workers = OrElse(o.Workers, 256)
	o.MaxRecords = OrElse(o.MaxRecords, 1_000_000)
	o.LateAfter = OrElse(o.LateAfter, 30*time.Second)
	o.SlowFor = OrElse(o.SlowFor, 2*time.Second)
	o.HoldFor = OrElse(o.HoldFor, time.Minute)
	o.NotifyUnit = OrElse(o.NotifyUnit, time.Minute)
	if o.Transport == nil {
		o.Transport = &http.Transport{
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots},
			MaxIdleConns:        o.Workers,
			MaxIdleConnsPerHost: o.Workers,
			IdleConnTimeout:     time.Minute,
			DisableCompression:  true,
		}
	}
	return o
}

// Desk holds the operations of one simulator. Its lock guards them, and whatever
// the simulator keeps beside them.
type Desk[O Operation] struct {
	sync.Mutex
	opts    Options
	clock   func() time.Time
	hooks   Hooks[O]
	client  *http.Client
	held    *Waits
	stop    context.CancelFunc // ends notifications under way
	stopped context.Context    // done once Close was called
	running sync.WaitGroup
	records []O // by Seq−1
	agenda  agenda
}

// New makes a desk. Feed it its past with Keep, then call Start.
func New[O Operation](clock func() time.Time, hooks Hooks[O], opts Options) *Desk[O] {
	d := &Desk[O]{opts: opts.withDefaults(), clock: clock, hooks: hooks}
	d.stopped, d.stop = context.WithCancel(context.Background())
	d.held = NewWaits(maxHeld, d.stopped.Done())
	d.agenda.init()
	d.client = &http.Client{
		Transport: d.opts.Transport,
		Timeout:   notifyWait,
		// A redirect is an answer other than 2xx, so it is retried, not followed.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return d
}

// Start begins to decide and to notify, taking up what was kept.
func (d *Desk[O]) Start() {
	d.Lock()
	for _, o := range d.records {
		d.schedule(o)
		d.send(o)
	}
	d.Unlock()
	d.running.Go(d.decide)
	for range d.opts.Workers {
		d.running.Go(d.tell)
	}
}

// Close stops everything and lets go of held connections. What is still to be
// told is told after the next start. It returns ctx's error when the work under
// way does not end in time.
func (d *Desk[O]) Close(ctx context.Context) error {
	d.stop()
	d.agenda.close()
	ended := make(chan struct{})
	go func() {
		d.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		d.client.CloseIdleConnections()
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close %s sandbox: %w", d.opts.Name, ctx.Err())
	}
}

// Len is how many operations there are. The caller holds the lock, as in all that
// follow unless they say otherwise.
func (d *Desk[O]) Len() int64 { return int64(len(d.records)) }

// From gives the operations after a cursor, oldest first; the caller must not
// change the list.
func (d *Desk[O]) From(after int64) []O { return d.records[min(max(after, 0), d.Len()):] }

// Keep takes back an operation that the journal remembers.
func (d *Desk[O]) Keep(o O) { d.records = append(d.records, o) }

// ErrFull means that Options.MaxRecords are remembered.
var ErrFull = errors.New("too many operations")

// Add gives a new operation its number, remembers it and, when it decides itself,
// puts that on the agenda.
func (d *Desk[O]) Add(o O) error {
	if len(d.records) >= d.opts.MaxRecords {
		return ErrFull
	}
	f := o.Common()
	f.Seq, f.State, f.CreatedUS = d.Len()+1, Waiting, d.clock().UnixMicro()
	if err := d.Write(o.Line()); err != nil {
		return err
	}
	d.Keep(o)
	d.schedule(o)
	return nil
}

// Write journals a line, in the order of calls.
func (d *Desk[O]) Write(line any) error {
	if d.opts.Append == nil {
		return nil
	}
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	return d.opts.Append(text)
}

// Dump emits the present state; see journal.Keeper. It takes the lock.
func (d *Desk[O]) Dump(emit func(line []byte) error) error {
	d.Lock()
	defer d.Unlock()
	for _, o := range d.records {
		text, err := json.Marshal(o.Line())
		if err != nil {
			return err
		}
		if err := emit(text); err != nil {
			return err
		}
	}
	return nil
}

// Change is a line of the journal that says what became of an operation.
type Change struct {
	Seq       int64 `json:"seq"`
	State     State `json:"state,omitempty"`
	DecidedUS int64 `json:"decided_us,omitempty"`
	Told      bool  `json:"told,omitempty"`
}

// Replay takes a Change back.
func (f *Fate) Replay(c Change) {
	if c.State != "" {
		f.State, f.DecidedUS = c.State, c.DecidedUS
	}
	f.Told = f.Told || c.Told
}

// after is how long after its creation the operation decides itself.
func (d *Desk[O]) after(o O) time.Duration {
	f := o.Common()
	usual := d.hooks.Usual(o)
	if f.Next == fault.Late {
		usual = d.opts.LateAfter
	}
	if f.Next == fault.Timeout {
		return 0 // a move that is done; only the answer never comes
	}
	if f.Next == fault.Slow {
		return OrElse(f.Delay, d.opts.SlowFor) + usual
	}
	if f.Next == fault.Expire {
		return usual // its delay is that of the end
	}
	return OrElse(f.Delay, usual)
}

func (d *Desk[O]) schedule(o O) {
	f := o.Common()
	if f.State == Waiting && f.Plan().Becomes != Waiting {
		d.agenda.push(task{dueUS: f.CreatedUS + d.after(o).Microseconds(), seq: f.Seq, kind: decideTask})
	}
}

// Settle decides an operation, once, and has it told.
func (d *Desk[O]) Settle(o O, to State) error {
	f := o.Common()
	if f.State != Waiting {
		return nil
	}
	c := Change{Seq: f.Seq, State: to, DecidedUS: d.clock().UnixMicro(), Told: f.Plan().Copies == 0}
	if err := d.Write(c); err != nil {
		return err
	}
	f.Replay(c)
	d.send(o)
	return nil
}

// send puts a decided operation's notifications on the agenda. Without an address
// they wait for Resend.
func (d *Desk[O]) send(o O) {
	f := o.Common()
	if f.State == Waiting || f.Told || f.copies > 0 || o.Address() == "" {
		return
	}
	f.copies = f.Plan().Copies
	now := d.clock().UnixMicro()
	for i := range f.copies {
		due := now
		if i == 2 { // "duplicate": two at once, then one when the first are done or nearly
			due += (20 * time.Millisecond).Microseconds()
		}
		d.agenda.push(task{dueUS: due, seq: f.Seq, kind: tellTask})
	}
}

// Resend sends what had nowhere to go. It takes the lock.
func (d *Desk[O]) Resend() {
	d.Lock()
	defer d.Unlock()
	for _, o := range d.records {
		d.send(o)
	}
}

// decide is the one goroutine that decides what fault rules have put on the
// agenda, and hands what is due to the tellers.
func (d *Desk[O]) decide() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var decisions []task
	for {
		select {
		case <-timer.C:
		case <-d.agenda.sooner:
		case <-d.stopped.Done():
			return
		}
		var nap time.Duration
		decisions, nap = d.agenda.due(d.clock(), decisions[:0])
		for _, t := range decisions {
			d.decideOne(t)
		}
		timer.Reset(nap)
	}
}

func (d *Desk[O]) decideOne(t task) {
	d.Lock()
	defer d.Unlock()
	o := d.records[t.seq-1]
	if err := d.Settle(o, o.Common().Plan().Becomes); err != nil {
		// The operation stays undecided, as it will be found after a restart.
		d.opts.Log.Error("sandbox: decide", "provider", d.opts.Name, "seq", t.seq, "error", err)
	}
}

// tell sends notifications until the desk closes.
func (d *Desk[O]) tell() {
	for {
		t, ok := d.agenda.next()
		if !ok {
			return
		}
		d.tellOne(t)
	}
}

// letter writes what is told of an operation now, and where to.
func (d *Desk[O]) letter(o O, forged bool) (Letter, string, error) {
	d.Lock()
	defer d.Unlock()
	l, err := d.hooks.Letter(o, forged)
	return l, o.Address(), err
}

// tellOne sends one notification and plans its repetition (paytm.md section 4):
// anything but 2xx within 30 s is repeated, a 4xx is final.
func (d *Desk[O]) tellOne(t task) {
	d.Lock()
	o := d.records[t.seq-1]
	d.Unlock()
	l, url, err := d.letter(o, o.Common().Next == fault.WrongSignature)
	if err != nil {
		d.opts.Log.Error("sandbox: write a notification", "provider", d.opts.Name, "seq", t.seq, "error", err)
		return
	}
	status, err := d.post(url, l)
	if d.stopped.Err() != nil {
		return // not told; the next start takes it up
	}
	done := err == nil && (status/100 == 2 || status/100 == 4)
	if done && status/100 == 2 {
		d.took(o)
	}
	if !done {
		d.opts.Log.Debug("sandbox: notification not taken", "provider", d.opts.Name, "seq", t.seq, "status", status, "error", err)
		if int(t.attempt) < len(retryUnits) {
			pause := time.Duration(retryUnits[t.attempt]) * d.opts.NotifyUnit
			t.dueUS = d.clock().Add(pause).UnixMicro()
			t.attempt++
			d.agenda.push(t)
			return
		}
		d.opts.Log.Warn("sandbox: notification given up", "provider", d.opts.Name, "seq", t.seq, "attempts", notifyTries)
	}
	d.settleTold(o)
}

// took notes that the platform has the news.
func (d *Desk[O]) took(o O) {
	d.Lock()
	defer d.Unlock()
	o.Common().taken = true
}

// TellAll tells, at once and with a good signature, what became of every decided
// operation of which the platform has taken no notification: whether a fault rule
// kept it from being told, or its next repetition is hours away. It takes the
// lock, waits for the answers, and gives how many it told and how many were taken.
func (d *Desk[O]) TellAll(ctx context.Context) (told, taken int) {
	d.Lock()
	var rest []O
	for _, o := range d.records {
		if f := o.Common(); f.State != Waiting && !f.taken && o.Address() != "" {
			rest = append(rest, o)
		}
	}
	d.Unlock()
	var next, sent, good atomic.Int64
	var wg sync.WaitGroup
	for range min(d.opts.Workers, len(rest)) {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(len(rest)) && ctx.Err() == nil; n = next.Add(1) {
				sent.Add(1)
				if d.tellNow(rest[n-1]) {
					good.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return int(sent.Load()), int(good.Load())
}

// tellNow sends one good notification; false if it was not taken.
func (d *Desk[O]) tellNow(o O) bool {
	l, url, err := d.letter(o, false)
	if err != nil {
		d.opts.Log.Error("sandbox: write a notification", "provider", d.opts.Name, "seq", o.Common().Seq, "error", err)
		return false
	}
	status, err := d.post(url, l)
	if err != nil || status/100 != 2 {
		return false
	}
	d.took(o)
	return true
}

// settleTold notes that one of the operation's notifications needs no more care.
func (d *Desk[O]) settleTold(o O) {
	d.Lock()
	defer d.Unlock()
	f := o.Common()
	f.copies--
	if f.copies > 0 {
		return
	}
	if err := d.Write(Change{Seq: f.Seq, Told: true}); err != nil {
		d.opts.Log.Error("sandbox: remember a notification", "provider", d.opts.Name, "seq", f.Seq, "error", err)
		return
	}
	f.Told = true
}

func (d *Desk[O]) post(url string, l Letter) (status int, err error) {
	req, err := http.NewRequestWithContext(d.stopped, http.MethodPost, url, bytes.NewReader(l.Body))
	if err != nil {
		return 0, err
	}
	for name, values := range l.Header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", d.opts.Name+"-sandbox")
	resp, err := d.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	// Read to the end, within a bound, so that the connection can be used again.
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)); err != nil {
		return 0, fmt.Errorf("read the answer: %w", err)
	}
	return resp.StatusCode, nil
}

// The answers of a provider that is told to misbehave. None of these needs the
// lock, nor may it be held.

// Unanswered holds the connection and then cuts it without a byte.
func (d *Desk[O]) Unanswered(r *http.Request, f *Fate) {
	d.held.Hold(r, OrElse(f.Delay, d.opts.HoldFor))
	panic(http.ErrAbortHandler) // net/http's way to drop a connection
}

// Crash answers a request as a broken server does.
func (d *Desk[O]) Crash(w http.ResponseWriter, r *http.Request, rule fault.Rule) {
	if rule.Delay > 0 {
		d.held.Hold(r, rule.Delay)
	}
	http.Error(w, "Internal Server Error", http.StatusInternalServerError)
}

// Drag delays an answer about an operation on which "slow" fell.
func (d *Desk[O]) Drag(r *http.Request, f *Fate) {
	if f.Next == fault.Slow {
		d.held.Hold(r, OrElse(f.Delay, d.opts.SlowFor))
	}
}
