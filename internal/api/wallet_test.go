package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"aorta/internal/api"
	"aorta/internal/book"
	"aorta/internal/project"
)

const (
	debitPath, creditPath            = "/v1/wallet/debit", "/v1/wallet/credit"
	stakePath, winPath, rollbackPath = "/v1/rounds/stake", "/v1/rounds/win", "/v1/rounds/rollback"
)

// move is the body of a move in EUR of customer c.
func move(txn, amount string, more ...string) string {
	return `{"txn_id":"` + txn + `","customer_id":"c","amount":"` + amount + `","currency":"EUR"` + strings.Join(more, "") + `}`
}

// ok wants a move taken, and what the customer has then.
func ok(t *testing.T, what string, a answer, available string) {
	t.Helper()
	if a.Code != 200 || a.text("available") != available {
		t.Errorf("%s = %d %s, want %s available", what, a.Code, a.Body, available)
	}
}

// TestPlay: deposit, stake, win, rollback, in one home and over two.
func TestPlay(t *testing.T) {
	t.Parallel()
	for homes := 1; homes <= 2; homes++ {
		h := newHouseOf(t, homes)
		pay := h.post(initPath, "d", sale("1.00", `,"customer_id":"c"`)).text("payment_id")
		ok(t, "credit", h.post(creditPath, "c1", move("prize", "9.00")), "10.00")
		stake := h.post(stakePath, "s1", move("bet-1", "4.00", `,"round_id":"r1"`))
		ok(t, "stake", stake, "6.00")
		if stake.text("kind") != "stake" || stake.text("round_id") != "r1" || stake.text("txn_id") != "bet-1" || stake.text("amount") != "4.00" || stake.text("transfer_id") == "" {
			t.Errorf("stake = %s", stake.Body)
		}
		ok(t, "win", h.post(winPath, "w1", move("win-1", "7.00", `,"round_id":"r1"`)), "13.00")
		undone := h.post(rollbackPath, "x1", `{"txn_id":"undo","round_id":"r1","customer_id":"c","amount":"4.00","currency":"EUR"}`)
		ok(t, "rollback", undone, "10.00")
		if undone.text("amount") != "4.00" {
			t.Errorf("rollback = %s", undone.Body)
		}
		wants(t, "a win after the rollback", h.post(winPath, "w2", move("win-2", "1.00", `,"round_id":"r1"`)), 409, "state_conflict")
		wants(t, "a second rollback", h.post(rollbackPath, "x2", `{"txn_id":"undo-2","round_id":"r1","customer_id":"c"}`), 409, "state_conflict")
		early := h.post(rollbackPath, "x3", `{"txn_id":"undo-3","round_id":"r2","customer_id":"c"}`)
		if early.Code != 200 || early.text("transfer_id") != "" {
			t.Errorf("a rollback that comes first = %d %s", early.Code, early.Body)
		}
		wants(t, "the late stake", h.post(stakePath, "s2", move("bet-2", "1.00", `,"round_id":"r2"`)), 409, "state_conflict")
		ok(t, "bonus", h.post("/v1/wallet/bonus_grant", "b1", move("gift", "5.00")), "10.00")
		bonus := h.post(stakePath, "s3", move("bet-3", "2.00", `,"round_id":"r3","purse":"bonus"`))
		if bonus.Code != 200 || bonus.text("bonus") != "3.00" {
			t.Errorf("a stake of bonus = %d %s", bonus.Code, bonus.Body)
		}
		ok(t, "release", h.post("/v1/wallet/bonus_release", "b2", move("free", "3.00")), "13.00")
		ok(t, "debit", h.post(debitPath, "d1", move("hat", "0.50")), "12.50")
		got := h.get("/v1/customers/c")
		if got.text("balances", "0", "available") != "12.50" || got.text("balances", "0", "bonus") != "0.00" || got.text("balances", "0", "reserved") != "0.00" {
			t.Errorf("%d homes: GET = %s", homes, got.Body)
		}
		h.statement(t, pay)
	}
	h := newHouse(t)
	wants(t, "nobody", h.get("/v1/customers/nobody"), 404, "not_found")
}

