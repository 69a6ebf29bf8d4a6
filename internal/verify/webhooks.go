package verify

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/payment"
)

// hears says under which types endpoints hear of an event (standard-webhooks.md,
// payment-loop.md L15); that of a payment refunded in full is in judgeWebhooks.
var hears = map[event.Kind]string{
	event.PaymentPending:  "payment.pending",
	event.PaymentAwaiting: "payment.pending",
	event.PaymentRetry:    "payment.pending",
	event.PaymentCaptured: "payment.captured",
	event.PaymentDeclined: "payment.declined",
	event.RefundSucceeded: "refund.succeeded",
	event.RefundDeclined:  "refund.declined",
	event.PayoutPending:   "payout.pending",
	event.PayoutPaid:      "payout.paid",
	event.PayoutFailed:    "payout.failed",
	event.PayoutStepUp:    "payout.step_up",
	event.PayoutOnHold:    "payout.on_hold",
	event.PayoutDeferred:  "payout.deferred",
	event.PayoutPartly:    "payout.partially_paid",
	event.PayoutCancelled: "payout.cancelled",
}

// ofOthers are the kinds of event that are about an endpoint or a customer, and no payment.
var ofOthers = []event.Kind{event.EndpointTest, event.EndpointFailing, event.EndpointDisabled, event.CustomerKYC, event.CustomerKYCAsked}

// ofMoves says how endpoints hear of a wallet's moves, if they name the type
// (docs/webhooks.md).
var ofMoves = map[ledger.Kind]event.Kind{
	ledger.KindStake: "wallet.stake", ledger.KindWin: "wallet.win", ledger.KindRollback: "wallet.rollback", ledger.KindDebit: "wallet.debit",
	ledger.KindCredit: "wallet.credit", ledger.KindBonusGrant: "wallet.bonus_granted", ledger.KindBonusRelease: "wallet.bonus_released",
}

// moveEvent is an event of a move: what it tells, and of which transfer.
type moveEvent struct {
	kind     event.Kind
	transfer id.Transfer
}

// hearing is an endpoint and a move that it wants to hear of.
type hearing struct {
	transfer id.Transfer
	endpoint id.Endpoint
}

// knownUS is how long after an endpoint was made, or asked for other types, some
// process may not know of it: each looks every two seconds.
const knownUS = 30_000_000

// webhooks are the endpoints, and what is told of them and not of a payment.
type webhooks struct {
	all        map[id.Endpoint]*event.Endpoint
	byProject  map[int64][]*event.Endpoint
	events     map[id.Event]bool
	deliveries []delivery

	// Of wallets' moves: their events, and who must hear of which. It grows with what
	// is told of them.
	moveEvents map[id.Event]moveEvent
	hearers    map[hearing]bool // true: not told yet
}

// isMoveEvent reports whether an event is of a wallet's move.
func isMoveEvent(k event.Kind) bool {
	return slices.Contains(slices.Collect(maps.Values(ofMoves)), k)
}

// takeMoveEvent notes an event of a move.
func (c *checker) takeMoveEvent(e *event.Event) {
	var told struct {
		Transfer id.Transfer `json:"transfer_id"`
	}
	if err := json.Unmarshal([]byte(e.Snapshot), &told); err != nil || told.Transfer.IsZero() {
		c.violation(C13, "Event %s (%s) tells of no transfer.", e.ID, e.Kind)
	}
	c.webhooks.events[e.ID] = true
	c.webhooks.moveEvents[e.ID] = moveEvent{e.Kind, told.Transfer}
}

// hearOf notes a move, and who must hear of it.
func (c *checker) hearOf(t *ledger.Transfer) {
	for _, ep := range c.webhooks.byProject[t.Project] {
		if ep.State != event.EndpointDeleted && t.CreatedUS >= ep.WantsUS+knownUS && slices.Contains(strings.Fields(ep.Types), string(ofMoves[t.Kind])) {
			c.webhooks.hearers[hearing{t.ID, ep.ID}] = true
		}
	}
}

