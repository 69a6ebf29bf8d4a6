package kyc

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"
	"unicode"

	"aorta/internal/sandbox/desk"
	"aorta/internal/sandbox/fault"
)

// key finds a check by its account and the platform's reference.
type key struct{ account, reference string }

// order is what the platform asked for. The same reference again must ask for the
// same.
type order struct {
	reference string
	level     int64
	customer  string
	returnURL string
	notifyURL string
}

// check is one customer who is to show who they are.
type check struct {
	desk.Fate
	account *account
	order
	shown
	left bool   // the customer was on the page and went away
	why  string // of a failed one: the reason, where it is not the usual
}

// shown is what is kept of what the customer has shown.
type shown struct {
	Person  string `json:"person,omitempty"`   // the keyed hash
	Holder  string `json:"holder,omitempty"`   // the name
	Age     int64  `json:"age,omitempty"`      // in full years, when they have shown it
	UntilUS int64  `json:"until_us,omitempty"` // when the document ends
	Digest  string `json:"digest,omitempty"`   // of the picture of the document
}

// line is one line of the journal: a new check, or, without Reference, what became
// of the one named by Seq.
type line struct {
	Seq       int64           `json:"seq"`
	Account   string          `json:"account,omitempty"`
	Reference string          `json:"reference,omitempty"`
	Level     int64           `json:"level,omitempty"`
	Customer  string          `json:"customer,omitempty"`
	ReturnURL string          `json:"return_url,omitempty"`
	NotifyURL string          `json:"notify_url,omitempty"`
	CreatedUS int64           `json:"created_us,omitempty"`
	Next      fault.Behaviour `json:"next,omitempty"`
	DelayUS   int64           `json:"delay_us,omitempty"`
	State     desk.State      `json:"state,omitempty"`
	DecidedUS int64           `json:"decided_us,omitempty"`
	Left      bool            `json:"left,omitempty"`
	Why       string          `json:"why,omitempty"`
	Told      bool            `json:"told,omitempty"`
	shown
}

// Line is the check as the journal keeps it.
func (c *check) Line() any {
	l := line{
		Seq: c.Seq, Account: c.account.Name, Reference: c.reference, Level: c.level, Customer: c.customer, ReturnURL: c.returnURL,
		NotifyURL: c.notifyURL, CreatedUS: c.CreatedUS, Next: c.Next, DelayUS: c.Delay.Microseconds(), Left: c.left, Why: c.why, Told: c.Told,
		shown: c.shown,
	}
	if c.State != desk.Waiting {
		l.State, l.DecidedUS = c.State, c.DecidedUS
	}
	return l
}

// Load takes one journal line; see journal.Keeper. It is for use before Start.
func (s *Simulator) Load(text []byte) error {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return err
	}
	if l.Reference == "" {
		if l.Seq < 1 || l.Seq > s.desk.Len() {
			return fmt.Errorf("no check has the number %d", l.Seq)
		}
		s.desk.From(l.Seq - 1)[0].replay(l)
		return nil
	}
	a := s.accounts[l.Account]
	if a == nil {
		return fmt.Errorf("account %q is not configured", l.Account)
	}
	if l.Seq != s.desk.Len()+1 {
		return fmt.Errorf("check %d follows check %d", l.Seq, s.desk.Len())
	}
	c := newCheck(a, order{reference: l.Reference, level: l.Level, customer: l.Customer, returnURL: l.ReturnURL, notifyURL: l.NotifyURL},
		fault.Rule{Next: l.Next, Delay: time.Duration(l.DelayUS) * time.Microsecond})
	c.Seq, c.CreatedUS, c.State = l.Seq, l.CreatedUS, desk.Waiting
	s.desk.Keep(c)
	s.index(c)
	c.replay(l)
	return nil
}

func (c *check) replay(l line) {
	c.Fate.Replay(desk.Change{State: l.State, DecidedUS: l.DecidedUS, Told: l.Told})
	c.left = c.left || l.Left
	if l.Why != "" {
		c.why = l.Why
	}
	if l.shown != (shown{}) {
		c.shown = l.shown
	}
}

// Dump emits the present state; see journal.Keeper.
func (s *Simulator) Dump(emit func(line []byte) error) error { return s.desk.Dump(emit) }

func newCheck(a *account, asked order, rule fault.Rule) *check {
	return &check{account: a, order: asked, Fate: desk.Fate{Next: rule.Next, Delay: rule.Delay}}
}

func (s *Simulator) index(c *check) { s.known[key{c.account.Name, c.reference}] = c }

// Address is where webhooks about the check go.
func (c *check) Address() string {
	if at := *c.account.notify.Load(); at != "" {
		return at
	}
	return c.notifyURL
}

// papers are what a customer shows on the page.
type papers struct {
	name, birth, number, until string
	digest                     string
}

// sample are the papers of a customer who shows none: one of their own each, in the
// name that the instruments of the generic provider's simulator are in.
func (c *check) sample() papers {
	return papers{name: "Customer " + c.customer, birth: "1990-01-01", number: "DEMO " + c.customer}
}

