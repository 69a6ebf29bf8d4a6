// Package connector is the port to payment service providers (PSPs). Each
// folder below speaks one PSP's protocol and nothing else: it decides nothing
// about money, keeps no state and never touches the book.
package connector

import (
	"context"
	"errors"
	"net/http"
	"time"

	"aorta/internal/instrument"
	"aorta/internal/money"
	"aorta/internal/payment"
)

// Connector speaks one provider's protocol for one account of ours. It answers
// an Outcome, never an error: an answer that we cannot be sure of is Unknown,
// so none can be mistaken for a refusal (payment-loop.md L15).
type Connector interface {
	// Capabilities says what this provider can do. It is constant.
	Capabilities() Capabilities

	// Sale asks the provider to take the money now, or for the page where the
	// customer pays.
	Sale(ctx context.Context, o Order) Outcome
}

// Looker can ask what became of an earlier call, under the same reference.
type Looker interface {
	Lookup(ctx context.Context, o Order) Outcome
}

// Refunder can give money back.
type Refunder interface {
	// Refund asks for o.Amount of the capture o.Of to go back. Repeating it
	// under the same reference is safe.
	Refund(ctx context.Context, o Order) Outcome
	LookupRefund(ctx context.Context, o Order) Outcome
}

// Payouter can send money to a customer.
type Payouter interface {
	// Payout asks for o.Amount to be paid to the customer. Repeating it under the
	// same reference is safe.
	Payout(ctx context.Context, o Order) Outcome
	LookupPayout(ctx context.Context, o Order) Outcome
}

// StatementReader can tell what moved on a day, by the provider's own books.
type StatementReader interface {
	// Statement gives the lines of one day, UTC, oldest first. An error means that
	// the statement is not whole; ask again later.
	Statement(ctx context.Context, day time.Time) ([]StatementLine, error)
}

// StatementLine is one movement in a provider's books.
type StatementLine struct {
	Kind       payment.OperationKind // sale, refund, payout
	Reference  string                // ours: an attempt's id
	ProviderID string
	Amount     money.Amount // what moved, always positive: Kind says which way
	Fee        money.Amount // what the provider keeps of it, or takes for it
	At         time.Time
}

// NotificationReader verifies and reads what the provider sends us.
type NotificationReader interface {
	// ReadNotification answers ErrSignature for a bad signature and
	// ErrMalformed for what is no notification of this provider.
	ReadNotification(n Notification) (News, error)
}

// Keeper is a NotificationReader whose notifications may say what is written nowhere.
type Keeper interface {
	// Kept gives a notification that ReadNotification has taken as it is to be stored:
	// without the name of whose an instrument is. Other bytes than those that came are
	// signed by us, so that ReadNotification takes them again; who can do that has the
	// account's secret.
	Kept(n Notification) (Notification, error)
}

// ErrSignature: the notification is not from the provider. Answer 401, count
// it, store nothing.
var ErrSignature = errors.New("notification signature is wrong")

// ErrMalformed: not a notification that this provider sends. Answer 400.
var ErrMalformed = errors.New("notification is malformed")

// Capabilities says what a provider can do and how.
type Capabilities struct {
	Methods         []string // "paytm-wallet"
	Currencies      []money.Currency
	MinMinor        int64 // smallest amount, minor units
	MaxMinor        int64
	PayoutBeyond    bool // Payouter: more may be sent to a card than was paid with it
	Refund          bool
	PartialRefund   bool
	MinRefundMinor  int64
	SaleMovesMoney  bool            // a lost answer to Sale may have moved money: only look-up then
	LookupSchedule  []time.Duration // after acceptance; the last step repeats until the limit time
	Notifications   bool
	NewsHeaders     []string // headers of a notification, Content-Type aside, without which it cannot be verified again
	RedirectsToPage bool     // the customer pays on the provider's page
}

