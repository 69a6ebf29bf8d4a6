package model

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Payouts of a licensed house (limits-and-risk.md section 4): checked in order on figures
// that are counted here once more, from the whole history; split back to where the money
// came from; waiting for the customer, for operators or for the provider; each part paid
// once or given back once.

// Rules are those of a licensed house. Amounts are minor units of its one currency; a
// most of 0 is none.
type Rules struct {
	Currency      string
	Rate          int64    // how much of it a unit of any other currency is
	Levels        [4]Bound // what a customer of each level is paid out
	Manual, Dual  int64    // above which one person approves, and two
	Turnover      int64    // permille of deposits that must be staked
	Requests      int64    // within a day, this one included; with more it waits (V10)
	FreshUS       int64    // a deposit younger than that makes it wait (P04); 0: none does
	DayMost, Most int64    // of a day, and of one payout
	Cancel, Defer bool
	RecheckUS     int64
	Beyond        bool     // more may be sent to a card than was paid with it
	Unnamed       string   // what kind of instrument it is that the provider does not name
	Officers      []string // who may let pass that somebody is excluded
	Analysts      []string // and what looks like laundering
	RaiseUS       int64    // how long a raise of a limit waits
	ConfirmUS     int64    // and how long it can be confirmed then
	Zone          string   // in which months begin; empty: UTC
}

// Bound is how much may be paid out in a number of days; 0: ever.
type Bound struct {
	Kind  string // none, up_to, below, agreed
	Minor int64
	Days  int64
}

// Decision is what a payout was judged on, and how, as the platform has kept it. Released
// and Stopped are rules, in order, with spaces between.
type Decision struct {
	AtUS                                                       int64
	Again                                                      bool // before it is sent, long after it was asked for
	Reserved                                                   bool // its money is reserved already
	Restriction                                                string
	Reviews, Level, PaidEver, Paid180, Paid30, Day, Requests   int64
	Available, Bonus, Deposits, Stakes, Elsewhere, LastDeposit int64
	DepositedEver, StakedEver                                  int64
	Approvals                                                  int64
	Released, Action, Check, Stopped                           string
}

// Review is the row of a payout's checks.
type Review struct {
	Payment   string
	Decisions []Decision
}

// Deed is what the log says that somebody has done.
type Deed struct{ Who, What, About string }

// Check is the row of a check of who a customer is.
type Check struct {
	ID, Customer, State string
	Level, UntilUS      int64
	Person              string // whom it has shown; empty: it does not say
}

// Instrument is the row of what a customer has paid with.
type Instrument struct{ ID, Customer, Token string }

// out is what the model knows of a payout that is checked.
type out struct {
	parts     []string // operations, the first first
	begun     bool
	endUS     int64
	approved  []string
	editor    string
	manual    bool
	freed     bool // an operator has let something pass
	stopped   map[string]bool
	decisions int // how many are followed
	last      *Decision
	full      Decision // the newest that all checks were run for
	sentUS    int64    // when it was first sent
	gone      bool     // a part was given back that was never sent
}

// judged is a decision that the commit has brought, and what each of its figures was
// in the course of it: who of several in a commit was first is not seen.
type judged struct {
	p    *payment
	d    Decision
	seen map[string]map[string]bool
}

// licensed is the model's knowledge of a licensed house.
type licensed struct {
	deeds       map[Deed]bool              // that were asked for
	checks      map[string]Check           // by id
	newestOf    map[string]map[int64]Check // of customers, by level: the newest that was passed
	passed      map[string]bool            // checks that their provider has called passed
	instruments map[[2]string]string       // ids, by customer and token
	unusable    map[[2]string]bool         // as above
	past        map[string][]pastMove      // of customers, for turnover
	judging     []*judged
	did         []Deed // of the commit
	sent        []string
	missed      int // payouts that were not taken or answered
	waiting     map[*AskedPayout]bool

	restraints        map[string][]restraint // of customers
	restrictionsAsked map[Restriction]bool
	restrictionsMade  map[Restriction]bool
	restrictedNow     map[string]bool // customers, by the commit

	history []played
	begunUS map[*Round]int64
	zone    *time.Location
}

// pastMove is a step of a customer's turnover.
type pastMove struct {
	kind  string // deposit, stake, back, paid
	minor int64

	in, out int64 // of what was paid: deposits and stakes ever, when the payout was judged for the last time
}

func newLicensed(r *Rules) licensed {
	zone := time.UTC
	if r != nil && r.Zone != "" {
		var err error
		if zone, err = time.LoadLocation(r.Zone); err != nil {
			panic(err)
		}
	}
	return licensed{
		restraints: map[string][]restraint{}, restrictionsAsked: map[Restriction]bool{}, restrictionsMade: map[Restriction]bool{}, restrictedNow: map[string]bool{},
		begunUS: map[*Round]int64{}, zone: zone,
		deeds: map[Deed]bool{}, checks: map[string]Check{}, newestOf: map[string]map[int64]Check{}, passed: map[string]bool{}, instruments: map[[2]string]string{},
		unusable: map[[2]string]bool{}, past: map[string][]pastMove{}, waiting: map[*AskedPayout]bool{},
	}
}

