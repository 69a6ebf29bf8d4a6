package sim

import (
	"context"
	"fmt"
	"slices"
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
)

// Spoiler changes what was seen of a run, or the rows that it has left.
type Spoiler struct {
	Says string // what must be said of it; it may be where a run has what is spoiled
	with func(w *world, x *rows)
	only Fault // the plan's only fault, where another one would excuse it
}

// Spoil runs a plan, changes something of what was seen, and judges.
func Spoil(p Plan, s Spoiler) []string {
	w := run(p)
	x := read(w.store)
	s.with(w, &x)
	return w.judgeRows(x).Broken
}

// Faults are those that a plan to be spoiled has.
func (s Spoiler) Faults() []Fault {
	if s.only != "" {
		return []Fault{s.only}
	}
	return []Fault{Refused, MindChanged, NewsWrong, MerchantFails, NewsOfNobody, Late}
}

// Spoilers are one for each sentence of the judges, by name.
var Spoilers = map[string]Spoiler{
	"a planted case is not there": {Says: "There is no case", with: func(w *world, _ *rows) {
		w.planted.mustBe(flow.CaseMismatch, "nothing")
	}},
	"a case that nobody planted": {Says: "and nothing was wrong", with: func(w *world, _ *rows) {
		w.planted.must, w.planted.may = map[string]bool{}, map[string]bool{}
		for ref, e := range w.psp.entries {
			e.wrong, e.no = false, false
			w.psp.refused[ref], w.psp.unknown[ref] = false, nil
		}
	}},
	"an answer that is not stored": {Says: "A client was told of", with: func(w *world, _ *rows) {
		w.acked = append(w.acked, ack{what: "payment of nobody", payment: id.Payment{1}, amount: 1})
	}},
	"a move of a wallet that is not stored": {Says: "A client was told of stake", with: func(_ *world, x *rows) { x.transfers = nil }},
	"a move of a wallet that nobody answered": {Says: "has no answer", with: func(w *world, _ *rows) {
		w.unanswered["somebody's"] = true
	}},
	"a move of a wallet that is made twice": {Says: "is made twice", with: func(_ *world, x *rows) {
		x.transfers = append(x.transfers, x.transfers...)
	}},
	"a dead letter that is not one": {Says: "names nobody, and is", with: func(w *world, x *rows) {
		for _, n := range x.inbox {
			w.planted.news[n.Body] = true
		}
	}},
	"a dead letter too many": {Says: "is a dead letter:", with: each(notices, nil, func(n *payment.Inbox) { n.State = payment.InboxDead })},
	"a callback out of its turn": {Says: "before its turn", with: func(w *world, x *rows) {
		for _, d := range x.deliveries {
			w.merchant.heard[d.Event.String()] = w.now
		}
	}},
	"a callback before its delay": {Says: "too early", with: func(w *world, _ *rows) {
		for k := range w.merchant.began {
			w.merchant.began[k] = w.begun
		}
	}},
	"a callback to nobody": {Says: "is told: true, want false", with: func(w *world, _ *rows) {
		w.plan.Seed++ // another merchant, with other wishes
	}},
	"an event that nobody was told of": {Says: "is told: false, want true", with: func(_ *world, x *rows) { x.deliveries = nil }},
	"a callback in other bytes": {Says: "the merchant has", with: func(w *world, _ *rows) {
		for k := range w.merchant.bodies {
			w.merchant.bodies[k] += " "
		}
	}},
	"a callback that is still to be sent": {Says: "in the end", with: each(deliveries, nil, func(d *event.Delivery) { d.State = event.DeliveryPending })},
	"a poisoned callback that was taken": {Says: "has refused it for ever", only: Poison, with: func(w *world, x *rows) {
		for n, d := range x.deliveries {
			if w.merchant.poisoned[d.Event.String()] {
				x.deliveries[n].State = event.DeliveryDelivered
			}
		}
	}},
	"a callback held up by a poisoned one for long": {Says: "nothing but another event kept it", only: Poison, with: each(deliveries, nil, func(d *event.Delivery) {
		d.CreatedUS -= time.Hour.Microseconds()
	})},
	"not sent, and nothing says so": {Says: "and nothing says so", with: func(w *world, _ *rows) {
		w.psp.refused, w.psp.unknown = map[string]bool{}, map[string][]time.Time{}
	}},
	"the provider moved another sum": {Says: "Our clearing account is", with: func(w *world, _ *rows) {
		for _, e := range w.psp.entries {
			e.moved.Minor++
		}
	}},
	"the provider knows another sale": {Says: "we do not", with: func(w *world, _ *rows) {
		w.psp.keep("another", &deed{name: "another"})
	}},
	"a sale that the provider never carried out": {
		Says: "is approved, but the provider says",
		with: each(attempts, func(a payment.Attempt) bool { return a.Status == payment.AttemptDeclined }, func(a *payment.Attempt) { a.Status = payment.AttemptApproved }),
	},
	"a decline that the provider never said": {
		Says: "is declined, but the provider says",
		with: each(attempts, func(a payment.Attempt) bool { return a.Status != payment.AttemptApproved }, func(a *payment.Attempt) { a.Status = payment.AttemptDeclined }),
	},
	"a payout made twice": {Says: "is made twice: as pay_", with: func(_ *world, x *rows) {
		x.payments = append(x.payments, slices.DeleteFunc(slices.Clone(x.payments), isPurchase)...)
	}},
	"a payout that nobody was told of": {Says: "and nobody was told so", with: func(w *world, _ *rows) { w.acked = nil }},
	"a payout without an end":          {Says: "is unknown in the end", with: each(payments, isPayout, func(p *payment.Payment) { p.Status = payment.StatusUnknown })},
	"a payout that the provider never made": {
		Says: "is paid, and the provider has paid it: false",
		with: each(payments, isFailedPayout, func(p *payment.Payment) { p.Status = payment.StatusPaid }),
	},
	"a payout that the provider has twice": {Says: "The provider has 2 payouts for", with: func(w *world, _ *rows) {
		for _, ref := range slices.Clone(w.psp.order) {
			if e := w.psp.entries[ref]; e.payout {
				w.psp.keep(ref+"-again", e)
			}
		}
	}},
	"a payout that is sent twice": {Says: "was sent twice under one reference", with: func(w *world, x *rows) { sendAgain(w, x, false) }},
	"a payout that is sent anew":  {Says: "is sent, and was before as", with: func(w *world, x *rows) { sendAgain(w, x, true) }},
	"a payout that is given back while it is not known": {Says: "while nobody can know what became of it", with: func(w *world, _ *rows) {
		for _, ref := range w.psp.order {
			if e := w.psp.entries[ref]; e.payout {
				w.psp.held(ref, e)
			}
		}
	}},
	"a payout's case without an end": {Says: "is open in the end", with: each(cases, isReview, func(c *payment.Case) { c.State = payment.CaseOpen })},
	"a part of a payout that nobody paid": {
		Says: "and the provider has paid it 0 times",
		with: each(operations, isPart, func(o *payment.Operation) { o.Status = payment.OperationSuccess }),
	},
	"a part of a payout that is paid and given back": {
		Says: "and the provider has paid it 1 times",
		with: each(operations, isPart, func(o *payment.Operation) { o.Status = payment.OperationDecline }),
	},
	"a payout that says that more was paid": {Says: "back; the provider has paid", with: each(payments, isPayout, func(p *payment.Payment) { p.CapturedMinor++ })},
	"a refund without an end": {
		Says: "The refund att_",
		with: each(attempts, func(a payment.Attempt) bool { return a.Kind == payment.KindRefund }, func(a *payment.Attempt) { a.Status = payment.AttemptUnknown }),
	},
	"a payment is missing":           {Says: "one for each name", with: func(_ *world, x *rows) { x.payments = x.payments[1:] }},
	"a payment without an end":       {Says: "is pending in the end", with: each(payments, nil, func(p *payment.Payment) { p.Status = payment.StatusPending })},
	"a capture that nobody paid":     {Says: "has no sale of it", with: each(payments, isDeclined, func(p *payment.Payment) { p.CapturedMinor = p.Amount.Minor })},
	"a capture of another amount":    {Says: "captured.", with: each(payments, isCaptured, func(p *payment.Payment) { p.CapturedMinor++ })},
	"a refund that nobody has":       {Says: "refunded and", with: each(payments, nil, func(p *payment.Payment) { p.RefundedMinor++ })},
	"a refund that is still held":    {Says: "under way; the provider says", with: each(payments, nil, func(p *payment.Payment) { p.RefundingMinor++ })},
	"a sale that was not late":       {Says: "of them booked late", with: each(attempts, isSold, func(a *payment.Attempt) { a.Late = 1 })},
	"money that is still reserved":   {Says: "are still reserved", with: each(accounts, holds(ledger.Reserved), func(a *ledger.Account) { a.Minor -= 5 })},
	"more is owed for late money":    {Says: "are owed for late money", with: each(accounts, holds(ledger.RefundDue), func(a *ledger.Account) { a.Minor -= 5 })},
	"late money was credited to one": {Says: "and late ones are credited", with: func(w *world, x *rows) { uncaptured(w, x) }},
	"late money did not go back": {Says: "late sales have", only: Late, with: func(w *world, x *rows) {
		w.project.LateSuccess = project.LateRefund
		x.attempts = slices.DeleteFunc(x.attempts, func(a payment.Attempt) bool { return a.Kind == payment.KindRefund && a.Late != 0 })
	}},
	"declined before its time": {Says: "us after its limit", with: each(events, isExpiry, func(e *event.Event) { e.AtUS -= time.Hour.Microseconds() })},
	"declined for nothing": {Says: "while its attempt was", with: func(w *world, x *rows) {
		for _, e := range x.events {
			s, err := book.SnapshotOf(context.Background(), w.store, e)
			if err == nil && s.Attempt.Status == payment.AttemptApproved {
				e.Kind = event.PaymentDeclined
				x.events = append(x.events, e)
				return
			}
		}
	}},
	"a refund of what was not paid": {Says: "which is", with: func(w *world, x *rows) {
		for _, a := range x.attempts {
			if a.Kind == payment.KindRefund {
				a.OfProviderID = "another"
				w.psp.owed(connector.Order{Attempt: a}, &deed{name: "again"})
			}
		}
	}},
	"Google's call that is there twice": {Says: "is there twice: as", with: func(_ *world, x *rows) { x.calls = append(x.calls, x.calls...) }},
	"Google's call that Google never made": {
		Says: "and Google has no answer to it", with: googles(func(g *google) { g.calls = nil }),
	},
	"an answer to Google that is not stored": {Says: "was answered with", with: calls(answered, func(c *googleCall) { c.answer += " " })},
	"two answers to Google under one name":   {Says: "are of one name, and both were answered", only: GoogleOther, with: calls(nil, func(c *googleCall) { c.answer += " " })},
	"Google knows of another end":            {Says: "Google knows of", with: calls(answered, func(c *googleCall) { c.result = "LOST" })},
	"Google's purchase that moved no money":  {Says: "it moved 0 in 0 transfers", with: func(_ *world, x *rows) { x.transfers = nil }},
	"Google's purchase of another amount":    {Says: "in 1 transfers, want", with: calls(answered, func(c *googleCall) { c.amount.Minor++ })},
	"more given back than Google took": {
		Says: "which is more than it took", with: calls(isBack, func(c *googleCall) { c.amount.Minor += 1_000_000 }),
	},
	"Google has to get more":                  {Says: "What Google has to get differs by", with: each(accounts, holds(ledger.Receivable), func(a *ledger.Account) { a.Minor -= 5 })},
	"Google never heard how a purchase ended": {Says: "and Google was told map[]", with: googles(func(g *google) { g.told = nil })},
	"Google heard otherwise of a refund":      {Says: "Google's refund ", with: refundsTold("LOST")},
	"Google heard of a refund that it had heard of": {
		Says: ", and had heard of it", with: refundsTold(fop.Success),
	},
	"Google heard of what it never bought": {Says: "and knows no such call", with: googles(func(g *google) {
		g.told["captureResultNotification ghost"] = map[fop.Result]int64{fop.Success: 1}
	})},
	"a refund of more than was paid": {Says: " makes ", with: func(w *world, x *rows) {
		for _, a := range x.attempts {
			if a.Kind == payment.KindRefund {
				more := a.Amount
				more.Minor += 1_000_000_000
				w.psp.owed(connector.Order{Attempt: a}, &deed{name: "again", asked: more})
			}
		}
	}},
}

