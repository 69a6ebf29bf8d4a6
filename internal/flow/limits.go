package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/id"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/operator"
	"aorta/internal/project"
	"aorta/internal/risk"
)

// ErrNoRules: the project is not licensed, so its customers have no limits,
// restrictions or levels.
var ErrNoRules = errors.New("the project has no rules")

// ErrRegister: limits are raised by a central register, not here.
var ErrRegister = errors.New("limits are raised by a register")

// ErrLimitPeriod: the rules offer no such limit.
var ErrLimitPeriod = errors.New("the rules offer no limit of this kind and period")

// Player is who changes limits and restrictions by a project's API: the customer, for
// whom the project speaks.
func Player(pr project.Project) operator.Actor {
	return operator.Automatic("project", strconv.FormatInt(pr.ID, 10))
}

// Kinds of note in a customer's history.
const (
	NoteLimitSet       = "limit_set"       // holds at once
	NoteLimitAsked     = "limit_asked"     // a raise or removal, which waits
	NoteLimitConfirmed = "limit_confirmed" // and holds now
	NoteHouseLimit     = "house_limit"     // by the house
	NoteRestricted     = "restricted"
	NoteLifted         = "restriction_lifted" // by the house
	NoteEndAsked       = "restriction_end_asked"
)

// CustomerChange says whose limits or restrictions change, by whom, and under which
// name in their history.
type CustomerChange struct {
	Project    project.Project
	CustomerID string // the merchant's
	By         operator.Actor
	Reason     string  // why, of an operator's; may be empty
	Note       id.Note // chosen by NewNote before, where a repeat must find it; zero: chosen now
}

// NewNote chooses the id of a note that is not written yet.
func (f *Flows) NewNote(pr project.Project, customerID string) id.Note {
	return id.Note(f.book.Mint(f.CustomerOf(pr, customerID).Bucket()))
}

// changing is a change on its way.
type changing struct {
	CustomerChange
	*licence
	bucket id.Bucket
	wallet wallet
}

// change writes what decide makes of a customer's row, with a note of it. decide gives
// the note's kind and body; an empty kind changes nothing.
func (f *Flows) change(ctx context.Context, c CustomerChange, act string, decide func(t *tally) (kind string, body any, err error)) error {
	m := changing{CustomerChange: c, licence: f.licence(c.Project.ID)}
	if m.licence == nil {
		return ErrNoRules
	}
	if !c.Project.Wallet || c.CustomerID == "" {
		return ErrNoWallet
	}
	m.bucket = c.Project.PaymentBucket(f.book.Buckets(), "", c.CustomerID)
	m.wallet = walletOf(m.bucket, c.Project.Payee(c.CustomerID))
	if !c.Note.IsZero() {
		if _, known, err := f.read.Note(ctx, c.Note); err != nil || known {
			return err // an earlier run of the same change
		}
	}
	_, err := book.Do(ctx, f.book, book.Act[struct{}]{
		Name: act, Bucket: m.bucket,
		Hint: func(p *book.Page) {
			p.Customers.Get(m.wallet.customer)
			if m.By.Person() {
				hintAudit(p)
			}
		},
		Decide: func(p *book.Page) (struct{}, error) { return struct{}{}, m.write(p, decide) },
	})
	if err != nil {
		return fmt.Errorf("%s: %w", act, err)
	}
	return nil
}

func (m *changing) write(p *book.Page, decide func(t *tally) (string, any, error)) error {
	c := customerOn(p, m.wallet)
	if !m.Note.IsZero() && c.LastNote == m.Note {
		return nil
	}
	t, err := tallyOf(p, m.licence, c)
	if err != nil {
		return err
	}
	kind, body, err := decide(t)
	if err != nil || kind == "" {
		return err
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic("a note is plain values: " + err.Error())
	}
	n := customer.Note{ID: m.Note, Customer: c.ID, Prev: c.LastNote, Kind: kind, By: m.By.Name, Body: string(text), AtUS: p.NowUS()}
	if n.ID.IsZero() {
		n.ID = id.Note(p.Mint())
	}
	p.Notes.Append(n)
	if m.By.Person() {
		audit(p, m.By, kind, c.ID.String(), body)
	}
	c = t.customer
	c.Limits, c.LastNote = t.limits.Encode(), n.ID
	putBounded(p, c, t.limits)
	return nil
}

