// Package merchant stands in for the merchant whom the platform calls back: it
// verifies and records what it is sent, and can be told to fail.
//
// It records every callback, also repeats, forgeries and those it answered
// badly, because a test wants to see exactly what was sent. It keeps the newest
// ones only; after a restart, fewer. It is no model of a shop's bookkeeping.
package merchant

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"aorta/internal/sandbox/desk"
	"aorta/internal/sandbox/ecommpay"
	"aorta/internal/sandbox/fault"
)

// Bounds on what is taken, kept and told.
const (
	maxBody       = 1 << 20 // of one callback
	maxHeld       = 4_096   // callbacks left without an answer at once
	maxFinals     = 500_000 // finals that can be asked for
	maxAnswer     = 1_000   // callbacks in one answer
	maxFinalsPage = 10_000  // finals in one answer
	maxWait       = time.Minute
	gather        = 5 * time.Millisecond // lets finals gather instead of answering each alone
	keptByRestart = 10_000               // callbacks
)

// Behaviours are the fault rules this merchant understands.
var Behaviours = []fault.Behaviour{fault.Approve, fault.HTTP500, fault.HTTP410, fault.HTTP429, fault.Timeout, fault.Slow, fault.Redirect}

// Operations are what fault rules may be limited to.
var Operations = []string{"callback", "webhook"}

// Options are the parts of a Merchant with a sensible default.
type Options struct {
	OtherSecrets []string                // of other projects whose callbacks are its own too
	Faults       *fault.Queue            // nil: it always answers 200
	Append       func(line []byte) error // remembers one line before it is answered for; nil keeps memory only
	Log          *slog.Logger            // nil discards
	SlowFor      time.Duration           // for "slow"; 0 means 2s
	HoldFor      time.Duration           // for "timeout"; 0 means 60s
	MaxCallbacks int                     // kept in memory; 0 means 200,000
	MaxBytes     int64                   // their headers and bodies together; 0 means 256 MiB
}

// Merchant records callbacks. Make it with New.
type Merchant struct {
	secret string
	opts   Options
	clock  func() time.Time
	mux    *http.ServeMux
	held   *desk.Waits
	closed chan struct{}
	once   sync.Once

	mu     sync.Mutex
	kept   []callback         // the newest ones, oldest first
	first  int64              // number of kept[0]; numbers never come back
	bytes  int64              // of kept
	index  map[string][]int64 // payment id → numbers of kept callbacks
	finals []Final            // the newest ones, oldest first
	before int64              // finals that are not kept any more
	arrive chan struct{}      // closed when a final arrives; nil while nobody waits
	stats  Stats

	hooks     []hook              // the newest ones, oldest first
	hookBytes int64               // of hooks
	hookKeys  map[string][]string // receiver → what it verifies with
}

// callback is one recorded call.
type callback struct {
	AtUS    int64  `json:"at_us"`
	Headers string `json:"headers"` // "Name: value" lines; a map would cost more than the body
	Raw     []byte `json:"raw"`
	Payment string `json:"payment,omitempty"`
	Status  string `json:"status,omitempty"`
	Valid   bool   `json:"valid,omitempty"`
	Answer  int    `json:"answer,omitempty"` // what it was answered; 0 is nothing at all
}

func (c callback) size() int64 { return int64(len(c.Headers) + len(c.Raw)) }

// Callback is one recorded call as the merchant shows it.
type Callback struct {
	ReceivedAt     string            `json:"received_at"`
	Headers        map[string]string `json:"headers"`
	Body           json.RawMessage   `json:"body"` // null when it was no JSON object
	Raw            string            `json:"raw"`
	ValidSignature bool              `json:"valid_signature"`
	Answer         int               `json:"answer"` // the status it was answered with, 0 for none
}

// Final is one verified callback that told the end of an operation and was
// answered 200. Repeats are not removed.
type Final struct {
	PaymentID string `json:"payment_id"`
	Status    string `json:"status"` // payment.status
	AtUS      int64  `json:"at_us"`
}

// Stats count everything received since the start.
type Stats struct {
	Received int64 `json:"received"`
	Valid    int64 `json:"valid"`
	Invalid  int64 `json:"invalid"`
	Finals   int64 `json:"finals"`
	Followed int64 `json:"followed"` // redirects that were followed and should not have been
}

