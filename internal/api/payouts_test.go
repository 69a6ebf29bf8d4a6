package api_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/api"
	"aorta/internal/connector"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/store/storetest"
)

const payoutPath = "/v1/payouts/init"

// payout is the body of a payout to customer c, by card.
func payout(amount string, more ...string) string {
	return `{"amount":"` + amount + `","currency":"EUR","method":"card","customer_id":"c"` + strings.Join(more, "") + `}`
}

// rich is a house whose customer c has 50.00 EUR.
func rich(t *testing.T, homes int, change ...setting) *house {
	t.Helper()
	return enrich(t, newHouseOf(t, homes, change...))
}

func enrich(t *testing.T, h *house) *house {
	t.Helper()
	ok(t, "credit", h.post(creditPath, "start", move("start", "50.00")), "50.00")
	return h
}

// onEach tries a house in one home and in two, and over each store.
func onEach(t *testing.T, fn func(t *testing.T, h *house)) {
	t.Helper()
	t.Run("two homes", func(t *testing.T) { t.Parallel(); fn(t, rich(t, 2)) })
	storetest.Each(t, func(t *testing.T, db storetest.DB) { fn(t, enrich(t, newHouseOn(t, db))) })
}

// has wants what customer c has, free and reserved.
func (h *house) has(what, available, reserved string) {
	h.t.Helper()
	a := h.get("/v1/customers/c")
	if got := a.text("balances", "0", "available") + " " + a.text("balances", "0", "reserved"); got != available+" "+reserved {
		h.t.Errorf("%s: available and reserved are %s, want %s %s", what, got, available, reserved)
	}
}

// TestPayoutOutcomes: what a payout is answered and becomes, by what the provider
// says of it, and what of the money is where.
func TestPayoutOutcomes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, amount, status, decline string
		available, reserved           string
	}{
		{"paid at once", "1.00", "paid", "", "49.00", "0.00"},
		{"refused", "2.00", "failed", payment.CodeExternalLimit, "50.00", "0.00"},
		{"not sent", "3.00", "failed", payment.CodeProviderUnavailable, "50.00", "0.00"},
		{"accepted", "4.00", "pending", "", "46.00", "4.00"},
		{"unknown", "6.00", "pending", "", "44.00", "6.00"},
	} {
		onEach(t, func(t *testing.T, h *house) {
			a := h.post(payoutPath, "k", payout(tt.amount, `,"merchant_payout_id":"Po-1","description":"winnings","meta":{"table":"9"}`))
			name := a.text("payout_id")
			if a.Code != 200 || a.text("status") != tt.status || a.text("decline", "code") != tt.decline || a.text("amount") != tt.amount || !strings.HasPrefix(name, "po_") {
				t.Errorf("%s: init = %d %s", tt.name, a.Code, a.Body)
			}
			h.work.Wait()
			h.has(tt.name, tt.available, tt.reserved)
			one := h.get("/v1/payouts/" + name + "?expand=operations")
			for path, want := range map[string]string{
				"merchant_payout_id": "Po-1", "status": tt.status, "currency": "EUR", "method": "card", "method_code": "generic-card",
				"customer_id": "c", "description": "winnings", "meta.table": "9", "decline.code": tt.decline, "operations.0.kind": "payout",
				"operations.0.amount": tt.amount, "operations.0.decline.code": tt.decline,
			} {
				if got := one.text(strings.Split(path, ".")...); got != want {
					t.Errorf("%s: %s is %q, want %q: %s", tt.name, path, got, want, one.Body)
				}
			}
			again := h.post(payoutPath, "k", payout(tt.amount, `,"merchant_payout_id":"Po-1","description":"winnings","meta":{"table":"9"}`))
			if again.Body.String() != a.Body.String() || again.Header().Get("Idempotent-Replayed") != "true" {
				t.Errorf("%s: again = %d %s", tt.name, again.Code, again.Body)
			}
			if n := len(h.psp.payouts()); n != 1 {
				t.Errorf("%s: the provider was asked %d times", tt.name, n)
			}
		})
	}
}

