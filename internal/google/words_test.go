package google_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"aorta/internal/google"
	"aorta/internal/money"
	"aorta/internal/sign"
)

// vector is one of testdata/google-fop.json; each kind has members of its own.
type vector struct {
	ID, Kind, Source string
	ISO              string
	EpochMillis      int64
	Decimal          string
	Currency         money.Currency
	Micros           string
	Base, PIAID      string
	Full             string
	Method, Host     string
	Path             string
	Request          json.RawMessage
	Response         json.RawMessage
	Plaintext        json.RawMessage
	HTTP             map[google.Code]int
	Text             string
	SMSMatchingToken string
	Length           int
	Valid, Invalid   []string
	TimestampSkewMs  struct{ Accept, Reject []int64 }
}

func vectors(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/google-fop.json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct{ Vectors []vector }
	if err := json.Unmarshal(text, &f); err != nil || len(f.Vectors) != 31 {
		t.Fatalf("vectors: %v, %d", err, len(f.Vectors))
	}
	return f.Vectors
}

func parsed(t testing.TB, text string) *sign.Doc {
	t.Helper()
	doc, err := sign.ParseJSON([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return doc
}

// TestVectors: what Google's pages print reads as they say, and what they print
// wrongly does not.
func TestVectors(t *testing.T) {
	t.Parallel()
	tried := map[string]int{}
	for _, v := range vectors(t) {
		tried[v.Kind]++
		switch v.Kind {
		case "timestamp":
			want, err := time.Parse(time.RFC3339, v.ISO)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{fmt.Sprintf(`"%d"`, v.EpochMillis), strconv.FormatInt(v.EpochMillis, 10)} {
				got, err := google.Instant(parsed(t, `{"t":`+text+`}`).Get("t"), "t")
				if err != nil || !got.Equal(want) || google.Millis(got) != strconv.FormatInt(v.EpochMillis, 10) {
					t.Errorf("%s: %s is %s, %v, want %s", v.ID, text, got, err, want)
				}
			}
		case "micros":
			want, err := money.ParseDecimal(v.Decimal, v.Currency)
			if err != nil {
				t.Fatal(err)
			}
			got, err := google.Amount(parsed(t, fmt.Sprintf(`{"amount":%q,"currencyCode":%q}`, v.Micros, v.Currency)), "amount", "currencyCode")
			back, _ := got.Micros()
			if err != nil || got != want || strconv.FormatInt(back, 10) != v.Micros {
				t.Errorf("%s: %s is %v, %v, want %v", v.ID, v.Micros, got, err, want)
			}
		case "google-url":
			if got := (google.Integration{Layout: google.LayoutV1}).URL("echo", v.PIAID); got != v.Full {
				t.Errorf("%s: %s, want %s", v.ID, got, v.Full)
			}
		case "exchange":
			doc := parsed(t, string(v.Request))
			h, err := google.ReadHeader(doc)
			if err != nil {
				t.Errorf("%s: header: %v", v.ID, err)
				continue
			}
			// We write a header as Google prints it.
			written, err := json.Marshal(h)
			if err != nil || google.Fingerprint(parsed(t, `{"h":`+string(written)+`}`)) == google.Fingerprint(parsed(t, `{}`)) {
				t.Fatal(err)
			}
			var got, want any
			var whole struct{ RequestHeader json.RawMessage }
			_ = json.Unmarshal(v.Request, &whole)
			_, _ = json.Unmarshal(written, &got), json.Unmarshal(whole.RequestHeader, &want)
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: header %s, want %s", v.ID, written, whole.RequestHeader)
			}
			layout := google.Integration{Layout: google.LayoutV1}
			switch {
			case v.Host == "integrator" && layout.Path(v.Method) != v.Path:
				t.Errorf("%s: we host it at %s, want %s", v.ID, layout.Path(v.Method), v.Path)
			case v.Host == "google" && !strings.HasSuffix(layout.URL(v.Method, "{PIAID}"), strings.NewReplacer("{", "%7B", "}", "%7D").Replace(v.Path)):
				t.Errorf("%s: we call %s, want %s", v.ID, layout.URL(v.Method, "{PIAID}"), v.Path)
			}
			parsed(t, string(v.Response))
		case "blob-plaintext":
			parsed(t, string(v.Plaintext))
		case "enum":
			for code, status := range v.HTTP {
				if google.Statuses[code] != status {
					t.Errorf("%s answers %d, want %d", code, google.Statuses[code], status)
				}
			}
			if v.HTTP != nil && len(google.Statuses) != len(v.HTTP) {
				t.Errorf("%d codes, want %d", len(google.Statuses), len(v.HTTP))
			}
		case "negative":
			if _, err := sign.ParseJSON([]byte(v.Text)); err == nil {
				t.Errorf("%s was read: %s", v.ID, v.Text)
			}
		case "derived":
			now := time.UnixMilli(1705276860000)
			for _, id := range v.Valid {
				if _, err := google.ReadHeader(headed(t, id)); err != nil {
					t.Errorf("requestId %q: %v", id, err)
				}
			}
			for _, id := range v.Invalid {
				_, err := google.ReadHeader(headed(t, id))
				want := google.CodeFieldValue
				if id == "" {
					want = google.CodeMissing
				}
				refusedWith(t, "requestId "+id, err, want)
			}
			for _, skew := range v.TimestampSkewMs.Accept {
				if err := google.Fresh(google.RequestHeader{Time: now.Add(time.Duration(skew) * time.Millisecond)}, now); err != nil {
					t.Errorf("%d ms: %v", skew, err)
				}
			}
			for _, skew := range v.TimestampSkewMs.Reject {
				refusedWith(t, strconv.FormatInt(skew, 10), google.Fresh(google.RequestHeader{Time: now.Add(time.Duration(skew) * time.Millisecond)}, now), google.CodeTimestamp)
			}
		}
	}
	if tried["exchange"] != 15 || tried["timestamp"] != 4 || tried["micros"] != 2 || tried["negative"] != 2 || tried["derived"] != 1 {
		t.Errorf("tried: %v", tried)
	}
}

func headed(t *testing.T, id string) *sign.Doc {
	t.Helper()
	text, err := json.Marshal(id)
	if err != nil {
		t.Fatal(err)
	}
	return parsed(t, `{"requestHeader":{"requestId":`+string(text)+`,"requestTimestamp":"1705276860000","protocolVersion":{"major":1,"minor":0,"revision":0}}}`)
}

func refusedWith(t *testing.T, what string, err error, want google.Code) {
	t.Helper()
	var r *google.Refusal
	if !errors.As(err, &r) || r.Code != want || r.Status != google.Statuses[want] {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}

// TestScalars: numbers as this protocol writes them, and nothing else (section
// 1.1).
func TestScalars(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text    string
		instant string      // milliseconds; empty: refused
		micros  string      // empty: refused
		code    google.Code // of a refused one
	}{
		{text: `"0"`, instant: "0", micros: "0"},
		{text: `0`, instant: "0", micros: "0"},
		{text: `"1"`, instant: "1", micros: "1"},
		{text: `9007199254740991`, instant: "9007199254740991", micros: "9007199254740991"},
		{text: `9007199254740992`, code: google.CodeFieldValue},
		{text: `"9007199254740993"`, instant: "9007199254740993", micros: "9007199254740993"},
		{text: `"9223372036854775807"`, instant: "9223372036854775807", micros: "9223372036854775807"},
		{text: `"9223372036854775808"`, code: google.CodeFieldValue},
		{text: `"-9223372036854775808"`, micros: "-9223372036854775808", code: google.CodeFieldValue},
		{text: `"-1"`, micros: "-1", code: google.CodeFieldValue},
		{text: `-1`, micros: "-1", code: google.CodeFieldValue},
		{text: `"-0"`, code: google.CodeFieldValue},
		{text: `"+1"`, code: google.CodeFieldValue},
		{text: `"01"`, code: google.CodeFieldValue},
		{text: `" 1"`, code: google.CodeFieldValue},
		{text: `"1 "`, code: google.CodeFieldValue},
		{text: `"1.0"`, code: google.CodeFieldValue},
		{text: `1.0`, code: google.CodeFieldValue},
		{text: `1e3`, code: google.CodeFieldValue},
		{text: `"1e3"`, code: google.CodeFieldValue},
		{text: `"0x10"`, code: google.CodeFieldValue},
		{text: `"1_000"`, code: google.CodeFieldValue},
		{text: `"١"`, code: google.CodeFieldValue},
		{text: `""`, code: google.CodeFieldValue},
		{text: `null`, code: google.CodeMissing},
		{text: `true`, code: google.CodeDecrypted},
		{text: `[]`, code: google.CodeDecrypted},
		{text: `{}`, code: google.CodeDecrypted},
	}
	for _, tt := range tests {
		v := parsed(t, `{"v":`+tt.text+`}`).Get("v")
		at, err := google.Instant(v, "v")
		if tt.instant == "" {
			refusedWith(t, "instant "+tt.text, err, tt.code)
		} else if err != nil || google.Millis(at) != tt.instant {
			t.Errorf("instant %s is %s, %v", tt.text, google.Millis(at), err)
		}
		n, err := google.Micros(v, "v")
		if tt.micros == "" {
			refusedWith(t, "micros "+tt.text, err, tt.code)
		} else if err != nil || strconv.FormatInt(n, 10) != tt.micros {
			t.Errorf("micros %s is %d, %v", tt.text, n, err)
		}
	}
}

// TestAmounts: exact, or refused (section 1.1).
func TestAmounts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		micros   string
		currency string
		want     int64 // minor units; 0: refused
		code     google.Code
	}{
		{micros: "728000000", currency: "INR", want: 728_00},
		{micros: "1234567", currency: "USD", code: google.CodeFieldValue},
		{micros: "1230000", currency: "USD", want: 123},
		{micros: "500000", currency: "JPY", code: google.CodeFieldValue},
		{micros: "500000000", currency: "JPY", want: 500},
		{micros: "1250000", currency: "KWD", want: 1250},
		{micros: "1000", currency: "KWD", want: 1},
		{micros: "100", currency: "KWD", code: google.CodeFieldValue},
		{micros: "0", currency: "INR", code: google.CodeFieldValue},
		{micros: "-10000", currency: "INR", code: google.CodeFieldValue},
		{micros: "10000", currency: "inr", code: google.CodeFieldValue},
		{micros: "10000", currency: "XXX", code: google.CodeFieldValue},
		{micros: "10000", currency: "RUPEE", code: google.CodeFieldValue},
		{micros: "10000", currency: "", code: google.CodeMissing},
	}
	for _, tt := range tests {
		a, err := google.Amount(parsed(t, fmt.Sprintf(`{"amount":%q,"currencyCode":%q}`, tt.micros, tt.currency)), "amount", "currencyCode")
		if tt.want == 0 {
			refusedWith(t, tt.micros+" "+tt.currency, err, tt.code)
			continue
		}
		back, _ := a.Micros()
		if err != nil || a.Minor != tt.want || strconv.FormatInt(back, 10) != tt.micros {
			t.Errorf("%s micros of %s are %v (%d micros), %v, want %d", tt.micros, tt.currency, a, back, err, tt.want)
		}
	}
}

