package flow_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/risk"
	"aorta/internal/store/storetest"
	"aorta/internal/verification"
)

// lists are those of sanctions, as a bureau that screens searches them.
type lists struct {
	*bureau
	mu    sync.Mutex
	says  verification.Screening
	mute  bool // it answers when the caller has given up, and then not
	asked int
}

func (l *lists) Screen(ctx context.Context, _ verification.Order) verification.Screening {
	l.mu.Lock()
	l.asked++
	says, mute := l.says, l.mute
	l.mu.Unlock()
	if mute {
		<-ctx.Done()
		return verification.Screening{Message: "too late"}
	}
	return says
}

// say has them say so from now on.
func (l *lists) say(s verification.Screening) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.says, l.mute = s, false
}

func (l *lists) silent() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mute = true
}

// times gives how often they were asked since the last time.
func (l *lists) times() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.asked
	l.asked = 0
	return n
}

var (
	clear   = verification.Screening{Heard: true}
	unclear = verification.Screening{Heard: true, Permille: 900}
	hit     = verification.Screening{Heard: true, Permille: 980}
	exposed = verification.Screening{Heard: true, PEP: true}
)

var (
	analyst = operator.Actor{Name: "amy", Roles: "aml_analyst"}
	mlro    = operator.Actor{Name: "mia", Roles: "mlro"}
)

// screeningHouse is a bureauHouse whose bureau screens.
func screeningHouse(t *testing.T, db storetest.DB) (*bureauHouse, *lists) {
	t.Helper()
	by := &lists{says: clear}
	l := newBureauHouseOf(t, db, func(b *bureau) verification.Provider { by.bureau = b; return by })
	return l, by
}

// sanctions gives the one case there is of a match, if any.
func (l *bureauHouse) sanctions() (payment.Case, bool) {
	l.t.Helper()
	rows, err := l.db.Cases(l.t.Context(), id.Case{}, 100)
	if err != nil || len(rows) > 1 {
		l.t.Fatalf("cases %+v, %v, want one at most", rows, err)
	}
	if len(rows) == 0 {
		return payment.Case{}, false
	}
	return rows[0], true
}

// TestScreenedDaily: whoever has a level is looked for on the lists at once, and then
// once a day, by the highest check whose provider does; who does not answer is asked
// again.
func TestScreenedDaily(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		l, by := screeningHouse(t, db)
		l.verified(rulesProject, "ann", 1) // level 2
		one := l.begun(rulesProject, "ann", 1)
		if err := l.hear(one, passes(hashOf(1), l.clock().Add(100*time.Hour))); err != nil {
			t.Fatal(err)
		}
		three := l.begun(rulesProject, "ann", 3) // by people, who do not screen
		if _, err := l.flows.DecideCheck(t.Context(), three, flow.Decision{Passed: true}, ann); err != nil {
			t.Fatal(err)
		}
		if n := by.times(); n != 1 {
			t.Errorf("asked %d times when the levels were given, want once", n)
		}
		listed := func() customer.Screening {
			t.Helper()
			v, err := customer.DecodeVerification(l.customer(rulesProject, "ann").Checks)
			if err != nil {
				t.Fatal(err)
			}
			return v.Listed
		}
		if s := listed(); !s.On || s.AtUS == 0 {
			t.Errorf("after the first screening: %+v", s)
		}
		l.sound()
		l.pass(23 * time.Hour)
		if n := by.times(); n != 0 {
			t.Errorf("asked %d times in the first day", n)
		}
		l.pass(49 * time.Hour)
		if n := by.times(); n != 3 {
			t.Errorf("asked %d times in three days", n)
		}
		l.want(one, customer.CheckPassed, rulesProject, "ann", 3)
		l.pass(30 * time.Hour)
		l.want(one, customer.CheckExpired, rulesProject, "ann", 3)
		by.times()
		by.say(verification.Screening{Message: "out of order"})
		before := listed().AtUS
		l.pass(24*time.Hour + 30*time.Second)
		l.pass(10 * time.Minute)
		if n := by.times(); n < 10 || listed().AtUS != before {
			t.Errorf("asked %d times in ten minutes without an answer, screened at %d, was %d", n, listed().AtUS, before)
		}
		by.say(clear)
		l.pass(time.Minute)
		if listed().AtUS == before {
			t.Error("an answer in the end is not booked")
		}
		l.sound()
	})
}

