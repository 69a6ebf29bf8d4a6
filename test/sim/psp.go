package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"aorta/internal/connector"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/money"
	"aorta/internal/payment"
)

// psp is the provider. It has a journal of its own, and what it says of it may
// get lost, come twice or come late.
type psp struct {
	w          *world
	movesMoney bool // asking for a sale may take the money at once
	ownWord    bool // its news is as good as the answer to a look-up, and is signed so
	entries    map[string]*deed
	order      []string                // references, as they came
	tries      map[string]int          // attempts seen, by payment and kind
	asked      map[string]int          // calls, by reference
	sent       map[string]int          // of those, requests to do something
	flying     map[string]*deed        // requests that it will hear later
	names      map[string]string       // of deeds, by reference
	parts      map[string]id.Operation // of payouts sent, by reference
	refused    map[string]bool         // it was proved that it did not take the request
	unknown    map[string][]time.Time  // when it said that it knows no such thing
	calls      []time.Time             // from us
	downFrom   time.Time
	downTo     time.Time
	pausedFrom time.Time // takes no payouts
	pausedTo   time.Time
}

// deed is a sale, refund or payout as the provider knows it.
type deed struct {
	name    string // stable through changes of the plan: "2/sale/1"
	payment string // the merchant's
	refund  bool
	payout  bool
	of      *deed          // refund: the sale
	state   connector.Kind // Pending, Approved or Declined
	asked   money.Amount
	moved   money.Amount // what it moved, or will
	wrong   bool         // another amount than asked
	no      bool         // it was declined at some time
	silent  time.Time    // until then no look-up has an answer
	errs    time.Time    // payout: until then it is told as of another amount
	after   bool         // payout: it was heard of after it had been said twice that it is not known
	part    id.Operation // payout: the operation
	with    connector.Instrument
}

func newPSP(w *world) *psp {
	return &psp{
		w: w, movesMoney: w.draw("moves money") < 0.5, ownWord: w.draw("own word") < 0.5, entries: map[string]*deed{}, tries: map[string]int{}, asked: map[string]int{},
		sent: map[string]int{}, flying: map[string]*deed{}, names: map[string]string{}, parts: map[string]id.Operation{}, refused: map[string]bool{}, unknown: map[string][]time.Time{},
	}
}

// Capabilities says how this provider is.
func (p *psp) Capabilities() connector.Capabilities {
	return connector.Capabilities{
		Methods: []string{"paytm-wallet"}, PayoutBeyond: p.w.licensed != nil && p.w.licensed.model.Beyond, Refund: true, PartialRefund: true, SaleMovesMoney: p.movesMoney, Notifications: true, RedirectsToPage: true,
		LookupSchedule: []time.Duration{20 * time.Second, time.Minute, 5 * time.Minute},
	}
}

// find gives a deed by its reference, and a name for the call.
func (p *psp) find(o connector.Order) (e *deed, call string, known bool) {
	p.calls = append(p.calls, p.w.now)
	ref, payee := o.Reference(), p.w.nameOf(o.Attempt.Payment)
	p.asked[ref]++
	if _, named := p.names[ref]; !named {
		kind := fmt.Sprint(payee, "/", o.Attempt.Kind)
		p.tries[kind]++
		p.names[ref] = fmt.Sprint(kind, "/", p.tries[kind])
	}
	call = fmt.Sprint(p.names[ref], "/", p.asked[ref])
	if e, known = p.entries[ref]; known {
		return e, call, true
	}
	with := p.w.instrumentOf(payee)
	if o.Destination != "" {
		with = connector.Instrument{Token: o.Destination}
	}
	return &deed{
		part: o.Attempt.Operation, with: with,
		name: p.names[ref], payment: payee, refund: o.Attempt.Kind == payment.KindRefund, payout: o.Attempt.Kind == payment.KindPayout,
		state: connector.Pending, asked: o.Attempt.Amount, moved: o.Attempt.Amount,
	}, call, false
}

