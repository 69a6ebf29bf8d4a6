package api

import (
	"context"
	"fmt"
	"strings"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/payment"
)

// Lists over a whole project go along the primary key, newest first
// (decision 018).

// span reads where such a list begins and ends, from texts that the schema has
// found to be instants and an id, or absent. The zero id says of what kind.
func span[T id.Kind](from, to, cursor string, oldest id.Of[T]) (_, before id.Of[T]) {
	if from != "" {
		oldest = id.Of[T](id.At(timeOf(from)))
	}
	if to != "" {
		before = id.Of[T](id.At(timeOf(to)))
	}
	var after id.Of[T]
	_ = after.UnmarshalText([]byte(cursor))
	if !after.IsZero() && (before.IsZero() || after.Compare(before) < 0) {
		before = after
	}
	return oldest, before
}

// named reads an id in a path, of the zero id's kind; false if it can be nobody's.
func named[T id.Kind](a *API, text string, k id.Of[T]) (id.Of[T], bool) {
	err := k.UnmarshalText([]byte(text))
	return k, err == nil && !k.IsZero() && int(k.Bucket()) < a.opts.Flows.Buckets()
}

type operationQuery struct {
	Kind        string `json:"kind" kind:"enum:sale,refund,payout,manual_change" doc:"Only of this kind." ex:"sale"`
	Status      string `json:"status" kind:"enum:pending,succeeded,failed" doc:"Only of this status." ex:"pending"`
	CreatedFrom string `json:"created_from" kind:"time" doc:"Only those that began then or later." ex:"2025-10-17T00:00:00Z"`
	CreatedTo   string `json:"created_to" kind:"time" doc:"Only those that began before." ex:"2025-10-18T00:00:00Z"`
	Limit       string `json:"limit" kind:"limit" doc:"How many at most, 1 to 100; 20 if you do not say." ex:"20"`
	Cursor      string `json:"cursor" kind:"operation_id" doc:"next_cursor of the page before." ex:"op_01k4aq3x8n0g2v5b7d9f1h3j5m"`
}

type operationPage struct {
	Data       []operationView `json:"data" need:"yes" doc:"The operations, newest first."`
	HasMore    bool            `json:"has_more" kind:"boolean" need:"yes" doc:"Whether there may be more." ex:"false"`
	NextCursor string          `json:"next_cursor,omitempty" kind:"operation_id" doc:"Where to go on." ex:"op_01k4aq3x8n0g2v5b7d9f1h3j5m"`
}

type refundQuery struct {
	Status      string `json:"status" kind:"enum:pending,succeeded,failed" doc:"Only of this status." ex:"pending"`
	CreatedFrom string `json:"created_from" kind:"time" doc:"Only those that began then or later." ex:"2025-10-17T00:00:00Z"`
	CreatedTo   string `json:"created_to" kind:"time" doc:"Only those that began before." ex:"2025-10-18T00:00:00Z"`
	Limit       string `json:"limit" kind:"limit" doc:"How many at most, 1 to 100; 20 if you do not say." ex:"20"`
	Cursor      string `json:"cursor" kind:"refund_id" doc:"next_cursor of the page before." ex:"op_01k4aq3x8n0g2v5b7d9f1h3j5m"`
}

type refundPage struct {
	Data       []refundView `json:"data" need:"yes" doc:"The refunds, newest first."`
	HasMore    bool         `json:"has_more" kind:"boolean" need:"yes" doc:"Whether there may be more." ex:"false"`
	NextCursor string       `json:"next_cursor,omitempty" kind:"refund_id" doc:"Where to go on." ex:"op_01k4aq3x8n0g2v5b7d9f1h3j5m"`
}

// operationStatusesOf gives the statuses that a word of /v1 stands for; none for
// no word.
func operationStatusesOf(word string) []payment.OperationStatus {
	var out []payment.OperationStatus
	for _, s := range []payment.OperationStatus{
		payment.OperationProcessing, payment.OperationAwaitingCustomer, payment.OperationSuccess, payment.OperationDecline,
	} {
		if operationStatusOf(s) == word {
			out = append(out, s)
		}
	}
	return out
}