// TestPayoutUnknown: a payout whose answer was lost is looked up, and sent nowhere
// else: it ends by what the look-up says.
func TestPayoutUnknown(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name                string
		lookup              connector.Outcome
		after               time.Duration
		status              string
		available, reserved string
	}{
		{"still unknown", connector.Outcome{Kind: connector.Unknown}, time.Hour, "pending", "44.00", "6.00"},
		{"paid", connector.Outcome{Kind: connector.Approved, ProviderID: "P1", Amount: money.Amount{Minor: lost, Currency: "EUR"}}, time.Minute, "paid", "44.00", "0.00"},
		{"refused", connector.Outcome{Kind: connector.Declined, Code: payment.CodeExternalDecline}, time.Minute, "failed", "50.00", "0.00"},
		{"another amount", connector.Outcome{Kind: connector.Approved, ProviderID: "P1", Amount: money.Amount{Minor: lost + 100, Currency: "EUR"}}, time.Minute, "pending", "44.00", "6.00"},
		{"never heard of", connector.Outcome{Kind: connector.Pending, NoRecord: true}, time.Hour, "failed", "50.00", "0.00"},
	} {
		onEach(t, func(t *testing.T, h *house) {
			name := h.post(payoutPath, "k", payout("6.00")).text("payout_id")
			h.work.Wait()
			h.has(tt.name, "44.00", "6.00")
			h.psp.will(h.psp.payouts()[0].Attempt.ID, tt.lookup)
			for range 4 {
				h.pass(tt.after / 4)
				h.expire()
			}
			if a := h.get("/v1/payouts/" + name); a.text("status") != tt.status {
				t.Errorf("%s: the payout is %s", tt.name, a.Body)
			}
			h.has(tt.name, tt.available, tt.reserved)
			if n := len(h.psp.payouts()); n != 1 {
				t.Errorf("%s: the provider was asked to pay %d times", tt.name, n)
			}
		})
	}
}

// TestPayoutNews: the provider's own word ends a payout, once; what contradicts it
// later moves nothing.
func TestPayoutNews(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, first, second string
		status, available   string
	}{
		{"paid", "succeeded", "succeeded", "paid", "46.00"},
		{"failed", "failed", "failed", "failed", "50.00"},
		{"paid, then failed", "succeeded", "failed", "paid", "46.00"},
		{"failed, then paid", "failed", "succeeded", "failed", "50.00"},
	} {
		onEach(t, func(t *testing.T, h *house) {
			name := h.post(payoutPath, "k", payout("4.00")).text("payout_id")
			h.work.Wait()
			word := func(event, status, amount string) string {
				if event == "evt_3" { // by the attempt's name alone
					return strings.Replace(news(event, "", status, amount), "{", `{"type":"payout","reference":"`+h.attempt(name).String()+`",`, 1)
				}
				return strings.Replace(news(event, name, status, amount), "{", `{"type":"payout",`, 1)
			}
			for _, wrong := range []string{word("evt_0", tt.first, "4.01"), strings.Replace(word("evt_1", tt.first, "4.00"), "EUR", "USD", 1)} {
				if a := h.tell(wrong, signature(wrong)); a.Code != 200 {
					t.Errorf("%s: news that does not fit = %d %s", tt.name, a.Code, a.Body)
				}
				h.has(tt.name+", before", "46.00", "4.00")
			}
			for n, status := range []string{tt.first, tt.first, tt.second} {
				body := word(fmt.Sprint("evt_", 2+n), status, "4.00")
				if a := h.tell(body, signature(body)); a.Code != 200 {
					t.Errorf("%s: news = %d %s", tt.name, a.Code, a.Body)
				}
			}
			if a := h.get("/v1/payouts/" + name); a.text("status") != tt.status {
				t.Errorf("%s: the payout is %s", tt.name, a.Body)
			}
			h.has(tt.name, tt.available, "0.00")
			cases := 0
			for _, s := range h.stores() {
				rows, _ := s.Cases(t.Context(), id.Case{}, 100)
				cases += len(rows)
			}
			if want := map[bool]int{true: 1, false: 2}[tt.first == tt.second]; cases != want {
				t.Errorf("%s: %d cases, want %d", tt.name, cases, want)
			}
		})
	}
}

