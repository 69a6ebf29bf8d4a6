package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/event"
	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/verify"
)

const all = 1_000_000

// rows are what the platform has stored.
type rows struct {
	payments   []payment.Payment
	operations []payment.Operation
	inbox      []payment.Inbox
	attempts   []payment.Attempt
	accounts   []ledger.Account
	transfers  []ledger.Transfer
	events     []event.Event
	deliveries []event.Delivery
	cases      []payment.Case
	calls      []fop.Call
}

func read(r book.Reader) rows {
	ctx := context.Background()
	var x rows
	var errs [10]error
	x.payments, errs[0] = r.ScanPayments(ctx, id.Payment{}, all)
	x.attempts, errs[1] = r.ScanAttempts(ctx, id.Attempt{}, all)
	x.accounts, errs[2] = r.ScanAccounts(ctx, id.Account{}, all)
	x.events, errs[3] = r.ScanEvents(ctx, id.Event{}, all)
	x.deliveries, errs[4] = r.ScanDeliveries(ctx, id.Delivery{}, all)
	x.cases, errs[5] = r.Cases(ctx, id.Case{}, all)
	x.operations, errs[6] = r.ScanOperations(ctx, id.Operation{}, all)
	x.inbox, errs[7] = r.ScanInbox(ctx, id.Inbox{}, all)
	x.transfers, errs[8] = r.ScanTransfers(ctx, id.Transfer{}, all)
	x.calls, errs[9] = r.ScanCalls(ctx, id.Call{}, all)
	for _, err := range errs {
		if err != nil {
			panic(err)
		}
	}
	return x
}

// judge says what of the run's end must not be.
func (w *world) judge() Result { return w.judgeRows(read(w.store)) }

// judgeRows is judge of a run that has left these rows.
func (w *world) judgeRows(x rows) Result {
	report, err := verify.Run(context.Background(), w.store, verify.Options{Homes: len(w.store) > 1})
	if err != nil {
		panic(err)
	}
	r := Result{
		Broken: append(w.broken, report.Violations...), Injected: w.injected, Points: w.points, Moves: map[[2]payment.Status]int{},
		Batches: w.batches, Shared: w.shared, Outbound: w.outbound(),
	}
	if w.injected[ClockJumps] > 0 { // whether somebody approved before it was sent is told by their clocks
		r.Broken = slices.DeleteFunc(r.Broken, func(s string) bool {
			return strings.Contains(s, "was sent with the approval of") || strings.Contains(s, "but no decision had allowed it")
		})
	}
	if w.stopped {
		return r
	}
	wrong := func(format string, args ...any) { r.Broken = append(r.Broken, fmt.Sprintf(format, args...)) }
	w.judgeAttempts(x, wrong)
	w.judgePayments(x, wrong)
	w.judgeBalances(x, wrong)
	w.judgeTold(x, wrong)
	w.judgeOrder(x, wrong)
	w.judgeHooks(x, wrong)
	w.judgeDeclines(x, wrong)
	w.judgeCases(x, wrong)
	w.judgeMoves(x, wrong)
	w.judgePayouts(x, wrong)
	w.judgeHouse(x, wrong)
	w.judgeGoogle(x, wrong)
	r.Model, r.Made = w.judgeByModel(), w.witness.Made()
	r.Broken = append(r.Broken, r.Model...)
	w.judgeAcked(x, wrong)
	r.Races = w.races(x)
	for _, e := range x.events {
		if e.From != e.To || e.Kind == event.RefundSucceeded {
			r.Moves[[2]payment.Status{e.From, e.To}]++
		}
	}
	var history strings.Builder
	fmt.Fprintln(&history, w.steps, w.now.Sub(w.begun), w.batches)
	for _, p := range x.payments {
		fmt.Fprintln(&history, p.ID, p.MerchantPaymentID, p.Status, p.Code, p.CapturedMinor, p.RefundedMinor, p.ChangedUS)
		if p.CapturedMinor > 0 {
			r.Captured++
		}
	}
	for _, a := range x.attempts {
		fmt.Fprintln(&history, a.ID, a.Kind, a.Status, a.Late, a.Lookups, a.ChangedUS)
		if a.Kind == payment.KindSale { // and not its refund
			r.Late += int(a.Late)
		}
	}
	for _, e := range x.events {
		fmt.Fprintln(&history, e.ID, e.Kind, e.AtUS)
	}
	for _, t := range x.transfers {
		fmt.Fprintln(&history, t.ID, t.Kind, t.Name, t.CreatedUS)
	}
	for _, c := range x.calls {
		fmt.Fprintln(&history, c.ID, c.Method, c.RequestID, c.State, c.Result, c.ChangedUS)
	}
	for _, d := range x.deliveries {
		fmt.Fprintln(&history, d.ID, d.State, d.Tries, d.Log)
	}
	r.History = history.String()
	return r
}

