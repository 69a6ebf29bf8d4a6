package pgp_test

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/pgp"
)

// manifest is testdata/pgp/manifest.json.
type manifest struct {
	Cases []struct {
		File           string   `json:"file"`
		DecryptWith    []string `json:"decryptWith"`
		TrustedSigners []string `json:"trustedSigners"`
		Outcome        string   `json:"outcome"`
		Payload        string   `json:"payload"`
		HTTP           int      `json:"expectHttp"`
		Code           string   `json:"expectErrorResponseCode"`
	} `json:"cases"`
}

func vector(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "pgp", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func key(t testing.TB, name string) pgp.Key {
	t.Helper()
	k, err := pgp.ReadKey(vector(t, name))
	if err != nil {
		t.Fatalf("ReadKey(%s): %v", name, err)
	}
	return k
}

func ring(t testing.TB, k pgp.Keys) *pgp.Ring {
	t.Helper()
	r, err := pgp.NewRing(k, rand.Reader)
	if err != nil {
		t.Fatalf("NewRing: %v", err)
	}
	return r
}

// sides are the two ends of the vectors.
func sides(t testing.TB) (us, google *pgp.Ring) {
	t.Helper()
	ours, theirs := key(t, "integrator-secret.asc"), key(t, "google-side-secret.asc")
	us = ring(t, pgp.Keys{Decrypt: []pgp.Key{ours}, Sign: []pgp.Key{ours}, Verify: []pgp.Key{theirs}, Encrypt: []pgp.Key{theirs}})
	google = ring(t, pgp.Keys{Decrypt: []pgp.Key{theirs}, Sign: []pgp.Key{theirs}, Verify: []pgp.Key{ours}, Encrypt: []pgp.Key{ours}})
	return us, google
}

// TestVectors: every message of the pack behaves as its manifest says.
func TestVectors(t *testing.T) {
	t.Parallel()
	var m manifest
	if err := json.Unmarshal(vector(t, "manifest.json"), &m); err != nil || len(m.Cases) != 15 {
		t.Fatalf("manifest: %v, %d cases, want 15", err, len(m.Cases))
	}
	for _, c := range m.Cases {
		t.Run(c.File, func(t *testing.T) {
			t.Parallel()
			var k pgp.Keys
			for _, name := range c.DecryptWith {
				k.Decrypt = append(k.Decrypt, key(t, name))
			}
			for _, name := range c.TrustedSigners {
				k.Verify = append(k.Verify, key(t, name))
			}
			text := vector(t, c.File)
			opened, err := ring(t, k).Open(text, time.Now())
			if c.Outcome == "accept" {
				if err != nil || !bytes.Equal(opened.Plain, vector(t, c.Payload)) || opened.Signer != k.Verify[0].Fingerprint() {
					t.Fatalf("Open() = %q by %s, %v; want %s by %s", opened.Plain, opened.Signer, err, c.Payload, k.Verify[0])
				}
				unpadded := bytes.TrimRight(text, "=")
				if _, err := ring(t, k).Open(unpadded, time.Now()); err != nil {
					t.Errorf("without padding: %v", err)
				}
				return
			}
			want := map[string]error{"400 INVALID_PAYLOAD_ENCRYPTION": pgp.ErrEncryption, "401 INVALID_PAYLOAD_SIGNATURE": pgp.ErrSignature}[fmt.Sprintf("%d %s", c.HTTP, c.Code)]
			if want == nil || !errors.Is(err, want) || opened.Plain != nil {
				t.Fatalf("Open() = %q, %v; want %v", opened.Plain, err, want)
			}
		})
	}
}

// TestRoundTrip: what one side writes the other reads, whatever its form and
// size.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	us, google := sides(t)
	for _, size := range []int{0, 1, 191, 192, 511, 512, 513, 8383, 8384, 100_000} {
		plain := bytes.Repeat([]byte("a✓"), size/4+1)[:size]
		for _, form := range []pgp.Form{{}, {Armor: true}, {Short: true}} {
			text, err := google.Seal(plain, time.Now(), form)
			if err != nil {
				t.Fatalf("Seal(%d bytes, %+v): %v", size, form, err)
			}
			opened, err := us.Open(text, time.Now())
			if err != nil || !bytes.Equal(opened.Plain, plain) {
				t.Errorf("Open(%d bytes, %+v) = %d bytes, %v", size, form, len(opened.Plain), err)
			}
			if len(text)%4 != 0 {
				t.Errorf("Seal(%d bytes, %+v) is not padded", size, form)
			}
		}
	}
}

