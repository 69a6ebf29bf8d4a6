package api

// webhookMessage is the body of a webhook. Package callback writes it; this is for
// openapi.json, of which the clients' types are made.
type webhookMessage struct {
	Type      string      `json:"type" kind:"type" need:"yes" doc:"What happened." ex:"payment.captured"`
	Timestamp string      `json:"timestamp" kind:"time" need:"yes" doc:"When." ex:"2025-10-17T09:41:00.000000Z"`
	Data      webhookData `json:"data" need:"yes" doc:"What it is about, as it was right then: a payment, a payout, a move of a wallet or an endpoint."`
}

// webhookData is what a webhook is about.
type webhookData struct {
	PaymentID         string         `json:"payment_id" kind:"payment_id" doc:"Our name for the payment." ex:"pay_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	MerchantPaymentID string         `json:"merchant_payment_id" kind:"name" doc:"Yours." ex:"order-1"`
	PayoutID          string         `json:"payout_id" kind:"payout_id" doc:"Our name for the payout." ex:"po_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	MerchantPayoutID  string         `json:"merchant_payout_id" kind:"name" doc:"Yours." ex:"payout-1"`
	Status            string         `json:"status" kind:"word" doc:"Where it stands, in the words of the payment or payout." ex:"captured"`
	Sequence          int64          `json:"sequence" kind:"integer" doc:"Grows with each event of the payment or payout: what comes with a lesser one than you have seen is old." ex:"2"`
	Amount            string         `json:"amount" kind:"amount" doc:"What was asked for, or moved." ex:"50.00"`
	Currency          string         `json:"currency" kind:"currency" doc:"ISO 4217." ex:"EUR"`
	Captured          string         `json:"captured" kind:"amount" doc:"What was taken, if anything was." ex:"50.00"`
	Refunded          string         `json:"refunded" kind:"amount" doc:"What was given back, if anything was." ex:"10.00"`
	PaidAmount        string         `json:"paid_amount" kind:"amount" doc:"Of a payout in parts: how much is paid by now." ex:"8.00"`
	ReturnedAmount    string         `json:"returned_amount" kind:"amount" doc:"Of a payout in parts: how much could not be paid, and is in the wallet again." ex:"2.00"`
	Method            string         `json:"method" kind:"word" doc:"The project's method." ex:"generic-card"`
	CustomerID        string         `json:"customer_id" kind:"name" doc:"Your name for the customer." ex:"42"`
	Code              string         `json:"code" kind:"name" doc:"Why it failed: decline code of the ECommPay list." ex:"20105"`
	Message           string         `json:"message" kind:"text" doc:"The same in words." ex:"Insufficient funds on the account"`
	CreatedAt         string         `json:"created_at" kind:"time" doc:"When it began." ex:"2025-10-17T09:40:12.000000Z"`
	Refund            *webhookRefund `json:"refund" doc:"The refund that the message is about."`
	TransferID        string         `json:"transfer_id" kind:"transfer_id" doc:"Our name for the move of a wallet." ex:"txn_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	TxnID             string         `json:"txn_id" kind:"txn" doc:"Yours." ex:"bet-77"`
	Kind              string         `json:"kind" kind:"word" doc:"What that move is." ex:"stake"`
	RoundID           string         `json:"round_id" kind:"txn" doc:"Of which round." ex:"spin-9"`
	Available         string         `json:"available" kind:"amount" doc:"What the customer has right after it." ex:"45.00"`
	Bonus             string         `json:"bonus" kind:"amount" doc:"And as bonus, where the move touched that." ex:"10.00"`
	EndpointID        string         `json:"endpoint_id" kind:"endpoint_id" doc:"The endpoint that the message is about." ex:"we_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	URL               string         `json:"url" kind:"url" doc:"Where that endpoint is called." ex:"https://shop.example/hooks"`
	State             string         `json:"state" kind:"enum:enabled,disabled" doc:"Whether that endpoint is called." ex:"disabled"`
	Reason            string         `json:"reason" kind:"text" doc:"Why it is not." ex:"it answered 410 Gone"`
}

// webhookRefund is a refund that a webhook is about.
type webhookRefund struct {
	RefundID         string `json:"refund_id" kind:"refund_id" need:"yes" doc:"Our name for the refund." ex:"op_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	MerchantRefundID string `json:"merchant_refund_id" kind:"name" doc:"Yours." ex:"order-1-refund"`
	Status           string `json:"status" kind:"enum:pending,succeeded,failed" need:"yes" doc:"Where it stands." ex:"succeeded"`
	Amount           string `json:"amount" kind:"amount" need:"yes" doc:"Of how much." ex:"10.00"`
	Currency         string `json:"currency" kind:"currency" need:"yes" doc:"ISO 4217." ex:"EUR"`
	Code             string `json:"code" kind:"name" doc:"Why it failed." ex:"20105"`
	Message          string `json:"message" kind:"text" doc:"The same in words." ex:"Insufficient funds on the account"`
}

// webhook is how openapi.json tells of the messages to endpoints.
func (d *description) webhook() object {
	header := func(name, doc string) object {
		return object{"name": name, "in": "header", "required": true, "description": doc, "schema": object{"type": "string"}}
	}
	return object{"event": object{"post": object{
		"operationId": "event",
		"summary":     "Tells an endpoint what happened, by Standard Webhooks. Verify it, remember webhook-id, and answer first.",
		"parameters": []object{
			header("webhook-id", "The same however often the message comes."),
			header("webhook-timestamp", "When it was signed, in seconds."),
			header("webhook-signature", "Signatures with a space between them: v1, and base64 of the HMAC-SHA256 over id.timestamp.body."),
		},
		"requestBody": object{"required": true, "content": object{"application/json": object{"schema": d.ref(&webhookMessage{}, tagged(&webhookMessage{}))}}},
		"responses":   object{"2XX": object{"description": "Taken. Anything else is tried again."}, "410": object{"description": "The endpoint is disabled."}},
	}}}
}