// checked reports whether a payment is a payout that rules look at.
func (m *Model) checked(p *payment) bool { return p != nil && p.Type == "payout" && m.s.Rules != nil }

// Inputs.

// DeedAsked: an operator, or the merchant, asks for something. It may be done once or not.
func (m *Model) DeedAsked(d Deed) { m.deeds[d] = true }

// CheckSaid: a provider says that a customer has passed its check.
func (m *Model) CheckSaid(check string) { m.passed[check] = true }

// Following.

// beginChecked takes in what a commit says beside payments, and what was decided in it.
func (m *Model) beginChecked(c Commit) {
	if m.s.Rules == nil {
		return
	}
	m.judging, m.did, m.sent = nil, c.Deeds, nil
	for _, r := range c.Reviews {
		p := m.pays[r.Payment]
		if p == nil {
			m.fault("a payout's checks are stored, and there is no payout %s", r.Payment)
			continue
		}
		for _, d := range r.Decisions[min(p.out.decisions, len(r.Decisions)):] {
			m.judging = append(m.judging, &judged{p, d, map[string]map[string]bool{}})
		}
		p.out.decisions = len(r.Decisions)
	}
	m.lookDecisions()
	for _, x := range c.Checks {
		if was := m.checks[x.ID]; x.State == "passed" && was.State != "passed" && !m.passed[x.ID] {
			m.fault("check %s of %s is passed, and its provider has not said so (limits 2)", x.ID, x.Customer)
		}
		if x.State == "passed" && m.checks[x.ID].State != "passed" {
			if m.newestOf[x.Customer] == nil {
				m.newestOf[x.Customer] = map[int64]Check{}
			}
			m.newestOf[x.Customer][x.Level] = x
		}
		m.checks[x.ID] = x
	}
	for _, i := range c.Instruments {
		m.instruments[[2]string{i.Customer, i.Token}] = i.ID
	}
	m.lookDecisions()
	for _, r := range c.Restrictions {
		m.restrict(r)
		m.lookDecisions()
		m.lookRestricted() // the next step of the commit may lift it
	}
	for nth, d := range c.Deeds {
		m.deed(d, nth)
		m.lookDecisions()
	}
}

// heldBy reports whether a payout is held by such a rule when the nth deed of a commit is
// done to it. Who lets it pass has it judged at once: after another one's release in the
// same commit it is held by what one of the commit's decisions says.
func (m *Model) heldBy(p *payment, nth int, such func(rule string) bool) bool {
	again := slices.ContainsFunc(m.did[:nth], func(d Deed) bool { return d.What == "payout.release" && d.About == p.ID })
	if !again {
		return p.out.last != nil && such(p.out.last.Stopped)
	}
	return !slices.ContainsFunc(m.judging, func(j *judged) bool { return j.p == p && !such(j.d.Stopped) })
}

// deed follows what an operator has done, the nth of a commit: nobody does it whom nobody asked, nobody
// counts twice, and who has changed what a payout waits for does not approve it.
func (m *Model) deed(d Deed, nth int) {
	p := m.pays[d.About]
	if !m.deeds[d] {
		m.fault("%s has done %s to %s, and never asked for it", d.Who, d.What, d.About)
	}
	if p == nil || p.Type != "payout" {
		return
	}
	o := p.out
	edits := func() {
		o.editor = d.Who
		o.approved = slices.DeleteFunc(o.approved, func(who string) bool { return who == d.Who })
	}
	switch d.What {
	case "payout.approve":
		if d.Who == o.editor || slices.Contains(o.approved, d.Who) {
			m.fault("%s approves payout %s, and has had a hand in it before (security S09)", d.Who, p.ID)
		}
		o.approved = append(o.approved, d.Who)
	case "payout.release":
		edits()
		if !o.manual && m.heldBy(p, nth, func(rule string) bool { return rule == "exclusion" }) && !slices.Contains(m.s.Rules.Officers, d.Who) {
			m.fault("%s lets payout %s of an excluded customer pass, and must not (limits 1.3)", d.Who, p.ID)
		}
		if !o.manual && m.heldBy(p, nth, func(rule string) bool { return strings.HasPrefix(rule, "A") }) && !slices.Contains(m.s.Rules.Analysts, d.Who) {
			m.fault("%s lets payout %s pass, which %s stops, and must not (limits 3.6)", d.Who, p.ID, o.last.Stopped)
		}
		o.freed = o.freed || !o.manual
		o.manual = false
	case "payout.hold":
		edits()
		o.manual = true
	case "payout.reject", "payout.cancel":
		edits()
	}
	m.made["payout: an operator's "+d.What]++
}

