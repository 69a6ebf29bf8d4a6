package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/risk"
)

// Ways in which cases are settled. Which there are for a kind of case, and who may,
// says the matrix of package operator.
const (
	SettleAccept = "accept" // of a mismatch of a sale: what the PSP says was paid is booked
	SettleCredit = "credit" // of late money: it is the payee's
	SettleRefund = "refund" // of late money: it goes back to where it came from
	SettlePaid   = "paid"   // of a refund or payout that nobody knows about: it was carried out
	SettleFailed = "failed" // of such a one: it was not
	SettleClose  = "close"  // nothing is to be done
)

var (
	// ErrNoCase: no such case.
	ErrNoCase = errors.New("no such case")
	// ErrResolution: cases of this kind are not settled in this way. The caller must
	// choose another one.
	ErrResolution = errors.New("cases of this kind are not settled in this way")
	// ErrNote: what an operator does to a case needs a word of explanation.
	ErrNote = errors.New("a note is needed that says why, or what was found")
	// ErrCaseFull: the case's log is full, so it must be settled.
	ErrCaseFull = errors.New("the case's log is full: settle it")
)

// A CaseStateError says why the facts do not allow a resolution.
type CaseStateError struct{ Why string }

func (e *CaseStateError) Error() string { return e.Why }

// openCase opens a case about something, once per kind and thing: false, if it was
// opened before.
func openCase(p *book.Page, pay id.Payment, c id.Customer, kind, about string, details map[string]any) bool {
	k := caseKey(p.Bucket(), kind, about)
	if _, known := p.Cases.Get(k); known {
		return false
	}
	text, err := json.Marshal(details)
	if err != nil {
		panic("details of a case are plain values: " + err.Error())
	}
	p.Cases.Put(payment.Case{
		ID: k, Payment: pay, Customer: c, Kind: kind, State: payment.CaseOpen, Details: string(text), CreatedUS: p.NowUS(), ChangedUS: p.NowUS(),
	})
	return true
}

func caseKey(b id.Bucket, kind, about string) id.Case {
	return id.Case(id.Derive(b, "case", kind, about))
}

// OpenCase opens a case about something, once per kind and thing. Details hold no
// personal data.
func OpenCase(p *book.Page, pay id.Payment, kind, about string, details map[string]any) {
	openCase(p, pay, id.Customer{}, kind, about, details)
}

// moveCase has a rule, or news of a PSP, move a case that is about something, if
// there is one and it stands where from says.
func moveCase(p *book.Page, kind, about, by string, s payment.CaseStep, from func(payment.CaseState) bool) {
	c, ok := p.Cases.Get(caseKey(p.Bucket(), kind, about))
	if !ok || !from(c.State) {
		return
	}
	s.AtUS, s.By = p.NowUS(), by
	if c, err := c.Step(s); err == nil { // else its log cannot be read: verify says so, and money does not wait for it
		p.Cases.Put(c)
	}
}

func unsettled(s payment.CaseState) bool { return !s.Settled() }

// Who has moved a case that no person moved.
const (
	byProvider = "psp:news"
	byRule     = "rule:late_success"
	byPayout   = "payout:checks"
)

// SeesCase reports whether an actor may know of a case: as the matrix has its kind, and
// where a rule against laundering has opened it, only who may let that pass.
func SeesCase(by operator.Actor, row payment.Case) bool {
	house := operator.House()
	if !house.Sees(by, row.Kind) {
		return false
	}
	if row.Kind != CasePayoutReview && row.Kind != caseDepositReview || house.SeesLaundering(by) {
		return true
	}
	var opened struct {
		Approver string     `json:"approver"` // of a payout
		Results  []risk.Hit `json:"results"`  // of a deposit
	}
	if err := json.Unmarshal([]byte(row.Details), &opened); err != nil {
		return false
	}
	return opened.Approver != risk.RoleAMLAnalyst && !slices.ContainsFunc(opened.Results, func(h risk.Hit) bool {
		return risk.AML(h.Rule) && h.Action != risk.Allow && h.Error == "" // what could not be judged is no suspicion
	})
}

