package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"aorta/internal/connector"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/payment"
)

// psp is the provider. It has a journal of its own, and what it says of it may
// get lost, come twice or come late.
type psp struct {
	w          *world
	movesMoney bool // asking for a sale may take the money at once
	entries    map[string]*deed
	order      []string       // references, as they came
	tries      map[string]int // attempts seen, by payment and kind
	asked      map[string]int // calls, by reference
}

// deed is a sale or refund as the provider knows it.
type deed struct {
	name    string // stable through changes of the plan: "2/sale/1"
	payment string // the merchant's
	refund  bool
	of      *deed          // refund: the sale
	state   connector.Kind // Pending, Approved or Declined
	asked   money.Amount
	moved   money.Amount // what it moved, or will
	wrong   bool         // another amount than asked
	no      bool         // it was declined at some time
}

func newPSP(w *world) *psp {
	return &psp{w: w, movesMoney: draw(w.plan.Seed, "moves money") < 0.5, entries: map[string]*deed{}, tries: map[string]int{}, asked: map[string]int{}}
}

// Capabilities says how this provider is.
func (p *psp) Capabilities() connector.Capabilities {
	return connector.Capabilities{
		Methods: []string{"paytm-wallet"}, Refund: true, PartialRefund: true, SaleMovesMoney: p.movesMoney, Notifications: true, RedirectsToPage: true,
		LookupSchedule: []time.Duration{20 * time.Second, time.Minute, 5 * time.Minute},
	}
}

// find gives a deed by its reference, and a name for the call.
func (p *psp) find(o connector.Order) (e *deed, call string, known bool) {
	ref := o.Reference()
	p.asked[ref]++
	if e, known = p.entries[ref]; known {
		return e, fmt.Sprint(e.name, "/", p.asked[ref]), true
	}
	kind := fmt.Sprint(p.w.names[o.Attempt.Payment], "/", o.Attempt.Kind)
	if p.asked[ref] == 1 {
		p.tries[kind]++
	}
	e = &deed{
		name: fmt.Sprint(kind, "/", p.tries[kind]), payment: p.w.names[o.Attempt.Payment], refund: o.Attempt.Kind == payment.KindRefund,
		state: connector.Pending, asked: o.Attempt.Amount, moved: o.Attempt.Amount,
	}
	return e, fmt.Sprint(e.name, "/", p.asked[ref]), false
}

func (p *psp) keep(ref string, e *deed) {
	p.entries[ref] = e
	p.order = append(p.order, ref)
}

// Sale takes the money or gives a page, or does worse.
func (p *psp) Sale(_ context.Context, o connector.Order) connector.Outcome {
	w := p.w
	e, call, known := p.find(o)
	w.crash(CrashBeforeCall, call)
	if known {
		w.broken = append(w.broken, fmt.Sprintf("sale %s was sent twice under one reference", e.name))
	}
	switch {
	case w.chance(Refused, call):
		return connector.Outcome{Kind: connector.NotSent}
	case w.chance(LostRequest, call):
		w.while(10*time.Second, 5)
		return connector.Outcome{Kind: connector.Unknown}
	}
	ref := o.Reference()
	p.alone(e)
	p.keep(ref, e)
	out := connector.Outcome{Kind: connector.Pending, ProviderID: "psp-" + e.name}
	x := draw(w.plan.Seed, "sale", e.name)
	switch {
	case x < 0.15:
		e.state, e.no = connector.Declined, true
		out.Kind, out.Code = connector.Declined, payment.CodeExternalFunds
		p.maybeChange(ref, e)
	case p.movesMoney && x < 0.4:
		p.settle(ref, e, connector.Approved)
		out = p.say(e)
	case p.movesMoney && x < 0.6: // it takes its time, without the customer
		w.later(w.span(20*time.Minute, "slow", e.name), e.name, func() { p.decide(ref, e) })
	default:
		out.Redirect = &payment.Redirect{URL: "https://psp.example/" + ref, Method: "POST"}
		p.customer(ref, e)
	}
	w.while(w.span(5*time.Second, "thinks", call), 6)
	w.crash(CrashAfterCall, call)
	if w.chance(LostAnswer, call) {
		return connector.Outcome{Kind: connector.Unknown}
	}
	return out
}

