package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"time"

	"aorta/internal/id"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// sqlite writes through SQLite's C interface: prepared statements, values
// bound where they lie, one connection, and the log carried into the file by
// another one, as durable as Aorta opens it (WAL, synchronous=FULL).
//
// One row a statement: rows of VALUES beyond the first go through a coroutine
// of SQLite's and cost more than a reset.
type sqlite struct {
	mu    sync.Mutex // held while a batch is written, and while the log is begun anew
	write *handle
	stop  chan struct{}
	wg    sync.WaitGroup

	begin, commits, addBatch, endBatch uintptr
	statements                         []uintptr // index: of writes
	openings                           uintptr
	into                               []*row
}

// handle is a connection.
type handle struct {
	tls  *libc.TLS
	db   uintptr
	mem  uintptr
	buf  []byte // the memory at mem, for values that are bound
	used int
}

const bindMemory = 1 << 20

func openHandle(path string, pragmas ...string) (*handle, error) {
	h := &handle{tls: libc.NewTLS(), mem: libc.Xmalloc(nil, bindMemory)}
	h.buf = libc.GoBytes(h.mem, bindMemory)
	out := h.put("12345678")
	flags := int32(sqlite3.SQLITE_OPEN_READWRITE | sqlite3.SQLITE_OPEN_NOMUTEX)
	if rc := sqlite3.Xsqlite3_open_v2(h.tls, h.put(path+"\x00"), out, flags, 0); rc != sqlite3.SQLITE_OK {
		return nil, fmt.Errorf("open %s: %d", path, rc)
	}
	h.db = uintptr(binary.NativeEndian.Uint64(h.buf))
	for _, p := range pragmas {
		if err := h.exec("PRAGMA " + p); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func (h *handle) put(s string) uintptr {
	at := h.used
	h.used += copy(h.buf[at:], s)
	return h.mem + uintptr(at)
}

func (h *handle) fail(rc int32) error {
	return fmt.Errorf("sqlite: %s (%d)", libc.GoString(sqlite3.Xsqlite3_errmsg(h.tls, h.db)), rc)
}

func (h *handle) prepare(sql string) (uintptr, error) {
	h.used = 0
	out := h.put("12345678")
	if rc := sqlite3.Xsqlite3_prepare_v3(h.tls, h.db, h.put(sql+"\x00"), -1, sqlite3.SQLITE_PREPARE_PERSISTENT, out, 0); rc != sqlite3.SQLITE_OK {
		return 0, fmt.Errorf("prepare %s: %w", sql, h.fail(rc))
	}
	return uintptr(binary.NativeEndian.Uint64(h.buf)), nil
}

func (h *handle) exec(sql string) error {
	s, err := h.prepare(sql)
	if err != nil {
		return err
	}
	defer sqlite3.Xsqlite3_finalize(h.tls, s)
	return h.run(s)
}

// run steps to the end and resets.
func (h *handle) run(s uintptr) error {
	for {
		switch rc := sqlite3.Xsqlite3_step(h.tls, s); rc {
		case sqlite3.SQLITE_ROW:
		case sqlite3.SQLITE_DONE:
			sqlite3.Xsqlite3_reset(h.tls, s)
			h.used = 0
			return nil
		default:
			return h.fail(rc)
		}
	}
}

func (h *handle) bindID(s uintptr, n int32, v *id.Raw) {
	at := h.used
	h.used += copy(h.buf[at:], v[:])
	sqlite3.Xsqlite3_bind_blob(h.tls, s, n, h.mem+uintptr(at), 16, sqlite3.SQLITE_STATIC)
}

func (h *handle) close() {
	sqlite3.Xsqlite3_close_v2(h.tls, h.db)
	libc.Xfree(nil, h.mem)
	h.tls.Close()
}

func newSQLite(path string) (*sqlite, error) {
	w, err := openHandle(path, "busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "wal_autocheckpoint(0)", "cache_size(-65536)")
	if err != nil {
		return nil, err
	}
	log, err := openHandle(path, "busy_timeout(20)", "wal_autocheckpoint(0)", "synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	s := &sqlite{write: w, stop: make(chan struct{})}
	for to, sql := range map[*uintptr]string{
		&s.begin: "BEGIN IMMEDIATE", &s.commits: "COMMIT", &s.addBatch: "INSERT INTO batch (id, bucket) VALUES (?, 0)",
		&s.endBatch: "DELETE FROM batch WHERE id = ? AND bucket = 0", &s.openings: sqliteText(&openAccounts),
	} {
		if *to, err = w.prepare(sql); err != nil {
			return nil, err
		}
	}
	for n := range writes {
		p, err := w.prepare(sqliteText(&writes[n]))
		if err != nil {
			return nil, err
		}
		s.statements = append(s.statements, p)
	}
	s.wg.Go(func() { s.checkpoints(log) })
	return s, nil
}

func sqliteText(w *write) string {
	mark := func(int) string { return "?" }
	switch w.verb {
	case insert:
		return fmt.Sprintf("INSERT INTO %s (%s) VALUES (?%s)", w.table, names("", w.cols), strings.Repeat(", ?", len(w.cols)-1))
	case update:
		var set strings.Builder
		for _, c := range w.cols {
			set.WriteString(c.name + " = ?, ")
		}
		return fmt.Sprintf("UPDATE %s AS t SET %sversion = version + 1 WHERE %s", w.table, set.String(), where(w.key, mark))
	case remove:
		return fmt.Sprintf("DELETE FROM %s AS t WHERE %s", w.table, where(w.key, mark))
	}
	return ""
}

// checkpoints carries the log into the file, at the pace and by the rules of the core's store.
func (s *sqlite) checkpoints(h *handle) {
	defer h.close()
	t := time.NewTicker(250 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
		}
		frames := h.checkpoint("PASSIVE")
		if frames*8192 <= 64<<20 {
			continue
		}
		for range 6 {
			was := frames
			if frames = h.checkpoint("PASSIVE"); frames-was < 256 {
				break
			}
		}
		s.mu.Lock()
		h.checkpoint("RESTART")
		s.mu.Unlock()
	}
}

// checkpoint gives the number of frames in the log.
func (h *handle) checkpoint(how string) (frames int64) {
	s, err := h.prepare("PRAGMA wal_checkpoint(" + how + ")")
	if err != nil {
		return 0
	}
	defer sqlite3.Xsqlite3_finalize(h.tls, s)
	if sqlite3.Xsqlite3_step(h.tls, s) == sqlite3.SQLITE_ROW {
		frames = sqlite3.Xsqlite3_column_int64(h.tls, s, 1)
	}
	return frames
}

func (s *sqlite) open(_ context.Context, src *source) error {
	if err := s.write.run(s.begin); err != nil {
		return err
	}
	if err := s.each(s.openings, &openAccounts, src.all()); err != nil {
		return err
	}
	return s.write.run(s.commits)
}

func (s *sqlite) commit(_ context.Context, src *source, batch, before id.Raw) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.write
	if err := h.run(s.begin); err != nil {
		return err
	}
	h.bindID(s.addBatch, 1, &batch)
	if err := h.run(s.addBatch); err != nil {
		return err
	}
	if !before.IsZero() {
		h.bindID(s.endBatch, 1, &before)
		if err := h.run(s.endBatch); err != nil {
			return err
		}
	}
	for n := range writes {
		s.into = src.rows(&writes[n], s.into)
		if err := s.each(s.statements[n], &writes[n], s.into); err != nil {
			return err
		}
	}
	return h.run(s.commits)
}

// each runs a write's statement for its rows.
func (s *sqlite) each(p uintptr, w *write, rows []*row) error {
	for _, r := range rows {
		at := s.bind(p, 1, w.cols, r)
		s.bind(p, at, w.key, r)
		if err := s.write.run(p); err != nil {
			return fmt.Errorf("%s %s: %w", w.verb, w.table, err)
		}
	}
	return nil
}

func (s *sqlite) bind(p uintptr, at int32, cols []column, r *row) int32 {
	h := s.write
	for n := range cols {
		switch c := &cols[n]; c.kind {
		case kindID:
			h.bindID(p, at, c.id(r))
		case kindBucket:
			sqlite3.Xsqlite3_bind_int64(h.tls, p, at, int64(r.bucket))
		case kindInt:
			sqlite3.Xsqlite3_bind_int64(h.tls, p, at, c.int(r))
		case kindText:
			v := c.text(r)
			from := h.used
			h.used += copy(h.buf[from:], v)
			sqlite3.Xsqlite3_bind_text(h.tls, p, at, h.mem+uintptr(from), int32(len(v)), sqlite3.SQLITE_STATIC)
		}
		at++
	}
	return at
}

func (s *sqlite) close() {
	close(s.stop)
	s.wg.Wait()
	for _, p := range append(s.statements, s.begin, s.commits, s.addBatch, s.endBatch, s.openings) {
		sqlite3.Xsqlite3_finalize(s.write.tls, p)
	}
	s.write.close()
}
