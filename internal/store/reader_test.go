package store_test

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/payment"
	"aorta/internal/store/storetest"
)

// pages reads everything, two rows at a time.
func pages[R, K any](t *testing.T, name string, list func(context.Context, K, int) ([]R, error), key func(R) K) []R {
	t.Helper()
	var all []R
	var after K
	for {
		rows, err := list(t.Context(), after, 2)
		if err != nil || len(rows) > 2 {
			t.Fatalf("%s: %d rows, %v; want at most 2", name, len(rows), err)
		}
		if len(rows) == 0 {
			return all
		}
		all = append(all, rows...)
		after = key(rows[len(rows)-1])
	}
}

func same[R any](t *testing.T, name string, got, want []R) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %.400v, want %.400v", name, got, want)
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		m := new(minter)
		l := lane(t, db)
		var all book.Changes
		for salt := range 3 {
			// One bucket at a time, so that ids and minting go the same way.
			c := rows(m, 4, salt)
			for i := range c.Refs.Insert {
				c.Refs.Insert[i].Scope = []string{"a", "A", "é"}[i]
				c.Refs.Insert[i].Text = fmt.Sprint(salt)
				c.Refs.Insert[i].Bucket = id.Bucket(4 - salt)
			}
			for i := range c.Inbox.Insert {
				c.Deliveries.Insert[i].State = []event.State{event.DeliveryDead, event.DeliveryPending}[i%2]
				c.Inbox.Insert[i].State = []payment.InboxState{payment.InboxDead, payment.InboxApplied}[i%2]
			}
			mustWrite(t, l, m.batch(), clone(c))
			all.Payments.Insert = append(all.Payments.Insert, c.Payments.Insert...)
			all.Operations.Insert = append(all.Operations.Insert, c.Operations.Insert...)
			all.Attempts.Insert = append(all.Attempts.Insert, c.Attempts.Insert...)
			all.Accounts.Insert = append(all.Accounts.Insert, c.Accounts.Insert...)
			all.Deliveries.Insert = append(all.Deliveries.Insert, c.Deliveries.Insert...)
			all.Inbox.Insert = append(all.Inbox.Insert, c.Inbox.Insert...)
			all.Cases.Insert = append(all.Cases.Insert, c.Cases.Insert...)
			all.Endpoints.Insert = append(all.Endpoints.Insert, c.Endpoints.Insert...)
			all.Due.Insert = append(all.Due.Insert, c.Due.Insert...)
			all.Refs.Insert = append(all.Refs.Insert, c.Refs.Insert...)
			all.Transfers = append(all.Transfers, c.Transfers...)
			all.Events = append(all.Events, c.Events...)
		}
		same(t, "ScanPayments", pages(t, "ScanPayments", db.ScanPayments, func(r payment.Payment) id.Payment { return r.ID }), all.Payments.Insert)
		same(t, "ScanOperations", pages(t, "ScanOperations", db.ScanOperations, func(r payment.Operation) id.Operation { return r.ID }), all.Operations.Insert)
		same(t, "ScanAttempts", pages(t, "ScanAttempts", db.ScanAttempts, func(r payment.Attempt) id.Attempt { return r.ID }), all.Attempts.Insert)
		same(t, "ScanAccounts", pages(t, "ScanAccounts", db.ScanAccounts, func(r ledger.Account) id.Account { return r.ID }), all.Accounts.Insert)
		same(t, "ScanDeliveries", pages(t, "ScanDeliveries", db.ScanDeliveries, func(r event.Delivery) id.Delivery { return r.ID }), all.Deliveries.Insert)
		same(t, "ScanInbox", pages(t, "ScanInbox", db.ScanInbox, func(r payment.Inbox) id.Inbox { return r.ID }), all.Inbox.Insert)
		same(t, "ScanTransfers", pages(t, "ScanTransfers", db.ScanTransfers, func(r ledger.Transfer) id.Transfer { return r.ID }), all.Transfers)
		same(t, "ScanEvents", pages(t, "ScanEvents", db.ScanEvents, func(r event.Event) id.Event { return r.ID }), all.Events)
		same(t, "ScanEndpoints", pages(t, "ScanEndpoints", db.ScanEndpoints, func(r event.Endpoint) id.Endpoint { return r.ID }), all.Endpoints.Insert)
		same(t, "ScanDue", pages(t, "ScanDue", db.ScanDue, func(r due.Due) id.Raw { return r.ID }), all.Due.Insert)
		same(t, "Cases", pages(t, "Cases", db.Cases, func(r payment.Case) id.Case { return r.ID }), all.Cases.Insert)

		slices.SortFunc(all.Refs.Insert, func(a, b payment.Ref) int { return book.CompareRefs(a.RefKey, b.RefKey) })
		same(t, "ScanRefs", pages(t, "ScanRefs", db.ScanRefs, func(r payment.Ref) payment.RefKey { return r.RefKey }), all.Refs.Insert)

		deadLetters := slices.DeleteFunc(all.Deliveries.Insert, func(d event.Delivery) bool { return d.State != event.DeliveryDead })
		same(t, "DeadDeliveries", pages(t, "DeadDeliveries", db.DeadDeliveries, func(r event.Delivery) id.Delivery { return r.ID }), deadLetters)
		dead := slices.DeleteFunc(all.Inbox.Insert, func(n payment.Inbox) bool { return n.State != payment.InboxDead })
		same(t, "DeadInbox", pages(t, "DeadInbox", db.DeadInbox, func(r payment.Inbox) id.Inbox { return r.ID }), dead)
	})
}

