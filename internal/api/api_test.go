package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/api"
	"aorta/internal/book"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/project"
)

// nowhere is a clock for houses that nothing happens in.
var nowhere = still{}

type still struct{}

func (still) Now() time.Time { return time.Unix(1767323045, 0) }

// TestInit: the example of L11, letter for letter.
func TestInit(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	body := `{"amount":"50.00","currency":"EUR","method":"card","return_url":"https://shop.example/","meta":{"country":"FI","device":"ios"}}`
	a := h.post(initPath, "key-1", body)
	if a.Code != http.StatusOK || a.text("status") != "pending" || a.text("redirect_url") != "https://mill.example/pay?o=7" || len(a.doc) != 3 {
		t.Fatalf("init = %d %s", a.Code, a.Body)
	}
	got := h.get("/v1/payments/" + a.text("payment_id"))
	for path, want := range map[string]string{
		"status": "pending", "amount": "50.00", "currency": "EUR", "method": "card", "method_code": "generic-card", "customer_id": "",
		"captured_amount": "0.00", "redirect_url": "https://mill.example/pay?o=7", "created_at": "2026-01-02T03:04:05.000678Z", "merchant_payment_id": "",
	} {
		if got.text(path) != want {
			t.Errorf("GET: %s = %q, want %q", path, got.text(path), want)
		}
	}
	if got.text("meta", "country") != "FI" || got.text("meta", "device") != "ios" {
		t.Errorf("GET: meta = %s", got.text("meta"))
	}
}

// TestInitOutcomes: what the provider says at once.
func TestInitOutcomes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	if a := h.post(initPath, "k1", sale("1.00")); a.Code != 200 || a.text("status") != "captured" || a.text("redirect_url") != "" {
		t.Errorf("paid at once = %d %s", a.Code, a.Body)
	}
	a := h.post(initPath, "k2", sale("2.00"))
	wants(t, "refused", a, 402, "payment_declined")
	if a.text("details", "decline_code") != payment.CodeExternalFunds || a.text("details", "retryable") != "false" || a.text("details", "alternatives", "0") != "generic-bank" {
		t.Errorf("refused: details = %s", a.text("details"))
	}
	if got := h.get("/v1/payments/" + a.text("details", "payment_id")); got.text("status") != "failed" || got.text("decline", "code") != payment.CodeExternalFunds {
		t.Errorf("refused: GET = %s", got.Body)
	}
	if again := h.post(initPath, "k2", sale("2.00")); again.Body.String() != a.Body.String() || again.Header().Get("Idempotent-Replayed") != "true" {
		t.Errorf("refused, again = %s %v\nwant %s", again.Body, again.Header(), a.Body)
	}
	for n, word := range []string{"bank", "generic-bank", "online-banking"} {
		a := h.post(initPath, fmt.Sprint("bank-", n), strings.Replace(sale("1.00"), "card", word, 1))
		if got := h.get("/v1/payments/" + a.text("payment_id")); got.text("method") != "bank" || got.text("method_code") != "generic-bank" {
			t.Errorf("method %s = %s", word, got.Body)
		}
	}
	yen := h.post(initPath, "yen", `{"amount":"100","currency":"JPY","method":"card"}`)
	if got := h.get("/v1/payments/" + yen.text("payment_id")); got.text("amount") != "100" || got.text("captured_amount") != "100" {
		t.Errorf("yen = %s", got.Body)
	}
	if a := h.post(initPath, "k3", sale("4.00")); !strings.HasPrefix(a.text("redirect_url"), "https://pay.example/payment/s/pay_") {
		t.Errorf("a form: redirect_url = %q", a.text("redirect_url"))
	}
	away := h.post(initPath, "k4", sale("3.00"))
	wants(t, "provider away", away, 503, "psp_unavailable")
	if away.Header().Get("Retry-After") == "" || away.text("details", "payment_id") == "" {
		t.Errorf("provider away: %v %s", away.Header(), away.Body)
	}
	again := h.post(initPath, "k4", sale("3.00"))
	wants(t, "provider away, again", again, 402, "payment_declined")
	if again.text("details", "payment_id") != away.text("details", "payment_id") {
		t.Errorf("provider away, again: %s", again.Body)
	}
}

