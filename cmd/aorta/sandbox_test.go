package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSandboxAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"sandbox", "--listen", "127.0.0.1:0", "--data", dir, "--json"}, streams{in, io.Discard})
	}()
	var ready sandboxReady
	if err := json.NewDecoder(out).Decode(&ready); err != nil || !ready.Ready {
		t.Fatalf("ready line %+v: %v", ready, err)
	}
	resp, err := http.Post(ready.Sandbox+"/control", "application/json", bytes.NewReader([]byte(`{"connector":"paytm","next":"approve"}`)))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("control: %v %v", resp, err)
	}
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("sandbox ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("sandbox does not stop")
	}
	if _, err := os.Stat(filepath.Join(dir, "sandbox.journal")); err != nil {
		t.Errorf("it remembers nothing: %v", err)
	}
}

func TestSandboxOnATakenPort(t *testing.T) {
	t.Parallel()
	c := sandboxCmd{Listen: "127.0.0.1:99999"}
	if err := c.Run(t.Context(), streams{io.Discard, io.Discard}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a listener that cannot be was opened")
	}
}
