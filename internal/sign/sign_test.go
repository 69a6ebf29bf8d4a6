package sign_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"testing"

	"aorta/internal/sign"
)

// vectors is testdata/ecommpay-signatures.json, made by running the official
// libraries. It is never edited.
type vectors struct {
	Vectors []struct {
		ID, Secret, Signature string
		InputJSON             string `json:"input_json"`
		StringToSign          string `json:"string_to_sign"`
	}
	Divergent []struct {
		ID, Secret string
		InputJSON  string `json:"input_json"`
		Variants   []struct {
			StringToSign string `json:"string_to_sign"`
			Signature    string
			SDKs         []string
		}
	}
	MustNotVerify []struct {
		ID, Secret, Signature string
		InputJSON             string `json:"input_json"`
	} `json:"must_not_verify"`
	PaymentPageURLs []struct{ ID, Secret, URL string } `json:"payment_page_urls"`
	Callbacks       []struct {
		ID, Secret, Body, Signature string
		Place                       string `json:"signature_place"`
		StringToSign                string `json:"string_to_sign"`
		Result                      map[string]string
	}
}

func load(t testing.TB) vectors {
	t.Helper()
	text, err := os.ReadFile("testdata/ecommpay-signatures.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Vectors) != 46 || len(v.Divergent) != 12 || len(v.MustNotVerify) != 4 || len(v.PaymentPageURLs) != 9 || len(v.Callbacks) != 11 {
		t.Fatalf("the vector file is not the one that these tests were written for")
	}
	return v
}

func parse(t testing.TB, text string) *sign.Doc {
	t.Helper()
	doc, err := sign.ParseJSON([]byte(text))
	if err != nil {
		t.Fatalf("ParseJSON(%s): %v", text, err)
	}
	return doc
}

// with adds a signature as the first member of the root.
func with(object, signature string) string {
	rest := strings.TrimPrefix(object, "{")
	if rest != "}" {
		rest = "," + rest
	}
	return `{"signature":"` + signature + `"` + rest
}

func TestAgreedVectors(t *testing.T) {
	t.Parallel()
	for _, v := range load(t).Vectors {
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			doc, secret := parse(t, v.InputJSON), sign.NewSecret(v.Secret)
			if got := sign.StringToSign(doc); got != v.StringToSign {
				t.Errorf("StringToSign =\n%s, want\n%s", got, v.StringToSign)
			}
			if got := sign.Sign(doc, secret); got != v.Signature {
				t.Errorf("Sign = %s, want %s", got, v.Signature)
			}
			if err := sign.Verify(parse(t, with(v.InputJSON, v.Signature)), secret, sign.AtRoot); err != nil {
				t.Errorf("Verify = %v", err)
			}
		})
	}
}

// notAccepted lists the libraries' variants whose number is not the document's.
var notAccepted = map[string]string{
	"div-float":   "go",                // 12.5 signed as 12
	"div-big-int": "js go",             // rounded
	"div-exp":     "js python go java", // they write 1e+21 and 1.0E21 into the document too
}

func TestDivergentVectors(t *testing.T) {
	t.Parallel()
	for _, v := range load(t).Divergent {
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			secret := sign.NewSecret(v.Secret)
			for _, variant := range v.Variants {
				refused := strings.Contains(notAccepted[v.ID], variant.SDKs[0])
				err := sign.Verify(parse(t, with(v.InputJSON, variant.Signature)), secret, sign.AtRoot)
				if refused != errors.Is(err, sign.ErrSignatureWrong) || !refused && err != nil {
					t.Errorf("Verify, signed by %v = %v, want refused: %v", variant.SDKs, err, refused)
				}
				if strings.Contains(strings.Join(variant.SDKs, " "), "php") {
					if got := sign.StringToSign(parse(t, v.InputJSON)); got != variant.StringToSign {
						t.Errorf("StringToSign =\n%s, want the documented\n%s", got, variant.StringToSign)
					}
				}
			}
			// What the libraries do not sign alike does not leave.
			body := strings.Replace(v.InputJSON, "{", `{"project_id":200,`, 1)
			if got, err := sign.AppendSigned(nil, []byte(body), secret); !isEmitError(err) || got != nil {
				t.Errorf("AppendSigned(%s) = %s, %v, want an EmitError", body, got, err)
			}
		})
	}
}

