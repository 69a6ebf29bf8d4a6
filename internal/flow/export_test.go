package flow

import (
	"context"

	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/project"
)

// Spread is spread, for tests that restrict by an act of their own.
var Spread = spread

// ClaimFor takes a payout's place in what its merchant pays out, as the act before its begin does.
func (f *Flows) ClaimFor(ctx context.Context, pr project.Project, k id.Payment, a money.Amount) error {
	rules := f.opts.Rules(pr.ID)
	_, err := f.claim(ctx, rules, k, sharesOf(rules, pr, a, nil, nil))
	return err
}

// LoggedDetails is what an entry of the log keeps of details.
func LoggedDetails(details any) string { return auditDetails(details) }
