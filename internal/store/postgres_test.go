package store_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/limit"
	"aorta/internal/payment"
	"aorta/internal/store"
	"aorta/internal/store/storetest"

	"github.com/jackc/pgx/v5"
)

func TestTwoLanesOnTheSameRows(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	m := new(minter)
	first, second := lane(t, db), lane(t, db)
	there := rows(m, 1, 0)
	mustWrite(t, first, m.batch(), there)
	keys := keysOf(there)

	// A later load does not wait for locks.
	begin(t, first, m.batch(), keys)
	begin(t, second, m.batch(), &book.Keys{})
	if _, err := second.Load(t.Context(), keys); !errors.Is(err, book.ErrConflict) {
		t.Errorf("Load of rows that another lane holds = %v, want ErrConflict", err)
	}

	// The first one does, and sees what the other wrote.
	done, batch := make(chan error), m.batch()
	go func() {
		f, err := second.Begin(t.Context(), batch, id.Batch{}, keys)
		if err == nil && (len(f.Accounts) != 3 || f.Accounts[0].Version != 2) {
			err = fmt.Errorf("found accounts %v, want three at version 2", f.Accounts)
		}
		second.Abort(t.Context())
		done <- err
	}()
	select {
	case err := <-done:
		t.Errorf("Begin with rows that another lane holds came back: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	if err := first.Commit(t.Context(), updates(m, there, 1, 1)); err != nil {
		t.Errorf("Commit: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("Begin after the other lane's commit: %v", err)
	}
}

// Windows may be read without a lock: another lane's is neither waited for nor met. What
// was read so holds only as long as its version does.
func TestReadWithoutALock(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	m := new(minter)
	first, second := lane(t, db), lane(t, db)
	there := rows(m, 1, 0)
	mustWrite(t, first, m.batch(), there)
	all := keysOf(there)
	keys := &book.Keys{Windows: all.Windows, Unlocked: true}
	unlocked := func(f *book.Found, err error) {
		t.Helper()
		if err != nil || len(f.Windows) != 3 || f.Windows[0].Version != 1 {
			t.Fatalf("windows that another lane holds: %v, %v; want three at version 1", f, err)
		}
	}
	begin(t, first, m.batch(), all)
	unlocked(second.Begin(t.Context(), m.batch(), id.Batch{}, keys))
	unlocked(second.Load(t.Context(), keys))
	if err := first.Commit(t.Context(), updates(m, there, 1, 1)); err != nil { // nor is it held up by the reader
		t.Fatalf("Commit: %v", err)
	}
	c := book.Changes{Windows: book.Change[limit.Window, id.Window]{Check: []book.StoredKey[id.Window]{{Key: all.Windows[1], Version: 1}}}}
	if err := second.Commit(t.Context(), &c); !errors.Is(err, book.ErrConflict) {
		t.Errorf("Commit after what was read without a lock was changed = %v, want ErrConflict", err)
	}
	keys.Unlocked = false
	begin(t, first, m.batch(), all)
	begin(t, second, m.batch(), &book.Keys{})
	if _, err := second.Load(t.Context(), keys); !errors.Is(err, book.ErrConflict) {
		t.Errorf("Load, with a lock, of windows that another lane holds = %v, want ErrConflict", err)
	}
}

func TestTwoLanesMakeTheSameRow(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	m := new(minter)
	first, second := lane(t, db), lane(t, db)
	var c book.Changes
	for n := range 200 {
		c.Refs.Insert = append(c.Refs.Insert, payment.Ref{RefKey: payment.RefKey{Scope: "s", Text: fmt.Sprint(n)}, Target: m.raw(0)})
	}
	backwards := clone(&c)
	for i, j := 0, len(backwards.Refs.Insert)-1; i < j; i, j = i+1, j-1 {
		backwards.Refs.Insert[i], backwards.Refs.Insert[j] = backwards.Refs.Insert[j], backwards.Refs.Insert[i]
	}
	begin(t, first, m.batch(), &book.Keys{})
	begin(t, second, m.batch(), &book.Keys{})
	errs := make(chan error, 2)
	go func() { errs <- first.Commit(t.Context(), clone(&c)) }()
	go func() { errs <- second.Commit(t.Context(), backwards) }()
	a, b := <-errs, <-errs
	if a != nil {
		a, b = b, a
	}
	if a != nil || !errors.Is(b, book.ErrConflict) {
		t.Errorf("two Commits of the same refs = %v, %v; want nil and ErrConflict", a, b)
	}
}

func TestBeginOfACommitUnderWayWaits(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	m := new(minter)
	first, second := lane(t, db), lane(t, db)
	batch := m.batch()
	begin(t, first, batch, &book.Keys{})
	done := make(chan error)
	go func() {
		_, err := second.Begin(t.Context(), batch, id.Batch{}, &book.Keys{})
		done <- err
	}()
	select {
	case err := <-done:
		t.Errorf("Begin of a batch that is under way came back: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	if err := first.Commit(t.Context(), rows(m, 1, 0)); err != nil {
		t.Errorf("Commit: %v", err)
	}
	if err := <-done; !errors.Is(err, book.ErrCommitted) {
		t.Errorf("Begin of a batch that was committed meanwhile = %v, want ErrCommitted", err)
	}
}

func TestKilledConnection(t *testing.T) {
	t.Parallel()
	dsn := storetest.Database(t)
	db := storetest.OpenPostgres(t, dsn)
	m := new(minter)
	l := lane(t, db)
	mustWrite(t, l, m.batch(), rows(m, 1, 0))

	kill(t, dsn) // between batches: nobody notices
	mustWrite(t, l, m.batch(), rows(m, 1, 1))

	begin(t, l, m.batch(), &book.Keys{})
	kill(t, dsn) // before a load: nothing happened
	if _, err := l.Load(t.Context(), keysOf(rows(m, 1, 2))); err == nil || errors.Is(err, book.ErrLost) || errors.Is(err, book.ErrConflict) {
		t.Errorf("Load on a killed connection = %v, want an error that is no answer", err)
	}

	batch, c := m.batch(), rows(m, 1, 3)
	begin(t, l, batch, &book.Keys{})
	kill(t, dsn) // before a commit: nobody can know
	if err := l.Commit(t.Context(), c); !errors.Is(err, book.ErrLost) {
		t.Errorf("Commit on a killed connection = %v, want ErrLost", err)
	}
	if err := write(t, l, batch, c); err != nil {
		t.Errorf("the same batch again: %v, want nil: it was not committed", err)
	}
}

// A machine that is gone in the middle of a trip leaves its locks with a server
// that waits for the rest. No timeout of PostgreSQL's ends that, only TCP does.
func TestGoneMachineIsNoticed(t *testing.T) {
	t.Parallel()
	cfg, err := pgx.ParseConfig(storetest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(cfg.RuntimeParams, store.LaneSettings())
	c, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer c.Close(context.Background())
	var idle, interval, count int
	err = c.QueryRow(t.Context(), `SELECT current_setting('tcp_keepalives_idle')::int, current_setting('tcp_keepalives_interval')::int,
		current_setting('tcp_keepalives_count')::int`).Scan(&idle, &interval, &count)
	if after := idle + interval*count; err != nil || after == 0 || after > 15 {
		t.Errorf("a machine that is gone is noticed after %d s (0: never asked), %v; want 15 at most", after, err)
	}
}

// kill ends all lanes' connections to a database, as a failover does.
func kill(t *testing.T, dsn string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer c.Close(t.Context())
	_, err = c.Exec(t.Context(), `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'aorta lane'`)
	if err != nil {
		t.Fatalf("pg_terminate_backend: %v", err)
	}
}

func TestServerThatIsAway(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	db, err := store.OpenPostgres(t.Context(), "postgres://nobody@"+l.Addr().String()+"/none", store.Options{Timeout: time.Second})
	if err != nil {
		t.Fatalf("OpenPostgres = %v, want nil: it does not connect", err)
	}
	defer db.Close()
	ln := lane(t, db)
	_, err = ln.Begin(t.Context(), new(minter).batch(), id.Batch{}, &book.Keys{})
	if err == nil || errors.Is(err, book.ErrLost) || errors.Is(err, book.ErrConflict) {
		t.Errorf("Begin = %v, want an error that is no answer", err)
	}
	if err := db.Ready(t.Context()); err == nil {
		t.Error("Ready = nil, want an error")
	}
}

// Every act is written exactly once, though the answers to some COMMITs are
// lost: the number that each caller got is its own, and the sum is right.
func TestLostCommits(t *testing.T) {
	t.Parallel()
	dsn := storetest.Database(t)
	c, through := storetest.NewCutter(t, dsn)
	db := storetest.OpenPostgres(t, through)
	b, err := book.New(t.Context(), []book.Home{{Store: db, Lanes: 2}}, book.Options{Pressing: 1, Now: time.Now, Random: rand.Reader, Epoch: 1})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	defer b.Close()

	const callers, each, cuts = 16, 60, 40
	var mu sync.Mutex
	got := map[string]bool{}
	var done sync.WaitGroup
	for caller := range callers {
		done.Go(func() {
			for range each {
				a := ledger.Open(id.Bucket(caller%4), "counter", ledger.Clearing, "INR")
				n, err := book.Do(t.Context(), b, increment(a))
				name := fmt.Sprint(a.ID.Bucket(), " at ", n)
				mu.Lock()
				if err != nil || got[name] {
					t.Errorf("Do = %s, %v; want a number that nobody else got", name, err)
				}
				got[name] = true
				mu.Unlock()
			}
		})
	}
	ended := make(chan struct{})
	go func() { done.Wait(); close(ended) }()
	for n := range cuts {
		c.Cut([]storetest.Cut{storetest.CutBefore, storetest.CutAfter}[n%2], ended)
	}
	<-ended
	t.Logf("%d COMMITs were cut", c.Before()+c.After())
	if got := c.Before() + c.After(); got < 20 {
		t.Errorf("only %d COMMITs were cut, want 20 at least", got)
	}
	sum := int64(0)
	list, err := db.ScanAccounts(t.Context(), id.Account{}, 100)
	if err != nil {
		t.Fatalf("ScanAccounts: %v", err)
	}
	for _, a := range list {
		sum += a.Minor
	}
	if sum != callers*each {
		t.Errorf("the counters are at %d together, want %d", sum, callers*each)
	}
}

// increment is an act that adds one to an account.
func increment(a ledger.Account) book.Act[int64] {
	return book.Act[int64]{Name: "test.increment", Bucket: a.ID.Bucket(), Decide: func(p *book.Page) (int64, error) {
		have, ok := p.Accounts.Get(a.ID)
		if !ok {
			have = a
		}
		have.Minor++
		p.Accounts.Put(have)
		return have.Minor, nil
	}}
}

// Two processes write the same rows through books of their own.
func TestTwoProcessesOnTheSameRows(t *testing.T) {
	t.Parallel()
	dsn := storetest.Database(t)
	var wg sync.WaitGroup
	const books, callers, each, rows = 2, 8, 40, 3
	for n := range books {
		db := storetest.OpenPostgres(t, dsn)
		b, err := book.New(t.Context(), []book.Home{{Store: db, Lanes: 2}}, book.Options{Pressing: 1, Now: time.Now, Random: rand.Reader, Epoch: int64(n + 1)})
		if err != nil {
			t.Fatalf("New: %v", err)
		}
		defer b.Close()
		for caller := range callers {
			wg.Go(func() {
				for i := range each {
					a := ledger.Open(id.Bucket((caller+i)%rows), "counter", ledger.Clearing, "INR")
					if _, err := book.Do(context.WithoutCancel(t.Context()), b, increment(a)); err != nil {
						t.Errorf("Do: %v", err)
					}
				}
			})
		}
	}
	wg.Wait()
	db := storetest.OpenPostgres(t, dsn)
	list, err := db.ScanAccounts(t.Context(), id.Account{}, 100)
	if err != nil {
		t.Fatalf("ScanAccounts: %v", err)
	}
	sum := int64(0)
	for _, a := range list {
		sum += a.Minor
	}
	if sum != books*callers*each || len(list) != rows {
		t.Errorf("%d counters are at %d together, want %d at %d", len(list), sum, rows, books*callers*each)
	}
}

// Two processes change windows by what others say, which they read without a lock: of two
// that may not both be taken, never are both.
func TestTwoProcessesOnTheSameWindows(t *testing.T) {
	t.Parallel()
	dsn := storetest.Database(t)
	const books, callers, each, pairs = 2, 8, 30, 3
	window := func(n int) limit.Window {
		w := limit.Window{Kind: limit.Deposits, Currency: "EUR", Customer: customer.KeyOf(1, "shop", fmt.Sprint(n))}
		w.ID = limit.WindowID(w.Customer, w.Kind, w.Currency)
		return w
	}
	read := func(p *book.Page, w limit.Window) limit.Window {
		if was, ok := p.Windows.Get(w.ID); ok {
			return was
		}
		return w
	}
	// take takes one of a pair if none is; free frees it.
	take := func(own, other limit.Window) book.Act[bool] {
		return book.Act[bool]{Name: "test.take", Bucket: 1, Decide: func(p *book.Page) (bool, error) {
			a, b := read(p, own), read(p, other)
			if a.SinceMinor != 0 && b.SinceMinor != 0 {
				return false, errors.New("both are taken")
			}
			if a.SinceMinor != 0 || b.SinceMinor != 0 {
				return false, nil
			}
			a.SinceMinor = 1
			a.EverMinor++
			p.Windows.Put(a)
			return true, nil
		}}
	}
	free := func(own limit.Window) book.Act[bool] {
		return book.Act[bool]{Name: "test.free", Bucket: 1, Decide: func(p *book.Page) (bool, error) {
			a := read(p, own)
			a.SinceMinor = 0
			p.Windows.Put(a)
			return true, nil
		}}
	}
	var wg sync.WaitGroup
	var taken atomic.Int64
	for n := range books {
		db := storetest.OpenPostgres(t, dsn)
		b, err := book.New(t.Context(), []book.Home{{Store: db, Lanes: 2}}, book.Options{Pressing: 1, Now: time.Now, Random: rand.Reader, Epoch: int64(n + 1)})
		if err != nil {
			t.Fatalf("New: %v", err)
		}
		defer b.Close()
		if n == 0 { // what is absent nobody can hold
			_, err := book.Do(t.Context(), b, book.Act[bool]{Name: "test.make", Bucket: 1, Decide: func(p *book.Page) (bool, error) {
				for n := range 2 * pairs {
					p.Windows.Put(read(p, window(n)))
				}
				return true, nil
			}})
			if err != nil {
				t.Fatal(err)
			}
		}
		do := func(a book.Act[bool]) bool {
			got, err := book.Do(context.WithoutCancel(t.Context()), b, a)
			if err != nil {
				t.Errorf("Do: %v", err)
			}
			return got
		}
		for caller := range callers {
			wg.Go(func() {
				for i := range each {
					pair, side := (caller+i)%pairs, (caller+n)%2
					own, other := window(2*pair+side), window(2*pair+1-side)
					if do(take(own, other)) {
						taken.Add(1)
						do(free(own))
					}
				}
			})
		}
	}
	wg.Wait()
	sum := int64(0)
	list, err := storetest.OpenPostgres(t, dsn).ScanWindows(t.Context(), id.Window{}, 100)
	if err != nil {
		t.Fatalf("ScanWindows: %v", err)
	}
	for _, w := range list {
		sum += w.EverMinor
	}
	if sum != taken.Load() || sum == 0 {
		t.Errorf("the windows were taken %d times, as they say %d", taken.Load(), sum)
	}
}
