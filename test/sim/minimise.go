package sim

import (
	"maps"
	"slices"

	"aorta/internal/payment"
)

// Minimise leaves out of a plan that breaks something what it can: payments
// first, then faults.
func Minimise(p Plan) Plan {
	breaks := func(p Plan) bool { return len(Run(p).Broken) > 0 }
	for _, n := range slices.Clone(p.Payments) {
		less := p
		less.Payments = slices.DeleteFunc(slices.Clone(p.Payments), func(m int) bool { return m == n })
		if len(less.Payments) > 0 && breaks(less) {
			p = less
		}
	}
	for _, f := range Faults() {
		if p.rate(f) == 0 {
			continue
		}
		less := p
		less.Off = maps.Clone(p.Off)
		less.Off[f] = true
		if breaks(less) {
			p = less
		}
	}
	return p
}

// NotBuilt reports whether no flow makes this move yet.
func NotBuilt(from, to payment.Status) bool {
	for _, s := range []payment.Status{from, to} {
		switch s {
		case payment.StatusAuthorized, payment.StatusChargedBack:
			return true
		case payment.StatusCancelled:
			return from != payment.StatusStepUp && from != payment.StatusHold && from != payment.StatusDeferred // of a payment
		case payment.StatusNew, payment.StatusPending, payment.StatusAwaitingCustomer, payment.StatusCaptured,
			payment.StatusPartiallyRefunded, payment.StatusRefunded, payment.StatusDeclined,
			payment.StatusStepUp, payment.StatusHold, payment.StatusDeferred, payment.StatusPartiallyPaid,
			payment.StatusRequested, payment.StatusSubmitting, payment.StatusUnknown, payment.StatusPaid, payment.StatusFailed:
		}
	}
	return false
}

// Rare reports whether so few seeds make this move that some thousands of them need not:
// it takes a payout that waits for its PSP account, and something else at that very time.
func Rare(from, to payment.Status) bool {
	if from == payment.StatusDeferred {
		return to != payment.StatusSubmitting
	}
	return to == payment.StatusDeferred && (from == payment.StatusStepUp || from == payment.StatusHold || from == payment.StatusRequested)
}
