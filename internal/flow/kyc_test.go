package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/connector/exchange"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/limit"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/risk"
	"aorta/internal/store/storetest"
	"aorta/internal/verification"
	"aorta/internal/verification/manual"
	"aorta/internal/verify"
)

// bureau checks customers as it is told, and keeps its own records.
type bureau struct {
	mu    sync.Mutex
	asked []string                        // references that it was asked to check
	knows map[string]verification.Outcome // and how each stands
	lose  bool                            // the answer to Start is lost, after it was done
	away  bool                            // nothing comes there
	shut  bool                            // it refuses us
}

func (b *bureau) Start(_ context.Context, o verification.Order) verification.Outcome {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.away:
		return verification.Outcome{Kind: verification.NotSent}
	case b.shut:
		return verification.Outcome{Kind: verification.NotSent, Alarm: "wrong secret"}
	}
	b.asked = append(b.asked, o.Reference)
	if _, ok := b.knows[o.Reference]; !ok {
		b.knows[o.Reference] = verification.Outcome{Kind: verification.Open, URL: "https://kyc.example/" + o.Reference}
	}
	if b.lose {
		return verification.Outcome{Kind: verification.Unknown}
	}
	return b.knows[o.Reference]
}

func (b *bureau) Lookup(_ context.Context, o verification.Order) verification.Outcome {
	b.mu.Lock()
	defer b.mu.Unlock()
	out, ok := b.knows[o.Reference]
	switch {
	case b.away:
		return verification.Outcome{Kind: verification.Unknown}
	case !ok:
		return verification.Outcome{Kind: verification.Unknown, NoRecord: true}
	}
	return out
}

func (b *bureau) ReadNotification(connector.Notification) (verification.News, error) {
	return verification.News{}, errors.New("nothing comes by this way here")
}

func (b *bureau) NewsHeaders() []string { return nil }

func (b *bureau) Kept(n connector.Notification, _ string) (connector.Notification, error) {
	return n, nil
}

// says has the bureau know of a check from now on.
func (b *bureau) says(k id.Check, out verification.Outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.knows[k.String()] = out
}

// bureauHouse is a platform with rules, on a store, whose clock the test moves.
type bureauHouse struct {
	t      *testing.T
	db     storetest.DB
	book   *book.Book
	flows  *flow.Flows
	bureau *bureau
	mu     sync.Mutex
	now    time.Time
	work   []due.Due
	hears  []event.Endpoint
}

const rulesProject, sister, plainProject, otherHouse = 300, 301, 200, 400

func newBureauHouse(t *testing.T, db storetest.DB) *bureauHouse {
	t.Helper()
	return newBureauHouseOf(t, db, func(b *bureau) verification.Provider { return b })
}

