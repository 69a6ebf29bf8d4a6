package flow

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/project"
)

// RefundRequest is what a door knows of a refund once it has checked it.
type RefundRequest struct {
	Project          project.Project
	Payment          payment.Payment // as read before; the act reads it again
	Amount           money.Amount    // zero: all that remains
	ID               id.Operation    // chosen before, where a repeat must find it; zero: chosen now
	MerchantRefundID string          // unique per project; may be empty
	Description      string
}

// BeginRefund reserves the money and makes the refund durable, then has the
// PSP asked. A refund of more than remains, or one that the wallet cannot bear,
// is an operation too: declined at once, with its callback.
//
// Errors: ErrState, ErrRefundIDKnown, payment.ErrNoPayment; book.ErrBusy as of a sale.
func (f *Flows) BeginRefund(ctx context.Context, r RefundRequest) (Begun, error) {
	if f.opts.Behind(r.Payment.CallbackURL) {
		return Begun{}, errBehind
	}
	sale, err := f.captured(ctx, r.Payment)
	if err != nil {
		return Begun{}, err
	}
	done := make(chan struct{})
	var key payment.RefKey
	if r.MerchantRefundID != "" {
		key = f.book.RefKey("refund:"+strconv.FormatInt(r.Project.ID, 10), r.MerchantRefundID)
	}
	pay := r.Payment.ID
	reserved := id.Raw{}
	if key.Scope != "" && !f.book.SameHome(key.Bucket, pay.Bucket()) {
		if reserved = r.ID.Raw(); reserved.IsZero() {
			reserved = f.book.Mint(pay.Bucket())
		}
		owner, err := f.book.Reserve(ctx, key, reserved)
		if err != nil {
			return Begun{}, fmt.Errorf("reserve refund id: %w", err)
		}
		if owner != reserved {
			_, known, err := f.read.Operation(ctx, id.Operation(owner))
			switch {
			case err != nil:
				return Begun{}, fmt.Errorf("read refund of that id: %w", err)
			case known || owner.Bucket() != pay.Bucket():
				return Begun{}, ErrRefundIDKnown
			}
			reserved = owner // an orphan of ours: go on with its id
		}
	}
	told := f.opts.Endpoints()
	begun, err := book.Do(ctx, f.book, book.Act[Begun]{
		Name: "refund.begin", Bucket: pay.Bucket(),
		Hint: func(p *book.Page) {
			p.Payments.Get(pay)
			if key.Scope != "" && reserved.IsZero() {
				p.Refs.Get(key)
			}
		},
		Decide: func(p *book.Page) (Begun, error) {
			return beginRefund(p, told, r, sale, key, reserved, done)
		},
	})
	if err != nil {
		return Begun{}, fmt.Errorf("begin refund: %w", err)
	}
	if begun.Operation.Status.Final() {
		close(done)
	}
	begun.Asked = done
	return begun, nil
}

// NewRefund chooses the id of a refund that is not begun yet.
func (f *Flows) NewRefund(p id.Payment) id.Operation { return id.Operation(f.book.Mint(p.Bucket())) }

// captured finds the attempt that took the money of a payment.
func (f *Flows) captured(ctx context.Context, pay payment.Payment) (payment.Attempt, error) {
	for next := pay.LastOperation; !next.IsZero(); {
		v, err := f.operation(ctx, next)
		if err != nil {
			return payment.Attempt{}, err
		}
		if v.Operation.Kind != payment.KindRefund {
			a, ok, err := f.taking(ctx, v)
			if err != nil || ok {
				return a, err
			}
		}
		next = v.Operation.Prev
	}
	return payment.Attempt{}, ErrState
}

// taking finds, among an operation's attempts, the one whose money was booked
// to the payee: not one that came late, unless a manual change has credited it.
func (f *Flows) taking(ctx context.Context, v OperationView) (payment.Attempt, bool, error) {
	for a := v.Attempt; ; {
		if a.Status == payment.AttemptApproved && (a.Late == 0 || v.Operation.Kind == payment.KindManualChange) {
			return a, true, nil
		}
		if a.Prev.IsZero() {
			return a, false, nil
		}
		prev, ok, err := f.read.Attempt(ctx, a.Prev)
		if err != nil || !ok {
			return a, false, fmt.Errorf("read attempt %s (found %t): %w", a.Prev, ok, err)
		}
		a = prev
	}
}

