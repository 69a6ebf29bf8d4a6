package flow

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/risk"
)

// licence is what the acts of a licensed project go by. A project without rules
// has none, and its acts touch no row for it.
type licence struct {
	rules *risk.Rules
	zone  *time.Location // of calendar months
}

// licence gives a project's; nil if it has no rules.
func (f *Flows) licence(projectID int64) *licence {
	rules := f.opts.Rules(projectID)
	if rules == nil {
		return nil
	}
	if l, ok := f.licences.Load(rules); ok {
		return l.(*licence)
	}
	zone, err := rules.Limits.Location()
	if err != nil {
		panic("flow: the rules name a time zone that there is not: " + err.Error()) // loading them has found it
	}
	if mutation == "zone" {
		zone = time.UTC
	}
	l, _ := f.licences.LoadOrStore(rules, &licence{rules, zone})
	return l.(*licence)
}

// lapsed is the licence of a project that has no rules, where some project once had:
// nothing is limited, and what is reserved for a payment is given up with its end.
var lapsed = &licence{}

// licenceOrLapsed gives a project's licence; nil if it has no rules and nothing was ever
// counted.
func (f *Flows) licenceOrLapsed(projectID int64) *licence {
	if l := f.licence(projectID); l != nil || !f.counted.Load() {
		return l
	}
	return lapsed
}

// look finds out whether something was ever counted, before an act that ends a payment
// of a customer's: a house that never had rules has no windows, and its acts look for
// none. It asks again after a while, since another process may have rules already.
func (f *Flows) look(ctx context.Context, payee string) {
	now, last := f.opts.Now().UnixMicro(), f.lookedUS.Load()
	if f.counted.Load() || !strings.HasPrefix(payee, ofCustomer) || last != 0 && now-last < askAgain.Microseconds() || !f.lookedUS.CompareAndSwap(last, now) {
		return
	}
	rows, err := f.read.from.ScanWindows(ctx, id.Window{}, 1)
	if err != nil {
		f.lookedUS.Store(last) // the act will tell that the store is away
		return
	}
	f.counted.Store(len(rows) > 0)
}

// askAgain is how long it is taken as true that nothing was.
const askAgain = time.Minute

// keepLicensed keeps in mind that a merchant's projects have rules.
func (f *Flows) keepLicensed(merchantID int64) {
	name := strconv.FormatInt(merchantID, 10)
	if _, known := f.licensed.Load(name); !known {
		f.licensed.Store(name, true)
	}
}

// hintCounted names the rows that counting a payment's money will want. An attempt does
// not say its project, but whose customer it is of: a merchant's projects all have rules,
// or none has. It gives whose the money is, and their window of deposits: ids that are
// hashes, and that the act need not find out once more.
func (f *Flows) hintCounted(p *book.Page, a *payment.Attempt) (wallet, id.Window) {
	merchant, _, ok := strings.Cut(strings.TrimPrefix(a.Payee, ofCustomer), ":")
	if _, licensed := f.licensed.Load(merchant); !ok || !licensed && !f.counted.Load() || a.Kind != payment.KindSale {
		return wallet{}, id.Window{}
	}
	w := walletOf(a.ID.Bucket(), a.Payee)
	k := limit.WindowID(w.customer, limit.Deposits, a.Amount.Currency)
	p.Windows.Get(k) // it mostly says what the customer's row would
	return w, k
}

// tally is a customer with what they did lately: on a page, or as it is read outside acts.
type tally struct {
	*licence
	page     *book.Page // nil outside acts: nothing is written
	nowUS    int64
	read     func(id.Window) (limit.Window, bool) // outside acts
	customer customer.Customer
	limits   customer.Limits // where only the head was read: their currencies alone

	unread   bool   // nothing of the customer was but who they are,
	whose    wallet // which this says
	headOnly bool
	lowerUS  int64 // of the head

	known   id.Window      // the window of deposits of one currency
	knownOf money.Currency // "": of none

	// Windows that were read, so that each is found and decoded once.
	in, out         []counted
	readIn, readOut bool
}

