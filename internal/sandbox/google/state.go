package google

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// maxRecords bounds each kind of record; maxLog the exchanges that the page shows.
const (
	maxRecords = 10_000
	maxLog     = 400
)

// errFull: a kind of record has maxRecords of them.
var errFull = errors.New("google sandbox: too many records; start with an empty directory")

// The states of an instrument: a wallet that is linked to a user.
const (
	pending       = "pending"
	active        = "active"
	refreshNeeded = "refresh_needed"
	refused       = "refused"
	closed        = "closed"
)

// The ways to link a wallet.
const (
	byRedirect = "redirect"
	byOTP      = "otp"
)

// user is one of Google's.
type user struct{ ID, Name, Email string }

// users are all there are: two, so that one wallet can be linked by both.
var users = []user{{"sally", "Sally", "sf@gmail.com"}, {"ravi", "Ravi", "rk@gmail.com"}}

func userOf(id string) (user, bool) {
	n := slices.IndexFunc(users, func(u user) bool { return u.ID == id })
	if n < 0 {
		return user{}, false
	}
	return users[n], true
}

// instrument is a user's wallet at the integrator, being linked or linked.
type instrument struct {
	AssociationID string  `json:"association_id"`
	GPT           string  `json:"gpt"` // secret; a new one for each try to associate
	User          string  `json:"user"`
	Way           string  `json:"way"`
	State         string  `json:"state"`
	Code          string  `json:"code,omitempty"`  // why it was refused or closed
	Proof         string  `json:"proof,omitempty"` // requestId of the redirect, or of sendOtp
	Phone         string  `json:"phone,omitempty"` // that the code went to
	Call          string  `json:"call,omitempty"`  // requestId of the newest associateAccount
	AccountID     string  `json:"account_id,omitempty"`
	Nickname      string  `json:"nickname,omitempty"`
	ExpiresMS     int64   `json:"expires_ms,omitempty"` // 0: never
	AtMS          int64   `json:"at_ms"`
	Steps         [8]step `json:"steps"`
}

// step is one of the eight of the association, once it has happened.
type step struct {
	AtMS int64  `json:"at_ms,omitempty"`
	Note string `json:"note,omitempty"`
	Seq  int64  `json:"seq,omitempty"` // exchange that shows it
}

// What a redirect is for.
const (
	forLink    = "link"
	forRefresh = "refresh"
	forBuy     = "buy"
)

// session is one redirect of a user to the integrator's page.
type session struct {
	ID            string `json:"id"` // the requestId of its authentication request
	AssociationID string `json:"association_id"`
	Named         bool   `json:"named,omitempty"` // associationId was in the request: it must come back
	For           string `json:"for"`
	Product       string `json:"product,omitempty"`
	Done          bool   `json:"done,omitempty"`
	Says          string `json:"says,omitempty"`
}

// The states of purchases and refunds. sent is also that of one whose answer is
// not known, or was no final one.
const (
	sent         = "sent"
	acknowledged = "acknowledged"
	done         = "done"
	declined     = "declined"
)

// purchase is a capture, or an asynchronous one.
type purchase struct {
	ID            string `json:"id"` // its requestId
	AssociationID string `json:"association_id"`
	Title         string `json:"title"`
	Currency      string `json:"currency"`
	Micros        int64  `json:"micros"`
	Async         bool   `json:"async,omitempty"`
	State         string `json:"state"`
	Code          string `json:"code,omitempty"`
	Theirs        string `json:"theirs,omitempty"` // paymentIntegratorTransactionId
	AtMS          int64  `json:"at_ms"`
	EndedMS       int64  `json:"ended_ms,omitempty"`
	Says          string `json:"says,omitempty"`
}

// refund is one of a purchase.
type refund struct {
	ID       string `json:"id"`
	Purchase string `json:"purchase"`
	Micros   int64  `json:"micros"`
	State    string `json:"state"`
	Code     string `json:"code,omitempty"`
	Theirs   string `json:"theirs,omitempty"`
	AtMS     int64  `json:"at_ms"`
	EndedMS  int64  `json:"ended_ms,omitempty"`
	Says     string `json:"says,omitempty"`
}

// The states of a statement, as Google sees it.
const (
	notified     = "notified"
	received     = "received" // acknowledged
	accepted     = "accepted"
	acceptedWith = "accepted_with_modifications"
)

