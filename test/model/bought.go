package model

import (
	"fmt"
	"slices"
	"time"
)

// What Google buys from linked wallets (google-tokenized-fop.md sections 1.5, 3 and 4):
// a call is done once under its name, money moves with it or not at all, a decline has a
// reason that was so, no more goes back than was taken, and Google hears how a purchase
// ended that had waited.

// Google is what the integration says. A bound of 0 is none.
type Google struct {
	Owner            string // of the account that takes the money
	Limited          string // the currency that has bounds
	Least, Most      int64  // of one purchase
	Day, Month       int64  // with one link, of UTC
	AsyncUS, TokenUS int64  // how long a purchase waits, and how long a token is good; 0: for ever
}

// Call is one of Google's calls: of a kind, which is its method. Both ways to capture
// share their names. Of a refund Capture is the name of what is given back, and whose it
// is follows from that.
type Call struct {
	Kind, Name, Body         string
	Customer, Link, Currency string // Link is Google's public name of it
	Minor                    int64
	Capture, Proof           string
}

// CallRow is a row of a call that was answered.
type CallRow struct {
	ID, Kind, Name, Account       string
	Customer, Link                string // Link is the row's id
	State, Result, Answer         string
	Currency, Transfer            string
	About, Proven                 string // the capture's row; the proof's
	Minor, Refunded               int64
	CreatedUS, ChangedUS, UntilUS int64
}

// LinkRow is a row of a link.
type LinkRow struct {
	ID, Name, Customer string
	Open               bool
	ExpiresUS          int64
}

// ToldRow is a row of what Google must hear: how a call has ended.
type ToldRow struct{ ID, About, Method, Result string }

// AskedCall is a call that is on its way, and what was so at any time since.
type AskedCall struct {
	Call
	known bool  // it was made before
	short bool  // the customer had not got so much
	left  int64 // of the capture that is given back, when it was asked; -1: it was not there, or had taken nothing
	there bool  // the capture was there
}

// Why a call may be refused, which leaves nothing.
const (
	RefusedOther       = "another call of that name"
	RefusedTaken       = "a token that is taken"
	RefusedProof       = "no such proof"
	RefusedNoCapture   = "no such capture"
	RefusedNotCaptured = "the capture took no money"
	RefusedOver        = "more than is left"
)

// googleSteps are counted beside the moves of the table.
var googleSteps = []string{
	"associateAccount", "refreshToken", "capture", "asynchronousCapture", "asynchronousCapture taken", "refund", "the first answer again", "a link closed",
	"captureResultNotification", "refundResultNotification",
	"INSUFFICIENT_FUNDS", "GOOGLE_PAYMENT_TOKEN_INVALIDATED_BY_USER", "TOKEN_REFRESH_REQUIRED", "ACCOUNT_DOES_NOT_SUPPORT_CURRENCY", "CHARGE_UNDER_LIMIT",
	"CHARGE_EXCEEDS_TRANSACTION_LIMIT", "CHARGE_EXCEEDS_DAILY_LIMIT", "CHARGE_EXCEEDS_MONTHLY_LIMIT", "RISK_DECLINED", "NO_MONEY_LEFT_ON_TRANSACTION",
	RefusedOther, RefusedTaken, RefusedProof, RefusedNoCapture, RefusedNotCaptured, RefusedOver,
}

// bought is the model's knowledge of Google's calls.
type bought struct {
	wantedCalls map[string][]Call // by name: all bodies
	onWay       map[*AskedCall]bool
	byRow       map[string]*madeCall
	byCall      map[string]*madeCall // by name
	links       map[string]*madeLink // by row
	closing     map[string]bool      // links that their customer wants closed, by Google's name
	agreed      map[string]map[bool]bool
	provingUS   map[string]int64 // by redirect: when its customer was first to be proved
	proven      map[string]string
	used        map[string]bool // redirects, by calls that ended well
	toldOf      map[string]ToldRow
	took, given map[string]int64 // by a capture's row: what it took, and what was given back of it

	// Of the commit that is being followed.
	coming   map[string]CallRow
	hadPurse map[AccountName]bool
	movedNow map[string]bool    // calls whose money it has moved
	before   map[string]LinkRow // links that it changes, as they were
}

