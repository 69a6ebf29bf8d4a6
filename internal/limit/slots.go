package limit

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Slot is what was played in one minute or hour.
type Slot struct {
	AtUS   int64 // when it begins
	Staked int64
	Won    int64
	Back   int64 // stakes that a rollback gave back, in the slot in which their round began
	Taken  int64 // wins that a rollback took back
}

// Slots is what a customer played lately with their own money, in one currency: in
// minutes for a good day, in hours for thirty. The edge of a period cuts a slot: such
// a slot counts with what fills a limit and without what frees it, so an event leaves
// with the end of its slot and a limit is never loosened early.
type Slots struct {
	SinceUS int64 // since when they are kept
	Hours   []Slot
	Minutes []Slot // newer than all hours
}

const (
	minuteUS = int64(time.Minute / time.Microsecond)
	hourUS   = int64(time.Hour / time.Microsecond)

	// minutesFor is how long minutes are kept apart: a day, and what its edge cuts.
	minutesFor = 25 * hourUS
	// hoursFor is how long hours are kept: thirty days, or the longest month, and what
	// its edge cuts.
	hoursFor = (31*24 + 2) * hourUS
)

// errSlots: the text of a window was not written by this package. Always a bug.
var errSlots = errors.New("limit: not the slots of a window")

// Staked is what was staked after an instant, less what was given back.
func (s Slots) Staked(afterUS int64) int64 {
	var up, down int64
	s.each(afterUS, func(x Slot, cut bool) {
		up = plus(up, x.Staked)
		if !cut {
			down = plus(down, x.Back)
		}
	})
	return max(0, less(up, down))
}

// Lost is what was staked after an instant less what was won. It is below zero for
// who has won more.
func (s Slots) Lost(afterUS int64) int64 {
	var up, down int64
	s.each(afterUS, func(x Slot, cut bool) {
		up = plus(up, plus(x.Staked, x.Taken))
		if !cut {
			down = plus(down, plus(x.Won, x.Back))
		}
	})
	return less(up, down)
}

// less is a difference of two sums of plus: from one that is beyond what a number can
// hold nothing is taken.
func less(up, down int64) int64 {
	if up == math.MaxInt64 {
		return up
	}
	return up - down
}

// each gives the slots that end after an instant; cut: they begin before it.
func (s Slots) each(afterUS int64, use func(x Slot, cut bool)) {
	for _, x := range s.Hours {
		if x.AtUS+hourUS > afterUS {
			use(x, x.AtUS <= afterUS)
		}
	}
	for _, x := range s.Minutes {
		if x.AtUS+minuteUS > afterUS {
			use(x, x.AtUS <= afterUS)
		}
	}
}

// Stake adds a stake.
func (s *Slots) Stake(minor, nowUS int64) { s.add(Slot{Staked: minor}, nowUS) }

// Win adds a win.
func (s *Slots) Win(minor, nowUS int64) { s.add(Slot{Won: minor}, nowUS) }

// RollBack undoes a round of stakes and wins that began at beganUS. What was staked is
// given back to the slot in which the round began, which leaves no later than they do;
// what was won is taken back now.
func (s *Slots) RollBack(staked, won, beganUS, nowUS int64) {
	if won != 0 {
		s.add(Slot{Taken: won}, nowUS)
	}
	if staked != 0 && beganUS > nowUS-hoursFor {
		s.add(Slot{Back: staked}, min(beganUS, nowUS))
	}
}

// add puts what was played at atUS into its slot.
func (s *Slots) add(what Slot, atUS int64) {
	s.tidy(atUS)
	width, list := minuteUS, &s.Minutes
	if n := len(s.Hours); n > 0 && atUS < s.Hours[n-1].AtUS+hourUS {
		width, list = hourUS, &s.Hours
	}
	what.AtUS = floor(atUS, width)
	at, found := slices.BinarySearchFunc(*list, what.AtUS, func(x Slot, k int64) int { return cmp.Compare(x.AtUS, k) })
	*list = slices.Clone(*list)
	if !found {
		*list = slices.Insert(*list, at, what)
		return
	}
	(*list)[at] = (*list)[at].plus(what)
}

