package opsapi

import (
	"context"
	"encoding/base32"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/operator"
	"aorta/internal/project"
)

// Keys are what the admin calls for API keys need.
type Keys struct {
	Project func(int64) (project.Project, bool)
	Hash    project.KeyHasher
	Random  io.Reader
	Now     func() time.Time
	New     func(project.Project) id.Key
	Put     func(context.Context, project.Key, operator.Actor) error
	Revoke  func(context.Context, id.Key, operator.Actor) error
	Expire  func(ctx context.Context, k id.Key, atUS int64, by operator.Actor) error
}

// keyView is an API key without its text.
type keyView struct {
	ID              id.Key   `json:"id"`
	Project         int64    `json:"project"`
	Name            string   `json:"name"`
	Scopes          []string `json:"scopes"`
	DefaultCustomer string   `json:"default_customer,omitempty"`
	Text            string   `json:"key,omitempty"` // told once, to who has made it
	CreatedAt       string   `json:"created_at,omitempty"`
	ExpiresAt       string   `json:"expires_at,omitempty"`
	RevokedAt       string   `json:"revoked_at,omitempty"`
}

func viewKey(k project.Key) keyView {
	at := func(us int64) string {
		if us == 0 {
			return ""
		}
		return time.UnixMicro(us).UTC().Format(time.RFC3339)
	}
	return keyView{
		ID: k.ID, Project: k.ProjectID, Name: k.Name, Scopes: strings.Fields(k.Scopes), DefaultCustomer: k.DefaultCustomer,
		CreatedAt: at(k.CreatedUS), ExpiresAt: at(k.ExpiresUS), RevokedAt: at(k.RevokedUS),
	}
}

func (d door) listKeys(w http.ResponseWriter, r *http.Request) error {
	var after id.Key
	if err := after.UnmarshalText([]byte(r.FormValue("after"))); err != nil {
		return err
	}
	rows, err := d.Read.ScanKeys(r.Context(), after, page)
	if err != nil {
		return err
	}
	out := make([]keyView, len(rows))
	for n, k := range rows {
		out[n] = viewKey(k)
	}
	answer(w, http.StatusOK, map[string]any{"keys": out})
	return nil
}

// keyRequest describes a key to make.
type keyRequest struct {
	Project         int64    `json:"project"`
	Name            string   `json:"name"`
	Scopes          []string `json:"scopes"` // none: all
	DefaultCustomer string   `json:"default_customer"`
	ExpiresIn       int64    `json:"expires_in"` // seconds; 0: never
}

func (d door) createKey(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	var req keyRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	p, ok := d.Keys.Project(req.Project)
	switch {
	case !ok:
		return badRequest{"no such project"}
	case len(req.Name) > 255 || len(req.DefaultCustomer) > 255:
		return badRequest{"name and default_customer have at most 255 bytes"}
	case req.ExpiresIn < 0:
		return badRequest{"expires_in must not be negative"}
	}
	if len(req.Scopes) == 0 {
		for _, s := range project.Scopes() {
			req.Scopes = append(req.Scopes, string(s))
		}
	}
	for _, s := range req.Scopes {
		if !project.Scope(s).Known() {
			return badRequest{fmt.Sprintf("scope %q does not exist; there are %v", s, project.Scopes())}
		}
	}
	slices.Sort(req.Scopes)
	k := project.Key{ProjectID: p.ID, Name: req.Name, Scopes: strings.Join(slices.Compact(req.Scopes), " "), DefaultCustomer: req.DefaultCustomer}
	if req.ExpiresIn > 0 {
		k.ExpiresUS = d.Keys.Now().Add(time.Duration(req.ExpiresIn) * time.Second).UnixMicro()
	}
	v, err := d.makeKey(r.Context(), p, k, by)
	if err == nil {
		answer(w, http.StatusOK, v)
	}
	return err
}

// makeKey makes a key with a text of its own, and gives both.
func (d door) makeKey(ctx context.Context, p project.Project, k project.Key, by operator.Actor) (keyView, error) {
	var bits [project.KeySecretLen * 5 / 8]byte
	if _, err := io.ReadFull(d.Keys.Random, bits[:]); err != nil {
		return keyView{}, fmt.Errorf("randomness: %w", err)
	}
	k.ID = d.Keys.New(p)
	text := project.KeyText(k.ID, KeySecret(bits))
	k.Hash, k.CreatedUS = d.Keys.Hash.Hash(text), d.Keys.Now().UnixMicro()
	if err := d.Keys.Put(ctx, k, by); err != nil {
		return keyView{}, err
	}
	v := viewKey(k)
	v.Text = text
	return v, nil
}

// KeySecret writes random bits as the secret part of a key's text.
func KeySecret(bits [project.KeySecretLen * 5 / 8]byte) string {
	return strings.ToLower(base32.StdEncoding.EncodeToString(bits[:]))
}

// rotateKey makes a key like another one, which ends after a while: in this order,
// so that whatever fails, the caller has a key that works.
func (d door) rotateKey(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	var req struct {
		Overlap int64 `json:"overlap"` // seconds that the old key still works
	}
	if err := decode(r, &req); err != nil {
		return err
	}
	old, err := d.key(r)
	if err != nil {
		return err
	}
	p, ok := d.Keys.Project(old.ProjectID)
	now := d.Keys.Now()
	switch {
	case !ok:
		return badRequest{"its project is not configured"}
	case !old.Good(now.UnixMicro()):
		return badRequest{"it is not in use any more: make a new one"}
	case req.Overlap < 0 || req.Overlap > 30*24*3600:
		return badRequest{"overlap must be 0 to 2592000 seconds"}
	}
	next := old
	next.ExpiresUS = 0
	v, err := d.makeKey(r.Context(), p, next, by)
	if err != nil {
		return err
	}
	if err := d.Keys.Expire(r.Context(), old.ID, now.Add(time.Duration(req.Overlap)*time.Second).UnixMicro(), by); err != nil {
		return err
	}
	answer(w, http.StatusOK, v)
	return nil
}

func (d door) revokeKey(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	k, err := d.key(r)
	if err != nil {
		return err
	}
	if err := d.Keys.Revoke(r.Context(), k.ID, by); err != nil {
		return err
	}
	answer(w, http.StatusOK, map[string]any{"id": k.ID, "revoked": true})
	return nil
}

// key reads the key that a path names.
func (d door) key(r *http.Request) (project.Key, error) {
	k, err := id.ParseKey(r.PathValue("id"))
	if err != nil {
		return project.Key{}, err
	}
	row, ok, err := d.Read.Key(r.Context(), k)
	if err == nil && !ok {
		err = flow.ErrNoKey
	}
	return row, err
}
