package limit_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"aorta/internal/id"
	"aorta/internal/limit"
)

// at reads an instant of January 2026.
func at(t testing.TB, text string) int64 {
	t.Helper()
	v, err := time.Parse("2006-01-02 15:04:05.999999", "2026-01-"+text)
	if err != nil {
		t.Fatal(err)
	}
	return v.UnixMicro()
}

func payment(n int) id.Payment {
	return id.Payment{0, 1, 2, 3, 4, 5, 7, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n), 1}
}

// The worked examples of limits-and-risk.md 1.4: 100.00 a day; 50.00 and 30.00 were
// captured on the tenth.
func TestWorkedExamples(t *testing.T) {
	t.Parallel()
	const most = 10_000
	var e limit.Entries
	e.Use(payment(1), 5_000, at(t, "10 09:00:00"))
	e.Use(payment(2), 3_000, at(t, "10 20:00:00"))
	tests := []struct {
		at, resets  string
		asks, used  int64
		allow       bool
		wantRemains int64
	}{
		{at: "11 08:59:59", asks: 3_000, used: 8_000, wantRemains: 2_000, resets: "11 09:00:00"},
		{at: "11 09:00:00", asks: 3_000, used: 3_000, allow: true, wantRemains: 7_000},
		{at: "11 09:00:00", asks: 7_001, used: 3_000, wantRemains: 7_000, resets: "11 20:00:00"},
		{at: "11 19:59:59", asks: 7_001, used: 3_000, wantRemains: 7_000, resets: "11 20:00:00"},
		{at: "11 20:00:00", asks: 7_001, used: 0, allow: true, wantRemains: 10_000},
	}
	for _, tt := range tests {
		now := at(t, tt.at)
		used := e.Sum(limit.Day.After(now, nil))
		if used != tt.used || (used+tt.asks <= most) != tt.allow || most-used != tt.wantRemains {
			t.Errorf("at %s, %d is asked: %d counts, want %d; allowed %t, want %t", tt.at, tt.asks, used, tt.used, used+tt.asks <= most, tt.allow)
		}
		want := int64(0)
		if tt.resets != "" {
			want = at(t, tt.resets)
		}
		if got := e.RoomAt(limit.Day, most-tt.asks, now, nil); got != want {
			t.Errorf("at %s, %d is asked: there is room at %v, want %q", tt.at, tt.asks, time.UnixMicro(got).UTC(), tt.resets)
		}
	}
}

func TestPeriods(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		period limit.Period
		zone   *time.Location
		event  string
		now    string
		counts bool
	}{
		{"a day, just inside", limit.Day, nil, "10 09:00:00.000001", "11 09:00:00", true},
		{"a day, exactly", limit.Day, nil, "10 09:00:00", "11 09:00:00", false},
		{"a week, just inside", limit.Week, nil, "01 00:00:00.000001", "08 00:00:00", true},
		{"a week, exactly", limit.Week, nil, "01 00:00:00", "08 00:00:00", false},
		{"thirty days, just inside", limit.Month, nil, "01 00:00:00.000001", "31 00:00:00", true},
		{"thirty days, exactly", limit.Month, nil, "01 00:00:00", "31 00:00:00", false},
		{"this month's first instant", limit.CalendarMonth, nil, "01 00:00:00", "31 23:59:59", true},
		{"Berlin's month begins an hour before", limit.CalendarMonth, berlin, "01 00:00:00", "02 00:00:00", true},
		{"Berlin's next month has begun", limit.CalendarMonth, berlin, "31 22:59:59", "31 23:00:00", false},
		{"Berlin's next month begins now", limit.CalendarMonth, berlin, "31 23:00:00", "31 23:00:00", true},
	}
	for _, tt := range tests {
		if got := at(t, tt.event) > tt.period.After(at(t, tt.now), tt.zone); got != tt.counts {
			t.Errorf("%s: an event of %s counts at %s: %t, want %t", tt.name, tt.event, tt.now, got, tt.counts)
		}
	}
	if got := limit.CalendarMonth.Leaves(at(t, "10 00:00:00"), at(t, "11 00:00:00"), berlin); got != at(t, "31 23:00:00") {
		t.Errorf("January ends at %v in Berlin", time.UnixMicro(got).UTC())
	}
}

