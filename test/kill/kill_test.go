// Package kill_test kills the built binary while payments are under way and
// customers play and cash out, again and again, and starts it anew: every payment must end
// settled once, the merchant told, both PSPs' books equal to ours, every move of a
// wallet there once as it was answered, and every invariant must hold at the very
// moment of death as well as in the end (torture.md T01, C1–C7, C11, C13).
package kill_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/due"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/verify"
	"aorta/test/scenario"
	"aorta/test/scenario/testdb"
)

const (
	atOnce      = 200                    // payments of one round
	killWithin  = 400 * time.Millisecond // from the first sale to the kill: a round without one takes about this long
	settledSoon = 40 * time.Second       // after the restart
	wishes      = 1_000_000              // orders that each PSP is to approve by itself
	players     = 8                      // at once, all the time
)

// kills is how many rounds there are: 50, AORTA_KILLS, or 3 under -short.
func kills(t *testing.T) int {
	t.Helper()
	if text := os.Getenv("AORTA_KILLS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("AORTA_KILLS=%q is no count", text)
		}
		return n
	}
	if testing.Short() {
		return 3
	}
	return 50
}

func TestKillsOnSQLite(t *testing.T)   { run(t, "") }
func TestKillsOnPostgres(t *testing.T) { run(t, testdb.New(t)) }

// knobs let what a kill interrupted be looked up soon, and nothing expire.
var knobs = []string{"--limit-time", "10m", "--lookup-schedule", "500ms,1s", "--callback-unit", "200ms"}

func run(t *testing.T, database string) {
	rounds, seed := kills(t), rand.Uint64()
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, seed))
	d := scenario.Start(t, database, knobs...)
	h := &hunt{t: t, demo: d, clients: scenario.NewJournal(t), key: d.APIKey}
	public, ops, sandbox := hostPort(d.Public), hostPort(d.Ops), hostPort(d.Sandbox)
	for _, name := range scenario.Providers() {
		d.Control(name, "approve", "sale", wishes)
	}
	h.players = scenario.NewPlayers(t, "player", func() scenario.Native { return scenario.Native{URL: "http://" + public, Key: h.key} })
	h.players.Go(players)
	t.Cleanup(h.players.Stop)
	begun := time.Now()
	for round := range rounds {
		accepted := h.fire(round)
		time.Sleep(time.Duration(dice.Int64N(int64(killWithin))))
		h.away.Lock()
		d.Kill()
		h.inspect(round)
		wished := h.wish(d.Sandbox)
		d.Run(public, ops, sandbox)
		<-wished
		h.away.Unlock()
		h.settled(round, accepted)
		if t.Failed() {
			t.Fatalf("round %d is wrong", round)
		}
	}
	h.players.Stop()
	h.outside()
	d.Verify()
	t.Logf("%d kills in %.0f s: %d of %d payments were unsettled or not yet begun when the process died; players had %d answers",
		rounds, time.Since(begun).Seconds(), h.interrupted, rounds*atOnce, h.players.Told())
	// A torture that hit nothing is not a pass (torture.md 2.1).
	if h.interrupted < rounds*atOnce/20 {
		t.Errorf("only %d of %d payments were under way when the process was killed", h.interrupted, rounds*atOnce)
	}
	if least := int64(rounds * players); h.players.Told() < least {
		t.Errorf("players had %d answers, want %d or more", h.players.Told(), least)
	}
}

func hostPort(address string) string { return strings.TrimPrefix(address, "http://") }

// hunt is one run on one store.
type hunt struct {
	t           *testing.T
	demo        *scenario.Demo
	interrupted int // payments that were not settled when the process died
	clients     *scenario.Journal
	received    []verify.Callback
	players     *scenario.Players
	key         string // for /v1

	// away is held while the process is dead and until the PSPs know their wishes
	// again: sales that are asked before would wait for a customer at their page.
	away sync.RWMutex
}

func name(round, n int) string { return fmt.Sprintf("Kill-%d-%d", round, n) }

