package customer

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"aorta/internal/id"
	"aorta/internal/limit"
	"aorta/internal/money"
)

// LimitKind is what a limit bounds (limits-and-risk.md section 1.1).
type LimitKind string

// The kinds of limit. Each but the single deposit is for a period.
const (
	LimitDeposit       LimitKind = "deposit"        // what is paid in; payouts and refunds give no room back
	LimitNetDeposit    LimitKind = "net_deposit"    // what is paid in less what was paid out
	LimitLoss          LimitKind = "loss"           // stakes less wins
	LimitStake         LimitKind = "stake"          // stakes
	LimitSingleDeposit LimitKind = "single_deposit" // one deposit
)

// LimitKinds are all of them.
func LimitKinds() []LimitKind {
	return []LimitKind{LimitDeposit, LimitNetDeposit, LimitLoss, LimitStake, LimitSingleDeposit}
}

// Periods are those that a limit of the kind can be for.
func (k LimitKind) Periods() []limit.Period {
	switch k {
	case LimitDeposit, LimitNetDeposit, LimitLoss, LimitStake:
		return limit.Periods()
	case LimitSingleDeposit:
		return []limit.Period{limit.Once}
	}
	return nil
}

// OfPlay reports whether the limit bounds play, not deposits.
func (k LimitKind) OfPlay() bool { return k == LimitLoss || k == LimitStake }

// Limit is one bound that holds, or is about to.
type Limit struct {
	Kind     LimitKind
	Period   limit.Period
	House    bool         // set by the house: the customer cannot raise or remove it
	By       string       // of the house's: who of it has set it; empty: before that was kept
	Amount   money.Amount // what holds
	SetUS    int64        // since when
	LowerUS  int64        // when it was last lowered, or set for the first time
	Pending  Pending
	HasAsked bool // Pending is something
}

// Pending is a raise or removal that was asked for and does not hold yet.
type Pending struct {
	Remove  bool
	Amount  money.Amount // if not Remove
	AskedUS int64
	FromUS  int64 // from when on the customer may confirm it
	UntilUS int64 // and until when; then it lapses
}

// Delays are how long a raise takes.
type Delays struct {
	Raise   time.Duration // until it can be confirmed
	Confirm time.Duration // and after that, until it lapses
}

func (d Delays) pending(nowUS int64) Pending {
	from := nowUS + d.Raise.Microseconds()
	return Pending{AskedUS: nowUS, FromUS: from, UntilUS: from + d.Confirm.Microseconds()}
}

// Limits are a customer's own and the house's for them. The zero value is none.
type Limits struct {
	// Currencies are those in which the customer has a window of deposits: a limit in
	// one currency counts what was paid in in all of them.
	Currencies []money.Currency

	// Paid are those in which the customer has a window of payouts: a limit of what is
	// paid in net counts what was paid out.
	Paid []money.Currency

	// List has at most one limit of each kind and period of the customer's and one of
	// the house's, in the order in which they were first set.
	List []Limit

	// Restraints are all that were made and may still hold, the strongest first. The
	// customer's row shows that one.
	Restraints []Restraint

	// Gone are restraints of the person that hold here no more: they ended, were lifted,
	// or made longer. The newest first.
	Gone []Made
}

var (
	// ErrNoLimit: there is no such limit.
	ErrNoLimit = errors.New("no such limit")
	// ErrNotPending: no raise waits, or it has lapsed.
	ErrNotPending = errors.New("no raise of the limit is pending")
	// ErrTooEarly: the delay of the raise is not over. Pending.FromUS says when.
	ErrTooEarly = errors.New("the delay of the raise is not over")
	// ErrHouseLimit: the house's own limit is lower, and the customer cannot go above it.
	ErrHouseLimit = errors.New("the house's limit is lower")
)

// Change is what became of a wish.
type Change string

// What becomes of a wish.
const (
	ChangeNone    Change = "unchanged" // it held already
	ChangeNow     Change = "effective"
	ChangePending Change = "pending"
)

// Get finds a limit.
func (l Limits) Get(k LimitKind, p limit.Period, house bool) (Limit, bool) {
	if at := l.find(k, p, house); at >= 0 {
		return l.List[at], true
	}
	return Limit{}, false
}

func (l Limits) find(k LimitKind, p limit.Period, house bool) int {
	return slices.IndexFunc(l.List, func(x Limit) bool { return x.Kind == k && x.Period == p && x.House == house })
}