// newBureauHouseOf makes one whose bureau is what of makes of it.
func newBureauHouseOf(t *testing.T, db storetest.DB, of func(*bureau) verification.Provider) *bureauHouse {
	t.Helper()
	l := &bureauHouse{t: t, db: db, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), bureau: &bureau{knows: map[string]verification.Outcome{}}}
	b, err := book.New(t.Context(), []book.Home{{Store: db}}, book.Options{
		Now: l.clock, Random: seeded{rand.NewChaCha8([32]byte{7})}, Epoch: 1,
		Work: func(rows []due.Due) { l.mu.Lock(); l.work = append(l.work, rows...); l.mu.Unlock() },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	l.book = b
	rules, ok := risk.Profile("generic")
	if !ok {
		t.Fatal("no generic profile")
	}
	persons, err := verification.NewPersonKey(exchange.NewSecret("a key of the persons here"))
	if err != nil {
		t.Fatal(err)
	}
	l.flows = flow.New(b, db, flow.Options{
		Projects:   func(n int64) (project.Project, bool) { return l.project(n), true },
		Connectors: func(string, string) (connector.Connector, bool) { return nil, false },
		NotifyURL:  func(name, account string) string { return "https://pay.example/n/" + name + "/" + account },
		Now:        l.clock,
		Endpoints: func() func(int64) []event.Endpoint {
			return func(int64) []event.Endpoint { return l.hears }
		},
		Rules: func(n int64) *risk.Rules {
			if n == plainProject {
				return nil
			}
			return rules
		},
		Verifiers: verification.Directory{
			{Name: "bureau", Levels: []int64{1, 2}, Provider: of(l.bureau)}, {Name: "people", Levels: []int64{3}, Provider: manual.Manual{}},
		},
		Persons: persons,
	})
	return l
}

func (l *bureauHouse) clock() time.Time { l.mu.Lock(); defer l.mu.Unlock(); return l.now }

// project gives a project with wallets; rulesProject and sister are of one merchant.
func (l *bureauHouse) project(n int64) project.Project {
	return project.Project{ID: n, MerchantID: n / 100, Wallet: true}
}

// start begins a check, with a worker beside it.
func (l *bureauHouse) start(pr int64, name string, level int64) (flow.CheckView, error) {
	l.t.Helper()
	type answer struct {
		view flow.CheckView
		err  error
	}
	said := make(chan answer, 1)
	go func() {
		v, err := l.flows.StartCheck(l.t.Context(), flow.CheckRequest{Project: l.project(pr), CustomerID: name, Level: level, ReturnURL: "https://house.example/"})
		said <- answer{v, err}
	}()
	for {
		select {
		case a := <-said:
			return a.view, a.err
		case <-time.After(time.Millisecond):
			l.settle()
		}
	}
}

func (l *bureauHouse) begun(pr int64, name string, level int64) id.Check {
	l.t.Helper()
	v, err := l.start(pr, name, level)
	if err != nil {
		l.t.Fatalf("StartCheck(%s, %d): %v", name, level, err)
	}
	return v.Check.ID
}

// settle does all work at hand but deliveries.
func (l *bureauHouse) settle() {
	l.t.Helper()
	for {
		l.mu.Lock()
		work := l.work
		l.work = nil
		l.mu.Unlock()
		if len(work) == 0 {
			return
		}
		for _, d := range work {
			if d.Kind != due.Check && d.Kind != due.Link {
				continue
			}
			if err := l.flows.Handle(l.t.Context(), d); err != nil {
				l.t.Errorf("Handle(%s): %v", d.Kind, err)
			}
		}
	}
}

// pass lets time go by; what is then overdue is claimed and done, as a worker would.
func (l *bureauHouse) pass(d time.Duration) {
	l.t.Helper()
	end := l.clock().Add(d)
	for range 1000 {
		rows, err := l.db.ScanDue(l.t.Context(), id.Raw{}, 1000)
		if err != nil {
			l.t.Fatal(err)
		}
		var next due.Due
		for _, r := range rows {
			if (r.Kind == due.Check || r.Kind == due.Link) && r.DueUS <= end.UnixMicro() && (next.ID.IsZero() || r.DueUS < next.DueUS) {
				next = r
			}
		}
		if next.ID.IsZero() {
			l.mu.Lock()
			l.now = end
			l.mu.Unlock()
			return
		}
		l.mu.Lock()
		l.now = maxTime(l.now, time.UnixMicro(next.DueUS).UTC())
		l.mu.Unlock()
		claimed, err := book.Do(l.t.Context(), l.book, book.Act[due.Due]{Name: "test.claim", Bucket: next.ID.Bucket(), Decide: func(p *book.Page) (due.Due, error) {
			row, ok := p.Due.Get(next.ID)
			if ok {
				row = row.Claim(p.NowUS(), p.Epoch())
				p.Due.Put(row)
			}
			return row, nil
		}})
		if err != nil {
			l.t.Fatal(err)
		}
		l.mu.Lock()
		l.work = nil // what the claim has leased is done here
		l.mu.Unlock()
		if err := l.flows.Handle(l.t.Context(), claimed); err != nil {
			l.t.Fatalf("Handle(%s): %v", claimed.Kind, err)
		}
		l.settle()
	}
	l.t.Fatal("something is due for ever")
}

func (l *bureauHouse) customer(pr int64, name string) customer.Customer {
	l.t.Helper()
	p := l.project(pr)
	k := customer.KeyOf(p.PaymentBucket(32, "", name), fmt.Sprint(p.MerchantID), name)
	c, _, err := l.db.Customer(l.t.Context(), k)
	if err != nil {
		l.t.Fatal(err)
	}
	return c
}

func (l *bureauHouse) check(k id.Check) customer.Check {
	l.t.Helper()
	row, ok, err := l.db.Check(l.t.Context(), k)
	if err != nil || !ok {
		l.t.Fatalf("check %s: found %t, %v", k, ok, err)
	}
	return row
}

func (l *bureauHouse) want(k id.Check, state customer.CheckState, pr int64, name string, level int64) {
	l.t.Helper()
	row, c := l.check(k), l.customer(pr, name)
	if row.State != state || c.LevelAt(l.clock().UnixMicro()) != level {
		l.t.Errorf("check %s is %s (%s), %s has level %d; want %s and %d", k, row.State, row.Reason, name, c.LevelAt(l.clock().UnixMicro()), state, level)
	}
}

// due gives the work that waits about a thing.
func (l *bureauHouse) due(k id.Raw) (due.Due, bool) {
	l.t.Helper()
	rows, err := l.db.ScanDue(l.t.Context(), id.Raw{}, 1000)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, r := range rows {
		if r.ID == k {
			return r, true
		}
	}
	return due.Due{}, false
}

// notes gives the kinds of a customer's history, newest first.
func (l *bureauHouse) notes(c customer.Customer) (kinds []string) {
	l.t.Helper()
	for k := c.LastNote; !k.IsZero(); {
		n, ok, err := l.db.Note(l.t.Context(), k)
		if err != nil || !ok {
			l.t.Fatalf("note %s: found %t, %v", k, ok, err)
		}
		kinds = append(kinds, n.Kind+" "+n.Body)
		k = n.Prev
	}
	return kinds
}

func passes(person string, until time.Time) verification.Outcome {
	return verification.Outcome{Kind: verification.Passed, Result: verification.Result{ProviderID: "P1", Person: person, Holder: "Ann Example", Until: until}}
}

var failed = verification.Outcome{Kind: verification.Failed, Result: verification.Result{Reason: "mismatch"}}

func hashOf(n int) string { return fmt.Sprintf("%064x", n) }

// hear has a provider tell of a check, and does what follows.
func (l *bureauHouse) hear(k id.Check, out verification.Outcome) error {
	l.t.Helper()
	_, err := l.flows.HearCheck(l.t.Context(), "bureau", verification.News{EventID: "e", Reference: k.String(), Level: l.check(k).Level, Outcome: out})
	l.settle()
	return err
}

func TestCheckPassesAndEnds(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		l := newBureauHouse(t, db)
		l.hears = []event.Endpoint{{ID: id.Endpoint{1}, URL: "https://house.example/hook", State: event.EndpointEnabled}}
		v, err := l.start(rulesProject, "ann", 2)
		if err != nil || v.URL != "https://kyc.example/"+v.Check.ID.String() || v.Check.State != customer.CheckOpen {
			t.Fatalf("StartCheck = %+v, %v, want an open check with its page", v, err)
		}
		again, err := l.start(rulesProject, "ann", 2)
		if err != nil || again.Check.ID != v.Check.ID || again.URL != v.URL || len(l.bureau.asked) != 1 {
			t.Errorf("StartCheck again = %+v, %v, want the same one", again, err)
		}
		l.want(v.Check.ID, customer.CheckOpen, rulesProject, "ann", 0)
		until := l.clock().Add(100 * 24 * time.Hour)
		if err := l.hear(v.Check.ID, passes(hashOf(1), until)); err != nil {
			t.Fatal(err)
		}
		l.want(v.Check.ID, customer.CheckPassed, rulesProject, "ann", 2)
		row := l.check(v.Check.ID)
		if row.Reference != "P1" || row.UntilUS != until.UnixMicro() || strings.Contains(row.Facts, "Ann") || strings.Contains(row.Facts, "http") {
			t.Errorf("the row keeps %+v", row)
		}
		if d, ok := l.due(row.ID.Raw()); !ok || d.DueUS != until.UnixMicro() {
			t.Errorf("its end is not due: %+v", d)
		}
		one := l.begun(rulesProject, "ann", 1)
		if err := l.hear(one, passes(hashOf(1), time.Time{})); err != nil {
			t.Fatal(err)
		}
		l.want(one, customer.CheckPassed, rulesProject, "ann", 2)
		if _, ok := l.due(one.Raw()); ok {
			t.Error("what never ends is due")
		}
		for _, known := range []verification.Outcome{passes(hashOf(2), time.Time{}), {Kind: verification.Open}} { // known, or stale
			if err := l.hear(v.Check.ID, known); err != nil {
				t.Fatal(err)
			}
		}
		if got := l.check(v.Check.ID); got != row {
			t.Errorf("news that is known has made %+v of %+v", got, row)
		}
		l.pass(100*24*time.Hour - time.Second)
		l.want(v.Check.ID, customer.CheckPassed, rulesProject, "ann", 2)
		l.pass(time.Second)
		l.want(v.Check.ID, customer.CheckExpired, rulesProject, "ann", 1)
		if c := l.customer(rulesProject, "ann"); c.Level != 1 || c.LevelUntilUS != 0 {
			t.Errorf("the row says level %d until %d", c.Level, c.LevelUntilUS)
		}
		kinds := strings.Join(l.notes(l.customer(rulesProject, "ann")), "\n")
		for _, want := range []string{`check {"check_id":"` + v.Check.ID.String() + `","level":2,"state":"open"`, `level {"check_id":"` + v.Check.ID.String() + `","from":0,"to":2}`, `"reason":"document_expired"`, `"from":2,"to":1}`} {
			if !strings.Contains(kinds, want) {
				t.Errorf("the history has no %s:\n%s", want, kinds)
			}
		}
		var told []string
		events, err := db.ScanEvents(t.Context(), id.Event{}, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			told = append(told, string(e.Kind)+" "+e.Snapshot)
		}
		if text := strings.Join(told, "\n"); len(told) != 3 || !strings.Contains(text, `customer.kyc_updated {"customer_id":"ann","level":1,"previous_level":2`) {
			t.Errorf("endpoints are told\n%s", text)
		}
	})
}

