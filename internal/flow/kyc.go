package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/operator"
	"aorta/internal/project"
	"aorta/internal/risk"
	"aorta/internal/verification"
)

// A check of who a customer is goes as a payment does: an act, the provider's answer,
// an act. apply is the only way in which one ends, whoever brings the news.
//
//	open ── passed ── expired
//	  └──── failed
//
// A level follows from the checks that were passed and still hold. Whatever changes
// it has the customer's payouts that wait checked once more.

var (
	// ErrNoVerifier: nobody checks for that level here.
	ErrNoVerifier = errors.New("nobody checks for this level")
	// ErrNoCheck: no such check is known here.
	ErrNoCheck = errors.New("no such check")
	// ErrCheckMismatch: news of a check does not fit what was asked for.
	ErrCheckMismatch = errors.New("the news does not fit the check")
)

// KYC is who provides news in the inbox and in addresses: /n/kyc/{name}.
const KYC = "kyc"

// CheckRequest is what a door knows of a check that a customer is to pass.
type CheckRequest struct {
	Project    project.Project
	CustomerID string
	ID         id.Check // chosen by NewCheck before, where a repeat must find it; zero: chosen now
	Level      int64    // customer.MinLevel to MaxLevel
	ReturnURL  string   // where the customer's browser goes when they are done; may be empty
}

// NewCheck chooses the id of a check that is not begun yet.
func (f *Flows) NewCheck(pr project.Project, customerID string) id.Check {
	return id.Check(f.book.Mint(f.CustomerOf(pr, customerID).Bucket()))
}

// CheckView is a check as the doors show it.
type CheckView struct {
	Check customer.Check
	URL   string // the page where the customer goes on, while the check is open; may be empty
}

// checkFacts is Check.Facts.
type checkFacts struct {
	Project int64  `json:"project"`          // that asked
	Return  string `json:"return,omitempty"` // as the provider was asked, since it knows a repeat by it
	URL     string `json:"url,omitempty"`    // its page, while the check is open
	Person  string `json:"person,omitempty"` // keyed hash
	Holder  string `json:"holder,omitempty"` // keyed hash of the name alone
	Screen  bool   `json:"screen,omitempty"` // passed, and looked at every day for whether its person is on a list
}

func (c checkFacts) encode() string {
	text, err := json.Marshal(c)
	if err != nil {
		panic("plain fields cannot fail to encode: " + err.Error())
	}
	return string(text)
}

func factsOf(c customer.Check) (checkFacts, error) {
	var f checkFacts
	if err := json.Unmarshal([]byte(c.Facts), &f); err != nil {
		return f, fmt.Errorf("facts of check %s: %w", c.ID, err)
	}
	return f, nil
}

func viewOf(c customer.Check) (CheckView, error) {
	f, err := factsOf(c)
	v := CheckView{Check: c}
	if c.State == customer.CheckOpen {
		v.URL = f.URL
	}
	return v, err
}

// checking is what the act that made a check knows of it: the Carry of its row.
type checking struct {
	check    customer.Check
	customer string        // the merchant's name of them
	done     chan struct{} // closed when the provider's answer is booked, or given up
}

// checkWait is how long StartCheck waits for the provider's page.
const checkWait = 10 * time.Second

