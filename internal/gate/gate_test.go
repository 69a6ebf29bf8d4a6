package gate_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/gate"
	"aorta/internal/id"
	"aorta/internal/sign"
)

// TestConversations replays what a merchant and Gate say to one another, with the
// callbacks in between: testdata/conversations is the promise to merchants.
func TestConversations(t *testing.T) {
	t.Parallel()
	refund := func(payment string) string {
		return `{"general":{"project_id":200,"payment_id":"gate-1"},"payment":` + payment + `}`
	}
	type step struct{ path, body, page string } // page: what the customer does before
	tests := []struct {
		name  string
		page  bool // whether the PSP wants the customer on its page
		steps []step
	}{
		{name: "approved", steps: []step{{path: salePath, body: saleBody}, {path: statusPath, body: statusBody}}},
		{name: "redirect-approved", page: true, steps: []step{
			{path: salePath, body: strings.Replace(saleBody, `}}`, `,"description":"two; teas"},"return_url":{"success":"https://shop.example/ok"}}`, 1)},
			{path: statusPath, body: statusBody},
			{path: statusPath, body: statusBody, page: "pays"},
		}},
		{name: "redirect-declined", page: true, steps: []step{{path: salePath, body: saleBody}, {path: statusPath, body: statusBody, page: "declines"}}},
		{name: "redirect-expired", page: true, steps: []step{{path: salePath, body: saleBody}, {path: statusPath, body: statusBody, page: "leaves"}}},
		{name: "full-refund", steps: []step{
			{path: salePath, body: saleBody},
			{path: refundPath, body: refund(`{"description":"all"}`)},
			{path: statusPath, body: statusBody},
		}},
		{name: "partial-refunds", steps: []step{
			{path: salePath, body: saleBody},
			{path: refundPath, body: refund(`{"description":"part","amount":100,"currency":"INR","merchant_refund_id":"r-1"}`)},
			{path: "/v2/payment/card/refund", body: refund(`{"description":"part","amount":150,"currency":"INR","merchant_refund_id":"r-2"}`)},
			{path: refundPath, body: refund(`{"description":"more","amount":1,"currency":"INR"}`)},
			{path: refundPath, body: refund(`{"description":"part","amount":100,"currency":"INR","merchant_refund_id":"r-1"}`)},
			{path: statusPath, body: statusBody},
		}},
		{name: "over-refund", steps: []step{
			{path: salePath, body: saleBody},
			{path: refundPath, body: refund(`{"description":"too much","amount":251,"currency":"INR"}`)},
			{path: statusPath, body: statusBody},
		}},
		{name: "refund-declined", steps: []step{
			{path: salePath, body: saleBody},
			{path: refundPath, body: refund(`{"description":"unlucky","amount":13,"currency":"INR"}`)},
		}},
		{name: "sum-remaining", steps: []step{
			{path: salePath, body: strings.Replace(strings.Replace(saleBody, "200", "201", 1),
				`"payment_id":"gate-1"`, `"payment_id":"gate-1","merchant_callback_url":"https://shop.example/own"`, 1)},
			{path: refundPath, body: strings.Replace(refund(`{"description":"part","amount":100,"currency":"INR"}`), "200", "201", 1)},
			{path: statusPath, body: strings.Replace(statusBody, "200", "201", 1)},
		}},
		{name: "repeated", steps: []step{
			{path: salePath, body: saleBody},
			{path: salePath, body: saleBody},
			{path: salePath, body: `{"general":{"project_id":200,"payment_id":"GATE-1"},"customer":{"id":"9","ip_address":"::1"},"payment":{"amount":1,"currency":"INR"}}`},
		}},
		{name: "refund-too-early", page: true, steps: []step{{path: salePath, body: saleBody}, {path: refundPath, body: refund(`{"description":"all"}`)}}},
		{name: "unknown-payment", steps: []step{{path: statusPath, body: statusBody}, {path: refundPath, body: refund(`{"description":"all"}`)}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.psp.page = tt.page
			var said bytes.Buffer
			for _, s := range tt.steps {
				h.pass(time.Second)
				switch s.page {
				case "pays", "declines":
					h.pay("gate-1", s.page == "pays")
				case "leaves":
					h.pass(time.Hour)
					h.sweep()
				}
				tell(&said, h)
				body := signed(s.body)
				w := h.post(s.path, body)
				fmt.Fprintf(&said, "POST %s\n%s\n\n%d\n%s\n\n", s.path, body, w.Code, w.Body)
				if s.path == statusPath && w.Code == http.StatusOK {
					verify(t, w.Body.Bytes(), sign.AtRoot)
				}
				h.settle()
				tell(&said, h)
			}
			golden(t, "conversations/"+tt.name+".txt", said.Bytes())
		})
	}
}

func tell(said *bytes.Buffer, h *house) {
	for _, body := range h.callbacks {
		fmt.Fprintf(said, "callback\n%s\n\n", body)
	}
	h.callbacks = nil
}

// sweep takes up what has become due, as a worker does.
func (h *house) sweep() {
	h.t.Helper()
	rows, err := h.memory.Overdue(h.t.Context(), h.clock().UnixMicro(), nil, 100)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, d := range rows {
		if h.done[d.ID] && d.Owner != 0 {
			continue // a callback's row, which only package callback ends
		}
		if err := h.flows.Handle(h.t.Context(), d.Claim(h.clock().UnixMicro(), 1)); err != nil {
			h.t.Error(err)
		}
	}
	h.settle()
}

