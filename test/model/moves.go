package model

import (
	"fmt"
	"slices"
)

// step is an event of the history, and what it is about.
type step struct {
	m  *Model
	e  Event
	p  *payment
	op *operation
	a  *attempt // nil where no provider was asked

	fresh bool // the operation was made by this very commit
}

// need is something that must hold for a step to be allowed.
type need struct {
	what  string
	holds func(*step) bool
}

// move is a step that a payment may make. What is absent is forbidden.
type move struct {
	event    string
	from, to []string // the payment's status before and after; to of none: the same
	why      string   // the requirement
	needs    []need
	does     func(*step)
}

var (
	open = []string{"new", "pending", "awaiting_customer"}
	paid = []string{"captured", "partially_refunded", "refunded"}
	over = []string{"captured", "partially_refunded", "refunded", "declined"}
)

var (
	isCurrent  = need{"being the payment's newest sale", func(s *step) bool { return s.p.current == s.op.ID }}
	heldPaid   = need{"an approved outcome of this attempt with this very amount", func(s *step) bool { return s.a != nil && s.a.paid() }}
	notBooked  = need{"not being booked already", func(s *step) bool { return s.a != nil && !s.a.booked }}
	aSale      = need{"being a sale", func(s *step) bool { return s.a != nil && s.a.Kind == "sale" }}
	wasTaken   = need{"a pending outcome of this attempt", func(s *step) bool { return s.a != nil && s.a.said("pending") }}
	saidNo     = need{"the provider's no, or proof that it did not take it", func(s *step) bool { return s.a != nil && s.m.no(s.a) }}
	offered    = need{"an offer to try again", func(s *step) bool { return s.p.offered }}
	notOffered = need{"no offer to try again", func(s *step) bool { return !s.p.offered }}
	refundOpen = need{"a refund under way", func(s *step) bool { return s.a != nil && s.a.held }}
	onTime     = need{"being no refund of late money", func(s *step) bool { return !s.op.late }}
	wasLate    = need{"being a refund of late money", func(s *step) bool { return s.op.late }}
	requested  = need{"a merchant's request for this refund", func(s *step) bool { return s.request() != nil }}
	welcome    = need{"a clear way: a limit that it would pass was lowered since it was begun", func(s *step) bool {
		is, sure := s.m.barred(s.p, s.e.AtUS)
		return !is || !sure
	}}
	barred = need{"a limit in its way that was lowered since it was begun", func(s *step) bool {
		is, sure := s.m.barred(s.p, s.e.AtUS)
		return is || !sure
	}}
)

// String names a move in the history's words, and its requirement.
func (v move) String() string { return fmt.Sprint(v.event, " from ", v.from, " (", v.why, ")") }

// Moves names every step of all tables, and those of wallets.
func Moves() []string {
	var names []string
	for _, v := range slices.Concat(moves, outgoing, checkedMoves) {
		names = append(names, v.String())
	}
	for _, v := range attemptMoves {
		names = append(names, v.String())
	}
	for _, v := range walletSteps {
		names = append(names, "wallet: "+v)
	}
	for _, v := range payoutSteps {
		names = append(names, "payout: "+v)
	}
	for _, v := range googleSteps {
		names = append(names, "google: "+v)
	}
	for _, v := range limitSteps {
		names = append(names, "limit: "+v)
	}
	for _, v := range restrictionSteps {
		names = append(names, "restriction: "+v)
	}
	for _, v := range checkedSteps {
		names = append(names, "payout: "+v)
	}
	return names
}

