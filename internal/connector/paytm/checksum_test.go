package paytm_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"aorta/internal/connector/paytm"
)

// vector is one entry of testdata/paytm-checksums.json, made by running the
// vendor's library. It is never edited.
type vector struct {
	Name, Kind, Key, Salt, Checksum string
	Input                           json.RawMessage
	RandomSaltChecksum              string `json:"random_salt_checksum"`
	Verify                          bool
}

func load(t testing.TB) (generate, verify []vector) {
	t.Helper()
	text, err := os.ReadFile("testdata/paytm-checksums.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Generate, Verify []vector }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Generate) != 16 || len(file.Verify) != 16 {
		t.Fatal("the vector file is not the one that these tests were written for")
	}
	return file.Generate, file.Verify
}

// input gives the text or the parameters of a vector; null becomes empty.
func (v vector) input(t testing.TB) (text []byte, params map[string]string) {
	t.Helper()
	if v.Kind == "string" {
		var s string
		if err := json.Unmarshal(v.Input, &s); err != nil {
			t.Fatal(err)
		}
		return []byte(s), nil
	}
	if err := json.Unmarshal(v.Input, &params); err != nil {
		t.Fatal(err)
	}
	return nil, params
}

func (v vector) verify(t testing.TB, c *paytm.Checksummer, checksum string) bool {
	t.Helper()
	text, params := v.input(t)
	if params != nil {
		return c.VerifyParams(params, checksum)
	}
	return c.Verify(text, checksum)
}

func checksummer(t testing.TB, key string, salts ...byte) *paytm.Checksummer {
	t.Helper()
	c, err := paytm.NewChecksummer(key, bytes.NewReader(salts))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestGenerateVectors(t *testing.T) {
	t.Parallel()
	vectors, _ := load(t)
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			salt, err := base64.StdEncoding.DecodeString(v.Salt)
			if err != nil {
				t.Fatal(err)
			}
			c := checksummer(t, v.Key, salt...)
			var got string
			if text, params := v.input(t); params != nil {
				got, err = c.SignParams(params)
			} else {
				got, err = c.Sign(text)
			}
			if err != nil || got != v.Checksum {
				t.Errorf("Sign = %s, %v, want %s", got, err, v.Checksum)
			}
			for _, checksum := range []string{v.Checksum, v.RandomSaltChecksum} {
				if !v.verify(t, c, checksum) {
					t.Errorf("Verify(%s) = false", checksum)
				}
			}
		})
	}
}

func TestVerifyVectors(t *testing.T) {
	t.Parallel()
	_, vectors := load(t)
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			if got := v.verify(t, checksummer(t, v.Key), v.Checksum); got != v.Verify {
				t.Errorf("Verify = %v, want %v", got, v.Verify)
			}
		})
	}
}

func TestKeyLength(t *testing.T) {
	t.Parallel()
	for _, length := range []int{0, 5, 15, 17, 24, 32} {
		c, err := paytm.NewChecksummer(strings.Repeat("k", length), rand.Reader)
		if !errors.Is(err, paytm.ErrKeyLength) || c != nil {
			t.Errorf("NewChecksummer with %d bytes = %v, want ErrKeyLength", length, err)
		}
		if err != nil && strings.Contains(err.Error(), "kk") {
			t.Errorf("the error shows the key: %v", err)
		}
	}
}

func TestNoRandomness(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	c, err := paytm.NewChecksummer("0123456789abcdef", iotest.ErrReader(broken))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Sign(nil); got != "" || !errors.Is(err, paytm.ErrSalt) || !errors.Is(err, broken) {
		t.Errorf("Sign = %q, %v, want ErrSalt and its cause", got, err)
	}
	if got, err := checksummer(t, "0123456789abcdef", 1, 2).Sign(nil); got != "" || !errors.Is(err, paytm.ErrSalt) {
		t.Errorf("Sign with two random bytes = %q, %v, want ErrSalt", got, err)
	}
}

func TestVerifyRefusesEveryChange(t *testing.T) {
	t.Parallel()
	c := checksummer(t, "0123456789abcdef", 1, 2, 3)
	text := []byte(`{"mid":"M1"}`)
	checksum, err := c.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	for i := range checksum {
		for _, replacement := range []byte("Aa0+/= \n") {
			changed := checksum[:i] + string(replacement) + checksum[i+1:]
			if changed != checksum && c.Verify(text, changed) {
				t.Errorf("Verify takes %q for %q", changed, checksum)
			}
		}
	}
	for _, changed := range []string{checksum + "\n", " " + checksum, checksum[:104], checksum + checksum} {
		if c.Verify(text, changed) {
			t.Errorf("Verify takes %q", changed)
		}
	}
}

func TestChecksummerHidesKey(t *testing.T) {
	t.Parallel()
	c := checksummer(t, "0123456789abcdef")
	if got := fmt.Sprintf("%v %+v %#v %s", c, c, c, c); got != strings.TrimSpace(strings.Repeat("[checksummer] ", 4)) {
		t.Errorf("a Checksummer prints as %s", got)
	}
}

func FuzzChecksum(f *testing.F) {
	f.Add([]byte(`{"mid":"M1"}`), "A", "x|y", "B", []byte{1, 2, 3}, "")
	f.Fuzz(func(t *testing.T, text []byte, name1, value1, name2 string, salt []byte, foreign string) {
		if len(salt) < 3 {
			return
		}
		c := checksummer(t, "0123456789abcdef", append(salt[:3:3], salt[:3]...)...)
		checksum, err := c.Sign(text)
		if err != nil || !c.Verify(text, checksum) {
			t.Fatalf("Verify(Sign(%q)) = false, %v", text, err)
		}
		if c.Verify(append(text, 'x'), checksum) || c.Verify(text, foreign) && foreign != checksum {
			t.Fatalf("Verify takes a wrong checksum for %q", text)
		}
		params := map[string]string{name1: value1, name2: string(text)}
		if checksum, err = c.SignParams(params); err != nil {
			t.Fatal(err)
		}
		params["CHECKSUMHASH"] = checksum
		if !c.VerifyParams(params, checksum) {
			t.Fatalf("VerifyParams(SignParams(%q)) = false", params)
		}
	})
}

func BenchmarkSign(b *testing.B) {
	c, err := paytm.NewChecksummer("0123456789abcdef", rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	text := bytes.Repeat([]byte("x"), 300)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Sign(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	c := checksummer(b, "0123456789abcdef", 1, 2, 3)
	text := bytes.Repeat([]byte("x"), 300)
	checksum, err := c.Sign(text)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !c.Verify(text, checksum) {
			b.Fatal("wrong")
		}
	}
}