func TestNumbersSignedAsWritten(t *testing.T) {
	t.Parallel()
	secret := sign.NewSecret("s")
	tests := []struct{ written, signed string }{
		{"1e+21", "1e+21"}, // JavaScript, Python
		{"1.0E21", "1.0E21"},
		{"1e+21", "1.0E+21"}, // PHP
		{"12.0", "12.0"},
		{"12.0", "12"},
		{"12.50", "12.5"},
		{"-0.0", "-0"},
		{"1e2", "100"},
		{"0.0001", "0.0001"},
		{"0.00001", "1.0E-5"},
		{"123.45e1", "1234.5"},
		{"123456789012345.5", "1.234567890123455E+14"},
	}
	for _, tt := range tests {
		signature := sign.Sign(parse(t, `{"v":"`+tt.signed+`"}`), secret)
		if err := sign.Verify(parse(t, `{"v":`+tt.written+`,"signature":"`+signature+`"}`), secret, sign.AtRoot); err != nil {
			t.Errorf("%s signed as %s: Verify = %v", tt.written, tt.signed, err)
		}
	}
}

func TestMustNotVerify(t *testing.T) {
	t.Parallel()
	for _, v := range load(t).MustNotVerify {
		doc := parse(t, with(v.InputJSON, v.Signature))
		if err := sign.Verify(doc, sign.NewSecret(v.Secret), sign.AtRoot); !errors.Is(err, sign.ErrSignatureWrong) {
			t.Errorf("%s: Verify = %v, want ErrSignatureWrong", v.ID, err)
		}
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	secret := sign.NewSecret("s")
	signature := sign.Sign(parse(t, `{"general":{"project_id":1},"customer":{"id":"c"}}`), secret)
	docs := map[sign.Place]string{
		sign.AtRoot:     `{"general":{"project_id":1},"customer":{"id":"c"},"signature":"%s"}`,
		sign.AtGeneral:  `{"general":{"project_id":1,"signature":"%s"},"customer":{"id":"c"}}`,
		sign.AtCustomer: `{"general":{"project_id":1},"customer":{"id":"c","signature":"%s"}}`,
	}
	for there, text := range docs {
		for _, looked := range []sign.Place{sign.AtRoot, sign.AtGeneral, sign.AtCustomer} {
			want := sign.ErrSignatureMissing
			if looked == there {
				want = nil
			}
			if err := sign.Verify(parse(t, fmt.Sprintf(text, signature)), secret, looked); !errors.Is(err, want) {
				t.Errorf("signature at %q: Verify at %q = %v, want %v", there, looked, err, want)
			}
		}
		if err := sign.Verify(parse(t, fmt.Sprintf(text, "")), secret, there); !errors.Is(err, sign.ErrSignatureMissing) {
			t.Errorf("empty signature at %q: Verify = %v, want ErrSignatureMissing", there, err)
		}
	}
	for _, text := range []string{`{"general":[]}`, `{"general":"x"}`, `{"general":{"signature":1}}`, `{"general":{"signature":null}}`} {
		if err := sign.Verify(parse(t, text), secret, sign.AtGeneral); !errors.Is(err, sign.ErrSignatureMissing) {
			t.Errorf("Verify(%s) = %v, want ErrSignatureMissing", text, err)
		}
	}
}

func TestPaymentPageURLs(t *testing.T) {
	t.Parallel()
	for _, v := range load(t).PaymentPageURLs {
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			_, query, _ := strings.Cut(v.URL, "?")
			secret := sign.NewSecret(v.Secret)
			accepted := []string{query, query + "&frame_mode=popup", query + "&_referrer=https%3A%2F%2Fshop.example%2F%3Fa%3Bb"}
			if strings.Contains(query, "frame_mode") {
				accepted = []string{query}
			}
			for _, q := range accepted {
				if err := sign.VerifyForm(form(t, q), secret); err != nil {
					t.Errorf("VerifyForm(%s) = %v", q, err)
				}
			}
			for _, q := range []string{query + "&customer_phone=919800000000", strings.Replace(query, "payment_amount=", "payment_amount=1", 1)} {
				if err := sign.VerifyForm(form(t, q), secret); !errors.Is(err, sign.ErrSignatureWrong) {
					t.Errorf("VerifyForm(%s) = %v, want ErrSignatureWrong", q, err)
				}
			}
		})
	}
}

