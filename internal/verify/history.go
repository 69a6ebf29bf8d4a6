package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/payment"
)

// history is a payment with all rows that name it, as far as they have come by.
type history struct {
	payment    payment.Payment
	exists     bool            // its own row has come by
	due        bool            // something will be done about a payout that waits
	review     *payment.Review // of a payout of a project with rules
	forfeit    *int64          // and the bonus that its customer gave up by it; nil: none
	operations []payment.Operation
	attempts   []attempt
	events     []event.Event
	deliveries []delivery
	webhooks   []delivery // to endpoints: a chain of their own
	transfers  []ledger.Transfer
}

// attempt is an attempt, and whether something will be done about it.
type attempt struct {
	payment.Attempt
	due bool
}

// delivery is a delivery, and whether something will be done about it.
type delivery struct {
	event.Delivery
	due     bool
	hasBody bool
}

func (c *checker) history(p id.Payment) *history {
	h := c.payments[p]
	if h == nil {
		h = &history{}
		c.payments[p] = h
	}
	return h
}

// The takers gather rows. Long texts that nothing here looks at are dropped:
// payments that live long are held until their last row comes by.

func (c *checker) takePayment(p *payment.Payment) {
	c.report.Payments++
	h := c.history(p.ID)
	h.payment, h.exists, h.due, h.review = *p, true, c.isDue(p.ID.Raw(), due.Payout), c.reviewOf(p)
	h.forfeit = forfeitOf(h.review)
	c.whole(p.ID, h)
}

func (c *checker) takeOperation(o *payment.Operation) {
	h := c.history(o.Payment)
	h.operations = append(h.operations, *o)
	c.whole(o.Payment, h)
}

func (c *checker) takeAttempt(a *payment.Attempt) {
	h := c.history(a.Payment)
	x := attempt{*a, c.isDue(a.ID.Raw(), due.Ask, due.AskLater, due.Watch)}
	x.Redirect, x.ProviderMessage = "", ""
	h.attempts = append(h.attempts, x)
	c.whole(a.Payment, h)
}

func (c *checker) takeEvent(e *event.Event) {
	if e.Payment.IsZero() && slices.Contains(ofOthers, e.Kind) {
		c.webhooks.events[e.ID] = true
		return
	}
	if e.Payment.IsZero() && isMoveEvent(e.Kind) {
		c.takeMoveEvent(e)
		return
	}
	h := c.history(e.Payment)
	x := *e
	x.Snapshot = ""
	h.events = append(h.events, x)
	c.whole(e.Payment, h)
}

func (c *checker) takeDelivery(d *event.Delivery) {
	if d.Door == event.DoorWebhook {
		c.takeWebhook(d)
		return
	}
	h := c.history(d.Payment)
	x := delivery{*d, c.isDue(d.ID.Raw(), due.Deliver), d.Body != ""}
	x.Log, x.LastError = "", ""
	if c.merchants == nil {
		x.Body = ""
	}
	h.deliveries = append(h.deliveries, x)
	c.whole(d.Payment, h)
}

// whole judges a payment and forgets it once all rows that belong to it have
// come by: its chains are complete, and so are the transfers that its
// operations call for. A row that comes after that is one too many, and is
// found by judgeRest.
func (c *checker) whole(p id.Payment, h *history) {
	if !h.exists || !h.headsAreThere() || len(h.broken()) > 0 {
		return
	}
	want := 0
	for n := range h.operations {
		for _, x := range h.calledFor(&h.operations[n]) {
			want += x.count
		}
	}
	if len(h.transfers) >= want {
		c.judge(h)
		delete(c.payments, p)
	}
}

// headsAreThere is the cheap part of the question whether a payment is whole.
func (h *history) headsAreThere() bool {
	p := &h.payment
	return has(h.operations, p.LastOperation, operationKey) && has(h.events, p.LastEvent, eventKey) &&
		has(h.deliveries, p.LastDelivery, func(d *delivery) id.Delivery { return d.ID }) &&
		has(h.webhooks, p.LastWebhook, func(d *delivery) id.Delivery { return d.ID })
}

// has reports whether a row is among rows; the zero id always is.
func has[R any, K comparable](rows []R, k K, key func(*R) K) bool {
	var none K
	if k == none {
		return true
	}
	for n := len(rows) - 1; n >= 0; n-- {
		if key(&rows[n]) == k {
			return true
		}
	}
	return false
}