// TestTextForms: base64url and nothing else (section 2.2).
func TestTextForms(t *testing.T) {
	t.Parallel()
	us, google := sides(t)
	raw, err := google.Seal([]byte("{}"), time.Now(), pgp.Form{})
	if err != nil {
		t.Fatal(err)
	}
	good := string(raw)
	bytesOf, _ := base64.URLEncoding.DecodeString(good)
	standard := base64.StdEncoding.EncodeToString(bytesOf)
	tests := []struct {
		name, text string
		ok         bool
	}{
		{"as sent", good, true},
		{"a line break at the end", good + "\n", true},
		{"a Windows line break at the end", good + "\r\n", true},
		{"two line breaks at the end", good + "\n\n", false},
		{"a space at the end", good + " ", false},
		{"a space in front", " " + good, false},
		{"a line break within", good[:64] + "\n" + good[64:], false},
		{"a carriage return within", good[:64] + "\r" + good[64:], false},
		{"four line breaks within", good[:64] + "\n\n\n\n" + good[64:], false},
		{"two line breaks of Windows within", good[:64] + "\r\n\r\n" + good[64:], false},
		{"padding within", good[:64] + "=" + good[64:], false},
		{"one padding too many", strings.TrimRight(good, "=") + "=====", false},
		{"standard base64", standard, !strings.ContainsAny(standard, "+/")},
		{"the packets themselves", string(bytesOf), false},
		{"empty", "", false},
		{"a line break alone", "\n", false},
		{"padding alone", "====", false},
		{"text", base64.URLEncoding.EncodeToString([]byte(`{"requestHeader":{}}`)), false},
		{"half an armor", base64.URLEncoding.EncodeToString([]byte("-----BEGIN PGP MESSAGE-----\n\n")), false},
		{"a key in armor", base64.URLEncoding.EncodeToString(vector(t, "integrator-public.asc")), false},
		{"twice", good + good, false},
		{"two messages in one", base64.URLEncoding.EncodeToString(append(bytes.Clone(bytesOf), bytesOf...)), false},
		{"a byte behind", base64.URLEncoding.EncodeToString(append(bytes.Clone(bytesOf), 0)), false},
	}
	for _, tt := range tests {
		_, err := us.Open([]byte(tt.text), time.Now())
		if tt.ok != (err == nil) || err != nil && !errors.Is(err, pgp.ErrEncryption) {
			t.Errorf("%s: %v, want ok=%t", tt.name, err, tt.ok)
		}
	}
	if _, err := us.Open(bytes.Repeat([]byte("A"), pgp.MaxText+1), time.Now()); !errors.Is(err, pgp.ErrTooLarge) {
		t.Errorf("a text above the bound: %v, want ErrTooLarge", err)
	}
}

// TestTruncated: no part of a message is a message, and no bit of it may change.
func TestTruncated(t *testing.T) {
	t.Parallel()
	us, google := sides(t)
	text, err := google.Seal([]byte(`{"requestHeader":{}}`), time.Now(), pgp.Form{})
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := base64.URLEncoding.DecodeString(string(text))
	for n := range raw {
		if n%7 == 0 {
			if _, err := us.Open(pgp.Text(raw[:n]), time.Now()); !errors.Is(err, pgp.ErrEncryption) {
				t.Fatalf("%d of %d bytes: %v, want ErrEncryption", n, len(raw), err)
			}
		}
		changed := bytes.Clone(raw)
		changed[n] ^= 1 << (n % 8)
		if opened, err := us.Open(pgp.Text(changed), time.Now()); !errors.Is(err, pgp.ErrEncryption) {
			t.Fatalf("bit %d of byte %d changed: %q, %v, want ErrEncryption", n%8, n, opened.Plain, err)
		}
	}
}

