package callback_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"aorta/internal/book"
	"aorta/internal/callback"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/project"
)

// house delivers callbacks of one payment's events, in memory, with a clock and
// a merchant that the test moves by hand.
type house struct {
	t         *testing.T
	home      *book.Memory
	book      *book.Book
	callbacks *callback.Callbacks
	shop      *shop
	pay       id.Payment
	last      id.Delivery
	delay     time.Duration // of all callbacks of the payment

	away     atomic.Bool // the store fails at commit
	rendered atomic.Int64
	orphan   atomic.Bool // the project is not configured

	mu   sync.Mutex
	now  time.Time
	work []due.Due
}

// shop is a merchant who answers as told: 200 when nothing is said.
type shop struct {
	house  *house
	mu     sync.Mutex
	status int
	err    error
	hook   func(body string)
	got    []post
}

type post struct {
	at   time.Duration // since the start
	body string
	kind string
}

func (s *shop) Send(_ context.Context, url string, header http.Header, body []byte) (callback.Answer, error) {
	s.mu.Lock()
	hook := s.hook
	s.got = append(s.got, post{s.house.clock().Sub(start), string(body), header.Get("X-Kind")})
	s.mu.Unlock()
	if url != address {
		s.house.t.Errorf("callback goes to %q, want %q", url, address)
	}
	if hook != nil {
		hook(string(body))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return callback.Answer{Status: s.status}, s.err
}

func (s *shop) says(status int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.err = status, err
}

func (s *shop) posts() []post {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]post(nil), s.got...)
}

const address = "https://shop.example/cb"

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

type seeded struct{ r *rand.ChaCha8 }

