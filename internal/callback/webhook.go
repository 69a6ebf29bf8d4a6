package callback

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"aorta/internal/book"
	"aorta/internal/crash"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/sign"
)

// webhookPauses are those between the ten tries of Standard Webhooks: 75 h 35 m
// in all, of a schedule whose unit is 10 s.
var webhookPauses = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// webhookTries is how often a message is tried; then it is a dead letter.
const webhookTries = 10

// slowDown is how long an endpoint is left alone that says that it has too much
// to do, or whose proxy does.
const slowDown = time.Minute

// scaled is a time of the specification in a schedule of another unit.
func scaled(d, unit time.Duration) time.Duration {
	return time.Duration(float64(d) * (float64(unit) / float64(10*time.Second)))
}

// WebhookPause is how long to wait after try n (1 is the first) of a message: the
// specification's pause, up to a fifth more or less, drawn from the delivery's id
// so that a restart changes nothing; at least a minute after 429, 502 and 504; and
// what the endpoint asks for by Retry-After, up to twice as long.
func WebhookPause(d id.Delivery, n int64, a Answer, unit time.Duration) time.Duration {
	pause := scaled(webhookPauses[min(max(n, 1), int64(len(webhookPauses)))-1], unit)
	drawn := id.Derive(0, d.String(), strconv.FormatInt(n, 10))
	share := float64(binary.BigEndian.Uint32(drawn[:])) / (1 << 32)
	pause = time.Duration(float64(pause) * (0.8 + 0.4*share))
	switch a.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusGatewayTimeout:
		pause = max(pause, scaled(slowDown, unit))
	}
	return min(max(pause, a.RetryAfter), 2*pause)
}

// errDeleted: the endpoint is not there any more.
var errDeleted = errors.New("the endpoint was deleted")

// webhook makes one try of a delivery to an endpoint. Unlike other callbacks it
// waits for no older one of its payment: Standard Webhooks promises no order, and
// the body carries a number by which a receiver can make one.
func (c *Callbacks) webhook(ctx context.Context, w event.Work) error {
	if c.opts.Endpoints == nil {
		return c.webhookResult(ctx, w.Delivery, Answer{}, fmt.Errorf("%w %q", errStyle, w.Delivery.Door))
	}
	ep, err := c.opts.Endpoints.Find(ctx, w.Delivery.Endpoint)
	switch {
	case errors.Is(err, ErrNoEndpoint), err == nil && ep.State == event.EndpointDeleted:
		return c.webhookResult(ctx, w.Delivery, Answer{}, errDeleted)
	case err != nil:
		return err
	case ep.State == event.EndpointOff:
		return c.park(ctx, w.Delivery)
	}
	w.Delivery.URL = ep.URL
	news := w.Delivery.Tries == 0
	if at, ok := c.crowd.room(ep.URL, news); !ok {
		return c.postpone(ctx, w.Delivery, at)
	}
	var fresh []byte
	if w.Delivery.Body == "" || rerender {
		if err := c.complete(ctx, &w); err != nil {
			return err
		}
		if fresh, err = RenderWebhook(w); err != nil {
			return c.webhookResult(ctx, w.Delivery, Answer{}, fmt.Errorf("render %s: %w", w.Event.ID, err))
		}
	}
	body, err := c.prepare(ctx, w.Delivery, string(fresh), 0)
	if err != nil || body == "" {
		return err
	}
	visit, at, ok := c.crowd.enter(ep.URL, news)
	if !ok {
		return c.postpone(ctx, w.Delivery, at)
	}
	header, err := c.webhookHeader(ep, w.Delivery, body)
	if err != nil {
		visit.end()
		return c.webhookResult(ctx, w.Delivery, Answer{}, err)
	}
	answer, err := c.opts.Sender.Send(ctx, ep.URL, header, []byte(body))
	visit.end()
	crash.At(crash.CallbackSent)
	return c.webhookResult(ctx, w.Delivery, answer, err)
}

