// Package witness lets the model see a run of the real platform: it stands
// around the store and the connectors, is told the requests, and translates
// what passes into the model's plain words. It changes nothing of what it sees.
package witness

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/customer"
	"aorta/internal/event"
	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/instrument"
	"aorta/internal/ledger"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/risk"
	"aorta/test/model"
)

// Connector is all that a provider can do.
type Connector interface {
	connector.Connector
	connector.Looker
	connector.Refunder
	connector.NotificationReader
}

// Payer is a provider that can send money, too.
type Payer interface {
	Connector
	connector.Payouter
}

// Witness feeds one model. It may be used by several goroutines.
type Witness struct {
	now   func() time.Time
	inner Connector
	rules *model.Rules

	mu       sync.Mutex
	model    *model.Model
	accounts map[id.Account]model.AccountName

	customers map[id.Customer]string
}

// New makes a witness of a platform with one project and one provider. now is
// the platform's clock. rules are those that payouts are checked by; nil: none are. google
// is the integration whose wallets are linked; nil: none.
func New(pr project.Project, c Connector, now func() time.Time, rules *model.Rules, google *model.Google) *Witness {
	merchant := strings.TrimPrefix(pr.Payee(""), "merchant:")
	return &Witness{
		now: now, inner: c, rules: rules, accounts: map[id.Account]model.AccountName{}, customers: map[id.Customer]string{},
		model: model.New(model.Settings{
			Merchant: merchant, Wallet: pr.Wallet, Late: string(pr.LateSuccess), LimitUS: pr.LimitTime.Microseconds(),
			RetryUS: pr.RetryTime.Microseconds(), MovesMoney: c.Capabilities().SaleMovesMoney, Rules: rules, Google: google,
		}),
	}
}

// tell has the model hear something, one thing at a time.
func (w *Witness) tell(f func(m *model.Model)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w.model)
}

// Sale is told before a merchant's request is sent.
func (w *Witness) Sale(r flow.SaleRequest) {
	w.tell(func(m *model.Model) {
		m.SaleAsked(model.Sale{
			Name: r.PaymentID, Customer: r.CustomerID, Currency: string(r.Amount.Currency), Minor: r.Amount.Minor, Tries: int64(r.Retries),
		})
	})
}

// SaleWaits is Sale where limits may refuse it. SaleHeard or SaleRefused must follow.
func (w *Witness) SaleWaits(r flow.SaleRequest) *model.AskedSale {
	var asked *model.AskedSale
	w.tell(func(m *model.Model) {
		asked = m.SaleOnItsWay(model.Sale{
			Name: r.PaymentID, Customer: r.CustomerID, Currency: string(r.Amount.Currency), Minor: r.Amount.Minor, Tries: int64(r.Retries),
		}, w.now().UnixMicro())
	})
	return asked
}

// SaleHeard is told when the merchant has an answer, or will have none.
func (w *Witness) SaleHeard(a *model.AskedSale) { w.tell(func(m *model.Model) { m.SaleHeard(a) }) }

// SaleRefused is told when the merchant has heard that it is not made, and why.
func (w *Witness) SaleRefused(a *model.AskedSale, why string) {
	w.tell(func(m *model.Model) { m.SaleRefused(a, why) })
}

// Limit is told before a customer's request for a limit is sent.
func (w *Witness) Limit(customerID string, k customer.LimitKind, p limit.Period, a money.Amount) {
	w.tell(func(m *model.Model) { m.LimitAsked(limitOf(customerID, string(k), string(p), a)) })
}

// LimitAnswered is told when they have heard that it is set, or waits.
func (w *Witness) LimitAnswered(customerID string, k customer.LimitKind, p limit.Period, a money.Amount) {
	w.tell(func(m *model.Model) { m.LimitAnswered(limitOf(customerID, string(k), string(p), a)) })
}

func limitOf(customerID, kind, period string, a money.Amount) model.Limit {
	return model.Limit{Kind: kind, Customer: customerID, Period: period, Currency: string(a.Currency), Minor: a.Minor}
}