// TestHeaders: each rule of the header has its code.
func TestHeaders(t *testing.T) {
	t.Parallel()
	const version = `"protocolVersion":{"major":1,"minor":0,"revision":0}`
	tests := []struct {
		text string
		code google.Code // empty: taken
	}{
		{text: `{"requestHeader":{"requestId":"a","requestTimestamp":"1",` + version + `}}`},
		{text: `{"requestHeader":{"requestId":"a","requestTimestamp":1,` + version + `}}`},
		{text: `{"requestHeader":{"requestId":"a","requestTimestamp":"1","protocolVersion":{"major":1}}}`},
		{text: `{"requestHeader":{"requestId":"a","requestTimestamp":"1","protocolVersion":{"major":1,"minor":9,"revision":3},"userLocale":{"any":[1]},"later":1}}`},
		{text: `{}`, code: google.CodeMissing},
		{text: `{"requestHeader":null}`, code: google.CodeMissing},
		{text: `{"requestHeader":"a"}`, code: google.CodeDecrypted},
		{text: `{"requestHeader":[]}`, code: google.CodeDecrypted},
		{text: `{"requestHeader":{"requestTimestamp":"1",` + version + `}}`, code: google.CodeMissing},
		{text: `{"requestHeader":{"requestId":7,"requestTimestamp":"1",` + version + `}}`, code: google.CodeDecrypted},
		{text: `{"requestHeader":{"requestId":"a",` + version + `}}`, code: google.CodeMissing},
		{text: `{"requestHeader":{"requestId":"a","requestTimestamp":"soon",` + version + `}}`, code: google.CodeFieldValue},
		{text: `{"requestHeader":{"requestId":"a","requestTimestamp":"1"}}`, code: google.CodeMissing},
		{text: `{"requestHeader":{"requestId":"a","requestTimestamp":"1","protocolVersion":"1.0.0"}}`, code: google.CodeDecrypted},
		{text: `{"requestHeader":{"requestId":"a","requestTimestamp":"1","protocolVersion":{}}}`, code: google.CodeMissing},
		{text: `{"requestHeader":{"requestId":"a","requestTimestamp":"1","protocolVersion":{"major":"1"}}}`, code: google.CodeDecrypted},
		{text: `{"requestHeader":{"requestId":"a","requestTimestamp":"1","protocolVersion":{"major":1.0}}}`, code: google.CodeFieldValue},
		{text: `{"requestHeader":{"requestId":"a","requestTimestamp":"1","protocolVersion":{"major":1,"minor":-1}}}`, code: google.CodeFieldValue},
		{text: `{"requestHeader":{"requestId":"a","requestTimestamp":"1","protocolVersion":{"major":2,"minor":0,"revision":0}}}`, code: google.CodeVersion},
		{text: `{"requestHeader":{"requestId":"a","requestTimestamp":"1","protocolVersion":{"major":0,"minor":0,"revision":0}}}`, code: google.CodeVersion},
	}
	for _, tt := range tests {
		_, err := google.ReadHeader(parsed(t, tt.text))
		if tt.code == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.text, err)
			}
			continue
		}
		refusedWith(t, tt.text, err, tt.code)
	}
}

