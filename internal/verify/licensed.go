package verify

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/payment"
)

// What must be true of payouts of a project with rules (limits-and-risk.md section 4):
// they have a review, and go in parts.

// takeReview keeps a review until its payout comes by, which has the same id.
func (c *checker) takeReview(r *payment.Review) {
	c.reviewWithoutPayout()
	c.review = r
}

func (c *checker) reviewWithoutPayout() {
	if c.review != nil {
		c.violation(C13, "Review %s is of no payout.", rawText(c.review.ID))
		c.review = nil
	}
}

// reviewOf gives the review of the payment that comes by; nil if it has none.
func (c *checker) reviewOf(p *payment.Payment) *payment.Review {
	r := c.review
	if r == nil || r.ID != p.ID.Raw() {
		if r != nil && bytes.Compare(r.ID[:], p.ID[:]) < 0 {
			c.reviewWithoutPayout()
		}
		return nil
	}
	c.review = nil
	if p.Type != payment.TypePayout {
		c.violation(C13, "Payment %s has a review, and is no payout.", p.ID)
		return nil
	}
	return r
}

// standIn is an attempt in the place of one that was not made: with whose money the
// operation is about.
func (c *checker) standIn(h *history, op *payment.Operation) *payment.Attempt {
	if h.review == nil {
		return nil
	}
	return &payment.Attempt{
		ID: id.Attempt(op.ID), Operation: op.ID, Payment: op.Payment, Kind: payment.KindPayout, Payee: c.customers[h.review.Customer].owner, Amount: op.Amount,
	}
}

// judgeParts: the parts of a payout sum to it, each stands where its newest attempt
// does, and the payout where they make it stand (C3, C5). None is sent before it is
// allowed (C5).
func (c *checker) judgeParts(h *history) {
	p := &h.payment
	who := c.customers[h.review.Customer]
	if !strings.HasSuffix(who.owner, ":"+p.CustomerID) || p.CustomerID == "" {
		c.violation(C3, "The review of payout %s is of %q, but the payout is customer %q's.", p.ID, who.owner, p.CustomerID)
	}
	if len(h.operations) == 0 || len(h.operations) > limit.MaxParts {
		c.violation(C13, "Payout %s has %d parts.", p.ID, len(h.operations))
	}
	var sum, paid, back int64
	seen := standing{}
	for n := range h.operations {
		op := &h.operations[n]
		if op.Kind != payment.KindPayout {
			c.violation(C13, "Payout %s has operation %s, which is a %s.", p.ID, op.ID, op.Kind)
			continue
		}
		sum += op.Amount.Minor
		switch op.Status {
		case payment.OperationSuccess:
			paid += op.Amount.Minor
		case payment.OperationDecline:
			back += op.Amount.Minor
		case payment.OperationProcessing, payment.OperationAwaitingCustomer:
		}
		c.judgePart(h, op, &seen)
	}
	if sum != p.Amount.Minor {
		c.violation(C3, "Payout %s is of %d %s, its parts of %d.", p.ID, p.Amount.Minor, p.Amount.Currency, sum)
	}
	if p.CapturedMinor != paid || p.RefundedMinor != back || p.RefundingMinor != 0 {
		c.violation(C3, "Payout %s says that %d were paid and %d went back; its parts say %d and %d.", p.ID, p.CapturedMinor, p.RefundedMinor, paid, back)
	}
	if may := seen.allows(); !slices.Contains(may, p.Status) {
		c.violation(C5, "Payout %s is %s, but by its parts it must be one of %v.", p.ID, p.Status, may)
	}
	if p.LimitUS != 0 || p.Awaiting != payment.AwaitedAtPSP || p.TriesLeft != 0 || p.RetryUS != 0 {
		c.violation(C5, "Payout %s awaits %q with %d tries until %d, by %d; nobody is awaited for one.", p.ID, p.Awaiting, p.TriesLeft, p.RetryUS, p.LimitUS)
	}
	if p.Status == payment.StatusDeferred || seen.waits && seen.sent && !p.Status.Final() {
		if !h.due {
			c.violation(C11, "Payout %s has a part that waits to be sent, but nothing will send it: it has no due row.", p.ID)
		}
	}
	c.judgeAllowed(h)
}

// standing is what the parts of a payout have come to.
type standing struct {
	paid, failed, flying, unknown, waits bool
	sent                                 bool // there are attempts
}