// tallyOf reads the limits of a customer's row.
func tallyOf(p *book.Page, l *licence, c customer.Customer) (*tally, error) {
	limits, err := customer.DecodeLimits(c.Limits)
	if err != nil {
		return nil, fmt.Errorf("limits of %s: %w", c.ID, err)
	}
	return &tally{licence: l, page: p, nowUS: p.NowUS(), customer: c, limits: limits, lowerUS: limits.LowerUS()}, nil
}

// tallyHead is tallyOf for acts that mostly need no more than the head.
func tallyHead(p *book.Page, l *licence, c customer.Customer) (*tally, error) {
	t := &tally{licence: l, page: p, nowUS: p.NowUS(), customer: c}
	return t, t.readHead()
}

func (t *tally) readHead() error {
	head, err := customer.DecodeHead(t.customer.Limits)
	if err != nil {
		return fmt.Errorf("limits of %s: %w", t.customer.ID, err)
	}
	t.limits, t.headOnly, t.lowerUS = customer.Limits{Currencies: head.Currencies, Paid: head.Paid}, true, head.LowerUS
	return nil
}

// tallyUnread is tallyHead for a capture, which mostly needs nothing of the customer's
// row: not even to hold it while others change it.
func tallyUnread(p *book.Page, l *licence, w wallet) *tally {
	return &tally{licence: l, page: p, nowUS: p.NowUS(), customer: customer.Customer{ID: w.customer}, whose: w, unread: true}
}

// meet reads the customer's row and the head of their limits, if that was not done yet.
// Whatever goes by them begins with it.
func (t *tally) meet() error {
	if !t.unread {
		return nil
	}
	t.unread = false
	t.customer = customerOn(t.page, t.whose)
	return t.readHead()
}

// windowID is the id of a window of the customer's.
func (t *tally) windowID(k limit.Kind, c money.Currency) id.Window {
	if k == limit.Deposits && c == t.knownOf {
		return t.known
	}
	return limit.WindowID(t.customer.ID, k, c)
}

// window reads a window.
func (t *tally) window(k id.Window) (limit.Window, bool) {
	if t.page != nil {
		return t.page.Windows.Get(k)
	}
	return t.read(k)
}

// whole reads the rest of the limits.
func (t *tally) whole() error {
	if err := t.meet(); err != nil || !t.headOnly {
		return err
	}
	limits, err := customer.DecodeLimits(t.customer.Limits)
	if err != nil {
		return fmt.Errorf("limits of %s: %w", t.customer.ID, err)
	}
	t.limits, t.headOnly = limits, false
	return nil
}

// admit lets a customer pay in, or says why not, and reserves what it counts in the
// same act (limits-and-risk.md section 0): of acts at one time, none can pass a limit
// that another has used up. A refusal is a *risk.Refusal, and nothing is written then.
//
// w is their window of deposits in the amount's currency.
func admit(p *book.Page, l *licence, c customer.Customer, w id.Window, pay id.Payment, a money.Amount, told []event.Endpoint) error {
	t, err := tallyHead(p, l, c)
	if err != nil {
		return err
	}
	t.known, t.knownOf = w, a.Currency
	if err := t.unrestrained(); err != nil {
		return err
	}
	if err := t.freeStale(); err != nil {
		return err
	}
	if err := t.fits(a); err != nil && mutation != "unlimited" {
		return err
	}
	d, err := t.verified(a)
	if err != nil {
		return err
	}
	if err := t.reserve(pay, a); err != nil {
		return err
	}
	return t.heed(d, pay, a, told) // the last, since a refusal may be written as a decline, with nothing else
}