// fire sends all sales of a round at once. Each client repeats until it is
// told that its payment is taken, or was: the channel closes when all were.
func (h *hunt) fire(round int) <-chan struct{} {
	var wg sync.WaitGroup
	for n := range atOnce {
		wg.Go(func() {
			for h.t.Context().Err() == nil {
				h.away.RLock()
				h.away.RUnlock() //nolint:staticcheck // waits, and guards nothing: the kill must hit requests under way
				if h.sell(name(round, n), n%4 == 0) {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	accepted := make(chan struct{})
	go func() { wg.Wait(); close(accepted) }()
	return accepted
}

// wish tells the PSPs once more to approve by themselves, as soon as they can be
// reached: the control door's wishes die with the process. What an order was
// given before does not.
func (h *hunt) wish(sandbox string) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		left := scenario.Providers()
		for h.t.Context().Err() == nil && len(left) > 0 {
			body := fmt.Sprintf(`{"connector":%q,"next":"approve","operation":"sale","count":%d}`, left[0], wishes)
			resp, err := http.Post(sandbox+"/control", "application/json", strings.NewReader(body))
			if err != nil {
				time.Sleep(time.Millisecond)
				continue
			}
			_ = resp.Body.Close()
			left = left[1:]
		}
	}()
	return done
}

// sell reports whether the sale was taken, now or before (3041).
func (h *hunt) sell(paymentID string, generic bool) bool {
	ctx, cancel := context.WithTimeout(h.t.Context(), 5*time.Second)
	defer cancel()
	path := "/v2/payment/wallet/paytm/sale"
	if generic {
		path = "/v2/payment/wallet/generic/sale"
	}
	status, answer, err := h.demo.TryGate(ctx, path, scenario.Sale(paymentID, 2500))
	if err != nil || status == http.StatusServiceUnavailable {
		return false
	}
	h.clients.Write(verify.Asked{Kind: payment.KindSale, Project: 200, Payment: paymentID, Minor: 2500}, status, answer)
	if (status == http.StatusOK && answer["status"] == "success") || answer["code"] == "3041" {
		return true
	}
	h.t.Errorf("sale %s: answer %d %v", paymentID, status, answer)
	return true
}

// inspect looks at what the dead process left: the invariants hold between any
// two commits, so they hold now.
func (h *hunt) inspect(round int) {
	h.t.Helper()
	h.demo.Read(func(r book.Reader) error {
		report, err := verify.Run(h.t.Context(), r, verify.Options{Clients: h.clients.Read()})
		if err != nil || !report.OK {
			h.t.Fatalf("round %d, after the kill: verify: %v %q", round, err, report.Violations)
		}
		if wrong := h.players.Judge(r, false); len(wrong) > 0 {
			h.t.Fatalf("round %d, after the kill: %d moves of wallets are wrong, such as %q", round, len(wrong), wrong[:min(5, len(wrong))])
		}
		settled := 0
		err = scenario.Every(r.ScanPayments, func(p payment.Payment) id.Payment {
			if strings.HasPrefix(p.MerchantPaymentID, fmt.Sprintf("Kill-%d-", round)) && p.Status == payment.StatusCaptured {
				settled++
			}
			return p.ID
		})
		h.interrupted += atOnce - settled
		return err
	})
}

// settled waits until all sales of a round are taken, succeeded, and told of.
func (h *hunt) settled(round int, accepted <-chan struct{}) {
	h.t.Helper()
	deadline := time.After(settledSoon)
	select {
	case <-accepted:
	case <-deadline:
		h.t.Fatalf("round %d: not all sales were taken in %v", round, settledSoon)
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), settledSoon)
	defer cancel()
	var wg sync.WaitGroup
	todo := make(chan string, atOnce)
	for n := range atOnce {
		todo <- name(round, n)
	}
	close(todo)
	defer func() {
		h.allTold(round)
		for n := range atOnce { // now: the merchant forgets, if it is restarted often enough
			h.received = append(h.received, h.demo.Received(name(round, n))...)
		}
	}()
	for range 8 {
		wg.Go(func() {
			for paymentID := range todo {
				h.await(ctx, round, paymentID)
			}
		})
	}
	wg.Wait()
}

// patience is how long a customer waits before looking at the PSP's page.
const patience = 3 * time.Second

func (h *hunt) await(ctx context.Context, round int, paymentID string) {
	pause, waited := 10*time.Millisecond, time.Duration(0)
	for !h.done(ctx, paymentID) {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			h.t.Errorf("round %d: payment %s is %q, and the merchant was told %q", round, paymentID, h.demo.Status(h.t.Context(), paymentID), h.told(paymentID))
			return
		}
		if waited += pause; waited > patience {
			h.pay(paymentID)
			waited = 0
		}
	}
}

// pay presses the button at the PSP's page, as a customer would whose order
// came to the PSP in the moment between its restart and its wishes.
func (h *hunt) pay(paymentID string) {
	callbacks := h.demo.Callbacks(paymentID)
	if len(callbacks) == 0 {
		return
	}
	page, _ := callbacks[len(callbacks)-1].Body["redirect_data"].(map[string]any)
	fields, _ := page["body"].(map[string]any)
	address, _ := page["url"].(string)
	form := url.Values{"action": {"approve"}}
	for name, value := range fields {
		form.Set(name, fmt.Sprint(value))
	}
	if resp, err := http.PostForm(address, form); err == nil {
		_ = resp.Body.Close()
	}
}

// done reports whether a payment has succeeded and the merchant knows.
func (h *hunt) done(ctx context.Context, paymentID string) bool {
	if h.demo.Status(ctx, paymentID) != "success" {
		return false
	}
	for _, word := range h.told(paymentID) {
		if word == "success/sale success 0" {
			return true
		}
	}
	return false
}

func (h *hunt) told(paymentID string) []string {
	var words []string
	for _, c := range h.demo.Callbacks(paymentID) {
		if !c.ValidSignature {
			h.t.Errorf("payment %s: a callback is not signed as it must be: %s", paymentID, c.Raw)
		}
		words = append(words, c.Word())
	}
	return words
}

// allTold waits until nothing is to be told any more: a callback whose time came
// again and again may arrive after the ones behind it.
func (h *hunt) allTold(round int) {
	h.t.Helper()
	waiting := 0
	for deadline := time.Now().Add(settledSoon); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		waiting = 0
		h.demo.Read(func(r book.Reader) error {
			return scenario.Every(r.ScanDue, func(d due.Due) id.Raw {
				if d.Kind == due.Deliver {
					waiting++
				}
				return d.ID
			})
		})
		if waiting == 0 {
			return
		}
	}
	h.t.Errorf("round %d: %d callbacks are still to be sent", round, waiting)
}

