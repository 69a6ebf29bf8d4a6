package flow_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/connector"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/verify"
)

// People of the tests.
var (
	dan  = operator.Actor{Name: "dan", Roles: "finance"}
	erin = operator.Actor{Name: "erin", Roles: "finance support"}
	sam  = operator.Actor{Name: "sam", Roles: "support"}
	paul = operator.Actor{Name: "paul", Roles: "payout_approver"}
)

// theCase gives the one case there is of a kind.
func (h *house) theCase(kind string) payment.Case {
	h.t.Helper()
	var found []payment.Case
	for _, m := range h.homes {
		rows, err := m.Cases(h.t.Context(), id.Case{}, 100)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, c := range rows {
			if c.Kind == kind {
				found = append(found, c)
			}
		}
	}
	if len(found) != 1 {
		h.t.Fatalf("there are %d cases of kind %s, want 1", len(found), kind)
	}
	return found[0]
}

func (h *house) resolve(c payment.Case, how string, by operator.Actor) (payment.Case, error) {
	return h.flows.SettleCase(h.t.Context(), flow.CaseChange{Case: c.ID, By: by, Note: "the PSP's desk says so, ticket 7"}, how)
}

func (h *house) wantCase(kind string, state payment.CaseState, resolution string) payment.Case {
	h.t.Helper()
	c := h.theCase(kind)
	if c.State != state || c.Resolution != resolution {
		h.t.Errorf("case %s is %s by %q, want %s by %q; its log: %s", kind, c.State, c.Resolution, state, resolution, c.Log)
	}
	return c
}

// sound fails the test unless every invariant holds, and the log of operators.
func (h *house) sound() {
	h.t.Helper()
	h.audited()
	for _, m := range h.homes {
		report, err := verify.Run(h.t.Context(), m, verify.Options{})
		if err != nil || !report.OK {
			h.t.Errorf("verify: %v %v", report.Violations, err)
		}
	}
}

// declinedLate gives a payment whose money has come after our decline.
func declinedLate(t *testing.T, change func(*project.Project)) (*house, flow.Begun) {
	t.Helper()
	h := newHouse(t, 1, change)
	h.psp.sale, h.psp.lookup = []connector.Outcome{redirected}, []connector.Outcome{{Kind: connector.Pending}}
	b := h.begin("order-1", 250)
	h.settle()
	h.pass(31 * time.Minute)
	h.apply(b.Attempt, approved(250))
	return h, b
}

