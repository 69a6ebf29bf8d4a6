package sdk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"aorta/test/demo"
	"aorta/test/scenario"
	"aorta/test/scenario/testdb"
)

// received is a webhook as the sandbox's merchant has it.
type received struct {
	ReceivedAt     time.Time         `json:"received_at"`
	Receiver       string            `json:"receiver"`
	ID             string            `json:"id"`
	Type           string            `json:"type"`
	Headers        map[string]string `json:"headers"`
	Raw            string            `json:"raw"`
	ValidSignature bool              `json:"valid_signature"`
	Answer         int               `json:"answer"`
}

// endpoint is one as an operator sees it.
type endpoint struct {
	ID     string `json:"id"`
	State  string `json:"state"`
	Secret string `json:"secret"`
}

// hooks is a demo with endpoints at its merchant.
type hooks struct {
	*scenario.Demo
	t *testing.T
}

func (h hooks) call(method, url string, body, into any) {
	h.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		h.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(h.t.Context(), method, url, bytes.NewReader(text))
	if err != nil {
		h.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		h.t.Fatalf("%s %s: %s", method, url, resp.Status)
	}
	if into != nil {
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			h.t.Fatal(err)
		}
	}
}

// endpoint makes one at a receiver of the merchant, who knows the key.
func (h hooks) endpoint(receiver string, types ...string) endpoint {
	h.t.Helper()
	var e endpoint
	h.call("POST", h.Ops+"/admin/endpoints", map[string]any{"project": 200, "url": h.Sandbox + "/merchant/webhook/" + receiver, "types": types}, &e)
	h.knows(receiver, e.Secret)
	return e
}

func (h hooks) knows(receiver string, keys ...string) {
	h.t.Helper()
	h.call("PUT", h.Sandbox+"/merchant/webhook-keys", map[string]any{"receiver": receiver, "keys": keys}, nil)
}

func (h hooks) received(receiver string) (out []received) {
	h.t.Helper()
	if err := scenario.Get(h.t.Context(), h.Sandbox+"/merchant/webhooks?receiver="+receiver, &out); err != nil {
		h.t.Fatal(err)
	}
	return out
}

// await waits until a receiver has n webhooks, the last of them answered as it wants.
func (h hooks) await(receiver string, n, answer int) []received {
	h.t.Helper()
	var got []received
	for deadline := time.Now().Add(40 * time.Second); time.Now().Before(deadline); time.Sleep(25 * time.Millisecond) {
		if got = h.received(receiver); len(got) >= n && got[len(got)-1].Answer == answer {
			return got
		}
	}
	h.t.Fatalf("receiver %s has %d webhooks, want %d: %+v", receiver, len(got), n, got)
	return nil
}

func (h hooks) sale(paymentID string) {
	h.t.Helper()
	h.Control("paytm", "approve", "sale", 1)
	if status, answer := h.Gate("/v2/payment/wallet/paytm/sale", scenario.Sale(paymentID, 2500)); status != http.StatusOK {
		h.t.Fatalf("sale: %d %v", status, answer)
	}
	h.Await(paymentID, "success/sale success 0")
}

// judged has the official library verify webhooks with a key.
func (h hooks) judged(node, secret string, all []received) {
	h.t.Helper()
	messages := make([]webhookMessage, len(all))
	for n, w := range all {
		at, err := strconv.ParseInt(w.Headers["Webhook-Timestamp"], 10, 64)
		if err != nil {
			h.t.Fatal(err)
		}
		if skew := w.ReceivedAt.Sub(time.Unix(at, 0)); skew < -2*time.Second || skew > 16*time.Second {
			h.t.Errorf("webhook %s was signed %v before it came", w.ID, skew)
		}
		messages[n] = webhookMessage{Secret: secret, ID: w.ID, Timestamp: at, Body: w.Raw, Signature: w.Headers["Webhook-Signature"]}
	}
	for n, v := range askWebhookJudge(h.t, node, messages) {
		if v.Error != "" || !all[n].ValidSignature {
			h.t.Errorf("webhook %d (%s) to %s: the library says %q, the merchant %t", n, all[n].ID, all[n].Receiver, v.Error, all[n].ValidSignature)
		}
	}
}

// TestWebhooks: the built binary tells endpoints of a merchant, on both stores,
// and the official library believes every message.
func TestWebhooks(t *testing.T) {
	node := needsNode(t)
	for _, store := range []string{"sqlite", "postgres"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			database := ""
			if store == "postgres" {
				database = testdb.New(t)
			}
			// A schedule of 76 hours in five seconds.
			h := hooks{scenario.Start(t, database, "--lookup-schedule", "300ms,500ms", "--callback-unit", "200us"), t}
			h.retries(node)
			h.rotation(node)
			h.gone(node)
			h.Verify()
		})
	}
}

