// Package id gives every row of the house its name: 16 bytes that order by
// time and carry the row's bucket, so that any row is found from its id alone.
//
// The package never reads a clock and has no randomness of its own: both are
// handed to a Minter. Its known weakness: ids minted in the same millisecond
// order by their bucket and then at random, not by the moment of minting.
package id

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// ErrMalformed says that a text is not an id of the kind asked for. To an
// outside caller such an id is simply unknown.
var ErrMalformed = errors.New("malformed id")

// Bucket is a small complete ledger within a home: 0..Buckets-1 (design section 3).
type Bucket uint8

// Raw is an id without its kind: 48 bits of unix milliseconds, 8 bits of
// bucket, 72 bits of randomness. The zero Raw names nothing.
type Raw [16]byte

// Kind gives an id its prefix. Its implementations are the empty structs below.
type Kind interface{ prefix() string }

// Of is the id of one kind of row, e.g. Payment. It is shown as prefix + 26
// characters of Crockford base32: pay_01k4…
type Of[K Kind] Raw

type (
	paymentKind     struct{}
	operationKind   struct{}
	attemptKind     struct{}
	transferKind    struct{}
	eventKind       struct{}
	customerKind    struct{}
	accountKind     struct{}
	instrumentKind  struct{}
	deliveryKind    struct{}
	caseKind        struct{}
	inboxKind       struct{}
	batchKind       struct{}
	roundKind       struct{}
	keyKind         struct{}
	answerKind      struct{}
	endpointKind    struct{}
	payoutKind      struct{}
	noteKind        struct{}
	windowKind      struct{}
	checkKind       struct{}
	personKind      struct{}
	operatorKind    struct{}
	auditKind       struct{}
	cursorKind      struct{}
	callKind        struct{}
	associationKind struct{}
	proofKind       struct{}
	codeKind        struct{}
	statementKind   struct{}
	toldKind        struct{}
)

func (paymentKind) prefix() string     { return "pay_" }
func (operationKind) prefix() string   { return "op_" }
func (attemptKind) prefix() string     { return "att_" }
func (transferKind) prefix() string    { return "txn_" }
func (eventKind) prefix() string       { return "evt_" }
func (customerKind) prefix() string    { return "cus_" }
func (accountKind) prefix() string     { return "acc_" }
func (instrumentKind) prefix() string  { return "tok_" }
func (deliveryKind) prefix() string    { return "cb_" }
func (caseKind) prefix() string        { return "case_" }
func (inboxKind) prefix() string       { return "in_" }
func (batchKind) prefix() string       { return "bat_" }
func (roundKind) prefix() string       { return "rnd_" }
func (keyKind) prefix() string         { return "key_" }
func (answerKind) prefix() string      { return "ans_" }
func (endpointKind) prefix() string    { return "we_" }
func (payoutKind) prefix() string      { return "po_" }
func (noteKind) prefix() string        { return "nte_" }
func (windowKind) prefix() string      { return "win_" }
func (checkKind) prefix() string       { return "kyc_" }
func (personKind) prefix() string      { return "per_" }
func (operatorKind) prefix() string    { return "opr_" }
func (auditKind) prefix() string       { return "aud_" }
func (cursorKind) prefix() string      { return "cur_" }
func (callKind) prefix() string        { return "gpc_" }
func (associationKind) prefix() string { return "gpa_" }
func (proofKind) prefix() string       { return "gpp_" }
func (codeKind) prefix() string        { return "otp_" }
func (statementKind) prefix() string   { return "gps_" }
func (toldKind) prefix() string        { return "gpt_" }

