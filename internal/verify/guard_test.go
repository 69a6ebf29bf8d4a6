package verify_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/payment"
	"aorta/internal/verify"

	"github.com/prometheus/client_golang/prometheus"
)

// summed is a store in memory that adds up.
type summed struct {
	*book.Memory
	away error
}

func (s *summed) Sums(ctx context.Context) ([]ledger.Sum, error) {
	accounts, err := s.ScanAccounts(ctx, id.Account{}, 1_000_000)
	sums := map[ledger.Sum]ledger.Sum{}
	for _, a := range accounts {
		k := ledger.Sum{Bucket: a.ID.Bucket(), Currency: a.Currency}
		s := sums[k]
		s.Bucket, s.Currency, s.Minor = k.Bucket, k.Currency, s.Minor+a.Minor
		if slices.Contains(ledger.NeverBelow(), a.Purpose) {
			s.Below = max(s.Below, a.Minor)
		}
		sums[k] = s
	}
	out := slices.Collect(maps.Values(sums))
	slices.SortFunc(out, func(a, b ledger.Sum) int {
		return cmp.Or(cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(a.Currency, b.Currency))
	})
	return out, errors.Join(err, s.away)
}

func (s *summed) Overdue(ctx context.Context, nowUS int64, dead []int64, limit int) ([]due.Due, error) {
	rows, err := s.Memory.Overdue(ctx, nowUS, dead, limit)
	return rows, errors.Join(err, s.away)
}

// watched is a guard over rows, with what it says.
type watched struct {
	*verify.Guard
	store   *summed
	now     time.Time
	log     bytes.Buffer
	broken  []error
	metrics *prometheus.Registry
}

// watch puts a guard over a store. It was there before the first row.
func watch(m *book.Memory, now time.Time) *watched {
	w := &watched{store: &summed{Memory: m}, now: now.Add(-24 * time.Hour), metrics: prometheus.NewRegistry()}
	w.Guard = verify.NewGuard(w.store, verify.GuardOptions{
		Now: func() time.Time { return w.now }, Log: slog.New(slog.NewTextHandler(&w.log, nil)), Metrics: w.metrics,
		Broken: func(err error) { w.broken = append(w.broken, err) },
	})
	w.now = now.Add(10 * time.Second)
	return w
}

func (w *watched) rounds(t *testing.T, n int) {
	t.Helper()
	for range n {
		w.Round(t.Context())
		w.now = w.now.Add(time.Second)
	}
}

// inTime has all work lie in the future: busy moves its clock and leaves work undone.
func (r rows) inTime(now time.Time) {
	for n := range r.Due.Insert {
		r.Due.Insert[n].DueUS = now.Add(time.Hour).UnixMicro()
	}
}

func TestGuardOfAHealthyBook(t *testing.T) {
	t.Parallel()
	h := busy(t)
	all := allRows(t, h.memory)
	all.inTime(h.now)
	w := watch(all.store(t), h.now)
	w.rounds(t, 6)
	if w.log.Len() > 0 || len(w.broken) > 0 {
		t.Errorf("log %s, broken %v; want silence", &w.log, w.broken)
	}
	for _, c := range []string{"C1", "C5", "C11", "C13"} {
		if rounds, found := w.metric(t, "checks_total", c), w.metric(t, "violations", c); rounds != 6 || found != 0 {
			t.Errorf("%s: %v rounds, %v violations; want 6 and 0", c, rounds, found)
		}
		if last := w.metric(t, "last_check_seconds", c); last != float64(w.now.Add(-time.Second).Unix()) {
			t.Errorf("%s: last check at %v, want the time of the last round", c, last)
		}
	}
}

