package sign

import (
	"fmt"
	"iter"
	"strings"
)

// MaxInteger is the largest integer that all languages of our merchants read
// alike, 2^53−1. The smallest is its negative.
const MaxInteger = 1<<53 - 1

// Doc is a JSON object or a set of Payment Page parameters, read once and never
// changed. It is safe for concurrent use.
type Doc struct {
	// nodes are the members in document order, each container before its members;
	// the first is the root object.
	nodes []node
}

// node is one value of a Doc.
type node struct {
	key    string // name in the object or index in the list that holds it
	text   string // see Value.Text
	parent int    // index of the holder
	end    int    // index behind the last node inside this one
	kind   Kind
}

// Kind is what a Value is.
type Kind uint8

// The kinds of values. A form has only strings and objects.
const (
	KindMissing Kind = iota // there is no such member
	KindNull
	KindBool
	KindNumber
	KindString
	KindList
	KindObject
)

// Value is a place in a Doc, which may be missing.
type Value struct {
	doc *Doc
	at  int
}

// Root is the whole document.
func (d *Doc) Root() Value { return Value{doc: d} }

// Get gives the value at a path of keys: doc.Get("general", "payment_id").
// Items of a list go by their index: doc.Get("errors", "0", "code").
func (d *Doc) Get(path ...string) Value { return d.Root().Get(path...) }

// All gives every value but the root, in document order, containers included: for
// rules that hold everywhere, such as "no card numbers" (S24).
func (d *Doc) All() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		for i := 1; i < len(d.nodes); i++ {
			if !yield(Value{doc: d, at: i}) {
				return
			}
		}
	}
}

// CheckNumbers refuses, with ProblemRange, a number beyond ±(2^53−1) anywhere.
// Fractions pass: whether one is allowed is known where the field is read, and
// Int refuses it there.
func (d *Doc) CheckNumbers() error {
	for i, n := range d.nodes {
		if n.kind == KindNumber && tooLarge(n.text) {
			return parseError(Value{doc: d, at: i}.Path(), ProblemRange)
		}
	}
	return nil
}

// Kind says what the value is.
func (v Value) Kind() Kind {
	if v.doc == nil {
		return KindMissing
	}
	return v.node().kind
}

// Exists says whether there is a value, be it null.
func (v Value) Exists() bool { return v.doc != nil }

// Key is the name of the value in its object, or its index in its list.
func (v Value) Key() string {
	if v.doc == nil {
		return ""
	}
	return v.node().key
}

// Text is the string itself without its quotes and escapes, a number exactly as
// it was written, "true" or "false", and "" for everything else.
func (v Value) Text() string {
	if v.doc == nil {
		return ""
	}
	return v.node().text
}

// Int reads a number that was written as a plain integer. The error is a
// *ParseError: ProblemRange beyond ±(2^53−1), otherwise ProblemInteger, also for
// 12.0, 1e3 and "12".
func (v Value) Int() (int64, error) {
	if v.Kind() != KindNumber || !plainInteger(v.Text()) {
		return 0, parseError(v.Path(), ProblemInteger)
	}
	if tooLarge(v.Text()) {
		return 0, parseError(v.Path(), ProblemRange)
	}
	digits, negative := strings.CutPrefix(v.Text(), "-")
	var n int64
	for i := range len(digits) {
		n = n*10 + int64(digits[i]-'0')
	}
	if negative {
		n = -n
	}
	return n, nil
}

// Get goes further down from v.
func (v Value) Get(path ...string) Value {
	for _, key := range path {
		v = v.member(key)
	}
	return v
}

// Len is the number of members of an object or list, and 0 for everything else.
func (v Value) Len() int {
	count := 0
	for range v.Members() {
		count++
	}
	return count
}

// Members gives the members of an object or the items of a list, in order.
func (v Value) Members() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if v.doc == nil {
			return
		}
		for i := v.at + 1; i < v.node().end; i = v.doc.nodes[i].end {
			if !yield(Value{doc: v.doc, at: i}) {
				return
			}
		}
	}
}

// Path names the value as error answers do: "general.payment_id",
// "receipt_data.positions.0.amount". It is the sender's own text; a Value that is
// missing has none.
func (v Value) Path() string {
	if v.doc == nil || v.at == 0 {
		return ""
	}
	path := v.node().key
	for i := v.node().parent; i != 0; i = v.doc.nodes[i].parent {
		path = v.doc.nodes[i].key + "." + path
	}
	return path
}

func (v Value) node() *node { return &v.doc.nodes[v.at] }

func (v Value) member(key string) Value {
	for member := range v.Members() {
		if member.node().key == key {
			return member
		}
	}
	return Value{}
}

// Problem is why a document was not taken.
type Problem string

// The problems of documents. The first two mean that it cannot be read at all.
const (
	ProblemSyntax    Problem = "malformed"
	ProblemNotObject Problem = "not an object"
	ProblemRepeated  Problem = "repeated key"
	ProblemNUL       Problem = "NUL character"
	ProblemUTF8      Problem = "not Unicode text"
	ProblemDepth     Problem = "nested too deeply"
	ProblemSize      Problem = "too many values or too long keys"
	ProblemRange     Problem = "number too large"
	ProblemInteger   Problem = "not an integer"
	ProblemKey       Problem = "malformed key"
	ProblemSemicolon Problem = "semicolon in a value"
)

// ParseError says what is wrong with a document and where. Answer it; the sender
// can mend it.
type ParseError struct {
	Path    string // of the value or its holder, at most 255 bytes; "" is the document itself
	Problem Problem
}

// maxErrorPath bounds what of a sender's own keys comes back in errors and logs.
const maxErrorPath = 255

func parseError(path string, p Problem) *ParseError {
	if len(path) > maxErrorPath {
		path = strings.ToValidUTF8(path[:maxErrorPath], "")
	}
	return &ParseError{Path: path, Problem: p}
}

func (e *ParseError) Error() string {
	if e.Path == "" {
		return "sign: " + string(e.Problem)
	}
	return fmt.Sprintf("sign: %q: %s", e.Path, e.Problem)
}