// New makes a merchant that checks signatures with its project's secret. clock
// gives the present time.
func New(secret string, clock func() time.Time, opts Options) (*Merchant, error) {
	if clock == nil {
		return nil, errors.New("sandbox merchant: a clock is needed")
	}
	if opts.Faults == nil {
		opts.Faults = &fault.Queue{}
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.SlowFor == 0 {
		opts.SlowFor = 2 * time.Second
	}
	if opts.HoldFor == 0 {
		opts.HoldFor = time.Minute
	}
	if opts.MaxCallbacks == 0 {
		opts.MaxCallbacks = 200_000
	}
	if opts.MaxBytes == 0 {
		opts.MaxBytes = 256 << 20
	}
	m := &Merchant{
		secret: secret, opts: opts, clock: clock, mux: http.NewServeMux(),
		closed: make(chan struct{}), index: make(map[string][]int64), hookKeys: make(map[string][]string),
	}
	m.held = desk.NewWaits(maxHeld, m.closed)
	m.mux.HandleFunc("POST /merchant/callback", m.receive)
	m.mux.HandleFunc("/merchant/followed", m.followed)
	m.mux.HandleFunc("GET /merchant/callbacks", m.list)
	m.mux.HandleFunc("POST /merchant/webhook", m.webhook)
	m.mux.HandleFunc("POST /merchant/webhook/{receiver}", m.webhook)
	m.mux.HandleFunc("PUT /merchant/webhook-keys", m.setHookKeys)
	m.mux.HandleFunc("GET /merchant/webhooks", m.listHooks)
	m.mux.HandleFunc("GET /merchant/stats", m.count)
	m.mux.HandleFunc("GET /merchant/finals", m.poll)
	return m, nil
}

// ServeHTTP answers under /merchant/.
func (m *Merchant) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.mux.ServeHTTP(w, r) }

// Close lets go of held connections and waiting polls.
func (m *Merchant) Close() { m.once.Do(func() { close(m.closed) }) }

// receive is POST /merchant/callback. Anything that is JSON is answered 200,
// also forgeries: refusing them would only hide them behind the platform's
// retries. Text that is no JSON object is answered 400 (ecommpay.md section 4.1).
func (m *Merchant) receive(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "the body cannot be read or is larger than 1 MiB", http.StatusRequestEntityTooLarge)
		return
	}
	rule := m.opts.Faults.Take("callback")
	c := callback{AtUS: m.clock().UnixMicro(), Headers: lines(r.Header), Raw: raw, Answer: answerTo(rule)}
	if d, err := ecommpay.Parse(raw); err == nil {
		c.Payment, _ = d.Value("payment:id")
		c.Status, _ = d.Value("payment:status")
		c.Valid = d.Verify(m.secret) || slices.ContainsFunc(m.opts.OtherSecrets, d.Verify)
	} else if c.Answer == http.StatusOK {
		c.Answer = http.StatusBadRequest
	}
	if err := m.record(c); err != nil {
		m.opts.Log.Error("sandbox merchant: remember a callback", "error", err)
		http.Error(w, "the callback could not be recorded", http.StatusInternalServerError)
		return
	}
	m.reply(w, r, rule, c.Answer)
}

// spoiled lists what rules make of an answer that would be 200; 0 is none at all.
var spoiled = map[fault.Behaviour]int{
	fault.HTTP500:  http.StatusInternalServerError,
	fault.HTTP410:  http.StatusGone,
	fault.HTTP429:  http.StatusTooManyRequests,
	fault.Timeout:  0,
	fault.Redirect: http.StatusFound,
}

func answerTo(rule fault.Rule) int {
	if status, ok := spoiled[rule.Next]; ok {
		return status
	}
	return http.StatusOK
}

func (m *Merchant) reply(w http.ResponseWriter, r *http.Request, rule fault.Rule, status int) {
	pause := rule.Delay
	switch {
	case rule.Next == fault.Timeout && pause == 0:
		pause = m.opts.HoldFor
	case rule.Next == fault.Slow && pause == 0:
		pause = m.opts.SlowFor
	}
	if pause > 0 {
		m.held.Hold(r, pause)
	}
	switch status {
	case 0:
		panic(http.ErrAbortHandler) // net/http's way to drop a connection
	case http.StatusFound:
		w.Header().Set("Location", "/merchant/followed")
	}
	w.WriteHeader(status)
}

