package ledger_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/money"

	"pgregory.net/rapid"
)

// purposes are all there are, each with its side and whether it may go below
// zero (design section 5).
var purposes = []struct {
	purpose     ledger.Purpose
	debitNormal bool
	mayGoBelow  bool
}{
	{purpose: ledger.Available},
	{purpose: ledger.Reserved},
	{purpose: ledger.Payable, mayGoBelow: true},
	{purpose: ledger.Clearing, debitNormal: true, mayGoBelow: true},
	{purpose: ledger.RefundDue},
}

func account(n int, p ledger.Purpose) ledger.Account {
	return ledger.Open(5, fmt.Sprint("owner:", n), p, "INR")
}

func transferID(b id.Bucket) id.Transfer { return id.Transfer(id.Derive(b, "transfer")) }

func TestPurposes(t *testing.T) {
	t.Parallel()
	for _, p := range purposes {
		if !p.purpose.Known() || p.purpose.MayGoBelow() != p.mayGoBelow {
			t.Errorf("%s: known %t, may go below %t; want %t", p.purpose, p.purpose.Known(), p.purpose.MayGoBelow(), p.mayGoBelow)
		}
		debited, err := account(1, p.purpose).Post(7)
		if p.debitNormal && (err != nil || debited.Balance() != 7) {
			t.Errorf("%s after a debit of 7: %d, %v; want 7", p.purpose, debited.Balance(), err)
		}
		credited, err := account(1, p.purpose).Post(-7)
		if !p.debitNormal && (err != nil || credited.Balance() != 7) {
			t.Errorf("%s after a credit of 7: %d, %v; want 7", p.purpose, credited.Balance(), err)
		}
	}
	if ledger.Purpose("pocket").Known() {
		t.Error("a purpose that there is not is known")
	}
}

func TestPostRefusesBelowZeroExactlyWhereItMust(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SampledFrom(purposes).Draw(t, "purpose")
		a, balance := account(1, p.purpose), int64(0)
		for _, minor := range rapid.SliceOfN(rapid.Int64Range(-1_000_000, 1_000_000), 1, 20).Draw(t, "postings") {
			change := minor
			if !p.debitNormal {
				change = -minor
			}
			next, err := a.Post(minor)
			if refused := balance+change < 0 && !p.mayGoBelow; refused {
				if !errors.Is(err, ledger.ErrInsufficient) {
					t.Fatalf("%s of %d: Post(%d) = %v, want ErrInsufficient", p.purpose, balance, minor, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%s of %d: Post(%d) = %v", p.purpose, balance, minor, err)
			}
			a, balance = next, balance+change
			if a.Balance() != balance {
				t.Fatalf("%s: balance is %d, want %d", p.purpose, a.Balance(), balance)
			}
		}
	})
}

func TestPostAtTheEdges(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		has   int64
		minor int64
		want  error
	}{
		{name: "to the largest", has: math.MaxInt64 - 1, minor: 1},
		{name: "beyond the largest", has: math.MaxInt64, minor: 1, want: money.ErrRange},
		{name: "far beyond the largest", has: math.MaxInt64, minor: math.MaxInt64, want: money.ErrRange},
		{name: "to the smallest that has an opposite", has: -math.MaxInt64 + 1, minor: -1},
		{name: "to the one that has none", has: -math.MaxInt64, minor: -1, want: money.ErrRange},
		{name: "the one that has none", has: 0, minor: math.MinInt64, want: money.ErrRange},
		{name: "beyond the smallest", has: -math.MaxInt64, minor: -2, want: money.ErrRange},
		{name: "far beyond the smallest", has: -math.MaxInt64, minor: math.MinInt64, want: money.ErrRange},
		{name: "nothing", has: 5, minor: 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := account(1, ledger.Clearing)
			a.Minor = test.has
			got, err := a.Post(test.minor)
			if !errors.Is(err, test.want) {
				t.Fatalf("Post(%d) on %d = %v, want %v", test.minor, test.has, err, test.want)
			}
			if want := test.has + test.minor; test.want == nil && got.Minor != want {
				t.Errorf("Post(%d) on %d gives %d, want %d", test.minor, test.has, got.Minor, want)
			}
			if test.want != nil && got.Minor != test.has {
				t.Errorf("Post(%d) was refused and gives %d, want the %d there was", test.minor, got.Minor, test.has)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	here := ledger.AccountID(5, "a", ledger.Clearing, "INR")
	other := ledger.AccountID(5, "b", ledger.Payable, "INR")
	far := ledger.AccountID(6, "c", ledger.Payable, "INR")
	p := func(a id.Account, c money.Currency, minor int64) ledger.Posting {
		return ledger.Posting{Account: a, Currency: c, Minor: minor}
	}
	pairs := func(n int) []ledger.Posting {
		return slices.Repeat([]ledger.Posting{p(here, "INR", 1), p(other, "INR", -1)}, n)
	}
	tests := []struct {
		name     string
		postings []ledger.Posting
		good     bool
	}{
		{name: "two that balance", postings: pairs(1), good: true},
		{name: "sixteen that balance", postings: pairs(8), good: true},
		{name: "two currencies, each balanced", postings: append(pairs(1), p(here, "JPY", -3), p(other, "JPY", 3)), good: true},
		{name: "none"},
		{name: "one", postings: []ledger.Posting{p(here, "INR", 1)}},
		{name: "eighteen", postings: pairs(9)},
		{name: "a sum of one", postings: []ledger.Posting{p(here, "INR", 2), p(other, "INR", -1)}},
		{name: "balanced only across currencies", postings: []ledger.Posting{p(here, "INR", 1), p(other, "JPY", -1)}},
		{name: "a posting of zero", postings: append(pairs(1), p(here, "INR", 0))},
		{name: "another bucket", postings: []ledger.Posting{p(here, "INR", 1), p(far, "INR", -1)}},
		{name: "a sum that wraps round to zero", postings: []ledger.Posting{p(here, "INR", math.MinInt64), p(other, "INR", math.MinInt64)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := ledger.New(transferID(5), ledger.KindDeposit, test.postings...)
			if test.good && (err != nil || got.ID != transferID(5) || got.Kind != ledger.KindDeposit || !slices.Equal(got.Postings, test.postings)) {
				t.Errorf("New() = %+v, %v; want it with its postings", got, err)
			}
			if !test.good && (!errors.Is(err, ledger.ErrUnbalanced) || len(got.Postings) != 0) {
				t.Errorf("New() = %+v, %v; want ErrUnbalanced", got, err)
			}
		})
	}
}

func TestMoveDebitsAndCredits(t *testing.T) {
	t.Parallel()
	from, to := account(1, ledger.Clearing).ID, account(2, ledger.Payable).ID
	rapid.Check(t, func(t *rapid.T) {
		minor := rapid.Int64().Draw(t, "minor")
		got, err := ledger.Move(transferID(5), ledger.KindDeposit, from, to, money.Amount{Minor: minor, Currency: "INR"})
		if minor == 0 || minor == math.MinInt64 {
			if !errors.Is(err, ledger.ErrUnbalanced) {
				t.Fatalf("Move(%d) = %v, want ErrUnbalanced", minor, err)
			}
			return
		}
		want := []ledger.Posting{{Account: from, Currency: "INR", Minor: minor}, {Account: to, Currency: "INR", Minor: -minor}}
		if err != nil || !slices.Equal(got.Postings, want) {
			t.Fatalf("Move(%d) = %+v, %v; want %+v", minor, got.Postings, err, want)
		}
	})
}

var (
	currencies  = rapid.SampledFrom([]money.Currency{"INR", "USD", "JPY"})
	anyPostings = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) ledger.Posting {
		return ledger.Posting{
			Account:  ledger.AccountID(5, rapid.String().Draw(t, "owner"), ledger.Payable, "INR"),
			Currency: currencies.Draw(t, "currency"), Minor: rapid.Int64().Draw(t, "minor"),
		}
	}), 0, 20)
)

