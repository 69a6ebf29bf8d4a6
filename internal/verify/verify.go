// Package verify checks the stored money against the invariants of torture.md
// 2.1. What the rows alone decide it always checks: conservation (C1), exactly
// once (C3), legal states (C5), callbacks (C6), liveness (C11), orphans (C13).
// What was seen outside it takes as plain data: the clients' journal (C2, C7),
// the provider's books (C4), what merchants received (C6). Secrets (C10) are
// searched for in any bytes, and Guard checks what is cheap all the time.
//
// It reads committed rows only. What a payment must look like is said here a
// second time, from the documents, so that a mistake in the flows is seen here;
// but which moves a payment may make, and where it is told of, it takes from
// where the flows do (payment.Moves, event.Address): a mistake in those is the
// model's to see (test/model) and the simulator's. It changes nothing and calls
// nobody.
//
// The reader must show one moment: a store that nobody writes to, or a snapshot
// of one. Rows of payments are gathered while they stream by in the order of
// their ids, and forgotten as soon as a payment is whole, so memory is bounded
// by the payments that live long (refunded days later) and by the number of
// customers and accounts. Its known weakness: it looks into one home, so a name reserved in
// one for a payment in another looks like a name of nothing.
package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/limit"
	"aorta/internal/payment"
)

// Options are the parts of a run with a sensible default.
type Options struct {
	// LiveUS is the present where a process is at work on the store: work that
	// is overdue by more than a minute is then a violation (C11). 0: nobody is
	// at work, and due rows may be as old as they like.
	LiveUS int64

	// AtRest: all faults and all work have ended, and nothing may be under way
	// any more: no open payment or refund, no pending delivery, no notification
	// that is not applied (C11). A customer who is awaited counts as open too.
	AtRest bool

	// Homes says that names of this store may have been reserved for moves of a
	// wallet or payouts in another home, which then came to nothing: such a name is
	// not a violation. False: each name was written with what it names.
	Homes bool

	// What was seen outside the store. It is compared with the moment that the
	// reader shows, so nobody may have been at work between the two.
	Clients   *Clients   // C2 and C7; nil: not checked
	Provider  []Movement // C4; nil: not checked, and empty says that no provider knows anything
	Merchants *Merchants // C6, beyond what the store alone says; nil: not checked
}

// Report is what a run has found. OK says that there is no violation.
type Report struct {
	OK         bool          `json:"ok"`
	Accounts   int           `json:"accounts"`
	Transfers  int           `json:"transfers"`
	Payments   int           `json:"payments"`
	Violations []string      `json:"violations"` // one sentence each, behind its invariant: "C1: …"; never nil
	Checks     map[Check]int `json:"checks"`     // the invariants that were checked, and how often each was violated
}

// page is how many rows are read at a time.
const page = 1000

// overdueUS is how long work may stay overdue while a process is at work (C11).
const overdueUS = 60_000_000

// Run checks everything. An error means that it could not be read, not that it
// is wrong.
func Run(ctx context.Context, r book.Reader, o Options) (Report, error) {
	c := &checker{
		findings: newFindings(always...), read: r, opts: o,
		customers: map[id.Customer]person{}, accounts: map[id.Account]*balance{}, payments: map[id.Payment]*history{}, late: map[id.Attempt]bool{}, handled: map[id.Attempt]string{},
		verified: map[id.Customer]*verified{}, linking: map[id.Customer]bool{}, held: map[id.Account]int64{}, licensed: newLicensed(), bought: newBought(),
	}
	if o.Clients != nil {
		c.clients, c.counts[C2], c.counts[C7] = newClients(o.Clients), 0, 0
	}
	if o.Provider != nil {
		c.provider, c.counts[C4] = newProvider(o.Provider), 0
	}
	if o.Merchants != nil {
		c.merchants = newMerchants(o.Merchants)
	}
	if err := c.run(ctx); err != nil {
		return Report{}, fmt.Errorf("verify: %w", err)
	}
	c.report.Violations, c.report.Checks = c.list(), c.counts
	c.report.OK = len(c.report.Violations) == 0
	return c.report, nil
}

