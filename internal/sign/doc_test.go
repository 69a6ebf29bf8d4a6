package sign_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"aorta/internal/sign"
)

func TestParseJSONRefusals(t *testing.T) {
	t.Parallel()
	many := &strings.Builder{}
	for i := range 1000 {
		fmt.Fprintf(many, `"k%d":%d,`, i, i)
	}
	tests := []struct {
		name    string
		text    string
		path    string
		problem sign.Problem
	}{
		{"empty", ``, "", sign.ProblemSyntax},
		{"two documents", `{} {}`, "", sign.ProblemSyntax},
		{"trailing comma", `{"a":{"b":1,}}`, "a", sign.ProblemSyntax},
		{"trailing comma in a list", `{"a":[1,]}`, "a.1", sign.ProblemSyntax},
		{"no colon", `{"a" 1}`, "", sign.ProblemSyntax},
		{"key not a string", `{a:1}`, "", sign.ProblemSyntax},
		{"leading zero", `{"a":01}`, "a", sign.ProblemSyntax},
		{"plus", `{"a":+1}`, "a", sign.ProblemSyntax},
		{"no digit after the point", `{"a":1.}`, "a", sign.ProblemSyntax},
		{"no digit in the exponent", `{"a":1e+}`, "a", sign.ProblemSyntax},
		{"minus alone", `{"a":-}`, "a", sign.ProblemSyntax},
		{"NaN", `{"a":NaN}`, "a", sign.ProblemSyntax},
		{"word cut off", `{"a":tru`, "a", sign.ProblemSyntax},
		{"raw newline in a string", "{\"a\":\"x\ny\"}", "a", sign.ProblemSyntax},
		{"raw newline after an escape", "{\"a\":\"\\n\n\"}", "a", sign.ProblemSyntax},
		{"unknown escape", `{"a":"\x"}`, "a", sign.ProblemSyntax},
		{"string not closed", `{"a":"x`, "a", sign.ProblemSyntax},
		{"escaped string not closed", `{"a":"\\`, "a", sign.ProblemSyntax},
		{"escape cut off", `{"a":"\u12`, "a", sign.ProblemSyntax},
		{"byte order mark", "\ufeff{}", "", sign.ProblemSyntax},
		{"single quotes", `{'a':1}`, "", sign.ProblemSyntax},
		{"comment", `{"a":1/**/}`, "", sign.ProblemSyntax},
		{"list", `[1]`, "", sign.ProblemNotObject},
		{"string", `"x"`, "", sign.ProblemNotObject},
		{"number", ` 1 `, "", sign.ProblemNotObject},
		{"null", `null`, "", sign.ProblemNotObject},
		{"broken list", `[1`, "", sign.ProblemSyntax},
		{"repeated", `{"a":{"b":1,"c":2,"b":1}}`, "a.b", sign.ProblemRepeated},
		{"repeated by an escape", `{"a":1,"\u0061":1}`, "a", sign.ProblemRepeated},
		{"repeated among many", `{` + many.String() + `"k3":1}`, "k3", sign.ProblemRepeated},
		{"NUL escaped", `{"a":["x","\u0000"]}`, "a.1", sign.ProblemNUL},
		{"NUL in a key", `{"a":{"x\u0000":1}}`, "a", sign.ProblemNUL},
		{"NUL raw", "{\"a\":\"\x00\"}", "a", sign.ProblemNUL},
		{"not UTF-8", "{\"a\":\"\xff\"}", "a", sign.ProblemUTF8},
		{"not UTF-8 beside an escape", "{\"a\":\"\\t\xc3\"}", "a", sign.ProblemUTF8},
		{"overlong", "{\"a\":\"\xc0\xaf\"}", "a", sign.ProblemUTF8},
		{"high surrogate alone", `{"a":"\ud83d"}`, "a", sign.ProblemUTF8},
		{"low surrogate alone", `{"a":"\udca9"}`, "a", sign.ProblemUTF8},
		{"two high surrogates", `{"a":"\ud83d\ud83d"}`, "a", sign.ProblemUTF8},
		{"too deep", `{"a":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`, "a" + strings.Repeat(".0", 31), sign.ProblemDepth},
		{"too many values", `{"a":[0` + strings.Repeat(",0", 9999) + `]}`, "a", sign.ProblemSize},
		{"too long a key", `{"a":{"` + strings.Repeat("k", 1022) + `":1}}`, "a", sign.ProblemSize},
		{"far too deep", strings.Repeat("[", 1<<20), strings.Repeat("0.", 31) + "0", sign.ProblemDepth},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			doc, err := sign.ParseJSON([]byte(tt.text))
			var refusal *sign.ParseError
			if !errors.As(err, &refusal) || refusal.Path != tt.path || refusal.Problem != tt.problem || doc != nil {
				t.Errorf("ParseJSON = %v, want %q at %q", err, tt.problem, tt.path)
			}
		})
	}
	_, err := sign.ParseJSON([]byte(`{"` + strings.Repeat("é", 500) + `":x}`))
	var refusal *sign.ParseError
	if !errors.As(err, &refusal) || refusal.Path != strings.Repeat("é", 127) {
		t.Errorf("ParseJSON with a long key = %v, want a path of 254 bytes", err)
	}
}