// madeCall is a call that was committed.
type madeCall struct {
	CallRow
	body   Call   // that was done
	bodies []Call // that it may be: those that differ only in what no row says, until one is answered
	lost   bool   // an asynchronous purchase that is declined whatever its customer says
}

// madeLink is a link, and what was bought with it on the newest day and in its month, in the currency that is limited.
type madeLink struct {
	LinkRow
	day, month     string
	inDay, inMonth int64
}

func newBought() bought {
	return bought{
		wantedCalls: map[string][]Call{}, onWay: map[*AskedCall]bool{}, byRow: map[string]*madeCall{}, byCall: map[string]*madeCall{}, links: map[string]*madeLink{},
		closing: map[string]bool{}, agreed: map[string]map[bool]bool{}, provingUS: map[string]int64{}, proven: map[string]string{}, used: map[string]bool{}, toldOf: map[string]ToldRow{},
		took: map[string]int64{}, given: map[string]int64{},
	}
}

// named is what a call is called: two of one name cannot be.
func (c Call) named() string { return nameOf(c.Kind, c.Name) }

func nameOf(kind, name string) string {
	if kind == "asynchronousCapture" {
		kind = "capture"
	}
	return kind + " " + name
}

func (c Call) String() string { return fmt.Sprintf("Google's %s %q", c.Kind, c.Name) }

func (c Call) captures() bool { return c.Kind == "capture" || c.Kind == "asynchronousCapture" }

// Inputs.

// Proving: a customer is about to be proved on the page, for a redirect.
func (m *Model) Proving(redirect string, atUS int64) {
	if _, known := m.provingUS[redirect]; !known {
		m.provingUS[redirect] = atUS
	}
}

// ClosingLink: a customer wants a link closed.
func (m *Model) ClosingLink(name string) { m.closing[name] = true }

// Said: a customer confirms a purchase that waits, or refuses it.
func (m *Model) Said(name string, agreed bool) {
	if m.agreed[name] == nil {
		m.agreed[name] = map[bool]bool{}
	}
	m.agreed[name][agreed] = true
}

// CallAsked: Google makes a call. One of the three below must follow.
func (m *Model) CallAsked(c Call) *AskedCall {
	a := &AskedCall{Call: c}
	made := m.byCall[c.named()]
	a.known = made != nil && made.is(c)
	if !slices.Contains(m.wantedCalls[c.named()], c) {
		m.wantedCalls[c.named()] = append(m.wantedCalls[c.named()], c)
	}
	if capture := m.byCall[nameOf("capture", c.Capture)]; c.Kind == "refund" && capture != nil {
		a.there, a.left = true, m.left(capture.ID)
	} else {
		a.left = -1
	}
	m.onWay[a] = true
	m.lookCall(a)
	return a
}

// is reports whether it is this body, and no other, that was done.
func (c *madeCall) is(body Call) bool { return len(c.bodies) == 1 && c.bodies[0] == body }

// left is what can be given back of a capture's row; -1: it took nothing.
func (m *Model) left(capture string) int64 {
	if m.took[capture] == 0 {
		return -1
	}
	return m.took[capture] - m.given[capture]
}

// CallUnheard: Google has no answer.
func (m *Model) CallUnheard(a *AskedCall) { delete(m.onWay, a) }

// CallAnswered: Google was answered with 200: the call is there (C2), and its answer is
// always the same (C7).
func (m *Model) CallAnswered(a *AskedCall, row, answer string) {
	delete(m.onWay, a)
	made := m.byCall[a.named()]
	switch {
	case made == nil:
		m.fault("%s was answered as %s, and was never committed (C2)", a.Call, row)
	case !slices.Contains(made.bodies, a.Call):
		m.fault("%s was answered as done, and done was %+v (section 1.5)", a.Call, made.bodies)
	case made.ID != row || made.Answer != answer:
		m.fault("%s was answered as %s with %s; it is %s, first answered with %s (section 1.5)", a.Call, row, answer, made.ID, made.Answer)
	}
	if a.known {
		m.buys("the first answer again")
	}
	if made != nil {
		made.body, made.bodies = a.Call, []Call{a.Call}
	}
}

