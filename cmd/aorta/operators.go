package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"aorta/internal/flow"
	"aorta/internal/operator"
)

// operatorsCmd manages the operators of a running server, through its ops listener.
type operatorsCmd struct {
	Create  createOperatorCmd  `cmd:"" help:"Make an operator. Their token is told once."`
	List    listOperatorsCmd   `cmd:"" help:"List operators, without their tokens."`
	Confirm confirmOperatorCmd `cmd:"" help:"Let an operator in whom somebody else has made."`
	Revoke  revokeOperatorCmd  `cmd:"" help:"End an operator's token at once."`
}

// createOperatorCmd makes an operator.
type createOperatorCmd struct {
	Name string   `arg:"" help:"What they are called: a-z, 0-9, dot, dash, underscore. It is theirs for ever."`
	Role []string `help:"What they do: viewer, support, finance, payout_approver, rg_officer, aml_analyst, mlro, developer, admin; may be repeated." required:""`
	opsCall
}

// Run makes the operator and prints them with their token, as JSON.
func (c createOperatorCmd) Run(ctx context.Context, s streams) error {
	said, err := c.do(ctx, http.MethodPost, "/admin/operators", map[string]any{"name": c.Name, "roles": c.Role})
	return printed(s, said, err)
}

// listOperatorsCmd lists operators.
type listOperatorsCmd struct{ opsCall }

// Run lists, as JSON.
func (c listOperatorsCmd) Run(ctx context.Context, s streams) error {
	said, err := c.do(ctx, http.MethodGet, "/admin/operators", nil)
	return printed(s, said, err)
}

// confirmOperatorCmd is the second person's word.
type confirmOperatorCmd struct {
	Name string `arg:"" help:"The operator, by name or opr_…."`
	opsCall
}

// Run confirms.
func (c confirmOperatorCmd) Run(ctx context.Context, s streams) error {
	said, err := c.do(ctx, http.MethodPost, "/admin/operators/"+url.PathEscape(c.Name)+"/confirm", map[string]any{})
	return printed(s, said, err)
}

// revokeOperatorCmd ends an operator.
type revokeOperatorCmd struct {
	Name string `arg:"" help:"The operator, by name or opr_…."`
	opsCall
}

// Run revokes.
func (c revokeOperatorCmd) Run(ctx context.Context, s streams) error {
	said, err := c.do(ctx, http.MethodPost, "/admin/operators/"+url.PathEscape(c.Name)+"/revoke", map[string]any{})
	return printed(s, said, err)
}

// readyOperator is an operator of the demo, as --json tells of them.
type readyOperator struct {
	Name  string          `json:"name"`
	Roles []operator.Role `json:"roles"`
	Token string          `json:"token"`
}

// demoOperators are those whom the demo has: two for what needs two.
var demoOperators = []readyOperator{
	{Name: "ann", Roles: []operator.Role{operator.PayoutApprover}},
	{Name: "ben", Roles: []operator.Role{operator.PayoutApprover}},
	{Name: "carol", Roles: []operator.Role{operator.RGOfficer}},
	{Name: "dan", Roles: []operator.Role{operator.Finance}},
	{Name: "erin", Roles: []operator.Role{operator.Finance, operator.Support}},
	{Name: "fay", Roles: []operator.Role{operator.Admin}},
	{Name: "gina", Roles: []operator.Role{operator.AMLAnalyst}},
	{Name: "hugo", Roles: []operator.Role{operator.MLRO}},
}

// makeDemoOperators makes the demo's operators, unless they were there before.
// Their tokens follow from the master key, so that a restarted demo has the same.
func (h *house) makeDemoOperators(ctx context.Context, flows *flow.Flows, master [32]byte) error {
	if len(h.settings.DemoKeys) == 0 {
		return nil
	}
	all, err := flows.Operators(ctx)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, o := range all {
		known[o.Name] = true
	}
	hash := operator.NewHasher(master)
	for _, o := range demoOperators {
		mac := hmac.New(sha256.New, master[:])
		fmt.Fprintf(mac, "demo operator %s", o.Name)
		var secret operator.Secret
		copy(secret[:], mac.Sum(nil))
		o.Token = operator.TokenText(flows.OperatorKey(o.Name), secret)
		h.operators = append(h.operators, o)
		if known[o.Name] {
			continue
		}
		roles, err := operator.RolesOf(o.Roles...)
		if err != nil {
			return fmt.Errorf("demo operator %s: %w", o.Name, err)
		}
		if _, err := flows.InstallOperator(ctx, o.Name, roles, hash.Hash(o.Token), operator.Automatic("demo", "start")); err != nil {
			return err
		}
	}
	return nil
}

// listOperators shows operators to a person.
func listOperators(all []readyOperator) string {
	var out strings.Builder
	for _, o := range all {
		fmt.Fprintf(&out, "\n    %-6s %s  %v", o.Name, o.Token, o.Roles)
	}
	return out.String()
}