// TestInitWaits: it waits for the provider no longer than it should, and answers
// pending without redirect_url.
func TestInitWaits(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(_ *house, o *api.Options) { o.Wait = 20 * time.Millisecond })
	a := h.post(initPath, "k", sale("5.00"))
	close(h.psp.hold)
	if a.Code != 200 || a.text("status") != "pending" || a.text("redirect_url") != "" {
		t.Errorf("a silent provider = %d %s", a.Code, a.Body)
	}
	h.work.Wait()
	if got := h.get("/v1/payments/" + a.text("payment_id")); got.text("redirect_url") == "" {
		t.Errorf("once it has answered: %s", got.Body)
	}
}

// TestCustomers: whose payment it is.
func TestCustomers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	holder, strict := h.newKey(200, "demo", scopes()...), h.newKey(201, "", scopes()...)
	tests := []struct{ name, key, body, customer, account string }{
		{"named", h.key, sale("1.00", `,"customer_id":"c1"`), "c1", "customer:1:c1 available"},
		{"the key's", holder, sale("1.00"), "demo", "customer:1:demo available"},
		{"named all the same", holder, sale("1.00", `,"customer_id":"c2"`), "c2", "customer:1:c2 available"},
		{"nobody", h.key, sale("1.00"), "", "merchant:1 payable"},
	}
	for n, tt := range tests {
		a := h.post(initPath, fmt.Sprint("k", n), tt.body, "Authorization", "Bearer "+tt.key)
		if got := h.get("/v1/payments/" + a.text("payment_id")); got.text("customer_id") != tt.customer || got.text("status") != "captured" {
			t.Errorf("%s: %s", tt.name, got.Body)
		}
		if !h.holds(tt.account) {
			t.Errorf("%s: nothing is in %s", tt.name, tt.account)
		}
	}
	wants(t, "nobody in a wallet-only project", h.post(initPath, "x", sale("1.00"), "Authorization", "Bearer "+strict), 422, "validation_failed")
}

// holds reports whether there is money in "owner purpose".
func (h *house) holds(account string) bool {
	for _, m := range h.homes {
		rows, _ := m.ScanAccounts(h.t.Context(), id.Account{}, 1000)
		if slices.ContainsFunc(rows, func(a ledger.Account) bool { return a.Owner+" "+string(a.Purpose) == account && a.Balance() > 0 }) {
			return true
		}
	}
	return false
}

