package store

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"

	"aorta/internal/id"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// conn is a connection to SQLite through its C interface, as the driver's own
// package lib offers it in Go.
//
// database/sql and its driver copy each value into memory allocated and freed
// for it under one global lock, and ask the clock and the context about each
// statement: together more than SQLite's own work on a short row. Here values
// go through one arena per connection. A conn serves one goroutine at a time.
type conn struct {
	tls   *libc.TLS
	db    uintptr
	arena arena
	stmts map[string]*stmt // prepared once, by text
}

// stmt is a prepared statement.
type stmt struct {
	c  *conn
	p  uintptr
	at int // parameters bound
}

// sqliteError is what SQLite says: an extended result code and its text.
type sqliteError struct {
	code int32
	text string
}

func (e *sqliteError) Error() string { return fmt.Sprintf("sqlite: %s (%d)", e.text, e.code) }

// primary is the result code without its extension.
func (e *sqliteError) primary() int32 { return e.code & 0xff }

// arena is memory outside Go's heap in which bound values lie while their
// statement runs.
type arena struct {
	p    uintptr
	mem  []byte
	used int
	full []uintptr // earlier, smaller ones that bound values may still lie in
}

const arenaSize = 64 << 10

// put copies s and answers its address.
func (a *arena) put(s string) uintptr {
	if len(s) > len(a.mem)-a.used {
		a.grow(len(s))
	}
	at := a.used
	copy(a.mem[at:], s)
	a.used += len(s)
	return a.p + uintptr(at)
}

func (a *arena) grow(atLeast int) {
	if a.p != 0 {
		a.full = append(a.full, a.p)
	}
	size := max(arenaSize, 2*len(a.mem), 2*atLeast)
	a.p = libc.Xmalloc(nil, libc.Tsize_t(size))
	if a.p == 0 {
		panic(fmt.Sprintf("store: out of memory for %d bytes", size)) // as the Go runtime does
	}
	a.mem, a.used = libc.GoBytes(a.p, size), 0
}

func (a *arena) reset() {
	a.used = 0
	for _, p := range a.full {
		libc.Xfree(nil, p)
	}
	a.full = a.full[:0]
	if len(a.mem) > 16*arenaSize { // one huge row must not keep its memory for ever
		a.close()
	}
}

func (a *arena) close() {
	libc.Xfree(nil, a.p)
	for _, p := range a.full {
		libc.Xfree(nil, p)
	}
	*a = arena{}
}

// slots gives SQLite the memory of its page caches in one piece, enough for the
// writer's. One by one a page of 8 KiB and its header would take 16: libc's
// allocator rounds sizes up to a power of two. What the slots do not hold is
// asked for alone, as everything is if something else has begun to use SQLite.
// (sqlite.org/c3ref/c_config_covering_index_scan.html, SQLITE_CONFIG_PAGECACHE)
var slots = sync.OnceFunc(func() {
	tls := libc.NewTLS()
	defer tls.Close()
	args := libc.Xcalloc(tls, 4, 8)
	defer libc.Xfree(tls, args)
	header := libc.GoBytes(args+3*8, 4)
	if rc := sqlite3.Xsqlite3_config(tls, sqlite3.SQLITE_CONFIG_PCACHE_HDRSZ, libc.VaList(args, args+3*8)); rc != sqlite3.SQLITE_OK {
		return
	}
	slot := pageBytes + int(binary.NativeEndian.Uint32(header))
	n := writerCacheKiB << 10 / slot
	memory := libc.Xmalloc(tls, libc.Tsize_t(slot*n))
	if memory == 0 {
		return
	}
	if rc := sqlite3.Xsqlite3_config(tls, sqlite3.SQLITE_CONFIG_PAGECACHE, libc.VaList(args, memory, int32(slot), int32(n))); rc != sqlite3.SQLITE_OK {
		libc.Xfree(tls, memory)
	}
})