// ReadCase shows a case to somebody, and logs in the same act that it did. ErrNoCase:
// there is none, or they must not know of it.
func (f *Flows) ReadCase(ctx context.Context, k id.Case, by operator.Actor) (payment.Case, error) {
	if int(k.Bucket()) >= f.book.Buckets() {
		return payment.Case{}, ErrNoCase
	}
	row, err := book.Do(ctx, f.book, book.Act[payment.Case]{
		Name: "case.read", Bucket: k.Bucket(),
		Hint: func(p *book.Page) { p.Cases.Get(k); hintAudit(p) },
		Decide: func(p *book.Page) (payment.Case, error) {
			row, ok := p.Cases.Get(k)
			if !ok || !SeesCase(by, row) {
				return row, ErrNoCase
			}
			audit(p, by, "case.read", k.String(), map[string]any{"kind": row.Kind, "payment": row.Payment.String()})
			return row, nil
		},
	})
	if err != nil {
		return payment.Case{}, fmt.Errorf("read case: %w", err)
	}
	return row, nil
}

// CaseChange is what an operator does to a case.
type CaseChange struct {
	Case id.Case
	By   operator.Actor
	Note string // why, or what was found
}

// moreProposals is how many proposals a full log still takes: where it takes two people
// to settle a case, nobody could settle a full one without.
const moreProposals = 20

// maxNote bounds a note, in bytes.
const maxNote = 4096

// AssignCase gives a case to an operator, who must be there. To give one away that
// is being investigated needs a note.
func (f *Flows) AssignCase(ctx context.Context, c CaseChange, to string) (payment.Case, error) {
	return f.changeCase(ctx, c, "case.assign", func(p *book.Page, row payment.Case) (payment.Case, error) {
		if row.State == payment.CaseAssigned && row.Owner == to {
			return row, nil
		}
		return logged(p, row, c, payment.CaseStep{Did: "assign", To: payment.CaseAssigned, Owner: to})
	})
}

// AddEvidence writes down what was found. Who does so works on the case, if nobody
// did.
func (f *Flows) AddEvidence(ctx context.Context, c CaseChange, reference string) (payment.Case, error) {
	if c.Note == "" || len(reference) > maxNote {
		return payment.Case{}, ErrNote
	}
	return f.changeCase(ctx, c, "case.evidence", func(p *book.Page, row payment.Case) (payment.Case, error) {
		s := payment.CaseStep{Did: "evidence", To: payment.CaseInvestigating, Reference: reference}
		if row.Owner == "" {
			s.Owner = c.By.Name
		}
		return logged(p, row, c, s)
	})
}

// ReopenCase takes a case up again that has ended, or gives one back that is worked
// on. What was booked stays booked. ErrNote.
func (f *Flows) ReopenCase(ctx context.Context, c CaseChange) (payment.Case, error) {
	return f.changeCase(ctx, c, "case.reopen", func(p *book.Page, row payment.Case) (payment.Case, error) {
		return logged(p, row, c, payment.CaseStep{Did: "reopen", To: payment.CaseOpen})
	})
}

// logged writes an operator's step. One that goes back needs a note.
func logged(p *book.Page, row payment.Case, c CaseChange, s payment.CaseStep) (payment.Case, error) {
	if row.State.Back(s.To) && c.Note == "" {
		return row, ErrNote
	}
	most := payment.MaxCaseSteps
	if s.Did == "propose" {
		most += moreProposals
	}
	if steps, err := row.Steps(); err != nil || len(steps) >= most && !s.To.Settled() {
		return row, errors.Join(err, ErrCaseFull)
	}
	s.AtUS, s.By, s.Note = p.NowUS(), c.By.Name, c.Note
	return row.Step(s)
}

