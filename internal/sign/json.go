package sign

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The bounds of a document. In the canonical text every value repeats its whole
// path, so without them one request of a megabyte could ask for gigabytes. Gate's
// largest genuine request is a receipt of 300 positions.
const (
	maxDepth  = 32     // of objects and lists in each other, the root counted
	maxValues = 10_000 // lists and objects counted
	maxPath   = 1024   // bytes of the keys that lead to a value
)

// ParseJSON reads a JSON object (RFC 8259) without repairing anything. The error
// is a *ParseError: ProblemSyntax, ProblemNotObject, ProblemRepeated, ProblemNUL,
// ProblemUTF8 (a lone surrogate counts), ProblemDepth, ProblemSize.
//
// Numbers are only kept as they were written; see CheckNumbers and Int. The size
// of raw is the caller's to bound. raw may be reused afterwards.
func ParseJSON(raw []byte) (*Doc, error) {
	p := parser{text: string(raw), nodes: make([]node, 1, 1+len(raw)/16)}
	p.space()
	if p.peek() != '{' {
		// Malformed is the graver fault, so a list or a scalar is read to its end.
		if err := p.value(0, 1, 0); err != nil {
			return nil, err
		}
		if p.space(); p.at < len(p.text) {
			return nil, p.problem(0, ProblemSyntax)
		}
		return nil, p.problem(0, ProblemNotObject)
	}
	if err := p.value(0, 1, 0); err != nil {
		return nil, err
	}
	if p.space(); p.at < len(p.text) {
		return nil, p.problem(0, ProblemSyntax)
	}
	return &Doc{nodes: p.nodes}, nil
}

// parser is a recursive-descent reader; every method leaves at behind what it read.
type parser struct {
	text  string
	at    int
	nodes []node
}

// problem names the holder of what could not be read.
func (p *parser) problem(holder int, problem Problem) error {
	return parseError(Value{doc: &Doc{nodes: p.nodes}, at: holder}.Path(), problem)
}

func (p *parser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// peek is the next byte, or 0 at the end; a NUL is nowhere valid outside a string.
func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

// value reads what comes next into the node at index self, which exists already;
// path is the length of the keys that lead there.
func (p *parser) value(self, depth, path int) error {
	var err error
	switch p.peek() {
	case '{':
		p.nodes[self].kind = KindObject
		err = p.container(self, depth, path, '}')
	case '[':
		p.nodes[self].kind = KindList
		err = p.container(self, depth, path, ']')
	case '"':
		p.nodes[self].kind = KindString
		p.nodes[self].text, err = p.string(self)
	case 't':
		err = p.word(self, KindBool, "true")
	case 'f':
		err = p.word(self, KindBool, "false")
	case 'n':
		err = p.word(self, KindNull, "null")
		p.nodes[self].text = ""
	default:
		err = p.number(self)
	}
	p.nodes[self].end = len(p.nodes)
	return err
}

// container reads an object or a list, which differ in their keys only.
func (p *parser) container(self, depth, path int, closing byte) error {
	if depth > maxDepth {
		return p.problem(self, ProblemDepth)
	}
	p.at++
	if p.space(); p.peek() == closing {
		p.at++
		return nil
	}
	var names nameSet
	for count := 0; ; count++ {
		var key string
		if closing == ']' {
			key = strconv.Itoa(count)
		} else {
			if p.peek() != '"' {
				return p.problem(self, ProblemSyntax)
			}
			var err error
			if key, err = p.string(self); err != nil {
				return err
			}
			if p.space(); p.peek() != ':' {
				return p.problem(self, ProblemSyntax)
			}
			p.at++
			p.space()
		}
		member := len(p.nodes)
		p.nodes = append(p.nodes, node{key: key, parent: self})
		if closing == '}' && !names.add(p.nodes, self, member) {
			return p.problem(member, ProblemRepeated)
		}
		pathHere := path + len(key) + 1
		if member > maxValues || pathHere > maxPath {
			return p.problem(self, ProblemSize)
		}
		if err := p.value(member, depth+1, pathHere); err != nil {
			return err
		}
		p.space()
		switch p.peek() {
		case ',':
			p.at++
			p.space()
		case closing:
			p.at++
			return nil
		default:
			return p.problem(self, ProblemSyntax)
		}
	}
}

// nameSet finds repeated keys: by looking at the members while they are few, by a
// map beyond that, so that an object of 100,000 keys does not cost their square.
type nameSet struct {
	count int
	many  map[string]struct{}
}

const fewNames = 16

// add says whether the key of the last node, member, is new in its object.
func (s *nameSet) add(nodes []node, object, member int) bool {
	key := nodes[member].key
	s.count++
	if s.count <= fewNames {
		for i := object + 1; i < member; i = nodes[i].end {
			if nodes[i].key == key {
				return false
			}
		}
		return true
	}
	if s.many == nil {
		s.many = make(map[string]struct{}, 4*fewNames)
		for i := object + 1; i < member; i = nodes[i].end {
			s.many[nodes[i].key] = struct{}{}
		}
	}
	_, known := s.many[key]
	s.many[key] = struct{}{}
	return !known
}

func (p *parser) word(self int, kind Kind, word string) error {
	if !strings.HasPrefix(p.text[p.at:], word) {
		return p.problem(self, ProblemSyntax)
	}
	p.at += len(word)
	p.nodes[self].kind, p.nodes[self].text = kind, word
	return nil
}

// number reads -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
func (p *parser) number(self int) error {
	start := p.at
	if p.peek() == '-' {
		p.at++
	}
	whole := p.at
	digits := p.digits()
	valid := digits == 1 || digits > 1 && p.text[whole] != '0'
	if p.peek() == '.' {
		p.at++
		valid = p.digits() > 0 && valid
	}
	if p.peek() == 'e' || p.peek() == 'E' {
		p.at++
		if p.peek() == '+' || p.peek() == '-' {
			p.at++
		}
		valid = p.digits() > 0 && valid
	}
	if !valid {
		return p.problem(self, ProblemSyntax)
	}
	p.nodes[self].kind, p.nodes[self].text = KindNumber, p.text[start:p.at]
	return nil
}

func (p *parser) digits() int {
	start := p.at
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.at++
	}
	return p.at - start
}

