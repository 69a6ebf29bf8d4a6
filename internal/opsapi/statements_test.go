package opsapi_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/operator"
	"aorta/internal/store/storetest"
)

// emptyStatements is a Google whose statements have no lines, and who takes what it is told.
type emptyStatements struct{}

func (emptyStatements) Contract(string) (flow.Contract, bool) { return flow.Contract{}, true }

func (emptyStatements) Tell(context.Context, fop.Told) flow.Heard {
	return flow.Heard{OK: true, Status: http.StatusOK, Answer: "{}"}
}

func (emptyStatements) Lines(context.Context, fop.Statement, string, int) (flow.StatementPage, flow.Heard) {
	return flow.StatementPage{}, flow.Heard{OK: true, Status: http.StatusOK}
}

// TestStatements: operators see what differs, two agree to it and to its order, and one
// books it as paid; who may not, and who comes too early, is refused.
func TestStatements(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		o := shop(t, db)
		o.hire(operator.Viewer, operator.Support, operator.Finance, operator.PayoutApprover, operator.Admin)
		o.name("erin", operator.Finance)
		_, err := o.flows.NoteStatement(t.Context(), flow.Noting{
			GoogleCall: flow.GoogleCall{
				Name: fop.Name{Integration: "main", Method: fop.StatementNotified, Account: "SHOP", RequestID: "stm-1"}, Print: "1",
				Members: func(flow.Answered) string { return "{}" },
			},
			Statement: fop.Statement{Currency: "INR", DueMicros: 1_175_933_000, Memo: `=1+1,"x"`, Summary: `{"currencyCode":"INR"}`, PayUS: 1_705_881_600_000_000},
		})
		if err != nil {
			t.Fatal(err)
		}
		o.settle()
		list := o.want("viewer", "GET", "/admin/statements?state=mismatch", "", 200)["statements"].([]any)
		if len(list) != 1 {
			t.Fatalf("statements are %v", list)
		}
		shown := list[0].(map[string]any)
		path, caseOf := "/admin/statements/"+shown["id"].(string), "/admin/cases/"+shown["case"].(string)+"/resolve"
		if shown["due_micros"] != "1175933000" || shown["statement_id"] != "stm-1" {
			t.Errorf("it is listed as %v", shown)
		}
		if got := o.want("viewer", "GET", "/admin/statements?state=paid", "", 200)["statements"].([]any); len(got) != 0 {
			t.Errorf("paid are %v", got)
		}
		if got := fmt.Sprint(o.want("support", "GET", path, "", 200)["found"]); !strings.Contains(got, "TOTAL_DIFF:1") || !strings.Contains(got, "fees_checked:false") {
			t.Errorf("found %s", got)
		}
		if got := o.want("support", "GET", path+"/lines", "", 200); fmt.Sprint(got) != "map[lines:[] of:0]" {
			t.Errorf("lines are %v", got)
		}
		unknown := "/admin/statements/" + id.Statement(o.book.Mint(3)).String()
		for _, call := range []struct {
			who, method, path, body string
			want                    int
		}{
			{"", "GET", path, "", 401},
			{"sesame", "GET", path, "", 403},
			{"admin", "GET", path, "", 403},
			{"viewer", "GET", "/admin/statements?state=open", "", 422},
			{"viewer", "GET", "/admin/statements?after=x", "", 422},
			{"viewer", "GET", "/admin/statements/x", "", 422},
			{"viewer", "GET", unknown, "", 404},
			{"viewer", "GET", path + "/lines?from=-1", "", 422},
			{"viewer", "GET", path + "/order", "", 403},
			{"finance", "GET", path + "/order", "", 409},
			{"finance", "GET", unknown + "/order", "", 404},
			{"support", "POST", path + "/paid", `{"reference":"UTR-1","note":"x"}`, 403},
			{"finance", "POST", path + "/paid", `{"reference":"UTR-1","note":"x"}`, 409},
			{"finance", "POST", unknown + "/paid", `{"reference":"UTR-1","note":"x"}`, 404},
			{"finance", "POST", path + "/paid", `{"note":"x"}`, 422},
			{"finance", "POST", path + "/paid", `{"reference":"4111 1111 1111 1111","note":"x"}`, 422},
			{"support", "POST", caseOf, `{"resolution":"accept","note":"x"}`, 403},
			{"finance", "POST", caseOf, `{"resolution":"pay","note":"x"}`, 422},
			{"finance", "POST", caseOf, `{"resolution":"accept","note":"x"}`, 200},
			{"finance", "POST", caseOf, `{"resolution":"accept","note":"x"}`, 403}, // the same person
			{"erin", "POST", caseOf, `{"resolution":"accept","note":"x"}`, 200},
		} {
			o.want(call.who, call.method, call.path, call.body, call.want)
		}
		o.settle()
		got := o.want("viewer", "GET", path, "", 200)
		caseOf = "/admin/cases/" + got["case"].(string) + "/resolve"
		if got["state"] != "accepted" {
			t.Fatalf("accepted by two it is %v", got)
		}
		o.want("payout_approver", "POST", caseOf, `{"resolution":"pay","note":"memo is right"}`, 200)
		o.want("finance", "GET", path+"/order", "", 409)
		o.want("erin", "POST", caseOf, `{"resolution":"pay","note":"memo is right"}`, 200)
		if got := o.want("finance", "GET", path+"/order", "", 200); got["amount"] != "1175.93" || got["rounding_micros"] != "3000" || got["memo_line_id"] != `=1+1,"x"` || got["direction"] != "to_google" || fmt.Sprint(got["approved_by"]) != "[payout_approver erin]" {
			t.Errorf("the order is %v", got)
		}
		o.want("finance", "GET", path+"/order?format=xml", "", 422)
		r := httptest.NewRequest("GET", path+"/order?format=csv", nil)
		r.Header.Set("Authorization", "Bearer "+o.tokens["finance"])
		w := httptest.NewRecorder()
		o.door.ServeHTTP(w, r)
		want := "direction,amount,currency,memo_line_id,date_due,statement_id,account,due_micros,rounding_micros,approved_by\n" +
			`to_google,1175.93,INR,"'=1+1,""x""",2024-01-22,stm-1,SHOP,1175933000,3000,payout_approver erin` + "\n"
		if w.Code != 200 || w.Body.String() != want {
			t.Errorf("as CSV the order is %d\n%s, want\n%s", w.Code, w.Body, want)
		}
		if got := o.want("finance", "POST", path+"/paid", `{"reference":"UTR-1","note":"seen"}`, 200); got["state"] != "paid" || got["transfer"] == nil {
			t.Errorf("paid: %v", got)
		}
		o.settle()
		o.want("erin", "POST", path+"/paid", `{"reference":"UTR-1","note":"seen"}`, 200)
		o.want("erin", "POST", path+"/paid", `{"reference":"UTR-2","note":"seen"}`, 409)
		said := []string{}
		for _, e := range o.log() {
			said = append(said, e.Who+" "+e.What)
		}
		for _, want := range []string{"finance GET /admin/statements/{id}/order", "erin case.pay", "finance statement.paid"} {
			if !strings.Contains(strings.Join(said, "\n"), want) {
				t.Errorf("the log has no %q: %v", want, said)
			}
		}
		o.sound()
	})
}
