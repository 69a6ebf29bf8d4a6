package flow

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/limit"
	"aorta/internal/payment"
	"aorta/internal/project"
)

// Kinds of case that the flows open.
const (
	CaseMismatch    = "mismatch"      // the PSP's news does not fit what we asked for
	CaseLateSuccess = "late_success"  // captured after our decline
	CaseConflict    = "contradiction" // the PSP took back its last word
	CaseUnsettled   = "unsettled"     // a refund or payout of which the PSP has said nothing final for a day
	CaseUnmatched   = "unmatched"     // the PSP's news names a payment, and not one open attempt of it is meant
)

// Apply books what a PSP said of an attempt. The synchronous answer, the
// notification, the look-up and the operator all come through here, so they
// cannot disagree; news that is already known changes nothing.
func (f *Flows) Apply(ctx context.Context, known payment.Attempt, out connector.Outcome) error {
	caps := connector.Capabilities{SaleMovesMoney: true} // of an account unknown here the worse is assumed
	if c, ok := f.opts.Connectors(known.Connector, known.Account); ok {
		caps = c.Capabilities()
	}
	lookups := caps.LookupSchedule
	if len(f.opts.Lookups) > 0 {
		lookups = f.opts.Lookups
	}
	if out.Kind == connector.Approved || out.Kind == connector.Declined {
		f.look(ctx, known.Payee)
	}
	n := &news{known: known, out: out, lookups: lookups, movesMoney: caps.SaleMovesMoney, projects: f.opts.Projects, licence: f.ofProject, endpoints: f.opts.Endpoints()}
	_, err := book.Do(ctx, f.book, book.Act[struct{}]{Name: actName(known.Kind), Bucket: known.ID.Bucket(), Hint: func(p *book.Page) {
		n.hint(p)
		if out.Kind == connector.Approved || out.Kind == connector.Declined {
			n.whose, n.window = f.hintCounted(p, &known)
		}
	}, Decide: n.decide})
	if err != nil {
		return fmt.Errorf("apply %s to %s: %w", n.out.Kind, n.known.ID, err)
	}
	f.recent.put(n.known)
	f.freeEnded(ctx, n.ended)
	return nil
}

// actName spares the common ones a concatenation.
func actName(k payment.OperationKind) string {
	switch k {
	case payment.KindSale:
		return "sale.apply"
	case payment.KindRefund:
		return "refund.apply"
	case payment.KindPayout:
		return "payout.apply"
	case payment.KindManualChange:
	}
	return string(k) + ".apply"
}

// news is an outcome and the attempt that it is of: all that the act knows, in
// one piece of memory.
type news struct {
	known      payment.Attempt // as the caller knows it, and once applied as it is
	out        connector.Outcome
	lookups    []time.Duration
	movesMoney bool
	projects   func(int64) (project.Project, bool)
	licence    func(projectID int64) *licence
	endpoints  endpoints
	whose      wallet          // found by the hint
	window     id.Window       // as well
	ended      payment.Payment // a payout in parts that ended by it; the zero one: none did
}

// hint names the rows that apply will want.
func (n *news) hint(p *book.Page) {
	known := &n.known
	p.Attempts.Get(known.ID)
	p.Operations.Get(known.Operation)
	p.Payments.Get(known.Payment)
	p.Due.Get(known.ID.Raw())
	if n.out.Kind == connector.Approved && known.Kind == payment.KindSale {
		b, cur := known.ID.Bucket(), known.Amount.Currency
		p.Accounts.Get(ledger.AccountID(b, known.PSP(), ledger.Clearing, cur))
		p.Accounts.Get(ledger.AccountID(b, known.Payee, payeePurpose(known.Payee), cur))
	}
	if known.Way != "" {
		p.Windows.Get(limit.WindowID(walletOf(known.ID.Bucket(), known.Payee).customer, limit.Deposits, known.Amount.Currency))
	}
	if known.Kind == payment.KindPayout {
		b, cur := known.ID.Bucket(), known.Amount.Currency
		if known.Way != "" && (n.out.Kind == connector.Approved || n.out.Kind == connector.Declined) {
			c := walletOf(b, known.Payee).customer
			p.Customers.Get(c)
			p.Windows.Get(limit.WindowID(c, limit.Payouts, cur))
			p.Windows.Get(limit.WindowID(c, limit.Play, cur))
			p.Reviews.Get(known.Payment.Raw())
			p.Due.Get(known.Payment.Raw())
		}
		p.Accounts.Get(ledger.AccountID(b, known.Payee, ledger.Reserved, cur))
		p.Accounts.Get(ledger.AccountID(b, known.Payee, ledger.Available, cur))
		if n.out.Kind == connector.Approved {
			p.Accounts.Get(ledger.AccountID(b, known.PSP(), ledger.Clearing, cur))
		}
	}
}

