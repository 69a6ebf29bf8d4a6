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
		if got := o.want("finance", "GET", "/admin/payouts/"+one, "", 200); got["amount"] != "15.00" || got["status"] != "hold" || got["reason"] == "" || !strings.Contains(fmt.Sprint(got["decisions"]), "rules:") {
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
			{"viewer", "payout.list"}: 2, {"finance", "payout.read"}: 1,
		} {
			if got := o.logged(what[0], what[1]); got != want {
				t.Errorf("%s by %s is logged %d times, want %d", what[1], what[0], got, want)
			}
		}
		o.sound()
	})
}

// TestWhoMustNotKnow: whoever talks to customers sees that a payout waits, and neither why
// nor that there is a case (limits-and-risk.md section 3.6); what laundering looks like is
// let pass by analysts alone.
func TestWhoMustNotKnow(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		o, p := licensed(t, db)
		rules, err := risk.Load("rules.toml", []byte(strings.Replace(houseRules, "turnover_permille = 0", "turnover_permille = 1000", 1)))
		if err != nil {
			t.Fatal(err)
		}
		o.rules = rules
		name := o.payout(p, "one", 500)
		path := "/admin/payouts/" + name
		cases := func(who string) (payout bool, one string) {
			for _, c := range o.want(who, "GET", "/admin/cases", "", 200)["cases"].([]any) {
				if c := c.(map[string]any); c["kind"] == flow.CasePayoutReview {
					payout, one = true, c["id"].(string)
				}
			}
			return payout, one
		}
		_, c := cases("aml_analyst")
		if c == "" {
			t.Fatal("an analyst sees no case")
		}
		for who, sees := range map[string]bool{
			"viewer": false, "support": false, "developer": false, "admin": false, "sesame": false,
			"finance": false, "payout_approver": false, "rg_officer": false, "aml_analyst": true, "mlro": true,
		} {
			if got, _ := cases(who); got != sees {
				t.Errorf("%s sees the case: %t, want %t", who, got, sees)
			}
			if who == "sesame" {
				continue
			}
			if code, _ := o.as(who, "GET", "/admin/cases/"+c, ""); (code == 200) != sees || !sees && code != 404 {
				t.Errorf("the case by %s = %d, want that it is there: %t", who, code, sees)
			}
			code, got := o.as(who, "GET", path, "")
			if text := fmt.Sprint(got); code == 200 && strings.Contains(text, "A04") != sees {
				t.Errorf("%s sees %s", who, text)
			}
		}
		o.want("support", "POST", "/admin/cases/"+c+"/evidence", `{"note":"x"}`, 404)
		for _, who := range []string{"ann", "finance", "rg_officer"} {
			o.want(who, "POST", path+"/release", `{"note":"known"}`, 403)
		}
		o.want("aml_analyst", "POST", path+"/hold", `{"note":"I look"}`, 200)
		o.want("finance", "POST", path+"/release", `{"note":"go on"}`, 200) // what holds it by hand
		if got := o.want("mlro", "POST", path+"/release", `{"note":"plays for years"}`, 200); got["status"] != "submitting" || !strings.Contains(fmt.Sprint(got["approvals"]), "A04") {
			t.Errorf("released: %v", got)
		}
		if got := o.want("support", "GET", path, "", 200); strings.Contains(fmt.Sprint(got), "A04") {
			t.Errorf("support sees what was let pass: %v", got)
		}

		// What waits for approval, too: who approves sees that, and nothing of the rest.
		big := "/admin/payouts/" + o.payout(p, "big", 1500)
		says := func(who string) string { return fmt.Sprint(o.want(who, "GET", big, "", 200)) }
		if got := says("ann"); !strings.Contains(got, "decisions:[]") || strings.Contains(says("aml_analyst"), "decisions:[]") {
			t.Errorf("an approver sees %s", got)
		}
		o.want("aml_analyst", "POST", big+"/release", `{"note":"plays for years"}`, 200)
		if got := says("ann"); !strings.Contains(got, "check:approval") || strings.Contains(got, "A04") || strings.Contains(got, "payout:map") {
			t.Errorf("an approver sees %s", got)
		}
		if got := says("mlro"); !strings.Contains(got, "A04") || !strings.Contains(got, "payout:map") {
			t.Errorf("the mlro sees %s", got)
		}

		const restrictions = "/admin/customers/c9/restrictions"
		frozen := `{"project":200,"type":"frozen","note":"list"}`
		o.want("rg_officer", "POST", restrictions, frozen, 200)
		o.want("rod", "POST", restrictions+"/lift", frozen, 403)
		o.want("mlro", "POST", restrictions+"/lift", frozen, 200)
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

// TestHouseLimits: an officer bounds a customer at once, and lower at any time; to
// raise the limit, or to take it away, takes another one.
func TestHouseLimits(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		o, p := licensed(t, db)
		const path, day = "/admin/customers/c9/limits", "/admin/customers/c9/limits/deposit/day"
		body := func(amount, more string) string {
			return fmt.Sprintf(`{"project":200,"kind":"deposit","period":"day","amount":%q,"currency":"EUR"%s}`, amount, more)
		}
		const note = `,"note":"signs of harm"`
		for _, call := range []struct {
			who, body string
			want      int
			field     string // that the refusal names
		}{
			{"", body("200.00", note), 401, ""},
			{"sesame", body("200.00", note), 403, ""},
			{"support", body("200.00", note), 403, ""},
			{"rg_officer", body("200.00", ``), 422, "note"},
			{"rg_officer", body("0.00", note), 422, "amount"},
			{"rg_officer", body("2e2", note), 422, "amount"},
			{"rg_officer", body("200.001", note), 422, "amount"},
			{"rg_officer", body("200.00", note+`,"until":"x"`), 422, "until"},
			{"rg_officer", body("200.00", `,"note":7`), 422, "note"},
			{"rg_officer", `{"project":7,"kind":"deposit","period":"day","amount":"1.00","currency":"EUR"` + note + `}`, 422, "project"},
			{"rg_officer", `{"project":200,"kind":"wishes","period":"day","amount":"1.00","currency":"EUR"` + note + `}`, 422, "kind"},
			{"rg_officer", `{"project":200,"kind":"deposit","period":"once","amount":"1.00","currency":"EUR"` + note + `}`, 422, "period"},
			{"rg_officer", `{"project":200,"kind":"deposit","period":"day","amount":"1.00","currency":"eur"` + note + `}`, 422, "currency"},
			{"rg_officer", body("200.00", `,"note":"card 4111111111111111"`), 422, ""},
			{"rg_officer", `{`, 400, ""},
		} {
			got := o.want(call.who, "POST", path, call.body, call.want)
			if details := fmt.Sprint(got["details"]); call.field != "" && !strings.Contains(details, "path:"+call.field) {
				t.Errorf("%s is refused with %v, want that it names %s", call.body, got, call.field)
			}
		}
		if got := o.want("rg_officer", "POST", "/admin/customers/4111111111111111/limits", body("1.00", note), 422); got["error"] != "pan_not_allowed" {
			t.Errorf("a card number as a customer: %v", got)
		}
		o.want("rg_officer", "DELETE", day, `{"project":200`+note+`}`, 404)
		got := o.want("rg_officer", "POST", path, body("200.00", note), 200)
		if text := fmt.Sprint(got["limits"]); !strings.Contains(text, "amount:200.00") || !strings.Contains(text, "by:rg_officer") {
			t.Errorf("a limit of the house's: %v", got)
		}
		sale := func(name string, minor int64) error {
			_, err := o.flows.BeginSale(t.Context(), flow.SaleRequest{Project: p, Method: p.Methods[0], Door: "api", PaymentID: name, CustomerID: "c9", Amount: eur(minor)})
			return err
		}
		if err := sale("over", 6_001); flow.RefusalOf(err) == nil || flow.RefusalOf(err).Code != risk.CodeLimitExceeded {
			t.Errorf("a deposit above the house's limit: %v", err) // 140.00 was paid in before
		}
		if err := sale("up to it", 6_000); err != nil {
			t.Errorf("a deposit up to the house's limit: %v", err)
		}
		o.want("rg_officer", "POST", path, body("190.00", note), 200) // lower: at once, by the same
		o.want("rg_officer", "POST", path, body("191.00", note), 403)
		o.want("rg_officer", "POST", path, strings.ReplaceAll(body("1.00", note), "EUR", "SEK"), 403)
		if got := o.want("rg_officer", "DELETE", day, `{"project":200`+note+`}`, 403); fmt.Sprint(got["details"]) != "map[reason:same_person]" {
			t.Errorf("taken away by who has set it: %v", got)
		}
		if got := o.want("rod", "POST", path, body("300.00", note), 200); !strings.Contains(fmt.Sprint(got["limits"]), "by:rod") {
			t.Errorf("raised by another: %v", got)
		}
		if got := o.want("rg_officer", "DELETE", day, `{"project":200`+note+`}`, 200); len(got["limits"].([]any)) != 0 {
			t.Errorf("taken away by another: %v", got)
		}
		o.want("rg_officer", "DELETE", "/admin/customers/c9/limits/deposit/once", `{"project":200`+note+`}`, 422)
		if a, b := o.logged("rg_officer", flow.NoteHouseLimit), o.logged("rod", flow.NoteHouseLimit); a != 3 || b != 1 {
			t.Errorf("logged %d and %d times, want 3 and 1", a, b)
		}
		o.rules = nil
		o.want("rg_officer", "POST", path, body("1.00", note), 409)
	})
}
