package sign_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"aorta/internal/sign"
)

// webhookVectors are testdata/standard-webhooks.json, as it was made with the
// official Go library and compared with the official JavaScript one.
type webhookVectors struct {
	Sign []struct {
		Name             string `json:"name"`
		Secret           string `json:"secret"`
		WebhookID        string `json:"webhook_id"`
		WebhookTimestamp int64  `json:"webhook_timestamp"`
		PayloadBase64    []byte `json:"payload_base64"`
		WebhookSignature string `json:"webhook_signature"`
	} `json:"sign"`
	Verify []struct {
		Name          string            `json:"name"`
		Secret        string            `json:"secret"`
		Headers       map[string]string `json:"headers"`
		PayloadBase64 []byte            `json:"payload_base64"`
		Now           int64             `json:"now"`
		Expect        string            `json:"expect"`
	} `json:"verify"`
	Secrets []struct {
		Secret    string `json:"secret"`
		Note      string `json:"note"`
		RuleForUs string `json:"rule_for_us"`
	} `json:"secrets"`
	Asymmetric []struct {
		Name             string `json:"name"`
		SecretKey        string `json:"secret_key"`
		PublicKey        string `json:"public_key"`
		WebhookID        string `json:"webhook_id"`
		WebhookTimestamp int64  `json:"webhook_timestamp"`
		Payload          string `json:"payload"`
		WebhookSignature string `json:"webhook_signature"`
	} `json:"asymmetric"`
}

func readWebhookVectors(t *testing.T) webhookVectors {
	t.Helper()
	text, err := os.ReadFile("testdata/standard-webhooks.json")
	if err != nil {
		t.Fatal(err)
	}
	var v webhookVectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Sign) != 14 || len(v.Verify) != 25 || len(v.Secrets) != 8 || len(v.Asymmetric) != 2 {
		t.Fatalf("there are %d, %d, %d and %d cases, want 14, 25, 8 and 2", len(v.Sign), len(v.Verify), len(v.Secrets), len(v.Asymmetric))
	}
	return v
}

func mustKey(t *testing.T, text string) sign.WebhookKey {
	t.Helper()
	k, err := sign.ParseWebhookKey(text)
	if err != nil {
		t.Fatalf("ParseWebhookKey: %v", err)
	}
	return k
}

func TestSignWebhook(t *testing.T) {
	t.Parallel()
	for _, c := range readWebhookVectors(t).Sign {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			if got := sign.SignWebhook(c.WebhookID, c.WebhookTimestamp, c.PayloadBase64, mustKey(t, c.Secret)); got != c.WebhookSignature {
				t.Errorf("SignWebhook = %q, want %q", got, c.WebhookSignature)
			}
		})
	}
}

func TestVerifyWebhook(t *testing.T) {
	t.Parallel()
	want := map[string]error{
		"accept": nil, "reject:missing_headers": sign.ErrSignatureMissing, "reject:invalid_headers": sign.ErrWebhookHeader,
		"reject:too_old": sign.ErrWebhookOld, "reject:too_new": sign.ErrWebhookNew, "reject:no_match": sign.ErrSignatureWrong,
	}
	for _, c := range readWebhookVectors(t).Verify {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			for name, value := range c.Headers {
				h.Set(name, value)
			}
			wanted, known := want[c.Expect]
			if !known {
				t.Fatalf("the vectors expect %q, which is new", c.Expect)
			}
			if got := sign.VerifyWebhook(h.Values, c.PayloadBase64, time.Unix(c.Now, 0), mustKey(t, c.Secret)); !errors.Is(got, wanted) || (got == nil) != (wanted == nil) {
				t.Errorf("VerifyWebhook = %v, want %v", got, wanted)
			}
		})
	}
}

func TestWebhookKeys(t *testing.T) {
	t.Parallel()
	for _, c := range readWebhookVectors(t).Secrets {
		_, err := sign.ParseWebhookKey(c.Secret)
		if accepted := err == nil; accepted != (c.RuleForUs == "accept") {
			t.Errorf("ParseWebhookKey(%q): %v; the rule is %s (%s)", c.Secret, err, c.RuleForUs, c.Note)
		}
		if err != nil && len(c.Secret) > 8 && strings.Contains(err.Error(), c.Secret) {
			t.Errorf("the error quotes the secret: %v", err)
		}
	}
	mixed := mustPrivate(t, 1)[:32] + mustPrivate(t, 2)[32:]
	for _, text := range []string{
		"whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 65)), "whsk_" + base64.StdEncoding.EncodeToString(make([]byte, 32)),
		"whsk_" + base64.StdEncoding.EncodeToString([]byte(mixed)), "whpk_" + base64.StdEncoding.EncodeToString(make([]byte, 31)),
		"whsec_UkXm3+nDAaJ3/85swQ2KRZEN\nMB0mLJCFqJgmYbvSETw=",
	} {
		if _, err := sign.ParseWebhookKey(text); !errors.Is(err, sign.ErrWebhookKey) {
			t.Errorf("ParseWebhookKey(%q) = %v, want ErrWebhookKey", text, err)
		}
	}
}

// mustPrivate gives the 64 bytes of an ed25519 key of the vectors' layout.
func mustPrivate(t *testing.T, seed byte) string {
	t.Helper()
	published, err := base64.StdEncoding.DecodeString("6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==")
	if err != nil {
		t.Fatal(err)
	}
	if seed == 1 {
		published[0] ^= 1
	}
	return string(published)
}

