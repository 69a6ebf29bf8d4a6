package store_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"aorta/internal/book"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/payment"
	"aorta/internal/store"
	"aorta/internal/store/storetest"
)

// minter makes ids that differ, in a bucket.
type minter struct{ n uint64 }

func (m *minter) raw(b id.Bucket) id.Raw {
	m.n++
	var r id.Raw
	for i := range 8 {
		r[8+i] = byte(m.n >> (8 * (7 - i)))
	}
	r[6] = byte(b)
	return r
}

func (m *minter) batch() id.Batch { return id.Batch(m.raw(0)) }

// awkward texts: what databases and encoders stumble over.
var awkward = []string{
	"", "plain", "ünïcödé ₹ 🦜 \u202e", "quote ' \" \\ and \n newline", "{1,NULL}", "NULL", `{"a":["b"]}`,
	strings.Repeat("long ", 40_000),
}

// fill sets every field of a row to an awkward value; ids are minted in the
// bucket, the first of them is the row's own.
func fill(m *minter, b id.Bucket, n int, row any) {
	v := reflect.ValueOf(row).Elem()
	fillValue(m, b, &n, v)
}

func fillValue(m *minter, b id.Bucket, n *int, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fillValue(m, b, n, v.Field(i))
		}
	case reflect.Array:
		v.Set(reflect.ValueOf(m.raw(b)).Convert(v.Type()))
	case reflect.String:
		*n++
		v.SetString(awkward[*n%len(awkward)])
	case reflect.Int64:
		*n++
		v.SetInt([]int64{math.MaxInt64, math.MinInt64, 1, -1, 1 << 53}[*n%5])
	case reflect.Uint8:
		v.SetUint(uint64(b))
	case reflect.Slice:
		list := reflect.MakeSlice(v.Type(), 2, 2)
		for i := range 2 {
			fillValue(m, b, n, list.Index(i))
		}
		v.Set(list)
	case reflect.Interface: // due.Carry is not stored
	default:
		panic("a row has a field of kind " + v.Kind().String())
	}
}

// rows has some of every kind.
func rows(m *minter, b id.Bucket, salt int) *book.Changes {
	var c book.Changes
	v := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		list := v.Field(i)
		if list.Kind() == reflect.Struct {
			list = list.FieldByName("Insert")
		}
		const n = 3
		list.Set(reflect.MakeSlice(list.Type(), n, n))
		for j := range n {
			fill(m, b, salt+j, list.Index(j).Addr().Interface())
		}
	}
	for i := range c.Transfers {
		for j := range c.Transfers[i].Postings {
			c.Transfers[i].Postings[j].Currency = "INR"
		}
	}
	for i := range c.Refs.Insert {
		m.n++
		c.Refs.Insert[i].Scope = awkward[salt%7]
		c.Refs.Insert[i].Text = fmt.Sprint(awkward[(salt+i)%7], m.n) // unique, and not too long
	}
	slices.SortFunc(c.Refs.Insert, func(a, b payment.Ref) int { return book.CompareRefs(a.RefKey, b.RefKey) })
	return &c
}

