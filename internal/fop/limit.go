package fop

import "aorta/internal/money"

// Limit bounds what may be bought with one association in a currency, in minor units.
// 0: no bound.
type Limit struct {
	Currency    money.Currency
	Least       int64 // of one purchase
	Transaction int64 // of one purchase
	Day, Month  int64 // within a calendar day and month of UTC
}

// Refuses gives the decline of a purchase that passes the limit, and the bound that it
// passes; Success if it passes none.
func (l Limit) Refuses(minor int64, taken Sum) (Result, int64) {
	over := func(most, before int64) bool { return most > 0 && minor > most-before }
	switch {
	case minor < l.Least:
		return UnderLimit, l.Least
	case over(l.Transaction, 0):
		return OverTransactionLimit, l.Transaction
	case over(l.Day, taken.Day):
		return OverDailyLimit, l.Day
	case over(l.Month, taken.Month):
		return OverMonthlyLimit, l.Month
	}
	return Success, 0
}