func (n *news) decide(p *book.Page) (struct{}, error) {
	a, ok := p.Attempts.Get(n.known.ID)
	if !ok {
		return struct{}{}, ErrNoAttempt
	}
	x := application{page: p, out: n.out, lookups: n.lookups, movesMoney: n.movesMoney, projects: n.projects, licence: n.licence, endpoints: n.endpoints, attempt: a, whose: n.whose}
	if a.Amount.Currency == n.known.Amount.Currency {
		x.window = n.window
	}
	x.op, _ = p.Operations.Get(a.Operation)
	x.pay, _ = p.Payments.Get(a.Payment)
	if err := x.apply(); err != nil {
		return struct{}{}, err
	}
	n.known, n.ended = x.attempt, payment.Payment{}
	if x.inParts() && x.pay.Status.Final() {
		n.ended = x.pay
	}
	return struct{}{}, nil
}

// application is one run of apply: an outcome and the rows it falls on.
type application struct {
	page       *book.Page
	out        connector.Outcome
	lookups    []time.Duration
	movesMoney bool
	projects   func(int64) (project.Project, bool)
	licence    func(projectID int64) *licence // nil: nothing that it does is counted
	counts     *tally                         // of its customer, once it is read
	whose      wallet                         // the customer's, once it is asked for
	window     id.Window                      // of their deposits in the attempt's currency; zero: not found out
	endpoints  endpoints
	settling   bool // an operator settles a case by it

	pay     payment.Payment
	op      payment.Operation
	attempt payment.Attempt
	asked   []payment.Attempt // those of a payout's parts that the act has just made
}

func (x *application) apply() error {
	if x.attempt.Status.Final() {
		return x.afterFinal()
	}
	if x.out.Mismatch != "" && x.attempt.Kind == payment.KindSale {
		x.mismatch() // no more than a hint: its look-ups and its time decide
		return nil
	}
	x.hear()
	if x.out.Mismatch != "" || x.out.Kind == connector.Approved && x.out.Amount != x.attempt.Amount {
		x.mismatch()
		if x.attempt.Kind != payment.KindSale {
			x.attempt.Status = payment.AttemptAccepted // it knows it: that it later does not frees no money, and sends none again
		}
		return x.wait()
	}
	switch x.out.Kind {
	case connector.Approved:
		return x.approve()
	case connector.Declined:
		return x.decline(payment.AttemptDeclined)
	case connector.Pending:
		return x.accept()
	case connector.Unknown:
		return x.unknown()
	case connector.NotSent:
		return x.notSent()
	}
	return fmt.Errorf("outcome of kind %q", x.out.Kind)
}

// mismatch has a person look: what the PSP says does not fit what we asked for.
func (x *application) mismatch() {
	details := map[string]any{"asked": x.attempt.Amount, "said": x.out.Amount}
	if x.out.Mismatch != "" {
		details["mismatch"] = x.out.Mismatch
	}
	x.open(CaseMismatch, details)
}

// hear notes the PSP's own words on the attempt.
func (x *application) hear() {
	a := &x.attempt
	a.ChangedUS = x.page.NowUS() // now and not when it is saved, so that events have it too
	if x.out.ProviderID != "" {
		a.ProviderID = x.out.ProviderID
	}
	if x.out.ProviderCode != "" {
		a.ProviderCode, a.ProviderMessage = x.out.ProviderCode, x.out.ProviderMessage
	}
	if !x.out.ProviderTime.IsZero() {
		a.ProviderUS = x.out.ProviderTime.UnixMicro()
	}
}

