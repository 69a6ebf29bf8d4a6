// Package twilio speaks the Messages resource of Twilio's API of 2010-04-01, which
// gateways of other makers answer too (docs/decisions/029-sms-by-http.md).
//
// The protocol has no idempotency key and so no way to ask again: a lost answer is
// Unknown for ever. Numbers and texts go in the body of the request, never in a URL.
package twilio

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"aorta/internal/connector/exchange"
	"aorta/internal/customer"
	"aorta/internal/sms"
)

// DefaultBaseURL is Twilio's own.
const DefaultBaseURL = "https://api.twilio.com"

// Config is one account at a gateway. All but the marked ones are needed.
type Config struct {
	BaseURL string // optional: the gateway's, before /2010-04-01
	Account string // the account's SID
	User    string // optional: SID of an API key; the account's own otherwise
	Key     exchange.Secret
	Sender  string // a number in E.164, a name of up to 11 letters and digits, a short code, or the SID of a messaging service, MG…

	Transport   http.RoundTripper // optional: nil keeps connections of its own
	CallTimeout time.Duration     // optional: for one call; 0 means 10s, since somebody waits for the message
}

// Gateway is one account at a gateway. It is safe for concurrent use.
type Gateway struct {
	messages *url.URL
	basic    exchange.Secret
	sender   [2]string // the parameter's name and its value
	peer     *exchange.Peer
}

var _ sms.Sender = (*Gateway)(nil)

// defaultTimeout is shorter than a caller of ours waits.
const defaultTimeout = 10 * time.Second

// FieldError is a setting that is not as it must be.
type FieldError struct {
	Field string // as the configuration names it
	What  string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.What }

