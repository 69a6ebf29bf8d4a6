package opsapi

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"aorta/internal/customer"
	"aorta/internal/flow"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/operator"
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

// customerChange reads whose limits or restrictions a call changes, and why. What is wrong with
// the rest of the call is found with it.
func (d door) customerChange(r *http.Request, by operator.Actor, projectID int64, note string, wrong invalid) (flow.CustomerChange, error) {
	p, ok := d.Projects(projectID)
	name := r.PathValue("id")
	if !ok {
		wrong = append(wrong, problem{"project", "unknown", "is not configured"})
	}
	if strings.TrimSpace(note) == "" || len(note) > maxNote {
		wrong = append(wrong, problem{"note", "required", fmt.Sprintf("must say why, in at most %d bytes", maxNote)})
	}
	if name == "" || len(name) > 255 || clean(name) != name {
		wrong = append(wrong, problem{"id", "form", "is no customer's name"})
	}
	if len(wrong) > 0 {
		return flow.CustomerChange{}, wrong
	}
	return flow.CustomerChange{Project: p, CustomerID: name, By: by, Reason: clean(note)}, nil
}

// restriction reads a call that changes what a customer may do.
func (d door) restriction(r *http.Request, by operator.Actor) (flow.CustomerChange, restrictionRequest, error) {
	var req restrictionRequest
	if err := decode(r, &req); err != nil {
		return flow.CustomerChange{}, req, err
	}
	var wrong invalid
	if !houseRestrictions[req.Type] {
		wrong = append(wrong, problem{"type", "enum", "must be operator_excluded, registry_excluded, frozen or closed; what customers choose they choose themselves"})
	}
	c, err := d.customerChange(r, by, req.Project, req.Note, wrong)
	return c, req, err
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
			return invalid{{"until", "time", "must be an instant to come, such as 2026-01-02T15:04:05Z"}}
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

// limitRequest is a limit of the house's for a customer, whom the path names as the
// merchant does.
type limitRequest struct {
	Project  int64              `json:"project"` // a project of the merchant's that has rules
	Kind     customer.LimitKind `json:"kind"`
	Period   limit.Period       `json:"period"`
	Amount   string             `json:"amount"` // in major units
	Currency money.Currency     `json:"currency"`
	Note     string             `json:"note"` // why
}

// setHouseLimit bounds a customer from now on, lower than they would themselves.
func (d door) setHouseLimit(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	var req limitRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	wrong := wrongLimit(req.Kind, req.Period)
	amount, err := money.ParseDecimal(req.Amount, req.Currency)
	switch {
	case errors.Is(err, money.ErrCurrency):
		wrong = append(wrong, problem{"currency", "currency", "must be a code of ISO 4217 in capitals"})
	case err != nil, amount.Minor <= 0:
		wrong = append(wrong, problem{"amount", "amount", "must be more than nothing, in major units and no more decimals than the currency has, such as \"100.00\""})
	}
	c, err := d.customerChange(r, by, req.Project, req.Note, wrong)
	if err == nil {
		err = d.Operators.Flows.SetHouseLimit(r.Context(), c, req.Kind, req.Period, amount)
	}
	if err != nil {
		return err
	}
	return d.tellLimits(w, r, c)
}

// removeHouseLimit takes away a limit of the house's.
func (d door) removeHouseLimit(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	var req struct {
		Project int64  `json:"project"`
		Note    string `json:"note"`
	}
	if err := decode(r, &req); err != nil {
		return err
	}
	kind, period := customer.LimitKind(r.PathValue("kind")), limit.Period(r.PathValue("period"))
	c, err := d.customerChange(r, by, req.Project, req.Note, wrongLimit(kind, period))
	if err == nil {
		err = d.Operators.Flows.SetHouseLimit(r.Context(), c, kind, period, money.Amount{})
	}
	if err != nil {
		return err
	}
	return d.tellLimits(w, r, c)
}

// wrongLimit says what is wrong with the name of a limit.
func wrongLimit(k customer.LimitKind, p limit.Period) invalid {
	switch periods := k.Periods(); {
	case len(periods) == 0:
		return invalid{{"kind", "enum", fmt.Sprintf("must be one of %v", customer.LimitKinds())}}
	case !slices.Contains(periods, p):
		return invalid{{"period", "enum", fmt.Sprintf("must be one of %v", periods)}}
	}
	return nil
}

// houseLimitView is a limit of the house's for a customer.
type houseLimitView struct {
	Kind     customer.LimitKind `json:"kind"`
	Period   limit.Period       `json:"period"`
	Amount   string             `json:"amount"`
	Currency money.Currency     `json:"currency"`
	By       string             `json:"by"`
	SetAt    time.Time          `json:"set_at"`
}

// tellLimits shows the house's limits for a customer as they are now.
func (d door) tellLimits(w http.ResponseWriter, r *http.Request, c flow.CustomerChange) error {
	row, _, err := d.Read.Customer(r.Context(), d.Operators.Flows.CustomerOf(c.Project, c.CustomerID))
	if err != nil {
		return err
	}
	limits, err := customer.DecodeLimits(row.Limits)
	if err != nil {
		return err
	}
	list := []houseLimitView{}
	for _, x := range limits.List {
		if x.House {
			list = append(list, houseLimitView{x.Kind, x.Period, x.Amount.Decimal(), x.Amount.Currency, x.By, time.UnixMicro(x.SetUS).UTC()})
		}
	}
	answer(w, http.StatusOK, map[string]any{"customer": row.ID, "limits": list})
	return nil
}
