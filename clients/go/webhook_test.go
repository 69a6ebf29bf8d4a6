package aorta_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	aorta "aorta/clients/go"
)

// vectors are the cases of Standard Webhooks, made with the official libraries.
type vectors struct {
	Verify []struct {
		Name, Secret, Expect string
		Headers              map[string]string
		Payload              []byte `json:"payload_base64"`
		Now                  int64
	}
	Sign, Asymmetric []struct {
		Name, Secret string
		Public       string `json:"public_key"`
		Text         string `json:"payload"`
		Payload      []byte `json:"payload_base64"`
		ID           string `json:"webhook_id"`
		Signature    string `json:"webhook_signature"`
		Timestamp    int64  `json:"webhook_timestamp"`
	}
	Secrets []struct {
		Secret string
		Rule   string `json:"rule_for_us"`
	}
}

func readVectors(t *testing.T) (v vectors) {
	t.Helper()
	text, err := os.ReadFile("../../internal/sign/testdata/standard-webhooks.json")
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil || len(v.Verify) != 25 || len(v.Sign) != 14 || len(v.Asymmetric) != 2 || len(v.Secrets) != 8 {
		t.Fatalf("%d, %d, %d and %d vectors, %v", len(v.Verify), len(v.Sign), len(v.Asymmetric), len(v.Secrets), err)
	}
	return v
}

// believed verifies a message at a time. What is genuine may still be no JSON.
func believed(t *testing.T, now int64, header http.Header, body []byte, secrets ...string) bool {
	t.Helper()
	r, err := aorta.NewReceiver(secrets...)
	if err != nil {
		t.Fatal(err)
	}
	m, err := aorta.VerifyAt(r, header, body, time.Unix(now, 0))
	if err == nil && m.ID != header.Get("webhook-id") {
		t.Errorf("the message is %+v", m)
	}
	return !errors.Is(err, aorta.ErrNotGenuine)
}

// believedID verifies a message that is signed right, under an id.
func believedID(t *testing.T, now int64, h http.Header, id string, body []byte, secret string) bool {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.%s", id, now, body)
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", fmt.Sprint(now))
	h.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return believed(t, now, h, body, secret)
}

func headers(of map[string]string) http.Header {
	h := http.Header{}
	for name, value := range of {
		h.Set(name, value)
	}
	return h
}

func TestWebhookVectors(t *testing.T) {
	t.Parallel()
	v := readVectors(t)
	for _, c := range v.Verify {
		if got := believed(t, c.Now, headers(c.Headers), c.Payload, c.Secret); got != (c.Expect == "accept") {
			t.Errorf("%s: genuine is %t, want %s", c.Name, got, c.Expect)
		}
	}
	for _, c := range append(v.Sign, v.Asymmetric...) {
		secret, body := c.Secret, c.Payload
		if c.Public != "" {
			secret, body = c.Public, []byte(c.Text)
		}
		h := headers(map[string]string{"webhook-id": c.ID, "webhook-timestamp": fmt.Sprint(c.Timestamp), "webhook-signature": c.Signature})
		if got := believed(t, c.Timestamp, h, body, secret); !got {
			t.Errorf("%s is not believed", c.Name)
		}
		if believed(t, c.Timestamp, h, append(bytes.Clone(body), ' '), secret) {
			t.Errorf("%s is believed with another body", c.Name)
		}
	}
	for _, c := range v.Secrets {
		if _, err := aorta.NewReceiver(c.Secret); (err == nil) != (c.Rule == "accept") {
			t.Errorf("secret %q: %v, want %s", c.Secret, err, c.Rule)
		}
	}
}

func TestReceiver(t *testing.T) {
	t.Parallel()
	c := readVectors(t).Verify[0]
	other := "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 32))
	if !believed(t, c.Now, headers(c.Headers), c.Payload, other, c.Secret) {
		t.Error("the second of two secrets is not tried")
	}
	if believed(t, c.Now, headers(c.Headers), c.Payload, other) {
		t.Error("another secret will do")
	}
	for _, name := range []string{"webhook-id", "webhook-timestamp", "webhook-signature"} {
		twice := headers(c.Headers)
		twice.Add(name, c.Headers[name])
		if believed(t, c.Now, twice, c.Payload, c.Secret) {
			t.Errorf("%s may be there twice", name)
		}
	}
	if !believedID(t, c.Now, headers(c.Headers), "evt_1", c.Payload, c.Secret) {
		t.Error("the test does not sign right")
	}
	for _, id := range []string{"evt.1", strings.Repeat("e", 129)} {
		if h := headers(c.Headers); believedID(t, c.Now, h, id, c.Payload, c.Secret) {
			t.Errorf("a webhook-id may be %q", id)
		}
	}
	for _, secrets := range [][]string{nil, {other, "x"}, {"whpk_" + base64.StdEncoding.EncodeToString(make([]byte, 31))}, {other + "\n"}} {
		if _, err := aorta.NewReceiver(secrets...); !errors.Is(err, aorta.ErrWebhookSecret) {
			t.Errorf("NewReceiver(%q) = %v", secrets, err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Unix(c.Now, 0))) // a bubble's clock begins in the year 2000
		r, err := aorta.NewReceiver(c.Secret)
		if err != nil {
			t.Fatal(err)
		}
		request := func(body []byte) *http.Request {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://shop.example/hooks", bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header = headers(c.Headers)
			return req
		}
		m, err := r.Receive(request(c.Payload))
		if err != nil || m.Type != aorta.EventTypePaymentCaptured || m.Data.PaymentID != "pay_123" || string(m.Raw) != `{"payment_id":"pay_123"}` {
			t.Errorf("Receive = %+v, %v", m, err)
		}
		if _, err := r.Receive(request(make([]byte, 1<<20+1))); !errors.Is(err, aorta.ErrNotGenuine) {
			t.Errorf("a message that is too large: %v", err)
		}
	})
}
