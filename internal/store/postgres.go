package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"aorta/internal/book"
	"aorta/internal/id"
	"aorta/internal/store/schema"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// Postgres is a home in PostgreSQL, used by any number of processes.
type Postgres struct {
	reader
	opts Options
	lane *pgconn.Config
	pool *pgxpool.Pool
}

// laneSettings hold for a lane's connection alone. A lane only ever looks rows
// up by key, and its plans are made once, when tables may be empty and a scan
// of them looks cheap: the same program gave 3,900 or 17,000 payments/s
// depending on nothing else. So a lane has no other way to go than the key.
var laneSettings = map[string]string{
	"application_name":  "aorta lane",
	"jit":               "off",
	"enable_seqscan":    "off",
	"enable_bitmapscan": "off",
	"enable_hashjoin":   "off",
	"enable_mergejoin":  "off",
	"plan_cache_mode":   "force_generic_plan",
	"client_encoding":   "UTF8",
	// A lane whose process hangs must not hold its locks for long, and one that
	// waits for such locks must not wait for ever. Between its two trips a lane
	// only computes, for milliseconds: with 30 s a process that was stopped in
	// that moment kept all others from writing for a quarter of a minute.
	"idle_in_transaction_session_timeout": "5000",
	"lock_timeout":                        "3000",
	// Neither holds for a server that waits for the rest of a trip. When a
	// lane's machine is gone without a word, its batch would keep its locks for
	// as long as TCP hopes: two hours.
	"tcp_keepalives_idle":     "5",
	"tcp_keepalives_interval": "2",
	"tcp_keepalives_count":    "3",
}

// OpenPostgres opens the database that dsn names (a URL, or key=value pairs;
// several hosts are tried in turn). It does not connect: a home that is down
// must not keep a process from starting.
func OpenPostgres(ctx context.Context, dsn string, opts Options) (*Postgres, error) {
	opts = opts.withDefaults()
	pool, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	pool.MaxConns = int32(opts.Readers)
	lane, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	for name, value := range laneSettings {
		lane.RuntimeParams[name] = value
	}
	for _, c := range []*pgconn.Config{lane, &pool.ConnConfig.Config} {
		if c.ConnectTimeout == 0 || c.ConnectTimeout > opts.Timeout {
			c.ConnectTimeout = opts.Timeout
		}
		// Of several hosts the one that may be written is meant, unless the address says otherwise.
		if c.ValidateConnect == nil {
			c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
		}
	}
	p := &Postgres{opts: opts, lane: lane}
	if p.pool, err = pgxpool.NewWithConfig(ctx, pool); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	p.reader = reader{p}
	return p, nil
}

// Close ends the home. Lanes must have ended before.
func (p *Postgres) Close() error {
	p.pool.Close()
	return nil
}

// Migrate brings the schema up to date.
func (p *Postgres) Migrate(ctx context.Context) error {
	return p.withSQL(func(db *sql.DB) error { return migrate(ctx, db, schema.Postgres) })
}

// Ready answers ErrSchema unless the schema is the one this program needs.
func (p *Postgres) Ready(ctx context.Context) error {
	return p.withSQL(func(db *sql.DB) error { return ready(ctx, db, schema.Postgres) })
}

// withSQL lends the pool to goose, which wants database/sql.
func (p *Postgres) withSQL(do func(*sql.DB) error) error {
	db := stdlib.OpenDBFromPool(p.pool)
	defer db.Close()
	return do(db)
}

// query runs a portable statement on a pooled connection, prepared once on
// each, with its answer in binary.
func (p *Postgres) query(ctx context.Context, sql string, args []any, each func(values) error) error {
	// A host that is gone without a word must not hold a reader for longer than it would a lane.
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	c, err := p.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer c.Release()
	return pgQuery(ctx, c.Conn(), sql, args, each)
}

func pgQuery(ctx context.Context, c *pgx.Conn, sql string, args []any, each func(values) error) error {
	prepared, err := c.Prepare(ctx, sql, sql)
	if err != nil {
		return verdict(err)
	}
	params := make([][]byte, len(args))
	for n, a := range args {
		switch a := a.(type) {
		case id.Raw:
			params[n] = a[:]
		case int64:
			params[n] = binary.BigEndian.AppendUint64(nil, uint64(a))
			if prepared.ParamOIDs[n] == oidInt4 {
				params[n] = params[n][4:]
			}
		case string:
			params[n] = []byte(a)
		default:
			return fmt.Errorf("cannot send a %T", a)
		}
	}
	r := c.PgConn().ExecStatement(ctx, prepared, params, binaryFormat, binaryFormat)
	for r.NextRow() {
		if each == nil {
			continue
		}
		if err := each(pgRow(r.Values())); err != nil {
			_, _ = r.Close()
			return err
		}
	}
	_, err = r.Close()
	return verdict(err)
}

var binaryFormat = []int16{pgx.BinaryFormatCode}

// pgRow is a row of an answer in binary.
type pgRow [][]byte

func (r pgRow) id(n int, to *id.Raw) { copy(to[:], r[n]) }

func (r pgRow) int(n int) int64 {
	if len(r[n]) == 4 {
		return int64(int32(binary.BigEndian.Uint32(r[n])))
	}
	return int64(binary.BigEndian.Uint64(r[n]))
}

func (r pgRow) text(n int) string { return string(r[n]) }

// Lane opens a committer. It connects at its first batch, and anew whenever it
// must.
func (p *Postgres) Lane(context.Context) (book.Lane, error) {
	return &pgLane{p: p, tables: pgTables()}, nil
}

// verdict puts an error of PostgreSQL into the book's words.
func verdict(err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case "23505":
		if e.TableName == "batch" {
			return book.ErrCommitted
		}
		return fmt.Errorf("%w: %w", book.ErrConflict, err)
	case "40001", "40P01", "55P03", // another committer was there first
		"22012": // division by zero: the version check of a write, see checked
		return fmt.Errorf("%w: %w", book.ErrConflict, err)
	case "23502", "23514", "21000":
		return &book.DataError{Err: err}
	}
	if strings.HasPrefix(e.Code, "22") || strings.HasPrefix(e.Code, "54") {
		return &book.DataError{Err: err}
	}
	return err
}

// alive reports whether the connection outlives err, so that err is the
// server's last word on the statement. A server that is going away says FATAL.
func alive(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.SeverityUnlocalized != "FATAL" && e.SeverityUnlocalized != "PANIC"
}