// Asks gives what waits for the customer's confirmation at nowUS; false if nothing
// does any more.
func (x Limit) Asks(nowUS int64) (Pending, bool) {
	return x.Pending, x.HasAsked && nowUS < x.Pending.UntilUS
}

// Set is the customer's wish for a limit, and gives the limits as they are then (section 1.2): the first
// one and a lower one hold at once; a raise waits its delay and then for Confirm, and
// a second raise starts the delay again. Whatever holds at once ends a pending raise.
//
// The amount is in the currency of the limit there is (In changes that). ErrHouseLimit:
// it is above the house's.
func (l Limits) Set(k LimitKind, p limit.Period, a money.Amount, nowUS int64, delays Delays) (Limits, Change, error) {
	if h, ok := l.Get(k, p, true); ok && h.Amount.Currency == a.Currency && a.Minor > h.Amount.Minor {
		return l, ChangeNone, ErrHouseLimit
	}
	at := l.find(k, p, false)
	if at < 0 {
		l.List = append(slices.Clone(l.List), Limit{Kind: k, Period: p, Amount: a, SetUS: nowUS, LowerUS: nowUS})
		return l, ChangeNow, nil
	}
	x := l.List[at]
	if x.Amount.Currency != a.Currency {
		return l, ChangeNone, money.ErrCurrency
	}
	_, asks := x.Asks(nowUS)
	switch {
	case a.Minor > x.Amount.Minor:
		x.Pending, x.HasAsked = delays.pending(nowUS), true
		x.Pending.Amount = a
		return l.with(at, x), ChangePending, nil
	case a.Minor == x.Amount.Minor && !asks:
		return l, ChangeNone, nil
	case a.Minor < x.Amount.Minor:
		x.Amount, x.SetUS, x.LowerUS = a, nowUS, nowUS
	}
	x.Pending, x.HasAsked = Pending{}, false
	return l.with(at, x), ChangeNow, nil
}

// Remove is the customer's wish to be without a limit; it waits like a raise.
func (l Limits) Remove(k LimitKind, p limit.Period, nowUS int64, delays Delays) (Limits, error) {
	at := l.find(k, p, false)
	if at < 0 {
		return l, ErrNoLimit
	}
	x := l.List[at]
	x.Pending, x.HasAsked = delays.pending(nowUS), true
	x.Pending.Remove = true
	return l.with(at, x), nil
}

// Confirm is the customer's word that they still want what is pending, and gives the
// limits with it.
func (l Limits) Confirm(k LimitKind, p limit.Period, nowUS int64) (Limits, error) {
	at := l.find(k, p, false)
	if at < 0 {
		return l, ErrNoLimit
	}
	x := l.List[at]
	want, asks := x.Asks(nowUS)
	switch {
	case !asks:
		return l, ErrNotPending
	case nowUS < want.FromUS:
		return l, ErrTooEarly
	case want.Remove:
		l.List = slices.Delete(slices.Clone(l.List), at, at+1)
		return l, nil
	}
	if h, ok := l.Get(k, p, true); ok && (h.Amount.Currency != want.Amount.Currency || want.Amount.Minor > h.Amount.Minor) {
		return l, ErrHouseLimit // it came after the wish
	}
	x.Amount, x.SetUS = want.Amount, nowUS
	x.Pending, x.HasAsked = Pending{}, false
	return l.with(at, x), nil
}

// SetHouse sets the house's limit for the customer, at once, by whom.
func (l Limits) SetHouse(k LimitKind, p limit.Period, a money.Amount, by string, nowUS int64) Limits {
	x := Limit{Kind: k, Period: p, House: true, By: by, Amount: a, SetUS: nowUS, LowerUS: nowUS}
	at := l.find(k, p, true)
	if at < 0 {
		l.List = append(slices.Clone(l.List), x)
		return l
	}
	if was := l.List[at]; was.Amount.Currency == a.Currency && a.Minor >= was.Amount.Minor {
		x.LowerUS = was.LowerUS
	}
	return l.with(at, x)
}

// RemoveHouse takes the house's limit away.
func (l Limits) RemoveHouse(k LimitKind, p limit.Period) (Limits, error) {
	at := l.find(k, p, true)
	if at < 0 {
		return l, ErrNoLimit
	}
	l.List = slices.Delete(slices.Clone(l.List), at, at+1)
	return l, nil
}

