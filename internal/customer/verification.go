package customer

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"aorta/internal/id"
)

// Levels of verification (limits-and-risk.md section 2). Everybody has level 0.
const (
	MinLevel = 1 // the lowest that a check gives
	MaxLevel = 3
)

// checkMoves lists every move that a check may make; what is absent is forbidden. A
// check that has failed stays so: who is right after all is checked anew.
var checkMoves = map[CheckState][]CheckState{
	CheckOpen:    {CheckPassed, CheckFailed},
	CheckPassed:  {CheckExpired},
	CheckFailed:  {},
	CheckExpired: {},
}

// CheckMoves gives the table of moves, for docs and for checkers. The caller must
// not change it.
func CheckMoves() map[CheckState][]CheckState { return checkMoves }

// May reports whether a check may move so.
func (s CheckState) May(to CheckState) bool { return slices.Contains(checkMoves[s], to) }

// Proof is a check that was passed and bears a level until it ends.
type Proof struct {
	Level   int64
	Check   id.Check
	UntilUS int64 // 0: it does not end
}

// Holds reports whether the proof counts at an instant.
func (p Proof) Holds(nowUS int64) bool { return p.UntilUS == 0 || nowUS < p.UntilUS }

// Verification is what is known of who a customer is: Customer.Checks, unpacked. The
// zero value knows nothing.
type Verification struct {
	Proofs  []Proof     // at most one for each level
	Open    []Proof     // checks under way, at most one for each level
	Last    id.Check    // the newest that was decided
	Persons []id.Person // who they were known as, the newest first
	Listed  Screening   // what lists of sanctions say of them
	Age     int64       // in full years, when it was last told; 0: it was not
	AgeUS   int64       // when that was
	Warned  int64       // the level that they were told they will soon need; 0: none above what they have

	Day     int64 // of unix time, when a check was last begun
	Started int64 // how many were begun on that day
}

// Screening is what lists of sanctions and of politically exposed persons last said of
// a customer. The zero value: nobody asks them.
type Screening struct {
	On       bool // who bears their level asks, every day
	AtUS     int64
	Permille int64 // of the best match, 0 to 1000
	Cleared  int64 // a match of no more than this was looked at, and is not them
	PEP      bool
}

// Match is what counts of the best match: nothing of one that was looked at.
func (s Screening) Match() int64 {
	if s.Permille <= s.Cleared {
		return 0
	}
	return s.Permille
}

// AgeAt is how old the customer is at least, in full years; 0: nobody has told. Who was
// told of in years alone has their birthday a year later at the latest.
func (v Verification) AgeAt(nowUS int64) int64 {
	if v.Age == 0 {
		return 0
	}
	from, now := time.UnixMicro(v.AgeUS).UTC(), time.UnixMicro(nowUS).UTC()
	years := now.Year() - from.Year()
	if from.AddDate(years, 0, 0).After(now) {
		years--
	}
	return v.Age + int64(max(0, years))
}

// AgeAt is Verification.AgeAt, of a row that says nothing without being read.
func (c Customer) AgeAt(nowUS int64) int64 {
	if !strings.Contains(c.Checks, ageMark) {
		return 0
	}
	v, err := DecodeVerification(c.Checks)
	if err != nil {
		return 0 // it is wrong, and verify says so; who they are is not known
	}
	return v.AgeAt(nowUS)
}

// ageMark begins the word that tells an age.
const ageMark = "^"

// exposedWord is how the text of a row ends that is about a politically exposed person.
const exposedWord = "/pep"

// Exposed reports whether the customer is a politically exposed person, as far as
// lists that were searched say. It reads no more of the row than it must.
func (c Customer) Exposed() bool { return strings.Contains(c.Checks, exposedWord) }

// Bounds of what a row keeps.
const (
	maxPersons = 8  // a person who shows another document each time is known by the newest eight
	maxStarted = 10 // checks that a customer can begin in a day: each costs the house money
)

// ErrTooMany: as many checks were begun today as may be. The next day has room.
var ErrTooMany = errors.New("too many checks were begun today")

// errVerification: the text of a row was not written by this package. Always a bug.
var errVerification = errors.New("customer: not what is known of a customer")

