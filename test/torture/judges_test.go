package torture_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"aorta/internal/payment"
	"aorta/internal/verify"
	"aorta/test/torture"
)

// TestJudgesSee: what the processes are judged by in the end sees an
// acknowledgement that was lost, one given twice, and money that only the
// provider knows of.
func TestJudgesSee(t *testing.T) {
	t.Parallel()
	w := torture.NewWorld(t, "sqlite")
	p := w.NewPlatform("judged", "")
	p.Env = append(p.Env, "AORTA_LIMIT_TIME=3s", "AORTA_LOOKUP_SCHEDULE=60s")
	p.Start()
	c := newCrowd(t, w, p)
	sold := func(a verify.Asked) bool { return a.Kind == payment.KindSale && a.Status == http.StatusOK }
	first := -1
	var asked []verify.Asked
	for deadline := time.Now().Add(20 * time.Second); first < 0 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		asked = c.journal.Read().Asked
		first = slices.IndexFunc(asked, sold)
	}
	if first < 0 {
		t.Fatal("nothing was sold in 20 s")
	}
	lost := verify.Asked{Kind: payment.KindSale, Project: torture.FirstProject, Payment: "never-there", Minor: 1000}
	c.note(lost, http.StatusOK, nil)
	c.note(asked[first], http.StatusOK, nil)
	violations := strings.Join(c.settle(30*time.Second), "\n")
	for _, want := range []string{"C2: The sale never-there", "C7: "} {
		if !strings.Contains(violations, want) {
			t.Errorf("the violations are %q, want one that begins with %q", violations, want)
		}
	}

	w = torture.NewWorld(t, "sqlite")
	p = w.NewPlatform("unaware", "")
	p.Env = append(p.Env, "AORTA_LOOKUP_SCHEDULE=60s")
	p.Start()
	b := books{t: t, w: w}
	w.Control("silent", "sale", 1)
	if a, err := p.Sell(t.Context(), 0, "silent", 1000); err != nil || a.Status != http.StatusOK {
		t.Fatalf("sale: %+v %v", a, err)
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if entries, err := w.Books(); err == nil && len(entries) == 1 && entries[0].State == "paid" {
			break
		}
	}
	found, err := b.differences()
	if err != nil || len(found) != 2 {
		t.Errorf("differences %q, %v; want clearing and the attempt", found, err)
	}
	if found, _, err := b.unnoticed(); err != nil || len(found) != 1 {
		t.Errorf("unnoticed %q, %v; want the sale, whose page the merchant was told of", found, err)
	}
}
