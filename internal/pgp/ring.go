package pgp

import (
	"bytes"
	"compress/bzip2"
	"compress/flate"
	"compress/zlib"
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// Ring says which key may do what, now. It is never changed: who rotates keys
// makes a new one. It is safe for concurrent use.
type Ring struct {
	ours   map[uint64]Key // by the id of each of their parts; they decrypt
	theirs map[uint64]Key // by the id of each of their parts; what they sign is good
	sign   []Key
	to     []Key
	random io.Reader
}

// Keys are what a Ring is made of. A key may be in several lists.
type Keys struct {
	Decrypt []Key // private keys of ours that others may have encrypted to
	Sign    []Key // private keys of ours that sign what we send, the most trusted one first
	Verify  []Key // keys of the other side whose signature counts
	Encrypt []Key // keys of the other side that we encrypt to, the most trusted one first
}

// NewRing makes a ring. random must be cryptographically strong and safe for
// concurrent use. The error is ErrKey: a public key where a private one is
// needed, or two keys whose 64-bit ids are the same, one of which is then forged.
func NewRing(k Keys, random io.Reader) (*Ring, error) {
	r := &Ring{ours: map[uint64]Key{}, theirs: map[uint64]Key{}, sign: k.Sign, to: k.Encrypt, random: random}
	if len(k.Sign) > maxSignatures || len(k.Encrypt) > maxRecipients {
		return nil, fmt.Errorf("%w: at most %d keys at once", ErrKey, maxRecipients)
	}
	for _, list := range [][]Key{k.Decrypt, k.Sign} {
		for _, key := range list {
			if !key.Private() {
				return nil, fmt.Errorf("%w: %s is a public key", ErrKey, key)
			}
		}
	}
	if err := index(r.ours, k.Decrypt); err != nil {
		return nil, err
	}
	return r, index(r.theirs, k.Verify)
}

func index(into map[uint64]Key, list []Key) error {
	for _, k := range list {
		ids := []uint64{k.of.PrimaryKey.KeyId}
		for _, sub := range k.of.Subkeys {
			ids = append(ids, sub.PublicKey.KeyId)
		}
		for _, id := range ids {
			if other, taken := into[id]; taken && other.Fingerprint() != k.Fingerprint() {
				return fmt.Errorf("%w: %s and %s have the same id %016X", ErrKey, other, k, id)
			}
			into[id] = k
		}
	}
	return nil
}

// Opened is a message that was read.
type Opened struct {
	Plain     []byte
	Signer    string // fingerprint of a trusted key that signed it
	Recipient string // fingerprint of our key that it was encrypted to
}

// Open reads a message: base64url, with or without padding, of a binary or an
// armored OpenPGP message. One trusted signature is enough, whatever others are
// beside it. Errors are ErrEncryption, ErrSignature and ErrTooLarge.
func (r *Ring) Open(text []byte, now time.Time) (Opened, error) {
	if len(text) > MaxText {
		return Opened{}, fmt.Errorf("%w: %d characters", ErrTooLarge, len(text))
	}
	raw, err := decode(text)
	if err != nil {
		return Opened{}, fmt.Errorf("%w: %w", ErrEncryption, err)
	}
	inner, recipient, err := r.decrypt(raw, now)
	if err != nil {
		return Opened{}, fmt.Errorf("%w: %w", ErrEncryption, err)
	}
	m, err := unwrap(inner)
	switch {
	case errors.Is(err, ErrTooLarge):
		return Opened{}, err
	case err != nil:
		return Opened{}, fmt.Errorf("%w: %w", ErrEncryption, err)
	}
	signer, err := r.verify(m, recipient, now)
	if err != nil {
		return Opened{}, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return Opened{Plain: m.plain, Signer: signer.Fingerprint(), Recipient: recipient.Fingerprint()}, nil
}

var (
	errBase64     = errors.New("not base64url")
	errArmor      = errors.New("not an armored message")
	errNotMessage = errors.New("not an encrypted message with a modification check")
	errNoKeyOfOur = errors.New("not to a key that decrypts now")
	errDamaged    = errors.New("damaged, or encrypted with another key")
	errLayers     = errors.New("not one signed text")
	errUnsigned   = errors.New("not signed")
)

// base64URL refuses trailing bits, so that a message has one form.
var base64URL = base64.URLEncoding.Strict()

const armorMessage = "PGP MESSAGE"

// decode takes base64url off, and armor if there is any. The standard library
// skips line breaks wherever they are; here one may stand at the end (section
// 2.2).
func decode(text []byte) ([]byte, error) {
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	if len(text) == 0 || bytes.ContainsAny(text, "\r\n") {
		return nil, errBase64
	}
	with := base64URL
	if len(text)%4 != 0 {
		with = with.WithPadding(base64.NoPadding)
	}
	raw := make([]byte, with.DecodedLen(len(text)))
	n, err := with.Decode(raw, text)
	if err != nil || n == 0 {
		return nil, errBase64
	}
	raw = raw[:n]
	if raw[0]&0x80 != 0 {
		return raw, nil // a packet begins with this bit, and text does not
	}
	block, err := armor.Decode(bytes.NewReader(raw))
	if err != nil || block.Type != armorMessage {
		return nil, errArmor
	}
	if raw, err = io.ReadAll(block.Body); err != nil || len(raw) == 0 {
		return nil, errArmor
	}
	return raw, nil
}

// decrypt gives the packets within an encrypted message, whole and unmodified.
func (r *Ring) decrypt(raw []byte, now time.Time) ([]byte, Key, error) {
	parts, err := split(raw)
	if err != nil {
		return nil, Key{}, err
	}
	var data []byte
	var wrapped []part
	for n, p := range parts {
		switch p.tag {
		case tagEncryptedKey:
			wrapped = append(wrapped, p)
		case tagMarker, tagPadding:
		case tagEncryptedData:
			if n != len(parts)-1 {
				return nil, Key{}, errNotMessage
			}
			data = p.body
		case tagSignature, tagOnePass, tagCompressed, tagLiteral:
			return nil, Key{}, errNotMessage
		default: // an unknown kind, a passphrase, no modification check
			return nil, Key{}, errNotMessage
		}
	}
	if len(data) == 0 || data[0] != 1 || len(wrapped) > maxRecipients {
		return nil, Key{}, errNotMessage
	}
	found := false
	for _, p := range wrapped {
		key, private, secret, ok := r.recipient(p.body, now)
		if !ok {
			continue
		}
		found = true
		session, err := r.session(private, secret)
		if err != nil {
			return nil, Key{}, err
		}
		if inner, err := unseal(data, session); err == nil {
			return inner, key, nil
		}
	}
	if !found {
		return nil, Key{}, errNoKeyOfOur
	}
	return nil, Key{}, errDamaged
}

// recipient reads to which key of ours a session key was encrypted (RFC 4880
// section 5.1). One that names nobody is not tried: it would cost an RSA
// operation for each key that we have.
func (r *Ring) recipient(body []byte, now time.Time) (k Key, private *rsa.PrivateKey, secret []byte, ok bool) {
	const head = 1 + 8 + 1 + 2 // version, id, algorithm, bits
	if len(body) < head || body[0] != 3 {
		return Key{}, nil, nil, false
	}
	id := binary.BigEndian.Uint64(body[1:])
	algorithm, bits := packet.PublicKeyAlgorithm(body[9]), int(binary.BigEndian.Uint16(body[10:]))
	k, known := r.ours[id]
	if !known || (algorithm != packet.PubKeyAlgoRSA && algorithm != packet.PubKeyAlgoRSAEncryptOnly) || len(body) != head+(bits+7)/8 {
		return Key{}, nil, nil, false
	}
	c := settings(now, r.random)
	if _, err := k.of.VerifyPrimaryKey(now, c); err != nil {
		return Key{}, nil, nil, false // expired or revoked
	}
	for _, part := range k.of.DecryptionKeys(id, now, c) {
		if private, ok := part.PrivateKey.PrivateKey.(*rsa.PrivateKey); ok && !part.PublicKey.KeyExpired(part.SelfSignature, now) {
			return k, private, body[head:], true
		}
	}
	return Key{}, nil, nil, false
}

// sessionKey is the length of an AES-256 key; around it lie the cipher's number
// and a checksum of two bytes (RFC 4880 section 5.1).
const sessionKey = 32

// session unwraps a session key. If that fails it gives a random one, which
// nothing decrypts with: so who sends forged messages to learn about the padding
// learns nothing, neither from the answer nor from the time that it takes.
func (r *Ring) session(private *rsa.PrivateKey, secret []byte) ([]byte, error) {
	block := make([]byte, 1+sessionKey+2)
	spare := make([]byte, sessionKey)
	if _, err := io.ReadFull(r.random, block); err != nil {
		return nil, fmt.Errorf("randomness: %w", err)
	}
	if _, err := io.ReadFull(r.random, spare); err != nil {
		return nil, fmt.Errorf("randomness: %w", err)
	}
	full := make([]byte, private.Size()) // leading zeros are not sent
	if len(secret) <= len(full) {
		copy(full[len(full)-len(secret):], secret)
	}
	//nolint:staticcheck // OpenPGP wraps session keys so; this reads them without an oracle
	if err := rsa.DecryptPKCS1v15SessionKey(r.random, private, full, block); err != nil {
		return spare, nil //nolint:nilerr // told by nothing but the check that follows
	}
	var sum uint16
	for _, b := range block[1 : 1+sessionKey] {
		sum += uint16(b)
	}
	if block[0] != byte(packet.CipherAES256) || binary.BigEndian.Uint16(block[1+sessionKey:]) != sum {
		return spare, nil // another cipher is not for us to take, nor to tell
	}
	return block[1 : 1+sessionKey], nil
}

// unseal decrypts a packet and checks that nobody has changed it.
func unseal(body, session []byte) ([]byte, error) {
	read, err := packet.Read(bytes.NewReader(part{tagEncryptedData, body}.framed()))
	if err != nil {
		return nil, fmt.Errorf("encrypted data: %w", err)
	}
	data, ok := read.(*packet.SymmetricallyEncrypted)
	if !ok {
		return nil, errNotMessage
	}
	plain, err := data.Decrypt(packet.CipherAES256, session)
	if err != nil {
		return nil, fmt.Errorf("decrypt: %w", err)
	}
	out := bytes.NewBuffer(make([]byte, 0, len(body)))
	if _, err := out.ReadFrom(plain); err != nil {
		return nil, fmt.Errorf("decrypt: %w", err)
	}
	if err := plain.Close(); err != nil {
		return nil, fmt.Errorf("decrypt: %w", err)
	}
	return out.Bytes(), nil
}

// message is what lies within the encryption.
type message struct {
	plain      []byte
	signatures []part
}

// unwrap takes the inner layer apart: signatures around one literal packet, all
// of it compressed or not.
func unwrap(layer []byte) (message, error) {
	parts, err := split(layer)
	if err != nil {
		return message{}, err
	}
	if len(parts) == 1 && parts[0].tag == tagCompressed {
		if layer, err = inflate(parts[0].body); err != nil {
			return message{}, err
		}
		if parts, err = split(layer); err != nil {
			return message{}, err
		}
	}
	var m message
	found := false
	for _, p := range parts {
		switch p.tag {
		case tagLiteral:
			if found {
				return message{}, errLayers
			}
			if m.plain, err = literal(p.body); err != nil {
				return message{}, err
			}
			found = true
		case tagSignature:
			m.signatures = append(m.signatures, p)
		case tagOnePass, tagMarker, tagPadding: // what is to come says itself
		case tagEncryptedKey, tagCompressed, tagEncryptedData:
			return message{}, errLayers
		default:
			return message{}, errLayers
		}
	}
	switch {
	case !found || len(m.signatures) > maxSignatures:
		return message{}, errLayers
	case len(m.plain) > MaxPlain:
		return message{}, fmt.Errorf("%w: plaintext of %d bytes", ErrTooLarge, len(m.plain))
	}
	return m, nil
}

// inflate decompresses up to what a message may be, and no further.
func inflate(body []byte) ([]byte, error) {
	if len(body) == 0 {
		return nil, errFraming
	}
	from := bytes.NewReader(body[1:])
	var r io.Reader
	switch body[0] { // RFC 4880 section 9.3
	case 0:
		r = from
	case 1:
		r = flate.NewReader(from)
	case 2:
		z, err := zlib.NewReader(from)
		if err != nil {
			return nil, fmt.Errorf("decompress: %w", err)
		}
		r = z
	case 3:
		r = bzip2.NewReader(from)
	default:
		return nil, errFraming
	}
	const most = MaxPlain + maxAround
	out, err := io.ReadAll(io.LimitReader(r, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("decompress: %w", err)
	case len(out) > most:
		return nil, fmt.Errorf("%w: it decompresses to more than %d bytes", ErrTooLarge, most)
	}
	return out, nil
}

// literal takes the head off the text: format, file name, time.
func literal(body []byte) ([]byte, error) {
	if len(body) < 2 || len(body) < 2+int(body[1])+4 {
		return nil, errFraming
	}
	return body[2+int(body[1])+4:], nil
}

// strongHash says whether a message may be signed with a hash (section 2.2:
// SHA-384; nothing weaker is read).
func strongHash(h crypto.Hash) bool {
	return h == crypto.SHA384 || h == crypto.SHA512 || h == crypto.SHA3_512
}

// verify finds a signature of a key that is trusted and valid now.
func (r *Ring) verify(m message, recipient Key, now time.Time) (Key, error) {
	why := errUnsigned
	for _, p := range m.signatures {
		signer, err := r.check(p, m.plain, recipient, now)
		if err == nil {
			return signer, nil
		}
		why = err
	}
	return Key{}, why
}

func (r *Ring) check(p part, plain []byte, recipient Key, now time.Time) (Key, error) {
	// Version 4 is what RSA keys sign with; another may name lengths of gigabytes.
	if len(p.body) == 0 || p.body[0] != 4 {
		return Key{}, errors.New("signature of another version")
	}
	read, err := readSignature(p)
	if err != nil {
		return Key{}, err
	}
	if read.IssuerKeyId == nil {
		return Key{}, errors.New("signature of nobody")
	}
	signer, known := r.theirs[*read.IssuerKeyId]
	switch {
	case !known:
		return Key{}, fmt.Errorf("signed by the unknown key %016X", *read.IssuerKeyId)
	case !strongHash(read.Hash):
		return Key{}, fmt.Errorf("signed by %s with %s", signer, read.Hash)
	case read.SigExpired(now.Add(Skew)):
		return Key{}, fmt.Errorf("signature of %s expired, or made in the future", signer)
	case critical(read):
		return Key{}, fmt.Errorf("signature of %s with a notation that must be understood", signer)
	case !intended(read, recipient):
		return Key{}, fmt.Errorf("signed by %s for somebody else", signer)
	}
	// Valid now, not only when it signed: who stole a key that has expired can
	// sign what looks like then (section 2.3).
	with, valid := signer.of.SigningKeyById(now, *read.IssuerKeyId, settings(now, r.random))
	if !valid {
		return Key{}, fmt.Errorf("signed by %s, which has expired, is revoked, or may not sign", signer)
	}
	if read.CreationTime.Before(with.PublicKey.CreationTime) {
		return Key{}, fmt.Errorf("signature of %s from before the key was made", signer)
	}
	var h, text hash.Hash = read.Hash.New(), nil
	switch read.SigType {
	case packet.SigTypeBinary:
		text = h
	case packet.SigTypeText:
		text = openpgp.NewCanonicalTextHash(h)
	default:
		return Key{}, fmt.Errorf("signature of %s that is not of a message", signer)
	}
	text.Write(plain)
	if err := with.PublicKey.VerifySignature(h, read); err != nil {
		return Key{}, fmt.Errorf("signature of %s: %w", signer, err)
	}
	return signer, nil
}

// readSignature is the library's reader, whose panics are errors of the message.
func readSignature(p part) (sig *packet.Signature, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("malformed signature")
		}
	}()
	read, err := packet.Read(bytes.NewReader(p.framed()))
	if err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	sig, ok := read.(*packet.Signature)
	if !ok {
		return nil, errors.New("malformed signature")
	}
	return sig, nil
}

// intended says whether a signature that names recipients names us: otherwise
// whoever got the message could pass it on as if it had been sent to us.
func intended(sig *packet.Signature, recipient Key) bool {
	if len(sig.IntendedRecipients) == 0 {
		return true
	}
	for _, who := range sig.IntendedRecipients {
		if bytes.Equal(who.Fingerprint, recipient.of.PrimaryKey.Fingerprint) {
			return true
		}
	}
	return false
}

// Form is how a message is written.
type Form struct {
	Armor bool // armored within the base64url; binary is shorter and as good
	Short bool // one signer and one recipient: for a URL (section 2.2, "size trap")
}

// Seal writes a message: signed with SHA-384 by all keys that sign, encrypted
// with AES-256 to all keys that we encrypt to, not compressed, in padded
// base64url. What the recipients' keys say they would rather have is not asked:
// it can only be weaker. The error is ErrNoKey if no key is valid now.
func (r *Ring) Seal(plain []byte, now time.Time, f Form) ([]byte, error) {
	c := settings(now, r.random)
	var signers []openpgp.Key
	for _, k := range r.sign {
		if part, ok := k.of.SigningKey(now, c); ok {
			signers = append(signers, part)
		}
	}
	var to []openpgp.Key
	for _, k := range r.to {
		if part, ok := k.of.EncryptionKey(now, c); ok {
			to = append(to, part)
		}
	}
	if len(signers) == 0 || len(to) == 0 {
		return nil, fmt.Errorf("%w: %d of ours sign, %d of theirs can be encrypted to", ErrNoKey, len(signers), len(to))
	}
	if f.Short {
		signers, to = signers[:1], to[:1]
	}
	raw, err := seal(plain, signers, to, now, c)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if f.Armor {
		var out bytes.Buffer
		w, err := armor.Encode(&out, armorMessage, nil)
		if err != nil {
			return nil, fmt.Errorf("seal: %w", err)
		}
		if _, err := w.Write(raw); err != nil {
			return nil, fmt.Errorf("seal: %w", err)
		}
		if err := w.Close(); err != nil {
			return nil, fmt.Errorf("seal: %w", err)
		}
		raw = out.Bytes()
	}
	return base64URL.AppendEncode(nil, raw), nil
}

// unclosed is a writer that is closed by whoever made it.
type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

func seal(plain []byte, signers, to []openpgp.Key, now time.Time, c *packet.Config) ([]byte, error) {
	session := make([]byte, sessionKey)
	if _, err := io.ReadFull(c.Rand, session); err != nil {
		return nil, fmt.Errorf("randomness: %w", err)
	}
	out := bytes.NewBuffer(make([]byte, 0, len(plain)+2048))
	for _, k := range to {
		if err := packet.SerializeEncryptedKeyAEAD(out, k.PublicKey, packet.CipherAES256, false, session, c); err != nil {
			return nil, fmt.Errorf("session key: %w", err)
		}
	}
	w, err := packet.SerializeSymmetricallyEncrypted(out, packet.CipherAES256, false, packet.CipherSuite{}, session, c)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	for n, k := range signers {
		onePass := packet.OnePassSignature{
			Version: 3, SigType: packet.SigTypeBinary, Hash: crypto.SHA384, PubKeyAlgo: k.PublicKey.PubKeyAlgo, KeyId: k.PublicKey.KeyId,
			IsLast: n == len(signers)-1,
		}
		if err := onePass.Serialize(w); err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
	}
	text, err := packet.SerializeLiteral(unclosed{w}, true, "", 0)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	if _, err := text.Write(plain); err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	if err := text.Close(); err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	for n := len(signers) - 1; n >= 0; n-- { // they close in the other order
		k := signers[n]
		sig := packet.Signature{
			Version: k.PublicKey.Version, SigType: packet.SigTypeBinary, PubKeyAlgo: k.PublicKey.PubKeyAlgo, Hash: crypto.SHA384,
			CreationTime: now.Truncate(time.Second), IssuerKeyId: &k.PublicKey.KeyId,
		}
		h := sig.Hash.New()
		h.Write(plain)
		if err := sig.Sign(h, k.PrivateKey, c); err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
		if err := sig.Serialize(w); err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return out.Bytes(), nil
}

// Fits says whether a message that is as long as an answer of the redirect page
// fits into a URL with a call-back address of that length (section 2.2): with
// keys that are too long for it no association by redirect would ever succeed.
func (r *Ring) Fits(now time.Time, callback int) (length int, err error) {
	text, err := r.Seal(redirectAnswer, now, Form{Short: true})
	if err != nil {
		return 0, err
	}
	length = callback + len("&gspResult=100&gspAuthenticationResponse=") + len(text) + 3*bytes.Count(text, []byte("="))
	if length > MaxURL {
		return length, fmt.Errorf("%w: the answer of the redirect page would make a URL of %d characters, and %d are allowed: use shorter keys", ErrKey, length, MaxURL)
	}
	return length, nil
}

// redirectAnswer is one with ids as long as Google's samples.
var redirectAnswer = []byte(`{"requestId":"375dhjf9-Uydd=","associationId":"88ydEE-ioiwe==","authenticationResult":{"success":{}}}`)
