package book

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/instrument"
	"aorta/internal/ledger"
	"aorta/internal/limit"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/project"
)

// Page is the working set of the batch being written, one table per kind of
// row. Get of a row that is not loaded ends this run of Decide; the book loads
// the row and runs Decide again, so Decide is written as if every row were
// there. Rows are values: only Put, New and Delete change the page.
//
// A Page belongs to the act that runs and must not be kept.
type Page struct {
	Refs        *Rows[payment.Ref, payment.RefKey]
	Customers   *Rows[customer.Customer, id.Customer]
	Instruments *Rows[instrument.Instrument, id.Instrument]
	Payments    *Rows[payment.Payment, id.Payment]
	Operations  *Rows[payment.Operation, id.Operation]
	Attempts    *Rows[payment.Attempt, id.Attempt]
	Accounts    *Rows[ledger.Account, id.Account]
	Deliveries  *Rows[event.Delivery, id.Delivery]
	Inbox       *Rows[payment.Inbox, id.Inbox]
	Cases       *Rows[payment.Case, id.Case]
	Rounds      *Rows[ledger.Round, id.Round]
	Endpoints   *Rows[event.Endpoint, id.Endpoint]
	Due         *Rows[due.Due, id.Raw]
	Keys        *Rows[project.Key, id.Key]
	Answers     *Rows[payment.Answer, id.Answer]
	Windows     *Rows[limit.Window, id.Window]
	Checks      *Rows[customer.Check, id.Check]
	Persons     *Rows[customer.Person, id.Person]
	Reviews     *Rows[payment.Review, id.Raw]
	Operators   *Rows[operator.Operator, id.Operator]
	AuditHeads  *Rows[operator.Head, id.Raw]
	Floats      *Rows[limit.Float, id.Raw]
	Claims      *Rows[limit.Claim, id.Raw]

	Calls        *Rows[fop.Call, id.Call]
	Associations *Rows[fop.Association, id.Association]
	Linked       *Rows[fop.Linked, id.Raw]
	Spent        *Rows[fop.Spent, id.Raw]
	Proofs       *Rows[fop.Proof, id.Proof]
	Codes        *Rows[fop.Code, id.Code]
	Statements   *Rows[fop.Statement, id.Statement]
	Lines        *Rows[fop.Line, id.Raw]
	Told         *Rows[fop.Told, id.Told]

	Transfers *Log[ledger.Transfer]
	Events    *Log[event.Event]
	Requests  *Log[payment.Request]
	Notes     *Log[customer.Note]
	Audit     *Log[operator.Entry]

	tables []table
	out    Changes
	batch  uint64 // counts batches, and runs of them
	shared bool   // others may have changed rows since an earlier batch: see Change.Check
	again  bool   // this batch met another committer, and runs again
	act    string
	bucket id.Bucket
	holds  func(id.Bucket) bool // buckets of this home
	hint   bool
	now    time.Time
	mint   id.Minter
	epoch  int64
	number func() int64
}

// Now is the instant of this run, to the microsecond.
func (p *Page) Now() time.Time { return p.now }

// NowUS is Now in unix microseconds, as rows keep it.
func (p *Page) NowUS() int64 { return p.now.UnixMicro() }

// Mint makes a new id in the act's bucket.
func (p *Page) Mint() id.Raw { return p.mint.Mint(p.now, p.bucket) }

// Bucket is the act's.
func (p *Page) Bucket() id.Bucket { return p.bucket }

// Epoch names the process that writes, for the rows it leases to itself.
func (p *Page) Epoch() int64 { return p.epoch }

// Number gives an integer < 2^53 that nobody else gets (gaps are normal).
func (p *Page) Number() int64 { return p.number() }

// table is what the book does with every kind of row alike.
type table interface {
	begin()
	undo()
	fill(*Found)
	want(k *Keys, first bool) bool
	collect(*Changes)
	settle()
	drop()
	forget()
	open(now time.Time)
	suspect(now time.Time)
	changedByOthers() bool
}

// miss ends a run of Decide that asked for a row which is not loaded.
type miss struct{}

