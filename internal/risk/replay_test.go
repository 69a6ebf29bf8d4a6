package risk_test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"aorta/internal/money"
	"aorta/internal/risk"
)

// ruleSets are some that differ in what they judge.
var ruleSets = []string{
	"profile = \"generic\"\n[rates]\nUSD = \"1.0842\"\nJPY = \"161.35\"\n",
	"profile = \"uk\"\n[rates]\nUSD = \"1.0842\"\n[payout]\nmin_minor = 1000\nmax_minor = 150000\nday_max_minor = 200000\nmonth_max_minor = 400000\nmanual_above_minor = 20000\ndual_above_minor = 90000\n",
	"profile = \"se\"\n[rates]\nUSD = \"1.1\"\nJPY = \"160\"\n[payout]\nturnover_permille = 333\naccount_day_max_minor = 100000\n[[payout.method]]\ncode = \"generic-card\"\nmin_minor = 500\n" +
		"[[rule]]\nid = \"V10\"\naction_payout = \"step_up\"\nweight = 40\n[[rule]]\nid = \"P04\"\nshadow = true\n[[rule]]\nid = \"G03\"\ncountries = [\"KP\"]\nweight = 30\n",
}

// around gives numbers that lie about a threshold, and some far from any.
func around(r *rand.Rand, thresholds ...int64) int64 {
	at := thresholds[r.IntN(len(thresholds))]
	switch r.IntN(4) {
	case 0:
		return max(at+r.Int64N(3)-1, 0)
	case 1:
		return r.Int64N(2*at + 2)
	case 2:
		return 0
	default:
		return r.Int64N(1 << 40)
	}
}

func someSum(r *rand.Rand, thresholds ...int64) risk.Sum {
	var s risk.Sum
	for range r.IntN(3) {
		s = append(s, money.Amount{Minor: around(r, thresholds...), Currency: []money.Currency{"EUR", "EUR", "EUR", "EUR", "EUR", "EUR", "EUR", "EUR", "USD", "JPY", "SEK"}[r.IntN(11)]})
	}
	return s
}

func maybe[T any](r *rand.Rand, v T) *T {
	if r.IntN(5) == 0 {
		return nil
	}
	return &v
}

// someLevel is one that there is, nearly always.
func someLevel(r *rand.Rand) int64 {
	if r.IntN(50) == 0 {
		return 5*r.Int64N(2) - 1
	}
	return min(r.Int64N(7), 3)
}

// someRecord makes a decision over facts that nobody has thought up, as it is stored.
func someRecord(r *rand.Rand, rules *risk.Rules) risk.Record {
	amount := money.Amount{Minor: 1 + around(r, 1000, 15000, 20000, 90000, 200000, 1000000), Currency: []money.Currency{"EUR", "EUR", "EUR", "USD", "JPY", "EUR", "EUR", "EUR", "EUR", "EUR", "SEK"}[r.IntN(11)]}
	restriction := ""
	if r.IntN(4) == 0 {
		restriction = []string{"cool_off", "self_excluded", "operator_excluded", "registry_excluded", "frozen", "closed", "banished"}[r.IntN(7)]
	}
	record := risk.Record{AtUS: nowUS}
	if r.IntN(3) == 0 {
		f := risk.DepositFacts{
			NowUS: nowUS, Amount: amount, Restriction: restriction, Level: someLevel(r),
			Ever: someSum(r, 15000), Days180: someSum(r, 200000), Days30: someSum(r, 1000000),
		}
		record.Deposit, record.Decision = &f, rules.DecideDeposit(f)
		return record
	}
	day := someSum(r, 100000)
	f := risk.PayoutFacts{
		NowUS: nowUS, Amount: amount, Reserved: r.IntN(2) == 0, Restriction: restriction, Reviews: r.Int64N(12) / 11, Level: someLevel(r),
		PaidEver: someSum(r, 200000), Paid180: someSum(r, 200000), Paid30: someSum(r, 400000, 1000000), Available: around(r, amount.Minor),
		Bonus: r.Int64N(4) / 3, BonusAgreed: r.IntN(2) == 0, SinceDeposits: around(r, 15000), SinceStakes: around(r, 15000, 5000), Elsewhere: r.Int64N(5) / 4,
		Day: someSum(r, 200000), Parts: []risk.Part{{Method: "generic-card", Connector: "generic", Account: "house", Minor: amount.Minor, AccountDay: maybe(r, day)}},
		Requests: maybe(r, r.Int64N(6)), LastDepositUS: maybe(r, nowUS-around(r, 600_000_000)), Deposited180: someSum(r, 200000), Deposited30: someSum(r, 1000000),
		Sanctions: maybe(r, r.Int64N(1100)), PEP: r.IntN(6) == 0, Approvals: r.IntN(3),
	}
	if r.IntN(3) == 0 {
		f.Countries = []string{[]string{"FI", "KP"}[r.IntN(2)]}
	}
	record.Payout, record.Again, record.Decision = &f, r.IntN(4) == 0, risk.Decision{}
	if record.Again {
		record.Decision = rules.Recheck(f)
		return record
	}
	record.Decision = rules.DecidePayout(f)
	for range r.IntN(4) { // and once more, with what people have let pass
		f.Released = append(f.Released, record.Decision.Stopped()...)
		record.Decision = rules.DecidePayout(f)
	}
	return record
}

