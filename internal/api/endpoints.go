package api

import (
	"context"
	"errors"
	"strings"
	"time"

	"aorta/internal/callback"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/sign"
)

// endpointBody is a new endpoint.
type endpointBody struct {
	URL            string   `json:"url" kind:"url" need:"yes" doc:"Where it is called: https, port 443 or 8443, in a public network." ex:"https://shop.example/hooks"`
	Events         []string `json:"events" kind:"types" doc:"The types that it wants; none are all." ex:"[\"payment.captured\"]"`
	Description    string   `json:"description" kind:"note" doc:"For yourself." ex:"The shop"`
	IdempotencyKey string   `json:"idempotency_key" kind:"key" doc:"Instead of the header Idempotency-Key." ex:"hook-1"`
}

// endpointChange is what may be changed of an endpoint; what is not there stays.
type endpointChange struct {
	URL            string   `json:"url" kind:"url" doc:"Where it is called." ex:"https://shop.example/hooks"`
	Events         []string `json:"events" kind:"types" doc:"The types that it wants; none are all." ex:"[\"payment.captured\"]"`
	Description    string   `json:"description" kind:"note" doc:"For yourself; it may be empty." ex:"The shop"`
	State          string   `json:"state" kind:"enum:enabled,disabled" doc:"What a disabled endpoint would be told is parked." ex:"enabled"`
	IdempotencyKey string   `json:"idempotency_key" kind:"key" doc:"Instead of the header Idempotency-Key." ex:"hook-2"`
}

// rotateBody asks for a new secret.
type rotateBody struct {
	OverlapHours   string `json:"overlap_hours" kind:"hours" doc:"How long the old secret signs too." ex:"24"`
	IdempotencyKey string `json:"idempotency_key" kind:"key" doc:"Instead of the header Idempotency-Key." ex:"rotate-1"`
}

// keyBody is the body of a call that says everything by its address.
type keyBody struct {
	IdempotencyKey string `json:"idempotency_key" kind:"key" doc:"Instead of the header Idempotency-Key." ex:"test-1"`
}

// replayBody chooses what is sent once more.
type replayBody struct {
	State          string `json:"state" kind:"enum:pending,delivered,dead,parked" doc:"Only of this state; dead and parked, if you do not say." ex:"parked"`
	Type           string `json:"type" kind:"type" doc:"Only of this type." ex:"payment.captured"`
	PaymentID      string `json:"payment_id" kind:"payment_id" doc:"Only of this payment." ex:"pay_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	PayoutID       string `json:"payout_id" kind:"payout_id" doc:"Only of this payout." ex:"po_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	CreatedFrom    string `json:"created_from" kind:"time" doc:"Only what happened then or later." ex:"2025-10-17T00:00:00Z"`
	CreatedTo      string `json:"created_to" kind:"time" doc:"Only what happened before." ex:"2025-10-18T00:00:00Z"`
	IdempotencyKey string `json:"idempotency_key" kind:"key" doc:"Instead of the header Idempotency-Key." ex:"replay-1"`
}

type deliveryQuery struct {
	State       string `json:"state" kind:"enum:pending,delivered,dead,parked" doc:"Only of this state." ex:"dead"`
	Type        string `json:"type" kind:"type" doc:"Only of this type." ex:"payment.captured"`
	PaymentID   string `json:"payment_id" kind:"payment_id" doc:"Only of this payment." ex:"pay_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	PayoutID    string `json:"payout_id" kind:"payout_id" doc:"Only of this payout." ex:"po_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	CreatedFrom string `json:"created_from" kind:"time" doc:"Only what happened then or later." ex:"2025-10-17T00:00:00Z"`
	CreatedTo   string `json:"created_to" kind:"time" doc:"Only what happened before." ex:"2025-10-18T00:00:00Z"`
	Limit       string `json:"limit" kind:"limit" doc:"How many at most, 1 to 100; 20 if you do not say." ex:"20"`
	Cursor      string `json:"cursor" kind:"delivery_id" doc:"next_cursor of the page before." ex:"cb_01k4aq3x8n0g2v5b7d9f1h3j5m"`
}

