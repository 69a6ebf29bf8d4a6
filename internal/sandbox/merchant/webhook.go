package merchant

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"aorta/internal/sandbox/fault"
)

// Bounds on what is kept of webhooks.
const (
	maxReceivers = 64
	maxKeys      = 8
	tolerance    = 5 * time.Minute
)

// hook is one recorded webhook.
type hook struct {
	Receiver string   `json:"receiver"`
	AtUS     int64    `json:"at_us"`
	Headers  string   `json:"headers"`
	Raw      []byte   `json:"raw"`
	Payments []string `json:"payments,omitempty"` // both names of the payment
	Type     string   `json:"type,omitempty"`
	Valid    bool     `json:"valid,omitempty"`
	Answer   int      `json:"answer,omitempty"`
}

// Webhook is one recorded webhook as the merchant shows it.
type Webhook struct {
	Callback

	Receiver string `json:"receiver"`
	ID       string `json:"id"`
	Type     string `json:"type"`
}

// hookLine is what the journal keeps beside callbacks.
type hookLine struct {
	Hook *hook               `json:"hook,omitempty"`
	Keys map[string][]string `json:"hook_keys,omitempty"`
}

// webhook is POST /merchant/webhook and /merchant/webhook/{receiver}: an endpoint
// of Standard Webhooks. As with callbacks, a forgery is recorded and answered well.
func (m *Merchant) webhook(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "the body cannot be read or is larger than 1 MiB", http.StatusRequestEntityTooLarge)
		return
	}
	rule := m.opts.Faults.Take("webhook")
	h := hook{Receiver: r.PathValue("receiver"), AtUS: m.clock().UnixMicro(), Headers: lines(r.Header), Raw: raw, Answer: answerTo(rule)}
	var body struct {
		Type string
		Data struct {
			PaymentID         string `json:"payment_id"`
			MerchantPaymentID string `json:"merchant_payment_id"`
		}
	}
	if json.Unmarshal(raw, &body) == nil {
		h.Type = body.Type
		h.Payments = slices.DeleteFunc([]string{body.Data.PaymentID, body.Data.MerchantPaymentID}, func(s string) bool { return s == "" })
	}
	m.mu.Lock()
	keys := m.hookKeys[h.Receiver]
	m.mu.Unlock()
	h.Valid = genuine(r.Header, raw, m.clock(), keys)
	if err := m.recordHook(hookLine{Hook: &h}); err != nil {
		m.opts.Log.Error("sandbox merchant: remember a webhook", "error", err)
		http.Error(w, "the webhook could not be recorded", http.StatusInternalServerError)
		return
	}
	if rule.Next == fault.HTTP429 {
		w.Header().Set("Retry-After", "1")
	}
	m.reply(w, r, rule, h.Answer)
}

// genuine verifies a webhook as a merchant would who has read the specification
// and nothing of ours.
func genuine(h http.Header, body []byte, now time.Time, secrets []string) bool {
	id, stamp := h.Get("webhook-id"), h.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || id == "" || now.Sub(time.Unix(seconds, 0)).Abs() > tolerance {
		return false
	}
	for _, secret := range secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil {
			continue
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + stamp + "."))
		mac.Write(body)
		want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
		for _, got := range strings.Split(h.Get("webhook-signature"), " ") {
			if hmac.Equal([]byte(got), []byte(want)) {
				return true
			}
		}
	}
	return false
}

// setHookKeys is PUT /merchant/webhook-keys {"receiver":"…","keys":["whsec_…"]}:
// what a receiver verifies with from now on. The empty receiver is /merchant/webhook.
func (m *Merchant) setHookKeys(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Receiver string   `json:"receiver"`
		Keys     []string `json:"keys"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&body); err != nil || len(body.Keys) > maxKeys {
		http.Error(w, `the body must be {"receiver":"…","keys":["whsec_…"]}, with at most 8 keys`, http.StatusBadRequest)
		return
	}
	m.mu.Lock()
	_, known := m.hookKeys[body.Receiver]
	full := !known && len(m.hookKeys) >= maxReceivers
	m.mu.Unlock()
	if full {
		http.Error(w, "there are 64 receivers already", http.StatusBadRequest)
		return
	}
	if err := m.recordHook(hookLine{Keys: map[string][]string{body.Receiver: body.Keys}}); err != nil {
		http.Error(w, "the keys could not be recorded", http.StatusInternalServerError)
		return
	}
	m.answer(w, map[string]any{"receiver": body.Receiver, "keys": len(body.Keys)})
}

// recordHook remembers a webhook or keys.
func (m *Merchant) recordHook(x hookLine) error {
	line, err := json.Marshal(x)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.opts.Append != nil {
		if err := m.opts.Append(line); err != nil {
			return err
		}
	}
	m.keepHook(x)
	return nil
}

// keepHook puts it into memory. The caller holds m.mu.
func (m *Merchant) keepHook(x hookLine) {
	for receiver, keys := range x.Keys {
		m.hookKeys[receiver] = keys
	}
	if x.Hook == nil {
		return
	}
	m.hooks = append(m.hooks, *x.Hook)
	m.hookBytes += int64(len(x.Hook.Raw) + len(x.Hook.Headers))
	for len(m.hooks) > m.opts.MaxCallbacks || m.hookBytes > m.opts.MaxBytes {
		m.hookBytes -= int64(len(m.hooks[0].Raw) + len(m.hooks[0].Headers))
		m.hooks[0] = hook{}
		m.hooks = m.hooks[1:]
	}
}

// Webhooks lists what was received, oldest first: of a payment by either of its
// names, of a receiver, or (empty) of all. At most 1,000, the newest.
func (m *Merchant) Webhooks(paymentID string, receiver *string) []Webhook {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := []Webhook{}
	for _, h := range slices.Backward(m.hooks) {
		if len(out) == maxAnswer {
			break
		}
		if (paymentID != "" && !slices.Contains(h.Payments, paymentID)) || (receiver != nil && *receiver != h.Receiver) {
			continue
		}
		shown := Webhook{Receiver: h.Receiver, Type: h.Type, Callback: show(callback{AtUS: h.AtUS, Headers: h.Headers, Raw: h.Raw, Valid: h.Valid, Answer: h.Answer})}
		shown.ID = shown.Headers["Webhook-Id"]
		out = append(out, shown)
	}
	slices.Reverse(out)
	return out
}

// listHooks is GET /merchant/webhooks?payment_id=…&receiver=….
func (m *Merchant) listHooks(w http.ResponseWriter, r *http.Request) {
	var receiver *string
	if q := r.URL.Query(); q.Has("receiver") {
		name := q.Get("receiver")
		receiver = &name
	}
	m.answer(w, m.Webhooks(r.URL.Query().Get("payment_id"), receiver))
}
