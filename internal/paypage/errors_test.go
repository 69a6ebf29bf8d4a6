package paypage_test

import (
	"bytes"
	"encoding/base64"
	"html"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/paypage"
	"aorta/internal/project"
	"aorta/web"
)

// twoCurrencies is a shop with a second method, for dollars.
func twoCurrencies() project.Project {
	pr := shop()
	pr.Methods[0].MinMinor, pr.Methods[0].MaxMinor = 100, 999_999_999
	pr.Methods = append(pr.Methods, project.Method{
		Code: "usd-wallet", Group: "wallet", Segment: "usd", Name: "USD Wallet", Connector: "psp", Account: "demo", Currency: "USD", MinMinor: 1,
	})
	return pr
}

// TestRefusals is the table of ecommpay.md 2.3, and S24–S26: each refusal has its
// status and screen, a reference, and leaves nothing behind.
func TestRefusals(t *testing.T) {
	t.Parallel()
	const card = "4111 1111 1111 1111"
	long := strings.Repeat("x", 256)
	with := func(more ...string) string { return signed(t, params(more...)) }
	unsigned := params().Encode()
	tests := []struct {
		name   string
		query  string
		status int
		kind   web.ErrorKind
	}{
		{"no signature", unsigned, 403, web.ErrorApplication},
		{"empty signature", unsigned + "&signature=", 403, web.ErrorApplication},
		{"wrong signature", unsigned + "&signature=" + strings.Repeat("A", 86) + "%3D%3D", 403, web.ErrorApplication},
		{"nested signature", unsigned + "&signature[a]=b", 403, web.ErrorApplication},
		{"added parameter", with() + "&payment_description=x", 403, web.ErrorApplication},
		{"nothing", "", 400, web.ErrorNotFound},
		{"unknown project", with("project_id", "199"), 400, web.ErrorApplication},
		{"project out of range", with("project_id", "4294967296"), 400, web.ErrorApplication},
		{"no project", with("project_id", ""), 400, web.ErrorApplication},
		{"no payment_id", with("payment_id", ""), 400, web.ErrorApplication},
		{"no amount", with("payment_amount", ""), 400, web.ErrorApplication},
		{"no currency", with("payment_currency", ""), 400, web.ErrorApplication},
		{"no customer", with("customer_id", ""), 400, web.ErrorApplication},
		{"long payment_id", with("payment_id", long), 400, web.ErrorApplication},
		{"control character in payment_id", with("payment_id", "a\nb"), 400, web.ErrorApplication},
		{"long description", with("payment_description", long), 400, web.ErrorApplication},
		{"fraction", with("payment_amount", "25.00"), 400, web.ErrorApplication},
		{"zero", with("payment_amount", "0"), 400, web.ErrorApplication},
		{"negative", with("payment_amount", "-1"), 400, web.ErrorApplication},
		{"plus", with("payment_amount", "+100"), 400, web.ErrorApplication},
		{"leading zero", with("payment_amount", "0100"), 400, web.ErrorApplication},
		{"beyond the protocol", with("payment_amount", "10000000000001"), 400, web.ErrorApplication},
		{"beyond int64", with("payment_amount", "99999999999999999999"), 400, web.ErrorApplication},
		{"below the method", with("payment_amount", "99"), 400, web.ErrorApplication},
		{"above the method", with("payment_amount", "1000000000"), 400, web.ErrorApplication},
		{"nested amount", with("payment_amount", "", "payment_amount[a]", "b"), 400, web.ErrorApplication},
		{"lower-case currency", with("payment_currency", "inr"), 400, web.ErrorApplication},
		{"currency of no method", with("payment_currency", "EUR"), 400, web.ErrorApplication},
		{"no such currency", with("payment_currency", "XQQ"), 400, web.ErrorApplication},
		{"mode payout", with("mode", "payout"), 400, web.ErrorApplication},
		{"mode card_verify", with("mode", "card_verify"), 400, web.ErrorApplication},
		{"two steps", with("operation_type", "auth"), 400, web.ErrorApplication},
		{"two steps by the old name", with("card_operation_type", "auth"), 400, web.ErrorApplication},
		{"semicolon", with("payment_description", "a;b"), 400, web.ErrorApplication},
		{"repeated key", with() + "&payment_id=ord-1", 400, web.ErrorApplication},
		{"bad escape", with() + "&x=%zz", 400, web.ErrorApplication},
		{"NUL", with("payment_description", "a\x00b"), 400, web.ErrorApplication},
		{"not UTF-8", with("payment_description", "a\xffb"), 400, web.ErrorApplication},
		{"card number", with("payment_description", card), 400, web.ErrorApplication},
		{"card number in an unknown parameter", with("note", "4111111111111111"), 400, web.ErrorApplication},
		{"card number outside the signature", with() + "&_note=4111111111111111", 400, web.ErrorApplication},
		{"card number in a key", with("4111111111111111", "x"), 400, web.ErrorApplication},
		{"card number in base64", with("receipt_data", base64.StdEncoding.EncodeToString([]byte(`{"card":"4111111111111111"}`))), 400, web.ErrorApplication},
		{"cvv", with("cvv", "123"), 400, web.ErrorApplication},
		{"nested cvv", with("card[cvc]", "123"), 400, web.ErrorApplication},
		{"javascript address", with("redirect_success_url", "javascript:alert(1)"), 400, web.ErrorApplication},
		{"data address", with("merchant_success_url", "data:text/html,x"), 400, web.ErrorApplication},
		{"address with a password", with("merchant_return_url", "https://a:b@shop.example/"), 400, web.ErrorApplication},
		{"address without host", with("redirect_fail_url", "https:///x"), 400, web.ErrorApplication},
		{"relative address", with("redirect_fail_url", "/x"), 400, web.ErrorApplication},
		{"long callback address", with("merchant_callback_url", "https://shop.example/"+long), 400, web.ErrorApplication},
		{"callback without TLS", with("merchant_callback_url", "http://shop.example/"), 400, web.ErrorApplication},
		{"callback over ftp", with("merchant_callback_url", "ftp://shop.example/"), 400, web.ErrorApplication},
		{"mode of a redirect", with("redirect_success_mode", "popup"), 400, web.ErrorApplication},
		{"enabled", with("merchant_success_enabled", "3"), 400, web.ErrorApplication},
		{"language", with("language_code", "english"), 400, web.ErrorApplication},
		{"phone", with("customer_phone", "123"), 400, web.ErrorApplication},
		{"birthday", with("customer_day_of_birth", "1990-01-02"), 400, web.ErrorApplication},
		{"receipt", with("receipt_data", "not base64 of JSON"), 400, web.ErrorApplication},
		{"recurring", with("recurring", "[object Object]"), 400, web.ErrorApplication},
		{"unreadable deadline", with("best_before", "tomorrow"), 400, web.ErrorApplication},
		{"deadline over", with("best_before", "2026-01-02T03:04:05+00:00"), 410, web.ErrorExpired},
		{"deadline over, hours", with("best_before", "2026-01-02T08:34:05+06"), 410, web.ErrorExpired},
		{"deadline over, Z", with("best_before", "2026-01-02T03:04:04Z"), 410, web.ErrorExpired},
		{"unknown method forced", with("force_payment_method", "card"), 409, web.ErrorNoMethod},
		{"hidden", with("hide", "card,paytm-wallet"), 409, web.ErrorNoMethod},
		{"hidden group", with("hide", "wallet"), 409, web.ErrorNoMethod},
		{"another group", with("force_payment_group", "cards"), 409, web.ErrorNoMethod},
		{"forced method of another currency", with("force_payment_method", "usd-wallet"), 409, web.ErrorNoMethod},
		{"too much", with() + "&_x=" + strings.Repeat("x", 64<<10), 413, web.ErrorApplication},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			h := newHouse(t, twoCurrencies(), func(o *paypage.Options) {
				o.Log = slog.New(slog.NewTextHandler(&log, nil))
			})
			for what, a := range map[string]answer{
				"GET": h.get("/payment?" + tt.query), "POST": h.post("/payment", tt.query),
				"confirm": h.post("/payment/confirm", url.Values{
					"request": {base64.RawURLEncoding.EncodeToString([]byte(tt.query))}, "method": {"paytm-wallet"},
				}.Encode()),
			} {
				if a.status != tt.status || !strings.Contains(a.body, web.Text("en", "error."+string(tt.kind)+".title")) {
					t.Errorf("%s = %d, want %d with the screen %s:\n%s", what, a.status, tt.status, tt.kind, a.body)
				}
				reference := regexp.MustCompile(`<code>([\w-]+)</code>`).FindStringSubmatch(a.body)
				if reference == nil || !strings.Contains(log.String(), "reference="+reference[1]) {
					t.Errorf("%s: the reference %q is not both on the screen and in the log", what, reference)
				}
				for place, text := range map[string]string{"screen": a.body, "log": log.String()} {
					if strings.Contains(text, "4111") || strings.Contains(text, "alert(1)") {
						t.Errorf("%s: the %s repeats what was refused: %s", what, place, text)
					}
				}
			}
			h.nothing()
		})
	}
}

