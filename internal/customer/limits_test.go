package customer_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"aorta/internal/customer"
	"aorta/internal/id"
	"aorta/internal/limit"
	"aorta/internal/money"
)

const (
	dayUS   = 24 * int64(time.Hour/time.Microsecond)
	deposit = customer.LimitDeposit
)

var delay = customer.Delays{Raise: 24 * time.Hour, Confirm: 30 * 24 * time.Hour}

func eur(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "EUR"} }

// wish is one step of a customer with a limit of deposits a day.
type wish struct {
	at      int64 // in days
	set     int64 // 0: not this
	remove  bool
	confirm bool

	holds  int64 // what holds after it; 0: no limit
	change customer.Change
	err    error
}

// TestChanges plays the table of limits-and-risk.md 1.2.
func TestChanges(t *testing.T) {
	t.Parallel()
	now, pending := customer.ChangeNow, customer.ChangePending
	tests := []struct {
		name  string
		steps []wish
	}{
		{"the first holds at once, so does a lower one", []wish{{set: 100, holds: 100, change: now}, {set: 40, holds: 40, change: now}}},
		{"the same again changes nothing", []wish{{set: 100, holds: 100, change: now}, {set: 100, holds: 100, change: customer.ChangeNone}}},
		{"a raise waits, and for a word", []wish{
			{set: 100, holds: 100, change: now},
			{set: 200, holds: 100, change: pending},
			{at: 0, confirm: true, holds: 100, err: customer.ErrTooEarly},
			{at: 1, holds: 100},
			{at: 1, confirm: true, holds: 200},
			{at: 1, confirm: true, holds: 200, err: customer.ErrNotPending},
		}},
		{"unconfirmed it lapses", []wish{
			{set: 100, holds: 100, change: now},
			{set: 200, holds: 100, change: pending},
			{at: 31, confirm: true, holds: 100, err: customer.ErrNotPending},
			{at: 31, set: 300, holds: 100, change: pending},
			{at: 61, confirm: true, holds: 300},
		}},
		{"a lower one ends the raise", []wish{
			{set: 100, holds: 100, change: now},
			{set: 200, holds: 100, change: pending},
			{set: 90, holds: 90, change: now},
			{at: 2, confirm: true, holds: 90, err: customer.ErrNotPending},
		}},
		{"what holds, said again, ends the raise", []wish{
			{set: 100, holds: 100, change: now},
			{set: 200, holds: 100, change: pending},
			{set: 100, holds: 100, change: now},
			{at: 2, confirm: true, holds: 100, err: customer.ErrNotPending},
		}},
		{"a second raise starts again", []wish{
			{set: 100, holds: 100, change: now},
			{set: 200, holds: 100, change: pending},
			{at: 1, set: 150, holds: 100, change: pending},
			{at: 1, confirm: true, holds: 100, err: customer.ErrTooEarly},
			{at: 2, confirm: true, holds: 150},
		}},
		{"to be rid of it waits too", []wish{
			{set: 100, holds: 100, change: now},
			{remove: true, holds: 100},
			{confirm: true, holds: 100, err: customer.ErrTooEarly},
			{at: 1, confirm: true},
			{at: 1, remove: true, err: customer.ErrNoLimit},
			{at: 1, confirm: true, err: customer.ErrNoLimit},
		}},
	}
	for _, tt := range tests {
		var l customer.Limits
		for n, w := range tt.steps {
			var got customer.Change
			var err error
			switch at := w.at * dayUS; {
			case w.set != 0:
				l, got, err = l.Set(deposit, limit.Day, eur(w.set), at, delay)
			case w.remove:
				l, err = l.Remove(deposit, limit.Day, at, delay)
			case w.confirm:
				l, err = l.Confirm(deposit, limit.Day, at)
			}
			x, _ := l.Get(deposit, limit.Day, false)
			if got != w.change || !errors.Is(err, w.err) || x.Amount.Minor != w.holds {
				t.Errorf("%s, step %d: %q, %v, %d holds; want %q, %v, %d", tt.name, n, got, err, x.Amount.Minor, w.change, w.err, w.holds)
			}
			again, err := customer.DecodeLimits(l.Encode())
			if err != nil || again.Encode() != l.Encode() || len(l.List) > 0 && !reflect.DeepEqual(again, l) {
				t.Errorf("%s, step %d: %+v is read back as %+v (%v)", tt.name, n, l, again, err)
			}
		}
	}
}