// Restriction is told before somebody asks for one, or for its end.
func (w *Witness) Restriction(customerID string, r customer.Restriction, lift bool) {
	w.tell(func(m *model.Model) { m.RestrictionAsked(customerID, string(r), lift) })
}

// SaleAnswered is told when the merchant has the answer.
func (w *Witness) SaleAnswered(name string, p id.Payment) {
	w.tell(func(m *model.Model) { m.SaleAnswered(name, p.String()) })
}

// Refund is told before a merchant's request is sent.
func (w *Witness) Refund(p id.Payment, name string, minor int64) {
	w.tell(func(m *model.Model) { m.RefundAsked(model.Refund{Payment: p.String(), Name: name, Minor: minor}) })
}

// RefundAnswered is told when the merchant has the answer.
func (w *Witness) RefundAnswered(o id.Operation) {
	w.tell(func(m *model.Model) { m.RefundAnswered(o.String()) })
}

// Again is told before a customer's press on "try again" is sent.
func (w *Witness) Again(p id.Payment, declined id.Operation) {
	w.tell(func(m *model.Model) { m.AgainAsked(p.String(), declined.String()) })
}

// The same for those who know only the merchant's names.

// SaleTaken is told when the merchant has heard that his sale was taken, or is known.
func (w *Witness) SaleTaken(name string) { w.tell(func(m *model.Model) { m.SaleTaken(name) }) }

// RefundOf is told before a merchant's request is sent.
func (w *Witness) RefundOf(name, refund string, minor int64) {
	w.tell(func(m *model.Model) { m.RefundAsked(model.Refund{Payment: m.Named(name), Name: refund, Minor: minor}) })
}

// RefundTaken is told when the merchant has heard that his refund was taken.
func (w *Witness) RefundTaken(refund string) { w.tell(func(m *model.Model) { m.RefundTaken(refund) }) }

// AgainOf is told before a customer's press on "try again" is sent.
func (w *Witness) AgainOf(name string, declined id.Operation) {
	w.tell(func(m *model.Model) { m.AgainAsked(m.Named(name), declined.String()) })
}

// Move is told before a merchant's request to move money of a wallet is sent.
// One of the three below must follow.
func (w *Witness) Move(k ledger.Kind, r flow.WalletMove) *model.AskedMove {
	var asked *model.AskedMove
	w.tell(func(m *model.Model) {
		asked = m.MoveAsked(model.Move{
			Kind: string(k), Name: r.TxnID, Customer: r.CustomerID, Round: r.RoundID, Currency: string(r.Amount.Currency), Minor: r.Amount.Minor, Bonus: r.Bonus,
		}, w.now().UnixMicro())
	})
	return asked
}

// MoveAnswered is told when the merchant has heard that a move was made.
func (w *Witness) MoveAnswered(a *model.AskedMove, is flow.Moved) {
	answer := model.MoveAnswer{Currency: string(is.Available.Currency), Available: is.Available.Minor, Repeat: is.Repeat}
	if !is.Transfer.ID.IsZero() {
		answer.Transfer = is.Transfer.ID.String()
	}
	w.tell(func(m *model.Model) { m.MoveAnswered(a, answer) })
}

// MoveRefused is told when the merchant has heard that a move is not made.
func (w *Witness) MoveRefused(a *model.AskedMove, why string) {
	w.tell(func(m *model.Model) { m.MoveRefused(a, why) })
}

// MoveUnheard is told when no answer will come.
func (w *Witness) MoveUnheard(a *model.AskedMove) { w.tell(func(m *model.Model) { m.MoveUnheard(a) }) }

// Payout is told before a merchant's request is sent. One of the three below must
// follow.
func (w *Witness) Payout(r flow.PayoutRequest) *model.AskedPayout {
	var asked *model.AskedPayout
	w.tell(func(m *model.Model) {
		asked = m.PayoutAsked(model.Payout{
			ID: r.ID.String(), Name: r.PayoutID, Customer: r.CustomerID, Currency: string(r.Amount.Currency), Minor: r.Amount.Minor,
		})
	})
	return asked
}

