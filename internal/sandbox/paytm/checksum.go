package paytm

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"
)

// ErrKey means that a merchant key is not 16 bytes long, which the vendor's
// library refuses too (paytm.md section 2).
var ErrKey = errors.New("a Paytm merchant key has 16 bytes")

const (
	iv             = "@@@@&&&&####$$$$"
	saltLength     = 4                          // base64 of three random bytes
	plainLength    = 2*sha256.Size + saltLength // hash in hexadecimal, then the salt
	padLength      = 12                         // PKCS#7 up to the next block
	sealedLength   = plainLength + padLength    // 80 bytes
	checksumLength = (sealedLength + 2) / 3 * 4 // 108 base64 characters
)

// Key makes and checks the vendor's checksums for one merchant key. It is safe
// for concurrent use; the cipher's key schedule is made once.
type Key struct{ block cipher.Block }

// NewKey returns ErrKey unless key has 16 bytes.
func NewKey(key string) (*Key, error) {
	if len(key) != 16 {
		return nil, ErrKey
	}
	block, err := aes.NewCipher([]byte(key))
	if err != nil {
		return nil, err
	}
	return &Key{block: block}, nil
}

// Checksum seals text under a salt of four base64 characters. For JSON, text
// is the exact bytes of the body value as sent; for a form it is FormText.
func (k *Key) Checksum(text []byte, salt string) string {
	var sealed [sealedLength]byte
	plain(sealed[:], text, salt)
	for i := plainLength; i < sealedLength; i++ {
		sealed[i] = padLength
	}
	cipher.NewCBCEncrypter(k.block, []byte(iv)).CryptBlocks(sealed[:], sealed[:])
	return base64.StdEncoding.EncodeToString(sealed[:])
}

// plain writes hash and salt to the front of dst.
func plain(dst, text []byte, salt string) {
	h := sha256.New()
	h.Write(text)
	h.Write([]byte{'|'})
	h.Write([]byte(salt))
	var sum [sha256.Size]byte
	hex.Encode(dst, h.Sum(sum[:0]))
	copy(dst[2*sha256.Size:], salt)
}

// Verify says whether checksum belongs to text. Unlike the vendor's library it
// compares in constant time; what it accepts is the same.
func (k *Key) Verify(text []byte, checksum string) bool {
	if len(checksum) != checksumLength {
		return false
	}
	sealed, err := base64.StdEncoding.DecodeString(checksum)
	if err != nil || len(sealed) != sealedLength {
		return false
	}
	cipher.NewCBCDecrypter(k.block, []byte(iv)).CryptBlocks(sealed, sealed)
	for _, b := range sealed[plainLength:] {
		if b != padLength {
			return false
		}
	}
	var want [plainLength]byte
	plain(want[:], text, string(sealed[2*sha256.Size:plainLength]))
	return subtle.ConstantTimeCompare(want[:], sealed[:plainLength]) == 1
}

// FormText is what is signed of a form: the values in byte order of their
// names, without CHECKSUMHASH, joined by a bar. Names take no part.
func FormText(form map[string]string) []byte {
	var values []string
	for _, name := range slices.Sorted(maps.Keys(form)) {
		if name != "CHECKSUMHASH" {
			values = append(values, form[name])
		}
	}
	return []byte(strings.Join(values, "|"))
}