// TestListPayments: what ListPayments gives is what a filter leaves of all
// payments, on any store, also where more rows are looked at than one call may.
func TestListPayments(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		m := new(minter)
		l := lane(t, db)
		var all []payment.Payment
		const many = book.ListWindow + 700
		for len(all) < many {
			var c book.Changes
			for range 500 {
				n := len(all)
				p := payment.Payment{
					ID: id.Payment(m.raw(id.Bucket(n % 3))), ProjectID: int64(n % 2), CustomerID: fmt.Sprint("c", n%5),
					Status: []payment.Status{payment.StatusNew, payment.StatusCaptured, payment.StatusPending}[n%3], Type: payment.TypePurchase,
				}
				if n%7 == 0 {
					p.Type = payment.TypePayout
				}
				all = append(all, p)
				c.Payments.Insert = append(c.Payments.Insert, p)
			}
			mustWrite(t, l, m.batch(), &c)
		}
		slices.SortFunc(all, func(a, b payment.Payment) int { return b.ID.Compare(a.ID) })
		middle := all[len(all)/2].ID
		for name, f := range map[string]book.PaymentFilter{
			"project":  {ProjectID: 1, Type: payment.TypePurchase},
			"payouts":  {ProjectID: 1, Type: payment.TypePayout},
			"customer": {ProjectID: 0, Type: payment.TypePurchase, CustomerID: "c3"},
			"status":   {ProjectID: 1, Type: payment.TypePurchase, Statuses: []payment.Status{payment.StatusNew, payment.StatusPending}},
			"since":    {ProjectID: 1, Type: payment.TypePurchase, From: middle, Statuses: []payment.Status{payment.StatusCaptured}},
			"all of":   {ProjectID: 0, Type: payment.TypePurchase, From: middle, Statuses: []payment.Status{payment.StatusCaptured}, CustomerID: "c0"},
			"nobody":   {ProjectID: 7, Type: payment.TypePurchase},
		} {
			var want []id.Payment
			for _, p := range all {
				if f.Matches(p) {
					want = append(want, p.ID)
				}
			}
			got, calls := listed(t, func(before id.Payment) ([]payment.Payment, id.Payment, error) {
				return db.ListPayments(t.Context(), f, before, 97)
			}, func(p payment.Payment) id.Payment { return p.ID })
			if !slices.Equal(got, want) {
				t.Errorf("%s: %d payments in %d calls, want %d", name, len(got), calls, len(want))
			}
			if name == "nobody" && calls != 2 {
				t.Errorf("nobody: %d calls, want one for each %d rows", calls, book.ListWindow)
			}
		}
	})
}

