package operator

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"strings"

	"aorta/internal/id"
)

// KeyOf gives the id of the operator of a name. It follows from the name, so that
// there is never a second one of it.
func KeyOf(b id.Bucket, name string) id.Operator { return id.Operator(id.Derive(b, "operator", name)) }

// Bucket is where all operators lie.
func Bucket(buckets int) id.Bucket { return id.BucketOf(buckets, "operators") }

// Actor is the operator as one who acts.
func (o Operator) Actor() Actor { return Actor{Name: o.Name, Roles: Roles(o.Roles)} }

// Waiting reports whether a second person must still agree that there is this
// operator: one whom a person has made is let in by another one, whose name then
// stands behind the first.
func (o Operator) Waiting() bool {
	return Actor{Name: o.CreatedBy}.Person() && !strings.Contains(o.CreatedBy, " ")
}

// Good reports whether the token opens anything.
func (o Operator) Good() bool { return o.Hash != "" && o.RevokedUS == 0 && !o.Waiting() }

// Is reports whether hash, made by a Hasher, is what is stored of the operator's
// token, in a time that tells nothing of it.
func (o Operator) Is(hash string) bool {
	return subtle.ConstantTimeCompare([]byte(o.Hash), []byte(hash)) == 1
}

// The text of a token is tokenPrefix, the 26 characters of the operator's id, "_",
// and the secret.
const (
	tokenPrefix = "op_"
	idText      = 26
	secretBytes = 20
	secretText  = secretBytes * 8 / 5
)

// Secret is the part of a token that nobody can guess: 160 bits.
type Secret [secretBytes]byte

// TokenText gives the text of a token.
func TokenText(o id.Operator, s Secret) string {
	return tokenPrefix + strings.TrimPrefix(o.String(), "opr_") + "_" + strings.ToLower(base32.StdEncoding.EncodeToString(s[:]))
}

// TokenOf reads whose token a text is; false for what is no token. Whether it is
// the right one Is tells.
func TokenOf(text string) (id.Operator, bool) {
	rest, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok || len(rest) != idText+1+secretText || rest[idText] != '_' {
		return id.Operator{}, false
	}
	k, err := id.ParseOperator("opr_" + rest[:idText])
	return k, err == nil
}

// Hasher makes what is stored of tokens: HMAC-SHA256 by a key of its own that
// follows from the master key, so that a dump of the database opens nothing and
// does not tell whether a text is a token (security.md S02).
type Hasher struct{ key [sha256.Size]byte }

// hashedBy names the key of a hash, so that a later one can be told from it.
const hashedBy = "1:"

// NewHasher makes the hasher of a master key.
func NewHasher(master [32]byte) Hasher { return Hasher{keyed(master, "hashes of operators' tokens")} }

// Hash gives what is stored of a token's text.
func (h Hasher) Hash(text string) string {
	sum := keyed(h.key, text)
	return hashedBy + hex.EncodeToString(sum[:])
}

func keyed(key [32]byte, data string) (out [sha256.Size]byte) {
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte(data))
	mac.Sum(out[:0])
	return out
}
