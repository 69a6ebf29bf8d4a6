// Package signed is the protocol that the simulators of a provider of ours speak,
// whatever they are asked for: HTTP in which each request and each answer is signed
// by HMAC-SHA256 with the account's secret (docs/connector.md). It is written
// without the platform's code, so that a mistake there is not made here too.
package signed

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	maxBody   = 64 << 10        // of one request
	clockSkew = 5 * time.Minute // between the platform's clock and ours
)

// Sign is the protocol's signature of a text.
func Sign(secret, text string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(text))
	return "sha256=" + hex.EncodeToString(h.Sum(nil))
}

// Call is a request whose sender is known.
type Call[A any] struct {
	HTTP    *http.Request
	Account A
	Body    []byte
}

// Answer is what a call is answered. The zero Answer is none.
type Answer struct {
	Status int
	Body   any
}

// OK answers with a body.
func OK(body any) Answer { return Answer{http.StatusOK, body} }

// refusal is the body of all that is not 200 (payment-loop.md L7.2).
type refusal struct {
	Error   string         `json:"error"`
	Message string         `json:"message"`
	TraceID string         `json:"trace_id"`
	Details map[string]any `json:"details"`
}

// Refuse answers no.
func Refuse(status int, code, message string) Answer {
	return Answer{status, refusal{Error: code, Message: message, Details: map[string]any{}}}
}

// Crash is an answer that is none: it does what a fault rule says with the
// connection.
type Crash func(w http.ResponseWriter, r *http.Request)

// Door lets in who has signed.
type Door[A any] struct {
	Name    string // of the simulator, for its log
	Prefix  string // of the paths, which is not signed
	Clock   func() time.Time
	Rand    io.Reader                   // trace ids
	Account func(name string) (A, bool) // who calls
	Secret  func(a A) string            // and signs
	Log     *slog.Logger
}

// Handler wraps a handler of the protocol: it knows the sender by account and
// signature and signs the answer, so that it is one to this very request. Who
// cannot be known gets an answer that nobody has signed.
func (d Door[A]) Handler(h func(Call[A]) (Answer, Crash)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		a, known := d.Account(r.Header.Get("X-Account"))
		target := strings.TrimPrefix(r.URL.RequestURI(), d.Prefix)
		at, signature := r.Header.Get("X-Timestamp"), r.Header.Get("X-Signature")
		if err != nil || !known || !hmac.Equal([]byte(signature), []byte(Sign(d.Secret(a), at+"\n"+r.Method+"\n"+target+"\n"+string(body)))) {
			d.send(w, Refuse(http.StatusUnauthorized, "invalid_signature", "The account or the signature is wrong."), nil)
			return
		}
		sign := func(status int, text []byte) string {
			return Sign(d.Secret(a), strconv.Itoa(status)+"\n"+signature+"\n"+string(text))
		}
		seconds, err := strconv.ParseInt(at, 10, 64)
		if skew := d.Clock().Sub(time.Unix(seconds, 0)); err != nil || skew > clockSkew || skew < -clockSkew {
			d.send(w, Refuse(http.StatusUnauthorized, "invalid_signature", "The request's time is too far from ours."), sign)
			return
		}
		out, broken := h(Call[A]{r, a, body})
		if broken != nil {
			broken(w, r)
			return
		}
		d.send(w, out, sign)
	}
}

// send writes an answer; sign is nil where nobody can sign it.
func (d Door[A]) send(w http.ResponseWriter, out Answer, sign func(status int, text []byte) string) {
	if no, is := out.Body.(refusal); is {
		no.TraceID = d.traceID()
		out.Body = no
	}
	text, err := json.Marshal(out.Body)
	if err != nil {
		d.Log.Error(d.Name+" sandbox: write an answer", "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	if sign != nil {
		h.Set("X-Signature", sign(out.Status, text))
	}
	w.WriteHeader(out.Status)
	_, _ = w.Write(text) // the client going away is its own affair
}

func (d Door[A]) traceID() string {
	var raw [16]byte
	if _, err := io.ReadFull(d.Rand, raw[:]); err != nil {
		panic(d.Name + " sandbox: no randomness: " + err.Error())
	}
	return hex.EncodeToString(raw[:])
}
