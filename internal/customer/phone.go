package customer

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// Phone is a number as E.164 writes it, such as +918067218010. It prints, logs and
// marshals as "[phone]"; the zero Phone is none.
//
// The text is behind a pointer, since fmt ignores the methods of values in
// unexported fields and would print the text itself.
type Phone struct{ text *string }

// ErrPhone: the text is no number of E.164. It never repeats the text.
var ErrPhone = errors.New("a phone must be written as E.164 does: +, the country's code and the number, 8 to 15 digits in all, such as +918067218010")

// ParsePhone reads a number. Nothing is guessed: a number without its country is
// another country's number as well.
func ParsePhone(text string) (Phone, error) {
	digits, plus := strings.CutPrefix(text, "+")
	if !plus || len(digits) < 8 || len(digits) > 15 || digits[0] == '0' || strings.Trim(digits, "0123456789") != "" {
		return Phone{}, ErrPhone
	}
	return Phone{&text}, nil
}

// IsZero reports whether there is no number.
func (p Phone) IsZero() bool { return p.text == nil }

// Reveal gives the number, to whoever hashes it, seals it or sends to it.
func (p Phone) Reveal() string {
	if p.text == nil {
		return ""
	}
	return *p.text
}

// Masked gives what may be shown to the merchant's people: "+91•••••10".
func (p Phone) Masked() string {
	text := p.Reveal()
	if text == "" {
		return ""
	}
	return text[:3] + strings.Repeat("•", len(text)-5) + text[len(text)-2:]
}

const hiddenPhone = "[phone]"

// String hides the number.
func (Phone) String() string { return hiddenPhone }

// Format hides the number from every verb of fmt.
func (Phone) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hiddenPhone)) }

// LogValue hides the number from structured logs.
func (Phone) LogValue() slog.Value { return slog.StringValue(hiddenPhone) }

// MarshalText hides the number from JSON and every other encoding.
func (Phone) MarshalText() ([]byte, error) { return []byte(hiddenPhone), nil }