// The ids of the house.
type (
	Payment    = Of[paymentKind]
	Operation  = Of[operationKind]
	Attempt    = Of[attemptKind]
	Transfer   = Of[transferKind]
	Event      = Of[eventKind]
	Customer   = Of[customerKind]
	Account    = Of[accountKind]
	Instrument = Of[instrumentKind]
	Delivery   = Of[deliveryKind]
	Case       = Of[caseKind]
	Inbox      = Of[inboxKind]
	Batch      = Of[batchKind]
	Round      = Of[roundKind]
	Key        = Of[keyKind]
	Answer     = Of[answerKind]
	Endpoint   = Of[endpointKind]
	Note       = Of[noteKind]
	Window     = Of[windowKind]
	Check      = Of[checkKind]
	Person     = Of[personKind]
	Operator   = Of[operatorKind]
	Audit      = Of[auditKind]

	// Of Google (package fop).
	Call        = Of[callKind]
	Association = Of[associationKind]
	Proof       = Of[proofKind]
	Code        = Of[codeKind]
	Statement   = Of[statementKind]
	Told        = Of[toldKind]

	// Payout is what a Payment is called outside that pays a customer out: the
	// same 16 bytes, so each is made of the other by conversion.
	Payout = Of[payoutKind]

	// Cursor is how far a list has got, sealed: the door that made it knows of what.
	Cursor = Of[cursorKind]
)

// Crockford's alphabet in lower case: no i, l, o, u.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// TextLen is the number of base32 characters of 128 bits, without a prefix.
const TextLen = 26

// Bucket is where the row lies.
func (r Raw) Bucket() Bucket { return Bucket(r[6]) }

// IsZero reports whether r names nothing.
func (r Raw) IsZero() bool { return r == Raw{} }

// Time is the millisecond of minting.
func (r Raw) Time() time.Time {
	var b [8]byte
	copy(b[2:], r[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b[:]))).UTC()
}

// At is before every id that is minted at t or later, and after all that were
// minted in an earlier millisecond.
func At(t time.Time) Raw {
	var r Raw
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(0, t.UnixMilli())))
	copy(r[:6], ms[2:])
	return r
}

// AppendText writes the 26 characters that follow the prefix of an id.
func (r Raw) AppendText(dst []byte) []byte { return appendText(dst, r) }

// ParseRaw reads what AppendText wrote.
func ParseRaw(text string) (Raw, error) {
	if len(text) == TextLen {
		if r, ok := parseText(text); ok {
			return r, nil
		}
	}
	return Raw{}, fmt.Errorf("%w: want %d characters", ErrMalformed, TextLen)
}

// Raw drops the kind.
func (i Of[K]) Raw() Raw { return Raw(i) }

// Bucket is where the row lies.
func (i Of[K]) Bucket() Bucket { return Raw(i).Bucket() }

// IsZero reports whether i names nothing.
func (i Of[K]) IsZero() bool { return Raw(i).IsZero() }

// Compare orders ids by time, then bucket, then randomness, as both stores do.
func (i Of[K]) Compare(j Of[K]) int { return bytes.Compare(i[:], j[:]) }

// String gives the public form, e.g. pay_01k4…; the empty string for the zero id.
func (i Of[K]) String() string {
	var text [32]byte
	return string(i.Append(text[:0]))
}

// Append adds the public form to a text.
func (i Of[K]) Append(dst []byte) []byte {
	if i.IsZero() {
		return dst
	}
	var k K
	return appendText(append(dst, k.prefix()...), Raw(i))
}

// MarshalText gives the public form.
func (i Of[K]) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText reads the public form; the empty text is the zero id.
func (i *Of[K]) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*i = Of[K]{}
		return nil
	}
	v, err := parse[K](string(text))
	*i = v
	return err
}

// ParsePayment reads pay_…; ErrMalformed names no payment of ours.
func ParsePayment(text string) (Payment, error) { return parse[paymentKind](text) }

// ParsePayout reads po_….
func ParsePayout(text string) (Payout, error) { return parse[payoutKind](text) }

// ParseAttempt reads att_…, the reference under which a PSP knows an attempt.
func ParseAttempt(text string) (Attempt, error) { return parse[attemptKind](text) }

// ParseTransfer reads txn_….
func ParseTransfer(text string) (Transfer, error) { return parse[transferKind](text) }

// ParseOperation reads op_….
func ParseOperation(text string) (Operation, error) { return parse[operationKind](text) }

// ParseKey reads key_….
func ParseKey(text string) (Key, error) { return parse[keyKind](text) }

// ParseDelivery reads cb_….
func ParseDelivery(text string) (Delivery, error) { return parse[deliveryKind](text) }

// ParseEndpoint reads we_….
func ParseEndpoint(text string) (Endpoint, error) { return parse[endpointKind](text) }

