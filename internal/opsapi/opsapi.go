// Package opsapi is the operators' door: metrics, health, and the admin calls
// that replay dead letters and read cases. It has a listener of its own, which
// is not meant to be reached from outside (security.md S45).
package opsapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"
	"time"

	"aorta/internal/book"
	"aorta/internal/callback"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/project"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Options are what the door must be given.
type Options struct {
	Read               book.Reader
	Writing            func() bool // whether the store can be written; nil: it is not asked
	Metrics            *prometheus.Registry
	Token              string       // ops_token, which opens what is open to no person by name; empty: nothing is asked for there
	Operators          *Operators   // nil: nobody has a name, and nothing is logged
	Log                *slog.Logger // nil discards
	ReplayDelivery     func(context.Context, id.Delivery) error
	ReplayNotification func(context.Context, id.Inbox) error
	Keys               *Keys // API keys; nil: they cannot be changed here
	Projects           func(projectID int64) (project.Project, bool)
	Endpoints          *callback.Endpoints
	ReplayTo           func(ctx context.Context, projectID int64, e id.Endpoint, f callback.Filter) (int, error)
}

type door struct{ Options }

// New gives the ops listener's handler.
func New(o Options) http.Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	d := door{o}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, map[string]any{"status": "ok"}) })
	mux.HandleFunc("GET /readyz", d.ready)
	for what, h := range d.routes() {
		mux.HandleFunc(what, d.guard(what, h))
	}
	return d.known(mux)
}

// known answers as the other calls do where the address, or the method, is of no call.
func (d door) known(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" || r.URL.Path != "/admin" && !strings.HasPrefix(r.URL.Path, "/admin/") {
			mux.ServeHTTP(w, r)
			return
		}
		said := refusedBy{w.Header(), http.StatusNotFound}
		h.ServeHTTP(&said, r)
		w.Header().Set(traceHeader, traceID())
		err := errAddress
		if said.status == http.StatusMethodNotAllowed {
			err = errMethod
		}
		d.refuse(w, r, err)
	})
}

// refusedBy hears with what status, and which methods in Allow, the standard library
// refuses a request.
type refusedBy struct {
	header http.Header
	status int
}

func (s *refusedBy) Header() http.Header         { return s.header }
func (s *refusedBy) WriteHeader(status int)      { s.status = status }
func (s *refusedBy) Write(b []byte) (int, error) { return len(b), nil }