func form(t testing.TB, query string) *sign.Doc {
	t.Helper()
	doc, err := sign.ParseForm(query)
	if err != nil {
		t.Fatalf("ParseForm(%s): %v", query, err)
	}
	return doc
}

func TestVerifyForm(t *testing.T) {
	t.Parallel()
	secret := sign.NewSecret("s")
	tests := []struct {
		name   string
		signed string // JSON as a library signs it
		query  string // as the browser brings it, without the signature
		want   error
	}{
		{name: "nested keys of PHP", signed: `{"a":{"b":1,"c":["x","y"]}}`, query: "a[b]=1&a[c][0]=x&a%5Bc%5D%5B1%5D=y"},
		{name: "underscored key signed", signed: `{"_k":"v","a":true}`, query: "_k=v&a=True"},
		{name: "underscored key added", signed: `{"a":"1"}`, query: "a=1&_referrer=x;y"},
		{name: "underscored nested key is signed", signed: `{"a":{"_k":"v"}}`, query: "a[_k]=v"},
		{name: "plus is a space", signed: `{"a":"x y z"}`, query: "a=x+y%20z"},
		{name: "no value", signed: `{"a":""}`, query: "a"},
		{name: "the words true and 1 mixed", signed: `{"a":"true","b":true}`, query: "a=true&b=true", want: sign.ErrSignatureWrong},
		{name: "underscored key that swallows", signed: `{"_k":"v;a:1"}`, query: "_k=v;a:1", want: sign.ErrSignatureWrong},
		{name: "underscored key instead of two", signed: `{"_k":"v","a":"1"}`, query: "_k=v;a:1", want: sign.ErrSignatureWrong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			query := tt.query + "&signature=" + url.QueryEscape(sign.Sign(parse(t, tt.signed), secret))
			if err := sign.VerifyForm(form(t, query), secret); !errors.Is(err, tt.want) {
				t.Errorf("VerifyForm(%s) = %v, want %v", query, err, tt.want)
			}
		})
	}
	for _, query := range []string{"", "a=1", "a=1&signature=", "signature[x]=1"} {
		if err := sign.VerifyForm(form(t, query), secret); !errors.Is(err, sign.ErrSignatureMissing) {
			t.Errorf("VerifyForm(%s) = %v, want ErrSignatureMissing", query, err)
		}
	}
}

func TestCallbackVectors(t *testing.T) {
	t.Parallel()
	// What the matrix of ecommpay.md 1.4 says of each body.
	rules := map[string]sign.Rule{
		"w-null": sign.RuleNull, "w-bool": sign.RuleBoolean, "w-nested-signature": sign.RuleNotSigned,
		"w-list-12-natural": sign.RuleList, "w-fraction": sign.RuleInteger, "w-semicolon": sign.RuleSemicolon,
	}
	for _, v := range load(t).Callbacks {
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			secret, place := sign.NewSecret(v.Secret), sign.AtRoot
			if v.Place == "general" {
				place = sign.AtGeneral
			}
			if err := sign.Verify(parse(t, v.Body), secret, place); err != nil {
				t.Errorf("Verify = %v", err)
			}
			bare := strings.Replace(v.Body, `,"signature":"`+v.Signature+`"`, "", 1)
			if got := sign.StringToSign(parse(t, bare)); got != v.StringToSign {
				t.Errorf("StringToSign =\n%s, want\n%s", got, v.StringToSign)
			}
			signed, err := sign.AppendSigned([]byte("before"), []byte(bare), secret)
			if rule, refused := rules[v.ID]; refused {
				var emit *sign.EmitError
				if !errors.As(err, &emit) || emit.Rule != rule || string(signed) != "before" {
					t.Fatalf("AppendSigned = %s, %v, want rule %q", signed, err, rule)
				}
				return
			}
			want := "before" + strings.TrimSuffix(bare, "}") + `,"signature":"` + v.Signature + `"}`
			if err != nil || string(signed) != want {
				t.Errorf("AppendSigned =\n%s, %v, want\n%s", signed, err, want)
			}
		})
	}
}

