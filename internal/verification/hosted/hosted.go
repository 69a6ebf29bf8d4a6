// Package hosted speaks the protocol of docs/kyc.md: a provider that has a page
// where the customer shows their documents, answers look-ups, and tells the result
// by a signed webhook.
//
// It keeps no state and takes nothing for true that is not signed with the
// account's secret. Its known weakness is the one secret for both directions:
// whoever has it can speak for either side.
package hosted

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"aorta/internal/connector"
	"aorta/internal/connector/exchange"
	"aorta/internal/verification"
)

// The headers of the protocol, those of the generic payment protocol.
const (
	accountHeader   = "X-Account"
	timestampHeader = "X-Timestamp"
	signatureHeader = "X-Signature"
	scheme          = "sha256="
)

// keptHeader is not of the protocol: our signature of a webhook as it is stored.
const keptHeader = "X-Kept"

// Config is one account at a provider. All but the marked ones are needed.
type Config struct {
	BaseURL string // "https://kyc.example/aorta"; /v1/checks follows
	Account string // the provider's name of the account, at most 64 letters, digits, "_" and "-"
	Secret  exchange.Secret
	Now     func() time.Time

	Transport   http.RoundTripper // optional: nil keeps connections of its own
	CallTimeout time.Duration     // optional: for one call; 0 means exchange.DefaultTimeout
}

// Hosted is one account at a provider. It is safe for concurrent use.
type Hosted struct {
	account string
	key     key
	now     func() time.Time
	base    *url.URL
	peer    *exchange.Peer
}

var (
	_ verification.Provider   = (*Hosted)(nil)
	_ verification.NewsReader = (*Hosted)(nil)
)

// minSecret is how many bytes a secret must have at least: what can be guessed
// signs nothing.
const minSecret = 14

// New makes one account. An error says which setting is wrong, never the secret's
// text. Nothing is sent.
func New(c Config) (*Hosted, error) {
	base, err := exchange.Base(c.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("base URL: %w", err)
	}
	switch {
	case !exchange.IsName(c.Account, 64):
		return nil, errors.New("the account must be 1 to 64 letters, digits, _ and -")
	case len(c.Secret.Reveal()) < minSecret:
		return nil, fmt.Errorf("the secret must have at least %d bytes", minSecret)
	case c.Now == nil:
		return nil, errors.New("a clock is needed")
	case c.CallTimeout < 0:
		return nil, errors.New("the call timeout must not be negative")
	}
	return &Hosted{
		account: c.Account, key: key{hmac.New(sha256.New, []byte(c.Secret.Reveal())).(hash.Cloner)}, now: c.Now, base: base,
		peer: exchange.New(exchange.Options{Transport: c.Transport, Timeout: c.CallTimeout}),
	}, nil
}

// key is an HMAC-SHA256 that has read its secret and nothing else. What is signed
// begins differently in each of the four uses: a webhook is an object of JSON, a
// request begins with its time, an answer with its status, and what we store of a
// webhook with "kept".
type key struct{ keyed hash.Cloner }

func (k key) sign(parts ...string) string {
	mac, err := k.keyed.Clone()
	if err != nil {
		panic("hosted: the standard library's HMAC cannot be cloned: " + err.Error())
	}
	mac.Write([]byte(strings.Join(parts, "\n")))
	return scheme + hex.EncodeToString(mac.Sum(nil))
}

// verify says, in constant time, whether signature is that of the parts. Hex
// digits of either case are taken.
func (k key) verify(signature string, parts ...string) bool {
	return len(signature) == len(scheme)+2*sha256.Size && hmac.Equal([]byte(k.sign(parts...)), []byte(strings.ToLower(signature)))
}

// String hides the key from fmt.
func (key) String() string { return "[secret]" }

// asked is the body of a request for a check.
type asked struct {
	Reference  string `json:"reference"`
	Level      int64  `json:"level"`
	CustomerID string `json:"customer_id"`
	ReturnURL  string `json:"return_url,omitempty"`
	NotifyURL  string `json:"notify_url,omitempty"`
}

// told is what answers and webhooks say of a check.
type told struct {
	EventID   string `json:"event_id"` // of a webhook
	Reference string `json:"reference"`
	CheckID   string `json:"check_id"`
	Level     int64  `json:"level"`
	Status    string `json:"status"`
	Reason    string `json:"reason"`
	URL       string `json:"url"`
	Person    string `json:"person"`
	Holder    string `json:"holder"`
	Age       int64  `json:"age"`
	ExpiresAt string `json:"expires_at"`
	Timestamp string `json:"timestamp"`
}