// unrestrained refuses who must neither pay in nor play.
func (t *tally) unrestrained() error {
	if t.customer.Restriction == customer.Unrestricted { // the row shows the strongest
		return nil
	}
	if err := t.whole(); err != nil {
		return err
	}
	r := t.customer.Restrained(t.limits, t.nowUS)
	if r.Restriction == customer.Unrestricted {
		return nil
	}
	return refusalBy(r)
}

// refusalBy says why a restrained customer is refused.
func refusalBy(r customer.Restraint) *risk.Refusal {
	out := &risk.Refusal{Code: risk.CodePlayerRestricted, Reason: risk.LimitReached}
	switch r.Restriction {
	case customer.CoolOff:
		out.UntilUS = r.UntilUS
	case customer.SelfExcluded:
		out.UntilUS = r.EndingUS
	case customer.Frozen, customer.Closed:
		out.Reason = risk.DeclinedByRisk
	case customer.Unrestricted, customer.OperatorExcluded, customer.RegistryExcluded:
	}
	return out
}

// bound is one limit, whoever has set it.
type bound struct {
	kind    customer.LimitKind
	period  limit.Period
	amount  money.Amount
	lowerUS int64 // when it was last lowered; 0 of the rules' own
}

// bounds gives all limits of a customer that choose finds, one by one, until use has an
// error: their own, those that the house has set for them, and those of the rules for
// everybody. Those of the young are for all whose age nobody has told.
func (t *tally) bounds(choose func(customer.LimitKind) bool, use func(bound) error) error {
	if err := t.meet(); err != nil {
		return err
	}
	own := func(x customer.Limit) error { return use(bound{x.Kind, x.Period, x.Amount, x.LowerUS}) }
	if t.headOnly {
		if err := customer.EachLimit(t.customer.Limits, choose, own); err != nil {
			return fmt.Errorf("limits of %s: %w", t.customer.ID, err)
		}
	}
	for _, x := range t.limits.List {
		if !choose(x.Kind) {
			continue
		}
		if err := own(x); err != nil {
			return err
		}
	}
	for _, m := range t.rules.Limits.Maxima {
		k := customer.LimitKind(m.Kind)
		if !choose(k) || m.UnderAge > 0 && t.customer.AgeAt(t.nowUS) >= m.UnderAge {
			continue
		}
		if err := use(bound{kind: k, period: periodOf(m.Period), amount: m.Amount}); err != nil {
			return err
		}
	}
	return nil
}

// periodOf gives the rules' word for a period in package limit's.
func periodOf(p risk.Period) limit.Period {
	if p == risk.PeriodNone {
		return limit.Once
	}
	return limit.Period(p)
}

func ruledPeriod(p limit.Period) risk.Period {
	if p == limit.Once {
		return risk.PeriodNone
	}
	return risk.Period(p)
}

// ofDeposits are the kinds of limit that bound what is paid in.
func ofDeposits(k customer.LimitKind) bool { return !k.OfPlay() }

// fits refuses a deposit that would pass a limit; of several it names the one that
// leaves least.
func (t *tally) fits(a money.Amount) error {
	var worst *risk.Refusal
	err := t.bounds(ofDeposits, func(b bound) error {
		used, err := t.paidIn(b)
		if err != nil {
			return err
		}
		r := t.over(b, used, a)
		if r == nil {
			return nil
		}
		if r.ResetsUS, err = t.room(b, used, a); err != nil {
			return err
		}
		if worst == nil || stricter(r, worst) {
			worst = r
		}
		return nil
	})
	if err == nil && worst != nil {
		return worst
	}
	return err
}

// stricter compares two refusals for the same amount.
func stricter(a, b *risk.Refusal) bool {
	if a.Remaining == nil || b.Remaining == nil || a.Remaining.Minor == b.Remaining.Minor {
		return a.Remaining == nil && b.Remaining != nil || a.ResetsUS > b.ResetsUS
	}
	return a.Remaining.Minor < b.Remaining.Minor
}

