package ledger

import (
	"strconv"

	"aorta/internal/id"
	"aorta/internal/money"
)

// Round is what one customer has staked and won under one round_id of a
// project. It may have any number of stakes and wins, which come in any order,
// until it is rolled back, once and whole: then everything it had is undone,
// and nothing more is taken. A rollback of a round that was never heard of is a
// Round, too, without stakes: it refuses the stake that comes late
// (payment-loop.md L3.4).
//
// Players of one table share the table's round_id, so a round is one
// customer's. Its id follows from project, customer and round_id: whichever of
// stake, win and rollback comes first finds it by that.
type Round struct {
	ID        id.Round
	Project   int64
	Customer  id.Customer
	Name      string         // round_id, as the project says it
	Currency  money.Currency // of all that is in it; empty: rolled back before anything was
	Stakes    int64          // how many
	Wins      int64          // how many
	CreatedUS int64
	ChangedUS int64

	// Minor units, of the customer's own money and of bonus.
	Staked, Won, BonusStaked, BonusWon int64

	RolledBack string      // name of the rollback; empty: the round goes on
	Rollback   id.Transfer // that undid it; zero: there was nothing to undo
}

// RoundID is the id of that round. It lies in the customer's bucket.
func RoundID(project int64, c id.Customer, name string) id.Round {
	return id.Round(id.Derive(c.Bucket(), "round", strconv.FormatInt(project, 10), c.String(), name))
}
