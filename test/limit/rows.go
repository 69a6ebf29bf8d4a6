package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"aorta/internal/id"
)

// row is what rows are written from: a payment at one of its three steps, or
// an account. Everything in it is made by counting and by drawing ids.
type row struct {
	step   int // 0 begun, 1 submitted, 2 settled
	bucket id.Bucket
	number int64

	id, operation, attempt, transfer id.Raw
	events, deliveries               [2]id.Raw // of submitted and of settled

	beganUS, nowUS           int64
	name, folded, provider   string // the merchant's name of the payment, folded, and the PSP's
	customer, owner, purpose string
}

// kind of a column's values.
type kind byte

const (
	kindID kind = iota
	kindBucket
	kindInt
	kindText
)

// column is a column and where its value comes from.
type column struct {
	name string
	kind kind
	id   func(*row) *id.Raw
	int  func(*row) int64
	text func(*row) string
}

type verb string

const (
	insert verb = "INSERT"
	update verb = "UPDATE"
	remove verb = "DELETE"
)

// write is one bulk statement of a batch: what it does to which table, for the
// payments that take which steps in this batch.
type write struct {
	verb  verb
	table string
	key   []column // of an update or delete
	cols  []column // of an insert or update
	steps []int
}

// accountStep takes the place of a step for the batch's accounts.
const accountStep = 3

// Columns, by their values.

func ids(name string, of func(*row) *id.Raw) column {
	return column{name: name, kind: kindID, id: of}
}

var noID id.Raw

func zeroID(name string) column { return ids(name, func(*row) *id.Raw { return &noID }) }

func ints(name string, of func(*row) int64) column {
	return column{name: name, kind: kindInt, int: of}
}

func number(name string, v int64) column { return ints(name, func(*row) int64 { return v }) }

func texts(name string, of func(*row) string) column {
	return column{name: name, kind: kindText, text: of}
}

func word(name, v string) column { return texts(name, func(*row) string { return v }) }

// words is a text that differs from step to step.
func words(name string, v ...string) column {
	return texts(name, func(r *row) string { return v[r.step] })
}

func numbers(name string, v ...int64) column {
	return ints(name, func(r *row) int64 { return v[r.step] })
}

var bucket = column{name: "bucket", kind: kindBucket}

func key(of func(*row) *id.Raw) []column { return []column{ids("id", of), bucket} }

func paymentID(r *row) *id.Raw   { return &r.id }
func operationID(r *row) *id.Raw { return &r.operation }
func attemptID(r *row) *id.Raw   { return &r.attempt }
func eventID(r *row) *id.Raw     { return &r.events[r.step-1] }
func deliveryID(r *row) *id.Raw  { return &r.deliveries[r.step-1] }

// before gives the id of the step before, none at the first.
func before(of func(*row) *[2]id.Raw) func(*row) *id.Raw {
	return func(r *row) *id.Raw {
		if r.step < 2 {
			return &noID
		}
		return &of(r)[0]
	}
}

// latest gives the id of the step, none at begin.
func latest(of func(*row) *[2]id.Raw) func(*row) *id.Raw {
	return func(r *row) *id.Raw {
		if r.step == 0 {
			return &noID
		}
		return &of(r)[r.step-1]
	}
}

func eventsOf(r *row) *[2]id.Raw     { return &r.events }
func deliveriesOf(r *row) *[2]id.Raw { return &r.deliveries }

const (
	project   = 4294967295
	callback  = "https://shop.invalid/callback"
	scope     = "payment:4294967295"
	leaseUS   = 30_000_000
	limitUS   = 1_800_000_000
	pspOwner  = "psp:paytm:bench"
	shopOwner = "merchant:4294967295"
)