// statement is one period's.
type statement struct {
	ID      string  `json:"id"`
	StartMS int64   `json:"start_ms"`
	EndMS   int64   `json:"end_ms"`
	DueMS   int64   `json:"due_ms"`
	AtMS    int64   `json:"at_ms"`
	Memo    string  `json:"memo"`
	Lines   []event `json:"lines"`
	Fees    int64   `json:"fees"`
	Tax     int64   `json:"tax"`
	Total   int64   `json:"total"`
	Wrong   string  `json:"wrong,omitempty"` // what was made wrong in it
	Read    int     `json:"read,omitempty"`  // lines that the integrator has fetched
	State   string  `json:"state"`
	Says    string  `json:"says,omitempty"`
	// ReplacedBy is the statement that stands for it, since the integrator has disputed it.
	ReplacedBy string `json:"replaced_by,omitempty"`
}

// event is a line of a statement.
type event struct {
	Refund bool   `json:"refund,omitempty"`
	ID     string `json:"id"`
	Theirs string `json:"theirs,omitempty"`
	AtMS   int64  `json:"at_ms"`
	Micros int64  `json:"micros"`
	Fee    int64  `json:"fee,omitempty"`
}

// heard is a call of the integrator's that was answered with 200.
type heard struct {
	Key    string `json:"key"` // method, account, requestId
	Print  string `json:"print"`
	Answer object `json:"answer"`
}

// line is a line of the journal: one record as it is now.
type line struct {
	Instrument *instrument `json:"instrument,omitempty"`
	Session    *session    `json:"session,omitempty"`
	Purchase   *purchase   `json:"purchase,omitempty"`
	Refund     *refund     `json:"refund,omitempty"`
	Statement  *statement  `json:"statement,omitempty"`
	Call       *call       `json:"call,omitempty"`
	Heard      *heard      `json:"heard,omitempty"`
}

// table keeps records of one kind in the order in which they came.
type table[T any] struct {
	rows  map[string]T
	order []string
}

func (t *table[T]) put(key string, row T) error {
	if _, known := t.rows[key]; !known {
		if len(t.order) >= maxRecords {
			return errFull
		}
		if t.rows == nil {
			t.rows = map[string]T{}
		}
		t.order = append(t.order, key)
	}
	t.rows[key] = row
	return nil
}

// all gives the records, oldest first.
func (t *table[T]) all() []T {
	out := make([]T, 0, len(t.order))
	for _, key := range t.order {
		out = append(out, t.rows[key])
	}
	return out
}

// book is all that this Google remembers. Its lock guards it.
type book struct {
	sync.Mutex
	instruments table[instrument]
	sessions    table[session]
	purchases   table[purchase]
	refunds     table[refund]
	statements  table[statement]
	calls       table[call]
	heard       table[heard]
	texts       map[string]string // what was sent last under a call's key; not kept across restarts
}

func (c call) key() string { return c.Method + " " + c.ID }

// apply puts a line into the book.
func (b *book) apply(l line) error {
	switch {
	case l.Instrument != nil:
		return b.instruments.put(l.Instrument.AssociationID, *l.Instrument)
	case l.Session != nil:
		return b.sessions.put(l.Session.ID, *l.Session)
	case l.Purchase != nil:
		return b.purchases.put(l.Purchase.ID, *l.Purchase)
	case l.Refund != nil:
		return b.refunds.put(l.Refund.ID, *l.Refund)
	case l.Statement != nil:
		return b.statements.put(l.Statement.ID, *l.Statement)
	case l.Call != nil:
		return b.calls.put(l.Call.key(), *l.Call)
	case l.Heard != nil:
		return b.heard.put(l.Heard.Key, *l.Heard)
	}
	return errors.New("a line without a record")
}

// keep writes a record to the book and the journal.
func (p *Peer) keep(l line) error {
	p.book.Lock()
	defer p.book.Unlock()
	return p.keepLocked(l)
}

func (p *Peer) keepLocked(l line) error {
	if err := p.book.apply(l); err != nil {
		return err
	}
	if p.opts.Append == nil {
		return nil
	}
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return p.opts.Append(text)
}

// Load takes one line of the journal; see journal.Keeper.
func (p *Peer) Load(text []byte) error {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return err
	}
	p.book.Lock()
	defer p.book.Unlock()
	return p.book.apply(l)
}