// New makes one account. Its errors are joined FieldErrors, which never repeat the
// key. Nothing is sent.
func New(c Config) (*Gateway, error) {
	var errs []error
	wrong := func(field, what string) { errs = append(errs, &FieldError{field, what}) }
	if c.BaseURL == "" {
		c.BaseURL = DefaultBaseURL
	}
	base, err := exchange.Base(c.BaseURL)
	if err != nil {
		wrong("base_url", err.Error())
	}
	if c.User == "" {
		c.User = c.Account
	}
	if !exchange.IsName(c.Account, 64) {
		wrong("account", "write the SID of the account, such as \"AC0123…\"")
	}
	if !exchange.IsName(c.User, 64) {
		wrong("user", "write the SID of the API key, such as \"SK0123…\", or leave it out")
	}
	if len(c.Key.Reveal()) < minKey {
		wrong("key", fmt.Sprintf("write the secret of the API key, or the account's token: at least %d bytes", minKey))
	}
	parameter, known := parameterOf(c.Sender)
	if !known {
		wrong("sender", "write a number in E.164, a short code of 3 to 8 digits, a name of 1 to 11 letters, digits and blanks, or a messaging service's SID of 34 characters, MG…")
	}
	if c.CallTimeout < 0 {
		wrong("call_timeout", "it must not be negative")
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if c.CallTimeout == 0 {
		c.CallTimeout = defaultTimeout
	}
	return &Gateway{
		messages: base.JoinPath("2010-04-01", "Accounts", c.Account, "Messages.json"),
		basic:    exchange.NewSecret("Basic " + base64.StdEncoding.EncodeToString([]byte(c.User+":"+c.Key.Reveal()))),
		sender:   [2]string{parameter, c.Sender},
		peer:     exchange.New(exchange.Options{Transport: c.Transport, Timeout: c.CallTimeout}),
	}, nil
}

// minKey is how many bytes a key must have at least: what can be guessed opens the
// account to anybody.
const minKey = 14

// parameterOf says what the sender is given as.
func parameterOf(sender string) (parameter string, known bool) {
	if len(sender) == 34 && strings.HasPrefix(sender, "MG") && exchange.IsName(sender, 34) {
		return "MessagingServiceSid", true
	}
	if _, err := customer.ParsePhone(sender); err == nil {
		return "From", true
	}
	if digits := strings.Trim(sender, "0123456789") == ""; digits {
		return "From", len(sender) >= 3 && len(sender) <= 8
	}
	name := strings.ReplaceAll(sender, " ", "")
	return "From", len(sender) <= 11 && name != "" && exchange.IsName(name, 11) && !strings.Contains(name, "_")
}

// answer is what the gateway says: of a message, or why there is none.
type answer struct {
	SID       string `json:"sid"`
	Status    any    `json:"status"` // a word of a message, a number of a refusal
	ErrorCode *int64 `json:"error_code"`
	Code      int64  `json:"code"`
}

// The gateway's words for a message that will not come.
var ended = map[string]bool{"failed": true, "undelivered": true, "canceled": true}

// What the gateway's codes say that are its last word on a number.
var verdicts = map[int64]sms.Kind{
	21211: sms.BadNumber, // no valid number
	21217: sms.BadNumber, // no valid number
	21401: sms.BadNumber, // no number for messages
	21614: sms.BadNumber, // no mobile number
	30005: sms.BadNumber, // nobody has it
	30006: sms.BadNumber, // a landline
	21214: sms.Refused,   // it cannot be reached
	21408: sms.Refused,   // the account may not send to its region
	21608: sms.Refused,   // an account on trial sends to few
	21610: sms.Refused,   // whoever has it has stopped our messages
	21612: sms.Refused,   // no way from this sender to it
	30003: sms.Refused,   // it is switched off
	30004: sms.Refused,   // blocked
	30007: sms.Refused,   // filtered
}

// alarming are the refusals that our account at the gateway causes.
var alarming = map[int64]bool{21408: true, 21608: true, 21612: true, 30007: true}

// Send posts one message.
func (g *Gateway) Send(ctx context.Context, m sms.Message) sms.Outcome {
	form := url.Values{"To": {m.To.Reveal()}, g.sender[0]: {g.sender[1]}, "Body": {m.Text}}
	if life := int64(m.Life / time.Second); life > 0 {
		form.Set("ValidityPeriod", strconv.FormatInt(min(life, maxValidity), 10))
	}
	header := http.Header{
		"Authorization": {g.basic.Reveal()}, "Content-Type": {"application/x-www-form-urlencoded"},
		"Accept": {"application/json"}, "User-Agent": {"Aorta"},
	}
	var out sms.Outcome
	lost := g.peer.Call(ctx, exchange.Request{Method: http.MethodPost, URL: g.messages, Header: header, Body: []byte(form.Encode())}, func(a exchange.Answer) *exchange.Lost {
		out = read(a)
		return nil
	})
	switch {
	case lost == nil:
		return out
	case lost.Sent:
		return sms.Outcome{Kind: sms.Unknown, Reason: lost.Reason, Alarm: lost.Alarm}
	}
	return sms.Outcome{Kind: sms.NotSent, Reason: lost.Reason, Alarm: lost.Alarm}
}

// maxValidity is the longest that the gateway keeps a message for, in seconds.
const maxValidity = 36_000

// read judges an answer. The gateway's own message is left out: it repeats the number.
func read(a exchange.Answer) sms.Outcome {
	var said answer
	err := json.Unmarshal(a.Body, &said)
	ok := a.Status/100 == 2
	if ok && said.ErrorCode != nil {
		said.Code = *said.ErrorCode
	}
	reason := fmt.Sprintf("HTTP status %d, code %d", a.Status, said.Code)
	word, _ := said.Status.(string)
	switch verdict, final := verdicts[said.Code]; {
	case err != nil && ok:
		return sms.Outcome{Kind: sms.Unknown, Reason: reason, Alarm: "sms: an answer cannot be read: is the base URL the gateway's?"}
	case final && (!ok || ended[word]):
		out := sms.Outcome{Kind: verdict, Reason: reason}
		if alarming[said.Code] {
			out.Alarm = "sms: refused with " + reason + ": see to the account at the gateway"
		}
		return out
	case ok && ended[word]:
		return sms.Outcome{Kind: sms.Refused, Reason: reason}
	case ok && said.SID != "":
		return sms.Outcome{Kind: sms.Accepted, ProviderID: exchange.Visible(said.SID), Reason: reason}
	case ok:
		return sms.Outcome{Kind: sms.Unknown, Reason: reason, Alarm: "sms: an answer names no message"}
	case a.Status == http.StatusTooManyRequests:
		return sms.Outcome{Kind: sms.NotSent, Reason: "asked too often"}
	case a.Status == http.StatusBadRequest, a.Status == http.StatusUnauthorized, a.Status == http.StatusForbidden, a.Status == http.StatusNotFound:
		return sms.Outcome{Kind: sms.NotSent, Reason: reason, Alarm: "sms: refused with " + reason + ": our settings or our request are wrong"}
	}
	return sms.Outcome{Kind: sms.Unknown, Reason: reason, Alarm: "sms: an answer with " + reason + " is not agreed"}
}