// Texts as the core writes them, with one payment's ids in place of each one's own: a limit makes no JSON.
const (
	redirect = `{"url":"https://psp.invalid/theia/api/v1/showPaymentPage?mid=BENCH\u0026orderId=att_01m80z2dj805ynt85bczd3amcv","method":"POST",` +
		`"fields":{"mid":"BENCH","orderId":"att_01m80z2dj805ynt85bczd3amcv","txnToken":"0123456789abcdef0123456789abcdef"}}`
	postings         = `[["acc_121pj6862n06bt0vtv1a42q6a1","INR",25521],["acc_528q0j578n07n92jz1kzx9rh70","INR",-25521]]`
	awaitingSnapshot = `{"payment":{"status":"awaiting_customer","changed":1795330428411450},"operation":{"status":"awaiting_customer",` +
		`"changed":1795330428411450},"attempt":{"id":"att_01m810gkf51s16tc9aqtktjnbs","status":"accepted","redirected":true,"changed":1795330428411450}}`
	capturedSnapshot = `{"payment":{"status":"captured","code":"0","message":"Success","captured":25521,"changed":1795330428474524},` +
		`"operation":{"status":"success","code":"0","message":"Success","changed":1795330428474524},"attempt":{"id":"att_01m810gkf51s16tc9aqtktjnbs",` +
		`"status":"approved","provider_id":"2026112025421","provider_code":"01","provider_message":"Txn Success","provider_us":1795330428453066,` +
		`"redirected":true,"changed":1795330428474524}}`
)

func amount(r *row) int64  { return 100 + r.number%100_000 }
func beganUS(r *row) int64 { return r.beganUS }
func nowUS(r *row) int64   { return r.nowUS }

var paymentColumns = []column{
	number("project_id", project), ints("amount_minor", amount),
	ints("captured_minor", func(r *row) int64 {
		if r.step == 2 {
			return amount(r)
		}
		return 0
	}),
	number("refunded_minor", 0), number("refunding_minor", 0), ints("created_us", beganUS), ints("changed_us", nowUS),
	ints("limit_us", func(r *row) int64 { return r.beganUS + limitUS }), number("tries_left", 0), number("retry_us", 0),
	number("callback_delay_s", 0), number("callback_mute", 0), ids("last_operation", operationID), ids("last_event", latest(eventsOf)),
	ids("last_delivery", latest(deliveriesOf)), words("status", "new", "awaiting_customer", "captured"), word("awaiting", ""),
	word("type", "purchase"), word("method", "paytm-wallet"), word("currency", "INR"), word("door", "gate"), words("code", "", "", "0"),
	words("message", "", "", "Success"), texts("merchant_payment_id", func(r *row) string { return r.name }),
	texts("customer_id", func(r *row) string { return r.customer }), word("description", "Bench payment"), word("callback_url", callback),
	word("success_url", ""), word("decline_url", ""), numbers("events", 0, 1, 2), zeroID("last_webhook"),
}

var operationColumns = []column{
	ids("payment", paymentID), zeroID("prev"), ids("attempt", attemptID), ints("number", func(r *row) int64 { return r.number }),
	ints("amount_minor", amount), ints("created_us", beganUS), ints("changed_us", nowUS), word("kind", "sale"),
	words("status", "processing", "awaiting_customer", "success"), word("currency", "INR"), word("merchant_refund_id", ""),
	word("description", ""), words("code", "", "", "0"), words("message", "", "", "Success"),
}

var attemptColumns = []column{
	ids("operation", operationID), ids("payment", paymentID), zeroID("prev"), zeroID("captured_by"), ints("amount_minor", amount),
	ints("provider_us", func(r *row) int64 {
		if r.step == 2 {
			return r.nowUS
		}
		return 0
	}),
	number("late", 0), number("no_records", 0), number("no_record_us", 0), numbers("lookups", 0, 1, 1), ints("created_us", beganUS),
	ints("changed_us", nowUS), word("payee", shopOwner), word("connector", "paytm"), word("account", "bench"), word("kind", "sale"),
	words("status", "asking", "accepted", "approved"), word("currency", "INR"), word("captured_provider_id", ""),
	texts("provider_id", func(r *row) string {
		if r.step == 2 {
			return r.provider
		}
		return ""
	}),
	words("provider_code", "", "", "01"), words("provider_message", "", "", "Txn Success"), words("redirect", "", redirect, redirect), word("way", ""),
	ids("transfer", func(r *row) *id.Raw {
		if r.step == 2 {
			return &r.transfer
		}
		return &noID
	}),
}

// dueColumns are of the attempt's row, at begin and submitted; deliverColumns of a delivery's.
var dueColumns = []column{
	ints("due_us", func(r *row) int64 { return r.nowUS + leaseUS }), numbers("owner", 1, 0, 0), number("tries", 0), words("kind", "ask", "watch", ""),
}

