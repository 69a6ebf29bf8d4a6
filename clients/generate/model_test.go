package main

import (
	"encoding/json"
	"fmt"
	"go/format"
	"strings"
	"testing"

	"aorta/internal/api"
)

// payouts is a call that is added to the API: its name and types follow from it.
const payouts = `{"/v1/payouts/init":{"post":{"operationId":"initPayout","summary":"Begins a payout.","x-scope":"payouts:write","security":[{"key":[]}],
"parameters":[{"name":"Idempotency-Key","in":"header","schema":{"type":"string"}}],
"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/PayoutBody"}}}},
"responses":{"200":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/PayoutAnswer"}}}}}}},
"/v1/payouts/{payout_id}":{"get":{"operationId":"getPayout","summary":"Gives a payout.","x-scope":"read","security":[{"key":[]}],
"parameters":[{"name":"payout_id","in":"path","required":true,"schema":{"type":"string"}}],
"responses":{"200":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/PayoutView"}}}}}}},
"/v1/payouts":{"get":{"operationId":"listPayouts","summary":"Lists payouts.","x-scope":"read","security":[{"key":[]}],
"parameters":[{"name":"status","in":"query","schema":{"type":"string","enum":["pending","paid"]}},{"name":"cursor","in":"query","schema":{"type":"string"}}],
"responses":{"200":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/PayoutList"}}}}}}}}`

const payoutSchemas = `{"PayoutBody":{"type":"object","properties":{"amount":{"type":"string"},"idempotency_key":{"type":"string"}},"required":["amount"]},
"PayoutAnswer":{"type":"object","properties":{"payout_id":{"type":"string"},"status":{"type":"string","enum":["pending","paid"]}},"required":["payout_id","status"]},
"PayoutView":{"type":"object","properties":{"payout_id":{"type":"string"},"status":{"type":"string","enum":["pending","paid"]},"count":{"type":"integer"}},"required":["payout_id","status"]},
"PayoutList":{"type":"object","properties":{"data":{"type":"array","items":{"$ref":"#/components/schemas/PayoutView"}},"next_cursor":{"type":"string"}},"required":["data"]}}`

// plus is openapi.json with more in it.
func plus(t *testing.T, paths, schemas string) []byte {
	t.Helper()
	var doc map[string]any
	var more [2]map[string]any
	for text, into := range map[string]any{string(api.OpenAPI()): &doc, paths: &more[0], schemas + " ": &more[1]} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	components, _ := doc["components"].(map[string]any)
	for n, into := range []any{doc["paths"], components["schemas"]} {
		for name, v := range more[n] {
			into.(map[string]any)[name] = v
		}
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestAdded: a call that is added is called as one would guess.
func TestAdded(t *testing.T) {
	t.Parallel()
	m, err := read(plus(t, payouts, payoutSchemas))
	if err != nil {
		t.Fatal(err)
	}
	code, err := render("go.tmpl", m)
	if err == nil {
		code, err = format.Source(code)
	}
	if err != nil {
		t.Fatal(err)
	}
	types, err := render("typescript.tmpl", m)
	if err != nil {
		t.Fatal(err)
	}
	for text, wants := range map[string][]string{
		string(code): {
			"func (s Payouts) Init(ctx context.Context, params PayoutInitParams, opts ...CallOption) (*PayoutInitResult, error)",
			"func (s Payouts) Get(ctx context.Context, payoutID string, opts ...CallOption) (*Payout, error)",
			"func (s Payouts) List(ctx context.Context, params PayoutListParams, opts ...CallOption) iter.Seq2[Payout, error]",
			"PayoutStatusPaid    PayoutStatus = \"paid\"",
		},
		string(types): {
			"init(params: PayoutInitParams, options: CallOptions = {}): Promise<PayoutInitResult>",
			"get(payoutID: string, options: CallOptions = {}): Promise<Payout>",
			"list(params: PayoutListParams = {}, options: CallOptions = {}): AsyncIterable<Payout>",
			"readonly payouts: Payouts;",
		},
	} {
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("there is no %s", want)
			}
		}
	}
	if again, err := read(plus(t, payouts, payoutSchemas)); err != nil || fmt.Sprint(len(again.Types), len(again.Enums)) != fmt.Sprint(len(m.Types), len(m.Enums)) {
		t.Errorf("the same document gives %d types and %d lists of words, before %d and %d", len(again.Types), len(again.Enums), len(m.Types), len(m.Enums))
	}
}

// TestNoRule: what the rules do not know is an error.
func TestNoRule(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, old, new, want string }{
		{"a float", `"count":{"type":"integer"}`, `"count":{"type":"number"}`, "no rule for type"},
		{"an object of its own", `"count":{"type":"integer"}`, `"count":{"type":"object","additionalProperties":false}`, "no rule for type"},
		{"a schema that is no object", `"PayoutView":{"type":"object"`, `"PayoutView":{"type":"string"`, "is of type"},
		{"another method", `"get":{"operationId":"getPayout"`, `"trace":{"operationId":"getPayout"`, "no rule for the method"},
		{"a cookie", `"in":"path","required":true`, `"in":"cookie"`, "no rule for parameter"},
		{"a body beside a query", `"in":"header"`, `"in":"query"`, "no rule for a query beside a body"},
		{"no answer", `PayoutAnswer"}`, `PayoutNothing"}`, "has no answer"},
		{"two types of one name", `"PayoutAnswer":{"type":"object","properties":{"payout_id":{"type":"string"}`, `"PayoutAnswer":{"type":"object","properties":{"payout_id":{"$ref":"#/components/schemas/PayoutInitResult"}`, "two types would be"},
		{"a path elsewhere", `"/v1/payouts":`, `"/payouts":`, "is not below /v1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			changed, schemas := strings.Replace(payouts, tt.old, tt.new, 1), strings.Replace(payoutSchemas, tt.old, tt.new, 1)
			if changed == payouts && schemas == payoutSchemas {
				t.Fatalf("%s is not there to be changed", tt.old)
			}
			schemas = strings.TrimSuffix(schemas, "}") + `,"PayoutInitResult":{"type":"object","properties":{}}}`
			if _, err := read(plus(t, changed, schemas)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("read = %v, want %q", err, tt.want)
			}
		})
	}
}