// PayoutAnswered is told when the merchant has heard that it is this payout.
func (w *Witness) PayoutAnswered(a *model.AskedPayout, p id.Payment, repeat bool) {
	w.tell(func(m *model.Model) { m.PayoutAnswered(a, p.String(), repeat) })
}

// PayoutRefused is told when the merchant has heard that it is not made.
func (w *Witness) PayoutRefused(a *model.AskedPayout, why string) {
	w.tell(func(m *model.Model) { m.PayoutRefused(a, why) })
}

// PayoutUnheard is told when no answer will come.
func (w *Witness) PayoutUnheard(a *model.AskedPayout) {
	w.tell(func(m *model.Model) { m.PayoutUnheard(a) })
}

// Call is told before a call of Google's is made. One of the three below must follow.
func (w *Witness) Call(c model.Call) *model.AskedCall {
	var asked *model.AskedCall
	w.tell(func(m *model.Model) { asked = m.CallAsked(c) })
	return asked
}

// CallAnswered is told when Google has heard the answer of a call's row.
func (w *Witness) CallAnswered(a *model.AskedCall, row, answer string) {
	w.tell(func(m *model.Model) { m.CallAnswered(a, row, answer) })
}

// CallRefused is told when Google has heard that a call is not done.
func (w *Witness) CallRefused(a *model.AskedCall, why string) {
	w.tell(func(m *model.Model) { m.CallRefused(a, why, w.now().UnixMicro()) })
}

// CallUnheard is told when no answer will come.
func (w *Witness) CallUnheard(a *model.AskedCall) { w.tell(func(m *model.Model) { m.CallUnheard(a) }) }

// Proving is told before a customer is proved on the page, for a redirect of Google's.
func (w *Witness) Proving(redirect string) {
	w.tell(func(m *model.Model) { m.Proving(redirect, w.now().UnixMicro()) })
}

// Said is told before a customer confirms a purchase that waits, or refuses it.
func (w *Witness) Said(name string, agreed bool) {
	w.tell(func(m *model.Model) { m.Said(name, agreed) })
}

// Closing is told before a customer has a link closed.
func (w *Witness) Closing(name string) { w.tell(func(m *model.Model) { m.ClosingLink(name) }) }

// Restarted is told when the platform has died, before it begins again.
func (w *Witness) Restarted() { w.tell((*model.Model).Restarted) }

// Made counts the steps that the model followed, by the move that allowed them.
func (w *Witness) Made() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.model.Made()
}

// End gives what the model finds wrong with the run. It must have come to rest.
func (w *Witness) End(r book.Reader) ([]string, error) {
	const all = 1_000_000
	pays, err := r.ScanPayments(context.Background(), id.Payment{}, all)
	if err != nil {
		return nil, err
	}
	accounts, err := r.ScanAccounts(context.Background(), id.Account{}, all)
	if err != nil {
		return nil, err
	}
	rounds, err := r.ScanRounds(context.Background(), id.Round{}, all)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.model.End(list(pays, paymentRow), list(accounts, accountRow), list(rounds, roundRow)), nil
}

// headerOf is the header that a notification was stored with.
func headerOf(n payment.Inbox) http.Header {
	var fields map[string]string
	if err := json.Unmarshal([]byte(n.Header), &fields); err != nil {
		panic(err) // the platform wrote it just now
	}
	h := http.Header{}
	for k, v := range fields {
		h.Set(k, v)
	}
	return h
}

// The provider.

// Provider gives the connector to use in place of the one that is watched.
func (w *Witness) Provider() Connector { return w.Watch(w.inner) }

// Watch is Provider for another connector of the same provider, as a platform
// that begins again has.
func (w *Witness) Watch(c Connector) Connector {
	if p, ok := c.(Payer); ok {
		return payer{provider{c, w}, p}
	}
	return provider{c, w}
}

type provider struct {
	Connector
	w *Witness
}

func (p provider) asks(o connector.Order) {
	p.w.tell(func(m *model.Model) { m.Asks(o.Reference()) })
}

func (p provider) heard(o connector.Order, out connector.Outcome) connector.Outcome {
	p.w.tell(func(m *model.Model) { m.Heard(p.w.outcome(o.Reference(), out)) })
	return out
}

