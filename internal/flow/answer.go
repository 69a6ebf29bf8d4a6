package flow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"aorta/internal/book"
	"aorta/internal/id"
	"aorta/internal/payment"
)

// A request that its sender may repeat under a key is answered in three steps:
// Take writes that it is being answered and which id its thing will have, the
// flow begins that id, which it does once, and Keep writes the answer. Whoever
// dies on the way leaves a row without answer; the repeat goes on with its id.

// Call is such a request.
type Call struct {
	ProjectID int64
	Route     string
	Key       string
	Print     string // of what is asked: equal for repeats
	Thing     id.Raw // the id of what it makes, if it is the first; zero: it makes nothing by that
}

// Taken says whose turn a call is.
type Taken struct {
	Answer payment.Answer

	// Mine: the caller is to answer, and to say so by Keep or Drop. Otherwise
	// Answer has what was answered, or Status 0 if another is answering now.
	Mine bool
	// Again: somebody had begun to answer it before, so its thing may exist.
	Again bool
}

// running are the answers that this process is working on.
type running struct {
	mu  sync.Mutex
	now map[id.Answer]struct{}
}

func (r *running) add(a id.Answer) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now == nil {
		r.now = map[id.Answer]struct{}{}
	}
	if _, twice := r.now[a]; twice {
		return false
	}
	r.now[a] = struct{}{}
	return true
}

func (r *running) end(a id.Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.now, a)
}

// answerLease is how long a process that does not end what it answers is waited
// for, where nobody knows whether it lives. Its own calls end sooner.
const answerLease = 40 * time.Second

// maxTakes bounds the fight over a key that others take and give up.
const maxTakes = 8

// Take makes a call the caller's, unless it was answered or is being answered.
// The print is the caller's to compare: a row may be of another request.
func (f *Flows) Take(ctx context.Context, c Call) (Taken, error) {
	key := f.book.RefKey(payment.AnswerScope(c.ProjectID, c.Route), c.Key)
	for range maxTakes {
		t, gone, err := f.take(ctx, c, key)
		if err != nil || !gone {
			return t, err
		}
	}
	return Taken{}, fmt.Errorf("take a call: %w", book.ErrBusy)
}

func (f *Flows) take(ctx context.Context, c Call, key payment.RefKey) (t Taken, gone bool, err error) {
	want := id.Answer(f.book.Mint(key.Bucket))
	f.answers.add(want)
	type answer struct {
		row   payment.Answer
		known id.Answer
		epoch int64
	}
	a, err := book.Do(ctx, f.book, book.Act[answer]{
		Name: "answer.take", Bucket: key.Bucket,
		Hint: func(p *book.Page) { p.Refs.Get(key) },
		Decide: func(p *book.Page) (answer, error) {
			if r, ok := p.Refs.Get(key); ok {
				return answer{known: id.Answer(r.Target), epoch: p.Epoch()}, nil
			}
			row := payment.Answer{
				ID: want, ProjectID: c.ProjectID, Route: c.Route, Key: c.Key, Print: c.Print, Thing: c.Thing,
				Owner: p.Epoch(), CreatedUS: p.NowUS(), ChangedUS: p.NowUS(),
			}
			p.Refs.Put(payment.Ref{RefKey: key, Target: want.Raw()})
			p.Answers.New(row)
			return answer{row: row}, nil
		},
	})
	if err == nil && a.known.IsZero() {
		return Taken{Answer: a.row, Mine: true}, false, nil
	}
	f.answers.end(want)
	if err != nil {
		return Taken{}, false, fmt.Errorf("take a call: %w", err)
	}
	row, ok, err := f.read.Answer(ctx, a.known)
	switch {
	case err != nil:
		return Taken{}, false, fmt.Errorf("read answer: %w", err)
	case !ok: // given up meanwhile
		return Taken{}, true, nil
	case row.Status != 0 || row.Print != c.Print || !f.abandoned(row, a.epoch):
		return Taken{Answer: row}, false, nil
	}
	return f.takeOverCall(ctx, row)
}

