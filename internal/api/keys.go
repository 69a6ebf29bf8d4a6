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
	"aorta/internal/operator"
	"aorta/internal/project"
)

// keyring remembers for a moment which texts are keys. A text that is not one is
// looked for in the store each time, whatever is wrong with it, and each time with
// the same work: no text, an unknown one, a mistyped one, a revoked key and that of
// a project which is not here cost the same, so the time tells nothing
// (security.md S01).
type keyring struct {
	mu    sync.Mutex
	held  map[string]heldKey // by hash of the text
	there id.Key             // one that is in the store; zero: none was seen yet
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

// authenticate gives the key that a request is made with, and its project.
func (a *API) authenticate(r *http.Request) (project.Key, project.Project, error) {
	text := bearer(r.Header)
	hash, now := a.opts.KeyHash.Hash(text), a.opts.Now()
	k, held := a.keys.get(hash, now)
	if !held || !k.Good(now.UnixMicro()) {
		var err error
		if k, err = a.readKey(r.Context(), text, hash, now); err != nil {
			return project.Key{}, project.Project{}, err
		}
	}
	p, ok := a.opts.Projects(k.ProjectID)
	if !ok {
		return project.Key{}, project.Project{}, errKey()
	}
	if !held {
		a.keys.put(hash, heldKey{k, now.Add(a.opts.KeyTTL)})
	}
	return k, p, nil
}

// bearer gives the text of the key that a request names; empty: it names none, or
// several.
func bearer(h http.Header) string {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return ""
	}
	scheme, text, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return text
}

// readKey finds a text's key in the store. Whatever is wrong with it, one row is
// looked for that is there and one that is not.
func (a *API) readKey(ctx context.Context, text, hash string, now time.Time) (project.Key, error) {
	name, ok := project.KeyOf(text)
	if !ok || int(name.Bucket()) >= a.opts.Flows.Buckets() {
		name = id.Key{} // is nowhere, but looked for all the same
	}
	k, found, err := a.opts.Read.Key(ctx, name)
	if err != nil {
		return project.Key{}, away(err)
	}
	if _, _, err := a.opts.Read.Key(ctx, a.keys.other(name, found)); err != nil {
		return project.Key{}, away(err)
	}
	if fits := k.Is(hash); !found || !fits || !k.Good(now.UnixMicro()) {
		return project.Key{}, errKey()
	}
	return k, nil
}

// other gives, of one that was found in the store, a key that is not there, and of
// one that was not, one that is.
func (k *keyring) other(name id.Key, found bool) id.Key {
	k.mu.Lock()
	defer k.mu.Unlock()
	if found {
		k.there = name
		return id.Key{}
	}
	return k.there
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
func (a *API) ExpireKey(ctx context.Context, k id.Key, atUS int64, by operator.Actor) error {
	defer a.Forget()
	return a.opts.Flows.ExpireKey(ctx, k, atUS, by)
}

// RevokeKey revokes a key; this process does not know it any more when it returns.
func (a *API) RevokeKey(ctx context.Context, k id.Key, by operator.Actor) error {
	defer a.Forget()
	return a.opts.Flows.RevokeKey(ctx, k, by)
}
