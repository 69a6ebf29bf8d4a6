package payment

// Decline codes of the ECommPay list that the house itself decides
// (ecommpay.md section 5). A connector maps its PSP's words to the 2xxxx ones.
const (
	CodeSuccess             = "0"
	CodeGeneralDecline      = "100"
	CodeCancelled           = "301"
	CodeProviderUnavailable = "314"
	CodeNotEnoughData       = "319"
	CodeReject              = "402"
	CodeAutoDecline         = "603"
	CodeRejectCustomer      = "1402"
	CodeRejectInterval      = "1409"
	CodeRejectAmount        = "1422"
	CodeNoBalance           = "3028"
	CodeRefundTooMuch       = "3283"
	CodeExternalDecline     = "20100"
	CodeExternalLimit       = "20101"
	CodeExternalFunds       = "20105"
	CodeExternalDown        = "20202"
	CodeExternalCancelled   = "20301"
	CodeExternalTimeout     = "20602"
	CodeHouseDecline        = "30000" // a person of the house said no
)

var codeMessages = map[string]string{
	CodeSuccess:             "Success",
	CodeGeneralDecline:      "General decline",
	CodeCancelled:           "Cancelled",
	CodeProviderUnavailable: "Provider is not available now to perform the operation",
	CodeNotEnoughData:       "There is not enough data to create an operation",
	CodeReject:              "Rejected by the rules of the house",
	CodeAutoDecline:         "Auto decline",
	CodeRejectCustomer:      "Rejected: the customer is restricted",
	CodeRejectInterval:      "Rejected: too many operations",
	CodeRejectAmount:        "Rejected: amount limit",
	CodeNoBalance:           "Insufficient funds on merchant balance",
	CodeRefundTooMuch:       "Refund amount more than init amount",
	CodeExternalDecline:     "Declined by the provider",
	CodeExternalLimit:       "Provider limit exceeded",
	CodeExternalFunds:       "Insufficient funds on the account",
	CodeExternalDown:        "Provider is not available",
	CodeExternalCancelled:   "Cancelled by the account owner",
	CodeExternalTimeout:     "Time for the payment is over",
	CodeHouseDecline:        "Declined by merchant",
}

// CodeMessage gives the text that goes with a code; a code that is not in the
// house's own list gets the general one.
func CodeMessage(code string) string {
	if m, ok := codeMessages[code]; ok {
		return m
	}
	return codeMessages[CodeGeneralDecline]
}
