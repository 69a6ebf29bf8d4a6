package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"aorta/internal/flow"
	"aorta/internal/id"
)

// statementsCmd looks at Google's statements on a running server and decides about
// them, through its ops listener. What takes two people takes the word of each.
type statementsCmd struct {
	List    listStatementsCmd   `cmd:"" help:"List statements, oldest first."`
	Show    showStatementCmd    `cmd:"" help:"Show a statement with what its comparison found, and its order."`
	Lines   statementLinesCmd   `cmd:"" help:"Show lines of a statement, and how each differs."`
	Accept  acceptStatementCmd  `cmd:"" help:"We owe what Google says, though our books differ. Takes two people."`
	Dispute disputeStatementCmd `cmd:"" help:"Google is asked to correct it, by you; what it claims is free for the statement that replaces it."`
	Recheck recheckStatementCmd `cmd:"" help:"Compare it with our books once more."`
	Pay     payStatementCmd     `cmd:"" help:"The payment order is right, and may be given to the bank. Takes two people."`
	Order   statementOrderCmd   `cmd:"" help:"Print the payment order that two people have agreed to, for the bank."`
	Paid    paidStatementCmd    `cmd:"" help:"The bank has carried the order out."`
}

// listStatementsCmd lists statements.
type listStatementsCmd struct {
	State string `help:"Only those that are pulling, mismatch, disputed, reconciled, accepting, accepted or paid."`
	After string `help:"Go on after this statement." placeholder:"ID"`
	opsCall
}

// Run lists, as JSON.
func (c listStatementsCmd) Run(ctx context.Context, s streams) error {
	query := url.Values{"after": {c.After}, "state": {c.State}}
	said, err := c.do(ctx, http.MethodGet, "/admin/statements?"+query.Encode(), nil)
	return printed(s, said, err)
}

// oneStatement is what the verbs about one statement have in common.
type oneStatement struct {
	ID string `arg:"" help:"gps_…, as aorta statements list shows it."`
	opsCall
}

// path is where the statement is at the ops listener.
func (c oneStatement) path() (string, error) {
	k, err := id.ParseStatement(c.ID)
	if err != nil {
		return "", fmt.Errorf("%s: %w", c.ID, err)
	}
	return "/admin/statements/" + k.String(), nil
}

// get gives something of the statement.
func (c oneStatement) get(ctx context.Context, what string) ([]byte, error) {
	path, err := c.path()
	if err != nil {
		return nil, err
	}
	return c.do(ctx, http.MethodGet, path+what, nil)
}

// showStatementCmd shows a statement.
type showStatementCmd struct{ oneStatement }

// Run shows it, as JSON.
func (c showStatementCmd) Run(ctx context.Context, s streams) error {
	said, err := c.get(ctx, "")
	return printed(s, said, err)
}

// statementLinesCmd shows lines.
type statementLinesCmd struct {
	From int64 `help:"The number of the first line that is shown."`
	oneStatement
}

// Run shows them, as JSON.
func (c statementLinesCmd) Run(ctx context.Context, s streams) error {
	said, err := c.get(ctx, "/lines?from="+strconv.FormatInt(c.From, 10))
	return printed(s, said, err)
}

// statementOrderCmd prints an order.
type statementOrderCmd struct {
	CSV bool `help:"As a table." name:"csv"`
	oneStatement
}

// Run prints it.
func (c statementOrderCmd) Run(ctx context.Context, s streams) error {
	format := "json"
	if c.CSV {
		format = "csv"
	}
	said, err := c.get(ctx, "/order?format="+format)
	return printed(s, said, err)
}

// deed is a decision about a statement.
type deed struct {
	Note string `help:"Why, for the log." required:""`
	oneStatement
}

// settle gives the operator's word to the statement's case, and prints the case: its
// state says whether somebody else must agree.
func (c deed) settle(ctx context.Context, s streams, resolution string) error {
	said, err := c.get(ctx, "")
	if err != nil {
		return err
	}
	var row struct {
		State string  `json:"state"`
		Case  id.Case `json:"case"`
	}
	switch err := json.Unmarshal(said, &row); {
	case err != nil:
		return fmt.Errorf("%s tells of the statement in words that this program does not know: %w", c.Ops, err)
	case row.Case.IsZero():
		return errors.New("the statement is " + row.State + ", and nobody is asked about it")
	}
	said, err = c.do(ctx, http.MethodPost, "/admin/cases/"+row.Case.String()+"/resolve", map[string]any{"resolution": resolution, "note": c.Note})
	return printed(s, said, err)
}

type (
	acceptStatementCmd  struct{ deed }
	disputeStatementCmd struct{ deed }
	recheckStatementCmd struct{ deed }
	payStatementCmd     struct{ deed }
)

// Run accepts it, or proposes to.
func (c acceptStatementCmd) Run(ctx context.Context, s streams) error {
	return c.settle(ctx, s, flow.SettleAccept)
}

// Run disputes it.
func (c disputeStatementCmd) Run(ctx context.Context, s streams) error {
	return c.settle(ctx, s, flow.SettleDispute)
}

// Run has it compared again.
func (c recheckStatementCmd) Run(ctx context.Context, s streams) error {
	return c.settle(ctx, s, flow.SettleRecheck)
}

// Run agrees to its order, or proposes to.
func (c payStatementCmd) Run(ctx context.Context, s streams) error {
	return c.settle(ctx, s, flow.SettlePay)
}

// paidStatementCmd books that it is paid.
type paidStatementCmd struct {
	Reference string `help:"The bank's, of the transfer." required:""`
	deed
}

// Run books it, and prints the statement, as JSON.
func (c paidStatementCmd) Run(ctx context.Context, s streams) error {
	path, err := c.path()
	if err != nil {
		return err
	}
	said, err := c.do(ctx, http.MethodPost, path+"/paid", map[string]any{"reference": c.Reference, "note": c.Note})
	return printed(s, said, err)
}
