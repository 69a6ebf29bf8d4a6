package pgp

import (
	"bytes"
	"crypto/rsa"
	"encoding/binary"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// EncryptLayer encrypts packets of a test's making to a key, with what is given
// in front: so tests reach the inner layer with what nobody would sign.
func EncryptLayer(inner []byte, to Key, front ...[]byte) []byte {
	c := settings(time.Now(), nil)
	session := make([]byte, sessionKey)
	var out bytes.Buffer
	for _, f := range front {
		out.Write(f)
	}
	key, _ := to.of.EncryptionKey(time.Now(), c)
	if err := packet.SerializeEncryptedKeyAEAD(&out, key.PublicKey, packet.CipherAES256, false, session, c); err != nil {
		panic(err)
	}
	w, err := packet.SerializeSymmetricallyEncrypted(&out, packet.CipherAES256, false, packet.CipherSuite{}, session, c)
	if err != nil {
		panic(err)
	}
	if _, err := w.Write(inner); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// Addressed is a message of the library's own making, whose signature says whom
// it is for.
func Addressed(plain []byte, by, to Key) []byte {
	var out bytes.Buffer
	w, err := openpgp.Encrypt(&out, []*openpgp.Entity{to.of.Entity}, nil, []*openpgp.Entity{by.of.Entity}, nil, settings(time.Now(), nil))
	if err != nil {
		panic(err)
	}
	if _, err := w.Write(plain); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// Layer is what lies within a message, for whoever passes it on.
func Layer(r *Ring, raw []byte) []byte {
	inner, _, err := r.decrypt(raw, time.Now())
	if err != nil {
		panic(err)
	}
	return inner
}

// EncryptBlock wraps a block as if it were a session key of the key to.
func EncryptBlock(block []byte, to Key) []byte {
	key, _ := to.of.EncryptionKey(time.Now(), settings(time.Now(), nil))
	public := key.PublicKey.PublicKey.(*rsa.PublicKey)
	wrapped, err := rsa.EncryptPKCS1v15(nil, public, block) //nolint:staticcheck // as OpenPGP does
	if err != nil {
		panic(err)
	}
	body := binary.BigEndian.AppendUint64([]byte{3}, key.PublicKey.KeyId)
	body = append(body, byte(packet.PubKeyAlgoRSA))
	body = binary.BigEndian.AppendUint16(body, uint16(8*len(wrapped)))
	return part{tagEncryptedKey, append(body, wrapped...)}.framed()
}

// Packet frames a packet of a test's making.
func Packet(kind byte, body []byte) []byte { return part{tag(kind), body}.framed() }

// Text writes raw bytes as messages are sent.
func Text(raw []byte) []byte { return base64URL.AppendEncode(nil, raw) }

// Settled says whether all that a key says of itself was verified when it was
// read: then nothing is noted in it by whoever uses it.
func Settled(k Key) bool {
	all := append(append([]*packet.VerifiableSignature{}, k.of.Revocations...), k.of.DirectSignatures...)
	for _, who := range k.of.Identities {
		all = append(append(all, who.SelfCertifications...), who.Revocations...)
	}
	for _, sub := range k.of.Subkeys {
		all = append(append(all, sub.Bindings...), sub.Revocations...)
	}
	for _, sig := range all {
		if sig.Valid == nil {
			return false
		}
	}
	return len(all) > 0
}

// SelfSignatures is how many times a key says who it is of.
func SelfSignatures(k Key) (n int) {
	for _, who := range k.of.Identities {
		n += len(who.SelfCertifications)
	}
	return n
}
