package api

import (
	"context"

	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/payment"
)

// refundBody is a refund that is asked for.
type refundBody struct {
	Amount           string `json:"amount" kind:"amount" doc:"In major units; all that is left without it." ex:"10.00"`
	Currency         string `json:"currency" kind:"currency" doc:"The payment's; it must be there with an amount." ex:"EUR"`
	MerchantRefundID string `json:"merchant_refund_id" kind:"name" doc:"Your name for the refund, unique in the project." ex:"order-1-refund"`
	Description      string `json:"description" kind:"text" doc:"What it is for." ex:"One of two teas"`
	IdempotencyKey   string `json:"idempotency_key" kind:"key" doc:"Instead of the header Idempotency-Key." ex:"refund-1"`
}

// refundView is a refund.
type refundView struct {
	RefundID         string       `json:"refund_id" kind:"refund_id" need:"yes" doc:"Our name for the refund." ex:"op_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	PaymentID        string       `json:"payment_id" kind:"payment_id" need:"yes" doc:"Of which payment." ex:"pay_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	MerchantRefundID string       `json:"merchant_refund_id,omitempty" kind:"name" doc:"Your name for it." ex:"order-1-refund"`
	Status           string       `json:"status" kind:"enum:pending,succeeded,failed" need:"yes" doc:"Where it stands." ex:"succeeded"`
	Amount           string       `json:"amount" kind:"amount" need:"yes" doc:"Of how much." ex:"10.00"`
	Currency         string       `json:"currency" kind:"currency" need:"yes" doc:"ISO 4217." ex:"EUR"`
	Description      string       `json:"description,omitempty" kind:"text" doc:"What it is for." ex:"One of two teas"`
	Decline          *declineView `json:"decline,omitempty" doc:"Why it failed."`
	CreatedAt        string       `json:"created_at" kind:"time" need:"yes" doc:"When it began." ex:"2025-10-17T09:41:00Z"`
	UpdatedAt        string       `json:"updated_at" kind:"time" need:"yes" doc:"When it last changed." ex:"2025-10-17T09:41:03Z"`
}

func viewRefund(o payment.Operation) refundView {
	v := refundView{
		RefundID: o.ID.String(), PaymentID: o.Payment.String(), MerchantRefundID: o.MerchantRefundID, Status: operationStatusOf(o.Status),
		Amount: o.Amount.Decimal(), Currency: string(o.Amount.Currency), Description: o.Description, CreatedAt: instant(o.CreatedUS), UpdatedAt: instant(o.ChangedUS),
	}
	if o.Status == payment.OperationDecline {
		v.Decline = &declineView{o.Code, o.Message}
	}
	return v
}

// createRefund begins a refund.
func (a *API) createRefund(ctx context.Context, c *call) (once, error) {
	b := c.body.(*refundBody)
	p, err := a.payment(ctx, c, c.vars["payment_id"])
	if err != nil {
		return once{}, err
	}
	var amount money.Amount // zero: all that is left
	switch {
	case b.Amount == "" && b.Currency == "":
	case b.Amount == "":
		return once{}, invalid(problem{"amount", "required", "must be there with a currency"})
	case b.Currency == "":
		return once{}, invalid(problem{"currency", "required", "must be there with an amount"})
	case b.Currency != string(p.Amount.Currency):
		return once{}, refuse(codeCurrency, map[string]any{"currencies": []string{string(p.Amount.Currency)}})
	default:
		if amount, err = amountOf(b.Amount, b.Currency); err != nil {
			return once{}, err
		}
	}
	thing := a.opts.Flows.NewRefund(p.ID)
	return once{thing: thing.Raw(), begin: func(ctx context.Context, row payment.Answer, again bool) (any, error) {
		if again {
			o, ok, err := a.opts.Read.Operation(ctx, id.Operation(row.Thing))
			if err != nil {
				return nil, away(err)
			}
			if ok {
				return a.refunded(ctx, p, o)
			}
		}
		begun, err := a.opts.Flows.BeginRefund(ctx, flow.RefundRequest{
			Project: c.project, Payment: p, ID: id.Operation(row.Thing), Amount: amount, MerchantRefundID: b.MerchantRefundID, Description: b.Description,
		})
		if err != nil {
			if r, _ := refusalOf(err); r.code == codeState {
				return nil, refuse(codeState, map[string]any{"state": statusOf(p.Status)})
			}
			return nil, err
		}
		if err := a.await(ctx, begun.Asked); err != nil {
			return nil, err
		}
		o, ok, err := a.opts.Read.Operation(ctx, begun.Operation.ID)
		if err != nil || !ok {
			o = begun.Operation // it is begun, and that is what there is to say
		}
		return a.refunded(ctx, p, o)
	}}, nil
}

// refunded is what a refund that is begun is answered. One that never could be is
// an operation too, and an error.
func (a *API) refunded(ctx context.Context, p payment.Payment, o payment.Operation) (any, error) {
	details := map[string]any{"refund_id": o.ID.String(), "status": operationStatusOf(o.Status)}
	switch {
	case o.Status != payment.OperationDecline:
	case o.Code == payment.CodeRefundTooMuch:
		now, err := a.again(ctx, p)
		if err != nil {
			return nil, err
		}
		details["refundable"] = decimal(now.Refundable(), now.Amount.Currency)
		return nil, refuse(codeRefundTooMuch, details).keep()
	case o.Code == payment.CodeNoBalance:
		return nil, short(details).keep()
	}
	return viewRefund(o), nil
}

func (a *API) getRefund(ctx context.Context, c *call) (any, error) {
	o, err := a.operation(ctx, c, c.vars["refund_id"])
	switch {
	case err != nil:
		return nil, err
	case o.Kind != payment.KindRefund:
		return nil, refuse(codeNotFound, nil)
	}
	return viewRefund(o), nil
}
