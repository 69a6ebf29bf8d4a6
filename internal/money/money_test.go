package money_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/bojanz/currency"
	"pgregory.net/rapid"

	"aorta/internal/money"
)

// TestExponents pins ISO 4217 list one: every code whose exponent is not 2, and
// those where CLDR's display digits differ from ISO's minor unit.
func TestExponents(t *testing.T) {
	t.Parallel()
	odd := map[int]string{
		0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
		3: "BHD IQD JOD KWD LYD OMR TND",
		4: "CLF UYW",
	}
	want := map[money.Currency]int{}
	for exponent, codes := range odd {
		for code := range strings.FieldsSeq(codes) {
			want[money.Currency(code)] = exponent
			if !money.Currency(code).Valid() {
				t.Errorf("Currency(%q).Valid() = false, want true", code)
			}
		}
	}
	cldrDiffers := []string{"AFN", "ALL", "IRR", "KPW", "LAK", "LBP", "MGA", "MMK", "RSD", "SOS", "SYP", "YER", "XCG", "INR"}
	for _, code := range append(currency.GetCurrencyCodes(), cldrDiffers...) {
		c := money.Currency(code)
		exponent, ok := want[c]
		if !ok {
			exponent = 2
		}
		if got := c.Exponent(); got != exponent {
			t.Errorf("Currency(%q).Exponent() = %d, want %d", code, got, exponent)
		}
	}
}

func TestNotACurrency(t *testing.T) {
	t.Parallel()
	for _, c := range []money.Currency{"", "inr", "INR ", "XXX", "XAU", "XTS", "₹", "RUPEE"} {
		if c.Valid() {
			t.Errorf("Currency(%q).Valid() = true, want false", string(c))
		}
		if got, err := money.ParseDecimal("1", c); !errors.Is(err, money.ErrCurrency) {
			t.Errorf("ParseDecimal(1, %q) = %v, %v, want ErrCurrency", string(c), got, err)
		}
		if got, err := money.FromMicros(1_000_000, c); !errors.Is(err, money.ErrCurrency) {
			t.Errorf("FromMicros(1000000, %q) = %v, %v, want ErrCurrency", string(c), got, err)
		}
		if got, err := (money.Amount{Minor: 1, Currency: c}).Micros(); !errors.Is(err, money.ErrCurrency) {
			t.Errorf("{1 %q}.Micros() = %v, %v, want ErrCurrency", string(c), got, err)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("{1 %q}.Decimal() did not panic", string(c))
				}
			}()
			_ = money.Amount{Minor: 1, Currency: c}.Decimal()
		}()
	}
}

func TestParseDecimal(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		text     string
		currency money.Currency
		want     int64 // minor units
		wantErr  error
	}{
		{name: "all decimals", text: "25.00", currency: "INR", want: 2500},
		{name: "no decimals", text: "25", currency: "INR", want: 2500},
		{name: "some decimals", text: "25.5", currency: "INR", want: 2550},
		{name: "leading zeros", text: "007.05", currency: "INR", want: 705},
		{name: "zero", text: "0", currency: "INR", want: 0},
		{name: "zero exponent", text: "500", currency: "JPY", want: 500},
		{name: "zero exponent with a point", text: "500.0", currency: "JPY", wantErr: money.ErrInexact},
		{name: "three decimals", text: "1.25", currency: "KWD", want: 1250},
		{name: "four decimals", text: "0.0001", currency: "CLF", want: 1},
		{name: "one decimal too many, though zero", text: "25.000", currency: "INR", wantErr: money.ErrInexact},
		{name: "half a paisa", text: "0.005", currency: "INR", wantErr: money.ErrInexact},
		{name: "largest", text: "92233720368547758.07", currency: "INR", want: math.MaxInt64},
		{name: "one more than the largest", text: "92233720368547758.08", currency: "INR", wantErr: money.ErrRange},
		{name: "overflow by the exponent alone", text: "9223372036854775807", currency: "INR", wantErr: money.ErrRange},
		{name: "overflow in the digits", text: "99999999999999999999999", currency: "JPY", wantErr: money.ErrRange},
		{name: "empty", text: "", currency: "INR", wantErr: money.ErrSyntax},
		{name: "minus", text: "-1", currency: "INR", wantErr: money.ErrSyntax},
		{name: "plus", text: "+1", currency: "INR", wantErr: money.ErrSyntax},
		{name: "exponent notation", text: "1e2", currency: "INR", wantErr: money.ErrSyntax},
		{name: "point first", text: ".5", currency: "INR", wantErr: money.ErrSyntax},
		{name: "point last", text: "5.", currency: "INR", wantErr: money.ErrSyntax},
		{name: "two points", text: "1.2.3", currency: "INR", wantErr: money.ErrSyntax},
		{name: "comma", text: "1,000", currency: "INR", wantErr: money.ErrSyntax},
		{name: "space", text: " 1", currency: "INR", wantErr: money.ErrSyntax},
		{name: "newline after", text: "1\n", currency: "INR", wantErr: money.ErrSyntax},
		{name: "digits of another script", text: "१२", currency: "INR", wantErr: money.ErrSyntax},
		{name: "hexadecimal", text: "0x10", currency: "INR", wantErr: money.ErrSyntax},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := money.ParseDecimal(tt.text, tt.currency)
			if tt.wantErr != nil {
				if !errors.Is(err, tt.wantErr) {
					t.Fatalf("ParseDecimal(%q, %s) = %v, %v, want error %v", tt.text, tt.currency, got, err, tt.wantErr)
				}
				return
			}
			if want := (money.Amount{Minor: tt.want, Currency: tt.currency}); err != nil || got != want {
				t.Errorf("ParseDecimal(%q, %s) = %v, %v, want %v", tt.text, tt.currency, got, err, want)
			}
		})
	}
}

