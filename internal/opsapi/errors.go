package opsapi

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"

	"aorta/internal/book"
	"aorta/internal/callback"
	"aorta/internal/customer"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/inbox"
	"aorta/internal/payment"
	"aorta/internal/redact"
	"aorta/internal/sign"
)

// badRequest is an error whose text is for the caller.
type badRequest struct{ text string }

func (e badRequest) Error() string { return e.text }

// problem is one member of a request that is not as it must be.
type problem struct {
	Path    string `json:"path"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// invalid lists what is wrong with a request. It never holds what was sent, but for
// names of members.
type invalid []problem

func (e invalid) Error() string {
	texts := make([]string, len(e))
	for n, p := range e {
		texts[n] = p.Path + " " + p.Message
	}
	return strings.Join(texts, "; ")
}

// maxProblems bounds the list of what is wrong: enough to mend a request by.
const maxProblems = 20

var (
	errAddress = errors.New("there is no such call")
	errMethod  = errors.New("this address does not take that HTTP method: see Allow")
)

// errCard: neither a note nor a name is a place for a card number (security.md S24).
var errCard = errors.New("the request holds a card number or security code, which must not be sent here")

// traceHeader names a request in its answer and in logs.
const traceHeader = "Aorta-Trace-Id"

func traceID() string {
	var bits [16]byte
	_, _ = rand.Read(bits[:]) // it cannot fail: crypto/rand ends the process instead
	return hex.EncodeToString(bits[:])
}

// errorBody is the body of every refusal, as /v1 has it (errors.md).
type errorBody struct {
	Error   string         `json:"error"`
	Message string         `json:"message"`
	TraceID string         `json:"trace_id"`
	Details map[string]any `json:"details"`
}

// refuse answers an error. The text of one of ours stays in the log, under the trace
// id that the caller is told.
func (d door) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status, body := refusalOf(err)
	body.TraceID = w.Header().Get(traceHeader)
	if body.Details == nil {
		body.Details = map[string]any{}
	}
	switch status {
	case http.StatusInternalServerError:
		d.Log.Error("ops call", "trace_id", body.TraceID, "path", r.URL.Path, "error", err)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	}
	answer(w, status, body)
}

// refusalOf is the one place where an error becomes an answer.
func refusalOf(err error) (int, errorBody) {
	var fields invalid
	var unread *sign.ParseError
	var stands *flow.CaseStateError
	var alone *flow.AloneError
	switch {
	case errors.Is(err, errUnauthenticated):
		return http.StatusUnauthorized, errorBody{Error: "unauthenticated", Message: err.Error()}
	case errors.Is(err, flow.ErrSamePerson):
		return http.StatusForbidden, errorBody{Error: "forbidden", Message: flow.ErrSamePerson.Error(), Details: map[string]any{"reason": "same_person"}}
	case errors.Is(err, errForbidden), errors.Is(err, errPerson), errors.Is(err, errForeign), errors.Is(err, flow.ErrRole), errors.Is(err, flow.ErrNoPerson):
		return http.StatusForbidden, errorBody{Error: "forbidden", Message: err.Error()}
	case errors.Is(err, errCard):
		return http.StatusUnprocessableEntity, errorBody{Error: "pan_not_allowed", Message: err.Error()}
	case errors.Is(err, errAddress):
		return http.StatusNotFound, errorBody{Error: "not_found", Message: err.Error()}
	case errors.Is(err, errMethod):
		return http.StatusMethodNotAllowed, errorBody{Error: "method_not_allowed", Message: err.Error()}
	case errors.As(err, new(*http.MaxBytesError)):
		return http.StatusRequestEntityTooLarge, errorBody{Error: "too_large", Message: "the body is too large"}
	case errors.As(err, &unread):
		return http.StatusBadRequest, errorBody{
			Error: "malformed_json", Message: "the body is not a JSON object that can be read in one way only",
			Details: map[string]any{"path": unread.Path, "problem": string(unread.Problem)},
		}
	case errors.As(err, &fields):
		return http.StatusUnprocessableEntity, errorBody{Error: "validation_failed", Message: err.Error(), Details: map[string]any{"fields": fields}}
	case errors.As(err, new(badRequest)), errors.Is(err, id.ErrMalformed), errors.Is(err, flow.ErrNote), errors.Is(err, flow.ErrResolution), refused(err):
		return http.StatusUnprocessableEntity, errorBody{Error: "validation_failed", Message: err.Error()}
	case errors.Is(err, callback.ErrNoDelivery), errors.Is(err, callback.ErrNoEndpoint), errors.Is(err, inbox.ErrNoNotification),
		errors.Is(err, payment.ErrNoPayment), errors.Is(err, flow.ErrNoKey), errors.Is(err, flow.ErrNoOperator),
		errors.Is(err, flow.ErrNoCase), errors.Is(err, flow.ErrNoStatement), errors.Is(err, flow.ErrNoCheck), errors.Is(err, customer.ErrNoLimit):
		return http.StatusNotFound, errorBody{Error: "not_found", Message: err.Error()}
	case errors.As(err, &stands):
		return http.StatusConflict, errorBody{Error: "state_conflict", Message: stands.Why}
	case errors.As(err, &alone):
		return http.StatusConflict, errorBody{Error: "state_conflict", Message: alone.Why}
	case errors.Is(err, flow.ErrOperatorKnown), errors.Is(err, flow.ErrState), errors.Is(err, flow.ErrCaseFull), errors.Is(err, flow.ErrNotAllowed),
		errors.Is(err, flow.ErrNoRules), errors.Is(err, flow.ErrNoWallet), errors.Is(err, customer.ErrRestricted), errors.As(err, new(*payment.CaseMoveError)):
		return http.StatusConflict, errorBody{Error: "state_conflict", Message: err.Error()}
	case errors.Is(err, book.ErrBusy), errors.Is(err, book.ErrNotRun):
		return http.StatusServiceUnavailable, errorBody{Error: "overloaded", Message: "try again"}
	}
	return http.StatusInternalServerError, errorBody{Error: "internal", Message: "internal error"}
}

func answer(w http.ResponseWriter, status int, body any) {
	var text bytes.Buffer
	if err := json.NewEncoder(&text).Encode(body); err != nil {
		status = http.StatusInternalServerError
		text.Reset()
		text.WriteString(`{"error":"internal","message":"the answer cannot be written as JSON"}` + "\n")
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = text.WriteTo(w) // the caller has gone: nobody to tell
}

// maxBody bounds a request, in bytes (security.md S32).
const maxBody = 256 << 10

// decode reads the JSON object of a request into the struct that into points to, as
// strictly as /v1 does: twice the same name, an unknown one and a card number are
// refused.
func decode(r *http.Request, into any) error {
	raw, err := readBody(r)
	if err != nil {
		return err
	}
	return decodeText(raw, into)
}

// decodeAny is decode for a call that may come without a body.
func decodeAny(r *http.Request, into any) error {
	raw, err := readBody(r)
	if err != nil || len(raw) == 0 {
		return err
	}
	return decodeText(raw, into)
}

func readBody(r *http.Request) ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if err != nil && !errors.As(err, new(*http.MaxBytesError)) {
		err = &sign.ParseError{Problem: sign.ProblemSyntax} // it broke off
	}
	return raw, err
}

func decodeText(raw []byte, into any) error {
	doc, err := sign.ParseJSON(raw)
	if err != nil {
		return err
	}
	if err := harmless(doc); err != nil {
		return err
	}
	known := members(reflect.TypeOf(into).Elem())
	var wrong invalid
	for v := range doc.Root().Members() {
		if !known[v.Key()] && len(wrong) < maxProblems {
			wrong = append(wrong, problem{v.Path(), "unknown", "is no member of this call"})
		}
	}
	if len(wrong) > 0 {
		return wrong
	}
	err = json.Unmarshal(raw, into)
	var typed *json.UnmarshalTypeError
	if errors.As(err, &typed) {
		return invalid{{typed.Field, "type", "must be " + kindOf(typed.Type)}}
	}
	return err
}

// plainDigits are the members in which digits are an amount, or the number of a
// document, of which a hash is kept alone.
var plainDigits = map[string]bool{"amount": true, "document": true}

// harmless refuses card numbers and security codes, wherever they stand (S24, S26).
func harmless(doc *sign.Doc) error {
	for v := range doc.All() {
		if redact.HasCVVName(v.Key()) || redact.FindPAN(v.Key()) {
			return errCard
		}
		digits := v.Kind() == sign.KindString || v.Kind() == sign.KindNumber
		if digits && !plainDigits[v.Path()] && redact.FindPAN(v.Text()) {
			return errCard
		}
	}
	return nil
}

// harmlessAddress refuses them in an address: a customer's name stands there.
func harmlessAddress(r *http.Request) error {
	texts := []string{r.PathValue("id")}
	for name, values := range r.URL.Query() {
		texts = append(append(texts, name), values...)
	}
	for _, text := range texts {
		if redact.FindPAN(text) {
			return errCard
		}
	}
	return nil
}

// members are the names that the JSON of a struct has.
func members(t reflect.Type) map[string]bool {
	out := map[string]bool{}
	for n := range t.NumField() {
		f := t.Field(n)
		if f.Anonymous {
			for name := range members(f.Type) {
				out[name] = true
			}
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		out[name] = true
	}
	return out
}

// kindOf is what a member must be, in the words of JSON.
func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return kindOf(t.Elem())
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a text"
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	default: //nolint:exhaustive // all others are numbers
		return "a number"
	}
}
