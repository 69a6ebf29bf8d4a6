package paypage_test

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"aorta/internal/connector"
	"aorta/internal/flow"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/paypage"
	"aorta/internal/project"
	"aorta/internal/sign"
	"aorta/web"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// tags are the parts of a screen that scripts and browsers act upon. What people
// read may change any day and is package web's.
var tags = regexp.MustCompile(`<(?:body|form|input|a|button)\b[^>]*>`)

// volatile is what differs each time, and what stands for it.
var volatile = []struct{ pattern, with string }{
	{` class="[^"]*"`, ""},
	{`name="request" value="[^"]*"`, `name="request" value="…"`},
	{`pay_[0-9a-z]{26}(\.[\w-]{43})?`, "pay_…"},
	{`att_[0-9a-z]{26}`, "att_…"},
	{`[0-9a-f]{32}-[0-9]{8}`, "request-id"},
	{`(signature&#34;:&#34;).{86,600}?(==&#34;)`, "$1…$2"},
	{`&#34;id&#34;:[0-9]+`, "&#34;id&#34;:1"},
}

// TestScreens holds what the screens of one payment do to their golden file.
func TestScreens(t *testing.T) {
	t.Parallel()
	h := newHouse(t, shop(), nil)
	query := signed(t, params("payment_description", "Green tea", "best_before", "2026-01-02T03:14:05Z", "merchant_return_redirect_mode", "blank_page"))
	screens := []answer{h.get("/payment?" + query)}
	session := h.pay(query)
	screens = append(screens, h.get(session), h.get(session+"?from=provider"))
	h.hear(connector.Approved, "")
	screens = append(screens, h.get(session+"?from=provider"))

	var got strings.Builder
	for _, s := range screens {
		got.WriteString(strings.Join(tags.FindAllString(s.body, -1), "\n") + "\n\n")
	}
	text := got.String()
	for _, v := range volatile {
		text = regexp.MustCompile(v.pattern).ReplaceAllString(text, v.with)
	}
	const file = "testdata/screens.html"
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("the screens differ from %s; -update rewrites it. Got:\n%s", file, text)
	}
}

// TestResultInEveryLanguage: what happened and why, in the language asked for.
func TestResultInEveryLanguage(t *testing.T) {
	t.Parallel()
	amounts := map[string]string{
		"ar": "\u200f25.00\u00a0₹", "en": "₹25.00", "es": "25,00\u00a0₹", "hi": "₹25.00", "ru": "25,00\u00a0₹",
	}
	tests := []struct {
		name    string
		kind    connector.Kind
		code    string
		outcome web.Outcome
		reason  web.Reason
	}{
		{"paid", connector.Approved, "", web.OutcomeSuccess, ""},
		{"no money", connector.Declined, payment.CodeExternalFunds, web.OutcomeDecline, web.ReasonInsufficientFunds},
		{"given up", connector.Declined, payment.CodeExternalCancelled, web.OutcomeDecline, web.ReasonCancelled},
		{"too late", connector.Declined, payment.CodeExternalTimeout, web.OutcomeDecline, web.ReasonTimeOver},
		{"limit", connector.Declined, payment.CodeExternalLimit, web.OutcomeDecline, web.ReasonLimit},
		{"provider down", connector.NotSent, "", web.OutcomeDecline, web.ReasonUnavailable},
		{"provider said no", connector.Declined, payment.CodeExternalDecline, web.OutcomeDecline, web.ReasonProvider},
		{"no reason", connector.Declined, payment.CodeGeneralDecline, web.OutcomeDecline, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, shop(), nil)
			session := h.pay(signed(t, params("merchant_fail_url", "https://shop.example/sorry")))
			h.hear(tt.kind, tt.code)
			for _, lang := range web.Languages() {
				a := h.get(session, "Accept-Language", lang+"-IN,en;q=0.1")
				want := []string{`<html lang="` + lang + `"`, web.Text(lang, "result."+string(tt.outcome)+".title"), amounts[lang]}
				if amounts[lang] == "" {
					t.Fatalf("how is ₹25.00 written in %s?", lang)
				}
				if tt.reason != "" {
					want = append(want, web.Text(lang, "reason."+string(tt.reason)))
				}
				if tt.outcome == web.OutcomeDecline {
					want = append(want, `href="https://shop.example/sorry"`)
				}
				for _, w := range want {
					if !strings.Contains(a.body, w) {
						t.Errorf("in %s the result lacks %q:\n%s", lang, w, a.body)
					}
				}
				if got := a.header.Get("Content-Language"); got != lang {
					t.Errorf("Content-Language = %q, want %q", got, lang)
				}
			}
		})
	}
	// What the merchant asks for is kept with the payment and outweighs the browser.
	h := newHouse(t, shop(), nil)
	session := h.pay(signed(t, params("language_code", "HI")))
	if a := h.get(session, "Accept-Language", "ru"); !strings.Contains(a.body, `<html lang="hi"`) {
		t.Errorf("language_code HI with a Russian browser shows another language:\n%s", a.body)
	}
}

