package ledger

import (
	"aorta/internal/id"
	"aorta/internal/money"
)

// Sum is what all accounts of a bucket in one currency add up to: zero, or the
// books are broken (design section 3).
type Sum struct {
	Bucket   id.Bucket
	Currency money.Currency
	Minor    int64
	Below    int64 // by how much the worst of those that may not be is below zero
}
