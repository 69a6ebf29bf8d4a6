package opsapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/callback"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/inbox"
	"aorta/internal/opsapi"
	"aorta/internal/payment"

	"github.com/prometheus/client_golang/prometheus"
)

// house is a home in memory behind the ops door, with a payment that has two
// events and two deliveries, dead letters of both kinds and a case.
type house struct {
	t    *testing.T
	home *book.Memory
	book *book.Book
	door http.Handler

	stuck     atomic.Bool // the store cannot be written
	readAway  atomic.Bool // lists and rows cannot be read
	writeAway atomic.Bool // acts cannot be committed

	pay        id.Payment
	broken     id.Payment    // its history names rows that there are not
	deliveries []id.Delivery // of pay, oldest first; the first is dead
	events     []id.Event    // of pay, oldest first
	dead       []id.Inbox
	applied    id.Inbox
	open       id.Case
}

var errAway = errors.New("secret of the store: away")

// reader fails while its house says that the store is away.
type reader struct {
	*book.Memory
	h *house
}

func (r reader) Cases(ctx context.Context, after id.Case, limit int) ([]payment.Case, error) {
	if r.h.readAway.Load() {
		return nil, errAway
	}
	return r.Memory.Cases(ctx, after, limit)
}

func (r reader) Delivery(ctx context.Context, d id.Delivery) (event.Delivery, bool, error) {
	if r.h.readAway.Load() {
		return event.Delivery{}, false, errAway
	}
	return r.Memory.Delivery(ctx, d)
}

func (r reader) Event(ctx context.Context, e id.Event) (event.Event, bool, error) {
	if r.h.readAway.Load() {
		return event.Event{}, false, errAway
	}
	return r.Memory.Event(ctx, e)
}

type seeded struct{ r *rand.ChaCha8 }

func (s seeded) Read(b []byte) (int, error) { return s.r.Read(b) }

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newHouse(t *testing.T, token string) *house {
	t.Helper()
	h := &house{t: t, home: book.NewMemory()}
	h.home.Fail = func(s book.Step) book.Fault {
		if s == book.StepCommit && h.writeAway.Load() {
			return book.FaultAway
		}
		return book.FaultNone
	}
	now := func() time.Time { return start }
	b, err := book.New(t.Context(), []book.Home{{Store: h.home}}, book.Options{Now: now, Random: seeded{rand.NewChaCha8([32]byte{1})}, Epoch: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	h.book = b
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "aorta_test", Help: "Test."}))
	h.door = opsapi.New(opsapi.Options{
		Read: reader{h.home, h}, Metrics: metrics, Token: token,
		ReplayDelivery:     callback.New(b, h.home, callback.Options{Now: now}).Replay,
		ReplayNotification: inbox.New(b, h.home, inbox.Options{}).Replay,
		Writing:            func() bool { return !h.stuck.Load() },
	})
	h.fill()
	return h
}

