package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
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
