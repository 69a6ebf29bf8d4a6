package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/money"
	"aorta/test/model"
)

// google is Google, below its cryptography: it links wallets of customers, buys from
// them, gives back, asks again until it is answered, and hears what it is told. It keeps
// a journal of its own, by which the run is judged. In most seeds there is none.
type google struct {
	w     *world
	terms flow.GoogleTerms
	links []*googleLink
	calls []*googleCall                   // bodies, in the order in which they were first sent
	told  map[string]map[fop.Result]int64 // captures and refunds that we were told of: results, by method and requestId
	body  map[id.Told]string
	tries map[id.Told]int
}

const (
	googleName    = "main"
	googleAccount = "SHOP"
)

// googleMaster is the platform's master key.
var googleMaster = [32]byte{9}

// googleLink is a Google user's link with a wallet, as Google knows it.
type googleLink struct {
	name, customer     string
	token, association string
	linked             bool // we were told so
}

// googleCall is one body of a call of Google's, and what Google was told of it. Another
// body under the same name is another one.
type googleCall struct {
	fop.Name
	label    string // for draws
	customer string
	link     *googleLink
	token    string
	amount   money.Amount
	capture  *googleCall   // of a refund
	by       flow.Evidence // the customer has authenticated
	do       func(*flow.Flows, flow.GoogleCall) (fop.Call, error)

	answer  string     // members, as they came first
	result  fop.Result // of an asynchronous capture: what was told later
	row     id.Call
	refused error // for good, and not with 200
	unheard bool  // a refund of which the platform knows that Google may not have heard
}

// integrates has the project of a seed linked with Google: a third of those with wallets.
func (w *world) integrates() {
	if !w.project.Wallet || w.draw("google") >= 0.35 {
		return
	}
	g := &google{w: w, told: map[string]map[fop.Result]int64{}, body: map[id.Told]string{}, tries: map[id.Told]int{}}
	g.terms = flow.GoogleTerms{Project: w.project, AsyncTime: 20 * time.Minute}
	switch x := w.draw("google limits"); {
	case x < 0.3:
		g.terms.Limits = []fop.Limit{{Currency: "INR", Least: 60, Transaction: 350, Day: 700, Month: 1000}}
	case x < 0.5: // within a day a month is reached no sooner than the day
		g.terms.Limits = []fop.Limit{{Currency: "INR", Month: 600}}
	}
	if w.draw("google tokens end") < 0.3 {
		g.terms.TokenTime = 40 * time.Minute
	}
	w.google = g
}

// modelGoogle is what the model is told of the integration.
func (w *world) modelGoogle() *model.Google {
	if w.google == nil {
		return nil
	}
	out := &model.Google{Owner: "google:" + googleName + ":" + googleAccount, AsyncUS: w.google.terms.AsyncTime.Microseconds(), TokenUS: w.google.terms.TokenTime.Microseconds()}
	for _, l := range w.google.terms.Limits {
		out.Limited, out.Least, out.Most, out.Day, out.Month = string(l.Currency), l.Least, l.Transaction, l.Day, l.Month
	}
	return out
}

// vault is a process' own, of a master key that all have.
func (g *google) vault(p *process) *fop.Vault {
	seed := [32]byte{byte(g.w.plan.Seed), byte(g.w.plan.Seed >> 8), byte(p.epoch), byte(p.epoch >> 8), 'g', 'o', 'o', 'g'}
	return fop.NewVault(googleMaster, random{rand.NewChaCha8(seed)})
}

// options are what flows are told of Google's.
func (g *google) options(p *process, o flow.Options) flow.Options {
	if g == nil {
		return o
	}
	o.Google, o.Vault = g, g.vault(p)
	o.Integrations = func(name string) (flow.GoogleTerms, bool) { return g.terms, name == googleName }
	return o
}

// near reports whether a name lies in the home of a customer's wallet. One act writes
// both, so the platform takes no other.
func (w *world) near(scope, text, customer string) bool {
	return w.store.place(id.BucketOf(buckets, scope, text)) == w.store.place(w.project.PaymentBucket(buckets, "", customer))
}