// allows gives where the payout may stand.
func (s standing) allows() []payment.Status {
	switch open := s.flying || s.unknown || s.waits; {
	case !open && s.paid:
		return []payment.Status{payment.StatusPaid}
	case !open && s.sent:
		return []payment.Status{payment.StatusFailed}
	case !open:
		return []payment.Status{payment.StatusFailed, payment.StatusCancelled}
	case s.paid:
		return []payment.Status{payment.StatusPartiallyPaid}
	case s.unknown:
		return []payment.Status{payment.StatusUnknown}
	case s.flying:
		return []payment.Status{payment.StatusSubmitting, payment.StatusUnknown} // one that was lost and is found again stays so
	case s.sent:
		return []payment.Status{payment.StatusDeferred}
	}
	return []payment.Status{payment.StatusStepUp, payment.StatusHold, payment.StatusDeferred}
}

// behindPart says where the newest attempt of a part may stand.
var behindPart = map[payment.OperationStatus][]payment.AttemptStatus{
	payment.OperationProcessing: {payment.AttemptAsking, payment.AttemptAccepted, payment.AttemptUnknown, payment.AttemptNotSent},
	payment.OperationSuccess:    {payment.AttemptApproved},
	payment.OperationDecline:    {payment.AttemptDeclined, payment.AttemptNotSent},
}

func (c *checker) judgePart(h *history, op *payment.Operation, seen *standing) {
	chain, _ := h.attemptChain(op)
	seen.sent = seen.sent || len(chain) > 0
	seen.paid = seen.paid || op.Status == payment.OperationSuccess
	seen.failed = seen.failed || op.Status == payment.OperationDecline
	newest := payment.AttemptNotSent
	for n, a := range chain {
		if n == 0 {
			newest = a.Status
			if !slices.Contains(behindPart[op.Status], a.Status) {
				c.violation(C5, "Part %s of payout %s is %s, but its attempt %s is %s.", op.ID, h.payment.ID, op.Status, a.ID, a.Status)
			}
		} else if a.Status != payment.AttemptNotSent {
			c.violation(C3, "Part %s of payout %s was sent again after attempt %s, which is %s: only what was provably not taken is.", op.ID, h.payment.ID, a.ID, a.Status)
		}
		if a.Way == "" {
			c.violation(C13, "Attempt %s pays a part of payout %s out, and says not where to.", a.ID, h.payment.ID)
		}
		if !strings.HasPrefix(a.Payee, wallet) || !strings.HasSuffix(a.Payee, ":"+h.payment.CustomerID) {
			c.violation(C3, "Attempt %s pays out of what is %s's, but payout %s is customer %q's.", a.ID, a.Payee, h.payment.ID, h.payment.CustomerID)
		}
		if a.Status != payment.AttemptNotSent && !a.Status.Final() && !a.due {
			c.violation(C11, "Attempt %s of payout %s is %s, but nothing will be done about it: it has no due row.", a.ID, h.payment.ID, a.Status)
		}
	}
	if len(chain) == 0 && op.Status == payment.OperationSuccess {
		c.violation(C3, "Part %s of payout %s is paid, and was never sent.", op.ID, h.payment.ID)
	}
	if op.Status.Final() {
		return
	}
	switch newest {
	case payment.AttemptUnknown:
		seen.unknown = true
	case payment.AttemptNotSent:
		seen.waits = true
	case payment.AttemptAsking, payment.AttemptAccepted, payment.AttemptApproved, payment.AttemptDeclined:
		seen.flying = true
	}
}

// decision is what of a recorded decision is judged here.
type decision struct {
	AtUS   int64 `json:"at_us"`
	Again  bool  `json:"again"`
	Payout struct {
		Bonus       int64           `json:"bonus"`
		MerchantDay json.RawMessage `json:"merchant_day"`
		Parts       []partOf        `json:"parts"`
	} `json:"payout"`
	Decision struct {
		Rules     string `json:"rules"`
		Action    string `json:"action"`
		Approvals int    `json:"approvals"`
		Forfeit   bool   `json:"forfeit"`
	} `json:"decision"`
}

// partOf is a part that a decision was about.
type partOf struct {
	Connector  string          `json:"connector"`
	Account    string          `json:"account"`
	AccountDay json.RawMessage `json:"account_day"`
}