// TestLateMoneyByHand: an operator credits late money or sends it back, once.
func TestLateMoneyByHand(t *testing.T) {
	t.Parallel()
	t.Run("credit", func(t *testing.T) {
		t.Parallel()
		h, b := declinedLate(t, nil)
		h.wantStatus(b.Payment.ID, payment.StatusDeclined, payment.CodeAutoDecline)
		c := h.wantCase(flow.CaseLateSuccess, payment.CaseOpen, "")
		if _, err := h.resolve(c, flow.SettleClose, dan); !errors.As(err, new(*flow.CaseStateError)) {
			t.Errorf("closed while the money is owed = %v, want *CaseStateError", err)
		}
		first, err := h.resolve(c, flow.SettleCredit, dan)
		if err != nil || first.State != payment.CaseInvestigating {
			t.Fatalf("credited by the first = %+v, %v, want one that waits for a second", first, err)
		}
		if _, err := h.resolve(c, flow.SettleCredit, dan); !errors.Is(err, flow.ErrSamePerson) {
			t.Errorf("credited by the same = %v, want ErrSamePerson", err)
		}
		h.wantStatus(b.Payment.ID, payment.StatusDeclined, payment.CodeAutoDecline)
		for range 2 {
			if _, err := h.resolve(c, flow.SettleCredit, erin); err != nil {
				t.Fatal(err)
			}
		}
		h.wantCase(flow.CaseLateSuccess, payment.CaseResolved, flow.SettleCredit)
		h.wantStatus(b.Payment.ID, payment.StatusCaptured, payment.CodeSuccess)
		if due, owed := h.balance("house", ledger.RefundDue), h.balance("merchant:1", ledger.Payable); due != 0 || owed != 250 {
			t.Errorf("refund due %d, the merchant's %d, want 0 and 250", due, owed)
		}
		if _, err := h.resolve(c, flow.SettleRefund, dan); !errors.As(err, new(*flow.CaseStateError)) {
			t.Errorf("refunded after the credit = %v, want *CaseStateError", err)
		}
		h.reopen(c, dan)
		if _, err := h.resolve(c, flow.SettleRefund, dan); err == nil || !strings.Contains(err.Error(), "done already: credit") {
			t.Errorf("refunded after it was taken up again = %v", err)
		}
		if _, err := h.resolve(c, flow.SettleClose, dan); err != nil {
			t.Errorf("closed, now that it is handled = %v", err)
		}
		h.sound()
	})
	t.Run("refund", func(t *testing.T) {
		t.Parallel()
		h, b := declinedLate(t, nil)
		c := h.theCase(flow.CaseLateSuccess)
		h.psp.refund = []connector.Outcome{{Kind: connector.Declined, Code: payment.CodeGeneralDecline}, approved(250)}
		if _, err := h.resolve(c, flow.SettleRefund, dan); err != nil {
			t.Fatal(err)
		}
		h.wantCase(flow.CaseLateSuccess, payment.CaseResolved, flow.SettleRefund)
		h.settle() // the PSP will not
		h.wantCase(flow.CaseLateSuccess, payment.CaseOpen, "")
		if due := h.balance("house", ledger.RefundDue); due != 250 {
			t.Errorf("refund due %d after a refund that failed, want 250", due)
		}
		h.sound()
		for range 2 {
			if _, err := h.resolve(c, flow.SettleRefund, dan); err != nil {
				t.Fatal(err)
			}
		}
		h.settle()
		h.wantCase(flow.CaseLateSuccess, payment.CaseResolved, flow.SettleRefund)
		h.wantStatus(b.Payment.ID, payment.StatusDeclined, payment.CodeAutoDecline)
		if due, clearing := h.balance("house", ledger.RefundDue), h.balance("psp:paytm:demo", ledger.Clearing); due != 0 || clearing != 0 || len(h.psp.refunds) != 2 {
			t.Errorf("refund due %d, clearing %d after %d refunds, want 0, 0 and 2", due, clearing, len(h.psp.refunds))
		}
		h.reopen(c, dan)
		if _, err := h.resolve(c, flow.SettleCredit, dan); !errors.As(err, new(*flow.CaseStateError)) {
			t.Errorf("credited after the refund = %v, want *CaseStateError", err)
		}
		h.sound()
	})
	for rule, how := range map[project.LateRule]string{project.LateCredit: flow.SettleCredit, project.LateRefund: flow.SettleRefund} {
		t.Run("by rule "+string(rule), func(t *testing.T) {
			t.Parallel()
			h, _ := declinedLate(t, func(p *project.Project) { p.LateSuccess = rule })
			h.psp.refund = []connector.Outcome{approved(250)}
			h.settle()
			c := h.wantCase(flow.CaseLateSuccess, payment.CaseResolved, how)
			if steps, err := c.Steps(); err != nil || len(steps) != 1 || operator.CheckName(steps[0].By) == nil {
				t.Errorf("its log is %s (%v)", c.Log, err)
			}
			h.sound()
		})
	}
}

func (h *house) reopen(c payment.Case, by operator.Actor) {
	h.t.Helper()
	change := flow.CaseChange{Case: c.ID, By: by}
	if _, err := h.flows.ReopenCase(h.t.Context(), change); !errors.Is(err, flow.ErrNote) {
		h.t.Errorf("taken up again without a word = %v, want ErrNote", err)
	}
	change.Note = "the customer has called"
	if _, err := h.flows.ReopenCase(h.t.Context(), change); err != nil {
		h.t.Error(err)
	}
}