// over refuses an amount that passes a limit of which so much is used; nil if it does
// not. A limit that cannot be counted is passed by any amount.
func (t *tally) over(b bound, used int64, a money.Amount) *risk.Refusal {
	asked, err := t.rules.Convert(a, b.amount.Currency)
	counts := err == nil && used != math.MaxInt64
	if counts && used <= b.amount.Minor-asked.Minor { // who has won more than staked may stake more than their limit of losses
		return nil
	}
	out := &risk.Refusal{Code: risk.CodeLimitExceeded, Reason: risk.LimitReached, Limit: risk.LimitKind(b.kind), Period: ruledPeriod(b.period)}
	if !counts {
		return out
	}
	left, err := t.down(money.Amount{Minor: max(0, b.amount.Minor-used), Currency: b.amount.Currency}, a.Currency)
	if err == nil {
		out.Remaining = &left
	}
	return out
}

// down converts an amount, and rounds it down.
func (t *licence) down(a money.Amount, to money.Currency) (money.Amount, error) {
	there, err := t.rules.Convert(a, to)
	if err != nil || a.Currency == to {
		return there, err
	}
	back, err := t.rules.Convert(there, a.Currency)
	if err == nil && back.Minor > a.Minor && there.Minor > 0 {
		there.Minor--
	}
	return there, err
}

// paidIn is what counts in a limit of deposits, in its currency. math.MaxInt64: it
// cannot be counted.
func (t *tally) paidIn(b bound) (int64, error) {
	if b.period == limit.Once {
		return 0, nil
	}
	after := b.period.After(t.nowUS, t.zone)
	deposits, err := t.deposited()
	if err != nil {
		return 0, err
	}
	used := t.sum(deposits, b.amount.Currency, func(e limit.Entries) int64 { return e.Sum(after) })
	if b.kind != customer.LimitNetDeposit {
		return used, nil
	}
	payouts, err := t.paidOut()
	if err != nil {
		return 0, err
	}
	out := t.sum(payouts, b.amount.Currency, func(e limit.Entries) int64 { return e.Used(after) })
	if used != math.MaxInt64 && out != math.MaxInt64 {
		return max(0, used-out), nil
	}
	return math.MaxInt64, nil
}

// room is when an amount would fit into a limit of deposits that it does not fit into
// now, if nothing else moved; 0: that cannot be said.
func (t *tally) room(b bound, used int64, a money.Amount) (int64, error) {
	now := t.nowUS
	if b.period == limit.Once || used == math.MaxInt64 {
		return 0, nil
	}
	if b.kind == customer.LimitNetDeposit {
		return b.period.Leaves(now, now, t.zone), nil
	}
	deposits, err := t.deposited()
	if err != nil {
		return 0, err
	}
	asked, err := t.rules.Convert(a, b.amount.Currency)
	switch {
	case err != nil:
		return 0, nil //nolint:nilerr // without a rate nothing will fit
	case len(deposits) == 1 && deposits[0].currency == b.amount.Currency:
		return deposits[0].entries.RoomAt(b.period, max(0, b.amount.Minor-asked.Minor), now, t.zone), nil
	case used > 0:
		return b.period.Leaves(now, now, t.zone), nil
	}
	return 0, nil
}

// counted is a window with what it holds.
type counted struct {
	currency money.Currency
	row      limit.Window
	entries  limit.Entries
}

// deposited reads the windows of deposits in all currencies.
func (t *tally) deposited() ([]counted, error) {
	if t.readIn {
		return t.in, nil
	}
	err := t.meet()
	if err == nil {
		t.in, err = t.windows(limit.Deposits, t.limits.Currencies)
	}
	t.readIn = err == nil
	return t.in, err
}

// paidOut reads the windows of payouts in all currencies.
func (t *tally) paidOut() ([]counted, error) {
	if t.readOut {
		return t.out, nil
	}
	err := t.meet()
	if err == nil {
		t.out, err = t.windows(limit.Payouts, t.limits.Paid)
	}
	t.readOut = err == nil
	return t.out, err
}

