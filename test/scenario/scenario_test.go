package scenario_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"aorta/test/scenario"
	"aorta/test/scenario/testdb"
)

// quick are time knobs with which nothing needs waiting.
var quick = []string{"--limit-time", "3s", "--lookup-schedule", "300ms,500ms", "--callback-unit", "100ms"}

// each runs a scenario on both stores.
func each(t *testing.T, args []string, run func(t *testing.T, d *scenario.Demo)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		d := scenario.Start(t, "", args...)
		run(t, d)
		d.Outside()
		d.Verify()
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		d := scenario.Start(t, testdb.New(t), args...)
		run(t, d)
		d.Outside()
		d.Verify()
	})
}

func accepted(t *testing.T, status int, answer map[string]any) {
	t.Helper()
	if status != http.StatusOK || answer["status"] != "success" || answer["request_id"] == "" {
		t.Fatalf("answer %d %v, want an acceptance", status, answer)
	}
}

func refused(t *testing.T, status int, answer map[string]any, want int, code string) {
	t.Helper()
	if status != want || answer["status"] != "error" || answer["code"] != code {
		t.Errorf("answer %d %v, want %d with code %s", status, answer, want, code)
	}
}

// TestFaults: whatever the PSP does, the payment ends as it must, the merchant
// is told so, and the money is right.
func TestFaults(t *testing.T) {
	t.Parallel()
	each(t, quick, func(t *testing.T, d *scenario.Demo) {
		tests := []struct {
			next string
			want string // the last word to the merchant
		}{
			{"approve", "success/sale success 0"},
			{"decline", "decline/sale decline 20100"},
			{"silent", "success/sale success 0"},
			{"timeout", "decline/sale decline 603"},
			{"duplicate", "success/sale success 0"},
			{"late", "decline/sale decline 603"},
			{"wrong_amount", "decline/sale decline 603"},
			{"wrong_signature", "success/sale success 0"},
			{"http_500", "success/sale success 0"}, // asked again under a new reference
			{"slow", "success/sale success 0"},
		}
		for n, test := range tests {
			paymentID := fmt.Sprint("fault-", test.next)
			d.Control("paytm", test.next, "sale", 1)
			if test.next == "http_500" {
				d.Control("paytm", "approve", "sale", 1) // for the second attempt
			}
			status, answer := d.Gate("/v2/payment/wallet/paytm/sale", scenario.Sale(paymentID, int64(1000+n)))
			accepted(t, status, answer)
			callbacks := d.Await(paymentID, test.want)
			for _, c := range callbacks {
				if !c.ValidSignature {
					t.Errorf("%s: callback %s is not signed as it must be", test.next, c.Word())
				}
			}
			if last := callbacks[len(callbacks)-1].Word(); last != test.want {
				t.Errorf("%s: the last callback is %q, want %q", test.next, last, test.want)
			}
		}
		time.Sleep(3 * time.Second) // what is late has now arrived
		if got := d.Status(t.Context(), "fault-late"); got != "decline" {
			t.Errorf("a late success turned the payment to %q; by default it is held", got)
		}
		cases := d.Cases()
		slices.Sort(cases)
		if got := fmt.Sprint(cases); got != "[late_success mismatch]" {
			t.Errorf("cases %s, want one late_success and one mismatch", got)
		}
	})
}