// afterFinal handles news of an attempt on which the PSP had said its last
// word. The same word again is known; another one is a case for a person.
func (x *application) afterFinal() error {
	if x.out.Mismatch != "" {
		x.mismatch()
		return nil
	}
	said := map[connector.Kind]payment.AttemptStatus{
		connector.Approved: payment.AttemptApproved, connector.Declined: payment.AttemptDeclined,
	}[x.out.Kind]
	if said != "" && said != x.attempt.Status {
		if said == payment.AttemptApproved && x.out.Amount == x.attempt.Amount && x.attempt.Kind == payment.KindSale && !x.pay.Status.Final() {
			x.hear()
			return x.approve() // it was declined, the payment goes on elsewhere, and it is paid here after all
		}
		if said == payment.AttemptApproved && x.out.Amount == x.attempt.Amount && x.attempt.Kind == payment.KindSale {
			x.hear()
			return x.late("")
		}
		x.open(CaseConflict, map[string]any{"attempt": x.attempt.Status, "said": x.out.Kind, "provider_code": x.out.ProviderCode})
	}
	if !x.pay.RetryOffered() {
		x.forgetDue() // else it is what ends the offer
	}
	return nil
}

// accept: the PSP has taken the request, or still has it.
func (x *application) accept() error {
	if x.out.NoRecord {
		return x.noRecord()
	}
	if mutation == "early" {
		return x.approve()
	}
	if x.attempt.Status != payment.AttemptAccepted {
		x.attempt.Status, x.attempt.Lookups = payment.AttemptAccepted, 0
	}
	x.attempt.NoRecords, x.attempt.NoRecordUS = 0, 0
	if x.out.Redirect != nil {
		text, err := json.Marshal(x.out.Redirect)
		if err != nil {
			return fmt.Errorf("encode redirect: %w", err)
		}
		x.attempt.Redirect = string(text)
	}
	if x.attempt.Kind == payment.KindSale && !x.pay.Status.Final() && x.current() {
		from, to, kind := x.pay.Status, payment.StatusPending, event.PaymentPending
		if x.out.Redirect != nil {
			to, kind = payment.StatusAwaitingCustomer, event.PaymentAwaiting
			x.op.Status = payment.OperationAwaitingCustomer
		}
		if from != to && (from == payment.StatusNew || x.out.Redirect != nil) {
			if err := x.move(to); err != nil {
				return err
			}
			x.op.ChangedUS = x.page.NowUS()
			x.record(kind, from, kind == event.PaymentAwaiting)
			x.page.Payments.Put(x.pay)
			x.page.Operations.Put(x.op)
		}
	}
	return x.wait()
}

// current reports whether a payment that is still open goes by this attempt.
func (x *application) current() bool {
	return x.op.Attempt == x.attempt.ID && x.pay.LastOperation == x.op.ID
}

// noRecord: the PSP knows no such operation. Where the customer was sent to
// its page that means "nobody has paid yet", and only time ends it. Elsewhere
// two such answers at least ten minutes apart prove that it was not sent: from
// when the first is noted, which is after it was given, to when the other was
// asked for, however long it then took to be noted.
func (x *application) noRecord() error {
	if x.attempt.Kind == payment.KindSale && !x.movesMoney {
		return x.wait()
	}
	now := x.page.NowUS()
	if x.attempt.Status == payment.AttemptAccepted {
		// It had said that it took it: a person must look. It is never taken for not sent.
		x.open(CaseConflict, map[string]any{"attempt": x.attempt.Status, "said": "no record"})
		return x.wait()
	}
	x.attempt.NoRecords++
	if x.attempt.NoRecords == 1 {
		x.attempt.NoRecordUS = now
	}
	if mutation == "norecord" || x.attempt.NoRecords >= 2 && min(now, x.out.AskedUS)-x.attempt.NoRecordUS >= noRecordGap.Microseconds() {
		return x.notSent()
	}
	return x.wait()
}

// noRecordGap is how far apart two "no such operation" must lie (L15).
const noRecordGap = 10 * time.Minute

// unknown: the answer was lost. The operation and the payment stay as they are; a
// payout says so.
func (x *application) unknown() error {
	if x.out.NoRecord {
		return x.noRecord()
	}
	if mutation == "unknown" {
		return x.decline(payment.AttemptDeclined)
	}
	if x.attempt.Status == payment.AttemptAsking {
		x.attempt.Status = payment.AttemptUnknown
		switch {
		case x.attempt.Kind == payment.KindSale && !x.movesMoney && !x.pay.Status.Final():
			return x.again()
		case x.attempt.Kind == payment.KindPayout:
			if mutation == "release" {
				return x.decline(payment.AttemptNotSent)
			}
			lost := x.payoutUnknown
			if x.inParts() {
				lost = x.partUnknown
			}
			if err := lost(); err != nil {
				return err
			}
		}
	}
	return x.wait()
}