func TestHouseLimit(t *testing.T) {
	t.Parallel()
	var l customer.Limits
	l, _, _ = l.Set(deposit, limit.Day, eur(100), 0, delay)
	l, _, _ = l.Set(deposit, limit.Day, eur(500), 0, delay)
	l = l.SetHouse(deposit, limit.Day, eur(300), "ann", 1)
	if _, _, err := l.Set(deposit, limit.Day, eur(301), 2, delay); !errors.Is(err, customer.ErrHouseLimit) {
		t.Errorf("a raise above the house's limit: %v", err)
	}
	if _, err := l.Confirm(deposit, limit.Day, dayUS); !errors.Is(err, customer.ErrHouseLimit) {
		t.Errorf("a raise that was asked for before the house's limit: %v", err)
	}
	if _, change, err := l.Set(deposit, limit.Day, eur(300), 2, delay); err != nil || change != customer.ChangePending {
		t.Errorf("a raise up to it: %q, %v", change, err)
	}
	if h, _ := l.Get(deposit, limit.Day, true); h.LowerUS != 1 {
		t.Errorf("the house's limit was lowered at %d", h.LowerUS)
	}
	l = l.SetHouse(deposit, limit.Day, eur(400), "ben", 5)
	if h, _ := l.Get(deposit, limit.Day, true); h.LowerUS != 1 || h.SetUS != 5 {
		t.Errorf("a house's limit that is raised: %+v", h)
	}
	l = l.SetHouse(customer.LimitStake, limit.Week, eur(7), "rules:a b/c", 6)
	again, err := customer.DecodeLimits(l.Encode())
	if err != nil || !reflect.DeepEqual(again, l) {
		t.Errorf("%+v is read back as %+v (%v)", l, again, err)
	}
	before, err := customer.DecodeLimits("@1 =deposit/day/300EUR/1/1")
	if h, ok := before.Get(deposit, limit.Day, true); err != nil || !ok || h.By != "" || h.HasAsked {
		t.Errorf("one of before it was kept who has set it: %+v, %t, %v", h, ok, err)
	}
}

func TestAnotherCurrency(t *testing.T) {
	t.Parallel()
	var l customer.Limits
	l, _, _ = l.Set(deposit, limit.Day, eur(100), 0, delay)
	if _, _, err := l.Set(deposit, limit.Day, money.Amount{Minor: 5, Currency: "SEK"}, 0, delay); !errors.Is(err, money.ErrCurrency) {
		t.Errorf("another currency: %v", err)
	}
	l, err := l.In(deposit, limit.Day, func(a money.Amount) (money.Amount, error) {
		return money.Amount{Minor: a.Minor * 11, Currency: "SEK"}, nil
	})
	if x, _ := l.Get(deposit, limit.Day, false); err != nil || x.Amount != (money.Amount{Minor: 1100, Currency: "SEK"}) {
		t.Errorf("converted: %+v, %v", x, err)
	}
}

