package store_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"aorta/internal/book"
	"aorta/internal/id"
	"aorta/internal/store"
	"aorta/internal/store/storetest"
)

// commit writes some rows of every kind.
func commit(t *testing.T, db store.DB, m *minter) {
	t.Helper()
	lane, err := db.Lane(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer lane.Close()
	if _, err := lane.Begin(t.Context(), m.batch(), id.Batch{}, &book.Keys{}); err != nil {
		t.Fatal(err)
	}
	c := rows(m, 1, 1)
	c.Refs.Insert = nil // their names are the same each time
	if err := lane.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// seesOneMoment commits, opens a snapshot, commits again, and counts.
func seesOneMoment(t *testing.T, db store.DB, open func() (*store.Snapshot, error)) {
	t.Helper()
	var m minter
	commit(t, db, &m)
	s, err := open()
	if err != nil {
		t.Fatalf("Snapshot: %v", err)
	}
	defer s.Close()
	commit(t, db, &m)
	for _, r := range []struct {
		name string
		book.Reader
		want int
	}{{"snapshot", s, 3}, {"database", db, 6}} {
		got, err := r.ScanPayments(t.Context(), id.Payment{}, 100)
		if err != nil || len(got) != r.want {
			t.Errorf("the %s shows %d payments (%v), want %d", r.name, len(got), err, r.want)
		}
	}
}

func TestSnapshotOfPostgresSeesOneMoment(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	seesOneMoment(t, db, func() (*store.Snapshot, error) { return db.Snapshot(t.Context()) })
}

// The file is read while its process has it locked and writes.
func TestSnapshotOfSQLiteSeesOneMoment(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "aorta ?#%.db")
	db, err := store.OpenSQLite(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	seesOneMoment(t, db, func() (*store.Snapshot, error) { return store.SnapshotSQLite(t.Context(), path) })
}

func TestSnapshotOfAClosedSQLite(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "aorta.db")
	if _, err := store.SnapshotSQLite(t.Context(), path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("SnapshotSQLite of no file = %v, want %v", err, fs.ErrNotExist)
	}
	db, err := store.OpenSQLite(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	var m minter
	commit(t, db, &m)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := store.SnapshotSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got, err := s.ScanPayments(t.Context(), id.Payment{}, 100); err != nil || len(got) != 3 {
		t.Errorf("%d payments (%v), want 3", len(got), err)
	}
}