// routes are all calls that somebody must be allowed to make. Who may is said by
// operator.House alone.
func (d door) routes() map[string]deed {
	all := map[string]deed{
		"GET /admin/deliveries/dead":           look(d.deadDeliveries),
		"GET /admin/notifications/dead":        look(d.deadNotifications),
		"GET /admin/deliveries/{id}":           look(d.delivery),
		"GET /admin/payments/{id}/deliveries":  look(d.deliveries),
		"GET /admin/payments/{id}/events":      look(d.events),
		"GET /admin/cases":                     d.cases,
		"POST /admin/replay":                   d.replay,
		"GET /admin/endpoints":                 look(d.listEndpoints),
		"POST /admin/endpoints":                d.createEndpoint,
		"GET /admin/endpoints/{id}":            look(d.showEndpoint),
		"PATCH /admin/endpoints/{id}":          d.updateEndpoint,
		"DELETE /admin/endpoints/{id}":         d.deleteEndpoint,
		"POST /admin/endpoints/{id}/rotate":    d.rotateEndpoint,
		"POST /admin/endpoints/{id}/test":      d.testEndpoint,
		"GET /admin/endpoints/{id}/deliveries": look(d.endpointLog),
		// Profiles tell what a process does with its time (security.md S45). The path is net/http/pprof's own.
		"GET /debug/pprof/":        profile(pprof.Index),
		"GET /debug/pprof/profile": profile(pprof.Profile),
		"GET /debug/pprof/trace":   profile(pprof.Trace),
	}
	if d.Keys != nil {
		all["GET /admin/keys"] = look(d.listKeys)
		all["POST /admin/keys"] = d.createKey
		all["POST /admin/keys/{id}/rotate"] = d.rotateKey
		all["POST /admin/keys/{id}/revoke"] = d.revokeKey
	}
	if d.Operators != nil {
		all["GET /admin/operators"] = d.listOperators
		all["POST /admin/operators"] = d.createOperator
		all["POST /admin/operators/{id}/confirm"] = d.confirmOperator
		all["POST /admin/operators/{id}/revoke"] = d.revokeOperator
		all["GET /admin/cases/{id}"] = d.showCase
		all["POST /admin/cases/{id}/assign"] = d.assignCase
		all["POST /admin/cases/{id}/evidence"] = d.addEvidence
		all["POST /admin/cases/{id}/resolve"] = d.resolveCase
		all["POST /admin/cases/{id}/reopen"] = d.reopenCase
		flows := d.Operators.Flows
		all["GET /admin/payouts"] = d.payouts
		all["GET /admin/payouts/{id}"] = d.showPayout
		all["POST /admin/payouts/{id}/approve"] = d.decide(flows.ApprovePayout, false)
		all["POST /admin/payouts/{id}/hold"] = d.decide(flows.HoldPayout, true)
		all["POST /admin/payouts/{id}/release"] = d.decide(flows.ReleaseHold, true)
		all["POST /admin/payouts/{id}/reject"] = d.decide(flows.RejectPayout, true)
		all["POST /admin/customers/{id}/limits"] = d.setHouseLimit
		all["DELETE /admin/customers/{id}/limits/{kind}/{period}"] = d.removeHouseLimit
		all["POST /admin/customers/{id}/restrictions"] = d.restrict
		all["POST /admin/customers/{id}/restrictions/lift"] = d.lift
		all["GET /admin/checks/{id}"] = look(d.showCheck)
		all["POST /admin/checks/{id}/decide"] = d.decideCheck
		all["GET /admin/statements"] = look(d.statements)
		all["GET /admin/statements/{id}"] = look(d.showStatement)
		all["GET /admin/statements/{id}/lines"] = look(d.statementLines)
		all["GET /admin/statements/{id}/order"] = look(d.statementOrder)
		all["POST /admin/statements/{id}/paid"] = d.paidStatement
		all["GET /admin/audit"] = d.listAudit
		all["GET /admin/audit/heads"] = d.auditHeads
	}
	return all
}

// Routes lists all of them, in order: a test compares them with the matrix.
func Routes() []string {
	return slices.Sorted(maps.Keys(door{Options{Keys: &Keys{}, Operators: &Operators{}}}.routes()))
}

// profile gives one of net/http/pprof's handlers the shape of ours.
func profile(h http.HandlerFunc) deed {
	return func(w http.ResponseWriter, r *http.Request, _ operator.Actor) error {
		h(w, r)
		return nil
	}
}

// deed is a call by somebody. It returns its error; guard answers it.
type deed func(w http.ResponseWriter, r *http.Request, by operator.Actor) error

// look is a call for which it does not matter whose it is.
func look(h func(w http.ResponseWriter, r *http.Request) error) deed {
	return func(w http.ResponseWriter, r *http.Request, _ operator.Actor) error { return h(w, r) }
}

// guard lets a call through that its rule allows, logs it if the rule says so, and
// turns an error into an answer. A call without a rule is nobody's: the program
// does not start with one.
func (d door) guard(what string, h deed) http.HandlerFunc {
	rule, ok := operator.House().Of(what)
	if !ok {
		panic("opsapi: nobody may call " + what + ": it is not in the matrix of package operator")
	}
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(traceHeader, traceID())
		if strings.HasPrefix(r.URL.Path, "/admin/") {
			if err := foreign(r); err != nil {
				d.refuse(w, r, err)
				return
			}
		}
		by, err := d.who(r)
		if err == nil {
			err = allowed(rule, by)
		}
		if err == nil {
			err = harmlessAddress(r)
		}
		if err == nil && rule.Told == operator.ToldCall {
			err = d.tell(r.Context(), by, what, r.PathValue("id"), map[string]any{})
		}
		if err == nil {
			err = h(w, r, by)
		}
		if err != nil {
			d.refuse(w, r, err)
		}
	}
}

// allowed refuses an actor that a rule does not allow.
func allowed(rule operator.Rule, by operator.Actor) error {
	switch {
	case rule.Allows(by):
		return nil
	case by.Name == operator.Anyone:
		return errUnauthenticated
	case by.Name == operator.Bootstrap:
		return errPerson
	}
	return errForbidden
}

