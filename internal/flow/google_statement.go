package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"aorta/internal/book"
	"aorta/internal/due"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/recon"
)

// A statement is told by Google, read page by page, compared with our books outside of
// acts, and accepted if it agrees; if not, it waits for two people:
//
//	pulling ─▶ reconciled ─▶ accepting ─▶ accepted ─▶ paid
//	   └─▶ mismatch ─▶ (accept by two) reconciled, (dispute) disputed, (recheck) pulling
//
// Its due row goes on with it while nobody needs to be asked.

// Cases of statements.
const (
	caseStatement  = "statement_mismatch" // it does not agree with our books
	caseRemittance = "remittance"         // it is accepted: is its payment order right?
)

// Ways in which they are settled, beside SettleAccept.
const (
	SettleDispute = "dispute" // Google is asked to correct it, by a person
	SettleRecheck = "recheck" // it is compared once more, since our books or settings were wrong
	SettlePay     = "pay"     // the payment order is right, and may be given to the bank
)

const (
	pageLines = 200                // of one call; Google allows 1000, and a page is one act
	maxEvents = 1_000_000          // of one statement
	pullFor   = 72 * time.Hour     // until a statement that cannot be read is a person's
	lateBy    = 8 * 24 * time.Hour // how long after its call an asynchronous capture may take money: a week, and a day
	maxShown  = 50                 // of what does not agree, in a case
)

// StatementPage is a part of a statement's lines.
type StatementPage struct {
	Offset int64 // of the first
	Next   int64 // of the page after it; 0: this is the last
	Total  int64 // lines of the statement
	Lines  []StatementLine
	Due    *int64 // micros, if the page repeats what is owed
}

// StatementLine is one of them. A Kind that is none of package recon's is an event that
// we know nothing of.
type StatementLine struct {
	recon.Event
	Ours    string // our name of it, as Google repeats it
	Details string // the event as it was told, JSON
}

// Found is what the comparison of a statement found: its sums, and what does not agree.
type Found struct {
	Classes     map[recon.Class]int64 `json:"classes,omitempty"` // how often each
	Sums        *FoundSums            `json:"sums,omitempty"`    // none: they do not fit, or the statement was not read
	FeesChecked bool                  `json:"fees_checked"`      // false: there are no terms, and Google was believed
	Lines       []FoundLine           `json:"lines,omitempty"`   // the first of those that do not agree
	Missing     []FoundMissing        `json:"missing,omitempty"` // the first of ours that are in no statement
	Overlaps    []string              `json:"overlaps,omitempty"`
	Unread      string                `json:"unread,omitempty"` // why it could not be read
}

// FoundSums are sums in micros. Of what may be rounded either way it is the lower end,
// but for DueTo.
type FoundSums struct {
	Captures    int64 `json:"captures,string"`
	Refunds     int64 `json:"refunds,string"`
	Fees        int64 `json:"fees,string"`
	Tax         int64 `json:"tax,string"`
	Withholding int64 `json:"withholding,string"`
	Due         int64 `json:"due,string"` // by these events
	DueTo       int64 `json:"due_to,string"`
}

// FoundLine is a line that does not agree.
type FoundLine struct {
	Number  int64        `json:"number"`
	Kind    fop.LineKind `json:"kind"`
	Name    string       `json:"event"`
	Verdict string       `json:"differs"`
}

// FoundMissing is a capture or refund of ours that is in no statement.
type FoundMissing struct {
	Call      id.Call    `json:"call"`
	Method    fop.Method `json:"method"`
	RequestID string     `json:"request_id"`
	Amount    string     `json:"amount"`
	At        time.Time  `json:"at"`
}

func (f Found) agrees() bool { return len(f.Classes) == 0 && f.Unread == "" }

// FoundIn reads what the comparison of a statement found; the zero Found before there was one.
func FoundIn(s fop.Statement) (Found, error) {
	var out Found
	if s.Found == "" {
		return out, nil
	}
	if err := json.Unmarshal([]byte(s.Found), &out); err != nil {
		return out, fmt.Errorf("what was found in statement %s: %w", s.ID, err)
	}
	return out, nil
}