// checker is one run.
type checker struct {
	findings
	read   book.Reader
	opts   Options
	report Report

	accounts   map[id.Account]*balance
	payments   map[id.Payment]*history // not whole yet
	late       map[id.Attempt]bool     // took money after our decline
	handled    map[id.Attempt]string   // what has become of that
	pending    *due.Due                // the newest due row, until its subject comes by
	named      fingerprint             // what payments and refunds say their names are
	answers    fingerprint             // the keys of answers that are kept
	answerRefs fingerprint             // and what refs say of them
	refs       fingerprint             // what the refs say
	customers  map[id.Customer]person
	played     totals               // what transfers say of rounds
	held       map[id.Account]int64 // what refunds and payouts under way say is reserved

	review   *payment.Review        // the newest, until its payout comes by
	licensed licensed               // what payments say of sources and windows
	windows  windows                // of deposits and play
	bought   bought                 // by Google, from linked wallets
	floats   floats                 // what merchants and PSP accounts paid out
	claims   claims                 // what statements of Google's take
	owners   map[string]id.Customer // of wallets
	verified map[id.Customer]*verified
	linking  map[id.Customer]bool // whose restrictions are to be told

	clients   *clients // nil, as the next two: not known, not checked
	provider  *provider
	merchants *merchants
	webhooks  webhooks
}

func (c *checker) run(ctx context.Context) error {
	if err := c.scanCustomers(ctx); err != nil {
		return err
	}
	if err := c.scanAccounts(ctx); err != nil {
		return err
	}
	if err := c.scanWindows(ctx); err != nil {
		return err
	}
	if err := c.scanEndpoints(ctx); err != nil {
		return err
	}
	// Due rows go first: one has the id of its subject, so it comes right before it.
	err := merge(
		ctx,
		&pages[due.Due, id.Raw]{scan: c.read.ScanDue, key: func(d *due.Due) id.Raw { return d.ID }, take: c.takeDue},
		&pages[payment.Review, id.Raw]{scan: c.read.ScanReviews, key: func(r *payment.Review) id.Raw { return r.ID }, take: c.takeReview},
		&pages[payment.Payment, id.Payment]{scan: c.read.ScanPayments, key: paymentKey, take: c.takePayment},
		&pages[payment.Operation, id.Operation]{scan: c.read.ScanOperations, key: operationKey, take: c.takeOperation},
		&pages[payment.Attempt, id.Attempt]{scan: c.read.ScanAttempts, key: attemptKey, take: c.takeAttempt},
		&pages[event.Event, id.Event]{scan: c.read.ScanEvents, key: eventKey, take: c.takeEvent},
		&pages[event.Delivery, id.Delivery]{scan: c.read.ScanDeliveries, key: deliveryKey, take: c.takeDelivery},
		&pages[customer.Check, id.Check]{scan: c.read.ScanChecks, key: func(x *customer.Check) id.Check { return x.ID }, take: c.takeCheck},
		&pages[limit.Claim, id.Raw]{scan: c.read.ScanClaims, key: func(x *limit.Claim) id.Raw { return x.ID }, take: c.takeClaim},
		&pages[fop.Call, id.Call]{scan: c.read.ScanCalls, key: func(x *fop.Call) id.Call { return x.ID }, take: c.takeCall},
		&pages[fop.Association, id.Association]{scan: c.read.ScanAssociations, key: func(x *fop.Association) id.Association { return x.ID }, take: c.takeAssociation},
		&pages[fop.Proof, id.Proof]{scan: c.read.ScanProofs, key: func(x *fop.Proof) id.Proof { return x.ID }, take: c.takeProof},
		&pages[fop.Code, id.Code]{scan: c.read.ScanCodes, key: func(x *fop.Code) id.Code { return x.ID }, take: c.takeCode},
		&pages[fop.Told, id.Told]{scan: c.read.ScanTold, key: func(x *fop.Told) id.Told { return x.ID }, take: c.takeTold},
		&pages[fop.Statement, id.Statement]{scan: c.read.ScanStatements, key: func(s *fop.Statement) id.Statement { return s.ID }, take: c.takeStatement},
		&pages[payment.Inbox, id.Inbox]{scan: c.read.ScanInbox, key: func(n *payment.Inbox) id.Inbox { return n.ID }, take: c.takeInbox},
		&pages[ledger.Transfer, id.Transfer]{scan: c.read.ScanTransfers, key: transferKey, take: c.takeTransfer},
	)
	if err != nil {
		return err
	}
	c.dueWithoutSubject()
	c.reviewWithoutPayout()
	c.judgeLevels()
	if err := c.judgePersons(ctx); err != nil {
		return err
	}
	if err := c.judgeRest(ctx); err != nil {
		return err
	}
	if err := c.judgeEndpoints(ctx); err != nil {
		return err
	}
	c.judgeAccounts()
	c.judgeReserved()
	if err := c.judgeSources(ctx); err != nil {
		return err
	}
	if err := c.judgePayoutWindows(ctx); err != nil {
		return err
	}
	if err := c.judgeWindows(ctx); err != nil {
		return err
	}
	if err := c.judgeFloats(ctx); err != nil {
		return err
	}
	if err := c.judgeBought(ctx); err != nil {
		return err
	}
	if err := c.judgeRounds(ctx); err != nil {
		return err
	}
	if err := c.judgeStatements(ctx); err != nil {
		return err
	}
	if err := c.judgeCases(ctx); err != nil {
		return err
	}
	if err := c.judgeAudit(ctx); err != nil {
		return err
	}
	c.judgeAskedRest()
	c.judgeBooks()
	c.judgeReceivedRest()
	return c.judgeRefs(ctx)
}

