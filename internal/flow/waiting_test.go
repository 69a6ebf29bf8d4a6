package flow_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/limit"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/risk"
	"aorta/internal/store/storetest"
)

// lookAt has a payout that waits looked at after a while.
func (h *house) lookAt(p id.Payment, after time.Duration) {
	h.t.Helper()
	h.act(p.Bucket(), func(page *book.Page) {
		page.Due.Get(p.Raw())
		page.Due.Put(due.At(p.Raw(), due.Payout, h.clock().Add(after).UnixMicro()))
	})
}

// restrain gives the customer's row a restriction.
func (h *house) restrain(to customer.Restriction) {
	h.t.Helper()
	k := h.flows.CustomerOf(h.pr, "c1")
	h.act(k.Bucket(), func(p *book.Page) {
		c, _ := p.Customers.Get(k)
		c.Restriction = to
		p.Customers.Put(c)
		if w, ok := p.Windows.Get(limit.WindowID(k, limit.Deposits, "EUR")); ok {
			w.LowerUS = limit.NotKnown
			p.Windows.Put(w)
		}
	})
}

// lastDecision is what a payout stands by.
func (h *house) lastDecision(p id.Payment) risk.Record {
	h.t.Helper()
	all := h.decisions(p)
	return all[len(all)-1]
}

// halfPaid begins a payout of which the card's 80.00 are paid, and the bank's 20.00 are not taken.
func (h *house) halfPaid() id.Payment {
	h.t.Helper()
	h.payIn("bank", 5000)
	h.payIn("card", 8000)
	h.desk.says["generic-bank"] = []connector.Outcome{{Kind: connector.NotSent}}
	p := h.cashOut("p", 10000).Payment.ID
	h.wantStatus(p, payment.StatusPartiallyPaid, "")
	return p
}

// What a recheck has stopped stays so when it is looked at again before another recheck is due.
func TestRecheckHoldsUntilTheNext(t *testing.T) {
	t.Parallel()
	h := checkedHouse(t, easy)
	p := h.halfPaid()
	h.restrain(customer.Frozen)
	h.mu.Lock()
	h.now = h.now.Add(16 * time.Minute)
	h.mu.Unlock()
	asked := len(h.desk.payouts)
	for range 3 {
		h.lookAt(p, 0)
		h.pass(4 * time.Minute)
	}
	if d := h.lastDecision(p); !d.Again || d.Decision.Action != risk.Hold {
		t.Errorf("the recheck says %s, want hold", d.Decision.Action)
	}
	if n := len(h.desk.payouts) - asked; n != 0 {
		t.Errorf("a part of a frozen customer was sent %d times", n)
	}
	h.desk.says["generic-bank"] = nil
	h.restrain(customer.Unrestricted)
	h.pass(time.Hour)
	h.wantStatus(p, payment.StatusPaid, "0")
	h.noDue()
}

// A payout that its recheck declines has the decision in its log.
func TestGivenBackKeepsTheDecision(t *testing.T) {
	t.Parallel()
	h := checkedHouse(t, easy)
	p := h.halfPaid()
	h.restrain(customer.Closed)
	h.lookAt(p, 16*time.Minute)
	h.pass(16 * time.Minute)
	h.wantStatus(p, payment.StatusPaid, "0")
	h.wantMoney(13001-8000, 0)
	if d := h.lastDecision(p); !d.Again || d.Decision.Action != risk.Decline {
		t.Errorf("the last decision is %s, again %t; want the recheck's decline", d.Decision.Action, d.Again)
	}
	h.noDue()
}

