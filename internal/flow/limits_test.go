package flow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/customer"
	"aorta/internal/event"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/risk"
	"aorta/internal/verify"
)

// rulesOf loads rules with a rate, and what a test adds.
func rulesOf(t testing.TB, more string) *risk.Rules {
	t.Helper()
	r, err := risk.Load("rules.toml", []byte("profile = \"generic\"\n[rates]\nINR = \"80\"\nSEK = \"10\"\n"+more))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// licensed is a house with rules, whose customer is c1.
func licensed(t *testing.T, homes int) *house {
	t.Helper()
	h := newHouse(t, homes, func(p *project.Project) {
		p.Wallet, p.WalletOnly, p.RetryTime = true, true, 10*time.Minute
		sek := p.Methods[0]
		sek.Currency = "SEK"
		p.Methods = append(p.Methods, sek)
	})
	h.rules = rulesOf(t, "")
	t.Cleanup(func() { // whatever the test is of, windows say what payments and transfers say
		if homes > 1 || t.Failed() || h.forged {
			return
		}
		r, err := verify.Run(context.Background(), h.homes[0], verify.Options{})
		if err != nil || !r.OK {
			t.Errorf("verify: %v %q", err, r.Violations)
		}
	})
	return h
}

func (h *house) change() flow.CustomerChange {
	return flow.CustomerChange{Project: h.pr, CustomerID: "c1", By: flow.Player(h.pr)}
}

func (h *house) set(k customer.LimitKind, p limit.Period, minor int64) {
	h.t.Helper()
	h.tick()
	if err := h.flows.SetLimit(h.t.Context(), h.change(), k, p, inr(minor)); err != nil {
		h.t.Fatalf("SetLimit(%s, %s, %d): %v", k, p, minor, err)
	}
	h.tick()
}

// deposit begins a sale of c1.
func (h *house) deposit(name string, a money.Amount, more ...func(*flow.SaleRequest)) (flow.Begun, error) {
	r := flow.SaleRequest{
		Project: h.pr, Method: h.pr.Methods[0], Door: "gate", PaymentID: name, CustomerID: "c1", CallbackURL: h.pr.CallbackURL, Amount: a,
	}
	for _, f := range more {
		f(&r)
	}
	return h.flows.BeginSale(h.t.Context(), r)
}

// paid is a deposit that the PSP has taken.
func (h *house) paid(name string, minor int64) flow.Begun {
	h.t.Helper()
	b, err := h.deposit(name, inr(minor))
	if err != nil {
		h.t.Fatalf("deposit %s: %v", name, err)
	}
	h.apply(b.Attempt, approved(minor))
	h.wantStatus(b.Payment.ID, payment.StatusCaptured, "0")
	return b
}

// refused wants a refusal.
func (h *house) refused(what string, err error, want risk.Refusal) {
	h.t.Helper()
	var got *risk.Refusal
	if !errors.As(err, &got) {
		h.t.Errorf("%s: %v, want a refusal with %s", what, err, want.Code)
		return
	}
	remaining := func(r *risk.Refusal) string {
		if r.Remaining == nil {
			return "-"
		}
		return r.Remaining.Decimal() + string(r.Remaining.Currency)
	}
	if got.Code != want.Code || remaining(got) != remaining(&want) || got.ResetsUS != want.ResetsUS || got.UntilUS != want.UntilUS ||
		got.Limit != want.Limit || got.RetryAfterS != want.RetryAfterS {
		h.t.Errorf("%s: refused with %+v (%s remain), want %+v (%s)", what, got, remaining(got), want, remaining(&want))
	}
}

func left(minor int64) *money.Amount { a := inr(minor); return &a }

// window reads c1's window of deposits.
func (h *house) window(c money.Currency) (limit.Window, limit.Entries) {
	h.t.Helper()
	w, _, err := h.read.Window(h.t.Context(), limit.WindowID(h.flows.CustomerOf(h.pr, "c1"), limit.Deposits, c))
	if err != nil {
		h.t.Fatal(err)
	}
	e, err := limit.DecodeEntries(w.Entries)
	if err != nil {
		h.t.Fatal(err)
	}
	return w, e
}

// counts wants what is reserved and used in all.
func (h *house) counts(what string, reserved, used int64) {
	h.t.Helper()
	w, e := h.window("INR")
	if e.Reserved() != reserved || e.Used(0) != used || w.EverMinor != used {
		h.t.Errorf("%s: %d is reserved and %d used (%d ever), want %d and %d", what, e.Reserved(), e.Used(0), w.EverMinor, reserved, used)
	}
}

func (h *house) at(text string) int64 {
	h.t.Helper()
	v, err := time.Parse("2006-01-02 15:04:05", "2026-"+text)
	if err != nil {
		h.t.Fatal(err)
	}
	h.mu.Lock()
	h.now = v
	h.mu.Unlock()
	return v.UnixMicro()
}

// The worked examples of limits-and-risk.md 1.4, as money moves.
func TestWorkedExamples(t *testing.T) {
	t.Parallel()
	h := licensed(t, 1)
	h.at("01-10 08:00:00")
	h.set(customer.LimitDeposit, limit.Day, 10_000)
	nine := h.at("01-10 09:00:00")
	h.paid("a", 5_000)
	eight := h.at("01-10 20:00:00")
	h.paid("b", 3_000)
	day := (24 * time.Hour).Microseconds()
	no := func(remains, resets int64) risk.Refusal {
		return risk.Refusal{Code: risk.CodeLimitExceeded, Limit: risk.LimitDeposit, Remaining: left(remains), ResetsUS: resets}
	}
	tests := []struct {
		at   string
		asks int64
		want risk.Refusal // no code: let in
	}{
		{"01-11 08:59:59", 3_000, no(2_000, nine+day)},
		{"01-11 09:00:00", 3_000, risk.Refusal{}},
		{"01-11 09:00:00", 7_001, no(7_000, eight+day)},
		{"01-11 19:59:59", 7_001, no(7_000, eight+day)},
		{"01-11 20:00:00", 7_001, risk.Refusal{}},
	}
	for n, tt := range tests {
		h.at(tt.at)
		b, err := h.deposit(fmt.Sprint("try", n), inr(tt.asks))
		if tt.want.Code != "" {
			h.refused(tt.at, err, tt.want)
			continue
		}
		if err != nil {
			t.Errorf("at %s: %v", tt.at, err)
			continue
		}
		h.apply(b.Attempt, connector.Outcome{Kind: connector.Declined, Code: payment.CodeExternalDecline}) // and makes room again
	}
	h.counts("in the end", 0, 8_000)
}

// Ten at once of 30.00 on 100.00: three pass, each time.
func TestParallelDeposits(t *testing.T) {
	t.Parallel()
	h := licensed(t, 1)
	h.set(customer.LimitDeposit, limit.Day, 10_000)
	var wg sync.WaitGroup
	var mu sync.Mutex
	passed := 0
	for n := range 10 {
		wg.Go(func() {
			_, err := h.deposit(fmt.Sprint("p", n), inr(3_000))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				passed++
				return
			}
			now := h.clock().UnixMicro()
			h.refused("parallel", err, risk.Refusal{Code: risk.CodeLimitExceeded, Limit: risk.LimitDeposit, Remaining: left(1_000), ResetsUS: now + (24 * time.Hour).Microseconds()})
		})
	}
	wg.Wait()
	if passed != 3 {
		t.Errorf("%d of 10 passed, want 3", passed)
	}
	h.counts("reserved", 9_000, 0)
}