func (a *API) listAllOperations(ctx context.Context, c *call) (any, error) {
	q := c.query.(*operationQuery)
	match := book.OperationFilter{
		ProjectID: c.project.ID, Kind: payment.OperationKind(strings.ReplaceAll(q.Kind, "_", " ")), Statuses: operationStatusesOf(q.Status),
	}
	var before id.Operation
	match.From, before = span(q.CreatedFrom, q.CreatedTo, q.Cursor, match.From)
	rows, next, err := a.opts.Read.ListOperations(ctx, match, before, limitOf(q.Limit))
	if err != nil {
		return nil, away(err)
	}
	out := operationPage{Data: make([]operationView, len(rows)), HasMore: !next.IsZero(), NextCursor: next.String()}
	for n, o := range rows {
		out.Data[n] = viewOperation(o)
	}
	return out, nil
}

func (a *API) listRefunds(ctx context.Context, c *call) (any, error) {
	q := c.query.(*refundQuery)
	match := book.OperationFilter{ProjectID: c.project.ID, Kind: payment.KindRefund, Statuses: operationStatusesOf(q.Status)}
	var before id.Operation
	match.From, before = span(q.CreatedFrom, q.CreatedTo, q.Cursor, match.From)
	rows, next, err := a.opts.Read.ListOperations(ctx, match, before, limitOf(q.Limit))
	if err != nil {
		return nil, away(err)
	}
	out := refundPage{Data: make([]refundView, len(rows)), HasMore: !next.IsZero(), NextCursor: next.String()}
	for n, o := range rows {
		out.Data[n] = viewRefund(o)
	}
	return out, nil
}

// operation gives the operation of the caller's project that a path names.
func (a *API) operation(ctx context.Context, c *call, text string) (payment.Operation, error) {
	k, ok := named(a, text, id.Operation{})
	if !ok {
		return payment.Operation{}, refuse(codeNotFound, nil)
	}
	o, ok, err := a.opts.Read.Operation(ctx, k)
	switch {
	case err != nil:
		return o, away(err)
	case !ok:
		return o, refuse(codeNotFound, nil)
	}
	return o, a.owns(ctx, c, o.Payment)
}

// owns refuses what is of a payment or payout of another project.
func (a *API) owns(ctx context.Context, c *call, k id.Payment) error {
	p, ok, err := a.opts.Read.Payment(ctx, k)
	switch {
	case err != nil:
		return away(err)
	case !ok || p.ProjectID != c.project.ID:
		return refuse(codeNotFound, nil)
	}
	return nil
}

func (a *API) getOperation(ctx context.Context, c *call) (any, error) {
	o, err := a.operation(ctx, c, c.vars["operation_id"])
	if err != nil {
		return nil, err
	}
	return viewOperation(o), nil
}

type eventQuery struct {
	Type        string `json:"type" kind:"event_type" doc:"Only of this type." ex:"payment.captured"`
	CreatedFrom string `json:"created_from" kind:"time" doc:"Only those that happened then or later." ex:"2025-10-17T00:00:00Z"`
	CreatedTo   string `json:"created_to" kind:"time" doc:"Only those that happened before." ex:"2025-10-18T00:00:00Z"`
	Limit       string `json:"limit" kind:"limit" doc:"How many at most, 1 to 100; 20 if you do not say." ex:"20"`
	Cursor      string `json:"cursor" kind:"event_id" doc:"next_cursor of the page before." ex:"evt_01k4aq3x8n0g2v5b7d9f1h3j5m"`
}

type eventPage struct {
	Data       []eventView `json:"data" need:"yes" doc:"The events, newest first."`
	HasMore    bool        `json:"has_more" kind:"boolean" need:"yes" doc:"Whether there may be more." ex:"false"`
	NextCursor string      `json:"next_cursor,omitempty" kind:"event_id" doc:"Where to go on." ex:"evt_01k4aq3x8n0g2v5b7d9f1h3j5m"`
}

func (a *API) listAllEvents(ctx context.Context, c *call) (any, error) {
	q := c.query.(*eventQuery)
	match := book.EventFilter{ProjectID: c.project.ID, Kind: event.Kind(q.Type)}
	var before id.Event
	match.From, before = span(q.CreatedFrom, q.CreatedTo, q.Cursor, match.From)
	rows, next, err := a.opts.Read.ListEvents(ctx, match, before, limitOf(q.Limit))
	if err != nil {
		return nil, away(err)
	}
	out := eventPage{Data: make([]eventView, len(rows)), HasMore: !next.IsZero(), NextCursor: next.String()}
	for n, e := range rows {
		out.Data[n] = viewEvent(e)
	}
	return out, nil
}