// TestFinalRedirects: redirect_*_url with its mode and switch (ecommpay.md 2.2).
func TestFinalRedirects(t *testing.T) {
	t.Parallel()
	const ok, no, back = "https://shop.example/ok?a=1&b=2", "https://shop.example/no", "https://shop.example/back"
	urls := []string{"redirect_success_url", ok, "redirect_fail_url", no}
	tests := []struct {
		name     string
		more     []string
		frame    bool
		decline  string // code; "" is success
		location string // of a plain redirect
		shows    string // on the result screen
		lacks    string
	}{
		{name: "tab, success", more: urls, location: ok},
		{name: "tab, decline", more: urls, decline: payment.CodeExternalFunds, location: no},
		{name: "tab, parent", more: append(urls, "redirect_success_mode", "parent_page"), location: ok},
		{name: "tab, new window", more: append(urls, "redirect_success_mode", "blank_page"), shows: `data-redirect-mode="blank_page"`},
		{name: "frame", more: urls, frame: true, shows: `data-redirect-url="https://shop.example/ok?a=1&amp;b=2"`},
		{name: "frame, parent", more: append(urls, "redirect_success_mode", "parent_page"), frame: true, shows: `data-redirect-mode="parent_page"`},
		{name: "never", more: append(urls, "redirect_success_enabled", "0"), shows: "Payment successful", lacks: "data-redirect-url"},
		{name: "only in a tab, in a tab", more: append(urls, "redirect_success_enabled", "1"), location: ok},
		{name: "only in a tab, framed", more: append(urls, "redirect_success_enabled", "1"), frame: true, shows: "data-result", lacks: "data-redirect-url"},
		{name: "always, framed", more: append(urls, "redirect_success_enabled", "2"), frame: true, shows: "data-redirect-url"},
		{name: "gave up", more: []string{"redirect_return_url", back}, decline: payment.CodeExternalCancelled, location: back},
		{name: "gave up, with an address for declines", more: append(urls, "redirect_return_url", back), decline: payment.CodeExternalCancelled, location: no},
		{name: "declined, with an address for giving up", more: []string{"redirect_return_url", back}, decline: payment.CodeExternalFunds, shows: "not completed"},
		{name: "button never", more: []string{"merchant_success_url", ok, "merchant_success_enabled", "0", "merchant_return_enabled", "0"}, shows: "Payment successful", lacks: "Back to the shop"},
		{name: "button only in a tab, framed", more: []string{"merchant_success_url", ok, "merchant_success_enabled", "1"}, frame: true, shows: `href="https://shop.example/cart"`, lacks: "a=1"},
		{name: "button in a new window", more: []string{"merchant_success_url", ok, "merchant_success_redirect_mode", "blank_page"}, shows: `href="https://shop.example/ok?a=1&amp;b=2" target="_blank"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, shop(), nil)
			var window []string
			if tt.frame {
				window = []string{"Sec-Fetch-Dest", "iframe", "Sec-Fetch-Site", "same-origin"}
			}
			session := h.pay(signed(t, params(tt.more...)), window...)
			if tt.decline == "" {
				h.hear(connector.Approved, "")
			} else {
				h.hear(connector.Declined, tt.decline)
			}
			a := h.get(session, window...)
			if a.location() != tt.location || (a.status == http.StatusSeeOther) != (tt.location != "") {
				t.Errorf("the finished session = %d to %q, want a redirect to %q", a.status, a.location(), tt.location)
			}
			if !strings.Contains(a.body, tt.shows) || tt.lacks != "" && strings.Contains(a.body, tt.lacks) {
				t.Errorf("the screen lacks %q or has %q:\n%s", tt.shows, tt.lacks, a.body)
			}
		})
	}
}

// TestResultObject: the widget's result object is ecommpay.md 2.4's, and signed.
func TestResultObject(t *testing.T) {
	t.Parallel()
	h := newHouse(t, shop(), nil)
	session := h.pay(signed(t, params("payment_description", `<tea> & "cups"`)))
	open := h.get(session + "/status")
	if want := fmt.Sprintf(`{"status":"processing","final":false,"location":%q}`+"\n", session); open.body != want || open.status != 200 {
		t.Errorf("status of an open payment = %d %s, want 200 %s", open.status, open.body, want)
	}
	if a := h.get(session + "/status?from=provider"); !strings.Contains(a.body, `"location":""`) {
		t.Errorf("status for a customer who is back = %s, want no location: it would lead to the provider again", a.body)
	}
	h.hear(connector.Approved, "")
	a := h.get(session + "/status")
	if got := a.header.Get("Content-Type"); a.status != 200 || got != "application/json; charset=utf-8" {
		t.Errorf("status = %d %s, want JSON", a.status, got)
	}
	var answer struct {
		Status string
		Final  bool
		Result json.RawMessage
	}
	if err := json.Unmarshal([]byte(a.body), &answer); err != nil || answer.Status != "success" || !answer.Final {
		t.Fatalf("status of a paid payment = %s (%v), want success, final", a.body, err)
	}
	doc, err := sign.ParseJSON(answer.Result)
	if err != nil {
		t.Fatal(err)
	}
	if err := sign.Verify(doc, sign.NewSecret(secretText), sign.AtGeneral); err != nil {
		t.Errorf("the result object: %v: %s", err, answer.Result)
	}
	pay, try := h.only()
	op, _, _ := h.store.Operation(t.Context(), try.Operation)
	number := fmt.Sprint(op.Number)
	for path, want := range map[string]string{
		"sum_request.amount": "2500", "sum_request.currency": "INR", "sum_real.amount": "2500", "request_id": op.RequestID(),
		"transaction.id": number, "transaction.type": "purchase", "transaction.date": "2026-01-02T03:04:05+0000",
		"payment.method": "paytm-wallet", "payment.status": "success", "payment.result_code": "0", "payment.result_message": "Success",
		"payment.id": "ord-1", "payment.provider_id": "3", "payment.is_new_attempts_available": "false", "payment.attempts_timeout": "0",
		"customer.id": "c1", "general.project_id": "198", "general.payment_id": "ord-1", "description": `<tea> & "cups"`,
		"operations.0.id": number, "operations.0.type": "sale", "operations.0.status": "success", "operations.0.sum.amount": "2500",
		"operations.0.code": "0", "return_url": h.page.SessionURL(pay.ID),
	} {
		if got := doc.Get(strings.Split(path, ".")...).Text(); got != want {
			t.Errorf("%s = %q, want %q", path, got, want)
		}
	}
}

// TestForgedTokens: a token is good for its payment and nothing else (S31).
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	h := newHouse(t, shop(), nil)
	session := h.pay(signed(t, params()))
	pay, _ := h.only()
	other := newHouse(t, shop(), func(o *paypage.Options) { o.Key = [32]byte{8} })
	otherSession := other.pay(signed(t, params()))
	flip := byte('A')
	if session[len(session)-5] == flip {
		flip = 'B'
	}
	for name, path := range map[string]string{
		"no mac": "/payment/s/" + pay.ID.String(), "empty mac": "/payment/s/" + pay.ID.String() + ".", "nothing": "/payment/s/x",
		"changed": session[:len(session)-5] + string(flip) + session[len(session)-4:], "longer": session + "A", "other key": otherSession,
		"other payment's mac": strings.Replace(otherSession, session[11:41], pay.ID.String(), 1),
		"capitals":            strings.Replace(session, "pay_", "PAY_", 1),
	} {
		if a := h.get(path); a.status != http.StatusNotFound || !strings.Contains(a.body, "no longer valid") {
			t.Errorf("%s: GET %s = %d, want 404", name, path, a.status)
		}
		if a := h.get(path + "/status"); a.status != http.StatusNotFound || a.body != `{"error":"not_found"}`+"\n" {
			t.Errorf("%s: GET %s/status = %d %s, want 404", name, path, a.status, a.body)
		}
		if a := h.post(path, ""); a.status != http.StatusNotFound {
			t.Errorf("%s: POST %s = %d, want 404", name, path, a.status)
		}
	}
	if a := h.post(session, "orderId=x", "Origin", "https://psp.example", "Sec-Fetch-Site", "cross-site"); a.status != http.StatusSeeOther || a.location() != session+"?from=provider" {
		t.Errorf("a provider's POST to the session = %d to %q, want 303 to it by GET", a.status, a.location())
	}
}

// TestSlowProvider: the confirmation does not wait for ever, and the customer is
// led on as soon as there is somewhere to go.
func TestSlowProvider(t *testing.T) {
	t.Parallel()
	h := newHouse(t, shop(), func(o *paypage.Options) { o.Wait = time.Millisecond })
	h.psp.gate = make(chan struct{})
	session := h.pay(signed(t, params()))
	if a := h.get(session); a.status != 200 || !strings.Contains(a.body, "Checking your payment") || strings.Contains(a.body, "Continue to") {
		t.Errorf("the session while the provider thinks = %d, want the waiting screen:\n%s", a.status, a.body)
	}
	if a := h.get(session + "/status"); !strings.Contains(a.body, `"location":""`) {
		t.Errorf("status while the provider thinks = %s, want no location", a.body)
	}
	if a := h.get(session + "?from=shop"); !strings.Contains(a.body, `data-status-url="`+session+`/status"`) {
		t.Errorf("who opens the link again while there is no way on yet is not led on later:\n%s", a.body)
	}
	close(h.psp.gate)
	for !strings.Contains(h.get(session+"/status").body, fmt.Sprintf(`"location":%q`, session)) {
		time.Sleep(time.Millisecond)
	}
	if name, _, _, _ := form(t, h.get(session)); name != "psp-form" {
		t.Errorf("the session then shows the form %q, want psp-form", name)
	}
}

// TestOutcomeUnknown: after the project's base time nobody is made to watch a
// spinner, and nothing claims that the payment failed.
func TestOutcomeUnknown(t *testing.T) {
	t.Parallel()
	h := newHouse(t, shop(), nil)
	h.psp.lost = true
	session := h.pay(signed(t, params()))
	if a := h.get(session); !strings.Contains(a.body, "Checking your payment") {
		t.Errorf("the session of a lost answer is not waiting:\n%s", a.body)
	}
	h.wait(6 * time.Minute)
	a := h.get(session)
	for _, want := range []string{"Result still open", `<meta http-equiv="refresh" content="5">`, `data-outcome="pending"`, "https://shop.example/cart"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the session after the base time lacks %s:\n%s", want, a.body)
		}
	}
}

// TestPaymentOfGate: the same page waits for payments of Gate and sends their
// customers to return_url.
func TestPaymentOfGate(t *testing.T) {
	t.Parallel()
	const ok, no, back = "https://shop.example/ok", "https://shop.example/no", "https://shop.example/back"
	full := flow.Kept{ReturnSuccess: ok, ReturnDecline: no, ReturnBack: back, Params: map[string]string{"extra_param": "x"}}
	tests := []struct {
		name     string
		kept     flow.Kept
		kind     connector.Kind
		location string
		shows    string
	}{
		{"open", full, "", "", `href="` + back + `"`},
		{"paid", full, connector.Approved, ok, ""},
		{"declined", full, connector.Declined, no, ""},
		{"without addresses", flow.Kept{}, connector.Approved, "", "Payment successful"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, shop(), nil)
			begun, err := h.flows.BeginSale(t.Context(), flow.SaleRequest{
				Project: h.project, Method: h.project.Methods[0], Door: "gate", PaymentID: "gate-1", CustomerID: "c1",
				Amount: money.Amount{Minor: 250, Currency: "INR"}, Keep: tt.kept.Encode(),
			})
			if err != nil {
				t.Fatal(err)
			}
			<-begun.Asked
			if tt.kind != "" {
				h.hear(tt.kind, payment.CodeExternalFunds)
			}
			a := h.get(strings.TrimPrefix(h.page.SessionURL(begun.Payment.ID), "https://pay.example"))
			if a.location() != tt.location || !strings.Contains(a.body, tt.shows) {
				t.Errorf("the customer gets %d to %q, want %q and %q:\n%s", a.status, a.location(), tt.location, tt.shows, a.body)
			}
		})
	}
}

// TestRedirectByGet: a form sent by GET loses the query of its address, so the
// query becomes fields. An address that is none leads nowhere.
func TestRedirectByGet(t *testing.T) {
	t.Parallel()
	to := func(address string) answer {
		h := newHouse(t, shop(), nil)
		h.psp.redirect = &payment.Redirect{URL: address, Method: "GET", Fields: map[string]string{"token": "t"}}
		return h.get(h.pay(signed(t, params())))
	}
	name, method, action, fields := form(t, to("https://psp.example/go?a=1&a=2&b=%C3%A9"))
	if name != "psp-form" || method != "get" || action != "https://psp.example/go" || fields.Encode() != "a=1&a=2&b=%C3%A9&token=t" {
		t.Errorf("the handoff by GET is %s %s %s %s", name, method, action, fields.Encode())
	}
	if a := to("javascript:alert(1)"); a.status != http.StatusInternalServerError || strings.Contains(a.body, "alert(1)") {
		t.Errorf("a provider's javascript: address = %d, want 500 without it:\n%s", a.status, a.body)
	}
}

// TestNothingPersonalIsKept: names and addresses of the customer go to the
// provider and stay in no row of ours.
func TestNothingPersonalIsKept(t *testing.T) {
	t.Parallel()
	h := newHouse(t, shop(), nil)
	h.pay(signed(t, params(
		"customer_first_name", "Asha", "customer_email", "asha@mail.example", "customer_phone", "919800000000", "billing_address", "MG Road 1",
		"redirect_success_url", "https://shop.example/ok", "merchant_data", "m-1", "_referrer", "https://shop.example/cart?session=secret",
	)))
	pay, _ := h.only()
	kept, _, _ := h.store.Request(t.Context(), pay.ID.Raw())
	want := `{"success":"https://shop.example/ok","params":{"_referrer":"https://shop.example","merchant_data":"m-1","merchant_return_url":"https://shop.example/cart"}}`
	if kept.Body != want {
		t.Errorf("kept %s, want %s", kept.Body, want)
	}
	for _, d := range deliveries(h) {
		e, _, _ := h.store.Event(t.Context(), d.Event)
		if strings.Contains(e.Snapshot, "Asha") || strings.Contains(e.Snapshot, "mail.example") {
			t.Errorf("the event holds the customer's data: %s", e.Snapshot)
		}
	}
}

// TestHeaders is security.md S28.
func TestHeaders(t *testing.T) {
	t.Parallel()
	fixed := map[string]string{
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Cross-Origin-Opener-Policy": "same-origin-allow-popups", "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
	}
	h := newHouse(t, shop(), nil)
	query := signed(t, params("redirect_success_url", "https://done.example/x", "_referrer", "https://evil.example/"))
	confirm := h.get("/payment?" + query)
	pressed := h.press(query)
	session := pressed.location()
	answers := map[string]answer{
		"confirm screen": confirm, "confirmation": pressed, "handoff": h.get(session), "waiting": h.get(session + "?from=provider"),
		"status": h.get(session + "/status"), "error": h.get("/payment"), "check": h.get("/params/check"),
	}
	for name, a := range answers {
		for header, want := range fixed {
			if got := a.header.Get(header); got != want {
				t.Errorf("%s: %s = %q, want %q", name, header, got, want)
			}
		}
		if !strings.Contains(a.header.Get("Permissions-Policy"), "payment=(self)") {
			t.Errorf("%s: Permissions-Policy = %q", name, a.header.Get("Permissions-Policy"))
		}
	}
	nonce := regexp.MustCompile(`'nonce-([\w-]+)'`)
	for name, want := range map[string][]string{
		// Without origins of the project, those of its addresses; the referrer has no say.
		"confirm screen": {"form-action 'self' https://done.example;", "frame-ancestors https://done.example https://shop.example;"},
		"handoff":        {"form-action 'self' https://psp.example;", "frame-ancestors https://done.example https://shop.example;"},
		"waiting":        {"form-action 'self';", "frame-ancestors https://done.example https://shop.example;"},
		"error":          {"form-action 'self';", "frame-ancestors 'none';"},
	} {
		policy := answers[name].header.Get("Content-Security-Policy")
		want = append(want, "default-src 'none';", "base-uri 'none';", "object-src 'none';", "report-uri /payment/policy-report")
		for _, directive := range want {
			if !strings.Contains(policy, directive) {
				t.Errorf("%s: policy lacks %s: %s", name, directive, policy)
			}
		}
		n := nonce.FindStringSubmatch(policy)
		if n == nil || !strings.Contains(answers[name].body, `nonce="`+n[1]+`"`) {
			t.Errorf("%s: the nonce of the policy %s is not on the page", name, policy)
		}
		if strings.Contains(answers[name].body, "evil.example") {
			t.Errorf("%s: a referrer that is not the merchant's is on the page", name)
		}
	}
	if a, b := h.get("/payment?"+query), confirm; nonce.FindString(a.header.Get("Content-Security-Policy")) == nonce.FindString(b.header.Get("Content-Security-Policy")) {
		t.Error("two pages have one nonce")
	}
	if a := h.post("/payment/policy-report", "{}"); a.status != http.StatusNoContent {
		t.Errorf("POST /payment/policy-report = %d, want 204", a.status)
	}

	plain := newHouse(t, shop(), func(o *paypage.Options) { o.PublicURL = func() string { return "http://127.0.0.1:8080/" } })
	if a := plain.get("/payment"); a.header.Get("Strict-Transport-Security") != "" {
		t.Error("HSTS without TLS")
	}
}

// TestWhoIsTold: the merchant's page around the frame hears of events only where
// the project, or its addresses, know it.
func TestWhoIsTold(t *testing.T) {
	t.Parallel()
	framed := []string{"Sec-Fetch-Dest", "iframe"}
	tests := []struct {
		name    string
		origins []string
		more    []string
		header  []string
		told    string
		framed  bool
	}{
		{"widget on a known page", []string{"https://a.example", "https://b.example"}, []string{"_referrer", "https://b.example/x?y", "frame_mode", "popup"}, framed, "https://b.example", true},
		{"widget on a strange page", []string{"https://a.example"}, []string{"_referrer", "https://evil.example", "frame_mode", "popup"}, framed, "", true},
		{"widget, no origins of the project", nil, []string{"_referrer", "https://shop.example/x", "frame_mode", "iframe"}, framed, "https://shop.example", true},
		{"plain frame", []string{"https://a.example"}, nil, framed, "https://a.example", true},
		{"plain frame, two origins", []string{"https://a.example", "https://b.example"}, nil, framed, "", true},
		{"tab", []string{"https://a.example"}, nil, []string{"Sec-Fetch-Dest", "document"}, "", false},
		{"left its frame", []string{"https://a.example"}, []string{"frame_mode", "popup"}, []string{"Sec-Fetch-Dest", "document"}, "", false},
		{"old browser", []string{"https://a.example"}, []string{"frame_mode", "popup", "_referrer", "https://a.example"}, nil, "https://a.example", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pr := shop()
			pr.Origins = tt.origins
			h := newHouse(t, pr, nil)
			a := h.get("/payment?"+signed(t, params(tt.more...)), tt.header...)
			told := regexp.MustCompile(`data-parent-origin="([^"]*)"`).FindStringSubmatch(a.body)
			got := ""
			if told != nil {
				got = told[1]
			}
			if isFramed := strings.Contains(a.body, `class="framed"`); got != tt.told || isFramed != tt.framed {
				t.Errorf("told %q, framed %t; want %q, %t", got, isFramed, tt.told, tt.framed)
			}
			if policy := a.header.Get("Content-Security-Policy"); tt.origins != nil && !strings.Contains(policy, "frame-ancestors "+strings.Join(tt.origins, " ")+";") {
				t.Errorf("policy does not list the project's origins: %s", policy)
			}
		})
	}
}

