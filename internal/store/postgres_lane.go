package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"aorta/internal/book"
	"aorta/internal/id"

	"github.com/jackc/pgx/v5/pgconn"
)

// pgLane writes one batch at a time on a connection of its own. Beginning a
// batch and committing it are one round trip each: all statements are sent
// before the first answer is read. A statement that fails makes the server
// skip what follows it up to the end of the trip, the COMMIT too.
type pgLane struct {
	p      *Postgres
	c      *pgconn.PgConn // nil: not connected
	open   bool           // a transaction is
	tables []pgOps
	sent   []func(*pgconn.ResultReader) error // reads the answer to each statement sent
	params arrays
}

// pgOps is what a lane does with every kind of row alike.
type pgOps interface {
	statements() []pgStatement
	load(l *pgLane, s *pgconn.Pipeline, k *book.Keys, f *book.Found, nowait bool) error
	write(l *pgLane, s *pgconn.Pipeline, ch *book.Changes) error
}

// pgStatement is prepared on each connection, under its name.
type pgStatement struct {
	name, sql string
	params    []uint32
}

func pgTables() []pgOps {
	return []pgOps{
		pgOf(&refs), pgOf(&customers), pgOf(&instruments), pgOf(&payments), pgOf(&operations),
		pgOf(&attempts), pgOf(&accounts), pgOf(&deliveries), pgOf(&inbox), pgOf(&cases), pgOf(&dues),
		pgOf(&transfers), pgOf(&events), pgOf(&requests),
	}
}

// batchStatements are those that are about no kind of row.
var batchStatements = []pgStatement{
	{name: "begin", sql: "BEGIN ISOLATION LEVEL READ COMMITTED"},
	{name: "commit", sql: "COMMIT"},
	{name: "insert batch", sql: insertBatch, params: []uint32{oidUUID, oidInt4}},
	{name: "delete batch", sql: deleteBatch, params: []uint32{oidUUID, oidInt4}},
}

// arrays are the parameters of one statement, in memory that the next one uses
// again: a statement's parameters are copied when it is queued.
type arrays []array

// take gives n arrays to fill.
func (a *arrays) take(n int) []array {
	for len(*a) < n {
		*a = append(*a, nil)
	}
	return (*a)[:n]
}

// Begin opens a batch. A connection that turns out to have died is replaced
// once: nothing has happened on it.
func (l *pgLane) Begin(ctx context.Context, batch, forget id.Batch, want *book.Keys) (*book.Found, error) {
	ctx, cancel := context.WithTimeout(ctx, l.p.opts.Timeout)
	defer cancel()
	old := l.c != nil && !l.c.IsClosed()
	f, err := l.begin(ctx, batch, forget, want)
	if err != nil && old && l.c == nil && ctx.Err() == nil {
		f, err = l.begin(ctx, batch, forget, want)
	}
	return f, err
}

func (l *pgLane) begin(ctx context.Context, batch, forget id.Batch, want *book.Keys) (*book.Found, error) {
	if err := l.connect(ctx); err != nil {
		return nil, err
	}
	f := new(book.Found)
	l.open = true
	err := l.trip(ctx, func(s *pgconn.Pipeline) error {
		l.send(s, "begin", nil, nil)
		l.send(s, "insert batch", batchKey(batch), nil)
		if !forget.IsZero() {
			l.send(s, "delete batch", batchKey(forget), nil)
		}
		return l.load(s, want, f, false)
	})
	if err != nil {
		return nil, l.give(ctx, err)
	}
	return f, nil
}

func (l *pgLane) load(s *pgconn.Pipeline, want *book.Keys, f *book.Found, nowait bool) error {
	for _, t := range l.tables {
		if err := t.load(l, s, want, f, nowait); err != nil {
			return err
		}
	}
	return nil
}

func batchKey(b id.Batch) [][]byte { return [][]byte{b[:], {0, 0, 0, byte(b.Bucket())}} }

// connect opens the connection, unless it is open, and prepares the statements.
func (l *pgLane) connect(ctx context.Context) error {
	if l.c != nil && !l.c.IsClosed() {
		return nil
	}
	c, err := pgconn.ConnectConfig(ctx, l.p.lane)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	l.c = c
	err = l.trip(ctx, func(s *pgconn.Pipeline) error {
		all := batchStatements
		for _, t := range l.tables {
			all = append(all[:len(all):len(all)], t.statements()...)
		}
		for _, st := range all {
			s.SendPrepare(st.name, st.sql, st.params)
			l.sent = append(l.sent, nil)
		}
		return nil
	})
	if err != nil {
		l.drop()
		return fmt.Errorf("prepare (is the schema current?): %w", err)
	}
	return nil
}