// TestBadInput: what is refused, how it is told, and that nothing is left of it.
func TestBadInput(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	long := strings.Repeat("x", 256)
	deep := strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)
	tests := []struct {
		name, body   string
		status       int
		code         string
		field, about string // of details.fields.0: path and code; or of details
	}{
		{"no JSON", `{"amount":`, 400, "malformed_json", "", ""},
		{"empty", ``, 400, "malformed_json", "", ""},
		{"a list", `[]`, 400, "malformed_json", "", ""},
		{"two documents", sale("50.00") + sale("50.00"), 400, "malformed_json", "", ""},
		{"repeated member", `{"amount":"1.00","amount":"2.00"}`, 400, "malformed_json", "", ""},
		{"NUL", `{"amount":"1.00\u0000"}`, 400, "malformed_json", "", ""},
		{"no UTF-8", "{\"amount\":\"\xff\"}", 400, "malformed_json", "", ""},
		{"lone surrogate", `{"amount":"\ud800"}`, 400, "malformed_json", "", ""},
		{"deep", deep, 400, "malformed_json", "", ""},
		{"too large", `{"amount":"` + strings.Repeat("1", 256<<10) + `"}`, 413, "too_large", "", ""},
		{"unknown member", sale("50.00", `,"curency":"EUR"`), 422, "validation_failed", "curency", "unknown"},
		{"read-only member", sale("50.00", `,"status":"captured"`), 422, "validation_failed", "status", "unknown"},
		{"unknown member of an unknown one", sale("50.00", `,"a":{"b":1}`), 422, "validation_failed", "a", "unknown"},
		{"no amount", `{"currency":"EUR","method":"card"}`, 422, "validation_failed", "amount", "required"},
		{"null", `{"amount":null,"currency":"EUR","method":"card"}`, 422, "validation_failed", "amount", "required"},
		{"a number", `{"amount":50.00,"currency":"EUR","method":"card"}`, 422, "validation_failed", "amount", "type"},
		{"too many decimals", sale("50.001"), 422, "validation_failed", "amount", "decimals"},
		{"decimals of yen", `{"amount":"50.00","currency":"JPY","method":"card"}`, 422, "validation_failed", "amount", "decimals"},
		{"negative", sale("-50.00"), 422, "validation_failed", "amount", "amount"},
		{"plus", sale("+50.00"), 422, "validation_failed", "amount", "amount"},
		{"scientific", sale("5e1"), 422, "validation_failed", "amount", "amount"},
		{"comma", sale("50,00"), 422, "validation_failed", "amount", "amount"},
		{"space", sale(" 50.00"), 422, "validation_failed", "amount", "amount"},
		{"point alone", sale("50."), 422, "validation_failed", "amount", "amount"},
		{"zero", sale("0.00"), 422, "amount_out_of_range", "", ""},
		{"too little", sale("0.05"), 422, "amount_out_of_range", "", ""},
		{"too much", sale("1000000.00"), 422, "amount_out_of_range", "", ""},
		{"huge", sale("9999999999999999999"), 422, "amount_out_of_range", "", ""},
		{"no such currency", `{"amount":"50.00","currency":"EUX","method":"card"}`, 422, "validation_failed", "currency", "currency"},
		{"small letters", `{"amount":"50.00","currency":"eur","method":"card"}`, 422, "validation_failed", "currency", "currency"},
		{"other currency", `{"amount":"50.00","currency":"USD","method":"card"}`, 422, "currency_not_supported", "", ""},
		{"no such method", `{"amount":"50.00","currency":"EUR","method":"cash"}`, 422, "method_not_supported", "", ""},
		{"return_url of another scheme", sale("50.00", `,"return_url":"javascript:alert(1)"`), 422, "validation_failed", "return_url", "url"},
		{"return_url without TLS", sale("50.00", `,"return_url":"http://shop.example/"`), 422, "validation_failed", "return_url", "url"},
		{"return_url with a password", sale("50.00", `,"return_url":"https://a:b@shop.example/"`), 422, "validation_failed", "return_url", "url"},
		{"long name", sale("50.00", `,"merchant_payment_id":"`+long+`"`), 422, "validation_failed", "merchant_payment_id", "too_long"},
		{"empty name", sale("50.00", `,"merchant_payment_id":""`), 422, "validation_failed", "merchant_payment_id", "empty"},
		{"semicolon in a name", sale("50.00", `,"merchant_payment_id":"a;b"`), 422, "validation_failed", "merchant_payment_id", "characters"},
		{"line in a name", sale("50.00", `,"customer_id":"a\nb"`), 422, "validation_failed", "customer_id", "characters"},
		{"meta is a text", sale("50.00", `,"meta":"x"`), 422, "validation_failed", "meta", "type"},
		{"meta in meta", sale("50.00", `,"meta":{"a":{}}`), 422, "validation_failed", "meta.a", "type"},
		{"name in meta", sale("50.00", `,"meta":{"a b":"c"}`), 422, "validation_failed", "meta.a b", "name"},
		{"a card number", sale("50.00", `,"description":"card 4111 1111 1111 1111"`), 422, "pan_not_allowed", "", ""},
		{"a card number in meta", sale("50.00", `,"meta":{"pan":"4111111111111111"}`), 422, "pan_not_allowed", "", ""},
		{"a card number as a number", sale("50.00", `,"meta":{"pan":4111111111111111}`), 422, "pan_not_allowed", "", ""},
		{"a card number as a name", sale("50.00", `,"4111111111111111":"x"`), 422, "pan_not_allowed", "", ""},
		{"a card number in an unknown member", sale("50.00", `,"card":{"number":"5555-5555-5555-4444"}`), 422, "pan_not_allowed", "", ""},
		{"a security code", sale("50.00", `,"cvv":"123"`), 422, "pan_not_allowed", "", ""},
	}
	for _, tt := range tests {
		a := h.post(initPath, "bad", tt.body)
		wants(t, tt.name, a, tt.status, tt.code)
		if tt.field != "" && (a.text("details", "fields", "0", "path") != tt.field || a.text("details", "fields", "0", "code") != tt.about) {
			t.Errorf("%s: details = %s", tt.name, a.text("details"))
		}
		if strings.Contains(a.Body.String(), "4111") || strings.Contains(a.Body.String(), "5555") {
			t.Errorf("%s: the card number comes back: %s", tt.name, a.Body)
		}
	}
	if p, a, r := h.rows(); p+a+r != 0 {
		t.Errorf("%d payments, %d answers and %d names are left", p, a, r)
	}
	if a := h.post(initPath, "bad", sale("50.00", `,"curency":"EUR"`)); !strings.Contains(a.text("details", "fields", "0", "message"), "currency") {
		t.Errorf("no hint: %s", a.Body)
	}
	if a := h.post(initPath, "bad", sale("50.00")); a.Code != 200 {
		t.Errorf("the key that was refused so often = %d %s", a.Code, a.Body)
	}
}

