package store_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/store"
)

func openSQLite(t *testing.T, path string, opts store.Options) *store.SQLite {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), path, opts)
	if err != nil {
		t.Fatalf("OpenSQLite: %v", err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// A process that is told to go does not wait for ever for work under way: what
// comes afterwards must find an error, not memory that was given back.
func TestClosedSQLite(t *testing.T) {
	t.Parallel()
	db := openSQLite(t, filepath.Join(t.TempDir(), "aorta.db"), store.Options{})
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	epoch, err := db.Enter(t.Context(), "i", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	l := lane(t, db)
	if err := db.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, _, err := db.Payment(ctx, id.Payment{}); err == nil || ctx.Err() != nil {
		t.Errorf("Payment after Close = %v, want an error at once", err)
	}
	if _, err := db.Beat(ctx, epoch, time.Now(), time.Now()); err == nil {
		t.Error("Beat after Close = nil, want an error")
	}
	if _, err := l.Begin(ctx, new(minter).batch(), id.Batch{}, &book.Keys{}); err == nil {
		t.Error("Begin after Close = nil, want an error")
	}
}

func TestSQLiteIsForOneProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "aorta.db")
	db := openSQLite(t, path, store.Options{})
	if _, err := store.OpenSQLite(t.Context(), path, store.Options{}); !errors.Is(err, store.ErrInUse) {
		t.Errorf("second OpenSQLite = %v, want ErrInUse", err)
	}
	// By another name it would have another lock, and another log beside it.
	for name, link := range map[string]func(old, name string) error{"symbolic": os.Symlink, "hard": os.Link} {
		other := filepath.Join(t.TempDir(), "other.db")
		if err := link(path, other); err != nil {
			t.Fatal(err)
		}
		if second, err := store.OpenSQLite(t.Context(), other, store.Options{}); !errors.Is(err, store.ErrInUse) {
			second.Close()
			t.Errorf("OpenSQLite by a %s link = %v, want ErrInUse", name, err)
		}
		if err := os.Remove(other); err != nil {
			t.Fatal(err)
		}
	}
	lost := filepath.Join(t.TempDir(), "lost.db")
	if err := os.Symlink("nowhere.db", lost); err != nil {
		t.Fatal(err)
	}
	if _, err := store.OpenSQLite(t.Context(), lost, store.Options{}); err == nil {
		t.Error("a link to nothing was opened")
	}
	db.Close()
	openSQLite(t, path, store.Options{})
}

func TestSQLiteKeepsWhatItWrote(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "aorta.db")
	m := new(minter)
	db := openSQLite(t, path, store.Options{})
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	c := rows(m, 1, 0)
	mustWrite(t, lane(t, db), m.batch(), c)
	db.Close()

	db = openSQLite(t, path, store.Options{})
	if err := db.Ready(t.Context()); err != nil {
		t.Errorf("Ready after a restart: %v", err)
	}
	got := begin(t, lane(t, db), m.batch(), keysOf(c))
	checkFound(t, got, c, 1)
}

// The page caches lie in the slots made for them: beside them each page would take
// twice its size, and nothing but the size of the process would tell. SQLite takes
// slots only before its first use, which in a process of all tests may be a broken
// disk's, so the test runs in one of its own.
func TestSQLitePagesLieInSlots(t *testing.T) {
	t.Parallel()
	const alone = "AORTA_TEST_SLOTS"
	if os.Getenv(alone) == "" {
		child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		child.Env = append(os.Environ(), alone+"=1")
		if out, err := child.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	db := openSQLite(t, filepath.Join(t.TempDir(), "aorta.db"), store.Options{})
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	m := new(minter)
	mustWrite(t, lane(t, db), m.batch(), rows(m, 1, 0))
	if used := store.PageSlots(); used == 0 {
		t.Error("no page of SQLite's cache lies in a slot")
	}
}

// The log is carried into the file and emptied while writing goes on.
func TestSQLiteLogStaysSmall(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "aorta.db")
	db := openSQLite(t, path, store.Options{Checkpoint: time.Millisecond, MaxLog: 1 << 20})
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	m := new(minter)
	l := lane(t, db)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // a reader must not keep the log from being emptied for good
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, _, err := db.Payment(t.Context(), [16]byte{}); err != nil {
				t.Errorf("Payment: %v", err)
				return
			}
		}
	})
	for salt := range 8 { // some 40 MB
		c := rows(m, 1, salt)
		c.Refs = book.Change[payment.Ref, payment.RefKey]{}
		mustWrite(t, l, m.batch(), c)
	}
	close(stop)
	wg.Wait()
	for range 1000 {
		if logSize(t, path) <= 4<<20 { // beyond four times MaxLog it is cut off
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("the log has %d bytes and stays, want at most 4 MiB", logSize(t, path))
}

func TestSQLiteThatCannotWrite(t *testing.T) {
	t.Parallel()
	if _, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "no such", "aorta.db"), store.Options{}); err == nil {
		t.Error("OpenSQLite in a directory that is not there = nil, want an error")
	}
	path := filepath.Join(t.TempDir(), "aorta.db")
	db := openSQLite(t, path, store.Options{Checkpoint: 10 * time.Millisecond})
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	m := new(minter)
	l := lane(t, db)
	there := rows(m, 1, 0)
	mustWrite(t, l, m.batch(), there)
	if err := store.LimitSize(db, 0); err != nil {
		t.Fatalf("LimitSize: %v", err)
	}
	full := rows(m, 1, 1)
	full.Refs = book.Change[payment.Ref, payment.RefKey]{}
	err := write(t, l, m.batch(), full)
	var data *book.DataError
	if err == nil || errors.Is(err, book.ErrLost) || errors.Is(err, book.ErrConflict) || errors.As(err, &data) {
		t.Errorf("Commit on a full disk = %v, want an error that is no answer", err)
	}
	if err := store.LimitSize(db, 1<<30); err != nil {
		t.Fatalf("LimitSize: %v", err)
	}
	mustWrite(t, l, m.batch(), full)
	// What the log took is the disk's again, or the database could have no room to grow.
	for until := time.Now().Add(5 * time.Second); logSize(t, path) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("the log keeps %d bytes", logSize(t, path))
		}
	}
}

func logSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatalf("Stat: %v", err)
	}
	return info.Size()
}