// judgeByModel: an independent model that was told the same has followed all
// that was committed (package model). It goes by the clock of whoever acts, so a
// clock that jumps is not for it.
func (w *world) judgeByModel() []string {
	if w.injected[ClockJumps] > 0 {
		return nil
	}
	wrong, err := w.witness.End(w.store)
	if err != nil {
		panic(err)
	}
	return wrong
}

// judgeAttempts: the provider's journal and ours are the same (C4).
func (w *world) judgeAttempts(x rows, wrong func(string, ...any)) {
	ours := map[string]bool{}
	for _, a := range x.attempts {
		ref := a.ID.String()
		ours[ref] = true
		e := w.psp.entries[ref]
		moved := e != nil && e.state == connector.Approved && !e.wrong
		if moved != (a.Status == payment.AttemptApproved) && !w.released(x, ref, e) {
			wrong("Attempt %s (%s of payment %s) is %s, but the provider says %+v.", ref, a.Kind, w.nameOf(a.Payment), a.Status, e)
		}
		switch {
		case a.Status == payment.AttemptDeclined && (e == nil || !e.no):
			wrong("Attempt %s (%s of payment %s) is %s, but the provider says %+v.", ref, a.Kind, w.nameOf(a.Payment), a.Status, e)
		case a.Status == payment.AttemptNotSent && !w.psp.unsent(ref) && w.psp.sent[ref] > 0:
			wrong("Attempt %s (%s of payment %s) is %s, and nothing says so: the provider knew no such thing at %v.", ref, a.Kind, w.nameOf(a.Payment), a.Status, w.psp.unknown[ref])
		}
		if e != nil && (e.refund || e.payout && !e.after) && a.Status != payment.AttemptApproved && a.Status != payment.AttemptDeclined {
			wrong("The %s %s is %s in the end.", a.Kind, ref, a.Status)
		}
	}
	for _, ref := range w.psp.order {
		if !ours[ref] {
			wrong("The provider knows %s (%s), we do not.", ref, w.psp.entries[ref].name)
		}
	}
}

// judgePayments: each payment has ended as its sales did.
func (w *world) judgePayments(x rows, wrong func(string, ...any)) {
	purchases := slices.DeleteFunc(slices.Clone(x.payments), func(p payment.Payment) bool { return p.Type == payment.TypePayout })
	if want := len(w.plan.Payments) - len(w.refused); len(purchases) != want {
		wrong("There are %d payments, want %d: one for each name that no limit has refused.", len(purchases), want)
	}
	for _, p := range purchases {
		name := w.nameOf(p.ID)
		sales, refunded := 0, int64(0)
		for ref, e := range w.psp.entries {
			switch {
			case e.payment != name || e.state != connector.Approved || e.wrong:
			case !e.refund:
				sales++
			case !late(x, ref):
				refunded += e.moved.Minor
			}
		}
		captured := p.CapturedMinor > 0
		switch {
		case !p.Status.Final():
			wrong("Payment %s is %s in the end.", name, p.Status)
		case captured && sales == 0:
			wrong("Payment %s is %s, but the provider has no sale of it.", name, p.Status)
		case !captured && sales > 0 && w.project.LateSuccess == project.LateCredit:
			wrong("Payment %s is %s, but the provider has %d sales of it, and late ones are credited.", name, p.Status, sales)
		case captured && p.CapturedMinor != p.Amount.Minor:
			wrong("Payment %s of %d has %d captured.", name, p.Amount.Minor, p.CapturedMinor)
		case p.RefundedMinor != refunded || p.RefundingMinor != 0:
			wrong("Payment %s says %d refunded and %d under way; the provider says %d.", name, p.RefundedMinor, p.RefundingMinor, refunded)
		}
		lateSales := 0
		for _, a := range x.attempts {
			if a.Payment == p.ID && a.Kind == payment.KindSale && a.Late != 0 {
				lateSales++
			}
		}
		credited := captured && w.project.LateSuccess == project.LateCredit && lateSales == sales
		if want := sales - 1; captured && !credited && lateSales != want || !captured && lateSales != sales {
			wrong("Payment %s is %s with %d sales at the provider, %d of them booked late.", name, p.Status, sales, lateSales)
		}
	}
}