// changeCase changes a case in an act, with its entry in the log.
func (f *Flows) changeCase(ctx context.Context, c CaseChange, what string, change func(*book.Page, payment.Case) (payment.Case, error)) (payment.Case, error) {
	switch {
	case int(c.Case.Bucket()) >= f.book.Buckets():
		return payment.Case{}, ErrNoCase
	case len(c.Note) > maxNote || !c.By.Person():
		return payment.Case{}, ErrNote
	}
	row, err := book.Do(ctx, f.book, book.Act[payment.Case]{
		Name: what, Bucket: c.Case.Bucket(),
		Hint: func(p *book.Page) { p.Cases.Get(c.Case); hintAudit(p) },
		Decide: func(p *book.Page) (payment.Case, error) {
			row, ok := p.Cases.Get(c.Case)
			if !ok || !SeesCase(c.By, row) {
				return row, ErrNoCase
			}
			was := row
			row, err := change(p, row)
			if err != nil || row == was {
				return row, err
			}
			p.Cases.Put(row)
			if err := reviewed(p, was, row); err != nil {
				return row, err
			}
			audit(p, c.By, what, row.ID.String(), map[string]any{
				"kind": row.Kind, "payment": row.Payment.String(), "from": was.State, "to": row.State, "owner": row.Owner, "resolution": row.Resolution, "note": c.Note,
			})
			return row, nil
		},
	})
	if err != nil {
		return payment.Case{}, fmt.Errorf("%s: %w", what, err)
	}
	return row, nil
}

// ofCustomers are the kinds of case for which a customer's payouts wait while one of
// them is open: their row counts those.
var ofCustomers = map[string]bool{caseDepositReview: true, caseOtherPerson: true, caseSanctions: true}

// reviewed counts the open cases that a customer's payouts wait for, when one of them
// ends or is taken up again; the payouts are checked once more then.
func reviewed(p *book.Page, was, row payment.Case) error {
	if !ofCustomers[row.Kind] || was.State.Settled() == row.State.Settled() {
		return nil
	}
	c, ok := p.Customers.Get(row.Customer)
	if !ok {
		return nil
	}
	if row.State.Settled() {
		c.Review--
	} else {
		c.Review++
	}
	if row.Kind == caseSanctions {
		var err error
		if c, err = cleared(c, row.State.Settled()); err != nil {
			return err
		}
	}
	p.Customers.Put(c)
	return checkPayoutsAgain(p, c)
}

// SettleCase settles a case in one of the ways that the matrix has for its kind, and
// books what follows, in one act. Where two people must agree (security.md S09) the
// first proposes, and the second settles by asking for the same; a case that waits
// for the second is one that Proposed. Asked again, it answers the same.
//
// Errors, after which nothing has changed: ErrNoCase, ErrResolution, ErrRole,
// ErrSamePerson, ErrNote; *CaseStateError: the facts do not allow it, or another
// resolution has been carried out.
func (f *Flows) SettleCase(ctx context.Context, c CaseChange, how string) (payment.Case, error) {
	if c.Note == "" {
		return payment.Case{}, ErrNote
	}
	f.look(ctx, ofCustomer)
	told := f.opts.Endpoints()
	row, err := f.changeCase(ctx, c, "case."+how, func(p *book.Page, row payment.Case) (payment.Case, error) {
		rule, known := operator.House().Of(operator.Resolution(row.Kind, how))
		switch {
		case !known:
			return row, ErrResolution
		case !rule.Allows(c.By):
			return row, ErrRole
		case row.State.Settled() && row.Resolution == how:
			return row, nil
		case row.State.Settled():
			return row, &CaseStateError{"the case was settled by " + row.Resolution}
		}
		settlement := f.settlementOf(p, row, told, c.By)
		if err := settlement.check(how); err != nil {
			return row, err
		}
		if rule.Persons > 1 {
			first, err := row.Proposed()
			switch {
			case err != nil:
				return row, err
			case first.How != how:
				return logged(p, row, c, payment.CaseStep{Did: "propose", To: payment.CaseInvestigating, How: how, Owner: ownerOf(row, c)})
			case c.By.Is(first.By):
				return row, ErrSamePerson
			}
		}
		if err := settlement.book(how); err != nil {
			return row, err
		}
		if how == SettleClose {
			return logged(p, row, c, payment.CaseStep{Did: "close", To: payment.CaseClosed, How: how})
		}
		return logged(p, row, c, payment.CaseStep{Did: "resolve", To: payment.CaseResolved, How: how})
	})
	if err != nil {
		return row, err
	}
	if pay, ok, err := f.read.Payment(ctx, row.Payment); ok && err == nil && pay.Type == payment.TypePayout {
		f.freeEnded(ctx, pay)
	}
	return row, nil
}

