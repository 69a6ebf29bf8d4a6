package gate

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"aorta/internal/event"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/sign"
)

// callbackBody tells a merchant of one change (ecommpay.md section 4.2). Its
// signature is added behind. Fields are written in this order, so equal events
// give equal bytes.
type callbackBody struct {
	ProjectID    int64         `json:"project_id"`
	Payment      paymentPart   `json:"payment"`
	Customer     *customerPart `json:"customer,omitempty"`
	Operation    operationPart `json:"operation"`
	RedirectData *redirectPart `json:"redirect_data,omitempty"`
}

type paymentPart struct {
	ID               string  `json:"id"`
	Type             string  `json:"type"`
	Status           string  `json:"status"`
	Date             string  `json:"date"`
	Method           string  `json:"method"`
	Sum              sumPart `json:"sum"`
	Description      string  `json:"description"`
	MerchantRefundID string  `json:"merchant_refund_id,omitempty"`
	*retryPart
}

// retryPart tells of "try again" on the payment page, for payments that have it
// (ecommpay.md section 2.3). The flag is a number, since not every official
// verifier can sign a boolean (1.4).
type retryPart struct {
	IsNewAttemptsAvailable int64 `json:"is_new_attempts_available"` // 1 or 0
	AttemptsTimeout        int64 `json:"attempts_timeout"`          // seconds that are left
}

type sumPart struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

type customerPart struct {
	ID string `json:"id"`
}

type operationPart struct {
	ID           int64         `json:"id"`
	Type         string        `json:"type"`
	Status       string        `json:"status"`
	Date         string        `json:"date"`
	CreatedDate  string        `json:"created_date"`
	RequestID    string        `json:"request_id"`
	SumInitial   sumPart       `json:"sum_initial"`
	SumConverted sumPart       `json:"sum_converted"`
	Provider     *providerPart `json:"provider,omitempty"`
	Code         string        `json:"code"`
	Message      string        `json:"message"`
}

type providerPart struct {
	ID        int64  `json:"id"`
	PaymentID string `json:"payment_id"`
	Date      string `json:"date"`
	AuthCode  string `json:"auth_code"`
}

// redirectPart is where the customer goes next. Body is a list when empty, since
// that is how ECommPay writes it, and an object of form fields otherwise.
type redirectPart struct {
	URL       string   `json:"url"`
	Method    string   `json:"method"`
	Body      any      `json:"body"`
	Encrypted []string `json:"encrypted"`
}

// RenderCallback gives the body and header of the callback that tells of an event:
// from the snapshot alone, so that a late delivery tells what was, not what is. It
// is pure, and every official verifier accepts what it gives (1.4).
//
// The error says that something of a PSP's or merchant's cannot be signed so. It
// is a bug of the door that let it in; nothing must be sent.
func RenderCallback(w event.Work, p project.Project) (body []byte, header http.Header, err error) {
	s := w.Snapshot
	c := callbackBody{
		ProjectID: s.Payment.ProjectID, Payment: paymentOf(s, p), Customer: customerOf(s.Payment), Operation: operationOfSnapshot(s, p),
	}
	c.Payment.MerchantRefundID = s.Operation.MerchantRefundID
	if c.RedirectData, err = redirectOf(s); err != nil {
		return nil, nil, err
	}
	if body, err = sign.AppendSigned(nil, encode(c), p.Secret); err != nil {
		return nil, nil, fmt.Errorf("sign callback: %w", err)
	}
	return body, http.Header{"Content-Type": {"application/json"}}, nil
}

func paymentOf(s event.Snapshot, p project.Project) paymentPart {
	pay := s.Payment
	part := paymentPart{
		ID: pay.Called(), Type: paymentType(pay.Type), Status: paymentStatus(pay), Date: instant(pay.ChangedUS),
		Method: pay.Method, Sum: sumOf(pay.Amount), Description: plain(pay.Description), retryPart: retryOf(pay, pay.ChangedUS),
	}
	if part.Description == "" {
		part.Description = pay.Called()
	}
	if m, ok := p.MethodByCode(pay.Method); ok {
		part.Method = plain(m.Name)
	}
	// Two sources disagree whether the sum is the initial one or what is left of it,
	// so it is a setting. Before any refund both are the same (6.3).
	if p.SumInRefund == project.SumRemaining && pay.CapturedMinor > 0 {
		part.Sum.Amount = pay.Refundable()
	}
	return part
}

// retryOf is how things stand at an instant; nil for a payment that its customer
// cannot try again.
func retryOf(pay payment.Payment, atUS int64) *retryPart {
	if pay.TriesLeft == 0 && pay.RetryUS == 0 {
		return nil
	}
	if left := (pay.RetryUS - atUS) / 1_000_000; pay.RetryOffered() && left > 0 {
		return &retryPart{IsNewAttemptsAvailable: 1, AttemptsTimeout: left}
	}
	return &retryPart{}
}

func sumOf(a money.Amount) sumPart { return sumPart{Amount: a.Minor, Currency: string(a.Currency)} }

// operationOfSnapshot has no provider where none was asked, as for a refund of too
// much (6.1).
func operationOfSnapshot(s event.Snapshot, p project.Project) operationPart {
	o, a := s.Operation, s.Attempt
	part := operationPart{
		ID: o.Number, Type: operationType(o.Kind), Status: operationStatus(o.Status), Date: instant(o.ChangedUS),
		CreatedDate: instant(o.CreatedUS), RequestID: o.RequestID(), SumInitial: sumOf(o.Amount), SumConverted: sumOf(o.Amount),
	}
	part.Code, part.Message = operationResult(o)
	if a.ID.IsZero() {
		return part
	}
	// A client may parse the date unasked, so where the provider named none it is
	// ours.
	part.Provider = &providerPart{PaymentID: plain(a.ProviderID), Date: instant(a.ChangedUS)}
	if a.ProviderUS != 0 {
		part.Provider.Date = instant(a.ProviderUS)
	}
	if m, ok := p.MethodByCode(s.Payment.Method); ok {
		part.Provider.ID = m.Provider
	}
	return part
}

// redirectOf gives the way to the PSP's page while the customer is awaited there.
func redirectOf(s event.Snapshot) (*redirectPart, error) {
	if s.Payment.Status != payment.StatusAwaitingCustomer || s.Payment.RetryOffered() || s.Attempt.Redirect == "" {
		return nil, nil
	}
	var r payment.Redirect
	if err := json.Unmarshal([]byte(s.Attempt.Redirect), &r); err != nil {
		return nil, fmt.Errorf("redirect of %s: %w", s.Attempt.ID, err)
	}
	// In an address a ";" may as well be written as %3B.
	part := &redirectPart{URL: strings.ReplaceAll(r.URL, ";", "%3B"), Method: r.Method, Body: []string{}, Encrypted: []string{}}
	if len(r.Fields) > 0 {
		part.Body = r.Fields
	}
	return part, nil
}
