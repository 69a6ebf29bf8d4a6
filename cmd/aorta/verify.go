package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"aorta/internal/store"
	"aorta/internal/verify"
)

// verifyCmd checks every invariant of the stored money.
type verifyCmd struct {
	where
	JSON bool `help:"Print the report as one line of JSON." name:"json"`
	Live bool `help:"A server is at work on this database: work overdue by more than a minute is a violation too."`
}

// Run verifies. It reads one moment's rows, whether or not a server writes.
func (c verifyCmd) Run(ctx context.Context, s streams) error {
	var o verify.Options
	if c.Live {
		o.LiveUS = time.Now().UnixMicro()
	}
	report, err := c.verify(ctx, o)
	if err != nil {
		return err
	}
	if c.JSON {
		err = json.NewEncoder(s.out).Encode(report)
	} else {
		printReport(s, report)
	}
	if err == nil && !report.OK {
		err = errViolated
	}
	return err
}

func printReport(s streams, r verify.Report) {
	fmt.Fprintf(s.out, "%d payments, %d transfers, %d accounts\n", r.Payments, r.Transfers, r.Accounts)
	for _, v := range r.Violations {
		fmt.Fprintln(s.out, "VIOLATED:", v)
	}
	if r.OK {
		fmt.Fprintln(s.out, "every invariant holds")
	} else {
		fmt.Fprintf(s.out, "%d invariants are violated: keep a copy of the database before anything else\n", len(r.Violations))
	}
}

// verify checks the named database as it is now.
func (w where) verify(ctx context.Context, o verify.Options) (verify.Report, error) {
	snapshot, end, err := w.snapshot(ctx)
	if err != nil {
		return verify.Report{}, err
	}
	defer end()
	return verify.Run(ctx, snapshot, o)
}

// snapshot shows the named database as it is now. It neither makes a database
// nor changes one.
func (w where) snapshot(ctx context.Context) (*store.Snapshot, func(), error) {
	if w.Database == "" {
		path := w.sqlite()
		s, err := store.SnapshotSQLite(ctx, path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fmt.Errorf("there is no database %s: name the data directory by --data, or a PostgreSQL by --database", path)
		}
		if err != nil {
			return nil, nil, err
		}
		return s, func() { _ = s.Close() }, nil
	}
	db, err := store.OpenPostgres(ctx, w.Database, store.Options{})
	if err != nil {
		return nil, nil, err
	}
	if err := db.Ready(ctx); err != nil {
		_ = db.Close()
		return nil, nil, err
	}
	s, err := db.Snapshot(ctx)
	if err != nil {
		_ = db.Close()
		return nil, nil, err
	}
	return s, func() { _, _ = s.Close(), db.Close() }, nil
}

// sqlite is the database file in the data directory.
func (w where) sqlite() string { return filepath.Join(w.Data, "aorta.db") }
