package model

import (
	"fmt"
	"slices"
	"strings"
)

// Move is a merchant's request to move money of a customer's wallet
// (docs/wallet.md).
type Move struct {
	Kind, Name, Customer, Round, Currency string
	Minor                                 int64 // of a rollback: 0, or all that the round has staked
	Bonus                                 bool
}

// MoveAnswer is what the merchant was told of a move that was made.
type MoveAnswer struct {
	Transfer, Currency string // no transfer: a rollback that found nothing
	Available          int64
	Repeat             bool
}

// Round is a row.
type Round struct {
	ID, Name, Currency                               string
	Place                                            int
	Stakes, Wins, Staked, Won, BonusStaked, BonusWon int64
	RolledBack, Rollback                             string // by which name; its transfer
}

// AskedMove is a request that is on its way, and what was so at any time since.
type AskedMove struct {
	Move
	known      bool // it was made before
	short      bool // the customer had not got so much
	other      bool // the round had staked another sum
	full       bool // a stake: it would have passed a limit
	restricted bool // as above: the customer was restricted
	atUS       int64
	seen       map[string]map[int64]bool // what was available, by currency
}

// player is one customer's part in a round of that name.
type player struct{ customer, round string }

// madeMove is a move that was committed.
type madeMove struct {
	Move
	transfer  string
	available int64 // right after it
	fresh     int   // how often it was told as new
}

// The ways in which a merchant's request may be refused.
const (
	RefusedShort    = "the money is not there"
	RefusedRound    = "the round's state"
	RefusedConflict = "another move of that name"
	RefusedAmount   = "not what the round has staked"
)

// walletSteps are the moves that are counted beside those of payments.
var walletSteps = []string{
	"credit", "debit", "bonus_grant", "bonus_release", "stake", "win", "rollback", "rollback of nothing", "the first transfer again",
	RefusedShort, RefusedRound, RefusedConflict, RefusedAmount,
}

func (m *Model) makes(step string) { m.made["wallet: "+step]++ }

func (v Move) String() string {
	text := fmt.Sprintf("%s %q of %s", v.Kind, v.Name, v.Customer)
	if v.Round != "" {
		text += fmt.Sprintf(" in round %s", v.Round)
	}
	return text
}

// id: a name is unique per kind (docs/wallet.md: Names). There is one project.
func (v Move) id() string { return v.Kind + " " + v.Name }

// MoveAsked: a merchant asks for a move. Whether it was made is not known until
// one of the three below.
func (m *Model) MoveAsked(v Move, atUS int64) *AskedMove {
	a := &AskedMove{Move: v, atUS: atUS, seen: map[string]map[int64]bool{}}
	if !slices.Contains(m.wanted[v.id()], v) {
		m.wanted[v.id()] = append(m.wanted[v.id()], v)
	}
	if done := m.done[v.id()]; done != nil {
		a.known = m.repeats(v, done)
	}
	m.waiting[a] = true
	m.look(a)
	return a
}

// MoveUnheard: the merchant has no answer.
func (m *Model) MoveUnheard(a *AskedMove) { delete(m.waiting, a) }

// MoveAnswered: the merchant was told that it was made: it is there (C2), it is
// what he asked for, and it is always the same (L3.4).
func (m *Model) MoveAnswered(a *AskedMove, answer MoveAnswer) {
	delete(m.waiting, a)
	done := m.done[a.id()]
	switch {
	case done == nil:
		m.fault("%s was answered as %q, and was never committed (C2)", a.Move, answer.Transfer)
		return
	case !m.repeats(a.Move, done):
		m.fault("%s (%+v) was answered as done, but done was %+v (L3.4)", a.Move, a.Move, done.Move)
	case done.transfer != answer.Transfer:
		m.fault("%s was answered as %q, its first transfer is %q (L3.4)", a.Move, answer.Transfer, done.transfer)
	}
	switch {
	case !answer.Repeat && done.transfer != "" && answer.Available != done.available:
		m.fault("%s was answered with %d available, it left %d (design 5)", a.Move, answer.Available, done.available)
	case answer.Currency != "" && !a.seen[answer.Currency][answer.Available]:
		m.fault("%s was answered with %d %s available, which the customer never had while it was asked (design 5)", a.Move, answer.Available, answer.Currency)
	}
	if answer.Repeat {
		m.makes("the first transfer again")
	} else if done.fresh++; done.fresh > 1 {
		m.fault("%s was answered as new twice (L3.4)", a.Move)
	}
}

