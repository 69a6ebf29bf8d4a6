package api

import (
	"context"
	"errors"
	"slices"

	"aorta/internal/connector"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/project"
)

// payoutBody is a payout that is asked for.
type payoutBody struct {
	Amount           string            `json:"amount" kind:"amount" need:"yes" doc:"In major units of the currency, with no more decimals than it has." ex:"20.00"`
	Currency         string            `json:"currency" kind:"currency" need:"yes" doc:"ISO 4217." ex:"EUR"`
	Method           string            `json:"method" kind:"word" doc:"How the customer is paid: card, bank, wallet, or a method's whole code. Without it, and without payment_id, the way that their newest deposit in the currency came." ex:"bank"`
	PaymentID        string            `json:"payment_id" kind:"payment_id" doc:"Instead of method: a captured payment of the customer's, whose way the money goes back." ex:"pay_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	CustomerID       string            `json:"customer_id" kind:"name" doc:"Whose wallet it is paid from, and who is paid. Without it the payment's customer, or the API key's default one." ex:"42"`
	MerchantPayoutID string            `json:"merchant_payout_id" kind:"name" doc:"Your name for the payout, unique in the project whatever the case of its letters, together with your names of payments." ex:"payout-1"`
	Description      string            `json:"description" kind:"text" doc:"What it is for; providers may show it." ex:"Winnings"`
	Destination      string            `json:"destination" kind:"instrument" doc:"Of a licensed project: the customer's instrument that what they have won goes to. What they have paid in goes back where it came from all the same." ex:"tok_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	ForfeitBonus     bool              `json:"forfeit_bonus" kind:"boolean" doc:"Of a licensed project: the customer agrees to lose the bonus that they have in the currency. Without it a payout is refused while there is one." ex:"true"`
	Meta             map[string]string `json:"meta" kind:"meta" doc:"What you want to find beside the payout again." ex:"{\"table\":\"9\"}"`
	IdempotencyKey   string            `json:"idempotency_key" kind:"key" doc:"Instead of the header Idempotency-Key." ex:"payout-1-try-1"`
}

