package risk

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"aorta/internal/money"
)

// PayoutFacts are what is known of a payout when it is judged. Sums are over all
// of the customer's currencies, of the window that ends now, and without this
// payout unless they say; other minor units are in the payout's currency. A
// pointer that is nil was not found out.
type PayoutFacts struct {
	NowUS    int64        `json:"now_us"`
	Amount   money.Amount `json:"amount"`
	Reserved bool         `json:"reserved,omitempty"` // its money is reserved already, and not in Available
	Released []Pass       `json:"released,omitempty"` // what a person has let pass (Decision.Stopped)

	// Check 2, state.
	Restriction       string `json:"restriction,omitempty"` // in force now
	RestrictedUntilUS int64  `json:"restricted_until_us,omitempty"`
	Reviews           int64  `json:"reviews,omitempty"` // open cases that make payouts wait

	// Check 3, level.
	Level    int64 `json:"level"`
	PaidEver Sum   `json:"paid_ever,omitempty"` // paid out or reserved
	Paid180  Sum   `json:"paid_180,omitempty"`
	Paid30   Sum   `json:"paid_30,omitempty"`

	// Check 4, balance.
	Available int64 `json:"available,omitempty"` // withdrawable: without reservations and chargeback reserve

	// Check 5, wagering.
	Bonus         int64 `json:"bonus,omitempty"`          // balance of a bonus that is not wagered yet
	BonusAgreed   bool  `json:"bonus_agreed,omitempty"`   // the customer agrees to lose it
	SinceDeposits int64 `json:"since_deposits,omitempty"` // captured since the last paid payout
	SinceStakes   int64 `json:"since_stakes,omitempty"`   // of real money, since then
	DepositedEver int64 `json:"deposited_ever,omitempty"` // by these two what was judged now is told from what comes
	StakedEver    int64 `json:"staked_ever,omitempty"`    // until the payout is paid

	// Check 6, route.
	Elsewhere int64 `json:"elsewhere,omitempty"` // what goes where it did not come from, since that cannot take it

	// Check 7, limits.
	Day          Sum    `json:"day,omitempty"`          // paid out or reserved in 24 hours
	DayFreesUS   int64  `json:"day_frees_us,omitempty"` // when the oldest of it leaves the window
	MonthFreesUS int64  `json:"month_frees_us,omitempty"`
	Parts        []Part `json:"parts,omitempty"`
	MerchantDay  *Sum   `json:"merchant_day,omitempty"`

	// Check 8, rules.
	Requests      *int64   `json:"requests,omitempty"`        // payouts asked for within V10's window, this one included
	LastDepositUS *int64   `json:"last_deposit_us,omitempty"` // newest capture of a deposit; 0: there is none
	Deposited180  Sum      `json:"deposited_180,omitempty"`   // captured
	Deposited30   Sum      `json:"deposited_30,omitempty"`
	Countries     []string `json:"countries,omitempty"` // of IP, card, verification, bank, as far as known
	Sanctions     *int64   `json:"sanctions,omitempty"` // permille of the best match of a screening newer than the level; nil: there was none, and the level stands for the last
	PEP           bool     `json:"pep,omitempty"`
	Unscreened    bool     `json:"unscreened,omitempty"` // who screens has not answered in time, and the last answer is too old

	// Check 9, approval.
	Approvals int `json:"approvals,omitempty"` // by different people, none of them the last editor
}

// Part is a share of a payout that goes one way.
type Part struct {
	Method     string `json:"method"`
	Connector  string `json:"connector"`
	Account    string `json:"account"`
	Minor      int64  `json:"minor"`
	AccountDay *Sum   `json:"account_day,omitempty"` // what that PSP account has paid out in 24 hours
}

// Restrictions, as package customer names them.
const (
	restrictionCoolOff  = "cool_off"
	restrictionSelf     = "self_excluded"
	restrictionOperator = "operator_excluded"
	restrictionRegistry = "registry_excluded"
	restrictionFrozen   = "frozen"
	restrictionClosed   = "closed"
)

// RuleExclusion is the rule by which who is excluded neither pays in nor plays.
// It is part of the catalogue so that a file can be refused that weakens it.
const RuleExclusion = "exclusion"

// Names of questions that are not rules of the catalogue.
const (
	ruleFrozen      = "frozen"
	ruleRestriction = "restriction"
	ruleClosed      = "closed"
	ruleReviews     = "open_cases"
	ruleElsewhere   = "A07"
	ruleScore       = "score"
)

