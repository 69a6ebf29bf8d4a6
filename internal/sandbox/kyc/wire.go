package kyc

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"aorta/internal/sandbox/desk"
	"aorta/internal/sandbox/fault"
	"aorta/internal/sandbox/signed"
)

// The words of the protocol that all our simulators speak.
type (
	call   = signed.Call[*account]
	answer = signed.Answer
	crash  = signed.Crash
)

// asked is the body of a request for a check.
type asked struct {
	Reference  string `json:"reference"`
	Level      int64  `json:"level"`
	CustomerID string `json:"customer_id"`
	ReturnURL  string `json:"return_url"`
	NotifyURL  string `json:"notify_url"`
}

// told is what is said of a check, in answers and webhooks.
type told struct {
	EventID   string `json:"event_id,omitempty"`
	Reference string `json:"reference"`
	CheckID   string `json:"check_id"`
	Level     int64  `json:"level"`
	Status    string `json:"status"`
	Reason    string `json:"reason,omitempty"`
	URL       string `json:"url,omitempty"`
	Person    string `json:"person,omitempty"`
	Holder    string `json:"holder,omitempty"`
	Age       int64  `json:"age,omitempty"`
	ExpiresAt string `json:"expires_at,omitempty"`
	Timestamp string `json:"timestamp"`
}

// tell says how a check stands. The caller holds the desk.
func (s *Simulator) tell(c *check) told {
	t := told{Reference: c.reference, CheckID: c.checkID(), Level: c.level, Status: "pending", Timestamp: instant(time.UnixMicro(c.CreatedUS))}
	switch c.State {
	case desk.Paid:
		until := s.until(c)
		t.Status, t.Person, t.Holder, t.Age = "passed", c.Person, c.Holder, c.Age
		t.ExpiresAt, t.Timestamp = instant(until), instant(time.UnixMicro(c.DecidedUS))
		if !s.clock().Before(until) {
			t.Status, t.Reason, t.Timestamp = "expired", "document_expired", instant(until)
		}
	case desk.Failed:
		t.Status, t.Reason, t.Timestamp = "failed", desk.OrElse(c.why, "mismatch"), instant(time.UnixMicro(c.DecidedUS))
	case desk.Waiting:
	}
	return t
}

func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// letter is the webhook about a check, signed over its bytes: what was decided,
// even if the papers have ended since.
func (s *Simulator) letter(c *check, forged bool) (desk.Letter, error) {
	t := s.tell(c)
	if t.Status == "expired" {
		t.Status, t.Reason, t.Timestamp = "passed", "", instant(time.UnixMicro(c.DecidedUS))
	}
	t.EventID = c.eventID()
	body, err := json.Marshal(t)
	secret := c.account.Secret
	if forged {
		secret = "not " + secret
	}
	return desk.Letter{Header: http.Header{"X-Signature": {signed.Sign(secret, string(body))}}, Body: body}, err
}