// Rows is one kind of row on a page.
type Rows[R any, K comparable] struct {
	page   *Page
	key    func(R) K
	bucket func(K) id.Bucket
	cmp    func(a, b K) int
	ref    bool // may lie in another bucket of the same home
	free   bool // rows are read without a lock, and held when they are written: see Rows.unlocked
	found  func(*Found) *[]Stored[R]
	keys   func(*Keys) *[]K
	change func(*Changes) *Change[R, K]

	cur, old map[K]*entry[R] // rows loaded; old holds what is kept from before
	wanted   map[K]struct{}  // asked for in this batch, loaded or not yet
	missing  map[K]struct{}  // asked for and not loaded
	kept     []kept[R, K]    // read in this batch as an earlier one left them, or without a lock, if others may write
	absent   []K             // looked for in this batch and not there
	touched  []*entry[R]
	mark     int // of touched, where the act at hand begins
	undos    []undo[R]
	created  []K

	others bool      // a row that was loaded again had been changed by others
	wary   bool      // rows of earlier batches are loaded again before an act reads them
	until  time.Time // when wary ends
}

type entry[R any] struct {
	row     R
	exists  bool
	stored  bool // the store has a row, at version
	version int64
	changed bool
	batch   uint64 // that has loaded it, or read it last
}

type kept[R, K any] struct {
	key   K
	entry *entry[R]
}

type undo[R any] struct {
	entry *entry[R]
	was   entry[R]
}

func newRows[R any, K comparable](p *Page, key func(R) K, bucket func(K) id.Bucket, cmp func(a, b K) int,
	found func(*Found) *[]Stored[R], keys func(*Keys) *[]K, change func(*Changes) *Change[R, K],
) *Rows[R, K] {
	t := &Rows[R, K]{
		page: p, key: key, bucket: bucket, cmp: cmp, found: found, keys: keys, change: change,
		cur: map[K]*entry[R]{}, wanted: map[K]struct{}{}, missing: map[K]struct{}{},
	}
	p.tables = append(p.tables, t)
	return t
}

// Get reads a row. The second answer is false when there is none.
func (t *Rows[R, K]) Get(k K) (R, bool) {
	t.check(k)
	e := t.lookup(k)
	if e == nil {
		t.wanted[k] = struct{}{}
		t.missing[k] = struct{}{}
		if !t.page.hint {
			panic(miss{})
		}
		var none R
		return none, false
	}
	if !e.exists {
		var none R
		return none, false
	}
	return e.row, true
}

// Put changes a row that this act has read, or makes one that it has read as
// absent.
func (t *Rows[R, K]) Put(r R) {
	k := t.key(r)
	t.check(k)
	e := t.lookup(k)
	if e == nil {
		panic(fmt.Sprintf("book: %s puts %v, which it has not read", t.page.act, k))
	}
	t.save(e)
	e.row, e.exists = r, true
	t.touch(e)
}

// New makes a row whose id this page has minted.
func (t *Rows[R, K]) New(r R) {
	k := t.key(r)
	t.check(k)
	if t.lookup(k) != nil {
		panic(fmt.Sprintf("book: %s makes %v, which exists", t.page.act, k))
	}
	e := &entry[R]{row: r, exists: true, batch: t.page.batch}
	t.cur[k] = e
	t.created = append(t.created, k)
	t.touch(e)
}

// Delete removes a row that this act has read.
func (t *Rows[R, K]) Delete(k K) {
	t.check(k)
	e := t.lookup(k)
	if e == nil {
		panic(fmt.Sprintf("book: %s deletes %v, which it has not read", t.page.act, k))
	}
	if !e.exists {
		return
	}
	t.save(e)
	e.exists = false
	t.touch(e)
}

// check stops the process when an act leaves its bucket: each bucket balances
// by itself only as long as no act does.
func (t *Rows[R, K]) check(k K) {
	b := t.bucket(k)
	if b == t.page.bucket {
		return
	}
	if !t.ref {
		panic(fmt.Sprintf("book: %s of bucket %d touches %v in bucket %d", t.page.act, t.page.bucket, k, b))
	}
	if !t.page.holds(b) {
		panic(fmt.Sprintf("book: %s of bucket %d touches ref %v in another home", t.page.act, t.page.bucket, k))
	}
}

