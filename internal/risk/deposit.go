package risk

import (
	"fmt"
	"math/bits"
	"time"

	"aorta/internal/money"
)

// DepositFacts are what is known of a deposit that somebody wants to make. Sums
// are of deposits reserved or captured within the window that ends now, over all
// of the customer's currencies, without this one.
type DepositFacts struct {
	NowUS             int64        `json:"now_us"`
	Amount            money.Amount `json:"amount"`
	Restriction       string       `json:"restriction,omitempty"` // in force now: cool_off, self_excluded, …
	RestrictedUntilUS int64        `json:"restricted_until_us,omitempty"`
	Level             int64        `json:"level"`
	PEP               bool         `json:"pep,omitempty"` // a politically exposed person
	Ever              Sum          `json:"ever,omitempty"`
	Days180           Sum          `json:"days_180,omitempty"`
	Days30            Sum          `json:"days_30,omitempty"`
}

// DecideDeposit judges a deposit: Allow, Review, StepUp or Decline. Limits that
// are counted in windows are not its business.
func (r *Rules) DecideDeposit(f DepositFacts) Decision {
	j := judge{rules: r, decision: Decision{Rules: r.Hash, Action: Allow, Results: make([]Hit, 0, 6)}, level: f.Level, weak: Review}
	j.run(CheckState, func() error { return j.depositState(f) })
	j.run(CheckKYC, func() error { return j.depositLevel(f) })
	j.run(CheckRules, func() error { j.depositRules(f); return nil })
	j.decision.Score = min(j.weights, 100)
	return j.decision
}

// PassesDeposit reports whether a deposit is one of which DecideDeposit has nothing to
// say: it is allowed, nobody is warned, and no rule hit, or could not be judged. Nearly
// all are, and this is found without writing down what each rule has found.
func (r *Rules) PassesDeposit(f *DepositFacts) bool {
	level, err := levelOf(f.Level)
	if err != nil || f.Restriction != "" || f.PEP && level < Levels-1 {
		return false
	}
	m, err := r.measure(r.KYC.Levels[level].Deposits, sums{f.Ever, f.Days180, f.Days30}, f.Amount)
	if err != nil || !m.admits || m.bounded && reaches(m.sum, r.KYC.WarnPermille, m.most) {
		return false
	}
	return r.belowSum(ruleSum180, f.Level < 2, f.Days180, f.Amount) && r.belowSum(ruleSum30, f.Level < 3, f.Days30, f.Amount)
}

// belowSum reports whether a rule of sums is not asked, or does not hit.
func (r *Rules) belowSum(id string, low bool, s Sum, more money.Amount) bool {
	for n := range r.Rules {
		rule := &r.Rules[n]
		if rule.ID != id {
			continue
		}
		if !rule.Enabled || rule.Deposit == "" {
			return true
		}
		_, _, hits, err := r.cumulative(rule, low, s, more)
		return err == nil && !hits
	}
	return false
}

// The rules of the sums that were paid in.
const (
	ruleSum180 = "A03"
	ruleSum30  = "A11"
)

func (j *judge) depositState(f DepositFacts) error {
	restricted := Refusal{Code: CodePlayerRestricted, Reason: DeclinedByRisk, UntilUS: f.RestrictedUntilUS}
	switch f.Restriction {
	case "":
	case restrictionFrozen:
		j.note(finding{Hit: Hit{Rule: ruleFrozen, Value: 1, Action: Decline}, says: restricted})
	case restrictionClosed:
		j.note(finding{Hit: Hit{Rule: ruleClosed, Value: 1, Action: Decline}, says: restricted})
	default: // known or not: who is restricted pays nothing in
		restricted.Reason = LimitReached
		j.note(finding{Hit: Hit{Rule: RuleExclusion, Value: 1, Action: Decline}, says: restricted})
	}
	return nil
}

