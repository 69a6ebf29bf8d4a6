package opsapi

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/operator"
)

// statementView is a statement of Google's, as lists show it. Micros are millionths of a
// major unit.
type statementView struct {
	ID          id.Statement       `json:"id"`
	Integration string             `json:"integration"`
	Account     string             `json:"account"`
	Name        string             `json:"statement_id"` // Google's
	State       fop.StatementState `json:"state"`
	Currency    money.Currency     `json:"currency"`
	DueMicros   int64              `json:"due_micros,string"` // below zero: Google owes us
	From        time.Time          `json:"from"`
	Unto        time.Time          `json:"to"` // inclusive
	PayBy       time.Time          `json:"date_due"`
	Lines       int64              `json:"lines"`
	Case        id.Case            `json:"case,omitzero"`
	CreatedAt   time.Time          `json:"created_at"`
	ChangedAt   time.Time          `json:"changed_at"`
}

func at(us int64) time.Time { return time.UnixMicro(us).UTC() }

func viewStatement(s fop.Statement) statementView {
	return statementView{
		ID: s.ID, Integration: s.Integration, Account: s.Account, Name: s.Name, State: s.State, Currency: s.Currency, DueMicros: s.DueMicros,
		From: at(s.FromUS), Unto: at(s.UntoUS), PayBy: at(s.PayUS), Lines: s.Lines, Case: s.Case, CreatedAt: at(s.CreatedUS), ChangedAt: at(s.ChangedUS),
	}
}

// statements lists statements, oldest first.
func (d door) statements(w http.ResponseWriter, r *http.Request) error {
	var after id.Statement
	if err := after.UnmarshalText([]byte(r.FormValue("after"))); err != nil {
		return err
	}
	state := fop.StatementState(r.FormValue("state"))
	if _, known := fop.StatementMoves()[state]; state != "" && !known {
		return badRequest{"state must be pulling, mismatch, disputed, reconciled, accepting, accepted or paid"}
	}
	out := []statementView{}
	for {
		rows, err := d.Read.ScanStatements(r.Context(), after, page)
		if err != nil {
			return err
		}
		for _, s := range rows {
			if after = s.ID; state != "" && s.State != state {
				continue
			}
			if out = append(out, viewStatement(s)); len(out) == page {
				break
			}
		}
		if len(rows) < page || len(out) == page {
			answer(w, http.StatusOK, map[string]any{"statements": out})
			return nil
		}
	}
}

func (d door) statement(r *http.Request) (fop.Statement, error) {
	k, err := id.ParseStatement(r.PathValue("id"))
	if err != nil {
		return fop.Statement{}, err
	}
	return d.Operators.Flows.StatementByID(r.Context(), k)
}

// showStatement shows a statement with what its comparison found.
func (d door) showStatement(w http.ResponseWriter, r *http.Request) error {
	s, err := d.statement(r)
	if err != nil {
		return err
	}
	return tellStatement(w, s)
}

func tellStatement(w http.ResponseWriter, s fop.Statement) error {
	answer(w, http.StatusOK, struct {
		statementView
		Memo     string          `json:"memo_line_id"`
		Summary  json.RawMessage `json:"summary"` // as Google told it
		Found    json.RawMessage `json:"found"`
		Changes  json.RawMessage `json:"modifications"` // with which it was accepted
		Order    json.RawMessage `json:"order"`
		Transfer id.Transfer     `json:"transfer,omitzero"`
	}{viewStatement(s), s.Memo, orEmpty(s.Summary, "null"), orEmpty(s.Found, "null"), orEmpty(s.Changes, "null"), orEmpty(s.Order, "null"), s.Transfer})
	return nil
}

// lineView is a line of a statement.
type lineView struct {
	Number   int64           `json:"number"`
	Kind     fop.LineKind    `json:"kind"`
	Event    string          `json:"event"` // eventRequestId
	Call     id.Call         `json:"call,omitzero"`
	Currency money.Currency  `json:"currency"`
	Micros   int64           `json:"amount_micros,string"`
	Fee      *string         `json:"fee_micros"` // null: not said
	At       *time.Time      `json:"at"`
	Differs  []string        `json:"differs"`
	Told     json.RawMessage `json:"told"` // as Google told it
}