// ready says whether the store answers, and can be written.
func (d door) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if _, err := d.Read.Cases(ctx, id.Case{}, 1); err != nil {
		answer(w, http.StatusServiceUnavailable, map[string]any{"status": "unavailable"})
		return
	}
	if d.Writing != nil && !d.Writing() {
		answer(w, http.StatusServiceUnavailable, map[string]any{"status": "unavailable", "reason": "the store cannot be written"})
		return
	}
	answer(w, http.StatusOK, map[string]any{"status": "ok"})
}

// page bounds a list.
const page = 200

type deliveryView struct {
	ID         id.Delivery     `json:"id"`
	Payment    id.Payment      `json:"payment"`
	Event      id.Event        `json:"event"`
	Endpoint   id.Endpoint     `json:"endpoint,omitzero"`
	Type       string          `json:"type,omitempty"`
	URL        string          `json:"url"`
	State      event.State     `json:"state"`
	Tries      int64           `json:"tries"`
	LastStatus int64           `json:"last_status"`
	LastError  string          `json:"last_error,omitempty"`
	Log        json.RawMessage `json:"log"`
	CreatedAt  time.Time       `json:"created_at"`
}

func viewDelivery(d event.Delivery) deliveryView {
	log := json.RawMessage(d.Log)
	if d.Log == "" {
		log = json.RawMessage("[]")
	}
	return deliveryView{d.ID, d.Payment, d.Event, d.Endpoint, d.Type, d.URL, d.State, d.Tries, d.LastStatus, d.LastError, log, time.UnixMicro(d.CreatedUS).UTC()}
}

func (d door) deadDeliveries(w http.ResponseWriter, r *http.Request) error {
	var after id.Delivery
	if err := after.UnmarshalText([]byte(r.FormValue("after"))); err != nil {
		return err
	}
	rows, err := d.Read.DeadDeliveries(r.Context(), after, page)
	if err != nil {
		return err
	}
	out := make([]deliveryView, len(rows))
	for n, row := range rows {
		out[n] = viewDelivery(row)
	}
	answer(w, http.StatusOK, map[string]any{"deliveries": out})
	return nil
}

func (d door) delivery(w http.ResponseWriter, r *http.Request) error {
	k, err := id.ParseDelivery(r.PathValue("id"))
	if err != nil {
		return err
	}
	row, ok, err := d.Read.Delivery(r.Context(), k)
	if err != nil {
		return err
	}
	if !ok {
		return callback.ErrNoDelivery
	}
	answer(w, http.StatusOK, viewDelivery(row))
	return nil
}

// payment reads the payment or payout that a path names, by either of its ids.
func (d door) payment(r *http.Request) (payment.Payment, error) {
	k, err := id.ParsePayment(r.PathValue("id"))
	if err != nil {
		payout, err := id.ParsePayout(r.PathValue("id"))
		if err != nil {
			return payment.Payment{}, err
		}
		k = id.Payment(payout)
	}
	p, ok, err := d.Read.Payment(r.Context(), k)
	if err == nil && !ok {
		err = payment.ErrNoPayment
	}
	return p, err
}

func (d door) deliveries(w http.ResponseWriter, r *http.Request) error {
	p, err := d.payment(r)
	if err != nil {
		return err
	}
	out := []deliveryView{}
	for _, head := range []id.Delivery{p.LastDelivery, p.LastWebhook} {
		for next := head; !next.IsZero() && len(out) < page; {
			row, ok, err := d.Read.Delivery(r.Context(), next)
			if err != nil || !ok {
				return chainError("delivery", next, err)
			}
			out = append(out, viewDelivery(row))
			next = row.Prev
		}
	}
	answer(w, http.StatusOK, map[string]any{"deliveries": out})
	return nil
}

// chainError says why a payment's history could not be followed: the store is
// away, or (nil) a row is missing that another one names.
func chainError(what string, k fmt.Stringer, err error) error {
	if err == nil {
		err = errMissing
	}
	return fmt.Errorf("%s %s: %w", what, k, err)
}

var errMissing = errors.New("named by another row, and not there")

type eventView struct {
	ID       id.Event       `json:"id"`
	Kind     event.Kind     `json:"kind"`
	From     payment.Status `json:"from"`
	To       payment.Status `json:"to"`
	At       time.Time      `json:"at"`
	Snapshot event.Snapshot `json:"snapshot"`
}

