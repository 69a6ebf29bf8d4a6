package api_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/customer"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/store/storetest"
)

const (
	limitsPath   = "/v1/customers/c/limits"
	restrictPath = "/v1/customers/c/restrictions"
	dayLimit     = limitsPath + "/deposit/day"
)

// licence makes all calls of a house those of its licensed project.
func (h *house) licence() *house {
	h.t.Helper()
	h.key = h.newKey(300, "", scopes()...)
	return h
}

// onEachLicensed tries a licensed project in two homes and over each store.
func onEachLicensed(t *testing.T, fn func(t *testing.T, h *house)) {
	t.Helper()
	t.Run("two homes", func(t *testing.T) { t.Parallel(); fn(t, newHouseOf(t, 2).licence()) })
	storetest.Each(t, func(t *testing.T, db storetest.DB) { fn(t, newHouseOn(t, db).licence()) })
}

func (h *house) put(path, key, body string) answer {
	h.t.Helper()
	h.pass(time.Millisecond)
	return h.send(h.request("PUT", path, body, "Idempotency-Key", key))
}

func (h *house) remove(path, key string) answer {
	h.t.Helper()
	h.pass(time.Millisecond)
	return h.send(h.request("DELETE", path, "", "Idempotency-Key", key))
}

func limitOf(kind, period, amount string) string {
	return `{"kind":"` + kind + `","period":"` + period + `","amount":"` + amount + `","currency":"EUR"}`
}

func depositOf(amount string) string {
	return `{"amount":"` + amount + `","currency":"EUR","method":"card","customer_id":"c"}`
}

// wantText wants members of an answer.
func wantText(t *testing.T, what string, a answer, want map[string]string) {
	t.Helper()
	for path, text := range want {
		if got := a.text(strings.Split(path, ".")...); got != text {
			t.Errorf("%s: %s is %q, want %q: %d %s", what, path, got, text, a.Code, a.Body)
		}
	}
}