// googles spoils Google's journal, if there is one.
func googles(spoil func(*google)) func(*world, *rows) {
	return func(w *world, _ *rows) {
		if w.google != nil {
			spoil(w.google)
		}
	}
}

// calls spoils the calls of that journal that are wanted; nil wants all.
func calls(wanted func(*googleCall) bool, spoil func(*googleCall)) func(*world, *rows) {
	return googles(func(g *google) {
		for _, c := range g.calls {
			if wanted == nil || wanted(c) {
				spoil(c)
			}
		}
	})
}

func answered(c *googleCall) bool { return c.answer != "" }
func isBack(c *googleCall) bool   { return c.Method == fop.Refund && c.result == fop.Success }

// refundsTold has Google told this of all refunds.
func refundsTold(result fop.Result) func(*world, *rows) {
	return googles(func(g *google) {
		for _, c := range g.calls {
			if c.Method == fop.Refund && c.answer != "" {
				g.told[tellsOf[c.Method]+" "+c.RequestID] = map[fop.Result]int64{result: 1}
			}
		}
	})
}

// each spoils the rows of a kind that are wanted; nil wants all.
func each[R any](of func(*rows) []R, wanted func(R) bool, spoil func(*R)) func(*world, *rows) {
	return func(_ *world, x *rows) {
		list := of(x)
		for n := range list {
			if wanted == nil || wanted(list[n]) {
				spoil(&list[n])
			}
		}
	}
}

