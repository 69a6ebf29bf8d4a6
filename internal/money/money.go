// Package money is an exact amount of one currency, and the three ways in which
// others write it: minor units, decimal text and Google's micros.
//
// It never rounds, never touches a float and never converts one currency into
// another: whatever cannot be said exactly is an error. Precious metals, funds
// and test codes (XAU, XXX, …) have no minor unit in ISO 4217 and are refused.
//
// Known weakness: which currencies exist comes from a table in a dependency, and
// countries change theirs. The test next door pins every exponent that is not 2.
package money

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/bojanz/currency"
)

var (
	// ErrSyntax says that a text is not a plain decimal number. Refuse the request.
	ErrSyntax = errors.New("money: not a plain decimal number")
	// ErrInexact says that a value has a fraction of a minor unit. Refuse it:
	// rounding would create or destroy money between two books.
	ErrInexact = errors.New("money: not a whole number of minor units")
	// ErrRange says that a value does not fit into an int64. Refuse it.
	ErrRange = errors.New("money: out of range")
	// ErrCurrency says that a currency is unknown, or that two amounts are of
	// different currencies. At a door refuse the request; elsewhere it is a bug.
	ErrCurrency = errors.New("money: unknown or different currency")
)

// Currency is an alphabetic ISO 4217 code in capitals: "INR", "JPY", "KWD".
type Currency string

// addedSince lists codes that came into force after the dependency's table was
// made, with their exponent.
var addedSince = map[Currency]int{
	"XCG": 2, // Caribbean guilder, ISO 4217 amendment 176, in use since 31 March 2025
}

// lookup gives the exponent of c, and whether c is a currency that money can be in.
//
// The dependency's digits are ISO's, not CLDR's display digits (which say 0 for
// IQD, LAK and many more). The test holds it to that.
func (c Currency) lookup() (exponent int, ok bool) {
	if exponent, ok := addedSince[c]; ok {
		return exponent, true
	}
	digits, ok := currency.GetDigits(string(c))
	return int(digits), ok
}

// Valid says whether c is a currency in which an amount can be held.
func (c Currency) Valid() bool {
	_, ok := c.lookup()
	return ok
}

// Exponent is the number of decimals of the minor unit: 2 for INR, 0 for JPY,
// 3 for KWD, 4 for CLF.
//
// It panics when c is not Valid. A guess would be wrong by a factor of 100, so
// doors check Valid first, and past them an unknown currency is a bug.
func (c Currency) Exponent() int {
	exponent, ok := c.lookup()
	if !ok {
		panic(fmt.Sprintf("money: no such currency: %q", string(c)))
	}
	return exponent
}

// Amount is a whole number of minor units of one currency:
// 25.00 INR is {2500, "INR"}, 500 JPY is {500, "JPY"}, 1.250 KWD is {1250, "KWD"}.
// It may be negative. The zero value is no money of no currency.
type Amount struct {
	Minor    int64
	Currency Currency
}

// pow10 is 10 to the power of its index; no exponent is above 4, and a micro has 6.
var pow10 = [...]int64{1, 10, 100, 1_000, 10_000, 100_000, 1_000_000}

// microDecimals is the number of decimals of a micro, a millionth of a major unit.
const microDecimals = 6

// ParseDecimal reads digits with at most one point between them: "25", "25.0"
// and "25.00" INR are {2500, "INR"}.
//
// Strict on purpose, since the text comes from outside: a sign, a space, a comma
// or an exponent is ErrSyntax; more decimals than the currency has is ErrInexact
// even when they are zeros; too large is ErrRange; no such currency, ErrCurrency.
func ParseDecimal(text string, c Currency) (Amount, error) {
	exponent, ok := c.lookup()
	if !ok {
		return Amount{}, ErrCurrency
	}
	if len(text) == 0 {
		return Amount{}, ErrSyntax
	}
	point := -1
	for i := range len(text) {
		switch d := text[i]; {
		case d >= '0' && d <= '9':
		case d == '.' && point < 0 && i > 0 && i < len(text)-1:
			point = i
		default:
			return Amount{}, ErrSyntax
		}
	}
	whole, fraction := text, ""
	if point >= 0 {
		whole, fraction = text[:point], text[point+1:]
	}
	if len(fraction) > exponent {
		return Amount{}, ErrInexact
	}
	var minor int64
	for _, part := range [2]string{whole, fraction} {
		for i := range len(part) {
			digit := int64(part[i] - '0')
			if minor > (math.MaxInt64-digit)/10 {
				return Amount{}, ErrRange
			}
			minor = minor*10 + digit
		}
	}
	minor, err := times(minor, pow10[exponent-len(fraction)])
	if err != nil {
		return Amount{}, err
	}
	return Amount{Minor: minor, Currency: c}, nil
}

