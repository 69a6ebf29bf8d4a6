// Package flow takes payments through their states: sale, refund, look-up,
// time limit. Each step is act, call, act: nothing is open while a PSP thinks,
// and apply is the only way in which a payment settles, whoever brings the
// news (design section 2).
//
// It never speaks HTTP and knows no front door's words. Its known weakness: an
// operation goes to the one PSP account of its method; routing comes later.
package flow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/crash"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/risk"
	"aorta/internal/verification"
)

// Flows are the flows over one book.
type Flows struct {
	book *book.Book
	read reads
	opts Options

	recent    recent
	answers   running
	licences  sync.Map                       // by *risk.Rules
	ofProject func(projectID int64) *licence // licence, or lapsed: made of a method anew, it would take memory in each act

	licensed sync.Map     // merchants, as texts, of whose projects this process has begun payments
	counted  atomic.Bool  // something was counted here once
	lookedUS atomic.Int64 // when that was last asked
	routes   routes
}

// Options are what Flows must be given, and its parts with a default.
type Options struct {
	Projects     func(projectID int64) (project.Project, bool)          // required
	Connectors   func(name, account string) (connector.Connector, bool) // required
	NotifyURL    func(connectorName, account string) string             // where a PSP sends news; required
	ReturnURL    func(id.Payment) string                                // where a customer's browser goes on after the PSP's page; nil: nowhere
	Now          func() time.Time                                       // required
	Endpoints    func() func(projectID int64) []event.Endpoint          // as they are now, of a project, but for deleted ones; nil: there are none
	Log          *slog.Logger                                           // nil discards
	Lookups      []time.Duration                                        // overrides every connector's look-up schedule; the last repeats
	Behind       func(callbackURL string) bool                          // whether so much waits already that nothing more is begun; nil: never
	CallLimit    time.Duration                                          // for one PSP call; 0 means 25s, less than a lease
	Dead         func(epoch int64) bool                                 // whether that process has died for sure; nil: nobody knows
	Rules        func(projectID int64) *risk.Rules                      // of a licensed project; nil, or a nil answer: it has none, and nothing is limited
	Verifiers    verification.Directory                                 // who checks customers; nil: nobody
	Persons      verification.PersonKey                                 // by which a person is known again; zero: nobody is
	Vault        *fop.Vault                                             // keeps what is secret of Google's; required where there are Integrations
	Integrations func(name string) (GoogleTerms, bool)                  // with Google; nil: there are none
	Google       Google                                                 // Google's side of them; nil: there is none
	Codes        Codes                                                  // how codes are sent to customers; zero: none are
	Sleep        func(context.Context, time.Duration)                   // between tries to book an answer; nil sleeps, or until the context ends
}