// What a payment reserves is used by its money, and freed by whatever ends it without.
func TestReservations(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name           string
		end            func(h *house, b flow.Begun)
		reserved, used int64
	}{
		{"open", func(*house, flow.Begun) {}, 700, 0},
		{"captured", func(h *house, b flow.Begun) { h.apply(b.Attempt, approved(700)) }, 0, 700},
		{"captured, said twice", func(h *house, b flow.Begun) { h.apply(b.Attempt, approved(700)); h.apply(b.Attempt, approved(700)) }, 0, 700},
		{"declined", func(h *house, b flow.Begun) { h.apply(b.Attempt, connector.Outcome{Kind: connector.Declined}) }, 0, 0},
		{"unknown", func(h *house, b flow.Begun) { h.apply(b.Attempt, connector.Outcome{Kind: connector.Unknown}) }, 700, 0},
		{"expired", func(h *house, _ flow.Begun) { h.settle(); h.pass(time.Hour) }, 0, 0},
		{"captured, and refunded", func(h *house, b flow.Begun) {
			h.apply(b.Attempt, approved(700))
			h.psp.refund = []connector.Outcome{approved(700)}
			if _, err := h.flows.BeginRefund(h.t.Context(), flow.RefundRequest{Project: h.pr, Payment: h.payment(b.Payment.ID)}); err != nil {
				h.t.Fatal(err)
			}
			h.settle()
			h.wantStatus(b.Payment.ID, payment.StatusRefunded, "0")
		}, 0, 700},
		{"late, and held", func(h *house, b flow.Begun) {
			h.settle()
			h.pass(time.Hour)
			h.apply(b.Attempt, approved(700))
		}, 0, 0},
		{"late, and credited", func(h *house, b flow.Begun) {
			h.pr.LateSuccess = project.LateCredit
			h.settle()
			h.pass(time.Hour)
			h.apply(b.Attempt, approved(700))
			h.wantStatus(b.Payment.ID, payment.StatusCaptured, "0")
		}, 0, 700},
	}
	for _, tt := range tests {
		for homes := 1; homes <= 2; homes++ {
			h := licensed(t, homes)
			h.psp.sale = []connector.Outcome{redirected}
			b, err := h.deposit("a", inr(700))
			if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			tt.end(h, b)
			h.counts(tt.name, tt.reserved, tt.used)
		}
	}
}