// send queues a prepared statement and how its answer is read.
func (l *pgLane) send(s *pgconn.Pipeline, name string, params [][]byte, read func(*pgconn.ResultReader) error) {
	s.SendQueryPrepared(name, params, binaryFormat, binaryFormat)
	l.sent = append(l.sent, read)
}

// trip sends what fill queues and reads all answers. Its error is the first
// that a statement had.
func (l *pgLane) trip(ctx context.Context, fill func(*pgconn.Pipeline) error) error {
	l.sent = l.sent[:0]
	s := l.c.StartPipeline(ctx)
	err := fill(s)
	if err != nil {
		_ = s.Close() // what was queued runs, and is rolled back
		return err
	}
	if err := s.Sync(); err != nil {
		_ = s.Close()
		return err
	}
	for n := 0; n < len(l.sent); n++ {
		answer, failed := s.GetResults()
		if failed == nil {
			if r, ok := answer.(*pgconn.ResultReader); ok {
				if l.sent[n] != nil {
					failed = l.sent[n](r)
				}
				_, closed := r.Close()
				if closed != nil {
					failed = closed
				}
			}
		}
		if err = failed; err != nil {
			break
		}
	}
	if closed := s.Close(); err == nil {
		err = closed
	}
	return err
}

// Load loads more rows without waiting for locks.
func (l *pgLane) Load(ctx context.Context, want *book.Keys) (*book.Found, error) {
	ctx, cancel := context.WithTimeout(ctx, l.p.opts.Timeout)
	defer cancel()
	f := new(book.Found)
	err := l.trip(ctx, func(s *pgconn.Pipeline) error {
		return l.load(s, want, f, true)
	})
	if err != nil {
		return nil, l.give(ctx, err)
	}
	return f, nil
}

// errRolledBack: COMMIT ended a transaction that could not be committed. No
// statement said why, so this is a mistake of ours.
var errRolledBack = errors.New("commit was answered by a rollback")

// Commit writes all changes and commits.
func (l *pgLane) Commit(ctx context.Context, ch *book.Changes) error {
	ctx, cancel := context.WithTimeout(ctx, l.p.opts.Timeout)
	defer cancel()
	flown := false
	err := l.trip(ctx, func(s *pgconn.Pipeline) error {
		for _, t := range l.tables {
			if err := t.write(l, s, ch); err != nil {
				return err
			}
		}
		l.send(s, "commit", nil, func(r *pgconn.ResultReader) error {
			if tag, err := r.Close(); err == nil && tag.String() != "COMMIT" {
				return errRolledBack
			}
			return nil
		})
		flown = true
		return nil
	})
	if err == nil {
		l.open = false
		return nil
	}
	if flown && !alive(err) && !errors.Is(err, errRolledBack) {
		// Nobody knows how far the server came.
		l.drop()
		return fmt.Errorf("%w: %w", book.ErrLost, err)
	}
	return l.give(ctx, err)
}

// Abort ends the batch without a trace.
func (l *pgLane) Abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, l.p.opts.Timeout)
	defer cancel()
	l.rollback(ctx)
}

// Close ends the lane.
func (l *pgLane) Close() error {
	l.drop()
	return nil
}

// give ends the batch after an error and puts that into the book's words.
func (l *pgLane) give(ctx context.Context, err error) error {
	l.rollback(ctx)
	return verdict(err)
}

func (l *pgLane) rollback(ctx context.Context) {
	if !l.open || l.c == nil {
		return
	}
	l.open = false
	if l.c.IsClosed() {
		l.drop()
		return
	}
	if _, err := l.c.Exec(ctx, "ROLLBACK").ReadAll(); err != nil {
		l.drop()
	}
}

// drop closes the connection; the server rolls back what was open on it.
func (l *pgLane) drop() {
	l.open = false
	if l.c == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), l.p.opts.Timeout)
	defer cancel()
	_ = l.c.Close(ctx)
	l.c = nil
}

