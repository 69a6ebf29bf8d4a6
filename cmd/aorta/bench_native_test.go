package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// programs lets the processes that a bench starts be this test's binary.
func programs(t *testing.T) {
	t.Helper()
	t.Setenv(asProgram, filepath.Join(t.TempDir(), "never"))
}

// bench runs a bench on an empty store, and reads the last line that it prints.
func bench(t *testing.T, into any, flags ...string) {
	t.Helper()
	out, log, err := aorta(t, append([]string{"bench", "--json", "--duration", "500ms", "--data", t.TempDir()}, flags...)...)
	if err != nil {
		t.Fatalf("bench %q: %v: %s", flags, err, log)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), into); err != nil {
		t.Fatalf("bench %q printed %q: %v", flags, out, err)
	}
}

func TestBenchRound(t *testing.T) {
	programs(t)
	var r roundResult
	bench(t, &r, "--flow", "round", "--callers", "4", "--rate", "50")
	if r.Store != "sqlite" || r.Callers != 4 || r.RoundsPerSecond <= 0 || r.HalfRate != 50 || r.Rounds < 25 || r.AnswerP50MS <= 0 ||
		r.RoundP50MS <= r.AnswerP50MS || r.RoundP99MS < r.RoundP50MS || r.AnswerP99MS < r.AnswerP50MS || r.ServeCPUMS <= 0 || r.BenchCPUMS <= 0 {
		t.Errorf("bench says %+v", r)
	}
}

func TestBenchDebit(t *testing.T) {
	programs(t)
	var r debitResult
	bench(t, &r, "--flow", "debit", "--callers", "4")
	if r.Callers != 4 || r.TransfersPerSecond <= 0 || r.Transfers < 2 || r.P50MS <= 0 || r.P99MS < r.P50MS || r.ServeCPUMS <= 0 {
		t.Errorf("bench says %+v", r)
	}
}

func TestBenchPayout(t *testing.T) {
	programs(t)
	for _, limits := range []string{"", "all"} {
		var r payoutResult
		bench(t, &r, "--flow", "payout", "--callers", "4", "--rate", "20", "--limits", limits)
		if r.InFlight != 4 || r.PayoutsPerSecond <= 0 || r.HalfRate != 20 || r.Payouts < 14 || r.InitP50MS <= 0 || r.InitP99MS < r.InitP50MS || r.SandboxCPUMS <= 0 || r.Limits != limits {
			t.Errorf("bench says %+v", r)
		}
	}
}

func TestBenchHistory(t *testing.T) {
	programs(t)
	var r historyResult
	bench(t, &r, "--flow", "history", "--prefill", "100")
	if r.Many != 100 || r.Few != fewTransfers || r.Rounds == 0 || r.Rounds != r.Statements || r.RoundRatio <= 0 || r.StatementRatio <= 0 ||
		r.RoundManyMS <= 0 || r.StatementManyMS <= 0 {
		t.Errorf("bench says %+v", r)
	}
}

// A bench whose account of what was acknowledged is not what the platform has
// measures nothing.
func TestBenchNativeComparesTheBooks(t *testing.T) {
	programs(t)
	for name, plant := range map[string]struct {
		defect func(*native)
		want   string
	}{
		"a balance":  {func(l *native) { l.customers[1].minor.Add(1) }, "by what was acknowledged"},
		"a transfer": {func(l *native) { l.moved.Add(1) }, "the books have"},
	} {
		c := benchCmd{Data: t.TempDir(), Duration: time.Second}
		_, err := c.onNative(t.Context(), streams{io.Discard, io.Discard}, 3, func(l *native) (int64, error) {
			err := l.given(t.Context(), 100)
			plant.defect(l)
			return 3, err
		})
		if err == nil || !strings.Contains(err.Error(), plant.want) {
			t.Errorf("%s that nobody acknowledged: %v", name, err)
		}
	}
}