// StartCheck begins a check, and has its provider asked. One of the level that is
// under way is given instead. It waits a while for the provider's answer: where that
// is late, the page's address is told by Verification. Errors: ErrNoRules,
// ErrNoWallet, ErrNoVerifier, customer.ErrTooMany; those of acts.
func (f *Flows) StartCheck(ctx context.Context, r CheckRequest) (CheckView, error) {
	switch {
	case f.opts.Rules(r.Project.ID) == nil:
		return CheckView{}, ErrNoRules
	case !r.Project.Wallet || r.CustomerID == "":
		return CheckView{}, ErrNoWallet
	}
	by, ok := f.opts.Verifiers.For(r.Level)
	if !ok {
		return CheckView{}, ErrNoVerifier
	}
	type begun struct {
		check  customer.Check
		repeat bool
	}
	done := make(chan struct{})
	b, err := book.Do(ctx, f.book, book.Act[begun]{
		Name: "check.begin", Bucket: r.Project.PaymentBucket(f.book.Buckets(), "", r.CustomerID),
		Hint: func(p *book.Page) { p.Customers.Get(customerKey(p, r.Project, r.CustomerID)) },
		Decide: func(p *book.Page) (begun, error) {
			c, v, err := known(p, r.Project, r.CustomerID)
			if err != nil {
				return begun{}, err
			}
			want := r.ID
			if want.IsZero() {
				want = id.Check(p.Mint())
			} else if row, known := p.Checks.Get(want); known { // an earlier run of the same request
				return begun{row, true}, nil
			}
			if k, open := v.Under(r.Level); open {
				row, _ := p.Checks.Get(k)
				return begun{row, true}, nil
			}
			row := customer.Check{
				ID: want, Customer: c.ID, Level: r.Level, State: customer.CheckOpen, Provider: by.Name,
				Facts: checkFacts{Project: r.Project.ID, Return: r.ReturnURL}.encode(), CreatedUS: p.NowUS(), ChangedUS: p.NowUS(),
			}
			if v, err = v.Begin(r.Level, row.ID, p.NowUS()); err != nil {
				return begun{}, err
			}
			c.Checks = v.Encode() // the level is left to the acts that tell of it
			p.Customers.Put(c)
			if r.ID.IsZero() {
				p.Checks.New(row)
			} else {
				p.Checks.Put(row) // its absence was read
			}
			note(p, c.ID, NoteCheck, Player(r.Project).Name, checkNote{Check: row.ID, Level: row.Level, State: row.State})
			p.Due.New(due.Now(row.ID.Raw(), due.Check, p.NowUS(), p.Epoch(), &checking{check: row, customer: c.Name, done: done}))
			return begun{check: row}, nil
		},
	})
	if err != nil {
		return CheckView{}, fmt.Errorf("begin check: %w", err)
	}
	if b.repeat {
		return viewOf(b.check)
	}
	wait := time.NewTimer(checkWait)
	defer wait.Stop()
	select {
	case <-done:
	case <-wait.C:
	case <-ctx.Done():
	}
	row, ok, err := f.read.Check(ctx, b.check.ID)
	if err != nil || !ok {
		return viewOf(b.check) // it is begun: what came of it is told later
	}
	return viewOf(row)
}

// customerKey is the id of a project's customer, whose bucket the page is of.
func customerKey(p *book.Page, pr project.Project, customerID string) id.Customer {
	return customer.KeyOf(p.Bucket(), strconv.FormatInt(pr.MerchantID, 10), customerID)
}

// known reads a customer, who need not have paid before, with what is known of them.
func known(p *book.Page, pr project.Project, customerID string) (customer.Customer, customer.Verification, error) {
	k := customerKey(p, pr, customerID)
	c, ok := p.Customers.Get(k)
	if !ok {
		c = customer.Customer{ID: k, MerchantID: pr.MerchantID, Name: customerID, CreatedUS: p.NowUS()}
	}
	v, err := customer.DecodeVerification(c.Checks)
	return c, v, err
}

// KYCView is what is known of who a customer is, as the doors show it.
type KYCView struct {
	Customer customer.Customer // zero ID: nobody of that name is known
	Level    int64             // now
	Best     customer.Proof    // that bears it; zero: none does
	Checks   []CheckView       // under way, then those that bear levels, then the newest that was decided
}

// Verification gives what is known of a customer. Errors: ErrNoRules, ErrNoWallet.
func (f *Flows) Verification(ctx context.Context, pr project.Project, customerID string) (KYCView, error) {
	switch {
	case f.opts.Rules(pr.ID) == nil:
		return KYCView{}, ErrNoRules
	case !pr.Wallet || customerID == "":
		return KYCView{}, ErrNoWallet
	}
	k := f.CustomerOf(pr, customerID)
	c, ok, err := f.read.Customer(ctx, k)
	if err != nil || !ok {
		return KYCView{}, err
	}
	v, err := customer.DecodeVerification(c.Checks)
	if err != nil {
		return KYCView{}, err
	}
	view := KYCView{Customer: c}
	view.Best, _ = v.Best(f.opts.Now().UnixMicro())
	view.Level = view.Best.Level
	seen := map[id.Check]bool{}
	list := make([]id.Check, 0, len(v.Open)+len(v.Proofs)+1)
	for _, p := range v.Open {
		list = append(list, p.Check)
	}
	for _, p := range v.Proofs {
		list = append(list, p.Check)
	}
	for _, k := range append(list, v.Last) {
		if k.IsZero() || seen[k] {
			continue
		}
		seen[k] = true
		row, ok, err := f.read.Check(ctx, k)
		if err != nil || !ok {
			return view, fmt.Errorf("read check %s (found %t): %w", k, ok, err)
		}
		each, err := viewOf(row)
		if err != nil {
			return view, err
		}
		view.Checks = append(view.Checks, each)
	}
	return view, nil
}

