package risk_test

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"aorta/internal/money"
	"aorta/internal/risk"
)

const nowUS = 1_800_000_000_000_000

func eur(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "EUR"} }

func minutesAgo(n int64) *int64 {
	at := nowUS - n*time.Minute.Microseconds()
	return &at
}

func of(n int64) *int64 { return &n }

// clean are the facts of a payout of 100.00 EUR that nothing speaks against.
func clean() risk.PayoutFacts {
	return risk.PayoutFacts{
		NowUS: nowUS, Amount: eur(10000), Level: 2, Available: 50000, SinceDeposits: 20000, SinceStakes: 20000,
		Requests: of(1), LastDepositUS: minutesAgo(60), Deposited180: risk.Sum{eur(20000)}, Deposited30: risk.Sum{eur(20000)},
		Parts: []risk.Part{{Method: "generic-card", Connector: "generic", Account: "house", Minor: 10000}},
	}
}

// payoutCase is one row of the tables of payouts.
type payoutCase struct {
	name  string
	rules string // beside the generic profile
	facts func(*risk.PayoutFacts)

	action    risk.Action
	check     risk.Check
	code      risk.Code
	reason    risk.Reason
	level     int64
	approvals int
	missing   int64
	remaining int64
	opens     bool
}

func (c payoutCase) run(t *testing.T) {
	t.Helper()
	f := clean()
	if c.facts != nil {
		c.facts(&f)
	}
	got := rulesOf(t, c.rules).DecidePayout(f)
	want := risk.Decision{Action: c.action, Check: c.check, Code: c.code, Reason: c.reason, RequiredLevel: c.level, Approvals: c.approvals, Case: c.opens}
	if got.Action != want.Action || got.Check != want.Check || got.Code != want.Code || got.Reason != want.Reason ||
		got.RequiredLevel != want.RequiredLevel || got.Approvals != want.Approvals || got.Case != want.Case {
		t.Errorf("got %s by %s: %s, %s, level %d, %d approvals, case %t; want %s by %s: %s, %s, level %d, %d, %t; it found %+v",
			got.Action, got.Check, got.Code, got.Reason, got.RequiredLevel, got.Approvals, got.Case,
			want.Action, want.Check, want.Code, want.Reason, want.RequiredLevel, want.Approvals, want.Case, got.Hits())
	}
	if c.missing > 0 && (got.Missing == nil || *got.Missing != eur(c.missing)) {
		t.Errorf("missing is %v, want %d", got.Missing, c.missing)
	}
	if c.remaining > 0 && (got.Remaining == nil || got.Remaining.Minor != c.remaining) {
		t.Errorf("remaining is %v, want %d", got.Remaining, c.remaining)
	}
	if (got.Refusal() == nil) != (got.Action == risk.Allow) {
		t.Errorf("refusal of %s is %v", got.Action, got.Refusal())
	}
}

// held is what a rule that holds gives.
func held(name string, c risk.Check, facts func(*risk.PayoutFacts)) payoutCase {
	return payoutCase{name: name, facts: facts, action: risk.Hold, check: c, code: risk.CodeDeclined, reason: risk.UnderReview}
}

// opening makes it open a case.
func (c payoutCase) opening() payoutCase {
	c.opens = true
	return c
}

func (c payoutCase) with(rules string) payoutCase {
	c.rules = rules
	return c
}

func allowed(name string, facts func(*risk.PayoutFacts)) payoutCase {
	return payoutCase{name: name, facts: facts, action: risk.Allow}
}

func stepped(name string, c risk.Check, level int64, facts func(*risk.PayoutFacts)) payoutCase {
	return payoutCase{name: name, facts: facts, action: risk.StepUp, check: c, code: risk.CodeKYCRequired, reason: risk.VerificationRequired, level: level}
}

