package google_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/google"
	"aorta/internal/id"
	"aorta/internal/pgp"
)

// notes takes statements and keeps the newest.
type notes struct {
	google.Wallets
	got flow.Noting
	err error
}

func (n *notes) NoteStatement(_ context.Context, x flow.Noting) (fop.Call, error) {
	n.got = x
	c := fop.Call{About: id.Derive(3, "statement"), Result: fop.StatementAcknowledged}
	c.Answer = x.Members(flow.Answered{Call: c})
	return c, n.err
}

// TestStatementNotification: the example of section 11, Google's own printed one, and
// what is wrong with others.
func TestStatementNotification(t *testing.T) {
	t.Parallel()
	ours, theirs := key(t, "integrator-secret.asc"), key(t, "google-side-secret.asc")
	us, them := ring(t, ours, theirs), ring(t, theirs, ours)
	into := &notes{}
	i := integration("main")
	i.Accounts = []string{"AORTA_TEST_INR", "InvisiCashUSA_USD"}
	door := google.New(google.Options{
		Integrations: []google.Hosted{{Integration: i, Ring: func() *pgp.Ring { return us }}}, Wallets: into, Now: func() time.Time { return now }, Random: rand.Reader,
	})
	ask := func(plain string) (int, map[string]any) {
		t.Helper()
		w := httptest.NewRecorder()
		door.ServeHTTP(w, post("/gsp/main/v1/remittanceStatementNotification", sealed(t, them, plain)))
		opened, err := them.Open(w.Body.Bytes(), now)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]any{}
		if err := json.Unmarshal(opened.Plain, &out); err != nil {
			t.Fatal(err)
		}
		return w.Code, out
	}
	const example = `{"requestHeader":{"requestId":"stm-2024-01-14","requestTimestamp":"1705276860000","protocolVersion":{"major":1,"minor":0,"revision":0}},"paymentIntegratorAccountId":"AORTA_TEST_INR","remittanceStatementSummary":{"statementDate":"1705276800000","billingPeriod":{"startDate":"1705190400000","endDate":"1705276799000"},"dateDue":"1705881600000","currencyCode":"INR","totalDueByIntegrator":"1175933000","remittanceInstructions":{"memoLineId":"stm-0114-aorta"}}}`
	status, got := ask(example)
	if status != 200 || got["result"] != "ACCEPTED" || got["paymentIntegratorStatementId"] != id.Statement(id.Derive(3, "statement")).String() {
		t.Errorf("answered %d %v", status, got)
	}
	summary := into.got.Statement.Summary
	into.got.Statement.Summary = ""
	want := fop.Statement{
		Currency: "INR", DueMicros: 1_175_933_000, Memo: "stm-0114-aorta", AtUS: 1_705_276_800_000_000, FromUS: 1_705_190_400_000_000, UntoUS: 1_705_276_799_000_000, PayUS: 1_705_881_600_000_000,
	}
	name := fop.Name{Integration: "main", Method: fop.StatementNotified, Account: "AORTA_TEST_INR", RequestID: "stm-2024-01-14"}
	if into.got.Statement != want || into.got.Name != name || !strings.Contains(summary, `"totalDueByIntegrator":"1175933000"`) {
		t.Errorf("noted %+v %+v %s, want %+v", into.got.Name, into.got.Statement, summary, want)
	}
	print := into.got.Print
	if status, _ := ask(strings.Replace(example, "1705276860000", "1705276860001", 1)); status != 200 || into.got.Print != print {
		t.Errorf("a repeat has another print: %d", status)
	}
	if status, _ := ask(strings.Replace(example, "1175933000", "-202500000", 1)); status != 200 || into.got.Print == print || into.got.Statement.DueMicros != -202_500_000 {
		t.Errorf("what Google owes us: %d %+v", status, into.got)
	}
	for _, v := range vectors(t) {
		if v.ID == "remittanceStatementNotification" {
			if status, got := ask(strings.Replace(string(v.Request), "1502632800000", google.Millis(now), 1)); status != 200 || got["result"] != "ACCEPTED" {
				t.Errorf("Google's own example: %d %v", status, got)
			}
		}
	}
	for _, tt := range []struct {
		old, new string
		status   int
		code     string
	}{
		{`,"remittanceInstructions":{"memoLineId":"stm-0114-aorta"}`, "", 200, ""},
		{`"paymentIntegratorAccountId":"AORTA_TEST_INR",`, "", 400, "MISSING_REQUIRED_FIELD"},
		{"AORTA_TEST_INR", "OTHER", 404, "INVALID_IDENTIFIER"},
		{`"1175933000"`, `"1.5"`, 400, "INVALID_FIELD_VALUE"},
		{`"1175933000"`, `"9223372036854775807"`, 400, "INVALID_FIELD_VALUE"},
		{`"1175933000"`, `{}`, 400, "INVALID_DECRYPTED_REQUEST"},
		{`"INR"`, `"XXX"`, 400, "INVALID_FIELD_VALUE"},
		{`"statementDate":"1705276800000"`, `"statementDate":"x"`, 400, "INVALID_FIELD_VALUE"},
		{`"statementDate":"1705276800000",`, "", 400, "MISSING_REQUIRED_FIELD"},
		{`"1705881600000"`, `"9223372036854775807"`, 400, "INVALID_FIELD_VALUE"},
		{`{"startDate":"1705190400000","endDate":"1705276799000"}`, `"x"`, 400, "INVALID_DECRYPTED_REQUEST"},
		{`{"memoLineId":"stm-0114-aorta"}`, `[]`, 400, "INVALID_DECRYPTED_REQUEST"},
		{`"stm-0114-aorta"`, `"a\u0000b"`, 400, "INVALID_DECRYPTED_REQUEST"},
	} {
		into.got = flow.Noting{}
		status, got := ask(strings.Replace(example, tt.old, tt.new, 1))
		if code, _ := got["errorResponseCode"].(string); status != tt.status || code != tt.code {
			t.Errorf("%s for %s: %d %v, want %d %s", tt.new, tt.old, status, got, tt.status, tt.code)
		}
		if noted := into.got.RequestID != ""; noted != (tt.status == 200) {
			t.Errorf("%s for %s: noted %t", tt.new, tt.old, noted)
		}
	}
	into.err = flow.ErrOtherCall
	if status, got := ask(example); status != 412 || got["errorResponseCode"] != "IDEMPOTENCY_VIOLATION" {
		t.Errorf("other figures under one id: %d %v", status, got)
	}
}
