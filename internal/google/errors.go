package google

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"aorta/internal/pgp"
	"aorta/internal/sign"
)

// Code is what an ErrorResponse says was wrong (section 1.6).
type Code string

// The codes that we answer. What Google answers may be others.
const (
	CodeVersion      Code = "INVALID_API_VERSION"
	CodeSignature    Code = "INVALID_PAYLOAD_SIGNATURE"
	CodeEncryption   Code = "INVALID_PAYLOAD_ENCRYPTION"
	CodeDecrypted    Code = "INVALID_DECRYPTED_REQUEST"
	CodeTimestamp    Code = "REQUEST_TIMESTAMP_OUT_OF_RANGE"
	CodeIdentifier   Code = "INVALID_IDENTIFIER"
	CodeIdempotency  Code = "IDEMPOTENCY_VIOLATION"
	CodeFieldValue   Code = "INVALID_FIELD_VALUE"
	CodeMissing      Code = "MISSING_REQUIRED_FIELD"
	CodePrecondition Code = "PRECONDITION_VIOLATION"
	CodeUserAction   Code = "USER_ACTION_IN_PROGRESS"
)

// statuses are the HTTP status of each code (section 1.6).
var statuses = map[Code]int{
	CodeVersion: http.StatusBadRequest, CodeSignature: http.StatusUnauthorized, CodeEncryption: http.StatusBadRequest,
	CodeDecrypted: http.StatusBadRequest, CodeTimestamp: http.StatusBadRequest, CodeIdentifier: http.StatusNotFound,
	CodeIdempotency: http.StatusPreconditionFailed, CodeFieldValue: http.StatusBadRequest, CodeMissing: http.StatusBadRequest,
	CodePrecondition: http.StatusBadRequest, CodeUserAction: http.StatusBadRequest,
}

// ErrorResponse is the body of every answer that is no 200, without its header.
type ErrorResponse struct {
	Code        Code   `json:"errorResponseCode,omitempty"`
	Description string `json:"errorDescription,omitempty"`                 // for support, never for users; has no token in it
	Identifier  string `json:"paymentIntegratorErrorIdentifier,omitempty"` // finds the log line
}

// Refusal is a request that was refused, with all that its sender is told of the
// reason. Nothing was written.
type Refusal struct {
	Status int // HTTP
	Code   Code
	What   string // for support: names of fields and rules, nothing that the request holds
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("refused with %d %s: %s", r.Status, r.Code, r.What)
}

func refused(code Code, what string) *Refusal {
	return &Refusal{Status: statuses[code], Code: code, What: what}
}

func invalid(what string) error { return refused(CodeFieldValue, what) }

func missing(name string) error { return refused(CodeMissing, name+" is missing") }

func malformed(what string) error { return refused(CodeDecrypted, what) }

var (
	errNoMethod    = &Refusal{Status: http.StatusNotFound, What: "no such method"}
	errNotPost     = &Refusal{Status: http.StatusMethodNotAllowed, What: "methods are called by POST"}
	errContentType = &Refusal{Status: http.StatusUnsupportedMediaType, What: "Content-Type must be " + ContentType}
	errEncryption  = refused(CodeEncryption, "not a message encrypted to an active key of ours")
	errSignature   = refused(CodeSignature, "no valid signature of an active key")
	errTooLarge    = &Refusal{Status: http.StatusRequestEntityTooLarge, What: "the message is too large"}
	errUnread      = &Refusal{Status: http.StatusBadRequest, What: "the body could not be read to its end"}
	errInternal    = &Refusal{Status: http.StatusInternalServerError, What: "not processed; try again"}
)

// errBody: whoever sent the request stopped.
var errBody = errors.New("google: body")

// refuse is the one place where errors become answers. What is not a refusal of
// our own words is told by its kind alone; the log has the rest, under the
// identifier that the answer names.
func (d *Door) refuse(c *call, err error) (status int, _ ErrorResponse) {
	var refusal *Refusal
	var parse *sign.ParseError
	switch {
	case errors.As(err, &refusal):
	case errors.Is(err, pgp.ErrTooLarge):
		refusal = errTooLarge
	case errors.Is(err, pgp.ErrEncryption):
		refusal = errEncryption
	case errors.Is(err, pgp.ErrSignature):
		refusal = errSignature
	case errors.As(err, &parse):
		refusal = refused(CodeDecrypted, "not strict JSON: "+string(parse.Problem))
	case errors.Is(err, errBody):
		refusal = errUnread
	default:
		if refusal = refusalOf(err); refusal == nil {
			refusal = errInternal
		}
	}
	name := d.errorName()
	if refusal.Status >= http.StatusInternalServerError {
		d.opts.Log.Error("a call of Google's failed", "integration", c.hosted.Name, "method", c.method, "request_id", c.header.RequestID, "as", name, "error", err)
	} else {
		// A refusal's own text, and that of package pgp, holds nothing of the request.
		d.opts.Log.Info("a call of Google's was refused", "integration", c.hosted.Name, "method", c.method, "request_id", c.header.RequestID,
			"as", name, "status", refusal.Status, "code", string(refusal.Code), "why", reason(err, refusal))
	}
	return refusal.Status, ErrorResponse{Code: refusal.Code, Description: refusal.What, Identifier: name}
}

// reason is what a log line says of a refusal. The path of a JSON error is the
// sender's own text, so it is left out.
func reason(err error, r *Refusal) string {
	var parse *sign.ParseError
	if errors.As(err, &parse) {
		return r.What
	}
	return err.Error()
}

// errorName names a refused request, in Crockford's digits.
func (d *Door) errorName() string {
	const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	var b [8]byte
	if _, err := io.ReadFull(d.opts.Random, b[:]); err != nil {
		return ""
	}
	for n := range b {
		b[n] = digits[b[n]%32]
	}
	return "err_" + string(b[:])
}
