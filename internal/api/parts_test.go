package api_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/risk"
	"aorta/internal/store/storetest"
)

// easyRules let pass what these tests are not about.
const easyRules = "profile = \"generic\"\n[payout]\nturnover_permille = 0\nday_max_minor = 0\n[[rule]]\nid = \"P04\"\nenabled = false\n[[rule]]\nid = \"V10\"\nenabled = false\n"

// judged gives the licensed project other rules, and customer c a level and a deposit
// of 1.00 by card, and winnings.
func (h *house) judged(rules string, level int64, won string) *house {
	h.t.Helper()
	r, err := risk.Load("rules.toml", []byte(rules))
	if err != nil {
		h.t.Fatal(err)
	}
	h.rules[300] = r
	h.verified(level)
	wants(h.t, "deposit", h.post(initPath, "d1", depositOf("1.00")), 200, "")
	h.work.Wait()
	wants(h.t, "winnings", h.post(creditPath, "won", move("won", won)), 200, "")
	h.verified(level)
	return h
}

// verified sets how far customer c is verified, if there is one.
func (h *house) verified(level int64) {
	h.t.Helper()
	storetest.Verify(h.t, h.book, customer.Customer{ID: h.flows.CustomerOf(h.projects[300], "c"), MerchantID: 3, Name: "c"}, level)
}

// resume has a payout looked at again, as who raises a level does.
func (h *house) resume(payout string) {
	h.t.Helper()
	k, err := id.ParsePayout(payout)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.flows.ResumePayout(h.t.Context(), due.Due{ID: k.Raw(), Kind: due.Payout}); err != nil {
		h.t.Fatal(err)
	}
	h.work.Wait()
}

func back(amount string, more ...string) string {
	return `{"amount":"` + amount + `","currency":"EUR","customer_id":"c"` + strings.Join(more, "") + `}`
}

// A payout whose customer must be verified first is 422, by each repeat of the call, and
// exists: it goes on by itself.
func TestPayoutAsksForVerification(t *testing.T) {
	t.Parallel()
	onEachLicensed(t, func(t *testing.T, h *house) {
		h.judged(easyRules, 0, "5.00")
		a := h.post(payoutPath, "k", back("1.00", `,"merchant_payout_id":"po-1"`))
		wants(t, "init", a, 422, "kyc_required")
		name := a.text("details", "payout_id")
		wantText(t, "init", a, map[string]string{"details.required_level": "1", "details.reason": "verification_required"})
		again := h.post(payoutPath, "k", back("1.00", `,"merchant_payout_id":"po-1"`))
		if again.Body.String() != a.Body.String() || again.Code != 422 {
			t.Errorf("repeated: %d %s, want %s", again.Code, again.Body, a.Body)
		}
		h.has("while it waits", "5.00", "1.00")
		wantText(t, "view", h.get("/v1/payouts/"+name), map[string]string{
			"status": "step_up", "reason": "verification_required", "action_required.type": "verification", "action_required.required_level": "1",
			"parts.0.amount": "1.00", "parts.0.method": "card", "parts.0.status": "pending",
		})
		if list := h.get("/v1/payouts?status=step_up"); list.text("data", "0", "payout_id") != name {
			t.Errorf("listed: %s", list.Body)
		}
		h.verified(1)
		h.resume(name)
		wantText(t, "verified", h.get("/v1/payouts/"+name), map[string]string{"status": "paid", "reason": "", "paid_amount": "1.00", "parts.0.status": "succeeded"})
		h.has("when it is paid", "5.00", "0.00")
	})
}

