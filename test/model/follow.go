package model

import (
	"fmt"
	"slices"
	"strings"
)

// Committed follows what the platform has written at once. What had been heard
// before is all that may justify it.
func (m *Model) Committed(c Commit) {
	m.moved, m.ahead = nil, c.Transfers
	fresh := map[string]bool{}
	for _, r := range c.Restrictions {
		m.restrictedNow[r.Customer] = true
	}
	for _, l := range c.Limits {
		m.setLimit(l)
	}
	var begun []*payment
	for _, p := range c.Payments {
		switch {
		case m.pays[p.ID] != nil:
		case p.Type == "payout":
			m.beginPayout(p)
		default:
			m.begin(p)
			begun = append(begun, m.pays[p.ID])
		}
	}
	m.beginChecked(c)
	m.beginBought(c)
	for _, o := range c.Operations {
		if m.ops[o.ID] == nil {
			fresh[o.ID] = true
			m.operation(o)
		}
	}
	for _, a := range c.Attempts {
		if m.atts[a.ID] == nil {
			m.attempt(a)
		}
	}
	for _, k := range c.Cases {
		m.cases[k] = true
	}
	for _, r := range c.Rounds {
		m.rows[r.ID] = r.Name
	}
	for _, e := range c.Events {
		m.movesBefore(e)
		m.event(e, fresh[e.Operation])
		m.lookDecisions()
	}
	for m.walletAhead() {
	}
	for _, a := range c.Attempts {
		m.attemptMoves(a)
	}
	m.endChecked(c)
	m.endBought(c)
	m.compare(c)
	m.admitted(begun, c.Events)
}

// movesBefore follows the moves of wallets that were made before an event: those
// before its transfer; and a refund that a wallet could not bear came after
// those that left it so poor.
func (m *Model) movesBefore(e Event) {
	of := m.checked(m.pays[e.Payment])
	if of && e.From != "requested" && !e.Ended {
		return // it moves none: what there is of its operation came later
	}
	at := slices.IndexFunc(m.ahead, func(t Transfer) bool { return t.Name == "" && t.Operation == e.Operation })
	for range max(at, 0) {
		if len(m.ahead) > 0 && m.ahead[0].Operation != e.Operation && !m.walletAhead() {
			m.ahead = m.ahead[1:] // an event's that did not fit
		}
	}
	if of && at >= 0 && len(m.ahead) > 0 {
		m.walletAhead()
	}
	p, o := m.pays[e.Payment], m.ops[e.Operation]
	if p == nil || o == nil || e.Code != "3028" {
		return
	}
	for -m.accounts[m.purse(p.Customer, "available", p.Currency)] >= o.Minor && m.walletAhead() {
	}
}

// walletAhead follows the next transfer if it is a move of a wallet, or of a payout
// that rules look at: those are told by themselves, and events of them move nothing.
func (m *Model) walletAhead() bool {
	switch {
	case len(m.ahead) == 0:
		return false
	case m.ahead[0].Name == "":
		return m.partAhead()
	}
	n := 1
	for n < len(m.ahead) && m.ahead[n].Of == m.ahead[0].Of {
		n++
	}
	pairs := m.ahead[:n]
	m.ahead = m.ahead[n:]
	m.walletMove(pairs)
	return true
}

// begin: a payment is made by a request, once for each name, with its sale
// (L2 deposit 1, L3.1, L3.3; ecommpay 3.4).
func (m *Model) begin(p Payment) {
	at := slices.IndexFunc(m.asked[fold(p.Name)], func(s Sale) bool {
		return s.Currency == p.Currency && s.Minor == p.Minor && s.Customer == p.Customer && s.Tries == p.TriesLeft
	})
	switch known := m.byName[fold(p.Name)]; {
	case at < 0:
		m.fault("payment %s (%s, %d %s) was made, and nobody asked for it (L2)", p.ID, p.Name, p.Minor, p.Currency)
	case p.Type != "purchase":
		m.fault("payment %s is of type %q (L2)", p.Name, p.Type)
	case known != "":
		m.fault("payment %s is made twice: as %s and %s (L3.3)", p.Name, known, p.ID)
	case p.Status != "new" || p.Captured != 0 || p.Refunded != 0 || p.Refunding != 0:
		m.fault("payment %s begins as %s with %d captured (L15)", p.Name, p.Status, p.Captured)
	}
	m.byName[fold(p.Name)] = p.ID
	made := &payment{Payment: p, pressed: map[string]bool{}}
	made.LimitUS = p.CreatedUS + m.s.LimitUS
	m.pays[p.ID] = made
}