// TestPayoutWay: by the method asked for, the way of a payment, or of the newest
// deposit, where that can send money.
func TestPayoutWay(t *testing.T) {
	t.Parallel()
	h := rich(t, 1)
	p := h.projects[200]
	mute, other := p.Methods[0], p.Methods[0]
	mute.Code, mute.Group, mute.Account = "mute-wallet", "wallet", "mute"
	other.Code, other.Account = "mute-card", "mute"
	p.Methods = append([]project.Method{other}, append(slices.Clone(p.Methods), mute)...)
	h.projects[200] = p
	deposit := func(key, method, customer string) string {
		h.t.Helper()
		h.pass(time.Second)
		a := h.post(initPath, key, `{"amount":"1.00","currency":"EUR","method":"`+method+`","customer_id":"`+customer+`"}`)
		if a.Code != 200 || a.text("status") != "captured" {
			t.Fatalf("deposit = %d %s", a.Code, a.Body)
		}
		return a.text("payment_id")
	}
	ask := func(key, more string) answer {
		h.t.Helper()
		return h.post(payoutPath, key, `{"amount":"1.00","currency":"EUR"`+more+`}`)
	}
	wants(t, "no deposit", ask("k0", `,"customer_id":"c"`), 422, "method_not_supported")
	bank, silent := deposit("d1", "bank", "c"), deposit("d2", "mute-wallet", "c")
	theirs := deposit("d3", "generic-card", "d")
	open := h.post(initPath, "d4", `{"amount":"50.00","currency":"EUR","method":"bank","customer_id":"c"}`).text("payment_id")
	for n, tt := range []struct {
		more, method string
	}{
		{`,"customer_id":"c"`, "generic-bank"}, // the newest cannot
		{`,"customer_id":"c","method":"card"`, "generic-card"},
		{`,"customer_id":"c","method":"generic-bank"`, "generic-bank"},
		{`,"customer_id":"c","method":"online-banking"`, "generic-bank"},
		{`,"customer_id":"c","payment_id":"` + bank + `"`, "generic-bank"},
		{`,"payment_id":"` + bank + `"`, "generic-bank"},
		{`,"payment_id":"` + theirs + `"`, "generic-card"},
	} {
		if a := ask(fmt.Sprint("w", n), tt.more); a.Code != 200 || a.text("method_code") != tt.method {
			t.Errorf("%s = %d %s, want %s", tt.more, a.Code, a.Body, tt.method)
		}
	}
	if o := h.psp.payouts(); o[len(o)-1].CustomerID != "d" || o[0].Method != "generic-bank" || o[0].CustomerID != "c" {
		t.Errorf("the provider was asked %+v", o)
	}
	for n, tt := range []struct {
		name, more   string
		status       int
		code         string
		field, about string
	}{
		{"a way that cannot", `,"payment_id":"` + silent + `"`, 422, "method_not_supported", "", ""},
		{"a method that cannot", `,"customer_id":"c","method":"mute-wallet"`, 422, "method_not_supported", "", ""},
		{"no such method", `,"customer_id":"c","method":"cash"`, 422, "method_not_supported", "", ""},
		{"a payment that is not captured", `,"payment_id":"` + open + `"`, 409, "state_conflict", "", ""},
		{"no such payment", `,"payment_id":"pay_01k4aq3x8n0g2v5b7d9f1h3j5m"`, 404, "not_found", "", ""},
		{"both", `,"customer_id":"c","method":"card","payment_id":"` + bank + `"`, 422, "validation_failed", "method", "differs"},
		{"another's payment", `,"customer_id":"d","payment_id":"` + bank + `"`, 422, "validation_failed", "customer_id", "differs"},
	} {
		a := ask(fmt.Sprint("x", n), tt.more)
		wants(t, tt.name, a, tt.status, tt.code)
		if tt.field != "" && (a.text("details", "fields", "0", "path") != tt.field || a.text("details", "fields", "0", "code") != tt.about) {
			t.Errorf("%s: details = %s", tt.name, a.text("details"))
		}
		if tt.code == "method_not_supported" && a.text("details", "methods") != `["card","bank"]` {
			t.Errorf("%s: methods = %s", tt.name, a.text("details"))
		}
		if tt.code == "state_conflict" && a.text("details", "state") != "pending" {
			t.Errorf("%s: details = %s", tt.name, a.text("details"))
		}
	}
	yen := h.post(payoutPath, "y", `{"amount":"1","currency":"JPY","payment_id":"`+bank+`"}`)
	wants(t, "a payment in another currency", yen, 422, "validation_failed")
	wants(t, "a method in another currency", h.post(payoutPath, "z", `{"amount":"1.00","currency":"USD","customer_id":"c","method":"card"}`), 422, "currency_not_supported")
}

