package pgp_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"aorta/internal/pgp"
	"aorta/internal/sandbox/gpg"
)

// newKeyring gives an empty keyring of gpg's. Without gpg the test is skipped;
// in `make test` that is a failure.
func newKeyring(t *testing.T) *gpg.Keyring {
	t.Helper()
	dir, err := os.MkdirTemp("", "gpg") // t.TempDir's paths are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	k, err := gpg.New(dir)
	if errors.Is(err, gpg.ErrAbsent) && os.Getenv("AORTA_TEST_ALL") == "" {
		os.RemoveAll(dir)
		t.Skip("gpg is not installed: make setup")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
		os.RemoveAll(dir)
	})
	return k
}

func imported(t *testing.T, k *gpg.Keyring, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := k.Import(t.Context(), vector(t, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestGPGReadsOurs: what we write is a message to gpg, with every size at which
// lengths are written otherwise, armored or not, by and to several keys.
func TestGPGReadsOurs(t *testing.T) {
	t.Parallel()
	g := newKeyring(t)
	imported(t, g, "google-side-secret.asc", "integrator-public.asc", "integrator-next-public.asc")
	ours, next, theirs := key(t, "integrator-secret.asc"), key(t, "integrator-next-secret.asc"), key(t, "google-side-public.asc")
	one := ring(t, pgp.Keys{Sign: []pgp.Key{ours}, Encrypt: []pgp.Key{theirs}})
	two := ring(t, pgp.Keys{Sign: []pgp.Key{ours, next}, Encrypt: []pgp.Key{theirs, key(t, "unknown-signer-public.asc")}})
	for _, tt := range []struct {
		name    string
		ring    *pgp.Ring
		form    pgp.Form
		size    int
		signers int
	}{
		{"small", one, pgp.Form{}, 63, 1},
		{"armored", one, pgp.Form{Armor: true}, 63, 1},
		{"large", one, pgp.Form{}, 100_000, 1},
		{"two signers, two recipients", two, pgp.Form{}, 600, 2},
		{"two signers, armored", two, pgp.Form{Armor: true}, 600, 2},
		{"short", two, pgp.Form{Short: true}, 63, 1},
	} {
		plain := bytes.Repeat([]byte("é"), tt.size/2)
		text, err := tt.ring.Seal(plain, time.Now(), tt.form)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		raw, err := base64.URLEncoding.DecodeString(string(text))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		opened, err := g.Open(t.Context(), raw)
		if err != nil || !bytes.Equal(opened.Plain, plain) || len(opened.Signers) != tt.signers || opened.Signers[len(opened.Signers)-1] != ours.Fingerprint() && opened.Signers[0] != ours.Fingerprint() {
			t.Errorf("%s: gpg read %d bytes by %v, %v", tt.name, len(opened.Plain), opened.Signers, err)
		}
	}
}

// TestWeReadGPG: what gpg writes is a message to us, if it is as strong as must
// be (section 2.2), and no message if it is weaker.
func TestWeReadGPG(t *testing.T) {
	t.Parallel()
	g := newKeyring(t)
	imported(t, g, "google-side-secret.asc", "unknown-signer-secret.asc", "integrator-public.asc", "integrator-next-public.asc")
	ours, theirs := key(t, "integrator-secret.asc"), key(t, "google-side-public.asc")
	us := ring(t, pgp.Keys{Decrypt: []pgp.Key{ours}, Verify: []pgp.Key{theirs}})
	by, to, stranger := []string{theirs.Fingerprint()}, []string{ours.Fingerprint()}, key(t, "unknown-signer-public.asc").Fingerprint()
	plain := append(vector(t, "payload-capture-request.json"), bytes.Repeat([]byte("1234567890\n"), 2000)...)
	for _, tt := range []struct {
		name string
		m    gpg.Message
		want error
	}{
		{name: "as it should be", m: gpg.Message{Signers: by, Recipients: to}},
		{name: "armored", m: gpg.Message{Signers: by, Recipients: to, Armor: true}},
		{name: "SHA512", m: gpg.Message{Signers: by, Recipients: to, Digest: "SHA512"}},
		{name: "not compressed", m: gpg.Message{Signers: by, Recipients: to, More: []string{"--compress-algo", "none"}}},
		{name: "zip", m: gpg.Message{Signers: by, Recipients: to, More: []string{"--compress-algo", "zip"}}},
		{name: "zlib", m: gpg.Message{Signers: by, Recipients: to, More: []string{"--compress-algo", "zlib"}}},
		{name: "bzip2", m: gpg.Message{Signers: by, Recipients: to, More: []string{"--compress-algo", "bzip2"}}},
		{name: "as text", m: gpg.Message{Signers: by, Recipients: to, More: []string{"--textmode"}}},
		{name: "to two", m: gpg.Message{Signers: by, Recipients: append([]string{key(t, "integrator-next-public.asc").Fingerprint()}, to...)}},
		{name: "by two", m: gpg.Message{Signers: append([]string{stranger}, by...), Recipients: to}},
		{name: "by a stranger", m: gpg.Message{Signers: []string{stranger}, Recipients: to}, want: pgp.ErrSignature},
		{name: "by nobody", m: gpg.Message{Recipients: to}, want: pgp.ErrSignature},
		{name: "to nobody", m: gpg.Message{Signers: by}, want: pgp.ErrEncryption},
		{name: "to another", m: gpg.Message{Signers: by, Recipients: []string{stranger}}, want: pgp.ErrEncryption},
		{name: "to whom is not said", m: gpg.Message{Signers: by, Recipients: to, More: []string{"--throw-keyids"}}, want: pgp.ErrEncryption},
		{name: "SHA1", m: gpg.Message{Signers: by, Recipients: to, Digest: "SHA1"}, want: pgp.ErrSignature},
		{name: "RIPEMD160", m: gpg.Message{Signers: by, Recipients: to, Digest: "RIPEMD160"}, want: pgp.ErrSignature},
		{name: "SHA256", m: gpg.Message{Signers: by, Recipients: to, Digest: "SHA256"}, want: pgp.ErrSignature},
		{name: "CAST5", m: gpg.Message{Signers: by, Recipients: to, Cipher: "CAST5"}, want: pgp.ErrEncryption},
		{name: "IDEA", m: gpg.Message{Signers: by, Recipients: to, Cipher: "IDEA"}, want: pgp.ErrEncryption},
		{name: "3DES", m: gpg.Message{Signers: by, Recipients: to, Cipher: "3DES"}, want: pgp.ErrEncryption},
		{name: "TWOFISH", m: gpg.Message{Signers: by, Recipients: to, Cipher: "TWOFISH"}, want: pgp.ErrEncryption},
		{name: "AES", m: gpg.Message{Signers: by, Recipients: to, Cipher: "AES"}, want: pgp.ErrEncryption},
		{name: "no modification check", m: gpg.Message{Signers: by, Recipients: to, More: []string{"--rfc2440", "--compress-algo", "none"}}, want: pgp.ErrEncryption},
		{name: "under a passphrase too", m: gpg.Message{Signers: by, Recipients: to, More: []string{"--symmetric", "--passphrase", "secret"}}, want: pgp.ErrEncryption},
	} {
		raw, err := g.Seal(t.Context(), plain, tt.m)
		if err != nil {
			t.Errorf("%s: gpg does not write it: %v", tt.name, err)
			continue
		}
		opened, err := us.Open(pgp.Text(raw), time.Now())
		opened.Plain = bytes.ReplaceAll(opened.Plain, []byte("\r\n"), []byte("\n")) // as text, lines end so
		if tt.want != nil && !errors.Is(err, tt.want) || tt.want == nil && (err != nil || !bytes.Equal(opened.Plain, plain)) {
			t.Errorf("%s: Open() = %d bytes, %v, want %v", tt.name, len(opened.Plain), err, tt.want)
		}
	}
}

// TestSubkeys: parts of keys are used for what they are for, whoever made the key.
func TestSubkeys(t *testing.T) {
	t.Parallel()
	g := newKeyring(t)
	google, err := g.Generate(t.Context(), "google", 2048, "1y")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Run(t.Context(), nil, "--quick-add-key", google, "rsa2048", "sign", "1y"); err != nil {
		t.Fatal(err)
	}
	ours, err := pgp.NewKey("aorta", time.Now(), rand.Reader, pgp.KeyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	public, err := ours.ExportPublic()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Import(t.Context(), public); err != nil {
		t.Fatal(err)
	}
	exported, err := g.Export(t.Context(), google)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := pgp.ReadKey(exported)
	if err != nil || theirs.Fingerprint() != google {
		t.Fatalf("ReadKey() = %s, %v, want %s", theirs, err, google)
	}
	if left := time.Until(theirs.Expires()); left < 360*24*time.Hour || left > 370*24*time.Hour {
		t.Errorf("gpg's key of a year has %s left", left)
	}
	us := ring(t, pgp.Keys{Decrypt: []pgp.Key{ours}, Sign: []pgp.Key{ours}, Verify: []pgp.Key{theirs}, Encrypt: []pgp.Key{theirs}})
	raw, err := g.Seal(t.Context(), []byte("signed by the subkey"), gpg.Message{Signers: []string{google}, Recipients: []string{ours.Fingerprint()}})
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := us.Open(pgp.Text(raw), time.Now()); err != nil || opened.Signer != google {
		t.Errorf("Open() = by %s, %v, want by %s", opened.Signer, err, google)
	}
	text, err := us.Seal([]byte("to the subkey"), time.Now(), pgp.Form{})
	if err != nil {
		t.Fatal(err)
	}
	raw, _ = base64.URLEncoding.DecodeString(string(text))
	if opened, err := g.Open(t.Context(), raw); err != nil || string(opened.Plain) != "to the subkey" || opened.Signers[0] != ours.Fingerprint() {
		t.Errorf("gpg read %q by %v, %v", opened.Plain, opened.Signers, err)
	}

	// The same key in our hands: what signs is the subkey that is for it.
	secret, err := g.Run(t.Context(), nil, "--armor", "--export-secret-keys", google)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := pgp.ReadKey(secret.Out)
	if err != nil || !taken.Private() {
		t.Fatalf("ReadKey() of a private key of gpg's: %v", err)
	}
	text, err = ring(t, pgp.Keys{Sign: []pgp.Key{taken}, Encrypt: []pgp.Key{ours}}).Seal([]byte("x"), time.Now(), pgp.Form{})
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := us.Open(text, time.Now()); err != nil || opened.Signer != google {
		t.Errorf("Open() = by %s, %v", opened.Signer, err)
	}

	// A key under a passphrase is refused with what to do.
	locked, err := g.Run(t.Context(), nil, "--passphrase", "secret", "--quick-generate-key", "locked", "rsa2048", "sign", "1y")
	if err != nil {
		t.Fatal(err)
	}
	fingerprint := locked.Status[len(locked.Status)-1]
	fingerprint = fingerprint[strings.LastIndexByte(fingerprint, ' ')+1:]
	if _, err := g.Run(t.Context(), nil, "--passphrase", "secret", "--quick-add-key", fingerprint, "rsa2048", "encrypt", "1y"); err != nil {
		t.Fatal(err)
	}
	if secret, err = g.Run(t.Context(), nil, "--passphrase", "secret", "--armor", "--export-secret-keys", fingerprint); err != nil {
		t.Fatal(err)
	}
	if _, err := pgp.ReadKey(secret.Out); !errors.Is(err, pgp.ErrKey) || !strings.Contains(err.Error(), "passphrase") {
		t.Errorf("a key under a passphrase: %v, want ErrKey that says so", err)
	}
}

// TestNoUse: a key that cannot do both is refused when it is read, not when a
// customer waits.
func TestNoUse(t *testing.T) {
	t.Parallel()
	g := newKeyring(t)
	if _, err := g.Run(t.Context(), nil, "--quick-generate-key", "signs", "rsa2048", "sign", "1y"); err != nil {
		t.Fatal(err)
	}
	said, err := g.Run(t.Context(), nil, "--armor", "--export", "signs")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pgp.ReadKey(said.Out); !errors.Is(err, pgp.ErrKey) {
		t.Errorf("a key without an encryption subkey: %v, want ErrKey", err)
	}
}

// TestExtended: a key whose life was made longer says so in a second signature of
// itself, and the newest holds. All of them are verified before the key is shared.
func TestExtended(t *testing.T) {
	t.Parallel()
	g := newKeyring(t)
	fingerprint, err := g.Generate(t.Context(), "google", 2048, "30d")
	if err != nil {
		t.Fatal(err)
	}
	short, err := g.Export(t.Context(), fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond) // signatures have whole seconds
	for _, args := range [][]string{{"--quick-set-expire", fingerprint, "1y"}, {"--quick-set-expire", fingerprint, "1y", "*"}} {
		if _, err := g.Run(t.Context(), nil, args...); err != nil {
			t.Fatal(err)
		}
	}
	long, err := g.Export(t.Context(), fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	both := newKeyring(t) // who has had the key from the beginning has both signatures
	if err := errors.Join(both.Import(t.Context(), short), both.Import(t.Context(), long)); err != nil {
		t.Fatal(err)
	}
	text, err := both.Export(t.Context(), fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	k, err := pgp.ReadKey(text)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(k.Expires()); left < 360*24*time.Hour {
		t.Errorf("it has %s left, and a year was given to it", left)
	}
	if pgp.SelfSignatures(k) < 2 || !pgp.Settled(k) {
		t.Errorf("of %d signatures not all were verified when the key was read", pgp.SelfSignatures(k))
	}
}