func (t *Rows[R, K]) lookup(k K) *entry[R] {
	e := t.known(k)
	if e == nil {
		return nil
	}
	if e.batch != t.page.batch {
		if t.wary || t.page.again {
			return nil
		}
		e.batch = t.page.batch
		if t.page.shared {
			t.kept = append(t.kept, kept[R, K]{k, e})
		}
	}
	return e
}

// known is a row as this or an earlier batch left it.
func (t *Rows[R, K]) known(k K) *entry[R] {
	e, ok := t.cur[k]
	if !ok {
		if e, ok = t.old[k]; ok {
			t.cur[k] = e
		}
	}
	return e
}

func (t *Rows[R, K]) save(e *entry[R]) { t.undos = append(t.undos, undo[R]{e, *e}) }

func (t *Rows[R, K]) touch(e *entry[R]) {
	if !e.changed {
		e.changed = true
		t.touched = append(t.touched, e)
	}
}

func (t *Rows[R, K]) begin() {
	t.mark = len(t.touched)
	t.undos = t.undos[:0]
	t.created = t.created[:0]
}

func (t *Rows[R, K]) undo() {
	for n := len(t.undos) - 1; n >= 0; n-- {
		*t.undos[n].entry = t.undos[n].was
	}
	for _, k := range t.created {
		delete(t.cur, k)
	}
	t.touched = t.touched[:t.mark] // or a row that a later act touches would be written twice
	t.begin()
}

// want lists the rows to load. Where some of a batch's first load are missing,
// those that were kept are loaded with them: locks of one kind are then taken
// in one place and in one order, as others take them. Rows that are read without
// a lock are spared that: all of them are locked in one place as well, the commit.
func (t *Rows[R, K]) want(k *Keys, first bool) bool {
	if t.free {
		k.Unlocked = t.unlocked()
	}
	if len(t.missing) == 0 {
		return false
	}
	if first && !t.unlocked() {
		t.reload()
	}
	list := t.keys(k)
	*list = slices.AppendSeq((*list)[:0], maps.Keys(t.missing))
	slices.SortFunc(*list, t.cmp)
	return true
}

// unlocked reports whether rows are loaded without a lock. Kinds that are free have rows
// of one customer each: two committers hardly ever want the same at the same instant, and
// where they do, the second finds another version when it commits, and runs again. Then,
// and while others are seen to change rows of the kind, they are locked first.
func (t *Rows[R, K]) unlocked() bool {
	return t.free && t.page.shared && !t.page.again && !t.wary
}

// reload asks for the kept rows that were read.
func (t *Rows[R, K]) reload() {
	for _, e := range t.kept {
		t.missing[e.key] = struct{}{}
		t.wanted[e.key] = struct{}{}
		delete(t.old, e.key)
	}
	t.kept = t.kept[:0]
}

// fill takes in what a load has found; what it has not found is absent.
func (t *Rows[R, K]) fill(f *Found) {
	for _, s := range *t.found(f) {
		k := t.key(s.Row)
		if was := t.known(k); was != nil && was.stored && was.version != s.Version {
			t.others = true
		}
		e := &entry[R]{row: s.Row, exists: true, stored: true, version: s.Version, batch: t.page.batch}
		t.cur[k] = e
		if t.unlocked() {
			t.kept = append(t.kept, kept[R, K]{k, e})
		}
		delete(t.missing, k)
	}
	for k := range t.missing { // asked for and not there
		t.cur[k] = &entry[R]{batch: t.page.batch}
		t.absent = append(t.absent, k)
	}
	clear(t.missing)
}

// collect gives what the batch writes and has relied upon. Of rows that may be read without
// a lock, where some were only read, those that are written are held with them: so all of
// the kind that are there are locked in one order.
func (t *Rows[R, K]) collect(c *Changes) {
	out := t.change(c)
	out.Insert, out.Update, out.Delete, out.Check = out.Insert[:0], out.Update[:0], out.Delete[:0], out.Check[:0]
	for _, k := range t.kept {
		if !k.entry.changed {
			out.Check = append(out.Check, StoredKey[K]{k.key, k.entry.version})
		}
	}
	for _, e := range t.touched {
		switch {
		case e.exists && !e.stored:
			out.Insert = append(out.Insert, e.row)
		case e.exists:
			out.Update = append(out.Update, Stored[R]{e.row, e.version})
		case e.stored:
			out.Delete = append(out.Delete, StoredKey[K]{t.key(e.row), e.version})
		}
	}
	if t.free && len(out.Check) > 0 {
		for _, u := range out.Update {
			out.Check = append(out.Check, StoredKey[K]{t.key(u.Row), u.Version})
		}
		out.Check = append(out.Check, out.Delete...)
	}
	t.order(out.Delete)
	t.order(out.Check)
}