// RuleMerchantDay is the question of what the merchant pays out in a day. Whoever gathers
// the facts must know it, and AccountDay: a person's release takes a place in them.
const RuleMerchantDay = "merchant_day"

const ruleAccountDay = "account_day:"

// AccountDay is the question of what one PSP account pays out in a day.
func AccountDay(connector, account string) string { return ruleAccountDay + connector + ":" + account }

// Roles that may let a held payout pass.
const (
	RolePayoutApprover = "payout_approver"
	RoleRGOfficer      = "rg_officer"
	RoleAMLAnalyst     = "aml_analyst" // and the mlro
	RoleMLRO           = "mlro"
)

// DecidePayout runs checks 2 to 9 over the facts of a payout. All are run and
// recorded; the first that stops decides (limits-and-risk.md section 4).
func (r *Rules) DecidePayout(f PayoutFacts) Decision {
	j := r.payoutJudge(f)
	j.run(CheckState, func() error { return j.payoutState(f) })
	j.run(CheckKYC, func() error { return j.payoutLevel(f) })
	j.run(CheckBalance, func() error { j.balance(f); return nil })
	j.run(CheckWagering, func() error { return j.wagering(f) })
	j.run(CheckRoute, func() error { j.route(f); return nil })
	j.run(CheckLimits, func() error { return j.limits(f) })
	j.run(CheckRules, func() error { j.payoutRules(f); return nil })
	j.run(CheckApproval, func() error { return j.approval(f) })
	return j.decision
}

// Recheck runs the checks that must hold when something of a payout leaves the queue, if
// it was judged longer ago than PayoutRules.RecheckAfter: 2, 3, 7 and 8.
func (r *Rules) Recheck(f PayoutFacts) Decision {
	j := r.payoutJudge(f)
	j.run(CheckState, func() error { return j.payoutState(f) })
	j.run(CheckKYC, func() error { return j.payoutLevel(f) })
	j.run(CheckLimits, func() error { return j.limits(f) })
	j.run(CheckRules, func() error { j.payoutRules(f); return nil })
	return j.decision
}

func (r *Rules) payoutJudge(f PayoutFacts) *judge {
	return &judge{rules: r, decision: Decision{Rules: r.Hash, Action: Allow, Results: make([]Hit, 0, 24)}, released: f.Released, level: f.Level, weak: Hold}
}

// waits is what is said of a payout that a person must look at.
var waits = Refusal{Code: CodeDeclined, Reason: UnderReview}

func (j *judge) payoutState(f PayoutFacts) error {
	left := f.Available // after this payout
	if !f.Reserved {
		left -= f.Amount.Minor
	}
	switch f.Restriction {
	case "":
	case restrictionCoolOff, restrictionSelf: // must be able to withdraw
		j.note(finding{Hit: Hit{Rule: RuleExclusion, Value: 1, Action: Allow}})
	case restrictionOperator, restrictionRegistry:
		j.note(finding{Hit: Hit{Rule: RuleExclusion, Value: 1, Action: Hold}, says: waits, approver: RoleRGOfficer})
	case restrictionFrozen:
		j.note(finding{Hit: Hit{Rule: ruleFrozen, Value: 1, Action: Hold}, says: waits, approver: RoleMLRO, opens: true})
	case restrictionClosed:
		hit := Hit{Rule: ruleClosed, Value: f.Amount.Minor, Threshold: f.Amount.Minor + left, Action: Allow}
		if left > 0 {
			hit.Action = Decline
		}
		j.note(finding{Hit: hit, says: Refusal{
			Code: CodePlayerRestricted, Reason: DeclinedByRisk, Remaining: &money.Amount{Minor: f.Amount.Minor + left, Currency: f.Amount.Currency},
		}})
	default:
		j.broken(ruleRestriction, fmt.Errorf("restriction %q is not known", f.Restriction))
	}
	hit := Hit{Rule: ruleReviews, Value: f.Reviews, Threshold: 1, Action: Allow}
	if f.Reviews > 0 {
		hit.Action = Hold
	}
	j.note(finding{Hit: hit, says: waits})
	return nil
}

