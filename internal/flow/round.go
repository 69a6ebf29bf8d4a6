package flow

import (
	"context"
	"fmt"

	"aorta/internal/book"
	"aorta/internal/ledger"
	"aorta/internal/money"
	"aorta/internal/payment"
)

// Stake takes what a customer puts into a round.
func (f *Flows) Stake(ctx context.Context, m WalletMove) (Moved, error) {
	return f.move(ctx, ledger.KindStake, m)
}

// Win gives what a customer gets out of a round. It may come before the stake,
// or without one: nothing says in which order they arrive.
func (f *Flows) Win(ctx context.Context, m WalletMove) (Moved, error) {
	return f.move(ctx, ledger.KindWin, m)
}

// Rollback undoes a round: gives back all that was staked and takes back all
// that was won, to and from where it came. Then the round is over. Of a round of
// which nothing is known it leaves a tombstone, for the stake that comes late.
//
// ErrInsufficient: the customer has spent what they had won; nothing was undone.
func (f *Flows) Rollback(ctx context.Context, m WalletMove) (Moved, error) {
	m.Bonus = false
	return f.move(ctx, ledger.KindRollback, m)
}

// join gives the move's round with the move in it.
func (m *move) join(p *book.Page) (ledger.Round, error) {
	r := m.roundOn(p)
	switch {
	case r.RolledBack != "":
		return r, fmt.Errorf("rolled back: %w", ErrRoundState)
	case r.Currency == "":
		r.Currency = m.Amount.Currency
	case r.Currency != m.Amount.Currency:
		return r, fmt.Errorf("in %s: %w", r.Currency, ErrRoundState)
	}
	total, count := &r.Staked, &r.Stakes
	switch {
	case m.kind == ledger.KindWin && m.Bonus:
		total, count = &r.BonusWon, &r.Wins
	case m.kind == ledger.KindWin:
		total, count = &r.Won, &r.Wins
	case m.Bonus:
		total = &r.BonusStaked
	}
	*count++
	r.ChangedUS = p.NowUS()
	var err error
	*total, err = add(*total, m.Amount.Minor)
	return r, err
}

// roundOn reads the round as it is; one that is not there yet has its names only.
func (m *move) roundOn(p *book.Page) ledger.Round {
	r, ok := p.Rounds.Get(m.round)
	if !ok {
		r = ledger.Round{ID: m.round, Project: m.Project.ID, Customer: m.wallet.customer, Name: m.RoundID, CreatedUS: p.NowUS()}
	}
	return r
}

// undoes reports whether the amount that the rollback names, if it names one, is
// what the round has staked.
func (m *move) undoes(r ledger.Round) bool {
	return m.Amount.Minor == 0 || m.Amount == money.Amount{Minor: r.Staked + r.BonusStaked, Currency: r.Currency}
}

// rollBack is the act of a rollback. Its name is of the round, not of a
// transfer: there may be none, and a round has one rollback at most. So no
// second ref is needed where the name was reserved before.
func (m *move) rollBack(p *book.Page) (written, error) {
	r := m.roundOn(p)
	named := false
	if m.own {
		var ref payment.Ref
		if ref, named = p.Refs.Get(m.key); named && ref.Target != m.round.Raw() {
			return written{}, ErrTxnConflict
		}
	}
	switch {
	case r.RolledBack == m.TxnID:
		return written{known: m.round.Raw()}, nil
	case r.RolledBack != "":
		return written{}, fmt.Errorf("rolled back: %w", ErrRoundState)
	case r.Stakes > 0 && !m.undoes(r):
		return written{}, ErrAmount
	}
	w := written{transfer: m.transfer(), currency: r.Currency}
	if r.Currency != "" {
		var err error
		if w.transfer, w.held, err = post(p, w.transfer, m.wallet, r.Currency, m.undoing(r)...); err != nil {
			return written{}, err
		}
		if err := m.unplay(p, r); err != nil {
			return written{}, err
		}
	} else { // nothing to undo: a tombstone
		w.transfer.Customer, w.transfer.CreatedUS = m.wallet.customer, p.NowUS()
		if w.currency = m.Amount.Currency; w.currency != "" {
			a, _ := p.Accounts.Get(ledger.AccountID(m.bucket, m.wallet.owner, ledger.Available, w.currency))
			w.held.available = -a.Minor
		}
	}
	r.RolledBack, r.Rollback, r.ChangedUS = m.TxnID, w.transfer.ID, p.NowUS()
	p.Rounds.Put(r)
	if m.own && !named {
		p.Refs.Put(payment.Ref{RefKey: m.key, Target: m.round.Raw()})
	}
	return w, nil
}

// undoing is the reverse of all that a round had.
func (m *move) undoing(r ledger.Round) []leg {
	available, bonus := accountName{m.wallet.owner, ledger.Available}, accountName{m.wallet.owner, ledger.Bonus}
	games := accountName{"house", ledger.Games}
	var out []leg
	back := func(from, to accountName, minor int64) {
		if minor != 0 {
			out = append(out, leg{from, minor}, leg{to, -minor})
		}
	}
	back(games, available, r.Staked)
	back(games, bonus, r.BonusStaked)
	back(available, games, r.Won)
	back(bonus, games, r.BonusWon)
	return out
}
