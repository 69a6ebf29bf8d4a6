package risk_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"aorta/internal/money"
	"aorta/internal/risk"
)

// TestDeposit: each bound just below, at and above, and without what it needs.
func TestDeposit(t *testing.T) {
	t.Parallel()
	const usd = "[rates]\nUSD = \"2\"\n"
	at := func(level int64, amount int64, sums ...risk.Sum) risk.DepositFacts {
		f := risk.DepositFacts{NowUS: nowUS, Amount: eur(amount), Level: level}
		for i, into := range []*risk.Sum{&f.Ever, &f.Days180, &f.Days30} {
			if i < len(sums) {
				*into = sums[i]
			}
		}
		return f
	}
	restricted := func(r string) risk.DepositFacts {
		f := at(2, 100)
		f.Restriction, f.RestrictedUntilUS = r, nowUS+5
		return f
	}
	tests := []struct {
		name    string
		profile string // generic unless it says
		rules   string
		facts   risk.DepositFacts

		action    risk.Action
		check     risk.Check
		code      risk.Code
		level     int64 // required
		warn      bool
		remaining int64
	}{
		{name: "level 0, far from its sum", facts: at(0, 11999), action: risk.Allow},
		{name: "level 0, at 80 %", facts: at(0, 12000), action: risk.Allow, warn: true, level: 1},
		{name: "level 0, at its sum", facts: at(0, 5000, risk.Sum{eur(10000)}), action: risk.Allow, warn: true, level: 1},
		{name: "level 0, above its sum", facts: at(0, 5001, risk.Sum{eur(10000)}), action: risk.StepUp, check: risk.CheckKYC, code: risk.CodeKYCRequired, level: 1, remaining: 5000},
		{name: "level 0, far too much", facts: at(0, 200000), action: risk.StepUp, check: risk.CheckKYC, code: risk.CodeKYCRequired, level: 2, remaining: 15000},
		{name: "level 1, just below", facts: at(1, 1, risk.Sum{eur(900000)}, risk.Sum{eur(199998)}), action: risk.Allow, warn: true, level: 2},
		{name: "level 1, reached", facts: at(1, 2, nil, risk.Sum{eur(199998)}), action: risk.StepUp, check: risk.CheckKYC, code: risk.CodeKYCRequired, level: 2, remaining: 1},
		{name: "level 1, just below 80 %", facts: at(1, 1, nil, risk.Sum{eur(159998)}), action: risk.Allow},
		{name: "level 2, just below", facts: at(2, 1, nil, risk.Sum{eur(99999999)}, risk.Sum{eur(999998)}), action: risk.Allow, warn: true, level: 3},
		{name: "level 2, reached", facts: at(2, 2, nil, nil, risk.Sum{eur(999998)}), action: risk.StepUp, check: risk.CheckKYC, code: risk.CodeKYCRequired, level: 3, remaining: 1},
		{name: "level 3", facts: at(3, 99999999, nil, nil, risk.Sum{eur(99999999)}), action: risk.Allow},
		{name: "in another currency, at its sum", rules: usd, facts: risk.DepositFacts{Amount: money.Amount{Minor: 30000, Currency: "USD"}}, action: risk.Allow, warn: true, level: 1},
		{name: "in another currency, above it", rules: usd, facts: risk.DepositFacts{Amount: money.Amount{Minor: 30001, Currency: "USD"}}, action: risk.StepUp, check: risk.CheckKYC, code: risk.CodeKYCRequired, level: 1, remaining: 30000},
		{name: "in two currencies", rules: usd, facts: at(0, 1, risk.Sum{{Minor: 30000, Currency: "USD"}}), action: risk.StepUp, check: risk.CheckKYC, code: risk.CodeKYCRequired, level: 1},
		{name: "no rate", facts: risk.DepositFacts{Amount: money.Amount{Minor: 1, Currency: "SEK"}, Level: 2}, action: risk.Review, check: risk.CheckKYC, code: risk.CodeDeclined},
		{name: "no level", facts: at(4, 1), action: risk.Review, check: risk.CheckKYC, code: risk.CodeDeclined},
		{name: "no number", facts: at(1, math.MaxInt64, nil, risk.Sum{eur(math.MaxInt64)}), action: risk.Review, check: risk.CheckKYC, code: risk.CodeDeclined},

		{name: "cool-off", facts: restricted("cool_off"), action: risk.Decline, check: risk.CheckState, code: risk.CodePlayerRestricted},
		{name: "self-excluded", facts: restricted("self_excluded"), action: risk.Decline, check: risk.CheckState, code: risk.CodePlayerRestricted},
		{name: "by a register", facts: restricted("registry_excluded"), action: risk.Decline, check: risk.CheckState, code: risk.CodePlayerRestricted},
		{name: "frozen", facts: restricted("frozen"), action: risk.Decline, check: risk.CheckState, code: risk.CodePlayerRestricted},
		{name: "closed", facts: restricted("closed"), action: risk.Decline, check: risk.CheckState, code: risk.CodePlayerRestricted},
		{name: "restricted in a way that is not known", facts: restricted("banished"), action: risk.Decline, check: risk.CheckState, code: risk.CodePlayerRestricted},

		{name: "uk: level 0 pays nothing in", profile: "uk", facts: at(0, 1), action: risk.StepUp, check: risk.CheckKYC, code: risk.CodeKYCRequired, level: 1},
		{name: "uk: just below 80 %", profile: "uk", facts: at(1, 159999), action: risk.Allow},
		{name: "uk: approached", profile: "uk", facts: at(1, 160000), action: risk.StepUp, check: risk.CheckKYC, code: risk.CodeKYCRequired, level: 2},
		{name: "uk: level 2 approaches as well", profile: "uk", facts: at(2, 800000), action: risk.StepUp, check: risk.CheckKYC, code: risk.CodeKYCRequired, level: 3},

		{name: "A03: just below", rules: "[kyc.l1]\ndeposits = \"agreed\"\n", facts: at(1, 1, nil, risk.Sum{eur(199998)}), action: risk.Allow},
		{name: "A03: reached", rules: "[kyc.l1]\ndeposits = \"agreed\"\n", facts: at(1, 2, nil, risk.Sum{eur(199998)}), action: risk.StepUp, check: risk.CheckRules, code: risk.CodeKYCRequired, level: 2},
		{name: "A03: reviewed", rules: "[kyc.l1]\ndeposits = \"agreed\"\n[[rule]]\nid = \"A03\"\naction_deposit = \"review\"\n", facts: at(1, 200000), action: risk.Review, check: risk.CheckRules, code: risk.CodeKYCRequired, level: 2},
		{name: "A03: in the shadow", rules: "[kyc.l1]\ndeposits = \"agreed\"\n[[rule]]\nid = \"A03\"\nshadow = true\n", facts: at(1, 200000), action: risk.Allow},
		{name: "A11: just below", rules: "[kyc.l2]\ndeposits = \"agreed\"\n", facts: at(2, 1, nil, nil, risk.Sum{eur(999998)}), action: risk.Allow},
		{name: "A11: reached", rules: "[kyc.l2]\ndeposits = \"agreed\"\n", facts: at(2, 2, nil, nil, risk.Sum{eur(999998)}), action: risk.StepUp, check: risk.CheckRules, code: risk.CodeKYCRequired, level: 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			profile := tt.profile
			if profile == "" {
				profile = "generic"
			}
			r, err := risk.Load("rules.toml", []byte("profile = \""+profile+"\"\n"+tt.rules))
			if err != nil {
				t.Fatal(err)
			}
			got := r.DecideDeposit(tt.facts)
			if got.Action != tt.action || got.Check != tt.check || got.Code != tt.code || got.RequiredLevel != tt.level || got.Warn != tt.warn {
				t.Errorf("got %s by %q: %s, level %d, warns %t; want %s by %q: %s, %d, %t; it found %+v",
					got.Action, got.Check, got.Code, got.RequiredLevel, got.Warn, tt.action, tt.check, tt.code, tt.level, tt.warn, got.Results)
			}
			if tt.remaining > 0 && (got.Remaining == nil || got.Remaining.Minor != tt.remaining) {
				t.Errorf("remaining is %v, want %d", got.Remaining, tt.remaining)
			}
			if stops := got.Action == risk.StepUp || got.Action == risk.Decline; (got.Refusal() != nil) != stops {
				t.Errorf("the refusal of %s is %v", got.Action, got.Refusal())
			}
			if (got.Action == risk.Review && tt.check == risk.CheckKYC) != got.Case {
				t.Errorf("%s opens a case: %t", got.Action, got.Case)
			}
		})
	}
}

