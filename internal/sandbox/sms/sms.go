// Package sms simulates a gateway that brings texts to phones, by the Messages
// resource of Twilio's API of 2010-04-01, and the phones: their inbox is a page and
// a list. It is written without the platform's code.
//
// Some numbers behave always alike, as with Twilio's own test credentials; what else
// is to go wrong the control door says. It keeps the newest messages only.
package sms

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	_ "embed" // the page
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf16"

	"aorta/internal/sandbox/desk"
	"aorta/internal/sandbox/fault"
)

// Bounds on what is taken and kept.
const (
	maxBody = 16 << 10 // of one request
	maxText = 1_600    // characters of one message, as with Twilio
	maxHeld = 1_024    // answers that wait at once
	maxKept = 10_000   // messages
	maxPage = 100      // messages that the page shows
)

// Behaviours are the fault rules of the gateway: approve brings the message, decline
// refuses it, silent takes it and brings it to nobody, late brings it later, timeout
// brings it and answers nothing, http_500 and http_429 take nothing.
var Behaviours = []fault.Behaviour{
	fault.Approve, fault.Decline, fault.Silent, fault.Timeout, fault.Late, fault.Slow, fault.HTTP500, fault.HTTP429,
}

// Account is one customer of the gateway.
type Account struct {
	SID string // and user name
	Key string
}

// Options are the parts of a Simulator with a default.
type Options struct {
	Prefix    string                  // of the paths: "/sms"
	Faults    *fault.Queue            // nil: it always brings messages
	Append    func(line []byte) error // remembers one line before it is answered for; nil keeps memory only
	Rand      io.Reader               // names of messages; nil means crypto/rand
	Log       *slog.Logger            // nil discards; no number and no text is logged
	LateAfter time.Duration           // for "late"; 0 means 30s
	SlowFor   time.Duration           // for "slow"; 0 means 2s
	HoldFor   time.Duration           // for "timeout"; 0 means 60s
}

// Simulator is the gateway and the phones. Make it with New.
type Simulator struct {
	opts     Options
	clock    func() time.Time
	mux      *http.ServeMux
	accounts map[string]string // SID → key
	held     *desk.Waits
	closed   chan struct{}
	once     sync.Once

	mu    sync.Mutex
	kept  []Message // oldest first
	asked int64     // requests of known accounts, whatever became of them
}

// Message is one message as a phone has it.
type Message struct {
	SID  string `json:"sid"`
	From string `json:"from"`
	To   string `json:"to"`
	Text string `json:"text"`
	AtUS int64  `json:"at_us"` // when the phone gets it
}