// TestTakenAllTheSame: what looks odd and is allowed.
func TestTakenAllTheSame(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		more []string
	}{
		{"deadline more than 30 days ahead", []string{"best_before", "2026-02-02T00:00:00Z"}},
		{"deadline with an unescaped plus", []string{"best_before", "2026-01-02T09:04:05 05:30"}},
		{"empty optional parameters", []string{"customer_phone", " ", "customer_phone", "", "language_code", ""}},
		{"plugin's language", []string{"language_code", "HI"}},
		{"unknown parameters", []string{"cashier_predefined_amounts", "1,2", "a[b][0]", "c"}},
		{"outside the signature", []string{"frame_mode", "popup", "_referrer", "https://shop.example/a;b", "_plugin_version", "1"}},
		{"passed through", []string{"receipt_data", "eyJhIjoxfQ==", "payment_extra_param", "x", "recurring", `{"register":true}`}},
		{"forced", []string{"force_payment_method", "paytm-wallet", "hide", "card"}},
		{"long numbers that are no cards", []string{"payment_id", "pay-20260102030405123456789"}},
		{"words for yes", []string{"redirect", "True", "close_on_missclick", "0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, shop(), nil)
			h.pay(signed(t, params(tt.more...)))
			h.only()
		})
	}
}

// TestInsecureCallbacksBySetting: only where it is set may a callback go over http.
func TestInsecureCallbacksBySetting(t *testing.T) {
	t.Parallel()
	for address, wrong := range map[string]bool{"http://127.0.0.1:9000/cb": true, "https://shop.example/cb": false, "HTTPS://shop.example/cb": false} {
		for _, allowed := range []bool{false, true} {
			h := newHouse(t, shop(), func(o *paypage.Options) { o.AllowInsecureCallbacks = allowed })
			want := ""
			if wrong && !allowed {
				want = "merchant_callback_url: must be an https URL"
			}
			a := h.get("/params/check?" + params("merchant_callback_url", address).Encode())
			if (a.status == 200) != (want == "") || !strings.Contains(a.body, want) {
				t.Errorf("allowed %t, %s: %d %s, want %q", allowed, address, a.status, a.body, want)
			}
			if want == "" {
				h.pay(signed(t, params("merchant_callback_url", address)))
				if pay, _ := h.only(); pay.CallbackURL != address {
					t.Errorf("callback address = %q, want %q", pay.CallbackURL, address)
				}
			}
		}
	}
}

