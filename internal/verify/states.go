package verify

import (
	"slices"

	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/payment"
)

// judge checks a payment with all its rows.
func (c *checker) judge(h *history) {
	for _, sentence := range h.broken() {
		c.violation(C13, "%s", sentence)
	}
	c.judgeType(h)
	c.judgePlaces(h)
	c.judgeOperations(h)
	c.judgeAttempts(h)
	c.judgeTime(h)
	c.judgeEvents(h)
	c.judgeDeliveries(h)
	c.judgeWebhooks(h)
	c.judgeTransfers(h)
	c.judgeAmounts(h)
	c.hold(h)
	c.countPayment(h)
	c.takeWays(h)
	c.handleLate(h)
	c.judgeAsked(h)
	c.judgeMoved(h)
	c.judgeReceived(h)
	c.name(h)
}

// judgePlaces: every row of a payment lies in its bucket (design section 3).
func (c *checker) judgePlaces(h *history) {
	b := h.payment.ID.Bucket()
	stray := func(what string, at id.Bucket) {
		if at != b {
			c.violation(C13, "%s lies in bucket %d, its payment %s in %d.", what, at, h.payment.ID, b)
		}
	}
	for _, o := range h.operations {
		stray("Operation "+o.ID.String(), o.ID.Bucket())
	}
	for _, a := range h.attempts {
		stray("Attempt "+a.ID.String(), a.ID.Bucket())
	}
	for _, e := range h.events {
		stray("Event "+e.ID.String(), e.ID.Bucket())
	}
	for _, d := range h.deliveries {
		stray("Delivery "+d.ID.String(), d.ID.Bucket())
	}
	for _, t := range h.transfers {
		stray("Transfer "+t.ID.String(), t.ID.Bucket())
	}
}

// maxNumber bounds what Gate can show as an operation's id (2^53).
const maxNumber = 1 << 53

// judgeOperations: the chain holds all operations, at least one of them a sale, or
// one that pays out, and their statuses go with the payment's (C5).
func (c *checker) judgeOperations(h *history) {
	p := &h.payment
	chain, _ := h.operationChain()
	for n := range h.operations {
		o := &h.operations[n]
		if !slices.Contains(chain, o) {
			c.violation(C13, "Operation %s is not in the chain of payment %s.", o.ID, p.ID)
		}
		if o.Number <= 0 || o.Number >= maxNumber {
			c.violation(C5, "Operation %s has the number %d, which is not below 2^53.", o.ID, o.Number)
		}
		if o.Amount.Currency != p.Amount.Currency || o.Amount.Minor <= 0 {
			c.violation(C3, "Operation %s is of %d %s, its payment %s in %s.", o.ID, o.Amount.Minor, o.Amount.Currency, p.ID, p.Amount.Currency)
		}
	}
	if p.Type == payment.TypePayout {
		c.judgePayout(h)
		return
	}
	c.judgeSales(h, chain)
}

// judgeSales: a payment is paid once. It has one sale, or several that the
// customer tried one after another: all but one are declined, and that one, the
// newest while the payment is open, stands where the payment does.
func (c *checker) judgeSales(h *history, newestFirst []*payment.Operation) {
	p := &h.payment
	var telling *payment.Operation
	manual := false
	for _, o := range newestFirst {
		switch o.Kind {
		case payment.KindSale:
			if o.Amount != p.Amount {
				c.violation(C3, "Sale %s is of %d minor units, its payment %s of %d.", o.ID, o.Amount.Minor, p.ID, p.Amount.Minor)
			}
			switch {
			case telling == nil:
				telling = o
			case o.Status == payment.OperationDecline:
			case telling.Status == payment.OperationDecline && p.Status.Final():
				telling = o
			default:
				c.violation(C3, "Payment %s has the sales %s (%s) and %s (%s); all but one must be declined.", p.ID, telling.ID, telling.Status, o.ID, o.Status)
			}
		case payment.KindManualChange:
			manual = true
		case payment.KindRefund:
		case payment.KindPayout:
			c.violation(C13, "Payment %s has operation %s, which pays out.", p.ID, o.ID)
		}
	}
	if telling == nil {
		c.violation(C13, "Payment %s has no sale.", p.ID)
		return
	}
	for _, o := range newestFirst {
		if o.Kind == payment.KindSale && (o.Status == payment.OperationSuccess) != h.paid(o) {
			c.violation(C5, "Sale %s is %s, which does not go with its attempts.", o.ID, o.Status)
		}
	}
	if offered := p.RetryOffered(); (p.Awaiting != payment.AwaitedAtPSP && p.Status != payment.StatusAwaitingCustomer) ||
		(offered && (p.TriesLeft <= 0 || p.RetryUS <= 0 || p.RetryUS > p.LimitUS)) || p.TriesLeft < 0 {
		c.violation(C5, "Payment %s is %s awaiting %q with %d tries until %d, which does not go together.", p.ID, p.Status, p.Awaiting, p.TriesLeft, p.RetryUS)
	}
	if want := saleStatus(p, manual); want != "" && telling.Status != want {
		c.violation(C5, "Sale %s is %s, which does not go with payment %s being %s.", telling.ID, telling.Status, p.ID, p.Status)
	}
}

