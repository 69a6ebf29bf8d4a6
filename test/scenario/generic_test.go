package scenario_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"aorta/test/scenario"
)

// saleIn is a Gate sale of minor units of a currency.
func saleIn(paymentID string, minor int64, currency string) map[string]any {
	sale := scenario.Sale(paymentID, minor)
	sale["payment"] = map[string]any{"amount": minor, "currency": currency}
	return sale
}

// TestGenericFaults is TestFaults at the generic provider, whose webhook is its
// own word: whatever it does, the payment ends as it must.
func TestGenericFaults(t *testing.T) {
	t.Parallel()
	each(t, quick, func(t *testing.T, d *scenario.Demo) {
		tests := []struct {
			next, path, currency string
			want                 string // the last word to the merchant
		}{
			{"approve", "card", "EUR", "success/sale success 0"},
			{"decline", "bank", "EUR", "decline/sale decline 20100"},
			{"silent", "wallet", "INR", "success/sale success 0"},
			{"timeout", "card", "JPY", "decline/sale decline 603"},
			{"duplicate", "card", "JPY", "success/sale success 0"},
			{"late", "wallet", "EUR", "decline/sale decline 603"},
			{"wrong_amount", "card", "JPY", "decline/sale decline 603"},
			{"wrong_signature", "card", "EUR", "success/sale success 0"},
			{"http_500", "bank", "EUR", "success/sale success 0"}, // asked again under a new reference
			{"slow", "card", "EUR", "success/sale success 0"},
		}
		for n, test := range tests {
			paymentID := fmt.Sprint("generic-", test.next)
			d.Control("generic", test.next, "sale", 1)
			if test.next == "http_500" {
				d.Control("generic", "approve", "sale", 1) // for the second attempt
			}
			status, answer := d.Gate("/v2/payment/"+test.path+"/generic/sale", saleIn(paymentID, int64(1000+n), test.currency))
			accepted(t, status, answer)
			callbacks := d.Await(paymentID, test.want)
			if last := callbacks[len(callbacks)-1].Word(); last != test.want {
				t.Errorf("%s: the last callback is %q, want %q", test.next, last, test.want)
			}
		}
		time.Sleep(3 * time.Second) // what is late has now arrived
		if got := d.Status(t.Context(), "generic-late"); got != "decline" {
			t.Errorf("a late success turned the payment to %q; by default it is held", got)
		}
		cases := d.Cases()
		slices.Sort(cases)
		if got := fmt.Sprint(cases); got != "[late_success mismatch]" {
			t.Errorf("cases %s, want one late_success and one mismatch", got)
		}
		status, answer := d.Gate("/v2/payment/card/generic/sale", saleIn("generic-usd", 1000, "USD"))
		refused(t, status, answer, http.StatusBadRequest, "3023")
	})
}

func TestGenericRefunds(t *testing.T) {
	t.Parallel()
	each(t, quick, func(t *testing.T, d *scenario.Demo) {
		d.Control("generic", "approve", "sale", 1)
		status, answer := d.Gate("/v2/payment/card/generic/sale", saleIn("generic-back", 1000, "JPY"))
		accepted(t, status, answer)
		d.Await("generic-back", "success/sale success 0")
		for _, step := range []struct {
			next, name, want string
			minor            int64
		}{
			{"approve", "r-1", "partially refunded/refund success 0", 300},
			{"decline", "r-2", "partially refunded/refund decline 20105", 200},
			{"duplicate", "r-3", "partially refunded/refund success 0", 100},
			{"silent", "r-4", "refunded/refund success 0", 600},
		} {
			d.Control("generic", step.next, "refund", 1)
			before := len(d.Callbacks("generic-back"))
			refund := scenario.Refund("generic-back", 0, step.name)
			refund["payment"] = map[string]any{"description": "back", "amount": step.minor, "currency": "JPY", "merchant_refund_id": step.name}
			status, answer := d.Gate("/v2/payment/card/generic/refund", refund)
			accepted(t, status, answer)
			for deadline := time.Now().Add(20 * time.Second); len(d.Callbacks("generic-back")) == before && time.Now().Before(deadline); {
				time.Sleep(50 * time.Millisecond)
			}
			all := d.Callbacks("generic-back")
			if got := all[len(all)-1].Word(); got != step.want || len(all) != before+1 {
				t.Errorf("refund %s: %d callbacks more, the last %q; want one, %q", step.name, len(all)-before, got, step.want)
			}
		}
	})
}

