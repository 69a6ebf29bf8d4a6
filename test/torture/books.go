package torture

import (
	"context"
	"fmt"
	"slices"
	"time"

	"aorta/internal/book"
	"aorta/internal/due"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/payment"
	"aorta/test/scenario"
)

// Read shows the store of the moment, whether or not a platform runs.
func (w *World) Read(do func(book.Reader) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return scenario.Read(ctx, w.Database, w.home, do)
}

// Provider reads the provider's journal after an entry.
func (w *World) Provider(after int64) ([]scenario.Entry, error) {
	return scenario.Provider(context.Background(), w.OtherURL, after)
}

// Callbacks are what the merchant received of a payment, oldest first.
func (w *World) Callbacks(name string) ([]scenario.Callback, error) {
	return scenario.Callbacks(context.Background(), w.OtherURL, name)
}

// Differences lists where the provider's journal differs from our books, both
// ways, by the names that both know (C4). It knows of no money that was moved
// and must not be booked, as of another amount: package verify does.
func (w *World) Differences(r book.Reader) (out []string, err error) {
	entries, err := w.Provider(0)
	if err != nil {
		return nil, err
	}
	theirs, balance := map[string]scenario.Entry{}, int64(0)
	for _, e := range entries {
		theirs[e.Reference()] = e
		switch {
		case e.State != "paid":
		case e.Kind == "refund":
			balance -= e.AmountMinor
		default:
			balance += e.AmountMinor
		}
	}
	if err := scenario.Every(r.ScanAttempts, func(a payment.Attempt) id.Attempt {
		e, approved := theirs[a.ID.String()], a.Status == payment.AttemptApproved
		if (e.State == "paid") != approved || (approved && e.AmountMinor != a.Amount.Minor) {
			out = append(out, fmt.Sprintf("attempt %s is %s over %d, at the provider %q over %d", a.ID, a.Status, a.Amount.Minor, e.State, e.AmountMinor))
		}
		delete(theirs, a.ID.String())
		return a.ID
	}); err != nil {
		return nil, err
	}
	for name, e := range theirs {
		out = append(out, fmt.Sprintf("the provider has a %s %s, which we do not know", e.Kind, name))
	}
	var clearing int64
	err = scenario.Every(r.ScanAccounts, func(a ledger.Account) id.Account {
		if a.Purpose == ledger.Clearing {
			clearing += a.Minor
		}
		return a.ID
	})
	if clearing != balance {
		out = append(out, fmt.Sprintf("clearing holds %d minor units, the provider %d", clearing, balance))
	}
	return out, err
}

// Waiting lists the refunds that wait for it to be sure that the provider has
// never heard of them: it has no record, has said so, and is asked again ten
// minutes later, before the refund is sent anew (payment-loop.md L15). Such a
// refund has not ended, and is where it should be as long as that look-up is to
// come, and the provider's journal lacks it indeed.
func (w *World) Waiting(r book.Reader) (out []payment.Attempt, err error) {
	watched := map[id.Raw]bool{}
	if err := scenario.Every(r.ScanDue, func(d due.Due) id.Raw {
		watched[d.ID] = d.Kind == due.Watch && d.DueUS > time.Now().Add(-time.Minute).UnixMicro()
		return d.ID
	}); err != nil {
		return nil, err
	}
	if err := scenario.Every(r.ScanAttempts, func(a payment.Attempt) id.Attempt {
		if a.Kind == payment.KindRefund && a.Status == payment.AttemptUnknown && a.NoRecords > 0 && watched[a.ID.Raw()] {
			out = append(out, a)
		}
		return a.ID
	}); err != nil || len(out) == 0 {
		return nil, err
	}
	entries, err := w.Provider(0)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, e := range entries {
		known[e.Reference()] = true
	}
	return slices.DeleteFunc(out, func(a payment.Attempt) bool { return known[a.ID.String()] }), nil
}
