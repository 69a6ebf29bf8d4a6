package paytm

import (
	"context"
	"time"

	"aorta/internal/connector"
	"aorta/internal/connector/exchange"
	"aorta/internal/money"
	"aorta/internal/payment"
)

// ist is Paytm's time zone; its texts carry none (paytm.md section 4).
var ist = time.FixedZone("IST", 5*60*60+30*60)

type statusBody struct {
	MID     string `json:"mid"`
	OrderID string `json:"orderId"`
	RefID   string `json:"refId,omitempty"`
}

type statusAnswer struct {
	Result    resultInfo `json:"resultInfo"`
	MID       string     `json:"mid"`
	OrderID   string     `json:"orderId"`
	TxnID     string     `json:"txnId"`
	TxnAmount string     `json:"txnAmount"`
	Currency  string     `json:"currency"` // not in the documents; checked if it is there
	TxnDate   string     `json:"txnDate"`
}

// Lookup asks for an order's status, v3 (paytm.md section 5). Its sources
// contradict each other on most numbers, so resultStatus decides, and codes only
// name the reason and single out the answers that are no last word.
//
// Of the head it sends the signature alone, though the vendor's page lists more:
// the newer text says that more of it gives a checksum error.
func (p *Paytm) Lookup(ctx context.Context, o connector.Order) connector.Outcome {
	reference := o.Reference()
	if reference == "" {
		return connector.Outcome{Kind: connector.Unknown, Alarm: "paytm: a look-up without an attempt"}
	}
	var a statusAnswer
	if l := p.call(ctx, p.orderStatus, "", begin(), statusBody{MID: p.mid, OrderID: reference}, &a); l != nil {
		return l.Unanswered()
	}
	r := a.Result
	switch r.Status {
	case "TXN_SUCCESS", "PENDING", "TXN_FAILURE", "NO_RECORD_FOUND":
	default:
		return r.doubtful("paytm: order status says " + exchange.Clean(r.Status, 24) + ", which is no known status")
	}
	if a.MID != p.mid && a.MID != "" || a.OrderID != reference && a.OrderID != "" {
		return r.doubtful("paytm: order status answers about another order or MID")
	}
	// Answers that are no last word need not repeat whom they are about.
	named := a.MID != "" && a.OrderID != ""
	switch {
	case r.Status == "NO_RECORD_FOUND":
		// The customer has not tried to pay yet; only our limit time ends it (L15).
		out := r.heard(connector.Pending)
		out.NoRecord = true
		return out
	case r.Status == "TXN_FAILURE" && r.Code == "501":
		return r.heard(connector.Unknown) // listed as a failure, and is none (section 5)
	case r.Status == "TXN_FAILURE" && (r.Code == "330" || r.Code == "335"):
		// Checksum or MID invalid by one source, order id invalid or request expired
		// by the other: of our question or settings, never of the customer's money.
		return r.doubtful("paytm: order status is refused with " + r.Code + ": check MID and merchant key")
	case r.Status == "TXN_FAILURE" && r.Code == "334":
		return p.noSuchOrder(r, o.Attempt.Status)
	case !named:
		return r.doubtful("paytm: order status does not say whom it is about")
	case r.Status == "PENDING":
		out := r.heard(connector.Pending)
		out.ProviderID, out.ProviderTime = exchange.Visible(a.TxnID), providerTime(a.TxnDate)
		return out
	case r.Status == "TXN_FAILURE":
		// 227 is a checksum mismatch by the newer text. A key other than Paytm's
		// would not have verified this answer, so here it is the bank's decline.
		out := r.heard(connector.Declined)
		out.Code = declineCode(r.Code)
		out.ProviderID, out.ProviderTime = exchange.Visible(a.TxnID), providerTime(a.TxnDate)
		return out
	}
	if r.Code != "01" {
		// All sources agree on 01. Crediting cannot be undone, so a person looks.
		return r.doubtful("paytm: TXN_SUCCESS comes with code " + exchange.Clean(r.Code, 24))
	}
	if a.Currency != "" && a.Currency != string(currency) {
		return r.doubtful("paytm: TXN_SUCCESS comes in a currency other than INR")
	}
	return r.approved(a.TxnID, a.TxnAmount, a.TxnDate)
}

// noSuchOrder reads 334, "invalid order id" or "duplicate order id": a decline
// if Paytm never confirmed the order, for then nobody has its token. If it did,
// the answer contradicts the first one, and a person looks (section 5).
func (p *Paytm) noSuchOrder(r resultInfo, status payment.AttemptStatus) connector.Outcome {
	if status == payment.AttemptAccepted {
		return r.doubtful("paytm: 334, invalid order id, about an order that Paytm had confirmed")
	}
	out := r.heard(connector.Declined)
	out.Code = payment.CodeExternalDecline
	return out
}

// approved is the provider's verified word that money has moved. Without a
// readable amount and an id it is not taken for that.
func (r resultInfo) approved(txnID, amount, date string) connector.Outcome {
	moved, err := money.ParseDecimal(amount, currency)
	if err != nil || moved.Minor == 0 {
		return r.doubtful("paytm: " + exchange.Clean(r.Status, 24) + " without a readable amount")
	}
	if exchange.Visible(txnID) == "" {
		return r.doubtful("paytm: " + exchange.Clean(r.Status, 24) + " without an id")
	}
	out := r.heard(connector.Approved)
	out.Amount, out.ProviderID, out.ProviderTime = moved, txnID, providerTime(date)
	return out
}

// doubtful is an answer that an operator must look at and that decides nothing.
func (r resultInfo) doubtful(alarm string) connector.Outcome {
	out := r.heard(connector.Unknown)
	out.Alarm = alarm
	return out
}

// declineCode gives the list's code (ecommpay.md section 5) for a TXN_FAILURE.
// Where the sources disagree on a number it says no more than "declined".
func declineCode(code string) string {
	switch code {
	case "141": // cancelled by the customer
		return payment.CodeExternalCancelled
	case "235": // wallet balance insufficient
		return payment.CodeExternalFunds
	}
	return payment.CodeExternalDecline
}

// providerTime reads "2020-07-24 15:13:02.0" in IST; what is not that is no time.
// Go's layout takes the fraction though it does not show it.
func providerTime(text string) time.Time {
	t, err := time.ParseInLocation("2006-01-02 15:04:05", text, ist)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
