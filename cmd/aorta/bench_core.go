package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/due"
	"aorta/internal/flow"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/sign"
	"aorta/internal/store"

	"github.com/prometheus/client_golang/prometheus"
)

// coreResult is the last line of `bench --core --json`. A latency is that of a
// whole payment: three acts, one after another, from when it was due with --rate.
type coreResult struct {
	PaymentsPerSecond float64   `json:"payments_per_second"`
	P50MS             float64   `json:"p50_ms"`
	P99MS             float64   `json:"p99_ms"`
	Store             string    `json:"store"`
	Callers           int       `json:"callers"`
	Accounts          int       `json:"accounts"`
	DurationS         float64   `json:"duration_s"`
	Payments          int64     `json:"payments"`
	Prefilled         int       `json:"prefilled"`
	ActsPerBatch      float64   `json:"acts_per_batch"`
	BatchDeciles      []int     `json:"batch_deciles"`     // acts of the batch at 5 %, 15 % … 95 % of all batches
	RetriesPerBatch   float64   `json:"retries_per_batch"` // runs again since another committer was there first
	Lanes             int       `json:"lanes"`
	AllocsPerPayment  float64   `json:"allocs_per_payment"`
	BytesPerPayment   float64   `json:"alloc_bytes_per_payment"`
	Minutes           []float64 `json:"minutes,omitempty"` // payments a second, minute by minute
	*Flushes                    // with --rate
	Verified          int       `json:"verified_payments"`
	VerifyS           float64   `json:"verify_s"`
}

// core measures the acts of payments without HTTP and without a PSP.
func (c benchCmd) core(ctx context.Context, s streams, log *slog.Logger) error {
	if c.Callers == 0 {
		c.Callers = 512
	}
	result, err := c.measureCore(ctx, s, log)
	if err != nil {
		return err
	}
	if !c.NoVerify {
		begun := time.Now()
		report, err := c.verified(ctx, s)
		if err != nil {
			return err
		}
		result.Verified, result.VerifyS = report.Payments, rounded(time.Since(begun).Seconds())
	}
	if c.JSON {
		return printResult(s, result)
	}
	fmt.Fprintf(s.out, `store          %s
callers        %d
payments/s     %.0f
payment p50    %.1f ms
payment p99    %.1f ms
payments       %d in %.1f s
acts a batch   %.0f
run again      %.2f %% of the batches
allocations    %.0f a payment, %.0f bytes
`, result.Store, result.Callers, result.PaymentsPerSecond, result.P50MS, result.P99MS, result.Payments, result.DurationS, result.ActsPerBatch,
		100*result.RetriesPerBatch, result.AllocsPerPayment, result.BytesPerPayment)
	if f := result.Flushes; f != nil {
		fmt.Fprintf(s.out, "fdatasync p50  %.2f ms: payment p50 %.1f, p99 %.1f times as long\n", f.FdatasyncP50MS, f.P50, f.P99)
	}
	if !c.NoVerify {
		fmt.Fprintf(s.out, "verified       %d payments, every invariant holds (%.1f s)\n", result.Verified, result.VerifyS)
	}
	for n, rate := range result.Minutes {
		fmt.Fprintf(s.out, "minute %-8d%.0f payments/s\n", n+1, rate)
	}
	return nil
}

