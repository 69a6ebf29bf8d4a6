// Package browser drives Debian's Chromium over the widget and the payment page: widget_test.go against a small
// stand-in for the platform, flow_test.go against the built binary.
package browser

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// needs gives the paths of Node.js and Chromium. Without them, or without the npm packages, the test is skipped; in
// `make test`, which installs all of them, that is a failure.
func needs(t *testing.T) (node, chromium string) {
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
	chromium = os.Getenv("AORTA_CHROMIUM")
	if chromium == "" {
		if chromium, err = exec.LookPath("chromium"); err != nil {
			missing("Chromium")
		}
	}
	if _, err := os.Stat(filepath.Join("..", "npm", "node_modules", "playwright-core")); err != nil {
		missing("the npm package playwright-core")
	}
	return node, chromium
}

// drive runs one browser script and reports each of its scenarios as a subtest. Screenshots go to the directory in
// AORTA_SCREENSHOTS, or one that goes away with the test.
func drive(t *testing.T, script string, input map[string]any) {
	t.Helper()
	node, chromium := needs(t)
	shots := os.Getenv("AORTA_SCREENSHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	input["chromium"] = chromium
	input["screenshots"] = filepath.Join(shots, script)
	given, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, script)
	cmd.Env = append(os.Environ(), "AORTA_BROWSER_INPUT="+string(given))
	cmd.WaitDelay = 5 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ran := 0
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var result struct {
			Name, Error string
			MS          int
		}
		if err := json.Unmarshal(lines.Bytes(), &result); err != nil {
			t.Logf("%s: %s", script, lines.Text())
			continue
		}
		ran++
		t.Run(result.Name, func(t *testing.T) {
			t.Logf("%d ms", result.MS)
			if result.Error != "" {
				t.Error(result.Error)
			}
		})
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, stderr.String())
	}
	if ran == 0 {
		t.Fatalf("%s ran no scenario\n%s", script, stderr.String())
	}
}
