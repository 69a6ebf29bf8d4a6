package pgp

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// Key is one OpenPGP key with its subkeys, public or private. It prints and logs
// as its fingerprint. The zero Key is none.
//
// A Key is never changed and safe for concurrent use: the library writes down in
// the key itself which of its signatures it has verified, so that is done for
// all of them when the key is read.
type Key struct{ of *entity }

// entity hides the library's type from fmt, which would print private numbers.
type entity struct{ *openpgp.Entity }

// KeyOptions are the parts of a new key with a default.
type KeyOptions struct {
	Bits int           // 2048 if 0; 3072 and 4096 make longer messages and cost 3 and 6 times the time
	Life time.Duration // 365 days if 0
}

// MaxLife is how long a key may live (section 2.2: two years at most).
const MaxLife = 2 * 365 * 24 * time.Hour

// NewKey makes a key as Google's guide asks for: RSA, which signs, with an RSA
// subkey that others encrypt to, self-signed with SHA-384. name is what others
// see of whose it is, and must hold none of ()<> and no control characters.
func NewKey(name string, now time.Time, random io.Reader, o KeyOptions) (Key, error) {
	if o.Bits == 0 {
		o.Bits = 2048
	}
	if o.Life == 0 {
		o.Life = 365 * 24 * time.Hour
	}
	if o.Bits != 2048 && o.Bits != 3072 && o.Bits != 4096 {
		return Key{}, fmt.Errorf("%w: a key has 2048, 3072 or 4096 bits", ErrKey)
	}
	if o.Life < time.Hour || o.Life > MaxLife {
		return Key{}, fmt.Errorf("%w: a key lives an hour to two years", ErrKey)
	}
	c := settings(now, random)
	c.Algorithm, c.RSABits, c.KeyLifetimeSecs = packet.PubKeyAlgoRSA, o.Bits, uint32(o.Life/time.Second)
	e, err := openpgp.NewEntity(name, "", "", c)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return newKey(e)
}

// ReadKey reads a key as gpg writes it, armored or binary. The error is ErrKey
// with what is wrong and what to do about it: several keys at once, a private
// key under a passphrase, a key that cannot both sign and be encrypted to. Whether
// it has expired is not asked here, see Expires.
func ReadKey(text []byte) (Key, error) {
	if len(text) > maxKeyText {
		return Key{}, fmt.Errorf("%w: more than %d bytes; export it without other people's signatures (--export-options export-minimal)", ErrKey, maxKeyText)
	}
	if trimmed := bytes.TrimSpace(text); bytes.HasPrefix(trimmed, []byte("-----BEGIN")) {
		block, err := armor.Decode(bytes.NewReader(trimmed))
		if err != nil {
			return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
		}
		if block.Type != openpgp.PublicKeyType && block.Type != openpgp.PrivateKeyType {
			return Key{}, fmt.Errorf("%w: it is a %s", ErrKey, block.Type)
		}
		if text, err = io.ReadAll(io.LimitReader(block.Body, maxKeyText)); err != nil {
			return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
		}
	}
	parts, err := split(text)
	if err != nil || len(parts) == 0 || len(parts[0].body) == 0 || parts[0].body[0] != 4 {
		return Key{}, fmt.Errorf("%w: not an OpenPGP key of version 4", ErrKey)
	}
	for _, p := range parts {
		if p.tag == tagSignature && len(p.body) > 0 && p.body[0] > 4 { // it may name a length of gigabytes
			return Key{}, fmt.Errorf("%w: a signature of version %d within a key of version 4", ErrKey, p.body[0])
		}
	}
	list, err := readKeys(text)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if len(list) != 1 {
		return Key{}, fmt.Errorf("%w: %d keys in one text; give them one by one", ErrKey, len(list))
	}
	return newKey(list[0])
}