// MoveRefused: the merchant was told that it is not made, and why.
func (m *Model) MoveRefused(a *AskedMove, why string) {
	delete(m.waiting, a)
	r := m.rounds[player{a.Customer, a.Round}]
	just := false
	switch why {
	case RefusedShort:
		just = a.short
	case RefusedRound:
		just = r != nil && (r.RolledBack != "" && (a.Kind != "rollback" || r.RolledBack != a.Name) || a.Kind != "rollback" && r.Currency != "" && r.Currency != a.Currency)
	case RefusedConflict:
		just = slices.ContainsFunc(m.wanted[a.id()], func(v Move) bool { return v != a.Move })
	case RefusedAmount:
		just = a.other
	case RefusedFull:
		just = a.full
	case RefusedRestricted:
		just = a.restricted
	}
	switch {
	case a.known:
		m.fault("%s was refused (%s), and had been made (L3.4)", a.Move, why)
	case !just:
		m.fault("%s was refused (%s), and nothing was so (docs/wallet.md)", a.Move, why)
	}
	m.makes(why)
}

// repeats: a request has the content of the move that was made under its name.
func (m *Model) repeats(v Move, done *madeMove) bool {
	if v.Kind != "rollback" {
		return v == done.Move
	}
	return v.Customer == done.Customer && v.Round == done.Round && m.undoes(v)
}

// undoes: the amount that a rollback names, if it names one, is what the round has staked.
func (m *Model) undoes(v Move) bool {
	r := m.rounds[player{v.Customer, v.Round}]
	return v.Minor == 0 || r == nil || r.Stakes == 0 || v.Minor == r.Staked+r.BonusStaked && v.Currency == r.Currency
}

// look notes what is so now for a request that is on its way.
func (m *Model) look(a *AskedMove) {
	r := m.rounds[player{a.Customer, a.Round}]
	a.other = a.other || a.Kind == "rollback" && !m.undoes(a.Move)
	m.lookPlay(a)
	currencies := []string{a.Currency}
	if r != nil {
		currencies = append(currencies, r.Currency)
	}
	for _, c := range currencies {
		if a.seen[c] == nil {
			a.seen[c] = map[int64]bool{}
		}
		a.seen[c][-m.accounts[m.purse(a.Customer, "available", c)]] = true
	}
	if a.short {
		return
	}
	sums := map[AccountName]int64{}
	for _, t := range m.legs(a.Move) {
		sums[t.Debit] += t.Minor
		sums[t.Credit] -= t.Minor
	}
	for n, minor := range sums {
		a.short = a.short || bounded(n) && m.accounts[n]+minor > 0
	}
}

func (m *Model) lookAll() {
	for a := range m.waiting {
		m.look(a)
	}
	for a := range m.onWay {
		m.lookCall(a)
	}
}

// bounded: a customer's accounts cannot go below zero (design 5).
func bounded(n AccountName) bool { return strings.HasPrefix(n.Owner, "customer:") }

func (m *Model) owner(customer string) string { return "customer:" + m.s.Merchant + ":" + customer }

// purse is an account of a customer, in the small ledger that all of theirs lie in.
func (m *Model) purse(customer, purpose, currency string) AccountName {
	return AccountName{Place: m.places[customer], Owner: m.owner(customer), Purpose: purpose, Currency: currency}
}

