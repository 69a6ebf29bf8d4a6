package model

import "slices"

// End says all that is wrong: with the steps, and, of a history that has come
// to rest, what had to happen and did not. The rows are all that is stored.
func (m *Model) End(payments []Payment, accounts []Account, rounds []Round) []string {
	if len(payments) != len(m.pays) {
		m.fault("%d payments are stored, %d were committed (C2)", len(payments), len(m.pays))
	}
	for _, p := range payments {
		m.samePayment(p)
	}
	stored := map[AccountName]int64{}
	for _, a := range accounts {
		stored[a.AccountName] = a.Minor
		if want := m.accounts[a.AccountName]; a.Minor != want { // one without money may be there: a statement begins at it
			m.fault("account %+v ends at %d, must be %d (design 5)", a.AccountName, a.Minor, want)
		}
	}
	for name, want := range m.accounts {
		if _, ok := stored[name]; !ok {
			m.fault("account %+v is not stored, must be at %d (design 5)", name, want)
		}
	}
	m.endRounds(rounds, accounts)
	m.endRestrictions()
	m.endGoogle()
	for _, p := range m.pays {
		m.endPayment(p)
	}
	for _, k := range m.order {
		m.endAttempt(m.atts[k])
	}
	return m.wrong
}

func (m *Model) endPayment(p *payment) {
	if p.Type == "payout" {
		m.endPayout(p)
		return
	}
	if !slices.Contains(over, p.Status) {
		m.fault("payment %s is %s in the end (L15)", p.Name, p.Status)
	}
	if len(p.sales) == 0 {
		m.fault("payment %s has no sale (L2)", p.Name)
	}
	for _, k := range p.sales {
		if o := m.ops[k]; o.Status != "success" && o.Status != "decline" || o.seen != o.Status {
			m.fault("sale %s of payment %s is stored as %s in the end, must be %s (L15)", k, p.Name, o.seen, o.Status)
		}
	}
}

func (m *Model) endAttempt(a *attempt) {
	p := m.pays[a.Payment]
	has := func(kinds ...string) bool {
		return slices.ContainsFunc(kinds, func(k string) bool { return m.cases[Case{Payment: a.Payment, Kind: k}] })
	}
	switch {
	case a.paid() && !a.booked && a.tooLate():
		if !has("contradiction") {
			m.fault("%s: it was released, the provider has paid it after all, and no case says so (L15)", m.name(a))
		}
	case a.paid() && !a.booked:
		m.fault("%s: the provider has said that it is paid, and it was not booked (L3.2, L14)", m.name(a))
	case a.Kind != "sale" && (a.held || m.ops[a.Operation].held && m.newest(m.ops[a.Operation]) == a) && a.said("declined"):
		m.fault("%s: the provider has said no, and its money is still reserved (design 5)", m.name(a))
	case a.Status != "approved" && a.other() && !has("mismatch", "contradiction"):
		m.fault("%s: the provider has said another amount, and no case says so (L6.4)", m.name(a))
	case a.wrongNews && !has("mismatch"):
		m.fault("%s: its news was of another amount, and no case says so (L6.4)", m.name(a))
	case a.Kind == "sale" && a.late && !has("late_success"):
		m.fault("%s: its money came late, and no case says so (L15)", m.name(a))
	case a.Kind == "sale" && a.late && m.s.Late == "refund" && !a.sentBack:
		m.fault("%s: its money came late, and is not sent back (L15 late_success = refund)", m.name(a))
	case a.Kind == "sale" && a.late && m.s.Late == "credit" && p.Status == "declined":
		m.fault("%s: its money came late, and is not credited (L15 late_success = credit)", m.name(a))
	}
}