// order sorts rows that a commit locks: in the order of the keys, as others do.
func (t *Rows[R, K]) order(keys []StoredKey[K]) {
	if len(keys) > 1 {
		slices.SortFunc(keys, func(a, b StoredKey[K]) int { return t.cmp(a.Key, b.Key) })
	}
}

// settle ends a batch that was committed: rows are kept with the versions they
// now have. That a row is absent is remembered only where
// nobody else could make it: no store can hold what is not there.
func (t *Rows[R, K]) settle() {
	for _, e := range t.touched {
		e.changed = false
		switch {
		case !e.exists:
			e.stored, e.version = false, 0
			if t.page.shared {
				t.absent = append(t.absent, t.key(e.row))
			}
		case e.stored:
			e.version++
		default:
			e.stored, e.version = true, 1
		}
	}
	t.touched = t.touched[:0]
	clear(t.wanted)
	if len(t.cur) > keptRows {
		t.old = t.cur
		t.cur = make(map[K]*entry[R], keptRows)
	}
	t.loseAbsent()
	t.end()
}

func (t *Rows[R, K]) loseAbsent() {
	if !t.page.shared {
		return
	}
	for _, k := range t.absent {
		t.lose(t.cur, k)
		t.lose(t.old, k)
	}
}

// lose forgets a row that is absent.
func (t *Rows[R, K]) lose(from map[K]*entry[R], k K) {
	if e, ok := from[k]; ok && !e.stored {
		delete(from, k)
	}
}

// end forgets what this run of the batch has met.
func (t *Rows[R, K]) end() {
	clear(t.kept)
	t.kept, t.absent = t.kept[:0], t.absent[:0]
}

// drop ends a run of a batch that came to nothing, but remembers what was asked
// for, so that the next run loads it all at once: all that was read is loaded
// anew. Until then, where others may write, it keeps the versions, by which the
// next run sees which rows they have changed.
func (t *Rows[R, K]) drop() {
	t.reload()
	if t.page.shared {
		for _, e := range t.touched {
			t.absent = append(t.absent, t.key(e.row))
		}
		t.loseAbsent()
	} else {
		clear(t.cur)
		t.old = nil
	}
	t.touched = t.touched[:0]
	t.begin()
	t.end()
	maps.Copy(t.missing, t.wanted)
}

// forget is drop for a batch that will not run again.
func (t *Rows[R, K]) forget() {
	t.drop()
	clear(t.cur)
	t.old = nil
	clear(t.wanted)
	clear(t.missing)
}

// open begins a batch.
func (t *Rows[R, K]) open(now time.Time) {
	left := t.until.Sub(now)
	t.wary, t.others = left > 0 && left <= careful, false // more: the clock was set back
}

// suspect has rows of earlier batches loaded again for a while.
func (t *Rows[R, K]) suspect(now time.Time) { t.until = now.Add(careful) }

func (t *Rows[R, K]) changedByOthers() bool { return t.others }

// keptRows bounds the rows of one kind that a lane keeps between batches: at
// most twice as many are held.
const keptRows = 2048

// Log is one kind of row that is only ever added.
type Log[R any] struct {
	page   *Page
	bucket func(R) id.Bucket
	rows   []R
	mark   int
	change func(*Changes) *[]R
}

// Append adds a row.
func (l *Log[R]) Append(r R) {
	if b := l.bucket(r); b != l.page.bucket {
		panic(fmt.Sprintf("book: %s of bucket %d touches a row of bucket %d", l.page.act, l.page.bucket, b))
	}
	l.rows = append(l.rows, r)
}

