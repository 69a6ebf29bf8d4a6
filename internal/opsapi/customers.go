package opsapi

import (
	"net/http"
	"time"

	"aorta/internal/customer"
	"aorta/internal/flow"
	"aorta/internal/operator"
	"aorta/internal/redact"
)

// restrictionRequest is what an operator says of a customer, whom the path names as
// the merchant does.
type restrictionRequest struct {
	Project int64                `json:"project"` // a project of the merchant's that has rules
	Type    customer.Restriction `json:"type"`    // operator_excluded, registry_excluded, frozen, closed
	Until   string               `json:"until"`   // RFC 3339; empty: without end
	Note    string               `json:"note"`    // why
}

// houseRestrictions are those that an operator makes. The others are the customer's own.
var houseRestrictions = map[customer.Restriction]bool{
	customer.OperatorExcluded: true, customer.RegistryExcluded: true, customer.Frozen: true, customer.Closed: true,
}

// restriction reads a call that changes what a customer may do.
func (d door) restriction(r *http.Request, by operator.Actor) (flow.CustomerChange, restrictionRequest, error) {
	var req restrictionRequest
	var c flow.CustomerChange
	if err := decode(r, &req); err != nil {
		return c, req, err
	}
	p, ok := d.Projects(req.Project)
	name := r.PathValue("id")
	switch {
	case !ok:
		return c, req, badRequest{"project is not configured"}
	case !houseRestrictions[req.Type]:
		return c, req, badRequest{"type must be operator_excluded, registry_excluded, frozen or closed; what customers choose they choose themselves"}
	case redact.FindPAN(req.Note):
		return c, req, errCard
	case req.Note == "" || len(req.Note) > maxNote:
		return c, req, flow.ErrNote
	case name == "" || len(name) > 255 || clean(name) != name:
		return c, req, badRequest{"that is no customer's name"}
	}
	return flow.CustomerChange{Project: p, CustomerID: name, By: by, Reason: clean(req.Note)}, req, nil
}

// restrict keeps a customer from paying in and playing, at once.
func (d door) restrict(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	c, req, err := d.restriction(r, by)
	if err != nil {
		return err
	}
	restraint := customer.Restraint{Restriction: req.Type}
	if req.Until != "" {
		at, err := time.Parse(time.RFC3339, req.Until)
		if err != nil || !at.After(d.Operators.Now()) {
			return badRequest{"until must be an instant to come, such as 2026-01-02T15:04:05Z"}
		}
		restraint.UntilUS = at.UnixMicro()
	}
	if err := d.Operators.Flows.Restrict(r.Context(), c, restraint); err != nil {
		return err
	}
	return d.tellStanding(w, r, c)
}

// lift takes a restriction away that the house or a register has made. It takes
// another person than who made it (security.md S09).
func (d door) lift(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	c, req, err := d.restriction(r, by)
	if err != nil {
		return err
	}
	if err := d.Operators.Flows.Lift(r.Context(), c, req.Type); err != nil {
		return err
	}
	return d.tellStanding(w, r, c)
}

// tellStanding shows what a customer may not do now.
func (d door) tellStanding(w http.ResponseWriter, r *http.Request, c flow.CustomerChange) error {
	row, _, err := d.Read.Customer(r.Context(), d.Operators.Flows.CustomerOf(c.Project, c.CustomerID))
	if err != nil {
		return err
	}
	out := map[string]any{"customer": row.ID, "restriction": row.Restriction}
	if row.RestrictedUntilUS != 0 {
		out["until"] = time.UnixMicro(row.RestrictedUntilUS).UTC()
	}
	answer(w, http.StatusOK, out)
	return nil
}
