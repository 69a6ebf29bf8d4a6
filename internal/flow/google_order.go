package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"aorta/internal/book"
	"aorta/internal/due"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/money"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/recon"
)

// What is paid of a statement: an order to the bank, which two people agree to; and its
// booking when the bank has carried it out. The statement's bucket books the sum against
// transit, and a due row has each bucket move its own captures and refunds out of
// receivable into its transit: no act touches two, and all transit together is nothing.

// Order is a payment order, as the bank is told.
type Order struct {
	Direction string    `json:"direction"` // "to_google", or "from_google": then it is money that we wait for
	Amount    string    `json:"amount"`    // in major units, never negative
	Currency  string    `json:"currency"`
	Memo      string    `json:"memo_line_id"` // to be written on the transfer, byte for byte
	PayBy     time.Time `json:"date_due"`
	Minor     int64     `json:"minor"`                  // of Amount, below zero if Google pays
	Rest      int64     `json:"rounding_micros,string"` // what is owed beyond it: less than a minor unit
	By        []string  `json:"approved_by"`
	At        time.Time `json:"approved_at"`

	Reference string     `json:"reference,omitempty"` // the bank's, once it is paid
	PaidBy    string     `json:"paid_by,omitempty"`
	PaidAt    *time.Time `json:"paid_at,omitempty"`
}

// Directions of an order.
const (
	ToGoogle   = "to_google"
	FromGoogle = "from_google"
)

// OrderOf reads the payment order of a statement; false: there is none yet.
func OrderOf(s fop.Statement) (Order, bool, error) {
	var o Order
	if s.Order == "" {
		return o, false, nil
	}
	if err := json.Unmarshal([]byte(s.Order), &o); err != nil {
		return o, false, fmt.Errorf("order of statement %s: %w", s.ID, err)
	}
	return o, true, nil
}

// acceptedNow opens the case in which two people look at the payment order.
func acceptedNow(p *book.Page, s *fop.Statement) error {
	amount, rest, err := recon.Round(s.DueMicros, s.Currency)
	if err != nil {
		return fmt.Errorf("round statement %s: %w", s.ID, err)
	}
	s.State = fop.StatementAccepted
	s.Case = openAgain(p, caseRemittance, s.ID.String(), map[string]any{
		"statement": s.ID.String(), "integration": s.Integration, "account": s.Account, "statement_id": s.Name, "amount": amount.Decimal(), "currency": s.Currency,
		"rounding_micros": strconv.FormatInt(rest, 10), "memo_line_id": s.Memo, "date_due": time.UnixMicro(s.PayUS).UTC(),
	})
	return nil
}

// statementCase settles a case about a statement: a mismatch, or its payment order.
type statementCase struct {
	page  *book.Page
	about payment.Case
	by    operator.Actor
}

func (c statementCase) row() (fop.Statement, error) {
	var details struct {
		Statement id.Statement `json:"statement"`
	}
	if err := json.Unmarshal([]byte(c.about.Details), &details); err != nil || details.Statement.Bucket() != c.page.Bucket() {
		return fop.Statement{}, no("it names no statement")
	}
	s, ok := c.page.Statements.Get(details.Statement)
	if !ok {
		return s, no("its statement is not there")
	}
	return s, nil
}

func (c statementCase) check(how string) error {
	s, err := c.row()
	if err != nil {
		return err
	}
	from := []fop.StatementState{fop.StatementMismatch}
	switch how {
	case SettleAccept:
		if !s.Read() {
			return no("its lines were not read: nobody knows what would be accepted")
		}
	case SettleDispute:
	case SettleRecheck:
		// What a disputed one claimed may be another's by now, so nothing else leads out of it.
		from = append(from, fop.StatementDisputed)
	case SettlePay:
		from = []fop.StatementState{fop.StatementAccepted}
	default:
		return ErrResolution
	}
	if !slices.Contains(from, s.State) {
		return no("the statement is %s", s.State)
	}
	return nil
}

func (c statementCase) book(how string) error {
	s, err := c.row()
	if err != nil {
		return err
	}
	p := c.page
	switch how {
	case SettleAccept:
		s.State = fop.StatementReconciled
	case SettleDispute:
		s.State = fop.StatementDisputed
	case SettleRecheck:
		s.State = fop.StatementPulling
	case SettlePay:
		first, err := c.about.Proposed()
		if err != nil {
			return err
		}
		order, err := orderFor(s, p.Now(), first.By, c.by.Name)
		if err != nil {
			return err
		}
		s.Order = string(encoded(order))
	}
	s.ChangedUS = max(p.NowUS(), s.ChangedUS+1)
	p.Statements.Put(s)
	if how == SettleAccept || how == SettleRecheck {
		p.Due.Get(s.ID.Raw())
		p.Due.Put(*goOn(p, s))
	}
	return nil
}