// windows reads a customer's windows of deposits or payouts.
func (t *tally) windows(k limit.Kind, in []money.Currency) ([]counted, error) {
	if len(in) == 0 {
		return nil, nil
	}
	out := make([]counted, 0, len(in))
	for _, c := range in {
		row, ok := t.window(t.windowID(k, c))
		if !ok {
			continue
		}
		e, err := limit.DecodeEntries(row.Entries)
		if err != nil {
			return nil, fmt.Errorf("window %s: %w", row.ID, err)
		}
		out = append(out, counted{c, row, e})
	}
	return out, nil
}

// sum is what windows hold, in one currency; math.MaxInt64 if that cannot be said.
func (t *tally) sum(all []counted, in money.Currency, of func(limit.Entries) int64) int64 {
	total := int64(0)
	for _, w := range all {
		minor := of(w.entries)
		if minor == 0 {
			continue
		}
		a, err := t.rules.Convert(money.Amount{Minor: minor, Currency: w.currency}, in)
		if err != nil || total > math.MaxInt64-a.Minor {
			return math.MaxInt64
		}
		total += a.Minor
	}
	return total
}

// deposits reads the window of deposits in a currency, which begins now if there is none.
func (t *tally) deposits(c money.Currency) (limit.Window, limit.Entries, error) {
	if t.readIn {
		for _, w := range t.in {
			if w.currency == c {
				return w.row, w.entries, nil
			}
		}
	}
	k := t.windowID(limit.Deposits, c)
	row, ok := t.window(k)
	if !ok {
		row = limit.Window{ID: k, Customer: t.customer.ID, Kind: limit.Deposits, Currency: c}
	}
	if row.Entries == "" {
		return row, limit.Entries{SinceUS: t.nowUS}, nil
	}
	e, err := limit.DecodeEntries(row.Entries)
	if err != nil {
		return row, e, fmt.Errorf("window %s: %w", row.ID, err)
	}
	return row, e, nil
}

// keep writes a window of deposits. The first in a currency puts that among those that
// count, on the customer's row.
func (t *tally) keep(row limit.Window, e limit.Entries) error {
	row.Entries, row.ChangedUS = e.Encode(), t.nowUS
	now, ok := t.page.Windows.Get(row.ID)
	if ok {
		row.Sources = now.Sources // they may have changed in this act
	}
	if now.Entries == "" { // it begins to count: the customer's row must say so
		if err := t.meet(); err != nil {
			return err
		}
	}
	if !t.unread {
		row.LowerUS = lowerUS(t.customer, t.lowerUS)
	}
	t.page.Windows.Put(row)
	t.in, t.readIn = nil, false
	if t.unread {
		return nil
	}
	if _, added := t.limits.Counted(row.Currency); added {
		if err := t.whole(); err != nil {
			return err
		}
		limits, _ := t.limits.Counted(row.Currency)
		t.limits = limits
		if c, ok := t.page.Customers.Get(t.customer.ID); ok { // it may have changed in this act
			t.customer = c
		}
		t.customer.Limits = limits.Encode()
		t.page.Customers.Put(t.customer)
	}
	return nil
}

// lowerUS is what a customer's windows of deposits say of them (limit.Window.LowerUS).
// last is when a limit of theirs was last lowered.
func lowerUS(c customer.Customer, last int64) int64 {
	if c.Restriction != customer.Unrestricted {
		return limit.NotKnown
	}
	return last
}

// putBounded writes a customer's row with other limits or restraints, and what captures
// must know of them into the windows of deposits: a capture reads these alone.
func putBounded(p *book.Page, c customer.Customer, limits customer.Limits) {
	p.Customers.Put(c)
	for _, cur := range limits.Currencies {
		row, ok := p.Windows.Get(limit.WindowID(c.ID, limit.Deposits, cur))
		if last := lowerUS(c, limits.LowerUS()); ok && row.LowerUS != last && mutation != "unsealed" {
			row.LowerUS, row.ChangedUS = last, p.NowUS()
			p.Windows.Put(row)
		}
	}
}