func (w *Witness) outcome(attempt string, out connector.Outcome) model.Outcome {
	return model.Outcome{
		Attempt: attempt, Kind: string(out.Kind), Currency: string(out.Amount.Currency), Minor: out.Amount.Minor,
		NoRecord: out.NoRecord, Redirect: out.Redirect != nil, Unusable: out.Unusable, Token: out.Instrument.Token, Of: string(out.Instrument.Kind),
		AtUS: w.now().UnixMicro(),
	}
}

func (p provider) Sale(ctx context.Context, o connector.Order) connector.Outcome {
	p.asks(o)
	return p.heard(o, p.Connector.Sale(ctx, o))
}

func (p provider) Refund(ctx context.Context, o connector.Order) connector.Outcome {
	p.asks(o)
	return p.heard(o, p.Connector.Refund(ctx, o))
}

func (p provider) Lookup(ctx context.Context, o connector.Order) connector.Outcome {
	return p.heard(o, p.Connector.Lookup(ctx, o))
}

func (p provider) LookupRefund(ctx context.Context, o connector.Order) connector.Outcome {
	return p.heard(o, p.Connector.LookupRefund(ctx, o))
}

// payer is a provider that is a Payer.
type payer struct {
	provider
	out connector.Payouter
}

func (p payer) Payout(ctx context.Context, o connector.Order) connector.Outcome {
	p.asks(o)
	return p.heard(o, p.out.Payout(ctx, o))
}

func (p payer) LookupPayout(ctx context.Context, o connector.Order) connector.Outcome {
	return p.heard(o, p.out.LookupPayout(ctx, o))
}

// The store.

// Homes gives the homes to open a book on in place of these. read reads them.
// Each must have one lane, so that what is seen last was committed last.
func (w *Witness) Homes(homes []book.Home, read book.Reader) []book.Home {
	homes = slices.Clone(homes)
	for n := range homes {
		homes[n].Store = store{homes[n].Store, w, read}
	}
	return homes
}

type store struct {
	book.Store
	w    *Witness
	read book.Reader
}

func (s store) Lane(ctx context.Context) (book.Lane, error) {
	l, err := s.Store.Lane(ctx)
	return lane{l, s}, err
}

type lane struct {
	book.Lane
	s store
}

// Commit sees what is written, and so what the batch's COMMIT did even where
// its answer is lost.
func (l lane) Commit(ctx context.Context, c *book.Changes) error {
	// The store may reorder what it is given.
	seen := &book.Changes{
		Payments: copied(c.Payments), Operations: copied(c.Operations), Attempts: copied(c.Attempts), Accounts: copied(c.Accounts),
		Inbox: copied(c.Inbox), Cases: copied(c.Cases), Rounds: copied(c.Rounds), Transfers: slices.Clone(c.Transfers), Events: slices.Clone(c.Events),
		Customers: copied(c.Customers), Notes: slices.Clone(c.Notes),
		Reviews: copied(c.Reviews), Checks: copied(c.Checks), Instruments: copied(c.Instruments), Audit: slices.Clone(c.Audit),
		Calls: copied(c.Calls), Associations: copied(c.Associations), Told: copied(c.Told),
	}
	err := l.Lane.Commit(ctx, c)
	if err == nil || errors.Is(err, book.ErrLost) && l.s.written(seen) {
		l.s.w.committed(seen)
	}
	return err
}

func copied[R, K any](c book.Change[R, K]) book.Change[R, K] {
	return book.Change[R, K]{Insert: slices.Clone(c.Insert), Update: slices.Clone(c.Update)}
}