// TestMatch: a certain match freezes the person, everywhere, and an unclear one has
// people look; two of them can say that it is somebody else, and then it counts no more.
func TestMatch(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		l, by := screeningHouse(t, db)
		l.verified(rulesProject, "ann", 1)
		by.say(unclear)
		l.pass(24 * time.Hour)
		l.restricted(rulesProject, "ann", "")
		found, ok := l.sanctions()
		if c := l.customer(rulesProject, "ann"); !ok || found.Kind != "sanctions_match" || found.Customer != c.ID || c.Review != 1 {
			t.Fatalf("an unclear match leads to %+v, %d open cases", found, c.Review)
		}
		l.verified(sister, "anna", 1) // whose own screening finds nothing yet
		by.say(hit)
		l.pass(24 * time.Hour)
		l.restricted(rulesProject, "ann", customer.Frozen)
		l.restricted(sister, "anna", customer.Frozen)
		by.say(clear)
		l.pass(24 * time.Hour)
		l.restricted(rulesProject, "ann", customer.Frozen) // only people lift it
		l.sound()
	})
}

// TestMatchIsSomebodyElse: what two people have closed is not found again, and a better
// match is.
func TestMatchIsSomebodyElse(t *testing.T) {
	t.Parallel()
	l, by := screeningHouse(t, book.NewMemory())
	by.say(hit)
	l.verified(rulesProject, "ann", 1)
	l.restricted(rulesProject, "ann", customer.Frozen)
	l.pass(3 * 24 * time.Hour)
	found, _ := l.sanctions()
	if c := l.customer(rulesProject, "ann"); c.Review != 1 {
		t.Errorf("%d open cases after three days of the same match", c.Review)
	}
	settle := func(who operator.Actor) error {
		_, err := l.flows.SettleCase(t.Context(), flow.CaseChange{Case: found.ID, By: who, Note: "born 40 years later"}, flow.SettleClose)
		return err
	}
	if err := settle(paul); !errors.Is(err, flow.ErrNoCase) {
		t.Errorf("closed by %s: %v, want ErrNoCase", paul.Name, err)
	}
	if err := settle(analyst); err != nil {
		t.Fatal(err)
	}
	if err := settle(analyst); !errors.Is(err, flow.ErrSamePerson) {
		t.Errorf("closed by the same: %v, want ErrSamePerson", err)
	}
	if err := settle(mlro); err != nil {
		t.Fatal(err)
	}
	if c := l.customer(rulesProject, "ann"); c.Review != 0 {
		t.Errorf("%d open cases when it is closed", c.Review)
	}
	lift := flow.CustomerChange{Project: l.project(rulesProject), CustomerID: "ann", By: mlro, Reason: "somebody else"}
	if err := l.flows.Lift(t.Context(), lift, customer.Frozen); err != nil {
		t.Fatal(err)
	}
	l.pass(2 * 24 * time.Hour)
	l.restricted(rulesProject, "ann", "")
	if again, _ := l.sanctions(); again.State != payment.CaseClosed {
		t.Errorf("the same match once more: the case is %s", again.State)
	}
	by.say(verification.Screening{Heard: true, Permille: 995})
	l.pass(24 * time.Hour)
	l.restricted(rulesProject, "ann", customer.Frozen)
	if again, _ := l.sanctions(); again.State != payment.CaseOpen || l.customer(rulesProject, "ann").Review != 1 {
		t.Errorf("a better match: the case is %s, %d open", again.State, l.customer(rulesProject, "ann").Review)
	}
	l.sound()
}

// screenedHouse is a checkedHouse whose customer is of a level, by who screens.
func screenedHouse(t *testing.T, rules string, level int64) (*house, *lists) {
	t.Helper()
	h, by := checkedHouse(t, rules), &lists{bureau: &bureau{}, says: clear}
	h.verifiers = verification.Directory{{Name: "bureau", Levels: []int64{1, 2, 3}, Provider: by}}
	h.book, h.flows = h.process(7, func(rows []due.Due) { h.mu.Lock(); h.work = append(h.work, rows...); h.mu.Unlock() })
	k := h.flows.CustomerOf(h.pr, "c1")
	h.act(k.Bucket(), func(p *book.Page) {
		c, _ := p.Customers.Get(k)
		row := customer.Check{
			ID: id.Check(p.Mint()), Customer: k, Level: level, State: customer.CheckPassed, Provider: "bureau", CreatedUS: p.NowUS(), ChangedUS: p.NowUS(),
			Facts: fmt.Sprintf(`{"project":%d,"screen":true}`, h.pr.ID),
		}
		p.Checks.New(row)
		p.Due.New(due.At(row.ID.Raw(), due.Check, p.NowUS()+24*time.Hour.Microseconds()))
		var v customer.Verification
		v.Listed.On = true
		p.Customers.Put(c.Verified(v.Pass(customer.Proof{Level: level, Check: row.ID}, id.Person{}), p.NowUS()))
	})
	return h, by
}

