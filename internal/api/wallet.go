package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/project"
)

// moveBody is a move of a customer's money.
type moveBody struct {
	TxnID          string `json:"txn_id" kind:"txn" need:"yes" doc:"Your name for the move, unique in the project for moves of this kind." ex:"bet-77"`
	CustomerID     string `json:"customer_id" kind:"name" doc:"Whose money. Without it the API key's default customer's." ex:"42"`
	Amount         string `json:"amount" kind:"amount" need:"yes" doc:"In major units." ex:"5.00"`
	Currency       string `json:"currency" kind:"currency" need:"yes" doc:"ISO 4217." ex:"EUR"`
	Purse          string `json:"purse" kind:"enum:available,bonus" doc:"Which of the customer's money; available, if you do not say." ex:"available"`
	Description    string `json:"description" kind:"text" doc:"What it is for." ex:"A hat"`
	IdempotencyKey string `json:"idempotency_key" kind:"key" doc:"Instead of the header Idempotency-Key." ex:"bet-77"`
}

// creditBody is a credit, by itself or of a payment.
type creditBody struct {
	TxnID          string `json:"txn_id" kind:"txn" need:"yes" doc:"Your name for the move, unique in the project for moves of this kind." ex:"prize-3"`
	PaymentID      string `json:"payment_id" kind:"payment_id" doc:"A payment whose money is in the wallet already: the answer is its deposit, and nothing is booked." ex:"pay_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	CustomerID     string `json:"customer_id" kind:"name" doc:"Whose money. Without it the API key's default customer's." ex:"42"`
	Amount         string `json:"amount" kind:"amount" need:"yes" doc:"In major units." ex:"50.00"`
	Currency       string `json:"currency" kind:"currency" doc:"ISO 4217; it must be there but for a payment_id." ex:"EUR"`
	Description    string `json:"description" kind:"text" doc:"What it is for." ex:"Second prize"`
	IdempotencyKey string `json:"idempotency_key" kind:"key" doc:"Instead of the header Idempotency-Key." ex:"prize-3"`
}

// roundBody is a stake or a win.
type roundBody struct {
	RoundID        string `json:"round_id" kind:"txn" need:"yes" doc:"Your name for the round." ex:"spin-9"`
	TxnID          string `json:"txn_id" kind:"txn" need:"yes" doc:"Your name for the move, unique in the project for moves of this kind." ex:"bet-77"`
	CustomerID     string `json:"customer_id" kind:"name" doc:"Whose money. Without it the API key's default customer's." ex:"42"`
	Amount         string `json:"amount" kind:"amount" need:"yes" doc:"In major units." ex:"5.00"`
	Currency       string `json:"currency" kind:"currency" need:"yes" doc:"ISO 4217." ex:"EUR"`
	Purse          string `json:"purse" kind:"enum:available,bonus" doc:"Which of the customer's money; available, if you do not say." ex:"available"`
	Description    string `json:"description" kind:"text" doc:"What it is for." ex:"Red"`
	IdempotencyKey string `json:"idempotency_key" kind:"key" doc:"Instead of the header Idempotency-Key." ex:"bet-77"`
}

// rollbackBody undoes a round.
type rollbackBody struct {
	RoundID        string `json:"round_id" kind:"txn" need:"yes" doc:"The round. One that is not known yet can never be played." ex:"spin-9"`
	TxnID          string `json:"txn_id" kind:"txn" need:"yes" doc:"Your name for the rollback, unique in the project." ex:"undo-9"`
	CustomerID     string `json:"customer_id" kind:"name" doc:"Whose round. Without it the API key's default customer's." ex:"42"`
	Amount         string `json:"amount" kind:"amount" doc:"What the round has staked, if you want it compared." ex:"5.00"`
	Currency       string `json:"currency" kind:"currency" doc:"It must be there with an amount." ex:"EUR"`
	Description    string `json:"description" kind:"text" doc:"Why." ex:"Table closed"`
	IdempotencyKey string `json:"idempotency_key" kind:"key" doc:"Instead of the header Idempotency-Key." ex:"undo-9"`
}

// movedView is what became of a move.
type movedView struct {
	TransferID string `json:"transfer_id,omitempty" kind:"transfer_id" doc:"Our name for it; none where a rollback found nothing to undo." ex:"txn_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	TxnID      string `json:"txn_id" kind:"txn" need:"yes" doc:"Yours." ex:"bet-77"`
	Kind       string `json:"kind" kind:"word" need:"yes" doc:"What it is: stake, win, rollback, debit, credit, deposit, bonus_grant, bonus_release." ex:"stake"`
	PaymentID  string `json:"payment_id,omitempty" kind:"payment_id" doc:"Of a deposit: its payment." ex:"pay_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	RoundID    string `json:"round_id,omitempty" kind:"txn" doc:"Of which round." ex:"spin-9"`
	CustomerID string `json:"customer_id,omitempty" kind:"name" doc:"Whose money." ex:"42"`
	Amount     string `json:"amount,omitempty" kind:"amount" doc:"Of how much; of a rollback the stakes that went back." ex:"5.00"`
	Currency   string `json:"currency,omitempty" kind:"currency" doc:"ISO 4217." ex:"EUR"`
	Available  string `json:"available,omitempty" kind:"amount" doc:"What the customer has right after it." ex:"45.00"`
	Bonus      string `json:"bonus,omitempty" kind:"amount" doc:"And as bonus, where the move touched that." ex:"10.00"`
	CreatedAt  string `json:"created_at" kind:"time" need:"yes" doc:"When." ex:"2025-10-17T09:41:03Z"`
}

// tell is a call that moves a customer's money: the act that moves it writes the
// answer, too.
type tell struct {
	move flow.WalletMove
	do   func(context.Context, flow.WalletMove) (flow.Moved, error)
	view func(flow.Moved) movedView
}

// asked is what all bodies of moves say.
type asked struct{ round, txn, customer, amount, currency, purse, description string }

func (a *API) moveOf(c *call, b asked, do func(context.Context, flow.WalletMove) (flow.Moved, error)) (tell, error) {
	m := flow.WalletMove{
		Project: c.project, CustomerID: b.customer, TxnID: b.txn, RoundID: b.round, Bonus: b.purse == "bonus", Description: b.description,
	}
	if m.CustomerID == "" {
		m.CustomerID = c.key.DefaultCustomer
	}
	if m.CustomerID == "" {
		return tell{}, invalid(problem{"customer_id", "required", "must be there: the API key has no default customer"})
	}
	if b.amount != "" {
		var err error
		if m.Amount, err = amountOf(b.amount, b.currency); err != nil {
			return tell{}, err
		}
	}
	return tell{move: m, do: do, view: func(what flow.Moved) movedView { return viewMoved(m, what) }}, nil
}

func (a *API) debit(c *call) (tell, error) {
	b := c.body.(*moveBody)
	return a.moveOf(c, asked{"", b.TxnID, b.CustomerID, b.Amount, b.Currency, b.Purse, b.Description}, a.opts.Flows.Debit)
}

func (a *API) grantBonus(c *call) (tell, error) {
	b := c.body.(*moveBody)
	return a.moveOf(c, asked{"", b.TxnID, b.CustomerID, b.Amount, b.Currency, "", b.Description}, a.opts.Flows.GrantBonus)
}

func (a *API) releaseBonus(c *call) (tell, error) {
	b := c.body.(*moveBody)
	return a.moveOf(c, asked{"", b.TxnID, b.CustomerID, b.Amount, b.Currency, "", b.Description}, a.opts.Flows.ReleaseBonus)
}

func (a *API) stake(c *call) (tell, error) {
	b := c.body.(*roundBody)
	return a.moveOf(c, asked{b.RoundID, b.TxnID, b.CustomerID, b.Amount, b.Currency, b.Purse, b.Description}, a.opts.Flows.Stake)
}

func (a *API) win(c *call) (tell, error) {
	b := c.body.(*roundBody)
	return a.moveOf(c, asked{b.RoundID, b.TxnID, b.CustomerID, b.Amount, b.Currency, b.Purse, b.Description}, a.opts.Flows.Win)
}

func (a *API) rollback(c *call) (tell, error) {
	b := c.body.(*rollbackBody)
	if (b.Amount == "") != (b.Currency == "") {
		return tell{}, invalid(problem{"currency", "required", "amount and currency come together"})
	}
	return a.moveOf(c, asked{b.RoundID, b.TxnID, b.CustomerID, b.Amount, b.Currency, "", b.Description}, a.opts.Flows.Rollback)
}

func (a *API) credit(c *call) (tell, error) {
	b := c.body.(*creditBody)
	if b.PaymentID != "" {
		return a.deposit(c, b)
	}
	if b.Currency == "" {
		return tell{}, invalid(problem{"currency", "required", "must be there"})
	}
	return a.moveOf(c, asked{"", b.TxnID, b.CustomerID, b.Amount, b.Currency, "", b.Description}, a.opts.Flows.Credit)
}

// deposit answers a credit of a payment, whose money is booked by its own final
// news and never a second time (L3.2).
func (a *API) deposit(c *call, b *creditBody) (tell, error) {
	m := flow.WalletMove{Project: c.project, TxnID: b.TxnID, CustomerID: b.CustomerID}
	return tell{move: m, do: func(ctx context.Context, m flow.WalletMove) (flow.Moved, error) {
		p, err := a.payment(ctx, c, b.PaymentID)
		if err != nil {
			return flow.Moved{}, err
		}
		if b.Currency != "" && b.Currency != string(p.Amount.Currency) {
			return flow.Moved{}, invalid(problem{"currency", "differs", "must be the payment's"})
		}
		amount, err := amountOf(b.Amount, string(p.Amount.Currency))
		if err != nil {
			return flow.Moved{}, err
		}
		if amount != p.Amount {
			return flow.Moved{}, invalid(problem{"amount", "differs", "must be the payment's"})
		}
		if b.CustomerID != "" && b.CustomerID != p.CustomerID {
			return flow.Moved{}, invalid(problem{"customer_id", "differs", "must be the payment's"})
		}
		moved, err := a.opts.Flows.DepositOf(ctx, c.project, b.PaymentID)
		if errors.Is(err, flow.ErrState) {
			return moved, refuse(codeState, map[string]any{"state": statusOf(p.Status)})
		}
		return moved, err
	}, view: func(what flow.Moved) movedView { return viewMoved(m, what) }}, nil
}

// viewMoved shows what became of a move. It is pure: an act runs it.
func viewMoved(m flow.WalletMove, what flow.Moved) movedView {
	t := what.Transfer
	v := movedView{
		TransferID: t.ID.String(), TxnID: m.TxnID, Kind: string(t.Kind), RoundID: m.RoundID, CustomerID: m.CustomerID, PaymentID: t.Payment.String(),
		CreatedAt: instant(t.CreatedUS),
	}
	if len(t.Postings) > 0 {
		v.Amount, v.Currency = amountMoved(t).Decimal(), string(t.Currency())
	} else if m.Amount.Currency != "" {
		v.Amount, v.Currency = decimal(0, m.Amount.Currency), string(m.Amount.Currency)
	}
	if what.Available.Currency != "" {
		v.Available = what.Available.Decimal()
	}
	if what.Bonus.Currency != "" {
		v.Bonus = what.Bonus.Decimal()
	}
	return v
}

// amountMoved is what a transfer is of: of a rollback what left the games, else
// what its first posting says.
func amountMoved(t ledger.Transfer) money.Amount {
	out := money.Amount{Currency: t.Currency()}
	if t.Kind != ledger.KindRollback {
		out.Minor = max(t.Postings[0].Minor, -t.Postings[0].Minor)
		return out
	}
	games := ledger.AccountID(t.ID.Bucket(), "house", ledger.Games, t.Currency())
	for _, p := range t.Postings {
		if p.Account == games && p.Minor > 0 {
			out.Minor += p.Minor
		}
	}
	return out
}

// told answers a call that moves a customer's money. Where the act that moves it
// can write the answer, that act is all there is to wait for.
func (a *API) told(ctx context.Context, c *call) (reply, error) {
	t, err := c.route.tell(c)
	if err != nil {
		return reply{}, err
	}
	of := flow.Call{ProjectID: c.project.ID, Route: c.route.method + " " + c.route.pattern, Key: c.idem, Print: c.print(a.opts.Flows.Hidden)}
	if t.move.CustomerID == "" || !a.opts.Flows.TellsIn(t.move, of) {
		return a.answerOnce(ctx, c, once{begin: func(ctx context.Context, _ payment.Answer, _ bool) (any, error) {
			moved, err := t.do(ctx, t.move)
			if err != nil {
				return nil, refusalOfMove(err)
			}
			return t.view(moved), nil
		}})
	}
	said := "" // as the act's last run wrote it
	text := func(m flow.Moved) string {
		said = string(encode(t.view(m)))
		return said
	}
	told := flow.Told{Call: of, Media: mediaJSON, Status: http.StatusOK, Body: text}
	t.move.Told = &told
	moved, err := t.do(ctx, t.move)
	if row, before, lost := a.opts.Flows.AnswerOf(ctx, err); before {
		return a.before(of.Print, row, lost)
	}
	out := reply{status: http.StatusOK, media: mediaJSON}
	switch {
	case err == nil && !moved.Repeat:
		out.body = []byte(said)
		return out, nil
	case err == nil:
		out.body = []byte(text(moved))
	default:
		err = refusalOfMove(err)
		if r, _ := refusalOf(err); !r.kept {
			return reply{}, err
		}
		out = a.refused(c, err)
	}
	// What moved nothing now has no act of its own: its answer is written by one more.
	kept := flow.Told{Call: of, Media: out.media, Status: int64(out.status), Body: func(flow.Moved) string { return string(out.body) }}
	err = a.opts.Flows.Tell(context.WithoutCancel(ctx), kept, moved)
	if row, before, lost := a.opts.Flows.AnswerOf(ctx, err); before {
		return a.before(of.Print, row, lost)
	}
	if err != nil {
		a.opts.Log.WarnContext(ctx, "an answer is not kept", "trace_id", c.traceID, "error", err)
	}
	return out, nil
}

// before answers by what the key was answered before.
func (a *API) before(print string, row payment.Answer, err error) (reply, error) {
	switch {
	case err != nil:
		return reply{}, err
	case row.Print != print:
		return reply{}, refuse(codeConflict, map[string]any{"differs": differs(row.Print, print)})
	case row.Status == 0:
		return reply{}, inProgress()
	}
	return replay(row), nil
}

// refusalOfMove gives the words of package flow for moves in those of /v1.
func refusalOfMove(err error) error {
	switch {
	case errors.Is(err, flow.ErrInsufficient):
		return short(nil).keep()
	case errors.Is(err, flow.ErrTxnConflict):
		return refuse(codeDuplicateTxn, nil)
	case errors.Is(err, flow.ErrRoundState):
		return refuse(codeState, map[string]any{"state": "closed"})
	case errors.Is(err, flow.ErrNoWallet):
		return invalid(problem{"customer_id", "no_wallet", "there is no wallet for it: the project keeps none, or the payment was nobody's"})
	case errors.Is(err, flow.ErrAmount):
		return invalid(problem{"amount", "differs", "must be what the round has staked"})
	case errors.Is(err, money.ErrRange):
		return refuse(codeRange, nil)
	}
	return err
}

// balanceView is what a customer has in one currency.
type balanceView struct {
	Currency  string `json:"currency" kind:"currency" need:"yes" doc:"ISO 4217." ex:"EUR"`
	Available string `json:"available" kind:"amount" need:"yes" doc:"Free to be spent." ex:"45.00"`
	Reserved  string `json:"reserved" kind:"amount" need:"yes" doc:"Held by refunds and payouts under way." ex:"0.00"`
	Bonus     string `json:"bonus" kind:"amount" need:"yes" doc:"To play with." ex:"10.00"`
}

// customerView is a customer.
type customerView struct {
	CustomerID string        `json:"customer_id" kind:"name" need:"yes" doc:"Your name for the customer." ex:"42"`
	Balances   []balanceView `json:"balances" need:"yes" doc:"In each currency that there ever was money in."`
	CreatedAt  string        `json:"created_at" kind:"time" need:"yes" doc:"When they were first met." ex:"2025-10-17T09:41:03Z"`
}

func (a *API) getCustomer(ctx context.Context, c *call) (any, error) {
	name := c.vars["customer_id"]
	balances, err := a.balances(ctx, c, name)
	if errors.Is(err, flow.ErrNoWallet) {
		return nil, refuse(codeNotFound, nil)
	}
	if err != nil {
		return nil, err
	}
	row, ok, err := a.opts.Read.Customer(ctx, a.opts.Flows.CustomerOf(c.project, name))
	switch {
	case err != nil:
		return nil, away(err)
	case !ok:
		return nil, refuse(codeNotFound, nil)
	}
	return customerView{CustomerID: row.Name, Balances: balances, CreatedAt: instant(row.CreatedUS)}, nil
}

type transferQuery struct {
	Currency string `json:"currency" kind:"currency" doc:"Only in this currency." ex:"EUR"`
	Limit    string `json:"limit" kind:"limit" doc:"How many at most, 1 to 100; 20 if you do not say." ex:"20"`
	Cursor   string `json:"cursor" kind:"cursor" doc:"next_cursor of the page before." ex:"txn_01k4aq3x8n0g2v5b7d9f1h3j5m"`
}

// transferView is a line of a customer's statement.
type transferView struct {
	TransferID  string `json:"transfer_id" kind:"transfer_id" need:"yes" doc:"Our name for it." ex:"txn_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	TxnID       string `json:"txn_id,omitempty" kind:"txn" doc:"Yours, of a move that you asked for." ex:"bet-77"`
	Kind        string `json:"kind" kind:"word" need:"yes" doc:"What it is." ex:"stake"`
	PaymentID   string `json:"payment_id,omitempty" kind:"payment_id" doc:"Of which payment." ex:"pay_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	PayoutID    string `json:"payout_id,omitempty" kind:"payout_id" doc:"Or of which payout." ex:"po_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	Change      string `json:"change" kind:"signed" need:"yes" doc:"By how much it changed what is available." ex:"-5.00"`
	ChangeBonus string `json:"change_bonus,omitempty" kind:"signed" doc:"By how much it changed the bonus." ex:"-1.00"`
	Currency    string `json:"currency" kind:"currency" need:"yes" doc:"ISO 4217." ex:"EUR"`
	Description string `json:"description,omitempty" kind:"text" doc:"What it was for." ex:"Red"`
	CreatedAt   string `json:"created_at" kind:"time" need:"yes" doc:"When." ex:"2025-10-17T09:41:03Z"`
}