// What init answers is what is read of the payout then, however it stands, and while it
// is on its way it is not read once more for that.
func TestInitAnswersWhatIsStored(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		minor  int64
		status string
	}{
		"on its way": {123, "pending"}, "paid at once": {paidAtOnce, "paid"}, "refused at once": {refused, "failed"},
		"not taken": {away, "deferred"}, "lost": {lost, "pending"},
	}
	onEachLicensed(t, func(t *testing.T, h *house) {
		h.judged(easyRules, 3, "90.00")
		for name, tt := range tests {
			a := h.post(payoutPath, strings.ReplaceAll(name, " ", "-"), back(money.Amount{Minor: tt.minor, Currency: "EUR"}.Decimal()))
			wantText(t, name, a, map[string]string{"status": tt.status})
			stored := h.get("/v1/payouts/" + a.text("payout_id"))
			if strings.TrimSpace(stored.Body.String()) != strings.TrimSpace(a.Body.String()) {
				t.Errorf("%s: init answers %s; then it is %s", name, a.Body, stored.Body)
			}
		}
	})
}

// What waits for operators can be cancelled, once.
func TestCancelPayout(t *testing.T) {
	t.Parallel()
	onEachLicensed(t, func(t *testing.T, h *house) {
		h.judged(strings.Replace(easyRules, "turnover_permille = 0", "turnover_permille = 1000", 1), 3, "5.00")
		a := h.post(payoutPath, "k", back("2.00"))
		name := a.text("payout_id")
		wantText(t, "init", a, map[string]string{"status": "on_hold", "reason": "under_review"})
		if strings.Contains(a.Body.String(), "A04") {
			t.Errorf("a rule's name is told: %s", a.Body)
		}
		cancel := "/v1/payouts/" + name + "/cancel"
		b := h.post(cancel, "c1", "{}")
		wantText(t, "cancel", b, map[string]string{"status": "cancelled", "returned_amount": "2.00"})
		if again := h.post(cancel, "c1", "{}"); again.Body.String() != b.Body.String() {
			t.Errorf("repeated: %s, want %s", again.Body, b.Body)
		}
		wants(t, "cancel again", h.post(cancel, "c2", "{}"), 409, "state_conflict")
		h.has("cancelled", "6.00", "0.00")
		wants(t, "cancel what is not there", h.post("/v1/payouts/"+id.Payout{1}.String()+"/cancel", "c3", "{}"), 404, "not_found")

		h.rules[300].Payout.Cancel = false
		c := h.post(payoutPath, "k2", back("2.00"))
		no := h.post("/v1/payouts/"+c.text("payout_id")+"/cancel", "c4", "{}")
		wants(t, "where the rules take none", no, 409, "state_conflict")
		wantText(t, "where the rules take none", no, map[string]string{"details.cancelling": "not_allowed", "details.state": "on_hold"})
	})
}

// Refusals leave nothing, and say what may be said.
func TestPayoutsThatRulesRefuse(t *testing.T) {
	t.Parallel()
	onEachLicensed(t, func(t *testing.T, h *house) {
		h.judged(strings.Replace(easyRules, "day_max_minor = 0", "day_max_minor = 300\nmin_minor = 20", 1), 3, "9.00")
		for _, tt := range []struct {
			name, body string
			status     int
			code       string
			details    map[string]string
		}{
			{"more than there is", back("50.00"), 402, "insufficient_funds", nil},
			{"too little", back("0.10"), 422, "amount_out_of_range", map[string]string{"details.reason": "limit_reached"}},
			{"beyond the day's limit", back("3.01"), 422, "limit_exceeded", map[string]string{"details.reason": "limit_reached", "details.remaining": "3.00"}},
			{"to nobody's instrument", back("1.00", `,"destination":"`+id.Instrument{1}.String()+`"`), 422, "validation_failed", map[string]string{"details.fields.0.path": "destination"}},
			{"to what is no instrument", back("1.00", `,"destination":"x"`), 422, "validation_failed", map[string]string{"details.fields.0.code": "id"}},
		} {
			a := h.post(payoutPath, strings.ReplaceAll(tt.name, " ", "-"), tt.body)
			wants(t, tt.name, a, tt.status, tt.code)
			wantText(t, tt.name, a, tt.details)
		}
		h.has("after refusals", "10.00", "0.00")
		wantText(t, "what is left", h.post(payoutPath, "k", back("1.00")), map[string]string{"status": "paid", "paid_amount": "1.00"})
		wantText(t, "beyond it, then", h.post(payoutPath, "k2", back("2.01")), map[string]string{"details.remaining": "2.00"})
	})
}

