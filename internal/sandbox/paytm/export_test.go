package paytm

// Digest is the source expression of an inlined text, for the policy's test.
var Digest = digest
