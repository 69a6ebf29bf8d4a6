package opsapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"aorta/internal/id"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/risk"
)

// payoutView is a payout of a project with rules, as operators see it.
type payoutView struct {
	ID            id.Payout       `json:"payout_id"`
	Project       int64           `json:"project"`
	MerchantID    string          `json:"merchant_payout_id,omitempty"`
	CustomerID    string          `json:"customer_id"` // the merchant's name of them
	Customer      id.Customer     `json:"customer"`
	Amount        string          `json:"amount"`
	Currency      string          `json:"currency"`
	Status        payment.Status  `json:"status"`
	Reason        string          `json:"reason,omitempty"` // as the merchant is told
	RequiredLevel int64           `json:"required_level,omitempty"`
	Approvals     json.RawMessage `json:"approvals"`
	Editor        string          `json:"editor,omitempty"` // who changed it last, and so cannot approve it
	NextAt        *time.Time      `json:"next_at,omitempty"`
	CreatedAt     time.Time       `json:"created_at"`
	ChangedAt     time.Time       `json:"changed_at"`
}

// viewPayout shows a payout to somebody: who must not know why it waits sees who has
// approved it, and no rule that was let pass.
func viewPayout(p payment.Payment, r payment.Review, to operator.Actor) payoutView {
	approvals := orEmpty(r.Approvals, "{}")
	switch house := operator.House(); {
	case !house.SeesDecisions(to):
		approvals = with(approvals, "released", nil)
	case !house.SeesLaundering(to):
		approvals = with(approvals, "released", func(text json.RawMessage) any {
			var passes []risk.Pass
			if err := json.Unmarshal(text, &passes); err != nil {
				return nil
			}
			return slices.DeleteFunc(passes, func(p risk.Pass) bool { return risk.AML(p.Rule) })
		})
	}
	v := payoutView{
		ID: id.Payout(p.ID), Project: p.ProjectID, MerchantID: p.MerchantPaymentID, CustomerID: p.CustomerID, Customer: r.Customer,
		Amount: p.Amount.Decimal(), Currency: string(p.Amount.Currency), Status: p.Status, Reason: r.Reason, RequiredLevel: r.RequiredLevel,
		Approvals: approvals, Editor: r.Editor, CreatedAt: time.UnixMicro(p.CreatedUS).UTC(), ChangedAt: time.UnixMicro(max(p.ChangedUS, r.ChangedUS)).UTC(),
	}
	if r.NextUS != 0 {
		at := time.UnixMicro(r.NextUS).UTC()
		v.NextAt = &at
	}
	return v
}

// orEmpty is a row's JSON, or what stands for none.
func orEmpty(text, none string) json.RawMessage {
	if text == "" {
		text = none
	}
	return json.RawMessage(text)
}

// with gives a JSON object with another value of a member that it has; nil: without it.
func with(object json.RawMessage, member string, value func(json.RawMessage) any) json.RawMessage {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(object, &all); err != nil {
		return json.RawMessage("{}")
	}
	was, has := all[member]
	delete(all, member)
	if has && value != nil {
		all[member] = encoded(value(was))
	}
	return encoded(all)
}

// encoded is JSON of plain values.
func encoded(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic("plain values cannot fail to encode: " + err.Error())
	}
	return text
}

// decisions are those of a payout that somebody may see: nothing of laundering but to who
// may let that pass. The figures that a decision went by are among it, since they tell
// what such a rule must have found.
func decisions(log string, to operator.Actor) json.RawMessage {
	text, none := orEmpty(log, "[]"), json.RawMessage("[]")
	switch house := operator.House(); {
	case !house.SeesDecisions(to):
		return none
	case house.SeesLaundering(to):
		return text
	}
	var all []risk.Record
	if err := json.Unmarshal(text, &all); err != nil {
		return none
	}
	all = slices.DeleteFunc(all, func(r risk.Record) bool { return r.Decision.Approver == risk.RoleAMLAnalyst })
	for n := range all {
		all[n].Payout, all[n].Deposit = nil, nil
		all[n].Decision.Results = slices.DeleteFunc(all[n].Decision.Results, func(h risk.Hit) bool { return risk.AML(h.Rule) })
	}
	return encoded(all)
}