// A payout on hold that the checks then decline waits for nobody.
func TestDeclinedAfterHoldClosesItsCase(t *testing.T) {
	t.Parallel()
	h := checkedHouse(t, easy)
	h.payIn("bank", 800_000)
	b := h.cashOut("p", 600_000)
	h.wantCase(flow.CasePayoutReview, payment.CaseOpen, "")
	h.lookAt(b.Payment.ID, time.Hour)
	h.restrain(customer.Closed)
	if _, _, err := h.flows.ApprovePayout(t.Context(), b.Payment.ID, person("ann"), ""); err != nil {
		t.Fatal(err)
	}
	h.wantStatus(b.Payment.ID, payment.StatusFailed, payment.CodeReject)
	h.wantMoney(800_001, 0)
	h.wantCase(flow.CasePayoutReview, payment.CaseClosed, "rejected")
	h.noDue()
}

// Where payouts do not wait for a route, one is not begun while there is none.
func TestNoPayoutWithoutARoute(t *testing.T) {
	t.Parallel()
	h := checkedHouse(t, strings.Replace(easy, "[payout]", "[payout]\ndefer = false", 1))
	h.payIn("bank", 50000)
	h.desk.says["generic-bank"] = []connector.Outcome{{Kind: connector.NotSent}}
	for n := range 3 {
		h.wantStatus(h.cashOut(fmt.Sprint("p", n), 1000).Payment.ID, payment.StatusFailed, payment.CodeProviderUnavailable)
	}
	if _, err := h.flows.BeginPayout(t.Context(), h.checkedRequest("q", 1000)); !errors.Is(err, flow.ErrNoRoute) {
		t.Errorf("while the account is down: %v, want ErrNoRoute", err)
	}
	h.wantMoney(50001, 0)
	if sum, _, _ := h.paidWindow(); sum != 0 {
		t.Errorf("%d counts as paid out", sum)
	}
	h.desk.says["generic-bank"] = nil
	h.pass(time.Hour)
	h.mu.Lock()
	h.now = h.now.Add(time.Hour)
	h.mu.Unlock()
	h.wantStatus(h.cashOut("q", 1000).Payment.ID, payment.StatusPaid, "0")
}

// Money that waits can be given back when its project has no rules any more; it cannot leave.
func TestGivenBackWithoutRules(t *testing.T) {
	t.Parallel()
	for _, cancel := range []bool{false, true} {
		h := checkedHouse(t, easy)
		h.payIn("bank", 800_000)
		b := h.cashOut("p", 600_000)
		h.rules = nil
		for name, err := range map[string]error{
			"approve": errOf(h.flows.ApprovePayout(t.Context(), b.Payment.ID, person("ann"), "")),
			"release": errOf(h.flows.ReleaseHold(t.Context(), b.Payment.ID, person("ann"), "")),
		} {
			if !errors.Is(err, flow.ErrState) {
				t.Errorf("%s: %v, want ErrState", name, err)
			}
		}
		want, err := payment.StatusFailed, error(nil)
		if cancel {
			want = payment.StatusCancelled
			_, _, err = h.flows.CancelPayout(t.Context(), h.pr, b.Payment.ID, operator.Automatic("project", "200"))
		} else {
			_, _, err = h.flows.RejectPayout(t.Context(), b.Payment.ID, person("ann"), "no")
		}
		if err != nil {
			t.Errorf("cancel %t: %v", cancel, err)
		}
		if got := h.payment(b.Payment.ID).Status; got != want {
			t.Errorf("it is %s, want %s", got, want)
		}
		h.wantMoney(800_001, 0)
	}
}

// A payout that has waited for long is tried for as long as any other.
func TestTriedSinceItWasSent(t *testing.T) {
	t.Parallel()
	h := checkedHouse(t, easy)
	h.payIn("bank", 5000)
	who := customer.Customer{ID: h.flows.CustomerOf(h.pr, "c1")}
	storetest.Verify(t, h.book, who, 0)
	b := h.cashOut("p", 3000)
	h.wantStatus(b.Payment.ID, payment.StatusStepUp, "")
	h.mu.Lock()
	h.now = h.now.Add(30 * time.Hour)
	h.mu.Unlock()
	storetest.Verify(t, h.book, who, 1)
	yes := connector.Outcome{Kind: connector.Approved}
	h.desk.says["generic-bank"] = []connector.Outcome{{Kind: connector.NotSent}, {Kind: connector.NotSent}, yes}
	h.lookAt(b.Payment.ID, 0)
	h.pass(time.Second)
	h.wantStatus(b.Payment.ID, payment.StatusDeferred, "")
	h.pass(time.Hour)
	h.wantStatus(b.Payment.ID, payment.StatusPaid, "0")
	h.noDue()
}