// A payout that is not on its way, or is not the one that was asked for, is a
// failure.
func TestNativeSeesPayoutsFail(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer string
		want   bool
	}{
		"right":     {`{"payout_id":"po_01","merchant_payout_id":"NAME","status":"pending"}`, true},
		"failed":    {`{"payout_id":"po_01","merchant_payout_id":"NAME","status":"failed"}`, false},
		"another's": {`{"payout_id":"po_01","merchant_payout_id":"another","status":"pending"}`, false},
		"a payment": {`{"payout_id":"pay_01","merchant_payout_id":"NAME","status":"pending"}`, false},
		"nothing":   {`{}`, false},
	} {
		l := platform(t, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, strings.ReplaceAll(test.answer, "NAME", r.Header.Get("Idempotency-Key")))
		})
		c := l.connection()
		if _, err := l.payOut(c, time.Now()); (err == nil) != test.want || (l.moved.Load() > 0) != test.want {
			t.Errorf("%s: %v, %d transfers", name, err, l.moved.Load())
		}
		c.close()
	}
	l := platform(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"status":"failed"}`) })
	c := l.connection()
	defer c.close()
	if err := c.paid(t.Context(), "po_01"); err == nil {
		t.Error("a payout that failed counts as paid")
	}
}

// platform is a /v1 that answers as it is told.
func platform(t *testing.T, answer http.HandlerFunc) *native {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return newNative(s.Listener.Addr().String(), "key", 2)
}

// right answers a move as the platform does.
func right(w http.ResponseWriter, r *http.Request, change func(string) string) {
	var asked struct {
		TxnID string `json:"txn_id"`
	}
	text, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(text, &asked)
	}
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	said := change(fmt.Sprintf(`{"transfer_id":"txn_01","txn_id":%q,"kind":"credit"}`, asked.TxnID))
	w.Header().Set("Content-Length", fmt.Sprint(len(said)))
	fmt.Fprint(w, said)
}

func same(s string) string { return s }

// What is not the answer to a request is a failure, and no money is noted.
func TestNativeSeesFailures(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string // of the error; empty: it is right
	}{
		"right": {func(w http.ResponseWriter, r *http.Request) { right(w, r, same) }, ""},
		"refused": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "2")
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, "{}")
		}, "503"},
		"another's": {func(w http.ResponseWriter, r *http.Request) {
			right(w, r, func(s string) string { return strings.ReplaceAll(s, `"txn_id":"`, `"txn_id":"not`) })
		}, "txn_id"},
		"another kind": {func(w http.ResponseWriter, r *http.Request) {
			right(w, r, func(s string) string { return strings.ReplaceAll(s, "credit", "debit") })
		}, "kind"},
		"no transfer": {func(w http.ResponseWriter, r *http.Request) {
			right(w, r, func(s string) string { return strings.ReplaceAll(s, "txn_01", "") })
		}, "transfer_id"},
		"replayed": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Idempotent-Replayed", "true")
			right(w, r, same)
		}, "earlier"},
		"no length": {func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			right(w, r, same)
		}, "length"},
		"broken off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "{")
		}, "answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := platform(t, test.answer)
			err := l.given(t.Context(), 500)
			moved, minor := l.moved.Load(), l.customers[0].minor.Load()+l.customers[1].minor.Load()
			if test.want == "" {
				if err != nil || moved != 2 || minor != 1000 {
					t.Errorf("two credits of 500: %v, %d moved %d", err, moved, minor)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || l.failures.Load() != 2 || moved != 0 || minor != 0 {
				t.Errorf("two credits: %v; %d failures, %d moved %d", err, l.failures.Load(), moved, minor)
			}
		})
	}
}

// An open loop counts from when something was due, so a platform that stalls
// cannot hide it; and one that falls behind is not measured at all.
func TestNativeOpenLoop(t *testing.T) {
	t.Parallel()
	l := newNative("", "", 1)
	all, _, err := l.open(t.Context(), 1000, 100*time.Millisecond, func(*nativeConn, time.Time) error {
		time.Sleep(50 * time.Millisecond)
		return nil
	})
	if err != nil || len(all) != 100 || all.ms(0) < 50 {
		t.Errorf("a hundred of 50 ms: %d, the shortest %v ms; %v", len(all), all.ms(0), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := l.open(ctx, 10, time.Minute, func(*nativeConn, time.Time) error { return nil }); err == nil {
		t.Error("a loop that was ended early has measured something")
	}
}