// payoutView is a payout.
type payoutView struct {
	PayoutID         string            `json:"payout_id" kind:"payout_id" need:"yes" doc:"Our name for the payout." ex:"po_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	MerchantPayoutID string            `json:"merchant_payout_id,omitempty" kind:"name" doc:"Yours." ex:"payout-1"`
	Status           string            `json:"status" kind:"enum:pending,step_up,on_hold,deferred,partially_paid,paid,failed,cancelled" need:"yes" doc:"Where it stands. Until it is paid, failed or cancelled its money is reserved. step_up, on_hold, deferred, partially_paid and cancelled are those of licensed projects." ex:"pending"`
	Amount           string            `json:"amount" kind:"amount" need:"yes" doc:"Of how much." ex:"20.00"`
	Currency         string            `json:"currency" kind:"currency" need:"yes" doc:"ISO 4217." ex:"EUR"`
	Method           string            `json:"method" kind:"word" need:"yes" doc:"How the customer is paid." ex:"bank"`
	MethodCode       string            `json:"method_code" kind:"word" need:"yes" doc:"The project's method." ex:"generic-bank"`
	CustomerID       string            `json:"customer_id" kind:"name" need:"yes" doc:"Your name for the customer." ex:"42"`
	Description      string            `json:"description,omitempty" kind:"text" doc:"What it is for." ex:"Winnings"`
	Decline          *declineView      `json:"decline,omitempty" doc:"Why it failed. Its money is in the wallet again."`
	Reason           string            `json:"reason,omitempty" kind:"word" doc:"Why it waits: under_review, verification_required." ex:"under_review"`
	ActionRequired   *actionView       `json:"action_required,omitempty" doc:"What the customer must do before it goes on."`
	ETA              string            `json:"eta,omitempty" kind:"time" doc:"Of one that is deferred: when it is tried again." ex:"2025-10-17T10:00:00Z"`
	PaidAmount       string            `json:"paid_amount,omitempty" kind:"amount" doc:"Of one that goes in parts: how much is paid." ex:"8.00"`
	ReturnedAmount   string            `json:"returned_amount,omitempty" kind:"amount" doc:"Of one that goes in parts: how much could not be paid, and is in the wallet again." ex:"12.00"`
	Parts            []partView        `json:"parts,omitempty" doc:"The ways that its money goes, of a licensed project. Lists leave them out."`
	Meta             map[string]string `json:"meta,omitempty" kind:"meta" doc:"As given to init. Lists have it with expand=meta." ex:"{\"table\":\"9\"}"`
	CreatedAt        string            `json:"created_at" kind:"time" need:"yes" doc:"When it began." ex:"2025-10-17T09:41:00Z"`
	UpdatedAt        string            `json:"updated_at" kind:"time" need:"yes" doc:"When it last changed." ex:"2025-10-17T09:41:03Z"`
	Operations       []operationView   `json:"operations,omitempty" doc:"With expand=operations."`
}

// actionView is what a customer must do.
type actionView struct {
	Type          string `json:"type" kind:"enum:verification" need:"yes" doc:"What it is." ex:"verification"`
	RequiredLevel int64  `json:"required_level" kind:"integer" need:"yes" doc:"The level that they must be verified to." ex:"2"`
}

// partView is a part of a payout: what goes to one instrument.
type partView struct {
	OperationID  string       `json:"operation_id" kind:"operation_id" need:"yes" doc:"The operation that pays it." ex:"op_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	Status       string       `json:"status" kind:"enum:pending,succeeded,failed" need:"yes" doc:"Where it stands." ex:"pending"`
	Amount       string       `json:"amount" kind:"amount" need:"yes" doc:"Of how much." ex:"8.00"`
	Currency     string       `json:"currency" kind:"currency" need:"yes" doc:"ISO 4217." ex:"EUR"`
	Method       string       `json:"method,omitempty" kind:"word" doc:"How it goes." ex:"card"`
	InstrumentID string       `json:"instrument_id,omitempty" kind:"instrument" doc:"Where it goes." ex:"tok_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	Label        string       `json:"label,omitempty" kind:"text" doc:"The same for people, masked." ex:"Visa ••••4242"`
	Decline      *declineView `json:"decline,omitempty" doc:"Why it failed."`
}

type payoutQuery struct {
	Status           string `json:"status" kind:"enum:pending,step_up,on_hold,deferred,partially_paid,paid,failed,cancelled" doc:"Only of this status." ex:"paid"`
	CustomerID       string `json:"customer_id" kind:"name" doc:"Only this customer's." ex:"42"`
	MerchantPayoutID string `json:"merchant_payout_id" kind:"name" doc:"Only the one of this name." ex:"payout-1"`
	CreatedFrom      string `json:"created_from" kind:"time" doc:"Only those that began then or later." ex:"2025-10-17T00:00:00Z"`
	CreatedTo        string `json:"created_to" kind:"time" doc:"Only those that began before." ex:"2025-10-18T00:00:00Z"`
	Limit            string `json:"limit" kind:"limit" doc:"How many at most, 1 to 100; 20 if you do not say." ex:"20"`
	Cursor           string `json:"cursor" kind:"payout_id" doc:"next_cursor of the page before." ex:"po_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	Expand           string `json:"expand" kind:"enum:meta" doc:"What else to tell: meta." ex:"meta"`
}

type payoutList struct {
	Data       []payoutView `json:"data" need:"yes" doc:"The payouts, newest first."`
	HasMore    bool         `json:"has_more" kind:"boolean" need:"yes" doc:"Whether there may be more." ex:"false"`
	NextCursor string       `json:"next_cursor,omitempty" kind:"payout_id" doc:"Where to go on." ex:"po_01k4aq3x8n0g2v5b7d9f1h3j5m"`
}