// late reports whether a refund is that of late money, which is not of the
// payment's own sums.
func late(x rows, ref string) bool {
	return slices.ContainsFunc(x.attempts, func(a payment.Attempt) bool { return a.Late != 0 && a.ID.String() == ref })
}

// judgeDeclines: a payment is declined by its time, not before it and not long
// after, or because the provider said no (L15, C11).
func (w *world) judgeDeclines(x rows, wrong func(string, ...any)) {
	for _, e := range x.events {
		if e.Kind != event.PaymentDeclined {
			continue
		}
		s, err := book.SnapshotOf(context.Background(), w.store, e)
		if err != nil {
			panic(err)
		}
		switch late := e.AtUS - s.Payment.LimitUS; {
		case s.Payment.Code == payment.CodeAutoDecline && (late < 0 || late > w.lateness().Microseconds()):
			wrong("Payment %s was declined by time %d us after its limit.", w.nameOf(e.Payment), late)
		case w.licensed != nil && (s.Payment.Code == payment.CodeRejectAmount || s.Payment.Code == payment.CodeRejectCustomer): // a limit or restriction: the model knows whether
		case s.Payment.Code != payment.CodeAutoDecline && s.Attempt.Status != payment.AttemptDeclined && s.Attempt.Status != payment.AttemptNotSent:
			wrong("Payment %s was declined with code %s while its attempt was %s.", w.nameOf(e.Payment), s.Payment.Code, s.Attempt.Status)
		}
	}
}

// lateness is how long after its limit a payment may be declined: the time in
// which processes were dead or stood still, at most 40 s or two minutes each
// time, and more with a store that is away at every second look, or clocks that
// jump.
func (w *world) lateness() time.Duration {
	late := 30*time.Minute + time.Duration(w.injected[Frozen])*2*time.Minute
	if w.injected[ClockJumps] > 0 {
		late += 90 * time.Minute
	}
	for f, n := range w.injected {
		if strings.HasPrefix(string(f), "crash_") {
			late += time.Duration(n) * 40 * time.Second
		}
	}
	return late
}

// judgeBalances: our clearing account is the provider's balance, and nothing is
// reserved (C1, C4, C13).
func (w *world) judgeBalances(x rows, wrong func(string, ...any)) {
	want := int64(0)
	for ref, e := range w.psp.entries {
		switch {
		case e.state != connector.Approved || e.wrong || w.released(x, ref, e):
		case e.refund, e.payout:
			want -= e.moved.Minor
		default:
			want += e.moved.Minor
		}
	}
	clearing, due := int64(0), int64(0)
	for _, a := range x.accounts {
		if a.Purpose == ledger.Clearing {
			clearing += a.Balance()
		}
		if a.Purpose == ledger.RefundDue {
			due += a.Balance()
		}
		if a.Purpose == ledger.Reserved && a.Balance() != 0 {
			wrong("%d minor units of %s are still reserved.", a.Balance(), a.Owner)
		}
	}
	if clearing != want {
		wrong("Our clearing account is at %d, the provider at %d.", clearing, want)
	}
	owed, sales, refunds := int64(0), 0, 0
	for _, a := range x.attempts {
		switch {
		case a.Late == 0:
		case a.Kind == payment.KindSale:
			owed += a.Amount.Minor
			sales++
		default:
			refunds++
			if a.Status == payment.AttemptApproved {
				owed -= a.Amount.Minor
			}
		}
	}
	for _, e := range x.events {
		if e.From == payment.StatusDeclined && e.To == payment.StatusCaptured { // a late success was credited
			s, err := book.SnapshotOf(context.Background(), w.store, e)
			if err != nil {
				panic(err)
			}
			owed -= s.Payment.Amount.Minor
		}
	}
	if due != owed {
		wrong("%d minor units are owed for late money, want %d.", due, owed)
	}
	if w.project.LateSuccess == project.LateRefund && refunds != sales {
		wrong("%d late sales have %d refunds.", sales, refunds)
	}
}

