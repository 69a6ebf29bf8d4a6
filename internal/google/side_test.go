package google_test

import (
	"fmt"
	"strings"
	"testing"

	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/google"
	"aorta/internal/id"
	"aorta/internal/recon"
)

func side(h google.Hosted) *google.Side { return google.NewSide(client(), []google.Hosted{h}) }

// TestTell: a row is told as its method is written, under its own id, and only SUCCESS is
// taken for yes.
func TestTell(t *testing.T) {
	t.Parallel()
	p, h := newPeer(t)
	h.Accounts = []string{"SHOP"}
	row := fop.Told{ID: id.Told(id.Derive(3, "told")), Integration: "main", Method: "captureResultNotification", Account: "SHOP", Body: `{"captureRequestId":"cap-02","captureResult":{"captureResultCode":"SUCCESS"}}`}
	const header = `{"responseHeader":{"responseTimestamp":"1"}`
	tests := []struct {
		name   string
		change func(*peer, *fop.Told)
		want   flow.Heard
	}{
		{"taken", func(*peer, *fop.Told) {}, flow.Heard{OK: true, Status: 200, Answer: `{"result":"SUCCESS"}`}},
		{"another word", func(p *peer, _ *fop.Told) { p.answer = header + `,"result":"LATER"}` }, flow.Heard{Status: 200, Answer: `{"result":"LATER"}`, Said: `result is "LATER", not SUCCESS`}},
		{"no word", func(p *peer, _ *fop.Told) { p.answer = header + `}` }, flow.Heard{Status: 200, Answer: `{}`, Said: `result is "", not SUCCESS`}},
		{"refused", func(p *peer, _ *fop.Told) {
			p.status, p.answer = 412, header+`,"errorResponseCode":"IDEMPOTENCY_VIOLATION","errorDescription":"no\n"}`
		}, flow.Heard{Status: 412, Said: "captureResultNotification: Google refuses with 412 IDEMPOTENCY_VIOLATION: no "}},
		{"busy", func(p *peer, _ *fop.Told) { p.status, p.answer = 409, header+`}` }, flow.Heard{Again: true, Status: 409, Said: "captureResultNotification: Google refuses with 409 : "}},
		{"a stranger", func(p *peer, _ *fop.Told) { p.status, p.answer = 404, "" }, flow.Heard{Again: true, Stranger: true, Said: "captureResultNotification: not known to Google"}},
		{"accepted", func(p *peer, r *fop.Told) {
			r.Method = "acceptRemittanceStatement"
			p.answer = header + `,"acceptRemittanceStatementResultCode":"SUCCESS"}`
		}, flow.Heard{OK: true, Status: 200, Answer: `{"acceptRemittanceStatementResultCode":"SUCCESS"}`}},
		{"an unknown method", func(_ *peer, r *fop.Told) { r.Method = "echo" }, flow.Heard{Said: `"echo" is no method that is told`}},
		{"an integration that is gone", func(_ *peer, r *fop.Told) { r.Integration = "old" }, flow.Heard{Again: true, Said: `integration "old" is not configured`}},
		{"an account that is gone", func(_ *peer, r *fop.Told) { r.Account = "OLD" }, flow.Heard{Again: true, Said: `account "OLD" is not one of integration "main"`}},
	}
	for _, test := range tests {
		told := row
		p.status, p.answer, p.raw = 200, header+`,"result":"SUCCESS"}`, nil
		test.change(p, &told)
		got := side(h).Tell(t.Context(), told)
		if strings.HasPrefix(got.Said, test.want.Said) && test.want.Stranger {
			got.Said = test.want.Said
		}
		if got != test.want {
			t.Errorf("%s: Tell() = %+v, want %+v", test.name, got, test.want)
		}
	}
	p.status, p.answer = 200, header+`,"result":"SUCCESS"}`
	side(h).Tell(t.Context(), row)
	want := fmt.Sprintf(`{"requestHeader":{"requestId":%q,"requestTimestamp":%q,"protocolVersion":{"major":1,"minor":1,"revision":0}},"captureRequestId":"cap-02","captureResult":{"captureResultCode":"SUCCESS"}}`, row.ID, google.Millis(now))
	if string(p.request) != want || p.path != "/secure-serving/gsp/v1/captureResultNotification/SHOP" {
		t.Errorf("asked %s %s, want %s", p.path, p.request, want)
	}
}