// legs are the transfers of a move, as the table of docs/wallet.md has them.
func (m *Model) legs(v Move) []Transfer {
	place := m.places[v.Customer]
	if v.Kind == "rollback" {
		r := m.rounds[player{v.Customer, v.Round}]
		if r == nil {
			return nil
		}
		available, bonus := m.purse(v.Customer, "available", r.Currency), m.purse(v.Customer, "bonus", r.Currency)
		games := AccountName{Place: place, Owner: "house", Purpose: "games", Currency: r.Currency}
		all := []Transfer{
			{Debit: games, Credit: available, Minor: r.Staked},
			{Debit: games, Credit: bonus, Minor: r.BonusStaked},
			{Debit: available, Credit: games, Minor: r.Won},
			{Debit: bonus, Credit: games, Minor: r.BonusWon},
		}
		return slices.DeleteFunc(all, func(t Transfer) bool { return t.Minor == 0 })
	}
	available, bonus := m.purse(v.Customer, "available", v.Currency), m.purse(v.Customer, "bonus", v.Currency)
	games := AccountName{Place: place, Owner: "house", Purpose: "games", Currency: v.Currency}
	payable := AccountName{Place: place, Owner: "merchant:" + m.s.Merchant, Purpose: "payable", Currency: v.Currency}
	from := available
	if v.Bonus {
		from = bonus
	}
	t := Transfer{Minor: v.Minor}
	switch v.Kind {
	case reserving:
		t.Debit, t.Credit = available, m.purse(v.Customer, "reserved", v.Currency)
	case "credit":
		t.Debit, t.Credit = payable, available
	case "debit":
		t.Debit, t.Credit = from, payable
	case "bonus_grant":
		t.Debit, t.Credit = payable, bonus
	case "bonus_release":
		t.Debit, t.Credit = bonus, available
	case "stake":
		t.Debit, t.Credit = from, games
	case "win":
		t.Debit, t.Credit = games, from
	default:
		return nil
	}
	return []Transfer{t}
}

// walletMove follows one transfer that is a move: its pairs of postings.
func (m *Model) walletMove(pairs []Transfer) {
	t := pairs[0]
	if m.s.Google != nil && googles(t) {
		m.callMove(pairs)
		return
	}
	name := fmt.Sprintf("%s %q", t.Kind, t.Name)
	m.settle(pairs)
	at := slices.IndexFunc(m.wanted[t.Kind+" "+t.Name], func(v Move) bool {
		return m.isRound(v, t.Round) && sorted(m.legs(v)) == sorted(pairs) && (v.Kind != "rollback" || m.undoes(v))
	})
	if at < 0 {
		m.fault("%s moved %s, and nobody asked for that (L3.4)", name, sorted(pairs))
		for _, p := range pairs {
			m.pay(p)
		}
		m.lookAll()
		return
	}
	v := m.wanted[t.Kind+" "+t.Name][at]
	if done := m.done[v.id()]; done != nil {
		m.fault("%s is made twice: as %s and %s (L3.4)", v, done.transfer, t.Of)
	}
	if v.Round != "" {
		m.joins(v, t)
	}
	for _, p := range pairs {
		m.pay(p)
	}
	for _, p := range pairs {
		for _, n := range []AccountName{p.Debit, p.Credit} {
			if bounded(n) && m.accounts[n] > 0 {
				m.fault("%s leaves %d in account %+v (design 5)", v, -m.accounts[n], n)
			}
		}
	}
	done := &madeMove{Move: v, transfer: t.Of, available: -m.accounts[m.purse(v.Customer, "available", t.Debit.Currency)]}
	m.done[v.id()] = done
	m.makes(v.Kind)
	m.staked(v, t.AtUS)
	switch {
	case v.Kind == "stake" && !v.Bonus:
		m.remember(v.Customer, v.Currency, "stake", v.Minor)
	case v.Kind == "rollback":
		r := m.rounds[player{v.Customer, v.Round}]
		m.remember(v.Customer, r.Currency, "back", r.Staked)
	}
	m.lookAll()
	m.lookDecisions()
}

// settle learns in which small ledger a customer is, from the first money that
// moves there: all of it must.
func (m *Model) settle(pairs []Transfer) {
	for _, p := range pairs {
		for _, n := range []AccountName{p.Debit, p.Credit} {
			customer := strings.TrimPrefix(n.Owner, m.owner(""))
			if place, known := m.places[customer]; bounded(n) && !known {
				m.places[customer] = n.Place
			} else if bounded(n) && n.Place != place {
				m.fault("customer %s has money in %d and %d (design 5)", customer, place, n.Place)
			}
		}
	}
}

