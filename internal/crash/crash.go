// Package crash names the points at which a process may die worst: between two
// things that must not be thought of as one (torture.md 2.3). A build with the
// tag crashpoints can be told to kill itself at the n-th pass of one of them, so
// that a test finds out what the next process makes of it. In every other build
// a point is an empty call that the compiler leaves out, with its name.
//
// It has no list of places: the point stands where it is meant. Its known
// weakness: it kills the process, not the machine, so what the kernel has not
// yet written to disk survives.
package crash

// Point is a place to die at.
type Point string

// The points, in the order in which a payment passes them.
const (
	BeforeRow      Point = "before-name-row"  // in the transaction, before the row of a name that must not come twice
	AfterRow       Point = "after-name-row"   // that row is written, nothing of what it stands for
	InTransaction  Point = "rows-uncommitted" // all rows of a batch are written, not committed
	AfterCommit    Point = "after-commit"     // the batch is durable, nobody was told, its work not handed out
	AfterAnswer    Point = "after-answer"     // an answer of the public listener has left, no callback was looked at
	BeforeCall     Point = "before-call"      // the attempt is durable, its PSP not yet asked
	RequestSent    Point = "request-sent"     // the last byte of a request has gone to a PSP
	AnswerReceived Point = "answer-received"  // the PSP's answer is known to this process alone
	NewsVerified   Point = "news-verified"    // a notification is found genuine, and not stored
	NewsStored     Point = "news-stored"      // it is stored, and not acted upon
	OutboxClaimed  Point = "outbox-claimed"   // a callback is leased to this process, and not sent
	CallbackSent   Point = "callback-sent"    // it was answered, and not marked
	HalfMigrated   Point = "half-migrated"    // between two migrations
)

// Points lists those that stand somewhere.
func Points() []Point {
	return []Point{
		BeforeRow, AfterRow, InTransaction, AfterCommit, AfterAnswer, BeforeCall, RequestSent, AnswerReceived,
		NewsVerified, NewsStored, OutboxClaimed, CallbackSent, HalfMigrated,
	}
}

// NotBuilt lists those of torture.md 2.3 whose place does not exist yet: they
// come with what they stand in.
func NotBuilt() []string { return []string{"reconciliation file half read", "backup running"} }