// TestReplay: 10,000 stored decisions, read back and judged again by rules that
// were loaded anew, give the same (limits-and-risk.md section 6). Every action and
// every check stops some of them, or the facts were too tame to prove anything.
func TestReplay(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(22, 11))
	seen := map[string]int{}
	const decisions = 10_000
	for n := range decisions {
		text := ruleSets[n%len(ruleSets)]
		first := setOf(t, n%len(ruleSets))
		stored := someRecord(random, first).Encode()
		var record risk.Record
		if err := json.Unmarshal([]byte(stored), &record); err != nil {
			t.Fatal(err)
		}
		if err := again[n%len(ruleSets)].Replay(record); err != nil {
			t.Fatalf("decision %d, by %q: %v\n%s", n, text, err, stored)
		}
		seen[string(record.Decision.Action)]++
		seen[string(record.Decision.Check)]++
	}
	for _, want := range []string{
		"allow", "review", "step_up", "hold", "decline",
		"state", "kyc", "balance", "wagering", "route", "limits", "rules", "approval",
	} {
		if seen[want] < 50 {
			t.Errorf("of %d decisions %d were %q", decisions, seen[want], want)
		}
	}
	t.Logf("%v", seen)
}

// Two sets of the same rules, loaded apart.
var sets, again = loadAll(), loadAll()

func loadAll() []*risk.Rules {
	var all []*risk.Rules
	for _, text := range ruleSets {
		r, err := risk.Load("rules.toml", []byte(text))
		if err != nil {
			panic(err)
		}
		all = append(all, r)
	}
	return all
}

func setOf(t *testing.T, n int) *risk.Rules {
	t.Helper()
	if sets[n] == again[n] {
		t.Fatal("both are one set of rules")
	}
	return sets[n]
}

// TestReplayFinds: a record whose facts, decision or rules are not those that it
// was made of is found.
func TestReplayFinds(t *testing.T) {
	t.Parallel()
	r := rulesOf(t, "")
	f := clean()
	f.Requests = of(4)
	stored := risk.Record{AtUS: nowUS, Payout: &f, Decision: r.DecidePayout(f)}.Encode()
	for name, change := range map[string]struct {
		from, to string
		want     error
	}{
		"a fact":      {`"requests":4`, `"requests":3`, risk.ErrReplay},
		"the action":  {`"action":"hold","check":"rules","code"`, `"action":"allow","check":"rules","code"`, risk.ErrReplay},
		"a value":     {`"rule":"V10","value":4`, `"rule":"V10","value":3`, risk.ErrReplay},
		"a threshold": {`"rule":"withdrawable","value":10000,"threshold":50000`, `"rule":"withdrawable","value":10000,"threshold":50001`, risk.ErrReplay},
		"which check": {`"at_us":`, `"again":true,"at_us":`, risk.ErrReplay},
		"the rules":   {r.Hash, strings.Repeat("0", 64), risk.ErrOtherRules},
		"the facts":   {`"payout":{`, `"payouts":{`, risk.ErrReplay},
	} {
		changed := strings.Replace(stored, change.from, change.to, 1)
		if changed == stored {
			t.Errorf("%s: %q is not in %s", name, change.from, stored)
		}
		var record risk.Record
		if err := json.Unmarshal([]byte(changed), &record); err != nil {
			t.Fatal(err)
		}
		if err := r.Replay(record); !errors.Is(err, change.want) {
			t.Errorf("%s was changed: %v, want %v", name, err, change.want)
		}
	}
	var record risk.Record
	if err := json.Unmarshal([]byte(stored), &record); err != nil {
		t.Fatal(err)
	}
	if err := r.Replay(record); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}

// TestNothingPassesUnjudged: whatever fact or rate is missing, a payout is
// never let go on that was stopped with it there.
func TestNothingPassesUnjudged(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 7))
	stops := 0
	for n := range 3000 {
		r := sets[n%len(sets)]
		record := someRecord(random, r)
		if record.Payout == nil || record.Again {
			continue
		}
		f := *record.Payout
		whole := r.DecidePayout(f)
		f.Released = nil
		f.Requests, f.LastDepositUS, f.Parts[0].AccountDay = nil, nil, nil
		if without := r.DecidePayout(f); without.Action == risk.Allow {
			t.Fatalf("without its facts, %s went on", record.Encode())
		}
		if whole.Action != risk.Allow {
			stops++
		}
	}
	if stops < 100 {
		t.Errorf("%d payouts were stopped, too few to prove anything", stops)
	}
}

func BenchmarkPayout(b *testing.B) {
	r, f := rulesOf(b, ""), clean()
	b.ReportAllocs()
	for b.Loop() {
		r.DecidePayout(f)
	}
}

func BenchmarkDeposit(b *testing.B) {
	r := rulesOf(b, "")
	f := risk.DepositFacts{NowUS: nowUS, Amount: eur(100), Level: 1, Ever: risk.Sum{eur(5)}, Days180: risk.Sum{eur(5)}, Days30: risk.Sum{eur(5)}}
	b.ReportAllocs()
	for b.Loop() {
		r.DecideDeposit(f)
	}
}
