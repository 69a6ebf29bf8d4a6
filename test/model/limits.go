package model

import (
	"slices"
	"time"
)

// Limits of a licensed house's customers (limits-and-risk.md sections 0 and 1). What
// counts in one is what is open and what has come within its period, so it is kept at
// every instant or not at all. A first or lower one holds at once; a raise waits for its
// delay and a second word, and money of a payment that was begun before it was lowered is
// not played with. All is counted from the whole history, each time.

// Limit is a customer's own limit, as it is asked for and as it is written.
type Limit struct {
	Kind, Customer, Period, Currency string // of kind deposit, net_deposit, single_deposit, stake or loss
	Minor                            int64
	AtUS                             int64 // of a written one
	Raise                            bool  // of a written one: it waits
	Confirmed                        bool  // of a written one: it waited, and holds now
}

// AskedSale is a request on its way, and what was so at any time since.
type AskedSale struct {
	Sale
	full       bool // it would have passed a limit
	restricted bool // the customer was restricted
	atUS       int64
}

// bound is a limit that holds.
type bound struct {
	minor, lowerUS int64
	was            int64 // before the commit that is being followed
	fresh          bool  // it was set or lowered by it
	asked          int64 // a raise that waits; 0: none does
	askedUS        int64
}

// limitKey names a limit. There is one of each kind and period.
type limitKey struct{ kind, customer, period, currency string }

// dayUS is a day, in microseconds.
const dayUS = 24 * 3600 * 1_000_000

// periodDays are the periods that slide (limits-and-risk.md section 1.1).
var periodDays = map[string]int64{"day": 1, "week": 7, "month": 30}

// after is the instant after which something counts in a period that ends at an instant.
func (m *Model) after(period string, atUS int64) int64 {
	if days, slides := periodDays[period]; slides {
		return atUS - days*dayUS
	}
	y, month, _ := time.UnixMicro(atUS).In(m.zone).Date() // calendar_month: from the first, 00:00 there
	return time.Date(y, month, 1, 0, 0, 0, 0, m.zone).UnixMicro() - 1
}

// limitSteps are counted beside the moves of the table.
var limitSteps = []string{"set", "lowered", "a raise that waits", "raised", RefusedFull, RefusedRestricted}

// Why a sale or a stake may be refused.
const (
	RefusedFull       = "a limit is reached"
	RefusedRestricted = "the customer is restricted"
)

func (m *Model) makesLimit(step string) { m.made["limit: "+step]++ }

// LimitAsked: a customer asks for a limit. Whether it was set is not known yet.
func (m *Model) LimitAsked(l Limit) { m.limitsAsked[l] = true }

// LimitAnswered: they were told that it is: it is there, or was (C2).
func (m *Model) LimitAnswered(l Limit) {
	b := m.limits[limitKey{l.Kind, l.Customer, l.Period, l.Currency}]
	if !m.limitsMade[l] && (b == nil || b.minor != l.Minor) {
		m.fault("a limit of %d a %s (%s) was acknowledged to %s, and was never committed (C2)", l.Minor, l.Period, l.Kind, l.Customer)
	}
}

// none is above all limits.
const none = int64(1) << 62

// setLimit follows a limit that was written.
func (m *Model) setLimit(l Limit) {
	asked := Limit{Kind: l.Kind, Customer: l.Customer, Period: l.Period, Currency: l.Currency, Minor: l.Minor}
	if !m.limitsAsked[asked] {
		m.fault("a limit of %d a %s (%s) is set for %s, and nobody asked for it (limits 1.1)", l.Minor, l.Period, l.Kind, l.Customer)
	}
	m.limitsMade[asked] = true
	k := limitKey{l.Kind, l.Customer, l.Period, l.Currency}
	b := m.limits[k]
	switch {
	case b == nil && !l.Raise && !l.Confirmed:
		m.limits[k] = &bound{minor: l.Minor, lowerUS: l.AtUS, was: none, fresh: true}
		m.makesLimit("set")
	case b == nil:
		m.fault("a first limit of %s waits like a raise (limits 1.2)", l.Customer)
	case l.Confirmed:
		m.confirm(k, b, l)
	case l.Raise != (l.Minor > b.minor):
		m.fault("a limit of %s goes from %d to %d, and waits: %t (limits 1.2)", l.Customer, b.minor, l.Minor, l.Raise)
	case l.Raise:
		b.asked, b.askedUS = l.Minor, l.AtUS
		m.makesLimit("a raise that waits")
		m.unrestricted("raises a limit", l.Customer, l.AtUS)
	default:
		b.asked = 0
		if l.Minor == b.minor {
			break // what waited is not wanted any more
		}
		if !b.fresh {
			b.was = b.minor
		}
		b.minor, b.lowerUS, b.fresh = l.Minor, l.AtUS, true
		m.makesLimit("lowered")
	}
}