// pgTable is a kind of row with its statements.
type pgTable[R, K any] struct {
	*table[R, K]
	cols          []column[R] // key and the rest
	load1, load2  pgStatement // waiting for locks, and not
	ins, upd, del pgStatement
}

func pgOf[R, K any](t *table[R, K]) *pgTable[R, K] {
	p := &pgTable[R, K]{table: t, cols: t.all()}
	cols := names("", p.cols)
	p.ins = pgStatement{
		name:   "insert " + t.name,
		sql:    fmt.Sprintf("INSERT INTO %s (%s) SELECT %s", t.name, cols, unnest(columnNames(p.cols))),
		params: arrayTypes(p.cols),
	}
	if t.logged {
		return p
	}
	var on, set []string
	for _, c := range t.key {
		on = append(on, fmt.Sprintf("t.%[1]s = k.%[1]s", c.name))
	}
	for _, c := range t.columns {
		set = append(set, fmt.Sprintf("%[1]s = k.%[1]s", c.name))
	}
	match := strings.Join(on, " AND ")
	// The inner SELECT locks, so the planner cannot turn the join round: each
	// key is looked up in turn, whatever it believes about the tables' sizes,
	// and rows are locked in the order of the keys.
	load := fmt.Sprintf("SELECT r.* FROM (SELECT %s) AS k CROSS JOIN LATERAL (SELECT %s, t.version FROM %s AS t WHERE %s FOR UPDATE%%s) AS r",
		unnest(columnNames(t.key)), names("t.", p.cols), t.name, match)
	p.load1 = pgStatement{name: "load " + t.name, sql: fmt.Sprintf(load, ""), params: arrayTypes(t.key)}
	p.load2 = pgStatement{name: "load more " + t.name, sql: fmt.Sprintf(load, " NOWAIT"), params: arrayTypes(t.key)}

	from := unnest(append(columnNames(t.key), "version"))
	p.del = pgStatement{
		name: "delete " + t.name,
		sql: checked(fmt.Sprintf("DELETE FROM %s AS t USING (SELECT %s) AS k WHERE %s AND t.version = k.version", t.name, from, match),
			len(t.key)+2),
		params: append(arrayTypes(t.key), oidInt8Array, oidInt8),
	}
	from = unnest(append(append(columnNames(t.key), "version"), columnNames(t.columns)...))
	p.upd = pgStatement{
		name: "update " + t.name,
		sql: checked(fmt.Sprintf("UPDATE %s AS t SET version = k.version + 1, %s FROM (SELECT %s) AS k WHERE %s AND t.version = k.version",
			t.name, strings.Join(set, ", "), from, match), len(p.cols)+2),
		params: append(append(append(arrayTypes(t.key), oidInt8Array), arrayTypes(t.columns)...), oidInt8),
	}
	return p
}

// checked makes a write fail by itself, with a division by zero, unless it
// wrote as many rows as parameter n says. So the COMMIT can be sent along with
// it: had the check to be made here, it would cost a round trip.
func checked(write string, n int) string {
	return fmt.Sprintf("WITH written AS (%s RETURNING 1) SELECT 1 / (CASE WHEN COUNT(*) = $%d THEN 1 ELSE 0 END) FROM written", write, n)
}

// unnest takes arrays $1, $2 … apart side by side, in the list of a SELECT:
// there each element goes straight to its row, while in FROM each array is
// first written out as a table of its own.
func unnest(names []string) string {
	var b strings.Builder
	for n, name := range names {
		if n > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "unnest($%d) AS %s", n+1, name)
	}
	return b.String()
}

func columnNames[R any](cols []column[R]) []string {
	out := make([]string, len(cols))
	for n, c := range cols {
		out[n] = c.name
	}
	return out
}

func arrayTypes[R any](cols []column[R]) []uint32 {
	out := make([]uint32, len(cols))
	for n, c := range cols {
		switch {
		case c.id != nil:
			out[n] = oidUUIDArray
		case c.bucket != nil:
			out[n] = oidInt4Array
		case c.int != nil:
			out[n] = oidInt8Array
		default:
			out[n] = oidTextArray
		}
	}
	return out
}

func (t *pgTable[R, K]) statements() []pgStatement {
	if t.logged {
		return []pgStatement{t.ins}
	}
	return []pgStatement{t.load1, t.load2, t.ins, t.upd, t.del}
}

