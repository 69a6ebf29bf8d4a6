package risk_test

import (
	"errors"
	"math"
	"testing"

	"aorta/internal/money"
	"aorta/internal/risk"

	"pgregory.net/rapid"
)

// rulesOf loads the generic profile with more.
func rulesOf(t testing.TB, more string) *risk.Rules {
	t.Helper()
	r, err := risk.Load("rules.toml", []byte("profile = \"generic\"\n"+more))
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return r
}

const someRates = `
[rates]
USD = "1.0842"
JPY = "161.35"
INR = "90.5"
KWD = "0.3333"
`

func TestConvert(t *testing.T) {
	t.Parallel()
	r := rulesOf(t, someRates)
	tests := []struct {
		name    string
		from    money.Amount
		to      money.Currency
		want    int64 // minor units
		wantErr error
	}{
		{name: "to itself", from: money.Amount{Minor: 12345, Currency: "EUR"}, to: "EUR", want: 12345},
		{name: "a currency without a rate to itself", from: money.Amount{Minor: 5, Currency: "SEK"}, to: "SEK", want: 5},
		{name: "exact", from: money.Amount{Minor: 200000, Currency: "EUR"}, to: "INR", want: 18100000},
		{name: "fewer decimals", from: money.Amount{Minor: 10000, Currency: "EUR"}, to: "JPY", want: 16135},
		{name: "more decimals", from: money.Amount{Minor: 10000, Currency: "EUR"}, to: "KWD", want: 33330},
		{name: "just below a half goes down", from: money.Amount{Minor: 46, Currency: "EUR"}, to: "USD", want: 50}, // 49.8732
		{name: "a half goes up", from: money.Amount{Minor: 1, Currency: "EUR"}, to: "INR", want: 91},               // 90.5
		{name: "a half below zero goes up", from: money.Amount{Minor: -1, Currency: "EUR"}, to: "INR", want: -90},  // −90.5
		{name: "between two others", from: money.Amount{Minor: 10842, Currency: "USD"}, to: "JPY", want: 16135},    // by EUR, without rounding between
		{name: "back", from: money.Amount{Minor: 16135, Currency: "JPY"}, to: "EUR", want: 10000},
		{name: "nothing", from: money.Amount{Minor: 0, Currency: "USD"}, to: "KWD", want: 0},
		{name: "no rate for the first", from: money.Amount{Minor: 1, Currency: "SEK"}, to: "EUR", wantErr: risk.ErrNoRate},
		{name: "no rate for the second", from: money.Amount{Minor: 1, Currency: "EUR"}, to: "SEK", wantErr: risk.ErrNoRate},
		{name: "no currency", from: money.Amount{Minor: 1}, to: "EUR", wantErr: risk.ErrNoRate},
		{name: "too much", from: money.Amount{Minor: math.MaxInt64, Currency: "EUR"}, to: "INR", wantErr: money.ErrRange},
		{name: "the most", from: money.Amount{Minor: math.MaxInt64 / 91, Currency: "EUR"}, to: "INR", want: 9172694168520408900},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := r.Convert(tt.from, tt.to)
			if tt.wantErr != nil {
				if !errors.Is(err, tt.wantErr) {
					t.Fatalf("Convert(%v, %s) = %v, %v, want %v", tt.from, tt.to, got, err, tt.wantErr)
				}
				return
			}
			if want := (money.Amount{Minor: tt.want, Currency: tt.to}); err != nil || got != want {
				t.Errorf("Convert(%v, %s) = %v, %v, want %v", tt.from, tt.to, got, err, want)
			}
		})
	}
}

// TestConvertIsOrdered: more of one currency is never less of another, or a
// threshold could be passed by a smaller amount.
func TestConvertIsOrdered(t *testing.T) {
	t.Parallel()
	r := rulesOf(t, someRates)
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.SampledFrom([]money.Currency{"EUR", "USD", "JPY", "INR", "KWD"}).Draw(t, "from")
		to := rapid.SampledFrom([]money.Currency{"EUR", "USD", "JPY", "INR", "KWD"}).Draw(t, "to")
		a := rapid.Int64Range(0, 1<<40).Draw(t, "a")
		b := a + rapid.Int64Range(0, 1000).Draw(t, "more")
		first, err := r.Convert(money.Amount{Minor: a, Currency: from}, to)
		if err != nil {
			t.Fatal(err)
		}
		second, err := r.Convert(money.Amount{Minor: b, Currency: from}, to)
		if err != nil {
			t.Fatal(err)
		}
		if second.Minor < first.Minor {
			t.Errorf("%d %s is %d %s, and %d is %d", a, from, first.Minor, to, b, second.Minor)
		}
	})
}

// TestConvertInShort: the short way says what big numbers say, whatever the rates.
func TestConvertInShort(t *testing.T) {
	t.Parallel()
	currencies := []money.Currency{"EUR", "USD", "JPY", "INR", "KWD", "CLF", "SEK"} // of SEK there is no rate
	rapid.Check(t, func(t *rapid.T) {
		text := "[rates]\n"
		for _, c := range currencies[1:6] {
			rate := rapid.StringMatching(`([1-9][0-9]{0,8}|0\.0{0,4}[1-9][0-9]{0,7}|[1-9][0-9]{0,8}\.[0-9]{1,12})`).Draw(t, string(c))
			text += string(c) + " = \"" + rate + "\"\n"
		}
		r, err := risk.Load("rules.toml", []byte("profile = \"generic\"\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		from := rapid.SampledFrom(currencies).Draw(t, "from")
		to := rapid.SampledFrom(currencies).Draw(t, "to")
		for range 20 {
			a := money.Amount{Minor: rapid.Int64().Draw(t, "minor"), Currency: from}
			a.Minor >>= rapid.IntRange(0, 62).Draw(t, "less")
			got, err := r.Convert(a, to)
			want, wantErr := r.ConvertBig(a, to)
			if from == to {
				want, wantErr = a, nil
			}
			if got != want || (err == nil) != (wantErr == nil) {
				t.Fatalf("%d %s in %s: %v (%v), want %v (%v)", a.Minor, from, to, got, err, want, wantErr)
			}
		}
	})
}