func TestDecimal(t *testing.T) {
	t.Parallel()
	tests := []struct {
		amount money.Amount
		want   string
	}{
		{money.Amount{Minor: 2500, Currency: "INR"}, "25.00"},
		{money.Amount{Minor: 500, Currency: "JPY"}, "500"},
		{money.Amount{Minor: 1250, Currency: "KWD"}, "1.250"},
		{money.Amount{Minor: 1, Currency: "CLF"}, "0.0001"},
		{money.Amount{Minor: 0, Currency: "USD"}, "0.00"},
		{money.Amount{Minor: -5, Currency: "USD"}, "-0.05"},
		{money.Amount{Minor: math.MaxInt64, Currency: "INR"}, "92233720368547758.07"},
		{money.Amount{Minor: math.MinInt64, Currency: "INR"}, "-92233720368547758.08"},
		{money.Amount{Minor: math.MinInt64, Currency: "JPY"}, "-9223372036854775808"},
		{money.Amount{}, "0"},
	}
	for _, tt := range tests {
		if got := tt.amount.Decimal(); got != tt.want {
			t.Errorf("%v.Decimal() = %q, want %q", tt.amount, got, tt.want)
		}
	}
}

func TestFromMicros(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		micros   int64
		currency money.Currency
		want     int64 // minor units
		wantErr  error
	}{
		{name: "two decimals", micros: 1_230_000, currency: "USD", want: 123},
		{name: "no decimals", micros: 500_000_000, currency: "JPY", want: 500},
		{name: "three decimals", micros: 1_250_000, currency: "KWD", want: 1250},
		{name: "negative", micros: -1_230_000, currency: "USD", want: -123},
		{name: "half a cent", micros: 5_000, currency: "USD", wantErr: money.ErrInexact},
		{name: "one micro less than a yen", micros: 999_999, currency: "JPY", wantErr: money.ErrInexact},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := money.FromMicros(tt.micros, tt.currency)
			if tt.wantErr != nil {
				if !errors.Is(err, tt.wantErr) {
					t.Fatalf("FromMicros(%d, %s) = %v, %v, want error %v", tt.micros, tt.currency, got, err, tt.wantErr)
				}
				return
			}
			want := money.Amount{Minor: tt.want, Currency: tt.currency}
			if err != nil || got != want {
				t.Fatalf("FromMicros(%d, %s) = %v, %v, want %v", tt.micros, tt.currency, got, err, want)
			}
			if back, err := got.Micros(); err != nil || back != tt.micros {
				t.Errorf("%v.Micros() = %d, %v, want %d", got, back, err, tt.micros)
			}
		})
	}
	if got, err := (money.Amount{Minor: math.MaxInt64 / 1000, Currency: "USD"}).Micros(); !errors.Is(err, money.ErrRange) {
		t.Errorf("Micros() of a very large amount = %d, %v, want ErrRange", got, err)
	}
}