func TestRefunds(t *testing.T) {
	t.Parallel()
	each(t, quick, func(t *testing.T, d *scenario.Demo) {
		d.Control("paytm", "approve", "sale", 1)
		status, answer := d.Gate("/v2/payment/wallet/paytm/sale", scenario.Sale("Refund-1", 1000))
		accepted(t, status, answer)
		d.Await("Refund-1", "success/sale success 0")
		for _, step := range []struct {
			next, name, want string
			minor            int64
		}{
			{"approve", "r-1", "partially refunded/refund success 0", 300},
			{"decline", "r-2", "partially refunded/refund decline 20105", 200},
			{"", "r-3", "partially refunded/refund decline 3283", 701},
			{"timeout", "r-4", "partially refunded/refund success 0", 100},
			{"silent", "r-5", "refunded/refund success 0", 0},
			{"", "r-6", "refunded/refund decline 3283", 1},
		} {
			if step.next != "" {
				d.Control("paytm", step.next, "refund", 1)
			}
			before := len(d.Callbacks("Refund-1"))
			status, answer := d.Gate("/v2/payment/wallet/paytm/refund", scenario.Refund("REFUND-1", step.minor, step.name))
			accepted(t, status, answer)
			deadline := time.Now().Add(40 * time.Second) // a timed-out refund is looked up when the call has ended
			for len(d.Callbacks("Refund-1")) == before && time.Now().Before(deadline) {
				time.Sleep(50 * time.Millisecond)
			}
			all := d.Callbacks("Refund-1")
			if got := all[len(all)-1].Word(); got != step.want || len(all) != before+1 {
				t.Errorf("refund %s: %d callbacks more, the last %q; want one, %q", step.name, len(all)-before, got, step.want)
			}
		}
		status, answer = d.Gate("/v2/payment/wallet/paytm/refund", scenario.Refund("Refund-1", 1, "r-1"))
		refused(t, status, answer, http.StatusBadRequest, "3230")
		status, answer = d.Gate("/v2/payment/wallet/paytm/refund", scenario.Refund("nobody", 1, ""))
		refused(t, status, answer, http.StatusBadRequest, "3061")
		status, answer = d.Gate("/v2/payment/wallet/paytm/sale", scenario.Sale("refund-1", 1000))
		refused(t, status, answer, http.StatusBadRequest, "3041")
	})
}

// TestMerchantAway: a merchant that fails gets its callbacks later, in order.
func TestMerchantAway(t *testing.T) {
	t.Parallel()
	each(t, quick, func(t *testing.T, d *scenario.Demo) {
		d.Control("merchant", "http_500", "", 3)
		d.Control("paytm", "approve", "sale", 1)
		status, answer := d.Gate("/v2/payment/wallet/paytm/sale", scenario.Sale("away-1", 1000))
		accepted(t, status, answer)
		var words []string
		for _, c := range d.Await("away-1", "success/sale success 0") {
			words = append(words, strings.Fields(c.Word())[0])
		}
		// Four tries of the first (three fail), and only then the second.
		if got := strings.Join(slices.Compact(words), " "); !strings.HasSuffix(got, "success/sale") || words[len(words)-1] == words[0] {
			t.Errorf("callbacks came as %q, want success last", words)
		}
	})
}

// TestCustomerOnThePage follows a customer without JavaScript from the signed
// link to the result.
func TestCustomerOnThePage(t *testing.T) {
	t.Parallel()
	each(t, quick, func(t *testing.T, d *scenario.Demo) {
		// The shop signs the link; a browser without scripts follows it.
		b := newBrowser(t)
		b.get(d.Sandbox + "/shop")
		b.follow("#plain-tea")
		b.wantText("Pay")
		b.submit(nil)
		for range 5 { // to the PSP, by a button where no script presses it
			if strings.Contains(b.body, `value="approve"`) {
				break
			}
			b.submit(nil)
		}
		b.submit(url.Values{"action": {"approve"}})
		b.submit(nil) // the PSP's way back
		for range 20 {
			if strings.Contains(b.body, "Payment successful") {
				break
			}
			time.Sleep(300 * time.Millisecond)
			b.get(b.url)
		}
		b.wantText("Payment successful")
	})
}

func TestNotificationsThatAreNone(t *testing.T) {
	t.Parallel()
	each(t, quick, func(t *testing.T, d *scenario.Demo) {
		forged := url.Values{
			"MID": {"AORTADEMO00000000001"}, "ORDERID": {"att_01k4rs8v3h0000000000000000"}, "STATUS": {"TXN_SUCCESS"}, "TXNAMOUNT": {"10.00"},
			"CURRENCY": {"INR"}, "CHECKSUMHASH": {strings.Repeat("A", 108)},
		}
		for _, test := range []struct {
			name, contentType, body string
			want                    int
		}{
			{"forged form", "application/x-www-form-urlencoded", forged.Encode(), http.StatusUnauthorized},
			{"forged JSON", "application/json", `{"head":{"signature":"x"},"body":{"orderId":"a"}}`, http.StatusUnauthorized},
			{"not JSON", "application/json", `{`, http.StatusBadRequest},
			{"too large", "application/json", strings.Repeat(" ", 2<<20), http.StatusRequestEntityTooLarge},
		} {
			resp, err := http.Post(d.Public+"/n/paytm/demo", test.contentType, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != test.want {
				t.Errorf("%s: answer %d, want %d", test.name, resp.StatusCode, test.want)
			}
		}
	})
}
