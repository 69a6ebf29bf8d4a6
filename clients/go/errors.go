package aorta

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// ErrorCode is the stable name of a refusal, such as ErrInsufficientFunds. Later
// versions may have more.
type ErrorCode string

// Error makes a code something that errors.Is looks for.
func (c ErrorCode) Error() string { return string(c) }

// Error is a refusal. errors.As finds it in what a call returns, errors.Is its code:
//
//	if errors.Is(err, aorta.ErrInsufficientFunds) {
type Error struct {
	Status         int             // of HTTP
	Code           ErrorCode       // empty if the answer is not the API's, as of a proxy
	Message        string          // for people
	TraceID        string          // names the call in the server's logs
	Details        json.RawMessage // an object; what is below is read of it
	Decline        *DeclineDetails // of a payment that was declined
	Fields         []FieldError    // of ErrValidationFailed: what is wrong
	Differs        []string        // of ErrIdempotencyConflict: members that the first request had otherwise
	PaymentID      string          // the payment that it is about, where there is one
	State          string          // of ErrStateConflict: where the thing stands
	RetryAfter     time.Duration   // how long to wait; 0: nothing is said
	IdempotencyKey string          // under which the call was made
}

// DeclineDetails says why a payment was declined.
type DeclineDetails struct {
	Code         string   `json:"decline_code"` // of the ECommPay list
	Retryable    bool     `json:"retryable"`    // the same method may succeed a moment later, under a new key
	Alternatives []string `json:"alternatives"` // other methods for the currency
}

// FieldError is a member of a request that is not as it must be.
type FieldError struct {
	Path    string `json:"path"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Error tells status, code, message and trace id.
func (e *Error) Error() string {
	text := fmt.Sprintf("aorta: %d %s", e.Status, e.Code)
	if e.Code == "" {
		text = fmt.Sprintf("aorta: %d %s", e.Status, http.StatusText(e.Status))
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	for _, f := range e.Fields {
		text += fmt.Sprintf(" %s %s.", f.Path, f.Message)
	}
	if e.TraceID != "" {
		text += " (trace " + e.TraceID + ")"
	}
	return text
}

// Is compares with a code.
func (e *Error) Is(target error) bool {
	code, ok := target.(ErrorCode)
	return ok && code == e.Code
}

// ConnectionError is a call that got no answer, or none that can be read: whether it
// was done is not known. The same call under its IdempotencyKey tells.
type ConnectionError struct {
	Method, Path   string
	IdempotencyKey string // empty of a call that changes nothing
	Err            error
}

// Error tells which call was lost, and how.
func (e *ConnectionError) Error() string {
	return fmt.Sprintf("aorta: %s %s got no answer: %v", e.Method, e.Path, e.Err)
}

// Unwrap gives the cause.
func (e *ConnectionError) Unwrap() error { return e.Err }

// errorOf reads an answer that is no.
func errorOf(resp *http.Response, text []byte, key string) *Error {
	e := &Error{Status: resp.StatusCode, TraceID: resp.Header.Get("Aorta-Trace-Id"), RetryAfter: retryAfter(resp.Header), IdempotencyKey: key}
	var body struct {
		Error   ErrorCode       `json:"error"`
		Message string          `json:"message"`
		TraceID string          `json:"trace_id"`
		Details json.RawMessage `json:"details"`
	}
	if json.Unmarshal(text, &body) != nil || body.Error == "" {
		return e
	}
	e.Code, e.Message, e.Details = body.Error, body.Message, body.Details
	if body.TraceID != "" { // of a stored answer it is the first call's
		e.TraceID = body.TraceID
	}
	// Each by itself: one that is of another form than today takes nothing from the others.
	var details map[string]json.RawMessage
	if json.Unmarshal(body.Details, &details) != nil {
		return e
	}
	read := func(name string, into any) {
		if raw, ok := details[name]; ok {
			_ = json.Unmarshal(raw, into)
		}
	}
	read("fields", &e.Fields)
	read("differs", &e.Differs)
	read("payment_id", &e.PaymentID)
	read("state", &e.State)
	if _, ok := details["decline_code"]; ok {
		e.Decline = &DeclineDetails{}
		read("decline_code", &e.Decline.Code)
		read("retryable", &e.Decline.Retryable)
		read("alternatives", &e.Decline.Alternatives)
	}
	return e
}