// TestBadPayouts: every refusal, and that nothing is left of it but the answer that
// there is too little.
func TestBadPayouts(t *testing.T) {
	t.Parallel()
	h := rich(t, 1)
	_, before, names := h.rows()
	long := strings.Repeat("x", 256)
	for _, tt := range []struct {
		name, body   string
		status       int
		code         string
		field, about string
	}{
		{"no JSON", `{"amount":`, 400, "malformed_json", "", ""},
		{"unknown member", payout("1.00", `,"recipient":"x"`), 422, "validation_failed", "recipient", "unknown"},
		{"read-only member", payout("1.00", `,"status":"paid"`), 422, "validation_failed", "status", "unknown"},
		{"no amount", `{"currency":"EUR","customer_id":"c"}`, 422, "validation_failed", "amount", "required"},
		{"no currency", `{"amount":"1.00","customer_id":"c"}`, 422, "validation_failed", "currency", "required"},
		{"a number", `{"amount":1.00,"currency":"EUR"}`, 422, "validation_failed", "amount", "type"},
		{"too many decimals", payout("1.001"), 422, "validation_failed", "amount", "decimals"},
		{"decimals of yen", `{"amount":"1.00","currency":"JPY","customer_id":"c"}`, 422, "validation_failed", "amount", "decimals"},
		{"negative", payout("-1.00"), 422, "validation_failed", "amount", "amount"},
		{"scientific", payout("1e1"), 422, "validation_failed", "amount", "amount"},
		{"zero", payout("0.00"), 422, "amount_out_of_range", "", ""},
		{"huge", payout("9999999999999999999"), 422, "amount_out_of_range", "", ""},
		{"more than is sent at once", payout("40.01"), 422, "amount_out_of_range", "", ""},
		{"less than is sent at all", payout("0.04"), 422, "amount_out_of_range", "", ""},
		{"no such currency", strings.Replace(payout("1.00"), "EUR", "EUX", 1), 422, "validation_failed", "currency", "currency"},
		{"no customer", `{"amount":"1.00","currency":"EUR","method":"card"}`, 422, "validation_failed", "customer_id", "required"},
		{"a payment that is none", strings.Replace(payout("1.00"), `"method":"card"`, `"payment_id":"order-1"`, 1), 422, "validation_failed", "payment_id", "id"},
		{"long name", payout("1.00", `,"merchant_payout_id":"`+long+`"`), 422, "validation_failed", "merchant_payout_id", "too_long"},
		{"semicolon in a name", payout("1.00", `,"merchant_payout_id":"a;b"`), 422, "validation_failed", "merchant_payout_id", "characters"},
		{"meta is a text", payout("1.00", `,"meta":"x"`), 422, "validation_failed", "meta", "type"},
		{"a card number", payout("1.00", `,"description":"to 4111 1111 1111 1111"`), 422, "pan_not_allowed", "", ""},
		{"a security code", payout("1.00", `,"cvv":"123"`), 422, "pan_not_allowed", "", ""},
	} {
		h.psp.most = 4000
		a := h.post(payoutPath, "bad", tt.body)
		wants(t, tt.name, a, tt.status, tt.code)
		if tt.field != "" && (a.text("details", "fields", "0", "path") != tt.field || a.text("details", "fields", "0", "code") != tt.about) {
			t.Errorf("%s: details = %s", tt.name, a.text("details"))
		}
	}
	wants(t, "no key", h.send(h.request("POST", payoutPath, payout("1.00"))), 400, "idempotency_key_missing")
	wants(t, "two keys", h.post(payoutPath, "one", payout("1.00", `,"idempotency_key":"two"`)), 400, "bad_header")
	reader := h.newKey(200, "c", project.ScopeRead, project.ScopePayments, project.ScopeRefunds, project.ScopeWallet)
	a := h.post(payoutPath, "bad", payout("1.00"), "Authorization", "Bearer "+reader)
	wants(t, "a key without the scope", a, 403, "forbidden")
	if a.text("details", "scope") != "payouts:write" {
		t.Errorf("a key without the scope: %s", a.Body)
	}
	shop := h.projects[200]
	shop.Wallet = false
	h.projects[200] = shop
	wants(t, "a shop", h.post(payoutPath, "bad", payout("1.00")), 422, "validation_failed")
	shop.Wallet = true
	h.projects[200] = shop
	if p, answers, refs := h.rows(); p != 0 || answers != before || refs != names {
		t.Errorf("%d payouts, %d answers and %d names are left, want 0, %d, %d", p, answers, refs, before, names)
	}
	h.psp.most = 0
	for range 2 {
		wants(t, "too much", h.post(payoutPath, "much", payout("50.01")), 402, "insufficient_funds")
	}
	if again := h.post(payoutPath, "much", payout("50.01")); again.Header().Get("Idempotent-Replayed") != "true" {
		t.Errorf("too much again: %v", again.Header())
	}
	wants(t, "the key of too much, for less", h.post(payoutPath, "much", payout("1.00")), 409, "idempotency_conflict")
	if a := h.post(payoutPath, "bad", payout("50.00")); a.Code != 200 {
		t.Errorf("all of it, under the key that was refused so often = %d %s", a.Code, a.Body)
	}
}