func beginRefund(p *book.Page, e endpoints, r RefundRequest, sale payment.Attempt, key payment.RefKey, reserved id.Raw, done chan struct{}) (Begun, error) {
	pay, ok := p.Payments.Get(r.Payment.ID)
	if !ok {
		return Begun{}, payment.ErrNoPayment
	}
	switch pay.Status {
	case payment.StatusCaptured, payment.StatusPartiallyRefunded, payment.StatusRefunded:
	case payment.StatusNew, payment.StatusPending, payment.StatusAwaitingCustomer, payment.StatusAuthorized,
		payment.StatusDeclined, payment.StatusCancelled, payment.StatusChargedBack,
		payment.StatusRequested, payment.StatusSubmitting, payment.StatusUnknown, payment.StatusPaid, payment.StatusFailed,
		payment.StatusStepUp, payment.StatusHold, payment.StatusDeferred, payment.StatusPartiallyPaid:
		return Begun{}, ErrState
	}
	named := key.Scope != "" && reserved.IsZero() // this act writes the name
	if reserved.IsZero() {
		reserved = r.ID.Raw()
	}
	if !reserved.IsZero() {
		if _, known := p.Operations.Get(id.Operation(reserved)); known {
			return Begun{}, ErrRefundIDKnown // another request has gone on with the same orphan name
		}
	}
	op := refundOperation(p, &pay, r, reserved)
	if named {
		if _, known := p.Refs.Get(key); known {
			return Begun{}, ErrRefundIDKnown
		}
		p.Refs.Put(payment.Ref{RefKey: key, Target: op.ID.Raw()})
	}
	if op.Amount.Minor == 0 { // all that remains of nothing: declined as a refund of the captured sum
		op.Amount.Minor = pay.CapturedMinor
	}
	code := ""
	if op.Amount.Minor > pay.Refundable() {
		code = payment.CodeRefundTooMuch
	}
	x := application{page: p, endpoints: e, pay: pay, op: op}
	if code == "" {
		x.attempt = refundAttempt(p, op, sale)
		err := x.transfer(ledger.KindRefundReserve, x.payee(), x.reserved())
		if errors.Is(err, ledger.ErrInsufficient) {
			code = payment.CodeNoBalance
			x.attempt = payment.Attempt{}
		} else if err != nil {
			return Begun{}, err
		}
	}
	if code != "" {
		x.end(payment.OperationDecline, code)
		x.putOperation(reserved)
		x.record(event.RefundDeclined, x.pay.Status, true)
		p.Payments.Put(x.pay)
		return Begun{Payment: x.pay, Operation: x.op}, nil
	}
	if err := x.countRefund(x.op.Amount.Minor, 0); err != nil {
		return Begun{}, err
	}
	x.startRefund(reserved, done)
	return Begun{Payment: x.pay, Operation: x.op, Attempt: x.attempt}, nil
}

func refundOperation(p *book.Page, pay *payment.Payment, r RefundRequest, reserved id.Raw) payment.Operation {
	if reserved.IsZero() {
		reserved = p.Mint()
	}
	amount := r.Amount
	if amount.Minor == 0 {
		amount = money.Amount{Minor: pay.Refundable(), Currency: pay.Amount.Currency}
	}
	op := payment.Operation{
		ID: id.Operation(reserved), Payment: pay.ID, Prev: pay.LastOperation, Number: p.Number(), Kind: payment.KindRefund,
		Status: payment.OperationProcessing, Amount: amount, MerchantRefundID: r.MerchantRefundID, Description: r.Description,
		CreatedUS: p.NowUS(), ChangedUS: p.NowUS(),
	}
	pay.LastOperation = op.ID
	return op
}

func refundAttempt(p *book.Page, op payment.Operation, sale payment.Attempt) payment.Attempt {
	return payment.Attempt{
		ID: id.Attempt(p.Mint()), Operation: op.ID, Payment: op.Payment, Connector: sale.Connector, Account: sale.Account, Payee: sale.Payee,
		Kind: payment.KindRefund, Status: payment.AttemptAsking, Amount: op.Amount, Of: sale.ID, OfProviderID: sale.ProviderID, Way: sale.Way,
		CreatedUS: p.NowUS(), ChangedUS: p.NowUS(),
	}
}

