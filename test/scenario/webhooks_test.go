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
	"strings"
	"testing"
	"time"

	"aorta/test/demo"
)

// TestWebhookEndpoints: a merchant makes an endpoint by /v1, takes a payment, has
// the webhook arrive, believes it by its secret, and finds it in the log.
func TestWebhookEndpoints(t *testing.T) {
	t.Parallel()
	for store, flags := range demo.Stores(t) {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			d := demo.Start(t, flags...)
			call := func(method, url, body string, into any, headers ...string) {
				t.Helper()
				r, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader([]byte(body)))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Content-Type", "application/json")
				for n := 0; n+1 < len(headers); n += 2 {
					r.Header.Set(headers[n], headers[n+1])
				}
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
				if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(text, into) != nil {
					t.Fatalf("%s %s = %d %s: %v", method, url, resp.StatusCode, text, err)
				}
			}
			bearer := "Bearer " + d.APIKey
			v1 := func(method, path, key, body string, into any) {
				t.Helper()
				call(method, d.Public+"/v1/"+path, body, into, "Authorization", bearer, "Idempotency-Key", key)
			}
			var made struct {
				ID     string `json:"endpoint_id"`
				Secret string `json:"secret"`
			}
			v1("POST", "webhook_endpoints", "hook", fmt.Sprintf(`{"url":%q,"events":["payment.captured"]}`, d.Sandbox+"/merchant/webhook/v1"), &made)
			if !strings.HasPrefix(made.Secret, "whsec_") {
				t.Fatalf("the endpoint is %+v", made)
			}
			var known map[string]any
			call("PUT", d.Sandbox+"/merchant/webhook-keys", fmt.Sprintf(`{"receiver":"v1","keys":[%q]}`, made.Secret), &known)

			var begun struct {
				ID string `json:"payment_id"`
			}
			v1("POST", "payments/init", "pay", `{"amount":"50.00","currency":"EUR","method":"card","return_url":"https://shop.example/"}`, &begun)
			news := fmt.Sprintf(`{"event_id":"evt_w","payment_id":%q,"status":"captured","amount":"50.00","currency":"EUR","timestamp":%q}`, begun.ID, time.Now().UTC().Format(time.RFC3339))
			mac := hmac.New(sha256.New, []byte(d.Project.Secret))
			mac.Write([]byte(news))
			var taken map[string]any
			call("POST", d.Public+"/v1/payments/webhook", news, &taken, "X-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))

			type log struct {
				Data []struct {
					WebhookID string `json:"webhook_id"`
					Type      string `json:"type"`
					PaymentID string `json:"payment_id"`
					State     string `json:"state"`
					Status    int    `json:"last_status"`
				} `json:"data"`
			}
			var got []struct {
				ID    string `json:"id"`
				Type  string `json:"type"`
				Valid bool   `json:"valid_signature"`
			}
			var shown log
			for end := time.Now().Add(20 * time.Second); len(got) == 0 || len(shown.Data) == 0; time.Sleep(20 * time.Millisecond) {
				call("GET", d.Sandbox+"/merchant/webhooks?receiver=v1&payment_id="+begun.ID, "", &got)
				shown = log{}
				v1("GET", "webhook_endpoints/"+made.ID+"/deliveries?state=delivered", "", "", &shown)
				if time.Now().After(end) {
					t.Fatalf("the merchant has %v, the log %v", got, shown)
				}
			}
			if got[0].Type != "payment.captured" || !got[0].Valid {
				t.Errorf("the merchant has %+v", got)
			}
			if row := shown.Data[0]; len(shown.Data) != 1 || row.Type != "payment.captured" || row.PaymentID != begun.ID || row.WebhookID != got[0].ID || row.Status/100 != 2 {
				t.Errorf("the log is %+v", shown)
			}
		})
	}
}
