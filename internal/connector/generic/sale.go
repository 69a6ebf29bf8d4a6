package generic

import (
	"context"
	"net/http"

	"aorta/internal/connector"
	"aorta/internal/payment"
)

// initBody is L11's, with what a provider must know beside it.
type initBody struct {
	Amount      string `json:"amount"`
	Currency    string `json:"currency"`
	Method      string `json:"method"`
	ReturnURL   string `json:"return_url,omitempty"`
	NotifyURL   string `json:"notify_url,omitempty"`
	Reference   string `json:"reference"`
	PaymentID   string `json:"payment_id,omitempty"`
	CustomerID  string `json:"customer_id,omitempty"`
	Description string `json:"description,omitempty"`
}

// Sale has the provider make a page where the customer pays. No money moves by
// it. Nothing of the customer leaves but the merchant's id of them.
func (g *Generic) Sale(ctx context.Context, o connector.Order) connector.Outcome {
	if no := g.unfit(o, payment.KindSale); no != nil {
		return *no
	}
	method, known := methods[o.Method]
	if !known {
		return *refused(payment.CodeProviderUnavailable, "generic: a sale by a method that the protocol does not have was routed here")
	}
	body := initBody{
		Amount: o.Attempt.Amount.Decimal(), Currency: string(o.Attempt.Amount.Currency), Method: method,
		ReturnURL: o.ReturnURL, NotifyURL: o.NotifyURL, Reference: o.Reference(), CustomerID: o.CustomerID, Description: o.Description,
	}
	if !o.Attempt.Payment.IsZero() {
		body.PaymentID = o.Attempt.Payment.String()
	}
	r, lost := g.call(ctx, g.peer, "v1/payments/init", "", o.Reference(), body)
	if lost != nil {
		return lost.Outcome()
	}
	if out, plain := r.refusedAs(); plain {
		return out
	}
	switch r.status {
	case http.StatusOK:
		return g.begun(o, r.thing)
	case http.StatusUnprocessableEntity:
		if codes[r.refusal.Error] != "" {
			return r.refusal.declined()
		}
		return r.refusal.notTaken("generic: a sale is not acceptable: " + r.refusal.heard("").ProviderCode)
	}
	return r.unclear() // 409 too: an attempt's content never changes, so it is not for us to say what became of the other
}

// begun reads the answer to init.
func (g *Generic) begun(o connector.Order, t thing) connector.Outcome {
	out := said(o, t, paymentWords)
	if out.Kind != connector.Pending {
		return out
	}
	page := g.pageURL(t.RedirectURL)
	if page == "" {
		// Nobody can ever pay it. Not Pending, which would leave the customer without
		// a page till the limit time: a new reference may follow.
		return doubtful(out, "init is answered without a page where the customer could pay")
	}
	out.Redirect = &payment.Redirect{Method: http.MethodGet, URL: page}
	return out
}

// Lookup asks what became of a sale.
func (g *Generic) Lookup(ctx context.Context, o connector.Order) connector.Outcome {
	return g.lookup(ctx, o, "v1/payments", paymentWords)
}