// keysOf names all rows that changes insert or update.
func keysOf(c *book.Changes) *book.Keys {
	var k book.Keys
	for _, r := range c.Refs.Insert {
		k.Refs = append(k.Refs, r.RefKey)
	}
	for _, r := range c.Customers.Insert {
		k.Customers = append(k.Customers, r.ID)
	}
	for _, r := range c.Keys.Insert {
		k.Keys = append(k.Keys, r.ID)
	}
	for _, r := range c.Answers.Insert {
		k.Answers = append(k.Answers, r.ID)
	}
	for _, r := range c.Instruments.Insert {
		k.Instruments = append(k.Instruments, r.ID)
	}
	for _, r := range c.Payments.Insert {
		k.Payments = append(k.Payments, r.ID)
	}
	for _, r := range c.Operations.Insert {
		k.Operations = append(k.Operations, r.ID)
	}
	for _, r := range c.Attempts.Insert {
		k.Attempts = append(k.Attempts, r.ID)
	}
	for _, r := range c.Accounts.Insert {
		k.Accounts = append(k.Accounts, r.ID)
	}
	for _, r := range c.Deliveries.Insert {
		k.Deliveries = append(k.Deliveries, r.ID)
	}
	for _, r := range c.Inbox.Insert {
		k.Inbox = append(k.Inbox, r.ID)
	}
	for _, r := range c.Cases.Insert {
		k.Cases = append(k.Cases, r.ID)
	}
	for _, r := range c.Rounds.Insert {
		k.Rounds = append(k.Rounds, r.ID)
	}
	for _, r := range c.Endpoints.Insert {
		k.Endpoints = append(k.Endpoints, r.ID)
	}
	for _, r := range c.Due.Insert {
		k.Due = append(k.Due, r.ID)
	}
	for _, r := range c.Windows.Insert {
		k.Windows = append(k.Windows, r.ID)
	}
	for _, r := range c.Checks.Insert {
		k.Checks = append(k.Checks, r.ID)
	}
	for _, r := range c.Persons.Insert {
		k.Persons = append(k.Persons, r.ID)
	}
	for _, r := range c.Reviews.Insert {
		k.Reviews = append(k.Reviews, r.ID)
	}
	for _, r := range c.Operators.Insert {
		k.Operators = append(k.Operators, r.ID)
	}
	for _, r := range c.AuditHeads.Insert {
		k.AuditHeads = append(k.AuditHeads, r.ID)
	}
	for _, r := range c.Floats.Insert {
		k.Floats = append(k.Floats, r.ID)
	}
	for _, r := range c.Claims.Insert {
		k.Claims = append(k.Claims, r.ID)
	}
	for _, r := range c.Calls.Insert {
		k.Calls = append(k.Calls, r.ID)
	}
	for _, r := range c.Associations.Insert {
		k.Associations = append(k.Associations, r.ID)
	}
	for _, r := range c.Linked.Insert {
		k.Linked = append(k.Linked, r.ID)
	}
	for _, r := range c.Spent.Insert {
		k.Spent = append(k.Spent, r.ID)
	}
	for _, r := range c.Proofs.Insert {
		k.Proofs = append(k.Proofs, r.ID)
	}
	for _, r := range c.Codes.Insert {
		k.Codes = append(k.Codes, r.ID)
	}
	for _, r := range c.Statements.Insert {
		k.Statements = append(k.Statements, r.ID)
	}
	for _, r := range c.Lines.Insert {
		k.Lines = append(k.Lines, r.ID)
	}
	for _, r := range c.Told.Insert {
		k.Told = append(k.Told, r.ID)
	}
	return &k
}

