// Package redact keeps card data out of what comes in and of what we write down:
// doors ask FindPAN and HasCVVName and refuse (security.md S24, S26), writers of
// logs and the like pass their text through Text or Handler (S25).
//
// It never keeps, counts or reports what it found.
//
// Known weaknesses: it sees digits, not meaning. Of random strings of 16 digits
// it takes about 3 in 100 for a card, so fields typed as amount, time or id are
// not to be asked about. A number that touches letters on both sides passes, since
// hashes and tokens would otherwise be taken for cards daily; so does one that is
// encoded (base64, percent).
package redact

import (
	"strings"
)

// The digits of a card number (ISO/IEC 7812).
const (
	minDigits = 13
	maxDigits = 19
)

// maxSeparators is how many spaces, dashes and dots may stand between two groups
// of digits of one number: "4111 - 1111" has three.
const maxSeparators = 3

// A card shows at most its first 6 and last 4 digits (PCI DSS 3.4.1).
const (
	shownFirst = 6
	shownLast  = 4
)

// mask stands for a digit that is not shown.
const mask = '*'

// FindPAN says whether text holds a card number: 13 to 19 digits, with or without
// spaces, dashes and dots between them, whose check digit, issuer prefix and
// length are right, and which are not part of a longer run of digits.
func FindPAN(text string) bool {
	return len(findCards(text)) > 0
}

// Text gives text with the middle digits of every card number masked:
// "4111 1111 1111 1111" becomes "4111 11** **** 1111". Text without one comes
// back as it is.
func Text(text string) string {
	// A masked number may leave digits that make another one with their neighbours;
	// every round masks at least three digits, so this ends.
	for cards := findCards(text); len(cards) > 0; cards = findCards(text) {
		masked := []byte(text)
		for _, c := range cards {
			c.mask(masked, text)
		}
		text = string(masked)
	}
	return text
}

// cvvNames are the names under which card security codes travel, without what is
// not a letter or digit, and without a leading "card" or "cc".
var cvvNames = map[string]bool{
	"cvv": true, "cvc": true, "cvn": true, "csc": true, "cav": true,
	"cvv2": true, "cvc2": true, "cvn2": true, "cav2": true,
	"cvvcode": true, "cvccode": true, "cvncode": true, "csccode": true,
	"cvvnumber": true, "cvcnumber": true, "cvvvalue": true, "cvcvalue": true,
	"securitycode":     true,
	"cardsecuritycode": true, "cardverificationcode": true, "cardverificationvalue": true,
	"cardverificationnumber": true, "cardvalidationcode": true,
}

// HasCVVName says whether a field, or the last field of a path, is named like a
// card security code: "cvv", "card.cvv", "CVC2", "card[security_code]". Results of
// its check, such as "cvc_check", are something else.
func HasCVVName(field string) bool {
	field = field[strings.LastIndexByte(field, '.')+1:]
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return -1
	}, field)
	return cvvNames[name] || cvvNames[strings.TrimPrefix(name, "card")] || cvvNames[strings.TrimPrefix(name, "cc")]
}