// refusal is a provider's signed no.
type refusal struct {
	Error   string `json:"error"`
	Message string `json:"message"`
}

// reply is a verified answer: of a check where the status is 200, else a refusal.
type reply struct {
	status  int
	told    told
	refusal refusal
}

// call asks for a check.
func (h *Hosted) call(ctx context.Context, path string, body *asked) (reply, *exchange.Lost) {
	var t told
	r, lost := h.ask(ctx, path, body, &t)
	r.told = t
	return r, lost
}

// ask sends one signed request; path is from "v1/" on, and body is nil for a GET. What
// it gives is verified: an answer without the right signature, of whatever status, is
// nobody's word. One of 200 is read into said.
func (h *Hosted) ask(ctx context.Context, path string, body *asked, said any) (reply, *exchange.Lost) {
	method, content := http.MethodGet, []byte(nil)
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return reply{}, &exchange.Lost{Reason: "not written", Alarm: "kyc: a request could not be written: " + err.Error()}
		}
		method = http.MethodPost
	}
	at := strconv.FormatInt(h.now().Unix(), 10)
	signature := h.key.sign(at, method, "/"+path, string(content))
	header := http.Header{
		accountHeader: {h.account}, timestampHeader: {at}, signatureHeader: {signature},
		"Accept": {"application/json"}, "User-Agent": {"Aorta"},
	}
	if body != nil {
		header["Content-Type"] = []string{"application/json"}
		// Not in its canonical form, or net/http would take the request for one that it may send twice by itself.
		header["Idempotency-key"] = []string{body.Reference}
	}
	var r reply
	lost := h.peer.Call(ctx, exchange.Request{Method: method, URL: h.base.JoinPath(path), Header: header, Body: content}, func(a exchange.Answer) *exchange.Lost {
		r.status = a.Status
		if !h.key.verify(a.Header.Get(signatureHeader), strconv.Itoa(a.Status), signature, string(a.Body)) {
			l := exchange.Status(a.Status)
			if a.Status != http.StatusTooManyRequests {
				l.Alarm = "kyc: an answer's signature is missing or wrong: check the secret, the account and the base URL"
			}
			return l
		}
		into := said
		if a.Status != http.StatusOK {
			into = &r.refusal
		}
		if json.Unmarshal(a.Body, into) != nil {
			return &exchange.Lost{Sent: true, Reason: "the answer is not JSON of the agreed shape", Alarm: "kyc: a signed answer cannot be read"}
		}
		return nil
	})
	return r, lost
}

// Start asks for a check. Nothing is lost by asking twice: the provider knows the
// reference.
func (h *Hosted) Start(ctx context.Context, o verification.Order) verification.Outcome {
	if !exchange.IsName(o.Reference, 64) || o.Level < verification.MinLevel || o.Level > verification.MaxLevel {
		return verification.Outcome{Kind: verification.NotSent, Alarm: "kyc: a check without a reference or of no level"}
	}
	r, lost := h.call(ctx, "v1/checks", &asked{
		Reference: o.Reference, Level: o.Level, CustomerID: o.CustomerID, ReturnURL: o.ReturnURL, NotifyURL: o.NotifyURL,
	})
	no := verification.Outcome{Message: exchange.Clean(r.refusal.Message, 500)}
	switch {
	case lost != nil && !lost.Sent:
		return verification.Outcome{Kind: verification.NotSent, Message: lost.Reason, Alarm: lost.Alarm}
	case lost != nil:
		return verification.Outcome{Kind: verification.Unknown, Message: lost.Reason, Alarm: lost.Alarm}
	case r.status == http.StatusOK:
		return h.said(o, r.told)
	case r.status == http.StatusTooManyRequests:
		no.Kind = verification.NotSent
		return no
	case r.status == http.StatusBadRequest, r.status == http.StatusUnauthorized, r.status == http.StatusForbidden, r.status == http.StatusUnprocessableEntity:
		no.Kind = verification.NotSent
		no.Alarm = fmt.Sprintf("kyc: refused with %d %s: our settings, our clock or our request are wrong", r.status, exchange.Clean(r.refusal.Error, 64))
		return no
	}
	return r.unclear()
}

// Lookup asks what became of a check.
func (h *Hosted) Lookup(ctx context.Context, o verification.Order) verification.Outcome {
	if !exchange.IsName(o.Reference, 64) {
		return verification.Outcome{Kind: verification.Unknown, Alarm: "kyc: a look-up without a reference"}
	}
	r, lost := h.call(ctx, "v1/checks/"+o.Reference, nil)
	switch {
	case lost != nil:
		return verification.Outcome{Kind: verification.Unknown, Message: lost.Reason, Alarm: lost.Alarm}
	case r.status == http.StatusOK:
		return h.said(o, r.told)
	case r.status == http.StatusNotFound && r.refusal.Error == "not_found":
		return verification.Outcome{Kind: verification.Unknown, NoRecord: true, Message: exchange.Clean(r.refusal.Message, 500)}
	case r.status == http.StatusTooManyRequests:
		return verification.Outcome{Kind: verification.Unknown, Message: "asked too often"}
	}
	return r.unclear()
}

