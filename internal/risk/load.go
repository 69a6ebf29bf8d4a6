package risk

import (
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // the same zones on every machine

	"aorta/internal/money"

	"github.com/BurntSushi/toml"
)

//go:embed profiles/*.toml
var profiles embed.FS

// generic is the profile that all others only differ from.
const generic = "generic"

// Profiles are the names of the profiles there are, in order.
func Profiles() []string {
	entries, err := fs.ReadDir(profiles, "profiles")
	if err != nil {
		panic("risk: the profiles are part of the program: " + err.Error())
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".toml"))
	}
	return names
}

// Profile gives the rules of a profile as they are without a file, or false.
func Profile(name string) (*Rules, bool) {
	if !slices.Contains(Profiles(), name) {
		return nil, false
	}
	r := &Rules{Profile: name, Reference: "EUR", Rules: emptyRules()}
	for _, each := range []string{generic, name} {
		text, err := profiles.ReadFile("profiles/" + each + ".toml")
		if err == nil {
			err = r.apply(each+".toml", text, nil)
		}
		if err != nil {
			panic("risk: the profiles are part of the program: " + err.Error())
		}
		if name == generic {
			break
		}
	}
	r.Hash = r.hash()
	return r, true
}

// Problem is what is wrong with a file, where, and what to do about it.
type Problem struct {
	File  string
	Line  int
	Field string // empty: the file itself
	What  string
}

func (p *Problem) Error() string {
	if p.Field == "" {
		return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.What)
	}
	return fmt.Sprintf("%s:%d: %s: %s", p.File, p.Line, p.Field, p.What)
}

// Load reads a rules file; name is what its errors call it. The file names a
// profile, and says in what it differs from it.
//
// An error holds every *Problem that was found: what is not known or makes no
// sense, and whatever makes A10, G03 or exclusion weaker than the profile does.
// Nothing of such a file holds: do not start with it.
func Load(name string, text []byte) (*Rules, error) {
	var head struct {
		Profile any `toml:"profile"`
	}
	if _, err := toml.Decode(string(text), &head); err != nil {
		return nil, syntax(name, err)
	}
	profile, _ := head.Profile.(string)
	base, known := Profile(profile)
	if !known {
		what := fmt.Sprintf("%v is not a profile: write one of %s", head.Profile, strings.Join(Profiles(), ", "))
		if head.Profile == nil {
			what = "it is missing: write profile = \"generic\", or one of " + strings.Join(Profiles(), ", ")
		}
		return nil, &Problem{File: name, Line: lineOf(lines(string(text)), "profile"), Field: "profile", What: what}
	}
	r, _ := Profile(profile)
	if err := r.apply(name, text, base); err != nil {
		return nil, err
	}
	r.Hash = r.hash()
	return r, nil
}

func syntax(name string, err error) error {
	var parse toml.ParseError
	if errors.As(err, &parse) {
		return &Problem{File: name, Line: parse.Position.Line, Field: parse.LastKey, What: "this is not TOML: " + parse.Message}
	}
	return &Problem{File: name, Line: 1, What: err.Error()}
}

// reading is one file on its way into rules.
type reading struct {
	rules  *Rules
	base   *Rules // the profile that a file may not weaken; nil: it is a profile
	file   string
	at     map[string]int    // key → line
	places map[string]string // rule → where the file speaks of it
	found  []*Problem
}

// apply takes a file into the rules.
func (r *Rules) apply(name string, text []byte, base *Rules) error {
	tree := map[string]any{}
	if _, err := toml.Decode(string(text), &tree); err != nil {
		return syntax(name, err)
	}
	in := reading{rules: r, base: base, file: name, at: lines(string(text)), places: map[string]string{}}
	in.tables(tree)
	if len(in.found) == 0 {
		in.sense() // of values that could not be read nothing more can be said
	}
	if len(in.found) == 0 {
		return nil
	}
	slices.SortStableFunc(in.found, func(a, b *Problem) int { return cmp.Compare(a.Line, b.Line) })
	errs := make([]error, len(in.found))
	for i, p := range in.found {
		errs[i] = p
	}
	return errors.Join(errs...)
}

