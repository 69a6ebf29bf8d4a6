// Package sdk has the vendors' own clients judge us: npm ecommpay builds Payment Page addresses, signs Gate requests
// and verifies callbacks of the built binary; npm paytmchecksum judges our Paytm connector on the wire; npm
// standardwebhooks verifies the webhooks that we send.
package sdk

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"aorta/test/demo"
)

// needsNode gives Node.js' path, or skips the test; in `make test`, which installs it and the packages, a missing one
// is a failure.
func needsNode(t *testing.T) string {
	t.Helper()
	missing := func(what string) {
		t.Helper()
		if os.Getenv("AORTA_TEST_ALL") != "" {
			t.Fatalf("%s is missing; test/setup.sh installs it", what)
		}
		t.Skipf("%s is missing; make test installs it", what)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		missing("Node.js")
	}
	for _, name := range []string{"ecommpay", "paytmchecksum", "standardwebhooks"} {
		if _, err := os.Stat(filepath.Join("..", "npm", "node_modules", name)); err != nil {
			missing("the npm package " + name)
		}
	}
	return node
}

// TestECommPay runs ecommpay.mjs, whose scenarios are named in it, against the built binary on each store.
func TestECommPay(t *testing.T) {
	node := needsNode(t)
	for store, flags := range demo.Stores(t) {
		t.Run(store, func(t *testing.T) { judge(t, node, "ecommpay.mjs", demo.Start(t, flags...)) })
	}
}

// judge runs a script, which prints one JSON line {name, error} for each of its scenarios.
func judge(t *testing.T, node, script string, what any) {
	given, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, script, string(given))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", script, err, out, stderr.Bytes())
	}
	ran := 0
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var result struct{ Name, Error string }
		if err := json.Unmarshal(lines.Bytes(), &result); err != nil {
			t.Errorf("%s printed %q", script, lines.Text())
			continue
		}
		ran++
		t.Run(result.Name, func(t *testing.T) {
			if result.Error != "" {
				t.Error(result.Error)
			}
		})
	}
	if ran == 0 {
		t.Fatalf("%s ran no scenario\n%s", script, stderr.Bytes())
	}
}
