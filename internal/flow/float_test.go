package flow_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/connector"
	"aorta/internal/customer"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/risk"
	"aorta/internal/store/storetest"
)

// bounded is easy with a bound on what the merchant, or a PSP account, pays out in a day.
func bounded(key string, minor int64) string {
	return strings.Replace(easy, "[payout]", fmt.Sprintf("[payout]\n%s = %d", key, minor), 1)
}

// withMoney makes a verified customer who has paid in by a method, of whose money nothing is left to play.
func (h *house) withMoney(name, method string, minor int64) {
	h.t.Helper()
	storetest.Verify(h.t, h.book, customer.Customer{ID: h.flows.CustomerOf(h.pr, name), MerchantID: 1, Name: name}, 3)
	h.tick()
	for _, m := range h.pr.Methods {
		if m.Code != "generic-"+method {
			continue
		}
		_, err := h.flows.BeginSale(h.t.Context(), flow.SaleRequest{
			Project: h.pr, Method: m, Door: "gate", PaymentID: fmt.Sprint("d-", name, "-", method), CustomerID: name, Amount: eur(minor),
		})
		if err != nil {
			h.t.Fatal(err)
		}
	}
	h.settle()
}

// payOut asks for a payout of a customer's, and has all done that it leads to at once.
func (h *house) payOut(who, name string, minor int64) id.Payment {
	h.t.Helper()
	h.tick()
	b, err := h.flows.BeginPayout(h.t.Context(), flow.PayoutRequest{Project: h.pr, Door: "api", PayoutID: name, CustomerID: who, Amount: eur(minor)})
	if err != nil {
		h.t.Fatalf("BeginPayout(%s): %v", name, err)
	}
	h.settle()
	return b.Payment.ID
}

// held says what holds a payout.
func (h *house) held(p id.Payment) string {
	h.t.Helper()
	d := h.lastDecision(p).Decision
	rules := []string{}
	for _, x := range d.Stopped() {
		rules = append(rules, x.Rule)
	}
	return fmt.Sprint(d.Check, " ", rules)
}

// What a merchant pays out in a day counts over all its customers, wherever their rows
// lie: what is above it waits for a person, who may let it go all the same.
func TestMerchantDay(t *testing.T) {
	t.Parallel()
	h := checkedHouse(t, bounded("merchant_day_max_minor", 10000))
	for n := range 6 {
		h.withMoney(fmt.Sprint("m", n), "card", 20000)
	}
	h.wantStatus(h.payOut("m0", "a", 6000), payment.StatusPaid, "0")
	over := h.payOut("m1", "b", 4001)
	h.wantStatus(over, payment.StatusHold, "")
	if got := h.held(over); got != "limits [merchant_day]" {
		t.Errorf("it is held by %s", got)
	}
	h.wantStatus(h.payOut("m2", "c", 4000), payment.StatusPaid, "0") // what waits takes no room
	h.wantStatus(h.payOut("m3", "d", 1), payment.StatusHold, "")
	for _, want := range []payment.Status{payment.StatusHold, payment.StatusPaid} { // it was 40.01 too much, and is 80.01 by now
		if _, _, err := h.flows.ReleaseHold(t.Context(), over, person("ann"), "known"); err != nil {
			t.Fatal(err)
		}
		h.settle()
		if got := h.payment(over).Status; got != want {
			t.Errorf("released, it is %s, want %s", got, want)
		}
	}
	h.pass(24*time.Hour - 2*time.Minute)
	h.wantStatus(h.payOut("m4", "e", 1), payment.StatusHold, "") // 14,001 count still
	h.pass(4 * time.Minute)
	h.wantStatus(h.payOut("m5", "f", 10000), payment.StatusPaid, "0")
	h.pass(26 * time.Hour)
	h.noClaims("")
}

// noClaims wants no claims but of payouts that wait.
func (h *house) noClaims(but string) {
	h.t.Helper()
	for _, m := range h.homes {
		rows, err := m.ScanClaims(h.t.Context(), id.Raw{}, 1000)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, c := range rows {
			if c.Payment.String() != but {
				h.t.Errorf("claim %+v is left", c)
			}
		}
	}
}

// What a payout that comes to nothing has reserved is free at once, whatever ends it.
func TestFloatIsFreedByWhatFails(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(h *house) id.Payment{
		"refused by its PSP": func(h *house) id.Payment {
			h.desk.says["generic-card"] = []connector.Outcome{{Kind: connector.Declined, Code: payment.CodeExternalLimit}}
			return h.payOut("m0", "a", 10000)
		},
		"rejected": func(h *house) id.Payment {
			storetest.Verify(h.t, h.book, customer.Customer{ID: h.flows.CustomerOf(h.pr, "m0")}, 0)
			p := h.payOut("m0", "a", 10000)
			h.wantStatus(h.payOut("m1", "x", 1), payment.StatusHold, "") // what waits for its customer has its place
			if _, _, err := h.flows.RejectPayout(h.t.Context(), p, person("ann"), "no"); err != nil {
				h.t.Fatal(err)
			}
			return p
		},
		"declined by the rules": func(h *house) id.Payment {
			h.withMoney("m2", "card", 5000)
			if _, err := h.flows.BeginPayout(h.t.Context(), flow.PayoutRequest{Project: h.pr, Door: "api", PayoutID: "a", CustomerID: "m2", Amount: eur(6000)}); err == nil {
				h.t.Error("more than there is was begun")
			}
			return id.Payment{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := checkedHouse(t, bounded("merchant_day_max_minor", 10000))
			h.withMoney("m0", "card", 20000)
			h.withMoney("m1", "card", 20000)
			if p := end(h); !p.IsZero() && !h.payment(p).Status.Final() {
				t.Errorf("it is %s", h.payment(p).Status)
			}
			h.desk.says["generic-card"] = nil
			h.wantStatus(h.payOut("m1", "b", 10000), payment.StatusPaid, "0")
		})
	}
}

