package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"aorta/internal/book"
	"aorta/internal/store/schema"

	_ "modernc.org/sqlite" // the driver that migrations go through
	sqlite3 "modernc.org/sqlite/lib"
)

// SQLite is a home in one file, used by one process.
type SQLite struct {
	reader
	path    string
	opts    Options
	lock    *os.File
	readers chan *conn // nil: one that is not open yet
	stop    chan struct{}
	wg      sync.WaitGroup
	once    sync.Once

	// write is held by whoever writes: a lane from Begin to its end, or one
	// statement outside acts. Waiting for a mutex is fair; waiting for SQLite's
	// own lock is polling.
	write  sync.Mutex
	writer *conn
	broken error // why nothing may be written any more: errClosed, or the disk refused a flush and only a restart can tell what it holds

	full atomic.Bool // the disk was full, and the log has not been cut off since
}

// ErrInUse: another process has the database open. There can be only one.
var ErrInUse = errors.New("the database is in use by another process")

// Sizes of SQLite's page caches.
const (
	writerCacheKiB = 64 << 10
	readerCacheKiB = 1 << 10 // every commit of the writer empties it
)

// OpenSQLite opens the database file at path, or creates it. ErrInUse: another
// process has it.
func OpenSQLite(_ context.Context, path string, opts Options) (*SQLite, error) {
	opts = opts.withDefaults()
	path, err := ownName(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	writer, err := openConn(path, false, fmt.Sprintf("page_size(%d)", pageBytes), "busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)",
		"foreign_keys(1)", "wal_autocheckpoint(0)", fmt.Sprintf("cache_size(-%d)", writerCacheKiB))
	if err != nil {
		lock.Close()
		return nil, err
	}
	s := &SQLite{path: path, opts: opts, lock: lock, writer: writer, readers: make(chan *conn, opts.Readers), stop: make(chan struct{})}
	s.reader = reader{s}
	for range opts.Readers {
		s.readers <- nil
	}
	s.wg.Go(s.checkpoints)
	return s, nil
}

// ownName follows symbolic links to the one name that the lock and the log lie
// beside. A file with a second name (a hard link) is refused: whoever opened it
// by that one would have another lock and another log, and the two would destroy
// the database, as SQLite's documentation warns.
func ownName(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path, err
	}
	info, err := os.Stat(abs)
	if errors.Is(err, fs.ErrNotExist) {
		dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
		if err != nil {
			return abs, err
		}
		abs = filepath.Join(dir, filepath.Base(abs))
		if target, err := os.Readlink(abs); err == nil {
			return abs, fmt.Errorf("it is a link to %s, which is not there", target)
		}
		return abs, nil
	}
	if err != nil {
		return abs, err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Nlink > 1 {
		return abs, fmt.Errorf("%w, or may be: the file has %d names (hard links); copy it instead, or remove the other names", ErrInUse, s.Nlink)
	}
	return filepath.EvalSymlinks(abs)
}

// lockFile takes the lock that goes with the process: the kernel frees it when
// the process ends, however it ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrInUse
		}
		return nil, fmt.Errorf("lock: %w", err)
	}
	return f, nil
}

// errClosed: the home was closed while somebody was still at work.
var errClosed = errors.New("the database is closed")

// Close ends the home. Lanes must have ended before. Who still reads or writes
// outside acts is told so: the connection's memory is SQLite's own, and gone.
func (s *SQLite) Close() error {
	s.once.Do(func() {
		close(s.stop)
		s.wg.Wait()
		for range s.opts.Readers {
			if c := <-s.readers; c != nil {
				c.close()
			}
		}
		s.write.Lock()
		defer s.write.Unlock()
		if s.broken == nil {
			s.writer.close() // the last connection carries the log into the file
			s.broken = errClosed
		}
		s.lock.Close()
	})
	return nil
}

// Migrate brings the schema up to date.
func (s *SQLite) Migrate(ctx context.Context) error {
	s.write.Lock()
	defer s.write.Unlock()
	return s.withSQL(func(db *sql.DB) error { return migrate(ctx, db, schema.SQLite) })
}

// Ready answers ErrSchema unless the schema is the one this program needs.
func (s *SQLite) Ready(ctx context.Context) error {
	return s.withSQL(func(db *sql.DB) error { return ready(ctx, db, schema.SQLite) })
}

