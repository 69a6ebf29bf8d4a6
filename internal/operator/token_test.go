package operator_test

import (
	"strings"
	"testing"

	"aorta/internal/id"
	"aorta/internal/operator"
)

// TestToken: a token's text names its operator, and what is stored of it is of no
// use without the master key.
func TestToken(t *testing.T) {
	t.Parallel()
	k := operator.KeyOf(5, "ann")
	if k == operator.KeyOf(5, "bob") || k.Bucket() != 5 || k != operator.KeyOf(5, "ann") {
		t.Fatalf("KeyOf = %s", k)
	}
	text := operator.TokenText(k, operator.Secret{1, 2, 3})
	if got, ok := operator.TokenOf(text); !ok || got != k {
		t.Errorf("TokenOf(%q) = %s, %t, want %s", text, got, ok, k)
	}
	for _, wrong := range []string{"", "op_", text[:len(text)-1], text + "a", strings.Replace(text, "op_", "sk_", 1), strings.Replace(text, "_", "-", 2), "op_" + strings.Repeat("z", len(text)-3)} {
		if got, ok := operator.TokenOf(wrong); ok {
			t.Errorf("TokenOf(%q) = %s, want that it is none", wrong, got)
		}
	}
	ours, others := operator.NewHasher([32]byte{1}), operator.NewHasher([32]byte{2})
	stored := operator.Operator{ID: id.Operator(k), Name: "ann", Roles: "admin", Hash: ours.Hash(text)}
	if !stored.Is(ours.Hash(text)) || !stored.Good() {
		t.Error("the operator's own token does not fit")
	}
	for name, hash := range map[string]string{"of another text": ours.Hash(text + "x"), "by another master key": others.Hash(text), "none": ""} {
		if stored.Is(hash) {
			t.Errorf("a hash %s fits", name)
		}
	}
	if revoked := (operator.Operator{Hash: stored.Hash, RevokedUS: 1}); revoked.Good() || (operator.Operator{}).Good() {
		t.Error("who is revoked, or was never made, is good")
	}
	if a := stored.Actor(); a.Name != "ann" || !a.Roles.Has(operator.Admin) || !a.Person() {
		t.Errorf("Actor = %+v", a)
	}
}
