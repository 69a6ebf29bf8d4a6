package verify

import (
	"maps"
	"slices"
	"strings"

	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/payment"
)

// ofType are the statuses that payments of a type can be in.
var ofType = map[payment.Type][]payment.Status{
	payment.TypePurchase: {
		payment.StatusNew, payment.StatusPending, payment.StatusAwaitingCustomer, payment.StatusAuthorized, payment.StatusCaptured,
		payment.StatusPartiallyRefunded, payment.StatusRefunded, payment.StatusDeclined, payment.StatusCancelled, payment.StatusChargedBack,
	},
	payment.TypePayout: {
		payment.StatusRequested, payment.StatusSubmitting, payment.StatusUnknown, payment.StatusPaid, payment.StatusFailed,
		payment.StatusStepUp, payment.StatusHold, payment.StatusDeferred, payment.StatusPartiallyPaid, payment.StatusCancelled,
	},
}

// judgeType: a payment is of a type that there is, and in a status of that (C5).
func (c *checker) judgeType(h *history) {
	p := &h.payment
	if !slices.Contains(ofType[p.Type], p.Status) {
		c.violation(C5, "Payment %s of type %q is %q, which no such payment can be.", p.ID, p.Type, p.Status)
	}
}

// afterPayout says where a payout's operation stands when the payout stands at a
// status (payment-loop.md L15).
var afterPayout = map[payment.Status]payment.OperationStatus{
	payment.StatusRequested:  payment.OperationProcessing,
	payment.StatusSubmitting: payment.OperationProcessing,
	payment.StatusUnknown:    payment.OperationProcessing,
	payment.StatusPaid:       payment.OperationSuccess,
	payment.StatusFailed:     payment.OperationDecline,
}

// behindPayout says where its newest attempt may stand. One whose answer was lost
// may have been found since: then the provider has it.
var behindPayout = map[payment.Status][]payment.AttemptStatus{
	payment.StatusRequested:  {},
	payment.StatusSubmitting: {payment.AttemptAsking, payment.AttemptAccepted},
	payment.StatusUnknown:    {payment.AttemptUnknown, payment.AttemptAccepted},
	payment.StatusPaid:       {payment.AttemptApproved},
	payment.StatusFailed:     {payment.AttemptDeclined, payment.AttemptNotSent},
}

// judgePayout: a payout has one operation, which stands where it does and pays its
// whole amount out of its own customer's wallet (C3, C5); and nothing that ends it
// by time, or is captured or refunded.
func (c *checker) judgePayout(h *history) {
	p := &h.payment
	if h.review != nil {
		c.judgeParts(h)
		return
	}
	if len(h.operations) != 1 || h.operations[0].Kind != payment.KindPayout {
		c.violation(C13, "Payout %s has %d operations, want one that pays out.", p.ID, len(h.operations))
		return
	}
	op := &h.operations[0]
	if op.Amount != p.Amount {
		c.violation(C3, "Payout %s is of %d %s, its operation %s of %d %s.", p.ID, p.Amount.Minor, p.Amount.Currency, op.ID, op.Amount.Minor, op.Amount.Currency)
	}
	if want := afterPayout[p.Status]; op.Status != want {
		c.violation(C5, "Operation %s is %s, which does not go with payout %s being %s.", op.ID, op.Status, p.ID, p.Status)
	}
	if p.LimitUS != 0 || p.Awaiting != payment.AwaitedAtPSP || p.TriesLeft != 0 || p.RetryUS != 0 {
		c.violation(C5, "Payout %s awaits %q with %d tries until %d, by %d; nobody is awaited for one.", p.ID, p.Awaiting, p.TriesLeft, p.RetryUS, p.LimitUS)
	}
	for n := range h.attempts {
		if a := &h.attempts[n]; !strings.HasPrefix(a.Payee, wallet) || !strings.HasSuffix(a.Payee, ":"+p.CustomerID) || p.CustomerID == "" {
			c.violation(C3, "Attempt %s pays out of what is %s's, but payout %s is customer %q's.", a.ID, a.Payee, p.ID, p.CustomerID)
		}
	}
}

// hold notes what a payment's refunds and payouts under way have reserved.
func (c *checker) hold(h *history) {
	for n := range h.operations {
		op := &h.operations[n]
		if op.Kind != payment.KindRefund && op.Kind != payment.KindPayout || op.Status.Final() {
			continue
		}
		if chain, _ := h.attemptChain(op); len(chain) == 0 && h.review != nil {
			c.held[ledger.AccountID(h.payment.ID.Bucket(), c.standIn(h, op).Payee, ledger.Reserved, op.Amount.Currency)] += op.Amount.Minor
		} else if len(chain) > 0 {
			c.held[ledger.AccountID(h.payment.ID.Bucket(), chain[0].Payee, ledger.Reserved, op.Amount.Currency)] += op.Amount.Minor
		}
	}
}

// judgeReserved: what is reserved is what refunds and payouts under way hold, and
// nothing else is (C13).
func (c *checker) judgeReserved() {
	for _, k := range slices.SortedFunc(maps.Keys(c.accounts), id.Account.Compare) {
		if a := c.accounts[k]; a.reserved && -a.stored != c.held[k] {
			c.violation(C13, "Account %s has %d minor units reserved, but the refunds and payouts under way hold %d.", k, -a.stored, c.held[k])
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(c.held), id.Account.Compare) {
		if c.accounts[k] == nil {
			c.violation(C13, "Refunds and payouts under way hold %d minor units, but there is no account %s to be reserved in.", c.held[k], k)
		}
	}
}