func orderFor(s fop.Statement, at time.Time, by ...string) (Order, error) {
	amount, rest, err := recon.Round(s.DueMicros, s.Currency)
	if err != nil {
		return Order{}, fmt.Errorf("round statement %s: %w", s.ID, err)
	}
	o := Order{
		Direction: ToGoogle, Currency: string(s.Currency), Memo: s.Memo, PayBy: time.UnixMicro(s.PayUS).UTC(), Minor: amount.Minor, Rest: rest, By: by, At: at.UTC(),
	}
	if amount.Minor < 0 {
		o.Direction = FromGoogle
		amount.Minor = -amount.Minor
	}
	o.Amount = amount.Decimal()
	return o, nil
}

// StatementChange is what an operator does to a statement.
type StatementChange struct {
	Statement id.Statement
	By        operator.Actor
	Note      string
	Reference string // of the bank's
}

// PaidStatement books that the bank has carried a statement's order out. Asked again
// with the same reference, it answers the same. Errors: ErrNoStatement, ErrNote,
// *CaseStateError.
func (f *Flows) PaidStatement(ctx context.Context, c StatementChange) (fop.Statement, error) {
	if c.Note == "" || len(c.Note) > maxNote || c.Reference == "" || len(c.Reference) > maxSaid || !c.By.Person() {
		return fop.Statement{}, ErrNote
	}
	s, err := f.StatementByID(ctx, c.Statement)
	if err != nil {
		return s, err
	}
	claim, err := f.claimOf(ctx, s)
	if err != nil {
		return s, err
	}
	found, err := FoundIn(s)
	if err != nil {
		return s, err
	}
	s, err = book.Do(ctx, f.book, book.Act[fop.Statement]{
		Name: "statement.paid", Bucket: s.ID.Bucket(),
		Hint: func(p *book.Page) { p.Statements.Get(s.ID); p.Due.Get(s.ID.Raw()); hintAudit(p) },
		Decide: func(p *book.Page) (fop.Statement, error) {
			s, ok := p.Statements.Get(s.ID)
			if !ok {
				return s, ErrNoStatement
			}
			order, agreed, err := OrderOf(s)
			switch {
			case err != nil:
				return s, err
			case s.State == fop.StatementPaid && order.Reference == c.Reference:
				return s, nil
			case s.State != fop.StatementAccepted:
				return s, no("the statement is %s", s.State)
			case !agreed:
				return s, no("its payment order waits for two people: settle case %s by %q", s.Case, SettlePay)
			}
			if s.Transfer, err = f.bookPaid(p, s, claim.total, found); err != nil {
				return s, err
			}
			at := p.Now().UTC()
			order.Reference, order.PaidBy, order.PaidAt = c.Reference, c.By.Name, &at
			s.State, s.Order, s.ChangedUS = fop.StatementPaid, string(encoded(order)), max(p.NowUS(), s.ChangedUS+1)
			p.Statements.Put(s)
			p.Due.Get(s.ID.Raw())
			p.Due.Put(*goOn(p, s))
			audit(p, c.By, "statement.paid", s.ID.String(), map[string]any{
				"statement_id": s.Name, "amount": order.Amount, "direction": order.Direction, "currency": order.Currency, "reference": c.Reference, "note": c.Note,
			})
			return s, nil
		},
	})
	if err != nil {
		return s, fmt.Errorf("book statement as paid: %w", err)
	}
	return s, nil
}

// ErrNoStatement: no such statement.
var ErrNoStatement = errors.New("no such statement")

// StatementByID gives a statement, or ErrNoStatement. The id may come from outside.
func (f *Flows) StatementByID(ctx context.Context, k id.Statement) (fop.Statement, error) {
	if int(k.Bucket()) >= f.book.Buckets() {
		return fop.Statement{}, ErrNoStatement
	}
	s, ok, err := f.read.Statement(ctx, k)
	if err == nil && !ok {
		err = ErrNoStatement
	}
	return s, err
}

// house is the owner of the accounts that are nobody else's, once in each bucket.
const house = "house"

