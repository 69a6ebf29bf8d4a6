package api

import (
	"context"
	"errors"
	"slices"

	"aorta/internal/flow"
	"aorta/internal/money"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/risk"
)

// Payouts of licensed projects as /v1 tells them: what they wait for, the parts that
// they go in, the instruments that they go to.

// tooLittle reports whether the rules refuse a payout since there is not so much.
func tooLittle(err error) bool {
	var no *risk.Refusal
	return errors.As(err, &no) && no.Code == risk.CodeInsufficientFunds
}

// payoutAnswer answers for a payout that is begun. One that waits for its customer to be
// verified is a refusal, though it exists, and goes on by itself (limits-and-risk.md 4.3).
func (a *API) payoutAnswer(ctx context.Context, p payment.Payment, meta map[string]string) (any, error) {
	v, review, err := a.viewParts(ctx, p)
	if err != nil {
		return nil, err
	}
	if p.Status == payment.StatusStepUp {
		no := refuse(codeKYC, map[string]any{"payout_id": v.PayoutID, "required_level": review.RequiredLevel, "reason": string(risk.VerificationRequired)})
		no.begun = true
		return nil, no.keep()
	}
	v.Meta = meta
	return v, nil
}

// viewParts is a payout with its review and parts, where it has them.
func (a *API) viewParts(ctx context.Context, p payment.Payment) (payoutView, payment.Review, error) {
	v := viewPayout(p)
	review, ok, err := a.opts.Read.Review(ctx, p.ID.Raw())
	if err != nil {
		return v, review, away(err)
	}
	if !ok {
		return v, review, nil
	}
	parts, err := a.opts.Flows.PartsOf(ctx, p, review)
	if err != nil {
		return v, review, err
	}
	return v.judged(p, review, parts), review, nil
}

// judged is the view of a payout that was checked, with what it waits for and its parts.
func (v payoutView) judged(p payment.Payment, review payment.Review, parts []flow.PartView) payoutView {
	v.Reason = review.Reason
	if p.Status == payment.StatusStepUp {
		v.ActionRequired = &actionView{Type: "verification", RequiredLevel: review.RequiredLevel}
	}
	if review.NextUS != 0 {
		v.ETA = instant(review.NextUS)
	}
	for _, each := range parts {
		v.Parts = append(v.Parts, viewPart(each))
	}
	return v
}

func viewPart(x flow.PartView) partView {
	v := partView{
		OperationID: x.Operation.ID.String(), Status: operationStatusOf(x.Operation.Status), Amount: x.Operation.Amount.Decimal(),
		Currency: string(x.Operation.Amount.Currency), InstrumentID: x.Instrument.String(), Label: x.Label,
	}
	if x.Method != "" {
		v.Method = wordOf(x.Method)
	}
	if x.Operation.Status == payment.OperationDecline {
		v.Decline = &declineView{x.Operation.Code, x.Operation.Message}
	}
	return v
}

// destination refuses an instrument that is not the customer's.
func (a *API) destination(ctx context.Context, c *call, customer string, cur money.Currency, text string) error {
	known, err := a.instruments(ctx, c, customer)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(known, func(x flow.InstrumentView) bool { return x.Source.Instrument.String() == text && x.Currency == cur }) {
		return invalid(problem{"destination", "unknown", "must be an instrument of the customer's in that currency"})
	}
	return nil
}

func (a *API) instruments(ctx context.Context, c *call, customer string) ([]flow.InstrumentView, error) {
	if a.opts.Flows.Rules(c.project.ID) == nil {
		return nil, refuse(codeState, map[string]any{"state": "no_rules"})
	}
	known, err := a.opts.Flows.Instruments(ctx, c.project, customer)
	if errors.Is(err, flow.ErrNoWallet) {
		return nil, refuse(codeNotFound, nil)
	}
	return known, err
}

// instrumentView is something that a customer has paid with.
type instrumentView struct {
	InstrumentID string `json:"instrument_id" kind:"instrument" need:"yes" doc:"Our name for it." ex:"tok_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	Kind         string `json:"kind" kind:"enum:card,wallet,bank" need:"yes" doc:"What it is." ex:"card"`
	Label        string `json:"label,omitempty" kind:"text" doc:"For people, masked; absent where the provider names none." ex:"Visa ••••4242"`
	Method       string `json:"method" kind:"word" need:"yes" doc:"The project's method by which it pays." ex:"generic-card"`
	Currency     string `json:"currency" kind:"currency" need:"yes" doc:"Of the amounts." ex:"EUR"`
	PaidIn       string `json:"paid_in" kind:"amount" need:"yes" doc:"What it has paid in, ever." ex:"100.00"`
	Returnable   string `json:"returnable" kind:"amount" need:"yes" doc:"What of that may still go back to it." ex:"80.00"`
	Verified     bool   `json:"verified" kind:"boolean" need:"yes" doc:"Whether it is proved to be the customer's: they have paid with it." ex:"true"`
	Payouts      bool   `json:"payouts" kind:"boolean" need:"yes" doc:"Whether it can be paid out to." ex:"true"`
	FirstUsedAt  string `json:"first_used_at,omitempty" kind:"time" doc:"When it first paid in." ex:"2025-10-17T09:41:00Z"`
}

type instrumentList struct {
	Data []instrumentView `json:"data" need:"yes" doc:"The instruments, in the order in which payouts go back to them."`
}

func (a *API) listInstruments(ctx context.Context, c *call) (any, error) {
	known, err := a.instruments(ctx, c, c.vars["customer_id"])
	if err != nil {
		return nil, err
	}
	out := instrumentList{Data: make([]instrumentView, len(known))}
	for n, x := range known {
		out.Data[n] = viewInstrument(x)
	}
	return out, nil
}

func viewInstrument(x flow.InstrumentView) instrumentView {
	s := x.Source
	v := instrumentView{
		InstrumentID: s.Instrument.String(), Kind: string(s.Kind), Label: x.Label, Method: s.Method, Currency: string(x.Currency),
		PaidIn: decimal(s.Captured, x.Currency), Returnable: decimal(s.Returnable(), x.Currency), Verified: s.Verified(), Payouts: x.Payouts,
	}
	if s.FirstUS != 0 {
		v.FirstUsedAt = instant(s.FirstUS)
	}
	return v
}

// cancelPayout ends a payout that waits.
func (a *API) cancelPayout(ctx context.Context, c *call) (once, error) {
	p, err := a.payout(ctx, c, c.vars["payout_id"])
	if err != nil {
		return once{}, err
	}
	return once{begin: func(ctx context.Context, _ payment.Answer, again bool) (any, error) {
		pay, _, err := a.opts.Flows.CancelPayout(ctx, c.project, p.ID, operator.Automatic("project", c.key.ID.String()))
		switch {
		case errors.Is(err, flow.ErrNotAllowed):
			return nil, refuse(codeState, map[string]any{"state": statusOf(p.Status), "cancelling": "not_allowed"}).keep()
		case errors.Is(err, flow.ErrState):
			now, err := a.again(ctx, p)
			if err != nil {
				return nil, err
			}
			if again && now.Status == payment.StatusCancelled {
				pay = now // by an earlier run of the same call
				break
			}
			return nil, refuse(codeState, map[string]any{"state": statusOf(now.Status)}).keep()
		case err != nil:
			return nil, err
		}
		v, _, err := a.viewParts(ctx, pay)
		return v, err
	}}, nil
}
