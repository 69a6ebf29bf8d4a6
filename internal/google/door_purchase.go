package google

import (
	"context"
	"strconv"

	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/money"
)

// maxDescription bounds what goes on a customer's statement.
const maxDescription = 1000

// captureAnswer is what capture answers (section 3.7).
type captureAnswer struct {
	ID     string     `json:"paymentIntegratorTransactionId"`
	Result fop.Result `json:"result"`
	Raw    *rawResult `json:"rawResult,omitempty"`
}

// rawResult is what is behind a decline, for Google's support.
type rawResult struct {
	Scope string `json:"scope"`
	Code  string `json:"rawCode"`
}

// limitScope says that rawCode is the bound that was passed, in micros and its currency.
const limitScope = "aorta-limit"

func rawLimit(a money.Amount) *rawResult {
	if a.Minor == 0 {
		return nil
	}
	n, err := a.Micros()
	if err != nil {
		return nil // beyond what micros hold, and so beyond what can be asked for
	}
	return &rawResult{limitScope, strconv.FormatInt(n, 10) + " " + string(a.Currency)}
}

// buying reads what is to be taken from a wallet.
func (c *call) buying() (b flow.Buying, err error) {
	if err := c.account(); err != nil {
		return b, err
	}
	if b.Amount, err = amount(c.doc, "amount", "currencyCode"); err != nil {
		return b, err
	}
	b.Description, err = textUpTo(c.doc.Get("transactionDescription"), "transactionDescription", maxDescription)
	return b, err
}

// capture takes money from a linked wallet.
func (d *Door) capture(ctx context.Context, c *call) (any, error) {
	for _, other := range []string{"mandateDetails", "mandateWithNotificationDetails"} {
		if given(c.doc.Get(other)) {
			return nil, invalid(other + ": mandates are not supported")
		}
	}
	b, err := c.buying()
	if err != nil {
		return nil, err
	}
	if b.Token, err = text(c.doc.Get("googlePaymentToken"), "googlePaymentToken"); err != nil {
		return nil, err
	}
	if err := object(c.doc.Get("captureContext"), "captureContext"); err != nil {
		return nil, err
	}
	if b.Evidence, err = c.evidence(false); err != nil {
		return nil, err
	}
	b.GoogleCall = c.named(func(a flow.Answered) any {
		return captureAnswer{ID: a.Call.ID.String(), Result: a.Call.Result, Raw: rawLimit(a.Limit)}
	})
	return stored(d.opts.Wallets.Purchase(ctx, b))
}

// refundAnswer is what refund answers (section 3.9).
type refundAnswer struct {
	ID     string     `json:"paymentIntegratorRefundId"`
	Result fop.Result `json:"result"`
}

// refund gives money of a capture back.
func (d *Door) refund(ctx context.Context, c *call) (any, error) {
	if err := c.account(); err != nil {
		return nil, err
	}
	capture, err := text(c.doc.Get("captureRequestId"), "captureRequestId")
	if err != nil {
		return nil, err
	}
	a, err := amount(c.doc, "refundAmount", "currencyCode")
	if err != nil {
		return nil, err
	}
	row, err := d.opts.Wallets.GiveBack(ctx, flow.GivingBack{
		GoogleCall: c.named(func(a flow.Answered) any { return refundAnswer{ID: a.Call.ID.String(), Result: a.Call.Result} }),
		Capture:    capture, Amount: a,
	})
	c.unheard = func(ctx context.Context) {
		if err := d.opts.Wallets.RefundUnheard(ctx, row); err != nil {
			d.opts.Log.Error("Google may not have heard of a refund, and will not be told by us", "integration", c.hosted.Name, "refund", row.ID.String(), "error", err)
		}
	}
	return stored(row, err)
}