// CallRefused: Google was told that the call is not done, and why.
func (m *Model) CallRefused(a *AskedCall, why string, atUS int64) {
	delete(m.onWay, a)
	made, capture := m.byCall[a.named()], m.byCall[nameOf("capture", a.Capture)]
	just := false
	switch why {
	case RefusedOther:
		if made != nil {
			made.bodies = slices.DeleteFunc(made.bodies, func(c Call) bool { return c == a.Call })
			just = len(made.bodies) > 0
		}
	case RefusedTaken:
		for _, l := range m.links {
			just = just || l.Name == a.Link
		}
	case RefusedProof:
		since, known := m.provingUS[a.Proof]
		just = !known || m.used[a.Proof] || atUS >= since+proofUS
	case RefusedNoCapture:
		just = !a.there
	case RefusedNotCaptured:
		just = a.left < 0
	case RefusedOver:
		just = capture != nil && m.left(capture.ID) >= 0 && a.Minor > m.left(capture.ID)
	}
	switch {
	case a.known:
		m.fault("%s was refused (%s), and had been made (section 1.5)", a.Call, why)
	case !just:
		m.fault("%s was refused (%s), and nothing was so (section 1.6)", a.Call, why)
	}
	m.buys(why)
}

// proofUS is how long a proof is good.
const proofUS = 15 * 60 * 1_000_000

func (m *Model) buys(step string) { m.made["google: "+step]++ }

// lookCall notes what is so now for a call that is on its way.
func (m *Model) lookCall(a *AskedCall) {
	if !a.short && a.captures() {
		a.short = -m.accounts[m.purse(a.Customer, "available", a.Currency)] < a.Minor
	}
}

// Following.

// beginBought takes in what a commit says of calls and links, before its money is followed.
func (m *Model) beginBought(c Commit) {
	if m.s.Google == nil {
		return
	}
	m.coming, m.hadPurse, m.movedNow, m.before = map[string]CallRow{}, map[AccountName]bool{}, map[string]bool{}, map[string]LinkRow{}
	for _, row := range c.Calls {
		m.coming[row.ID] = row
		n := m.purse(row.Customer, "available", row.Currency)
		if _, had := m.accounts[n]; had {
			m.hadPurse[n] = true
		}
	}
	made := func(kind, link string) bool {
		return slices.ContainsFunc(c.Calls, func(r CallRow) bool { return r.Kind == kind && r.Link == link && r.Result == "SUCCESS" })
	}
	for _, l := range c.Links {
		known := m.links[l.ID]
		switch {
		case known == nil && !made("associateAccount", l.ID):
			m.fault("link %s is made, and no call of this commit links a wallet (section 3.3)", l.Name)
		case known == nil:
			for _, other := range m.links {
				if other.Name == l.Name {
					m.fault("link %s is made twice: as %s and %s (section 3.3)", l.Name, other.ID, l.ID)
				}
			}
		case l.Name != known.Name || l.Customer != known.Customer || l.Open && !known.Open:
			m.fault("link %s is %+v, was %+v", l.Name, l, known.LinkRow)
		case l.ExpiresUS != known.ExpiresUS && !made("refreshToken", l.ID):
			m.fault("the token of link %s is good for longer, and no call refreshes it (section 3.6)", l.Name)
		case known.Open && !l.Open:
			if m.buys("a link closed"); !m.closing[l.Name] {
				m.fault("link %s is closed, and nobody asked for that", l.Name)
			}
		}
		if known == nil {
			m.links[l.ID] = &madeLink{LinkRow: l}
			continue
		}
		m.before[l.ID], known.LinkRow = known.LinkRow, l
	}
}

// googles reports whether a transfer is of a call of Google's.
func googles(t Transfer) bool { return t.Kind == "capture_fop" || t.Kind == "refund_fop" }