func (x Slot) plus(y Slot) Slot {
	x.Staked, x.Won = plus(x.Staked, y.Staked), plus(x.Won, y.Won)
	x.Back, x.Taken = plus(x.Back, y.Back), plus(x.Taken, y.Taken)
	return x
}

// tidy makes hours of minutes that are no longer needed apart, and drops the hours
// that no period reaches.
func (s *Slots) tidy(nowUS int64) {
	whole := 0 // minutes of hours that ended long enough ago
	for whole < len(s.Minutes) && floor(s.Minutes[whole].AtUS, hourUS)+hourUS <= nowUS-minutesFor {
		whole++
	}
	if whole > 0 {
		s.Hours = slices.Clone(s.Hours)
		for _, x := range s.Minutes[:whole] {
			x.AtUS = floor(x.AtUS, hourUS)
			if n := len(s.Hours); n > 0 && s.Hours[n-1].AtUS == x.AtUS {
				s.Hours[n-1] = s.Hours[n-1].plus(x)
			} else {
				s.Hours = append(s.Hours, x)
			}
		}
		s.Minutes = s.Minutes[whole:]
	}
	for len(s.Hours) > 0 && s.Hours[0].AtUS+hourUS <= nowUS-hoursFor {
		s.Hours = s.Hours[1:]
	}
}

// floor rounds an instant down to a whole slot.
func floor(us, width int64) int64 {
	r := us % width
	if r < 0 {
		r += width
	}
	return us - r
}

// Encode writes the slots as the stores keep them: since when, the hours, the minutes,
// each "begin.staked.won.back.taken" without the zeros at its end. Numbers have base 36,
// and an instant is a count of minutes.
func (s Slots) Encode() string {
	out := make([]byte, 0, 16+16*(len(s.Hours)+len(s.Minutes)))
	out = strconv.AppendInt(out, s.SinceUS, base)
	for _, list := range [][]Slot{s.Hours, s.Minutes} {
		out = append(out, '|')
		for n, x := range list {
			if n > 0 {
				out = append(out, ';')
			}
			out = strconv.AppendInt(out, x.AtUS/minuteUS, base)
			values := x.values()
			last := len(values)
			for last > 0 && *values[last-1] == 0 {
				last--
			}
			for _, v := range values[:last] {
				out = append(out, '.')
				if *v != 0 {
					out = strconv.AppendInt(out, *v, base)
				}
			}
		}
	}
	return string(out)
}

func (x *Slot) values() [4]*int64 { return [4]*int64{&x.Staked, &x.Won, &x.Back, &x.Taken} }

// DecodeSlots reads what Encode wrote; "" is a window that was not begun.
func DecodeSlots(text string) (Slots, error) {
	var s Slots
	if text == "" {
		return s, nil
	}
	parts := strings.Split(text, "|")
	if len(parts) != 3 {
		return s, fmt.Errorf("%w: %d parts", errSlots, len(parts))
	}
	var err error
	if s.SinceUS, err = strconv.ParseInt(parts[0], base, 64); err != nil {
		return s, fmt.Errorf("%w: %w", errSlots, err)
	}
	if s.Hours, err = decodeSlots(parts[1]); err != nil {
		return s, err
	}
	s.Minutes, err = decodeSlots(parts[2])
	return s, err
}

func decodeSlots(text string) ([]Slot, error) {
	if text == "" {
		return nil, nil
	}
	list := make([]Slot, 0, strings.Count(text, ";")+2)
	for one := range strings.SplitSeq(text, ";") {
		at, rest, more := strings.Cut(one, ".")
		var x Slot
		minutes, err := strconv.ParseInt(at, base, 64)
		x.AtUS = minutes * minuteUS
		values := x.values()
		for n := 0; more && err == nil; n++ {
			var v string
			v, rest, more = strings.Cut(rest, ".")
			switch {
			case n == len(values):
				err = errSlots
			case v != "":
				*values[n], err = strconv.ParseInt(v, base, 64)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%w: slot %q", errSlots, one)
		}
		list = append(list, x)
	}
	return list, nil
}
