package gate_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestGuide runs the examples of docs/gate.md as a reader would: they are copied
// and pasted.
func TestGuide(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/gate.md")
	if err != nil {
		t.Fatal(err)
	}
	packages, err := filepath.Abs("../../test/npm/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t)
	server := httptest.NewServer(h.gate)
	defer server.Close()
	environment := append(os.Environ(), "AORTA_URL="+server.URL, "PROJECT_ID=200", "PROJECT_SECRET="+secret, "PAYMENT_ID=order-1", "NODE_PATH="+packages)

	examples := map[string]int{}
	for _, block := range regexp.MustCompile("(?s)```(sh|js)\n(.*?)```").FindAllStringSubmatch(string(guide), -1) {
		language, text := block[1], block[2]
		examples[language]++
		needed := map[string][]string{"sh": {"curl", "openssl"}, "js": {"node"}}[language]
		for _, program := range needed {
			if _, err := exec.LookPath(program); err != nil {
				skip(t, "no "+program)
			}
		}
		command := exec.CommandContext(t.Context(), "sh", "-c", text)
		if language == "js" {
			if _, err := os.Stat(packages + "/ecommpay"); err != nil {
				skip(t, "npm packages are not installed: make setup")
			}
			command = exec.CommandContext(t.Context(), "node", "-e", text)
		}
		command.Env = environment
		if strings.Contains(text, "createServer") {
			receives(t, h, environment, text)
			continue
		}
		said, err := command.CombinedOutput()
		if err != nil || bytes.Contains(said, []byte("error")) || !bytes.Contains(said, []byte("success")) {
			t.Errorf("%s\n%v, said: %s", text, err, said)
		}
		h.settle()
	}
	if examples["sh"] != 3 || examples["js"] != 2 {
		t.Errorf("examples run: %v", examples)
	}
}

// receives gives a callback to the example that takes them.
func receives(t *testing.T, h *house, environment []string, text string) {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	ctx, stop := context.WithCancel(t.Context())
	command := exec.CommandContext(ctx, "node", "-e", text)
	command.Env = append(environment, "PORT="+address[strings.LastIndexByte(address, ':')+1:])
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { stop(); _ = command.Wait() }()
	for body, want := range map[string]int{string(h.callbacks[0]): 200, strings.Replace(string(h.callbacks[0]), "success", "decline", 1): 400} {
		deadline := time.Now().Add(20 * time.Second) //nolint:forbidigo // another process needs real time to start
		for {
			answer, err := http.Post("http://"+address, "application/json", strings.NewReader(body))
			if err == nil {
				answer.Body.Close()
				if answer.StatusCode != want {
					t.Errorf("example answered %d to %s, want %d", answer.StatusCode, body, want)
				}
				break
			}
			if time.Now().After(deadline) { //nolint:forbidigo // as above
				t.Fatalf("example does not listen: %v", err)
			}
			time.Sleep(20 * time.Millisecond)
		}
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