// TestFramedByThisMachine: who tries a demo serves a page from a port that no
// project knows. In earnest nobody's loopback is anything special.
func TestFramedByThisMachine(t *testing.T) {
	t.Parallel()
	const sources = " http://127.0.0.1:* http://localhost:* https://127.0.0.1:* https://localhost:*;"
	tests := []struct {
		name     string
		testMode bool
		referrer string
		told     string
	}{
		{"demo, number", true, "http://127.0.0.1:5173/cart?x", "http://127.0.0.1:5173"},
		{"demo, name", true, "https://localhost:3000/", "https://localhost:3000"},
		{"demo, a stranger", true, "https://evil.example/", ""},
		{"demo, a stranger's name", true, "http://localhost.evil.example/", ""},
		{"in earnest", false, "http://127.0.0.1:5173/", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pr := shop()
			pr.Origins = []string{"https://a.example"}
			h := newHouse(t, pr, func(o *paypage.Options) { o.TestMode = tt.testMode })
			query := signed(t, params("_referrer", tt.referrer, "frame_mode", "popup"))
			confirm := h.get("/payment?"+query, "Sec-Fetch-Dest", "iframe")
			session := h.press(query).location()
			for name, a := range map[string]answer{"confirm": confirm, "session": h.get(session, "Sec-Fetch-Dest", "iframe")} {
				told := ""
				if found := regexp.MustCompile(`data-parent-origin="([^"]*)"`).FindStringSubmatch(a.body); found != nil {
					told = found[1]
				}
				if told != tt.told {
					t.Errorf("%s: told %q, want %q", name, told, tt.told)
				}
				policy := a.header.Get("Content-Security-Policy")
				if got := strings.Contains(policy, "frame-ancestors https://a.example"+sources); got != tt.testMode {
					t.Errorf("%s: test mode %t, policy %s", name, tt.testMode, policy)
				}
			}
		})
	}
}

