// Package payment has the words of a payment: Payment, the Operations on it
// (sale, refund …) and the Attempts to have a PSP carry one out, with the
// statuses of each and every move they may make (payment-loop.md L15).
//
// It never does I/O, reads no clock and knows no front door's words: Gate and
// /v1 translate from here.
package payment

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"aorta/internal/id"
	"aorta/internal/money"
)

// Status says where a payment stands, and so whose move it is.
type Status string

// The statuses of a payment. Whose move it is stands behind each.
const (
	StatusNew               Status = "new"                // ours: the PSP has not been asked yet
	StatusPending           Status = "pending"            // the PSP's
	StatusAwaitingCustomer  Status = "awaiting_customer"  // the customer's: redirect, 3-D Secure, clarification, retry
	StatusAuthorized        Status = "authorized"         // the merchant's: capture or cancel
	StatusCaptured          Status = "captured"           // nobody's
	StatusPartiallyRefunded Status = "partially_refunded" // nobody's
	StatusRefunded          Status = "refunded"           // nobody's
	StatusDeclined          Status = "declined"           // nobody's, but for the late-success rule
	StatusCancelled         Status = "cancelled"          // nobody's
	StatusChargedBack       Status = "charged_back"       // nobody's
)

// The statuses of a payout, which is a payment the other way. It can be cancelled,
// too, while it waits. Those that it waits in, and partially_paid, exist where the
// project has rules; the money is reserved in all that are not final.
const (
	StatusRequested     Status = "requested"      // ours: the money is reserved
	StatusStepUp        Status = "step_up"        // the customer's: they must be verified first
	StatusHold          Status = "hold"           // an operator's: to approve, release or reject
	StatusDeferred      Status = "deferred"       // ours: no PSP account by which it goes takes it now
	StatusSubmitting    Status = "submitting"     // the PSP's: it is asked, and perhaps has it
	StatusUnknown       Status = "unknown"        // the PSP's: its answer was lost, so it is looked up, and never sent elsewhere
	StatusPartiallyPaid Status = "partially_paid" // the PSPs': a part is paid, and not all have ended
	StatusPaid          Status = "paid"           // nobody's: of one in parts, some of which may have failed, CapturedMinor was paid
	StatusFailed        Status = "failed"         // nobody's: the money is back in the wallet
)

// moves lists every move a payment or payout may make; what is absent is forbidden.
// docs/payment.md draws the same table.
var moves = map[Status][]Status{
	StatusNew:               {StatusPending, StatusAwaitingCustomer, StatusAuthorized, StatusCaptured, StatusDeclined},
	StatusPending:           {StatusAwaitingCustomer, StatusAuthorized, StatusCaptured, StatusDeclined},
	StatusAwaitingCustomer:  {StatusPending, StatusAuthorized, StatusCaptured, StatusDeclined},
	StatusAuthorized:        {StatusCaptured, StatusCancelled, StatusDeclined},
	StatusCaptured:          {StatusPartiallyRefunded, StatusRefunded, StatusChargedBack},
	StatusPartiallyRefunded: {StatusPartiallyRefunded, StatusRefunded, StatusChargedBack},
	StatusRefunded:          {StatusChargedBack},
	StatusDeclined:          {StatusCaptured}, // only the late-success rule, project setting "credit"
	StatusCancelled:         {},
	StatusChargedBack:       {},

	StatusRequested:     {StatusStepUp, StatusHold, StatusDeferred, StatusSubmitting},
	StatusStepUp:        {StatusHold, StatusDeferred, StatusSubmitting, StatusFailed, StatusCancelled},
	StatusHold:          {StatusStepUp, StatusDeferred, StatusSubmitting, StatusFailed, StatusCancelled},
	StatusDeferred:      {StatusStepUp, StatusHold, StatusSubmitting, StatusFailed, StatusCancelled},
	StatusSubmitting:    {StatusDeferred, StatusUnknown, StatusPartiallyPaid, StatusPaid, StatusFailed},
	StatusUnknown:       {StatusDeferred, StatusPartiallyPaid, StatusPaid, StatusFailed},
	StatusPartiallyPaid: {StatusPaid},
	StatusPaid:          {},
	StatusFailed:        {},
}

// Moves gives the table of moves, for docs and for checkers. The caller must
// not change it.
func Moves() map[Status][]Status { return moves }

