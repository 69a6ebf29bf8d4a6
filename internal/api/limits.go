package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"aorta/internal/customer"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/risk"
)

// limitBody is a limit that a customer wants.
type limitBody struct {
	Kind           string `json:"kind" kind:"enum:deposit,net_deposit,loss,stake,single_deposit" need:"yes" doc:"What it bounds." ex:"deposit"`
	Period         string `json:"period" kind:"enum:day,week,month,calendar_month,once" need:"yes" doc:"Over how long: 24 hours, 7 times that, 30 times that, or a calendar month, where the project's rules offer it; once, of a single_deposit alone." ex:"day"`
	Amount         string `json:"amount" kind:"amount" need:"yes" doc:"In major units." ex:"100.00"`
	Currency       string `json:"currency" kind:"currency" need:"yes" doc:"ISO 4217. Another one than before converts the limit there is, rounded down." ex:"EUR"`
	IdempotencyKey string `json:"idempotency_key" kind:"key" doc:"Instead of the header Idempotency-Key." ex:"limit-1"`
}

// pendingView is a raise or removal that does not hold yet.
type pendingView struct {
	Remove       bool   `json:"remove" kind:"boolean" need:"yes" doc:"Whether the limit is to go." ex:"false"`
	Amount       string `json:"amount,omitempty" kind:"amount" doc:"Else what it is to be." ex:"200.00"`
	RequestedAt  string `json:"requested_at" kind:"time" need:"yes" doc:"When it was asked for." ex:"2025-10-17T09:41:00Z"`
	ConfirmFrom  string `json:"confirm_from" kind:"time" need:"yes" doc:"From when on it can be confirmed." ex:"2025-10-18T09:41:00Z"`
	ConfirmUntil string `json:"confirm_until" kind:"time" need:"yes" doc:"And until when; then it lapses." ex:"2025-11-17T09:41:00Z"`
}

// limitView is a limit as it is.
type limitView struct {
	Kind        string       `json:"kind" kind:"word" need:"yes" doc:"What it bounds." ex:"deposit"`
	Period      string       `json:"period" kind:"word" need:"yes" doc:"Over how long." ex:"day"`
	Amount      string       `json:"amount" kind:"amount" need:"yes" doc:"What holds." ex:"100.00"`
	Currency    string       `json:"currency" kind:"currency" need:"yes" doc:"ISO 4217." ex:"EUR"`
	SetBy       string       `json:"set_by" kind:"enum:customer,house,rules" need:"yes" doc:"Whose it is: the customer's, the house's for them, or the rules' for everybody. The lowest holds." ex:"customer"`
	EffectiveAt string       `json:"effective_at,omitempty" kind:"time" doc:"Since when it holds." ex:"2025-10-17T09:41:00Z"`
	Used        string       `json:"used,omitempty" kind:"signed" doc:"What counts now, reserved or used. Below zero, of a loss, for who has won more. Missing where there is no rate to count it by: then nothing passes." ex:"80.00"`
	Remaining   string       `json:"remaining" kind:"amount" need:"yes" doc:"What would pass now." ex:"20.00"`
	ResetsAt    string       `json:"resets_at,omitempty" kind:"time" doc:"When nothing of it counts any more." ex:"2025-10-18T09:41:00Z"`
	Pending     *pendingView `json:"pending,omitempty" doc:"What waits to be confirmed."`
}

// noteView is a step in a customer's history.
type noteView struct {
	Kind         string `json:"kind" kind:"word" need:"yes" doc:"What happened: limit_set, limit_asked, limit_confirmed, house_limit, restricted, restriction_lifted, restriction_end_asked, and others later." ex:"limit_set"`
	By           string `json:"by" kind:"enum:customer,house" need:"yes" doc:"Who did it." ex:"customer"`
	At           string `json:"at" kind:"time" need:"yes" doc:"When." ex:"2025-10-17T09:41:00Z"`
	Limit        string `json:"limit,omitempty" kind:"word" doc:"The kind of a limit." ex:"deposit"`
	Period       string `json:"period,omitempty" kind:"word" doc:"And its period." ex:"day"`
	Amount       string `json:"amount,omitempty" kind:"amount" doc:"What it is to be; missing where it is to go." ex:"100.00"`
	Currency     string `json:"currency,omitempty" kind:"currency" doc:"ISO 4217." ex:"EUR"`
	ConfirmFrom  string `json:"confirm_from,omitempty" kind:"time" doc:"When it can be confirmed." ex:"2025-10-18T09:41:00Z"`
	ConfirmUntil string `json:"confirm_until,omitempty" kind:"time" doc:"And until when." ex:"2025-11-17T09:41:00Z"`
	Type         string `json:"type,omitempty" kind:"word" doc:"The type of a restriction." ex:"cool_off"`
	Until        string `json:"until,omitempty" kind:"time" doc:"When it ends, or may be asked to." ex:"2025-10-18T09:41:00Z"`
	EndsAt       string `json:"ends_at,omitempty" kind:"time" doc:"When the end that was asked for takes effect." ex:"2026-04-18T09:41:00Z"`
}

