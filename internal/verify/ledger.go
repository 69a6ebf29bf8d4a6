package verify

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"aorta/internal/customer"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/money"
	"aorta/internal/payment"
)

// balance is an account as stored, and as its postings make it.
type balance struct {
	currency       money.Currency
	stored, posted int64

	reserved bool        // for refunds and payouts under way
	customer id.Customer // whose it is; zero: nobody's
	last     id.Transfer // of an available account: where their statement begins
	chain    chain       // and what is in it
}

// scanAccounts reads all accounts and checks each by itself: its id follows
// from its parts, and only those that may are below zero (C1).
func (c *checker) scanAccounts(ctx context.Context) error {
	all := pages[ledger.Account, id.Account]{scan: c.read.ScanAccounts, key: func(a *ledger.Account) id.Account { return a.ID }, take: c.takeAccount}
	return merge(ctx, &all)
}

func (c *checker) takeAccount(a *ledger.Account) {
	c.report.Accounts++
	b := &balance{currency: a.Currency, stored: a.Minor, last: a.Last, reserved: a.Purpose == ledger.Reserved}
	c.accounts[a.ID] = b
	if owner, ok := strings.CutPrefix(a.Owner, wallet); ok {
		merchant, name, _ := strings.Cut(owner, ":")
		b.customer = customer.KeyOf(a.ID.Bucket(), merchant, name)
	}
	if !a.Last.IsZero() && (b.customer.IsZero() || a.Purpose != ledger.Available) {
		c.violation(C13, "Account %s (%s) begins a statement, and is no customer's available account.", a.ID, a.Purpose)
	}
	c.takeClearing(a)
	c.takeTransit(a)
	if want := ledger.AccountID(a.ID.Bucket(), a.Owner, a.Purpose, a.Currency); want != a.ID {
		c.violation(C1, "Account %s is not the %s account of its owner in %s: that one is %s.", a.ID, a.Purpose, a.Currency, want)
	}
	switch {
	case !a.Purpose.Known():
		c.violation(C1, "Account %s is for %q, which is no purpose of an account.", a.ID, a.Purpose)
	case !a.Purpose.MayGoBelow() && a.Balance() < 0:
		c.violation(C1, "Account %s (%s) stands at %d minor units and may not be below zero.", a.ID, a.Purpose, a.Balance())
	}
}

// takeTransfer checks a transfer by itself and adds it up; what it has to do
// with its payment is judged with the payment.
func (c *checker) takeTransfer(t *ledger.Transfer) {
	c.report.Transfers++
	if len(t.Postings) < 2 || !ledger.Balanced(t.Postings) {
		c.violation(C1, "Transfer %s does not balance.", t.ID)
	}
	for _, p := range t.Postings {
		if p.Account.Bucket() != t.ID.Bucket() {
			c.violation(C1, "Transfer %s of bucket %d posts to account %s in bucket %d.", t.ID, t.ID.Bucket(), p.Account, p.Account.Bucket())
		}
		b := c.accounts[p.Account]
		switch {
		case b == nil:
			c.violation(C1, "Transfer %s posts to account %s, which does not exist.", t.ID, p.Account)
			continue
		case b.currency != p.Currency:
			c.violation(C1, "Transfer %s posts %s to account %s, which is in %s.", t.ID, p.Currency, p.Account, b.currency)
		}
		b.posted += p.Minor
	}
	c.takeChain(t)
	c.countTransfer(t)
	if t.Payment.IsZero() {
		c.takeMove(t)
		return
	}
	h := c.history(t.Payment)
	h.transfers = append(h.transfers, *t)
	c.whole(t.Payment, h)
}

// judgeAccounts: each balance is the sum of its postings, and each bucket is a
// ledger that sums to zero per currency (C1, design section 3).
func (c *checker) judgeAccounts() {
	type book struct {
		bucket   id.Bucket
		currency money.Currency
	}
	sums := map[book]int64{}
	for _, k := range slices.SortedFunc(maps.Keys(c.accounts), id.Account.Compare) {
		a := c.accounts[k]
		if a.stored != a.posted {
			c.violation(C1, "Account %s holds %d minor units, but its postings sum to %d.", k, a.stored, a.posted)
		}
		sums[book{k.Bucket(), a.currency}] += a.stored
		c.judgeChain(k, a)
	}
	order := func(x, y book) int {
		return cmp.Or(cmp.Compare(x.bucket, y.bucket), cmp.Compare(x.currency, y.currency))
	}
	for _, b := range slices.SortedFunc(maps.Keys(sums), order) {
		if sums[b] != 0 {
			c.violation(C1, "The accounts of bucket %d in %s sum to %d minor units, not to zero.", b.bucket, b.currency, sums[b])
		}
	}
}