// What laundering looks like is let pass by analysts alone, and no more of it than they
// have seen.
func TestAnalystsReleaseLaundering(t *testing.T) {
	t.Parallel()
	h := checkedHouse(t, strings.NewReplacer("turnover_permille = 0", "turnover_permille = 1000\nmanual_above_minor = 2000").Replace(easy))
	h.payIn("card", 10000)
	p := h.cashOut("p", 3000).Payment.ID
	h.wantStatus(p, payment.StatusHold, "")
	as := func(name string, role operator.Role) operator.Actor {
		return operator.Actor{Name: name, Roles: operator.Roles(role)}
	}
	release := func(who operator.Actor, want error) {
		h.t.Helper()
		h.tick()
		if _, _, err := h.flows.ReleaseHold(t.Context(), p, who, "looked into"); !errors.Is(err, want) {
			t.Errorf("%s releases: %v, want %v", who.Name, err, want)
		}
		h.settle()
	}
	for _, role := range []operator.Role{operator.PayoutApprover, operator.Finance, operator.RGOfficer, operator.Admin} {
		release(as("ann", role), flow.ErrRole)
	}
	release(as("al", operator.AMLAnalyst), nil)
	if d := h.lastDecision(p).Decision; d.Check != risk.CheckApproval {
		t.Errorf("released, it is %s by %s", d.Action, d.Check)
	}
	h.payIn("card", 1) // which is not played either
	if _, _, err := h.flows.ApprovePayout(t.Context(), p, person("bob"), ""); err != nil {
		t.Fatal(err)
	}
	h.settle()
	if d := h.lastDecision(p).Decision; d.Check != risk.CheckWagering || d.Approver != risk.RoleAMLAnalyst {
		t.Errorf("after another deposit it is %s by %s, for %q", d.Action, d.Check, d.Approver)
	}
	h.wantStatus(p, payment.StatusHold, "")
	release(as("mo", operator.MLRO), nil)
	h.wantStatus(p, payment.StatusPaid, "0")
}