// TestLimitOverV1: a limit is set, used, passed, raised and confirmed.
func TestLimitOverV1(t *testing.T) {
	t.Parallel()
	onEachLicensed(t, func(t *testing.T, h *house) {
		start := h.clock()
		at := func(d time.Duration) string { return start.Add(d).Format(time.RFC3339Nano) }
		a := h.put(limitsPath, "l1", limitOf("deposit", "day", "100.00"))
		start = h.clock()
		wantText(t, "the first limit", a, map[string]string{
			"customer_id": "c", "limits.0.kind": "deposit", "limits.0.period": "day", "limits.0.amount": "100.00", "limits.0.currency": "EUR", "limits.0.set_by": "customer",
			"limits.0.effective_at": at(0), "limits.0.used": "0.00", "limits.0.remaining": "100.00", "history.0.kind": "limit_set", "history.0.by": "customer",
		})
		again := h.put(limitsPath, "l1", limitOf("deposit", "day", "100.00"))
		if again.Body.String() != a.Body.String() || again.Header().Get("Idempotent-Replayed") != "true" {
			t.Errorf("again = %d %s", again.Code, again.Body)
		}
		wants(t, "another limit under the same key", h.put(limitsPath, "l1", limitOf("deposit", "day", "101.00")), 409, "idempotency_conflict")

		ok(t, "1.00, paid at once", h.post(initPath, "p1", depositOf("1.00")), "")
		h.work.Wait()
		paid := h.clock()
		h.pass(time.Hour)
		no := h.post(initPath, "p2", depositOf("99.01"))
		wants(t, "too much", no, 422, "limit_exceeded")
		wantText(t, "too much", no, map[string]string{
			"details.remaining": "99.00", "details.resets_at": paid.Add(24 * time.Hour).Format(time.RFC3339Nano), "details.reason": "limit_reached",
			"details.limit": "deposit", "details.period": "day",
		})
		if again := h.post(initPath, "p2", depositOf("99.01")); again.Body.String() != no.Body.String() || again.Header().Get("Idempotent-Replayed") != "true" {
			t.Errorf("too much, again = %d %s", again.Code, again.Body)
		}

		raise := h.put(limitsPath, "l2", limitOf("deposit", "day", "200.00"))
		now := h.clock()
		wantText(t, "a raise", raise, map[string]string{
			"limits.0.amount": "100.00", "limits.0.used": "1.00", "limits.0.remaining": "99.00", "limits.0.pending.amount": "200.00", "limits.0.pending.remove": "false",
			"limits.0.pending.confirm_from":  now.Add(24 * time.Hour).Format(time.RFC3339Nano),
			"limits.0.pending.confirm_until": now.Add(31 * 24 * time.Hour).Format(time.RFC3339Nano), "history.0.kind": "limit_asked", "history.0.amount": "200.00",
		})
		early := h.post(dayLimit+"/confirm", "c1", "{}")
		wants(t, "confirmed too early", early, 409, "state_conflict")
		wantText(t, "confirmed too early", early, map[string]string{"details.state": "too_early"})
		h.pass(24 * time.Hour)
		wantText(t, "confirmed", h.post(dayLimit+"/confirm", "c2", "{}"), map[string]string{"limits.0.amount": "200.00", "limits.0.pending": "", "history.0.kind": "limit_confirmed"})
		wantText(t, "confirmed again", h.post(dayLimit+"/confirm", "c3", "{}"), map[string]string{"error": "state_conflict", "details.state": "not_pending"})
		wantText(t, "removed", h.remove(dayLimit, "d1"), map[string]string{"limits.0.pending.remove": "true", "limits.0.amount": "200.00"})
		wantText(t, "lowered while that is pending", h.put(limitsPath, "l3", limitOf("deposit", "day", "50.00")), map[string]string{"limits.0.amount": "50.00", "limits.0.pending": ""})
		h.pass(24 * time.Hour)
		wants(t, "nothing is pending", h.post(dayLimit+"/confirm", "c4", "{}"), 409, "state_conflict")
		wants(t, "no such limit", h.remove(limitsPath+"/loss/week", "d2"), 404, "not_found")
		wants(t, "no such kind", h.remove(limitsPath+"/luck/week", "d3"), 404, "not_found")
		wants(t, "no such period of it", h.remove(limitsPath+"/single_deposit/week", "d4"), 404, "not_found")
		wants(t, "the rules have no calendar month", h.put(limitsPath, "l4", limitOf("deposit", "calendar_month", "50.00")), 422, "validation_failed")
		wants(t, "once is of single deposits", h.put(limitsPath, "l5", limitOf("deposit", "once", "50.00")), 422, "validation_failed")
		wantText(t, "one deposit", h.put(limitsPath, "l6", limitOf("single_deposit", "once", "5.00")), map[string]string{"limits.1.kind": "single_deposit", "limits.1.remaining": "5.00", "limits.1.resets_at": ""})
		wantText(t, "one deposit, too large", h.post(initPath, "p3", depositOf("5.01")), map[string]string{"error": "limit_exceeded", "details.remaining": "5.00", "details.limit": "single_deposit", "details.period": "once"})
		if got := h.get(limitsPath); got.Code != 200 || got.text("limits", "1", "kind") != "single_deposit" {
			t.Errorf("GET = %d %s", got.Code, got.Body)
		}
	})
}

// TestParallelDepositsOverV1: ten at once of 30.00 on 100.00, three pass.
func TestParallelDepositsOverV1(t *testing.T) {
	t.Parallel()
	onEachLicensed(t, func(t *testing.T, h *house) {
		ok(t, "limit", h.put(limitsPath, "l", limitOf("deposit", "day", "100.00")), "")
		var wg sync.WaitGroup
		answers := make([]answer, 10)
		for n := range answers {
			wg.Go(func() { answers[n] = h.post(initPath, fmt.Sprint("p", n), depositOf("30.00")) })
		}
		wg.Wait()
		passed := 0
		for n, a := range answers {
			if a.Code == 200 {
				passed++
				continue
			}
			wants(t, fmt.Sprint(n), a, 422, "limit_exceeded")
			if a.text("details", "remaining") != "10.00" || a.text("details", "resets_at") == "" {
				t.Errorf("refused with %s", a.Body)
			}
		}
		if passed != 3 {
			t.Errorf("%d passed, want 3", passed)
		}
	})
}