// TestInstantsAreNoCards: time stamps in milliseconds and microseconds pass, and
// so do amounts and our own ids, whatever their digits.
func TestInstantsAreNoCards(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for n, body := range []string{
		sale("50.00", `,"meta":{"at":"1767323045678","us":1767323045678901,"iso":"2026-01-02T03:04:05.678Z"}`),
		sale("50.00", `,"merchant_payment_id":"1760694060000"`),
	} {
		if a := h.post(initPath, "k"+string(rune('a'+n)), body); a.Code != 200 {
			t.Errorf("%s = %d %s", body, a.Code, a.Body)
		}
	}
	wants(t, "an amount like a card", h.post(initPath, "kz", sale("4111111111111111")), 422, "amount_out_of_range")
	if a := h.get("/v1/payments?created_from=2026-01-02T03:04:05Z"); a.Code != 200 || len(a.doc["data"].([]any)) != 2 {
		t.Errorf("list = %d %s", a.Code, a.Body)
	}
}

// TestHead: what is wrong with a request's address, headers and method.
func TestHead(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	read, fenced, gone := h.newKey(200, "", project.ScopeRead), h.newKey(202, "", scopes()...), h.newKey(200, "", scopes()...)
	name, _ := project.KeyOf(gone)
	if err := h.api.RevokeKey(t.Context(), name, operator.Actor{}); err != nil {
		t.Fatal(err)
	}
	good := sale("50.00")
	tests := []struct {
		name    string
		request *http.Request
		status  int
		code    string
	}{
		{"no key", h.request("GET", "/v1/payments", "", "Authorization", ""), 401, "unauthenticated"},
		{"no bearer", h.request("GET", "/v1/payments", "", "Authorization", "Basic "+h.key), 401, "unauthenticated"},
		{"wrong key", h.request("GET", "/v1/payments", "", "Authorization", "Bearer "+h.key[:len(h.key)-1]+"x"), 401, "unauthenticated"},
		{"no key at all", h.request("GET", "/v1/payments", "", "Authorization", "Bearer x"), 401, "unauthenticated"},
		{"a key of bucket 255", h.request("GET", "/v1/payments", "", "Authorization", "Bearer sk_"+strings.Repeat("7", 26)+"_"+strings.Repeat("k", 32)), 401, "unauthenticated"},
		{"revoked key", h.request("GET", "/v1/payments", "", "Authorization", "Bearer "+gone), 401, "unauthenticated"},
		{"scope", h.request("POST", initPath, good, "Authorization", "Bearer "+read, "Idempotency-Key", "k"), 403, "forbidden"},
		{"address", h.request("GET", "/v1/payments", "", "Authorization", "Bearer "+fenced), 403, "ip_not_allowed"},
		{"no idempotency key", h.request("POST", initPath, good), 400, "idempotency_key_missing"},
		{"idempotency key with a space", h.request("POST", initPath, good, "Idempotency-Key", "a b"), 400, "bad_header"},
		{"idempotency key too long", h.request("POST", initPath, good, "Idempotency-Key", strings.Repeat("k", 256)), 400, "bad_header"},
		{"two idempotency keys", h.request("POST", initPath, good, "Idempotency-Key", "a", "Idempotency-Key", "b"), 400, "bad_header"},
		{"another idempotency key in the body", h.request("POST", initPath, sale("50.00", `,"idempotency_key":"b"`), "Idempotency-Key", "a"), 400, "bad_header"},
		{"a card as idempotency key", h.request("POST", initPath, good, "Idempotency-Key", "4111111111111111"), 422, "pan_not_allowed"},
		{"a card in a header", h.request("GET", "/v1/payments", "", "X-Card", "4111 1111 1111 1111"), 422, "pan_not_allowed"},
		{"a card in the query", h.request("GET", "/v1/payments?customer_id=4111111111111111", ""), 422, "pan_not_allowed"},
		{"form", h.request("POST", initPath, "amount=50.00", "Content-Type", "application/x-www-form-urlencoded", "Idempotency-Key", "k"), 415, "unsupported_media_type"},
		{"zipped", h.request("POST", initPath, good, "Content-Encoding", "gzip", "Idempotency-Key", "k"), 415, "unsupported_media_type"},
		{"long address", h.request("GET", "/v1/payments?cursor="+strings.Repeat("x", 9000), ""), 414, "too_large"},
		{"large header", h.request("GET", "/v1/payments", "", "X-Long", strings.Repeat("x", 33<<10)), 431, "too_large"},
		{"no such call", h.request("GET", "/v1/nothing", ""), 404, "not_found"},
		{"method", h.request("DELETE", "/v1/payments", ""), 405, "method_not_allowed"},
		{"no such payment", h.request("GET", "/v1/payments/pay_01k4aq3x8n0g2v5b7d9f1h3j5m", ""), 404, "not_found"},
		{"no id", h.request("GET", "/v1/payments/x", ""), 404, "not_found"},
		{"a payment of bucket 255", h.request("GET", "/v1/payments/pay_"+strings.Repeat("7", 26), ""), 404, "not_found"},
		{"unknown parameter", h.request("GET", "/v1/payments?state=captured", ""), 422, "validation_failed"},
		{"repeated parameter", h.request("GET", "/v1/payments?limit=1&limit=2", ""), 422, "validation_failed"},
		{"limit", h.request("GET", "/v1/payments?limit=101", ""), 422, "validation_failed"},
		{"cursor", h.request("GET", "/v1/payments?cursor=x", ""), 422, "validation_failed"},
		{"status", h.request("GET", "/v1/payments?status=new", ""), 422, "validation_failed"},
	}
	for _, tt := range tests {
		a := h.send(tt.request)
		wants(t, tt.name, a, tt.status, tt.code)
		if strings.Contains(a.Body.String(), "4111") {
			t.Errorf("%s: the card number comes back: %s", tt.name, a.Body)
		}
		if tt.status == 401 && a.Header().Get("WWW-Authenticate") == "" || tt.status == 405 && a.Header().Get("Allow") != "GET" {
			t.Errorf("%s: %v", tt.name, a.Header())
		}
	}
	for _, from := range []string{"192.0.2.7", "::ffff:192.0.2.7", "2001:db8::9"} {
		h.from = netip.MustParseAddr(from)
		if a := h.send(h.request("GET", "/v1/payments", "", "Authorization", "Bearer "+fenced)); a.Code != 200 {
			t.Errorf("from %s = %d", from, a.Code)
		}
	}
	if p, a, r := h.rows(); p+a+r != 0 {
		t.Errorf("%d payments, %d answers and %d names are left", p, a, r)
	}
}