// A capture reads the window alone: here the customer's row could not be read. What was
// lowered since the payment began, or is a restriction, it does look up.
func TestCaptureReadsNoCustomer(t *testing.T) {
	t.Parallel()
	h := licensed(t, 1)
	h.forged = true
	h.paid("first", 100)
	h.psp.sale = []connector.Outcome{redirected}
	for _, lowered := range []bool{false, true} {
		h.pass(time.Minute)
		b, err := h.deposit(fmt.Sprint("lowered ", lowered), inr(700))
		if err != nil {
			t.Fatal(err)
		}
		h.settle()
		if lowered {
			h.set(customer.LimitDeposit, limit.Day, 900) // 800 are used
		}
		k := h.flows.CustomerOf(h.pr, "c1")
		var limits string
		rewrite := func(to string) {
			h.act(k.Bucket(), func(p *book.Page) {
				c, _ := p.Customers.Get(k)
				limits, c.Limits = c.Limits, to
				p.Customers.Put(c)
			})
		}
		rewrite("?")
		err = h.flows.Apply(t.Context(), b.Attempt, approved(700))
		if lowered != (err != nil) {
			t.Errorf("a capture, lowered %t, of somebody whose limits cannot be read: %v", lowered, err)
		}
		rewrite(limits)
	}
	h.counts("in the end", 700, 800)
}

// A customer who tries again keeps what was reserved for the first try.
func TestRetryKeepsItsReservation(t *testing.T) {
	t.Parallel()
	for _, excluded := range []bool{false, true} {
		h := licensed(t, 1)
		h.set(customer.LimitDeposit, limit.Day, 700)
		b, err := h.deposit("a", inr(700), func(r *flow.SaleRequest) { r.Retries = 2 })
		if err != nil {
			t.Fatal(err)
		}
		h.apply(b.Attempt, connector.Outcome{Kind: connector.Declined, Code: payment.CodeExternalDecline})
		h.counts("offered", 700, 0)
		if excluded {
			h.tick()
			if err := h.flows.CoolOff(t.Context(), h.change(), 24); err != nil {
				t.Fatal(err)
			}
		}
		again, err := h.flows.TryAgain(t.Context(), h.payment(b.Payment.ID), b.Operation.ID, connector.Person{})
		if err != nil {
			t.Fatal(err)
		}
		if excluded {
			h.wantStatus(b.Payment.ID, payment.StatusDeclined, payment.CodeExternalDecline)
			h.counts("excluded meanwhile", 0, 0)
			if !again.Repeat {
				t.Error("an excluded customer tries again")
			}
			continue
		}
		h.counts("tried again", 700, 0)
		h.apply(again.Attempt, approved(700))
		h.counts("paid", 0, 700)
	}
}

// Of several limits the lowest wins, whoever has set it.
func TestLowestLimitWins(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		rules   string
		set     func(h *house)
		before  int64 // paid in
		asks    int64
		kind    risk.LimitKind // empty: let in
		remains int64
	}{
		{"none", "", func(*house) {}, 5_000, 1_000_000, "", 0},
		{"a single one, at it", "", func(h *house) { h.set(customer.LimitSingleDeposit, limit.Once, 500) }, 500, 500, "", 0},
		{"a single one, above", "", func(h *house) { h.set(customer.LimitSingleDeposit, limit.Once, 500) }, 0, 501, risk.LimitSingle, 500},
		{"the week before the day", "", func(h *house) {
			h.set(customer.LimitDeposit, limit.Day, 900)
			h.set(customer.LimitDeposit, limit.Week, 800)
			h.set(customer.LimitDeposit, limit.Month, 1000)
		}, 300, 501, risk.LimitDeposit, 500},
		{"the house's before the customer's", "", func(h *house) {
			h.set(customer.LimitDeposit, limit.Day, 900)
			if err := h.flows.SetHouseLimit(h.t.Context(), h.change(), customer.LimitDeposit, limit.Day, inr(400)); err != nil {
				h.t.Fatal(err)
			}
			h.tick()
		}, 300, 101, risk.LimitDeposit, 100},
		{"the rules' before both", "[[limits.maximum]]\nkind = \"deposit\"\nperiod = \"day\"\nminor = 350\ncurrency = \"INR\"\n", func(h *house) {
			h.set(customer.LimitDeposit, limit.Day, 400)
		}, 300, 51, risk.LimitDeposit, 50},
		{"net of what was paid out", "", func(h *house) { h.set(customer.LimitNetDeposit, limit.Day, 400) }, 300, 101, risk.LimitNetDeposit, 100},
	}
	for _, tt := range tests {
		h := licensed(t, 1)
		h.rules = rulesOf(t, tt.rules)
		tt.set(h)
		if tt.before > 0 {
			h.paid("before", tt.before)
		}
		_, err := h.deposit("a", inr(tt.asks))
		if tt.kind == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		var no *risk.Refusal
		if !errors.As(err, &no) || no.Limit != tt.kind || no.Remaining == nil || *no.Remaining != inr(tt.remains) {
			t.Errorf("%s: %v, want %s with %d left", tt.name, err, tt.kind, tt.remains)
		}
	}
}

