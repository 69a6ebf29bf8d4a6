package ecommpay_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"aorta/internal/sandbox/ecommpay"
)

// vectors is the part of the vector file used here. Every signature in it was
// produced by running the official SDKs.
type vectors struct {
	Vectors []struct {
		ID        string `json:"id"`
		Secret    string `json:"secret"`
		Input     string `json:"input_json"`
		Text      string `json:"string_to_sign"`
		Signature string `json:"signature"`
	} `json:"vectors"`
	Divergent []struct {
		ID       string `json:"id"`
		Secret   string `json:"secret"`
		Input    string `json:"input_json"`
		Variants []struct {
			Text      string   `json:"string_to_sign"`
			Signature string   `json:"signature"`
			SDKs      []string `json:"sdks"`
		} `json:"variants"`
	} `json:"divergent"`
	MustNotVerify []struct {
		ID        string `json:"id"`
		Secret    string `json:"secret"`
		Input     string `json:"input_json"`
		Signature string `json:"signature"`
	} `json:"must_not_verify"`
	Callbacks []struct {
		ID     string            `json:"id"`
		Secret string            `json:"secret"`
		Body   string            `json:"body"`
		Result map[string]string `json:"result"`
	} `json:"callbacks"`
}

func load(t *testing.T) vectors {
	t.Helper()
	text, err := os.ReadFile("testdata/ecommpay-signatures.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// signed puts the signature into a body as the first key.
func signed(body, signature string) []byte {
	rest := strings.TrimSpace(body)[1:]
	if strings.TrimSpace(rest) != "}" {
		rest = "," + rest
	}
	return []byte(`{"signature":` + quote(signature) + rest)
}

func quote(s string) string {
	text, _ := json.Marshal(s)
	return string(text)
}

func TestVectorsAllSDKsAgreeOn(t *testing.T) {
	t.Parallel()
	for _, v := range load(t).Vectors {
		d, err := ecommpay.Parse(signed(v.Input, v.Signature))
		if err != nil {
			t.Errorf("%s: Parse = %v", v.ID, err)
			continue
		}
		if got := d.Text(); got != v.Text {
			t.Errorf("%s: Text() = %q, want %q", v.ID, got, v.Text)
		}
		if !d.Verify(v.Secret) {
			t.Errorf("%s: Verify = false, want true", v.ID)
		}
	}
}

// TestDocumentedOrder takes, where the SDKs differ, the rows on which the PHP
// SDK's documented order and the JS SDK agree.
func TestDocumentedOrder(t *testing.T) {
	t.Parallel()
	for _, v := range load(t).Divergent {
		for _, variant := range v.Variants {
			if !slices.Contains(variant.SDKs, "php") || !slices.Contains(variant.SDKs, "js") {
				continue
			}
			d, err := ecommpay.Parse(signed(v.Input, variant.Signature))
			if err != nil || !d.Verify(v.Secret) {
				t.Errorf("%s: not verified (%v), want the text %q", v.ID, err, variant.Text)
			}
		}
	}
}

func TestForgeriesAreRefused(t *testing.T) {
	t.Parallel()
	for _, v := range load(t).MustNotVerify {
		d, err := ecommpay.Parse(signed(v.Input, v.Signature))
		if err == nil && d.Verify(v.Secret) {
			t.Errorf("%s: Verify = true, want false", v.ID)
		}
	}
}

// TestCallbacks holds the verifier to what the official JS one was seen to do.
// A null is the exception: JS throws on it, the specification signs it as empty.
func TestCallbacks(t *testing.T) {
	t.Parallel()
	for _, v := range load(t).Callbacks {
		if strings.Contains(v.Body, "null") {
			continue
		}
		d, err := ecommpay.Parse([]byte(v.Body))
		if err != nil {
			t.Errorf("%s: Parse = %v", v.ID, err)
			continue
		}
		want := strings.HasPrefix(v.Result["js"], "ok")
		if got := d.Verify(v.Secret); got != want {
			t.Errorf("%s: Verify = %v, want %v (%s)", v.ID, got, want, v.Result["js"])
		}
	}
}

func TestSignFieldsEqualsAFlatBody(t *testing.T) {
	t.Parallel()
	fields := map[string]string{
		"project_id": "198", "payment_id": "ord-3936", "payment_amount": "2500",
		"payment_currency": "INR", "customer_id": "customer1", "frame_mode": "popup",
	}
	for _, v := range load(t).Vectors {
		if v.ID != "pp-minimal" {
			continue
		}
		if got := ecommpay.SignFields(fields, v.Secret); got != v.Signature {
			t.Errorf("SignFields = %s, want %s", got, v.Signature)
		}
	}
}

func TestParseRefusesWhatIsNotAnObject(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body string }{
		{name: "empty", body: ""},
		{name: "list", body: "[1]"},
		{name: "text", body: `"x"`},
		{name: "torn", body: `{"a":`},
		{name: "two values", body: `{}{}`},
		{name: "too deep", body: strings.Repeat(`{"a":`, 80) + "1" + strings.Repeat("}", 80)},
	}
	for _, tt := range tests {
		if _, err := ecommpay.Parse([]byte(tt.body)); err == nil {
			t.Errorf("%s: Parse = nil error, want ErrBody", tt.name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1,2,{"c":"\u0041"}]},"signature":"x","d":1.50,"e":null}`))
	f.Add([]byte(` { "frame_mode" : [ { } , [ ] ] } `))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := ecommpay.Parse(raw)
		if err != nil {
			return
		}
		text := d.Text()
		again, err := ecommpay.Parse(raw)
		if err != nil || again.Text() != text {
			t.Errorf("Parse(%q) is not repeatable: %q, then %v", raw, text, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	body := []byte(`{"project_id":200,"payment":{"id":"gate-1","type":"purchase","status":"success","date":"2026-01-02T03:04:05+0000","method":"Paytm Wallet","sum":{"amount":250,"currency":"INR"},"description":"gate-1"},"customer":{"id":"12345"},"operation":{"id":201000001,"type":"sale","status":"success","date":"2026-01-02T03:04:05+0000","created_date":"2026-01-02T03:01:00+0000","request_id":"d2de","sum_initial":{"amount":250,"currency":"INR"},"sum_converted":{"amount":250,"currency":"INR"},"provider":{"id":2469,"payment_id":"fccc","date":"2026-01-02T03:04:00+0000","auth_code":""},"code":"0","message":"Success"},"signature":"x"}`)
	for b.Loop() {
		d, err := ecommpay.Parse(body)
		if err != nil || d.Verify("secret") {
			b.Fatal("verified a wrong signature")
		}
	}
}