// TestPassesDeposit: what passes at once is what a whole decision lets pass and says
// nothing of, and nothing else.
func TestPassesDeposit(t *testing.T) {
	t.Parallel()
	const agreed = "[kyc.l1]\ndeposits = \"agreed\"\n"
	for _, text := range []string{
		someRates, "", someRates + agreed, someRates + agreed + "[[rule]]\nid = \"A03\"\nshadow = true\n", someRates + "[[rule]]\nid = \"A11\"\nenabled = false\n",
	} {
		rules := rulesOf(t, text)
		r := rand.New(rand.NewPCG(7, uint64(len(text))))
		passed := 0
		for n := range 20_000 {
			record := someRecord(r, rules)
			if record.Deposit == nil {
				continue
			}
			if r.IntN(2) == 0 {
				record.Deposit.Restriction, record.Deposit.Amount.Currency = "", "EUR"
			}
			record.Deposit.PEP = r.IntN(4) == 0
			d := rules.DecideDeposit(*record.Deposit)
			want := d.Action == risk.Allow && !d.Warn && !slices.ContainsFunc(d.Results, func(h risk.Hit) bool { return h.Action != risk.Allow })
			if got := rules.PassesDeposit(record.Deposit); got != want {
				t.Fatalf("%d: %+v passes: %t; the decision is %+v", n, record.Deposit, got, d)
			}
			if record.Deposit.PEP && record.Deposit.Level < 3 && d.Action == risk.Allow {
				t.Fatalf("%d: a politically exposed person of level %d is let in", n, record.Deposit.Level)
			}
			if want {
				passed++
			}
		}
		if passed < 500 {
			t.Errorf("with %q only %d passed", text, passed)
		}
	}
}
