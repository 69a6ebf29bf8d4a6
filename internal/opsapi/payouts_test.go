package opsapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/connector"
	"aorta/internal/customer"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/risk"
	"aorta/internal/store/storetest"
)

// houseRules hold a payout above 10.00 for one person, and one above 20.00 for two.
const houseRules = `
profile = "generic"
[payout]
turnover_permille = 0
manual_above_minor = 1000
dual_above_minor = 2000
[[rule]]
id = "P04"
enabled = false
[[rule]]
id = "V10"
enabled = false
`

// licensed gives an office whose project has rules, with a verified customer who has
// paid in.
func licensed(t *testing.T, db storetest.DB) (*office, project.Project) {
	t.Helper()
	o := shop(t, db)
	rules, err := risk.Load("rules.toml", []byte(houseRules))
	if err != nil {
		t.Fatal(err)
	}
	o.rules = rules
	o.hire(operator.AllRoles()...)
	o.name("ann", operator.PayoutApprover)
	o.name("ben", operator.PayoutApprover)
	o.name("cat", operator.PayoutApprover)
	o.name("rod", operator.RGOfficer)
	p, _ := o.find(200)
	storetest.Verify(t, o.book, customer.Customer{ID: o.flows.CustomerOf(p, "c9"), MerchantID: p.MerchantID, Name: "c9"}, 3)
	b, err := o.flows.BeginSale(t.Context(), flow.SaleRequest{Project: p, Method: p.Methods[0], Door: "api", PaymentID: "in", CustomerID: "c9", Amount: eur(14_000)})
	if err != nil {
		t.Fatal(err)
	}
	o.settle()
	if err := o.flows.Apply(t.Context(), b.Attempt, connector.Outcome{Kind: connector.Approved, Amount: eur(14_000)}); err != nil {
		t.Fatal(err)
	}
	return o, p
}

func (o *office) payout(p project.Project, name string, minor int64) string {
	o.t.Helper()
	b, err := o.flows.BeginPayout(o.t.Context(), flow.PayoutRequest{
		Project: p, Route: flow.Route{Method: "card", Connector: "psp", Account: "main"}, Door: "api", PayoutID: name, CustomerID: "c9", Amount: eur(minor),
	})
	if err != nil {
		o.t.Fatal(err)
	}
	if b.Payment.Status != payment.StatusHold {
		o.t.Fatalf("payout %s of %d is %s, want that it is held", name, minor, b.Payment.Status)
	}
	return id.Payout(b.Payment.ID).String()
}