// between gives the accounts that a transfer of this kind debits and credits
// for an attempt (the table of design section 5).
func between(k ledger.Kind, a *payment.Attempt) (debit, credit id.Account) {
	account := func(owner string, p ledger.Purpose) id.Account {
		return ledger.AccountID(a.ID.Bucket(), owner, p, a.Amount.Currency)
	}
	purpose := ledger.Payable // shop: we owe the merchant
	if strings.HasPrefix(a.Payee, wallet) {
		purpose = ledger.Available // wallet: we owe the customer
	}
	clearing, payee, due := account(a.PSP(), ledger.Clearing), account(a.Payee, purpose), account("house", ledger.RefundDue)
	source := payee
	if a.Late != 0 {
		source = due // what came late was never the payee's
	}
	switch k {
	case ledger.KindDeposit:
		return clearing, payee
	case ledger.KindLateSuccess:
		return clearing, due
	case ledger.KindLateCredit:
		return due, payee
	case ledger.KindRefundReserve:
		return source, account(a.Payee, ledger.Reserved)
	case ledger.KindRefundSettle:
		return account(a.Payee, ledger.Reserved), clearing
	case ledger.KindRefundRelease:
		return account(a.Payee, ledger.Reserved), source
	case ledger.KindPayoutReserve:
		return payee, account(a.Payee, ledger.Reserved)
	case ledger.KindPayoutSettle:
		return account(a.Payee, ledger.Reserved), clearing
	case ledger.KindPayoutRelease:
		return account(a.Payee, ledger.Reserved), payee
	case ledger.KindStake, ledger.KindWin, ledger.KindRollback, ledger.KindDebit, ledger.KindCredit,
		ledger.KindBonusGrant, ledger.KindBonusRelease, ledger.KindBonusForfeit,
		ledger.KindCaptureFOP, ledger.KindRefundFOP, ledger.KindRemittance, ledger.KindRemittanceShare: // of no attempt
	}
	return debit, credit
}

// wallet begins the owner's name of a customer's accounts.
const wallet = "customer:"

// moves reports whether a transfer is just this amount from one account to another.
func moves(t *ledger.Transfer, debit, credit id.Account, a money.Amount) bool {
	want := []ledger.Posting{{Account: debit, Currency: a.Currency, Minor: a.Minor}, {Account: credit, Currency: a.Currency, Minor: -a.Minor}}
	return slices.Equal(t.Postings, want)
}

// transferKind says that a kind of transfer belongs to a kind of operation.
var transferKind = map[ledger.Kind]payment.OperationKind{
	ledger.KindDeposit:       payment.KindSale,
	ledger.KindLateSuccess:   payment.KindSale,
	ledger.KindLateCredit:    payment.KindSale,
	ledger.KindRefundReserve: payment.KindRefund,
	ledger.KindRefundSettle:  payment.KindRefund,
	ledger.KindRefundRelease: payment.KindRefund,
	ledger.KindPayoutReserve: payment.KindPayout,
	ledger.KindPayoutSettle:  payment.KindPayout,
	ledger.KindPayoutRelease: payment.KindPayout,
}

// total counts and adds up the payment's transfers of one kind; of one
// operation, or of all for the zero id.
func (h *history) total(o id.Operation, k ledger.Kind) (count int, minor int64) {
	for n := range h.transfers {
		t := &h.transfers[n]
		if t.Kind != k || (!o.IsZero() && t.Operation != o) {
			continue
		}
		count++
		for _, p := range t.Postings {
			minor += max(p.Minor, 0)
		}
	}
	return count, minor
}

