package api_test

import (
	"strings"
	"testing"
	"time"
)

const kycPath = "/v1/customers/c/kyc"

// TestKYCOverV1: a check is begun, once under its key, and looked at.
func TestKYCOverV1(t *testing.T) {
	t.Parallel()
	onEachLicensed(t, func(t *testing.T, h *house) {
		wantText(t, "nobody yet", h.get(kycPath), map[string]string{"customer_id": "c", "level": "0"})
		a := h.post(kycPath, "k1", `{"level":2,"return_url":"https://house.example/"}`)
		check := a.text("check_id")
		if a.Code != 200 || !strings.HasPrefix(check, "kyc_") {
			t.Fatalf("start = %d %s", a.Code, a.Body)
		}
		wantText(t, "begun", a, map[string]string{"status": "open", "level": "2", "created_at": h.clock().Format(time.RFC3339Nano)})
		again := h.post(kycPath, "k1", `{"level":2,"return_url":"https://house.example/"}`)
		if again.Body.String() != a.Body.String() || again.Header().Get("Idempotent-Replayed") != "true" {
			t.Errorf("again = %d %s", again.Code, again.Body)
		}
		wantText(t, "under another key", h.post(kycPath, "k2", `{"level":2}`), map[string]string{"check_id": check})
		wants(t, "another under the same key", h.post(kycPath, "k1", `{"level":3}`), 409, "idempotency_conflict")
		wantText(t, "looked at", h.get(kycPath), map[string]string{"level": "0", "checks.0.check_id": check, "checks.0.status": "open"})
		for what, body := range map[string]string{
			"no level": `{}`, "level 0": `{"level":0}`, "level 4": `{"level":4}`, "a word": `{"level":"two"}`, "nobody checks for it": `{"level":1}`,
			"a script": `{"level":2,"return_url":"javascript:alert(1)"}`,
		} {
			wants(t, what, h.post(kycPath, "bad-"+strings.ReplaceAll(what, " ", "-"), body), 422, "validation_failed")
		}
		no := h.post(initPath, "p1", depositOf("150.01"))
		wants(t, "a deposit above what level 0 may", no, 422, "kyc_required")
		wantText(t, "a deposit above what level 0 may", no, map[string]string{"details.required_level": "1", "details.reason": "verification_required", "details.remaining": "150.00"})
	})
}

func TestKYCWithoutRules(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for what, a := range map[string]answer{"look": h.get(kycPath), "start": h.post(kycPath, "k", `{"level":2}`)} {
		wants(t, what, a, 409, "state_conflict")
		wantText(t, what, a, map[string]string{"details.state": "no_rules"})
	}
}