// statement checks that a customer's transfers add up to what they have.
func (h *house) statement(t *testing.T, pay string) {
	t.Helper()
	var lines []answer
	target := "/v1/customers/c/transfers?limit=2"
	sum, count := int64(0), 0
	for cursor := ""; ; {
		a := h.get(target + cursor)
		if a.Code != 200 {
			t.Fatalf("%s%s = %d %s", target, cursor, a.Code, a.Body)
		}
		lines = append(lines, a)
		for n := range a.doc["data"].([]any) {
			var whole, cents int64
			change := a.text("data", fmt.Sprint(n), "change")
			negative := strings.HasPrefix(change, "-")
			_, _ = fmt.Sscanf(strings.TrimPrefix(change, "-"), "%d.%d", &whole, &cents)
			if negative {
				whole, cents = -whole, -cents
			}
			sum += whole*100 + cents
			count++
			if a.text("has_more") != "true" && n == len(a.doc["data"].([]any))-1 && a.text("data", fmt.Sprint(n), "payment_id") != pay {
				t.Errorf("the first transfer = %s, want the deposit of %s", a.Body, pay)
			}
		}
		if a.text("has_more") != "true" {
			break
		}
		cursor = "&cursor=" + a.text("next_cursor")
	}
	if sum != 1250 || count != 9 || lines[0].text("data", "0", "txn_id") != "hat" {
		t.Errorf("%d transfers add up to %d: %s", count, sum, lines[0].Body)
	}
	wants(t, "another's cursor", h.get("/v1/customers/d/transfers?cursor="+lines[0].text("next_cursor")), 422, "validation_failed")
}

// TestMovesOnce: the key, and behind it the name, keep a move from being made
// twice, whatever comes at once.
func TestMovesOnce(t *testing.T) {
	t.Parallel()
	for homes := 1; homes <= 2; homes++ {
		h := newHouseOf(t, homes)
		ok(t, "credit", h.post(creditPath, "c1", move("prize", "10.00")), "10.00")
		for n := range 12 { // keys of many buckets
			key, body := fmt.Sprint("k", n), move(fmt.Sprint("bet-", n), "0.10", `,"round_id":"r"`)
			first := h.post(stakePath, key, body)
			again := h.post(stakePath, key, body)
			if first.Code != 200 || again.Body.String() != first.Body.String() || again.Header().Get("Idempotent-Replayed") != "true" {
				t.Errorf("%d homes: again = %d %v %s, want %s", homes, again.Code, again.Header(), again.Body, first.Body)
			}
			other := h.post(stakePath, key, strings.Replace(body, "0.10", "0.20", 1))
			wants(t, "another amount under the key", other, 409, "idempotency_conflict")
			if other.text("details", "differs") != `["amount"]` {
				t.Errorf("differs = %s", other.text("details"))
			}
			stranger := h.post(stakePath, key, strings.Replace(body, `"c"`, `"somebody"`, 1))
			wants(t, "another customer under the key", stranger, 409, "idempotency_conflict")
			named := h.post(stakePath, key+"-new", body)
			if named.Code != 200 || named.text("transfer_id") != first.text("transfer_id") {
				t.Errorf("%d homes: the name under another key = %d %s, want %s", homes, named.Code, named.Body, first.Body)
			}
			if again := h.post(stakePath, key+"-new", body); again.Body.String() != named.Body.String() {
				t.Errorf("%d homes: and again = %s, want %s", homes, again.Body, named.Body)
			}
			wants(t, "the name for another amount", h.post(stakePath, key+"-other", strings.Replace(body, "0.10", "0.20", 1)), 409, "duplicate_txn_id")
		}
		if got := h.get("/v1/customers/c"); got.text("balances", "0", "available") != "8.80" {
			t.Errorf("%d homes: after 12 stakes of 0.10 of 10.00: %s", homes, got.Body)
		}
		var all sync.WaitGroup
		for n := range 40 {
			all.Go(func() {
				a := h.post(stakePath, fmt.Sprint("at-once-", n%2), move("at-once", "1.00", `,"round_id":"r"`))
				if a.Code != 200 && a.text("error") != "request_in_progress" {
					t.Errorf("%d homes: at once = %d %s", homes, a.Code, a.Body)
				}
			})
		}
		all.Wait()
		if got := h.get("/v1/customers/c"); got.text("balances", "0", "available") != "7.80" {
			t.Errorf("%d homes: after one more of 1.00, asked for 40 times: %s", homes, got.Body)
		}
	}
}