// stream is one kind of row, in the order of ids.
type stream interface {
	head(ctx context.Context) (k id.Raw, ok bool, err error)
	advance()
}

// merge takes the rows of all streams in the order of their ids; of equal ids
// the row of the earlier stream comes first.
func merge(ctx context.Context, streams ...stream) error {
	for {
		var least stream
		var at id.Raw
		for _, s := range streams {
			k, ok, err := s.head(ctx)
			if err != nil {
				return err
			}
			if ok && (least == nil || bytes.Compare(k[:], at[:]) < 0) {
				least, at = s, k
			}
		}
		if least == nil {
			return nil
		}
		least.advance()
	}
}

// pages reads a stream page by page.
type pages[R any, K ~[16]byte] struct {
	scan func(ctx context.Context, after K, limit int) ([]R, error)
	key  func(*R) K
	take func(*R)

	rows  []R
	at    int
	ended bool
}

func (p *pages[R, K]) head(ctx context.Context) (id.Raw, bool, error) {
	if p.at == len(p.rows) && !p.ended {
		var after K
		if p.at > 0 {
			after = p.key(&p.rows[p.at-1])
		}
		rows, err := p.scan(ctx, after, page)
		if err != nil {
			return id.Raw{}, false, fmt.Errorf("read rows: %w", err)
		}
		p.rows, p.at, p.ended = rows, 0, len(rows) < page
	}
	if p.at == len(p.rows) {
		return id.Raw{}, false, nil
	}
	return id.Raw(p.key(&p.rows[p.at])), true, nil
}

func (p *pages[R, K]) advance() {
	p.take(&p.rows[p.at])
	p.at++
}

func paymentKey(p *payment.Payment) id.Payment       { return p.ID }
func operationKey(o *payment.Operation) id.Operation { return o.ID }
func attemptKey(a *payment.Attempt) id.Attempt       { return a.ID }
func eventKey(e *event.Event) id.Event               { return e.ID }
func deliveryKey(d *event.Delivery) id.Delivery      { return d.ID }

// takeDue keeps a due row until its subject comes by.
func (c *checker) takeDue(d *due.Due) {
	c.dueWithoutSubject()
	if d.Kind == due.Link {
		c.takeLink(d)
	} else {
		c.pending = d
	}
	if c.opts.LiveUS > 0 && d.DueUS < c.opts.LiveUS-overdueUS {
		c.violation(C11, "Work %s (%s) is overdue by %d s.", rawText(d.ID), d.Kind, (c.opts.LiveUS-d.DueUS)/1_000_000)
	}
}

// dueWithoutSubject: the subject of the newest due row would have come by now.
func (c *checker) dueWithoutSubject() {
	if c.pending != nil {
		c.violation(C13, "Due row %s (%s) has no subject.", rawText(c.pending.ID), c.pending.Kind)
		c.pending = nil
	}
}

// isDue reports whether there is due work of one of these kinds on a subject.
func (c *checker) isDue(subject id.Raw, kinds ...due.Kind) bool {
	d := c.pending
	if d == nil || d.ID != subject {
		return false
	}
	c.pending = nil
	if !slices.Contains(kinds, d.Kind) {
		c.violation(C13, "Due row %s is of kind %q, which its subject has no use for.", rawText(d.ID), d.Kind)
		return false
	}
	return true
}