// Best gives the proof that bears the customer's level at an instant: of the highest
// that hold, the one that holds longest. false: none holds, and their level is 0.
func (v Verification) Best(nowUS int64) (Proof, bool) {
	var best Proof
	for _, p := range v.Proofs {
		if p.Holds(nowUS) && p.Level > best.Level {
			best = p
		}
	}
	return best, best.Level > 0
}

// Begin gives the verification with a check under way.
func (v Verification) Begin(level int64, check id.Check, nowUS int64) (Verification, error) {
	const dayUS = 24 * 60 * 60 * 1_000_000
	if day := nowUS / dayUS; day != v.Day {
		v.Day, v.Started = day, 0
	}
	if v.Started >= maxStarted {
		return v, ErrTooMany
	}
	v.Started++
	v.Open = append(without(v.Open, level), Proof{Level: level, Check: check})
	return v, nil
}

// Under gives the check of a level that is under way.
func (v Verification) Under(level int64) (id.Check, bool) {
	if n := slices.IndexFunc(v.Open, func(p Proof) bool { return p.Level == level }); n >= 0 {
		return v.Open[n].Check, true
	}
	return id.Check{}, false
}

// Pass gives the verification with a check that was passed, and who it proved the
// customer to be; zero: nobody can say.
func (v Verification) Pass(p Proof, who id.Person) Verification {
	v = v.end(p.Check)
	v.Proofs = append(without(v.Proofs, p.Level), p)
	if v.Warned <= p.Level {
		v.Warned = 0
	}
	slices.SortFunc(v.Proofs, func(a, b Proof) int { return int(b.Level - a.Level) })
	if !who.IsZero() {
		known := slices.DeleteFunc(slices.Clone(v.Persons), func(k id.Person) bool { return k == who })
		v.Persons = slices.Insert(known, 0, who)
		v.Persons = v.Persons[:min(len(v.Persons), maxPersons)]
	}
	return v
}

// Fail gives the verification with a check that was failed, or holds no more.
func (v Verification) Fail(check id.Check) Verification {
	v = v.end(check)
	v.Proofs = slices.DeleteFunc(slices.Clone(v.Proofs), func(p Proof) bool { return p.Check == check })
	v.Warned = 0
	return v
}

func (v Verification) end(check id.Check) Verification {
	v.Open = slices.DeleteFunc(slices.Clone(v.Open), func(p Proof) bool { return p.Check == check })
	v.Last = check
	return v
}

func without(list []Proof, level int64) []Proof {
	return slices.DeleteFunc(slices.Clone(list), func(p Proof) bool { return p.Level == level })
}

// Verified gives the customer with what is known of them now: their level follows
// from the proofs that hold.
func (c Customer) Verified(v Verification, nowUS int64) Customer {
	best, _ := v.Best(nowUS)
	c.Level, c.LevelUntilUS = best.Level, best.UntilUS
	c.Person = id.Raw{}
	if len(v.Persons) > 0 {
		c.Person = v.Persons[0].Raw()
	}
	c.Checks = v.Encode()
	return c
}

// LevelAt is the customer's level at an instant, whether or not an act has noticed yet
// that a proof has ended.
func (c Customer) LevelAt(nowUS int64) int64 {
	if c.LevelUntilUS == 0 || nowUS < c.LevelUntilUS {
		return c.Level
	}
	v, err := DecodeVerification(c.Checks)
	if err != nil {
		return 0 // it is wrong, and verify says so; nobody is let through by it
	}
	best, _ := v.Best(nowUS)
	return best.Level
}

// Encode writes the verification as the stores keep it: a word for each proof, check
// under way, person, the last check, the screening, the age, the level that was told
// and the count of the day: "2/kyc_…/1893456000000000 ?3/kyc_… @per_… !kyc_…
// *1/1767…/0/0/pep ^34/1767… ~3 #20780/1"; nothing is "".
func (v Verification) Encode() string {
	var words []string
	for _, p := range v.Proofs {
		words = append(words, strconv.FormatInt(p.Level, 10)+"/"+p.Check.String()+"/"+strconv.FormatInt(p.UntilUS, 10))
	}
	for _, p := range v.Open {
		words = append(words, "?"+strconv.FormatInt(p.Level, 10)+"/"+p.Check.String())
	}
	for _, who := range v.Persons {
		words = append(words, "@"+who.String())
	}
	if !v.Last.IsZero() {
		words = append(words, "!"+v.Last.String())
	}
	if v.Listed != (Screening{}) {
		words = append(words, v.Listed.encode())
	}
	if v.Age > 0 {
		words = append(words, ageMark+strconv.FormatInt(v.Age, 10)+"/"+strconv.FormatInt(v.AgeUS, 10))
	}
	if v.Warned > 0 {
		words = append(words, "~"+strconv.FormatInt(v.Warned, 10))
	}
	if v.Started > 0 {
		words = append(words, "#"+strconv.FormatInt(v.Day, 10)+"/"+strconv.FormatInt(v.Started, 10))
	}
	return strings.Join(words, " ")
}