// TestPayoutNames: a merchant_payout_id names one payout for ever, and no payment;
// whoever presses twice, with a new key each time, is paid once.
func TestPayoutNames(t *testing.T) {
	t.Parallel()
	for homes := 1; homes <= 2; homes++ {
		for n := range 4 { // names of both homes
			name := fmt.Sprint("Payout-", n)
			h := rich(t, homes)
			first := h.post(payoutPath, "k1", payout("4.00", `,"merchant_payout_id":"`+name+`"`)).text("payout_id")
			for n, body := range []string{
				payout("4.00", `,"merchant_payout_id":"`+name+`"`), payout("4.00", `,"merchant_payout_id":"`+strings.ToUpper(name)+`"`),
				strings.Replace(payout("4.00", `,"merchant_payout_id":"`+name+`"`), `"customer_id":"c"`, `"customer_id":"d"`, 1),
			} {
				a := h.post(payoutPath, fmt.Sprint("k2", n), body)
				wants(t, "a name again", a, 409, "duplicate_payment_id")
				if a.text("details", "payout_id") != first {
					t.Errorf("%d homes: %s, want %s", homes, a.Body, first)
				}
			}
			a := h.post(initPath, "k3", sale("50.00", `,"merchant_payment_id":"`+name+`"`))
			wants(t, "a payment called as a payout", a, 409, "duplicate_payment_id")
			if a.text("details", "payout_id") != first {
				t.Errorf("%d homes: %s, want %s", homes, a.Body, first)
			}
			sold := h.post(initPath, "k4", sale("50.00", `,"merchant_payment_id":"order"`)).text("payment_id")
			a = h.post(payoutPath, "k5", payout("4.00", `,"merchant_payout_id":"Order"`))
			wants(t, "a payout called as a payment", a, 409, "duplicate_payment_id")
			if a.text("details", "payment_id") != sold {
				t.Errorf("%d homes: %s, want %s", homes, a.Body, sold)
			}
			h.has("one was paid", "46.00", "4.00")
			gone := h.projects[200]
			gone.Methods = nil
			h.projects[200] = gone
			a = h.post(payoutPath, "k6", payout("4.00", `,"merchant_payout_id":"`+name+`"`))
			wants(t, "a name again, whose way is gone", a, 409, "duplicate_payment_id")
			wants(t, "a new name without a way", h.post(payoutPath, "k7", payout("4.00", `,"merchant_payout_id":"new"`)), 422, "method_not_supported")
		}
	}
}

// TestManyPayouts: what is there bears ten of fifty at once; and of fifty with one
// key one is made.
func TestManyPayouts(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, h *house) {
		var all sync.WaitGroup
		var mu sync.Mutex
		told := map[string]int{}
		for n := range 50 {
			all.Go(func() {
				a := h.post(payoutPath, fmt.Sprint("k", n), payout("5.01", fmt.Sprintf(`,"merchant_payout_id":"p%d"`, n)))
				mu.Lock()
				defer mu.Unlock()
				told[fmt.Sprint(a.Code, " ", a.text("error"), a.text("status"))]++
			})
		}
		all.Wait()
		if told["200 pending"] != 9 || told["402 insufficient_funds"] != 41 {
			t.Errorf("answers %v, want 9 taken and 41 refused", told)
		}
		h.work.Wait()
		h.has("nine", "4.91", "45.09")
		if n := len(h.psp.payouts()); n != 9 {
			t.Errorf("the provider was asked %d times", n)
		}
	})
	onEach(t, func(t *testing.T, h *house) {
		var all sync.WaitGroup
		answers := make([]answer, 50)
		for n := range answers {
			all.Go(func() { answers[n] = h.post(payoutPath, "k", payout("1.00", `,"merchant_payout_id":"p"`)) })
		}
		all.Wait()
		done := map[string]bool{}
		for _, a := range answers {
			switch {
			case a.Code == 200:
				done[a.text("payout_id")] = true
			case a.Code != 409 || a.text("error") != "request_in_progress" || a.Header().Get("Retry-After") != "1":
				t.Errorf("answer = %d %s", a.Code, a.Body)
			}
		}
		h.work.Wait()
		h.has("once", "49.00", "0.00")
		if n := len(h.psp.payouts()); n != 1 || len(done) != 1 {
			t.Errorf("the provider was asked %d times, told %v", n, done)
		}
	})
}

// TestOrphanedPayout: a process dies while it answers. The repeat, by the next one,
// is answered by what became of the payout.
func TestOrphanedPayout(t *testing.T) {
	t.Parallel()
	for homes := 1; homes <= 2; homes++ {
		h := rich(t, homes, func(_ *house, o *api.Options) { o.Wait = time.Nanosecond })
		h.idle = true
		h.abandon(payoutPath, "k", payout("1.00", `,"merchant_payout_id":"p"`))
		h.restart(true)
		a := h.post(payoutPath, "k", payout("1.00", `,"merchant_payout_id":"p"`))
		if a.Code != 200 || a.text("status") != "pending" || a.text("merchant_payout_id") != "p" {
			t.Errorf("%d homes: the repeat = %d %s", homes, a.Code, a.Body)
		}
		h.has("reserved", "49.00", "1.00")
		h.pass(time.Minute)
		h.expire() // whoever asked is dead: it is looked up
		h.psp.will(h.attempt(a.text("payout_id")), connector.Outcome{Kind: connector.Approved, ProviderID: "P1", Amount: money.Amount{Minor: 100, Currency: "EUR"}})
		h.pass(time.Hour)
		h.expire()
		if one := h.get("/v1/payouts/" + a.text("payout_id")); one.text("status") != "paid" {
			t.Errorf("%d homes: in the end %s", homes, one.Body)
		}
		h.has("paid", "49.00", "0.00")
		if n := len(h.psp.payouts()); n != 0 {
			t.Errorf("%d homes: the provider was asked %d times after the death", homes, n)
		}
	}
}