// startRefund writes a refund whose money has been reserved.
func (x *application) startRefund(reserved id.Raw, done chan struct{}) {
	x.op.Attempt = x.attempt.ID
	x.pay.RefundingMinor += x.op.Amount.Minor
	x.putOperation(reserved)
	x.page.Attempts.New(x.attempt)
	x.record(event.RefundStarted, x.pay.Status, false)
	x.page.Payments.Put(x.pay)
	x.page.Due.New(due.Now(x.attempt.ID.Raw(), due.Ask, x.page.NowUS(), x.page.Epoch(),
		&asking{payment: x.pay, attempt: x.attempt, person: connector.Person{}, done: done}))
}

// putOperation makes the operation's row, whose absence was read where its
// name had been reserved before.
func (x *application) putOperation(reserved id.Raw) {
	if reserved.IsZero() {
		x.page.Operations.New(x.op)
		return
	}
	x.page.Operations.Put(x.op)
}

// refunded: the PSP has given the money back.
func (x *application) refunded() error {
	if err := x.transfer(ledger.KindRefundSettle, x.reserved(), x.clearing()); err != nil {
		return err
	}
	if err := x.countRefund(-x.op.Amount.Minor, x.op.Amount.Minor); err != nil {
		return err
	}
	x.attempt.Status = payment.AttemptApproved
	x.end(payment.OperationSuccess, payment.CodeSuccess)
	from := x.pay.Status
	if x.attempt.Late == 0 {
		x.pay.RefundingMinor -= x.op.Amount.Minor
		x.pay.RefundedMinor += x.op.Amount.Minor
		to := payment.StatusPartiallyRefunded
		if x.pay.RefundedMinor == x.pay.CapturedMinor {
			to = payment.StatusRefunded
		}
		if err := x.move(to); err != nil {
			return err
		}
	}
	x.record(event.RefundSucceeded, from, true)
	return x.saveAll()
}

// refundFailed: the PSP will not give the money back; what was reserved is
// free again, and the payment's status stays as it is.
func (x *application) refundFailed() error {
	back := x.payee()
	if x.attempt.Late != 0 {
		back = x.refundDue() // and somebody must decide once more
		moveCase(x.page, CaseLateSuccess, x.attempt.Of.String(), byProvider, payment.CaseStep{Did: "reopen", To: payment.CaseOpen, Note: "the refund failed"}, payment.CaseState.Settled)
	} else {
		x.pay.RefundingMinor -= x.op.Amount.Minor
	}
	if err := x.transfer(ledger.KindRefundRelease, x.reserved(), back); err != nil {
		return err
	}
	if err := x.countRefund(-x.op.Amount.Minor, 0); err != nil {
		return err
	}
	code := x.out.Code
	if code == "" {
		code = payment.CodeGeneralDecline
	}
	x.end(payment.OperationDecline, code)
	x.record(event.RefundDeclined, x.pay.Status, true)
	return x.saveAll()
}

// refundLate sends back to its source what was captured after our decline.
func (x *application) refundLate() error {
	r := application{page: x.page, endpoints: x.endpoints, pay: x.pay}
	r.op = refundOperation(x.page, &r.pay, RefundRequest{Amount: x.attempt.Amount, Description: "late success"}, id.Raw{})
	r.attempt = refundAttempt(x.page, r.op, x.attempt)
	r.attempt.Late = 1
	r.op.Attempt = r.attempt.ID
	if err := r.transfer(ledger.KindRefundReserve, r.refundDue(), r.reserved()); err != nil {
		return err
	}
	r.page.Operations.New(r.op)
	r.page.Attempts.New(r.attempt)
	r.record(event.RefundStarted, r.pay.Status, false)
	r.page.Due.New(due.Now(r.attempt.ID.Raw(), due.Ask, r.page.NowUS(), r.page.Epoch(),
		&asking{payment: r.pay, attempt: r.attempt, done: make(chan struct{})}))
	x.pay = r.pay
	return nil
}