func (j *judge) depositLevel(f DepositFacts) error {
	level, err := levelOf(f.Level)
	if err != nil {
		return err
	}
	sums := sums{f.Ever, f.Days180, f.Days30}
	bound := j.rules.KYC.Levels[level].Deposits
	b, err := j.rules.measure(bound, sums, f.Amount)
	if err != nil {
		return err
	}
	hit := Hit{Rule: "level_deposits", Value: b.sum, Threshold: b.most, Action: Allow}
	if !b.admits {
		hit.Action = StepUp
		needed := refusedFor(j.rules.enough(level, sums, f.Amount, Level.deposits))
		if b.room >= 0 {
			needed.Remaining = &money.Amount{Minor: b.room, Currency: f.Amount.Currency}
		}
		j.note(finding{Hit: hit, says: needed})
		return nil
	}
	j.note(finding{Hit: hit})
	if b.bounded && reaches(b.sum, j.rules.KYC.WarnPermille, b.most) {
		// limits-and-risk.md section 2: not asked for first at the payout, if it could have been asked before.
		j.note(finding{
			Hit:  Hit{Rule: "level_approached", Value: b.sum, Threshold: b.most, Action: j.rules.KYC.Approach},
			says: refusedFor(level + 1),
		})
		if j.rules.KYC.Approach == Allow {
			j.decision.Warn, j.decision.RequiredLevel = true, level+1
		}
	}
	return nil
}

func (j *judge) depositRules(f DepositFacts) {
	j.ask(ruleSum180, false, refusedFor(2), false, func(rule Rule) (int64, int64, bool, error) {
		return j.rules.cumulative(&rule, f.Level < 2, f.Days180, f.Amount)
	})
	j.exposed(f.PEP, f.Level)
	j.ask(ruleSum30, false, refusedFor(3), false, func(rule Rule) (int64, int64, bool, error) {
		return j.rules.cumulative(&rule, f.Level < 3, f.Days30, f.Amount)
	})
}

// cumulative says whether deposits, with one more, reach the sum of a rule that
// is for those whose level is too low.
func (r *Rules) cumulative(rule *Rule, low bool, s Sum, more money.Amount) (value, threshold int64, hits bool, err error) {
	if value, err = r.with(s, more); err != nil {
		return 0, 0, false, err
	}
	if threshold, err = r.threshold(rule.Params["sum_minor"], more.Currency); err != nil {
		return 0, 0, false, err
	}
	return value, threshold, low && value >= threshold, nil
}

// refusedFor is the refusal of those who need a level.
func refusedFor(level int64) Refusal {
	return Refusal{Code: CodeKYCRequired, Reason: VerificationRequired, RequiredLevel: level}
}

func levelOf(level int64) (int64, error) {
	if level < 0 || level >= Levels {
		return 0, fmt.Errorf("there is no level %d", level)
	}
	return level, nil
}

func (l Level) deposits() Bound { return l.Deposits }
func (l Level) payouts() Bound  { return l.Payouts }

// sums are those of the windows that a bound may have.
type sums struct{ ever, days180, days30 Sum }

func (s sums) of(window time.Duration) Sum {
	if window == Days180 {
		return s.days180
	}
	if window == Days30 {
		return s.days30
	}
	return s.ever // Load takes no other window
}

// measured is a bound held against a sum, in the currency that is asked about.
type measured struct {
	sum, most int64
	room      int64 // what would still pass; −1: nothing can be said
	bounded   bool
	admits    bool
}

// measure holds the sum of a window, with one more amount, against a bound.
func (r *Rules) measure(b Bound, sums sums, more money.Amount) (measured, error) {
	switch b.Kind {
	case BoundAgreed:
		return measured{admits: true, room: -1}, nil
	case BoundNone:
		return measured{sum: more.Minor, room: 0}, nil
	case BoundUpTo, BoundBelow:
	}
	before, err := r.total(sums.of(b.Window), more.Currency)
	if err != nil {
		return measured{}, err
	}
	sum, err := money.Amount{Minor: before, Currency: more.Currency}.Add(more)
	if err != nil {
		return measured{}, err
	}
	most, err := r.threshold(b.Minor, more.Currency)
	if err != nil {
		return measured{}, err
	}
	last := most // the highest sum that passes
	if b.Kind == BoundBelow {
		last = most - 1
	}
	return measured{sum: sum.Minor, most: most, room: max(last-before, 0), bounded: true, admits: sum.Minor <= last}, nil
}

// enough gives the lowest level above one that admits the amount; the highest
// there is, if none does.
func (r *Rules) enough(above int64, sums sums, more money.Amount, of func(Level) Bound) int64 {
	for level := above + 1; level < Levels; level++ {
		if m, err := r.measure(of(r.KYC.Levels[level]), sums, more); err == nil && m.admits {
			return level
		}
	}
	return Levels - 1
}

// reaches says whether a sum is at least so many permille of a bound; none of
// them is negative.
func reaches(sum, permille, bound int64) bool {
	high, low := bits.Mul64(uint64(max(sum, 0)), 1000)
	boundHigh, boundLow := bits.Mul64(uint64(bound), uint64(permille))
	return high > boundHigh || (high == boundHigh && low >= boundLow)
}