func (h *house) fill() {
	h.t.Helper()
	_, err := book.Do(h.t.Context(), h.book, book.Act[struct{}]{Name: "test.fill", Bucket: 3, Decide: func(p *book.Page) (struct{}, error) {
		h.deliveries, h.events, h.dead = nil, nil, nil // Decide may run again
		pay := payment.Payment{ID: id.Payment(p.Mint()), Status: payment.StatusCaptured}
		for n, kind := range []event.Kind{event.PaymentAwaiting, event.PaymentCaptured} {
			e := event.Event{
				ID: id.Event(p.Mint()), Payment: pay.ID, Prev: pay.LastEvent, Kind: kind, From: payment.StatusNew, To: payment.StatusCaptured,
				AtUS: p.NowUS(), Snapshot: event.Snapshot{Payment: pay}.Encode(),
			}
			p.Events.Append(e)
			d := event.Delivery{
				ID: id.Delivery(p.Mint()), Event: e.ID, Payment: pay.ID, Prev: pay.LastDelivery, URL: "https://shop.example/cb", Door: "gate",
				State: event.DeliveryDead, Body: `{"a":1}`, Tries: 120, LastStatus: 500, CreatedUS: p.NowUS(),
				Log: `[{"at_us":1,"status":500}]`,
			}
			if n == 1 {
				d.State, d.Log = event.DeliveryDelivered, ""
			}
			p.Deliveries.New(d)
			pay.LastEvent, pay.LastDelivery = e.ID, d.ID
			h.events, h.deliveries = append(h.events, e.ID), append(h.deliveries, d.ID)
		}
		p.Payments.New(pay)
		lost := payment.Payment{ID: id.Payment(p.Mint()), LastEvent: id.Event(p.Mint()), LastDelivery: id.Delivery(p.Mint())}
		p.Payments.New(lost)
		for n := range 3 {
			row := payment.Inbox{ID: id.Inbox(p.Mint()), Connector: "paytm", Account: "demo", State: payment.InboxDead, Tries: 6, Reason: "why", Body: "raw"}
			if n == 2 {
				row.State = payment.InboxApplied
				h.applied = row.ID
			} else {
				h.dead = append(h.dead, row.ID)
			}
			p.Inbox.New(row)
		}
		c := payment.Case{ID: id.Case(p.Mint()), Payment: pay.ID, Kind: "mismatch", State: "open", Details: `{"asked":250}`, CreatedUS: p.NowUS()}
		p.Cases.New(c)
		h.pay, h.broken, h.open = pay.ID, lost.ID, c.ID
		return struct{}{}, nil
	}})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) call(method, path, token, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", token)
	}
	w := httptest.NewRecorder()
	h.door.ServeHTTP(w, r)
	return w
}

// get wants a 200 and its JSON.
func (h *house) get(path string) map[string]any {
	h.t.Helper()
	return h.answer(h.call(http.MethodGet, path, "", ""), http.StatusOK)
}

func (h *house) answer(w *httptest.ResponseRecorder, want int) map[string]any {
	h.t.Helper()
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != want || w.Header().Get("Content-Type") != "application/json; charset=utf-8" {
		h.t.Fatalf("answer is %d %s %q (%v), want %d and JSON", w.Code, w.Header().Get("Content-Type"), w.Body, err, want)
	}
	return body
}

