package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"aorta/internal/book"
	"aorta/internal/flow"
	"aorta/internal/payment"
	"aorta/internal/risk"
	"aorta/internal/sign"
)

// code is the stable name of a refusal (errors.md). Clients act by it, so one is
// never renamed.
type code string

// The codes that this door answers.
const (
	codeMalformedJSON   code = "malformed_json"
	codeKeyMissing      code = "idempotency_key_missing"
	codeBadHeader       code = "bad_header"
	codeUnauthenticated code = "unauthenticated"
	codeSignature       code = "invalid_signature"
	codeForbidden       code = "forbidden"
	codeIP              code = "ip_not_allowed"
	codeDeclined        code = "payment_declined"
	codeFunds           code = "insufficient_funds"
	codeNotFound        code = "not_found"
	codeMethod          code = "method_not_allowed"
	codeConflict        code = "idempotency_conflict"
	codeInProgress      code = "request_in_progress"
	codeState           code = "state_conflict"
	codeDuplicate       code = "duplicate_payment_id"
	codeDuplicateRefund code = "duplicate_refund_id"
	codeDuplicateTxn    code = "duplicate_txn_id"
	codeExpired         code = "expired"
	codeTooLarge        code = "too_large"
	codeMedia           code = "unsupported_media_type"
	codeValidation      code = "validation_failed"
	codePAN             code = "pan_not_allowed"
	codeRange           code = "amount_out_of_range"
	codeCurrency        code = "currency_not_supported"
	codeNoMethod        code = "method_not_supported"
	codeRefundTooMuch   code = "refund_exceeds_captured"
	codeLimit           code = "limit_exceeded"
	codeRestricted      code = "player_restricted"
	codeVelocity        code = "velocity_limited"
	codeKYC             code = "kyc_required"
	codePSPAway         code = "psp_unavailable"
	codeRate            code = "rate_limited"
	codeInternal        code = "internal"
	codeStorage         code = "storage_unavailable"
	codeOverloaded      code = "overloaded"
)

// fact is what is said of a code: its HTTP status, its text for people, and what
// a client does about it. The text names nothing of the request. In other languages
// it stands in words.go.
type fact struct {
	status  int
	message string
	todo    string
}

// facts are all codes. OpenAPI and /v1/errors/{code} tell them too.
var facts = map[code]fact{
	codeMalformedJSON:   {400, "The body is not a JSON object that can be read in one way only.", "Fix the request."},
	codeKeyMissing:      {400, "This call needs an Idempotency-Key.", "Send one: a new one per thing you want done, the same one on every try."},
	codeBadHeader:       {400, "A header is not as it must be.", "Fix the request."},
	codeUnauthenticated: {401, "A valid API key is needed.", "Send Authorization: Bearer sk_…"},
	codeSignature:       {401, "The signature is wrong.", "Sign the raw body with the account's secret."},
	codeForbidden:       {403, "The API key may not do this.", "Use a key with the scope that details.scope names."},
	codeIP:              {403, "This address may not call for the project.", "Call from an allowed address."},
	codeDeclined:        {402, "The payment was declined.", "Offer another method, under a new key."},
	codeFunds:           {402, "There is not enough money.", "Ask for less, under a new key."},
	codeNotFound:        {404, "There is no such thing.", "Check the id and the API key's project."},
	codeMethod:          {405, "This address does not take that HTTP method.", "See Allow."},
	codeConflict:        {409, "The idempotency key was used for another request.", "Use a new key for a new request."},
	codeInProgress:      {409, "The same request is being answered right now.", "Repeat it under the same key after Retry-After."},
	codeState:           {409, "The state of things does not allow this.", "Read details.state."},
	codeDuplicate:       {409, "The merchant_payment_id or merchant_payout_id names another payment or payout.", "Read that one, or use a new name."},
	codeDuplicateRefund: {409, "The merchant_refund_id names another refund.", "Use a new name."},
	codeDuplicateTxn:    {409, "The txn_id names another move.", "Use a new name."},
	codeExpired:         {410, "The time to pay is over.", "Begin a new payment, under a new key."},
	codeTooLarge:        {413, "The request is too large.", "Send less."},
	codeMedia:           {415, "The body must be application/json.", "Send Content-Type: application/json."},
	codeValidation:      {422, "Some members of the request are not as they must be.", "Read details.fields; fix them, under a new key."},
	codePAN:             {422, "Card numbers and security codes must not be sent here.", "Have the customer enter them at the provider."},
	codeRange:           {422, "The amount is outside what can be taken.", "Read details.min and details.max."},
	codeCurrency:        {422, "The method does not take this currency.", "Read details.currencies."},
	codeNoMethod:        {422, "The project has no such method.", "Read details.methods."},
	codeRefundTooMuch:   {422, "No more can be refunded than is left of what was captured.", "Read details.refundable."},
	codeLimit:           {422, "A limit of the customer's would be passed.", "Read details.remaining and details.resets_at."},
	codeRestricted:      {422, "The customer has paused or is excluded, and may still be paid out.", "Offer nothing to pay or play; read details.until."},
	codeVelocity:        {429, "The customer does this too often.", "Wait for Retry-After."},
	codeKYC:             {422, "The customer must be verified first.", "Have them verified to details.required_level. A payout of details.payout_id goes on by itself then."},
	codePSPAway:         {503, "The payment provider cannot be reached.", "Read the payment; try again under a new key."},
	codeRate:            {429, "Too many requests.", "Wait for Retry-After, with jitter."},
	codeInternal:        {500, "Something went wrong here.", "Repeat under the same key; tell us the trace_id."},
	codeStorage:         {503, "Nothing was done: the store cannot be reached.", "Repeat under the same key after Retry-After."},
	codeOverloaded:      {503, "Nothing was done: too much is under way.", "Repeat under the same key after Retry-After."},
}