// Decimal writes the amount in major units with all decimals of its currency and
// nothing else: "25.00" for {2500, "INR"}, "500" for {500, "JPY"}, "-0.05" for
// {-5, "USD"}. ParseDecimal reads it back when it is not negative.
//
// The zero Amount is "0"; any other amount without a valid currency panics.
func (a Amount) Decimal() string {
	if a == (Amount{}) {
		return "0"
	}
	exponent := a.Currency.Exponent()
	unsigned := uint64(a.Minor)
	text := make([]byte, 0, 24)
	if a.Minor < 0 {
		unsigned = -unsigned // also right for the smallest int64
		text = append(text, '-')
	}
	if exponent == 0 {
		return string(strconv.AppendUint(text, unsigned, 10))
	}
	unit := uint64(pow10[exponent])
	text = strconv.AppendUint(text, unsigned/unit, 10)
	text = append(text, '.')
	fraction := unsigned % unit
	for place := unit / 10; place > 0; place /= 10 {
		text = append(text, byte('0'+fraction/place%10))
	}
	return string(text)
}

// FromMicros converts millionths of a major unit, Google's notation, to minor
// units: 1_230_000 micros of USD is {123, "USD"}.
//
// It returns ErrInexact rather than rounding, since rounding here would create
// or destroy money between our books and Google's, and ErrCurrency for a
// currency that we do not know.
func FromMicros(micros int64, c Currency) (Amount, error) {
	exponent, ok := c.lookup()
	if !ok {
		return Amount{}, ErrCurrency
	}
	perMinor := pow10[microDecimals-exponent]
	if micros%perMinor != 0 {
		return Amount{}, ErrInexact
	}
	return Amount{Minor: micros / perMinor, Currency: c}, nil
}

// Micros gives the amount in millionths of a major unit: {123, "USD"} is
// 1_230_000. ErrRange above about nine trillion major units, ErrCurrency for a
// currency that we do not know.
func (a Amount) Micros() (int64, error) {
	exponent, ok := a.Currency.lookup()
	if !ok {
		return 0, ErrCurrency
	}
	return times(a.Minor, pow10[microDecimals-exponent])
}

// Add gives a+b, or ErrCurrency when the currencies differ, or ErrRange.
func (a Amount) Add(b Amount) (Amount, error) {
	if a.Currency != b.Currency {
		return Amount{}, ErrCurrency
	}
	sum := a.Minor + b.Minor
	if (sum > a.Minor) != (b.Minor > 0) {
		return Amount{}, ErrRange
	}
	return Amount{Minor: sum, Currency: a.Currency}, nil
}

// Sub gives a−b, or ErrCurrency when the currencies differ, or ErrRange.
func (a Amount) Sub(b Amount) (Amount, error) {
	if a.Currency != b.Currency {
		return Amount{}, ErrCurrency
	}
	difference := a.Minor - b.Minor
	if (difference < a.Minor) != (b.Minor > 0) {
		return Amount{}, ErrRange
	}
	return Amount{Minor: difference, Currency: a.Currency}, nil
}

// Cmp is −1, 0 or +1 as a is less than, equal to or more than b, or ErrCurrency
// when the currencies differ: 5 USD is neither more nor less than 5 EUR.
func (a Amount) Cmp(b Amount) (int, error) {
	switch {
	case a.Currency != b.Currency:
		return 0, ErrCurrency
	case a.Minor < b.Minor:
		return -1, nil
	case a.Minor > b.Minor:
		return 1, nil
	}
	return 0, nil
}

// Format writes the amount for a person who reads locale, a BCP 47 tag:
// {12345678, "INR"} in "en-IN" is "₹1,23,456.78". For pages only; protocols and
// files use Decimal. An unknown locale reads as English.
//
// A currency too new for the formatter is written as "12.00 XCG", the zero
// Amount as "0"; any other amount without a valid currency panics.
func (a Amount) Format(locale string) string {
	amount, err := currency.NewAmountFromInt64(a.Minor, string(a.Currency))
	if err != nil {
		return strings.TrimSpace(a.Decimal() + " " + string(a.Currency))
	}
	return currency.NewFormatter(currency.NewLocale(locale)).Format(amount)
}

// times gives n×factor for a positive factor, or ErrRange.
func times(n, factor int64) (int64, error) {
	product := n * factor
	if product/factor != n {
		return 0, ErrRange
	}
	return product, nil
}