// What is reserved counts for as long as its payment is open, and from when its money
// moves on as any other.
func TestReservedCountsUntilItIsUsed(t *testing.T) {
	t.Parallel()
	var e limit.Entries
	if err := e.Reserve(payment(1), 500, at(t, "01 00:00:00")); err != nil {
		t.Fatal(err)
	}
	late := at(t, "03 00:00:00")
	if got := e.Sum(limit.Day.After(late, nil)); got != 500 {
		t.Errorf("two days open: %d counts, want 500", got)
	}
	e.Use(payment(1), 500, late)
	if got := e.Sum(limit.Day.After(late, nil)); got != 500 || e.Reserved() != 0 {
		t.Errorf("used: %d counts, %d is reserved, want 500 and 0", got, e.Reserved())
	}
	if e.Free(payment(1)) {
		t.Error("what is used was freed")
	}
	if err := e.Reserve(payment(2), 700, late); err != nil {
		t.Fatal(err)
	}
	if !e.Free(payment(2)) || e.Free(payment(2)) || e.Sum(0) != 500 {
		t.Errorf("freed: %d counts, want 500", e.Sum(0))
	}
}

// A window is bounded; what was paid in all the same is not forgotten.
func TestFullWindow(t *testing.T) {
	t.Parallel()
	var e limit.Entries
	now := at(t, "01 00:00:00")
	for n := range limit.MaxEntries {
		e.Use(payment(n), 1, now+int64(n))
	}
	if err := e.Reserve(payment(9999), 1, now+5000); !errors.Is(err, limit.ErrFull) {
		t.Errorf("reserve in a full window: %v", err)
	}
	if want := now + limit.KeptFor.Microseconds(); e.FullUntil() != want {
		t.Errorf("full until %d, want %d", e.FullUntil(), want)
	}
	e.Use(payment(9999), 5, now+5000)
	if len(e.List) != limit.MaxEntries || e.Sum(now-1) != limit.MaxEntries+5 || e.List[0].AtUS != now+1 || e.List[0].Minor != 2 {
		t.Errorf("%d entries of %d, the first %+v", len(e.List), e.Sum(now-1), e.List[0])
	}
	later := now + limit.KeptFor.Microseconds() + 1
	if err := e.Reserve(payment(9999), 1, later); err != nil || len(e.List) != limit.MaxEntries {
		t.Errorf("when the oldest is not kept any more: %v, %d entries", err, len(e.List))
	}
}

func TestSumsDoNotWrap(t *testing.T) {
	t.Parallel()
	var e limit.Entries
	e.Use(payment(1), math.MaxInt64, 1)
	e.Use(payment(2), 5, 2)
	if got := e.Sum(0); got != math.MaxInt64 {
		t.Errorf("sum %d", got)
	}
	var s limit.Slots
	for range 3 {
		s.Stake(math.MaxInt64-1, 1)
		s.Win(math.MaxInt64-1, 1)
	}
	if s.Staked(-minute) != math.MaxInt64 || s.Lost(-minute) != math.MaxInt64 {
		t.Errorf("staked %d, lost %d", s.Staked(-minute), s.Lost(-minute))
	}
}

// naive is a history of everything, that is looked through each time.
type naive []event

type event struct {
	at, minor int64
	open      bool
}

func (n naive) sum(p limit.Period, now int64, zone *time.Location) int64 {
	sum := int64(0)
	for _, x := range n {
		inside := x.at <= now && x.at > now-p.Length().Microseconds()
		if p == limit.CalendarMonth {
			a, b := time.UnixMicro(x.at).In(zone), time.UnixMicro(now).In(zone)
			inside = x.at <= now && a.Year() == b.Year() && a.Month() == b.Month()
		}
		if x.open || inside {
			sum += x.minor
		}
	}
	return sum
}

