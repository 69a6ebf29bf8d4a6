package api

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"aorta/internal/callback"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/redact"
	"aorta/internal/sign"
)

// A body, a query and an answer are each one Go struct. Its tags are the only
// place that says what a member is: they drive reading, refusing and openapi.json.
//
//	json  its name
//	kind  what it holds, one of kinds
//	need  "yes" if it must be there
//	doc   what it means
//	ex    an example
type member struct {
	name, kind, doc, example string
	need                     bool
	index                    int
	enum                     []string
	inner                    []member // of an object, or of a list's items
	list                     bool
}

// membersOf reads the tags of a struct.
func membersOf(t reflect.Type) []member {
	var out []member
	for n := range t.NumField() {
		f := t.Field(n)
		if f.Anonymous {
			panic("api: " + t.Name() + " has an embedded struct, which openapi.json would not show")
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		m := member{
			name: name, kind: f.Tag.Get("kind"), doc: f.Tag.Get("doc"), example: f.Tag.Get("ex"), need: f.Tag.Get("need") == "yes", index: n,
		}
		if list, ok := strings.CutPrefix(m.kind, "enum:"); ok {
			m.kind, m.enum = "enum", strings.Split(list, ",")
		}
		inner := f.Type
		if inner.Kind() == reflect.Slice {
			m.list, inner = true, inner.Elem()
		}
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			m.kind, m.inner = "object", membersOf(inner)
		}
		if _, known := kinds[m.kind]; !known {
			panic("api: " + t.Name() + "." + f.Name + " is of kind " + m.kind + ", which does not exist")
		}
		out = append(out, m)
	}
	return out
}

// kind is what a member may hold. An example of each stands in the tests.
type kind struct {
	check  func(text string) (code, message string) // empty code: it may
	digits bool                                     // typed as amount, time or our id: digits in it are no card (S24)

	// As JSON Schema has it.
	format, pattern string
	minimum, most   int
	schemaType      string // "string" unless set
}

// The bounds of texts, in characters.
const (
	maxName   = 255 // of names that the caller chooses
	maxTxn    = 64  // of txn_id and round_id
	maxText   = 1000
	maxURL    = 2048
	maxNote   = 255 // of a description that may be empty, in bytes
	maxMeta   = 50  // members of meta
	maxMetaOf = 500
)

var kinds = map[string]kind{
	"amount":       {check: checkAmount, digits: true, pattern: `^[0-9]{1,19}(\.[0-9]{1,4})?$`, most: 24},
	"currency":     {check: checkCurrency, pattern: `^[A-Z]{3}$`},
	"name":         {check: checkName, minimum: 1, most: maxName},
	"txn":          {check: lengthOf(maxTxn), minimum: 1, most: maxTxn},
	"text":         {check: lengthOf(maxText), most: maxText},
	"word":         {check: matching(wordPattern), pattern: wordPattern},
	"url":          {check: checkURL, format: "uri", most: maxURL},
	"meta":         {schemaType: "object"},
	"key":          {check: checkKeyMember, pattern: `^[!-~]{1,255}$`},
	"time":         {check: checkTime, digits: true, format: "date-time"},
	"limit":        {check: checkLimit, digits: true, schemaType: "integer"},
	"payment_id":   ofID(func(t string) error { _, err := id.ParsePayment(t); return err }, "pay_"),
	"payout_id":    ofID(func(t string) error { _, err := id.ParsePayout(t); return err }, "po_"),
	"refund_id":    ofID(func(t string) error { _, err := id.ParseOperation(t); return err }, "op_"),
	"event_id":     ofID(func(t string) error { var e id.Event; return e.UnmarshalText([]byte(t)) }, "evt_"),
	"transfer_id":  ofID(func(t string) error { _, err := id.ParseTransfer(t); return err }, "txn_"),
	"operation_id": ofID(func(t string) error { _, err := id.ParseOperation(t); return err }, "op_"),
	"sealed":       ofID(func(t string) error { var c id.Cursor; return c.UnmarshalText([]byte(t)) }, "cur_"),
	"account_id":   ofID(func(t string) error { var a id.Account; return a.UnmarshalText([]byte(t)) }, "acc_"),
	"phone":        {check: checkPhone, digits: true, pattern: `^\+[1-9][0-9]{7,14}$`},
	"signed":       {digits: true, pattern: `^-?[0-9]{1,19}(\.[0-9]{1,4})?$`},
	"endpoint_id":  ofID(func(t string) error { _, err := id.ParseEndpoint(t); return err }, "we_"),
	"instrument":   ofID(func(t string) error { _, err := id.ParseInstrument(t); return err }, "tok_"),
	"check_id":     ofID(func(t string) error { _, err := id.ParseCheck(t); return err }, "kyc_"),
	"delivery_id":  ofID(func(t string) error { _, err := id.ParseDelivery(t); return err }, "cb_"),
	"types":        {schemaType: "array"}, // of events
	"type":         {check: checkType},
	"event_type":   {check: checkEventType},
	"note":         {check: checkNote, most: maxNote},
	"hours":        {check: checkHours, digits: true, schemaType: "integer"},
	"whsec":        {pattern: `^whsec_[A-Za-z0-9+/]{43}=$`},
	"cursor":       {check: matching(cursorPattern), digits: true, pattern: cursorPattern},
	"enum":         {digits: true},
	"object":       {schemaType: "object"},
	"boolean":      {schemaType: "boolean"},
	"integer":      {schemaType: "integer"},
	"number":       {check: checkNumber, digits: true, schemaType: "integer"},
}

