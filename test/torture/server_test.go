package torture_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"aorta/test/torture"
)

const (
	afterwards = 20 * time.Second // how long a platform may take to go on once its store is back
	ending     = 3 * time.Minute  // and until nothing is left to do
	many       = 1_000_000        // orders that the provider approves by itself: more than there are
)

// refusal is what an answer must be while the store cannot be written.
func refusal(a torture.Answer) error {
	if a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || a.Body["status"] != "error" || a.Body["code"] != "601" {
		return fmt.Errorf("answered %d %v, Retry-After %q; want 503 with Retry-After, code 601", a.Status, a.Body, a.Header.Get("Retry-After"))
	}
	return nil
}

// probe asks for a sale that nobody else asks for while the store is away, and
// gives how long the answer took.
func probe(p *torture.Platform, name string) (torture.Answer, time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 45*time.Second)
	defer cancel()
	begun := time.Now()
	a, err := p.Sell(ctx, 0, name, 4200)
	return a, time.Since(begun), err
}

func health(t *testing.T, p *torture.Platform, path string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Ops+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// awaitReady waits until /readyz says this.
func awaitReady(t *testing.T, p *torture.Platform, want int, within time.Duration) {
	t.Helper()
	got := 0
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if got = health(t, p, "/readyz"); got == want {
			return
		}
	}
	t.Errorf("/readyz is %d after %v, want %d", got, within, want)
}

// TestPostgresKilled is T02: the database server dies with all its processes,
// under load, and comes back; the platform stays up.
func TestPostgresKilled(t *testing.T) {
	t.Parallel() // the end of it is waiting for leases to end
	row := torture.Row{ID: "T02", Fault: "kill -9 of PostgreSQL, all its processes", Store: "postgres", Planned: torture.Count(t, 100, 3)}
	server := torture.NewServer(t)
	w := torture.NewWorldOn(t, server.Database("aorta", ""))
	p := w.NewPlatform("p", "")
	p.Env = append(p.Env, "AORTA_LIMIT_TIME=90s") // a sale whose last page nobody was led to ends by it
	p.Start()
	w.Control("approve", "sale", many)
	b := w.Buyers(p)
	b.Go(24)
	pid := p.PID()
	var waits, back []time.Duration
	for n := range row.Planned {
		if err := b.AwaitMore(30, afterwards); err != nil {
			t.Fatalf("kill %d: before it: %v", n, err)
		}
		time.Sleep(rand.N(100 * time.Millisecond))
		server.Kill()
		row.Injected++
		a, took, err := probe(p, fmt.Sprintf("probe-%d", n))
		if err == nil {
			err = refusal(a)
		}
		if err != nil {
			t.Errorf("kill %d: a sale while the store is away: %v", n, err)
			row.Violations++
		}
		waits = append(waits, took)
		if got := health(t, p, "/readyz"); got != http.StatusServiceUnavailable {
			t.Errorf("kill %d: /readyz is %d while the store is away", n, got)
		}
		if got := health(t, p, "/healthz"); got != http.StatusOK {
			t.Errorf("kill %d: /healthz is %d while the store is away", n, got)
		}
		server.Start()
		up := time.Now()
		if err := b.AwaitMore(1, afterwards); err != nil {
			t.Fatalf("kill %d: after the server came back: %v", n, err)
		}
		back = append(back, time.Since(up))
		row.Survived++
	}
	row.Violations += conclude(t, b)
	if !p.Running() || p.PID() != pid {
		t.Error("the platform has not lived through it")
	}
	p.Verify()
	t.Logf("%d acknowledged; refused: %d with 503, %d with 500; a refusal took at most %v, any answer %v; on again after at most %v",
		b.Taken(), b.Refused(503), b.Refused(500), slices.Max(waits), b.Slowest(), slices.Max(back))
	torture.Report(t, row)
}