// maxAsks bounds the attempts of one sale whose answers are lost.
const maxAsks = 5

// again follows a lost answer to a call that cannot move money by a new
// attempt under a new reference: the lost one made at most a page that no
// customer was sent to (L15).
func (x *application) again() error {
	asks := x.attempt.Lookups + 1 // an attempt that was not looked up counts its forerunners here
	now := x.page.NowUS()
	at := now + (time.Second<<(asks-1)).Microseconds()/2
	if asks >= maxAsks || at >= x.pay.LimitUS {
		return x.wait()
	}
	next := payment.Attempt{
		ID: id.Attempt(x.page.Mint()), Operation: x.op.ID, Payment: x.pay.ID, Prev: x.attempt.ID, Connector: x.attempt.Connector,
		Account: x.attempt.Account, Payee: x.attempt.Payee, Kind: x.attempt.Kind, Status: payment.AttemptAsking,
		Amount: x.attempt.Amount, Lookups: asks, CreatedUS: now, ChangedUS: now,
	}
	x.page.Attempts.New(next)
	x.page.Due.New(due.At(next.ID.Raw(), due.AskLater, at))
	x.op.Attempt, x.op.ChangedUS = next.ID, now
	x.page.Operations.Put(x.op)
	x.forgetDue()
	return x.save()
}

// notSent: proved that the PSP did not take it.
func (x *application) notSent() error {
	if x.attempt.Kind != payment.KindSale && x.attempt.Status == payment.AttemptAccepted {
		// It has taken it all the same, and said so by itself: what became of it only a look-up can tell.
		x.open(CaseConflict, map[string]any{"attempt": x.attempt.Status, "said": x.out.Kind})
		return x.wait()
	}
	x.attempt.NoRecords, x.attempt.NoRecordUS = 0, 0
	if x.out.Code == "" {
		x.out.Code = payment.CodeProviderUnavailable
	}
	now := x.page.NowUS()
	age := now - x.attempt.CreatedUS
	if x.inParts() {
		return x.partNotSent()
	}
	if x.attempt.Kind != payment.KindRefund || age >= resendFor.Microseconds() {
		return x.decline(payment.AttemptNotSent)
	}
	// A refund is resent under the same reference, which PSPs take once.
	x.attempt.Status, x.attempt.Lookups = payment.AttemptAsking, 0
	x.setDue(due.AskLater, now+min(time.Second.Microseconds()+age/10, (10*time.Minute).Microseconds()))
	return x.save()
}

// resendFor bounds how long a refund that the PSP does not take is sent again.
const resendFor = 24 * time.Hour

// approve: the money has moved, and the amount is what we asked for.
func (x *application) approve() error {
	switch x.attempt.Kind {
	case payment.KindRefund:
		return x.refunded()
	case payment.KindPayout:
		if x.inParts() {
			return x.partPaid()
		}
		return x.paidOut()
	case payment.KindSale, payment.KindManualChange:
	}
	if x.pay.Status.Final() {
		return x.late("")
	}
	why, err := x.barred()
	if err != nil {
		return err
	}
	if why != "" {
		return x.refuseCapture(why)
	}
	from := x.pay.Status
	if err := x.move(payment.StatusCaptured); err != nil {
		return err
	}
	if err := x.transfer(ledger.KindDeposit, x.clearing(), x.payee()); err != nil {
		return err
	}
	if err := x.used(); err != nil {
		return err
	}
	if err := x.countDeposit(); err != nil {
		return err
	}
	x.attempt.Status = payment.AttemptApproved
	x.pay.CapturedMinor = x.attempt.Amount.Minor
	x.pay.Code, x.pay.Message = payment.CodeSuccess, payment.CodeMessage(payment.CodeSuccess)
	x.end(payment.OperationSuccess, payment.CodeSuccess)
	x.endRetry()
	x.record(event.PaymentCaptured, from, true)
	return x.saveAll()
}

