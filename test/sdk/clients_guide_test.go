package sdk

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"aorta/test/demo"

	esbuild "github.com/evanw/esbuild/pkg/api"
)

// TestClientGuide runs the programs of docs/api.md as a reader would: they are copied and pasted, and must tell of the
// payment that they begin, twice: as begun, and in the list.
func TestClientGuide(t *testing.T) {
	node := nodeAlone(t)
	guide, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	program := func(language string) string {
		t.Helper()
		found := regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllSubmatch(guide, -1)
		if len(found) != 1 {
			t.Fatalf("docs/api.md has %d programs in %s, want 1", len(found), language)
		}
		return string(found[0][1])
	}
	d := demo.Start(t)
	runs := func(order, name string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = filepath.Join("..", "..")
		cmd.Env = append(os.Environ(), "AORTA_URL="+d.Public, "AORTA_KEY="+d.APIKey)
		out, err := cmd.CombinedOutput()
		if err != nil || !regexp.MustCompile(`pay_[0-9a-z]{26} pending http`).Match(out) || !strings.Contains(string(out), order+" 50.00 EUR") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	runs("order-2", "go", "run", write("main.go", program("go")))

	plain := esbuild.Transform(program("ts"), esbuild.TransformOptions{Loader: esbuild.LoaderTS})
	if len(plain.Errors) > 0 {
		t.Fatal(fmt.Sprint(plain.Errors))
	}
	installed, err := filepath.Abs("../../clients/typescript")
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "node_modules"), 0o700)
	}
	if err == nil {
		err = os.Symlink(installed, filepath.Join(dir, "node_modules", "aorta")) // as npm install does with a directory
	}
	if err != nil {
		t.Fatal(err)
	}
	runs("order-3", node, write("main.mjs", string(plain.Code)))
}