// Final reports whether nobody's move is left in the ordinary course.
func (s Status) Final() bool {
	switch s {
	case StatusNew, StatusPending, StatusAwaitingCustomer, StatusAuthorized, StatusRequested, StatusStepUp, StatusHold, StatusDeferred,
		StatusSubmitting, StatusUnknown, StatusPartiallyPaid:
		return false
	case StatusCaptured, StatusPartiallyRefunded, StatusRefunded, StatusDeclined, StatusCancelled, StatusChargedBack, StatusPaid, StatusFailed:
		return true
	}
	return false
}

// Of reports whether payments of a type can be in the status.
func (s Status) Of(t Type) bool {
	switch s {
	case StatusNew, StatusPending, StatusAwaitingCustomer, StatusAuthorized, StatusCaptured, StatusPartiallyRefunded, StatusRefunded,
		StatusDeclined, StatusChargedBack:
		return t == TypePurchase
	case StatusRequested, StatusStepUp, StatusHold, StatusDeferred, StatusSubmitting, StatusUnknown, StatusPartiallyPaid, StatusPaid, StatusFailed:
		return t == TypePayout
	case StatusCancelled:
		return true
	}
	return false
}

// Awaited says what a payment that is awaiting_customer waits for.
type Awaited string

// What a customer is awaited for.
const (
	AwaitedAtPSP Awaited = ""      // to come back from the PSP's page
	AwaitedRetry Awaited = "retry" // to try again, after a decline
)

// MoveError is a move that the table forbids. It is a bug or stale news; the
// act that meets it must change nothing.
type MoveError struct {
	ID       id.Payment
	From, To Status
}

func (e *MoveError) Error() string {
	return fmt.Sprintf("payment %s may not move from %s to %s", e.ID, e.From, e.To)
}

// Type is what a payment is for.
type Type string

// The types of payment.
const (
	TypePurchase Type = "purchase"
	TypePayout   Type = "payout" // from a customer's wallet to them
)

// First is the status in which a payment of a type begins.
func (t Type) First() Status {
	switch t {
	case TypePurchase:
		return StatusNew
	case TypePayout:
		return StatusRequested
	}
	return ""
}

// Payment is one intent to move money, e.g. 25.00 INR from a customer by
// Paytm, or as a payout to one. Instants are unix microseconds, amounts minor units.
type Payment struct {
	ID                id.Payment   `json:"id"`
	ProjectID         int64        `json:"project"`
	MerchantPaymentID string       `json:"merchant_id"` // as first sent; unique per project without regard to case
	Type              Type         `json:"type"`
	Status            Status       `json:"status"`
	Awaiting          Awaited      `json:"awaiting,omitempty"`
	Method            string       `json:"method"` // "paytm-wallet"
	Amount            money.Amount `json:"amount"`
	CustomerID        string       `json:"customer,omitempty"` // the merchant's name for the customer
	Description       string       `json:"description,omitempty"`
	CallbackURL       string       `json:"-"`    // where news of this payment goes; empty: nowhere
	SuccessURL        string       `json:"-"`    // where the news goes that it is paid; empty: to CallbackURL
	DeclineURL        string       `json:"-"`    // where the news goes that it is not; empty: to CallbackURL
	CallbackDelayS    int64        `json:"-"`    // seconds that all its news waits, 0 to 600
	CallbackMute      int64        `json:"-"`    // 1: told only when the merchant must act
	Door              string       `json:"door"` // "gate", "page": whose style its callbacks have
	Code              string       `json:"code,omitempty"`
	Message           string       `json:"message,omitempty"`
	CapturedMinor     int64        `json:"captured,omitempty"`  // of a payout in parts: what was paid
	RefundedMinor     int64        `json:"refunded,omitempty"`  // refunded for good; of a payout in parts: what went back to the wallet
	RefundingMinor    int64        `json:"refunding,omitempty"` // reserved by refunds under way
	CreatedUS         int64        `json:"created"`
	ChangedUS         int64        `json:"changed"`
	LimitUS           int64        `json:"limit"`                // after it the payment is declined with code 603; 0 of a payout, which no time ends
	TriesLeft         int64        `json:"tries_left,omitempty"` // how often the customer may still try again
	RetryUS           int64        `json:"retry,omitempty"`      // until when they may; 0 before the first decline
	Events            int64        `json:"events,omitempty"`     // how many there have been, for those who must order them

	// Heads of the chains that hold the payment's history; each row names the
	// one before it, so no secondary index is written on the hot path.
	LastOperation id.Operation `json:"-"`
	LastEvent     id.Event     `json:"-"`
	LastDelivery  id.Delivery  `json:"-"`
	LastWebhook   id.Delivery  `json:"-"` // the deliveries to endpoints are a chain of their own
}