func TestCurrenciesAreKept(t *testing.T) {
	t.Parallel()
	l, added := customer.Limits{}.Counted("EUR")
	l, _ = l.Counted("SEK")
	if _, twice := l.Counted("EUR"); !added || twice {
		t.Errorf("a currency is added: %t, twice: %t", added, twice)
	}
	again, err := customer.DecodeLimits(l.Encode())
	if err != nil || !reflect.DeepEqual(again, l) {
		t.Errorf("%+v is read back as %+v (%v)", l, again, err)
	}
	l, _, _ = l.Set(deposit, limit.Day, eur(5), 77, delay)
	l, _, _ = l.Set(deposit, limit.Week, eur(5), 99, delay)
	l, added = l.PaidIn("SEK")
	if _, twice := l.PaidIn("SEK"); !added || twice {
		t.Errorf("a currency of payouts is added: %t, twice: %t", added, twice)
	}
	if h, err := customer.DecodeHead(l.Encode()); err != nil || h.LowerUS != 99 || !reflect.DeepEqual(h.Currencies, l.Currencies) || !reflect.DeepEqual(h.Paid, l.Paid) {
		t.Errorf("the head of %q is %+v (%v)", l.Encode(), h, err)
	}
	if again, err := customer.DecodeLimits(l.Encode()); err != nil || !reflect.DeepEqual(again, l) {
		t.Errorf("%+v is read back as %+v (%v)", l, again, err)
	}
	alone, _ := customer.Limits{}.PaidIn("EUR")
	if again, err := customer.DecodeLimits(alone.Encode()); err != nil || !reflect.DeepEqual(again, alone) {
		t.Errorf("%+v is read back as %+v (%v)", alone, again, err)
	}
	for _, bad := range []string{"EUR", "EUR@", "@x", "EUR@1 deposit/day", "EUR@1 x", "EUR@1 deposit/day/5EUR/1/2/3", "EUR@1 !cool_off/1", "EUR@1 deposit/day/EUR/1/2", "EUR@1 deposit/day/1EUR/1/2/-/3/4/5/6"} {
		if got, err := customer.DecodeLimits(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, got)
		}
	}
}

// A text of before it was packed says the same as one that is packed, which is much shorter.
func TestLimitsOfBefore(t *testing.T) {
	t.Parallel()
	gone := id.Customer{9}
	before := "EUR,SEK;SEK@1769000000000002 deposit/day/10000EUR/1769000000000001/1769000000000002 =stake/calendar_month/300EUR/1769000000000000/1769000000000000/ann " +
		"single_deposit/once/5SEK/1/1/-/2/3/4 net_deposit/week/1EUR/1/1/9007199254740993EUR/2/3/4 loss/month/0EUR/0/0 " +
		"!cool_off/1769000000000000/1769000000000009/0/a+b ~frozen/1/" + gone.String()
	l, err := customer.DecodeLimits(before)
	if err != nil {
		t.Fatal(err)
	}
	want := customer.Limits{
		Currencies: []money.Currency{"EUR", "SEK"}, Paid: []money.Currency{"SEK"},
		List: []customer.Limit{
			{Kind: deposit, Period: limit.Day, Amount: eur(10000), SetUS: 1769000000000001, LowerUS: 1769000000000002},
			{Kind: customer.LimitStake, Period: limit.CalendarMonth, House: true, By: "ann", Amount: eur(300), SetUS: 1769000000000000, LowerUS: 1769000000000000},
			{
				Kind: customer.LimitSingleDeposit, Period: limit.Once, Amount: money.Amount{Minor: 5, Currency: "SEK"}, SetUS: 1, LowerUS: 1,
				Pending: customer.Pending{Remove: true, AskedUS: 2, FromUS: 3, UntilUS: 4}, HasAsked: true,
			},
			{
				Kind: customer.LimitNetDeposit, Period: limit.Week, Amount: eur(1), SetUS: 1, LowerUS: 1,
				Pending: customer.Pending{Amount: eur(9007199254740993), AskedUS: 2, FromUS: 3, UntilUS: 4}, HasAsked: true,
			},
			{Kind: customer.LimitLoss, Period: limit.Month, Amount: eur(0)},
		},
		Restraints: []customer.Restraint{{Restriction: customer.CoolOff, SinceUS: 1769000000000000, UntilUS: 1769000000000009, By: "a b"}},
		Gone:       []customer.Made{{Restriction: customer.Frozen, SinceUS: 1, Of: gone}},
	}
	if !reflect.DeepEqual(l, want) {
		t.Errorf("%q reads as %+v, want %+v", before, l, want)
	}
	text := l.Encode()
	if again, err := customer.DecodeLimits(text); err != nil || !reflect.DeepEqual(again, l) {
		t.Errorf("%q reads as %+v (%v), want %+v", text, again, err, l)
	}
	if 3*len(text) > 2*len(before) {
		t.Errorf("%d bytes are packed into %d", len(before), len(text))
	}
	for _, text := range []string{before, text} {
		h, err := customer.DecodeHead(text)
		if err != nil || h.LowerUS != 1769000000000002 || !slices.Equal(h.Currencies, l.Currencies) || !slices.Equal(h.Paid, l.Paid) {
			t.Errorf("the head of %q is %+v (%v)", text, h, err)
		}
		var got []customer.Limit
		err = customer.EachLimit(text, func(customer.LimitKind) bool { return true }, func(x customer.Limit) error { got = append(got, x); return nil })
		if err != nil || !reflect.DeepEqual(got, l.List) {
			t.Errorf("one by one, %q is %+v (%v)", text, got, err)
		}
	}
	for _, bad := range []string{"EUR#", "EUR#!", "EUR#1 dd", "EUR#1 dx/5EUR/1/", "EUR#1 xd/5EUR/1/", "EUR#1 deposit/day/5EUR/1/2", "EUR#1 dd/5EUR/1/2/3", "EUR#1 dd/EUR/1/", "EUR#1 dd/5/1/", "EUR#1 !cool_off/1"} {
		if got, err := customer.DecodeLimits(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, got)
		}
	}
}

