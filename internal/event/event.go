// Package event has the Event, one row per change of a payment's state with a
// snapshot of it, and the Delivery of an event to one endpoint.
//
// Events are the payment's history and the source of every callback. They are
// written by acts and never changed. An event knows no protocol's body: the
// front door that owns the style renders it.
package event

import (
	"encoding/json"
	"fmt"
	"strconv"

	"aorta/internal/id"
	"aorta/internal/payment"
)

// Kind names what happened, e.g. "payment.captured".
type Kind string

// The kinds of event in use so far.
const (
	PaymentAwaiting Kind = "payment.awaiting_customer"
	PaymentPending  Kind = "payment.pending"
	PaymentRetry    Kind = "payment.awaiting_retry" // declined, and the customer may try again
	PaymentCaptured Kind = "payment.captured"
	PaymentDeclined Kind = "payment.declined"
	RefundStarted   Kind = "refund.processing"
	RefundSucceeded Kind = "refund.succeeded"
	RefundDeclined  Kind = "refund.declined"
	LateSuccess     Kind = "payment.late_success"
	PayoutPending   Kind = "payout.pending" // reserved, and the PSP is asked
	PayoutUnknown   Kind = "payout.unknown" // its answer was lost
	PayoutPaid      Kind = "payout.paid"
	PayoutFailed    Kind = "payout.failed"

	// Of payouts of a project with rules alone.
	PayoutStepUp    Kind = "payout.step_up"        // its customer must be verified first
	PayoutOnHold    Kind = "payout.on_hold"        // an operator must look
	PayoutDeferred  Kind = "payout.deferred"       // nobody takes it now; it is sent later
	PayoutPartly    Kind = "payout.partially_paid" // a part of it is paid
	PayoutCancelled Kind = "payout.cancelled"
)

// Kinds are the kinds of events of payments and payouts: all that there are but those
// that endpoints alone hear of.
func Kinds() []Kind {
	return []Kind{
		PaymentAwaiting, PaymentPending, PaymentRetry, PaymentCaptured, PaymentDeclined, LateSuccess,
		RefundStarted, RefundSucceeded, RefundDeclined, PayoutPending, PayoutUnknown, PayoutPaid, PayoutFailed,
		PayoutStepUp, PayoutOnHold, PayoutDeferred, PayoutPartly, PayoutCancelled,
	}
}

// Address gives where the merchant of p hears of an event of kind k, if he is
// told of such events at all; empty: nowhere. Where he must act, as he must send
// the customer on, nothing keeps it from him (ecommpay.md section 4.1). The
// addresses of success and decline are for how the payment itself ended; news
// of refunds goes where the rest goes.
func Address(p payment.Payment, k Kind) string {
	if p.CallbackMute != 0 && k != PaymentAwaiting {
		return ""
	}
	switch {
	case k == PaymentCaptured && p.SuccessURL != "":
		return p.SuccessURL
	case k == PaymentDeclined && p.DeclineURL != "":
		return p.DeclineURL
	}
	return p.CallbackURL
}

// Event is one change of state. From and To are the payment's statuses before
// and after it, equal where only an operation changed.
type Event struct {
	ID        id.Event
	Payment   id.Payment
	Operation id.Operation
	Prev      id.Event // the payment's event before this one
	Kind      Kind
	From, To  payment.Status
	AtUS      int64
	Snapshot  string // JSON of Change: what of the payment, operation and attempt may be otherwise later
}

// Snapshot is the payment as it was right after the event: all that a renderer
// may use. An event keeps its Change alone; the rest is in rows that keep it for
// good, and a payment has several events.
type Snapshot struct {
	Payment   payment.Payment   `json:"payment"`
	Operation payment.Operation `json:"operation"`
	Attempt   payment.Attempt   `json:"attempt"`
}

// Change is the part of a snapshot that later events may change. Over makes the
// snapshot of it again.
type Change struct {
	Payment   PaymentChange   `json:"payment"`
	Operation OperationChange `json:"operation,omitzero"`
	Attempt   AttemptChange   `json:"attempt,omitzero"`
}