// confirm: a raise holds that was asked for long enough ago, and not too long.
func (m *Model) confirm(k limitKey, b *bound, l Limit) {
	waited := l.AtUS - b.askedUS
	if b.asked != l.Minor || waited < m.s.Rules.RaiseUS || waited >= m.s.Rules.RaiseUS+m.s.Rules.ConfirmUS {
		m.fault("a limit of %s is raised from %d to %d, and %d was asked for %d us before (limits 1.2)", k.customer, b.minor, l.Minor, b.asked, waited)
	}
	m.unrestricted("raises a limit", l.Customer, l.AtUS)
	if !b.fresh {
		b.was = b.minor
	}
	b.minor, b.asked = l.Minor, 0
	m.makesLimit("raised")
}

// counts is what counts of a customer's payments in a limit at an instant: what has come,
// and what may. A limit of net deposits takes off what was paid out.
func (m *Model) counts(k limitKey, atUS int64, but *payment) (came, open int64) {
	if k.kind == "single_deposit" {
		return 0, 0
	}
	after := m.after(k.period, atUS)
	for _, p := range m.pays {
		switch {
		case p == but || p.Customer != k.customer || p.Currency != k.currency:
		case p.Type == "payout":
			if k.kind == "net_deposit" && p.out != nil && p.out.endUS > after {
				came -= p.Captured
			}
		case slices.Contains(paid, p.Status):
			if p.cameUS > after {
				came += p.Minor
			}
		case p.Status != "declined":
			open += p.Minor
		}
	}
	return came, open
}

// passes reports whether so much more passes a limit.
func (k limitKey) passes(came, open, minor, most int64) bool {
	return max(0, came+open)+minor > most
}

// limitsOf are the limits on a customer's deposits, in order.
func (m *Model) limitsOf(customer, currency string) []limitKey {
	return m.limitsWhere(func(k limitKey) bool {
		return k.customer == customer && k.currency == currency && k.kind != "stake" && k.kind != "loss"
	})
}

func (m *Model) limitsWhere(fits func(limitKey) bool) []limitKey {
	var out []limitKey
	for k := range m.limits {
		if fits(k) {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b limitKey) int {
		if a.kind != b.kind {
			return len(a.kind) - len(b.kind)
		}
		return len(a.period) - len(b.period)
	})
	return out
}

// apartUS is how far apart the platform takes the clocks of its processes to be.
const apartUS = 5 * 1_000_000

// barred says why money of a payment that comes at an instant is not its customer's to
// play with: they are restricted, or a limit was lowered since it was begun, and it would
// pass that. sure is false where that was changed by the same commit, or so shortly before
// that the clocks do not tell: who was first is not seen.
func (m *Model) barred(p *payment, atUS int64) (is, sure bool) {
	sure = !m.restrictedNow[p.Customer]
	if m.restrictionAt(p.Customer, atUS) != "" {
		return true, sure
	}
	for _, k := range m.limitsOf(p.Customer, p.Currency) {
		b := m.limits[k]
		if b.fresh {
			sure = false
		}
		if came, _ := m.counts(k, atUS, p); b.lowerUS >= p.CreatedUS-apartUS && k.passes(came, 0, p.Minor, b.minor) {
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
			if b.fresh || b.was > most {
				most = max(most, b.was)
			}
			came, open := m.counts(k, p.CreatedUS, nil)
			if k.kind == "single_deposit" {
				open = p.Minor
			}
			if k.passes(came, open, 0, most) {
				m.fault("payment %s of %d is let in: %d have come and %d may, the limit of %s (%s) is %d a %s (limits 0)",
					p.Name, p.Minor, came, open, p.Customer, k.kind, most, k.period)
			}
		}
		m.unrestricted("pays in", p.Customer, p.CreatedUS)
	}
	for _, b := range m.limits {
		b.fresh, b.was = false, b.minor
	}
	clear(m.restrictedNow)
	freed := map[string]int64{}
	for _, e := range events {
		m.latestUS = max(m.latestUS, e.AtUS)
		if p := m.pays[e.Payment]; p != nil && e.Kind == "payment.declined" {
			freed[p.Customer] += p.Minor
		}
	}
	m.lookSales(freed)
	m.lookAll() // at stakes, for which a limit or restriction may be new
}

// aheadUS is how far apart the platform's clocks may be, and how long ago what is
// known of it last happened.
const aheadUS = 3 * 3600 * 1_000_000

// lookSales sees which of the requests on their way would pass a limit now, or would
// have in the midst of the commit, with all that it began and before it freed anything.
func (m *Model) lookSales(freed map[string]int64) {
	for a := range m.sales {
		for _, k := range m.limitsOf(a.Customer, a.Currency) {
			came, open := m.counts(k, a.atUS-apartUS, nil)
			if k.kind == "net_deposit" { // of what was paid out less may have counted
				came += m.paidOut(a.Customer)
			}
			if k.passes(came, open+freed[a.Customer], a.Minor, m.limits[k].minor) {
				a.full = true
			}
		}
		a.restricted = a.restricted || m.restrictionAt(a.Customer, a.atUS) != ""
	}
}