// attempt is the attempt of a payout.
func (h *house) attempt(name string) id.Attempt {
	h.t.Helper()
	k, err := id.ParsePayout(name)
	if err != nil {
		h.t.Fatal(err)
	}
	p, _, _ := h.reader().Payment(h.t.Context(), id.Payment(k))
	o, _, _ := h.reader().Operation(h.t.Context(), p.LastOperation)
	return o.Attempt
}

// TestPayoutsAreNoPayments: neither is found as the other, nor listed among them.
func TestPayoutsAreNoPayments(t *testing.T) {
	t.Parallel()
	h := rich(t, 1)
	name := h.post(payoutPath, "k", payout("1.00", `,"merchant_payout_id":"p"`)).text("payout_id")
	sold := h.post(initPath, "k", sale("1.00", `,"merchant_payment_id":"o","customer_id":"c"`)).text("payment_id")
	asPayment, asPayout := "pay_"+strings.TrimPrefix(name, "po_"), "po_"+strings.TrimPrefix(sold, "pay_")
	for _, path := range []string{"/v1/payments/" + asPayment, "/v1/payments/" + asPayment + "/operations", "/v1/payments/" + asPayment + "/events", "/v1/payments/" + name, "/v1/payouts/" + asPayout, "/v1/payouts/" + sold} {
		wants(t, path, h.get(path), 404, "not_found")
	}
	wants(t, "a refund of a payout", h.post("/v1/payments/"+asPayment+"/refunds", "k", `{}`), 404, "not_found")
	wants(t, "a payout the way of a payout", h.post(payoutPath, "k2", `{"amount":"1.00","currency":"EUR","payment_id":"`+asPayment+`"}`), 404, "not_found")
	wants(t, "a deposit that is a payout", h.post(creditPath, "k2", `{"txn_id":"t","payment_id":"`+asPayment+`","amount":"1.00"}`), 404, "not_found")
	for list, want := range map[string]string{
		"/v1/payments": sold, "/v1/payments?customer_id=c": sold, "/v1/payments?status=captured": sold, "/v1/payments?merchant_payment_id=o": sold,
		"/v1/payments?merchant_payment_id=p": "", "/v1/payments?status=failed": "", "/v1/payments?status=cancelled": "",
		"/v1/payouts": name, "/v1/payouts?customer_id=c": name, "/v1/payouts?status=paid": name, "/v1/payouts?merchant_payout_id=P": name,
		"/v1/payouts?merchant_payout_id=o": "", "/v1/payouts?status=failed": "", "/v1/payouts?status=pending": "", "/v1/payouts?status=cancelled": "",
	} {
		a := h.get(list)
		data, _ := a.doc["data"].([]any)
		if got := a.text("data", "0", "payment_id") + a.text("data", "0", "payout_id"); a.Code != 200 || got != want || len(data) > 1 {
			t.Errorf("%s = %d %s, want %q", list, a.Code, a.Body, want)
		}
	}
	moves := h.get("/v1/customers/c/transfers")
	for n, kind := range []string{"deposit", "payout_settle", "payout_reserve", "credit"} {
		at := fmt.Sprint(n)
		if moves.text("data", at, "kind") != kind || strings.HasPrefix(kind, "payout") && (moves.text("data", at, "payout_id") != name || moves.text("data", at, "payment_id") != "") {
			t.Errorf("line %d of the statement is no %s: %s", n, kind, moves.Body)
		}
	}
}

// TestListPayouts: newest first, page by page, by status, customer, name and time.
func TestListPayouts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) { listPayouts(t, enrich(t, newHouseOn(t, db))) })
}