// isRound: a transfer's round is that of the request, and of no other.
func (m *Model) isRound(v Move, row string) bool {
	if v.Round == "" || row == "" {
		return v.Round == row
	}
	who, known := m.players[row]
	r := m.rounds[player{v.Customer, v.Round}]
	return m.rows[row] == v.Round && (!known || who == player{v.Customer, v.Round}) && (r == nil || r.ID == row)
}

// joins puts a move into its round, or ends it.
func (m *Model) joins(v Move, t Transfer) {
	who := player{v.Customer, v.Round}
	r := m.rounds[who]
	if r == nil {
		r = &Round{ID: t.Round, Name: v.Round, Place: m.places[v.Customer], Currency: t.Debit.Currency}
		m.rounds[who], m.players[t.Round] = r, who
	}
	switch {
	case r.RolledBack != "":
		m.fault("%s: its round was rolled back by %q (L3.4)", v, r.RolledBack)
	case r.Currency != t.Debit.Currency:
		m.fault("%s: its round is in %s, it is in %s (docs/wallet.md)", v, r.Currency, t.Debit.Currency)
	}
	switch {
	case v.Kind == "rollback":
		r.RolledBack, r.Rollback = v.Name, t.Of
	case v.Kind == "stake" && v.Bonus:
		r.Stakes, r.BonusStaked = r.Stakes+1, r.BonusStaked+v.Minor
	case v.Kind == "stake":
		r.Stakes, r.Staked = r.Stakes+1, r.Staked+v.Minor
	case v.Bonus:
		r.Wins, r.BonusWon = r.Wins+1, r.BonusWon+v.Minor
	default:
		r.Wins, r.Won = r.Wins+1, r.Won+v.Minor
	}
}

// tombstone: a rollback of a round of which nothing is known is a row alone.
func (m *Model) tombstone(row Round) {
	at := slices.IndexFunc(m.wanted["rollback "+row.RolledBack], func(v Move) bool { return v.Round == row.Name })
	if at < 0 || row.RolledBack == "" {
		m.fault("round %s (%s) is there, and nobody has played or rolled it back (L3.4)", row.ID, row.Name)
		return
	}
	v := m.wanted["rollback "+row.RolledBack][at]
	if done := m.done[v.id()]; done != nil {
		m.fault("%s is made twice: as %q and for nothing (L3.4)", v, done.transfer)
	}
	who := player{v.Customer, v.Round}
	m.rounds[who], m.players[row.ID] = &Round{ID: row.ID, Name: v.Round, Place: row.Place, RolledBack: v.Name}, who
	m.done[v.id()] = &madeMove{Move: v}
	m.makes("rollback of nothing")
	m.lookAll()
}

// sameRound holds a row against what it must be by now.
func (m *Model) sameRound(row Round) {
	who, ok := m.players[row.ID]
	if !ok {
		m.fault("round %s (%s) was never committed", row.ID, row.Name)
		return
	}
	if want := *m.rounds[who]; row != want {
		m.fault("round %s of %s is %+v, must be %+v (L3.4)", who.round, who.customer, row, want)
	}
}

// endRounds: all rounds are stored, and the games have what they have left.
func (m *Model) endRounds(rounds []Round, accounts []Account) {
	if len(rounds) != len(m.rounds) {
		m.fault("%d rounds are stored, %d were committed (C2)", len(rounds), len(m.rounds))
	}
	games, all := map[string]int64{}, map[string]int64{}
	for _, r := range rounds {
		m.sameRound(r)
		if r.RolledBack == "" {
			games[r.Currency] += r.Staked + r.BonusStaked - r.Won - r.BonusWon
		}
	}
	for _, a := range accounts {
		all[a.Currency] += a.Minor
		if a.Purpose == "games" {
			games[a.Currency] += a.Minor
		}
	}
	for c, minor := range games {
		if minor != 0 {
			m.fault("the games' accounts and the rounds differ by %d %s (L3.4)", minor, c)
		}
	}
	for c, minor := range all {
		if minor != 0 {
			m.fault("all accounts in %s sum to %d (design 5)", c, minor)
		}
	}
}