// initPayout begins a payout.
func (a *API) initPayout(ctx context.Context, c *call) (once, error) {
	b := c.body.(*payoutBody)
	amount, err := amountOf(b.Amount, b.Currency)
	if err != nil {
		return once{}, err
	}
	if b.Method != "" && b.PaymentID != "" {
		return once{}, invalid(problem{"method", "differs", "must not be there with a payment_id, which says how"})
	}
	customer := b.CustomerID
	var paid payment.Payment // whose way the money goes back
	if b.PaymentID != "" {
		if paid, err = a.payment(ctx, c, b.PaymentID); err != nil {
			return once{}, err
		}
		switch {
		case customer == "":
			customer = paid.CustomerID
		case customer != paid.CustomerID:
			return once{}, invalid(problem{"customer_id", "differs", "must be the payment's"})
		}
		if paid.Amount.Currency != amount.Currency {
			return once{}, invalid(problem{"currency", "differs", "must be the payment's"})
		}
	} else if customer == "" {
		customer = c.key.DefaultCustomer
	}
	switch {
	case customer == "":
		return once{}, invalid(problem{"customer_id", "required", "must be there: a payout is paid from a customer's wallet"})
	case !c.project.Wallet:
		return once{}, invalid(problem{"customer_id", "no_wallet", "there is no wallet to pay it from: the project keeps none"})
	}
	if b.Destination != "" {
		if err := a.destination(ctx, c, customer, amount.Currency, b.Destination); err != nil {
			return once{}, err
		}
	}
	rest, _ := id.ParseInstrument(b.Destination) // the schema has found it to be one, or absent
	o := opening{api: a, c: c, body: b, paid: paid, thing: a.opts.Flows.NewPayment(c.project, b.MerchantPayoutID, customer, c.idem)}
	o.request = flow.PayoutRequest{
		Project: c.project, Door: Door, PayoutID: b.MerchantPayoutID, CustomerID: customer, Description: b.Description, Amount: amount,
		Rest: rest, ForfeitBonus: b.ForfeitBonus,
	}
	return once{thing: o.thing.Raw(), first: o.first, begin: o.begin}, nil
}

// opening is a payout that is asked for.
type opening struct {
	api     *API
	c       *call
	body    *payoutBody
	paid    payment.Payment // whose way the money goes back
	thing   id.Payment
	request flow.PayoutRequest
}

func (o *opening) view(ctx context.Context, p payment.Payment) (any, error) {
	return o.api.payoutAnswer(ctx, p, o.body.Meta)
}

func (o *opening) route(ctx context.Context) (flow.Route, error) {
	return o.api.route(ctx, o.c, o.body.Method, o.paid, o.request.CustomerID, o.request.Amount)
}

// first takes the call's key with the act that begins the payout, which mostly works.
func (o *opening) first(ctx context.Context, of flow.Call) (flow.Taken, any, bool, error) {
	var err error
	r, ok := o.request, false
	if r.Opening, ok = o.api.opts.Flows.Opening(of, o.thing); !ok {
		return flow.Taken{}, nil, false, nil
	}
	if r.Route, err = o.route(ctx); err != nil {
		return flow.Taken{}, nil, false, nil //nolint:nilerr // begin finds it again, if the call was not answered before
	}
	r.ID, r.Keep = o.thing, flow.Kept{Meta: o.body.Meta, Answer: r.Opening.ID.String()}.Encode()
	begun, err := o.api.opts.Flows.BeginPayout(ctx, r)
	if flow.ErrOpened(err) || err == nil && begun.Repeat {
		return flow.Taken{}, nil, false, nil
	}
	if err != nil {
		return flow.Taken{}, nil, true, o.refusal(err)
	}
	body, err := o.told(ctx, begun)
	return flow.Taken{Answer: begun.Answer, Mine: true}, body, true, err
}

// begin begins the payout of a call whose key is taken, or finds it begun.
func (o *opening) begin(ctx context.Context, row payment.Answer, again bool) (any, error) {
	if again {
		if p, ok, err := o.api.begun(ctx, o.c, id.Payment(row.Thing)); err != nil || ok {
			if err != nil {
				return nil, err
			}
			return o.view(ctx, p)
		}
	}
	var err error
	r := o.request
	if r.Route, err = o.route(ctx); err != nil {
		if p, err := o.api.ofName(ctx, o.c, o.body.MerchantPayoutID, row); !errors.Is(err, payment.ErrNoPayment) {
			if err != nil {
				return nil, err
			}
			return o.view(ctx, p) // it is begun: that there is no such way any more is no answer
		}
		return nil, err
	}
	r.ID, r.Keep = id.Payment(row.Thing), flow.Kept{Meta: o.body.Meta, Answer: row.ID.String()}.Encode()
	begun, err := o.api.opts.Flows.BeginPayout(ctx, r)
	switch {
	case err != nil:
		return nil, o.refusal(err)
	case begun.Repeat:
		if err := o.api.sameCall(ctx, begun.Payment, row); err != nil {
			return nil, err
		}
		return o.view(ctx, begun.Payment)
	}
	return o.told(ctx, begun)
}