// written reports whether the rows that the model follows are there.
func (s store) written(c *book.Changes) bool {
	ctx := context.Background()
	return there(rows(c.Payments), func(r payment.Payment) (payment.Payment, bool, error) { return s.read.Payment(ctx, r.ID) }) &&
		there(rows(c.Operations), func(r payment.Operation) (payment.Operation, bool, error) { return s.read.Operation(ctx, r.ID) }) &&
		there(rows(c.Attempts), func(r payment.Attempt) (payment.Attempt, bool, error) { return s.read.Attempt(ctx, r.ID) }) &&
		there(rows(c.Rounds), func(r ledger.Round) (ledger.Round, bool, error) { return s.read.Round(ctx, r.ID) }) &&
		there(list(c.Transfers, transferID), func(k id.Transfer) (id.Transfer, bool, error) {
			t, ok, err := s.read.Transfer(ctx, k)
			return t.ID, ok, err
		}) &&
		there(c.Notes, func(r customer.Note) (customer.Note, bool, error) { return s.read.Note(ctx, r.ID) }) &&
		there(rows(c.Inbox), func(r payment.Inbox) (payment.Inbox, bool, error) { return s.read.Inbox(ctx, r.ID) }) &&
		there(rows(c.Reviews), func(r payment.Review) (payment.Review, bool, error) { return s.read.Review(ctx, r.ID) }) &&
		there(rows(c.Checks), func(r customer.Check) (customer.Check, bool, error) { return s.read.Check(ctx, r.ID) }) &&
		there(rows(c.Calls), func(r fop.Call) (fop.Call, bool, error) { return s.read.Call(ctx, r.ID) }) &&
		there(rows(c.Associations), func(r fop.Association) (fop.Association, bool, error) { return s.read.Association(ctx, r.ID) }) &&
		there(rows(c.Told), func(r fop.Told) (fop.Told, bool, error) { return s.read.Told(ctx, r.ID) }) &&
		there(c.Audit, func(r operator.Entry) (operator.Entry, bool, error) { return s.read.AuditEntry(ctx, r.ID) }) &&
		there(c.Events, func(r event.Event) (event.Event, bool, error) { return s.read.Event(ctx, r.ID) })
}

func there[R comparable](rows []R, read func(R) (R, bool, error)) bool {
	for _, want := range rows {
		if got, ok, err := read(want); err != nil || !ok || got != want {
			return false
		}
	}
	return true
}

func rows[R, K any](c book.Change[R, K]) []R {
	out := slices.Clone(c.Insert)
	for _, u := range c.Update {
		out = append(out, u.Row)
	}
	return out
}

func (w *Witness) committed(c *book.Changes) {
	w.mu.Lock()
	defer w.mu.Unlock()
	accounts := list(rows(c.Accounts), accountRow)
	for n, a := range rows(c.Accounts) {
		w.accounts[a.ID] = accounts[n].AccountName
	}
	for _, x := range rows(c.Customers) {
		w.customers[x.ID] = x.Name
	}
	for _, n := range c.Inbox.Insert {
		w.news(n, w.model.News)
	}
	w.model.Committed(model.Commit{
		Payments: list(rows(c.Payments), paymentRow), Operations: list(rows(c.Operations), operationRow), Attempts: list(rows(c.Attempts), attemptRow),
		Events: list(ofPayments(c.Events), eventRow), Transfers: w.pairs(c.Transfers), Accounts: accounts, Rounds: list(rows(c.Rounds), roundRow),
		Cases:  list(rows(c.Cases), func(c payment.Case) model.Case { return model.Case{Payment: c.Payment.String(), Kind: c.Kind} }),
		Limits: w.limits(c.Notes), Restrictions: w.restrictions(c.Notes), Reviews: list(rows(c.Reviews), w.review), Deeds: list(c.Audit, deedOf), Checks: list(rows(c.Checks), w.check),
		Instruments: list(rows(c.Instruments), w.instrument),
		Calls:       list(rows(c.Calls), w.call), Links: list(rows(c.Associations), w.link), Told: list(rows(c.Told), toldOf),
	})
	for _, u := range c.Inbox.Update {
		if u.Row.State == payment.InboxApplied {
			w.news(u.Row, w.model.NewsTaken)
		}
	}
}

