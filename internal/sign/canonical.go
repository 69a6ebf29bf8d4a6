package sign

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
)

// dialect is how one official library writes a document. They agree on all that
// merchants usually send; ecommpay.md section 1.2 has the measured differences.
type dialect struct {
	order  order
	colons colonRule
	plain  bool // numbers in documented form; otherwise as they were written
}

// dialects lists the documented one first, the others in the order of popularity.
//
// Two readings are left out on purpose: Go's, where 12.5 is signed as 12, and
// JavaScript's and Go's of integers above 2^53, which are rounded. There the
// signature is not that of what the document says.
var dialects = [...]dialect{
	{order: natural, colons: doubled, plain: true},      // PHP, and the documentation
	{order: byLevel, colons: untouched, plain: true},    // JavaScript
	{order: byLine, colons: doubledAtRoot, plain: true}, // Go
	{order: byPath, colons: doubled},                    // Python
	{order: byLine, colons: doubled},                    // Java
}

// colonRule says which keys have their ":" doubled.
type colonRule uint8

const (
	doubled colonRule = iota
	doubledAtRoot
	untouched
)

// view is what of a document is signed.
type view struct {
	doc             *Doc
	omit            int  // index of the signature's node; 0, the root, omits nothing
	dropUnderscored bool // keys at the root that begin with "_"
	booleanWords    bool // "true" and "false" in any case are 1 and 0
}

// neverSigned is a key that all libraries leave out at every depth.
const neverSigned = "frame_mode"

// canonical gives the text that is signed.
func (v view) canonical(d dialect) []byte {
	l := v.lines(d)
	l.sort(d.order)
	return l.join()
}

// lines is a document taken apart into "path:value", one line per value.
type lines struct {
	doc   *Doc
	text  []byte // of all lines, one behind the other
	lines []line
}

// line is a part of text: path is text[start:colon], value is text[colon+1:end].
type line struct{ start, colon, end, node int }

func (l *lines) path(a line) []byte  { return l.text[a.start:a.colon] }
func (l *lines) whole(a line) []byte { return l.text[a.start:a.end] }

func (v view) lines(d dialect) *lines {
	size := 0
	for i := range v.doc.nodes {
		size += len(v.doc.nodes[i].key) + len(v.doc.nodes[i].text) + 24
	}
	w := writer{
		view: v, dialect: d,
		out: &lines{doc: v.doc, text: make([]byte, 0, size), lines: make([]line, 0, len(v.doc.nodes))},
	}
	w.members(0)
	return w.out
}

// sort keeps the document's order where by finds two lines equal.
func (l *lines) sort(by order) {
	slices.SortFunc(l.lines, func(a, b line) int {
		if c := by(l, a, b); c != 0 {
			return c
		}
		return cmp.Compare(a.node, b.node)
	})
}

func (l *lines) join() []byte {
	text := make([]byte, 0, len(l.text)+len(l.lines))
	for i, a := range l.lines {
		if i > 0 {
			text = append(text, ';')
		}
		text = append(text, l.text[a.start:a.end]...)
	}
	return text
}

// writer writes the lines of a view, in document order.
type writer struct {
	view
	dialect
	out  *lines
	path []byte // of the container being written
}

func (w *writer) members(holder int) {
	nodes := w.doc.nodes
	for i := holder + 1; i < nodes[holder].end; i = nodes[i].end {
		n := &nodes[i]
		if i == w.omit || n.key == neverSigned ||
			w.dropUnderscored && holder == 0 && strings.HasPrefix(n.key, "_") {
			continue
		}
		mark := len(w.path)
		if holder != 0 {
			w.path = append(w.path, ':')
		}
		w.key(n.key, holder == 0)
		if n.kind == KindObject || n.kind == KindList {
			w.members(i) // one without members leaves no line
		} else {
			out := w.out
			a := line{start: len(out.text), node: i}
			out.text = append(out.text, w.path...)
			a.colon = len(out.text)
			out.text = append(out.text, ':')
			w.value(n)
			a.end = len(out.text)
			out.lines = append(out.lines, a)
		}
		w.path = w.path[:mark]
	}
}

