package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/money"
	"aorta/test/model"
)

// walletMove is a move that a payment's client asks for.
type walletMove struct {
	flow.WalletMove
	kind ledger.Kind
	name string // for draws
}

// send asks a process for it.
func (m *walletMove) send(f *flow.Flows) (flow.Moved, error) {
	do := map[ledger.Kind]func(context.Context, flow.WalletMove) (flow.Moved, error){
		ledger.KindStake: f.Stake, ledger.KindWin: f.Win, ledger.KindRollback: f.Rollback, ledger.KindCredit: f.Credit, ledger.KindDebit: f.Debit,
		ledger.KindBonusGrant: f.GrantBonus, ledger.KindBonusRelease: f.ReleaseBonus,
	}[m.kind]
	return do(context.Background(), m.WalletMove)
}

// kinds are the moves, as often as they are drawn.
var kinds = []ledger.Kind{
	ledger.KindStake, ledger.KindStake, ledger.KindStake, ledger.KindStake, ledger.KindWin, ledger.KindWin, ledger.KindRollback, ledger.KindRollback,
	ledger.KindCredit, ledger.KindCredit, ledger.KindCredit, ledger.KindDebit, ledger.KindBonusGrant, ledger.KindBonusRelease,
}

// plays has the customer of a payment play rounds of their own, and the merchant
// give to their wallet and take from it: in any order, and some of it twice.
func (w *world) plays(payment, customer string, begins time.Duration) {
	if !w.project.Wallet {
		return
	}
	for n := range int(w.draw("moves", payment) * 8) {
		m := w.moveOf(payment, customer, n)
		at := begins + w.span(90*time.Minute, "moves at", m.name)
		ask := func(at time.Duration, m walletMove) { w.later(at, m.name, func() { w.move(m, 0) }) }
		ask(at, m)
		if w.draw("moves twice", m.name) < 0.25 { // at the same moment
			twin := m
			twin.name += "/twin"
			ask(at, twin)
		}
		if w.draw("moves again", m.name) < 0.3 {
			again := m
			again.name += "/again"
			ask(at+w.span(time.Hour, "moves again", m.name), again)
		}
		if w.draw("moves otherwise", m.name) < 0.25 {
			ask(at+w.span(time.Minute, "moves otherwise", m.name)-w.span(time.Minute, "moves otherwise before", m.name)/4, w.otherwise(m))
		}
	}
}

// moveOf is a payment's n-th move. Two have one txn_id: mostly of two kinds, so
// that they are two moves.
func (w *world) moveOf(payment, customer string, n int) walletMove {
	m := walletMove{name: fmt.Sprint(payment, "/move/", n), kind: kinds[int(w.draw("kind", payment, n)*float64(len(kinds)))]}
	m.WalletMove = flow.WalletMove{
		Project: w.project, CustomerID: customer, TxnID: fmt.Sprint("move-", payment, "-", n/2), Bonus: w.draw("bonus", m.name) < 0.2,
		Amount: money.Amount{Minor: 1 + int64(w.draw("moved", m.name)*400), Currency: "INR"},
	}
	if w.draw("euro", m.name) < 0.1 {
		m.Amount.Currency = "EUR"
	}
	inRound := m.kind == ledger.KindStake || m.kind == ledger.KindWin || m.kind == ledger.KindRollback
	m.Bonus = m.Bonus && m.kind != ledger.KindRollback && (inRound || m.kind == ledger.KindDebit) // others have no purse to choose
	switch {
	case m.kind == ledger.KindRollback && w.draw("all of it", m.name) < 0.8:
		m.Amount.Minor = 0
	case m.kind == ledger.KindCredit || m.kind == ledger.KindBonusGrant:
		m.Amount.Minor *= 3 // what they bring must last
	}
	if !inRound {
		return m
	}
	m.RoundID = fmt.Sprint("round-", payment, "-", int(w.draw("round", m.name)*2))
	return m
}

// otherwise is the move under its name, and with other content.
func (w *world) otherwise(m walletMove) walletMove {
	switch x := w.draw("otherwise", m.name); {
	case x < 0.4 || m.kind == ledger.KindRollback:
		m.Amount.Minor++
	case x < 0.7 && m.RoundID != "":
		m.RoundID += "-another"
	default:
		m.CustomerID += "-another"
	}
	m.name += "/otherwise"
	return m
}

// move asks for a move; whoever has no answer asks again.
func (w *world) move(m walletMove, try int) {
	if try == 0 {
		w.unanswered[m.name] = true
	}
	var asked *model.AskedMove
	again := func() {
		if asked != nil {
			w.witness.MoveUnheard(asked)
		}
		w.later(w.span(20*time.Second, "moves again", m.name, try), m.name, func() { w.move(m, try+1) })
	}
	w.request(fmt.Sprint(m.name, "/", try), func(p *process) {
		asked = w.witness.Move(m.kind, m.WalletMove)
		is, err := m.send(p.flows)
		if why := refusal(err); why != "" {
			w.witness.MoveRefused(asked, why)
			delete(w.unanswered, m.name)
			if why == model.RefusedShort && w.draw("once more", m.name) < 0.5 { // its name is not used up
				m.name += "/once more"
				w.later(w.span(time.Hour, "once more", m.name), m.name, func() { w.move(m, 0) })
			}
			return
		}
		if err != nil {
			w.bear(err)
			again()
			return
		}
		w.witness.MoveAnswered(asked, is)
		delete(w.unanswered, m.name)
		w.moved(m, is)
	}, again)
}

// refusal is what an error says to the model; empty: no refusal.
func refusal(err error) string {
	switch {
	case errors.Is(err, flow.ErrInsufficient):
		return model.RefusedShort
	case errors.Is(err, flow.ErrRoundState):
		return model.RefusedRound
	case errors.Is(err, flow.ErrTxnConflict):
		return model.RefusedConflict
	case errors.Is(err, flow.ErrAmount):
		return model.RefusedAmount
	}
	return refusedByRules(err)
}

// moved notes what a client was told of its move: always the same (C7).
func (w *world) moved(m walletMove, is flow.Moved) {
	t := is.Transfer
	if t.Kind != m.kind || t.Name != m.TxnID || t.Project != w.project.ID {
		w.wrong("%s %s was answered with %s %s of project %d", m.kind, m.TxnID, t.Kind, t.Name, t.Project)
	}
	if t.ID.IsZero() {
		return // a rollback that found nothing; the model knows
	}
	known := ack{what: fmt.Sprint(m.kind, " ", m.TxnID), transfer: t.ID, amount: debited(t)}
	for _, a := range w.acked {
		if a.what == known.what && a != known {
			w.wrong("%s is %s of %d and %s of %d", a.what, a.transfer, a.amount, known.transfer, known.amount)
		}
	}
	w.acked = append(w.acked, known)
}

// debited is how much a transfer moves.
func debited(t ledger.Transfer) int64 {
	sum := int64(0)
	for _, p := range t.Postings {
		sum += max(p.Minor, 0)
	}
	return sum
}

// judgeMoves: who asks until there is an answer has one in the end (C7), and one
// name has one transfer at most (C5).
func (w *world) judgeMoves(x rows, wrong func(string, ...any)) {
	for name := range w.unanswered {
		wrong("Request %s has no answer.", name)
	}
	made := map[string]id.Transfer{}
	for _, t := range x.transfers {
		if t.Name == "" {
			continue
		}
		name := fmt.Sprint(t.Kind, " ", t.Name)
		if first, ok := made[name]; ok {
			wrong("%s is made twice: as %s and %s.", name, first, t.ID)
		}
		made[name] = t.ID
	}
}