func (s seeded) Read(b []byte) (int, error) { return s.r.Read(b) }

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, now: start, home: book.NewMemory()}
	h.shop = &shop{house: h, status: http.StatusOK}
	h.home.Fail = func(s book.Step) book.Fault {
		if s == book.StepCommit && h.away.Load() {
			return book.FaultAway
		}
		return book.FaultNone
	}
	b, err := book.New(t.Context(), []book.Home{{Store: h.home}}, book.Options{
		Now: h.clock, Random: seeded{rand.NewChaCha8([32]byte{1})}, Epoch: 1,
		Work: func(rows []due.Due) { h.mu.Lock(); h.work = append(h.work, rows...); h.mu.Unlock() },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	h.book = b
	h.pay, err = book.Do(t.Context(), b, book.Act[id.Payment]{Name: "test.begin", Bucket: 7, Decide: func(p *book.Page) (id.Payment, error) {
		pay := payment.Payment{ID: id.Payment(p.Mint()), ProjectID: 200}
		p.Payments.New(pay)
		return pay.ID, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	h.callbacks = callback.New(b, h.home, callback.Options{
		Styles: map[string]callback.Style{"gate": {Render: h.render, Delivered: callback.Status200}},
		Projects: func(n int64) (project.Project, bool) {
			return project.Project{ID: n}, n == 200 && !h.orphan.Load()
		},
		Sender: h.shop, Now: h.clock,
	})
	return h
}

// render gives other bytes each time, so that bytes rendered anew are seen.
func (h *house) render(w event.Work, p project.Project) ([]byte, http.Header, error) {
	n := h.rendered.Add(1)
	return fmt.Appendf(nil, `{"project":%d,"status":%q,"render":%d}`, p.ID, w.Snapshot.Payment.Status, n), http.Header{"X-Kind": {"first"}}, nil
}

func (h *house) clock() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.now }

// tell writes an event of the payment and its delivery, as the flows do.
func (h *house) tell(status payment.Status, door string) id.Delivery {
	h.t.Helper()
	prev := h.last
	d, err := book.Do(h.t.Context(), h.book, book.Act[id.Delivery]{Name: "test.tell", Bucket: h.pay.Bucket(), Decide: func(p *book.Page) (id.Delivery, error) {
		snap := event.Snapshot{Payment: payment.Payment{ID: h.pay, ProjectID: 200, Status: status, CallbackDelayS: int64(h.delay / time.Second)}}
		e := event.Event{ID: id.Event(p.Mint()), Payment: h.pay, To: status, AtUS: p.NowUS(), Snapshot: snap.Encode()}
		p.Events.Append(e)
		d := event.Delivery{
			ID: id.Delivery(p.Mint()), Event: e.ID, Payment: h.pay, Prev: prev, URL: address, Door: door,
			State: event.DeliveryPending, CreatedUS: p.NowUS(), ChangedUS: p.NowUS(),
		}
		p.Deliveries.New(d)
		now := due.Now(d.ID.Raw(), due.Deliver, p.NowUS(), p.Epoch(), &event.Work{Delivery: d, Event: e, Snapshot: snap})
		if h.delay > 0 {
			now = due.At(d.ID.Raw(), due.Deliver, p.NowUS()+h.delay.Microseconds())
		}
		p.Due.New(now)
		return d.ID, nil
	}})
	if err != nil {
		h.t.Fatal(err)
	}
	h.last = d
	return d
}

// delays has all callbacks of the payment wait so long.
func (h *house) delays(d time.Duration) {
	h.t.Helper()
	h.delay = d
	_, err := book.Do(h.t.Context(), h.book, book.Act[struct{}]{Name: "test.delay", Bucket: h.pay.Bucket(), Decide: func(p *book.Page) (struct{}, error) {
		pay, _ := p.Payments.Get(h.pay)
		pay.CallbackDelayS = int64(d / time.Second)
		p.Payments.Put(pay)
		return struct{}{}, nil
	}})
	if err != nil {
		h.t.Fatal(err)
	}
}

// barrier returns when the work of all acts so far has been handed over: the
// lane does that after it has answered, and before it takes the next act.
func (h *house) barrier() {
	h.t.Helper()
	_, err := book.Do(h.t.Context(), h.book, book.Act[struct{}]{Name: "test.barrier", Bucket: h.pay.Bucket(), Decide: func(*book.Page) (struct{}, error) {
		return struct{}{}, nil
	}})
	if err != nil {
		h.t.Fatal(err)
	}
}

// settle does all work at hand, and answers the errors of it.
func (h *house) settle() error {
	var errs error
	for {
		h.barrier()
		h.mu.Lock()
		work := h.work
		h.work = nil
		h.mu.Unlock()
		if len(work) == 0 {
			return errs
		}
		for _, d := range work {
			errs = errors.Join(errs, h.callbacks.Handle(h.t.Context(), d))
		}
	}
}

func (h *house) settled() {
	h.t.Helper()
	if err := h.settle(); err != nil {
		h.t.Fatalf("Handle() = %v", err)
	}
}

// pass lets time go by, and has what is then overdue claimed and done.
func (h *house) pass(d time.Duration) {
	h.t.Helper()
	end := h.clock().Add(d)
	for {
		rows, err := h.home.Overdue(h.t.Context(), end.UnixMicro(), nil, 1)
		if err != nil {
			h.t.Fatal(err)
		}
		if len(rows) == 0 {
			break
		}
		h.set(time.UnixMicro(rows[0].DueUS))
		_, err = book.Do(h.t.Context(), h.book, book.Act[struct{}]{Name: "test.claim", Bucket: rows[0].ID.Bucket(), Decide: func(p *book.Page) (struct{}, error) {
			if d, ok := p.Due.Get(rows[0].ID); ok {
				p.Due.Put(d.Claim(p.NowUS(), p.Epoch()))
			}
			return struct{}{}, nil
		}})
		if err != nil {
			h.t.Fatal(err)
		}
		h.settled()
	}
	h.set(end)
}

func (h *house) set(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.After(h.now) {
		h.now = now
	}
}

func (h *house) delivery(d id.Delivery) event.Delivery {
	h.t.Helper()
	row, ok, err := h.home.Delivery(h.t.Context(), d)
	if err != nil || !ok {
		h.t.Fatalf("delivery %s: found %t, %v", d, ok, err)
	}
	return row
}

func (h *house) want(d id.Delivery, state event.State, tries int64) {
	h.t.Helper()
	if got := h.delivery(d); got.State != state || got.Tries != tries {
		h.t.Errorf("delivery is %s after %d tries (last: %d %q), want %s after %d", got.State, got.Tries, got.LastStatus, got.LastError, state, tries)
	}
}

func (h *house) wantDue(n int) {
	h.t.Helper()
	rows, err := h.home.ScanDue(h.t.Context(), id.Raw{}, 100)
	if err != nil || len(rows) != n {
		h.t.Errorf("%d due rows are left (%v), want %d", len(rows), err, n)
	}
}

func (h *house) wantBodies(statuses ...string) {
	h.t.Helper()
	var got []string
	for _, p := range h.shop.posts() {
		var body struct{ Status string }
		if err := json.Unmarshal([]byte(p.body), &body); err != nil {
			h.t.Fatalf("body %q: %v", p.body, err)
		}
		got = append(got, body.Status)
	}
	if fmt.Sprint(got) != fmt.Sprint(statuses) {
		h.t.Errorf("the merchant got %v, want %v", got, statuses)
	}
}

func TestPauseFollowsTheDocumentedSchedule(t *testing.T) {
	t.Parallel()
	tests := []struct {
		n    int64
		want time.Duration
	}{
		{n: 1, want: 10 * time.Second},
		{n: 6, want: 10 * time.Second},
		{n: 7, want: 84049 * time.Millisecond},     // 70 + 10*1.12^3
		{n: 8, want: 85735 * time.Millisecond},     // 70 + 10*1.12^4
		{n: 68, want: 14193862 * time.Millisecond}, // 3.9 h
		{n: 69, want: 4 * time.Hour},
		{n: 119, want: 4 * time.Hour},
		{n: 1 << 40, want: 4 * time.Hour},
	}
	for _, test := range tests {
		if got := callback.Pause(test.n, 10*time.Second); got.Round(time.Millisecond) != test.want {
			t.Errorf("Pause(%d, 10s) = %s, want %s", test.n, got, test.want)
		}
	}
}

func TestPauseGrowsToAboutTenDays(t *testing.T) {
	t.Parallel()
	var total time.Duration
	for n := int64(1); n < 120; n++ {
		p := callback.Pause(n, 10*time.Second)
		if n > 1 && p < callback.Pause(n-1, 10*time.Second) {
			t.Errorf("Pause(%d) = %s is shorter than the one before", n, p)
		}
		if scaled := 10_000 * callback.Pause(n, time.Millisecond); (p - scaled).Abs() > 10*time.Microsecond {
			t.Errorf("Pause(%d) in a unit of 1 ms is %s/10000, want %s/10000", n, scaled, p)
		}
		total += p
	}
	if days := total.Hours() / 24; days < 10 || days > 11 {
		t.Errorf("120 tries take %.1f days, want 10 to 11", days)
	}
}

func TestBytesAreStoredBeforeTheyLeave(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d := h.tell(payment.StatusCaptured, "gate")
	h.shop.hook = func(body string) {
		if got := h.delivery(d).Body; got != body {
			t.Errorf("stored while sending: %q, want %q", got, body)
		}
	}
	h.settled()
	h.want(d, event.DeliveryDelivered, 1)
	h.wantDue(0)
	if got := h.shop.posts(); len(got) != 1 || got[0].kind != "first" {
		t.Errorf("the merchant got %v, want one post with the door's own header", got)
	}
}

func TestRetriesSendTheSameBytesAndNeedNoRendering(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.shop.says(500, nil)
	d := h.tell(payment.StatusCaptured, "gate")
	h.settled()
	h.orphan.Store(true) // the project has left the settings
	h.pass(25 * time.Second)
	h.shop.says(200, nil)
	h.pass(time.Minute)
	h.want(d, event.DeliveryDelivered, 4)
	for n, p := range h.shop.posts() {
		if p.body != h.delivery(d).Body {
			t.Errorf("try %d sent %q, want the stored %q", n+1, p.body, h.delivery(d).Body)
		}
	}
	if n := h.rendered.Load(); n != 1 {
		t.Errorf("rendered %d times, want once", n)
	}
}

func TestOnly200Delivers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status int
		err    error
		want   event.State
	}{
		{status: 200, want: event.DeliveryDelivered},
		{status: 201, want: event.DeliveryPending},
		{status: 204, want: event.DeliveryPending},
		{status: 302, want: event.DeliveryPending},
		{status: 400, want: event.DeliveryPending},
		{status: 410, want: event.DeliveryPending},
		{status: 500, want: event.DeliveryPending},
		{err: errors.New("timeout"), want: event.DeliveryPending},
		{status: 200, err: errors.New("cut"), want: event.DeliveryPending},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.status, test.err), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.shop.says(test.status, test.err)
			d := h.tell(payment.StatusCaptured, "gate")
			h.settled()
			h.want(d, test.want, 1)
			if got := h.delivery(d); got.LastStatus != int64(test.status) || (got.LastError != "") != (test.err != nil) {
				t.Errorf("last try is recorded as %d %q, want %d, %v", got.LastStatus, got.LastError, test.status, test.err)
			}
		})
	}
}

