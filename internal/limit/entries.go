package limit

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"aorta/internal/id"
)

// Entry is one deposit or payout in a window.
type Entry struct {
	AtUS    int64      // of a used one when its money moved, of a reserved one when it was asked for
	Minor   int64      // above zero
	Payment id.Payment // that it is reserved for; zero: used
}

// Reserved reports whether the entry's payment is still open.
func (e Entry) Reserved() bool { return !e.Payment.IsZero() }

// Entries is what a customer paid in, or was paid, lately in one currency: oldest first.
//
// A reserved entry counts in every period, however long its payment has been open:
// its money may come at any moment, and counts from then on. So what counts never
// grows but by Reserve, and a limit that was kept there is kept at every instant.
// For the same reason an entry of the future counts: it was written by a process
// whose clock is ahead of ours.
type Entries struct {
	SinceUS int64 // since when the window is kept: it knows nothing of what was before
	List    []Entry
}

const (
	// KeptFor is how long a used entry is kept: the longest period that a rule asks
	// for (limits-and-risk.md section 2, 180 days).
	KeptFor = 180 * 24 * time.Hour

	// MaxEntries bounds a window; who reaches it is refused as too fast.
	MaxEntries = 2000
)

// ErrFull: the window holds as many entries as it may. FullUntil says when there is
// room again.
var ErrFull = errors.New("the window is full")

// errEntries: the text of a window was not written by this package. Always a bug.
var errEntries = errors.New("limit: not the entries of a window")

// Sum is what counts after an instant (Period.After): reserved and used. Beyond what
// a number can hold it is the greatest number: no limit is above it.
func (e Entries) Sum(afterUS int64) int64 {
	sum := int64(0)
	for _, x := range e.List {
		if x.Reserved() || x.AtUS > afterUS {
			sum = plus(sum, x.Minor)
		}
	}
	return sum
}

// Used is the used part of Sum.
func (e Entries) Used(afterUS int64) int64 {
	sum := int64(0)
	for _, x := range e.List {
		if !x.Reserved() && x.AtUS > afterUS {
			sum = plus(sum, x.Minor)
		}
	}
	return sum
}

// Reserved is what is reserved.
func (e Entries) Reserved() int64 {
	sum := int64(0)
	for _, x := range e.List {
		if x.Reserved() {
			sum = plus(sum, x.Minor)
		}
	}
	return sum
}

// RoomAt gives the first instant after nowUS at which no more than most counts in a
// period, if nothing else moves and what is reserved is used now; 0 if it does so now.
func (e Entries) RoomAt(p Period, most, nowUS int64, zone *time.Location) int64 {
	after := p.After(nowUS, zone)
	left := e.Sum(after)
	if left <= most {
		return 0
	}
	for _, x := range e.List {
		if x.Reserved() || x.AtUS <= after {
			continue
		}
		if left -= x.Minor; left <= most {
			return p.Leaves(x.AtUS, nowUS, zone)
		}
	}
	return p.Leaves(nowUS, nowUS, zone)
}

// Reserve adds a payment's amount. ErrFull: there is no room for another entry.
func (e *Entries) Reserve(p id.Payment, minor, nowUS int64) error {
	e.tidy(nowUS)
	if len(e.List) >= MaxEntries {
		return ErrFull
	}
	e.List = append(slices.Clip(e.List), Entry{AtUS: nowUS, Minor: minor, Payment: p})
	return nil
}

// Use makes what was reserved for a payment used, now; minor is what has moved. What
// was not reserved is used all the same, since its money has moved: where the window
// is full, the two oldest of what is used then count as one, of the later time.
func (e *Entries) Use(p id.Payment, minor, nowUS int64) {
	e.count(e.of(p), minor, nowUS)
}

// Add counts what nothing was reserved for, as Use does.
func (e *Entries) Add(minor, nowUS int64) { e.count(-1, minor, nowUS) }