// string reads a string or a key. Without escapes it is a part of the text and
// costs no memory of its own.
func (p *parser) string(holder int) (string, error) {
	p.at++
	start, ascii := p.at, true
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '"':
			s := p.text[start:p.at]
			if !ascii && !utf8.ValidString(s) {
				return "", p.problem(holder, ProblemUTF8)
			}
			p.at++
			return s, nil
		case c == '\\':
			return p.escaped(holder, start)
		case c == 0:
			return "", p.problem(holder, ProblemNUL)
		case c < ' ':
			return "", p.problem(holder, ProblemSyntax)
		case c >= utf8.RuneSelf:
			ascii = false
		}
		p.at++
	}
	return "", p.problem(holder, ProblemSyntax)
}

// escaped reads on in a string that began at start and has its first escape here.
func (p *parser) escaped(holder, start int) (string, error) {
	s := append(make([]byte, 0, 2*(p.at-start)+32), p.text[start:p.at]...)
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == '"':
			if !utf8.Valid(s) {
				return "", p.problem(holder, ProblemUTF8)
			}
			return string(s), nil
		case c == 0:
			return "", p.problem(holder, ProblemNUL)
		case c < ' ':
			return "", p.problem(holder, ProblemSyntax)
		case c != '\\':
			s = append(s, c)
			continue
		}
		c = p.peek()
		p.at++
		switch c {
		case '"', '\\', '/':
			s = append(s, c)
		case 'b':
			s = append(s, '\b')
		case 'f':
			s = append(s, '\f')
		case 'n':
			s = append(s, '\n')
		case 'r':
			s = append(s, '\r')
		case 't':
			s = append(s, '\t')
		case 'u':
			r, problem := p.unicode()
			if problem != "" {
				return "", p.problem(holder, problem)
			}
			s = utf8.AppendRune(s, r)
		default:
			return "", p.problem(holder, ProblemSyntax)
		}
	}
	return "", p.problem(holder, ProblemSyntax)
}

// unicode reads the digits of \uXXXX, and the second half of a surrogate pair.
func (p *parser) unicode() (rune, Problem) {
	r, ok := p.hex4()
	switch {
	case !ok:
		return 0, ProblemSyntax
	case r == 0:
		return 0, ProblemNUL
	case !utf16.IsSurrogate(r):
		return r, ""
	}
	if !strings.HasPrefix(p.text[p.at:], `\u`) {
		return 0, ProblemUTF8
	}
	p.at += len(`\u`)
	low, ok := p.hex4()
	if !ok {
		return 0, ProblemSyntax
	}
	pair := utf16.DecodeRune(r, low)
	if pair == utf8.RuneError {
		return 0, ProblemUTF8
	}
	return pair, ""
}

func (p *parser) hex4() (rune, bool) {
	if len(p.text)-p.at < 4 {
		return 0, false
	}
	var r rune
	for _, c := range []byte(p.text[p.at : p.at+4]) {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	p.at += 4
	return r, true
}
