package torture_test

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"strings"
	"testing"

	"aorta/internal/crash"
	"aorta/test/demo"
	"aorta/test/torture"
)

// TestNoCrashPointsInRelease: what is built without the tag has neither the
// points nor the way to wish for one, and what is built with it has both.
func TestNoCrashPointsInRelease(t *testing.T) {
	t.Parallel()
	words := []string{"AORTA_CRASH"}
	for _, p := range crash.Points() {
		words = append(words, string(p))
	}
	for path, want := range map[string]bool{demo.Binary(t): false, torture.CrashBinary(t): true} {
		program, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range words {
			if got := bytes.Contains(program, []byte(word)); got != want {
				t.Errorf("%s has the text %q: %t, want %t", path, word, got, want)
			}
		}
		f, err := elf.Open(path)
		if err != nil {
			unavailable(t, "only the texts were looked at: %v", err)
		}
		defer f.Close()
		symbols, err := f.Symbols()
		if err != nil {
			continue // stripped
		}
		found := ""
		for _, s := range symbols {
			if strings.HasPrefix(s.Name, "aorta/internal/crash.") {
				found = s.Name
			}
		}
		if (found != "") != want {
			t.Errorf("%s has a symbol %q of package crash, want one: %t", path, found, want)
		}
	}
}

// TestNoSuchCrashPoint: a wish that cannot come true is refused, with what can.
func TestNoSuchCrashPoint(t *testing.T) {
	t.Parallel()
	for _, wish := range []string{"nowhere", "after-commit:0", "after-commit:x", ":1"} {
		cmd := exec.Command(torture.CrashBinary(t), "serve")
		cmd.Env = append(os.Environ(), "AORTA_CRASH="+wish)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "crash point") {
			t.Errorf("AORTA_CRASH=%s: %v, %s; want a refusal", wish, err, out)
		}
		if wish != "nowhere" {
			continue
		}
		for _, p := range crash.Points() {
			if !strings.Contains(string(out), string(p)) {
				t.Errorf("the refusal does not name %s: %s", p, out)
			}
		}
		for _, place := range crash.NotBuilt() {
			if !strings.Contains(string(out), place) {
				t.Errorf("the refusal does not say that %q is not built: %s", place, out)
			}
		}
	}
}