// nearToken makes a token that lies there.
func (w *world) nearToken(token, customer string) string {
	vault := fop.NewVault(googleMaster, nil)
	for !w.near(fop.TokenScope(googleName), vault.TokenHash(googleName, token), customer) {
		token += "+"
	}
	return token
}

// called names a call.
func (g *google) called(m fop.Method, base, customer string) fop.Name {
	n := fop.Name{Integration: googleName, Method: m, RequestID: base}
	if m == fop.CaptureNow || m == fop.CaptureLater || m == fop.Refund {
		n.Account = googleAccount
	}
	for !g.w.near(n.Scope(), n.RequestID, customer) {
		n.RequestID += "+"
	}
	return n
}

// googles has a Google user link the wallet of a payment's customer, and buy with it.
func (w *world) googles(payment, customer string, begins time.Duration) {
	g := w.google
	if g == nil || w.draw("links", payment) < 0.3 {
		return
	}
	l := &googleLink{name: payment + "/google", customer: customer, token: "gpt-" + payment, association: "association-" + payment}
	l.token = w.nearToken(l.token, customer)
	for !w.near(fop.AssociationScope(googleName), l.association, customer) {
		l.association += "+"
	}
	g.links = append(g.links, l)
	named := "" // by the redirect: the link that is about to be made, or none
	if w.draw("redirect names", l.name) < 0.5 {
		named = l.association
	}
	w.later(begins+w.span(20*time.Minute, "links at", l.name), l.name, func() {
		w.proves(l, l.name+"/proof", named, 0, func(by flow.Evidence) { w.associates(l, by) })
	})
}

// proves has the customer authenticate on our page, for a link of theirs or a new one.
func (w *world) proves(l *googleLink, redirect, association string, try int, then func(flow.Evidence)) {
	again := func() {
		if w.draw("proves no more", redirect, try) < 0.1 {
			return // and what was begun of it stays as it is
		}
		w.later(w.span(20*time.Second, "proves again", redirect, try), redirect, func() { w.proves(l, redirect, association, try+1, then) })
	}
	w.request(fmt.Sprint(redirect, "/", try), func(p *process) {
		w.witness.Proving(redirect)
		_, err := p.flows.Prove(context.Background(), flow.Proving{
			Project: w.project, Integration: googleName, RequestID: redirect, Association: association, CustomerID: l.customer, How: "password", Lasts: 15 * time.Minute,
		})
		switch {
		case errors.Is(err, flow.ErrProofTaken): // it is over, or the link is closed
			if try == 0 && association == "" {
				w.wrong("redirect %s proves nobody at once", redirect)
			}
		case err != nil:
			w.bear(err)
			again()
		default:
			then(flow.Evidence{RequestID: redirect})
		}
	}, again)
}

func (w *world) associates(l *googleLink, by flow.Evidence) {
	c := &googleCall{Name: w.google.called(fop.AssociateAccount, l.name+"/link", l.customer), label: l.name + "/link", customer: l.customer, link: l, token: l.token, by: by}
	link := func(c *googleCall) {
		c.do = func(f *flow.Flows, g flow.GoogleCall) (fop.Call, error) {
			return f.LinkWallet(context.Background(), flow.Linking{GoogleCall: g, Token: c.token, Association: l.association, Evidence: c.by})
		}
	}
	link(c)
	linked := func(c *googleCall) func() {
		return func() {
			if c.result == fop.Success {
				w.buys(l)
			}
		}
	}
	w.google.sends(c, 0, linked(c))
	if w.chance(GoogleOther, c.label, "used token") { // the same token once more, by another call
		same := *c
		same.label = c.label + "/used token"
		same.Name = w.google.called(fop.AssociateAccount, same.label, l.customer)
		link(&same)
		w.google.sends(&same, w.span(time.Minute, "other", same.label), linked(&same))
	}
	if w.chance(GoogleOther, c.label) {
		other := *c
		other.label, other.token = c.label+"/other", w.nearToken(c.token+"-other", l.customer)
		link(&other)
		w.google.sends(&other, w.span(time.Minute, "other", other.label), func() {})
	}
}

