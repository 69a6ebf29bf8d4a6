package risk

import (
	"fmt"

	"aorta/internal/money"
)

// Code is the error code that a refusal has at every door (errors.md).
type Code string

// The codes of refusals.
const (
	CodeLimitExceeded     Code = "limit_exceeded"
	CodePlayerRestricted  Code = "player_restricted"
	CodeKYCRequired       Code = "kyc_required"
	CodeVelocityLimited   Code = "velocity_limited"
	CodeAmountOutOfRange  Code = "amount_out_of_range"
	CodeInsufficientFunds Code = "insufficient_funds"
	CodeStateConflict     Code = "state_conflict"
	CodeDeclined          Code = "payment_declined"
)

// Refusal says that limits, restrictions, verification or risk do not let
// something happen. Flows return it; a door says it in its protocol's words, and
// nothing of it names a rule. Nothing was begun.
type Refusal struct {
	Code   Code
	Reason Reason

	Limit         LimitKind     // of limit_exceeded: which; of a payout's own limits: empty
	Period        Period        // and over how long
	Remaining     *money.Amount // what would pass now; nil where that says nothing
	ResetsUS      int64         // when more would pass; 0: not by itself
	RequiredLevel int64         // of kyc_required: the level that suffices
	RetryAfterS   int64         // of velocity_limited; above zero
	UntilUS       int64         // of player_restricted: when it ends; 0: not by itself
	Missing       *money.Amount // of a payout: what must be staked first
	State         string        // of state_conflict
}

func (r *Refusal) Error() string {
	text := fmt.Sprintf("%s (%s)", r.Code, r.Reason)
	if r.Limit != "" {
		text += fmt.Sprintf(": %s per %s", r.Limit, r.Period)
	}
	if r.Remaining != nil {
		text += fmt.Sprintf(", %s %s remain", r.Remaining.Decimal(), r.Remaining.Currency)
	}
	if r.RequiredLevel > 0 {
		text += fmt.Sprintf(", level %d is required", r.RequiredLevel)
	}
	return text
}