// Whatever becomes of a call, the check is asked for under one reference and ends once.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		l := newBureauHouse(t, db)
		l.bureau.lose = true
		lost := l.begun(rulesProject, "lost", 1) // it came there; only the answer did not come here
		l.bureau.lose, l.bureau.away = false, true
		away := l.begun(rulesProject, "away", 1)
		l.bureau.away, l.bureau.shut = false, true
		shut := l.begun(rulesProject, "shut", 1)
		l.bureau.shut = false
		silent := l.begun(rulesProject, "silent", 2) // decided, and nobody tells
		never := l.begun(rulesProject, "never", 2)   // nobody decides
		l.want(shut, customer.CheckFailed, rulesProject, "shut", 0)
		l.want(away, customer.CheckOpen, rulesProject, "away", 0)
		l.bureau.says(silent, passes(hashOf(3), time.Time{}))
		l.pass(time.Minute)
		l.want(silent, customer.CheckPassed, rulesProject, "silent", 2)
		for _, k := range []id.Check{lost, away} {
			v, err := l.flows.Verification(t.Context(), l.project(rulesProject), map[id.Check]string{lost: "lost", away: "away"}[k])
			if err != nil || len(v.Checks) != 1 || v.Checks[0].URL != "https://kyc.example/"+k.String() {
				t.Errorf("after a look-up: %+v, %v, want the page", v, err)
			}
		}
		l.bureau.says(lost, failed)
		l.pass(24 * time.Hour)
		l.want(lost, customer.CheckFailed, rulesProject, "lost", 0)
		if row := l.check(lost); row.Reason != "mismatch" {
			t.Errorf("it failed with %q", row.Reason)
		}
		seen := map[string]int{}
		for _, reference := range l.bureau.asked {
			seen[reference]++
		}
		if seen[lost.String()] != 1 || seen[away.String()] != 1 {
			t.Errorf("asked for %v, want each once", seen)
		}
		l.pass(29 * 24 * time.Hour)
		l.want(never, customer.CheckFailed, rulesProject, "never", 0)
		if row := l.check(never); row.Reason != "abandoned" {
			t.Errorf("it failed with %q", row.Reason)
		}
		if _, ok := l.due(never.Raw()); ok {
			t.Error("what has failed is still due")
		}
	})
}

