package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// TestKeysCommand: what the verb asks the ops listener for.
func TestKeysCommand(t *testing.T) {
	t.Parallel()
	name := "key_" + strings.Repeat("0", 26)
	tests := []struct {
		name    string
		args    []string
		status  int
		asked   string
		wantErr string
	}{
		{
			name: "create", args: []string{"create", "200", "--name", "shop", "--scope", "read", "--scope", "payments:write", "--expires", "1h"}, status: 200,
			asked: `POST /admin/keys {"default_customer":"","expires_in":3600,"name":"shop","project":200,"scopes":["read","payments:write"]}`,
		},
		{name: "list", args: []string{"list"}, status: 200, asked: "GET /admin/keys?after= null"},
		{name: "rotate", args: []string{"rotate", name, "--overlap", "1m"}, status: 200, asked: "POST /admin/keys/" + name + `/rotate {"overlap":60}`},
		{name: "revoke", args: []string{"revoke", name}, status: 200, asked: "POST /admin/keys/" + name + "/revoke {}"},
		{name: "no key", args: []string{"revoke", "../../x"}, wantErr: "malformed"},
		{name: "refused", args: []string{"create", "7"}, status: 422, asked: "POST", wantErr: "no such project"},
		{name: "no token", args: []string{"list"}, status: 401, asked: "GET", wantErr: "ops_token"},
		{name: "no project", args: []string{"create"}, wantErr: "project"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var asked, token string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				text, _ := io.ReadAll(r.Body)
				asked, token = r.Method+" "+r.URL.RequestURI()+" "+string(text), r.Header.Get("Authorization")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, `{"message":"no such project"}`)
			}))
			t.Cleanup(server.Close)
			out, _, err := aorta(t, append(append([]string{"keys"}, test.args...), "--ops", server.URL, "--token", "t1")...)
			if (err == nil) != (test.wantErr == "") || (err != nil && !strings.Contains(err.Error(), test.wantErr)) {
				t.Fatalf("keys = %v, want an error with %q", err, test.wantErr)
			}
			if !strings.HasPrefix(asked, test.asked) || test.asked != "" && token != "Bearer t1" {
				t.Errorf("asked %q with %q, want %q", asked, token, test.asked)
			}
			if err == nil && !strings.Contains(out, "message") {
				t.Errorf("printed %q", out)
			}
		})
	}
}

// TestKeysOfARunningHouse: the demo's key works, and so do keys that are made,
// rotated and revoked while it runs.
func TestKeysOfARunningHouse(t *testing.T) {
	t.Parallel()
	out := launch(t, "demo", "--json", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0")
	var h ready
	if err := json.NewDecoder(out).Decode(&h); err != nil || !h.Ready {
		t.Fatalf("ready line %+v: %v", h, err)
	}
	status := func(key string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.Public+"/v1/payments", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+key)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	keys := func(args ...string) (made struct{ ID, Key string }, all string) {
		t.Helper()
		out, _, err := aorta(t, append(append([]string{"keys"}, args...), "--ops", h.Ops)...)
		if err != nil {
			t.Fatal(err)
		}
		_ = json.Unmarshal([]byte(out), &made)
		return made, out
	}
	if got := status(h.APIKey); got != http.StatusOK {
		t.Errorf("the demo's key = %d", got)
	}
	made, _ := keys("create", "200", "--scope", "read")
	if got := status(made.Key); got != http.StatusOK {
		t.Errorf("a new key = %d", got)
	}
	next, _ := keys("rotate", made.ID, "--overlap", "0s")
	if got, old := status(next.Key), status(made.Key); got != http.StatusOK || old != http.StatusUnauthorized {
		t.Errorf("after rotation: the new one = %d, the old one %d", got, old)
	}
	keys("revoke", next.ID)
	if got := status(next.Key); got != http.StatusUnauthorized {
		t.Errorf("a revoked key = %d", got)
	}
	if _, all := keys("list"); !strings.Contains(all, made.ID) || strings.Contains(all, "sk_") {
		t.Errorf("list = %s", all)
	}
}

// TestKeysOfBefore: a row that has the plain hash of its key's text, as it was
// before hashes had a key, is sealed at the next start, and the key works on.
func TestKeysOfBefore(t *testing.T) {
	t.Parallel()
	cmd := demoCmd{Data: t.TempDir(), Listen: "127.0.0.1:0", OpsListen: "127.0.0.1:0", PageAttempts: 1}
	cmd.BaseTime, cmd.LimitTime, cmd.CallbackUnit = 1e9, 1e9, 1e9
	use := func(do func(h *house)) {
		t.Helper()
		h, err := open(t.Context(), cmd.settings("http://127.0.0.1:1", demoHouse{secret: "a secret of the demo", licensed: "another secret of the demo", psp: "a third secret of it", kyc: "a fourth secret of it", persons: "a fifth secret of it"}), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		do(h)
	}
	stored := func(change string, args ...any) (hash string) {
		t.Helper()
		db, err := sql.Open("sqlite", "file:"+filepath.Join(cmd.Data, "aorta.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if change != "" {
			if _, err := db.ExecContext(t.Context(), change, args...); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.QueryRowContext(t.Context(), "SELECT hash FROM api_key WHERE project_id = $1", demoProject).Scan(&hash); err != nil {
			t.Fatal(err)
		}
		return hash
	}
	works := func(h *house, key string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, h.url()+"/v1/payments", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+key)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	var key string
	use(func(h *house) { key = h.demoKeys[demoProject] })
	sealed := stored("")
	sum := sha256.Sum256([]byte(key))
	if plain := hex.EncodeToString(sum[:]); strings.Contains(sealed, plain) || stored("UPDATE api_key SET hash = $1 WHERE project_id = $2", plain, demoProject) != plain {
		t.Fatalf("the store has %q", sealed)
	}
	use(func(h *house) {
		if got := works(h, key); got != http.StatusOK || h.demoKeys[demoProject] != key {
			t.Errorf("the demo's key of before = %d", got)
		}
	})
	if got := stored(""); got != sealed {
		t.Errorf("after a start the store has %q, want %q", got, sealed)
	}
}
