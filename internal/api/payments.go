package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"aorta/internal/book"
	"aorta/internal/event"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/project"
)

// initBody is a payment that is asked for (L11).
type initBody struct {
	Amount            string            `json:"amount" kind:"amount" need:"yes" doc:"In major units of the currency, with no more decimals than it has." ex:"50.00"`
	Currency          string            `json:"currency" kind:"currency" need:"yes" doc:"ISO 4217." ex:"EUR"`
	Method            string            `json:"method" kind:"word" need:"yes" doc:"How the customer pays: card, bank, wallet, or a method's whole code." ex:"card"`
	ReturnURL         string            `json:"return_url" kind:"url" doc:"Where the customer goes when they are done at the provider." ex:"https://shop.example/thanks"`
	MerchantPaymentID string            `json:"merchant_payment_id" kind:"name" doc:"Your name for the payment, unique in the project whatever the case of its letters." ex:"order-1"`
	CustomerID        string            `json:"customer_id" kind:"name" doc:"Your name for the customer. Without it the payment is the API key's default customer's, or nobody's." ex:"42"`
	Description       string            `json:"description" kind:"text" doc:"What it is for; providers may show it." ex:"Two teas"`
	Meta              map[string]string `json:"meta" kind:"meta" doc:"What you want to find beside the payment again." ex:"{\"country\":\"FI\",\"device\":\"ios\"}"`
	IdempotencyKey    string            `json:"idempotency_key" kind:"key" doc:"Instead of the header Idempotency-Key." ex:"order-1-try-1"`
}

// initAnswer is what init answers.
type initAnswer struct {
	PaymentID   string `json:"payment_id" kind:"payment_id" need:"yes" doc:"Our name for the payment." ex:"pay_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	Status      string `json:"status" kind:"enum:pending,authorized,captured,failed,partially_refunded,refunded,cancelled,charged_back" need:"yes" doc:"Where it stands." ex:"pending"`
	RedirectURL string `json:"redirect_url,omitempty" kind:"url" doc:"Where to send the customer now." ex:"https://pay.example/payment/s/…"`
}

// declineView is why a payment or refund failed.
type declineView struct {
	Code    string `json:"code" kind:"name" need:"yes" doc:"Decline code of the ECommPay list." ex:"20105"`
	Message string `json:"message" kind:"text" need:"yes" doc:"The same in words." ex:"Insufficient funds on the account"`
}

// paymentView is a payment.
type paymentView struct {
	PaymentID         string            `json:"payment_id" kind:"payment_id" need:"yes" doc:"Our name for the payment." ex:"pay_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	MerchantPaymentID string            `json:"merchant_payment_id,omitempty" kind:"name" doc:"Yours." ex:"order-1"`
	Status            string            `json:"status" kind:"enum:pending,authorized,captured,failed,partially_refunded,refunded,cancelled,charged_back" need:"yes" doc:"Where it stands." ex:"captured"`
	Amount            string            `json:"amount" kind:"amount" need:"yes" doc:"What was asked for." ex:"50.00"`
	Currency          string            `json:"currency" kind:"currency" need:"yes" doc:"ISO 4217." ex:"EUR"`
	Method            string            `json:"method" kind:"word" need:"yes" doc:"How the customer pays." ex:"card"`
	MethodCode        string            `json:"method_code" kind:"word" need:"yes" doc:"The project's method." ex:"generic-card"`
	CustomerID        string            `json:"customer_id,omitempty" kind:"name" doc:"Your name for the customer." ex:"42"`
	Description       string            `json:"description,omitempty" kind:"text" doc:"What it is for." ex:"Two teas"`
	CapturedAmount    string            `json:"captured_amount" kind:"amount" need:"yes" doc:"What was taken." ex:"50.00"`
	RefundedAmount    string            `json:"refunded_amount" kind:"amount" need:"yes" doc:"What was given back." ex:"0.00"`
	RefundableAmount  string            `json:"refundable_amount" kind:"amount" need:"yes" doc:"What can still be given back." ex:"50.00"`
	RedirectURL       string            `json:"redirect_url,omitempty" kind:"url" doc:"Where the customer is awaited." ex:"https://pay.example/payment/s/…"`
	Decline           *declineView      `json:"decline,omitempty" doc:"Why it failed."`
	Meta              map[string]string `json:"meta,omitempty" kind:"meta" doc:"As given to init. Lists have it with expand=meta." ex:"{\"country\":\"FI\"}"`
	CreatedAt         string            `json:"created_at" kind:"time" need:"yes" doc:"When it began." ex:"2025-10-17T09:41:00Z"`
	UpdatedAt         string            `json:"updated_at" kind:"time" need:"yes" doc:"When it last changed." ex:"2025-10-17T09:41:03Z"`
	ExpiresAt         string            `json:"expires_at,omitempty" kind:"time" doc:"When it fails unless it is paid; of one that is pending." ex:"2025-10-17T10:11:00Z"`
	Operations        []operationView   `json:"operations,omitempty" doc:"With expand=operations."`
}