func TestCheckMoves(t *testing.T) {
	t.Parallel()
	l := newBureauHouse(t, book.NewMemory())
	if _, err := l.start(plainProject, "ann", 1); !errors.Is(err, flow.ErrNoRules) {
		t.Errorf("a project without rules: %v", err)
	}
	if _, err := l.start(rulesProject, "", 1); !errors.Is(err, flow.ErrNoWallet) {
		t.Errorf("nobody: %v", err)
	}
	if _, err := l.start(rulesProject, "ann", 4); !errors.Is(err, flow.ErrNoVerifier) {
		t.Errorf("a level that nobody checks: %v", err)
	}
	k := l.begun(rulesProject, "ann", 2)
	past := l.clock().Add(-time.Second)
	if err := l.hear(k, passes(hashOf(1), past)); err != nil {
		t.Fatal(err)
	}
	l.want(k, customer.CheckFailed, rulesProject, "ann", 0) // it ended before it came
	if err := l.hear(k, passes(hashOf(1), time.Time{})); err != nil {
		t.Fatal(err)
	}
	l.want(k, customer.CheckFailed, rulesProject, "ann", 0) // and a last word stays
	k = l.begun(rulesProject, "ann", 2)
	if err := l.hear(k, verification.Outcome{Kind: verification.Expired, Result: verification.Result{Reason: "document_expired"}}); err != nil {
		t.Fatal(err)
	}
	l.want(k, customer.CheckFailed, rulesProject, "ann", 0)
	k = l.begun(rulesProject, "ann", 2)
	if err := l.hear(k, passes(hashOf(1), time.Time{})); err != nil {
		t.Fatal(err)
	}
	if err := l.hear(k, failed); err != nil { // the provider has found out more
		t.Fatal(err)
	}
	l.want(k, customer.CheckExpired, rulesProject, "ann", 0)
	news := func(reference string, level int64) error {
		_, err := l.flows.HearCheck(t.Context(), "bureau", verification.News{Reference: reference, Level: level, Outcome: passes(hashOf(1), time.Time{})})
		return err
	}
	open := l.begun(rulesProject, "ann", 2)
	people := l.begun(rulesProject, "ann", 3)
	if err := news(open.String(), 1); !errors.Is(err, flow.ErrCheckMismatch) {
		t.Errorf("news of another level: %v", err)
	}
	if err := news(people.String(), 3); !errors.Is(err, flow.ErrCheckMismatch) {
		t.Errorf("news of another's check: %v", err)
	}
	for _, reference := range []string{"", "kyc_", "att_01k4zfn0g0e00000000000s1e0", id.Check{9}.String(), id.Check{0, 0, 0, 0, 0, 0, 200}.String()} {
		if err := news(reference, 2); !errors.Is(err, flow.ErrNoCheck) {
			t.Errorf("news of %q: %v, want ErrNoCheck", reference, err)
		}
	}
	l.want(open, customer.CheckOpen, rulesProject, "ann", 0)
	for n := range 10 {
		if _, err := l.start(rulesProject, "bob", int64(n%2)+1); err != nil {
			t.Fatal(err)
		}
		v, _ := l.flows.Verification(t.Context(), l.project(rulesProject), "bob")
		if err := l.hear(v.Checks[0].Check.ID, failed); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.start(rulesProject, "bob", 1); !errors.Is(err, customer.ErrTooMany) {
		t.Errorf("the eleventh check of a day: %v", err)
	}
}

// Level 3 is a person's to give; an operator may also take back what was passed.
func TestOperatorDecides(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		l := newBureauHouse(t, db)
		ann := operator.Actor{Name: "ann", Roles: "aml_analyst"}
		k := l.begun(rulesProject, "bob", 3)
		l.pass(time.Hour)
		l.want(k, customer.CheckOpen, rulesProject, "bob", 0)
		row, err := l.flows.DecideCheck(t.Context(), k, flow.Decision{Passed: true, Result: verification.Result{Holder: "Bob", Person: hashOf(9)}}, ann)
		if err != nil || row.State != customer.CheckPassed {
			t.Fatalf("DecideCheck = %+v, %v", row, err)
		}
		l.want(k, customer.CheckPassed, rulesProject, "bob", 3)
		if _, err := l.flows.DecideCheck(t.Context(), k, flow.Decision{Passed: true}, ann); !errors.Is(err, flow.ErrState) {
			t.Errorf("passed twice: %v", err)
		}
		if _, err := l.flows.DecideCheck(t.Context(), k, flow.Decision{Reason: "mismatch"}, ann); err != nil {
			t.Fatal(err)
		}
		l.want(k, customer.CheckExpired, rulesProject, "bob", 0)
		hosted := l.begun(rulesProject, "bob", 1)
		if _, err := l.flows.DecideCheck(t.Context(), hosted, flow.Decision{Passed: true}, ann); !errors.Is(err, flow.ErrState) {
			t.Errorf("a provider's check is decided by an operator: %v", err)
		}
		if _, err := l.flows.DecideCheck(t.Context(), id.Check{1}, flow.Decision{Passed: true}, ann); !errors.Is(err, flow.ErrNoCheck) {
			t.Errorf("no check: %v", err)
		}
		entries, err := db.ScanAudit(t.Context(), id.Audit{}, 10)
		if err != nil || len(entries) != 2 || entries[0].Who != "ann" || entries[0].About != k.String() {
			t.Errorf("the log has %+v, %v", entries, err)
		}
	})
}

// exclude restricts a customer, as the flow that a player uses does, and has the
// others of the same person told.
func (l *bureauHouse) exclude(pr int64, name string, r customer.Restraint) {
	l.t.Helper()
	c := l.customer(pr, name)
	_, err := book.Do(l.t.Context(), l.book, book.Act[struct{}]{Name: "test.exclude", Bucket: c.ID.Bucket(), Decide: func(p *book.Page) (struct{}, error) {
		c, _ := p.Customers.Get(c.ID)
		limits, err := customer.DecodeLimits(c.Limits)
		if err != nil {
			return struct{}{}, err
		}
		r.SinceUS = p.NowUS()
		if c, _, err = c.Restrict(limits, r, p.NowUS()); err != nil {
			return struct{}{}, err
		}
		p.Customers.Put(c)
		flow.Spread(p, c, r.Restriction)
		return struct{}{}, nil
	}})
	if err != nil {
		l.t.Fatal(err)
	}
	l.settle()
}

func (l *bureauHouse) verified(pr int64, name string, person int) {
	l.t.Helper()
	if err := l.hear(l.begun(pr, name, 2), passes(hashOf(person), time.Time{})); err != nil {
		l.t.Fatal(err)
	}
}

func (l *bureauHouse) restricted(pr int64, name string, want customer.Restriction) {
	l.t.Helper()
	if got := l.customer(pr, name); got.Restriction != want {
		l.t.Errorf("%s of %d is %q, want %q", name, pr, got.Restriction, want)
	}
}