// TestNoFunds: a refusal for want of money is the answer for good, though there is
// money later; under a new key it is asked anew.
func TestNoFunds(t *testing.T) {
	t.Parallel()
	for homes := 1; homes <= 2; homes++ {
		h := newHouseOf(t, homes)
		first := h.post(debitPath, "k", move("hat", "5.00"))
		wants(t, "a debit of nothing", first, 402, "insufficient_funds")
		ok(t, "credit", h.post(creditPath, "c", move("prize", "9.00")), "9.00")
		again := h.post(debitPath, "k", move("hat", "5.00"))
		if again.Code != 402 || again.Body.String() != first.Body.String() || again.Header().Get("Idempotent-Replayed") != "true" {
			t.Errorf("%d homes: again = %d %s", homes, again.Code, again.Body)
		}
		if anew := h.post(debitPath, "k2", move("hat", "5.00")); homes == 1 {
			ok(t, "under a new key", anew, "4.00")
		}
	}
}

// TestCreditOfAPayment: the money of a payment is booked by its own news alone.
func TestCreditOfAPayment(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pay := h.post(initPath, "k", sale("1.00", `,"customer_id":"c"`)).text("payment_id")
	pending := h.post(initPath, "k2", sale("50.00", `,"customer_id":"c"`)).text("payment_id")
	nobody := h.post(initPath, "k3", sale("1.00")).text("payment_id")
	body := func(pay, amount, more string) string {
		return `{"payment_id":"` + pay + `","txn_id":"txn_01k4aq3x8n0g2v5b7d9f1h3j5m","amount":"` + amount + `"` + more + `}`
	}
	// L11, letter for letter.
	a := h.send(h.request("POST", creditPath, body(pay, "1.00", `,"idempotency_key":"L11"`)))
	if a.Code != 200 || a.text("payment_id") != pay || a.text("kind") != "deposit" || a.text("txn_id") != "txn_01k4aq3x8n0g2v5b7d9f1h3j5m" || a.text("available") != "1.00" {
		t.Fatalf("credit of a payment = %d %s", a.Code, a.Body)
	}
	if b := h.post(creditPath, "another", body(pay, "1.00", `,"currency":"EUR"`)); b.text("transfer_id") != a.text("transfer_id") {
		t.Errorf("again under another key = %d %s", b.Code, b.Body)
	}
	if got := h.get("/v1/customers/c"); got.text("balances", "0", "available") != "1.00" {
		t.Errorf("the customer has %s", got.Body)
	}
	unpaid := h.post(creditPath, "p", body(pending, "50.00", ""))
	wants(t, "one that is not paid", unpaid, 409, "state_conflict")
	if unpaid.text("details", "state") != "pending" {
		t.Errorf("%s", unpaid.Body)
	}
	wants(t, "another amount", h.post(creditPath, "q", body(pay, "2.00", "")), 422, "validation_failed")
	wants(t, "another currency", h.post(creditPath, "q", body(pay, "1.00", `,"currency":"INR"`)), 422, "validation_failed")
	wants(t, "another customer", h.post(creditPath, "q", body(pay, "1.00", `,"customer_id":"d"`)), 422, "validation_failed")
	wants(t, "nobody's", h.post(creditPath, "q", body(nobody, "1.00", "")), 422, "validation_failed")
	wants(t, "no payment", h.post(creditPath, "q", body("pay_01k4aq3x8n0g2v5b7d9f1h3j5m", "1.00", "")), 404, "not_found")
	stranger := h.newKey(203, "c", scopes()...)
	wants(t, "another's payment", h.post(creditPath, "q", body(pay, "1.00", ""), "Authorization", "Bearer "+stranger), 404, "not_found")
}