// TestRefusals: every way to be refused, by what is sent. Nothing is stored.
func TestRefusals(t *testing.T) {
	t.Parallel()
	const card = "4111111111111111"
	sale := func(old, text string) string {
		body := strings.Replace(saleBody, old, text, 1)
		if body == saleBody {
			panic("no " + old)
		}
		return signed(body)
	}
	refund := func(payment string) string {
		return signed(`{"general":{"project_id":200,"payment_id":"gate-1"},"payment":` + payment + `}`)
	}
	long := strings.Repeat("x", 256)
	tests := []struct {
		name  string
		path  string // salePath if empty
		body  string
		want  int
		code  string
		field string // of the first error; "" where there is none
	}{
		// 422: not JSON, or no object.
		{name: "empty body", body: ``, want: 422, code: "2003"},
		{name: "not JSON", body: `general=1`, want: 422, code: "2003"},
		{name: "cut off", body: saleBody[:60], want: 422, code: "2003"},
		{name: "a list", body: `[1]`, want: 422, code: "2003"},
		{name: "a text", body: `"x"`, want: 422, code: "2003"},
		{name: "null", body: `null`, want: 422, code: "2003"},
		{name: "two documents", body: signed(saleBody) + signed(saleBody), want: 422, code: "2003"},

		// 400, 702: what two readers could read differently.
		{name: "repeated key", body: `{"general":{"project_id":200,"project_id":201}}`, want: 400, code: "702", field: "general.project_id"},
		{name: "NUL", body: `{"general":{"payment_id":"a\u0000"}}`, want: 400, code: "702", field: "general.payment_id"},
		{name: "broken UTF-8", body: "{\"general\":{\"payment_id\":\"\xff\"}}", want: 400, code: "702", field: "general.payment_id"},
		{name: "half a surrogate", body: `{"general":{"payment_id":"\ud800"}}`, want: 400, code: "702", field: "general.payment_id"},
		{name: "too deep", body: `{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, want: 400, code: "702", field: "a" + strings.Repeat(".0", 31)},
		{name: "number above 2^53", body: sale("250", "9007199254740993"), want: 400, code: "702", field: "payment.amount"},
		{name: "number above 2^53 anywhere", body: sale(`{"amount"`, `{"x":-1e300,"amount"`), want: 400, code: "702", field: "payment.x"},
		{name: "fraction", body: sale("250", "2.5"), want: 400, code: "702", field: "payment.amount"},
		{name: "fraction of nothing", body: sale("250", "250.0"), want: 400, code: "702", field: "payment.amount"},

		// 413.
		{name: "2 MiB", body: `{"general":"` + strings.Repeat("x", 2<<20) + `"}`, want: 413, code: "702"},

		// 400, 310: card data, wherever it is.
		{name: "card number as payment id", body: sale("gate-1", card), want: 400, code: "310", field: "general.payment_id"},
		{name: "card number in a description", body: sale(`"INR"`, `"INR","description":"card 4111 1111 1111 1111"`), want: 400, code: "310", field: "payment.description"},
		{name: "card number as a number", body: sale(`"INR"`, `"INR","extra":`+card), want: 400, code: "310", field: "payment.extra"},
		{name: "card number as a name", body: sale(`"INR"`, `"INR","`+card+`":1`), want: 400, code: "310"},
		{name: "card number deep inside", body: sale(`"payment":`, `"x":[{"y":[0,"4111-1111-1111-1111"]}],"payment":`), want: 400, code: "310", field: "x.0.y.1"},
		{name: "card number as a phone", body: sale(`"id"`, `"phone":"`+card+`","id"`), want: 400, code: "310", field: "customer.phone"},
		{name: "card number as a request id", path: requestStatusPath, body: signed(`{"project_id":200,"request_id":"` + card + `"}`), want: 400, code: "310", field: "request_id"},
		{name: "card number, unsigned", body: strings.Replace(saleBody, "gate-1", card, 1), want: 400, code: "310", field: "general.payment_id"},
		{name: "card number as a repeated name", body: `{"` + card + `":1,"` + card + `":2}`, want: 400, code: "702"},
		{name: "cvv", body: sale(`"payment":`, `"card":{"cvv":"123"},"payment":`), want: 400, code: "310", field: "card.cvv"},
		{name: "cvc as a number", body: sale(`"payment":`, `"CVC2":123,"payment":`), want: 400, code: "310", field: "CVC2"},

		// general, project, signature.
		{name: "no general", body: `{"payment":{}}`, want: 400, code: "2004", field: "general"},
		{name: "general is a text", body: `{"general":"x"}`, want: 400, code: "702", field: "general"},
		{name: "no project", body: `{"general":{"payment_id":"gate-1"}}`, want: 400, code: "2004", field: "general.project_id"},
		{name: "project as a text", body: `{"general":{"project_id":"200"}}`, want: 400, code: "702", field: "general.project_id"},
		{name: "unknown project", body: signed(strings.Replace(saleBody, "200", "999", 1)), want: 400, code: "2442"},
		{name: "unknown project, unsigned", body: strings.Replace(saleBody, "200", "0", 1), want: 400, code: "2442"},
		{name: "no signature", body: saleBody, want: 400, code: "3262"},
		{name: "empty signature", body: strings.Replace(saleBody, `{"project_id"`, `{"signature":"","project_id"`, 1), want: 400, code: "3262"},
		{name: "signature is a number", body: strings.Replace(saleBody, `{"project_id"`, `{"signature":1,"project_id"`, 1), want: 400, code: "3262"},
		{name: "wrong signature", body: strings.Replace(saleBody, `{"project_id"`, `{"signature":"x","project_id"`, 1), want: 400, code: "3261"},
		{name: "signature of something else", body: strings.Replace(signed(saleBody), "250", "251", 1), want: 400, code: "3261"},
		{name: "wrong signature before missing fields", body: `{"general":{"project_id":200,"signature":"x"}}`, want: 400, code: "3261"},
		{name: "signature at the root", body: `{"signature":"x",` + saleBody[1:], want: 400, code: "3262"},
		{name: "address not allowed", body: signed(strings.Replace(saleBody, "200", "202", 1)), want: 403, code: "303"},

		// Missing and malformed fields.
		{name: "no payment id", body: sale(`,"payment_id":"gate-1"`, ``), want: 400, code: "2004", field: "general.payment_id"},
		{name: "payment id null", body: sale(`"gate-1"`, `null`), want: 400, code: "2004", field: "general.payment_id"},
		{name: "payment id empty", body: sale(`gate-1`, ``), want: 400, code: "2004", field: "general.payment_id"},
		{name: "payment id too long", body: sale(`gate-1`, long), want: 400, code: "3024", field: "general.payment_id"},
		{name: "payment id a number", body: sale(`"gate-1"`, `1`), want: 400, code: "702", field: "general.payment_id"},
		{name: "payment id an object", body: sale(`"gate-1"`, `{"a":"b"}`), want: 400, code: "702", field: "general.payment_id"},
		{name: "semicolon in payment id", body: sale(`gate-1`, `a;b`), want: 400, code: "3024", field: "general.payment_id"},
		{name: "control character in payment id", body: sale(`gate-1`, `a\nb`), want: 400, code: "3024", field: "general.payment_id"},
		{name: "no customer", body: sale(`"customer":{"id":"12345","ip_address":"192.0.2.10"},`, ``), want: 400, code: "2154", field: "customer.id"},
		{name: "no customer id", body: sale(`"id":"12345",`, ``), want: 400, code: "2154", field: "customer.id"},
		{name: "customer id too long", body: sale(`12345`, long), want: 400, code: "2124", field: "customer.id"},
		{name: "semicolon in customer id", body: sale(`12345`, `1;2`), want: 400, code: "2124", field: "customer.id"},
		{name: "customer id a number", body: sale(`"12345"`, `12345`), want: 400, code: "702", field: "customer.id"},
		{name: "customer is a text", body: sale(`{"id":"12345","ip_address":"192.0.2.10"}`, `"12345"`), want: 400, code: "702", field: "customer"},
		{name: "no ip address", body: sale(`,"ip_address":"192.0.2.10"`, ``), want: 400, code: "2004", field: "customer.ip_address"},
		{name: "ip address malformed", body: sale(`192.0.2.10`, `192.0.2.256`), want: 400, code: "502", field: "customer.ip_address"},
		{name: "phone malformed", body: sale(`"id"`, `"phone":"+91 98000","id"`), want: 400, code: "502", field: "customer.phone"},
		{name: "name too long", body: sale(`"id"`, `"first_name":"`+long+`","id"`), want: 400, code: "502", field: "customer.first_name"},
		{name: "no payment", body: signed(`{"general":{"project_id":200,"payment_id":"gate-1"},"customer":{"id":"1","ip_address":"::1"}}`), want: 400, code: "2004", field: "payment.amount"},
		{name: "payment is a list", body: sale(`{"amount":250,"currency":"INR"}`, `[250]`), want: 400, code: "702", field: "payment"},
		{name: "no amount", body: sale(`"amount":250,`, ``), want: 400, code: "2004", field: "payment.amount"},
		{name: "amount a text", body: sale(`250`, `"250"`), want: 400, code: "702", field: "payment.amount"},
		{name: "amount a truth", body: sale(`250`, `true`), want: 400, code: "702", field: "payment.amount"},
		{name: "no currency", body: sale(`,"currency":"INR"`, ``), want: 400, code: "2004", field: "payment.currency"},
		{name: "currency in small letters", body: sale(`INR`, `inr`), want: 400, code: "3121", field: "payment.currency"},
		{name: "no such currency", body: sale(`INR`, `ABC`), want: 400, code: "3121", field: "payment.currency"},
		{name: "description too long", body: sale(`"INR"`, `"INR","description":"`+long+`"`), want: 400, code: "502", field: "payment.description"},
		{name: "callback without TLS", body: sale(`"payment_id"`, `"merchant_callback_url":"http://shop.example/","payment_id"`), want: 400, code: "502", field: "general.merchant_callback_url"},
		{name: "callback with a password", body: sale(`"payment_id"`, `"merchant_callback_url":"https://a:b@shop.example/","payment_id"`), want: 400, code: "502", field: "general.merchant_callback_url"},
		{name: "success callback without TLS", body: sale(`"payment_id"`, `"merchant_success_callback_url":"http://shop.example/","payment_id"`), want: 400, code: "502", field: "general.merchant_success_callback_url"},
		{name: "decline callback to a script", body: sale(`"payment_id"`, `"merchant_decline_callback_url":"javascript:1","payment_id"`), want: 400, code: "502", field: "general.merchant_decline_callback_url"},
		{name: "callback a text", body: sale(`"payment":`, `"callback":"none","payment":`), want: 400, code: "702", field: "callback"},
		{name: "delay too long", body: sale(`"payment":`, `"callback":{"delay":601},"payment":`), want: 400, code: "502", field: "callback.delay"},
		{name: "delay into the past", body: sale(`"payment":`, `"callback":{"delay":-1},"payment":`), want: 400, code: "502", field: "callback.delay"},
		{name: "delay a text", body: sale(`"payment":`, `"callback":{"delay":"5"},"payment":`), want: 400, code: "702", field: "callback.delay"},
		{name: "delay a truth", body: sale(`"payment":`, `"callback":{"delay":true},"payment":`), want: 400, code: "702", field: "callback.delay"},
		{name: "force_disable a text", body: sale(`"payment":`, `"callback":{"force_disable":"yes"},"payment":`), want: 400, code: "702", field: "callback.force_disable"},
		{name: "force_disable 2", body: sale(`"payment":`, `"callback":{"force_disable":2},"payment":`), want: 400, code: "702", field: "callback.force_disable"},
		{name: "force_disable in a value", body: sale(`"INR"`, `"INR","description":"x;callback:force_disable:1"`), want: 400, code: "702", field: "payment.description"},
		{name: "callback to a file", body: sale(`"payment_id"`, `"merchant_callback_url":"file:///etc/passwd","payment_id"`), want: 400, code: "502", field: "general.merchant_callback_url"},
		{name: "callback to nowhere", body: sale(`"payment_id"`, `"merchant_callback_url":"https://","payment_id"`), want: 400, code: "502", field: "general.merchant_callback_url"},
		{name: "return to a script", body: sale(`"payment":`, `"return_url":{"success":"javascript:alert(1)"},"payment":`), want: 400, code: "502", field: "return_url.success"},
		{name: "return_url a text", body: sale(`"payment":`, `"return_url":"https://shop.example","payment":`), want: 400, code: "702", field: "return_url"},

		// Fields hidden from us and not from a signer.
		{name: "amount in a key", body: sale(`"payment":{`, `"payment:x":1,"payment":{`), want: 400, code: "702", field: "payment:x"},
		{name: "refund id in a key", path: refundPath, body: refund(`{"description":"x","merchant_refund_id:r":"1"}`), want: 400, code: "702", field: "payment.merchant_refund_id:r"},
		{name: "refund id in a value", path: refundPath, body: refund(`{"description":"x;payment:merchant_refund_id:r-1"}`), want: 400, code: "702", field: "payment.description"},
		{name: "amount in the payment id", body: sale(`gate-1`, `x;payment:amount:1`), want: 400, code: "3024", field: "general.payment_id"},
		{name: "amount in the payment id, status", path: statusPath, body: signed(strings.Replace(statusBody, "gate-1", "x;payment:amount:1", 1)), want: 400, code: "3024", field: "general.payment_id"},
		{name: "amount in the customer id", body: sale(`12345`, `x;payment:amount:1`), want: 400, code: "2124", field: "customer.id"},
		{name: "amount in the customer id, refund", path: refundPath, body: signed(`{"general":{"project_id":200,"payment_id":"gate-1"},"customer":{"id":"x;payment:amount:1"},"payment":{"description":"x"}}`), want: 400, code: "2124", field: "customer.id"},
		{name: "amount in what is only called like an id", body: sale(`"payment":{`, `"general.payment_id":"x;payment:amount:1","payment":{`), want: 400, code: "702", field: "general.payment_id"},
		{name: "semicolon in a key", body: sale(`"payment":{`, `"x;y":1,"payment":{`), want: 400, code: "702", field: "x;y"},

		// What only the project's settings can tell.
		{name: "unknown method", path: "/v2/payment/wallet/nopay/sale", body: signed(saleBody), want: 400, code: "2541"},
		{name: "unknown method, refund", path: "/v2/payment/wallet/nopay/refund", body: refund(`{"description":"x"}`), want: 400, code: "2541"},
		{name: "other currency", body: sale(`INR`, `USD`), want: 400, code: "3023", field: "payment.currency"},
		{name: "0.99", body: sale(`250`, `99`), want: 400, code: "3358", field: "payment.amount"},
		{name: "nothing", body: sale(`250`, `0`), want: 400, code: "3358", field: "payment.amount"},
		{name: "less than nothing", body: sale(`250`, `-250`), want: 400, code: "3358", field: "payment.amount"},
		{name: "10,000,000.00", body: sale(`250`, `1000000000`), want: 400, code: "2642", field: "payment.amount"},
		{name: "an amount that looks like a card", body: sale(`250`, card), want: 400, code: "2642", field: "payment.amount"},

		// Refunds.
		{name: "refund of an unknown payment", path: refundPath, body: refund(`{"description":"x"}`), want: 400, code: "3061"},
		{name: "refund without description", path: refundPath, body: refund(`{}`), want: 400, code: "2004", field: "payment.description"},
		{name: "refund without payment", path: refundPath, body: signed(statusBody), want: 400, code: "2004", field: "payment.description"},
		{name: "refund amount alone", path: refundPath, body: refund(`{"description":"x","amount":1}`), want: 400, code: "3287", field: "payment.currency"},
		{name: "refund currency empty", path: refundPath, body: refund(`{"description":"x","amount":1,"currency":""}`), want: 400, code: "3284", field: "payment.currency"},
		{name: "refund currency alone", path: refundPath, body: refund(`{"description":"x","currency":"INR"}`), want: 400, code: "3286", field: "payment.amount"},
		{name: "semicolon in refund id", path: refundPath, body: refund(`{"description":"x","merchant_refund_id":"a;b"}`), want: 400, code: "702", field: "payment.merchant_refund_id"},

		// Status.
		{name: "status of an unknown payment", path: statusPath, body: signed(statusBody), want: 400, code: "3061"},
		{name: "status without payment id", path: statusPath, body: signed(`{"general":{"project_id":200}}`), want: 400, code: "2004", field: "general.payment_id"},
		{name: "status, wrong signature", path: statusPath, body: `{"general":{"project_id":200,"payment_id":"gate-1","signature":"x"}}`, want: 400, code: "3261"},
		{name: "unknown request", path: requestStatusPath, body: signed(`{"project_id":200,"request_id":"0123456789abcdef0123456789abcdef-00000001"}`), want: 404, code: "3061", field: "request_id"},
		{name: "no request id of ours", path: requestStatusPath, body: signed(`{"project_id":200,"request_id":"x"}`), want: 404, code: "3061", field: "request_id"},
		{name: "no request id", path: requestStatusPath, body: signed(`{"project_id":200}`), want: 400, code: "2004", field: "request_id"},
		{name: "request status, signature in general", path: requestStatusPath, body: `{"project_id":200,"request_id":"x","general":{"signature":"x"}}`, want: 400, code: "3262"},

		// Paths.
		{name: "no such path", path: "/v2/payment", body: signed(saleBody), want: 404, code: "702"},
		{name: "other group", path: "/v2/payment/card/sale", body: signed(saleBody), want: 404, code: "702"},
		{name: "other action", path: "/v2/payment/wallet/paytm/payout", body: signed(saleBody), want: 404, code: "702"},
		{name: "no method", path: "/v2/payment/wallet//sale", body: signed(saleBody), want: 404, code: "702"},
		{name: "slash behind", path: salePath + "/", body: signed(saleBody), want: 404, code: "702"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			path := tt.path
			if path == "" {
				path = salePath
			}
			w := h.post(path, tt.body)
			var got struct {
				Status, Code, Message string
				RequestID             string `json:"request_id"`
				Errors                []struct {
					Code    int
					Message string
					Field   string
				}
			}
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatalf("answer %s: %v", w.Body, err)
			}
			field := ""
			if len(got.Errors) > 0 {
				field = got.Errors[0].Field
				if fmt.Sprint(got.Errors[0].Code) != tt.code || got.Errors[0].Message == "" {
					t.Errorf("errors[0] = %+v, want code %s", got.Errors[0], tt.code)
				}
			}
			if w.Code != tt.want || got.Status != "error" || got.Code != tt.code || field != tt.field || got.Message == "" || len(got.RequestID) != 32 {
				t.Errorf("POST %s %.200s\n= %d %s\nwant %d, code %s, field %q", path, tt.body, w.Code, w.Body, tt.want, tt.code, tt.field)
			}
			for _, leak := range []string{card, "4111 1111", "4111-1111", "123\""} {
				if strings.Contains(w.Body.String(), leak) {
					t.Errorf("answer repeats %q: %s", leak, w.Body)
				}
			}
			h.empty()
		})
	}
}

// TestEverythingWrongAtOnce: a merchant sees all that is to mend, in order.
func TestEverythingWrongAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	w := h.post(salePath, signed(`{"general":{"project_id":200,"payment_id":"gate-1"},"customer":{"ip_address":"x"},"payment":{"amount":"1","currency":"?"}}`))
	golden(t, "refusals/all-at-once.json", w.Body.Bytes())
}

func TestOnlyPost(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodHead} {
		w := httptest.NewRecorder()
		h.gate.ServeHTTP(w, httptest.NewRequest(method, salePath, nil))
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != http.MethodPost || !strings.Contains(w.Body.String(), `"status":"error"`) {
			t.Errorf("%s = %d %v %s", method, w.Code, w.Header(), w.Body)
		}
	}
}

// counted is a body that says how much of it was read.
type counted struct {
	strings.Reader
	read int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += n
	return n, err
}

func TestLargeBodyIsNotReadWhole(t *testing.T) {
	t.Parallel()
	for name, length := range map[string]int64{"length said": 2 << 20, "length not said": -1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			body := &counted{Reader: *strings.NewReader(strings.Repeat(" ", 2<<20))}
			r := httptest.NewRequest(http.MethodPost, salePath, body)
			r.ContentLength = length
			w := httptest.NewRecorder()
			h.gate.ServeHTTP(w, r)
			if limit := 1<<20 + 4096; w.Code != http.StatusRequestEntityTooLarge || body.read > limit || length > 0 && body.read > 0 {
				t.Errorf("answer %d after %d bytes", w.Code, body.read)
			}
		})
	}
}

// TestTransport goes over a real connection, as a client of HTTP/1.0 would too.
func TestTransport(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	server := httptest.NewServer(h.gate)
	defer server.Close()
	for n, header := range []string{"application/json", "application/json; charset=utf-8", "", "application/x-www-form-urlencoded"} {
		body := signed(strings.Replace(saleBody, "gate-1", fmt.Sprintf("gate-%d", n), 1))
		answer, err := http.Post(server.URL+salePath, header, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("Content-Type %q = %d", header, answer.StatusCode)
		}
	}
}

func TestSaleWithoutCustomer(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.do(salePath, `{"general":{"project_id":201,"payment_id":"gate-1"},"customer":{"ip_address":"192.0.2.10"},"payment":{"amount":250,"currency":"INR"}}`)
	h.do(salePath, `{"general":{"project_id":201,"payment_id":"gate-2"},"customer":{"id":null,"email":"","ip_address":"192.0.2.10"},"payment":{"amount":100,"currency":"INR"},"return_url":[]}`)
	if len(h.callbacks) != 0 {
		t.Errorf("callbacks without an address: %s", h.callbacks)
	}
	w := h.post(statusPath, signed(`{"general":{"project_id":201,"payment_id":"gate-1"}}`))
	if strings.Contains(w.Body.String(), "customer") || !strings.Contains(w.Body.String(), `"status":"success"`) {
		t.Errorf("status = %s", w.Body)
	}
}

// TestLimitsOfAmount: the ends of the range belong to it.
func TestLimitsOfAmount(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, minor := range []string{"100", "999999999"} {
		h.do(salePath, strings.Replace(strings.Replace(saleBody, "250", minor, 1), "gate-1", minor, 1))
	}
}

// TestWhatIsKept: the way back and pass-through values lie beside the payment.
func TestWhatIsKept(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.do(salePath, strings.Replace(saleBody, `"INR"}`, `"INR","extra_param":"e"},"return_url":{"success":"https://s.example/ok","decline":"https://s.example/no","return":"https://s.example/"}`, 1))
	pay, err := h.flows.Find(t.Context(), h.projects[200], "gate-1")
	if err != nil {
		t.Fatal(err)
	}
	kept, _, _ := h.memory.Request(t.Context(), pay.ID.Raw())
	want := `{"success":"https://s.example/ok","decline":"https://s.example/no","return":"https://s.example/","params":{"extra_param":"e"}}`
	if kept.Body != want {
		t.Errorf("kept %s\nwant %s", kept.Body, want)
	}
	if pay.Door != gate.Door || pay.CallbackURL != "https://shop.example/callback" {
		t.Errorf("payment has door %q, callback address %q", pay.Door, pay.CallbackURL)
	}
}

// TestAllowedAddresses: an entry that cannot be read allows nobody.
func TestAllowedAddresses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		from string
		want int
	}{
		{"192.0.2.7", 200},
		{"::ffff:192.0.2.7", 200},
		{"2001:db8::9", 200},
		{"192.0.2.8", 403},
		{"2001:db9::9", 403},
	}
	for _, tt := range tests {
		h := newHouse(t)
		h.from = netip.MustParseAddr(tt.from)
		if w := h.post(salePath, signed(strings.Replace(saleBody, "200", "202", 1))); w.Code != tt.want {
			t.Errorf("from %s = %d %s, want %d", tt.from, w.Code, w.Body, tt.want)
		}
	}
	h := newHouse(t, func(_ *house, o *gate.Options) { o.ClientIP = nil })
	r := httptest.NewRequest(http.MethodPost, salePath, strings.NewReader(signed(strings.Replace(saleBody, "200", "202", 1))))
	r.RemoteAddr = "192.0.2.7:4321"
	w := httptest.NewRecorder()
	if h.gate.ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Errorf("from the socket's address = %d %s", w.Code, w.Body)
	}
}

// TestPace: a project that asks too often is told when to come again. Unsigned
// requests do not use up its pace.
func TestPace(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(_ *house, o *gate.Options) { o.Rate, o.Burst = 0.5, 2 })
	ask := func() *httptest.ResponseRecorder { return h.post(statusPath, signed(statusBody)) }
	for range 10 {
		h.post(statusPath, statusBody)
	}
	for n := range 2 {
		if w := ask(); w.Code != http.StatusBadRequest {
			t.Errorf("request %d = %d %s", n, w.Code, w.Body)
		}
	}
	w := ask()
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "2" || !strings.Contains(w.Body.String(), `"code":"601"`) {
		t.Errorf("third request = %d %v %s", w.Code, w.Header(), w.Body)
	}
	h.pass(2 * time.Second)
	if w := ask(); w.Code != http.StatusBadRequest {
		t.Errorf("after Retry-After = %d", w.Code)
	}
}

// TestCrowd: beyond so many requests at once the next one is refused unread, and
// taken again when one has ended.
func TestCrowd(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(_ *house, o *gate.Options) { o.InFlight = 1 })
	body, slow := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.gate.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, statusPath, body))
	}()
	if _, err := slow.Write([]byte("{")); err != nil { // it is being read
		t.Fatal(err)
	}
	w := h.post(statusPath, signed(statusBody))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "2" || !strings.Contains(w.Body.String(), `"code":"601"`) {
		t.Errorf("a request beyond the bound = %d %v %s", w.Code, w.Header(), w.Body)
	}
	_ = slow.Close()
	<-ended
	if w := h.post(statusPath, signed(statusBody)); w.Code != http.StatusBadRequest {
		t.Errorf("when the other has ended: %d %s", w.Code, w.Body)
	}
}

// TestStoreTroubles: what nobody knows is 500, what did not happen is 503.
func TestStoreTroubles(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault book.Fault
		want  int
		code  string
		again int // the same request once the store is well
	}{
		{name: "away", fault: book.FaultAway, want: 503, code: "601", again: 200},
		{name: "answer to commit lost, written", fault: book.FaultLostDone, want: 200, again: 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			var mu sync.Mutex
			ill := true
			h.memory.Fail = func(s book.Step) book.Fault {
				mu.Lock()
				defer mu.Unlock()
				if ill && (s == book.StepCommit || tt.fault == book.FaultAway) {
					ill = tt.fault == book.FaultAway
					return tt.fault
				}
				return book.FaultNone
			}
			w := h.post(salePath, signed(saleBody))
			if w.Code != tt.want || !strings.Contains(w.Body.String(), tt.code) || (w.Code == 503) != (w.Header().Get("Retry-After") != "") {
				t.Errorf("answer = %d %v %s", w.Code, w.Header(), w.Body)
			}
			mu.Lock()
			ill = false
			mu.Unlock()
			if w := h.post(salePath, signed(saleBody)); w.Code != tt.again {
				t.Errorf("again = %d %s, want %d", w.Code, w.Body, tt.again)
			}
		})
	}
}

// TestUnknownOutcome: the answer to a commit is lost and the store stays away. The
// merchant is told that we do not know, and learns it by repeating.
func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var mu sync.Mutex
	away := false
	h.memory.Fail = func(s book.Step) book.Fault {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case away:
			h.pass(time.Hour)
			return book.FaultAway
		case s == book.StepCommit:
			away = true
			return book.FaultLostDone
		}
		return book.FaultNone
	}
	w := h.post(salePath, signed(saleBody))
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), `"code":"501"`) {
		t.Errorf("answer = %d %s", w.Code, w.Body)
	}
	mu.Lock()
	h.memory.Fail = nil
	mu.Unlock()
	if w := h.post(salePath, signed(saleBody)); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"code":"3041"`) {
		t.Errorf("again = %d %s", w.Code, w.Body)
	}
}

// TestClosedBook: a house that is going down took nothing.
func TestClosedBook(t *testing.T) {
	t.Parallel()
	b, err := book.New(t.Context(), []book.Home{{Store: book.NewMemory()}}, book.Options{Now: time.Now, Random: bytes.NewReader(make([]byte, 1<<16))})
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	h := newHouse(t, func(h *house, o *gate.Options) { o.Flows = flowsOver(b, h) })
	w := h.post(salePath, signed(saleBody))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("answer = %d %v %s", w.Code, w.Header(), w.Body)
	}
}

// TestManyEqualSales: exactly one is taken.
func TestManyEqualSales(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	body := signed(saleBody)
	const many = 50
	answers := make([]*httptest.ResponseRecorder, many)
	var all sync.WaitGroup
	for n := range many {
		all.Go(func() { answers[n] = h.post(salePath, body) })
	}
	all.Wait()
	taken := 0
	for _, w := range answers {
		switch {
		case w.Code == http.StatusOK:
			taken++
		case w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"code":"3041"`):
			t.Errorf("answer = %d %s", w.Code, w.Body)
		}
	}
	if taken != 1 {
		t.Errorf("%d of %d were taken, want 1", taken, many)
	}
	h.settle()
	if len(h.callbacks) != 1 {
		t.Errorf("%d callbacks, want 1", len(h.callbacks))
	}
}

// TestManyRefunds: what goes back is never more than what came.
func TestManyRefunds(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.do(salePath, saleBody)
	h.callbacks = nil
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			body := fmt.Sprintf(`{"general":{"project_id":200,"payment_id":"gate-1"},"payment":{"description":"x","amount":100,"currency":"INR","merchant_refund_id":"r-%d"}}`, n%10)
			if w := h.post(refundPath, signed(body)); w.Code != http.StatusOK && !strings.Contains(w.Body.String(), `"code":"3230"`) {
				t.Errorf("answer = %d %s", w.Code, w.Body)
			}
		})
	}
	all.Wait()
	h.settle()
	done, declined := 0, 0
	for _, body := range h.callbacks {
		doc, _ := sign.ParseJSON(body)
		switch {
		case doc.Get("operation", "status").Text() == "success":
			done++
		case doc.Get("operation", "code").Text() == "3283" && !doc.Get("operation", "provider").Exists():
			declined++
		default:
			t.Errorf("callback %s", body)
		}
	}
	if done != 2 || declined != 8 {
		t.Errorf("%d refunds done and %d declined, want 2 and 8", done, declined)
	}
}

// TestRequestStatus: each answer's request id leads to its operation, for the
// project that made it alone.
func TestRequestStatus(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	sale := h.do(salePath, saleBody)
	refund := h.do(refundPath, `{"general":{"project_id":200,"payment_id":"gate-1"},"payment":{"description":"x","amount":251,"currency":"INR"}}`)
	for name, requestID := range map[string]string{"sale": sale, "refund": refund} {
		w := h.post(requestStatusPath, signed(`{"project_id":200,"request_id":"`+requestID+`"}`))
		if w.Code != http.StatusOK {
			t.Fatalf("status of %s = %d %s", name, w.Code, w.Body)
		}
		verify(t, w.Body.Bytes(), sign.AtGeneral)
		golden(t, "conversations/request-status-"+name+".json", w.Body.Bytes())
	}
	other := sale[:len(sale)-1] + string('0'+(sale[len(sale)-1]-'0'+1)%10)
	for name, body := range map[string]string{
		"another project": `{"project_id":201,"request_id":"` + sale + `"}`,
		"another number":  `{"project_id":200,"request_id":"` + other + `"}`,
		"capitals":        `{"project_id":200,"request_id":"` + strings.ToUpper(sale) + `"}`,
		"no bucket":       `{"project_id":200,"request_id":"` + sale[:12] + "ff" + sale[14:] + `"}`,
		"nothing":         `{"project_id":200,"request_id":"00000000000000000000000000000000-00000000"}`,
	} {
		if w := h.post(requestStatusPath, signed(body)); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), `"code":"3061"`) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	for _, body := range h.callbacks {
		doc, _ := sign.ParseJSON(body)
		want := map[string]string{"sale": sale, "refund": refund}[doc.Get("operation", "type").Text()]
		if got := doc.Get("operation", "request_id").Text(); got != want {
			t.Errorf("callback's request_id = %s, answered %s", got, want)
		}
	}
}

// TestStatusShowsTenOperations: more would not verify everywhere.
func TestStatusShowsTenOperations(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.do(salePath, saleBody)
	for range 12 {
		h.do(refundPath, `{"general":{"project_id":200,"payment_id":"gate-1"},"payment":{"description":"x","amount":1,"currency":"INR"}}`)
	}
	w := h.post(statusPath, signed(statusBody))
	verify(t, w.Body.Bytes(), sign.AtRoot)
	doc, err := sign.ParseJSON(w.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if got := doc.Get("operations").Len(); got != 10 {
		t.Errorf("%d operations, want 10", got)
	}
	last := int64(0)
	for o := range doc.Get("operations").Members() {
		number, _ := o.Get("id").Int()
		if number <= last || o.Get("type").Text() != "refund" {
			t.Errorf("operation %d (%s) after %d", number, o.Get("type").Text(), last)
		}
		last = number
	}
}

// TestMethodOfThePath: a payment is found only under its own method, or under card.
func TestMethodOfThePath(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.do("/v2/payment/wallet/mill/sale", saleBody)
	body := `{"general":{"project_id":200,"payment_id":"gate-1"},"payment":{"description":"x","amount":1,"currency":"INR"}}`
	if w := h.post(refundPath, signed(body)); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"code":"3061"`) {
		t.Errorf("refund by another method = %d %s", w.Code, w.Body)
	}
	h.do("/v2/payment/wallet/mill/refund", body)
	h.do("/v2/payment/card/refund", body)
	if w := h.post(refundPath, signed(strings.Replace(body, "INR", "USD", 1))); !strings.Contains(w.Body.String(), `"code":"3061"`) {
		t.Errorf("refund by another method in another currency = %s", w.Body)
	}
	w := h.post("/v2/payment/card/refund", signed(strings.Replace(body, "INR", "USD", 1)))
	if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"code":"3284"`) {
		t.Errorf("refund in another currency = %d %s", w.Code, w.Body)
	}
	for _, minor := range []string{"0", "-1"} {
		w := h.post("/v2/payment/card/refund", signed(strings.Replace(body, `"amount":1`, `"amount":`+minor, 1)))
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"code":"3358"`) {
			t.Errorf("refund of %s = %d %s", minor, w.Code, w.Body)
		}
	}
}

// TestKnownPaymentBeforeOtherFaults: the order of checks is duplicate, then
// semantic.
func TestKnownPaymentBeforeOtherFaults(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.do(salePath, saleBody)
	rows := h.rows()
	for _, body := range []string{strings.Replace(saleBody, "250", "1", 1), strings.Replace(saleBody, "INR", "USD", 1)} {
		if w := h.post(salePath, signed(body)); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"code":"3041"`) {
			t.Errorf("%s = %d %s", body, w.Code, w.Body)
		}
	}
	if again := h.rows(); again != rows {
		t.Errorf("%d rows after repeats, %d before", again, rows)
	}
	// The same name in another project is another payment.
	h.do(salePath, strings.Replace(saleBody, "200", "201", 1))
}

// TestTimestampsAndNumbersPass: what only looks like a card is no reason to refuse.
func TestTimestampsAndNumbersPass(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, id := range []string{"1767323045678", "order-1767323045678901", "4111111111111112", "2026-01-02 15.04.05.000"} {
		h.do(salePath, strings.Replace(saleBody, "gate-1", id, 1))
	}
	h.do(salePath, strings.Replace(saleBody, `"id":"12345"`, `"id":"12345","phone":"4915123456780"`, 1))
}

func TestInsecureCallbacksBySetting(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(_ *house, o *gate.Options) { o.AllowInsecureCallbacks = true })
	h.do(salePath, strings.Replace(saleBody, `"payment_id"`, `"merchant_callback_url":"http://127.0.0.1:8082/merchant/callback","payment_id"`, 1))
	pay, _ := h.flows.Find(t.Context(), h.projects[200], "gate-1")
	if pay.CallbackURL != "http://127.0.0.1:8082/merchant/callback" {
		t.Errorf("callback address = %q", pay.CallbackURL)
	}
}

// TestCallbackMembers: what a sale says of its callbacks is kept with the payment.
func TestCallbackMembers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		callback string
		delayS   int64
		mute     int64
	}{
		{`{}`, 0, 0},
		{`[]`, 0, 0},
		{`null`, 0, 0},
		{`{"delay":0,"force_disable":false}`, 0, 0},
		{`{"delay":600,"force_disable":true}`, 600, 1},
		{`{"delay":null,"force_disable":0}`, 0, 0},
		{`{"delay":1,"force_disable":1}`, 1, 1},
	} {
		h := newHouse(t)
		h.do(salePath, strings.NewReplacer(
			`"payment_id"`, `"merchant_success_callback_url":"https://shop.example/paid","merchant_decline_callback_url":"https://shop.example/not","payment_id"`,
			`"payment":`, `"callback":`+test.callback+`,"payment":`).Replace(saleBody))
		pay, err := h.flows.Find(t.Context(), h.projects[200], "gate-1")
		if err != nil || pay.CallbackDelayS != test.delayS || pay.CallbackMute != test.mute ||
			pay.SuccessURL != "https://shop.example/paid" || pay.DeclineURL != "https://shop.example/not" || pay.CallbackURL != "https://shop.example/callback" {
			t.Errorf("callback %s: %+v, %v", test.callback, pay, err)
		}
	}
}

// TestCallbackOfUnsignable: what an official verifier would refuse is not sent.
func TestCallbackOfUnsignable(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.psp.page = true
	h.do(salePath, saleBody)
	events, err := h.memory.ScanEvents(t.Context(), id.Event{}, 10)
	if err != nil || len(events) != 1 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	for _, redirect := range []string{`{`, `{"url":"x","method":"POST","fields":{"a;b":"1"}}`, `{"url":"x","method":"POST","fields":{"signature":"1"}}`} {
		w := h.workOf(events[0])
		w.Snapshot.Attempt.Redirect = redirect
		if body, _, err := gate.RenderCallback(w, h.projects[200]); err == nil {
			t.Errorf("redirect %s: %s", redirect, body)
		}
	}
}

// BenchmarkSale is a sale from the request's bytes to the answer's, on the book in
// memory, by many callers at once.
func BenchmarkSale(b *testing.B) {
	h := newHouse(b)
	var n atomic.Int64
	bodies := make([]string, b.N)
	for i := range bodies {
		bodies[i] = signed(strings.Replace(saleBody, "gate-1", fmt.Sprintf("gate-%d", i), 1))
	}
	b.ReportAllocs()
	b.SetParallelism(64)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if w := h.post(salePath, bodies[n.Add(1)-1]); w.Code != http.StatusOK {
				b.Errorf("answer = %d %s", w.Code, w.Body)
			}
		}
	})
}