// Screening is a Hosted whose provider also screens.
type Screening struct{ *Hosted }

var _ verification.Screener = Screening{}

// screened is what the provider says of a screening.
type screened struct {
	Reference string `json:"reference"`
	Permille  *int64 `json:"match_permille"`
	PEP       bool   `json:"pep"`
}

// Screen asks for the person of a check. What is not a signed answer about that very
// check, with a figure, says nothing: nobody is cleared by it.
func (s Screening) Screen(ctx context.Context, o verification.Order) verification.Screening {
	if !exchange.IsName(o.Reference, 64) {
		return verification.Screening{Alarm: "kyc: a screening without a reference"}
	}
	var said screened
	r, lost := s.ask(ctx, "v1/checks/"+o.Reference+"/screening", nil, &said)
	switch {
	case lost != nil:
		return verification.Screening{Message: lost.Reason, Alarm: lost.Alarm}
	case r.status == http.StatusTooManyRequests:
		return verification.Screening{Message: "asked too often"}
	case r.status != http.StatusOK:
		no := r.unclear()
		return verification.Screening{Message: no.Message, Alarm: no.Alarm}
	case said.Reference != o.Reference || said.Permille == nil || *said.Permille < 0 || *said.Permille > 1000:
		return verification.Screening{Alarm: "kyc: a screening is about another reference, or has no match_permille of 0 to 1000"}
	}
	return verification.Screening{Heard: true, Permille: *said.Permille, PEP: said.PEP}
}

// unclear is a signed answer that no rule of ours reads.
func (r reply) unclear() verification.Outcome {
	return verification.Outcome{
		Kind: verification.Unknown, Message: exchange.Clean(r.refusal.Message, 500),
		Alarm: fmt.Sprintf("kyc: an answer of %d %s is not agreed", r.status, exchange.Clean(r.refusal.Error, 64)),
	}
}

// said reads what is told of an order. It is believed only if it is about this
// very order.
func (h *Hosted) said(o verification.Order, t told) verification.Outcome {
	switch {
	case t.Reference != o.Reference:
		return doubtful("an answer is about another reference")
	case t.Level != o.Level:
		return doubtful("an answer is about another level than was asked for")
	}
	out, why := h.read(t)
	if why != "" {
		return doubtful(why)
	}
	return out
}

// doubtful decides nothing and has an operator look.
func doubtful(why string) verification.Outcome {
	return verification.Outcome{Kind: verification.Unknown, Alarm: "kyc: " + why}
}

// statuses are the protocol's words.
var statuses = map[string]verification.Kind{
	"pending": verification.Open, "passed": verification.Passed, "failed": verification.Failed, "expired": verification.Expired,
}

// Bounds of what is kept of a provider's texts, in bytes.
const (
	maxHolder = 200
	maxReason = 64

	maxAgeOfPeople = 150 // in years
)

// read gives what a check's members say, or why they cannot be taken.
func (h *Hosted) read(t told) (out verification.Outcome, why string) {
	out.Kind = statuses[t.Status]
	out.Result.ProviderID = exchange.Visible(t.CheckID)
	switch out.Kind {
	case verification.Open:
		out.URL = h.pageURL(t.URL)
		return out, ""
	case verification.Failed, verification.Expired:
		out.Result.Reason = reasonOf(t.Reason)
		return out, ""
	case verification.Passed:
	case verification.Unknown, verification.NotSent:
	}
	if out.Kind != verification.Passed {
		return verification.Outcome{}, "its status is not agreed"
	}
	if t.ExpiresAt != "" {
		if out.Result.Until = instant(t.ExpiresAt); out.Result.Until.IsZero() {
			return verification.Outcome{}, "its expires_at is not RFC 3339"
		}
	}
	if t.Person != "" && !verification.IsPerson(t.Person) {
		return verification.Outcome{}, "its person is not 64 hexadecimal digits in lower case"
	}
	if t.Age < 0 || t.Age > maxAgeOfPeople {
		return verification.Outcome{}, "its age is no number of years"
	}
	out.Result.Age = t.Age
	out.Result.Person, out.Result.Holder = t.Person, strings.TrimSpace(exchange.Clean(t.Holder, maxHolder))
	return out, ""
}