func isEmitError(err error) bool {
	var emit *sign.EmitError
	return errors.As(err, &emit)
}

func TestEmitRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		body string
		path string
		rule sign.Rule
	}{
		{`{"a":{"b":null}}`, "a.b", sign.RuleNull},
		{`{"a":[0,false]}`, "a.1", sign.RuleBoolean},
		{`{"a":9007199254740992}`, "a", sign.RuleInteger},
		{`{"a":-9007199254740992}`, "a", sign.RuleInteger},
		{`{"a":1e3}`, "a", sign.RuleInteger},
		{`{"a":-0}`, "a", sign.RuleInteger},
		{`{"a":[1,2,3,4,5,6,7,8,9,10,11]}`, "a", sign.RuleList},
		{`{"a":"x;y"}`, "a", sign.RuleSemicolon},
		{`{"a:b":"x"}`, "a:b", sign.RuleKey},
		{`{"a b":"x"}`, "a b", sign.RuleKey},
		{`{"":"x"}`, "", sign.RuleKey},
		{`{"é":"x"}`, "é", sign.RuleKey},
		{`{"signature":"x"}`, "signature", sign.RuleNotSigned},
		{`{"a":[{"signature":[]}]}`, "a.0.signature", sign.RuleNotSigned},
		{`{"a":{"frame_mode":"x"}}`, "a.frame_mode", sign.RuleNotSigned},
		{`{"_a":"x"}`, "_a", sign.RuleNotSigned},
		{`{"a":{"__proto__":"x"}}`, "a.__proto__", sign.RuleNotSigned},
		{`{"line":"a","line1":"b"}`, "line1", sign.RuleOrder},
		{`{"a":{"z":"1"},"a1":"2"}`, "a.z", sign.RuleOrder},
		{`{"p":{"a":"1","a-b":"2"}}`, "p.a-b", sign.RuleOrder},
		{`{"item9":"1","item10":"2"}`, "item10", sign.RuleOrder},
		{`{"payment":{"id":"x"}}`, "payment.status", sign.RuleFieldType},
		{`{"payment":[]}`, "payment.status", sign.RuleFieldType},
		{`{"payment":{"id":1,"status":"success"}}`, "payment.id", sign.RuleFieldType},
		{`{"operation":{"code":0}}`, "operation.code", sign.RuleFieldType},
	}
	for _, tt := range tests {
		got, err := sign.AppendSigned(nil, []byte(tt.body), sign.NewSecret("s"))
		var emit *sign.EmitError
		if !errors.As(err, &emit) || emit.Path != tt.path || emit.Rule != tt.rule || got != nil {
			t.Errorf("AppendSigned(%s) = %s, %v, want rule %q at %q", tt.body, got, err, tt.rule, tt.path)
		}
	}
	var parseErr *sign.ParseError
	if _, err := sign.AppendSigned(nil, []byte(`[]`), sign.NewSecret("s")); !errors.As(err, &parseErr) {
		t.Errorf("AppendSigned([]) = %v, want a ParseError", err)
	}
}

func TestEmitKeepsBytes(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"{}":                                    "{\"signature\":\"",
		" {\"a\" : \"\\u003c}\" }\n":            " {\"a\" : \"\\u003c}\" ,\"signature\":\"",
		`{"l":[1,2,3,4,5,6,7,8,9,10]}`:          `{"l":[1,2,3,4,5,6,7,8,9,10],"signature":"`,
		`{"a":{"_b":"x"},"n":-5,"e":[],"s":""}`: `{"a":{"_b":"x"},"n":-5,"e":[],"s":"","signature":"`,
	} {
		got, err := sign.AppendSigned(nil, []byte(body), sign.NewSecret("s"))
		if err != nil || !strings.HasPrefix(string(got), want) {
			t.Errorf("AppendSigned(%s) = %s, %v, want %s…", body, got, err, want)
			continue
		}
		if err := sign.Verify(parse(t, string(got)), sign.NewSecret("s"), sign.AtRoot); err != nil {
			t.Errorf("Verify(%s) = %v", got, err)
		}
	}
}

