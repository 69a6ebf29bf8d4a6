package sign

import (
	"crypto/hmac"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"log/slog"
)

// signatureLength is the length of a signature: 64 bytes in base64.
const signatureLength = 88

// hidden is all that a secret ever prints.
const hidden = "[secret]"

// Secret is a project's signing key. It prints, logs and marshals as "[secret]".
// The zero Secret signs and verifies nothing.
//
// The key is behind a pointer, since fmt ignores the methods of values in
// unexported fields and would print the bytes themselves.
type Secret struct{ key *hmacKey }

// hmacKey is an HMAC that has read its key and nothing else; it is only cloned.
type hmacKey struct{ keyed hash.Cloner }

// NewSecret makes a Secret of its text as the merchant has it. An empty text
// gives the zero Secret, so that a project without a key verifies nothing.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{key: &hmacKey{keyed: hmac.New(sha512.New, []byte(text)).(hash.Cloner)}}
}

// IsZero says whether there is no secret at all.
func (s Secret) IsZero() bool { return s.key == nil }

// mac gives the signature of a canonical text.
func (s Secret) mac(text []byte) (signature [signatureLength]byte) {
	if s.key == nil {
		panic("sign: signing without a secret")
	}
	mac, err := s.key.keyed.Clone()
	if err != nil {
		panic("sign: the standard library's HMAC cannot be cloned: " + err.Error())
	}
	mac.Write(text)
	var sum [sha512.Size]byte
	base64.StdEncoding.Encode(signature[:], mac.Sum(sum[:0]))
	return signature
}

// String hides the secret.
func (Secret) String() string { return hidden }

// Format hides the secret from every verb of fmt.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// LogValue hides the secret from structured logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the secret from JSON and every other encoding.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
