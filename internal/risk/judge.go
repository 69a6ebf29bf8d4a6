package risk

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"aorta/internal/money"
)

// Check is a group of rules that are judged together. Those of a payout stand in
// the order of limits-and-risk.md section 4.
type Check string

// The checks.
const (
	CheckState    Check = "state"    // 2: restrictions, open cases
	CheckKYC      Check = "kyc"      // 3: level of verification
	CheckBalance  Check = "balance"  // 4: enough money
	CheckWagering Check = "wagering" // 5: bonus and turnover
	CheckRoute    Check = "route"    // 6: back to where the money came from
	CheckLimits   Check = "limits"   // 7: amounts
	CheckRules    Check = "rules"    // 8: the catalogue, then the score
	CheckApproval Check = "approval" // 9: by people
)

// Hit is what one rule found, whether it stops anything or not.
type Hit struct {
	Check     Check  `json:"check"`
	Rule      string `json:"rule"` // an id of the catalogue, or the name of a check's own question
	Value     int64  `json:"value"`
	Threshold int64  `json:"threshold"`
	Action    Action `json:"action"`             // Allow: it did not hit
	Shadow    bool   `json:"shadow,omitempty"`   // without effect, by the file
	Released  bool   `json:"released,omitempty"` // without effect, since a person has let it pass
	Error     string `json:"error,omitempty"`    // why it could not be judged
}

// Decision is what the rules make of facts. Its zero value decides nothing.
type Decision struct {
	Rules  string `json:"rules"` // Rules.Hash
	Action Action `json:"action"`
	Check  Check  `json:"check,omitempty"` // the first that stopped it
	Code   Code   `json:"code,omitempty"`
	Reason Reason `json:"reason,omitempty"`

	RequiredLevel int64         `json:"required_level,omitempty"` // of StepUp, and of Warn
	Warn          bool          `json:"warn,omitempty"`           // deposits: tell the customer that RequiredLevel will soon be needed
	Approvals     int           `json:"approvals,omitempty"`      // how many people must approve, all told
	Approver      string        `json:"approver,omitempty"`       // the role that may let it pass
	Limit         LimitKind     `json:"limit,omitempty"`
	Period        Period        `json:"period,omitempty"`
	Remaining     *money.Amount `json:"remaining,omitempty"`
	ResetsUS      int64         `json:"resets_us,omitempty"`
	UntilUS       int64         `json:"until_us,omitempty"`
	Missing       *money.Amount `json:"missing,omitempty"` // of turnover
	State         string        `json:"state,omitempty"`
	Forfeit       bool          `json:"forfeit,omitempty"` // the customer has agreed to lose the bonus balance
	Case          bool          `json:"case,omitempty"`    // a case must be opened
	Score         int64         `json:"score,omitempty"`
	Results       []Hit         `json:"results"` // all that was judged, in order
}

// Hits are those of the results that hit, with or without effect.
func (d Decision) Hits() []Hit {
	var hits []Hit
	for _, h := range d.Results {
		if h.Action != Allow {
			hits = append(hits, h)
		}
	}
	return hits
}

// Pass is a rule that a person has let pass, and what it had found then: should it come
// to find more, it holds again.
type Pass struct {
	Rule     string `json:"rule"`
	Value    int64  `json:"value"`
	Unjudged bool   `json:"unjudged,omitempty"` // it could not be judged, and that was let pass
}

// covers reports whether a hit is no more than what was let pass.
func (p Pass) covers(h Hit) bool {
	return p.Rule == h.Rule && p.Unjudged == (h.Error != "") && (p.Unjudged || h.Value <= p.Value)
}

