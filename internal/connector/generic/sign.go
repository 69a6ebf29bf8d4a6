package generic

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strings"

	"aorta/internal/connector/exchange"
)

// The headers of the protocol.
const (
	accountHeader   = "X-Account"
	timestampHeader = "X-Timestamp"
	signatureHeader = "X-Signature"
	keptHeader      = "X-Kept" // ours, of a notification that is not stored as it came
	scheme          = "sha256="
)

// key is an HMAC-SHA256 that has read its secret and nothing else.
//
// What is signed begins differently in each of the four uses, so that no
// signature serves another: a webhook is its body, an object of JSON; a request
// begins with its time, an answer with its status, what we keep of a webhook with
// keptMark, each ended by a line feed.
type key struct{ keyed hash.Cloner }

func newKey(s exchange.Secret) key {
	return key{hmac.New(sha256.New, []byte(s.Reveal())).(hash.Cloner)}
}

// sign gives "sha256=<hex>" of the parts, a line feed between each two.
func (k key) sign(parts ...string) string {
	mac, err := k.keyed.Clone()
	if err != nil {
		panic("generic: the standard library's HMAC cannot be cloned: " + err.Error())
	}
	mac.Write([]byte(strings.Join(parts, "\n")))
	var sum [sha256.Size]byte
	return scheme + hex.EncodeToString(mac.Sum(sum[:0]))
}

// verify says, in constant time, whether signature is that of the parts. Hex
// digits of either case are taken.
func (k key) verify(signature string, parts ...string) bool {
	return len(signature) == len(scheme)+2*sha256.Size && hmac.Equal([]byte(k.sign(parts...)), []byte(strings.ToLower(signature)))
}

// String hides the key from fmt.
func (key) String() string { return "[secret]" }