// judgeAllowed: what was sent had been allowed, and approved by as many different
// people as the decision asks for, none of whom has changed it last (four eyes).
func (c *checker) judgeAllowed(h *history) {
	p := &h.payment
	var log []decision
	if err := json.Unmarshal([]byte(h.review.Log), &log); err != nil || len(log) == 0 {
		c.violation(C13, "The review of payout %s has no decision that can be read.", p.ID)
		return
	}
	if len(h.attempts) == 0 {
		return
	}
	first := h.attempts[0].CreatedUS
	for n := range h.attempts {
		first = min(first, h.attempts[n].CreatedUS)
	}
	first += clocksUS // who approved may have had another clock than who sent it
	var last *decision
	for n := range log {
		if log[n].AtUS <= first && !log[n].Again {
			last = &log[n]
		}
	}
	if last == nil || last.Decision.Rules == "" || last.Decision.Action != "allow" && last.Decision.Action != "review" {
		c.violation(C5, "Payout %s was sent, but no decision had allowed it.", p.ID)
		return
	}
	var given struct {
		Approved []struct {
			By   string `json:"by"`
			AtUS int64  `json:"at_us"`
		} `json:"approved"`
	}
	c.needClaims(h, last)
	if err := json.Unmarshal([]byte(cmp.Or(h.review.Approvals, "{}")), &given); err != nil {
		c.violation(C13, "The approvals of payout %s cannot be read.", p.ID)
	}
	people := map[string]bool{}
	for _, a := range given.Approved {
		if a.AtUS <= first && a.By != h.review.Editor && !strings.Contains(a.By, ":") {
			people[a.By] = true
		}
	}
	if len(people) < last.Decision.Approvals {
		c.violation(C5, "Payout %s was sent with the approval of %d people, but needs %d.", p.ID, len(people), last.Decision.Approvals)
	}
}

// forfeitOf is the bonus that was given up when a payout was asked for; nil if none was.
func forfeitOf(r *payment.Review) *int64 {
	var log []decision
	if r == nil || json.Unmarshal([]byte(r.Log), &log) != nil || len(log) == 0 || !log[0].Decision.Forfeit {
		return nil
	}
	return &log[0].Payout.Bonus
}

// judgeForfeit: a bonus is lost to the merchant who gave it, once, and by a payout whose
// customer had agreed (limits-and-risk.md section 4.5).
func (c *checker) judgeForfeit(h *history, t *ledger.Transfer) {
	if h.forfeit == nil {
		c.violation(C3, "Transfer %s takes a bonus, and nobody agreed to that with payout %s.", t.ID, h.payment.ID)
		return
	}
	who := c.customers[h.review.Customer]
	account := func(owner string, p ledger.Purpose) id.Account {
		return ledger.AccountID(t.ID.Bucket(), owner, p, h.payment.Amount.Currency)
	}
	a := money.Amount{Minor: *h.forfeit, Currency: h.payment.Amount.Currency}
	if !moves(t, account(who.owner, ledger.Bonus), account(who.merchant, ledger.Payable), a) {
		c.violation(C3, "Transfer %s does not move the bonus of %d minor units that was lost by payout %s to the merchant.", t.ID, a.Minor, h.payment.ID)
	}
}

// way is what one instrument of a customer is to a currency.
type way struct {
	customer id.Customer
	currency money.Currency
	psp, way string
}

// flowOf is what payments say of a way.
type flowOf struct {
	captured, refunded, refunding, paid int64
}

// licensed is what payments say of sources and windows.
type licensed struct {
	ways  map[way]*flowOf
	open  map[id.Operation]openPart // parts that have not ended
	paid  map[paidOut]*paidSum
	asked map[paidOut]map[entry]int // when payouts were asked for, and of how much
}

type openPart struct {
	of       paidOut
	minor    int64
	psp, way string // where it was sent; empty: it was not
}

type paidOut struct {
	customer id.Customer
	currency money.Currency
}

type paidSum struct {
	ever int64
	open map[id.Payment]int64
}

func newLicensed() licensed {
	return licensed{ways: map[way]*flowOf{}, open: map[id.Operation]openPart{}, paid: map[paidOut]*paidSum{}, asked: map[paidOut]map[entry]int{}}
}

