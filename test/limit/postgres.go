package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"aorta/internal/id"

	"github.com/jackc/pgx/v5/pgconn"
)

// postgres writes a batch in one round trip: BEGIN, one statement per table and
// verb with its rows as arrays in binary, and COMMIT, all sent together.
type postgres struct {
	conn   *pgconn.PgConn
	params [][]byte
	memory []byte
	into   []*row
}

// Lookups by key alone, whatever the planner believes of tables that were empty when it planned.
var settings = map[string]string{
	"jit": "off", "enable_seqscan": "off", "enable_bitmapscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off",
	"plan_cache_mode": "force_generic_plan",
}

// PostgreSQL's type numbers, by kind: of an element and of an array.
var (
	elements = [...]uint32{kindID: 2950, kindBucket: 23, kindInt: 20, kindText: 25}
	arrays   = [...]uint32{kindID: 2951, kindBucket: 1007, kindInt: 1016, kindText: 1009}
)

func newPostgres(ctx context.Context, dsn string) (*postgres, error) {
	cfg, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	for name, value := range settings {
		cfg.RuntimeParams[name] = value
	}
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	p := &postgres{conn: conn}
	statements := map[string]string{
		"begin": "BEGIN", "commit": "COMMIT",
		"add batch": "INSERT INTO batch (id, bucket) VALUES ($1, 0)", "end batch": "DELETE FROM batch WHERE id = $1 AND bucket = 0",
	}
	for name, sql := range statements {
		if _, err := conn.Prepare(ctx, name, sql, nil); err != nil {
			return nil, fmt.Errorf("prepare %s: %w", name, err)
		}
	}
	for n := range writes {
		if err := p.prepare(ctx, fmt.Sprint(n), &writes[n]); err != nil {
			return nil, err
		}
	}
	return p, p.prepare(ctx, "accounts", &openAccounts)
}

func (p *postgres) prepare(ctx context.Context, name string, w *write) error {
	all := append(w.key[:len(w.key):len(w.key)], w.cols...)
	var unnest []string
	var types []uint32
	for n, c := range all {
		unnest = append(unnest, fmt.Sprintf("unnest($%d) AS %s", n+1, c.name))
		types = append(types, arrays[c.kind])
	}
	from := strings.Join(unnest, ", ")
	// A range of one value can only be looked up; see package store.
	match := "t.id BETWEEN k.id AND k.id AND t.bucket = k.bucket"
	var sql string
	switch w.verb {
	case insert:
		sql = fmt.Sprintf("INSERT INTO %s (%s) SELECT %s", w.table, names("", w.cols), from)
	case update:
		var set strings.Builder
		for _, c := range w.cols {
			fmt.Fprintf(&set, "%[1]s = k.%[1]s, ", c.name)
		}
		sql = fmt.Sprintf("UPDATE %s AS t SET %sversion = t.version + 1 FROM (SELECT %s) AS k WHERE %s", w.table, set.String(), from, match)
	case remove:
		sql = fmt.Sprintf("DELETE FROM %s AS t USING (SELECT %s) AS k WHERE %s", w.table, from, match)
	}
	if _, err := p.conn.Prepare(ctx, name, sql, types); err != nil {
		return fmt.Errorf("prepare %s %s: %w", w.verb, w.table, err)
	}
	return nil
}

var binaryFormat = []int16{1}

func (p *postgres) open(ctx context.Context, s *source) error {
	p.encode(&openAccounts, s.all())
	_, err := p.conn.ExecPrepared(ctx, "accounts", p.params, binaryFormat, nil).Close()
	return err
}

func (p *postgres) commit(ctx context.Context, s *source, batch, before id.Raw) error {
	t := p.conn.StartPipeline(ctx)
	t.SendQueryPrepared("begin", nil, nil, nil)
	t.SendQueryPrepared("add batch", [][]byte{batch[:]}, binaryFormat, nil)
	if !before.IsZero() {
		t.SendQueryPrepared("end batch", [][]byte{before[:]}, binaryFormat, nil)
	}
	for n := range writes {
		if p.into = s.rows(&writes[n], p.into); len(p.into) == 0 {
			continue
		}
		p.encode(&writes[n], p.into)
		t.SendQueryPrepared(writeNames[n], p.params, binaryFormat, nil)
	}
	t.SendQueryPrepared("commit", nil, nil, nil)
	if err := t.Sync(); err != nil {
		return err
	}
	return t.Close() // reads all answers, and gives the first error
}

var writeNames = func() (out []string) {
	for n := range writes {
		out = append(out, fmt.Sprint(n))
	}
	return out
}()

// encode writes a write's rows as parameters. The pipeline copies them.
func (p *postgres) encode(w *write, rows []*row) {
	p.params = p.params[:0]
	m := p.memory[:0]
	var ends []int
	for _, cols := range [][]column{w.key, w.cols} {
		for n := range cols {
			c := &cols[n]
			for _, v := range [...]uint32{1, 0, elements[c.kind], uint32(len(rows)), 1} { // dimensions, no NULL, type, length, first index
				m = binary.BigEndian.AppendUint32(m, v)
			}
			switch c.kind {
			case kindID:
				for _, r := range rows {
					m = append(append(m, 0, 0, 0, 16), c.id(r)[:]...)
				}
			case kindBucket:
				for _, r := range rows {
					m = append(m, 0, 0, 0, 4, 0, 0, 0, byte(r.bucket))
				}
			case kindInt:
				for _, r := range rows {
					m = binary.BigEndian.AppendUint64(append(m, 0, 0, 0, 8), uint64(c.int(r)))
				}
			case kindText:
				for _, r := range rows {
					v := c.text(r)
					m = append(binary.BigEndian.AppendUint32(m, uint32(len(v))), v...)
				}
			}
			ends = append(ends, len(m))
		}
	}
	from := 0
	for _, end := range ends {
		p.params = append(p.params, m[from:end])
		from = end
	}
	p.memory = m
}

func (p *postgres) close() { _ = p.conn.Close(context.Background()) }