// limitNote is the body of a note of a limit.
type limitNote struct {
	Kind     customer.LimitKind `json:"kind"`
	Period   limit.Period       `json:"period"`
	Amount   string             `json:"amount,omitempty"`
	Currency money.Currency     `json:"currency,omitempty"`
	Removed  bool               `json:"removed,omitempty"`
	FromUS   int64              `json:"from_us,omitempty"`  // when it can be confirmed
	UntilUS  int64              `json:"until_us,omitempty"` // and lapses
	Reason   string             `json:"reason,omitempty"`
}

func noteOf(k customer.LimitKind, p limit.Period, a money.Amount) limitNote {
	return limitNote{Kind: k, Period: p, Amount: a.Decimal(), Currency: a.Currency}
}

func (l *licence) delays() customer.Delays {
	return customer.Delays{Raise: l.rules.Limits.RaiseDelay, Confirm: l.rules.Limits.ConfirmWithin}
}

// SetLimit sets a limit that the customer wants: a first or lower one at once, a raise
// once its delay is over and it is confirmed (limits-and-risk.md section 1.2).
//
// Errors: ErrNoRules, ErrNoWallet, ErrAmount, ErrLimitPeriod; of a raise
// customer.ErrHouseLimit, ErrRegister, and *risk.Refusal while the customer is
// restricted; risk.ErrNoRate where it is in another currency than before.
func (f *Flows) SetLimit(ctx context.Context, c CustomerChange, k customer.LimitKind, p limit.Period, a money.Amount) error {
	if a.Minor <= 0 {
		return ErrAmount
	}
	return f.change(ctx, c, "limit.set", func(t *tally) (string, any, error) {
		if !t.offers(k, p) {
			return "", nil, ErrLimitPeriod
		}
		if err := t.inCurrency(k, p, a); err != nil {
			return "", nil, err
		}
		limits, change, err := t.limits.Set(k, p, a, t.nowUS, t.delays())
		if err != nil {
			return "", nil, err
		}
		note := noteOf(k, p, a)
		switch change {
		case customer.ChangeNone:
			return "", nil, nil
		case customer.ChangePending:
			if err := t.mayRaise(); err != nil {
				return "", nil, err
			}
			x, _ := limits.Get(k, p, false)
			note.FromUS, note.UntilUS = x.Pending.FromUS, x.Pending.UntilUS
			if mutation == "raise" {
				limits, err = limits.Confirm(k, p, x.Pending.FromUS)
			}
			t.limits = limits
			return NoteLimitAsked, note, err
		case customer.ChangeNow:
		}
		t.limits = limits
		return NoteLimitSet, note, nil
	})
}

// inCurrency says the limit that there is in the currency of the one that is wanted,
// rounded down, and refuses a wish above the house's limit in another currency.
func (t *tally) inCurrency(k customer.LimitKind, p limit.Period, a money.Amount) error {
	if h, ok := t.limits.Get(k, p, true); ok && h.Amount.Currency != a.Currency {
		most, err := t.down(h.Amount, a.Currency)
		if err != nil {
			return err
		}
		if a.Minor > most.Minor {
			return customer.ErrHouseLimit
		}
	}
	if x, ok := t.limits.Get(k, p, false); !ok || x.Amount.Currency == a.Currency {
		return nil
	}
	limits, err := t.limits.In(k, p, func(x money.Amount) (money.Amount, error) { return t.down(x, a.Currency) })
	if err == nil {
		t.limits = limits
	}
	return err
}

// mayRaise refuses a raise, or a removal, where none is let through.
func (t *tally) mayRaise() error {
	if t.rules.Limits.RaiseByRegister {
		return ErrRegister
	}
	return t.unrestrained()
}

// RemoveLimit notes that the customer wants to be without a limit: as a raise.
//
// Errors: as of a raise, and customer.ErrNoLimit.
func (f *Flows) RemoveLimit(ctx context.Context, c CustomerChange, k customer.LimitKind, p limit.Period) error {
	return f.change(ctx, c, "limit.remove", func(t *tally) (string, any, error) {
		limits, err := t.limits.Remove(k, p, t.nowUS, t.delays())
		if err == nil {
			err = t.mayRaise()
		}
		if err != nil {
			return "", nil, err
		}
		t.limits = limits
		x, _ := limits.Get(k, p, false)
		return NoteLimitAsked, limitNote{Kind: k, Period: p, Removed: true, FromUS: x.Pending.FromUS, UntilUS: x.Pending.UntilUS}, nil
	})
}

