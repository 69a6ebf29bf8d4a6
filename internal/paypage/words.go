package paypage

import (
	"encoding/json"
	"fmt"
	"time"

	"aorta/internal/payment"
	"aorta/internal/sign"
	"aorta/web"
)

// This file is where our words and the protocol's meet (ecommpay.md sections 2.4
// and 5); no other one translates.

// outcomeOf says what the customer is shown. OutcomePending: nothing is decided.
// A refund or chargeback later does not undo that the customer's payment
// succeeded.
func outcomeOf(s payment.Status) web.Outcome {
	switch s {
	case payment.StatusNew, payment.StatusPending, payment.StatusAwaitingCustomer:
		return web.OutcomePending
	case payment.StatusAuthorized, payment.StatusCaptured, payment.StatusPartiallyRefunded, payment.StatusRefunded, payment.StatusChargedBack:
		return web.OutcomeSuccess
	case payment.StatusDeclined, payment.StatusCancelled:
		return web.OutcomeDecline
	case payment.StatusRequested, payment.StatusSubmitting, payment.StatusUnknown, payment.StatusPaid, payment.StatusFailed,
		payment.StatusStepUp, payment.StatusHold, payment.StatusDeferred, payment.StatusPartiallyPaid: // no customer waits for a payout here
	}
	return "" // not one of ours; exhaustive keeps this line unreachable
}

// sessionStatus is the status word of our own script.
func sessionStatus(o web.Outcome) string {
	switch o {
	case web.OutcomePending:
		return "processing"
	case web.OutcomeSuccess:
		return "success"
	case web.OutcomeDecline:
		return "decline"
	}
	return "" // not one of ours
}

// statusOf is payment.status.
func statusOf(p payment.Payment) string {
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
	case payment.StatusCaptured, payment.StatusChargedBack:
		return "success"
	case payment.StatusPartiallyRefunded:
		return "partially refunded"
	case payment.StatusRefunded:
		return "refunded"
	case payment.StatusDeclined:
		return "decline"
	case payment.StatusCancelled:
		return "cancelled"
	case payment.StatusRequested, payment.StatusSubmitting, payment.StatusUnknown, payment.StatusPaid, payment.StatusFailed,
		payment.StatusStepUp, payment.StatusHold, payment.StatusDeferred, payment.StatusPartiallyPaid: // as above
	}
	return "" // not one of ours
}

// operationStatusOf is operations[].status.
func operationStatusOf(s payment.OperationStatus) string {
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
	return "" // not one of ours
}

// reasonOf says to the customer why; codes that would tell them nothing stay
// unsaid.
func reasonOf(code string) web.Reason {
	switch code {
	case payment.CodeExternalFunds:
		return web.ReasonInsufficientFunds
	case payment.CodeCancelled, payment.CodeExternalCancelled:
		return web.ReasonCancelled
	case payment.CodeAutoDecline, payment.CodeExternalTimeout:
		return web.ReasonTimeOver
	case payment.CodeExternalLimit:
		return web.ReasonLimit
	case payment.CodeProviderUnavailable, payment.CodeExternalDown:
		return web.ReasonUnavailable
	case payment.CodeExternalDecline:
		return web.ReasonProvider
	}
	return ""
}

// modeOf reads a *_mode parameter; "" for none.
func modeOf(word string) web.Mode {
	switch m := web.Mode(word); m {
	case web.ModeFrame, web.ModeParent, web.ModeBlank:
		return m
	}
	return ""
}

// timeOf writes an instant with an offset that has no colon.
func timeOf(us int64) string { return time.UnixMicro(us).UTC().Format("2006-01-02T15:04:05-0700") }

// sum is an amount in minor units.
type sum struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// resultObject is what the merchant's handlers get (ecommpay.md 2.4, terminal
// format). Its booleans never meet the libraries that cannot sign them: it is
// handed to the merchant's page, not to a verifier of callbacks.
type resultObject struct {
	SumRequest  sum               `json:"sum_request"`
	RequestID   string            `json:"request_id"`
	Transaction resultTransaction `json:"transaction"`
	Payment     resultPayment     `json:"payment"`
	SumReal     sum               `json:"sum_real"`
	Customer    resultCustomer    `json:"customer"`
	General     resultGeneral     `json:"general"`
	Description string            `json:"description"`
	Operations  []resultOperation `json:"operations"`
	ReturnURL   string            `json:"return_url"`
}