// reserve counts what a payment may bring.
func (t *tally) reserve(pay id.Payment, a money.Amount) error {
	row, e, err := t.deposits(a.Currency)
	if err != nil {
		return err
	}
	now := t.nowUS
	if err := e.Reserve(pay, a.Minor, now); errors.Is(err, limit.ErrFull) {
		wait := max(1, (e.FullUntil()-now)/time.Second.Microseconds())
		return &risk.Refusal{Code: risk.CodeVelocityLimited, Reason: risk.LimitReached, RetryAfterS: min(wait, int64(limit.KeptFor/time.Second))}
	} else if err != nil {
		return err
	}
	return t.keep(row, e)
}

// use counts what a payment has brought.
func (t *tally) use(pay id.Payment, a money.Amount) error {
	row, e, err := t.deposits(a.Currency)
	if err != nil {
		return err
	}
	e.Use(pay, a.Minor, t.nowUS)
	if row.EverMinor, err = add(row.EverMinor, a.Minor); err != nil {
		return err
	}
	if row.SinceMinor, err = add(row.SinceMinor, a.Minor); err != nil {
		return err
	}
	return t.keep(row, e)
}

// free forgets what a payment might have brought.
func (t *tally) free(pay id.Payment, c money.Currency) error {
	row, e, err := t.deposits(c)
	if err != nil || !e.Free(pay) {
		return err
	}
	return t.keep(row, e)
}

// barred says why money that comes now is not the customer's to play with (rule
// RG-LATE, limits-and-risk.md section 1.3): they are restrained, or a limit was
// lowered after the payment was begun, and it would pass that. "" if nothing does.
func (t *tally) barred(pay payment.Payment) (why string, err error) {
	if t.unread {
		if w, ok := t.window(t.windowID(limit.Deposits, pay.Amount.Currency)); ok && w.Entries != "" && w.LowerUS < pay.CreatedUS-clocksApart.Microseconds() {
			return "", nil
		}
		if err := t.meet(); err != nil {
			return "", err
		}
	}
	if t.customer.Restriction == customer.Unrestricted && t.headOnly && t.lowerUS < pay.CreatedUS-clocksApart.Microseconds() {
		return "", nil
	}
	if err := t.whole(); err != nil {
		return "", err
	}
	if r := t.customer.Restrained(t.limits, t.nowUS); r.Restriction != customer.Unrestricted && mutation != "excluded" {
		return string(r.Restriction), nil
	}
	over := false
	err = t.bounds(ofDeposits, func(b bound) error {
		if over || b.lowerUS < pay.CreatedUS-clocksApart.Microseconds() {
			return nil // it held when the payment was let in
		}
		passes, err := t.passes(b, pay)
		over = err != nil || passes
		return err
	})
	if over {
		return limitLowered, err
	}
	return "", err
}

// clocksApart is how far the clocks of two processes may differ: a limit that one has
// lowered after the other had begun a payment may seem to be older than that.
const clocksApart = 5 * time.Second

// limitLowered is what barred says of a limit.
const limitLowered = "limit"

// passes reports whether a payment's money, with what is used already, is above a limit.
func (t *tally) passes(b bound, pay payment.Payment) (bool, error) {
	asked, err := t.rules.Convert(pay.Amount, b.amount.Currency)
	if err != nil {
		return true, nil //nolint:nilerr // without a rate the limit is taken as reached
	}
	used := int64(0)
	if b.period != limit.Once {
		after := b.period.After(t.nowUS, t.zone)
		deposits, err := t.deposited()
		if err != nil {
			return true, err
		}
		used = t.sum(deposits, b.amount.Currency, func(e limit.Entries) int64 { return e.Used(after) })
		if b.kind == customer.LimitNetDeposit && used != math.MaxInt64 {
			payouts, err := t.paidOut()
			if err != nil {
				return true, err
			}
			out := t.sum(payouts, b.amount.Currency, func(e limit.Entries) int64 { return e.Used(after) })
			if out == math.MaxInt64 {
				return true, nil // what was paid out cannot be counted: the limit is taken as reached
			}
			used = max(0, used-out)
		}
	}
	return used > b.amount.Minor-asked.Minor, nil
}