// refusal gives the words of /v1 for why a payout was not begun.
func (o *opening) refusal(err error) error {
	switch {
	case errors.Is(err, flow.ErrInsufficient), tooLittle(err):
		return short(nil).keep()
	case errors.Is(err, flow.ErrNoRoute):
		return refuse(codeNoMethod, map[string]any{"methods": o.api.paysOut(o.c.project, o.request.Amount.Currency)})
	}
	return err
}

// told is what is answered of a payout that was begun just now.
func (o *opening) told(ctx context.Context, begun flow.Begun) (any, error) {
	if err := o.api.await(ctx, begun.Asked); err != nil {
		return nil, err
	}
	p, err := o.api.again(ctx, begun.Payment)
	if err != nil {
		return nil, err
	}
	if p == begun.Payment { // so is the rest of it: it need not be read
		parts, known, err := o.api.opts.Flows.PartsBegun(ctx, begun)
		if err != nil {
			return nil, err
		}
		if known {
			v := viewPayout(p).judged(p, begun.Review, parts)
			v.Meta = o.body.Meta
			return v, nil
		}
	}
	return o.view(ctx, p)
}

// ofName finds what an earlier run of the same call has begun under the merchant's
// name, or refuses a name that is another's. ErrNoPayment: it names nothing yet.
func (a *API) ofName(ctx context.Context, c *call, name string, row payment.Answer) (payment.Payment, error) {
	if name == "" {
		return payment.Payment{}, payment.ErrNoPayment
	}
	p, err := a.opts.Flows.Named(ctx, c.project, name)
	if err != nil {
		return p, err
	}
	return p, a.sameCall(ctx, p, row)
}

// route finds how a payout is sent: by the method asked for, the way of a payment,
// or that of the customer's newest deposit.
func (a *API) route(ctx context.Context, c *call, method string, paid payment.Payment, customer string, amount money.Amount) (r flow.Route, err error) {
	switch {
	case method != "":
		r, err = a.routeBy(c.project, method, amount.Currency)
	case !paid.ID.IsZero():
		if r, err = a.opts.Flows.RouteOf(ctx, paid); errors.Is(err, flow.ErrState) {
			return r, refuse(codeState, map[string]any{"state": statusOf(paid.Status)})
		}
	case a.opts.Flows.Rules(c.project.ID) != nil:
		// It goes back to what the customer has paid with, which the flow knows; this is for one who has paid with nothing.
		if r, err = a.opts.Flows.RouteBack(ctx, c.project, customer, amount.Currency); errors.Is(err, flow.ErrNoRoute) {
			return flow.Route{}, nil
		}
		return r, err
	default:
		r, err = a.opts.Flows.RouteBack(ctx, c.project, customer, amount.Currency)
	}
	if errors.Is(err, flow.ErrNoRoute) {
		return r, refuse(codeNoMethod, map[string]any{"methods": a.paysOut(c.project, amount.Currency)})
	}
	if err != nil {
		return r, err
	}
	can, _ := a.opts.Flows.PaysOut(r.Connector, r.Account)
	switch {
	case len(can.Currencies) > 0 && !slices.Contains(can.Currencies, amount.Currency):
		return r, refuse(codeCurrency, map[string]any{"currencies": can.Currencies})
	case amount.Minor < can.MinMinor || can.MaxMinor > 0 && amount.Minor > can.MaxMinor:
		return r, rangeOf(can, amount.Currency)
	}
	return r, nil
}