// retries: nine failures and a success are one id and the same bytes, each signed
// anew; another endpoint is not disturbed, and one hears what it asked for alone.
func (h hooks) retries(node string) {
	h.t.Helper()
	flaky := h.endpoint("flaky", "payment.captured")
	h.Control("merchant", "http_500", "webhook", 4)
	h.Control("merchant", "http_429", "webhook", 2)
	h.Control("merchant", "redirect", "webhook", 3)
	h.sale("retried")
	got := h.await("flaky", 10, http.StatusOK)
	if len(got) != 10 {
		h.t.Errorf("%d tries, want 10", len(got))
	}
	for n, w := range got {
		if w.ID != got[0].ID || w.Raw != got[0].Raw || w.Type != "payment.captured" || w.Headers["Aorta-Delivery-Attempt"] != fmt.Sprint(n+1) {
			h.t.Errorf("try %d is %s %s %s", n+1, w.ID, w.Type, w.Headers["Aorta-Delivery-Attempt"])
		}
	}
	h.judged(node, flaky.Secret, got)
	steady := h.endpoint("steady")
	h.sale("steady")
	h.judged(node, steady.Secret, h.await("steady", 2, http.StatusOK))
	types := []string{}
	for _, w := range h.received("steady") {
		types = append(types, w.Type)
	}
	slices.Sort(types)
	if fmt.Sprint(types) != "[payment.captured payment.pending]" {
		h.t.Errorf("the endpoint that hears all heard %v", types)
	}
	if got := h.received("flaky"); len(got) != 11 {
		h.t.Errorf("the endpoint of captures has %d webhooks, want 11", len(got))
	}
}

// rotation: while two keys are valid, who knows only the old one and who knows
// only the new one both verify every message.
func (h hooks) rotation(node string) {
	h.t.Helper()
	e := h.endpoint("rotated", "payment.captured")
	var fresh endpoint
	h.call("POST", h.Ops+"/admin/endpoints/"+e.ID+"/rotate", map[string]any{"overlap_hours": 1}, &fresh)
	if fresh.Secret == "" || fresh.Secret == e.Secret {
		h.t.Fatal("a rotation shows no new key")
	}
	h.sale("rotated") // the receiver still knows the old key alone
	h.judged(node, e.Secret, h.await("rotated", 1, http.StatusOK))
	h.knows("rotated", fresh.Secret)
	h.sale("rotated-2")
	got := h.await("rotated", 2, http.StatusOK)
	h.judged(node, fresh.Secret, got[1:])
}

// gone: an endpoint that says so is disabled; what waits for it is sent by
// `aorta replay` after somebody has enabled it.
func (h hooks) gone(node string) {
	h.t.Helper()
	e := h.endpoint("gone", "payment.captured")
	path := h.Ops + "/admin/endpoints/" + e.ID
	h.call("POST", path+"/test", nil, nil)
	h.await("gone", 1, http.StatusOK)
	h.Control("merchant", "http_410", "webhook", 1)
	h.call("POST", path+"/test", nil, nil)
	h.await("gone", 2, http.StatusGone)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(25 * time.Millisecond) {
		var now endpoint
		h.call("GET", path, nil, &now)
		if now.State == "disabled" {
			break
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("after 410 the endpoint is %s", now.State)
		}
	}
	h.sale("parked")
	var log struct {
		Deliveries []struct{ State, Type string }
	}
	h.call("GET", path+"/deliveries?state=parked", nil, &log)
	if len(log.Deliveries) != 2 || len(h.received("gone")) != 2 {
		h.t.Errorf("%d parked, want 2: %v", len(log.Deliveries), log.Deliveries)
	}
	h.call("PATCH", path, map[string]any{"enabled": true}, nil)
	replay := exec.CommandContext(h.t.Context(), demo.Binary(h.t), "replay", "webhooks", "--endpoint", e.ID, "--type", "payment.captured", "--ops", h.Ops)
	replay.Env = append(os.Environ(), "AORTA_OPS_TOKEN=")
	if out, err := replay.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("1")) {
		h.t.Errorf("aorta replay: %v: %s", err, out)
	}
	got := h.await("gone", 3, http.StatusOK)
	if len(got) != 3 || got[2].Type != "payment.captured" {
		h.t.Errorf("replayed %+v", got[2:])
	}
	h.judged(node, e.Secret, got)
}
