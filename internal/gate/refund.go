package gate

import (
	"context"
	"errors"

	"aorta/internal/flow"
	"aorta/internal/payment"
)

// refund gives back all of a payment or a part (ecommpay.md section 6). One of
// more than is left is taken too, and declined with code 3283 by callback.
func (g *Gate) refund(ctx context.Context, c *call) ([]byte, error) {
	hasAmount, hasCurrency := c.has("payment", "amount"), c.has("payment", "currency")
	switch {
	case hasAmount && !c.doc.Get("payment", "currency").Exists():
		return nil, invalid(problem{code: codeRefundCurrencyMissing, field: "payment.currency", constraint: "required with amount"})
	case hasAmount && !hasCurrency:
		return nil, invalid(problem{code: codeRefundCurrency, field: "payment.currency", constraint: "required with amount"})
	case hasCurrency && !hasAmount:
		return nil, invalid(problem{code: codeRefundAmountMissing, field: "payment.amount", constraint: "required with currency"})
	}
	pay, err := g.find(ctx, c)
	if err != nil {
		return nil, err
	}
	if c.segment != "" && c.method.Code != pay.Method {
		return nil, payment.ErrNoPayment // paid in another way: not found among these
	}
	request := flow.RefundRequest{
		Project: c.project, Payment: pay,
		MerchantRefundID: c.text("payment", "merchant_refund_id"), Description: c.text("payment", "description"),
	}
	if hasAmount {
		if request.Amount, err = c.amount(); err != nil {
			return nil, err
		}
		switch {
		case request.Amount.Currency != pay.Amount.Currency:
			return nil, invalid(problem{code: codeRefundCurrency, field: "payment.currency", constraint: string(pay.Amount.Currency)})
		case request.Amount.Minor < 1:
			return nil, invalid(problem{code: codeTooLittle, field: "payment.amount", constraint: "min 1"})
		}
	}
	begun, err := g.opts.Flows.BeginRefund(ctx, request)
	if err != nil {
		return nil, err
	}
	return c.accept(begun), nil
}

// find gives the payment that a request is about, or payment.ErrNoPayment.
func (g *Gate) find(ctx context.Context, c *call) (payment.Payment, error) {
	pay, err := g.opts.Flows.Find(ctx, c.project, c.paymentID)
	if err != nil && !errors.Is(err, payment.ErrNoPayment) {
		return pay, &awayError{err}
	}
	return pay, err
}