// Stopped is what a person of the role Approver lets pass who releases this decision's
// hold: what PayoutFacts.Released must have then. Whoever may release some rules need not
// be who may release what else there is: an exclusion, and what laundering looks like,
// are each let pass alone.
func (d Decision) Stopped() []Pass {
	var list []Pass
	by := d.Approver
	if by == RolePayoutApprover { // of the approval itself, which nobody releases
		by = ""
	}
	for _, h := range d.Results {
		if h.Action != Hold || h.Shadow || h.Released || !releasable(h.Rule) || approverOf(h.Rule) != by {
			continue
		}
		p := Pass{Rule: h.Rule, Value: h.Value, Unjudged: h.Error != ""}
		if p.Unjudged {
			p.Value = 0
		}
		if n := slices.IndexFunc(list, func(x Pass) bool { return x.Rule == p.Rule && x.Unjudged == p.Unjudged }); n >= 0 {
			list[n].Value = max(list[n].Value, p.Value)
			continue
		}
		list = append(list, p)
	}
	return list
}

// approverOf is the role that may let pass what a rule holds; "": any that may release
// payouts. Rules of laundering are the analysts' (limits-and-risk.md section 3.6).
func approverOf(rule string) string {
	switch {
	case rule == RuleExclusion:
		return RoleRGOfficer
	case AML(rule):
		return RoleAMLAnalyst
	}
	return ""
}

// AML reports whether a rule is one of the catalogue's against laundering (A01…).
func AML(rule string) bool {
	_, known := entryOf(rule)
	return known && rule[0] == 'A'
}

// Refusal says the decision to whoever asked; nil when it lets go on.
func (d Decision) Refusal() *Refusal {
	if d.Action == Allow || d.Action == Review {
		return nil
	}
	return &Refusal{
		Code: d.Code, Reason: d.Reason, Limit: d.Limit, Period: d.Period, Remaining: d.Remaining, ResetsUS: d.ResetsUS,
		RequiredLevel: d.RequiredLevel, UntilUS: d.UntilUS, Missing: d.Missing, State: d.State,
	}
}

// finding is a hit with what the decision says if it is the one that decides.
type finding struct {
	Hit
	says     Refusal
	approver string
	opens    bool // a case
	forfeit  bool
}

// judge gathers findings, check by check. The first check that stops decides; in
// it, the strongest finding does.
type judge struct {
	rules    *Rules
	decision Decision
	released []Pass
	level    int64  // the customer's
	weak     Action // what stands for "could not be judged": Review or Hold
	check    Check
	findings []finding
	weights  int64
}

// run judges one check. A check that breaks stands for a rule that could not be judged.
func (j *judge) run(c Check, f func() error) {
	j.check, j.findings = c, j.findings[:0]
	if err := j.safely(f); err != nil {
		j.broken(string(c), err)
	}
	j.close()
}

func (j *judge) safely(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f()
}

// broken records a rule that could not be judged, and does not let pass.
func (j *judge) broken(rule string, err error) {
	j.findings = append(j.findings, finding{
		Hit: Hit{Rule: rule, Action: j.weak, Error: err.Error()}, says: Refusal{Code: CodeDeclined, Reason: UnderReview}, approver: approverOf(rule), opens: true,
	})
}

// note records what a check's own question found.
func (j *judge) note(f finding) { j.findings = append(j.findings, f) }

// ask judges a rule of the catalogue with what the file says of it; hit tells
// the observed value, the threshold and whether that is a hit.
func (j *judge) ask(id string, payout bool, says Refusal, opens bool, hit func(Rule) (value, threshold int64, hits bool, err error)) {
	rule := j.rules.Rule(id)
	action := rule.Deposit
	if payout {
		action = rule.Payout
	}
	if !rule.Enabled || action == "" {
		return
	}
	var f finding
	var hits bool
	err := j.safely(func() (err error) {
		f.Value, f.Threshold, hits, err = hit(rule)
		if !hits {
			action = Allow
		}
		return err
	})
	if err != nil {
		j.broken(id, err)
		j.findings[len(j.findings)-1].Shadow = rule.Shadow
		return
	}
	f.Rule, f.Action, f.Shadow, f.says, f.opens, f.approver = id, action, rule.Shadow, says, opens, approverOf(id)
	if f.Action == StepUp {
		f.says.Code, f.says.Reason = CodeKYCRequired, VerificationRequired
		if f.says.RequiredLevel == 0 { // any better verification will do
			f.says.RequiredLevel = j.level + 1
		}
		if f.says.RequiredLevel >= Levels { // there is none
			f.Action, f.says = j.weak, Refusal{Code: CodeDeclined, Reason: UnderReview}
		}
	}
	if hits && !rule.Shadow && !j.passes(f.Hit) {
		j.weights += rule.Weight
	}
	j.findings = append(j.findings, f)
}

