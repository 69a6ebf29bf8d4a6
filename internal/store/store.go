// Package store keeps a home's rows in SQLite or PostgreSQL: it implements the
// ports of package book, and all SQL of the house is here (design section 7).
//
// The hot path, a lane, writes a batch with a few bulk statements; lists and
// look-ups are portable queries. Both follow from one declaration per kind of
// row (kinds.go) and one schema text (schema/). The package decides nothing:
// what may be written is decided by acts. Its known weakness: it holds what an
// act has read to its version only where it is told to (book.Change.Check), so
// Home.Keep without a check is for a store that this process alone writes.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"aorta/internal/book"
	"aorta/internal/crash"
	"aorta/internal/ledger"
	"aorta/internal/store/schema"

	"github.com/pressly/goose/v3"
)

// DB is one home.
type DB interface {
	book.Store
	book.Reader
	book.Processes

	// Sums adds up all accounts, as they are at one moment.
	Sums(ctx context.Context) ([]ledger.Sum, error)
	// Migrate brings the schema up to date. Running it again costs little.
	Migrate(ctx context.Context) error
	// Ready answers ErrSchema unless the database answers and its schema is the
	// one that this program was built for.
	Ready(ctx context.Context) error
	Close() error
}

// Options are the parts of a home with a sensible default.
type Options struct {
	// Readers is the number of connections for lists; 0 means 4.
	Readers int
	// Timeout bounds one step of a lane (begin, load, commit) and one
	// connection attempt on PostgreSQL; 0 means 5s.
	Timeout time.Duration
	// Checkpoint is how often SQLite's log is carried into the database file,
	// off the hot path; 0 means 250ms.
	Checkpoint time.Duration
	// MaxLog is the size in bytes of SQLite's log beyond which writing waits a
	// moment until it is begun anew; 0 means 64 MiB.
	MaxLog int64
	// Broken is told, once, that this process can never write to the home
	// again: the disk has refused to flush, and only a new process can tell what
	// it holds. It must not block, nor call the home. PostgreSQL's server stops
	// by itself then, and is connected to again. nil: nobody is told.
	Broken func(error)
}

func (o Options) withDefaults() Options {
	if o.Readers == 0 {
		o.Readers = 4
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Checkpoint == 0 {
		o.Checkpoint = 250 * time.Millisecond
	}
	if o.MaxLog == 0 {
		o.MaxLog = 64 << 20
	}
	return o
}

// ErrSchema: the schema is older or newer than this program. Migrate, or run
// the program that fits.
var ErrSchema = errors.New("the schema is not the one this program needs")

// migrations gives goose's view of a database.
func migrations(db *sql.DB, d schema.Dialect) (*goose.Provider, error) {
	files, err := schema.For(d)
	if err != nil {
		return nil, err
	}
	dialect := goose.DialectSQLite3
	if d == schema.Postgres {
		dialect = goose.DialectPostgres
	}
	p, err := goose.NewProvider(dialect, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return p, nil
}

// migrate brings a database up to date. Where another process does the same at
// the same time, one of the two may fail: then the other's work counts.
func migrate(ctx context.Context, db *sql.DB, d schema.Dialect) error {
	p, err := migrations(db, d)
	if err != nil {
		return err
	}
	for crash.Armed(crash.HalfMigrated) { // one at a time, with the chance to die in between
		if _, err := p.UpByOne(ctx); err != nil {
			break // there is no other, or it failed as it will below
		}
		crash.At(crash.HalfMigrated)
	}
	if _, err := p.Up(ctx); err != nil && ready(ctx, db, d) != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// ready answers ErrSchema unless the newest migration is the last one applied.
func ready(ctx context.Context, db *sql.DB, d schema.Dialect) error {
	p, err := migrations(db, d)
	if err != nil {
		return err
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if have != want {
		return fmt.Errorf("%w: it is %d, want %d", ErrSchema, have, want)
	}
	return nil
}
