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
	State       CodeState
	Hash        string // keyed, of the digits
	Reference   string // the gateway's name of the message

	TriesLeft            int64 // guesses
	SentUS               int64
	UntilUS              int64 // from then on it is right no more
	CreatedUS, ChangedUS int64
}

// CodeID is the id of the code of a sendOtp: it needs no look-up, so that a repeat of one
// that the gateway did not take finds what was counted for it.
func CodeID(b id.Bucket, integration, requestID string) id.Code {
	return id.Code(id.Derive(b, "code", integration, requestID))
}

// Sent is the code as it is when its message has left, or may have.
func (c Code) Sent(reference string, nowUS int64) Code {
	c.State, c.Reference, c.SentUS, c.ChangedUS = CodeSent, reference, nowUS, nowUS
	return c
}

// Failed is the code as it is when its message certainly has not left.
func (c Code) Failed(nowUS int64) Code {
	c.State, c.ChangedUS = CodeFailed, nowUS
	return c
}

// CodeState is where a code stands.
type CodeState string

// The states of a code. One whose time is over, or whose tries are, is right no more
// whatever its state says.
const (
	CodeBegun  CodeState = "begun"  // it is being sent
	CodeSent   CodeState = "sent"   // or may have been: it is never sent again
	CodeFailed CodeState = "failed" // certainly nobody has it
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