// TestListHistory: the same of operations and events, whose project their
// payment knows, and of transfers, which have no payment where a project asked for them.
func TestListHistory(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		m := new(minter)
		l := lane(t, db)
		payments := map[id.Payment]payment.Payment{}
		var operations []payment.Operation
		var events []event.Event
		var transfers []ledger.Transfer
		customers := []id.Customer{{}, id.Customer(m.raw(0)), id.Customer(m.raw(0))}
		const many = book.ListWindow + 700
		for len(operations) < many {
			var c book.Changes
			for range 100 {
				n := len(payments)
				p := payment.Payment{ID: id.Payment(m.raw(id.Bucket(n % 3))), ProjectID: int64(n % 2)}
				payments[p.ID] = p
				c.Payments.Insert = append(c.Payments.Insert, p)
				for k := range 5 {
					o := payment.Operation{
						ID: id.Operation(m.raw(p.ID.Bucket())), Payment: p.ID, Kind: []payment.OperationKind{payment.KindSale, payment.KindRefund}[min(k, 1)],
						Status: []payment.OperationStatus{payment.OperationProcessing, payment.OperationSuccess, payment.OperationAwaitingCustomer}[(n+k)%3],
					}
					e := event.Event{ID: id.Event(m.raw(p.ID.Bucket())), Payment: p.ID, Operation: o.ID, Kind: []event.Kind{event.PaymentCaptured, event.RefundSucceeded}[min(k, 1)], Snapshot: "{}"}
					x := ledger.Transfer{
						ID: id.Transfer(m.raw(p.ID.Bucket())), Kind: []ledger.Kind{ledger.KindDeposit, ledger.KindStake}[min(k, 1)], Customer: customers[(n+k)%3],
						Postings: []ledger.Posting{{Currency: "EUR", Minor: 1}, {Currency: "EUR", Minor: -1}},
					}
					if x.Kind == ledger.KindDeposit {
						x.Payment = p.ID
					} else {
						x.Project = int64(n % 2)
					}
					operations, events, transfers = append(operations, o), append(events, e), append(transfers, x)
					c.Operations.Insert, c.Events, c.Transfers = append(c.Operations.Insert, o), append(c.Events, e), append(c.Transfers, x)
				}
			}
			e := event.Event{ID: id.Event(m.raw(1)), Kind: event.EndpointDisabled, Snapshot: "{}"} // of no payment
			c.Events = append(c.Events, e)
			mustWrite(t, l, m.batch(), &c)
		}
		slices.SortFunc(operations, func(a, b payment.Operation) int { return b.ID.Compare(a.ID) })
		slices.SortFunc(events, func(a, b event.Event) int { return b.ID.Compare(a.ID) })
		for name, f := range map[string]book.OperationFilter{
			"project": {ProjectID: 1},
			"kind":    {ProjectID: 0, Kind: payment.KindRefund},
			"status":  {ProjectID: 1, Statuses: []payment.OperationStatus{payment.OperationProcessing, payment.OperationAwaitingCustomer}},
			"since":   {ProjectID: 1, From: operations[many/2].ID},
			"all of":  {ProjectID: 0, Kind: payment.KindSale, Statuses: []payment.OperationStatus{payment.OperationSuccess}, From: operations[many/2].ID},
			"nobody":  {ProjectID: 7},
		} {
			var want []id.Operation
			for _, o := range operations {
				if f.Matches(o, payments[o.Payment]) {
					want = append(want, o.ID)
				}
			}
			got, calls := listed(t, func(before id.Operation) ([]payment.Operation, id.Operation, error) {
				return db.ListOperations(t.Context(), f, before, 97)
			}, func(o payment.Operation) id.Operation { return o.ID })
			if !slices.Equal(got, want) || name == "nobody" && calls != 2 {
				t.Errorf("%s: %d operations in %d calls, want %d", name, len(got), calls, len(want))
			}
		}
		for name, f := range map[string]book.EventFilter{
			"project": {ProjectID: 1}, "kind": {ProjectID: 0, Kind: event.RefundSucceeded}, "since": {ProjectID: 1, From: events[many/2].ID},
			"of no payment": {ProjectID: 0, Kind: event.EndpointDisabled}, "nobody": {ProjectID: 7},
		} {
			var want []id.Event
			for _, e := range events {
				if f.Matches(e, payments[e.Payment]) {
					want = append(want, e.ID)
				}
			}
			got, calls := listed(t, func(before id.Event) ([]event.Event, id.Event, error) {
				return db.ListEvents(t.Context(), f, before, 97)
			}, func(e event.Event) id.Event { return e.ID })
			if !slices.Equal(got, want) || name == "nobody" && calls != 2 {
				t.Errorf("%s: %d events in %d calls, want %d", name, len(got), calls, len(want))
			}
		}
		slices.SortFunc(transfers, func(a, b ledger.Transfer) int { return b.ID.Compare(a.ID) })
		for name, f := range map[string]book.TransferFilter{
			"project": {ProjectID: 1}, "kind": {ProjectID: 0, Kind: ledger.KindStake}, "since": {ProjectID: 1, From: transfers[many/2].ID},
			"customer": {ProjectID: 0, Customer: customers[1]}, "all of": {ProjectID: 1, Kind: ledger.KindDeposit, Customer: customers[2], From: transfers[many/2].ID},
			"nobody": {ProjectID: 7},
		} {
			var want []id.Transfer
			for _, x := range transfers {
				if f.Matches(x, payments[x.Payment]) {
					want = append(want, x.ID)
				}
			}
			got, calls := listed(t, func(before id.Transfer) ([]ledger.Transfer, id.Transfer, error) {
				return db.ListTransfers(t.Context(), f, before, 97)
			}, func(x ledger.Transfer) id.Transfer { return x.ID })
			if !slices.Equal(got, want) || name == "nobody" && calls != 2 || name != "nobody" && len(want) == 0 {
				t.Errorf("%s: %d transfers in %d calls, want %d", name, len(got), calls, len(want))
			}
		}
	})
}

