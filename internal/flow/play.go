package flow

import (
	"fmt"
	"math"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/ledger"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/risk"
)

// hintPlay names the rows that counting a move of a round will want.
func (m *move) hintPlay(p *book.Page) {
	if m.licence == nil || m.round.IsZero() || m.Amount.Currency == "" {
		return
	}
	p.Customers.Get(m.wallet.customer)
	p.Windows.Get(limit.WindowID(m.wallet.customer, limit.Play, m.Amount.Currency))
}

// play lets a customer of a licensed project stake, or says why not, and counts what
// they stake and win of their own: bonus was never theirs to lose. A refusal is a
// *risk.Refusal.
func (m *move) play(p *book.Page) error {
	if m.licence == nil || m.round.IsZero() {
		return nil
	}
	t, err := tallyHead(p, m.licence, customerOn(p, m.wallet))
	if err != nil {
		return err
	}
	if m.kind == ledger.KindStake {
		if err := t.unrestrained(); err != nil {
			return err
		}
	}
	if m.Bonus {
		return nil
	}
	if m.kind == ledger.KindStake {
		if err := t.mayStake(m.Amount); err != nil {
			return err
		}
	}
	return t.played(m.Amount.Currency, func(s *limit.Slots) (staked int64) {
		switch now := p.NowUS(); m.kind {
		case ledger.KindStake:
			s.Stake(m.Amount.Minor, now)
			return m.Amount.Minor
		case ledger.KindWin:
			s.Win(m.Amount.Minor, now)
		case ledger.KindRollback, ledger.KindDeposit, ledger.KindLateSuccess, ledger.KindLateCredit,
			ledger.KindRefundReserve, ledger.KindRefundSettle, ledger.KindRefundRelease,
			ledger.KindPayoutReserve, ledger.KindPayoutSettle, ledger.KindPayoutRelease,
			ledger.KindDebit, ledger.KindCredit, ledger.KindBonusGrant, ledger.KindBonusRelease, ledger.KindBonusForfeit,
			ledger.KindCaptureFOP, ledger.KindRefundFOP, ledger.KindRemittance, ledger.KindRemittanceShare:
		}
		return 0
	})
}

// unplay counts that a round is undone.
func (m *move) unplay(p *book.Page, r ledger.Round) error {
	if m.licence == nil || r.Staked == 0 && r.Won == 0 {
		return nil
	}
	t, err := tallyHead(p, m.licence, customerOn(p, m.wallet))
	if err != nil {
		return err
	}
	return t.played(r.Currency, func(s *limit.Slots) (staked int64) {
		s.RollBack(r.Staked, r.Won, r.CreatedUS, p.NowUS())
		return -r.Staked
	})
}

// played changes the window of play in a currency. change says what was staked by it,
// below zero if that was given back: no more than there is.
func (t *tally) played(c money.Currency, change func(s *limit.Slots) (staked int64)) error {
	k := limit.WindowID(t.customer.ID, limit.Play, c)
	now := t.nowUS
	row, ok := t.window(k)
	s := limit.Slots{SinceUS: now}
	if ok {
		var err error
		if s, err = limit.DecodeSlots(row.Entries); err != nil {
			return fmt.Errorf("window %s: %w", k, err)
		}
	} else {
		row = limit.Window{ID: k, Customer: t.customer.ID, Kind: limit.Play, Currency: c}
	}
	staked := change(&s)
	for _, sum := range []*int64{&row.EverMinor, &row.StakedMinor} {
		all, err := add(*sum, staked)
		if err != nil {
			return fmt.Errorf("what was staked: %w", err)
		}
		*sum = max(0, all)
	}
	row.Entries, row.ChangedUS = s.Encode(), now
	t.page.Windows.Put(row)
	return nil
}

// mayStake refuses a stake that would pass a limit.
func (t *tally) mayStake(a money.Amount) error {
	var all []playing
	read := false
	var worst *risk.Refusal
	now := t.nowUS
	err := t.bounds(customer.LimitKind.OfPlay, func(b bound) (err error) {
		if !read {
			if all, err = t.plays(t.customer.With(string(a.Currency))); err != nil {
				return err
			}
			read = true
		}
		if r := t.over(b, t.playedIn(b, all), a); r != nil {
			if r.ResetsUS = b.period.Leaves(now, now, t.zone); worst == nil || stricter(r, worst) {
				worst = r
			}
		}
		return nil
	})
	if err == nil && worst != nil && mutation != "unplayed" {
		return worst
	}
	return err
}

// playing is a window of play with what it holds.
type playing struct {
	currency money.Currency
	slots    limit.Slots
}

// plays reads a customer's windows of play.
func (t *tally) plays(c customer.Customer) ([]playing, error) {
	var out []playing
	for _, code := range c.List() {
		row, ok := t.window(limit.WindowID(t.customer.ID, limit.Play, money.Currency(code)))
		if !ok {
			continue
		}
		s, err := limit.DecodeSlots(row.Entries)
		if err != nil {
			return nil, fmt.Errorf("window %s: %w", row.ID, err)
		}
		out = append(out, playing{row.Currency, s})
	}
	return out, nil
}

// playedIn is what counts in a limit of play, in its currency: below zero for who has
// won more than staked. math.MaxInt64: it cannot be counted.
func (t *tally) playedIn(b bound, all []playing) int64 {
	total, after := int64(0), b.period.After(t.nowUS, t.zone)
	for _, w := range all {
		minor := w.slots.Staked(after)
		if b.kind == customer.LimitLoss {
			minor = w.slots.Lost(after)
		}
		if minor == 0 {
			continue
		}
		x, err := t.rules.Convert(money.Amount{Minor: minor, Currency: w.currency}, b.amount.Currency)
		if err != nil || minor == math.MaxInt64 {
			return math.MaxInt64
		}
		if total, err = add(total, x.Minor); err != nil {
			return math.MaxInt64
		}
	}
	return total
}