// withSQL opens the file for goose, which wants database/sql.
func (s *SQLite) withSQL(do func(*sql.DB) error) error {
	db, err := sql.Open("sqlite", fileURI(s.path)+"?_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)&_txlock=immediate")
	if err != nil {
		return fmt.Errorf("open %s: %w", s.path, err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	return do(db)
}

// fileURI names a file to SQLite's driver: a path may hold ?, # and %.
func fileURI(path string) string { return "file:" + (&url.URL{Path: path}).EscapedPath() }

// query runs a portable statement: a SELECT on a connection of its own, a
// write on the one that writes.
func (s *SQLite) query(ctx context.Context, sql string, args []any, each func(values) error) error {
	if sql[:len("SELECT")] != "SELECT" {
		s.write.Lock()
		defer s.write.Unlock()
		if s.broken != nil {
			return s.broken
		}
		return s.written(s.writer.query(sql, args, each))
	}
	var c *conn
	select {
	case c = <-s.readers:
	case <-s.stop:
		return errClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { s.readers <- c }()
	if c == nil {
		var err error
		if c, err = openConn(s.path, true, "busy_timeout(5000)", fmt.Sprintf("cache_size(-%d)", readerCacheKiB)); err != nil {
			c = nil
			return err
		}
	}
	return outcome(c.query(sql, args, each))
}

// checkpoints carries the log into the database file, on a connection and at a
// pace of its own: a checkpoint inside a commit would be paid by a batch.
func (s *SQLite) checkpoints() {
	var c *conn
	t := time.NewTicker(s.opts.Checkpoint)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			if c != nil {
				c.close()
			}
			return
		case <-t.C:
		}
		if c == nil {
			// The short timeout is how long writing may stand still for a snapshot that
			// somebody reads: the log cannot be emptied before that ends.
			var err error
			if c, err = openConn(s.path, false, "busy_timeout(20)", "wal_autocheckpoint(0)", "synchronous(FULL)"); err != nil {
				c = nil // no descriptor to be had, or no room: the next tick tries again
				continue
			}
		}
		s.checkpoint(c)
	}
}

// checkpoint copies what it can without making anybody wait. When the log has
// grown large the writer must stop once, so that it can begin the log anew;
// the copying is done before, so that it stops for milliseconds. The file
// keeps its size: writing over old blocks is cheaper to flush than growing. After
// a full disk it gives them back: a log that took all there was would leave the
// file no room to grow, and could never be emptied.
// Busy answers are no errors: the next tick tries again.
func (s *SQLite) checkpoint(c *conn) {
	frames, err := walFrames(c, "PASSIVE")
	wasFull := s.full.Load()
	if err == nil && frames*pageBytes <= s.opts.MaxLog && !wasFull {
		return
	}
	for n := 0; err == nil && n < catchUps; n++ {
		before := frames
		if frames, err = walFrames(c, "PASSIVE"); frames-before < fewFrames {
			break
		}
	}
	how := "RESTART"
	if s.logSize() > 4*s.opts.MaxLog || wasFull {
		how = "TRUNCATE" // somebody's long snapshot has kept the log growing, or see above
	}
	s.write.Lock()
	defer s.write.Unlock()
	if err == nil {
		_, err = walFrames(c, how)
	}
	if s.written(err) == nil && s.logSize() == 0 {
		s.full.Store(false)
	}
}

// logSize is the size of the log's file in bytes.
func (s *SQLite) logSize() int64 {
	info, err := os.Stat(s.path + "-wal")
	if err != nil {
		return 0
	}
	return info.Size()
}

const (
	pageBytes = 8192 // of a frame
	catchUps  = 6    // copies before writing is stopped, at most
	fewFrames = 256  // so few new ones since the last copy are copied in no time
)

// walFrames runs a checkpoint and gives the number of frames in the log, 0 if
// it could not run. That somebody was in its way is no error.
func walFrames(c *conn, how string) (frames int64, err error) {
	err = c.query("PRAGMA wal_checkpoint("+how+")", nil, func(v values) error {
		frames = max(v.int(1), 0)
		return nil
	})
	return frames, err
}

// written puts the outcome of a write into the book's words. After a failed
// flush the files hold what was written, perhaps on disk, perhaps not, and the
// next flush may succeed without having written it: only a new process reads
// what is really there. Writing on would build on sand, so nothing is written
// any more. The caller holds s.write.
func (s *SQLite) written(err error) error {
	var e *sqliteError
	if errors.As(err, &e) {
		switch {
		case e.code == sqlite3.SQLITE_IOERR_FSYNC || e.code == sqlite3.SQLITE_IOERR_DIR_FSYNC:
			s.fail(fmt.Errorf("the disk refused to flush; restart: %w", err))
		case e.primary() == sqlite3.SQLITE_FULL:
			s.full.Store(true)
		}
	}
	return outcome(err)
}

// fail says once and for all that nothing may be written any more. The caller
// holds s.write.
func (s *SQLite) fail(why error) {
	if s.broken != nil {
		return
	}
	s.broken = why
	if s.opts.Broken != nil {
		s.opts.Broken(why)
	}
}

// Lane opens a committer. All lanes of a SQLite home share its one connection
// for writing, so a second one gains nothing.
func (s *SQLite) Lane(context.Context) (book.Lane, error) {
	return &sqliteLane{s: s, c: s.writer, tables: sqliteTables()}, nil
}

// outcome puts an error of SQLite into the book's words.
func outcome(err error) error {
	var e *sqliteError
	if !errors.As(err, &e) {
		return err
	}
	switch e.code {
	case sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return fmt.Errorf("%w: %w", book.ErrConflict, err)
	}
	switch e.primary() {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%w: %w", book.ErrConflict, err)
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE:
		return &book.DataError{Err: err}
	}
	return err
}