func (j *judge) payoutLevel(f PayoutFacts) error {
	level, err := levelOf(f.Level)
	if err != nil {
		return err
	}
	sums := sums{f.PaidEver, f.Paid180, f.Paid30}
	b, err := j.rules.measure(j.rules.KYC.Levels[level].Payouts, sums, f.Amount)
	if err != nil {
		return err
	}
	hit := Hit{Rule: "level_payouts", Value: b.sum, Threshold: b.most, Action: Allow}
	var says Refusal
	if !b.admits {
		hit.Action, says = StepUp, refusedFor(j.rules.enough(level, sums, f.Amount, Level.payouts))
	}
	j.note(finding{Hit: hit, says: says})
	return nil
}

func (j *judge) balance(f PayoutFacts) {
	if f.Reserved {
		return
	}
	hit := Hit{Rule: "withdrawable", Value: f.Amount.Minor, Threshold: f.Available, Action: Allow}
	if f.Amount.Minor > f.Available {
		hit.Action = Decline
	}
	j.note(finding{Hit: hit, says: Refusal{Code: CodeInsufficientFunds}})
}

func (j *judge) wagering(f PayoutFacts) error {
	if f.Bonus > 0 && !f.Reserved { // what is reserved was the customer's own, whatever they were given since
		hit := Hit{Rule: "bonus", Value: f.Bonus, Action: Allow}
		if !f.BonusAgreed {
			hit.Action = Decline
		}
		j.note(finding{Hit: hit, says: Refusal{Code: CodeStateConflict, State: "bonus_active"}, forfeit: f.BonusAgreed})
	}
	missing, err := Turnover(j.rules.Payout.TurnoverPermille, f.SinceDeposits, f.SinceStakes)
	if err != nil {
		return err
	}
	says := waits
	says.Missing = &money.Amount{Minor: missing, Currency: f.Amount.Currency}
	j.ask("A04", true, says, true, func(Rule) (int64, int64, bool, error) { return missing, 0, missing > 0, nil })
	return nil
}

// Turnover is what must still be staked before a payout: permille of the deposits
// since the last paid payout, less the stakes since then, in minor units, rounded
// up. Deposits of 150.00 at 1000 with stakes of 120.00 leave 30.00.
func Turnover(permille, deposits, stakes int64) (int64, error) {
	if permille < 0 || deposits < 0 || stakes < 0 {
		return 0, errors.New("turnover of a negative sum")
	}
	high, low := bits.Mul64(uint64(permille), uint64(deposits))
	if high >= 1000 {
		return 0, money.ErrRange
	}
	required, rest := bits.Div64(high, low, 1000)
	if rest > 0 {
		required++
	}
	if required <= uint64(stakes) {
		return 0, nil
	}
	missing := required - uint64(stakes)
	if missing > 1<<63-1 {
		return 0, money.ErrRange
	}
	return int64(missing), nil
}

// Staked is what was staked of games that count in part towards a bonus.
type Staked struct {
	Minor    int64
	Permille int64 // of it that counts: slots 1000, tables 100
}

// BonusMissing is what must still be staked, of games that count in full, until a
// bonus is wagered: a multiple of it, less what the stakes count for, rounded up.
// 20.00 × 30 with 300.00 of slots and 1,000.00 of tables leave 200.00.
func BonusMissing(bonus, times int64, stakes []Staked) (int64, error) {
	required, err := product(bonus, times)
	if err != nil {
		return 0, err
	}
	left, err := product(required, 1000)
	if err != nil {
		return 0, err
	}
	for _, s := range stakes {
		counts, err := product(s.Minor, s.Permille)
		if err != nil {
			return 0, err
		}
		left -= min(counts, left)
	}
	return (left + 999) / 1000, nil
}

// product multiplies what cannot be negative.
func product(a, b int64) (int64, error) {
	if a < 0 || b < 0 {
		return 0, errors.New("wagering of a negative sum")
	}
	high, low := bits.Mul64(uint64(a), uint64(b))
	if high > 0 || low > 1<<62 {
		return 0, money.ErrRange
	}
	return int64(low), nil
}

func (j *judge) route(f PayoutFacts) {
	j.ask(ruleElsewhere, true, waits, false, func(Rule) (int64, int64, bool, error) { return f.Elsewhere, 0, f.Elsewhere > 0, nil })
}

