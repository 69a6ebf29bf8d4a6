package limit

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"aorta/internal/id"
	"aorta/internal/money"
)

// Float is what was paid out lately by one merchant, or by one PSP account: a sum over
// customers of all buckets, so it lies in a bucket of its own name's and not in theirs
// (limits-and-risk.md section 4.7).
//
//	claim: it fits, and is reserved ─▶ the payout is begun ─▶ the payout ends: used, or freed
//
// A payout claims its place here before it is begun or sent, in an act that looks and
// reserves at once, so of any number of payouts none passes what another has used up.
// The claim has a due row, by which it ends with its payout whatever happens in between.
type Float struct {
	ID        id.Raw
	Name      string // "merchant:1", "psp:generic:house"
	Entries   string // Outflows, as JSON
	ChangedUS int64
}

// FloatID is the id of the float of a name, in one of so many buckets.
func FloatID(buckets int, name string) id.Raw {
	return floatIn(id.BucketOf(buckets, "float", name), name)
}

func floatIn(b id.Bucket, name string) id.Raw { return id.Derive(b, "float", name) }

// Claim is the place of a payout in a float.
type Claim struct {
	ID        id.Raw
	Payment   id.Payment
	Name      string // the float's
	State     ClaimState
	Currency  money.Currency
	Minor     int64  // what is reserved, or was paid
	Before    string // JSON: what the float held before it
	AtUS      int64  // when it was reserved; of a used one, when its payout ended
	ChangedUS int64
}

// ClaimState is where a claim stands. What came to nothing has none: its row is gone.
type ClaimState string

// The states of a claim.
const (
	ClaimReserved ClaimState = "reserved" // its payout has not ended
	ClaimUsed     ClaimState = "used"     // and so much was paid; kept until it counts no more
)

// ClaimID is the id of a payout's claim. It lies with its float.
func ClaimID(float id.Raw, p id.Payment) id.Raw {
	return id.Derive(float.Bucket(), "claim", string(float[:]), p.String())
}

// Float is the id of the float that the claim is a place in.
func (c Claim) Float() id.Raw { return floatIn(c.ID.Bucket(), c.Name) }

// Amount is what the claim reserves, or has used.
func (c Claim) Amount() money.Amount { return money.Amount{Minor: c.Minor, Currency: c.Currency} }

// Outflow is what a float holds in one currency: what payouts under way have reserved,
// which counts however old they are, and what was paid, by the minute in which the
// payout ended. It leaves with the end of its minute, so a limit is never loosened early.
type Outflow struct {
	Reserved int64      `json:"reserved,omitempty"`
	Minutes  [][2]int64 `json:"minutes,omitempty"` // the minute, counted since 1970, and what was paid in it; oldest first
}

// Outflows are those of all currencies.
type Outflows map[money.Currency]Outflow

// Outflows reads what a float holds.
func (f Float) Outflows() (Outflows, error) {
	out := Outflows{}
	if f.Entries == "" {
		return out, nil
	}
	if err := json.Unmarshal([]byte(f.Entries), &out); err != nil {
		return nil, fmt.Errorf("float %s: %w", f.Name, err)
	}
	return out, nil
}

// With gives the float with these, as of an instant: what counts no more is left out.
func (f Float) With(o Outflows, nowUS int64) Float {
	after := Day.After(nowUS, nil)
	for c, x := range o {
		x.Minutes = slices.DeleteFunc(slices.Clone(x.Minutes), func(m [2]int64) bool { return !counts(m, after) })
		if o[c] = x; x.Reserved == 0 && len(x.Minutes) == 0 {
			delete(o, c)
		}
	}
	text, err := json.Marshal(o)
	if err != nil {
		panic("plain fields cannot fail to encode: " + err.Error())
	}
	f.Entries, f.ChangedUS = string(text), nowUS
	return f
}

func counts(minute [2]int64, afterUS int64) bool { return (minute[0]+1)*minuteUS > afterUS }

// Sum is what counts after an instant, by currency in the order of their names.
func (o Outflows) Sum(afterUS int64) []money.Amount {
	out := []money.Amount{}
	for _, c := range slices.Sorted(maps.Keys(o)) {
		sum := o[c].Reserved
		for _, m := range o[c].Minutes {
			if counts(m, afterUS) {
				sum = plus(sum, m[1])
			}
		}
		if sum != 0 {
			out = append(out, money.Amount{Minor: sum, Currency: c})
		}
	}
	return out
}

// Reserve adds to what is reserved; a negative amount takes from it.
func (o Outflows) Reserve(a money.Amount) {
	x := o[a.Currency]
	x.Reserved += a.Minor
	o[a.Currency] = x
}

// Use counts what was paid at an instant.
func (o Outflows) Use(a money.Amount, atUS int64) {
	x, minute := o[a.Currency], floor(atUS, minuteUS)/minuteUS
	n, found := slices.BinarySearchFunc(x.Minutes, minute, func(m [2]int64, k int64) int { return int(m[0] - k) })
	x.Minutes = slices.Clone(x.Minutes)
	if found {
		x.Minutes[n][1] = plus(x.Minutes[n][1], a.Minor)
	} else {
		x.Minutes = slices.Insert(x.Minutes, n, [2]int64{minute, a.Minor})
	}
	o[a.Currency] = x
}

// ClaimKeptFor is how long a used claim is kept: for as long as it counts, and a while.
const ClaimKeptFor = 25 * 60 * minuteUS