// count is what a payout must be judged on now: each figure counted from the history.
func (m *Model) count(p *payment, d Decision) map[string]string {
	var ever, in180, in30, inDay, newest int64
	requests := int64(1) // with the one that is asked for now; one that has waited counts like any other
	if d.Reserved && p.CreatedUS <= d.AtUS-dayUS {
		requests = 0
	}
	for _, q := range m.pays {
		if q == p || q.Customer != p.Customer || q.Currency != p.Currency {
			continue
		}
		if q.Type != "payout" {
			newest = max(newest, q.cameUS)
			continue
		}
		minor, atUS := q.Minor, q.CreatedUS
		if q.out.begun && q.CreatedUS > d.AtUS-dayUS {
			requests++ // whatever became of it
		}
		switch {
		case !q.out.begun:
			continue
		case q.out.endUS != 0:
			minor, atUS = q.Captured, q.out.endUS
			if minor == 0 {
				continue
			}
		}
		counts := func(days int64) int64 {
			if q.out.endUS == 0 || atUS > d.AtUS-days*dayUS {
				return minor
			}
			return 0
		}
		ever, in180, in30, inDay = ever+minor, in180+counts(180), in30+counts(30), inDay+counts(1)
	}
	deposits, stakes, depositedEver, stakedEver := m.turnover(p.Customer)
	n := map[string]int64{
		"level": m.levelAt(p.Customer, d.AtUS), "what was ever paid out": ever, "what was paid out in 180 days": in180,
		"what was paid out in 30 days": in30, "what was paid out in a day": inDay, "payouts in a day": requests, "the bonus": -m.accounts[m.purse(p.Customer, "bonus", p.Currency)],
		"deposits since the last payout": deposits, "stakes since the last payout": stakes, "the newest deposit": newest,
		"deposits ever": depositedEver, "stakes ever": stakedEver,
		"approvals": int64(len(p.out.approved)), "what is available": -m.accounts[m.purse(p.Customer, "available", p.Currency)],
	}
	texts := map[string]string{"restriction": m.restrictionAt(p.Customer, d.AtUS)}
	for name, minor := range n {
		texts[name] = fmt.Sprint(minor)
	}
	return texts
}

// said are the same figures as the decision has them.
func (d Decision) said() map[string]string {
	n := map[string]int64{
		"level": d.Level, "what was ever paid out": d.PaidEver, "what was paid out in 180 days": d.Paid180, "what was paid out in 30 days": d.Paid30,
		"what was paid out in a day": d.Day, "payouts in a day": d.Requests, "the bonus": d.Bonus, "deposits since the last payout": d.Deposits,
		"deposits ever": d.DepositedEver, "stakes ever": d.StakedEver,
		"stakes since the last payout": d.Stakes, "the newest deposit": d.LastDeposit, "approvals": d.Approvals, "what is available": d.Available,
	}
	texts := map[string]string{"restriction": d.Restriction}
	for name, minor := range n {
		texts[name] = fmt.Sprint(minor)
	}
	return texts
}

// turnover counts a customer's deposits and stakes since they were last paid out, but for
// what was judged when that was let go; and all of them. What a rollback gives back was
// staked some time.
func (m *Model) turnover(customer string) (deposits, stakes, in, out int64) {
	for _, x := range m.past[customer] {
		switch x.kind {
		case "deposit":
			deposits, in = deposits+x.minor, in+x.minor
		case "stake":
			stakes, out = stakes+x.minor, out+x.minor
		case "back":
			stakes, out = max(0, stakes-x.minor), max(0, out-x.minor)
		case "paid":
			deposits, stakes = min(deposits, max(0, in-x.in)), min(stakes, max(0, out-x.out))
		}
	}
	return deposits, stakes, in, out
}

func (m *Model) remember(customer, currency, kind string, minor int64) {
	if m.s.Rules != nil && currency == m.s.Rules.Currency && minor != 0 {
		m.past[customer] = append(m.past[customer], pastMove{kind: kind, minor: minor})
	}
}

// levelAt is a customer's level: the highest of the checks that they have passed and that
// hold. Of those of one level the newest counts alone.
func (m *Model) levelAt(customer string, atUS int64) int64 {
	level := int64(0)
	for _, x := range m.newestOf[customer] {
		if x = m.checks[x.ID]; x.State == "passed" && (x.UntilUS == 0 || atUS < x.UntilUS) {
			level = max(level, x.Level)
		}
	}
	return level
}

