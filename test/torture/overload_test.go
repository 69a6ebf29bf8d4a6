package torture_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aorta/test/torture"
)

// TestOverload: twice the most that a platform can do is asked of it for a
// minute, then half. It refuses what it cannot do, with 503 or 429 and
// Retry-After, holds at most twice the memory, and is itself again within five
// seconds.
func TestOverload(t *testing.T) {
	for _, store := range stores {
		t.Run(store, func(t *testing.T) { overload(t, store) })
	}
}

func overload(t *testing.T, store string) {
	seconds := torture.Count(t, 60, 0) // it measures, and so needs a machine of its own
	w := torture.NewWorld(t, store)
	p := w.NewPlatform("p", "")
	p.Start()
	w.Control("approve", "sale", 1_000_000_000)
	l := &offered{t: t, w: w, p: p, done: make(chan struct{})}
	go l.follow()
	defer close(l.done)
	memory := &watermark{pid: p.PID()}
	go memory.watch(l.done)

	most := l.closed(256, time.Duration(max(3, seconds/4))*time.Second)
	l.drained(30 * time.Second)
	normally := memory.take()
	if normally == 0 {
		t.Fatal("what memory the platform holds cannot be read")
	}
	before := l.open(most/2, time.Duration(max(3, seconds/6))*time.Second)
	normal := before.quantile(0.99, 0)
	t.Logf("at most %.0f payments/s complete with 256 in flight, %d MiB; at half of it p99 is %v", most, normally>>20, normal)
	memory.take()

	over := l.open(2*most, time.Duration(seconds)*time.Second)
	peak := memory.take()
	after := l.open(most/2, time.Duration(max(6, seconds/4))*time.Second)
	again := after.quantile(0.99, 5*time.Second)
	t.Logf("at twice the most: %d taken, refused %v, p99 %v, at most %d MiB; then at half: p99 %v in all, %v after 5 s; %d MiB",
		over.taken, over.refused, over.quantile(0.99, 0), peak>>20, after.quantile(0.99, 0), again, memory.take()>>20)

	row := torture.Row{
		ID: "overload", Fault: fmt.Sprintf("twice the most for %d s", seconds), Store: store,
		Planned: int(1.9 * most * float64(seconds)), Injected: over.sent, Survived: over.taken + over.refused[503] + over.refused[429],
	}
	violated := func(format string, args ...any) {
		t.Errorf(format, args...)
		row.Violations++
	}
	for _, phase := range []*phase{before, over, after} {
		for _, bad := range phase.bad {
			violated("an answer was %s", bad)
		}
	}
	if peak > 2*normally {
		violated("it held %d MiB at twice the most, %d MiB at the most: more than twice as much", peak>>20, normally>>20)
	}
	if limit := 3*normal + 50*time.Millisecond; again > limit {
		violated("p99 is %v from 5 s after the overload on, want %v at most", again, limit)
	}
	if over.refused[503]+over.refused[429] == 0 && over.quantile(0.5, 0) > time.Second {
		violated("nobody was refused, and half of all waited for more than a second")
	}
	if after.refusedAfter > 5*time.Second {
		violated("somebody was refused %v after the overload", after.refusedAfter)
	}
	begun := time.Now()
	l.drained(3 * time.Minute)
	t.Logf("everything taken was told of %v after the end", time.Since(begun).Round(time.Millisecond))
	p.Verify()
	torture.Report(t, row)
}

// offered is a load that does not wait for what becomes of it.
type offered struct {
	t     *testing.T
	w     *torture.World
	p     *torture.Platform
	begun atomic.Int64
	taken atomic.Int64
	final atomic.Int64
	token chan struct{} // of the closed loop; nil otherwise
	mu    sync.Mutex
	done  chan struct{}
}

// phase is what became of the requests of one rate.
type phase struct {
	mu           sync.Mutex
	sent, taken  int
	refused      map[int]int
	refusedAfter time.Duration // the last one
	bad          []string
	at, took     []time.Duration // when each was due since the phase's start, and how long its answer took from then
}

func (p *phase) quantile(q float64, from time.Duration) time.Duration {
	return p.between(q, from, time.Hour)
}

func (p *phase) between(q float64, from, to time.Duration) time.Duration {
	var list []time.Duration
	for n, at := range p.at {
		if at >= from && at < to {
			list = append(list, p.took[n])
		}
	}
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[min(int(q*float64(len(list))), len(list)-1)]
}