// PaymentChange is what of a payment may change.
type PaymentChange struct {
	Status         payment.Status  `json:"status"`
	Awaiting       payment.Awaited `json:"awaiting,omitempty"`
	Code           string          `json:"code,omitempty"`
	Message        string          `json:"message,omitempty"`
	CapturedMinor  int64           `json:"captured,omitempty"`
	RefundedMinor  int64           `json:"refunded,omitempty"`
	RefundingMinor int64           `json:"refunding,omitempty"`
	ChangedUS      int64           `json:"changed"`
	TriesLeft      int64           `json:"tries_left,omitempty"`
	RetryUS        int64           `json:"retry,omitempty"`
	Events         int64           `json:"events,omitempty"`
}

// OperationChange is what of an operation may change.
type OperationChange struct {
	Status    payment.OperationStatus `json:"status"`
	Code      string                  `json:"code,omitempty"`
	Message   string                  `json:"message,omitempty"`
	ChangedUS int64                   `json:"changed"`
}

// AttemptChange names the attempt, and is what of it may change, but for the way
// to the PSP's page: where the PSP has given two, the first may be of no use any
// more, so a snapshot has the newest, if one had been given by then.
type AttemptChange struct {
	ID              id.Attempt            `json:"id"`
	Status          payment.AttemptStatus `json:"status"`
	ProviderID      string                `json:"provider_id,omitempty"`
	ProviderCode    string                `json:"provider_code,omitempty"`
	ProviderMessage string                `json:"provider_message,omitempty"`
	ProviderUS      int64                 `json:"provider_us,omitempty"`
	Redirected      bool                  `json:"redirected,omitempty"`
	ChangedUS       int64                 `json:"changed"`
}

// UnmarshalJSON also reads what was stored before decision 008: the way to the
// page itself.
func (c *AttemptChange) UnmarshalJSON(text []byte) error {
	type plain AttemptChange
	was := struct {
		*plain
		Redirect string `json:"redirect"`
	}{plain: (*plain)(c)}
	if err := json.Unmarshal(text, &was); err != nil {
		return fmt.Errorf("change of an attempt: %w", err)
	}
	c.Redirected = c.Redirected || was.Redirect != ""
	return nil
}

// Change gives what of the snapshot may change.
func (s Snapshot) Change() Change {
	p, o, a := &s.Payment, &s.Operation, &s.Attempt
	return Change{
		PaymentChange{p.Status, p.Awaiting, p.Code, p.Message, p.CapturedMinor, p.RefundedMinor, p.RefundingMinor, p.ChangedUS, p.TriesLeft, p.RetryUS, p.Events},
		OperationChange{o.Status, o.Code, o.Message, o.ChangedUS},
		AttemptChange{a.ID, a.Status, a.ProviderID, a.ProviderCode, a.ProviderMessage, a.ProviderUS, a.Redirect != "", a.ChangedUS},
	}
}

// Over gives the snapshot: these rows as they are now, and what of them changes
// as it was.
func (c Change) Over(p payment.Payment, o payment.Operation, a payment.Attempt) Snapshot {
	x, y, z := &c.Payment, &c.Operation, &c.Attempt
	p.Status, p.Awaiting, p.Code, p.Message = x.Status, x.Awaiting, x.Code, x.Message
	p.CapturedMinor, p.RefundedMinor, p.RefundingMinor = x.CapturedMinor, x.RefundedMinor, x.RefundingMinor
	p.ChangedUS, p.TriesLeft, p.RetryUS, p.Events = x.ChangedUS, x.TriesLeft, x.RetryUS, x.Events
	o.Status, o.Code, o.Message, o.ChangedUS = y.Status, y.Code, y.Message, y.ChangedUS
	a.Status, a.ProviderID, a.ProviderCode, a.ProviderMessage = z.Status, z.ProviderID, z.ProviderCode, z.ProviderMessage
	a.ProviderUS, a.ChangedUS = z.ProviderUS, z.ChangedUS
	if !z.Redirected {
		a.Redirect = ""
	}
	return Snapshot{p, o, a}
}