// lookDecisions notes what the figures of the commit's decisions are by now.
func (m *Model) lookDecisions() {
	for _, j := range m.judging {
		for name, text := range m.count(j.p, j.d) {
			if j.seen[name] == nil {
				j.seen[name] = map[string]bool{}
			}
			j.seen[name][text] = true
		}
	}
	for a := range m.licensed.waiting {
		m.lookPayout(a)
	}
}

// lookPayout notes what is so now for a request that is on its way.
func (m *Model) lookPayout(a *AskedPayout) {
	if a.bonus = a.bonus || -m.accounts[m.purse(a.Customer, "bonus", a.Currency)] > 0; m.s.Rules.DayMost == 0 || a.over {
		return
	}
	d := Decision{AtUS: m.latestUS - aheadUS}
	var day int64
	_, _ = fmt.Sscan(m.count(&payment{Payment: Payment{Customer: a.Customer, Currency: a.Currency}, out: &out{}}, d)["what was paid out in a day"], &day)
	a.over = day+a.Minor > m.s.Rules.DayMost
}

// hit is a rule that stops a payout.
type hit struct{ check, rule, action string }

// strength orders what rules say.
var strength = []string{"allow", "review", "step_up", "hold", "decline"}

// judge says what becomes of a payout of an amount on the figures of a decision: the
// first check that stops it decides, and in it the strongest rule.
func (r *Rules) judge(minor int64, d Decision) (action, check, stopped string) {
	free := func(rule string) bool { return slices.Contains(strings.Fields(d.Released), rule) }
	var hits []hit
	stops := func(check, rule, action string, when bool) {
		if when && !(action == "hold" && free(rule)) {
			hits = append(hits, hit{check, rule, action})
		}
	}
	left := d.Available
	if !d.Reserved {
		left -= minor
	}
	stops("state", "exclusion", "hold", d.Restriction == "operator_excluded" || d.Restriction == "registry_excluded")
	stops("state", "frozen", "hold", d.Restriction == "frozen")
	stops("state", "closed", "decline", d.Restriction == "closed" && left > 0)
	stops("state", "open_cases", "hold", d.Reviews > 0)
	stops("kyc", "level", "step_up", !r.pays(d, minor))
	if !d.Again {
		stops("balance", "withdrawable", "decline", !d.Reserved && minor > d.Available)
		stops("wagering", "bonus", "decline", !d.Reserved && d.Bonus > 0)
		stops("wagering", "A04", "hold", (d.Deposits*r.Turnover+999)/1000 > d.Stakes)
		stops("route", "A07", "hold", d.Elsewhere > 0)
	}
	stops("limits", "payout_max", "decline", r.Most != 0 && minor > r.Most)
	stops("limits", "payout_day", "decline", r.DayMost != 0 && d.Day+minor > r.DayMost)
	stops("rules", "V10", "hold", d.Requests > r.Requests)
	stops("rules", "P04", "hold", r.FreshUS > 0 && d.LastDeposit > 0 && d.AtUS-d.LastDeposit < r.FreshUS)
	if !d.Again {
		needed := int64(0)
		if minor > r.Manual {
			needed = 1
		}
		if minor > r.Dual {
			needed = 2
		}
		stops("approval", "approval", "hold", d.Approvals < needed)
	}
	if len(hits) == 0 {
		return "allow", "", ""
	}
	first := hits[0]
	for _, h := range hits {
		if h.check == first.check && slices.Index(strength, h.action) > slices.Index(strength, first.action) {
			first = h
		}
	}
	by := "" // whose it is to let it pass
	if first.action == "hold" {
		by = whose(first.rule)
	}
	var rules []string
	for _, h := range hits {
		free := h.rule == "exclusion" || len(h.rule) == 3 // of the catalogue: a person may let them pass
		if h.action == "hold" && free && whose(h.rule) == by {
			rules = append(rules, h.rule)
		}
	}
	slices.Sort(rules)
	return first.action, first.check, strings.Join(rules, " ")
}

// whose says which people let a rule pass: each kind of rule has its own.
func whose(rule string) string {
	switch {
	case rule == "exclusion":
		return "officers"
	case rule == "frozen":
		return "nobody"
	case strings.HasPrefix(rule, "A"):
		return "analysts"
	}
	return ""
}

// pays reports whether a customer's level is enough.
func (r *Rules) pays(d Decision, minor int64) bool {
	b := r.Levels[d.Level]
	sum := minor + map[int64]int64{0: d.PaidEver, 30: d.Paid30, 180: d.Paid180}[b.Days]
	return b.Kind == "agreed" || b.Kind == "up_to" && sum <= b.Minor || b.Kind == "below" && sum < b.Minor
}

