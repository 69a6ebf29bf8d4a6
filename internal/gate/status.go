package gate

import (
	"bytes"
	"context"
	"fmt"

	"aorta/internal/event"
	"aorta/internal/payment"
	"aorta/internal/sign"
)

// maxOperations is how many operations a status shows: all libraries sort lists of
// up to ten alike (ecommpay.md sections 1.2, 3.5).
const maxOperations = 10

// statusAnswer is the status of a payment. Its signature is added behind.
type statusAnswer struct {
	ProjectID    int64           `json:"project_id"`
	Payment      paymentPart     `json:"payment"`
	Customer     *customerPart   `json:"customer,omitempty"`
	Operations   []operationPart `json:"operations"`
	RedirectData *redirectPart   `json:"redirect_data,omitempty"`
}

// status tells where a payment stands, with its newest operations, oldest first.
func (g *Gate) status(ctx context.Context, c *call) ([]byte, error) {
	pay, err := g.find(ctx, c)
	if err != nil {
		return nil, err
	}
	view, err := g.opts.Flows.Status(ctx, pay, maxOperations)
	if err != nil {
		return nil, &awayError{err}
	}
	answer := statusAnswer{ProjectID: c.project.ID, Customer: customerOf(pay), Operations: make([]operationPart, 0, len(view.Operations))}
	shown := event.Snapshot{Payment: pay}
	answer.Payment = paymentOf(shown, c.project)
	answer.Payment.retryPart = retryOf(pay, g.opts.Now().UnixMicro())
	for _, v := range view.Operations {
		shown.Operation, shown.Attempt = v.Operation, v.Attempt
		answer.Operations = append(answer.Operations, operationOfSnapshot(shown, c.project))
	}
	if answer.RedirectData, err = redirectOf(shown); err != nil {
		return nil, err
	}
	body, err := sign.AppendSigned(nil, encode(answer), c.project.Secret)
	if err != nil {
		return nil, fmt.Errorf("sign status: %w", err)
	}
	return body, nil
}

// requestStatusAnswer tells what became of one request.
type requestStatusAnswer struct {
	General     generalPart     `json:"general"`
	RequestID   string          `json:"request_id"`
	Status      string          `json:"status"` // of the operation that the request began
	Transaction transactionPart `json:"transaction"`
	Payment     resultPart      `json:"payment"`
	Customer    *customerPart   `json:"customer,omitempty"`
	SumRequest  sumPart         `json:"sum_request"`
	SumReal     sumPart         `json:"sum_real"`
	Description string          `json:"description"`
	Operations  []operationPart `json:"operations"`
}

type generalPart struct {
	ProjectID int64  `json:"project_id"`
	PaymentID string `json:"payment_id"`
	Signature string `json:"signature,omitempty"`
}

type transactionPart struct {
	ID   int64  `json:"id"`
	Type string `json:"type"`
	Date string `json:"date"`
}

type resultPart struct {
	ID            string `json:"id"`
	Method        string `json:"method"` // its code, "paytm-wallet", as in the page's result
	Status        string `json:"status"`
	Date          string `json:"date"`
	ResultCode    string `json:"result_code"`
	ResultMessage string `json:"result_message"`
}

// requestStatus tells what became of a request by the id of its answer. The id
// names the operation itself, so no row is spent on requests. A refused request
// left nothing behind, and so is not found.
func (g *Gate) requestStatus(ctx context.Context, c *call) ([]byte, error) {
	name := c.text("request_id")
	o, ok := payment.OperationOf(name)
	if !ok {
		return nil, errNoRequest
	}
	view, pay, ok, err := g.opts.Flows.OperationByID(ctx, o)
	if err != nil {
		return nil, &awayError{err}
	}
	if !ok || view.Operation.RequestID() != name || pay.ProjectID != c.project.ID {
		return nil, errNoRequest
	}
	c.paymentID = pay.Called()
	shown := event.Snapshot{Payment: pay, Operation: view.Operation, Attempt: view.Attempt}
	part, operation := paymentOf(shown, c.project), operationOfSnapshot(shown, c.project)
	return signGeneral(requestStatusAnswer{
		General:   generalPart{ProjectID: c.project.ID, PaymentID: pay.Called()},
		RequestID: name, Status: operation.Status,
		Transaction: transactionPart{ID: operation.ID, Type: part.Type, Date: operation.CreatedDate},
		Payment: resultPart{
			ID: part.ID, Method: pay.Method, Status: part.Status, Date: part.Date,
			ResultCode: operation.Code, ResultMessage: operation.Message,
		},
		Customer: customerOf(pay), SumRequest: operation.SumInitial, SumReal: operation.SumConverted,
		Description: part.Description, Operations: []operationPart{operation},
	}, c)
}

// signGeneral puts the signature in general, where this answer has it. Verifiers
// take every signature out before they compute their own, so it is the same one.
func signGeneral(answer requestStatusAnswer, c *call) ([]byte, error) {
	bare := encode(answer)
	signed, err := sign.AppendSigned(nil, bare, c.project.Secret)
	if err != nil {
		return nil, fmt.Errorf("sign status of request: %w", err)
	}
	doc, err := sign.ParseJSON(bytes.TrimSpace(signed))
	if err != nil {
		return nil, fmt.Errorf("read signed status of request: %w", err)
	}
	answer.General.Signature = doc.Get("signature").Text()
	return encode(answer), nil
}

func customerOf(p payment.Payment) *customerPart {
	if p.CustomerID == "" {
		return nil
	}
	return &customerPart{ID: p.CustomerID}
}
