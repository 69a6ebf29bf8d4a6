package recon_test

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"aorta/internal/money"
	"aorta/internal/recon"
)

// The worked example of google-tokenized-fop.md section 7.
var (
	terms  = recon.Terms{Checked: true, Fee: 25_000, Tax: 180_000}
	events = []recon.Event{
		{Kind: recon.Capture, Name: "c1", Currency: "INR", Micros: 728_000_000, HasFee: true, Fee: 18_200_000},
		{Kind: recon.Capture, Name: "c2", Currency: "INR", Micros: 499_000_000, HasFee: true, Fee: 12_475_000},
		{Kind: recon.Capture, Name: "c3", Currency: "INR", Micros: 199_000_000, HasFee: true, Fee: 4_975_000},
		{Kind: recon.Refund, Name: "r1", Currency: "INR", Micros: 208_000_000},
	}
	period = recon.Period{StartMS: 1_705_190_400_000, EndMS: 1_705_276_799_000}
)

func sum(t *testing.T, terms recon.Terms, events ...recon.Event) recon.Sums {
	t.Helper()
	var s recon.Sums
	for _, e := range events {
		var err error
		if s, err = s.Add(terms, e); err != nil {
			t.Fatalf("Add(%+v) = %v", e, err)
		}
	}
	return s
}

func TestWorkedExamples(t *testing.T) {
	t.Parallel()
	withheld := terms
	withheld.Withholding = 10_000
	// c1 to c3 as a contract makes them: no fee is said.
	silent := slices.Clone(events)
	for n := range silent {
		silent[n].HasFee, silent[n].Fee = false, 0
	}
	tests := []struct {
		name   string
		terms  recon.Terms
		events []recon.Event
		want   int64
	}{
		{name: "the table", terms: terms, events: events, want: 1_175_933_000},
		{name: "the table, fees as the contract has them", terms: terms, events: silent, want: 1_175_933_000},
		{name: "with withholding of 1 %", terms: withheld, events: events, want: 1_161_673_000},
		{name: "refunds prevail", terms: recon.Terms{Checked: true, Fee: 25_000}, events: []recon.Event{
			{Kind: recon.Capture, Name: "c", Currency: "INR", Micros: 100_000_000},
			{Kind: recon.Refund, Name: "r", Currency: "INR", Micros: 300_000_000},
		}, want: -202_500_000},
		{name: "without terms, what Google says of fees is believed", events: events, want: 1_182_350_000},
		{name: "nothing", want: 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			due, err := sum(t, test.terms, test.events...).Due()
			if want := (recon.Range{Low: test.want, High: test.want}); err != nil || due != want {
				t.Errorf("Due() = %+v, %v, want %+v", due, err, want)
			}
		})
	}
}

func TestSumsOfTheTable(t *testing.T) {
	t.Parallel()
	got := sum(t, terms, events...)
	want := recon.Sums{
		Events: 4, Captures: 1_426_000_000, Refunds: 208_000_000,
		Fees: recon.Range{Low: 35_650_000, High: 35_650_000}, Tax: recon.Range{Low: 6_417_000, High: 6_417_000},
	}
	if got != want {
		t.Errorf("sums = %+v, want %+v", got, want)
	}
}

func TestRound(t *testing.T) {
	t.Parallel()
	tests := []struct {
		micros   int64
		currency money.Currency
		want     int64
		rest     int64
	}{
		{1_175_933_000, "INR", 117_593, 3_000},
		{1_175_935_000, "INR", 117_594, -5_000},
		{1_175_936_000, "INR", 117_594, -4_000},
		{-1_175_935_000, "INR", -117_594, 5_000},
		{-1_175_934_999, "INR", -117_593, -4_999},
		{-202_500_000, "INR", -20_250, 0},
		{500_000, "JPY", 1, -500_000},
		{499_999, "JPY", 0, 499_999},
		{1_234_567, "KWD", 1_235, -433},
	}
	for _, test := range tests {
		got, rest, err := recon.Round(test.micros, test.currency)
		if want := (money.Amount{Minor: test.want, Currency: test.currency}); err != nil || got != want || rest != test.rest {
			t.Errorf("Round(%d, %s) = %+v, %d, %v, want %+v, %d", test.micros, test.currency, got, rest, err, want, test.rest)
		}
	}
	if got, _, err := recon.Round(math.MaxInt64, "INR"); !errors.Is(err, money.ErrRange) { // rounded up it has no micros any more
		t.Errorf("Round of the largest = %+v, %v, want money.ErrRange", got, err)
	}
	if _, _, err := recon.Round(1, "XAU"); !errors.Is(err, money.ErrCurrency) {
		t.Errorf("Round of gold = %v, want money.ErrCurrency", err)
	}
}