func (in *reading) wrong(path string, format string, args ...any) {
	in.found = append(in.found, &Problem{File: in.file, Line: lineOf(in.at, path), Field: path, What: fmt.Sprintf(format, args...)})
}

// tables walks the whole file. What nobody asks for is not known.
func (in *reading) tables(tree map[string]any) {
	for name, raw := range sorted(tree) {
		switch name {
		case "profile":
		case "currency_reference":
			if raw != string(in.rules.Reference) {
				in.wrong(name, "%v cannot be: the profiles' amounts are in %s; write other currencies into [rates]", raw, in.rules.Reference)
			}
		case "rates":
			in.rates(raw)
		case "rule":
			in.each(name, raw, in.rule)
		default:
			in.plain(name, raw)
		}
	}
}

// plain takes a key of the list of keys, or a table of them.
func (in *reading) plain(path string, raw any) {
	switch path {
	case "limits.maximum":
		in.each(path, raw, in.maximum)
		return
	case "payout.method":
		in.each(path, raw, in.method)
		return
	}
	if i := slices.IndexFunc(keys, func(k key) bool { return k.name == path }); i >= 0 {
		if err := keys[i].set(in.rules, raw); err != nil {
			in.wrong(path, "%v", err)
		}
		return
	}
	table, ok := raw.(map[string]any)
	if !ok || !slices.ContainsFunc(keys, func(k key) bool { return strings.HasPrefix(k.name, path+".") }) {
		in.wrong(path, "there is no such key: correct its name or leave it out; docs/rules.md has all")
		return
	}
	for name, each := range sorted(table) {
		in.plain(path+"."+name, each)
	}
}

// each takes the tables of an array.
func (in *reading) each(path string, raw any, take func(path string, table map[string]any)) {
	list, ok := raw.([]map[string]any)
	if !ok {
		in.wrong(path, "write [[%s]], once for each", path)
		return
	}
	for i, table := range list {
		take(fmt.Sprintf("%s[%d]", path, i), table)
	}
}

func (in *reading) rates(raw any) {
	table, ok := raw.(map[string]any)
	if !ok {
		in.wrong("rates", "write [rates] and below it a line for each currency, such as USD = \"1.0842\"")
		return
	}
	for name, each := range sorted(table) {
		text, ok := each.(string)
		switch {
		case !ok:
			in.wrong("rates."+name, "%v must be text in quotes, so that it is exact: \"1.0842\"", each)
		case name == string(in.rules.Reference):
			in.wrong("rates."+name, "it is the reference currency: leave it out")
		default:
			if err := in.rules.Rates.set(money.Currency(name), text); err != nil {
				in.wrong("rates."+name, "%v", err)
			}
		}
	}
}

// fields takes a table whose keys are all known.
func (in *reading) fields(path string, table map[string]any, take map[string]func(raw any) error) {
	for name, raw := range sorted(table) {
		f, known := take[name]
		if !known {
			in.wrong(path+"."+name, "there is no such key: correct its name or leave it out; there are %s", strings.Join(slices.Sorted(maps.Keys(take)), ", "))
			continue
		}
		if err := f(raw); err != nil {
			in.wrong(path+"."+name, "%v", err)
		}
	}
}

