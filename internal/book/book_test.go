package book_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/limit"
	"aorta/internal/payment"

	"github.com/prometheus/client_golang/prometheus"
)

// clock stands still until it is told to move.
type clock struct{ us atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.us.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixMicro())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMicro(c.us.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.us.Add(d.Microseconds()) }

// dice is randomness that a test can repeat.
type dice struct{ src *rand.ChaCha8 }

func newDice() *dice { return &dice{rand.NewChaCha8([32]byte{1})} }

func (d *dice) Read(p []byte) (int, error) { return d.src.Read(p) }

func open(t *testing.T, opts book.Options, homes ...book.Home) *book.Book {
	t.Helper()
	if opts.Now == nil {
		opts.Now = newClock().now
	}
	if opts.Random == nil {
		opts.Random = newDice()
	}
	if opts.Epoch == 0 {
		opts.Epoch = 1
	}
	b, err := book.New(t.Context(), homes, opts)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(b.Close)
	return b
}

// count is an act that adds one to an account and answers what it then is.
func count(a ledger.Account) book.Act[int64] {
	return book.Act[int64]{
		Name: "test.count", Bucket: a.ID.Bucket(),
		Decide: func(p *book.Page) (int64, error) {
			have, ok := p.Accounts.Get(a.ID)
			if !ok {
				have = a
			}
			have.Minor++
			p.Accounts.Put(have)
			return have.Minor, nil
		},
	}
}

func account(b id.Bucket, owner string) ledger.Account {
	return ledger.Open(b, owner, ledger.Clearing, "INR")
}

// stored is an account's sum as the store has it; 0 if it has none.
func stored(t *testing.T, m *book.Memory, a ledger.Account) int64 {
	t.Helper()
	all, err := m.ScanAccounts(t.Context(), id.Account{}, 1_000_000)
	if err != nil {
		t.Fatalf("ScanAccounts: %v", err)
	}
	for _, have := range all {
		if have.ID == a.ID {
			return have.Minor
		}
	}
	return 0
}

// gate holds a memory home at the beginning of a batch, so that acts gather.
type gate struct {
	in   chan struct{} // one for each batch that arrives
	pass chan struct{} // one lets a batch go on; closed: all
}

func newGate() *gate { return &gate{in: make(chan struct{}, 1000), pass: make(chan struct{})} }

func (g *gate) fail(s book.Step) book.Fault {
	if s == book.StepBegin {
		g.in <- struct{}{}
		<-g.pass
	}
	return book.FaultNone
}

// gather starts an act that holds the lane, then n acts that wait behind it,
// and lets all go on once they do. It answers when all have ended.
func gather(t *testing.T, b *book.Book, g *gate, lane id.Bucket, n int, act func(int)) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := book.Do(t.Context(), b, count(account(lane, "holds the lane"))); err != nil {
			t.Errorf("Do of the act that holds the lane: %v", err)
		}
	})
	<-g.in
	for i := range n {
		wg.Go(func() { act(i) })
	}
	waitUntil(t, func() bool { return book.Waiting(b) == n })
	close(g.pass)
	wg.Wait()
}

