package torture_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/test/scenario"
	"aorta/test/torture"
)

// all asks n times at once and gives the answers; those that invite to come
// again do, within patience.
func all(t *testing.T, n int, patience time.Duration, ask func(ctx context.Context, k int) (torture.Answer, error)) []torture.Answer {
	t.Helper()
	answers, let := make([]torture.Answer, n), make(chan struct{})
	var wg sync.WaitGroup
	for k := range n {
		wg.Go(func() {
			<-let
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			for {
				var err error
				if answers[k], err = ask(ctx, k); err != nil {
					t.Errorf("request %d of %d at once: %v", k, n, err)
				}
				if err != nil || (answers[k].Status != http.StatusServiceUnavailable && answers[k].Status != http.StatusTooManyRequests) {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	close(let)
	wg.Wait()
	return answers
}

const tenPercent = 100 // minor units of a payment of 1,000

// TestT20: fifty refunds of a tenth each, at once: ten succeed, forty are
// declined with 3283, and never more is given back than was taken. Every fifth
// payment is refunded in full by eight at once while it is being captured.
func TestT20(t *testing.T) {
	eachStore(t, func(t *testing.T, store string) {
		w := torture.NewWorld(t, store)
		p := w.NewPlatform("refunder", "")
		p.Start()
		b := books{t: t, w: w}
		count := torture.Count(t, 200, 6)
		w.Control("approve", "", 1_000_000)
		var wg sync.WaitGroup
		turns := make(chan struct{}, 4)
		for n := range count {
			turns <- struct{}{}
			wg.Go(func() {
				defer func() { <-turns }()
				name, project := fmt.Sprintf("t20-%d", n), n%torture.Accounts
				ctx := context.Background()
				if a, err := p.Sell(ctx, project, name, 10*tenPercent); err != nil || a.Status != http.StatusOK {
					t.Errorf("sale: %+v %v", a, err)
				}
				many, minor := 50, int64(tenPercent)
				if n%5 == 4 {
					many, minor = 8, 10*tenPercent
				} else if err := p.Await(project, name, "success", 20*time.Second); err != nil {
					t.Error(err)
				}
				answers := all(t, many, 30*time.Second, func(ctx context.Context, k int) (torture.Answer, error) {
					for {
						a, err := p.Gate(ctx, "/v2/payment/wallet/paytm/refund", project, torture.Refund(name, minor, fmt.Sprintf("%s-%d", name, k)))
						if err != nil || a.Body["code"] != "3060" { // not captured yet
							return a, err
						}
					}
				})
				for k, a := range answers {
					if a.Status != http.StatusOK {
						t.Errorf("refund %d of %s: %d %v", k, name, a.Status, a.Body)
					}
				}
				if err := p.Await(project, name, "refunded", 20*time.Second); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		wrong := 0
		err := w.Read(func(r book.Reader) error {
			names, captured := map[id.Payment]string{}, map[id.Payment]int64{}
			if err := scenario.Every(r.ScanPayments, func(p payment.Payment) id.Payment {
				names[p.ID], captured[p.ID] = p.MerchantPaymentID, p.CapturedMinor
				return p.ID
			}); err != nil {
				return err
			}
			found, given := map[id.Payment]map[string]int{}, map[id.Payment]int64{}
			if err := scenario.Every(r.ScanOperations, func(o payment.Operation) id.Operation {
				if o.Kind == payment.KindRefund {
					if found[o.Payment] == nil {
						found[o.Payment] = map[string]int{}
					}
					found[o.Payment][string(o.Status)+" "+o.Code]++
					if o.Status == payment.OperationSuccess {
						given[o.Payment] += o.Amount.Minor
					}
				}
				return o.ID
			}); err != nil {
				return err
			}
			for p, name := range names {
				want := map[string]int{"success 0": 10, "decline 3283": 40}
				var n int
				if _, err := fmt.Sscanf(name, "t20-%d", &n); err == nil && n%5 == 4 {
					want = map[string]int{"success 0": 1, "decline 3283": 7}
				}
				if !maps.Equal(found[p], want) || given[p] != captured[p] || captured[p] != 10*tenPercent {
					wrong++
					t.Errorf("refunds of %s: %v, %d of %d given back; want %v", name, found[p], given[p], captured[p], want)
				}
			}
			if len(names) != count {
				t.Errorf("%d payments, want %d", len(names), count)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		p.Verify()
		b.compare(20 * time.Second)
		torture.Report(t, torture.Row{
			ID: "T20", Fault: "50 partial refunds at once, and full ones against the capture", Store: store, Planned: count, Injected: count, Survived: count - wrong,
		})
	})
}

// TestT21: the same payment_id from fifty clients at once, half of them with
// bodies of their own: one is taken, the others are told that it is known. On
// PostgreSQL they go to four platforms.
func TestT21(t *testing.T) {
	eachStore(t, func(t *testing.T, store string) {
		w := torture.NewWorld(t, store)
		platforms := []*torture.Platform{w.NewPlatform("one", "")}
		if store == "postgres" {
			platforms = append(platforms, w.NewPlatform("two", ""), w.NewPlatform("three", ""), w.NewPlatform("four", ""))
		}
		for _, p := range platforms {
			p.Start()
		}
		b := books{t: t, w: w}
		const many = 50
		keys := torture.Count(t, 500, 12)
		w.Control("approve", "sale", 1_000_000)
		taken, survived := map[string]int64{}, 0 // name → minor units of who was told that it is new
		for n := range keys {
			name, project := fmt.Sprintf("t21-%d", n), n%torture.Accounts
			minor := func(k int) int64 { return 1000 + int64(k%2*k) }
			answers := all(t, many, 30*time.Second, func(ctx context.Context, k int) (torture.Answer, error) {
				body := torture.Sale(name, minor(k))
				if k%2 == 1 {
					body["customer"] = map[string]any{"id": fmt.Sprint("c", k), "ip_address": "192.0.2.10"}
				}
				return platforms[k%len(platforms)].Gate(ctx, "/v2/payment/wallet/paytm/sale", project, body)
			})
			news, known := 0, 0
			for k, a := range answers {
				switch {
				case a.Status == http.StatusOK && a.Body["status"] == "success":
					news++
					taken[name] = minor(k)
				case a.Status == http.StatusBadRequest && a.Body["code"] == "3041":
					known++
				}
			}
			if news != 1 || known != many-1 {
				t.Errorf("%s: %d were told that it is new, %d that it is known; want 1 and %d", name, news, known, many-1)
			} else {
				survived++
			}
			if err := platforms[n%len(platforms)].Await(project, name, "success", 20*time.Second); err != nil {
				t.Error(err)
			}
		}
		err := w.Read(func(r book.Reader) error {
			stored := map[string]int64{}
			err := scenario.Every(r.ScanPayments, func(p payment.Payment) id.Payment {
				if _, twice := stored[p.MerchantPaymentID]; twice {
					t.Errorf("there are two payments %s", p.MerchantPaymentID)
				}
				stored[p.MerchantPaymentID] = p.Amount.Minor
				return p.ID
			})
			if !maps.Equal(stored, taken) {
				t.Errorf("stored are %d payments, taken were %d, or their amounts differ: %v, %v", len(stored), len(taken),
					slices.Sorted(maps.Keys(stored)), slices.Sorted(maps.Keys(taken)))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		platforms[0].Verify()
		b.compare(20 * time.Second)
		torture.Report(t, torture.Row{
			ID: "T21", Fault: fmt.Sprintf("one payment_id from 50 clients at once, at %d processes", len(platforms)), Store: store,
			Planned: keys, Injected: keys, Survived: survived,
		})
	})
}

// keyed is what TestT21Keys asks of /v1 under one idempotency key, by half of the
// clients; the others each ask for another amount.
type keyed struct {
	path string
	body func(name, amount string) map[string]any
}

var keyedCalls = []keyed{
	{"/v1/payments/init", func(name, amount string) map[string]any {
		return map[string]any{
			"amount": amount, "currency": "EUR", "method": "card", "return_url": "https://shop.example/", "merchant_payment_id": name, "customer_id": "c1",
		}
	}},
	{"/v1/wallet/debit", func(name, amount string) map[string]any {
		return map[string]any{"amount": amount, "currency": "EUR", "txn_id": name, "customer_id": "rich"}
	}},
}

// TestT21Keys: the same idempotency key of /v1 from fifty clients at once, half of
// them with bodies of their own: one thing is done, whoever asked for it is told
// the same, byte for byte, at once or, after 409 request_in_progress, on coming
// again; the others are refused with what differs. On PostgreSQL they go to four
// platforms.
func TestT21Keys(t *testing.T) {
	eachStore(t, func(t *testing.T, store string) {
		w := torture.NewWorld(t, store)
		platforms := []*torture.Platform{w.NewPlatform("one", "")}
		if store == "postgres" {
			platforms = append(platforms, w.NewPlatform("two", ""), w.NewPlatform("three", ""), w.NewPlatform("four", ""))
		}
		for _, p := range platforms {
			p.Start()
		}
		const many = 50
		keys := torture.Count(t, 500, 12)
		for _, name := range scenario.Providers() {
			if err := w.Wish(name, "approve", "sale", 1_000_000); err != nil {
				t.Fatal(err)
			}
		}
		key := platforms[0].Key(playing)
		native := func(k int) scenario.Native {
			return scenario.Native{URL: platforms[k%len(platforms)].Public, Key: key}
		}
		if r, err := native(0).Post(t.Context(), "/v1/wallet/credit", "rich", map[string]any{
			"amount": "100000.00", "currency": "EUR", "txn_id": "rich", "customer_id": "rich",
		}); err != nil || r.Status != http.StatusOK {
			t.Fatalf("credit: %d %s %v", r.Status, r.Text, err)
		}
		amount := func(k int) string { return fmt.Sprintf("10.%02d", k%2*k) }
		won, survived, waited := map[string]string{}, 0, new(atomic.Int64) // key → the amount that was done
		for n := range keys {
			call, name := keyedCalls[n%len(keyedCalls)], fmt.Sprintf("t21-key-%d", n)
			replies := make([]scenario.Reply, many)
			all(t, many, 30*time.Second, func(ctx context.Context, k int) (torture.Answer, error) {
				for {
					r, err := native(k).Post(ctx, call.path, name, call.body(name, amount(k)))
					if err == nil && r.Error() == "request_in_progress" {
						waited.Add(1)
						time.Sleep(20 * time.Millisecond)
						continue
					}
					replies[k] = r
					return torture.Answer{Status: r.Status}, err
				}
			})
			told := map[string][]int{}
			for k, r := range replies {
				if r.Status == http.StatusOK {
					told[r.Text] = append(told[r.Text], k)
				}
			}
			good := len(told) == 1
			for _, same := range told {
				won[name] = amount(same[0])
				for k, r := range replies {
					details, _ := r.Body()["details"].(map[string]any)
					switch {
					case amount(k) == won[name] && r.Status == http.StatusOK:
					case amount(k) != won[name] && r.Status == http.StatusConflict && r.Error() == "idempotency_conflict" && fmt.Sprint(details["differs"]) == "[amount]":
					default:
						good = false
					}
				}
			}
			if !good {
				t.Errorf("%s: %d different answers were yes, to %v; want one, to all who asked for that amount, and of the others each refused for it: %v", name, len(told), told, replies)
				continue
			}
			survived++
		}
		err := w.Read(func(r book.Reader) error {
			stored := map[string]string{}
			keep := func(name, amount string) {
				if before, twice := stored[name]; twice {
					t.Errorf("%s was done twice, over %s and over %s", name, before, amount)
				}
				stored[name] = amount
			}
			if err := scenario.Every(r.ScanPayments, func(p payment.Payment) id.Payment {
				keep(p.MerchantPaymentID, p.Amount.Decimal())
				return p.ID
			}); err != nil {
				return err
			}
			err := scenario.Every(r.ScanTransfers, func(x ledger.Transfer) id.Transfer {
				if x.Kind == ledger.KindDebit {
					keep(x.Name, money.Amount{Minor: max(x.Postings[0].Minor, x.Postings[1].Minor), Currency: x.Currency()}.Decimal())
				}
				return x.ID
			})
			if !maps.Equal(stored, won) {
				t.Errorf("done are %v, told was %v", stored, won)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		b := books{t: t, w: w}
		b.compare(20 * time.Second)
		platforms[0].Verify()
		t.Logf("%d answers were request_in_progress", waited.Load())
		if torture.Full() && waited.Load() == 0 {
			t.Error("nobody was told request_in_progress: the clients never met")
		}
		torture.Report(t, torture.Row{
			ID: "T21", Fault: fmt.Sprintf("one idempotency key of /v1 from 50 clients at once, at %d processes", len(platforms)), Store: store,
			Planned: keys, Injected: keys, Survived: survived,
		})
	})
}