// TestCustomerIsOptionalWhereTheProjectSaysSo: older libraries omit it.
func TestCustomerIsOptionalWhereTheProjectSaysSo(t *testing.T) {
	t.Parallel()
	pr := shop()
	pr.CustomerOptional = true
	h := newHouse(t, pr, nil)
	h.pay(signed(t, params("customer_id", "")))
}

// TestKnownPaymentID: the last rows of the table in 2.3.
func TestKnownPaymentID(t *testing.T) {
	t.Parallel()
	h := newHouse(t, shop(), nil)
	session := h.pay(signed(t, params()))

	again := h.get("/payment?" + signed(t, params("payment_id", "ORD-1", "payment_description", "other looks")))
	if again.status != http.StatusSeeOther || again.location() != session+"?from=shop" {
		t.Fatalf("opening an unfinished payment = %d to %q, want 303 to its session", again.status, again.location())
	}
	// Back from the provider's page the browser opens the link again: it must not be thrown forward.
	if a := h.get(again.location()); !strings.Contains(a.body, "Continue to Paytm Wallet") || strings.Contains(a.body, "psp-form") {
		t.Errorf("the resumed session is no waiting screen with a way on:\n%s", a.body)
	}
	for name, more := range map[string][]string{
		"amount": {"payment_amount", "2501"}, "customer": {"customer_id", "c2"},
	} {
		if a := h.get("/payment?" + signed(t, params(more...))); a.status != http.StatusConflict || !strings.Contains(a.body, "opened differently before") {
			t.Errorf("other %s = %d, want 409", name, a.status)
		}
	}
	h.hear(connector.Approved, "")
	finished := h.get("/payment?" + signed(t, params("merchant_success_url", "https://shop.example/thanks")))
	if finished.status != http.StatusConflict || !strings.Contains(finished.body, "already completed") ||
		!strings.Contains(finished.body, `href="https://shop.example/thanks"`) {
		t.Errorf("opening a finished payment = %d, want 409 with a button back:\n%s", finished.status, finished.body)
	}
	h.only()
}