// listed goes through a list to its end.
func listed[R any, T id.Kind](t *testing.T, page func(before id.Of[T]) ([]R, id.Of[T], error), keyOf func(R) id.Of[T]) (got []id.Of[T], calls int) {
	t.Helper()
	for before, more := (id.Of[T]{}), true; more; calls++ {
		rows, next, err := page(before)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			got = append(got, keyOf(r))
		}
		before, more = next, !next.IsZero()
	}
	return got, calls
}

// TestDeposits: a statement is followed back as far as one says, and what came in
// is found, on any store.
func TestDeposits(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		m := new(minter)
		l := lane(t, db)
		kinds := []ledger.Kind{ledger.KindDeposit, ledger.KindStake, ledger.KindWin, ledger.KindLateCredit, ledger.KindPayoutReserve}
		var c book.Changes
		var heads [2]id.Transfer // two statements in one bucket, and a third in another
		var want [2][]id.Payment
		for n := range 300 {
			who := n % 2
			x := ledger.Transfer{
				ID: id.Transfer(m.raw(3)), Kind: kinds[n/2%len(kinds)], Payment: id.Payment(m.raw(3)), Prev: heads[who], Postings: []ledger.Posting{
					{Account: id.Account(m.raw(3)), Currency: "EUR", Minor: 1}, {Account: id.Account(m.raw(3)), Currency: "EUR", Minor: -1},
				},
			}
			heads[who] = x.ID
			if x.Kind == ledger.KindDeposit || x.Kind == ledger.KindLateCredit {
				want[who] = append([]id.Payment{x.Payment}, want[who]...)
			}
			c.Transfers = append(c.Transfers, x)
		}
		other := c.Transfers[0]
		other.ID = id.Transfer(m.raw(4))
		c.Transfers = append(c.Transfers, other)
		mustWrite(t, l, m.batch(), &c)
		for who, head := range heads {
			for most, found := range map[int]int{1000: 60, 150: 60, 149: 59, 10: 4, 1: 0} {
				got, err := db.Deposits(t.Context(), head, most)
				if err != nil {
					t.Fatal(err)
				}
				same(t, fmt.Sprintf("Deposits of %d in the newest %d", who, most), got, append([]id.Payment(nil), want[who][:found]...))
			}
		}
		for name, from := range map[string]id.Transfer{"nothing": {}, "what is not there": id.Transfer(m.raw(3))} {
			if got, err := db.Deposits(t.Context(), from, 10); err != nil || len(got) != 0 {
				t.Errorf("Deposits of %s = %v, %v", name, got, err)
			}
		}
		if got, err := db.Deposits(t.Context(), other.ID, 10); err != nil || len(got) != 1 {
			t.Errorf("Deposits of the third = %v, %v", got, err)
		}
	})
}