func TestSecretIsHidden(t *testing.T) {
	t.Parallel()
	const text = "hunter2-hunter2"
	s := sign.NewSecret(text)
	type holder struct {
		Public sign.Secret
		hidden sign.Secret
	}
	h := holder{Public: s, hidden: s}
	inJSON, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s, "holder", h, "pointer", &h)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s, "holder", h, "pointer", &h)
	for _, got := range []string{
		s.String(), string(inJSON), log.String(),
		fmt.Sprint(s, h, &h, []any{s, h}), fmt.Sprintf("%+v %#v %q %x %d", h, h, s, s, s), fmt.Errorf("%w: %v", os.ErrExist, h).Error(),
	} {
		if strings.Contains(got, text) || strings.Contains(got, fmt.Sprintf("%x", text)) || strings.Contains(got, fmt.Sprint([]byte(text))) {
			t.Errorf("the secret shows in %s", got)
		}
	}
}

func TestZeroSecret(t *testing.T) {
	t.Parallel()
	zero := sign.NewSecret("")
	if !zero.IsZero() || sign.NewSecret("s").IsZero() {
		t.Errorf("IsZero is wrong")
	}
	// The right signature, were an empty key a key.
	mac := hmac.New(sha512.New, nil)
	mac.Write([]byte("a:1"))
	empty := base64.StdEncoding.EncodeToString(mac.Sum(nil))
	if err := sign.Verify(parse(t, `{"a":"1","signature":"`+empty+`"}`), zero, sign.AtRoot); !errors.Is(err, sign.ErrSignatureWrong) {
		t.Errorf("Verify under no secret = %v, want ErrSignatureWrong", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("Sign without a secret did not panic")
		}
	}()
	_ = sign.Sign(parse(t, `{}`), zero)
}

// callback is a plain callback of about 1 KB.
const callback = `{"project_id":200,"payment":{"id":"order-20260102-000001","type":"purchase","status":"success","date":"2026-01-02T03:04:05+0000","method":"Paytm Wallet",` +
	`"sum":{"amount":250000,"currency":"INR"},"description":"Deposit to the wallet of customer 12345"},"account":{"number":"98******10"},` +
	`"customer":{"id":"12345","phone":"919800000000"},"operation":{"id":49572000001893,"type":"sale","status":"success","date":"2026-01-02T03:04:05+0000",` +
	`"created_date":"2026-01-02T03:01:00+0000","request_id":"d2debda97843c0c6f2c0a1d0b6f1a1f0ff8e7c0d-00000001",` +
	`"sum_initial":{"amount":250000,"currency":"INR"},"sum_converted":{"amount":250000,"currency":"INR"},` +
	`"provider":{"id":2469,"payment_id":"20261121111212800110168123456789012","date":"2026-01-02T03:04:00+0000","auth_code":"","endpoint_id":2469},` +
	`"code":"0","message":"Success"},"recurring":{"id":3,"status":"active","type":"C","valid_thru":"2030-01-02T03:04:05+0000"},` +
	`"provider_extra_fields":{"bank":"State Bank of India","mode":"PPI","gateway":"WALLET"}}`

func BenchmarkAppendSigned(b *testing.B) {
	secret, body, dst := sign.NewSecret("aorta-test-secret"), []byte(callback), make([]byte, 0, 2048)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sign.AppendSigned(dst, body, secret); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseAndVerify(b *testing.B) {
	secret := sign.NewSecret("aorta-test-secret")
	body, err := sign.AppendSigned(nil, []byte(callback), secret)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		doc, err := sign.ParseJSON(body)
		if err != nil {
			b.Fatal(err)
		}
		if err := sign.Verify(doc, secret, sign.AtRoot); err != nil {
			b.Fatal(err)
		}
	}
}
