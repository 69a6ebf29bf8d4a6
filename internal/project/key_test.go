package project_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"aorta/internal/id"
	"aorta/internal/project"
)

// TestKeyHash: what is stored of a key's text is of no use without the master key,
// and a row of before is sealed without the text.
func TestKeyHash(t *testing.T) {
	t.Parallel()
	ours, others := project.NewKeyHasher([32]byte{1}), project.NewKeyHasher([32]byte{2})
	text := project.KeyText(id.Key{5: 7}, strings.Repeat("k", project.KeySecretLen))
	sum := sha256.Sum256([]byte(text))
	plain := hex.EncodeToString(sum[:])

	stored := project.Key{Hash: ours.Hash(text)}
	if !stored.Is(ours.Hash(text)) {
		t.Error("the key's own text does not fit")
	}
	for name, hash := range map[string]string{
		"of another text": ours.Hash(text + "x"), "by another master key": others.Hash(text), "plain": plain, "none": "",
	} {
		if stored.Is(hash) {
			t.Errorf("a hash %s fits", name)
		}
	}
	if strings.Contains(stored.Hash, plain) {
		t.Error("the plain hash is stored")
	}
	if before := (project.Key{Hash: plain}); before.Is(ours.Hash(text)) {
		t.Error("a row with a plain hash opens something")
	}

	if sealed, ok := ours.Seal(plain); !ok || sealed != ours.Hash(text) {
		t.Errorf("Seal(plain) = %q, %t, want what Hash gives", sealed, ok)
	}
	for _, hash := range []string{stored.Hash, "", plain[1:], plain + "00", strings.Repeat("x", len(plain))} {
		if sealed, ok := ours.Seal(hash); ok {
			t.Errorf("Seal(%q) = %q, want that it is no plain hash", hash, sealed)
		}
	}
	if (project.Key{}).Is(ours.Hash("")) {
		t.Error("no key has the empty text")
	}
}