// TestBadMoves: what a move may not be.
func TestBadMoves(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	shop := h.projects[203]
	shop.Wallet = false
	h.projects[203] = shop
	reader, walletless := h.newKey(200, "c", project.ScopeRead, project.ScopePayments), h.newKey(203, "c", scopes()...)
	for _, tt := range []struct {
		name, path, body string
		status           int
		code, field      string
	}{
		{"no txn_id", debitPath, `{"customer_id":"c","amount":"1.00","currency":"EUR"}`, 422, "validation_failed", "txn_id"},
		{"a long txn_id", debitPath, move(strings.Repeat("x", 65), "1.00"), 422, "validation_failed", "txn_id"},
		{"no customer", debitPath, `{"txn_id":"t","amount":"1.00","currency":"EUR"}`, 422, "validation_failed", "customer_id"},
		{"no amount", debitPath, `{"txn_id":"t","customer_id":"c","currency":"EUR"}`, 422, "validation_failed", "amount"},
		{"no currency", creditPath, `{"txn_id":"t","customer_id":"c","amount":"1.00"}`, 422, "validation_failed", "currency"},
		{"zero", debitPath, move("t", "0.00"), 422, "amount_out_of_range", ""},
		{"decimals", debitPath, move("t", "1.001"), 422, "validation_failed", "amount"},
		{"huge", creditPath, move("t", "9999999999999999999"), 422, "amount_out_of_range", ""},
		{"no round", stakePath, move("t", "1.00"), 422, "validation_failed", "round_id"},
		{"a round where there is none", debitPath, move("t", "1.00", `,"round_id":"r"`), 422, "validation_failed", "round_id"},
		{"no such purse", debitPath, move("t", "1.00", `,"purse":"reserved"`), 422, "validation_failed", "purse"},
		{"a rollback of an amount of nothing", rollbackPath, `{"txn_id":"t","round_id":"r","customer_id":"c","amount":"1.00"}`, 422, "validation_failed", "currency"},
		{"a card as customer", debitPath, strings.Replace(move("t", "1.00"), `"c"`, `"4111111111111111"`, 1), 422, "pan_not_allowed", ""},
	} {
		a := h.post(tt.path, "k", tt.body)
		wants(t, tt.name, a, tt.status, tt.code)
		if tt.field != "" && a.text("details", "fields", "0", "path") != tt.field {
			t.Errorf("%s: details = %s", tt.name, a.text("details"))
		}
	}
	wants(t, "no scope", h.post(debitPath, "k", move("t", "1.00"), "Authorization", "Bearer "+reader), 403, "forbidden")
	wants(t, "no wallets", h.post(debitPath, "k", move("t", "1.00"), "Authorization", "Bearer "+walletless), 422, "validation_failed")
	if _, answers, refs := h.rows(); answers+refs != 0 {
		t.Errorf("%d answers and %d names are left", answers, refs)
	}
}