// takeInbox: a notification that is stored and not applied must be due (C13).
func (c *checker) takeInbox(n *payment.Inbox) {
	waits := c.isDue(n.ID.Raw(), due.Notice)
	switch n.State {
	case payment.InboxStored:
		if c.opts.AtRest {
			c.violation(C11, "Notification %s is not applied in the end.", n.ID)
		}
		if !waits {
			c.violation(C11, "Notification %s is stored, but nothing will apply it: it has no due row.", n.ID)
		}
	case payment.InboxApplied, payment.InboxDead:
	default:
		c.violation(C5, "Notification %s is in state %q, which does not exist.", n.ID, n.State)
	}
}

// caseLate is the kind of case that late money is.
const caseLate = "late_success"

// judgeCases: a case is about a payment that exists, or a customer, and late money and the
// cases that tell of it are the same set (C13).
func (c *checker) judgeCases(ctx context.Context) error {
	var after id.Case
	for {
		rows, err := c.read.Cases(ctx, after, page)
		if err != nil {
			return fmt.Errorf("read cases: %w", err)
		}
		for n := range rows {
			_, ok, err := c.read.Payment(ctx, rows[n].Payment)
			if err != nil {
				return fmt.Errorf("read payment of a case: %w", err)
			}
			if alone := waitedFor[rows[n].Kind].alone || googlesCases[rows[n].Kind]; ok == alone || alone && !rows[n].Payment.IsZero() {
				c.violation(C13, "Case %s is about payment %s, which does not exist.", rows[n].ID, rows[n].Payment)
			}
			if err := c.judgeCase(ctx, &rows[n], c.takeCase(&rows[n])); err != nil {
				return err
			}
			if err := c.judgeMismatch(ctx, &rows[n]); err != nil {
				return err
			}
			after = rows[n].ID
		}
		if len(rows) < page {
			break
		}
	}
	c.judgeReviews()
	for _, a := range slices.SortedFunc(maps.Keys(c.late), id.Attempt.Compare) {
		c.violation(C13, "Attempt %s took money late, and no case tells of it.", a)
	}
	return nil
}

// takeCase gives the attempt that a case is about.
func (c *checker) takeCase(x *payment.Case) id.Attempt {
	var about struct {
		Attempt id.Attempt `json:"attempt"`
	}
	err := json.Unmarshal([]byte(x.Details), &about)
	if x.Kind != caseLate {
		if err == nil {
			c.explained(about.Attempt)
		}
		return about.Attempt
	}
	if err != nil || !c.late[about.Attempt] {
		c.violation(C13, "Case %s tells of late money that attempt %q did not take.", x.ID, about.Attempt)
		return about.Attempt
	}
	delete(c.late, about.Attempt)
	return about.Attempt
}

// judgeMismatch: a refund or payout of which the PSP has named another amount is
// known there, so it is neither sent again nor taken for not sent (C5).
func (c *checker) judgeMismatch(ctx context.Context, x *payment.Case) error {
	var about struct {
		Attempt id.Attempt      `json:"attempt"`
		Said    json.RawMessage `json:"said"`
	}
	if x.Kind != "mismatch" || json.Unmarshal([]byte(x.Details), &about) != nil || about.Said == nil {
		return nil
	}
	a, ok, err := c.read.Attempt(ctx, about.Attempt)
	if err != nil {
		return fmt.Errorf("read attempt of a case: %w", err)
	}
	if !ok || a.Kind == payment.KindSale {
		return nil
	}
	switch a.Status {
	case payment.AttemptAsking, payment.AttemptUnknown:
	case payment.AttemptNotSent:
		if a.ChangedUS <= x.CreatedUS {
			return nil // the PSP was heard of too late
		}
	case payment.AttemptAccepted, payment.AttemptApproved, payment.AttemptDeclined:
		return nil
	}
	c.violation(C5, "Attempt %s (%s) is %s, though its PSP has named another amount and so knows it.", a.ID, a.Kind, a.Status)
	return nil
}

// rawText shows an id whose kind is not known.
func rawText(r id.Raw) string { return fmt.Sprintf("%x", r[:]) }
