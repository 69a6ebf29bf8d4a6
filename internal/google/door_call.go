package google

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"

	"aorta/internal/book"
	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/sign"
)

// Wallets is what the methods need that link wallets and move their money; flow.Flows
// implements it. Each call is done once under its name.
type Wallets interface {
	LinkWallet(ctx context.Context, l flow.Linking) (fop.Call, error)
	RefreshLink(ctx context.Context, r flow.Refreshing) (fop.Call, error)
	Purchase(ctx context.Context, b flow.Buying) (fop.Call, error)
	BeginPurchase(ctx context.Context, b flow.Buying) (fop.Call, error)
	GiveBack(ctx context.Context, g flow.GivingBack) (fop.Call, error)
	SendCode(ctx context.Context, s flow.SendingCode) (fop.Call, error)
	VerifyCode(ctx context.Context, v flow.VerifyingCode) (fop.Call, error)
	NoteStatement(ctx context.Context, n flow.Noting) (fop.Call, error)

	// RefundUnheard has Google told of a refund whose answer may have been lost.
	RefundUnheard(ctx context.Context, c fop.Call) error
}

// named gives a call the name under which it is done once (section 1.5).
func (c *call) named(members func(flow.Answered) any) flow.GoogleCall {
	print := Fingerprint(c.doc)
	return flow.GoogleCall{
		Name: fop.Name{
			Integration: c.hosted.Name, Method: fop.Method(c.method),
			Account: c.doc.Get("paymentIntegratorAccountId").Text(), RequestID: c.header.RequestID,
		},
		Print: hex.EncodeToString(print[:]),
		Members: func(a flow.Answered) string {
			text, err := plainJSON(members(a))
			if err != nil {
				panic("google: an answer is plain values: " + err.Error())
			}
			return string(text)
		},
	}
}

// stored gives the members that a call was first answered with.
func stored(row fop.Call, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return json.RawMessage(row.Answer), nil
}

// account reads the account of methods that must name one; ours has seen whose it is.
func (c *call) account() error {
	_, err := text(c.doc.Get("paymentIntegratorAccountId"), "paymentIntegratorAccountId")
	return err
}

// evidence reads how the customer has authenticated: by a redirect or by a code, not
// both.
func (c *call) evidence(required bool) (flow.Evidence, error) {
	redirect, code := c.doc.Get("authenticationRequestId"), c.doc.Get("otpVerification")
	switch {
	case given(redirect) && given(code):
		return flow.Evidence{}, invalid("authenticationRequestId and otpVerification: one of them may be there")
	case given(redirect):
		name, err := text(redirect, "authenticationRequestId")
		return flow.Evidence{RequestID: name}, err
	case !given(code) && required:
		return flow.Evidence{}, missing("authenticationRequestId or otpVerification")
	case !given(code):
		return flow.Evidence{}, nil
	}
	if err := object(code, "otpVerification"); err != nil {
		return flow.Evidence{}, err
	}
	name, err := text(code.Get("sendOtpRequestId"), "otpVerification.sendOtpRequestId")
	if err != nil {
		return flow.Evidence{}, err
	}
	digits, err := text(code.Get("otp"), "otpVerification.otp")
	return flow.Evidence{RequestID: name, Digits: digits}, err
}

func given(v sign.Value) bool { return v.Kind() != sign.KindMissing && v.Kind() != sign.KindNull }

// answers are what errors of flows are answered with. Descriptions name fields and rules,
// nothing of what a request holds.
var answers = []struct {
	err error
	is  *Refusal
}{
	{flow.ErrOtherCall, refused(CodeIdempotency, "another request was made under this requestId")},
	{flow.ErrTokenTaken, refused(CodeIdempotency, "googlePaymentToken or associationId is that of another association")},
	{flow.ErrNoToken, refused(CodeIdentifier, "unknown googlePaymentToken")},
	{flow.ErrNoProof, refused(CodeIdentifier, "unknown authenticationRequestId")},
	{flow.ErrNoCode, refused(CodeIdentifier, "unknown sendOtpRequestId")},
	{flow.ErrNoAssociation, refused(CodeIdentifier, "unknown associationId")},
	{flow.ErrCodeUnderWay, errUnderWay},
	{flow.ErrCodeNotSent, errNotSent},
	{flow.ErrNoCapture, refused(CodeIdentifier, "unknown captureRequestId")},
	{flow.ErrNotCaptured, refused(CodePrecondition, "the capture has taken no money, or not yet")},
	{flow.ErrOverRefund, refused(CodePrecondition, "refundAmount is more than what is left of the capture")},
	{flow.ErrOtherCurrency, refused(CodeFieldValue, "currencyCode is not that of the capture")},
	{book.ErrBusy, errBusy},
	{book.ErrNotRun, errBusy},
}

var (
	// errBusy: certainly nothing happened.
	errBusy     = &Refusal{Status: http.StatusServiceUnavailable, What: "not processed; try again"}
	errUnderWay = &Refusal{Status: http.StatusConflict, What: "in progress"}
	errNotSent  = &Refusal{Status: http.StatusServiceUnavailable, What: "the SMS gateway did not take the message; try again"}
)

// refusalOf translates an error of a flow; nil if it is none that is known.
func refusalOf(err error) *Refusal {
	for _, a := range answers {
		if errors.Is(err, a.err) {
			return a.is
		}
	}
	return nil
}