// New makes the flows. The reader must read what the book writes.
func New(b *book.Book, r book.Reader, o Options) *Flows {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.CallLimit == 0 {
		o.CallLimit = 25 * time.Second
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Dead == nil {
		o.Dead = func(int64) bool { return false }
	}
	if o.Endpoints == nil {
		o.Endpoints = func() func(int64) []event.Endpoint { return func(int64) []event.Endpoint { return nil } }
	}
	if o.Rules == nil {
		o.Rules = func(int64) *risk.Rules { return nil }
	}
	if o.Behind == nil {
		o.Behind = func(string) bool { return false }
	}
	f := &Flows{book: b, read: reads{r}, opts: o}
	f.ofProject = f.licenceOrLapsed
	return f
}

// errBehind is book.ErrBusy before the book is asked.
var errBehind = fmt.Errorf("too much is under way: %w", book.ErrBusy)

// Rules are those of a licensed project; nil for another.
func (f *Flows) Rules(projectID int64) *risk.Rules { return f.opts.Rules(projectID) }

var (
	// ErrState: the payment's status does not allow this. Gate: 3060.
	ErrState = errors.New("the payment's status does not allow this")
	// ErrRefundIDKnown: the merchant_refund_id was used before. Gate: 3230.
	ErrRefundIDKnown = errors.New("merchant refund id already exists")
	// ErrNoAttempt: no such attempt is known here. News of it waits.
	ErrNoAttempt = errors.New("no such attempt")
	// ErrNoConnector: the attempt's PSP account is not configured any more.
	ErrNoConnector = errors.New("PSP account is not configured")
)

// Handle does a piece of due work that this process holds the lease of. An
// error means that the work stays due and comes again when its lease ends.
func (f *Flows) Handle(ctx context.Context, d due.Due) error {
	switch d.Kind {
	case due.Ask, due.AskLater:
		return f.ask(ctx, d)
	case due.Watch:
		return f.watch(ctx, d)
	case due.Payout:
		return f.ResumePayout(ctx, d)
	case due.Check:
		return f.check(ctx, d)
	case due.Link:
		return f.link(ctx, d)
	case due.Float:
		return f.endClaim(ctx, d)
	case due.Code:
		return f.codeLost(ctx, d)
	case due.Deliver, due.Notice:
	case due.Tell:
		return f.tell(ctx, d)
	case due.Statement:
		return f.statement(ctx, d)
	case due.Purchase:
		return f.expirePurchase(ctx, d)
	}
	return fmt.Errorf("flow has no work of kind %q", d.Kind)
}

// asking is what the act that made an attempt knows of it: the Carry of its
// Ask row.
type asking struct {
	payment payment.Payment
	attempt payment.Attempt
	person  connector.Person
	done    chan struct{} // closed when the PSP's answer is booked, or given up
	left    *atomic.Int32 // of several that are asked at once: how many are not answered; the last one closes. nil: it is alone
}

func (w *asking) answered() {
	if w.left == nil || w.left.Add(-1) == 0 {
		close(w.done)
	}
}

// ask calls the PSP for an attempt and books its answer.
func (f *Flows) ask(ctx context.Context, d due.Due) error {
	work, fresh := d.Carry.(*asking)
	if !fresh {
		return f.takeOver(ctx, d)
	}
	defer work.answered()
	return f.call(ctx, work.payment, work.attempt, work.person, leaseOf(d))
}

// leaseOf is when the lease of a piece of work ends.
func leaseOf(d due.Due) time.Time { return time.UnixMicro(d.DueUS) }

// call asks the PSP for an attempt, and books its answer while the lease lasts.
func (f *Flows) call(ctx context.Context, p payment.Payment, a payment.Attempt, person connector.Person, lease time.Time) error {
	c, ok := f.opts.Connectors(a.Connector, a.Account)
	if !ok {
		return fmt.Errorf("%w: %s/%s", ErrNoConnector, a.Connector, a.Account)
	}
	limited := ctx
	if a.Kind == payment.KindSale {
		// The call ends with the payment's limit time at the latest: an answer that comes later finds it declined.
		left := time.UnixMicro(p.LimitUS).Sub(f.opts.Now())
		if left <= 0 {
			return f.expire(ctx, a)
		}
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, left)
		defer cancel()
	}
	crash.At(crash.BeforeCall)
	out := f.send(limited, c, f.order(p, a, person))
	crash.At(crash.AnswerReceived)
	if a.Kind == payment.KindPayout {
		f.routes.heard(a.PSP(), out.Kind, f.opts.Now())
	}
	return f.settle(ctx, a, out, lease)
}

func (f *Flows) send(ctx context.Context, c connector.Connector, o connector.Order) connector.Outcome {
	ctx, cancel := context.WithTimeout(ctx, f.opts.CallLimit)
	defer cancel()
	switch o.Attempt.Kind {
	case payment.KindRefund:
		if r, ok := c.(connector.Refunder); ok {
			return f.heard(o, r.Refund(ctx, o))
		}
	case payment.KindPayout:
		if p, ok := c.(connector.Payouter); ok {
			return f.heard(o, p.Payout(ctx, o))
		}
	case payment.KindSale:
		return f.heard(o, c.Sale(ctx, o))
	case payment.KindManualChange: // no PSP has to do with it
	}
	return connector.Outcome{Kind: connector.NotSent, Code: payment.CodeProviderUnavailable}
}