// What a customer has paid with, and where winnings may go.
func TestInstruments(t *testing.T) {
	t.Parallel()
	onEachLicensed(t, func(t *testing.T, h *house) {
		h.judged(easyRules, 3, "5.00")
		a := h.get("/v1/customers/c/instruments")
		wantText(t, "instruments", a, map[string]string{
			"data.0.kind": "card", "data.0.method": "generic-card", "data.0.currency": "EUR", "data.0.paid_in": "1.00", "data.0.returnable": "1.00",
			"data.0.verified": "true", "data.0.payouts": "true",
		})
		b := h.post(payoutPath, "k", back("1.00", `,"destination":"`+a.text("data", "0", "instrument_id")+`"`))
		wantText(t, "payout", b, map[string]string{"status": "paid", "parts.0.instrument_id": a.text("data", "0", "instrument_id")})
		wantText(t, "instruments, after it", h.get("/v1/customers/c/instruments"), map[string]string{"data.0.returnable": "0.00"})
		wants(t, "of nobody", h.get("/v1/customers/x/instruments"), 200, "")
	})
	wants(t, "without rules", newHouse(t).get("/v1/customers/c/instruments"), 409, "state_conflict")
}

// 50 payouts at once, over each store: what is paid and reserved is never more than
// there is, nor than the limit of a day.
func TestManyLicensedPayoutsAtOnce(t *testing.T) {
	t.Parallel()
	onEachLicensed(t, func(t *testing.T, h *house) {
		h.judged(strings.Replace(easyRules, "day_max_minor = 0", "day_max_minor = 1000", 1), 3, "49.00")
		var all sync.WaitGroup
		var mu sync.Mutex
		codes := map[string]int{}
		for n := range 50 {
			all.Go(func() {
				a := h.send(h.request("POST", payoutPath, back("1.00"), "Idempotency-Key", fmt.Sprint("k", n)))
				mu.Lock()
				defer mu.Unlock()
				codes[fmt.Sprint(a.Code, " ", a.text("error"))]++
			})
		}
		all.Wait()
		h.work.Wait()
		if codes["200 "] != 10 || codes["422 limit_exceeded"] != 40 {
			t.Errorf("answers %v, want 10 payouts and 40 refusals", codes)
		}
		if got := len(h.psp.payouts()); got != 10 {
			t.Errorf("%d were sent, want 10", got)
		}
		h.has("then", "40.00", "0.00")
	})
}

// Four eyes over each store: from request to paid with two operators.
func TestPayoutWithTwoOperators(t *testing.T) {
	t.Parallel()
	onEachLicensed(t, func(t *testing.T, h *house) {
		h.judged(strings.Replace(easyRules, "turnover_permille = 0", "turnover_permille = 0\nmanual_above_minor = 50\ndual_above_minor = 90", 1), 3, "5.00")
		a := h.post(payoutPath, "k", back("1.00"))
		wantText(t, "init", a, map[string]string{"status": "on_hold"})
		po, err := id.ParsePayout(a.text("payout_id"))
		if err != nil {
			t.Fatal(err)
		}
		for n, name := range []string{"ann", "ann", "bob"} {
			h.pass(time.Second)
			_, _, err := h.flows.ApprovePayout(t.Context(), id.Payment(po), operator.Actor{Name: name}, "")
			if (err != nil) != (n == 1) {
				t.Errorf("approval %d, by %s: %v", n, name, err)
			}
		}
		h.work.Wait()
		wantText(t, "approved by two", h.get("/v1/payouts/"+po.String()), map[string]string{"status": "paid"})
		p, _, err := h.reader().Payment(t.Context(), id.Payment(po))
		if err != nil || p.Status != payment.StatusPaid {
			t.Errorf("%s, %v", p.Status, err)
		}
	})
}