// buys has Google buy with a link that there is, and the customer have their say of it.
func (w *world) buys(l *googleLink) {
	if l.linked {
		return // heard before
	}
	l.linked = true
	for n := range int(w.draw("buys", l.name) * 5) {
		label := fmt.Sprint(l.name, "/buy/", n)
		at := w.span(90*time.Minute, "buys at", label)
		if w.draw("challenged", label) < 0.3 {
			w.later(at, label, func() {
				w.proves(l, label+"/proof", l.association, 0, func(by flow.Evidence) { w.google.purchase(l, label, 0, by) })
			})
			continue
		}
		w.google.purchase(l, label, at, flow.Evidence{})
	}
	if w.google.terms.TokenTime != 0 && w.draw("refreshes", l.name) < 0.6 {
		label := l.name + "/refresh"
		w.later(w.span(90*time.Minute, "refreshes at", label), label, func() {
			w.proves(l, label+"/proof", l.association, 0, func(by flow.Evidence) { w.google.refresh(l, label, by) })
		})
	}
	if w.draw("closes", l.name) < 0.15 {
		w.later(w.span(2*time.Hour, "closes at", l.name), l.name, func() { w.closes(l, 0) })
	}
}

func (g *google) refresh(l *googleLink, label string, by flow.Evidence) {
	c := &googleCall{Name: g.called(fop.RefreshToken, label, l.customer), label: label, customer: l.customer, link: l, token: l.token, by: by}
	c.do = func(f *flow.Flows, call flow.GoogleCall) (fop.Call, error) {
		return f.RefreshLink(context.Background(), flow.Refreshing{GoogleCall: call, Token: c.token, Evidence: by})
	}
	g.sends(c, 0, func() {})
}

// purchase is one of Google's, at once or when the customer agrees, with what may come of it.
func (g *google) purchase(l *googleLink, label string, at time.Duration, by flow.Evidence) {
	w, method := g.w, fop.CaptureNow
	if by == (flow.Evidence{}) && w.draw("asynchronous", label) < 0.5 {
		method = fop.CaptureLater
	}
	c := &googleCall{
		Name: g.called(method, label, l.customer), label: label, customer: l.customer, link: l, token: l.token, by: by,
		amount: money.Amount{Minor: 1 + int64(w.draw("buys for", label)*400), Currency: "INR"},
	}
	if w.draw("buys in euro", label) < 0.05 {
		c.amount.Currency = "EUR"
	}
	c.do = buying(c)
	g.sends(c, at, func() { w.decides(c) })
	if by != (flow.Evidence{}) && w.chance(GoogleOther, label, "used proof") {
		same := *c
		same.label = label + "/used proof"
		same.Name = g.called(method, same.label, l.customer)
		same.do = buying(&same)
		g.sends(&same, at+w.span(time.Minute, "other at", same.label), func() {})
	}
	if w.chance(GoogleOther, label) {
		g.sends(g.otherwise(c), at+w.span(time.Minute, "other at", label)-w.span(time.Minute, "other before", label)/4, func() {})
	}
	for n := range int(w.draw("gives back", label) * 4) {
		g.givesBack(c, fmt.Sprint(label, "/back/", n), at+w.span(time.Hour, "gives back at", label, n))
	}
}

// buying is a purchase as flows are asked for it.
func buying(c *googleCall) func(*flow.Flows, flow.GoogleCall) (fop.Call, error) {
	return func(f *flow.Flows, call flow.GoogleCall) (fop.Call, error) {
		b := flow.Buying{GoogleCall: call, Token: c.token, Amount: c.amount, Description: "Google - gems", Evidence: c.by}
		if c.Method == fop.CaptureLater {
			return f.BeginPurchase(context.Background(), b)
		}
		return f.Purchase(context.Background(), b)
	}
}

// otherwise is another purchase under the same name: of another amount, in the other
// way, or with another user's token, who may be another customer.
func (g *google) otherwise(c *googleCall) *googleCall {
	other := *c
	other.label, other.by = c.label+"/other", flow.Evidence{}
	x := g.w.draw("other how", c.label)
	at := slices.IndexFunc(g.links, func(l *googleLink) bool {
		return l != c.link && l.linked && g.w.near(c.Scope(), c.RequestID, l.customer)
	})
	switch {
	case x < 0.4 && at >= 0:
		other.link, other.token, other.customer = g.links[at], g.links[at].token, g.links[at].customer
	case x < 0.6 && c.Method == fop.CaptureNow:
		other.Method = fop.CaptureLater
	case x < 0.6:
		other.Method = fop.CaptureNow
	default:
		other.amount.Minor++
	}
	other.do = buying(&other)
	return &other
}