// TestLines: an answer with lines is read, what we know nothing of too; one that is not as
// it must be is asked for again.
func TestLines(t *testing.T) {
	t.Parallel()
	p, h := newPeer(t)
	h.Accounts = []string{"SHOP"}
	s := fop.Statement{Integration: "main", Account: "SHOP", Name: "stm-1", Offset: 2}
	page := func(members string) { p.answer = `{"responseHeader":{"responseTimestamp":"1"},` + members + `}` }
	page(`"eventOffset":2,"nextEventOffset":5,"totalEvents":9,"remittanceStatementSummary":{"totalDueByIntegrator":"-7"},
		"captureEvents":[{"eventRequestId":"c1","currencyCode":"INR","amount":"728000000","fee":"18200000","eventDate":"1705230000000","paymentIntegratorTransactionId":"tx_1"},
			{"eventRequestId":"c2","currencyCode":"INR","amount":499000000}],
		"refundEvents":[],"chargebackEvents":[{"eventRequestId":"x1","amount":"1"}]`)
	got, heard := side(h).Lines(t.Context(), s, "gps_1-2-3", 200)
	due := int64(-7)
	want := flow.StatementPage{Offset: 2, Next: 5, Total: 9, Due: &due, Lines: []flow.StatementLine{
		{Event: recon.Event{Kind: recon.Capture, Name: "c1", Currency: "INR", Micros: 728_000_000, HasFee: true, Fee: 18_200_000, AtMS: 1_705_230_000_000}, Ours: "tx_1", Details: `{"amount":"728000000","currencyCode":"INR","eventDate":"1705230000000","eventRequestId":"c1","fee":"18200000","paymentIntegratorTransactionId":"tx_1"}`},
		{Event: recon.Event{Kind: recon.Capture, Name: "c2", Currency: "INR", Micros: 499_000_000}, Details: `{"amount":"499000000","currencyCode":"INR","eventRequestId":"c2"}`},
		{Event: recon.Event{Kind: "unknown", Name: "x1"}, Details: `{"amount":"1","eventRequestId":"x1"}`},
	}}
	if !heard.OK || got.Due == nil || *got.Due != due {
		t.Fatalf("Lines() = %+v, %+v", got, heard)
	}
	got.Due = want.Due
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("Lines() =\n%+v, want\n%+v", got, want)
	}
	asked := fmt.Sprintf(`{"requestHeader":{"requestId":"gps_1-2-3","requestTimestamp":%q,"protocolVersion":{"major":1,"minor":0,"revision":0}},"paymentIntegratorAccountId":"SHOP","statementId":"stm-1","eventOffset":2,"numberOfEvents":200}`, google.Millis(now))
	if string(p.request) != asked {
		t.Errorf("asked %s, want %s", p.request, asked)
	}
	page(`"totalEvents":0`)
	if got, heard := side(h).Lines(t.Context(), fop.Statement{Integration: "main", Account: "SHOP", Name: "stm-2"}, "gps_2-0-1", 200); !heard.OK || len(got.Lines) != 0 || got.Next != 0 || got.Total != 0 {
		t.Errorf("a statement of nothing: %+v, %+v", got, heard)
	}
	event := func(members string) string {
		return `"totalEvents":1,"captureEvents":[{"eventRequestId":"c1","currencyCode":"INR","amount":"1"` + members + `}]`
	}
	for _, bad := range []string{
		`"totalEvents":"1"`, `"totalEvents":-1`, `"eventOffset":0`, `"totalEvents":1,"nextEventOffset":"x"`, `"totalEvents":1,"captureEvents":{}`, `"totalEvents":1,"captureEvents":[1]`,
		`"totalEvents":1,"captureEvents":[{"currencyCode":"INR","amount":"1"}]`, `"totalEvents":1,"captureEvents":[{"eventRequestId":"c1","currencyCode":"XXX","amount":"1"}]`,
		`"totalEvents":1,"captureEvents":[{"eventRequestId":"c1","currencyCode":"INR","amount":"-1"}]`, `"totalEvents":1,"captureEvents":[{"eventRequestId":"c1","currencyCode":"INR","amount":"1.0"}]`,
		event(`,"fee":"x"`), event(`,"fee":"-9223372036854775808"`), event(`,"eventDate":"-1"`), event(`,"eventDate":"9223372036854775807"`), event(`,"paymentIntegratorTransactionId":5`),
		`"totalEvents":1,"disputeEvents":[{}]`, `"totalEvents":1,"remittanceStatementSummary":{}`,
	} {
		page(bad)
		if got, heard := side(h).Lines(t.Context(), s, "gps_1-2-3", 200); heard.OK || !heard.Again || heard.Status != 200 || heard.Said == "" {
			t.Errorf("%s: %+v, %+v, want that it is asked for again", bad, got, heard)
		}
	}
}

func TestContract(t *testing.T) {
	t.Parallel()
	i := integration("main")
	i.Terms = google.Terms{Terms: recon.Terms{Checked: true, Fee: 1}, VAT: recon.FeeToVAT{Ratio: 2}}
	i.AckAccepts = true
	s := google.NewSide(client(), []google.Hosted{{Integration: i}})
	if got, ok := s.Contract("main"); !ok || got != (flow.Contract{Terms: i.Terms.Terms, VAT: i.Terms.VAT, AckAccepts: true}) {
		t.Errorf("Contract() = %+v, %t", got, ok)
	}
	if got, ok := s.Contract("old"); ok {
		t.Errorf("Contract of none = %+v", got)
	}
}