// statementPeriod is that of a statement, in Google's milliseconds.
func statementPeriod(s fop.Statement) recon.Period {
	return recon.Period{StartMS: s.FromUS / 1000, EndMS: s.UntoUS / 1000}
}

// Noting is a call that tells us a statement.
type Noting struct {
	GoogleCall
	Statement fop.Statement // its figures
}

// NoteStatement takes a statement that Google tells us, and has it read. Errors:
// ErrOtherCall, if there was one of that id with other figures; those of the book.
func (f *Flows) NoteStatement(ctx context.Context, n Noting) (fop.Call, error) {
	if row, known, err := f.first(ctx, n.GoogleCall); err != nil || known {
		return row, err
	}
	b := f.book.RefKey(n.Scope(), n.RequestID).Bucket
	return f.once(ctx, n.GoogleCall, "google.statement", b, func(*book.Page) {}, func(p *book.Page, c *fop.Call) (Answered, error) {
		s := n.Statement
		s.ID, s.Call, s.Integration, s.Account, s.Name = id.Statement(p.Mint()), c.ID, n.Integration, n.Account, n.RequestID
		s.State, s.Events, s.CreatedUS, s.ChangedUS = fop.StatementPulling, fop.EventsUnknown, p.NowUS(), p.NowUS()
		p.Statements.New(s)
		p.Due.New(*goOn(p, s))
		c.About, c.Result = s.ID.Raw(), fop.StatementAcknowledged
		return Answered{}, nil
	})
}

// statement goes on with a statement.
func (f *Flows) statement(ctx context.Context, d due.Due) error {
	if _, held := d.Carry.(heldOn); held {
		return nil // who has it goes on
	}
	s, ok, err := f.read.Statement(ctx, id.Statement(d.ID))
	switch {
	case err != nil || !ok:
		return fmt.Errorf("read statement (found %t): %w", ok, err)
	case f.opts.Google == nil:
		return errNoGoogle
	}
	contract, known := f.opts.Google.Contract(s.Integration)
	if !known {
		return fmt.Errorf("integration %q of statement %s: %w", s.Integration, s.ID, errNoGoogle)
	}
	switch s.State {
	case fop.StatementPulling:
		if s.Read() {
			return f.reconcile(ctx, d, s, contract)
		}
		return f.pull(ctx, d, s)
	case fop.StatementReconciled:
		return f.accept(ctx, s, contract)
	case fop.StatementPaid:
		return f.pay(ctx, s)
	case fop.StatementMismatch, fop.StatementDisputed, fop.StatementAccepting, fop.StatementAccepted: // it waits for somebody
	}
	return f.changeStatement(ctx, "statement.rest", s, func(*book.Page, *fop.Statement) (*due.Due, error) { return nil, nil })
}