// TestFingerprint: a repeat is the same request, whatever it may change; anything
// else is another (section 1.5 point 2).
func TestFingerprint(t *testing.T) {
	t.Parallel()
	const header = `"requestHeader":{"requestId":"r","requestTimestamp":"1","protocolVersion":{"major":1,"minor":0,"revision":0}}`
	base := google.Fingerprint(parsed(t, `{`+header+`,"amount":"5","deep":{"a":[1,"2",true,null],"b":"x"}}`))
	for name, text := range map[string]string{
		"in another order": `{"deep":{"b":"x","a":[1,"2",true,null]},"amount":"5",` + header + `}`,
		"with spaces":      ` { ` + header + ` , "amount" : "5" , "deep" : { "a" : [ 1 , "2" , true , null ] , "b" : "x" } } `,
		"at another time":  `{"requestHeader":{"requestId":"r","requestTimestamp":2,"userLocale":"en","protocolVersion":{"major":1,"minor":1,"revision":9}},"amount":"5","deep":{"a":[1,"2",true,null],"b":"x"}}`,
		"number as number": `{` + header + `,"amount":5,"deep":{"a":["1",2,true,null],"b":"\u0078"}}`,
	} {
		if google.Fingerprint(parsed(t, text)) != base {
			t.Errorf("%s it is another request", name)
		}
	}
	seen := map[[32]byte]string{base: "the first"}
	for name, text := range map[string]string{
		"another amount":             `{` + header + `,"amount":"6","deep":{"a":[1,"2",true,null],"b":"x"}}`,
		"a member more":              `{` + header + `,"amount":"5","deep":{"a":[1,"2",true,null],"b":"x"},"c":null}`,
		"a member less":              `{` + header + `,"amount":"5","deep":{"a":[1,"2",true,null]}}`,
		"a list in other order":      `{` + header + `,"amount":"5","deep":{"a":["2",1,true,null],"b":"x"}}`,
		"true as text":               `{` + header + `,"amount":"5","deep":{"a":[1,"2","true",null],"b":"x"}}`,
		"null as text":               `{` + header + `,"amount":"5","deep":{"a":[1,"2",true,"null"],"b":"x"}}`,
		"an object for a list":       `{` + header + `,"amount":"5","deep":{"a":{"0":1,"1":"2","2":true,"3":null},"b":"x"}}`,
		"another request id":         `{"requestHeader":{"requestId":"q","requestTimestamp":"1","protocolVersion":{"major":1,"minor":0,"revision":0}},"amount":"5","deep":{"a":[1,"2",true,null],"b":"x"}}`,
		"another major":              `{"requestHeader":{"requestId":"r","requestTimestamp":"1","protocolVersion":{"major":2,"minor":0,"revision":0}},"amount":"5","deep":{"a":[1,"2",true,null],"b":"x"}}`,
		"a time that is no header's": `{` + header + `,"amount":"5","requestTimestamp":"9","deep":{"a":[1,"2",true,null],"b":"x"}}`,
		"a name with a dot":          `{` + header + `,"amount":"5","requestHeader.userLocale":"9","deep":{"a":[1,"2",true,null],"b":"x"}}`,
		"a header in a list":         `{` + header + `,"amount":"5","deep":{"a":[1,"2",true,null],"b":"x"},"l":[{"requestHeader":{"userLocale":"en"}}]}`,
	} {
		f := google.Fingerprint(parsed(t, text))
		if other, known := seen[f]; known {
			t.Errorf("%s is the same as %s", name, other)
		}
		seen[f] = name
	}
}

