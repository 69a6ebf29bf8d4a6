package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/operator"
	"aorta/internal/opsapi"
	"aorta/internal/project"
)

// keysCmd manages the API keys of a running server, through its ops listener, and
// the keys of Google integrations, in their files.
type keysCmd struct {
	Create createKeyCmd `cmd:"" help:"Make an API key. Its text is told once."`
	List   listKeysCmd  `cmd:"" help:"List API keys, without their texts."`
	Rotate rotateKeyCmd `cmd:"" help:"Make a key like another one, which still works for a while."`
	Revoke revokeKeyCmd `cmd:"" help:"End an API key at once."`

	Google googleKeysCmd `cmd:"" help:"The OpenPGP keys of an integration with Google: make, export, import, activate, retire, list."`
}

// opsCall is how a verb reaches a running server.
type opsCall struct {
	Ops   string `help:"The running server's ops listener." default:"http://127.0.0.1:8081" env:"AORTA_OPS"`
	Token string `help:"An operator's token, or its ops_token." env:"AORTA_OPS_TOKEN"`
}

// opsTimeout bounds one call of the ops listener.
const opsTimeout = 30 * time.Second

// do calls the ops listener and gives what it answers.
func (c opsCall) do(ctx context.Context, method, path string, body any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, opsTimeout)
	defer cancel()
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.Ops, "/")+path, bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("--ops: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the server does not answer at %s (is it running, and is this its ops listener?): %w", c.Ops, err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	var refused struct {
		Message string `json:"message"`
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("answer of %s: %w", c.Ops, err)
	case resp.StatusCode == http.StatusUnauthorized:
		return nil, errors.New("the server wants an operator's token or its ops_token, and this one opens nothing: give it by --token or AORTA_OPS_TOKEN")
	case resp.StatusCode != http.StatusOK && json.Unmarshal(said, &refused) == nil && refused.Message != "":
		return nil, fmt.Errorf("the server refuses (%d): %s", resp.StatusCode, refused.Message)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s answers %d, and not as an ops listener does", c.Ops, resp.StatusCode)
	}
	return said, nil
}

// createKeyCmd makes a key.
type createKeyCmd struct {
	Project         int64         `arg:"" help:"The project that it is for."`
	Name            string        `help:"What it is called, for people."`
	Scope           []string      `help:"What it may do: read, payments:write, refunds:write, payouts:write, wallet:write, webhooks:write; may be repeated. All, if none is named."`
	DefaultCustomer string        `help:"Whose payments those are that name no customer."`
	Expires         time.Duration `help:"After how long it ends by itself. Never, if not given."`
	opsCall
}

// Run makes the key and prints it, as JSON.
func (c createKeyCmd) Run(ctx context.Context, s streams) error {
	said, err := c.do(ctx, http.MethodPost, "/admin/keys", map[string]any{
		"project": c.Project, "name": c.Name, "scopes": c.Scope, "default_customer": c.DefaultCustomer, "expires_in": int64(c.Expires / time.Second),
	})
	return printed(s, said, err)
}

func printed(s streams, said []byte, err error) error {
	if err == nil {
		fmt.Fprintf(s.out, "%s", said)
	}
	return err
}

// listKeysCmd lists keys.
type listKeysCmd struct {
	After string `help:"Go on after this key." placeholder:"ID"`
	opsCall
}

// Run lists, as JSON.
func (c listKeysCmd) Run(ctx context.Context, s streams) error {
	said, err := c.do(ctx, http.MethodGet, "/admin/keys?after="+c.After, nil)
	return printed(s, said, err)
}

// rotateKeyCmd replaces a key.
type rotateKeyCmd struct {
	ID      string        `arg:"" help:"key_…, as aorta keys list shows it."`
	Overlap time.Duration `help:"How long the old key still works." default:"24h"`
	opsCall
}

// Run rotates, and prints the new key, as JSON.
func (c rotateKeyCmd) Run(ctx context.Context, s streams) error {
	if _, err := id.ParseKey(c.ID); err != nil {
		return fmt.Errorf("%s: %w", c.ID, err)
	}
	said, err := c.do(ctx, http.MethodPost, "/admin/keys/"+c.ID+"/rotate", map[string]any{"overlap": int64(c.Overlap / time.Second)})
	return printed(s, said, err)
}

// revokeKeyCmd ends a key.
type revokeKeyCmd struct {
	ID string `arg:"" help:"key_…, as aorta keys list shows it."`
	opsCall
}

// Run revokes.
func (c revokeKeyCmd) Run(ctx context.Context, s streams) error {
	if _, err := id.ParseKey(c.ID); err != nil {
		return fmt.Errorf("%s: %w", c.ID, err)
	}
	said, err := c.do(ctx, http.MethodPost, "/admin/keys/"+c.ID+"/revoke", map[string]any{})
	return printed(s, said, err)
}

// makeDemoKeys makes the demo's API keys, one for each of its projects.
func (h *house) makeDemoKeys(ctx context.Context, flows *flow.Flows, master [32]byte) error {
	h.demoKeys = map[int64]string{}
	for _, each := range h.settings.DemoKeys {
		if p, ok := projectsByID(h.settings.Projects)(each); ok {
			if err := h.makeDemoKey(ctx, flows, master, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// makeDemoKey makes a demo project's API key. Its text follows from the master
// key, so that a restarted demo has the same.
func (h *house) makeDemoKey(ctx context.Context, flows *flow.Flows, master [32]byte, p project.Project) error {
	mac := hmac.New(sha256.New, master[:])
	fmt.Fprintf(mac, "demo API key of project %d", p.ID)
	var bits [project.KeySecretLen * 5 / 8]byte
	copy(bits[:], mac.Sum(nil))
	k := project.Key{ID: id.Key(id.Derive(p.KeyBucket(flows.Buckets()), "demo key", opsapi.KeySecret(bits))), ProjectID: p.ID, Name: "demo", DefaultCustomer: "demo"}
	text := project.KeyText(k.ID, opsapi.KeySecret(bits))
	h.demoKeys[p.ID], k.Hash = text, project.NewKeyHasher(master).Hash(text)
	scopes := make([]string, 0, len(project.Scopes()))
	for _, s := range project.Scopes() {
		scopes = append(scopes, string(s))
	}
	k.Scopes = strings.Join(scopes, " ")
	return flows.PutKey(ctx, k, operator.Automatic("demo", "start"))
}