// endpointView is an endpoint.
type endpointView struct {
	EndpointID     string   `json:"endpoint_id" kind:"endpoint_id" need:"yes" doc:"Its name." ex:"we_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	URL            string   `json:"url" kind:"url" need:"yes" doc:"Where it is called." ex:"https://shop.example/hooks"`
	Events         []string `json:"events" kind:"types" need:"yes" doc:"The types that it wants; none are all."`
	Description    string   `json:"description,omitempty" kind:"note" doc:"Yours." ex:"The shop"`
	State          string   `json:"state" kind:"enum:enabled,disabled" need:"yes" doc:"Whether it is called." ex:"enabled"`
	Reason         string   `json:"reason,omitempty" kind:"text" doc:"Why it is disabled." ex:"it answered 410 Gone"`
	FailingSince   string   `json:"failing_since,omitempty" kind:"time" doc:"Since when nothing has been delivered." ex:"2025-10-17T09:41:03Z"`
	OldSecretUntil string   `json:"old_secret_until,omitempty" kind:"time" doc:"Until when the secret before this one signs too." ex:"2025-10-18T09:41:03Z"`
	Secret         string   `json:"secret,omitempty" kind:"whsec" doc:"What signs. It is told once, when it is made." ex:"whsec_…"`
	CreatedAt      string   `json:"created_at" kind:"time" need:"yes" doc:"When it was made." ex:"2025-10-17T09:41:00Z"`
	UpdatedAt      string   `json:"updated_at" kind:"time" need:"yes" doc:"When it last changed." ex:"2025-10-17T09:41:03Z"`
}

type endpointList struct {
	Data []endpointView `json:"data" need:"yes" doc:"All of them: a project has at most 50."`
}

// endpointGone is what is left of an endpoint.
type endpointGone struct {
	EndpointID string `json:"endpoint_id" kind:"endpoint_id" need:"yes" doc:"Its name." ex:"we_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	State      string `json:"state" kind:"enum:deleted" need:"yes" doc:"It is called no more." ex:"deleted"`
}

