package torture_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/test/scenario"
	"aorta/test/torture"
)

// cashier is who has customers of the playing project paid out over /v1.
type cashier struct {
	t         *testing.T
	w         *torture.World
	platforms []*torture.Platform
	key       string
}

func newCashier(t *testing.T, w *torture.World, platforms ...*torture.Platform) *cashier {
	return &cashier{t: t, w: w, platforms: platforms, key: platforms[0].Key(playing)}
}

func (c *cashier) native(k int) scenario.Native {
	return scenario.Native{URL: c.platforms[k%len(c.platforms)].Public, Key: c.key}
}

// fill gives a customer this many euros.
func (c *cashier) fill(customer string, euros int) {
	c.t.Helper()
	r, err := c.native(0).Post(c.t.Context(), "/v1/wallet/credit", "fill-"+customer, map[string]any{
		"amount": fmt.Sprintf("%d.00", euros), "currency": "EUR", "txn_id": "fill-" + customer, "customer_id": customer,
	})
	if err != nil || r.Status != http.StatusOK {
		c.t.Fatalf("credit: %d %s %v", r.Status, r.Text, err)
	}
}

// payoutOf is the body of a payout of ten euros; name may be empty.
func payoutOf(customer, name string) map[string]any {
	body := map[string]any{"amount": "10.00", "currency": "EUR", "method": "card", "customer_id": customer}
	if name != "" {
		body["merchant_payout_id"] = name
	}
	return body
}

const payouts = "/v1/payouts/init"

// insistence is longer than insist goes on by itself, its last try included.
const insistence = 190 * time.Second

// insist asks for a payout until it is answered for good: where nobody knows
// whether a process lives, what it was answering is taken over after 40 s; and
// 40 s later if whoever took it over has been killed, too.
func (c *cashier) insist(ctx context.Context, k int, key string, body map[string]any) scenario.Reply {
	for deadline := time.Now().Add(170 * time.Second); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		one, cancel := context.WithTimeout(ctx, 15*time.Second)
		r, err := c.native(k).Post(one, payouts, key, body)
		cancel()
		if err == nil && r.Final() {
			return r
		}
	}
	c.t.Errorf("payout %s: no answer in 170 s", key)
	return scenario.Reply{}
}

// atOnce asks n times at once, by the keys that key gives.
func (c *cashier) atOnce(n int, key func(k int) string, body map[string]any) []scenario.Reply {
	replies := make([]scenario.Reply, n)
	all(c.t, n, insistence, func(ctx context.Context, k int) (torture.Answer, error) {
		replies[k] = c.insist(ctx, k, key(k), body)
		return torture.Answer{}, nil
	})
	return replies
}

// told counts different answers, by status and error; those of 200 by their text.
func told(replies []scenario.Reply) map[string]int {
	out := map[string]int{}
	for _, r := range replies {
		if r.Status == http.StatusOK {
			out[r.Text]++
		} else {
			out[fmt.Sprint(r.Status, " ", r.Error())]++
		}
	}
	return out
}

// yes is the one answer of 200 that there must be, and how often it was given.
func yes(replies []scenario.Reply) (text string, times int) {
	for answer, n := range told(replies) {
		if strings.HasPrefix(answer, "{") {
			if text != "" {
				return "", 0
			}
			text, times = answer, n
		}
	}
	return text, times
}