// getEvent gives an event of a payment or payout; those about endpoints are nobody's here.
func (a *API) getEvent(ctx context.Context, c *call) (any, error) {
	k, ok := named(a, c.vars["event_id"], id.Event{})
	if !ok {
		return nil, refuse(codeNotFound, nil)
	}
	e, ok, err := a.opts.Read.Event(ctx, k)
	switch {
	case err != nil:
		return nil, away(err)
	case !ok:
		return nil, refuse(codeNotFound, nil)
	}
	return viewEvent(e), a.owns(ctx, c, e.Payment)
}

type customerQuery struct {
	Limit  string `json:"limit" kind:"limit" doc:"How many at most, 1 to 100; 20 if you do not say." ex:"20"`
	Cursor string `json:"cursor" kind:"sealed" doc:"next_cursor of the page before." ex:"cur_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	Expand string `json:"expand" kind:"enum:balances" doc:"What else to tell: balances." ex:"balances"`
}

// customerLine is a customer in a list.
type customerLine struct {
	CustomerID string        `json:"customer_id" kind:"name" need:"yes" doc:"Your name for the customer." ex:"42"`
	Balances   []balanceView `json:"balances,omitempty" doc:"With expand=balances: in each currency that there ever was money in."`
	CreatedAt  string        `json:"created_at" kind:"time" need:"yes" doc:"When they were first met." ex:"2025-10-17T09:41:03Z"`
}

type customerPage struct {
	Data       []customerLine `json:"data" need:"yes" doc:"Customers, in no order that means anything."`
	HasMore    bool           `json:"has_more" kind:"boolean" need:"yes" doc:"Whether there may be more." ex:"false"`
	NextCursor string         `json:"next_cursor,omitempty" kind:"sealed" doc:"Where to go on." ex:"cur_01k4aq3x8n0g2v5b7d9f1h3j5m"`
}

// listCustomers lists the merchant's customers with wallets; where the project
// keeps none there are none. It looks at book.ListWindow rows at most.
func (a *API) listCustomers(ctx context.Context, c *call) (any, error) {
	q := c.query.(*customerQuery)
	out := customerPage{Data: []customerLine{}}
	if !c.project.Wallet {
		return out, nil
	}
	after, err := opened(a, a.opts.Cursors.customers, q.Cursor, id.Customer{})
	if err != nil {
		return nil, err
	}
	next, err := walk(ctx, after, limitOf(q.Limit), a.opts.Read.ScanCustomers, func(x customer.Customer) (id.Customer, bool, error) {
		if x.MerchantID != c.project.MerchantID {
			return x.ID, false, nil
		}
		line := customerLine{CustomerID: x.Name, CreatedAt: instant(x.CreatedUS)}
		if q.Expand == "balances" {
			var err error
			if line.Balances, err = a.balances(ctx, c, x.Name); err != nil {
				return x.ID, false, err
			}
		}
		out.Data = append(out.Data, line)
		return x.ID, true, nil
	})
	if err != nil {
		return nil, err
	}
	out.HasMore, out.NextCursor = !next.IsZero(), sealed(a.opts.Cursors.customers, next)
	return out, nil
}

// balances shows what a customer has.
func (a *API) balances(ctx context.Context, c *call, name string) ([]balanceView, error) {
	list, err := a.opts.Flows.Balances(ctx, c.project, name)
	if err != nil {
		return nil, err
	}
	out := make([]balanceView, len(list))
	for n, b := range list {
		out[n] = balanceView{string(b.Currency), decimal(b.Available, b.Currency), decimal(b.Reserved, b.Currency), decimal(b.Bonus, b.Currency)}
	}
	return out, nil
}

type allTransfersQuery struct {
	Kind        string `json:"kind" kind:"enum:deposit,late_success,late_credit,refund_reserve,refund,refund_release,payout_reserve,payout_settle,payout_release,stake,win,rollback,debit,credit,bonus_grant,bonus_release,bonus_forfeit,capture_fop,refund_fop" doc:"Only of this kind." ex:"stake"`
	CustomerID  string `json:"customer_id" kind:"name" doc:"Only of this customer, where the project keeps wallets." ex:"42"`
	CreatedFrom string `json:"created_from" kind:"time" doc:"Only those that were made then or later." ex:"2025-10-17T00:00:00Z"`
	CreatedTo   string `json:"created_to" kind:"time" doc:"Only those that were made before." ex:"2025-10-18T00:00:00Z"`
	Limit       string `json:"limit" kind:"limit" doc:"How many at most, 1 to 100; 20 if you do not say." ex:"20"`
	Cursor      string `json:"cursor" kind:"transfer_id" doc:"next_cursor of the page before." ex:"txn_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	Expand      string `json:"expand" kind:"enum:payment" doc:"What else to tell: payment." ex:"payment"`
}