// deliveryView is a message to an endpoint. What a try met within the network
// stays in our log.
type deliveryView struct {
	DeliveryID string `json:"delivery_id" kind:"delivery_id" need:"yes" doc:"Its name; the message has it in aorta-trace-id." ex:"cb_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	WebhookID  string `json:"webhook_id" kind:"event_id" need:"yes" doc:"The message's webhook-id." ex:"evt_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	Type       string `json:"type" kind:"name" need:"yes" doc:"What it tells." ex:"payment.captured"`
	PaymentID  string `json:"payment_id,omitempty" kind:"payment_id" doc:"Of which payment." ex:"pay_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	PayoutID   string `json:"payout_id,omitempty" kind:"payout_id" doc:"Or of which payout." ex:"po_01k4aq3x8n0g2v5b7d9f1h3j5m"`
	State      string `json:"state" kind:"enum:pending,delivered,dead,parked" need:"yes" doc:"Where it stands." ex:"delivered"`
	Attempts   int64  `json:"attempts" kind:"integer" need:"yes" doc:"How often it was tried, since it was last replayed." ex:"1"`
	LastStatus int64  `json:"last_status,omitempty" kind:"integer" doc:"What the last try was answered; none: it was not." ex:"204"`
	CreatedAt  string `json:"created_at" kind:"time" need:"yes" doc:"When what it tells of happened." ex:"2025-10-17T09:41:00Z"`
	UpdatedAt  string `json:"updated_at" kind:"time" need:"yes" doc:"When it was last tried or changed." ex:"2025-10-17T09:41:03Z"`
}

type deliveryList struct {
	Data       []deliveryView `json:"data" need:"yes" doc:"The messages, newest first."`
	HasMore    bool           `json:"has_more" kind:"boolean" need:"yes" doc:"Whether there may be more." ex:"false"`
	NextCursor string         `json:"next_cursor,omitempty" kind:"delivery_id" doc:"Where to go on." ex:"cb_01k4aq3x8n0g2v5b7d9f1h3j5m"`
}

// replayView says what a replay has done.
type replayView struct {
	Replayed int  `json:"replayed" kind:"integer" need:"yes" doc:"How many messages are on their way again: at most 10,000." ex:"12"`
	HasMore  bool `json:"has_more" kind:"boolean" need:"yes" doc:"Whether to ask again, under a new key." ex:"false"`
}

func viewEndpoint(e event.Endpoint, key sign.WebhookKey) endpointView {
	at := func(us int64) string {
		if us == 0 {
			return ""
		}
		return instant(us)
	}
	types := strings.Fields(e.Types)
	return endpointView{
		EndpointID: e.ID.String(), URL: e.URL, Events: append([]string{}, types...), Description: e.Description, State: string(e.State), Reason: e.Reason,
		FailingSince: at(e.FailingUS), OldSecretUntil: at(e.OldUntilUS), Secret: key.Reveal(), CreatedAt: instant(e.CreatedUS), UpdatedAt: instant(e.ChangedUS),
	}
}

func viewDelivery(d event.Delivery) deliveryView {
	v := deliveryView{
		DeliveryID: d.ID.String(), WebhookID: event.MessageID(d.Event, d.Type).String(), Type: d.Type, PaymentID: d.Payment.String(), State: string(d.State),
		Attempts: d.Tries, LastStatus: d.LastStatus, CreatedAt: instant(d.CreatedUS), UpdatedAt: instant(d.ChangedUS),
	}
	if event.OfPayout(d.Type) {
		v.PaymentID, v.PayoutID = "", id.Payout(d.Payment).String()
	}
	return v
}

// refusalOfEndpoint gives the words of package callback in those of /v1.
func refusalOfEndpoint(err error) error {
	switch {
	case errors.Is(err, callback.ErrNoEndpoint):
		return refuse(codeNotFound, nil)
	case errors.Is(err, callback.ErrEndpointURL):
		return invalid(problem{"url", "url", "must begin with https://, on port 443 or 8443, without user name and fragment"})
	case errors.Is(err, callback.ErrEndpointTypes):
		return invalid(problem{"events", "enum", "must be of " + strings.Join(event.Types(), ", ")})
	case errors.Is(err, callback.ErrEndpointText):
		_, message := checkNote(strings.Repeat("x", maxNote+1))
		return invalid(problem{"description", "too_long", message})
	case errors.Is(err, callback.ErrOverlap):
		_, message := checkHours("")
		return invalid(problem{"overlap_hours", "hours", message})
	case errors.Is(err, callback.ErrEndpointLimit):
		return refuse(codeState, map[string]any{"state": "full", "most": callback.MaxEndpoints})
	case errors.Is(err, callback.ErrEndpointOff):
		return refuse(codeState, map[string]any{"state": string(event.EndpointOff)})
	case errors.Is(err, callback.ErrEndpointChanged):
		return refuse(codeState, map[string]any{"state": "changed"})
	}
	return err
}

// endpointOf reads the endpoint that a path names. Whose it is, package callback
// looks at in the act.
func (a *API) endpointOf(c *call) (id.Endpoint, error) {
	k, err := id.ParseEndpoint(c.vars["endpoint_id"])
	if err != nil || int(k.Bucket()) >= a.opts.Flows.Buckets() {
		return k, refuse(codeNotFound, nil)
	}
	return k, nil
}

func (a *API) createEndpoint(_ context.Context, c *call) (once, error) {
	b := c.body.(*endpointBody)
	thing := a.opts.Endpoints.NewID(c.project)
	return once{thing: thing.Raw(), begin: func(ctx context.Context, row payment.Answer, _ bool) (any, error) {
		e, key, err := a.opts.Endpoints.CreateAs(ctx, c.project, id.Endpoint(row.Thing), callback.EndpointSettings{
			URL: &b.URL, Description: &b.Description, Types: &b.Events,
		})
		if err != nil {
			return nil, refusalOfEndpoint(err)
		}
		return viewEndpoint(e, key), nil
	}}, nil
}

func (a *API) updateEndpoint(_ context.Context, c *call) (once, error) {
	k, err := a.endpointOf(c)
	if err != nil {
		return once{}, err
	}
	b := c.body.(*endpointChange)
	var s callback.EndpointSettings
	if b.URL != "" {
		s.URL = &b.URL
	}
	if c.doc.Get("description").Kind() == sign.KindString {
		s.Description = &b.Description
	}
	if b.Events != nil {
		s.Types = &b.Events
	}
	if b.State != "" {
		on := b.State == string(event.EndpointEnabled)
		s.Enabled = &on
	}
	return once{begin: func(ctx context.Context, _ payment.Answer, _ bool) (any, error) {
		e, err := a.opts.Endpoints.Update(ctx, c.project.ID, k, s)
		if err != nil {
			return nil, refusalOfEndpoint(err)
		}
		return viewEndpoint(e, sign.WebhookKey{}), nil
	}}, nil
}

func (a *API) deleteEndpoint(_ context.Context, c *call) (once, error) {
	k, err := a.endpointOf(c)
	if err != nil {
		return once{}, err
	}
	return once{begin: func(ctx context.Context, _ payment.Answer, again bool) (any, error) {
		err := a.opts.Endpoints.Delete(ctx, c.project.ID, k)
		if again && errors.Is(err, callback.ErrNoEndpoint) {
			err = a.deleted(ctx, c, k)
		}
		if err != nil {
			return nil, refusalOfEndpoint(err)
		}
		return endpointGone{k.String(), string(event.EndpointDeleted)}, nil
	}}, nil
}

// deleted finds an endpoint that an earlier run of the same call has ended.
func (a *API) deleted(ctx context.Context, c *call, k id.Endpoint) error {
	e, ok, err := a.opts.Read.Endpoint(ctx, k)
	switch {
	case err != nil:
		return away(err)
	case !ok || e.ProjectID != c.project.ID || e.State != event.EndpointDeleted:
		return callback.ErrNoEndpoint
	}
	return nil
}

func (a *API) rotateEndpoint(_ context.Context, c *call) (once, error) {
	k, err := a.endpointOf(c)
	if err != nil {
		return once{}, err
	}
	overlap := callback.DefaultOverlap
	if text := c.body.(*rotateBody).OverlapHours; text != "" {
		overlap = time.Duration(limitOf(text)) * time.Hour
	}
	turn := a.opts.Endpoints.NewID(c.project)
	return once{thing: turn.Raw(), begin: func(ctx context.Context, row payment.Answer, _ bool) (any, error) {
		e, key, err := a.opts.Endpoints.RotateAs(ctx, c.project.ID, k, id.Endpoint(row.Thing), overlap)
		if err != nil {
			return nil, refusalOfEndpoint(err)
		}
		return viewEndpoint(e, key), nil
	}}, nil
}

func (a *API) testEndpoint(_ context.Context, c *call) (once, error) {
	k, err := a.endpointOf(c)
	if err != nil {
		return once{}, err
	}
	return once{begin: func(ctx context.Context, _ payment.Answer, _ bool) (any, error) {
		d, err := a.opts.Endpoints.Test(ctx, c.project.ID, k)
		if err != nil {
			return nil, refusalOfEndpoint(err)
		}
		return viewDelivery(d), nil
	}}, nil
}

func (a *API) replayWebhooks(_ context.Context, c *call) (once, error) {
	k, err := a.endpointOf(c)
	if err != nil {
		return once{}, err
	}
	b := c.body.(*replayBody)
	f := filterOf(b.State, b.Type, b.PaymentID, b.PayoutID, b.CreatedFrom, b.CreatedTo)
	return once{begin: func(ctx context.Context, _ payment.Answer, _ bool) (any, error) {
		n, err := a.opts.ReplayTo(ctx, c.project.ID, k, f)
		if err != nil {
			return nil, refusalOfEndpoint(err)
		}
		return replayView{n, n >= callback.MostAgain}, nil
	}}, nil
}

// filterOf reads what the schema has found to be well written, or absent.
func filterOf(state, typ, paymentID, payoutID, from, to string) callback.Filter {
	f := callback.Filter{State: event.State(state), Type: typ}
	f.Payment, _ = id.ParsePayment(paymentID)
	if payoutID != "" {
		payout, _ := id.ParsePayout(payoutID)
		f.Payment = id.Payment(payout)
	}
	if from != "" {
		f.From = timeOf(from)
	}
	if to != "" {
		f.To = timeOf(to)
	}
	return f
}

func (a *API) listEndpoints(ctx context.Context, c *call) (any, error) {
	rows, err := a.opts.Endpoints.List(ctx, c.project.ID)
	if err != nil {
		return nil, away(err)
	}
	out := endpointList{Data: make([]endpointView, len(rows))}
	for n, e := range rows {
		out.Data[n] = viewEndpoint(e, sign.WebhookKey{})
	}
	return out, nil
}

func (a *API) getEndpoint(ctx context.Context, c *call) (any, error) {
	k, err := a.endpointOf(c)
	if err != nil {
		return nil, err
	}
	e, err := a.opts.Endpoints.Get(ctx, c.project.ID, k)
	if err != nil {
		return nil, unread(err)
	}
	return viewEndpoint(e, sign.WebhookKey{}), nil
}

// unread is the error of a look at an endpoint: it is not there, or the store is away.
func unread(err error) error {
	if errors.Is(err, callback.ErrNoEndpoint) {
		return refusalOfEndpoint(err)
	}
	return away(err)
}

func (a *API) listDeliveries(ctx context.Context, c *call) (any, error) {
	k, err := a.endpointOf(c)
	if err != nil {
		return nil, err
	}
	q := c.query.(*deliveryQuery)
	before, _ := id.ParseDelivery(q.Cursor)
	f := filterOf(q.State, q.Type, q.PaymentID, q.PayoutID, q.CreatedFrom, q.CreatedTo)
	rows, next, err := a.opts.Endpoints.Log(ctx, c.project.ID, k, f, before, limitOf(q.Limit))
	if err != nil {
		return nil, unread(err)
	}
	out := deliveryList{Data: make([]deliveryView, len(rows)), HasMore: !next.IsZero(), NextCursor: next.String()}
	for n, d := range rows {
		out.Data[n] = viewDelivery(d)
	}
	return out, nil
}
