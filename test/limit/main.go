// Limit measures the bare limit of a store: what `aorta bench --core` could do
// at most if Aorta were nothing.
//
// It writes the rows that the core bench writes (same tables and indexes, same
// columns with values of the same sizes, the inserts, updates and deletes of a
// payment's three acts), as durably, in batches of the same size and from as
// many committers, and does nothing else: it loads nothing, locks nothing,
// checks no version, decides nothing and makes no JSON. It shares no code with
// package store but the migration. What it writes is no book: verify would
// refuse it.
//
//	go run ./test/limit --data DIR --batch 330 --duration 20s --json
//	go run ./test/limit --database postgres://… --batch 230 --json
//
// Give --batch what the core bench said of its own batches (acts_per_batch, or
// batch_deciles for all of their spread).
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"aorta/internal/id"
	"aorta/internal/store"
)

// options are the flags.
type options struct {
	data, database string
	batches        []int
	callers        int
	duration       time.Duration
}

// result is what --json prints.
type result struct {
	PaymentsPerSecond float64 `json:"payments_per_second"`
	Store             string  `json:"store"`
	Lanes             int     `json:"lanes"`
	Payments          int64   `json:"payments"` // within the duration
	Stored            int64   `json:"stored_payments"`
	DurationS         float64 `json:"duration_s"`
	ActsPerBatch      float64 `json:"acts_per_batch"`
	P50MS             float64 `json:"p50_ms"` // of a payment's three acts, one after another
	P99MS             float64 `json:"p99_ms"`
}

// committer writes batches on a connection of its own.
type committer interface {
	// open makes the accounts.
	open(ctx context.Context, s *source) error
	// commit writes the source's batch at hand under the id batch, and deletes the row of the batch before.
	commit(ctx context.Context, s *source, batch, before id.Raw) error
	close()
}

func main() {
	o, asJSON, err := parse(os.Args[1:])
	if err == nil {
		var r result
		if r, err = run(context.Background(), o); err == nil && asJSON {
			err = json.NewEncoder(os.Stdout).Encode(r)
		} else if err == nil {
			fmt.Printf("%s: %.0f payments/s from %d lanes, %.0f acts a batch\n", r.Store, r.PaymentsPerSecond, r.Lanes, r.ActsPerBatch)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "limit:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, bool, error) {
	var o options
	f := flag.NewFlagSet("limit", flag.ContinueOnError)
	f.StringVar(&o.data, "data", "", "directory for a SQLite database")
	f.StringVar(&o.database, "database", "", "PostgreSQL address of an empty database, instead of --data")
	batches := f.String("batch", "330", "acts per batch, or several sizes with commas between, taken in turn")
	f.IntVar(&o.callers, "callers", 512, "payments under way")
	f.DurationVar(&o.duration, "duration", 20*time.Second, "how long to measure")
	asJSON := f.Bool("json", false, "print the result as one line of JSON")
	if err := f.Parse(args); err != nil {
		return o, false, err
	}
	for text := range strings.SplitSeq(*batches, ",") {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || n < 1 || n > 10_000 {
			return o, false, fmt.Errorf("--batch: %q is not a size of 1 to 10000 acts", text)
		}
		o.batches = append(o.batches, int(n+0.5))
	}
	if (o.data == "") == (o.database == "") || o.duration <= 0 || o.callers < 2 || f.NArg() > 0 {
		return o, false, errors.New("give --data or --database, a positive --duration, and two --callers or more")
	}
	return o, *asJSON, nil
}

// run migrates, writes for the duration, and ends what was begun.
func run(ctx context.Context, o options) (result, error) {
	lanes, name, connect, err := place(ctx, o)
	if err != nil {
		return result{}, err
	}
	var number, settled, stored, acts, batches atomic.Int64
	prefix := "1-" + strings.ToUpper(strconv.FormatInt(time.Now().UnixMicro()%1e9+1e9, 36)[:6])
	committers := make([]committer, lanes)
	sources := make([]*source, lanes)
	for n := range lanes {
		if committers[n], err = connect(ctx); err != nil {
			return result{}, err
		}
		defer committers[n].close()
		sources[n] = newSource(rand.Uint64(), prefix, n, lanes, o.callers/lanes, func() int64 { return number.Add(1) })
		if err := committers[n].open(ctx, sources[n]); err != nil {
			return result{}, fmt.Errorf("open accounts: %w", err)
		}
	}
	begun := time.Now()
	failures := make([]error, lanes)
	times := make([]*hdrhistogram.Histogram, lanes)
	for n := range times {
		times[n] = hdrhistogram.New(1, time.Minute.Microseconds(), 3)
	}
	var wg sync.WaitGroup
	for n := range lanes {
		wg.Go(func() {
			var last id.Raw
			s := sources[n]
			for k := 0; len(s.waiting) > 0; k++ { // what was begun is ended: as many rows of each table as of a bench
				now := time.Now()
				batch := s.mint.Mint(now, 0)
				ends := int64(s.batch(o.batches[k%len(o.batches)], now))
				if err := committers[n].commit(ctx, s, batch, last); err != nil {
					failures[n] = fmt.Errorf("commit: %w", err)
					return
				}
				last = batch
				stored.Add(ends)
				measured := time.Since(begun) < o.duration
				if measured {
					settled.Add(ends)
					batches.Add(1)
					acts.Add(int64(len(s.steps[0]) + len(s.steps[1]) + len(s.steps[2])))
				}
				s.written(time.Now(), measured, func(took time.Duration) { _ = times[n].RecordValue(took.Microseconds()) })
			}
		})
	}
	wg.Wait()
	if err := errors.Join(failures...); err != nil {
		return result{}, err
	}
	for _, h := range times[1:] {
		times[0].Merge(h)
	}
	return result{
		P50MS: float64(times[0].ValueAtQuantile(50)) / 1000, P99MS: float64(times[0].ValueAtQuantile(99)) / 1000,
		PaymentsPerSecond: float64(settled.Load()) / o.duration.Seconds(), Store: name, Lanes: lanes, Payments: settled.Load(),
		Stored: stored.Load(), DurationS: o.duration.Seconds(), ActsPerBatch: float64(int64(100*float64(acts.Load())/float64(max(batches.Load(), 1)))) / 100,
	}, nil
}

// place brings the schema to where the options say, and tells how to connect: one committer on SQLite, two on
// PostgreSQL, as `aorta bench` has.
func place(ctx context.Context, o options) (lanes int, name string, connect func(context.Context) (committer, error), err error) {
	var db store.DB
	if o.database != "" {
		lanes, name = 2, "postgres"
		connect = func(ctx context.Context) (committer, error) { return newPostgres(ctx, o.database) }
		db, err = store.OpenPostgres(ctx, o.database, store.Options{})
	} else {
		path := filepath.Join(o.data, "aorta.db")
		lanes, name = 1, "sqlite"
		connect = func(context.Context) (committer, error) { return newSQLite(path) }
		if err := os.MkdirAll(o.data, 0o700); err != nil {
			return 0, "", nil, fmt.Errorf("data directory: %w", err)
		}
		db, err = store.OpenSQLite(ctx, path, store.Options{})
	}
	if err != nil {
		return 0, "", nil, err
	}
	defer func() { _ = db.Close() }()
	if err := db.Migrate(ctx); err != nil {
		return 0, "", nil, fmt.Errorf("migrate: %w", err)
	}
	if rows, err := db.ScanPayments(ctx, id.Payment{}, 1); err != nil || len(rows) > 0 {
		return 0, "", nil, errors.Join(errors.New("the database must be empty: what a limit writes is no book"), err)
	}
	return lanes, name, connect, nil
}
