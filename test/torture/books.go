package torture

import (
	"context"
	"fmt"
	"time"

	"aorta/internal/book"
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

// Provider reads the journal of one provider, paytm or generic, after an entry.
func (w *World) Provider(name string, after int64) ([]scenario.Entry, error) {
	return scenario.ProviderOf(context.Background(), w.OtherURL, name, after)
}

// Books reads the journals of all providers.
func (w *World) Books() ([]scenario.Entry, error) {
	return scenario.Books(context.Background(), w.OtherURL)
}

// PSP is the owner in our ledger of what a provider holds on an entry's account.
func PSP(e scenario.Entry) string {
	return "psp:" + e.Provider + ":a" + e.Account[len(e.Account)-1:] // accounts are numbered the same at all of them
}

// Callbacks are what the merchant received of a payment, oldest first.
func (w *World) Callbacks(name string) ([]scenario.Callback, error) {
	return scenario.Callbacks(context.Background(), w.OtherURL, name)
}

// Differences lists where the providers' journals differ from our books, both
// ways, by the names that both know (C4). It knows of no money that was moved
// and must not be booked, as of another amount: package verify does.
func (w *World) Differences(r book.Reader) (out []string, err error) {
	entries, err := w.Books()
	if err != nil {
		return nil, err
	}
	type side struct{ psp, currency string }
	theirs, balances := map[string]scenario.Entry{}, map[side]int64{}
	for _, e := range entries {
		theirs[e.Reference] = e
		balances[side{PSP(e), e.Currency}] += e.Change()
	}
	if err := scenario.Every(r.ScanAttempts, func(a payment.Attempt) id.Attempt {
		e, approved := theirs[a.ID.String()], a.Status == payment.AttemptApproved
		if e.Moved() != approved || (approved && (e.AmountMinor != a.Amount.Minor || e.Currency != string(a.Amount.Currency))) {
			out = append(out, fmt.Sprintf("attempt %s is %s over %d %s, at the provider %q over %d %s", a.ID, a.Status, a.Amount.Minor, a.Amount.Currency, e.State, e.AmountMinor, e.Currency))
		}
		delete(theirs, a.ID.String())
		return a.ID
	}); err != nil {
		return nil, err
	}
	for name, e := range theirs {
		out = append(out, fmt.Sprintf("%s has a %s %s, which we do not know", e.Provider, e.Kind, name))
	}
	err = scenario.Every(r.ScanAccounts, func(a ledger.Account) id.Account {
		if a.Purpose == ledger.Clearing {
			balances[side{a.Owner, string(a.Currency)}] -= a.Minor
		}
		return a.ID
	})
	for at, minor := range balances {
		if minor != 0 {
			out = append(out, fmt.Sprintf("clearing holds %d minor units of %s less than %s", minor, at.currency, at.psp))
		}
	}
	return out, err
}

// Waiting lists the refunds and payouts that wait for it to be sure that the
// provider has never heard of them: it has no record, has said so, and is asked
// again ten minutes later, before the refund is sent anew or the payout given up
// (payment-loop.md L15). Such a one has not ended, and is where it should be as
// long as that look-up is to come, and the provider's journal lacks it indeed.
func (w *World) Waiting(r book.Reader) ([]payment.Attempt, error) {
	return scenario.Waiting(r, w.Books)
}