// A hostile document must not cost more than a few megabytes, whatever it holds.
func TestLargestDocument(t *testing.T) {
	t.Parallel()
	text := `{"` + strings.Repeat("k", 1000) + `":[0` + strings.Repeat(",0", 9997) + `]`
	err := sign.Verify(parse(t, text+`,"signature":"x"}`), sign.NewSecret("s"), sign.AtRoot)
	if !errors.Is(err, sign.ErrSignatureWrong) {
		t.Errorf("Verify = %v, want ErrSignatureWrong", err)
	}
}

func TestDocAccessors(t *testing.T) {
	t.Parallel()
	doc := parse(t, `{"general":{"project_id":200,"payment_id":"a\"\u00e9\ud83d\ude00\/"},"list":[1,[],{"x":null}],"ok":true,
		"deep":`+strings.Repeat("[", 31)+strings.Repeat("]", 31)+`}`)
	if got := doc.Get("general", "payment_id"); got.Kind() != sign.KindString || got.Text() != `a"é😀/` || got.Path() != "general.payment_id" || got.Key() != "payment_id" {
		t.Errorf("payment_id = %v %q at %q", got.Kind(), got.Text(), got.Path())
	}
	if got, err := doc.Get("general", "project_id").Int(); got != 200 || err != nil {
		t.Errorf("project_id = %d, %v", got, err)
	}
	if got := doc.Get("list", "2", "x"); got.Kind() != sign.KindNull || !got.Exists() || got.Text() != "" || got.Path() != "list.2.x" {
		t.Errorf("list.2.x = %v at %q", got.Kind(), got.Path())
	}
	if got := doc.Get("list").Len(); got != 3 {
		t.Errorf("len(list) = %d, want 3", got)
	}
	if got := doc.Get("ok"); got.Kind() != sign.KindBool || got.Text() != "true" {
		t.Errorf("ok = %v %q", got.Kind(), got.Text())
	}
	if got := doc.Root().Len(); got != 4 {
		t.Errorf("len(root) = %d, want 4", got)
	}
	for _, path := range [][]string{{"nothing"}, {"ok", "x"}, {"list", "3"}, {"general", "payment_id", "0"}, {"nothing", "more"}} {
		got := doc.Get(path...)
		if _, err := got.Int(); got.Exists() || got.Kind() != sign.KindMissing || got.Text() != "" || got.Key() != "" || got.Path() != "" || got.Len() != 0 || err == nil {
			t.Errorf("Get(%v) = %v %q, want nothing", path, got.Kind(), got.Text())
		}
	}
	var paths []string
	for v := range doc.All() {
		paths = append(paths, v.Path())
		if v.Path() == "ok" {
			break
		}
	}
	if want := []string{"general", "general.project_id", "general.payment_id", "list", "list.0", "list.1", "list.2", "list.2.x", "ok"}; !slices.Equal(paths, want) {
		t.Errorf("All = %v, want %v", paths, want)
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		number   string
		want     int64
		problem  sign.Problem // of Int
		tooLarge bool         // for CheckNumbers
	}{
		{number: "0", want: 0},
		{number: "-0", want: 0},
		{number: "9007199254740991", want: sign.MaxInteger},
		{number: "-9007199254740991", want: -sign.MaxInteger},
		{number: "9007199254740992", problem: sign.ProblemRange, tooLarge: true},
		{number: "-9007199254740992", problem: sign.ProblemRange, tooLarge: true},
		{number: "10000000000000000", problem: sign.ProblemRange, tooLarge: true},
		{number: strings.Repeat("9", 500), problem: sign.ProblemRange, tooLarge: true},
		{number: "12.5", problem: sign.ProblemInteger},
		{number: "12.0", problem: sign.ProblemInteger},
		{number: "1e3", problem: sign.ProblemInteger},
		{number: "1e15", problem: sign.ProblemInteger},
		{number: "1e16", problem: sign.ProblemInteger, tooLarge: true},
		{number: "1e21", problem: sign.ProblemInteger, tooLarge: true},
		{number: "1e99999999999999999999", problem: sign.ProblemInteger, tooLarge: true},
		{number: "1e-99999999999999999999", problem: sign.ProblemInteger},
		{number: "0e99999999999999999999", problem: sign.ProblemInteger},
		{number: "9007199254740991.5", problem: sign.ProblemInteger, tooLarge: true},
		{number: "0.00000000000000000000000000000001", problem: sign.ProblemInteger},
	}
	for _, tt := range tests {
		doc := parse(t, `{"a":{"n":`+tt.number+`}}`)
		got, err := doc.Get("a", "n").Int()
		var refusal *sign.ParseError
		if tt.problem == "" && (err != nil || got != tt.want) ||
			tt.problem != "" && (!errors.As(err, &refusal) || refusal.Problem != tt.problem || refusal.Path != "a.n") {
			t.Errorf("Int of %s = %d, %v, want %d, %q", tt.number, got, err, tt.want, tt.problem)
		}
		err = doc.CheckNumbers()
		if tt.tooLarge && (!errors.As(err, &refusal) || refusal.Problem != sign.ProblemRange || refusal.Path != "a.n") || !tt.tooLarge && err != nil {
			t.Errorf("CheckNumbers of %s = %v, want too large: %v", tt.number, err, tt.tooLarge)
		}
	}
	if _, err := parse(t, `{"n":"12"}`).Get("n").Int(); err == nil {
		t.Error("Int of a string did not fail")
	}
}

func TestParseFormRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		query   string
		path    string
		problem sign.Problem
	}{
		{"a=1&b=2&a=1", "a", sign.ProblemRepeated},
		{"a=1&a[b]=2", "a[b]", sign.ProblemRepeated},
		{"a[b]=1&a=2", "a", sign.ProblemRepeated},
		{"a[b]=1&a%5Bb%5D=2", "a[b]", sign.ProblemRepeated},
		{"a=x;y", "a", sign.ProblemSemicolon},
		{"a=x%3By", "a", sign.ProblemSemicolon},
		{"a[_b]=x%3By", "a[_b]", sign.ProblemSemicolon},
		{"a;b=1", "a;b", sign.ProblemKey},
		{"a:b=1", "a:b", sign.ProblemKey},
		{"=1", "", sign.ProblemKey},
		{"a[]=1", "a[]", sign.ProblemKey},
		{"a[b=1", "a[b", sign.ProblemKey},
		{"a]b=1", "a]b", sign.ProblemKey},
		{"a[b]c=1", "a[b]c", sign.ProblemKey},
		{"a[[b]]=1", "a[[b]]", sign.ProblemKey},
		{"[a]=1", "[a]", sign.ProblemKey},
		{"a" + strings.Repeat("[b]", 32) + "=1", "a" + strings.Repeat("[b]", 32), sign.ProblemDepth},
		{"a=%zz", "a", sign.ProblemSyntax},
		{"a%=1", "", sign.ProblemSyntax},
		{"a=%ff", "a", sign.ProblemUTF8},
		{"a=x%00", "a", sign.ProblemNUL},
		{"a%00=x", "", sign.ProblemNUL},
	}
	for _, tt := range tests {
		doc, err := sign.ParseForm(tt.query)
		var refusal *sign.ParseError
		if !errors.As(err, &refusal) || refusal.Path != tt.path || refusal.Problem != tt.problem || doc != nil {
			t.Errorf("ParseForm(%q) = %v, want %q at %q", tt.query, err, tt.problem, tt.path)
		}
	}
}