// limitsView is what limits a customer.
type limitsView struct {
	CustomerID string      `json:"customer_id" kind:"name" need:"yes" doc:"Your name for the customer." ex:"42"`
	Limits     []limitView `json:"limits" need:"yes" doc:"The limits that hold for them."`
	History    []noteView  `json:"history" need:"yes" doc:"What changed, the newest 50, newest first."`
}

// restrictionBody is a cool-off or exclusion that a customer wants.
type restrictionBody struct {
	Type           string `json:"type" kind:"enum:cool_off,self_excluded" need:"yes" doc:"cool_off ends by itself; self_excluded only when its end is asked for, once its time is over." ex:"cool_off"`
	Hours          string `json:"hours" kind:"number" doc:"How long a cool_off is: 24 to 1008, as the rules offer." ex:"24"`
	Months         string `json:"months" kind:"number" doc:"How long a self_excluded is: 6 to 60, as the rules offer." ex:"6"`
	Indefinite     bool   `json:"indefinite" kind:"boolean" doc:"Instead of months: without end." ex:"false"`
	IdempotencyKey string `json:"idempotency_key" kind:"key" doc:"Instead of the header Idempotency-Key." ex:"pause-1"`
}

// restrictionView is a restriction that holds.
type restrictionView struct {
	Type      string `json:"type" kind:"word" need:"yes" doc:"cool_off, self_excluded, operator_excluded, registry_excluded, frozen or closed." ex:"self_excluded"`
	SetBy     string `json:"set_by" kind:"enum:customer,house" need:"yes" doc:"Who made it." ex:"customer"`
	Since     string `json:"since,omitempty" kind:"time" doc:"Since when." ex:"2025-10-17T09:41:00Z"`
	Until     string `json:"until,omitempty" kind:"time" doc:"When it ends by itself; of self_excluded, from when its end can be asked for. Missing: not." ex:"2026-04-17T09:41:00Z"`
	EndFrom   string `json:"end_from,omitempty" kind:"time" doc:"From when on its end can be asked for, where it can." ex:"2026-04-17T09:41:00Z"`
	EndsAt    string `json:"ends_at,omitempty" kind:"time" doc:"When the end that was asked for takes effect." ex:"2026-04-18T09:41:00Z"`
	MayPayOut bool   `json:"may_pay_out" kind:"boolean" need:"yes" doc:"Whether the customer may ask for their money all the same." ex:"true"`
}

// restrictionsView is what restricts a customer.
type restrictionsView struct {
	CustomerID   string            `json:"customer_id" kind:"name" need:"yes" doc:"Your name for the customer." ex:"42"`
	Restricted   bool              `json:"restricted" kind:"boolean" need:"yes" doc:"Whether deposits and play are refused now." ex:"false"`
	Restrictions []restrictionView `json:"restrictions" need:"yes" doc:"The restrictions that hold, the strongest first."`
	History      []noteView        `json:"history" need:"yes" doc:"What changed, the newest 50, newest first."`
}

// standing reads what limits and restricts the customer of a path.
func (a *API) standing(ctx context.Context, c *call) (flow.CustomerStanding, error) {
	s, err := a.opts.Flows.StandingOf(ctx, c.project, c.vars["customer_id"])
	return s, refusalOfLimit(err)
}

func (a *API) listLimits(ctx context.Context, c *call) (any, error) {
	s, err := a.standing(ctx, c)
	if err != nil {
		return nil, err
	}
	out := limitsView{CustomerID: c.vars["customer_id"], Limits: []limitView{}, History: notes(s, "limit")}
	for _, x := range s.Limits {
		out.Limits = append(out.Limits, viewLimit(x))
	}
	return out, nil
}

func viewLimit(x flow.LimitStanding) limitView {
	v := limitView{
		Kind: string(x.Kind), Period: string(x.Period), Amount: x.Amount.Decimal(), Currency: string(x.Amount.Currency), SetBy: "customer",
		EffectiveAt: optional(x.SetUS), Remaining: x.Remaining.Decimal(), ResetsAt: optional(x.ResetsUS),
	}
	switch {
	case x.Statutory:
		v.SetBy = "rules"
	case x.House:
		v.SetBy = "house"
	}
	if !x.Uncounted {
		v.Used = x.Used.Decimal()
	}
	if x.HasAsked {
		p := x.Pending
		v.Pending = &pendingView{Remove: p.Remove, RequestedAt: instant(p.AskedUS), ConfirmFrom: instant(p.FromUS), ConfirmUntil: instant(p.UntilUS)}
		if !p.Remove {
			v.Pending.Amount = p.Amount.Decimal()
		}
	}
	return v
}

