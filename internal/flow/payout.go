package flow

import (
	"context"
	"errors"
	"fmt"

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

// PayoutRequest is what a door knows of a payout once it has checked it.
type PayoutRequest struct {
	Project     project.Project
	Route       Route
	Door        string       // whose style callbacks have
	ID          id.Payment   // chosen by NewPayment before, where a repeat must find it; zero: chosen now
	PayoutID    string       // the merchant's, unique together with their names of payments; empty: it has no name but ours
	CustomerID  string       // whose wallet it is paid from, and to whom
	Description string       // providers may show it
	Amount      money.Amount // above zero
	Keep        string       // JSON kept beside the payout for the door; empty: nothing

	// Where the project has rules: the customer's instrument that they want what they
	// have won sent to; zero: they have not said. What they have paid in goes back where
	// it came from all the same.
	Rest id.Instrument

	// The call that asks for it, whose key is taken by the same act; nil: the caller has
	// taken it, or there is none.
	Opening *Opening

	// Where the project has rules: the customer agrees to lose the bonus that they have.
	ForfeitBonus bool
}

// Route is a way to send money: a method, by a PSP account.
type Route struct {
	Method    string // its code
	Connector string
	Account   string
}

// ErrNoRoute: no PSP account is known by which the money could be sent.
var ErrNoRoute = errors.New("no route to pay out")

// BeginPayout reserves the money and makes the payout durable in one act, then has
// the PSP asked. It returns after the act.
//
// Where the project has rules they are asked first, and the payout may wait: see the
// status of what was begun, and Begun.Review.
//
// Errors, after all of which nothing was begun: ErrInsufficient, ErrNoWallet,
// ErrAmount; book.ErrBusy as of a sale; ErrOpened. By the rules: *risk.Refusal, ErrNoRoute.
func (f *Flows) BeginPayout(ctx context.Context, r PayoutRequest) (Begun, error) {
	switch {
	case !r.Project.Wallet || r.CustomerID == "":
		return Begun{}, ErrNoWallet
	case r.Amount.Minor <= 0:
		return Begun{}, ErrAmount
	case f.opts.Behind(""):
		return Begun{}, errBehind
	}
	want := r.ID
	if want.IsZero() {
		want = f.NewPayment(r.Project, r.PayoutID, r.CustomerID, "")
	}
	if rules := f.opts.Rules(r.Project.ID); rules != nil {
		return f.beginChecked(ctx, r, rules, want)
	}
	owner, told, done := r.Project.Payee(r.CustomerID), f.opts.Endpoints(), make(chan struct{})
	return f.start(ctx, start{
		act: "payout.begin", key: f.nameOf(r.Project, r.PayoutID), done: done, opening: r.Opening,
		hint: func(p *book.Page) {
			p.Accounts.Get(ledger.AccountID(p.Bucket(), owner, ledger.Available, r.Amount.Currency))
			p.Accounts.Get(ledger.AccountID(p.Bucket(), owner, ledger.Reserved, r.Amount.Currency))
		},
		open: func(p *book.Page, k id.Payment, fresh bool) (Begun, error) {
			return openPayout(p, told, r, k, fresh, done)
		},
	}, want)
}

// openPayout writes a payout whose money it reserves, and has the PSP asked. What
// must look at a payout first, or make it wait, comes between the two: it is
// requested then, and nothing but the reservation has happened.
func openPayout(p *book.Page, e endpoints, r PayoutRequest, k id.Payment, fresh bool, done chan struct{}) (Begun, error) {
	now := p.NowUS()
	x := application{page: p, endpoints: e}
	x.pay = payment.Payment{
		ID: k, ProjectID: r.Project.ID, MerchantPaymentID: r.PayoutID, Type: payment.TypePayout, Status: payment.TypePayout.First(),
		Method: r.Route.Method, Amount: r.Amount, CustomerID: r.CustomerID, Description: r.Description, Door: r.Door, CreatedUS: now, ChangedUS: now,
	}
	x.op = payment.Operation{
		ID: id.Operation(p.Mint()), Payment: k, Number: p.Number(), Kind: payment.KindPayout,
		Status: payment.OperationProcessing, Amount: r.Amount, Description: r.Description, CreatedUS: now, ChangedUS: now,
	}
	x.attempt = payment.Attempt{
		ID: id.Attempt(p.Mint()), Operation: x.op.ID, Payment: k, Connector: r.Route.Connector, Account: r.Route.Account,
		Payee: r.Project.Payee(r.CustomerID), Kind: payment.KindPayout, Status: payment.AttemptAsking, Amount: r.Amount, CreatedUS: now, ChangedUS: now,
	}
	if err := x.transfer(ledger.KindPayoutReserve, x.payee(), x.reserved()); err != nil {
		return Begun{}, err
	}
	if r.Keep != "" {
		p.Requests.Append(payment.Request{ID: k.Raw(), Body: r.Keep})
	}
	if err := x.submit(done); err != nil {
		return Begun{}, err
	}
	putPayment(p, x.pay, fresh)
	return Begun{Payment: x.pay, Operation: x.op, Attempt: x.attempt}, nil
}

// submit has the PSP asked to pay out what is reserved.
func (x *application) submit(done chan struct{}) error {
	from := x.pay.Status
	if err := x.move(payment.StatusSubmitting); err != nil {
		return err
	}
	x.op.Attempt, x.pay.LastOperation = x.attempt.ID, x.op.ID
	x.page.Operations.New(x.op)
	x.page.Attempts.New(x.attempt)
	x.record(event.PayoutPending, from, false)
	x.page.Due.New(due.Now(x.attempt.ID.Raw(), due.Ask, x.page.NowUS(), x.page.Epoch(), &asking{payment: x.pay, attempt: x.attempt, done: done}))
	return nil
}

// payoutUnknown: the PSP may or may not have taken it. The money stays reserved.
func (x *application) payoutUnknown() error {
	from := x.pay.Status
	if err := x.move(payment.StatusUnknown); err != nil {
		return err
	}
	x.record(event.PayoutUnknown, from, false)
	x.page.Payments.Put(x.pay)
	return nil
}

// paidOut: the PSP has paid the customer.
func (x *application) paidOut() error {
	if err := x.transfer(ledger.KindPayoutSettle, x.reserved(), x.clearing()); err != nil {
		return err
	}
	x.attempt.Status = payment.AttemptApproved
	return x.endPayout(payment.StatusPaid, payment.OperationSuccess, payment.CodeSuccess, event.PayoutPaid)
}

// payoutFailed: the PSP will not pay it, or has never taken it. What was reserved
// is the customer's again.
func (x *application) payoutFailed() error {
	if err := x.transfer(ledger.KindPayoutRelease, x.reserved(), x.payee()); err != nil {
		return err
	}
	code := x.out.Code
	if code == "" {
		code = payment.CodeGeneralDecline
	}
	return x.endPayout(payment.StatusFailed, payment.OperationDecline, code, event.PayoutFailed)
}

func (x *application) endPayout(to payment.Status, s payment.OperationStatus, code string, kind event.Kind) error {
	from := x.pay.Status
	if err := x.move(to); err != nil {
		return err
	}
	x.pay.Code, x.pay.Message = code, payment.CodeMessage(code)
	x.end(s, code)
	x.record(kind, from, false)
	return x.saveAll()
}

// PaysOut gives what a PSP account can do that can send money; false if it cannot.
func (f *Flows) PaysOut(connectorName, account string) (connector.Capabilities, bool) {
	c, ok := f.opts.Connectors(connectorName, account)
	if !ok {
		return connector.Capabilities{}, false
	}
	_, ok = c.(connector.Payouter)
	return c.Capabilities(), ok
}

// RouteOf gives the way back of a captured payment. ErrState: it is not captured.
// ErrNoRoute: its PSP account cannot send money.
func (f *Flows) RouteOf(ctx context.Context, pay payment.Payment) (Route, error) {
	if pay.CapturedMinor == 0 {
		return Route{}, ErrState
	}
	a, err := f.captured(ctx, pay)
	if err != nil {
		return Route{}, err
	}
	if _, ok := f.PaysOut(a.Connector, a.Account); !ok {
		return Route{}, ErrNoRoute
	}
	return Route{Method: pay.Method, Connector: a.Connector, Account: a.Account}, nil
}

// maxBack is how far back a customer's deposits are looked for, in transfers: what
// they have played since costs a payout no more than that.
const maxBack = 1000

// maxWays bounds how many of them are asked for their way.
const maxWays = 20

// RouteBack gives the way back of a customer's newest deposit in a currency, by the
// project, whose PSP account can send money, of the newest 20 among their newest 1,000 transfers, or
// ErrNoRoute.
func (f *Flows) RouteBack(ctx context.Context, pr project.Project, customerID string, c money.Currency) (Route, error) {
	if !pr.Wallet || customerID == "" {
		return Route{}, ErrNoWallet
	}
	w := walletOf(pr.PaymentBucket(f.book.Buckets(), "", customerID), pr.Payee(customerID))
	a, _, err := f.read.Account(ctx, ledger.AccountID(w.customer.Bucket(), w.owner, ledger.Available, c))
	if err != nil {
		return Route{}, fmt.Errorf("read available account: %w", err)
	}
	deposits, err := f.read.Deposits(ctx, a.Last, maxBack)
	if err != nil {
		return Route{}, fmt.Errorf("read deposits: %w", err)
	}
	for _, k := range deposits[:min(len(deposits), maxWays)] {
		pay, ok, err := f.read.Payment(ctx, k)
		if err != nil || !ok {
			return Route{}, fmt.Errorf("read payment %s of a deposit (found %t): %w", k, ok, err)
		}
		if pay.ProjectID != pr.ID {
			continue // of the same wallet, but the other project's accounts are not this one's to pay by
		}
		r, err := f.RouteOf(ctx, pay)
		if !errors.Is(err, ErrNoRoute) {
			return r, err
		}
	}
	return Route{}, ErrNoRoute
}