// moves is every step of a payment's committed history.
var moves = []move{
	{
		event: "payment.pending", from: []string{"new"}, to: []string{"pending"}, why: "L15",
		needs: []need{isCurrent, aSale, wasTaken},
		does:  func(*step) {},
	},
	{
		event: "payment.awaiting_customer", from: []string{"new", "pending"}, to: []string{"awaiting_customer"}, why: "L15",
		needs: []need{isCurrent, aSale, {"a redirect from the provider", func(s *step) bool {
			return slices.ContainsFunc(s.a.heard, func(o Outcome) bool { return o.Kind == "pending" && o.Redirect })
		}}},
		does: func(s *step) { s.op.Status = "awaiting_customer" },
	},
	{
		event: "payment.awaiting_retry", from: open, to: []string{"awaiting_customer"}, why: "ecommpay 2.3",
		needs: []need{
			isCurrent, aSale, saidNo, notOffered,
			{"a try left", func(s *step) bool { return s.p.TriesLeft > 0 }},
			{"time left", func(s *step) bool { return s.e.AtUS < s.retryUntil() }},
		},
		does: func(s *step) {
			s.p.offered, s.p.RetryUS = true, s.retryUntil()
			s.op.Status = "decline"
		},
	},
	{
		event: "payment.pending", from: []string{"awaiting_customer"}, to: []string{"pending"}, why: "ecommpay 2.3",
		needs: []need{
			offered, aSale,
			{"a sale made just now", func(s *step) bool { return s.fresh && s.op.ID != s.p.current }},
			{"the customer's press on this offer", func(s *step) bool { return s.p.pressed[s.p.current] }},
			{"the offer's time", func(s *step) bool { return s.e.AtUS < s.p.RetryUS }},
		},
		does: func(s *step) {
			s.p.offered, s.p.current = false, s.op.ID
			s.p.TriesLeft--
			s.p.LimitUS = max(s.p.LimitUS, s.e.AtUS+s.m.s.LimitUS)
		},
	},
	{
		event: "payment.captured", from: open, to: []string{"captured"}, why: "L3.2, L6.4, L14, L15",
		needs: []need{aSale, notBooked, heldPaid, welcome},
		does: func(s *step) {
			s.a.booked, s.p.cameUS = true, s.e.AtUS
			s.cameFrom()
			s.m.remember(s.p.Customer, s.p.Currency, "deposit", s.a.Minor)
			s.p.Captured = s.a.Minor
			s.endSales()
			s.op.Status = "success"
			s.post(s.clearing(), s.payee())
		},
	},
	{
		event: "payment.late_success", from: over, why: "L15 late success",
		needs: []need{aSale, notBooked, heldPaid},
		does: func(s *step) {
			s.a.booked, s.a.late = true, true
			s.post(s.clearing(), s.due())
		},
	},
	{
		event: "payment.captured", from: []string{"declined"}, to: []string{"captured"}, why: "L15 late_success = credit",
		needs: []need{
			{"the project's rule to credit", func(s *step) bool { return s.m.s.Late == "credit" }},
			{"late money of this attempt", func(s *step) bool { return s.a != nil && s.a.booked && s.a.late }},
			{"a manual change", func(s *step) bool { return s.op.Kind == "manual change" && s.fresh }},
		},
		does: func(s *step) {
			s.p.Captured, s.p.credited = s.a.Minor, true
			s.post(s.due(), s.payee())
		},
	},
	{
		event: "payment.declined", from: open, to: []string{"declined"}, why: "ecommpay 5: code 603",
		needs: []need{
			isCurrent, notOffered,
			{"the limit time to be over", func(s *step) bool { return s.e.AtUS >= s.p.LimitUS }},
			{"code 603", func(s *step) bool { return s.e.Code == "603" }},
		},
		does: func(s *step) { s.op.Status = "decline" },
	},
	{
		event: "payment.declined", from: open, to: []string{"declined"}, why: "L15",
		needs: []need{
			isCurrent, aSale, notOffered, saidNo,
			{"no try left, or no time for it", func(s *step) bool { return s.p.TriesLeft == 0 || s.e.AtUS >= s.retryUntil() }},
			{"a code of its own", func(s *step) bool { return s.e.Code != "603" && s.e.Code != "0" && s.e.Code != "" }},
		},
		does: func(s *step) { s.op.Status = "decline" },
	},
	{
		event: "payment.declined", from: []string{"awaiting_customer"}, to: []string{"declined"}, why: "ecommpay 2.3",
		needs: []need{isCurrent, offered, {"the offer's time to be over", func(s *step) bool { return s.e.AtUS >= s.p.RetryUS }}},
		does:  func(s *step) { s.p.offered = false },
	},
	{
		event: "payment.declined", from: open, to: []string{"declined"}, why: "limits 1.3: its money came, and is not to be played with",
		needs: []need{aSale, notBooked, heldPaid, barred},
		does:  func(s *step) { s.endSales() },
	},
	{
		event: "payment.declined", from: []string{"awaiting_customer"}, to: []string{"declined"}, why: "limits 1.3: no other try",
		needs: []need{isCurrent, offered, {"the customer's press on this offer", func(s *step) bool { return s.p.pressed[s.p.current] }}, barred},
		does:  func(s *step) { s.p.offered = false },
	},
	{
		event: "refund.processing", from: paid, why: "design 5: reserve before it is sent",
		needs: []need{
			requested,
			{"being made just now", func(s *step) bool { return s.fresh }},
			{"its row to say that it is no refund of late money", func(s *step) bool { return s.a != nil && !s.a.Late }},
			{"no more than was captured and is not refunded", func(s *step) bool { return s.op.Minor > 0 && s.op.Minor <= s.p.refundable() }},
			{"the wallet to bear it", func(s *step) bool { return !s.wallet() || s.free() >= s.op.Minor }},
		},
		does: func(s *step) {
			s.request().used = true
			s.a.held = true
			s.p.Refunding += s.op.Minor
			s.post(s.payee(), s.reserved())
		},
	},
	{
		event: "refund.processing", from: over, why: "L15 late_success = refund",
		needs: []need{
			{"the project's rule to refund", func(s *step) bool { return s.m.s.Late == "refund" }},
			{"late money of this very amount that was not sent back", func(s *step) bool { return s.lateSale() != nil }},
			{"being made just now", func(s *step) bool { return s.fresh }},
			{"its row to say so: a merchant may ask for as much, without a name, at the same time", func(s *step) bool { return s.a.Late }},
		},
		does: func(s *step) {
			s.lateSale().sentBack = true
			s.op.late, s.a.late, s.a.held = true, true, true
			s.post(s.due(), s.reserved())
		},
	},
	{
		event: "refund.succeeded", from: []string{"captured", "partially_refunded"}, to: []string{"partially_refunded", "refunded"}, why: "L3.2",
		needs: []need{refundOpen, onTime, notBooked, heldPaid, {"the status that fits what remains", func(s *step) bool {
			all := s.p.Refunded+s.op.Minor == s.p.Captured
			return all == (s.e.To == "refunded")
		}}},
		does: func(s *step) {
			s.p.Refunding -= s.op.Minor
			s.p.Refunded += s.op.Minor
			s.endRefund("success")
			s.post(s.reserved(), s.clearing())
		},
	},
	{
		event: "refund.succeeded", from: over, why: "L3.2, L15 late_success = refund",
		needs: []need{refundOpen, wasLate, notBooked, heldPaid},
		does: func(s *step) {
			s.endRefund("success")
			s.post(s.reserved(), s.clearing())
		},
	},
	{
		event: "refund.declined", from: paid, why: "L15, design 5: failed, back",
		needs: []need{refundOpen, onTime, saidNo},
		does: func(s *step) {
			s.p.Refunding -= s.op.Minor
			s.endRefund("decline")
			s.post(s.reserved(), s.payee())
		},
	},
	{
		event: "refund.declined", from: over, why: "L15, design 5: failed, back",
		needs: []need{refundOpen, wasLate, saidNo},
		does: func(s *step) {
			s.endRefund("decline")
			s.post(s.reserved(), s.due())
		},
	},
	{
		event: "refund.declined", from: paid, why: "ecommpay 5: code 3283, 3028",
		needs: []need{
			requested,
			{"no provider to be asked", func(s *step) bool { return s.a == nil && s.fresh }},
			{"more than remains, or than the wallet has", func(s *step) bool {
				return s.e.Code == "3283" && s.op.Minor > s.p.refundable() || s.e.Code == "3028" && s.wallet() && s.free() < s.op.Minor
			}},
		},
		does: func(s *step) {
			s.request().used = true
			s.op.Status = "decline"
		},
	},
}

