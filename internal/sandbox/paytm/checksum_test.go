package paytm_test

import (
	"encoding/json"
	"errors"
	"os"
	"testing"

	"aorta/internal/sandbox/paytm"
)

// vector is one row of the file made by running the vendor's library.
type vector struct {
	Name     string          `json:"name"`
	Kind     string          `json:"kind"`
	Input    json.RawMessage `json:"input"`
	Key      string          `json:"key"`
	Text     string          `json:"signed_string"`
	Salt     string          `json:"salt"`
	Checksum string          `json:"checksum"`
	Random   string          `json:"random_salt_checksum"`
	Verify   bool            `json:"verify"`
}

// text is what the vendor signs of the input; a null value is an empty one.
func (v vector) text(t *testing.T) []byte {
	t.Helper()
	if v.Kind == "string" {
		var s string
		if err := json.Unmarshal(v.Input, &s); err != nil {
			t.Fatal(err)
		}
		return []byte(s)
	}
	var form map[string]string
	if err := json.Unmarshal(v.Input, &form); err != nil {
		t.Fatal(err)
	}
	return paytm.FormText(form)
}

func TestChecksumVectors(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("testdata/paytm-checksums.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct{ Generate, Verify []vector }
	if err := json.Unmarshal(file, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Generate) != 16 || len(v.Verify) != 16 {
		t.Fatalf("file has %d and %d vectors, want 16 and 16", len(v.Generate), len(v.Verify))
	}
	for _, g := range v.Generate {
		key, err := paytm.NewKey(g.Key)
		if err != nil {
			t.Fatalf("%s: NewKey = %v", g.Name, err)
		}
		if got := string(g.text(t)); got != g.Text {
			t.Errorf("%s: signed text = %q, want %q", g.Name, got, g.Text)
		}
		if got := key.Checksum(g.text(t), g.Salt); got != g.Checksum {
			t.Errorf("%s: Checksum = %s, want %s", g.Name, got, g.Checksum)
		}
		if !key.Verify(g.text(t), g.Checksum) || !key.Verify(g.text(t), g.Random) {
			t.Errorf("%s: Verify of the vendor's own checksums = false, want true", g.Name)
		}
	}
	for _, g := range v.Verify {
		key, err := paytm.NewKey(g.Key)
		if err != nil {
			t.Fatalf("%s: NewKey = %v", g.Name, err)
		}
		if got := key.Verify(g.text(t), g.Checksum); got != g.Verify {
			t.Errorf("%s: Verify = %v, want %v", g.Name, got, g.Verify)
		}
	}
}

func TestKeyLength(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", "short", "012345678901234567890123", "01234567890123456789012345678901"} {
		if _, err := paytm.NewKey(key); !errors.Is(err, paytm.ErrKey) {
			t.Errorf("NewKey(%d bytes) = %v, want ErrKey", len(key), err)
		}
	}
}
