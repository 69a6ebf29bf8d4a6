package api_test

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestList: newest first, page by page, by status, customer, name and time.
func TestList(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var all []string
	for n := range 7 {
		amount := "50.00"
		if n%2 == 0 {
			amount = "1.00"
		}
		a := h.post(initPath, fmt.Sprint("k", n), sale(amount, fmt.Sprintf(`,"customer_id":"c%d","merchant_payment_id":"o%d","meta":{"n":"%d"}`, n%3, n, n)))
		all = append(all, a.text("payment_id"))
		h.pass(time.Second)
	}
	slices.Reverse(all)
	ids := func(target string) (out []string) {
		for cursor := ""; ; {
			a := h.get(target + cursor)
			if a.Code != 200 {
				t.Fatalf("%s%s = %d %s", target, cursor, a.Code, a.Body)
			}
			for n := range a.doc["data"].([]any) {
				out = append(out, a.text("data", fmt.Sprint(n), "payment_id"))
			}
			if a.text("has_more") != "true" {
				return out
			}
			cursor = "&cursor=" + a.text("next_cursor")
		}
	}
	for _, tt := range []struct {
		target string
		want   []string
	}{
		{"/v1/payments", all},
		{"/v1/payments?limit=2", all},
		{"/v1/payments?limit=7", all},
		{"/v1/payments?status=captured", []string{all[0], all[2], all[4], all[6]}},
		{"/v1/payments?status=pending", []string{all[1], all[3], all[5]}},
		{"/v1/payments?status=refunded", nil},
		{"/v1/payments?customer_id=c0", []string{all[0], all[3], all[6]}},
		{"/v1/payments?customer_id=c0&status=captured", []string{all[0], all[6]}},
		{"/v1/payments?merchant_payment_id=O3", []string{all[3]}},
		{"/v1/payments?merchant_payment_id=o3&status=captured", nil},
		{"/v1/payments?merchant_payment_id=nothing", nil},
		{"/v1/payments?created_from=2026-01-02T03:04:08Z", all[:4]},
		{"/v1/payments?created_to=2026-01-02T03:04:08Z", all[4:]},
		{"/v1/payments?created_from=2026-01-02T03:04:06Z&created_to=2026-01-02T03:04:08Z", all[4:6]},
	} {
		if got := ids(tt.target); !slices.Equal(got, tt.want) {
			t.Errorf("%s = %v\nwant %v", tt.target, got, tt.want)
		}
	}
	if a := h.get("/v1/payments?expand=meta&limit=1"); a.text("data", "0", "meta", "n") != "6" {
		t.Errorf("expand=meta = %s", a.Body)
	}
	if a := h.get("/v1/payments?limit=1"); a.text("data", "0", "meta") != "" {
		t.Errorf("without = %s", a.Body)
	}
}
