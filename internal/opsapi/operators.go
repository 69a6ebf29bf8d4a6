package opsapi

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"aorta/internal/id"
	"aorta/internal/operator"
)

// operatorView is an operator without their token.
type operatorView struct {
	ID        id.Operator     `json:"id"`
	Name      string          `json:"name"`
	Roles     []operator.Role `json:"roles"`
	State     string          `json:"state"`           // active, waiting (for a second person), revoked
	Token     string          `json:"token,omitempty"` // told once, to who has made the operator
	CreatedBy []string        `json:"created_by"`      // and the second person who agreed
	CreatedAt time.Time       `json:"created_at"`
	RevokedAt *time.Time      `json:"revoked_at,omitempty"`
}

func viewOperator(o operator.Operator) operatorView {
	v := operatorView{
		ID: o.ID, Name: o.Name, Roles: operator.Roles(o.Roles).List(), State: "active", CreatedBy: strings.Fields(o.CreatedBy),
		CreatedAt: time.UnixMicro(o.CreatedUS).UTC(),
	}
	switch {
	case o.RevokedUS != 0:
		at := time.UnixMicro(o.RevokedUS).UTC()
		v.State, v.RevokedAt = "revoked", &at
	case o.Waiting():
		v.State = "waiting"
	}
	return v
}

func (d door) listOperators(w http.ResponseWriter, r *http.Request, _ operator.Actor) error {
	all, err := d.Operators.Flows.Operators(r.Context())
	if err != nil {
		return err
	}
	out := make([]operatorView, len(all))
	for n, o := range all {
		out[n] = viewOperator(o)
	}
	answer(w, http.StatusOK, map[string]any{"operators": out})
	return nil
}

// createOperator makes an operator. Who is no person makes the first two admins
// alone: the act sees to that (flow.MakeOperator).
func (d door) createOperator(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	var req struct {
		Name  string          `json:"name"`
		Roles []operator.Role `json:"roles"`
	}
	if err := decode(r, &req); err != nil {
		return err
	}
	if err := operator.CheckName(req.Name); err != nil {
		return badRequest{err.Error()}
	}
	roles, err := operator.RolesOf(req.Roles...)
	if err != nil {
		return badRequest{err.Error()}
	}
	var secret operator.Secret
	if _, err := io.ReadFull(d.Operators.Random, secret[:]); err != nil {
		return fmt.Errorf("randomness: %w", err)
	}
	text := operator.TokenText(d.Operators.Flows.OperatorKey(req.Name), secret)
	made, err := d.Operators.Flows.MakeOperator(r.Context(), req.Name, roles, d.Operators.Hash.Hash(text), by)
	if err != nil {
		return err
	}
	v := viewOperator(made)
	v.Token = text
	answer(w, http.StatusOK, v)
	return nil
}

// operatorKey reads which operator a path names: by id or by name.
func (d door) operatorKey(r *http.Request) id.Operator {
	text := r.PathValue("id")
	if k, err := id.ParseOperator(text); err == nil {
		return k
	}
	return d.Operators.Flows.OperatorKey(text)
}

func (d door) confirmOperator(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	row, err := d.Operators.Flows.ConfirmOperator(r.Context(), d.operatorKey(r), by)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, viewOperator(row))
	return nil
}

func (d door) revokeOperator(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	row, err := d.Operators.Flows.RevokeOperator(r.Context(), d.operatorKey(r), by)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, viewOperator(row))
	return nil
}

// entryView is an entry of the log.
type entryView struct {
	ID      id.Audit  `json:"id"`
	Bucket  id.Bucket `json:"bucket"`
	Number  int64     `json:"number"`
	At      time.Time `json:"at"`
	Who     string    `json:"who"`
	What    string    `json:"what"`
	About   string    `json:"about"`
	Details rawJSON   `json:"details"`
	Hash    string    `json:"hash"`
}

// rawJSON is JSON as a row keeps it; empty is null.
type rawJSON string

// MarshalJSON gives the row's text, as a text of JSON if it is none itself: one such
// row must not make a page unreadable.
func (j rawJSON) MarshalJSON() ([]byte, error) {
	switch {
	case j == "":
		return []byte("null"), nil
	case !json.Valid([]byte(j)):
		return json.Marshal(string(j)) //nolint:wrapcheck // of a text, which cannot fail
	}
	return []byte(j), nil
}

func (d door) listAudit(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	var after id.Audit
	if err := after.UnmarshalText([]byte(r.FormValue("after"))); err != nil {
		return err
	}
	if err := d.tell(r.Context(), by, "audit.read", after.String(), map[string]any{}); err != nil {
		return err
	}
	rows, err := d.Read.ScanAudit(r.Context(), after, page)
	if err != nil {
		return err
	}
	out := make([]entryView, len(rows))
	for n, e := range rows {
		out[n] = entryView{e.ID, e.ID.Bucket(), e.Number, time.UnixMicro(e.AtUS).UTC(), e.Who, e.What, e.About, rawJSON(e.Details), e.Hash}
	}
	answer(w, http.StatusOK, map[string]any{"entries": out})
	return nil
}

// auditHeads signs how far the log is now.
func (d door) auditHeads(w http.ResponseWriter, r *http.Request, _ operator.Actor) error {
	heads, err := d.Operators.Flows.AuditHeads(r.Context())
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, d.Operators.Sealer.Seal(d.Operators.Now().UnixMicro(), heads))
	return nil
}
