// Package project has the merchant project: its keys, methods, limits and
// endpoints. Projects are settings: few, read at start, the same in every home.
package project

import (
	"strconv"
	"strings"
	"time"

	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/sign"
)

// Project is one shop or cashier of a merchant.
type Project struct {
	ID         int64 // 1..4294967295
	MerchantID int64
	Name       string
	Secret     sign.Secret // signs Payment Page, Gate and callbacks alike

	CallbackURL      string   // default address of callbacks; empty: none
	Origins          []string // web origins that may frame the payment page
	AllowedIPs       []string // CIDRs that may call Gate; empty: any
	CustomerOptional bool     // customer_id may be absent
	Wallet           bool     // money goes to the customer's wallet, not to the merchant's payable
	WalletOnly       bool     // and a payment must have a customer
	LateSuccess      LateRule
	SumInRefund      SumRule

	BaseTime  time.Duration // the merchant should ask for the status after it
	LimitTime time.Duration // then the payment is declined with code 603

	PageAttempts int           // how often a customer may try to pay in one session of the payment page; 1: "try again" is not offered
	RetryTime    time.Duration // and how long after the first decline

	Methods []Method // in several currencies: one for each, of the same code
}

// Method is one way to pay in one currency that a project offers. What has a
// code, name and path for several currencies is several methods, each with its
// currency's limits.
type Method struct {
	Code      string // "paytm-wallet"
	Group     string // path segment of Gate, "wallet"
	Segment   string // path segment of Gate, "paytm"
	Name      string // as shown in callbacks and on the page, "Paytm Wallet"
	Connector string // "paytm"
	Account   string // PSP account, "demo"
	Provider  int64  // Gate's operation.provider.id
	Currency  money.Currency
	MinMinor  int64
	MaxMinor  int64
}

// LateRule says what happens to captured news after our final decline (L15).
type LateRule string

// The rules for late success.
const (
	LateHold   LateRule = "hold"   // book to refund_due, open a case: the default
	LateCredit LateRule = "credit" // and credit the payee, payment captured
	LateRefund LateRule = "refund" // and refund to the source
)

// SumRule says what payment.sum means in refund callbacks (ecommpay.md 6.3).
type SumRule string

// The meanings of payment.sum in refund callbacks.
const (
	SumInitial   SumRule = "initial"
	SumRemaining SumRule = "remaining"
)

// MethodByCode finds a method by its page code, "paytm-wallet", in whatever
// currency comes first: for its name.
func (p Project) MethodByCode(code string) (Method, bool) {
	for _, m := range p.Methods {
		if m.Code == code {
			return m, true
		}
	}
	return Method{}, false
}

// MethodIn finds a method by its page code and currency.
func (p Project) MethodIn(code string, c money.Currency) (Method, bool) {
	for _, m := range p.Methods {
		if m.Code == code && m.Currency == c {
			return m, true
		}
	}
	return Method{}, false
}

// CurrenciesOf are those that a method is offered in.
func (p Project) CurrenciesOf(code string) []money.Currency {
	var all []money.Currency
	for _, m := range p.Methods {
		if m.Code == code {
			all = append(all, m.Currency)
		}
	}
	return all
}

// MethodByPath finds a method by its Gate path, "wallet" and "paytm", in whatever
// currency comes first.
func (p Project) MethodByPath(group, segment string) (Method, bool) {
	for _, m := range p.Methods {
		if m.Group == group && m.Segment == segment {
			return m, true
		}
	}
	return Method{}, false
}

// RefScope is the scope of the project's payment ids.
func (p Project) RefScope() string { return "payment:" + strconv.FormatInt(p.ID, 10) }

// FoldPaymentID gives the form under which payment ids are compared: order_1
// and Order_1 name one payment (ecommpay.md 3.4).
func FoldPaymentID(paymentID string) string { return strings.ToLower(paymentID) }

// PaymentBucket is where a payment lies: with its customer where the merchant
// keeps wallets, else by its own name (design section 3).
func (p Project) PaymentBucket(buckets int, paymentID, customerID string) id.Bucket {
	if p.Wallet && customerID != "" {
		return id.BucketOf(buckets, "customer:"+strconv.FormatInt(p.MerchantID, 10), customerID)
	}
	return id.BucketOf(buckets, p.RefScope(), FoldPaymentID(paymentID))
}

// Payee is the owner of the account that a settled sale credits.
func (p Project) Payee(customerID string) string {
	if p.Wallet && customerID != "" {
		return "customer:" + strconv.FormatInt(p.MerchantID, 10) + ":" + customerID
	}
	return "merchant:" + strconv.FormatInt(p.MerchantID, 10)
}