// ConfirmLimit lets a raise or removal hold whose delay is over.
//
// Errors: as of a raise, and customer.ErrNoLimit, customer.ErrNotPending,
// customer.ErrTooEarly.
func (f *Flows) ConfirmLimit(ctx context.Context, c CustomerChange, k customer.LimitKind, p limit.Period) error {
	return f.change(ctx, c, "limit.confirm", func(t *tally) (string, any, error) {
		limits, err := t.limits.Confirm(k, p, t.nowUS)
		if err == nil {
			err = t.mayRaise()
		}
		if err != nil {
			return "", nil, err
		}
		t.limits = limits
		note := limitNote{Kind: k, Period: p, Removed: true}
		if x, ok := limits.Get(k, p, false); ok {
			note = noteOf(k, p, x.Amount)
		}
		return NoteLimitConfirmed, note, nil
	})
}

// SetHouseLimit sets, or with a zero amount takes away, a limit of the house's for a
// customer, at once: the customer cannot go above it. To lower one takes one person; to
// raise or remove it, or to say it in another currency, another one than who has set it
// (security.md S09).
//
// Errors: ErrNoRules, ErrNoWallet, ErrAmount, ErrLimitPeriod, ErrSamePerson,
// customer.ErrNoLimit.
func (f *Flows) SetHouseLimit(ctx context.Context, c CustomerChange, k customer.LimitKind, p limit.Period, a money.Amount) error {
	if a.Minor < 0 {
		return ErrAmount
	}
	return f.change(ctx, c, "limit.house", func(t *tally) (string, any, error) {
		if !slices.Contains(k.Periods(), p) {
			return "", nil, ErrLimitPeriod
		}
		was, had := t.limits.Get(k, p, true)
		lower := a.Minor > 0 && a.Minor <= was.Amount.Minor && a.Currency == was.Amount.Currency
		if had && !lower && c.By.Is(was.By) {
			return "", nil, ErrSamePerson
		}
		note := limitNote{Kind: k, Period: p, Removed: true}
		if a.Minor == 0 {
			limits, err := t.limits.RemoveHouse(k, p)
			if err != nil {
				return "", nil, err
			}
			t.limits = limits
		} else {
			t.limits = t.limits.SetHouse(k, p, a, c.By.Name, t.nowUS)
			note = noteOf(k, p, a)
		}
		note.Reason = c.Reason
		return NoteHouseLimit, note, nil
	})
}

// restrictionNote is the body of a note of a restriction.
type restrictionNote struct {
	Type     customer.Restriction `json:"type"`
	UntilUS  int64                `json:"until_us,omitempty"`
	EndingUS int64                `json:"ending_us,omitempty"`
	Reason   string               `json:"reason,omitempty"`
}

// CoolOff restricts a customer for a number of hours that the rules offer, at once.
//
// Errors: ErrNoRules, ErrNoWallet, ErrLength; customer.ErrRestricted: a longer one holds.
func (f *Flows) CoolOff(ctx context.Context, c CustomerChange, hours int64) error {
	l := f.licence(c.Project.ID)
	if l == nil {
		return ErrNoRules
	}
	if d := time.Duration(hours) * time.Hour; hours <= 0 || hours > maxHours || d < l.rules.Limits.CoolOffMin || d > l.rules.Limits.CoolOffMax {
		return ErrLength
	}
	return f.restrict(ctx, c, func(now int64) customer.Restraint { return customer.CoolOffFor(hours, now) })
}

// maxHours keeps a number of hours within what time can hold.
const maxHours = 100 * 366 * 24

// ErrLength: the rules offer no restriction of this length.
var ErrLength = errors.New("the rules offer no restriction of this length")

// Exclude has a customer exclude themselves for a number of months that the rules
// offer, or with 0 without end, at once.
//
// Errors: as of CoolOff.
func (f *Flows) Exclude(ctx context.Context, c CustomerChange, months int64) error {
	l := f.licence(c.Project.ID)
	if l == nil {
		return ErrNoRules
	}
	if months != 0 && (months < l.rules.Limits.ExcludeMin || months > l.rules.Limits.ExcludeMax) {
		return ErrLength
	}
	return f.restrict(ctx, c, func(now int64) customer.Restraint { return customer.ExcludeFor(months, now) })
}