// 30 payouts at once, over each store: what the merchant pays out in a day is never more
// than the rules let pass without a person, and what waits is sent once one has looked.
func TestMerchantDayAtOnce(t *testing.T) {
	t.Parallel()
	onEachLicensed(t, func(t *testing.T, h *house) {
		h.judged(strings.Replace(easyRules, "day_max_minor = 0", "merchant_day_max_minor = 1000\naccount_day_max_minor = 99999", 1), 3, "49.00")
		var all sync.WaitGroup
		var mu sync.Mutex
		codes, held := map[string]int{}, ""
		for n := range 30 {
			all.Go(func() {
				a := h.send(h.request("POST", payoutPath, back("1.00"), "Idempotency-Key", fmt.Sprint("k", n)))
				mu.Lock()
				defer mu.Unlock()
				codes[a.text("status")]++
				if a.text("status") == "on_hold" {
					held = a.text("payout_id")
				}
			})
		}
		all.Wait()
		h.work.Wait()
		if codes["paid"] != 10 || codes["on_hold"] != 20 {
			t.Errorf("answers %v, want 10 that are paid and 20 that wait", codes)
		}
		h.has("then", "20.00", "20.00")
		k, err := id.ParsePayout(held)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := h.flows.ReleaseHold(t.Context(), id.Payment(k), operator.Actor{Name: "ann", Roles: "finance"}, "known"); err != nil {
			t.Fatal(err)
		}
		h.work.Wait()
		wantText(t, "released", h.get("/v1/payouts/"+held), map[string]string{"status": "paid"})
		h.has("released", "20.00", "19.00")
	})
}

// Who has a bonus is paid out only if they agree to lose it; that is their merchant's again.
func TestBonusIsLostByAgreement(t *testing.T) {
	t.Parallel()
	onEachLicensed(t, func(t *testing.T, h *house) {
		h.judged(easyRules, 3, "5.00")
		bonus := func(want string) {
			t.Helper()
			if got := h.get("/v1/customers/c").text("balances", "0", "bonus"); got != want {
				t.Errorf("the bonus is %s, want %s", got, want)
			}
		}
		wants(t, "grant", h.post("/v1/wallet/bonus_grant", "b", move("gift", "3.00")), 200, "")
		a := h.post(payoutPath, "k1", back("1.00"))
		wants(t, "with a bonus", a, 409, "state_conflict")
		wantText(t, "with a bonus", a, map[string]string{"details.state": "bonus_active"})
		bonus("3.00")
		wants(t, "agreed, and too much", h.post(payoutPath, "k2", back("50.00", `,"forfeit_bonus":true`)), 402, "insufficient_funds")
		bonus("3.00")
		wants(t, "agreed, under the key of another request", h.post(payoutPath, "k2", back("50.00")), 409, "idempotency_conflict")
		wantText(t, "agreed", h.post(payoutPath, "k3", back("1.00", `,"forfeit_bonus":true`)), map[string]string{"status": "paid"})
		bonus("0.00")
		h.has("agreed", "5.00", "0.00")
		list := h.get("/v1/customers/c/transfers?limit=10").Body.String()
		if strings.Count(list, `"bonus_forfeit"`) != 1 || !strings.Contains(list, `"change_bonus":"-3.00"`) {
			t.Errorf("the statement is %s", list)
		}
		wantText(t, "by itself", h.get("/v1/transfers?kind=bonus_forfeit"), map[string]string{"data.0.kind": "bonus_forfeit"})
		wantText(t, "nothing to lose", h.post(payoutPath, "k4", back("1.00", `,"forfeit_bonus":true`)), map[string]string{"status": "paid"})
	})
}