// DecodeVerification reads what Encode wrote; "" knows nothing.
func DecodeVerification(text string) (Verification, error) {
	var v Verification
	for word := range strings.FieldsSeq(text) {
		if err := v.read(word); err != nil {
			return v, fmt.Errorf("%w: %q", errVerification, word)
		}
	}
	return v, nil
}

func (v *Verification) read(word string) (err error) {
	switch word[0] {
	case '@':
		var who id.Person
		if err = who.UnmarshalText([]byte(word[1:])); who.IsZero() {
			err = errVerification
		}
		v.Persons = append(v.Persons, who)
	case '!':
		v.Last, err = id.ParseCheck(word[1:])
	case '*':
		v.Listed, err = screening(word[1:])
	case '^':
		v.Age, v.AgeUS, err = pair(word[1:])
	case '~':
		v.Warned, err = strconv.ParseInt(word[1:], 10, 64)
	case '#':
		v.Day, v.Started, err = pair(word[1:])
	case '?':
		var p Proof
		p, err = proof(word[1:] + "/0")
		v.Open = append(v.Open, p)
	default:
		var p Proof
		p, err = proof(word)
		v.Proofs = append(v.Proofs, p)
	}
	return err
}

// pair reads two numbers with a stroke between them.
func pair(text string) (a, b int64, err error) {
	first, second, _ := strings.Cut(text, "/")
	a, err = strconv.ParseInt(first, 10, 64)
	b, err2 := strconv.ParseInt(second, 10, 64)
	return a, b, errors.Join(err, err2)
}

func (s Screening) encode() string {
	on := "0"
	if s.On {
		on = "1"
	}
	text := "*" + on + "/" + strconv.FormatInt(s.AtUS, 10) + "/" + strconv.FormatInt(s.Permille, 10) + "/" + strconv.FormatInt(s.Cleared, 10)
	if s.PEP {
		text += exposedWord
	}
	return text
}

func screening(word string) (s Screening, err error) {
	word, s.PEP = strings.CutSuffix(word, exposedWord)
	parts := strings.Split(word, "/")
	if len(parts) != 4 || parts[0] != "0" && parts[0] != "1" {
		return s, errVerification
	}
	s.On = parts[0] == "1"
	var errs [3]error
	for n, to := range []*int64{&s.AtUS, &s.Permille, &s.Cleared} {
		*to, errs[n] = strconv.ParseInt(parts[n+1], 10, 64)
	}
	return s, errors.Join(errs[:]...)
}

func proof(word string) (p Proof, err error) {
	level, rest, _ := strings.Cut(word, "/")
	check, until, _ := strings.Cut(rest, "/")
	var err2, err3 error
	p.Level, err = strconv.ParseInt(level, 10, 64)
	p.Check, err2 = id.ParseCheck(check)
	p.UntilUS, err3 = strconv.ParseInt(until, 10, 64)
	if p.Level < MinLevel || p.Level > MaxLevel {
		err = errVerification
	}
	return p, errors.Join(err, err2, err3)
}

// Member is a customer who is a person.
type Member struct {
	Customer id.Customer `json:"customer"`

	// Joined: what kept the others out keeps this one out, too. Until then whoever
	// links them does so again.
	Joined bool `json:"joined,omitempty"`
}

// MembersOf unpacks a person's members.
func MembersOf(p Person) ([]Member, error) {
	if p.Members == "" {
		return nil, nil
	}
	var all []Member
	if err := json.Unmarshal([]byte(p.Members), &all); err != nil {
		return nil, fmt.Errorf("members of %s: %w", p.ID, err)
	}
	return all, nil
}
