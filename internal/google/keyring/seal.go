package keyring

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
)

// sealer encrypts private keys for the disk: AES-256-GCM by a key that follows
// from the master key, with the fingerprint as associated data, so that a file
// under another name does not open (security.md S02, S18).
type sealer struct {
	aead   cipher.AEAD
	random io.Reader
}

// sealedBy is what a sealed file begins with: what it is, and by which key.
const sealedBy = "aorta private key 1:"

func newSealer(master [32]byte, random io.Reader) sealer {
	mac := hmac.New(sha256.New, master[:])
	mac.Write([]byte("private keys of Google integrations"))
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		panic("a key of 32 bytes is one of AES: " + err.Error())
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("AES has GCM: " + err.Error())
	}
	return sealer{aead, random}
}

func (s sealer) seal(private []byte, fingerprint string) ([]byte, error) {
	nonce := make([]byte, s.aead.NonceSize())
	if _, err := io.ReadFull(s.random, nonce); err != nil {
		return nil, fmt.Errorf("seal a private key: %w", err)
	}
	out := base64.StdEncoding.AppendEncode([]byte(sealedBy), s.aead.Seal(nonce, nonce, private, []byte(fingerprint)))
	return append(out, '\n'), nil
}

func (s sealer) open(sealed []byte, fingerprint string) ([]byte, error) {
	text, ok := bytes.CutPrefix(bytes.TrimSpace(sealed), []byte(sealedBy))
	raw, err := base64.StdEncoding.AppendDecode(nil, text)
	if !ok || err != nil || len(raw) < s.aead.NonceSize() {
		return nil, ErrSealed
	}
	private, err := s.aead.Open(nil, raw[:s.aead.NonceSize()], raw[s.aead.NonceSize():], []byte(fingerprint))
	if err != nil {
		return nil, ErrSealed
	}
	return private, nil
}