func TestBook(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name             string
		claim            int64
		due, fees, taxes int64
		want             recon.Booking
	}{
		{
			name: "the table", claim: 121_800, due: 1_175_933_000, fees: 35_650_000, taxes: 6_417_000,
			want: recon.Booking{Claim: 121_800, Bank: 117_593, Fees: 3_565, Taxes: 642},
		},
		{
			name: "each is rounded down", claim: 10_001, due: 99_004_000, fees: 604_000, taxes: 402_000,
			want: recon.Booking{Claim: 10_001, Bank: 9_900, Fees: 60, Taxes: 40, Rounding: 1},
		},
		{
			name: "Google pays", claim: -20_000, due: -202_500_000, fees: 2_500_000,
			want: recon.Booking{Claim: -20_000, Bank: -20_250, Fees: 250},
		},
		{
			name: "100.00 more than ours was accepted", claim: 121_800, due: 1_275_933_000, fees: 35_650_000, taxes: 6_417_000,
			want: recon.Booking{Claim: 121_800, Bank: 127_593, Fees: 3_565, Taxes: 642, Suspense: -10_000},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := recon.Book(money.Amount{Minor: test.claim, Currency: "INR"}, test.due, test.fees, test.taxes)
			if err != nil || got != test.want {
				t.Errorf("Book() = %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
}

func TestFeeToVAT(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		m        recon.FeeToVAT
		gross    int64
		fee, vat int64
	}{
		{"of the net fee", recon.FeeToVAT{Ratio: 150_000}, 115_000_000, 100_000_000, 15_000_000},
		{"of the gross fee", recon.FeeToVAT{Ratio: 150_000, OfGross: true}, 115_000_000, 97_750_000, 17_250_000},
		{"to the nearest micro", recon.FeeToVAT{Ratio: 180_000}, 100, 85, 15}, // 84.75
		{"given back", recon.FeeToVAT{Ratio: 150_000}, -115_000_000, -100_000_000, -15_000_000},
	}
	for _, test := range tests {
		if fee, vat, err := test.m.Split(test.gross); err != nil || fee != test.fee || vat != test.vat {
			t.Errorf("%s: Split(%d) = %d, %d, %v, want %d, %d", test.name, test.gross, fee, vat, err, test.fee, test.vat)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	in := (period.StartMS + 3_600_000) * 1000
	ours := recon.Fact{Amount: money.Amount{Minor: 72_800, Currency: "INR"}, AtUS: in}
	with := func(change func(*recon.Event, *recon.Fact)) (recon.Event, recon.Fact) {
		e, f := events[0], ours
		change(&e, &f)
		return e, f
	}
	tests := []struct {
		name    string
		change  func(*recon.Event, *recon.Fact)
		unknown bool
		twice   bool
		terms   *recon.Terms
		want    []recon.Class
	}{
		{name: "agrees", change: func(*recon.Event, *recon.Fact) {}},
		{name: "not ours", change: func(*recon.Event, *recon.Fact) {}, unknown: true, want: []recon.Class{recon.MissingAtUs}},
		{name: "twice in this one", change: func(*recon.Event, *recon.Fact) {}, twice: true, want: []recon.Class{recon.DuplicateEvent}},
		{name: "in another one", change: func(_ *recon.Event, f *recon.Fact) { f.Elsewhere = true }, want: []recon.Class{recon.DuplicateEvent}},
		{name: "a paisa more", change: func(e *recon.Event, _ *recon.Fact) { e.Micros += 10_000; e.Fee += 250 }, want: []recon.Class{recon.AmountDiff}},
		{name: "a micro less", change: func(e *recon.Event, _ *recon.Fact) { e.Micros-- }, want: []recon.Class{recon.AmountDiff}},
		{name: "another currency", change: func(e *recon.Event, _ *recon.Fact) { e.Currency = "USD" }, want: []recon.Class{recon.CurrencyDiff}},
		{name: "not the statement's", change: func(e *recon.Event, f *recon.Fact) { e.Currency, f.Amount.Currency = "USD", "USD" }, want: []recon.Class{recon.CurrencyDiff}},
		{name: "a day before", change: func(_ *recon.Event, f *recon.Fact) { f.AtUS -= 86_400_000_000 }, want: []recon.Class{recon.WrongPeriod}},
		{name: "a day after", change: func(_ *recon.Event, f *recon.Fact) { f.AtUS += 86_400_000_000 }, want: []recon.Class{recon.WrongPeriod}},
		{name: "within the last second", change: func(_ *recon.Event, f *recon.Fact) { f.AtUS = period.EndMS*1000 + 999_999 }},
		{name: "after the last second", change: func(_ *recon.Event, f *recon.Fact) { f.AtUS = period.EndMS*1000 + 1_000_000 }, want: []recon.Class{recon.WrongPeriod}},
		{name: "after it, and clocks may differ", change: func(_ *recon.Event, f *recon.Fact) { f.AtUS = period.EndMS*1000 + 1_000_000 }, terms: &recon.Terms{SlackUS: 1_000_000}},
		{name: "Google's own date lies outside", change: func(e *recon.Event, _ *recon.Fact) { e.AtMS = period.StartMS - 1 }, want: []recon.Class{recon.WrongPeriod}},
		{name: "a fee too high", change: func(e *recon.Event, _ *recon.Fact) { e.Fee++ }, want: []recon.Class{recon.FeeDiff}},
		{name: "any fee, without terms", change: func(e *recon.Event, _ *recon.Fact) { e.Fee = 1 }, terms: &recon.Terms{}},
		{name: "no fee is said", change: func(e *recon.Event, _ *recon.Fact) { e.HasFee = false }},
		{name: "a fee on a refund", change: func(e *recon.Event, _ *recon.Fact) { e.Kind = recon.Refund }, want: []recon.Class{recon.FeeDiff}},
		{name: "all at once", change: func(e *recon.Event, _ *recon.Fact) { e.Currency, e.AtMS, e.Fee = "USD", 1, 0 }, unknown: true, twice: true, want: []recon.Class{
			recon.DuplicateEvent, recon.MissingAtUs, recon.CurrencyDiff, recon.WrongPeriod, recon.FeeDiff,
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e, f := with(test.change)
			by := terms
			if test.terms != nil {
				by = *test.terms
			}
			got, err := by.Judge(e, f, !test.unknown, test.twice, "INR", period)
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("Judge(%+v, %+v) = %v, %v, want %v", e, f, got, err, test.want)
			}
		})
	}
}

// A fee that is no whole number of micros may be rounded either way, and nothing else.
func TestAFeeBetweenTwoMicros(t *testing.T) {
	t.Parallel()
	odd := recon.Terms{Checked: true, Fee: 333_333}
	for fee, want := range map[int64]int{33_333: 0, 33_334: 0, 33_335: 1, 33_332: 1} {
		e := recon.Event{Kind: recon.Capture, Name: "c", Currency: "INR", Micros: 100_000, HasFee: true, Fee: fee}
		if got, err := odd.Judge(e, recon.Fact{Amount: money.Amount{Minor: 10, Currency: "INR"}, AtUS: period.StartMS * 1000}, true, false, "INR", period); err != nil || len(got) != want {
			t.Errorf("a fee of %d of 33333.3: Judge() = %v, %v, want %d differences", fee, got, err, want)
		}
	}
	tax := recon.Terms{Checked: true, Fee: 25_000, Tax: 333_333}
	s := sum(t, tax, recon.Event{Kind: recon.Capture, Name: "c", Currency: "INR", Micros: 10_000}) // fee 250, tax 83.33325
	due, err := s.Due()
	if want := (recon.Range{Low: 9_666, High: 9_667}); err != nil || due != want || !due.Holds(9_667) || due.Holds(9_668) {
		t.Errorf("Due() = %+v, %v, want %+v", due, err, want)
	}
}

func TestPeriods(t *testing.T) {
	t.Parallel()
	next := recon.Period{StartMS: period.EndMS + 1000, EndMS: period.EndMS + 86_400_000}
	tests := []struct {
		name string
		a, b recon.Period
		want bool
	}{
		{"one after the other", period, next, false},
		{"the same", period, period, true},
		{"a second too early", period, recon.Period{StartMS: period.EndMS - 1000, EndMS: next.EndMS}, true},
		{"within", period, recon.Period{StartMS: period.StartMS + 1, EndMS: period.EndMS - 1}, true},
		{"ends as the other starts", period, recon.Period{StartMS: period.EndMS, EndMS: next.EndMS}, false},
		{"of no length, the same", recon.Period{StartMS: 5, EndMS: 5}, recon.Period{StartMS: 5, EndMS: 5}, true},
		{"of no length, within", period, recon.Period{StartMS: period.StartMS + 5, EndMS: period.StartMS + 5}, true},
	}
	for _, test := range tests {
		if got := test.a.Overlaps(test.b); got != test.want || test.b.Overlaps(test.a) != test.want {
			t.Errorf("%s: Overlaps() = %t, want %t both ways", test.name, got, test.want)
		}
	}
}

// Of periods that follow one another each instant is looked at in exactly one.
func TestEachInstantIsDueOnce(t *testing.T) {
	t.Parallel()
	next := recon.Period{StartMS: period.EndMS + 1000, EndMS: period.EndMS + 86_400_000}
	for _, slack := range []int64{0, 1, 3_600_000_000} {
		from, to := period.DueFromUS(slack), next.DueToUS(slack)
		for _, at := range []int64{from, from + 1, period.DueToUS(slack) - 1, period.DueToUS(slack), period.DueToUS(slack) + 1, to - 1, to} {
			if period.Due(at, slack) == next.Due(at, slack) {
				t.Errorf("slack %d, at %d: due in both, or in none", slack, at)
			}
		}
		if period.Due(from-1, slack) || next.Due(to+1, slack) {
			t.Errorf("slack %d: due outside of both", slack)
		}
	}
}

func TestParseRate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]recon.Rate{"2.5": 25_000, "18": 180_000, "0": 0, "0.0001": 1, "100": 1_000_000} {
		if got, err := recon.ParseRate(text); err != nil || got != want {
			t.Errorf("ParseRate(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "2.5%", "-1", "100.0001", "2.50001", "1e2", "2,5", " 1"} {
		if got, err := recon.ParseRate(text); !errors.Is(err, recon.ErrRate) {
			t.Errorf("ParseRate(%q) = %d, %v, want ErrRate", text, got, err)
		}
	}
}

// What does not fit is refused, and never a wrong sum.
func TestOverflowIsRefused(t *testing.T) {
	t.Parallel()
	for _, f := range []func() (int64, error){
		func() (int64, error) { return recon.Add(math.MaxInt64, 1) },
		func() (int64, error) { return recon.Add(math.MinInt64, -1) },
		func() (int64, error) { return recon.Sub(0, math.MinInt64) },
		func() (int64, error) { return recon.Sub(math.MinInt64, 1) },
		func() (int64, error) { f, _, err := (recon.FeeToVAT{Ratio: math.MaxInt64}).Split(1); return f, err },
		func() (int64, error) {
			f, _, err := (recon.FeeToVAT{Ratio: math.MaxInt64, OfGross: true}).Split(math.MaxInt64)
			return f, err
		},
	} {
		if got, err := f(); !errors.Is(err, money.ErrRange) {
			t.Errorf("got %d, %v, want money.ErrRange", got, err)
		}
	}
	large := recon.Event{Kind: recon.Capture, Name: "c", Currency: "INR", Micros: math.MaxInt64}
	s := sum(t, recon.Terms{}, large)
	if got, err := s.Add(recon.Terms{}, large); !errors.Is(err, money.ErrRange) {
		t.Errorf("a second of the largest: %+v, %v, want money.ErrRange", got, err)
	}
	if got, err := (recon.Sums{}).Add(recon.Terms{}, recon.Event{Kind: recon.Refund, Micros: -1}); !errors.Is(err, money.ErrRange) {
		t.Errorf("a refund below zero: %+v, %v, want money.ErrRange", got, err)
	}
}

// The arithmetic against numbers that have no bound.
func TestProperties(t *testing.T) {
	t.Parallel()
	const whole = 1_000_000
	dice := rand.New(rand.NewPCG(7, 28))
	for range 3_000 {
		terms := recon.Terms{Checked: true, Fee: recon.Rate(dice.Int64N(whole + 1)), Tax: recon.Rate(dice.Int64N(whole + 1)), Withholding: recon.Rate(dice.Int64N(whole + 1))}
		var s recon.Sums
		exact := new(big.Rat) // what is due, never rounded
		n := 1 + dice.IntN(6)
		for range n {
			e := recon.Event{Kind: recon.Capture, Name: "x", Currency: "INR", Micros: dice.Int64N(1 << (1 + dice.IntN(50)))}
			if dice.IntN(3) == 0 {
				e.Kind = recon.Refund
			}
			amount := new(big.Rat).SetInt64(e.Micros)
			rate := func(r recon.Rate) *big.Rat { return big.NewRat(int64(r), whole) }
			if e.Kind == recon.Refund {
				exact.Sub(exact, amount)
			} else {
				fee := new(big.Rat).Mul(amount, rate(terms.Fee))
				exact.Add(exact, amount)
				exact.Sub(exact, fee)
				exact.Sub(exact, new(big.Rat).Mul(fee, rate(terms.Tax)))
				exact.Sub(exact, new(big.Rat).Mul(amount, rate(terms.Withholding)))
			}
			var err error
			if s, err = s.Add(terms, e); err != nil {
				t.Fatalf("Add(%+v) = %v", e, err)
			}
		}
		due, err := s.Due()
		if err != nil {
			t.Fatalf("Due() of %+v = %v", s, err)
		}
		if new(big.Rat).SetInt64(due.Low).Cmp(exact) > 0 || new(big.Rat).SetInt64(due.High).Cmp(exact) < 0 {
			t.Fatalf("%+v: due is %s, outside of %+v", s, exact.FloatString(6), due)
		}
		if due.High-due.Low > 4*int64(n) {
			t.Fatalf("%d events are due %+v: more than each rounding explains", n, due)
		}

		// A split gives back what it was given, and the bank's order is half a unit off at most.
		gross, ratio := due.Low, dice.Int64N(2*whole)
		fee, vat, err := recon.FeeToVAT{Ratio: ratio, OfGross: dice.IntN(2) == 0}.Split(gross)
		if err != nil || fee+vat != gross {
			t.Fatalf("Split(%d) at %d = %d, %d, %v", gross, ratio, fee, vat, err)
		}
		a, rest, err := recon.Round(due.High, "INR")
		if err != nil || a.Minor*10_000+rest != due.High || rest > 5_000 || rest < -5_000 {
			t.Fatalf("Round(%d) = %+v, %d, %v", due.High, a, rest, err)
		}
		claim, _, err := recon.Round(s.Captures-s.Refunds, "INR")
		if err != nil {
			t.Fatal(err)
		}
		b, err := recon.Book(claim, due.Low, s.Fees.Low, s.Tax.Low+s.Withholding.Low)
		if err != nil || b.Bank+b.Fees+b.Taxes+b.Suspense+b.Rounding != claim.Minor || b.Suspense > 1 || b.Suspense < -1 || b.Rounding > 2 || b.Rounding < -2 {
			t.Fatalf("Book(%+v) of %+v = %+v, %v", claim, s, b, err)
		}
	}
}
