package scenario_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"aorta/test/demo"
)

// TestNativeAPI: the examples of payment-loop.md L11, letter for letter, against
// the demo, with what its --json line tells and nothing else.
func TestNativeAPI(t *testing.T) {
	t.Parallel()
	for store, flags := range demo.Stores(t) {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			d := demo.Start(t, flags...)
			call := func(method, path, body string, headers map[string]string) (int, map[string]any) {
				t.Helper()
				r, err := http.NewRequestWithContext(t.Context(), method, d.Public+path, bytes.NewReader([]byte(body)))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Content-Type", "application/json")
				for name, value := range headers {
					r.Header.Set(name, value)
				}
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				text, err := io.ReadAll(resp.Body)
				var out map[string]any
				if err != nil || json.Unmarshal(text, &out) != nil {
					t.Fatalf("%s %s = %d %s: %v", method, path, resp.StatusCode, text, err)
				}
				return resp.StatusCode, out
			}
			key := map[string]string{"Authorization": "Bearer " + d.APIKey}
			with := func(name string) map[string]string {
				return map[string]string{"Authorization": "Bearer " + d.APIKey, "Idempotency-Key": name}
			}
			begin := `{"amount":"50.00","currency":"EUR","method":"card","return_url":"https://shop.example/","meta":{"country":"FI","device":"ios"}}`
			status, first := call("POST", "/v1/payments/init", begin, with("one"))
			pay, _ := first["payment_id"].(string)
			if status != 200 || first["status"] != "pending" || first["redirect_url"] == nil || pay == "" {
				t.Fatalf("init = %d %v", status, first)
			}
			if status, again := call("POST", "/v1/payments/init", begin, with("one")); status != 200 || fmt.Sprint(again) != fmt.Sprint(first) {
				t.Errorf("init again = %d %v, want %v", status, again, first)
			}
			news := fmt.Sprintf(`{"event_id":"evt_1","payment_id":%q,"status":"captured","amount":"50.00","currency":"EUR","timestamp":%q}`, pay, time.Now().UTC().Format(time.RFC3339))
			mac := hmac.New(sha256.New, []byte(d.Project.Secret))
			mac.Write([]byte(news))
			signature := "sha256=" + hex.EncodeToString(mac.Sum(nil))
			if status, out := call("POST", "/v1/payments/webhook", news+" ", map[string]string{"X-Signature": signature}); status != 401 || out["error"] != "invalid_signature" {
				t.Errorf("a webhook of other bytes = %d %v", status, out)
			}
			for range 2 {
				if status, out := call("POST", "/v1/payments/webhook", news, map[string]string{"X-Signature": signature}); status != 200 {
					t.Errorf("webhook = %d %v", status, out)
				}
			}
			for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
				_, got := call("GET", "/v1/payments/"+pay, "", key)
				if got["status"] == "captured" {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("after the webhook: %v", got)
				}
			}
			_, got := call("GET", "/v1/payments/"+pay, "", key)
			if wallet := got["customer_id"] == "demo"; !wallet {
				t.Errorf("the payment is %v, want one of the key's default customer", got)
			}
			status, balances := call("GET", "/v1/customers/demo", "", key)
			if status == 404 {
				return // the demo's project keeps no wallets
			}
			if list, _ := balances["balances"].([]any); len(list) != 1 || list[0].(map[string]any)["available"] != "50.00" {
				t.Errorf("the customer has %v", balances)
			}
			credit := fmt.Sprintf(`{"payment_id":%q,"txn_id":"txn_1","amount":"50.00","idempotency_key":"credit"}`, pay)
			if status, out := call("POST", "/v1/wallet/credit", credit, key); status != 200 || out["available"] != "50.00" || out["kind"] != "deposit" {
				t.Errorf("wallet/credit = %d %v", status, out)
			}
		})
	}
}