func TestDeadAfter120Tries(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.shop.says(500, nil)
	d := h.tell(payment.StatusCaptured, "gate")
	h.settled()
	h.pass(12 * 24 * time.Hour)
	h.want(d, event.DeliveryDead, 120)
	h.wantDue(0)
	got := h.shop.posts()
	if len(got) != 120 {
		t.Fatalf("the merchant got %d posts, want 120", len(got))
	}
	for n := 1; n < len(got); n++ {
		if pause, want := got[n].at-got[n-1].at, callback.Pause(int64(n), 10*time.Second); (pause - want).Abs() > time.Microsecond {
			t.Errorf("pause after try %d is %s, want %s", n, pause, want)
		}
	}
	var log []struct {
		AtUS   int64 `json:"at_us"`
		Status int   `json:"status"`
	}
	if err := json.Unmarshal([]byte(h.delivery(d).Log), &log); err != nil || len(log) != 12 {
		t.Fatalf("log has %d lines (%v), want the newest 12", len(log), err)
	}
	if last := log[11]; last.Status != 500 || last.AtUS != start.Add(got[119].at).UnixMicro() {
		t.Errorf("last line of the log is %+v, want the last try's", last)
	}
	dead, err := h.home.DeadDeliveries(t.Context(), id.Delivery{}, 10)
	if err != nil || len(dead) != 1 || dead[0].ID != d {
		t.Errorf("DeadDeliveries() = %v, %v; want %s", dead, err, d)
	}
}

func TestANewerOneWaitsAndIsWokenAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.shop.says(500, nil)
	first := h.tell(payment.StatusAwaitingCustomer, "gate")
	h.settled()
	second := h.tell(payment.StatusCaptured, "gate")
	h.settled()
	h.want(second, event.DeliveryPending, 0)
	h.pass(15 * time.Second)
	h.want(first, event.DeliveryPending, 2)
	h.want(second, event.DeliveryPending, 0)
	h.shop.says(200, nil)
	h.pass(5 * time.Second) // the older one's third try
	h.want(first, event.DeliveryDelivered, 3)
	h.want(second, event.DeliveryDelivered, 1)
	h.wantBodies("awaiting_customer", "awaiting_customer", "awaiting_customer", "captured")
	if got := h.shop.posts(); got[3].at != got[2].at {
		t.Errorf("the newer one left %s after the older one had ended, want at once", got[3].at-got[2].at)
	}
	h.wantDue(0)
}

func TestANewerOneGoesOnAfterTheFirstPhase(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.shop.says(500, nil)
	first := h.tell(payment.StatusAwaitingCustomer, "gate")
	h.settled()
	second := h.tell(payment.StatusCaptured, "gate")
	h.settled()
	h.pass(59 * time.Second)
	h.want(second, event.DeliveryPending, 0)
	h.pass(2 * time.Second)
	h.want(second, event.DeliveryPending, 1)
	// The end of the older one must not disturb the newer one's own schedule.
	posts := len(h.shop.posts())
	h.shop.mu.Lock()
	h.shop.hook = func(body string) {
		if strings.Contains(body, "awaiting_customer") {
			h.shop.says(200, nil)
		} else {
			h.shop.says(500, nil)
		}
	}
	h.shop.mu.Unlock()
	if err := h.callbacks.Replay(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	h.settled()
	h.want(first, event.DeliveryDelivered, 1)
	h.want(second, event.DeliveryPending, 1)
	if got := h.shop.posts(); len(got) != posts+1 {
		t.Errorf("%d posts after the older one ended, want its own alone", len(got)-posts)
	}
}

// The first phase begins when the payment's delay is over.
func TestADelayKeepsTheOrder(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.delays(10 * time.Minute)
	h.shop.says(500, nil)
	first := h.tell(payment.StatusAwaitingCustomer, "gate")
	h.pass(3 * time.Second)
	second := h.tell(payment.StatusCaptured, "gate")
	h.pass(10*time.Minute + 20*time.Second)
	h.want(first, event.DeliveryPending, 3)
	h.want(second, event.DeliveryPending, 0)
	h.pass(time.Minute)
	h.want(second, event.DeliveryPending, 3)
}

func TestADeadOldOneWakesTheNewerOne(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.shop.says(500, nil)
	first := h.tell(payment.StatusAwaitingCustomer, "gate")
	second := h.tell(payment.StatusCaptured, "gate")
	third := h.tell(payment.StatusRefunded, "gate")
	h.settled()
	h.pass(3 * time.Minute)
	h.shop.says(200, nil)
	h.pass(30 * time.Minute)
	for _, d := range []id.Delivery{first, second, third} {
		if got := h.delivery(d).State; got != event.DeliveryDelivered {
			t.Errorf("delivery %s is %s, want delivered", d, got)
		}
	}
	h.wantDue(0)
}

func TestACrashBetweenSendAndRecordSendsEqualBytesAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d := h.tell(payment.StatusCaptured, "gate")
	h.shop.hook = func(string) { h.away.Store(true) }
	if err := h.settle(); !errors.Is(err, book.ErrNotRun) {
		t.Fatalf("Handle() = %v, want ErrNotRun", err)
	}
	h.want(d, event.DeliveryPending, 0)
	h.away.Store(false)
	h.shop.hook = nil
	h.pass(29 * time.Second)
	if n := len(h.shop.posts()); n != 1 {
		t.Errorf("%d posts while the lease lasts, want 1", n)
	}
	h.pass(2 * time.Second)
	h.want(d, event.DeliveryDelivered, 1)
	if got := h.shop.posts(); len(got) != 2 || got[0].body != got[1].body {
		t.Errorf("the merchant got %v, want equal bytes twice", got)
	}
	h.wantDue(0)
}