// refusal is an answer that is no. Details never hold what the caller sent, but
// for names of members.
type refusal struct {
	code       code
	status     int // instead of the code's
	details    map[string]any
	retryAfter time.Duration
	header     http.Header
	kept       bool // it is the answer to every repeat under the same key
	begun      bool // something was written: the key must not be given back
}

func (r *refusal) Error() string { return "refused: " + string(r.code) }

func refuse(c code, details map[string]any) *refusal { return &refusal{code: c, details: details} }

// keep makes a refusal the answer to every repeat.
func (r *refusal) keep() *refusal { r.kept = true; return r }

// problem is one member of a request that is not as it must be.
type problem struct {
	Path    string `json:"path"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// maxProblems bounds the list of what is wrong: enough to mend a request by.
const maxProblems = 20

func invalid(p ...problem) *refusal {
	return refuse(codeValidation, map[string]any{"fields": p[:min(len(p), maxProblems)]})
}

// short refuses what a wallet cannot bear, with the details of every 402: no other
// method helps, and waiting does not.
func short(details map[string]any) *refusal {
	if details == nil {
		details = map[string]any{}
	}
	details["decline_code"], details["retryable"], details["alternatives"] = payment.CodeNoBalance, false, []string{}
	return refuse(codeFunds, details)
}

// patience is what Retry-After says when nobody knows how long it will take.
const patience = 2 * time.Second

// refusalOf is the one place where errors become answers. It tells whether the
// error is ours, and so must be looked at.
func refusalOf(err error) (r *refusal, ours bool) {
	var bad *sign.ParseError
	var large *http.MaxBytesError
	var ruled *risk.Refusal
	switch {
	case errors.As(err, &r):
		return r, false
	case errors.As(err, &ruled):
		return refusalByRules(ruled), false
	case errors.As(err, &bad):
		return refuse(codeMalformedJSON, map[string]any{"path": bad.Path, "problem": string(bad.Problem)}), false
	case errors.As(err, &large):
		return refuse(codeTooLarge, nil), false
	case errors.Is(err, payment.ErrNoPayment):
		return refuse(codeNotFound, nil), false
	case errors.Is(err, flow.ErrState):
		return refuse(codeState, nil), false
	case errors.Is(err, flow.ErrRefundIDKnown):
		return refuse(codeDuplicateRefund, nil), false
	case errors.Is(err, book.ErrUnknown): // written or not: the same key will tell
		return &refusal{code: codeInternal, begun: true}, true
	case errors.Is(err, book.ErrBusy):
		return &refusal{code: codeOverloaded, retryAfter: patience}, false
	case errors.Is(err, book.ErrNotRun):
		return &refusal{code: codeStorage, retryAfter: patience}, true
	}
	return &refusal{code: codeInternal, begun: true}, true
}

// errorBody is the body of every refusal.
type errorBody struct {
	Error   string         `json:"error"`
	Message string         `json:"message"`
	TraceID string         `json:"trace_id"`
	Details map[string]any `json:"details"`
}

// problemBody says the same in the form of RFC 9457.
type problemBody struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail"`
	Instance string `json:"instance"`
	errorBodyRest
}

type errorBodyRest struct {
	Error   string         `json:"error"`
	TraceID string         `json:"trace_id"`
	Details map[string]any `json:"details"`
}

const (
	mediaJSON    = "application/json; charset=utf-8"
	mediaProblem = "application/problem+json; charset=utf-8"
)

// reply is an answer, ready to be written.
type reply struct {
	status int
	header http.Header
	media  string
	body   []byte
	stored []byte // what repeats are told, of a body that shows a secret once
	code   code   // of a refusal
}

func (r *refusal) reply(traceID, errorsURL, language string, problemForm bool) reply {
	message, status := messageOf(r.code, language), facts[r.code].status
	if r.status != 0 {
		status = r.status
	}
	details := r.details
	if details == nil {
		details = map[string]any{}
	}
	out := reply{status: status, header: r.header.Clone(), media: mediaJSON, code: r.code}
	if out.header == nil {
		out.header = http.Header{}
	}
	out.header.Set("Content-Language", language)
	if r.retryAfter > 0 {
		out.header.Set("Retry-After", seconds(r.retryAfter))
	}
	if problemForm {
		out.media = mediaProblem
		out.body = encode(problemBody{
			errorsURL + string(r.code), strings.ReplaceAll(string(r.code), "_", " "), status, message, "urn:trace:" + traceID,
			errorBodyRest{string(r.code), traceID, details},
		})
		return out
	}
	out.body = encode(errorBody{string(r.code), message, traceID, details})
	return out
}

func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }

// encode writes what an answer holds. HTML escapes would only make addresses
// hard to read.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("api: %T cannot fail to encode: %v", v, err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