var deliverColumns = []column{ints("due_us", func(r *row) int64 { return r.nowUS + leaseUS }), number("owner", 1), number("tries", 0), word("kind", "deliver")}

// writes are the statements of a batch, in the order in which the core sends its own.
var writes = []write{
	{verb: insert, table: "ref", steps: []int{0}, cols: []column{
		word("scope", scope), texts("ref_text", func(r *row) string { return r.folded }), bucket, ids("target", paymentID),
	}},
	{verb: insert, table: "payment", steps: []int{0}, cols: append(key(paymentID), paymentColumns...)},
	{verb: update, table: "payment", steps: []int{1, 2}, key: key(paymentID), cols: paymentColumns},
	{verb: insert, table: "operation", steps: []int{0}, cols: append(key(operationID), operationColumns...)},
	{verb: update, table: "operation", steps: []int{1, 2}, key: key(operationID), cols: operationColumns},
	{verb: insert, table: "attempt", steps: []int{0}, cols: append(key(attemptID), attemptColumns...)},
	{verb: update, table: "attempt", steps: []int{1, 2}, key: key(attemptID), cols: attemptColumns},
	{verb: update, table: "account", steps: []int{accountStep}, key: key(paymentID), cols: accountColumns},
	{verb: insert, table: "delivery", steps: []int{1, 2}, cols: append(key(deliveryID),
		ids("event", eventID), ids("payment", paymentID), ids("prev", before(deliveriesOf)), zeroID("next"), number("tries", 0),
		number("last_status", 0), ints("created_us", nowUS), ints("changed_us", nowUS), word("door", "gate"), word("state", "pending"),
		word("url", callback), word("last_error", ""), word("log", ""), word("body", ""), zeroID("endpoint"), word("type", ""))},
	{verb: insert, table: "due", steps: []int{0}, cols: append(key(attemptID), dueColumns...)},
	{verb: insert, table: "due", steps: []int{1, 2}, cols: append(key(deliveryID), deliverColumns...)},
	{verb: update, table: "due", steps: []int{1}, key: key(attemptID), cols: dueColumns},
	{verb: remove, table: "due", steps: []int{2}, key: key(attemptID)},
	{verb: insert, table: "transfer", steps: []int{2}, cols: append(key(func(r *row) *id.Raw { return &r.transfer }),
		ids("payment", paymentID), ids("operation", operationID), ints("created_us", nowUS), word("kind", "deposit"), word("postings", postings),
		zeroID("customer"), zeroID("prev"), zeroID("round"), number("project_id", 0), word("name", ""), word("description", ""))},
	{verb: insert, table: "event", steps: []int{1, 2}, cols: append(key(eventID),
		ids("payment", paymentID), ids("operation", operationID), ids("prev", before(eventsOf)), ints("at_us", nowUS),
		words("kind", "", "payment.awaiting_customer", "payment.captured"), words("from_status", "", "new", "awaiting_customer"),
		words("to_status", "", "awaiting_customer", "captured"), words("snapshot", "", awaitingSnapshot, capturedSnapshot))},
}

var accountColumns = []column{
	ints("minor", func(r *row) int64 { return r.number }), texts("owner", func(r *row) string { return r.owner }),
	texts("purpose", func(r *row) string { return r.purpose }), word("currency", "INR"), zeroID("last_transfer"),
}

// openAccounts makes the accounts, which the core makes once and then changes.
var openAccounts = write{verb: insert, table: "account", steps: []int{accountStep}, cols: append(key(paymentID), accountColumns...)}

// names lists columns as "p.a, p.b".
func names(prefix string, cols []column) string {
	out := make([]string, len(cols))
	for n, c := range cols {
		out[n] = prefix + c.name
	}
	return strings.Join(out, ", ")
}

// source makes the batches of one committer. It has as many payments under way
// as callers would have, whose acts wait in the order in which they come.
type source struct {
	mint    id.Minter
	run     string
	buckets []id.Bucket // its own
	next    func() int64
	dice    *rand.Rand

	accounts map[id.Bucket][]*row
	waiting  []*row                  // their next acts
	steps    [accountStep + 1][]*row // of the batch at hand; steps[3]: accounts
}

