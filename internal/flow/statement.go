package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/money"
	"aorta/internal/project"
)

// StatementQuery asks for a part of what moved in a customer's wallet.
type StatementQuery struct {
	Project    project.Project
	CustomerID string
	Currency   money.Currency // empty: all
	Cursor     string         // Statement.Next of the page before; empty: from the newest
	Limit      int            // 1..maxStatement
}

// Statement is a page of a customer's transfers, newest first.
type Statement struct {
	Transfers []ledger.Transfer
	Next      string // cursor of the next page; empty: there is none
}

// maxStatement bounds a page.
const maxStatement = 200

// ErrCursor: not a cursor of this customer's statement.
var ErrCursor = errors.New("no cursor of this statement")

// Statement follows the chain of a customer's transfers, one in each currency,
// from its head in the available account: by primary key, however long it is
// (docs/wallet.md). A cursor names where each chain goes on; what comes
// meanwhile is newer than any page and changes none.
func (f *Flows) Statement(ctx context.Context, q StatementQuery) (Statement, error) {
	w, currencies, err := f.currencies(ctx, q.Project, q.CustomerID)
	if err != nil {
		return Statement{}, err
	}
	if q.Currency != "" {
		currencies = slices.DeleteFunc(currencies, func(c money.Currency) bool { return c != q.Currency })
	}
	heads, err := f.heads(ctx, w, currencies, q.Cursor)
	if err != nil {
		return Statement{}, err
	}
	var out Statement
	for limit := min(max(q.Limit, 1), maxStatement); len(heads) > 0 && len(out.Transfers) < limit; {
		newest := 0
		for n := range heads {
			if heads[n].After(heads[newest]) {
				newest = n
			}
		}
		t := heads[newest]
		out.Transfers = append(out.Transfers, t)
		if t.Prev.IsZero() {
			heads = slices.Delete(heads, newest, newest+1)
			continue
		}
		prev, ok, err := f.read.Transfer(ctx, t.Prev)
		if err != nil || !ok {
			return Statement{}, fmt.Errorf("read transfer %s before %s (found %t): %w", t.Prev, t.ID, ok, err)
		}
		heads[newest] = prev
	}
	names := make([]string, 0, len(heads))
	for _, t := range heads {
		names = append(names, t.ID.String())
	}
	out.Next = strings.Join(names, ".")
	return out, nil
}

// heads are the newest transfers of the statement, or those of the cursor: at
// most one of each currency.
func (f *Flows) heads(ctx context.Context, w wallet, currencies []money.Currency, cursor string) ([]ledger.Transfer, error) {
	var out []ledger.Transfer
	if cursor == "" {
		for _, c := range currencies {
			a, ok, err := f.read.Account(ctx, ledger.AccountID(w.customer.Bucket(), w.owner, ledger.Available, c))
			if err != nil || !ok {
				return nil, fmt.Errorf("read account in %s (found %t): %w", c, ok, err)
			}
			t, ok, err := f.read.Transfer(ctx, a.Last)
			if err != nil || !ok {
				return nil, fmt.Errorf("read transfer %s (found %t): %w", a.Last, ok, err)
			}
			out = append(out, t)
		}
		return out, nil
	}
	for name := range strings.SplitSeq(cursor, ".") {
		k, err := id.ParseTransfer(name)
		if err != nil || int(k.Bucket()) >= f.book.Buckets() || len(out) == len(currencies) {
			return nil, ErrCursor
		}
		t, ok, err := f.read.Transfer(ctx, k)
		if err != nil {
			return nil, fmt.Errorf("read transfer %s: %w", k, err)
		}
		if !ok || t.Customer != w.customer || !slices.Contains(currencies, t.Currency()) ||
			slices.ContainsFunc(out, func(x ledger.Transfer) bool { return x.Currency() == t.Currency() }) {
			return nil, ErrCursor
		}
		out = append(out, t)
	}
	return out, nil
}
