package gate_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"aorta/internal/sign"
)

var paths = []string{salePath, refundPath, "/v2/payment/card/refund", statusPath, requestStatusPath}

// FuzzBody: whatever is sent, the answer is a JSON object with a text "status" or
// a signed document, and never an error of ours.
func FuzzBody(f *testing.F) {
	for _, body := range []string{
		``, `{}`, `[]`, `null`, `{"general":{}}`, saleBody, statusBody, signed(saleBody), signed(statusBody),
		`{"general":{"project_id":200,"payment_id":"a","signature":"x"}}`, `{"general":{"project_id":1e400}}`, `{"general":{"project_id":-0}}`,
		`{"project_id":200,"request_id":"0123456789abcdef0123456789abcdef-00000001","signature":"x"}`,
	} {
		for n := range paths {
			f.Add(n, body)
		}
	}
	f.Fuzz(func(t *testing.T, n int, body string) {
		h := newHouse(t)
		sane(t, h, paths[uint(n)%uint(len(paths))], body)
	})
}

// FuzzSigned: the same behind the signature, with any texts and numbers in the
// members that are read; and whatever is accepted can be told to the merchant.
func FuzzSigned(f *testing.F) {
	f.Add("gate-1", "12345", "tea", "https://shop.example/callback", "r-1", int64(250), "INR", "192.0.2.10")
	f.Add("a;b", "1;payment:amount:3", "x;payment:amount:1", "javascript:1", "\x00", int64(-1), "inr", "::1%eth0")
	f.Add("\u2028", "é", "two; teas", "https://a:b@c/", ";", int64(1)<<53, "", "1")
	f.Fuzz(func(t *testing.T, paymentID, customerID, description, url, refundID string, amount int64, currency, ip string) {
		body := func(v any) string {
			text, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			doc, err := sign.ParseJSON(text)
			if err != nil {
				return string(text)
			}
			signature, _ := json.Marshal(sign.Sign(doc, sign.NewSecret(secret)))
			return strings.Replace(string(text), `"general":{`, `"general":{"signature":`+string(signature)+`,`, 1)
		}
		type members = map[string]any
		h := newHouse(t)
		h.psp.page = len(description)%2 == 1
		general := members{"project_id": 200, "payment_id": paymentID, "merchant_callback_url": url}
		customer := members{"id": customerID, "ip_address": ip, "first_name": description, "phone": refundID}
		sane(t, h, salePath, body(members{
			"general": general, "customer": customer,
			"payment": members{"amount": amount, "currency": currency, "description": description}, "return_url": members{"success": url},
		}))
		if h.psp.page && len(h.callbacks) > 0 {
			h.pay(paymentID, true)
		}
		refund := members{"description": description, "merchant_refund_id": refundID, "amount": amount, "currency": currency}
		sane(t, h, refundPath, body(members{"general": members{"project_id": 200, "payment_id": paymentID}, "payment": refund}))
		sane(t, h, statusPath, body(members{"general": members{"project_id": 200, "payment_id": strings.ToUpper(paymentID)}}))
	})
}

// sane posts and checks what holds for every answer. The house's settle renders
// and verifies the callbacks.
func sane(t *testing.T, h *house, path, body string) {
	t.Helper()
	before := h.rows()
	w := h.post(path, body)
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("POST %s %q = %d %q: %v", path, body, w.Code, w.Body, err)
	}
	status, _ := got["status"].(string)
	_, isDocument := got["signature"].(string)
	switch {
	case w.Code == http.StatusOK && (status == "success" || isDocument):
	case w.Code >= 400 && w.Code < 500 && status == "error":
		if after := h.rows(); after != before {
			t.Errorf("POST %s %q = %d stored %d rows", path, body, w.Code, after-before)
		}
	default:
		t.Fatalf("POST %s %q = %d %s", path, body, w.Code, w.Body)
	}
	h.settle()
}
