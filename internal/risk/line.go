package risk

import (
	"fmt"
	"strings"
)

// lines gives, for a TOML text that has been parsed, the line of each key:
// "limits.raise_delay", "rule[0].id". What stands within an inline table has the
// line of the key before it; the parser itself tells no lines of an array's tables.
func lines(text string) map[string]int {
	s := scan{text: text, line: 1, at: map[string]int{}, count: map[string]int{}}
	for s.statement() {
	}
	return s.at
}

// LineIn is the line of a key of a TOML text that has been parsed, such as
// "google[0].layout", or of the nearest key around it.
func LineIn(text, path string) int { return lineOf(lines(text), path) }

// lineOf is the line of a key, or of the nearest key around it; 1 if there is none.
func lineOf(at map[string]int, path string) int {
	for path != "" {
		if line, ok := at[path]; ok {
			return line
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			break
		}
		path = path[:cut]
	}
	return 1
}

type scan struct {
	text  string
	pos   int
	line  int
	table string         // the header that we are under
	at    map[string]int // path → line
	count map[string]int // array of tables → how many so far
}

// peek is the next byte, 0 at the end.
func (s *scan) peek() byte {
	if s.pos >= len(s.text) {
		return 0
	}
	return s.text[s.pos]
}

func (s *scan) next() byte {
	b := s.peek()
	if b == '\n' {
		s.line++
	}
	s.pos++
	return b
}

// statement reads one header or key with its value; false at the end.
func (s *scan) statement() bool {
	for {
		switch s.peek() {
		case 0:
			return s.pos < len(s.text) && s.next() == 0 // a NUL in the text is not the end; the parser has refused it before
		case ' ', '\t', '\r', '\n':
			s.next()
			continue
		case '#':
			s.comment()
			continue
		case '[':
			s.header()
			return true
		}
		line := s.line
		s.mark(s.join(s.table, s.key()), line)
		s.next() // the equals sign
		s.value()
		return true
	}
}

func (s *scan) mark(path string, line int) {
	if _, known := s.at[path]; !known {
		s.at[path] = line
	}
}

func (s *scan) comment() {
	for s.pos < len(s.text) && s.peek() != '\n' {
		s.next()
	}
}

// header reads [table] or [[table]].
func (s *scan) header() {
	line := s.line
	s.next()
	array := s.peek() == '['
	if array {
		s.next()
	}
	parts := s.key()
	for s.peek() == ']' {
		s.next()
	}
	if !array {
		s.table = s.join("", parts)
		s.mark(s.table, line)
		return
	}
	around := s.join("", parts[:len(parts)-1])
	path := strings.TrimPrefix(around+"."+parts[len(parts)-1], ".")
	s.mark(path, line)
	s.table = fmt.Sprintf("%s[%d]", path, s.count[path])
	s.count[path]++
	s.mark(s.table, line)
}

// join names a key below a table; an array of tables on the way means its last.
func (s *scan) join(table string, parts []string) string {
	for _, part := range parts {
		table = strings.TrimPrefix(table+"."+part, ".")
		if n := s.count[table]; n > 0 {
			table = fmt.Sprintf("%s[%d]", table, n-1)
		}
	}
	return table
}

// key reads a dotted key, up to the equals sign or bracket after it.
func (s *scan) key() []string {
	var parts []string
	var part strings.Builder
	for s.pos < len(s.text) {
		switch b := s.peek(); b {
		case '=', ']':
			return append(parts, part.String())
		case '.':
			s.next()
			parts = append(parts, part.String())
			part.Reset()
		case ' ', '\t':
			s.next()
		case '"', '\'':
			s.next()
			for s.pos < len(s.text) && s.peek() != b {
				part.WriteByte(s.next())
			}
			s.next()
		default:
			part.WriteByte(s.next())
		}
	}
	return append(parts, part.String())
}

// value skips a value with all that is nested in it.
func (s *scan) value() {
	depth := 0
	for s.pos < len(s.text) {
		switch b := s.peek(); b {
		case '\n':
			if depth == 0 {
				return
			}
			s.next()
		case '#':
			s.comment()
		case '[', '{':
			depth++
			s.next()
		case ']', '}':
			depth--
			s.next()
		case '"', '\'':
			s.quoted(b)
		default:
			s.next()
		}
	}
}

// quoted skips a string, of one line or of several.
func (s *scan) quoted(quote byte) {
	end := string(quote)
	if long := strings.Repeat(end, 3); strings.HasPrefix(s.text[s.pos:], long) {
		end = long
	}
	for range end {
		s.next()
	}
	for s.pos < len(s.text) {
		switch {
		case strings.HasPrefix(s.text[s.pos:], end):
			for range end {
				s.next()
			}
			return
		case quote == '"' && s.peek() == '\\':
			s.next()
			s.next()
		default:
			s.next()
		}
	}
}
