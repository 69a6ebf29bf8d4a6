package limit_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"aorta/internal/id"
	"aorta/internal/instrument"
	"aorta/internal/limit"
)

func source(n byte, kind instrument.Kind, firstUS, captured int64) limit.Source {
	return limit.Source{Instrument: id.Instrument{15: n}, Kind: kind, Method: "m" + string(kind), FirstUS: firstUS, Captured: captured}
}

func anything(*limit.Source) bool { return true }

// cards take back what they have paid in, and no more.
func noCards(s *limit.Source) bool { return s.Kind != instrument.Card }

// A payout goes back the way the money came (limits-and-risk.md 4.6).
func TestDivide(t *testing.T) {
	t.Parallel()
	refunded := source(1, instrument.Card, 1, 100)
	refunded.Refunded, refunded.Refunding = 15, 5
	expired := source(2, instrument.Card, 2, 30)
	expired.Unusable = true
	paid := source(3, instrument.Card, 3, 50)
	paid.Paid, paid.Open = 20, []limit.Share{{Minor: 10}}
	wallet, bank, empty := source(4, instrument.Wallet, 4, 50), source(5, instrument.Bank, 5, 10), source(6, instrument.Bank, 6, 0)
	unproved := source(7, instrument.Wallet, 0, 0)
	young, old := source(8, instrument.Card, 9, 40), source(9, instrument.Card, 8, 40)
	empty.Captured, empty.Refunded = 10, 10
	for _, test := range []struct {
		name            string
		list            []limit.Source
		minor           int64
		rest            id.Instrument
		beyond          func(*limit.Source) bool
		want            string // source:minor
		elsewhere, left int64
	}{
		{name: "the example", list: []limit.Source{empty, wallet, refunded}, minor: 200, want: "2:80 1:50 0:70"},
		{name: "the example, of less", list: []limit.Source{empty, wallet, refunded}, minor: 60, want: "2:60"},
		{name: "less what is paid and reserved", list: []limit.Source{paid}, minor: 20, want: "0:20"},
		{name: "cards by when they first paid", list: []limit.Source{young, old}, minor: 50, want: "1:40 0:10"},
		{name: "the rest to a bank account", list: []limit.Source{bank, wallet}, minor: 70, want: "1:50 0:20"},
		{name: "the rest to a wallet", list: []limit.Source{wallet, refunded}, minor: 200, want: "1:80 0:120"},
		{name: "the rest where the customer wants", list: []limit.Source{bank, wallet}, minor: 70, rest: wallet.Instrument, want: "1:60 0:10"},
		{name: "the rest to a card that takes more", list: []limit.Source{refunded}, minor: 100, beyond: anything, want: "0:100"},
		{name: "the rest to nowhere", list: []limit.Source{refunded}, minor: 100, want: "0:80", left: 20},
		{name: "nothing to go to", minor: 5, left: 5},
		{name: "what cannot be paid, to a bank account", list: []limit.Source{expired, bank}, minor: 35, want: "1:35", elsewhere: 30},
		{name: "what cannot be paid, without one", list: []limit.Source{expired, wallet}, minor: 80, want: "1:80", elsewhere: 30},
		{name: "to what has never paid in", list: []limit.Source{unproved}, minor: 5, want: "0:5", elsewhere: 5},
	} {
		beyond := test.beyond
		if beyond == nil {
			beyond = noCards
		}
		got := limit.Divide(test.list, limit.Splitting{Minor: test.minor, Rest: test.rest, Usable: func(s *limit.Source) bool { return !s.Unusable }, Beyond: beyond})
		text := ""
		for _, p := range got.Parts {
			text += fmt.Sprintf(" %d:%d", p.Source, p.Minor)
		}
		if text != " "+test.want && text != test.want || got.Elsewhere != test.elsewhere || got.Left != test.left {
			t.Errorf("%s: %q, elsewhere %d, left %d; want %q, %d, %d", test.name, text, got.Elsewhere, got.Left, test.want, test.elsewhere, test.left)
		}
	}
}