// reasonOf takes one word of a provider's, or none.
func reasonOf(text string) string {
	if !exchange.IsName(text, maxReason) {
		return "declined"
	}
	return strings.ToLower(text)
}

// pageURL takes the address of a hosted page for what a browser can be sent to:
// https, or http where the provider itself is reached so (a simulator).
func (h *Hosted) pageURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || len(text) > 2048 || strings.ContainsAny(text, " \t\r\n\\\"<>") ||
		u.Scheme != "https" && (u.Scheme != "http" || h.base.Scheme != "http") {
		return ""
	}
	return text
}

// How old a webhook may be, and how far ahead of our clock (security.md S15). Its
// timestamp is the event's time and its event_id a nonce that is kept for longer
// than that, so one that comes late is news and one that comes twice is not.
const (
	maxAge   = 90 * 24 * time.Hour
	maxAhead = 300 * time.Second
)

// ReadNotification reads a webhook. It is signed whole and names nonce, time,
// reference and level, so it is the provider's own word.
func (h *Hosted) ReadNotification(n connector.Notification) (verification.News, error) {
	if n.Method != http.MethodPost {
		return verification.News{}, malformed("method is not POST")
	}
	// The signature first: a stranger is told that he is one, whatever else is wrong.
	stored := n.Header.Get(keptHeader) != ""
	good := h.key.verify(n.Header.Get(signatureHeader), string(n.Body))
	if stored {
		good = h.key.verify(n.Header.Get(keptHeader), keptMark, string(n.Body))
	}
	if !good {
		return verification.News{}, connector.ErrSignature
	}
	if kind := n.Header.Get("Content-Type"); kind != "" {
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/json" {
			return verification.News{}, malformed("content type is not application/json")
		}
	}
	var t kept
	if err := json.Unmarshal(n.Body, &t); err != nil {
		return verification.News{}, malformed("body is not JSON of the agreed shape")
	}
	received := n.Received
	if received.IsZero() {
		received = h.now()
	}
	at := instant(t.Timestamp)
	switch {
	case exchange.Visible(t.EventID) == "":
		return verification.News{}, malformed("event_id is missing, or not 1 to 64 visible characters")
	case !exchange.IsName(t.Reference, 64):
		return verification.News{}, malformed("reference is missing or none")
	case at.IsZero():
		return verification.News{}, malformed("timestamp is not RFC 3339")
	case received.Sub(at) > maxAge:
		return verification.News{}, malformed("timestamp is older than 90 days")
	case at.Sub(received) > maxAhead:
		return verification.News{}, malformed("timestamp is in the future")
	}
	out, why := h.read(t.told)
	if why != "" {
		return verification.News{}, malformed(why)
	}
	if stored {
		out.Result.HolderHash = t.HolderHash
	}
	return verification.News{EventID: t.EventID, Reference: t.Reference, Level: t.Level, Outcome: out}, nil
}

// NewsHeaders names the signatures: the provider's, and ours of what is stored.
func (h *Hosted) NewsHeaders() []string { return []string{signatureHeader, keptHeader} }

// kept is a webhook as it is stored.
type kept struct {
	told
	HolderHash string `json:"holder_hash,omitempty"`
}

// keptMark begins what is signed of one.
const keptMark = "kept"

// Kept gives a webhook without the name, and without whatever the provider says
// beyond the protocol. Its bytes are others than those that were signed, so it is
// signed anew; the signature of the bytes that came stays beside it. A plain digest
// of them would tell the name to whoever tries the names there are.
func (h *Hosted) Kept(n connector.Notification, holder string) (connector.Notification, error) {
	var t kept
	if err := json.Unmarshal(n.Body, &t.told); err != nil {
		return n, malformed("body is not JSON of the agreed shape")
	}
	t.Holder, t.HolderHash, t.URL = "", holder, ""
	if t.Reason != "" {
		t.Reason = reasonOf(t.Reason)
	}
	body, err := json.Marshal(t)
	if err != nil {
		return n, malformed(err.Error())
	}
	n.Header = http.Header{
		"Content-Type": {"application/json"}, signatureHeader: n.Header.Values(signatureHeader), keptHeader: {h.key.sign(keptMark, string(body))},
	}
	n.Body = body
	return n, nil
}

func malformed(why string) error { return fmt.Errorf("%w: %s", connector.ErrMalformed, why) }

// instant reads an RFC 3339 time; the zero time if it is none, or none that we
// could write down.
func instant(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Year() < 1970 || t.Year() > 9999 {
		return time.Time{}
	}
	return t.UTC()
}