// openConn opens a database file and runs the pragmas on the connection.
func openConn(path string, readOnly bool, pragmas ...string) (*conn, error) {
	slots()
	flags := int32(sqlite3.SQLITE_OPEN_READWRITE | sqlite3.SQLITE_OPEN_CREATE | sqlite3.SQLITE_OPEN_NOMUTEX)
	if readOnly {
		flags = sqlite3.SQLITE_OPEN_READONLY | sqlite3.SQLITE_OPEN_NOMUTEX
	}
	c := &conn{tls: libc.NewTLS(), stmts: map[string]*stmt{}}
	out := c.arena.put("12345678")
	rc := sqlite3.Xsqlite3_open_v2(c.tls, c.arena.put(path+"\x00"), out, flags, 0)
	c.db = uintptr(binary.NativeEndian.Uint64(c.arena.mem))
	if rc != sqlite3.SQLITE_OK {
		err := c.fail(rc)
		c.close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	c.arena.reset()
	sqlite3.Xsqlite3_extended_result_codes(c.tls, c.db, 1)
	for _, p := range pragmas {
		if err := c.exec("PRAGMA " + p); err != nil {
			c.close()
			return nil, fmt.Errorf("open %s: pragma %s: %w", path, p, err)
		}
	}
	return c, nil
}

func (c *conn) close() {
	for _, s := range c.stmts {
		sqlite3.Xsqlite3_finalize(c.tls, s.p)
	}
	sqlite3.Xsqlite3_close_v2(c.tls, c.db)
	c.arena.close()
	c.tls.Close()
}

func (c *conn) fail(rc int32) error {
	return &sqliteError{rc, libc.GoString(sqlite3.Xsqlite3_errmsg(c.tls, c.db))}
}

// prepare gives the statement of a text; the same one each time.
func (c *conn) prepare(sql string) (*stmt, error) {
	if s, ok := c.stmts[sql]; ok {
		return s, nil
	}
	var a arena
	defer a.close()
	out := a.put("12345678")
	text := a.put(sql + "\x00")
	rc := sqlite3.Xsqlite3_prepare_v3(c.tls, c.db, text, -1, sqlite3.SQLITE_PREPARE_PERSISTENT, out, 0)
	if rc != sqlite3.SQLITE_OK {
		return nil, fmt.Errorf("prepare %s: %w", strings.Fields(sql)[0], c.fail(rc))
	}
	s := &stmt{c: c, p: uintptr(binary.NativeEndian.Uint64(libc.GoBytes(out, 8)))}
	c.stmts[sql] = s
	return s, nil
}

// exec runs a statement without parameters to its end.
func (c *conn) exec(sql string) error {
	s, err := c.prepare(sql)
	if err != nil {
		return err
	}
	return s.run()
}

// query runs a statement and hands each row to each, if not nil.
func (c *conn) query(sql string, args []any, each func(values) error) error {
	s, err := c.prepare(sql)
	if err != nil {
		return err
	}
	defer s.reset()
	for _, a := range args {
		switch a := a.(type) {
		case id.Raw:
			s.bindID(&a)
		case int64:
			s.bindInt(a)
		case string:
			s.bindText(a)
		default:
			return fmt.Errorf("cannot bind a %T", a)
		}
	}
	for {
		row, err := s.step()
		if err != nil || !row {
			return err
		}
		if each != nil {
			if err := each(s); err != nil {
				return err
			}
		}
	}
}

// inTransaction reports whether a transaction is open: SQLite ends one by
// itself on some errors.
func (c *conn) inTransaction() bool { return sqlite3.Xsqlite3_get_autocommit(c.tls, c.db) == 0 }

// changes is the number of rows that the last statement wrote.
func (c *conn) changes() int { return int(sqlite3.Xsqlite3_changes(c.tls, c.db)) }

func (s *stmt) bindID(v *id.Raw) {
	s.at++
	sqlite3.Xsqlite3_bind_blob(s.c.tls, s.p, int32(s.at), s.c.arena.put(string(v[:])), int32(len(v)), sqlite3.SQLITE_STATIC)
}

func (s *stmt) bindInt(v int64) {
	s.at++
	sqlite3.Xsqlite3_bind_int64(s.c.tls, s.p, int32(s.at), v)
}

func (s *stmt) bindText(v string) {
	s.at++
	sqlite3.Xsqlite3_bind_text(s.c.tls, s.p, int32(s.at), s.c.arena.put(v), int32(len(v)), sqlite3.SQLITE_STATIC)
}

// step goes to the next row; false at the end.
func (s *stmt) step() (bool, error) {
	switch rc := sqlite3.Xsqlite3_step(s.c.tls, s.p); rc {
	case sqlite3.SQLITE_ROW:
		return true, nil
	case sqlite3.SQLITE_DONE:
		return false, nil
	default:
		return false, s.c.fail(rc)
	}
}

// reset makes the statement ready to be bound anew. The bound values that it
// still points to are not read again: every parameter is bound before a run.
func (s *stmt) reset() {
	sqlite3.Xsqlite3_reset(s.c.tls, s.p)
	s.c.arena.reset()
	s.at = 0
}

// run steps to the end and resets.
func (s *stmt) run() error {
	for {
		row, err := s.step()
		if row {
			continue
		}
		s.reset()
		return err
	}
}

func (s *stmt) id(n int, to *id.Raw) {
	p := sqlite3.Xsqlite3_column_blob(s.c.tls, s.p, int32(n))
	if size := int(sqlite3.Xsqlite3_column_bytes(s.c.tls, s.p, int32(n))); size == len(to) {
		copy(to[:], libc.GoBytes(p, size))
	}
}

func (s *stmt) int(n int) int64 { return sqlite3.Xsqlite3_column_int64(s.c.tls, s.p, int32(n)) }

func (s *stmt) text(n int) string {
	p := sqlite3.Xsqlite3_column_text(s.c.tls, s.p, int32(n))
	if p == 0 {
		return ""
	}
	return string(libc.GoBytes(p, int(sqlite3.Xsqlite3_column_bytes(s.c.tls, s.p, int32(n)))))
}