// abandoned reports whether nobody is answering any more.
func (f *Flows) abandoned(row payment.Answer, epoch int64) bool {
	if row.Owner == epoch {
		f.answers.mu.Lock()
		defer f.answers.mu.Unlock()
		_, works := f.answers.now[row.ID]
		return !works
	}
	return f.opts.Dead(row.Owner) || f.opts.Now().UnixMicro()-row.ChangedUS > answerLease.Microseconds()
}

// Opening is a call whose key the act takes that begins what it asks for: one commit less
// than Take before it. What the act finds taken, or does not begin, it leaves alone, and
// the call is taken and answered in the three steps.
type Opening struct {
	Call Call
	ID   id.Answer

	key payment.RefKey
}

// Opening makes a call one; false where its key lies in another home than what it begins.
func (f *Flows) Opening(c Call, thing id.Payment) (*Opening, bool) {
	key := f.callKey(c)
	if !f.book.SameHome(key.Bucket, thing.Bucket()) {
		return nil, false
	}
	return &Opening{Call: c, ID: id.Answer(f.book.Mint(thing.Bucket())), key: key}, true
}

// errKeyTaken: the key of an opening is taken, and nothing was begun.
var errKeyTaken = errors.New("the key is taken")

// ErrOpened reports whether a call was not begun since its key is taken: Take tells more.
func ErrOpened(err error) bool { return errors.Is(err, errKeyTaken) }

// take writes that a call is being answered, by the act that begins its thing.
func (o *Opening) take(p *book.Page, thing id.Payment) (payment.Answer, error) {
	if _, taken := p.Refs.Get(o.key); taken {
		return payment.Answer{}, errKeyTaken
	}
	c := o.Call
	row := payment.Answer{
		ID: o.ID, ProjectID: c.ProjectID, Route: c.Route, Key: c.Key, Print: c.Print, Thing: thing.Raw(),
		Owner: p.Epoch(), CreatedUS: p.NowUS(), ChangedUS: p.NowUS(),
	}
	p.Refs.Put(payment.Ref{RefKey: o.key, Target: row.ID.Raw()})
	p.Answers.New(row)
	return row, nil
}

// Answered gives what a call was answered that came before; false if it was not, or
// another was asked under its key.
func (f *Flows) Answered(ctx context.Context, c Call) (payment.Answer, bool, error) {
	k, ok, err := f.book.Find(ctx, payment.AnswerScope(c.ProjectID, c.Route), c.Key)
	if err != nil || !ok {
		return payment.Answer{}, false, unread(err)
	}
	row, ok, err := f.read.Answer(ctx, id.Answer(k))
	return row, ok && row.Status != 0 && row.Print == c.Print, err
}

// errTaken: another has taken it over, or answered it.
var errTaken = errors.New("another answers")

func (f *Flows) takeOverCall(ctx context.Context, seen payment.Answer) (t Taken, gone bool, err error) {
	if !f.answers.add(seen.ID) {
		return Taken{Answer: seen}, false, nil
	}
	row, err := book.Do(ctx, f.book, book.Act[payment.Answer]{
		Name: "answer.again", Bucket: seen.ID.Bucket(),
		Hint: func(p *book.Page) { p.Answers.Get(seen.ID) },
		Decide: func(p *book.Page) (payment.Answer, error) {
			row, ok := p.Answers.Get(seen.ID)
			if !ok || row.Status != 0 || row.Owner != seen.Owner || row.ChangedUS != seen.ChangedUS {
				return payment.Answer{}, errTaken
			}
			row.Owner, row.ChangedUS = p.Epoch(), max(p.NowUS(), row.ChangedUS+1)
			p.Answers.Put(row)
			return row, nil
		},
	})
	if err != nil {
		f.answers.end(seen.ID)
		if errors.Is(err, errTaken) {
			return Taken{}, true, nil
		}
		return Taken{}, false, fmt.Errorf("take a call over: %w", err)
	}
	return Taken{Answer: row, Mine: true, Again: true}, false, nil
}

