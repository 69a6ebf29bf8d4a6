package fop

import "aorta/internal/id"

// Code is a one-time code that was sent to a customer by SMS.
type Code struct {
	ID          id.Code
	Customer    id.Customer
	Association id.Association // zero: a code for the first one
	Call        id.Call        // the sendOtp that it was made for
	Used        id.Call        // the call that it was right in

	Integration string
	Name        string // requestId of sendOtp, by which other calls name it
	Print       string // fingerprint of that request: it has no call before the code was sent
	State       CodeState
	Hash        string // keyed, of the digits
	Phone       string // sealed
	Matching    string // smsMatchingToken, by which a phone finds the code in the message
	Context     string // what it is for, as the request said
	Reference   string // the sender's name of the message

	TriesLeft            int64 // guesses
	Sendings             int64 // how often it was given to the sender
	SentUS               int64
	UntilUS              int64 // from then on it is right no more
	CreatedUS, ChangedUS int64
}

// CodeID is the id of the code of a sendOtp: it needs no look-up, so that a repeat which
// comes while the message is under way meets it.
func CodeID(b id.Bucket, integration, requestID string) id.Code {
	return id.Code(id.Derive(b, "code", integration, requestID))
}

// CodeState is where a code stands.
type CodeState string

// The states of a code. One whose time is over, or whose tries are, is right no more
// whatever its state says.
const (
	CodeBegun  CodeState = "begun"  // it is being sent
	CodeSent   CodeState = "sent"   //
	CodeFailed CodeState = "failed" // it cannot be sent
	CodeUsed   CodeState = "used"   // it was right once
)

// CodeTries is how often a code may be guessed.
const CodeTries = 5

// Try is a guess at the code by a call: hash is that of the digits that were said. It
// gives the code as it is then, and whether it was right; whoever hears OTPAlreadyUsed
// or OTPNotMatched has proved nothing. The row is to be written even so: a guess counts.
func (c Code) Try(hash string, by id.Call, nowUS int64) (Code, Result) {
	same := Same(c.Hash, hash)
	switch {
	case c.State == CodeUsed && same:
		return c, OTPAlreadyUsed
	case c.State != CodeSent || c.TriesLeft <= 0 || nowUS >= c.UntilUS:
		return c, OTPNotMatched
	}
	c.ChangedUS = nowUS
	if !same {
		c.TriesLeft--
		return c, OTPNotMatched
	}
	c.State, c.Used = CodeUsed, by
	return c, Success
}
