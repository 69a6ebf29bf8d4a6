package generic

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"time"

	"aorta/internal/connector"
	"aorta/internal/connector/exchange"
	"aorta/internal/id"
	"aorta/internal/money"
)

// How old a webhook may be, and how far ahead of our clock (security.md S15). Its
// timestamp is the event's time and its event_id a nonce that is kept for longer
// than that, so one that comes late is news and one that comes twice is not.
const (
	maxAge   = 90 * 24 * time.Hour
	maxAhead = 300 * time.Second
)

// webhook is L11's body; type is "payment" where it is not given, or "payout" of
// what is named as one.
type webhook struct {
	EventID string `json:"event_id"`
	Type    string `json:"type"`
	thing
}

// ReadNotification reads L11's webhook. It names nonce, time, amount and currency
// and is signed whole, so it is final news, unless its status is none that we
// know: then it is a reason to look up.
func (g *Generic) ReadNotification(n connector.Notification) (connector.News, error) {
	if n.Method != http.MethodPost {
		return connector.News{}, malformed("method is not POST")
	}
	// The signature first: a stranger is told that he is one, whatever else is wrong.
	good := g.key.verify(n.Header.Get(signatureHeader), string(n.Body))
	if mine := n.Header.Get(keptHeader); mine != "" {
		good = g.key.verify(mine, keptMark, string(n.Body))
	}
	if !good {
		return connector.News{}, connector.ErrSignature
	}
	if kind := n.Header.Get("Content-Type"); kind != "" {
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/json" {
			return connector.News{}, malformed("content type is not application/json")
		}
	}
	var w webhook
	if err := json.Unmarshal(n.Body, &w); err != nil {
		return connector.News{}, malformed("body is not JSON of the agreed shape")
	}
	paid, notPayout := id.ParsePayout(w.PaymentID)
	if notPayout == nil { // by the name that a payout has outside
		w.PaymentID = id.Payment(paid).String()
	}
	switch {
	case w.Type == "" && notPayout == nil:
		w.Type = "payout"
	case w.Type == "":
		w.Type = "payment"
	}
	operation := kinds[w.Type]
	received := n.Received
	if received.IsZero() {
		received = g.now()
	}
	at := instant(w.Timestamp)
	_, notPayment := id.ParsePayment(w.PaymentID)
	switch {
	case operation == "":
		return connector.News{}, malformed("type is none that is agreed")
	case exchange.Visible(w.EventID) == "":
		return connector.News{}, malformed("event_id is missing, or not 1 to 64 visible characters")
	case w.Reference == "" && w.PaymentID == "", w.Reference != "" && exchange.Visible(w.Reference) == "":
		return connector.News{}, malformed("names neither reference nor payment_id")
	case w.PaymentID != "" && notPayment != nil:
		return connector.News{}, malformed("payment_id is none of ours")
	case at.IsZero():
		return connector.News{}, malformed("timestamp is not RFC 3339")
	case received.Sub(at) > maxAge:
		return connector.News{}, malformed("timestamp is older than 90 days")
	case at.Sub(received) > maxAhead:
		return connector.News{}, malformed("timestamp is in the future")
	}
	news := connector.News{
		Reference: w.Reference, Payment: w.PaymentID, Operation: operation, Kind: wordsOf(operation)[w.Status], EventID: w.EventID,
		ProviderID: exchange.Visible(w.TransactionID), ProviderCode: exchange.Clean(w.Status, 64), ProviderTime: at,
	}
	news.Instrument, _ = w.instrument()
	amount, err := money.ParseDecimal(w.Amount, money.Currency(w.Currency))
	switch {
	case err != nil:
		news.Mismatch = "its amount or currency cannot be read"
	default:
		news.Amount = amount
	}
	switch news.Kind {
	case "":
		news.Kind = connector.Unknown
		return news, nil
	case connector.Declined:
		news.Code, news.ProviderCode, news.Unusable = codeOf(w.Code), exchange.Clean(w.Code, 64), unusable[w.Code]
	case connector.Approved, connector.Pending, connector.Unknown, connector.NotSent:
	}
	news.Final = true
	return news, nil
}

// keptMark begins what is signed of a notification that is not stored as it came.
const keptMark = "kept"

// Kept gives a webhook without the holder's name, which nothing here reads, and then
// without whatever the provider says beyond the protocol; one that names nobody as it
// came. What ReadNotification makes of both is the same, but for the name. The signature of the bytes that came stays beside ours: it proves them to
// whoever has them and the secret.
func (g *Generic) Kept(n connector.Notification) (connector.Notification, error) {
	var w webhook
	if err := json.Unmarshal(n.Body, &w); err != nil {
		return n, malformed("body is not JSON of the agreed shape")
	}
	_, why := w.instrument()
	switch {
	case w.Instrument.Holder == "" && why == "":
		return n, nil
	case why != "": // such as a card number in it: none of it is read, and none of it kept
		w.Instrument = webhook{}.Instrument
	}
	w.Instrument.Holder = ""
	body, err := json.Marshal(w)
	if err != nil {
		return n, malformed(err.Error())
	}
	n.Header = http.Header{
		"Content-Type": {"application/json"}, signatureHeader: n.Header.Values(signatureHeader), keptHeader: {g.key.sign(keptMark, string(body))},
	}
	n.Body = body
	return n, nil
}

func malformed(why string) error { return fmt.Errorf("%w: %s", connector.ErrMalformed, why) }

// instant reads an RFC 3339 time; the zero time if it is none, or none that we
// could write down.
func instant(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Year() < 1970 || t.Year() > 9999 {
		return time.Time{}
	}
	return t.UTC()
}