func TestOnePersonIsExcludedEverywhere(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		l := newBureauHouse(t, db)
		until := l.clock().Add(200 * 24 * time.Hour).UnixMicro()
		out := customer.Restraint{Restriction: customer.SelfExcluded, UntilUS: until}
		l.verified(rulesProject, "ann", 1)
		l.verified(sister, "anna", 1) // the same person in another project
		l.verified(rulesProject, "bob", 2)
		l.exclude(rulesProject, "ann", customer.Restraint{Restriction: customer.CoolOff, UntilUS: l.clock().Add(48 * time.Hour).UnixMicro()})
		l.restricted(sister, "anna", "") // a cool-off is of one account
		l.exclude(rulesProject, "ann", out)
		l.restricted(sister, "anna", customer.SelfExcluded)
		l.restricted(rulesProject, "bob", "")
		if c := l.customer(sister, "anna"); c.RestrictedUntilUS != until || !strings.Contains(strings.Join(l.notes(c), "\n"), "restricted_as_person") {
			t.Errorf("excluded until %d, notes %v, want until %d", c.RestrictedUntilUS, l.notes(c), until)
		}
		// Who is known as that person only now is excluded at once.
		l.verified(rulesProject, "a.example", 1)
		l.restricted(rulesProject, "a.example", customer.SelfExcluded)
		// So is who shows another document: the two are one person by the customer who showed both.
		l.verified(rulesProject, "carl", 5)
		l.verified(sister, "carlo", 6)
		l.verified(rulesProject, "carl", 6)
		l.exclude(sister, "carlo", out)
		l.restricted(rulesProject, "carl", customer.SelfExcluded)
		l.verified(rulesProject, "karl", 5)
		l.restricted(rulesProject, "karl", customer.SelfExcluded)
		// A longer one reaches the others, a shorter one changes nothing.
		forever := customer.Restraint{Restriction: customer.SelfExcluded}
		l.exclude(sister, "anna", forever)
		if c := l.customer(rulesProject, "ann"); c.RestrictedUntilUS != 0 {
			t.Errorf("excluded until %d, want without end", c.RestrictedUntilUS)
		}
		rows, err := db.ScanDue(t.Context(), id.Raw{}, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if r.Kind == due.Link {
				t.Errorf("a link is left over: %+v", r)
			}
		}
	})
}

// A check that is passed as somebody else than an earlier one gives no level: people look
// at it, and payouts wait meanwhile. Another document under the same name is no other
// person.
func TestAnotherPerson(t *testing.T) {
	t.Parallel()
	as := func(person int, name string) verification.Outcome {
		out := passes("", time.Time{})
		if out.Result.Holder = name; person != 0 {
			out.Result.Person = hashOf(person)
		}
		return out
	}
	tests := []struct {
		name        string
		first, then verification.Outcome
		other       bool
	}{
		{name: "the same", first: as(1, "Ann Example"), then: as(1, "Ann Example")},
		{name: "another document", first: as(1, "Ann Example"), then: as(2, "EXAMPLE, Ann")},
		{name: "the same papers, another way to write the name", first: as(1, "Ann Example"), then: as(1, "Anne Example")},
		{name: "who it is was not told first", first: as(0, ""), then: as(2, "Bob Other")},
		{name: "another name", first: as(1, "Ann Example"), then: as(2, "Bob Other"), other: true},
		{name: "another name alone", first: as(0, "Ann Example"), then: as(0, "Bob Other"), other: true},
		{name: "another hash, and no names", first: as(1, ""), then: as(2, ""), other: true},
		{name: "another hash, and one name", first: as(1, ""), then: as(2, "Bob Other"), other: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newBureauHouse(t, book.NewMemory())
			one, two := l.begun(rulesProject, "ann", 1), id.Check{}
			if err := l.hear(one, test.first); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time, of a check that is anew
				two = l.begun(rulesProject, "ann", 2)
				if err := l.hear(two, test.then); err != nil {
					t.Fatal(err)
				}
				if !test.other {
					break
				}
			}
			cases, err := l.db.Cases(t.Context(), id.Case{}, 10)
			if err != nil {
				t.Fatal(err)
			}
			if !test.other {
				if l.want(two, customer.CheckPassed, rulesProject, "ann", 2); len(cases) != 0 {
					t.Errorf("cases %+v, want none", cases)
				}
				return
			}
			l.want(two, customer.CheckFailed, rulesProject, "ann", 1)
			l.want(one, customer.CheckPassed, rulesProject, "ann", 1)
			c := l.customer(rulesProject, "ann")
			if row := l.check(two); row.Reason != "other_person" || len(cases) != 2 || c.Review != 2 || cases[0].Kind != "other_person" || cases[0].Customer != c.ID || !cases[0].Payment.IsZero() {
				t.Fatalf("failed as %q; %d open cases: %+v", row.Reason, c.Review, cases)
			}
			l.sound()
			for _, found := range cases {
				if _, err := l.flows.SettleCase(t.Context(), flow.CaseChange{Case: found.ID, By: paul, Note: "x"}, flow.SettleClose); !errors.Is(err, flow.ErrNoCase) {
					t.Errorf("closed by %s: %v, want ErrNoCase", paul.Name, err)
				}
				by := operator.Actor{Name: "mia", Roles: "mlro"}
				if _, err := l.flows.SettleCase(t.Context(), flow.CaseChange{Case: found.ID, By: by, Note: "married"}, flow.SettleClose); err != nil {
					t.Fatal(err)
				}
			}
			if c := l.customer(rulesProject, "ann"); c.Review != 0 {
				t.Errorf("%d open cases when all are closed", c.Review)
			}
			// The way out: the earlier check is taken back, and the customer is checked anew.
			if _, err := l.flows.DecideCheck(t.Context(), one, flow.Decision{Reason: "mismatch"}, ann); err != nil {
				t.Fatal(err)
			}
			anew := l.begun(rulesProject, "ann", 2)
			if err := l.hear(anew, test.then); err != nil {
				t.Fatal(err)
			}
			l.want(anew, customer.CheckPassed, rulesProject, "ann", 2)
			l.sound()
		})
	}
}

// sound fails the test unless every invariant holds.
func (l *bureauHouse) sound() {
	l.t.Helper()
	report, err := verify.Run(l.t.Context(), l.db, verify.Options{})
	if err != nil || !report.OK {
		l.t.Errorf("verify: %v %v", report.Violations, err)
	}
}

