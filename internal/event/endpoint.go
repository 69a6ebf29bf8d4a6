package event

import (
	"strings"

	"aorta/internal/id"
	"aorta/internal/payment"
)

// DoorWebhook is the style of deliveries to endpoints: Standard Webhooks.
const DoorWebhook = "webhook"

// The kinds of event that are about an endpoint and no payment.
const (
	EndpointTest     Kind = "endpoint.test"     // somebody wants to see one
	EndpointFailing  Kind = "endpoint.failing"  // a message has failed four times
	EndpointDisabled Kind = "endpoint.disabled" // it hears nothing until somebody enables it
)

// The moves of a customer's wallet, as endpoints hear of them: only those that ask
// for them by name, so that nobody else's game pays for it.
const (
	WalletStake         Kind = "wallet.stake"
	WalletWin           Kind = "wallet.win"
	WalletRollback      Kind = "wallet.rollback"
	WalletDebit         Kind = "wallet.debit"
	WalletCredit        Kind = "wallet.credit"
	WalletBonusGranted  Kind = "wallet.bonus_granted"
	WalletBonusReleased Kind = "wallet.bonus_released"
)

// The kinds of event that are about a customer.
const (
	CustomerKYC      Kind = "customer.kyc_updated"  // a check has ended, or what it proved
	CustomerKYCAsked Kind = "customer.kyc_required" // they will soon need a level that they have not
)

// The types under which endpoints hear of payments (payment-loop.md L15).
const (
	TypePending         = "payment.pending"
	TypeCaptured        = "payment.captured"
	TypeDeclined        = "payment.declined"
	TypeRefunded        = "payment.refunded"
	TypeRefundSucceeded = "refund.succeeded"
	TypeRefundDeclined  = "refund.declined"
	TypePayoutPending   = "payout.pending"
	TypePayoutPaid      = "payout.paid"
	TypePayoutFailed    = "payout.failed"
	TypePayoutStepUp    = "payout.step_up"
	TypePayoutOnHold    = "payout.on_hold"
	TypePayoutDeferred  = "payout.deferred"
	TypePayoutPartly    = "payout.partially_paid"
	TypePayoutCancelled = "payout.cancelled"
)

// Types lists all types of message that an endpoint may ask for.
func Types() []string {
	return []string{
		TypePending, TypeCaptured, TypeDeclined, TypeRefunded, TypeRefundSucceeded, TypeRefundDeclined,
		TypePayoutPending, TypePayoutPaid, TypePayoutFailed, string(EndpointFailing), string(EndpointDisabled),
		string(CustomerKYC), string(CustomerKYCAsked),
		string(WalletStake), string(WalletWin), string(WalletRollback), string(WalletDebit), string(WalletCredit),
		string(WalletBonusGranted), string(WalletBonusReleased),
		TypePayoutStepUp, TypePayoutOnHold, TypePayoutDeferred, TypePayoutPartly, TypePayoutCancelled,
	}
}

// TypesOf gives the types under which endpoints hear of an event of a payment
// that has left it in a status: none, one, or two where a refund has given back
// the last of a payment, which is news of both.
func TypesOf(k Kind, to payment.Status) []string {
	switch k {
	case PaymentAwaiting, PaymentPending, PaymentRetry:
		return pending
	case PaymentCaptured:
		return captured
	case PaymentDeclined:
		return declined
	case RefundSucceeded:
		if to == payment.StatusRefunded {
			return refunded
		}
		return refunded[:1]
	case RefundDeclined:
		return refundDeclined
	case PayoutPending:
		return payoutPending
	case PayoutPaid:
		return payoutPaid
	case PayoutFailed:
		return payoutFailed
	case PayoutStepUp:
		return payoutStepUp
	case PayoutOnHold:
		return payoutOnHold
	case PayoutDeferred:
		return payoutDeferred
	case PayoutPartly:
		return payoutPartly
	case PayoutCancelled:
		return payoutCancelled
	case RefundStarted, LateSuccess, PayoutUnknown, EndpointTest, EndpointFailing, EndpointDisabled, CustomerKYC, CustomerKYCAsked,
		WalletStake, WalletWin, WalletRollback, WalletDebit, WalletCredit, WalletBonusGranted, WalletBonusReleased:
	}
	return nil
}

var (
	pending        = []string{TypePending}
	captured       = []string{TypeCaptured}
	declined       = []string{TypeDeclined}
	refunded       = []string{TypeRefundSucceeded, TypeRefunded}
	refundDeclined = []string{TypeRefundDeclined}
	payoutPending  = []string{TypePayoutPending}
	payoutPaid     = []string{TypePayoutPaid}
	payoutFailed   = []string{TypePayoutFailed}

	payoutStepUp    = []string{TypePayoutStepUp}
	payoutOnHold    = []string{TypePayoutOnHold}
	payoutDeferred  = []string{TypePayoutDeferred}
	payoutPartly    = []string{TypePayoutPartly}
	payoutCancelled = []string{TypePayoutCancelled}
)

// OfPayout reports whether a type is news of a payout.
func OfPayout(typ string) bool { return strings.HasPrefix(typ, "payout.") }

// EndpointState says whether an endpoint is told anything.
type EndpointState string

// The states of an endpoint.
const (
	EndpointEnabled EndpointState = "enabled"
	EndpointOff     EndpointState = "disabled" // what it would be told is parked
	EndpointDeleted EndpointState = "deleted"  // nothing is kept for it
)

// Endpoint is where a merchant's project hears of events by Standard Webhooks.
type Endpoint struct {
	ID          id.Endpoint
	ProjectID   int64
	URL         string
	Description string
	Types       string // that it wants, with spaces between; empty: all but a wallet's moves
	State       EndpointState
	Reason      string // why it is disabled, for people
	Secret      string // sealed
	OldSecret   string // sealed: the one before, which signs too until OldUntilUS
	OldUntilUS  int64
	FailingUS   int64 // since when nothing has been delivered; 0: the last message was
	Failed      int64 // messages that have failed since then, counted up to what matters
	WarnedUS    int64 // when it was said that it fails; 0: not since it last did not
	WantsUS     int64 // since when it is there and wants what it wants
	CreatedUS   int64
	ChangedUS   int64
}

// Wants reports whether an endpoint is to be told of a type, now or, while it is
// disabled, later.
func (e Endpoint) Wants(typ string) bool {
	if e.State == EndpointDeleted {
		return false
	}
	return e.Types == "" || e.Names(typ)
}

// Names reports whether an endpoint asks for a type by name.
func (e Endpoint) Names(typ string) bool {
	if e.State == EndpointDeleted {
		return false
	}
	for one := range strings.SplitSeq(e.Types, " ") {
		if one == typ {
			return true
		}
	}
	return false
}

// Delivery is an event on its way to the endpoint under a type; it waits for
// nothing while the endpoint is disabled.
func (e Endpoint) Delivery(k id.Delivery, of Event, typ string, nowUS int64) Delivery {
	state := DeliveryPending
	if e.State != EndpointEnabled {
		state = DeliveryParked
	}
	return Delivery{
		ID: k, Event: of.ID, Payment: of.Payment, URL: e.URL, Door: DoorWebhook, Endpoint: e.ID, Type: typ,
		State: state, CreatedUS: nowUS, ChangedUS: nowUS,
	}
}

// MessageID gives the webhook-id of an event under a type. The first type of an
// event has the event's own id; a second one has an id made of both.
func MessageID(e id.Event, typ string) id.Event {
	if typ == TypeRefunded {
		return id.Event(id.Derive(e.Bucket(), e.String(), typ))
	}
	return e
}