// lookup asks what became of an attempt. A connector that cannot tell answers
// Unknown, and only time or a person ends it.
func (f *Flows) lookup(ctx context.Context, c connector.Connector, o connector.Order) connector.Outcome {
	ctx, cancel := context.WithTimeout(ctx, f.opts.CallLimit)
	defer cancel()
	out, askedUS := connector.Outcome{Kind: connector.Unknown}, f.opts.Now().UnixMicro()
	switch o.Attempt.Kind {
	case payment.KindRefund:
		if r, ok := c.(connector.Refunder); ok {
			out = f.heard(o, r.LookupRefund(ctx, o))
		}
	case payment.KindPayout:
		if p, ok := c.(connector.Payouter); ok {
			out = f.heard(o, p.LookupPayout(ctx, o))
		}
	case payment.KindSale:
		if l, ok := c.(connector.Looker); ok {
			out = f.heard(o, l.Lookup(ctx, o))
		}
	case payment.KindManualChange: // no PSP has to do with it
	}
	out.AskedUS = askedUS
	return out
}

// heard lets an operator know when a PSP says that we are set up wrongly.
func (f *Flows) heard(o connector.Order, out connector.Outcome) connector.Outcome {
	if out.Alarm != "" {
		f.opts.Log.Error("ALARM: PSP account is set up wrongly", "psp", o.Attempt.PSP(), "attempt", o.Reference(), "alarm", out.Alarm)
	}
	return out
}

func (f *Flows) order(p payment.Payment, a payment.Attempt, person connector.Person) connector.Order {
	o := connector.Order{
		Attempt: a, Method: p.Method, CustomerID: p.CustomerID, Description: p.Description, Customer: person,
		NotifyURL: f.opts.NotifyURL(a.Connector, a.Account),
	}
	if a.Kind == payment.KindSale && f.opts.ReturnURL != nil && !p.ID.IsZero() {
		o.ReturnURL = f.opts.ReturnURL(p.ID)
	}
	if a.Kind == payment.KindPayout && a.Way != "" {
		o.Method, o.Destination = a.By()
	}
	return o
}

// Hear books what a PSP has said by itself and for good (connector.News.Final),
// while d's lease lasts, should the store be away.
func (f *Flows) Hear(ctx context.Context, a payment.Attempt, out connector.Outcome, d due.Due) error {
	return f.settle(ctx, a, out, leaseOf(d))
}

// Confirm looks an attempt up at its PSP and books what it says. It is how a
// notification is acted upon: as a reason to ask, not as the answer. What the PSP
// says is booked while d's lease lasts, should the store be away.
func (f *Flows) Confirm(ctx context.Context, a payment.Attempt, d due.Due) (connector.Outcome, error) {
	c, ok := f.opts.Connectors(a.Connector, a.Account)
	if !ok {
		return connector.Outcome{}, fmt.Errorf("%w: %s/%s", ErrNoConnector, a.Connector, a.Account)
	}
	out := f.lookup(ctx, c, f.order(payment.Payment{}, a, connector.Person{}))
	crash.At(crash.AnswerReceived)
	return out, f.settle(ctx, a, out, leaseOf(d))
}

// View is a payment as the doors show it.
type View struct {
	Payment    payment.Payment
	Operations []OperationView // the newest, oldest first
}

// OperationView is an operation with its newest attempt; a zero attempt where
// no PSP was asked.
type OperationView struct {
	Operation payment.Operation
	Attempt   payment.Attempt
}

// Find gives a payment by the merchant's name of it, or payment.ErrNoPayment. A
// payout of that name is none.
func (f *Flows) Find(ctx context.Context, p project.Project, paymentID string) (payment.Payment, error) {
	return f.find(ctx, p, payment.TypePurchase, paymentID)
}