// TestPayout: each check just below, at and above its threshold, at the edge of
// its window, and without a fact that it needs.
func TestPayout(t *testing.T) {
	t.Parallel()
	tests := []payoutCase{
		allowed("clean", nil),

		// Check 2.
		allowed("cool-off", func(f *risk.PayoutFacts) { f.Restriction = "cool_off" }),
		allowed("self-excluded", func(f *risk.PayoutFacts) { f.Restriction = "self_excluded" }),
		held("operator-excluded", risk.CheckState, func(f *risk.PayoutFacts) { f.Restriction = "operator_excluded" }),
		held("registry-excluded", risk.CheckState, func(f *risk.PayoutFacts) { f.Restriction = "registry_excluded" }),
		allowed("operator-excluded, released", func(f *risk.PayoutFacts) { f.Restriction, f.Released = "operator_excluded", let("exclusion") }),
		held("frozen", risk.CheckState, func(f *risk.PayoutFacts) { f.Restriction = "frozen" }).opening(),
		held("frozen, released", risk.CheckState, func(f *risk.PayoutFacts) { f.Restriction, f.Released = "frozen", let("frozen", "A10") }).opening(),
		held("a restriction of which nothing is known", risk.CheckState, func(f *risk.PayoutFacts) { f.Restriction = "banished" }).opening(),
		held("a restriction of which nothing is known, released", risk.CheckState, func(f *risk.PayoutFacts) {
			f.Restriction, f.Released = "banished", let("exclusion", "restriction")
		}).opening(),
		{
			name: "closed, with something left", action: risk.Decline, check: risk.CheckState, code: risk.CodePlayerRestricted, reason: risk.DeclinedByRisk, remaining: 10001,
			facts: func(f *risk.PayoutFacts) { f.Restriction, f.Available = "closed", 10001 },
		},
		allowed("closed, all of it", func(f *risk.PayoutFacts) { f.Restriction, f.Available = "closed", 10000 }),
		{
			name: "closed since it was reserved, with something left", action: risk.Decline, check: risk.CheckState, code: risk.CodePlayerRestricted, reason: risk.DeclinedByRisk, remaining: 10001,
			facts: func(f *risk.PayoutFacts) { f.Restriction, f.Reserved, f.Available = "closed", true, 1 },
		},
		allowed("closed since it was reserved, all of it", func(f *risk.PayoutFacts) { f.Restriction, f.Reserved, f.Available = "closed", true, 0 }),
		held("open case", risk.CheckState, func(f *risk.PayoutFacts) { f.Reviews = 1 }),

		// Check 3.
		stepped("level 0", risk.CheckKYC, 1, func(f *risk.PayoutFacts) { f.Level = 0 }),
		stepped("level 0, and too much for 1", risk.CheckKYC, 2, func(f *risk.PayoutFacts) { f.Level, f.PaidEver = 0, risk.Sum{eur(190001)} }),
		allowed("level 1 up to its sum", func(f *risk.PayoutFacts) { f.Level, f.PaidEver = 1, risk.Sum{eur(190000)} }),
		stepped("level 1 above its sum", risk.CheckKYC, 2, func(f *risk.PayoutFacts) { f.Level, f.PaidEver = 1, risk.Sum{eur(190001)} }),
		stepped("level 1 in two currencies", risk.CheckKYC, 2, func(f *risk.PayoutFacts) {
			f.Level, f.PaidEver = 1, risk.Sum{eur(100000), {Minor: 180002, Currency: "USD"}}
		}).with("[rates]\nUSD = \"2\"\n"),
		allowed("level 1 in two currencies, up to it", func(f *risk.PayoutFacts) {
			f.Level, f.PaidEver = 1, risk.Sum{eur(100000), {Minor: 180000, Currency: "USD"}}
		}).with("[rates]\nUSD = \"2\"\n"),
		allowed("level 2 below its sum", func(f *risk.PayoutFacts) { f.Paid30 = risk.Sum{eur(989999)} }),
		stepped("level 2 at its sum", risk.CheckKYC, 3, func(f *risk.PayoutFacts) { f.Paid30 = risk.Sum{eur(990000)} }),
		allowed("level 2 does not look further back", func(f *risk.PayoutFacts) {
			f.PaidEver, f.Paid180 = risk.Sum{eur(math.MaxInt64 / 2)}, risk.Sum{eur(99999999)}
		}),
		allowed("level 3", func(f *risk.PayoutFacts) { f.Level, f.Paid30 = 3, risk.Sum{eur(99999999)} }),
		held("a level that there is not", risk.CheckKYC, func(f *risk.PayoutFacts) { f.Level = 4 }).opening(),
		held("a level below all", risk.CheckKYC, func(f *risk.PayoutFacts) { f.Level = -1 }).opening(),
		held("a currency without a rate", risk.CheckKYC, func(f *risk.PayoutFacts) { f.Amount.Currency = "SEK" }).opening(),
		held("paid out in a currency without a rate", risk.CheckKYC, func(f *risk.PayoutFacts) { f.Paid30 = risk.Sum{{Minor: 1, Currency: "SEK"}} }).opening(),
		held("no rate, and all released", risk.CheckKYC, func(f *risk.PayoutFacts) {
			f.Amount.Currency, f.Released = "SEK", let("kyc", "A03", "A11", "approval", "limits")
		}).opening(),
		held("sums that no number holds", risk.CheckKYC, func(f *risk.PayoutFacts) { f.Paid30 = risk.Sum{eur(math.MaxInt64)} }).opening(),

		// Check 4.
		allowed("all there is", func(f *risk.PayoutFacts) { f.Available = 10000 }),
		{name: "more than there is", action: risk.Decline, check: risk.CheckBalance, code: risk.CodeInsufficientFunds, facts: func(f *risk.PayoutFacts) { f.Available = 9999 }},
		allowed("reserved, and nothing more", func(f *risk.PayoutFacts) { f.Available, f.Reserved = 0, true }),

		// Check 5.
		{name: "bonus", action: risk.Decline, check: risk.CheckWagering, code: risk.CodeStateConflict, facts: func(f *risk.PayoutFacts) { f.Bonus = 1 }},
		allowed("bonus given up", func(f *risk.PayoutFacts) { f.Bonus, f.BonusAgreed = 1, true }),
		{
			name: "turnover: 150.00 paid in, 120.00 staked", action: risk.Hold, check: risk.CheckWagering, code: risk.CodeDeclined, reason: risk.UnderReview, missing: 3000, opens: true,
			facts: func(f *risk.PayoutFacts) { f.SinceDeposits, f.SinceStakes = 15000, 12000 },
		},
		{
			name: "turnover: one short", action: risk.Hold, check: risk.CheckWagering, code: risk.CodeDeclined, reason: risk.UnderReview, missing: 1, opens: true,
			facts: func(f *risk.PayoutFacts) { f.SinceDeposits, f.SinceStakes = 15000, 14999 },
		},
		allowed("turnover: exactly", func(f *risk.PayoutFacts) { f.SinceDeposits, f.SinceStakes = 15000, 15000 }),
		allowed("turnover: more", func(f *risk.PayoutFacts) { f.SinceDeposits, f.SinceStakes = 15000, 15001 }),
		allowed("turnover: nothing paid in since", func(f *risk.PayoutFacts) { f.SinceDeposits, f.SinceStakes = 0, 0 }),
		{
			name: "turnover of one and a half, rounded up", rules: "[payout]\nturnover_permille = 1500\n", action: risk.Hold, check: risk.CheckWagering, code: risk.CodeDeclined, reason: risk.UnderReview,
			missing: 2, opens: true, facts: func(f *risk.PayoutFacts) { f.SinceDeposits, f.SinceStakes = 1, 0 },
		},
		allowed("turnover of nothing", func(f *risk.PayoutFacts) { f.SinceDeposits, f.SinceStakes = 15000, 0 }).with("[payout]\nturnover_permille = 0\n"),
		allowed("turnover in the shadow", func(f *risk.PayoutFacts) { f.SinceDeposits, f.SinceStakes = 15000, 0 }).with("[[rule]]\nid = \"A04\"\nshadow = true\n"),
		allowed("turnover switched off", func(f *risk.PayoutFacts) { f.SinceDeposits, f.SinceStakes = 15000, 0 }).with("[[rule]]\nid = \"A04\"\nenabled = false\n"),
		allowed("turnover released", func(f *risk.PayoutFacts) { f.SinceDeposits, f.SinceStakes, f.Released = 15000, 0, let("A04") }),
		held("turnover of less than nothing", risk.CheckWagering, func(f *risk.PayoutFacts) { f.SinceStakes = -1 }).opening(),

		// Check 6.
		held("elsewhere", risk.CheckRoute, func(f *risk.PayoutFacts) { f.Elsewhere = 1 }),
		allowed("elsewhere, released", func(f *risk.PayoutFacts) { f.Elsewhere, f.Released = 1, let("A07") }),

		// Check 7.
		allowed("the least", nil).with("[payout]\nmin_minor = 10000\n"),
		{name: "less than the least", rules: "[payout]\nmin_minor = 10001\n", action: risk.Decline, check: risk.CheckLimits, code: risk.CodeAmountOutOfRange, reason: risk.LimitReached},
		allowed("the most", nil).with("[payout]\nmax_minor = 10000\n"),
		{name: "more than the most", rules: "[payout]\nmax_minor = 9999\n", action: risk.Decline, check: risk.CheckLimits, code: risk.CodeAmountOutOfRange, reason: risk.LimitReached, remaining: 9999},
		allowed("the most of a day", func(f *risk.PayoutFacts) { f.Day = risk.Sum{eur(5000)} }).with("[payout]\nday_max_minor = 15000\n"),
		{
			name: "more than a day's most", rules: "[payout]\nday_max_minor = 15000\n", action: risk.Decline, check: risk.CheckLimits, code: risk.CodeLimitExceeded, reason: risk.LimitReached, remaining: 9999,
			facts: func(f *risk.PayoutFacts) { f.Day = risk.Sum{eur(5001)} },
		},
		allowed("the most of a month", func(f *risk.PayoutFacts) { f.Paid30 = risk.Sum{eur(5000)} }).with("[payout]\nmonth_max_minor = 15000\n"),
		{
			name: "more than a month's most", rules: "[payout]\nmonth_max_minor = 15000\n", action: risk.Decline, check: risk.CheckLimits, code: risk.CodeLimitExceeded, reason: risk.LimitReached, remaining: 9999,
			facts: func(f *risk.PayoutFacts) { f.Paid30 = risk.Sum{eur(5001)} },
		},
		allowed("the least of a method", nil).with("[[payout.method]]\ncode = \"generic-card\"\nmin_minor = 10000\nmax_minor = 10000\n"),
		{name: "less than a method's least", rules: "[[payout.method]]\ncode = \"generic-card\"\nmin_minor = 10001\n", action: risk.Decline, check: risk.CheckLimits, code: risk.CodeAmountOutOfRange, reason: risk.LimitReached},
		{name: "more than a method's most", rules: "[[payout.method]]\ncode = \"generic-card\"\nmax_minor = 9999\n", action: risk.Decline, check: risk.CheckLimits, code: risk.CodeAmountOutOfRange, reason: risk.LimitReached},
		allowed("another method's bounds", nil).with("[[payout.method]]\ncode = \"generic-bank\"\nmax_minor = 1\n"),
		held("a merchant's day of which nothing is known", risk.CheckLimits, nil).opening().with("[payout]\nmerchant_day_max_minor = 99999999\n"),
		allowed("a merchant's day", func(f *risk.PayoutFacts) { f.MerchantDay = &risk.Sum{eur(5000)} }).with("[payout]\nmerchant_day_max_minor = 15000\n"),
		held("more than a merchant's day", risk.CheckLimits, func(f *risk.PayoutFacts) { f.MerchantDay = &risk.Sum{eur(5001)} }).with("[payout]\nmerchant_day_max_minor = 15000\n"),
		held("an account's day of which nothing is known", risk.CheckLimits, nil).opening().with("[payout]\naccount_day_max_minor = 99999999\n"),
		allowed("an account's day", func(f *risk.PayoutFacts) { f.Parts[0].AccountDay = &risk.Sum{eur(5000)} }).with("[payout]\naccount_day_max_minor = 15000\n"),
		held("more than an account's day", risk.CheckLimits, func(f *risk.PayoutFacts) { f.Parts[0].AccountDay = &risk.Sum{eur(5001)} }).with("[payout]\naccount_day_max_minor = 15000\n"),

		allowed("more than an account's day, released", func(f *risk.PayoutFacts) {
			f.Parts[0].AccountDay, f.Released = &risk.Sum{eur(5001)}, let(risk.AccountDay("generic", "house"))
		}).with("[payout]\naccount_day_max_minor = 15000\n"),
		allowed("more than a merchant's day, released", func(f *risk.PayoutFacts) { f.MerchantDay, f.Released = &risk.Sum{eur(5001)}, let("merchant_day") }).with("[payout]\nmerchant_day_max_minor = 15000\n"),

		// Check 8.
		allowed("V10: the most", func(f *risk.PayoutFacts) { f.Requests = of(3) }),
		held("V10: one more", risk.CheckRules, func(f *risk.PayoutFacts) { f.Requests = of(4) }),
		held("V10: not known", risk.CheckRules, func(f *risk.PayoutFacts) { f.Requests = nil }).opening(),
		allowed("V10: not known, and switched off", func(f *risk.PayoutFacts) { f.Requests = nil }).with("[[rule]]\nid = \"V10\"\nenabled = false\n"),
		allowed("V10: not known, in the shadow", func(f *risk.PayoutFacts) { f.Requests = nil }).with("[[rule]]\nid = \"V10\"\nshadow = true\n"),
		held("P04: just within", risk.CheckRules, func(f *risk.PayoutFacts) { f.LastDepositUS = of(*minutesAgo(10) + 1) }),
		allowed("P04: exactly the window old is out", func(f *risk.PayoutFacts) { f.LastDepositUS = minutesAgo(10) }),
		allowed("P04: older", func(f *risk.PayoutFacts) { f.LastDepositUS = of(*minutesAgo(10) - 1) }),
		allowed("P04: never", func(f *risk.PayoutFacts) { f.LastDepositUS = of(0) }),
		held("P04: not known", risk.CheckRules, func(f *risk.PayoutFacts) { f.LastDepositUS = nil }).opening(),
		allowed("P04: released", func(f *risk.PayoutFacts) { f.LastDepositUS, f.Released = minutesAgo(1), let("P04") }),
		held("P04: another was released", risk.CheckRules, func(f *risk.PayoutFacts) { f.LastDepositUS, f.Released = minutesAgo(1), let("V10") }),
		allowed("A03: just below", func(f *risk.PayoutFacts) { f.Level, f.Deposited180 = 1, risk.Sum{eur(199999)} }),
		stepped("A03: reached", risk.CheckRules, 2, func(f *risk.PayoutFacts) { f.Level, f.Deposited180 = 1, risk.Sum{eur(200000)} }),
		allowed("A03: reached by level 2", func(f *risk.PayoutFacts) { f.Deposited180 = risk.Sum{eur(200001)} }),
		allowed("A11: just below", func(f *risk.PayoutFacts) { f.Deposited30 = risk.Sum{eur(999999)} }),
		stepped("A11: reached", risk.CheckRules, 3, func(f *risk.PayoutFacts) { f.Deposited30 = risk.Sum{eur(1000000)} }),
		allowed("A11: reached by level 3", func(f *risk.PayoutFacts) { f.Level, f.Deposited30 = 3, risk.Sum{eur(1000001)} }),
		held("A11: no rate", risk.CheckRules, func(f *risk.PayoutFacts) { f.Deposited30 = risk.Sum{{Minor: 1, Currency: "SEK"}} }).opening(),
		allowed("G03: no list", func(f *risk.PayoutFacts) { f.Countries = nil }),
		allowed("G03: another country", func(f *risk.PayoutFacts) { f.Countries = []string{"FI", "SE"} }).with("[[rule]]\nid = \"G03\"\ncountries = [\"KP\"]\n"),
		held("G03: blocked", risk.CheckRules, func(f *risk.PayoutFacts) { f.Countries = []string{"FI", "KP"} }).opening().with("[[rule]]\nid = \"G03\"\ncountries = [\"KP\"]\n"),
		held("G03: not known", risk.CheckRules, func(f *risk.PayoutFacts) { f.Countries = nil }).opening().with("[[rule]]\nid = \"G03\"\ncountries = [\"KP\"]\n"),
		{
			name: "G03: stricter", rules: "[[rule]]\nid = \"G03\"\ncountries = [\"KP\"]\naction_payout = \"decline\"\n", action: risk.Decline, check: risk.CheckRules, code: risk.CodeDeclined, reason: risk.UnderReview, opens: true,
			facts: func(f *risk.PayoutFacts) { f.Countries = []string{"KP"} },
		},
		allowed("A10: just below", func(f *risk.PayoutFacts) { f.Sanctions = of(849) }),
		held("A10: unclear", risk.CheckRules, func(f *risk.PayoutFacts) { f.Sanctions = of(850) }).opening(),
		held("A10: a match", risk.CheckRules, func(f *risk.PayoutFacts) { f.Sanctions = of(1000) }).opening(),
		held("A10: nonsense", risk.CheckRules, func(f *risk.PayoutFacts) { f.Sanctions = of(1001) }).opening(),
		stepped("A10: politically exposed", risk.CheckRules, 3, func(f *risk.PayoutFacts) { f.PEP = true }),
		allowed("A10: politically exposed, of level 3", func(f *risk.PayoutFacts) { f.PEP, f.Level = true, 3 }),
		held("the strongest wins", risk.CheckRules, func(f *risk.PayoutFacts) { f.PEP, f.Requests = true, of(4) }),

		// The score.
		allowed("score: low", func(f *risk.PayoutFacts) { f.Elsewhere, f.Released = 1, let("A07") }).with("[[rule]]\nid = \"A07\"\nweight = 100\n"),
		stepped("score: medium", risk.CheckRules, 3, func(f *risk.PayoutFacts) { f.Requests = of(4) }).with("[[rule]]\nid = \"V10\"\naction_payout = \"step_up\"\nweight = 30\n"),
		stepped("a rule asks for any better level", risk.CheckRules, 2, func(f *risk.PayoutFacts) { f.Level, f.Requests = 1, of(4) }).with("[[rule]]\nid = \"V10\"\naction_payout = \"step_up\"\n"),
		held("there is no better level", risk.CheckRules, func(f *risk.PayoutFacts) { f.Level, f.Requests = 3, of(4) }).with("[[rule]]\nid = \"V10\"\naction_payout = \"step_up\"\n"),
		held("score: medium, and no better level", risk.CheckRules, func(f *risk.PayoutFacts) { f.Level, f.Requests = 3, of(4) }).with("[[rule]]\nid = \"V10\"\naction_payout = \"step_up\"\nweight = 30\n"),
		held("score: high", risk.CheckRules, func(f *risk.PayoutFacts) { f.Requests = of(4) }).with("[[rule]]\nid = \"V10\"\naction_payout = \"step_up\"\nweight = 70\n"),
		stepped("score: a rule that only weighs", risk.CheckRules, 3, func(f *risk.PayoutFacts) { f.Requests = of(4) }).with("[[rule]]\nid = \"V10\"\naction_payout = \"allow\"\nweight = 30\n"),
		held("score: a rule that only weighs, and no better level", risk.CheckRules, func(f *risk.PayoutFacts) { f.Level, f.Requests = 3, of(4) }).with("[[rule]]\nid = \"V10\"\naction_payout = \"allow\"\nweight = 30\n"),
		allowed("score: released", func(f *risk.PayoutFacts) { f.Level, f.Requests, f.Released = 3, of(4), let("score") }).with("[[rule]]\nid = \"V10\"\naction_payout = \"allow\"\nweight = 30\n"),
		allowed("score: a rule that only weighs, too little", func(f *risk.PayoutFacts) { f.Requests = of(1) }).with("[[rule]]\nid = \"V10\"\nweight = 70\n"),

		// Check 9.
		allowed("nobody approves", nil).with("[payout]\nmanual_above_minor = 10000\n"),
		{name: "one approves", rules: "[payout]\nmanual_above_minor = 9999\n", action: risk.Hold, check: risk.CheckApproval, code: risk.CodeDeclined, reason: risk.UnderReview, approvals: 1},
		{name: "one has approved", rules: "[payout]\nmanual_above_minor = 9999\n", action: risk.Allow, approvals: 1, facts: func(f *risk.PayoutFacts) { f.Approvals = 1 }},
		{name: "one of one still approves at the second amount", rules: "[payout]\nmanual_above_minor = 5000\ndual_above_minor = 10000\n", action: risk.Allow, approvals: 1, facts: func(f *risk.PayoutFacts) { f.Approvals = 1 }},
		{
			name: "two approve", rules: "[payout]\nmanual_above_minor = 5000\ndual_above_minor = 9999\n", action: risk.Hold, check: risk.CheckApproval, code: risk.CodeDeclined, reason: risk.UnderReview, approvals: 2,
			facts: func(f *risk.PayoutFacts) { f.Approvals = 1 },
		},
		{name: "two have approved", rules: "[payout]\nmanual_above_minor = 5000\ndual_above_minor = 9999\n", action: risk.Allow, approvals: 2, facts: func(f *risk.PayoutFacts) { f.Approvals = 2 }},
		{
			name: "an approval releases nothing else", action: risk.Hold, check: risk.CheckRules, code: risk.CodeDeclined, reason: risk.UnderReview, approvals: 1, rules: "[payout]\nmanual_above_minor = 1\n",
			facts: func(f *risk.PayoutFacts) { f.Approvals, f.Requests = 9, of(4) },
		},

		// The order: the first check that stops decides, though a later one is stronger.
		stepped("level before balance", risk.CheckKYC, 1, func(f *risk.PayoutFacts) { f.Level, f.Available = 0, 0 }),
		{name: "balance before rules", action: risk.Decline, check: risk.CheckBalance, code: risk.CodeInsufficientFunds, facts: func(f *risk.PayoutFacts) { f.Available, f.Requests = 0, of(9) }},
		held("state before level", risk.CheckState, func(f *risk.PayoutFacts) { f.Level, f.Reviews = 0, 1 }),

		// Thresholds in another currency.
		allowed("yen, up to the most", func(f *risk.PayoutFacts) {
			*f = risk.PayoutFacts{NowUS: nowUS, Amount: money.Amount{Minor: 16135, Currency: "JPY"}, Level: 2, Available: 99999, Requests: of(1), LastDepositUS: of(0)}
		}).with("[payout]\nmax_minor = 10000\n[rates]\nJPY = \"161.35\"\n"),
		{
			name: "yen, above the most", rules: "[payout]\nmax_minor = 10000\n[rates]\nJPY = \"161.35\"\n", action: risk.Decline, check: risk.CheckLimits, code: risk.CodeAmountOutOfRange, reason: risk.LimitReached, remaining: 16135,
			facts: func(f *risk.PayoutFacts) {
				*f = risk.PayoutFacts{NowUS: nowUS, Amount: money.Amount{Minor: 16136, Currency: "JPY"}, Level: 2, Available: 99999, Requests: of(1), LastDepositUS: of(0)}
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(t)
		})
	}
}