// Move gives p in status to, as of nowUS, or a *MoveError.
func (p Payment) Move(to Status, nowUS int64) (Payment, error) {
	if !slices.Contains(moves[p.Status], to) {
		return p, &MoveError{ID: p.ID, From: p.Status, To: to}
	}
	p.Status, p.Awaiting = to, AwaitedAtPSP
	p.ChangedUS = nowUS
	return p, nil
}

// RetryOffered reports whether the payment waits for its customer to try again.
func (p Payment) RetryOffered() bool {
	return p.Status == StatusAwaitingCustomer && p.Awaiting == AwaitedRetry
}

// Refundable is what may still be refunded, in minor units: captured less
// refunded less what refunds under way have reserved.
func (p Payment) Refundable() int64 {
	return p.CapturedMinor - p.RefundedMinor - p.RefundingMinor
}

// Called is the payment's name for people and for protocols that want one: the
// merchant's, or ours where they gave it none.
func (p Payment) Called() string {
	if p.MerchantPaymentID != "" {
		return p.MerchantPaymentID
	}
	return p.ID.String()
}

// OperationKind is what an operation does.
type OperationKind string

// The kinds of operation that exist so far.
const (
	KindSale   OperationKind = "sale"
	KindRefund OperationKind = "refund"
	KindPayout OperationKind = "payout"
	// KindManualChange is an operation that a rule or an operator made, such
	// as the credit of a late success; no PSP is asked.
	KindManualChange OperationKind = "manual change"
)

// OperationStatus says where an operation stands.
type OperationStatus string

// The statuses of an operation.
const (
	OperationProcessing       OperationStatus = "processing"
	OperationAwaitingCustomer OperationStatus = "awaiting_customer"
	OperationSuccess          OperationStatus = "success"
	OperationDecline          OperationStatus = "decline"
)

// Final reports whether the operation has ended.
func (s OperationStatus) Final() bool { return s == OperationSuccess || s == OperationDecline }

// Operation is one thing done to a payment: its sale, a refund; of a payout, its sending.
type Operation struct {
	ID               id.Operation    `json:"id"`
	Payment          id.Payment      `json:"-"`
	Prev             id.Operation    `json:"-"`      // the payment's operation before this one
	Number           int64           `json:"number"` // integer name, < 2^53, for Gate
	Kind             OperationKind   `json:"kind"`
	Status           OperationStatus `json:"status"`
	Amount           money.Amount    `json:"amount"`
	MerchantRefundID string          `json:"merchant_refund_id,omitempty"`
	Description      string          `json:"description,omitempty"`
	Code             string          `json:"code,omitempty"`
	Message          string          `json:"message,omitempty"`
	Attempt          id.Attempt      `json:"-"` // the newest attempt; zero if none was made
	CreatedUS        int64           `json:"created"`
	ChangedUS        int64           `json:"changed"`
}

// AttemptStatus says what we know of one call to a PSP.
type AttemptStatus string

// The statuses of an attempt.
const (
	AttemptAsking   AttemptStatus = "asking"   // the call is under way, or its process died
	AttemptAccepted AttemptStatus = "accepted" // the PSP took it and will say more
	AttemptApproved AttemptStatus = "approved"
	AttemptDeclined AttemptStatus = "declined"
	AttemptUnknown  AttemptStatus = "unknown"  // the answer was lost: looked up, never resent
	AttemptNotSent  AttemptStatus = "not_sent" // proved that the PSP did not take it
)

// Final reports whether the PSP's word on the attempt is its last.
func (s AttemptStatus) Final() bool {
	return s == AttemptApproved || s == AttemptDeclined || s == AttemptNotSent
}