// What was paid out makes room in a net limit, and in no other.
func TestNetDeposit(t *testing.T) {
	t.Parallel()
	h := licensed(t, 1)
	h.set(customer.LimitNetDeposit, limit.Day, 400)
	h.paid("a", 400)
	_, err := h.deposit("b", inr(1))
	h.refused("full", err, risk.Refusal{Code: risk.CodeLimitExceeded, Limit: risk.LimitNetDeposit, Remaining: left(0), ResetsUS: h.clock().Add(24 * time.Hour).UnixMicro()})
	h.paidOut(150)
	if _, err := h.deposit("c", inr(151)); err == nil {
		t.Error("more than was paid out is let in")
	}
	if _, err := h.deposit("d", inr(150)); err != nil {
		t.Errorf("what was paid out is not let in again: %v", err)
	}
	h.paidOut(1_000)
	_, err = h.deposit("e", inr(401)) // what is counted does not go below zero
	h.refused("more than the limit", err, risk.Refusal{Code: risk.CodeLimitExceeded, Limit: risk.LimitNetDeposit, Remaining: left(400), ResetsUS: h.clock().Add(24 * time.Hour).UnixMicro()})
}

// A limit in one currency counts what was paid in in all; one that cannot be counted is
// taken as reached.
func TestCurrencies(t *testing.T) {
	t.Parallel()
	h := licensed(t, 1)
	h.set(customer.LimitDeposit, limit.Day, 1_000)
	if _, err := h.deposit("a", money.Amount{Minor: 100, Currency: "SEK"}); err != nil { // 8.00 INR to the krona
		t.Fatal(err)
	}
	var no *risk.Refusal
	_, err := h.deposit("b", inr(201))
	if !errors.As(err, &no) || *no.Remaining != inr(200) {
		t.Errorf("in INR: %v, want 2.00 left", err)
	}
	_, err = h.deposit("c", money.Amount{Minor: 26, Currency: "SEK"})
	if !errors.As(err, &no) || *no.Remaining != (money.Amount{Minor: 25, Currency: "SEK"}) {
		t.Errorf("in SEK: %v, want 0.25 left", err)
	}
	_, err = h.deposit("d", money.Amount{Minor: 1, Currency: "USD"})
	if !errors.As(err, &no) || no.Remaining != nil || no.Code != risk.CodeLimitExceeded {
		t.Errorf("in a currency without a rate: %v", err)
	}
	if _, err := h.deposit("e", inr(200)); err != nil {
		t.Error(err)
	}
}

// Money that comes after its customer was excluded, or after a limit was lowered below
// it, is not theirs to play with: it goes back (rule RG-LATE).
func TestCaptureAfterExclusion(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		before func(h *house) error
		code   string // empty: captured
		held   bool
	}{
		{"nothing", func(*house) error { return nil }, "", false},
		{"cool-off", func(h *house) error { return h.flows.CoolOff(h.t.Context(), h.change(), 24) }, payment.CodeRejectCustomer, false},
		{"exclusion", func(h *house) error { return h.flows.Exclude(h.t.Context(), h.change(), 6) }, payment.CodeRejectCustomer, false},
		{"exclusion without end", func(h *house) error { return h.flows.Exclude(h.t.Context(), h.change(), 0) }, payment.CodeRejectCustomer, false},
		{"by a register", func(h *house) error {
			return h.flows.Restrict(h.t.Context(), h.change(), customer.Restraint{Restriction: customer.RegistryExcluded})
		}, payment.CodeRejectCustomer, false},
		{"frozen", func(h *house) error {
			return h.flows.Restrict(h.t.Context(), h.change(), customer.Restraint{Restriction: customer.Frozen})
		}, payment.CodeRejectCustomer, true},
		{"a limit lowered below it", func(h *house) error {
			return h.flows.SetLimit(h.t.Context(), h.change(), customer.LimitDeposit, limit.Day, inr(4_000))
		}, payment.CodeRejectAmount, false},
		{"a limit lowered to it", func(h *house) error {
			return h.flows.SetLimit(h.t.Context(), h.change(), customer.LimitDeposit, limit.Day, inr(5_000))
		}, "", false},
		{"a first limit", func(h *house) error {
			return h.flows.SetLimit(h.t.Context(), h.change(), customer.LimitSingleDeposit, limit.Once, inr(4_999))
		}, payment.CodeRejectAmount, false},
		{"the house's limit", func(h *house) error {
			return h.flows.SetHouseLimit(h.t.Context(), h.change(), customer.LimitDeposit, limit.Week, inr(100))
		}, payment.CodeRejectAmount, false},
	}
	for _, tt := range tests {
		for _, late := range []bool{false, true} { // the payment is open when its money comes, or its time is over
			h := licensed(t, 1)
			h.pr.LateSuccess = project.LateCredit
			h.set(customer.LimitDeposit, limit.Day, 10_000)
			h.psp.sale, h.psp.refund = []connector.Outcome{redirected}, []connector.Outcome{approved(5_000)}
			b, err := h.deposit("a", inr(5_000))
			if err != nil {
				t.Fatal(err)
			}
			h.settle()
			h.tick()
			if err := tt.before(h); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			h.tick()
			if late {
				h.pass(time.Hour)
				h.wantStatus(b.Payment.ID, payment.StatusDeclined, payment.CodeAutoDecline)
			}
			h.apply(b.Attempt, approved(5_000))
			h.settle()
			h.apply(b.Attempt, approved(5_000)) // known
			due := int64(0)
			if tt.held {
				due = 5_000
			}
			switch {
			case tt.code == "":
				h.wantStatus(b.Payment.ID, payment.StatusCaptured, "0")
				h.counts(tt.name, 0, 5_000)
				continue
			case late:
				h.wantStatus(b.Payment.ID, payment.StatusDeclined, payment.CodeAutoDecline)
			default:
				h.wantStatus(b.Payment.ID, payment.StatusDeclined, tt.code)
			}
			h.counts(tt.name, 0, 0)
			if got := h.balance("customer:1:c1", ledger.Available); got != 0 {
				t.Errorf("%s: the customer has %d to play with", tt.name, got)
			}
			if got := h.balance("house", ledger.RefundDue); got != due {
				t.Errorf("%s: %d is owed, want %d", tt.name, got, due)
			}
			if !tt.held {
				h.wantTold(b.Payment.ID, event.PaymentAwaiting, event.PaymentDeclined, event.RefundSucceeded)
			}
			if got := h.cases(); !slices.Equal(got, []string{"late_success"}) {
				t.Errorf("%s: cases %v", tt.name, got)
			}
		}
	}
}

