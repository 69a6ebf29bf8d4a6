package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"
	"unicode"
)

// document is what the generator reads of openapi.json.
type document struct {
	Info  struct{ Version string }
	Paths map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Summary     string
		Scope       string `json:"x-scope"`
		Security    []any
		Parameters  []struct {
			Name, In, Description string
			Required              bool
			Schema                schema
		}
		RequestBody struct{ Content content } `json:"requestBody"`
		Responses   map[string]struct{ Content content }
	}
	Webhooks map[string]map[string]struct {
		RequestBody struct{ Content content } `json:"requestBody"`
	}
	Components struct{ Schemas map[string]schema }
}

type content map[string]struct{ Schema schema }

// schema is the part of JSON Schema that package api writes.
type schema struct {
	Ref                  string `json:"$ref"`
	Type, Format         string
	Description          string
	Enum                 []string
	Items                *schema
	Properties           map[string]schema
	Required             []string
	AdditionalProperties any `json:"additionalProperties"`
	Minimum              *int
	MinLength            *int `json:"minLength"`
	MaxLength            *int `json:"maxLength"`
	Pattern              string
}

// model is what the templates write.
type model struct {
	Version string
	Groups  []*group
	Types   []*typ
	Enums   []*enum
	Codes   []string // of errors
}

// group is the calls below one path: Payments, those below /v1/payments.
type group struct {
	Name  string // payments
	Calls []*call
}

// call is one of them.
type call struct {
	Name         string // Init
	Doc          string // Begins a payment.
	Scope        string
	Method, Path string
	Vars         []string // variables of the path
	Params       *typ     // nil: it takes none
	InQuery      bool     // params are in the query
	Mutates      bool     // it needs an idempotency key
	Expand       []string // what else it can tell
	Answer       string   // name of a type
	Shape        shape
}

// shape is how many of its type an answer has.
type shape string

const (
	one  shape = "one"
	list shape = "list" // all, at once
	page shape = "page" // and a cursor
)

// typ is an object.
type typ struct {
	Name, Doc string
	Fields    []field
	Params    bool // it is sent
	Patch     bool // what is not there stays: nothing and "" are different things
}

// AllOptional reports whether nothing must be there.
func (t *typ) AllOptional() bool {
	return !slices.ContainsFunc(t.Fields, func(f field) bool { return f.Required })
}

// field is a member of one. Kind says which of the others mean something.
type field struct {
	Name, Doc string
	Required  bool
	List      bool // of what Kind says
	Kind      kind
	Of        string // the enum or typ
	Zero      bool   // of an integer: 0 means something, and is not the same as nothing
}

type kind string

const (
	kindText   kind = "text"
	kindTime   kind = "time"
	kindInt    kind = "int"
	kindBool   kind = "bool"
	kindTexts  kind = "texts" // an object of texts
	kindEnum   kind = "enum"
	kindObject kind = "object"
)

// enum is a list of words.
type enum struct {
	Name  string
	Words []string
}

// reader makes a model of a document.
type reader struct {
	doc   document
	m     *model
	types map[string]*typ  // by schema
	enums map[string]*enum // by words
	uses  map[string]int   // of a schema as a body
	by    map[*typ][]string
	fault error
}

