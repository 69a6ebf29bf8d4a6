package web

import "time"

// CustomerView is the page of a customer: of a licensed house where their payouts stand, what they were told, and what
// limits them; and what their wallet is linked with. It changes nothing but by the buttons of a payout or a link.
type CustomerView struct {
	Page
	Restricted *Restricted // nil: they are not
	Payouts    []Payout    // those under way first
	Notices    []Notice    // the newest first
	Limits     []Limit
	Return     *Button // nil for none

	Ended     *EndedPurchase // that the customer has just answered; nil: none
	Purchases []Purchase     // of Google's that wait for the customer, the newest first
	Links     []Link         // with Google that are open, the newest first

	Unlicensed bool // the house has no rules: there are links alone to see
}

// Heading is what the page is about.
func (v CustomerView) Heading() string {
	if v.Unlicensed {
		return v.T("google.title")
	}
	return v.T("customer.title")
}

// Purchase is one that the customer is to confirm or to refuse.
type Purchase struct {
	Name   string // for support, "call_…"
	What   string // as Google wrote it
	Amount string
	Until  *Instant
	Short  bool // the wallet has less than that
	Answer Action
}

// PurchaseEnd is how a purchase that waited for its customer has ended, for them.
type PurchaseEnd string

const (
	PurchasePaid    PurchaseEnd = "paid"
	PurchaseRefused PurchaseEnd = "refused" // by the customer
	PurchaseOver    PurchaseEnd = "over"    // its time is
	PurchaseHeld    PurchaseEnd = "held"    // the customer's account is
	PurchaseLimit   PurchaseEnd = "limit"   // of purchases with the link
	PurchaseFailed  PurchaseEnd = "failed"  // the link or the account is closed, or must be confirmed anew
)

// EndedPurchase is one that waits no more.
type EndedPurchase struct {
	End    PurchaseEnd
	Name   string // for support, "call_…"
	What   string // as Google wrote it
	Amount string
}

// Tone colours how it ended.
func (p EndedPurchase) Tone() string {
	if p.End == PurchasePaid {
		return "good"
	}
	return "bad"
}

// Link is one of the wallet with a Google account.
type Link struct {
	Name   string // "***-91", as Google shows it
	Since  *Instant
	Last   *Instant // nil: nothing was bought with it
	Amount string   // of the last purchase
	Close  Action
}

// Instant is a moment as people read it. Scripts write it in the reader's own zone.
type Instant struct{ us int64 }

// At gives the instant of a unix time in microseconds; nil of 0.
func At(us int64) *Instant {
	if us == 0 {
		return nil
	}
	return &Instant{us}
}

// ISO is the instant for machines.
func (i Instant) ISO() string { return time.UnixMicro(i.us).UTC().Format(time.RFC3339) }

// Text is the instant for people without scripts.
func (i Instant) Text() string { return time.UnixMicro(i.us).UTC().Format("2006-01-02 15:04 UTC") }

// PayoutState is where a payout stands, for its customer.
type PayoutState string

const (
	PayoutProcessing PayoutState = "processing" // it is being sent
	PayoutVerify     PayoutState = "verify"     // the customer must show who they are
	PayoutReview     PayoutState = "review"     // a person looks at it
	PayoutDeferred   PayoutState = "deferred"   // it is tried again later
	PayoutPartly     PayoutState = "partly"     // a part is paid
	PayoutPaid       PayoutState = "paid"
	PayoutFailed     PayoutState = "failed"
	PayoutCancelled  PayoutState = "cancelled"
)

// PayoutReason is why a payout was not made.
type PayoutReason string

const (
	PayoutRefused     PayoutReason = "refused"     // by the house
	PayoutProvider    PayoutReason = "provider"    // the provider, or where it should go, said no
	PayoutLimit       PayoutReason = "limit"       // of where it should go
	PayoutUnavailable PayoutReason = "unavailable" // the provider
	PayoutOther       PayoutReason = "other"
)

// Payout is one payout. Amounts are for people, "€25.00".
type Payout struct {
	Name     string // for support, "po_…"
	State    PayoutState
	Amount   string
	Asked    *Instant
	Paid     string       // of one in parts: how much is paid; or ""
	Returned string       // of one in parts: how much is in the wallet again; or ""
	Reason   PayoutReason // with PayoutFailed
	ETA      *Instant     // when it is tried again; nil: nobody knows
	Check    Check        // with PayoutVerify: what the customer can do
	Cancel   *Action      // nil: it cannot be cancelled
}

// Check is what a customer can do to show who they are: one of three, or nothing.
type Check struct {
	URL   string  // the page of who checks
	Begin *Action // begins a check
	Under bool    // one is under way, and there is nothing to do
}

// Action is a button: a form that POSTs Fields to URL, on our own origin.
type Action struct {
	URL    string
	Fields []Field
}

// Tone colours a payout's state.
func (p Payout) Tone() string {
	switch p.State {
	case PayoutPaid:
		return "good"
	case PayoutFailed, PayoutCancelled:
		return "bad"
	case PayoutProcessing, PayoutVerify, PayoutReview, PayoutDeferred, PayoutPartly:
	}
	return "wait"
}

// Limit is a bound that holds for the customer.
type Limit struct {
	Kind    string // "deposit", "net_deposit", "loss", "stake", "single_deposit"
	Period  string // "day", "week", "month", "calendar_month", "once"
	Amount  string
	Used    string // "": it cannot be said
	ByHouse bool   // the customer has not set it
	Asked   string // what waits to be confirmed; "" for nothing
	Remove  bool   // what waits is to be without it
	From    *Instant
}

// Restricted is what keeps a customer from paying in and from playing.
type Restricted struct {
	Kind  string   // "cool_off", "self_excluded" or "house"
	Until *Instant // nil: it does not end by itself
}

// Notice is one thing that happened, or that the customer was told.
type Notice struct {
	Kind   string // one of NoticeKinds
	At     *Instant
	State  PayoutState // of a payout
	Amount string      // of a payout or limit
	Limit  string      // of a limit: its kind
	Period string      // and its period
	Level  string      // of verification
	From   *Instant    // from when on it can be confirmed, or it ends
}

// NoticeKinds are the notices that there are texts for.
func NoticeKinds() []string {
	return []string{
		"payout", "level", "level_needed", "check_open", "check_passed", "check_failed", "check_expired",
		"limit_set", "limit_gone", "limit_asked", "limit_asked_gone", "house_limit", "house_limit_gone",
		"cool_off", "self_excluded", "restricted", "lifted", "end_asked",
	}
}

// Says is a notice in words. What its From means stands at its end.
func (v CustomerView) Says(n Notice) string {
	state := ""
	if n.State != "" {
		state = v.T("payout." + string(n.State))
	}
	return v.T("notice."+n.Kind, "amount", n.Amount, "state", state, "limit", v.Named(n.Limit, n.Period), "level", n.Level)
}

// Named is what a limit is called.
func (v CustomerView) Named(kind, period string) string {
	if kind == "" {
		return ""
	}
	return v.T("limit."+kind) + ", " + v.T("period."+period)
}