func TestAbsentRows(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		ctx, m := t.Context(), new(minter)
		check := func(name string, ok bool, err error) {
			t.Helper()
			if ok || err != nil {
				t.Errorf("%s of an absent row = %v, %v; want false", name, ok, err)
			}
		}
		_, ok, err := db.Payment(ctx, id.Payment(m.raw(1)))
		check("Payment", ok, err)
		_, ok, err = db.Operation(ctx, id.Operation(m.raw(1)))
		check("Operation", ok, err)
		_, ok, err = db.Attempt(ctx, id.Attempt(m.raw(1)))
		check("Attempt", ok, err)
		_, ok, err = db.Event(ctx, id.Event(m.raw(1)))
		check("Event", ok, err)
		_, ok, err = db.Delivery(ctx, id.Delivery(m.raw(1)))
		check("Delivery", ok, err)
		_, ok, err = db.Inbox(ctx, id.Inbox(m.raw(1)))
		check("Inbox", ok, err)
		_, ok, err = db.Request(ctx, m.raw(1))
		check("Request", ok, err)
		_, ok, err = db.FindRef(ctx, payment.RefKey{Bucket: 1, Scope: "s", Text: "t"})
		check("FindRef", ok, err)
	})
}

func TestOverdue(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		m := new(minter)
		l := lane(t, db)
		const now = int64(1_000_000_000_000)
		var c book.Changes
		add := func(dueUS, owner int64) id.Raw {
			d := due.Due{ID: m.raw(id.Bucket(len(c.Due.Insert) % 3)), Kind: due.Watch, DueUS: dueUS, Owner: owner}
			c.Due.Insert = append(c.Due.Insert, d)
			return d.ID
		}
		late := add(now, 0)
		add(now+1, 0)
		later := add(now-5, 3)
		add(now+due.LeaseUS, 3)
		dead := add(now+due.LeaseUS, 1)
		dead2 := add(now+due.LeaseUS-1, 2)
		for range 3000 { // more than one page of leased work
			add(now+7, 3)
		}
		oldest := add(7, 1)
		mustWrite(t, l, m.batch(), clone(&c))
		tests := []struct {
			name  string
			dead  []int64
			limit int
			want  []id.Raw
		}{
			{name: "nobody died", limit: 100, want: []id.Raw{oldest, later, late}},
			{name: "a limit", limit: 2, want: []id.Raw{oldest, later}},
			{name: "two died", dead: []int64{1, 2}, limit: 100, want: []id.Raw{oldest, later, late, dead2, dead}},
			{name: "two died, a limit", dead: []int64{1, 2}, limit: 4, want: []id.Raw{oldest, later, late, dead2}},
			{name: "one without work died", dead: []int64{9}, limit: 100, want: []id.Raw{oldest, later, late}},
		}
		for _, tt := range tests {
			rows, err := db.Overdue(t.Context(), now, tt.dead, tt.limit)
			var got []id.Raw
			for _, d := range rows {
				got = append(got, d.ID)
			}
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("%s: Overdue = %v, %v; want %v", tt.name, got, err, tt.want)
			}
		}
	})
}