// A maximum for the young is for all whose age nobody has told, and for nobody else who
// is older.
func TestMaximumOfTheYoung(t *testing.T) {
	t.Parallel()
	h := licensed(t, 1)
	h.rules = rulesOf(t, "[[limits.maximum]]\nkind = \"deposit\"\nperiod = \"day\"\nminor = 5000\ncurrency = \"INR\"\nunder_age = 25\n")
	h.paid("one", 4000)
	refused := func(what string, want bool) {
		t.Helper()
		_, err := h.deposit(what, inr(2000))
		if no := new(*risk.Refusal); errors.As(err, no) != want || want && (*no).Code != risk.CodeLimitExceeded {
			t.Errorf("%s: %v, want a refusal: %t", what, err, want)
		}
	}
	refused("nobody knows", true)
	aged := func(age int64, since time.Time) {
		t.Helper()
		k := h.flows.CustomerOf(h.pr, "c1")
		h.act(k.Bucket(), func(p *book.Page) {
			c, _ := p.Customers.Get(k)
			v, _ := customer.DecodeVerification(c.Checks)
			v.Age, v.AgeUS = age, since.UnixMicro()
			c.Checks = v.Encode()
			p.Customers.Put(c)
		})
	}
	aged(24, h.clock())
	refused("24", true)
	aged(24, h.clock().AddDate(-1, 0, 0))
	refused("24 a year ago", false)

	l := newBureauHouse(t, book.NewMemory())
	out := passes(hashOf(1), time.Time{})
	out.Result.Age = 31
	if err := l.hear(l.begun(rulesProject, "ann", 1), out); err != nil {
		t.Fatal(err)
	}
	if got := l.customer(rulesProject, "ann").AgeAt(l.clock().UnixMicro()); got != 31 {
		t.Errorf("told of 31 years, kept are %d", got)
	}
}

// One customer of a person who cannot be told keeps none of the others from hearing, and
// is told again and again, alone.
func TestLinkGoesOn(t *testing.T) {
	t.Parallel()
	l := newBureauHouse(t, book.NewMemory())
	names := []string{"a1", "a2", "a3", "a4", "a5"}
	for _, name := range names {
		l.verified(rulesProject, name, 1)
	}
	k := l.customer(rulesProject, "a1").Person
	ghost := customer.KeyOf(3, "3", "ghost") // the first of them, and nobody
	if _, err := book.Do(t.Context(), l.book, book.Act[struct{}]{Name: "test.ghost", Bucket: k.Bucket(), Decide: func(p *book.Page) (struct{}, error) {
		row, ok := p.Persons.Get(id.Person(k))
		members, err := customer.MembersOf(row)
		if err != nil || !ok || len(members) != len(names) {
			return struct{}{}, fmt.Errorf("person %+v (found %t): %w", row, ok, err)
		}
		text, err := json.Marshal(append([]customer.Member{{Customer: ghost, Joined: true}}, members...))
		row.Members = string(text)
		p.Persons.Put(row)
		return struct{}{}, err
	}}); err != nil {
		t.Fatal(err)
	}
	out := flow.CustomerChange{Project: l.project(rulesProject), CustomerID: "a3", By: operator.Actor{Name: "one", Roles: "rg_officer"}}
	if err := l.flows.Restrict(t.Context(), out, customer.Restraint{Restriction: customer.OperatorExcluded}); err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	l.work = nil
	l.mu.Unlock()
	own := due.Due{ID: l.customer(rulesProject, "a3").ID.Raw(), Kind: due.Link}
	if err := l.flows.Handle(t.Context(), own); err == nil || !strings.Contains(err.Error(), ghost.String()) {
		t.Errorf("linked with nobody: %v, want an error that names them", err)
	}
	for _, name := range names {
		l.restricted(rulesProject, name, customer.OperatorExcluded)
	}
	if _, waits := l.due(own.ID); !waits {
		t.Error("who was not told will not be told")
	}
	// Told again, those who have heard are not even asked to change.
	acts := 0
	l.db.(*book.Memory).Fail = func(s book.Step) book.Fault {
		if s == book.StepCommit {
			acts++
		}
		return book.FaultNone
	}
	if err := l.flows.Handle(t.Context(), own); err == nil {
		t.Error("linked with nobody")
	}
	if acts > 1 { // that of joining
		t.Errorf("%d acts to tell those again who have heard", acts)
	}
}

// A process that dies at any point of linking leaves a due row, and whoever takes it
// over ends where it would have.
func TestLinkIsDoneAgain(t *testing.T) {
	t.Parallel()
	l := newBureauHouse(t, book.NewMemory())
	l.verified(rulesProject, "ann", 1)
	l.exclude(rulesProject, "ann", customer.Restraint{Restriction: customer.SelfExcluded})
	k := l.begun(sister, "anna", 2)
	if _, err := l.flows.HearCheck(t.Context(), "bureau", verification.News{Reference: k.String(), Level: 2, Outcome: passes(hashOf(1), time.Time{})}); err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	l.work = nil // the process dies
	l.mu.Unlock()
	l.restricted(sister, "anna", "")
	l.pass(time.Minute)
	l.restricted(sister, "anna", customer.SelfExcluded)
	// Told twice, it changes nothing.
	before := l.customer(sister, "anna")
	for range 3 {
		if err := l.flows.Handle(t.Context(), due.Due{ID: before.ID.Raw(), Kind: due.Link}); err != nil {
			t.Fatal(err)
		}
		l.settle()
	}
	if after := l.customer(sister, "anna"); after != before {
		t.Errorf("told again: %+v, before %+v", after, before)
	}
}

// No merchant has a word in who pays in at another one's.
func TestMerchantsAreNotLinked(t *testing.T) {
	t.Parallel()
	l := newBureauHouse(t, book.NewMemory())
	l.verified(rulesProject, "ann", 1)
	l.verified(otherHouse, "ann", 1)
	l.exclude(rulesProject, "ann", customer.Restraint{Restriction: customer.SelfExcluded})
	l.restricted(otherHouse, "ann", "")
	l.verified(otherHouse, "anna", 1)
	l.restricted(otherHouse, "anna", "")
	l.verified(sister, "anna", 1)
	l.restricted(sister, "anna", customer.SelfExcluded)
}

