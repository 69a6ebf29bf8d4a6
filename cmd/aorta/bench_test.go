package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// A short bench says all it must, and has been verified.
func TestBenchCore(t *testing.T) {
	t.Parallel()
	out, log, err := aorta(t, "bench", "--core", "--json", "--duration", "300ms", "--callers", "8", "--prefill", "50", "--data", t.TempDir())
	if err != nil {
		t.Fatalf("bench: %v: %s", err, log)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var r coreResult
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
		t.Fatalf("bench printed %q: %v", out, err)
	}
	if r.Store != "sqlite" || r.Callers != 8 || r.Prefilled != 50 || r.Payments == 0 || r.PaymentsPerSecond <= 0 || r.P50MS <= 0 || r.P99MS < r.P50MS ||
		int64(r.Verified) < r.Payments+50 {
		t.Errorf("bench says %+v", r)
	}
}

func TestPercentiles(t *testing.T) {
	t.Parallel()
	var l samples
	for n := range 100 {
		l = append(l, int32(n*1000))
	}
	for _, test := range []struct{ q, want float64 }{{0, 0}, {0.5, 50}, {0.99, 99}, {1, 99}} {
		if got := l.ms(test.q); got != test.want {
			t.Errorf("ms(%v) of 0..99 ms = %v, want %v", test.q, got, test.want)
		}
	}
	if got := samples(nil).ms(0.5); got != 0 {
		t.Errorf("ms of nothing = %v, want 0", got)
	}
}