// TestPayoutDecisions: a held payout is let go by as many people as the rules want,
// none of them twice, and by none without the role.
func TestPayoutDecisions(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		o, p := licensed(t, db)
		one, two, no := o.payout(p, "one", 1500), o.payout(p, "two", 2500), o.payout(p, "no", 1600)
		path := func(name, do string) string { return "/admin/payouts/" + name + "/" + do }
		list := o.want("viewer", "GET", "/admin/payouts?state=hold", "", 200)
		if got := list["payouts"].([]any); len(got) != 3 || !strings.Contains(fmt.Sprint(got), two) {
			t.Errorf("held payouts are %v", got)
		}
		if got := o.want("viewer", "GET", "/admin/payouts?state=step_up,deferred", "", 200)["payouts"].([]any); len(got) != 0 {
			t.Errorf("other payouts that wait are %v", got)
		}
		for what, want := range map[string]int{"/admin/payouts?state=paid": 422, "/admin/payouts?after=x": 422, "/admin/payouts/po_1": 422, "/admin/payouts/" + id.Payout(o.book.Mint(3)).String(): 404} {
			o.want("viewer", "GET", what, "", want)
		}
		sale, err := o.flows.Find(t.Context(), p, "in")
		if err != nil {
			t.Fatal(err)
		}
		o.want("viewer", "GET", "/admin/payouts/"+sale.ID.String(), "", 404)
		if got := o.want("viewer", "GET", "/admin/payouts/"+one, "", 200); got["amount"] != "15.00" || got["status"] != "hold" || got["reason"] == "" || !strings.Contains(fmt.Sprint(got["decisions"]), "rules:") {
			t.Errorf("the payout is shown as %v", got)
		}
		for _, call := range []struct {
			who, path, body string
			want            int
		}{
			{"", path(one, "approve"), "{}", 401},
			{"sesame", path(one, "approve"), "{}", 403},
			{"finance", path(one, "approve"), "{}", 403},
			{"admin", path(one, "approve"), "{}", 403},
			{"support", path(one, "reject"), `{"note":"x"}`, 403},
			{"rg_officer", path(one, "release"), `{"note":"x"}`, 403}, // this hold is not theirs to end
			{"ann", path(one, "reject"), `{}`, 422},
			{"ann", path(one, "hold"), `{"note":"4111 1111 1111 1111"}`, 422},
			{"ann", path(one, "approve"), `{"why":"x"}`, 422},
			{"ann", path(id.Payout(o.book.Mint(3)).String(), "approve"), "{}", 404},
			{"ann", path(sale.ID.String(), "approve"), "{}", 404},
			{"ann", path("po_1", "approve"), "{}", 422},
		} {
			o.want(call.who, "POST", call.path, call.body, call.want)
		}
		if got := o.want("ann", "POST", path(one, "approve"), `{"note":"known customer"}`, 200); got["status"] != "submitting" {
			t.Errorf("approved by one: %v", got)
		}
		o.want("ben", "POST", path(one, "approve"), `{}`, 409)
		if got := o.want("ann", "POST", path(two, "approve"), `{}`, 200); got["status"] != "hold" || !strings.Contains(fmt.Sprint(got["approvals"]), "ann") {
			t.Errorf("approved by one of two: %v", got)
		}
		if got := o.want("ann", "POST", path(two, "approve"), `{}`, 403); got["error"] != "forbidden" || fmt.Sprint(got["details"]) != "map[reason:same_person]" {
			t.Errorf("approved by the same: %v", got)
		}
		o.want("ben", "POST", path(two, "hold"), `{"note":"ask first"}`, 200)
		o.want("ben", "POST", path(two, "release"), `{"note":"asked"}`, 200)
		o.want("ben", "POST", path(two, "approve"), `{}`, 403) // the last editor
		if got := o.want("cat", "POST", path(two, "approve"), `{}`, 200); got["status"] != "submitting" {
			t.Errorf("approved by two: %v", got)
		}
		if got := o.want("ann", "POST", path(no, "reject"), `{"note":"asked not to"}`, 200); got["status"] != "failed" {
			t.Errorf("rejected: %v", got)
		}
		o.want("ann", "POST", path(no, "reject"), `{"note":"again"}`, 409)
		for what, want := range map[[2]string]int{
			{"ann", "payout.approve"}: 2, {"cat", "payout.approve"}: 1, {"ben", "payout.approve"}: 0, {"ben", "payout.hold"}: 1, {"ben", "payout.release"}: 1, {"ann", "payout.reject"}: 1,
			{"viewer", "payout.list"}: 2, {"viewer", "payout.read"}: 1,
		} {
			if got := o.logged(what[0], what[1]); got != want {
				t.Errorf("%s by %s is logged %d times, want %d", what[1], what[0], got, want)
			}
		}
		o.sound()
	})
}