// Two people agree that more was paid than was asked for, and it passes a limit, the
// customer's own or the house's: it is not theirs to play with, and goes back whatever
// the project does with late money. What is frozen stays.
func TestAcceptAboveALimit(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		limit  func(h *house) error
		said   int64
		frozen bool
	}{
		{name: "the customer's", said: 50_000, limit: func(h *house) error {
			return h.flows.SetLimit(h.t.Context(), h.change(), customer.LimitDeposit, limit.Day, inr(10_000))
		}},
		{name: "the house's", said: 50_000, limit: func(h *house) error {
			return h.flows.SetHouseLimit(h.t.Context(), h.change(), customer.LimitSingleDeposit, limit.Once, inr(10_000))
		}},
		{name: "to the limit", said: 10_000, limit: func(h *house) error {
			return h.flows.SetLimit(h.t.Context(), h.change(), customer.LimitDeposit, limit.Day, inr(10_000))
		}},
		{name: "frozen", said: 50_000, frozen: true, limit: func(h *house) error {
			return h.flows.SetLimit(h.t.Context(), h.change(), customer.LimitDeposit, limit.Day, inr(10_000))
		}},
	}
	for _, tt := range tests {
		for _, rule := range []project.LateRule{project.LateHold, project.LateRefund, project.LateCredit} {
			h := licensed(t, 1)
			h.pr.LateSuccess = rule
			h.tick()
			if err := tt.limit(h); err != nil {
				t.Fatal(err)
			}
			h.pass(time.Minute) // the limit is older than the payment, whosever clock tells
			h.psp.sale, h.psp.lookup = []connector.Outcome{redirected}, []connector.Outcome{approved(tt.said)}
			b, err := h.deposit("a", inr(5_000))
			if err != nil {
				t.Fatal(err)
			}
			h.settle()
			h.pass(time.Minute)
			if tt.frozen {
				if err := h.flows.Restrict(t.Context(), h.change(), customer.Restraint{Restriction: customer.Frozen}); err != nil {
					t.Fatal(err)
				}
			}
			c := h.theCase(flow.CaseMismatch)
			for _, who := range []operator.Actor{dan, erin} {
				if _, err := h.resolve(c, flow.SettleAccept, who); err != nil {
					t.Fatalf("%s, %s: %v", tt.name, rule, err)
				}
			}
			credited, owed, state, how := int64(0), int64(0), payment.CaseResolved, flow.SettleRefund // a refund reserves what is owed
			switch {
			case tt.frozen:
				owed, state, how = tt.said, payment.CaseOpen, ""
			case tt.said == 10_000:
				credited = tt.said
			}
			if a, d := h.balance("customer:1:c1", ledger.Available), h.balance("house", ledger.RefundDue); a != credited || d != owed {
				t.Errorf("%s, %s: %d is credited and %d owed, want %d and %d", tt.name, rule, a, d, credited, owed)
			}
			h.counts(tt.name, 0, credited)
			if credited > 0 {
				continue
			}
			h.wantStatus(b.Payment.ID, payment.StatusDeclined, payment.CodeRejectAmount)
			h.wantCase(flow.CaseLateSuccess, state, how)
			if tt.frozen {
				continue
			}
			h.psp.refund = []connector.Outcome{approved(tt.said)}
			h.settle()
			if d, n := h.balance("house", ledger.RefundDue), len(h.psp.refunds); d != 0 || n != 1 {
				t.Errorf("%s, %s: %d is owed after %d refunds, want 0 after one", tt.name, rule, d, n)
			}
		}
	}
}