func newSource(seed uint64, run string, lane, lanes, callers int, next func() int64) *source {
	var key [32]byte
	for n := range key {
		key[n] = byte(seed >> (n % 8 * 8) & 0xff)
	}
	key[31] = byte(lane)
	bits := rand.NewChaCha8(key)
	s := &source{mint: id.Minter{Bits: bits.Uint64}, run: run, next: next, dice: rand.New(bits), accounts: map[id.Bucket][]*row{}}
	for b := lane; b < 32; b += lanes {
		bucket := id.Bucket(b)
		s.buckets = append(s.buckets, bucket)
		for _, a := range [][2]string{{pspOwner, "clearing"}, {shopOwner, "payable"}} {
			s.accounts[bucket] = append(s.accounts[bucket], &row{
				bucket: bucket, id: id.Derive(bucket, "account", a[0], a[1], "INR"), owner: a[0], purpose: a[1],
			})
		}
	}
	for range callers {
		s.waiting = append(s.waiting, s.begin(time.Now()))
	}
	return s
}

// batch makes the next batch: the first n acts that wait. It answers how many
// payments settle.
func (s *source) batch(n int, now time.Time) int {
	for step := range s.steps {
		s.steps[step] = s.steps[step][:0]
	}
	n = min(n, len(s.waiting))
	us := now.UnixMicro()
	for _, r := range s.waiting[:n] {
		r.nowUS = us
		if r.step > 0 {
			r.events[r.step-1], r.deliveries[r.step-1] = s.mint.Mint(now, r.bucket), s.mint.Mint(now, r.bucket)
		}
		if r.step == 2 {
			r.transfer = s.mint.Mint(now, r.bucket)
		}
		s.steps[r.step] = append(s.steps[r.step], r)
	}
	s.waiting = append(s.waiting[:0], s.waiting[n:]...)
	var seen [256]bool
	for _, r := range s.steps[2] {
		if !seen[r.bucket] {
			seen[r.bucket] = true
			s.steps[accountStep] = append(s.steps[accountStep], s.accounts[r.bucket]...)
		}
	}
	for _, a := range s.steps[accountStep] {
		a.number++
	}
	return len(s.steps[2])
}

// written has the next acts of the batch's payments wait, behind all others, and
// new payments in place of those that have settled if there are to be more.
// took is told how long each of those took.
func (s *source) written(now time.Time, more bool, took func(time.Duration)) {
	for step, rows := range s.steps[:2] {
		for _, r := range rows {
			r.step = step + 1
			s.waiting = append(s.waiting, r)
		}
	}
	for _, r := range s.steps[2] {
		took(time.Duration(now.UnixMicro()-r.beganUS) * time.Microsecond)
		if more {
			s.waiting = append(s.waiting, s.begin(now))
		}
	}
}

func (s *source) begin(now time.Time) *row {
	b, number := s.buckets[s.dice.IntN(len(s.buckets))], s.next()
	name := s.run + "-" + strconv.FormatInt(number, 10)
	return &row{
		bucket: b, number: number, id: s.mint.Mint(now, b), operation: s.mint.Mint(now, b), attempt: s.mint.Mint(now, b),
		beganUS: now.UnixMicro(), nowUS: now.UnixMicro(), name: name, folded: strings.ToLower(name),
		customer: "customer-" + strconv.FormatInt(number%1000, 10), provider: "20261120" + strconv.FormatInt(number, 10),
	}
}

// rows are those that a write has in the batch at hand.
func (s *source) rows(w *write, into []*row) []*row {
	into = into[:0]
	for _, step := range w.steps {
		into = append(into, s.steps[step]...)
	}
	return into
}

// all are the accounts of the source.
func (s *source) all() []*row {
	var out []*row
	for _, b := range s.buckets {
		out = append(out, s.accounts[b]...)
	}
	slices.SortFunc(out, func(a, b *row) int { return slices.Compare(a.id[:], b.id[:]) })
	return out
}

// where matches a key of a write's rows to parameters.
func where(cols []column, param func(n int) string) string {
	out := make([]string, len(cols))
	for n, c := range cols {
		out[n] = fmt.Sprintf("t.%s = %s", c.name, param(n))
	}
	return strings.Join(out, " AND ")
}
