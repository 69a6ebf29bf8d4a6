package customer

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"time"

	"aorta/internal/id"
)

// Restraint is a restriction with its times.
type Restraint struct {
	Restriction Restriction
	SinceUS     int64
	UntilUS     int64 // when it ends, or may be asked to end; 0: it has no end
	EndingUS    int64 // of a self-exclusion whose end was asked for: when that takes effect; else 0

	By string      // who made it, as a note has it: whoever lifts it is another person (security.md S09); empty: nobody of the house
	Of id.Customer // the same person's customer for whom it was made; zero: this one
}

// Linked reports whether a customer is restrained since the same person is, as
// another customer.
func (r Restraint) Linked() bool { return !r.Of.IsZero() }

// Made names the making of a restraint. All copies of it, at the other customers of
// the person, have the same.
type Made struct {
	Restriction Restriction
	SinceUS     int64
	Of          id.Customer
}

// made names the making of a restraint of a customer's.
func (r Restraint) made(c id.Customer) Made {
	if r.Linked() {
		c = r.Of
	}
	return Made{r.Restriction, r.SinceUS, c}
}

// OfPerson reports whether r holds for a person, and so for each of their customers;
// the others are of one account.
func (r Restriction) OfPerson() bool {
	switch r {
	case SelfExcluded, OperatorExcluded, RegistryExcluded, Frozen:
		return true
	case Unrestricted, CoolOff, Closed:
	}
	return false
}

// maxGone bounds how many restraints that are gone a row names: the newest. They are
// named so that no other customer of the person brings them back.
const maxGone = 32

// goneBy gives the limits with restraints among those that are gone.
func (l Limits) goneBy(list ...Made) Limits {
	for _, m := range list {
		if m.Restriction.OfPerson() && !slices.Contains(l.Gone, m) {
			l.Gone = append(slices.Clone(l.Gone), m)
		}
	}
	slices.SortFunc(l.Gone, func(a, b Made) int {
		return cmp.Or(cmp.Compare(b.SinceUS, a.SinceUS), cmp.Compare(a.Restriction, b.Restriction), slices.Compare(a.Of[:], b.Of[:]))
	})
	l.Gone = l.Gone[:min(len(l.Gone), maxGone)]
	return l
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
	for _, was := range limits.Restraints {
		if m := was.made(c.ID); !slices.ContainsFunc(all, func(r Restraint) bool { return r.made(c.ID) == m }) {
			limits = limits.goneBy(m)
		}
	}
	limits.Restraints = all
	c.Limits = limits.Encode()
	return c, limits
}

// Restrict gives the customer with a restraint. One of the same kind is made longer,
// never shorter: ErrRestricted if r would end before it. Pending raises of limits end.
func (c Customer) Restrict(limits Limits, r Restraint, nowUS int64) (Customer, Limits, error) {
	all := c.restraints(limits, nowUS)
	at := slices.IndexFunc(all, func(x Restraint) bool { return x.Restriction == r.Restriction })
	for slices.Contains(limits.Gone, r.made(c.ID)) {
		r.SinceUS++ // another one, though made in the same instant
	}
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

// Lift gives the customer without a restriction that the house or a register had made,
// and what was lifted; false if they had none of it.
func (c Customer) Lift(limits Limits, what Restriction, nowUS int64) (Customer, Limits, Restraint, bool) {
	all := c.restraints(limits, nowUS)
	at := slices.IndexFunc(all, func(x Restraint) bool { return x.Restriction == what })
	if at < 0 {
		return c, limits, Restraint{}, false
	}
	r := all[at]
	c, limits = c.put(limits, slices.Delete(all, at, at+1))
	return c, limits, r, true
}

// RestrictAs gives the customer restrained as another one of the same person is, whose
// limits are from, and how: what holds for the person there holds here, unless it has
// ended here or was lifted. It is the same in whatever order, and however often, the
// customers of a person are told of each other.
func (c Customer) RestrictAs(limits Limits, as id.Customer, from Limits, nowUS int64) (Customer, Limits, []Restraint) {
	var new []Restraint
	for _, r := range from.Restraints {
		m := r.made(as)
		if !r.Restriction.OfPerson() || !r.Holds(nowUS) || slices.Contains(limits.Gone, m) || limits.covers(c.ID, r, m, nowUS) {
			continue
		}
		r.EndingUS = 0 // who wants it to end asks for each of their accounts
		if r.Of = m.Of; r.Of == c.ID {
			r.Of = id.Customer{}
		}
		next, then, err := c.Restrict(limits, r, nowUS)
		if err != nil {
			continue // a longer one holds
		}
		c, limits = next, then
		new = append(new, r)
	}
	return c, limits, new
}

// covers reports whether a customer is restrained so already, and for as long, or was
// by the very same restraint, which has ended.
func (l Limits) covers(c id.Customer, r Restraint, m Made, nowUS int64) bool {
	return slices.ContainsFunc(l.Restraints, func(x Restraint) bool {
		switch {
		case x.Restriction != r.Restriction:
			return false
		case !x.Holds(nowUS):
			return x.made(c) == m
		}
		return x.UntilUS == 0 || r.UntilUS != 0 && x.UntilUS >= r.UntilUS
	})
}

// LiftAs gives the customer without what was lifted at another one of the same person,
// whose limits are from, and what that was. What customers choose ends at each of theirs
// by itself.
func (c Customer) LiftAs(limits, from Limits, nowUS int64) (Customer, Limits, []Restraint) {
	var lifted []Restraint
	var left []Restraint
	for _, r := range c.restraints(limits, nowUS) {
		if !r.Restriction.Own() && slices.Contains(from.Gone, r.made(c.ID)) {
			lifted = append(lifted, r)
			continue
		}
		left = append(left, r)
	}
	for _, m := range from.Gone {
		if !m.Restriction.Own() {
			limits = limits.goneBy(m) // so that nobody brings it who has not heard yet
		}
	}
	c, limits = c.put(limits, left)
	return c, limits, lifted
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