// judgeTransfers: each transfer moves the operation's amount between the
// accounts that design section 5 names, and each operation has those transfers
// that its status calls for, once (C3).
func (c *checker) judgeTransfers(h *history) {
	for n := range h.transfers {
		t := &h.transfers[n]
		op := h.operation(t.Operation)
		if op == nil {
			c.violation(C3, "Transfer %s of payment %s names operation %q, which is not the payment's.", t.ID, h.payment.ID, t.Operation)
			continue
		}
		if t.Kind == ledger.KindBonusForfeit {
			c.judgeForfeit(h, t)
			continue
		}
		kind, known := transferKind[t.Kind]
		if !known || kind != op.Kind {
			c.violation(C3, "Transfer %s is a %q, which operation %s (%s) does not make.", t.ID, t.Kind, op.ID, op.Kind)
			continue
		}
		a := h.attemptBehind(op, t.Kind)
		if a == nil && (t.Kind == ledger.KindPayoutReserve || t.Kind == ledger.KindPayoutRelease) {
			a = c.standIn(h, op)
		}
		if a == nil {
			c.violation(C3, "Transfer %s (%s) of operation %s has no attempt that made it.", t.ID, t.Kind, op.ID)
			continue
		}
		if debit, credit := between(t.Kind, a); !moves(t, debit, credit, op.Amount) {
			c.violation(C3, "Transfer %s (%s) does not move the %d minor units of operation %s between the accounts of attempt %s.",
				t.ID, t.Kind, op.Amount.Minor, op.ID, a.ID)
		}
	}
	for _, op := range h.operations {
		for _, want := range h.calledFor(&op) {
			if have, _ := h.total(op.ID, want.kind); have != want.count {
				c.violation(C3, "Operation %s (%s, %s) of payment %s has %d transfers of kind %s, want %d.",
					op.ID, op.Kind, op.Status, h.payment.ID, have, want.kind, want.count)
			}
		}
	}
}

// attemptBehind finds the attempt that a transfer of an operation comes from.
func (h *history) attemptBehind(op *payment.Operation, k ledger.Kind) *payment.Attempt {
	late := k == ledger.KindLateSuccess || k == ledger.KindLateCredit
	for n := range h.attempts {
		a := &h.attempts[n].Attempt
		whatever := op.Kind == payment.KindRefund || k == ledger.KindPayoutReserve || k == ledger.KindPayoutRelease
		if a.Operation == op.ID && (whatever || (a.Status == payment.AttemptApproved && (a.Late != 0) == late)) {
			return a
		}
	}
	return nil
}

// call says how many transfers of one kind there must be.
type call struct {
	kind  ledger.Kind
	count int
}

// calledFor says how many transfers of each kind an operation must have.
func (h *history) calledFor(op *payment.Operation) []call {
	switch op.Kind {
	case payment.KindSale:
		return h.saleCallsFor(op)
	case payment.KindRefund:
		reserve, settle, release := 0, 0, 0
		if !op.Attempt.IsZero() { // refused at once: nothing was reserved
			reserve = 1
			switch op.Status {
			case payment.OperationSuccess:
				settle = 1
			case payment.OperationDecline:
				release = 1
			case payment.OperationProcessing, payment.OperationAwaitingCustomer:
			}
		}
		return []call{{ledger.KindRefundReserve, reserve}, {ledger.KindRefundSettle, settle}, {ledger.KindRefundRelease, release}}
	case payment.KindPayout: // reserved, and then debited or given back, once
		settle, release := 0, 0
		switch op.Status {
		case payment.OperationSuccess:
			settle = 1
		case payment.OperationDecline:
			release = 1
		case payment.OperationProcessing, payment.OperationAwaitingCustomer:
		}
		forfeit := 0
		if h.forfeit != nil && op.Prev.IsZero() {
			forfeit = 1 // by the first part
		}
		return []call{{ledger.KindPayoutReserve, 1}, {ledger.KindPayoutSettle, settle}, {ledger.KindPayoutRelease, release}, {ledger.KindBonusForfeit, forfeit}}
	case payment.KindManualChange: // its transfer belongs to the sale
	}
	return nil
}

func (h *history) saleCallsFor(op *payment.Operation) []call {
	deposits, late, credits := 0, 0, 0
	for n := range h.attempts {
		a := &h.attempts[n]
		if a.Operation != op.ID || a.Status != payment.AttemptApproved {
			continue
		}
		if a.Late == 0 {
			deposits++
			continue
		}
		late++
		if slices.ContainsFunc(h.operations, func(o payment.Operation) bool { return o.Kind == payment.KindManualChange && o.Attempt == a.ID }) {
			credits++
		}
	}
	return []call{{ledger.KindDeposit, deposits}, {ledger.KindLateSuccess, late}, {ledger.KindLateCredit, credits}}
}