// count adds a used entry, in the place of a reserved one; −1: of none.
func (e *Entries) count(own int, minor, nowUS int64) {
	kept := nowUS - KeptFor.Microseconds()
	list := make([]Entry, 0, len(e.List)+1)
	for n, x := range e.List {
		if n != own && (x.Reserved() || x.AtUS > kept) {
			list = append(list, x)
		}
	}
	if len(list) >= MaxEntries {
		list = mergeOldest(list)
	}
	e.List = append(list, Entry{AtUS: nowUS, Minor: minor})
}

// Free forgets what was reserved for a payment; false if nothing was.
func (e *Entries) Free(p id.Payment) bool {
	at := e.of(p)
	if at < 0 {
		return false
	}
	e.List = slices.Delete(slices.Clone(e.List), at, at+1)
	return true
}

// ReservedFor is what is reserved for a payment; false if nothing is.
func (e Entries) ReservedFor(p id.Payment) (int64, bool) {
	at := e.of(p)
	if at < 0 {
		return 0, false
	}
	return e.List[at].Minor, true
}

func (e Entries) of(p id.Payment) int {
	return slices.IndexFunc(e.List, func(x Entry) bool { return x.Payment == p && x.Reserved() })
}

// FullUntil is when a full window has room again: when the oldest of what is used is
// not kept any more.
func (e Entries) FullUntil() int64 {
	for _, x := range e.List {
		if !x.Reserved() {
			return x.AtUS + KeptFor.Microseconds()
		}
	}
	return math.MaxInt64
}

// tidy drops what is used and not kept any more.
func (e *Entries) tidy(nowUS int64) {
	kept := nowUS - KeptFor.Microseconds()
	old := func(x Entry) bool { return !x.Reserved() && x.AtUS <= kept }
	if slices.ContainsFunc(e.List, old) {
		e.List = slices.DeleteFunc(slices.Clone(e.List), old)
	}
}

func mergeOldest(list []Entry) []Entry {
	first := -1
	for n, x := range list {
		switch {
		case x.Reserved():
		case first < 0:
			first = n
		default:
			list[n].Minor, list[n].AtUS = plus(x.Minor, list[first].Minor), max(x.AtUS, list[first].AtUS)
			return slices.Delete(list, first, first+1)
		}
	}
	return list
}

// plus is a sum that stops at the greatest number.
func plus(a, b int64) int64 {
	if sum := a + b; b < 0 || sum >= a {
		return sum
	}
	return math.MaxInt64
}

// Encode writes the entries as the stores keep them: since when, then each entry's
// instant, amount and, while it is reserved, payment: "kxa1b;kxa1b.2s;kxa2c.6t.01k4…".
// Numbers have base 36.
func (e Entries) Encode() string {
	var short [1024]byte // enough for most windows, so that the text alone takes memory
	out := strconv.AppendInt(short[:0], e.SinceUS, base)
	for _, x := range e.List {
		out = append(out, ';')
		out = strconv.AppendInt(out, x.AtUS, base)
		out = append(out, '.')
		out = strconv.AppendInt(out, x.Minor, base)
		if x.Reserved() {
			out = append(out, '.')
			out = x.Payment.Raw().AppendText(out)
		}
	}
	return string(out)
}

// DecodeEntries reads what Encode wrote; "" is a window that was not begun.
func DecodeEntries(text string) (Entries, error) {
	var e Entries
	if text == "" {
		return e, nil
	}
	s := scanner{text: text}
	e.SinceUS = s.number()
	if n := strings.Count(text, ";"); n > 0 {
		e.List = make([]Entry, 0, n)
	}
	for !s.bad && s.at < len(text) {
		from := s.at
		s.skip(';')
		x := Entry{AtUS: s.number()}
		s.skip('.')
		x.Minor = s.number()
		if s.next('.') {
			x.Payment = id.Payment(s.raw())
			s.bad = s.bad || x.Payment.IsZero()
		}
		if s.bad || x.Minor <= 0 {
			return e, fmt.Errorf("%w: at %q", errEntries, text[from:min(from+60, len(text))])
		}
		e.List = append(e.List, x)
	}
	if s.bad {
		return e, fmt.Errorf("%w: %q", errEntries, text[:min(60, len(text))])
	}
	return e, nil
}
