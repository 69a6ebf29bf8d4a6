package verify_test

import (
	"encoding/json"
	"regexp"
	"testing"

	"aorta/internal/id"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/verify"
)

// TestCasesAndTheLog: what is wrong with a case, or with the log of what operators
// did, is found.
func TestCasesAndTheLog(t *testing.T) {
	t.Parallel()
	h := busy(t)
	ann := operator.Actor{Name: "ann", Roles: "finance"}
	for _, about := range []string{"a", "b", "c"} {
		if err := h.flows.Audit(t.Context(), ann, "test", about, nil); err != nil {
			t.Fatal(err)
		}
	}
	h.book.Close()
	log := func(steps ...payment.CaseStep) string {
		for n := range steps {
			steps[n].AtUS = 1
		}
		text, err := json.Marshal(steps)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	held := func(r rows) *payment.Case { // late money that nobody has decided on
		return pick(r.Cases.Insert, func(c *payment.Case) bool { return c.Kind == "late_success" && c.State == payment.CaseOpen })
	}
	handled := func(r rows, how string) *payment.Case {
		return pick(r.Cases.Insert, func(c *payment.Case) bool { return c.Resolution == how })
	}
	// other gives a case of another kind about the same attempt, and its state.
	other := func(r rows, kind string, state payment.CaseState, how, text string) {
		x := *held(r)
		x.ID, x.Kind, x.State, x.Resolution, x.Log, x.Owner = mint(x.ID), kind, state, how, text, "dan"
		r.Cases.Insert = append(r.Cases.Insert, x)
	}
	tests := []struct {
		name    string
		check   verify.Check
		corrupt func(r rows)
		want    string
	}{
		{name: "no state", check: verify.C5, corrupt: func(r rows) { held(r).State = "lost" }, want: "does not exist"},
		{name: "worked on by nobody", check: verify.C5, corrupt: func(r rows) {
			c := held(r)
			c.State, c.Log = payment.CaseInvestigating, log(payment.CaseStep{By: "dan", Did: "evidence", To: payment.CaseInvestigating})
		}, want: "nobody's"},
		{name: "open, with an end", check: verify.C5, corrupt: func(r rows) { held(r).Resolution = "credit" }, want: `was settled by "credit"`},
		{name: "resolved, without one", check: verify.C5, corrupt: func(r rows) { handled(r, "refund").Resolution = "" }, want: `was settled by ""`},
		{name: "log cut", check: verify.C5, corrupt: func(r rows) { handled(r, "refund").Log = "" }, want: "its log ends at open"},
		{name: "log unreadable", check: verify.C5, corrupt: func(r rows) { held(r).Log = "{" }, want: "cannot be read"},
		{name: "step by nobody", check: verify.C5, corrupt: func(r rows) {
			c := held(r)
			c.State, c.Owner, c.Log = payment.CaseAssigned, "dan", log(payment.CaseStep{Did: "assign", To: payment.CaseAssigned})
		}, want: `by ""`},
		{name: "step that is none", check: verify.C5, corrupt: func(r rows) {
			c := handled(r, "refund")
			c.State, c.Resolution = payment.CaseClosed, "close"
			c.Log = log(payment.CaseStep{By: "dan", Did: "resolve", To: payment.CaseResolved, How: "refund"}, payment.CaseStep{By: "dan", Did: "close", To: payment.CaseClosed, How: "close"})
		}, want: "from resolved to closed"},
		{name: "credited in words alone", check: verify.C13, corrupt: func(r rows) {
			c := held(r)
			c.State, c.Resolution, c.Log = payment.CaseResolved, "credit", log(payment.CaseStep{By: "dan", Did: "resolve", To: payment.CaseResolved, How: "credit"})
		}, want: "has not happened"},
		{name: "refunded, and it was credited", check: verify.C13, corrupt: func(r rows) {
			c := handled(r, "credit")
			c.Resolution, c.Log = "refund", log(payment.CaseStep{By: "dan", Did: "resolve", To: payment.CaseResolved, How: "refund"})
		}, want: "has not happened"},
		{name: "failed, and it was paid", check: verify.C13, corrupt: func(r rows) {
			other(r, "unsettled", payment.CaseResolved, "failed", log(payment.CaseStep{By: "psp:news", Did: "resolve", To: payment.CaseResolved, How: "failed"}))
		}, want: "has not happened"},
		{name: "by one alone", check: verify.C5, corrupt: func(r rows) {
			other(r, "unsettled", payment.CaseResolved, "paid", log(payment.CaseStep{By: "dan", Did: "resolve", To: payment.CaseResolved, How: "paid"}))
		}, want: "needs two people"},
		{name: "by one twice", check: verify.C5, corrupt: func(r rows) {
			other(r, "unsettled", payment.CaseResolved, "paid", log(payment.CaseStep{By: "dan", Did: "propose", To: payment.CaseInvestigating, How: "paid"},
				payment.CaseStep{By: "dan", Did: "resolve", To: payment.CaseResolved, How: "paid"}))
		}, want: "needs two people"},
		{name: "two who were not of one mind", check: verify.C5, corrupt: func(r rows) {
			other(r, "unsettled", payment.CaseResolved, "paid", log(payment.CaseStep{By: "dan", Did: "propose", To: payment.CaseInvestigating, How: "failed"},
				payment.CaseStep{By: "erin", Did: "resolve", To: payment.CaseResolved, How: "paid"}))
		}, want: "needs two people"},
		{name: "review that nobody counts", check: verify.C13, corrupt: func(r rows) {
			other(r, "deposit_review", payment.CaseOpen, "", "")
			r.Cases.Insert[len(r.Cases.Insert)-1].Customer = r.Customers.Insert[0].ID
		}, want: "counts -1 open reviews"},
		{name: "other person, of a payment", check: verify.C13, corrupt: func(r rows) { other(r, "other_person", payment.CaseClosed, "close", "") }, want: "is about payment pay_"},
		{name: "other person, of nobody", check: verify.C13, corrupt: func(r rows) {
			other(r, "other_person", payment.CaseOpen, "", "")
			r.Cases.Insert[len(r.Cases.Insert)-1].Payment = id.Payment{}
		}, want: "is about customer , who does not exist"},
		{name: "review that there is not", check: verify.C13, corrupt: func(r rows) { r.Customers.Insert[0].Review += 2 }, want: "counts 2 open reviews"},
		{name: "entry changed", check: verify.C9, corrupt: func(r rows) { r.Audit[1].Who = "bob" }, want: "not what was written"},
		{name: "entry lost", check: verify.C9, corrupt: func(r rows) { drop(&r.Audit, func(e *operator.Entry) bool { return e.Number == 2 }) }, want: "missing"},
		{name: "log of operators cut", check: verify.C9, corrupt: func(r rows) { drop(&r.Audit, func(e *operator.Entry) bool { return e.Number == 3 }) }, want: "cut"},
		{name: "no head", check: verify.C9, corrupt: func(r rows) { r.AuditHeads.Insert = nil }, want: "no head"},
	}
	if report := run(t, allRows(t, h.memory).store(t), verify.Options{}); !report.OK {
		t.Fatalf("as it is: %s", list(report.Violations))
	}
	fine := allRows(t, h.memory)
	other(fine, "unsettled", payment.CaseResolved, "paid", log(payment.CaseStep{By: "dan", Did: "propose", To: payment.CaseInvestigating, How: "paid"},
		payment.CaseStep{By: "erin", Did: "resolve", To: payment.CaseResolved, How: "paid"}))
	if report := run(t, fine.store(t), verify.Options{}); !report.OK {
		t.Errorf("settled by two: %s", list(report.Violations))
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			all := allRows(t, h.memory)
			test.corrupt(all)
			report := run(t, all.store(t), verify.Options{})
			want := regexp.MustCompile(`(?m)^  ` + string(test.check) + `: .*(` + test.want + `)`)
			if report.OK || report.Checks[test.check] == 0 || !want.MatchString(list(report.Violations)) {
				t.Errorf("found %t, want a violation of %s like %q; got %s", !report.OK, test.check, test.want, list(report.Violations))
			}
		})
	}
}