// late: captured news after our final decline (or of a second attempt of a
// payment that another attempt has paid). The money is booked and owed; what
// becomes of it is the project's rule (L15). barred is why its customer must not play
// with it, if the caller has found that out: such money goes back whatever the rule, also
// where, the payment now being declined, nothing would be found any more.
func (x *application) late(barred string) error {
	rule := project.LateHold
	if pr, ok := x.projects(x.pay.ProjectID); ok && pr.LateSuccess != "" {
		rule = pr.LateSuccess
	}
	why, err := x.barredLate(rule)
	if err != nil {
		return err
	}
	if why == "" {
		why = barred
	}
	x.attempt.Status = payment.AttemptApproved
	x.attempt.Late = 1
	if err := x.transfer(ledger.KindLateSuccess, x.clearing(), x.refundDue()); err != nil {
		return err
	}
	details := map[string]any{"amount": x.attempt.Amount, "provider_id": x.attempt.ProviderID}
	if why != "" {
		details["rule"], details["why"] = ruleLate, why
		if rule = project.LateRefund; why == string(customer.Frozen) {
			rule = project.LateHold // what is frozen goes nowhere
		}
	}
	x.open(CaseLateSuccess, details)
	x.record(event.LateSuccess, x.pay.Status, false)
	handled := payment.CaseStep{Did: "resolve", To: payment.CaseResolved}
	switch {
	case rule == project.LateRefund && mutation != "late":
		handled.How = SettleRefund
		if err := x.refundLate(); err != nil {
			return err
		}
	case rule == project.LateCredit && x.pay.Status == payment.StatusDeclined:
		handled.How = SettleCredit
		if err := x.creditLate(); err != nil {
			return err
		}
	}
	if handled.How != "" {
		moveCase(x.page, CaseLateSuccess, x.attempt.ID.String(), byRule, handled, unsettled)
	}
	x.forgetDue()
	x.page.Payments.Put(x.pay)
	return x.save()
}

// creditLate gives the payee what came late; a manual change tells the merchant.
func (x *application) creditLate() error {
	from, now := x.pay.Status, x.page.NowUS()
	if err := x.transfer(ledger.KindLateCredit, x.refundDue(), x.payee()); err != nil {
		return err
	}
	if err := x.used(); err != nil {
		return err
	}
	if err := x.countDeposit(); err != nil {
		return err
	}
	if err := x.move(payment.StatusCaptured); err != nil {
		return err
	}
	op := payment.Operation{
		ID: id.Operation(x.page.Mint()), Payment: x.pay.ID, Prev: x.pay.LastOperation, Number: x.page.Number(), Kind: payment.KindManualChange,
		Status: payment.OperationSuccess, Amount: x.attempt.Amount, Code: payment.CodeSuccess, Message: payment.CodeMessage(payment.CodeSuccess),
		Attempt: x.attempt.ID, CreatedUS: now, ChangedUS: now,
	}
	x.page.Operations.New(op)
	x.pay.LastOperation = op.ID
	x.pay.CapturedMinor = x.attempt.Amount.Minor
	x.pay.Code, x.pay.Message = payment.CodeSuccess, payment.CodeMessage(payment.CodeSuccess)
	record(x.page, x.endpoints, &x.pay, op, x.attempt, event.PaymentCaptured, from, true)
	return nil
}

// decline ends the operation with the PSP's no.
func (x *application) decline(as payment.AttemptStatus) error {
	x.attempt.Status = as
	switch x.attempt.Kind {
	case payment.KindRefund:
		return x.refundFailed()
	case payment.KindPayout:
		if x.inParts() {
			return x.partFailed()
		}
		return x.payoutFailed()
	case payment.KindSale, payment.KindManualChange:
	}
	if x.pay.Status.Final() || !x.current() {
		x.forgetDue()
		return x.save()
	}
	code := x.out.Code
	if code == "" {
		code = payment.CodeGeneralDecline
	}
	if offered, err := x.offerRetry(code); offered || err != nil {
		return err
	}
	return x.declinePayment(code)
}

func (x *application) declinePayment(code string) error {
	from := x.pay.Status
	if err := x.move(payment.StatusDeclined); err != nil {
		return err
	}
	if err := x.freed(); err != nil {
		return err
	}
	x.pay.Code, x.pay.Message = code, payment.CodeMessage(code)
	x.attempt.ChangedUS = x.page.NowUS()
	x.end(payment.OperationDecline, code)
	x.record(event.PaymentDeclined, from, true)
	return x.saveAll()
}