// passes reports whether a person has let so much pass.
func (j *judge) passes(h Hit) bool {
	return slices.ContainsFunc(j.released, func(p Pass) bool { return p.covers(h) })
}

// close takes the check's findings into the decision.
func (j *judge) close() {
	var strongest *finding
	for i := range j.findings {
		f := &j.findings[i]
		f.Check = j.check
		if f.Action == Hold && releasable(f.Rule) && j.passes(f.Hit) {
			f.Released = true
		}
		effect := f.Action != Allow && !f.Shadow && !f.Released
		j.decision.Case = j.decision.Case || (effect && f.opens)
		j.decision.Forfeit = j.decision.Forfeit || f.forfeit
		if effect && (strongest == nil || strongest.Action.WeakerThan(f.Action)) {
			strongest = f
		}
		j.decision.Results = append(j.decision.Results, f.Hit)
	}
	if strongest == nil || j.decision.Action != Allow {
		return
	}
	d, s := &j.decision, strongest.says
	d.Action, d.Check, d.Code, d.Reason = strongest.Action, j.check, s.Code, s.Reason
	if d.Action == Hold {
		d.Approver = strongest.approver
	}
	d.RequiredLevel, d.Limit, d.Period, d.Remaining, d.ResetsUS = s.RequiredLevel, s.Limit, s.Period, s.Remaining, s.ResetsUS
	d.UntilUS, d.Missing, d.State, d.Warn = s.UntilUS, s.Missing, s.State, false
}

// releasable says whether a person may let pass what a rule holds. Freezing,
// verification, money and limits have their own ways out.
func releasable(rule string) bool {
	return rule == ruleScore || rule == RuleMerchantDay || strings.HasPrefix(rule, ruleAccountDay) || slices.ContainsFunc(catalogue, func(e entry) bool { return e.id == rule })
}

// Record is a decision with all that it was made of, as it is stored.
type Record struct {
	AtUS     int64         `json:"at_us"`
	TookUS   int64         `json:"took_us,omitempty"`
	Again    bool          `json:"again,omitempty"` // by Recheck
	Payout   *PayoutFacts  `json:"payout,omitempty"`
	Deposit  *DepositFacts `json:"deposit,omitempty"`
	Decision Decision      `json:"decision"`
}

// Encode gives the record as JSON.
func (r Record) Encode() string {
	text, err := json.Marshal(r)
	if err != nil {
		panic("plain fields cannot fail to encode: " + err.Error())
	}
	return string(text)
}

// ErrOtherRules: the record was made by another version of the rules.
var ErrOtherRules = errors.New("risk: the decision was made by other rules")

// ErrReplay: the same rules and facts do not give the recorded decision. Either
// the record was changed, or this program judges otherwise than the one that made it.
var ErrReplay = errors.New("risk: the decision is not what rules and facts give")

// Replay judges a record's facts once more, and says whether that gives its decision.
func (r *Rules) Replay(record Record) error {
	if record.Decision.Rules != r.Hash {
		return fmt.Errorf("%w: %s", ErrOtherRules, record.Decision.Rules)
	}
	var now Decision
	switch {
	case record.Payout != nil && record.Again:
		now = r.Recheck(*record.Payout)
	case record.Payout != nil:
		now = r.DecidePayout(*record.Payout)
	case record.Deposit != nil:
		now = r.DecideDeposit(*record.Deposit)
	default:
		return fmt.Errorf("%w: it has no facts", ErrReplay)
	}
	if !reflect.DeepEqual(now, record.Decision) {
		return fmt.Errorf("%w: recorded %s by %s, now %s by %s", ErrReplay, record.Decision.Action, record.Decision.Check, now.Action, now.Check)
	}
	return nil
}
