package generic

import (
	"context"
	"net/http"

	"aorta/internal/connector"
	"aorta/internal/id"
	"aorta/internal/payment"
)

type refundBody struct {
	Amount           string `json:"amount"`
	Currency         string `json:"currency"`
	Reference        string `json:"reference"`
	PaymentReference string `json:"payment_reference"`
	TransactionID    string `json:"transaction_id,omitempty"` // a webhook may have named none
	PaymentID        string `json:"payment_id,omitempty"`
	NotifyURL        string `json:"notify_url,omitempty"`
}

// Refund asks for money to go back. Repeated under the same reference it is the
// same refund, so its answer may already be the last word.
func (g *Generic) Refund(ctx context.Context, o connector.Order) connector.Outcome {
	if no := g.unfit(o, payment.KindRefund); no != nil {
		return *no
	}
	if o.Attempt.Of.IsZero() {
		return *refused(payment.CodeProviderUnavailable, "generic: a refund without its capture")
	}
	body := refundBody{
		Amount: o.Attempt.Amount.Decimal(), Currency: string(o.Attempt.Amount.Currency), Reference: o.Reference(),
		PaymentReference: o.Attempt.Of.String(), TransactionID: o.Attempt.OfProviderID, NotifyURL: o.NotifyURL,
	}
	if !o.Attempt.Payment.IsZero() {
		body.PaymentID = o.Attempt.Payment.String()
	}
	return g.move(ctx, o, "v1/refunds/init", body)
}

// LookupRefund asks what became of a refund.
func (g *Generic) LookupRefund(ctx context.Context, o connector.Order) connector.Outcome {
	return g.lookup(ctx, o, "v1/refunds", moveWords)
}

type payoutBody struct {
	Amount      string `json:"amount"`
	Currency    string `json:"currency"`
	Method      string `json:"method"`
	Reference   string `json:"reference"`
	PaymentID   string `json:"payment_id,omitempty"`
	CustomerID  string `json:"customer_id,omitempty"`
	Destination string `json:"destination,omitempty"`
	Description string `json:"description,omitempty"`
	NotifyURL   string `json:"notify_url,omitempty"`
}

// Payout asks for money to go to the customer. It is sent once: what is lost is
// looked up, and a repeat under the same reference is the same payout.
func (g *Generic) Payout(ctx context.Context, o connector.Order) connector.Outcome {
	if no := g.unfit(o, payment.KindPayout); no != nil {
		return *no
	}
	method, known := methods[o.Method]
	if !known {
		return *refused(payment.CodeProviderUnavailable, "generic: a payout by a method that the protocol does not have was routed here")
	}
	body := payoutBody{
		Amount: o.Attempt.Amount.Decimal(), Currency: string(o.Attempt.Amount.Currency), Method: method, Reference: o.Reference(),
		CustomerID: o.CustomerID, Destination: o.Destination, Description: o.Description, NotifyURL: o.NotifyURL,
	}
	body.PaymentID = id.Payout(o.Attempt.Payment).String()
	return g.move(ctx, o, "v1/payouts/init", body)
}

// LookupPayout asks what became of a payout.
func (g *Generic) LookupPayout(ctx context.Context, o connector.Order) connector.Outcome {
	return g.lookup(ctx, o, "v1/payouts", moveWords)
}

// move asks for money to leave. A refusal is believed where it says clearly that
// nothing was done; anything else is Unknown, since what is taken for failed and
// was not would be paid twice.
func (g *Generic) move(ctx context.Context, o connector.Order, path string, body any) connector.Outcome {
	r, lost := g.call(ctx, g.peer, path, "", o.Reference(), body)
	if lost != nil {
		return lost.Outcome()
	}
	if out, plain := r.refusedAs(); plain {
		return out
	}
	switch {
	case r.status == http.StatusOK:
		return said(o, r.thing, moveWords)
	case r.status == http.StatusConflict && r.refusal.Error == "state_conflict":
		return r.refusal.declined()
	case r.status == http.StatusNotFound && r.refusal.Error == "not_found":
		out := r.refusal.declined()
		out.Alarm = "generic: the provider does not know the capture as we do"
		return out
	case r.status == http.StatusUnprocessableEntity:
		out := r.refusal.declined()
		out.Unusable = unusable[r.refusal.Error]
		if codes[r.refusal.Error] == "" && r.refusal.Error != "refund_exceeds_captured" {
			out.Alarm = "generic: a refund or payout is not acceptable: " + out.ProviderCode
		}
		return out
	}
	return r.unclear()
}
