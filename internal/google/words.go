package google

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"aorta/internal/money"
	"aorta/internal/sign"
)

// RequestHeader is on top of every request, in both directions (section 1.2).
// What it also may have, userLocale, is ignored, as its documentation says.
type RequestHeader struct {
	RequestID string
	Time      time.Time // to the millisecond
	Version   Version
}

// Version is of the protocol. Those with the same Major understand each other.
type Version struct {
	Major    int64 `json:"major"`
	Minor    int64 `json:"minor"`
	Revision int64 `json:"revision"`
}

// major is the version of the protocol that this package speaks.
const major = 1

// window is how far the time of a request may be from ours, both ways and
// inclusive (section 1.2).
const window = 60 * time.Second

// MarshalJSON writes the header as it is sent.
func (h RequestHeader) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		RequestID        string  `json:"requestId"`
		RequestTimestamp string  `json:"requestTimestamp"`
		ProtocolVersion  Version `json:"protocolVersion"`
	}{h.RequestID, Millis(h.Time), h.Version})
}

// readHeader reads and checks the header but its time.
func readHeader(doc *sign.Doc) (h RequestHeader, err error) {
	top := doc.Get("requestHeader")
	if err := object(top, "requestHeader"); err != nil {
		return h, err
	}
	id, err := text(top.Get("requestId"), "requestHeader.requestId")
	if err != nil {
		return h, err
	}
	if !isRequestID(id) {
		return h, invalid("requestHeader.requestId must be 1 to 100 of a-z A-Z 0-9 : - _")
	}
	h.RequestID = id // sound, so that it may be logged
	if h.Time, err = instant(top.Get("requestTimestamp"), "requestHeader.requestTimestamp"); err != nil {
		return h, err
	}
	version := top.Get("protocolVersion")
	if err := object(version, "requestHeader.protocolVersion"); err != nil {
		return h, err
	}
	for name, into := range map[string]*int64{"major": &h.Version.Major, "minor": &h.Version.Minor, "revision": &h.Version.Revision} {
		v := version.Get(name)
		if !v.Exists() && name != "major" {
			continue // which minor version it is decides nothing
		}
		if *into, err = whole(v, "requestHeader.protocolVersion."+name); err != nil {
			return h, err
		}
	}
	if h.Version.Major != major {
		return h, refused(CodeVersion, "protocolVersion.major must be "+strconv.Itoa(major))
	}
	return h, nil
}

// maxRequestID is the length of the longest requestId.
const maxRequestID = 100

func isRequestID(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != ':' && c != '-' && c != '_' {
			return false
		}
	}
	return len(s) > 0 && len(s) <= maxRequestID
}

// fresh checks the time: a request that somebody has kept for a minute is worth
// nothing, and a retry carries a new time.
func (h RequestHeader) fresh(now time.Time) error {
	if off := now.UnixMilli() - h.Time.UnixMilli(); off > window.Milliseconds() || off < -window.Milliseconds() {
		return refused(CodeTimestamp, fmt.Sprintf("requestTimestamp is %d ms from our clock; %d are allowed", off, window.Milliseconds()))
	}
	return nil
}

// Millis writes an instant as both sides do: milliseconds since 1970, in a string.
func Millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// maxID is the length of the longest identifier that is not ours; they are
// opaque, and kept and compared byte by byte (section 1.2).
const maxID = 512

// text reads a string that must be there and not be empty: an identifier.
func text(v sign.Value, name string) (string, error) { return textUpTo(v, name, maxID) }

func textUpTo(v sign.Value, name string, most int) (string, error) {
	switch v.Kind() {
	case sign.KindString:
	case sign.KindMissing, sign.KindNull:
		return "", missing(name)
	case sign.KindBool, sign.KindNumber, sign.KindList, sign.KindObject:
		return "", malformed(name + " must be a string")
	}
	if v.Text() == "" {
		return "", missing(name)
	}
	if len(v.Text()) > most {
		return "", invalid(fmt.Sprintf("%s is longer than %d bytes", name, most))
	}
	return v.Text(), nil
}

// object checks that an object is there.
func object(v sign.Value, name string) error {
	switch v.Kind() {
	case sign.KindObject:
		return nil
	case sign.KindMissing, sign.KindNull:
		return missing(name)
	case sign.KindBool, sign.KindNumber, sign.KindString, sign.KindList:
	}
	return malformed(name + " must be an object")
}

// whole reads a number that is counted with: a version, an offset.
func whole(v sign.Value, name string) (int64, error) {
	switch v.Kind() {
	case sign.KindNumber:
	case sign.KindMissing, sign.KindNull:
		return 0, missing(name)
	case sign.KindBool, sign.KindString, sign.KindList, sign.KindObject:
		return 0, malformed(name + " must be an integer")
	}
	n, err := v.Int()
	if err != nil || n < 0 {
		return 0, invalid(name + " must be an integer that is not negative")
	}
	return n, nil
}

var errNumber = errors.New("not a plain integer")

// integer reads an int64 as this protocol writes them, in a string or, in old
// samples, as a number: digits without leading zeros, with a sign only where one
// may be. As a number it must be one that all languages read alike.
func integer(v sign.Value, signed bool) (int64, error) {
	if v.Kind() != sign.KindString && v.Kind() != sign.KindNumber {
		return 0, errNumber
	}
	digits, negative := v.Text(), false
	if signed {
		digits, negative = strings.CutPrefix(digits, "-")
	}
	if digits == "" || len(digits) > 19 || digits[0] == '0' && (len(digits) > 1 || negative) {
		return 0, errNumber
	}
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return 0, errNumber
		}
	}
	n, err := strconv.ParseInt(v.Text(), 10, 64)
	if err != nil || v.Kind() == sign.KindNumber && (n > sign.MaxInteger || n < -sign.MaxInteger) {
		return 0, errNumber
	}
	return n, nil
}