// TestPayoutIsScreened: the lists are searched at every payout that is not asked for
// right after another, and once more where it has waited. Who is on one is not paid.
func TestPayoutIsScreened(t *testing.T) {
	t.Parallel()
	h, by := screenedHouse(t, easy, 3)
	h.payIn("card", 900_000)
	asked := func(what string, want int) {
		t.Helper()
		if n := by.times(); n != want {
			t.Errorf("%s: asked %d times, want %d", what, n, want)
		}
	}
	h.wantStatus(h.cashOut("p1", 1000).Payment.ID, payment.StatusPaid, payment.CodeSuccess)
	asked("the first", 1)
	h.wantStatus(h.cashOut("p2", 1000).Payment.ID, payment.StatusPaid, payment.CodeSuccess)
	asked("a second right after it", 0)
	h.pass(16 * time.Minute)
	big := h.cashOut("p3", 600_000).Payment.ID // waits for approval
	asked("one later", 1)
	h.wantStatus(big, payment.StatusHold, "")
	h.pass(time.Hour)
	if _, _, err := h.flows.ApprovePayout(t.Context(), big, person("paul"), "known"); err != nil {
		t.Fatal(err)
	}
	h.settle()
	asked("one that has waited", 1)
	h.wantStatus(big, payment.StatusPaid, payment.CodeSuccess)
	h.pass(16 * time.Minute)
	by.say(hit)
	caught := h.cashOut("p4", 1000).Payment.ID
	h.wantStatus(caught, payment.StatusHold, "")
	if d := h.lastDecision(caught).Decision; d.Check != risk.CheckState || !strings.Contains(fmt.Sprint(d.Results), "frozen") {
		t.Errorf("it is held by %+v", d)
	}
	if c, _, err := h.read.Customer(t.Context(), h.flows.CustomerOf(h.pr, "c1")); err != nil || c.Restriction != customer.Frozen {
		t.Errorf("the customer is %q (%v)", c.Restriction, err)
	}
}

// TestScreeningIsLate: whoever waits for a payout does not wait for who screens: it is
// held after 200 ms, and goes on by itself once they have answered.
func TestScreeningIsLate(t *testing.T) {
	t.Parallel()
	h, by := screenedHouse(t, easy, 3)
	h.payIn("card", 10_000)
	by.silent()
	h.tick()
	since := time.Now()
	b, err := h.flows.BeginPayout(t.Context(), h.checkedRequest("p1", 1000))
	if took := time.Since(since); err != nil || took > 5*time.Second {
		t.Fatalf("BeginPayout = %v after %s", err, took)
	}
	h.wantStatus(b.Payment.ID, payment.StatusHold, "")
	if r := h.review(b.Payment.ID); r.Reason != string(risk.UnderReview) {
		t.Errorf("the customer is told %q", r.Reason)
	}
	if text := h.lastDecision(b.Payment.ID).Encode(); !strings.Contains(text, `"unscreened":true`) || !strings.Contains(text, "have not been searched in time") {
		t.Errorf("the decision is %s", text)
	}
	by.say(clear)
	h.settle()
	h.wantStatus(b.Payment.ID, payment.StatusPaid, payment.CodeSuccess)
	if got := h.theCase(flow.CasePayoutReview).State; got != payment.CaseClosed {
		t.Errorf("its case is %s", got)
	}
}

// TestExposed: a politically exposed person needs level 3, to pay in and to be paid.
func TestExposed(t *testing.T) {
	t.Parallel()
	h, by := screenedHouse(t, easy, 2)
	h.payIn("card", 10_000)
	by.say(exposed)
	out := h.cashOut("p1", 1000)
	h.wantStatus(out.Payment.ID, payment.StatusStepUp, "")
	if r := h.review(out.Payment.ID); r.RequiredLevel != 3 {
		t.Errorf("it needs level %d", r.RequiredLevel)
	}
	_, err := h.flows.BeginSale(t.Context(), flow.SaleRequest{
		Project: h.pr, Method: h.pr.Methods[0], Door: "api", PaymentID: "again", CustomerID: "c1", Amount: money.Amount{Minor: 100, Currency: "EUR"},
	})
	var no *risk.Refusal
	if !errors.As(err, &no) || no.Code != risk.CodeKYCRequired || no.RequiredLevel != 3 {
		t.Errorf("a deposit = %v, want kyc_required of level 3", err)
	}
	if !strings.Contains(h.notesOfC1(), `level_needed {"required_level":3}`) {
		t.Errorf("they are not told:\n%s", h.notesOfC1())
	}
	by.say(clear)
	h.pass(24 * time.Hour)
	h.wantStatus(out.Payment.ID, payment.StatusPaid, payment.CodeSuccess)
}