func (j *judge) limits(f PayoutFacts) error {
	p, c := j.rules.Payout, f.Amount.Currency
	j.between("payout", f.Amount.Minor, p.Min, p.Max, c)
	for _, part := range f.Parts {
		if i := slices.IndexFunc(p.Methods, func(m MethodBound) bool { return m.Method == part.Method }); i >= 0 {
			j.between("payout_"+part.Method, part.Minor, p.Methods[i].Min, p.Methods[i].Max, c)
		}
		if p.AccountDayMax > 0 {
			j.outside(AccountDay(part.Connector, part.Account), part.AccountDay, money.Amount{Minor: part.Minor, Currency: c}, p.AccountDayMax)
		}
	}
	j.maximum("payout_day", PeriodDay, f.Day, f.Amount, p.DayMax, f.DayFreesUS)
	j.maximum("payout_month", PeriodMonth, f.Paid30, f.Amount, p.MonthMax, f.MonthFreesUS)
	if p.MerchantDayMax > 0 {
		j.outside(RuleMerchantDay, f.MerchantDay, f.Amount, p.MerchantDayMax)
	}
	return nil
}

// between judges one amount.
func (j *judge) between(rule string, minor, least, most int64, c money.Currency) {
	for _, b := range []struct {
		name  string
		bound int64
		low   bool
	}{{rule + "_min", least, true}, {rule + "_max", most, false}} {
		if b.bound == 0 {
			continue
		}
		bound, err := j.rules.threshold(b.bound, c)
		if err != nil {
			j.broken(b.name, err)
			continue
		}
		hit, says := Hit{Rule: b.name, Value: minor, Threshold: bound, Action: Allow}, Refusal{Code: CodeAmountOutOfRange, Reason: LimitReached}
		if b.low && minor < bound {
			hit.Action = Decline
		}
		if !b.low && minor > bound {
			hit.Action, says.Remaining = Decline, &money.Amount{Minor: bound, Currency: c}
		}
		j.note(finding{Hit: hit, says: says})
	}
}

// maximum judges what a customer is paid in a period.
func (j *judge) maximum(rule string, p Period, before Sum, a money.Amount, most, freesUS int64) {
	if most == 0 {
		return
	}
	sum, bound, err := j.rules.against(before, a, most)
	if err != nil {
		j.broken(rule, err)
		return
	}
	hit := Hit{Rule: rule, Value: sum, Threshold: bound, Action: Allow}
	if sum > bound {
		hit.Action = Decline
	}
	j.note(finding{Hit: hit, says: Refusal{
		Code: CodeLimitExceeded, Reason: LimitReached, Period: p, ResetsUS: freesUS,
		Remaining: &money.Amount{Minor: max(bound-(sum-a.Minor), 0), Currency: a.Currency},
	}})
}

// Fits reports whether an amount more keeps a sum that is not the customer's (a
// merchant's, or a PSP account's) at or below a maximum of the rules', or whether people
// have let so much pass: whether outside lets it go on.
func (r *Rules) Fits(rule string, before Sum, more money.Amount, most int64, let []Pass) bool {
	sum, bound, err := r.against(before, more, most)
	hit := Hit{Rule: rule, Value: sum}
	switch {
	case err != nil:
		hit = Hit{Rule: rule, Error: err.Error()}
	case sum <= bound:
		return true
	}
	return slices.ContainsFunc(let, func(p Pass) bool { return p.covers(hit) })
}

// outside judges a sum that is not the customer's: they are not refused for it,
// the payout waits for a person.
func (j *judge) outside(rule string, before *Sum, a money.Amount, most int64) {
	if before == nil {
		j.broken(rule, errMissing)
		return
	}
	sum, bound, err := j.rules.against(*before, a, most)
	if err != nil {
		j.broken(rule, err)
		return
	}
	hit := Hit{Rule: rule, Value: sum, Threshold: bound, Action: Allow}
	if sum > bound {
		hit.Action = Hold
	}
	j.note(finding{Hit: hit, says: waits})
}

// against gives a sum with one more amount, and a bound in that currency.
func (r *Rules) against(before Sum, a money.Amount, most int64) (sum, bound int64, err error) {
	if sum, err = r.with(before, a); err != nil {
		return 0, 0, err
	}
	bound, err = r.threshold(most, a.Currency)
	return sum, bound, err
}

// errMissing: a rule needs a fact that was not found out.
var errMissing = errors.New("the fact is missing")