func (in *reading) rule(path string, table map[string]any) {
	id, _ := table["id"].(string)
	e, known := entryOf(id)
	switch {
	case !known:
		in.wrong(path+".id", "%q is not a rule: write an id of docs/rules.md", id)
		return
	case !e.built:
		in.wrong(path+".id", "%s is not judged yet by this program: leave it out", id)
		return
	}
	if _, twice := in.places[id]; twice {
		in.wrong(path+".id", "%s is there twice", id)
		return
	}
	in.places[id] = path
	rule := &in.rules.Rules[slices.IndexFunc(in.rules.Rules, func(r Rule) bool { return r.ID == id })]
	take := map[string]func(any) error{
		"id":      func(any) error { return nil },
		"enabled": func(raw any) error { return key{at: func(*Rules) any { return &rule.Enabled }}.set(nil, raw) },
		"shadow":  func(raw any) error { return key{at: func(*Rules) any { return &rule.Shadow }}.set(nil, raw) },
		"weight":  func(raw any) error { return key{at: func(*Rules) any { return &rule.Weight }, most: 100}.set(nil, raw) },
	}
	if e.window {
		take["window"] = func(raw any) error { return key{at: func(*Rules) any { return &rule.Window }}.set(nil, raw) }
	}
	if e.deposit {
		take["action_deposit"] = func(raw any) error {
			return key{at: func(*Rules) any { return &rule.Deposit }, words: words([]Action{Allow, Review, StepUp, Decline})}.set(nil, raw)
		}
	}
	if e.payout {
		take["action_payout"] = func(raw any) error {
			return key{at: func(*Rules) any { return &rule.Payout }, words: words([]Action{Allow, StepUp, Hold, Decline})}.set(nil, raw)
		}
	}
	if id == "G03" {
		take["countries"] = func(raw any) error { return setCountries(&rule.Countries, raw) }
	}
	if len(e.params) > 0 {
		take["params"] = func(raw any) error {
			figures, ok := raw.(map[string]any)
			if !ok {
				return errors.New("write params = { " + e.params[0] + " = … }")
			}
			in.fields(path+".params", figures, paramsOf(rule, e))
			return nil
		}
	}
	in.fields(path, table, take)
}

func paramsOf(rule *Rule, e entry) map[string]func(any) error {
	take := map[string]func(any) error{}
	for _, name := range e.params {
		take[name] = func(raw any) error {
			var n int64
			if err := (key{at: func(*Rules) any { return &n }}).set(nil, raw); err != nil {
				return err
			}
			rule.Params[name] = n
			return nil
		}
	}
	return take
}

// setCountries adds to a list: a file never takes a country off the profile's.
func setCountries(at *[]string, raw any) error {
	list, ok := raw.([]any)
	if !ok {
		return errors.New("write a list of two capitals each, such as [\"KP\", \"IR\"]")
	}
	for _, each := range list {
		text, ok := each.(string)
		if !ok || len(text) != 2 || strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			return fmt.Errorf("%v is no country: write two capitals of ISO 3166-1", each)
		}
		if !slices.Contains(*at, text) {
			*at = append(*at, text)
		}
	}
	slices.Sort(*at)
	return nil
}

// kinds are what a maximum may be of, and whether that has a period.
var kinds = map[LimitKind]bool{LimitDeposit: true, LimitNetDeposit: true, LimitLoss: true, LimitStake: true, LimitSingle: false}