// TestKeys: a key ends when it is revoked and when its time is over, at once in
// this process.
func TestKeys(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	short, _ := project.KeyOf(h.key)
	if err := h.api.ExpireKey(t.Context(), short, h.clock().Add(time.Minute).UnixMicro(), operator.Actor{}); err != nil {
		t.Fatal(err)
	}
	if a := h.get("/v1/payments"); a.Code != 200 {
		t.Errorf("a key that still has a minute = %d", a.Code)
	}
	h.pass(time.Minute)
	wants(t, "a key whose time is over", h.get("/v1/payments"), 401, "unauthenticated")
	h.key = h.newKey(200, "", scopes()...)
	if a := h.get("/v1/payments"); a.Code != 200 {
		t.Errorf("another key = %d", a.Code)
	}
	k, _ := project.KeyOf(h.key)
	if err := h.api.RevokeKey(t.Context(), k, operator.Actor{}); err != nil {
		t.Fatal(err)
	}
	wants(t, "a revoked key", h.get("/v1/payments"), 401, "unauthenticated")
}

// TestOthersThings: a key of another project finds nothing, on any call that names
// a thing.
func TestOthersThings(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pay := h.post(initPath, "k", sale("1.00", `,"merchant_payment_id":"order-1"`)).text("payment_id")
	refund := h.post("/v1/payments/"+pay+"/refunds", "k", `{}`).text("refund_id")
	event := h.get("/v1/payments/"+pay+"/events").text("data", "0", "event_id")
	moved := h.post("/v1/wallet/credit", "k", `{"txn_id":"t","customer_id":"c","amount":"1.00","currency":"EUR"}`).text("transfer_id")
	hook := h.post(hooksPath, "k", `{"url":"https://shop.example/hooks"}`).text("endpoint_id")
	h.post(creditPath, "k", move("t", "9.00"))
	payout := h.post(payoutPath, "k", payout("1.00", `,"merchant_payout_id":"payout-1"`)).text("payout_id")
	stranger := h.newKey(203, "", scopes()...)
	doc, _ := document()
	named := 0
	for pattern, calls := range at(doc, "paths").(map[string]any) {
		path := strings.NewReplacer(
			"{payment_id}", pay, "{payout_id}", payout, "{refund_id}", refund, "{operation_id}", refund, "{event_id}", event, "{transfer_id}", moved, "{endpoint_id}", hook,
		).Replace(pattern)
		if path == pattern {
			continue
		}
		for method := range calls.(map[string]any) {
			named++
			body := ""
			if method == "post" || method == "patch" {
				body = "{}"
			}
			a := h.send(h.request(strings.ToUpper(method), path, body, "Authorization", "Bearer "+stranger, "Idempotency-Key", "k2"))
			wants(t, method+" "+pattern, a, 404, "not_found")
		}
	}
	if named < 16 {
		t.Errorf("only %d calls name a thing", named)
	}
	if a := h.get(hooksPath + "/" + hook); a.Code != 200 {
		t.Errorf("after the stranger's calls the endpoint is %d %s", a.Code, a.Body)
	}
	if a := h.send(h.request("GET", hooksPath, "", "Authorization", "Bearer "+stranger)); len(a.doc["data"].([]any)) != 0 {
		t.Errorf("a stranger's endpoints = %s", a.Body)
	}
	for _, list := range []string{"/v1/payments", "/v1/refunds", "/v1/operations", "/v1/events", "/v1/customers", "/v1/accounts"} {
		if a := h.send(h.request("GET", list, "", "Authorization", "Bearer "+stranger)); len(a.doc["data"].([]any)) != 0 {
			t.Errorf("a stranger's %s = %s", list, a.Body)
		}
	}
	for _, list := range []string{"/v1/payouts", "/v1/payouts?merchant_payout_id=payout-1"} {
		if a := h.send(h.request("GET", list, "", "Authorization", "Bearer "+stranger)); a.Code != 200 || len(a.doc["data"].([]any)) != 0 {
			t.Errorf("a stranger's %s = %d %s", list, a.Code, a.Body)
		}
	}
	if a := h.send(h.request("GET", "/v1/payments?merchant_payment_id=order-1", "", "Authorization", "Bearer "+stranger)); len(a.doc["data"].([]any)) != 0 {
		t.Errorf("a stranger's list by name = %s", a.Body)
	}
}

