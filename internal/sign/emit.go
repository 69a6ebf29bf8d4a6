package sign

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// maxEmittedList is the longest list that every library sorts alike.
const maxEmittedList = 10

// Rule is what an emitted document must keep so that every official library can
// verify it (ecommpay.md sections 1.2 "Emit" and 1.4).
type Rule string

// The rules for emitted documents, each with who would stumble.
const (
	RuleNull      Rule = "null"                     // JavaScript throws
	RuleBoolean   Rule = "boolean; write 1 or 0"    // the WooCommerce signer rejects
	RuleInteger   Rule = "not a plain safe integer" // Go truncates, JavaScript rounds
	RuleList      Rule = "list of more than 10"     // Go and Python sort it otherwise
	RuleSemicolon Rule = "semicolon in a value"     // the WooCommerce signer throws
	RuleKey       Rule = "key that is not plain"    // a colon is doubled by some, a space is skipped by PHP
	RuleNotSigned Rule = "key that some leave out"  // a second signature, frame_mode, _… at the root, __proto__
	RuleOrder     Rule = "keys that sort unlike"    // see dialects
	RuleFieldType Rule = "must be a string"         // the accessors of Go and JavaScript break
)

// EmitError says that a document must not leave, and why. It is a bug in whoever
// made the document: nothing from outside may come so far.
type EmitError struct {
	Path string
	Rule Rule
}

func (e *EmitError) Error() string {
	return fmt.Sprintf("sign: will not emit %q: %s", e.Path, e.Rule)
}

// AppendSigned appends body, a JSON object, to dst with its signature added as the
// last member of the root. Every byte of body stays as it is.
//
// It refuses, with an *EmitError, what not all official libraries would verify,
// and with a *ParseError what is not a sound JSON object. dst is then returned
// as it came. A zero secret panics.
func AppendSigned(dst, body []byte, secret Secret) ([]byte, error) {
	doc, err := ParseJSON(body)
	if err != nil {
		return dst, err
	}
	if err := emittable(doc); err != nil {
		return dst, err
	}
	l := view{doc: doc}.lines(dialects[0])
	l.sort(natural)
	for i := 1; i < len(l.lines); i++ {
		before, after := l.lines[i-1], l.lines[i]
		// Where all neighbours stand in order, all lines do: no second sorting.
		if byLevel(l, before, after) >= 0 || byLine(l, before, after) >= 0 || byPath(l, before, after) >= 0 {
			return dst, &EmitError{Path: Value{doc: doc, at: after.node}.Path(), Rule: RuleOrder}
		}
	}
	signature := secret.mac(l.join())
	open := body[:bytes.LastIndexByte(body, '}')]
	dst = append(dst, open...)
	if doc.nodes[0].end > 1 {
		dst = append(dst, ',')
	}
	dst = append(dst, `"`+signatureKey+`":"`...)
	dst = append(dst, signature[:]...)
	return append(dst, `"}`...), nil
}

// emittable checks every rule but that of order.
func emittable(doc *Doc) error {
	for i := 1; i < len(doc.nodes); i++ {
		if rule := broken(doc, i); rule != "" {
			return &EmitError{Path: Value{doc: doc, at: i}.Path(), Rule: rule}
		}
	}
	// JavaScript's and Go's accessors take these for granted wherever there is a
	// payment or an operation (1.4, "Field types that matter").
	payment := doc.Get("payment")
	status := payment.Get("status")
	if payment.Exists() && status.Kind() != KindString {
		return &EmitError{Path: "payment.status", Rule: RuleFieldType}
	}
	for _, v := range []Value{payment.Get("id"), doc.Get("operation", "code")} {
		if v.Exists() && v.Kind() != KindString {
			return &EmitError{Path: v.Path(), Rule: RuleFieldType}
		}
	}
	return nil
}

// broken gives the rule that one node breaks, or "".
func broken(doc *Doc, at int) Rule {
	n := &doc.nodes[at]
	if rule := brokenByKey(n); rule != "" {
		return rule
	}
	switch n.kind {
	case KindNull:
		return RuleNull
	case KindBool:
		return RuleBoolean
	case KindNumber:
		if !plainInteger(n.text) || tooLarge(n.text) || n.text == "-0" {
			return RuleInteger
		}
	case KindString:
		if strings.Contains(n.text, ";") {
			return RuleSemicolon
		}
	case KindList:
		if (Value{doc: doc, at: at}).Get(strconv.Itoa(maxEmittedList)).Exists() {
			return RuleList
		}
	case KindObject, KindMissing:
	}
	return ""
}

func brokenByKey(n *node) Rule {
	switch {
	case n.key == signatureKey, n.key == neverSigned, n.key == "__proto__",
		n.parent == 0 && strings.HasPrefix(n.key, "_"):
		return RuleNotSigned
	case n.key == "":
		return RuleKey
	}
	for i := range len(n.key) {
		if c := n.key[i]; c <= ' ' || c == ':' || c == ';' || c > '~' {
			return RuleKey
		}
	}
	return ""
}
