// Package demo starts the built binary as a stranger would, `aorta demo --json`, for tests that look at it from
// outside. Each start has a data directory and free ports of its own; when the test is over the binary is stopped
// and `aorta verify` must find the money right.
package demo

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// startWithin bounds the time from start to ready on a busy machine; the design's two seconds are measured elsewhere.
const startWithin = 60 * time.Second

// Demo is a running one, as its ready line describes it.
type Demo struct {
	Public  string `json:"public"`
	Ops     string `json:"ops"`
	Sandbox string `json:"sandbox"`
	Project struct {
		ID     int64  `json:"id"`
		Secret string `json:"secret"`
	} `json:"project"`
	APIKey   string `json:"api_key"`
	Licensed struct {
		APIKey string `json:"api_key"`
	} `json:"licensed"`
	Customers []map[string]string `json:"customers"` // who can sign in to link a wallet
}

// Binary gives the path of the program: AORTA_BIN, else it is built once per test program.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var binary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("AORTA_BIN"); path != "" {
		return path, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	// One file for all runs, replaced in one step, so that nothing piles up and nobody starts half a program.
	dir := filepath.Join(cache, "aorta-test")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	built := filepath.Join(dir, fmt.Sprintf("aorta-%d", os.Getpid()))
	cmd := exec.Command("go", "build", "-o", built, "aorta/cmd/aorta") // of the module that the tests run in
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")                    // as it is released: static, and no thread maps 8 MiB of stack
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build aorta/cmd/aorta: %w\n%s", err, out)
	}
	path := filepath.Join(dir, "aorta")
	return path, os.Rename(built, path)
})

// Stores gives the flags that put a demo on each store: SQLite, and PostgreSQL in an empty database of its own when
// AORTA_TEST_POSTGRES names a server.
func Stores(t testing.TB) map[string][]string {
	t.Helper()
	stores := map[string][]string{"sqlite": nil}
	server := os.Getenv("AORTA_TEST_POSTGRES")
	if server == "" {
		t.Log("AORTA_TEST_POSTGRES is not set: not on PostgreSQL")
		return stores
	}
	address, err := url.Parse(server)
	if err != nil {
		t.Fatalf("AORTA_TEST_POSTGRES: %v", err)
	}
	name := "aorta_demo_" + strings.ToLower(rand.Text())
	admin := func(statement string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, server)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	admin("CREATE DATABASE " + name)
	t.Cleanup(func() { admin("DROP DATABASE " + name + " WITH (FORCE)") })
	address.Path = "/" + name
	stores["postgres"] = []string{"--database", address.String()}
	return stores
}

// Ports that nobody gets who only asks for any, as everyone does who connects to
// somebody: a process that is restarted must find its own free.
const (
	firstPort = 10_240
	ports     = 22_000
)

// nextPort is where FreeAddress looks next; processes begin at different ones.
var nextPort = func() *atomic.Int64 {
	n := new(atomic.Int64)
	n.Store(mathrand.Int64N(ports))
	return n
}()

// FreeAddress finds an address that nobody listens on, and that stays free of
// others' connections while its owner is away.
func FreeAddress(t testing.TB) string {
	t.Helper()
	for range ports {
		address := fmt.Sprintf("127.0.0.1:%d", firstPort+nextPort.Add(1)%ports)
		if l, err := net.Listen("tcp", address); err == nil {
			_ = l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

// Start runs `aorta demo --json` with these further flags and waits until it is ready.
func Start(t testing.TB, flags ...string) *Demo {
	t.Helper()
	path, data := Binary(t), t.TempDir()
	args := append([]string{
		"demo", "--json", "--data", data,
		"--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0",
	}, flags...)
	cmd := exec.Command(path, args...)
	cmd.Dir = data
	var log bytes.Buffer
	cmd.Stderr = &log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make(chan []byte, 1)
	ended := make(chan error, 1)
	go func() {
		lines := bufio.NewReader(stdout)
		first, _ := lines.ReadBytes('\n')
		line <- first
		_, _ = io.Copy(io.Discard, lines)
		ended <- cmd.Wait()
	}()
	where := []string{"--data", data}
	if i := slices.Index(flags, "--database"); i >= 0 {
		where = flags[i : i+2]
	}
	t.Cleanup(func() { stop(t, cmd, ended, &log, append([]string{path, "verify", "--json"}, where...)) })

	var d Demo
	select {
	case text := <-line:
		if err := json.Unmarshal(text, &d); err != nil || d.Public == "" || d.Sandbox == "" || d.Project.Secret == "" {
			t.Fatalf("the ready line is %q", text)
		}
	case <-time.After(startWithin):
		t.Fatalf("aorta demo was not ready in %v", startWithin)
	}
	return &d
}

// stop ends the program politely, has the books verified, and shows the log when something was wrong.
func stop(t testing.TB, cmd *exec.Cmd, ended chan error, log *bytes.Buffer, verify []string) {
	t.Helper()
	_ = cmd.Process.Signal(os.Interrupt)
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("aorta demo ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("aorta demo did not stop in 30s")
		_ = cmd.Process.Kill()
		<-ended
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, verify[0], verify[1:]...).Output()
	var report struct{ OK bool }
	if err != nil || json.Unmarshal(out, &report) != nil || !report.OK {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			out = append(out, exit.Stderr...)
		}
		t.Errorf("aorta verify: %v\n%s", err, out)
	}
	if t.Failed() {
		t.Logf("log of aorta demo:\n%s", log.Bytes())
	}
}