// TestRestrictionsOverV1: who pauses or excludes themselves pays nothing in, plays
// nothing, raises nothing, and ends it as its type has it.
func TestRestrictionsOverV1(t *testing.T) {
	t.Parallel()
	onEachLicensed(t, func(t *testing.T, h *house) {
		ok(t, "money", h.post(creditPath, "m", move("m", "50.00")), "50.00")
		ok(t, "limit", h.put(limitsPath, "l", limitOf("deposit", "day", "100.00")), "")
		for n, body := range []string{
			`{"type":"cool_off"}`, `{"type":"cool_off","hours":23}`, `{"type":"cool_off","hours":1009}`, `{"type":"cool_off","hours":24,"months":6}`,
			`{"type":"cool_off","hours":"24"}`, `{"type":"cool_off","hours":2.5}`, `{"type":"cool_off","hours":-24}`, `{"type":"cool_off","hours":24,"indefinite":true}`,
			`{"type":"self_excluded"}`, `{"type":"self_excluded","months":5}`, `{"type":"self_excluded","months":61}`, `{"type":"self_excluded","months":0}`,
			`{"type":"self_excluded","months":6,"indefinite":true}`, `{"type":"self_excluded","indefinite":false}`, `{"type":"self_excluded","indefinite":"yes"}`,
			`{"type":"self_excluded","hours":24}`, `{"type":"frozen"}`, `{}`,
		} {
			wants(t, body, h.post(restrictPath, fmt.Sprint("bad", n), body), 422, "validation_failed")
		}
		a := h.post(restrictPath, "r1", `{"type":"cool_off","hours":24}`)
		until := h.clock().Add(24 * time.Hour).Format(time.RFC3339Nano)
		wantText(t, "cool-off", a, map[string]string{
			"restricted": "true", "restrictions.0.type": "cool_off", "restrictions.0.set_by": "customer", "restrictions.0.until": until, "restrictions.0.may_pay_out": "true", "history.0.type": "cool_off",
		})
		refused := func(what string, a answer) {
			t.Helper()
			wants(t, what, a, 422, "player_restricted")
			wantText(t, what, a, map[string]string{"details.until": until, "details.reason": "limit_reached"})
		}
		refused("deposit", h.post(initPath, "p1", depositOf("1.00")))
		refused("stake", h.post("/v1/rounds/stake", "s1", `{"round_id":"r","txn_id":"s1","customer_id":"c","amount":"1.00","currency":"EUR"}`))
		refused("raise", h.put(limitsPath, "l2", limitOf("deposit", "day", "200.00")))
		refused("removal", h.remove(dayLimit, "d"))
		wantText(t, "shorter", h.post(restrictPath, "r2", `{"type":"cool_off","hours":24}`), map[string]string{"restrictions.0.type": "cool_off"})
		wantText(t, "no end to ask for", h.post(restrictPath+"/end", "e1", "{}"), map[string]string{"error": "state_conflict", "details.state": "not_ending"})
		if out := h.post(payoutPath, "o1", payout("1.00")); out.Code == 422 && out.text("error") == "player_restricted" {
			t.Errorf("a payout of who cools off: %s", out.Body)
		}
		h.pass(25 * time.Hour)
		if a := h.get(restrictPath); a.text("restricted") != "false" || a.text("restrictions", "0") != "" {
			t.Errorf("after the cool-off: %s", a.Body)
		}
		ok(t, "deposit after it", h.post(initPath, "p2", depositOf("1.00")), "")

		a = h.post(restrictPath, "r3", `{"type":"self_excluded","months":6}`)
		end := h.clock().AddDate(0, 6, 0)
		wantText(t, "exclusion", a, map[string]string{"restrictions.0.type": "self_excluded", "restrictions.0.until": end.Format(time.RFC3339Nano), "restrictions.0.end_from": end.Format(time.RFC3339Nano)})
		wantText(t, "shorter exclusion", h.post(restrictPath, "r4", `{"type":"self_excluded","months":6}`), map[string]string{"restrictions.0.type": "self_excluded"})
		wantText(t, "asked too early", h.post(restrictPath+"/end", "e2", "{}"), map[string]string{"details.state": "not_ending"})
		h.pass(190 * 24 * time.Hour)
		wants(t, "deposit, nobody has asked", h.post(initPath, "p3", depositOf("1.00")), 422, "player_restricted")
		wantText(t, "asked", h.post(restrictPath+"/end", "e3", "{}"), map[string]string{
			"restrictions.0.ends_at": h.clock().Add(24 * time.Hour).Format(time.RFC3339Nano), "restrictions.0.end_from": "", "history.0.kind": "restriction_end_asked",
		})
		wants(t, "deposit, still waiting", h.post(initPath, "p4", depositOf("1.00")), 422, "player_restricted")
		h.pass(24 * time.Hour)
		ok(t, "deposit in the end", h.post(initPath, "p5", depositOf("1.00")), "")

		wantText(t, "without end", h.post(restrictPath, "r5", `{"type":"self_excluded","indefinite":true}`), map[string]string{"restrictions.0.type": "self_excluded", "restrictions.0.until": ""})
		wantText(t, "not shorter", h.post(restrictPath, "r6", `{"type":"self_excluded","months":60}`), map[string]string{"error": "state_conflict", "details.state": "restricted"})
	})
}

