package opsapi_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/operator"
	"aorta/internal/opsapi"
	"aorta/internal/project"

	"github.com/prometheus/client_golang/prometheus"
)

// TestRotationThatFails: whatever the store does, there is a key that works, and
// the caller has it.
func TestRotationThatFails(t *testing.T) {
	t.Parallel()
	home := book.NewMemory()
	now := func() time.Time { return start }
	random := seeded{rand.NewChaCha8([32]byte{6})}
	b, err := book.New(t.Context(), []book.Home{{Store: home}}, book.Options{Now: now, Random: random, Epoch: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	projects := func(n int64) (project.Project, bool) { return project.Project{ID: n, MerchantID: 1}, n == 200 }
	flows := flow.New(b, home, flow.Options{Projects: projects, Now: now})
	hash := project.NewKeyHasher([32]byte{1})
	away := 0 // the change that the store is away for; 0: none
	changes := 0
	change := func(do func() error) error {
		if changes++; changes == away {
			return errAway
		}
		return do()
	}
	door := opsapi.New(opsapi.Options{
		Read: home, Metrics: prometheus.NewRegistry(), Projects: projects, Keys: &opsapi.Keys{
			Project: projects, Hash: hash, Random: random, New: flows.NewKey, Now: now, Revoke: flows.RevokeKey,
			Put: func(ctx context.Context, k project.Key, by operator.Actor) error {
				return change(func() error { return flows.PutKey(ctx, k, by) })
			},
			Expire: func(ctx context.Context, k id.Key, atUS int64, by operator.Actor) error {
				return change(func() error { return flows.ExpireKey(ctx, k, atUS, by) })
			},
		},
	})
	call := func(path, body string) (status int, made struct{ ID, Key string }) {
		t.Helper()
		w := httptest.NewRecorder()
		door.ServeHTTP(w, httptest.NewRequest("POST", path, strings.NewReader(body)))
		_ = json.Unmarshal(w.Body.Bytes(), &made)
		return w.Code, made
	}
	works := func(text string) bool {
		t.Helper()
		name, _ := project.KeyOf(text)
		k, ok, err := home.Key(t.Context(), name)
		if err != nil || !ok {
			t.Fatalf("%s: found %t, %v", name, ok, err)
		}
		return k.Is(hash.Hash(text)) && k.Good(start.UnixMicro())
	}
	status, old := call("/admin/keys", `{"project":200,"scopes":["read"]}`)
	if status != 200 || !works(old.Key) {
		t.Fatalf("a new key = %d", status)
	}
	for away = 2; away <= 3; away++ {
		changes = 1
		if status, made := call("/admin/keys/"+old.ID+"/rotate", `{"overlap":0}`); status < 500 || made.Key != "" || !works(old.Key) {
			t.Errorf("rotation that fails at its change %d = %d %q, and the old key works: %t", away-1, status, made.Key, works(old.Key))
		}
	}
	away = 0
	status, next := call("/admin/keys/"+old.ID+"/rotate", `{"overlap":0}`)
	if status != 200 || !works(next.Key) || works(old.Key) {
		t.Errorf("rotation = %d; the new key works: %t, the old one: %t", status, works(next.Key), works(old.Key))
	}
}
