package pgp_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"aorta/internal/pgp"
)

// FuzzOpen: whatever comes is a message or one of three errors, and never the
// process's end. Only who has Google's key can make a message, so what is taken
// must be one of the seeds.
func FuzzOpen(f *testing.F) {
	files, err := filepath.Glob("testdata/pgp/*.b64url")
	if err != nil || len(files) == 0 {
		f.Fatalf("seeds: %v", err)
	}
	payloads := map[string]bool{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, name := range []string{"payload-capture-request.json", "payload-capture-response.json", "payload-auth-response.json"} {
		payloads[string(vector(f, name))] = true
	}
	f.Add([]byte(""))
	f.Add([]byte("===="))
	us, _ := sides(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		opened, err := us.Open(text, time.Now())
		if err == nil && !payloads[string(opened.Plain)] {
			t.Fatalf("Open() = %q, which nobody has signed", opened.Plain)
		}
		judge(t, opened, err)
	})
}

// FuzzLayer: the same behind the encryption, where anybody who has our public
// key can put what they like.
func FuzzLayer(f *testing.F) {
	f.Add([]byte{})
	f.Add(pgp.Packet(11, []byte{'b', 0, 0, 0, 0, 0, 'x'}))
	f.Add(pgp.Packet(8, []byte{1, 3, 0}))
	f.Add(append(pgp.Packet(11, []byte{'b', 0, 0, 0, 0, 0, 'x'}), pgp.Packet(2, []byte{4, 0, 1, 9, 0, 12, 5, 2, 0x65, 0xa4, 0, 0, 5, 16, 0xb6, 0x50, 0, 0, 0, 0, 0, 8, 1})...))
	f.Add([]byte{0xa3, 1, 0x4b, 4, 0})
	f.Add([]byte{0xcb, 0xe1, 'b', 0, 0})
	us, _ := sides(f)
	ours := key(f, "integrator-public.asc")
	f.Fuzz(func(t *testing.T, inner []byte) {
		opened, err := us.Open(pgp.Text(pgp.EncryptLayer(inner, ours)), time.Now())
		if err == nil {
			t.Fatalf("Open() = %q, which nobody has signed", opened.Plain)
		}
		judge(t, opened, err)
	})
}

func judge(t *testing.T, opened pgp.Opened, err error) {
	t.Helper()
	if err != nil && (opened.Plain != nil || !errors.Is(err, pgp.ErrEncryption) && !errors.Is(err, pgp.ErrSignature) && !errors.Is(err, pgp.ErrTooLarge)) {
		t.Fatalf("Open() = %q, %v", opened.Plain, err)
	}
}

// FuzzReadKey: a file that somebody sent is a key or ErrKey.
func FuzzReadKey(f *testing.F) {
	f.Add(vector(f, "google-side-public.asc"))
	f.Add([]byte{0x99, 0, 6, 4, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := pgp.ReadKey(text)
		if err != nil {
			if !errors.Is(err, pgp.ErrKey) || !k.IsZero() {
				t.Fatalf("ReadKey() = %s, %v", k, err)
			}
			return
		}
		public, err := k.ExportPublic()
		if err != nil {
			t.Fatalf("ExportPublic: %v", err)
		}
		again, err := pgp.ReadKey(public)
		if err != nil || again.Fingerprint() != k.Fingerprint() || bytes.Contains(public, []byte("PRIVATE")) {
			t.Fatalf("exported and read again: %s, %v; was %s", again, err, k)
		}
	})
}