func (w *writer) key(key string, atRoot bool) {
	if w.colons == doubled || w.colons == doubledAtRoot && atRoot {
		for {
			before, after, found := strings.Cut(key, ":")
			w.path = append(w.path, before...)
			if !found {
				return
			}
			w.path = append(w.path, "::"...)
			key = after
		}
	}
	w.path = append(w.path, key...)
}

func (w *writer) value(n *node) {
	text := n.text
	switch {
	case n.kind == KindBool, w.booleanWords && n.kind == KindString:
		switch {
		case strings.EqualFold(text, "true"):
			text = "1"
		case strings.EqualFold(text, "false"):
			text = "0"
		}
	case n.kind == KindNumber && w.plain && !plainInteger(text):
		text = documentedNumber(text)
	}
	w.out.text = append(w.out.text, text...)
}

// order compares two lines of a document.
type order func(l *lines, a, b line) int

// natural is PHP's ksort with SORT_NATURAL on paths, the documented order. Where
// it finds two paths equal ("a1", "a01") PHP keeps the document's order, and so
// do we.
func natural(l *lines, a, b line) int {
	return naturalCompare(l.path(a), l.path(b))
}

// byLine is the byte order of "path:value" (Go, Java).
func byLine(l *lines, a, b line) int { return bytes.Compare(l.whole(a), l.whole(b)) }

// byPath is the byte order of paths (Python).
func byPath(l *lines, a, b line) int { return bytes.Compare(l.path(a), l.path(b)) }

// byLevel sorts the members of each container by their keys (JavaScript). It
// climbs from both values to the container that holds both.
func byLevel(l *lines, a, b line) int {
	nodes := l.doc.nodes
	left, right := a.node, b.node
	for nodes[left].parent != nodes[right].parent {
		// A container stands before its members, so the later parent is no holder
		// of the earlier one.
		if nodes[left].parent > nodes[right].parent {
			left = nodes[left].parent
		} else {
			right = nodes[right].parent
		}
	}
	return compareProperties(nodes[left].key, nodes[right].key)
}

// compareProperties is the order in which JavaScript lists the properties of an
// object that was filled in sorted order: array indexes first, as numbers.
func compareProperties(a, b string) int {
	i, aIsIndex := arrayIndex(a)
	j, bIsIndex := arrayIndex(b)
	switch {
	case aIsIndex && bIsIndex:
		return cmp.Compare(i, j)
	case aIsIndex:
		return -1
	case bIsIndex:
		return 1
	}
	return cmp.Compare(a, b)
}

func arrayIndex(key string) (uint32, bool) {
	if key == "" || key[0] < '0' || key[0] > '9' || key[0] == '0' && len(key) > 1 {
		return 0, false
	}
	n, err := strconv.ParseUint(key, 10, 32)
	return uint32(n), err == nil && n < math.MaxUint32
}

// naturalCompare is PHP's strnatcmp: runs of digits compare as numbers, spaces
// and leading zeros do not count, the rest goes by bytes.
func naturalCompare(a, b []byte) int {
	// Paths share long prefixes. What is equal may be passed at once, but for a run
	// of digits or spaces at its end, which the rest may continue.
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	for i > 0 && (isDigit(a, i-1) || isSpace(a[i-1])) {
		i--
	}
	if i == len(a) || i == len(b) {
		return cmp.Compare(len(a), len(b))
	}
	j := i
	for {
		i, j = skipIgnored(a, i), skipIgnored(b, j)
		if isDigit(a, i) && isDigit(b, j) {
			// A run that still begins with 0 is the number 0, or a fraction to PHP.
			fraction := a[i] == '0' || b[j] == '0'
			runA, runB := i, j
			for i = runA; isDigit(a, i); i++ {
			}
			for j = runB; isDigit(b, j); j++ {
			}
			if !fraction && i-runA != j-runB {
				return cmp.Compare(i-runA, j-runB)
			}
			if c := bytes.Compare(a[runA:i], b[runB:j]); c != 0 {
				return c
			}
			if i == len(a) || j == len(b) {
				return cmp.Compare(len(a)-i, len(b)-j)
			}
		}
		if c := cmp.Compare(byteAt(a, i), byteAt(b, j)); c != 0 {
			return c
		}
		i, j = i+1, j+1
		if i >= len(a) || j >= len(b) {
			return cmp.Compare(max(len(a)-i, 0), max(len(b)-j, 0))
		}
	}
}