// scalar is what is wrong with a number in a string, before its value.
func scalar(v sign.Value, name string) error {
	switch v.Kind() {
	case sign.KindMissing, sign.KindNull:
		return missing(name)
	case sign.KindBool, sign.KindList, sign.KindObject:
		return malformed(name + " must be an integer in a string")
	case sign.KindString, sign.KindNumber:
	}
	return nil
}

// instant reads milliseconds since 1970 (section 1.1).
func instant(v sign.Value, name string) (time.Time, error) {
	if err := scalar(v, name); err != nil {
		return time.Time{}, err
	}
	ms, err := integer(v, false)
	if err != nil {
		return time.Time{}, invalid(name + " must be milliseconds since 1970")
	}
	return time.UnixMilli(ms).UTC(), nil
}

// micros reads millionths of a major unit, of a currency or of several. They may
// be negative: a statement can say what Google owes us.
func micros(v sign.Value, name string) (int64, error) {
	if err := scalar(v, name); err != nil {
		return 0, err
	}
	n, err := integer(v, true)
	if err != nil {
		return 0, invalid(name + " must be an integer of micros")
	}
	return n, nil
}

// currency reads a currency that money can be in.
func currency(v sign.Value, name string) (money.Currency, error) {
	code, err := text(v, name)
	if err != nil {
		return "", err
	}
	if c := money.Currency(code); len(code) == 3 && c.Valid() {
		return c, nil
	}
	return "", invalid(name + " must be an ISO 4217 code")
}

// amount reads what is to be paid: more than nothing, and a whole number of
// minor units, since rounding would create or destroy money between two books
// (section 1.1).
func amount(doc *sign.Doc, name, currencyName string) (money.Amount, error) {
	c, err := currency(doc.Get(currencyName), currencyName)
	if err != nil {
		return money.Amount{}, err
	}
	n, err := micros(doc.Get(name), name)
	if err != nil {
		return money.Amount{}, err
	}
	a, err := money.FromMicros(n, c)
	switch {
	case err != nil:
		return money.Amount{}, invalid(fmt.Sprintf("%s is not a whole number of minor units of %s", name, c))
	case a.Minor <= 0:
		return money.Amount{}, invalid(name + " must be positive")
	}
	return a, nil
}

// Fingerprint says what a request is, so that a repeat can be told from another
// request under the same name: SHA-256 of the document with its keys in order,
// numbers and strings of digits alike, without what a repeat may change
// (section 1.5 point 2).
func Fingerprint(doc *sign.Doc) [sha256.Size]byte {
	var b bytes.Buffer
	canonical(&b, doc.Root(), "")
	return sha256.Sum256(b.Bytes())
}

// changes are what a repeat may change.
var changes = map[string]bool{
	"requestHeader.requestTimestamp": true, "requestHeader.userLocale": true,
	"requestHeader.protocolVersion.minor": true, "requestHeader.protocolVersion.revision": true,
}

// canonical writes a value. path is that of its names, and only followed within
// the header: a name that has a dot in it leads nowhere else.
func canonical(b *bytes.Buffer, v sign.Value, path string) {
	switch v.Kind() {
	case sign.KindObject:
		var members []sign.Value
		for m := range v.Members() {
			if !changes[under(path, m.Key())] {
				members = append(members, m)
			}
		}
		slices.SortFunc(members, func(a, b sign.Value) int { return strings.Compare(a.Key(), b.Key()) })
		b.WriteByte('{')
		for n, m := range members {
			if n > 0 {
				b.WriteByte(',')
			}
			quoted(b, m.Key())
			b.WriteByte(':')
			canonical(b, m, under(path, m.Key()))
		}
		b.WriteByte('}')
	case sign.KindList:
		b.WriteByte('[')
		first := true
		for m := range v.Members() {
			if !first {
				b.WriteByte(',')
			}
			first = false
			canonical(b, m, "[")
		}
		b.WriteByte(']')
	case sign.KindString, sign.KindNumber:
		quoted(b, v.Text())
	case sign.KindBool:
		b.WriteString(v.Text())
	case sign.KindNull, sign.KindMissing:
		b.WriteString("null")
	}
}

func under(path, key string) string {
	switch {
	case strings.ContainsAny(key, ".["):
		return "["
	case path == "":
		return key
	}
	return path + "." + key
}

func quoted(b *bytes.Buffer, s string) {
	text, err := json.Marshal(s)
	if err != nil {
		panic("google: a string is always JSON: " + err.Error())
	}
	b.Write(text)
}

// responseHeader is on top of every answer (section 1.3).
type responseHeader struct {
	ResponseTimestamp string `json:"responseTimestamp"`
}

// withHeader writes an answer: its header, then its members. A repeat's stored
// members get the time of the repeat (section 1.5 point 3).
func withHeader(members any, now time.Time) ([]byte, error) {
	return headed(struct {
		ResponseHeader responseHeader `json:"responseHeader"`
	}{responseHeader{Millis(now)}}, members)
}

// headed writes the members of one object and then those of another.
func headed(header, members any) ([]byte, error) {
	head, err := plainJSON(header)
	if err != nil {
		return nil, err
	}
	rest, err := plainJSON(members)
	if err != nil {
		return nil, err
	}
	if len(rest) < 2 || rest[0] != '{' {
		return nil, fmt.Errorf("google: a body must be an object, not %.20q", rest)
	}
	if string(rest) == "{}" {
		return head, nil
	}
	return append(append(head[:len(head)-1], ','), rest[1:]...), nil
}

// plainJSON writes JSON without HTML's escapes.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("google: encode: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
