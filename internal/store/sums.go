package store

import (
	"context"
	"fmt"
	"strings"

	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/money"
)

// Sums adds up all accounts by bucket and currency, in one statement and so in
// one moment, whatever is written meanwhile. It reads every account: its cost
// grows with the number of wallets, not with that of payments.
func (r reader) Sums(ctx context.Context) ([]ledger.Sum, error) {
	var out []ledger.Sum
	err := r.q.query(ctx, sums, nil, func(v values) error {
		out = append(out, ledger.Sum{Bucket: id.Bucket(v.int(0)), Currency: money.Currency(v.text(1)), Minor: v.int(2), Below: v.int(3)})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("sum accounts: %w", err)
	}
	return out, nil
}

var sums = `SELECT account.bucket, account.currency, CAST(SUM(account.minor) AS BIGINT),
CAST(MAX(CASE WHEN account.minor > 0 AND account.purpose IN (` + neverBelow() + `) THEN account.minor ELSE 0 END) AS BIGINT) FROM account
GROUP BY account.bucket, account.currency ORDER BY account.bucket, account.currency`

// neverBelow lists purposes as SQL. A debit on such an account beyond its credits
// is money that was not there.
func neverBelow() string {
	var list []string
	for _, p := range ledger.NeverBelow() {
		list = append(list, "'"+string(p)+"'")
	}
	return strings.Join(list, ", ")
}
