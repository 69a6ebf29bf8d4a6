package flow

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/risk"
)

// SaleRequest is what a door knows of a sale once it has checked it.
type SaleRequest struct {
	Project     project.Project
	Method      project.Method
	Door        string     // whose style callbacks have: "gate"
	ID          id.Payment // chosen by NewPayment before, where a repeat must find it; zero: chosen now
	PaymentID   string     // the merchant's; empty: it has no name but ours, which must be in ID
	CustomerID  string
	Description string
	CallbackURL string        // where callbacks go; empty: nowhere
	SuccessURL  string        // where the callback of its success goes; empty: to CallbackURL
	DeclineURL  string        // where the callback of its decline goes; empty: to CallbackURL
	Delay       time.Duration // of all its callbacks, in whole seconds
	Mute        bool          // only callbacks that ask the merchant to act
	Retries     int           // how often the customer may try again after a decline
	Amount      money.Amount
	Person      connector.Person
	Keep        string // JSON kept beside the payment for the door; empty: nothing

	// Declines: what limits and restrictions refuse is begun and declined at once, and
	// told as any decline. Without it the refusal is the answer, and nothing is begun.
	Declines bool
}

// Begun is the answer to the first act of an operation.
type Begun struct {
	Payment   payment.Payment
	Operation payment.Operation
	Attempt   payment.Attempt
	Repeat    bool // the name was known: nothing was begun, Payment is the known one

	Review payment.Review // of a payout of a project with rules: what it waits for
	Answer payment.Answer // of PayoutRequest.Opening, which the caller is to answer

	// Asked is closed when the PSP's first answer is booked, or given up by
	// this process. It is nil for a repeat.
	Asked <-chan struct{}
}

// BeginSale makes the payment durable before anyone is asked, and has the PSP
// asked at once. It returns after the first act. book.ErrBusy: so much waits to
// be done that this would be done late; nothing was begun. Of a licensed project
// *risk.Refusal: its customer's limits or restrictions do not let it, see
// SaleRequest.Declines; and ErrNoWallet: no customer is named.
func (f *Flows) BeginSale(ctx context.Context, r SaleRequest) (Begun, error) {
	if f.opts.Behind(r.CallbackURL) {
		return Begun{}, errBehind
	}
	want := r.ID
	if want.IsZero() {
		want = f.NewPayment(r.Project, r.PaymentID, r.CustomerID, "")
	}
	done, l := make(chan struct{}), f.licence(r.Project.ID)
	s := start{act: "sale.begin", key: f.nameOf(r.Project, r.PaymentID), done: done, open: func(p *book.Page, k id.Payment, fresh bool) (Begun, error) {
		if l == nil && r.Project.Wallet && r.CustomerID != "" { // who is admitted is met
			meet(p, customer.KeyOf(p.Bucket(), strconv.FormatInt(r.Project.MerchantID, 10), r.CustomerID), &r.Project, r.CustomerID)
		}
		return openPayment(p, r, k, fresh, done), nil
	}}
	if l != nil {
		if !r.Project.Wallet || r.CustomerID == "" {
			return Begun{}, ErrNoWallet
		}
		f.keepLicensed(r.Project.MerchantID)
		s.admitted(l, &r, want, f.opts.Endpoints())
	}
	begun, err := f.start(ctx, s, want)
	if err == nil && !begun.Repeat && begun.Operation.Status.Final() { // declined at once
		close(done)
	}
	return begun, err
}

// admitted makes the act of a sale let its customer in first.
func (s *start) admitted(l *licence, r *SaleRequest, want id.Payment, told endpoints) {
	open, k := s.open, customer.KeyOf(want.Bucket(), strconv.FormatInt(r.Project.MerchantID, 10), r.CustomerID)
	w := limit.WindowID(k, limit.Deposits, r.Amount.Currency)
	s.hint = func(p *book.Page) {
		p.Customers.Get(k)
		p.Windows.Get(w)
	}
	s.open = func(p *book.Page, pay id.Payment, fresh bool) (Begun, error) {
		err := admit(p, l, meet(p, k, &r.Project, r.CustomerID), w, pay, r.Amount, told(r.Project.ID))
		if err == nil {
			return open(p, pay, fresh)
		}
		var no *risk.Refusal
		if errors.As(err, &no) && r.Declines {
			return openRefused(p, told, *r, pay, fresh, no)
		}
		return Begun{}, err
	}
}

// start is what begins once: a sale or a payout, under the merchant's name for
// it, or without one under its id alone.
type start struct {
	act  string         // its name
	key  payment.RefKey // where the merchant's name lies; zero: there is none
	done chan struct{}  // closed when the PSP's first answer is booked
	hint func(*book.Page)

	// guarded: the id may be given up before it is begun (void), as that of a name in
	// another home may.
	guarded bool

	opening *Opening // whose key is taken with it; nil: no key is

	// open writes the rows of an id that is free. fresh: it was not looked for.
	open func(p *book.Page, k id.Payment, fresh bool) (Begun, error)
}

