package flow

import (
	"context"
	"fmt"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/payment"
)

// TryAgain begins another sale of a payment whose last one was declined, while
// the customer may still try (ecommpay.md section 2.3). It is a new operation
// with a new attempt at the same PSP account, and has a limit time of its own.
// declined is the sale after which the customer was made the offer. Where that
// offer does not stand, since another window was faster or the time is over,
// nothing is begun: the answer is a Repeat with the payment as it stands. The
// PSP is asked at once.
func (f *Flows) TryAgain(ctx context.Context, known payment.Payment, declined id.Operation, person connector.Person) (Begun, error) {
	done := make(chan struct{})
	again := retry{payment: known.ID, declined: declined, person: person, done: done, licence: f.ofProject, endpoints: f.opts.Endpoints()}
	if pr, ok := f.opts.Projects(known.ProjectID); ok {
		again.limit = pr.LimitTime
	}
	begun, err := book.Do(ctx, f.book, book.Act[Begun]{
		Name: "sale.again", Bucket: known.ID.Bucket(),
		Hint: func(p *book.Page) {
			p.Payments.Get(known.ID)
			p.Operations.Get(known.LastOperation)
		},
		Decide: again.begin,
	})
	if err != nil {
		return Begun{}, fmt.Errorf("try %s again: %w", known.ID, err)
	}
	if !begun.Repeat {
		begun.Asked = done
	}
	return begun, nil
}

// retry is what TryAgain's act is given.
type retry struct {
	payment  id.Payment
	declined id.Operation
	person   connector.Person
	limit    time.Duration
	done     chan struct{}

	licence   func(projectID int64) *licence
	endpoints endpoints
}

func (r retry) begin(p *book.Page) (Begun, error) {
	pay, ok := p.Payments.Get(r.payment)
	if !ok {
		return Begun{}, payment.ErrNoPayment
	}
	now := p.NowUS()
	stands := pay.RetryOffered() && now < pay.RetryUS && pay.LastOperation == r.declined
	if !stands && mutation != "retryguard" {
		return Begun{Payment: pay, Repeat: true}, nil
	}
	x := application{page: p, licence: r.licence, endpoints: r.endpoints, pay: pay}
	x.op, _ = p.Operations.Get(pay.LastOperation)
	x.attempt, _ = p.Attempts.Get(x.op.Attempt)
	why, err := x.barred()
	if err != nil {
		return Begun{}, err
	}
	if why != "" { // what is reserved for it must not come any more
		err := x.declineOffer()
		return Begun{Payment: x.pay, Repeat: true}, err
	}
	x.forgetDue()
	from := pay.Status
	pay, err = pay.Move(payment.StatusPending, now)
	if err != nil {
		return Begun{}, err
	}
	pay.TriesLeft--
	pay.LimitUS = max(pay.LimitUS, now+r.limit.Microseconds())
	op, a := openSale(p, &pay, x.attempt)
	record(p, r.endpoints, &pay, op, a, event.PaymentPending, from, false)
	p.Payments.Put(pay)
	p.Due.New(due.Now(a.ID.Raw(), due.Ask, now, p.Epoch(), &asking{payment: pay, attempt: a, person: r.person, done: r.done}))
	return Begun{Payment: pay, Operation: op, Attempt: a}, nil
}

// offerRetry ends the operation and leaves the payment to its customer, who may
// try again; false if there is no try left, or no time.
func (x *application) offerRetry(code string) (bool, error) {
	now := x.page.NowUS()
	until := x.pay.RetryUS
	if pr, ok := x.projects(x.pay.ProjectID); ok && until == 0 {
		until = min(now+pr.RetryTime.Microseconds(), x.pay.LimitUS)
	}
	if x.pay.TriesLeft == 0 || now >= until {
		return false, nil
	}
	from := x.pay.Status
	if from != payment.StatusAwaitingCustomer {
		if err := x.move(payment.StatusAwaitingCustomer); err != nil {
			return false, err
		}
	}
	x.pay.Awaiting, x.pay.RetryUS, x.pay.ChangedUS = payment.AwaitedRetry, until, now
	x.attempt.ChangedUS = now
	x.end(payment.OperationDecline, code)
	x.record(event.PaymentRetry, from, true)
	x.page.Payments.Put(x.pay)
	x.page.Operations.Put(x.op)
	x.setDue(due.Watch, until)
	return true, x.save()
}

// expireRetry ends an offer that was not taken in time.
func (x *application) expireRetry() error {
	if x.page.NowUS() < x.pay.RetryUS {
		return nil
	}
	return x.declineOffer()
}

// declineOffer declines a payment as its last try was.
func (x *application) declineOffer() error {
	from := x.pay.Status
	if err := x.move(payment.StatusDeclined); err != nil {
		return err
	}
	if err := x.freed(); err != nil {
		return err
	}
	x.pay.Code, x.pay.Message = x.op.Code, x.op.Message
	x.record(event.PaymentDeclined, from, true)
	return x.saveAll()
}

// endRetry: a try that was declined is paid after all, while the customer was
// trying again. That later operation is over too; money that still comes by it
// comes late.
func (x *application) endRetry() {
	if x.pay.LastOperation == x.op.ID {
		return
	}
	o := application{page: x.page}
	if o.op, _ = x.page.Operations.Get(x.pay.LastOperation); !o.op.Status.Final() {
		o.end(payment.OperationDecline, payment.CodeGeneralDecline)
		x.page.Operations.Put(o.op)
	}
}
