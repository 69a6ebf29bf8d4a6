package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"aorta/internal/book"
	"aorta/internal/id"
	"aorta/internal/project"
)

// keyring remembers for a moment which texts are keys. A text that is not one is
// looked for in the store each time, whatever is wrong with it: unknown, revoked
// and mistyped keys cost the same, so the time tells nothing (security.md S01).
type keyring struct {
	mu   sync.Mutex
	held map[string]heldKey // by hash of the text
}

type heldKey struct {
	key   project.Key
	until time.Time
}

// maxHeld bounds the keyring; beyond it all are looked up again.
const maxHeld = 4096

func errKey() error {
	return &refusal{code: codeUnauthenticated, header: http.Header{"Www-Authenticate": {`Bearer realm="aorta"`}}}
}

// authenticate gives the key that a request is made with.
func (a *API) authenticate(r *http.Request) (project.Key, error) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return project.Key{}, errKey()
	}
	scheme, text, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return project.Key{}, errKey()
	}
	hash, now := project.HashKey(text), a.opts.Now()
	if k, ok := a.keys.get(hash, now); ok && k.Good(now.UnixMicro()) {
		return k, nil
	}
	name, ok := project.KeyOf(text)
	if !ok || int(name.Bucket()) >= a.opts.Flows.Buckets() {
		name = id.Key{} // is nowhere, but looked for all the same
	}
	k, found, err := a.opts.Read.Key(r.Context(), name)
	if err != nil {
		return project.Key{}, away(err)
	}
	if fits := k.Fits(text); !found || !fits || !k.Good(now.UnixMicro()) {
		return project.Key{}, errKey()
	}
	a.keys.put(hash, heldKey{k, now.Add(a.opts.KeyTTL)})
	return k, nil
}

// away is a read that the store did not answer: nothing happened, and the same
// request may come again.
func away(err error) error { return fmt.Errorf("%w: %w", book.ErrNotRun, err) }

func (k *keyring) get(hash string, now time.Time) (project.Key, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	h, ok := k.held[hash]
	return h.key, ok && now.Before(h.until)
}

func (k *keyring) put(hash string, h heldKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.held) >= maxHeld || k.held == nil {
		k.held = map[string]heldKey{}
	}
	k.held[hash] = h
}

// Forget has every key looked up again: one was changed or revoked.
func (a *API) Forget() {
	a.keys.mu.Lock()
	defer a.keys.mu.Unlock()
	a.keys.held = nil
}

// ExpireKey lets a key end at an instant.
func (a *API) ExpireKey(ctx context.Context, k id.Key, atUS int64) error {
	defer a.Forget()
	return a.opts.Flows.ExpireKey(ctx, k, atUS)
}

// RevokeKey revokes a key; this process does not know it any more when it returns.
func (a *API) RevokeKey(ctx context.Context, k id.Key) error {
	defer a.Forget()
	return a.opts.Flows.RevokeKey(ctx, k)
}