// follow counts the payments whose end the merchant was told of.
func (l *offered) follow() {
	var cursor int64
	for {
		select {
		case <-l.done:
			return
		default:
		}
		resp, err := http.Get(fmt.Sprintf("%s/merchant/finals?after=%d&limit=10000&wait_ms=1000", l.w.OtherURL, cursor))
		if err != nil {
			return // the world has ended
		}
		var page struct {
			Cursor int64
			Finals []json.RawMessage
		}
		err = json.NewDecoder(resp.Body).Decode(&page)
		_ = resp.Body.Close()
		if err != nil {
			return
		}
		cursor = page.Cursor
		l.final.Add(int64(len(page.Finals)))
		for range page.Finals {
			l.mu.Lock()
			token := l.token
			l.mu.Unlock()
			if token == nil {
				break
			}
			select {
			case token <- struct{}{}:
			default: // told twice
			}
		}
	}
}

// sell asks for a sale and notes what became of it.
func (l *offered) sell(ph *phase, due time.Time, start time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	n := l.begun.Add(1)
	a, err := l.p.Sell(ctx, int(n)%torture.Accounts, fmt.Sprintf("offered-%d", n), 1000+n%100_000)
	took := time.Since(due)
	ph.mu.Lock()
	defer ph.mu.Unlock()
	ph.at, ph.took = append(ph.at, due.Sub(start)), append(ph.took, took)
	switch {
	case err != nil:
		ph.bad = append(ph.bad, err.Error())
	case a.Status == http.StatusOK:
		ph.taken++
		l.taken.Add(1)
	case (a.Status == http.StatusServiceUnavailable || a.Status == http.StatusTooManyRequests) && a.Header.Get("Retry-After") != "":
		if ph.refused == nil {
			ph.refused = map[int]int{}
		}
		ph.refused[a.Status]++
		ph.refusedAfter = max(ph.refusedAfter, due.Sub(start))
	default:
		ph.bad = append(ph.bad, fmt.Sprintf("%d %v, Retry-After %q", a.Status, a.Body, a.Header.Get("Retry-After")))
	}
}

// closed keeps n payments in flight until their ends and gives how many ended a second.
func (l *offered) closed(n int, d time.Duration) float64 {
	token := make(chan struct{}, n)
	l.mu.Lock()
	l.token = token
	l.mu.Unlock()
	for range n {
		token <- struct{}{}
	}
	const warm = time.Second
	var ph phase
	var wg sync.WaitGroup
	start, end := time.Now(), time.After(warm+d)
	var from int64
	measured := time.AfterFunc(warm, func() { atomic.StoreInt64(&from, l.final.Load()) })
	defer measured.Stop()
	for open := true; open; {
		select {
		case <-token:
			wg.Go(func() { l.sell(&ph, time.Now(), start) })
		case <-end:
			open = false
		}
	}
	rate := float64(l.final.Load()-atomic.LoadInt64(&from)) / d.Seconds()
	l.mu.Lock()
	l.token = nil
	l.mu.Unlock()
	wg.Wait()
	for _, bad := range ph.bad {
		l.t.Errorf("an answer was %s", bad)
	}
	if rate < 1 {
		l.t.Fatalf("only %v payments a second end", rate)
	}
	return rate
}

// open asks for sales at a steady rate, whatever becomes of them.
func (l *offered) open(rate float64, d time.Duration) *phase {
	ph := &phase{}
	var wg sync.WaitGroup
	jobs := make(chan time.Time, 1<<17)
	start := time.Now()
	for range senders {
		wg.Go(func() {
			for due := range jobs {
				l.sell(ph, due, start)
			}
		})
	}
	for n := 0; ; n++ {
		due := start.Add(time.Duration(float64(n) / rate * float64(time.Second)))
		if due.Sub(start) > d {
			break
		}
		time.Sleep(time.Until(due))
		ph.sent++
		select {
		case jobs <- due:
		default:
			l.t.Fatalf("%.0f sales a second are more than this test can ask for", rate)
		}
	}
	close(jobs)
	wg.Wait()
	return ph
}

// senders are the connections of the open loop: twice as many requests as a
// platform answers at once.
const senders = 1024

// drained waits until all that was taken was told of.
func (l *offered) drained(within time.Duration) {
	l.t.Helper()
	for deadline := time.Now().Add(within); l.final.Load() < l.taken.Load(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.t.Fatalf("%d were taken, the merchant was told of %d ends in %v", l.taken.Load(), l.final.Load(), within)
		}
	}
}

// watermark is the most memory that a process has held since it was last taken.
type watermark struct {
	pid  int
	most atomic.Int64
}

func (m *watermark) take() int64 { return m.most.Swap(0) }

func (m *watermark) watch(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-time.After(50 * time.Millisecond):
		}
		if now := resident(m.pid); now > m.most.Load() {
			m.most.Store(now)
		}
	}
}

// resident is the memory that a process holds, in bytes; 0 where the system does not tell.
func resident(pid int) int64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(raw))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
