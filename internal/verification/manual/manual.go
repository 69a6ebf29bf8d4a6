// Package manual is a provider that is nobody but an operator of ours: it takes
// every check, has no page and knows no result. The check waits until an operator
// decides it, as level 3 is by its nature ("accepted by a person",
// limits-and-risk.md section 2).
package manual

import (
	"context"

	"aorta/internal/verification"
)

// Manual is the provider. Its zero value works.
type Manual struct{}

var _ verification.Provider = Manual{}

// Start takes the check. Nothing leaves the house.
func (Manual) Start(_ context.Context, o verification.Order) verification.Outcome {
	if o.Reference == "" || o.Level < verification.MinLevel || o.Level > verification.MaxLevel {
		return verification.Outcome{Kind: verification.NotSent, Alarm: "kyc: a check without a reference or of no level"}
	}
	return verification.Outcome{Kind: verification.Open}
}

// Lookup knows nothing that the check's own row does not say.
func (Manual) Lookup(context.Context, verification.Order) verification.Outcome {
	return verification.Outcome{Kind: verification.Open}
}