// TestAllIsRecorded: what stops first does not hide the rest, and says nothing of
// rules to the customer.
func TestAllIsRecorded(t *testing.T) {
	t.Parallel()
	f := clean()
	f.Level, f.Requests, f.LastDepositUS, f.SinceStakes, f.Restriction = 0, of(4), minutesAgo(1), 0, "self_excluded"
	r := rulesOf(t, "[[rule]]\nid = \"P04\"\nshadow = true\n")
	got := r.DecidePayout(f)
	var hits []string
	for _, h := range got.Hits() {
		hits = append(hits, string(h.Check)+" "+h.Rule+" "+string(h.Action))
	}
	if want := []string{"kyc level_payouts step_up", "wagering A04 hold", "rules V10 hold", "rules P04 hold"}; !slices.Equal(hits, want) {
		t.Errorf("hits are %q, want %q", hits, want)
	}
	if want := []string{"V10"}; !slices.Equal(stopped(got), want) || got.Approver != "" {
		t.Errorf("%q would release %q, want %q", got.Approver, stopped(got), want)
	}
	if got.Rules != r.Hash || len(got.Results) != 14 {
		t.Errorf("the decision is of rules %s and has %d results", got.Rules, len(got.Results))
	}
	var refusal *risk.Refusal
	if err := error(got.Refusal()); !errors.As(err, &refusal) || refusal.Error() != "kyc_required (verification_required), level 1 is required" {
		t.Errorf("the refusal is %v", err)
	}
}