// In gives the limits with one of the customer's in another currency, as convert gives
// its amounts, which it must round down (section 1.2).
func (l Limits) In(k LimitKind, p limit.Period, convert func(money.Amount) (money.Amount, error)) (Limits, error) {
	at := l.find(k, p, false)
	if at < 0 {
		return l, ErrNoLimit
	}
	x := l.List[at]
	var err error
	if x.Amount, err = convert(x.Amount); err != nil {
		return l, err
	}
	if x.HasAsked && !x.Pending.Remove {
		if x.Pending.Amount, err = convert(x.Pending.Amount); err != nil {
			return l, err
		}
	}
	return l.with(at, x), nil
}

func (l Limits) with(at int, x Limit) Limits {
	l.List = slices.Clone(l.List)
	l.List[at] = x
	return l
}

// Counted gives the limits with a currency among those that count.
func (l Limits) Counted(c money.Currency) (Limits, bool) {
	if slices.Contains(l.Currencies, c) {
		return l, false
	}
	l.Currencies = append(slices.Clone(l.Currencies), c)
	return l, true
}

// PaidIn gives the limits with a currency among those of payouts.
func (l Limits) PaidIn(c money.Currency) (Limits, bool) {
	if slices.Contains(l.Paid, c) {
		return l, false
	}
	l.Paid = append(slices.Clone(l.Paid), c)
	return l, true
}

// Head is what most acts need to know of a customer's limits: it is read without the rest.
type Head struct {
	Currencies []money.Currency // as Limits have them
	Paid       []money.Currency
	LowerUS    int64 // when a limit was last lowered, or set for the first time
}

// LowerUS is when a limit was last lowered, or set for the first time.
func (l Limits) LowerUS() int64 {
	last := int64(0)
	for _, x := range l.List {
		last = max(last, x.LowerUS)
	}
	return last
}

// DecodeHead reads the head of what Encode wrote.
func DecodeHead(text string) (Head, error) {
	var h Head
	if text == "" {
		return h, nil
	}
	first, _, _ := strings.Cut(text, " ")
	list, lowered, packed := strings.Cut(first, packedHead)
	if !packed {
		list, lowered, _ = strings.Cut(first, "@") // without it, lowered is no number
	}
	p := parts{left: lowered, packed: packed}
	if h.LowerUS = p.number(); p.bad || p.left != "" {
		return h, fmt.Errorf("%w: %q", errLimits, first)
	}
	in, out, _ := strings.Cut(list, ";")
	h.Currencies, h.Paid = currencies(in), currencies(out)
	return h, nil
}

// currencies reads a list of them.
func currencies(text string) []money.Currency {
	if text == "" {
		return nil
	}
	all := make([]money.Currency, 0, 2)
	for c := range strings.SplitSeq(text, ",") {
		all = append(all, money.Currency(c))
	}
	return all
}

func appendCurrencies(out []byte, all []money.Currency) []byte {
	for n, c := range all {
		if n > 0 {
			out = append(out, ',')
		}
		out = append(out, c...)
	}
	return out
}

// EachLimit gives the limits of what Encode wrote that choose finds, as DecodeLimits
// has them in List, without reading the rest: most acts need a few of them, and once.
func EachLimit(text string, choose func(LimitKind) bool, use func(Limit) error) error {
	head, rest, more := strings.Cut(text, " ")
	packed := strings.Contains(head, packedHead)
	for more {
		var word string
		word, rest, more = strings.Cut(rest, " ")
		if strings.HasPrefix(word, "!") || strings.HasPrefix(word, "~") {
			continue
		}
		p := parts{left: word, packed: packed}
		var x Limit
		p.what(&x)
		if !p.bad && !choose(x.Kind) {
			continue
		}
		p.rest(&x)
		if p.bad || p.left != "" {
			return fmt.Errorf("%w: %q", errLimits, word)
		}
		if err := use(x); err != nil {
			return err
		}
	}
	return nil
}

// packedHead is in the head of a text whose numbers have base 36, as all that are written.
// Those of before have "@" there, numbers of base 10, and words for kinds and periods.
const packedHead = "#"