func ofID(parse func(string) error, prefix string) kind {
	return kind{digits: true, pattern: "^" + prefix + "[0-9a-hjkmnp-tv-z]{26}$", check: func(text string) (string, string) {
		if parse != nil && parse(text) != nil {
			return "id", "must be an id that begins with " + prefix
		}
		return "", ""
	}}
}

const cursorPattern = `^txn_[0-9a-z_.]+$` // the address it stands in is bounded

const wordPattern = `^[a-z0-9][a-z0-9_-]{0,63}$`

func matching(pattern string) func(string) (string, string) {
	p := regexp.MustCompile(pattern)
	return func(text string) (string, string) {
		if !p.MatchString(text) {
			return "pattern", "must match " + pattern
		}
		return "", ""
	}
}

func lengthOf(most int) func(string) (string, string) {
	return func(text string) (string, string) {
		switch {
		case text == "":
			return "empty", "must not be empty"
		case utf8.RuneCountInString(text) > most:
			return "too_long", "must have at most " + strconv.Itoa(most) + " characters"
		case strings.ContainsFunc(text, unicode.IsControl):
			return "characters", "must have no control characters"
		}
		return "", ""
	}
}

// checkName refuses ";" too: Gate's protocol signs names joined by it
// (ecommpay.md section 1), and what this door names that one may show.
func checkName(text string) (string, string) {
	if strings.Contains(text, ";") {
		return "characters", "must have no semicolon"
	}
	return lengthOf(maxName)(text)
}

// checkAmount knows no currency yet, so it looks at the form alone; amountOf
// finds what the currency cannot say.
func checkAmount(text string) (string, string) {
	if !isDecimal(text) {
		return "amount", `must be a decimal text such as "50.00": digits, at most one point, no sign, no exponent`
	}
	return "", ""
}

// isDecimal reports whether a text is 1 to 19 digits, or those, a point and 1 to
// 18 more. Every move has one: by a regular expression it takes ten times as long.
func isDecimal(text string) bool {
	whole, fraction, point := strings.Cut(text, ".")
	return isDigits(whole, 19) && (!point || isDigits(fraction, 18))
}

func isDigits(text string, most int) bool {
	if len(text) < 1 || len(text) > most {
		return false
	}
	for _, b := range []byte(text) {
		if b < '0' || b > '9' {
			return false
		}
	}
	return true
}

func checkCurrency(text string) (string, string) {
	if !money.Currency(text).Valid() {
		return "currency", "must be a code of ISO 4217 in capitals"
	}
	return "", ""
}

func checkURL(text string) (string, string) {
	u, err := url.Parse(text)
	if err != nil || len(text) > maxURL || u.Host == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") {
		return "url", "must be an address that begins with https:// and has no user name in it"
	}
	return "", ""
}

func checkKeyMember(text string) (string, string) {
	if !isKey(text) {
		return "key", "must be 1 to 255 visible characters"
	}
	return "", ""
}

func checkTime(text string) (string, string) {
	if _, err := time.Parse(time.RFC3339Nano, text); err != nil {
		return "time", "must be an instant such as 2025-10-17T09:41:00Z"
	}
	return "", ""
}

// typesTold are what an endpoint may be told, whether it may ask for it or not.
func typesTold() []string { return append(event.Types(), string(event.EndpointTest)) }

func checkType(text string) (string, string) {
	if !slices.Contains(typesTold(), text) {
		return "enum", "must be one of " + strings.Join(typesTold(), ", ")
	}
	return "", ""
}

func checkEventType(text string) (string, string) {
	if !slices.Contains(event.Kinds(), event.Kind(text)) {
		return "enum", "must be one of " + fmt.Sprint(event.Kinds())
	}
	return "", ""
}