// TestApprovedAtOnce: however often two people press at one time, a payout is sent
// once.
func TestApprovedAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		o, p := licensed(t, db)
		name := o.payout(p, "two", 2500)
		var wg sync.WaitGroup
		var mu sync.Mutex
		got := map[int]int{}
		for n := range 40 {
			wg.Go(func() {
				code, _ := o.as([]string{"ann", "ben"}[n%2], "POST", "/admin/payouts/"+name+"/approve", `{}`)
				mu.Lock()
				defer mu.Unlock()
				got[code]++
			})
		}
		wg.Wait()
		o.settle()
		if got[200] != 2 || got[200]+got[403]+got[409] != 40 {
			t.Errorf("answers are %v, want two of 200", got)
		}
		k, err := id.ParsePayout(name)
		if err != nil {
			t.Fatal(err)
		}
		row, _, err := db.Payment(t.Context(), id.Payment(k))
		if err != nil {
			t.Fatal(err)
		}
		op, _, err := db.Operation(t.Context(), row.LastOperation)
		if err != nil || !op.Prev.IsZero() || o.sent() != 1 {
			t.Errorf("it has operations before %s, and was sent %d times (%v)", op.ID, o.sent(), err)
		}
		o.sound()
	})
}

// TestRestrictions: an officer restricts a customer at once; another one lifts it.
func TestRestrictions(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		o, p := licensed(t, db)
		const path = "/admin/customers/c9/restrictions"
		body := func(what, more string) string { return fmt.Sprintf(`{"project":200,"type":%q%s}`, what, more) }
		for _, call := range []struct {
			who, path, body string
			want            int
		}{
			{"", path, body("operator_excluded", `,"note":"x"`), 401},
			{"sesame", path, body("operator_excluded", `,"note":"x"`), 403},
			{"support", path, body("operator_excluded", `,"note":"x"`), 403},
			{"rg_officer", path, body("operator_excluded", ``), 422},
			{"rg_officer", path, body("cool_off", `,"note":"x"`), 422},
			{"rg_officer", path, body("", `,"note":"x"`), 422},
			{"rg_officer", path, body("frozen", `,"note":"x","until":"tomorrow"`), 422},
			{"rg_officer", path, body("frozen", `,"note":"x","until":"2020-01-01T00:00:00Z"`), 422},
			{"rg_officer", path, `{"project":7,"type":"frozen","note":"x"}`, 422},
			{"rg_officer", path, body("frozen", `,"note":"4111111111111111"`), 422},
			{"rg_officer", path + "/lift", body("frozen", `,"note":"x"`), 409},
		} {
			o.want(call.who, "POST", call.path, call.body, call.want)
		}
		if got := o.want("rg_officer", "POST", path, body("operator_excluded", `,"note":"signs of harm"`), 200); got["restriction"] != "operator_excluded" {
			t.Errorf("restricted: %v", got)
		}
		_, err := o.flows.BeginSale(t.Context(), flow.SaleRequest{Project: p, Method: p.Methods[0], Door: "api", PaymentID: "more", CustomerID: "c9", Amount: eur(100)})
		if err == nil {
			t.Error("an excluded customer pays in")
		}
		if got := o.want("rg_officer", "POST", path+"/lift", body("operator_excluded", `,"note":"mistake"`), 403); fmt.Sprint(got["details"]) != "map[reason:same_person]" {
			t.Errorf("lifted by the same: %v", got)
		}
		if got := o.want("rod", "POST", path+"/lift", body("operator_excluded", `,"note":"looked into it"`), 200); got["restriction"] != string(customer.Unrestricted) {
			t.Errorf("lifted by another: %v", got)
		}
		o.want("rod", "POST", path+"/lift", body("operator_excluded", `,"note":"again"`), 409)
		until := o.clock().Add(time.Hour).Format(time.RFC3339)
		if got := o.want("mlro", "POST", path, body("frozen", `,"note":"list","until":"`+until+`"`), http.StatusOK); got["until"] != until {
			t.Errorf("frozen: %v, want until %s", got, until)
		}
		if a, b, c := o.logged("rg_officer", "restricted"), o.logged("rod", "restriction_lifted"), o.logged("mlro", "restricted"); a != 1 || b != 1 || c != 1 {
			t.Errorf("logged %d, %d, %d times, want each once", a, b, c)
		}
		o.rules = nil // the project is not licensed any more
		o.want("mlro", "POST", path, body("closed", `,"note":"x"`), 409)
	})
}