// Whatever the instruments: nothing is lost or made, no instrument gets more than it may,
// none twice, and none that takes no money.
func TestDivideRandom(t *testing.T) {
	t.Parallel()
	kinds := []instrument.Kind{instrument.Card, instrument.Wallet, instrument.Bank, "coupon"}
	for seed := range uint64(20_000) {
		dice := rand.New(rand.NewPCG(seed, 4))
		var list []limit.Source
		for n := range dice.IntN(30) {
			s := source(byte(n), kinds[dice.IntN(4)], dice.Int64N(9), dice.Int64N(100))
			s.Refunded, s.Paid, s.Unusable = dice.Int64N(50), dice.Int64N(50), dice.IntN(5) == 0
			list = append(list, s)
		}
		how := limit.Splitting{Minor: 1 + dice.Int64N(1500), Usable: func(s *limit.Source) bool { return !s.Unusable }, Beyond: noCards}
		got := limit.Divide(list, how)
		sum, seen := got.Left, map[int]bool{}
		for _, p := range got.Parts {
			sum += p.Minor
			s := &list[p.Source]
			if seen[p.Source] || s.Unusable || p.Minor <= 0 || s.Kind == instrument.Card && p.Minor > s.Returnable() {
				t.Fatalf("seed %d: part %+v of %+v", seed, p, *s)
			}
			seen[p.Source] = true
		}
		if sum != how.Minor || len(got.Parts) > limit.MaxParts || got.Elsewhere > how.Minor {
			t.Fatalf("seed %d: %+v of %d", seed, got, how.Minor)
		}
	}
}

func TestSourcesAreKept(t *testing.T) {
	t.Parallel()
	list := []limit.Source{source(1, instrument.Card, 1, 100)}
	one, two := id.Operation{15: 1}, id.Operation{15: 2}
	list[0].Open = []limit.Share{{one, 30}, {two, 20}}
	again, err := limit.DecodeSources(limit.EncodeSources(list))
	if err != nil || again[0].Reserved() != 50 || again[0].Returnable() != 50 {
		t.Fatalf("%+v, %v", again, err)
	}
	if err := limit.Settle(again, one, true); err != nil || again[0].Paid != 30 || again[0].Reserved() != 20 {
		t.Errorf("paid: %+v, %v", again[0], err)
	}
	if err := limit.Settle(again, two, false); err != nil || again[0].Paid != 30 || again[0].Reserved() != 0 {
		t.Errorf("given back: %+v, %v", again[0], err)
	}
	if err := limit.Settle(again, two, true); err == nil {
		t.Error("a share was settled twice")
	}
	if !slices.Equal(list[0].Open, []limit.Share{{one, 30}, {two, 20}}) {
		t.Error("settling has changed another's list")
	}
	if _, err := limit.DecodeSources("x"); err == nil {
		t.Error("nonsense was read")
	}
}

// What PSPs and merchants call things may hold any character.
func TestSourcesOfAnyWord(t *testing.T) {
	t.Parallel()
	var list []limit.Source
	for n, word := range []string{"", "a,b", "%2C", "x;y;", "é %25 +", "plain", "a.b!c"} {
		s := source(byte(n+1), instrument.Kind(word), int64(n), math.MaxInt64)
		s.Connector, s.Account, s.Method, s.Token, s.Unusable = word, word+"1", word+"2", word+"3", n%2 == 1
		s.Refunded, s.Refunding, s.Paid = 1, 35, 36
		for share := range n % 3 {
			s.Open = append(s.Open, limit.Share{Operation: id.Operation{15: byte(share + 1)}, Minor: int64(share) + 1})
		}
		list = append(list, s)
	}
	again, err := limit.DecodeSources(limit.EncodeSources(list))
	if err != nil || !reflect.DeepEqual(again, list) {
		t.Errorf("%+v is read as %+v (%v)", list, again, err)
	}
	if text := limit.EncodeSources(nil); text != "" {
		t.Errorf("no source is %q", text)
	}
}

func FuzzSources(f *testing.F) {
	list := []limit.Source{source(1, instrument.Card, 1, 100), source(2, instrument.Bank, 0, 0)}
	list[0].Open, list[1].Unusable = []limit.Share{{Operation: id.Operation{15: 1}, Minor: 30}}, true
	f.Add(limit.EncodeSources(list))
	f.Fuzz(func(t *testing.T, text string) {
		list, err := limit.DecodeSources(text)
		if err != nil {
			return
		}
		again, err := limit.DecodeSources(limit.EncodeSources(list))
		if err != nil || !reflect.DeepEqual(again, list) {
			t.Errorf("%q is read as %+v, and again as %+v (%v)", text, list, again, err)
		}
	})
}
