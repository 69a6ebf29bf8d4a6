package torture_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"aorta/test/scenario/testdb"
	"aorta/test/torture"
)

// TestSecondProcess is T19 on SQLite: a database takes one process, by whatever
// path the second one comes.
func TestSecondProcess(t *testing.T) {
	t.Parallel()
	row := torture.Row{ID: "T19", Fault: "second process on one database", Store: "sqlite", Planned: torture.Count(t, 50, 4)}
	w := torture.NewWorld(t, "sqlite")
	first := w.NewPlatform("first", "")
	first.Start()
	w.Control("approve", "sale", many)
	b := w.Buyers(first)
	b.Go(8)
	// The same directory, a symlink to it, a symlink to the database's file, and
	// a hard link to that.
	ways := []func(p *torture.Platform) error{
		func(p *torture.Platform) error { p.Env = append(p.Env, "AORTA_DATA="+first.Data); return nil },
		func(p *torture.Platform) error { return os.Symlink(first.Data, p.Data) },
		func(p *torture.Platform) error { return linkDatabase(p.Data, first.Data, os.Symlink) },
		func(p *torture.Platform) error { return linkDatabase(p.Data, first.Data, os.Link) },
	}
	for n := range row.Planned {
		second := w.NewPlatform(fmt.Sprintf("second-%d", n), "")
		if err := ways[n%len(ways)](second); err != nil {
			t.Fatal(err)
		}
		if err := b.AwaitMore(1, afterwards); err != nil {
			t.Fatal(err)
		}
		second.Launch()
		row.Injected++
		err := second.Wait(10 * time.Second)
		if err == nil || strings.HasPrefix(err.Error(), "still runs") || !strings.Contains(second.Log(), "in use by another process") {
			t.Errorf("way %d: a second process ended with %v and said %q; want that it is in use", n%len(ways), err, second.Log())
			row.Violations++
			second.Kill()
			continue
		}
		row.Survived++
	}
	row.Violations += conclude(t, b)
	first.Verify()
	torture.Report(t, row)
}

func linkDatabase(dir, data string, link func(old, name string) error) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return link(filepath.Join(data, "aorta.db"), filepath.Join(dir, "aorta.db"))
}

// TestFrozenProcess is T19 on PostgreSQL: four processes share a database under
// load; three of them stand still until the other takes them for dead (after
// 15 s), in the full programme for longer than any lease, and then go on where
// they were.
func TestFrozenProcess(t *testing.T) {
	t.Parallel()
	row := torture.Row{ID: "T19", Fault: "frozen until it counts as dead, then thawed", Store: "postgres", Planned: torture.Count(t, 50, 2)}
	testdb.New(t) // skips without a server, here and not only in the houses
	const processes, frozen = 4, 3
	frozenFor := time.Duration(torture.Count(t, 60, 20)) * time.Second
	houses := min((row.Planned+frozen-1)/frozen, 3) // houses beside each other, since most of the time is waiting
	rounds := (row.Planned + frozen*houses - 1) / (frozen * houses)
	var mu sync.Mutex
	t.Run("houses", func(t *testing.T) {
		for n := range houses {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				injected, survived, violations := freeze(t, processes, frozen, rounds, frozenFor)
				mu.Lock()
				defer mu.Unlock()
				row.Injected, row.Survived, row.Violations = row.Injected+injected, row.Survived+survived, row.Violations+violations
			})
		}
	})
	torture.Report(t, row)
}

func freeze(t *testing.T, processes, frozen, rounds int, frozenFor time.Duration) (injected, survived, violations int) {
	w := torture.NewWorldOn(t, testdb.New(t))
	var all []*torture.Platform
	for n := range processes {
		p := w.NewPlatform(fmt.Sprintf("p%d", n), "")
		p.Start()
		all = append(all, p)
	}
	w.Control("approve", "sale", many)
	b := w.Buyers(all...)
	b.Brief = 200 * time.Millisecond
	b.Go(12)
	for round := range rounds {
		if err := b.AwaitMore(20, afterwards); err != nil {
			t.Fatalf("round %d: before it: %v", round, err)
		}
		var still []*torture.Platform
		for n := range frozen {
			p := all[(round+n)%processes]
			p.Signal(syscall.SIGSTOP)
			still = append(still, p)
			injected++
			time.Sleep(10 * time.Millisecond)
		}
		awake := all[(round+frozen)%processes]
		b.Only(awake)
		begun := time.Now()
		if err := b.AwaitMore(5, frozenFor); err != nil {
			t.Errorf("round %d: while the others stood still: %v", round, err)
			violations++
		}
		t.Logf("round %d: five more were taken %v after the freeze", round, time.Since(begun).Round(time.Millisecond))
		time.Sleep(frozenFor - time.Since(begun))
		for _, p := range still {
			p.Signal(syscall.SIGCONT)
		}
		b.Only(all...)
		for _, p := range still {
			if err := p.Ready(afterwards); err != nil {
				t.Errorf("round %d: thawed: %v", round, err)
				continue
			}
			survived++
		}
	}
	violations += conclude(t, b)
	all[0].Verify()
	t.Logf("%d acknowledged; refused: %d with 503, %d with 500; an answer took at most %v", b.Taken(), b.Refused(503), b.Refused(500), b.Slowest())
	return injected, survived, violations
}