// bookPaid books the sum of a paid statement; the zero id where nothing moves.
func (f *Flows) bookPaid(p *book.Page, s fop.Statement, claim int64, found Found) (id.Transfer, error) {
	fees, taxes := int64(0), int64(0)
	if found.Sums != nil {
		fees = found.Sums.Fees
		var err error
		if taxes, err = recon.Add(found.Sums.Tax, found.Sums.Withholding); err != nil {
			return id.Transfer{}, fmt.Errorf("taxes of statement %s: %w", s.ID, err)
		}
	}
	b, err := recon.Book(money.Amount{Minor: claim, Currency: s.Currency}, s.DueMicros, fees, taxes)
	if err != nil {
		return id.Transfer{}, fmt.Errorf("book statement %s: %w", s.ID, err)
	}
	var legs []leg
	for _, x := range []struct {
		purpose ledger.Purpose
		minor   int64
	}{
		{ledger.Transit, b.Claim}, {ledger.Bank, -b.Bank}, {ledger.Revenue, -b.Fees}, {ledger.Taxes, -b.Taxes}, {ledger.Suspense, -b.Suspense}, {ledger.Rounding, -b.Rounding},
	} {
		if x.minor != 0 {
			legs = append(legs, leg{accountName{house, x.purpose}, x.minor})
		}
	}
	if len(legs) == 0 {
		return id.Transfer{}, nil
	}
	t, _, err := post(p, ledger.Transfer{Kind: ledger.KindRemittance, Description: s.Name}, wallet{}, s.Currency, legs...)
	if err != nil {
		return id.Transfer{}, err
	}
	return t.ID, nil
}

// claim is what a statement takes out of receivable, by bucket.
type claim struct {
	total int64
	in    map[id.Bucket]int64
}

// claimOf adds up what of our books is this statement's. Its lines do not change any
// more once it is accepted.
func (f *Flows) claimOf(ctx context.Context, s fop.Statement) (claim, error) {
	out := claim{in: map[id.Bucket]int64{}}
	if !s.Read() {
		return out, nil
	}
	lines, err := f.lines(ctx, s)
	if err != nil {
		return out, err
	}
	for _, l := range lines {
		if l.State != lineClaim {
			continue
		}
		amount, err := f.ofLine(ctx, l)
		if err != nil {
			return out, err
		}
		if l.Kind == fop.LineRefund {
			amount = -amount
		}
		if out.in[l.Call.Bucket()], err = add(out.in[l.Call.Bucket()], amount); err == nil {
			out.total, err = add(out.total, amount)
		}
		if err != nil {
			return out, fmt.Errorf("claim of statement %s: %w", s.ID, err)
		}
	}
	return out, nil
}

// ofLine is what our books have of a line, in minor units.
func (f *Flows) ofLine(ctx context.Context, l fop.Line) (int64, error) {
	if l.Verdict == "" { // it agrees with them
		a, err := money.FromMicros(l.AmountMicros, l.Currency)
		return a.Minor, err
	}
	c, ok, err := f.read.Call(ctx, l.Call)
	if err != nil || !ok {
		return 0, fmt.Errorf("read call %s of a line (found %t): %w", l.Call, ok, err)
	}
	return c.Amount.Minor, nil
}

// pay has each bucket move its share of a paid statement.
func (f *Flows) pay(ctx context.Context, s fop.Statement) error {
	claim, err := f.claimOf(ctx, s)
	if err != nil {
		return err
	}
	for b, minor := range claim.in {
		if err := f.share(ctx, s, b, minor); err != nil {
			return err
		}
	}
	return f.changeStatement(ctx, "statement.rest", s, func(*book.Page, *fop.Statement) (*due.Due, error) { return nil, nil })
}

// share moves what a bucket has of a paid statement, once.
func (f *Flows) share(ctx context.Context, s fop.Statement, b id.Bucket, minor int64) error {
	key := fop.LineID(b, s.ID, fop.LineShare, 0)
	_, err := book.Do(ctx, f.book, book.Act[struct{}]{
		Name: "statement.share", Bucket: b, Background: true,
		Hint: func(p *book.Page) { p.Lines.Get(key) },
		Decide: func(p *book.Page) (struct{}, error) {
			if _, done := p.Lines.Get(key); done {
				return struct{}{}, nil
			}
			micros, err := money.Amount{Minor: minor, Currency: s.Currency}.Micros()
			if err != nil {
				return struct{}{}, err
			}
			row := fop.Line{
				ID: key, Statement: s.ID, Kind: fop.LineShare, Name: s.Name, Currency: s.Currency, State: lineClaim,
				AmountMicros: micros, FeeMicros: fop.NoFee, ChangedUS: p.NowUS(),
			}
			if minor != 0 {
				t, _, err := post(p, ledger.Transfer{Kind: ledger.KindRemittanceShare, Description: s.Name}, wallet{}, s.Currency,
					leg{accountName{googleOwner(fop.Name{Integration: s.Integration, Account: s.Account}), ledger.Receivable}, minor}, leg{accountName{house, ledger.Transit}, -minor})
				if err != nil {
					return struct{}{}, err
				}
				row.Transfer = t.ID
			}
			p.Lines.Put(row)
			return struct{}{}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("share of bucket %d in statement %s: %w", b, s.ID, err)
	}
	return nil
}