func (f *Flows) start(ctx context.Context, s start, want id.Payment) (begun Begun, err error) {
	if s.opening != nil {
		f.answers.add(s.opening.ID)
		defer func() {
			if err != nil || begun.Repeat {
				f.answers.end(s.opening.ID)
			}
		}()
	}
	if s.key.Scope == "" || f.book.SameHome(s.key.Bucket, want.Bucket()) {
		return f.begin(ctx, s, want, true)
	}
	return f.beginReserved(ctx, s, want)
}

// nameOf is where a merchant's name for a payment lies; zero for the empty name.
func (f *Flows) nameOf(p project.Project, paymentID string) payment.RefKey {
	if paymentID == "" {
		return payment.RefKey{}
	}
	return f.book.RefKey(p.RefScope(), project.FoldPaymentID(paymentID))
}

// NewPayment chooses the id of a payment or payout that is not begun yet. One that
// has neither name nor customer lies where other, a text of its own, says.
func (f *Flows) NewPayment(p project.Project, paymentID, customerID, other string) id.Payment {
	bucket := p.PaymentBucket(f.book.Buckets(), paymentID, customerID)
	if paymentID == "" && (customerID == "" || !p.Wallet) {
		bucket = id.BucketOf(f.book.Buckets(), p.RefScope(), "", other)
	}
	return id.Payment(f.book.Mint(bucket))
}

// beginReserved is start for a name that lies in another home than the payment: the name is reserved first (design section 3). A reservation whose
// payment was never begun is gone on with, or voided and re-pointed. One that
// another request has voided is re-pointed too: that request may have died.
func (f *Flows) beginReserved(ctx context.Context, s start, want id.Payment) (Begun, error) {
	owner, err := f.book.Reserve(ctx, s.key, want.Raw())
	for tries := 0; err == nil && tries < maxRepoints; tries++ {
		if id.Payment(owner).Bucket() == want.Bucket() {
			begun, begins := f.begin(ctx, s, id.Payment(owner), false)
			if !errors.Is(begins, errVoid) {
				return begun, begins
			}
			want = id.Payment(f.book.Mint(want.Bucket()))
			owner, err = f.book.Repoint(ctx, s.key, owner, want.Raw())
			continue
		}
		var begun payment.Payment
		var exists bool
		if begun, exists, err = f.void(ctx, id.Payment(owner)); err != nil || exists {
			return Begun{Payment: begun, Repeat: true}, err
		}
		owner, err = f.book.Repoint(ctx, s.key, owner, want.Raw())
	}
	if err == nil {
		err = book.ErrBusy // others re-point the same name faster than we do
	}
	return Begun{}, fmt.Errorf("reserve payment id: %w", err)
}

// maxRepoints bounds the fight of concurrent requests over one orphan name.
const maxRepoints = 8

// voidKey is the tombstone of an id that was reserved and must never be begun.
// Who begins the id writes a ref of the same key, to nothing: of two acts that
// each see that the other has written nothing, the store takes one (a missing
// row cannot be locked).
func voidKey(p id.Payment) payment.RefKey {
	return payment.RefKey{Bucket: p.Bucket(), Scope: "void", Text: p.String()}
}

// void sees to it that a reserved payment can never begin, unless it has.
func (f *Flows) void(ctx context.Context, p id.Payment) (payment.Payment, bool, error) {
	type answer struct {
		pay    payment.Payment
		exists bool
	}
	a, err := book.Do(ctx, f.book, book.Act[answer]{
		Name: "sale.void", Bucket: p.Bucket(),
		Hint: func(pg *book.Page) { pg.Payments.Get(p); pg.Refs.Get(voidKey(p)) },
		Decide: func(pg *book.Page) (answer, error) {
			if pay, ok := pg.Payments.Get(p); ok {
				return answer{pay, true}, nil
			}
			if _, ok := pg.Refs.Get(voidKey(p)); !ok {
				pg.Refs.Put(payment.Ref{RefKey: voidKey(p), Target: p.Raw()})
			}
			return answer{}, nil
		},
	})
	return a.pay, a.exists, err
}

// errVoid: the id was given up by another request; nothing was written.
var errVoid = errors.New("payment id was voided")

// elsewhereError: the name belongs to a payment in another bucket.
type elsewhereError struct{ owner id.Payment }

func (e *elsewhereError) Error() string { return "payment id belongs to " + e.owner.String() }

