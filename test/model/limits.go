package model

import "slices"

// Limits on deposits of a licensed house (limits-and-risk.md sections 0 and 1). What
// counts in one is what is open and what has come within its period, so it is kept at
// every instant or not at all. A first or lower one holds at once; a raise does not, and
// money of a payment that was begun before it was lowered is not played with.

// Limit is a customer's own limit on deposits, as it is asked for and as it is written.
type Limit struct {
	Customer, Period, Currency string
	Minor                      int64
	AtUS                       int64 // of a written one
	Raise                      bool  // of a written one: it waits
}

// AskedSale is a request on its way, and what was so at any time since.
type AskedSale struct {
	Sale
	full bool // it would have passed a limit
}

// bound is a limit that holds.
type bound struct {
	minor, lowerUS int64
	was            int64 // before the commit that is being followed
	fresh          bool  // it was set or lowered by it
}

// limitKey names a limit. There is one of each period.
type limitKey struct{ customer, period, currency string }

// limitPeriods are the periods, in microseconds (limits-and-risk.md section 1.1).
var limitPeriods = map[string]int64{"day": 24 * 3600 * 1_000_000, "week": 7 * 24 * 3600 * 1_000_000}

// limitSteps are counted beside the moves of the table.
var limitSteps = []string{"set", "lowered", "a raise that waits", RefusedFull}

// RefusedFull is why a sale may be refused.
const RefusedFull = "a limit is reached"

func (m *Model) makesLimit(step string) { m.made["limit: "+step]++ }

// LimitAsked: a customer asks for a limit. Whether it was set is not known yet.
func (m *Model) LimitAsked(l Limit) { m.limitsAsked[l] = true }

// LimitAnswered: they were told that it is: it is there, or was (C2).
func (m *Model) LimitAnswered(l Limit) {
	b := m.limits[limitKey{l.Customer, l.Period, l.Currency}]
	if !m.limitsMade[l] && (b == nil || b.minor != l.Minor) {
		m.fault("a limit of %d a %s was acknowledged to %s, and was never committed (C2)", l.Minor, l.Period, l.Customer)
	}
}

// none is above all limits.
const none = int64(1) << 62

// setLimit follows a limit that was written.
func (m *Model) setLimit(l Limit) {
	asked := Limit{Customer: l.Customer, Period: l.Period, Currency: l.Currency, Minor: l.Minor}
	if !m.limitsAsked[asked] {
		m.fault("a limit of %d a %s is set for %s, and nobody asked for it (limits 1.1)", l.Minor, l.Period, l.Customer)
	}
	m.limitsMade[asked] = true
	k := limitKey{l.Customer, l.Period, l.Currency}
	b := m.limits[k]
	switch {
	case b == nil && !l.Raise:
		m.limits[k] = &bound{minor: l.Minor, lowerUS: l.AtUS, was: none, fresh: true}
		m.makesLimit("set")
	case b == nil:
		m.fault("a first limit of %s waits like a raise (limits 1.2)", l.Customer)
	case l.Raise != (l.Minor > b.minor):
		m.fault("a limit of %s goes from %d to %d, and waits: %t (limits 1.2)", l.Customer, b.minor, l.Minor, l.Raise)
	case l.Raise:
		m.makesLimit("a raise that waits")
	case l.Minor < b.minor:
		if !b.fresh {
			b.was = b.minor
		}
		b.minor, b.lowerUS, b.fresh = l.Minor, l.AtUS, true
		m.makesLimit("lowered")
	}
}

// counts is what counts of a customer's payments in a period that ends at an instant:
// what has come, and what may.
func (m *Model) counts(k limitKey, atUS int64, but *payment) (came, open int64) {
	for _, p := range m.pays {
		switch {
		case p == but || p.Type == "payout" || p.Customer != k.customer || p.Currency != k.currency:
		case slices.Contains(paid, p.Status):
			if p.cameUS > atUS-limitPeriods[k.period] {
				came += p.Minor
			}
		case p.Status != "declined":
			open += p.Minor
		}
	}
	return came, open
}

