package google

import (
	"context"

	"aorta/internal/flow"
	"aorta/internal/fop"
)

// laterAnswer is what asynchronousCapture answers (section 3.8): not how it ends, which
// Google hears by captureResultNotification.
type laterAnswer struct {
	Result fop.Result `json:"result"`
	ID     string     `json:"paymentIntegratorTransactionId"`
}

// captureLater has a purchase wait for the customer.
func (d *Door) captureLater(ctx context.Context, c *call) (any, error) {
	if given(c.doc.Get("upiDetails")) {
		return nil, invalid("upiDetails: UPI is not supported")
	}
	b, err := c.buying()
	if err != nil {
		return nil, err
	}
	payer := c.doc.Get("tokenizedInstrumentDetails")
	if err := object(payer, "tokenizedInstrumentDetails"); err != nil {
		return nil, err
	}
	if b.Token, err = text(payer.Get("googlePaymentToken"), "tokenizedInstrumentDetails.googlePaymentToken"); err != nil {
		return nil, err
	}
	b.GoogleCall = c.named(func(a flow.Answered) any { return laterAnswer{fop.Acknowledged, a.Call.ID.String()} })
	return stored(d.opts.Wallets.BeginPurchase(ctx, b))
}
