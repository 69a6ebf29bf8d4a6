package flow

import (
	"time"
)

// staleAfter is how old a reserved deposit is before its payment is looked at: most have
// ended by then, and have said so themselves.
const staleAfter = time.Hour

// freeStale forgets deposits that are reserved for payments which have ended. There are
// none but of a project that had no rules for a while: what ended then was not counted,
// and would count as reserved for ever.
func (t *tally) freeStale() error {
	windows, err := t.deposited()
	if err != nil {
		return err
	}
	for _, w := range windows {
		entries, freed := w.entries, false
		for _, e := range w.entries.List {
			if !e.Reserved() || e.AtUS > t.nowUS-staleAfter.Microseconds() {
				continue
			}
			if pay, ok := t.page.Payments.Get(e.Payment); !ok || pay.Status.Final() {
				freed = entries.Free(e.Payment) || freed
			}
		}
		if !freed {
			continue
		}
		if err := t.keep(w.row, entries); err != nil {
			return err
		}
	}
	return nil
}
