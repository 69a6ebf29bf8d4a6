package scenario_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"aorta/test/demo"
)

// TestErrorTable: the table of errors.md against the demo, every row that can be
// brought about there from outside, as a client of /v1 meets it.
func TestErrorTable(t *testing.T) {
	t.Parallel()
	for store, flags := range demo.Stores(t) {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			c := caller{t: t, d: demo.Start(t, flags...)}
			long := strings.Repeat("x", 300<<10)
			pay := c.call("POST", "/v1/payments/init", c.sale("50.00", `,"merchant_payment_id":"taken"`), "k1").text("payment_id")
			c.wants("a payment", c.last, 200, "")
			c.call("POST", "/v1/wallet/credit", c.move("gift", "10.00"), "k2")
			c.wants("a gift", c.last, 200, "")
			reader := c.key("read")
			for _, tt := range []struct {
				name, method, path, body, key string
				headers                       map[string]string
				status                        int
				code                          string
			}{
				{name: "half a document", body: `{"amount":`, key: "x", status: 400, code: "malformed_json"},
				{name: "no key", body: c.sale("50.00"), status: 400, code: "idempotency_key_missing"},
				{name: "two keys", body: c.sale("50.00", `,"idempotency_key":"y"`), key: "x", status: 400, code: "bad_header"},
				{name: "no API key", method: "GET", path: "/v1/payments", headers: map[string]string{"Authorization": ""}, status: 401, code: "unauthenticated"},
				{name: "a forged webhook", path: "/v1/payments/webhook", body: "{}", headers: map[string]string{"X-Signature": "sha256=" + strings.Repeat("0", 64)}, status: 401, code: "invalid_signature"},
				{name: "no scope", body: c.sale("50.00"), key: "x", headers: map[string]string{"Authorization": "Bearer " + reader}, status: 403, code: "forbidden"},
				{name: "too little money", path: "/v1/wallet/debit", body: c.move("much", "10.01"), key: "k3", status: 402, code: "insufficient_funds"},
				{name: "too little money, again", path: "/v1/wallet/debit", body: c.move("much", "10.01"), key: "k3", status: 402, code: "insufficient_funds"},
				{name: "no such payment", method: "GET", path: "/v1/payments/pay_01k4aq3x8n0g2v5b7d9f1h3j5m", status: 404, code: "not_found"},
				{name: "no such call", method: "GET", path: "/v1/nothing", status: 404, code: "not_found"},
				{name: "no such method", method: "PUT", path: "/v1/payments", body: "{}", status: 405, code: "method_not_allowed"},
				{name: "another payment under the key", body: c.sale("51.00", `,"merchant_payment_id":"taken"`), key: "k1", status: 409, code: "idempotency_conflict"},
				{name: "a refund of what is not captured", path: "/v1/payments/" + pay + "/refunds", body: "{}", key: "k4", status: 409, code: "state_conflict"},
				{name: "a name that is taken", body: c.sale("50.00", `,"merchant_payment_id":"TAKEN"`), key: "k5", status: 409, code: "duplicate_payment_id"},
				{name: "a move's name that is taken", path: "/v1/wallet/credit", body: c.move("gift", "11.00"), key: "k6", status: 409, code: "duplicate_txn_id"},
				{name: "a large body", body: `{"description":"` + long + `"}`, key: "x", status: 413, code: "too_large"},
				{name: "a long address", method: "GET", path: "/v1/payments?cursor=" + long[:9000], status: 414, code: "too_large"},
				{name: "a form", body: "amount=50.00", key: "x", headers: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, status: 415, code: "unsupported_media_type"},
				{name: "an unknown member", body: c.sale("50.00", `,"curency":"EUR"`), key: "x", status: 422, code: "validation_failed"},
				{name: "too many decimals", body: c.sale("50.001"), key: "x", status: 422, code: "validation_failed"},
				{name: "below zero", body: c.sale("-1.00"), key: "x", status: 422, code: "validation_failed"},
				{name: "scientific", body: c.sale("1e2"), key: "x", status: 422, code: "validation_failed"},
				{name: "nothing", body: c.sale("0.00"), key: "x", status: 422, code: "amount_out_of_range"},
				{name: "huge", body: c.sale("9999999999999999999"), key: "x", status: 422, code: "amount_out_of_range"},
				{name: "a card number", body: c.sale("50.00", `,"description":"4111 1111 1111 1111"`), key: "x", status: 422, code: "pan_not_allowed"},
				{name: "a security code", body: c.sale("50.00", `,"cvc":"123"`), key: "x", status: 422, code: "pan_not_allowed"},
				{name: "milliseconds", body: c.sale("50.00", `,"meta":{"at":"1767323045678","us":1767323045678901}`), key: "k7", status: 200},
				{name: "another currency", body: strings.Replace(c.sale("50.00"), "EUR", "USD", 1), key: "x", status: 422, code: "currency_not_supported"},
				{name: "no such way to pay", body: strings.Replace(c.sale("50.00"), "card", "cash", 1), key: "x", status: 422, code: "method_not_supported"},
				{name: "the key of what was refused", body: c.sale("50.00"), key: "x", status: 200},
			} {
				if tt.method == "" {
					tt.method = "POST"
				}
				if tt.path == "" {
					tt.path = "/v1/payments/init"
				}
				a := c.call(tt.method, tt.path, tt.body, tt.key, tt.headers)
				c.wants(tt.name, a, tt.status, tt.code)
				switch tt.name {
				case "another payment under the key":
					if fmt.Sprint(a.details()["differs"]) != "[amount]" {
						t.Errorf("%s: %v", tt.name, a.details())
					}
				case "an unknown member":
					f, _ := a.details()["fields"].([]any)
					if len(f) != 1 || f[0].(map[string]any)["path"] != "curency" || !strings.Contains(fmt.Sprint(f[0]), "did you mean currency?") {
						t.Errorf("%s: %v", tt.name, a.details())
					}
				case "too little money, again":
					if a.header.Get("Idempotent-Replayed") != "true" {
						t.Errorf("%s: %v", tt.name, a.header)
					}
				}
				if strings.Contains(a.body, "4111") {
					t.Errorf("%s: the card number comes back: %s", tt.name, a.body)
				}
			}

			// While the provider thinks, the same request is told to come again.
			c.control(`{"connector":"generic","next":"slow","operation":"sale","delay_ms":3000}`)
			type outcome struct {
				reply
				err error
			}
			ended := make(chan outcome, 1)
			go func() {
				first, err := c.ask("POST", "/v1/payments/init", c.sale("7.00"), "slow")
				ended <- outcome{first, err}
			}()
			met := false
			for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
				var first outcome
				select {
				case first = <-ended:
				default:
					if time.Now().After(end) {
						t.Fatalf("a slow payment has no answer in 20 s; the same request: %d %s", c.last.status, c.last.body)
					}
					if a := c.call("POST", "/v1/payments/init", c.sale("7.00"), "slow"); a.status == 409 {
						c.wants("the same request meanwhile", a, 409, "request_in_progress")
						met = true
					}
					continue
				}
				if first.err != nil {
					t.Fatalf("a slow payment: %v", first.err)
				}
				if first.status == 409 { // this one came first
					c.wants("the same request meanwhile", first.reply, 409, "request_in_progress")
					met = true
				}
				again := c.call("POST", "/v1/payments/init", c.sale("7.00"), "slow")
				if !met || again.status != 200 || again.body != first.body && first.status == 200 {
					t.Errorf("a slow payment = %d %s, then %d %s; the same request met it: %t", first.status, first.body, again.status, again.body, met)
				}
				break
			}

			c.control(`{"connector":"generic","next":"approve"}`)
			paid := c.call("POST", "/v1/payments/init", c.sale("5.00"), "paid").text("payment_id")
			for end := time.Now().Add(20 * time.Second); c.call("GET", "/v1/payments/"+paid, "", "").text("status") != "captured"; time.Sleep(20 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("a payment that the provider takes: %s", c.last.body)
				}
			}
			c.wants("more than was captured", c.call("POST", "/v1/payments/"+paid+"/refunds", `{"amount":"5.01","currency":"EUR"}`, "more"), 422, "refund_exceeds_captured")

			// The same facts in the form of RFC 9457, in the language that is asked for.
			a := c.call("GET", "/v1/payments/x", "", "", map[string]string{"Accept": "application/problem+json", "Accept-Language": "ru"})
			if a.status != 404 || !strings.HasPrefix(a.header.Get("Content-Type"), "application/problem+json") || a.text("type") != c.d.Public+"/v1/errors/not_found" ||
				a.text("detail") != "Такого объекта нет." || a.text("instance") != "urn:trace:"+a.header.Get("Aorta-Trace-Id") {
				t.Errorf("a problem = %d %v %s", a.status, a.header, a.body)
			}
			about := c.call("GET", strings.TrimPrefix(a.text("type"), c.d.Public), "", "", map[string]string{"Authorization": ""})
			if about.status != 200 || about.text("error") != "not_found" || about.text("todo") == "" {
				t.Errorf("its type = %d %s", about.status, about.body)
			}
		})
	}
}