// begin runs act one. With own set the act writes the name itself.
func (f *Flows) begin(ctx context.Context, s start, want id.Payment, own bool) (Begun, error) {
	begun, err := book.Do(ctx, f.book, book.Act[Begun]{
		Name: s.act, Bucket: want.Bucket(),
		Hint: func(p *book.Page) {
			switch {
			case s.key.Scope == "":
				p.Payments.Get(want)
			case own:
				p.Refs.Get(s.key)
			default:
				p.Payments.Get(want)
				p.Refs.Get(voidKey(want))
			}
			if s.guarded {
				p.Refs.Get(voidKey(want))
			}
			if s.opening != nil {
				p.Refs.Get(s.opening.key)
			}
			if s.hint != nil {
				s.hint(p)
			}
		},
		Decide: func(p *book.Page) (Begun, error) { return begin(p, &s, want, own) },
	})
	var other *elsewhereError
	switch {
	case errors.As(err, &other):
		pay, ok, err := f.read.Payment(ctx, other.owner)
		switch {
		case err != nil:
			return Begun{}, fmt.Errorf("read owner of payment id: %w", err)
		case !ok: // reserved for a payment in another home
			return f.beginReserved(ctx, s, want)
		}
		return Begun{Payment: pay, Repeat: true}, nil
	case err != nil:
		return Begun{}, fmt.Errorf("%s: %w", s.act, err)
	case !begun.Repeat:
		begun.Asked = s.done
	}
	return begun, nil
}

// begin finds out whether the name or the id is free, and has it opened.
func begin(p *book.Page, s *start, want id.Payment, own bool) (Begun, error) {
	fresh := false // the name is new, so the payment cannot be there and is not looked for
	switch {
	case s.key.Scope == "":
	case own:
		ref, known := p.Refs.Get(s.key)
		if mutation == "dedupe" && known { // sets the name aside, and makes a second payment
			p.Refs.Put(payment.Ref{RefKey: s.key, Target: want.Raw()})
			ref.Target = want.Raw()
		}
		switch owner := id.Payment(ref.Target); {
		case !known:
			p.Refs.Put(payment.Ref{RefKey: s.key, Target: want.Raw()})
			fresh = true
		case owner.Bucket() != want.Bucket():
			return Begun{}, &elsewhereError{owner}
		default:
			want = owner
		}
	}
	guarded := s.guarded || !own && s.key.Scope != ""
	if guarded {
		if tomb, ok := p.Refs.Get(voidKey(want)); ok && !tomb.Target.IsZero() {
			return Begun{}, errVoid
		}
	}
	if !fresh {
		if pay, ok := p.Payments.Get(want); ok {
			return Begun{Payment: pay, Repeat: true}, nil
		}
	}
	if guarded {
		p.Refs.Put(payment.Ref{RefKey: voidKey(want)})
	}
	if s.opening == nil {
		return s.open(p, want, fresh)
	}
	row, err := s.opening.take(p, want)
	if err != nil {
		return Begun{}, err
	}
	begun, err := s.open(p, want, fresh)
	begun.Answer = row
	return begun, err
}

// putPayment makes a payment's row.
func putPayment(p *book.Page, pay payment.Payment, fresh bool) {
	if fresh {
		p.Payments.New(pay)
		return
	}
	p.Payments.Put(pay) // its absence was read
}

// openPayment writes a payment with its sale, and has the PSP asked.
func openPayment(p *book.Page, r SaleRequest, k id.Payment, fresh bool, done chan struct{}) Begun {
	now := p.NowUS()
	pay := newPayment(p, r, k)
	op, a := openSale(p, &pay, payment.Attempt{Connector: r.Method.Connector, Account: r.Method.Account, Payee: r.Project.Payee(r.CustomerID)})
	putPayment(p, pay, fresh)
	if r.Keep != "" {
		p.Requests.Append(payment.Request{ID: pay.ID.Raw(), Body: r.Keep})
	}
	p.Due.New(due.Now(a.ID.Raw(), due.Ask, now, p.Epoch(), &asking{payment: pay, attempt: a, person: r.Person, done: done}))
	return Begun{Payment: pay, Operation: op, Attempt: a}
}

// newPayment is what a request asks for, before anything was done.
func newPayment(p *book.Page, r SaleRequest, k id.Payment) payment.Payment {
	now := p.NowUS()
	pay := payment.Payment{
		ID: k, ProjectID: r.Project.ID, MerchantPaymentID: r.PaymentID, Type: payment.TypePurchase, Status: payment.StatusNew,
		Method: r.Method.Code, Amount: r.Amount, CustomerID: r.CustomerID, Description: r.Description, CallbackURL: r.CallbackURL,
		SuccessURL: r.SuccessURL, DeclineURL: r.DeclineURL, CallbackDelayS: int64(r.Delay / time.Second),
		Door: r.Door, CreatedUS: now, ChangedUS: now, LimitUS: now + r.Project.LimitTime.Microseconds(),
		TriesLeft: int64(r.Retries),
	}
	if r.Mute {
		pay.CallbackMute = 1
	}
	return pay
}

