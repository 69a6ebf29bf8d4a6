// Package ecommpay signs and verifies as an ECommPay merchant does
// (ecommpay.md section 1.1): the shop signs its Payment Page parameters with
// it, the merchant checks the callbacks it receives.
//
// It is written from the specification alone, apart from the platform's own
// signer, so that the two can disagree when one of them is wrong. It knows the
// documented natural order only, not the other orders of section 1.2.
package ecommpay

import (
	"crypto/hmac"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
)

// maxDepth bounds the nesting of a body.
const maxDepth = 64

// ErrBody means that the text is not a JSON object this package can flatten.
var ErrBody = errors.New("not a JSON object")

// Document is a flattened JSON body.
type Document struct {
	pairs     []pair
	signature string
}

// pair is one leaf: {"payment":{"id":"a"}} has the path payment:id.
type pair struct{ path, value string }

// Parse flattens a body. Every key named signature or frame_mode is left out;
// the signature is remembered from the root, else from general.signature.
func Parse(raw []byte) (*Document, error) {
	if !json.Valid(raw) {
		return nil, ErrBody
	}
	f := flattener{text: raw}
	f.space()
	if f.text[f.at] != '{' {
		return nil, ErrBody
	}
	f.value(0)
	if f.deep {
		return nil, ErrBody
	}
	d := &Document{pairs: f.pairs, signature: f.rootSignature}
	if d.signature == "" {
		d.signature = f.generalSignature
	}
	return d, nil
}

// Value returns the leaf at path, for example "payment:status".
func (d *Document) Value(path string) (string, bool) {
	for _, p := range d.pairs {
		if p.path == path {
			return p.value, true
		}
	}
	return "", false
}

// Text is the string that is signed.
func (d *Document) Text() string {
	slices.SortStableFunc(d.pairs, func(a, b pair) int { return compareNatural(a.path, b.path) })
	size := 0
	for _, p := range d.pairs {
		size += len(p.path) + len(p.value) + 2
	}
	var b strings.Builder
	b.Grow(size)
	for i, p := range d.pairs {
		if i > 0 {
			b.WriteByte(';')
		}
		b.WriteString(p.path)
		b.WriteByte(':')
		b.WriteString(p.value)
	}
	return b.String()
}

// Verify says whether the signature inside the body is the secret's.
func (d *Document) Verify(secret string) bool {
	return hmac.Equal([]byte(d.signature), []byte(mac(d.Text(), secret)))
}

// SignFields signs flat Payment Page parameters, frame_mode left out.
func SignFields(fields map[string]string, secret string) string {
	d := Document{}
	for name, value := range fields {
		if name != "signature" && name != "frame_mode" {
			d.pairs = append(d.pairs, pair{name, value})
		}
	}
	return mac(d.Text(), secret)
}

func mac(text, secret string) string {
	h := hmac.New(sha512.New, []byte(secret))
	h.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// flattener walks JSON that json.Valid has accepted, so it never checks the
// grammar again. It reads numbers from the text, not through a float64.
type flattener struct {
	text             []byte
	at               int
	path             []byte
	pairs            []pair
	rootSignature    string
	generalSignature string
	deep             bool
}

func (f *flattener) space() {
	for f.at < len(f.text) {
		switch f.text[f.at] {
		case ' ', '\t', '\r', '\n':
			f.at++
		default:
			return
		}
	}
}

// value emits the leaves of the value that starts at f.at.
func (f *flattener) value(depth int) {
	if depth > maxDepth {
		f.deep = true
		f.at = len(f.text)
		return
	}
	switch f.text[f.at] {
	case '{':
		f.each('}', func(int) string {
			key := f.str()
			f.space()
			f.at++ // the colon
			f.space()
			return key
		}, depth)
	case '[':
		f.each(']', strconv.Itoa, depth)
	case '"':
		f.leaf(f.str())
	case 't':
		f.at += len("true")
		f.leaf("1")
	case 'f':
		f.at += len("false")
		f.leaf("0")
	case 'n':
		f.at += len("null")
		f.leaf("")
	default:
		f.leaf(f.number())
	}
}

// each walks an object or a list up to its end; key reads or makes each key.
func (f *flattener) each(end byte, key func(i int) string, depth int) {
	f.at++
	f.space()
	for i := 0; f.at < len(f.text) && f.text[f.at] != end; i++ {
		name := key(i)
		base, first := len(f.path), len(f.pairs)
		if base > 0 {
			f.path = append(f.path, ':')
		}
		f.path = append(f.path, name...)
		f.value(depth + 1)
		if name == "signature" || name == "frame_mode" {
			f.drop(first)
		}
		f.path = f.path[:base]
		f.space()
		if f.at < len(f.text) && f.text[f.at] == ',' {
			f.at++
			f.space()
		}
	}
	f.at++
}

// drop removes the leaves from first on, remembering the body's signature.
func (f *flattener) drop(first int) {
	for _, p := range f.pairs[first:] {
		switch p.path {
		case "signature":
			f.rootSignature = p.value
		case "general:signature":
			f.generalSignature = p.value
		}
	}
	f.pairs = f.pairs[:first]
}

func (f *flattener) leaf(value string) {
	f.pairs = append(f.pairs, pair{string(f.path), value})
}

func (f *flattener) str() string {
	start := f.at
	plain := true
	for f.at++; f.text[f.at] != '"'; f.at++ {
		if f.text[f.at] == '\\' {
			plain = false
			f.at++
		} else if f.text[f.at] >= 0x80 {
			plain = false // json.Unmarshal also repairs broken UTF-8
		}
	}
	f.at++
	if plain {
		return string(f.text[start+1 : f.at-1])
	}
	var s string
	if err := json.Unmarshal(f.text[start:f.at], &s); err != nil {
		return "" // json.Valid has accepted it
	}
	return s
}

// number gives an integer as written and anything else as shortest decimal text.
func (f *flattener) number() string {
	start := f.at
	for f.at < len(f.text) && strings.IndexByte("+-.eE0123456789", f.text[f.at]) >= 0 {
		f.at++
	}
	text := string(f.text[start:f.at])
	if !strings.ContainsAny(text, ".eE") {
		return text
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(x, 0) {
		return text
	}
	return strconv.FormatFloat(x, 'f', -1, 64)
}

// compareNatural orders paths like PHP's SORT_NATURAL on the keys that occur:
// runs of digits by their number, everything else byte by byte.
func compareNatural(a, b string) int {
	for a != "" && b != "" {
		if digit(a[0]) && digit(b[0]) {
			x, restA := digits(a)
			y, restB := digits(b)
			if len(x) != len(y) {
				return len(x) - len(y)
			}
			if c := strings.Compare(x, y); c != 0 {
				return c
			}
			a, b = restA, restB
			continue
		}
		if a[0] != b[0] {
			return int(a[0]) - int(b[0])
		}
		a, b = a[1:], b[1:]
	}
	return len(a) - len(b)
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// digits splits off a leading run of digits, without its leading zeros.
func digits(s string) (run, rest string) {
	end := 0
	for end < len(s) && digit(s[end]) {
		end++
	}
	return strings.TrimLeft(s[:end], "0"), s[end:]
}