// A limit of what is paid in net is taken as reached while payouts cannot be counted in it.
func TestNetDepositOfUncountedPayouts(t *testing.T) {
	t.Parallel()
	h := licensed(t, 1)
	h.forged = true
	h.set(customer.LimitNetDeposit, limit.Day, 10_000)
	h.psp.sale = []connector.Outcome{redirected}
	b, err := h.deposit("a", inr(5_000))
	if err != nil {
		t.Fatal(err)
	}
	h.settle()
	k := h.flows.CustomerOf(h.pr, "c1")
	h.act(k.Bucket(), func(p *book.Page) {
		w := limit.Window{ID: limit.WindowID(k, limit.Payouts, "USD"), Customer: k, Kind: limit.Payouts, Currency: "USD"} // no rate
		var e limit.Entries
		e.Use(id.Payment{}, 1, p.NowUS())
		w.Entries = e.Encode()
		p.Windows.Get(w.ID)
		p.Windows.Put(w)
		c, _ := p.Customers.Get(k)
		limits, err := customer.DecodeLimits(c.Limits)
		if err != nil {
			panic(err)
		}
		limits, _ = limits.PaidIn("USD")
		c.Limits = limits.Encode()
		p.Customers.Put(c.With("USD"))
	})
	h.set(customer.LimitNetDeposit, limit.Day, 6_000)
	h.apply(b.Attempt, approved(5_000))
	h.wantStatus(b.Payment.ID, payment.StatusDeclined, payment.CodeRejectAmount)
	h.counts("not counted", 0, 0)
}

// Who is restricted pays nothing in and stakes nothing, and gets what they win and own.
func TestRestricted(t *testing.T) {
	t.Parallel()
	h := licensed(t, 1)
	p := player{h, "c1"}
	h.paid("a", 1_000)
	p.must("stake", "s1", "r", 300)
	if err := h.flows.CoolOff(t.Context(), h.change(), 48); err != nil {
		t.Fatal(err)
	}
	until := h.clock().Add(48 * time.Hour).UnixMicro()
	no := risk.Refusal{Code: risk.CodePlayerRestricted, UntilUS: until}
	_, err := h.deposit("b", inr(1))
	h.refused("deposit", err, no)
	_, err = p.ask("stake", "s2", "r", 1, false)
	h.refused("stake", err, no)
	_, err = p.ask("stake", "s3", "r", 1, true)
	h.refused("stake of bonus", err, no)
	p.must("win", "w1", "r", 500)
	err = h.flows.SetLimit(t.Context(), h.change(), customer.LimitDeposit, limit.Day, inr(100))
	if err != nil {
		t.Errorf("a first limit while restricted: %v", err)
	}
	err = h.flows.SetLimit(t.Context(), h.change(), customer.LimitDeposit, limit.Day, inr(200))
	h.refused("a raise", err, no)
	h.refused("a removal", h.flows.RemoveLimit(t.Context(), h.change(), customer.LimitDeposit, limit.Day), no)
	if err := h.flows.CoolOff(t.Context(), h.change(), 24); !errors.Is(err, customer.ErrRestricted) {
		t.Errorf("a shorter cool-off: %v", err)
	}
	h.pass(48*time.Hour + time.Second)
	if _, err := h.deposit("c", inr(1)); err != nil {
		t.Errorf("after the cool-off: %v", err)
	}
}

// What is staked and lost is bounded, and what a rollback undoes counts no more.
func TestLimitsOfPlay(t *testing.T) {
	t.Parallel()
	h := licensed(t, 1)
	p := player{h, "c1"}
	h.paid("a", 100_000)
	h.set(customer.LimitStake, limit.Day, 1_000)
	h.set(customer.LimitLoss, limit.Day, 500)
	day := func() int64 { return h.clock().Add(24 * time.Hour).UnixMicro() }
	p.must("stake", "s1", "r1", 400)
	_, err := p.ask("stake", "s2", "r1", 101, false)
	h.refused("loss", err, risk.Refusal{Code: risk.CodeLimitExceeded, Limit: risk.LimitLoss, Remaining: left(100), ResetsUS: day()})
	p.must("win", "w1", "r1", 400)
	p.must("stake", "s3", "r2", 500)
	_, err = p.ask("stake", "s4", "r2", 101, false)
	h.refused("stakes", err, risk.Refusal{Code: risk.CodeLimitExceeded, Limit: risk.LimitLoss, Remaining: left(0), ResetsUS: day()})
	p.must("rollback", "b2", "r2", 500)
	p.must("stake", "s5", "r3", 500)
	p.must("win", "w3", "r3", 2_000)
	_, err = p.ask("stake", "s6", "r3", 101, false)
	h.refused("stakes", err, risk.Refusal{Code: risk.CodeLimitExceeded, Limit: risk.LimitStake, Remaining: left(100), ResetsUS: day()})
	p.must("stake", "s7", "r3", 100)
	w, _, err := h.read.Window(t.Context(), limit.WindowID(h.flows.CustomerOf(h.pr, "c1"), limit.Play, "INR"))
	if err != nil || w.StakedMinor != 1_000 {
		t.Errorf("%d is staked since the last payout, want 1000 (%v)", w.StakedMinor, err)
	}
	h.pass(24*time.Hour + time.Minute)
	p.must("stake", "s8", "r4", 500)
	p.must("win", "w8", "r4", 2_000)
	h.set(customer.LimitLoss, limit.Day, 300)
	p.must("stake", "s9", "r5", 400) // more than the limit, of what was won
}