type transferPage struct {
	Data       []transferDetail `json:"data" need:"yes" doc:"The transfers, newest first."`
	HasMore    bool             `json:"has_more" kind:"boolean" need:"yes" doc:"Whether there may be more." ex:"false"`
	NextCursor string           `json:"next_cursor,omitempty" kind:"transfer_id" doc:"Where to go on." ex:"txn_01k4aq3x8n0g2v5b7d9f1h3j5m"`
}

// listAllTransfers lists what moved by the project's payments and payouts, and by
// what it asked for itself.
func (a *API) listAllTransfers(ctx context.Context, c *call) (any, error) {
	q := c.query.(*allTransfersQuery)
	match := book.TransferFilter{ProjectID: c.project.ID, Kind: ledger.Kind(q.Kind)}
	if q.CustomerID != "" {
		if !c.project.Wallet {
			return transferPage{Data: []transferDetail{}}, nil // no customer has one
		}
		match.Customer = a.opts.Flows.CustomerOf(c.project, q.CustomerID)
	}
	var before id.Transfer
	match.From, before = span(q.CreatedFrom, q.CreatedTo, q.Cursor, match.From)
	rows, next, err := a.opts.Read.ListTransfers(ctx, match, before, limitOf(q.Limit))
	if err != nil {
		return nil, away(err)
	}
	out := transferPage{Data: make([]transferDetail, len(rows)), HasMore: !next.IsZero(), NextCursor: next.String()}
	known := map[id.Account]ledger.Account{} // a page is of few of them, again and again
	for n, t := range rows {
		if out.Data[n], err = a.transferDetail(ctx, c, t, known, q.Expand); err != nil {
			return nil, err
		}
	}
	return out, nil
}

type getTransferQuery struct {
	Expand string `json:"expand" kind:"enum:payment" doc:"What else to tell: payment." ex:"payment"`
}

// transferDetail is a transfer of the ledger.
type transferDetail struct {
	TransferID  string        `json:"transfer_id" kind:"transfer_id" need:"yes" doc:"Our name for it." ex:"txn_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	TxnID       string        `json:"txn_id,omitempty" kind:"txn" doc:"Yours, of a move that you asked for." ex:"bet-77"`
	Kind        string        `json:"kind" kind:"word" need:"yes" doc:"What it is." ex:"stake"`
	PaymentID   string        `json:"payment_id,omitempty" kind:"payment_id" doc:"Of which payment." ex:"pay_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	PayoutID    string        `json:"payout_id,omitempty" kind:"payout_id" doc:"Or of which payout." ex:"po_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	OperationID string        `json:"operation_id,omitempty" kind:"operation_id" doc:"By which of its operations." ex:"op_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	CustomerID  string        `json:"customer_id,omitempty" kind:"name" doc:"Whose money." ex:"42"`
	RoundID     string        `json:"round_id,omitempty" kind:"txn" doc:"Of which round." ex:"spin-9"`
	Currency    string        `json:"currency" kind:"currency" need:"yes" doc:"ISO 4217." ex:"EUR"`
	Description string        `json:"description,omitempty" kind:"text" doc:"What it was for." ex:"Red"`
	Postings    []postingView `json:"postings" need:"yes" doc:"What it changed of the accounts that /v1/accounts shows you."`
	CreatedAt   string        `json:"created_at" kind:"time" need:"yes" doc:"When." ex:"2025-10-17T09:41:03Z"`
	Payment     *paymentView  `json:"payment,omitempty" doc:"With expand=payment: that payment, as it is now."`
	Payout      *payoutView   `json:"payout,omitempty" doc:"With expand=payment: that payout, as it is now."`
}

// postingView is what a transfer did to one account.
type postingView struct {
	AccountID string `json:"account_id" kind:"account_id" need:"yes" doc:"Which account." ex:"acc_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	Owner     string `json:"owner" kind:"name" need:"yes" doc:"Whose it is." ex:"customer:1:42"`
	Purpose   string `json:"purpose" kind:"word" need:"yes" doc:"What it is for." ex:"available"`
	Change    string `json:"change" kind:"signed" need:"yes" doc:"By how much its balance changed." ex:"-5.00"`
}

