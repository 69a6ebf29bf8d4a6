package paypage_test

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestGuide runs the examples of docs/payment-page.md as a reader would: they are
// copied and pasted.
func TestGuide(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/payment-page.md")
	if err != nil {
		t.Fatal(err)
	}
	packages, err := filepath.Abs("../../test/npm/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, shop(), nil)
	server := httptest.NewServer(h.page)
	defer server.Close()
	environment := append(os.Environ(), "AORTA_URL="+server.URL, "PROJECT_ID=198", "PROJECT_SECRET="+secretText, "PAYMENT_ID=order-1", "NODE_PATH="+packages)
	run := func(program string, arguments ...string) string {
		t.Helper()
		if _, err := exec.LookPath(program); err != nil {
			skip(t, "no "+program)
		}
		command := exec.CommandContext(t.Context(), program, arguments...)
		command.Env, command.Dir = environment, t.TempDir()
		said, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", arguments, err, said)
		}
		return strings.TrimSpace(string(said))
	}
	examples := map[string][]string{}
	for _, block := range regexp.MustCompile("(?s)```(sh|js|json)\n(.*?)```").FindAllStringSubmatch(string(guide), -1) {
		examples[block[1]] = append(examples[block[1]], block[2])
	}
	if len(examples["sh"]) != 2 || len(examples["js"]) != 1 || len(examples["json"]) != 1 {
		t.Fatalf("the guide has %d, %d and %d examples", len(examples["sh"]), len(examples["js"]), len(examples["json"]))
	}
	for _, needed := range []string{"curl", "openssl"} {
		if _, err := exec.LookPath(needed); err != nil {
			skip(t, "no "+needed)
		}
	}
	if said := run("sh", "-c", examples["sh"][0]); said != "page of HTTP 200" {
		t.Errorf("the link without any package: %s", said)
	}
	if said, want := run("sh", "-c", examples["sh"][1]), strings.TrimSpace(examples["json"][0]); said != want {
		t.Errorf("the parameter check says %s, the guide %s", said, want)
	}
	if _, err := os.Stat(packages + "/ecommpay"); err != nil {
		skip(t, "npm packages are not installed: make setup")
	}
	link, ok := strings.CutPrefix(run("node", "-e", examples["js"][0]), server.URL)
	if a := h.get(link); !ok || a.status != 200 {
		t.Errorf("the official package's link %s = %d, want 200", link, a.status)
	}
}

// skip skips a test for want of a program; in `make test`, which installs them, that is a failure.
func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("AORTA_TEST_ALL") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}