// let lets rules pass, whatever they find.
func let(rules ...string) []risk.Pass {
	var out []risk.Pass
	for _, rule := range rules {
		out = append(out, risk.Pass{Rule: rule, Value: math.MaxInt64})
	}
	return out
}

// stopped are the rules that a person would let pass who releases a hold.
func stopped(d risk.Decision) []string {
	var out []string
	for _, p := range d.Stopped() {
		out = append(out, p.Rule)
	}
	return out
}

// TestReleasing: who lets pass what has stopped a payout, lets it go on, and no
// further than that: what laundering looks like is another role's, a larger value than
// that which was let pass holds again, and so does what could be judged and cannot any more.
func TestReleasing(t *testing.T) {
	t.Parallel()
	r := rulesOf(t, "")
	f := clean()
	f.Requests, f.LastDepositUS, f.SinceStakes = of(4), nil, 0
	first := r.DecidePayout(f)
	if want := []string{"A04"}; first.Action != risk.Hold || first.Approver != risk.RoleAMLAnalyst || !slices.Equal(stopped(first), want) {
		t.Fatalf("held by %q, for %q; want %q", stopped(first), first.Approver, want)
	}
	f.Released, f.Reserved = first.Stopped(), true
	second := r.DecidePayout(f)
	if want := []string{"V10", "P04"}; second.Action != risk.Hold || second.Approver != "" || !slices.Equal(stopped(second), want) {
		t.Fatalf("then held by %q, for %q; want %q", stopped(second), second.Approver, want)
	}
	f.Released = append(f.Released, second.Stopped()...)
	if got := r.DecidePayout(f); got.Action != risk.Allow || got.Case {
		t.Errorf("released, it is %s by %s", got.Action, got.Check)
	}
	if got := r.Recheck(f); got.Action != risk.Allow {
		t.Errorf("released, and looked at again, it is %s by %s", got.Action, got.Check)
	}
	for _, more := range []struct {
		name   string
		change func(*risk.PayoutFacts)
		want   string
	}{
		{"another rule", func(f *risk.PayoutFacts) { f.Elsewhere = 1 }, "A07"},
		{"a payout more", func(f *risk.PayoutFacts) { f.Requests = of(5) }, "V10"},
		{"a deposit that was not played", func(f *risk.PayoutFacts) { f.SinceDeposits++ }, "A04"},
		{"what was not known is known", func(f *risk.PayoutFacts) { f.LastDepositUS = minutesAgo(1) }, "P04"},
		{"what was known is not any more", func(f *risk.PayoutFacts) { f.Requests = nil }, "V10"},
	} {
		facts := f
		more.change(&facts)
		if got := r.DecidePayout(facts); got.Action != risk.Hold || !slices.Equal(stopped(got), []string{more.want}) {
			t.Errorf("%s: %s, stopped by %q, want %s", more.name, got.Action, stopped(got), more.want)
		}
	}
	facts := f
	facts.Requests = of(3) // less than was let pass
	facts.LastDepositUS = minutesAgo(9)
	facts.Released = append(slices.Clone(f.Released), risk.Pass{Rule: "P04", Value: *minutesAgo(9)})
	if got := r.DecidePayout(facts); got.Action != risk.Allow {
		t.Errorf("no more than was let pass is %s by %s", got.Action, got.Check)
	}
	facts.LastDepositUS = minutesAgo(8) // another deposit
	if got := r.DecidePayout(facts); !slices.Equal(stopped(got), []string{"P04"}) {
		t.Errorf("a later deposit than was let pass is stopped by %q", stopped(got))
	}
}