// Restrict restricts a customer as the house, a register or a linked customer wants,
// at once. A zero SinceUS is now.
//
// Errors: ErrNoRules, ErrNoWallet; customer.ErrRestricted: a longer one of the kind holds.
func (f *Flows) Restrict(ctx context.Context, c CustomerChange, r customer.Restraint) error {
	return f.restrict(ctx, c, func(now int64) customer.Restraint {
		if r.SinceUS == 0 {
			r.SinceUS = now
		}
		return r
	})
}

func (f *Flows) restrict(ctx context.Context, c CustomerChange, make func(nowUS int64) customer.Restraint) error {
	return f.change(ctx, c, "customer.restrict", func(t *tally) (string, any, error) {
		r := make(t.nowUS)
		r.By = c.By.Name
		var err error
		if t.customer, t.limits, err = t.customer.Restrict(t.limits, r, t.nowUS); err != nil {
			return "", nil, err
		}
		spread(t.page, t.customer, r.Restriction)
		return NoteRestricted, restrictionNote{Type: r.Restriction, UntilUS: r.UntilUS, Reason: c.Reason}, nil
	})
}

// Lift takes a restriction away that the house or a register has made, from all customers
// who are the same person. It takes another person than who made it (security.md S09).
// What the customer has chosen holds on: that ends as they chose it.
//
// Who is frozen is so because of laundering or sanctions, and let go by an mlro alone.
//
// Errors: ErrNoRules, ErrNoWallet, ErrSamePerson, ErrRole; ErrState: there is none of it,
// or it is the customer's own.
func (f *Flows) Lift(ctx context.Context, c CustomerChange, what customer.Restriction) error {
	if what.Own() {
		return ErrState
	}
	return f.change(ctx, c, "customer.lift", func(t *tally) (string, any, error) {
		var was customer.Restraint
		var lifted bool
		if t.customer, t.limits, was, lifted = t.customer.Lift(t.limits, what, t.nowUS); !lifted {
			return "", nil, ErrState
		}
		if what == customer.Frozen && !c.By.Roles.Has(operator.MLRO) {
			return "", nil, ErrRole
		}
		if c.By.Is(was.By) {
			return "", nil, ErrSamePerson
		}
		spread(t.page, t.customer, what)
		return NoteLifted, restrictionNote{Type: what, Reason: c.Reason}, nil
	})
}

// AskEnd notes that a customer wants their self-exclusion to end, which it does after
// the rules' further delay.
//
// Errors: ErrNoRules, ErrNoWallet, customer.ErrNotEnding.
func (f *Flows) AskEnd(ctx context.Context, c CustomerChange) error {
	return f.change(ctx, c, "customer.ask_end", func(t *tally) (string, any, error) {
		rules := t.rules.Limits
		before := t.limits.Encode()
		var r customer.Restraint
		var err error
		t.customer, t.limits, r, err = t.customer.AskEnd(t.limits, t.nowUS, rules.ExcludeMin, func(r customer.Restraint) time.Duration {
			if r.UntilUS == 0 {
				return rules.EndDelayOpen
			}
			return rules.EndDelay
		})
		if err != nil || t.limits.Encode() == before {
			return "", nil, err
		}
		return NoteEndAsked, restrictionNote{Type: r.Restriction, UntilUS: r.UntilUS, EndingUS: r.EndingUS}, nil
	})
}

// LimitStanding is a limit with what counts in it now.
type LimitStanding struct {
	customer.Limit
	Statutory bool         // the rules' own, for everybody
	Used      money.Amount // what counts; of a loss below zero for who has won more
	Remaining money.Amount // what would pass now
	Uncounted bool         // there is no rate to count it by: nothing passes
	ResetsUS  int64        // when all that counts now counts no more; 0 of a single amount
}

// CustomerStanding is what limits and restricts a customer now.
type CustomerStanding struct {
	Customer  customer.Customer
	NowUS     int64
	Limits    []LimitStanding
	Restraint customer.Restraint   // the strongest that holds; the zero one: none
	Others    []customer.Restraint // that hold beneath it
	MayAskUS  int64                // from when its end can be asked for; 0: it cannot
	Notes     []customer.Note      // the newest, newest first
}