func (p *psp) keep(ref string, e *deed) {
	p.entries[ref] = e
	p.order = append(p.order, ref)
}

// begins is what may befall us before the request leaves.
func (p *psp) begins(call string) {
	p.w.crash(CrashBeforeCall, call)
	p.freeze("request", call)
}

// ends is what may befall us when the answer is here.
func (p *psp) ends(call string) {
	p.freeze("answer", call)
	p.w.crash(CrashAfterCall, call)
}

func (p *psp) freeze(at, call string) {
	p.w.freeze(p.w.current.of, at+" "+call)
	p.w.pause(0)
}

// down reports whether the provider answers 503.
func (p *psp) down() bool { return p.w.meets(PSPDown, p.downFrom, p.downTo) }

// unsent reports whether we may take a request for not sent: it was refused, or
// the provider has said twice, ten minutes apart, that it knows no such thing
// (L15); ten minutes of a clock that jumps are not ten.
func (p *psp) unsent(ref string) bool {
	said := p.unknown[ref]
	if p.refused[ref] || len(said) == 0 {
		return p.refused[ref]
	}
	return len(said) >= 2 && (p.w.injected[ClockJumps] > 0 || said[len(said)-1].Sub(said[0]) >= 10*time.Minute)
}

// lost is what may become of a request on its way; false if it arrives.
func (p *psp) lost(ref, call string, e *deed, hear func()) (connector.Outcome, bool) {
	w := p.w
	switch {
	case p.down():
		w.pause(time.Second)
		return connector.Outcome{Kind: connector.Unknown}, true
	case w.chance(Refused, call):
		p.refused[ref] = true
		return connector.Outcome{Kind: connector.NotSent}, true
	case w.chance(LostRequest, call):
		w.pause(20 * time.Second)
		return connector.Outcome{Kind: connector.Unknown}, true
	case w.chance(HearsLate, call):
		p.flying[ref] = e
		after := 30*time.Second + time.Duration(w.draw("flies", call)*float64(9*time.Minute))
		if w.draw("flies far", call) < 0.2 {
			after += 10 * time.Minute
		}
		w.later(after, call, func() {
			delete(p.flying, ref)
			if p.entries[ref] == nil { // else a repeat was faster
				hear()
			}
		})
		w.pause(20 * time.Second)
		return connector.Outcome{Kind: connector.Unknown}, true
	}
	return connector.Outcome{}, false
}

// Sale takes the money or gives a page, or does worse.
func (p *psp) Sale(_ context.Context, o connector.Order) connector.Outcome {
	w, ref := p.w, o.Reference()
	e, call, _ := p.find(o)
	p.begins(call)
	if p.sent[ref]++; p.sent[ref] > 1 {
		w.wrong("sale %s was sent twice under one reference", e.name)
	}
	p.alone(e)
	if out, lost := p.lost(ref, call, e, func() { p.sell(ref, e) }); lost {
		p.ends(call)
		return out
	}
	out := p.sell(ref, e)
	if out.Redirect != nil {
		p.customer(ref, e)
	}
	w.crash(CrashDuringCall, call)
	w.pause(w.span(5*time.Second, "thinks", call))
	p.ends(call)
	if w.chance(LostAnswer, call) {
		return connector.Outcome{Kind: connector.Unknown}
	}
	return out
}

// sell is what the provider does when it hears of a sale.
func (p *psp) sell(ref string, e *deed) connector.Outcome {
	w := p.w
	p.keep(ref, e)
	out := connector.Outcome{Kind: connector.Pending, ProviderID: "psp-" + e.name}
	x := w.draw("sale", e.name)
	switch {
	case x < 0.15:
		e.state, e.no = connector.Declined, true
		out.Kind, out.Code = connector.Declined, payment.CodeExternalFunds
		p.maybeChange(ref, e)
	case p.movesMoney && x < 0.4:
		p.settle(ref, e, connector.Approved)
		return p.say(e)
	case p.movesMoney && x < 0.6: // it takes its time, without the customer
		w.later(w.span(20*time.Minute, "slow", e.name), e.name, func() { p.decide(ref, e) })
	default:
		out.Redirect = &payment.Redirect{URL: "https://psp.example/" + ref, Method: "POST"}
	}
	return out
}