// check does the due work of a check: its provider is asked for it, or what became of
// it; or what it proved has ended.
func (f *Flows) check(ctx context.Context, d due.Due) error {
	if work, fresh := d.Carry.(*checking); fresh {
		defer close(work.done)
		return f.startCheck(ctx, work.check, work.customer)
	}
	row, ok, err := f.read.Check(ctx, id.Check(d.ID))
	if err != nil || !ok {
		return fmt.Errorf("read check (found %t): %w", ok, err)
	}
	if row.State == customer.CheckPassed && f.screens(row.Provider) {
		return f.screenDaily(ctx, row)
	}
	if row.State != customer.CheckOpen {
		return f.applyCheck(ctx, row.ID, verification.Outcome{Kind: verification.Unknown}, operator.Actor{})
	}
	by, ok := f.opts.Verifiers.Of(row.Provider)
	if !ok { // not configured any more: only time ends it
		return f.applyCheck(ctx, row.ID, verification.Outcome{Kind: verification.Unknown}, operator.Actor{})
	}
	c, ok, err := f.read.Customer(ctx, row.Customer)
	if err != nil || !ok {
		return fmt.Errorf("read customer of check %s (found %t): %w", row.ID, ok, err)
	}
	o, err := f.checkOrder(row, c.Name)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, f.opts.CallLimit)
	defer cancel()
	out := f.heardCheck(row, by.Lookup(limited, o))
	if out.NoRecord { // it never came there: asking again under the same reference is safe
		return f.startCheck(ctx, row, c.Name)
	}
	return f.applyCheck(ctx, row.ID, out, operator.Actor{})
}

// screenDaily screens the person of a check that was passed, if it is the one by which
// the customer is screened; what has ended is ended.
func (f *Flows) screenDaily(ctx context.Context, row customer.Check) error {
	c, ok, err := f.read.Customer(ctx, row.Customer)
	if err != nil || !ok {
		return fmt.Errorf("read customer of check %s (found %t): %w", row.ID, ok, err)
	}
	known, err := customer.DecodeVerification(c.Checks)
	if err != nil {
		return err
	}
	of, by, err := f.screener(ctx, known)
	switch {
	case err != nil:
		return err
	case by == nil || of.ID != row.ID:
		return f.applyCheck(ctx, row.ID, verification.Outcome{Kind: verification.Unknown}, operator.Actor{})
	}
	return f.screen(ctx, row, c.Name, by, f.opts.CallLimit, false)
}

// startCheck asks the provider for a check, and books its answer.
func (f *Flows) startCheck(ctx context.Context, row customer.Check, customerName string) error {
	out := verification.Outcome{Kind: verification.NotSent}
	if by, ok := f.opts.Verifiers.Of(row.Provider); ok {
		o, err := f.checkOrder(row, customerName)
		if err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, f.opts.CallLimit)
		defer cancel()
		out = f.heardCheck(row, by.Start(limited, o))
	}
	return f.applyCheck(ctx, row.ID, out, operator.Actor{})
}

func (f *Flows) checkOrder(row customer.Check, customerName string) (verification.Order, error) {
	facts, err := factsOf(row)
	return verification.Order{
		Reference: row.ID.String(), Level: row.Level, CustomerID: customerName, ReturnURL: facts.Return, NotifyURL: f.opts.NotifyURL(KYC, row.Provider),
	}, err
}

