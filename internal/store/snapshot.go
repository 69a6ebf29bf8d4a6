package store

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"sync"

	"aorta/internal/book"
	"aorta/internal/store/schema"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Snapshot shows a home as it was at one moment, for as long as it is read,
// whatever is written meanwhile: the invariants hold between the rows of one
// moment, not between rows read at different ones (torture.md C1). It holds
// back the database's own tidying, so it is for verify, not for lists.
type Snapshot struct {
	book.Reader
	end func()
}

// fixMoment: on both databases BEGIN shows nothing yet, the first SELECT does.
const fixMoment = "SELECT COUNT(*) FROM counter"

// Close ends the snapshot.
func (s *Snapshot) Close() error {
	s.end()
	return nil
}

// Snapshot opens a snapshot of the home as it is now.
func (p *Postgres) Snapshot(ctx context.Context) (*Snapshot, error) {
	c, err := p.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	for _, s := range []string{"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", fixMoment} {
		if _, err := c.Exec(ctx, s); err != nil {
			c.Release() // the pool closes a connection that is left in a transaction
			return nil, fmt.Errorf("begin snapshot: %w", err)
		}
	}
	return &Snapshot{reader{&pgSnapshot{c: c}}, func() {
		_, _ = c.Exec(context.WithoutCancel(ctx), "ROLLBACK") // a connection that cannot is closed by the pool
		c.Release()
	}}, nil
}

// pgSnapshot is one connection in a transaction, for one goroutine at a time.
type pgSnapshot struct {
	mu sync.Mutex
	c  *pgxpool.Conn
}

func (s *pgSnapshot) query(ctx context.Context, sql string, args []any, each func(values) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return pgQuery(ctx, s.c.Conn(), sql, args, each)
}

// SnapshotSQLite opens a snapshot of the database file at path, also while the
// process that has it is at work: it needs no lock, and stops nobody from
// writing. ErrSchema: the file is not of this program's version.
func SnapshotSQLite(ctx context.Context, path string) (*Snapshot, error) {
	if _, err := os.Stat(path); err != nil { // or SQLite would make an empty one
		return nil, fmt.Errorf("open database: %w", err)
	}
	slots() // before anything else begins to use SQLite
	db, err := sql.Open("sqlite", fileURI(path)+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	defer db.Close()
	if err := ready(ctx, db, schema.SQLite); err != nil {
		return nil, err
	}
	c, err := openConn(path, true, "busy_timeout(5000)", fmt.Sprintf("cache_size(-%d)", readerCacheKiB))
	if err != nil {
		return nil, err
	}
	for _, s := range []string{"BEGIN", fixMoment} {
		if err := c.exec(s); err != nil {
			c.close()
			return nil, fmt.Errorf("begin snapshot: %w", err)
		}
	}
	return &Snapshot{reader{&sqliteSnapshot{c: c}}, c.close}, nil
}

// sqliteSnapshot is one connection in a transaction.
type sqliteSnapshot struct {
	mu sync.Mutex
	c  *conn
}

func (s *sqliteSnapshot) query(ctx context.Context, sql string, args []any, each func(values) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.c.query(sql, args, each)
}
