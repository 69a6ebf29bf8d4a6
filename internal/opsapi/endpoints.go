package opsapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"aorta/internal/callback"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/operator"
	"aorta/internal/sign"
)

// endpointView is an endpoint as operators see it. It has no secret.
type endpointView struct {
	ID          id.Endpoint         `json:"id"`
	Project     int64               `json:"project"`
	URL         string              `json:"url"`
	Description string              `json:"description,omitempty"`
	Types       []string            `json:"types"` // empty: all
	State       event.EndpointState `json:"state"`
	Reason      string              `json:"reason,omitempty"`
	FailingAt   *time.Time          `json:"failing_since,omitempty"`
	Failed      int64               `json:"failed,omitempty"`
	OldUntil    *time.Time          `json:"old_secret_until,omitempty"`
	CreatedAt   time.Time           `json:"created_at"`
	ChangedAt   time.Time           `json:"changed_at"`
	Secret      string              `json:"secret,omitempty"` // once, when it is made
}

func viewEndpoint(e event.Endpoint, key sign.WebhookKey) endpointView {
	at := func(us int64) *time.Time {
		if us == 0 {
			return nil
		}
		t := time.UnixMicro(us).UTC()
		return &t
	}
	return endpointView{
		ID: e.ID, Project: e.ProjectID, URL: e.URL, Description: e.Description, Types: strings.Fields(e.Types), State: e.State, Reason: e.Reason,
		FailingAt: at(e.FailingUS), Failed: e.Failed, OldUntil: at(e.OldUntilUS),
		CreatedAt: time.UnixMicro(e.CreatedUS).UTC(), ChangedAt: time.UnixMicro(e.ChangedUS).UTC(), Secret: key.Reveal(),
	}
}

// settings are what an operator says of an endpoint.
type settings struct {
	Project     int64     `json:"project"` // of a new one
	URL         *string   `json:"url"`
	Description *string   `json:"description"`
	Types       *[]string `json:"types"`
	Enabled     *bool     `json:"enabled"`
	Secret      string    `json:"secret"`        // of a new one, or a rotation; empty: one is made
	Overlap     *float64  `json:"overlap_hours"` // of a rotation; absent: 24
}

func readSettings(r *http.Request) (settings, error) {
	var s settings
	return s, decodeAny(r, &s)
}

// told logs a call about an endpoint before it is done: whose it is, and where it is
// called and is to be, as far as that is no secret.
func (d door) told(r *http.Request, by operator.Actor, what string, e event.Endpoint, to *string) error {
	details := map[string]any{"project": e.ProjectID}
	if e.URL != "" {
		details["url"] = bare(e.URL)
	}
	if to != nil {
		details["to"] = bare(*to)
	}
	return d.tell(r.Context(), by, what, e.ID.String(), details)
}