// paid reports whether a sale has an approved attempt whose money did not come late.
func (h *history) paid(o *payment.Operation) bool {
	return slices.ContainsFunc(h.attempts, func(a attempt) bool {
		return a.Operation == o.ID && a.Status == payment.AttemptApproved && a.Late == 0
	})
}

// saleStatus is where the sale stands when its payment stands at p. manual: a
// late success was credited by an operation of its own, and the sale remains declined.
func saleStatus(p *payment.Payment, manual bool) payment.OperationStatus {
	switch p.Status {
	case payment.StatusNew, payment.StatusPending:
		return payment.OperationProcessing
	case payment.StatusAwaitingCustomer:
		if p.RetryOffered() {
			return payment.OperationDecline
		}
		return payment.OperationAwaitingCustomer
	case payment.StatusCaptured, payment.StatusPartiallyRefunded, payment.StatusRefunded, payment.StatusChargedBack:
		if manual {
			return payment.OperationDecline
		}
		return payment.OperationSuccess
	case payment.StatusDeclined:
		return payment.OperationDecline
	case payment.StatusAuthorized, payment.StatusCancelled: // no flow makes them yet
	case payment.StatusRequested, payment.StatusSubmitting, payment.StatusUnknown, payment.StatusPaid, payment.StatusFailed,
		payment.StatusStepUp, payment.StatusHold, payment.StatusDeferred, payment.StatusPartiallyPaid: // a payout's: see judgeType
	}
	return ""
}

// judgeAttempts: each attempt is in the chain of its operation, a refund or
// payout and its attempt end together, and open work is due (C5, C13).
func (c *checker) judgeAttempts(h *history) {
	for n := range h.attempts {
		a := &h.attempts[n]
		op := h.operation(a.Operation)
		if op == nil {
			c.violation(C13, "Attempt %s names operation %q, which is not among those of payment %s.", a.ID, a.Operation, h.payment.ID)
			continue
		}
		if chain, _ := h.attemptChain(op); !slices.Contains(chain, a) {
			c.violation(C13, "Attempt %s is not in the chain of operation %s.", a.ID, op.ID)
		}
		if a.Kind == payment.KindRefund && !h.took(a.Of) {
			c.violation(C13, "Refund attempt %s gives back what attempt %q took, which did not.", a.ID, a.Of)
		}
		if a.Kind == payment.KindSale && a.Late != 0 {
			c.late[a.ID] = true
		}
		if a.Amount != op.Amount || a.Kind != op.Kind {
			c.violation(C3, "Attempt %s is a %s of %d minor units, its operation %s a %s of %d.", a.ID, a.Kind, a.Amount.Minor, op.ID, op.Kind, op.Amount.Minor)
		}
	}
	for n := range h.operations {
		op := &h.operations[n]
		chain, _ := h.attemptChain(op)
		if len(chain) == 0 {
			// A refund that was refused at once asked nobody, nor did a sale that its customer's limits refused, nor a part of
			// a payout that waits, or was given up before it was sent.
			limited := op.Kind == payment.KindSale && op.Status == payment.OperationDecline && slices.Contains(limited, op.Code)
			if !limited && h.review == nil && (op.Kind != payment.KindRefund || !op.Status.Final()) {
				c.violation(C13, "Operation %s (%s, %s) has no attempt.", op.ID, op.Kind, op.Status)
			}
			continue
		}
		newest := chain[0]
		if op.Kind == payment.KindRefund && op.Status.Final() != newest.Status.Final() {
			c.violation(C5, "Refund %s is %s, but its attempt %s is %s.", op.ID, op.Status, newest.ID, newest.Status)
		}
		if h.review != nil {
			continue // judgePart has seen to it
		}
		if op.Kind == payment.KindPayout && !slices.Contains(behindPayout[h.payment.Status], newest.Status) {
			c.violation(C5, "Payout %s is %s, but its attempt %s is %s.", h.payment.ID, h.payment.Status, newest.ID, newest.Status)
		}
		open := !op.Status.Final() && (op.Kind != payment.KindSale || !h.payment.Status.Final())
		if open && !newest.due {
			c.violation(C11, "Operation %s is %s, but nothing will be done about its attempt %s: it has no due row.", op.ID, op.Status, newest.ID)
		}
		if h.payment.RetryOffered() && h.payment.LastOperation == op.ID && !newest.due {
			c.violation(C11, "Payment %s waits for its customer to try again, but nothing will end that: attempt %s has no due row.", h.payment.ID, newest.ID)
		}
	}
}