// readKeys is the library's reader, whose panics are errors of the text.
func readKeys(text []byte) (list openpgp.EntityList, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("malformed")
		}
	}()
	return openpgp.ReadKeyRing(bytes.NewReader(text))
}

// newKey checks a key, and verifies its signatures once and for all.
func newKey(e *openpgp.Entity) (Key, error) {
	settle(e)
	k, whenever := Key{&entity{e}}, time.Time{}
	c := settings(whenever, nil)
	if _, err := k.of.VerifyPrimaryKey(whenever, c); err != nil {
		return Key{}, fmt.Errorf("%w: %s: %w", ErrKey, k, err)
	}
	signs, ok := k.of.SigningKey(whenever, c)
	if !ok {
		return Key{}, fmt.Errorf("%w: %s has no part that may sign", ErrKey, k)
	}
	encrypts, ok := k.of.EncryptionKey(whenever, c)
	if !ok {
		return Key{}, fmt.Errorf("%w: %s has no subkey that may be encrypted to", ErrKey, k)
	}
	if !k.Private() {
		return k, nil
	}
	for _, part := range []openpgp.Key{signs, encrypts} {
		switch {
		case part.PrivateKey == nil || part.PrivateKey.Dummy():
			return Key{}, fmt.Errorf("%w: %s lacks the private part of a subkey", ErrKey, k)
		case part.PrivateKey.Encrypted:
			return Key{}, fmt.Errorf("%w: %s is under a passphrase: take it off before (gpg --edit-key … passwd); it is encrypted anew where it is kept", ErrKey, k)
		}
		if _, ok := part.PrivateKey.PrivateKey.(*rsa.PrivateKey); !ok {
			return Key{}, fmt.Errorf("%w: %s is not an RSA key", ErrKey, k)
		}
	}
	return k, nil
}

// settle verifies all that a key says of itself, and notes the result where the
// library looks for it before it verifies by itself. Otherwise it would do that
// on first use, in a key that many goroutines share, and would note "expired at
// that time" as "never valid".
func settle(e *openpgp.Entity) {
	self := func(sig *packet.VerifiableSignature, err error) {
		good := err == nil && soundHash(sig.Packet.Hash) && !critical(sig.Packet)
		sig.Valid = &good
	}
	// A revocation counts also if it is signed with a hash that is weak by now.
	revoked := func(sig *packet.VerifiableSignature, err error) {
		good := err == nil
		sig.Valid = &good
	}
	for _, sig := range e.Revocations {
		revoked(sig, e.PrimaryKey.VerifyRevocationSignature(sig.Packet))
	}
	for _, sig := range e.DirectSignatures {
		self(sig, e.PrimaryKey.VerifyDirectKeySignature(sig.Packet))
	}
	for _, who := range e.Identities {
		for _, sig := range who.SelfCertifications {
			self(sig, e.PrimaryKey.VerifyUserIdSignature(who.Name, e.PrimaryKey, sig.Packet))
		}
		for _, sig := range who.Revocations {
			revoked(sig, e.PrimaryKey.VerifyUserIdSignature(who.Name, e.PrimaryKey, sig.Packet))
		}
		who.OtherCertifications = nil // what others say of them is nothing to us
	}
	for n := range e.Subkeys {
		sub := &e.Subkeys[n]
		for _, sig := range sub.Bindings {
			self(sig, e.PrimaryKey.VerifyKeySignature(sub.PublicKey, sig.Packet))
		}
		for _, sig := range sub.Revocations {
			revoked(sig, e.PrimaryKey.VerifySubkeyRevocationSignature(sig.Packet, sub.PublicKey))
		}
	}
}

// soundHash says whether a key may be signed with a hash. Messages must use a
// stronger one, see strongHash.
func soundHash(h crypto.Hash) bool { return h == crypto.SHA256 || strongHash(h) }

// critical reports whether a signature says something that must be understood
// and is not.
func critical(sig *packet.Signature) bool {
	for _, n := range sig.Notations {
		if n.IsCritical {
			return true
		}
	}
	return false
}

