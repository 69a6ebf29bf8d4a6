package store_test

import (
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/store"
	"aorta/internal/store/storetest"
)

// A flush that failed is the end of writing, whoever wanted it: a batch, a
// statement outside acts, or the checkpoint (torture.md T06). What the disk
// says of a later flush must not be believed.
func TestFailedFlush(t *testing.T) {
	t.Parallel()
	disk := storetest.NewDisk()
	for _, test := range []struct {
		name, file string
		write      func(t *testing.T, db *store.SQLite, l book.Lane, m *minter) error // nil: what happens by itself
		want       error
	}{
		{"of a batch", "aorta.db-wal", func(t *testing.T, _ *store.SQLite, l book.Lane, m *minter) error {
			c := rows(m, 1, 7)
			c.Refs = book.Change[payment.Ref, payment.RefKey]{}
			return write(t, l, m.batch(), c)
		}, book.ErrLost},
		{"of a sign of life", "aorta.db-wal", func(t *testing.T, db *store.SQLite, _ book.Lane, _ *minter) error {
			_, err := db.Beat(t.Context(), 1, time.Now(), time.Now())
			return err
		}, nil},
		{"of a checkpoint", "aorta.db", nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "aorta.db")
			told := make(chan error, 10)
			var calls atomic.Int64
			pause := time.Hour // a checkpoint flushes the log too, and must not meet the disk first
			if test.write == nil {
				pause = time.Millisecond
			}
			db := openSQLite(t, path, store.Options{Checkpoint: pause, MaxLog: 1, Broken: func(err error) {
				calls.Add(1)
				told <- err
			}})
			if err := db.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := db.Enter(t.Context(), "i", time.Now()); err != nil {
				t.Fatal(err)
			}
			m := new(minter)
			l := lane(t, db)
			there := rows(m, 1, 0)
			mustWrite(t, l, m.batch(), there)

			file := filepath.Join(filepath.Dir(path), test.file)
			disk.Refuse(file)
			if test.write != nil {
				if err := test.write(t, db, l, m); err == nil || (test.want != nil && !errors.Is(err, test.want)) {
					t.Errorf("the write answered %v, want an error that is %v", err, test.want)
				}
			} else {
				c := rows(m, 1, 3)
				c.Refs = book.Change[payment.Ref, payment.RefKey]{}
				if _, err := l.Begin(t.Context(), m.batch(), id.Batch{}, &book.Keys{}); err == nil { // else one has met the disk already
					_ = l.Commit(t.Context(), c) // gives the checkpoint something to do
				}
			}
			select {
			case err := <-told:
				t.Logf("told: %v", err)
			case <-time.After(10 * time.Second):
				t.Fatal("nobody was told that the home is broken")
			}
			if disk.Refused(file) == 0 {
				t.Fatal("no flush was refused: the test shows nothing")
			}
			for range 3 {
				if _, err := l.Begin(t.Context(), m.batch(), id.Batch{}, &book.Keys{}); err == nil || errors.Is(err, book.ErrConflict) {
					t.Errorf("Begin = %v, want a refusal", err)
				}
			}
			if _, err := db.LeaseNumbers(t.Context(), 10); err == nil {
				t.Error("numbers were leased on a broken home")
			}
			if n := calls.Load(); n != 1 {
				t.Errorf("told %d times, want once", n)
			}
			if _, ok, err := db.Payment(t.Context(), there.Payments.Insert[0].ID); err != nil || !ok {
				t.Errorf("what was written before: %t, %v", ok, err)
			}
		})
	}
}