type transferList struct {
	Data       []transferView `json:"data" need:"yes" doc:"The transfers, newest first."`
	HasMore    bool           `json:"has_more" kind:"boolean" need:"yes" doc:"Whether there are more." ex:"false"`
	NextCursor string         `json:"next_cursor,omitempty" kind:"cursor" doc:"Where to go on." ex:"txn_01k4aq3x8n0g2v5b7d9f1h3j5m"`
}

func (a *API) listTransfers(ctx context.Context, c *call) (any, error) {
	q := c.query.(*transferQuery)
	name := c.vars["customer_id"]
	s, err := a.opts.Flows.Statement(ctx, flow.StatementQuery{
		Project: c.project, CustomerID: name, Currency: money.Currency(q.Currency), Cursor: q.Cursor, Limit: limitOf(q.Limit),
	})
	switch {
	case errors.Is(err, flow.ErrNoWallet):
		return nil, refuse(codeNotFound, nil)
	case errors.Is(err, flow.ErrCursor):
		return nil, invalid(problem{"cursor", "cursor", "is not of this list"})
	case err != nil:
		return nil, err
	}
	out := transferList{Data: make([]transferView, len(s.Transfers)), HasMore: s.Next != "", NextCursor: s.Next}
	owner := c.project.Payee(name)
	for n, t := range s.Transfers {
		out.Data[n] = viewTransfer(t, owner)
	}
	return out, nil
}