func lane(t *testing.T, db storetest.DB) book.Lane {
	t.Helper()
	l, err := db.Lane(t.Context())
	if err != nil {
		t.Fatalf("Lane: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func begin(t *testing.T, l book.Lane, b id.Batch, k *book.Keys) *book.Found {
	t.Helper()
	f, err := l.Begin(t.Context(), b, id.Batch{}, k)
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	return f
}

// write commits changes in a batch of their own.
func write(t *testing.T, l book.Lane, b id.Batch, c *book.Changes) error {
	t.Helper()
	begin(t, l, b, &book.Keys{})
	return l.Commit(t.Context(), c)
}

func mustWrite(t *testing.T, l book.Lane, b id.Batch, c *book.Changes) {
	t.Helper()
	if err := write(t, l, b, c); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

func TestEveryKindRoundTrips(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		m := new(minter)
		l := lane(t, db)
		for salt := range awkward {
			want := rows(m, 31, salt)
			mustWrite(t, l, m.batch(), want)
			got := begin(t, l, m.batch(), keysOf(want))
			l.Abort(t.Context())
			checkFound(t, got, want, 1)
			checkReader(t, db, want)
		}
	})
}

// checkFound compares each kind of what was found with what was inserted.
func checkFound(t *testing.T, got *book.Found, want *book.Changes, version int64) {
	t.Helper()
	g, w := reflect.ValueOf(got).Elem(), reflect.ValueOf(want).Elem()
	for i := range g.NumField() {
		name := g.Type().Field(i).Name
		found, inserted := g.Field(i), w.FieldByName(name).FieldByName("Insert")
		if found.Len() != inserted.Len() {
			t.Errorf("%s: found %d rows, want %d", name, found.Len(), inserted.Len())
			continue
		}
		for j := range found.Len() {
			if v := found.Index(j).FieldByName("Version").Int(); v != version {
				t.Errorf("%s: version %d, want %d", name, v, version)
			}
			if have, want := found.Index(j).FieldByName("Row").Interface(), inserted.Index(j).Interface(); !reflect.DeepEqual(have, want) {
				t.Errorf("%s: found %.300v, want %.300v", name, have, want)
			}
		}
	}
}

// checkReader reads rows one by one, as screens do.
func checkReader(t *testing.T, db storetest.DB, want *book.Changes) {
	t.Helper()
	ctx := t.Context()
	one := func(name string, want any, got any, ok bool, err error) {
		t.Helper()
		if err != nil || !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %.300v, %v, %v; want %.300v", name, got, ok, err, want)
		}
	}
	for _, r := range want.Payments.Insert {
		got, ok, err := db.Payment(ctx, r.ID)
		one("Payment", r, got, ok, err)
	}
	for _, r := range want.Operations.Insert {
		got, ok, err := db.Operation(ctx, r.ID)
		one("Operation", r, got, ok, err)
	}
	for _, r := range want.Attempts.Insert {
		got, ok, err := db.Attempt(ctx, r.ID)
		one("Attempt", r, got, ok, err)
	}
	for _, r := range want.Deliveries.Insert {
		got, ok, err := db.Delivery(ctx, r.ID)
		one("Delivery", r, got, ok, err)
	}
	for _, r := range want.Inbox.Insert {
		got, ok, err := db.Inbox(ctx, r.ID)
		one("Inbox", r, got, ok, err)
	}
	for _, r := range want.Endpoints.Insert {
		got, ok, err := db.Endpoint(ctx, r.ID)
		one("Endpoint", r, got, ok, err)
	}
	for _, r := range want.Events {
		got, ok, err := db.Event(ctx, r.ID)
		one("Event", r, got, ok, err)
	}
	for _, r := range want.Requests {
		got, ok, err := db.Request(ctx, r.ID)
		one("Request", r, got, ok, err)
	}
	for _, r := range want.Customers.Insert {
		got, ok, err := db.Customer(ctx, r.ID)
		one("Customer", r, got, ok, err)
	}
	for _, r := range want.Accounts.Insert {
		got, ok, err := db.Account(ctx, r.ID)
		one("Account", r, got, ok, err)
	}
	for _, r := range want.Transfers {
		got, ok, err := db.Transfer(ctx, r.ID)
		one("Transfer", r, got, ok, err)
	}
	for _, r := range want.Rounds.Insert {
		got, ok, err := db.Round(ctx, r.ID)
		one("Round", r, got, ok, err)
	}
	for _, r := range want.Refs.Insert {
		got, ok, err := db.FindRef(ctx, r.RefKey)
		one("FindRef", r.Target, got, ok, err)
	}
	last := want.Transfers[len(want.Transfers)-1]
	list, err := db.ScanTransfers(ctx, want.Transfers[0].ID, 2)
	if err != nil || len(list) != 2 || !reflect.DeepEqual(list[1], last) {
		t.Errorf("ScanTransfers = %v, %v; want it to end with %v", list, err, last)
	}
}

func TestUpdateAndDelete(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		m := new(minter)
		l := lane(t, db)
		first := rows(m, 5, 0)
		mustWrite(t, l, m.batch(), first)
		keys := keysOf(first)

		next := updates(m, first, 1, 3)
		begin(t, l, m.batch(), keys)
		if err := l.Commit(t.Context(), next); err != nil {
			t.Fatalf("Commit of updates: %v", err)
		}
		got := begin(t, l, m.batch(), keys)
		checkFound(t, got, first, 2) // updates changed first's rows in place
		if err := l.Commit(t.Context(), deletes(first, 2)); err != nil {
			t.Fatalf("Commit of deletes: %v", err)
		}
		got = begin(t, l, m.batch(), keys)
		l.Abort(t.Context())
		if !reflect.DeepEqual(got, &book.Found{}) && count(got) != 0 {
			t.Errorf("after the deletes there are %d rows, want none", count(got))
		}
	})
}

func count(f *book.Found) int {
	n := 0
	v := reflect.ValueOf(f).Elem()
	for i := range v.NumField() {
		n += v.Field(i).Len()
	}
	return n
}

// updates gives every row new values under its key, in c too, as updates of
// the version.
func updates(m *minter, c *book.Changes, version int64, salt int) *book.Changes {
	var out book.Changes
	from, to := reflect.ValueOf(c).Elem(), reflect.ValueOf(&out).Elem()
	for i := range from.NumField() {
		if from.Field(i).Kind() != reflect.Struct {
			continue
		}
		inserted, updated := from.Field(i).FieldByName("Insert"), to.Field(i).FieldByName("Update")
		for j := range inserted.Len() {
			row := inserted.Index(j)
			key := reflect.ValueOf(row.Field(0).Interface()) // the id, or a ref's key
			fill(m, 0, salt+j, row.Addr().Interface())
			row.Field(0).Set(key)
			stored := reflect.New(updated.Type().Elem()).Elem()
			stored.FieldByName("Row").Set(row)
			stored.FieldByName("Version").SetInt(version)
			updated.Set(reflect.Append(updated, stored))
		}
	}
	return &out
}

