package sign

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// ParseForm reads Payment Page parameters from a raw query string or a form body.
// All values are strings; PHP's nested keys, "a[b]=1" and "a[0]=x", become
// objects, as the PHP library signs them so.
//
// The error is a *ParseError: ProblemSyntax (percent escapes), ProblemUTF8,
// ProblemNUL, ProblemDepth, ProblemKey, ProblemRepeated, and ProblemSemicolon for
// a ";" in a value, which would let one parameter pass for two. A key that begins
// with "_" may hold one, since the widget puts addresses there after signing.
func ParseForm(raw string) (*Doc, error) {
	root := newBranch("")
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		rawKey, rawValue, _ := strings.Cut(pair, "=")
		key, err := unescape(rawKey, "")
		if err != nil {
			return nil, err
		}
		value, err := unescape(rawValue, key)
		if err != nil {
			return nil, err
		}
		path, err := splitKey(key)
		if err != nil {
			return nil, err
		}
		if strings.Contains(value, ";") && !strings.HasPrefix(key, "_") {
			return nil, parseError(key, ProblemSemicolon)
		}
		if !root.put(path, value) {
			return nil, parseError(key, ProblemRepeated)
		}
	}
	doc := &Doc{}
	root.appendTo(doc, 0)
	return doc, nil
}

func unescape(text, path string) (string, error) {
	text, err := url.QueryUnescape(text)
	switch {
	case err != nil:
		return "", parseError(path, ProblemSyntax)
	case !utf8.ValidString(text):
		return "", parseError(path, ProblemUTF8)
	case strings.ContainsRune(text, 0):
		return "", parseError(path, ProblemNUL)
	}
	return text, nil
}

// splitKey takes "a[b][0]" apart into a, b, 0. A ":" or ";" in a key would let a
// value pass for a part of its key: "merchant_callback_url=https://…" signs like
// "merchant_callback_url:https=//…". No parameter has one.
func splitKey(key string) ([]string, error) {
	name, rest, nested := strings.Cut(key, "[")
	path := []string{name}
	if nested {
		inner, closed := strings.CutSuffix(rest, "]")
		if !closed {
			return nil, parseError(key, ProblemKey)
		}
		path = append(path, strings.Split(inner, "][")...)
	}
	if len(path) > maxDepth {
		return nil, parseError(key, ProblemDepth)
	}
	for _, part := range path {
		if part == "" || strings.ContainsAny(part, ":;[]") {
			return nil, parseError(key, ProblemKey)
		}
	}
	return path, nil
}

// branch is a parameter, or the parameters under a nested key.
type branch struct {
	key     string
	value   string
	members []*branch
	byKey   map[string]*branch // nil when this is a value
}

func newBranch(key string) *branch {
	return &branch{key: key, byKey: map[string]*branch{}}
}

// put says whether nothing was there before.
func (b *branch) put(path []string, value string) bool {
	member, known := b.byKey[path[0]]
	if len(path) == 1 {
		if known {
			return false
		}
		b.add(&branch{key: path[0], value: value})
		return true
	}
	if !known {
		member = newBranch(path[0])
		b.add(member)
	}
	return member.byKey != nil && member.put(path[1:], value)
}

func (b *branch) add(member *branch) {
	b.byKey[member.key] = member
	b.members = append(b.members, member)
}

func (b *branch) appendTo(doc *Doc, parent int) {
	self := len(doc.nodes)
	doc.nodes = append(doc.nodes, node{key: b.key, text: b.value, parent: parent, kind: KindString})
	if b.byKey != nil {
		doc.nodes[self].kind = KindObject
	}
	for _, member := range b.members {
		member.appendTo(doc, self)
	}
	doc.nodes[self].end = len(doc.nodes)
}