// metric reads aorta_invariant_… of a check; -1: it is not there.
func (w *watched) metric(t *testing.T, name, check string) float64 {
	t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "aorta_invariant_"+name && m.GetLabel()[0].GetValue() == check {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return -1
}

func TestGuardSees(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		check  verify.Check
		plant  func(r rows)
		want   string
		broken bool
	}{
		{"a balance changed", verify.C1, func(r rows) { r.account(ledger.Clearing).Minor++ }, "sum to 1 minor units", true},
		{"a transfer that does not balance", verify.C1, func(r rows) {
			x := r.transfer("wallet", ledger.KindDeposit)
			x.Postings = []ledger.Posting{x.Postings[0], {Account: x.Postings[1].Account, Currency: "INR", Minor: -1}}
		}, "does not balance", true},
		{"a wallet below zero", verify.C1, func(r rows) {
			x := r.move("start")
			wallet, merchant := r.posted(x.Postings[1].Account), r.posted(x.Postings[0].Account)
			merchant.Minor += wallet.Minor - 7
			wallet.Minor = 7
		}, "stands 7 minor units below zero", true},
		{"a statement broken", verify.C13, func(r rows) { r.move("s2").Prev[15]++ }, "which is not there", false},
		{"another customer's statement", verify.C13, func(r rows) { r.move("s2").Prev = r.move("other").ID }, "which is another's", false},
		{"a customer lost", verify.C13, func(r rows) {
			k := r.move("s2").Customer
			drop(&r.Customers.Insert, func(c *customer.Customer) bool { return c.ID == k })
		}, "of customer", false},
		{"a round lost", verify.C13, func(r rows) {
			k := r.move("s2").Round
			drop(&r.Rounds.Insert, func(x *ledger.Round) bool { return x.ID == k })
		}, "of round", false},
		{"a status without event", verify.C5, func(r rows) { r.payment("pending").Status = payment.StatusCaptured }, "but its events end at pending", false},
		{"a forbidden move", verify.C5, func(r rows) {
			p := r.payment("declined")
			p.Status = payment.StatusRefunded
			r.event("declined", event.PaymentDeclined).To = payment.StatusRefunded
		}, "which is forbidden", false},
		{"a payout paid without event", verify.C5, func(r rows) { r.payment("lost").Status = payment.StatusPaid }, "but its events end at unknown", false},
		{"a payout that was paid and failed", verify.C5, func(r rows) {
			r.payment("paid out").Status = payment.StatusFailed
			x := *r.event("paid out", event.PayoutPaid)
			x.ID, x.Prev, x.Kind, x.From, x.To = mint(x.ID), x.ID, event.PayoutFailed, payment.StatusPaid, payment.StatusFailed
			r.payment("paid out").LastEvent = x.ID
			r.Events = append(r.Events, x)
		}, "which is forbidden", false},
		{"a payout's attempt lost", verify.C13, func(r rows) {
			k := r.payout("lost").ID
			drop(&r.Attempts.Insert, func(a *payment.Attempt) bool { return a.ID == k })
		}, "Attempts of operation", false},
		{"an event lost", verify.C13, func(r rows) {
			k := r.event("noticed", event.PaymentAwaiting).ID
			drop(&r.Events, func(e *event.Event) bool { return e.ID == k })
		}, "Events of payment", false},
		{"an operation lost", verify.C13, func(r rows) {
			k := r.operation("pending", payment.KindSale).ID
			drop(&r.Operations.Insert, func(o *payment.Operation) bool { return o.ID == k })
		}, "Operations of payment", false},
		{"an attempt lost", verify.C13, func(r rows) {
			k := r.attempt("pending").ID
			drop(&r.Attempts.Insert, func(a *payment.Attempt) bool { return a.ID == k })
		}, "Attempts of operation", false},
		{"a delivery lost", verify.C13, func(r rows) {
			k := r.delivery("noticed").ID
			drop(&r.Deliveries.Insert, func(d *event.Delivery) bool { return d.ID == k })
		}, "Deliveries of payment", false},
		{"work that nobody does", verify.C11, func(r rows) { r.Due.Insert[0].DueUS = 1 }, "is overdue by", false},
	}
	h := busy(t)
	h.book.Close()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			all := allRows(t, h.memory)
			all.inTime(h.now)
			test.plant(all)
			w := watch(all.store(t), h.now)
			w.rounds(t, 1)
			if w.log.Len() > 0 || len(w.broken) > 0 {
				t.Fatalf("one round was enough: log %s, broken %v", &w.log, w.broken)
			}
			w.rounds(t, 5)
			alarms := strings.Count(w.log.String(), "ALARM: an invariant is violated")
			if alarms == 0 || !strings.Contains(w.log.String(), "check="+string(test.check)) || !strings.Contains(w.log.String(), test.want) {
				t.Errorf("log %s; want an alarm of %s like %q", &w.log, test.check, test.want)
			}
			for line := range strings.Lines(w.log.String()) {
				if _, text, _ := strings.Cut(line, "violation="); strings.Count(w.log.String(), text) > 1 {
					t.Errorf("the alarm rang more than once: %s", line)
				}
			}
			if (len(w.broken) > 0) != test.broken || len(w.broken) > 1 {
				t.Errorf("broken: %v, want %t, once", w.broken, test.broken)
			}
			if n := w.metric(t, "violations", string(test.check)); n < 1 {
				t.Errorf("aorta_invariant_violations of %s is %v", test.check, n)
			}
		})
	}
}

// The worker of a process that has just come, or come back, must first have had
// its time.
func TestGuardGivesWorkTime(t *testing.T) {
	t.Parallel()
	all := rows{&book.Changes{}}
	all.Due.Insert = []due.Due{due.At(id.Raw{1}, due.Watch, 1)}
	w := watch(all.store(t), time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC))
	w.store.away = errAway
	w.rounds(t, 2)
	if !strings.Contains(w.log.String(), "could not be checked") || w.metric(t, "checks_total", "C11") > 0 {
		t.Errorf("log %s, want that the store is away", &w.log)
	}
	w.store.away = nil
	w.now = w.now.Add(50 * time.Second)
	w.rounds(t, 2)
	if strings.Contains(w.log.String(), "ALARM") {
		t.Errorf("it rang before work could be done: %s", &w.log)
	}
	w.now = w.now.Add(20 * time.Second)
	w.rounds(t, 2)
	if !strings.Contains(w.log.String(), "is overdue by") {
		t.Errorf("log %s, want that work is overdue", &w.log)
	}
}

func TestGuardEndsWithItsContext(t *testing.T) {
	t.Parallel()
	g := verify.NewGuard(&summed{Memory: book.NewMemory()}, verify.GuardOptions{Now: time.Now, Every: time.Millisecond})
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	g.Run(ctx) // returns
}
