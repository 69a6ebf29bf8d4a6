// Package recon compares what Google's remittance statements say with what our own
// books say (google-tokenized-fop.md section 7): pure arithmetic in micros,
// millionths of a major unit, and verdicts on lines and sums.
//
// It reads nothing and books nothing; flow hands it the facts. It rounds in two
// places alone: Round, for the order to the bank, and FeeToVAT, which splits a fee.
// Whatever does not fit into an int64 is money.ErrRange, never a wrong sum.
//
// Its known weakness: which amount of tax follows from a fee that is no whole number
// of micros is not said anywhere, so each line may be rounded either way (Range).
package recon

import (
	"fmt"
	"math"
	"math/bits"

	"aorta/internal/money"
)

// Class is a way in which a statement and our books differ.
type Class string

// The classes of section 7.
const (
	MissingAtGoogle Class = "MISSING_AT_GOOGLE" // ours, and in no statement by now
	MissingAtUs     Class = "MISSING_AT_US"     // Google's, and we have moved no money for it
	AmountDiff      Class = "AMOUNT_DIFF"
	CurrencyDiff    Class = "CURRENCY_DIFF"   // of ours, or of the statement's
	DuplicateEvent  Class = "DUPLICATE_EVENT" // in this statement twice, or in another one
	WrongPeriod     Class = "WRONG_PERIOD"    // outside the statement's; of a statement: overlaps an accepted one
	FeeDiff         Class = "FEE_DIFF"        // not what the contract says
	TotalDiff       Class = "TOTAL_DIFF"      // the events do not make up the total
)

// Kind is what an event is about.
type Kind string

// The kinds. A name of one kind says nothing about the other.
const (
	Capture Kind = "capture"
	Refund  Kind = "refund"
)

// Event is one line of a statement, as Google says it.
type Event struct {
	Kind     Kind
	Name     string // eventRequestId: the requestId of the capture or refund
	Currency money.Currency
	Micros   int64 // never negative: a refund's kind is its sign
	HasFee   bool
	Fee      int64 // micros; of a refund: what is taken, not given back
	AtMS     int64 // 0: not said
}

// Fact is what our books have under an event's name.
type Fact struct {
	Amount    money.Amount
	AtUS      int64 // when its money moved
	Elsewhere bool  // another statement has it, which is not disputed
}

// Period is what a statement is about, both ends inclusive. Google writes the end as
// the last whole second, so all of that second is within.
type Period struct{ StartMS, EndMS int64 }

func (p Period) lastMS() int64 {
	if p.EndMS%1000 == 0 {
		return p.EndMS + 999
	}
	return p.EndMS
}

// Overlaps reports whether two statements claim the same time. To share one instant,
// where one ends and the other starts, is not meant.
func (p Period) Overlaps(q Period) bool {
	return p.StartMS < q.EndMS && q.StartMS < p.EndMS || p.StartMS == q.StartMS
}

// holds reports whether an instant of our clock may be of this period. Google puts a
// purchase at a time of its own: when it asked first, or when it heard our answer.
func (p Period) holds(atUS, slackUS int64) bool {
	return atUS >= p.StartMS*1000-slackUS && atUS <= p.lastMS()*1000+999+slackUS
}

// Due reports whether what moved at an instant must be in the statement of this
// period or an earlier one, so that it is MissingAtGoogle if it is in none. The
// window lies slackUS before the period: what Google counts to the next period is
// looked for again with that one, and each instant is looked at once.
func (p Period) Due(atUS, slackUS int64) bool {
	return atUS >= p.StartMS*1000-slackUS && atUS <= p.lastMS()*1000+999-slackUS
}

// DueFromUS and DueToUS are the window of Due, both ends inclusive.
func (p Period) DueFromUS(slackUS int64) int64 { return p.StartMS*1000 - slackUS }

// DueToUS is the window's end.
func (p Period) DueToUS(slackUS int64) int64 { return p.lastMS()*1000 + 999 - slackUS }

// Judge says what is wrong with one line; nothing, if it agrees with our books.
// twice: this statement has had an event of that kind and name.
func (t Terms) Judge(e Event, f Fact, known, twice bool, statement money.Currency, p Period) ([]Class, error) {
	var out []Class
	add := func(c Class, wrong bool) {
		if wrong {
			out = append(out, c)
		}
	}
	add(DuplicateEvent, twice || known && f.Elsewhere)
	add(MissingAtUs, !known)
	wrongPeriod := e.AtMS != 0 && (e.AtMS < p.StartMS || e.AtMS > p.lastMS())
	if known {
		ours, err := f.Amount.Micros()
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", e.Kind, e.Name, err)
		}
		add(AmountDiff, ours != e.Micros && e.Currency == f.Amount.Currency)
		wrongPeriod = wrongPeriod || !p.holds(f.AtUS, t.SlackUS)
	}
	add(CurrencyDiff, e.Currency != statement || known && e.Currency != f.Amount.Currency)
	add(WrongPeriod, wrongPeriod)
	if t.Checked && e.HasFee {
		want, err := t.fee(e)
		if err != nil {
			return nil, err
		}
		add(FeeDiff, !want.Holds(e.Fee))
	}
	return out, nil
}

// Range is an amount of micros that may be rounded either way: Low to High, and both
// the same where nothing is to be rounded.
type Range struct{ Low, High int64 }

func exactly(n int64) Range { return Range{n, n} }

// Holds reports whether n may be that amount.
func (r Range) Holds(n int64) bool { return r.Low <= n && n <= r.High }

func (r Range) plus(x Range) (Range, error) {
	low, err := Add(r.Low, x.Low)
	if err != nil {
		return r, err
	}
	high, err := Add(r.High, x.High)
	return Range{low, high}, err
}

func (r Range) minus(x Range) (Range, error) {
	low, err := Sub(r.Low, x.High)
	if err != nil {
		return r, err
	}
	high, err := Sub(r.High, x.Low)
	return Range{low, high}, err
}

// part is rate millionths of each end.
func (r Range) part(rate Rate) (Range, error) {
	low, _, err := mulDiv(r.Low, int64(rate), millionths)
	if err != nil {
		return r, err
	}
	high, rest, err := mulDiv(r.High, int64(rate), millionths)
	if err == nil && rest > 0 {
		high, err = Add(high, 1)
	}
	return Range{low, high}, err
}

// millionths is how many of a rate make the whole.
const millionths = 1_000_000

// Add gives a+b, or money.ErrRange.
func Add(a, b int64) (int64, error) {
	sum := a + b
	if (sum > a) != (b > 0) && b != 0 {
		return 0, money.ErrRange
	}
	return sum, nil
}

// Sub gives a−b, or money.ErrRange.
func Sub(a, b int64) (int64, error) {
	d := a - b
	if (d < a) != (b > 0) && b != 0 {
		return 0, money.ErrRange
	}
	return d, nil
}

// mulDiv gives a×b/c rounded down, and the rest, from 0 up to c. b is not negative
// and c is positive.
func mulDiv(a, b, c int64) (q, rest int64, err error) {
	hi, lo := bits.Mul64(abs(a), uint64(b))
	if hi >= uint64(c) {
		return 0, 0, money.ErrRange
	}
	u, r := bits.Div64(hi, lo, uint64(c))
	if u > math.MaxInt64 {
		return 0, 0, money.ErrRange
	}
	switch q, rest = int64(u), int64(r); {
	case a < 0 && rest > 0:
		return -q - 1, c - rest, nil
	case a < 0:
		return -q, 0, nil
	}
	return q, rest, nil
}

// abs is right for the smallest int64 as well.
func abs(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}
