package exchange

import (
	"fmt"
	"log/slog"
)

// Secret is a key on its way into a connector. It prints, logs and marshals as
// "[secret]"; the zero Secret is no key.
//
// The text is behind a pointer, since fmt ignores the methods of values in
// unexported fields and would print the text itself.
type Secret struct{ text *string }

// hidden is all that a secret ever prints.
const hidden = "[secret]"

// NewSecret makes a Secret of the key's text as the provider's dashboard shows it.
func NewSecret(text string) Secret { return Secret{text: &text} }

// Reveal gives the key's text, to the one place that prepares the cipher.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String hides the secret.
func (Secret) String() string { return hidden }

// Format hides the secret from every verb of fmt.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// LogValue hides the secret from structured logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the secret from JSON and every other encoding.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
