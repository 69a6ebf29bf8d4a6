package risk

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"regexp"

	"aorta/internal/money"
)

// ErrNoRate says that the rate table lacks a currency, so that a threshold
// cannot be said in it. Hold a payout, review a deposit; never let it pass.
var ErrNoRate = errors.New("risk: no rate for the currency")

// Rates are an exchange rate table. The zero Rates know no currency but the
// reference currency.
type Rates struct {
	AsOf  string            // the day that they are of, "2026-11-22"; empty: not said
	Per   map[string]string // currency → how much of it one unit of the reference currency is, "1.0842"
	exact map[money.Currency]*big.Rat
	small map[money.Currency]fraction // those of which both numbers fit into 64 bits
}

// rateForm keeps rates exact and small.
var rateForm = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,12})?$`)

// set takes a rate into the table.
func (t *Rates) set(c money.Currency, text string) error {
	if !c.Valid() {
		return fmt.Errorf("%q is no ISO 4217 currency", string(c))
	}
	rate, ok := new(big.Rat).SetString(text)
	if !rateForm.MatchString(text) || !ok || rate.Sign() <= 0 {
		return fmt.Errorf("%q is no rate: write how much of %s one unit of the reference currency is, as digits in quotes, above zero: \"1.0842\"", text, c)
	}
	if t.exact == nil {
		t.exact, t.Per = map[money.Currency]*big.Rat{}, map[string]string{}
	}
	t.exact[c], t.Per[string(c)] = rate, text
	delete(t.small, c)
	if num, den := rate.Num(), rate.Denom(); num.IsUint64() && den.IsUint64() {
		if t.small == nil {
			t.small = map[money.Currency]fraction{}
		}
		t.small[c] = fraction{num.Uint64(), den.Uint64()}
	}
	return nil
}

// fraction is a rate in two numbers, neither of them zero.
type fraction struct{ num, den uint64 }

// fraction is rate where that fits into two numbers; false if it does not, or there is none.
func (r *Rules) fraction(c money.Currency) (fraction, bool) {
	if c == r.Reference && c.Valid() {
		return fraction{1, 1}, true
	}
	f, ok := r.Rates.small[c]
	return f, ok
}

// convert is Convert where all that it needs fits into numbers of 128 bits, which is
// nearly always; false if it does not. Every deposit is held against several amounts of
// the rules, and big numbers would be most of what that costs.
func (r *Rules) convert(minor int64, from, to money.Currency) (int64, bool) {
	f, known := r.fraction(from)
	t, known2 := r.fraction(to)
	if !known || !known2 || minor < 0 {
		return 0, false
	}
	// minor × num / den
	num, ok := times64(t.num, f.den)
	den, ok2 := times64(t.den, f.num)
	var ok3 bool
	if e := to.Exponent() - from.Exponent(); e >= 0 {
		num, ok3 = times64(num, powers[e])
	} else {
		den, ok3 = times64(den, powers[-e])
	}
	if !ok || !ok2 || !ok3 || den > math.MaxInt64 {
		return 0, false
	}
	// Half up: the floor of (2 × minor × num + den) / (2 × den).
	high, low := bits.Mul64(2*uint64(minor), num)
	low, carry := bits.Add64(low, den, 0)
	high += carry // no more than 2^64 − 2 before
	if high >= 2*den {
		return 0, false
	}
	whole, _ := bits.Div64(high, low, 2*den)
	return int64(whole), whole <= math.MaxInt64
}

// powers are those of ten that currencies' exponents can differ by.
var powers = [...]uint64{1, 10, 100, 1000, 10_000}

func times64(a, b uint64) (uint64, bool) {
	high, low := bits.Mul64(a, b)
	return low, high == 0
}

// Convert says an amount in another currency, by the rate table: exactly, and
// then rounded half up to a whole minor unit, once.
//
// ErrNoRate when the table lacks one of the two, money.ErrRange when the answer
// does not fit.
func (r *Rules) Convert(a money.Amount, to money.Currency) (money.Amount, error) {
	if a.Currency == to {
		return a, nil
	}
	if minor, ok := r.convert(a.Minor, a.Currency, to); ok {
		return money.Amount{Minor: minor, Currency: to}, nil
	}
	return r.convertBig(a, to)
}

// convertBig is Convert for whatever numbers.
func (r *Rules) convertBig(a money.Amount, to money.Currency) (money.Amount, error) {
	from, err := r.rate(a.Currency)
	if err != nil {
		return money.Amount{}, err
	}
	per, err := r.rate(to)
	if err != nil {
		return money.Amount{}, err
	}
	x := new(big.Rat).SetInt64(a.Minor)
	x.Mul(x, per)
	x.Quo(x, from)
	x.Mul(x, scale(to.Exponent()-a.Currency.Exponent()))
	// Half up: the floor of x + 1/2.
	x.Add(x, big.NewRat(1, 2))
	whole := new(big.Int).Div(x.Num(), x.Denom()) // Euclidean, and the denominator is positive: the floor
	if !whole.IsInt64() {
		return money.Amount{}, fmt.Errorf("%s %s in %s: %w", a.Decimal(), a.Currency, to, money.ErrRange)
	}
	return money.Amount{Minor: whole.Int64(), Currency: to}, nil
}

// rate is how much of c one unit of the reference currency is.
func (r *Rules) rate(c money.Currency) (*big.Rat, error) {
	if c == r.Reference && c.Valid() {
		return big.NewRat(1, 1), nil
	}
	if rate, ok := r.Rates.exact[c]; ok {
		return rate, nil
	}
	return nil, fmt.Errorf("%w: %q", ErrNoRate, string(c))
}

// scale is 10 to the power of n, −4..4.
func scale(n int) *big.Rat {
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(n, -n))), nil)
	if n < 0 {
		return new(big.Rat).SetFrac(big.NewInt(1), power)
	}
	return new(big.Rat).SetInt(power)
}

// threshold says an amount of the rules in the currency that is asked about.
func (r *Rules) threshold(minor int64, c money.Currency) (int64, error) {
	a, err := r.Convert(money.Amount{Minor: minor, Currency: r.Reference}, c)
	return a.Minor, err
}

// Sum is money in several currencies, one amount each, as a customer's windows
// have it.
type Sum []money.Amount

// MarshalJSON writes a sum of nothing as [], not as null: a fact that was found
// out must not look like one that was not, when a stored decision is read back.
func (s Sum) MarshalJSON() ([]byte, error) {
	if len(s) == 0 {
		return []byte("[]"), nil
	}
	return json.Marshal([]money.Amount(s))
}

// with gives all of it and one amount more, in that one's currency.
func (r *Rules) with(s Sum, more money.Amount) (int64, error) {
	before, err := r.total(s, more.Currency)
	if err != nil {
		return 0, err
	}
	sum, err := money.Amount{Minor: before, Currency: more.Currency}.Add(more)
	return sum.Minor, err
}

// total gives all of it in one currency.
func (r *Rules) total(s Sum, c money.Currency) (int64, error) {
	sum := money.Amount{Currency: c}
	for _, each := range s {
		a, err := r.Convert(each, c)
		if err != nil {
			return 0, err
		}
		if sum, err = sum.Add(a); err != nil {
			return 0, err
		}
	}
	return sum.Minor, nil
}