func checkNote(text string) (string, string) {
	switch {
	case len(text) > maxNote:
		return "too_long", "must have at most " + strconv.Itoa(maxNote) + " bytes"
	case strings.ContainsFunc(text, unicode.IsControl):
		return "characters", "must have no control characters"
	}
	return "", ""
}

// maxHours is how long the old secret of an endpoint may sign beside the new one.
const maxHours = int(callback.MaxOverlap / time.Hour)

func checkHours(text string) (string, string) {
	if n, err := strconv.Atoi(text); err != nil || n < 0 || n > maxHours {
		return "hours", "must be 0 to " + strconv.Itoa(maxHours)
	}
	return "", ""
}

// checkNumber bounds a count of things that a rule bounds further.
func checkNumber(text string) (string, string) {
	if !isDigits(text, 9) {
		return "number", "must be a whole number from 0 on"
	}
	return "", ""
}

// maxLimit is the most that a page of a list has.
const maxLimit = 100

func checkLimit(text string) (string, string) {
	if n, err := strconv.Atoi(text); err != nil || n < 1 || n > maxLimit {
		return "limit", "must be 1 to " + strconv.Itoa(maxLimit)
	}
	return "", ""
}

// harmless refuses card data anywhere (security.md S24, S26): in values that are
// not typed as amount, time or our id, and in names. Nothing of it is told again.
func harmless(doc *sign.Doc, of []member) error {
	for v := range doc.All() {
		if redact.HasCVVName(v.Key()) || redact.FindPAN(v.Key()) {
			return refuse(codePAN, nil)
		}
		if (v.Kind() == sign.KindString || v.Kind() == sign.KindNumber) && !typed(v.Path(), of) && redact.FindPAN(v.Text()) {
			return refuse(codePAN, nil)
		}
	}
	return nil
}

// typed reports whether digits at a path are an amount, a time or an id of ours.
func typed(path string, of []member) bool {
	for _, m := range of {
		if m.name == path {
			return kinds[m.kind].digits
		}
	}
	return false
}

// read fills the struct that into points to. It refuses members that there are
// not (S04), wrong types and everything a kind does not allow, all at once.
func read(doc *sign.Doc, of []member, into any) error {
	var problems []problem
	root := reflect.ValueOf(into).Elem()
	for v := range doc.Root().Members() {
		if !slices.ContainsFunc(of, func(m member) bool { return m.name == v.Key() }) {
			problems = append(problems, problem{path(v.Path()), "unknown", hintOf(v.Key(), of)})
		}
	}
	for _, m := range of {
		v := doc.Get(m.name)
		if !v.Exists() || v.Kind() == sign.KindNull {
			if m.need {
				problems = append(problems, problem{m.name, "required", "must be there"})
			}
			continue
		}
		if m.kind == "meta" {
			meta, bad := readMeta(v)
			if problems = append(problems, bad...); len(bad) == 0 {
				root.Field(m.index).Set(reflect.ValueOf(meta))
			}
			continue
		}
		if m.kind == "types" {
			list, bad := readTypes(v)
			problems = append(problems, bad...)
			root.Field(m.index).Set(reflect.ValueOf(list))
			continue
		}
		if kinds[m.kind].schemaType == "boolean" {
			if v.Kind() != sign.KindBool {
				problems = append(problems, problem{m.name, "type", "must be true or false"})
				continue
			}
			root.Field(m.index).SetBool(v.Text() == "true")
			continue
		}
		if kinds[m.kind].schemaType == "integer" {
			if v.Kind() != sign.KindNumber {
				problems = append(problems, problem{m.name, "type", "must be a whole number"})
				continue
			}
		} else if v.Kind() != sign.KindString {
			problems = append(problems, problem{m.name, "type", "must be a text in quotes"})
			continue
		}
		if p, bad := m.bad(v.Text()); bad {
			problems = append(problems, p)
			continue
		}
		root.Field(m.index).SetString(v.Text())
	}
	if len(problems) > 0 {
		return invalid(problems...)
	}
	return nil
}

func (m *member) bad(text string) (problem, bool) {
	if m.kind == "enum" {
		return problem{m.name, "enum", "must be one of " + strings.Join(m.enum, ", ")}, !slices.Contains(m.enum, text)
	}
	code, message := kinds[m.kind].check(text)
	return problem{m.name, code, message}, code != ""
}

