package limit

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"aorta/internal/id"
	"aorta/internal/instrument"
)

// Source is what one instrument of a customer has paid in and got back, in one
// currency. A payout goes back to sources (limits-and-risk.md section 4.6).
type Source struct {
	Instrument id.Instrument
	Kind       instrument.Kind
	Connector  string
	Account    string
	Method     string // by which money came, and goes: its code
	Token      string // the PSP's; empty: it names none, and pays where the customer last paid from by the method

	FirstUS   int64 // when it first paid in; 0: never, so nothing proves whose it is
	Captured  int64
	Refunded  int64
	Refunding int64
	Paid      int64
	Open      []Share // reserved for payouts under way
	Unusable  bool    // the PSP has said that it takes no money
}

// Share is a part of a payout that is reserved for a source.
type Share struct {
	Operation id.Operation
	Minor     int64
}

// Reserved is what payouts under way will pay to it.
func (s *Source) Reserved() int64 {
	sum := int64(0)
	for _, share := range s.Open {
		sum += share.Minor
	}
	return sum
}

// Returnable is what may still go back to it as what it has paid in.
func (s *Source) Returnable() int64 {
	return max(0, s.Captured-s.Refunded-s.Refunding-s.Paid-s.Reserved())
}

// Verified reports whether it is proved to be the customer's: they have paid from it.
func (s *Source) Verified() bool { return s.FirstUS > 0 }

// errSources: the text was not written by this package. Always a bug.
var errSources = errors.New("limit: not the sources of a customer")

// DecodeSources reads what EncodeSources wrote; "" is none.
func DecodeSources(text string) ([]Source, error) {
	if text == "" {
		return nil, nil
	}
	in := scanner{text: text}
	out := make([]Source, 0, strings.Count(text, ";")+1)
	for {
		x := in.source()
		if in.bad {
			return nil, fmt.Errorf("%w: the %d. of %q", errSources, len(out)+1, text[:min(60, len(text))])
		}
		out = append(out, x)
		if in.end() {
			return out, nil
		}
		in.skip(';')
	}
}

func (s *scanner) source() Source {
	x := Source{Instrument: id.Instrument(s.raw())}
	s.skip(',')
	x.Kind = instrument.Kind(s.word())
	x.Connector, x.Account, x.Method, x.Token = s.word(), s.word(), s.word(), s.word()
	for n, at := range x.figures() {
		if n > 0 {
			s.skip('.')
		}
		*at = s.number()
	}
	x.Unusable = s.next('!')
	for s.next(',') {
		share := Share{Operation: id.Operation(s.raw())}
		s.skip('.')
		share.Minor = s.number()
		x.Open = append(x.Open, share)
	}
	return x
}

func (s *Source) figures() [5]*int64 {
	return [...]*int64{&s.FirstUS, &s.Captured, &s.Refunded, &s.Refunding, &s.Paid}
}

// word reads what appendWord wrote.
func (s *scanner) word() string {
	text := s.until(',')
	if strings.IndexByte(text, '%') < 0 {
		return text
	}
	plain, err := url.PathUnescape(text)
	if err != nil {
		s.fail()
	}
	return plain
}

// appendWord adds a word of anybody's, and a comma.
func appendWord(out []byte, text string) []byte {
	if strings.ContainsAny(text, "%,;") {
		text = strings.NewReplacer("%", "%25", ",", "%2C", ";", "%3B").Replace(text)
	}
	return append(append(out, text...), ',')
}

// EncodeSources writes sources as the stores keep them, in the window of deposits:
// "01k4…,card,generic,house,generic-card,tok-1,kxa1b.2s.0.0.0" each, its figures in
// base 36, then "!" if it is unusable, and what is reserved: ",01k4….1s".
func EncodeSources(list []Source) string {
	var short [1024]byte // enough for most
	out := short[:0]
	for n := range list {
		x := &list[n]
		if n > 0 {
			out = append(out, ';')
		}
		out = append(x.Instrument.Raw().AppendText(out), ',')
		for _, text := range [...]string{string(x.Kind), x.Connector, x.Account, x.Method, x.Token} {
			out = appendWord(out, text)
		}
		for n, at := range x.figures() {
			if n > 0 {
				out = append(out, '.')
			}
			out = strconv.AppendInt(out, *at, base)
		}
		if x.Unusable {
			out = append(out, '!')
		}
		for _, share := range x.Open {
			out = append(share.Operation.Raw().AppendText(append(out, ',')), '.')
			out = strconv.AppendInt(out, share.Minor, base)
		}
	}
	return string(out)
}

// MaxSources bounds the instruments of one customer that are told apart; what comes
// after them counts as what a PSP has not named.
const MaxSources = 100

// MaxParts bounds the parts of one payout.
const MaxParts = 16

// Part is a share of a payout before it is reserved.
type Part struct {
	Source int // its place in the list
	Minor  int64
}

