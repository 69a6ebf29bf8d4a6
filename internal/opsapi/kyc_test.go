package opsapi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"aorta/internal/connector"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/project"
	"aorta/internal/store/storetest"
	"aorta/internal/verification"
	"aorta/internal/verification/manual"
)

// speaking is a provider that decides by itself: its checks are no operator's.
type speaking struct{ manual.Manual }

var _ verification.NewsReader = speaking{}

func (speaking) ReadNotification(connector.Notification) (verification.News, error) {
	return verification.News{}, connector.ErrMalformed
}
func (speaking) NewsHeaders() []string { return nil }

func (speaking) Kept(n connector.Notification, _ string) (connector.Notification, error) {
	return n, nil
}

// check begins one of customer c8's, with a worker beside it.
func (o *office) check(p project.Project, level int64) string {
	o.t.Helper()
	type answer struct {
		view flow.CheckView
		err  error
	}
	said := make(chan answer, 1)
	go func() {
		v, err := o.flows.StartCheck(o.t.Context(), flow.CheckRequest{Project: p, CustomerID: "c8", Level: level})
		said <- answer{v, err}
	}()
	for {
		select {
		case a := <-said:
			if a.err != nil {
				o.t.Fatal(a.err)
			}
			return a.view.Check.ID.String()
		case <-time.After(time.Millisecond):
			o.settle()
		}
	}
}

// TestChecks: who decides checks decides those that a person must, once; of who the
// customer is, a hash is kept, and the log has neither name nor document.
func TestChecks(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		o, p := licensed(t, db)
		level := func(want int64) {
			t.Helper()
			row, _, err := db.Customer(t.Context(), o.flows.CustomerOf(p, "c8"))
			if err != nil || row.LevelAt(o.clock().UnixMicro()) != want {
				t.Errorf("the customer has level %d (%v), want %d", row.LevelAt(o.clock().UnixMicro()), err, want)
			}
		}
		two := o.check(p, 2)
		one := o.check(p, 1)
		path := "/admin/checks/" + two
		decide := path + "/decide"
		const who = `"name":"Ann Example","birth":"1990-01-02","document":"4111 1111 1111 1111"` // no card: the number of a document
		for _, call := range []struct {
			who, method, path, body string
			want                    int
		}{
			{"", "GET", path, "", 401},
			{"sesame", "GET", path, "", 403},
			{"viewer", "GET", path, "", 403},
			{"support", "GET", path, "", 200},
			{"support", "GET", "/admin/checks/kyc_1", "", 422},
			{"support", "GET", "/admin/checks/" + id.Check(o.book.Mint(3)).String(), "", 404},
			{"support", "GET", "/admin/checks/" + id.Check{6: 200, 1: 1}.String(), "", 404},
			{"", "POST", decide, `{"passed":true}`, 401},
			{"sesame", "POST", decide, `{"passed":true}`, 403},
			{"support", "POST", decide, `{"passed":true}`, 403},
			{"admin", "POST", decide, `{"passed":true}`, 403},
			{"mlro", "POST", decide, `[]`, 400},
			{"mlro", "POST", decide, ``, 400},
			{"mlro", "POST", decide, `{"passed":"yes"}`, 422},
			{"mlro", "POST", decide, `{"passed":true,"level":3}`, 422},
			{"mlro", "POST", decide, `{"passed":true,"reason":"fine"}`, 422},
			{"mlro", "POST", decide, `{"passed":true,"until":"2020-01-01"}`, 422},
			{"mlro", "POST", decide, `{"passed":true,"until":"tomorrow"}`, 422},
			{"mlro", "POST", decide, `{"passed":true,"name":"Ann Example"}`, 422},
			{"mlro", "POST", decide, `{"passed":true,"name":"Ann 4111111111111111","birth":"1990-01-02","document":"X1"}`, 422},
			{"mlro", "POST", decide, `{"passed":false}`, 422},
			{"mlro", "POST", decide, `{"passed":false,"reason":"does not look right"}`, 422},
			{"mlro", "POST", decide, `{"passed":false,"reason":"mismatch",` + who + `}`, 422},
			{"mlro", "POST", "/admin/checks/" + one + "/decide", `{"passed":true}`, 409}, // its provider decides it
			{"mlro", "POST", "/admin/checks/" + id.Check(o.book.Mint(3)).String() + "/decide", `{"passed":true}`, 404},
		} {
			o.want(call.who, call.method, call.path, call.body, call.want)
		}
		level(0)
		shown := o.want("aml_analyst", "GET", path, "", 200)
		if shown["state"] != "open" || shown["level"] != 2.0 || shown["provider"] != "people" || shown["id"] != two {
			t.Errorf("the check is shown as %v", shown)
		}
		passed := o.want("aml_analyst", "POST", decide, `{"passed":true,"until":"2030-01-01",`+who+`}`, 200)
		if text := fmt.Sprint(passed); passed["state"] != "passed" || passed["until"] != "2030-01-01T00:00:00Z" || strings.Contains(text, "Ann") || strings.Contains(text, "4111") {
			t.Errorf("passed, it is %v", passed)
		}
		o.settle()
		level(2)
		o.want("aml_analyst", "POST", decide, `{"passed":true}`, 409)
		if back := o.want("mlro", "POST", decide, `{"passed":false,"reason":"forged"}`, 200); back["state"] != "expired" || back["reason"] != "forged" {
			t.Errorf("taken back, it is %v", back)
		}
		o.settle()
		level(0)
		o.want("mlro", "POST", decide, `{"passed":false,"reason":"forged"}`, 409)
		again := o.check(p, 2)
		if no := o.want("mlro", "POST", "/admin/checks/"+again+"/decide", `{"passed":false,"reason":"blurred"}`, 200); no["state"] != "failed" {
			t.Errorf("failed, it is %v", no)
		}
		for what, want := range map[[2]string]int{
			{"aml_analyst", "check.passed"}: 1, {"mlro", "check.expired"}: 1, {"mlro", "check.failed"}: 1,
			{"aml_analyst", "GET /admin/checks/{id}"}: 1, {"support", "GET /admin/checks/{id}"}: 4,
		} {
			if got := o.logged(what[0], what[1]); got != want {
				t.Errorf("%s by %s is logged %d times, want %d", what[1], what[0], got, want)
			}
		}
		for _, e := range o.log() {
			if text := e.Details + e.About; strings.Contains(text, "Ann") || strings.Contains(text, "1990") || strings.Contains(text, "4111") {
				t.Errorf("the log holds who the customer is: %+v", e)
			}
		}
		k, err := id.ParseCheck(two)
		if err != nil {
			t.Fatal(err)
		}
		if row, _, err := db.Check(t.Context(), k); err != nil || strings.Contains(row.Facts, "Ann") || strings.Contains(row.Facts, "1990") || !strings.Contains(row.Facts, `"person":"`) {
			t.Errorf("the check keeps %s (%v)", row.Facts, err)
		}
		o.sound()
	})
}