func (in *reading) maximum(path string, table map[string]any) {
	m := Maximum{Amount: money.Amount{Currency: in.rules.Reference}}
	var kind, period string
	text := func(into *string, allowed []string) func(any) error {
		return func(raw any) (err error) {
			*into, err = wordOf(raw, allowed)
			return err
		}
	}
	take := map[string]func(any) error{
		"kind":   text(&kind, words(slices.Sorted(maps.Keys(kinds)))),
		"period": text(&period, words(periods)),
		"minor":  func(raw any) error { return key{at: func(*Rules) any { return &m.Amount.Minor }}.set(nil, raw) },
		"under_age": func(raw any) error {
			return key{at: func(*Rules) any { return &m.UnderAge }, least: 1, most: 200}.set(nil, raw)
		},
		"currency": func(raw any) error {
			word, err := wordOf(raw, nil)
			if err == nil {
				m.Amount.Currency, err = validCurrency(word)
			}
			return err
		},
	}
	before := len(in.found)
	in.fields(path, table, take)
	m.Kind, m.Period, m.Statutory = LimitKind(kind), Period(period), in.base == nil
	_, said := table["minor"]
	switch {
	case len(in.found) > before:
	case kind == "":
		in.wrong(path+".kind", "it is missing: write one of %s", strings.Join(words(slices.Sorted(maps.Keys(kinds))), ", "))
	case kinds[m.Kind] != (period != ""):
		in.wrong(path+".period", "a %s limit has %s", kind, map[bool]string{true: "a period: write one of " + strings.Join(words(periods), ", "), false: "no period: leave it out"}[kinds[m.Kind]])
	case !said:
		in.wrong(path+".minor", "it is missing: write the amount in minor units of %s", m.Amount.Currency)
	case slices.ContainsFunc(in.rules.Limits.Maxima, func(o Maximum) bool { return o.name() == m.name() }):
		in.wrong(path, "this maximum is there twice")
	default:
		in.rules.Limits.Maxima = append(in.rules.Limits.Maxima, m)
	}
}

func (in *reading) method(path string, table map[string]any) {
	var m MethodBound
	take := map[string]func(any) error{
		"code": func(raw any) (err error) {
			m.Method, err = wordOf(raw, nil)
			return err
		},
		"min_minor": func(raw any) error { return key{at: func(*Rules) any { return &m.Min }}.set(nil, raw) },
		"max_minor": func(raw any) error { return key{at: func(*Rules) any { return &m.Max }}.set(nil, raw) },
	}
	before := len(in.found)
	in.fields(path, table, take)
	switch {
	case len(in.found) > before:
	case m.Method == "":
		in.wrong(path+".code", "it is missing: write the method's code, such as \"generic-bank\"")
	case m.Max > 0 && m.Min > m.Max:
		in.wrong(path+".min_minor", "%d is above max_minor, %d", m.Min, m.Max)
	case slices.ContainsFunc(in.rules.Payout.Methods, func(o MethodBound) bool { return o.Method == m.Method }):
		in.wrong(path+".code", "%s is there twice", m.Method)
	default:
		in.rules.Payout.Methods = append(in.rules.Payout.Methods, m)
	}
}

// sense refuses what can be read and cannot be meant, and what weakens the profile.
func (in *reading) sense() {
	r, l, p := in.rules, in.rules.Limits, in.rules.Payout
	if _, err := time.LoadLocation(l.Zone); err != nil || l.Zone == "" || l.Zone == "Local" {
		in.wrong("limits.time_zone", "%q is no time zone: write a name such as \"Europe/Berlin\"", l.Zone)
	}
	if r.Rates.AsOf != "" {
		if _, err := time.Parse(time.DateOnly, r.Rates.AsOf); err != nil {
			in.wrong("rates_as_of", "%q is no day: write \"2026-11-22\"", r.Rates.AsOf)
		}
	}
	less := func(low, high string, a, b int64) {
		if a > b {
			in.wrong(low, "it is above %s: lower it, or raise that", high)
		}
	}
	less("limits.cool_off_min", "limits.cool_off_max", int64(l.CoolOffMin), int64(l.CoolOffMax))
	less("limits.exclude_min_months", "limits.exclude_max_months", l.ExcludeMin, l.ExcludeMax)
	less("payout.manual_above_minor", "payout.dual_above_minor", p.ManualAbove, p.DualAbove)
	for _, pair := range []struct {
		low, high string
		a, b      int64
	}{
		{"payout.min_minor", "payout.max_minor", p.Min, p.Max},
		{"payout.max_minor", "payout.day_max_minor", p.Max, p.DayMax},
		{"payout.day_max_minor", "payout.month_max_minor", p.DayMax, p.MonthMax},
	} {
		if pair.b > 0 { // 0 is no maximum
			less(pair.low, pair.high, pair.a, pair.b)
		}
	}
	if l.ConfirmWithin == 0 {
		in.wrong("limits.confirm_within", "nobody could ever confirm a raise: write \"30d\"")
	}
	for n, level := range r.KYC.Levels {
		for name, b := range map[string]Bound{"deposits": level.Deposits, "payouts": level.Payouts} {
			in.bound(fmt.Sprintf("kyc.l%d.%s", n, name), b)
		}
	}
	for _, rule := range r.Rules {
		if e, _ := entryOf(rule.ID); e.window && rule.Window == 0 {
			in.wrong(in.ruleField(rule.ID, "window"), "%s needs a window above zero", rule.ID)
		}
	}
	if in.base != nil {
		in.weaker()
	}
}