// One by one, limits are those that the whole text has.
func TestEachLimit(t *testing.T) {
	t.Parallel()
	l, _ := customer.Limits{}.Counted("EUR")
	for n, k := range customer.LimitKinds() {
		for _, p := range k.Periods() {
			l, _, _ = l.Set(k, p, eur(int64(100+n)), int64(n), delay)
		}
	}
	l = l.SetHouse(deposit, limit.Week, eur(50), "ann", 7)
	l, _, _ = l.Set(deposit, limit.Day, eur(900), 9, delay) // waits
	l, err := l.Remove(customer.LimitStake, limit.Month, 10, delay)
	if err != nil {
		t.Fatal(err)
	}
	l.Restraints = []customer.Restraint{{Restriction: customer.CoolOff, SinceUS: 1, UntilUS: 5, By: "a b"}}
	l.Gone = []customer.Made{{Restriction: customer.Frozen, SinceUS: 1, Of: id.Customer{9}}}
	for name, choose := range map[string]func(customer.LimitKind) bool{
		"all": func(customer.LimitKind) bool { return true }, "play": customer.LimitKind.OfPlay, "none": func(customer.LimitKind) bool { return false },
		"deposits": func(k customer.LimitKind) bool { return !k.OfPlay() },
	} {
		var got, want []customer.Limit
		for _, x := range l.List {
			if choose(x.Kind) {
				want = append(want, x)
			}
		}
		err := customer.EachLimit(l.Encode(), choose, func(x customer.Limit) error { got = append(got, x); return nil })
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v (%v), want %+v", name, got, err, want)
		}
	}
	all := func(customer.LimitKind) bool { return true }
	stop := errors.New("enough")
	if err := customer.EachLimit(l.Encode(), all, func(customer.Limit) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("an error of use is %v", err)
	}
	for _, bad := range []string{"EUR@1 deposit/day", "EUR@1 x", "EUR@1  ", "EUR@1 deposit/day/5EUR/1/2/3"} {
		if err := customer.EachLimit(bad, all, func(customer.Limit) error { return nil }); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

func TestRestrictionLengths(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 2, 28, 0, 0, 0, 0, time.UTC).UnixMicro()
	tests := []struct {
		name string
		got  customer.Restraint
		want string
	}{
		{"24 h", customer.CoolOffFor(24, from), "2026-03-01T00:00:00Z"},
		{"42 d", customer.CoolOffFor(42*24, from), "2026-04-11T00:00:00Z"},
		{"6 months", customer.ExcludeFor(6, from), "2026-08-28T00:00:00Z"},
		{"60 months", customer.ExcludeFor(60, from), "2031-02-28T00:00:00Z"},
	}
	for _, tt := range tests {
		if got := time.UnixMicro(tt.got.UntilUS).UTC().Format(time.RFC3339); got != tt.want {
			t.Errorf("%s: until %s, want %s", tt.name, got, tt.want)
		}
	}
	if r := customer.ExcludeFor(0, from); r.UntilUS != 0 || r.SinceUS != from {
		t.Errorf("without end: %+v", r)
	}
}

