package model

import (
	"fmt"
	"slices"
)

// Payout is a merchant's request to send a customer money out of their wallet.
// ID is what it is called if this very request makes it; one without a name is
// known by that alone.
type Payout struct {
	ID, Name, Customer, Currency string
	Minor                        int64
}

// AskedPayout is a request on its way.
type AskedPayout struct {
	Payout
	known bool // it was made before
	money *AskedMove
	bonus bool // the customer had a bonus; of a licensed house
	over  bool // the day was full; as above
}

func (p Payout) String() string { return fmt.Sprintf("payout %q (%s) of %s", p.Name, p.ID, p.Customer) }

// payoutSteps are counted beside the moves of the table.
var payoutSteps = []string{"made", "the first payout again", RefusedShort}

// Why a payout that rules look at may be refused, beside RefusedShort.
const (
	RefusedBonus = "a bonus is not wagered"
	RefusedDay   = "the day is full"
	RefusedMost  = "it is too much"
	RefusedRoute = "no way to send it"
)

func (m *Model) makesPayout(step string) { m.made["payout: "+step]++ }

// PayoutAsked: a merchant asks for a payout. Whether it was made is not known
// until one of the three below.
func (m *Model) PayoutAsked(p Payout) *AskedPayout {
	a := &AskedPayout{Payout: p, known: m.payoutMade(p) != ""}
	a.money = &AskedMove{
		Move: Move{Kind: reserving, Customer: p.Customer, Currency: p.Currency, Minor: p.Minor}, seen: map[string]map[int64]bool{},
	}
	if !slices.Contains(m.payouts, p) {
		m.payouts = append(m.payouts, p)
	}
	m.waiting[a.money] = true
	if m.s.Rules != nil {
		m.licensed.waiting[a] = true
		m.lookPayout(a)
	}
	m.look(a.money)
	return a
}

// reserving is the kind of move that a payout begins with.
const reserving = "payout_reserve"

// payoutMade gives the payout that a request names; "" if there is none.
func (m *Model) payoutMade(p Payout) string {
	if p.Name != "" {
		return m.byName[fold(p.Name)]
	}
	if m.pays[p.ID] != nil {
		return p.ID
	}
	return ""
}

// PayoutUnheard: the merchant has no answer.
func (m *Model) PayoutUnheard(a *AskedPayout) { m.forget(a) }

func (m *Model) forget(a *AskedPayout) {
	delete(m.waiting, a.money)
	delete(m.licensed.waiting, a)
}

// PayoutAnswered: the merchant was told that it is this payout: it is there (C2),
// and it is the first of its name (L3.3).
func (m *Model) PayoutAnswered(a *AskedPayout, payment string, repeat bool) {
	m.forget(a)
	if made := m.payoutMade(a.Payout); made != payment {
		m.fault("%s was answered as %s, but is %q in what was committed (L3.3, C2)", a.Payout, payment, made)
	}
	switch {
	case repeat:
		m.makesPayout("the first payout again")
	case a.known:
		m.fault("%s was answered as new, and had been made (L3.3)", a.Payout)
	default:
		m.makesPayout("made")
	}
}

// PayoutRefused: the merchant was told that it is not made, and why.
func (m *Model) PayoutRefused(a *AskedPayout, why string) {
	m.forget(a)
	just := false
	switch why {
	case RefusedShort:
		just = a.money.short
	case RefusedBonus:
		just = a.bonus
	case RefusedDay:
		just = a.over
	case RefusedMost:
		just = m.s.Rules != nil && m.s.Rules.Most != 0 && a.Minor > m.s.Rules.Most
	case RefusedRoute:
		just = m.s.Rules != nil && (!m.s.Rules.Defer && m.missed >= 3 || len(m.unusable) > 0)
	}
	switch {
	case a.known:
		m.fault("%s was refused (%s), and had been made (L3.3)", a.Payout, why)
	case !just:
		m.fault("%s was refused (%s), and nothing was so (L2 payouts)", a.Payout, why)
	}
	m.makesPayout(why)
}