// encode writes a column of all rows. at gives the n-th row.
func encode[R any](a array, table string, c *column[R], n int, at func(int) *R) (array, error) {
	switch {
	case c.id != nil:
		a = a.begin(oidUUID, n)
		for i := range n {
			a = a.bytes(c.id(at(i))[:])
		}
	case c.bucket != nil:
		a = a.begin(oidInt4, n)
		for i := range n {
			a = a.int4(int32(*c.bucket(at(i))))
		}
	case c.int != nil:
		a = a.begin(oidInt8, n)
		for i := range n {
			a = a.int8(*c.int(at(i)))
		}
	default:
		a = a.begin(oidText, n)
		for i := range n {
			v := c.string(at(i))
			if err := clean(table, c.name, v); err != nil {
				return a, err
			}
			a = a.text(v)
		}
	}
	return a, nil
}

// encodeAll writes columns of all rows into arrays.
func encodeAll[R any](into []array, table string, cols []column[R], n int, at func(int) *R) error {
	for i := range cols {
		var err error
		if into[i], err = encode(into[i], table, &cols[i], n, at); err != nil {
			return err
		}
	}
	return nil
}

// raw gives arrays as parameters.
func raw(a []array, more ...[]byte) [][]byte {
	out := make([][]byte, len(a), len(a)+len(more))
	for n := range a {
		out[n] = a[n]
	}
	return append(out, more...)
}

func (t *pgTable[R, K]) load(l *pgLane, s *pgconn.Pipeline, k *book.Keys, f *book.Found, nowait bool) error {
	if t.keys == nil {
		return nil
	}
	keys := t.keys(k)
	if len(keys) == 0 {
		return nil
	}
	a := l.params.take(len(t.keyOf))
	if err := encodeAll(a, t.name, t.keyOf, len(keys), func(n int) *K { return &keys[n] }); err != nil {
		return err
	}
	st := t.load1.name
	if nowait {
		st = t.load2.name
	}
	out := t.found(f)
	*out = slices.Grow(*out, len(keys))
	l.send(s, st, raw(a), func(r *pgconn.ResultReader) error {
		for r.NextRow() {
			row := pgRow(r.Values())
			*out = append(*out, book.Stored[R]{Version: row.int(len(t.cols))})
			if err := scan(t.cols, row, &(*out)[len(*out)-1].Row); err != nil {
				return err
			}
		}
		return nil
	})
	return nil
}

func (t *pgTable[R, K]) write(l *pgLane, s *pgconn.Pipeline, ch *book.Changes) error {
	change := t.change(ch)
	if n := len(change.Insert); n > 0 {
		if t.compare != nil {
			slices.SortFunc(change.Insert, func(a, b R) int { return t.compare(&a, &b) })
		}
		a := l.params.take(len(t.cols))
		if err := encodeAll(a, t.name, t.cols, n, func(i int) *R { return &change.Insert[i] }); err != nil {
			return err
		}
		l.send(s, t.ins.name, raw(a), nil)
	}
	if n := len(change.Update); n > 0 {
		at := func(i int) *R { return &change.Update[i].Row }
		a := l.params.take(len(t.cols) + 1)
		keys, rest := a[:len(t.key)], a[len(t.key)+1:]
		if err := errors.Join(encodeAll(keys, t.name, t.key, n, at), encodeAll(rest, t.name, t.columns, n, at)); err != nil {
			return err
		}
		version := &a[len(t.key)]
		*version = version.begin(oidInt8, n)
		for i := range n {
			*version = version.int8(change.Update[i].Version)
		}
		l.send(s, t.upd.name, raw(a, count(n)), nil)
	}
	if n := len(change.Delete); n > 0 {
		a := l.params.take(len(t.key) + 1)
		if err := encodeAll(a[:len(t.key)], t.name, t.keyOf, n, func(i int) *K { return &change.Delete[i].Key }); err != nil {
			return err
		}
		version := &a[len(t.key)]
		*version = version.begin(oidInt8, n)
		for i := range n {
			*version = version.int8(change.Delete[i].Version)
		}
		l.send(s, t.del.name, raw(a, count(n)), nil)
	}
	return nil
}

// count is a number of rows as a parameter.
func count(n int) []byte { return array(nil).int8(int64(n))[4:] }
