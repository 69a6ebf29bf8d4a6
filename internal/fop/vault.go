package fop

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"aorta/internal/id"
)

// Vault keeps what is secret of Google's: tokens, codes and phone numbers. What must be
// found again is a keyed hash; what must be read again is sealed by AES-256-GCM, with
// its place as associated data, so that it opens nowhere else (security.md S02, S18).
// All its keys follow from the master key.
type Vault struct {
	aead   cipher.AEAD
	hashes [sha256.Size]byte
	drawn  [sha256.Size]byte
	random io.Reader
}

// ErrSealed: a secret does not open. Another master key, or somebody has changed it.
var ErrSealed = errors.New("a secret of a Google association does not open: is the master key another one?")

// sealedBy names the key, so that a later one can be told from it.
const sealedBy = "1:"

// NewVault makes the vault of a master key. Many goroutines may read random at once.
func NewVault(master [32]byte, random io.Reader) *Vault {
	sealing := keyed(master[:], "secrets of Google associations")
	block, err := aes.NewCipher(sealing[:])
	if err != nil {
		panic("a key of 32 bytes is one of AES: " + err.Error())
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("AES has GCM: " + err.Error())
	}
	return &Vault{
		aead: aead, hashes: keyed(master[:], "hashes of Google associations"),
		drawn: keyed(master[:], "codes of Google associations"), random: random,
	}
}

func keyed(key []byte, parts ...string) (out [sha256.Size]byte) {
	mac := hmac.New(sha256.New, key)
	for _, p := range parts {
		var size [4]byte
		binary.BigEndian.PutUint32(size[:], uint32(len(p)))
		mac.Write(size[:])
		mac.Write([]byte(p))
	}
	mac.Sum(out[:0])
	return out
}

// TokenHash is what a Google Payment Token of an integration is found by.
func (v *Vault) TokenHash(integration, token string) string {
	return v.hash("token", integration, token)
}

// CodeHash is what is kept of a code's digits. The requestId of its sendOtp is in it,
// so that the same digits of two codes differ.
func (v *Vault) CodeHash(integration, requestID, digits string) string {
	return v.hash("code", integration, requestID, digits)
}

// PhoneHash is what the customers of a merchant are found by who have a phone number.
func (v *Vault) PhoneHash(merchant int64, phone string) string {
	return v.hash("phone", strconv.FormatInt(merchant, 10), phone)
}

// Print hides what can be guessed of a text that is only compared: of a request's
// fingerprint the code in it, of a member's value the phone number.
func (v *Vault) Print(text string) string { return v.hash("print", text) }

func (v *Vault) hash(parts ...string) string {
	sum := keyed(v.hashes[:], parts...)
	return sealedBy + hex.EncodeToString(sum[:])
}

// Digits draws the six digits of a code from the name of the request for it: the same
// ones however often it is asked, and known to nobody without the master key.
func (v *Vault) Digits(integration, requestID string) string {
	sum := keyed(v.drawn[:], integration, requestID)
	// Of 64 bits the remainder is even enough: no digit is likelier than another by 2⁻⁴⁴.
	return fmt.Sprintf("%06d", binary.BigEndian.Uint64(sum[:])%1_000_000)
}

// Seal encrypts a secret for a place: a column, and what names the row. It is no
// act's: it draws a nonce.
func (v *Vault) Seal(text, place string) (string, error) {
	nonce := make([]byte, v.aead.NonceSize())
	if _, err := io.ReadFull(v.random, nonce); err != nil {
		return "", fmt.Errorf("seal a secret: %w", err)
	}
	return sealedBy + base64.StdEncoding.EncodeToString(v.aead.Seal(nonce, nonce, []byte(text), []byte(place))), nil
}

// Open reads what Seal wrote for that place, or says ErrSealed.
func (v *Vault) Open(sealed, place string) (string, error) {
	text, ok := strings.CutPrefix(sealed, sealedBy)
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || !ok || len(raw) < v.aead.NonceSize() {
		return "", ErrSealed
	}
	plain, err := v.aead.Open(nil, raw[:v.aead.NonceSize()], raw[v.aead.NonceSize():], []byte(place))
	if err != nil {
		return "", ErrSealed
	}
	return string(plain), nil
}

// TokenPlace is where the token of a hash is sealed.
func TokenPlace(hash string) string { return "association/token/" + hash }

// PhonePlace is where a customer's phone number is sealed.
func PhonePlace(linked id.Raw) string { return "linked/phone/" + hex.EncodeToString(linked[:]) }

// Same compares keyed hashes in a time that tells nothing of them. Nothing is the same
// as no hash.
func Same(a, b string) bool {
	return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}
