package verify

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"aorta/internal/customer"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/payment"
)

// What a customer of a licensed project paid in and played is kept twice: as payments
// and transfers, and as windows that limits are counted by (limits-and-risk.md section
// 0). Windows are read first, since they are few and small; the rows that stream by
// then take from them what they say, and what is left in the end is wrong.

// holder is whose window it is, and in what currency.
type holder struct {
	customer id.Customer
	currency money.Currency
}

// entry is a deposit that has come, as both sides know it.
type entry struct{ atUS, minor int64 }

// paidIn is a window of deposits, less what payments and transfers have said.
type paidIn struct {
	limit.Window
	sinceUS  int64
	full     bool // older entries may have become one
	left     map[entry]int
	reserved map[id.Payment]int64
	missing  []id.Transfer // deposits that it does not have
	ever     int64         // what transfers say since it began
	paidOut  bool          // the customer was ever paid out, so its span is not its life
}

// hourOf is what was played in an hour.
type hourOf struct{ staked, won, back, taken int64 }

// hours are what was played, by the hours' beginnings.
type hours map[int64]hourOf

// played is what transfers say that was played.
type played struct {
	hours  hours
	backs  map[id.Round]entry // stakes that were given back
	staked int64              // less what was given back
}

// playedIn is a window of play, and what transfers have said.
type playedIn struct {
	limit.Window
	sinceUS int64
	hours   hours
	said    played
	early   played // from before it began: before there were rules, or by a clock that was behind
	paidOut bool
}

const (
	hourUS = int64(time.Hour / time.Microsecond)
	// clocksUS is how far the clocks of two processes may be apart, so that what the one
	// wrote into a window seems to be older than the window.
	clocksUS = int64(time.Second / time.Microsecond)

	// playUS is how far back a window of play must be exact: its longest period.
	playUS = 30 * 24 * hourUS
)

// windows are those of a run.
type windows struct {
	deposits map[holder]*paidIn
	plays    map[holder]*playedIn
	notes    map[id.Customer]*chain // of their history
}

// scanWindows reads the windows of deposits and play. Those of payouts are judged by
// judgePayoutWindows.
func (c *checker) scanWindows(ctx context.Context) error {
	c.windows = windows{map[holder]*paidIn{}, map[holder]*playedIn{}, map[id.Customer]*chain{}}
	all := pages[limit.Window, id.Window]{scan: c.read.ScanWindows, key: func(w *limit.Window) id.Window { return w.ID }, take: c.takeWindow}
	return merge(ctx, &all)
}

func (c *checker) takeWindow(w *limit.Window) {
	if want := limit.WindowID(w.Customer, w.Kind, w.Currency); want != w.ID {
		c.violation(C13, "Window %s of customer %s is not the one of its names: that one is %s.", w.ID, w.Customer, want)
		return
	}
	who, ok := c.customers[w.Customer]
	if !ok {
		c.violation(C13, "Window %s is of customer %s, who does not exist.", w.ID, w.Customer)
	}
	k := holder{w.Customer, w.Currency}
	switch w.Kind {
	case limit.Deposits:
		if w.Entries == "" {
			if w.EverMinor|w.SinceMinor != 0 {
				c.violation(C3, "Window %s of customer %s has counted deposits, and has no entries.", w.ID, w.Customer)
			}
			return // it has sources alone: of somebody who was only ever paid out
		}
		if ok && !slices.Contains(who.counted, w.Currency) {
			c.violation(C13, "Customer %s has a window of deposits in %s, which their limits do not count.", w.Customer, w.Currency)
		}
		if w.LowerUS < who.lowerUS { // a capture goes by it alone
			c.violation(C5, "The window of customer %s in %s says that a limit was last lowered at %d; their row says %d.", w.Customer, w.Currency, w.LowerUS, who.lowerUS)
		}
		e, err := limit.DecodeEntries(w.Entries)
		if err != nil {
			c.violation(C13, "Window %s cannot be read: %v.", w.ID, err)
			return
		}
		x := &paidIn{Window: *w, sinceUS: e.SinceUS, full: len(e.List) >= limit.MaxEntries, left: map[entry]int{}, reserved: map[id.Payment]int64{}}
		for _, one := range e.List {
			if one.Reserved() {
				x.reserved[one.Payment] = one.Minor
			} else {
				x.left[entry{one.AtUS, one.Minor}]++
			}
		}
		x.Entries = ""
		c.windows.deposits[k] = x
	case limit.Play:
		s, err := limit.DecodeSlots(w.Entries)
		if err != nil {
			c.violation(C13, "Window %s cannot be read: %v.", w.ID, err)
			return
		}
		x := &playedIn{Window: *w, sinceUS: s.SinceUS, hours: hours{}, said: played{hours: hours{}, backs: map[id.Round]entry{}}, early: played{hours: hours{}, backs: map[id.Round]entry{}}}
		for _, list := range [][]limit.Slot{s.Hours, s.Minutes} {
			for _, one := range list {
				x.hours.add(one.AtUS, hourOf{one.Staked, one.Won, one.Back, one.Taken})
			}
		}
		x.Entries = ""
		c.windows.plays[k] = x
	case limit.Payouts, limit.Requests:
	}
}