// givesBack has Google give back a part of a purchase, or more than it was.
func (g *google) givesBack(capture *googleCall, label string, at time.Duration) {
	w := g.w
	c := &googleCall{
		Name: g.called(fop.Refund, label, capture.customer), label: label, customer: capture.customer, link: capture.link, capture: capture,
		amount: money.Amount{Minor: 1 + int64(w.draw("gives back share", label)*1.2*float64(capture.amount.Minor)), Currency: capture.amount.Currency},
	}
	if w.draw("gives back all", label) < 0.3 {
		c.amount.Minor = capture.amount.Minor
	}
	c.do = back(c)
	g.sends(c, at, func() {})
	if w.chance(GoogleOther, label) {
		other := *c
		other.label, other.amount.Minor = label+"/other", c.amount.Minor+1
		other.do = back(&other)
		g.sends(&other, at+w.span(time.Minute, "other at", label), func() {})
	}
}

func back(c *googleCall) func(*flow.Flows, flow.GoogleCall) (fop.Call, error) {
	return func(f *flow.Flows, call flow.GoogleCall) (fop.Call, error) {
		return f.GiveBack(context.Background(), flow.GivingBack{GoogleCall: call, Capture: c.capture.RequestID, Amount: c.amount})
	}
}

// sends has a call made at some time: once, or at once and later again.
func (g *google) sends(c *googleCall, at time.Duration, then func()) {
	w := g.w
	g.calls = append(g.calls, c)
	ask := func(at time.Duration, name string) {
		w.later(at, name, func() { g.asks(c, name, 0, then) })
	}
	ask(at, c.label)
	if w.chance(GoogleTwice, c.label, "twin") {
		ask(at, c.label+"/twin")
	}
	if w.chance(GoogleTwice, c.label, "again") {
		ask(at+w.span(time.Hour, "asks again", c.label), c.label+"/again")
	}
}

// print is the body as it is compared.
func (c *googleCall) print() string {
	text := fmt.Sprint(c.Method, " ", c.token, " ", c.amount.Minor, " ", c.amount.Currency, " ", c.by.RequestID)
	if c.capture != nil {
		text += " " + c.capture.RequestID
	}
	return text
}

// asked is the call as the model is told of it.
func (c *googleCall) asked() model.Call {
	out := model.Call{
		Kind: string(c.Method), Name: c.RequestID, Customer: c.customer, Link: c.link.association, Proof: c.by.RequestID,
		Currency: string(c.amount.Currency), Minor: c.amount.Minor, Body: c.print(),
	}
	if c.capture != nil { // whose it is depends on which body of it was first
		out.Capture, out.Customer, out.Link = c.capture.RequestID, "", ""
	}
	return out
}

// members are those of an answer.
func members(a flow.Answered) string {
	return fmt.Sprintf(`{"id":%q,"result":%q,"account":%q,"limit":%d}`, a.Call.ID, a.Call.Result, a.Association.Account, a.Limit.Minor)
}

// refusals are the answers of the platform that are not 200 and for good, as the model calls them.
var refusals = []struct {
	err error
	why string
}{
	{flow.ErrOtherCall, model.RefusedOther},
	{flow.ErrTokenTaken, model.RefusedTaken},
	{flow.ErrNoProof, model.RefusedProof},
	{flow.ErrNoCapture, model.RefusedNoCapture},
	{flow.ErrNotCaptured, model.RefusedNotCaptured},
	{flow.ErrOverRefund, model.RefusedOver},
}