// ownerOf is who works on a case once somebody has acted.
func ownerOf(row payment.Case, c CaseChange) string {
	if row.Owner != "" {
		return row.Owner
	}
	return c.By.Name
}

// settles is a case with the rows that it is about: whether the facts allow a
// resolution, and what is booked by it.
type settles interface {
	check(how string) error
	book(how string) error
}

func (f *Flows) settlementOf(p *book.Page, row payment.Case, told endpoints, by operator.Actor) settles {
	switch row.Kind {
	case caseUntold:
		return untoldCase{p, row}
	case caseStatement, caseRemittance:
		return statementCase{p, row, by}
	}
	return f.settlement(p, row, told)
}

// settlement is a case of a payment with the rows that it is about.
type settlement struct {
	application
	about payment.Case
	said  money.Amount // of a mismatch: what the PSP said
	found bool         // there is an attempt that it is about
}

// settlement reads what a case is about.
func (f *Flows) settlement(p *book.Page, row payment.Case, told endpoints) *settlement {
	s := &settlement{about: row}
	s.application = application{page: p, projects: f.opts.Projects, licence: f.ofProject, endpoints: told, settling: true}
	var details struct {
		Attempt id.Attempt    `json:"attempt"`
		Said    *money.Amount `json:"said"`
	}
	if json.Unmarshal([]byte(row.Details), &details) != nil || details.Attempt.IsZero() || details.Attempt.Bucket() != p.Bucket() {
		return s
	}
	if s.attempt, s.found = p.Attempts.Get(details.Attempt); !s.found {
		return s
	}
	if details.Said != nil {
		s.said = *details.Said
	}
	s.op, _ = p.Operations.Get(s.attempt.Operation)
	s.pay, _ = p.Payments.Get(s.attempt.Payment)
	if c, ok := f.opts.Connectors(s.attempt.Connector, s.attempt.Account); ok {
		s.lookups, s.movesMoney = c.Capabilities().LookupSchedule, c.Capabilities().SaleMovesMoney
	}
	return s
}

func no(format string, args ...any) error { return &CaseStateError{fmt.Sprintf(format, args...)} }

// check says why the facts do not allow a resolution; nil if they do.
func (s *settlement) check(how string) error {
	open := s.found && !s.attempt.Status.Final()
	handled, late := "", s.found && s.attempt.Late != 0 && s.attempt.Kind == payment.KindSale && s.attempt.Status == payment.AttemptApproved
	if late {
		handled = s.handled()
	}
	switch how {
	case SettleClose:
		switch {
		case s.about.Kind == CaseLateSuccess && late && handled == "":
			return no("the money has come and is owed: credit or refund it")
		case s.about.Kind == CaseUnsettled && open:
			return no("its money is still reserved: say whether it was paid or has failed")
		}
		return nil
	case SettleAccept:
		return s.checkAccept(open)
	case SettleCredit, SettleRefund:
		return s.checkLate(how, late, handled)
	case SettlePaid, SettleFailed:
		switch {
		case !s.found || s.attempt.Kind == payment.KindSale:
			return no("it is about no refund or payout")
		case !open:
			return no("the PSP has said its last word meanwhile: it is %s", s.attempt.Status)
		}
		return nil
	}
	return ErrResolution
}

