package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestReplay(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		args    []string
		status  int
		answer  string
		body    string // what the server must have got
		out     string
		wantErr string
	}{
		{
			name: "named", args: []string{"deliveries", "--id", "cb_1", "--id", "cb_2"}, status: http.StatusOK, answer: `{"replayed":2}`,
			body: `{"dead":false,"ids":["cb_1","cb_2"],"what":"deliveries"}`, out: "2 deliveries are done once more\n",
		},
		{
			name: "dead letters", args: []string{"notifications", "--dead"}, status: http.StatusOK, answer: `{"replayed":7}`,
			body: `{"dead":true,"ids":null,"what":"notifications"}`, out: "7 notifications are done once more\n",
		},
		{
			name: "without token", args: []string{"deliveries", "--dead"}, status: http.StatusUnauthorized, answer: `{"error":"unauthenticated"}`,
			wantErr: "ops_token",
		},
		{
			name: "unknown", args: []string{"deliveries", "--id", "cb_1"}, status: http.StatusNotFound, answer: `{"error":"not_found","message":"no such delivery"}`,
			wantErr: "no such delivery",
		},
		{
			name: "another program", args: []string{"deliveries", "--dead"}, status: http.StatusOK, answer: `<html>`,
			wantErr: "not as an ops listener does",
		},
		{name: "nothing named", args: []string{"deliveries"}, wantErr: "--dead"},
		{name: "both", args: []string{"deliveries", "--dead", "--id", "cb_1"}, wantErr: "--dead"},
		{name: "another thing", args: []string{"payments", "--dead"}, wantErr: "must be one of"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var body, token string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				text, _ := io.ReadAll(r.Body)
				body, token = r.Method+" "+r.URL.Path+" "+string(text), r.Header.Get("Authorization")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.answer)
			}))
			t.Cleanup(server.Close)
			out, _, err := aorta(t, append([]string{"replay", "--ops", server.URL + "/", "--token", "t1"}, test.args...)...)
			if out != test.out {
				t.Errorf("replay printed %q, want %q", out, test.out)
			}
			if (err == nil) != (test.wantErr == "") || (err != nil && !strings.Contains(err.Error(), test.wantErr)) {
				t.Errorf("replay = %v, want an error with %q", err, test.wantErr)
			}
			if test.body != "" && (body != "POST /admin/replay "+test.body || token != "Bearer t1") {
				t.Errorf("the server got %q with token %q, want %q with Bearer t1", body, token, test.body)
			}
		})
	}
}

func TestReplayWithoutServer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, _, err := aorta(t, "replay", "deliveries", "--dead", "--ops", server.URL)
	if err == nil || !strings.Contains(err.Error(), "is it running") {
		t.Errorf("replay = %v, want that no server answers", err)
	}
}

// TestReplayOfARunningHouse: dead notifications of a demo are seen, and applied
// once more: one by its id, the others together.
func TestReplayOfARunningHouse(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	running := func(do func(t *testing.T, h ready)) {
		t.Run("", func(t *testing.T) { // it ends with the subtest
			out := launch(t, "demo", "--json", "--data", data, "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0")
			var h ready
			if err := json.NewDecoder(out).Decode(&h); err != nil || !h.Ready {
				t.Fatalf("ready line %+v: %v", h, err)
			}
			do(t, h)
		})
	}
	running(func(t *testing.T, h ready) {
		for n := range 3 { // signed, and of no attempt of ours
			news := fmt.Sprintf(`{"event_id":"evt_%d","reference":"ORDER-%d","status":"captured","amount":"1.00","currency":"EUR","timestamp":%q}`, n, n, time.Now().UTC().Format(time.RFC3339))
			mac := hmac.New(sha256.New, []byte(h.Project.Secret))
			mac.Write([]byte(news))
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.Public+"/v1/payments/webhook", strings.NewReader(news))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("X-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("webhook = %d", resp.StatusCode)
			}
		}
	})
	// What two minutes of tries would come to.
	db, err := sql.Open("sqlite", "file:"+filepath.Join(data, "aorta.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, change := range []string{"UPDATE inbox SET state = 'dead', tries = 6", "DELETE FROM due WHERE kind = 'notice'"} {
		if done, err := db.ExecContext(t.Context(), change); err != nil {
			t.Fatal(err)
		} else if n, err := done.RowsAffected(); err != nil || n != 3 {
			t.Fatalf("%s: %d rows (%v), want 3", change, n, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	running(func(t *testing.T, h ready) {
		dead := func() []string {
			t.Helper()
			resp, err := http.Get(h.Ops + "/admin/notifications/dead")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			return regexp.MustCompile(`in_[0-9a-z]{26}`).FindAllString(string(text), -1)
		}
		replayed := func(args ...string) string {
			t.Helper()
			out, _, err := aorta(t, append([]string{"replay", "notifications", "--ops", h.Ops}, args...)...)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		first := dead()
		if len(first) != 3 {
			t.Fatalf("%d dead notifications, want 3", len(first))
		}
		if out := replayed("--id", first[1]); out != "1 notifications are done once more\n" {
			t.Errorf("one = %q", out)
		}
		if left := dead(); len(left) != 2 || left[0] != first[0] || left[1] != first[2] {
			t.Errorf("after one of %v there are %v", first, left)
		}
		if out := replayed("--dead"); out != "2 notifications are done once more\n" {
			t.Errorf("all = %q", out)
		}
		if left := dead(); len(left) != 0 {
			t.Errorf("after all there are %v", left)
		}
		if out := replayed("--id", first[0], "--id", first[2]); out != "2 notifications are done once more\n" {
			t.Errorf("two by their ids = %q", out)
		}
	})
}