// Splitting says how a payout may be split.
type Splitting struct {
	Minor int64

	// Usable reports whether money can be sent to a source now: its PSP account
	// pays out, and it is not blocked.
	Usable func(*Source) bool

	// Beyond reports whether more may be sent to it than it has paid in.
	Beyond func(*Source) bool

	// Rest is the instrument that the customer wants what they have won sent to; zero:
	// they have not said.
	Rest id.Instrument
}

// Split is how a payout is sent back.
type Split struct {
	Parts []Part

	// Elsewhere is what goes where it did not come from, since that cannot take it, or
	// to what has never paid in: a person must look.
	Elsewhere int64

	// Left is what has no place to go.
	Left int64
}

// Divide splits a payout: back to cards, then wallets, then bank accounts, in the
// order in which they first paid in, each up to what it has paid in; the rest to a
// verified bank account or wallet, or else to the first instrument whose scheme
// allows more. What came from an instrument that cannot be paid goes to a verified
// bank account, and counts as Elsewhere.
func Divide(list []Source, how Splitting) Split {
	order := make([]int, len(list))
	for n := range list {
		order[n] = n
	}
	slices.SortFunc(order, func(a, b int) int { return compare(list[a], list[b]) })
	var out Split
	left, stranded := how.Minor, int64(0)
	for _, n := range order {
		share := min(left, list[n].Returnable())
		if share == 0 || len(out.Parts) == MaxParts-1 {
			continue
		}
		left -= share
		if !how.Usable(&list[n]) {
			stranded += share
			continue
		}
		out.Parts = append(out.Parts, Part{n, share})
	}
	// What could not go back goes to a verified bank account alone, and waits for a person.
	if at := pick(list, order, how, bankOnly); stranded > 0 && at >= 0 {
		out.add(at, stranded)
		out.Elsewhere += stranded
	} else {
		left += stranded
	}
	if left == 0 {
		return out
	}
	at := pick(list, order, how, forRest)
	if at < 0 {
		out.Left = left
		return out
	}
	out.add(at, left)
	if !list[at].Verified() || stranded > 0 && out.Elsewhere == 0 {
		out.Elsewhere += left
	}
	return out
}

func (s *Split) add(source int, minor int64) {
	if at := slices.IndexFunc(s.Parts, func(p Part) bool { return p.Source == source }); at >= 0 {
		s.Parts[at].Minor += minor
		return
	}
	s.Parts = append(s.Parts, Part{source, minor})
}

// Order sorts sources as payouts go back to them.
func Order(list []Source) { slices.SortFunc(list, compare) }

func compare(x, y Source) int {
	return cmp.Or(cmp.Compare(rank(x.Kind), rank(y.Kind)), compareFirst(x.FirstUS, y.FirstUS), x.Instrument.Compare(y.Instrument))
}

// rank orders the groups; what is of none that we know comes last.
func rank(k instrument.Kind) int {
	if n := slices.Index([]instrument.Kind{instrument.Card, instrument.Wallet, instrument.Bank}, k); n >= 0 {
		return n
	}
	return 3
}

// compareFirst puts what has never paid in behind what has.
func compareFirst(a, b int64) int {
	if (a == 0) != (b == 0) {
		return cmp.Compare(b, a)
	}
	return cmp.Compare(a, b)
}

// preference is a list of ways to choose where money goes that came from nowhere in
// particular: the first that finds a source decides.
type preference []func(s *Source, how *Splitting) bool

var (
	bankOnly = preference{
		func(s *Source, _ *Splitting) bool { return s.Verified() && s.Kind == instrument.Bank },
	}
	forRest = preference{
		func(s *Source, how *Splitting) bool {
			return !how.Rest.IsZero() && s.Instrument == how.Rest && how.Beyond(s)
		},
		bankOnly[0],
		func(s *Source, _ *Splitting) bool { return s.Verified() && s.Kind == instrument.Wallet },
		func(s *Source, how *Splitting) bool { return s.Verified() && how.Beyond(s) },
		func(s *Source, how *Splitting) bool { return how.Beyond(s) },
	}
)

func pick(list []Source, order []int, how Splitting, p preference) int {
	for _, fits := range p {
		for _, n := range order {
			if how.Usable(&list[n]) && fits(&list[n], &how) {
				return n
			}
		}
	}
	return -1
}

// ErrNoShare: the operation has no share that is reserved. Always a bug.
var ErrNoShare = errors.New("no share of the operation is reserved")

// ShareOf finds the source for which an operation's share is reserved; −1 if none is.
func ShareOf(list []Source, o id.Operation) (source, share int) {
	for n := range list {
		if at := slices.IndexFunc(list[n].Open, func(s Share) bool { return s.Operation == o }); at >= 0 {
			return n, at
		}
	}
	return -1, -1
}

// Settle ends an operation's share: paid, or given back to the wallet.
func Settle(list []Source, o id.Operation, paid bool) error {
	n, at := ShareOf(list, o)
	if n < 0 {
		return fmt.Errorf("%w: %s", ErrNoShare, o)
	}
	if paid {
		list[n].Paid += list[n].Open[at].Minor
	}
	list[n].Open = slices.Delete(slices.Clone(list[n].Open), at, at+1)
	return nil
}
