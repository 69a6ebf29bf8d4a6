package store_test

import (
	"testing"

	"aorta/internal/book"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/store"
	"aorta/internal/store/storetest"
)

func TestSums(t *testing.T) {
	t.Parallel()
	storetest.EachStore(t, func(t *testing.T, db store.DB) {
		m := new(minter)
		l := lane(t, db)
		open := func(b int, owner string, minor int64) ledger.Account {
			a := ledger.Open(id.Bucket(b), owner, ledger.Payable, "INR")
			a.Minor = minor
			return a
		}
		dollars := ledger.Open(1, "x", ledger.Payable, "USD")
		dollars.Minor = -1 << 40
		short, full := ledger.Open(3, "customer:1:c", ledger.Available, "INR"), ledger.Open(3, "customer:1:d", ledger.Available, "INR")
		short.Minor, full.Minor = 5, -5
		worse, held := ledger.Open(3, "customer:1:e", ledger.Bonus, "INR"), ledger.Open(3, "merchant:1", ledger.Reserved, "INR")
		worse.Minor, held.Minor = 9, -9
		var c book.Changes
		c.Accounts.Insert = []ledger.Account{open(1, "x", 1<<40), open(1, "y", -1<<40), open(2, "x", 7), dollars, short, full, worse, held}
		mustWrite(t, l, m.batch(), &c)
		got, err := db.Sums(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		same(t, "Sums", got, []ledger.Sum{{Bucket: 1, Currency: "INR"}, {Bucket: 1, Currency: "USD", Minor: -1 << 40}, {Bucket: 2, Currency: "INR", Minor: 7}, {Bucket: 3, Currency: "INR", Below: 9}})
	})
}
