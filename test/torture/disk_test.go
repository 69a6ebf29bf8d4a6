package torture_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"aorta/test/torture"
)

// TestDiskFull is T05: the disk under the database fills up under load, and is
// given space again; nobody restarts anything.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		n := torture.Count(t, 20, 2)
		v := torture.NewVolume(t, 256) // the log alone may take 64 and a quarter of a second
		w := torture.NewWorld(t, "sqlite")
		data := filepath.Join(v.Dir, "data")
		if err := os.Mkdir(data, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(data, filepath.Join(w.Dir, "p")); err != nil {
			t.Fatal(err)
		}
		diskFull(t, w, v, torture.Row{ID: "T05", Fault: "disk full (the database on a tmpfs)", Store: "sqlite", Planned: n})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		n := torture.Count(t, 20, 2)
		server, v := torture.NewServer(t), torture.NewVolume(t, 96)
		space := filepath.Join(v.Dir, "space")
		if err := os.Mkdir(space, 0o700); err != nil {
			t.Fatal(err)
		}
		server.Own(space)
		server.Exec("CREATE TABLESPACE small LOCATION '" + space + "'")
		w := torture.NewWorldOn(t, server.Database("aorta", "TABLESPACE small"))
		diskFull(t, w, v, torture.Row{ID: "T05", Fault: "disk full (the tablespace on a tmpfs)", Store: "postgres", Planned: n})
		t.Cleanup(server.Kill) // before the volume goes
	})
}

func diskFull(t *testing.T, w *torture.World, v *torture.Volume, row torture.Row) {
	p := w.NewPlatform("p", "")
	p.Start()
	w.Control("approve", "sale", many)
	if a, err := p.Sell(t.Context(), 0, "known", 4200); err != nil || a.Status != http.StatusOK {
		t.Fatalf("the first sale: %+v, %v", a, err)
	}
	b := w.Buyers(p)
	b.Go(12)
	pid := p.PID()
	for n := range row.Planned {
		if err := b.AwaitMore(30, afterwards); err != nil {
			t.Fatalf("disk %d: before it is full: %v", n, err)
		}
		before := b.Refused(http.StatusServiceUnavailable)
		v.Fill(rand.Int64N(64 << 10))
		for until := time.Now().Add(afterwards); b.Refused(http.StatusServiceUnavailable) < before+20; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(until) {
				t.Fatalf("disk %d: nobody was refused %v after the disk was filled", n, afterwards)
			}
		}
		row.Injected++
		// A little row may still find room where a batch did not; a sale does not for long.
		refused := false
		for try := 0; try < 50 && !refused; try++ {
			a, took, err := probe(p, fmt.Sprintf("probe-%d-%d", n, try))
			switch {
			case err != nil || took > 10*time.Second:
				t.Errorf("disk %d: a sale took %v: %v", n, took, err)
				row.Violations++
			case a.Status != http.StatusOK:
				refused = true
				if err := refusal(a); err != nil {
					t.Errorf("disk %d: a sale was %v", n, err)
					row.Violations++
				}
			}
		}
		if !refused {
			t.Errorf("disk %d: it was full, and fifty sales were taken", n)
		}
		awaitReady(t, p, http.StatusServiceUnavailable, 10*time.Second)
		if got := health(t, p, "/healthz"); got != http.StatusOK {
			t.Errorf("disk %d: /healthz is %d", n, got)
		}
		if got := p.Status(t.Context(), 0, "known"); got != "success" {
			t.Errorf("disk %d: a payment that is read is %q, want success", n, got)
		}
		v.Free()
		if err := b.AwaitMore(10, afterwards); err != nil {
			t.Fatalf("disk %d: after there was space again: %v; %s", n, err, v.Content())
		}
		awaitReady(t, p, http.StatusOK, 10*time.Second)
		row.Survived++
		// SQLite's log is carried into the database four times a second. Filled again and again before that, log
		// and database alone take the disk in the end, and no space comes back.
		time.Sleep(500 * time.Millisecond)
	}
	row.Violations += conclude(t, b)
	if !p.Running() || p.PID() != pid {
		t.Error("the platform has not lived through it")
	}
	p.Verify()
	t.Logf("%d acknowledged; refused: %d with 503, %d with 500; an answer took at most %v", b.Taken(), b.Refused(503), b.Refused(500), b.Slowest())
	torture.Report(t, row)
}