// optional is an instant that need not be.
func optional(us int64) string {
	if us == 0 {
		return ""
	}
	return instant(us)
}

// noted is what notes of limits and restrictions say.
type noted struct {
	Kind     string `json:"kind"`
	Period   string `json:"period"`
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
	FromUS   int64  `json:"from_us"`
	UntilUS  int64  `json:"until_us"`
	Type     string `json:"type"`
	EndingUS int64  `json:"ending_us"`
}

// notes shows the history of limits, or of restrictions.
func notes(s flow.CustomerStanding, of string) []noteView {
	out := []noteView{}
	for _, n := range s.Notes {
		if !strings.Contains(n.Kind, of) {
			continue
		}
		var x noted
		_ = json.Unmarshal([]byte(n.Body), &x) // of another shape, it is shown without
		v := noteView{
			Kind: n.Kind, By: "house", At: instant(n.AtUS), Limit: x.Kind, Period: x.Period, Amount: x.Amount, Currency: x.Currency, Type: x.Type,
			ConfirmFrom: optional(x.FromUS), EndsAt: optional(x.EndingUS),
		}
		if strings.HasPrefix(n.By, "project:") {
			v.By = "customer"
		}
		if x.Type != "" {
			v.Until = optional(x.UntilUS)
		} else {
			v.ConfirmUntil = optional(x.UntilUS)
		}
		out = append(out, v)
	}
	return out
}

// changes gives a call that changes a customer, once under its key. What it answers is
// read after it.
func (a *API) changes(c *call, do func(context.Context, flow.CustomerChange) error, answer func(context.Context, *call) (any, error)) (once, error) {
	name := c.vars["customer_id"]
	if bad, message := checkName(name); bad != "" {
		return once{}, invalid(problem{"customer_id", bad, message})
	}
	thing := a.opts.Flows.NewNote(c.project, name)
	return once{thing: thing.Raw(), begin: func(ctx context.Context, row payment.Answer, _ bool) (any, error) {
		err := do(ctx, flow.CustomerChange{Project: c.project, CustomerID: name, By: flow.Player(c.project), Note: id.Note(row.Thing)})
		if err != nil {
			return nil, refusalOfLimit(err)
		}
		return answer(ctx, c)
	}}, nil
}

func (a *API) setLimit(_ context.Context, c *call) (once, error) {
	b := c.body.(*limitBody)
	kind, period := customer.LimitKind(b.Kind), limit.Period(b.Period)
	if !slices.Contains(kind.Periods(), period) {
		return once{}, invalid(problem{"period", "enum", "must be one of " + fmt.Sprint(kind.Periods())})
	}
	amount, err := amountOf(b.Amount, b.Currency)
	if err != nil {
		return once{}, err
	}
	return a.changes(c, func(ctx context.Context, x flow.CustomerChange) error {
		return a.opts.Flows.SetLimit(ctx, x, kind, period, amount)
	}, a.listLimits)
}

// limitIn reads the limit that a path names.
func limitIn(c *call) (customer.LimitKind, limit.Period, error) {
	kind, period := customer.LimitKind(c.vars["kind"]), limit.Period(c.vars["period"])
	if !slices.Contains(kind.Periods(), period) {
		return "", "", refuse(codeNotFound, nil)
	}
	return kind, period, nil
}

func (a *API) removeLimit(_ context.Context, c *call) (once, error) {
	kind, period, err := limitIn(c)
	if err != nil {
		return once{}, err
	}
	return a.changes(c, func(ctx context.Context, x flow.CustomerChange) error {
		return a.opts.Flows.RemoveLimit(ctx, x, kind, period)
	}, a.listLimits)
}

func (a *API) confirmLimit(_ context.Context, c *call) (once, error) {
	kind, period, err := limitIn(c)
	if err != nil {
		return once{}, err
	}
	return a.changes(c, func(ctx context.Context, x flow.CustomerChange) error {
		return a.opts.Flows.ConfirmLimit(ctx, x, kind, period)
	}, a.listLimits)
}

func (a *API) listRestrictions(ctx context.Context, c *call) (any, error) {
	s, err := a.standing(ctx, c)
	if err != nil {
		return nil, err
	}
	out := restrictionsView{
		CustomerID: c.vars["customer_id"], Restricted: s.Restraint.Restriction != customer.Unrestricted, Restrictions: []restrictionView{}, History: notes(s, "restrict"),
	}
	if out.Restricted {
		for _, r := range append([]customer.Restraint{s.Restraint}, s.Others...) {
			out.Restrictions = append(out.Restrictions, viewRestraint(r, s))
		}
	}
	return out, nil
}