// TestRotation: during an exchange of keys both are good; after it one is.
func TestRotation(t *testing.T) {
	t.Parallel()
	old, next := key(t, "integrator-secret.asc"), key(t, "integrator-next-secret.asc")
	google, other := key(t, "google-side-secret.asc"), key(t, "unknown-signer-secret.asc")
	now := time.Now()
	both := ring(t, pgp.Keys{Decrypt: []pgp.Key{google, other}, Sign: []pgp.Key{google, other}, Verify: []pgp.Key{old, next}, Encrypt: []pgp.Key{old, next}})
	plain := []byte("plain")
	text, err := both.Seal(plain, now, pgp.Form{})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		keys pgp.Keys
		want error
	}{
		{name: "old of ours, old of theirs", keys: pgp.Keys{Decrypt: []pgp.Key{old}, Verify: []pgp.Key{google}}},
		{name: "new of ours, new of theirs", keys: pgp.Keys{Decrypt: []pgp.Key{next}, Verify: []pgp.Key{other}}},
		{name: "all", keys: pgp.Keys{Decrypt: []pgp.Key{old, next}, Verify: []pgp.Key{google, other}}},
		{name: "none of theirs", keys: pgp.Keys{Decrypt: []pgp.Key{old}, Verify: []pgp.Key{next}}, want: pgp.ErrSignature},
		{name: "nobody is trusted", keys: pgp.Keys{Decrypt: []pgp.Key{old}}, want: pgp.ErrSignature},
		{name: "none of ours", keys: pgp.Keys{Decrypt: []pgp.Key{google}, Verify: []pgp.Key{google}}},
		{name: "nothing decrypts", keys: pgp.Keys{Verify: []pgp.Key{google}}, want: pgp.ErrEncryption},
	}
	tests[5].keys.Decrypt, tests[5].want = []pgp.Key{key(t, "unknown-signer-secret.asc")}, pgp.ErrEncryption
	for _, tt := range tests {
		opened, err := ring(t, tt.keys).Open(text, now)
		if tt.want != nil && !errors.Is(err, tt.want) || tt.want == nil && (err != nil || !bytes.Equal(opened.Plain, plain)) {
			t.Errorf("%s: Open() = %q, %v, want %v", tt.name, opened.Plain, err, tt.want)
		}
	}
	short, err := both.Seal(plain, now, pgp.Form{Short: true})
	if err != nil || len(short) >= len(text) {
		t.Fatalf("short: %d characters, %v; long has %d", len(short), err, len(text))
	}
	if _, err := ring(t, tests[0].keys).Open(short, now); err != nil {
		t.Errorf("a short one goes to the first key, by the first: %v", err)
	}
}

