package callback

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
)

// sealer encrypts secrets for the store: AES-256-GCM, with the place of the
// secret as associated data, so that one that is moved to another row or column
// does not open (security.md S18).
type sealer struct {
	aead   cipher.AEAD
	drawn  [sha256.Size]byte // what keys are drawn from, see draw
	random io.Reader
}

// sealedBy names the key, so that a later one can be told from it.
const sealedBy = "1:"

// errSealed: a secret does not open. Another master key, or somebody has changed it.
var errSealed = errors.New("the secret of an endpoint does not open: is the master key another one?")

func newSealer(master [32]byte, random io.Reader) sealer {
	sealing := keyed(master[:], "secrets of endpoints")
	block, err := aes.NewCipher(sealing[:])
	if err != nil {
		panic("a key of 32 bytes is one of AES: " + err.Error())
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("AES has GCM: " + err.Error())
	}
	return sealer{aead, keyed(master[:], "new secrets of endpoints"), random}
}

func keyed(key []byte, text string) (out [sha256.Size]byte) {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	mac.Sum(out[:0])
	return out
}

// draw makes the bytes of a new key from the name of the request for it: the same
// ones however often it is made, and unknown to whoever has not the master key.
func (s sealer) draw(name string) [sha256.Size]byte { return keyed(s.drawn[:], name) }

func (s sealer) seal(text, place string) (string, error) {
	nonce := make([]byte, s.aead.NonceSize())
	if _, err := io.ReadFull(s.random, nonce); err != nil {
		return "", fmt.Errorf("seal a secret: %w", err)
	}
	return sealedBy + base64.StdEncoding.EncodeToString(s.aead.Seal(nonce, nonce, []byte(text), []byte(place))), nil
}

func (s sealer) open(sealed, place string) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(sealed, sealedBy))
	if err != nil || !strings.HasPrefix(sealed, sealedBy) || len(raw) < s.aead.NonceSize() {
		return "", errSealed
	}
	text, err := s.aead.Open(nil, raw[:s.aead.NonceSize()], raw[s.aead.NonceSize():], []byte(place))
	if err != nil {
		return "", errSealed
	}
	return string(text), nil
}