// New makes a simulator of the given accounts. clock gives the present time.
func New(accounts []Account, clock func() time.Time, opts Options) (*Simulator, error) {
	if clock == nil {
		return nil, errors.New("sms sandbox: a clock is needed")
	}
	if opts.Faults == nil {
		opts.Faults = &fault.Queue{}
	}
	if opts.Rand == nil {
		opts.Rand = rand.Reader
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	opts.LateAfter = desk.OrElse(opts.LateAfter, 30*time.Second)
	opts.SlowFor = desk.OrElse(opts.SlowFor, 2*time.Second)
	opts.HoldFor = desk.OrElse(opts.HoldFor, time.Minute)
	s := &Simulator{
		opts: opts, clock: clock, mux: http.NewServeMux(), accounts: make(map[string]string, len(accounts)), closed: make(chan struct{}),
	}
	s.held = desk.NewWaits(maxHeld, s.closed)
	for _, a := range accounts {
		switch {
		case a.SID == "" || a.Key == "":
			return nil, errors.New("sms sandbox: an account needs a SID and a key")
		case s.accounts[a.SID] != "":
			return nil, fmt.Errorf("sms sandbox: account %q is given twice", a.SID)
		}
		s.accounts[a.SID] = a.Key
	}
	s.mux.HandleFunc("POST "+opts.Prefix+"/2010-04-01/Accounts/{sid}/Messages.json", s.take)
	s.mux.HandleFunc("GET "+opts.Prefix+"/inbox", s.list)
	s.mux.HandleFunc("GET "+opts.Prefix+"/{$}", s.page)
	return s, nil
}

// ServeHTTP answers the paths under Options.Prefix.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Close lets go of held connections.
func (s *Simulator) Close() { s.once.Do(func() { close(s.closed) }) }

// refusal is the gateway's no.
type refusal struct {
	Code     int    `json:"code"`
	Message  string `json:"message"`
	MoreInfo string `json:"more_info"`
	Status   int    `json:"status"`
}

func refuse(w http.ResponseWriter, status, code int, message string) {
	reply(w, status, refusal{code, message, "https://www.twilio.com/docs/errors/" + strconv.Itoa(code), status})
}

func reply(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client going away is its own affair
}

// always are the numbers that Twilio's test credentials refuse, and how.
var always = map[string]struct {
	code    int
	message string
}{
	"+15005550001": {21211, "The 'To' number +15005550001 is not a valid phone number."},
	"+15005550002": {21612, "The 'To' phone number +15005550002 is not currently reachable via SMS."},
	"+15005550003": {21408, "Permission to send an SMS has not been enabled for the region indicated by the 'To' number."},
	"+15005550004": {21610, "Attempt to send to unsubscribed recipient"},
	"+15005550009": {21614, "'To' number +15005550009 is not a valid mobile number"},
}

var number = regexp.MustCompile(`^\+[1-9][0-9]{7,14}$`)

// sent is what the gateway says of a message that it has taken.
type sent struct {
	SID          string  `json:"sid"`
	AccountSID   string  `json:"account_sid"`
	Status       string  `json:"status"`
	To           string  `json:"to"`
	From         string  `json:"from"`
	Body         string  `json:"body"`
	NumSegments  string  `json:"num_segments"`
	Direction    string  `json:"direction"`
	DateCreated  string  `json:"date_created"`
	ErrorCode    *int    `json:"error_code"`
	ErrorMessage *string `json:"error_message"`
}

// take is the Messages resource.
func (s *Simulator) take(w http.ResponseWriter, r *http.Request) {
	sid := r.PathValue("sid")
	user, key, _ := r.BasicAuth()
	want, known := s.accounts[sid]
	if !known || user != sid || !hmac.Equal([]byte(key), []byte(want)) {
		refuse(w, http.StatusUnauthorized, 20003, "Authenticate")
		return
	}
	s.mu.Lock()
	s.asked++
	s.mu.Unlock()
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		refuse(w, http.StatusBadRequest, 20001, "The form cannot be read")
		return
	}
	to, text := r.PostForm.Get("To"), r.PostForm.Get("Body")
	from := r.PostForm.Get("From") + r.PostForm.Get("MessagingServiceSid")
	switch no, always := always[to]; {
	case to == "":
		refuse(w, http.StatusBadRequest, 21604, "A 'To' phone number is required.")
	case !number.MatchString(to):
		refuse(w, http.StatusBadRequest, 21211, "The 'To' number is not a valid phone number.")
	case from == "":
		refuse(w, http.StatusBadRequest, 21603, "A 'From' phone number is required.")
	case text == "":
		refuse(w, http.StatusBadRequest, 21602, "Message body is required.")
	case len([]rune(text)) > maxText:
		refuse(w, http.StatusBadRequest, 21617, "The concatenated message body exceeds the 1600 character limit.")
	case always:
		refuse(w, http.StatusBadRequest, no.code, no.message)
	default:
		s.bring(w, r, Message{From: from, To: to, Text: text, AtUS: s.clock().UnixMicro()}, sid)
	}
}