// add puts what was played at an instant into its hour.
func (all hours) add(atUS int64, what hourOf) {
	hour := atUS - atUS%hourUS
	all[hour] = all[hour].plus(what)
}

func (h hourOf) plus(what hourOf) hourOf {
	return hourOf{h.staked + what.staked, h.won + what.won, h.back + what.back, h.taken + what.taken}
}

// countTransfer takes from a customer's windows what a transfer says of them.
func (c *checker) countTransfer(t *ledger.Transfer) {
	if t.Customer.IsZero() || len(t.Postings) == 0 {
		return
	}
	k := holder{t.Customer, t.Currency()}
	if x := c.windows.deposits[k]; x != nil {
		x.count(t)
	}
	if x := c.windows.plays[k]; x != nil {
		who := c.customers[t.Customer]
		x.count(t, ledger.AccountID(t.ID.Bucket(), who.owner, ledger.Available, k.currency))
	}
}

func (x *paidIn) count(t *ledger.Transfer) {
	switch t.Kind {
	case ledger.KindPayoutSettle:
		x.paidOut = true
	case ledger.KindDeposit, ledger.KindLateCredit:
		minor := max(t.Postings[0].Minor, -t.Postings[0].Minor)
		at := entry{t.CreatedUS, minor}
		if t.CreatedUS < x.sinceUS && x.left[at] == 0 {
			return // from before there were rules; one that counts was written by a clock that is behind
		}
		x.ever += minor
		switch {
		case x.left[at] > 0:
			x.left[at]--
		case !x.full && t.CreatedUS > x.ChangedUS-limit.KeptFor.Microseconds():
			x.missing = append(x.missing, t.ID)
		}
	case ledger.KindLateSuccess, ledger.KindRefundReserve, ledger.KindRefundSettle, ledger.KindRefundRelease, ledger.KindPayoutReserve,
		ledger.KindPayoutRelease, ledger.KindStake, ledger.KindWin, ledger.KindRollback, ledger.KindDebit, ledger.KindCredit,
		ledger.KindBonusGrant, ledger.KindBonusRelease, ledger.KindBonusForfeit,
		ledger.KindCaptureFOP, ledger.KindRefundFOP, ledger.KindRemittance, ledger.KindRemittanceShare: // give no room, and take none
	}
}

func (x *playedIn) count(t *ledger.Transfer, available id.Account) {
	if t.Kind == ledger.KindPayoutSettle {
		x.paidOut = true
	}
	said := &x.said
	if t.CreatedUS < x.sinceUS-clocksUS {
		said = &x.early
	}
	for _, p := range t.Postings {
		if p.Account != available {
			continue
		}
		switch t.Kind {
		case ledger.KindStake:
			said.hours.add(t.CreatedUS, hourOf{staked: p.Minor})
			said.staked += p.Minor
		case ledger.KindWin:
			said.hours.add(t.CreatedUS, hourOf{won: -p.Minor})
		case ledger.KindRollback:
			if p.Minor > 0 {
				said.hours.add(t.CreatedUS, hourOf{taken: p.Minor})
			} else {
				said.backs[t.Round] = entry{t.CreatedUS, said.backs[t.Round].minor - p.Minor}
				said.staked += p.Minor
			}
		case ledger.KindDeposit, ledger.KindLateSuccess, ledger.KindLateCredit, ledger.KindRefundReserve, ledger.KindRefundSettle,
			ledger.KindRefundRelease, ledger.KindPayoutReserve, ledger.KindPayoutSettle, ledger.KindPayoutRelease, ledger.KindDebit,
			ledger.KindCredit, ledger.KindBonusGrant, ledger.KindBonusRelease, ledger.KindBonusForfeit,
			ledger.KindCaptureFOP, ledger.KindRefundFOP, ledger.KindRemittance, ledger.KindRemittanceShare: // no play
		}
	}
}

// countPayment: what an open payment may bring is reserved in its customer's window,
// and what an ended one might have brought is not (C3).
func (c *checker) countPayment(h *history) {
	p := &h.payment
	if p.Type != payment.TypePurchase || p.Status.Final() || len(h.attempts) == 0 {
		return
	}
	owner := h.attempts[0].Payee
	if len(owner) < len(wallet) || owner[:len(wallet)] != wallet {
		return
	}
	k := holder{c.ownerOf(p.ID.Bucket(), owner), p.Amount.Currency}
	x := c.windows.deposits[k]
	if x == nil {
		return // of no licensed project
	}
	got, ok := x.reserved[p.ID]
	if !ok && p.CreatedUS < x.sinceUS {
		return // from before it was one
	}
	if got != p.Amount.Minor {
		c.violation(C3, "Payment %s is open and of %d minor units, of which its customer's window has %d reserved.", p.ID, p.Amount.Minor, got)
	}
	delete(x.reserved, p.ID)
}

