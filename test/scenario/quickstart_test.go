package scenario_test

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"aorta/test/demo"
)

// quickstart are the shell's lines of docs/quickstart.md: what a stranger pastes.
func quickstart(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/quickstart.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 2 {
		t.Fatalf("docs/quickstart.md has %d blocks, want the ten lines and the end", len(blocks))
	}
	if lines := strings.Count(blocks[0][1], "\n"); lines != 10 {
		t.Errorf("it takes %d lines, want ten", lines)
	}
	return blocks[0][1] + blocks[1][1]
}

// pasted runs a text in a shell, in a checkout, and gives what it says.
func pasted(t *testing.T, text string, env ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute) // the compiler may have to begin from nothing
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", text)
	cmd.Dir = "../.."
	cmd.Env = append(append(os.Environ(), "TMPDIR="+t.TempDir(), "CGO_ENABLED=0",
		"AORTA_LISTEN=127.0.0.1:0", "AORTA_OPS_LISTEN=127.0.0.1:0", "AORTA_SANDBOX_LISTEN=127.0.0.1:0"), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the demo ends with the shell, whatever happens
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	return string(out), err
}

// TestQuickStart executes docs/quickstart.md as a stranger would, on each store.
func TestQuickStart(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("AORTA_TEST_ALL") != "" {
			t.Fatal("no curl")
		}
		t.Skip("no curl")
	}
	text := quickstart(t)
	for store, flags := range demo.Stores(t) {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			var env []string
			if len(flags) == 2 {
				env = append(env, "AORTA_DATABASE="+flags[1])
			}
			said, err := pasted(t, text, env...)
			if err != nil {
				t.Errorf("it ended with %v", err)
			}
			for _, want := range []string{
				`^{"payment_id":"pay_[0-9a-z]{26}","status":"pending","redirect_url":"http://127\.0\.0\.1:`,
				`^{"customer_id":"42","balances":\[{"currency":"EUR","available":"50\.00",`,
				`^{"transfer_id":"txn_.*"kind":"stake".*"available":"45\.00"`,
				`^{"transfer_id":"txn_.*"kind":"win".*"available":"52\.50"`,
				`^{"payout_id":"po_[0-9a-z]{26}","status":"(pending|paid)"`,
				`^{"customer_id":"42","balances":\[{"currency":"EUR","available":"32\.50","reserved":"0\.00",`,
				`^every invariant holds$`,
			} {
				if !regexp.MustCompile("(?m)" + want).MatchString(said) {
					t.Errorf("nothing it says is %s", want)
				}
			}
			if strings.Contains(said, `"error"`) {
				t.Error("a call was refused")
			}
			if t.Failed() {
				t.Log(said)
			}
		})
	}
}
