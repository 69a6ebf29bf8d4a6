package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aorta/internal/store/storetest"
)

// asProgram makes the test's own binary the program, on a disk that fails when
// the file that this variable names appears.
const asProgram = "TEST_AORTA_DISK_FAILS_AT"

func TestMain(m *testing.M) {
	sign := os.Getenv(asProgram)
	if sign == "" {
		os.Exit(m.Run())
	}
	disk := storetest.NewDisk()
	go func() {
		for {
			if _, err := os.Stat(sign); err == nil {
				disk.Refuse("aorta.db-wal")
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	main()
}

// program is the demo in a process of its own.
type program struct {
	*exec.Cmd
	ready
	log   *bytes.Buffer
	data  string
	fails string // the file that makes its disk fail
}

func startProgram(t *testing.T) *program {
	t.Helper()
	dir := t.TempDir()
	p := &program{log: &bytes.Buffer{}, data: filepath.Join(dir, "data"), fails: filepath.Join(dir, "fails")}
	p.Cmd = exec.Command(os.Args[0], "demo", "--json", "--data", p.data, "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0")
	p.Env = append(os.Environ(), asProgram+"="+p.fails)
	p.Stderr = p.log
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() })
	line, _ := bufio.NewReader(out).ReadBytes('\n')
	if err := json.Unmarshal(line, &p.ready); err != nil {
		_ = p.Process.Kill()
		_ = p.Wait()
		t.Fatalf("ready line %q: %v; log %s", line, err, p.log)
	}
	settles(t, http.DefaultClient, p.Public, p.Sandbox, p.Project)
	return p
}

// end waits until the process has ended by itself, and gives its exit code.
func (p *program) end(t *testing.T, within time.Duration) int {
	t.Helper()
	late := time.AfterFunc(within, func() { _ = p.Process.Kill() })
	defer late.Stop()
	err := p.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return p.ProcessState.ExitCode()
}

func (p *program) verify(t *testing.T) error {
	t.Helper()
	out, _, err := aorta(t, "verify", "--data", p.data)
	if err != nil {
		t.Log(out)
	}
	return err
}

// A disk that refuses to flush ends the process at once (torture.md T06): what
// it says of later flushes must not be believed.
func TestFailedFlushEndsTheProcess(t *testing.T) {
	t.Parallel()
	p := startProgram(t)
	if err := os.WriteFile(p.fails, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	begun := time.Now() // the sign of life, every 3 s, is the next to write
	if code := p.end(t, 20*time.Second); code != 74 {
		t.Errorf("exit code %d after %v, want 74; log %s", code, time.Since(begun), p.log)
	}
	if !strings.Contains(p.log.String(), "ALARM") || !strings.Contains(p.log.String(), "the disk refused to flush") {
		t.Errorf("the log does not say why: %s", p.log)
	}
	if err := p.verify(t); err != nil {
		t.Errorf("verify afterwards: %v", err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Ops+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		t.Error("something still answers")
	}
}

// Books that do not balance end the process: a wrong ledger is worse than none
// (design section 8).
func TestBrokenLedgerEndsTheProcess(t *testing.T) {
	t.Parallel()
	p := startProgram(t)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(p.data, "aorta.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	changed, err := db.ExecContext(t.Context(), "UPDATE account SET minor = minor + 1 WHERE account.purpose = 'clearing'")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := changed.RowsAffected(); err != nil || n != 1 {
		t.Fatalf("%d accounts changed (%v), want one", n, err)
	}
	if code := p.end(t, time.Minute); code != 70 {
		t.Errorf("exit code %d, want 70; log %s", code, p.log)
	}
	if !strings.Contains(p.log.String(), "ALARM") || !strings.Contains(p.log.String(), "sum to 1 minor units, not to zero") {
		t.Errorf("the log does not say why: %s", p.log)
	}
	if err := p.verify(t); !errors.Is(err, errViolated) {
		t.Errorf("verify afterwards: %v, want %v", err, errViolated)
	}
}