// judgeTold: the merchant has all that is to be told, or it is a dead letter
// because he would not have it (C6).
func (w *world) judgeTold(x rows, wrong func(string, ...any)) {
	told := map[id.Event]bool{}
	for _, d := range x.deliveries {
		if d.Door == event.DoorWebhook {
			continue
		}
		told[d.Event] = true
		body := w.merchant.bodies[d.Event.String()]
		_, heard := w.merchant.heard[d.Event.String()]
		poisoned := w.merchant.poisoned[d.Event.String()]
		switch {
		case poisoned && (d.State != event.DeliveryDead || d.Tries != scheduled):
			wrong("Delivery %s is %s after %d tries, and the merchant has refused it for ever.", d.ID, d.State, d.Tries)
		case poisoned:
		case d.State != event.DeliveryDelivered:
			wrong("Delivery %s is %s in the end.", d.ID, d.State)
		case !heard || body != d.Body:
			wrong("Delivery %s is delivered as %q; the merchant has %q.", d.ID, d.Body, body)
		case w.only(Poison): // what is behind a poisoned one waits for its first phase, and no longer (T17)
			told := w.merchant.heard[d.Event.String()].Sub(time.UnixMicro(d.CreatedUS)) - w.settings(w.nameOf(d.Payment)).delay
			if told > hold+15*time.Second {
				wrong("Delivery %s was told %s after its event, and nothing but another event kept it.", d.ID, told)
			}
		}
	}
	for _, e := range x.events {
		if e.Payment.IsZero() {
			continue // of an endpoint
		}
		if want := w.address(w.nameOf(e.Payment), e.Kind) != ""; want != told[e.ID] {
			wrong("Event %s of payment %s is told: %t, want %t.", e.Kind, w.nameOf(e.Payment), told[e.ID], want)
		}
	}
}

// scheduled is how often a callback is tried (ecommpay.md 4.1).
const scheduled = 120

// only reports whether nothing went wrong but f.
func (w *world) only(f Fault) bool {
	for g, n := range w.injected {
		if g != f && n > 0 {
			return false
		}
	}
	return true
}

// hold is how long a newer event of a payment waits for an older one that the
// merchant will not take: the first phase of the schedule (ecommpay.md 4.1).
const hold = time.Minute

// judgeOrder: what happened first to a payment is told first, at least for the
// first phase of its schedule, and nothing is told before its delay is over.
func (w *world) judgeOrder(x rows, wrong func(string, ...any)) {
	if w.injected[ClockJumps] > 0 {
		return // whose minute?
	}
	byID := map[id.Delivery]event.Delivery{}
	for _, d := range x.deliveries {
		byID[d.ID] = d
	}
	for _, d := range x.deliveries {
		if d.Door == event.DoorWebhook {
			continue // no order is promised
		}
		began, ok := w.merchant.began[d.Event.String()]
		if !ok {
			continue
		}
		delay := w.settings(w.nameOf(d.Payment)).delay
		if due := time.UnixMicro(d.CreatedUS).Add(delay); began.Before(due) {
			wrong("Delivery %s was sent %s too early.", d.ID, due.Sub(began))
		}
		for older, ok := byID[d.Prev]; ok; older, ok = byID[older.Prev] {
			ended, heard := w.merchant.heard[older.Event.String()]
			if heard && !ended.After(began) {
				continue
			}
			if until := time.UnixMicro(older.CreatedUS).Add(delay + hold); began.Before(until) {
				wrong("Payment %s: delivery %s was sent %s before its turn: %s was not there yet.", w.nameOf(d.Payment), d.ID, until.Sub(began), older.ID)
			}
		}
	}
}