func TestReplay(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status int
		state  event.State
	}{
		{name: "delivered", status: 200, state: event.DeliveryDelivered},
		{name: "dead", status: 500, state: event.DeliveryDead},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.shop.says(test.status, nil)
			d := h.tell(payment.StatusCaptured, "gate")
			h.settled()
			h.pass(12 * 24 * time.Hour)
			if got := h.delivery(d).State; got != test.state {
				t.Fatalf("delivery is %s, want %s", got, test.state)
			}
			before := h.shop.posts()
			h.shop.says(200, nil)
			if err := h.callbacks.Replay(t.Context(), d); err != nil {
				t.Fatalf("Replay() = %v", err)
			}
			h.settled()
			h.want(d, event.DeliveryDelivered, 1)
			got := h.shop.posts()
			if len(got) != len(before)+1 || got[len(before)].body != before[0].body {
				t.Errorf("replay sent %v, want the first try's bytes once", got[len(before):])
			}
			h.wantDue(0)
		})
	}
}

// TestPlacesAreTheMerchants: who waits for the store, to keep what is to be told
// or what was answered, holds no place among the calls to a merchant.
func TestPlacesAreTheMerchants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		commit := make(chan struct{})
		slow := false
		h.home.Fail = func(s book.Step) book.Fault {
			if s == book.StepCommit && slow {
				<-commit
			}
			return book.FaultNone
		}
		independent := func() {
			h.last = id.Delivery{}
			h.tell(payment.StatusCaptured, "gate")
		}
		for range 10 {
			independent()
		}
		h.settled() // they show that the merchant is quick
		told := len(h.shop.posts())
		const more = callback.MaxOfHost + callback.MaxLine
		for range more {
			independent()
		}
		h.barrier()
		h.mu.Lock()
		work := h.work
		h.mu.Unlock()
		slow = true
		for _, d := range work {
			go func() {
				if err := h.callbacks.Handle(t.Context(), d); err != nil {
					t.Errorf("Handle() = %v", err)
				}
			}()
		}
		for range 2 { // the first act is stored alone, the others together
			synctest.Wait()
			commit <- struct{}{}
		}
		synctest.Wait()
		if got := len(h.shop.posts()) - told; got != more {
			t.Errorf("%d of %d callbacks were sent before anything was noted of them", got, more)
		}
		close(commit)
		synctest.Wait()
	})
}

func TestReplayOfNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	elsewhere := id.Delivery(h.book.Mint(7))
	beyond := elsewhere
	beyond[6] = 200 // a bucket that there is not
	for _, d := range []id.Delivery{elsewhere, beyond} {
		if err := h.callbacks.Replay(t.Context(), d); !errors.Is(err, callback.ErrNoDelivery) {
			t.Errorf("Replay(%s) = %v, want ErrNoDelivery", d, err)
		}
	}
}

func TestTwoHandlersOfOneDeliverySendTheSameBytes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d := h.tell(payment.StatusCaptured, "gate")
	h.barrier()
	h.mu.Lock()
	work := h.work[0]
	h.work = nil
	h.mu.Unlock()
	var both sync.WaitGroup // both are sending before either has an answer
	both.Add(2)
	h.shop.hook = func(string) { both.Done(); both.Wait() }
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if err := h.callbacks.Handle(t.Context(), work); err != nil {
				t.Errorf("Handle() = %v", err)
			}
		})
	}
	wg.Wait()
	if got := h.shop.posts(); len(got) != 2 || got[0].body != got[1].body {
		t.Errorf("the merchant got %v, want equal bytes twice", got)
	}
	h.want(d, event.DeliveryDelivered, 1)
	h.wantDue(0)
	h.shop.hook = nil
	if err := h.callbacks.Handle(t.Context(), work); err != nil { // stale work
		t.Errorf("Handle() = %v", err)
	}
	if n := len(h.shop.posts()); n != 2 {
		t.Errorf("a delivery that has ended was sent again: %d posts, want 2", n)
	}
}

func TestWhatCannotBeRenderedIsAFailedTry(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.orphan.Store(true)
	d := h.tell(payment.StatusCaptured, "gate")
	h.settled()
	h.want(d, event.DeliveryPending, 1)
	if got := h.delivery(d); !strings.Contains(got.LastError, "project is not configured") || got.Body != "" {
		t.Errorf("recorded %q and body %q, want the reason and no body", got.LastError, got.Body)
	}
	h.orphan.Store(false)
	h.pass(10 * time.Second)
	h.want(d, event.DeliveryDelivered, 2)
	h.wantBodies("captured")
}

func TestAnUnknownDoorEndsAsADeadLetter(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d := h.tell(payment.StatusCaptured, "window")
	h.settled()
	h.pass(12 * 24 * time.Hour)
	h.want(d, event.DeliveryDead, 120)
	h.wantBodies()
}

func TestAStrangersErrorTextIsCutAndClean(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.shop.says(0, errors.New("certificate is for \x00\xff"+strings.Repeat("é", 4000)))
	d := h.tell(payment.StatusCaptured, "gate")
	h.settled()
	h.pass(2 * time.Hour)
	got := h.delivery(d)
	if len(got.LastError) > 256 || !utf8.ValidString(got.LastError) || strings.Contains(got.LastError, "\x00") {
		t.Errorf("LastError has %d bytes: %q", len(got.LastError), got.LastError)
	}
	if len(got.Log) > 12*400 {
		t.Errorf("log has %d bytes, want it bounded", len(got.Log))
	}
}