// FindPayout gives a payout by the merchant's name of it, or payment.ErrNoPayment.
func (f *Flows) FindPayout(ctx context.Context, p project.Project, payoutID string) (payment.Payment, error) {
	return f.find(ctx, p, payment.TypePayout, payoutID)
}

func (f *Flows) find(ctx context.Context, p project.Project, t payment.Type, name string) (payment.Payment, error) {
	pay, err := f.Named(ctx, p, name)
	if err == nil && pay.Type != t {
		return payment.Payment{}, payment.ErrNoPayment
	}
	return pay, err
}

// Named gives the payment or payout of a merchant's name, which they share, or
// payment.ErrNoPayment.
func (f *Flows) Named(ctx context.Context, p project.Project, name string) (payment.Payment, error) {
	raw, ok, err := f.book.Find(ctx, p.RefScope(), project.FoldPaymentID(name))
	if err != nil {
		return payment.Payment{}, fmt.Errorf("find payment: %w", err)
	}
	if !ok {
		return payment.Payment{}, payment.ErrNoPayment
	}
	pay, ok, err := f.read.Payment(ctx, id.Payment(raw))
	if err != nil {
		return payment.Payment{}, fmt.Errorf("read payment: %w", err)
	}
	if !ok { // reserved and not begun
		return payment.Payment{}, payment.ErrNoPayment
	}
	return pay, nil
}

// Status gives a payment with at most newest operations.
func (f *Flows) Status(ctx context.Context, pay payment.Payment, newest int) (View, error) {
	v := View{Payment: pay}
	for next := pay.LastOperation; !next.IsZero() && len(v.Operations) < newest; {
		op, err := f.operation(ctx, next)
		if err != nil {
			return v, err
		}
		v.Operations = append(v.Operations, op)
		next = op.Operation.Prev
	}
	for i, j := 0, len(v.Operations)-1; i < j; i, j = i+1, j-1 {
		v.Operations[i], v.Operations[j] = v.Operations[j], v.Operations[i]
	}
	return v, nil
}

func (f *Flows) operation(ctx context.Context, o id.Operation) (OperationView, error) {
	op, ok, err := f.read.Operation(ctx, o)
	if err != nil || !ok {
		return OperationView{}, fmt.Errorf("read operation %s (found %t): %w", o, ok, err)
	}
	v := OperationView{Operation: op}
	if !op.Attempt.IsZero() {
		if v.Attempt, ok, err = f.read.Attempt(ctx, op.Attempt); err != nil || !ok {
			return v, fmt.Errorf("read attempt %s (found %t): %w", op.Attempt, ok, err)
		}
	}
	return v, nil
}

// OperationByID gives an operation of a payment and that; false if there is none. The
// id may come from outside: one of a bucket that there is not is no one's.
func (f *Flows) OperationByID(ctx context.Context, o id.Operation) (OperationView, payment.Payment, bool, error) {
	if int(o.Bucket()) >= f.book.Buckets() {
		return OperationView{}, payment.Payment{}, false, nil
	}
	op, ok, err := f.read.Operation(ctx, o)
	if err != nil || !ok {
		return OperationView{}, payment.Payment{}, false, err
	}
	v, err := f.operation(ctx, o)
	if err != nil {
		return v, payment.Payment{}, false, err
	}
	pay, ok, err := f.read.Payment(ctx, op.Payment)
	return v, pay, ok && pay.Type == payment.TypePurchase, err
}

// maxWalk bounds how many operations of one payment AttemptsAt looks through.
const maxWalk = 1000

