package operator

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"

	"aorta/internal/id"
)

// Statement says, signed, how far every chain was at an instant. Kept where who may
// write the database may not, it proves later that nothing was cut or changed.
type Statement struct {
	AtUS      int64        `json:"at_us"`
	Heads     []SignedHead `json:"heads"`     // by bucket; buckets without entries are not there
	Key       string       `json:"key"`       // the public key, in hexadecimal
	Signature string       `json:"signature"` // ed25519, in hexadecimal
}

// SignedHead is the end of one bucket's chain.
type SignedHead struct {
	Bucket id.Bucket `json:"bucket"`
	Number int64     `json:"number"`
	Hash   string    `json:"hash"`
}

// ErrSeal: a statement is not signed by the key that was expected.
var ErrSeal = errors.New("the signature of the audit heads does not fit")

// Sealer signs statements by a key of its own that follows from the master key. Its
// public part may be given to anybody.
type Sealer struct{ key ed25519.PrivateKey }

// NewSealer makes the sealer of a master key.
func NewSealer(master [32]byte) Sealer {
	seed := keyed(master, "audit heads")
	return Sealer{ed25519.NewKeyFromSeed(seed[:])}
}

// Public is the key by which others check statements.
func (s Sealer) Public() ed25519.PublicKey { return s.key.Public().(ed25519.PublicKey) }

// Seal signs how far the chains are.
func (s Sealer) Seal(atUS int64, heads []Head) Statement {
	st := Statement{AtUS: atUS, Heads: []SignedHead{}, Key: hex.EncodeToString(s.Public())}
	for _, h := range heads {
		st.Heads = append(st.Heads, SignedHead{h.ID.Bucket(), h.Number, h.Hash})
	}
	slices.SortFunc(st.Heads, func(x, y SignedHead) int { return int(x.Bucket) - int(y.Bucket) })
	st.Signature = hex.EncodeToString(ed25519.Sign(s.key, st.text()))
	return st
}

// text is what is signed: the instant and each head, written as Entry.Sum does.
func (st Statement) text() []byte {
	parts := []string{"aorta audit heads 1", strconv.FormatInt(st.AtUS, 10)}
	for _, h := range st.Heads {
		parts = append(parts, strconv.Itoa(int(h.Bucket)), strconv.FormatInt(h.Number, 10), h.Hash)
	}
	return canonical(parts...)
}

// Check refuses a statement that was not signed by key, with ErrSeal. That key is
// known from elsewhere: the one that the statement names proves nothing.
func (st Statement) Check(key ed25519.PublicKey) error {
	sign, err := hex.DecodeString(st.Signature)
	if err != nil || len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, st.text(), sign) {
		return ErrSeal
	}
	return nil
}