// offers reports whether the rules let a customer choose such a limit.
func (l *licence) offers(k customer.LimitKind, p limit.Period) bool {
	return slices.Contains(k.Periods(), p) && (p == limit.Once || slices.Contains(l.rules.Limits.Periods, ruledPeriod(p)))
}

// tally reads what is counted of an application's customer; nil if nothing is.
func (x *application) tally() *tally {
	if x.counts != nil || x.licence == nil || !strings.HasPrefix(x.attempt.Payee, ofCustomer) {
		return x.counts
	}
	l := x.licence(x.pay.ProjectID)
	if l == nil || l == lapsed {
		return nil
	}
	x.counts = x.tallyBy(l)
	return x.counts
}

func (x *application) tallyBy(l *licence) *tally {
	t := tallyUnread(x.page, l, x.wallet())
	if !x.window.IsZero() {
		t.known, t.knownOf = x.window, x.attempt.Amount.Currency
	}
	return t
}

// heldBack is tally of a project that has no rules any more, if something is reserved
// for the payment, which was begun while it had; else nil.
func (x *application) heldBack() (*tally, error) {
	if x.licence == nil || !strings.HasPrefix(x.attempt.Payee, ofCustomer) || x.licence(x.pay.ProjectID) != lapsed {
		return nil, nil
	}
	t := x.tallyBy(lapsed)
	_, e, err := t.deposits(x.pay.Amount.Currency)
	if _, ok := e.ReservedFor(x.pay.ID); !ok || err != nil {
		return nil, err
	}
	return t, nil
}

// used counts the payment's money, which has come.
func (x *application) used() error {
	t := x.tally()
	if t == nil {
		var err error
		if t, err = x.heldBack(); t == nil || err != nil {
			return err
		}
	}
	return t.use(x.pay.ID, x.attempt.Amount)
}

// freed forgets the payment's money, which will not come.
func (x *application) freed() error {
	t := x.tally()
	if t == nil {
		var err error
		if t, err = x.heldBack(); t == nil || err != nil {
			return err
		}
	}
	return t.free(x.pay.ID, x.pay.Amount.Currency)
}

// barred says why the payment's money is not its customer's to play with; "": it is.
func (x *application) barred() (string, error) {
	t := x.tally()
	if t == nil {
		return "", nil
	}
	return t.barred(x.pay)
}

// barredLate is barred for money that comes after our decline. What was reserved for
// it is free since then: to credit it, it must fit once more.
func (x *application) barredLate(rule project.LateRule) (string, error) {
	t := x.tally()
	if t == nil {
		return "", nil
	}
	why, err := t.barred(x.pay)
	if err != nil || why != "" || rule != project.LateCredit || x.pay.Status != payment.StatusDeclined {
		return why, err
	}
	err = t.fits(x.attempt.Amount)
	if errors.As(err, new(*risk.Refusal)) {
		return limitLowered, nil
	}
	return "", err
}

// ruleLate is what cases call it that money came too late for its customer to play with.
const ruleLate = "RG-LATE"

// refuseCapture declines a payment whose money has come, and must not be played with:
// it is owed, and goes back to where it came from (limits-and-risk.md section 1.3).
func (x *application) refuseCapture(why string) error {
	code := payment.CodeRejectCustomer
	if why == limitLowered {
		code = payment.CodeRejectAmount
	}
	x.endRetry()
	if err := x.declinePayment(code); err != nil {
		return err
	}
	return x.late(why)
}