func waitUntil(t *testing.T, ok func() bool) {
	t.Helper()
	for range 10_000 {
		if ok() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("waited ten seconds in vain")
}

func TestConcurrentActsAreCommittedTogether(t *testing.T) {
	t.Parallel()
	m, g := book.NewMemory(), newGate()
	commits := 0
	m.Fail = func(s book.Step) book.Fault {
		if s == book.StepCommit {
			commits++
		}
		return g.fail(s)
	}
	b := open(t, book.Options{}, book.Home{Store: m, Lanes: 1})
	a := account(3, "psp")
	var mu sync.Mutex
	answers := map[int64]bool{}
	const n = 200
	gather(t, b, g, 3, n, func(int) {
		v, err := book.Do(t.Context(), b, count(a))
		mu.Lock()
		defer mu.Unlock()
		if err != nil || answers[v] {
			t.Errorf("Do = %d, %v; want a number that nobody else got", v, err)
		}
		answers[v] = true
	})
	if got := stored(t, m, a); got != n {
		t.Errorf("the account is at %d after %d acts", got, n)
	}
	if commits != 2 { // the holder's, and one for all
		t.Errorf("%d acts took %d commits, want 2 with the first", n, commits)
	}
}

func TestFailedActLeavesNoTrace(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{false, true} {
		m, g := book.NewMemory(), newGate()
		m.Fail = g.fail
		b := open(t, book.Options{}, book.Home{Store: m, Lanes: 1, Keep: keep})
		shared, own := account(1, "shared"), account(1, "own")
		errRefused := errors.New("refused")
		var made id.Payment
		const n = 40
		gather(t, b, g, 1, n, func(i int) {
			if i%2 == 0 {
				if _, err := book.Do(t.Context(), b, count(shared)); err != nil {
					t.Errorf("Do beside failing acts: %v", err)
				}
				return
			}
			_, err := book.Do(t.Context(), b, book.Act[bool]{Name: "test.fail", Bucket: 1, Decide: func(p *book.Page) (bool, error) {
				for _, a := range []ledger.Account{shared, own} {
					have, ok := p.Accounts.Get(a.ID)
					if !ok {
						have = a
					}
					have.Minor += 1000
					p.Accounts.Put(have)
				}
				made = id.Payment(p.Mint())
				p.Payments.New(payment.Payment{ID: made})
				p.Events.Append(event.Event{ID: id.Event(p.Mint())})
				p.Accounts.Delete(shared.ID)
				return true, errRefused
			}})
			if !errors.Is(err, errRefused) {
				t.Errorf("Do of a failing act = %v, want its own error", err)
			}
		})
		if got := stored(t, m, shared); got != n/2 {
			t.Errorf("keep=%v: the shared account is at %d, want %d", keep, got, n/2)
		}
		if got := stored(t, m, own); got != 0 {
			t.Errorf("keep=%v: failing acts left %d on an account of their own", keep, got)
		}
		if _, ok, _ := m.Payment(t.Context(), made); ok {
			t.Errorf("keep=%v: a failing act left a payment", keep)
		}
		if events, _ := m.ScanEvents(t.Context(), id.Event{}, 10); len(events) > 0 {
			t.Errorf("keep=%v: failing acts left events", keep)
		}
	}
}

// A row that an act touches before it finds another one missing is touched
// again when the act runs anew; it must still be written once.
func TestMissingRowsRunTheActAgain(t *testing.T) {
	t.Parallel()
	m := book.NewMemory()
	var b *book.Book // a new one each time, which has kept no row
	random := newDice()
	const rows = 10
	runs := 0
	chain := book.Act[int]{Name: "test.chain", Bucket: 2, Decide: func(p *book.Page) (int, error) {
		runs++
		for i := range rows {
			a := account(2, fmt.Sprint("link ", i))
			have, ok := p.Accounts.Get(a.ID)
			if !ok {
				have = a
			}
			have.Minor++
			p.Accounts.Put(have)
		}
		return runs, nil
	}}
	for try := range int64(3) {
		b, runs = open(t, book.Options{Random: random}, book.Home{Store: m, Lanes: 1}), 0
		got, err := book.Do(t.Context(), b, chain)
		if err != nil || got != rows+1 {
			t.Errorf("Do = %d, %v; want the answer of run %d", got, err, rows+1)
		}
		for i := range rows {
			if got := stored(t, m, account(2, fmt.Sprint("link ", i))); got != try+1 {
				t.Errorf("link %d is at %d after %d acts", i, got, try+1)
			}
		}
	}
	b = open(t, book.Options{Random: random}, book.Home{Store: m, Lanes: 1})
	runs = 0
	chain.Hint = func(p *book.Page) {
		for i := range rows {
			p.Accounts.Get(account(2, fmt.Sprint("link ", i)).ID)
		}
	}
	if got, err := book.Do(t.Context(), b, chain); err != nil || got != 1 {
		t.Errorf("Do with a hint = %d, %v; want the answer of the first run", got, err)
	}
}

// Two processes with two lanes each write the same rows of a shared home in
// memory: versions alone must keep what each has added.
func TestSharedMemoryLosesNothing(t *testing.T) {
	t.Parallel()
	m := book.NewMemory()
	m.Shared = true
	const callers, each = 16, 25
	var wg sync.WaitGroup
	for process := range byte(2) {
		random := &dice{rand.NewChaCha8([32]byte{process})}
		b := open(t, book.Options{Random: random, Pressing: 1, MaxRetries: 1000}, book.Home{Store: m, Lanes: 2})
		for n := range callers {
			wg.Go(func() {
				a := account(id.Bucket(n%2), "x")
				for range each {
					if _, err := book.Do(t.Context(), b, count(a)); err != nil {
						t.Errorf("Do: %v", err)
					}
				}
			})
		}
	}
	wg.Wait()
	for n := range id.Bucket(2) {
		if got := stored(t, m, account(n, "x")); got != callers*each {
			t.Errorf("account of bucket %d is at %d, want %d", n, got, callers*each)
		}
	}
}

// A lane keeps rows that others may change meanwhile. Whatever an act reads, be
// it to write it, to write another row or to answer, is as it is in the end.
func TestKeptRowsAreChecked(t *testing.T) {
	t.Parallel()
	a, other := account(1, "x"), account(1, "y")
	read := func(p *book.Page) (int64, error) {
		r, ok := p.Accounts.Get(a.ID)
		if !ok {
			return -1, nil
		}
		return r.Minor, nil
	}
	tests := []struct {
		name   string
		decide func(*book.Page) (int64, error)
	}{
		{name: "to answer", decide: read},
		{name: "to refuse", decide: func(p *book.Page) (int64, error) {
			v, _ := read(p)
			return v, fmt.Errorf("it is %d", v)
		}},
		{name: "to write another", decide: func(p *book.Page) (int64, error) {
			v, _ := read(p)
			o, ok := p.Accounts.Get(other.ID)
			if !ok {
				o = other
			}
			o.Minor = v
			p.Accounts.Put(o)
			return v, nil
		}},
		{name: "to delete", decide: func(p *book.Page) (int64, error) {
			v, _ := read(p)
			p.Accounts.Delete(a.ID)
			return v, nil
		}},
	}
	for _, test := range tests {
		for _, there := range []bool{false, true} {
			for _, hinted := range []bool{false, true} {
				t.Run(fmt.Sprint(test.name, ", there ", there, ", hinted ", hinted), func(t *testing.T) {
					t.Parallel()
					m := book.NewMemory()
					m.Shared = true
					mine := open(t, book.Options{}, book.Home{Store: m, Lanes: 1})
					theirs := open(t, book.Options{Random: &dice{rand.NewChaCha8([32]byte{7})}}, book.Home{Store: m, Lanes: 1})
					want := int64(1)
					if there {
						if _, err := book.Do(t.Context(), mine, count(a)); err != nil {
							t.Fatal(err)
						}
						want = 2
					} else if _, err := book.Do(t.Context(), mine, book.Act[int64]{Name: "test.absent", Bucket: 1, Decide: read}); err != nil {
						t.Fatal(err)
					}
					if _, err := book.Do(t.Context(), theirs, count(a)); err != nil {
						t.Fatal(err)
					}
					act := book.Act[int64]{Name: "test.read", Bucket: 1, Decide: test.decide}
					if hinted {
						act.Hint = func(p *book.Page) { p.Accounts.Get(a.ID) }
					}
					got, err := book.Do(t.Context(), mine, act)
					if test.name == "to refuse" {
						if err == nil || err.Error() != fmt.Sprintf("it is %d", want) {
							t.Errorf("Do answers %v, want it to know %d", err, want)
						}
					} else if got != want || err != nil {
						t.Errorf("Do = %d, %v; want %d", got, err, want)
					}
				})
			}
		}
	}
}

// While nobody else writes, a lane loads what it has written just now no second time.
func TestRowsAreKept(t *testing.T) {
	t.Parallel()
	m := &loads{Memory: book.NewMemory()}
	m.Shared = true
	c := newClock()
	b := open(t, book.Options{Now: c.now}, book.Home{Store: m, Lanes: 1})
	a := account(1, "x")
	for range 5 {
		if _, err := book.Do(t.Context(), b, count(a)); err != nil {
			t.Fatal(err)
		}
	}
	if n := m.accounts.Load(); n != 1 {
		t.Errorf("%d accounts were loaded by five acts on one, want 1", n)
	}
}

// Where a batch wants rows that its lane does not know, those of the kind that it knows
// are loaded with them, so that all are locked in one order; but not windows.
func TestRowsAreLoadedTogether(t *testing.T) {
	t.Parallel()
	m := &loads{Memory: book.NewMemory()}
	m.Shared = true
	b := open(t, book.Options{Now: newClock().now}, book.Home{Store: m, Lanes: 1})
	touch := func(names ...string) {
		t.Helper()
		_, err := book.Do(t.Context(), b, book.Act[int64]{Name: "test.touch", Bucket: 1, Decide: func(p *book.Page) (int64, error) {
			for _, name := range names {
				row := limit.Window{Kind: limit.Deposits, Currency: "EUR", Customer: customer.KeyOf(1, "shop", name)}
				row.ID = limit.WindowID(row.Customer, row.Kind, row.Currency)
				if was, ok := p.Windows.Get(row.ID); ok {
					row = was
				}
				row.ChangedUS++
				p.Windows.Put(row)
				if _, err := count(account(1, name)).Decide(p); err != nil {
					return 0, err
				}
			}
			return 0, nil
		}, Hint: func(p *book.Page) {
			for _, name := range names {
				p.Windows.Get(limit.WindowID(customer.KeyOf(1, "shop", name), limit.Deposits, "EUR"))
				p.Accounts.Get(account(1, name).ID)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	touch("ann")
	touch("ann", "ben")
	if n := m.accounts.Load(); n != 3 {
		t.Errorf("%d accounts were loaded, want Ann's, and then both", n)
	}
	if n := m.windows.Load(); n != 2 || m.locked.Load() != 0 {
		t.Errorf("%d windows were loaded, %d with a lock; want Ann's, and then Ben's, and none", n, m.locked.Load())
	}
}

// What an act reads without a lock may be changed by others before its batch is
// committed: then it is decided again, with its rows locked, whatever it makes of them.
func TestRowsReadWithoutALock(t *testing.T) {
	t.Parallel()
	w := limit.Window{Kind: limit.Deposits, Currency: "EUR", Customer: customer.KeyOf(1, "shop", "ann")}
	w.ID = limit.WindowID(w.Customer, w.Kind, w.Currency)
	change := func(p *book.Page) (int64, error) {
		row, ok := p.Windows.Get(w.ID)
		if !ok {
			row = w
		}
		row.EverMinor++
		p.Windows.Put(row)
		return row.EverMinor, nil
	}
	tests := []struct {
		name   string
		decide func(*book.Page) (int64, error)
	}{
		{"to change it", change},
		{"to refuse", func(p *book.Page) (int64, error) {
			row, _ := p.Windows.Get(w.ID)
			return 0, fmt.Errorf("it is %d", row.EverMinor+1)
		}},
		{"to write another", func(p *book.Page) (int64, error) {
			row, _ := p.Windows.Get(w.ID)
			a := account(1, "x")
			if was, ok := p.Accounts.Get(a.ID); ok {
				a = was
			}
			a.Minor = row.EverMinor + 1
			p.Accounts.Put(a)
			return a.Minor, nil
		}},
	}
	for _, test := range tests {
		for _, hinted := range []bool{false, true} {
			t.Run(fmt.Sprint(test.name, ", hinted ", hinted), func(t *testing.T) {
				t.Parallel()
				m := &loads{Memory: book.NewMemory()}
				m.Shared = true
				mine := open(t, book.Options{}, book.Home{Store: m, Lanes: 1})
				theirs := open(t, book.Options{Random: &dice{rand.NewChaCha8([32]byte{7})}}, book.Home{Store: m.Memory, Lanes: 1})
				other := func() {
					if _, err := book.Do(t.Context(), theirs, book.Act[int64]{Name: "test.other", Bucket: 1, Decide: change}); err != nil {
						t.Error(err)
					}
				}
				other()
				runs := 0
				act := book.Act[int64]{Name: "test.read", Bucket: 1, Decide: func(p *book.Page) (int64, error) {
					got, err := test.decide(p)
					if runs++; runs == 1 {
						other() // between reading and committing
					}
					return got, err
				}}
				if hinted {
					act.Hint = func(p *book.Page) { p.Windows.Get(w.ID); p.Accounts.Get(account(1, "x").ID) }
				}
				got, err := book.Do(t.Context(), mine, act)
				if test.name == "to refuse" {
					if err == nil || err.Error() != "it is 3" {
						t.Errorf("Do answers %v, want it to know what the other has changed", err)
					}
				} else if got != 3 || err != nil {
					t.Errorf("Do = %d, %v; want 3", got, err)
				}
				if runs != 2 || m.windows.Load() != 2 || m.locked.Load() != 1 {
					t.Errorf("it was decided %d times, with %d windows loaded, %d of them locked; want 2, 2 and 1", runs, m.windows.Load(), m.locked.Load())
				}
				m.windows.Store(0)
				m.locked.Store(0)
				if _, err := book.Do(t.Context(), mine, book.Act[int64]{Name: "test.after", Bucket: 1, Decide: change}); err != nil {
					t.Fatal(err)
				}
				if m.windows.Load() != 1 || m.locked.Load() != 1 {
					t.Errorf("after that %d windows were loaded, %d of them locked; want 1 and 1", m.windows.Load(), m.locked.Load())
				}
			})
		}
	}
}

// Where a batch only reads some windows, it holds those that it writes with them, all in
// the order of their keys: committers that wait would else wait for one another.
func TestWindowsAreHeldInOneOrder(t *testing.T) {
	t.Parallel()
	m := &loads{Memory: book.NewMemory()}
	m.Shared = true
	b := open(t, book.Options{Now: newClock().now}, book.Home{Store: m, Lanes: 1})
	var all []id.Window
	for n := range 8 {
		all = append(all, limit.WindowID(customer.KeyOf(1, "shop", fmt.Sprint(n)), limit.Deposits, "EUR"))
	}
	touch := func(change func(n int) bool) {
		t.Helper()
		_, err := book.Do(t.Context(), b, book.Act[int]{Name: "test.touch", Bucket: 1, Decide: func(p *book.Page) (int, error) {
			for n, k := range all {
				row, _ := p.Windows.Get(k)
				if row.ID = k; change(n) {
					row.ChangedUS++
					p.Windows.Put(row)
				}
			}
			return 0, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	touch(func(int) bool { return true })
	if len(m.held) != 0 {
		t.Errorf("%d windows are held that are only made", len(m.held))
	}
	touch(func(n int) bool { return n%2 == 0 })
	slices.SortFunc(all, id.Window.Compare)
	if !slices.Equal(m.held, all) {
		t.Errorf("held are %v, want all of %v", m.held, all)
	}
	touch(func(int) bool { return true })
	if len(m.held) != 0 {
		t.Errorf("%d windows are held although none is only read", len(m.held))
	}
}

// While others write the same rows, a lane loads rows of that kind before it reads
// them instead of being refused each time; rows of other kinds it still keeps. Once
// the others are silent it keeps all.
func TestRowsOfOthersAreLoadedFirst(t *testing.T) {
	t.Parallel()
	m := &loads{Memory: book.NewMemory()}
	m.Shared = true
	c := newClock()
	metrics := prometheus.NewRegistry()
	mine := open(t, book.Options{Now: c.now, Metrics: metrics}, book.Home{Store: m, Lanes: 1})
	theirs := open(t, book.Options{Now: c.now, Random: &dice{rand.NewChaCha8([32]byte{7})}}, book.Home{Store: m.Memory, Lanes: 1})
	a, own := account(1, "x"), customer.Customer{ID: customer.KeyOf(1, "shop", "ann")}
	sum := int64(0)
	pay := func() {
		t.Helper()
		c.advance(400 * time.Millisecond)
		sum++
		got, err := book.Do(t.Context(), mine, book.Act[int64]{Name: "test.pay", Bucket: 1, Decide: func(p *book.Page) (int64, error) {
			who, ok := p.Customers.Get(own.ID)
			if !ok {
				who = own
			}
			who.CreatedUS++
			p.Customers.Put(who)
			return count(a).Decide(p)
		}})
		if err != nil || got != sum {
			t.Fatalf("Do = %d, %v; want %d", got, err, sum)
		}
	}
	again := func() float64 { return metric(t, metrics, "aorta_book_batch_retries_total") }

	pay()
	for n := range 40 { // 16 s, longer than a lane is wary without a reason
		if _, err := book.Do(t.Context(), theirs, count(a)); err != nil {
			t.Fatal(err)
		}
		sum++
		before := m.customers.Load()
		pay()
		if loaded := m.customers.Load() - before; n > 0 && loaded != 0 {
			t.Errorf("turn %d loads the customer that nobody else has changed", n)
		}
	}
	if n := again(); n != 1 {
		t.Errorf("%v batches ran again, want the first alone", n)
	}
	for range 15 { // 6 s
		pay()
	}
	before := m.accounts.Load()
	pay()
	if n := m.accounts.Load() - before; n != 0 {
		t.Error("the account is loaded, though nobody else has changed it for six seconds")
	}
	if n := again(); n != 1 {
		t.Errorf("%v batches ran again, want the first alone", n)
	}
}

// A batch that is refused leaves nothing of what it had decided, not even in rows
// that its second run does not ask for.
func TestRefusedBatchIsForgotten(t *testing.T) {
	t.Parallel()
	m := &loads{Memory: book.NewMemory()}
	m.Shared = true
	c := newClock()
	mine := open(t, book.Options{Now: c.now}, book.Home{Store: m, Lanes: 1})
	theirs := open(t, book.Options{Now: c.now, Random: &dice{rand.NewChaCha8([32]byte{7})}}, book.Home{Store: m.Memory, Lanes: 1})
	a, b := account(1, "x"), account(1, "y")
	for _, act := range []book.Act[int64]{count(a), count(b)} {
		if _, err := book.Do(t.Context(), mine, act); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := book.Do(t.Context(), theirs, count(a)); err != nil { // to 2
		t.Fatal(err)
	}
	// Where x is 1, which it is not any more, y would be a thousand.
	if _, err := book.Do(t.Context(), mine, book.Act[int64]{Name: "test.either", Bucket: 1, Decide: func(p *book.Page) (int64, error) {
		x, _ := p.Accounts.Get(a.ID)
		if x.Minor == 1 {
			y, _ := p.Accounts.Get(b.ID)
			y.Minor = 1000
			p.Accounts.Put(y)
		}
		return x.Minor, nil
	}}); err != nil {
		t.Fatal(err)
	}
	for range 20 { // 10 s, after which a lane trusts what it knows
		c.advance(500 * time.Millisecond)
		if _, err := book.Do(t.Context(), mine, count(account(1, "z"))); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := book.Do(t.Context(), mine, count(b)); got != 2 || err != nil {
		t.Errorf("Do = %d, %v; want 2", got, err)
	}
}

// Batches that keep to a part of the buckets take both parts in turn, as long as
// both have something to do, and leave nothing behind.
func TestBatchesApart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		buckets []id.Bucket // odd: background
		want    [][]id.Bucket
	}{
		{name: "both parts", buckets: []id.Bucket{0, 2, 4, 6, 8, 10}, want: [][]id.Bucket{{2, 6, 10}, {0, 4, 8}}},
		{name: "one part", buckets: []id.Bucket{0, 4, 8}, want: [][]id.Bucket{{0, 4, 8}}},
		{name: "background", buckets: []id.Bucket{0, 1, 2, 3, 6}, want: [][]id.Bucket{{2, 6, 3}, {0, 1}}},
		{name: "background of the other part", buckets: []id.Bucket{2, 1, 6}, want: [][]id.Bucket{{2, 6}, {1}}},
	}
	for _, test := range tests {
		if got := book.TakenApart(test.buckets...); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %v are taken as %v, want %v", test.name, test.buckets, got, test.want)
		}
	}
}

// loads counts the accounts, customers and windows that are loaded, and the windows that are locked then.
type loads struct {
	*book.Memory
	accounts, customers, windows atomic.Int64
	locked                       atomic.Int64 // windows
	held                         []id.Window  // by the newest commit
}

func (l *loads) count(k *book.Keys) {
	l.accounts.Add(int64(len(k.Accounts)))
	l.customers.Add(int64(len(k.Customers)))
	l.windows.Add(int64(len(k.Windows)))
	if !k.Unlocked {
		l.locked.Add(int64(len(k.Windows)))
	}
}

func (l *loads) Lane(ctx context.Context) (book.Lane, error) {
	lane, err := l.Memory.Lane(ctx)
	return &countingLane{lane, l}, err
}

type countingLane struct {
	book.Lane
	l *loads
}

func (c *countingLane) Begin(ctx context.Context, batch, forget id.Batch, want *book.Keys) (*book.Found, error) {
	c.l.count(want)
	return c.Lane.Begin(ctx, batch, forget, want)
}

func (c *countingLane) Load(ctx context.Context, want *book.Keys) (*book.Found, error) {
	c.l.count(want)
	return c.Lane.Load(ctx, want)
}

func (c *countingLane) Commit(ctx context.Context, ch *book.Changes) error {
	c.l.held = c.l.held[:0]
	for _, k := range ch.Windows.Check {
		c.l.held = append(c.l.held, k.Key)
	}
	return c.Lane.Commit(ctx, ch)
}

func TestActMayNotLeaveItsBucket(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		do   func(*book.Page)
		want string // in the panic; empty: none
	}{
		{name: "read elsewhere", do: func(p *book.Page) { p.Accounts.Get(account(2, "x").ID) }, want: "touches"},
		{name: "put elsewhere", do: func(p *book.Page) { p.Accounts.Put(account(2, "x")) }, want: "touches"},
		{name: "new elsewhere", do: func(p *book.Page) { p.Accounts.New(account(2, "x")) }, want: "touches"},
		{name: "log elsewhere", do: func(p *book.Page) { p.Events.Append(event.Event{ID: id.Event(account(2, "x").ID)}) }, want: "touches"},
		{name: "put unread", do: func(p *book.Page) { p.Accounts.Put(account(1, "x")) }, want: "not read"},
		{name: "delete unread", do: func(p *book.Page) { p.Accounts.Delete(account(1, "x").ID) }, want: "not read"},
		{name: "new twice", do: func(p *book.Page) { p.Accounts.New(account(1, "x")); p.Accounts.New(account(1, "x")) }, want: "exists"},
		{name: "ref in another home", do: func(p *book.Page) { p.Refs.Get(payment.RefKey{Bucket: 3, Scope: "s", Text: "t"}) }, want: "another home"},
		{name: "ref in another bucket", do: func(p *book.Page) { p.Refs.Get(payment.RefKey{Bucket: 2, Scope: "s", Text: "t"}) }},
	}
	for _, tt := range tests {
		b := open(t, book.Options{Buckets: 4},
			book.Home{Store: book.NewMemory(), Buckets: []id.Bucket{0, 1, 2}}, book.Home{Store: book.NewMemory(), Buckets: []id.Bucket{3}})
		var got any
		_, err := book.Do(t.Context(), b, book.Act[bool]{Name: "test.stray", Bucket: 1, Decide: func(p *book.Page) (bool, error) {
			// Each panic but that of a missing row would stop the process.
			defer func() {
				if r := recover(); r != nil {
					if _, said := r.(string); !said {
						panic(r)
					}
					got = r
				}
			}()
			tt.do(p)
			return true, nil
		}})
		text, _ := got.(string)
		if err != nil || (tt.want == "") != (text == "") || !strings.Contains(text, tt.want) {
			t.Errorf("%s: panic %q, error %v; want a panic about %q", tt.name, text, err, tt.want)
		}
	}
}

func TestTwoHomes(t *testing.T) {
	t.Parallel()
	m0, m1 := book.NewMemory(), book.NewMemory()
	b := open(t, book.Options{Buckets: 2}, book.Home{Store: m0, Buckets: []id.Bucket{0}}, book.Home{Store: m1, Buckets: []id.Bucket{1}})
	if b.SameHome(0, 1) || !b.SameHome(1, 1) {
		t.Errorf("SameHome(0, 1), (1, 1) = %v, %v; want false, true", b.SameHome(0, 1), b.SameHome(1, 1))
	}
	key := b.RefKey("scope", "a name")
	here := []*book.Memory{m0, m1}[key.Bucket]
	first, second, third := b.Mint(0), b.Mint(1), b.Mint(0)
	if got, err := b.Reserve(t.Context(), key, first); err != nil || got != first {
		t.Errorf("Reserve = %v, %v; want %v", got, err, first)
	}
	if got, err := b.Reserve(t.Context(), key, second); err != nil || got != first {
		t.Errorf("second Reserve = %v, %v; want the owner %v", got, err, first)
	}
	if got, ok, err := here.FindRef(t.Context(), key); err != nil || !ok || got != first {
		t.Errorf("the ref's own home has %v, %v, %v; want %v", got, ok, err, first)
	}
	if got, err := b.Repoint(t.Context(), key, second, third); err != nil || got != first {
		t.Errorf("Repoint from another = %v, %v; want the owner %v", got, err, first)
	}
	if got, err := b.Repoint(t.Context(), key, first, third); err != nil || got != third {
		t.Errorf("Repoint = %v, %v; want %v", got, err, third)
	}
	if got, ok, err := b.Find(t.Context(), "scope", "a name"); err != nil || !ok || got != third {
		t.Errorf("Find = %v, %v, %v; want %v", got, ok, err, third)
	}
	if _, ok, err := b.Find(t.Context(), "scope", "another"); err != nil || ok {
		t.Errorf("Find of an unknown name = %v, %v; want false", ok, err)
	}
	// A home that is away leaves the other alone.
	m0.Fail = func(book.Step) book.Fault { return book.FaultAway }
	if _, err := book.Do(t.Context(), b, count(account(0, "x"))); !errors.Is(err, book.ErrNotRun) {
		t.Errorf("Do in the home that is away = %v, want ErrNotRun", err)
	}
	if _, err := book.Do(t.Context(), b, count(account(1, "x"))); err != nil {
		t.Errorf("Do in the other home = %v", err)
	}
}

func TestBucketsAreEachInOneHome(t *testing.T) {
	t.Parallel()
	for _, homes := range [][]book.Home{
		{{Store: book.NewMemory(), Buckets: []id.Bucket{0}}},
		{{Store: book.NewMemory()}, {Store: book.NewMemory(), Buckets: []id.Bucket{1}}},
		{{Store: book.NewMemory(), Buckets: []id.Bucket{0, 1, 2}}},
	} {
		if b, err := book.New(t.Context(), homes, book.Options{Buckets: 2, Now: newClock().now, Random: newDice()}); err == nil {
			b.Close()
			t.Errorf("New with %d homes = nil, want an error", len(homes))
		}
	}
}

func TestPressure(t *testing.T) {
	t.Parallel()
	m, g, c := book.NewMemory(), newGate(), newClock()
	m.Fail = g.fail
	b := open(t, book.Options{Now: c.now, MaxQueue: 5, MaxAge: time.Second}, book.Home{Store: m, Lanes: 1})
	a := account(0, "x")
	var wg sync.WaitGroup
	do := func() {
		wg.Go(func() {
			if _, err := book.Do(t.Context(), b, count(a)); err != nil {
				t.Errorf("Do of an act that was let in: %v", err)
			}
		})
	}
	do()
	<-g.in // the lane is busy with it
	do()
	waitUntil(t, func() bool { return book.Waiting(b) == 1 })
	c.advance(time.Second + time.Microsecond)
	if _, err := book.Do(t.Context(), b, count(a)); !errors.Is(err, book.ErrBusy) {
		t.Errorf("Do behind an act that waited too long = %v, want ErrBusy", err)
	}
	c.advance(-time.Second)
	for n := 2; n <= 5; n++ {
		do()
		waitUntil(t, func() bool { return book.Waiting(b) == n })
	}
	if _, err := book.Do(t.Context(), b, count(a)); !errors.Is(err, book.ErrBusy) {
		t.Errorf("Do behind five acts = %v, want ErrBusy", err)
	}
	// A caller who goes before its batch is taken has changed nothing.
	ctx, cancel := context.WithCancelCause(t.Context())
	errGone := errors.New("gone")
	close(g.pass)
	wg.Wait()
	g2 := newGate()
	m.Fail = g2.fail
	do()
	<-g2.in
	gone := make(chan error)
	go func() {
		_, err := book.Do(ctx, b, count(a))
		gone <- err
	}()
	waitUntil(t, func() bool { return book.Waiting(b) == 1 })
	cancel(errGone)
	if err := <-gone; !errors.Is(err, book.ErrNotRun) || !errors.Is(err, errGone) {
		t.Errorf("Do of a caller who went = %v, want ErrNotRun and why", err)
	}
	close(g2.pass)
	wg.Wait()
	if got := stored(t, m, a); got != 7 {
		t.Errorf("the account is at %d, want 7: those let in who stayed", got)
	}
}

// Little work is done in one lane, in few and large batches; under pressure
// each bucket's own lane takes it, for a while.
func TestLanesByPressure(t *testing.T) {
	t.Parallel()
	m, g, c := book.NewMemory(), newGate(), newClock()
	m.Fail = g.fail
	b := open(t, book.Options{Now: c.now, Pressing: 3}, book.Home{Store: m, Lanes: 2})
	want := func(when string, lanes ...int) {
		t.Helper()
		for bucket, lane := range lanes {
			if got := book.LaneFor(b, id.Bucket(bucket), c.now()); got != lane {
				t.Errorf("%s, bucket %d goes to lane %d, want %d", when, bucket, got, lane)
			}
		}
	}
	var wg sync.WaitGroup
	do := func() {
		wg.Go(func() {
			if _, err := book.Do(t.Context(), b, count(account(1, "x"))); err != nil {
				t.Errorf("Do: %v", err)
			}
		})
	}
	do()
	<-g.in // the first lane is busy with it, although the bucket prefers the second
	for n := 1; n <= 3; n++ {
		want("without pressure", 0, 0, 0, 0)
		do()
		waitUntil(t, func() bool { return book.Waiting(b) == n })
	}
	want("under pressure", 0, 1, 0, 1)
	close(g.pass)
	wg.Wait()
	want("soon after", 0, 1, 0, 1)
	c.advance(time.Second)
	want("later", 0, 0, 0, 0)
	g = newGate()
	m.Fail = g.fail
	do()
	<-g.in
	c.advance(300 * time.Millisecond)
	want("while the first lane stands still", 0, 1, 0, 1)
	c.advance(-time.Hour)
	close(g.pass)
	wg.Wait()
	want("after the clock was set back", 0, 0, 0, 0)
}

func TestBackgroundWaitsBehind(t *testing.T) {
	t.Parallel()
	m, g := book.NewMemory(), newGate()
	m.Fail = g.fail
	b := open(t, book.Options{MaxBatch: 8}, book.Home{Store: m, Lanes: 1})
	var order []string
	note := func(name string, background bool) book.Act[bool] {
		return book.Act[bool]{Name: name, Bucket: 0, Background: background, Decide: func(*book.Page) (bool, error) {
			order = append(order, name)
			return true, nil
		}}
	}
	gather(t, b, g, 0, 10, func(i int) {
		act := note("background", true)
		if i < 4 {
			act = note("interactive", false)
		}
		if _, err := book.Do(t.Context(), b, act); err != nil {
			t.Errorf("Do: %v", err)
		}
	})
	want := "interactive interactive interactive interactive background background"
	if got := strings.Join(order[:6], " "); got != want || len(order) != 10 {
		t.Errorf("%d acts ran, first %s; want 10, first %s", len(order), got, want)
	}
}

func TestConflictsAreTriedAgain(t *testing.T) {
	t.Parallel()
	for _, step := range []book.Step{book.StepBegin, book.StepLoad, book.StepCommit} {
		m := book.NewMemory()
		// A load that was refused is part of the next run's beginning, so each
		// act can be refused there only once.
		left := 3
		m.Fail = func(s book.Step) book.Fault {
			if s == step && left > 0 {
				left--
				return book.FaultConflict
			}
			return book.FaultNone
		}
		b := open(t, book.Options{}, book.Home{Store: m, Lanes: 1, Keep: step == book.StepCommit})
		a := account(0, "x")
		for n := range int64(3) {
			if got, err := book.Do(t.Context(), b, count(a)); err != nil || got != n+1 {
				t.Errorf("conflict at %s: Do = %d, %v; want %d", step, got, err, n+1)
			}
		}
		if got := stored(t, m, a); got != 3 || left != 0 {
			t.Errorf("conflict at %s: the account is at %d with %d conflicts left; want 3, 0", step, got, left)
		}
	}
}

// Locks may be held by one that stands still, and each run of a batch waits for
// them: it is given up in time for its answers, in whole, and so are the acts
// behind it.
func TestConflictsThatDoNotEnd(t *testing.T) {
	t.Parallel()
	const lockTimeout = 3 * time.Second
	m, c, g := book.NewMemory(), newClock(), newGate()
	var stuck atomic.Bool
	stuck.Store(true)
	m.Fail = func(s book.Step) book.Fault {
		if s != book.StepBegin || !stuck.Load() {
			return book.FaultNone
		}
		g.fail(s)
		c.advance(lockTimeout)
		return book.FaultConflict
	}
	b := open(t, book.Options{Now: c.now, MaxBatch: 2, Deadline: 20 * time.Second}, book.Home{Store: m, Lanes: 1})
	begun := c.now()
	var held, behind sync.WaitGroup
	do := func() {
		if _, err := book.Do(t.Context(), b, count(account(0, "x"))); !errors.Is(err, book.ErrNotRun) {
			t.Errorf("Do = %v, want ErrNotRun", err)
		}
	}
	held.Go(do)
	<-g.in
	for range 5 {
		behind.Go(do)
	}
	waitUntil(t, func() bool { return book.Waiting(b) == 5 })
	close(g.pass)
	held.Wait()
	behind.Wait()
	if took := c.now().Sub(begun); took > 20*time.Second+2*lockTimeout {
		t.Errorf("all were answered after %v, want the deadline of 20s and a run at most", took)
	}
	if b.Writing() {
		t.Error("Writing() = true while nothing can be written")
	}
	stuck.Store(false)
	if got, err := book.Do(t.Context(), b, count(account(0, "x"))); err != nil || got != 1 {
		t.Errorf("afterwards: Do = %d, %v; want 1", got, err)
	}
}

func TestBatchIsHalvedToTheCulprit(t *testing.T) {
	t.Parallel()
	m, g := book.NewMemory(), newGate()
	r := prometheus.NewRegistry()
	refuse := &refuser{Memory: m, text: "poison"}
	m.Fail = g.fail
	b := open(t, book.Options{Metrics: r}, book.Home{Store: refuse, Lanes: 1})
	a := account(0, "x")
	const n, culprit = 64, 37
	gather(t, b, g, 0, n, func(i int) {
		act := count(a)
		if i == culprit {
			act.Decide = func(p *book.Page) (int64, error) {
				p.Requests.Append(payment.Request{ID: p.Mint(), Body: refuse.text})
				return 0, nil
			}
		}
		_, err := book.Do(t.Context(), b, act)
		var data *book.DataError
		if i == culprit && (!errors.Is(err, book.ErrNotRun) || !errors.As(err, &data)) {
			t.Errorf("Do of the culprit = %v, want ErrNotRun and a *DataError", err)
		}
		if i != culprit && err != nil {
			t.Errorf("Do beside the culprit = %v", err)
		}
	})
	if got := stored(t, m, a); got != n-1 {
		t.Errorf("the account is at %d, want %d", got, n-1)
	}
	for name, want := range map[string]float64{"aorta_book_acts_unwritable_total": 1, "aorta_book_batch_halvings_total": 6} {
		if got := metric(t, r, name); got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
}

func metric(t *testing.T, r *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatalf("Gather: %v", err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// refuser is a home that refuses a text, as a database does a value that no
// door should have let in.
type refuser struct {
	*book.Memory
	text string
}

func (r *refuser) Lane(ctx context.Context) (book.Lane, error) {
	l, err := r.Memory.Lane(ctx)
	return &refusingLane{l, r}, err
}

type refusingLane struct {
	book.Lane
	r *refuser
}

func (l *refusingLane) Commit(ctx context.Context, c *book.Changes) error {
	for _, q := range c.Requests {
		if q.Body == l.r.text {
			l.Abort(ctx)
			return &book.DataError{Err: errors.New(q.Body)}
		}
	}
	return l.Lane.Commit(ctx, c)
}

func TestLostCommit(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{false, true} {
		for _, fault := range []book.Fault{book.FaultLostDone, book.FaultLostDead} {
			m := book.NewMemory()
			lost := true
			m.Fail = func(s book.Step) book.Fault {
				if s == book.StepCommit && lost {
					lost = false
					return fault
				}
				return book.FaultNone
			}
			var handed []due.Due
			b := open(t, book.Options{Work: func(d []due.Due) { handed = append(handed, d...) }},
				book.Home{Store: m, Lanes: 1, Keep: keep})
			a := account(0, "x")
			act := count(a)
			act.Decide = func(p *book.Page) (int64, error) {
				p.Due.New(due.Now(p.Mint(), due.Ask, p.NowUS(), p.Epoch(), nil))
				return count(a).Decide(p)
			}
			for n := range int64(3) {
				if got, err := book.Do(t.Context(), b, act); err != nil || got != n+1 {
					t.Errorf("%s, keep=%v: Do = %d, %v; want %d", fault, keep, got, err, n+1)
				}
			}
			b.Close()
			if got := stored(t, m, a); got != 3 {
				t.Errorf("%s, keep=%v: the account is at %d, want 3", fault, keep, got)
			}
			inStore, _ := m.ScanDue(t.Context(), id.Raw{}, 10)
			if len(handed) != 3 || len(inStore) != 3 {
				t.Errorf("%s, keep=%v: handed %d pieces of work, stored %d; want 3", fault, keep, len(handed), len(inStore))
			}
		}
	}
}

func TestLostCommitThatStaysUnknown(t *testing.T) {
	t.Parallel()
	// A conflict on the way to the answer is none of the batch: one that is run again for it is told that nothing happened.
	for _, fault := range []book.Fault{book.FaultAway, book.FaultConflict} {
		m, c := book.NewMemory(), newClock()
		var away atomic.Bool
		m.Fail = func(s book.Step) book.Fault {
			switch {
			case s == book.StepCommit && !away.Swap(true):
				return book.FaultLostDone
			case away.Load():
				c.advance(10 * time.Second)
				return fault
			}
			return book.FaultNone
		}
		b := open(t, book.Options{Now: c.now}, book.Home{Store: m, Lanes: 1})
		if _, err := book.Do(t.Context(), b, count(account(0, "x"))); !errors.Is(err, book.ErrUnknown) || errors.Is(err, book.ErrNotRun) || errors.Is(err, book.ErrConflict) {
			t.Errorf("%s: Do = %v, want ErrUnknown alone", fault, err)
		}
	}
}

// The transaction whose COMMIT had no answer may itself be what its question
// waits for: a server that waits for its standby, or stands still, keeps it open.
// That is a conflict by its name, and yet nothing may be run again: the
// transaction may end in success at any time.
func TestLostCommitThatIsStillUnderWay(t *testing.T) {
	t.Parallel()
	const lockTimeout = 3 * time.Second
	m, c, g := book.NewMemory(), newClock(), newGate()
	begins, commits := 0, 0
	m.Fail = func(s book.Step) book.Fault {
		if s == book.StepCommit {
			if commits++; commits == 2 {
				return book.FaultLostDone
			}
			return book.FaultNone
		}
		if s == book.StepBegin {
			begins++
		}
		switch {
		case s != book.StepBegin:
		case begins == 1:
			return g.fail(s) // so that the others are in one batch
		case commits == 2 && begins <= 10: // the first two, seven questions and one more
			c.advance(lockTimeout)
			return book.FaultConflict
		}
		return book.FaultNone
	}
	b := open(t, book.Options{Now: c.now, Deadline: 6 * lockTimeout, MaxRetries: 2}, book.Home{Store: m, Lanes: 1})
	a := account(0, "x")
	gather(t, b, g, 0, 2, func(int) {
		if _, err := book.Do(t.Context(), b, count(a)); !errors.Is(err, book.ErrUnknown) || errors.Is(err, book.ErrNotRun) {
			t.Errorf("Do = %v, want ErrUnknown", err)
		}
	})
	if got := stored(t, m, a); got != 2 {
		t.Errorf("the account is at %d, want 2: each act was written once", got)
	}
}

// Who queues up behind a batch whose fate nobody knows is told at once that
// nothing happened: that batch may stay in the dark for long.
func TestNobodyWaitsBehindALostCommit(t *testing.T) {
	t.Parallel()
	m := book.NewMemory()
	var away, back atomic.Bool
	lost := make(chan struct{})
	m.Fail = func(s book.Step) book.Fault {
		switch {
		case back.Load():
			return book.FaultNone
		case s == book.StepCommit && !away.Swap(true):
			close(lost)
			return book.FaultLostDone
		case away.Load():
			return book.FaultAway
		}
		return book.FaultNone
	}
	b := open(t, book.Options{}, book.Home{Store: m, Lanes: 1})
	a := account(0, "x")
	first := make(chan error, 1)
	go func() {
		_, err := book.Do(context.Background(), b, count(a))
		first <- err
	}()
	<-lost
	for range 3 {
		if _, err := book.Do(t.Context(), b, count(a)); !errors.Is(err, book.ErrNotRun) {
			t.Errorf("behind it: Do = %v, want ErrNotRun", err)
		}
		if b.Writing() {
			t.Error("Writing() = true while the store is away")
		}
	}
	back.Store(true)
	if err := <-first; err != nil {
		t.Errorf("the lost one: Do = %v, want its answer", err)
	}
	if got, err := book.Do(t.Context(), b, count(a)); err != nil || got != 2 || !b.Writing() {
		t.Errorf("afterwards: Do = %d, %v, Writing() = %t; want 2", got, err, b.Writing())
	}
}

func TestHomeThatIsAway(t *testing.T) {
	t.Parallel()
	for _, step := range []book.Step{book.StepBegin, book.StepLoad, book.StepCommit} {
		m := book.NewMemory()
		var away atomic.Bool
		away.Store(true)
		m.Fail = func(s book.Step) book.Fault {
			if s == step && away.Load() {
				return book.FaultAway
			}
			return book.FaultNone
		}
		b := open(t, book.Options{}, book.Home{Store: m, Lanes: 1, Keep: true})
		a := account(0, "x")
		if _, err := book.Do(t.Context(), b, count(a)); !errors.Is(err, book.ErrNotRun) || b.Writing() {
			t.Errorf("away at %s: Do = %v, Writing() = %t; want ErrNotRun, false", step, err, b.Writing())
		}
		away.Store(false)
		if got, err := book.Do(t.Context(), b, count(a)); err != nil || got != 1 || !b.Writing() {
			t.Errorf("back after %s: Do = %d, %v, Writing() = %t; want 1, true", step, got, err, b.Writing())
		}
	}
}

// Rows kept between batches must be what the store has, whatever happens.
func TestKeptRowsStayCoherent(t *testing.T) {
	t.Parallel()
	m := book.NewMemory()
	src := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	m.Fail = func(s book.Step) book.Fault {
		mu.Lock()
		defer mu.Unlock()
		if src.IntN(10) > 0 {
			return book.FaultNone
		}
		return []book.Fault{book.FaultConflict, book.FaultLostDone, book.FaultLostDead}[src.IntN(3)]
	}
	b := open(t, book.Options{}, book.Home{Store: m, Lanes: 1, Keep: true})
	const owners, acts = 20, 400
	errRefused := errors.New("refused")
	var want [owners]atomic.Int64
	var wg sync.WaitGroup
	for caller := range 16 {
		wg.Go(func() {
			src := rand.New(rand.NewPCG(3, uint64(caller)))
			for range acts {
				n, what := src.IntN(owners), src.IntN(10)
				a := account(id.Bucket(n), fmt.Sprint("owner ", n))
				_, err := book.Do(t.Context(), b, book.Act[bool]{Name: "test.any", Bucket: a.ID.Bucket(), Decide: func(p *book.Page) (bool, error) {
					have, ok := p.Accounts.Get(a.ID)
					if !ok {
						have = a
					}
					have.Minor++
					p.Accounts.Put(have)
					switch what {
					case 0:
						return false, errRefused
					case 1:
						if have.Minor == 1 {
							p.Accounts.Delete(a.ID) // made and removed in one act
							return false, nil
						}
					}
					return true, nil
				}})
				if what != 0 && err != nil {
					t.Errorf("Do: %v", err)
				}
				want[n].Add(1)
			}
		})
	}
	wg.Wait()
	for n := range owners {
		a := account(id.Bucket(n), fmt.Sprint("owner ", n))
		seen, err := book.Do(t.Context(), b, book.Act[int64]{Name: "test.read", Bucket: a.ID.Bucket(), Decide: func(p *book.Page) (int64, error) {
			have, _ := p.Accounts.Get(a.ID)
			return have.Minor, nil
		}})
		if got := stored(t, m, a); err != nil || got != seen || got == 0 {
			t.Errorf("%s: the book has %d, %v, the store %d; want the same, not 0", a.Owner, seen, err, got)
		}
	}
}

func TestKeptDueRowsCarryNothing(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{false, true} {
		var handed []due.Due
		b := open(t, book.Options{Work: func(d []due.Due) { handed = append(handed, d...) }},
			book.Home{Store: book.NewMemory(), Lanes: 1, Keep: keep})
		subject := b.Mint(0)
		put := book.Act[bool]{Name: "test.due", Bucket: 0, Decide: func(p *book.Page) (bool, error) {
			d, ok := p.Due.Get(subject)
			if ok && d.Carry != nil {
				return false, fmt.Errorf("carry %v came back", d.Carry)
			}
			p.Due.Put(due.Now(subject, due.Ask, p.NowUS(), p.Epoch(), "carried"))
			return ok, nil
		}}
		for range 2 {
			if _, err := book.Do(t.Context(), b, put); err != nil {
				t.Errorf("keep=%v: %v", keep, err)
			}
		}
		b.Close()
		if len(handed) != 2 || handed[0].Carry != "carried" || handed[1].Carry != "carried" {
			t.Errorf("keep=%v: handed %v, want two pieces of work with what they carry", keep, handed)
		}
	}
}

func TestWorkIsOnlyWhatThisProcessLeased(t *testing.T) {
	t.Parallel()
	var handed []due.Due
	m := book.NewMemory()
	b := open(t, book.Options{Epoch: 7, Work: func(d []due.Due) { handed = append(handed, d...) }}, book.Home{Store: m, Lanes: 1})
	_, err := book.Do(t.Context(), b, book.Act[bool]{Name: "test.due", Bucket: 0, Decide: func(p *book.Page) (bool, error) {
		p.Due.New(due.Now(p.Mint(), due.Ask, p.NowUS(), p.Epoch(), nil))
		p.Due.New(due.Now(p.Mint(), due.Ask, p.NowUS(), 6, nil))
		p.Due.New(due.At(p.Mint(), due.Watch, p.NowUS()))
		return true, nil
	}})
	b.Close()
	if err != nil || len(handed) != 1 || handed[0].Owner != 7 {
		t.Errorf("Do = %v, handed %v; want the one piece of epoch 7", err, handed)
	}
}

func TestNumbersAreUnique(t *testing.T) {
	t.Parallel()
	m := book.NewMemory()
	books := []*book.Book{open(t, book.Options{}, book.Home{Store: m, Lanes: 2}), open(t, book.Options{}, book.Home{Store: m, Lanes: 2})}
	var mu sync.Mutex
	seen := map[int64]bool{}
	var wg sync.WaitGroup
	for _, b := range books {
		for bucket := range id.Bucket(8) {
			wg.Go(func() {
				for range 50 {
					n, err := book.Do(t.Context(), b, book.Act[int64]{Name: "test.number", Bucket: bucket, Decide: func(p *book.Page) (int64, error) {
						return p.Number(), nil
					}})
					mu.Lock()
					if err != nil || n <= 0 || n >= 1<<53 || seen[n] {
						t.Errorf("Number() = %d, %v; want one that nobody has, below 2^53", n, err)
					}
					seen[n] = true
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
}

func TestClose(t *testing.T) {
	t.Parallel()
	m, g := book.NewMemory(), newGate()
	m.Fail = g.fail
	b := open(t, book.Options{}, book.Home{Store: m, Lanes: 1})
	a := account(0, "x")
	done := make(chan error, 2)
	do := func() {
		_, err := book.Do(t.Context(), b, count(a))
		done <- err
	}
	go do()
	<-g.in
	go do()
	waitUntil(t, func() bool { return book.Waiting(b) == 1 })
	closed := make(chan struct{})
	go func() { b.Close(); close(closed) }()
	if err := <-done; !errors.Is(err, book.ErrNotRun) {
		t.Errorf("Do of an act that waited at Close = %v, want ErrNotRun", err)
	}
	close(g.pass)
	if err := <-done; err != nil {
		t.Errorf("Do of an act under way at Close = %v, want nil", err)
	}
	<-closed
	if _, err := book.Do(t.Context(), b, count(a)); !errors.Is(err, book.ErrNotRun) {
		t.Errorf("Do after Close = %v, want ErrNotRun", err)
	}
	if got := stored(t, m, a); got != 1 {
		t.Errorf("the account is at %d, want 1", got)
	}
}

// Interactive acts come first, but not for ever: background work has a share
// of every full batch.
func TestBackgroundWorkIsNotStarved(t *testing.T) {
	t.Parallel()
	if got := book.TakenFromFullQueue(64, 64); got != 4 {
		t.Errorf("a batch of 64 from full queues takes %d background acts, want 4", got)
	}
}
