package payment

import (
	"encoding/json"
	"fmt"
	"slices"

	"aorta/internal/id"
)

// Case is a discrepancy that a person or a rule must settle.
type Case struct {
	ID        id.Case
	Payment   id.Payment
	Kind      string // "mismatch", "late_success", …
	State     CaseState
	Details   string // JSON, no personal data: what was found when it was opened
	CreatedUS int64
	ChangedUS int64

	Customer   id.Customer // whom it is about, if it is about one
	Owner      string      // the operator who works on it; empty: nobody
	Log        string      // JSON: evidence and steps, in order (CaseStep)
	Resolution string      // how it ended, once it has
}

// CaseState says who works on a case.
type CaseState string

// The states of a case.
const (
	CaseOpen          CaseState = "open"          // nobody
	CaseAssigned      CaseState = "assigned"      // its owner will
	CaseInvestigating CaseState = "investigating" // its owner does
	CaseResolved      CaseState = "resolved"      // something was done: see Resolution
	CaseClosed        CaseState = "closed"        // nothing was to be done
)

// caseMoves lists every move that a case may make. One that goes back needs a
// reason: CaseState.Back.
var caseMoves = map[CaseState][]CaseState{
	CaseOpen:          {CaseAssigned, CaseInvestigating, CaseResolved, CaseClosed},
	CaseAssigned:      {CaseAssigned, CaseInvestigating, CaseResolved, CaseClosed, CaseOpen},
	CaseInvestigating: {CaseInvestigating, CaseAssigned, CaseResolved, CaseClosed, CaseOpen},
	CaseResolved:      {CaseOpen},
	CaseClosed:        {CaseOpen},
}

// CaseMoves gives the table of moves, for docs and checkers. The caller must not
// change it.
func CaseMoves() map[CaseState][]CaseState { return caseMoves }

// Settled reports whether the case has ended.
func (s CaseState) Settled() bool { return s == CaseResolved || s == CaseClosed }

// caseOrder says which states come before which.
var caseOrder = []CaseState{CaseOpen, CaseAssigned, CaseInvestigating, CaseResolved, CaseClosed}

// Back reports whether a move to another state goes back, and so needs a reason.
func (s CaseState) Back(to CaseState) bool {
	return slices.Index(caseOrder, to) < slices.Index(caseOrder, s)
}

// CaseMoveError is a move that the table forbids: the case's state does not allow it.
type CaseMoveError struct{ From, To CaseState }

func (e *CaseMoveError) Error() string {
	return fmt.Sprintf("a case that is %s cannot become %s", e.From, e.To)
}

// CaseStep is one line of a case's log.
type CaseStep struct {
	AtUS      int64     `json:"at_us"`
	By        string    `json:"by"`                  // an operator's name; with a colon in it, a rule's
	Did       string    `json:"did"`                 // assign, evidence, propose, resolve, close, reopen
	To        CaseState `json:"to"`                  // where the case stood then
	How       string    `json:"how,omitempty"`       // of propose and resolve: the resolution
	Owner     string    `json:"owner,omitempty"`     // of assign
	Note      string    `json:"note,omitempty"`      // why, or what was found
	Reference string    `json:"reference,omitempty"` // of evidence: where it lies, such as a ticket of the PSP's
}

// MaxCaseSteps bounds a case's log. Beyond it the case must be settled.
const MaxCaseSteps = 200

// Steps reads the log.
func (c Case) Steps() ([]CaseStep, error) {
	if c.Log == "" {
		return nil, nil
	}
	var out []CaseStep
	if err := json.Unmarshal([]byte(c.Log), &out); err != nil {
		return nil, fmt.Errorf("log of case %s: %w", c.ID, err)
	}
	return out, nil
}

// Step gives the case with a step more, in the state that the step names, or
// *CaseMoveError.
func (c Case) Step(s CaseStep) (Case, error) {
	if !slices.Contains(caseMoves[c.State], s.To) {
		return c, &CaseMoveError{c.State, s.To}
	}
	steps, err := c.Steps()
	if err != nil {
		return c, err
	}
	text, err := json.Marshal(append(steps, s))
	if err != nil {
		return c, fmt.Errorf("log of case %s: %w", c.ID, err)
	}
	c.Log, c.State, c.ChangedUS = string(text), s.To, s.AtUS
	switch {
	case s.To == CaseOpen:
		c.Owner, c.Resolution = "", ""
	case s.Owner != "":
		c.Owner = s.Owner
	}
	if s.To.Settled() {
		c.Resolution = s.How
	}
	return c, nil
}

// Proposed gives the resolution that one person has proposed and a second one must
// agree to; the zero step if there is none.
func (c Case) Proposed() (CaseStep, error) {
	steps, err := c.Steps()
	if err != nil {
		return CaseStep{}, err
	}
	for _, s := range slices.Backward(steps) {
		switch s.Did {
		case "propose":
			return s, nil
		case "resolve", "close", "reopen":
			return CaseStep{}, nil
		}
	}
	return CaseStep{}, nil
}