// TestMarkupIsText: whatever a merchant's parameter says, it is text on our page.
func TestMarkupIsText(t *testing.T) {
	t.Parallel()
	const probe = `"><img src=x onerror=alert(1)><script>alert(1)</script>{{.}}`
	pr := shop()
	pr.Name = probe
	pr.Methods = append(pr.Methods, project.Method{Code: "b", Name: probe, Currency: "INR", Connector: "psp", Account: "demo"})
	h := newHouse(t, pr, nil)
	more := []string{
		"payment_description", probe, "payment_id", probe, "customer_id", probe, "merchant_data", probe,
		"redirect_success_mode", "blank_page", "redirect_success_url", "https://shop.example/?q=" + `"><script>`, "_referrer", probe,
	}
	query := signed(t, params(more...))
	session := h.press(query).location()
	screens := map[string]answer{"confirm": h.get("/payment?" + signed(t, params(append(more, "payment_id", "other")...))), "handoff": h.get(session), "waiting": h.get(session + "?from=shop")}
	h.hear(connector.Approved, "")
	screens["result"] = h.get(session)
	screens["finished"] = h.get("/payment?" + query)
	for name, a := range screens {
		if strings.Contains(a.body, "<img") || strings.Contains(a.body, "<script>") || strings.Contains(a.body, "ZgotmplZ") {
			t.Errorf("the %s screen holds a merchant's markup:\n%s", name, a.body)
		}
	}
	for _, name := range []string{"confirm", "result"} {
		if !strings.Contains(screens[name].body, "&lt;img src=x") {
			t.Errorf("the %s screen does not show the description as text", name)
		}
	}
}