// changeStatement changes a statement in an act, and its due row; nil deletes that. If
// the statement is not as it was, nothing is done: somebody else goes on with it.
func (f *Flows) changeStatement(ctx context.Context, name string, was fop.Statement, change func(*book.Page, *fop.Statement) (*due.Due, error)) error {
	_, err := book.Do(ctx, f.book, book.Act[struct{}]{
		Name: name, Bucket: was.ID.Bucket(), Background: true,
		Hint: func(p *book.Page) { p.Statements.Get(was.ID); p.Due.Get(was.ID.Raw()) },
		Decide: func(p *book.Page) (struct{}, error) {
			s, ok := p.Statements.Get(was.ID)
			p.Due.Get(was.ID.Raw())
			if !ok || s != was {
				return struct{}{}, nil
			}
			next, err := change(p, &s)
			if err != nil {
				return struct{}{}, err
			}
			if s != was {
				// What comes after is told from what was before by its time, so no two changes share one.
				s.ChangedUS = max(p.NowUS(), was.ChangedUS+1)
				p.Statements.Put(s)
			}
			if next == nil {
				p.Due.Delete(was.ID.Raw())
			} else {
				p.Due.Put(*next)
			}
			return struct{}{}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("%s %s: %w", name, was.ID, err)
	}
	return nil
}

func goOn(p *book.Page, s fop.Statement) *due.Due {
	d := due.Now(s.ID.Raw(), due.Statement, p.NowUS(), p.Epoch(), nil)
	return &d
}

// pull reads the next page of a statement.
func (f *Flows) pull(ctx context.Context, d due.Due, s fop.Statement) error {
	// Each page, and each reading of it anew, is a call of its own; a try of it is not.
	request := s.ID.String() + "-" + strconv.FormatInt(s.Offset, 10) + "-" + strconv.FormatInt(s.ChangedUS, 10)
	page, heard := f.opts.Google.Lines(ctx, s, request, pageLines)
	if heard.Stranger {
		f.opts.Log.Error("ALARM: Google does not know us: compare keys and accounts", "integration", s.Integration, "account", s.Account, "statement", s.Name, "said", heard.Said)
	}
	wrong := ""
	end := s.Offset + int64(len(page.Lines))
	switch {
	case !heard.OK:
		wrong = heard.Said
	case page.Total < 0 || page.Total > maxEvents:
		heard.OK, wrong = false, fmt.Sprintf("%d events; at most %d are read", page.Total, maxEvents)
	case page.Offset != s.Offset, page.Next != 0 && (page.Next != end || len(page.Lines) == 0), page.Next == 0 && end != page.Total, end > page.Total:
		heard.OK, heard.Again = false, true
		wrong = fmt.Sprintf("page from %d: Google answers from %d with %d events, next %d of %d", s.Offset, page.Offset, len(page.Lines), page.Next, page.Total)
	case page.Due != nil && *page.Due != s.DueMicros:
		heard.OK, wrong = false, fmt.Sprintf("the details say that %d micros are owed, the notification said %d", *page.Due, s.DueMicros)
	}
	return f.changeStatement(ctx, "statement.page", s, func(p *book.Page, s *fop.Statement) (*due.Due, error) {
		later := due.At(s.ID.Raw(), due.Statement, p.NowUS()+tellPause(id.Told(s.ID), d.Tries+1).Microseconds())
		later.Tries = d.Tries
		switch {
		case !heard.OK && (!heard.Again || p.NowUS() > s.CreatedUS+pullFor.Microseconds()):
			mismatch(p, s, Found{Unread: clip(wrong)})
			return nil, nil
		case !heard.OK && !heard.Stranger && heard.Status == 200 || heard.OK && s.Events >= 0 && page.Total != s.Events:
			// It has changed while it was read: from the start.
			s.Offset, s.Lines, s.Events = 0, 0, fop.EventsUnknown
			return &later, nil
		case !heard.OK:
			return &later, nil
		}
		for n, line := range page.Lines {
			number := s.Offset + int64(n)
			row := lineOf(*s, number, line)
			p.Lines.Get(row.ID)
			row.ChangedUS = p.NowUS()
			p.Lines.Put(row)
		}
		s.Offset, s.Lines, s.Events = end, end, page.Total
		return goOn(p, *s), nil
	})
}

func lineOf(s fop.Statement, number int64, l StatementLine) fop.Line {
	row := fop.Line{
		ID: fop.LineID(s.ID.Bucket(), s.ID, fop.LineKind(l.Kind), number), Statement: s.ID, Number: number, Kind: fop.LineKind(l.Kind), Name: l.Name, Ours: l.Ours,
		Currency: l.Currency, Details: l.Details, AmountMicros: l.Micros, FeeMicros: fop.NoFee, AtUS: l.AtMS * 1000,
	}
	if l.HasFee {
		row.FeeMicros = l.Fee
	}
	return row
}

func eventOf(l fop.Line) recon.Event {
	e := recon.Event{Kind: recon.Kind(l.Kind), Name: l.Name, Currency: l.Currency, Micros: l.AmountMicros, AtMS: l.AtUS / 1000}
	if l.FeeMicros != fop.NoFee {
		e.HasFee, e.Fee = true, l.FeeMicros
	}
	return e
}

// mismatch has a person look at a statement.
func mismatch(p *book.Page, s *fop.Statement, found Found) {
	s.State, s.Found = fop.StatementMismatch, string(encoded(found))
	s.Case = openAgain(p, caseStatement, s.ID.String(), map[string]any{
		"statement": s.ID.String(), "integration": s.Integration, "account": s.Account, "statement_id": s.Name,
		"currency": s.Currency, "due_micros": strconv.FormatInt(s.DueMicros, 10), "found": found,
	})
}

// lines reads all lines of a statement, in order.
func (f *Flows) lines(ctx context.Context, s fop.Statement) ([]fop.Line, error) {
	out := make([]fop.Line, s.Lines)
	err := inParallel(ctx, len(out), func(ctx context.Context, n int) error {
		row, ok, err := f.read.Line(ctx, fop.LineID(s.ID.Bucket(), s.ID, "", int64(n)))
		if err != nil || !ok {
			return fmt.Errorf("read line %d of statement %s (found %t): %w", n, s.ID, ok, err)
		}
		out[n] = row
		return nil
	})
	return out, err
}

// wide is how many rows are looked for at once.
const wide = 32

// inParallel does n things, some at a time, and gives the first error.
func inParallel(ctx context.Context, n int, do func(context.Context, int) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var all sync.WaitGroup
	next := make(chan int)
	for range min(wide, n) {
		all.Go(func() {
			for k := range next {
				if err := do(ctx, k); err != nil {
					stop(err)
					return
				}
			}
		})
	}
	for k := 0; k < n && ctx.Err() == nil; k++ {
		select {
		case next <- k:
		case <-ctx.Done():
		}
	}
	close(next)
	all.Wait()
	return context.Cause(ctx)
}

// reconcile compares a statement that was read with our books.
func (f *Flows) reconcile(ctx context.Context, d due.Due, s fop.Statement, c Contract) error {
	lines, err := f.lines(ctx, s)
	if err != nil {
		return err
	}
	hold := f.hold(d)
	if err := f.judge(ctx, s, c, lines, hold); err != nil {
		return err
	}
	found, err := sumUp(s, c, lines)
	if err != nil {
		return err
	}
	if err := f.missing(ctx, s, c.Terms, &found, hold); err != nil {
		return err
	}
	if err := f.overlaps(ctx, s, &found); err != nil {
		return err
	}
	if !found.agrees() {
		f.opts.Log.Warn("a statement of Google's differs from our books", "statement", s.ID.String(), "classes", found.Classes)
	}
	return f.changeStatement(ctx, "statement.reconcile", s, func(p *book.Page, s *fop.Statement) (*due.Due, error) {
		if !found.agrees() {
			mismatch(p, s, found)
			return nil, nil
		}
		s.State, s.Found = fop.StatementReconciled, string(encoded(found))
		return goOn(p, *s), nil
	})
}

// States of a line that was compared.
const (
	lineSeen  = "seen"  // its money leaves receivable by no share, or by another statement's
	lineClaim = "claim" // what our books have under its name is this statement's
)

// judge compares each line with our books, and writes what it found. What our books
// have becomes this statement's, so that no second one is paid for it.
func (f *Flows) judge(ctx context.Context, s fop.Statement, c Contract, lines []fop.Line, hold func(context.Context) error) error {
	first := map[string]int{}
	twice := make([]bool, len(lines))
	for n, l := range lines {
		key := string(l.Kind) + " " + l.Name
		if _, seen := first[key]; seen {
			twice[n] = true
			continue
		}
		first[key] = n
	}
	for from := 0; from < len(lines); from += pageLines {
		if err := hold(ctx); err != nil {
			return err
		}
		part := lines[from:min(from+pageLines, len(lines))]
		err := inParallel(ctx, len(part), func(ctx context.Context, n int) error {
			var err error
			part[n], err = f.judgeLine(ctx, s, c.Terms, part[n], twice[from+n])
			return err
		})
		if err != nil {
			return err
		}
		if err := f.writeLines(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

func (f *Flows) judgeLine(ctx context.Context, s fop.Statement, t recon.Terms, l fop.Line, twice bool) (fop.Line, error) {
	var fact recon.Fact
	l.Call, l.State = id.Call{}, lineSeen
	m, counted := methodOf(l.Kind)
	if !counted {
		l.Verdict = string(recon.MissingAtUs)
		return l, nil
	}
	call, claimed, err := f.claimCall(ctx, s, m, l.Name, !twice)
	if err != nil {
		return l, err
	}
	if !call.ID.IsZero() {
		l.Call = call.ID
		fact = recon.Fact{Amount: call.Amount, AtUS: movedUS(call), Elsewhere: !claimed && call.Statement != s.ID && !call.Statement.IsZero()}
	}
	if claimed {
		l.State = lineClaim
	}
	wrong, err := t.Judge(eventOf(l), fact, !l.Call.IsZero(), twice, s.Currency, statementPeriod(s))
	if err != nil {
		return l, fmt.Errorf("line %d of statement %s: %w", l.Number, s.ID, err)
	}
	l.Verdict = ""
	for n, class := range wrong {
		if n > 0 {
			l.Verdict += ","
		}
		l.Verdict += string(class)
	}
	return l, nil
}

// methodOf is what a line's name is a name of; false: it is about nothing that we know.
func methodOf(k fop.LineKind) (fop.Method, bool) {
	switch k {
	case fop.LineCapture:
		return fop.CaptureNow, true
	case fop.LineRefund:
		return fop.Refund, true
	case fop.LineShare: // no event is one
	}
	return "", false
}

// movedUS is when a call's money moved.
func movedUS(c fop.Call) int64 { return c.Transfer.Raw().Time().UnixMicro() }

// claimCall finds the capture or refund of a name that has moved money, the zero Call if
// there is none, and makes it this statement's if it may. One of a statement that is
// disputed is free again.
func (f *Flows) claimCall(ctx context.Context, s fop.Statement, m fop.Method, name string, may bool) (fop.Call, bool, error) {
	scope := fop.Name{Integration: s.Integration, Method: m, Account: s.Account}.Scope()
	raw, ok, err := f.book.Find(ctx, scope, name)
	if err != nil || !ok {
		return fop.Call{}, false, unread(err)
	}
	call, ok, err := f.read.Call(ctx, id.Call(raw))
	switch {
	case err != nil:
		return call, false, err
	case !ok || call.Transfer.IsZero():
		return fop.Call{}, false, nil
	case call.Amount.Currency != s.Currency || !may: // money of another currency is no part of it
		return call, false, nil
	case call.Statement == s.ID:
		return call, true, nil
	}
	free, err := f.free(ctx, call.Statement)
	if err != nil || !free {
		return call, false, err
	}
	was := call.Statement
	call, err = book.Do(ctx, f.book, book.Act[fop.Call]{
		Name: "google.match", Bucket: call.ID.Bucket(), Background: true,
		Hint: func(p *book.Page) { p.Calls.Get(call.ID) },
		Decide: func(p *book.Page) (fop.Call, error) {
			c, ok := p.Calls.Get(call.ID)
			if !ok {
				return c, fmt.Errorf("call %s is gone", call.ID)
			}
			if c.Statement == was {
				c.Statement, c.ChangedUS = s.ID, p.NowUS()
				p.Calls.Put(c)
			}
			return c, nil
		},
	})
	if err != nil {
		return call, false, fmt.Errorf("match call: %w", err)
	}
	return call, call.Statement == s.ID, nil
}

// free reports whether what a statement claims may be another's: it is none, or disputed.
func (f *Flows) free(ctx context.Context, k id.Statement) (bool, error) {
	if k.IsZero() {
		return true, nil
	}
	s, ok, err := f.read.Statement(ctx, k)
	if err != nil || !ok {
		return false, fmt.Errorf("read statement %s that a call is of (found %t): %w", k, ok, err)
	}
	return s.State == fop.StatementDisputed, nil
}

// writeLines writes lines of one statement as they were judged.
func (f *Flows) writeLines(ctx context.Context, lines []fop.Line) error {
	_, err := book.Do(ctx, f.book, book.Act[struct{}]{
		Name: "statement.lines", Bucket: lines[0].ID.Bucket(), Background: true,
		Hint: func(p *book.Page) {
			for _, l := range lines {
				p.Lines.Get(l.ID)
			}
		},
		Decide: func(p *book.Page) (struct{}, error) {
			for _, l := range lines {
				if row, ok := p.Lines.Get(l.ID); ok && row != l {
					l.ChangedUS = p.NowUS()
					p.Lines.Put(l)
				}
			}
			return struct{}{}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("write lines: %w", err)
	}
	return nil
}

// sumUp adds up what the lines say, and what was found wrong with them.
func sumUp(s fop.Statement, c Contract, lines []fop.Line) (Found, error) {
	out := Found{Classes: map[recon.Class]int64{}, FeesChecked: c.Terms.Checked}
	var sums recon.Sums
	var wrong error
	whole := true // all events are in the statement's currency
	for _, l := range lines {
		if l.Verdict != "" {
			for class := range strings.SplitSeq(l.Verdict, ",") {
				out.Classes[recon.Class(class)]++
			}
			if len(out.Lines) < maxShown {
				out.Lines = append(out.Lines, FoundLine{l.Number, l.Kind, l.Name, l.Verdict})
			}
		}
		if _, counted := methodOf(l.Kind); !counted {
			continue
		}
		if l.Currency != s.Currency {
			whole = false
			continue
		}
		if wrong == nil {
			sums, wrong = sums.Add(c.Terms, eventOf(l))
		}
	}
	if wrong == nil {
		var owed recon.Range
		if owed, wrong = sums.Due(); wrong == nil {
			out.Sums = &FoundSums{
				Captures: sums.Captures, Refunds: sums.Refunds, Fees: sums.Fees.Low, Tax: sums.Tax.Low, Withholding: sums.Withholding.Low,
				Due: owed.Low, DueTo: owed.High,
			}
			if whole && !owed.Holds(s.DueMicros) {
				out.Classes[recon.TotalDiff]++
			}
		}
	}
	if errors.Is(wrong, money.ErrRange) { // no sum of theirs can be the total
		out.Classes[recon.TotalDiff]++
		wrong = nil
	}
	return out, wrong
}

// missing finds captures and refunds of ours that should be in the statement, or in one
// before it, and are in none.
func (f *Flows) missing(ctx context.Context, s fop.Statement, t recon.Terms, found *Found, hold func(context.Context) error) error {
	period := statementPeriod(s)
	from, to := period.DueFromUS(t.SlackUS), period.DueToUS(t.SlackUS)
	after := id.Call(id.At(time.UnixMicro(from).Add(-lateBy)))
	for {
		if err := hold(ctx); err != nil {
			return err
		}
		rows, err := f.read.from.ScanCalls(ctx, after, scanRows)
		if err != nil {
			return unread(err)
		}
		for _, c := range rows {
			after = c.ID
			at := movedUS(c)
			if c.ID.Raw().Time().UnixMicro() > to {
				return nil
			}
			if c.Integration != s.Integration || c.Account != s.Account || c.Transfer.IsZero() || c.Amount.Currency != s.Currency || !period.Due(at, t.SlackUS) {
				continue
			}
			open, err := f.free(ctx, c.Statement)
			if err != nil {
				return err
			}
			if !open {
				continue
			}
			found.Classes[recon.MissingAtGoogle]++
			if len(found.Missing) < maxShown {
				found.Missing = append(found.Missing, FoundMissing{c.ID, c.Method, c.RequestID, c.Amount.Decimal(), time.UnixMicro(at).UTC()})
			}
		}
		if len(rows) < scanRows {
			return nil
		}
	}
}

// scanRows is a page of a scan.
const scanRows = 500

// overlaps finds statements that claim a part of the same time: those told before this
// one, but for disputed ones.
func (f *Flows) overlaps(ctx context.Context, s fop.Statement, found *Found) error {
	for after := (id.Statement{}); ; {
		rows, err := f.read.from.ScanStatements(ctx, after, scanRows)
		if err != nil {
			return unread(err)
		}
		for _, o := range rows {
			after = o.ID
			if o.Integration != s.Integration || o.Account != s.Account || o.Currency != s.Currency || o.State == fop.StatementDisputed ||
				o.ID.Compare(s.ID) >= 0 || !statementPeriod(o).Overlaps(statementPeriod(s)) {
				continue
			}
			found.Classes[recon.WrongPeriod]++
			if len(found.Overlaps) < maxShown {
				found.Overlaps = append(found.Overlaps, o.Name)
			}
		}
		if len(rows) < scanRows {
			return nil
		}
	}
}

// hold keeps the lease of a piece of work that takes long, asked now and then. An error
// says that somebody else has taken it.
func (f *Flows) hold(d due.Due) func(context.Context) error {
	return func(ctx context.Context) error {
		if leaseOf(d).Sub(f.opts.Now()) > due.LeaseUS/2*time.Microsecond {
			return nil
		}
		longer, err := book.Do(ctx, f.book, book.Act[due.Due]{
			Name: "statement.hold", Bucket: d.ID.Bucket(), Background: true,
			Hint: func(p *book.Page) { p.Due.Get(d.ID) },
			Decide: func(p *book.Page) (due.Due, error) {
				row, ok := p.Due.Get(d.ID)
				if !ok || row.Owner != d.Owner || row.DueUS != d.DueUS {
					return row, errTakenOver
				}
				row.DueUS = p.NowUS() + due.LeaseUS
				row.Carry = heldOn{}
				p.Due.Put(row)
				return row, nil
			},
		})
		if err == nil {
			d = longer
		}
		return err
	}
}

// errTakenOver: another process, or another goroutine, goes on with it.
var errTakenOver = errors.New("the work was taken over")

// heldOn is the Carry of work whose lease was made longer: who gets it leaves it alone.
type heldOn struct{}

// accept has Google hear that a statement is accepted.
func (f *Flows) accept(ctx context.Context, s fop.Statement, c Contract) error {
	found, err := FoundIn(s)
	if err != nil {
		return err
	}
	return f.changeStatement(ctx, "statement.accept", s, func(p *book.Page, s *fop.Statement) (*due.Due, error) {
		if c.AckAccepts {
			s.State = fop.StatementAccepting
			return nil, acceptedNow(p, s)
		}
		body := acceptTold{Account: s.Account, Statement: s.Name}
		method := tellAccept
		if c.VAT.Ratio > 0 && found.Sums != nil && found.Sums.Fees != 0 {
			fee, vat, err := c.VAT.Split(found.Sums.Fees)
			if err != nil {
				return nil, fmt.Errorf("split the fee of statement %s: %w", s.ID, err)
			}
			method = tellChanged
			body.VAT = &vatTold{c.VAT.Ratio}
			s.Changes = string(encoded(changesTold{*body.VAT, fee, vat}))
		}
		s.State = fop.StatementAccepting
		tellGoogle(p, s.ID.Raw(), s.Integration, s.Account, method, body)
		return nil, nil
	})
}

// acceptTold is the body of both ways to accept.
type acceptTold struct {
	Account   string   `json:"paymentIntegratorAccountId"`
	Statement string   `json:"statementId"`
	VAT       *vatTold `json:"feeToVatModification,omitempty"`
}

type vatTold struct {
	Ratio int64 `json:"vatToFeeRatioInMicros,string"`
}

// changesTold is what a statement keeps of its modification.
type changesTold struct {
	VAT vatTold `json:"feeToVatModification"`
	Fee int64   `json:"fee_micros,string"`
	Tax int64   `json:"vat_micros,string"`
}

// accepted is that Google has heard of it.
func accepted(p *book.Page, k id.Statement) error {
	s, ok := p.Statements.Get(k)
	if !ok || s.State != fop.StatementAccepting {
		return nil
	}
	if err := acceptedNow(p, &s); err != nil {
		return err
	}
	s.ChangedUS = max(p.NowUS(), s.ChangedUS+1)
	p.Statements.Put(s)
	return nil
}
