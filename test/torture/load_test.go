package torture_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/verify"
	"aorta/test/scenario"
	"aorta/test/torture"
)

// eachStore runs a test on both stores, at the same time unless all share one
// database.
func eachStore(t *testing.T, run func(t *testing.T, store string)) {
	together := os.Getenv(torture.GivenDatabase) == ""
	if together {
		t.Parallel()
	}
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			if together {
				t.Parallel()
			}
			run(t, store)
		})
	}
}

// clients is how many there are at once (torture.md 2.2).
const clients = 40

// players is how many customers play at once beside the clients.
const players = 8

// crowd is the base load: clients who sell through both doors, refund in part
// and in full, and look, over all accounts, at two providers that misbehave, and
// customers who play over /v1. Each writes down what it was told, flushed, before
// it asks for the next thing, and asks again until it has an answer.
type crowd struct {
	t         *testing.T
	w         *torture.World
	platforms []*torture.Platform
	page      *victim // who knows how to use the payment page
	books     books
	journal   *scenario.Journal
	players   *scenario.Players
	stopping  chan struct{}
	once      sync.Once // closes it
	wg        sync.WaitGroup
	made      atomic.Int64
	answered  atomic.Int64
}

// bought is a payment as its client knows it.
type bought struct {
	name    string
	project int
	minor   int64
	generic bool // at that provider, else at Paytm
	paid    bool
}

// path is that of its sale and, with the last word replaced, of its refunds.
func (b *bought) path(operation string) string {
	if b.generic {
		return "/v2/payment/card/generic/" + operation
	}
	return "/v2/payment/wallet/paytm/" + operation
}

// misbehaviours is one round of a provider's; mostly it does what it should.
var misbehaviours = []struct {
	next      string
	count     int
	operation string // empty: any
}{
	{"approve", 12, ""},
	{"silent", 1, ""},
	{"approve", 8, ""},
	{"duplicate", 1, ""},
	{"approve", 8, ""},
	{"decline", 1, ""},
	{"approve", 8, ""},
	{"wrong_signature", 1, ""},
	{"approve", 8, ""},
	{"http_500", 1, ""},
	{"approve", 8, ""},
	{"wrong_amount", 1, "sale"}, // such a refund would wait for a person
}

// newCrowd makes a crowd of these platforms of one store, whose limit time is
// short, and lets the provider misbehave.
func newCrowd(t *testing.T, w *torture.World, platforms ...*torture.Platform) *crowd {
	c := &crowd{t: t, w: w, platforms: platforms, books: books{t: t, w: w}, stopping: make(chan struct{}), journal: scenario.NewJournal(t)}
	c.page = &victim{t: t, w: w, p: platforms[0], sessions: map[string]string{}}
	for _, name := range scenario.Providers() {
		for range 20 {
			c.misbehave(name)
		}
	}
	c.wg.Go(func() {
		for c.wait(200 * time.Millisecond) {
			var known struct {
				Connectors map[string]struct{ Queue []struct{ Count int } }
			}
			if err := scenario.Get(context.Background(), w.OtherURL+"/control", &known); err != nil {
				continue
			}
			for _, name := range scenario.Providers() {
				for n := len(known.Connectors[name].Queue); n < 150; n += len(misbehaviours) {
					c.misbehave(name)
				}
			}
		}
	})
	for n := range clients {
		dice := rand.New(rand.NewPCG(rand.Uint64(), uint64(n)))
		c.wg.Go(func() { c.client(n, dice) })
	}
	key := platforms[0].Key(playing)
	c.players = scenario.NewPlayers(t, "player", func() scenario.Native {
		return scenario.Native{URL: platforms[rand.IntN(len(platforms))].Public, Key: key}
	})
	c.players.Go(players)
	t.Cleanup(c.stop) // a test that ends early must not leave them asking
	return c
}

// playing is the project whose customers play.
const playing = 1

func (c *crowd) misbehave(provider string) {
	for _, m := range misbehaviours {
		if err := c.w.Wish(provider, m.next, m.operation, m.count); err != nil {
			c.t.Error(err)
		}
	}
}

// wait sleeps; false when the crowd is told to stop.
func (c *crowd) wait(d time.Duration) bool {
	select {
	case <-c.stopping:
		return false
	case <-time.After(d):
		return true
	}
}

// stop lets nothing new begin, and returns when all that was asked is answered.
func (c *crowd) stop() {
	c.once.Do(func() { close(c.stopping) })
	c.wg.Wait()
	c.players.Stop()
}

func (c *crowd) client(n int, dice *rand.Rand) {
	var mine []*bought
	for c.wait(time.Duration(10+dice.IntN(60)) * time.Millisecond) {
		roll := dice.IntN(100)
		if len(mine) == 0 {
			roll = 0
		}
		if roll < 65 {
			b := &bought{name: fmt.Sprintf("c%d-%d", n, c.made.Add(1)), project: dice.IntN(torture.Accounts), minor: int64(1000 + dice.IntN(100_000))}
			if roll < 55 {
				b.generic = roll < 20
				c.sell(b)
			} else {
				c.buy(b)
			}
			mine = append(mine, b)
			continue
		}
		b := mine[dice.IntN(len(mine))]
		c.look(b)
		if roll < 85 && b.paid {
			minor := b.minor
			if dice.IntN(2) == 0 {
				minor = max(100, b.minor/int64(2+dice.IntN(4)))
			}
			c.refund(b, minor)
		}
	}
}