// asks makes a call; who has no answer makes it again, and so does who did not hear it.
func (g *google) asks(c *googleCall, name string, try int, then func()) {
	w := g.w
	if try == 0 {
		w.unanswered[name] = true
	}
	var asked *model.AskedCall
	again := func() {
		if asked != nil {
			w.witness.CallUnheard(asked)
		}
		w.later(w.span(20*time.Second, "google asks again", name, try), name, func() { g.asks(c, name, try+1, then) })
	}
	w.request(fmt.Sprint(name, "/", try), func(p *process) {
		asked = w.witness.Call(c.asked())
		row, err := c.do(p.flows, flow.GoogleCall{Name: c.Name, Print: c.print(), Members: members})
		for _, r := range refusals {
			if errors.Is(err, r.err) {
				w.witness.CallRefused(asked, r.why)
				if try < 20 && g.waitsFor(c, r.err) { // the refund came first, or the customer has not agreed yet
					w.later(4*time.Minute+w.span(10*time.Minute, "refunds again", name, try), name, func() { g.asks(c, name, try+1, then) })
					return
				}
				c.refused = err
				delete(w.unanswered, name)
				return
			}
		}
		if err != nil {
			w.bear(err)
			again()
			return
		}
		if w.chance(GoogleLost, name, try) {
			if c.Method == fop.Refund {
				c.unheard = true
				w.bear(p.flows.RefundUnheard(context.Background(), row))
			}
			again()
			return
		}
		w.witness.CallAnswered(asked, row.ID.String(), row.Answer)
		delete(w.unanswered, name)
		g.hears(c, row)
		then()
	}, again)
}

// waitsFor reports whether a refund may yet be taken: its capture has no end that Google knows of.
func (g *google) waitsFor(c *googleCall, err error) bool {
	return c.capture != nil && c.capture.result == "" && c.capture.refused == nil && (errors.Is(err, flow.ErrNoCapture) || errors.Is(err, flow.ErrNotCaptured))
}

// hears notes what Google was answered: always the same (C7).
func (g *google) hears(c *googleCall, row fop.Call) {
	w := g.w
	if c.answer != "" && (c.answer != row.Answer || c.row != row.ID) {
		w.wrong("Google's call %s was answered with %s and with %s", c.label, c.answer, row.Answer)
	}
	var said struct {
		ID     string
		Result fop.Result
	}
	if err := json.Unmarshal([]byte(row.Answer), &said); err != nil || said.ID != row.ID.String() {
		w.wrong("Google's call %s was answered with %s by call %s: %v", c.label, row.Answer, row.ID, err)
	}
	first := c.answer == ""
	c.answer, c.row = row.Answer, row.ID
	if c.Method != fop.CaptureLater {
		c.result = said.Result
	}
	g.learns(c)
	if first && c.Method != fop.CaptureLater && c.amount.Minor != 0 && said.Result == fop.Success {
		w.acked = append(w.acked, ack{what: "Google's " + c.label, transfer: row.Transfer, amount: c.amount.Minor})
	}
}

// decides has the customer confirm a purchase that waits, refuse it, do both, or say nothing.
func (w *world) decides(c *googleCall) {
	if c.Method != fop.CaptureLater || w.nth("decides/"+c.label) > 1 {
		return
	}
	x := w.draw("decides", c.label)
	say := func(agreed bool) {
		name := fmt.Sprint(c.label, "/says/", agreed)
		at := time.Duration(w.draw("says at", name) * 1.1 * float64(w.google.terms.AsyncTime))
		w.later(at, name, func() { w.says(c, name, agreed, 0) })
	}
	if x < 0.6 {
		say(true)
	}
	if x > 0.5 && x < 0.75 {
		say(false)
	}
}

// says is the customer's word; who has no answer, or not the money, says it again.
func (w *world) says(c *googleCall, name string, agreed bool, try int) {
	again := func() {
		w.later(w.span(20*time.Second, "says again", name, try), name, func() { w.says(c, name, agreed, try+1) })
	}
	w.request(fmt.Sprint(name, "/", try), func(p *process) {
		w.witness.Said(c.RequestID, agreed)
		_, err := p.flows.ConfirmPurchase(context.Background(), p.flows.CustomerOf(w.project, c.customer), c.row, agreed)
		switch {
		case err == nil, errors.Is(err, flow.ErrPurchaseOver):
		case agreed && errors.Is(err, flow.ErrInsufficient):
			if try < 3 {
				w.later(w.span(10*time.Minute, "says when there is money", name, try), name, func() { w.says(c, name, agreed, try+1) })
			}
		default:
			w.bear(err)
			again()
		}
	}, again)
}

