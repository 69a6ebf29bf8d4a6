package sms

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// DefaultText is what a message with a code says unless the configuration does.
const DefaultText = "Your code is {code}. Never tell it to anybody.\n{token}"

// The places in a Text.
const (
	codePlace  = "{code}"
	tokenPlace = "{token}"
)

// The lengths of what goes into the places (google-tokenized-fop.md section 3.2).
const (
	CodeLength  = 6
	TokenLength = 11
)

// Text is the wording of a message with a code. It fits into one message of the
// network, since of two the phone's system may see the code without the token.
type Text struct{ template string }

// ErrToken: a matching token is not 11 characters of A-Z a-z 0-9 + / - _ =.
var ErrToken = fmt.Errorf("must be %d characters of A-Z a-z 0-9 + / - _ =", TokenLength)

// NewText checks a wording: {code} and {token} once each, the token alone between
// blanks or ends of lines, and the whole within one message.
func NewText(template string) (Text, error) {
	if !utf8.ValidString(template) || strings.ContainsFunc(template, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }) {
		return Text{}, errors.New("it must be UTF-8 without control characters but line feeds")
	}
	for _, place := range []string{codePlace, tokenPlace} {
		if strings.Count(template, place) != 1 {
			return Text{}, fmt.Errorf("it must have %s once", place)
		}
	}
	before, after, _ := strings.Cut(template, tokenPlace)
	if before != "" && !strings.HasSuffix(before, " ") && !strings.HasSuffix(before, "\n") || after != "" && !strings.HasPrefix(after, " ") && !strings.HasPrefix(after, "\n") {
		return Text{}, fmt.Errorf("%s must stand alone, between blanks or line feeds: telephones look for it so", tokenPlace)
	}
	t := Text{template}
	text := t.fill(strings.Repeat("0", CodeLength), strings.Repeat("A", TokenLength))
	if units, most, alphabet := Length(text); units > most {
		return Text{}, fmt.Errorf("with its code and token it has %d characters of %s, and one message has %d", units, alphabet, most)
	}
	return t, nil
}

// Fill writes the message. It returns ErrToken for what is no matching token, which
// is a stranger's and would stand in our message.
func (t Text) Fill(code, token string) (string, error) {
	if !IsToken(token) {
		return "", ErrToken
	}
	return t.fill(code, token), nil
}

func (t Text) fill(code, token string) string {
	return strings.NewReplacer(codePlace, code, tokenPlace, token).Replace(t.template)
}

// IsToken says whether a text is a matching token. Its characters are all of the
// network's own alphabet, so that none makes a message longer than its wording says.
func IsToken(token string) bool {
	if len(token) != TokenLength {
		return false
	}
	for _, c := range []byte(token) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("+/-_=", rune(c)) {
			return false
		}
	}
	return true
}

// The network's own alphabet (3GPP TS 23.038), and what costs two of its places.
const (
	gsm7         = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsm7Extended = "\f^{}\\[~]|€"
)

// Length says how many places of one message a text takes, and how many there are:
// 160 in the network's own alphabet, 70 of UCS-2 as soon as one character is not of it.
func Length(text string) (units, most int, alphabet string) {
	for _, r := range text {
		switch {
		case strings.ContainsRune(gsm7, r):
			units++
		case strings.ContainsRune(gsm7Extended, r):
			units += 2
		default:
			return len(utf16.Encode([]rune(text))), 70, "UCS-2"
		}
	}
	return units, 160, "GSM-7"
}