// heardCheck lets an operator know when a provider says that we are set up wrongly.
func (f *Flows) heardCheck(row customer.Check, out verification.Outcome) verification.Outcome {
	if out.Alarm != "" {
		f.opts.Log.Error("ALARM: who checks customers is set up wrongly", "provider", row.Provider, "check", row.ID.String(), "alarm", out.Alarm)
	}
	return out
}

// HearCheck books what a provider has said by itself. Errors: ErrNoCheck, and
// ErrCheckMismatch where it is about another level, or another provider's check.
func (f *Flows) HearCheck(ctx context.Context, provider string, n verification.News) (customer.Check, error) {
	k, err := id.ParseCheck(n.Reference)
	if err != nil || int(k.Bucket()) >= f.book.Buckets() {
		return customer.Check{}, ErrNoCheck
	}
	row, ok, err := f.read.Check(ctx, k)
	switch {
	case err != nil:
		return row, fmt.Errorf("read check: %w", err)
	case !ok:
		return row, ErrNoCheck
	case row.Provider != provider || row.Level != n.Level:
		return row, ErrCheckMismatch
	}
	return row, f.applyCheck(ctx, k, n.Outcome, operator.Actor{})
}

// CheckByID gives a check; false if there is none. The id may come from outside.
func (f *Flows) CheckByID(ctx context.Context, k id.Check) (customer.Check, bool, error) {
	if int(k.Bucket()) >= f.book.Buckets() {
		return customer.Check{}, false, nil
	}
	return f.read.Check(ctx, k)
}

// openFor is how long a check stays open that nobody decides.
const openFor = 30 * 24 * time.Hour

// Reasons of ours, beside the providers' own.
const (
	reasonAbandoned = "abandoned"        // nobody has decided it in openFor
	reasonNotTaken  = "not_taken"        // the provider refused to take it
	reasonEnded     = "document_expired" // what it proved has ended
	reasonOther     = "other_person"     // it was passed as somebody else than an earlier one
)

// nextLook is when an open check is looked up again: soon at first, then rarer, since
// customers take minutes or days.
func (f *Flows) nextLook(createdUS, nowUS int64) int64 {
	if n := len(f.opts.Lookups); n > 0 {
		return nowUS + f.opts.Lookups[n-1].Microseconds()
	}
	age := time.Duration(nowUS-createdUS) * time.Microsecond
	next := nowUS + min(max(age/4, 30*time.Second), 6*time.Hour).Microseconds()
	return min(next, max(nowUS, createdUS+openFor.Microseconds()))
}

// applyCheck books what is heard of a check. News that is known changes nothing. An
// operator who decides one is who; it is audited then.
func (f *Flows) applyCheck(ctx context.Context, k id.Check, out verification.Outcome, who operator.Actor) error {
	told := f.opts.Endpoints()
	_, err := book.Do(ctx, f.book, book.Act[struct{}]{
		Name: "check.apply", Bucket: k.Bucket(), Background: who.Name == "",
		Hint: func(p *book.Page) { p.Checks.Get(k); p.Due.Get(k.Raw()) },
		Decide: func(p *book.Page) (struct{}, error) {
			row, ok := p.Checks.Get(k)
			if !ok {
				return struct{}{}, ErrNoCheck
			}
			return struct{}{}, (&verdict{page: p, flows: f, told: told, row: row, out: out, who: who}).book()
		},
	})
	if err != nil {
		return fmt.Errorf("apply to check %s: %w", k, err)
	}
	return nil
}

// verdict is what is heard of one check, in an act.
type verdict struct {
	page  *book.Page
	flows *Flows
	told  endpoints
	row   customer.Check
	out   verification.Outcome
	who   operator.Actor
}