// lines writes a header as "Name: value" lines in order of their names.
func lines(h http.Header) string {
	var b strings.Builder
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		b.WriteString(name)
		b.WriteString(": ")
		b.WriteString(strings.Join(h[name], ", "))
		b.WriteByte('\n')
	}
	return b.String()
}

// record remembers a callback, counts it, and wakes who waits for finals.
func (m *Merchant) record(c callback) error {
	var line []byte
	if m.opts.Append != nil {
		var err error
		if line, err = json.Marshal(c); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.opts.Append != nil {
		if err := m.opts.Append(line); err != nil {
			return err
		}
	}
	m.keep(c)
	return nil
}

// keep puts a callback into memory. The caller holds m.mu.
func (m *Merchant) keep(c callback) {
	m.stats.Received++
	if c.Valid {
		m.stats.Valid++
	} else {
		m.stats.Invalid++
	}
	if c.Payment != "" {
		m.index[c.Payment] = append(m.index[c.Payment], m.first+int64(len(m.kept)))
	}
	m.kept = append(m.kept, c)
	m.bytes += c.size()
	for len(m.kept) > m.opts.MaxCallbacks || m.bytes > m.opts.MaxBytes {
		m.forget()
	}
	if c.Valid && c.Answer == http.StatusOK && final(c.Status) {
		m.stats.Finals++
		m.finals = append(m.finals, Final{PaymentID: c.Payment, Status: c.Status, AtUS: c.AtUS})
		if len(m.finals) > maxFinals {
			m.finals = m.finals[1:]
			m.before++
		}
		if m.arrive != nil {
			close(m.arrive)
			m.arrive = nil
		}
	}
}

// forget drops the oldest callback. The caller holds m.mu.
func (m *Merchant) forget() {
	oldest := m.kept[0]
	m.bytes -= oldest.size()
	m.kept[0] = callback{} // the array lives on for a while; its texts need not
	m.kept = m.kept[1:]
	m.first++
	if numbers := m.index[oldest.Payment]; len(numbers) > 1 {
		m.index[oldest.Payment] = numbers[1:]
	} else {
		delete(m.index, oldest.Payment)
	}
}

// final says whether a payment status ends an operation (ecommpay.md section 5);
// every other one waits for something.
func final(status string) bool {
	switch status {
	case "", "processing", "external processing", "scheduled recurring processing", "invoice sent":
		return false
	}
	return !strings.HasPrefix(status, "awaiting ")
}

// Load takes one journal line; see journal.Keeper.
func (m *Merchant) Load(line []byte) error {
	var x struct {
		hookLine
		callback
	}
	if err := json.Unmarshal(line, &x); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if x.Hook != nil || x.Keys != nil {
		m.keepHook(x.hookLine)
		return nil
	}
	m.keep(x.callback)
	return nil
}

// Dump emits the newest callbacks; see journal.Keeper. The file must not grow
// with every run for ever, so older ones are left behind.
func (m *Merchant) Dump(emit func(line []byte) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.kept[max(0, len(m.kept)-keptByRestart):] {
		line, err := json.Marshal(c)
		if err != nil {
			return err
		}
		if err := emit(line); err != nil {
			return err
		}
	}
	rest := []hookLine{{Keys: m.hookKeys}}
	for n := range m.hooks[max(0, len(m.hooks)-keptByRestart):] {
		rest = append(rest, hookLine{Hook: &m.hooks[max(0, len(m.hooks)-keptByRestart)+n]})
	}
	for _, x := range rest {
		if x.Hook == nil && len(x.Keys) == 0 {
			continue
		}
		line, err := json.Marshal(x)
		if err != nil {
			return err
		}
		if err := emit(line); err != nil {
			return err
		}
	}
	return nil
}

// Callbacks lists what was received for a payment, oldest first; with an empty
// id the newest of all. At most 1,000.
func (m *Merchant) Callbacks(paymentID string) []Callback {
	out := []Callback{}
	for _, c := range m.find(paymentID) {
		out = append(out, show(c))
	}
	return out
}

func show(c callback) Callback {
	shown := Callback{
		ReceivedAt: time.UnixMicro(c.AtUS).UTC().Format("2006-01-02T15:04:05.000000Z"),
		Headers:    map[string]string{}, Body: json.RawMessage("null"), Raw: string(c.Raw),
		ValidSignature: c.Valid, Answer: c.Answer,
	}
	if json.Valid(c.Raw) && bytes.HasPrefix(bytes.TrimLeft(c.Raw, " \t\r\n"), []byte("{")) {
		shown.Body = c.Raw
	}
	for line := range strings.Lines(c.Headers) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		shown.Headers[name] = value
	}
	return shown
}