// ParseCase reads case_….
func ParseCase(text string) (Case, error) { return parse[caseKind](text) }

// ParseCheck reads kyc_….
func ParseCheck(text string) (Check, error) { return parse[checkKind](text) }

// ParseOperator reads opr_….
func ParseOperator(text string) (Operator, error) { return parse[operatorKind](text) }

// ParseInstrument reads tok_….
func ParseInstrument(text string) (Instrument, error) { return parse[instrumentKind](text) }

// ParseAssociation reads gpa_….
func ParseAssociation(text string) (Association, error) { return parse[associationKind](text) }

// ParseCall reads gpc_….
func ParseCall(text string) (Call, error) { return parse[callKind](text) }

// ParseStatement reads gps_….
func ParseStatement(text string) (Statement, error) { return parse[statementKind](text) }

// ParseInbox reads in_….
func ParseInbox(text string) (Inbox, error) { return parse[inboxKind](text) }

func parse[K Kind](text string) (Of[K], error) {
	var k K
	p := k.prefix()
	if len(text) != len(p)+TextLen || text[:len(p)] != p {
		return Of[K]{}, fmt.Errorf("%w: want %s and %d characters", ErrMalformed, p, TextLen)
	}
	r, ok := parseText(text[len(p):])
	if !ok {
		return Of[K]{}, fmt.Errorf("%w: bad character", ErrMalformed)
	}
	return Of[K](r), nil
}

// appendText writes 128 bits as 26 characters, most significant first; the
// first character carries only three bits.
func appendText(dst []byte, r Raw) []byte {
	hi := binary.BigEndian.Uint64(r[:8])
	lo := binary.BigEndian.Uint64(r[8:])
	var out [TextLen]byte
	for n := TextLen - 1; n >= 0; n-- {
		out[n] = alphabet[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return append(dst, out[:]...)
}

var decode = func() (t [256]byte) {
	for n := range t {
		t[n] = 0xff
	}
	for n := range len(alphabet) {
		t[alphabet[n]] = byte(n)
	}
	return t
}()

func parseText(s string) (Raw, bool) {
	var hi, lo uint64
	if decode[s[0]] > 7 { // 26*5 = 130 bits: two too many
		return Raw{}, false
	}
	for n := range len(s) {
		v := decode[s[n]]
		if v == 0xff {
			return Raw{}, false
		}
		hi = hi<<5 | lo>>59
		lo = lo<<5 | uint64(v)
	}
	var r Raw
	binary.BigEndian.PutUint64(r[:8], hi)
	binary.BigEndian.PutUint64(r[8:], lo)
	return r, true
}

// Minter makes ids from an instant and a source of random bits it is given.
type Minter struct {
	Bits func() uint64 // uniformly random; must be safe for the caller's use
}

// Mint makes a new id in a bucket, as of now.
func (m Minter) Mint(now time.Time, b Bucket) Raw {
	var r Raw
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(r[:6], ms[2:])
	r[6] = byte(b)
	binary.BigEndian.PutUint64(r[8:], m.Bits())
	r[7] = byte(m.Bits())
	return r
}

// Derive names a thing that exists once per (bucket, parts): an account, for
// instance. Equal parts give equal ids, so no lookup is needed to find it.
// Its time part is hashed too and means nothing.
func Derive(b Bucket, parts ...string) Raw {
	text := make([]byte, 0, 256) // of most names, without memory of its own: a move of a wallet asks ten times
	for _, p := range parts {
		text = binary.BigEndian.AppendUint32(text, uint32(len(p)))
		text = append(text, p...)
	}
	sum := sha256.Sum256(text)
	r := Raw(sum[:len(Raw{})])
	r[6] = byte(b)
	return r
}

// BucketOf hashes an owner's name into one of n buckets. It must never change:
// a name's bucket is computed anew at every request.
func BucketOf(n int, parts ...string) Bucket {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a of 64 bits, a NUL behind each part
	v := uint64(offset)
	for _, p := range parts {
		for i := range len(p) {
			v = (v ^ uint64(p[i])) * prime
		}
		v *= prime
	}
	v ^= v >> 32 // fnv's low bits alone are weak for short names
	return Bucket(v % uint64(n))
}