// TestEveryCallHasAScope: but those that are for everybody.
func TestEveryCallHasAScope(t *testing.T) {
	t.Parallel()
	doc, _ := document()
	open := []string{"/v1/openapi.json", "/v1/errors/{code}", "/v1/payments/webhook"} // the last has a signature
	for pattern, calls := range at(doc, "paths").(map[string]any) {
		for method, op := range calls.(map[string]any) {
			scope, _ := at(op, "x-scope").(string)
			if !project.Scope(scope).Known() && !slices.Contains(open, pattern) {
				t.Errorf("%s %s has scope %q", method, pattern, scope)
			}
		}
	}
}

// TestProblemForm: the same facts in the form of RFC 9457, for who asks for it.
func TestProblemForm(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a := h.send(h.request("GET", "/v1/payments/x", "", "Accept", "application/json;q=0.5, application/problem+json"))
	trace := a.Header().Get("Aorta-Trace-Id")
	want := map[string]any{
		"type": "https://pay.example/v1/errors/not_found", "title": "not found", "status": float64(404), "detail": "There is no such thing.",
		"instance": "urn:trace:" + trace, "error": "not_found", "trace_id": trace, "details": map[string]any{},
	}
	got, _ := json.Marshal(a.doc)
	if w, _ := json.Marshal(want); string(got) != string(w) || !strings.HasPrefix(a.Header().Get("Content-Type"), "application/problem+json") {
		t.Errorf("problem = %s %v\nwant %s", got, a.Header(), w)
	}
	about := h.send(h.request("GET", "/v1/errors/not_found", "", "Authorization", ""))
	if about.Code != 200 || about.text("status") != "404" {
		t.Errorf("its type says %d %s", about.Code, about.Body)
	}
	kept := h.post(initPath, "k", sale("2.00"), "Accept", "application/problem+json")
	again := h.post(initPath, "k", sale("2.00"))
	if kept.Code != 402 || kept.text("instance") == "" || again.Body.String() != kept.Body.String() || again.Header().Get("Content-Type") != kept.Header().Get("Content-Type") {
		t.Errorf("a problem that was kept = %s %s\nthen %s", kept.Header().Get("Content-Type"), kept.Body, again.Body)
	}
}

