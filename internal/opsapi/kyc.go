package opsapi

import (
	"net/http"
	"strings"
	"time"

	"aorta/internal/customer"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/operator"
	"aorta/internal/verification"
)

// checkView is a check as operators see it: no facts, which are hashes anyway.
type checkView struct {
	ID        id.Check            `json:"id"`
	Customer  id.Customer         `json:"customer"`
	Level     int64               `json:"level"`
	State     customer.CheckState `json:"state"`
	Provider  string              `json:"provider"`
	Reference string              `json:"reference,omitempty"`
	Reason    string              `json:"reason,omitempty"`
	CreatedAt time.Time           `json:"created_at"`
	ChangedAt time.Time           `json:"changed_at"`
	Until     *time.Time          `json:"until,omitempty"`
}

func viewCheck(c customer.Check) checkView {
	v := checkView{
		ID: c.ID, Customer: c.Customer, Level: c.Level, State: c.State, Provider: c.Provider, Reference: c.Reference, Reason: c.Reason,
		CreatedAt: time.UnixMicro(c.CreatedUS).UTC(), ChangedAt: time.UnixMicro(c.ChangedUS).UTC(),
	}
	if c.UntilUS != 0 {
		until := time.UnixMicro(c.UntilUS).UTC()
		v.Until = &until
	}
	return v
}

func (d door) showCheck(w http.ResponseWriter, r *http.Request) error {
	k, err := id.ParseCheck(r.PathValue("id"))
	if err != nil {
		return err
	}
	row, ok, err := d.Operators.Flows.CheckByID(r.Context(), k)
	switch {
	case err != nil:
		return err
	case !ok:
		return flow.ErrNoCheck
	}
	answer(w, http.StatusOK, viewCheck(row))
	return nil
}

// checkRequest is what an operator has found. Of who the customer is, a hash is kept.
type checkRequest struct {
	Passed   bool   `json:"passed"`
	Reason   string `json:"reason"` // of one that is not passed: one word
	Until    string `json:"until"`  // of one that is: YYYY-MM-DD, when the document ends; empty: never
	Name     string `json:"name"`
	Birth    string `json:"birth"` // YYYY-MM-DD
	Document string `json:"document"`
}

// decideCheck ends a check that a person decides, or takes back what was passed.
func (d door) decideCheck(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	var req checkRequest
	k, err := id.ParseCheck(r.PathValue("id"))
	if err == nil {
		err = decode(r, &req)
	}
	if err != nil {
		return err
	}
	decision, err := d.decision(req)
	if err != nil {
		return err
	}
	row, err := d.Operators.Flows.DecideCheck(r.Context(), k, decision, by)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, viewCheck(row))
	return nil
}

func (d door) decision(req checkRequest) (flow.Decision, error) {
	out := flow.Decision{Passed: req.Passed, Reason: req.Reason}
	if !req.Passed {
		if !oneWord(req.Reason) || req.Name+req.Birth+req.Document+req.Until != "" {
			return out, badRequest{"reason must be one word of a-z, 0-9 and _, and with one that is not passed nothing else is said"}
		}
		return out, nil
	}
	if req.Reason != "" {
		return out, badRequest{"what is passed has no reason"}
	}
	if req.Until != "" {
		until, err := time.Parse(time.DateOnly, req.Until)
		if err != nil || !until.After(d.Operators.Now()) {
			return out, badRequest{"until must be a day to come, YYYY-MM-DD"}
		}
		out.Result.Until = until
	}
	if req.Name+req.Birth+req.Document == "" {
		return out, nil // who they are was not looked at, or is known
	}
	birth, err := time.Parse(time.DateOnly, req.Birth)
	if err != nil {
		return out, badRequest{verification.ErrFacts.Error()}
	}
	if out.Result.Person, err = d.Operators.Flows.Person(req.Name, birth, req.Document); err != nil {
		return out, badRequest{verification.ErrFacts.Error()}
	}
	out.Result.Holder, out.Result.Age = req.Name, verification.AgeOf(birth, d.Operators.Now())
	return out, nil
}

func oneWord(text string) bool {
	return text != "" && len(text) <= 64 && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}
