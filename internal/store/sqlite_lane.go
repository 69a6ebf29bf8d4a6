package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"aorta/internal/book"
	"aorta/internal/crash"
	"aorta/internal/id"
)

// sqliteLane writes one batch at a time. The bulk statement of PostgreSQL
// would gain nothing here: there is no round trip to save, and a prepared
// statement for one row costs less than one that takes its rows apart.
type sqliteLane struct {
	s      *SQLite
	c      *conn
	open   bool
	tables []sqliteOps
}

// sqliteOps is what a lane does with every kind of row alike.
type sqliteOps interface {
	load(c *conn, k *book.Keys, f *book.Found) error
	write(c *conn, ch *book.Changes) error
}

func sqliteTables() []sqliteOps {
	return []sqliteOps{
		sqliteOf(&refs), sqliteOf(&customers), sqliteOf(&instruments), sqliteOf(&payments), sqliteOf(&operations),
		sqliteOf(&attempts), sqliteOf(&accounts), sqliteOf(&deliveries), sqliteOf(&inbox), sqliteOf(&cases), sqliteOf(&rounds), sqliteOf(&endpoints), sqliteOf(&dues),
		sqliteOf(&transfers), sqliteOf(&events), sqliteOf(&requests), sqliteOf(&keys), sqliteOf(&answers),
		sqliteOf(&windows), sqliteOf(&checks), sqliteOf(&persons), sqliteOf(&reviews), sqliteOf(&operators), sqliteOf(&auditHeads), sqliteOf(&floats), sqliteOf(&claims), sqliteOf(&customerNotes), sqliteOf(&audit),
		sqliteOf(&fopCalls), sqliteOf(&fopAssociations), sqliteOf(&fopLinked), sqliteOf(&fopSpent), sqliteOf(&fopProofs), sqliteOf(&fopCodes), sqliteOf(&fopStatements), sqliteOf(&fopLines), sqliteOf(&fopTold),
	}
}

const (
	insertBatch = "INSERT INTO batch (id, bucket) VALUES ($1, $2)"
	deleteBatch = "DELETE FROM batch WHERE batch.id = $1 AND batch.bucket = $2"
)

// Begin opens a batch.
func (l *sqliteLane) Begin(_ context.Context, batch, forget id.Batch, want *book.Keys) (*book.Found, error) {
	l.s.write.Lock()
	l.open = true
	f, err := l.begin(batch, forget, want)
	if err != nil {
		l.end()
		return nil, err
	}
	return f, nil
}

func (l *sqliteLane) begin(batch, forget id.Batch, want *book.Keys) (*book.Found, error) {
	if l.s.broken != nil {
		return nil, l.s.broken
	}
	if err := l.c.exec("BEGIN IMMEDIATE"); err != nil {
		return nil, outcome(err)
	}
	if err := l.c.query(insertBatch, []any{batch.Raw(), int64(batch.Bucket())}, nil); err != nil {
		if err := outcome(err); !errors.Is(err, book.ErrConflict) {
			return nil, err
		}
		return nil, book.ErrCommitted
	}
	if !forget.IsZero() {
		if err := l.c.query(deleteBatch, []any{forget.Raw(), int64(forget.Bucket())}, nil); err != nil {
			return nil, outcome(err)
		}
	}
	return l.load(want)
}

// Load loads more rows: the transaction that began has locked them all.
func (l *sqliteLane) Load(_ context.Context, want *book.Keys) (*book.Found, error) {
	f, err := l.load(want)
	if err != nil {
		l.end()
		return nil, err
	}
	return f, nil
}

func (l *sqliteLane) load(want *book.Keys) (*book.Found, error) {
	f := new(book.Found)
	for _, t := range l.tables {
		if err := t.load(l.c, want, f); err != nil {
			return nil, outcome(err)
		}
	}
	return f, nil
}

// Commit writes all changes and commits.
func (l *sqliteLane) Commit(_ context.Context, ch *book.Changes) error {
	defer l.end()
	for n, t := range l.tables {
		names := n == 0 && len(ch.Refs.Insert) > 0 // the first table
		if names {
			crash.At(crash.BeforeRow)
		}
		if err := t.write(l.c, ch); err != nil {
			return l.s.written(err)
		}
		if names {
			crash.At(crash.AfterRow)
		}
	}
	crash.At(crash.InTransaction)
	err := l.c.exec("COMMIT")
	if err == nil {
		return nil
	}
	if err = l.s.written(err); l.s.broken != nil {
		return fmt.Errorf("%w: %w", book.ErrLost, err) // the log holds the batch, perhaps on disk, perhaps not
	}
	return err
}

// Abort ends the batch without a trace.
func (l *sqliteLane) Abort(context.Context) { l.end() }

// Close ends the lane.
func (l *sqliteLane) Close() error {
	l.end()
	return nil
}

// end rolls back what is open, and lets others write.
func (l *sqliteLane) end() {
	if !l.open {
		return
	}
	l.open = false
	defer l.s.write.Unlock()
	if errors.Is(l.s.broken, errClosed) {
		return // the connection's memory is gone, and asking it would read what is another's by now
	}
	if l.c.inTransaction() {
		if err := l.c.exec("ROLLBACK"); err != nil && l.c.inTransaction() {
			l.s.fail(fmt.Errorf("cannot roll back; restart: %w", err))
		}
	}
}

// sqliteTable is a kind of row with its statements.
type sqliteTable[R, K any] struct {
	*table[R, K]
	cols               []column[R]
	sel, ins, upd, del string
}

