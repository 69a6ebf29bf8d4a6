package risk_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"aorta/internal/money"
	"aorta/internal/risk"
)

// TestLoadRefuses: each mistake is found, with its line and what to do.
func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		text string
		want []string // each is part of the error; all of it, in order of lines
	}{
		{name: "nothing", text: "", want: []string{`rules.toml:1: profile: it is missing: write profile = "generic"`}},
		{name: "no such profile", text: "\nprofile = \"mars\"\n", want: []string{`rules.toml:2: profile: mars is not a profile: write one of de, generic`}},
		{name: "profile is no text", text: "profile = 7\n", want: []string{"rules.toml:1: profile: 7 is not a profile"}},
		{name: "no TOML", text: "profile = \"generic\"\npayout = = 3\n", want: []string{"rules.toml:2: "}},
		{name: "a key twice", text: "profile = \"generic\"\nprofile = \"uk\"\n", want: []string{"rules.toml:2: "}},
		{name: "unknown key", text: generic("colour = 1"), want: []string{"rules.toml:2: colour: there is no such key"}},
		{name: "unknown table", text: generic("\n[antifraud]\nscore = 3"), want: []string{"rules.toml:3: antifraud: there is no such key"}},
		{name: "unknown key of a table", text: generic("[limits]\nraise_delay = \"1h\"\nraise_dela = \"1h\""), want: []string{"rules.toml:4: limits.raise_dela: there is no such key"}},
		{name: "unknown key within another", text: generic("[limits.raise_delay]\nhours = 3"), want: []string{"rules.toml:2: limits.raise_delay: "}},
		{name: "a table where a value is", text: generic("limits = 3"), want: []string{"rules.toml:2: limits: there is no such key"}},
		{name: "unknown level", text: generic("[kyc.l4]\ndeposits = \"none\""), want: []string{"rules.toml:2: kyc.l4: there is no such key"}},
		{name: "unknown rule", text: generic("[[rule]]\nid = \"V99\""), want: []string{`rules.toml:3: rule[0].id: "V99" is not a rule`}},
		{name: "rule without an id", text: generic("[[rule]]\nenabled = false"), want: []string{`rules.toml:2: rule[0].id: "" is not a rule`}},
		{name: "rule that is not judged", text: generic("[[rule]]\nid = \"V01\"\nenabled = true"), want: []string{"rules.toml:3: rule[0].id: V01 is not judged yet by this program"}},
		{name: "rule twice", text: generic("[[rule]]\nid = \"V10\"\n[[rule]]\nid = \"V10\""), want: []string{"rules.toml:5: rule[1].id: V10 is there twice"}},
		{name: "unknown key of a rule", text: generic("[[rule]]\nid = \"V10\"\n[[rule]]\nid = \"A04\"\nwindow = \"1h\""), want: []string{"rules.toml:6: rule[1].window: there is no such key"}},
		{name: "unknown figure", text: generic("[[rule]]\nid = \"V10\"\n[rule.params]\ncounts = 3"), want: []string{"rules.toml:5: rule[0].params.counts: there is no such key: correct its name or leave it out; there are count"}},
		{name: "figure that is none", text: generic("[[rule]]\nid = \"V10\"\nparams = { count = \"three\" }"), want: []string{"rules.toml:4: rule[0].params.count: three is no whole number"}},
		{name: "no table of figures", text: generic("[[rule]]\nid = \"V10\"\nparams = 3"), want: []string{"rules.toml:4: rule[0].params: write params = { count = … }"}},
		{name: "rule not as an array", text: generic("[rule]\nid = \"V10\""), want: []string{"rules.toml:2: rule: write [[rule]]"}},
		{name: "negative window", text: generic("[[rule]]\nid = \"V10\"\nwindow = \"-24h\""), want: []string{`rules.toml:4: rule[0].window: "-24h" is negative`}},
		{name: "no window", text: generic("[[rule]]\nid = \"V10\"\nwindow = \"0s\""), want: []string{"rules.toml:4: rule[0].window: V10 needs a window above zero"}},
		{name: "negative time", text: generic("[limits]\nraise_delay = \"-1s\""), want: []string{"rules.toml:3: limits.raise_delay: \"-1s\" is negative"}},
		{name: "no time", text: generic("[limits]\nraise_delay = \"soon\""), want: []string{"rules.toml:3: limits.raise_delay: \"soon\" is no time"}},
		{name: "a number as a time", text: generic("[limits]\nraise_delay = 24"), want: []string{"rules.toml:3: limits.raise_delay: 24 is no time"}},
		{name: "too long a time", text: generic("[limits]\nraise_delay = \"3651d\""), want: []string{"is more than ten years"}},
		{name: "too fine a time", text: generic("[limits]\nraise_delay = \"1us\""), want: []string{"a fraction of a millisecond"}},
		{name: "negative amount", text: generic("[payout]\nmanual_above_minor = -1"), want: []string{"rules.toml:3: payout.manual_above_minor: -1 is out of range: write 0 or more"}},
		{name: "a fraction of an amount", text: generic("[payout]\nmanual_above_minor = 5.5"), want: []string{"rules.toml:3: payout.manual_above_minor: 5.5 is no whole number"}},
		{name: "too large a share", text: generic("[kyc]\nwarn_permille = 1001"), want: []string{"rules.toml:3: kyc.warn_permille: 1001 is out of range: write 1 to 1000"}},
		{name: "word that is none", text: generic("[kyc]\napproach = \"hold\""), want: []string{`rules.toml:3: kyc.approach: "hold" is not known: write one of allow, step_up`}},
		{name: "word as a truth", text: generic("[payout]\ncancel = \"no\""), want: []string{"rules.toml:3: payout.cancel: no is neither true nor false"}},
		{name: "action for the other side", text: generic("[[rule]]\nid = \"A03\"\naction_deposit = \"hold\""), want: []string{`rules.toml:4: rule[0].action_deposit: "hold" is not known: write one of allow, review, step_up, decline`}},
		{name: "period that is none", text: generic("[limits]\nperiods = [\"day\", \"year\"]"), want: []string{`rules.toml:3: limits.periods: "year" is not known`}},
		{name: "period twice", text: generic("[limits]\nperiods = [\"day\", \"day\"]"), want: []string{`rules.toml:3: limits.periods: "day" is there twice`}},
		{name: "no periods", text: generic("[limits]\nperiods = []"), want: []string{"rules.toml:3: limits.periods: write a list of periods"}},
		{name: "no such zone", text: generic("[limits]\ntime_zone = \"Mars/Olympus\""), want: []string{"rules.toml:3: limits.time_zone: \"Mars/Olympus\" is no time zone"}},
		{name: "the machine's zone", text: generic("[limits]\ntime_zone = \"Local\""), want: []string{"rules.toml:3: limits.time_zone: "}},
		{name: "no day", text: generic("rates_as_of = \"yesterday\""), want: []string{"rules.toml:2: rates_as_of: \"yesterday\" is no day"}},
		{name: "another reference currency", text: generic("currency_reference = \"USD\""), want: []string{"rules.toml:2: currency_reference: USD cannot be"}},
		{name: "rate of no currency", text: generic("[rates]\nXXX = \"1\""), want: []string{`rules.toml:3: rates.XXX: "XXX" is no ISO 4217 currency`}},
		{name: "rate of the reference currency", text: generic("[rates]\nEUR = \"1\""), want: []string{"rules.toml:3: rates.EUR: it is the reference currency"}},
		{name: "rate as a number", text: generic("[rates]\nUSD = 1.08"), want: []string{"rules.toml:3: rates.USD: 1.08 must be text in quotes"}},
		{name: "rate of nothing", text: generic("[rates]\nUSD = \"0.000\""), want: []string{`rules.toml:3: rates.USD: "0.000" is no rate`}},
		{name: "rate as a fraction", text: generic("[rates]\nUSD = \"1/3\""), want: []string{`rules.toml:3: rates.USD: "1/3" is no rate`}},
		{name: "negative rate", text: generic("[rates]\nUSD = \"-1\""), want: []string{`rules.toml:3: rates.USD: "-1" is no rate`}},
		{name: "rates that are no table", text: generic("rates = 3"), want: []string{"rules.toml:2: rates: write [rates]"}},
		{name: "maximum of no kind", text: generic("[[limits.maximum]]\nperiod = \"day\"\nminor = 1"), want: []string{"rules.toml:2: limits.maximum[0].kind: it is missing"}},
		{name: "maximum without a period", text: generic("[[limits.maximum]]\nkind = \"deposit\"\nminor = 1"), want: []string{"rules.toml:2: limits.maximum[0].period: a deposit limit has a period"}},
		{name: "single with a period", text: generic("[[limits.maximum]]\nkind = \"single_deposit\"\nperiod = \"day\"\nminor = 1"), want: []string{"rules.toml:4: limits.maximum[0].period: a single_deposit limit has no period"}},
		{name: "maximum without an amount", text: generic("[[limits.maximum]]\nkind = \"loss\"\nperiod = \"day\""), want: []string{"rules.toml:2: limits.maximum[0].minor: it is missing"}},
		{name: "maximum in no currency", text: generic("[[limits.maximum]]\nkind = \"loss\"\nperiod = \"day\"\nminor = 1\ncurrency = \"XAU\""), want: []string{`rules.toml:6: limits.maximum[0].currency: "XAU" is no ISO 4217 currency`}},
		{
			name: "maximum twice", want: []string{"rules.toml:6: limits.maximum[1]: this maximum is there twice"},
			text: generic(strings.Repeat("[[limits.maximum]]\nkind = \"loss\"\nperiod = \"day\"\nminor = 1\n", 2)),
		},
		{name: "maxima not as an array", text: generic("[limits]\nmaximum = 3"), want: []string{"rules.toml:3: limits.maximum: write [[limits.maximum]]"}},
		{name: "method without a code", text: generic("[[payout.method]]\nmin_minor = 1"), want: []string{"rules.toml:2: payout.method[0].code: it is missing"}},
		{name: "method turned round", text: generic("[[payout.method]]\ncode = \"x\"\nmin_minor = 2\nmax_minor = 1"), want: []string{"rules.toml:4: payout.method[0].min_minor: 2 is above max_minor, 1"}},
		{name: "method twice", text: generic(strings.Repeat("[[payout.method]]\ncode = \"x\"\n", 2)), want: []string{"rules.toml:5: payout.method[1].code: x is there twice"}},
		{name: "approvals turned round", text: generic("[payout]\nmanual_above_minor = 2500001"), want: []string{"rules.toml:3: payout.manual_above_minor: it is above payout.dual_above_minor"}},
		{name: "payouts turned round", text: generic("[payout]\nmin_minor = 2\nmax_minor = 1"), want: []string{"rules.toml:3: payout.min_minor: it is above payout.max_minor"}},
		{name: "more a day than a month", text: generic("[payout]\nday_max_minor = 2\nmonth_max_minor = 1"), want: []string{"payout.day_max_minor: it is above payout.month_max_minor"}},
		{name: "cool-off turned round", text: generic("[limits]\ncool_off_max = \"1h\""), want: []string{"limits.cool_off_min: it is above limits.cool_off_max"}},
		{name: "no time to confirm", text: generic("[limits]\nconfirm_within = \"0s\""), want: []string{"rules.toml:3: limits.confirm_within: nobody could ever confirm a raise"}},
		{name: "bound without an amount", text: generic("[kyc.l0]\npayouts = \"up_to\""), want: []string{"rules.toml:2: kyc.l0.payouts_minor: up_to needs an amount above zero"}},
		{name: "window that is not kept", text: generic("[kyc.l1]\ndeposits_window = \"90d\""), want: []string{"rules.toml:3: kyc.l1.deposits_window: 90d is not kept"}},
		{name: "country in small letters", text: generic("[[rule]]\nid = \"G03\"\ncountries = [\"kp\"]"), want: []string{"rules.toml:4: rule[0].countries: kp is no country"}},
		{name: "countries that are no list", text: generic("[[rule]]\nid = \"G03\"\ncountries = \"KP\""), want: []string{"rules.toml:4: rule[0].countries: write a list"}},
		{name: "weight", text: generic("[[rule]]\nid = \"V10\"\nweight = 101"), want: []string{"rules.toml:4: rule[0].weight: 101 is out of range: write 0 to 100"}},

		{name: "A10 off", text: generic("[[rule]]\nid = \"A10\"\nenabled = false"), want: []string{"rules.toml:4: rule[0].enabled: A10 cannot be switched off or weakened"}},
		{name: "A10 in the shadow", text: generic("[[rule]]\nid = \"A10\"\nshadow = true"), want: []string{"rules.toml:4: rule[0].shadow: A10 cannot be"}},
		{name: "A10 weaker", text: generic("[[rule]]\nid = \"A10\"\naction_payout = \"step_up\""), want: []string{"rules.toml:4: rule[0].action_payout: step_up is weaker than hold: A10 cannot be"}},
		{name: "A10 blinder", text: generic("[[rule]]\nid = \"A10\"\nparams = { unclear_permille = 851 }"), want: []string{"rules.toml:4: rule[0].params.unclear_permille: 851 is weaker than 850"}},
		{name: "G03 off", text: generic("[[rule]]\nid = \"G03\"\nenabled = false"), want: []string{"rules.toml:4: rule[0].enabled: G03 cannot be"}},
		{name: "G03 weaker", text: generic("[[rule]]\nid = \"G03\"\naction_payout = \"allow\""), want: []string{"rules.toml:4: rule[0].action_payout: allow is weaker than hold: G03"}},
		{name: "exclusion off", text: generic("[[rule]]\nid = \"exclusion\"\nenabled = false"), want: []string{"rules.toml:4: rule[0].enabled: exclusion cannot be"}},
		{name: "exclusion weaker", text: generic("[[rule]]\nid = \"exclusion\"\naction_deposit = \"review\""), want: []string{"rules.toml:4: rule[0].action_deposit: review is weaker than decline: exclusion"}},
		{name: "shorter exclusion", text: generic("[limits]\nexclude_min_months = 5"), want: []string{"rules.toml:3: limits.exclude_min_months: 5 is less than the 6 of profile generic: exclusion cannot be weakened"}},
		{name: "shorter end", text: generic("[limits]\nend_delay = \"23h\""), want: []string{"rules.toml:3: limits.end_delay: 23h is less than the 1d of profile generic"}},
		{name: "shorter end than the profile's", text: "profile = \"mt\"\n[limits]\nend_delay_indefinite = \"6d\"\n", want: []string{"rules.toml:3: limits.end_delay_indefinite: 6d is less than the 7d of profile mt"}},
		{name: "shorter cool-off", text: generic("[limits]\ncool_off_min = \"1h\""), want: []string{"rules.toml:3: limits.cool_off_min: 1h is less than the 1d"}},
		{name: "all of them", text: generic("colour = 1\n[limits]\nraise_delay = \"soon\"\n[[rule]]\nid = \"V99\""), want: []string{"rules.toml:2: colour", "rules.toml:4: limits.raise_delay", "rules.toml:6: rule[0].id"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := risk.Load("rules.toml", []byte(tt.text))
			var problem *risk.Problem
			if err == nil || got != nil || !errors.As(err, &problem) {
				t.Fatalf("Load(%q) = %v, %v, want a *Problem and no rules", tt.text, got, err)
			}
			rest := err.Error()
			for _, want := range tt.want {
				_, after, found := strings.Cut(rest, want)
				if !found {
					t.Fatalf("Load(%q) = %v, want %q in it", tt.text, err, want)
				}
				rest = after
			}
			if n := strings.Count(err.Error(), "rules.toml:"); n != len(tt.want) {
				t.Errorf("Load(%q) has %d problems, want %d: %v", tt.text, n, len(tt.want), err)
			}
		})
	}
}