// waitingStates are where a payout waits: for its customer, for operators, for a PSP.
var waitingStates = []string{"step_up", "hold", "deferred"}

// maxReviews bounds the rows that one list of payouts looks at.
const maxReviews = 25 * page

// payouts lists payouts that wait: oldest first, from the one after a name on. next
// says where to go on, also where a page is empty because none of its rows fitted.
func (d door) payouts(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	var after id.Payout
	if err := after.UnmarshalText([]byte(r.FormValue("after"))); err != nil {
		return err
	}
	states := waitingStates
	if text := r.FormValue("state"); text != "" {
		states = strings.Split(text, ",")
		for _, s := range states {
			if !slices.Contains(waitingStates, s) {
				return badRequest{"state must be of step_up, hold, deferred, with commas between"}
			}
		}
	}
	if err := d.tell(r.Context(), by, "payout.list", after.String(), map[string]any{"state": states}); err != nil {
		return err
	}
	out, next, err := d.scanPayouts(r.Context(), by, after.Raw(), states)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, map[string]any{"payouts": out, "next": id.Payout(next)})
	return nil
}

func (d door) scanPayouts(ctx context.Context, by operator.Actor, after id.Raw, states []string) (out []payoutView, next id.Raw, err error) {
	out = []payoutView{}
	for seen := 0; seen < maxReviews; {
		rows, err := d.Read.ScanReviews(ctx, after, page)
		if err != nil {
			return nil, after, err
		}
		for _, review := range rows {
			after = review.ID
			if !slices.Contains(states, review.State) {
				continue
			}
			p, ok, err := d.Read.Payment(ctx, id.Payment(review.ID))
			if err != nil || !ok {
				return nil, after, fmt.Errorf("payout %s of a review (found %t): %w", id.Payout(review.ID), ok, err)
			}
			if out = append(out, viewPayout(p, review, by)); len(out) == page {
				return out, after, nil
			}
		}
		if seen += len(rows); len(rows) < page {
			return out, id.Raw{}, nil
		}
	}
	return out, after, nil
}

// payout reads the payout that a path names, by either of its ids, with its review.
func (d door) payout(r *http.Request) (payment.Payment, payment.Review, error) {
	p, err := d.payment(r)
	if err != nil {
		return p, payment.Review{}, err
	}
	if p.Type != payment.TypePayout {
		return p, payment.Review{}, payment.ErrNoPayment
	}
	review, _, err := d.Read.Review(r.Context(), p.ID.Raw())
	return p, review, err
}

func (d door) showPayout(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	p, review, err := d.payout(r)
	if err == nil {
		err = d.tell(r.Context(), by, "payout.read", id.Payout(p.ID).String(), map[string]any{})
	}
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, struct {
		payoutView
		Decisions json.RawMessage `json:"decisions"` // each with its rules' hash, what it went by, and what hit
	}{viewPayout(p, review, by), decisions(review.Log, by)})
	return nil
}

// decision is what an operator does with a payout.
type decision func(ctx context.Context, k id.Payment, who operator.Actor, why string) (payment.Payment, payment.Review, error)

// decide lets an operator decide about a payout. What stops or frees one needs a word.
func (d door) decide(do decision, noteNeeded bool) deed {
	return func(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
		var req struct {
			Note string `json:"note"`
		}
		if err := decode(r, &req); err != nil {
			return err
		}
		switch {
		case noteNeeded && strings.TrimSpace(req.Note) == "":
			return badRequest{"a note is needed that says why"}
		case len(req.Note) > maxNote:
			return badRequest{fmt.Sprintf("a note has at most %d bytes", maxNote)}
		}
		p, err := d.payment(r)
		if err != nil {
			return err
		}
		p, review, err := do(r.Context(), p.ID, by, clean(req.Note))
		if err != nil {
			return err
		}
		answer(w, http.StatusOK, viewPayout(p, review, by))
		return nil
	}
}

// maxNote bounds a note, in bytes.
const maxNote = 4096

// clean makes of a caller's text what every store takes.
func clean(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "?"), "\x00", "?")
}