// state is where the news leads; what holds as it was leads nowhere new.
func (v *verdict) state(nowUS int64) (customer.CheckState, string) {
	reason := v.out.Result.Reason
	ended := v.row.UntilUS != 0 && nowUS >= v.row.UntilUS
	switch v.row.State {
	case customer.CheckOpen:
		switch v.out.Kind {
		case verification.Passed:
			if until := v.out.Result.Until; !until.IsZero() && nowUS >= until.UnixMicro() {
				return customer.CheckFailed, reasonEnded
			}
			return customer.CheckPassed, ""
		case verification.Failed, verification.Expired: // expired, and it was never heard that it was passed
			return customer.CheckFailed, reason
		case verification.Open, verification.Unknown, verification.NotSent:
			if nowUS-v.row.CreatedUS >= openFor.Microseconds() {
				return customer.CheckFailed, reasonAbandoned
			}
			if v.out.Kind == verification.NotSent && v.out.Alarm != "" { // it will not be taken the next time either
				return customer.CheckFailed, reasonNotTaken
			}
		}
	case customer.CheckPassed:
		switch {
		case v.out.Kind == verification.Failed, v.out.Kind == verification.Expired:
			return customer.CheckExpired, reason
		case ended:
			return customer.CheckExpired, reasonEnded
		}
	case customer.CheckFailed, customer.CheckExpired:
	}
	return v.row.State, v.row.Reason
}

func (v *verdict) book() error {
	p, now := v.page, v.page.NowUS()
	to, reason := v.state(now)
	facts, err := factsOf(v.row)
	if err != nil {
		return err
	}
	if to == v.row.State {
		if to == customer.CheckOpen && v.out.URL != "" && v.out.URL != facts.URL {
			facts.URL = v.out.URL
			v.row.Facts, v.row.ChangedUS = facts.encode(), now
			p.Checks.Put(v.row)
		}
		if on := v.flows.screens(v.row.Provider); to == customer.CheckPassed && on != facts.Screen { // it is set up otherwise now
			facts.Screen = on
			v.row.Facts, v.row.ChangedUS = facts.encode(), now
			p.Checks.Put(v.row)
		}
		v.plan(facts.Screen, false)
		return nil
	}
	c, ok := p.Customers.Get(v.row.Customer)
	if !ok {
		return fmt.Errorf("check %s is of nobody: %w", v.row.ID, ErrNoCheck)
	}
	known, err := customer.DecodeVerification(c.Checks)
	if err != nil {
		return err
	}
	was := c.Level
	var earlier id.Check
	if to == customer.CheckPassed {
		if earlier, err = v.other(known); err != nil {
			return err
		}
		if !earlier.IsZero() {
			to, reason = customer.CheckFailed, reasonOther
		}
	}
	v.row.State, v.row.Reason, v.row.ChangedUS = to, reason, now
	facts.URL, facts.Return = "", ""
	if to == customer.CheckPassed {
		known = v.pass(c.MerchantID, known, &facts)
	} else {
		known = known.Fail(v.row.ID)
	}
	if !earlier.IsZero() { // evidence for the case
		facts.Person, facts.Holder = v.out.Result.Person, v.holder()
	}
	v.row.Facts = facts.encode()
	if name := v.out.Result.ProviderID; name != "" {
		v.row.Reference = name
	}
	p.Checks.Put(v.row)
	c = c.Verified(known, now)
	p.Customers.Put(c)
	if !earlier.IsZero() {
		v.suspect(c, earlier)
	}
	v.plan(facts.Screen, true)
	if to == customer.CheckPassed && facts.Person != "" {
		linkNow(p, c.ID)
	}
	v.tell(c, facts.Project, was)
	if c.Level != was || to == customer.CheckPassed || !earlier.IsZero() { // the level may have ended, and no act noticed before it is given anew
		return checkPayoutsAgain(p, c)
	}
	return nil
}

// pass takes over what the provider knows.
func (v *verdict) pass(merchant int64, known customer.Verification, facts *checkFacts) customer.Verification {
	r := v.out.Result
	v.row.UntilUS = 0
	if !r.Until.IsZero() {
		v.row.UntilUS = r.Until.UnixMicro()
	}
	var who id.Person
	if r.Person != "" {
		facts.Person, who = r.Person, personID(v.flows.book.Buckets(), merchant, r.Person)
	}
	facts.Holder = v.holder()
	if r.Age > 0 {
		known.Age, known.AgeUS = r.Age, v.page.NowUS()
	}
	if facts.Screen = v.flows.screens(v.row.Provider); facts.Screen {
		known.Listed.On = true
	}
	return known.Pass(customer.Proof{Level: v.row.Level, Check: v.row.ID, UntilUS: v.row.UntilUS}, who)
}