// Whatever is asked for, a transfer that exists is balanced.
func TestATransferIsBalanced(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		postings := anyPostings.Draw(t, "postings")
		if rapid.Bool().Draw(t, "mirrored") {
			for _, p := range slices.Clone(postings[:min(8, len(postings))]) {
				postings = append(postings[:min(8, len(postings))], ledger.Posting{Account: p.Account, Currency: p.Currency, Minor: -p.Minor})
			}
		}
		got, err := ledger.New(transferID(5), ledger.KindDeposit, postings...)
		if err != nil {
			return
		}
		sums := map[money.Currency]float64{}
		for _, p := range got.Postings {
			sums[p.Currency] += float64(p.Minor)
		}
		for c, sum := range sums {
			if sum > 1e6 || sum < -1e6 { // far more than rounding: it wrapped
				t.Fatalf("transfer of %+v sums to %g %s", postings, sum, c)
			}
		}
		if !ledger.Balanced(got.Postings) {
			t.Fatalf("transfer of %+v does not balance", postings)
		}
	})
}

func TestPostingsRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := anyPostings.Draw(t, "postings")
		text := ledger.EncodePostings(want)
		got, err := ledger.DecodePostings(text)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("DecodePostings(%s) = %+v, %v; want %+v", text, got, err, want)
		}
	})
}

func TestEncodedPostings(t *testing.T) {
	t.Parallel()
	a := account(1, ledger.Clearing).ID
	got := ledger.EncodePostings([]ledger.Posting{{Account: a, Currency: "INR", Minor: 250}, {Account: a, Currency: "INR", Minor: -250}})
	want := fmt.Sprintf(`[["%s","INR",250],["%s","INR",-250]]`, a, a)
	if got != want {
		t.Errorf("EncodePostings() = %s, want %s", got, want)
	}
}

func TestDecodePostingsRefuses(t *testing.T) {
	t.Parallel()
	a := account(1, ledger.Clearing).ID.String()
	for _, text := range []string{
		``, `{}`, `[1]`, `[["` + a + `","INR"]]`, `[["pay_1","INR",1]]`, `[["` + a + `","INR",1.5]]`, `[["` + a + `","INR","1"]]`,
		`[["` + a + `",5,1]]`, `[["` + a + `","INR",9223372036854775808]]`,
	} {
		if got, err := ledger.DecodePostings(text); err == nil {
			t.Errorf("DecodePostings(%s) = %+v, want an error", text, got)
		}
	}
}

func TestAnAccountIsFoundByItsName(t *testing.T) {
	t.Parallel()
	a := ledger.Open(5, "merchant:1", ledger.Payable, "INR")
	if a.ID != ledger.AccountID(5, "merchant:1", ledger.Payable, "INR") || a.ID.Bucket() != 5 || a.Balance() != 0 {
		t.Errorf("Open() = %+v, want an empty account of bucket 5 under its own id", a)
	}
	for _, other := range []ledger.Account{
		ledger.Open(6, "merchant:1", ledger.Payable, "INR"), ledger.Open(5, "merchant:2", ledger.Payable, "INR"),
		ledger.Open(5, "merchant:1", ledger.Reserved, "INR"), ledger.Open(5, "merchant:1", ledger.Payable, "USD"),
	} {
		if other.ID == a.ID {
			t.Errorf("%+v and %+v have one id", a, other)
		}
	}
}
