package torture

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Volume is a small disk of a test's own, which can be filled.
type Volume struct {
	t   testing.TB
	Dir string
}

// NewVolume makes one of so many MiB, a memory file system: it needs the right
// to mount. Without that the test is skipped, which AORTA_TEST_ALL and the full
// programme forbid.
func NewVolume(t testing.TB, mib int) *Volume {
	t.Helper()
	dir, err := os.MkdirTemp("", "aorta-torture-volume-") // not t.TempDir: others must reach it
	if err != nil {
		t.Fatal(err)
	}
	v := &Volume{t: t, Dir: dir}
	if err := mountMemory(dir, mib); err != nil {
		_ = os.Remove(dir)
		if os.Getenv("AORTA_TEST_ALL") != "" || Full() {
			t.Fatalf("a full disk needs the right to mount a tmpfs: %v", err)
		}
		t.Skipf("a full disk needs the right to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unmount(dir); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
		_ = os.Remove(dir)
	})
	return v
}

func (v *Volume) ballast() string { return filepath.Join(v.Dir, "ballast") }

// Fill leaves at most so many bytes free.
func (v *Volume) Fill(leave int64) {
	v.t.Helper()
	f, err := os.OpenFile(v.ballast(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		v.t.Fatal(err)
	}
	defer f.Close()
	chunk := make([]byte, 64<<10)
	for {
		var s syscall.Statfs_t
		if err := syscall.Statfs(v.Dir, &s); err != nil {
			v.t.Fatal(err)
		}
		much := int64(s.Bavail)*int64(s.Bsize) - leave
		if much <= 0 {
			return
		}
		if _, err := f.Write(chunk[:min(much, int64(len(chunk)))]); errors.Is(err, syscall.ENOSPC) {
			return // others write too
		} else if err != nil {
			v.t.Fatal(err)
		}
	}
}

// Free gives the space back.
func (v *Volume) Free() {
	v.t.Helper()
	if err := os.Remove(v.ballast()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		v.t.Fatal(err)
	}
}

// Content says what is on it, and how much room there is.
func (v *Volume) Content() string {
	var text []string
	_ = filepath.WalkDir(v.Dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				text = append(text, fmt.Sprintf("%s %d KiB", d.Name(), info.Size()>>10))
			}
		}
		return nil
	})
	var s syscall.Statfs_t
	if err := syscall.Statfs(v.Dir, &s); err == nil {
		text = append(text, fmt.Sprintf("free %d KiB", int64(s.Bavail)*int64(s.Bsize)>>10))
	}
	return strings.Join(text, ", ")
}
