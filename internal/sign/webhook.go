package sign

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// The headers of a Standard Webhooks message (standard-webhooks.md section 1).
const (
	WebhookID        = "webhook-id"
	WebhookTimestamp = "webhook-timestamp"
	WebhookSignature = "webhook-signature"
)

// WebhookTolerance is how far a message's timestamp may lie from now.
const WebhookTolerance = 5 * time.Minute

// How keys are written, and the lengths that they may have.
const (
	secretPrefix  = "whsec_" // symmetric
	privatePrefix = "whsk_"  // ed25519: seed and public key
	publicPrefix  = "whpk_"  // ed25519: public key alone, which verifies only

	minKey, maxKey = 24, 64 // bytes of a symmetric key
)

// maxWebhookID bounds the id of a message that we receive, in bytes.
const maxWebhookID = 128

var (
	// ErrWebhookKey: the text is no key, or one that some library would take and
	// another would not. It does not quote the text.
	ErrWebhookKey = errors.New("sign: a webhook key is whsec_ and the standard base64, with its padding, of 24 to 64 bytes, or whsk_ and that of an ed25519 key")
	// ErrWebhookHeader: one of the three headers has a value that it cannot have, or several.
	ErrWebhookHeader = errors.New("sign: webhook header malformed")
	// ErrWebhookOld: the message was signed more than five minutes ago.
	ErrWebhookOld = errors.New("sign: webhook timestamp too old")
	// ErrWebhookNew: the message is signed for more than five minutes from now.
	ErrWebhookNew = errors.New("sign: webhook timestamp too new")
)

// WebhookKey signs and verifies messages of Standard Webhooks: a symmetric key
// (v1) or an ed25519 key (v1a). Like a Secret it prints as "[secret]" and its
// bytes are behind a pointer. The zero WebhookKey signs and verifies nothing.
type WebhookKey struct{ key *webhookKey }

type webhookKey struct {
	symmetric []byte
	private   ed25519.PrivateKey
	public    ed25519.PublicKey
}

// NewWebhookKey makes a symmetric key of 32 random bytes.
func NewWebhookKey(random [32]byte) WebhookKey {
	return WebhookKey{&webhookKey{symmetric: random[:]}}
}

// ParseWebhookKey reads a key: whsec_…, the same without its prefix, whsk_…, or
// whpk_…, which verifies only. Anything else is ErrWebhookKey: what one official
// library takes and another refuses would be a message that some merchants cannot
// verify (standard-webhooks.md section 2).
func ParseWebhookKey(text string) (WebhookKey, error) {
	switch {
	case strings.HasPrefix(text, privatePrefix):
		raw, err := base64.StdEncoding.Strict().DecodeString(text[len(privatePrefix):])
		if err != nil || len(raw) != ed25519.PrivateKeySize {
			return WebhookKey{}, ErrWebhookKey
		}
		private := ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize])
		if !private.Equal(ed25519.PrivateKey(raw)) {
			return WebhookKey{}, ErrWebhookKey // its halves are of two keys
		}
		return WebhookKey{&webhookKey{private: private, public: private.Public().(ed25519.PublicKey)}}, nil
	case strings.HasPrefix(text, publicPrefix):
		raw, err := base64.StdEncoding.Strict().DecodeString(text[len(publicPrefix):])
		if err != nil || len(raw) != ed25519.PublicKeySize {
			return WebhookKey{}, ErrWebhookKey
		}
		return WebhookKey{&webhookKey{public: raw}}, nil
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(text, secretPrefix))
	if err != nil || len(raw) < minKey || len(raw) > maxKey || strings.ContainsAny(text, "\r\n") { // base64 skips line ends
		return WebhookKey{}, ErrWebhookKey
	}
	return WebhookKey{&webhookKey{symmetric: raw}}, nil
}

// IsZero says whether there is no key at all.
func (k WebhookKey) IsZero() bool { return k.key == nil }

// Signs says whether the key can sign; a public one cannot.
func (k WebhookKey) Signs() bool {
	return k.key != nil && (k.key.symmetric != nil || k.key.private != nil)
}

// Reveal gives the key's text. It is for the one answer that shows a new key to
// its owner, and for storing it encrypted (security.md S02, S18).
func (k WebhookKey) Reveal() string {
	switch {
	case k.key == nil:
		return ""
	case k.key.symmetric != nil:
		return secretPrefix + base64.StdEncoding.EncodeToString(k.key.symmetric)
	case k.key.private != nil:
		return privatePrefix + base64.StdEncoding.EncodeToString(k.key.private)
	}
	return k.Public()
}