// What was made for one customer of a person is lifted for all, by another officer than
// who made it, wherever that is asked for; and nobody brings it back.
func TestLiftReachesThePerson(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		l := newBureauHouse(t, db)
		one, two := operator.Actor{Name: "one", Roles: "rg_officer"}, operator.Actor{Name: "two", Roles: "rg_officer"}
		of := func(pr int64, name string, by operator.Actor) flow.CustomerChange {
			return flow.CustomerChange{Project: l.project(pr), CustomerID: name, By: by, Reason: "looked into it"}
		}
		l.verified(rulesProject, "ann", 1)
		l.verified(sister, "anna", 1)
		l.verified(sister, "anna", 2)
		l.verified(rulesProject, "annie", 2) // the same person by the one who showed both
		all := func(want customer.Restriction) {
			t.Helper()
			l.restricted(rulesProject, "ann", want)
			l.restricted(sister, "anna", want)
			l.restricted(rulesProject, "annie", want)
		}
		for n, at := range []struct {
			pr   int64
			name string
		}{{rulesProject, "ann"}, {sister, "anna"}, {rulesProject, "annie"}} {
			if err := l.flows.Restrict(t.Context(), of(rulesProject, "ann", one), customer.Restraint{Restriction: customer.OperatorExcluded}); err != nil {
				t.Fatal(err)
			}
			l.settle()
			all(customer.OperatorExcluded)
			if err := l.flows.Lift(t.Context(), of(at.pr, at.name, one), customer.OperatorExcluded); !errors.Is(err, flow.ErrSamePerson) {
				t.Errorf("%d: lifted by who made it: %v", n, err)
			}
			if err := l.flows.Lift(t.Context(), of(at.pr, at.name, two), customer.OperatorExcluded); err != nil {
				t.Fatalf("%d: lift: %v", n, err)
			}
			l.settle()
			all(customer.Unrestricted)
			for _, c := range []customer.Customer{l.customer(rulesProject, "ann"), l.customer(sister, "anna"), l.customer(rulesProject, "annie")} {
				if err := l.flows.Handle(t.Context(), due.Due{ID: c.ID.Raw(), Kind: due.Link}); err != nil {
					t.Fatal(err)
				}
			}
			l.settle()
			all(customer.Unrestricted)
		}
		l.verified(rulesProject, "anne", 2)
		l.restricted(rulesProject, "anne", customer.Unrestricted)
		if notes := strings.Join(l.notes(l.customer(sister, "anna")), "\n"); !strings.Contains(notes, "restriction_lifted_as_person") {
			t.Errorf("notes %v tell nothing of the lift", notes)
		}
	})
}

// Who is excluded as another customer of theirs is, and then by an officer once more, is
// excluded at both: nobody has lifted anything.
func TestExcludedTwiceIsExcluded(t *testing.T) {
	t.Parallel()
	l := newBureauHouse(t, book.NewMemory())
	l.verified(rulesProject, "ann", 1)
	l.verified(sister, "anna", 1)
	l.exclude(rulesProject, "ann", customer.Restraint{Restriction: customer.OperatorExcluded})
	l.restricted(sister, "anna", customer.OperatorExcluded)
	l.exclude(sister, "anna", customer.Restraint{Restriction: customer.OperatorExcluded})
	l.restricted(sister, "anna", customer.OperatorExcluded)
	l.restricted(rulesProject, "ann", customer.OperatorExcluded)
}

