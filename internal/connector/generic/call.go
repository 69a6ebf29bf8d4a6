package generic

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"aorta/internal/connector"
	"aorta/internal/connector/exchange"
	"aorta/internal/id"
	"aorta/internal/instrument"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/redact"
)

// thing is what answers and webhooks say of a payment, a refund or a payout.
type thing struct {
	Reference     string `json:"reference"`
	PaymentID     string `json:"payment_id"`
	TransactionID string `json:"transaction_id"`
	Status        string `json:"status"`
	Amount        string `json:"amount"`
	Currency      string `json:"currency"`
	Code          string `json:"code"` // of "failed"
	Message       string `json:"message"`
	RedirectURL   string `json:"redirect_url"`
	Timestamp     string `json:"timestamp"`

	Instrument struct {
		Token  string `json:"token"`
		Kind   string `json:"kind"`
		Label  string `json:"label"`
		Holder string `json:"holder"`
	} `json:"instrument"`
}

// kindsOf are the kinds of instrument by their names on the wire.
var kindsOf = map[string]instrument.Kind{"card": instrument.Card, "wallet": instrument.Wallet, "bank": instrument.Bank}

// instrument reads what a thing was paid with, or to; zero if it does not say. What
// does not fit is as good as not said, and why is for an operator: money has moved
// all the same.
func (t thing) instrument() (i connector.Instrument, why string) {
	said := t.Instrument
	if said.Token == "" && said.Kind == "" && said.Label == "" && said.Holder == "" {
		return i, ""
	}
	i = connector.Instrument{
		Token: exchange.Visible(said.Token), Kind: kindsOf[said.Kind], Label: exchange.Clean(said.Label, 100), Holder: exchange.Clean(said.Holder, 100),
	}
	switch {
	case i.Token == "" || i.Kind == "":
		return connector.Instrument{}, "an instrument has no token of 1 to 64 visible characters, or a kind that is not agreed"
	case redact.FindPAN(i.Token) || redact.FindPAN(i.Label) || redact.FindPAN(i.Holder):
		return connector.Instrument{}, "an instrument's token, label or holder has a card number in it, which is not kept"
	}
	return i, ""
}

// refusal is a provider's signed no (L7.2).
type refusal struct {
	Error   string `json:"error"`
	Message string `json:"message"`
}

// reply is a verified answer: a thing where the status is 200, else a refusal.
type reply struct {
	status int
	raw    json.RawMessage
	thing
	refusal refusal
}

// call sends one signed request; path is from "v1/" on, and body is nil for a
// GET. What it gives is verified: an answer without the right signature, of
// whatever status, is nobody's word.
func (g *Generic) call(ctx context.Context, peer *exchange.Peer, path, query, idempotencyKey string, body any) (reply, *exchange.Lost) {
	method, content := http.MethodGet, []byte(nil)
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return reply{}, &exchange.Lost{Reason: "not written", Alarm: "generic: a request could not be written: " + err.Error()}
		}
		method = http.MethodPost
	}
	to := g.base.JoinPath(path)
	to.RawQuery = query
	target := "/" + path
	if query != "" {
		target += "?" + query
	}
	at := strconv.FormatInt(g.now().Unix(), 10)
	signature := g.key.sign(at, method, target, string(content))
	header := http.Header{
		accountHeader: {g.account}, timestampHeader: {at}, signatureHeader: {signature},
		"Accept": {"application/json"}, "User-Agent": {"Aorta"},
	}
	if body != nil {
		header["Content-Type"] = []string{"application/json"}
	}
	if idempotencyKey != "" {
		// Not in its canonical form: by that net/http would take the request for one
		// that it may send twice by itself. What is lost is the flow's to repeat.
		header["Idempotency-key"] = []string{idempotencyKey}
	}
	var r reply
	lost := peer.Call(ctx, exchange.Request{Method: method, URL: to, Header: header, Body: content}, func(a exchange.Answer) *exchange.Lost {
		r.status = a.Status
		if !g.key.verify(a.Header.Get(signatureHeader), strconv.Itoa(a.Status), signature, string(a.Body)) {
			return unsigned(a.Status)
		}
		into := any(&r.thing)
		if a.Status != http.StatusOK {
			into = &r.refusal
		}
		if json.Unmarshal(a.Body, into) != nil {
			return &exchange.Lost{Sent: true, Reason: "the answer is not JSON of the agreed shape", Alarm: "generic: a signed answer cannot be read"}
		}
		r.raw = append(json.RawMessage{}, a.Body...)
		return nil
	})
	return r, lost
}

// unsigned is an answer that is nobody's word. Of a provider that is busy it
// needs no operator; else the secret, the account or the address is wrong.
func unsigned(status int) *exchange.Lost {
	l := exchange.Status(status)
	switch status {
	case http.StatusTooManyRequests:
	case http.StatusOK:
		l.Reason = "the answer's signature is wrong"
		l.Alarm = "generic: an answer's signature is missing or wrong: check the secret, the account and the base URL"
	default:
		l.Alarm = "generic: an unsigned answer of " + l.Reason + ": check the secret, the account and the base URL"
	}
	return l
}

// words are a provider's statuses of one kind of thing.
type words map[string]connector.Kind

// The statuses. What is not among them is no word on anything.
var (
	paymentWords = words{
		"pending": connector.Pending, "authorized": connector.Pending, "captured": connector.Approved, "failed": connector.Declined,
	}
	moveWords = words{"pending": connector.Pending, "succeeded": connector.Approved, "failed": connector.Declined}
)