func (d door) events(w http.ResponseWriter, r *http.Request) error {
	p, err := d.payment(r)
	if err != nil {
		return err
	}
	out := []eventView{}
	for next := p.LastEvent; !next.IsZero() && len(out) < page; {
		e, ok, err := d.Read.Event(r.Context(), next)
		if err != nil || !ok {
			return chainError("event", next, err)
		}
		s, err := book.SnapshotOf(r.Context(), d.Read, e)
		if err != nil {
			return fmt.Errorf("event %s: %w", e.ID, err)
		}
		out = append(out, eventView{e.ID, e.Kind, e.From, e.To, time.UnixMicro(e.AtUS).UTC(), s})
		next = e.Prev
	}
	answer(w, http.StatusOK, map[string]any{"payment": p.ID, "status": p.Status, "events": out})
	return nil
}

type notificationView struct {
	ID         id.Inbox           `json:"id"`
	Connector  string             `json:"connector"`
	Account    string             `json:"account"`
	State      payment.InboxState `json:"state"`
	Tries      int64              `json:"tries"`
	Reason     string             `json:"reason"`
	ReceivedAt time.Time          `json:"received_at"`
}

func (d door) deadNotifications(w http.ResponseWriter, r *http.Request) error {
	var after id.Inbox
	if err := after.UnmarshalText([]byte(r.FormValue("after"))); err != nil {
		return err
	}
	rows, err := d.Read.DeadInbox(r.Context(), after, page)
	if err != nil {
		return err
	}
	out := make([]notificationView, len(rows))
	for n, x := range rows {
		out[n] = notificationView{x.ID, x.Connector, x.Account, x.State, x.Tries, x.Reason, time.UnixMicro(x.ReceivedUS).UTC()}
	}
	answer(w, http.StatusOK, map[string]any{"notifications": out})
	return nil
}

// replayRequest names what to do once more: ids, all dead letters of a kind, or
// what an endpoint has not got.
type replayRequest struct {
	What     string   `json:"what"` // "deliveries", "notifications" or "webhooks"
	IDs      []string `json:"ids"`
	Dead     bool     `json:"dead"`
	Endpoint string   `json:"endpoint"` // of webhooks, and a filter on them
	filter
}

func (d door) replay(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	var req replayRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	if err := d.tell(r.Context(), by, "replay", req.Endpoint, req); err != nil {
		return err
	}
	if req.What == "webhooks" {
		count, err := d.replayWebhooks(r.Context(), req)
		if err != nil {
			return err
		}
		answer(w, http.StatusOK, map[string]any{"replayed": count})
		return nil
	}
	if (len(req.IDs) > 0) == req.Dead {
		return badRequest{"give either ids or dead:true"}
	}
	var count int
	var err error
	switch req.What {
	case "deliveries":
		count, err = replayAll(r.Context(), req, id.ParseDelivery, d.Read.DeadDeliveries, func(x event.Delivery) id.Delivery { return x.ID }, d.ReplayDelivery)
	case "notifications":
		count, err = replayAll(r.Context(), req, id.ParseInbox, d.Read.DeadInbox, func(x payment.Inbox) id.Inbox { return x.ID }, d.ReplayNotification)
	default:
		return badRequest{"what must be deliveries, notifications or webhooks"}
	}
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, map[string]any{"replayed": count})
	return nil
}

// replayAll replays the named rows, or page by page all dead ones there are now.
func replayAll[R, K any](ctx context.Context, req replayRequest, parse func(string) (K, error),
	dead func(context.Context, K, int) ([]R, error), key func(R) K, again func(context.Context, K) error,
) (int, error) {
	keys := make([]K, len(req.IDs)) // all of them are read before the first has an effect
	for n, text := range req.IDs {
		var err error
		if keys[n], err = parse(text); err != nil {
			return 0, err
		}
	}
	for n, k := range keys {
		if err := again(ctx, k); err != nil {
			return n, err
		}
	}
	count := len(keys)
	var after K
	for req.Dead {
		rows, err := dead(ctx, after, page)
		if err != nil || len(rows) == 0 {
			return count, err
		}
		for _, row := range rows {
			after = key(row)
			if err := again(ctx, after); err != nil {
				return count, err
			}
			count++
		}
	}
	return count, nil
}