// samplePapersHold is how long the papers hold that say nothing of it.
const samplePapersHold = 5 * 365 * 24 * time.Hour

var errPapers = errors.New("the name, the date of birth as YYYY-MM-DD and the document's number are all needed")

// read makes of papers what is kept of them.
func (a *account) read(p papers, now time.Time) (shown, error) {
	birth, err := time.Parse(time.DateOnly, p.birth)
	words := strings.FieldsFunc(strings.ToLower(p.name), odd)
	number := strings.ToUpper(strings.Join(strings.FieldsFunc(p.number, odd), ""))
	until := now.Add(samplePapersHold)
	if err == nil && p.until != "" {
		until, err = time.Parse(time.DateOnly, p.until)
	}
	if err != nil || len(words) == 0 || number == "" || len(p.name) > 200 {
		return shown{}, errPapers
	}
	sort.Strings(words)
	h := hmac.New(sha256.New, []byte(a.PersonKey))
	fmt.Fprintf(h, "%s\n%s\n%s", strings.Join(words, " "), birth.Format(time.DateOnly), number)
	age := now.Year() - birth.Year()
	if birth.AddDate(age, 0, 0).After(now) {
		age--
	}
	return shown{
		Age:    int64(max(0, age)),
		Person: hex.EncodeToString(h.Sum(nil)), Holder: strings.Join(strings.Fields(p.name), " "), UntilUS: until.UnixMicro(), Digest: p.digest,
	}, nil
}

func odd(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }

// show keeps what the customer has shown. The caller holds the desk.
func (s *Simulator) show(c *check, what shown) error {
	if err := s.desk.Write(line{Seq: c.Seq, shown: what}); err != nil {
		return err
	}
	c.shown = what
	return nil
}

// fail ends a check with a reason. The caller holds the desk.
func (s *Simulator) fail(c *check, why string) error {
	if err := s.desk.Write(line{Seq: c.Seq, Why: why}); err != nil {
		return err
	}
	c.why = why
	return s.desk.Settle(c, desk.Failed)
}

// leave notes that the customer went away. The caller holds the desk.
func (s *Simulator) leave(c *check) error {
	if c.left {
		return nil
	}
	if err := s.desk.Write(line{Seq: c.Seq, Left: true}); err != nil {
		return err
	}
	c.left = true
	return nil
}

// until is when what was passed holds no more. The caller holds the desk.
func (s *Simulator) until(c *check) time.Time {
	if c.Next == fault.Expire {
		return time.UnixMicro(c.DecidedUS).Add(desk.OrElse(c.Delay, s.opts.ExpireAfter))
	}
	return time.UnixMicro(c.UntilUS)
}

// checkID is made from what is remembered anyway, so it is the same after a
// restart.
func (c *check) checkID() string { return fmt.Sprintf("chk_%d_%06d", c.CreatedUS/1000, c.Seq) }

// eventID names the news of an end: the same for every repetition.
func (c *check) eventID() string { return "evt_" + c.mac("event")[:26] }

// token is the authority to see a check's page.
func (c *check) token() string { return c.mac("page")[:32] }

func (c *check) mac(use string) string {
	h := hmac.New(sha256.New, []byte(c.account.Secret))
	fmt.Fprintf(h, "%s|%s|%d|%s", use, c.reference, c.CreatedUS, c.account.Name)
	return hex.EncodeToString(h.Sum(nil))
}

// Entry is one check as the provider's own books have it.
type Entry struct {
	Seq        int64           `json:"seq"`
	Account    string          `json:"account"`
	Reference  string          `json:"reference"`
	CheckID    string          `json:"check_id"`
	Level      int64           `json:"level"`
	CustomerID string          `json:"customer_id"`
	Status     string          `json:"status"`
	Behaviour  fault.Behaviour `json:"behaviour,omitempty"`
	CreatedUS  int64           `json:"created_us"`
	DecidedUS  int64           `json:"decided_us,omitempty"`
	Told       bool            `json:"told"` // no notification is outstanding
	Left       bool            `json:"left,omitempty"`
	Digest     string          `json:"digest,omitempty"`
}

// Journal lists the checks after a cursor, of one account or of all when it is
// empty; see desk.Books.
func (s *Simulator) Journal(name string, after int64, limit int) (entries []Entry, next int64, more bool) {
	return desk.Books(s.desk, after, limit, func(c *check) (Entry, bool) {
		return Entry{
			Seq: c.Seq, Account: c.account.Name, Reference: c.reference, CheckID: c.checkID(), Level: c.level, CustomerID: c.customer,
			Status: s.tell(c).Status, Behaviour: c.Next, CreatedUS: c.CreatedUS, DecidedUS: c.DecidedUS, Told: c.Told, Left: c.left, Digest: c.Digest,
		}, name == "" || c.account.Name == name
	})
}