// judgeWindows: windows say what payments and transfers say (C3).
func (c *checker) judgeWindows(ctx context.Context) error {
	order := func(a, b holder) int {
		return cmp.Or(a.customer.Compare(b.customer), cmp.Compare(a.currency, b.currency))
	}
	for _, k := range slices.SortedFunc(maps.Keys(c.windows.deposits), order) {
		c.judgeDeposits(k, c.windows.deposits[k])
	}
	for _, k := range slices.SortedFunc(maps.Keys(c.windows.plays), order) {
		if err := c.judgePlay(ctx, k, c.windows.plays[k]); err != nil {
			return err
		}
	}
	return c.judgeNotes(ctx)
}

func (c *checker) judgeDeposits(k holder, x *paidIn) {
	for _, t := range x.missing {
		c.violation(C3, "Deposit %s does not count in the window of customer %s.", t, k.customer)
	}
	for _, p := range slices.SortedFunc(maps.Keys(x.reserved), id.Payment.Compare) {
		c.violation(C3, "Customer %s has %d minor units reserved for payment %s, which is not open.", k.customer, x.reserved[p], p)
	}
	if !x.full {
		for e, n := range x.left {
			if n > 0 {
				c.violation(C3, "The window of customer %s counts %d minor units of %d that no deposit has brought.", k.customer, e.minor, e.atUS)
			}
		}
	}
	if x.EverMinor != x.ever {
		c.violation(C3, "Customer %s has paid in %d minor units of %s by their window, and %d by their transfers.", k.customer, x.EverMinor, k.currency, x.ever)
	}
	if x.SinceMinor > x.EverMinor {
		c.violation(C3, "Customer %s has paid in %d minor units since they were paid out, %d in all.", k.customer, x.SinceMinor, x.EverMinor)
	}
	if !x.paidOut && x.SinceMinor != x.EverMinor {
		c.violation(C3, "Customer %s was never paid out, and has paid in %d minor units since, %d in all.", k.customer, x.SinceMinor, x.EverMinor)
	}
}

func (c *checker) judgePlay(ctx context.Context, k holder, x *playedIn) error {
	for _, said := range []*played{&x.said, &x.early} {
		for r, back := range said.backs {
			row, ok, err := c.read.Round(ctx, r)
			if err != nil {
				return fmt.Errorf("read round of a rollback: %w", err)
			}
			if ok {
				said.hours.add(min(row.CreatedUS, back.atUS), hourOf{back: back.minor})
			}
		}
	}
	exact := x.ChangedUS - playUS
	for hour := range x.said.hours {
		x.hours[hour] = x.hours[hour].plus(hourOf{}) // so that it is looked at
	}
	for _, hour := range slices.Sorted(maps.Keys(x.hours)) {
		h, said := x.hours[hour], x.said.hours[hour]
		if hour > exact && h != said && h != said.plus(x.early.hours[hour]) {
			c.violation(C3, "In the hour from %d the window of customer %s differs from their transfers by %d staked, %d won, %d given back, %d taken back.",
				hour, k.customer, h.staked-said.staked, h.won-said.won, h.back-said.back, h.taken-said.taken)
		}
	}
	all := x.said.staked + x.early.staked
	if x.said.staked >= 0 && x.EverMinor != x.said.staked && x.EverMinor != max(0, all) {
		c.violation(C3, "Customer %s has staked %d minor units of %s ever by their window, %d by their transfers.", k.customer, x.EverMinor, k.currency, x.said.staked)
	}
	if !x.paidOut && x.said.staked >= 0 && x.StakedMinor != x.said.staked && x.StakedMinor != max(0, all) {
		c.violation(C3, "Customer %s was never paid out, and has staked %d minor units of %s by their window, %d by their transfers.", k.customer, x.StakedMinor, k.currency, x.said.staked)
	}
	return nil
}

// judgeNotes: a customer's history has all their notes, each once (C13).
func (c *checker) judgeNotes(ctx context.Context) error {
	of := func(k id.Customer) *chain {
		if c.windows.notes[k] == nil {
			c.windows.notes[k] = &chain{}
		}
		return c.windows.notes[k]
	}
	all := pages[customer.Note, id.Note]{scan: c.read.ScanNotes, key: func(n *customer.Note) id.Note { return n.ID }, take: func(n *customer.Note) {
		s := of(n.Customer)
		s.add(id.Transfer(n.ID), 1)
		if n.Prev.IsZero() {
			s.firsts++
		} else {
			s.add(id.Transfer(n.Prev), minus)
		}
		if _, ok := c.customers[n.Customer]; !ok {
			c.violation(C13, "Note %s is of customer %s, who does not exist.", n.ID, n.Customer)
		}
	}}
	if err := merge(ctx, &all); err != nil {
		return err
	}
	for k, who := range c.customers {
		if !who.lastNote.IsZero() {
			of(k).add(id.Transfer(who.lastNote), minus)
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(c.windows.notes), id.Customer.Compare) {
		if s := c.windows.notes[k]; s.sum != (fingerprint{}) || s.firsts > 1 {
			c.violation(C13, "The history of customer %s has not all of their notes, each once.", k)
		}
	}
	return nil
}