// paidOut is all that a customer was paid.
func (m *Model) paidOut(customer string) int64 {
	sum := int64(0)
	for _, p := range m.pays {
		if p.Type == "payout" && p.Customer == customer {
			sum += p.Captured
		}
	}
	return sum
}

// SaleOnItsWay is SaleAsked where limits may refuse. One of the two below must follow.
func (m *Model) SaleOnItsWay(s Sale, atUS int64) *AskedSale {
	m.SaleAsked(s)
	a := &AskedSale{Sale: s, atUS: atUS}
	m.sales[a] = true
	m.lookSales(nil)
	return a
}

// SaleHeard: the merchant has an answer to it, or will have none.
func (m *Model) SaleHeard(a *AskedSale) { delete(m.sales, a) }

// SaleRefused: the merchant was told that it is not made, and why.
func (m *Model) SaleRefused(a *AskedSale, why string) {
	delete(m.sales, a)
	switch {
	case m.Named(a.Name) != "":
		m.fault("sale %s was refused, and had been made (L3.3)", a.Name)
	case why == RefusedRestricted && !a.restricted:
		m.fault("sale %s was refused, and %s is not restricted (limits 1.3)", a.Name, a.Customer)
	case why == RefusedFull && !a.full:
		m.fault("sale %s of %d was refused, and no limit of %s was reached (limits 0)", a.Name, a.Minor, a.Customer)
	}
	m.makesLimit(why)
}

// Play.

// played is a stake or win of a customer's own money.
type played struct {
	customer    string
	round       *Round
	minor, atUS int64 // in the house's currency
	win         bool
}

// plays is what of a customer's play counts in a limit after an instant. Of the edge of a
// period a slot of play may be cut (limits-and-risk.md section 0): least is what counts
// at the least, most with all of the slot, and with nothing that was given back beyond it.
func (m *Model) plays(k limitKey, after int64) (least, most int64) {
	const slotUS = 3600 * 1_000_000
	for _, x := range m.history {
		if x.customer != k.customer || x.win && k.kind == "stake" {
			continue
		}
		undone := x.round != nil && x.round.RolledBack != ""
		begun := m.begunUS[x.round]
		switch {
		case x.win:
			if x.atUS > after && !undone {
				least -= x.minor
			}
			if x.atUS > after+slotUS && (!undone || begun > after+slotUS) {
				most -= x.minor
			}
			if undone { // it was taken back, which counts like a stake
				most += x.minor
			}
		default:
			if x.atUS > after && !undone {
				least += x.minor
			}
			if x.atUS > after-slotUS && !(undone && begun > after+slotUS) {
				most += x.minor
			}
		}
	}
	return least, most
}

// limitsOfPlay are the limits on what a customer stakes and loses: in whatever currency.
func (m *Model) limitsOfPlay(customer string) []limitKey {
	return m.limitsWhere(func(k limitKey) bool { return k.customer == customer && (k.kind == "stake" || k.kind == "loss") })
}

// inHouse is an amount in the house's currency, by its rate.
func (m *Model) inHouse(minor int64, currency string) int64 {
	if currency == m.s.Rules.Currency {
		return minor
	}
	return minor * m.s.Rules.Rate
}

// staked follows a stake, a win or a rollback of a customer's own money: a stake passes no
// limit on play, and nobody plays who is restricted.
func (m *Model) staked(v Move, atUS int64) {
	if m.s.Rules == nil || v.Kind != "stake" && v.Kind != "win" {
		return
	}
	if v.Kind == "stake" {
		m.unrestricted("stakes", v.Customer, atUS)
	}
	r := m.rounds[player{v.Customer, v.Round}]
	if _, known := m.begunUS[r]; !known {
		m.begunUS[r] = atUS
	}
	if v.Bonus {
		return
	}
	m.history = append(m.history, played{v.Customer, r, m.inHouse(v.Minor, v.Currency), atUS, v.Kind == "win"})
	if v.Kind == "win" {
		return
	}
	for _, k := range m.limitsOfPlay(v.Customer) {
		b := m.limits[k]
		most := b.minor
		if b.fresh || b.was > most {
			most = max(most, b.was)
		}
		if least, _ := m.plays(k, m.after(k.period, atUS)); least > most {
			m.fault("%s of %d is let in: %d are played, the limit of %s (%s) is %d a %s (limits 1.1)", v, v.Minor, least, v.Customer, k.kind, most, k.period)
		}
	}
}

// lookPlay sees whether a stake on its way would pass a limit now, or is restricted.
func (m *Model) lookPlay(a *AskedMove) {
	if m.s.Rules == nil || a.Kind != "stake" {
		return
	}
	a.restricted = a.restricted || m.restrictionAt(a.Customer, a.atUS) != ""
	for _, k := range m.limitsOfPlay(a.Customer) {
		_, most := m.plays(k, m.after(k.period, a.atUS))
		a.full = a.full || most+m.inHouse(a.Minor, a.Currency) > m.limits[k].minor
	}
}