func (m *Merchant) find(paymentID string) []callback {
	m.mu.Lock()
	defer m.mu.Unlock()
	if paymentID == "" {
		return slices.Clone(m.kept[max(0, len(m.kept)-maxAnswer):])
	}
	numbers := m.index[paymentID]
	var found []callback
	for _, n := range numbers[max(0, len(numbers)-maxAnswer):] {
		found = append(found, m.kept[n-m.first])
	}
	return found
}

// list is GET /merchant/callbacks?payment_id=….
func (m *Merchant) list(w http.ResponseWriter, r *http.Request) {
	m.answer(w, m.Callbacks(r.URL.Query().Get("payment_id")))
}

// count is GET /merchant/stats.
func (m *Merchant) count(w http.ResponseWriter, _ *http.Request) {
	m.mu.Lock()
	stats := m.stats
	m.mu.Unlock()
	m.answer(w, stats)
}

// followed is where "redirect" points: a platform that comes here followed it.
func (m *Merchant) followed(http.ResponseWriter, *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stats.Followed++
}

// finalsAnswer is one page of finals. Cursor is the "after" of the next
// request; Missed counts finals between "after" and the page that are no longer
// kept.
type finalsAnswer struct {
	Cursor int64   `json:"cursor"`
	Missed int64   `json:"missed"`
	Finals []Final `json:"finals"`
}

// poll is GET /merchant/finals?after=<cursor>&limit=10000&wait_ms=10000: it
// answers as soon as there are finals after the cursor, or empty when the wait
// is over. An "after" that lies ahead, from before a restart, counts as the end.
func (m *Merchant) poll(w http.ResponseWriter, r *http.Request) {
	after, err1 := number(r, "after", 0, 1<<62)
	limit, err2 := number(r, "limit", maxFinalsPage, maxFinalsPage)
	wait, err3 := number(r, "wait_ms", 10_000, maxWait.Milliseconds())
	if err := errors.Join(err1, err2, err3); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	page, arrive := m.page(after, limit)
	if len(page.Finals) == 0 && wait > 0 {
		timer := time.NewTimer(time.Duration(wait) * time.Millisecond)
		defer timer.Stop()
		select {
		case <-arrive:
			timer.Reset(gather)
			select {
			case <-timer.C:
			case <-r.Context().Done():
			}
		case <-timer.C:
		case <-r.Context().Done():
		case <-m.closed:
		}
		page, _ = m.page(after, limit)
	}
	m.answer(w, page)
}

// page returns finals after a cursor or, without any, a channel that closes with
// the next one.
func (m *Merchant) page(after, limit int64) (finalsAnswer, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	end := m.before + int64(len(m.finals))
	from := min(max(after, m.before), end)
	to := min(from+limit, end)
	if m.arrive == nil && from == to {
		m.arrive = make(chan struct{})
	}
	return finalsAnswer{
		Cursor: to,
		Missed: max(from-after, 0),
		Finals: append([]Final{}, m.finals[from-m.before:to-m.before]...),
	}, m.arrive
}

// number reads a query parameter between 0 and most.
func number(r *http.Request, name string, or, most int64) (int64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return or, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("%s must be a whole number from 0 to %d", name, most)
	}
	return n, nil
}

func (m *Merchant) answer(w http.ResponseWriter, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		m.opts.Log.Error("sandbox merchant: write an answer", "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n')) // the client going away is its own affair
}
