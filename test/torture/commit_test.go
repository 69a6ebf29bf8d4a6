package torture_test

import (
	"testing"

	"aorta/internal/store/storetest"
	"aorta/test/scenario/testdb"
	"aorta/test/torture"
)

// TestCommitLost is T03: the connection to PostgreSQL ends exactly at COMMIT,
// under load, before the server has got it or after it has.
func TestCommitLost(t *testing.T) {
	t.Parallel()
	each := torture.Count(t, 500, 30)
	rows := map[storetest.Cut]*torture.Row{
		storetest.CutBefore: {ID: "T03", Fault: "connection cut before COMMIT", Store: "postgres", Planned: each},
		storetest.CutAfter:  {ID: "T03", Fault: "connection cut after COMMIT", Store: "postgres", Planned: each},
	}
	w := torture.NewWorldOn(t, testdb.New(t))
	cutter, through := storetest.NewCutter(t, w.Database)
	p := w.NewPlatform("p", "")
	p.Database = through
	p.Start()
	w.Control("approve", "sale", many)
	b := w.Buyers(p)
	b.Go(16)
	for n := range 2 * each {
		at := []storetest.Cut{storetest.CutBefore, storetest.CutAfter}[n%2]
		row := rows[at]
		if !cutter.Cut(at, t.Context().Done()) {
			t.Fatal("nobody commits any more")
		}
		row.Injected++
		if err := b.AwaitMore(1, afterwards); err != nil {
			t.Fatalf("cut %d: after it: %v", n, err)
		}
		row.Survived++
	}
	wrong := conclude(t, b)
	p.Verify()
	t.Logf("%d cut before and %d after COMMIT; %d acknowledged; refused: %d with 503, %d with 500; an answer took at most %v",
		cutter.Before(), cutter.After(), b.Taken(), b.Refused(503), b.Refused(500), b.Slowest())
	if n := b.Refused(500); n > 0 {
		t.Errorf("%d were told that it is unknown whether they were taken, though the server could be asked", n)
	}
	for _, at := range []storetest.Cut{storetest.CutBefore, storetest.CutAfter} {
		rows[at].Violations += wrong
		torture.Report(t, *rows[at])
	}
}