// alone finds a second sale of a payment whose first may have moved money.
func (p *psp) alone(e *deed) {
	for _, r := range p.order {
		if q := p.entries[r]; p.movesMoney && q.payment == e.payment && !q.refund && !q.no {
			p.w.broken = append(p.w.broken, fmt.Sprintf("sale %s was asked for while %s is %s", e.name, q.name, q.state))
		}
	}
}

// customer is sent to the page, and comes to a decision or not.
func (p *psp) customer(ref string, e *deed) {
	w := p.w
	if w.chance(NewsFalse, e.name) {
		w.later(w.span(2*time.Minute, "too early", e.name), e.name, func() {
			p.post(news{Reference: ref, Kind: connector.Approved, Minor: e.asked.Minor, Number: noRetry}, e.name)
		})
	}
	decide := func() {
		if p.shown(ref) {
			p.decide(ref, e)
		}
	}
	switch {
	case w.chance(Leaves, e.name):
	case w.chance(Late, e.name):
		w.later(limitTime+w.span(time.Hour, "late", e.name), e.name, decide)
	default:
		w.later(w.span(limitTime, "customer", e.name), e.name, decide)
	}
}

// shown reports whether the customer was led to the page: one whose address got
// lost is nobody's.
func (p *psp) shown(ref string) bool {
	k, err := id.ParseAttempt(ref)
	if err != nil {
		panic(err)
	}
	a, ok, err := p.w.store.Attempt(context.Background(), k)
	return err == nil && ok && a.Redirect != ""
}

// decide ends a deed as the draw says.
func (p *psp) decide(ref string, e *deed) {
	if e.state != connector.Pending {
		return
	}
	to := connector.Approved
	if draw(p.w.plan.Seed, "decides", e.name) < 0.3 {
		to = connector.Declined
	}
	p.settle(ref, e, to)
}

func (p *psp) settle(ref string, e *deed, to connector.Kind) {
	e.state, e.no = to, to == connector.Declined
	if to == connector.Approved && !e.refund && p.w.chance(WrongAmount, e.name) {
		e.wrong = true
		e.moved.Minor++
	}
	if to == connector.Declined {
		p.maybeChange(ref, e)
	}
	if !e.refund {
		p.notify(ref, e)
	}
}

// maybeChange has the provider take its no back.
func (p *psp) maybeChange(ref string, e *deed) {
	if e.refund || !p.w.chance(MindChanged, e.name) {
		return
	}
	p.w.later(p.w.span(time.Hour, "mind", e.name), e.name, func() {
		e.state = connector.Approved
		p.notify(ref, e)
	})
}

// say is what the provider says of a deed when it is asked.
func (p *psp) say(e *deed) connector.Outcome {
	out := connector.Outcome{Kind: e.state, ProviderID: "psp-" + e.name, ProviderTime: p.w.clock()}
	if e.state == connector.Approved {
		out.Amount = e.moved
	}
	if e.state == connector.Declined {
		out.Code = payment.CodeExternalDecline
	}
	return out
}

// Lookup says what became of a sale.
func (p *psp) Lookup(_ context.Context, o connector.Order) connector.Outcome { return p.lookup(o) }

// LookupRefund says what became of a refund.
func (p *psp) LookupRefund(_ context.Context, o connector.Order) connector.Outcome {
	return p.lookup(o)
}

func (p *psp) lookup(o connector.Order) connector.Outcome {
	w := p.w
	e, call, known := p.find(o)
	w.crash(CrashBeforeCall, call)
	if w.chance(SilentLookup, call) {
		w.while(10*time.Second, 3)
		return connector.Outcome{Kind: connector.Unknown}
	}
	out := connector.Outcome{Kind: connector.Pending, NoRecord: true}
	if known {
		out = p.say(e)
	}
	w.while(w.span(2*time.Second, "looks", call), 3)
	w.crash(CrashAfterCall, call)
	return out
}