// TestParamsCheck: what the PHP and Java libraries ask before they give a link.
func TestParamsCheck(t *testing.T) {
	t.Parallel()
	h := newHouse(t, twoCurrencies(), nil)
	tests := []struct {
		name   string
		query  string
		errors []string
	}{
		{"good", params().Encode(), nil},
		{"nothing", "", []string{"project_id: is required", "payment_id: is required", "payment_amount: is required", "payment_currency: is required", "customer_id: is required"}},
		{"unknown project", params("project_id", "199").Encode(), []string{"project_id: is not known"}},
		{"two wrong", params("payment_amount", "1.5", "merchant_success_url", "javascript:x").Encode(), []string{
			"payment_amount: must be an integer from 1 to 10000000000000",
			"merchant_success_url: must be an http or https URL without user name, of at most 2048 characters",
		}},
		{"amount for the method", params("payment_amount", "99").Encode(), []string{"payment_amount: must be from 100 to 999999999 for paytm-wallet"}},
		{"currency", params("payment_currency", "EUR").Encode(), []string{"payment_currency: is not allowed for this project"}},
		{"mode", params("mode", "payout").Encode(), []string{"mode: is not supported: only purchase"}},
		{"no method", params("force_payment_method", "card").Encode(), []string{"no usable method"}},
		{"time", params("best_before", "2020-01-01T00:00:00Z").Encode(), []string{"best_before has passed"}},
		{"card", params("note", "4111111111111111").Encode(), []string{"holds a card number or security code"}},
		{"malformed", "a=1&a=2", []string{"request: has a parameter that is: repeated key"}},
	}
	for _, tt := range tests {
		for _, path := range []string{"/params/check", "/v1/params/check"} {
			a := h.get(path + "?" + tt.query)
			var body struct{ Errors []string }
			if err := json.Unmarshal([]byte(a.body), &body); err != nil {
				t.Fatalf("%s: %v: %s", tt.name, err, a.body)
			}
			if (a.status == 200) != (tt.errors == nil) || strings.Join(body.Errors, "|") != strings.Join(tt.errors, "|") {
				t.Errorf("%s: GET %s = %d %q, want %q", tt.name, path, a.status, body.Errors, tt.errors)
			}
		}
	}
	h.nothing()
}