func listPayouts(t *testing.T, h *house) {
	t.Helper()
	ok(t, "credit", h.post(creditPath, "d", `{"txn_id":"d","customer_id":"d","amount":"50.00","currency":"EUR"}`), "50.00")
	var all []string
	for n := range 7 {
		body := payout([]string{"1.00", "2.00", "4.00"}[n%3], fmt.Sprintf(`,"merchant_payout_id":"p%d","meta":{"n":"%d"}`, n, n))
		if n%2 == 1 {
			body = strings.Replace(body, `"customer_id":"c"`, `"customer_id":"d"`, 1)
		}
		all = append(all, h.post(payoutPath, fmt.Sprint("k", n), body).text("payout_id"))
		h.pass(time.Second)
	}
	slices.Reverse(all) // 6 is the first of them
	for _, tt := range []struct {
		query string
		want  []string
	}{
		{"?x", all},
		{"?limit=2", all},
		{"?status=paid", []string{all[0], all[3], all[6]}},
		{"?status=failed", []string{all[2], all[5]}},
		{"?status=pending", []string{all[1], all[4]}},
		{"?customer_id=d", []string{all[1], all[3], all[5]}},
		{"?customer_id=c&status=failed", []string{all[2]}},
		{"?merchant_payout_id=P3", []string{all[3]}},
		{"?merchant_payout_id=p3&customer_id=c", nil},
		{"?merchant_payout_id=p3&created_from=2026-01-02T03:04:07Z&created_to=2026-01-02T03:04:09.7Z&status=paid", []string{all[3]}},
		{"?merchant_payout_id=p3&created_to=2026-01-02T03:04:06Z", nil},
		{"?merchant_payout_id=nothing", nil},
		{"?created_from=2026-01-02T03:04:08Z", all[:4]},
		{"?created_to=2026-01-02T03:04:08Z", all[4:]},
	} {
		var got []string
		for cursor := ""; ; {
			a := h.get("/v1/payouts" + strings.TrimSuffix(tt.query, "x") + cursor)
			if a.Code != 200 {
				t.Fatalf("%s = %d %s", tt.query, a.Code, a.Body)
			}
			for n := range a.doc["data"].([]any) {
				got = append(got, a.text("data", fmt.Sprint(n), "payout_id"))
			}
			if a.text("has_more") != "true" {
				break
			}
			cursor = "&cursor=" + a.text("next_cursor")
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s = %v\nwant %v", tt.query, got, tt.want)
		}
	}
	if a := h.get("/v1/payouts?expand=meta&limit=1"); a.text("data", "0", "meta", "n") != "6" {
		t.Errorf("with meta: %s", a.Body)
	}
	for _, bad := range []string{"?status=captured", "?cursor=pay_01k4aq3x8n0g2v5b7d9f1h3j5m", "?limit=0", "?limit=101", "?created_from=yesterday", "?merchant_payment_id=x", "?expand=all"} {
		wants(t, bad, h.get("/v1/payouts"+bad), 422, "validation_failed")
	}
}

// TestPayoutWebhooks: endpoints hear of a payout by its own name.
func TestPayoutWebhooks(t *testing.T) {
	t.Parallel()
	h := rich(t, 1)
	h.shop.open.Store(true)
	hook := h.post(hooksPath, "h", `{"url":"https://shop.example/hooks","events":["payout.pending","payout.paid","payout.failed"]}`).text("endpoint_id")
	name := h.post(payoutPath, "k", payout("1.00", `,"merchant_payout_id":"p"`)).text("payout_id")
	h.post(payoutPath, "k2", payout("2.00"))
	h.post(initPath, "k3", sale("1.00", `,"customer_id":"c"`))
	h.work.Wait()
	types := map[string]int{}
	for _, got := range h.shop.taken() {
		for _, typ := range []string{"payout.pending", "payout.paid", "payout.failed"} {
			if strings.Contains(got.body, `"type":"`+typ+`"`) {
				types[typ]++
			}
		}
		if strings.Contains(got.body, "pay_") || strings.Contains(got.body, "merchant_payment_id") || !strings.Contains(got.body, `"payout_id":"po_`) {
			t.Errorf("told %s", got.body)
		}
		if strings.Contains(got.body, "payout.paid") && !(strings.Contains(got.body, `"payout_id":"`+name+`","merchant_payout_id":"p","status":"paid"`) && strings.Contains(got.body, `"amount":"1.00","currency":"EUR"`)) {
			t.Errorf("of the one that was paid: %s", got.body)
		}
		if strings.Contains(got.body, "payout.failed") && !strings.Contains(got.body, `"code":"`+payment.CodeExternalLimit+`"`) {
			t.Errorf("of the one that failed: %s", got.body)
		}
	}
	if types["payout.pending"] != 2 || types["payout.paid"] != 1 || types["payout.failed"] != 1 {
		t.Errorf("told %v", types)
	}
	log := h.get(hooksPath + "/" + hook + "/deliveries?payout_id=" + name)
	if data, _ := log.doc["data"].([]any); len(data) != 2 || log.text("data", "0", "payout_id") != name || log.text("data", "0", "payment_id") != "" {
		t.Errorf("the log of one payout: %s", log.Body)
	}
	if a := h.post(hooksPath+"/"+hook+"/replay", "r", `{"payout_id":"`+name+`","state":"delivered"}`); a.text("replayed") != "2" {
		t.Errorf("replay of one payout: %d %s", a.Code, a.Body)
	}
}