func viewTransfer(t ledger.Transfer, owner string) transferView {
	available, bonus := int64(0), int64(0)
	cur := t.Currency()
	for _, p := range t.Postings {
		switch p.Account {
		case ledger.AccountID(t.ID.Bucket(), owner, ledger.Available, cur):
			available -= p.Minor
		case ledger.AccountID(t.ID.Bucket(), owner, ledger.Bonus, cur):
			bonus -= p.Minor
		}
	}
	v := transferView{
		TransferID: t.ID.String(), TxnID: t.Name, Kind: string(t.Kind), PaymentID: t.Payment.String(), Change: decimal(available, cur), Currency: string(cur),
		Description: t.Description, CreatedAt: instant(t.CreatedUS),
	}
	switch t.Kind {
	case ledger.KindPayoutReserve, ledger.KindPayoutSettle, ledger.KindPayoutRelease, ledger.KindBonusForfeit:
		v.PaymentID, v.PayoutID = "", id.Payout(t.Payment).String()
	case ledger.KindDeposit, ledger.KindLateSuccess, ledger.KindLateCredit, ledger.KindRefundReserve, ledger.KindRefundSettle, ledger.KindRefundRelease,
		ledger.KindStake, ledger.KindWin, ledger.KindRollback, ledger.KindDebit, ledger.KindCredit, ledger.KindBonusGrant, ledger.KindBonusRelease,
		ledger.KindCaptureFOP, ledger.KindRefundFOP, ledger.KindRemittance, ledger.KindRemittanceShare:
	}
	if bonus != 0 {
		v.ChangeBonus = decimal(bonus, cur)
	}
	return v
}