// Keep writes what a call is answered, and gives what it is answered: another who
// took it over may have been sooner.
func (f *Flows) Keep(ctx context.Context, a payment.Answer) (payment.Answer, error) {
	defer f.answers.end(a.ID)
	kept, err := book.Do(ctx, f.book, book.Act[payment.Answer]{
		Name: "answer.keep", Bucket: a.ID.Bucket(),
		Hint: func(p *book.Page) { p.Answers.Get(a.ID) },
		Decide: func(p *book.Page) (payment.Answer, error) {
			row, ok := p.Answers.Get(a.ID)
			if !ok || row.Status != 0 {
				return row, nil
			}
			row.Status, row.Media, row.Body, row.ChangedUS = a.Status, a.Media, a.Body, p.NowUS()
			p.Answers.Put(row)
			return row, nil
		},
	})
	if err != nil {
		return a, fmt.Errorf("keep an answer: %w", err)
	}
	if kept.Status == 0 { // given up by another: nothing was begun under its key
		return a, nil
	}
	return kept, nil
}

// Drop gives a key back that nothing was begun under.
func (f *Flows) Drop(ctx context.Context, a payment.Answer) error {
	defer f.answers.end(a.ID)
	key := f.book.RefKey(payment.AnswerScope(a.ProjectID, a.Route), a.Key)
	_, err := book.Do(ctx, f.book, book.Act[struct{}]{
		Name: "answer.drop", Bucket: a.ID.Bucket(),
		Hint: func(p *book.Page) { p.Answers.Get(a.ID); p.Refs.Get(key) },
		Decide: func(p *book.Page) (struct{}, error) {
			row, ok := p.Answers.Get(a.ID)
			r, named := p.Refs.Get(key)
			if !ok || row.Status != 0 || row.Owner != a.Owner || !named || r.Target != a.ID.Raw() {
				return struct{}{}, nil
			}
			p.Answers.Delete(a.ID)
			p.Refs.Delete(key)
			return struct{}{}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("give a key back: %w", err)
	}
	return nil
}

// Leave ends the work on a call without an answer: a repeat finds what became of
// its thing.
func (f *Flows) Leave(a payment.Answer) { f.answers.end(a.ID) }

// KeepAnswers is how long an answer is kept: a key that comes later is a new
// request, and merchant_payment_id and txn_id are the net behind it.
const KeepAnswers = 90 * 24 * time.Hour

// forgetPage is how many answers are forgotten at a time.
const forgetPage = 200

// ForgetAnswers gives up the keys of calls that were begun before an instant, and
// says how many: at most a page. Ids are ordered by time, so they are the first.
func (f *Flows) ForgetAnswers(ctx context.Context, before time.Time) (int, error) {
	rows, err := f.read.from.ScanAnswers(ctx, id.Answer{}, forgetPage)
	if err != nil {
		return 0, fmt.Errorf("read old answers: %w", err)
	}
	forgotten := 0
	for _, row := range rows {
		if row.ID.Compare(id.Answer(id.At(before))) >= 0 || row.ChangedUS >= before.UnixMicro() {
			break
		}
		key := f.book.RefKey(payment.AnswerScope(row.ProjectID, row.Route), row.Key)
		_, err := book.Do(ctx, f.book, book.Act[struct{}]{
			Name: "answer.forget", Bucket: row.ID.Bucket(), Background: true,
			Hint: func(p *book.Page) { p.Answers.Get(row.ID); p.Refs.Get(key) },
			Decide: func(p *book.Page) (struct{}, error) {
				if r, ok := p.Refs.Get(key); ok && r.Target == row.ID.Raw() {
					p.Refs.Delete(key)
				}
				if _, ok := p.Answers.Get(row.ID); ok {
					p.Answers.Delete(row.ID)
				}
				return struct{}{}, nil
			},
		})
		if err != nil {
			return forgotten, fmt.Errorf("forget an answer: %w", err)
		}
		forgotten++
	}
	return forgotten, nil
}

// TidyAnswers forgets old answers now and then, until the context ends.
func (f *Flows) TidyAnswers(ctx context.Context) {
	for ctx.Err() == nil {
		n, err := f.ForgetAnswers(ctx, f.opts.Now().Add(-KeepAnswers))
		if err != nil && ctx.Err() == nil {
			f.opts.Log.Warn("old answers are not forgotten", "error", err)
		}
		if n < forgetPage {
			f.opts.Sleep(ctx, tidyPause)
		}
	}
}

// tidyPause is how often it looks when there is nothing to forget.
const tidyPause = 10 * time.Minute