// TestAcceptByTwo: what a PSP says was paid is booked when two people agree, whether
// it is less or more than was asked for, also after our decline.
func TestAcceptByTwo(t *testing.T) {
	t.Parallel()
	for _, said := range []int64{200, 300} {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d late %t", said, late), func(t *testing.T) {
				t.Parallel()
				h := newHouse(t, 1, nil)
				h.psp.sale, h.psp.lookup = []connector.Outcome{redirected}, []connector.Outcome{approved(said)}
				b := h.begin("order-1", 250)
				h.settle()
				h.pass(time.Minute)
				if late {
					h.psp.lookup = []connector.Outcome{{Kind: connector.Pending}}
					h.pass(31 * time.Minute)
					h.wantStatus(b.Payment.ID, payment.StatusDeclined, payment.CodeAutoDecline)
				}
				c := h.wantCase(flow.CaseMismatch, payment.CaseOpen, "")
				first, err := h.resolve(c, flow.SettleAccept, dan)
				if err != nil || first.State != payment.CaseInvestigating || first.Owner != "dan" || first.Resolution != "" {
					t.Fatalf("by the first = %+v, %v, want one that waits for a second", first, err)
				}
				if _, err := h.resolve(c, flow.SettleAccept, dan); !errors.Is(err, flow.ErrSamePerson) {
					t.Errorf("by the same = %v, want ErrSamePerson", err)
				}
				for _, who := range []operator.Actor{sam, paul, ann} {
					if _, err := h.resolve(c, flow.SettleAccept, who); !errors.Is(err, flow.ErrRole) {
						t.Errorf("by %s = %v, want ErrRole", who.Name, err)
					}
				}
				if got := h.payment(b.Payment.ID); got.Status.Final() != late || got.Amount.Minor != 250 {
					t.Errorf("the payment is %s of %d while one person is for it", got.Status, got.Amount.Minor)
				}
				for range 2 {
					if _, err := h.resolve(c, flow.SettleAccept, erin); err != nil {
						t.Fatal(err)
					}
				}
				h.wantCase(flow.CaseMismatch, payment.CaseResolved, flow.SettleAccept)
				status, due := payment.StatusCaptured, int64(0)
				if late {
					status, due = payment.StatusDeclined, said
					h.wantCase(flow.CaseLateSuccess, payment.CaseOpen, "")
				}
				got := h.payment(b.Payment.ID)
				if got.Status != status || got.Amount.Minor != said || got.CapturedMinor != said-due {
					t.Errorf("the payment is %s of %d, captured %d", got.Status, got.Amount.Minor, got.CapturedMinor)
				}
				if clearing, owed := h.balance("psp:paytm:demo", ledger.Clearing), h.balance("house", ledger.RefundDue); clearing != said || owed != due {
					t.Errorf("clearing %d, refund due %d, want %d and %d", clearing, owed, said, due)
				}
				h.sound()
			})
		}
	}
}

// TestAcceptNot: where what was said cannot be booked, it is not.
func TestAcceptNot(t *testing.T) {
	t.Parallel()
	euros := connector.Outcome{Kind: connector.Approved, ProviderID: "x"}
	euros.Amount.Minor, euros.Amount.Currency = 250, "EUR"
	for name, says := range map[string]connector.Outcome{"another currency": euros, "nothing": {Kind: connector.Approved}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 1, nil)
			h.psp.sale, h.psp.lookup = []connector.Outcome{redirected}, []connector.Outcome{says}
			h.begin("order-1", 250)
			h.settle()
			h.pass(time.Minute)
			c := h.theCase(flow.CaseMismatch)
			if _, err := h.resolve(c, flow.SettleAccept, dan); !errors.As(err, new(*flow.CaseStateError)) {
				t.Errorf("accepted = %v, want *CaseStateError", err)
			}
			if _, err := h.resolve(c, flow.SettleClose, dan); err != nil {
				t.Errorf("closed = %v", err)
			}
			h.wantCase(flow.CaseMismatch, payment.CaseClosed, flow.SettleClose)
			h.sound()
		})
	}
	h := newHouse(t, 1, nil)
	h.psp.sale, h.psp.lookup = []connector.Outcome{redirected}, []connector.Outcome{approved(200), approved(250)}
	b := h.begin("order-1", 250)
	h.settle()
	h.pass(time.Hour)
	h.wantStatus(b.Payment.ID, payment.StatusCaptured, payment.CodeSuccess)
	if _, err := h.resolve(h.theCase(flow.CaseMismatch), flow.SettleAccept, dan); !errors.As(err, new(*flow.CaseStateError)) {
		t.Errorf("accepted, and the PSP had said the right amount meanwhile = %v, want *CaseStateError", err)
	}
	h.sound()
}