// TestReleasingAnExclusion: who may let an excluded customer be paid does not let
// pass by that what another role must look at.
func TestReleasingAnExclusion(t *testing.T) {
	t.Parallel()
	r := rulesOf(t, "")
	f := clean()
	f.Restriction, f.Requests = "operator_excluded", of(4)
	first := r.DecidePayout(f)
	if first.Check != risk.CheckState || first.Approver != risk.RoleRGOfficer || !slices.Equal(stopped(first), []string{"exclusion"}) {
		t.Fatalf("held by %s for %q, who would release %q", first.Check, first.Approver, stopped(first))
	}
	f.Released = first.Stopped()
	second := r.DecidePayout(f)
	if second.Check != risk.CheckRules || second.Approver != "" || !slices.Equal(stopped(second), []string{"V10"}) {
		t.Fatalf("held by %s for %q, who would release %q", second.Check, second.Approver, stopped(second))
	}
	f.Released = append(f.Released, second.Stopped()...)
	if got := r.DecidePayout(f); got.Action != risk.Allow {
		t.Errorf("released by both, it is %s by %s", got.Action, got.Check)
	}
}

// TestARuleThatBreaks: what breaks while it judges holds a payout, and lets a
// deposit go on only with a case.
func TestARuleThatBreaks(t *testing.T) {
	t.Parallel()
	broken := *rulesOf(t, "")
	broken.Rules = nil // so each look for one of them panics
	if got := broken.DecidePayout(clean()); got.Action != risk.Hold || got.Check != risk.CheckWagering || !got.Case || got.Reason != risk.UnderReview {
		t.Errorf("a payout is %s by %s, and opens a case: %t", got.Action, got.Check, got.Case)
	}
	if got := broken.DecideDeposit(risk.DepositFacts{NowUS: nowUS, Amount: eur(100), Level: 2}); got.Action != risk.Review || got.Check != risk.CheckRules || !got.Case {
		t.Errorf("a deposit is %s by %s, and opens a case: %t", got.Action, got.Check, got.Case)
	}
}

