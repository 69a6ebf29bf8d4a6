// Package fop has the words of Google's tokenized form of payment: a customer's
// wallet that is linked with a Google user, what is bought with it and given back,
// the proofs and codes by which a customer says that it is them, and statements of
// what is owed (google-tokenized-fop.md; decision 028 says where each row lies).
//
// It knows no JSON and no OpenPGP: those are package google's. What is secret of a
// row, it has sealed or as a keyed hash (Vault). It never reads a clock and has no
// randomness of its own. Its known weakness: which result means what to Google is
// partly recalled, not read ([R] in the specification), so results are texts.
package fop

import (
	"aorta/internal/id"
	"aorta/internal/money"
)

// Method is a method of the protocol, by its name in URLs.
type Method string

// The methods that Google calls and that leave rows.
const (
	SendOTP           Method = "sendOtp"
	VerifyOTP         Method = "verifyOtp"
	AssociateAccount  Method = "associateAccount"
	RefreshToken      Method = "refreshToken"
	CaptureNow        Method = "capture"
	CaptureLater      Method = "asynchronousCapture"
	Refund            Method = "refund"
	StatementNotified Method = "remittanceStatementNotification"
)

// Name is what Google calls one of its calls: no two are made under one.
type Name struct {
	Integration string // ours for the contract
	Method      Method
	Account     string // Payment Integrator Account ID; empty of methods that name none
	RequestID   string
}

// Scope is that of the ref which the name is; its text is the requestId. Both ways to
// capture share one, since a refund or a statement names a captureRequestId alone.
func (n Name) Scope() string {
	method := n.Method
	if method == CaptureLater {
		method = CaptureNow
	}
	return "google:" + n.Integration + ":" + string(method) + ":" + n.Account
}

// Call is one of Google's calls that was answered with 200, or will be. What was
// answered otherwise has left nothing (section 1.5).
type Call struct {
	ID   id.Call
	Name // by which it is found
	// Print is the fingerprint of the request, in hexadecimal: a repeat has the same.
	Print  string
	State  CallState
	Result Result
	Answer string // members of the answer without its header, JSON, as they were first sent

	Customer    id.Customer    // whose wallet; zero: a statement's, or of a phone that is nobody's
	Association id.Association // zero: none, or of a code for the first one
	About       id.Raw         // of a refund its capture, of a statement's notification the statement, of a code's calls the code; else zero
	Proven      id.Raw         // the proof or code that it used up; zero: none
	Prev        id.Call        // of what was taken or has waited: the one before it with the association. A refund's: the one before it of the capture

	// Of captures and refunds alone.
	Amount        money.Amount
	RefundedMinor int64       // of a capture: what was given back of it
	LastRefund    id.Call     // of a capture: the newest that gave money back
	Transfer      id.Transfer // zero: no money moved
	Description   string      // for the customer's statement, as Google wrote it
	LimitUS       int64       // of a capture that waits: when it is declined
	Statement     id.Statement

	CreatedUS, ChangedUS int64
}

// CallState is where a call stands.
type CallState string

// The states of a call.
const (
	CallBegun   CallState = "begun"   // a sendOtp whose code is being sent: it has no answer yet
	CallWaiting CallState = "waiting" // an asynchronous capture: for the customer
	CallDone    CallState = "done"    // its result will not change
)

// Captured reports whether the call took money.
func (c Call) Captured() bool { return c.Purchase() && !c.Transfer.IsZero() }

// Purchase reports whether the call is one to take money, however.
func (c Call) Purchase() bool { return c.Method == CaptureNow || c.Method == CaptureLater }

// Left is what can still be given back of a capture, in minor units.
func (c Call) Left() int64 {
	if !c.Captured() {
		return 0
	}
	return c.Amount.Minor - c.RefundedMinor
}

// Result is how a call ended, in Google's word. It is business: a decline is answered
// with 200 too, and is as final as a success.
type Result string

// Results of calls. Those marked [R] in the specification may be others in a contract:
// nothing but answers is made of them.
const (
	Success Result = "SUCCESS"

	InsufficientFunds     Result = "INSUFFICIENT_FUNDS"
	OverTransactionLimit  Result = "CHARGE_EXCEEDS_TRANSACTION_LIMIT"
	OverDailyLimit        Result = "CHARGE_EXCEEDS_DAILY_LIMIT"
	OverMonthlyLimit      Result = "CHARGE_EXCEEDS_MONTHLY_LIMIT"
	UnderLimit            Result = "CHARGE_UNDER_LIMIT"
	NoSuchCurrency        Result = "ACCOUNT_DOES_NOT_SUPPORT_CURRENCY"
	AccountOnHold         Result = "ACCOUNT_ON_HOLD"
	RiskDeclined          Result = "RISK_DECLINED"
	NotConfirmed          Result = RiskDeclined // the customer refused it, or said nothing: of all declines that leave the link open the one that says nothing untrue
	TokenRefreshRequired  Result = "TOKEN_REFRESH_REQUIRED"
	AccountClosed         Result = "ACCOUNT_CLOSED"
	AccountTakenOver      Result = "ACCOUNT_CLOSED_ACCOUNT_TAKEN_OVER"
	AccountFraud          Result = "ACCOUNT_CLOSED_FRAUD"
	TokenInvalidated      Result = "GOOGLE_PAYMENT_TOKEN_INVALIDATED_BY_USER"
	NotEligible           Result = "NOT_ELIGIBLE"
	OTPNotMatched         Result = "OTP_NOT_MATCHED"
	OTPAlreadyUsed        Result = "OTP_ALREADY_USED"
	InvalidPhoneNumber    Result = "INVALID_PHONE_NUMBER"
	MessageNotSent        Result = "MESSAGE_UNABLE_TO_BE_SENT"
	Acknowledged          Result = "ACKNOWLEDGED" // of an asynchronous capture: not its result, but that it waits
	NoMoneyLeft           Result = "NO_MONEY_LEFT_ON_TRANSACTION"
	RefundWindowExceeded  Result = "REFUND_WINDOW_EXCEEDED"
	RefundOverBalance     Result = "REFUND_EXCEEDS_MAXIMUM_BALANCE"
	StatementAcknowledged Result = "ACCEPTED"
)

