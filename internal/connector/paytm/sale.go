package paytm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"aorta/internal/connector"
	"aorta/internal/connector/exchange"
	"aorta/internal/payment"
)

type initiateBody struct {
	RequestType string   `json:"requestType"`
	MID         string   `json:"mid"`
	WebsiteName string   `json:"websiteName"`
	OrderID     string   `json:"orderId"`
	CallbackURL string   `json:"callbackUrl,omitempty"` // empty: the website's own
	TxnAmount   txnValue `json:"txnAmount"`
	UserInfo    userInfo `json:"userInfo"`
}

type txnValue struct {
	Value    string `json:"value"`
	Currency string `json:"currency"`
}

type userInfo struct {
	CustID    string `json:"custId"`
	Mobile    string `json:"mobile,omitempty"`
	Email     string `json:"email,omitempty"`
	FirstName string `json:"firstName,omitempty"`
	LastName  string `json:"lastName,omitempty"`
}

type initiateAnswer struct {
	Result   resultInfo `json:"resultInfo"`
	TxnToken string     `json:"txnToken"`
}

// Sale makes a page token and answers where the customer pays (paytm.md sections
// 3 and 4). No money moves by it.
func (p *Paytm) Sale(ctx context.Context, o connector.Order) connector.Outcome {
	reference, amount := o.Reference(), o.Attempt.Amount
	switch {
	case reference == "":
		return refused(payment.CodeProviderUnavailable, "paytm: a sale without an attempt")
	case amount.Currency != currency:
		return refused(payment.CodeProviderUnavailable, "paytm: a sale in a currency other than INR was routed here")
	case amount.Minor < minMinor || amount.Minor > maxMinor:
		return refused(payment.CodeExternalLimit, "")
	}
	body := initiateBody{
		RequestType: "Payment",
		MID:         p.mid,
		WebsiteName: p.website,
		OrderID:     reference,
		CallbackURL: o.NotifyURL,
		TxnAmount:   txnValue{Value: amount.Decimal(), Currency: string(currency)},
		UserInfo: userInfo{
			CustID:    customerID(o.CustomerID, reference),
			Mobile:    passable(o.Customer.Phone),
			Email:     passable(o.Customer.Email),
			FirstName: passable(o.Customer.FirstName),
			LastName:  passable(o.Customer.LastName),
		},
	}
	head := begin(p.headStart, strconv.FormatInt(p.now().Unix(), 10), p.headEnd)
	var a initiateAnswer
	if l := p.call(ctx, p.initiate, p.initiateQuery+reference, head, body, &a); l != nil {
		return l.Outcome()
	}
	return p.started(a, reference)
}

// started reads an answer to initiate (paytm.md section 3).
func (p *Paytm) started(a initiateAnswer, reference string) connector.Outcome {
	r := a.Result
	if r.Status == "S" && a.TxnToken != "" {
		// 0002 with a token is the first answer again ("Success Idempotent").
		out := r.heard(connector.Pending)
		out.Redirect = &payment.Redirect{
			Method: "POST",
			URL:    p.pageURL + reference,
			Fields: map[string]string{"mid": p.mid, "orderId": reference, "txnToken": a.TxnToken},
		}
		return out
	}
	switch {
	case r.Code == "0002" || r.Code == "1005":
		// A repeat, and no token with it. Paytm has the order, and the answer with
		// its token was lost, so nobody can ever pay it. Not Pending, which would
		// leave the customer without a page till the limit time, but the lost answer
		// to a call that moves no money of L15: a new reference may follow.
		return r.heard(connector.Unknown)
	case r.Code == "501":
		// Not taken for a refusal whatever its status is (section 7).
		out := r.heard(connector.Unknown)
		out.Alarm = "paytm: initiate is answered 501, a system error at Paytm or, very often, a wrong website name"
		return out
	case r.Status != "F":
		// Among them S without a token, which contradicts itself.
		return r.heard(connector.Unknown)
	}
	out := r.heard(initiateRefusals[r.Code].kind)
	if out.Kind == "" {
		out.Kind, out.Code = connector.Declined, payment.CodeExternalDecline
		return out
	}
	out.Code = initiateRefusals[r.Code].code
	if out.Kind == connector.NotSent {
		out.Alarm = "paytm: initiate is refused with " + exchange.Clean(r.Code, 24) + ": our settings or our request are wrong"
	}
	return out
}

// refusal is what a code of an explicit, verified refusal means.
type refusal struct {
	kind connector.Kind
	code string
}

// initiateRefusals are the codes of resultStatus F that are no plain decline.
// Those about our request say nothing of the customer, and that nothing was
// taken: L15's not_sent, with an alarm, so that another route may be tried.
// Numbers of four digits above 1007 are from the vendor's page of initiate.
var initiateRefusals = map[string]refusal{
	"1001": {connector.NotSent, payment.CodeProviderUnavailable}, // parameters invalid
	"1007": {connector.NotSent, payment.CodeProviderUnavailable}, // missing element
	"1008": {connector.NotSent, payment.CodeProviderUnavailable}, // pipe in a value
	"2004": {connector.NotSent, payment.CodeProviderUnavailable}, // invalid token
	"2005": {connector.NotSent, payment.CodeProviderUnavailable}, // checksum invalid
	"2006": {connector.NotSent, payment.CodeProviderUnavailable}, // MID invalid
	"2007": {connector.NotSent, payment.CodeProviderUnavailable}, // amount invalid
	"2013": {connector.NotSent, payment.CodeProviderUnavailable}, // MID differs from the query's
	"2014": {connector.NotSent, payment.CodeProviderUnavailable}, // order id differs from the query's
	"1006": {connector.Declined, payment.CodeExternalTimeout},    // the order's session has expired
	"196":  {connector.Declined, payment.CodeExternalLimit},      // amount exceeds the allowed limit
	// The order id was used with other content. An attempt's content never
	// changes, so it is not for us to say what became of the other.
	"2023": {connector.Unknown, ""},
}

// refused is an order that we did not even send.
func refused(code, alarm string) connector.Outcome {
	return connector.Outcome{Kind: connector.NotSent, Code: code, Alarm: alarm}
}

// customerID is what Paytm may know the customer by: the merchant's name of them
// if it is of the kind that Paytm takes (at most 64 of letters, digits and
// @ ! _ $ . -), else a digest of it, which is as stable.
func customerID(name, reference string) string {
	if name == "" {
		return reference
	}
	odd := func(r rune) bool { return !exchange.NameRune(r) && !strings.ContainsRune("@!$.", r) }
	if len(name) <= 64 && !strings.ContainsFunc(name, odd) {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return "sha256-" + hex.EncodeToString(sum[:16])
}

// passable leaves out an optional value that Paytm would refuse the whole
// request for; it does not repair it.
func passable(value string) string {
	odd := func(r rune) bool { return r == '|' || r == utf8.RuneError || unicode.IsControl(r) }
	if len(value) > 64 || strings.ContainsFunc(value, odd) {
		return ""
	}
	return value
}