// limited are the codes that a sale is declined with before anybody is asked
// (ecommpay.md section 5, "RCS reject").
var limited = []string{
	payment.CodeRejectAmount, payment.CodeRejectCustomer, payment.CodeRejectInterval, payment.CodeReject, payment.CodeNotEnoughData,
}

// took reports whether an attempt of the payment has taken money.
func (h *history) took(k id.Attempt) bool {
	return slices.ContainsFunc(h.attempts, func(a attempt) bool {
		return a.ID == k && a.Kind == payment.KindSale && a.Status == payment.AttemptApproved
	})
}

// graceUS is how long after its limit time a payment may still be open where a
// process is at work (C11): the last look-up may take its time.
const graceUS = 5 * 60_000_000

// judgeTime: nothing waits beyond its own deadline (C11). Refunds and payouts have
// none: they have work that is due, see judgeAttempts.
func (c *checker) judgeTime(h *history) {
	p := &h.payment
	if c.opts.LiveUS > 0 && p.Type != payment.TypePayout && !p.Status.Final() && p.Status != payment.StatusAuthorized && p.LimitUS+graceUS < c.opts.LiveUS {
		c.violation(C11, "Payment %s is %s %d s after its limit time.", p.ID, p.Status, (c.opts.LiveUS-p.LimitUS)/1_000_000)
	}
	if !c.opts.AtRest {
		return
	}
	if !p.Status.Final() && p.Status != payment.StatusAuthorized {
		c.violation(C11, "Payment %s is %s in the end.", p.ID, p.Status)
	}
	for _, o := range h.operations {
		if o.Kind == payment.KindRefund && !o.Status.Final() {
			c.violation(C11, "Refund %s of payment %s is %s in the end.", o.ID, p.ID, o.Status)
		}
	}
	for _, d := range h.deliveries {
		if d.State == event.DeliveryPending {
			c.violation(C11, "Delivery %s of payment %s is pending in the end.", d.ID, p.ID)
		}
	}
}

// ends says where an event of each kind leaves its payment; no status means
// that the payment stays where it is.
var ends = map[event.Kind]payment.Status{
	event.PaymentPending:  payment.StatusPending,
	event.PaymentAwaiting: payment.StatusAwaitingCustomer,
	event.PaymentRetry:    payment.StatusAwaitingCustomer,
	event.PaymentCaptured: payment.StatusCaptured,
	event.PaymentDeclined: payment.StatusDeclined,
	event.RefundStarted:   "",
	event.RefundDeclined:  "",
	event.LateSuccess:     "",
	event.PayoutPending:   payment.StatusSubmitting,
	event.PayoutUnknown:   payment.StatusUnknown,
	event.PayoutPaid:      payment.StatusPaid,
	event.PayoutFailed:    payment.StatusFailed,
	event.PayoutStepUp:    payment.StatusStepUp,
	event.PayoutOnHold:    payment.StatusHold,
	event.PayoutDeferred:  payment.StatusDeferred,
	event.PayoutPartly:    payment.StatusPartiallyPaid,
	event.PayoutCancelled: payment.StatusCancelled,
	event.RefundSucceeded: "", // or partially_refunded, or refunded: see judgeEvents
}

// ofRefunds are the kinds of event that refunds make, and nothing else does.
var ofRefunds = []event.Kind{event.RefundStarted, event.RefundSucceeded, event.RefundDeclined}

// ofPayouts are those that payouts make.
var ofPayouts = []event.Kind{
	event.PayoutPending, event.PayoutUnknown, event.PayoutPaid, event.PayoutFailed,
	event.PayoutStepUp, event.PayoutOnHold, event.PayoutDeferred, event.PayoutPartly, event.PayoutCancelled,
}