// A window that is changed step by step says what one says that reads all history, in
// 1,000 random histories (limits-and-risk.md section 6).
func TestWindowsEqualHistories(t *testing.T) {
	t.Parallel()
	for seed := range uint64(1000) {
		dice := rand.New(rand.NewPCG(seed, 1))
		zone := time.FixedZone("", dice.IntN(27*4)*900-12*3600)
		now := at(t, "05 00:00:00") + dice.Int64N(30*24*3600*1_000_000)
		var all naive
		var e limit.Entries
		open := map[int]int{} // payment to place in all
		for n := range 60 {
			now += dice.Int64N([]int64{1, 1000, 3600, 24 * 3600, 10 * 24 * 3600}[dice.IntN(5)] * 1_000_000)
			text := e.Encode() // as the stores keep it
			e, _ = limit.DecodeEntries(text)
			switch pick, minor := dice.IntN(4), 1+dice.Int64N(1000); {
			case pick < 2:
				if err := e.Reserve(payment(n), minor, now); err != nil {
					t.Fatal(err)
				}
				all, open[n] = append(all, event{now, minor, true}), len(all)
			case len(open) > 0:
				for k, place := range open { // any
					if pick == 2 {
						e.Use(payment(k), all[place].minor, now)
						all[place].at, all[place].open = now, false
					} else {
						e.Free(payment(k))
						all[place] = event{}
					}
					delete(open, k)
					break
				}
			}
			for _, p := range limit.Periods() {
				if got, want := e.Sum(p.After(now, zone)), all.sum(p, now, zone); got != want {
					t.Fatalf("seed %d, step %d: %s has %d, want %d (%s)", seed, n, p, got, want, text)
				}
			}
		}
	}
}

const (
	minute = 60 * int64(1_000_000)
	hour   = 60 * minute
)

// played is a history of stakes (from), wins and what a rollback does: each value
// counts by the slot that it lies in, a stake until its end, a win from its beginning.
type played struct {
	at, staked, won int64
}

func naivePlay(all []played, after, now int64) (staked, lost int64) {
	for _, x := range all {
		width := minute
		if x.at-x.at%hour+hour <= now-25*hour {
			width = hour
		}
		begin := x.at - x.at%width
		if begin+width > after {
			staked += max(x.staked, 0)
			lost += max(x.staked, 0) + max(-x.won, 0)
		}
		if begin > after {
			staked += min(x.staked, 0)
			lost += min(x.staked, 0) - max(x.won, 0)
		}
	}
	return max(0, staked), lost
}

func TestSlotsEqualHistories(t *testing.T) {
	t.Parallel()
	for seed := range uint64(1000) {
		dice := rand.New(rand.NewPCG(seed, 2))
		now := at(t, "05 00:00:00") + dice.Int64N(30*24*hour)
		var all []played
		var s limit.Slots
		for n := range 80 {
			now += dice.Int64N([]int64{minute, hour, 24 * hour, 5 * 24 * hour}[dice.IntN(4)])
			text := s.Encode()
			var err error
			if s, err = limit.DecodeSlots(text); err != nil {
				t.Fatal(err)
			}
			switch minor := 1 + dice.Int64N(1000); dice.IntN(4) {
			case 0, 1:
				s.Stake(minor, now)
				all = append(all, played{now, minor, 0})
			case 2:
				s.Win(minor, now)
				all = append(all, played{now, 0, minor})
			case 3: // a round of what was staked a while ago
				began := now - dice.Int64N(24*hour)
				s.RollBack(minor, minor/2, began, now)
				if minor/2 != 0 {
					all = append(all, played{now, 0, -(minor / 2)})
				}
				all = append(all, played{began, -minor, 0})
			}
			for _, p := range limit.Periods() {
				after := p.After(now, time.UTC)
				staked, lost := naivePlay(all, after, now)
				if s.Staked(after) != staked || s.Lost(after) != lost {
					t.Fatalf("seed %d, step %d: in a %s %d is staked and %d lost, want %d and %d (%s)",
						seed, n, p, s.Staked(after), s.Lost(after), staked, lost, s.Encode())
				}
			}
		}
	}
}