type resultTransaction struct {
	ID   int64  `json:"id"`
	Date string `json:"date"`
	Type string `json:"type"`
}

type resultPayment struct {
	Method                 string `json:"method"`
	Date                   string `json:"date"`
	ResultCode             string `json:"result_code"`
	ResultMessage          string `json:"result_message"`
	Status                 string `json:"status"`
	IsNewAttemptsAvailable bool   `json:"is_new_attempts_available"`
	AttemptsTimeout        int    `json:"attempts_timeout"`
	ID                     string `json:"id"`
	ProviderID             int64  `json:"provider_id"`
}

type resultCustomer struct {
	ID string `json:"id"`
}

type resultGeneral struct {
	ProjectID int64  `json:"project_id"`
	PaymentID string `json:"payment_id"`
	Signature string `json:"signature,omitempty"`
}

type resultOperation struct {
	ID             int64  `json:"id"`
	Type           string `json:"type"`
	Status         string `json:"status"`
	Date           string `json:"date"`
	ProcessingTime string `json:"processing_time"`
	Sum            sum    `json:"sum"`
	Code           string `json:"code"`
	Message        string `json:"message"`
}

// resultObject describes a payment that is decided, signed with the project's
// secret at general.signature.
func (p *Page) resultObject(s stay) (*resultObject, error) {
	pay, sale := s.view.Payment, s.sale.Operation
	method, _ := s.looks.project.MethodByCode(pay.Method)
	o := &resultObject{
		SumRequest:  sum{pay.Amount.Minor, string(pay.Amount.Currency)},
		RequestID:   sale.RequestID(),
		Transaction: resultTransaction{ID: sale.Number, Date: timeOf(sale.ChangedUS), Type: string(pay.Type)},
		Payment: resultPayment{
			Method: pay.Method, Date: timeOf(pay.ChangedUS), ResultCode: pay.Code, ResultMessage: pay.Message, Status: statusOf(pay),
			ID: pay.Called(), ProviderID: method.Provider,
		},
		SumReal:     sum{sale.Amount.Minor, string(sale.Amount.Currency)},
		Customer:    resultCustomer{pay.CustomerID},
		General:     resultGeneral{ProjectID: pay.ProjectID, PaymentID: pay.Called()},
		Description: pay.Description,
		ReturnURL:   p.returnURL(s),
	}
	for _, v := range s.view.Operations {
		op := v.Operation
		processed := op.ChangedUS
		if v.Attempt.ProviderUS != 0 {
			processed = v.Attempt.ProviderUS
		}
		o.Operations = append(o.Operations, resultOperation{
			ID: op.Number, Type: string(op.Kind), Status: operationStatusOf(op.Status), Date: timeOf(op.ChangedUS), ProcessingTime: timeOf(processed),
			Sum: sum{op.Amount.Minor, string(op.Amount.Currency)}, Code: op.Code, Message: op.Message,
		})
	}
	if s.looks.project.Secret.IsZero() {
		return o, nil // a project whose key was taken away since
	}
	text, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("result object: %w", err)
	}
	doc, err := sign.ParseJSON(text)
	if err != nil {
		return nil, fmt.Errorf("result object: %w", err)
	}
	o.General.Signature = sign.Sign(doc, s.looks.project.Secret)
	return o, nil
}

// returnURL is where the customer goes from here: to the merchant where there is
// an address for the outcome, else this session.
func (p *Page) returnURL(s stay) string {
	outcome := outcomeOf(s.view.Payment.Status)
	if r := s.looks.redirect(outcome, reasonOf(s.view.Payment.Code)); r != nil {
		return r.URL
	}
	return p.SessionURL(s.view.Payment.ID)
}

// nameOf is a screen's name in the metrics.
func nameOf(v web.View) string {
	switch v := v.(type) {
	case web.ConfirmView:
		return "confirm"
	case web.HandoffView:
		return "handoff"
	case web.ProcessingView:
		return "processing"
	case web.ResultView:
		return string(v.Outcome)
	case web.CustomerView:
		return "customer"
	case web.ErrorView:
		return "error_" + string(v.Kind)
	}
	return "other"
}