// closes is the customer, who does not want the link any more.
func (w *world) closes(l *googleLink, try int) {
	again := func() {
		w.later(w.span(20*time.Second, "closes again", l.name, try), l.name, func() { w.closes(l, try+1) })
	}
	w.request(fmt.Sprint(l.name, "/close/", try), func(p *process) {
		row, known, err := p.flows.LinkOf(context.Background(), googleName, l.association)
		if err != nil || !known {
			w.wrong("link %s is there, and is not found: %v", l.name, err)
			return
		}
		w.witness.Closing(l.association)
		if err := p.flows.CloseLink(context.Background(), w.project, l.customer, row.ID); err != nil {
			w.bear(err)
			again()
		}
	}, again)
}

// Google's side of our calls.

// Contract is what the integration says of statements: nobody tells one here.
func (g *google) Contract(string) (flow.Contract, bool) { return flow.Contract{}, false }

// Lines are those of a statement: as above.
func (g *google) Lines(context.Context, fop.Statement, string, int) (flow.StatementPage, flow.Heard) {
	return flow.StatementPage{}, flow.Heard{Status: 404}
}

// Tell is what Google hears from us. It may be away, and we may not hear that it has heard.
func (g *google) Tell(_ context.Context, t fop.Told) flow.Heard {
	w := g.w
	g.tries[t.ID]++
	name := fmt.Sprint(w.labels[t.ID.Raw()], "/", g.tries[t.ID])
	w.crash(CrashBeforeTell, name)
	w.freeze(w.current.of, "tell "+name)
	w.pause(0)
	if first, known := g.body[t.ID]; known && first != t.Body {
		w.wrong("Google was told %s and %s under one requestId", first, t.Body)
	}
	g.body[t.ID] = t.Body
	if w.chance(GoogleAway, name) {
		w.pause(w.span(time.Second, "google is away", name))
		return flow.Heard{Again: true, Status: 503, Said: "away"}
	}
	g.isTold(t)
	w.pause(w.span(time.Second, "google hears", name))
	w.crash(CrashAfterTell, name)
	if w.chance(GoogleDeaf, name) {
		return flow.Heard{Again: true, Said: "no answer"}
	}
	return flow.Heard{OK: true, Status: 200, Answer: "{}"}
}

// isTold notes how a capture or refund has ended, as we say.
func (g *google) isTold(t fop.Told) {
	var m struct {
		Account string `json:"paymentIntegratorAccountId"`
		Capture string `json:"captureRequestId"`
		Of      struct {
			Code fop.Result `json:"captureResultCode"`
		} `json:"captureResult"`
		Refund string     `json:"refundRequestId"`
		Back   fop.Result `json:"refundResult"`
	}
	if err := json.Unmarshal([]byte(t.Body), &m); err != nil || m.Account != googleAccount || t.Account != googleAccount {
		g.w.wrong("Google was told %s for %s: %v", t.Body, t.Account, err)
		return
	}
	key, result := t.Method+" "+m.Capture, m.Of.Code
	if m.Refund != "" {
		key, result = t.Method+" "+m.Refund, m.Back
	}
	if g.told[key] == nil {
		g.told[key] = map[fop.Result]int64{}
	}
	g.told[key][result]++
	for _, c := range g.calls {
		if c.RequestID == m.Capture {
			g.learns(c)
		}
	}
}

// learns has Google know how a purchase ended that waited: what it was told may come
// before the answer to the call.
func (g *google) learns(c *googleCall) {
	if c.Method == fop.CaptureLater && c.answer != "" {
		for result := range g.told[tellsOf[c.Method]+" "+c.RequestID] {
			c.result = result
		}
	}
}

// tellsOf are the methods of Google's by which it is told how a call of ours has ended.
var tellsOf = map[fop.Method]string{fop.CaptureLater: "captureResultNotification", fop.Refund: "refundResultNotification"}