// Encode writes the limits as the stores keep them: a head, and a word for each, its parts behind
// one another: "EUR,SEK;SEK#k2d… dd/7psEUR/k2d…/ !cool_off/… ~frozen/…"; nothing is "". A limit's
// begins with a letter for its kind and one for its period, and has the amount, since when it holds, and
// when it was last lowered, if that was not then. Every deposit reads the text: it must be short.
func (l Limits) Encode() string {
	if len(l.Currencies)+len(l.Paid)+len(l.List)+len(l.Restraints)+len(l.Gone) == 0 {
		return ""
	}
	out := make([]byte, 0, 32*(1+len(l.List)))
	out = appendCurrencies(out, l.Currencies)
	if len(l.Paid) > 0 {
		out = appendCurrencies(append(out, ';'), l.Paid)
	}
	out = strconv.AppendInt(append(out, packedHead...), l.LowerUS(), base)
	for _, x := range l.List {
		out = append(out, ' ')
		if x.House {
			out = append(out, '=')
		}
		out = append(out, letterOf(kindLetters, x.Kind), letterOf(periodLetters, x.Period))
		out = appendAmount(out, x.Amount)
		out = appendNumber(out, x.SetUS)
		if x.LowerUS == x.SetUS {
			out = append(out, '/')
		} else {
			out = appendNumber(out, x.LowerUS)
		}
		if x.House && x.By != "" {
			out = append(append(out, '/'), url.QueryEscape(x.By)...)
		}
		if x.HasAsked {
			if x.Pending.Remove {
				out = append(out, "/-"...)
			} else {
				out = appendAmount(out, x.Pending.Amount)
			}
			out = appendNumber(out, x.Pending.AskedUS)
			out = appendNumber(out, x.Pending.FromUS)
			out = appendNumber(out, x.Pending.UntilUS)
		}
	}
	for _, r := range l.Restraints {
		out = append(append(out, " !"...), r.Restriction...)
		out = appendNumber(out, r.SinceUS)
		out = appendNumber(out, r.UntilUS)
		out = appendNumber(out, r.EndingUS)
		if r.By != "" || r.Linked() {
			out = append(append(out, '/'), url.QueryEscape(r.By)...)
		}
		if r.Linked() {
			out = append(append(out, '/'), r.Of.String()...)
		}
	}
	for _, m := range l.Gone {
		out = append(append(out, " ~"...), m.Restriction...)
		out = appendNumber(out, m.SinceUS)
		out = append(append(out, '/'), m.Of.String()...)
	}
	return string(out)
}

func appendAmount(out []byte, a money.Amount) []byte {
	return append(appendNumber(out, a.Minor), a.Currency...)
}

func appendNumber(out []byte, n int64) []byte { return strconv.AppendInt(append(out, '/'), n, base) }

// base is that of the numbers in a packed text: the shortest that strconv writes.
const base = 36

// letter is what stands for a kind or a period in a packed text.
type letter[T ~string] struct {
	letter byte
	of     T
}

var (
	kindLetters = []letter[LimitKind]{
		{'d', LimitDeposit}, {'n', LimitNetDeposit}, {'s', LimitStake}, {'l', LimitLoss}, {'o', LimitSingleDeposit},
	}
	periodLetters = []letter[limit.Period]{
		{'d', limit.Day}, {'w', limit.Week}, {'m', limit.Month}, {'c', limit.CalendarMonth}, {'o', limit.Once},
	}
)

func letterOf[T ~string](all []letter[T], x T) byte {
	at := slices.IndexFunc(all, func(l letter[T]) bool { return l.of == x })
	if at < 0 {
		panic("customer: a limit of " + string(x) + " has no letter") // or it would be lost
	}
	return all[at].letter
}

func ofLetter[T ~string](all []letter[T], c byte) (T, bool) {
	for _, l := range all {
		if l.letter == c {
			return l.of, true
		}
	}
	return "", false
}

// errLimits: the text was not written by Encode. Always a bug.
var errLimits = errors.New("customer: not the limits of a customer")

