package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"aorta/internal/callback"
	"aorta/internal/event"
	"aorta/internal/payment"
	"aorta/internal/project"
)

// told is what a callback says.
type told struct {
	Event   string
	Kind    event.Kind
	Payment string
	Status  payment.Status
	Number  int
}

// render is the callbacks' style. No two bodies are equal, so one that was
// rendered anew for a retry is seen.
func (m *merchant) render(w event.Work, _ project.Project) ([]byte, http.Header, error) {
	m.rendered++
	body, err := json.Marshal(told{w.Event.ID.String(), w.Event.Kind, w.Snapshot.Payment.MerchantPaymentID, w.Snapshot.Payment.Status, m.rendered})
	return body, nil, err
}

// merchant gets callbacks.
type merchant struct {
	w        *world
	bodies   map[string]string    // by event: what was sent first
	heard    map[string]time.Time // by event: when it had it first
	began    map[string]time.Time // by event: when it was told first
	tries    map[string]int       // by event
	poisoned map[string]bool      // by event: answered 500 for ever
	labels   map[string]string    // by event
	refused  map[string]int       // by event: how often it was told while the endpoint was down
	calls    []time.Time          // from us
	downFrom time.Time
	downTo   time.Time

	rendered int
}

func newMerchant(w *world) *merchant {
	return &merchant{
		w: w, bodies: map[string]string{}, heard: map[string]time.Time{}, began: map[string]time.Time{}, tries: map[string]int{},
		poisoned: map[string]bool{}, labels: map[string]string{}, refused: map[string]int{},
	}
}

// down reports whether the endpoint answers 503.
func (m *merchant) down() bool { return m.w.meets(MerchantDown, m.downFrom, m.downTo) }

// Send is the merchant's endpoint.
func (m *merchant) Send(_ context.Context, url string, header http.Header, body []byte) (callback.Answer, error) {
	w := m.w
	if w.hooks.has(url) {
		return w.hooks.Send(url, header, body)
	}
	var t told
	if err := json.Unmarshal(body, &t); err != nil {
		panic(err)
	}
	m.calls = append(m.calls, w.now)
	m.tries[t.Event]++
	if m.tries[t.Event] == 1 {
		label := fmt.Sprint(t.Payment, "/", t.Kind)
		m.labels[t.Event] = fmt.Sprint(label, "/", w.nth("told/"+label))
		m.began[t.Event] = w.now
		m.poisoned[t.Event] = w.chance(Poison, m.labels[t.Event])
	}
	name := fmt.Sprint(m.labels[t.Event], "/", m.tries[t.Event])
	w.crash(CrashBeforeCallback, name)
	w.freeze(w.current.of, "callback "+name)
	w.pause(0)
	if want := w.address(orderName(t.Payment), t.Kind); want != url {
		w.wrong("event %s of payment %s was told to %q, want %q", t.Kind, t.Payment, url, want)
	}
	if first, ok := m.bodies[t.Event]; ok && first != string(body) {
		w.wrong("event %s was told as %s and as %s", t.Event, first, body)
	}
	m.bodies[t.Event] = string(body)
	switch {
	case m.down():
		m.refused[t.Event]++
		return callback.Answer{Status: http.StatusServiceUnavailable}, nil
	case m.poisoned[t.Event], w.chance(MerchantFails, name):
		w.pause(w.span(time.Second, "merchant fails", name))
		return callback.Answer{Status: http.StatusInternalServerError}, nil
	}
	if _, has := m.heard[t.Event]; !has {
		m.heard[t.Event] = w.now
	}
	w.pause(w.span(time.Second, "merchant", name))
	w.crash(CrashAfterCallback, name)
	if w.chance(MerchantDeaf, name) {
		return callback.Answer{}, errors.New("no answer")
	}
	return callback.Answer{Status: http.StatusOK}, nil
}