// skipIgnored passes zeros that lead a longer number, then white space.
func skipIgnored(s []byte, i int) int {
	for byteAt(s, i) == '0' && isDigit(s, i+1) {
		i++
	}
	for isSpace(byteAt(s, i)) {
		i++
	}
	return i
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// byteAt is 0 behind the end, as in PHP.
func byteAt(s []byte, i int) byte {
	if i < len(s) {
		return s[i]
	}
	return 0
}

func isDigit(s []byte, i int) bool {
	c := byteAt(s, i)
	return c >= '0' && c <= '9'
}

// plainInteger says whether a JSON number has neither fraction nor exponent.
func plainInteger(number string) bool { return !strings.ContainsAny(number, ".eE") }

// decimal is a JSON number without a float: 0.digits × 10^point, and digits has
// no zero at either end. Zero has no digits.
type decimal struct {
	negative bool
	digits   string
	point    int
}

func parseDecimal(number string) decimal {
	var d decimal
	number, d.negative = strings.CutPrefix(number, "-")
	mantissa, exponent := number, 0
	if e := strings.IndexAny(number, "eE"); e >= 0 {
		mantissa = number[:e]
		var err error
		if exponent, err = strconv.Atoi(number[e+1:]); err != nil || exponent > math.MaxInt32 || exponent < math.MinInt32 {
			exponent = math.MaxInt32
			if number[e+1] == '-' {
				exponent = math.MinInt32
			}
		}
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	all := whole + fraction
	d.digits = strings.TrimLeft(all, "0")
	d.point = len(whole) - (len(all) - len(d.digits)) + exponent
	d.digits = strings.TrimRight(d.digits, "0")
	return d
}

// tooLarge says whether a number is beyond ±(2^53−1).
func tooLarge(number string) bool {
	const limit = "9007199254740991"
	d := parseDecimal(number)
	switch {
	case d.digits == "" || d.point < len(limit):
		return false
	case d.point > len(limit):
		return true
	}
	// As many digits before the point as the limit has: compare as text, where a
	// fraction makes the longer one the larger.
	return d.digits > limit
}

// phpDigits is the number of places up to which PHP writes a float in full.
const phpDigits = 14

// documentedNumber writes a fraction, or a number with an exponent, as PHP does:
// 12.50 is "12.5", 12.0 is "12", 1e21 is "1.0E+21".
func documentedNumber(number string) string {
	d := parseDecimal(number)
	sign := ""
	if d.negative {
		sign = "-"
	}
	switch {
	case d.digits == "":
		return sign + "0"
	case d.point > phpDigits || d.point < -3:
		fraction := d.digits[1:]
		if fraction == "" {
			fraction = "0"
		}
		exponent := strconv.Itoa(d.point - 1)
		if d.point > 0 {
			exponent = "+" + exponent
		}
		return sign + d.digits[:1] + "." + fraction + "E" + exponent
	case d.point <= 0:
		return sign + "0." + strings.Repeat("0", -d.point) + d.digits
	case d.point >= len(d.digits):
		return sign + d.digits + strings.Repeat("0", d.point-len(d.digits))
	}
	return sign + d.digits[:d.point] + "." + d.digits[d.point:]
}