// readTypes reads a list of types of events; an empty one is not nil. It tells all
// that there are only once.
func readTypes(v sign.Value) ([]string, []problem) {
	if v.Kind() != sign.KindList {
		return nil, []problem{{v.Key(), "type", "must be a list of texts"}}
	}
	known := event.Types()
	out := []string{}
	for x := range v.Members() {
		if x.Kind() != sign.KindString || !slices.Contains(known, x.Text()) {
			return nil, []problem{{x.Path(), "enum", "must be one of " + strings.Join(known, ", ")}}
		}
		out = append(out, x.Text())
	}
	if len(out) > len(known) {
		return nil, []problem{{v.Key(), "too_many", "must have each type once at most"}}
	}
	return out, nil
}

var metaName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`)

// readMeta reads an object of texts. Numbers and truths are taken as texts.
func readMeta(v sign.Value) (map[string]string, []problem) {
	if v.Kind() != sign.KindObject {
		return nil, []problem{{v.Key(), "type", "must be an object of texts"}}
	}
	out := map[string]string{}
	var bad []problem
	for x := range v.Members() {
		switch {
		case !metaName.MatchString(x.Key()):
			bad = append(bad, problem{path(x.Path()), "name", "names of meta have 1 to 40 letters, digits, _ or -"})
		case x.Kind() != sign.KindString && x.Kind() != sign.KindNumber && x.Kind() != sign.KindBool:
			bad = append(bad, problem{path(x.Path()), "type", "must be a text in quotes"})
		case utf8.RuneCountInString(x.Text()) > maxMetaOf:
			bad = append(bad, problem{path(x.Path()), "too_long", "must have at most " + strconv.Itoa(maxMetaOf) + " characters"})
		}
		out[x.Key()] = x.Text()
	}
	if len(out) > maxMeta {
		bad = append(bad, problem{v.Key(), "too_many", "must have at most " + strconv.Itoa(maxMeta) + " members"})
	}
	return out, bad
}

// maxPath bounds what of a caller's own names comes back.
const maxPath = 128

func path(text string) string {
	if len(text) > maxPath {
		text = strings.ToValidUTF8(text[:maxPath], "") + "…"
	}
	return text
}

// hintOf says which member may have been meant.
func hintOf(name string, of []member) string {
	best, least := "", 3
	for _, m := range of {
		if d := distance(strings.ToLower(name), m.name); d < least {
			best, least = m.name, d
		}
	}
	if best != "" {
		return "is not known here; did you mean " + best + "?"
	}
	names := make([]string, len(of))
	for n, m := range of {
		names[n] = m.name
	}
	if len(of) == 0 {
		return "is not known here: this call takes none"
	}
	return "is not known here; there are " + strings.Join(names, ", ")
}

// distance is Levenshtein's, of names that are short.
func distance(a, b string) int {
	if len(a) > 40 {
		return 40
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			last, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, last+cost)
		}
	}
	return row[len(b)]
}

// readQuery is read for an address: each parameter once, as a text.
func readQuery(query url.Values, of []member, into any) error {
	var problems []problem
	root := reflect.ValueOf(into).Elem()
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range query {
			if !yield(name) {
				return
			}
		}
	}) {
		at := slices.IndexFunc(of, func(m member) bool { return m.name == name })
		switch {
		case at < 0:
			problems = append(problems, problem{path(strings.ToValidUTF8(name, "?")), "unknown", hintOf(name, of)})
		case len(query[name]) != 1:
			problems = append(problems, problem{name, "repeated", "must be there once"})
		default:
			if p, bad := of[at].bad(query.Get(name)); bad {
				problems = append(problems, p)
				continue
			}
			root.Field(of[at].index).SetString(query.Get(name))
		}
	}
	if len(problems) > 0 {
		return invalid(problems...)
	}
	return nil
}

// harmlessText refuses card data in an address, a query and headers.
func harmlessText(texts ...string) error {
	for _, t := range texts {
		if redact.FindPAN(t) {
			return refuse(codePAN, nil)
		}
	}
	return nil
}

// amountOf reads an amount whose form is right. What its currency cannot say
// exactly is refused.
func amountOf(text, currency string) (money.Amount, error) {
	a, err := money.ParseDecimal(text, money.Currency(currency))
	switch {
	case err == nil && a.Minor > 0:
		return a, nil
	case err == nil, errors.Is(err, money.ErrRange):
		return a, refuse(codeRange, map[string]any{"min": money.Amount{Minor: 1, Currency: money.Currency(currency)}.Decimal()})
	case errors.Is(err, money.ErrCurrency):
		return a, invalid(problem{"currency", "currency", "must be a code of ISO 4217 in capitals"})
	}
	return a, invalid(problem{"amount", "decimals", currency + " has at most " + strconv.Itoa(money.Currency(currency).Exponent()) + " decimals"})
}