// alone finds a second sale of a payment whose first may have moved money.
func (p *psp) alone(e *deed) {
	if !p.movesMoney {
		return
	}
	twice := func(ref string, q *deed) {
		if q.payment == e.payment && !q.refund && !q.payout && !q.no && !p.unsent(ref) {
			p.w.wrong("sale %s was asked for while %s is %s", e.name, q.name, q.state)
		}
	}
	for _, ref := range p.order {
		twice(ref, p.entries[ref])
	}
	for _, ref := range slices.Sorted(maps.Keys(p.flying)) {
		twice(ref, p.flying[ref])
	}
}

// customer is sent to the page, and comes to a decision or not.
func (p *psp) customer(ref string, e *deed) {
	w := p.w
	if !p.ownWord && w.chance(NewsFalse, e.name) {
		w.later(w.span(2*time.Minute, "too early", e.name), e.name, func() {
			n := news{Name: e.name + "/too early", Reference: ref, Kind: connector.Approved, Minor: e.asked.Minor, Number: noRetry}
			w.planted.dead(n, false)
			p.post(n, n.Name, func(bool) {})
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
	switch {
	case to != connector.Approved || !p.w.chance(WrongAmount, e.name):
	case e.payout, e.refund:
		e.errs = p.w.now.Add(p.w.span(2*time.Hour, "errs", e.name))
		p.w.planted.mayBe(flow.CaseMismatch, ref)
	default:
		e.wrong = true
		e.moved.Minor++
	}
	if to == connector.Declined {
		p.maybeChange(ref, e)
	}
	if !e.refund || p.ownWord {
		p.notify(ref, e)
	}
}

// maybeChange has the provider take its no back.
func (p *psp) maybeChange(ref string, e *deed) {
	if e.refund || e.payout || !p.w.chance(MindChanged, e.name) {
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
		out.Amount, out.Instrument = p.told(e), p.instrument(e)
	}
	if e.state == connector.Declined {
		out.Code, out.Unusable = payment.CodeExternalDecline, e.payout && p.w.takesNone(e.with.Token)
	}
	return out
}

// instrument is what a sale was paid with, or a payout to.
func (p *psp) instrument(e *deed) connector.Instrument {
	if e.refund {
		return connector.Instrument{}
	}
	return e.with
}

// told is the amount that the provider says it has moved.
func (p *psp) told(e *deed) money.Amount {
	out := e.moved
	if p.w.now.Before(e.errs) {
		out.Minor++
	}
	return out
}

// Lookup says what became of a sale.
func (p *psp) Lookup(_ context.Context, o connector.Order) connector.Outcome { return p.lookup(o) }

// LookupRefund says what became of a refund.
func (p *psp) LookupRefund(_ context.Context, o connector.Order) connector.Outcome {
	return p.lookup(o)
}

// LookupPayout says what became of a payout.
func (p *psp) LookupPayout(_ context.Context, o connector.Order) connector.Outcome {
	return p.lookup(o)
}

func (p *psp) lookup(o connector.Order) connector.Outcome {
	w := p.w
	e, call, known := p.find(o)
	p.begins(call)
	switch {
	case p.down(), w.now.Before(e.silent):
		w.pause(time.Second)
		return connector.Outcome{Kind: connector.Unknown}
	case w.chance(SilentLookup, call):
		w.pause(10 * time.Second)
		return connector.Outcome{Kind: connector.Unknown}
	}
	out := connector.Outcome{Kind: connector.Pending, NoRecord: true}
	if known {
		out = p.say(e)
	} else {
		p.unknown[o.Reference()] = append(p.unknown[o.Reference()], w.now)
		w.planted.mayBe(flow.CaseConflict, o.Reference()) // heard after the PSP had taken it, it contradicts
	}
	w.pause(w.span(2*time.Second, "looks", call))
	p.ends(call)
	return out
}

// Refund gives money back, once for each reference.
func (p *psp) Refund(_ context.Context, o connector.Order) connector.Outcome {
	w, ref := p.w, o.Reference()
	e, call, known := p.find(o)
	p.begins(call)
	if p.sent[ref]++; p.sent[ref] > 1 && !p.unsent(ref) {
		w.wrong("refund %s was sent again, and nothing says that it was not sent", e.name)
	}
	if !known { // a repeat is safe
		p.owed(o, e)
		if out, lost := p.lost(ref, call, e, func() { p.giveBack(ref, e) }); lost {
			p.ends(call)
			return out
		}
		p.giveBack(ref, e)
		p.maybeSilent(ref, e)
	}
	w.crash(CrashDuringCall, call)
	w.pause(w.span(5*time.Second, "thinks", call))
	p.ends(call)
	if w.now.Before(e.silent) || w.chance(LostAnswer, call) {
		return connector.Outcome{Kind: connector.Unknown}
	}
	return p.say(e)
}

// maybeSilent has nobody at the provider know for days what became of it.
func (p *psp) maybeSilent(ref string, e *deed) {
	w, fault := p.w, UnknownDays
	if e.payout {
		fault = PayoutUnknown
	}
	if !w.chance(fault, e.name) {
		return
	}
	days := time.Duration((1 + 2*w.draw("days", e.name)) * float64(24*time.Hour))
	e.silent = w.now.Add(days)
	w.planted.mayBe(flow.CaseUnsettled, ref)
	if p.ownWord { // its news may come before
		return
	}
	if days > 25*time.Hour {
		w.planted.mustBe(flow.CaseUnsettled, ref)
	}
	if e.payout {
		w.later(days-time.Minute, "held/"+e.name, func() { p.held(ref, e) })
	}
}

// held finds a payout whose money is not reserved any more while nobody knows
// what became of it (T23).
func (p *psp) held(ref string, e *deed) {
	w, ctx := p.w, context.Background()
	k, err := id.ParseAttempt(ref)
	if err != nil {
		panic(err)
	}
	a, _, err1 := w.store.Attempt(ctx, k)
	pay, _, err2 := w.store.Payment(ctx, a.Payment)
	reserved, _, err3 := w.store.Account(ctx, ledger.AccountID(k.Bucket(), a.Payee, ledger.Reserved, e.asked.Currency))
	if err := errors.Join(err1, err2, err3); err != nil {
		panic(err)
	}
	if pay.Status != payment.StatusUnknown && (w.licensed == nil || pay.Status != payment.StatusPartiallyPaid) || reserved.Balance() < e.asked.Minor {
		w.wrong("payout %s is %s, and %d of %d are reserved, while nobody can know what became of it", e.name, pay.Status, reserved.Balance(), e.asked.Minor)
	}
}

// Payout sends money to a customer, once.
func (p *psp) Payout(_ context.Context, o connector.Order) connector.Outcome {
	w, ref := p.w, o.Reference()
	e, call, _ := p.find(o)
	p.begins(call)
	if p.sent[ref]++; p.sent[ref] > 1 {
		w.wrong("payout %s was sent twice under one reference", e.name)
	}
	for other, name := range p.names {
		if other == ref || p.sent[other] == 0 || !strings.HasPrefix(name, e.payment+"/") {
			continue
		}
		if w.licensed == nil || p.parts[other] == e.part && !p.unsent(other) {
			w.wrong("payout %s is sent, and was before as %s", e.name, name)
		}
	}
	p.parts[ref] = e.part
	if !w.now.Before(p.pausedFrom) && w.now.Before(p.pausedTo) && !w.quiet {
		w.injected[PayoutsDown]++
		p.refused[ref] = true
		p.ends(call)
		return connector.Outcome{Kind: connector.NotSent}
	}
	if out, lost := p.lost(ref, call, e, func() { p.sendOut(ref, e) }); lost {
		p.ends(call)
		return out
	}
	p.sendOut(ref, e)
	p.maybeSilent(ref, e)
	w.crash(CrashDuringCall, call)
	w.pause(w.span(5*time.Second, "thinks", call))
	p.ends(call)
	if w.now.Before(e.silent) || w.chance(LostAnswer, call) {
		return connector.Outcome{Kind: connector.Unknown}
	}
	return p.say(e)
}

// sendOut is what the provider does when it hears of a payout.
func (p *psp) sendOut(ref string, e *deed) {
	w := p.w
	e.after = p.unsent(ref)
	p.keep(ref, e)
	switch x := w.draw("payout", e.name); {
	case w.takesNone(e.with.Token):
		p.settle(ref, e, connector.Declined)
	case x < 0.4:
		p.settle(ref, e, connector.Approved)
	case x < 0.55:
		p.settle(ref, e, connector.Declined)
	default:
		w.later(w.span(time.Hour, "payout", e.name), e.name, func() { p.decide(ref, e) })
	}
}

// giveBack is what the provider does when it hears of a refund.
func (p *psp) giveBack(ref string, e *deed) {
	w := p.w
	more := e.of != nil && e.asked.Minor > e.of.moved.Minor-p.back(e.of, func(string) bool { return true })
	p.keep(ref, e)
	switch x := w.draw("refund", e.name); {
	case more: // one that was taken for not sent was heard of after all
		e.state, e.no = connector.Declined, true
	case x < 0.4:
		p.settle(ref, e, connector.Approved)
	case x < 0.55:
		p.settle(ref, e, connector.Declined)
	default:
		w.later(w.span(time.Hour, "refund", e.name), e.name, func() { p.decide(ref, e) })
	}
}

// back is how much of a sale goes back by those of its refunds that count.
func (p *psp) back(sale *deed, counts func(ref string) bool) (minor int64) {
	for ref, r := range p.entries {
		if r.of == sale && r.state != connector.Declined && counts(ref) {
			minor += r.moved.Minor
		}
	}
	return minor
}

// owed finds a refund of what was not paid, or of more; what we may take for not
// sent is not counted.
func (p *psp) owed(o connector.Order, e *deed) {
	sale := p.entries[o.Attempt.Of.String()]
	if sale == nil || sale.refund || sale.state != connector.Approved || sale.wrong || o.Attempt.OfProviderID != "psp-"+sale.name {
		p.w.broken = append(p.w.broken, fmt.Sprintf("refund %s is of %q, which is %+v", e.name, o.Attempt.OfProviderID, sale))
		return
	}
	e.of = sale
	if sum := e.asked.Minor + p.back(sale, func(ref string) bool { return !p.unsent(ref) }); sum > sale.moved.Minor {
		p.w.broken = append(p.w.broken, fmt.Sprintf("refund %s makes %d of %d", e.name, sum, sale.moved.Minor))
	}
}

// news is what a notification says.
type news struct {
	Name      string // for draws
	Reference string
	Kind      connector.Kind
	Minor     int64
	Number    int // notifications of one deed differ, as timestamps make real ones
}

// noRetry is the number of news that is wrong, and is sent once.
const noRetry = 99

// notify sends notifications of a deed, again until one was taken.
func (p *psp) notify(ref string, e *deed) {
	w := p.w
	copies := 1
	if w.chance(NewsTwice, e.name, e.state) {
		copies += 1 + int(w.draw("copies", e.name)*3)
	}
	for n := range copies {
		p.send(ref, e, e.state, n, 0)
	}
	if e.wrong || w.now.Before(e.errs) {
		w.planted.mayBe(flow.CaseMismatch, ref)
	}
	if w.chance(NewsWrong, e.name) {
		n := news{Name: e.name + "/wrong", Reference: ref, Kind: connector.Approved, Minor: e.asked.Minor + 7, Number: noRetry}
		w.planted.mayBe(flow.CaseMismatch, ref)
		p.post(n, n.Name, func(taken bool) {
			if taken {
				w.planted.mustBe(flow.CaseMismatch, ref)
			}
		})
	}
	if w.chance(NewsOfNobody, e.name) {
		nobody := id.Attempt(id.Derive(id.Bucket(int(w.draw("nobody", e.name)*buckets)), "nobody", e.name))
		n := news{Name: e.name + "/nobody", Reference: nobody.String(), Kind: connector.Approved, Minor: 1, Number: noRetry}
		w.planted.dead(n, false)
		p.post(n, n.Name, func(taken bool) { w.planted.dead(n, taken) })
	}
}

func (p *psp) send(ref string, e *deed, kind connector.Kind, number, try int) {
	w := p.w
	n := news{Name: fmt.Sprint(e.name, "/", kind, "/", number), Reference: ref, Kind: kind, Minor: p.told(e).Minor, Number: number}
	name := fmt.Sprint(n.Name, "/", try)
	if p.ownWord { // the same event again, unless it tells something else now
		n.Name, n.Number = fmt.Sprint(e.name, "/", kind, "/", n.Minor), 0
	}
	errs := e.wrong || n.Minor != e.moved.Minor
	w.later(w.span(time.Minute, "news", name)+time.Duration(min(try, 10))*time.Minute, name, func() {
		again := func() { p.send(ref, e, kind, number, try+1) }
		if w.chance(NewsLost, name) {
			again()
			return
		}
		if w.now.Before(e.silent) { // it may be given up before a look-up has an answer
			w.planted.dead(n, false)
		}
		p.post(n, name, func(taken bool) {
			switch {
			case !taken:
				again()
			case errs && kind == connector.Approved:
				w.planted.mustBe(flow.CaseMismatch, ref)
			}
		})
	})
}

// post brings a notification, and tells whether it was taken. One whose answer
// got lost may have been stored; the provider cannot know.
func (p *psp) post(n news, name string, taken func(bool)) {
	body, err := json.Marshal(n)
	if err != nil {
		panic(err)
	}
	p.w.request("post "+name, func(x *process) {
		answer := httptest.NewRecorder()
		x.public.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/n/sim/one", bytes.NewReader(body)))
		if answer.Code == http.StatusOK {
			p.w.acked = append(p.w.acked, ack{what: "notification " + n.Name, body: string(body)})
		}
		taken(answer.Code == http.StatusOK)
	}, func() { taken(false) })
}

// ReadNotification reads what post made. Nobody forges here: signatures are the
// connectors' own tests.
func (p *psp) ReadNotification(n connector.Notification) (connector.News, error) {
	var x news
	if err := json.Unmarshal(n.Body, &x); err != nil {
		return connector.News{}, fmt.Errorf("%w: %w", connector.ErrMalformed, err)
	}
	out := connector.News{Reference: x.Reference, Kind: x.Kind, Final: p.ownWord, EventID: x.Name}
	if e := p.entries[x.Reference]; e != nil && p.ownWord {
		out.ProviderID = "psp-" + e.name
		out.Instrument, out.Unusable = p.instrument(e), e.payout && x.Kind == connector.Declined && p.w.takesNone(e.with.Token)
	}
	if x.Kind == connector.Approved || p.ownWord { // which names what it is about
		out.Amount = money.Amount{Minor: x.Minor, Currency: "INR"}
	}
	return out, nil
}