// A bonus is lost with the act that begins the payout, and stays lost; one that is given
// while a payout waits does not stop it.
func TestForfeitedBonus(t *testing.T) {
	t.Parallel()
	h := checkedHouse(t, strings.Replace(easy, "turnover_permille = 0", "turnover_permille = 0\nmanual_above_minor = 2000", 1))
	h.payIn("card", 10000)
	bonus := func(name string, minor int64) {
		h.t.Helper()
		h.tick()
		if _, err := h.flows.GrantBonus(t.Context(), flow.WalletMove{Project: h.pr, CustomerID: "c1", TxnID: name, Amount: eur(minor)}); err != nil {
			t.Fatal(err)
		}
	}
	bonus("one", 500)
	owed := h.balanceIn("merchant:1", ledger.Payable)
	r := h.checkedRequest("p", 3000)
	var no *risk.Refusal
	if _, err := h.flows.BeginPayout(t.Context(), r); !errors.As(err, &no) || no.State != "bonus_active" {
		t.Errorf("without agreement: %v", err)
	}
	r.ForfeitBonus = true
	b, err := h.flows.BeginPayout(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	h.wantStatus(b.Payment.ID, payment.StatusHold, "")
	if got, left := h.balanceIn("merchant:1", ledger.Payable)-owed, h.balanceIn(owner, ledger.Bonus); got != 500 || left != 0 {
		t.Errorf("the merchant has %d more, the customer a bonus of %d; want 500 and 0", got, left)
	}
	bonus("two", 700)
	if _, _, err := h.flows.ApprovePayout(t.Context(), b.Payment.ID, person("ann"), ""); err != nil {
		t.Fatal(err)
	}
	h.settle()
	h.wantStatus(b.Payment.ID, payment.StatusPaid, "0")
	if left := h.balanceIn(owner, ledger.Bonus); left != 700 {
		t.Errorf("a bonus of %d is left, want 700", left)
	}
	h.decisions(b.Payment.ID)
}

// balanceIn is what an owner has in euros, in the customer's bucket.
func (h *house) balanceIn(owner string, p ledger.Purpose) int64 {
	h.t.Helper()
	a, _, err := h.read.Account(h.t.Context(), ledger.AccountID(h.flows.CustomerOf(h.pr, "c1").Bucket(), owner, p, "EUR"))
	if err != nil {
		h.t.Fatal(err)
	}
	return a.Balance()
}

// ruled gives the house other rules.
func (h *house) ruled(text string) {
	h.t.Helper()
	r, err := risk.Load("rules.toml", []byte(text))
	if err != nil {
		h.t.Fatal(err)
	}
	h.rules = r
}

// What leaves the queue is held against the limits of that moment, too.
func TestLimitsWhenItLeavesTheQueue(t *testing.T) {
	t.Parallel()
	h := checkedHouse(t, easy)
	p := h.halfPaid()
	h.desk.says["generic-bank"] = nil
	h.ruled(strings.Replace(easy, "[payout]", "[payout]\nday_max_minor = 9999", 1))
	asked := len(h.desk.payouts)
	h.lookAt(p, 16*time.Minute)
	h.pass(16 * time.Minute)
	var log []risk.Record
	if err := json.Unmarshal([]byte(h.review(p).Log), &log); err != nil {
		t.Fatal(err)
	}
	if d := log[len(log)-1]; !d.Again || d.Decision.Check != risk.CheckLimits {
		t.Errorf("it is stopped by %s, again %t; want limits", d.Decision.Check, d.Again)
	}
	h.wantStatus(p, payment.StatusPaid, "0")
	h.wantMoney(13001-8000, 0)
	if n := len(h.desk.payouts) - asked; n != 0 {
		t.Errorf("a part above the limit was sent %d times", n)
	}
	h.noDue()
}

// A payout that is long on its way ends the span of what was judged when it was let go,
// and not of what was paid in since (A04).
func TestSlowPayoutLeavesTurnover(t *testing.T) {
	t.Parallel()
	h := checkedHouse(t, strings.Replace(easy, "turnover_permille = 0", "turnover_permille = 1000", 1))
	accepted, yes := connector.Outcome{Kind: connector.Pending}, connector.Outcome{Kind: connector.Approved}
	h.payIn("bank", 10000)
	h.play(10000)
	h.desk.says["generic-bank"], h.desk.lookup["generic-bank"] = []connector.Outcome{accepted}, []connector.Outcome{accepted}
	first := h.cashOut("p", 1000).Payment.ID
	second := h.cashOut("q", 1000).Payment.ID
	h.payIn("bank", 5000)
	h.play(2000)
	h.desk.lookup["generic-bank"] = []connector.Outcome{yes}
	h.pass(time.Hour)
	h.wantStatus(first, payment.StatusPaid, "0")
	h.wantStatus(second, payment.StatusPaid, "0")
	h.desk.says["generic-bank"] = nil
	b := h.cashOut("r", 1000)
	h.wantStatus(b.Payment.ID, payment.StatusHold, "")
	if d := h.lastDecision(b.Payment.ID).Decision; d.Missing == nil || *d.Missing != eur(3000) {
		t.Errorf("missing are %v, want 30.00 of the 50.00 that were paid in since", d.Missing)
	}
	h.play(3000)
	if _, _, err := h.flows.ReleaseHold(t.Context(), b.Payment.ID, person("ann"), ""); err != nil {
		t.Fatal(err)
	}
	h.settle()
	h.wantStatus(b.Payment.ID, payment.StatusPaid, "0")
	h.wantStatus(h.cashOut("s", 1000).Payment.ID, payment.StatusPaid, "0")
}

// V10 counts payouts that were asked for in its window, whatever became of them, and one
// that goes on after it has waited not twice.
func TestRequestsAreCounted(t *testing.T) {
	t.Parallel()
	v10 := strings.Replace(easy, "id = \"V10\"\nenabled = false", "id = \"V10\"\nwindow = \"2h\"\nparams = { count = 2 }", 1)
	h := checkedHouse(t, strings.Replace(v10, "turnover_permille = 0", "turnover_permille = 0\nmanual_above_minor = 2000", 1))
	h.payIn("bank", 50000)
	no := []connector.Outcome{{Kind: connector.Declined, Code: payment.CodeExternalLimit}}
	h.desk.says["generic-bank"] = no
	h.wantStatus(h.cashOut("refused", 1000).Payment.ID, payment.StatusFailed, payment.CodeExternalLimit)
	waits := h.cashOut("waits", 3000).Payment.ID
	if d := h.lastDecision(waits).Decision; d.Check != risk.CheckApproval {
		t.Errorf("the second is held by %s", d.Check)
	}
	h.desk.says["generic-bank"] = nil
	if _, _, err := h.flows.ApprovePayout(t.Context(), waits, person("ann"), ""); err != nil {
		t.Fatal(err)
	}
	h.settle()
	h.wantStatus(waits, payment.StatusPaid, "0")
	third := h.cashOut("third", 1000).Payment.ID
	h.wantStatus(third, payment.StatusHold, "")
	if got := h.held(third); got != "rules [V10]" {
		t.Errorf("the third is held by %s", got)
	}
	if _, _, err := h.flows.RejectPayout(t.Context(), third, person("ann"), "no"); err != nil {
		t.Fatal(err)
	}
	h.pass(2 * time.Hour)
	h.wantStatus(h.cashOut("later", 1000).Payment.ID, payment.StatusPaid, "0")
}

// Where a project loses its rules, what was sent goes on to its end, and what was not
// goes back: nothing waits for ever.
func TestRulesLost(t *testing.T) {
	t.Parallel()
	t.Run("partly sent", func(t *testing.T) {
		t.Parallel()
		h := checkedHouse(t, easy)
		p := h.halfPaid()
		h.rules = nil
		h.pass(2 * time.Hour)
		h.wantStatus(p, payment.StatusPaid, "0")
		h.wantMoney(13001-8000, 0)
		h.noDue()
	})
	t.Run("on its way", func(t *testing.T) {
		t.Parallel()
		h := checkedHouse(t, easy)
		h.payIn("bank", 5000)
		h.desk.says["generic-bank"], h.desk.lookup["generic-bank"] = []connector.Outcome{{Kind: connector.Unknown}}, []connector.Outcome{{Kind: connector.Approved}}
		p := h.cashOut("p", 2000).Payment.ID
		h.rules = nil
		h.pass(2 * time.Hour)
		h.wantStatus(p, payment.StatusPaid, "0")
		h.noDue()
	})
	t.Run("deferred", func(t *testing.T) {
		t.Parallel()
		h := checkedHouse(t, easy)
		h.payIn("bank", 50000)
		h.desk.says["generic-bank"] = []connector.Outcome{{Kind: connector.NotSent}}
		for n := range 3 {
			h.cashOut(fmt.Sprint("p", n), 1000)
		}
		b := h.cashOut("q", 1000)
		h.wantStatus(b.Payment.ID, payment.StatusDeferred, "")
		h.rules = nil
		h.pass(2 * time.Hour)
		h.wantStatus(b.Payment.ID, payment.StatusFailed, payment.CodeProviderUnavailable)
		h.wantMoney(50001, 0)
		h.noDue()
	})
}