// callMove follows the transfer of a call. It is named by the call's row.
func (m *Model) callMove(pairs []Transfer) {
	t := pairs[0]
	row, comes := m.coming[t.Name]
	bodies := m.bodiesOf(row)
	before := m.byRow[t.Name]
	switch {
	case !comes, m.movedNow[t.Name], before != nil && before.State != "waiting":
		m.fault("%s %s moves %s for call %q, which moves no money now (section 1.5)", t.Kind, t.Of, sorted(pairs), t.Name)
	case len(bodies) == 0:
		m.fault("%s %s moves %s, and nobody asked for call %+v (section 1.5)", t.Kind, t.Of, sorted(pairs), row)
	default:
		m.takes(pairs, row, bodies[0])
	}
	m.settle(pairs)
	for _, p := range pairs {
		m.pay(p)
	}
	for _, p := range pairs {
		for _, n := range []AccountName{p.Debit, p.Credit} {
			if bounded(n) && m.accounts[n] > 0 {
				m.fault("%s %s leaves %d in account %+v (design 5)", t.Kind, t.Of, -m.accounts[n], n)
			}
		}
	}
	m.lookAll()
	m.lookDecisions()
}

// takes counts what a call takes or gives back.
func (m *Model) takes(pairs []Transfer, row CallRow, body Call) {
	t := pairs[0]
	m.movedNow[row.ID] = true
	purse := AccountName{Place: t.Debit.Place, Owner: m.owner(row.Customer), Purpose: "available", Currency: row.Currency}
	owed := AccountName{Place: t.Debit.Place, Owner: m.s.Google.Owner, Purpose: "receivable", Currency: row.Currency}
	want, kind := Transfer{Debit: purse, Credit: owed, Minor: row.Minor}, "capture_fop"
	if row.Kind == "refund" {
		want.Debit, want.Credit, kind = owed, purse, "refund_fop"
	}
	if t.Kind != kind || row.Result != "SUCCESS" || row.Transfer != t.Of || sorted(pairs) != sorted([]Transfer{want}) {
		m.fault("%s %s moves %s for call %+v (design 5)", t.Kind, t.Of, sorted(pairs), row)
	}
	if row.Kind == "refund" {
		m.given[row.About] += row.Minor
		if took := m.took[row.About]; m.given[row.About] > took {
			m.fault("%s gives back %d of %d, with what had been given back (section 3.5)", body, m.given[row.About], took)
		}
		return
	}
	m.took[row.ID] = row.Minor
	if why := m.mustDecline(row); why != "" {
		m.fault("%s takes money, and must be declined with %s (section 3.4)", body, why)
	}
	if l := m.links[row.Link]; l != nil && row.Currency == m.s.Google.Limited {
		l.count(row)
	}
}

// bodiesOf gives what was asked for by a row's call.
func (m *Model) bodiesOf(row CallRow) []Call {
	var out []Call
	for _, c := range m.wantedCalls[nameOf(row.Kind, row.Name)] {
		l := m.links[row.Link]
		fits := c.Kind == row.Kind && c.Minor == row.Minor && c.Currency == row.Currency
		if c.Kind == "refund" {
			fits = fits && m.rowNamed(row.About) == nameOf("capture", c.Capture)
		} else {
			fits = fits && c.Customer == row.Customer && (l == nil || l.Name == c.Link)
		}
		if fits {
			out = append(out, c)
		}
	}
	return out
}

// rowNamed is what the call of a row is called.
func (m *Model) rowNamed(k string) string {
	if made := m.byRow[k]; made != nil {
		return made.body.named()
	}
	return nameOf(m.coming[k].Kind, m.coming[k].Name)
}

// at gives what was bought with a link as it counts at an instant. A day that has begun
// is not taken back.
func (l *madeLink) at(us int64) (day, month string, inDay, inMonth int64) {
	now := time.UnixMicro(us).UTC()
	day, month = now.Format("20060102"), now.Format("200601")
	switch {
	case day <= l.day:
		return l.day, l.month, l.inDay, l.inMonth
	case month == l.month:
		return day, month, 0, l.inMonth
	}
	return day, month, 0, 0
}

func (l *madeLink) count(row CallRow) {
	l.day, l.month, l.inDay, l.inMonth = l.at(row.ChangedUS)
	l.inDay, l.inMonth = l.inDay+row.Minor, l.inMonth+row.Minor
}

