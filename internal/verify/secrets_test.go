package verify_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"aorta/internal/verify"
)

const (
	canaryPAN = "4000001234567899"
	canaryKey = "Canary/Key+0123?>~"
)

func secrets(t *testing.T) *verify.Secrets {
	t.Helper()
	s, err := verify.NewSecrets(map[string]string{"pan": canaryPAN, "key": canaryKey})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSecretsAreFound(t *testing.T) {
	t.Parallel()
	in64 := func(before string, e *base64.Encoding) string {
		return e.EncodeToString([]byte(before + canaryKey + "behind"))
	}
	tests := []struct{ name, text, want string }{
		{"number", "card=" + canaryPAN + ";", "C10: log holds the canary pan as it is."},
		{"number in groups", "4000 0012 3456 7899", "canary pan in groups of digits"},
		{"number with dashes", "4000-0012-3456-7899", "canary pan in groups of digits"},
		{"number with odd separators", "4 0.0--0 - 0012345 67899", "canary pan in groups of digits"},
		{"key", "signed by " + canaryKey, "canary key as it is"},
		{"base64, first alignment", in64("", base64.StdEncoding), "canary key in base64"},
		{"base64, second alignment", in64("x", base64.StdEncoding), "canary key in base64"},
		{"base64, third alignment", in64("xy", base64.StdEncoding), "canary key in base64"},
		{"base64 of URLs", in64("xy", base64.RawURLEncoding), "canary key in base64"},
		{"number in base64", base64.StdEncoding.EncodeToString([]byte(`{"pan":"` + canaryPAN + `"}`)), "canary pan in base64"},
		{"hexadecimal", hex.EncodeToString([]byte("\x00" + canaryKey)), "canary key in hexadecimal"},
		{"hexadecimal, upper case", strings.ToUpper(hex.EncodeToString([]byte(canaryKey))), "canary key in hexadecimal"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			// Wherever it lies with respect to what is read at a time.
			for _, before := range []int{0, 1, 100, 256<<10 - 10, 256 << 10, 512<<10 + 7, 600 << 10} {
				r := io.MultiReader(strings.NewReader(strings.Repeat("ab", before)[:before]), strings.NewReader(" "+test.text), strings.NewReader(strings.Repeat("-", 1000)))
				got, err := secrets(t).Search("log", r)
				if err != nil || !strings.Contains(strings.Join(got, "\n"), test.want) {
					t.Fatalf("behind %d bytes: found %q (%v), want %q", before, got, err, test.want)
				}
			}
			got, err := secrets(t).Search("log", iotest.OneByteReader(strings.NewReader(test.text)))
			if err != nil || !strings.Contains(strings.Join(got, "\n"), test.want) {
				t.Errorf("byte by byte: found %q (%v), want %q", got, err, test.want)
			}
		})
	}
}

func TestWhatIsNoSecret(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "4000 00** **** 7899", "4000001234567890", "4000 0012 | 3456 7899", "4000 0012    3456 7899",
		"Canary/Key 0123", strings.Repeat("0123456789 ", 100_000),
	} {
		if got, err := secrets(t).Search("log", strings.NewReader(text)); err != nil || len(got) > 0 {
			t.Errorf("%.40q: found %q (%v), want nothing", text, got, err)
		}
	}
	if got, err := secrets(t).Search("noise", io.LimitReader(&noise{}, 8<<20)); err != nil || len(got) > 0 {
		t.Errorf("noise: found %q (%v)", got, err)
	}
}

// noise is bytes of every value, the same each time.
type noise struct{ x uint32 }

func (n *noise) Read(p []byte) (int, error) {
	for i := range p {
		n.x = n.x*1664525 + 1013904223
		p[i] = byte(n.x >> 24)
	}
	return len(p), nil
}

func TestSearchFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"aorta.db": "nothing", "sub/aorta.log": "oops " + canaryPAN} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := secrets(t).SearchFiles(dir)
	if err != nil || len(got) != 2 || !strings.Contains(got[0], "sub/aorta.log holds the canary pan") {
		t.Errorf("found %q (%v), want the canary in sub/aorta.log", got, err)
	}
	if strings.Contains(strings.Join(got, ""), canaryPAN) {
		t.Error("the finding tells the secret")
	}
	if _, err := secrets(t).SearchFiles(filepath.Join(dir, "no such")); err == nil {
		t.Error("a file that is not there was searched")
	}
}

func TestSearchOfWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	if _, err := secrets(t).Search("pipe", iotest.ErrReader(errAway)); !errors.Is(err, errAway) {
		t.Errorf("Search = %v, want %v", err, errAway)
	}
	if _, err := verify.NewSecrets(map[string]string{"cvv": "123"}); err == nil {
		t.Error("a canary of three digits was taken: it would be found everywhere")
	}
}

// Memory stays bounded however much there is.
func BenchmarkSearch(b *testing.B) {
	s, err := verify.NewSecrets(map[string]string{"pan": canaryPAN, "key": canaryKey})
	if err != nil {
		b.Fatal(err)
	}
	text := bytes.Repeat([]byte(`{"level":"INFO","payment":"pay_01k4rs8v3h0000000000000000","amount":2500}`+"\n"), 100_000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Search("log", bytes.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}