// holder is a customer with what is decoded of them.
type holder struct {
	customer.Customer
	limits customer.Limits
}

func (h *holder) restrict(t *testing.T, r customer.Restraint, now int64, want error) {
	t.Helper()
	var err error
	if h.Customer, h.limits, err = h.Restrict(h.limits, r, now); !errors.Is(err, want) {
		t.Errorf("restrict to %+v: %v, want %v", r, err, want)
	}
	again, err := customer.DecodeLimits(h.Limits)
	if err != nil || !reflect.DeepEqual(again.Restraints, h.limits.Restraints) {
		t.Errorf("the restraints %+v are read back as %+v (%v)", h.limits.Restraints, again.Restraints, err)
	}
}

func (h *holder) is(t *testing.T, when string, now int64, want customer.Restriction) {
	t.Helper()
	if got := h.Restrained(h.limits, now).Restriction; got != want {
		t.Errorf("%s: %q holds, want %q", when, got, want)
	}
}

func TestCoolOffEndsByItself(t *testing.T) {
	t.Parallel()
	var h holder
	day := customer.CoolOffFor(24, 0)
	h.restrict(t, day, 0, nil)
	h.is(t, "at once", 0, customer.CoolOff)
	h.is(t, "to the end", dayUS-1, customer.CoolOff)
	h.is(t, "after it", dayUS, customer.Unrestricted)
	week := customer.CoolOffFor(7*24, 1)
	h.restrict(t, week, 1, nil)
	h.restrict(t, day, 2, customer.ErrRestricted)
	h.is(t, "made longer, not shorter", 7*dayUS, customer.CoolOff)
	if _, _, _, err := h.AskEnd(h.limits, 2*dayUS, 6, wait); !errors.Is(err, customer.ErrNotEnding) {
		t.Errorf("a cool-off is asked to end: %v", err)
	}
}

func wait(r customer.Restraint) time.Duration {
	if r.UntilUS == 0 {
		return 7 * 24 * time.Hour
	}
	return 24 * time.Hour
}

func TestExclusionEndsWhenAsked(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		restraint customer.Restraint
		from      int64 // days until it can be asked
		more      int64 // days after that
	}{
		{"six months", customer.ExcludeFor(6, 0), 181, 1},
		{"without end", customer.ExcludeFor(0, 0), 181, 7},
	}
	for _, tt := range tests {
		var h holder
		h.limits, _, _ = h.limits.Set(deposit, limit.Day, eur(100), 0, delay)
		h.limits, _, _ = h.limits.Set(deposit, limit.Day, eur(200), 0, delay)
		h.restrict(t, tt.restraint, 0, nil)
		if x, _ := h.limits.Get(deposit, limit.Day, false); x.HasAsked {
			t.Errorf("%s: a raise is still pending", tt.name)
		}
		if _, _, r, err := h.AskEnd(h.limits, tt.from*dayUS-1, 6, wait); !errors.Is(err, customer.ErrNotEnding) {
			t.Errorf("%s: asked to end too early: %+v, %v", tt.name, r, err)
		}
		h.is(t, tt.name+": long after its time", 10*tt.from*dayUS, customer.SelfExcluded)
		asked := tt.from * dayUS
		var err error
		for range 2 { // the second time changes nothing
			if h.Customer, h.limits, _, err = h.AskEnd(h.limits, asked, 6, wait); err != nil {
				t.Fatal(err)
			}
		}
		h.is(t, tt.name+": still waiting", asked+tt.more*dayUS-1, customer.SelfExcluded)
		h.is(t, tt.name+": over", asked+tt.more*dayUS, customer.Unrestricted)
		r := customer.ExcludeFor(6, asked)
		h.restrict(t, r, asked, nil)
		h.is(t, tt.name+": excluded again meanwhile", asked+10*dayUS, customer.SelfExcluded)
	}
}