// judgeAmounts: what the payment's row says of its money is what its transfers
// say (C3).
func (c *checker) judgeAmounts(h *history) {
	p := &h.payment
	if h.review != nil {
		return // of a payout in parts they say something else: see judgeParts
	}
	deposits, deposited := h.total(id.Operation{}, ledger.KindDeposit)
	credits, credited := h.total(id.Operation{}, ledger.KindLateCredit)
	times, taken := deposits+credits, deposited+credited
	switch {
	case captured(p.Status) && times != 1:
		c.violation(C3, "Payment %s is %s, but was booked %d times.", p.ID, p.Status, times)
	case !captured(p.Status) && times != 0:
		c.violation(C3, "Payment %s is %s, but its money was booked.", p.ID, p.Status)
	}
	if p.CapturedMinor != taken || (taken != 0 && taken != p.Amount.Minor) {
		c.violation(C3, "Payment %s of %d minor units says that %d were captured; its transfers say %d.", p.ID, p.Amount.Minor, p.CapturedMinor, taken)
	}
	var refunded, refunding int64
	for _, op := range h.operations {
		if op.Kind != payment.KindRefund || h.lateRefund(op.ID) {
			continue // the refund of late money leaves the payment's own sums alone
		}
		_, reserved := h.total(op.ID, ledger.KindRefundReserve)
		_, settled := h.total(op.ID, ledger.KindRefundSettle)
		_, released := h.total(op.ID, ledger.KindRefundRelease)
		refunded += settled
		refunding += reserved - settled - released
	}
	if p.RefundedMinor != refunded || p.RefundingMinor != refunding {
		c.violation(C3, "Payment %s says that %d minor units were refunded and %d are being refunded; its transfers say %d and %d.",
			p.ID, p.RefundedMinor, p.RefundingMinor, refunded, refunding)
	}
	if refunded+refunding > taken {
		c.violation(C3, "Payment %s has %d minor units in refunds, more than the %d captured.", p.ID, refunded+refunding, taken)
	}
	c.judgeRefundStatus(p)
}

func (c *checker) judgeRefundStatus(p *payment.Payment) {
	fits := true
	switch p.Status {
	case payment.StatusCaptured:
		fits = p.RefundedMinor == 0
	case payment.StatusPartiallyRefunded:
		fits = p.RefundedMinor > 0 && p.RefundedMinor < p.CapturedMinor
	case payment.StatusRefunded:
		fits = p.RefundedMinor > 0 && p.RefundedMinor == p.CapturedMinor
	case payment.StatusNew, payment.StatusPending, payment.StatusAwaitingCustomer, payment.StatusAuthorized,
		payment.StatusDeclined, payment.StatusCancelled,
		payment.StatusRequested, payment.StatusSubmitting, payment.StatusUnknown, payment.StatusPaid, payment.StatusFailed,
		payment.StatusStepUp, payment.StatusHold, payment.StatusDeferred, payment.StatusPartiallyPaid:
		fits = p.RefundedMinor == 0 && p.RefundingMinor == 0
	case payment.StatusChargedBack:
	}
	if !fits {
		c.violation(C5, "Payment %s is %s with %d of %d minor units refunded.", p.ID, p.Status, p.RefundedMinor, p.CapturedMinor)
	}
}

// captured reports whether a payment in that status has had its money booked.
func captured(s payment.Status) bool {
	switch s {
	case payment.StatusCaptured, payment.StatusPartiallyRefunded, payment.StatusRefunded, payment.StatusChargedBack:
		return true
	case payment.StatusNew, payment.StatusPending, payment.StatusAwaitingCustomer, payment.StatusAuthorized,
		payment.StatusDeclined, payment.StatusCancelled,
		payment.StatusRequested, payment.StatusSubmitting, payment.StatusUnknown, payment.StatusPaid, payment.StatusFailed,
		payment.StatusStepUp, payment.StatusHold, payment.StatusDeferred, payment.StatusPartiallyPaid:
	}
	return false
}

// lateRefund reports whether a refund gives back money that came after our decline.
func (h *history) lateRefund(o id.Operation) bool {
	return slices.ContainsFunc(h.attempts, func(a attempt) bool { return a.Operation == o && a.Late != 0 })
}