// TestWalletWebhooks: an endpoint that asks for a wallet's moves by name hears of
// them; one that asks for everything does not.
func TestWalletWebhooks(t *testing.T) {
	t.Parallel()
	for homes := 1; homes <= 2; homes++ {
		h := rich(t, homes)
		h.shop.open.Store(true)
		h.post(hooksPath, "h1", `{"url":"https://shop.example/all"}`)
		hook := h.post(hooksPath, "h2", `{"url":"https://shop.example/stakes","events":["wallet.stake","wallet.win"]}`).text("endpoint_id")
		a := h.post(stakePath, "s", move("s", "5.00", `,"round_id":"r"`))
		ok(t, "stake", a, "45.00")
		ok(t, "again, under another key", h.post(stakePath, "s2", move("s", "5.00", `,"round_id":"r"`)), "45.00")
		ok(t, "debit", h.post(debitPath, "d", move("d", "1.00")), "44.00")
		h.work.Wait()
		got := h.shop.taken()
		want := `"data":{"transfer_id":"` + a.text("transfer_id") + `","txn_id":"s","kind":"stake","round_id":"r","customer_id":"c","amount":"5.00","currency":"EUR","available":"45.00",`
		if len(got) != 1 || !strings.Contains(got[0].body, `"type":"wallet.stake"`) || !strings.Contains(got[0].body, want) {
			t.Errorf("%d homes: told %+v, want one of %s", homes, got, want)
		}
		log := h.get(hooksPath + "/" + hook + "/deliveries?type=wallet.stake")
		if homes == 1 && (log.text("data", "0", "type") != "wallet.stake" || log.text("data", "0", "state") != "delivered" || log.text("data", "0", "payment_id") != "") {
			t.Errorf("the log: %s", log.Body)
		}
	}
}

// TestPayoutWaits: whoever asks waits for the provider's first answer, and no
// longer than that.
func TestPayoutWaits(t *testing.T) {
	t.Parallel()
	h := rich(t, 1)
	ended := make(chan answer)
	go func() { ended <- h.post(payoutPath, "k", payout("5.00")) }()
	for len(h.psp.payouts()) == 0 {
		time.Sleep(time.Millisecond)
	}
	wants(t, "a repeat while it runs", h.post(payoutPath, "k", payout("5.00")), 409, "request_in_progress")
	h.has("while it runs", "45.00", "5.00")
	close(h.psp.hold)
	if a := <-ended; a.Code != 200 || a.text("status") != "pending" {
		t.Errorf("when it was answered = %d %s", a.Code, a.Body)
	}
}

// TestPayoutKey: the key of a payout is taken by the act that begins it, where both lie in
// one home. It is answered once all the same, however many come at once; who asks for
// something else under it is told so; and one that was not begun is free.
func TestPayoutKey(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, h *house) {
		body := payout("6.00")
		var all sync.WaitGroup
		var mu sync.Mutex
		told := map[string]int{}
		for range 20 {
			all.Go(func() {
				a := h.send(h.request("POST", payoutPath, body, "Idempotency-Key", "k"))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case a.Code == 200:
					told[a.text("payout_id")]++
				case a.Code != 409 || a.text("error") != "request_in_progress":
					t.Errorf("at once: %d %s", a.Code, a.Body)
				}
			})
		}
		all.Wait()
		h.work.Wait()
		if payments, _, _ := h.rows(); payments != 1 || len(told) != 1 {
			t.Errorf("%d payouts, told of %v", payments, told)
		}
		one := 0
		for _, s := range h.stores() {
			answers, err := s.ScanAnswers(t.Context(), id.Answer{}, 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range answers {
				if a.Route == "POST "+payoutPath && a.ID.Bucket() == a.Thing.Bucket() {
					one++
				}
			}
		}
		if homes := len(h.stores()); homes == 1 && one != 1 {
			t.Errorf("%d answers lie with their payout, want one: its key was taken by an act of its own", one)
		}
		wants(t, "another amount", h.post(payoutPath, "k", payout("7.00")), 409, "idempotency_conflict")
		wants(t, "no such way", h.post(payoutPath, "k2", strings.Replace(body, `"card"`, `"cheque"`, 1)), 422, "method_not_supported")
		again := h.post(payoutPath, "k2", payout("1.00"))
		if again.Code != 200 || again.text("status") != "paid" {
			t.Errorf("a key under which nothing was begun = %d %s", again.Code, again.Body)
		}
		short := h.post(payoutPath, "k3", payout("500.00"))
		wants(t, "too much", short, 402, "insufficient_funds")
		ok(t, "credit", h.post(creditPath, "more", move("more", "900.00")), "943.00")
		if a := h.post(payoutPath, "k3", payout("500.00")); a.Body.String() != short.Body.String() || a.Header().Get("Idempotent-Replayed") != "true" {
			t.Errorf("too much, again = %d %s", a.Code, a.Body)
		}
	})
}
