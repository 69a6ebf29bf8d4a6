package api_test

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestGuide runs the examples of docs/api.md as a reader would, and looks whether
// the page has every call, scope and code.
func TestGuide(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t)
	server := httptest.NewServer(h.api)
	defer server.Close()
	hooks, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	shell := regexp.MustCompile("(?s)```sh\n(.*?)```")
	examples := shell.FindAllStringSubmatch(string(guide), -1)
	more := shell.FindAllStringSubmatch(string(hooks), -1)
	if len(more) < 3 {
		t.Errorf("docs/webhooks.md has %d examples", len(more))
	}
	examples = append(examples, more...)
	payouts, err := os.ReadFile("../../docs/payouts.md")
	if err != nil {
		t.Fatal(err)
	}
	paid := shell.FindAllStringSubmatch(string(payouts), -1)
	if len(paid) < 3 {
		t.Errorf("docs/payouts.md has %d examples", len(paid))
	}
	examples = append(examples, paid...)
	endpoint := ""
	for _, block := range examples {
		if _, err := exec.LookPath("curl"); err != nil {
			if os.Getenv("AORTA_TEST_ALL") != "" {
				t.Fatal("no curl")
			}
			t.Skip("no curl")
		}
		command := exec.CommandContext(t.Context(), "sh", "-c", block[1])
		command.Env = append(os.Environ(), "AORTA_URL="+server.URL, "AORTA_KEY="+h.key, "ENDPOINT="+endpoint)
		said, err := command.Output()
		var answer map[string]any
		if err != nil || json.Unmarshal(bytes.Split(bytes.TrimSpace(said), []byte("\n"))[0], &answer) != nil || bytes.Contains(said, []byte(`"error"`)) || !regexp.MustCompile(`pay_|po_|txn_|we_|cb_`).Match(said) {
			t.Errorf("%s\n%v, said: %s", block[1], err, said)
		}
		if made, ok := answer["endpoint_id"].(string); ok {
			endpoint = made
		}
	}
	if len(examples) < 3 {
		t.Errorf("%d examples were run", len(examples))
	}
	doc, _ := document()
	for pattern, calls := range at(doc, "paths").(map[string]any) {
		for method, op := range calls.(map[string]any) {
			if !strings.Contains(string(guide), "`"+strings.ToUpper(method)+" "+pattern+"`") {
				t.Errorf("docs/api.md does not have %s %s", method, pattern)
			}
			if scope, _ := at(op, "x-scope").(string); !strings.Contains(string(guide), "`"+scope+"`") && scope != "" {
				t.Errorf("docs/api.md does not have the scope %s", scope)
			}
		}
	}
	for _, code := range at(doc, "components", "schemas", "Error", "properties", "error", "enum").([]any) {
		if !strings.Contains(string(guide), "`"+code.(string)+"`") {
			t.Errorf("docs/api.md does not have %s", code)
		}
	}
}
