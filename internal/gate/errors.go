package gate

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"aorta/internal/book"
	"aorta/internal/flow"
	"aorta/internal/payment"
	"aorta/internal/redact"
	"aorta/internal/sign"
)

// refusal is a request that was understood well enough to be refused. Nothing was
// written.
type refusal struct {
	status     int // HTTP
	code       code
	problems   []problem
	retryAfter time.Duration // 429 and 503
}

func (r *refusal) Error() string { return fmt.Sprintf("refused with code %s", r.code) }

// problem is one member of a request that is not as it must be.
type problem struct {
	code       code
	field      string // as a path, "payment.amount"; may be empty
	constraint string // the rule it broke: "required", "string", "max 255"
}

// invalid refuses a request because of its content; the first problem names it.
func invalid(problems ...problem) *refusal {
	return &refusal{status: http.StatusBadRequest, code: problems[0].code, problems: problems}
}

var (
	errNoEndpoint = &refusal{status: http.StatusNotFound, code: codeMalformed}
	errNotPost    = &refusal{status: http.StatusMethodNotAllowed, code: codeMalformed}
	errKnown      = invalid(problem{code: codePaymentIDKnown, field: "general.payment_id", constraint: "unique"})
	errCrowded    = &refusal{status: http.StatusServiceUnavailable, code: codeTryAgain, retryAfter: patience}
	errNoRequest  = &refusal{status: http.StatusNotFound, code: codeNoPayment, problems: []problem{{code: codeNoPayment, field: "request_id"}}}
)

// bodyError is a body that could not be read to its end.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "read body: " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// awayError is a read that the store did not answer: nothing happened, and the
// same request may come again.
type awayError struct{ err error }

func (e *awayError) Error() string { return e.err.Error() }
func (e *awayError) Unwrap() error { return e.err }

// patience is what Retry-After says when nobody knows how long it will take.
const patience = 2 * time.Second

// refusalOf is the one place where errors become answers (ecommpay.md section
// 3.1). It tells whether the error is ours, and so must be looked at.
func refusalOf(err error) (r *refusal, ours bool) {
	var bad *sign.ParseError
	var large *http.MaxBytesError
	var body *bodyError
	var away *awayError
	switch {
	case errors.As(err, &r):
		return r, false
	case errors.As(err, &bad):
		return refusalOfDocument(bad), false
	case errors.As(err, &large):
		return &refusal{status: http.StatusRequestEntityTooLarge, code: codeMalformed}, false
	case errors.As(err, &body):
		return &refusal{status: http.StatusBadRequest, code: codeMalformed}, false
	case errors.Is(err, sign.ErrSignatureMissing):
		return &refusal{status: http.StatusBadRequest, code: codeSignatureMissing}, false
	case errors.Is(err, sign.ErrSignatureWrong):
		return &refusal{status: http.StatusBadRequest, code: codeSignatureWrong}, false
	case errors.Is(err, payment.ErrNoPayment):
		return invalid(problem{code: codeNoPayment}), false
	case errors.Is(err, flow.ErrState):
		return invalid(problem{code: codeState}), false
	case errors.Is(err, flow.ErrRefundIDKnown):
		return invalid(problem{code: codeRefundIDKnown, field: "payment.merchant_refund_id", constraint: "unique"}), false
	case errors.Is(err, book.ErrUnknown):
		// Written or not: the client repeats, and 3041 or 200 will tell it.
		return &refusal{status: http.StatusInternalServerError, code: codeInternal}, true
	case errors.Is(err, book.ErrBusy):
		return &refusal{status: http.StatusServiceUnavailable, code: codeTryAgain, retryAfter: patience}, false
	case errors.Is(err, book.ErrNotRun), errors.As(err, &away):
		return &refusal{status: http.StatusServiceUnavailable, code: codeTryAgain, retryAfter: patience}, true
	}
	return &refusal{status: http.StatusInternalServerError, code: codeInternal}, true
}

// refusalOfDocument: what is no JSON object gets 422; one that two readers could
// read differently is malformed.
func refusalOfDocument(e *sign.ParseError) *refusal {
	switch e.Problem {
	case sign.ProblemSyntax, sign.ProblemNotObject:
		return &refusal{status: http.StatusUnprocessableEntity, code: codeNotJSON}
	case sign.ProblemRepeated, sign.ProblemNUL, sign.ProblemUTF8, sign.ProblemDepth, sign.ProblemSize, sign.ProblemRange,
		sign.ProblemInteger, sign.ProblemKey, sign.ProblemSemicolon:
	}
	return invalid(problem{code: codeMalformed, field: e.Path, constraint: string(e.Problem)})
}

// errorAnswer is the body of every refusal. Some clients look at the HTTP status
// alone, others at the body's, and crash without it.
type errorAnswer struct {
	Status    string      `json:"status"`
	Code      string      `json:"code"`
	Message   string      `json:"message"`
	RequestID string      `json:"request_id"`
	ProjectID int64       `json:"project_id,omitempty"`
	PaymentID string      `json:"payment_id,omitempty"`
	Errors    []errorItem `json:"errors,omitempty"`
}

// errorItem has its code as an integer, unlike the body around it (3.1).
type errorItem struct {
	Code       int    `json:"code"`
	Message    string `json:"message"`
	Field      string `json:"field,omitempty"`
	Constraint string `json:"constraint,omitempty"`
}

// maxProblems bounds the list of what is wrong: enough to mend a request by.
const maxProblems = 10

// refuse writes a refusal down. The text of an error of ours stays in the log,
// under the request id that the merchant is told (security.md S36).
func (g *Gate) refuse(c *call, err error) (int, http.Header, []byte, code) {
	r, ours := refusalOf(err)
	id := g.refusedID()
	if ours {
		g.opts.Log.Error("gate could not answer", "request_id", id, "endpoint", c.endpoint, "project", c.projectID, "code", r.code.String(), "error", err)
	} else {
		g.opts.Log.Info("gate refused a request", "request_id", id, "endpoint", c.endpoint, "project", c.projectID, "code", r.code.String())
	}
	body := errorAnswer{
		Status: "error", Code: r.code.String(), Message: r.code.message(),
		RequestID: id, ProjectID: c.projectID, PaymentID: c.paymentID,
	}
	for _, p := range r.problems[:min(len(r.problems), maxProblems)] {
		if redact.FindPAN(p.field) {
			p.field = "" // a field's name is the sender's own text
		}
		body.Errors = append(body.Errors, errorItem{Code: int(p.code), Message: p.code.message(), Field: p.field, Constraint: p.constraint})
	}
	header := http.Header{}
	if r.status == http.StatusMethodNotAllowed {
		header.Set("Allow", http.MethodPost)
	}
	if r.retryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(int(math.Ceil(r.retryAfter.Seconds()))))
	}
	return r.status, header, encode(body), r.code
}

// refusedID names a request that left nothing behind. It has no number at its end,
// so it cannot be taken for one that did.
func (g *Gate) refusedID() string {
	var bits [16]byte
	if _, err := io.ReadFull(g.opts.Random, bits[:]); err != nil {
		panic("gate: no randomness: " + err.Error())
	}
	return hex.EncodeToString(bits[:])
}
