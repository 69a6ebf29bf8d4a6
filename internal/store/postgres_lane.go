package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"aorta/internal/book"
	"aorta/internal/crash"
	"aorta/internal/id"
)

// pgLane writes one batch at a time on a connection of its own. Beginning a
// batch and committing it are one round trip each: all statements are sent
// before the first answer is read. A statement that fails makes the server
// skip what follows it up to the end of the trip, the COMMIT too.
type pgLane struct {
	p      *Postgres
	w      *wire // nil: not connected
	open   bool  // a transaction is
	tables []pgOps
}

// pgOps is what a lane does with every kind of row alike.
type pgOps interface {
	statements() []pgStatement
	load(w *wire, k *book.Keys, f *book.Found, nowait bool) error
	write(w *wire, ch *book.Changes) error
}

// pgStatement is prepared on each connection, under its name.
type pgStatement struct {
	name, sql string
	params    []uint32
}

func pgTables() []pgOps {
	return []pgOps{
		pgOf(&refs), pgOf(&customers), pgOf(&instruments), pgOf(&payments), pgOf(&operations),
		pgOf(&attempts), pgOf(&accounts), pgOf(&deliveries), pgOf(&inbox), pgOf(&cases), pgOf(&rounds), pgOf(&endpoints), pgOf(&dues),
		pgOf(&transfers), pgOf(&events), pgOf(&requests), pgOf(&keys), pgOf(&answers),
		pgOf(&windows), pgOf(&checks), pgOf(&persons), pgOf(&reviews), pgOf(&operators), pgOf(&auditHeads), pgOf(&floats), pgOf(&claims), pgOf(&customerNotes), pgOf(&audit),
		pgOf(&fopCalls), pgOf(&fopAssociations), pgOf(&fopLinked), pgOf(&fopSpent), pgOf(&fopProofs), pgOf(&fopCodes), pgOf(&fopStatements), pgOf(&fopLines), pgOf(&fopTold),
	}
}

// batchStatements are those that are about no kind of row.
var batchStatements = []pgStatement{
	{name: "begin", sql: "BEGIN ISOLATION LEVEL READ COMMITTED"},
	{name: "commit", sql: "COMMIT"},
	{name: "rollback", sql: "ROLLBACK"},
	{name: "insert batch", sql: insertBatch, params: []uint32{oidUUID, oidInt4}},
	{name: "delete batch", sql: deleteBatch, params: []uint32{oidUUID, oidInt4}},
}

// Begin opens a batch. A connection that turns out to have died is replaced
// once: nothing has happened on it.
func (l *pgLane) Begin(ctx context.Context, batch, forget id.Batch, want *book.Keys) (*book.Found, error) {
	ctx, cancel := context.WithTimeout(ctx, l.p.opts.Timeout)
	defer cancel()
	old := l.w != nil
	f, err := l.begin(ctx, batch, forget, want)
	if err != nil && old && l.w == nil && ctx.Err() == nil {
		f, err = l.begin(ctx, batch, forget, want)
	}
	return f, err
}

func (l *pgLane) begin(ctx context.Context, batch, forget id.Batch, want *book.Keys) (*book.Found, error) {
	if err := l.connect(ctx); err != nil {
		return nil, err
	}
	l.open = true
	l.w.exec("begin", nil)
	l.w.exec("insert batch", nil, batch[:], bucketParam(batch))
	if !forget.IsZero() {
		l.w.exec("delete batch", nil, forget[:], bucketParam(forget))
	}
	return l.load(ctx, want, false)
}

func bucketParam(b id.Batch) []byte { return []byte{0, 0, 0, byte(b.Bucket())} }

// connect opens the connection, unless it is open.
func (l *pgLane) connect(ctx context.Context) error {
	if l.w != nil {
		return nil
	}
	all := batchStatements
	for _, t := range l.tables {
		all = append(all[:len(all):len(all)], t.statements()...)
	}
	w, err := dial(ctx, l.p.lane, all)
	if err != nil {
		return err
	}
	l.w = w
	return nil
}

// load queues the loads and makes the trip.
func (l *pgLane) load(ctx context.Context, want *book.Keys, nowait bool) (*book.Found, error) {
	f := new(book.Found)
	for _, t := range l.tables {
		if err := t.load(l.w, want, f, nowait); err != nil {
			return nil, l.give(ctx, err)
		}
	}
	if err := l.w.trip(ctx); err != nil {
		return nil, l.give(ctx, err)
	}
	return f, nil
}

// Load loads more rows without waiting for locks.
func (l *pgLane) Load(ctx context.Context, want *book.Keys) (*book.Found, error) {
	ctx, cancel := context.WithTimeout(ctx, l.p.opts.Timeout)
	defer cancel()
	return l.load(ctx, want, true)
}

