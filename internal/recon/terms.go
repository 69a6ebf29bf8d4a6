package recon

import (
	"errors"
	"fmt"

	"aorta/internal/money"
)

// Rate is a part in millionths: 25_000 is 2.5 %.
type Rate int64

// Whole is 100 %.
const Whole Rate = millionths

// ErrRate: no percentage from 0 to 100 with at most four decimals. Write it as "2.5".
var ErrRate = errors.New("write a percentage from 0 to 100 with at most four decimals, such as \"2.5\"")

// ParseRate reads a percentage: "2.5" is 25_000 millionths.
func ParseRate(percent string) (Rate, error) {
	// A percent has four decimals of a millionth, as CLF has of its minor unit.
	a, err := money.ParseDecimal(percent, "CLF")
	if err != nil || a.Minor > millionths {
		return 0, ErrRate
	}
	return Rate(a.Minor), nil
}

// Terms are what a contract with Google says of money.
type Terms struct {
	Checked bool // there are terms; else what Google says of fees is believed, and reported as not checked

	Fee         Rate // of each capture, kept by us, and not given back with a refund
	Tax         Rate // of the fees
	Withholding Rate // of each capture

	SlackUS int64 // how far the two clocks of one purchase may lie apart
}

// fee is what the contract says of an event.
func (t Terms) fee(e Event) (Range, error) {
	if e.Kind == Refund {
		return Range{}, nil
	}
	return exactly(e.Micros).part(t.Fee)
}

// Sums are what the events of a statement add up to, in micros.
type Sums struct {
	Events int64

	Captures, Refunds      int64
	Fees, Tax, Withholding Range
}

// Add counts an event in. Its currency must be the statement's.
func (s Sums) Add(t Terms, e Event) (Sums, error) {
	if e.Micros < 0 {
		return s, fmt.Errorf("%s %q is of %d micros: %w", e.Kind, e.Name, e.Micros, money.ErrRange)
	}
	fee := exactly(e.Fee)
	withheld := Range{}
	var err error
	if !e.HasFee {
		if fee, err = t.fee(e); err != nil {
			return s, err
		}
	}
	tax, err := fee.part(t.Tax)
	if err != nil {
		return s, err
	}
	s.Events++
	switch e.Kind {
	case Capture:
		if withheld, err = exactly(e.Micros).part(t.Withholding); err == nil {
			s.Captures, err = Add(s.Captures, e.Micros)
		}
	case Refund:
		s.Refunds, err = Add(s.Refunds, e.Micros)
	}
	for _, x := range []struct {
		into *Range
		more Range
	}{{&s.Fees, fee}, {&s.Tax, tax}, {&s.Withholding, withheld}} {
		if err == nil {
			*x.into, err = x.into.plus(x.more)
		}
	}
	return s, err
}

// Due is what we owe Google by these events, or, below zero, Google owes us.
func (s Sums) Due() (Range, error) {
	moved, err := Sub(s.Captures, s.Refunds)
	if err != nil {
		return Range{}, err
	}
	due := exactly(moved)
	for _, x := range []Range{s.Fees, s.Tax, s.Withholding} {
		if due, err = due.minus(x); err != nil {
			return Range{}, err
		}
	}
	return due, nil
}

// FeeToVAT says that a part of what was booked as fee is VAT
// (acceptRemittanceStatementWithModifications). What is due does not change.
type FeeToVAT struct {
	Ratio   int64 // vatToFeeRatioInMicros: 150_000 is 0.15; positive
	OfGross bool  // the ratio is of fee and VAT together; else of the fee without it
}

// Split takes a gross fee apart, rounded to the nearest micro.
func (m FeeToVAT) Split(gross int64) (fee, vat int64, err error) {
	if m.OfGross {
		if vat, err = nearest(gross, m.Ratio, millionths); err != nil {
			return 0, 0, err
		}
		fee, err = Sub(gross, vat)
		return fee, vat, err
	}
	whole, err := Add(millionths, m.Ratio)
	if err != nil {
		return 0, 0, err
	}
	if fee, err = nearest(gross, millionths, whole); err != nil {
		return 0, 0, err
	}
	vat, err = Sub(gross, fee)
	return fee, vat, err
}

// nearest gives a×b/c to the nearest, halves away from zero.
func nearest(a, b, c int64) (int64, error) {
	down, rest, err := mulDiv(a, b, c)
	if err != nil {
		return 0, err
	}
	if rest > c-rest || rest == c-rest && a > 0 {
		return Add(down, 1)
	}
	return down, nil
}

// Round is the one rounding of a statement: what the bank is told to pay, to the
// nearest minor unit, halves away from zero; rest is what is left of micros.
func Round(micros int64, c money.Currency) (a money.Amount, rest int64, err error) {
	unit, err := money.Amount{Minor: 1, Currency: c}.Micros()
	if err != nil {
		return a, 0, err
	}
	a.Currency = c
	if a.Minor, err = nearest(micros, 1, unit); err != nil {
		return a, 0, err
	}
	back, err := a.Micros()
	if err != nil {
		return a, 0, err
	}
	rest, err = Sub(micros, back)
	return a, rest, err
}

// Booking is how a paid statement leaves Google's claim, in minor units: Claim is the
// sum of the others.
type Booking struct {
	Claim    int64 // our captures less refunds: what leaves receivable
	Bank     int64 // paid to Google; below zero: by Google
	Fees     int64 // ours
	Taxes    int64 // on fees, and withheld: owed to the state
	Suspense int64 // what was accepted without being in our books, or the other way round
	Rounding int64 // what is left of rounding each of them
}

// Book splits a claim. All but claim are micros.
func Book(claim money.Amount, due, fees, taxes int64) (Booking, error) {
	b := Booking{Claim: claim.Minor}
	open, err := claim.Micros()
	if err != nil {
		return b, err
	}
	for _, x := range []struct {
		micros int64
		into   *int64
	}{{due, &b.Bank}, {fees, &b.Fees}, {taxes, &b.Taxes}} {
		a, _, err := Round(x.micros, claim.Currency)
		if err != nil {
			return b, err
		}
		*x.into = a.Minor
		if open, err = Sub(open, x.micros); err != nil {
			return b, err
		}
	}
	suspense, _, err := Round(open, claim.Currency)
	if err != nil {
		return b, err
	}
	b.Suspense, b.Rounding = suspense.Minor, claim.Minor
	for _, n := range []int64{b.Bank, b.Fees, b.Taxes, b.Suspense} {
		if b.Rounding, err = Sub(b.Rounding, n); err != nil {
			return b, err
		}
	}
	return b, nil
}