// webhookHeader is made anew for each try: the same id, the time of this try, and
// a signature for each key that is valid now.
func (c *Callbacks) webhookHeader(ep event.Endpoint, d event.Delivery, body string) (http.Header, error) {
	now := c.opts.Now()
	keys, err := c.opts.Endpoints.keys(ep, now)
	if err != nil {
		return nil, err
	}
	message := event.MessageID(d.Event, d.Type).String()
	if newID && d.Tries > 0 {
		message = id.Event(id.Derive(d.ID.Bucket(), message, strconv.FormatInt(d.Tries, 10))).String()
	}
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set(sign.WebhookID, message)
	h.Set(sign.WebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	h.Set(sign.WebhookSignature, sign.SignWebhook(message, now.Unix(), []byte(body), keys...))
	h.Set("Aorta-Delivery-Attempt", strconv.FormatInt(d.Tries+1, 10))
	h.Set("Aorta-Trace-Id", d.ID.String())
	return h, nil
}

// park keeps a delivery for a replay: its endpoint is disabled.
func (c *Callbacks) park(ctx context.Context, known event.Delivery) error {
	_, err := book.Do(ctx, c.book, book.Act[struct{}]{
		Name: "callback.park", Bucket: known.ID.Bucket(), Background: true,
		Hint: func(p *book.Page) { p.Deliveries.Get(known.ID); p.Due.Get(known.ID.Raw()) },
		Decide: func(p *book.Page) (struct{}, error) {
			endDue(p, known.ID)
			if d, ok := p.Deliveries.Get(known.ID); ok && d.State == event.DeliveryPending {
				d.State, d.ChangedUS = event.DeliveryParked, p.NowUS()
				p.Deliveries.Put(d)
			}
			return struct{}{}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("park %s: %w", known.ID, err)
	}
	c.webhooks.WithLabelValues("parked").Inc()
	return nil
}

// webhookResult records a try, what comes of it, and how the endpoint fares.
func (c *Callbacks) webhookResult(ctx context.Context, known event.Delivery, answer Answer, sendErr error) error {
	unit := c.opts.WebhookUnit
	type outcome struct {
		word  string
		tries int64
	}
	out, err := book.Do(ctx, c.book, book.Act[outcome]{
		Name: "callback.result", Bucket: known.ID.Bucket(),
		Hint: func(p *book.Page) { p.Deliveries.Get(known.ID); p.Due.Get(known.ID.Raw()) },
		Decide: func(p *book.Page) (outcome, error) {
			d, ok := p.Deliveries.Get(known.ID)
			if !ok || d.State != event.DeliveryPending {
				endDue(p, known.ID)
				return outcome{word: "repeated"}, nil
			}
			note(&d, p.NowUS(), answer, sendErr)
			d.URL = known.URL
			word := "refused"
			switch {
			case sendErr == nil && answer.Status/100 == 2:
				d.State, word = event.DeliveryDelivered, "delivered"
			case sendErr == nil && answer.Status == http.StatusGone:
				d.State, word = event.DeliveryParked, "gone"
			case d.Tries >= webhookTries || errors.Is(sendErr, errDeleted):
				d.State, word = event.DeliveryDead, "dead"
			case sendErr != nil:
				word = "unanswered"
			}
			if d.State == event.DeliveryPending {
				setDue(p, due.At(d.ID.Raw(), due.Deliver, p.NowUS()+WebhookPause(d.ID, d.Tries, answer, unit).Microseconds()))
			} else {
				endDue(p, d.ID)
			}
			p.Deliveries.Put(d)
			return outcome{word, d.Tries}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("record try of %s: %w", known.ID, err)
	}
	c.webhooks.WithLabelValues(out.word).Inc()
	if out.word == "dead" {
		c.opts.Log.Error("webhook is a dead letter", "delivery", known.ID, "endpoint", known.Endpoint, "payment", known.Payment)
	}
	if c.opts.Endpoints == nil || errors.Is(sendErr, errDeleted) {
		return nil
	}
	// The try is recorded, and must not be made again because this fails.
	if err := c.opts.Endpoints.fares(ctx, known.Endpoint, out.word, out.tries, unit); err != nil {
		c.opts.Log.Warn("how an endpoint fares is not recorded", "endpoint", known.Endpoint, "error", err)
	}
	return nil
}

// message is the body of a webhook.
type message struct {
	Type      string `json:"type"`
	Timestamp string `json:"timestamp"` // of the event
	Data      any    `json:"data"`
}

// paymentData is what webhooks tell of a payment or payout, in the words and the money of
// /v1 (payment-loop.md L11, L15).
type paymentData struct {
	PaymentID         id.Payment     `json:"payment_id,omitzero"`
	MerchantPaymentID string         `json:"merchant_payment_id,omitempty"`
	PayoutID          id.Payout      `json:"payout_id,omitzero"` // instead of the two above
	MerchantPayoutID  string         `json:"merchant_payout_id,omitempty"`
	Status            string         `json:"status"`
	Sequence          int64          `json:"sequence"` // grows with each event of the payment
	Amount            string         `json:"amount"`
	Currency          money.Currency `json:"currency"`
	Captured          string         `json:"captured,omitempty"`
	Refunded          string         `json:"refunded,omitempty"`
	PaidAmount        string         `json:"paid_amount,omitempty"`     // of a payout in parts
	ReturnedAmount    string         `json:"returned_amount,omitempty"` // as above
	Method            string         `json:"method,omitempty"`
	CustomerID        string         `json:"customer_id,omitempty"`
	Code              string         `json:"code,omitempty"`
	Message           string         `json:"message,omitempty"`
	CreatedAt         string         `json:"created_at"`
	Refund            *refundData    `json:"refund,omitempty"`
}

// refundData is the refund that an event is about.
type refundData struct {
	RefundID         id.Operation   `json:"refund_id"`
	MerchantRefundID string         `json:"merchant_refund_id,omitempty"`
	Status           string         `json:"status"`
	Amount           string         `json:"amount"`
	Currency         money.Currency `json:"currency"`
	Code             string         `json:"code,omitempty"`
	Message          string         `json:"message,omitempty"`
}

// RenderWebhook makes the body that tells an endpoint of an event. It is pure.
func RenderWebhook(w event.Work) ([]byte, error) {
	m := message{Type: w.Delivery.Type, Timestamp: instant(w.Event.AtUS)}
	if w.Event.Payment.IsZero() {
		m.Data = json.RawMessage(w.Event.Snapshot) // it is about the endpoint
		return json.Marshal(m)
	}
	p, op := &w.Snapshot.Payment, &w.Snapshot.Operation
	in := func(minor int64) string {
		if minor == 0 {
			return ""
		}
		return money.Amount{Minor: minor, Currency: p.Amount.Currency}.Decimal()
	}
	data := paymentData{
		PaymentID: p.ID, MerchantPaymentID: p.MerchantPaymentID, Status: statusOf(p.Status), Sequence: p.Events,
		Amount: p.Amount.Decimal(), Currency: p.Amount.Currency, Captured: in(p.CapturedMinor), Refunded: in(p.RefundedMinor),
		Method: p.Method, CustomerID: p.CustomerID, CreatedAt: instant(p.CreatedUS),
	}
	if p.Type == payment.TypePayout {
		data.PaymentID, data.MerchantPaymentID, data.PayoutID, data.MerchantPayoutID = id.Payment{}, "", id.Payout(p.ID), p.MerchantPaymentID
		data.PaidAmount, data.ReturnedAmount, data.Captured, data.Refunded = data.Captured, data.Refunded, "", ""
	}
	if p.Status == payment.StatusDeclined || p.Status == payment.StatusFailed {
		data.Code, data.Message = p.Code, p.Message
	}
	if op.Kind == payment.KindRefund {
		data.Refund = &refundData{
			RefundID: op.ID, MerchantRefundID: op.MerchantRefundID, Status: refundStatusOf(op.Status), Amount: op.Amount.Decimal(), Currency: op.Amount.Currency,
		}
		if op.Status == payment.OperationDecline {
			data.Refund.Code, data.Refund.Message = op.Code, op.Message
		}
	}
	m.Data = data
	return json.Marshal(m)
}

func instant(us int64) string { return time.UnixMicro(us).UTC().Format("2006-01-02T15:04:05.000000Z") }

// statusOf gives the word of /v1 for where a payment or payout stands.
func statusOf(s payment.Status) string {
	switch s {
	case payment.StatusNew, payment.StatusPending, payment.StatusAwaitingCustomer,
		payment.StatusRequested, payment.StatusSubmitting, payment.StatusUnknown:
		return "pending"
	case payment.StatusDeclined, payment.StatusFailed:
		return "failed"
	case payment.StatusAuthorized, payment.StatusCaptured, payment.StatusPartiallyRefunded, payment.StatusRefunded, payment.StatusCancelled,
		payment.StatusChargedBack, payment.StatusPaid,
		payment.StatusStepUp, payment.StatusDeferred, payment.StatusPartiallyPaid:
		return string(s)
	case payment.StatusHold:
		return "on_hold"
	}
	return ""
}

// refundStatusOf gives the word for where a refund stands.
func refundStatusOf(s payment.OperationStatus) string {
	switch s {
	case payment.OperationProcessing, payment.OperationAwaitingCustomer:
		return "pending"
	case payment.OperationSuccess:
		return "succeeded"
	case payment.OperationDecline:
		return "failed"
	}
	return ""
}

// Filter chooses among what an endpoint was told, or would have been.
type Filter struct {
	State    event.State // empty: dead and parked for a replay, any for a list
	Type     string      // empty: any
	Payment  id.Payment  // zero: any
	From, To time.Time   // when it happened; zero: any
}

func (f Filter) fits(d event.Delivery) bool {
	return (f.State == "" || d.State == f.State) && (f.Type == "" || d.Type == f.Type) && (f.Payment.IsZero() || d.Payment == f.Payment) &&
		(f.From.IsZero() || d.CreatedUS >= f.From.UnixMicro()) && (f.To.IsZero() || d.CreatedUS < f.To.UnixMicro())
}

// Bounds on one look into an endpoint's log.
const (
	logPage   = 200
	mostRead  = 10_000 // rows of a list that looks for few among many
	MostAgain = 10_000 // messages of one replay
)

// last is after every id.
var last = id.Delivery{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Log lists what an endpoint of a project was told, newest first, before a key
// (zero: from the newest), at most limit. The second answer is the key to go on
// with; zero: that was all.
func (e *Endpoints) Log(ctx context.Context, projectID int64, k id.Endpoint, f Filter, before id.Delivery, limit int) ([]event.Delivery, id.Delivery, error) {
	if _, err := e.Get(ctx, projectID, k); err != nil {
		return nil, id.Delivery{}, err
	}
	if before.IsZero() {
		before = last
		if !f.To.IsZero() {
			before = id.Delivery(id.At(f.To.Add(time.Millisecond)))
		}
	}
	out := []event.Delivery{}
	for read := 0; read < mostRead; read += logPage {
		rows, err := e.read.NewestDeliveries(ctx, k, before, logPage)
		if err != nil {
			return nil, id.Delivery{}, fmt.Errorf("read log of %s: %w", k, err)
		}
		for _, d := range rows {
			before = d.ID
			if !f.From.IsZero() && d.ID.Compare(id.Delivery(id.At(f.From))) < 0 {
				return out, id.Delivery{}, nil
			}
			if f.fits(d) {
				if out = append(out, d); len(out) == limit {
					return out, before, nil
				}
			}
		}
		if len(rows) < logPage {
			return out, id.Delivery{}, nil
		}
	}
	return out, before, nil
}

// ReplayTo sends an endpoint what a filter chooses once more, oldest first, at
// most MostAgain messages, and answers how many. Whether there are more, a second
// call tells. What happens after the call began is not among them.
func (c *Callbacks) ReplayTo(ctx context.Context, projectID int64, k id.Endpoint, f Filter) (int, error) {
	ep, err := c.opts.Endpoints.Get(ctx, projectID, k)
	if err != nil {
		return 0, err
	}
	if ep.State != event.EndpointEnabled {
		return 0, ErrEndpointOff
	}
	if end := c.opts.Now().Add(time.Microsecond); f.To.IsZero() || f.To.After(end) {
		f.To = end // what has happened by now is in it
	}
	var after id.Delivery
	if !f.From.IsZero() {
		after = id.Delivery(id.At(f.From))
	}
	count := 0
	for {
		rows, err := c.read.EndpointDeliveries(ctx, k, after, logPage)
		if err != nil {
			return count, fmt.Errorf("read log of %s: %w", k, err)
		}
		for _, d := range rows {
			after = d.ID
			if d.ID.Raw().Time().After(f.To) {
				return count, nil
			}
			ended := f.State != "" || d.State == event.DeliveryDead || d.State == event.DeliveryParked
			if !ended || !f.fits(d) {
				continue
			}
			if err := c.Replay(ctx, d.ID); err != nil {
				return count, err
			}
			if count++; count == MostAgain {
				return count, nil
			}
		}
		if len(rows) < logPage {
			return count, nil
		}
	}
}
