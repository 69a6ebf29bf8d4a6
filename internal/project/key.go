package project

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strconv"
	"strings"

	"aorta/internal/id"
)

// Key lets a merchant's server call the native API for one project. Its text,
// sk_01k4…_…, is told once; what is stored of it is a keyed hash, which opens
// nothing, and of which nobody can tell without the master key whether a text is
// its (security.md S02).
type Key struct {
	ID              id.Key
	ProjectID       int64
	Name            string // for people
	Hash            string // as KeyHasher makes it of the text
	Scopes          string // separated by spaces, as Scope.In reads them
	DefaultCustomer string // whose payments those are that name no customer; empty: nobody's
	CreatedUS       int64
	ExpiresUS       int64 // 0: never
	RevokedUS       int64 // 0: not
}

// Scope is something that a key may be allowed to do (security.md S05).
type Scope string

// The scopes.
const (
	ScopeRead     Scope = "read"
	ScopePayments Scope = "payments:write"
	ScopeRefunds  Scope = "refunds:write"
	ScopePayouts  Scope = "payouts:write"
	ScopeWallet   Scope = "wallet:write"
	ScopeWebhooks Scope = "webhooks:write"

	ScopeCustomers Scope = "customers:write" // their limits, restrictions and verification
)

// Scopes are all of them.
func Scopes() []Scope {
	return []Scope{ScopeRead, ScopePayments, ScopeRefunds, ScopePayouts, ScopeWallet, ScopeWebhooks, ScopeCustomers}
}

// Known reports whether there is such a scope.
func (s Scope) Known() bool {
	for _, k := range Scopes() {
		if s == k {
			return true
		}
	}
	return false
}

// May reports whether the key has a scope.
func (k Key) May(s Scope) bool {
	for has := range strings.FieldsSeq(k.Scopes) {
		if Scope(has) == s {
			return true
		}
	}
	return false
}

// Good reports whether the key can be used now.
func (k Key) Good(nowUS int64) bool {
	return k.RevokedUS == 0 && (k.ExpiresUS == 0 || nowUS < k.ExpiresUS)
}

// The text of a key is keyPrefix, the 26 characters of its id, "_", and
// KeySecretLen characters that nobody can guess.
const (
	keyPrefix = "sk_"
	idText    = 26

	// KeySecretLen is the number of random characters of a key: 160 bits.
	KeySecretLen = 32
)

// KeyText gives the text of a key.
func KeyText(k id.Key, secret string) string {
	return keyPrefix + strings.TrimPrefix(k.String(), "key_") + "_" + secret
}

// KeyOf reads which key a text is the text of; false for what is no key's text.
// Whether it is the right text Is tells.
func KeyOf(text string) (id.Key, bool) {
	rest, ok := strings.CutPrefix(text, keyPrefix)
	if !ok || len(rest) != idText+1+KeySecretLen || rest[idText] != '_' {
		return id.Key{}, false
	}
	k, err := id.ParseKey("key_" + rest[:idText])
	return k, err == nil
}

// KeyHasher makes what is stored of API keys: HMAC-SHA256 of the SHA-256 of a
// key's text, by a key of its own that follows from the master key. The plain hash
// is within so that rows of before, which have it alone, can be sealed by who does
// not know their texts.
type KeyHasher struct{ key [sha256.Size]byte }

// hashedBy names the key of a hash, so that a later one can be told from it.
const hashedBy = "1:"

// NewKeyHasher makes the hasher of a master key.
func NewKeyHasher(master [32]byte) KeyHasher {
	return KeyHasher{keyed(master, []byte("hashes of API keys"))}
}

func keyed(key [32]byte, data []byte) (out [sha256.Size]byte) {
	mac := hmac.New(sha256.New, key[:])
	mac.Write(data)
	mac.Sum(out[:0])
	return out
}

// Hash gives what is stored of a key's text.
func (h KeyHasher) Hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return h.of(sum[:])
}

func (h KeyHasher) of(plain []byte) string {
	sum := keyed(h.key, plain)
	return hashedBy + hex.EncodeToString(sum[:])
}

// Seal makes of a plain hash, as rows had it before, what Hash makes of the same
// text. false: it is none.
func (h KeyHasher) Seal(stored string) (string, bool) {
	plain, err := hex.DecodeString(stored)
	if err != nil || len(plain) != sha256.Size {
		return "", false
	}
	return h.of(plain), true
}

// Is reports whether hash, made by a KeyHasher, is what is stored of the key, in a
// time that tells nothing of it.
func (k Key) Is(hash string) bool {
	return subtle.ConstantTimeCompare([]byte(k.Hash), []byte(hash)) == 1
}

// KeyBucket is where a merchant's keys lie.
func (p Project) KeyBucket(buckets int) id.Bucket {
	return id.BucketOf(buckets, "merchant", strconv.FormatInt(p.MerchantID, 10))
}