func TestWebhookAsymmetric(t *testing.T) {
	t.Parallel()
	for _, c := range readWebhookVectors(t).Asymmetric {
		private, public := mustKey(t, c.SecretKey), mustKey(t, c.PublicKey)
		if private.Public() != c.PublicKey || private.Reveal() != c.SecretKey || public.Signs() || !private.Signs() {
			t.Errorf("%s: the key does not come back as it was written", c.Name)
		}
		got := sign.SignWebhook(c.WebhookID, c.WebhookTimestamp, []byte(c.Payload), private)
		if got != c.WebhookSignature {
			t.Errorf("%s: SignWebhook = %q, want %q", c.Name, got, c.WebhookSignature)
		}
		at := time.Unix(c.WebhookTimestamp, 0)
		h := webhookHeader(c.WebhookID, c.WebhookTimestamp, got)
		if err := sign.VerifyWebhook(h.Values, []byte(c.Payload), at, public); err != nil {
			t.Errorf("%s: VerifyWebhook = %v", c.Name, err)
		}
		if err := sign.VerifyWebhook(h.Values, []byte(c.Payload+" "), at, public); !errors.Is(err, sign.ErrSignatureWrong) {
			t.Errorf("%s: VerifyWebhook of other bytes = %v, want ErrSignatureWrong", c.Name, err)
		}
	}
}

func webhookHeader(messageID string, at int64, signature string) http.Header {
	h := http.Header{}
	h.Set(sign.WebhookID, messageID)
	h.Set(sign.WebhookTimestamp, fmt.Sprint(at))
	h.Set(sign.WebhookSignature, signature)
	return h
}

// TestWebhookRotation: who knows only the old key and who knows only the new one
// both verify, and one of another kind beside it does not disturb.
func TestWebhookRotation(t *testing.T) {
	t.Parallel()
	old, fresh := sign.NewWebhookKey([32]byte{1}), sign.NewWebhookKey([32]byte{2})
	pair := mustKey(t, readWebhookVectors(t).Asymmetric[0].SecretKey)
	body, at := []byte(`{"a":1}`), int64(1760694060)
	h := webhookHeader("evt_1", at, sign.SignWebhook("evt_1", at, body, fresh, old, pair))
	for name, k := range map[string]sign.WebhookKey{"old": old, "new": fresh, "public": mustKey(t, pair.Public())} {
		if err := sign.VerifyWebhook(h.Values, body, time.Unix(at, 0), k); err != nil {
			t.Errorf("with the %s key: %v", name, err)
		}
	}
	if err := sign.VerifyWebhook(h.Values, body, time.Unix(at, 0), sign.NewWebhookKey([32]byte{3})); !errors.Is(err, sign.ErrSignatureWrong) {
		t.Errorf("with a third key: %v, want ErrSignatureWrong", err)
	}
	if err := sign.VerifyWebhook(h.Values, body, time.Unix(at, 0)); !errors.Is(err, sign.ErrSignatureWrong) {
		t.Errorf("with no key: %v, want ErrSignatureWrong", err)
	}
	h.Add(sign.WebhookID, "evt_1")
	if err := sign.VerifyWebhook(h.Values, body, time.Unix(at, 0), old); !errors.Is(err, sign.ErrWebhookHeader) {
		t.Errorf("with a header twice: %v, want ErrWebhookHeader", err)
	}
	dotted := webhookHeader("evt.1", at, sign.SignWebhook("evt.1", at, body, old))
	if err := sign.VerifyWebhook(dotted.Values, body, time.Unix(at, 0), old); !errors.Is(err, sign.ErrWebhookHeader) {
		t.Errorf("an id with a full stop: %v, want ErrWebhookHeader", err)
	}
	fraction := webhookHeader("evt_1", at, sign.SignWebhook("evt_1", at, body, old))
	if err := sign.VerifyWebhook(fraction.Values, body, time.Unix(at+300, 1), old); !errors.Is(err, sign.ErrWebhookOld) {
		t.Errorf("300 s and a nanosecond: %v, want ErrWebhookOld", err)
	}
}

func TestWebhookKeyIsHidden(t *testing.T) {
	t.Parallel()
	k := sign.NewWebhookKey([32]byte{'s', 'e', 'c'})
	text, err := json.Marshal(map[string]any{"key": k})
	if err != nil {
		t.Fatal(err)
	}
	var raw bytes.Buffer
	fmt.Fprintf(&raw, "%v %+v %#v %s %x", k, k, struct{ K sign.WebhookKey }{k}, k, k)
	for _, got := range []string{raw.String(), string(text), k.LogValue().String()} {
		if strings.Contains(got, "c2Vj") || strings.Contains(got, "736563") || !strings.Contains(got, "[secret]") {
			t.Errorf("a key prints as %q", got)
		}
	}
}

func FuzzWebhook(f *testing.F) {
	f.Add("evt_1", int64(1760694060), []byte(`{"a":1}`), "v1,AAAA")
	f.Fuzz(func(t *testing.T, messageID string, at int64, body []byte, noise string) {
		k := sign.NewWebhookKey([32]byte{7})
		h := webhookHeader(messageID, at, noise)
		now := time.Unix(1760694060, 0)
		if sign.VerifyWebhook(h.Values, body, now, k) == nil && noise != sign.SignWebhook(messageID, at, body, k) {
			t.Skip("one of several items is the right one") // a fuzzer cannot find one by chance
		}
		if strings.ContainsAny(messageID, ".") || messageID == "" || len(messageID) > 128 || at < now.Unix()-300 || at > now.Unix()+300 {
			return
		}
		h = webhookHeader(messageID, at, sign.SignWebhook(messageID, at, body, k))
		if err := sign.VerifyWebhook(h.Values, body, now, k); err != nil {
			t.Errorf("what was signed does not verify: %v", err)
		}
	})
}