// Encode writes what the event keeps of the snapshot: the JSON of its Change, as
// encoding/json writes it, by hand, since that was a tenth of what the book's lanes do.
func (s Snapshot) Encode() string {
	p, o, a := &s.Payment, &s.Operation, &s.Attempt
	b := make([]byte, 0, 640) // on the stack
	b = member(b, `{"payment":{"status":`, string(p.Status))
	b = text(b, `,"awaiting":`, string(p.Awaiting))
	b = text(b, `,"code":`, p.Code)
	b = text(b, `,"message":`, p.Message)
	b = integer(b, `,"captured":`, p.CapturedMinor)
	b = integer(b, `,"refunded":`, p.RefundedMinor)
	b = integer(b, `,"refunding":`, p.RefundingMinor)
	b = number(b, `,"changed":`, p.ChangedUS)
	b = integer(b, `,"tries_left":`, p.TriesLeft)
	b = integer(b, `,"retry":`, p.RetryUS)
	b = integer(b, `,"events":`, p.Events)
	b = append(b, '}')
	if (OperationChange{o.Status, o.Code, o.Message, o.ChangedUS}) != (OperationChange{}) {
		b = member(b, `,"operation":{"status":`, string(o.Status))
		b = text(b, `,"code":`, o.Code)
		b = text(b, `,"message":`, o.Message)
		b = number(b, `,"changed":`, o.ChangedUS)
		b = append(b, '}')
	}
	if s.Change().Attempt != (AttemptChange{}) {
		b = member(b, `,"attempt":{"id":`, a.ID.String())
		b = member(b, `,"status":`, string(a.Status))
		b = text(b, `,"provider_id":`, a.ProviderID)
		b = text(b, `,"provider_code":`, a.ProviderCode)
		b = text(b, `,"provider_message":`, a.ProviderMessage)
		b = integer(b, `,"provider_us":`, a.ProviderUS)
		if a.Redirect != "" {
			b = append(b, `,"redirected":true`...)
		}
		b = number(b, `,"changed":`, a.ChangedUS)
		b = append(b, '}')
	}
	return string(append(b, '}'))
}

// member appends a member that is always there.
func member(b []byte, name, v string) []byte {
	b = append(b, name...)
	for n := range len(v) {
		if c := v[n]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			escaped, err := json.Marshal(v)
			if err != nil {
				panic("a text cannot fail to encode: " + err.Error())
			}
			return append(b, escaped...)
		}
	}
	return append(append(append(b, '"'), v...), '"')
}

// text appends a member unless it is empty.
func text(b []byte, name, v string) []byte {
	if v == "" {
		return b
	}
	return member(b, name, v)
}

// integer appends a member unless it is zero.
func integer(b []byte, name string, v int64) []byte {
	if v == 0 {
		return b
	}
	return number(b, name, v)
}

// number appends a member that is always there.
func number(b []byte, name string, v int64) []byte {
	return strconv.AppendInt(append(b, name...), v, 10)
}

// Decode reads what the event keeps of its snapshot.
func (e Event) Decode() (Change, error) {
	var c Change
	if err := json.Unmarshal([]byte(e.Snapshot), &c); err != nil {
		return c, fmt.Errorf("snapshot of %s: %w", e.ID, err)
	}
	return c, nil
}

// State says what became of a delivery.
type State string

// The states of a delivery.
const (
	DeliveryPending   State = "pending"
	DeliveryDelivered State = "delivered"
	DeliveryDead      State = "dead"   // schedule exhausted: kept until a replay
	DeliveryParked    State = "parked" // its endpoint is disabled: kept until a replay
)

// Delivery is one event on its way to one endpoint.
type Delivery struct {
	ID         id.Delivery
	Event      id.Event
	Payment    id.Payment
	Prev       id.Delivery // the payment's delivery before this one, of those to endpoints or of the others
	Next       id.Delivery // a later one that waits for this one; zero: none
	URL        string
	Door       string      // whose style: "gate", "webhook"
	Endpoint   id.Endpoint // zero: it goes to the URL
	Type       string      // of the event as an endpoint hears of it: "payment.captured"; empty without an endpoint
	State      State
	Body       string // bytes as first rendered; empty until the first try
	Tries      int64
	LastStatus int64  // HTTP status of the last try; 0: no answer
	LastError  string // why the last try failed, for people
	Log        string // JSON list of the newest tries: [{"at":us,"status":500,"error":"…"}]
	CreatedUS  int64
	ChangedUS  int64
}

// Work is what the act that made a delivery already knows of it: the Carry of
// its due row.
type Work struct {
	Delivery Delivery
	Event    Event
	Snapshot Snapshot
}