// openRefused writes a payment that is declined before anybody is asked, since its
// customer's limits or restrictions do not let it.
func openRefused(p *book.Page, told endpoints, r SaleRequest, k id.Payment, fresh bool, why *risk.Refusal) (Begun, error) {
	x := application{page: p, endpoints: told, pay: newPayment(p, r, k)}
	x.pay.TriesLeft = 0
	x.op = saleOf(p, &x.pay)
	x.end(payment.OperationDecline, codeOf(why))
	from := x.pay.Status
	if err := x.move(payment.StatusDeclined); err != nil {
		return Begun{}, err
	}
	x.pay.Code, x.pay.Message = x.op.Code, x.op.Message
	p.Operations.New(x.op)
	if r.Keep != "" {
		p.Requests.Append(payment.Request{ID: k.Raw(), Body: r.Keep})
	}
	x.record(event.PaymentDeclined, from, true)
	putPayment(p, x.pay, fresh)
	return Begun{Payment: x.pay, Operation: x.op}, nil
}

// codeOf is what a payment is declined with that limits, restrictions, verification or
// risk refuse (ecommpay.md section 5).
func codeOf(r *risk.Refusal) string {
	switch r.Code {
	case risk.CodeLimitExceeded, risk.CodeAmountOutOfRange:
		return payment.CodeRejectAmount
	case risk.CodePlayerRestricted:
		return payment.CodeRejectCustomer
	case risk.CodeVelocityLimited:
		return payment.CodeRejectInterval
	case risk.CodeKYCRequired:
		return payment.CodeNotEnoughData
	case risk.CodeDeclined, risk.CodeInsufficientFunds, risk.CodeStateConflict:
	}
	return payment.CodeReject
}

// openSale makes a sale of a payment, the newest of its operations, with an
// attempt at the PSP account, and for the payee, of at.
func openSale(p *book.Page, pay *payment.Payment, at payment.Attempt) (payment.Operation, payment.Attempt) {
	now, op := p.NowUS(), saleOf(p, pay)
	a := payment.Attempt{
		ID: id.Attempt(p.Mint()), Operation: op.ID, Payment: pay.ID, Connector: at.Connector, Account: at.Account, Payee: at.Payee,
		Kind: payment.KindSale, Status: payment.AttemptAsking, Amount: op.Amount, CreatedUS: now, ChangedUS: now,
	}
	op.Attempt = a.ID
	p.Operations.New(op)
	p.Attempts.New(a)
	return op, a
}

// saleOf is a sale of a payment, the newest of its operations.
func saleOf(p *book.Page, pay *payment.Payment) payment.Operation {
	now := p.NowUS()
	op := payment.Operation{
		ID: id.Operation(p.Mint()), Payment: pay.ID, Prev: pay.LastOperation, Number: p.Number(), Kind: payment.KindSale,
		Status: payment.OperationProcessing, Amount: pay.Amount, CreatedUS: now, ChangedUS: now,
	}
	pay.LastOperation = op.ID
	return op
}

// meet makes the customer's row at their first payment, and gives it.
func meet(p *book.Page, k id.Customer, pr *project.Project, customerID string) customer.Customer {
	c, ok := p.Customers.Get(k)
	if !ok {
		c = customer.Customer{ID: k, MerchantID: pr.MerchantID, Name: customerID, CreatedUS: p.NowUS()}
		p.Customers.Put(c)
	}
	return c
}

// takeOver goes on with an attempt that this process did not begin just now:
// its time to be asked has come, or the process that asked has died. In the
// second case nobody knows what was sent, so it counts as unknown.
func (f *Flows) takeOver(ctx context.Context, d due.Due) error {
	a, ok, err := f.read.Attempt(ctx, id.Attempt(d.ID))
	if err != nil || !ok {
		return fmt.Errorf("read attempt to take over (found %t): %w", ok, err)
	}
	if was, _ := d.Carry.(due.Kind); was != due.AskLater {
		return f.Apply(ctx, a, connector.Outcome{Kind: connector.Unknown})
	}
	pay, ok, err := f.read.Payment(ctx, a.Payment)
	if err != nil || !ok {
		return fmt.Errorf("read payment to ask for (found %t): %w", ok, err)
	}
	if a.Kind == payment.KindSale && pay.Status.Final() { // by an earlier attempt: the PSP must not be asked for more
		return f.Apply(ctx, a, connector.Outcome{Kind: connector.NotSent})
	}
	return f.call(ctx, pay, a, connector.Person{}, leaseOf(d))
}