// Dump emits the present state; see journal.Keeper.
func (p *Peer) Dump(emit func(line []byte) error) error {
	p.book.Lock()
	defer p.book.Unlock()
	var lines []line
	for _, r := range p.book.instruments.all() {
		lines = append(lines, line{Instrument: &r})
	}
	for _, r := range p.book.sessions.all() {
		lines = append(lines, line{Session: &r})
	}
	for _, r := range p.book.purchases.all() {
		lines = append(lines, line{Purchase: &r})
	}
	for _, r := range p.book.refunds.all() {
		lines = append(lines, line{Refund: &r})
	}
	for _, r := range p.book.statements.all() {
		lines = append(lines, line{Statement: &r})
	}
	for _, r := range p.book.calls.all() {
		lines = append(lines, line{Call: &r})
	}
	for _, r := range p.book.heard.all() {
		lines = append(lines, line{Heard: &r})
	}
	for _, l := range lines {
		text, err := json.Marshal(l)
		if err != nil {
			return err
		}
		if err := emit(text); err != nil {
			return err
		}
	}
	return nil
}

// begin keeps a call before it is sent, as it was first meant, and the text that
// is about to be sent.
func (p *Peer) begin(c call, text string) error {
	p.book.Lock()
	defer p.book.Unlock()
	if p.book.texts == nil || len(p.book.texts) >= maxRecords {
		p.book.texts = map[string]string{}
	}
	p.book.texts[c.key()] = text
	if _, known := p.book.calls.rows[c.key()]; known {
		return nil
	}
	return p.keepLocked(line{Call: &c})
}

// sent gives the text that was sent last under a call's name.
func (p *Peer) sent(c call) string {
	p.book.Lock()
	defer p.book.Unlock()
	return p.book.texts[c.key()]
}

// read looks at the book.
func read[T any](p *Peer, fn func(b *book) T) T {
	p.book.Lock()
	defer p.book.Unlock()
	return fn(&p.book)
}

// find gives a record of one of the book's tables.
func find[T any](p *Peer, t *table[T], key string) (T, error) {
	p.book.Lock()
	defer p.book.Unlock()
	row, known := t.rows[key]
	if !known {
		return row, fmt.Errorf("there is no %q", key)
	}
	return row, nil
}

// change changes a record in one step, unless fn says that there is nothing to
// change. It gives the record as it is then.
func change[T any](p *Peer, t *table[T], key string, wrap func(*T) line, fn func(*T) bool) (T, error) {
	p.book.Lock()
	defer p.book.Unlock()
	row, known := t.rows[key]
	if !known {
		return row, fmt.Errorf("there is no %q", key)
	}
	if !fn(&row) {
		return row, nil
	}
	return row, p.keepLocked(wrap(&row))
}

// exchange is one HTTP call as the page shows it, in the clear.
type exchange struct {
	Seq      int64  `json:"seq"`
	AtMS     int64  `json:"at_ms"`
	Outward  bool   `json:"outward"` // Google calls the integrator
	Method   string `json:"method"`
	ID       string `json:"request_id"`
	Asked    string `json:"asked"`
	Answered string `json:"answered"`
	Status   int    `json:"status"`
	Trouble  string `json:"trouble,omitempty"`
	MS       int64  `json:"ms"`
}

// wire is the newest exchanges, in memory alone.
type wire struct {
	mu   sync.Mutex
	seq  int64
	list []exchange
}

func (w *wire) add(e exchange) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seq++
	e.Seq = w.seq
	e.Asked, e.Answered = shortened(e.Asked), shortened(e.Answered)
	w.list = append(w.list, e)
	if len(w.list) > maxLog {
		w.list = slices.Clone(w.list[1:])
	}
	return e.Seq
}

// newest gives the exchanges, the newest first.
func (w *wire) newest() []exchange {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := slices.Clone(w.list)
	slices.Reverse(out)
	return out
}

// shortened takes most of every GPT out of a message: whoever has one can buy
// with it.
func shortened(text string) string {
	o, err := strict([]byte(text))
	if err != nil {
		return text
	}
	hideTokens(o)
	short, err := json.Marshal(o)
	if err != nil {
		return text
	}
	return string(short)
}

func hideTokens(v any) {
	switch v := v.(type) {
	case object:
		for name, member := range v {
			if token, ok := member.(string); ok && name == "googlePaymentToken" {
				v[name] = short(token)
				continue
			}
			hideTokens(member)
		}
	case []any:
		for _, each := range v {
			hideTokens(each)
		}
	}
}

func short(token string) string {
	if len(token) <= 8 {
		return "…"
	}
	return token[:4] + "…" + token[len(token)-2:]
}