// judgeGoogle: what Google knows by its own journal is what is there. One movement of
// money for each (account, requestId) that ended well, none of another; no more back than
// was taken; what it was told is how it ended; and what it has to get is what it took.
func (w *world) judgeGoogle(x rows, wrong func(string, ...any)) {
	g := w.google
	if g == nil {
		return
	}
	made := map[string]fop.Call{} // by name
	moved := map[string]int64{}   // by call: what its transfers moved
	times := map[string]int{}
	for _, t := range x.transfers {
		if t.Kind == ledger.KindCaptureFOP || t.Kind == ledger.KindRefundFOP {
			times[t.Name]++
			moved[t.Name] += debited(t)
		}
	}
	for _, row := range x.calls {
		n := row.Scope() + " " + row.RequestID
		if first, twice := made[n]; twice {
			wrong("Google's call %s is there twice: as %s and %s.", row.RequestID, first.ID, row.ID)
		}
		made[n] = row
	}
	known, got := map[string]*googleCall{}, map[money.Currency]int64{}
	given := map[string]int64{} // by the capture's name
	for _, c := range g.calls {
		n := c.Scope() + " " + c.RequestID
		row, there := made[n]
		if c.answer == "" {
			continue // refused, or another body was first
		}
		if before := known[n]; before != nil && before.print() != c.print() {
			wrong("Google's calls %s and %s are of one name, and both were answered.", before.label, c.label)
		}
		known[n] = c
		if !there || row.ID != c.row || row.Answer != c.answer {
			wrong("Google's call %s was answered with %s, and is %s with %s.", c.label, c.answer, row.ID, row.Answer)
			continue
		}
		if row.State != fop.CallDone || c.result != row.Result {
			wrong("Google's call %s is %s and ended with %q; Google knows of %q.", c.label, row.State, row.Result, c.result)
		}
		want, count := int64(0), 0
		if c.amount.Minor != 0 && c.result == fop.Success {
			want, count = c.amount.Minor, 1
		}
		if times[row.ID.String()] != count || moved[row.ID.String()] != want {
			wrong("Google's call %s ended with %q: it moved %d in %d transfers, want %d in %d.", c.label, c.result, moved[row.ID.String()], times[row.ID.String()], want, count)
		}
		if c.Method == fop.Refund {
			given[c.capture.Scope()+" "+c.capture.RequestID] += want
			got[c.amount.Currency] -= want
		} else {
			got[c.amount.Currency] += want
		}
		w.judgeHeard(c, wrong)
	}
	for _, n := range slices.Sorted(maps.Keys(given)) {
		minor := given[n]
		if c := known[n]; minor > 0 && (c == nil || minor > c.amount.Minor) {
			wrong("Google's purchase %s had %d given back, which is more than it took.", n, minor)
		}
	}
	for _, row := range x.calls {
		if known[row.Scope()+" "+row.RequestID] == nil {
			wrong("Google's call %s (%s) is there, and Google has no answer to it.", row.RequestID, row.Method)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(g.told)) {
		if !slices.ContainsFunc(g.calls, func(c *googleCall) bool { return c.answer != "" && tellsOf[c.Method]+" "+c.RequestID == key }) {
			wrong("Google was told of %s, and knows no such call.", key)
		}
	}
	for _, a := range x.accounts {
		if a.Purpose == ledger.Receivable {
			got[a.Currency] -= a.Balance()
		}
	}
	for c, minor := range got {
		if minor != 0 {
			wrong("What Google has to get differs by %d %s from what it knows.", minor, c)
		}
	}
}

// judgeHeard: Google was told once how a purchase ended that had waited, and of a refund
// only where its answer may have been lost (section 4).
func (w *world) judgeHeard(c *googleCall, wrong func(string, ...any)) {
	told := w.google.told[tellsOf[c.Method]+" "+c.RequestID]
	switch {
	case c.Method == fop.CaptureLater && (len(told) != 1 || told[c.result] == 0):
		wrong("Google's purchase %s ended with %q, and Google was told %v.", c.label, c.result, told)
	case c.Method == fop.Refund && len(told) > 0 && (len(told) > 1 || told[c.result] == 0):
		wrong("Google's refund %s ended with %q, and Google was told %v.", c.label, c.result, told)
	case c.Method == fop.Refund && len(told) > 0 && !c.unheard:
		wrong("Google was told of refund %s, and had heard of it.", c.label)
	}
}