// begin is POST /v1/checks: it records a new check, or finds that of an identical
// request.
func (s *Simulator) begin(c call) (answer, crash) {
	var b asked
	decoder := json.NewDecoder(strings.NewReader(string(c.Body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&b); err != nil {
		return signed.Refuse(http.StatusBadRequest, "malformed_json", "The body is not a request for a check."), nil
	}
	idempotency := c.HTTP.Header.Get("Idempotency-Key")
	switch {
	case idempotency == "":
		return signed.Refuse(http.StatusBadRequest, "idempotency_key_missing", "The header Idempotency-Key is missing."), nil
	case idempotency != b.Reference || !isReference(b.Reference):
		return signed.Refuse(http.StatusBadRequest, "bad_header", "The header Idempotency-Key must be the reference, 1 to 64 of a-z, A-Z, 0-9, _ and -."), nil
	case b.Level < 1 || b.Level > 3:
		return signed.Refuse(http.StatusUnprocessableEntity, "validation_failed", "level must be 1, 2 or 3."), nil
	case b.CustomerID == "" || len(b.CustomerID) > maxText:
		return signed.Refuse(http.StatusUnprocessableEntity, "validation_failed", "customer_id is missing or too long."), nil
	case !isAddress(b.ReturnURL) || !isAddress(b.NotifyURL):
		return signed.Refuse(http.StatusUnprocessableEntity, "validation_failed", "return_url and notify_url must be http or https addresses."), nil
	}
	found, refusal, broken := s.open(c.Account, order{
		reference: b.Reference, level: b.Level, customer: b.CustomerID, returnURL: b.ReturnURL, notifyURL: b.NotifyURL,
	})
	if found == nil {
		return refusal, broken
	}
	return s.about(c, found)
}

// open records a check unless it is there.
func (s *Simulator) open(a *account, asked order) (*check, answer, crash) {
	s.desk.Lock()
	defer s.desk.Unlock()
	if c := s.known[key{a.Name, asked.reference}]; c != nil {
		if c.order != asked {
			return nil, signed.Refuse(http.StatusConflict, "idempotency_conflict", "The reference was used for another request."), nil
		}
		return c, answer{}, nil
	}
	rule := s.opts.Faults.Take("check")
	if rule.Next == fault.HTTP500 {
		return nil, answer{}, func(w http.ResponseWriter, r *http.Request) { s.desk.Crash(w, r, rule) }
	}
	c := newCheck(a, asked, rule)
	papers, err := a.read(c.sample(), s.clock())
	if err == nil {
		c.shown = papers
		err = s.desk.Add(c)
	}
	if err != nil {
		if !errors.Is(err, desk.ErrFull) {
			s.opts.Log.Error("kyc sandbox: record a check", "error", err)
		}
		return nil, answer{}, func(w http.ResponseWriter, r *http.Request) { s.desk.Crash(w, r, fault.Rule{}) }
	}
	s.index(c)
	if c.Next == fault.Timeout {
		return nil, answer{}, func(_ http.ResponseWriter, r *http.Request) { s.desk.Unanswered(r, &c.Fate) }
	}
	return c, answer{}, nil
}

func isReference(text string) bool {
	bad := func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-')
	}
	return text != "" && len(text) <= 64 && !strings.ContainsFunc(text, bad)
}

// isAddress takes no address, or one that a browser can be led to.
func isAddress(text string) bool {
	u, err := url.Parse(text)
	return text == "" || err == nil && len(text) <= maxText && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// about says how a check stands when the answer leaves, slow as it may be.
func (s *Simulator) about(c call, found *check) (answer, crash) {
	s.desk.Drag(c.HTTP, &found.Fate)
	s.desk.Lock()
	defer s.desk.Unlock()
	t := s.tell(found)
	if found.State == desk.Waiting {
		t.URL = s.own(c.HTTP) + "/check/" + found.account.Name + "/" + found.reference + "?token=" + found.token()
	}
	return signed.OK(t), nil
}

// own is where a browser finds the simulator.
func (s *Simulator) own(r *http.Request) string {
	if s.opts.Own != nil && s.opts.Own() != "" {
		return strings.TrimSuffix(s.opts.Own(), "/") + s.opts.Prefix
	}
	return "http://" + r.Host + s.opts.Prefix
}

// find is GET /v1/checks/{reference}.
func (s *Simulator) find(c call) (answer, crash) {
	s.desk.Lock()
	found := s.known[key{c.Account.Name, c.HTTP.PathValue("reference")}]
	s.desk.Unlock()
	if found == nil {
		return signed.Refuse(http.StatusNotFound, "not_found", "There is no check of that reference."), nil
	}
	return s.about(c, found)
}

// screening is what is said of a person whom the lists were searched for.
type screening struct {
	Reference string `json:"reference"`
	Permille  int64  `json:"match_permille"`
	PEP       bool   `json:"pep"`
	Timestamp string `json:"timestamp"`
}

// screen is GET /v1/checks/{reference}/screening: the lists of today have whom a rule
// says, and nobody else.
func (s *Simulator) screen(c call) (answer, crash) {
	reference := c.HTTP.PathValue("reference")
	s.desk.Lock()
	found := s.known[key{c.Account.Name, reference}]
	passed := found != nil && found.State == desk.Paid
	s.desk.Unlock()
	if !passed {
		return signed.Refuse(http.StatusNotFound, "not_found", "There is no check of that reference that was passed."), nil
	}
	rule := s.opts.Lists.Take("screening")
	fate := desk.Fate{Next: rule.Next, Delay: rule.Delay}
	if rule.Next == fault.HTTP500 {
		return answer{}, func(w http.ResponseWriter, r *http.Request) { s.desk.Crash(w, r, rule) }
	}
	if rule.Next == fault.Timeout {
		return answer{}, func(_ http.ResponseWriter, r *http.Request) { s.desk.Unanswered(r, &fate) }
	}
	s.desk.Drag(c.HTTP, &fate)
	return signed.OK(screening{
		Reference: reference, Permille: alike[rule.Next], PEP: rule.Next == fault.PEP, Timestamp: instant(s.clock()),
	}), nil
}

// alike is how much the best match is like the person, in a thousand.
var alike = map[fault.Behaviour]int64{fault.Match: 980, fault.Unclear: 900}