// TestAssets: the page brings its own files.
func TestAssets(t *testing.T) {
	t.Parallel()
	h := newHouse(t, shop(), nil)
	for _, asset := range []web.Asset{web.MerchantJS(), web.MerchantCSS(), web.PageJS(), web.PageCSS()} {
		if a := h.get(asset.Path); a.status != 200 || a.body != string(asset.Body) {
			t.Errorf("GET %s = %d, want the asset", asset.Path, a.status)
		}
	}
}

// FuzzQuery: no query makes the page fail or store anything.
func FuzzQuery(f *testing.F) {
	valid := signed(f, params())
	for _, seed := range []string{
		"", valid, valid + "&a[b]=c", "project_id=198&signature=x&payment_id[0]=a", "project_id=198&best_before=2026-01-02T03:04:05+0530",
		"a=%", "a[=b", "project_id[]=1", "_referrer=;&frame_mode=popup&project_id=198&language_code=zz", "payment_amount=9223372036854775808&project_id=198",
	} {
		f.Add(seed)
	}
	h := newHouse(f, shop(), nil)
	f.Fuzz(func(t *testing.T, query string) {
		h.TB = t
		confirm := url.Values{"request": {base64.RawURLEncoding.EncodeToString([]byte(query))}, "method": {"card"}} // no method: never begins
		for path, body := range map[string]string{"/payment": query, "/payment/confirm": confirm.Encode()} {
			if a := h.post(path, body); a.status >= 500 {
				t.Errorf("POST %s of %q = %d: %s", path, query, a.status, a.body)
			}
		}
		for _, path := range []string{"/payment", "/params/check", "/payment/s/x"} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.URL.RawQuery = query
			if a := h.do(r); a.status >= 500 {
				t.Errorf("GET %s?%q = %d: %s", path, query, a.status, a.body)
			}
		}
		if a := h.post("/payment/confirm", query); a.status >= 500 {
			t.Errorf("POST /payment/confirm of %q = %d: %s", query, a.status, a.body)
		}
		h.nothing()
	})
}