// TestPace: a key that calls too often is told when to come again; others are not
// held up.
func TestPace(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(_ *house, o *api.Options) { o.Rate, o.Burst = 0.5, 2 })
	other := h.newKey(200, "", scopes()...)
	first := h.get("/v1/payments")
	if first.Code != 200 || first.Header().Get("RateLimit") != `"key";r=1;t=2` || first.Header().Get("RateLimit-Policy") != `"key";q=2;w=4` {
		t.Errorf("first = %d %v", first.Code, first.Header())
	}
	h.get("/v1/payments")
	a := h.get("/v1/payments")
	wants(t, "third", a, 429, "rate_limited")
	if a.Header().Get("Retry-After") != "2" || a.Header().Get("RateLimit") != `"key";r=0;t=4` {
		t.Errorf("third: %v", a.Header())
	}
	if a := h.send(h.request("GET", "/v1/payments", "", "Authorization", "Bearer "+other)); a.Code != 200 {
		t.Errorf("another key = %d", a.Code)
	}
	h.pass(2 * time.Second)
	if a := h.get("/v1/payments"); a.Code != 200 {
		t.Errorf("after Retry-After = %d", a.Code)
	}
}

// TestCrowd: beyond so many calls at once the next one is refused unread.
func TestCrowd(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(_ *house, o *api.Options) { o.InFlight = 1 })
	body, slow := io.Pipe()
	r := h.request("POST", initPath, "", "Idempotency-Key", "k")
	r.Body = body
	ended := make(chan struct{})
	go func() { defer close(ended); h.api.ServeHTTP(httptest.NewRecorder(), r) }()
	if _, err := slow.Write([]byte("{")); err != nil { // it is being read
		t.Fatal(err)
	}
	a := h.get("/v1/payments")
	wants(t, "a call beyond the bound", a, 503, "overloaded")
	if a.Header().Get("Retry-After") == "" {
		t.Errorf("%v", a.Header())
	}
	_ = slow.Close()
	<-ended
	if a := h.get("/v1/payments"); a.Code != 200 {
		t.Errorf("when the other has ended = %d", a.Code)
	}
}

