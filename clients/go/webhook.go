package aorta

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Message is a webhook that is genuine. Its ID is the same however often it comes:
// remember it, and drop repeats.
type Message struct {
	ID        string          // webhook-id
	Type      EventType       // what happened
	Timestamp time.Time       // when it happened
	Data      WebhookData     // what it happened to
	Raw       json.RawMessage // the same as it came
}

// Receiver verifies webhooks (Standard Webhooks 1.0.0). It is safe for concurrent use.
type Receiver struct{ keys []webhookKey }

// webhookKey verifies; one of the two is there.
type webhookKey struct {
	symmetric []byte
	public    ed25519.PublicKey
}

// ErrNotGenuine is the error of every message that is not to be believed: answer it
// 401, and tell nobody which check it failed. Its text says, for the log.
var ErrNotGenuine = errors.New("aorta: the webhook is not genuine")

// ErrWebhookSecret: the text is no secret of an endpoint. It does not quote the text.
var ErrWebhookSecret = errors.New("aorta: a webhook secret is whsec_ and the standard base64, with its padding, of 24 to 64 bytes, or whpk_ and that of an ed25519 key")

const (
	tolerance    = 5 * time.Minute // between a message's time and ours, either way
	maxMessage   = 1 << 20         // bytes
	maxMessageID = 128             // bytes
	maxDigits    = 11              // of a time in seconds
)

// NewReceiver makes a receiver of an endpoint's secrets, whsec_… or whpk_…; of several
// any one will do, so that a secret can be changed without losing a message.
func NewReceiver(secrets ...string) (*Receiver, error) {
	r := &Receiver{}
	for _, text := range secrets {
		k, err := parseSecret(text)
		if err != nil {
			return nil, err
		}
		r.keys = append(r.keys, k)
	}
	if len(r.keys) == 0 {
		return nil, ErrWebhookSecret
	}
	return r, nil
}

func parseSecret(text string) (webhookKey, error) {
	public := strings.HasPrefix(text, "whpk_")
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(strings.TrimPrefix(text, "whpk_"), "whsec_"))
	switch {
	case err != nil, strings.ContainsAny(text, "\r\n"): // base64 skips line ends
	case public && len(raw) == ed25519.PublicKeySize:
		return webhookKey{public: raw}, nil
	case !public && len(raw) >= 24 && len(raw) <= 64:
		return webhookKey{symmetric: raw}, nil
	}
	return webhookKey{}, ErrWebhookSecret
}

// Receive reads and verifies the webhook that a request brings.
func (r *Receiver) Receive(req *http.Request) (*Message, error) {
	body, err := io.ReadAll(io.LimitReader(req.Body, maxMessage+1))
	if err != nil {
		return nil, fmt.Errorf("aorta: read a webhook: %w", err)
	}
	if len(body) > maxMessage {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrNotGenuine, maxMessage)
	}
	return r.Verify(req.Header, body)
}

// Verify verifies a webhook of which the body was read already. The body is as it came:
// what was parsed and written again has another signature.
func (r *Receiver) Verify(header http.Header, body []byte) (*Message, error) {
	return r.verify(header, body, time.Now())
}

func (r *Receiver) verify(header http.Header, body []byte, now time.Time) (*Message, error) {
	no := func(why string) (*Message, error) { return nil, fmt.Errorf("%w: %s", ErrNotGenuine, why) }
	var values [3]string
	for n, name := range []string{"webhook-id", "webhook-timestamp", "webhook-signature"} {
		got := header.Values(name)
		if len(got) == 0 || len(got) == 1 && got[0] == "" {
			return no(name + " is missing")
		}
		if len(got) > 1 {
			return no(name + " is there twice")
		}
		values[n] = got[0]
	}
	id, timestamp, signature := values[0], values[1], values[2]
	if len(id) > maxMessageID || strings.Contains(id, ".") {
		return no("webhook-id is malformed")
	}
	if strings.Trim(timestamp, "0123456789") != "" {
		return no("webhook-timestamp is malformed")
	}
	if len(timestamp) > maxDigits {
		return no("webhook-timestamp is not of now") // milliseconds, most likely
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return no("webhook-timestamp is malformed")
	}
	if at := time.Unix(seconds, 0); now.Sub(at) > tolerance || at.Sub(now) > tolerance {
		return no("webhook-timestamp is not of now")
	}
	content := append([]byte(id+"."+timestamp+"."), body...)
	if !r.matches(signature, content) {
		return no("no signature fits")
	}
	var envelope struct {
		Type      EventType       `json:"type"`
		Timestamp time.Time       `json:"timestamp"`
		Data      json.RawMessage `json:"data"`
	}
	m := &Message{ID: id}
	err = json.Unmarshal(body, &envelope)
	if err == nil {
		m.Type, m.Timestamp, m.Raw = envelope.Type, envelope.Timestamp, envelope.Data
		err = json.Unmarshal(envelope.Data, &m.Data)
	}
	if err != nil {
		return nil, fmt.Errorf("aorta: a genuine webhook cannot be read: %w", err)
	}
	return m, nil
}

// matches looks for one signature that fits one of the keys, in constant time. What is
// of a version that is not known fits nothing.
func (r *Receiver) matches(signatures string, content []byte) bool {
	for item := range strings.SplitSeq(signatures, " ") {
		version, text, _ := strings.Cut(item, ",")
		got, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil {
			continue
		}
		for _, k := range r.keys {
			switch {
			case version == "v1" && k.symmetric != nil:
				mac := hmac.New(sha256.New, k.symmetric)
				mac.Write(content)
				if hmac.Equal(got, mac.Sum(nil)) {
					return true
				}
			case version == "v1a" && k.public != nil && ed25519.Verify(k.public, content, got):
				return true
			}
		}
	}
	return false
}