// Attempt is one try to have one PSP account carry out an operation. Its id is
// the reference under which the PSP knows it.
type Attempt struct {
	ID              id.Attempt    `json:"id"`
	Operation       id.Operation  `json:"-"`
	Payment         id.Payment    `json:"-"`
	Prev            id.Attempt    `json:"-"` // the operation's attempt before this one
	Connector       string        `json:"-"` // connector of the PSP account, "paytm"
	Account         string        `json:"-"` // PSP account as configured, "demo"
	Payee           string        `json:"-"` // owner of the account that the money is for
	Kind            OperationKind `json:"-"`
	Status          AttemptStatus `json:"status"`
	Amount          money.Amount  `json:"-"`
	Of              id.Attempt    `json:"-"` // refund: the attempt that captured
	OfProviderID    string        `json:"-"` // refund: the PSP's id of that capture
	ProviderID      string        `json:"provider_id,omitempty"`
	ProviderCode    string        `json:"provider_code,omitempty"`
	ProviderMessage string        `json:"provider_message,omitempty"`
	ProviderUS      int64         `json:"provider_us,omitempty"` // the PSP's own time of it
	Redirect        string        `json:"redirect,omitempty"`    // JSON of Redirect; empty: none
	Way             string        `json:"-"`                     // where the project has rules: what was paid with, or where a payout goes (WayOf); else empty
	Late            int64         `json:"-"`                     // 1: a sale whose money came after our final decline, or the refund of one
	NoRecords       int64         `json:"-"`                     // "no such operation" answers heard
	NoRecordUS      int64         `json:"-"`                     // when the first of them was heard
	Lookups         int64         `json:"-"`                     // status look-ups made
	Transfer        id.Transfer   `json:"-"`                     // the newest that it has moved money by
	CreatedUS       int64         `json:"-"`
	ChangedUS       int64         `json:"changed"`
}

// WayOf writes down what money came by or goes to at a PSP account: a method's code,
// and the PSP's token of the one card, wallet or bank account, which has no space in
// it; no token where the PSP names none.
func WayOf(method, token string) string { return method + " " + token }

// By reads the attempt's way.
func (a Attempt) By() (method, token string) {
	method, token, _ = strings.Cut(a.Way, " ")
	return method, token
}

// PSP is the owner of the provider's own accounts in the ledger.
func (a Attempt) PSP() string { return "psp:" + a.Connector + ":" + a.Account }

// Redirect is where the customer must go next, and how.
type Redirect struct {
	URL    string            `json:"url"`
	Method string            `json:"method"` // GET or POST
	Fields map[string]string `json:"fields,omitempty"`
}

// Request holds what came with a request and no act reads again: return URLs,
// receipt, billing data. Written once; ID is the payment's or operation's.
type Request struct {
	ID   id.Raw
	Body string // JSON
}

// Review is what a payout waits for before it is sent, who has approved it, and
// what was decided on what figures (limits-and-risk.md section 4).
type Review struct {
	ID            id.Raw // the payout's
	Customer      id.Customer
	State         string
	Reason        string // for the merchant and the customer: never a rule's name
	RequiredLevel int64  // of verification that it waits for; 0: none
	Approvals     string // JSON: who has approved, and when
	Editor        string // who changed it last
	Log           string // JSON: each decision with its rules' hash, inputs, values and thresholds
	NextUS        int64  // when it is looked at again by itself; 0: not
	ChangedUS     int64
}

// Answer is what a request was answered that its sender may repeat under a key,
// so that a repeat is answered alike (errors.md section 4). It lies where a ref
// of the scope AnswerScope and the key as text says.
type Answer struct {
	ID        id.Answer
	ProjectID int64
	Route     string // "POST /v1/payments/init"
	Key       string // as the sender chose it
	Print     string // what was asked, so that another request under the same key is told from a repeat
	Thing     id.Raw // what the request makes, chosen before it is made; zero: nothing with a name of its own
	Owner     int64  // epoch of the process that answers
	Status    int64  // of HTTP; 0: not answered yet
	Media     string // content type of Body
	Body      string
	CreatedUS int64
	ChangedUS int64
}

// AnswerScope is the scope of the keys of a project's requests on a route.
func AnswerScope(projectID int64, route string) string {
	return "answer:" + strconv.FormatInt(projectID, 10) + ":" + route
}

// Inbox is one verified notification of a PSP, kept as it came.
type Inbox struct {
	ID         id.Inbox
	Connector  string
	Account    string
	Header     string // JSON of the headers that matter: Content-Type
	Body       string // raw
	State      InboxState
	Tries      int64
	Reason     string // why it is dead, or what became of it
	ReceivedUS int64
	ChangedUS  int64
}

// InboxState says what became of a notification.
type InboxState string

// The states of a notification.
const (
	InboxStored  InboxState = "stored"
	InboxApplied InboxState = "applied"
	InboxDead    InboxState = "dead" // parked: see Reason; replay tries again
)

// Ref is a name that must be unique: (scope, text) → id (design section 3).
type Ref struct {
	RefKey
	Target id.Raw
}

// RefKey names a Ref. Bucket is computed from scope and text, or is the
// bucket of the thing that the name lies with.
type RefKey struct {
	Bucket id.Bucket
	Scope  string
	Text   string
}

// ErrNoPayment: no such payment. To a merchant it is unknown (Gate 3061).
var ErrNoPayment = errors.New("no such payment")
