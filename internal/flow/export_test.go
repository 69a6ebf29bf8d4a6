package flow

// Spread is spread, for tests that restrict by an act of their own.
var Spread = spread