// told are the kinds of event that the merchant is called about (ecommpay.md 4).
var told = []event.Kind{
	event.PaymentAwaiting, event.PaymentRetry, event.PaymentCaptured, event.PaymentDeclined, event.RefundSucceeded, event.RefundDeclined,
}

// judgeEvents walks the payment's history: from where its type begins, by allowed
// moves only, to where it stands (C5).
func (c *checker) judgeEvents(h *history) {
	p := &h.payment
	chain, _ := h.eventChain()
	for n := range h.events {
		e := &h.events[n]
		if !slices.Contains(chain, e) {
			c.violation(C13, "Event %s is not in the chain of payment %s.", e.ID, p.ID)
		}
		op := h.operation(e.Operation)
		switch {
		case op == nil:
			c.violation(C13, "Event %s names operation %q, which is not among those of payment %s.", e.ID, e.Operation, p.ID)
		case slices.Contains(ofRefunds, e.Kind) != (op.Kind == payment.KindRefund), slices.Contains(ofPayouts, e.Kind) != (op.Kind == payment.KindPayout),
			e.From == payment.StatusDeclined && e.From != e.To && op.Kind != payment.KindManualChange: // the late-success rule alone revives a payment
			c.violation(C5, "Event %s (%s, from %s to %s) is of operation %s, which is a %s.", e.ID, e.Kind, e.From, e.To, op.ID, op.Kind)
		}
		want, known := ends[e.Kind]
		if want == "" {
			want = e.From
		}
		refunded := e.Kind == event.RefundSucceeded && (e.To == payment.StatusPartiallyRefunded || e.To == payment.StatusRefunded)
		if !known || (e.To != want && !refunded) {
			c.violation(C5, "Event %s of payment %s is a %q and goes from %s to %s.", e.ID, p.ID, e.Kind, e.From, e.To)
		}
	}
	at := payment.StatusNew
	if p.Type == payment.TypePayout {
		at = payment.StatusRequested
	}
	for _, e := range slices.Backward(chain) {
		switch {
		case e.From != at:
			c.violation(C5, "Event %s begins where payment %s is %s, but it was %s.", e.ID, p.ID, e.From, at)
		case e.From != e.To && !slices.Contains(payment.Moves()[e.From], e.To):
			c.violation(C5, "Event %s moves payment %s from %s to %s, which is forbidden.", e.ID, p.ID, e.From, e.To)
		}
		at = e.To
	}
	if at != p.Status {
		c.violation(C5, "Payment %s is %s, but its events end at %s.", p.ID, p.Status, at)
	}
}

// judgeDeliveries: the merchant is told of each event that he must be told of,
// once, and what is not told yet will be (C6, C13).
func (c *checker) judgeDeliveries(h *history) {
	p := &h.payment
	chain, _ := h.deliveryChain()
	times := make(map[id.Event]int, len(h.deliveries))
	for n := range h.deliveries {
		d := &h.deliveries[n]
		times[d.Event]++
		if !slices.Contains(chain, d) {
			c.violation(C13, "Delivery %s is not in the chain of payment %s.", d.ID, p.ID)
		}
		if !has(h.events, d.Event, eventKey) || d.Event.IsZero() {
			c.violation(C13, "Delivery %s tells of event %q, which is not among those of payment %s.", d.ID, d.Event, p.ID)
		}
		switch d.State {
		case event.DeliveryPending:
			if !d.due {
				c.violation(C11, "Delivery %s is pending, but nothing will send it: it has no due row.", d.ID)
			}
		case event.DeliveryDelivered, event.DeliveryDead:
			if !d.hasBody || d.Tries == 0 {
				c.violation(C6, "Delivery %s is %s without having been sent.", d.ID, d.State)
			}
		case event.DeliveryParked:
			c.violation(C5, "Delivery %s is parked, and goes to no endpoint that could be disabled.", d.ID)
		default:
			c.violation(C5, "Delivery %s is in state %q, which does not exist.", d.ID, d.State)
		}
	}
	for n := range h.events {
		e := &h.events[n]
		want, address := 0, event.Address(*p, e.Kind)
		if address != "" && slices.Contains(told, e.Kind) {
			want = 1
		}
		for i := range h.deliveries {
			if d := &h.deliveries[i]; d.Event == e.ID && d.URL != address {
				c.violation(C6, "Delivery %s goes elsewhere than payment %s says.", d.ID, p.ID)
			}
		}
		if times[e.ID] != want {
			c.violation(C6, "Event %s (%s) of payment %s has %d deliveries, want %d.", e.ID, e.Kind, p.ID, times[e.ID], want)
		}
	}
}