func (in *reading) bound(name string, b Bound) {
	switch b.Kind {
	case BoundNone, BoundAgreed:
		return
	case BoundUpTo, BoundBelow:
	default:
		in.wrong(name, "it is missing")
		return
	}
	if b.Minor == 0 {
		in.wrong(name+"_minor", "%s needs an amount above zero; to allow nothing write %s = \"none\"", b.Kind, name)
	}
	if b.Window != 0 && b.Window != Days30 && b.Window != Days180 {
		in.wrong(name+"_window", "%s is not kept: write \"ever\", \"30d\" or \"180d\"", showSpan(b.Window))
	}
}

// ruleField finds where the file speaks of a rule.
func (in *reading) ruleField(id, field string) string {
	if path, said := in.places[id]; said {
		return path + "." + field
	}
	return "rule"
}

// weaker refuses a file that weakens what it must not: A10, G03 and exclusion
// (limits-and-risk.md section 5).
func (in *reading) weaker() {
	for _, rule := range in.rules.Rules {
		e, _ := entryOf(rule.ID)
		if !e.mandatory {
			continue
		}
		must := in.base.Rule(rule.ID)
		const cannot = "%s cannot be switched off or weakened: leave the key out"
		if !rule.Enabled {
			in.wrong(in.ruleField(rule.ID, "enabled"), cannot, rule.ID)
		}
		if rule.Shadow {
			in.wrong(in.ruleField(rule.ID, "shadow"), cannot, rule.ID)
		}
		if rule.Deposit.WeakerThan(must.Deposit) {
			in.wrong(in.ruleField(rule.ID, "action_deposit"), "%s is weaker than %s: "+cannot, rule.Deposit, must.Deposit, rule.ID)
		}
		if rule.Payout.WeakerThan(must.Payout) {
			in.wrong(in.ruleField(rule.ID, "action_payout"), "%s is weaker than %s: "+cannot, rule.Payout, must.Payout, rule.ID)
		}
		for _, name := range e.params {
			if rule.Params[name] > must.Params[name] {
				in.wrong(in.ruleField(rule.ID, "params."+name), "%d is weaker than %d: "+cannot, rule.Params[name], must.Params[name], rule.ID)
			}
		}
	}
	for _, k := range keys {
		if k.floor && k.size(in.rules) < k.size(in.base) {
			in.wrong(k.name, "%s is less than the %s of profile %s: exclusion cannot be weakened, leave the key out", k.show(in.rules), k.show(in.base), in.base.Profile)
		}
	}
}

// sorted walks a table in the order of its keys, so that the same file has the
// same problems in the same order.
func sorted(table map[string]any) func(yield func(string, any) bool) {
	return func(yield func(string, any) bool) {
		for _, name := range slices.Sorted(maps.Keys(table)) {
			if !yield(name, table[name]) {
				return
			}
		}
	}
}

// setting is one line of the effective rules.
type setting struct{ name, value string }