func (l *Log[R]) begin()                { l.mark = len(l.rows) }
func (l *Log[R]) undo()                 { l.rows = l.rows[:l.mark] }
func (l *Log[R]) fill(*Found)           {}
func (l *Log[R]) want(*Keys, bool) bool { return false }
func (l *Log[R]) collect(c *Changes)    { *l.change(c) = l.rows }
func (l *Log[R]) settle()               { l.drop() }
func (l *Log[R]) forget()               { l.drop() }
func (l *Log[R]) open(time.Time)        {}
func (l *Log[R]) suspect(time.Time)     {}
func (l *Log[R]) changedByOthers() bool { return false }
func (l *Log[R]) drop()                 { clear(l.rows); l.rows = l.rows[:0] }

func newLog[R any](p *Page, bucket func(R) id.Bucket, change func(*Changes) *[]R) *Log[R] {
	l := &Log[R]{page: p, bucket: bucket, change: change}
	p.tables = append(p.tables, l)
	return l
}

func newPage(holds func(id.Bucket) bool, mint id.Minter, epoch int64, number func() int64) *Page {
	p := &Page{holds: holds, mint: mint, epoch: epoch, number: number}
	p.Refs = newRows(p, refKey, refBucket, CompareRefs, func(f *Found) *[]Stored[payment.Ref] { return &f.Refs },
		func(k *Keys) *[]payment.RefKey { return &k.Refs }, func(c *Changes) *Change[payment.Ref, payment.RefKey] { return &c.Refs })
	p.Refs.ref = true
	p.Customers = newRows(p, customerKey, bucketOf[id.Customer], id.Customer.Compare, func(f *Found) *[]Stored[customer.Customer] { return &f.Customers },
		func(k *Keys) *[]id.Customer { return &k.Customers }, func(c *Changes) *Change[customer.Customer, id.Customer] { return &c.Customers })
	p.Instruments = newRows(p, instrumentKey, bucketOf[id.Instrument], id.Instrument.Compare, func(f *Found) *[]Stored[instrument.Instrument] { return &f.Instruments },
		func(k *Keys) *[]id.Instrument { return &k.Instruments }, func(c *Changes) *Change[instrument.Instrument, id.Instrument] { return &c.Instruments })
	p.Payments = newRows(p, paymentKey, bucketOf[id.Payment], id.Payment.Compare, func(f *Found) *[]Stored[payment.Payment] { return &f.Payments },
		func(k *Keys) *[]id.Payment { return &k.Payments }, func(c *Changes) *Change[payment.Payment, id.Payment] { return &c.Payments })
	p.Operations = newRows(p, operationKey, bucketOf[id.Operation], id.Operation.Compare, func(f *Found) *[]Stored[payment.Operation] { return &f.Operations },
		func(k *Keys) *[]id.Operation { return &k.Operations }, func(c *Changes) *Change[payment.Operation, id.Operation] { return &c.Operations })
	p.Attempts = newRows(p, attemptKey, bucketOf[id.Attempt], id.Attempt.Compare, func(f *Found) *[]Stored[payment.Attempt] { return &f.Attempts },
		func(k *Keys) *[]id.Attempt { return &k.Attempts }, func(c *Changes) *Change[payment.Attempt, id.Attempt] { return &c.Attempts })
	p.Accounts = newRows(p, accountKey, bucketOf[id.Account], id.Account.Compare, func(f *Found) *[]Stored[ledger.Account] { return &f.Accounts },
		func(k *Keys) *[]id.Account { return &k.Accounts }, func(c *Changes) *Change[ledger.Account, id.Account] { return &c.Accounts })
	p.Deliveries = newRows(p, deliveryKey, bucketOf[id.Delivery], id.Delivery.Compare, func(f *Found) *[]Stored[event.Delivery] { return &f.Deliveries },
		func(k *Keys) *[]id.Delivery { return &k.Deliveries }, func(c *Changes) *Change[event.Delivery, id.Delivery] { return &c.Deliveries })
	p.Inbox = newRows(p, inboxKey, bucketOf[id.Inbox], id.Inbox.Compare, func(f *Found) *[]Stored[payment.Inbox] { return &f.Inbox },
		func(k *Keys) *[]id.Inbox { return &k.Inbox }, func(c *Changes) *Change[payment.Inbox, id.Inbox] { return &c.Inbox })
	p.Cases = newRows(p, caseKey, bucketOf[id.Case], id.Case.Compare, func(f *Found) *[]Stored[payment.Case] { return &f.Cases },
		func(k *Keys) *[]id.Case { return &k.Cases }, func(c *Changes) *Change[payment.Case, id.Case] { return &c.Cases })
	p.Rounds = newRows(p, roundKey, bucketOf[id.Round], id.Round.Compare, func(f *Found) *[]Stored[ledger.Round] { return &f.Rounds },
		func(k *Keys) *[]id.Round { return &k.Rounds }, func(c *Changes) *Change[ledger.Round, id.Round] { return &c.Rounds })
	p.Endpoints = newRows(p, endpointKey, bucketOf[id.Endpoint], id.Endpoint.Compare, func(f *Found) *[]Stored[event.Endpoint] { return &f.Endpoints },
		func(k *Keys) *[]id.Endpoint { return &k.Endpoints }, func(c *Changes) *Change[event.Endpoint, id.Endpoint] { return &c.Endpoints })
	p.Due = newRows(p, dueKey, bucketOf[id.Raw], compareRaw, func(f *Found) *[]Stored[due.Due] { return &f.Due },
		func(k *Keys) *[]id.Raw { return &k.Due }, func(c *Changes) *Change[due.Due, id.Raw] { return &c.Due })
	p.Keys = newRows(p, keyKey, bucketOf[id.Key], id.Key.Compare, func(f *Found) *[]Stored[project.Key] { return &f.Keys },
		func(k *Keys) *[]id.Key { return &k.Keys }, func(c *Changes) *Change[project.Key, id.Key] { return &c.Keys })
	p.Answers = newRows(p, answerKey, bucketOf[id.Answer], id.Answer.Compare, func(f *Found) *[]Stored[payment.Answer] { return &f.Answers },
		func(k *Keys) *[]id.Answer { return &k.Answers }, func(c *Changes) *Change[payment.Answer, id.Answer] { return &c.Answers })
	p.Windows = newRows(p, windowKey, bucketOf[id.Window], id.Window.Compare, func(f *Found) *[]Stored[limit.Window] { return &f.Windows },
		func(k *Keys) *[]id.Window { return &k.Windows }, func(c *Changes) *Change[limit.Window, id.Window] { return &c.Windows })
	p.Windows.free = true
	p.Checks = newRows(p, checkKey, bucketOf[id.Check], id.Check.Compare, func(f *Found) *[]Stored[customer.Check] { return &f.Checks },
		func(k *Keys) *[]id.Check { return &k.Checks }, func(c *Changes) *Change[customer.Check, id.Check] { return &c.Checks })
	p.Persons = newRows(p, personKey, bucketOf[id.Person], id.Person.Compare, func(f *Found) *[]Stored[customer.Person] { return &f.Persons },
		func(k *Keys) *[]id.Person { return &k.Persons }, func(c *Changes) *Change[customer.Person, id.Person] { return &c.Persons })
	p.Reviews = newRows(p, reviewKey, bucketOf[id.Raw], compareRaw, func(f *Found) *[]Stored[payment.Review] { return &f.Reviews },
		func(k *Keys) *[]id.Raw { return &k.Reviews }, func(c *Changes) *Change[payment.Review, id.Raw] { return &c.Reviews })
	p.Operators = newRows(p, operatorKey, bucketOf[id.Operator], id.Operator.Compare, func(f *Found) *[]Stored[operator.Operator] { return &f.Operators },
		func(k *Keys) *[]id.Operator { return &k.Operators }, func(c *Changes) *Change[operator.Operator, id.Operator] { return &c.Operators })
	p.AuditHeads = newRows(p, auditHeadKey, bucketOf[id.Raw], compareRaw, func(f *Found) *[]Stored[operator.Head] { return &f.AuditHeads },
		func(k *Keys) *[]id.Raw { return &k.AuditHeads }, func(c *Changes) *Change[operator.Head, id.Raw] { return &c.AuditHeads })
	p.Floats = newRows(p, floatKey, bucketOf[id.Raw], compareRaw, func(f *Found) *[]Stored[limit.Float] { return &f.Floats },
		func(k *Keys) *[]id.Raw { return &k.Floats }, func(c *Changes) *Change[limit.Float, id.Raw] { return &c.Floats })
	p.Claims = newRows(p, claimKey, bucketOf[id.Raw], compareRaw, func(f *Found) *[]Stored[limit.Claim] { return &f.Claims },
		func(k *Keys) *[]id.Raw { return &k.Claims }, func(c *Changes) *Change[limit.Claim, id.Raw] { return &c.Claims })
	p.Calls = newRows(p, fopCallKey, bucketOf[id.Call], id.Call.Compare, func(f *Found) *[]Stored[fop.Call] { return &f.Calls },
		func(k *Keys) *[]id.Call { return &k.Calls }, func(c *Changes) *Change[fop.Call, id.Call] { return &c.Calls })
	p.Associations = newRows(p, fopAssociationKey, bucketOf[id.Association], id.Association.Compare, func(f *Found) *[]Stored[fop.Association] { return &f.Associations },
		func(k *Keys) *[]id.Association { return &k.Associations }, func(c *Changes) *Change[fop.Association, id.Association] { return &c.Associations })
	p.Linked = newRows(p, fopLinkedKey, bucketOf[id.Raw], compareRaw, func(f *Found) *[]Stored[fop.Linked] { return &f.Linked },
		func(k *Keys) *[]id.Raw { return &k.Linked }, func(c *Changes) *Change[fop.Linked, id.Raw] { return &c.Linked })
	p.Spent = newRows(p, fopSpentKey, bucketOf[id.Raw], compareRaw, func(f *Found) *[]Stored[fop.Spent] { return &f.Spent },
		func(k *Keys) *[]id.Raw { return &k.Spent }, func(c *Changes) *Change[fop.Spent, id.Raw] { return &c.Spent })
	p.Proofs = newRows(p, fopProofKey, bucketOf[id.Proof], id.Proof.Compare, func(f *Found) *[]Stored[fop.Proof] { return &f.Proofs },
		func(k *Keys) *[]id.Proof { return &k.Proofs }, func(c *Changes) *Change[fop.Proof, id.Proof] { return &c.Proofs })
	p.Codes = newRows(p, fopCodeKey, bucketOf[id.Code], id.Code.Compare, func(f *Found) *[]Stored[fop.Code] { return &f.Codes },
		func(k *Keys) *[]id.Code { return &k.Codes }, func(c *Changes) *Change[fop.Code, id.Code] { return &c.Codes })
	p.Statements = newRows(p, fopStatementKey, bucketOf[id.Statement], id.Statement.Compare, func(f *Found) *[]Stored[fop.Statement] { return &f.Statements },
		func(k *Keys) *[]id.Statement { return &k.Statements }, func(c *Changes) *Change[fop.Statement, id.Statement] { return &c.Statements })
	p.Lines = newRows(p, fopLineKey, bucketOf[id.Raw], compareRaw, func(f *Found) *[]Stored[fop.Line] { return &f.Lines },
		func(k *Keys) *[]id.Raw { return &k.Lines }, func(c *Changes) *Change[fop.Line, id.Raw] { return &c.Lines })
	p.Told = newRows(p, fopToldKey, bucketOf[id.Told], id.Told.Compare, func(f *Found) *[]Stored[fop.Told] { return &f.Told },
		func(k *Keys) *[]id.Told { return &k.Told }, func(c *Changes) *Change[fop.Told, id.Told] { return &c.Told })
	p.Transfers = newLog(p, func(t ledger.Transfer) id.Bucket { return t.ID.Bucket() }, func(c *Changes) *[]ledger.Transfer { return &c.Transfers })
	p.Events = newLog(p, func(e event.Event) id.Bucket { return e.ID.Bucket() }, func(c *Changes) *[]event.Event { return &c.Events })
	p.Requests = newLog(p, func(r payment.Request) id.Bucket { return r.ID.Bucket() }, func(c *Changes) *[]payment.Request { return &c.Requests })
	p.Notes = newLog(p, func(r customer.Note) id.Bucket { return r.ID.Bucket() }, func(c *Changes) *[]customer.Note { return &c.Notes })
	p.Audit = newLog(p, func(r operator.Entry) id.Bucket { return r.ID.Bucket() }, func(c *Changes) *[]operator.Entry { return &c.Audit })
	return p
}

