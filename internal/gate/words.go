package gate

import (
	"strconv"
	"strings"
	"time"

	"aorta/internal/payment"
)

// This file is where the house's words and Gate's meet. Its switches have no
// default, so that a word added later is missed by the linter, not by a merchant.

// code is a number of ECommPay's list (ecommpay.md section 5). It is written as a
// text in answers and operations and as an integer in lists of errors.
type code int

const (
	codeSuccess               code = 0
	codeAccessDenied          code = 303
	codeNotAllowed            code = 310
	codeInternal              code = 501
	codeValidation            code = 502
	codeTryAgain              code = 601
	codeMalformed             code = 702
	codeNotJSON               code = 2003
	codeMissing               code = 2004
	codeCustomerInvalid       code = 2124
	codeCustomerMissing       code = 2154
	codeNoProject             code = 2442
	codeNoMethod              code = 2541
	codeTooMuch               code = 2642
	codeCurrencyDisabled      code = 3023
	codePaymentIDInvalid      code = 3024
	codePaymentIDKnown        code = 3041
	codeState                 code = 3060
	codeNoPayment             code = 3061
	codeCurrencyInvalid       code = 3121
	codeRefundIDKnown         code = 3230
	codeSignatureWrong        code = 3261
	codeSignatureMissing      code = 3262
	codeRefundCurrency        code = 3284
	codeRefundAmountMissing   code = 3286
	codeRefundCurrencyMissing code = 3287
	codeTooLittle             code = 3358
	codeAwaiting              code = 9999
)

func (c code) String() string { return strconv.Itoa(int(c)) }

// message is the text that the list has beside a code.
func (c code) message() string {
	switch c {
	case codeSuccess:
		return "Success"
	case codeAccessDenied:
		return "Access denied"
	case codeNotAllowed:
		return "This operation is not allowed by project settings"
	case codeInternal:
		return "Internal error"
	case codeValidation:
		return "Validation error"
	case codeTryAgain:
		return "Try again"
	case codeMalformed:
		return "Malformed request"
	case codeNotJSON:
		return "Invalid JSON string"
	case codeMissing:
		return "Required field not provided"
	case codeCustomerInvalid:
		return "Invalid Customer ID"
	case codeCustomerMissing:
		return "Customer ID is required for project"
	case codeNoProject:
		return "Project ID not found"
	case codeNoMethod:
		return "Unknown Payment Method"
	case codeTooMuch:
		return "Operation amount is greater than limit"
	case codeCurrencyDisabled:
		return "Provided currency disabled for Project ID"
	case codePaymentIDInvalid:
		return "Invalid Payment ID"
	case codePaymentIDKnown:
		return "Payment ID already exists"
	case codeState:
		return "Payment status does not allow this action"
	case codeNoPayment:
		return "Transaction not found"
	case codeCurrencyInvalid:
		return "Invalid currency"
	case codeRefundIDKnown:
		return "The operation with such merchant_refund_id already exists"
	case codeSignatureWrong:
		return "Invalid signature"
	case codeSignatureMissing:
		return "Empty signature"
	case codeRefundCurrency:
		return "Refund currency mismatched or empty"
	case codeRefundAmountMissing:
		return "Property amount is required"
	case codeRefundCurrencyMissing:
		return "Property currency is required"
	case codeTooLittle:
		return "Operation amount is less than limit"
	case codeAwaiting:
		return "Awaiting processing"
	}
	return "" // not one of ours; exhaustive keeps this line unreachable
}

// paymentStatus gives Gate's word for where a payment stands (payment-loop.md L15).
func paymentStatus(p payment.Payment) string {
	switch p.Status {
	case payment.StatusNew, payment.StatusPending:
		return "processing"
	case payment.StatusAwaitingCustomer:
		if p.RetryOffered() {
			return "awaiting customer"
		}
		return "awaiting redirect result"
	case payment.StatusAuthorized:
		return "awaiting capture"
	case payment.StatusCaptured:
		return "success"
	case payment.StatusPartiallyRefunded:
		return "partially refunded"
	case payment.StatusRefunded:
		return "refunded"
	case payment.StatusDeclined:
		return "decline"
	case payment.StatusCancelled:
		return "cancelled"
	case payment.StatusChargedBack:
		return "success" // Gate has no word for it: chargebacks are told by their own callbacks
	case payment.StatusRequested, payment.StatusSubmitting, payment.StatusUnknown,
		payment.StatusStepUp, payment.StatusHold, payment.StatusDeferred, payment.StatusPartiallyPaid:
		return "processing"
	case payment.StatusPaid:
		return "success"
	case payment.StatusFailed:
		return "decline"
	}
	return "" // not one of ours; exhaustive keeps this line unreachable
}

func paymentType(t payment.Type) string {
	switch t {
	case payment.TypePurchase:
		return "purchase"
	case payment.TypePayout:
		return "payout"
	}
	return "" // not one of ours; exhaustive keeps this line unreachable
}

func operationType(k payment.OperationKind) string {
	switch k {
	case payment.KindSale:
		return "sale"
	case payment.KindRefund:
		return "refund"
	case payment.KindPayout:
		return "payout"
	case payment.KindManualChange:
		return "manual change"
	}
	return "" // not one of ours; exhaustive keeps this line unreachable
}

func operationStatus(s payment.OperationStatus) string {
	switch s {
	case payment.OperationProcessing:
		return "processing"
	case payment.OperationAwaitingCustomer:
		return "awaiting redirect result"
	case payment.OperationSuccess:
		return "success"
	case payment.OperationDecline:
		return "decline"
	}
	return "" // not one of ours; exhaustive keeps this line unreachable
}

// operationResult gives the code and message of an operation. One that has not
// ended has none in our books, while SDKs want a text there.
func operationResult(o payment.Operation) (code, message string) {
	if o.Code == "" {
		return codeAwaiting.String(), codeAwaiting.message()
	}
	return o.Code, plain(o.Message)
}

// instant writes an instant as Gate does, its offset without a colon.
func instant(us int64) string {
	return time.UnixMicro(us).UTC().Format("2006-01-02T15:04:05-0700")
}

// plain makes free text fit for signing: a ";" parts the values of the signed
// text, and the WooCommerce plugin throws on one (ecommpay.md section 1.4).
func plain(text string) string { return strings.ReplaceAll(text, ";", ",") }
