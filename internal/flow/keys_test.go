package flow_test

import (
	"strings"
	"testing"

	"aorta/internal/book"
	"aorta/internal/id"
	"aorta/internal/operator"
	"aorta/internal/project"
)

// TestSealKeys: hashes of before are sealed, once, and nothing else of the rows
// changes.
func TestSealKeys(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	var before []project.Key
	for n, hash := range []string{"plain a", "1:sealed", "plain b"} {
		k := project.Key{ID: h.flows.NewKey(h.pr), ProjectID: h.pr.ID, Name: string(rune('a' + n)), Hash: hash, Scopes: "read"}
		if err := h.flows.PutKey(t.Context(), k, operator.Actor{}); err != nil {
			t.Fatal(err)
		}
		k, _, _ = h.homes[0].Key(t.Context(), k.ID)
		before = append(before, k)
	}
	seal := func(hash string) (string, bool) {
		rest, plain := strings.CutPrefix(hash, "plain ")
		return "1:" + rest, plain
	}
	for range 2 {
		if err := h.flows.SealKeys(t.Context(), seal); err != nil {
			t.Fatal(err)
		}
		for n, want := range before {
			want.Hash = []string{"1:a", "1:sealed", "1:b"}[n]
			if got, ok, err := h.homes[0].Key(t.Context(), want.ID); !ok || err != nil || got != want {
				t.Errorf("key %d is %+v (%v), want %+v", n, got, err, want)
			}
		}
	}
	h.homes[0].Fail = func(book.Step) book.Fault { return book.FaultAway }
	if err := h.flows.SealKeys(t.Context(), func(string) (string, bool) { return "2:", true }); err == nil {
		t.Error("keys were sealed in a store that is away")
	}
	if all, err := h.homes[0].ScanKeys(t.Context(), id.Key{}, 10); err != nil || len(all) != 3 {
		t.Errorf("%d keys (%v), want 3", len(all), err)
	}
}
