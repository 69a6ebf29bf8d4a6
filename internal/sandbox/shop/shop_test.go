package shop_test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"aorta/internal/sandbox/merchant"
	"aorta/internal/sandbox/shop"
)

const (
	public = "http://127.0.0.1:8080"
	own    = "http://127.0.0.1:8082"
	secret = "aorta-test-secret"
)

// receipts answers with the same callbacks for every payment but "none".
type receipts []merchant.Callback

func (r receipts) Callbacks(paymentID string) []merchant.Callback {
	if paymentID == "none" {
		return nil
	}
	return r
}

func start(t *testing.T, r receipts) *httptest.Server {
	t.Helper()
	s, err := shop.New(shop.Options{
		ProjectID: 200, Secret: secret, Receipts: r, Clock: time.Now, Rand: rand.Reader,
		Public: func() string { return public }, Own: func() string { return own },
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return server
}

func do(t *testing.T, method, address string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequest(method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

// signature is section 1.1 of ecommpay.md written out once more for flat
// parameters, whose names hold no digits, so that any order of sorting agrees.
func signature(fields map[string]string) string {
	var parts []string
	for name, value := range fields {
		if name != "signature" && name != "frame_mode" {
			parts = append(parts, name+":"+value)
		}
	}
	slices.Sort(parts)
	h := hmac.New(sha512.New, []byte(secret))
	io.WriteString(h, strings.Join(parts, ";"))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func check(t *testing.T, fields map[string]string, want map[string]string) {
	t.Helper()
	if got := signature(fields); fields["signature"] != got {
		t.Errorf("signature of %v = %s, want %s", fields, fields["signature"], got)
	}
	for name, value := range fields {
		if strings.Contains(value, ";") || value == "true" || value == "false" {
			t.Errorf("%s = %q, which section 1.1 forbids", name, value)
		}
	}
	all := map[string]string{
		"project_id": "200", "payment_currency": "INR", "customer_id": "demo-customer", "force_payment_method": "paytm-wallet",
		"merchant_success_url": own + "/shop/ok?payment_id=" + fields["payment_id"],
		"merchant_fail_url":    own + "/shop/no?payment_id=" + fields["payment_id"],
		"merchant_return_url":  own + "/shop/back?payment_id=" + fields["payment_id"],
	}
	for _, expected := range []map[string]string{all, want} {
		for name, value := range expected {
			if fields[name] != value {
				t.Errorf("%s = %q, want %q", name, fields[name], value)
			}
		}
	}
}

func TestPlainLinksAreSigned(t *testing.T) {
	t.Parallel()
	server := start(t, nil)
	seen := map[string]bool{}
	for range 2 {
		status, header, text := do(t, http.MethodGet, server.URL+"/shop")
		if status != http.StatusOK || !strings.Contains(header.Get("Content-Security-Policy"), public) {
			t.Fatalf("GET /shop = %d, policy %q, want 200 and the platform let in", status, header.Get("Content-Security-Policy"))
		}
		for _, want := range []string{
			`<script src="` + public + `/shared/merchant.js"`, `href="` + public + `/shared/merchant.css"`,
			`id="events"`, `id="widget"`, `value="modal"`, `value="iframe"`, `value="redirect"`, `id="pay-tea"`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("the page has no %s", want)
			}
		}
		links := regexp.MustCompile(`id="plain-(\w+)" href="([^"]+)"`).FindAllStringSubmatch(text, -1)
		if len(links) != 2 {
			t.Fatalf("the page has %d plain links, want 2", len(links))
		}
		for i, amount := range []string{"25000", "149900"} {
			u, err := url.Parse(html.UnescapeString(links[i][2]))
			if err != nil || !strings.HasPrefix(u.String(), public+"/payment?") {
				t.Fatalf("link %q: %v, want one to the payment page", links[i][2], err)
			}
			fields := map[string]string{}
			for name, values := range u.Query() {
				fields[name] = values[0]
			}
			check(t, fields, map[string]string{"payment_amount": amount})
			if seen[fields["payment_id"]] {
				t.Errorf("payment_id %s is not fresh", fields["payment_id"])
			}
			seen[fields["payment_id"]] = true
		}
	}
}

func TestOrdersForTheWidget(t *testing.T) {
	t.Parallel()
	server := start(t, nil)
	tests := []struct {
		mode string
		want map[string]string
	}{
		{mode: "modal", want: map[string]string{"frame_mode": "popup"}},
		{mode: "iframe", want: map[string]string{"frame_mode": "iframe", "target_element": "widget"}},
		{mode: "redirect", want: map[string]string{"redirect": "1"}},
	}
	for _, tt := range tests {
		status, _, text := do(t, http.MethodPost, server.URL+"/shop/orders?good=tea&mode="+tt.mode)
		var order struct {
			ID     string         `json:"payment_id"`
			URL    string         `json:"order_url"`
			Config map[string]any `json:"config"`
		}
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(&order); err != nil || status != http.StatusOK {
			t.Fatalf("%s: POST = %d %s: %v", tt.mode, status, text, err)
		}
		if _, ok := order.Config["payment_amount"].(json.Number); !ok {
			t.Errorf("%s: payment_amount = %#v, want a number", tt.mode, order.Config["payment_amount"])
		}
		fields := map[string]string{}
		for name, value := range order.Config {
			switch v := value.(type) {
			case json.Number:
				fields[name] = v.String()
			case string:
				fields[name] = v
			default:
				t.Errorf("%s: %s = %#v, want a text or a number", tt.mode, name, value)
			}
		}
		check(t, fields, tt.want)
		if order.ID != fields["payment_id"] || order.URL != "/shop/orders/"+order.ID {
			t.Errorf("%s: order = %+v, want its own payment_id", tt.mode, order)
		}
		if _, _, list := do(t, http.MethodGet, server.URL+"/shop/orders"); !strings.Contains(list, order.URL) {
			t.Errorf("%s: the list lacks %s", tt.mode, order.URL)
		}
	}
	for _, query := range []string{"good=gold&mode=modal", "good=tea&mode=x", ""} {
		if status, _, _ := do(t, http.MethodPost, server.URL+"/shop/orders?"+query); status != http.StatusBadRequest {
			t.Errorf("POST /shop/orders?%s = %d, want 400", query, status)
		}
	}
}

func TestOrderPageShowsCallbacks(t *testing.T) {
	t.Parallel()
	good := `{"payment":{"status":"success"},"operation":{"type":"sale","status":"success","code":"0","message":"Success","sum_initial":{"amount":149900,"currency":"INR"}}}`
	server := start(t, receipts{
		{ReceivedAt: "2026-01-02T03:04:05Z", Body: json.RawMessage(good), Raw: good, ValidSignature: true},
		{ReceivedAt: "2026-01-02T03:04:06Z", Body: json.RawMessage("null"), Raw: `<script>alert(1)</script>`},
	})
	for _, path := range []string{"/shop/orders/shop-1", "/shop/orders/shop-1?part=callbacks"} {
		_, _, text := do(t, http.MethodGet, server.URL+path)
		for _, want := range []string{"signature verified", "signature wrong", "₹1,499.00", "sale success", "0 Success", `data-status="success"`, "&lt;script&gt;alert"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not show %q", path, want)
			}
		}
		if whole := strings.Contains(text, "<main"); whole == strings.Contains(path, "part=") {
			t.Errorf("%s is a whole page: %v", path, whole)
		}
	}
	if _, _, text := do(t, http.MethodGet, server.URL+"/shop/orders/none"); !strings.Contains(text, "No callback has come yet") {
		t.Errorf("the page of an order without callbacks = %s", text)
	}
}

func TestLandingPagesAndAssets(t *testing.T) {
	t.Parallel()
	server := start(t, nil)
	for path, want := range map[string]string{
		"/shop/ok?payment_id=a%22b": "/shop/orders/a%22b",
		"/shop/no":                  "declined",
		"/shop/back":                "You left",
		"/shop/":                    "Something nice",
		"/shop/orders":              "no orders yet",
		"/shop/shop.css":            "box-sizing",
		"/shop/shop.js":             "EPayWidget.run(order.config, 'POST')",
	} {
		if status, _, text := do(t, http.MethodGet, server.URL+path); status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("GET %s = %d without %q", path, status, want)
		}
	}
	if status, _, _ := do(t, http.MethodGet, server.URL+"/shop/none"); status != http.StatusNotFound {
		t.Errorf("GET of no page = %d, want 404", status)
	}
}

func TestNewNeedsItsParts(t *testing.T) {
	t.Parallel()
	if _, err := shop.New(shop.Options{}); err == nil {
		t.Error("New of nothing = nil error, want one")
	}
}
