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
)

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
	Snapshot  string // JSON of Snapshot
}

// Snapshot is the payment as it was right after the event: all that a renderer
// may use.
type Snapshot struct {
	Payment   payment.Payment   `json:"payment"`
	Operation payment.Operation `json:"operation"`
	Attempt   payment.Attempt   `json:"attempt"`
}

// Encode writes the snapshot as the stores keep it.
func (s Snapshot) Encode() string {
	text, err := json.Marshal(s)
	if err != nil {
		panic("snapshot of plain fields cannot fail to encode: " + err.Error())
	}
	return string(text)
}

// Decode reads the event's snapshot.
func (e Event) Decode() (Snapshot, error) {
	var s Snapshot
	if err := json.Unmarshal([]byte(e.Snapshot), &s); err != nil {
		return s, fmt.Errorf("snapshot of %s: %w", e.ID, err)
	}
	return s, nil
}

// State says what became of a delivery.
type State string

// The states of a delivery.
const (
	DeliveryPending   State = "pending"
	DeliveryDelivered State = "delivered"
	DeliveryDead      State = "dead" // schedule exhausted: parked until a replay
)

// Delivery is one event on its way to one endpoint.
type Delivery struct {
	ID         id.Delivery
	Event      id.Event
	Payment    id.Payment
	Prev       id.Delivery // the payment's delivery before this one
	Next       id.Delivery // a later one that waits for this one; zero: none
	URL        string
	Door       string // whose style: "gate"
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
