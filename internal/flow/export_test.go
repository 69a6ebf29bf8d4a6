package flow

// Spread is spread, for tests that restrict by an act of their own.
var Spread = spread

// LoggedDetails is what an entry of the log keeps of details.
func LoggedDetails(details any) string { return auditDetails(details) }
