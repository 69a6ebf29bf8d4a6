package limit

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"aorta/internal/id"
	"aorta/internal/instrument"
)

// Source is what one instrument of a customer has paid in and got back, in one
// currency. A payout goes back to sources (limits-and-risk.md section 4.6).
type Source struct {
	Instrument id.Instrument   `json:"id"`
	Kind       instrument.Kind `json:"kind"`
	Connector  string          `json:"psp"`
	Account    string          `json:"account"`
	Method     string          `json:"method"`          // by which money came, and goes: its code
	Token      string          `json:"token,omitempty"` // the PSP's; empty: it names none, and pays where the customer last paid from by the method

	FirstUS   int64   `json:"first,omitempty"` // when it first paid in; 0: never, so nothing proves whose it is
	Captured  int64   `json:"captured,omitempty"`
	Refunded  int64   `json:"refunded,omitempty"`
	Refunding int64   `json:"refunding,omitempty"`
	Paid      int64   `json:"paid,omitempty"`
	Open      []Share `json:"open,omitempty"`     // reserved for payouts under way
	Unusable  bool    `json:"unusable,omitempty"` // the PSP has said that it takes no money
}

// Share is a part of a payout that is reserved for a source.
type Share struct {
	Operation id.Operation `json:"op"`
	Minor     int64        `json:"minor"`
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

// List reads the entries.
func (s Sources) List() ([]Source, error) {
	if s.Entries == "" {
		return nil, nil
	}
	var out []Source
	if err := json.Unmarshal([]byte(s.Entries), &out); err != nil {
		return nil, fmt.Errorf("sources of %s: %w", s.Customer, err)
	}
	return out, nil
}

// With gives the sources with these entries, as of an instant.
func (s Sources) With(list []Source, nowUS int64) Sources {
	text, err := json.Marshal(list)
	if err != nil {
		panic("plain fields cannot fail to encode: " + err.Error())
	}
	s.Entries, s.ChangedUS = string(text), nowUS
	return s
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