// bring does with a message what the control door says.
func (s *Simulator) bring(w http.ResponseWriter, r *http.Request, m Message, account string) {
	rule := s.opts.Faults.Take("")
	switch {
	case rule.Next == fault.Decline:
		refuse(w, http.StatusBadRequest, 21610, "Attempt to send to unsubscribed recipient")
		return
	case rule.Next == fault.HTTP500:
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		return
	case rule.Next == fault.HTTP429:
		refuse(w, http.StatusTooManyRequests, 20429, "Too Many Requests")
		return
	case rule.Next == fault.Late:
		m.AtUS += desk.OrElse(rule.Delay, s.opts.LateAfter).Microseconds()
	}
	var raw [16]byte
	if _, err := io.ReadFull(s.opts.Rand, raw[:]); err != nil {
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		return
	}
	m.SID = "SM" + hex.EncodeToString(raw[:])
	if rule.Next != fault.Silent {
		if err := s.keep(m); err != nil {
			s.opts.Log.Error("sms sandbox: keep a message", "sid", m.SID, "error", err)
			http.Error(w, "Internal Server Error", http.StatusInternalServerError)
			return
		}
	}
	switch {
	case rule.Next == fault.Timeout:
		s.held.Hold(r, desk.OrElse(rule.Delay, s.opts.HoldFor))
		panic(http.ErrAbortHandler) // net/http's way to drop a connection
	case rule.Next == fault.Slow:
		s.held.Hold(r, desk.OrElse(rule.Delay, s.opts.SlowFor))
	}
	reply(w, http.StatusCreated, sent{
		SID: m.SID, AccountSID: account, Status: "queued", To: m.To, From: m.From, Body: m.Text, NumSegments: strconv.Itoa(segments(m.Text)),
		Direction: "outbound-api", DateCreated: s.clock().UTC().Format(time.RFC1123Z),
	})
}

// segments says of how many messages of the network a text is, roughly: what is not
// ASCII is counted as UCS-2.
func segments(text string) int {
	units, one, many := len(text), 160, 153
	if strings.ContainsFunc(text, func(r rune) bool { return r > '~' }) {
		units, one, many = len(utf16.Encode([]rune(text))), 70, 67
	}
	if units <= one {
		return 1
	}
	return (units + many - 1) / many
}

func (s *Simulator) keep(m Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opts.Append != nil {
		line, err := json.Marshal(m)
		if err == nil {
			err = s.opts.Append(line)
		}
		if err != nil {
			return err
		}
	}
	s.add(m)
	return nil
}

func (s *Simulator) add(m Message) {
	if len(s.kept) >= maxKept {
		s.kept = slices.Clone(s.kept[len(s.kept)-maxKept/2:])
	}
	s.kept = append(s.kept, m)
}

// Load takes one journal line; see journal.Keeper.
func (s *Simulator) Load(line []byte) error {
	var m Message
	if err := json.Unmarshal(line, &m); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(m)
	return nil
}

// Dump emits the present state; see journal.Keeper.
func (s *Simulator) Dump(emit func(line []byte) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.kept {
		line, err := json.Marshal(m)
		if err == nil {
			err = emit(line)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// arrived gives the messages that phones have by now, newest first, at most limit;
// of one phone where it is named.
func (s *Simulator) arrived(to string, limit int) (got []Message, asked int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock().UnixMicro()
	got = []Message{}
	for _, m := range slices.Backward(s.kept) {
		if len(got) < limit && m.AtUS <= now && (to == "" || m.To == to) {
			got = append(got, m)
		}
	}
	return got, s.asked
}

// list is GET /sms/inbox?to=+91…: what phones have, newest first. asked counts what the
// gateway was asked to send, also what it did not bring.
func (s *Simulator) list(w http.ResponseWriter, r *http.Request) {
	// A plus that was not escaped in a query is a blank.
	to := strings.ReplaceAll(r.URL.Query().Get("to"), " ", "+")
	messages, asked := s.arrived(to, 1_000)
	reply(w, http.StatusOK, map[string]any{"messages": messages, "asked": asked})
}

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// pagePolicy lets in nothing but the inlined style.
var pagePolicy = "default-src 'none'; base-uri 'none'; style-src '" + desk.Digest(desk.PageStyle) + "'"

// page shows the phones to a person.
func (s *Simulator) page(w http.ResponseWriter, _ *http.Request) {
	type shown struct{ To, From, Text, At string }
	var v struct {
		Messages []shown
		Style    template.CSS
	}
	v.Style = template.CSS(desk.PageStyle) //nolint:gosec // a constant
	messages, _ := s.arrived("", maxPage)
	for _, m := range messages {
		v.Messages = append(v.Messages, shown{m.To, m.From, m.Text, time.UnixMicro(m.AtUS).UTC().Format("15:04:05")})
	}
	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, v); err != nil {
		s.opts.Log.Error("sms sandbox: write the page", "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	desk.WritePage(w, http.StatusOK, pagePolicy, out.Bytes())
}