// generic is a file of profile generic, whose second line is the first of more.
func generic(more string) string { return "profile = \"generic\"\n" + more + "\n" }

// TestLoadTakes: what may be stricter, may.
func TestLoadTakes(t *testing.T) {
	t.Parallel()
	r := rulesOf(t, `
rates_as_of = "2026-11-20"
limits.raise_delay = "90m"        # dotted keys are keys as well
limits.periods = [ "day",
  "calendar_month", # over lines
]
[rates]
"USD" = "1.0842"
[[limits.maximum]]
kind = "single_deposit"
minor = 5_000
currency = "JPY"
[[limits.maximum]]
kind = 'deposit'
period = "week"
minor = 70000
[kyc.l2]
payouts = "none"
[payout]
cancel = false
[[payout.method]]
code = "generic-bank"
min_minor = 100
max_minor = 200
[[rule]]
id = "G03"
countries = ["KP", "IR", "KP"]
action_payout = "decline"
weight = 5
[[rule]]
id = "A10"
params = { unclear_permille = 700 }
[[rule]]
id = "P04"
enabled = false
`)
	if r.Limits.RaiseDelay != 90*time.Minute || !slices.Equal(r.Limits.Periods, []risk.Period{risk.PeriodDay, risk.PeriodCalendarMonth}) || r.Limits.ConfirmWithin != risk.Days30 {
		t.Errorf("limits are %+v", r.Limits)
	}
	if got := r.Rule("G03"); !slices.Equal(got.Countries, []string{"IR", "KP"}) || got.Payout != risk.Decline || got.Weight != 5 || !got.Enabled {
		t.Errorf("G03 is %+v", got)
	}
	if got := r.Rule("A10").Params["unclear_permille"]; got != 700 {
		t.Errorf("A10 is unclear from %d on", got)
	}
	if r.Rule("P04").Enabled || r.Rule("P04").Window != 10*time.Minute || !r.Rule("V10").Enabled {
		t.Errorf("P04 is %+v, V10 %+v", r.Rule("P04"), r.Rule("V10"))
	}
	if r.KYC.Levels[2].Payouts.Kind != risk.BoundNone || r.KYC.Levels[2].Deposits.Minor != 1000000 || r.Payout.Cancel || r.Payout.ManualAbove != 500000 {
		t.Errorf("level 2 is %+v, payouts %+v", r.KYC.Levels[2], r.Payout)
	}
	if want := []risk.MethodBound{{Method: "generic-bank", Min: 100, Max: 200}}; !slices.Equal(r.Payout.Methods, want) {
		t.Errorf("methods are %v, want %v", r.Payout.Methods, want)
	}
	single, found, err := r.Maximum(risk.LimitSingle, risk.PeriodNone, 30, "JPY")
	if err != nil || !found || single != (money.Amount{Minor: 5000, Currency: "JPY"}) {
		t.Errorf("most at once is %v, %t, %v", single, found, err)
	}
	if _, _, err := r.Maximum(risk.LimitSingle, risk.PeriodNone, 30, "EUR"); !errors.Is(err, risk.ErrNoRate) {
		t.Errorf("without a rate for JPY the most at once in EUR is %v", err)
	}
}

