package google

import (
	"context"

	"aorta/internal/customer"
	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/sms"
)

// codeAnswer is what sendOtp answers (section 3.2).
type codeAnswer struct {
	ID     string     `json:"paymentIntegratorSendOtpId"`
	Result fop.Result `json:"result"`
}

// sendOTP has a code sent to the customer whose wallet is to be linked, or is.
func (d *Door) sendOTP(ctx context.Context, c *call) (any, error) {
	number, name := c.doc.Get("accountPhoneNumber"), c.doc.Get("associationId")
	s := flow.SendingCode{GoogleCall: c.named(func(a flow.Answered) any { return codeAnswer{a.Call.ID.String(), a.Call.Result} })}
	var err error
	switch {
	case given(number) && given(name):
		return nil, invalid("accountPhoneNumber and associationId: one of them may be there")
	case given(name):
		if s.Association, err = text(name, "associationId"); err != nil {
			return nil, err
		}
	case given(number):
		said, err := text(number, "accountPhoneNumber")
		if err != nil {
			return nil, err
		}
		// What is no number is a person's mistake: an answer, and no error of Google's.
		s.Phone, _ = customer.ParsePhone(said)
	default:
		return nil, missing("accountPhoneNumber or associationId")
	}
	if s.Matching, err = text(c.doc.Get("smsMatchingToken"), "smsMatchingToken"); err != nil {
		return nil, err
	}
	if !sms.IsToken(s.Matching) {
		return nil, invalid("smsMatchingToken " + sms.ErrToken.Error())
	}
	purpose := c.doc.Get("otpContext")
	if err := object(purpose, "otpContext"); err != nil {
		return nil, err
	}
	if !given(purpose.Get("association")) {
		return nil, invalid("otpContext must have association: mandates are not offered here")
	}
	if err := object(purpose.Get("association"), "otpContext.association"); err != nil {
		return nil, err
	}
	return stored(d.opts.Wallets.SendCode(ctx, s))
}

// verifyAnswer is what verifyOtp answers (section 3.3).
type verifyAnswer struct {
	ID     string     `json:"paymentIntegratorVerifyOtpId"`
	Result fop.Result `json:"result"`
}

// verifyOTP says whether digits are those of a code.
func (d *Door) verifyOTP(ctx context.Context, c *call) (any, error) {
	name, err := text(c.doc.Get("sendOtpRequestId"), "sendOtpRequestId")
	if err != nil {
		return nil, err
	}
	digits, err := text(c.doc.Get("otp"), "otp")
	if err != nil {
		return nil, err
	}
	return stored(d.opts.Wallets.VerifyCode(ctx, flow.VerifyingCode{
		GoogleCall: c.named(func(a flow.Answered) any { return verifyAnswer{a.Call.ID.String(), a.Call.Result} }),
		Evidence:   flow.Evidence{RequestID: name, Digits: digits},
	}))
}