func sqliteOf[R, K any](t *table[R, K]) *sqliteTable[R, K] {
	s := &sqliteTable[R, K]{table: t, cols: t.all()}
	s.ins = fmt.Sprintf("INSERT INTO %s (%s) VALUES (?%s)", t.name, names("", s.cols), strings.Repeat(", ?", len(s.cols)-1))
	if t.logged {
		return s
	}
	where := " WHERE"
	for n, c := range t.key {
		if n > 0 {
			where += " AND"
		}
		where += " " + t.name + "." + c.name + " = ?"
	}
	s.sel = fmt.Sprintf("SELECT %s, %s.version FROM %s%s", names(t.name+".", s.cols), t.name, t.name, where)
	var set strings.Builder
	for _, c := range t.columns {
		set.WriteString(c.name + " = ?, ")
	}
	versioned := where + " AND " + t.name + ".version = ?"
	s.upd = fmt.Sprintf("UPDATE %s SET %sversion = version + 1%s", t.name, set.String(), versioned)
	s.del = fmt.Sprintf("DELETE FROM %s%s", t.name, versioned)
	return s
}

// bind binds columns of r.
func bind[R any](s *stmt, table string, cols []column[R], r *R) error {
	for n := range cols {
		switch c := &cols[n]; {
		case c.id != nil:
			s.bindID(c.id(r))
		case c.int != nil:
			s.bindInt(*c.int(r))
		case c.text != nil, c.coded != nil:
			v := c.string(r)
			if err := c.clean(table, v); err != nil {
				return err
			}
			s.bindText(v)
		case c.bucket != nil:
			s.bindInt(int64(*c.bucket(r)))
		}
	}
	return nil
}

func (t *sqliteTable[R, K]) load(c *conn, k *book.Keys, f *book.Found) error {
	if t.keys == nil {
		return nil
	}
	keys := t.keys(k)
	if len(keys) == 0 {
		return nil
	}
	s, err := c.prepare(t.sel)
	if err != nil {
		return err
	}
	out := slices.Grow(*t.found(f), len(keys))
	for n := range keys {
		if err := bind(s, t.name, t.keyOf, &keys[n]); err != nil {
			s.reset()
			return err
		}
		row, err := s.step()
		if row {
			out = append(out, book.Stored[R]{})
			last := &out[len(out)-1]
			last.Version = s.int(len(t.cols))
			err = scan(t.cols, s, &last.Row)
		}
		s.reset()
		if err != nil {
			return err
		}
	}
	*t.found(f) = out
	return nil
}

func (t *sqliteTable[R, K]) write(c *conn, ch *book.Changes) error {
	change := t.change(ch)
	if err := t.insert(c, change.Insert); err != nil {
		return err
	}
	if err := t.check(c, change.Check); err != nil {
		return err
	}
	if err := t.update(c, change.Update); err != nil {
		return err
	}
	return t.remove(c, change.Delete)
}

// check is here for the port's sake: on SQLite nobody else writes, and the book
// has nothing to check.
func (t *sqliteTable[R, K]) check(c *conn, keys []book.StoredKey[K]) error {
	if len(keys) == 0 {
		return nil
	}
	s, err := c.prepare(t.sel)
	if err != nil {
		return err
	}
	for n := range keys {
		err := bind(s, t.name, t.keyOf, &keys[n].Key)
		same := false
		if err == nil {
			var row bool
			row, err = s.step()
			same = row && s.int(len(t.cols)) == keys[n].Version
		}
		s.reset()
		if err != nil {
			return err
		}
		if !same {
			return fmt.Errorf("%w: %s is not at version %d", book.ErrConflict, t.name, keys[n].Version)
		}
	}
	return nil
}

func (t *sqliteTable[R, K]) insert(c *conn, rows []R) error {
	if len(rows) == 0 {
		return nil
	}
	s, err := c.prepare(t.ins)
	if err != nil {
		return err
	}
	for n := range rows {
		if err := bind(s, t.name, t.cols, &rows[n]); err != nil {
			s.reset()
			return err
		}
		if err := s.run(); err != nil {
			return err
		}
	}
	return nil
}

func (t *sqliteTable[R, K]) update(c *conn, rows []book.Stored[R]) error {
	if len(rows) == 0 {
		return nil
	}
	s, err := c.prepare(t.upd)
	if err != nil {
		return err
	}
	for n := range rows {
		r := &rows[n]
		err := bind(s, t.name, t.columns, &r.Row)
		if err == nil {
			err = bind(s, t.name, t.key, &r.Row)
		}
		if err != nil {
			s.reset()
			return err
		}
		s.bindInt(r.Version)
		if err := s.run(); err != nil {
			return err
		}
		if c.changes() != 1 {
			return fmt.Errorf("%w: %s is not at version %d", book.ErrConflict, t.name, r.Version)
		}
	}
	return nil
}

func (t *sqliteTable[R, K]) remove(c *conn, keys []book.StoredKey[K]) error {
	if len(keys) == 0 {
		return nil
	}
	s, err := c.prepare(t.del)
	if err != nil {
		return err
	}
	for n := range keys {
		k := &keys[n]
		if err := bind(s, t.name, t.keyOf, &k.Key); err != nil {
			s.reset()
			return err
		}
		s.bindInt(k.Version)
		if err := s.run(); err != nil {
			return err
		}
		if c.changes() != 1 {
			return fmt.Errorf("%w: %s is not at version %d", book.ErrConflict, t.name, k.Version)
		}
	}
	return nil
}
