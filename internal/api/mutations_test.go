package api_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// told are the codes that calls of this package's tests were answered.
var told sync.Map

// TestMain has every code of the error table told by some test, through HTTP: one
// that no call can bring about should not be promised (errors.md).
func TestMain(m *testing.M) {
	result := m.Run()
	whole := true
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz"} {
		whole = whole && flag.Lookup(name).Value.String() == ""
	}
	if result == 0 && whole {
		doc, _ := document()
		for _, code := range at(doc, "components", "schemas", "Error", "properties", "error", "enum").([]any) {
			if _, ok := told.Load(code); !ok {
				fmt.Printf("--- FAIL: no test was answered %s\n", code)
				result = 1
			}
		}
	}
	os.Exit(result)
}

// TestEveryMutation: the rules that hold for every call that changes something:
// one idempotency key, no member that there is not, no card data, and money in one
// form.
func TestEveryMutation(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doc, _ := document()
	calls := 0
	for pattern, methods := range at(doc, "paths").(map[string]any) {
		path := strings.NewReplacer(
			"{payment_id}", "pay_01k4aq3x8n0g2v5b7d9f1h3j5m", "{endpoint_id}", "we_01k4aq3x8n0g2v5b7d9f1h3j5m", "{customer_id}", "c", "{kind}", "deposit", "{period}", "day",
		).Replace(pattern)
		for method, op := range methods.(map[string]any) {
			if method == "get" || at(op, "x-scope") == nil {
				continue
			}
			calls++
			name := method + " " + pattern
			ask := func(body string, headers ...string) answer {
				t.Helper()
				return h.send(h.request(strings.ToUpper(method), path, body, headers...))
			}
			schema, _ := at(op, "requestBody", "content", "application/json", "schema", "$ref").(string)
			if schema == "" {
				wants(t, name+" without a key", ask(""), 400, "idempotency_key_missing")
				wants(t, name+" with a key that is none", ask("", "Idempotency-Key", "a b"), 400, "bad_header")
				continue
			}
			wants(t, name+" without a key", ask("{}"), 400, "idempotency_key_missing")
			wants(t, name+" with a key that is none", ask("{}", "Idempotency-Key", "a b"), 400, "bad_header")
			wants(t, name+" with two keys", ask("{}", "Idempotency-Key", "a", "Idempotency-Key", "a"), 400, "bad_header")
			wants(t, name+" with another key in the body", ask(`{"idempotency_key":"a"}`, "Idempotency-Key", "b"), 400, "bad_header")
			wants(t, name+" with a key that is no text", ask(`{"idempotency_key":1}`), 422, "validation_failed")
			wants(t, name+" without JSON", ask("{", "Idempotency-Key", "a"), 400, "malformed_json")
			wants(t, name+" as a form", ask("a=b", "Idempotency-Key", "a", "Content-Type", "application/x-www-form-urlencoded"), 415, "unsupported_media_type")
			wants(t, name+" with a card number", ask(`{"x":{"y":["4111 1111-1111.1111"]}}`, "Idempotency-Key", "a"), 422, "pan_not_allowed")
			for _, code := range []string{"cvv", "cvc", "cvn", "csc", "card_security_code"} {
				wants(t, name+" with "+code, ask(`{"`+code+`":"123"}`, "Idempotency-Key", "a"), 422, "pan_not_allowed")
			}
			wrong := func(body, path, code, hint string) {
				t.Helper()
				a := ask(body, "Idempotency-Key", "a")
				wants(t, name+" with "+body, a, 422, "validation_failed")
				for n := 0; a.text("details", "fields", fmt.Sprint(n), "path") != ""; n++ {
					f := func(part string) string { return a.text("details", "fields", fmt.Sprint(n), part) }
					if f("path") == path && f("code") == code && strings.Contains(f("message"), hint) {
						return
					}
				}
				t.Errorf("%s with %s: no field %s is %s (%s): %s", name, body, path, code, hint, a.text("details"))
			}
			wrong(`{"idempotency_kye":"a"}`, "idempotency_kye", "unknown", "did you mean idempotency_key?")
			wrong(`{"nothing_of_the_kind":1767323045678}`, "nothing_of_the_kind", "unknown", "is not known here")
			wrong(`{"status":"captured"}`, "status", "unknown", "is not known here")
			members, _ := at(doc, append(strings.Split(strings.TrimPrefix(schema, "#/"), "/"), "properties")...).(map[string]any)
			for _, member := range slices.Sorted(maps.Keys(members)) {
				if at(members, member, "pattern") != amountPattern {
					continue
				}
				for _, text := range []string{"-1.00", "+1.00", "1e2", "1E2", "1,00", " 1.00", "1.00 ", "1.", ".5", "0x10", "1_000", "", "NaN", "Infinity", "١", "1.00.00", strings.Repeat("9", 20)} {
					wrong(fmt.Sprintf(`{%q:%q}`, member, text), member, "amount", "decimal text")
				}
				for _, value := range []string{"1", "1.00", "1e2", "true", "[]", "{}"} {
					wrong(fmt.Sprintf(`{%q:%s}`, member, value), member, "type", "text in quotes")
				}
			}
		}
	}
	if calls < 14 {
		t.Errorf("only %d calls change something", calls)
	}
	if p, a, r := h.rows(); p+a+r != 0 {
		t.Errorf("%d payments, %d answers and %d names are left", p, a, r)
	}
}

// amountPattern is how openapi.json knows an amount.
const amountPattern = `^[0-9]{1,19}(\.[0-9]{1,4})?$`
