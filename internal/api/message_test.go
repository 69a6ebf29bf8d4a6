package api_test

import (
	"strings"
	"testing"

	"aorta/internal/callback"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/payment"
)

// conformsMessage checks the body of a webhook against openapi.json.
func conformsMessage(t testing.TB, body string) {
	t.Helper()
	if err := valid("/components/schemas/WebhookMessage", []byte(body)); err != nil {
		t.Errorf("the webhook %s\nis not as openapi.json says: %v", body, err)
	}
}

// TestMessages: webhooks of payments and payouts, bare and with all that they may tell, are as openapi.json says. Those of
// endpoints and wallets are looked at where they are received: in every house.
func TestMessages(t *testing.T) {
	t.Parallel()
	name := id.Raw{1, 2, 3}
	bare := payment.Payment{
		ID: id.Payment(name), Type: payment.TypePurchase, Status: payment.StatusPending, Amount: money.Amount{Minor: 5000, Currency: "EUR"},
		Method: "generic-card", Events: 1, CreatedUS: 1760694060000000,
	}
	full := bare
	full.MerchantPaymentID, full.CustomerID, full.Status, full.Code, full.Message = "order-1", "42", payment.StatusDeclined, "20105", "No."
	full.CapturedMinor, full.RefundedMinor = 5000, 1000
	refund := payment.Operation{
		ID: id.Operation(name), Kind: payment.KindRefund, Status: payment.OperationDecline, Amount: money.Amount{Minor: 1000, Currency: "EUR"},
		MerchantRefundID: "r-1", Code: "20105", Message: "No.",
	}
	out := full
	out.Type, out.Status = payment.TypePayout, payment.StatusFailed
	for _, tt := range []struct {
		typ string
		p   payment.Payment
		op  payment.Operation
	}{
		{event.TypePending, bare, payment.Operation{}},
		{event.TypeDeclined, full, payment.Operation{Kind: payment.KindSale}},
		{event.TypeRefundDeclined, full, refund},
		{event.TypePayoutFailed, out, payment.Operation{Kind: payment.KindPayout}},
	} {
		body, err := callback.RenderWebhook(event.Work{
			Delivery: event.Delivery{Type: tt.typ}, Event: event.Event{Payment: tt.p.ID, AtUS: 1760694060000000}, Snapshot: event.Snapshot{Payment: tt.p, Operation: tt.op},
		})
		if err != nil {
			t.Fatal(err)
		}
		conformsMessage(t, string(body))
		for _, change := range [][2]string{{`"data":{`, `"data":{"secret":"x",`}, {`"amount":"50.00"`, `"amount":50.00`}, {`"type":"`, `"type":"x`}} {
			if broken := strings.Replace(string(body), change[0], change[1], 1); valid("/components/schemas/WebhookMessage", []byte(broken)) == nil {
				t.Errorf("nothing is noticed of %s", broken)
			}
		}
	}
}