// planted are the discrepancies that the world has made: cases and dead
// letters that there must be, or may be where the platform may never have
// heard. There must be no others (C12).
type planted struct {
	must, may map[string]bool // cases, by kind and attempt
	news      map[string]bool // notifications that name nobody or prove false; true: one must be a dead letter
}

func (p *planted) mustBe(kind, ref string) { p.must[kind+" of "+ref] = true }
func (p *planted) mayBe(kind, ref string)  { p.may[kind+" of "+ref] = true }

func (p *planted) dead(n news, must bool) {
	body, err := json.Marshal(n)
	if err != nil {
		panic(err)
	}
	p.news[string(body)] = must
}

// judgeCases: each discrepancy that was planted is a case, and no other is (C12).
func (w *world) judgeCases(x rows, wrong func(string, ...any)) {
	for ref, e := range w.psp.entries {
		if e.wrong {
			w.planted.mayBe(flow.CaseMismatch, ref)
		}
		if e.no || w.psp.unsent(ref) { // what it said is not what it says, or it hears after all
			w.planted.mayBe(flow.CaseConflict, ref)
		}
	}
	for _, a := range x.attempts {
		if a.Kind == payment.KindSale && a.Late != 0 {
			w.planted.mustBe(flow.CaseLateSuccess, a.ID.String())
		}
	}
	have := map[string]bool{}
	for _, c := range x.cases {
		var about struct{ Attempt string }
		if err := json.Unmarshal([]byte(c.Details), &about); err != nil {
			panic(err)
		}
		name := c.Kind + " of " + about.Attempt
		if c.Kind == flow.CasePayoutReview && w.licensed != nil {
			continue // judgeHouse
		}
		have[name] = true
		if !w.planted.must[name] && !w.planted.may[name] {
			wrong("There is a case %s, and nothing was wrong: %s", name, c.Details)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.planted.must)) {
		if !have[name] {
			wrong("There is no case %s.", name)
		}
	}
	for _, n := range x.inbox {
		must, known := w.planted.news[n.Body]
		switch {
		case n.State == payment.InboxDead && !known:
			wrong("Notification %s is a dead letter: %s", n.Body, n.Reason)
		case n.State != payment.InboxDead && must:
			wrong("Notification %s names nobody, and is %s: %s", n.Body, n.State, n.Reason)
		}
	}
}

// judgeAcked: what a client has seen is there, and as it saw it (C2).
func (w *world) judgeAcked(x rows, wrong func(string, ...any)) {
	payments, operations, transfers, bodies := map[id.Payment]int64{}, map[id.Operation]int64{}, map[id.Transfer]int64{}, map[string]bool{}
	for _, p := range x.payments {
		payments[p.ID] = p.Amount.Minor
	}
	for _, o := range x.operations {
		operations[o.ID] = o.Amount.Minor
	}
	for _, t := range x.transfers {
		transfers[t.ID] = debited(t)
	}
	for _, n := range x.inbox {
		bodies[n.Body] = true
	}
	for _, a := range w.acked {
		amount, ok := payments[a.payment]
		if !a.operation.IsZero() {
			amount, ok = operations[a.operation]
		}
		if !a.transfer.IsZero() {
			amount, ok = transfers[a.transfer]
		}
		if a.body != "" {
			amount, ok = 0, bodies[a.body]
		}
		if !ok || amount != a.amount {
			wrong("A client was told of %s of %d; there is %d (found: %t).", a.what, a.amount, amount, ok)
		}
	}
}