// TestLimitsOfPlayOverV1: a stake beyond a limit is refused, and kept as such.
func TestLimitsOfPlayOverV1(t *testing.T) {
	t.Parallel()
	onEachLicensed(t, func(t *testing.T, h *house) {
		ok(t, "money", h.post(creditPath, "m", move("m", "50.00")), "50.00")
		ok(t, "limit", h.put(limitsPath, "l", limitOf("loss", "day", "10.00")), "")
		stake := func(name, amount string) answer {
			return h.post("/v1/rounds/stake", name, `{"round_id":"r","txn_id":"`+name+`","customer_id":"c","amount":"`+amount+`","currency":"EUR"}`)
		}
		ok(t, "stake", stake("s1", "9.00"), "41.00")
		no := stake("s2", "1.01")
		wants(t, "too much", no, 422, "limit_exceeded")
		wantText(t, "too much", no, map[string]string{"details.remaining": "1.00", "details.limit": "loss", "details.period": "day"})
		if again := stake("s2", "1.01"); again.Body.String() != no.Body.String() || again.Header().Get("Idempotent-Replayed") != "true" {
			t.Errorf("again = %d %s", again.Code, again.Body)
		}
		ok(t, "win", h.post("/v1/rounds/win", "w1", `{"round_id":"r","txn_id":"w1","customer_id":"c","amount":"5.00","currency":"EUR"}`), "46.00")
		ok(t, "stake of what was won", stake("s3", "6.00"), "40.00")
		wantText(t, "used", h.get(limitsPath), map[string]string{"limits.0.used": "10.00", "limits.0.remaining": "0.00"})
	})
}

// TestVelocityOverV1: who pays in too often waits.
func TestVelocityOverV1(t *testing.T) {
	t.Parallel()
	h := newHouse(t).licence()
	for n := range limit.MaxEntries { // 100.00 in all: more would need a level
		if _, err := h.flows.BeginSale(t.Context(), flow.SaleRequest{
			Project: h.projects[300], Method: h.projects[300].Methods[0], Door: "api", PaymentID: fmt.Sprint("n", n), CustomerID: "c", Amount: money.Amount{Minor: 5, Currency: "EUR"},
		}); err != nil {
			t.Fatal(err)
		}
	}
	a := h.post(initPath, "p", depositOf("1.00"))
	wants(t, "one more", a, 429, "velocity_limited")
	if a.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

// TestLimitsWithoutRules: of a project that is not licensed there are none.
func TestLimitsWithoutRules(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for what, a := range map[string]answer{
		"limits": h.get(limitsPath), "restrictions": h.get(restrictPath), "set": h.put(limitsPath, "a", limitOf("deposit", "day", "1.00")),
		"remove": h.remove(dayLimit, "b"), "confirm": h.post(dayLimit+"/confirm", "c", "{}"),
		"restrict": h.post(restrictPath, "d", `{"type":"cool_off","hours":24}`), "end": h.post(restrictPath+"/end", "e", "{}"),
	} {
		wants(t, what, a, 409, "state_conflict")
		wantText(t, what, a, map[string]string{"details.state": "no_rules"})
	}
	h.licence()
	wants(t, "a deposit of nobody", h.post(initPath, "p", `{"amount":"1.00","currency":"EUR","method":"card"}`), 422, "validation_failed")
	if err := h.flows.Lift(t.Context(), flow.CustomerChange{Project: h.projects[300], CustomerID: "c", By: flow.Player(h.projects[300])}, customer.Frozen); !errors.Is(err, flow.ErrState) {
		t.Errorf("lifted: %v", err)
	}
	as := customer.Restraint{Restriction: customer.SelfExcluded, Of: id.Customer{7}}
	if err := h.flows.Restrict(t.Context(), flow.CustomerChange{Project: h.projects[300], CustomerID: "c", By: flow.Player(h.projects[300])}, as); err != nil {
		t.Fatal(err)
	}
	wantText(t, "as the same person is", h.get(restrictPath), map[string]string{"restrictions.0.type": "self_excluded", "restrictions.0.set_by": "house"})
}
