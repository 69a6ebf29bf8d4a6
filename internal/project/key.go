package project

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strconv"
	"strings"

	"aorta/internal/id"
)

// Key lets a merchant's server call the native API for one project. Its text,
// sk_01k4…_…, is told once; what is stored of it is a hash, which opens nothing.
type Key struct {
	ID              id.Key
	ProjectID       int64
	Name            string // for people
	Hash            string // hexadecimal SHA-256 of the text
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
)

// Scopes are all of them.
func Scopes() []Scope {
	return []Scope{ScopeRead, ScopePayments, ScopeRefunds, ScopePayouts, ScopeWallet, ScopeWebhooks}
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
	for _, has := range strings.Fields(k.Scopes) {
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
// Whether it is the right text Fits tells.
func KeyOf(text string) (id.Key, bool) {
	rest, ok := strings.CutPrefix(text, keyPrefix)
	if !ok || len(rest) != idText+1+KeySecretLen || rest[idText] != '_' {
		return id.Key{}, false
	}
	k, err := id.ParseKey("key_" + rest[:idText])
	return k, err == nil
}

// HashKey gives what is stored of a key's text. A plain hash is enough: the text
// has 160 random bits.
func HashKey(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// Fits reports whether text is the key's, in a time that tells nothing of it.
func (k Key) Fits(text string) bool {
	return subtle.ConstantTimeCompare([]byte(k.Hash), []byte(HashKey(text))) == 1
}

// KeyBucket is where a merchant's keys lie.
func (p Project) KeyBucket(buckets int) id.Bucket {
	return id.BucketOf(buckets, "merchant", strconv.FormatInt(p.MerchantID, 10))
}