// declines are all results with which a purchase may be declined for what its link was.
func (m *Model) declines(row CallRow, is LinkRow) []string {
	g, l := m.s.Google, m.links[row.Link]
	_, _, inDay, inMonth := l.at(row.ChangedUS)
	limited := row.Currency == g.Limited
	var out []string
	for why, so := range map[string]bool{
		"GOOGLE_PAYMENT_TOKEN_INVALIDATED_BY_USER": !is.Open,
		"TOKEN_REFRESH_REQUIRED":                   is.ExpiresUS != 0 && row.ChangedUS >= is.ExpiresUS,
		"ACCOUNT_DOES_NOT_SUPPORT_CURRENCY":        row.Result != "SUCCESS" && !m.hadPurse[m.purse(row.Customer, "available", row.Currency)],
		"CHARGE_UNDER_LIMIT":                       limited && row.Minor < g.Least,
		"CHARGE_EXCEEDS_TRANSACTION_LIMIT":         limited && g.Most > 0 && row.Minor > g.Most,
		"CHARGE_EXCEEDS_DAILY_LIMIT":               limited && g.Day > 0 && inDay+row.Minor > g.Day,
		"CHARGE_EXCEEDS_MONTHLY_LIMIT":             limited && g.Month > 0 && inMonth+row.Minor > g.Month,
	} {
		if so {
			out = append(out, why)
		}
	}
	slices.Sort(out)
	return out
}

// mustDecline gives why a purchase cannot have been taken, with its link as it was before
// the commit and as it is after it; "" if it can. Who of a commit was first is not seen.
func (m *Model) mustDecline(row CallRow) string {
	l := m.links[row.Link]
	if l == nil {
		return "no such link"
	}
	if was, changed := m.before[row.Link]; changed && len(m.declines(row, was)) == 0 {
		return ""
	}
	if why := m.declines(row, l.LinkRow); len(why) > 0 {
		return why[0]
	}
	return ""
}

// mayDecline reports whether a purchase may have been declined so; "" is with anything.
func (m *Model) mayDecline(row CallRow, why string) bool {
	l := m.links[row.Link]
	if l == nil {
		return false
	}
	all := m.declines(row, l.LinkRow)
	if was, changed := m.before[row.Link]; changed {
		all = append(all, m.declines(row, was)...)
	}
	return slices.Contains(all, why) || why == "" && len(all) > 0
}

// endBought follows the rows of calls, when the money of the commit is followed.
func (m *Model) endBought(c Commit) {
	if m.s.Google == nil {
		return
	}
	for _, row := range c.Calls {
		made := m.byRow[row.ID]
		switch {
		case made == nil:
			m.newCall(row)
		case made.State == "waiting" && row.State == "done":
			m.endCall(made, row)
		default:
			same := made.CallRow
			same.Refunded, same.ChangedUS = row.Refunded, row.ChangedUS
			if row != same {
				m.fault("%s is %+v, was %+v (section 1.5)", made.body, row, made.CallRow)
			}
		}
		made = m.byRow[row.ID]
		if made.Refunded = row.Refunded; m.given[row.ID] != row.Refunded {
			m.fault("%s says that %d were given back, and it is %d (section 3.5)", made.body, row.Refunded, m.given[row.ID])
		}
	}
	for _, t := range c.Told {
		m.tells(t)
	}
	for _, row := range c.Calls {
		if t, told := m.toldOf["captureResultNotification "+row.ID]; row.Kind == "asynchronousCapture" && row.State == "done" && (!told || t.Result != row.Result) {
			m.fault("%s %q has ended with %s, and Google is told %q (section 4.1)", row.Kind, row.Name, row.Result, t.Result)
		}
	}
}

