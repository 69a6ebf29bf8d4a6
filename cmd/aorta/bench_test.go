package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"aorta/internal/store/storetest"
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
	if r.Store != "sqlite" || r.Callers != 8 || r.Prefilled != 50 || r.Payments == 0 || r.PaymentsPerSecond <= 0 || r.Lanes != 1 || r.RetriesPerBatch != 0 || r.P50MS <= 0 || r.P99MS < r.P50MS ||
		int64(r.Verified) < r.Payments+50 {
		t.Errorf("bench says %+v", r)
	}
}

// The variants of a core bench say what they are for.
func TestBenchCoreVariants(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, flags ...string) (r coreResult) {
		t.Helper()
		out, log, err := aorta(t, append([]string{"bench", "--core", "--json", "--callers", "16", "--data", t.TempDir()}, flags...)...)
		if err != nil {
			t.Fatalf("bench %q: %v: %s", flags, err, log)
		}
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatalf("bench %q printed %q: %v", flags, out, err)
		}
		return r
	}
	t.Run("open loop", func(t *testing.T) {
		t.Parallel()
		r := run(t, "--rate", "100", "--duration", "500ms")
		if r.Flushes == nil || r.Payments != 50 || r.FdatasyncP50MS <= 0 || r.P50 <= 0 || r.P99 < r.P50 || r.Verified != 50 {
			t.Errorf("bench says %+v %+v", r, r.Flushes)
		}
	})
	t.Run("many accounts", func(t *testing.T) {
		t.Parallel()
		r := run(t, "--accounts", "100", "--prefill", "300", "--duration", "100ms")
		if r.Flushes != nil || r.Accounts != 100 || r.ActsPerBatch <= 0 || len(r.BatchDeciles) != 10 || r.AllocsPerPayment <= 0 || r.Verified < 300 {
			t.Errorf("bench says %+v", r)
		}
	})
	t.Run("not verified", func(t *testing.T) {
		t.Parallel()
		if r := run(t, "--no-verify", "--duration", "100ms"); r.Verified != 0 || r.VerifyS != 0 {
			t.Errorf("bench says %+v", r)
		}
	})
}

// As many projects as there may be, and no two share a merchant, an account at
// the PSP or a currency.
func TestBenchProjects(t *testing.T) {
	t.Parallel()
	ids, accounts, currencies := map[int64]bool{}, map[string]bool{}, map[string]bool{}
	for _, p := range benchProjects(maxAccounts) {
		m := p.Methods[0]
		if p.ID != p.MerchantID || p.ID <= benchProject-maxAccounts || !m.Currency.Valid() || ids[p.ID] || accounts[m.Account] || currencies[string(m.Currency)] {
			t.Errorf("project %+v", p)
		}
		ids[p.ID], accounts[m.Account], currencies[string(m.Currency)] = true, true, true
	}
}

func TestBenchRefuses(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{{"--accounts", "0"}, {"--accounts", "151"}, {"--rate", "fast"}, {"--rate", "-1"}, {"--lanes", "-1"}, {"--lanes", "2"}} {
		if _, _, err := aorta(t, append([]string{"bench", "--core", "--duration", "10ms", "--data", t.TempDir()}, flags...)...); err == nil {
			t.Errorf("bench takes %q", flags)
		}
	}
}

// Two processes on one database say how often they met, and what they wrote
// together is right.
func TestBenchCoreTwoProcesses(t *testing.T) {
	t.Parallel()
	dsn := storetest.Database(t)
	ended := make(chan error, 1)
	run := func() (r coreResult, err error) {
		out, log, err := aorta(t, "bench", "--core", "--json", "--no-verify", "--lanes", "1", "--callers", "32", "--duration", "2s", "--database", dsn)
		if err != nil {
			return r, fmt.Errorf("%w: %s", err, log)
		}
		return r, json.Unmarshal([]byte(out), &r)
	}
	if _, log, err := aorta(t, "migrate", "--database", dsn); err != nil {
		t.Fatalf("migrate: %v: %s", err, log)
	}
	var other coreResult
	go func() {
		var err error
		other, err = run()
		ended <- err
	}()
	one, err := run()
	if err := errors.Join(err, <-ended); err != nil {
		t.Fatal(err)
	}
	for _, r := range []coreResult{one, other} {
		if r.Lanes != 1 || r.Payments == 0 || r.RetriesPerBatch < 0 || r.RetriesPerBatch > 0.5 {
			t.Errorf("bench says %+v", r)
		}
	}
	if _, log, err := aorta(t, "verify", "--database", dsn); err != nil {
		t.Errorf("verify: %v: %s", err, log)
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