// attemptMove is a change of an attempt's status (L15: Attempt).
type attemptMove struct {
	from, to string
	why      string
	needs    string
	holds    func(m *Model, a *attempt, atUS int64) bool
}

// String names a move, and its requirement.
func (v attemptMove) String() string {
	return fmt.Sprint("attempt from ", v.from, " to ", v.to, " (", v.why, ")")
}

// leaseUS is how long the process that asks may be silent (design 2).
const leaseUS = 30 * 1_000_000

var (
	// That another amount is named of a refund or payout says at least that it is known.
	taken   = func(_ *Model, a *attempt, _ int64) bool { return a.said("pending") || a.Kind != "sale" && a.other() }
	booked  = func(_ *Model, a *attempt, _ int64) bool { return a.booked }
	refused = func(_ *Model, a *attempt, _ int64) bool { return a.said("declined") }
	// Where nobody asked, the one who was to ask may say so after another has taken it for dead: it knows.
	notReached = func(m *Model, a *attempt, _ int64) bool {
		return m.notTaken(a) || a.asks == 0 && slices.Contains(over, m.pays[a.Payment].Status)
	}
)

// mayBeLost: nobody knows whether the provider has what it was asked for.
func mayBeLost(m *Model, a *attempt, atUS int64) bool {
	lost := slices.ContainsFunc(a.heard, func(o Outcome) bool { return o.Kind == "unknown" })
	return lost || m.restarts > a.restarts || atUS-a.sinceUS >= leaseUS
}

