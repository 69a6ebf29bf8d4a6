// Package risk says what a house's rules make of facts: whether a deposit needs
// a higher level of verification, whether a payout may go on, waits or is
// refused. The rules are a file (Load); the facts are read by whoever asks, in
// the act that moves the money.
//
// It reads nothing, remembers nothing and knows no clock: the same rules and
// the same facts give the same decision for ever, so that a stored decision can
// be replayed (limits-and-risk.md section 0). It never lets anything pass that
// it could not judge: a payout is held then, a deposit reviewed.
//
// Known weakness: of the catalogue of limits-and-risk.md section 3 it judges
// those rules that Catalogue says are built; a file that switches on another is
// refused, so that nobody relies on a rule that does nothing.
package risk

import (
	"slices"
	"time"

	"aorta/internal/money"
)

// Rules are what a file and its profile come to.
type Rules struct {
	Hash      string         // SHA-256 over all that follows, in hex: the version that each decision names
	Profile   string         // "generic", "uk", …
	Reference money.Currency // what amounts below are in, unless they say
	Rates     Rates
	Limits    LimitRules
	KYC       KYCRules
	Payout    PayoutRules
	Rules     []Rule // the whole catalogue, in its order
}

// Action is what a rule, or all of them together, answers.
type Action string

// The actions, from weakest to strongest (limits-and-risk.md section 0).
const (
	Allow   Action = "allow"
	Review  Action = "review"  // deposits: go on, with a case; payouts of the customer wait until it is closed
	StepUp  Action = "step_up" // stop until the customer is verified better; the same payment may go on then
	Hold    Action = "hold"    // payouts: the money stays reserved until a person decides
	Decline Action = "decline" // refuse; a payout's reservation is released
)

// actions are ordered by strength.
var actions = []Action{Allow, Review, StepUp, Hold, Decline}

// WeakerThan says whether b stops more than a does.
func (a Action) WeakerThan(b Action) bool {
	return slices.Index(actions, a) < slices.Index(actions, b)
}

// Reason is what the customer and the merchant may know of a refusal; never the
// name of a rule (limits-and-risk.md section 0).
type Reason string

// The reasons.
const (
	LimitReached         Reason = "limit_reached"
	VerificationRequired Reason = "verification_required"
	DeclinedByRisk       Reason = "declined_by_risk"
	UnderReview          Reason = "under_review"
)

// Rule is one rule of the catalogue as the file has set it.
type Rule struct {
	ID        string
	Enabled   bool
	Shadow    bool             // judged and recorded, without effect
	Window    time.Duration    // how far back its facts reach; 0 where it has none
	Params    map[string]int64 // its figures; amounts in minor units of the reference currency
	Countries []string         // G03: those that are blocked, ISO 3166-1 alpha-2
	Deposit   Action           // what a hit means for a deposit; "" if nothing
	Payout    Action           // and for a payout
	Weight    int64            // what a hit adds to the score, 0..100
}

// Rule gives a rule of the catalogue. It panics when there is no such rule: ids
// are written in code only by those who evaluate them.
func (r *Rules) Rule(id string) Rule {
	for _, rule := range r.Rules {
		if rule.ID == id {
			return rule
		}
	}
	panic("risk: no such rule: " + id)
}

// LimitRules say how limits and exclusions work (limits-and-risk.md section 1).
type LimitRules struct {
	RaiseDelay      time.Duration // before a raise or removal can be confirmed
	ConfirmWithin   time.Duration // after the delay; then an unconfirmed raise lapses
	RaiseByRegister bool          // raises are decided by a central register, not here: they are refused
	Periods         []Period      // that a customer may set a limit for
	Zone            string        // of calendar months, IANA: "Europe/Berlin"
	Maxima          []Maximum     // that the house or the law sets; the lowest that applies wins

	CoolOffMin   time.Duration // a cool-off takes whole hours from this
	CoolOffMax   time.Duration // to this
	ExcludeMin   int64         // months of a definite self-exclusion, from
	ExcludeMax   int64         // to
	EndDelay     time.Duration // after the end has passed and the customer has asked: definite
	EndDelayOpen time.Duration // and indefinite
}

// Location is the time zone of calendar months.
func (l LimitRules) Location() (*time.Location, error) { return time.LoadLocation(l.Zone) }