// settings are what the library is told for one use of it.
func settings(now time.Time, random io.Reader) *packet.Config {
	no := false
	return &packet.Config{
		Rand: random, Time: func() time.Time { return now },
		DefaultHash: crypto.SHA384, DefaultCipher: packet.CipherAES256,
		// It would make signatures 50 bytes longer, and has no use for RSA.
		NonDeterministicSignaturesViaNotation: &no,
	}
}

// IsZero says whether there is no key at all.
func (k Key) IsZero() bool { return k.of == nil }

// Private says whether the key can sign and decrypt.
func (k Key) Private() bool { return k.of != nil && k.of.PrivateKey != nil }

// Fingerprint names the key: 40 hexadecimal digits in capitals, as gpg shows it.
func (k Key) Fingerprint() string {
	if k.of == nil {
		return ""
	}
	return strings.ToUpper(hex.EncodeToString(k.of.PrimaryKey.Fingerprint))
}

// Name is what the key says of whose it is.
func (k Key) Name() string {
	if k.of == nil {
		return ""
	}
	name := ""
	for _, who := range k.of.Identities {
		if name == "" || who.Name < name {
			name = who.Name
		}
	}
	return name
}

// Bits is the length of the key; 0 if it is not RSA.
func (k Key) Bits() int {
	if public, ok := k.of.PrimaryKey.PublicKey.(*rsa.PublicKey); ok {
		return public.N.BitLen()
	}
	return 0
}

// Created is when the key was made.
func (k Key) Created() time.Time { return k.of.PrimaryKey.CreationTime.UTC() }

// Expires is when the first of the parts that we use expires; zero: never.
func (k Key) Expires() (first time.Time) {
	soonest := func(made time.Time, life *uint32) {
		if life == nil || *life == 0 {
			return
		}
		if at := made.Add(time.Duration(*life) * time.Second).UTC(); first.IsZero() || at.Before(first) {
			first = at
		}
	}
	c := settings(time.Time{}, nil)
	if self, err := k.of.PrimarySelfSignature(time.Time{}, c); err == nil {
		soonest(k.of.PrimaryKey.CreationTime, self.KeyLifetimeSecs)
	}
	for n := range k.of.Subkeys {
		sub := &k.of.Subkeys[n]
		binding, err := sub.LatestValidBindingSignature(time.Time{}, c)
		if err == nil && (binding.FlagSign || binding.FlagEncryptCommunications || binding.FlagEncryptStorage) {
			soonest(sub.PublicKey.CreationTime, binding.KeyLifetimeSecs)
		}
	}
	return first
}

// ExportPublic writes the public half, armored, for the other side to import.
func (k Key) ExportPublic() ([]byte, error) { return k.export(openpgp.PublicKeyType, k.of.Serialize) }

// ExportPrivate writes the private key, armored and open: for who encrypts it at
// once.
func (k Key) ExportPrivate() ([]byte, error) {
	if !k.Private() {
		return nil, fmt.Errorf("%w: %s is a public key", ErrKey, k)
	}
	return k.export(openpgp.PrivateKeyType, func(w io.Writer) error { return k.of.SerializePrivateWithoutSigning(w, nil) })
}

func (k Key) export(kind string, write func(io.Writer) error) ([]byte, error) {
	var out bytes.Buffer
	w, err := armor.Encode(&out, kind, nil)
	if err != nil {
		return nil, fmt.Errorf("export %s: %w", k, err)
	}
	if err := errors.Join(write(w), w.Close()); err != nil {
		return nil, fmt.Errorf("export %s: %w", k, err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// String is the fingerprint.
func (k Key) String() string { return k.Fingerprint() }

// Format writes the fingerprint for every verb of fmt.
func (k Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.Fingerprint())) }

// LogValue is the fingerprint.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.Fingerprint()) }

// MarshalText is the fingerprint.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.Fingerprint()), nil }