// ids lists the ids of a list in an answer.
func ids(body map[string]any, list string) string {
	var out []string
	rows, _ := body[list].([]any)
	for _, r := range rows {
		row, _ := r.(map[string]any)
		text, _ := row["id"].(string)
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

func (h *house) states() string {
	h.t.Helper()
	var out []string
	for _, k := range h.deliveries {
		d, _, err := h.home.Delivery(h.t.Context(), k)
		if err != nil {
			h.t.Fatal(err)
		}
		out = append(out, string(d.State))
	}
	for _, k := range append(h.dead[:len(h.dead):len(h.dead)], h.applied) {
		n, _, err := h.home.Inbox(h.t.Context(), k)
		if err != nil {
			h.t.Fatal(err)
		}
		out = append(out, string(n.State))
	}
	return strings.Join(out, " ")
}

func TestHealthAndMetrics(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "token") // of /admin alone
	if got := h.get("/healthz"); got["status"] != "ok" {
		t.Errorf("/healthz = %v", got)
	}
	if got := h.get("/readyz"); got["status"] != "ok" {
		t.Errorf("/readyz = %v", got)
	}
	if w := h.call(http.MethodGet, "/metrics", "", ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "aorta_test 0") {
		t.Errorf("/metrics = %d %s, want the registry's", w.Code, w.Body)
	}
	if w := h.call(http.MethodGet, "/debug/pprof/heap", "Bearer token", ""); w.Code != http.StatusOK || w.Body.Len() == 0 {
		t.Errorf("/debug/pprof/heap = %d, %d bytes, want a profile", w.Code, w.Body.Len())
	}
	if w := h.call(http.MethodGet, "/debug/pprof/heap", "", ""); w.Code != http.StatusUnauthorized {
		t.Errorf("/debug/pprof/heap without the token = %d, want 401", w.Code)
	}
	h.stuck.Store(true)
	if got := h.answer(h.call(http.MethodGet, "/readyz", "", ""), http.StatusServiceUnavailable); got["status"] != "unavailable" || got["reason"] == nil {
		t.Errorf("/readyz with a store that cannot be written = %v", got)
	}
	h.readAway.Store(true)
	if got := h.answer(h.call(http.MethodGet, "/readyz", "", ""), http.StatusServiceUnavailable); got["status"] != "unavailable" {
		t.Errorf("/readyz with the store away = %v", got)
	}
	if got := h.get("/healthz"); got["status"] != "ok" {
		t.Errorf("/healthz with the store away = %v: the process is well", got)
	}
}

func TestEveryAdminCallNeedsTheToken(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "sesame")
	calls := []struct{ method, path, body string }{
		{method: http.MethodGet, path: "/admin/deliveries/dead"},
		{method: http.MethodGet, path: "/admin/deliveries/" + h.deliveries[0].String()},
		{method: http.MethodGet, path: "/admin/notifications/dead"},
		{method: http.MethodGet, path: "/admin/payments/" + h.pay.String() + "/deliveries"},
		{method: http.MethodGet, path: "/admin/payments/" + h.pay.String() + "/events"},
		{method: http.MethodGet, path: "/admin/cases"},
		{method: http.MethodPost, path: "/admin/replay", body: `{"what":"deliveries","dead":true}`},
	}
	for _, c := range calls {
		for _, token := range []string{"", "sesame", "Bearer", "Bearer sesam", "Bearer sesames", "bearer sesame", "Basic sesame"} {
			w := h.call(c.method, c.path, token, c.body)
			if body := h.answer(w, http.StatusUnauthorized); body["error"] != "unauthenticated" {
				t.Errorf("%s %s with %q = %v", c.method, c.path, token, body)
			}
		}
	}
	for _, c := range [][2]string{
		{"GET", ""}, {"POST", ""}, {"GET", "/we_x"}, {"PATCH", "/we_x"}, {"DELETE", "/we_x"}, {"POST", "/we_x/rotate"}, {"POST", "/we_x/test"}, {"GET", "/we_x/deliveries"},
	} {
		h.answer(h.call(c[0], "/admin/endpoints"+c[1], "Bearer sesam", "{}"), http.StatusUnauthorized)
	}
	if got, want := h.states(), "dead delivered dead dead applied"; got != want {
		t.Errorf("states are %s without the token, want %s", got, want)
	}
	for _, c := range calls {
		h.answer(h.call(c.method, c.path, "Bearer sesame", c.body), http.StatusOK)
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	pay, d, n := h.pay.String(), h.deliveries, h.dead
	first, last := n[0], n[1]
	if first.Compare(last) > 0 {
		first, last = last, first
	}
	tests := []struct {
		path, list string
		want       string
	}{
		{path: "/admin/deliveries/dead", list: "deliveries", want: d[0].String()},
		{path: "/admin/deliveries/dead?after=" + d[0].String(), list: "deliveries"},
		{path: "/admin/notifications/dead", list: "notifications", want: first.String() + " " + last.String()},
		{path: "/admin/notifications/dead?after=" + first.String(), list: "notifications", want: last.String()},
		{path: "/admin/payments/" + pay + "/deliveries", list: "deliveries", want: d[1].String() + " " + d[0].String()},
		{path: "/admin/payments/" + pay + "/events", list: "events", want: h.events[1].String() + " " + h.events[0].String()},
		{path: "/admin/payments/" + id.Payout(h.pay).String() + "/events", list: "events", want: h.events[1].String() + " " + h.events[0].String()},
		{path: "/admin/cases", list: "cases", want: h.open.String()},
		{path: "/admin/cases?after=" + h.open.String(), list: "cases"},
	}
	for _, test := range tests {
		t.Run(test.path, func(t *testing.T) {
			body := h.get(test.path)
			if _, is := body[test.list].([]any); !is {
				t.Fatalf("GET %s = %v, want a list of %s", test.path, body, test.list)
			}
			if got := ids(body, test.list); got != test.want {
				t.Errorf("GET %s lists %q, want %q", test.path, got, test.want)
			}
		})
	}
}

func TestViews(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	got := h.get("/admin/deliveries/" + h.deliveries[0].String())
	for name, want := range map[string]any{
		"payment": h.pay.String(), "event": h.events[0].String(), "url": "https://shop.example/cb", "state": "dead", "tries": 120.0,
		"last_status": 500.0, "created_at": "2026-01-02T03:04:05Z",
	} {
		if got[name] != want {
			t.Errorf("delivery has %s %v, want %v", name, got[name], want)
		}
	}
	if log, is := got["log"].([]any); !is || len(log) != 1 {
		t.Errorf("delivery has log %v, want one line", got["log"])
	}
	if log, is := h.get("/admin/deliveries/" + h.deliveries[1].String())["log"].([]any); !is || len(log) != 0 {
		t.Errorf("delivery without a log has %v, want an empty one", log)
	}
	events := h.get("/admin/payments/" + h.pay.String() + "/events")
	if events["payment"] != h.pay.String() || events["status"] != "captured" {
		t.Errorf("events are of %v %v, want %s captured", events["payment"], events["status"], h.pay)
	}
	text, err := json.Marshal(h.get("/admin/cases")["cases"])
	if err != nil || !strings.Contains(string(text), `"details":{"asked":250}`) || !strings.Contains(string(text), `"kind":"mismatch"`) {
		t.Errorf("cases are %s (%v), want kind and details", text, err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	elsewhere := h.book.Mint(3)
	pay, delivery, notice := id.Payment(elsewhere).String(), id.Delivery(elsewhere).String(), id.Inbox(elsewhere).String()
	beyond := elsewhere
	beyond[6] = 200 // a bucket that there is not
	far := id.Delivery(beyond).String()
	const get, post, replay = http.MethodGet, http.MethodPost, "/admin/replay"
	tests := []struct {
		name, method, path, body string
		want                     int
		word                     string
	}{
		{name: "unknown delivery", method: get, path: "/admin/deliveries/" + delivery, want: 404, word: "not_found"},
		{name: "delivery of no bucket", method: get, path: "/admin/deliveries/" + far, want: 404, word: "not_found"},
		{name: "malformed delivery", method: get, path: "/admin/deliveries/cb_1", want: 422, word: "validation_failed"},
		{name: "a payment's id as a delivery's", method: get, path: "/admin/deliveries/" + pay, want: 422, word: "validation_failed"},
		{name: "deliveries of an unknown payment", method: get, path: "/admin/payments/" + pay + "/deliveries", want: 404, word: "not_found"},
		{name: "events of an unknown payment", method: get, path: "/admin/payments/" + pay + "/events", want: 404, word: "not_found"},
		{name: "deliveries of a malformed payment", method: get, path: "/admin/payments/1/deliveries", want: 422, word: "validation_failed"},
		{name: "events of a malformed payment", method: get, path: "/admin/payments/1/events", want: 422, word: "validation_failed"},
		{name: "dead deliveries after nonsense", method: get, path: "/admin/deliveries/dead?after=x", want: 422, word: "validation_failed"},
		{name: "dead notifications after nonsense", method: get, path: "/admin/notifications/dead?after=x", want: 422, word: "validation_failed"},
		{name: "cases after nonsense", method: get, path: "/admin/cases?after=x", want: 422, word: "validation_failed"},
		{name: "history that cannot be followed", method: get, path: "/admin/payments/" + h.broken.String() + "/deliveries", want: 500, word: "internal"},
		{name: "events that cannot be followed", method: get, path: "/admin/payments/" + h.broken.String() + "/events", want: 500, word: "internal"},

		{name: "replay of an unknown delivery", method: post, path: replay, body: `{"what":"deliveries","ids":["` + delivery + `"]}`, want: 404, word: "not_found"},
		{name: "replay of a delivery of no bucket", method: post, path: replay, body: `{"what":"deliveries","ids":["` + far + `"]}`, want: 404, word: "not_found"},
		{name: "replay of an unknown notification", method: post, path: replay, body: `{"what":"notifications","ids":["` + notice + `"]}`, want: 404, word: "not_found"},
		{
			name: "replay of a malformed id after a good one", method: post, path: replay,
			body: `{"what":"deliveries","ids":["` + h.deliveries[0].String() + `","x"]}`, want: 422, word: "validation_failed",
		},
		{name: "replay of something else", method: post, path: replay, body: `{"what":"payments","dead":true}`, want: 422, word: "validation_failed"},
		{name: "replay of nothing", method: post, path: replay, body: `{"what":"deliveries"}`, want: 422, word: "validation_failed"},
		{name: "replay of some and all", method: post, path: replay, body: `{"what":"deliveries","ids":["` + delivery + `"],"dead":true}`, want: 422, word: "validation_failed"},
		{name: "replay of a word that is none", method: post, path: replay, body: `{"what":"deliveries","dead":"yes"}`, want: 422, word: "validation_failed"},
		{name: "replay with an unknown field", method: post, path: replay, body: `{"what":"deliveries","dead":true,"all":1}`, want: 422, word: "validation_failed"},
		{name: "replay that is not JSON", method: post, path: replay, body: `what=deliveries`, want: 400, word: "malformed_json"},
		{name: "replay of a list", method: post, path: replay, body: `[]`, want: 400, word: "malformed_json"},
		{name: "replay that says it twice", method: post, path: replay, body: `{"what":"deliveries","dead":true,"what":"notifications"}`, want: 400, word: "malformed_json"},
		{name: "replay without a body", method: post, path: replay, want: 400, word: "malformed_json"},
		{name: "replay that is too long", method: post, path: replay, body: `{"what":"deliveries","ids":["` + strings.Repeat("a", 1<<20) + `"]}`, want: 413, word: "too_large"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := h.call(test.method, test.path, "", test.body)
			body := h.answer(w, test.want)
			trace, _ := body["trace_id"].(string)
			_, object := body["details"].(map[string]any)
			if body["error"] != test.word || body["message"] == "" || len(trace) != 32 || trace != w.Header().Get("Aorta-Trace-Id") || !object {
				t.Errorf("%s %s = %v with trace %q, want %s, the same trace, and details", test.method, test.path, body, w.Header().Get("Aorta-Trace-Id"), test.word)
			}
		})
	}
	if got, want := h.states(), "dead delivered dead dead applied"; got != want {
		t.Errorf("states are %s after refusals alone, want %s", got, want)
	}
}

func TestWhatIsNoCall(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	tests := []struct {
		method, path string
		want         int
	}{
		{method: http.MethodGet, path: "/admin", want: 404},
		{method: http.MethodGet, path: "/admin/payments/" + h.pay.String(), want: 404},
		{method: http.MethodGet, path: "/", want: 404},
		{method: http.MethodGet, path: "/admin/replay", want: 405},
		{method: http.MethodPost, path: "/admin/cases", want: 405},
		{method: http.MethodDelete, path: "/admin/deliveries/" + h.deliveries[0].String(), want: 405},
	}
	for _, test := range tests {
		w := h.call(test.method, test.path, "", "")
		if w.Code != test.want {
			t.Errorf("%s %s = %d, want %d", test.method, test.path, w.Code, test.want)
		}
		if test.path == "/" {
			continue
		}
		body := h.answer(w, test.want)
		if trace, _ := body["trace_id"].(string); len(trace) != 32 || body["error"] != map[int]string{404: "not_found", 405: "method_not_allowed"}[test.want] {
			t.Errorf("%s %s says %v", test.method, test.path, body)
		}
		if allow := w.Header().Get("Allow"); (allow != "") != (test.want == 405) {
			t.Errorf("%s %s: Allow %q", test.method, test.path, allow)
		}
	}
}

func TestReplay(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		body func(h *house) string
		want float64
		left string // states of the deliveries, then of the notifications
	}{
		{
			name: "a dead delivery", want: 1, left: "pending delivered dead dead applied",
			body: func(h *house) string { return `{"what":"deliveries","ids":["` + h.deliveries[0].String() + `"]}` },
		},
		{
			name: "a delivered one", want: 1, left: "dead pending dead dead applied",
			body: func(h *house) string { return `{"what":"deliveries","ids":["` + h.deliveries[1].String() + `"]}` },
		},
		{
			name: "two by their ids", want: 2, left: "pending pending dead dead applied",
			body: func(h *house) string {
				return `{"what":"deliveries","ids":["` + h.deliveries[0].String() + `","` + h.deliveries[1].String() + `"]}`
			},
		},
		{
			name: "all dead deliveries", want: 1, left: "pending delivered dead dead applied",
			body: func(*house) string { return `{"what":"deliveries","dead":true}` },
		},
		{
			name: "a notification", want: 1, left: "dead delivered dead stored applied",
			body: func(h *house) string { return `{"what":"notifications","ids":["` + h.dead[1].String() + `"]}` },
		},
		{
			name: "all dead notifications", want: 2, left: "dead delivered stored stored applied",
			body: func(*house) string { return `{"what":"notifications","dead":true}` },
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, "")
			if got := h.answer(h.call(http.MethodPost, "/admin/replay", "", test.body(h)), http.StatusOK); got["replayed"] != test.want {
				t.Errorf("replayed %v, want %v", got["replayed"], test.want)
			}
			if got := h.states(); got != test.left {
				t.Errorf("states are %s, want %s", got, test.left)
			}
		})
	}
}