// LimitKind is what a limit counts.
type LimitKind string

// The kinds of limits (limits-and-risk.md section 1.1).
const (
	LimitDeposit    LimitKind = "deposit"
	LimitNetDeposit LimitKind = "net_deposit"
	LimitLoss       LimitKind = "loss"
	LimitStake      LimitKind = "stake"
	LimitSingle     LimitKind = "single_deposit"
)

// Period is over how long a limit counts.
type Period string

// The periods. A single amount has PeriodNone.
const (
	PeriodNone          Period = ""
	PeriodDay           Period = "day"            // 24 hours, sliding
	PeriodWeek          Period = "week"           // 7 × 24 hours
	PeriodMonth         Period = "month"          // 30 × 24 hours
	PeriodCalendarMonth Period = "calendar_month" // from the first, 00:00 in Zone
)

// Maximum is a limit that nobody may raise here.
type Maximum struct {
	Kind      LimitKind
	Period    Period
	Amount    money.Amount
	UnderAge  int64 // it is for customers below this age, and for those whose age is not known; 0: for all
	Statutory bool  // the law's; otherwise the house's
}

// Maximum gives the lowest maximum of a kind and period for a customer, in their
// currency; false if there is none. Age 0 is not known. ErrNoRate: a maximum
// cannot be said in that currency; refuse the deposit.
func (r *Rules) Maximum(k LimitKind, p Period, age int64, c money.Currency) (money.Amount, bool, error) {
	var lowest money.Amount
	found := false
	for _, m := range r.Limits.Maxima {
		if m.Kind != k || m.Period != p || (m.UnderAge > 0 && age >= m.UnderAge) {
			continue
		}
		a, err := r.Convert(m.Amount, c)
		if err != nil {
			return money.Amount{}, false, err
		}
		if !found || a.Minor < lowest.Minor {
			lowest, found = a, true
		}
	}
	return lowest, found, nil
}

// KYCRules are the levels of verification (limits-and-risk.md section 2).
type KYCRules struct {
	Levels       [Levels]Level
	WarnPermille int64  // of a bound on deposits, from which on a customer is told to be verified
	Approach     Action // what else that means for the deposit: Allow or StepUp
}

// Levels is how many levels of verification there are: 0, registered, to 3, enhanced.
const Levels = 4

// Level is what a customer of one level may do.
type Level struct {
	Deposits Bound
	Payouts  Bound
}

// BoundKind is how a sum is bounded.
type BoundKind string

// The kinds of bounds.
const (
	BoundNone   BoundKind = "none"   // nothing at all
	BoundUpTo   BoundKind = "up_to"  // the sum may reach the amount
	BoundBelow  BoundKind = "below"  // the sum must stay below it
	BoundAgreed BoundKind = "agreed" // as agreed with the customer: no bound here
)

// Bound is how much may be paid in, or out, within a window.
type Bound struct {
	Kind   BoundKind
	Minor  int64         // in the reference currency
	Window time.Duration // 0: ever
}

// The windows that bounds may have, beside "ever".
const (
	Days30  = 30 * 24 * time.Hour
	Days180 = 180 * 24 * time.Hour
)

// PayoutRules are the parameters of the checks before a payout (limits-and-risk.md
// section 4). Amounts are minor units of the reference currency; a maximum of 0 is none.
type PayoutRules struct {
	Min, Max         int64 // of one payout
	DayMax           int64 // of a customer in 24 hours
	MonthMax         int64 // and in 30 days
	MerchantDayMax   int64 // of a merchant in 24 hours
	AccountDayMax    int64 // of a PSP account in 24 hours
	TurnoverPermille int64 // of the deposits since the last paid payout, that must be staked first
	ManualAbove      int64 // from above this one person approves
	DualAbove        int64 // and from above this two
	Cancel           bool  // whether the customer's cancel of a waiting payout is taken
	Defer            bool  // whether a payout waits while no route is healthy; otherwise it fails

	RecheckAfter time.Duration // checks 2, 3, 7 and 8 run again when something leaves the queue, if the last ones are older
	Methods      []MethodBound
}

// MethodBound bounds what is paid out by one method at once.
type MethodBound struct {
	Method   string // its code, "generic-bank"
	Min, Max int64  // minor units of the reference currency; a maximum of 0 is none
}