func payments(x *rows) []payment.Payment  { return x.payments }
func attempts(x *rows) []payment.Attempt  { return x.attempts }
func accounts(x *rows) []ledger.Account   { return x.accounts }
func events(x *rows) []event.Event        { return x.events }
func deliveries(x *rows) []event.Delivery { return x.deliveries }
func notices(x *rows) []payment.Inbox     { return x.inbox }

func cases(x *rows) []payment.Case           { return x.cases }
func operations(x *rows) []payment.Operation { return x.operations }

func isReview(c payment.Case) bool          { return c.Kind == flow.CasePayoutReview }
func isPart(o payment.Operation) bool       { return o.Kind == payment.KindPayout }
func isPayout(p payment.Payment) bool       { return p.Type == payment.TypePayout }
func isPurchase(p payment.Payment) bool     { return !isPayout(p) }
func isFailedPayout(p payment.Payment) bool { return p.Status == payment.StatusFailed }

// sendAgain asks the provider for a run's payouts once more, under their
// references or under others.
func sendAgain(w *world, x *rows, anew bool) {
	for n, a := range x.attempts {
		if a.Kind != payment.KindPayout {
			continue
		}
		if anew {
			a.ID = id.Attempt(id.Derive(a.ID.Bucket(), "anew", fmt.Sprint(n)))
		}
		p := &process{w: w}
		w.spawn(p, "again", func() { w.psp.Payout(context.Background(), connector.Order{Attempt: a}) }, nil)
		for _, t := range slices.Clone(p.tasks) {
			w.resume(t) // it has waited once before it is sent
			t.stop()
		}
	}
}

func isDeclined(p payment.Payment) bool { return p.Status == payment.StatusDeclined }
func isCaptured(p payment.Payment) bool { return p.CapturedMinor > 0 }
func isSold(a payment.Attempt) bool {
	return a.Kind == payment.KindSale && a.Status == payment.AttemptApproved && a.Late == 0
}
func isExpiry(e event.Event) bool { return e.Kind == event.PaymentDeclined }

func holds(of ledger.Purpose) func(ledger.Account) bool {
	return func(a ledger.Account) bool { return a.Purpose == of }
}

// uncaptured has a paid payment not captured, in a project that credits what comes late.
func uncaptured(w *world, x *rows) {
	w.project.LateSuccess = project.LateCredit
	for n, p := range x.payments {
		if isCaptured(p) {
			x.payments[n].CapturedMinor, x.payments[n].Status = 0, payment.StatusDeclined
		}
	}
}
