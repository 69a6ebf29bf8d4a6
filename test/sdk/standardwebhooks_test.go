package sdk

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"aorta/internal/sign"
)

// webhookMessage is a message as the judge reads it.
type webhookMessage struct {
	Secret    string `json:"secret"`
	ID        string `json:"id"`
	Timestamp int64  `json:"timestamp"`
	Body      string `json:"body"`
	Signature string `json:"signature"`
}

type webhookVerdict struct{ Error, Signature string }

// TestStandardWebhooks: the official library believes what package sign signs and nothing that was changed after
// that, and package sign believes the library.
func TestStandardWebhooks(t *testing.T) {
	node := needsNode(t)
	bodies := []string{
		`{"type":"payment.captured","timestamp":"2025-10-17T09:41:00Z","data":{"amount":"50.00"}}`, `{"name":"भुगतान 💳"}`, "{}\n", `{"a":"\u0000"}`,
	}
	var messages []webhookMessage
	for n := range 200 {
		var random [32]byte
		binary.BigEndian.PutUint64(random[:], mathrand.Uint64())
		key, other := sign.NewWebhookKey(random), sign.NewWebhookKey([32]byte{byte(n)})
		m := webhookMessage{
			Secret: key.Reveal(), ID: fmt.Sprintf("evt_%026d", n), Timestamp: 1760694060 + mathrand.Int64N(1e8), Body: bodies[n%len(bodies)],
		}
		m.Signature = sign.SignWebhook(m.ID, m.Timestamp, []byte(m.Body), key)
		messages = append(messages, m)
		rotating := m
		rotating.Signature = sign.SignWebhook(m.ID, m.Timestamp, []byte(m.Body), other, key)
		messages = append(messages, rotating)
		changed := m
		changed.Body = " " + m.Body
		messages = append(messages, changed)
	}
	for n, v := range askWebhookJudge(t, node, messages) {
		m := messages[n]
		if genuine := n%3 != 2; (v.Error == "") != genuine {
			t.Fatalf("message %d (genuine: %t): the library says %q", n, genuine, v.Error)
		}
		h := http.Header{}
		h.Set(sign.WebhookID, m.ID)
		h.Set(sign.WebhookTimestamp, fmt.Sprint(m.Timestamp))
		h.Set(sign.WebhookSignature, v.Signature)
		key, err := sign.ParseWebhookKey(m.Secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := sign.VerifyWebhook(h.Values, []byte(m.Body), time.Unix(m.Timestamp, 0), key); err != nil {
			t.Fatalf("message %d, signed by the library: %v", n, err)
		}
	}
}

// askWebhookJudge has the library verify messages.
func askWebhookJudge(t *testing.T, node string, messages []webhookMessage) []webhookVerdict {
	t.Helper()
	given, err := json.Marshal(messages)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "standardwebhooks.cjs")
	cmd.Stdin = bytes.NewReader(given)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("standardwebhooks.cjs: %v\n%s", err, stderr.Bytes())
	}
	var verdicts []webhookVerdict
	if err := json.Unmarshal(out, &verdicts); err != nil || len(verdicts) != len(messages) {
		t.Fatalf("standardwebhooks.cjs printed %d verdicts for %d messages: %v", len(verdicts), len(messages), err)
	}
	return verdicts
}