// takeWays adds up what a payment's attempts say of the instruments that they name.
func (c *checker) takeWays(h *history) {
	for n := range h.attempts {
		a := &h.attempts[n]
		if a.Way == "" {
			continue
		}
		k := way{c.ownerOf(a.ID.Bucket(), a.Payee), a.Amount.Currency, a.PSP(), a.Way}
		f := c.licensed.ways[k]
		if f == nil {
			f = &flowOf{}
			c.licensed.ways[k] = f
		}
		op := h.operation(a.Operation)
		if op == nil || op.Attempt != a.ID && a.Kind != payment.KindSale {
			continue
		}
		switch a.Kind {
		case payment.KindSale:
			if a.Status == payment.AttemptApproved {
				f.captured += a.Amount.Minor
			}
		case payment.KindRefund:
			switch op.Status {
			case payment.OperationSuccess:
				f.refunded += a.Amount.Minor
			case payment.OperationProcessing, payment.OperationAwaitingCustomer:
				f.refunding += a.Amount.Minor
			case payment.OperationDecline:
			}
		case payment.KindPayout:
			if op.Status == payment.OperationSuccess {
				f.paid += a.Amount.Minor
			}
		case payment.KindManualChange:
		}
	}
	if h.review == nil {
		return
	}
	of := paidOut{h.review.Customer, h.payment.Amount.Currency}
	s := c.licensed.paid[of]
	if s == nil {
		s = &paidSum{open: map[id.Payment]int64{}}
		c.licensed.paid[of] = s
	}
	if c.licensed.asked[of] == nil {
		c.licensed.asked[of] = map[entry]int{}
	}
	c.licensed.asked[of][entry{h.payment.CreatedUS, h.payment.Amount.Minor}]++
	if h.payment.Status.Final() {
		s.ever += h.payment.CapturedMinor
	} else {
		s.open[h.payment.ID] = h.payment.Amount.Minor
	}
	for n := range h.operations {
		op := &h.operations[n]
		if op.Status.Final() {
			continue
		}
		part := openPart{of: of, minor: op.Amount.Minor}
		if chain, _ := h.attemptChain(op); len(chain) > 0 {
			part.psp, part.way = chain[0].PSP(), chain[0].Way
		}
		c.licensed.open[op.ID] = part
	}
}

// ownerOf finds the customer whose accounts have an owner.
func (c *checker) ownerOf(b id.Bucket, owner string) id.Customer {
	if c.owners == nil {
		c.owners = make(map[string]id.Customer, len(c.customers))
		for k, p := range c.customers {
			c.owners[p.owner] = k
		}
	}
	k := c.owners[owner]
	if k.IsZero() || k.Bucket() != b {
		c.violation(C13, "An instrument is of %q in bucket %d, who is no customer there.", owner, b)
	}
	return k
}

// judgeSources: each customer's sources say what their payments say: what came from
// each instrument, went back to it, and is reserved for it (C3).
func (c *checker) judgeSources(ctx context.Context) error {
	all := pages[limit.Window, id.Window]{scan: c.read.ScanWindows, key: func(w *limit.Window) id.Window { return w.ID }, take: c.takeSources}
	if err := merge(ctx, &all); err != nil {
		return err
	}
	for k, f := range c.licensed.ways {
		if f.captured|f.refunded|f.refunding|f.paid != 0 {
			c.violation(C3, "Payments of %s say that %d %s came by %q of %s, but no source says so.", k.customer, f.captured, k.currency, k.way, k.psp)
		}
	}
	for _, o := range slices.SortedFunc(maps.Keys(c.licensed.open), id.Operation.Compare) {
		c.violation(C3, "Part %s of a payout has %d minor units to pay, but no source has them reserved.", o, c.licensed.open[o].minor)
	}
	return nil
}

func (c *checker) takeSources(s *limit.Window) {
	list, err := limit.DecodeSources(s.Sources)
	if err != nil || len(list) > 0 && s.ID != limit.WindowID(s.Customer, limit.Deposits, s.Currency) {
		c.violation(C13, "Sources of customer %s in %s, of window %s, cannot be read, or lie elsewhere: %v.", s.Customer, s.Currency, s.ID, err)
		return
	}
	for n := range list {
		x := &list[n]
		psp := "psp:" + x.Connector + ":" + x.Account
		k := way{s.Customer, s.Currency, psp, payment.WayOf(x.Method, x.Token)}
		f := c.licensed.ways[k]
		if f == nil {
			f = &flowOf{}
		}
		delete(c.licensed.ways, k)
		if x.Captured != f.captured || x.Refunded != f.refunded || x.Refunding != f.refunding || x.Paid != f.paid {
			c.violation(C3, "Source %s of customer %s says %s, its payments say %s.", x.Instrument, s.Customer,
				figures(x.Captured, x.Refunded, x.Refunding, x.Paid), figures(f.captured, f.refunded, f.refunding, f.paid))
		}
		for _, share := range x.Open {
			part, ok := c.licensed.open[share.Operation]
			delete(c.licensed.open, share.Operation)
			if !ok || part.minor != share.Minor || part.of != (paidOut{s.Customer, s.Currency}) || part.way != "" && (part.way != k.way || part.psp != psp) {
				c.violation(C3, "Source %s of customer %s has %d minor units reserved for part %s, which is not such a part.", x.Instrument, s.Customer, share.Minor, share.Operation)
			}
		}
	}
}