// judgeMoveHeard: a webhook of a move tells an endpoint of its project what it is,
// once, and only one that asks for it.
func (c *checker) judgeMoveHeard(ctx context.Context, d *delivery, e moveEvent) error {
	t, ok, err := c.read.Transfer(ctx, e.transfer)
	if err != nil {
		return fmt.Errorf("read transfer that is told of: %w", err)
	}
	ep := c.webhooks.all[d.Endpoint]
	switch {
	case ep == nil: // said already
		return nil
	case !ok || t.Project != ep.ProjectID:
		c.violation(C6, "Webhook %s tells project %d of transfer %s, which is no move of its.", d.ID, ep.ProjectID, e.transfer)
		return nil
	case ofMoves[t.Kind] != e.kind || d.Type != string(e.kind):
		c.violation(C6, "Webhook %s tells of transfer %s (%s) as %q.", d.ID, t.ID, t.Kind, d.Type)
	}
	k := hearing{t.ID, ep.ID}
	open, wanted := c.webhooks.hearers[k]
	switch {
	case wanted && !open:
		c.violation(C6, "Endpoint %s is told of transfer %s twice.", ep.ID, t.ID)
	case !wanted && ep.State != event.EndpointDeleted && t.CreatedUS >= ep.WantsUS+knownUS:
		c.violation(C6, "Endpoint %s is told of transfer %s as %q, which it did not ask for.", ep.ID, t.ID, d.Type)
	}
	if wanted {
		c.webhooks.hearers[k] = false
	}
	return nil
}

// scanEndpoints reads all endpoints: they are few.
func (c *checker) scanEndpoints(ctx context.Context) error {
	c.webhooks = webhooks{
		all: map[id.Endpoint]*event.Endpoint{}, byProject: map[int64][]*event.Endpoint{}, events: map[id.Event]bool{},
		moveEvents: map[id.Event]moveEvent{}, hearers: map[hearing]bool{},
	}
	var after id.Endpoint
	for {
		rows, err := c.read.ScanEndpoints(ctx, after, page)
		if err != nil {
			return fmt.Errorf("read endpoints: %w", err)
		}
		for n := range rows {
			e := &rows[n]
			c.webhooks.all[e.ID] = e
			c.webhooks.byProject[e.ProjectID] = append(c.webhooks.byProject[e.ProjectID], e)
			after = e.ID
			switch e.State {
			case event.EndpointEnabled, event.EndpointOff, event.EndpointDeleted:
			default:
				c.violation(C5, "Endpoint %s is in state %q, which does not exist.", e.ID, e.State)
			}
		}
		if len(rows) < page {
			return nil
		}
	}
}

// takeWebhook gathers a delivery to an endpoint.
func (c *checker) takeWebhook(d *event.Delivery) {
	x := delivery{*d, c.isDue(d.ID.Raw(), due.Deliver), d.Body != ""}
	x.Log, x.LastError, x.Body = "", "", ""
	if d.Payment.IsZero() {
		c.webhooks.deliveries = append(c.webhooks.deliveries, x)
		return
	}
	h := c.history(d.Payment)
	h.webhooks = append(h.webhooks, x)
	c.whole(d.Payment, h)
}

func (h *history) webhookChain() ([]*delivery, id.Delivery) {
	return follow(h.webhooks, h.payment.LastWebhook, func(d *delivery) id.Delivery { return d.ID }, func(d *delivery) id.Delivery { return d.Prev })
}

// judgeWebhooks: each endpoint of the project is told of each event that it
// wants, once under each type, and of nothing else (C6).
func (c *checker) judgeWebhooks(h *history) {
	p := &h.payment
	chain, _ := h.webhookChain()
	for n := range h.webhooks {
		d := &h.webhooks[n]
		if !slices.Contains(chain, d) {
			c.violation(C13, "Webhook %s is not in the chain of payment %s.", d.ID, p.ID)
		}
		if d.ID.Bucket() != p.ID.Bucket() {
			c.violation(C13, "Webhook %s lies in bucket %d, its payment %s in %d.", d.ID, d.ID.Bucket(), p.ID, p.ID.Bucket())
		}
		c.judgeWebhook(d)
		e := slices.IndexFunc(h.events, func(e event.Event) bool { return e.ID == d.Event })
		switch {
		case e < 0:
			c.violation(C13, "Webhook %s tells of event %q, which is not among those of payment %s.", d.ID, d.Event, p.ID)
		case !slices.Contains(typesOf(&h.events[e]), d.Type):
			c.violation(C6, "Webhook %s tells of event %s (%s) as %q.", d.ID, d.Event, h.events[e].Kind, d.Type)
		}
		if ep := c.webhooks.all[d.Endpoint]; ep != nil && ep.ProjectID != p.ProjectID {
			c.violation(C6, "Webhook %s tells project %d of payment %s, which is of project %d.", d.ID, ep.ProjectID, p.ID, p.ProjectID)
		}
	}
	for n := range h.events {
		for _, ep := range c.webhooks.byProject[p.ProjectID] {
			for _, typ := range typesOf(&h.events[n]) {
				c.judgeHeard(h, &h.events[n], ep, typ)
			}
		}
	}
}