// Public gives the text of an ed25519 key's public half, which is no secret;
// empty for a symmetric key.
func (k WebhookKey) Public() string {
	if k.key == nil || k.key.public == nil {
		return ""
	}
	return publicPrefix + base64.StdEncoding.EncodeToString(k.key.public)
}

// String hides the key.
func (WebhookKey) String() string { return hidden }

// Format hides the key from every verb of fmt.
func (WebhookKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// LogValue hides the key from structured logs.
func (WebhookKey) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the key from JSON and every other encoding.
func (WebhookKey) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// SignWebhook gives the webhook-signature of a message: one item for each key,
// so that during a rotation old and new receivers verify it alike. The id must
// hold no full stop, which separates it from the rest. A key that cannot sign
// panics.
func SignWebhook(messageID string, timestamp int64, body []byte, keys ...WebhookKey) string {
	content := webhookContent(messageID, strconv.FormatInt(timestamp, 10), body)
	var b strings.Builder
	for n, k := range keys {
		if n > 0 {
			b.WriteByte(' ')
		}
		switch {
		case !k.Signs():
			panic("sign: signing without a webhook key")
		case k.key.symmetric != nil:
			b.WriteString("v1,")
			b.WriteString(base64.StdEncoding.EncodeToString(k.key.mac(content)))
		default:
			b.WriteString("v1a,")
			b.WriteString(base64.StdEncoding.EncodeToString(ed25519.Sign(k.key.private, content)))
		}
	}
	return b.String()
}

func webhookContent(messageID, timestamp string, body []byte) []byte {
	content := make([]byte, 0, len(messageID)+len(timestamp)+len(body)+2)
	content = append(append(content, messageID...), '.')
	content = append(append(content, timestamp...), '.')
	return append(content, body...)
}

func (k *webhookKey) mac(content []byte) []byte {
	mac := hmac.New(sha256.New, k.symmetric)
	mac.Write(content)
	return mac.Sum(nil)
}

// VerifyWebhook says whether a message is genuine under any of the keys: nil,
// ErrSignatureMissing (a header is absent), ErrWebhookHeader, ErrWebhookOld,
// ErrWebhookNew or ErrSignatureWrong. Whoever sent it is told none of these
// apart. header gives all values that a header has, as http.Header.Values does;
// body is as it was received. Who verifies must also drop ids that it knows.
func VerifyWebhook(header func(name string) []string, body []byte, now time.Time, keys ...WebhookKey) error {
	var values [3]string
	for n, name := range []string{WebhookID, WebhookTimestamp, WebhookSignature} {
		switch got := header(name); {
		case len(got) == 0 || len(got) == 1 && got[0] == "":
			return ErrSignatureMissing
		case len(got) > 1:
			return ErrWebhookHeader
		default:
			values[n] = got[0]
		}
	}
	messageID, timestamp, signature := values[0], values[1], values[2]
	if len(messageID) > maxWebhookID || strings.Contains(messageID, ".") {
		return ErrWebhookHeader
	}
	if err := checkTimestamp(timestamp, now); err != nil {
		return err
	}
	content := webhookContent(messageID, timestamp, body)
	for _, k := range keys {
		for item := range strings.SplitSeq(signature, " ") {
			if k.matches(item, content) {
				return nil
			}
		}
	}
	return ErrSignatureWrong
}

// maxDigits are enough for seconds of the next three thousand years.
const maxDigits = 11

func checkTimestamp(text string, now time.Time) error {
	for n := range len(text) {
		if text[n] < '0' || text[n] > '9' {
			return ErrWebhookHeader
		}
	}
	if len(text) > maxDigits {
		return ErrWebhookNew // milliseconds, most likely
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return ErrWebhookHeader
	}
	switch at := time.Unix(seconds, 0); {
	case now.Sub(at) > WebhookTolerance:
		return ErrWebhookOld
	case at.Sub(now) > WebhookTolerance:
		return ErrWebhookNew
	}
	return nil
}

// matches compares one item of a signature in constant time (S16). Versions that
// are not known match nothing.
func (k WebhookKey) matches(item string, content []byte) bool {
	version, text, ok := strings.Cut(item, ",")
	if !ok || k.key == nil {
		return false
	}
	got, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return false
	}
	switch {
	case version == "v1" && k.key.symmetric != nil:
		return hmac.Equal(got, k.key.mac(content))
	case version == "v1a" && k.key.public != nil:
		return len(got) == ed25519.SignatureSize && ed25519.Verify(k.key.public, content, got)
	}
	return false
}