// statementLines shows lines of a statement, from a number on.
func (d door) statementLines(w http.ResponseWriter, r *http.Request) error {
	s, err := d.statement(r)
	if err != nil {
		return err
	}
	from := int64(0)
	if text := r.FormValue("from"); text != "" {
		if from, err = strconv.ParseInt(text, 10, 64); err != nil || from < 0 {
			return badRequest{"from must be the number of a line"}
		}
	}
	out := []lineView{}
	for n := from; n < s.Lines && len(out) < page; n++ {
		l, ok, err := d.Read.Line(r.Context(), fop.LineID(s.ID.Bucket(), s.ID, "", n))
		if err != nil || !ok {
			return fmt.Errorf("line %d of statement %s (found %t): %w", n, s.ID, ok, err)
		}
		v := lineView{
			Number: l.Number, Kind: l.Kind, Event: l.Name, Call: l.Call, Currency: l.Currency, Micros: l.AmountMicros, Differs: []string{}, Told: orEmpty(l.Details, "null"),
		}
		if l.FeeMicros != fop.NoFee {
			fee := strconv.FormatInt(l.FeeMicros, 10)
			v.Fee = &fee
		}
		if l.AtUS != 0 {
			when := at(l.AtUS)
			v.At = &when
		}
		if l.Verdict != "" {
			v.Differs = strings.Split(l.Verdict, ",")
		}
		out = append(out, v)
	}
	answer(w, http.StatusOK, map[string]any{"lines": out, "of": s.Lines})
	return nil
}

// statementOrder exports the payment order that two people have agreed to, for the bank.
func (d door) statementOrder(w http.ResponseWriter, r *http.Request) error {
	s, err := d.statement(r)
	if err != nil {
		return err
	}
	o, agreed, err := flow.OrderOf(s)
	switch {
	case err != nil:
		return err
	case !agreed:
		return &flow.CaseStateError{Why: fmt.Sprintf("the statement is %s: its order waits for two people", s.State)}
	}
	switch r.FormValue("format") {
	case "", "json":
		answer(w, http.StatusOK, struct {
			ID        id.Statement `json:"id"`
			Name      string       `json:"statement_id"`
			Account   string       `json:"account"`
			DueMicros int64        `json:"due_micros,string"`
			flow.Order
		}{s.ID, s.Name, s.Account, s.DueMicros, o})
		return nil
	case "csv":
	default:
		return badRequest{"format must be json or csv"}
	}
	var text bytes.Buffer
	out := csv.NewWriter(&text)
	for _, row := range [][]string{
		{"direction", "amount", "currency", "memo_line_id", "date_due", "statement_id", "account", "due_micros", "rounding_micros", "approved_by"},
		{
			o.Direction, o.Amount, o.Currency, cell(o.Memo), o.PayBy.Format(time.DateOnly), cell(s.Name), cell(s.Account),
			strconv.FormatInt(s.DueMicros, 10), strconv.FormatInt(o.Rest, 10), strings.Join(o.By, " "),
		},
	} {
		if err := out.Write(row); err != nil {
			return fmt.Errorf("write order of statement %s: %w", s.ID, err)
		}
	}
	out.Flush()
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="order-`+s.ID.String()+`.csv"`)
	_, _ = text.WriteTo(w) // the caller has gone: nobody to tell
	return nil
}

// cell is a text of Google's in a table: a spreadsheet takes none of it for a formula.
func cell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}

// paidStatement books that the bank has carried an order out.
func (d door) paidStatement(w http.ResponseWriter, r *http.Request, by operator.Actor) error {
	var req struct {
		Reference string `json:"reference"` // the bank's
		Note      string `json:"note"`
	}
	if err := decode(r, &req); err != nil {
		return err
	}
	k, err := id.ParseStatement(r.PathValue("id"))
	if err != nil {
		return err
	}
	s, err := d.Operators.Flows.PaidStatement(r.Context(), flow.StatementChange{Statement: k, By: by, Note: clean(req.Note), Reference: clean(req.Reference)})
	if err != nil {
		return err
	}
	return tellStatement(w, s)
}