// operationView is something that was done to a payment.
type operationView struct {
	OperationID string       `json:"operation_id" kind:"refund_id" need:"yes" doc:"Its name; a refund's is its refund_id." ex:"op_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	PaymentID   string       `json:"payment_id,omitempty" kind:"payment_id" doc:"Of which payment." ex:"pay_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	PayoutID    string       `json:"payout_id,omitempty" kind:"payout_id" doc:"Or of which payout." ex:"po_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	Kind        string       `json:"kind" kind:"enum:sale,refund,payout,manual_change" need:"yes" doc:"What it is." ex:"sale"`
	Status      string       `json:"status" kind:"enum:pending,succeeded,failed" need:"yes" doc:"Where it stands." ex:"succeeded"`
	Amount      string       `json:"amount" kind:"amount" need:"yes" doc:"Of how much." ex:"50.00"`
	Currency    string       `json:"currency" kind:"currency" need:"yes" doc:"ISO 4217." ex:"EUR"`
	Decline     *declineView `json:"decline,omitempty" doc:"Why it failed."`
	CreatedAt   string       `json:"created_at" kind:"time" need:"yes" doc:"When it began." ex:"2025-10-17T09:41:00Z"`
	UpdatedAt   string       `json:"updated_at" kind:"time" need:"yes" doc:"When it last changed." ex:"2025-10-17T09:41:03Z"`
}

type operationList struct {
	Data []operationView `json:"data" need:"yes" doc:"The newest 100 at most, the newest last."`
}

// eventView is a change of a payment.
type eventView struct {
	EventID     string `json:"event_id" kind:"event_id" need:"yes" doc:"Its name." ex:"evt_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	PaymentID   string `json:"payment_id,omitempty" kind:"payment_id" doc:"To which payment it happened." ex:"pay_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	PayoutID    string `json:"payout_id,omitempty" kind:"payout_id" doc:"Or to which payout." ex:"po_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	OperationID string `json:"operation_id,omitempty" kind:"operation_id" doc:"By which of its operations." ex:"op_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	Type        string `json:"type" kind:"name" need:"yes" doc:"What happened." ex:"payment.captured"`
	From        string `json:"from" kind:"word" need:"yes" doc:"The payment's status before." ex:"pending"`
	To          string `json:"to" kind:"word" need:"yes" doc:"And after." ex:"captured"`
	At          string `json:"at" kind:"time" need:"yes" doc:"When." ex:"2025-10-17T09:41:03Z"`
}

type eventList struct {
	Data []eventView `json:"data" need:"yes" doc:"The newest 100 at most, the newest first."`
}

type getQuery struct {
	Expand string `json:"expand" kind:"enum:operations" doc:"What else to tell: operations." ex:"operations"`
}

type listQuery struct {
	Status            string `json:"status" kind:"enum:pending,authorized,captured,failed,partially_refunded,refunded,cancelled,charged_back" doc:"Only of this status." ex:"captured"`
	CustomerID        string `json:"customer_id" kind:"name" doc:"Only this customer's." ex:"42"`
	MerchantPaymentID string `json:"merchant_payment_id" kind:"name" doc:"Only the one of this name." ex:"order-1"`
	CreatedFrom       string `json:"created_from" kind:"time" doc:"Only those that began then or later." ex:"2025-10-17T00:00:00Z"`
	CreatedTo         string `json:"created_to" kind:"time" doc:"Only those that began before." ex:"2025-10-18T00:00:00Z"`
	Limit             string `json:"limit" kind:"limit" doc:"How many at most, 1 to 100; 20 if you do not say." ex:"20"`
	Cursor            string `json:"cursor" kind:"payment_id" doc:"next_cursor of the page before." ex:"pay_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	Expand            string `json:"expand" kind:"enum:meta" doc:"What else to tell: meta." ex:"meta"`
}