func (j *judge) payoutRules(f PayoutFacts) {
	j.ask("V10", true, waits, false, func(rule Rule) (int64, int64, bool, error) {
		if f.Requests == nil {
			return 0, 0, false, errMissing
		}
		most := rule.Params["count"]
		return *f.Requests, most, *f.Requests > most, nil
	})
	j.ask("P04", true, waits, false, func(rule Rule) (int64, int64, bool, error) {
		if f.LastDepositUS == nil {
			return 0, 0, false, errMissing
		}
		after := f.NowUS - rule.Window.Microseconds() // instants, so that a later deposit is more than what was let pass
		return *f.LastDepositUS, after, *f.LastDepositUS > 0 && *f.LastDepositUS > after, nil
	})
	nothing := money.Amount{Currency: f.Amount.Currency}
	j.ask(ruleSum180, true, refusedFor(2), false, func(rule Rule) (int64, int64, bool, error) {
		return j.rules.cumulative(&rule, f.Level < 2, f.Deposited180, nothing)
	})
	j.ask(ruleSum30, true, refusedFor(3), false, func(rule Rule) (int64, int64, bool, error) {
		return j.rules.cumulative(&rule, f.Level < 3, f.Deposited30, nothing)
	})
	j.ask("G03", true, waits, true, func(rule Rule) (int64, int64, bool, error) {
		if len(rule.Countries) == 0 {
			return 0, 0, false, nil
		}
		if len(f.Countries) == 0 {
			return 0, 0, false, errMissing
		}
		var blocked int64
		for _, c := range f.Countries {
			if slices.Contains(rule.Countries, c) {
				blocked++
			}
		}
		return blocked, 1, blocked > 0, nil
	})
	j.sanctions(f)
	j.score(f)
}

// sanctions judges a screening (A10): a match, an unclear one, or a politically
// exposed person, who needs the highest level.
func (j *judge) sanctions(f PayoutFacts) {
	j.ask("A10", true, waits, true, func(rule Rule) (int64, int64, bool, error) {
		threshold := rule.Params["unclear_permille"]
		switch {
		case f.Unscreened: // limits-and-risk.md section 0: what is not heard within its time holds a payout
			return 0, 0, false, errUnscreened
		case f.Sanctions == nil:
			return 0, threshold, false, nil
		}
		if *f.Sanctions < 0 || *f.Sanctions > 1000 {
			return 0, 0, false, fmt.Errorf("a match of %d permille", *f.Sanctions)
		}
		return *f.Sanctions, threshold, *f.Sanctions >= threshold, nil
	})
	j.exposed(f.PEP, f.Level)
}

var errUnscreened = errors.New("the lists of sanctions have not been searched in time")

// exposed asks for the highest level of a politically exposed person.
func (j *judge) exposed(pep bool, level int64) {
	if pep && level < Levels-1 {
		j.note(finding{Hit: Hit{Rule: "A10_pep", Value: level, Threshold: Levels - 1, Action: StepUp}, says: refusedFor(Levels - 1)})
	}
}

// Bands of the score (limits-and-risk.md section 3.5).
const (
	scoreMedium = 30
	scoreHigh   = 70
)

// score makes the answer stricter when weights of rules add up, never looser.
func (j *judge) score(f PayoutFacts) {
	score := min(j.weights, 100)
	j.decision.Score = score
	switch {
	case score >= scoreHigh || (score >= scoreMedium && f.Level >= Levels-1): // nothing is left to step up to
		j.note(finding{Hit: Hit{Rule: ruleScore, Value: score, Threshold: scoreHigh, Action: Hold}, says: waits})
	case score >= scoreMedium:
		j.note(finding{Hit: Hit{Rule: ruleScore, Value: score, Threshold: scoreMedium, Action: StepUp}, says: refusedFor(f.Level + 1)})
	default:
		j.note(finding{Hit: Hit{Rule: ruleScore, Value: score, Threshold: scoreMedium, Action: Allow}})
	}
}

func (j *judge) approval(f PayoutFacts) error {
	needed := 0
	hit := Hit{Rule: "approval", Value: f.Amount.Minor, Action: Allow}
	for n, above := range []int64{j.rules.Payout.ManualAbove, j.rules.Payout.DualAbove} {
		bound, err := j.rules.threshold(above, f.Amount.Currency)
		if err != nil {
			return err
		}
		if f.Amount.Minor > bound {
			needed, hit.Threshold = n+1, bound
		}
	}
	j.decision.Approvals = needed
	if f.Approvals < needed {
		hit.Action = Hold
	}
	j.note(finding{Hit: hit, says: waits, approver: RolePayoutApprover})
	return nil
}