// operation: a sale is begun with its payment or by another try, a payout's with
// it, a refund by a request or a rule; which of them, its event must show.
func (m *Model) operation(o Operation) {
	p := m.pays[o.Payment]
	if p == nil {
		m.fault("operation %s of payment %s, which was never committed", o.ID, o.Payment)
		return
	}
	made := &operation{Operation: o}
	if (p.Type == "payout") != (o.Kind == "payout") {
		m.fault("operation %s of %s %s is a %s (L15)", o.ID, p.Type, p.ID, o.Kind)
	}
	switch o.Kind {
	case "payout":
		made.Status = "processing"
		if m.checked(p) {
			p.current = o.ID
			p.out.parts = append(p.out.parts, o.ID)
			break
		}
		if p.current != "" || o.Minor != p.Minor {
			m.fault("payout %s of %d is sent as %s of %d, and before as %q (L2 payouts)", p.ID, p.Minor, o.ID, o.Minor, p.current)
		}
		p.current = o.ID
	case "sale":
		made.Status = "processing"
		p.sales = append(p.sales, o.ID)
		if p.current == "" {
			p.current = o.ID
		}
		if o.Minor != p.Minor {
			m.fault("sale %s of payment %s is of %d, asked for %d (L6.4)", o.ID, p.Name, o.Minor, p.Minor)
		}
	case "refund":
		made.Status = "processing"
		for _, other := range m.ops {
			if o.RefundName != "" && other.RefundName == o.RefundName {
				m.fault("refund %s is made twice (ecommpay: 3230)", o.RefundName)
			}
		}
	case "manual change":
		made.Status = "success"
	default:
		m.fault("operation %s of kind %q", o.ID, o.Kind)
	}
	m.ops[o.ID] = made
}

// attempt: one for each operation; another one only where the first cannot have
// moved money, since its answer was lost (L15).
func (m *Model) attempt(a Attempt) {
	o := m.ops[a.Operation]
	if o == nil {
		m.fault("attempt %s of operation %s, which was never committed", a.ID, a.Operation)
		return
	}
	if m.checked(m.pays[o.Payment]) {
		m.partSent(a, o)
	} else if before := m.answered(a, o); before != nil {
		m.fault("another attempt at the %s, whose answer was not lost or may have moved money (L15)", m.name(before))
	}
	if a.Minor != o.Minor || a.Kind != o.Kind || a.Status != "asking" {
		m.fault("attempt %s begins as %s %s of %d, its operation is a %s of %d (L15)", a.ID, a.Status, a.Kind, a.Minor, o.Kind, o.Minor)
	}
	o.attempts = append(o.attempts, a.ID)
	m.order = append(m.order, a.ID)
	m.atts[a.ID] = &attempt{Attempt: a, sinceUS: a.ChangedUS, restarts: m.restarts}
}

// answered gives an attempt at the same that stands in the way of another one.
func (m *Model) answered(a Attempt, o *operation) *attempt {
	for _, k := range o.attempts {
		if before := m.atts[k]; a.Kind != "sale" || m.s.MovesMoney || !before.said("unknown") && m.restarts == before.restarts && a.ChangedUS-before.sinceUS < leaseUS {
			return before
		}
	}
	return nil
}

// moves are the tables that a payment goes by.
func (m *Model) moves(p *payment) []move {
	if m.checked(p) {
		return checkedMoves
	}
	return slices.Concat(moves, outgoing)
}