func viewRestraint(r customer.Restraint, s flow.CustomerStanding) restrictionView {
	v := restrictionView{
		Type: string(r.Restriction), SetBy: "house", Since: optional(r.SinceUS), Until: optional(r.UntilUS), EndsAt: optional(r.EndingUS),
		MayPayOut: s.Restraint.Restriction != customer.Frozen,
	}
	if r.Restriction.Own() && !r.Linked() {
		v.SetBy = "customer"
	}
	if r.Restriction == customer.SelfExcluded && r.EndingUS == 0 {
		v.EndFrom = optional(s.MayAskUS)
	}
	return v
}

func (a *API) restrict(_ context.Context, c *call) (once, error) {
	b := c.body.(*restrictionBody)
	hours, months := numberOf(b.Hours), numberOf(b.Months)
	cool := b.Type == string(customer.CoolOff)
	switch {
	case cool && b.Hours == "":
		return once{}, invalid(problem{"hours", "required", "must be there with cool_off"})
	case cool && (b.Months != "" || b.Indefinite):
		return once{}, invalid(problem{"months", "unknown", "a cool_off takes hours alone"})
	case !cool && b.Hours != "":
		return once{}, invalid(problem{"hours", "unknown", "a self_excluded takes months, or indefinite"})
	case !cool && (b.Months != "") == b.Indefinite:
		return once{}, invalid(problem{"months", "required", "either months or indefinite must be there with self_excluded"})
	case b.Months != "" && months == 0:
		return once{}, invalid(problem{"months", "length", "must be a length that the rules offer"})
	}
	return a.changes(c, func(ctx context.Context, x flow.CustomerChange) error {
		if cool {
			return a.opts.Flows.CoolOff(ctx, x, hours)
		}
		return a.opts.Flows.Exclude(ctx, x, months)
	}, a.listRestrictions)
}

// numberOf reads a number that the schema has found to be one; 0 if it is absent.
func numberOf(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

func (a *API) askEnd(_ context.Context, c *call) (once, error) {
	return a.changes(c, a.opts.Flows.AskEnd, a.listRestrictions)
}

// refusalOfLimit gives the words of package flow for limits and restrictions in those
// of /v1.
func refusalOfLimit(err error) error {
	state := func(word string) error { return refuse(codeState, map[string]any{"state": word}) }
	switch {
	case errors.Is(err, flow.ErrNoRules):
		return state("no_rules")
	case errors.Is(err, flow.ErrNoWallet):
		return invalid(problem{"customer_id", "no_wallet", "there is no wallet for it: the project keeps none"})
	case errors.Is(err, flow.ErrLimitPeriod):
		return invalid(problem{"period", "enum", "the project's rules offer no such limit"})
	case errors.Is(err, flow.ErrLength):
		return invalid(problem{"type", "length", "the project's rules offer no restriction of this length"})
	case errors.Is(err, flow.ErrRegister):
		return state("register")
	case errors.Is(err, customer.ErrNoLimit):
		return refuse(codeNotFound, nil)
	case errors.Is(err, customer.ErrNotPending):
		return state("not_pending")
	case errors.Is(err, customer.ErrTooEarly):
		return state("too_early")
	case errors.Is(err, customer.ErrHouseLimit):
		return state("house_limit")
	case errors.Is(err, customer.ErrRestricted):
		return state("restricted")
	case errors.Is(err, customer.ErrNotEnding):
		return state("not_ending")
	case errors.Is(err, risk.ErrNoRate):
		return refuse(codeCurrency, nil)
	case errors.Is(err, money.ErrRange):
		return refuse(codeRange, nil)
	}
	return err
}

// refusalByRules says what limits, restrictions, verification and risk refuse. It is
// kept for the key: who may try again uses a new one.
func refusalByRules(r *risk.Refusal) *refusal {
	details := map[string]any{"reason": string(r.Reason)}
	if r.Limit != "" {
		details["limit"], details["period"] = string(r.Limit), string(r.Period)
		if r.Period == risk.PeriodNone {
			details["period"] = string(limit.Once)
		}
	}
	if r.Remaining != nil {
		details["remaining"] = r.Remaining.Decimal()
	}
	if r.ResetsUS != 0 {
		details["resets_at"] = instant(r.ResetsUS)
	}
	if r.UntilUS != 0 {
		details["until"] = instant(r.UntilUS)
	}
	if r.RequiredLevel != 0 {
		details["required_level"] = r.RequiredLevel
	}
	if r.Missing != nil {
		details["turnover_missing"] = r.Missing.Decimal()
	}
	if r.State != "" {
		details["state"] = r.State
	}
	out := refuse(code(r.Code), details)
	if r.RetryAfterS > 0 {
		out.retryAfter = time.Duration(r.RetryAfterS) * time.Second
		return out
	}
	return out.keep()
}
