package fop

import (
	"math"
	"strconv"

	"aorta/internal/id"
	"aorta/internal/money"
)

// Statement is what Google says that is owed for a period, and what we think of it.
// Amounts are micros, millionths of a major unit: fees have more digits than money.
type Statement struct {
	ID       id.Statement
	Call     id.Call // by which Google told it
	Case     id.Case // opened because it differs; zero: none
	Transfer id.Transfer

	Integration string
	Account     string // Payment Integrator Account ID
	Name        string // statementId: the requestId of that call
	State       StatementState
	Currency    money.Currency
	DueMicros   int64  // totalDueByIntegrator; below zero: Google owes us
	Memo        string // to be written on the transfer
	Summary     string // as Google told it, JSON
	Found       string // what the comparison with our books found, JSON: sums, and what does not agree; empty: there was none yet
	Changes     string // with which it was accepted, JSON; empty: none
	Order       string // the payment order that was made of it, JSON; empty: none

	AtUS           int64 // its date
	FromUS, UntoUS int64 // its period, both inclusive
	PayUS          int64 // when it is to be paid

	Offset int64 // of the next page that is to be read
	Events int64 // how many there are, as the first page said; EventsUnknown before that
	Lines  int64 // how many were read

	CreatedUS, ChangedUS int64
}

// EventsUnknown is how many lines a statement has of which no page was read.
const EventsUnknown = -1

// Read reports whether all lines were read.
func (s Statement) Read() bool { return s.Events >= 0 && s.Lines == s.Events }

// StatementState is where a statement stands (section 5.7).
type StatementState string

// The states of a statement.
const (
	StatementPulling    StatementState = "pulling"    // its lines are being read
	StatementReconciled StatementState = "reconciled" // they agree with our books
	StatementMismatch   StatementState = "mismatch"   // they do not: a person must look
	StatementDisputed   StatementState = "disputed"   // with Google, by a person
	StatementAccepting  StatementState = "accepting"  // Google is being told
	StatementAccepted   StatementState = "accepted"
	StatementPaid       StatementState = "paid"
)

// StatementMoves are those that a statement may make.
func StatementMoves() map[StatementState][]StatementState {
	return map[StatementState][]StatementState{
		StatementPulling:    {StatementReconciled, StatementMismatch},
		StatementMismatch:   {StatementPulling, StatementReconciled, StatementDisputed},
		StatementDisputed:   {StatementPulling},
		StatementReconciled: {StatementAccepting},
		StatementAccepting:  {StatementAccepted},
		StatementAccepted:   {StatementPaid},
		StatementPaid:       {},
	}
}

// Line is one event of a statement, or the share that one bucket has of its payment.
type Line struct {
	ID        id.Raw
	Statement id.Statement
	Call      id.Call     // ours that it is of; zero: none was found
	Transfer  id.Transfer // of a share
	Number    int64       // from 0, in the order of the pages

	Kind     LineKind
	Name     string // eventRequestId
	Ours     string // our own name of it, as Google repeats it
	Currency money.Currency
	Verdict  string // what does not agree; empty: nothing
	State    string // of a share
	Details  string // the event as it was told, JSON

	AmountMicros, FeeMicros int64 // FeeMicros is NoFee where none is said
	AtUS                    int64 // when it happened, as Google says
	ChangedUS               int64
}

// NoFee stands for a fee that was not said.
const NoFee = math.MinInt64

// LineKind is what a line is about.
type LineKind string

// The kinds of line.
const (
	LineCapture LineKind = "capture"
	LineRefund  LineKind = "refund"
	LineShare   LineKind = "share" // what a bucket has of the payment: it lies there, not with its statement
)

// LineID is the id of a line of a statement; all but shares lie in its bucket.
func LineID(b id.Bucket, s id.Statement, k LineKind, number int64) id.Raw {
	if k != LineShare {
		k = ""
	}
	return id.Derive(b, "line", string(s[:]), string(k), strconv.FormatInt(number, 10))
}

// Told is what Google must hear from us, by a call of ours whose requestId is the row's
// id: it is the same however often it is tried.
type Told struct {
	ID      id.Told
	Subject id.Raw // the call or statement that it is about

	Integration string
	Method      string // of Google's
	Account     string // Payment Integrator Account ID
	Body        string // members of the request without its header, JSON
	State       ToldState
	Answer      string // members of Google's answer without its header, JSON; nothing secret is in one
	LastError   string

	Tries                int64
	Status               int64 // HTTP, of the newest try; 0: none
	UntilUS              int64 // until when it is tried
	CreatedUS, ChangedUS int64
}

// ToldState is where it stands.
type ToldState string

// The states of what Google is told.
const (
	ToldWaiting ToldState = "waiting" // until Google has heard it
	ToldHeard   ToldState = "heard"
	ToldRefused ToldState = "refused" // an operator must look
	ToldGivenUp ToldState = "given_up"
)
