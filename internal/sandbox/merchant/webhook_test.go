package merchant_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"aorta/internal/sandbox/fault"
	"aorta/internal/sandbox/merchant"
	"aorta/internal/sign"
)

// TestWebhooks: what a receiver gets is verified with its own keys, recorded,
// found by either name of the payment, and there after a restart.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_760_694_060, 0)
	clock := func() time.Time { return now }
	var kept [][]byte
	faults := &fault.Queue{}
	m, err := merchant.New("secret", clock, merchant.Options{Faults: faults, Append: func(line []byte) error {
		kept = append(kept, bytes.Clone(line))
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	call := func(method, path, body string, h http.Header) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, bytes.NewReader([]byte(body)))
		for name, values := range h {
			r.Header[name] = values
		}
		w := httptest.NewRecorder()
		m.ServeHTTP(w, r)
		return w
	}
	old, fresh := sign.NewWebhookKey([32]byte{1}), sign.NewWebhookKey([32]byte{2})
	for receiver, k := range map[string]sign.WebhookKey{"": fresh, "old": old} {
		text, err := json.Marshal(map[string]any{"receiver": receiver, "keys": []string{k.Reveal()}})
		if err != nil {
			t.Fatal(err)
		}
		if w := call("PUT", "/merchant/webhook-keys", string(text), nil); w.Code != http.StatusOK {
			t.Fatalf("keys of %q: %d", receiver, w.Code)
		}
	}
	body := `{"type":"payment.captured","data":{"payment_id":"pay_1","merchant_payment_id":"order-1"}}`
	signed := func(at int64, keys ...sign.WebhookKey) http.Header {
		h := http.Header{}
		h.Set(sign.WebhookID, "evt_1")
		h.Set(sign.WebhookTimestamp, fmt.Sprint(at))
		h.Set(sign.WebhookSignature, sign.SignWebhook("evt_1", at, []byte(body), keys...))
		return h
	}
	for _, f := range []fault.Behaviour{fault.HTTP429, fault.HTTP410} {
		if err := faults.Add(fault.Rule{Next: f, Operation: "webhook", Left: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for n, c := range []struct {
		path   string
		header http.Header
		answer int
		valid  bool
	}{
		{"/merchant/webhook", signed(now.Unix(), fresh, old), 429, true},
		{"/merchant/webhook/old", signed(now.Unix(), fresh, old), 410, true},
		{"/merchant/webhook/old", signed(now.Unix(), fresh), 200, false},
		{"/merchant/webhook", signed(now.Unix()-301, fresh), 200, false},
		{"/merchant/webhook/nobody", signed(now.Unix(), fresh), 200, false},
	} {
		w := call("POST", c.path, body, c.header)
		if w.Code != c.answer || (c.answer == 429) != (w.Header().Get("Retry-After") != "") {
			t.Errorf("message %d: %d %v, want %d", n, w.Code, w.Header(), c.answer)
		}
		all := m.Webhooks("", nil)
		if last := all[len(all)-1]; len(all) != n+1 || last.ValidSignature != c.valid || last.Answer != c.answer || last.ID != "evt_1" || last.Type != "payment.captured" || last.Raw != body {
			t.Errorf("message %d is recorded as %+v", n, last)
		}
	}
	again, err := merchant.New("secret", clock, merchant.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range kept {
		if err := again.Load(line); err != nil {
			t.Fatal(err)
		}
	}
	dumped := 0
	if err := again.Dump(func([]byte) error { dumped++; return nil }); err != nil || dumped != 6 {
		t.Errorf("after a restart it dumps %d lines, %v; want 5 and the keys", dumped, err)
	}
	receiver := "old"
	for _, m := range []*merchant.Merchant{m, again} {
		if got := m.Webhooks("order-1", &receiver); len(got) != 2 || len(m.Webhooks("pay_1", nil)) != 5 || len(m.Webhooks("order-2", nil)) != 0 || len(m.Callbacks("")) != 0 {
			t.Errorf("of the payment at %q: %d", receiver, len(got))
		}
	}
}