// TestAccounts: a merchant sees their own accounts and their customers'; the
// house's too, where they are alone in it.
func TestAccounts(t *testing.T) {
	t.Parallel()
	owners := func(h *house, key string) map[string]bool {
		out := map[string]bool{}
		for cursor := ""; ; {
			a := h.send(h.request("GET", "/v1/accounts?limit=1"+cursor, "", "Authorization", "Bearer "+key))
			if a.Code != 200 {
				t.Fatalf("accounts = %d %s", a.Code, a.Body)
			}
			for range a.doc["data"].([]any) {
				out[a.text("data", "0", "owner")+" "+a.text("data", "0", "purpose")+" "+a.text("data", "0", "balance")] = true
			}
			if a.text("has_more") != "true" {
				return out
			}
			cursor = "&cursor=" + a.text("next_cursor")
		}
	}
	for _, sole := range []bool{false, true} {
		h := newHouse(t, func(_ *house, o *api.Options) { o.Sole = sole })
		stranger := h.newKey(203, "", scopes()...)
		h.post(initPath, "k", sale("1.00", `,"customer_id":"c"`))
		h.post(debitPath, "k", move("hat", "0.30"))
		got := owners(h, h.key)
		if !got["customer:1:c available 0.70"] || !got["merchant:1 payable 0.30"] || got["psp:generic:demo clearing 1.00"] != sole {
			t.Errorf("sole %t: accounts = %v", sole, got)
		}
		for line := range owners(h, stranger) {
			if !sole || strings.HasPrefix(line, "customer:") || strings.HasPrefix(line, "merchant:") {
				t.Errorf("sole %t: a stranger sees %s", sole, line)
			}
		}
		if moved := h.get("/v1/transfers?kind=debit"); moved.text("data", "0", "transfer_id") == "" {
			t.Errorf("there is no debit: %s", moved.Body)
		} else {
			a := h.send(h.request("GET", "/v1/transfers/"+moved.text("data", "0", "transfer_id"), "", "Authorization", "Bearer "+stranger))
			wants(t, "a stranger's look at a transfer", a, 404, "not_found")
		}
	}
}

// TestMoveWhoseCommitIsLost: the answer to a commit is lost, and the store away. The
// same key finds what became of it.
func TestMoveWhoseCommitIsLost(t *testing.T) {
	t.Parallel()
	for _, fault := range []book.Fault{book.FaultLostDone, book.FaultLostDead} {
		h := newHouse(t)
		ok(t, "credit", h.post(creditPath, "c", move("prize", "9.00")), "9.00")
		var mu sync.Mutex
		lost := true
		h.homes[0].Fail = func(s book.Step) book.Fault {
			mu.Lock()
			defer mu.Unlock()
			if s == book.StepCommit && lost {
				lost = false
				return fault
			}
			return book.FaultNone
		}
		first := h.post(debitPath, "k", move("hat", "5.00"))
		ok(t, string(fault), first, "4.00")
		if again := h.post(debitPath, "k", move("hat", "5.00")); again.Body.String() != first.Body.String() {
			t.Errorf("%s: again = %s, want %s", fault, again.Body, first.Body)
		}
	}
}

// BenchmarkRound is a stake and a win from their requests to their answers, on the
// book in memory, by many callers at once.
func BenchmarkRound(b *testing.B) {
	h := newHouse(b)
	body := func(n int, name, amount, more string) string {
		return fmt.Sprintf(`{"txn_id":"%s-%d","customer_id":"c-%d","amount":%q,"currency":"EUR"%s}`, name, n, n%100, amount, more)
	}
	for n := range 100 {
		if a := h.post(creditPath, fmt.Sprint("credit-", n), body(n, "credit", "1000000000.00", "")); a.Code != http.StatusOK {
			b.Fatalf("credit = %d %s", a.Code, a.Body)
		}
	}
	requests := make([][2]*http.Request, b.N)
	for n := range requests {
		round := fmt.Sprintf(`,"round_id":"round-%d"`, n)
		requests[n] = [2]*http.Request{
			h.request(http.MethodPost, stakePath, body(n, "stake", "5.00", round), "Idempotency-Key", fmt.Sprint("stake-", n)),
			h.request(http.MethodPost, winPath, body(n, "win", "2.50", round), "Idempotency-Key", fmt.Sprint("win-", n)),
		}
	}
	var next atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(64)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			for _, r := range requests[next.Add(1)-1] {
				w := httptest.NewRecorder()
				if h.api.ServeHTTP(w, r); w.Code != http.StatusOK {
					b.Errorf("%s = %d %s", r.URL, w.Code, w.Body)
				}
			}
		}
	})
}
