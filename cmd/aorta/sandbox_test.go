package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"aorta/internal/sandbox"
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
	if p := ready.Paytm; p.BaseURL != ready.Sandbox+"/paytm" || p.MID == "" || p.Key == "" || p.Website == "" || p.Account != "demo" {
		t.Errorf("Paytm account %+v", p)
	}
	if ready.Project != (readyProject{ID: 200, Secret: "sandbox-secret"}) {
		t.Errorf("project %+v", ready.Project)
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

// TestServeWithSandbox: what the sandbox prints makes the platform's
// configuration, and a payment goes through both.
func TestServeWithSandbox(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close() // free now: the platform takes it when it knows the sandbox
	printed := bufio.NewScanner(launch(t, "sandbox", "--listen", "127.0.0.1:0", "--public", "http://"+address))
	var text strings.Builder
	for url := ""; printed.Scan(); {
		line := printed.Text()
		if url == "" {
			url = line
			continue // where it is; the rest is configuration
		}
		text.WriteString(line + "\n")
		if strings.HasPrefix(line, "  account") {
			break
		}
	}
	cfg, err := loaded(t, fmt.Sprintf("data = %q\nlisten = %q\nops_listen = \"127.0.0.1:0\"\nlookup_schedule = \"1h\"\n", t.TempDir(), address)+text.String())
	if err != nil {
		t.Fatalf("load: %v in %s", err, text.String())
	}
	h, err := open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	settles(t, http.DefaultClient, h.url(), strings.TrimSuffix(cfg.Connectors[0].BaseURL, "/paytm"), readyProject{ID: 200, Secret: "sandbox-secret"})
}

// TestSandboxGuide: the configuration in docs/sandbox.md is the one that the
// sandbox prints with its defaults.
func TestSandboxGuide(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/sandbox.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(language string) string {
		_, rest, _ := strings.Cut(string(guide), "```"+language+"\n")
		text, _, _ := strings.Cut(rest, "```")
		return text
	}
	var printed sandboxReady
	if err := json.Unmarshal([]byte(block("json")), &printed); err != nil {
		t.Fatal(err)
	}
	cfg, err := loaded(t, block("toml"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(printed.text(), "\n")
	same, err := loaded(t, "data = \"aorta-data\"\n"+text)
	if err != nil || !reflect.DeepEqual(cfg, same) {
		t.Errorf("the guide has %+v, the sandbox prints %+v, %v", cfg, same, err)
	}
	if own := sandbox.DemoAccount(); printed.Paytm != (readyPaytm{printed.Sandbox + "/paytm", own.MID, own.Key, own.Website, sandbox.DemoAccountName}) {
		t.Errorf("the guide's account is %+v", printed.Paytm)
	}
	if want := (readyGeneric{printed.Sandbox + "/generic", sandbox.DemoAccountName, printed.Project.Secret, sandbox.DemoAccountName}); printed.Generic != want {
		t.Errorf("the guide's account at the generic provider is %+v, want %+v", printed.Generic, want)
	}
}

func TestLateAfter(t *testing.T) {
	t.Parallel()
	for want, c := range map[time.Duration]sandboxCmd{
		time.Second: {LateAfter: time.Second, LimitTime: time.Hour}, 62 * time.Second: {LimitTime: time.Minute},
	} {
		if got := c.lateAfter(); got != want {
			t.Errorf("lateAfter of %+v = %s, want %s", c, got, want)
		}
	}
}

func TestSandboxOnATakenPort(t *testing.T) {
	t.Parallel()
	c := sandboxCmd{Listen: "127.0.0.1:99999"}
	if err := c.Run(t.Context(), streams{io.Discard, io.Discard}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a listener that cannot be was opened")
	}
}