// TestStoreTroubles: what nobody knows is 500, what did not happen is 503, and the
// log knows what the caller is not told.
func TestStoreTroubles(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	var mu sync.Mutex
	h := newHouse(t, func(h *house, o *api.Options) {
		o.Log = slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil))
		o.Read = brittle{h.reader()}
	})
	wants(t, "a read that fails", h.get("/v1/payments?limit=99"), 503, "storage_unavailable")
	var ill bool
	h.homes[0].Fail = func(s book.Step) book.Fault {
		mu.Lock()
		defer mu.Unlock()
		if ill {
			return book.FaultAway
		}
		return book.FaultNone
	}
	set := func(v bool) { mu.Lock(); ill = v; mu.Unlock() }
	set(true)
	a := h.post(initPath, "k", sale("1.00"))
	set(false)
	wants(t, "the store is away", a, 503, "storage_unavailable")
	if a.Header().Get("Retry-After") == "" {
		t.Errorf("%v", a.Header())
	}
	if a := h.post(initPath, "k", sale("1.00")); a.Code != 200 {
		t.Errorf("again = %d %s", a.Code, a.Body)
	}
	broken := h.get("/v1/payments?limit=98")
	wants(t, "a bug", broken, 500, "internal")
	mu.Lock()
	defer mu.Unlock()
	if strings.Contains(broken.Body.String(), "boom") || !strings.Contains(log.String(), "boom") || !strings.Contains(log.String(), broken.text("trace_id")) {
		t.Errorf("told %s, logged %s", broken.Body, log.String())
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	b  *strings.Builder
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

// brittle reads, but for lists of 99, and of 98, which make it break.
type brittle struct{ book.Reader }

func (b brittle) ListPayments(ctx context.Context, f book.PaymentFilter, before id.Payment, limit int) ([]payment.Payment, id.Payment, error) {
	switch limit {
	case 99:
		return nil, before, errors.New("away")
	case 98:
		panic("boom")
	}
	return b.Reader.ListPayments(ctx, f, before, limit)
}
