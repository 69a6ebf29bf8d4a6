// Package sms is the port to those who bring a text to a phone. Each folder below
// speaks one gateway's protocol; it keeps nothing and decides nothing.
//
// No number and no text leaves this package but to the gateway: outcomes name the
// gateway's codes alone, since gateways repeat numbers in their messages. Its known
// weakness is the protocol's: that a gateway took a message does not say that a
// phone got it, and a lost answer leaves it open whether it did.
package sms

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"aorta/internal/customer"
)

// Sender speaks one gateway's protocol for one account of ours. It answers an
// Outcome, never an error: what we cannot be sure of is Unknown, so that no message
// is sent twice by mistake.
type Sender interface {
	// Send asks for one message to be brought to one phone. It asks once: nothing is
	// repeated, whatever comes back.
	Send(ctx context.Context, m Message) Outcome
}

// Message is one text for one phone. It prints and logs as "[sms]".
type Message struct {
	To   customer.Phone
	Text string
	Life time.Duration // after which it is worth nothing, and the gateway need not bring it any more
}

const hidden = "[sms]"

// String hides the message.
func (Message) String() string { return hidden }

// Format hides the message from every verb of fmt.
func (Message) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// LogValue hides the message from structured logs.
func (Message) LogValue() slog.Value { return slog.StringValue(hidden) }

// Kind is what an Outcome says.
type Kind string

// The outcomes.
const (
	Accepted  Kind = "accepted"   // the gateway has it
	BadNumber Kind = "bad_number" // the gateway's last word is that this is no number which takes messages
	Refused   Kind = "refused"    // the gateway's last word is no: blocked, not reached, not allowed
	Unknown   Kind = "unknown"    // we cannot tell: the phone may get it, so it is never sent again
	NotSent   Kind = "not_sent"   // proved: the gateway did not take it; it may be tried again
)

// Outcome is what a gateway said, or that we could not hear it.
type Outcome struct {
	Kind       Kind
	ProviderID string // Accepted: the gateway's name of the message
	Reason     string // for the record: no number, no text
	Alarm      string // not empty: our configuration is wrong, an operator must look
}
