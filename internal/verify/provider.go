package verify

import (
	"cmp"
	"maps"
	"slices"

	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/money"
	"aorta/internal/payment"
)

// Movement is one line of a provider's own books: an order, refund or payout that it
// knows, and whether its money has moved.
type Movement struct {
	Reference string                // ours: the attempt's id
	Kind      payment.OperationKind // sale, refund or payout
	PSP       string                // owner of its accounts in our ledger: "psp:paytm:demo"
	Amount    money.Amount
	Moved     bool
}

// side is an account at a provider.
type side struct {
	psp      string
	currency money.Currency
}

// provider compares the provider's books with ours.
type provider struct {
	entries  map[string]*Movement
	clearing map[side]int64           // what our ledger says of each account
	theirs   map[side]int64           // what the provider says
	unbooked map[id.Attempt]*Movement // moved there, not here: a case must say so
}

func newProvider(books []Movement) *provider {
	p := &provider{entries: make(map[string]*Movement, len(books)), clearing: map[side]int64{}, theirs: map[side]int64{}, unbooked: map[id.Attempt]*Movement{}}
	for n := range books {
		p.entries[books[n].Reference] = &books[n]
	}
	return p
}

// takeClearing notes a clearing account.
func (c *checker) takeClearing(a *ledger.Account) {
	if c.provider != nil && a.Purpose == ledger.Clearing {
		c.provider.clearing[side{a.Owner, a.Currency}] += a.Balance()
	}
}

// judgeMoved: an attempt is approved if and only if the provider moved that very
// amount (C4). One that we still work on is not compared: it is decided neither
// way, see AtRest.
func (c *checker) judgeMoved(h *history) {
	if c.provider == nil {
		return
	}
	for n := range h.attempts {
		a := &h.attempts[n]
		m := c.provider.entries[a.ID.String()]
		delete(c.provider.entries, a.ID.String())
		switch {
		case !a.Status.Final() && a.due:
			continue
		case m == nil:
			if a.Status == payment.AttemptApproved || a.Status == payment.AttemptAccepted {
				c.violation(C4, "Attempt %s (%s) is %s, but the provider does not know it.", a.ID, a.Kind, a.Status)
			}
			continue
		case m.Kind != a.Kind || m.PSP != a.PSP():
			c.violation(C4, "Attempt %s is a %s by %s, at the provider a %s by %s.", a.ID, a.Kind, a.PSP(), m.Kind, m.PSP)
		case a.Status == payment.AttemptApproved && !m.Moved:
			c.violation(C4, "Attempt %s (%s) is approved, but the provider moved nothing.", a.ID, a.Kind)
		case a.Status == payment.AttemptApproved && m.Amount != a.Amount:
			c.violation(C4, "Attempt %s (%s) is of %d %s, at the provider of %d %s.", a.ID, a.Kind, a.Amount.Minor, a.Amount.Currency, m.Amount.Minor, m.Amount.Currency)
		case a.Status != payment.AttemptApproved && m.Moved:
			c.provider.unbooked[a.ID] = m
			continue
		}
		if m.Moved {
			c.provider.add(m)
		}
	}
}

func (p *provider) add(m *Movement) {
	minor := m.Amount.Minor
	if m.Kind != payment.KindSale {
		minor = -minor
	}
	p.theirs[side{m.PSP, m.Amount.Currency}] += minor
}

// explained: a case tells a person of what the provider says of an attempt and
// we could not book.
func (c *checker) explained(a id.Attempt) {
	if c.provider != nil {
		delete(c.provider.unbooked, a)
	}
}

// judgeBooks judges what is left of both sides, and their sums.
func (c *checker) judgeBooks() {
	if c.provider == nil {
		return
	}
	p := c.provider
	for _, a := range slices.SortedFunc(maps.Keys(p.unbooked), id.Attempt.Compare) {
		c.violation(C4, "The provider moved %d %s by attempt %s (%s), which is not approved, and no case says so.",
			p.unbooked[a].Amount.Minor, p.unbooked[a].Amount.Currency, a, p.unbooked[a].Kind)
	}
	for _, reference := range slices.Sorted(maps.Keys(p.entries)) {
		c.violation(C4, "The provider knows the %s %s, we do not.", p.entries[reference].Kind, reference)
	}
	order := func(a, b side) int { return cmp.Or(cmp.Compare(a.psp, b.psp), cmp.Compare(a.currency, b.currency)) }
	all := maps.Clone(p.clearing)
	maps.Copy(all, p.theirs)
	for _, s := range slices.SortedFunc(maps.Keys(all), order) {
		if p.clearing[s] != p.theirs[s] {
			c.violation(C4, "Clearing of %s is at %d %s, the provider says %d.", s.psp, p.clearing[s], s.currency, p.theirs[s])
		}
	}
}