func figures(captured, refunded, refunding, paid int64) string {
	return fmt.Sprintf("%d captured, %d refunded, %d being refunded, %d paid", captured, refunded, refunding, paid)
}

// judgePayoutWindows: a customer's window has every payout under way reserved, and
// what was ever paid (C3).
func (c *checker) judgePayoutWindows(ctx context.Context) error {
	all := pages[limit.Window, id.Window]{scan: c.read.ScanWindows, key: func(w *limit.Window) id.Window { return w.ID }, take: c.takePayoutWindow}
	if err := merge(ctx, &all); err != nil {
		return err
	}
	for k, s := range c.licensed.paid {
		if s.ever != 0 || len(s.open) > 0 {
			c.violation(C3, "Customer %s was paid %d %s and has %d payouts under way, but no window says so.", k.customer, s.ever, k.currency, len(s.open))
		}
	}
	for k, asked := range c.licensed.asked {
		c.violation(C3, "Customer %s has asked for payouts in %s %d times, but no window has them as asked for.", k.customer, k.currency, len(asked))
	}
	return nil
}

// takeRequests: a customer's window has every payout that was asked for within the time
// that it is kept, and no other (C3).
func (c *checker) takeRequests(w *limit.Window) {
	e, err := limit.DecodeEntries(w.Entries)
	if err != nil || w.ID != limit.WindowID(w.Customer, w.Kind, w.Currency) {
		c.violation(C13, "Window %s of customer %s cannot be read, or lies elsewhere: %v.", w.ID, w.Customer, err)
		return
	}
	k := paidOut{w.Customer, w.Currency}
	asked := c.licensed.asked[k]
	delete(c.licensed.asked, k)
	if len(e.List) >= limit.MaxEntries {
		return // older ones have become one
	}
	for _, x := range e.List {
		if at := (entry{x.AtUS, x.Minor}); asked[at] > 0 && !x.Reserved() {
			asked[at]--
			continue
		}
		c.violation(C3, "Customer %s has %d minor units at %d as asked for, and no such payout.", w.Customer, x.Minor, x.AtUS)
	}
	for at, n := range asked {
		if n > 0 && at.atUS > w.ChangedUS-limit.KeptFor.Microseconds() {
			c.violation(C3, "Customer %s has asked for %d minor units at %d, which their window does not have as asked for.", w.Customer, at.minor, at.atUS)
		}
	}
}

func (c *checker) takePayoutWindow(w *limit.Window) {
	if w.Kind == limit.Requests {
		c.takeRequests(w)
	}
	if w.Kind != limit.Payouts {
		return
	}
	e, err := limit.DecodeEntries(w.Entries)
	if err != nil || w.ID != limit.WindowID(w.Customer, w.Kind, w.Currency) {
		c.violation(C13, "Window %s of customer %s cannot be read, or lies elsewhere: %v.", w.ID, w.Customer, err)
		return
	}
	if !slices.Contains(c.customers[w.Customer].paid, w.Currency) {
		c.violation(C13, "Customer %s has a window of payouts in %s, which their limits do not count.", w.Customer, w.Currency)
	}
	k := paidOut{w.Customer, w.Currency}
	s := c.licensed.paid[k]
	delete(c.licensed.paid, k)
	if s == nil {
		s = &paidSum{}
	}
	used := int64(0)
	for _, x := range e.List {
		if !x.Reserved() {
			used += x.Minor
			continue
		}
		if s.open[x.Payment] != x.Minor {
			c.violation(C3, "Customer %s has %d minor units reserved for payout %s, which has %d under way.", w.Customer, x.Minor, x.Payment, s.open[x.Payment])
		}
		delete(s.open, x.Payment)
	}
	for _, p := range slices.SortedFunc(maps.Keys(s.open), id.Payment.Compare) {
		c.violation(C3, "Payout %s is under way, and its customer's window does not count it.", p)
	}
	if w.EverMinor != s.ever || used > w.EverMinor {
		c.violation(C3, "Customer %s was paid %d minor units by their window, of them %d lately; their payouts say %d.", w.Customer, w.EverMinor, used, s.ever)
	}
}