// rangeOf refuses an amount that a PSP account does not send.
func rangeOf(can connector.Capabilities, c money.Currency) error {
	details := map[string]any{"min": decimal(can.MinMinor, c)}
	if can.MaxMinor > 0 {
		details["max"] = decimal(can.MaxMinor, c)
	}
	return refuse(codeRange, details)
}

// routeBy finds the method of a word whose account can send money.
func (a *API) routeBy(p project.Project, word string, c money.Currency) (flow.Route, error) {
	m, err := methodOf(p, word, c, a.sends)
	if r, _ := refusalOf(err); err != nil && r.code == codeNoMethod {
		return flow.Route{}, flow.ErrNoRoute
	}
	return flow.Route{Method: m.Code, Connector: m.Connector, Account: m.Account}, err
}

// sends reports whether a method's account can send money.
func (a *API) sends(m project.Method) bool {
	_, ok := a.opts.Flows.PaysOut(m.Connector, m.Account)
	return ok
}

// paysOut are the words of the project's methods by which a currency can be sent.
func (a *API) paysOut(p project.Project, c money.Currency) []string {
	out := []string{}
	for _, m := range p.Methods {
		if m.Currency == c && a.sends(m) && !slices.Contains(out, wordOf(m.Code)) {
			out = append(out, wordOf(m.Code))
		}
	}
	return out
}

func viewPayout(p payment.Payment) payoutView {
	v := payoutView{
		PayoutID: id.Payout(p.ID).String(), MerchantPayoutID: p.MerchantPaymentID, Status: statusOf(p.Status), Amount: p.Amount.Decimal(),
		Currency: string(p.Amount.Currency), Method: wordOf(p.Method), MethodCode: p.Method, CustomerID: p.CustomerID, Description: p.Description,
		CreatedAt: instant(p.CreatedUS), UpdatedAt: instant(p.ChangedUS),
	}
	if p.Status == payment.StatusFailed {
		v.Decline = &declineView{p.Code, p.Message}
	}
	if p.CapturedMinor != 0 {
		v.PaidAmount = decimal(p.CapturedMinor, p.Amount.Currency)
	}
	if p.RefundedMinor != 0 {
		v.ReturnedAmount = decimal(p.RefundedMinor, p.Amount.Currency)
	}
	return v
}

// payout gives the payout of the caller's project that a path names.
func (a *API) payout(ctx context.Context, c *call, text string) (payment.Payment, error) {
	k, err := id.ParsePayout(text)
	if err != nil || int(k.Bucket()) >= a.opts.Flows.Buckets() {
		return payment.Payment{}, payment.ErrNoPayment
	}
	p, ok, err := a.opts.Read.Payment(ctx, id.Payment(k))
	switch {
	case err != nil:
		return p, away(err)
	case !ok || p.ProjectID != c.project.ID || p.Type != payment.TypePayout:
		return payment.Payment{}, payment.ErrNoPayment
	}
	return p, nil
}

func (a *API) getPayout(ctx context.Context, c *call) (any, error) {
	p, err := a.payout(ctx, c, c.vars["payout_id"])
	if err != nil {
		return nil, err
	}
	v, _, err := a.viewParts(ctx, p)
	if err != nil {
		return nil, err
	}
	v.Meta, v.Operations, err = a.beside(ctx, p, c.query.(*getQuery).Expand)
	return v, err
}

func (a *API) listPayouts(ctx context.Context, c *call) (any, error) {
	q := c.query.(*payoutQuery)
	cursor, _ := id.ParsePayout(q.Cursor) // the schema has found it to be one, or absent
	rows, next, err := a.chosen(ctx, c, selection{payment.TypePayout, q.MerchantPayoutID, q.Status, q.CustomerID, q.CreatedFrom, q.CreatedTo, id.Payment(cursor), q.Limit})
	if err != nil {
		return nil, err
	}
	metas, err := a.metas(ctx, rows, q.Expand)
	out := payoutList{Data: make([]payoutView, len(rows)), HasMore: !next.IsZero(), NextCursor: id.Payout(next).String()}
	for n, p := range rows {
		out.Data[n] = viewPayout(p)
		if err == nil {
			out.Data[n].Meta = metas[n]
		}
	}
	return out, err
}