// ask asks any of the platforms until it is answered for good, and writes each
// answer down, or that there was none.
func (c *crowd) ask(request verify.Asked, do func(context.Context, *torture.Platform) (torture.Answer, error)) torture.Answer {
	deadline := time.Now().Add(time.Minute)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		a, err := do(ctx, c.platforms[rand.IntN(len(c.platforms))])
		cancel()
		told, status := request, 0
		if err == nil {
			told.State, status = stateOf(a), a.Status
		}
		c.note(told, status, a.Body)
		switch {
		case err == nil && a.Status < 500 && a.Status != http.StatusTooManyRequests:
			return a
		case time.Now().After(deadline):
			c.t.Errorf("%s of %s was not answered in a minute: %d %v %v", request.Kind, request.Payment, a.Status, a.Body, err)
			return a
		}
		time.Sleep(time.Duration(2+rand.IntN(10)) * time.Millisecond)
	}
}

// note writes down what was asked and answered; status 0: nothing.
func (c *crowd) note(asked verify.Asked, status int, answer map[string]any) {
	c.journal.Write(asked, status, answer)
	if status != 0 {
		c.answered.Add(1)
	}
}

// stateOf is what an answer tells for sure of a payment's state.
func stateOf(a torture.Answer) payment.Status {
	fields, _ := a.Body["payment"].(map[string]any)
	word, _ := fields["status"].(string)
	return map[string]payment.Status{
		"success": payment.StatusCaptured, "decline": payment.StatusDeclined, "refunded": payment.StatusRefunded,
		"partially refunded": payment.StatusPartiallyRefunded,
	}[word]
}

func (c *crowd) sell(b *bought) {
	request := verify.Asked{Kind: payment.KindSale, Project: torture.FirstProject + int64(b.project), Payment: b.name, Minor: b.minor}
	c.ask(request, func(ctx context.Context, p *torture.Platform) (torture.Answer, error) {
		return p.Gate(ctx, b.path("sale"), b.project, torture.Sale(b.name, b.minor))
	})
}

// buy confirms on the payment page. Pressing twice leads to the same page, so
// what is written down is that there is such a payment.
func (c *crowd) buy(b *bought) {
	if path := c.page.confirm(b.name, b.project, b.minor); path != "" {
		c.note(verify.Asked{Project: torture.FirstProject + int64(b.project), Payment: b.name}, http.StatusOK, nil)
	}
}

func (c *crowd) look(b *bought) {
	request := verify.Asked{Project: torture.FirstProject + int64(b.project), Payment: b.name}
	a := c.ask(request, func(ctx context.Context, p *torture.Platform) (torture.Answer, error) {
		return p.Gate(ctx, "/v2/payment/status", b.project, map[string]any{"general": map[string]any{"payment_id": b.name}})
	})
	s := stateOf(a)
	b.paid = s == payment.StatusCaptured || s == payment.StatusPartiallyRefunded
}

func (c *crowd) refund(b *bought, minor int64) {
	name := fmt.Sprintf("r-%d", c.made.Add(1))
	request := verify.Asked{Kind: payment.KindRefund, Project: torture.FirstProject + int64(b.project), Payment: b.name, Refund: name, Minor: minor}
	c.ask(request, func(ctx context.Context, p *torture.Platform) (torture.Answer, error) {
		return p.Gate(ctx, b.path("refund"), b.project, torture.Refund(b.name, minor, name))
	})
}

