package limit

import (
	"strconv"
	"strings"

	"aorta/internal/id"
)

// base is that of the numbers in packed texts: the shortest that strconv writes.
const base = 36

// scanner reads a packed text from its beginning to its end. Texts are read in every
// act that counts, so it takes no memory. Once something is not as it must be it is bad,
// and reads nothing more.
type scanner struct {
	text string
	at   int
	bad  bool
}

// number reads one of strconv.AppendInt.
func (s *scanner) number() int64 {
	from, n := s.at, int64(0)
	if s.at < len(s.text) && s.text[s.at] == '-' {
		s.at++
	}
	first := s.at
	for s.at < len(s.text) {
		d := digits[s.text[s.at]]
		if d < 0 {
			break
		}
		n = n*base + int64(d) // of a long one this is nonsense
		s.at++
	}
	switch length := s.at - first; {
	case length == 0:
		s.fail()
	case length >= longNumber:
		long, err := strconv.ParseInt(s.text[from:s.at], base, 64)
		if n = long; err != nil {
			s.fail()
		}
	case first > from:
		n = -n
	}
	if s.bad {
		return 0
	}
	return n
}

// longNumber is how many digits a number must have to be beyond what 64 bits hold.
const longNumber = 13

var digits = func() (t [256]int8) {
	for n := range t {
		t[n] = -1
	}
	for n := range base {
		t[strconv.FormatInt(int64(n), base)[0]] = int8(n)
	}
	return t
}()

// raw reads an id without its prefix.
func (s *scanner) raw() id.Raw {
	end := s.at + id.TextLen
	if end > len(s.text) {
		s.fail()
		return id.Raw{}
	}
	k, err := id.ParseRaw(s.text[s.at:end])
	if s.at = end; err != nil {
		s.fail()
	}
	return k
}

// next passes a character if it comes next.
func (s *scanner) next(c byte) bool {
	if s.bad || s.at >= len(s.text) || s.text[s.at] != c {
		return false
	}
	s.at++
	return true
}

// skip passes a character that must come next.
func (s *scanner) skip(c byte) {
	if !s.next(c) {
		s.fail()
	}
}

// until reads up to a character, which it passes, or to the end.
func (s *scanner) until(c byte) string {
	rest := s.text[s.at:]
	n := strings.IndexByte(rest, c)
	if n < 0 {
		s.at = len(s.text)
		return rest
	}
	s.at += n + 1
	return rest[:n]
}

// end reports whether nothing is left to read.
func (s *scanner) end() bool { return s.bad || s.at >= len(s.text) }

func (s *scanner) fail() { s.bad, s.at = true, len(s.text) }