// checkAccept: a sale that is still open, of which the PSP named another amount in
// the same currency. Its payment must have no other sale: that is of the amount
// that was asked for.
func (s *settlement) checkAccept(open bool) error {
	switch {
	case !open || s.attempt.Kind != payment.KindSale:
		return no("only a sale that is still open can be accepted: of a refund or payout say whether it was paid or has failed")
	case s.said.Minor <= 0 || s.said.Currency != s.attempt.Amount.Currency:
		return no("what the PSP said is no amount in %s: settle it with the PSP, and close the case", s.attempt.Amount.Currency)
	case s.pay.LastOperation != s.op.ID || !s.op.Prev.IsZero() || !s.attempt.Prev.IsZero() || s.op.Attempt != s.attempt.ID:
		return no("the customer has tried again since: settle it with the PSP, and close the case")
	}
	return nil
}

func (s *settlement) checkLate(how string, late bool, handled string) error {
	switch {
	case !late:
		return no("no money has come late")
	case handled != "":
		return no("it is done already: %s", handled)
	case how == SettleRefund:
		return nil
	case s.pay.Status != payment.StatusDeclined:
		return no("the payment is %s by another try: refund it", s.pay.Status)
	}
	why, err := s.barredLate(project.LateCredit)
	if err != nil {
		return err
	}
	if why != "" {
		return no("the customer may not play with it (%s): refund it", why)
	}
	return nil
}

// handled says what has become of late money: "credit", "refund", or "" if it is
// still owed. A refund that failed leaves it owed.
func (s *settlement) handled() string {
	for next := s.pay.LastOperation; !next.IsZero(); {
		op, ok := s.page.Operations.Get(next)
		if !ok {
			return ""
		}
		switch op.Kind {
		case payment.KindManualChange:
			if op.Attempt == s.attempt.ID {
				return SettleCredit
			}
		case payment.KindRefund:
			if a, ok := s.page.Attempts.Get(op.Attempt); ok && a.Late != 0 && a.Of == s.attempt.ID && op.Status != payment.OperationDecline {
				return SettleRefund
			}
		case payment.KindSale, payment.KindPayout:
		}
		next = op.Prev
	}
	return ""
}

// book carries a resolution out, as news of the PSP would be: by apply, or by what
// apply does with late money.
func (s *settlement) book(how string) error {
	switch how {
	case SettleAccept:
		return s.accept()
	case SettleCredit:
		if err := s.creditLate(); err != nil {
			return err
		}
		s.page.Payments.Put(s.pay)
		return s.save()
	case SettleRefund:
		if err := s.refundLate(); err != nil {
			return err
		}
		s.page.Payments.Put(s.pay)
		return nil
	case SettlePaid:
		s.out = connector.Outcome{Kind: connector.Approved, Amount: s.attempt.Amount}
		return s.apply()
	case SettleFailed:
		s.out = connector.Outcome{Kind: connector.Declined, Code: payment.CodeGeneralDecline}
		return s.apply()
	}
	return nil
}

// accept books what the PSP said was paid: the payment is of that from now on. What
// was asked for stays in the case. A customer who may not play with so much gets it
// back (RG-LATE).
func (s *settlement) accept() error {
	more := s.said.Minor > s.attempt.Amount.Minor
	s.pay.Amount, s.op.Amount, s.attempt.Amount = s.said, s.said, s.said
	s.page.Operations.Put(s.op)
	if more && !s.pay.Status.Final() {
		if t := s.tally(); t != nil {
			if err := t.free(s.pay.ID, s.said.Currency); err != nil {
				return err
			}
			err := t.fits(s.said)
			if errors.As(err, new(*risk.Refusal)) {
				return s.refuseCapture(limitLowered)
			}
			if err := errors.Join(err, t.reserve(s.pay.ID, s.said)); err != nil {
				return err
			}
		}
	}
	s.out = connector.Outcome{Kind: connector.Approved, Amount: s.said}
	return s.apply()
}