// endChecked holds what a commit has decided against what had to be decided, and what it
// has sent against what was decided.
func (m *Model) endChecked(c Commit) {
	if m.s.Rules == nil {
		return
	}
	for _, j := range m.judging {
		m.decided(j)
	}
	for _, k := range m.sent {
		m.sentPart(m.atts[k])
	}
	for _, row := range c.Payments {
		if p := m.pays[row.ID]; m.checked(p) && p.out.sentUS != 0 {
			if may := m.standings(p); !slices.Contains(may, p.Status) {
				m.fault("payout %s is %s, its parts make it %v (L15)", m.called(p), p.Status, may)
			}
		}
	}
	m.judging = nil
}

func (m *Model) called(p *payment) string {
	return fmt.Sprintf("%q (%s) of %s", p.Name, p.ID, p.Customer)
}

// decided follows one decision.
func (m *Model) decided(j *judged) {
	p, d := j.p, j.d
	for name, text := range d.said() {
		if !j.seen[name][text] {
			m.fault("payout %s was judged on %s: %s, which was %v (limits 4)", m.called(p), name, text, keys(j.seen[name]))
		}
	}
	o := p.out
	for _, rule := range strings.Fields(d.Released) {
		if !o.freed || !o.stopped[rule] {
			m.fault("payout %s was judged without %s, which nobody has let pass (limits 4.9)", m.called(p), rule)
		}
	}
	if o.last != nil && o.last.Elsewhere != d.Elsewhere && !d.Again {
		m.fault("payout %s sends %d elsewhere, and sent %d (limits 4.6)", m.called(p), d.Elsewhere, o.last.Elsewhere)
	}
	if d.Reviews != 0 {
		m.fault("payout %s was judged on %d open cases, and there are none (limits 4.2)", m.called(p), d.Reviews)
	}
	action, check, stopped := m.s.Rules.judge(p.Minor, d)
	if d.Action != action || d.Check != check || d.Stopped != stopped {
		m.fault("payout %s of %d was judged as %s by %q (%s), must be %s by %q (%s), on %+v (limits 4)",
			m.called(p), p.Minor, d.Action, d.Check, d.Stopped, action, check, stopped, d)
	}
	for _, rule := range strings.Fields(stopped) {
		o.stopped[rule] = true
	}
	o.last = &d
	if !d.Again {
		o.full = d
	}
	m.made["payout: judged as "+action]++
}