// getTransfer gives a transfer: of the merchant's customer, of the project's
// payment, or one that the project has asked for.
func (a *API) getTransfer(ctx context.Context, c *call) (any, error) {
	k, ok := named(a, c.vars["transfer_id"], id.Transfer{})
	if !ok {
		return nil, refuse(codeNotFound, nil)
	}
	t, ok, err := a.opts.Read.Transfer(ctx, k)
	switch {
	case err != nil:
		return nil, away(err)
	case !ok:
		return nil, refuse(codeNotFound, nil)
	}
	return a.transferDetail(ctx, c, t, map[id.Account]ledger.Account{}, c.query.(*getTransferQuery).Expand)
}

// transferDetail shows a transfer, if it is the caller's. known are accounts that
// were read already.
func (a *API) transferDetail(ctx context.Context, c *call, t ledger.Transfer, known map[id.Account]ledger.Account, expand string) (transferDetail, error) {
	v := transferDetail{
		TransferID: t.ID.String(), TxnID: t.Name, Kind: string(t.Kind), OperationID: t.Operation.String(),
		Currency: string(t.Currency()), Description: t.Description, CreatedAt: instant(t.CreatedUS),
		Postings: []postingView{},
	}
	p, err := a.ownsTransfer(ctx, c, t, &v)
	if err != nil {
		return v, err
	}
	for _, x := range t.Postings {
		row, ok := known[x.Account]
		if !ok {
			if row, ok, err = a.opts.Read.Account(ctx, x.Account); err != nil || !ok {
				return v, away(fmt.Errorf("account %s (found %t): %w", x.Account, ok, err))
			}
			known[x.Account] = row
		}
		if a.shows(c.project, row.Owner) {
			row.Minor = x.Minor
			v.Postings = append(v.Postings, postingView{row.ID.String(), row.Owner, string(row.Purpose), decimal(row.Balance(), x.Currency)})
		}
	}
	payout := p.Type == payment.TypePayout
	v.PaymentID, v.PayoutID = namesOf(t.Payment, payout)
	switch {
	case expand != "payment" || p.ProjectID != c.project.ID:
	case payout:
		shown := viewPayout(p)
		v.Payout = &shown
	default:
		shown := view(p)
		v.Payment = &shown
	}
	return v, nil
}

// ownsTransfer finds whose a transfer is, and refuses others'. It gives the
// payment that it is of.
func (a *API) ownsTransfer(ctx context.Context, c *call, t ledger.Transfer, v *transferDetail) (p payment.Payment, err error) {
	ours := t.Project == c.project.ID
	if !t.Payment.IsZero() {
		if p, _, err = a.opts.Read.Payment(ctx, t.Payment); err != nil {
			return p, away(err)
		}
		ours = ours || p.ProjectID == c.project.ID
	}
	if !t.Customer.IsZero() {
		row, ok, err := a.opts.Read.Customer(ctx, t.Customer)
		if err != nil {
			return p, away(err)
		}
		v.CustomerID = row.Name
		ours = ours || ok && c.project.Wallet && row.MerchantID == c.project.MerchantID
	}
	if !ours {
		return p, refuse(codeNotFound, nil)
	}
	if !t.Round.IsZero() {
		row, _, err := a.opts.Read.Round(ctx, t.Round)
		if err != nil {
			return p, away(err)
		}
		v.RoundID = row.Name
	}
	return p, nil
}