type paymentList struct {
	Data       []paymentView `json:"data" need:"yes" doc:"The payments, newest first."`
	HasMore    bool          `json:"has_more" kind:"boolean" need:"yes" doc:"Whether there may be more." ex:"false"`
	NextCursor string        `json:"next_cursor,omitempty" kind:"payment_id" doc:"Where to go on." ex:"pay_01k4aq3x8n0g2v5b7d9f1h3j5m"`
}

// statusOf gives /v1's word for a payment's or payout's status (L15).
func statusOf(s payment.Status) string {
	switch s {
	case payment.StatusNew, payment.StatusPending, payment.StatusAwaitingCustomer,
		payment.StatusRequested, payment.StatusSubmitting, payment.StatusUnknown:
		return "pending"
	case payment.StatusDeclined, payment.StatusFailed:
		return "failed"
	case payment.StatusAuthorized, payment.StatusCaptured, payment.StatusPartiallyRefunded, payment.StatusRefunded,
		payment.StatusCancelled, payment.StatusChargedBack, payment.StatusPaid,
		payment.StatusStepUp, payment.StatusDeferred, payment.StatusPartiallyPaid:
	case payment.StatusHold:
		return "on_hold"
	}
	return string(s)
}

// statusesOf gives the statuses of payments, or of payouts, that a word of /v1
// stands for.
func statusesOf(t payment.Type, word string) []payment.Status {
	var out []payment.Status
	for s := range payment.Moves() {
		if statusOf(s) == word && s.Of(t) {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return out
}

func operationStatusOf(s payment.OperationStatus) string {
	switch s {
	case payment.OperationProcessing, payment.OperationAwaitingCustomer:
		return "pending"
	case payment.OperationSuccess:
		return "succeeded"
	case payment.OperationDecline:
		return "failed"
	}
	return "" // not one of ours; exhaustive keeps this line unreachable
}

func instant(us int64) string { return time.UnixMicro(us).UTC().Format(time.RFC3339Nano) }

func decimal(minor int64, c money.Currency) string {
	return money.Amount{Minor: minor, Currency: c}.Decimal()
}

// initPayment begins a payment.
func (a *API) initPayment(_ context.Context, c *call) (once, error) {
	b := c.body.(*initBody)
	amount, err := amountOf(b.Amount, b.Currency)
	if err != nil {
		return once{}, err
	}
	m, err := methodOf(c.project, b.Method, amount.Currency, func(project.Method) bool { return true })
	if err != nil {
		return once{}, err
	}
	if amount.Minor < m.MinMinor || amount.Minor > m.MaxMinor {
		return once{}, refuse(codeRange, map[string]any{"min": decimal(m.MinMinor, m.Currency), "max": decimal(m.MaxMinor, m.Currency)})
	}
	if b.ReturnURL != "" && !a.opts.Insecure && !strings.HasPrefix(b.ReturnURL, "https://") {
		return once{}, invalid(problem{"return_url", "url", "must begin with https://"})
	}
	customer := b.CustomerID
	if customer == "" {
		customer = c.key.DefaultCustomer
	}
	if customer == "" && c.project.WalletOnly {
		return once{}, invalid(problem{"customer_id", "required", "must be there: the project takes money into wallets only"})
	}
	thing := a.opts.Flows.NewPayment(c.project, b.MerchantPaymentID, customer, c.idem)
	return once{thing: thing.Raw(), begin: func(ctx context.Context, row payment.Answer, again bool) (any, error) {
		if again {
			if p, ok, err := a.begun(ctx, c, id.Payment(row.Thing)); err != nil || ok {
				return a.outcome(ctx, c, p, true, err)
			}
		}
		begun, err := a.opts.Flows.BeginSale(ctx, flow.SaleRequest{
			Project: c.project, Method: m, Door: Door, ID: id.Payment(row.Thing), PaymentID: b.MerchantPaymentID, CustomerID: customer,
			Description: b.Description, Amount: amount,
			Keep: flow.Kept{ReturnSuccess: b.ReturnURL, ReturnDecline: b.ReturnURL, ReturnBack: b.ReturnURL, Meta: b.Meta, Answer: row.ID.String()}.Encode(),
		})
		if err != nil {
			return nil, err
		}
		if begun.Repeat {
			return a.known(ctx, c, begun.Payment, row)
		}
		if err := a.await(ctx, begun.Asked); err != nil {
			return nil, err
		}
		p, err := a.again(ctx, begun.Payment)
		return a.outcome(ctx, c, p, false, err)
	}}, nil
}

// begun finds the payment that an earlier run of the same call has begun.
func (a *API) begun(ctx context.Context, _ *call, k id.Payment) (payment.Payment, bool, error) {
	p, ok, err := a.opts.Read.Payment(ctx, k)
	if err != nil {
		return p, false, away(err)
	}
	return p, ok, nil
}

// known answers for a payment whose name is in use: by an earlier run of the same
// call, or by another payment.
func (a *API) known(ctx context.Context, c *call, p payment.Payment, row payment.Answer) (any, error) {
	if err := a.sameCall(ctx, p, row); err != nil {
		return nil, err
	}
	return a.outcome(ctx, c, p, true, nil)
}

// sameCall refuses a payment or payout that another call has begun.
func (a *API) sameCall(ctx context.Context, p payment.Payment, row payment.Answer) error {
	kept, err := a.came(ctx, p.ID)
	if err == nil && kept.Answer != row.ID.String() {
		return inUse(p)
	}
	return err
}

// inUse refuses a merchant's name that is that of another payment or payout.
func inUse(p payment.Payment) error {
	if p.Type == payment.TypePayout {
		return refuse(codeDuplicate, map[string]any{"payout_id": id.Payout(p.ID).String()})
	}
	return refuse(codeDuplicate, map[string]any{"payment_id": p.ID.String()})
}

// again reads a payment anew, or gives it as it was.
func (a *API) again(ctx context.Context, was payment.Payment) (payment.Payment, error) {
	p, ok, err := a.opts.Read.Payment(ctx, was.ID)
	if err != nil || !ok {
		return was, nil //nolint:nilerr // it is begun, and that is what there is to say: it was pending then
	}
	return p, nil
}

// await gives the provider a moment to answer. A caller who does not wait for it
// gets no answer, so that a repeat is told what became of it by then.
func (a *API) await(ctx context.Context, asked <-chan struct{}) error {
	if asked == nil {
		return nil
	}
	timer := time.NewTimer(a.opts.Wait)
	defer timer.Stop()
	select {
	case <-asked:
	case <-timer.C:
	case <-ctx.Done():
		return &refusal{code: codeOverloaded, retryAfter: patience, begun: true}
	}
	return nil
}

// outcome is what init answers of a payment that is begun.
func (a *API) outcome(ctx context.Context, c *call, p payment.Payment, again bool, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	details := map[string]any{"payment_id": p.ID.String(), "status": statusOf(p.Status)}
	switch {
	case p.Status != payment.StatusDeclined:
		way, err := a.redirect(ctx, p)
		if err != nil {
			way = "" // it is in GET once the store answers
		}
		return initAnswer{p.ID.String(), statusOf(p.Status), way}, nil
	case p.Code == payment.CodeAutoDecline:
		return nil, refuse(codeExpired, details).keep()
	case p.Code == payment.CodeProviderUnavailable && !again:
		return nil, &refusal{code: codePSPAway, details: details, retryAfter: patience, begun: true}
	}
	details["decline_code"], details["retryable"] = p.Code, retryable(p.Code)
	details["alternatives"] = alternatives(c.project, p)
	return nil, refuse(codeDeclined, details).keep()
}

// retryable reports whether the same method may succeed a moment later.
func retryable(code string) bool {
	return code == payment.CodeProviderUnavailable || code == payment.CodeExternalDown || code == payment.CodeExternalTimeout
}

// alternatives are the project's other methods for the same currency.
func alternatives(p project.Project, pay payment.Payment) []string {
	out := []string{}
	for _, m := range p.Methods {
		if m.Code != pay.Method && m.Currency == pay.Amount.Currency {
			out = append(out, m.Code)
		}
	}
	return out
}

// wordOf is /v1's word for a method: card for generic-card, wallet for paytm-wallet.
func wordOf(code string) string { return code[strings.LastIndexByte(code, '-')+1:] }

// methodOf finds the method of a word, of those that can: its code, the end of it,
// such as card, or its group. Of several that take the currency it is the project's first.
func methodOf(p project.Project, word string, c money.Currency, can func(project.Method) bool) (project.Method, error) {
	var currencies, words []string
	for _, m := range p.Methods {
		if !can(m) {
			continue
		}
		if m.Code == word || wordOf(m.Code) == word || m.Group == word {
			if m.Currency == c {
				return m, nil
			}
			currencies = append(currencies, string(m.Currency))
		}
		if w := wordOf(m.Code); !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	if len(currencies) > 0 {
		slices.Sort(currencies)
		return project.Method{}, refuse(codeCurrency, map[string]any{"currencies": slices.Compact(currencies)})
	}
	return project.Method{}, refuse(codeNoMethod, map[string]any{"methods": words})
}

// redirect is where the customer of a payment is awaited; empty: nowhere.
func (a *API) redirect(ctx context.Context, p payment.Payment) (string, error) {
	if p.Status != payment.StatusAwaitingCustomer {
		return "", nil
	}
	if p.RetryOffered() {
		return a.opts.PayURL(p.ID), nil
	}
	v, err := a.opts.Flows.Status(ctx, p, 1)
	if err != nil {
		return "", err
	}
	for _, o := range v.Operations {
		var r payment.Redirect
		if o.Attempt.Redirect == "" {
			continue
		}
		if err := json.Unmarshal([]byte(o.Attempt.Redirect), &r); err != nil {
			return "", fmt.Errorf("redirect of %s: %w", o.Attempt.ID, err)
		}
		if r.Method == "GET" && len(r.Fields) == 0 {
			return r.URL, nil
		}
		return a.opts.PayURL(p.ID), nil // it takes a form, which a page of ours posts
	}
	return "", nil
}

// came reads what came with a payment.
func (a *API) came(ctx context.Context, p id.Payment) (flow.Kept, error) {
	r, ok, err := a.opts.Read.Request(ctx, p.Raw())
	if err != nil || !ok {
		if err != nil {
			err = away(err)
		}
		return flow.Kept{}, err
	}
	return flow.DecodeKept(r.Body)
}

func view(p payment.Payment) paymentView {
	cur := p.Amount.Currency
	v := paymentView{
		PaymentID: p.ID.String(), MerchantPaymentID: p.MerchantPaymentID, Status: statusOf(p.Status), Amount: p.Amount.Decimal(), Currency: string(cur),
		Method: wordOf(p.Method), MethodCode: p.Method, CustomerID: p.CustomerID, Description: p.Description, CapturedAmount: decimal(p.CapturedMinor, cur),
		RefundedAmount: decimal(p.RefundedMinor, cur), RefundableAmount: decimal(p.Refundable(), cur), CreatedAt: instant(p.CreatedUS), UpdatedAt: instant(p.ChangedUS),
	}
	if p.Status == payment.StatusDeclined {
		v.Decline = &declineView{p.Code, p.Message}
	}
	if !p.Status.Final() {
		v.ExpiresAt = instant(p.LimitUS)
	}
	return v
}

func (a *API) getPayment(ctx context.Context, c *call) (any, error) {
	p, err := a.payment(ctx, c, c.vars["payment_id"])
	if err != nil {
		return nil, err
	}
	v := view(p)
	if v.RedirectURL, err = a.redirect(ctx, p); err != nil {
		return nil, err
	}
	v.Meta, v.Operations, err = a.beside(ctx, p, c.query.(*getQuery).Expand)
	return v, err
}

// beside is what a payment or payout alone is shown with.
func (a *API) beside(ctx context.Context, p payment.Payment, expand string) (meta map[string]string, done []operationView, err error) {
	kept, err := a.came(ctx, p.ID)
	if err == nil && expand == "operations" {
		done, err = a.operations(ctx, p)
	}
	return kept.Meta, done, err
}

// metas gives what lines of a list are shown with.
func (a *API) metas(ctx context.Context, rows []payment.Payment, expand string) ([]map[string]string, error) {
	out := make([]map[string]string, len(rows))
	for n := range rows {
		if expand != "meta" {
			break
		}
		kept, err := a.came(ctx, rows[n].ID)
		if err != nil {
			return nil, err
		}
		out[n] = kept.Meta
	}
	return out, nil
}

// defaultLimit is how many a page has when nobody says.
const defaultLimit = 20

// listPayments lists payments. Their redirect_url is told by GET of one alone.
func (a *API) listPayments(ctx context.Context, c *call) (any, error) {
	q := c.query.(*listQuery)
	cursor, _ := id.ParsePayment(q.Cursor) // the schema has found it to be one, or absent
	rows, next, err := a.chosen(ctx, c, selection{payment.TypePurchase, q.MerchantPaymentID, q.Status, q.CustomerID, q.CreatedFrom, q.CreatedTo, cursor, q.Limit})
	if err != nil {
		return nil, err
	}
	metas, err := a.metas(ctx, rows, q.Expand)
	out := paymentList{Data: make([]paymentView, len(rows)), HasMore: !next.IsZero(), NextCursor: next.String()}
	for n, p := range rows {
		out.Data[n] = view(p)
		if err == nil {
			out.Data[n].Meta = metas[n]
		}
	}
	return out, err
}

// selection is what lists of payments and of payouts are asked for.
type selection struct {
	of                                 payment.Type
	name, status, customerID, from, to string
	cursor                             id.Payment
	limit                              string
}

// chosen gives a page of a selection, and where to go on.
func (a *API) chosen(ctx context.Context, c *call, s selection) ([]payment.Payment, id.Payment, error) {
	if s.name != "" {
		p, err := a.opts.Flows.Named(ctx, c.project, s.name)
		switch {
		case errors.Is(err, payment.ErrNoPayment), err == nil && !s.fits(p):
			return nil, id.Payment{}, nil
		}
		return []payment.Payment{p}, id.Payment{}, err
	}
	match := book.PaymentFilter{ProjectID: c.project.ID, Type: s.of, CustomerID: s.customerID}
	if s.status != "" {
		if match.Statuses = statusesOf(s.of, s.status); len(match.Statuses) == 0 {
			return nil, id.Payment{}, nil // no such payment ever is
		}
	}
	if s.from != "" {
		match.From = id.Payment(id.At(timeOf(s.from)))
	}
	var before id.Payment
	if s.to != "" {
		before = id.Payment(id.At(timeOf(s.to)))
	}
	if !s.cursor.IsZero() && (before.IsZero() || s.cursor.Compare(before) < 0) {
		before = s.cursor
	}
	rows, next, err := a.opts.Read.ListPayments(ctx, match, before, limitOf(s.limit))
	if err != nil {
		return nil, id.Payment{}, away(err)
	}
	return rows, next, nil
}

// fits reports whether a payment that was found by its name is of a selection.
func (s selection) fits(p payment.Payment) bool {
	return p.Type == s.of && (s.customerID == "" || s.customerID == p.CustomerID) && (s.status == "" || s.status == statusOf(p.Status)) &&
		(s.from == "" || p.CreatedUS >= timeOf(s.from).UnixMicro()) && (s.to == "" || p.CreatedUS < timeOf(s.to).UnixMicro())
}

// timeOf reads an instant that the schema has found to be one.
func timeOf(text string) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, text)
	return t
}

// maxHistory bounds a payment's operations and events in an answer.
const maxHistory = 100

func (a *API) operations(ctx context.Context, p payment.Payment) ([]operationView, error) {
	v, err := a.opts.Flows.Status(ctx, p, maxHistory)
	if err != nil {
		return nil, err
	}
	out := make([]operationView, len(v.Operations))
	for n, o := range v.Operations {
		out[n] = viewOperation(o.Operation)
	}
	return out, nil
}

func viewOperation(o payment.Operation) operationView {
	v := operationView{
		OperationID: o.ID.String(), Kind: strings.ReplaceAll(string(o.Kind), " ", "_"), Status: operationStatusOf(o.Status),
		Amount: o.Amount.Decimal(), Currency: string(o.Amount.Currency), CreatedAt: instant(o.CreatedUS), UpdatedAt: instant(o.ChangedUS),
	}
	v.PaymentID, v.PayoutID = namesOf(o.Payment, o.Kind == payment.KindPayout)
	if o.Status == payment.OperationDecline {
		v.Decline = &declineView{o.Code, o.Message}
	}
	return v
}

func (a *API) listOperations(ctx context.Context, c *call) (any, error) {
	p, err := a.payment(ctx, c, c.vars["payment_id"])
	if err != nil {
		return nil, err
	}
	data, err := a.operations(ctx, p)
	return operationList{data}, err
}

func (a *API) listEvents(ctx context.Context, c *call) (any, error) {
	p, err := a.payment(ctx, c, c.vars["payment_id"])
	if err != nil {
		return nil, err
	}
	out := eventList{Data: []eventView{}}
	for next := p.LastEvent; !next.IsZero() && len(out.Data) < maxHistory; {
		e, ok, err := a.opts.Read.Event(ctx, next)
		if err != nil || !ok {
			return nil, away(fmt.Errorf("event %s (found %t): %w", next, ok, err))
		}
		out.Data = append(out.Data, viewEvent(e))
		next = e.Prev
	}
	return out, nil
}

func viewEvent(e event.Event) eventView {
	p, po := namesOf(e.Payment, strings.HasPrefix(string(e.Kind), "payout."))
	return eventView{e.ID.String(), p, po, e.Operation.String(), string(e.Kind), statusOf(e.From), statusOf(e.To), instant(e.AtUS)}
}

// namesOf gives the name of a payment outside, or of the payout that it is.
func namesOf(p id.Payment, payout bool) (paymentID, payoutID string) {
	if payout {
		return "", id.Payout(p).String()
	}
	return p.String(), ""
}