// enter turns the page to one act of the batch.
func (p *Page) enter(c *call) {
	p.act, p.bucket = c.name, c.bucket
	for _, t := range p.tables {
		t.begin()
	}
}

// undo takes back what the act at hand has changed.
func (p *Page) undo() {
	for _, t := range p.tables {
		t.undo()
	}
}

// hints records which rows an act expects to read.
func (p *Page) hints(c *call) {
	if c.hint == nil {
		return
	}
	p.enter(c)
	p.hint = true
	c.hint(p)
	p.hint = false
}

// try runs an act on the page. It answers false if a row was missing: the run
// left no trace, and the row is now among those to load.
func (p *Page) try(c *call) (ran bool) {
	p.enter(c)
	defer func() {
		if ran {
			return
		}
		r := recover()
		if _, missed := r.(miss); !missed && r != nil {
			panic(r) // an assertion: stop the process rather than write wrong money
		}
		p.undo()
	}()
	if c.err = c.run(p); c.err != nil {
		p.undo()
	}
	return true
}

// missing lists the rows to load, in the first load of a run or a later one;
// false if there are none.
func (p *Page) missing(k *Keys, first bool) bool {
	any := false
	for _, t := range p.tables {
		any = t.want(k, first) || any
	}
	return any
}

func (p *Page) fill(f *Found) {
	for _, t := range p.tables {
		t.fill(f)
	}
}