// settings are the effective rules, one after another, in the order of the
// documentation: what the hash is made of and differences are shown in.
func (r *Rules) settings() []setting {
	all := []setting{{"profile", r.Profile}, {"currency_reference", string(r.Reference)}}
	for _, k := range keys {
		all = append(all, setting{k.name, k.show(r)})
	}
	for _, m := range slices.SortedFunc(slices.Values(r.Limits.Maxima), func(a, b Maximum) int { return strings.Compare(a.name(), b.name()) }) {
		all = append(all, setting{m.name(), strconv.FormatInt(m.Amount.Minor, 10)})
	}
	for _, m := range slices.SortedFunc(slices.Values(r.Payout.Methods), func(a, b MethodBound) int { return strings.Compare(a.Method, b.Method) }) {
		name := "payout.method." + strconv.Quote(m.Method)
		all = append(all, setting{name + ".min_minor", strconv.FormatInt(m.Min, 10)}, setting{name + ".max_minor", strconv.FormatInt(m.Max, 10)})
	}
	for _, rule := range r.Rules {
		all = append(all, rule.settings()...)
	}
	for _, c := range slices.Sorted(maps.Keys(r.Rates.Per)) {
		all = append(all, setting{"rates." + c, r.Rates.Per[c]})
	}
	return all
}

func (rule Rule) settings() []setting {
	e, _ := entryOf(rule.ID)
	name := "rule." + rule.ID + "."
	all := []setting{{name + "enabled", strconv.FormatBool(rule.Enabled)}, {name + "shadow", strconv.FormatBool(rule.Shadow)}}
	if e.window {
		all = append(all, setting{name + "window", showSpan(rule.Window)})
	}
	for _, param := range e.params {
		all = append(all, setting{name + "params." + param, strconv.FormatInt(rule.Params[param], 10)})
	}
	if rule.ID == "G03" {
		all = append(all, setting{name + "countries", strings.Join(rule.Countries, ",")})
	}
	if e.deposit {
		all = append(all, setting{name + "action_deposit", string(rule.Deposit)})
	}
	if e.payout {
		all = append(all, setting{name + "action_payout", string(rule.Payout)})
	}
	return append(all, setting{name + "weight", strconv.FormatInt(rule.Weight, 10)})
}

// hash names this version of the rules.
func (r *Rules) hash() string {
	h := sha256.New()
	_, _ = h.Write([]byte("aorta rules 1\n"))
	for _, s := range r.settings() {
		_, _ = fmt.Fprintf(h, "%s = %s\n", s.name, strconv.Quote(s.value))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Canonical is the effective rules as text, one setting a line: what Diff
// compares, and what is kept to compare with later.
func (r *Rules) Canonical() string {
	var text strings.Builder
	for _, s := range r.settings() {
		fmt.Fprintf(&text, "%s = %s\n", s.name, s.value)
	}
	return text.String()
}

// Diff says what makes one set of rules, as Canonical writes it, another: one
// line for each setting, in the order of the documentation. An empty text is no rules.
func Diff(from, to string) []string {
	was, is := settingsOf(from), settingsOf(to)
	old := make(map[string]string, len(was))
	for _, s := range was {
		old[s.name] = s.value
	}
	var changes []string
	for _, s := range is {
		before, known := old[s.name]
		delete(old, s.name)
		switch {
		case !known:
			changes = append(changes, fmt.Sprintf("%s: now %s", s.name, quiet(s.value)))
		case before != s.value:
			changes = append(changes, fmt.Sprintf("%s: %s → %s", s.name, quiet(before), quiet(s.value)))
		}
	}
	for _, s := range was {
		if _, gone := old[s.name]; gone {
			changes = append(changes, fmt.Sprintf("%s: no longer %s", s.name, quiet(s.value)))
		}
	}
	return changes
}

func settingsOf(text string) []setting {
	var all []setting
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " = "); ok {
			all = append(all, setting{name, value})
		}
	}
	return all
}

// quiet makes an empty value visible.
func quiet(value string) string {
	if value == "" {
		return "none"
	}
	return value
}