// Each PSP account has a sum of its own, and parts that go by one count together.
func TestAccountDay(t *testing.T) {
	t.Parallel()
	h := checkedHouse(t, bounded("account_day_max_minor", 5000))
	h.withMoney("m0", "card", 4000)
	h.withMoney("m0", "bank", 4000)
	h.withMoney("m1", "card", 4000)
	h.wantStatus(h.payOut("m0", "a", 8000), payment.StatusPaid, "0")
	over := h.payOut("m1", "b", 1001)
	h.wantStatus(over, payment.StatusHold, "")
	if got := h.held(over); got != "limits [account_day:generic:generic-card]" {
		t.Errorf("it is held by %s", got)
	}
	h.wantStatus(h.payOut("m1", "c", 1000), payment.StatusPaid, "0")

	for n := range h.pr.Methods {
		h.pr.Methods[n].Account = "one"
	}
	h.withMoney("m2", "card", 4000)
	h.withMoney("m2", "bank", 4000)
	both := h.payOut("m2", "d", 5001)
	h.wantStatus(both, payment.StatusHold, "")
	if got := h.held(both); got != "limits [account_day:generic:one]" {
		t.Errorf("two parts by one account: held by %s", got)
	}
	h.wantStatus(h.payOut("m2", "e", 2999), payment.StatusPaid, "0")
}

// Of many payouts at once none passes what the others leave, in one home and in two.
func TestFloatHoldsUnderManyAtOnce(t *testing.T) {
	t.Parallel()
	for _, homes := range []int{1, 2} {
		t.Run(fmt.Sprint(homes, " homes"), func(t *testing.T) {
			t.Parallel()
			h := checkedHouseOf(t, homes, bounded("merchant_day_max_minor", 10000))
			const people = 24
			for n := range people {
				h.withMoney(fmt.Sprint("m", n), "card", 1000)
			}
			var all sync.WaitGroup
			var mu sync.Mutex
			var begun []id.Payment
			for n := range people {
				all.Go(func() {
					b, err := h.flows.BeginPayout(t.Context(), flow.PayoutRequest{Project: h.pr, Door: "api", PayoutID: fmt.Sprint("p", n), CustomerID: fmt.Sprint("m", n), Amount: eur(700)})
					if err != nil {
						t.Errorf("BeginPayout: %v", err)
						return
					}
					mu.Lock()
					begun = append(begun, b.Payment.ID)
					mu.Unlock()
				})
			}
			all.Wait()
			h.settle()
			paid := 0
			for _, p := range begun {
				s := h.payment(p).Status
				if s == payment.StatusPaid {
					paid++
				} else if s != payment.StatusHold {
					t.Errorf("a payout is %s", s)
				}
			}
			if paid != 14 {
				t.Errorf("%d payouts of 7.00 were paid, want 14 of 100.00", paid)
			}
		})
	}
}

// A process that dies between a claim and its payout takes the room with it for a
// minute, and who goes on with that request is paid once.
func TestClaimOfADeadProcess(t *testing.T) {
	t.Parallel()
	h := checkedHouse(t, bounded("merchant_day_max_minor", 10000))
	h.withMoney("m0", "card", 20000)
	h.withMoney("m1", "card", 20000)
	dead := h.flows.NewPayment(h.pr, "", "m0", "k")
	if err := h.flows.ClaimFor(t.Context(), h.pr, dead, eur(10000)); err != nil {
		t.Fatal(err)
	}
	h.wantStatus(h.payOut("m1", "a", 1), payment.StatusHold, "")
	h.pass(2 * time.Minute)
	h.noClaims("")
	h.wantStatus(h.payOut("m1", "b", 4000), payment.StatusPaid, "0")
	var ids []id.Payment
	for range 2 {
		b, err := h.flows.BeginPayout(t.Context(), flow.PayoutRequest{Project: h.pr, Door: "api", ID: dead, CustomerID: "m0", Amount: eur(6000)})
		if err != nil {
			t.Fatal(err)
		}
		h.settle()
		ids = append(ids, b.Payment.ID)
	}
	h.wantStatus(ids[0], payment.StatusPaid, "0")
	if ids[0] != ids[1] || len(h.desk.payouts) != 2 {
		t.Errorf("one request is payouts %v, and the PSP was asked %d times", ids, len(h.desk.payouts))
	}
}

// Sums are of all currencies, by the rules' rates; without one nothing fits.
func TestFits(t *testing.T) {
	t.Parallel()
	rules, err := risk.Load("rules.toml", []byte(easy+"\n[rates]\nUSD = \"1.10\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	dollars := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "USD"} }
	for _, test := range []struct {
		before risk.Sum
		more   money.Amount
		want   bool
	}{
		{nil, eur(10000), true},
		{nil, eur(10001), false},
		{risk.Sum{eur(5000)}, dollars(5500), true},
		{risk.Sum{eur(5000)}, dollars(5501), false},
		{risk.Sum{dollars(5500)}, eur(5000), true},
		{risk.Sum{{Minor: 1, Currency: "JPY"}}, eur(1), false},
	} {
		if got := rules.Fits(risk.RuleMerchantDay, test.before, test.more, 10000, nil); got != test.want {
			t.Errorf("Fits(%v, %v, 100.00 EUR) = %t, want %t", test.before, test.more, got, test.want)
		}
	}
}
