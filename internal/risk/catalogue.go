package risk

// entry is a rule of limits-and-risk.md section 3 as this program knows it.
type entry struct {
	id        string
	built     bool     // a file may set it; otherwise only its id is known
	mandatory bool     // a file may make it stricter, never weaker
	params    []string // its figures
	window    bool     // whether it has one
	deposit   bool     // judged for deposits
	payout    bool     // judged for payouts
}

// catalogue has every id that a file may name, in the order in which rules are
// shown. Those that are not built are refused with that word, so that nobody
// believes in a rule that does nothing.
var catalogue = []entry{
	{id: RuleExclusion, built: true, mandatory: true, deposit: true},
	{id: "V01"},
	{id: "V02"},
	{id: "V03"},
	{id: "V04"},
	{id: "V05"},
	{id: "V06"},
	{id: "V07"},
	{id: "V08"},
	{id: "V09"},
	{id: "V10", built: true, params: []string{"count"}, window: true, payout: true},
	{id: "G01"},
	{id: "G02"},
	{id: "G03", built: true, mandatory: true, payout: true},
	{id: "G04"},
	{id: "G05"},
	{id: "G06"},
	{id: "G07"},
	{id: "A01"},
	{id: "A02"},
	{id: ruleSum180, built: true, params: []string{"sum_minor"}, deposit: true, payout: true},
	{id: "A04", built: true, payout: true},
	{id: "A05"},
	{id: "A06"},
	{id: ruleElsewhere, built: true, payout: true},
	{id: "A08"},
	{id: "A09"},
	{id: "A10", built: true, mandatory: true, params: []string{"unclear_permille", "freeze_permille"}, payout: true},
	{id: ruleSum30, built: true, params: []string{"sum_minor"}, deposit: true, payout: true},
	{id: "A12"},
	{id: "A13"},
	{id: "A14"},
	{id: "A15"},
	{id: "A16"},
	{id: "A17"},
	{id: "P01"},
	{id: "P02"},
	{id: "P03"},
	{id: "P04", built: true, window: true, payout: true},
	{id: "P05"},
	{id: "H01"},
	{id: "H02"},
	{id: "H03"},
	{id: "H04"},
	{id: "H05"},
	{id: "M01"},
}

func entryOf(id string) (entry, bool) {
	for _, e := range catalogue {
		if e.id == id {
			return e, true
		}
	}
	return entry{}, false
}

// emptyRules are the rules of the catalogue before any file has spoken.
func emptyRules() []Rule {
	var all []Rule
	for _, e := range catalogue {
		if !e.built {
			continue
		}
		rule := Rule{ID: e.id, Params: map[string]int64{}}
		for _, name := range e.params {
			rule.Params[name] = 0
		}
		all = append(all, rule)
	}
	return all
}