// DecodeLimits reads what Encode wrote.
func DecodeLimits(text string) (Limits, error) {
	var l Limits
	if text == "" {
		return l, nil
	}
	head, err := DecodeHead(text)
	if err != nil {
		return l, err
	}
	l.Currencies, l.Paid = head.Currencies, head.Paid
	first, rest, more := strings.Cut(text, " ")
	packed := strings.Contains(first, packedHead)
	if more {
		l.List = make([]Limit, 0, strings.Count(rest, " ")+1)
	}
	for more {
		var word string
		word, rest, more = strings.Cut(rest, " ")
		p := parts{left: word, packed: packed}
		if restraint, ok := strings.CutPrefix(word, "!"); ok {
			p.left = restraint
			l.Restraints = append(l.Restraints, p.restraint())
		} else if gone, ok := strings.CutPrefix(word, "~"); ok {
			p.left = gone
			l.Gone = append(l.Gone, Made{Restriction: Restriction(p.next()), SinceUS: p.number(), Of: p.customer()})
		} else {
			var x Limit
			p.what(&x)
			p.rest(&x)
			l.List = append(l.List, x)
		}
		if p.bad || p.left != "" {
			return l, fmt.Errorf("%w: %q", errLimits, word)
		}
	}
	return l, nil
}

// parts reads the parts of a word one by one.
type parts struct {
	left   string
	packed bool // numbers have base 36, and kinds and periods a letter each
	bad    bool
}

func (p *parts) next() string {
	var s string
	s, p.left, _ = strings.Cut(p.left, "/")
	return s
}

func (p *parts) number() int64 { return p.numberOf(p.next()) }

func (p *parts) numberOf(text string) int64 {
	radix, fits := int64(10), 18 // digits of which any number fits
	if p.packed {
		radix, fits = base, 12
	}
	if n := len(text); n == 0 || n > fits || text[0] == '-' {
		long, err := strconv.ParseInt(text, int(radix), 64)
		p.bad = p.bad || err != nil
		return long
	}
	n := int64(0)
	for _, c := range []byte(text) {
		d := digit(c)
		if d >= radix {
			p.bad = true
			return 0
		}
		n = radix*n + d
	}
	return n
}

// digit is what a digit stands for; of no digit it is more than of any.
func digit(c byte) int64 {
	switch {
	case c >= '0' && c <= '9':
		return int64(c - '0')
	case c >= 'a' && c <= 'z':
		return int64(c-'a') + 10
	}
	return base
}

func (p *parts) restraint() Restraint {
	r := Restraint{Restriction: Restriction(p.next()), SinceUS: p.number(), UntilUS: p.number(), EndingUS: p.number()}
	if p.left != "" {
		by, err := url.QueryUnescape(p.next())
		p.bad = p.bad || err != nil
		r.By = by
	}
	if p.left != "" {
		r.Of = p.customer()
	}
	return r
}

func (p *parts) customer() id.Customer {
	var k id.Customer
	err := k.UnmarshalText([]byte(p.next()))
	p.bad = p.bad || err != nil
	return k
}

func (p *parts) amount() money.Amount { return p.amountOf(p.next()) }

func (p *parts) amountOf(s string) money.Amount {
	digits := 0
	for digits < len(s) && (s[digits] == '-' || digit(s[digits]) < base) { // a currency has capitals
		digits++
	}
	p.bad = p.bad || digits == len(s)
	return money.Amount{Minor: p.numberOf(s[:digits]), Currency: money.Currency(s[digits:])}
}

// what begins a limit: whose it is, of which kind and period.
func (p *parts) what(x *Limit) {
	kind, house := strings.CutPrefix(p.next(), "=")
	x.House = house
	if !p.packed {
		x.Kind, x.Period = LimitKind(kind), limit.Period(p.next())
		return
	}
	if len(kind) != 2 {
		p.bad = true
		return
	}
	var known, periodic bool
	x.Kind, known = ofLetter(kindLetters, kind[0])
	x.Period, periodic = ofLetter(periodLetters, kind[1])
	p.bad = p.bad || !known || !periodic
}

// rest reads a limit from its amount on.
func (p *parts) rest(x *Limit) {
	x.Amount, x.SetUS = p.amount(), p.number()
	if lowered := p.next(); lowered == "" && p.packed {
		x.LowerUS = x.SetUS
	} else {
		x.LowerUS = p.numberOf(lowered)
	}
	if x.House && p.left != "" { // nothing is asked of the house's
		by, err := url.QueryUnescape(p.next())
		p.bad = p.bad || err != nil
		x.By = by
	}
	if p.left != "" {
		x.HasAsked = true
		if s := p.next(); s == "-" {
			x.Pending.Remove = true
		} else {
			x.Pending.Amount = p.amountOf(s)
		}
		x.Pending.AskedUS, x.Pending.FromUS, x.Pending.UntilUS = p.number(), p.number(), p.number()
	}
}