// end waits until all payouts whose names are mine have ended, or wait for it to be
// sure that their provider has never heard of them, and counts by the provider's
// own journal what it has carried out for each. It gives what is wrong: each of
// want must be there with one operation at the provider, or none while it waits,
// and no other.
func (c *cashier) end(mine func(name string) bool, want map[string]bool) (wrong []string) {
	c.t.Helper()
	var attempts map[id.Payment][]payment.Attempt
	names := map[id.Payment]payment.Payment{}
	waits := map[id.Payment]bool{}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		attempts, names, waits = map[id.Payment][]payment.Attempt{}, map[id.Payment]payment.Payment{}, map[id.Payment]bool{}
		open := 0
		err := c.w.Read(func(r book.Reader) error {
			waiting, err := c.w.Waiting(r)
			if err != nil {
				return err
			}
			for _, a := range waiting {
				waits[a.Payment] = true
			}
			if err := scenario.Every(r.ScanPayments, func(p payment.Payment) id.Payment {
				if p.Type == payment.TypePayout && mine(p.MerchantPaymentID) {
					names[p.ID] = p
					if !p.Status.Final() && !waits[p.ID] {
						open++
					}
				}
				return p.ID
			}); err != nil {
				return err
			}
			return scenario.Every(r.ScanAttempts, func(a payment.Attempt) id.Attempt {
				attempts[a.Payment] = append(attempts[a.Payment], a)
				return a.ID
			})
		})
		if err != nil {
			c.t.Fatal(err)
		}
		if open == 0 {
			break
		}
		if time.Now().After(deadline) {
			wrong = append(wrong, fmt.Sprintf("%d payouts have not ended", open))
			break
		}
	}
	entries, err := c.w.Books()
	if err != nil {
		c.t.Fatal(err)
	}
	carried := map[string]scenario.Entry{} // by our reference, of which there is one at most in a journal
	for _, e := range entries {
		if e.Kind == string(payment.KindPayout) {
			carried[e.Reference] = e
		}
	}
	seen := map[string]bool{}
	for p, row := range names {
		name, done := row.MerchantPaymentID, 0
		for _, a := range attempts[p] {
			if e, ok := carried[a.ID.String()]; ok {
				done++
				if e.AmountMinor != row.Amount.Minor || e.Moved() != (row.Status == payment.StatusPaid) {
					wrong = append(wrong, fmt.Sprintf("payout %s of %d is %s, at the provider %s of %d", name, row.Amount.Minor, row.Status, e.State, e.AmountMinor))
				}
			}
		}
		if seen[name] || !want[name] {
			wrong = append(wrong, fmt.Sprintf("payout %s is there (before: %t), asked for: %t", name, seen[name], want[name]))
		}
		seen[name] = true
		if one := done == 1 && len(attempts[p]) == 1; !one && !(done == 0 && waits[p]) {
			wrong = append(wrong, fmt.Sprintf("the provider has carried out %d of %d attempts at payout %s, which waits: %t", done, len(attempts[p]), name, waits[p]))
		}
	}
	if len(seen) != len(want) {
		wrong = append(wrong, fmt.Sprintf("there are %d payouts, want %d", len(seen), len(want)))
	}
	return wrong
}

func begins(prefix string) func(string) bool {
	return func(name string) bool { return strings.HasPrefix(name, prefix) }
}

// TestT22: a payout is submitted twice: by a double click (one key, eight at
// once), under other keys by the same name (an operator, and a merchant's second
// server), after the answer was lost on its way (a gateway's 502), and after the
// process has died when the provider had it and nobody had noted so. The
// provider's own journal has one operation for each.
func TestT22(t *testing.T) {
	eachStore(t, func(t *testing.T, store string) {
		w := torture.NewWorld(t, store)
		platforms := []*torture.Platform{w.NewPlatform("one", "")}
		if store == "postgres" {
			platforms = append(platforms, w.NewPlatform("two", ""))
		}
		for _, p := range platforms {
			p.Start()
		}
		c := newCashier(t, w, platforms...)
		count := torture.Count(t, 500, 12)
		c.fill("payee", 20*count)
		injected, survived, want := 0, 0, map[string]bool{}
		var late []func() bool // what is answered later
		for n := range count {
			name := fmt.Sprintf("t22-%d", n)
			want[name] = true
			body := payoutOf("payee", name)
			same := func(int) string { return name }
			good := false
			switch n % 4 {
			case 0: // a double click
				injected++
				_, times := yes(c.atOnce(8, same, body))
				good = times == 8
			case 1: // by the same name under other keys
				injected++
				replies := c.atOnce(8, func(k int) string { return fmt.Sprint(name, "-", k) }, body)
				_, times := yes(replies)
				good = times == 1 && told(replies)["409 duplicate_payment_id"] == 7
			case 2: // the answer is lost, again and again
				for try := range 10 { // on a slow machine no request arrives before its client is gone
					if try > 0 {
						name = fmt.Sprintf("t22-%d-%d", n, try)
						want[name] = true
					}
					first, again, lost := c.loses(n/4, name, payoutOf("payee", name))
					good = first.Status == http.StatusOK && first.Text == again.Text
					if lost {
						injected++
					}
					if lost || !good {
						break
					}
				}
			case 3: // the process dies when the provider has it; else it is no survivor
				injected++
				late = append(late, c.dies(name, body))
				continue
			}
			if good {
				survived++
			} else {
				t.Errorf("payout %s, of kind %d, was not answered once", name, n%4)
			}
		}
		for _, good := range late {
			if good() {
				survived++
			}
		}
		wrong := c.end(begins("t22-"), want)
		for _, s := range wrong {
			t.Error(s)
		}
		b := books{t: t, w: w}
		b.compare(20 * time.Second)
		platforms[0].Verify()
		torture.Report(t, torture.Row{
			ID: "T22", Fault: fmt.Sprintf("payout submitted twice, at %d processes", len(platforms)), Store: store,
			Planned: count, Injected: injected, Survived: survived, Violations: len(wrong),
		})
	})
}