// TestMaximum: the lowest that applies wins, and who is of no known age is young.
func TestMaximum(t *testing.T) {
	t.Parallel()
	r, err := risk.Load("rules.toml", []byte("profile = \"se\"\n[rates]\nSEK = \"10\"\n[[limits.maximum]]\nkind = \"deposit\"\nperiod = \"month\"\nminor = 60000\n"+
		"[[limits.maximum]]\nkind = \"deposit\"\nperiod = \"day\"\nminor = 1\nunder_age = 21\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		period risk.Period
		age    int64
		c      money.Currency
		want   int64 // 0: there is none
	}{
		{"young", risk.PeriodMonth, 24, "SEK", 500000},
		{"of age that day", risk.PeriodMonth, 25, "SEK", 600000},
		{"not known", risk.PeriodMonth, 0, "SEK", 500000},
		{"young, in the reference currency", risk.PeriodMonth, 18, "EUR", 50000},
		{"old, in the reference currency", risk.PeriodMonth, 80, "EUR", 60000},
		{"young enough", risk.PeriodDay, 20, "EUR", 1},
		{"too old for the only one", risk.PeriodDay, 21, "EUR", 0},
		{"another period", risk.PeriodWeek, 18, "EUR", 0},
	} {
		got, found, err := r.Maximum(risk.LimitDeposit, tt.period, tt.age, tt.c)
		if err != nil || found != (tt.want > 0) || got.Minor != tt.want {
			t.Errorf("%s: %v, %t, %v, want %d", tt.name, got, found, err, tt.want)
		}
	}
}

// TestProfiles: all load, each has a hash of its own, and a file that says
// nothing is its profile.
func TestProfiles(t *testing.T) {
	t.Parallel()
	if got, want := risk.Profiles(), []string{"de", "generic", "mt", "se", "uk", "us"}; !slices.Equal(got, want) {
		t.Errorf("Profiles() = %v, want %v", got, want)
	}
	seen := map[string]string{}
	for _, name := range risk.Profiles() {
		profile, ok := risk.Profile(name)
		if !ok {
			t.Fatalf("there is no profile %s", name)
		}
		loaded, err := risk.Load("rules.toml", []byte("profile = \""+name+"\"\n"))
		if err != nil || loaded.Hash != profile.Hash || loaded.Canonical() != profile.Canonical() {
			t.Errorf("a file of %s is not it: %v", name, err)
		}
		if twin, known := seen[profile.Hash]; known {
			t.Errorf("%s and %s have one hash", name, twin)
		}
		seen[profile.Hash] = name
		if _, err := profile.Limits.Location(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, ok := risk.Profile("atlantis"); ok {
		t.Error("there is a profile of Atlantis")
	}
}

// TestHash: it is of what holds, not of how it is written, and any change of
// what holds changes it.
func TestHash(t *testing.T) {
	t.Parallel()
	base := rulesOf(t, "")
	same := rulesOf(t, "# a comment\n[payout]\ndual_above_minor = 2_500_000\nrecheck_after = \"900s\"\n[limits]\nraise_delay = \"1d\"\n[[rule]]\nid = \"V10\"\nenabled = true\n")
	if same.Hash != base.Hash {
		t.Errorf("the same rules have two hashes: %v", risk.Diff(base.Canonical(), same.Canonical()))
	}
	two := rulesOf(t, "[[rule]]\nid = \"V10\"\nweight = 1\n[[rule]]\nid = \"A04\"\nweight = 2\n[rates]\nUSD = \"1.1\"\nJPY = \"160\"\n")
	turned := rulesOf(t, "[rates]\nJPY = \"160\"\nUSD = \"1.1\"\n[[rule]]\nid = \"A04\"\nweight = 2\n[[rule]]\nid = \"V10\"\nweight = 1\n")
	if two.Hash != turned.Hash {
		t.Error("the order of a file changes its hash")
	}
	seen := map[string]string{base.Hash: "the profile"}
	for _, change := range []string{
		"rates_as_of = \"2026-11-20\"", "[rates]\nUSD = \"1.1\"", "[rates]\nUSD = \"1.2\"", "[limits]\nraise_delay = \"25h\"", "[limits]\nraise_by_register = true",
		"[limits]\nperiods = [\"week\", \"day\", \"month\"]", "[limits]\ntime_zone = \"Europe/Malta\"", "[kyc]\napproach = \"step_up\"", "[kyc.l1]\npayouts = \"below\"",
		"[kyc.l1]\npayouts_window = \"30d\"", "[payout]\ncancel = false", "[payout]\nturnover_permille = 1001", "[[payout.method]]\ncode = \"x\"", "[[payout.method]]\ncode = \"y\"",
		"[[limits.maximum]]\nkind = \"loss\"\nperiod = \"day\"\nminor = 1", "[[limits.maximum]]\nkind = \"loss\"\nperiod = \"day\"\nminor = 1\nunder_age = 20",
		"[[rule]]\nid = \"V10\"\nshadow = true", "[[rule]]\nid = \"V10\"\nparams = { count = 4 }", "[[rule]]\nid = \"G03\"\ncountries = [\"KP\"]", "[[rule]]\nid = \"A03\"\naction_deposit = \"review\"",
	} {
		r := rulesOf(t, change+"\n")
		if twin, known := seen[r.Hash]; known {
			t.Errorf("%q has the hash of %s", change, twin)
		}
		seen[r.Hash] = change
		if got := risk.Diff(base.Canonical(), r.Canonical()); len(got) == 0 {
			t.Errorf("%q makes no difference", change)
		}
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	from := rulesOf(t, "[rates]\nUSD = \"1.1\"\n[[rule]]\nid = \"G03\"\ncountries = [\"KP\"]\n")
	to := rulesOf(t, "[rates]\nJPY = \"160\"\n[limits]\nraise_delay = \"72h\"\n[[limits.maximum]]\nkind = \"loss\"\nperiod = \"day\"\nminor = 1\nunder_age = 20\n")
	want := []string{
		"limits.raise_delay: 1d → 3d",
		"limits.maximum.house.loss.day.under_20.EUR: now 1",
		"rule.G03.countries: KP → none",
		"rates.JPY: now 160",
		"rates.USD: no longer 1.1",
	}
	if got := risk.Diff(from.Canonical(), to.Canonical()); !slices.Equal(got, want) {
		t.Errorf("Diff = %q, want %q", got, want)
	}
	if got := risk.Diff(to.Canonical(), to.Canonical()); len(got) != 0 {
		t.Errorf("Diff of the same = %q", got)
	}
	if got := risk.Diff("", to.Canonical()); len(got) != strings.Count(to.Canonical(), "\n") || got[0] != "profile: now generic" {
		t.Errorf("Diff from nothing = %q", got)
	}
}

// TestLines: a mistake is found at its line wherever it stands in a file, with
// whatever before it that TOML allows.
func TestLines(t *testing.T) {
	t.Parallel()
	blocks := []string{
		"[payout]\nrecheck_after = '''\n15m'''\n",
		"[limits]\nperiods = [ # a list\n  \"day\", # with ] and [ and \"\n  'week',\n]\ntime_zone = \"\"\"UTC\"\"\"\n",
		"[kyc]\nl0 = { deposits = \"up_to\", deposits_minor = 5 }\n",
		"# a comment with [[rule]] and \"quotes\n\n\t[ rates ]\n  \"USD\"  =  \"1.1\"\n\"J\\u0050Y\" = \"160\"\n",
		"[[rule]]\nid = \"V10\"\n[rule.params]\ncount = 3\n",
		"[[rule]]\nparams = { sum_minor = 5 }\nid = \"A03\" # }\n",
		"[[ limits . maximum ]]\nkind = \"loss\"\nperiod = \"day\"\nminor = 1\n",
		"[[payout.method]]\r\ncode = \"a \\\" ] # b\"\r\n",
	}
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 5))
		order := random.Perm(len(blocks))
		at := random.IntN(len(order) + 1)
		text, want := "profile = \"generic\"\n", 0
		for i := range len(order) + 1 {
			if i == at {
				want = strings.Count(text, "\n") + 3
				text += "[[rule]]\nid = \"A04\"\nweight = \"heavy\"\n"
			}
			if i < len(order) {
				text += blocks[order[i]]
			}
		}
		_, err := risk.Load("rules.toml", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("rules.toml:%d: rule[", want)) || !strings.Contains(err.Error(), "].weight: heavy is no whole number") || strings.Contains(err.Error(), "\n") {
			t.Fatalf("seed %d: %v, want one problem at line %d of\n%s", seed, err, want, text)
		}
	}
}

// FuzzLoad: no text breaks the reader, and what is refused says so by its line.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{"", "profile = \"uk\"", generic("[[rule]]\nid = \"V10\"\nwindow = \"-1h\""), generic("[limits]\nperiods = [[[\n"), "a.b.c = [{x = 1}, {y = 2}]\n[[a.b.d]]", "[[rule]]\n[[rule.x]]\n[rule.x.y]\n'' = 1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := risk.Load("rules.toml", []byte(text))
		if err == nil {
			if len(r.Hash) != 64 {
				t.Errorf("Load(%q) has the hash %q", text, r.Hash)
			}
			return
		}
		for line := range strings.Lines(err.Error()) {
			var n int
			if _, err := fmt.Sscanf(line, "rules.toml:%d:", &n); err == nil && (n < 1 || n > strings.Count(text, "\n")+1) {
				t.Errorf("Load(%q) = line %d", text, n)
			}
		}
	})
}