// newCall: a call is made by a request, once for each name (section 1.5).
func (m *Model) newCall(row CallRow) {
	name := nameOf(row.Kind, row.Name)
	made := &madeCall{CallRow: row, bodies: m.bodiesOf(row), body: Call{Kind: row.Kind, Name: row.Name}}
	if len(made.bodies) > 0 {
		made.body = made.bodies[0]
	} else {
		m.fault("call %+v was made, and nobody asked for it (section 1.5)", row)
	}
	if first := m.byCall[name]; first != nil {
		m.fault("Google's call %q is made twice: as %s and %s (section 1.5)", name, first.ID, row.ID)
	}
	m.byRow[row.ID], m.byCall[name] = made, made
	body := made.body
	m.buys(row.Kind)
	if row.Proven != "" {
		if by, twice := m.proven[row.Proven]; twice || body.Proof == "" {
			m.fault("%s uses up a proof that it has not, or that %q has used up (section 3.2)", body, by)
		}
		m.proven[row.Proven], m.used[body.Proof] = row.ID, true
	}
	if row.Kind == "asynchronousCapture" {
		made.lost = row.UntilUS == row.CreatedUS
		if row.State != "waiting" || row.Result != "" || row.Transfer != "" {
			m.fault("%s begins as %+v (section 3.4)", body, row)
		}
		if !made.lost && row.UntilUS != row.CreatedUS+m.s.Google.AsyncUS || made.lost && !m.mayDecline(row, "") {
			m.fault("%s waits until %d, begun at %d (section 3.4)", body, row.UntilUS, row.CreatedUS)
		}
		return
	}
	m.result(body, row)
}

// result holds how a call has ended against what was so.
func (m *Model) result(body Call, row CallRow) {
	money := row.Kind == "refund" || body.captures()
	ok := row.State == "done" && (row.Transfer != "") == (money && row.Result == "SUCCESS") && (row.Transfer != "") == m.movedNow[row.ID]
	l := m.links[row.Link]
	until := int64(0)
	if m.s.Google.TokenUS != 0 {
		until = row.CreatedUS + m.s.Google.TokenUS
	}
	switch {
	case row.Result == "SUCCESS" && !money:
		ok = ok && row.Proven != "" && l != nil && l.ExpiresUS == until
	case row.Result == "SUCCESS":
		ok = ok && (row.Proven != "") == (body.Proof != "")
	case row.Kind == "refund":
		ok = ok && row.Result == "NO_MONEY_LEFT_ON_TRANSACTION" && m.left(row.About) == 0
	case row.Result == "INSUFFICIENT_FUNDS":
		short := false
		for a := range m.onWay {
			short = short || a.Call == body && a.short
		}
		ok = ok && body.Kind == "capture" && short
	case row.Result == "RISK_DECLINED":
		made := m.byRow[row.ID]
		ok = ok && body.Kind == "asynchronousCapture" && (m.agreed[body.Name][false] || made.lost || row.ChangedUS >= row.UntilUS)
	default:
		ok = ok && row.Kind != "associateAccount" && m.mayDecline(row, row.Result)
	}
	if !ok {
		m.fault("%s has ended with %q, and nothing was so: %+v (section 3)", body, row.Result, row)
	}
	if row.Result != "SUCCESS" {
		m.buys(row.Result)
	}
}

// endCall: a purchase that waited ends once: its customer's word or its time ends it.
func (m *Model) endCall(made *madeCall, row CallRow) {
	same := made.CallRow
	same.State, same.Result, same.Transfer, same.ChangedUS = row.State, row.Result, row.Transfer, row.ChangedUS
	if row != same {
		m.fault("%s ends as %+v, was %+v (section 3.4)", made.body, row, made.CallRow)
	}
	if row.Result == "SUCCESS" {
		if m.buys("asynchronousCapture taken"); !m.agreed[row.Name][true] || row.ChangedUS >= row.UntilUS {
			m.fault("%s takes money, and its customer has not agreed in time (section 3.4)", made.body)
		}
	}
	m.result(made.body, row)
	made.CallRow = row
}

// tells: what Google must hear is how a call has ended, once (section 4).
func (m *Model) tells(t ToldRow) {
	made, key := m.byRow[t.About], t.Method+" "+t.About
	if first, known := m.toldOf[key]; known {
		if t != first {
			m.fault("Google is told %+v, and was told %+v (section 4)", t, first)
		}
		return
	}
	m.toldOf[key] = t
	m.buys(t.Method)
	fits := map[string]string{"captureResultNotification": "asynchronousCapture", "refundResultNotification": "refund"}
	if made == nil || made.State != "done" || made.Result != t.Result || fits[t.Method] != made.Kind {
		m.fault("Google is told %+v, and that is not so (section 4)", t)
	}
}

// endGoogle: nothing waits for ever.
func (m *Model) endGoogle() {
	for _, made := range m.byCall {
		if made.State != "done" {
			m.fault("%s is %s in the end (section 3.4)", made.body, made.State)
		}
	}
}