// Commit writes all changes and commits.
func (l *pgLane) Commit(ctx context.Context, ch *book.Changes) error {
	ctx, cancel := context.WithTimeout(ctx, l.p.opts.Timeout)
	defer cancel()
	for n, t := range l.tables {
		names := n == 0 && len(ch.Refs.Insert) > 0 // the first table
		if names {
			crash.At(crash.BeforeRow)
		}
		if err := t.write(l.w, ch); err != nil {
			return l.give(ctx, err)
		}
		if crash.Armed(crash.AfterRow) && names {
			if err := l.w.trip(ctx); err != nil { // or the server would not have it yet
				return l.give(ctx, err)
			}
			crash.At(crash.AfterRow)
		}
	}
	if crash.Armed(crash.InTransaction) {
		if err := l.w.trip(ctx); err != nil {
			return l.give(ctx, err)
		}
		crash.At(crash.InTransaction)
	}
	l.w.exec("commit", nil)
	err := l.w.trip(ctx)
	if l.w.dead {
		// The connection broke after COMMIT may have left. Even a last word of
		// the server proves nothing: one that is told to go while it waits for a
		// standby has committed already.
		l.drop()
		return fmt.Errorf("%w: %w", book.ErrLost, err)
	}
	if err != nil {
		return l.give(ctx, err)
	}
	l.open = false
	if string(l.w.tag) != "COMMIT" {
		return fmt.Errorf("COMMIT was answered by %s, and no statement said why", l.w.tag)
	}
	return nil
}

// Abort ends the batch without a trace.
func (l *pgLane) Abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, l.p.opts.Timeout)
	defer cancel()
	l.rollback(ctx)
}

// Close ends the lane.
func (l *pgLane) Close() error {
	if l.w != nil && !l.w.dead {
		_ = l.w.conn.SetDeadline(time.Time{})          // that of the last trip has passed
		_, _ = l.w.conn.Write([]byte{'X', 0, 0, 0, 4}) // Terminate, or the server's log complains
	}
	l.drop()
	return nil
}

// give ends the batch after an error and puts that into the book's words.
func (l *pgLane) give(ctx context.Context, err error) error {
	l.rollback(ctx)
	return verdict(err)
}

func (l *pgLane) rollback(ctx context.Context) {
	if !l.open || l.w == nil {
		return
	}
	l.open = false
	if !l.w.dead {
		l.w.reset()
		l.w.exec("rollback", nil)
		_ = l.w.trip(ctx)
	}
	if l.w.dead || !l.w.idle {
		l.drop()
	}
}

// drop closes the connection; the server rolls back what was open on it.
func (l *pgLane) drop() {
	l.open = false
	if l.w != nil {
		l.w.close()
		l.w = nil
	}
}

