package fop_test

import (
	"testing"

	"aorta/internal/fop"
)

// TestSendings: an hour and a day are bounded, and what was long ago counts no more.
func TestSendings(t *testing.T) {
	t.Parallel()
	var s fop.Sendings
	start := int64(1_700_000_000)
	allow := func(at int64) bool {
		t.Helper()
		kept, err := fop.DecodeSendings(s.Encode())
		if err != nil {
			t.Fatal(err)
		}
		next, ok := kept.Allow(3, 5, at*1_000_000)
		if ok {
			s = next
		}
		return ok
	}
	for n, step := range []struct {
		at   int64
		want bool
	}{
		{start, true},
		{start, true},
		{start + 1, true},
		{start + 2, false},
		{start + 3599, false},
		{start + 3600, true},
		{start + 3601, true},
		{start + 7300, false},
		{start + 86_399, false},
		{start + 86_400, true},
	} {
		if got := allow(step.at); got != step.want {
			t.Errorf("step %d at +%d = %t, want %t; kept %s", n, step.at-start, got, step.want, s.Encode())
		}
	}
	for _, bad := range []string{"x", "1,", "-5", "1;2"} {
		if _, err := fop.DecodeSendings(bad); err == nil {
			t.Errorf("DecodeSendings(%q) took it", bad)
		}
	}
	full := fop.Sendings{}
	for range fop.MaxSendings {
		full = append(full, start)
	}
	if _, ok := full.Allow(1000, 1000, start*1_000_000); ok {
		t.Error("more than can be counted were allowed")
	}
}