// Order is one attempt as the provider must know it.
type Order struct {
	Attempt     payment.Attempt
	Method      string // how the customer pays or is paid: the code, "paytm-wallet"; empty in a look-up
	CustomerID  string // the merchant's id of the customer; the attempt's reference if unknown
	Description string
	NotifyURL   string // where the provider sends its notifications, and the browser where it brings one
	ReturnURL   string // sale: where the browser goes on by GET when the customer is done; may be empty
	Destination string // payout: the provider's own name of where the money goes; empty: where the customer last paid from
	Customer    Person // what is known of the payer; may be empty
}

// Instrument is what a provider says a customer paid with, or was paid to: one card,
// one wallet, one bank account. It never holds a card number.
type Instrument struct {
	Token  string // the provider's own name of it, 1 to 64 visible ASCII characters: Order.Destination of a payout; empty: it has not said
	Kind   instrument.Kind
	Label  string // masked, for people: "Visa ••••4242"
	Holder string // whose it is, by the provider; empty: it does not say
}

// Person is personal data that some providers want. It is passed on, not kept.
type Person struct {
	FirstName, LastName, Email, Phone, IP string
}

// Reference is the name under which the provider knows the attempt.
func (o Order) Reference() string { return o.Attempt.ID.String() }

// Kind is what an Outcome says.
type Kind string

// The five outcomes.
const (
	Approved Kind = "approved" // money has moved, as proved by the provider's verified answer
	Pending  Kind = "pending"  // the provider has taken it and will say more
	Declined Kind = "declined" // the provider's last word is no
	Unknown  Kind = "unknown"  // we cannot tell: look it up, never resend
	NotSent  Kind = "not_sent" // proved: the provider did not take the request
)

// Outcome is what a provider said, or that we could not hear it.
type Outcome struct {
	Kind            Kind
	Code            string // our decline code (payment.Code…); Declined and NotSent
	ProviderID      string // the provider's id of the transaction
	ProviderCode    string // its own words, for the record
	ProviderMessage string
	ProviderTime    time.Time         // the provider's own time; zero if it said none
	Amount          money.Amount      // Approved: what it says was moved
	Instrument      Instrument        // what it was paid with, of a payout to; zero if the provider does not say
	Unusable        bool              // Declined payout: the destination itself takes no money, now or later
	Redirect        *payment.Redirect // Pending: where the customer goes; nil if nowhere
	NoRecord        bool              // Pending, Unknown: the provider says that it knows no such operation
	Mismatch        string            // not empty: it knows the operation, but says what does not fit what we asked for; nothing else of it counts
	AskedUS         int64             // of a look-up: when it was asked, in µs by our clock; the flows note it
	Alarm           string            // not empty: our configuration is wrong, an operator must look
}

// Notification is what arrived at /n/{connector}/{account}.
type Notification struct {
	Method   string // GET or POST
	Header   http.Header
	Body     []byte
	Received time.Time // when it came, for those that are too old to be taken; zero: now
}

// News is what a verified notification says. It is a hint, which the flow
// confirms by look-up before money is booked, unless it is Final.
type News struct {
	Reference string                // our reference: an attempt's id; empty if only Payment is named
	Payment   string                // our payment's id; empty if it names none
	Operation payment.OperationKind // what it is news of; empty if it does not say
	Kind      Kind
	Amount    money.Amount // what it says was moved; zero Currency if it names none
	Mismatch  string       // not empty: it names another account of ours, or contradicts itself
	EventID   string       // the provider's name of this piece of news

	// Final: a signature over nonce, time, amount and currency makes it the
	// provider's own word, as good as the answer to a look-up (payment-loop.md L2
	// step 4, L3.2). EventID is then its nonce, and is never applied twice; the
	// rest is what such an answer would say.
	Final        bool
	Code         string // Declined: our decline code
	Instrument   Instrument
	Unusable     bool
	ProviderID   string
	ProviderCode string
	ProviderTime time.Time
}

// Outcome is what final news says, as the answer to a look-up would.
func (n News) Outcome() Outcome {
	out := Outcome{
		Kind: n.Kind, Code: n.Code, Instrument: n.Instrument, Unusable: n.Unusable, ProviderID: n.ProviderID, ProviderCode: n.ProviderCode, ProviderTime: n.ProviderTime,
	}
	if n.Kind == Approved {
		out.Amount = n.Amount
	}
	return out
}