// TestUnknownForDays (torture.md T23): a payout of which nobody knows keeps its
// money reserved, a person hears of it after a day, and it takes two and a word of
// evidence to say what became of it.
func TestUnknownForDays(t *testing.T) {
	t.Parallel()
	tests := []struct {
		how                           string
		status                        payment.Status
		available, reserved, clearing int64
	}{
		{how: flow.SettlePaid, status: payment.StatusPaid, available: 600, clearing: 400},
		{how: flow.SettleFailed, status: payment.StatusFailed, available: 1000},
	}
	for _, test := range tests {
		t.Run(test.how, func(t *testing.T) {
			t.Parallel()
			h := payer(t, 1, 1000)
			h.psp.payout, h.psp.lookup = []connector.Outcome{{Kind: connector.Unknown}}, []connector.Outcome{{Kind: connector.Unknown}}
			b := h.pay("w1", 400)
			h.settle()
			h.pass(23 * time.Hour)
			if got := h.cases(); len(got) != 0 {
				t.Fatalf("cases after 23 hours: %v", got)
			}
			h.pass(5 * 24 * time.Hour)
			c := h.wantCase(flow.CaseUnsettled, payment.CaseOpen, "")
			h.wantWallet(600, 400, 0)
			if c.Customer.IsZero() {
				t.Error("the case names no customer")
			}
			if _, err := h.flows.SettleCase(t.Context(), flow.CaseChange{Case: c.ID, By: paul}, test.how); !errors.Is(err, flow.ErrNote) {
				t.Errorf("without evidence = %v, want ErrNote", err)
			}
			if _, err := h.resolve(c, flow.SettleClose, paul); !errors.As(err, new(*flow.CaseStateError)) {
				t.Errorf("closed while money is reserved = %v, want *CaseStateError", err)
			}
			for n, who := range []operator.Actor{paul, paul, sam} {
				want := []error{nil, flow.ErrSamePerson, flow.ErrRole}[n]
				if _, err := h.resolve(c, test.how, who); !errors.Is(err, want) {
					t.Errorf("by %s = %v, want %v", who.Name, err, want)
				}
			}
			h.wantWallet(600, 400, 0)
			for range 2 {
				if _, err := h.resolve(c, test.how, dan); err != nil {
					t.Fatal(err)
				}
			}
			h.wantCase(flow.CaseUnsettled, payment.CaseResolved, test.how)
			if got := h.payment(b.Payment.ID); got.Status != test.status {
				t.Errorf("the payout is %s, want %s", got.Status, test.status)
			}
			h.wantWallet(test.available, test.reserved, -test.clearing)
			h.noDue()
			other := map[string]string{flow.SettlePaid: flow.SettleFailed, flow.SettleFailed: flow.SettlePaid}[test.how]
			h.reopen(c, dan)
			if _, err := h.resolve(c, other, erin); !errors.As(err, new(*flow.CaseStateError)) {
				t.Errorf("said otherwise afterwards = %v, want *CaseStateError", err)
			}
			h.sound()
		})
	}
}

// TestKnownAfterDays: the PSP's last word ends the case, whoever has proposed what.
func TestKnownAfterDays(t *testing.T) {
	t.Parallel()
	h := payer(t, 1, 1000)
	h.psp.payout, h.psp.lookup = []connector.Outcome{{Kind: connector.Unknown}}, []connector.Outcome{{Kind: connector.Unknown}}
	b := h.pay("w1", 400)
	h.settle()
	h.pass(25 * time.Hour)
	c := h.theCase(flow.CaseUnsettled)
	if _, err := h.resolve(c, flow.SettleFailed, dan); err != nil {
		t.Fatal(err)
	}
	h.apply(b.Attempt, approved(400))
	h.wantCase(flow.CaseUnsettled, payment.CaseResolved, flow.SettlePaid)
	h.wantWallet(600, 0, -400)
	if _, err := h.resolve(c, flow.SettleFailed, erin); !errors.As(err, new(*flow.CaseStateError)) {
		t.Errorf("the second for the other = %v, want *CaseStateError", err)
	}
	h.sound()
}