// TestRecheck: state, level, limits and rules are looked at again; what was settled at
// the request is not.
func TestRecheck(t *testing.T) {
	t.Parallel()
	r := rulesOf(t, "[payout]\nmanual_above_minor = 1\nmonth_max_minor = 20000\n")
	for _, tt := range []struct {
		name  string
		facts func(*risk.PayoutFacts)
		want  risk.Check // empty: it goes on
	}{
		{"as it was", nil, ""},
		{"frozen since", func(f *risk.PayoutFacts) { f.Restriction = "frozen" }, risk.CheckState},
		{"level lost since", func(f *risk.PayoutFacts) { f.Level = 0 }, risk.CheckKYC},
		{"paid much since", func(f *risk.PayoutFacts) { f.Paid30 = risk.Sum{eur(10001)} }, risk.CheckLimits},
		{"many since", func(f *risk.PayoutFacts) { f.Requests = of(4) }, risk.CheckRules},
		{"on a list since", func(f *risk.PayoutFacts) { f.Sanctions = of(990) }, risk.CheckRules},
	} {
		f := clean()
		f.SinceStakes, f.Elsewhere = 0, 5
		if tt.facts != nil {
			tt.facts(&f)
		}
		if got := r.Recheck(f); got.Check != tt.want {
			t.Errorf("%s: stopped by %q, want %q", tt.name, got.Check, tt.want)
		}
	}
}