// news tells the model of a notification. What was stored was verified; it is read
// again here, as bytes.
func (w *Witness) news(n payment.Inbox, tell func(o model.Outcome, ownWord bool)) {
	news, err := w.inner.ReadNotification(connector.Notification{Method: "POST", Header: headerOf(n), Body: []byte(n.Body)})
	if err == nil {
		tell(w.outcome(news.Reference, connector.Outcome{Kind: news.Kind, Amount: news.Amount, Instrument: news.Instrument, Unusable: news.Unusable}), news.Final)
	}
}

// limits are those of notes.
func (w *Witness) limits(notes []customer.Note) []model.Limit {
	var out []model.Limit
	for _, n := range notes {
		if n.Kind != flow.NoteLimitSet && n.Kind != flow.NoteLimitAsked && n.Kind != flow.NoteLimitConfirmed {
			continue
		}
		var of struct{ Kind, Period, Amount, Currency string }
		if err := json.Unmarshal([]byte(n.Body), &of); err != nil {
			panic(err) // the platform wrote it just now
		}
		a, err := money.ParseDecimal(of.Amount, money.Currency(of.Currency))
		if err != nil {
			panic("witness: a limit that nobody asks for: " + n.Body)
		}
		l := limitOf(w.customers[n.Customer], of.Kind, of.Period, a)
		l.AtUS, l.Raise, l.Confirmed = n.AtUS, n.Kind == flow.NoteLimitAsked, n.Kind == flow.NoteLimitConfirmed
		out = append(out, l)
	}
	return out
}

// restrictions are those of notes.
func (w *Witness) restrictions(notes []customer.Note) []model.Restriction {
	var out []model.Restriction
	for _, n := range notes {
		r := model.Restriction{Customer: w.customers[n.Customer], AtUS: n.AtUS}
		switch n.Kind {
		case flow.NoteRestricted:
		case flow.NoteLifted:
			r.Lifted = true
		case flow.NoteLinked:
			r.Linked = true
		case flow.NoteUnlinked:
			r.Linked, r.Lifted = true, true
		default:
			continue
		}
		var of struct {
			Type, Restriction string
			UntilUS           int64     `json:"until_us"`
			Until             time.Time // as a linked one has it, to the microsecond
		}
		if err := json.Unmarshal([]byte(n.Body), &of); err != nil {
			panic(err) // the platform wrote it just now
		}
		if r.Type, r.UntilUS = of.Type+of.Restriction, of.UntilUS; !of.Until.IsZero() {
			r.UntilUS = of.Until.UnixMicro()
		}
		out = append(out, r)
	}
	return out
}

// ofPayments leaves out what is about endpoints of a merchant and moves nothing.
func ofPayments(all []event.Event) []event.Event {
	return slices.DeleteFunc(slices.Clone(all), func(e event.Event) bool { return e.Payment.IsZero() })
}

// The translation, row by row.

func list[R, M any](rows []R, row func(R) M) []M {
	out := make([]M, len(rows))
	for n, r := range rows {
		out[n] = row(r)
	}
	return out
}

func paymentRow(p payment.Payment) model.Payment {
	return model.Payment{
		ID: p.ID.String(), Type: string(p.Type), Name: p.MerchantPaymentID, Customer: p.CustomerID, Status: string(p.Status), Currency: string(p.Amount.Currency),
		Place: int(p.ID.Bucket()), Minor: p.Amount.Minor, Captured: p.CapturedMinor, Refunded: p.RefundedMinor, Refunding: p.RefundingMinor,
		LimitUS: p.LimitUS, CreatedUS: p.CreatedUS, TriesLeft: p.TriesLeft, RetryUS: p.RetryUS,
	}
}

func operationRow(o payment.Operation) model.Operation {
	return model.Operation{
		ID: o.ID.String(), Payment: o.Payment.String(), Kind: string(o.Kind), Status: string(o.Status), RefundName: o.MerchantRefundID,
		Minor: o.Amount.Minor, Number: o.Number,
	}
}

func attemptRow(a payment.Attempt) model.Attempt {
	_, token := a.By()
	return model.Attempt{
		ID: a.ID.String(), Operation: a.Operation.String(), Payment: a.Payment.String(), Kind: string(a.Kind), Status: string(a.Status),
		PSP: a.PSP(), Currency: string(a.Amount.Currency), Minor: a.Amount.Minor, ChangedUS: a.ChangedUS, Late: a.Late != 0, Token: token,
	}
}

