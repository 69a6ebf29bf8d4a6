package api

import (
	"context"
	"errors"
	"time"

	"aorta/internal/customer"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/payment"
)

// checkBody is a check that a customer is to pass.
type checkBody struct {
	Level          string `json:"level" kind:"number" need:"yes" doc:"The level that passing it gives: 1 (identity), 2 (documents) or 3 (source of funds, decided by a person)." ex:"2"`
	ReturnURL      string `json:"return_url" kind:"url" doc:"Where the customer goes when they are done at the provider." ex:"https://house.example/account"`
	IdempotencyKey string `json:"idempotency_key" kind:"key" doc:"Instead of the header Idempotency-Key." ex:"check-1"`
}

// checkView is a check.
type checkView struct {
	CheckID   id.Check `json:"check_id" kind:"check_id" need:"yes" doc:"Our name for the check." ex:"kyc_01k4zfn0g0e00000000000kyc0"`
	Level     int64    `json:"level" kind:"integer" need:"yes" doc:"That passing it gives." ex:"2"`
	Status    string   `json:"status" kind:"enum:open,passed,failed,expired" need:"yes" doc:"open: the customer, or who checks, has still to do something; expired: it was passed, and holds no more." ex:"open"`
	URL       string   `json:"url,omitempty" kind:"url" doc:"Where the customer goes on, while it is open. Missing where there is no page, or not yet: ask again." ex:"https://kyc.example/check/1"`
	Reason    string   `json:"reason,omitempty" kind:"text" doc:"Why it was not passed, or holds no more: one word." ex:"document_expired"`
	ExpiresAt string   `json:"expires_at,omitempty" kind:"time" doc:"When what was passed holds no more. Missing: never." ex:"2027-10-17T09:41:00Z"`
	CreatedAt string   `json:"created_at" kind:"time" need:"yes" doc:"When it was begun." ex:"2025-10-17T09:41:00Z"`
}

// kycView is what is known of who a customer is.
type kycView struct {
	CustomerID string      `json:"customer_id" kind:"name" need:"yes" doc:"Your name for the customer." ex:"42"`
	Level      int64       `json:"level" kind:"integer" need:"yes" doc:"What they have shown of themselves, 0 to 3." ex:"1"`
	ExpiresAt  string      `json:"expires_at,omitempty" kind:"time" doc:"When the level ends. Missing: never." ex:"2027-10-17T09:41:00Z"`
	Checks     []checkView `json:"checks" need:"yes" doc:"The checks under way, those that bear levels, and the newest that was decided."`
}

func viewCheck(v flow.CheckView) checkView {
	out := checkView{
		CheckID: v.Check.ID, Level: v.Check.Level, Status: string(v.Check.State), URL: v.URL, Reason: v.Check.Reason, CreatedAt: instant(v.Check.CreatedUS),
	}
	if v.Check.State == customer.CheckPassed {
		out.ExpiresAt = optional(v.Check.UntilUS)
	}
	return out
}

// getKYC shows what is known of a customer; of nobody that is level 0.
func (a *API) getKYC(ctx context.Context, c *call) (any, error) {
	name := c.vars["customer_id"]
	v, err := a.opts.Flows.Verification(ctx, c.project, name)
	if err != nil {
		return nil, refusalOfCheck(err, a.opts.Now())
	}
	out := kycView{CustomerID: name, Level: v.Level, ExpiresAt: optional(v.Best.UntilUS), Checks: []checkView{}}
	for _, each := range v.Checks {
		out.Checks = append(out.Checks, viewCheck(each))
	}
	return out, nil
}

// startCheck begins a check; one of the level that is under way is given instead.
func (a *API) startCheck(_ context.Context, c *call) (once, error) {
	b, name := c.body.(*checkBody), c.vars["customer_id"]
	if bad, message := checkName(name); bad != "" {
		return once{}, invalid(problem{"customer_id", bad, message})
	}
	level := numberOf(b.Level)
	if level < customer.MinLevel || level > customer.MaxLevel {
		return once{}, invalid(problem{"level", "enum", "must be 1, 2 or 3"})
	}
	want := a.opts.Flows.NewCheck(c.project, name)
	return once{thing: want.Raw(), begin: func(ctx context.Context, row payment.Answer, _ bool) (any, error) {
		v, err := a.opts.Flows.StartCheck(ctx, flow.CheckRequest{
			Project: c.project, CustomerID: name, ID: id.Check(row.Thing), Level: level, ReturnURL: b.ReturnURL,
		})
		if err != nil {
			return nil, refusalOfCheck(err, a.opts.Now())
		}
		return viewCheck(v), nil
	}}, nil
}

// refusalOfCheck gives the words of package flow for checks in those of /v1.
func refusalOfCheck(err error, now time.Time) error {
	switch {
	case errors.Is(err, flow.ErrNoVerifier):
		return invalid(problem{"level", "enum", "nobody checks for this level here"})
	case errors.Is(err, customer.ErrTooMany):
		r := refuse(codeVelocity, map[string]any{"reason": "limit_reached"})
		r.retryAfter = now.Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(now)
		return r
	}
	return refusalOfLimit(err)
}