// caller calls /v1 of a demo.
type caller struct {
	t    *testing.T
	d    *demo.Demo
	last reply
}

// reply is what a call was answered.
type reply struct {
	status int
	header http.Header
	body   string
	doc    map[string]any
}

func (r reply) text(name string) string { s, _ := r.doc[name].(string); return s }

func (r reply) details() map[string]any { d, _ := r.doc["details"].(map[string]any); return d }

func (c *caller) sale(amount string, more ...string) string {
	return `{"amount":"` + amount + `","currency":"EUR","method":"card"` + strings.Join(more, "") + `}`
}

func (c *caller) move(txn, amount string) string {
	return fmt.Sprintf(`{"txn_id":%q,"customer_id":"errors","amount":%q,"currency":"EUR"}`, txn, amount)
}

// client waits for an answer longer than any of them takes, and not for ever.
var client = http.Client{Timeout: 30 * time.Second}

// call makes a request with the demo's key, unless the headers say otherwise; an
// empty one takes a header away.
func (c *caller) call(method, path, body, key string, headers ...map[string]string) reply {
	c.t.Helper()
	out, err := c.ask(method, path, body, key, headers...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.last = out
	return out
}

// ask is call for any goroutine.
func (c *caller) ask(method, path, body, key string, headers ...map[string]string) (reply, error) {
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.d.Public+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	r.Header.Set("Authorization", "Bearer "+c.d.APIKey)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	for _, more := range headers {
		for name, value := range more {
			if r.Header.Set(name, value); value == "" {
				r.Header.Del(name)
			}
		}
	}
	resp, err := client.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	out := reply{status: resp.StatusCode, header: resp.Header, body: string(text)}
	if err == nil {
		err = json.Unmarshal(text, &out.doc)
	}
	if err != nil {
		return reply{}, fmt.Errorf("%s %s = %d %s: %w", method, path, resp.StatusCode, text, err)
	}
	return out, nil
}

// wants checks status and code of an answer, and what every error must have.
func (c *caller) wants(what string, a reply, status int, code string) {
	c.t.Helper()
	if a.status != status || a.text("error") != code {
		c.t.Errorf("%s = %d %s, want %d %s: %s", what, a.status, a.text("error"), status, code, a.body)
		return
	}
	if code == "" {
		return
	}
	trace := a.header.Get("Aorta-Trace-Id")
	if replayed := a.header.Get("Idempotent-Replayed") != ""; len(trace) != 32 || a.text("trace_id") != trace && !replayed || a.text("message") == "" || a.details() == nil {
		c.t.Errorf("%s: trace %q, %s", what, trace, a.body)
	}
	if wait := a.header.Get("Retry-After"); (wait == "") == slices.Contains([]string{"request_in_progress", "rate_limited"}, code) {
		c.t.Errorf("%s: Retry-After is %q", what, wait)
	}
}

func (c *caller) post(url, body string) []byte {
	c.t.Helper()
	resp, err := client.Post(url, "application/json", bytes.NewReader([]byte(body)))
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		c.t.Fatalf("%s %s = %d %s: %v", url, body, resp.StatusCode, text, err)
	}
	return text
}

func (c *caller) control(wish string) { c.t.Helper(); c.post(c.d.Sandbox+"/control", wish) }

// key makes an API key of the demo's project with one scope.
func (c *caller) key(scope string) string {
	c.t.Helper()
	var made struct{ Key string }
	text := c.post(c.d.Ops+"/admin/keys", fmt.Sprintf(`{"project":%d,"scopes":[%q]}`, c.d.Project.ID, scope))
	if err := json.Unmarshal(text, &made); err != nil || made.Key == "" {
		c.t.Fatalf("a new key: %s", text)
	}
	return made.Key
}