func eventRow(e event.Event) model.Event {
	s, err := e.Decode()
	if err != nil {
		panic(err) // the platform wrote it just now
	}
	out := model.Event{
		Payment: e.Payment.String(), Operation: e.Operation.String(), Kind: string(e.Kind), From: string(e.From), To: string(e.To),
		Code: s.Payment.Code, AtUS: e.AtUS, Ended: s.Operation.Status.Final(),
	}
	if e.Kind == event.RefundStarted || e.Kind == event.RefundSucceeded || e.Kind == event.RefundDeclined {
		out.Code = s.Operation.Code
	}
	if !s.Attempt.ID.IsZero() {
		out.Attempt = s.Attempt.ID.String()
	}
	return out
}

func accountRow(a ledger.Account) model.Account {
	name := model.AccountName{Place: int(a.ID.Bucket()), Owner: a.Owner, Purpose: string(a.Purpose), Currency: string(a.Currency)}
	return model.Account{AccountName: name, Minor: a.Minor}
}

func transferID(t ledger.Transfer) id.Transfer { return t.ID }

// pairs cuts transfers into their pairs of postings. What is no pair of the same
// money is none that the model knows, and it will say so.
func (w *Witness) pairs(all []ledger.Transfer) []model.Transfer {
	var out []model.Transfer
	for _, t := range all {
		row := model.Transfer{Of: t.ID.String(), Kind: string(t.Kind), Name: t.Name, AtUS: t.CreatedUS}
		if !t.Operation.IsZero() {
			row.Operation = t.Operation.String()
		}
		if !t.Round.IsZero() {
			row.Round = t.Round.String()
		}
		for p := range slices.Chunk(t.Postings, 2) {
			row.Debit, row.Credit, row.Minor = w.accounts[p[0].Account], model.AccountName{}, -1
			if len(p) == 2 && p[0].Minor > 0 && p[0].Minor == -p[1].Minor {
				row.Credit, row.Minor = w.accounts[p[1].Account], p[0].Minor
			}
			out = append(out, row)
		}
	}
	return out
}

func roundRow(r ledger.Round) model.Round {
	out := model.Round{
		ID: r.ID.String(), Name: r.Name, Currency: string(r.Currency), Place: int(r.ID.Bucket()), Stakes: r.Stakes, Wins: r.Wins,
		Staked: r.Staked, Won: r.Won, BonusStaked: r.BonusStaked, BonusWon: r.BonusWon, RolledBack: r.RolledBack,
	}
	if !r.Rollback.IsZero() {
		out.Rollback = r.Rollback.String()
	}
	return out
}

// Of a licensed house.

// Deed is told before somebody asks for something that the log tells of.
func (w *Witness) Deed(who operator.Actor, what, about string) {
	w.tell(func(m *model.Model) { m.DeedAsked(model.Deed{Who: who.Name, What: what, About: about}) })
}

// CheckPassed is told before a provider says that a customer has passed its check.
func (w *Witness) CheckPassed(reference string) {
	w.tell(func(m *model.Model) { m.CheckSaid(reference) })
}

// deedOf is an entry of the log. A payout is called as its payment is.
func deedOf(e operator.Entry) model.Deed {
	about := e.About
	if p, err := id.ParsePayout(about); err == nil {
		about = id.Payment(p).String()
	}
	return model.Deed{Who: e.Who, What: e.What, About: about}
}

func (w *Witness) check(c customer.Check) model.Check {
	var facts struct{ Person string }
	if err := json.Unmarshal([]byte(c.Facts), &facts); err != nil {
		panic(err) // the platform wrote it just now
	}
	return model.Check{Person: facts.Person, ID: c.ID.String(), Customer: w.customers[c.Customer], State: string(c.State), Level: c.Level, UntilUS: c.UntilUS}
}

func (w *Witness) instrument(i instrument.Instrument) model.Instrument {
	return model.Instrument{ID: i.ID.String(), Customer: w.customers[i.Customer], Token: i.Token}
}

