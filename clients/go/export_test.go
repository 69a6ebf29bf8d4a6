package aorta

// VerifyAt verifies a message at a time.
var VerifyAt = (*Receiver).verify
