package api_test

import (
	"testing"
)

// TestRefunds: a part, the rest, and too much.
func TestRefunds(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pay := h.post(initPath, "k", sale("1.00", `,"customer_id":"c1"`)).text("payment_id")
	refunds := "/v1/payments/" + pay + "/refunds"
	part := h.post(refunds, "r1", `{"amount":"0.40","currency":"EUR","merchant_refund_id":"first","description":"x"}`)
	if part.Code != 200 || part.text("status") != "succeeded" || part.text("amount") != "0.40" || part.text("payment_id") != pay || part.text("merchant_refund_id") != "first" {
		t.Fatalf("a part = %d %s", part.Code, part.Body)
	}
	if again := h.post(refunds, "r1", `{"amount":"0.40","currency":"EUR","merchant_refund_id":"first","description":"x"}`); again.Body.String() != part.Body.String() {
		t.Errorf("again = %s, want %s", again.Body, part.Body)
	}
	if got := h.get("/v1/refunds/" + part.text("refund_id")); got.Body.String() != part.Body.String() {
		t.Errorf("GET = %s, want %s", got.Body, part.Body)
	}
	wants(t, "its name again", h.post(refunds, "r2", `{"amount":"0.10","currency":"EUR","merchant_refund_id":"first"}`), 409, "duplicate_refund_id")
	much := h.post(refunds, "r3", `{"amount":"0.61","currency":"EUR"}`)
	wants(t, "too much", much, 422, "refund_exceeds_captured")
	if much.text("details", "refundable") != "0.60" {
		t.Errorf("too much: %s", much.Body)
	}
	if again := h.post(refunds, "r3", `{"amount":"0.61","currency":"EUR"}`); again.Body.String() != much.Body.String() {
		t.Errorf("too much, again = %s", again.Body)
	}
	if odd := h.post(refunds, "r4", `{"amount":"0.13","currency":"EUR"}`); odd.Code != 200 || odd.text("status") != "failed" || odd.text("decline", "code") == "" {
		t.Errorf("one that the provider refuses = %d %s", odd.Code, odd.Body)
	}
	if rest := h.post(refunds, "r5", `{}`); rest.Code != 200 || rest.text("amount") != "0.60" {
		t.Errorf("the rest = %d %s", rest.Code, rest.Body)
	}
	wants(t, "another currency", h.post(refunds, "r6", `{"amount":"1","currency":"JPY"}`), 422, "currency_not_supported")
	wants(t, "no currency", h.post(refunds, "r6", `{"amount":"1"}`), 422, "validation_failed")
	wants(t, "no amount", h.post(refunds, "r6", `{"currency":"EUR"}`), 422, "validation_failed")
	wants(t, "decimals", h.post(refunds, "r6", `{"amount":"0.001","currency":"EUR"}`), 422, "validation_failed")
	wants(t, "huge", h.post(refunds, "r6", `{"amount":"9999999999999999999","currency":"EUR"}`), 422, "amount_out_of_range")
	wants(t, "nothing", h.post(refunds, "r6", `{"amount":"0.00","currency":"EUR"}`), 422, "amount_out_of_range")
	got := h.get("/v1/payments/" + pay + "?expand=operations")
	if got.text("status") != "refunded" || got.text("refunded_amount") != "1.00" || got.text("refundable_amount") != "0.00" || len(got.doc["operations"].([]any)) != 5 {
		t.Errorf("the payment = %s", got.Body)
	}
	if ops := h.get("/v1/payments/" + pay + "/operations"); ops.text("data", "0", "kind") != "sale" || ops.text("data", "1", "operation_id") != part.text("refund_id") {
		t.Errorf("operations = %s", ops.Body)
	}
	events := h.get("/v1/payments/" + pay + "/events")
	if events.text("data", "0", "type") != "refund.succeeded" || events.text("data", "0", "to") != "refunded" {
		t.Errorf("events = %s", events.Body)
	}
	if a := h.get("/v1/refunds/" + h.get("/v1/payments/"+pay+"/operations").text("data", "0", "operation_id")); a.Code != 404 {
		t.Errorf("a sale as a refund = %d", a.Code)
	}
}

// TestRefundOfWhatIsNotThere: the state of a payment that was not captured, and a
// wallet that has spent the money.
func TestRefundOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pending := h.post(initPath, "k", sale("50.00")).text("payment_id")
	a := h.post("/v1/payments/"+pending+"/refunds", "r", `{}`)
	wants(t, "pending", a, 409, "state_conflict")
	if a.text("details", "state") != "pending" {
		t.Errorf("%s", a.Body)
	}
	wants(t, "no payment", h.post("/v1/payments/pay_01k4aq3x8n0g2v5b7d9f1h3j5m/refunds", "r", `{}`), 404, "not_found")
	if _, answers, _ := h.rows(); answers != 1 {
		t.Errorf("%d answers are kept, want the payment's alone", answers)
	}
}
