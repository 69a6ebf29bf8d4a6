package sdk

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"aorta/internal/sign"
)

// TestWebhookGuide runs the receivers of docs/webhooks.md as a reader would: they
// are copied and pasted, and given genuine messages, a repeat and forgeries.
func TestWebhookGuide(t *testing.T) {
	node := needsNode(t)
	guide, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```js\n(.*?)```").FindAllSubmatch(guide, -1)
	if len(examples) != 2 {
		t.Fatalf("there are %d receivers, want 2", len(examples))
	}
	for n, example := range examples {
		t.Run(fmt.Sprint(n), func(t *testing.T) { receives(t, node, string(example[1])) })
	}
}

func receives(t *testing.T, node, text string) {
	packages, err := filepath.Abs("../npm/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	key, other := sign.NewWebhookKey([32]byte{1}), sign.NewWebhookKey([32]byte{2})
	ctx, stop := context.WithCancel(t.Context())
	command := exec.CommandContext(ctx, node, "-e", text)
	command.Env = append(os.Environ(), "NODE_PATH="+packages, "WEBHOOK_SECRET="+key.Reveal(), "PORT="+address[strings.LastIndexByte(address, ':')+1:])
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := func() { stop(); _ = command.Wait() }
	defer ended()
	body := `{"type":"payment.captured","timestamp":"2025-10-17T09:41:00Z","data":{"payment_id":"pay_1","status":"captured"}}`
	for _, c := range []struct {
		name, id, body string
		age            time.Duration
		keys           []sign.WebhookKey
		want           int
	}{
		{"genuine", "evt_1", body, 0, []sign.WebhookKey{key}, 204},
		{"repeated", "evt_1", body, 0, []sign.WebhookKey{key}, 204},
		{"of two secrets", "evt_2", body, 0, []sign.WebhookKey{other, key}, 204},
		{"changed", "evt_3", body + " ", 0, []sign.WebhookKey{key}, 401},
		{"of another secret", "evt_4", body, 0, []sign.WebhookKey{other}, 401},
		{"old", "evt_5", body, 10 * time.Minute, []sign.WebhookKey{key}, 401},
	} {
		at := time.Now().Add(-c.age).Unix() //nolint:forbidigo // the receiver has the machine's clock
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/hook", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(sign.WebhookID, c.id)
		req.Header.Set(sign.WebhookTimestamp, fmt.Sprint(at))
		req.Header.Set(sign.WebhookSignature, sign.SignWebhook(c.id, at, []byte(body), c.keys...))
		if got := post(t, req); got != c.want {
			t.Errorf("a message that is %s was answered %d, want %d", c.name, got, c.want)
		}
	}
	ended()
	if got := strings.Count(out.String(), "payment.captured pay_1 captured"); got != 2 {
		t.Errorf("the receiver has acted %d times on two messages: %s", got, out.Bytes())
	}
}

// post waits until the receiver, which is another process, listens.
func post(t *testing.T, req *http.Request) int {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) { //nolint:forbidigo // as above
		answer, err := http.DefaultClient.Do(req.Clone(req.Context()))
		if err == nil {
			answer.Body.Close()
			return answer.StatusCode
		}
		if time.Now().After(deadline) { //nolint:forbidigo // as above
			t.Fatalf("the receiver does not listen: %v", err)
		}
		body, err := req.GetBody()
		if err != nil {
			t.Fatal(err)
		}
		req.Body = body
	}
}
