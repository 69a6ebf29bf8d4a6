// Package verification is the port to those who say that a customer is who they
// claim to be (know your customer, limits-and-risk.md section 2). Each folder
// below speaks one provider's protocol, or is none at all (manual); it keeps no
// state, decides nothing about levels and never touches the book.
//
// What comes in of a person is the least that the rules need: the holder's name,
// which instruments are compared with, and one keyed hash that is the same for the
// same person (security.md S41). No date of birth, no document number, no picture
// passes through here. Its known weakness: who writes their name in another
// alphabet, or shows another document, is another person.
package verification

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"time"
	"unicode"

	"aorta/internal/connector"
	"aorta/internal/connector/exchange"
)

// The levels that can be checked for. Everybody has level 0.
const (
	MinLevel = 1
	MaxLevel = 3
)

// Provider checks customers. It answers an Outcome, never an error: what we cannot
// be sure of is Unknown, so none can be mistaken for a result.
type Provider interface {
	// Start asks for a check. Repeating it under the same reference is safe and
	// answers how the check stands.
	Start(ctx context.Context, o Order) Outcome

	// Lookup asks, under the same reference, what became of it.
	Lookup(ctx context.Context, o Order) Outcome
}

// NewsReader verifies and reads what a provider sends by itself.
type NewsReader interface {
	// ReadNotification answers connector.ErrSignature for a bad signature and
	// connector.ErrMalformed for what is no news of this provider. What it gives is
	// the provider's own word, as good as the answer to a look-up.
	ReadNotification(n connector.Notification) (News, error)

	// NewsHeaders are the headers of a notification, Content-Type aside, without which
	// it cannot be verified again.
	NewsHeaders() []string

	// Kept gives a notification that ReadNotification has read in the form in which it
	// is stored, and is read again: nothing in it says to a reader who somebody is
	// (security.md S41). holder is the keyed hash of the name that it told, which
	// comes back as Result.HolderHash. What was signed is there as the signature
	// alone, which proves the bytes as they came to whoever has them.
	Kept(n connector.Notification, holder string) (connector.Notification, error)
}

// Screener holds persons whom it has passed against the lists of today: of sanctions,
// and of politically exposed persons (limits-and-risk.md section 2, rule A10).
type Screener interface {
	// Screen asks about the person of a check that was passed. It changes nothing.
	Screen(ctx context.Context, o Order) Screening
}

// Screening is what a Screener says, or that we could not hear it.
type Screening struct {
	Heard    bool
	Permille int64  // of the best match with a list of sanctions, 0 to 1000
	PEP      bool   // a politically exposed person
	Message  string // for the record
	Alarm    string // not empty: our configuration is wrong, an operator must look
}

// Order is one check as the provider must know it.
type Order struct {
	Reference  string // ours, 1 to 64 of a-z, A-Z, 0-9, _ and -
	Level      int64  // that the check is for, MinLevel to MaxLevel
	CustomerID string // the merchant's id of the customer
	ReturnURL  string // where the customer's browser goes when they are done; may be empty
	NotifyURL  string // where the provider sends its news
}

// Named is a provider with the name that checks know it by.
type Named struct {
	Name     string
	Levels   []int64 // that it checks for
	Provider Provider
}

// Directory are an installation's providers.
type Directory []Named

// For gives the first that checks for a level.
func (d Directory) For(level int64) (Named, bool) {
	n := slices.IndexFunc(d, func(each Named) bool { return slices.Contains(each.Levels, level) })
	if n < 0 {
		return Named{}, false
	}
	return d[n], true
}

// Of gives the provider of a name.
func (d Directory) Of(name string) (Provider, bool) {
	n := slices.IndexFunc(d, func(each Named) bool { return each.Name == name })
	if n < 0 {
		return nil, false
	}
	return d[n].Provider, true
}

// Screener gives the screening of the provider of a name; false if it has none.
func (d Directory) Screener(name string) (Screener, bool) {
	by, _ := d.Of(name)
	s, ok := by.(Screener)
	return s, ok
}

// Screens reports whether any of them screens.
func (d Directory) Screens() bool {
	return slices.ContainsFunc(d, func(each Named) bool { _, ok := each.Provider.(Screener); return ok })
}

// Kind is what an Outcome says.
type Kind string