// limitsOf are the limits of a customer, in order.
func (m *Model) limitsOf(customer, currency string) []limitKey {
	var out []limitKey
	for k := range m.limits {
		if k.customer == customer && k.currency == currency {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b limitKey) int { return len(a.period) - len(b.period) })
	return out
}

// apartUS is how far apart the platform takes the clocks of its processes to be.
const apartUS = 5 * 1_000_000

// barred says why money of a payment that comes at an instant is not its customer's to
// play with: a limit was lowered since it was begun, and it would pass that. sure is
// false where the limit was changed by the same commit, or so shortly before that the
// clocks do not tell: who was first is not seen.
func (m *Model) barred(p *payment, atUS int64) (is, sure bool) {
	sure = true
	for _, k := range m.limitsOf(p.Customer, p.Currency) {
		b := m.limits[k]
		if b.fresh {
			sure = false
		}
		if came, _ := m.counts(k, atUS, p); b.lowerUS >= p.CreatedUS-apartUS && came+p.Minor > b.minor {
			is = true
			sure = sure && b.lowerUS >= p.CreatedUS
		}
	}
	return is, sure
}

// admitted: what a commit has begun was let in by every limit, all together. A limit
// may have been lowered after it by the same commit; so much is not seen.
func (m *Model) admitted(begun []*payment, events []Event) {
	for _, p := range begun {
		for _, k := range m.limitsOf(p.Customer, p.Currency) {
			b := m.limits[k]
			most := b.minor
			if b.fresh {
				most = max(most, b.was)
			}
			if came, open := m.counts(k, p.CreatedUS, nil); came+open > most {
				m.fault("payment %s of %d is let in: %d have come and %d may, the limit of %s is %d a %s (limits 0)",
					p.Name, p.Minor, came, open, p.Customer, most, k.period)
			}
		}
	}
	for _, b := range m.limits {
		b.fresh = false
	}
	freed := map[string]int64{}
	for _, e := range events {
		m.latestUS = max(m.latestUS, e.AtUS)
		if p := m.pays[e.Payment]; p != nil && e.Kind == "payment.declined" {
			freed[p.Customer] += p.Minor
		}
	}
	m.lookSales(freed)
}

// aheadUS is how far apart the platform's clocks may be.
const aheadUS = 3 * 3600 * 1_000_000

// lookSales sees which of the requests on their way would pass a limit now, or would
// have in the midst of the commit, with all that it began and before it freed anything.
func (m *Model) lookSales(freed map[string]int64) {
	for a := range m.sales {
		for _, k := range m.limitsOf(a.Customer, a.Currency) {
			came, open := m.counts(k, m.latestUS-aheadUS, nil)
			if came+open+freed[a.Customer]+a.Minor > m.limits[k].minor {
				a.full = true
			}
		}
	}
}

// SaleOnItsWay is SaleAsked where limits may refuse. One of the two below must follow.
func (m *Model) SaleOnItsWay(s Sale) *AskedSale {
	m.SaleAsked(s)
	a := &AskedSale{Sale: s}
	m.sales[a] = true
	m.lookSales(nil)
	return a
}

// SaleHeard: the merchant has an answer to it, or will have none.
func (m *Model) SaleHeard(a *AskedSale) { delete(m.sales, a) }

// SaleRefused: the merchant was told that it is not made, since it would pass a limit.
func (m *Model) SaleRefused(a *AskedSale) {
	delete(m.sales, a)
	switch {
	case m.Named(a.Name) != "":
		m.fault("sale %s was refused, and had been made (L3.3)", a.Name)
	case !a.full:
		m.fault("sale %s of %d was refused, and no limit of %s was reached (limits 0)", a.Name, a.Minor, a.Customer)
	}
	m.makesLimit(RefusedFull)
}