func TestArithmeticRefusals(t *testing.T) {
	t.Parallel()
	inr := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "INR"} }
	usd := money.Amount{Minor: 1, Currency: "USD"}
	tests := []struct {
		name string
		call func() error
		want error
	}{
		{"add, other currency", func() error { _, err := inr(1).Add(usd); return err }, money.ErrCurrency},
		{"sub, other currency", func() error { _, err := inr(1).Sub(usd); return err }, money.ErrCurrency},
		{"cmp, other currency", func() error { _, err := inr(1).Cmp(usd); return err }, money.ErrCurrency},
		{"add above", func() error { _, err := inr(math.MaxInt64).Add(inr(1)); return err }, money.ErrRange},
		{"add below", func() error { _, err := inr(math.MinInt64).Add(inr(-1)); return err }, money.ErrRange},
		{"sub above", func() error { _, err := inr(math.MaxInt64).Sub(inr(-1)); return err }, money.ErrRange},
		{"sub below", func() error { _, err := inr(math.MinInt64).Sub(inr(1)); return err }, money.ErrRange},
		{"sub the smallest", func() error { _, err := inr(0).Sub(inr(math.MinInt64)); return err }, money.ErrRange},
	}
	for _, tt := range tests {
		if err := tt.call(); !errors.Is(err, tt.want) {
			t.Errorf("%s: error = %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestFormat(t *testing.T) {
	t.Parallel()
	tests := []struct {
		amount money.Amount
		locale string
		want   string
	}{
		{money.Amount{Minor: 1234567890, Currency: "INR"}, "en-IN", "₹1,23,45,678.90"},
		{money.Amount{Minor: 1234567890, Currency: "INR"}, "en", "₹12,345,678.90"},
		{money.Amount{Minor: 500, Currency: "JPY"}, "en", "¥500"},
		{money.Amount{Minor: -5, Currency: "USD"}, "en", "-$0.05"},
		{money.Amount{Minor: 123456, Currency: "EUR"}, "de", "1.234,56\u00a0€"},
		{money.Amount{Minor: 2500, Currency: "INR"}, "no such locale", "₹25.00"},
		{money.Amount{Minor: 1200, Currency: "XCG"}, "en", "12.00 XCG"},
		{money.Amount{}, "en", "0"},
	}
	for _, tt := range tests {
		if got := tt.amount.Format(tt.locale); got != tt.want {
			t.Errorf("%v.Format(%q) = %q, want %q", tt.amount, tt.locale, got, tt.want)
		}
	}
}

var someCurrency = rapid.SampledFrom([]money.Currency{"INR", "USD", "JPY", "KWD", "CLF", "XCG"})

func TestPropertyTextRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := money.Amount{Minor: rapid.Int64Min(0).Draw(t, "minor"), Currency: someCurrency.Draw(t, "currency")}
		if back, err := money.ParseDecimal(a.Decimal(), a.Currency); err != nil || back != a {
			t.Fatalf("ParseDecimal(%q, %s) = %v, %v, want %v", a.Decimal(), a.Currency, back, err, a)
		}
		negative := money.Amount{Minor: -a.Minor, Currency: a.Currency}
		if want := "-" + a.Decimal(); a.Minor != 0 && negative.Decimal() != want {
			t.Fatalf("%v.Decimal() = %q, want %q", negative, negative.Decimal(), want)
		}
	})
}

func TestPropertyMicrosRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := money.Amount{Minor: rapid.Int64().Draw(t, "minor"), Currency: someCurrency.Draw(t, "currency")}
		micros, err := a.Micros()
		if errors.Is(err, money.ErrRange) {
			return
		}
		if back, err := money.FromMicros(micros, a.Currency); err != nil || back != a {
			t.Fatalf("FromMicros(%d, %s) = %v, %v, want %v", micros, a.Currency, back, err, a)
		}
	})
}

func TestPropertyArithmetic(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := money.Amount{Minor: rapid.Int64().Draw(t, "a"), Currency: "INR"}
		b := money.Amount{Minor: rapid.Int64().Draw(t, "b"), Currency: "INR"}
		sum, err := a.Add(b)
		if overflows := (b.Minor > 0 && a.Minor > math.MaxInt64-b.Minor) || (b.Minor < 0 && a.Minor < math.MinInt64-b.Minor); overflows {
			if !errors.Is(err, money.ErrRange) {
				t.Fatalf("%v.Add(%v) = %v, %v, want ErrRange", a, b, sum, err)
			}
			return
		}
		if err != nil {
			t.Fatalf("%v.Add(%v) = %v", a, b, err)
		}
		if back, err := sum.Sub(b); err != nil || back != a {
			t.Fatalf("%v.Sub(%v) = %v, %v, want %v", sum, b, back, err, a)
		}
		forth, err := a.Cmp(b)
		back, errBack := b.Cmp(a)
		if err != nil || errBack != nil || forth != -back || (forth == 0) != (a == b) {
			t.Fatalf("%v.Cmp(%v) = %d, %v and the reverse %d, %v", a, b, forth, err, back, errBack)
		}
	})
}

func FuzzParseDecimal(f *testing.F) {
	for _, text := range []string{"25.00", "0", ".5", "1e5", "-1", "00012.3", "9223372036854775807", "99999999999999999999"} {
		f.Add(text, "INR")
		f.Add(text, "JPY")
		f.Add(text, "KWD")
	}
	f.Fuzz(func(t *testing.T, text, code string) {
		c := money.Currency(code)
		a, err := money.ParseDecimal(text, c)
		if err != nil {
			if a != (money.Amount{}) {
				t.Fatalf("ParseDecimal(%q, %q) = %v beside error %v", text, code, a, err)
			}
			return
		}
		if a.Minor < 0 || a.Currency != c {
			t.Fatalf("ParseDecimal(%q, %q) = %v", text, code, a)
		}
		again, err := money.ParseDecimal(a.Decimal(), c)
		if err != nil || again != a {
			t.Fatalf("ParseDecimal(%q) = %v, written %q, read back as %v, %v", text, a, a.Decimal(), again, err)
		}
	})
}