// beginPayout: a payout is made by a request, once for each name (L2 payouts,
// L3.3), and what becomes of it its events must show.
func (m *Model) beginPayout(p Payment) {
	at := slices.IndexFunc(m.payouts, func(q Payout) bool {
		return q.Currency == p.Currency && q.Minor == p.Minor && q.Customer == p.Customer && fold(q.Name) == fold(p.Name) && (q.Name != "" || q.ID == p.ID)
	})
	switch {
	case at < 0:
		m.fault("payout %s (%s, %d %s) was made, and nobody asked for it (L2 payouts)", p.ID, p.Name, p.Minor, p.Currency)
	case p.Name != "" && m.byName[fold(p.Name)] != "":
		m.fault("payout %s is made twice: as %s and %s (L3.3)", p.Name, m.byName[fold(p.Name)], p.ID)
	case p.Captured != 0 || p.Refunded != 0 || p.Refunding != 0 || p.LimitUS != 0 || p.TriesLeft != 0:
		m.fault("payout %s begins as %+v (L15)", p.ID, p)
	}
	if p.Name != "" {
		m.byName[fold(p.Name)] = p.ID
	}
	made := &payment{Payment: p, pressed: map[string]bool{}}
	made.Status = "requested"
	if m.s.Rules != nil {
		made.out = &out{stopped: map[string]bool{}}
	}
	m.pays[p.ID] = made
}

// outgoing are the steps of a payout (L15: Payout).
var outgoing = []move{
	{
		event: "payout.pending", from: []string{"requested"}, to: []string{"submitting"}, why: "L2 payouts, design 5: reserve before it is sent",
		needs: []need{
			aPayout,
			{"being made just now", func(s *step) bool { return s.fresh }},
			{"the wallet to bear it", func(s *step) bool { return s.wallet() && s.op.Minor > 0 && s.free() >= s.op.Minor }},
		},
		does: func(s *step) {
			s.a.held = true
			s.post(s.payee(), s.reserved())
		},
	},
	{
		event: "payout.unknown", from: []string{"submitting"}, to: []string{"unknown"}, why: "L15: unknown is not no",
		needs: []need{aPayout, stillHeld, {"a lost answer, or a process that died or was silent for its lease", func(s *step) bool {
			return mayBeLost(s.m, s.a, s.e.AtUS)
		}}},
		does: func(*step) {},
	},
	{
		event: "payout.paid", from: []string{"submitting", "unknown"}, to: []string{"paid"}, why: "L3.2, L15",
		needs: []need{aPayout, stillHeld, notBooked, heldPaid},
		does: func(s *step) {
			s.op.Status, s.a.held, s.a.booked = "success", false, true
			s.post(s.reserved(), s.clearing())
		},
	},
	{
		event: "payout.failed", from: []string{"submitting", "unknown"}, to: []string{"failed"}, why: "L15, design 5: failed, back",
		needs: []need{aPayout, stillHeld, saidNo},
		does: func(s *step) {
			s.op.Status, s.a.held = "decline", false
			s.post(s.reserved(), s.payee())
		},
	},
}

var (
	aPayout   = need{"being a payout", func(s *step) bool { return s.a != nil && s.a.Kind == "payout" }}
	stillHeld = need{"its money to be reserved", func(s *step) bool { return s.a != nil && s.a.held }}
)

// endPayout: it has ended, once, and so has what sent it.
func (m *Model) endPayout(p *payment) {
	if m.checked(p) {
		m.endOut(p)
		return
	}
	if p.Status != "paid" && p.Status != "failed" {
		m.fault("payout %s (%s) is %s in the end (L15)", p.ID, p.Name, p.Status)
	}
	o := m.ops[p.current]
	if o == nil {
		m.fault("payout %s (%s) has no operation (L2 payouts)", p.ID, p.Name)
	} else if o.Status != "success" && o.Status != "decline" || o.seen != o.Status {
		m.fault("operation %s of payout %s is stored as %s in the end, must be %s (L15)", o.ID, p.ID, o.seen, o.Status)
	}
}

// tooLate reports whether a payout was released before its provider said that it
// is paid, on the proof that it was never taken. A person has to see to it.
func (a *attempt) tooLate() bool {
	return a.Kind == "payout" && a.Status == "not_sent"
}