// event makes the step that an event tells of, in the model too.
func (m *Model) event(e Event, fresh bool) {
	s := &step{m: m, e: e, p: m.pays[e.Payment], op: m.ops[e.Operation], a: m.atts[e.Attempt], fresh: fresh}
	if s.p == nil || s.op == nil {
		m.fault("%s of payment %q, operation %q, which were never committed", e.Kind, e.Payment, e.Operation)
		return
	}
	if e.From != s.p.Status {
		m.fault("payment %s: %s starts from %s, but it was %s (L15)", s.p.Name, e.Kind, e.From, s.p.Status)
		return
	}
	var missing []string
	for _, move := range m.moves(s.p) {
		if move.event != e.Kind || !slices.Contains(move.from, e.From) || !slices.Contains(move.to, e.To) && (len(move.to) > 0 || e.To != e.From) {
			continue
		}
		at := slices.IndexFunc(move.needs, func(n need) bool { return !n.holds(s) })
		if at < 0 {
			if m.checked(s.p) && e.From == "requested" {
				m.opens(s.p)
			}
			move.does(s)
			m.made[move.String()]++
			s.p.Status = e.To
			if s.p.out != nil {
				s.p.out.begun = true
			}
			return
		}
		missing = append(missing, fmt.Sprintf("%s (%s)", move.needs[at].what, move.why))
	}
	if missing == nil {
		missing = []string{"any rule that knows it (L15)"}
	}
	m.fault("payment %s: %s, %s → %s, without %s", s.p.Name, e.Kind, e.From, e.To, strings.Join(missing, ", or "))
	s.p.Status = e.To // one fault is said once
}

// attemptMoves follows the status of an attempt's row.
func (m *Model) attemptMoves(row Attempt) {
	a := m.atts[row.ID]
	if a == nil {
		return
	}
	if row.Late != a.late {
		m.fault("%s is late: %t in the store, %t here (L15)", m.name(a), row.Late, a.late)
	}
	if a.Status == row.Status {
		return
	}
	at := slices.IndexFunc(attemptMoves, func(v attemptMove) bool { return v.from == a.Status && v.to == row.Status })
	switch {
	case at < 0:
		m.fault("%s: no rule lets it become %s from %s (L15)", m.name(a), row.Status, a.Status)
	case !attemptMoves[at].holds(m, a, row.ChangedUS):
		m.fault("%s: %s → %s without %s (%s)", m.name(a), a.Status, row.Status, attemptMoves[at].needs, attemptMoves[at].why)
	default:
		m.made[attemptMoves[at].String()]++
	}
	if row.Status == "asking" {
		a.sinceUS, a.restarts = row.ChangedUS, m.restarts
	}
	a.Status = row.Status
}

// compare holds the rows of a commit against what they must be by now.
func (m *Model) compare(c Commit) {
	for _, p := range c.Payments {
		m.samePayment(p)
	}
	for _, o := range c.Operations {
		if known := m.ops[o.ID]; known != nil {
			if known.seen = o.Status; o.Status != known.Status {
				m.fault("operation %s (%s of payment %s) is %s, must be %s (L15)", o.ID, o.Kind, m.pays[o.Payment].Name, o.Status, known.Status)
			}
		}
	}
	for _, e := range c.Events {
		a := m.atts[e.Attempt]
		if a != nil && a.booked != (a.Status == "approved") {
			m.fault("%s is %s, and its money is booked: %t (L3.2)", m.name(a), a.Status, a.booked)
		}
	}
	if got, want := sorted(c.Transfers), sorted(m.moved); got != want {
		m.fault("money moved: %s; must be: %s (design 5)", got, want)
	}
	for _, r := range c.Rounds {
		if _, known := m.players[r.ID]; !known {
			m.tombstone(r)
		}
		m.sameRound(r)
	}
	for _, a := range c.Accounts {
		if bounded(a.AccountName) && a.Minor > 0 {
			m.fault("account %+v is at %d, below zero (design 5)", a.AccountName, -a.Minor)
		}
		if want := m.accounts[a.AccountName]; a.Minor != want {
			m.fault("account %+v is at %d, must be %d (design 5)", a.AccountName, a.Minor, want)
		}
	}
}

func (m *Model) samePayment(p Payment) {
	known := m.pays[p.ID]
	if known == nil {
		m.fault("payment %s was never committed", p.ID)
		return
	}
	if want := known.Payment; p != want {
		m.fault("payment %s is %+v, must be %+v (L15)", p.Name, p, want)
	}
}

func sorted(ts []Transfer) string {
	lines := make([]string, len(ts))
	for n, t := range ts {
		from, to := t.Credit, t.Debit
		lines[n] = fmt.Sprintf("%d from %s %s to %s %s in %s, %d", t.Minor, from.Owner, from.Purpose, to.Owner, to.Purpose, to.Currency, to.Place)
		if from.Currency != to.Currency || from.Place != to.Place {
			lines[n] += fmt.Sprintf(" out of %s, %d", from.Currency, from.Place)
		}
	}
	slices.Sort(lines)
	return "[" + strings.Join(lines, "; ") + "]"
}