// typesOf gives the types under which endpoints hear of an event.
func typesOf(e *event.Event) []string {
	var out []string
	if typ := hears[e.Kind]; typ != "" {
		out = append(out, typ)
	}
	if e.Kind == event.RefundSucceeded && e.To == payment.StatusRefunded {
		out = append(out, "payment.refunded")
	}
	return out
}

func (c *checker) judgeHeard(h *history, e *event.Event, ep *event.Endpoint, typ string) {
	times := 0
	for n := range h.webhooks {
		if d := &h.webhooks[n]; d.Event == e.ID && d.Endpoint == ep.ID && d.Type == typ {
			times++
		}
	}
	if times > 1 {
		c.violation(C6, "Endpoint %s is told of event %s %d times as %q.", ep.ID, e.ID, times, typ)
	}
	if ep.State == event.EndpointDeleted || e.AtUS < ep.WantsUS+knownUS {
		return // what it wanted then is not known
	}
	wants := ep.Types == "" || slices.Contains(strings.Fields(ep.Types), typ)
	if wants && times == 0 {
		c.violation(C6, "Endpoint %s is not told of event %s (%s) of payment %s.", ep.ID, e.ID, typ, h.payment.ID)
	}
	if !wants && times > 0 {
		c.violation(C6, "Endpoint %s is told of event %s as %q, which it did not ask for.", ep.ID, e.ID, typ)
	}
}

// judgeWebhook: what is not told yet will be, or is kept for a replay (C6, C11).
func (c *checker) judgeWebhook(d *delivery) {
	ep := c.webhooks.all[d.Endpoint]
	if ep == nil {
		c.violation(C13, "Webhook %s goes to endpoint %q, which does not exist.", d.ID, d.Endpoint)
	}
	switch d.State {
	case event.DeliveryPending:
		if !d.due {
			c.violation(C11, "Webhook %s is pending, but nothing will send it: it has no due row.", d.ID)
		}
		if c.opts.AtRest {
			c.violation(C11, "Webhook %s is pending in the end.", d.ID)
		}
	case event.DeliveryDelivered:
		if !d.hasBody || d.Tries == 0 {
			c.violation(C6, "Webhook %s is delivered without having been sent.", d.ID)
		}
	case event.DeliveryDead:
		if d.Tries == 0 {
			c.violation(C6, "Webhook %s is dead without having been tried.", d.ID)
		}
	case event.DeliveryParked:
	default:
		c.violation(C5, "Webhook %s is in state %q, which does not exist.", d.ID, d.State)
	}
}

// judgeEndpoints: what is told of endpoints and of no payment.
func (c *checker) judgeEndpoints(ctx context.Context) error {
	told := map[[2]id.Raw]int{}
	for n := range c.webhooks.deliveries {
		d := &c.webhooks.deliveries[n]
		c.judgeWebhook(d)
		if !c.webhooks.events[d.Event] {
			c.violation(C13, "Webhook %s tells of event %q, which does not exist.", d.ID, d.Event)
		}
		if e, ok := c.webhooks.moveEvents[d.Event]; ok {
			if err := c.judgeMoveHeard(ctx, d, e); err != nil {
				return err
			}
			continue
		}
		told[[2]id.Raw{d.Event.Raw(), d.Endpoint.Raw()}]++
	}
	for _, k := range slices.SortedFunc(maps.Keys(told), func(a, b [2]id.Raw) int {
		return strings.Compare(rawText(a[0])+rawText(a[1]), rawText(b[0])+rawText(b[1]))
	}) {
		if told[k] > 1 {
			c.violation(C6, "Endpoint %s is told of event %s %d times.", id.Endpoint(k[1]), id.Event(k[0]), told[k])
		}
	}
	order := func(a, b hearing) int {
		return cmp.Or(a.transfer.Compare(b.transfer), a.endpoint.Compare(b.endpoint))
	}
	for _, k := range slices.SortedFunc(maps.Keys(c.webhooks.hearers), order) {
		if c.webhooks.hearers[k] {
			c.violation(C6, "Endpoint %s is not told of transfer %s.", k.endpoint, k.transfer)
		}
	}
	return nil
}