// review is a payout's checks as they are stored, with all decisions that are kept.
func (w *Witness) review(r payment.Review) model.Review {
	out := model.Review{Payment: id.Payment(r.ID).String()}
	var log []risk.Record
	if err := json.Unmarshal([]byte(r.Log), &log); err != nil {
		panic(err) // the platform wrote it just now
	}
	for _, x := range log {
		if x.Payout == nil {
			panic("witness: a payout's decision without a payout: " + r.Log)
		}
		out.Decisions = append(out.Decisions, w.decision(x.AtUS, x.Again, *x.Payout, x.Decision))
	}
	return out
}

func (w *Witness) decision(atUS int64, again bool, f risk.PayoutFacts, d risk.Decision) model.Decision {
	var stopped, released []string
	for _, p := range d.Stopped() {
		stopped = append(stopped, p.Rule)
	}
	for _, h := range d.Results { // of what was let pass only that which covers what was found
		if h.Released {
			released = append(released, h.Rule)
		}
	}
	slices.Sort(stopped)
	slices.Sort(released)
	stopped, released = slices.Compact(stopped), slices.Compact(released)
	out := model.Decision{
		AtUS: atUS, Again: again, Reserved: f.Reserved, Restriction: f.Restriction, Reviews: f.Reviews, Level: f.Level,
		PaidEver: w.sum(f.PaidEver), Paid180: w.sum(f.Paid180), Paid30: w.sum(f.Paid30), Day: w.sum(f.Day), Available: f.Available, Bonus: f.Bonus,
		Deposits: f.SinceDeposits, Stakes: f.SinceStakes, DepositedEver: f.DepositedEver, StakedEver: f.StakedEver, Elsewhere: f.Elsewhere, Approvals: int64(f.Approvals),
		Released: strings.Join(released, " "), Action: string(d.Action), Check: string(d.Check), Stopped: strings.Join(stopped, " "),
	}
	if f.Requests != nil && f.LastDepositUS != nil { // else the model finds that they are not what they must be
		out.Requests, out.LastDeposit = *f.Requests, *f.LastDepositUS
	}
	return out
}

// sum is one of the house's currency: it pays out in no other.
func (w *Witness) sum(s risk.Sum) int64 {
	minor := int64(0)
	for _, a := range s {
		if w.rules == nil || string(a.Currency) != w.rules.Currency {
			panic("witness: a sum in " + string(a.Currency))
		}
		minor += a.Minor
	}
	return minor
}

// Of Google's.

func (w *Witness) call(c fop.Call) model.CallRow {
	return model.CallRow{
		ID: c.ID.String(), Kind: string(c.Method), Name: c.RequestID, Account: c.Account, Customer: w.customers[c.Customer], Link: c.Association.String(),
		State: string(c.State), Result: string(c.Result), Answer: c.Answer, Currency: string(c.Amount.Currency), Transfer: c.Transfer.String(),
		About: id.Call(c.About).String(), Proven: id.Proof(c.Proven).String(), Minor: c.Amount.Minor, Refunded: c.RefundedMinor,
		CreatedUS: c.CreatedUS, ChangedUS: c.ChangedUS, UntilUS: c.LimitUS,
	}
}

func (w *Witness) link(a fop.Association) model.LinkRow {
	return model.LinkRow{ID: a.ID.String(), Name: a.Name, Customer: w.customers[a.Customer], Open: a.State == fop.AssociationActive, ExpiresUS: a.ExpiresUS}
}

// toldOf is what Google must hear, as its body says it.
func toldOf(t fop.Told) model.ToldRow {
	var of struct {
		Capture struct {
			Code string `json:"captureResultCode"`
		} `json:"captureResult"`
		Refund string `json:"refundResult"`
	}
	if err := json.Unmarshal([]byte(t.Body), &of); err != nil {
		panic(err) // the platform wrote it just now
	}
	return model.ToldRow{ID: t.ID.String(), About: id.Call(t.Subject).String(), Method: t.Method, Result: of.Capture.Code + of.Refund}
}
