package callback_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/callback"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/sign"
	"aorta/internal/worker"
)

// yard delivers webhooks in memory; the test moves the clock by doing what is due.
type yard struct {
	t         *testing.T
	home      *book.Memory
	book      *book.Book
	endpoints *callback.Endpoints
	callbacks *callback.Callbacks
	pay       payment.Payment

	mu      sync.Mutex
	now     time.Time
	work    []due.Due
	answers func(url string, n int) (callback.Answer, error) // nil: 200
	got     []sent
}

// sent is a message as its receiver has it.
type sent struct {
	at     time.Time
	url    string
	header http.Header
	body   string
}

func (y *yard) clock() time.Time {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.now
}

func (y *yard) Send(_ context.Context, url string, h http.Header, body []byte) (callback.Answer, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.got = append(y.got, sent{y.now, url, h.Clone(), string(body)})
	if y.answers == nil {
		return callback.Answer{Status: http.StatusOK}, nil
	}
	return y.answers(url, len(y.got))
}

var shopProject = project.Project{ID: 200, MerchantID: 1}

func newYard(t *testing.T) *yard {
	t.Helper()
	y := &yard{t: t, home: book.NewMemory(), now: start}
	random := seeded{rand.NewChaCha8([32]byte{3})}
	b, err := book.New(t.Context(), []book.Home{{Store: y.home}}, book.Options{
		Now: y.clock, Random: random, Epoch: 1,
		Work: func(rows []due.Due) { y.mu.Lock(); y.work = append(y.work, rows...); y.mu.Unlock() },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	y.book = b
	y.endpoints = y.another()
	y.callbacks = callback.New(b, y.home, callback.Options{
		Projects: func(n int64) (project.Project, bool) { return shopProject, n == 200 }, Sender: y, Now: y.clock, Endpoints: y.endpoints,
	})
	y.pay, err = book.Do(t.Context(), b, book.Act[payment.Payment]{Name: "test.begin", Bucket: 7, Decide: func(p *book.Page) (payment.Payment, error) {
		pay := payment.Payment{
			ID: id.Payment(p.Mint()), ProjectID: 200, MerchantPaymentID: "order-1", Status: payment.StatusCaptured,
			Amount: money.Amount{Minor: 5000, Currency: "EUR"}, CapturedMinor: 5000, CreatedUS: p.NowUS(),
		}
		p.Payments.New(pay)
		return pay, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return y
}

// another is the endpoints as another process has them.
func (y *yard) another() *callback.Endpoints {
	return callback.NewEndpoints(y.book, y.home, callback.EndpointOptions{
		Projects: func(n int64) (project.Project, bool) { return shopProject, n == 200 }, Key: [32]byte{9},
		Random: seeded{rand.NewChaCha8([32]byte{4})}, Now: y.clock,
	})
}

func (y *yard) create(url string, types ...string) (event.Endpoint, sign.WebhookKey) {
	y.t.Helper()
	e, k, err := y.endpoints.Create(y.t.Context(), shopProject, callback.EndpointSettings{URL: &url, Types: &types}, "")
	if err != nil {
		y.t.Fatalf("Create: %v", err)
	}
	return e, k
}

// captured writes the event of a capture as the flows do.
func (y *yard) captured() id.Event {
	y.t.Helper()
	told, err := book.Do(y.t.Context(), y.book, book.Act[id.Event]{Name: "test.capture", Bucket: 7, Decide: func(p *book.Page) (id.Event, error) {
		pay, _ := p.Payments.Get(y.pay.ID)
		pay.Events++
		e := event.Event{
			ID: id.Event(p.Mint()), Payment: pay.ID, Kind: event.PaymentCaptured, To: pay.Status, AtUS: p.NowUS(),
			Snapshot: event.Snapshot{Payment: pay}.Encode(),
		}
		p.Events.Append(e)
		for _, ep := range y.endpoints.Of(200) {
			if ep.Wants(event.TypeCaptured) {
				d := ep.Delivery(id.Delivery(p.Mint()), e, event.TypeCaptured, p.NowUS())
				d.Prev, pay.LastWebhook = pay.LastWebhook, d.ID
				p.Deliveries.New(d)
				if d.State == event.DeliveryPending {
					p.Due.New(due.Now(d.ID.Raw(), due.Deliver, p.NowUS(), p.Epoch(), nil))
				}
			}
		}
		p.Payments.Put(pay)
		return e.ID, nil
	}})
	if err != nil {
		y.t.Fatal(err)
	}
	return told
}

// settle does all work that is at hand.
func (y *yard) settle() {
	y.t.Helper()
	for {
		y.mu.Lock()
		work := y.work
		y.work = nil
		y.mu.Unlock()
		if len(work) == 0 {
			return
		}
		for _, d := range work {
			if err := y.callbacks.Handle(y.t.Context(), d); err != nil {
				y.t.Fatalf("Handle: %v", err)
			}
		}
	}
}

// next moves the clock to what is due next and does it; false if nothing is.
func (y *yard) next() bool {
	y.t.Helper()
	y.settle()
	rows, err := y.home.ScanDue(y.t.Context(), id.Raw{}, 1000)
	if err != nil {
		y.t.Fatal(err)
	}
	if len(rows) == 0 {
		return false
	}
	first := slices.MinFunc(rows, func(a, b due.Due) int { return int(a.DueUS - b.DueUS) })
	y.mu.Lock()
	if at := time.UnixMicro(first.DueUS); at.After(y.now) {
		y.now = at
	}
	y.mu.Unlock()
	if _, err := worker.Claim(y.t.Context(), y.book, first); err != nil {
		y.t.Fatalf("Claim: %v", err)
	}
	y.settle()
	return true
}

func (y *yard) rest() {
	y.t.Helper()
	for n := 0; y.next(); n++ {
		if n > 1000 {
			y.t.Fatal("it does not end")
		}
	}
}

func (y *yard) pass(d time.Duration) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.now = y.now.Add(d)
}

func (y *yard) sent() []sent {
	y.mu.Lock()
	defer y.mu.Unlock()
	return slices.Clone(y.got)
}

func (y *yard) log(k id.Endpoint, f callback.Filter) []event.Delivery {
	y.t.Helper()
	rows, _, err := y.endpoints.Log(y.t.Context(), 200, k, f, id.Delivery{}, 100)
	if err != nil {
		y.t.Fatalf("Log: %v", err)
	}
	return rows
}

func (y *yard) get(k id.Endpoint) event.Endpoint {
	y.t.Helper()
	e, err := y.endpoints.Get(y.t.Context(), 200, k)
	if err != nil {
		y.t.Fatalf("Get: %v", err)
	}
	return e
}

func verifies(m sent, keys ...sign.WebhookKey) error {
	return sign.VerifyWebhook(m.header.Values, []byte(m.body), m.at, keys...)
}

// TestWebhookRetries is the acceptance of standard-webhooks.md section 5: nine
// failures and a success are one id, ten timestamps, ten valid signatures and the
// same bytes, by the specification's schedule.
func TestWebhookRetries(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.answers = func(_ string, n int) (callback.Answer, error) {
		switch {
		case n == 10:
			return callback.Answer{Status: http.StatusAccepted}, nil
		case n%2 == 0:
			return callback.Answer{}, errors.New("no answer")
		}
		return callback.Answer{Status: http.StatusInternalServerError}, nil
	}
	ep, key := y.create("https://shop.example/hook")
	of := y.captured()
	y.rest()
	got := y.sent()
	if len(got) != 10 {
		t.Fatalf("%d tries, want 10", len(got))
	}
	pauses := []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour}
	stamps := map[string]bool{}
	for n, m := range got {
		if m.body != got[0].body || m.header.Get(sign.WebhookID) != of.String() || m.url != "https://shop.example/hook" {
			t.Errorf("try %d differs: %s %s", n+1, m.header.Get(sign.WebhookID), m.body)
		}
		if err := verifies(m, key); err != nil {
			t.Errorf("try %d: %v", n+1, err)
		}
		if m.header.Get("aorta-delivery-attempt") != fmt.Sprint(n+1) || m.header.Get("aorta-trace-id") == "" || m.header.Get("Content-Type") != "application/json" {
			t.Errorf("try %d has the headers %v", n+1, m.header)
		}
		stamps[m.header.Get(sign.WebhookTimestamp)] = true
		if n > 0 {
			if pause := m.at.Sub(got[n-1].at); pause < pauses[n-1]*8/10 || pause > pauses[n-1]*12/10 {
				t.Errorf("pause %d is %v, want %v within a fifth", n, pause, pauses[n-1])
			}
		}
	}
	if len(stamps) != 10 {
		t.Errorf("%d timestamps, want 10", len(stamps))
	}
	d := y.log(ep.ID, callback.Filter{})
	if len(d) != 1 || d[0].State != event.DeliveryDelivered || d[0].Tries != 10 {
		t.Errorf("the log has %+v", d)
	}
	if e := y.get(ep.ID); e.FailingUS != 0 || e.Failed != 0 {
		t.Errorf("after a success the endpoint still fails: %+v", e)
	}
	var m struct {
		Type, Timestamp string
		Data            struct {
			PaymentID                string `json:"payment_id"`
			MerchantPaymentID        string `json:"merchant_payment_id"`
			Status, Amount, Currency string
			Sequence                 int64
		}
	}
	if err := json.Unmarshal([]byte(got[0].body), &m); err != nil {
		t.Fatal(err)
	}
	if m.Type != "payment.captured" || m.Timestamp != "2026-01-02T03:04:05.000000Z" || m.Data.PaymentID != y.pay.ID.String() ||
		m.Data.MerchantPaymentID != "order-1" || m.Data.Status != "captured" || m.Data.Amount != "50.00" || m.Data.Currency != "EUR" || m.Data.Sequence != 1 {
		t.Errorf("the body is %s", got[0].body)
	}
}

// After the last try a message is a dead letter; a replay sends the same bytes
// under the same id, and a merchant who was silent is not asked for more.
func TestWebhookDeadAndReplayed(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.answers = func(string, int) (callback.Answer, error) { return callback.Answer{Status: http.StatusFound}, nil }
	ep, key := y.create("https://shop.example/hook", event.TypeCaptured)
	y.captured()
	y.pass(time.Hour)
	y.captured()
	from := y.clock()
	y.rest()
	if got := y.sent(); len(got) != 20 {
		t.Fatalf("%d tries, want 20", len(got))
	}
	if d := y.log(ep.ID, callback.Filter{State: event.DeliveryDead}); len(d) != 2 {
		t.Fatalf("%d dead letters, want 2", len(d))
	}
	if d := y.log(ep.ID, callback.Filter{From: from}); len(d) != 1 {
		t.Errorf("%d of the second hour, want 1", len(d))
	}
	if d := y.log(ep.ID, callback.Filter{Type: "payment.declined"}); len(d) != 0 {
		t.Errorf("%d of another type, want none", len(d))
	}
	y.answers = nil
	for _, step := range []struct {
		filter callback.Filter
		want   int
	}{{callback.Filter{Payment: id.Payment(y.book.Mint(7))}, 0}, {callback.Filter{To: from}, 1}, {callback.Filter{}, 1}, {callback.Filter{}, 0}, {callback.Filter{State: event.DeliveryDelivered}, 2}} {
		n, err := y.callbacks.ReplayTo(t.Context(), 200, ep.ID, step.filter)
		if err != nil || n != step.want {
			t.Errorf("ReplayTo(%+v) = %d, %v; want %d", step.filter, n, err, step.want)
		}
		y.rest()
	}
	got := y.sent()
	if len(got) != 24 {
		t.Fatalf("%d tries, want 24", len(got))
	}
	for n, m := range got[20:] {
		first := got[slices.IndexFunc(got, func(s sent) bool { return s.header.Get(sign.WebhookID) == m.header.Get(sign.WebhookID) })]
		if m.body != first.body || verifies(m, key) != nil {
			t.Errorf("replay %d differs or does not verify", n)
		}
	}
}

// TestWebhookRotation: while the old secret is valid a receiver that knows only
// it and one that knows only the new one both verify; then only the new one does.
func TestWebhookRotation(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	ep, old := y.create("https://shop.example/hook")
	row, fresh, err := y.endpoints.Rotate(t.Context(), 200, ep.ID, "", callback.DefaultOverlap)
	if err != nil {
		t.Fatalf("Rotate: %v", err)
	}
	if strings.Contains(row.Secret+row.OldSecret, strings.TrimPrefix(fresh.Reveal(), "whsec_")) || row.Secret == "" || row.OldSecret == "" {
		t.Error("the store has the secret itself")
	}
	y.captured()
	y.settle()
	y.pass(25 * time.Hour)
	y.captured()
	y.settle()
	pair := "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
	_, asymmetric, err := y.endpoints.Rotate(t.Context(), 200, ep.ID, pair, 0)
	if err != nil {
		t.Fatalf("Rotate to ed25519: %v", err)
	}
	y.captured()
	y.settle()
	got := y.sent()
	for n, want := range [][3]bool{{true, true, false}, {false, true, false}, {false, false, true}} {
		for m, k := range []sign.WebhookKey{old, fresh, asymmetric} {
			if err := verifies(got[n], k); (err == nil) != want[m] {
				t.Errorf("message %d with key %d: %v", n, m, err)
			}
		}
	}
	for _, bad := range []time.Duration{-1, callback.MaxOverlap + 1} {
		if _, _, err := y.endpoints.Rotate(t.Context(), 200, ep.ID, "", bad); !errors.Is(err, callback.ErrOverlap) {
			t.Errorf("Rotate with an overlap of %v: %v, want ErrOverlap", bad, err)
		}
	}
	if _, _, err := y.endpoints.Rotate(t.Context(), 200, ep.ID, "whsec_c2hvcnQ=", 0); !errors.Is(err, sign.ErrWebhookKey) {
		t.Errorf("Rotate to a short secret: %v, want ErrWebhookKey", err)
	}
}

// 410 disables at once; the project's others hear of it; what comes then is
// parked, and sent by a replay after somebody has enabled the endpoint.
func TestWebhookGone(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.answers = func(url string, _ int) (callback.Answer, error) {
		if strings.Contains(url, "gone") {
			return callback.Answer{Status: http.StatusGone}, nil
		}
		return callback.Answer{Status: http.StatusOK}, nil
	}
	gone, _ := y.create("https://gone.example/hook")
	other, key := y.create("https://other.example/hook", string(event.EndpointDisabled))
	y.captured()
	y.rest()
	if e := y.get(gone.ID); e.State != event.EndpointOff || e.Reason == "" {
		t.Fatalf("after 410 the endpoint is %s (%s)", e.State, e.Reason)
	}
	y.captured()
	y.rest()
	got := y.sent()
	if len(got) != 2 || got[1].url != other.URL || !strings.Contains(got[1].body, gone.ID.String()) || !strings.Contains(got[1].body, `"type":"endpoint.disabled"`) || verifies(got[1], key) != nil {
		t.Fatalf("sent %+v", got)
	}
	if d := y.log(gone.ID, callback.Filter{State: event.DeliveryParked}); len(d) != 2 {
		t.Fatalf("%d parked, want 2", len(d))
	}
	if _, err := y.callbacks.ReplayTo(t.Context(), 200, gone.ID, callback.Filter{}); !errors.Is(err, callback.ErrEndpointOff) {
		t.Errorf("ReplayTo a disabled endpoint: %v, want ErrEndpointOff", err)
	}
	if _, err := y.endpoints.Test(t.Context(), 200, gone.ID); !errors.Is(err, callback.ErrEndpointOff) {
		t.Errorf("Test of a disabled endpoint: %v, want ErrEndpointOff", err)
	}
	on, moved := true, "https://back.example/hook"
	if _, err := y.endpoints.Update(t.Context(), 200, gone.ID, callback.EndpointSettings{Enabled: &on, URL: &moved}); err != nil {
		t.Fatalf("Update: %v", err)
	}
	if n, err := y.callbacks.ReplayTo(t.Context(), 200, gone.ID, callback.Filter{State: event.DeliveryParked}); n != 2 || err != nil {
		t.Errorf("ReplayTo = %d, %v; want 2", n, err)
	}
	y.rest()
	if got = y.sent(); len(got) != 4 || got[3].url != moved {
		t.Errorf("after the replay %d were sent, the last to %s", len(got), got[len(got)-1].url)
	}
}

// An endpoint that takes nothing for 120 hours, and has failed ten messages, is
// disabled; its messages under way are parked. One success on the way clears it.
func TestWebhookDisabled(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	fail := true
	y.answers = func(url string, _ int) (callback.Answer, error) {
		if fail && strings.Contains(url, "deaf") {
			return callback.Answer{}, errors.New("connection refused")
		}
		return callback.Answer{Status: http.StatusOK}, nil
	}
	deaf, _ := y.create("https://deaf.example/hook")
	y.create("https://other.example/hook", string(event.EndpointDisabled), string(event.EndpointFailing))
	day := func(messages int) {
		for range messages {
			y.captured()
		}
		for until := y.clock().Add(24 * time.Hour); y.clock().Before(until); {
			if !y.next() {
				y.pass(time.Hour)
			}
		}
	}
	day(5)
	day(5)
	fail = false
	day(1)
	if e := y.get(deaf.ID); e.FailingUS != 0 || e.Failed != 0 || e.State != event.EndpointEnabled {
		t.Fatalf("after a success: %+v", e)
	}
	fail = true
	day(9)
	for range 5 {
		day(0)
	}
	if e := y.get(deaf.ID); e.State != event.EndpointEnabled || e.Failed != 9 {
		t.Fatalf("nine messages in six days have made it %s (%d failed)", e.State, e.Failed)
	}
	day(1)
	day(1)
	e := y.get(deaf.ID)
	if e.State != event.EndpointOff || !strings.Contains(e.Reason, "120h") {
		t.Fatalf("ten messages in seven days have left it %s", e.State)
	}
	y.rest()
	pending := y.log(deaf.ID, callback.Filter{State: event.DeliveryPending})
	if len(pending) != 0 || len(y.log(deaf.ID, callback.Filter{State: event.DeliveryParked})) == 0 {
		t.Errorf("%d are pending, and none is parked", len(pending))
	}
	types := map[string]int{}
	for _, m := range y.sent() {
		if strings.Contains(m.url, "other") {
			var body struct{ Type string }
			if err := json.Unmarshal([]byte(m.body), &body); err != nil {
				t.Fatal(err)
			}
			types[body.Type]++
		}
	}
	if types["endpoint.failing"] != 2 || types["endpoint.disabled"] != 1 || len(types) != 2 {
		t.Errorf("the other endpoint heard %v, want two warnings and one end", types)
	}
}

func TestWebhookPause(t *testing.T) {
	t.Parallel()
	const unit = 10 * time.Second
	seen := map[time.Duration]bool{}
	for n := range 1000 {
		d := id.Delivery(id.Derive(3, fmt.Sprint(n)))
		plain := callback.WebhookPause(d, 2, callback.Answer{Status: 500}, unit)
		seen[plain] = true
		if plain < 4*time.Minute || plain > 6*time.Minute {
			t.Fatalf("pause 2 is %v, want 5m within a fifth", plain)
		}
		if again := callback.WebhookPause(d, 2, callback.Answer{Status: 500}, unit); again != plain {
			t.Fatalf("a pause is %v and %v", plain, again)
		}
		for _, status := range []int{429, 502, 504} {
			if p := callback.WebhookPause(d, 1, callback.Answer{Status: status}, unit); p != time.Minute {
				t.Fatalf("after %d: %v, want a minute", status, p)
			}
		}
		for _, asked := range []struct{ retryAfter, want time.Duration }{{time.Second, plain}, {time.Hour, 2 * plain}, {7 * time.Minute, 7 * time.Minute}} {
			if p := callback.WebhookPause(d, 2, callback.Answer{Status: 503, RetryAfter: asked.retryAfter}, unit); p != asked.want {
				t.Fatalf("Retry-After %v: %v, want %v", asked.retryAfter, p, asked.want)
			}
		}
		if scaled := callback.WebhookPause(d, 2, callback.Answer{Status: 500}, unit/1000); (1000*scaled - plain).Abs() > time.Microsecond {
			t.Fatalf("of a thousandth of the unit: %v, want %v", scaled, plain/1000)
		}
	}
	if len(seen) < 900 {
		t.Errorf("a thousand messages have %d pauses: they would come back together", len(seen))
	}
}

// What another process has made is known here after a look, and a message for it
// is sent even before.
func TestEndpointsOfSeveralProcesses(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	other := y.another()
	address := "https://shop.example/hook"
	ep, key, err := other.Create(t.Context(), shopProject, callback.EndpointSettings{URL: &address}, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := y.endpoints.Of(200); len(got) != 0 {
		t.Fatalf("it is known before anybody looked: %v", got)
	}
	if _, err := other.Test(t.Context(), 200, ep.ID); err != nil {
		t.Fatal(err)
	}
	y.rest()
	if got := y.sent(); len(got) != 1 || verifies(got[0], key) != nil || !strings.Contains(got[0].body, `"type":"endpoint.test"`) {
		t.Fatalf("sent %+v", got)
	}
	if err := y.endpoints.Refresh(t.Context()); err != nil || len(y.endpoints.Of(200)) != 1 {
		t.Fatalf("after a look: %v, %v", y.endpoints.Of(200), err)
	}
	y.answers = func(string, int) (callback.Answer, error) { return callback.Answer{Status: 500}, nil }
	y.captured()
	y.settle()
	if err := other.Delete(t.Context(), 200, ep.ID); err != nil {
		t.Fatal(err)
	}
	if err := y.endpoints.Refresh(t.Context()); err != nil || len(y.endpoints.Of(200)) != 0 {
		t.Fatalf("after its end: %v, %v", y.endpoints.Of(200), err)
	}
	y.rest()
	dead, err := y.home.DeadDeliveries(t.Context(), id.Delivery{}, 10)
	if err != nil || len(dead) != 1 || dead[0].Tries != 2 || len(y.sent()) != 2 {
		t.Errorf("a message to a deleted endpoint: %+v, %v; sent %d", dead, err, len(y.sent()))
	}
	row, _, err := y.home.Endpoint(t.Context(), ep.ID)
	if err != nil || row.Secret != "" || row.State != event.EndpointDeleted {
		t.Errorf("a deleted endpoint keeps %+v, %v", row, err)
	}
}

// A secret that is moved to another endpoint's row does not open (security.md S18).
func TestEndpointSecretIsBoundToItsRow(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	a, _ := y.create("https://a.example/hook", event.TypeCaptured)
	b, _ := y.create("https://b.example/hook", event.TypeDeclined)
	_, err := book.Do(t.Context(), y.book, book.Act[struct{}]{Name: "test.move", Bucket: a.ID.Bucket(), Decide: func(p *book.Page) (struct{}, error) {
		row, _ := p.Endpoints.Get(a.ID)
		row.Secret = b.Secret
		p.Endpoints.Put(row)
		return struct{}{}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := y.endpoints.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	y.captured()
	y.settle()
	if got := y.sent(); len(got) != 0 {
		t.Errorf("a message was signed with another endpoint's secret: %+v", got)
	}
	if d := y.log(a.ID, callback.Filter{}); len(d) != 1 || !strings.Contains(d[0].LastError, "does not open") {
		t.Errorf("the log has %+v", d)
	}
}

func TestEndpointSettings(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	text := func(s string) *string { return &s }
	types := func(list ...string) *[]string { return &list }
	for name, c := range map[string]struct {
		settings callback.EndpointSettings
		secret   string
		want     error
	}{
		"no address":         {callback.EndpointSettings{}, "", callback.ErrEndpointURL},
		"not https":          {callback.EndpointSettings{URL: text("http://shop.example/")}, "", callback.ErrEndpointURL},
		"another port":       {callback.EndpointSettings{URL: text("https://shop.example:444/")}, "", callback.ErrEndpointURL},
		"user info":          {callback.EndpointSettings{URL: text("https://a:b@shop.example/")}, "", callback.ErrEndpointURL},
		"a fragment":         {callback.EndpointSettings{URL: text("https://shop.example/#x")}, "", callback.ErrEndpointURL},
		"no host":            {callback.EndpointSettings{URL: text("https:///x")}, "", callback.ErrEndpointURL},
		"too long":           {callback.EndpointSettings{URL: text("https://shop.example/" + strings.Repeat("x", 2048))}, "", callback.ErrEndpointURL},
		"unknown type":       {callback.EndpointSettings{URL: text("https://shop.example/"), Types: types("payment.paid")}, "", callback.ErrEndpointTypes},
		"long description":   {callback.EndpointSettings{URL: text("https://shop.example/"), Description: text(strings.Repeat("x", 256))}, "", callback.ErrEndpointText},
		"a short secret":     {callback.EndpointSettings{URL: text("https://shop.example/")}, "whsec_c2hvcnQ=", sign.ErrWebhookKey},
		"a public key alone": {callback.EndpointSettings{URL: text("https://shop.example/")}, "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=", sign.ErrWebhookKey},
	} {
		if _, _, err := y.endpoints.Create(t.Context(), shopProject, c.settings, c.secret); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	ep, _ := y.create("https://shop.example:8443/hook", "refund.declined", "payment.captured", "payment.captured")
	if ep.Types != "payment.captured refund.declined" || ep.Wants("payment.declined") || !ep.Wants("refund.declined") {
		t.Errorf("it wants %q", ep.Types)
	}
	for _, err := range []error{
		second(y.endpoints.Get(t.Context(), 201, ep.ID)), second(y.endpoints.Update(t.Context(), 201, ep.ID, callback.EndpointSettings{})),
		y.endpoints.Delete(t.Context(), 201, ep.ID), second(y.endpoints.Test(t.Context(), 201, ep.ID)),
		second(y.callbacks.ReplayTo(t.Context(), 201, ep.ID, callback.Filter{})), second(y.endpoints.Get(t.Context(), 200, id.Endpoint(id.Derive(255, "x")))),
	} {
		if !errors.Is(err, callback.ErrNoEndpoint) {
			t.Errorf("of another project: %v, want ErrNoEndpoint", err)
		}
	}
	for range callback.MaxEndpoints - 1 {
		y.create("https://shop.example/")
	}
	if _, _, err := y.endpoints.Create(t.Context(), shopProject, callback.EndpointSettings{URL: text("https://shop.example/")}, ""); !errors.Is(err, callback.ErrEndpointLimit) {
		t.Errorf("one too many: %v, want ErrEndpointLimit", err)
	}
}

func second[T any](_ T, err error) error { return err }

// What a payout in parts has come to is told in words of its own: captured and refunded
// are a payment's.
func TestWebhookOfAPayoutInParts(t *testing.T) {
	t.Parallel()
	pay := payment.Payment{
		ID: id.Payment{1}, Type: payment.TypePayout, Status: payment.StatusPaid, Amount: money.Amount{Minor: 1000, Currency: "EUR"}, CapturedMinor: 800, RefundedMinor: 200,
	}
	body, err := callback.RenderWebhook(event.Work{
		Delivery: event.Delivery{Type: event.TypePayoutPaid}, Event: event.Event{Payment: pay.ID}, Snapshot: event.Snapshot{Payment: pay},
	})
	var got struct{ Data map[string]any }
	if err == nil {
		err = json.Unmarshal(body, &got)
	}
	if err != nil || got.Data["paid_amount"] != "8.00" || got.Data["returned_amount"] != "2.00" || got.Data["status"] != "paid" || got.Data["captured"] != nil || got.Data["refunded"] != nil {
		t.Errorf("%s, %v", body, err)
	}
}