// wordsOf gives the words of a kind of operation.
func wordsOf(kind payment.OperationKind) words {
	if kind == payment.KindSale {
		return paymentWords
	}
	return moveWords
}

// codes are our decline codes of a provider's reasons; any other is a plain
// decline.
var codes = map[string]string{
	"insufficient_funds":  payment.CodeExternalFunds,
	"limit_exceeded":      payment.CodeExternalLimit,
	"amount_out_of_range": payment.CodeExternalLimit,
	"cancelled":           payment.CodeExternalCancelled,
	"expired":             payment.CodeExternalTimeout,
}

// unusable are the reasons for which a payout's destination takes no money at all.
var unusable = map[string]bool{"destination_unknown": true, "destination_refused": true}

func codeOf(reason string) string {
	if code := codes[reason]; code != "" {
		return code
	}
	return payment.CodeExternalDecline
}

// said reads a thing for what it says of an order. It is believed only if it is
// about this very order; money that moved must have an amount and an id.
func said(o connector.Order, t thing, known words) connector.Outcome {
	out := connector.Outcome{
		Kind: known[t.Status], ProviderCode: exchange.Clean(t.Status, 64), ProviderMessage: exchange.Clean(t.Message, 500),
		ProviderID: exchange.Visible(t.TransactionID), ProviderTime: instant(t.Timestamp),
	}
	amount, err := money.ParseDecimal(t.Amount, money.Currency(t.Currency))
	switch {
	case t.Reference != o.Reference():
		return doubtful(out, "an answer is about another reference")
	case t.PaymentID != "" && !o.Attempt.Payment.IsZero() && t.PaymentID != o.Attempt.Payment.String() && t.PaymentID != id.Payout(o.Attempt.Payment).String():
		return doubtful(out, "an answer is about another payment")
	case out.Kind == "":
		return doubtful(out, "an answer has a status that is not agreed")
	case err != nil:
		return doubtful(out, "an answer's amount or currency cannot be read")
	case out.Kind == connector.Approved && (out.ProviderID == "" || amount.Minor == 0):
		return doubtful(out, "money is said to have moved without an amount or a transaction id")
	case out.Kind == connector.Approved:
		out.Amount = amount // the flow compares it with what was asked
	case amount != o.Attempt.Amount:
		return doubtful(out, "an answer names another amount than was asked for")
	case out.Kind == connector.Declined:
		out.Code, out.ProviderCode, out.Unusable = codeOf(t.Code), exchange.Clean(t.Code, 64), unusable[t.Code]
	}
	i, why := t.instrument()
	if out.Instrument = i; why != "" {
		out.Alarm = "generic: " + why
	}
	return out
}

// doubtful decides nothing and has an operator look.
func doubtful(out connector.Outcome, why string) connector.Outcome {
	return connector.Outcome{
		Kind: connector.Unknown, ProviderCode: out.ProviderCode, ProviderMessage: out.ProviderMessage, Alarm: "generic: " + why,
	}
}

// heard starts an outcome with the provider's own words.
func (r refusal) heard(kind connector.Kind) connector.Outcome {
	return connector.Outcome{Kind: kind, ProviderCode: exchange.Clean(r.Error, 64), ProviderMessage: exchange.Clean(r.Message, 500)}
}

// declined is a no for good.
func (r refusal) declined() connector.Outcome {
	out := r.heard(connector.Declined)
	out.Code = codeOf(r.Error)
	return out
}

// notTaken is the provider's word that it refused to take the request (L15).
func (r refusal) notTaken(alarm string) connector.Outcome {
	out := r.heard(connector.NotSent)
	out.Code, out.Alarm = payment.CodeProviderUnavailable, alarm
	return out
}

// refusedAs reads a signed refusal that means the same of every call that asks
// for something; false for one whose meaning is the call's own.
func (r reply) refusedAs() (connector.Outcome, bool) {
	no := r.refusal
	switch r.status {
	case http.StatusPaymentRequired, http.StatusGone:
		return no.declined(), true
	case http.StatusTooManyRequests:
		return no.notTaken(""), true
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		return no.notTaken(fmt.Sprintf("generic: refused with %d %s: our settings, our clock or our request are wrong", r.status, exchange.Clean(no.Error, 64))), true
	case http.StatusConflict:
		if no.Error == "request_in_progress" {
			return no.heard(connector.Pending), true
		}
	}
	return connector.Outcome{}, false
}

// unclear is a signed answer that no rule of ours reads.
func (r reply) unclear() connector.Outcome {
	out := r.refusal.heard(connector.Unknown)
	out.Alarm = fmt.Sprintf("generic: an answer of %d %s is not agreed", r.status, exchange.Clean(r.refusal.Error, 64))
	return out
}

// lookup asks what became of an order.
func (g *Generic) lookup(ctx context.Context, o connector.Order, of string, known words) connector.Outcome {
	reference := o.Reference()
	if reference == "" {
		return connector.Outcome{Kind: connector.Unknown, Alarm: "generic: a look-up without an attempt"}
	}
	r, lost := g.call(ctx, g.peer, of+"/"+reference, "", "", nil)
	switch {
	case lost != nil:
		return lost.Unanswered()
	case r.status == http.StatusOK:
		return said(o, r.thing, known)
	case r.status == http.StatusNotFound && r.refusal.Error == "not_found":
		// One such answer proves nothing: what it asks for may be on its way (L15).
		out := r.refusal.heard(connector.Pending)
		out.NoRecord = true
		return out
	case r.status == http.StatusTooManyRequests:
		return r.refusal.heard(connector.Unknown)
	}
	return r.unclear()
}