// TestManyAtOnce: however many settle a case at one time, it is settled once.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	h, _ := declinedLate(t, nil)
	c := h.theCase(flow.CaseLateSuccess)
	h.psp.refund = []connector.Outcome{approved(250)}
	var wg sync.WaitGroup
	for n := range 40 {
		wg.Go(func() {
			_, err := h.resolve(c, []string{flow.SettleCredit, flow.SettleRefund}[n%2], []operator.Actor{dan, erin}[n/2%2])
			if err != nil && !errors.As(err, new(*flow.CaseStateError)) && !errors.Is(err, flow.ErrSamePerson) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	h.settle()
	if due := h.balance("house", ledger.RefundDue); due != 0 {
		t.Errorf("refund due is %d, want 0", due)
	}
	h.sound()
}

// TestCaseWork: a case is given to somebody, worked on, given back; what goes back
// needs a word.
func TestCaseWork(t *testing.T) {
	t.Parallel()
	h, _ := declinedLate(t, nil)
	c := h.theCase(flow.CaseLateSuccess)
	by := func(who operator.Actor, note string) flow.CaseChange {
		return flow.CaseChange{Case: c.ID, By: who, Note: note}
	}
	want := func(name string, row payment.Case, err error, state payment.CaseState, owner string, wantErr error) {
		t.Helper()
		if !errors.Is(err, wantErr) || err == nil && (row.State != state || row.Owner != owner) {
			t.Errorf("%s: %s of %q, %v; want %s of %q, %v", name, row.State, row.Owner, err, state, owner, wantErr)
		}
	}
	row, err := h.flows.AssignCase(t.Context(), by(sam, ""), "dan")
	want("given", row, err, payment.CaseAssigned, "dan", nil)
	row, err = h.flows.AssignCase(t.Context(), by(sam, ""), "dan")
	want("given again", row, err, payment.CaseAssigned, "dan", nil)
	row, err = h.flows.AddEvidence(t.Context(), by(sam, ""), "ticket 7")
	want("evidence without a word", row, err, "", "", flow.ErrNote)
	row, err = h.flows.AddEvidence(t.Context(), by(sam, "the customer has a receipt"), "ticket 7")
	want("evidence", row, err, payment.CaseInvestigating, "dan", nil)
	row, err = h.flows.AssignCase(t.Context(), by(sam, ""), "erin")
	want("taken away without a word", row, err, "", "", flow.ErrNote)
	row, err = h.flows.AssignCase(t.Context(), by(sam, "dan is away"), "erin")
	want("taken away", row, err, payment.CaseAssigned, "erin", nil)
	row, err = h.flows.ReopenCase(t.Context(), by(erin, "not mine"))
	want("given back", row, err, payment.CaseOpen, "", nil)
	_, err = h.flows.ReopenCase(t.Context(), by(erin, "once more"))
	if !errors.As(err, new(*payment.CaseMoveError)) {
		t.Errorf("an open case given back = %v, want *CaseMoveError", err)
	}
	for _, k := range []id.Case{{6: 200}, id.Case(h.book.Mint(3))} {
		unknown := flow.CaseChange{Case: k, By: dan, Note: "x"}
		_, err := h.flows.SettleCase(t.Context(), unknown, flow.SettleClose)
		_, read := h.flows.ReadCase(t.Context(), k, dan)
		if !errors.Is(err, flow.ErrNoCase) || !errors.Is(read, flow.ErrNoCase) {
			t.Errorf("a case that there is not = %v, read %v", err, read)
		}
	}
	if _, err := h.flows.SettleCase(t.Context(), by(dan, "x"), "forget"); !errors.Is(err, flow.ErrResolution) {
		t.Errorf("settled in no way = %v, want ErrResolution", err)
	}
	if _, err := h.flows.SettleCase(t.Context(), by(token, "x"), flow.SettleCredit); !errors.Is(err, flow.ErrNote) {
		t.Errorf("settled by no person = %v", err)
	}
	if _, err := h.flows.ReadCase(t.Context(), c.ID, sam); err != nil {
		t.Error(err)
	}
	for n := 0; ; n++ {
		_, err := h.flows.AddEvidence(t.Context(), by(sam, "more"), "")
		if errors.Is(err, flow.ErrCaseFull) {
			break
		}
		if err != nil || n > payment.MaxCaseSteps {
			t.Fatalf("step %d: %v, want that the log is full in the end", n, err)
		}
	}
	for _, who := range []operator.Actor{dan, erin} { // it takes two, and both must fit into the log
		if _, err := h.resolve(c, flow.SettleCredit, who); err != nil {
			t.Errorf("a full case is settled by %s = %v", who.Name, err)
		}
	}
	log := map[string]int{}
	for _, e := range h.audited() {
		log[e.Who+" "+e.What]++
	}
	if log["sam case.assign"] != 2 || log["erin case.reopen"] != 1 || log["sam case.read"] != 1 || log["dan case.credit"] != 1 {
		t.Errorf("the log has %v", log)
	}
	h.sound()
}