// wait plans the next look-up. A sale is also looked at when its time is over.
func (x *application) wait() error {
	now := x.page.NowUS()
	x.attempt.Lookups++
	next := now + step(x.lookups, int(x.attempt.Lookups)-1).Microseconds()
	if x.attempt.Kind == payment.KindSale {
		// Our decline stops the polling; late news comes by itself. A payment that another try has paid
		// goes on to be watched: this one's page may still be open.
		if x.pay.Status == payment.StatusDeclined || (x.pay.Status.Final() && now >= x.pay.LimitUS) {
			x.forgetDue()
			return x.save()
		}
		next = min(next, max(x.pay.LimitUS, now))
	} else if now-x.attempt.CreatedUS >= unsettledAfter.Microseconds() {
		// Nobody knows: the money stays reserved and the PSP is asked for ever, but now a person must look (torture.md T23).
		x.open(CaseUnsettled, map[string]any{"amount": x.attempt.Amount, "status": x.attempt.Status})
	}
	x.setDue(due.Watch, next)
	return x.save()
}

// unsettledAfter is how old a refund or payout may be before somebody is told that its
// end is not known.
const unsettledAfter = 24 * time.Hour

// defaultLookup is the pause between look-ups where a connector names none.
const defaultLookup = time.Minute

func step(schedule []time.Duration, n int) time.Duration {
	if len(schedule) == 0 {
		return defaultLookup
	}
	return schedule[min(n, len(schedule)-1)]
}

// Small things.

func (x *application) move(to payment.Status) error {
	moved, err := x.pay.Move(to, x.page.NowUS())
	x.pay = moved
	return err
}

func (x *application) end(s payment.OperationStatus, code string) {
	x.settled(s)
	x.op.Status, x.op.ChangedUS = s, x.page.NowUS()
	x.op.Code, x.op.Message = code, payment.CodeMessage(code)
}

// settled ends the case of a refund or payout of which nobody knew anything, now
// that the PSP has said its last word.
func (x *application) settled(s payment.OperationStatus) {
	long := x.page.NowUS()-x.attempt.CreatedUS >= unsettledAfter.Microseconds()
	if x.settling || x.attempt.ID.IsZero() || x.attempt.Kind == payment.KindSale || !s.Final() || !long {
		return
	}
	how := SettleFailed
	if s == payment.OperationSuccess {
		how = SettlePaid
	}
	moveCase(x.page, CaseUnsettled, x.attempt.ID.String(), byProvider, payment.CaseStep{Did: "resolve", To: payment.CaseResolved, How: how}, unsettled)
}

// record writes the event of what the rows have become.
func (x *application) record(kind event.Kind, from payment.Status, tell bool) {
	record(x.page, x.endpoints, &x.pay, x.op, x.attempt, kind, from, tell)
}

// saveAll saves the three rows and ends the attempt's due work.
func (x *application) saveAll() error {
	x.page.Payments.Put(x.pay)
	x.page.Operations.Put(x.op)
	x.forgetDue()
	return x.save()
}

func (x *application) save() error {
	x.attempt.ChangedUS = x.page.NowUS()
	x.page.Attempts.Put(x.attempt)
	return nil
}

func (x *application) forgetDue() {
	k := x.attempt.ID.Raw()
	if _, ok := x.page.Due.Get(k); ok {
		x.page.Due.Delete(k)
	}
}

func (x *application) setDue(k due.Kind, atUS int64) {
	d := due.At(x.attempt.ID.Raw(), k, atUS)
	if was, ok := x.page.Due.Get(d.ID); ok {
		d.Tries = was.Tries
	}
	x.page.Due.Put(d)
}

// open opens a case, once per attempt and kind.
func (x *application) open(kind string, details map[string]any) {
	details["attempt"] = x.attempt.ID.String()
	openCase(x.page, x.pay.ID, x.caseCustomer(), kind, x.attempt.ID.String(), details)
}

// caseCustomer is whom a case of it is about; zero of a shop's payment.
func (x *application) caseCustomer() id.Customer {
	if !strings.HasPrefix(x.attempt.Payee, ofCustomer) {
		return id.Customer{}
	}
	return x.wallet().customer
}