func TestProcesses(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		ctx := t.Context()
		at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		enter := func(name string) int64 {
			t.Helper()
			e, err := db.Enter(ctx, name, at)
			if err != nil || e <= 0 {
				t.Fatalf("Enter(%q) = %d, %v; want an epoch", name, e, err)
			}
			return e
		}
		beat := func(e int64, now time.Time, want ...int64) {
			t.Helper()
			dead, err := db.Beat(ctx, e, now, now.Add(-10*time.Second))
			if err != nil || !slices.Equal(dead, want) {
				t.Errorf("Beat(%d) = %v, %v; want %v", e, dead, err, want)
			}
		}
		a, b := enter("a"), enter("b")
		if a >= b {
			t.Errorf("epochs %d, %d do not rise", a, b)
		}
		beat(a, at)
		a2 := enter("a")
		beat(a2, at, a)
		beat(b, at) // to b, both of a live: both have beaten lately
		beat(a2, at.Add(11*time.Second), a, b)
		beat(b, at.Add(11*time.Second), a)
	})
}

func TestProcessesEnterAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		unique(t, 8, func(n int) (int64, error) {
			return db.Enter(t.Context(), fmt.Sprint("process ", n), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
		}, 1)
	})
}

func TestLeasedNumbersAreUnique(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		unique(t, 64, func(int) (int64, error) { return db.LeaseNumbers(t.Context(), 1000) }, 1000)
	})
}

// unique calls take n times at once; what it answers must be at least apart
// from each other, and above zero.
func unique(t *testing.T, n int, take func(int) (int64, error), apart int64) {
	t.Helper()
	got := make([]int64, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			var err error
			if got[i], err = take(i); err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	slices.Sort(got)
	if got[0] <= 0 {
		t.Errorf("%d was given out", got[0])
	}
	for i := range n - 1 {
		if cmp.Compare(got[i]+apart, got[i+1]) > 0 {
			t.Errorf("%d and %d are closer than %d", got[i], got[i+1], apart)
		}
	}
}

// TestLinkedByPhone: customers are found by the hash of their number, all who have it,
// and nobody by having none.
func TestLinkedByPhone(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		m := new(minter)
		var c book.Changes
		for n, hash := range []string{"1:a", "1:b", "1:a", "", ""} {
			k := id.Customer(m.raw(id.Bucket(n)))
			c.Linked.Insert = append(c.Linked.Insert, fop.Linked{ID: fop.LinkedID(k), Customer: k, Phone: hash, PhoneHash: hash})
		}
		mustWrite(t, lane(t, db), m.batch(), &c)
		for hash, want := range map[string]int{"1:a": 2, "1:b": 1, "1:c": 0, "": 0} {
			got, err := db.LinkedByPhone(t.Context(), hash, 5)
			if err != nil || len(got) != want {
				t.Errorf("%q: %d customers, %v, want %d", hash, len(got), err, want)
			}
			for _, r := range got {
				if r.PhoneHash != hash {
					t.Errorf("%q gave %q", hash, r.PhoneHash)
				}
			}
		}
		if got, err := db.LinkedByPhone(t.Context(), "1:a", 1); err != nil || len(got) != 1 {
			t.Errorf("of at most one: %d, %v", len(got), err)
		}
	})
}