// maxNotes bounds the history in a standing.
const maxNotes = 50

// StandingOf gives what limits and restricts a customer now. It is read, not decided:
// what a deposit meets is found in its own act.
//
// Errors: ErrNoRules, ErrNoWallet.
func (f *Flows) StandingOf(ctx context.Context, pr project.Project, customerID string) (CustomerStanding, error) {
	l := f.licence(pr.ID)
	if l == nil {
		return CustomerStanding{}, ErrNoRules
	}
	if !pr.Wallet || customerID == "" {
		return CustomerStanding{}, ErrNoWallet
	}
	row, _, err := f.read.Customer(ctx, f.CustomerOf(pr, customerID))
	if err != nil {
		return CustomerStanding{}, fmt.Errorf("read customer: %w", err)
	}
	row.ID = f.CustomerOf(pr, customerID) // of whom nothing is known yet, too
	t := &tally{licence: l, nowUS: f.opts.Now().UnixMicro(), customer: row}
	if t.limits, err = customer.DecodeLimits(row.Limits); err != nil {
		return CustomerStanding{}, fmt.Errorf("limits of %s: %w", row.ID, err)
	}
	out := CustomerStanding{Customer: row, NowUS: t.nowUS}
	out.Restraint, out.Others = row.Restrained(t.limits, t.nowUS), nil
	for _, r := range t.limits.Restraints {
		if r != out.Restraint && r.Holds(t.nowUS) {
			out.Others = append(out.Others, r)
		}
	}
	out.MayAskUS = t.limits.MayAskEnd(l.rules.Limits.ExcludeMin)
	if err := f.standing(ctx, t, &out); err != nil {
		return CustomerStanding{}, err
	}
	for next := row.LastNote; !next.IsZero() && len(out.Notes) < maxNotes; {
		n, ok, err := f.read.Note(ctx, next)
		if err != nil || !ok {
			return CustomerStanding{}, fmt.Errorf("read note %s (found %t): %w", next, ok, err)
		}
		out.Notes, next = append(out.Notes, n), n.Prev
	}
	return out, nil
}

// standing counts what is used of each limit.
func (f *Flows) standing(ctx context.Context, t *tally, out *CustomerStanding) error {
	var unread error
	t.read = func(k id.Window) (limit.Window, bool) {
		w, ok, err := f.read.Window(ctx, k)
		unread = errors.Join(unread, err)
		return w, ok
	}
	all, err := t.plays(t.customer)
	if err != nil {
		return err
	}
	list := slices.Clone(t.limits.List)
	for _, m := range t.rules.Limits.Maxima {
		list = append(list, customer.Limit{Kind: customer.LimitKind(m.Kind), Period: periodOf(m.Period), House: true, Amount: m.Amount})
	}
	for n, x := range list {
		b := bound{kind: x.Kind, period: x.Period, amount: x.Amount}
		used := int64(0)
		if x.Kind.OfPlay() {
			used = t.playedIn(b, all)
		} else if used, err = t.paidIn(b); err != nil {
			return err
		}
		s := LimitStanding{Limit: x, Statutory: n >= len(t.limits.List), Used: x.Amount, Remaining: x.Amount}
		if s.Uncounted = used == math.MaxInt64; s.Uncounted {
			s.Used.Minor, s.Remaining.Minor = 0, 0
		} else {
			s.Used.Minor, s.Remaining.Minor = used, max(0, x.Amount.Minor-used)
		}
		if x.Period != limit.Once {
			s.ResetsUS = x.Period.Leaves(t.nowUS, t.nowUS, t.zone)
		}
		if _, asks := x.Asks(t.nowUS); !asks {
			s.Pending, s.HasAsked = customer.Pending{}, false
		}
		out.Limits = append(out.Limits, s)
	}
	if unread != nil {
		return fmt.Errorf("read windows: %w", unread)
	}
	return nil
}

// RefusalOf gives the refusal that an error is; nil for other errors.
func RefusalOf(err error) *risk.Refusal {
	var r *risk.Refusal
	if errors.As(err, &r) {
		return r
	}
	return nil
}