// attemptMoves is every change of an attempt's status. One that is made of
// several in one commit is the last of them.
var attemptMoves = []attemptMove{
	{"asking", "accepted", "L15", "a pending outcome", taken},
	{"unknown", "accepted", "L15", "a pending outcome", taken},
	{"asking", "unknown", "L15", "a lost answer, or a process that died or was silent for its lease", mayBeLost},
	{"asking", "approved", "L3.2", "its money to be booked", booked},
	{"accepted", "approved", "L3.2", "its money to be booked", booked},
	{"unknown", "approved", "L3.2", "its money to be booked", booked},
	{"declined", "approved", "L15 late success", "its money to be booked", booked},
	{"not_sent", "approved", "L15 late success", "its money to be booked", booked}, // it was on its way all the time
	{"asking", "declined", "L15", "a declined outcome", refused},
	{"accepted", "declined", "L15", "a declined outcome", refused},
	{"unknown", "declined", "L15", "a declined outcome", refused},
	{"asking", "not_sent", "L15", "proof that the provider did not take it, or that nobody asked it", notReached},
	{"unknown", "not_sent", "L15", "proof that the provider did not take it, or that nobody asked it", notReached},
	{"unknown", "asking", "L15: again under the same reference", "a refund, and proof that the provider did not take it", func(m *Model, a *attempt, _ int64) bool {
		return a.Kind == "refund" && m.notTaken(a)
	}},
}

// What moves refer to.

func (p *payment) refundable() int64 { return p.Captured - p.Refunded - p.Refunding }

// retryUntil is when an offer made now ends: counted from the first decline.
func (s *step) retryUntil() int64 {
	if s.p.RetryUS != 0 {
		return s.p.RetryUS
	}
	return min(s.e.AtUS+s.m.s.RetryUS, s.p.LimitUS)
}

// request is the merchant's request that this refund answers.
func (s *step) request() *Refund {
	remains := s.p.refundable()
	if remains == 0 {
		remains = s.p.Captured
	}
	for _, r := range s.p.refunds {
		if !r.used && r.Name == s.op.RefundName && (r.Minor == s.op.Minor || r.Minor == 0 && s.op.Minor == remains) {
			return r
		}
	}
	return nil
}

// lateSale is a sale of the payment whose late money was not sent back yet.
func (s *step) lateSale() *attempt {
	if s.a == nil || s.a.Kind != "refund" {
		return nil
	}
	for _, id := range s.p.sales {
		for _, k := range s.m.ops[id].attempts {
			if a := s.m.atts[k]; a.booked && a.late && !a.sentBack && a.Minor == s.op.Minor {
				return a
			}
		}
	}
	return nil
}

func (s *step) endRefund(as string) {
	s.op.Status, s.a.held = as, false
	s.a.booked = as == "success"
}

// cameFrom notes what a deposit was paid with, as the provider said it.
func (s *step) cameFrom() {
	if s.m.s.Rules == nil {
		return
	}
	s.p.kind = s.m.s.Rules.Unnamed
	for _, o := range s.a.heard {
		if o.Kind == "approved" && o.Token != "" && !s.a.differs(o) {
			s.p.token, s.p.kind = o.Token, o.Of
		}
	}
}

// endSales: whatever was tried is over.
func (s *step) endSales() {
	s.p.offered = false
	for _, id := range s.p.sales {
		s.m.ops[id].Status = "decline"
	}
}

func (s *step) wallet() bool { return s.m.s.Wallet && s.p.Customer != "" }

func (s *step) account(owner, purpose string) AccountName {
	return AccountName{Place: s.p.Place, Owner: owner, Purpose: purpose, Currency: s.p.Currency}
}

// The accounts of design.md section 5.
func (s *step) clearing() AccountName { return s.account(s.a.PSP, "clearing") }
func (s *step) due() AccountName      { return s.account("house", "refund_due") }
func (s *step) reserved() AccountName { return s.account(s.payee().Owner, "reserved") }
func (s *step) payee() AccountName {
	if s.wallet() {
		return s.account("customer:"+s.m.s.Merchant+":"+s.p.Customer, "available")
	}
	return s.account("merchant:"+s.m.s.Merchant, "payable")
}

// free is what the payee's wallet has.
func (s *step) free() int64 { return -s.m.accounts[s.payee()] }

// post moves the operation's money.
func (s *step) post(debit, credit AccountName) {
	if len(s.m.ahead) > 0 && s.m.ahead[0].Operation == s.op.ID {
		s.m.ahead = s.m.ahead[1:]
	}
	t := Transfer{Debit: debit, Credit: credit, Minor: s.op.Minor}
	s.m.settle([]Transfer{t})
	s.m.pay(t)
	s.m.lookAll()
}

func (m *Model) pay(t Transfer) {
	m.accounts[t.Debit] += t.Minor
	m.accounts[t.Credit] -= t.Minor
	m.moved = append(m.moved, t)
}