// changes gathers what the batch writes, and the work that this process has
// leased to itself with it; nil if it writes nothing. The answer's memory is
// used again for the next batch.
func (p *Page) changes() (*Changes, []due.Due) {
	c := &p.out
	for _, t := range p.tables {
		t.collect(c)
	}
	var work []due.Due
	for _, d := range c.Due.Insert {
		if d.Owner == p.epoch {
			work = append(work, d)
		}
	}
	for _, d := range c.Due.Update {
		if d.Row.Owner == p.epoch {
			work = append(work, d.Row)
		}
	}
	if c.empty() {
		return nil, nil
	}
	return c, work
}

func (c *Changes) empty() bool {
	return c.Refs.empty() && c.Customers.empty() && c.Instruments.empty() && c.Payments.empty() && c.Operations.empty() &&
		c.Attempts.empty() && c.Accounts.empty() && c.Deliveries.empty() && c.Inbox.empty() && c.Cases.empty() && c.Rounds.empty() && c.Endpoints.empty() && c.Due.empty() &&
		c.Keys.empty() && c.Answers.empty() &&
		c.Windows.empty() && c.Checks.empty() && c.Persons.empty() && c.Reviews.empty() && c.Operators.empty() && c.AuditHeads.empty() &&
		c.Floats.empty() && c.Claims.empty() &&
		c.Calls.empty() && c.Associations.empty() && c.Linked.empty() && c.Spent.empty() && c.Proofs.empty() && c.Codes.empty() && c.Statements.empty() && c.Lines.empty() && c.Told.empty() &&
		len(c.Transfers)+len(c.Events)+len(c.Requests)+len(c.Notes)+len(c.Audit) == 0
}

func (c *Change[R, K]) empty() bool {
	return len(c.Insert)+len(c.Update)+len(c.Delete)+len(c.Check) == 0
}

// open begins a batch.
func (p *Page) open(now time.Time) {
	p.again = false
	for _, t := range p.tables {
		t.open(now)
	}
}

// settle ends a batch that was committed, and reports whether others were seen
// to have changed rows that this lane knew. Kinds of which they did are then
// loaded first for a while; all are, if nobody can tell whom the batch met.
func (p *Page) settle(now time.Time) (others bool) {
	for _, t := range p.tables {
		if t.changedByOthers() {
			t.suspect(now)
			others = true
		}
	}
	if p.again && !others {
		p.suspect(now)
	}
	for _, e := range p.Due.touched {
		e.row.Carry = nil // not stored, so not kept either
	}
	for _, t := range p.tables {
		t.settle()
	}
	p.batch++
	return others
}

func (p *Page) suspect(now time.Time) {
	for _, t := range p.tables {
		t.suspect(now)
	}
}

func (p *Page) drop() {
	p.batch++
	for _, t := range p.tables {
		t.drop()
	}
}

func (p *Page) forget() {
	p.batch++
	for _, t := range p.tables {
		t.forget()
	}
}