// A refusal of a door that tells of it by callback is a payment that is declined.
func TestRefusalAsDecline(t *testing.T) {
	t.Parallel()
	for homes := 1; homes <= 2; homes++ {
		h := licensed(t, homes)
		h.set(customer.LimitDeposit, limit.Day, 100)
		declines := func(r *flow.SaleRequest) { r.Declines = true }
		b, err := h.deposit("a", inr(101), declines)
		if err != nil || b.Asked == nil {
			t.Fatalf("a refusal: %v", err)
		}
		<-b.Asked
		h.wantStatus(b.Payment.ID, payment.StatusDeclined, payment.CodeRejectAmount)
		h.wantTold(b.Payment.ID, event.PaymentDeclined)
		h.noDue()
		again, err := h.deposit("a", inr(101), declines)
		if err != nil || !again.Repeat || again.Payment.ID != b.Payment.ID {
			t.Errorf("again: %+v, %v", again, err)
		}
		if _, err := h.deposit("b", inr(100), declines); err != nil {
			t.Errorf("what fits: %v", err)
		}
		h.counts("refused", 100, 0)
	}
}

// A customer who pays in too often for a window to hold is slowed down.
func TestFullWindow(t *testing.T) {
	t.Parallel()
	h := licensed(t, 1)
	for n := range limit.MaxEntries {
		if _, err := h.deposit(fmt.Sprint("n", n), inr(1)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := h.deposit("full", inr(1))
	var no *risk.Refusal
	if !errors.As(err, &no) || no.Code != risk.CodeVelocityLimited || no.RetryAfterS <= 0 {
		t.Errorf("one more: %v", err)
	}
	// Written as a decline, it leaves nothing behind that only a deposit would.
	declines := func(r *flow.SaleRequest) { r.Declines = true }
	declined := func(name string, minor int64) {
		t.Helper()
		b, err := h.deposit(name, inr(minor), declines)
		if err != nil {
			t.Fatal(err)
		}
		h.wantStatus(b.Payment.ID, payment.StatusDeclined, payment.CodeRejectInterval)
		c, _, err := h.read.Customer(t.Context(), h.flows.CustomerOf(h.pr, "c1"))
		if err != nil || c.Review != 0 || len(h.cases()) != 0 || strings.Contains(h.notesOfC1(), "level_needed") {
			t.Errorf("%s: %v; %d open cases, all are %v, notes:\n%s", name, err, c.Review, h.cases(), h.notesOfC1())
		}
	}
	declined("near level 1", 120*80_00)
	without, err := risk.Load("rules.toml", []byte("profile = \"generic\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	h.rules = without
	declined("cannot be judged", 1)
}

// An unlicensed project's acts touch none of it.
func TestWithoutRules(t *testing.T) {
	t.Parallel()
	h := licensed(t, 1)
	h.rules = nil
	h.paid("a", 1_000)
	player{h, "c1"}.must("stake", "s", "r", 10)
	windows, err := h.homes[0].ScanWindows(t.Context(), id.Window{}, 10)
	if err != nil || len(windows) != 0 {
		t.Errorf("windows %v, %v", windows, err)
	}
	for what, err := range map[string]error{
		"set":     h.flows.SetLimit(t.Context(), h.change(), customer.LimitDeposit, limit.Day, inr(1)),
		"remove":  h.flows.RemoveLimit(t.Context(), h.change(), customer.LimitDeposit, limit.Day),
		"confirm": h.flows.ConfirmLimit(t.Context(), h.change(), customer.LimitDeposit, limit.Day),
		"house":   h.flows.SetHouseLimit(t.Context(), h.change(), customer.LimitDeposit, limit.Day, inr(1)),
		"cool":    h.flows.CoolOff(t.Context(), h.change(), 24),
		"exclude": h.flows.Exclude(t.Context(), h.change(), 6),
		"lift":    h.flows.Lift(t.Context(), h.change(), customer.Frozen),
		"end":     h.flows.AskEnd(t.Context(), h.change()),
	} {
		if !errors.Is(err, flow.ErrNoRules) {
			t.Errorf("%s: %v, want %v", what, err, flow.ErrNoRules)
		}
	}
	h.rules = rulesOf(t, "")
	if _, err := h.deposit("b", inr(1), func(r *flow.SaleRequest) { r.CustomerID = "" }); !errors.Is(err, flow.ErrNoWallet) {
		t.Errorf("a deposit of nobody: %v", err)
	}
}

// Limits change as their customer may know they do, and each step is in the history.
func TestLimitHistory(t *testing.T) {
	t.Parallel()
	h := licensed(t, 1)
	ctx, day := t.Context(), 24*time.Hour
	do := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
		h.tick()
	}
	set := func(minor int64) error {
		return h.flows.SetLimit(ctx, h.change(), customer.LimitDeposit, limit.Day, inr(minor))
	}
	confirm := func() error { return h.flows.ConfirmLimit(ctx, h.change(), customer.LimitDeposit, limit.Day) }
	do("first", set(1_000), nil)
	do("raise", set(2_000), nil)
	do("lower while it is pending", set(500), nil)
	do("the raise is gone", confirm(), customer.ErrNotPending)
	do("raise", set(800), nil)
	h.pass(day)
	do("another raise", set(900), nil)
	do("its delay is its own", confirm(), customer.ErrTooEarly)
	h.pass(day)
	do("confirm", confirm(), nil)
	do("be rid of it", h.flows.RemoveLimit(ctx, h.change(), customer.LimitDeposit, limit.Day), nil)
	h.pass(31 * day)
	do("lapsed", confirm(), customer.ErrNotPending)
	do("no calendar month here", h.flows.SetLimit(ctx, h.change(), customer.LimitDeposit, limit.CalendarMonth, inr(1)), flow.ErrLimitPeriod)
	do("nothing", h.flows.SetLimit(ctx, h.change(), customer.LimitDeposit, limit.Day, inr(0)), flow.ErrAmount)
	do("in another currency", h.flows.SetLimit(ctx, h.change(), customer.LimitDeposit, limit.Day, money.Amount{Minor: 113, Currency: "SEK"}), nil)
	s, err := h.flows.StandingOf(ctx, h.pr, "c1")
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, n := range s.Notes {
		kinds = append(kinds, n.Kind)
		if n.By != "project:200" {
			t.Errorf("note %s is by %q", n.Kind, n.By)
		}
	}
	want := "limit_asked limit_asked limit_confirmed limit_asked limit_asked limit_set limit_asked limit_set"
	if got := strings.Join(kinds, " "); got != want {
		t.Errorf("the history is %s, want %s", got, want)
	}
	// 9.00 INR are 1.125 SEK, rounded down: 1.13 is a raise.
	if x := s.Limits[0]; x.Amount != (money.Amount{Minor: 112, Currency: "SEK"}) || !x.HasAsked || x.Pending.Amount.Minor != 113 {
		t.Errorf("the limit is %+v", x)
	}
}

// A change is made once under the name of its note.
func TestChangeIsMadeOnce(t *testing.T) {
	t.Parallel()
	h := licensed(t, 2)
	c := h.change()
	c.Note = h.flows.NewNote(h.pr, "c1")
	for range 2 {
		if err := h.flows.SetLimit(t.Context(), c, customer.LimitDeposit, limit.Day, inr(500)); err != nil {
			t.Fatal(err)
		}
		h.tick()
		h.set(customer.LimitDeposit, limit.Day, 400)
	}
	s, err := h.flows.StandingOf(t.Context(), h.pr, "c1")
	if err != nil || len(s.Notes) != 2 || s.Limits[0].Amount != inr(400) || s.Limits[0].HasAsked {
		t.Errorf("standing %+v, %v", s, err)
	}
}

// What is reserved for a payment that ends while its project has no rules is free with
// that end, or used if its money has come. What an earlier program has left reserved is
// free once somebody pays in again; that of one that is still open is not.
func TestRulesThatComeBack(t *testing.T) {
	t.Parallel()
	h := licensed(t, 1)
	h.set(customer.LimitDeposit, limit.Day, 10_000)
	begun := map[string]flow.Begun{}
	for name, minor := range map[string]int64{"ends": 3_000, "waits": 1_000, "comes": 500, "stays": 4_000} {
		b, err := h.deposit(name, inr(minor))
		if err != nil {
			t.Fatal(err)
		}
		begun[name] = b
	}
	h.counts("begun", 8_500, 0)
	rules := h.rules
	h.rules = nil
	h.apply(begun["ends"].Attempt, connector.Outcome{Kind: connector.Declined, Code: payment.CodeGeneralDecline})
	h.wantStatus(begun["ends"].Payment.ID, payment.StatusDeclined, payment.CodeGeneralDecline)
	h.counts("one has ended", 5_500, 0)
	h.apply(begun["comes"].Attempt, approved(500))
	h.wantStatus(begun["comes"].Payment.ID, payment.StatusCaptured, payment.CodeSuccess)
	h.counts("one has come", 5_000, 500)
	h.rules = rules

	k := limit.WindowID(h.flows.CustomerOf(h.pr, "c1"), limit.Deposits, "INR")
	h.act(k.Bucket(), func(p *book.Page) {
		w, _ := p.Windows.Get(k)
		e, err := limit.DecodeEntries(w.Entries)
		if err == nil {
			err = e.Reserve(begun["ends"].Payment.ID, 3_000, p.NowUS())
		}
		if err != nil {
			panic(err)
		}
		w.Entries = e.Encode()
		p.Windows.Put(w)
	})
	h.mu.Lock()
	h.now = h.now.Add(25 * time.Hour)
	h.mu.Unlock()
	if _, err := h.deposit("fits", inr(4_500)); err != nil {
		t.Errorf("what is free again does not take a deposit: %v", err)
	}
	h.counts("those that are open still count", 9_500, 500)
}