// Refund gives money back, once for each reference.
func (p *psp) Refund(_ context.Context, o connector.Order) connector.Outcome {
	w := p.w
	e, call, known := p.find(o)
	w.crash(CrashBeforeCall, call)
	switch {
	case known: // a repeat is safe
	case w.chance(Refused, call):
		return connector.Outcome{Kind: connector.NotSent}
	case w.chance(LostRequest, call):
		w.while(10*time.Second, 5)
		return connector.Outcome{Kind: connector.Unknown}
	default:
		ref := o.Reference()
		p.owed(o, e)
		p.keep(ref, e)
		switch x := draw(w.plan.Seed, "refund", e.name); {
		case x < 0.4:
			e.state = connector.Approved
		case x < 0.55:
			e.state, e.no = connector.Declined, true
		default:
			w.later(w.span(time.Hour, "refund", e.name), e.name, func() { p.decide(ref, e) })
		}
	}
	w.while(w.span(5*time.Second, "thinks", call), 6)
	w.crash(CrashAfterCall, call)
	if w.chance(LostAnswer, call) {
		return connector.Outcome{Kind: connector.Unknown}
	}
	return p.say(e)
}

// owed finds a refund of what was not paid, or of more.
func (p *psp) owed(o connector.Order, e *deed) {
	sale := p.entries[o.Attempt.Of.String()]
	if sale == nil || sale.refund || sale.state != connector.Approved || sale.wrong || o.Attempt.OfProviderID != "psp-"+sale.name {
		p.w.broken = append(p.w.broken, fmt.Sprintf("refund %s is of %q, which is %+v", e.name, o.Attempt.OfProviderID, sale))
		return
	}
	e.of = sale
	sum := e.asked.Minor
	for _, r := range p.entries {
		if r.of == sale && r.state != connector.Declined {
			sum += r.moved.Minor
		}
	}
	if sum > sale.moved.Minor {
		p.w.broken = append(p.w.broken, fmt.Sprintf("refund %s makes %d of %d", e.name, sum, sale.moved.Minor))
	}
}

// news is what a notification says.
type news struct {
	Reference string
	Kind      connector.Kind
	Minor     int64
	Number    int // notifications of one deed differ, as timestamps make real ones
}

// noRetry is the number of news that is wrong, and is sent once.
const noRetry = 99

// notify sends notifications of a deed, again until one was taken.
func (p *psp) notify(ref string, e *deed) {
	copies := 1
	if p.w.chance(NewsTwice, e.name, e.state) {
		copies += 1 + int(draw(p.w.plan.Seed, "copies", e.name)*3)
	}
	for n := range copies {
		p.send(ref, e, e.state, n, 0)
	}
	if p.w.chance(NewsWrong, e.name) {
		p.post(news{Reference: ref, Kind: connector.Approved, Minor: e.asked.Minor + 7, Number: noRetry}, e.name)
	}
}

func (p *psp) send(ref string, e *deed, kind connector.Kind, number, try int) {
	name := fmt.Sprint(e.name, "/", kind, "/", number, "/", try)
	p.w.later(p.w.span(time.Minute, "news", name)+time.Duration(min(try, 10))*time.Minute, name, func() {
		if p.w.chance(NewsLost, name) || !p.post(news{Reference: ref, Kind: kind, Minor: e.moved.Minor, Number: number}, name) {
			p.send(ref, e, kind, number, try+1)
		}
	})
}

// post brings a notification; false if it was not taken.
func (p *psp) post(n news, name string) bool {
	body, err := json.Marshal(n)
	if err != nil {
		panic(err)
	}
	answer := httptest.NewRecorder()
	p.w.process.public.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/n/sim/one", bytes.NewReader(body)))
	if p.w.process.dead {
		// It may have been stored; the provider cannot know.
		again := p.w.span(time.Minute, "after a crash", name)
		if e := p.entries[n.Reference]; e != nil && n.Number != noRetry {
			p.w.later(again, name, func() { p.send(n.Reference, e, n.Kind, n.Number, 1) })
		}
		panic(crashed{})
	}
	return answer.Code == http.StatusOK
}

// ReadNotification reads what post made. Nobody forges here: signatures are the
// connectors' own tests.
func (p *psp) ReadNotification(n connector.Notification) (connector.News, error) {
	var x news
	if err := json.Unmarshal(n.Body, &x); err != nil {
		return connector.News{}, fmt.Errorf("%w: %w", connector.ErrMalformed, err)
	}
	out := connector.News{Reference: x.Reference, Kind: x.Kind}
	if x.Kind == connector.Approved {
		out.Amount = money.Amount{Minor: x.Minor, Currency: "INR"}
	}
	return out, nil
}