// hold is how long a callback waits for an older one: six units of the schedule.
const hold = 6 * 200 * time.Millisecond

// outside compares what clients, provider and merchant have seen with our books,
// both ways, by the names that both know (C2, C4, C6, C7). An order that was paid
// although its attempt had been given up is in both too: as money that we owe back.
func (h *hunt) outside() {
	h.t.Helper()
	h.demo.Read(func(r book.Reader) error {
		if wrong := h.players.Judge(r, true); len(wrong) > 0 {
			h.t.Errorf("%d moves of wallets are wrong, such as %q", len(wrong), wrong[:min(5, len(wrong))])
		}
		return nil
	})
	o := verify.Options{AtRest: true, Clients: h.clients.Read(), Merchants: &verify.Merchants{Received: h.received, Hold: hold}}
	var violations []string
	for deadline := time.Now().Add(settledSoon); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		o.Provider = h.demo.Books()
		if violations = h.excused(h.demo.Judge(o)); len(violations) == 0 {
			return
		}
	}
	h.t.Errorf("the outside and our books differ in %d places, such as: %s", len(violations), strings.Join(violations[:min(5, len(violations))], "; "))
}

// excused leaves out that a payout is open in the end which waits for it to be
// sure that its provider has never heard of it: that takes ten minutes
// (payment-loop.md L15).
func (h *hunt) excused(violations []string) []string {
	h.t.Helper()
	h.demo.Read(func(r book.Reader) error {
		waiting, err := scenario.Waiting(r, func() ([]scenario.Entry, error) { return scenario.Books(h.t.Context(), h.demo.Sandbox) })
		for _, a := range waiting {
			violations = slices.DeleteFunc(violations, func(s string) bool {
				return a.Kind == payment.KindPayout && strings.Contains(s, fmt.Sprintf("Payment %s is unknown in the end", a.Payment))
			})
		}
		return err
	})
	return violations
}