// TestCustomerPaysByCardBankAndWallet follows customers without JavaScript from a
// signed link over the generic provider's pages to the result.
func TestCustomerPaysByCardBankAndWallet(t *testing.T) {
	t.Parallel()
	each(t, quick, func(t *testing.T, d *scenario.Demo) {
		tests := []struct {
			method, currency string
			presses          []string // of the buttons, page by page
			want             string   // on the result
			word             string   // to the merchant
		}{
			{"generic-card", "EUR", []string{"approve", "approve"}, "Payment successful", "success/sale success 0"},
			{"generic-card", "JPY", []string{"approve", "decline"}, "", "decline/sale decline 20100"},
			{"generic-bank", "INR", []string{"approve", "approve"}, "Payment successful", "success/sale success 0"},
			{"generic-bank", "EUR", []string{"approve", "decline"}, "", "decline/sale decline 20301"},
			{"generic-wallet", "JPY", []string{"approve"}, "Payment successful", "success/sale success 0"},
			{"generic-wallet", "EUR", []string{"leave"}, "", "decline/sale decline 603"},
		}
		for n, test := range tests {
			paymentID := fmt.Sprintf("page-%d", n)
			b := newBrowser(t)
			b.get(d.Public + "/payment?" + d.Link(url.Values{
				"payment_id": {paymentID}, "payment_amount": {"5000"}, "payment_currency": {test.currency}, "customer_id": {"c1"},
			}))
			b.submit(url.Values{"method": {test.method}})
			for range 5 { // to the provider, by a button where no script presses it
				if strings.Contains(b.body, `value="approve"`) {
					break
				}
				b.press()
			}
			if strings.Contains(strings.ToLower(b.body), `autocomplete="cc-`) || strings.Contains(b.body, `type="tel"`) {
				t.Errorf("%s: the page asks for a card number: %s", test.method, b.body)
			}
			for _, action := range test.presses {
				b.submit(url.Values{"action": {action}})
			}
			if !strings.HasPrefix(b.url, d.Public+"/payment/s/") {
				t.Fatalf("%s: the customer is led back to %s, want their payment", test.method, b.url)
			}
			d.Await(paymentID, test.word)
			if test.want != "" {
				b.get(b.url)
				b.wantText(test.want)
			}
		}
	})
}

// TestWebhookByHand: L11's webhook, letter for letter, signed with the secret of
// the demo's project by whoever has it.
func TestWebhookByHand(t *testing.T) {
	t.Parallel()
	each(t, quick, func(t *testing.T, d *scenario.Demo) {
		begin := func(paymentID string) string {
			t.Helper()
			status, answer := d.Gate("/v2/payment/card/generic/sale", saleIn(paymentID, 5000, "EUR"))
			accepted(t, status, answer)
			d.Await(paymentID, "awaiting redirect result/sale awaiting redirect result 9999")
			entries, err := scenario.ProviderOf(t.Context(), d.Sandbox, "generic", 0)
			if err != nil {
				t.Fatal(err)
			}
			return entries[len(entries)-1].PaymentID
		}
		doors, calls := []string{"/n/generic/demo", "/v1/payments/webhook"}, 0 // one protocol, whichever way it comes
		webhook := func(event, payment, amount string, at time.Time, secret string) int {
			t.Helper()
			calls++
			body := fmt.Sprintf(`{"event_id":%q,"payment_id":%q,"status":"captured","amount":%q,"currency":"EUR","timestamp":%q}`,
				event, payment, amount, at.UTC().Format(time.RFC3339))
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write([]byte(body))
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.Public+doors[calls%2], strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("X-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			return resp.StatusCode
		}
		now := time.Now()
		first := begin("hand-1")
		for _, test := range []struct {
			name, event, amount, secret string
			at                          time.Time
			want                        int
		}{
			{"a stranger's", "evt_1", "50.00", "guess", now, http.StatusUnauthorized},
			{"too old", "evt_1", "50.00", d.Secret, now.AddDate(0, 0, -91), http.StatusBadRequest},
			{"too old, by the other door", "evt_1", "50.00", d.Secret, now.AddDate(0, 0, -91), http.StatusBadRequest},
			{"too far ahead", "evt_1", "50.00", d.Secret, now.Add(330 * time.Second), http.StatusBadRequest},
			{"too far ahead, by the other door", "evt_1", "50.00", d.Secret, now.Add(330 * time.Second), http.StatusBadRequest},
			{"of another amount", "evt_0", "50.01", d.Secret, now, http.StatusOK}, // a case
			{"as it should be", "evt_1", "50.00", d.Secret, now.AddDate(0, 0, -89), http.StatusOK},
			{"again", "evt_1", "50.00", d.Secret, now.AddDate(0, 0, -89), http.StatusOK},
			{"again, with its time refreshed", "evt_1", "50.00", d.Secret, now, http.StatusOK},
			{"again, a little ahead", "evt_1", "50.00", d.Secret, now.Add(250 * time.Second), http.StatusOK},
		} {
			if got := webhook(test.event, first, test.amount, test.at, test.secret); got != test.want {
				t.Errorf("%s: answer %d, want %d", test.name, got, test.want)
			}
		}
		d.Await("hand-1", "success/sale success 0")
		if got := fmt.Sprint(d.Cases()); got != "[mismatch]" {
			t.Errorf("cases %s, want the mismatch", got)
		}
		// The customer pays after all, so that the provider's books say the same.
		redirect, _ := d.Callbacks("hand-1")[0].Body["redirect_data"].(map[string]any)
		b := newBrowser(t)
		b.get(fmt.Sprint(redirect["url"]))
		b.submit(url.Values{"action": {"approve"}})
		b.submit(url.Values{"action": {"approve"}})
		b.wantText("Payment successful")
	})
}
