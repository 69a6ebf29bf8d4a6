package fop

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"aorta/internal/money"
)

// Sums is what was taken with an association on one day and in one month of UTC, by
// currency. Money that was given back is not taken off: else a limit could be spent
// twice.
type Sums struct {
	Day, Month int64 // 20261123, 202611; those of the newest purchase
	List       []Sum // in the order in which the currencies came
}

// Sum is what was taken in one currency, in minor units.
type Sum struct {
	Currency   money.Currency
	Day, Month int64
}

// At gives the sums as of an instant: what is of another day or month counts no more. A
// clock that was set back does not bring an old day again.
func (s Sums) At(nowUS int64) Sums {
	now := time.UnixMicro(nowUS).UTC()
	month := int64(now.Year())*100 + int64(now.Month())
	day := month*100 + int64(now.Day())
	if day <= s.Day {
		return s
	}
	out := Sums{Day: day, Month: month}
	for _, x := range s.List {
		x.Day = 0
		if month != s.Month {
			continue
		}
		out.List = append(out.List, x)
	}
	return out
}

// Of gives what was taken in a currency.
func (s Sums) Of(c money.Currency) Sum {
	for _, x := range s.List {
		if x.Currency == c {
			return x
		}
	}
	return Sum{Currency: c}
}

// Add counts what is taken; money.ErrRange beyond what can be counted.
func (s Sums) Add(a money.Amount) (Sums, error) {
	x := s.Of(a.Currency)
	if x.Day+a.Minor < x.Day || x.Month+a.Minor < x.Month {
		return s, money.ErrRange
	}
	x.Day, x.Month = x.Day+a.Minor, x.Month+a.Minor
	s.List = slices.Clone(s.List)
	for n := range s.List {
		if s.List[n].Currency == a.Currency {
			s.List[n] = x
			return s, nil
		}
	}
	s.List = append(s.List, x)
	return s, nil
}

// Encode writes the sums as the stores keep them: "20261123.202611;INR.72800.99000".
func (s Sums) Encode() string {
	out := strconv.AppendInt(nil, s.Day, 10)
	out = strconv.AppendInt(append(out, '.'), s.Month, 10)
	for _, x := range s.List {
		out = append(append(out, ';'), x.Currency...)
		out = strconv.AppendInt(append(out, '.'), x.Day, 10)
		out = strconv.AppendInt(append(out, '.'), x.Month, 10)
	}
	return string(out)
}

// errSums: a text that Encode did not write. Always a bug.
var errSums = errors.New("fop: not the sums of an association")

// DecodeSums reads what Encode wrote; "" is nothing yet.
func DecodeSums(text string) (Sums, error) {
	var s Sums
	if text == "" {
		return s, nil
	}
	for n, part := range strings.Split(text, ";") {
		words := strings.Split(part, ".")
		switch {
		case n == 0 && len(words) == 2:
			words = append([]string{""}, words...)
		case n == 0 || len(words) != 3:
			return Sums{}, fmt.Errorf("%w: %q", errSums, text)
		}
		day, err := strconv.ParseInt(words[1], 10, 64)
		month, err2 := strconv.ParseInt(words[2], 10, 64)
		if err != nil || err2 != nil || day < 0 || month < 0 {
			return Sums{}, fmt.Errorf("%w: %q", errSums, text)
		}
		if n == 0 {
			s.Day, s.Month = day, month
			continue
		}
		s.List = append(s.List, Sum{money.Currency(words[0]), day, month})
	}
	return s, nil
}
