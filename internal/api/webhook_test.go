package api_test

import (
	"fmt"
	"strings"
	"testing"

	"aorta/internal/book"
	"aorta/internal/id"
)

const webhookPath = "/v1/payments/webhook"

// news is L11's webhook.
func news(event, pay, status, amount string) string {
	return fmt.Sprintf(`{"event_id":%q,"payment_id":%q,"status":%q,"amount":%q,"currency":"EUR","timestamp":"2026-01-02T03:04:05Z"}`, event, pay, status, amount)
}

func (h *house) tell(body, signature string) answer {
	h.t.Helper()
	headers := []string{"Authorization", ""}
	if signature != "" {
		headers = append(headers, "X-Signature", signature)
	}
	a := h.send(h.request("POST", webhookPath, body, headers...))
	h.work.Wait()
	return a
}

// TestWebhook: the final word of a provider, which needs no key but a signature.
func TestWebhook(t *testing.T) {
	t.Parallel()
	for homes := 1; homes <= 2; homes++ {
		h := newHouseOf(t, homes)
		pay := h.post(initPath, "k", sale("50.00", `,"customer_id":"c"`)).text("payment_id")
		status := func() string { t.Helper(); return h.get("/v1/payments/" + pay).text("status") }
		captured := news("evt_1", pay, "captured", "50.00")
		for _, tt := range []struct{ name, body, signature string }{
			{"none", captured, ""},
			{"another's", captured, "sha256=" + strings.Repeat("0", 64)},
			{"of other bytes", captured + " ", signature(captured)},
			{"without its scheme", captured, strings.TrimPrefix(signature(captured), "sha256=")},
			{"of a malformed body, wrong", "{", signature(captured)},
		} {
			wants(t, "a signature: "+tt.name, h.tell(tt.body, tt.signature), 401, "invalid_signature")
		}
		twice := h.request("POST", webhookPath, captured, "X-Signature", signature(captured), "X-Signature", signature(captured))
		wants(t, "two signatures", h.send(twice), 401, "invalid_signature")
		wants(t, "signed nonsense", h.tell("{", signature("{")), 400, "malformed_json")
		large := `"` + strings.Repeat("x", 1<<20) + `"`
		wants(t, "too large", h.tell(large, signature(large)), 413, "too_large")
		if got := status(); got != "pending" {
			t.Errorf("%d homes: after all that is wrong: %s", homes, got)
		}
		wrong := news("evt_0", pay, "captured", "5.00")
		if a := h.tell(wrong, signature(wrong)); a.Code != 200 || status() != "pending" {
			t.Errorf("%d homes: another amount = %d, %s", homes, a.Code, status())
		}
		for range 3 {
			if a := h.tell(captured, signature(captured)); a.Code != 200 || a.Body.String() != `{"status":"ok"}` || status() != "captured" {
				t.Errorf("%d homes: news = %d %s, %s", homes, a.Code, a.Body, status())
			}
		}
		if got := h.get("/v1/customers/c"); got.text("balances", "0", "available") != "50.00" {
			t.Errorf("%d homes: the customer has %s", homes, got.Body)
		}
		stranger := news("evt_2", "pay_01k4aq3x8n0g2v5b7d9f1h3j5m", "captured", "50.00")
		if a := h.tell(stranger, signature(stranger)); a.Code != 200 {
			t.Errorf("%d homes: news of no payment = %d %s", homes, a.Code, a.Body)
		}
		if cases, _ := h.homes[0].Cases(t.Context(), id.Case{}, 10); homes == 1 && len(cases) == 0 {
			t.Error("no case is open")
		}
	}
}

// TestWebhookWithoutStore: what is not stored is not taken.
func TestWebhookWithoutStore(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	body := news("evt_1", "pay_01k4aq3x8n0g2v5b7d9f1h3j5m", "captured", "50.00")
	h.homes[0].Fail = func(book.Step) book.Fault { return book.FaultAway }
	a := h.tell(body, signature(body))
	wants(t, "the store is away", a, 503, "storage_unavailable")
	if a.Header().Get("Retry-After") == "" {
		t.Errorf("%v", a.Header())
	}
}
