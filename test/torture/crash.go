package torture

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// CrashBinary gives the path of a program that can be told to die at a crash
// point (package crash). It is built once per test program.
func CrashBinary(t testing.TB) string {
	t.Helper()
	path, err := crashBinary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var crashBinary = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "aorta-test")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	built := filepath.Join(dir, fmt.Sprintf("aorta-crash-%d", os.Getpid()))
	// Without the profile: it would only take time, and its dependencies are compiled so for tests already.
	cmd := exec.Command("go", "build", "-tags", "crashpoints", "-pgo=off", "-o", built, "aorta/cmd/aorta")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build aorta/cmd/aorta with crash points: %w\n%s", err, out)
	}
	path := filepath.Join(dir, "aorta-crash")
	return path, os.Rename(built, path)
})