// holder is the keyed hash of the name that was told.
func (v *verdict) holder() string {
	if hash := v.out.Result.HolderHash; hash != "" {
		return hash
	}
	return v.flows.HolderHash(v.out.Result.Holder)
}

// HolderHash gives the keyed hash of a name, which is what is kept of it; of no name
// it is empty.
func (f *Flows) HolderHash(name string) string { return f.opts.Persons.Holder(name) }

// other gives an earlier check that was passed as somebody else, of whom this one does
// not speak: by another name, or, where no names were told, by another hash of a
// person. Who shows another document under the same name is who they were.
func (v *verdict) other(known customer.Verification) (id.Check, error) {
	person, holder := v.out.Result.Person, v.holder()
	for _, proof := range known.Proofs {
		row, ok := v.page.Checks.Get(proof.Check)
		if !ok {
			continue
		}
		was, err := factsOf(row)
		if err != nil {
			return id.Check{}, err
		}
		switch named := holder != "" && was.Holder != ""; {
		case person != "" && person == was.Person:
		case named && holder != was.Holder, !named && person != "" && was.Person != "":
			return proof.Check, nil
		}
	}
	return id.Check{}, nil
}

// caseOtherPerson: a check was passed by somebody else than an earlier one of the same
// customer. It gives no level, and payouts wait until people have looked at it.
const caseOtherPerson = "other_person"

// suspect opens that case. Who it is after all is checked anew, once an operator has
// taken the wrong check back.
func (v *verdict) suspect(c customer.Customer, earlier id.Check) {
	if openCase(v.page, id.Payment{}, c.ID, caseOtherPerson, v.row.ID.String(), map[string]any{"check": v.row.ID, "level": v.row.Level, "earlier": earlier}) {
		await(v.page, c.ID, 1)
	}
}

// await counts an open case for which a customer's payouts wait, or with -1 one that
// has ended.
func await(p *book.Page, k id.Customer, cases int64) {
	if c, ok := p.Customers.Get(k); ok {
		c.Review += cases
		p.Customers.Put(c)
	}
}

// plan writes when the check must be looked at again, if ever: screen has its person
// looked for on the lists every day, and at once when it was passed just now.
func (v *verdict) plan(screen, fresh bool) {
	p, k := v.page, v.row.ID.Raw()
	_, waits := p.Due.Get(k)
	switch {
	case v.row.State == customer.CheckPassed && screen && fresh:
		p.Due.Put(due.Now(k, due.Check, p.NowUS(), p.Epoch(), nil))
	case v.row.State == customer.CheckPassed && screen:
		p.Due.Put(due.At(k, due.Check, untilAtMost(v.row, p.NowUS()+screenEvery.Microseconds())))
	case v.row.State == customer.CheckOpen:
		p.Due.Put(due.At(k, due.Check, v.flows.nextLook(v.row.CreatedUS, p.NowUS())))
	case v.row.State == customer.CheckPassed && v.row.UntilUS != 0:
		p.Due.Put(due.At(k, due.Check, v.row.UntilUS))
	case waits:
		p.Due.Delete(k)
	}
}

// Kinds of note that checks write.
const (
	NoteCheck     = "check"        // a check has begun, or ended
	NoteLevel     = "level"        // the level is another now
	NoteLevelNeed = "level_needed" // the customer was told that they will soon need one
)

type checkNote struct {
	Check  id.Check            `json:"check_id"`
	Level  int64               `json:"level"`
	State  customer.CheckState `json:"state"`
	Reason string              `json:"reason,omitempty"`
}

// tell leaves the history of it, and lets the project's endpoints know.
func (v *verdict) tell(c customer.Customer, projectID, was int64) {
	p, by := v.page, "provider:"+v.row.Provider
	if v.who.Name != "" {
		by = v.who.Name
		audit(p, v.who, "check."+string(v.row.State), v.row.ID.String(), map[string]any{"level": v.row.Level, "reason": v.row.Reason})
	}
	what := checkNote{Check: v.row.ID, Level: v.row.Level, State: v.row.State, Reason: v.row.Reason}
	note(p, c.ID, NoteCheck, by, what)
	if c.Level != was {
		note(p, c.ID, NoteLevel, by, map[string]any{"from": was, "to": c.Level, "check_id": v.row.ID})
	}
	tellOfCustomer(p, v.told(projectID), event.CustomerKYC, kycNews{
		CustomerID: c.Name, Level: c.Level, Was: was, ExpiresAt: instantOf(c.LevelUntilUS),
		Check: &checkNews{ID: v.row.ID, Level: v.row.Level, Status: v.row.State, Reason: v.row.Reason},
	})
}