// What the customer has chosen goes on beneath what the house does.
func TestHouseRestrictionLeavesTheOwn(t *testing.T) {
	t.Parallel()
	var h holder
	half := customer.ExcludeFor(6, 0)
	day := customer.CoolOffFor(24, 0)
	h.restrict(t, half, 0, nil)
	h.restrict(t, day, 0, nil)
	h.is(t, "the stronger", 0, customer.SelfExcluded)
	h.restrict(t, customer.Restraint{Restriction: customer.Frozen}, 1, nil)
	h.is(t, "frozen", 2, customer.Frozen)
	if h.Restriction != customer.Frozen || h.RestrictedUntilUS != 0 {
		t.Errorf("the row says %q until %d", h.Restriction, h.RestrictedUntilUS)
	}
	lifted := false
	if h.Customer, h.limits, _, lifted = h.Lift(h.limits, customer.Frozen, 3); !lifted {
		t.Error("not lifted")
	}
	h.is(t, "lifted", 3, customer.SelfExcluded)
	if h.Restriction != customer.SelfExcluded || h.RestrictedUntilUS != half.UntilUS {
		t.Errorf("the row says %q until %d", h.Restriction, h.RestrictedUntilUS)
	}
	if _, _, _, lifted = h.Lift(h.limits, customer.Frozen, 4); lifted {
		t.Error("lifted twice")
	}
	h.restrict(t, customer.Restraint{Restriction: customer.SelfExcluded}, 4, nil)
	h.restrict(t, half, 5, customer.ErrRestricted)
}

// Restraints keep who made them and for whom, and rows of before are read.
func TestRestraintsAreKept(t *testing.T) {
	t.Parallel()
	want := customer.Limits{
		Restraints: []customer.Restraint{
			{Restriction: customer.Frozen, SinceUS: 1, By: "an officer/with !~%", Of: id.Customer{7}},
			{Restriction: customer.RegistryExcluded, SinceUS: 2, UntilUS: 9, Of: id.Customer{8}},
			{Restriction: customer.OperatorExcluded, SinceUS: 3, By: "ann"},
			{Restriction: customer.SelfExcluded, SinceUS: 4, EndingUS: 5},
		},
		Gone: []customer.Made{{Restriction: customer.Frozen, SinceUS: 1, Of: id.Customer{9}}},
	}
	got, err := customer.DecodeLimits(want.Encode())
	if err != nil || !slices.Equal(got.Restraints, want.Restraints) || !slices.Equal(got.Gone, want.Gone) {
		t.Errorf("%q reads as %+v, %v", want.Encode(), got, err)
	}
	if got, err = customer.DecodeLimits("@0 !frozen/1/0/0"); err != nil || len(got.Restraints) != 1 {
		t.Errorf("a row of before reads as %+v, %v", got, err)
	}
	for _, text := range []string{"@0 !frozen/1/0/0/ann/x", "@0 !frozen/1/0/0/%", "@0 ~frozen/x/", "@0 ~frozen/1/x", "@0 ~frozen/1//x"} {
		if l, err := customer.DecodeLimits(text); err == nil {
			t.Errorf("%q reads as %+v", text, l)
		}
	}
}