// pgTable is a kind of row with its statements.
type pgTable[R, K any] struct {
	*table[R, K]
	cols          []column[R] // key and the rest
	load1, load2  pgStatement // waiting for locks, and not
	look          pgStatement // without locks, of kinds that are free
	hold          pgStatement // locks, and fails unless all are at their versions
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
	// No subquery can hold the planner in a write. Told that the keys are equal,
	// it reads a table that it believes to be small from end to end, in the order
	// of the key, and keeps that plan while the table grows. A range it can only
	// look up, and a range of one value is the same rows.
	named := t.key[:len(t.key)-1] // all but the bucket
	lookup := fmt.Sprintf("(%[1]s) BETWEEN (%[2]s) AND (%[2]s) AND t.bucket = k.bucket", names("t.", named), names("k.", named))
	// The inner SELECT locks, so the planner cannot turn the join round: each
	// key is looked up in turn, whatever it believes about the tables' sizes,
	// and rows are locked in the order of the keys.
	load := fmt.Sprintf("SELECT r.* FROM (SELECT %s) AS k CROSS JOIN LATERAL (SELECT %s, t.version FROM %s AS t WHERE %s FOR UPDATE%%s) AS r",
		unnest(columnNames(t.key)), names("t.", p.cols), t.name, match)
	p.load1 = pgStatement{name: "load " + t.name, sql: fmt.Sprintf(load, ""), params: arrayTypes(t.key)}
	p.load2 = pgStatement{name: "load more " + t.name, sql: fmt.Sprintf(load, " NOWAIT"), params: arrayTypes(t.key)}

	if t.free {
		// OFFSET holds the planner as the lock does.
		p.look = pgStatement{name: "look " + t.name, sql: strings.Replace(p.load1.sql, "FOR UPDATE", "OFFSET 0", 1), params: p.load1.params}
	}

	from := unnest(append(columnNames(t.key), "version"))
	p.hold = pgStatement{
		name: "hold " + t.name,
		sql: fmt.Sprintf(`WITH held AS (SELECT r.found FROM (SELECT %s) AS k CROSS JOIN LATERAL (SELECT 1 AS found FROM %s AS t WHERE %s AND t.version = k.version FOR UPDATE) AS r)
SELECT 1 / (CASE WHEN COUNT(*) = $%d THEN 1 ELSE 0 END) FROM held`, from, t.name, match, len(t.key)+2),
		params: append(arrayTypes(t.key), oidInt8Array, oidInt8),
	}
	p.del = pgStatement{
		name: "delete " + t.name,
		sql: checked(fmt.Sprintf("DELETE FROM %s AS t USING (SELECT %s) AS k WHERE %s AND t.version = k.version", t.name, from, lookup),
			len(t.key)+2),
		params: append(arrayTypes(t.key), oidInt8Array, oidInt8),
	}
	from = unnest(append(append(columnNames(t.key), "version"), columnNames(t.columns)...))
	p.upd = pgStatement{
		name: "update " + t.name,
		sql: checked(fmt.Sprintf("UPDATE %s AS t SET version = k.version + 1, %s FROM (SELECT %s) AS k WHERE %s AND t.version = k.version",
			t.name, strings.Join(set, ", "), from, lookup), len(p.cols)+2),
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
	all := []pgStatement{t.load1, t.load2, t.hold, t.ins, t.upd, t.del}
	if t.free {
		all = append(all, t.look)
	}
	return all
}

// encode writes columns of n rows as parameters. at gives the i-th row.
func encode[R any](w *wire, table string, cols []column[R], n int, at func(int) *R) error {
	for i := range cols {
		switch c := &cols[i]; {
		case c.id != nil:
			a := w.open(oidUUID, n)
			for j := range n {
				w.putID(c.id(at(j)))
			}
			w.shut(a)
		case c.bucket != nil:
			a := w.open(oidInt4, n)
			for j := range n {
				w.putInt4(int32(*c.bucket(at(j))))
			}
			w.shut(a)
		case c.int != nil:
			a := w.open(oidInt8, n)
			for j := range n {
				w.putInt8(*c.int(at(j)))
			}
			w.shut(a)
		default:
			a := w.open(oidText, n)
			for j := range n {
				v := c.string(at(j))
				if err := c.clean(table, v); err != nil {
					return err
				}
				w.putText(v)
			}
			w.shut(a)
		}
	}
	return nil
}

func (t *pgTable[R, K]) load(w *wire, k *book.Keys, f *book.Found, nowait bool) error {
	if t.keys == nil {
		return nil
	}
	keys := t.keys(k)
	if len(keys) == 0 {
		return nil
	}
	out := t.found(f)
	*out = slices.Grow(*out, len(keys))
	st := t.load1.name
	switch {
	case t.free && k.Unlocked:
		st = t.look.name
	case nowait:
		st = t.load2.name
	}
	b := w.begin(st, len(t.keyOf), func(row *wireRow) error {
		*out = append(*out, book.Stored[R]{Version: row.int(len(t.cols))})
		return scan(t.cols, row, &(*out)[len(*out)-1].Row)
	})
	if err := encode(w, t.name, t.keyOf, len(keys), func(i int) *K { return &keys[i] }); err != nil {
		return err
	}
	w.end(b)
	return nil
}

func (t *pgTable[R, K]) write(w *wire, ch *book.Changes) error {
	change := t.change(ch)
	if len(change.Insert) > 0 {
		if err := t.insert(w, change.Insert); err != nil {
			return err
		}
	}
	if len(change.Check) > 0 {
		if err := t.named(w, &t.hold, change.Check); err != nil {
			return err
		}
	}
	if len(change.Update) > 0 {
		if err := t.update(w, change.Update); err != nil {
			return err
		}
	}
	if len(change.Delete) > 0 {
		return t.named(w, &t.del, change.Delete)
	}
	return nil
}

func (t *pgTable[R, K]) insert(w *wire, rows []R) error {
	if t.compare != nil {
		slices.SortFunc(rows, t.compare)
	}
	b := w.begin(t.ins.name, len(t.cols), nil)
	if err := encode(w, t.name, t.cols, len(rows), func(i int) *R { return &rows[i] }); err != nil {
		return err
	}
	w.end(b)
	return nil
}

// update writes rows. Where two committers may change the same ones, they do so
// in the order of the keys, as a load locks them: rows that were kept between
// batches are locked here.
func (t *pgTable[R, K]) update(w *wire, rows []book.Stored[R]) error {
	if t.compare != nil {
		slices.SortFunc(rows, func(a, b book.Stored[R]) int { return t.compare(a.Row, b.Row) })
	}
	at := func(i int) *R { return &rows[i].Row }
	b := w.begin(t.upd.name, len(t.cols)+2, nil)
	if err := encode(w, t.name, t.key, len(rows), at); err != nil {
		return err
	}
	v := w.open(oidInt8, len(rows))
	for i := range rows {
		w.putInt8(rows[i].Version)
	}
	w.shut(v)
	if err := encode(w, t.name, t.columns, len(rows), at); err != nil {
		return err
	}
	w.putInt8(int64(len(rows)))
	w.end(b)
	return nil
}

// named runs a statement on rows at their versions.
func (t *pgTable[R, K]) named(w *wire, s *pgStatement, keys []book.StoredKey[K]) error {
	b := w.begin(s.name, len(t.key)+2, nil)
	if err := encode(w, t.name, t.keyOf, len(keys), func(i int) *K { return &keys[i].Key }); err != nil {
		return err
	}
	v := w.open(oidInt8, len(keys))
	for i := range keys {
		w.putInt8(keys[i].Version)
	}
	w.shut(v)
	w.putInt8(int64(len(keys)))
	w.end(b)
	return nil
}