// kycNews is what endpoints are told, in the words of /v1.
type kycNews struct {
	CustomerID string     `json:"customer_id"`
	Level      int64      `json:"level"`
	Was        int64      `json:"previous_level"`
	ExpiresAt  string     `json:"expires_at,omitempty"`
	Required   int64      `json:"required_level,omitempty"`
	Check      *checkNews `json:"check,omitempty"`
}

type checkNews struct {
	ID     id.Check            `json:"check_id"`
	Level  int64               `json:"level"`
	Status customer.CheckState `json:"status"`
	Reason string              `json:"reason,omitempty"`
}

func instantOf(us int64) string {
	if us == 0 {
		return ""
	}
	return time.UnixMicro(us).UTC().Format(time.RFC3339Nano)
}

// tellOfCustomer writes an event that is about a customer and no payment, for the
// endpoints that want it; where there are none, nothing is written.
func tellOfCustomer(p *book.Page, to []event.Endpoint, kind event.Kind, news any) {
	var wanted []event.Endpoint
	for _, ep := range to {
		if ep.Wants(string(kind)) {
			wanted = append(wanted, ep)
		}
	}
	if len(wanted) == 0 {
		return
	}
	text, err := json.Marshal(news)
	if err != nil {
		panic("plain values cannot fail to encode: " + err.Error())
	}
	e := event.Event{ID: id.Event(p.Mint()), Kind: kind, AtUS: p.NowUS(), Snapshot: string(text)}
	p.Events.Append(e)
	for _, ep := range wanted {
		d := ep.Delivery(id.Delivery(p.Mint()), e, string(kind), p.NowUS())
		p.Deliveries.New(d)
		if d.State == event.DeliveryPending {
			p.Due.New(due.Now(d.ID.Raw(), due.Deliver, p.NowUS(), p.Epoch(), &event.Work{Delivery: d, Event: e}))
		}
	}
}

// checkPayoutsAgain has every payout of a customer's that waits checked once more: by
// another level it may go on, or must wait (limits-and-risk.md section 2). Those that
// are open are named in the customer's windows.
func checkPayoutsAgain(p *book.Page, c customer.Customer) error {
	for _, currency := range c.List() {
		w, ok := p.Windows.Get(limit.WindowID(c.ID, limit.Payouts, money.Currency(currency)))
		if !ok {
			continue
		}
		entries, err := limit.DecodeEntries(w.Entries)
		if err != nil {
			return fmt.Errorf("payouts of %s: %w", c.ID, err)
		}
		for _, e := range entries.List {
			if !e.Reserved() {
				continue
			}
			k := e.Payment.Raw()
			if r, ok := p.Reviews.Get(k); !ok || !waits[r.State] {
				continue
			}
			p.Due.Get(k)
			p.Due.Put(due.Now(k, due.Payout, p.NowUS(), p.Epoch(), nil))
		}
	}
	return nil
}

// waits are the states of a payout's review in which it waits.
var waits = map[string]bool{reviewStepUp: true, reviewHold: true, reviewDeferred: true}

// warnOfLevel tells a customer, once, that they will soon need a level: they are asked
// before a threshold is reached, not at their payout (limits-and-risk.md section 2).
// It gives the customer as they are to be put.
func warnOfLevel(p *book.Page, to []event.Endpoint, c customer.Customer, level int64) (customer.Customer, error) {
	v, err := customer.DecodeVerification(c.Checks)
	if err != nil || v.Warned >= level || level <= c.LevelAt(p.NowUS()) {
		return c, err
	}
	v.Warned = level
	c.Checks = v.Encode()
	p.Customers.Put(c)
	note(p, c.ID, NoteLevelNeed, "rules", map[string]any{"required_level": level})
	tellOfCustomer(p, to, event.CustomerKYCAsked, kycNews{CustomerID: c.Name, Level: c.LevelAt(p.NowUS()), Was: c.LevelAt(p.NowUS()), Required: level})
	c, _ = p.Customers.Get(c.ID) // the note has a place on the row
	return c, nil
}