func keys(of map[string]bool) []string {
	var out []string
	for k := range of {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// decidedNow reports whether the commit has decided so on the step's payout.
func (s *step) decidedNow(action string) bool {
	return slices.ContainsFunc(s.m.judging, func(j *judged) bool { return j.p == s.p && j.d.Action == action })
}

// didNow reports whether somebody has done so to it in the commit.
func (s *step) didNow(what string) bool {
	return slices.ContainsFunc(s.m.did, func(d Deed) bool { return d.What == what && d.About == s.p.ID })
}

// Money.

// partAhead follows the next transfer if it is of a payout that is checked.
func (m *Model) partAhead() bool {
	t := m.ahead[0]
	o := m.ops[t.Operation]
	if o == nil || !m.checked(m.pays[o.Payment]) {
		return false
	}
	m.ahead = m.ahead[1:]
	p := m.pays[o.Payment]
	s := &step{m: m, p: p, op: o, a: m.newest(o)}
	move := Transfer{Minor: o.Minor}
	switch {
	case t.Credit.Purpose == "reserved":
		if o.held || o.Status != "processing" || s.free() < o.Minor {
			m.fault("%d of payout %s are reserved: held %t, %s, %d are there (limits 4.4)", o.Minor, m.called(p), o.held, o.Status, s.free())
		}
		o.held = true
		move.Debit, move.Credit = s.payee(), s.reserved()
	case t.Credit.Purpose == "available":
		m.givesBack(s)
		move.Debit, move.Credit = s.reserved(), s.payee()
	default:
		if s.a == nil || !s.a.paid() || s.a.booked || !o.held {
			m.fault("a part of %d of payout %s is booked as paid, held %t, and its provider has not said so (L3.2, L15)", o.Minor, m.called(p), o.held)
			return false
		}
		s.a.booked, o.held, o.Status = true, false, "success"
		p.Captured += o.Minor
		move.Debit, move.Credit = s.reserved(), s.clearing()
		m.made["payout: a part is paid"]++
	}
	m.settle([]Transfer{move})
	m.pay(move)
	m.lookAll()
	m.lookDecisions()
	return true
}

// givesBack: a part is the customer's again. Its provider has said no, or never took it,
// or nobody has asked.
func (m *Model) givesBack(s *step) {
	switch {
	case !s.op.held:
		m.fault("a part of %d of payout %s is given back, and was not reserved (limits 4.4)", s.op.Minor, m.called(s.p))
	case s.a != nil && !m.no(s.a):
		m.fault("a part of %d of payout %s is given back without its provider's no, or proof that it did not take it (L15)", s.op.Minor, m.called(s.p))
	case s.a == nil:
		s.p.out.gone = true
	}
	for _, o := range s.op.attempts {
		for _, said := range m.atts[o].heard {
			if said.Kind == "declined" && said.Unusable {
				m.unusable[[2]string{s.p.Customer, s.op.token}] = true
			}
		}
	}
	s.op.held, s.op.Status = false, "decline"
	s.p.Refunded += s.op.Minor
	m.made["payout: a part is given back"]++
}

// newest is an operation's last attempt; nil: nobody was asked.
func (m *Model) newest(o *operation) *attempt {
	if len(o.attempts) == 0 {
		return nil
	}
	return m.atts[o.attempts[len(o.attempts)-1]]
}

// partSent: a part is asked for once, and again only where it is proved that its provider
// did not take it (L15).
func (m *Model) partSent(a Attempt, o *operation) {
	if before := m.newest(o); before != nil && !m.notTaken(before) {
		m.fault("another attempt at the %s, without proof that it was not taken (L15)", m.name(before))
	}
	m.sent = append(m.sent, a.ID)
}

// sentPart: what is sent was let go by the last decision, which is not too old, and goes
// where it was to go.
func (m *Model) sentPart(a *attempt) {
	o := m.ops[a.Operation]
	p := m.pays[a.Payment]
	last := p.out.last
	switch {
	case o.token != a.Token:
		m.fault("%s goes to %q, must go to %q (limits 4.6)", m.name(a), a.Token, o.token)
	case last == nil || last.Action != "allow":
		m.fault("%s is sent, and was not let go: %+v (limits 4)", m.name(a), last)
	case a.sinceUS-last.AtUS > m.s.Rules.RecheckUS:
		m.fault("%s is sent %d us after it was let go (limits 4, last line)", m.name(a), a.sinceUS-last.AtUS)
	case len(o.attempts) > 8:
		m.fault("%s is sent for the %d. time (docs/payouts.md)", m.name(a), len(o.attempts))
	}
	if p.out.sentUS == 0 {
		p.out.sentUS = a.sinceUS
	}
	if len(o.attempts) > 1 {
		m.made["payout: a part is sent again"]++
	}
}

// standings are where a payout may stand of which something was sent.
func (m *Model) standings(p *payment) []string {
	open, flying, unknown := false, false, false
	for _, k := range p.out.parts {
		o := m.ops[k]
		if o.Status != "processing" {
			continue
		}
		open = true
		if a := m.newest(o); a != nil && a.Status != "not_sent" {
			flying = true
			unknown = unknown || a.Status == "unknown"
		}
	}
	switch {
	case !open && p.Captured == 0:
		return []string{"failed"}
	case !open:
		return []string{"paid"}
	case p.Captured > 0:
		return []string{"partially_paid"}
	case unknown:
		return []string{"unknown"}
	case flying:
		return []string{"submitting", "unknown"} // one that was lost and is found stays so until it ends
	}
	return []string{"deferred"}
}

// Sources.

// source is what one instrument of a customer has paid in and got back.
type source struct {
	token, kind, id string
	firstUS, left   int64 // left to go back to it
	usable          bool
}

// sources counts a customer's, but for one payout, in the order in which money goes back.
func (m *Model) sources(customer string, but *payment) []*source {
	var all []*source
	at := func(token, kind string) *source {
		n := slices.IndexFunc(all, func(s *source) bool { return s.token == token })
		if n < 0 {
			who := [2]string{customer, token}
			all = append(all, &source{token: token, kind: kind, id: m.instruments[who], usable: !m.unusable[who]})
			n = len(all) - 1
		}
		return all[n]
	}
	for _, p := range m.pays {
		if p.Customer != customer || p.Currency != m.s.Rules.Currency || p.Type == "payout" || p.Captured == 0 {
			continue
		}
		s := at(p.token, p.kind)
		s.left += p.Captured - p.Refunded - p.Refunding
		if s.firstUS == 0 || p.cameUS < s.firstUS {
			s.firstUS = p.cameUS
		}
	}
	for _, p := range m.pays {
		if p.Customer != customer || p.Type != "payout" || p == but || !p.out.begun {
			continue
		}
		for _, k := range p.out.parts {
			if o := m.ops[k]; o.Status != "decline" {
				at(o.token, m.s.Rules.Unnamed).left -= o.Minor // one that has never paid in is one that nobody names
			}
		}
	}
	slices.SortFunc(all, bySource)
	return all
}

func bySource(a, b *source) int {
	group := func(s *source) int { return slices.Index([]string{"card", "wallet", "bank"}, s.kind) }
	never := func(s *source) int {
		if s.firstUS == 0 {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(group(a), group(b)), cmp.Compare(never(a), never(b)), cmp.Compare(a.firstUS, b.firstUS), strings.Compare(a.id, b.id))
}

// share is a part of a payout, before it is an operation.
type share struct {
	token string
	minor int64
}

// split divides a payout over sources (limits-and-risk.md section 4.6). elsewhere is what
// goes where it did not come from since that takes none.
func (m *Model) split(minor int64, all []*source) (parts []share, elsewhere, left int64) {
	left = minor
	stuck := int64(0)
	add := func(token string, minor int64) {
		if n := slices.IndexFunc(parts, func(p share) bool { return p.token == token }); n >= 0 {
			parts[n].minor += minor
		} else {
			parts = append(parts, share{token, minor})
		}
	}
	find := func(fits func(*source) bool) *source {
		if n := slices.IndexFunc(all, func(s *source) bool { return s.usable && fits(s) }); n >= 0 {
			return all[n]
		}
		return nil
	}
	for _, s := range all {
		back := min(left, max(0, s.left))
		left -= back
		switch {
		case back == 0:
		case s.usable:
			add(s.token, back)
		default:
			stuck += back
		}
	}
	bank := find(func(s *source) bool { return s.firstUS > 0 && s.kind == "bank" })
	if stuck > 0 && bank != nil {
		add(bank.token, stuck)
		elsewhere = stuck
	} else {
		left += stuck
	}
	if left == 0 {
		return parts, elsewhere, 0
	}
	takes := func(s *source) bool { return s.kind != "card" || m.s.Rules.Beyond }
	to := cmp.Or(
		bank, find(func(s *source) bool { return s.firstUS > 0 && s.kind == "wallet" }), find(func(s *source) bool { return s.firstUS > 0 && takes(s) }), find(takes))
	if to == nil {
		return parts, elsewhere, left
	}
	add(to.token, left)
	if to.firstUS == 0 || stuck > 0 && elsewhere == 0 {
		elsewhere += left
	}
	return parts, elsewhere, 0
}

// opens: the parts of a payout that begins are its shares, in their order.
func (m *Model) opens(p *payment) {
	all := m.sources(p.Customer, p)
	parts, elsewhere, left := m.split(p.Minor, all)
	if left > 0 { // by the way that the merchant's method goes
		if !slices.ContainsFunc(all, func(s *source) bool { return s.token == "" }) {
			all = append(all, &source{kind: m.s.Rules.Unnamed, usable: !m.unusable[[2]string{p.Customer, ""}]})
			slices.SortFunc(all, bySource)
		}
		parts, elsewhere, left = m.split(p.Minor, all)
	}
	slices.SortFunc(p.out.parts, func(a, b string) int { return cmp.Compare(m.ops[a].Number, m.ops[b].Number) })
	var are []int64
	for n, k := range p.out.parts {
		are = append(are, m.ops[k].Minor)
		if n < len(parts) {
			m.ops[k].token = parts[n].token
		}
	}
	if !slices.EqualFunc(parts, are, func(s share, minor int64) bool { return s.minor == minor }) || left != 0 {
		m.fault("payout %s of %d is split into %v, must be %v with %d left (limits 4.6)", m.called(p), p.Minor, are, parts, left)
	}
	if len(parts) > 1 {
		m.made["payout: split"]++
	}
	for _, j := range m.judging {
		if j.p == p && !j.d.Again && j.d.Elsewhere != elsewhere {
			m.fault("payout %s sends %d elsewhere, must be %d (limits 4.6)", m.called(p), j.d.Elsewhere, elsewhere)
		}
	}
}

// checkedSteps are counted beside the moves of the table.
var checkedSteps = []string{
	"judged as allow", "judged as step_up", "judged as hold", "split", "a part is paid", "a part is given back", "a part is sent again",
	"an operator's payout.approve", "an operator's payout.release", "an operator's payout.hold", "an operator's payout.reject", "an operator's payout.cancel",
	RefusedBonus, RefusedDay, RefusedMost,
}

// Steps.

var (
	unsent = []string{"requested", "step_up", "hold", "deferred"}
	under  = []string{"submitting", "unknown", "deferred", "partially_paid"}
	isOut  = need{"being a payout that rules look at", func(s *step) bool { return s.m.checked(s.p) }}
	notYet = need{"nothing of it to be sent", func(s *step) bool { return s.p.out.sentUS == 0 }}
	begun  = need{"something of it to be sent", func(s *step) bool { return s.p.out.sentUS != 0 }}
	missed = need{"three payouts that were not taken or answered", func(s *step) bool { return s.m.missed >= 3 }}
	ended  = need{"all parts to have ended", func(s *step) bool { return s.ended() }}
)

func (s *step) ended() bool {
	return !slices.ContainsFunc(s.p.out.parts, func(k string) bool { return s.m.ops[k].Status == "processing" })
}

func decided(action string) need {
	return need{"a decision to " + action, func(s *step) bool { return s.decidedNow(action) }}
}

func done(what string) need {
	return need{"an operator's " + what, func(s *step) bool { return s.didNow(what) }}
}

// checkedMoves is every step of a payout that rules look at (L15: Payout).
var checkedMoves = []move{
	{event: "payout.step_up", from: unsent, to: []string{"step_up"}, why: "limits 4.3", needs: []need{isOut, notYet, decided("step_up")}, does: nothing},
	{event: "payout.on_hold", from: unsent, to: []string{"hold"}, why: "limits 4", needs: []need{isOut, notYet, decided("hold")}, does: nothing},
	{
		event: "payout.on_hold", from: []string{"step_up", "deferred"}, to: []string{"hold"}, why: "docs/payouts.md: hold",
		needs: []need{isOut, notYet, done("payout.hold")}, does: nothing,
	},
	{
		event: "payout.deferred", from: unsent, to: []string{"deferred"}, why: "limits 4.10",
		needs: []need{isOut, notYet, decided("allow"), missed}, does: nothing,
	},
	{
		event: "payout.deferred", from: []string{"submitting", "unknown"}, to: []string{"deferred"}, why: "limits 4.10: it was not taken",
		needs: []need{isOut, begun, {"a part that waits", func(s *step) bool { return !s.ended() }}}, does: nothing,
	},
	{event: "payout.pending", from: unsent, to: []string{"submitting"}, why: "limits 4.11", needs: []need{isOut, notYet, decided("allow")}, does: nothing},
	{event: "payout.pending", from: []string{"deferred"}, to: []string{"submitting"}, why: "limits 4.11: again", needs: []need{isOut, begun}, does: nothing},
	{
		event: "payout.unknown", from: []string{"submitting", "deferred"}, to: []string{"unknown"}, why: "L15: unknown is not no",
		needs: []need{isOut, {"a lost answer, or a process that died or was silent for its lease", func(s *step) bool {
			return s.a != nil && mayBeLost(s.m, s.a, s.e.AtUS)
		}}}, does: nothing,
	},
	{
		event: "payout.partially_paid", from: under, to: []string{"partially_paid"}, why: "limits 4.6",
		needs: []need{isOut, begun, {"a part that is paid, and one that is open", func(s *step) bool { return s.p.Captured > 0 && !s.ended() }}}, does: nothing,
	},
	{
		event: "payout.paid", from: under, to: []string{"paid"}, why: "L3.2, L15",
		needs: []need{isOut, begun, ended, {"a part that is paid", func(s *step) bool { return s.p.Captured > 0 }}}, does: ends,
	},
	{
		event: "payout.failed", from: under, to: []string{"failed"}, why: "L15, design 5: failed, back",
		needs: []need{isOut, begun, ended, {"no part that is paid", func(s *step) bool { return s.p.Captured == 0 }}}, does: ends,
	},
	{
		event: "payout.failed", from: unsent, to: []string{"failed"}, why: "docs/payouts.md: reject",
		needs: []need{isOut, notYet, ended, done("payout.reject")}, does: ends,
	},
	{
		event: "payout.failed", from: unsent, to: []string{"failed"}, why: "limits 4",
		needs: []need{isOut, notYet, ended, {"a decision to decline, or one to allow where nothing takes it and nothing may wait", func(s *step) bool {
			return s.decidedNow("decline") || s.decidedNow("allow") && missed.holds(s) && !s.m.s.Rules.Defer
		}}}, does: ends,
	},
	{
		event: "payout.cancelled", from: []string{"step_up", "hold", "deferred"}, to: []string{"cancelled"}, why: "limits 3.4",
		needs: []need{isOut, notYet, ended, done("payout.cancel"), {"rules that take it", func(s *step) bool { return s.m.s.Rules.Cancel }}}, does: ends,
	},
}

func nothing(*step) {}

// ends: what was paid ends the span over which turnover is asked for.
func ends(s *step) {
	s.p.out.endUS = s.e.AtUS
	if s.p.Captured != 0 {
		s.m.past[s.p.Customer] = append(s.m.past[s.p.Customer], pastMove{"paid", s.p.Captured, s.p.out.full.DepositedEver, s.p.out.full.StakedEver})
	}
}

// endOut: a payout that was checked has ended, with all of its money paid or back.
func (m *Model) endOut(p *payment) {
	if !slices.Contains([]string{"paid", "failed", "cancelled"}, p.Status) {
		m.fault("payout %s is %s in the end (L15)", m.called(p), p.Status)
	}
	if p.Captured+p.Refunded != p.Minor {
		m.fault("payout %s of %d has %d paid and %d back in the end (limits 4.4)", m.called(p), p.Minor, p.Captured, p.Refunded)
	}
	for _, k := range p.out.parts {
		if o := m.ops[k]; o.Status == "processing" || o.seen != o.Status {
			m.fault("part %s of payout %s is stored as %s in the end, must be %s (L15)", k, m.called(p), o.seen, o.Status)
		}
	}
}
