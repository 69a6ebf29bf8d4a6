package customer

import (
	"errors"
	"math"
	"slices"
	"time"
)

// Restraint is a restriction with its times.
type Restraint struct {
	Restriction Restriction
	SinceUS     int64
	UntilUS     int64 // when it ends, or may be asked to end; 0: it has no end
	EndingUS    int64 // of a self-exclusion whose end was asked for: when that takes effect; else 0
}

// rank orders restrictions: the stronger one shows, and the weaker ones go on beneath it.
var rank = map[Restriction]int{CoolOff: 1, SelfExcluded: 2, OperatorExcluded: 3, RegistryExcluded: 4, Closed: 5, Frozen: 6}

// Known reports whether r is a restriction.
func (r Restriction) Known() bool { return rank[r] > 0 }

// Own reports whether a customer chooses it for themselves.
func (r Restriction) Own() bool { return r == CoolOff || r == SelfExcluded }

var (
	// ErrRestricted: a restriction that holds forbids it.
	ErrRestricted = errors.New("the customer is restricted")
	// ErrNotEnding: no self-exclusion holds whose end can be asked for yet. Its
	// UntilUS says when it can be.
	ErrNotEnding = errors.New("the restriction cannot be asked to end")
)

// CoolOffFor gives a cool-off of a number of hours. Which there may be, the rules say.
func CoolOffFor(hours, nowUS int64) Restraint {
	return Restraint{Restriction: CoolOff, SinceUS: nowUS, UntilUS: nowUS + hours*time.Hour.Microseconds()}
}

// ExcludeFor gives a self-exclusion of a number of months; 0: without end.
func ExcludeFor(months, nowUS int64) Restraint {
	r := Restraint{Restriction: SelfExcluded, SinceUS: nowUS}
	if months != 0 {
		r.UntilUS = monthsAfter(nowUS, months)
	}
	return r
}

func monthsAfter(us, months int64) int64 {
	return time.UnixMicro(us).UTC().AddDate(0, int(months), 0).UnixMicro()
}

// Holds reports whether the restraint holds at an instant. A cool-off ends by itself,
// a self-exclusion when its end takes effect, the others by whoever made them.
func (r Restraint) Holds(nowUS int64) bool {
	switch r.Restriction {
	case Unrestricted:
		return false
	case CoolOff:
		return nowUS < r.UntilUS
	case SelfExcluded:
		return r.EndingUS == 0 || nowUS < r.EndingUS
	case OperatorExcluded, RegistryExcluded, Frozen, Closed:
		return r.UntilUS == 0 || nowUS < r.UntilUS
	}
	return true
}

// Restrained gives the strongest restraint that holds at an instant; the zero one if
// none does. limits are the row's, decoded.
func (c Customer) Restrained(limits Limits, nowUS int64) Restraint {
	best := Restraint{}
	if c.Restriction == Unrestricted {
		return best
	}
	for _, r := range c.restraints(limits, nowUS) {
		if rank[r.Restriction] > rank[best.Restriction] {
			best = r
		}
	}
	return best
}

// restraints are all that hold.
func (c Customer) restraints(limits Limits, nowUS int64) []Restraint {
	var out []Restraint
	for _, r := range limits.Restraints {
		if r.Holds(nowUS) {
			out = append(out, r)
		}
	}
	row := Restraint{Restriction: c.Restriction, UntilUS: c.RestrictedUntilUS, EndingUS: c.EndingUS}
	if row.Holds(nowUS) && !slices.ContainsFunc(limits.Restraints, func(r Restraint) bool { return r.Restriction == row.Restriction }) {
		out = append(out, row)
	}
	return out
}

// put writes restraints on the row, which shows the strongest.
func (c Customer) put(limits Limits, all []Restraint) (Customer, Limits) {
	slices.SortStableFunc(all, func(a, b Restraint) int { return rank[b.Restriction] - rank[a.Restriction] })
	top := Restraint{}
	if len(all) > 0 {
		top = all[0]
	}
	c.Restriction, c.RestrictedUntilUS, c.EndingUS = top.Restriction, top.UntilUS, top.EndingUS
	limits.Restraints = all
	c.Limits = limits.Encode()
	return c, limits
}

// Restrict gives the customer with a restraint. One of the same kind is made longer,
// never shorter: ErrRestricted if r would end before it. Pending raises of limits end.
func (c Customer) Restrict(limits Limits, r Restraint, nowUS int64) (Customer, Limits, error) {
	all := c.restraints(limits, nowUS)
	at := slices.IndexFunc(all, func(x Restraint) bool { return x.Restriction == r.Restriction })
	switch {
	case at < 0:
		all = append(all, r)
	case r.ends() < all[at].ends():
		return c, limits, ErrRestricted
	default:
		all[at] = r
	}
	limits.List = slices.Clone(limits.List)
	for n := range limits.List {
		limits.List[n].Pending, limits.List[n].HasAsked = Pending{}, false
	}
	c, limits = c.put(limits, all)
	return c, limits, nil
}

// ends orders restraints by their end.
func (r Restraint) ends() int64 {
	if r.EndingUS != 0 {
		return r.EndingUS
	}
	if r.UntilUS == 0 {
		return math.MaxInt64
	}
	return r.UntilUS
}

// Lift gives the customer without a restriction that the house or a register had made;
// false if they had none of it.
func (c Customer) Lift(limits Limits, what Restriction, nowUS int64) (Customer, Limits, bool) {
	all := c.restraints(limits, nowUS)
	at := slices.IndexFunc(all, func(x Restraint) bool { return x.Restriction == what })
	if at < 0 {
		return c, limits, false
	}
	c, limits = c.put(limits, slices.Delete(all, at, at+1))
	return c, limits, true
}

// AskEnd gives the customer whose self-exclusion is to end after a further delay, which
// they may ask for once its time is over, or once one without end has lasted for the
// least months that there are. delay says how much longer it then holds. ErrNotEnding:
// its time is not over, or there is none. Asked again, it stays as it is.
func (c Customer) AskEnd(limits Limits, nowUS, least int64, delay func(Restraint) time.Duration) (Customer, Limits, Restraint, error) {
	all := c.restraints(limits, nowUS)
	at := slices.IndexFunc(all, func(x Restraint) bool { return x.Restriction == SelfExcluded })
	if at < 0 {
		return c, limits, Restraint{}, ErrNotEnding
	}
	r := all[at]
	if nowUS < r.mayAskEnd(least) {
		return c, limits, r, ErrNotEnding
	}
	if r.EndingUS == 0 {
		r.EndingUS = nowUS + delay(r).Microseconds()
		all[at] = r
		c, limits = c.put(limits, all)
	}
	return c, limits, r, nil
}

// mayAskEnd is from when the end of a self-exclusion can be asked for.
func (r Restraint) mayAskEnd(least int64) int64 {
	if r.UntilUS == 0 {
		return monthsAfter(r.SinceUS, least)
	}
	return r.UntilUS
}

// MayAskEnd is from when the end of the self-exclusion can be asked for; 0: there is
// none, or it was asked for.
func (l Limits) MayAskEnd(least int64) int64 {
	for _, r := range l.Restraints {
		if r.Restriction == SelfExcluded && r.EndingUS == 0 {
			return r.mayAskEnd(least)
		}
	}
	return 0
}
