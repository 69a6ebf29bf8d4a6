package google

// What the methods are built of, for tests of it alone.
var (
	Amount     = amount
	Micros     = micros
	Instant    = instant
	Currency   = currency
	ReadHeader = readHeader
	WithHeader = withHeader
	Statuses   = statuses
)

// Fresh is fresh.
var Fresh = RequestHeader.fresh