// caseDepositReview: a deposit was let in that could not be judged whole, such as one
// in a currency without a rate. Until it is closed, payouts wait.
const caseDepositReview = "deposit_review"

// verified refuses a deposit for which the customer's level is too low
// (limits-and-risk.md section 2). It writes nothing: see heed.
func (t *tally) verified(a money.Amount) (risk.Decision, error) {
	now := t.nowUS
	deposits, err := t.deposited()
	if err != nil {
		return risk.Decision{}, err
	}
	f := risk.DepositFacts{NowUS: now, Amount: a, Level: t.customer.LevelAt(now), PEP: t.customer.Exposed()}
	if n := len(deposits); n > 0 {
		all := make(risk.Sum, 3*n)
		f.Ever, f.Days180, f.Days30 = all[:n:n], all[n:2*n:2*n], all[2*n:]
	}
	for n, w := range deposits {
		in := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: w.currency} }
		ever, err := add(w.row.EverMinor, w.entries.Reserved())
		if err != nil {
			return risk.Decision{}, err
		}
		f.Ever[n] = in(ever)
		f.Days180[n] = in(w.entries.Sum(now - risk.Days180.Microseconds()))
		f.Days30[n] = in(w.entries.Sum(now - risk.Days30.Microseconds()))
	}
	if t.rules.PassesDeposit(&f) {
		return risk.Decision{Action: risk.Allow}, nil
	}
	d := t.rules.DecideDeposit(f)
	if no := d.Refusal(); no != nil {
		return d, no
	}
	return d, nil
}

// heed does what a deposit that is let in leads to: its customer is told that they will
// soon need a level, and a person looks at what could not be judged.
func (t *tally) heed(d risk.Decision, pay id.Payment, a money.Amount, told []event.Endpoint) error {
	if d.Warn {
		var err error
		if t.customer, err = warnOfLevel(t.page, told, t.customer, d.RequiredLevel); err != nil {
			return err
		}
	}
	if d.Action == risk.Review {
		if openCase(t.page, pay, t.customer.ID, caseDepositReview, pay.String(), map[string]any{"amount": a, "rules": d.Rules, "results": d.Results}) {
			t.customer.Review++ // reviewed takes it back
			t.page.Customers.Put(t.customer)
		}
	}
	return nil
}

// Decision is an operator's on a check.
type Decision struct {
	Passed bool
	Reason string              // of one that is not: one word
	Result verification.Result // of one that is: until, and who they are
}

// Person gives the hash of who somebody is. verification.ErrFacts: it is not enough to
// know them again, or the installation has no person key.
func (f *Flows) Person(name string, birth time.Time, document string) (string, error) {
	return f.opts.Persons.Person(name, birth, document)
}

// DecideCheck ends a check by an operator's hand: one that only a person can decide, or
// one that was passed and must not hold any more. Errors: ErrNoCheck; ErrState where a
// provider will decide it, or it has ended.
func (f *Flows) DecideCheck(ctx context.Context, k id.Check, d Decision, who operator.Actor) (customer.Check, error) {
	row, ok, err := f.CheckByID(ctx, k)
	switch {
	case err != nil:
		return row, fmt.Errorf("read check: %w", err)
	case !ok:
		return row, ErrNoCheck
	}
	by, _ := f.opts.Verifiers.Of(row.Provider)
	_, decides := by.(verification.NewsReader)
	out := verification.Outcome{Kind: verification.Failed, Result: verification.Result{Reason: d.Reason}}
	switch {
	case row.State == customer.CheckPassed && !d.Passed:
	case row.State != customer.CheckOpen || decides:
		return row, ErrState
	case d.Passed:
		out = verification.Outcome{Kind: verification.Passed, Result: d.Result}
	}
	if err := f.applyCheck(ctx, k, out, who); err != nil {
		return row, err
	}
	row, _, err = f.CheckByID(ctx, k)
	return row, err
}
