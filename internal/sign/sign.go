// Package sign reads, checks and makes ECommPay signatures: HMAC-SHA-512 over a
// canonical text of a JSON document or of Payment Page parameters (ecommpay.md
// section 1). It also signs and verifies the messages of Standard Webhooks
// (webhook.go).
//
// Gate reads its requests through the same Doc that the signature was checked
// on, so what was signed and what is acted upon cannot differ. It never takes a
// number through a float, never repairs a document, and signs nothing that one
// of the official verifiers would refuse.
//
// Known weaknesses, all of ECommPay's scheme: keys and values are joined with ":" and
// ";" without escaping, so {"a":{"b":"c"}} and {"a":"b:c"} sign alike, and so do
// {"a":"x;b:y"} and {"a":"x","b":"y"}. Whoever reads a Doc must therefore refuse
// an object where a text belongs. There is no time stamp: replays are the
// caller's to notice. Fractions longer than 14 digits verify only when the client
// signed them as it wrote them.
package sign

import (
	"crypto/subtle"
	"errors"
	"slices"
	"strings"
)

var (
	// ErrSignatureMissing says that there is no signature where one belongs, or an
	// empty one. Refuse the request.
	ErrSignatureMissing = errors.New("sign: signature missing")
	// ErrSignatureWrong says that the signature is not that of this document under
	// this secret. Refuse the request, and do not say why.
	ErrSignatureWrong = errors.New("sign: signature wrong")
)

// Place says which member of a document carries its signature.
type Place string

// The places in use (ecommpay.md section 1.1, step 2).
const (
	AtRoot     Place = ""         // Payment Page, callbacks, responses, /v2/payment/status/request, Data API
	AtGeneral  Place = "general"  // Gate requests, token callbacks
	AtCustomer Place = "customer" // /v2/customer/…
)

// signatureKey is the name that a signature has, wherever it is.
const signatureKey = "signature"

// StringToSign gives the canonical text of doc in the documented order. It is
// what support compares with the merchant's when a signature is wrong.
func StringToSign(doc *Doc) string {
	return string(view{doc: doc}.canonical(dialects[0]))
}

// Sign gives the signature of doc in the documented order: 88 characters. The
// document is signed as it is, so it must not hold its signature yet. A zero
// secret panics.
//
// For what goes to merchants use AppendSigned, which also refuses what their
// libraries would not verify.
func Sign(doc *Doc, secret Secret) string {
	signature := secret.mac(view{doc: doc}.canonical(dialects[0]))
	return string(signature[:])
}

// Verify says whether doc carries its right signature at place: nil,
// ErrSignatureMissing or ErrSignatureWrong. Any of the orders of the official
// libraries will do (ecommpay.md section 1.2). A zero secret verifies nothing.
func Verify(doc *Doc, secret Secret, at Place) error {
	parent := doc.Root()
	if at != AtRoot {
		parent = parent.Get(string(at))
	}
	signature := parent.Get(signatureKey)
	if signature.Kind() != KindString || signature.Text() == "" {
		return ErrSignatureMissing
	}
	return verify(secret, signature.Text(), view{doc: doc, omit: signature.at})
}

// VerifyForm says whether Payment Page parameters carry their right signature:
// nil, ErrSignatureMissing or ErrSignatureWrong.
//
// The browser delivers texts where libraries signed typed values, and the widget
// and plugins add keys that begin with "_" after signing, so up to four readings
// are tried (ecommpay.md section 1.3).
func VerifyForm(doc *Doc, secret Secret) error {
	signature := doc.Get(signatureKey)
	if signature.Kind() != KindString || signature.Text() == "" {
		return ErrSignatureMissing
	}
	readings := []view{
		{doc: doc, omit: signature.at, dropUnderscored: true},
		{doc: doc, omit: signature.at, dropUnderscored: true, booleanWords: true},
	}
	// ParseForm lets a ";" through in "_" keys alone. Signed, it could swallow other
	// parameters, so such keys are never read as signed.
	if !slices.ContainsFunc(doc.nodes, func(n node) bool { return strings.Contains(n.text, ";") }) {
		readings = append(readings,
			view{doc: doc, omit: signature.at},
			view{doc: doc, omit: signature.at, booleanWords: true})
	}
	return verify(secret, signature.Text(), readings...)
}

// verify tries every reading in every dialect. The order of trying is no secret;
// each comparison takes the same time whatever the signature (S16).
func verify(secret Secret, signature string, readings ...view) error {
	if secret.key == nil {
		return ErrSignatureWrong
	}
	tried := make(map[string]struct{}, 1)
	for _, v := range readings {
		for _, d := range dialects {
			text := v.canonical(d)
			if _, known := tried[string(text)]; known {
				continue // most documents read alike in all dialects
			}
			tried[string(text)] = struct{}{}
			want := secret.mac(text)
			if subtle.ConstantTimeCompare(want[:], []byte(signature)) == 1 {
				return nil
			}
		}
	}
	return ErrSignatureWrong
}