// The outcomes.
const (
	Open    Kind = "open"     // the provider has it and will say more
	Passed  Kind = "passed"   // the customer has shown who they are
	Failed  Kind = "failed"   // the provider's last word is no
	Expired Kind = "expired"  // it was passed, and does not hold any more
	Unknown Kind = "unknown"  // we cannot tell: look it up
	NotSent Kind = "not_sent" // proved: the provider did not take it
)

// Outcome is what a provider said, or that we could not hear it.
type Outcome struct {
	Kind     Kind
	URL      string // Open: the page where the customer shows their documents; empty: there is none
	Result   Result // Passed, Failed, Expired
	NoRecord bool   // Open, Unknown: the provider says that it knows no such check
	Message  string // for the record
	Alarm    string // not empty: our configuration is wrong, an operator must look
}

// Result is what came out of a check.
type Result struct {
	ProviderID string    // the provider's name of the check
	Reason     string    // Failed, Expired: the provider's reason in one word, such as document_expired
	Until      time.Time // Passed: when it stops to hold; zero: never
	Person     string    // Passed: PersonKey's hash; empty: the provider gives none
	Holder     string    // Passed: the name of the person as their document has it
	Age        int64     // Passed: the person's, in full years; 0: the provider does not tell
	HolderHash string    // Passed: PersonKey's hash of the name, where that was not kept
}

// News is what a verified notification says.
type News struct {
	EventID   string // its nonce: what has come once is not taken again
	Reference string
	Level     int64
	Outcome   Outcome
}

// PersonKey makes the hash by which the same person is known again, whichever
// customer they are. All providers of an installation hash with the same key.
type PersonKey struct{ keyed hash.Cloner }

// minPersonKey is how many bytes the key must have at least: names and dates of
// birth can be guessed, the key must not.
const minPersonKey = 14

// ErrPersonKey: the key is too short to hide anything.
var ErrPersonKey = fmt.Errorf("the person key must have at least %d bytes", minPersonKey)

// NewPersonKey takes the key.
func NewPersonKey(s exchange.Secret) (PersonKey, error) {
	if len(s.Reveal()) < minPersonKey {
		return PersonKey{}, ErrPersonKey
	}
	return PersonKey{hmac.New(sha256.New, []byte(s.Reveal())).(hash.Cloner)}, nil
}

// String hides the key from fmt.
func (PersonKey) String() string { return "[secret]" }

// ErrFacts: what is said of a person is not enough to know them again.
var ErrFacts = errors.New("name, date of birth as YYYY-MM-DD and the document's number are all needed")

// Person gives the hash of a person's name, date of birth and document: of each
// the letters and digits alone, the name's in lower case and its words in order of
// the alphabet, the document's in upper case (docs/kyc.md).
func (k PersonKey) Person(name string, birth time.Time, document string) (string, error) {
	words := strings.FieldsFunc(strings.ToLower(name), odd)
	slices.Sort(words)
	number := strings.ToUpper(strings.Join(strings.FieldsFunc(document, odd), ""))
	if len(words) == 0 || number == "" || birth.IsZero() || k.keyed == nil {
		return "", ErrFacts
	}
	return k.sum(strings.Join(words, " ") + "\n" + birth.Format(time.DateOnly) + "\n" + number), nil
}

// AgeOf is how old somebody is at an instant, in full years.
func AgeOf(birth, at time.Time) int64 {
	years := at.Year() - birth.Year()
	if birth.AddDate(years, 0, 0).After(at) {
		years--
	}
	return int64(max(0, years))
}

// Holder gives the hash of a name alone, by which a name on an instrument is told to
// be that of a document, without either being kept; of no name it is empty.
func (k PersonKey) Holder(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), odd)
	slices.Sort(words)
	if len(words) == 0 || k.keyed == nil {
		return ""
	}
	return k.sum("holder\n" + strings.Join(words, " "))
}

func (k PersonKey) sum(text string) string {
	mac, err := k.keyed.Clone()
	if err != nil {
		panic("verification: the standard library's HMAC cannot be cloned: " + err.Error())
	}
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

func odd(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }

// IsPerson holds for a text that can be a person's hash.
func IsPerson(text string) bool {
	if len(text) != 2*sha256.Size {
		return false
	}
	return strings.Trim(text, "0123456789abcdef") == ""
}