// tell lets another customer of the same person know.
func (h *holder) tell(to *holder, now int64) {
	to.Customer, to.limits, _ = to.LiftAs(to.limits, h.limits, now)
	to.Customer, to.limits, _ = to.RestrictAs(to.limits, h.ID, h.limits, now)
}

// A customer who is restricted since another one is, and then by themselves, restricts
// the other: what was there first is gone here, and another one in its place.
func TestWhatTookItsPlaceHolds(t *testing.T) {
	t.Parallel()
	for _, r := range []customer.Restriction{customer.OperatorExcluded, customer.RegistryExcluded, customer.Frozen} {
		var a, b holder
		a.ID, b.ID = id.Customer{1}, id.Customer{2}
		a.restrict(t, customer.Restraint{Restriction: r, SinceUS: 1, By: "ann"}, 1, nil)
		a.tell(&b, 2)
		b.restrict(t, customer.Restraint{Restriction: r, SinceUS: 3, By: "bob"}, 3, nil)
		b.tell(&a, 4)
		a.is(t, "where it was first", 4, r)
		a.tell(&b, 5)
		b.is(t, "where it took its place", 5, r)
		b.Customer, b.limits, _, _ = b.Lift(b.limits, r, 6)
		b.tell(&a, 7)
		a.is(t, "lifted", 7, customer.Unrestricted)
	}
}

// Whatever the order in which the customers of a person hear of each other, a lifted
// restriction is nowhere, and a self-exclusion ends at each by itself.
func TestTheLiftedIsNotBroughtBack(t *testing.T) {
	t.Parallel()
	var a, b holder
	a.ID, b.ID = id.Customer{1}, id.Customer{2}
	tell := (*holder).tell
	a.restrict(t, customer.Restraint{Restriction: customer.Frozen, SinceUS: 1, UntilUS: 50, By: "ann"}, 1, nil)
	before := a
	tell(&a, &b, 2)
	b.is(t, "told", 2, customer.Frozen)
	if r := b.limits.Restraints[0]; r.By != "ann" || r.Of != a.ID {
		t.Errorf("the copy is %+v", r)
	}
	a.restrict(t, customer.Restraint{Restriction: customer.Frozen, SinceUS: 3, By: "bob"}, 3, nil) // longer
	a.Customer, a.limits, _, _ = a.Lift(a.limits, customer.Frozen, 4)
	tell(&b, &a, 5)
	a.is(t, "what was made longer comes back", 5, customer.Unrestricted)
	tell(&a, &b, 5)
	b.is(t, "lifted at the other", 5, customer.Unrestricted)
	tell(&before, &b, 6) // late
	b.is(t, "old news", 6, customer.Unrestricted)
	a.restrict(t, customer.Restraint{Restriction: customer.Frozen, SinceUS: 3}, 7, nil)
	tell(&a, &b, 7)
	b.is(t, "another one in the same instant", 7, customer.Frozen)

	a.restrict(t, customer.Restraint{Restriction: customer.SelfExcluded, SinceUS: 8, UntilUS: 9}, 8, nil)
	tell(&a, &b, 8)
	a.Customer, a.limits, _, _ = a.Lift(a.limits, customer.Frozen, 9)
	tell(&a, &b, 9)
	b.is(t, "beneath", 9, customer.SelfExcluded)
	var err error
	if a.Customer, a.limits, _, err = a.AskEnd(a.limits, 10, 0, func(customer.Restraint) time.Duration { return time.Microsecond }); err != nil {
		t.Fatal(err)
	}
	tell(&b, &a, 20)
	a.is(t, "ended", 20, customer.Unrestricted)
	tell(&a, &b, 20)
	b.is(t, "not asked to end here", 20, customer.SelfExcluded)
}
