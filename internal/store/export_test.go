package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"reflect"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// LimitSize lets the database file grow by so many pages and no more, as a
// disk that is nearly full does.
func LimitSize(s *SQLite, pages int64) error {
	s.write.Lock()
	defer s.write.Unlock()
	var now int64
	err := s.writer.query("PRAGMA page_count", nil, func(v values) error { now = v.int(0); return nil })
	if err != nil {
		return err
	}
	return s.writer.exec(fmt.Sprintf("PRAGMA max_page_count = %d", now+pages))
}

// PageSlots is how many pages of SQLite's caches lie in the slots made for them.
func PageSlots() int64 {
	tls := libc.NewTLS()
	defer tls.Close()
	out := libc.Xcalloc(tls, 2, 8)
	defer libc.Xfree(tls, out)
	if rc := sqlite3.Xsqlite3_status64(tls, sqlite3.SQLITE_STATUS_PAGECACHE_USED, out, out+8, 0); rc != sqlite3.SQLITE_OK {
		panic(fmt.Sprintf("sqlite3_status64: %d", rc))
	}
	return int64(binary.NativeEndian.Uint64(libc.GoBytes(out, 8)))
}

// Statements are all that this package runs, but for migrations and pragmas.
func Statements() []string {
	out := []string{"BEGIN IMMEDIATE"}
	for _, s := range batchStatements {
		out = append(out, s.sql)
	}
	for _, t := range pgTables() {
		for _, s := range t.statements() {
			out = append(out, s.sql)
		}
	}
	for _, t := range sqliteTables() {
		out = append(out, t.(interface{ texts() []string }).texts()...)
	}
	return append(out, portable()...)
}

// LaneSettings are those of a lane's connection to PostgreSQL.
func LaneSettings() map[string]string { return laneSettings }

// LaneStatement is one that a lane prepares on PostgreSQL.
type LaneStatement struct {
	Name, SQL string
	Params    []uint32
}

// LaneStatements are those about kinds of rows.
func LaneStatements() []LaneStatement {
	var out []LaneStatement
	for _, t := range pgTables() {
		for _, s := range t.statements() {
			out = append(out, LaneStatement{s.name, s.sql, s.params})
		}
	}
	return out
}

func (t *sqliteTable[R, K]) texts() []string {
	if t.logged {
		return []string{t.ins}
	}
	return []string{t.sel, t.ins, t.upd, t.del}
}

// portable calls every method of reader and notes what it asks for.
func portable() []string {
	var n notes
	r := reflect.ValueOf(reader{&n})
	for i := range r.NumMethod() {
		m := r.Method(i)
		args := []reflect.Value{reflect.ValueOf(context.Background())}
		for j := 1; j < m.Type().NumIn(); j++ {
			switch m.Type().In(j).Kind() {
			case reflect.Int:
				args = append(args, reflect.ValueOf(10))
			case reflect.Slice:
				args = append(args, reflect.ValueOf([]int64{1}))
			default:
				args = append(args, reflect.Zero(m.Type().In(j)))
			}
		}
		m.Call(args)
	}
	return n
}

type notes []string

// query notes a statement, and answers one row of nothing to those that count
// on one.
func (n *notes) query(_ context.Context, sql string, _ []any, each func(values) error) error {
	*n = append(*n, sql)
	if sql == beatProcess {
		return each(&wireRow{body: make([]byte, 8), at: []int32{4}})
	}
	return nil
}