// bare is an address without what may be a secret in it: userinfo, query, fragment.
func bare(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

func (s settings) endpoint() callback.EndpointSettings {
	return callback.EndpointSettings{URL: s.URL, Description: s.Description, Types: s.Types, Enabled: s.Enabled}
}

// refused reports whether an error is what the caller must mend.
func refused(err error) bool {
	for _, known := range []error{
		callback.ErrEndpointURL, callback.ErrEndpointTypes, callback.ErrEndpointText, callback.ErrEndpointLimit, callback.ErrEndpointOff,
		callback.ErrOverlap, callback.ErrEndpointChanged, sign.ErrWebhookKey,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

func (d door) listEndpoints(w http.ResponseWriter, r *http.Request) error {
	var only int64
	if text := r.FormValue("project"); text != "" {
		var err error
		if only, err = strconv.ParseInt(text, 10, 64); err != nil {
			return badRequest{"project must be a number"}
		}
	}
	out := []endpointView{}
	var after id.Endpoint
	for {
		rows, err := d.Read.ScanEndpoints(r.Context(), after, page)
		if err != nil {
			return err
		}
		for _, e := range rows {
			after = e.ID
			if e.State != event.EndpointDeleted && (only == 0 || e.ProjectID == only) {
				out = append(out, viewEndpoint(e, sign.WebhookKey{}))
			}
		}
		if len(rows) < page {
			answer(w, http.StatusOK, map[string]any{"endpoints": out})
			return nil
		}
	}
}

func (d door) createEndpoint(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	s, err := readSettings(r)
	if err != nil {
		return err
	}
	p, ok := d.Projects(s.Project)
	if !ok {
		return invalid{{"project", "unknown", "is not configured"}}
	}
	if err := d.told(r, by, "POST /admin/endpoints", event.Endpoint{ProjectID: p.ID}, s.URL); err != nil {
		return err
	}
	e, key, err := d.Endpoints.Create(r.Context(), p, s.endpoint(), s.Secret)
	if err != nil {
		return err
	}
	answer(w, http.StatusCreated, viewEndpoint(e, key))
	return nil
}

// endpoint reads the endpoint that a path names.
func (d door) endpoint(r *http.Request) (event.Endpoint, error) {
	k, err := id.ParseEndpoint(r.PathValue("id"))
	if err != nil {
		return event.Endpoint{}, err
	}
	return d.Endpoints.Find(r.Context(), k)
}

func (d door) showEndpoint(w http.ResponseWriter, r *http.Request) error {
	e, err := d.endpoint(r)
	if err == nil {
		e, err = d.Endpoints.Get(r.Context(), e.ProjectID, e.ID)
	}
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, viewEndpoint(e, sign.WebhookKey{}))
	return nil
}

func (d door) updateEndpoint(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	e, err := d.endpoint(r)
	if err != nil {
		return err
	}
	s, err := readSettings(r)
	if err == nil {
		err = d.told(r, by, "PATCH /admin/endpoints/{id}", e, s.URL)
	}
	if err != nil {
		return err
	}
	if e, err = d.Endpoints.Update(r.Context(), e.ProjectID, e.ID, s.endpoint()); err != nil {
		return err
	}
	answer(w, http.StatusOK, viewEndpoint(e, sign.WebhookKey{}))
	return nil
}

func (d door) rotateEndpoint(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	e, err := d.endpoint(r)
	if err != nil {
		return err
	}
	s, err := readSettings(r)
	if err == nil {
		err = d.told(r, by, "POST /admin/endpoints/{id}/rotate", e, nil)
	}
	if err != nil {
		return err
	}
	overlap := callback.DefaultOverlap
	if s.Overlap != nil {
		if !(*s.Overlap >= 0 && *s.Overlap <= callback.MaxOverlap.Hours()) { // so written, NaN is refused too
			return callback.ErrOverlap
		}
		overlap = time.Duration(*s.Overlap * float64(time.Hour))
	}
	e, key, err := d.Endpoints.Rotate(r.Context(), e.ProjectID, e.ID, s.Secret, overlap)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, viewEndpoint(e, key))
	return nil
}

func (d door) deleteEndpoint(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	e, err := d.endpoint(r)
	if err == nil {
		err = d.told(r, by, "DELETE /admin/endpoints/{id}", e, nil)
	}
	if err == nil {
		err = d.Endpoints.Delete(r.Context(), e.ProjectID, e.ID)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (d door) testEndpoint(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	e, err := d.endpoint(r)
	if err == nil {
		err = d.told(r, by, "POST /admin/endpoints/{id}/test", e, nil)
	}
	if err != nil {
		return err
	}
	told, err := d.Endpoints.Test(r.Context(), e.ProjectID, e.ID)
	if err != nil {
		return err
	}
	answer(w, http.StatusAccepted, viewDelivery(told))
	return nil
}

// filter is what of an endpoint's log is meant.
type filter struct {
	State   string `json:"state"`
	Type    string `json:"type"`
	Payment string `json:"payment"`
	From    string `json:"from"` // RFC 3339
	To      string `json:"to"`
}

func (f filter) read() (callback.Filter, error) {
	out := callback.Filter{State: event.State(f.State), Type: f.Type}
	switch out.State {
	case "", event.DeliveryPending, event.DeliveryDelivered, event.DeliveryDead, event.DeliveryParked:
	default:
		return out, badRequest{"state must be pending, delivered, dead or parked"}
	}
	if payout, err := id.ParsePayout(f.Payment); err == nil {
		out.Payment = id.Payment(payout)
	} else if err := out.Payment.UnmarshalText([]byte(f.Payment)); err != nil {
		return out, err
	}
	for text, into := range map[string]*time.Time{f.From: &out.From, f.To: &out.To} {
		if text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return out, badRequest{"from and to must be RFC 3339, such as 2026-01-02T15:04:05Z"}
		}
		*into = at
	}
	return out, nil
}

func (d door) endpointLog(w http.ResponseWriter, r *http.Request) error {
	e, err := d.endpoint(r)
	if err != nil {
		return err
	}
	f, err := filter{r.FormValue("state"), r.FormValue("type"), r.FormValue("payment"), r.FormValue("from"), r.FormValue("to")}.read()
	if err != nil {
		return err
	}
	var before id.Delivery
	if err := before.UnmarshalText([]byte(r.FormValue("before"))); err != nil {
		return err
	}
	rows, next, err := d.Endpoints.Log(r.Context(), e.ProjectID, e.ID, f, before, page)
	if err != nil {
		return err
	}
	out := make([]deliveryView, len(rows))
	for n, row := range rows {
		out[n] = viewDelivery(row)
	}
	answer(w, http.StatusOK, map[string]any{"deliveries": out, "next": next})
	return nil
}

// replayWebhooks sends an endpoint once more what a filter chooses; without one,
// what it has not got.
func (d door) replayWebhooks(ctx context.Context, req replayRequest) (int, error) {
	k, err := id.ParseEndpoint(req.Endpoint)
	if err != nil {
		return 0, err
	}
	e, err := d.Endpoints.Find(ctx, k)
	if err != nil {
		return 0, err
	}
	f, err := req.filter.read()
	if err != nil {
		return 0, err
	}
	return d.ReplayTo(ctx, e.ProjectID, k, f)
}