func read(text []byte) (*model, error) {
	r := &reader{m: &model{}, types: map[string]*typ{}, enums: map[string]*enum{}, uses: map[string]int{}, by: map[*typ][]string{}}
	if err := json.Unmarshal(text, &r.doc); err != nil {
		return nil, err
	}
	r.m.Version, r.m.Codes = r.doc.Info.Version, r.doc.Components.Schemas["Error"].Properties["error"].Enum
	for _, calls := range r.doc.Paths {
		for _, op := range calls {
			r.uses[op.RequestBody.Content["application/json"].Schema.Ref]++
		}
	}
	// Answers first: a status is named by the thing that has it, not by a filter.
	for _, name := range slices.Sorted(maps.Keys(r.doc.Components.Schemas)) {
		if strings.HasSuffix(name, "View") {
			r.answer(name)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(r.doc.Paths)) {
		for _, method := range []string{"post", "get", "put", "patch", "delete"} {
			if op, ok := r.doc.Paths[path][method]; ok && len(op.Security) > 0 { // the others are for everybody, and no client's
				r.call(path, method)
			}
		}
		for method := range r.doc.Paths[path] {
			if !slices.Contains([]string{"post", "get", "put", "patch", "delete"}, method) {
				r.fail("%s %s: no rule for the method", method, path)
			}
		}
	}
	for _, calls := range r.doc.Webhooks {
		for _, hook := range calls {
			r.webhook(named(hook.RequestBody.Content["application/json"].Schema.Ref))
		}
	}
	r.finish()
	return r.m, r.fault
}

func (r *reader) fail(format string, args ...any) {
	if r.fault == nil {
		r.fault = fmt.Errorf(format, args...)
	}
}

// finish leaves only types that some call uses, and says by which.
func (r *reader) finish() {
	for _, t := range r.types {
		used := r.by[t]
		if len(used) == 0 {
			continue
		}
		slices.Sort(used)
		used = slices.Compact(used)
		switch {
		case t.Params:
			t.Doc = "is what " + join(used) + " takes."
		case strings.Contains(used[0], "."):
			t.Doc = "is what " + join(used) + " gives."
		default:
			t.Doc = "is a part of " + join(used) + "."
		}
		if len(used) > 1 {
			t.Doc = strings.NewReplacer(" takes.", " take.", " gives.", " give.").Replace(t.Doc)
		}
		r.m.Types = append(r.m.Types, t)
	}
	slices.SortFunc(r.m.Types, func(a, b *typ) int { return cmp.Compare(a.Name, b.Name) })
	for n, t := range r.m.Types {
		if n > 0 && r.m.Types[n-1].Name == t.Name {
			r.fail("two types would be %s", t.Name)
		}
	}
	needed := map[string]bool{}
	for _, t := range r.m.Types {
		for _, f := range t.Fields {
			needed[f.Of] = true
		}
	}
	for _, e := range r.enums {
		if needed[e.Name] && !slices.Contains(r.m.Enums, e) {
			r.m.Enums = append(r.m.Enums, e)
		}
	}
	slices.SortFunc(r.m.Enums, func(a, b *enum) int { return cmp.Compare(a.Name, b.Name) })
	for n, e := range r.m.Enums {
		if n > 0 && r.m.Enums[n-1].Name == e.Name {
			r.fail("two lists of words would be %s", e.Name)
		}
	}
}

func join(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// call reads an operation. Its name is that of the operation without what the group
// says already: initPayment of /v1/payments is Payments.Init, createRefund there is
// Payments.CreateRefund.
func (r *reader) call(path, method string) {
	op := r.doc.Paths[path][method]
	parts := strings.Split(path, "/")
	if len(parts) < 3 || parts[1] != "v1" {
		r.fail("%s is not below /v1", path)
		return
	}
	g := r.group(parts[2])
	words := split(op.OperationID)
	of := strings.Split(parts[2], "_")
	noun := words[1:]
	for len(noun) > 0 && len(of) > 0 && singular(strings.ToLower(noun[0])) == singular(of[0]) {
		noun, of = noun[1:], of[1:]
	}
	verb := upper(words[0])
	c := &call{
		Name: verb + strings.Join(noun, ""), Doc: op.Summary, Scope: op.Scope, Method: strings.ToUpper(method), Path: path,
	}
	prefix := singular(pascal(parts[2]))
	if len(noun) > 0 {
		prefix = singular(strings.Join(noun, ""))
	}
	full := pascal(g.Name) + "." + c.Name
	var query []field
	for _, p := range op.Parameters {
		switch {
		case p.In == "path":
			c.Vars = append(c.Vars, p.Name)
		case p.In == "header" && p.Name == "Idempotency-Key":
			c.Mutates = true
		case p.In == "query" && p.Name == "expand":
			c.Expand = p.Schema.Enum
		case p.In == "query":
			p.Schema.Description = p.Description
			query = append(query, r.field(prefix, p.Name, p.Schema, p.Required))
		default:
			r.fail("%s: no rule for parameter %s in %s", op.OperationID, p.Name, p.In)
		}
	}
	if len(query) > 0 {
		c.Params, c.InQuery = &typ{Name: prefix + verb + "Params", Fields: query, Params: true}, true
		r.types[c.Params.Name] = c.Params
		r.by[c.Params] = append(r.by[c.Params], full)
	}
	if ref := op.RequestBody.Content["application/json"].Schema.Ref; ref != "" {
		if c.InQuery {
			r.fail("%s: no rule for a query beside a body", op.OperationID)
		}
		c.Params = r.body(ref, prefix+verb, prefix, method == "patch")
		if c.Params != nil {
			r.by[c.Params] = append(r.by[c.Params], full)
		}
	}
	answer := named(op.Responses["200"].Content["application/json"].Schema.Ref)
	s, ok := r.doc.Components.Schemas[answer]
	if !ok {
		r.fail("%s has no answer", op.OperationID)
		return
	}
	c.Shape = one
	if data, ok := s.Properties["data"]; ok && data.Items != nil {
		c.Shape, answer = list, named(data.Items.Ref)
		if _, ok := s.Properties["next_cursor"]; ok {
			c.Shape = page
		}
	}
	t := r.answer(answer)
	if name, ok := strings.CutSuffix(answer, "Answer"); ok && t.Name == name+"Answer" {
		t.Name = prefix + verb + "Result"
	}
	c.Answer = t.Name
	r.used(t, full)
	g.Calls = append(g.Calls, c)
}

// webhook reads what a message tells. The message itself is written by hand, since it
// has headers too.
func (r *reader) webhook(name string) {
	data := named(r.doc.Components.Schemas[name].Properties["data"].Ref)
	if data == "" {
		r.fail("webhook %s has no data", name)
		return
	}
	r.used(r.answer(data), "Message")
}

// used notes that a type is needed, with all that it is made of.
func (r *reader) used(t *typ, by string) {
	r.by[t] = append(r.by[t], by)
	for _, f := range t.Fields {
		if f.Kind != kindObject {
			continue
		}
		for _, inner := range r.types {
			if inner.Name == f.Of && !slices.Contains(r.by[inner], t.Name) {
				r.used(inner, t.Name)
			}
		}
	}
}

func (r *reader) group(name string) *group {
	for _, g := range r.m.Groups {
		if g.Name == name {
			return g
		}
	}
	g := &group{Name: name}
	r.m.Groups = append(r.m.Groups, g)
	return g
}

func named(ref string) string { return strings.TrimPrefix(ref, "#/components/schemas/") }

// answer reads a schema that is answered: PaymentView is Payment.
func (r *reader) answer(name string) *typ {
	if t, ok := r.types[name]; ok {
		return t
	}
	t := &typ{Name: strings.TrimSuffix(name, "View")}
	r.types[name] = t
	t.Fields = r.fields(t.Name, r.doc.Components.Schemas[name])
	return t
}

// body reads a schema that is sent. One that several calls share has its own name:
// MoveBody is MoveParams. The idempotency key is an option of every call.
func (r *reader) body(ref, own, thing string, patch bool) *typ {
	name := named(ref)
	if t, ok := r.types[name]; ok {
		return t
	}
	s := r.doc.Components.Schemas[name]
	delete(s.Properties, "idempotency_key")
	if len(s.Properties) == 0 {
		return nil
	}
	t := &typ{Name: own + "Params", Params: true, Patch: patch}
	if r.uses[ref] > 1 {
		t.Name = strings.TrimSuffix(name, "Body") + "Params"
	}
	r.types[name] = t
	t.Fields = r.fields(thing, s)
	return t
}

// fields gives the members that must be there, in the document's order, and then the
// others.
func (r *reader) fields(of string, s schema) []field {
	if s.Type != "object" {
		r.fail("%s is of type %q", of, s.Type)
	}
	var out []field
	for _, name := range s.Required {
		out = append(out, r.field(of, name, s.Properties[name], true))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if !slices.Contains(s.Required, name) {
			out = append(out, r.field(of, name, s.Properties[name], false))
		}
	}
	return out
}

func (r *reader) field(of, name string, s schema, required bool) field {
	f := field{Name: name, Doc: s.Description, Required: required}
	inner := s
	if s.Type == "array" && s.Items != nil {
		f.List, inner = true, *s.Items
	}
	switch {
	case inner.Ref != "":
		f.Kind, f.Of = kindObject, r.answer(named(inner.Ref)).Name
	case inner.Type == "string" && len(inner.Enum) > 1:
		f.Kind, f.Of = kindEnum, r.enum(of, name, inner.Enum).Name
	case inner.Type == "string" && inner.Format == "date-time":
		f.Kind = kindTime
	case inner.Type == "string":
		f.Kind = kindText
	case inner.Type == "integer":
		f.Kind, f.Zero = kindInt, inner.Minimum != nil && *inner.Minimum == 0
	case inner.Type == "boolean":
		f.Kind = kindBool
	case inner.Type == "object" && inner.AdditionalProperties != false:
		f.Kind = kindTexts
	default:
		r.fail("%s.%s: no rule for type %q", of, name, inner.Type)
	}
	return f
}

// enum finds the list of words, or names a new one: PaymentStatus. Words with a full
// stop are types of events, of which there is one list.
func (r *reader) enum(of, name string, words []string) *enum {
	if strings.Contains(words[0], ".") {
		e := r.enums["."]
		if e == nil {
			e = &enum{Name: "EventType"}
			r.enums["."] = e
		}
		for _, w := range words {
			if !slices.Contains(e.Words, w) {
				e.Words = append(e.Words, w)
			}
		}
		return e
	}
	key := strings.Join(slices.Sorted(slices.Values(words)), ",")
	if e, ok := r.enums[key]; ok {
		return e
	}
	e := &enum{Name: of + pascal(name), Words: words}
	r.enums[key] = e
	return e
}

// split gives the words of a name in camel case.
func split(name string) []string {
	var out []string
	start := 0
	for n, c := range name {
		if n > start && unicode.IsUpper(c) {
			out = append(out, name[start:n])
			start = n
		}
	}
	return append(out, name[start:])
}

func singular(name string) string {
	if s, ok := strings.CutSuffix(name, "ies"); ok {
		return s + "y"
	}
	if strings.HasSuffix(name, "ss") {
		return name
	}
	return strings.TrimSuffix(name, "s")
}

func upper(word string) string {
	if word == "" {
		return ""
	}
	return strings.ToUpper(word[:1]) + word[1:]
}

func lower(word string) string { return strings.ToLower(word[:1]) + word[1:] }

// pascal writes payment_id and payment.captured as PaymentID and PaymentCaptured.
func pascal(name string) string {
	var b strings.Builder
	for _, w := range strings.FieldsFunc(name, func(c rune) bool { return c == '_' || c == '.' || c == '-' }) {
		switch w {
		case "id", "url", "psp", "ip", "pan", "kyc":
			b.WriteString(strings.ToUpper(w))
		default:
			b.WriteString(upper(w))
		}
	}
	return b.String()
}

// camel writes payment_id as paymentID.
func camel(name string) string {
	first, rest, _ := strings.Cut(name, "_")
	return first + pascal(rest)
}

// wrap breaks a text into lines of a comment.
func wrap(prefix, text string) string {
	var lines []string
	line := prefix
	for w := range strings.FieldsSeq(text) {
		if len(line)+1+len(w) > 100 && line != prefix {
			lines, line = append(lines, line), prefix
		}
		line += " " + w
	}
	return strings.Join(append(lines, line), "\n")
}

var functions = template.FuncMap{
	"pascal": pascal, "camel": camel, "lower": lower, "goType": goType, "tsType": tsType, "goPath": goPath, "tsPath": tsPath,
	"comment":  func(text string) string { return wrap("//", text) },
	"comment1": func(text string) string { return wrap("\t//", text) },
	"star1":    func(text string) string { return wrap("   *", text) },
	"quote":    func(text string) string { return fmt.Sprintf("%q", text) },
	"expand": func(c *call) string { // as TypeScript has it
		return `{ expand?: "` + strings.Join(c.Expand, `" | "`) + `" | undefined }`
	},
}

// goType is how Go has a field. What a params struct may leave out is its zero value,
// unless that means something else; then it is behind a pointer.
func goType(t *typ, f field) string {
	var s string
	switch f.Kind {
	case kindText:
		s = "string"
	case kindTime:
		s = "time.Time"
	case kindInt:
		s = "int"
	case kindBool:
		s = "bool"
	case kindTexts:
		return "map[string]string"
	case kindEnum:
		s = f.Of
	case kindObject:
		s = f.Of
		if !f.List {
			return "*" + s
		}
	}
	switch {
	case f.List:
		return "[]" + s
	case f.Required:
		return s
	case t.Params && (t.Patch || f.Kind == kindBool || f.Kind == kindInt && f.Zero):
		return "*" + s
	}
	return s
}

// goPath is a path as an expression of Go.
func goPath(c *call) string {
	if len(c.Vars) == 0 {
		return fmt.Sprintf("[]string{%q}", c.Path)
	}
	parts, path := []string{}, c.Path
	for _, v := range c.Vars {
		before, after, _ := strings.Cut(path, "{"+v+"}")
		parts = append(parts, fmt.Sprintf("%q, %s", before, camel(v)))
		path = after
	}
	if path != "" {
		parts = append(parts, fmt.Sprintf("%q", path))
	}
	return "[]string{" + strings.Join(parts, ", ") + "}"
}

func tsPath(c *call) string {
	return "[" + strings.TrimSuffix(strings.TrimPrefix(goPath(c), "[]string{"), "}") + "]"
}

func tsType(f field) string {
	var s string
	switch f.Kind {
	case kindText, kindTime:
		s = "string"
	case kindInt:
		s = "number"
	case kindBool:
		s = "boolean"
	case kindTexts:
		return "Record<string, string>"
	case kindEnum, kindObject:
		s = f.Of
	}
	if f.List {
		s += "[]"
	}
	return s
}