// At the edge a slot counts with what fills a limit and without what frees it.
func TestSlotAtTheEdge(t *testing.T) {
	t.Parallel()
	var s limit.Slots
	begin := at(t, "01 12:00:00")
	s.Stake(100, begin+30*1_000_000)
	s.Win(40, begin+30*1_000_000)
	tests := []struct {
		name         string
		now          int64
		staked, lost int64
	}{
		{"the slot is inside", begin + 24*hour - 1, 100, 60},
		{"the edge reaches it", begin + 24*hour, 100, 100},
		{"the stake is a day old", begin + 24*hour + 30*1_000_000, 100, 100},
		{"the slot's last instant", begin + 24*hour + minute - 1, 100, 100},
		{"it is out", begin + 24*hour + minute, 0, 0},
	}
	for _, tt := range tests {
		after := limit.Day.After(tt.now, nil)
		if s.Staked(after) != tt.staked || s.Lost(after) != tt.lost {
			t.Errorf("%s: %d staked, %d lost, want %d and %d", tt.name, s.Staked(after), s.Lost(after), tt.staked, tt.lost)
		}
	}
}

// A rollback gives back what was staked, no longer than that counted.
func TestRollBackLeavesWithItsRound(t *testing.T) {
	t.Parallel()
	var s limit.Slots
	began := at(t, "01 12:00:00")
	s.Stake(100, began+hour)
	s.Stake(70, began+20*hour)
	s.RollBack(100, 0, began, began+23*hour)
	for now, want := range map[int64]int64{began + 23*hour: 70, began + 24*hour + minute: 170, began + 25*hour + minute: 70} {
		if got := s.Staked(limit.Day.After(now, nil)); got != want {
			t.Errorf("%d h after: %d staked, want %d", (now-began)/hour, got, want)
		}
	}
}

// However long somebody plays, the row stays small.
func TestSlotsAreBounded(t *testing.T) {
	t.Parallel()
	var s limit.Slots
	now := at(t, "01 00:00:00")
	for range 2 * 24 * 60 { // each minute of two days, and then twice an hour
		s.Stake(1, now)
		now += minute
	}
	for range 2 * 24 * 60 {
		s.Stake(1, now)
		now += hour / 2
		if len(s.Hours) > 31*24+3 || len(s.Minutes) > 27*60 {
			t.Fatalf("%d hours and %d minutes are kept", len(s.Hours), len(s.Minutes))
		}
	}
	if got := s.Staked(limit.Month.After(now-1, nil)); got < 30*24*2 || got > 30*24*2+2 {
		t.Errorf("thirty days of two stakes an hour: %d", got)
	}
}

func FuzzDecode(f *testing.F) {
	var e limit.Entries
	e.SinceUS = 5
	_ = e.Reserve(payment(3), 500, 77)
	e.Use(payment(4), 200, 99)
	var s limit.Slots
	s.Stake(3, 5*hour)
	s.RollBack(2, 1, hour, 6*hour)
	f.Add(e.Encode())
	f.Add(s.Encode())
	f.Fuzz(func(t *testing.T, text string) {
		if e, err := limit.DecodeEntries(text); err == nil && text != "" {
			again, err := limit.DecodeEntries(e.Encode())
			if err != nil || again.Encode() != e.Encode() {
				t.Errorf("%q is read as %+v, and again as %+v (%v)", text, e, again, err)
			}
		}
		if s, err := limit.DecodeSlots(text); err == nil && text != "" {
			again, err := limit.DecodeSlots(s.Encode())
			if err != nil || again.Encode() != s.Encode() {
				t.Errorf("%q is read as %+v, and again as %+v (%v)", text, s, again, err)
			}
		}
	})
}
