// Package pgp is the message security of Google's tokenized form of payment:
// each body is signed, encrypted, and written in base64url
// (google-tokenized-fop.md section 2). It turns such a text into the plaintext
// and the fingerprint of who signed it, and the other way round.
//
// It takes from OpenPGP what that protocol needs and refuses the rest: messages
// are encrypted to an RSA key of ours with AES-256 and a modification check, and
// signed inside with SHA-384 or stronger by a key that is trusted and valid now.
// Nothing of a message is looked at before all of it is decrypted and its
// modification check has passed: a reader that streams gives out the whole
// plaintext of a damaged message before it says so.
//
// Everything is bounded before it costs: the text, the packets, the recipients,
// the signatures, and what a compressed packet may grow to.
//
// It has no clock and no randomness of its own, keeps nothing, and decides
// nothing about the keys' states: which keys may do what is given to it, as a
// Ring. It holds them to their own expiry and usage flags.
//
// Known weakness: session keys are wrapped with PKCS #1 v1.5, since that is what
// OpenPGP has. Whether unwrapping succeeded is therefore told neither by the
// answer nor by the work that follows it.
package pgp

import (
	"errors"
	"time"
)

// The bounds of a message.
const (
	// MaxText is the largest text that is read (section 2.4).
	MaxText = 256 << 10
	// MaxPlain is the largest plaintext. A text of 59 kB can hold one of 60 MB.
	MaxPlain = 1 << 20
	// MaxURL is how long a URL may be that carries a message (section 2.2).
	MaxURL = 2048

	maxRecipients = 16       // keys that a message is encrypted to; each of ours costs an RSA operation
	maxSignatures = 16       // each of a known signer costs a pass over the plaintext
	maxPackets    = 64       // in one layer of a message
	maxAround     = 64 << 10 // what may surround the plaintext within its layer: signatures, mostly
	maxKeyText    = 64 << 10 // a key as a file
)

// Skew is how far the clock of a signer may be ahead of ours: as far as the
// time within the message may be (section 1.2).
const Skew = 60 * time.Second

// Why a message was not taken. Errors of Open are one of the first three, with
// the reason behind it, which is for the log: whoever sent the message learns no
// more than which of the three it was.
var (
	// ErrEncryption: it is no message, not encrypted, not to a key that decrypts
	// here, or damaged. Answer 400 INVALID_PAYLOAD_ENCRYPTION.
	ErrEncryption = errors.New("pgp: not a message encrypted to us")
	// ErrSignature: nobody whom we trust now has signed it. Answer 401
	// INVALID_PAYLOAD_SIGNATURE.
	ErrSignature = errors.New("pgp: no valid signature of a trusted key")
	// ErrTooLarge: the text is above MaxText, or the plaintext above MaxPlain.
	// Answer 413.
	ErrTooLarge = errors.New("pgp: message too large")
	// ErrNoKey: there is no key to sign with or none to encrypt to, or they have
	// expired. Nothing can be sent; somebody must see to the keys.
	ErrNoKey = errors.New("pgp: no valid key")
	// ErrKey: this is no key, or none that can be used. The text says why.
	ErrKey = errors.New("pgp: unusable key")
)