// lose asks for a payout five times and hears no answer: it goes away sooner or
// later, and the last time when the answer has begun to come.
func (c *cashier) lose(k int, name string, body map[string]any) {
	for n := range 5 {
		patience := time.Duration(1+5*n) * time.Millisecond
		if n == 4 {
			patience = 15 * time.Second
		}
		ctx, cancel := context.WithTimeout(c.t.Context(), patience)
		_, _ = c.native(k).Post(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotFirstResponseByte: cancel}), payouts, name, body)
		cancel()
	}
}

// loses has a payout asked for by clients who are gone before the answer, and then
// by two who stay. lost says that a request of the former had reached a platform.
func (c *cashier) loses(k int, name string, body map[string]any) (first, again scenario.Reply, lost bool) {
	c.t.Helper()
	if err := c.w.Wish("generic", "slow", "payout", 1); err != nil {
		c.t.Fatal(err)
	}
	c.lose(k, name, body)
	began := time.Now()
	first, again = c.insist(c.t.Context(), k, name, body), c.insist(c.t.Context(), k+1, name, body)
	var made struct {
		At time.Time `json:"created_at"`
	}
	err := json.Unmarshal([]byte(first.Text), &made)
	return first, again, err == nil && made.At.Before(began)
}

// dies kills the process that has just handed a payout to its provider, which is
// slow to answer, and gives what reports whether the next one has answered for
// that payout.
func (c *cashier) dies(name string, body map[string]any) func() bool {
	c.t.Helper()
	before, err := c.w.Provider("generic", 0)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.w.Wish("generic", "slow", "payout", 1); err != nil {
		c.t.Fatal(err)
	}
	p := c.platforms[0]
	answered := make(chan scenario.Reply, 1)
	go func() { answered <- c.insist(c.t.Context(), 0, name, body) }()
	has := false
	for deadline := time.Now().Add(10 * time.Second); !has && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		entries, err := c.w.Provider("generic", int64(len(before)))
		has = err == nil && len(entries) > 0
	}
	p.Kill()
	p.Start()
	return func() bool {
		first := <-answered
		again := c.insist(c.t.Context(), 1, name, body)
		if !has || first.Status != http.StatusOK || first.Text != again.Text {
			c.t.Errorf("payout %s was heard of by the provider: %t; it was answered %d %s and %s", name, has, first.Status, first.Text, again.Text)
			return false
		}
		return true
	}
}

// TestT20Payouts: fifty payouts of a tenth of a wallet, at once: ten are made,
// forty refused, and never more is sent than was there. On PostgreSQL they go to
// two processes.
func TestT20Payouts(t *testing.T) {
	eachStore(t, func(t *testing.T, store string) {
		w := torture.NewWorld(t, store)
		platforms := []*torture.Platform{w.NewPlatform("one", "")}
		if store == "postgres" {
			platforms = append(platforms, w.NewPlatform("two", ""))
		}
		for _, p := range platforms {
			p.Start()
		}
		c := newCashier(t, w, platforms...)
		count, survived, want := torture.Count(t, 200, 6), 0, map[string]bool{}
		for n := range count {
			customer := fmt.Sprintf("t20-payee-%d", n)
			c.fill(customer, 100)
			replies := make([]scenario.Reply, 50)
			all(t, len(replies), insistence, func(ctx context.Context, k int) (torture.Answer, error) {
				name := fmt.Sprintf("t20-payout-%d-%d", n, k)
				replies[k] = c.insist(ctx, k, name, payoutOf(customer, name))
				return torture.Answer{}, nil
			})
			made := 0
			for k, r := range replies {
				if r.Status == http.StatusOK {
					made++
					want[fmt.Sprintf("t20-payout-%d-%d", n, k)] = true
				}
			}
			if refused := told(replies)["402 insufficient_funds"]; made != 10 || refused != 40 {
				t.Errorf("%s: %d payouts were made, %d refused for want of money, want 10 and 40", customer, made, refused)
				continue
			}
			survived++
		}
		wrong := c.end(begins("t20-payout-"), want)
		for _, s := range wrong {
			t.Error(s)
		}
		b := books{t: t, w: w}
		b.compare(20 * time.Second)
		platforms[0].Verify()
		torture.Report(t, torture.Row{
			ID: "T20", Fault: fmt.Sprintf("50 payouts of a tenth of a wallet at once, at %d processes", len(platforms)), Store: store,
			Planned: count, Injected: count, Survived: survived, Violations: len(wrong),
		})
	})
}