// FuzzParseJSON holds our reader to the standard library's: what we take, it takes,
// with the same texts. Then signing and verifying must go round.
func FuzzParseJSON(f *testing.F) {
	for _, v := range load(f).Vectors {
		f.Add([]byte(v.InputJSON))
	}
	for _, v := range load(f).Divergent {
		f.Add([]byte(v.InputJSON))
	}
	f.Add([]byte(`{"a":"\ud83d\ude00\\","b":[1e5,-0.0,{}],"a b":" ","general":{"signature":"x"}}`))
	secret := sign.NewSecret("s")
	f.Fuzz(func(t *testing.T, raw []byte) {
		doc, err := sign.ParseJSON(raw)
		if err != nil {
			if !errors.As(err, new(*sign.ParseError)) {
				t.Fatalf("ParseJSON(%q) = %v, want a ParseError", raw, err)
			}
			return
		}
		var theirs map[string]any
		decoder := json.NewDecoder(strings.NewReader(string(raw)))
		decoder.UseNumber()
		if err := decoder.Decode(&theirs); err != nil {
			t.Fatalf("ParseJSON takes %q, encoding/json says %v", raw, err)
		}
		same(t, doc.Root(), theirs)
		_ = doc.CheckNumbers()

		if !doc.Get("signature").Exists() {
			signed := with(strings.TrimSpace(string(raw)), sign.Sign(doc, secret))
			// White space may follow the opening brace of an empty object.
			if again, err := sign.ParseJSON([]byte(signed)); err == nil {
				if err := sign.Verify(again, secret, sign.AtRoot); err != nil {
					t.Fatalf("Verify(%q) = %v", signed, err)
				}
			} else if doc.Root().Len() > 0 {
				t.Fatalf("ParseJSON(%q) = %v", signed, err)
			}
		}
		emitted, err := sign.AppendSigned(nil, raw, secret)
		if err != nil {
			return
		}
		again, err := sign.ParseJSON(emitted)
		if err != nil {
			t.Fatalf("AppendSigned(%q) = %q, which does not parse: %v", raw, emitted, err)
		}
		if err := sign.Verify(again, secret, sign.AtRoot); err != nil {
			t.Fatalf("Verify(%q) = %v", emitted, err)
		}
	})
}

// same compares a Value with what encoding/json made of the same text.
func same(t *testing.T, v sign.Value, theirs any) {
	t.Helper()
	ok := false
	switch x := theirs.(type) {
	case nil:
		ok = v.Kind() == sign.KindNull
	case bool:
		ok = v.Kind() == sign.KindBool && v.Text() == fmt.Sprint(x)
	case json.Number:
		ok = v.Kind() == sign.KindNumber && v.Text() == x.String()
	case string:
		ok = v.Kind() == sign.KindString && v.Text() == x
	case []any:
		ok = v.Kind() == sign.KindList && v.Len() == len(x)
		for i := range x {
			same(t, v.Get(fmt.Sprint(i)), x[i])
		}
	case map[string]any:
		ok = v.Kind() == sign.KindObject && v.Len() == len(x)
		for key := range x {
			same(t, v.Get(key), x[key])
		}
	}
	if !ok {
		t.Fatalf("%q is %v %q, encoding/json says %#v", v.Path(), v.Kind(), v.Text(), theirs)
	}
}

func FuzzParseForm(f *testing.F) {
	for _, v := range load(f).PaymentPageURLs {
		_, query, _ := strings.Cut(v.URL, "?")
		f.Add(query)
	}
	f.Add("a[b][0]=1&a[b][1]=TRUE&_x=;&frame_mode=")
	secret := sign.NewSecret("s")
	f.Fuzz(func(t *testing.T, query string) {
		doc, err := sign.ParseForm(query)
		if err != nil {
			if !errors.As(err, new(*sign.ParseError)) {
				t.Fatalf("ParseForm(%q) = %v, want a ParseError", query, err)
			}
			return
		}
		if doc.Get("signature").Exists() || strings.ContainsAny(query, ";") || strings.Contains(strings.ToLower(query), "%3b") {
			return
		}
		signature := strings.NewReplacer("+", "%2B", "/", "%2F", "=", "%3D").Replace(sign.Sign(doc, secret))
		signed, err := sign.ParseForm(query + "&signature=" + signature)
		if err != nil {
			t.Fatalf("ParseForm(%q with its signature) = %v", query, err)
		}
		if err := sign.VerifyForm(signed, secret); err != nil {
			t.Fatalf("VerifyForm(%q) = %v", query, err)
		}
	})
}
