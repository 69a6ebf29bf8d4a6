// Package paytm speaks the protocol of the Paytm payment gateway and nothing
// else: it decides nothing about money, keeps no state and never touches the book.
//
// Known weakness: the vendor's checksum covers less than a signature should; see
// Checksummer for what its users must add.
package paytm

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
)

// ErrKeyLength says that a merchant key is not of 16 bytes. It is a mistake in the
// settings of this provider account; without the right key nothing can be sent.
var ErrKeyLength = errors.New("paytm: the merchant key must have exactly 16 bytes")

// ErrSalt says that no randomness could be read, so nothing was signed.
var ErrSalt = errors.New("paytm: no randomness for the salt")

// The sizes of a checksum in its stages: salt and hash as text, padded to whole
// blocks, then in base64 (paytm.md section 2, steps 2 to 5).
const (
	saltBytes      = 3
	saltLength     = 4
	hashLength     = 2 * sha256.Size
	plainLength    = hashLength + saltLength
	cipherLength   = 80
	checksumLength = 108
	padLength      = cipherLength - plainLength
)

// iv is the same for all merchants and all messages; the vendor fixed it.
const iv = "@@@@&&&&####$$$$"

// checksumField holds the checksum among the parameters that it covers.
const checksumField = "CHECKSUMHASH"

// Checksummer makes and checks the vendor's "signature", also called CHECKSUMHASH,
// under one merchant key (paytm.md section 2). It is safe for concurrent use if
// its source of randomness is.
//
// Known weaknesses, all of the scheme: of parameters only the values are covered,
// in the order of their names, so a field may be renamed or a "|" moved between
// neighbours unnoticed; and there is neither time nor nonce. Whoever verifies must
// take known field names only, refuse "|" in values, compare with the stored order,
// and confirm by the status call before crediting.
type Checksummer struct {
	block cipher.Block
	salts io.Reader
}

// NewChecksummer prepares the cipher for key. Each signing reads three bytes from
// salts. The error is ErrKeyLength: AES-192 and AES-256 keys, which only one of
// the vendor's two libraries takes, are refused too.
func NewChecksummer(key string, salts io.Reader) (*Checksummer, error) {
	if len(key) != aes.BlockSize {
		return nil, fmt.Errorf("%w, it has %d", ErrKeyLength, len(key))
	}
	block, err := aes.NewCipher([]byte(key))
	if err != nil {
		return nil, fmt.Errorf("prepare the merchant key: %w", err)
	}
	return &Checksummer{block: block, salts: salts}, nil
}

// Sign makes the checksum of a text: 108 characters. Of a JSON call that is the
// body value byte for byte as it is sent. The error is ErrSalt.
func (c *Checksummer) Sign(text []byte) (string, error) {
	var random [saltBytes]byte
	if _, err := io.ReadFull(c.salts, random[:]); err != nil {
		return "", fmt.Errorf("%w: %w", ErrSalt, err)
	}
	var salt [saltLength]byte
	base64.StdEncoding.Encode(salt[:], random[:])

	var message [cipherLength]byte
	hash := saltedHash(text, salt[:])
	copy(message[copy(message[:], hash[:]):], salt[:])
	for i := plainLength; i < cipherLength; i++ {
		message[i] = padLength
	}
	cipher.NewCBCEncrypter(c.block, []byte(iv)).CryptBlocks(message[:], message[:])
	return base64.StdEncoding.EncodeToString(message[:]), nil
}

// Verify says whether checksum belongs to text. What is not 108 characters of
// base64 over 80 bytes with the right padding is refused before any hashing; a
// "+" that became a space on the way stays wrong.
func (c *Checksummer) Verify(text []byte, checksum string) bool {
	if len(checksum) != checksumLength {
		return false
	}
	message, err := base64.StdEncoding.Strict().DecodeString(checksum)
	if err != nil || len(message) != cipherLength {
		return false
	}
	cipher.NewCBCDecrypter(c.block, []byte(iv)).CryptBlocks(message, message)
	for _, b := range message[plainLength:] {
		if b != padLength {
			return false
		}
	}
	hash := saltedHash(text, message[hashLength:plainLength])
	// The vendor's library compares as text; ours takes the same time always (S16).
	return subtle.ConstantTimeCompare(hash[:], message[:hashLength]) == 1
}

// SignParams makes the checksum of form parameters; CHECKSUMHASH among them does
// not count. A parameter without a value is the empty text.
func (c *Checksummer) SignParams(params map[string]string) (string, error) {
	return c.Sign(paramsText(params))
}

// VerifyParams says whether checksum belongs to form parameters; CHECKSUMHASH
// among them does not count. A true answer covers the values only: see Checksummer.
func (c *Checksummer) VerifyParams(params map[string]string, checksum string) bool {
	return c.Verify(paramsText(params), checksum)
}

// LogValue keeps the expanded key out of logs.
func (*Checksummer) LogValue() slog.Value { return slog.StringValue("[checksummer]") }

// Format keeps the expanded key out of everything that fmt writes.
func (*Checksummer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[checksummer]") }

// paramsText joins the values in the byte order of their names.
func paramsText(params map[string]string) []byte {
	size := len(params)
	for _, value := range params {
		size += len(value)
	}
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(params)), func(name string) bool { return name == checksumField })
	text := make([]byte, 0, size)
	for i, name := range names {
		if i > 0 {
			text = append(text, '|')
		}
		text = append(text, params[name]...)
	}
	return text
}

// saltedHash is the SHA-256 of "text|salt" in lower-case hexadecimal.
func saltedHash(text, salt []byte) (hash [hashLength]byte) {
	h := sha256.New()
	h.Write(text)
	h.Write([]byte{'|'})
	h.Write(salt)
	var sum [sha256.Size]byte
	hex.Encode(hash[:], h.Sum(sum[:0]))
	return hash
}