func limitOf(text string) int {
	if n, err := strconv.Atoi(text); err == nil { // the schema has found it to be a number, or absent
		return n
	}
	return defaultLimit
}

type accountQuery struct {
	Limit  string `json:"limit" kind:"limit" doc:"How many at most, 1 to 100; 20 if you do not say." ex:"20"`
	Cursor string `json:"cursor" kind:"sealed" doc:"next_cursor of the page before." ex:"cur_01k4aq3x8n0g2v5b7d9f1h3j5m"`
}

// accountView is an account of the ledger.
type accountView struct {
	AccountID string `json:"account_id" kind:"account_id" need:"yes" doc:"Its name." ex:"acc_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	Owner     string `json:"owner" kind:"name" need:"yes" doc:"Whose it is." ex:"customer:1:42"`
	Purpose   string `json:"purpose" kind:"word" need:"yes" doc:"What it is for." ex:"available"`
	Currency  string `json:"currency" kind:"currency" need:"yes" doc:"ISO 4217." ex:"EUR"`
	Balance   string `json:"balance" kind:"signed" need:"yes" doc:"On its normal side." ex:"45.00"`
}

type accountList struct {
	Data       []accountView `json:"data" need:"yes" doc:"Accounts, in no order that means anything."`
	HasMore    bool          `json:"has_more" kind:"boolean" need:"yes" doc:"Whether there may be more." ex:"false"`
	NextCursor string        `json:"next_cursor,omitempty" kind:"sealed" doc:"Where to go on." ex:"cur_01k4aq3x8n0g2v5b7d9f1h3j5m"`
}

// listAccounts shows the merchant's accounts and their customers', and where Sole is set
// the house's own. It looks at book.ListWindow rows at most.
func (a *API) listAccounts(ctx context.Context, c *call) (any, error) {
	q := c.query.(*accountQuery)
	after, err := opened(a, a.opts.Cursors.accounts, q.Cursor, id.Account{})
	if err != nil {
		return nil, err
	}
	out := accountList{Data: []accountView{}}
	next, err := walk(ctx, after, limitOf(q.Limit), a.opts.Read.ScanAccounts, func(x ledger.Account) (id.Account, bool, error) {
		shown := a.shows(c.project, x.Owner)
		if shown {
			out.Data = append(out.Data, accountView{x.ID.String(), x.Owner, string(x.Purpose), string(x.Currency), decimal(x.Balance(), x.Currency)})
		}
		return x.ID, shown, nil
	})
	if err != nil {
		return nil, err
	}
	out.HasMore, out.NextCursor = !next.IsZero(), sealed(a.opts.Cursors.accounts, next)
	return out, nil
}

// shows reports whether an owner's accounts are shown to who calls for a project: those
// of the merchant and of their customers, and the house's own where Sole is set. Another
// merchant's never are (security.md S03).
func (a *API) shows(p project.Project, owner string) bool {
	merchant := strconv.FormatInt(p.MerchantID, 10)
	kind, rest, _ := strings.Cut(owner, ":")
	switch kind {
	case "merchant":
		return rest == merchant
	case "customer":
		return strings.HasPrefix(rest, merchant+":")
	}
	return a.opts.Sole
}