// Association is one link of a wallet with a Google user: a token by which Google may
// charge it, and Google's public name of the link.
type Association struct {
	ID       id.Association
	Customer id.Customer
	Prev     id.Association // the customer's one before it
	Call     id.Call        // that made it

	Integration string
	Name        string // associationId, byte for byte
	Token       string // the Google Payment Token, sealed
	TokenHash   string // keyed, as the token's ref has it
	Account     string // accountId: ours for the wallet, the same for all of its links
	State       AssociationState
	Reason      Reason // why it is closed

	ExpiresUS            int64 // from then on the token must be refreshed
	ClosedUS             int64
	CreatedUS, ChangedUS int64
}

// LinkID is the id of the link that is made in a bucket under Google's public name: so a
// proof can be of a link that is about to be made. Links of before have other ids.
func LinkID(b id.Bucket, integration, associationID string) id.Association {
	return id.Association(id.Derive(b, "link", integration, associationID))
}

// AssociationState is where a link stands. That its token has expired is no state: time
// alone says it, and a refresh ends it.
type AssociationState string

// The states of an association.
const (
	AssociationActive AssociationState = "active"
	AssociationClosed AssociationState = "closed" // for good: the customer must link anew
)

// Reason is why a link was closed.
type Reason string

// The reasons.
const (
	ClosedByCustomer Reason = "customer"
	ClosedByHouse    Reason = "house"
	ClosedForFraud   Reason = "fraud"
	ClosedTakenOver  Reason = "taken_over"
)

// AssociationMoves are those that a link may make.
func AssociationMoves() map[AssociationState][]AssociationState {
	return map[AssociationState][]AssociationState{
		AssociationActive: {AssociationClosed},
		AssociationClosed: {},
	}
}

// Close gives the association closed; one that is closed stays as it is.
func (a Association) Close(why Reason, nowUS int64) Association {
	if a.State == AssociationClosed {
		return a
	}
	a.State, a.Reason, a.ClosedUS, a.ChangedUS = AssociationClosed, why, nowUS, nowUS
	return a
}

// MaxOpen bounds the links of one wallet that are open at once.
const MaxOpen = 50

// Linked is what a customer has of links. It is a row of its own, since the customer's
// is read by every act.
type Linked struct {
	ID        id.Raw
	Customer  id.Customer
	Newest    id.Association // the others follow by Prev
	Open      int64          // links that are not closed
	Codes     string         // when codes were sent to them of late, as Sendings packs it
	Phone     string         // where codes go: sealed; empty: nowhere
	PhoneHash string         // keyed, by which the customer of a number is found; empty as Phone is
	ChangedUS int64
}

// LinkedID is the id of a customer's row: it needs no look-up.
func LinkedID(c id.Customer) id.Raw { return id.Derive(c.Bucket(), "linked", string(c[:])) }

// Spent is what was bought with an association.
type Spent struct {
	ID          id.Raw
	Association id.Association
	Newest      id.Call // the newest purchase that was taken, or that has waited; the others follow by Prev
	Waiting     int64   // purchases that wait for the customer
	Sums        string  // what was taken on a day and in a month, as Sums packs it
	ChangedUS   int64
}

// SpentID is the id of an association's row: it needs no look-up.
func SpentID(a id.Association) id.Raw { return id.Derive(a.Bucket(), "spent", string(a[:])) }

// Proof is that a customer has signed in on the page that Google sent them to.
type Proof struct {
	ID          id.Proof
	Customer    id.Customer
	Association id.Association // that the redirect named, as LinkID has it if there was none yet; zero: it named none
	Call        id.Call        // that used it up

	Integration string
	Name        string // requestId of the redirect: any text, byte for byte
	State       ProofState
	How         string // they proved it: "password", "passkey", "operator"

	UntilUS              int64 // from then on it proves nothing
	CreatedUS, ChangedUS int64
}

// ProofState is where a proof stands.
type ProofState string

// The states of a proof.
const (
	ProofProven   ProofState = "proven"
	ProofConsumed ProofState = "consumed"
)

// Good reports whether the proof can be used.
func (p Proof) Good(nowUS int64) bool { return p.State == ProofProven && nowUS < p.UntilUS }

// Consume gives the proof as used up by a call.
func (p Proof) Consume(by id.Call, nowUS int64) Proof {
	p.State, p.Call, p.ChangedUS = ProofConsumed, by, nowUS
	return p
}

// ProofScope is the scope of the refs that proofs are found by.
func ProofScope(integration string) string { return "proof:" + integration }

// TokenScope is the scope of the refs that associations are found by, by keyed hashes
// of their tokens; AssociationScope that by their associationIds.
func TokenScope(integration string) string { return "gpt:" + integration }

// AssociationScope is TokenScope, by associationIds.
func AssociationScope(integration string) string { return "association:" + integration }

// Nickname is what the owner of a wallet knows it by where others may look on: the end
// of its accountId, "***8m3k".
func Nickname(account string) string { return "***" + account[max(0, len(account)-nicknameShows):] }

// nicknameShows is how many characters of an accountId a nickname shows.
const nicknameShows = 4