// A level that changes, or is proved again, has every payout looked at again that waits,
// and no other.
func TestPayoutsAreCheckedAgain(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		l := newBureauHouse(t, db)
		k := l.begun(rulesProject, "ann", 2)
		c := l.customer(rulesProject, "ann")
		states := []string{"step_up", "hold", "deferred", "sent", "closed"}
		payouts, err := book.Do(t.Context(), l.book, book.Act[map[string]id.Payment]{Name: "test.payouts", Bucket: c.ID.Bucket(), Decide: func(p *book.Page) (map[string]id.Payment, error) {
			all := map[string]id.Payment{}
			var entries limit.Entries
			for _, state := range states {
				pay := id.Payment(p.Mint())
				all[state] = pay
				if err := entries.Reserve(pay, 100, p.NowUS()); err != nil {
					return nil, err
				}
				p.Reviews.New(payment.Review{ID: pay.Raw(), Customer: c.ID, State: state})
			}
			row, _ := p.Customers.Get(c.ID)
			p.Customers.Put(row.With("EUR"))
			w := limit.WindowID(c.ID, limit.Payouts, "EUR")
			p.Windows.Get(w)
			p.Windows.Put(limit.Window{ID: w, Customer: c.ID, Kind: limit.Payouts, Currency: "EUR", Entries: entries.Encode()})
			return all, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		want := func(when string, due bool) {
			for _, state := range states {
				_, found := l.due(payouts[state].Raw())
				if found != (due && (state == "step_up" || state == "hold" || state == "deferred")) {
					t.Errorf("%s: a payout in %s is looked at again: %t", when, state, found)
				}
			}
		}
		want("at first", false)
		if err := l.hear(k, passes(hashOf(1), l.clock().Add(time.Hour))); err != nil {
			t.Fatal(err)
		}
		want("level 2", true)
		forget := func() {
			_, err := book.Do(t.Context(), l.book, book.Act[struct{}]{Name: "test.forget", Bucket: c.ID.Bucket(), Decide: func(p *book.Page) (struct{}, error) {
				for _, pay := range payouts {
					if _, ok := p.Due.Get(pay.Raw()); ok {
						p.Due.Delete(pay.Raw())
					}
				}
				return struct{}{}, nil
			}})
			if err != nil {
				t.Fatal(err)
			}
		}
		forget()
		one := l.begun(rulesProject, "ann", 1)
		if err := l.hear(one, passes(hashOf(1), time.Time{})); err != nil {
			t.Fatal(err)
		}
		want("the same level", true)
		forget()
		l.pass(2 * time.Hour)
		l.want(k, customer.CheckExpired, rulesProject, "ann", 1)
		want("level 1 again", true)
		forget()
		// A level that has ended, which no act has noticed, is given anew.
		k = l.begun(rulesProject, "ann", 2)
		if err := l.hear(k, passes(hashOf(1), l.clock().Add(time.Hour))); err != nil {
			t.Fatal(err)
		}
		forget()
		next := l.begun(rulesProject, "ann", 2)
		l.mu.Lock()
		l.now = l.now.Add(2 * time.Hour)
		l.mu.Unlock()
		if c := l.customer(rulesProject, "ann"); c.Level != 2 || c.LevelAt(l.clock().UnixMicro()) != 1 {
			t.Fatalf("the level is %d as stored and %d now, want 2 and 1", c.Level, c.LevelAt(l.clock().UnixMicro()))
		}
		if err := l.hear(next, passes(hashOf(1), time.Time{})); err != nil {
			t.Fatal(err)
		}
		want("level 2 anew", true)
	})
}

// levelled gives c1 a level until an instant.
func (h *house) levelled(level, untilUS int64) {
	h.t.Helper()
	k := h.flows.CustomerOf(h.pr, "c1")
	_, err := book.Do(h.t.Context(), h.book, book.Act[struct{}]{Name: "test.level", Bucket: k.Bucket(), Decide: func(p *book.Page) (struct{}, error) {
		c, ok := p.Customers.Get(k)
		if !ok {
			return struct{}{}, errors.New("nobody")
		}
		v, err := customer.DecodeVerification(c.Checks)
		row := customer.Check{ID: id.Check(p.Mint()), Customer: k, Level: level, State: customer.CheckPassed, Facts: "{}", UntilUS: untilUS}
		p.Checks.New(row)
		p.Due.New(due.At(row.ID.Raw(), due.Check, untilUS))
		p.Customers.Put(c.Verified(v.Pass(customer.Proof{Level: level, Check: row.ID, UntilUS: untilUS}, id.Person{}), p.NowUS()))
		return struct{}{}, err
	}})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) notesOfC1() string {
	h.t.Helper()
	k := h.flows.CustomerOf(h.pr, "c1")
	c, _, err := h.read.Customer(h.t.Context(), k)
	if err != nil {
		h.t.Fatal(err)
	}
	var all []string
	for n := c.LastNote; !n.IsZero(); {
		row, ok, err := h.read.Note(h.t.Context(), n)
		if err != nil || !ok {
			h.t.Fatalf("note %s: found %t, %v", n, ok, err)
		}
		all = append(all, row.Kind+" "+row.Body)
		n = row.Prev
	}
	return strings.Join(all, "\n")
}

// limits-and-risk.md section 2, profile generic: L0 150.00 EUR ever, L1 below 2,000.00
// in 180 days; one EUR is 80 INR here.
func TestDepositsNeedLevels(t *testing.T) {
	t.Parallel()
	h := licensed(t, 1)
	const euro = 80_00
	refused := func(what string, minor, remaining, level int64) {
		t.Helper()
		_, err := h.deposit(what, inr(minor))
		var no *risk.Refusal
		if !errors.As(err, &no) || no.Code != risk.CodeKYCRequired || no.Reason != risk.VerificationRequired || no.RequiredLevel != level ||
			no.Remaining == nil || no.Remaining.Minor != remaining {
			t.Errorf("%s: %v, want kyc_required with level %d and %d left", what, err, level, remaining)
		}
	}
	h.paid("one", 100*euro)
	if strings.Contains(h.notesOfC1(), "level_needed") {
		t.Errorf("told at two thirds of the threshold:\n%s", h.notesOfC1())
	}
	refused("too much", 50*euro+1, 50*euro, 1)
	open, err := h.deposit("open", inr(20*euro)) // 120 of 150: 80 in a hundred
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(h.notesOfC1(), `level_needed {"required_level":1}`); got != 1 {
		t.Errorf("told %d times at 80 in a hundred, want once:\n%s", got, h.notesOfC1())
	}
	refused("with what is open", 30*euro+1, 30*euro, 1)
	h.paid("to the end", 30*euro)
	refused("nothing is left", 1, 0, 1)
	if got := strings.Count(h.notesOfC1(), "level_needed"); got != 1 {
		t.Errorf("told %d times, want once", got)
	}
	h.apply(open.Attempt, connector.Outcome{Kind: connector.Declined, Code: payment.CodeExternalDecline})
	h.paid("what was declined is free again", 20*euro)
	h.levelled(1, h.clock().Add(time.Hour).UnixMicro())
	h.paid("level 1", 1000*euro)
	refused("level 1 has an end", 850*euro, 850*euro-1, 2)
	h.mu.Lock()
	h.now = h.now.Add(time.Hour)
	h.mu.Unlock()
	refused("level 1 is over", 1, 0, 1)
}

// A deposit in a currency without a rate cannot be judged: it goes on, and a person
// looks before anything leaves (limits-and-risk.md section 0).
func TestDepositWithoutRateIsReviewed(t *testing.T) {
	t.Parallel()
	h := licensed(t, 1)
	rules, err := risk.Load("rules.toml", []byte("profile = \"generic\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	h.rules = rules
	h.paid("one", 100)
	c, _, err := h.read.Customer(t.Context(), h.flows.CustomerOf(h.pr, "c1"))
	if err != nil || c.Review != 1 {
		t.Errorf("%d open cases, %v, want one", c.Review, err)
	}
	cases, err := h.homes[0].Cases(t.Context(), id.Case{}, 10)
	if err != nil || len(cases) != 1 || cases[0].Kind != "deposit_review" || cases[0].Customer != c.ID {
		t.Fatalf("cases %+v, %v", cases, err)
	}
	change := flow.CaseChange{Case: cases[0].ID, By: paul, Note: "a known customer"}
	for n, end := range []func() (payment.Case, error){
		func() (payment.Case, error) { return h.flows.SettleCase(t.Context(), change, flow.SettleClose) },
		func() (payment.Case, error) { return h.flows.SettleCase(t.Context(), change, flow.SettleClose) },
		func() (payment.Case, error) { return h.flows.ReopenCase(t.Context(), change) },
		func() (payment.Case, error) { return h.flows.AddEvidence(t.Context(), change, "") },
		func() (payment.Case, error) { return h.flows.SettleCase(t.Context(), change, flow.SettleClose) },
	} {
		want := []int64{0, 0, 1, 1, 0}[n]
		if _, err := end(); err != nil {
			t.Fatal(err)
		}
		if c, _, err := h.read.Customer(t.Context(), c.ID); err != nil || c.Review != want {
			t.Errorf("step %d: %d open cases, %v, want %d", n, c.Review, err, want)
		}
		h.sound()
	}
}