func TestBonusMissing(t *testing.T) {
	t.Parallel()
	slots, tables := risk.Staked{Minor: 30000, Permille: 1000}, risk.Staked{Minor: 100000, Permille: 100}
	for _, tt := range []struct {
		name   string
		bonus  int64
		stakes []risk.Staked
		want   int64
	}{
		{"nothing staked", 2000, nil, 60000},
		{"slots and tables", 2000, []risk.Staked{slots, tables}, 20000},
		{"slots twice, and tables", 2000, []risk.Staked{slots, tables, slots}, 0},
		{"a fraction is rounded up", 2000, []risk.Staked{slots, tables, {Minor: 19, Permille: 100}}, 19999},
		{"no bonus", 0, nil, 0},
	} {
		if got, err := risk.BonusMissing(tt.bonus, 30, tt.stakes); err != nil || got != tt.want {
			t.Errorf("%s: %d, %v, want %d", tt.name, got, err, tt.want)
		}
	}
	if _, err := risk.BonusMissing(-1, 30, nil); err == nil {
		t.Error("a negative bonus was wagered")
	}
	if _, err := risk.BonusMissing(math.MaxInt64, 30, nil); !errors.Is(err, money.ErrRange) {
		t.Errorf("too large a bonus: %v", err)
	}
	if _, err := risk.Turnover(1000, math.MaxInt64, 0); err != nil {
		t.Errorf("all the money there is, once: %v", err)
	}
	if _, err := risk.Turnover(2001, math.MaxInt64, 0); !errors.Is(err, money.ErrRange) {
		t.Errorf("more than all the money there is: %v", err)
	}
}