// TestStrictJSON: echo probes it (sections 1.1 and 3.1).
func TestStrictJSON(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a trailing comma": `{"a":1,}`, "a missing comma": `{"a":1 "b":2}`, "a comment": `{"a":1/*x*/}`, "a repeated name": `{"a":1,"a":1}`,
		"a name repeated by an escape": `{"a":1,"\u0061":1}`, "a repeated name within": `{"o":{"a":1,"a":2}}`,
		"NaN": `{"a":NaN}`, "Infinity": `{"a":Infinity}`, "trailing bytes": `{"a":1}x`, "two objects": `{}{}`, "a BOM": "\ufeff{}",
		"invalid UTF-8": "{\"a\":\"\xff\"}", "half a surrogate": `{"a":"\ud800"}`, "a list": `[]`, "a string": `"a"`, "null": `null`, "nothing": ``,
		"spaces": `  `, "single quotes": `{'a':1}`, "no quotes": `{a:1}`, "a leading zero": `{"a":01}`, "a plus": `{"a":+1}`, "a point": `{"a":1.}`,
		"a tab in a text": "{\"a\":\"\t\"}", "a NUL behind": "{}\x00", "too deep": strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 40),
	} {
		if _, err := sign.ParseJSON([]byte(text)); err == nil {
			t.Errorf("%s was read: %s", name, text)
		}
	}
}

// TestWithHeader: an answer begins with its header, and a stored one gets the
// time of now.
func TestWithHeader(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1705276860250)
	for _, tt := range []struct {
		members any
		want    string
	}{
		{map[string]string{}, `{"responseHeader":{"responseTimestamp":"1705276860250"}}`},
		{map[string]string{"clientMessage": "<ping & 7>"}, `{"responseHeader":{"responseTimestamp":"1705276860250"},"clientMessage":"<ping & 7>"}`},
		{json.RawMessage(`{"result":"SUCCESS"}`), `{"responseHeader":{"responseTimestamp":"1705276860250"},"result":"SUCCESS"}`},
	} {
		got, err := google.WithHeader(tt.members, now)
		if err != nil || string(got) != tt.want {
			t.Errorf("withHeader() = %s, %v, want %s", got, err, tt.want)
		}
	}
	for _, members := range []any{nil, "text", []int{1}, json.RawMessage(`null`)} {
		if got, err := google.WithHeader(members, now); err == nil {
			t.Errorf("withHeader(%v) = %s", members, got)
		}
	}
}
