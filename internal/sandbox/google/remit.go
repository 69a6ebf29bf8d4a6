package google

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// The terms of the contract, in millionths: of each capture, kept with a refund
// too, and the tax on that (section 7).
const (
	feeRate = 25_000
	taxRate = 180_000
	whole   = 1_000_000
)

// What can be made wrong in a statement.
const (
	leaveOut     = "leave_out"    // its first event is missing
	wrongAmount  = "wrong_amount" // its first event has 1.00 more
	wrongFee     = "wrong_fee"    // its first event has 1.00 more of fee
	duplicate    = "duplicate"    // its first event is there twice
	wrongTotal   = "wrong_total"  // its events are right, its total has 5.00 more
	unknownEvent = "unknown_event"
)

// wrongs are all of them, with what the page calls them.
var wrongs = []struct{ ID, Text string }{
	{"", "as it should be"},
	{leaveOut, "leave the first event out"},
	{wrongAmount, "the first event 1.00 too much"},
	{wrongFee, "the fee of the first event 1.00 too much"},
	{duplicate, "the first event twice"},
	{unknownEvent, "an event that never was"},
	{wrongTotal, "the total 5.00 too much"},
}

// payAfter is from a statement to when its money is due.
const payAfter = 7 * 24 * time.Hour

// firstPeriod is how long the first one is.
const firstPeriod = 24 * time.Hour

// endPeriod ends the period now, and tells the integrator of it.
func (p *Peer) endPeriod(ctx context.Context, wrong string) (id, says string) {
	s, err := p.newStatement(wrong, "")
	if err != nil {
		return "", err.Error()
	}
	return s.ID, p.note(ctx, s)
}

// correct writes the statement that replaces one which the integrator has disputed: of
// the same period, as it should have been. It is up to people to have disputed it.
func (p *Peer) correct(ctx context.Context, id string) string {
	s, err := p.newStatement("", id)
	if err != nil {
		return err.Error()
	}
	return p.note(ctx, s)
}

// note tells the integrator of a statement.
func (p *Peer) note(ctx context.Context, s statement) string {
	a, err := p.call(ctx, call{Method: "remittanceStatementNotification", ID: s.ID, Members: object{
		"paymentIntegratorAccountId": p.opts.Integrator.Account, "remittanceStatementSummary": s.summary(),
	}})
	if err != nil {
		return err.Error()
	}
	return p.noted(s.ID, a)
}

// noted takes the answer of remittanceStatementNotification.
func (p *Peer) noted(id string, a answer) string {
	s, err := change(p, &p.book.statements, id, func(s *statement) line { return line{Statement: s} }, func(s *statement) bool {
		if s.State == notified {
			s.Says = a.says()
			if a.ok() && a.result() == "ACCEPTED" { // received, whatever the word
				s.State = received
			}
		}
		return true
	})
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("Statement of %d events, due %s: %s.", len(s.Lines), rupees(s.Total), s.word())
}

// word says how a statement stands.
func (s statement) word() string {
	switch s.State {
	case received:
		return "received by Aorta, which has read " + strconv.Itoa(s.Read) + " of its lines"
	case accepted, acceptedWith:
		return s.Says
	}
	return "told, without a final answer: " + s.Says
}

// newStatement writes a statement of all that has ended since the last one or, with
// replaces, of what should have been in that one.
func (p *Peer) newStatement(wrong, replaces string) (statement, error) {
	if !slices.ContainsFunc(wrongs, func(w struct{ ID, Text string }) bool { return w.ID == wrong }) {
		return statement{}, fmt.Errorf("nothing is wrong in the way of %q", wrong)
	}
	p.book.Lock()
	defer p.book.Unlock()
	now := p.clock()
	s := statement{
		ID: p.name("stm-"), EndMS: now.UnixMilli(), AtMS: now.UnixMilli(), DueMS: now.Add(payAfter).UnixMilli(), Wrong: wrong, State: notified,
	}
	s.Memo = s.ID + "-aorta"
	since, err := p.period(&s, replaces)
	if err != nil {
		return s, err
	}
	told := map[string]bool{}
	for _, old := range p.book.statements.all() {
		if old.ReplacedBy == "" && old.ID != replaces {
			for _, l := range old.Lines {
				told[l.ID] = true
			}
		}
	}
	of := func(id, state string, endedMS int64) bool {
		return state == done && !told[id] && since <= endedMS && endedMS <= s.EndMS
	}
	for _, b := range p.book.purchases.all() {
		if of(b.ID, b.State, b.EndedMS) {
			s.Lines = append(s.Lines, event{ID: b.ID, Theirs: b.Theirs, AtMS: b.EndedMS, Micros: b.Micros, Fee: b.Micros * feeRate / whole})
		}
	}
	for _, r := range p.book.refunds.all() {
		if of(r.ID, r.State, r.EndedMS) {
			s.Lines = append(s.Lines, event{Refund: true, ID: r.ID, Theirs: r.Theirs, AtMS: r.EndedMS, Micros: r.Micros})
		}
	}
	slices.SortStableFunc(s.Lines, func(a, b event) int { return int(a.AtMS - b.AtMS) })
	if err := s.spoil(p.name("cap-")); err != nil {
		return s, err
	}
	s.sum()
	if wrong == wrongTotal {
		s.Total += 5_000_000
	}
	if replaces != "" {
		was := p.book.statements.rows[replaces]
		was.ReplacedBy = s.ID
		if err := p.keepLocked(line{Statement: &was}); err != nil {
			return s, err
		}
	}
	return s, p.keepLocked(line{Statement: &s})
}

// period sets what a statement is about, and gives from when on its events are: what the
// last statement has left out is in the next one.
func (p *Peer) period(s *statement, replaces string) (since int64, err error) {
	if replaces != "" {
		was, known := p.book.statements.rows[replaces]
		if !known || was.ReplacedBy != "" {
			return 0, errors.New("there is no such statement, or it is replaced already")
		}
		s.StartMS, s.EndMS = was.StartMS, was.EndMS
		return s.StartMS, nil
	}
	for _, old := range p.book.statements.all() {
		s.StartMS = max(s.StartMS, old.EndMS+1)
	}
	if s.StartMS == 0 {
		s.StartMS = s.AtMS - firstPeriod.Milliseconds() + 1
	}
	if s.StartMS > s.EndMS {
		return 0, errors.New("the period before has just ended")
	}
	return 0, nil
}

// spoil makes a statement wrong as it says.
func (s *statement) spoil(stranger string) error {
	if len(s.Lines) == 0 && s.Wrong != "" && s.Wrong != unknownEvent && s.Wrong != wrongTotal {
		return errors.New("nothing has happened that could be wrong in a statement")
	}
	switch s.Wrong {
	case leaveOut:
		s.Lines = s.Lines[1:]
	case wrongAmount:
		s.Lines[0].Micros += 1_000_000
	case wrongFee:
		s.Lines[0].Fee += 1_000_000
	case duplicate:
		s.Lines = append(s.Lines, s.Lines[0])
	case unknownEvent:
		s.Lines = append(s.Lines, event{ID: stranger, AtMS: s.EndMS, Micros: 100_000_000, Fee: 100_000_000 * feeRate / whole})
	}
	return nil
}

// sum adds a statement up (section 7).
func (s *statement) sum() {
	for _, l := range s.Lines {
		if l.Refund {
			s.Total -= l.Micros
			continue
		}
		s.Total += l.Micros
		s.Fees += l.Fee
	}
	s.Tax = s.Fees * taxRate / whole
	s.Total -= s.Fees + s.Tax
}