// follow walks a chain from its head back to its beginning: the rows met,
// newest first, and the id for which there was no row (zero: none is missing).
func follow[R any, K comparable](rows []R, head K, key, prev func(*R) K) (met []*R, lost K) {
	var none K
	for next := head; next != none; next = prev(met[len(met)-1]) {
		n := slices.IndexFunc(rows, func(r R) bool { return key(&r) == next })
		if n < 0 || len(met) == len(rows) { // the second: a chain that bites its tail
			return met, next
		}
		met = append(met, &rows[n])
	}
	return met, none
}

func (h *history) operationChain() ([]*payment.Operation, id.Operation) {
	return follow(h.operations, h.payment.LastOperation, operationKey, func(o *payment.Operation) id.Operation { return o.Prev })
}

func (h *history) eventChain() ([]*event.Event, id.Event) {
	return follow(h.events, h.payment.LastEvent, eventKey, func(e *event.Event) id.Event { return e.Prev })
}

func (h *history) deliveryChain() ([]*delivery, id.Delivery) {
	return follow(h.deliveries, h.payment.LastDelivery, func(d *delivery) id.Delivery { return d.ID }, func(d *delivery) id.Delivery { return d.Prev })
}

func (h *history) attemptChain(o *payment.Operation) ([]*attempt, id.Attempt) {
	return follow(h.attempts, o.Attempt, func(a *attempt) id.Attempt { return a.ID }, func(a *attempt) id.Attempt { return a.Prev })
}

// broken says where the payment's chains name rows that are not there.
func (h *history) broken() []string {
	var out []string
	p := h.payment.ID
	if _, lost := h.operationChain(); !lost.IsZero() {
		out = append(out, fmt.Sprintf("Operations of payment %s break at %s, which is not among them.", p, lost))
	}
	if _, lost := h.eventChain(); !lost.IsZero() {
		out = append(out, fmt.Sprintf("Events of payment %s break at %s, which is not among them.", p, lost))
	}
	if _, lost := h.deliveryChain(); !lost.IsZero() {
		out = append(out, fmt.Sprintf("Deliveries of payment %s break at %s, which is not among them.", p, lost))
	}
	if _, lost := h.webhookChain(); !lost.IsZero() {
		out = append(out, fmt.Sprintf("Webhooks of payment %s break at %s, which is not among them.", p, lost))
	}
	for n := range h.operations {
		if _, lost := h.attemptChain(&h.operations[n]); !lost.IsZero() {
			out = append(out, fmt.Sprintf("Attempts of operation %s break at %s, which is not among them.", h.operations[n].ID, lost))
		}
	}
	return out
}

// operation gives one of the payment's operations; nil if it is not the payment's.
func (h *history) operation(o id.Operation) *payment.Operation {
	for n := range h.operations {
		if h.operations[n].ID == o {
			return &h.operations[n]
		}
	}
	return nil
}

// judgeRest judges what did not become whole: rows are missing, or too many.
func (c *checker) judgeRest(ctx context.Context) error {
	for _, k := range slices.SortedFunc(maps.Keys(c.payments), id.Payment.Compare) {
		h := c.payments[k]
		if h.exists {
			c.judge(h)
			continue
		}
		_, ok, err := c.read.Payment(ctx, k)
		if err != nil {
			return fmt.Errorf("read payment: %w", err)
		}
		why := fmt.Sprintf("names payment %s, which does not exist", k)
		if ok {
			why = fmt.Sprintf("is one too many: payment %s is whole without it", k)
		}
		for _, x := range h.strays() {
			c.violation(x.check, "%s %s.", x.name, why)
		}
	}
	return nil
}

// stray is a row of a history that is not as it should be, and what that breaks.
type stray struct {
	check Check
	name  string
}

// strays lists all rows of a history. A transfer too many is money moved twice.
func (h *history) strays() []stray {
	var out []stray
	for _, o := range h.operations {
		out = append(out, stray{C13, "Operation " + o.ID.String()})
	}
	for _, a := range h.attempts {
		out = append(out, stray{C13, "Attempt " + a.ID.String()})
	}
	for _, e := range h.events {
		out = append(out, stray{C13, "Event " + e.ID.String()})
	}
	for _, d := range h.deliveries {
		out = append(out, stray{C13, "Delivery " + d.ID.String()})
	}
	for _, d := range h.webhooks {
		out = append(out, stray{C13, "Webhook " + d.ID.String()})
	}
	for _, t := range h.transfers {
		out = append(out, stray{C3, "Transfer " + t.ID.String() + " (" + string(t.Kind) + ")"})
	}
	return out
}
