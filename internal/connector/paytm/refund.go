package paytm

import (
	"context"

	"aorta/internal/connector"
	"aorta/internal/connector/exchange"
	"aorta/internal/payment"
)

type refundBody struct {
	MID          string `json:"mid"`
	TxnType      string `json:"txnType"`
	OrderID      string `json:"orderId"`
	TxnID        string `json:"txnId"`
	RefID        string `json:"refId"`
	RefundAmount string `json:"refundAmount"`
}

type refundAnswer struct {
	Result       resultInfo `json:"resultInfo"`
	MID          string     `json:"mid"`
	OrderID      string     `json:"orderId"`
	RefID        string     `json:"refId"`
	RefundID     string     `json:"refundId"`
	RefundAmount string     `json:"refundAmount"`
	AcceptTime   string     `json:"acceptRefundTimestamp"`
}

// about says whether the answer names nobody else, and whether it names the
// refund that was asked about.
func (a refundAnswer) about(mid, orderID, refID string) (nobodyElse, named bool) {
	named = a.MID == mid && a.OrderID == orderID && a.RefID == refID
	nobodyElse = (a.MID == "" || a.MID == mid) && (a.OrderID == "" || a.OrderID == orderID) && (a.RefID == "" || a.RefID == refID)
	return nobodyElse, named
}

// refundRefusals are the answers to refund/apply that say clearly that no refund
// was made (paytm.md section 6). Any other failure, a new code among them, is
// Unknown: the status call will tell, and a refund taken for failed would be
// paid twice.
var refundRefusals = map[string]string{
	"600":                   payment.CodeExternalDecline, // invalid request, or restricted by the bank
	"607":                   payment.CodeExternalDecline, // cancelled transaction
	"619":                   payment.CodeExternalDecline, // invalid amount
	"620":                   payment.CodeExternalFunds,   // our balance at Paytm is not enough
	"627":                   payment.CodeExternalDecline, // order mismatch
	"631":                   payment.CodeExternalDecline, // no such transaction
	"635":                   payment.CodeExternalLimit,   // partial refund under 1 rupee
	"INVALID_REFUND_AMOUNT": payment.CodeExternalDecline,
	"INVALID_TXN_STATE":     payment.CodeExternalDecline,
}

// refundExists are the answers of a refund that is or may be on its way under
// this refId. One source calls a repeat rejected, another says that it gives the
// refund that exists: both mean "ask the status", never that it failed.
var refundExists = map[string]bool{
	"617": true, // already raised; by the newer text "initiated successfully"
	"626": true, // another refund is in progress
	"628": true, // pending at the bank
	"629": true, // already successful
	// The newer text's name for a repeated refId.
	"DUPLICATE_REF_ID": true,
}

// Refund registers a refund under the attempt's own id (paytm.md section 6). It
// answers at most Pending: what became of it LookupRefund tells.
func (p *Paytm) Refund(ctx context.Context, o connector.Order) connector.Outcome {
	order, reference, amount := o.Attempt.Of.String(), o.Reference(), o.Attempt.Amount
	switch {
	case reference == "", order == "", o.Attempt.OfProviderID == "":
		return refused(payment.CodeProviderUnavailable, "paytm: a refund without the ids of its capture")
	case amount.Currency != currency:
		return refused(payment.CodeProviderUnavailable, "paytm: a refund in a currency other than INR was routed here")
	case amount.Minor <= 0 || amount.Minor > maxMinor:
		return refused(payment.CodeExternalLimit, "")
	}
	body := refundBody{
		MID: p.mid, TxnType: "REFUND", OrderID: order, TxnID: o.Attempt.OfProviderID,
		RefID: reference, RefundAmount: amount.Decimal(),
	}
	var a refundAnswer
	if l := p.call(ctx, p.refundApply, "", begin(p.refundHead), body, &a); l != nil {
		return l.Outcome()
	}
	r := a.Result
	nobodyElse, named := a.about(p.mid, order, reference)
	code, clear := refundRefusals[r.Code]
	switch {
	case !nobodyElse:
		return r.doubtful("paytm: refund answers about another refund or MID")
	case r.Code == "501":
		return r.heard(connector.Unknown) // a system error, whatever its status says
	case refundExists[r.Code], r.Code == "601", r.Status == "PENDING", r.Status == "TXN_SUCCESS":
		out := r.heard(connector.Pending)
		out.ProviderID = exchange.Visible(a.RefundID)
		return out
	case r.Status == "TXN_FAILURE" && clear && named:
		out := r.heard(connector.Declined)
		out.Code = code
		if r.Code == "627" || r.Code == "631" {
			out.Alarm = "paytm: a refund is refused with " + r.Code + ": Paytm does not know the capture as we do"
		}
		return out
	case r.Code == "330" || r.Code == "335":
		return r.doubtful("paytm: refund is refused with " + r.Code + ": check MID and merchant key")
	}
	return r.heard(connector.Unknown)
}

// LookupRefund asks for a refund's status, v2. TXN_SUCCESS and TXN_FAILURE are
// final; PENDING may last seven working days (paytm.md section 6).
func (p *Paytm) LookupRefund(ctx context.Context, o connector.Order) connector.Outcome {
	order, reference := o.Attempt.Of.String(), o.Reference()
	if order == "" || reference == "" {
		return connector.Outcome{Kind: connector.Unknown, Alarm: "paytm: a refund look-up without the ids of its capture"}
	}
	var a refundAnswer
	if l := p.call(ctx, p.refundStatus, "", begin(), statusBody{MID: p.mid, OrderID: order, RefID: reference}, &a); l != nil {
		return l.Unanswered()
	}
	r := a.Result
	nobodyElse, named := a.about(p.mid, order, reference)
	switch {
	case !nobodyElse:
		return r.doubtful("paytm: refund status answers about another refund or MID")
	case r.Status == "TXN_SUCCESS" && r.Code == "631":
		return r.doubtful("paytm: refund status says in one answer that it succeeded and that there is none")
	case r.Code == "631" || r.Status == "NO_RECORD_FOUND":
		// One such answer proves nothing: the refund may still be on its way (L15).
		out := r.heard(connector.Pending)
		out.NoRecord = true
		return out
	case r.Code == "501":
		return r.heard(connector.Unknown)
	case r.Code == "330" || r.Code == "335":
		return r.doubtful("paytm: refund status is refused with " + r.Code + ": check MID and merchant key")
	case r.Status == "PENDING":
		out := r.heard(connector.Pending)
		out.ProviderID = exchange.Visible(a.RefundID)
		return out
	case r.Status == "TXN_SUCCESS" && named:
		return r.approved(a.RefundID, a.RefundAmount, a.AcceptTime)
	case r.Status == "TXN_FAILURE" && refundExists[r.Code]:
		return r.heard(connector.Unknown) // it says at once that it failed and that it is there
	case r.Status == "TXN_FAILURE" && named:
		out := r.heard(connector.Declined)
		out.ProviderID = exchange.Visible(a.RefundID)
		out.Code = refundRefusals[r.Code]
		if out.Code == "" {
			out.Code = payment.CodeExternalDecline
		}
		return out
	}
	return r.doubtful("paytm: refund status " + exchange.Clean(r.Status, 24) + " cannot be relied on")
}