// settle stops the crowd, waits until nothing is left to do, has the provider
// tell what nobody has heard yet, ends the platforms, and has everything
// checked: the stored money, what the clients were told, the provider's books,
// what the merchant received. It gives what is not as it must be.
func (c *crowd) settle(within time.Duration) []string {
	c.t.Helper()
	c.stop()
	c.rest(within)
	violations, abandoned, err := c.books.unnoticed()
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Logf("the provider took the money of %d abandoned orders that we have not heard of", abandoned)
	c.tell()
	c.rest(within)
	for _, p := range c.platforms {
		p.Kill()
	}
	entries, err := c.w.Books()
	if err != nil {
		c.t.Fatal(err)
	}
	var report verify.Report
	err = c.w.Read(func(r book.Reader) error {
		received, err := c.books.received(r)
		if err != nil {
			return err
		}
		report, err = verify.Run(context.Background(), r, verify.Options{
			Clients: c.journal.Read(), Provider: scenario.Movements(entries, torture.PSP),
			Merchants: &verify.Merchants{Received: received, Hold: 6 * 200 * time.Millisecond},
		})
		violations = append(violations, c.players.Judge(r, true)...)
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Logf("%d payments, %d transfers, %d answers, %d to players, checks %v", report.Payments, report.Transfers, c.answered.Load(), c.players.Told(), report.Checks)
	return append(violations, report.Violations...)
}

// rest waits until nothing is left to do.
func (c *crowd) rest(within time.Duration) {
	c.t.Helper()
	why := ""
	for deadline := time.Now().Add(within); ; time.Sleep(100 * time.Millisecond) {
		if why = c.open(); why == "" {
			return
		}
		if time.Now().After(deadline) {
			c.t.Errorf("%v after the load there is still something to do: %s", within, why)
			return
		}
	}
}

// tell has the provider tell all that the platform has not taken yet.
func (c *crowd) tell() {
	c.t.Helper()
	told, taken, err := c.w.Tell()
	if err != nil || told != taken {
		c.t.Errorf("the providers told %d, of which %d were taken, want all: %v", told, taken, err)
	}
}

// open says what is not ended; "" if all is. A refund or payout of which the
// provider knows nothing may wait (C11).
func (c *crowd) open() (why string) {
	err := c.w.Read(func(r book.Reader) error {
		if err := scenario.Every(r.ScanDue, func(d due.Due) id.Raw {
			if d.Kind != due.Watch {
				why = fmt.Sprintf("%s of %s is due", d.Kind, d.ID)
			}
			return d.ID
		}); err != nil {
			return err
		}
		waiting, err := c.w.Waiting(r)
		if err != nil {
			return err
		}
		if err := scenario.Every(r.ScanAttempts, func(a payment.Attempt) id.Attempt {
			if a.Kind != payment.KindSale && !a.Status.Final() && !slices.ContainsFunc(waiting, func(w payment.Attempt) bool { return w.ID == a.ID }) {
				why = fmt.Sprintf("%s %s is %s", a.Kind, a.ID, a.Status)
			}
			return a.ID
		}); err != nil {
			return err
		}
		if err := scenario.Every(r.ScanDeliveries, func(d event.Delivery) id.Delivery {
			if d.State == event.DeliveryPending {
				why = fmt.Sprintf("delivery %s is pending", d.ID)
			}
			return d.ID
		}); err != nil {
			return err
		}
		return scenario.Every(r.ScanPayments, func(p payment.Payment) id.Payment {
			if p.Type == payment.TypePurchase && !p.Status.Final() && p.Status != payment.StatusCaptured && p.Status != payment.StatusPartiallyRefunded {
				why = fmt.Sprintf("payment %s is %s", p.MerchantPaymentID, p.Status)
			}
			return p.ID
		})
	})
	if err != nil {
		return err.Error()
	}
	return why
}

// received is what the merchant got of every payment that there is.
func (b *books) received(r book.Reader) ([]verify.Callback, error) {
	var all []verify.Callback
	err := scenario.Every(r.ScanPayments, func(p payment.Payment) id.Payment {
		for _, c := range b.callbacks(p.MerchantPaymentID) {
			x, err := c.Of(p.ProjectID)
			if err != nil {
				b.t.Error(err)
			}
			all = append(all, x)
		}
		return p.ID
	})
	slices.SortStableFunc(all, func(x, y verify.Callback) int { return int(x.AtUS - y.AtUS) })
	return all, err
}

// TestT01Random: killed at any time under load, again and again, the platform
// loses no acknowledgement and does nothing twice.
func TestT01Random(t *testing.T) {
	eachStore(t, func(t *testing.T, store string) {
		w := torture.NewWorld(t, store)
		w.Sandbox.NotifyUnit = 100 * time.Millisecond // whom a kill kept from hearing is told again soon
		p := w.NewPlatform("killed", "")
		p.Env = append(p.Env, "AORTA_LIMIT_TIME=8s")
		p.Start()
		kills := torture.Count(t, 800, 12)
		c := newCrowd(t, w, p)
		begun, under := time.Now(), 0
		for k := range kills {
			before := c.answered.Load()
			time.Sleep(time.Duration(20+rand.IntN(130)) * time.Millisecond)
			for wait := 0; c.answered.Load() == before && wait < 2000; wait++ {
				time.Sleep(time.Millisecond) // a kill that meets nobody is none
			}
			if c.answered.Load() > before {
				under++
			}
			p.Kill()
			p.Start()
			if (k+1)%100 == 0 {
				p.Verify()
			}
			if t.Failed() {
				t.Fatalf("kill %d was not survived", k+1)
			}
		}
		t.Logf("%d kills in %.1f s, %d of them while clients were being answered", kills, time.Since(begun).Seconds(), under)
		violations := c.settle(time.Minute)
		if len(violations) > 0 {
			t.Errorf("%d violations, such as %q", len(violations), violations[:min(5, len(violations))])
		}
		torture.Report(t, torture.Row{
			ID: "T01", Fault: "kill -9 at random times under load", Store: store, Planned: kills, Injected: under, Survived: under, Violations: len(violations),
		})
	})
}