// TestReflection: what we sign is nothing that Google says, though our key is
// known here.
func TestReflection(t *testing.T) {
	t.Parallel()
	ours, theirs := key(t, "integrator-secret.asc"), key(t, "google-side-public.asc")
	us := ring(t, pgp.Keys{Decrypt: []pgp.Key{ours}, Sign: []pgp.Key{ours}, Verify: []pgp.Key{theirs}, Encrypt: []pgp.Key{theirs}})
	mirror := ring(t, pgp.Keys{Sign: []pgp.Key{ours}, Encrypt: []pgp.Key{ours}})
	text, err := mirror.Seal([]byte("{}"), time.Now(), pgp.Form{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := us.Open(text, time.Now()); !errors.Is(err, pgp.ErrSignature) {
		t.Errorf("Open() of our own = %v, want ErrSignature", err)
	}
}

// TestPassedOn: a message that Google signed for another, and that the other
// encrypts to us, is not for us if it says so.
func TestPassedOn(t *testing.T) {
	t.Parallel()
	google, ours, other := key(t, "google-side-secret.asc"), key(t, "integrator-secret.asc"), key(t, "unknown-signer-secret.asc")
	us := ring(t, pgp.Keys{Decrypt: []pgp.Key{ours}, Verify: []pgp.Key{google}})
	they := ring(t, pgp.Keys{Decrypt: []pgp.Key{other}})
	if _, err := us.Open(pgp.Text(pgp.Addressed([]byte("pay"), google, ours)), time.Now()); err != nil {
		t.Errorf("to us and for us: %v", err)
	}
	stolen := pgp.Layer(they, pgp.Addressed([]byte("pay"), google, other))
	if _, err := us.Open(pgp.Text(pgp.EncryptLayer(stolen, ours)), time.Now()); !errors.Is(err, pgp.ErrSignature) {
		t.Errorf("passed on to us: %v, want ErrSignature", err)
	}
}

// TestExpiry: a key counts while it lives, whatever a message says of when it was
// signed.
func TestExpiry(t *testing.T) {
	t.Parallel()
	made := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	short, err := pgp.NewKey("short", made, rand.Reader, pgp.KeyOptions{Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := short.Expires(), made.Add(time.Hour); !got.Equal(want) || !short.Created().Equal(made) || short.Bits() != 2048 || short.Name() != "short" {
		t.Errorf("key of %s expires %s, has %d bits, is of %q", short.Created(), got, short.Bits(), short.Name())
	}
	long := key(t, "google-side-secret.asc")
	if !long.Expires().IsZero() {
		t.Errorf("a key without expiry expires %s", long.Expires())
	}
	within, after := made.Add(30*time.Minute), made.Add(2*time.Hour)

	by := ring(t, pgp.Keys{Sign: []pgp.Key{short}, Encrypt: []pgp.Key{long}})
	signed, err := by.Seal([]byte("by"), within, pgp.Form{})
	if err != nil {
		t.Fatal(err)
	}
	reader := ring(t, pgp.Keys{Decrypt: []pgp.Key{long}, Verify: []pgp.Key{short}})
	if _, err := reader.Open(signed, within); err != nil {
		t.Errorf("while it lives: %v", err)
	}
	if _, err := reader.Open(signed, after); !errors.Is(err, pgp.ErrSignature) {
		t.Errorf("after it expired: %v, want ErrSignature", err)
	}
	if _, err := reader.Open(signed, within.Add(-pgp.Skew)); err != nil {
		t.Errorf("signed a minute ahead of our clock: %v", err)
	}
	if _, err := reader.Open(signed, within.Add(-pgp.Skew-time.Second)); !errors.Is(err, pgp.ErrSignature) {
		t.Errorf("signed in the future: %v, want ErrSignature", err)
	}
	if _, err := by.Seal([]byte("by"), after, pgp.Form{}); !errors.Is(err, pgp.ErrNoKey) {
		t.Errorf("signing with an expired key: %v, want ErrNoKey", err)
	}

	to := ring(t, pgp.Keys{Sign: []pgp.Key{long}, Encrypt: []pgp.Key{short}})
	sent, err := to.Seal([]byte("to"), within, pgp.Form{})
	if err != nil {
		t.Fatal(err)
	}
	mine := ring(t, pgp.Keys{Decrypt: []pgp.Key{short}, Verify: []pgp.Key{long}})
	if _, err := mine.Open(sent, within); err != nil {
		t.Errorf("to a key that lives: %v", err)
	}
	if _, err := mine.Open(sent, after); !errors.Is(err, pgp.ErrEncryption) {
		t.Errorf("to an expired key: %v, want ErrEncryption", err)
	}
	if _, err := to.Seal([]byte("to"), after, pgp.Form{}); !errors.Is(err, pgp.ErrNoKey) {
		t.Errorf("encrypting to an expired key: %v, want ErrNoKey", err)
	}
}

// TestExportImport: a key survives being written and read, and its public half
// has nothing private.
func TestExportImport(t *testing.T) {
	t.Parallel()
	k := key(t, "integrator-secret.asc")
	private, err := k.ExportPrivate()
	if err != nil {
		t.Fatal(err)
	}
	public, err := k.ExportPublic()
	if err != nil {
		t.Fatal(err)
	}
	again, err := pgp.ReadKey(private)
	if err != nil || again.Fingerprint() != k.Fingerprint() || !again.Private() {
		t.Errorf("private half: %s, %v", again, err)
	}
	half, err := pgp.ReadKey(public)
	if err != nil || half.Fingerprint() != k.Fingerprint() || half.Private() {
		t.Errorf("public half: %s, %v", half, err)
	}
	if _, err := half.ExportPrivate(); !errors.Is(err, pgp.ErrKey) {
		t.Errorf("private half of a public key: %v", err)
	}
	if _, err := pgp.NewRing(pgp.Keys{Sign: []pgp.Key{half}}, rand.Reader); !errors.Is(err, pgp.ErrKey) {
		t.Errorf("a ring that signs with a public key: %v", err)
	}
}

// TestBadKeys: what is no key, or none for us.
func TestBadKeys(t *testing.T) {
	t.Parallel()
	two := append(vector(t, "integrator-public.asc"), vector(t, "google-side-public.asc")...)
	raw, err := base64.URLEncoding.DecodeString(string(vector(t, "ok-binary.b64url")))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"nothing": nil, "text": []byte("hello"), "a message": raw, "a message as sent": vector(t, "ok-binary.b64url"),
		"too long": bytes.Repeat([]byte{0x99}, 65<<10), "half": vector(t, "integrator-secret.asc")[:900],
		"a length of gigabytes": append([]byte{0xc6, 255, 0xff, 0xff, 0xff, 0xff}, 4),
	} {
		if k, err := pgp.ReadKey(text); !errors.Is(err, pgp.ErrKey) {
			t.Errorf("%s: ReadKey() = %s, %v, want ErrKey", name, k, err)
		}
	}
	// Of two armored blocks the first is read: gpg writes several keys as one block.
	if k, err := pgp.ReadKey(two); err != nil || k.Fingerprint() != key(t, "integrator-public.asc").Fingerprint() {
		t.Errorf("two blocks: %s, %v", k, err)
	}
	for name, o := range map[string]pgp.KeyOptions{"bits": {Bits: 1024}, "life": {Life: 3 * 365 * 24 * time.Hour}} {
		if _, err := pgp.NewKey("x", time.Now(), rand.Reader, o); !errors.Is(err, pgp.ErrKey) {
			t.Errorf("NewKey with bad %s: %v", name, err)
		}
	}
}

// TestBombs: nothing grows beyond its bound, and nothing that costs much is done
// often (section 2.4).
func TestBombs(t *testing.T) {
	t.Parallel()
	us, _ := sides(t)
	ours := key(t, "integrator-public.asc")
	literal := func(n int) []byte { return pgp.Packet(11, append([]byte{'b', 0, 0, 0, 0, 0}, make([]byte, n)...)) }
	deflated := func(inner []byte) []byte {
		var b bytes.Buffer
		b.WriteByte(1)
		w, _ := flate.NewWriter(&b, flate.BestCompression)
		w.Write(inner)
		w.Close()
		return pgp.Packet(8, b.Bytes())
	}
	zipped := func(inner []byte) []byte {
		var b bytes.Buffer
		b.WriteByte(2)
		w, _ := zlib.NewWriterLevel(&b, zlib.BestCompression)
		w.Write(inner)
		w.Close()
		return pgp.Packet(8, b.Bytes())
	}
	onePass := func(n int) (all []byte) {
		for range n {
			all = append(all, pgp.Packet(4, []byte{3, 0, 9, 1, 0xb6, 0x50, 0xe0, 0xac, 0x8f, 0x1e, 0x66, 0x3f, 1})...)
		}
		return all
	}
	signature := pgp.Packet(2, []byte{4, 0, 1, 9, 0, 0, 0, 0, 0, 0, 0, 8, 1})
	gigabytes := pgp.Packet(2, []byte{6, 0, 1, 9, 0xff, 0xff, 0xff, 0xff})
	session := pgp.EncryptBlock(append([]byte{9}, make([]byte, 34)...), ours)
	tests := []struct {
		name  string
		inner []byte
		front [][]byte
		want  error
	}{
		{name: "sixty megabytes deflated", inner: deflated(literal(60 << 20)), want: pgp.ErrTooLarge},
		{name: "sixty megabytes zipped", inner: zipped(literal(60 << 20)), want: pgp.ErrTooLarge},
		{name: "sixty megabytes beside a small text", inner: deflated(append(literal(10), pgp.Packet(21, make([]byte, 60<<20))...)), want: pgp.ErrTooLarge},
		{name: "a byte too many", inner: deflated(literal(pgp.MaxPlain + 1)), want: pgp.ErrTooLarge},
		{name: "as many as may be, unsigned", inner: deflated(literal(pgp.MaxPlain)), want: pgp.ErrSignature},
		{name: "compressed twice", inner: deflated(deflated(literal(10))), want: pgp.ErrEncryption},
		{name: "two literals", inner: append(literal(10), literal(10)...), want: pgp.ErrEncryption},
		{name: "no literal", inner: onePass(1), want: pgp.ErrEncryption},
		{name: "seventy thousand one-pass signatures", inner: deflated(append(onePass(50_000), literal(10)...)), want: pgp.ErrEncryption},
		{name: "seventeen signatures", inner: append(literal(10), bytes.Repeat(signature, 17)...), want: pgp.ErrEncryption},
		{name: "a signature of gigabytes", inner: append(literal(10), gigabytes...), want: pgp.ErrSignature},
		{name: "a signature that is none", inner: append(literal(10), signature...), want: pgp.ErrSignature},
		{name: "encrypted within", inner: pgp.Packet(18, []byte{1, 2, 3}), want: pgp.ErrEncryption},
		{name: "a private key within", inner: append(literal(10), pgp.Packet(5, []byte{4, 0, 0, 0, 0, 1})...), want: pgp.ErrEncryption},
		{name: "nothing within", inner: nil, want: pgp.ErrEncryption},
		{name: "seventeen recipients", inner: literal(10), front: [][]byte{bytes.Repeat(session, 16)}, want: pgp.ErrEncryption},
		{name: "sixteen recipients, the last one right", inner: literal(10), front: [][]byte{bytes.Repeat(session, 15)}, want: pgp.ErrSignature},
		{name: "an empty session key", inner: literal(10), front: [][]byte{pgp.EncryptBlock(nil, ours)}, want: pgp.ErrSignature},
		{name: "a passphrase", inner: literal(10), front: [][]byte{pgp.Packet(3, []byte{4, 9, 3, 8, 0, 0, 0, 0, 0, 0, 0, 0, 255})}, want: pgp.ErrEncryption},
		{name: "a hundred markers", inner: literal(10), front: [][]byte{bytes.Repeat(pgp.Packet(10, []byte("PGP")), 100)}, want: pgp.ErrEncryption},
		{name: "a marker", inner: append(pgp.Packet(10, []byte("PGP")), literal(10)...), front: [][]byte{pgp.Packet(10, []byte("PGP"))}, want: pgp.ErrSignature},
	}
	for _, tt := range tests {
		began := time.Now()
		opened, err := us.Open(pgp.Text(pgp.EncryptLayer(tt.inner, ours, tt.front...)), time.Now())
		if !errors.Is(err, tt.want) || opened.Plain != nil {
			t.Errorf("%s: Open() = %d bytes, %v, want %v", tt.name, len(opened.Plain), err, tt.want)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s took %s", tt.name, took)
		}
	}
}

// TestConcurrent: a ring is shared by all requests. It means something with
// -race: the library notes in keys what it has verified.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	us, google := sides(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 4 {
				text, err := google.Seal([]byte("{}"), time.Now(), pgp.Form{})
				if err != nil {
					t.Errorf("Seal: %v", err)
					return
				}
				if _, err := us.Open(text, time.Now()); err != nil {
					t.Errorf("Open: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

// TestKeysDoNotPrint: a key prints as its fingerprint, however it is printed.
func TestKeysDoNotPrint(t *testing.T) {
	t.Parallel()
	k := key(t, "integrator-secret.asc")
	holder := struct {
		K pgp.Key
		L []pgp.Key
	}{k, []pgp.Key{k}}
	text, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	fingerprint := k.Fingerprint()
	for _, printed := range []string{fmt.Sprintf("%v", holder), fmt.Sprintf("%+v", holder), fmt.Sprintf("%#v", holder), fmt.Sprint(k), string(text)} {
		if strings.Count(printed, fingerprint) == 0 || len(printed) > 400 {
			t.Errorf("it prints %q", printed)
		}
	}
}

// TestLengths: an answer of the redirect page is as long as section 2.2 says, so
// that it fits into a URL.
func TestLengths(t *testing.T) {
	t.Parallel()
	us, _ := sides(t)
	plain := vector(t, "payload-auth-response.json")
	for form, want := range map[pgp.Form]int{{Short: true}: 1024, {Short: true, Armor: true}: 1468} {
		text, err := us.Seal(plain, time.Now(), form)
		if err != nil || len(text) > want+12 {
			t.Errorf("%+v: %d characters, %v, want at most about %d", form, len(text), err, want)
		}
	}
	if n, err := us.Fits(time.Now(), 256); err != nil || n > 1500 {
		t.Errorf("Fits() = %d, %v", n, err)
	}
	if n, err := us.Fits(time.Now(), 1100); !errors.Is(err, pgp.ErrKey) {
		t.Errorf("Fits() of a long address = %d, %v, want ErrKey", n, err)
	}
}