// AttemptsAt gives a payment's or payout's attempts of one kind at a PSP account, newest
// first, for news that names the payment alone. payment.ErrNoPayment: there is
// none of that id. The id may come from outside.
func (f *Flows) AttemptsAt(ctx context.Context, p id.Payment, kind payment.OperationKind, connectorName, account string) ([]payment.Attempt, error) {
	if int(p.Bucket()) >= f.book.Buckets() {
		return nil, payment.ErrNoPayment
	}
	pay, ok, err := f.read.Payment(ctx, p)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read payment: %w", err)
	case !ok:
		return nil, payment.ErrNoPayment
	}
	var found []payment.Attempt
	for next, n := pay.LastOperation, 0; !next.IsZero() && n < maxWalk; n++ {
		o, err := f.operation(ctx, next)
		if err != nil {
			return nil, err
		}
		next = o.Operation.Prev
		if o.Operation.Kind != kind {
			continue
		}
		for a := o.Attempt; !a.ID.IsZero(); {
			if a.Connector == connectorName && a.Account == account {
				found = append(found, a)
			}
			if a.Prev.IsZero() {
				break
			}
			before, ok, err := f.read.Attempt(ctx, a.Prev)
			if err != nil || !ok {
				return nil, fmt.Errorf("read attempt %s (found %t): %w", a.Prev, ok, err)
			}
			a = before
		}
	}
	return found, nil
}

// endpoints gives where a project hears of events by Standard Webhooks. An act is
// given them as they were when it began: it may run again, and must do the same.
type endpoints func(projectID int64) []event.Endpoint

// record writes the event of a change of state and, where the payment has an
// endpoint for it and tell is set, the delivery of it; and the deliveries to the
// project's endpoints, which decide by themselves what they want to hear of.
func record(p *book.Page, to endpoints, pay *payment.Payment, op payment.Operation, a payment.Attempt, kind event.Kind, from payment.Status, tell bool) {
	pay.Events++
	snap := event.Snapshot{Payment: *pay, Operation: op, Attempt: a}
	e := event.Event{
		ID: id.Event(p.Mint()), Payment: pay.ID, Operation: op.ID, Prev: pay.LastEvent, Kind: kind,
		From: from, To: pay.Status, AtUS: p.NowUS(), Snapshot: snap.Encode(),
	}
	p.Events.Append(e)
	pay.LastEvent = e.ID
	tellEndpoints(p, to, pay, e, snap)
	url := event.Address(*pay, kind)
	if !tell || url == "" {
		return
	}
	d := event.Delivery{
		ID: id.Delivery(p.Mint()), Event: e.ID, Payment: pay.ID, Prev: pay.LastDelivery, URL: url, Door: pay.Door,
		State: event.DeliveryPending, CreatedUS: p.NowUS(), ChangedUS: p.NowUS(),
	}
	p.Deliveries.New(d)
	if pay.CallbackDelayS > 0 {
		p.Due.New(due.At(d.ID.Raw(), due.Deliver, p.NowUS()+pay.CallbackDelayS*time.Second.Microseconds()))
	} else {
		p.Due.New(due.Now(d.ID.Raw(), due.Deliver, p.NowUS(), p.Epoch(), &event.Work{Delivery: d, Event: e, Snapshot: snap}))
	}
	pay.LastDelivery = d.ID
}

// tellEndpoints writes the deliveries of an event to the project's endpoints.
func tellEndpoints(p *book.Page, to endpoints, pay *payment.Payment, e event.Event, snap event.Snapshot) {
	for _, ep := range to(pay.ProjectID) {
		for _, typ := range event.TypesOf(e.Kind, e.To) {
			if !ep.Wants(typ) || mutation == "untold" && e.Kind == event.RefundSucceeded {
				continue
			}
			d := ep.Delivery(id.Delivery(p.Mint()), e, typ, p.NowUS())
			d.Prev, pay.LastWebhook = pay.LastWebhook, d.ID
			p.Deliveries.New(d)
			if d.State == event.DeliveryPending {
				p.Due.New(due.Now(d.ID.Raw(), due.Deliver, p.NowUS(), p.Epoch(), &event.Work{Delivery: d, Event: e, Snapshot: snap}))
			}
		}
	}
}