// A page is 200 rows.
func TestReplayOfManyDeadLetters(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	_, err := book.Do(t.Context(), h.book, book.Act[struct{}]{Name: "test.many", Bucket: 4, Decide: func(p *book.Page) (struct{}, error) {
		for range 450 {
			p.Inbox.New(payment.Inbox{ID: id.Inbox(p.Mint()), State: payment.InboxDead})
		}
		return struct{}{}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	got := h.answer(h.call(http.MethodPost, "/admin/replay", "", `{"what":"notifications","dead":true}`), http.StatusOK)
	if got["replayed"] != 452.0 {
		t.Errorf("replayed %v, want 452", got["replayed"])
	}
	if left := ids(h.get("/admin/notifications/dead"), "notifications"); left != "" {
		t.Errorf("left are %s, want none", left)
	}
}

func TestTheStoreIsAway(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	h.readAway.Store(true)
	for _, path := range []string{
		"/admin/cases", "/admin/deliveries/" + h.deliveries[0].String(), "/admin/payments/" + h.pay.String() + "/deliveries",
		"/admin/payments/" + h.pay.String() + "/events",
	} {
		w := h.call(http.MethodGet, path, "", "")
		if body := h.answer(w, http.StatusInternalServerError); body["error"] != "internal" || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("GET %s = %v, want internal and no more", path, body)
		}
	}
	h.writeAway.Store(true)
	w := h.call(http.MethodPost, "/admin/replay", "", `{"what":"deliveries","dead":true}`)
	if body := h.answer(w, http.StatusServiceUnavailable); body["error"] != "overloaded" || w.Header().Get("Retry-After") == "" {
		t.Errorf("replay = %v with Retry-After %q, want 503 with one", body, w.Header().Get("Retry-After"))
	}
}
