package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"aorta/internal/api"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// document is openapi.json as the house serves it, read once: all houses have the same.
var document = sync.OnceValues(func() (any, *jsonschema.Compiler) {
	w := httptest.NewRecorder()
	api.New(api.Options{Now: nowhere.Now, Random: bytes.NewReader(make([]byte, 64)), PublicURL: func() string { return "" }}).
		ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/openapi.json", nil))
	doc, err := jsonschema.UnmarshalJSON(w.Body)
	if err != nil {
		panic(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource("openapi.json", doc); err != nil {
		panic(err)
	}
	return doc, c
})

var compiling sync.Mutex // a Compiler is for one at a time

func at(doc any, path ...string) any {
	for _, name := range path {
		o, _ := doc.(map[string]any)
		doc = o[name]
	}
	return doc
}

// answerAt is where the document says what a call answers with a status, by way of a
// reference if there is one.
func answerAt(doc any, pattern, method, status string) []string {
	to := []string{"paths", pattern, method, "responses", status}
	if ref, ok := at(doc, append(to, "$ref")...).(string); ok {
		return strings.Split(strings.TrimPrefix(ref, "#/"), "/")
	}
	return to
}

// patternOf finds the path of the document that a request went to.
func patternOf(doc any, path string) string {
	for pattern := range at(doc, "paths").(map[string]any) {
		x, y := strings.Split(pattern, "/"), strings.Split(path, "/")
		fits := len(x) == len(y)
		for n := range x {
			fits = fits && (strings.HasPrefix(x[n], "{") || x[n] == y[n])
			if !fits {
				break
			}
		}
		if fits {
			return pattern
		}
	}
	return ""
}

func valid(schema string, body []byte) error {
	compiling.Lock()
	defer compiling.Unlock()
	_, c := document()
	s, err := c.Compile("openapi.json#" + schema)
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

func pointer(parts ...string) string {
	for n, p := range parts {
		parts[n] = strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(p, "~", "~0"), "/", "~1"), "{", "%7B")
		parts[n] = strings.ReplaceAll(parts[n], "}", "%7D")
	}
	return "/" + strings.Join(parts, "/")
}

// conforms checks an answer against openapi.json: its status and media type are
// there for that call, and its body is as the schema says.
func conforms(t testing.TB, r *http.Request, a answer) {
	t.Helper()
	doc, _ := document()
	pattern := patternOf(doc, r.URL.Path)
	method := strings.ToLower(r.Method)
	if pattern == "" || at(doc, "paths", pattern, method) == nil || r.Method == http.MethodHead {
		return // no call of ours: it has an error body all the same, which send looks at
	}
	media, _, _ := mime.ParseMediaType(a.Header().Get("Content-Type"))
	told := answerAt(doc, pattern, method, strconv.Itoa(a.Code))
	schema := append(slices.Clone(told), "content", media, "schema")
	if at(doc, schema...) == nil {
		if pattern != "/v1/openapi.json" {
			t.Errorf("%s %s = %d %s, which openapi.json does not have: %s", r.Method, pattern, a.Code, media, a.Body)
		}
		return
	}
	if err := valid(pointer(schema...), a.Body.Bytes()); err != nil {
		t.Errorf("%s %s = %d %s\nis not as openapi.json says: %v", r.Method, pattern, a.Code, a.Body, err)
	}
	if a.Code < 400 {
		return
	}
	for _, name := range []string{"decline_code", "retryable", "alternatives"} { // errors.md 1
		if a.Code == http.StatusPaymentRequired && a.text("details", name) == "" {
			t.Errorf("%s %s = %d %s, without details.%s", r.Method, pattern, a.Code, a.Body, name)
		}
	}
	texts, _ := at(doc, append(told, "description")...).(string)
	if code := a.text("error"); !strings.Contains(", "+texts+",", ", "+code+",") {
		t.Errorf("%s %s answers %s, which openapi.json does not have (%s)", r.Method, pattern, code, texts)
	}
}

// TestOpenAPI: what OpenAPI 3.1 asks of a document is there, and every schema in it
// can be compiled.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	doc, _ := document()
	for _, broken := range faults(doc) {
		t.Error(broken)
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []string{`"operationId":"initPayment",`, `"version":"1.0.0"`, `{"in":"path","name":"payment_id",`, `"Error":{`} {
		var broken any
		text := strings.ReplaceAll(string(raw), cut, strings.NewReplacer("operationId", "x", "version", "x", `"name":"payment_id"`, `"name":"y"`, "Error", "Fault").Replace(cut))
		if err := json.Unmarshal([]byte(text), &broken); err != nil || text == string(raw) {
			t.Errorf("%s is not there to be cut: %v", cut, err)
		} else if len(faults(broken)) == 0 {
			t.Errorf("a document without %s passes", cut)
		}
	}
	for name := range at(doc, "components", "schemas").(map[string]any) {
		if err := valid("/components/schemas/"+name, []byte(`1`)); err == nil || !strings.Contains(err.Error(), "want object") {
			t.Errorf("schema %s takes a number: %v", name, err)
		}
	}
}

// faults says where a document is not as OpenAPI 3.1 has it: fixed fields, path
// variables, names of operations, references.
func faults(doc any) (out []string) {
	fault := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if v, _ := at(doc, "openapi").(string); !strings.HasPrefix(v, "3.1.") {
		fault("openapi is %q", v)
	}
	for _, name := range []string{"title", "version"} {
		if v, _ := at(doc, "info", name).(string); v == "" {
			fault("info has no %s", name)
		}
	}
	names := map[string]bool{}
	for pattern, calls := range at(doc, "paths").(map[string]any) {
		if !strings.HasPrefix(pattern, "/") {
			fault("path %q", pattern)
		}
		for method, op := range calls.(map[string]any) {
			name, _ := at(op, "operationId").(string)
			if name == "" || names[name] {
				fault("%s %s has operationId %q", method, pattern, name)
			}
			names[name] = true
			inPath := map[string]bool{}
			list, _ := at(op, "parameters").([]any)
			for _, p := range list {
				if at(p, "schema") == nil {
					fault("%s: parameter %v has no schema", name, at(p, "name"))
				}
				if at(p, "in") == "path" {
					inPath[at(p, "name").(string)] = at(p, "required") == true
				}
			}
			for part := range strings.SplitSeq(pattern, "/") {
				if v, ok := strings.CutPrefix(part, "{"); ok && !inPath[strings.TrimSuffix(v, "}")] {
					fault("%s: %s is no parameter", name, v)
				}
			}
			responses, _ := at(op, "responses").(map[string]any)
			if len(responses) == 0 {
				fault("%s has no responses", name)
			}
			for status := range responses {
				if d, _ := at(doc, append(answerAt(doc, pattern, method, status), "description")...).(string); d == "" {
					fault("%s: %s has no description", name, status)
				}
			}
		}
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok && at(doc, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...) == nil {
				fault("%s leads nowhere", ref)
			}
			for _, x := range v {
				walk(x)
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		}
	}
	walk(doc)
	return out
}

// TestAnswersAreJudged: an answer that is not as the document says is noticed.
func TestAnswersAreJudged(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, path, status, body string }{
		{"a member too many", initPath, "200", `{"payment_id":"pay_01k4aq3x8n0g2v5b7d9f1h3j5m","status":"pending","secret":"x"}`},
		{"a member too few", initPath, "200", `{"status":"pending"}`},
		{"a word of ours", initPath, "200", `{"payment_id":"pay_01k4aq3x8n0g2v5b7d9f1h3j5m","status":"awaiting_customer"}`},
		{"a code that there is not", initPath, "409", `{"error":"x","message":"","trace_id":"00000000000000000000000000000000","details":{}}`},
	} {
		doc, _ := document()
		schema := append(answerAt(doc, tt.path, "post", tt.status), "content", "application/json", "schema")
		if err := valid(pointer(schema...), []byte(tt.body)); err == nil {
			t.Errorf("%s: nothing is noticed", tt.name)
		}
	}
	good := `{"payment_id":"pay_01k4aq3x8n0g2v5b7d9f1h3j5m","status":"pending"}`
	if err := valid(pointer("paths", initPath, "post", "responses", "200", "content", "application/json", "schema"), []byte(good)); err != nil {
		t.Error(err)
	}
}
