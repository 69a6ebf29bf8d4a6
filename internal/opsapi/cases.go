package opsapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/operator"
	"aorta/internal/payment"
)

// caseView is a case as lists show it.
type caseView struct {
	ID         id.Case           `json:"id"`
	Payment    id.Payment        `json:"payment"`
	Kind       string            `json:"kind"`
	State      payment.CaseState `json:"state"`
	Details    json.RawMessage   `json:"details"`
	CreatedAt  time.Time         `json:"created_at"`
	ChangedAt  time.Time         `json:"changed_at"`
	Customer   id.Customer       `json:"customer,omitzero"`
	Owner      string            `json:"owner,omitempty"`
	Proposed   *stepView         `json:"proposed,omitempty"` // a resolution that waits for a second person
	Resolution string            `json:"resolution,omitempty"`
}

// stepView is a line of a case's log.
type stepView struct {
	At        time.Time         `json:"at"`
	By        string            `json:"by"`
	Did       string            `json:"did"`
	To        payment.CaseState `json:"to"`
	How       string            `json:"resolution,omitempty"`
	Owner     string            `json:"owner,omitempty"`
	Note      string            `json:"note,omitempty"`
	Reference string            `json:"reference,omitempty"`
}

func viewStep(s payment.CaseStep) stepView {
	return stepView{time.UnixMicro(s.AtUS).UTC(), s.By, s.Did, s.To, s.How, s.Owner, s.Note, s.Reference}
}

func viewCase(c payment.Case) (caseView, error) {
	v := caseView{
		ID: c.ID, Payment: c.Payment, Kind: c.Kind, State: c.State, Details: json.RawMessage(c.Details), CreatedAt: time.UnixMicro(c.CreatedUS).UTC(),
		ChangedAt: time.UnixMicro(c.ChangedUS).UTC(), Customer: c.Customer, Owner: c.Owner, Resolution: c.Resolution,
	}
	first, err := c.Proposed()
	if first.How != "" {
		step := viewStep(first)
		v.Proposed = &step
	}
	return v, err
}

// cases lists cases: all, or those of a state, a kind, an owner.
func (d door) cases(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	var after id.Case
	if err := after.UnmarshalText([]byte(r.FormValue("after"))); err != nil {
		return err
	}
	state, kind, owner := r.FormValue("state"), r.FormValue("kind"), r.FormValue("owner")
	if _, known := payment.CaseMoves()[payment.CaseState(state)]; state != "" && !known {
		return badRequest{"state must be open, assigned, investigating, resolved or closed"}
	}
	if err := d.tell(r.Context(), by, "case.list", after.String(), map[string]any{"state": state, "kind": kind, "owner": owner}); err != nil {
		return err
	}
	out := []caseView{}
	for {
		rows, err := d.Read.Cases(r.Context(), after, page)
		if err != nil {
			return err
		}
		for _, c := range rows {
			after = c.ID
			if !flow.SeesCase(by, c) || state != "" && string(c.State) != state || kind != "" && c.Kind != kind || owner != "" && c.Owner != owner {
				continue
			}
			v, err := viewCase(c)
			if err != nil {
				return err
			}
			if out = append(out, v); len(out) == page {
				answer(w, http.StatusOK, map[string]any{"cases": out})
				return nil
			}
		}
		if len(rows) < page {
			answer(w, http.StatusOK, map[string]any{"cases": out})
			return nil
		}
	}
}

// way is a resolution that a kind of case has.
type way struct {
	Resolution string          `json:"resolution"`
	Persons    int             `json:"persons"`
	Roles      []operator.Role `json:"roles"`
}

func ways(kind string) []way {
	out := []way{}
	for _, rule := range operator.House().Rules() {
		if how, ok := strings.CutPrefix(rule.What, operator.Resolution(kind, "")); ok {
			out = append(out, way{how, rule.Persons, rule.Roles})
		}
	}
	return out
}

// tellCase shows a case with its log, and how it may be settled.
func tellCase(w http.ResponseWriter, c payment.Case) error {
	v, err := viewCase(c)
	if err != nil {
		return err
	}
	steps, err := c.Steps()
	if err != nil {
		return err
	}
	log := make([]stepView, len(steps))
	for n, s := range steps {
		log[n] = viewStep(s)
	}
	answer(w, http.StatusOK, struct {
		caseView
		Log  []stepView `json:"log"`
		Ways []way      `json:"resolutions"`
	}{v, log, ways(c.Kind)})
	return nil
}

func (d door) showCase(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	k, err := id.ParseCase(r.PathValue("id"))
	if err != nil {
		return err
	}
	c, err := d.Operators.Flows.ReadCase(r.Context(), k, by)
	if err != nil {
		return err
	}
	return tellCase(w, c)
}

// caseRequest is what an operator says of a case. Each call takes a part of it.
type caseRequest struct {
	To         string `json:"to"`         // of assign; empty: the caller
	Note       string `json:"note"`       // why, or what was found
	Reference  string `json:"reference"`  // of evidence: where it lies
	Resolution string `json:"resolution"` // of resolve
}

// change reads a call that changes a case.
func (d door) change(r *http.Request, by operator.Actor) (flow.CaseChange, caseRequest, error) {
	var req caseRequest
	k, err := id.ParseCase(r.PathValue("id"))
	if err == nil {
		err = decode(r, &req)
	}
	return flow.CaseChange{Case: k, By: by, Note: clean(req.Note)}, req, err
}

func (d door) assignCase(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	c, req, err := d.change(r, by)
	if err != nil {
		return err
	}
	if req.To == "" {
		req.To = by.Name
	}
	to, ok, err := d.Read.Operator(r.Context(), d.Operators.Flows.OperatorKey(req.To))
	if err != nil {
		return err
	}
	if !ok || !to.Good() {
		return badRequest{"there is no operator of that name"}
	}
	row, err := d.Operators.Flows.AssignCase(r.Context(), c, to.Name)
	if err != nil {
		return err
	}
	return tellCase(w, row)
}

func (d door) addEvidence(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	c, req, err := d.change(r, by)
	if err != nil {
		return err
	}
	row, err := d.Operators.Flows.AddEvidence(r.Context(), c, clean(req.Reference))
	if err != nil {
		return err
	}
	return tellCase(w, row)
}

// resolveCase settles a case, or proposes to: the answer's state says which.
func (d door) resolveCase(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	c, req, err := d.change(r, by)
	if err != nil {
		return err
	}
	row, err := d.Operators.Flows.SettleCase(r.Context(), c, req.Resolution)
	if err != nil {
		return err
	}
	return tellCase(w, row)
}

func (d door) reopenCase(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	c, _, err := d.change(r, by)
	if err != nil {
		return err
	}
	row, err := d.Operators.Flows.ReopenCase(r.Context(), c)
	if err != nil {
		return err
	}
	return tellCase(w, row)
}