func deletes(c *book.Changes, version int64) *book.Changes {
	var out book.Changes
	from, to := reflect.ValueOf(c).Elem(), reflect.ValueOf(&out).Elem()
	for i := range from.NumField() {
		if from.Field(i).Kind() != reflect.Struct {
			continue
		}
		inserted, deleted := from.Field(i).FieldByName("Insert"), to.Field(i).FieldByName("Delete")
		for j := range inserted.Len() {
			gone := reflect.New(deleted.Type().Elem()).Elem()
			gone.FieldByName("Key").Set(inserted.Index(j).Field(0))
			gone.FieldByName("Version").SetInt(version)
			deleted.Set(reflect.Append(deleted, gone))
		}
	}
	return &out
}

// checks has deletes' rows to be found as they are, instead.
func checks(c *book.Changes, version int64) *book.Changes {
	out := deletes(c, version)
	v := reflect.ValueOf(out).Elem()
	for i := range v.NumField() {
		if v.Field(i).Kind() == reflect.Struct {
			gone := v.Field(i).FieldByName("Delete")
			v.Field(i).FieldByName("Check").Set(gone)
			gone.SetZero()
		}
	}
	return out
}

// Rows that an act relied upon without loading them are looked at in the
// commit, each kind.
func TestChecks(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		m := new(minter)
		l := lane(t, db)
		there, absent := rows(m, 4, 0), rows(m, 4, 0)
		mustWrite(t, l, m.batch(), there)
		if err := write(t, l, m.batch(), checks(there, 1)); err != nil {
			t.Errorf("rows at the version that was read: Commit = %v", err)
		}
		kinds := reflect.TypeFor[book.Changes]()
		for i := range kinds.NumField() {
			if kinds.Field(i).Type.Kind() != reflect.Struct {
				continue
			}
			for name, all := range map[string]*book.Changes{"another version": checks(there, 2), "none": checks(absent, 1)} {
				var c book.Changes
				reflect.ValueOf(&c).Elem().Field(i).Set(reflect.ValueOf(all).Elem().Field(i))
				other := payment.Payment{ID: id.Payment(m.raw(4))}
				c.Payments.Insert = append(c.Payments.Insert, other)
				if err := write(t, l, m.batch(), &c); !errors.Is(err, book.ErrConflict) {
					t.Errorf("%s, where %s is there: Commit = %v, want ErrConflict", kinds.Field(i).Name, name, err)
				}
				if _, ok, err := db.Payment(t.Context(), other.ID); ok || err != nil {
					t.Errorf("%s: the batch left a payment (%v, %v)", kinds.Field(i).Name, ok, err)
				}
			}
		}
		got := begin(t, l, m.batch(), keysOf(there))
		l.Abort(t.Context())
		checkFound(t, got, there, 1)

		both := updates(m, there, 1, 1) // rows that are written may be looked at with others, before that
		for i := range kinds.NumField() {
			if f := reflect.ValueOf(both).Elem().Field(i); f.Kind() == reflect.Struct {
				f.FieldByName("Check").Set(reflect.ValueOf(checks(there, 1)).Elem().Field(i).FieldByName("Check"))
			}
		}
		if err := write(t, l, m.batch(), both); err != nil {
			t.Errorf("rows at the version that was read, and written: Commit = %v", err)
		}
		got = begin(t, l, m.batch(), keysOf(there))
		l.Abort(t.Context())
		checkFound(t, got, there, 2)
	})
}

func TestConflictsWriteNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		m := new(minter)
		l := lane(t, db)
		there := rows(m, 7, 0)
		mustWrite(t, l, m.batch(), there)
		absent := rows(m, 7, 0)
		var accountOnly book.Changes
		accountOnly.Accounts.Insert = absent.Accounts.Insert

		tests := []struct {
			name string
			c    *book.Changes
		}{
			{name: "update of an old version", c: updates(m, clone(there), 9, 1)},
			{name: "update of an absent row", c: updates(m, clone(&accountOnly), 1, 1)},
			{name: "delete of an old version", c: deletes(there, 9)},
			{name: "delete of an absent row", c: deletes(&accountOnly, 1)},
			{name: "insert of a row that is there", c: &book.Changes{Accounts: book.Change[ledger.Account, id.Account]{Insert: there.Accounts.Insert[:1]}}},
			{name: "insert of a ref that is there", c: &book.Changes{Refs: book.Change[payment.Ref, payment.RefKey]{Insert: there.Refs.Insert[2:]}}},
		}
		for _, tt := range tests {
			other := payment.Payment{ID: id.Payment(m.raw(7))}
			tt.c.Payments.Insert = append(tt.c.Payments.Insert, other)
			batch := m.batch()
			if err := write(t, l, batch, tt.c); !errors.Is(err, book.ErrConflict) {
				t.Errorf("%s: Commit = %v, want ErrConflict", tt.name, err)
			}
			if _, ok, err := db.Payment(t.Context(), other.ID); ok || err != nil {
				t.Errorf("%s: the batch left a payment (%v, %v)", tt.name, ok, err)
			}
			if _, err := l.Begin(t.Context(), batch, id.Batch{}, &book.Keys{}); err != nil {
				t.Errorf("%s: Begin of the same batch = %v, want nil: it wrote nothing", tt.name, err)
			}
			l.Abort(t.Context())
		}
		got := begin(t, l, m.batch(), keysOf(there))
		l.Abort(t.Context())
		checkFound(t, got, there, 1)
	})
}

// clone copies the inserted rows, so that updates leaves the original alone.
func clone(c *book.Changes) *book.Changes {
	out := *c
	v := reflect.ValueOf(&out).Elem()
	for i := range v.NumField() {
		if v.Field(i).Kind() == reflect.Struct {
			list := v.Field(i).FieldByName("Insert")
			list.Set(reflect.AppendSlice(reflect.Zero(list.Type()), list))
		}
	}
	return &out
}

func TestBatchIsWrittenOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		m := new(minter)
		l := lane(t, db)
		first, second := m.batch(), m.batch()
		mustWrite(t, l, first, rows(m, 1, 0))
		if _, err := l.Begin(t.Context(), first, id.Batch{}, &book.Keys{}); !errors.Is(err, book.ErrCommitted) {
			t.Fatalf("Begin of a committed batch = %v, want ErrCommitted", err)
		}
		if _, err := l.Begin(t.Context(), second, first, &book.Keys{}); err != nil {
			t.Fatalf("Begin: %v", err)
		}
		var c book.Changes
		c.Due.Insert = []due.Due{{ID: m.raw(1), Kind: due.Ask}}
		if err := l.Commit(t.Context(), &c); err != nil {
			t.Fatalf("Commit: %v", err)
		}
		if _, err := l.Begin(t.Context(), first, id.Batch{}, &book.Keys{}); err != nil {
			t.Errorf("Begin of a forgotten batch = %v, want nil", err)
		}
		l.Abort(t.Context())
	})
}

func TestLoadOfAbsentRows(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		m := new(minter)
		l := lane(t, db)
		absent := rows(m, 2, 0)
		if got := begin(t, l, m.batch(), keysOf(absent)); count(got) != 0 {
			t.Errorf("Begin found %d rows in an empty home", count(got))
		}
		got, err := l.Load(t.Context(), keysOf(absent))
		if err != nil || count(got) != 0 {
			t.Errorf("Load found %d rows in an empty home, %v", count(got), err)
		}
		l.Abort(t.Context())
	})
}

func TestForeignText(t *testing.T) {
	t.Parallel()
	storetest.EachStore(t, func(t *testing.T, db store.DB) {
		m := new(minter)
		l := lane(t, db)
		long := strings.Repeat("x", 1101) // as a key
		for _, text := range []string{"a\x00b", "a\xff", "\xed\xa0\x80", long} {
			var c book.Changes
			c.Deliveries.Insert = []event.Delivery{{ID: id.Delivery(m.raw(3))}, {ID: id.Delivery(m.raw(3)), Body: text}}
			if text == long {
				c.Refs.Insert = []payment.Ref{{RefKey: payment.RefKey{Bucket: 3, Scope: "s", Text: text}}}
			}
			var data *book.DataError
			if err := write(t, l, m.batch(), &c); !errors.As(err, &data) {
				t.Errorf("Commit of %q = %v, want a *DataError", text, err)
			}
			if _, ok, err := db.Delivery(t.Context(), c.Deliveries.Insert[0].ID); ok || err != nil {
				t.Errorf("Commit of %q left another row (%v, %v)", text, ok, err)
			}
			want := &book.Keys{Refs: []payment.RefKey{{Bucket: 3, Scope: "s", Text: text}}}
			if _, err := l.Begin(t.Context(), m.batch(), id.Batch{}, want); !errors.As(err, &data) {
				t.Errorf("Begin with ref %q = %v, want a *DataError", text, err)
			}
			l.Abort(t.Context())
		}
	})
}