// TestConfirmation: what the confirm form may not be used for.
func TestConfirmation(t *testing.T) {
	t.Parallel()
	h := newHouse(t, shop(), nil)
	_, _, action, fields := form(t, h.get("/payment?"+signed(t, params("best_before", "2026-01-02T03:05:05Z"))))
	changed := func(name, value string) string {
		v := url.Values{"request": fields["request"], "method": fields["method"]}
		v.Set(name, value)
		return v.Encode()
	}
	cheaper := base64.RawURLEncoding.EncodeToString([]byte(signedWith(t, "payment_amount=2500", "payment_amount=1")))
	body := fields.Encode()
	tests := []struct {
		name   string
		body   string
		header []string
		status int
	}{
		{"from another site", body, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"from a sister site", body, []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"from another site, old browser", body, []string{"Origin", "https://evil.example"}, 403},
		{"another amount", changed("request", cheaper), nil, 403},
		{"no request", changed("request", ""), nil, 400},
		{"not base64", changed("request", "%%%"), nil, 400},
		{"unknown method", changed("method", "card"), nil, 409},
		{"no method", changed("method", ""), nil, 409},
		{"two methods", body + "&method=paytm-wallet", nil, 400},
		{"JSON", `{}`, []string{"Content-Type", "application/json"}, 400},
		{"too large", changed("x", strings.Repeat("x", 100<<10)), nil, 413},
	}
	for _, tt := range tests {
		if a := h.post(action, tt.body, tt.header...); a.status != tt.status {
			t.Errorf("%s = %d, want %d", tt.name, a.status, tt.status)
		}
	}
	h.nothing()
	h.wait(time.Minute)
	if a := h.post(action, body); a.status != http.StatusGone {
		t.Errorf("confirmation after best_before = %d, want 410", a.status)
	}
	h.nothing()
	h.wait(-time.Minute)
	// A browser of 2022 in a page without referrer.
	if a := h.post(action, body, "Origin", "null"); a.status != http.StatusSeeOther {
		t.Errorf("confirmation with Origin null = %d, want 303", a.status)
	}
	h.wait(time.Hour)
	if a := h.post(action, body, "Sec-Fetch-Site", "same-origin"); a.status != http.StatusSeeOther {
		t.Errorf("confirming a known payment after best_before = %d, want 303 to its session", a.status)
	}
	h.only()
}

// signedWith gives an ordinary signed link in which one text was replaced later.
func signedWith(t *testing.T, from, to string) string {
	t.Helper()
	return strings.Replace(signed(t, params()), from, to, 1)
}

// TestStoreAway: the customer is asked to try again, and trying again works.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	h := newHouse(t, shop(), nil)
	h.store.Fail = func(book.Step) book.Fault {
		if away.Load() {
			return book.FaultAway
		}
		return book.FaultNone
	}
	query := signed(t, params())
	_, _, action, fields := form(t, h.get("/payment?"+query))
	away.Store(true)
	a := h.post(action, fields.Encode())
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" ||
		!strings.Contains(a.body, `href="/payment?`+html.EscapeString(query)) {
		t.Errorf("confirmation while the store is away = %d, Retry-After %q, want 503 and a way to try again:\n%s", a.status, a.header.Get("Retry-After"), a.body)
	}
	h.nothing()
	away.Store(false)
	h.pay(query)
}

// TestMethodNotAllowed: other verbs do nothing.
func TestMethodNotAllowed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, shop(), nil)
	for _, path := range []string{"/payment/confirm", "/payment/policy-report"} {
		if a := h.get(path); a.status != http.StatusMethodNotAllowed {
			t.Errorf("GET %s = %d, want 405", path, a.status)
		}
	}
	if a := h.get("/payment/other"); a.status != http.StatusNotFound {
		t.Errorf("GET /payment/other = %d, want 404", a.status)
	}
}