// measureCore opens the database, measures, and closes it.
func (c benchCmd) measureCore(ctx context.Context, s streams, log *slog.Logger) (coreResult, error) {
	db, lanes, keep, err := openDatabase(ctx, settings{Data: c.Data, Database: c.Database}, store.Options{})
	if err != nil {
		return coreResult{}, err
	}
	defer func() { _ = db.Close() }()
	if err := db.Migrate(ctx); err != nil {
		return coreResult{}, fmt.Errorf("migrate: %w", err)
	}
	if err := ownDatabase(ctx, db); err != nil {
		return coreResult{}, err
	}
	if c.Lanes > 0 {
		lanes = c.Lanes
	}
	epoch, err := db.Enter(ctx, "bench", time.Now())
	if err != nil {
		return coreResult{}, err
	}
	sizes, metrics := new(batchSizes), prometheus.NewRegistry()
	b, err := book.New(ctx, []book.Home{{Store: countedStore{db, sizes}, Lanes: lanes, Keep: keep}}, book.Options{
		Buckets: buckets, Now: time.Now, Random: rand.Reader, Epoch: epoch, Log: log, Metrics: metrics,
		Work: func([]due.Due) {}, // the rows are written; nothing is sent
	})
	if err != nil {
		return coreResult{}, err
	}
	defer b.Close()
	rules, err := c.rules()
	if err != nil {
		return coreResult{}, err
	}
	projects, customers := benchProjects(c.Accounts), 1000
	if c.Limits != "" {
		projects, customers = c.limitedProjects(), limitedCustomers
	}
	bench := &coreBench{
		projects: projects, customers: int64(customers), run: strconv.FormatInt(epoch, 36) + "-" + rand.Text()[:6], sizes: sizes, metrics: metrics, lanes: lanes,
		flows: flow.New(b, db, flow.Options{
			Projects:   projectsByID(projects),
			Connectors: func(string, string) (connector.Connector, bool) { return nil, false },
			NotifyURL:  func(string, string) string { return "" }, Now: time.Now, Log: log, Rules: rules,
		}),
	}
	if c.Limits != "" {
		if err := bench.meet(ctx, b, c.Limits == limitsAll); err != nil {
			return coreResult{}, err
		}
	}
	if c.Prefill > 0 {
		begun := time.Now()
		if err := bench.pay(ctx, c.Callers, int64(c.Prefill), nil); err != nil {
			return coreResult{}, fmt.Errorf("prefill: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return coreResult{}, fmt.Errorf("prefill ended early, with %d payments: %w", bench.done.Load(), err)
		}
		fmt.Fprintf(s.err, "prefilled %d payments in %.0f s\n", c.Prefill, time.Since(begun).Seconds())
	}
	return c.timed(ctx, s, bench)
}

// timed runs the bench for its duration.
func (c benchCmd) timed(ctx context.Context, s streams, bench *coreBench) (coreResult, error) {
	if c.Profile != "" {
		f, err := os.Create(c.Profile)
		if err != nil {
			return coreResult{}, fmt.Errorf("profile: %w", err)
		}
		defer func() { _ = f.Close() }()
		if err := pprof.StartCPUProfile(f); err != nil {
			return coreResult{}, fmt.Errorf("profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	var measured *Flushes
	if c.Rate != "auto" {
		measured = new(Flushes)
		if err := measured.measure(c.Data); err != nil {
			return coreResult{}, err
		}
	}
	timed, cancel := context.WithTimeout(ctx, c.Duration)
	defer cancel()
	bench.done.Store(0)
	bench.sizes.reset()
	batchesBefore, retriesBefore, err := bench.batches()
	if err != nil {
		return coreResult{}, err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begun := time.Now()
	watched := make(chan []float64, 1)
	go func() { watched <- c.watch(timed, s, &bench.done, begun) }()
	var all samples
	callers := c.Callers
	if measured == nil {
		latencies := make([]samples, c.Callers)
		if err := bench.pay(timed, c.Callers, 1<<60, latencies); err != nil {
			return coreResult{}, err
		}
		all = merged(latencies) // payments that ended later are not counted
	} else {
		rate, err := strconv.ParseFloat(c.Rate, 64)
		if err == nil {
			all, err = bench.open(ctx, rate, c.Duration)
		}
		if err != nil {
			return coreResult{}, err
		}
		callers = 0
	}
	took := min(time.Since(begun), c.Duration)
	runtime.ReadMemStats(&after)
	batches, retries, err := bench.batches()
	if err != nil {
		return coreResult{}, err
	}
	paid := float64(max(bench.done.Load(), 1))
	result := coreResult{
		PaymentsPerSecond: rounded(float64(len(all)) / took.Seconds()), P50MS: rounded(all.ms(0.50)), P99MS: rounded(all.ms(0.99)),
		Store: c.storeName(), Callers: callers, Accounts: c.Accounts, DurationS: rounded(took.Seconds()), Payments: int64(len(all)),
		Prefilled: c.Prefill, AllocsPerPayment: rounded(float64(after.Mallocs-before.Mallocs) / paid),
		BytesPerPayment: rounded(float64(after.TotalAlloc-before.TotalAlloc) / paid), Flushes: measured, Minutes: <-watched,
		RetriesPerBatch: (retries - retriesBefore) / max(batches-batchesBefore, 1), Lanes: bench.lanes,
	}
	result.ActsPerBatch, result.BatchDeciles = bench.sizes.spread()
	if measured != nil {
		if err := measured.measure(c.Data); err != nil {
			return coreResult{}, err
		}
		measured.compare(all)
	}
	return result, nil
}

// watch gives the rate of each whole minute, if there are two or more, and
// tells those of ten seconds on the way.
func (c benchCmd) watch(ctx context.Context, s streams, done *atomic.Int64, begun time.Time) []float64 {
	const step, perMinute = 10 * time.Second, 6
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	var minutes []float64
	var last, minute int64
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			// The end comes together with the last tick, and either may be seen first.
			if last := time.Since(begun).Seconds() - 60*float64(len(minutes)); n%perMinute == 0 && last > 59 {
				minutes = append(minutes, rounded(float64(done.Load()-minute)/last))
			}
			if len(minutes) < 2 {
				return nil
			}
			return minutes
		case <-ticker.C:
		}
		now := done.Load()
		if c.Timeline {
			fmt.Fprintf(s.err, "%6.0f s  %6.0f payments/s\n", time.Since(begun).Seconds(), float64(now-last)/step.Seconds())
		}
		last = now
		if n%perMinute == 0 {
			minutes = append(minutes, rounded(float64(now-minute)/60))
			minute = now
		}
	}
}

// coreBench makes payments by the acts that a Gate sale takes: begin, the PSP's
// page, the PSP's yes. Each writes its events, deliveries and due rows.
type coreBench struct {
	flows    *flow.Flows
	projects []project.Project // taken in turn

	customers int64 // so are they
	sizes     *batchSizes
	metrics   *prometheus.Registry // the book's
	lanes     int
	run       string // begins the payments' names
	begun     atomic.Int64
	done      atomic.Int64
}

// benchProjects are the projects of the core bench: each with a merchant, a PSP
// account and a currency of its own.
func benchProjects(n int) []project.Project {
	all := make([]project.Project, 0, n)
	currencies := append([]money.Currency{"INR"}, otherCurrencies()...)
	for k := range int64(n) {
		p := benchSettings()
		p.ID, p.MerchantID = benchProject-k, benchProject-k
		if k > 0 {
			p.Methods[0].Account = "bench-" + strconv.FormatInt(k, 10)
		}
		p.Methods[0].Currency = currencies[k]
		all = append(all, p)
	}
	return all
}

// otherCurrencies are all but the rupee.
func otherCurrencies() []money.Currency {
	var all []money.Currency
	for n := range 26 * 26 * 26 {
		c := money.Currency([]byte{'A' + byte(n/676), 'A' + byte(n/26%26), 'A' + byte(n%26)})
		if c.Valid() && c != "INR" {
			all = append(all, c)
		}
	}
	return all
}

// benchSettings is the project of a bench: a plain shop with a callback address.
func benchSettings() project.Project {
	method := methodsOf("paytm-wallet", "")[0]
	method.Account = "bench"
	return project.Project{
		ID: benchProject, MerchantID: benchProject, Name: "Bench", Secret: sign.NewSecret("bench"), CallbackURL: "https://shop.invalid/callback",
		LateSuccess: project.LateHold, SumInRefund: project.SumInitial, BaseTime: 5 * time.Minute, LimitTime: 30 * time.Minute,
		Methods: []project.Method{method},
	}
}

// pay has callers make payments until ctx ends or most are begun. Latencies, if
// not nil, has a place for each caller.
func (b *coreBench) pay(ctx context.Context, callers int, most int64, latencies []samples) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	until := b.begun.Load() + most
	var wg sync.WaitGroup
	var once sync.Once
	var failed error
	for n := range callers {
		wg.Go(func() {
			for ctx.Err() == nil {
				number := b.begun.Add(1)
				if number > until {
					return
				}
				from := time.Now()
				// What is begun is finished: the end of the measurement leaves no payment in the middle.
				if err := b.one(context.WithoutCancel(ctx), number); err != nil {
					once.Do(func() { failed = fmt.Errorf("payment %d: %w", number, err) })
					cancel()
					return
				}
				b.done.Add(1)
				if latencies != nil && ctx.Err() == nil {
					latencies[n].add(time.Since(from))
				}
			}
		})
	}
	wg.Wait()
	return failed
}

// one makes one payment.
func (b *coreBench) one(ctx context.Context, number int64) error {
	p := &b.projects[number%int64(len(b.projects))]
	begun, err := b.flows.BeginSale(ctx, flow.SaleRequest{
		Project: *p, Method: p.Methods[0], Door: "gate", PaymentID: b.run + "-" + strconv.FormatInt(number, 10),
		CustomerID: "customer-" + strconv.FormatInt(number%b.customers, 10), Description: "Bench payment", CallbackURL: p.CallbackURL,
		Amount: money.Amount{Minor: 100 + number%100_000, Currency: p.Methods[0].Currency},
	})
	if err != nil {
		return err
	}
	page := connector.Outcome{Kind: connector.Pending, Redirect: &payment.Redirect{
		URL: "https://psp.invalid/theia/api/v1/showPaymentPage?mid=BENCH&orderId=" + begun.Attempt.ID.String(), Method: "POST",
		Fields: map[string]string{"mid": "BENCH", "orderId": begun.Attempt.ID.String(), "txnToken": "0123456789abcdef0123456789abcdef"},
	}}
	if err := b.flows.Apply(ctx, begun.Attempt, page); err != nil {
		return err
	}
	return b.flows.Apply(ctx, begun.Attempt, connector.Outcome{
		Kind: connector.Approved, Amount: begun.Attempt.Amount, ProviderID: "20261120" + strconv.FormatInt(number, 10), ProviderCode: "01",
		ProviderMessage: "Txn Success", ProviderTime: time.Now(),
	})
}

// batches is how many batches the book has taken, and how often one ran again,
// as its own metrics say.
func (b *coreBench) batches() (taken, retries float64, err error) {
	families, err := b.metrics.Gather()
	if err != nil {
		return 0, 0, fmt.Errorf("gather metrics: %w", err)
	}
	for _, f := range families {
		switch f.GetName() {
		case "aorta_book_batch_acts":
			taken = float64(f.GetMetric()[0].GetHistogram().GetSampleCount())
		case "aorta_book_batch_retries_total":
			retries = f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return taken, retries, nil
}

// countedStore tells how many acts each batch has.
type countedStore struct {
	book.Store
	sizes *batchSizes
}

// Lane opens a lane of the store's.
func (s countedStore) Lane(ctx context.Context) (book.Lane, error) {
	l, err := s.Store.Lane(ctx)
	return countedLane{l, s.sizes}, err
}

type countedLane struct {
	book.Lane
	sizes *batchSizes
}

// Commit counts by the attempts: each act of a core bench writes one, and no
// two in a batch the same.
func (l countedLane) Commit(ctx context.Context, c *book.Changes) error {
	l.sizes.add(len(c.Attempts.Insert) + len(c.Attempts.Update))
	return l.Lane.Commit(ctx, c)
}

// batchSizes are acts per batch.
type batchSizes struct {
	mu  sync.Mutex
	all []int
}

func (b *batchSizes) add(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, n)
}

func (b *batchSizes) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = b.all[:0]
}

// spread gives the mean, and the sizes at the middles of ten equal parts of all
// batches, as test/limit can take them in turn.
func (b *batchSizes) spread() (mean float64, deciles []int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.all) == 0 {
		return 0, nil
	}
	slices.Sort(b.all)
	total := 0
	for _, n := range b.all {
		total += n
	}
	for tenth := range 10 {
		deciles = append(deciles, b.all[(2*tenth+1)*len(b.all)/20])
	}
	return rounded(float64(total) / float64(len(b.all))), deciles
}
