package paytm_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"aorta/internal/connector"
	"aorta/internal/connector/paytm"
	"aorta/internal/money"
	"aorta/internal/payment"
)

// roundTrip is a provider without a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func said(status int, body string) roundTrip {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

// over is a connector whose provider is transport.
func over(t testing.TB, transport http.RoundTripper) *paytm.Paytm {
	t.Helper()
	c := config("https://paytm.example")
	c.Transport = transport
	return connect(t, c)
}

// signed is an envelope with body signed as the provider does it.
func signed(t testing.TB, body string) string {
	t.Helper()
	c, err := paytm.NewChecksummer(secret, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := c.Sign([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return `{"head":{"responseTimestamp":"1","version":"v1","signature":"` + signature + `"},"body":` + body + `}`
}

func result(status, code string) string {
	return fmt.Sprintf(`"resultInfo":{"resultStatus":%q,"resultCode":%q,"resultMsg":"as they say"}`, status, code)
}

// want is what matters of an Outcome.
type want struct {
	kind     connector.Kind
	code     string
	noRecord bool
	alarm    bool
}

func check(t *testing.T, out connector.Outcome, w want) {
	t.Helper()
	if got := (want{out.Kind, out.Code, out.NoRecord, out.Alarm != ""}); got != w {
		t.Errorf("got %+v, want %+v: %+v", got, w, out)
	}
}

var (
	inDoubt = want{kind: connector.Unknown}
	alarmed = want{kind: connector.Unknown, alarm: true}
	pending = want{kind: connector.Pending}
	noTrace = want{kind: connector.Pending, noRecord: true}
	refusal = want{kind: connector.NotSent, code: payment.CodeProviderUnavailable, alarm: true}
)

func declined(code string) want { return want{kind: connector.Declined, code: code} }

func TestInitiateAnswers(t *testing.T) {
	t.Parallel()
	const token = `,"txnToken":"tok"`
	tests := []struct {
		name, body string
		redirect   bool
		want       want
	}{
		{"started", result("S", "0000") + token, true, pending},
		{"started before", result("S", "0002") + token, true, pending},
		{"started before, no token", result("S", "0002"), false, inDoubt},
		{"repeated, refused", result("F", "0002"), false, inDoubt},
		{"repeated, handled as a duplicate", result("F", "1005"), false, inDoubt},
		{"success without a token", result("S", "0000"), false, inDoubt},
		{"token without success", result("F", "0001") + token, false, declined("20100")},
		{"neither S nor F", result("U", "0000") + token, false, inDoubt},
		{"failed", result("F", "0001"), false, declined("20100")},
		{"new code", result("F", "7777"), false, declined("20100")},
		{"session expired", result("F", "1006"), false, declined("20602")},
		{"above the limit", result("F", "196"), false, declined("20101")},
		{"parameters", result("F", "1001"), false, refusal},
		{"missing element", result("F", "1007"), false, refusal},
		{"pipe", result("F", "1008"), false, refusal},
		{"token invalid", result("F", "2004"), false, refusal},
		{"checksum", result("F", "2005"), false, refusal},
		{"MID", result("F", "2006"), false, refusal},
		{"amount", result("F", "2007"), false, refusal},
		{"MID of the query", result("F", "2013"), false, refusal},
		{"order of the query", result("F", "2014"), false, refusal},
		{"repeat differs", result("F", "2023"), false, inDoubt},
		{"system error", result("U", "501"), false, alarmed},
		{"system error as a failure", result("F", "501"), false, alarmed},
		{"nothing", ``, false, inDoubt},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			out := over(t, said(200, signed(t, "{"+test.body+"}"))).Sale(t.Context(), saleOrder(t))
			check(t, out, test.want)
			if (out.Redirect != nil) != test.redirect {
				t.Errorf("Redirect = %+v, want one: %v", out.Redirect, test.redirect)
			}
		})
	}
}

func TestRedirect(t *testing.T) {
	t.Parallel()
	c := config("https://paytm.example/under/")
	c.Transport = said(200, signed(t, `{`+result("S", "0000")+`,"txnToken":"tok/+=&"}`))
	out := connect(t, c).Sale(t.Context(), saleOrder(t))
	got := fmt.Sprintf("%+v", *out.Redirect)
	wanted := "{URL:https://paytm.example/under/theia/api/v1/showPaymentPage?mid=" + mid + "&orderId=" + saleID +
		" Method:POST Fields:map[mid:" + mid + " orderId:" + saleID + " txnToken:tok/+=&]}"
	if got != wanted {
		t.Errorf("Redirect = %s, want %s", got, wanted)
	}
}

// about is what an order's status says of whom and how much.
func about(more string) string {
	return `,"mid":"` + mid + `","orderId":"` + saleID + `","txnId":"T1","txnAmount":"25.00","txnDate":"2026-09-01 17:30:05.0"` + more
}

func TestOrderStatusAnswers(t *testing.T) {
	t.Parallel()
	approved := want{kind: connector.Approved}
	tests := []struct {
		name, body string
		status     payment.AttemptStatus
		want       want
	}{
		{"paid", result("TXN_SUCCESS", "01") + about(""), "", approved},
		{"paid in rupees", result("TXN_SUCCESS", "01") + about(`,"currency":"INR"`), "", approved},
		{"paid in dollars", result("TXN_SUCCESS", "01") + about(`,"currency":"USD"`), "", alarmed},
		{"paid, by an odd code", result("TXN_SUCCESS", "501") + about(""), "", alarmed},
		{"paid, to another MID", result("TXN_SUCCESS", "01") + about(`,"mid":"OTHER"`), "", alarmed},
		{"paid, another order", result("TXN_SUCCESS", "01") + about(`,"orderId":"other"`), "", alarmed},
		{"paid, by nobody", result("TXN_SUCCESS", "01") + `,"txnId":"T1","txnAmount":"25.00"`, "", alarmed},
		{"paid, no amount", result("TXN_SUCCESS", "01") + about(`,"txnAmount":""`), "", alarmed},
		{"paid, nothing", result("TXN_SUCCESS", "01") + about(`,"txnAmount":"0.00"`), "", alarmed},
		{"paid, less than nothing", result("TXN_SUCCESS", "01") + about(`,"txnAmount":"-25.00"`), "", alarmed},
		{"paid, a fraction of a paisa", result("TXN_SUCCESS", "01") + about(`,"txnAmount":"25.001"`), "", alarmed},
		{"paid, too many digits", result("TXN_SUCCESS", "01") + about(`,"txnAmount":"99999999999999999999.00"`), "", alarmed},
		{"paid, in scientific notation", result("TXN_SUCCESS", "01") + about(`,"txnAmount":"2.5e1"`), "", alarmed},
		{"paid, the amount a number", result("TXN_SUCCESS", "01") + about(`,"txnAmount":25.00`), "", inDoubt},
		{"paid, without an id", result("TXN_SUCCESS", "01") + about(`,"txnId":""`), "", alarmed},
		{"paid, with an odd id", result("TXN_SUCCESS", "01") + about(`,"txnId":"T 1"`), "", alarmed},
		{"pending 400", result("PENDING", "400") + about(""), "", pending},
		{"pending 402", result("PENDING", "402") + about(""), "", pending},
		{"pending, about nobody", result("PENDING", "402"), "", alarmed},
		{"bank or checksum", result("TXN_FAILURE", "227") + about(""), "", declined("20100")},
		{"balance", result("TXN_FAILURE", "235") + about(""), "", declined("20105")},
		{"267", result("TXN_FAILURE", "267") + about(""), "", declined("20100")},
		{"295", result("TXN_FAILURE", "295") + about(""), "", declined("20100")},
		{"401", result("TXN_FAILURE", "401") + about(""), "", declined("20100")},
		{"810", result("TXN_FAILURE", "810") + about(""), "", declined("20100")},
		{"820", result("TXN_FAILURE", "820") + about(""), "", declined("20100")},
		{"843", result("TXN_FAILURE", "843") + about(""), "", declined("20100")},
		{"a new code", result("TXN_FAILURE", "9876") + about(""), "", declined("20100")},
		{"cancelled", result("TXN_FAILURE", "141") + about(""), "", declined("20301")},
		{"declined, another order", result("TXN_FAILURE", "227") + about(`,"orderId":"other"`), "", alarmed},
		{"declined, about nobody", result("TXN_FAILURE", "227"), "", alarmed},
		{"server down", result("TXN_FAILURE", "501") + about(""), "", inDoubt},
		{"330", result("TXN_FAILURE", "330"), "", alarmed},
		{"335", result("TXN_FAILURE", "335"), "", alarmed},
		{"334, never confirmed", result("TXN_FAILURE", "334"), payment.AttemptUnknown, declined("20100")},
		{"334, confirmed", result("TXN_FAILURE", "334"), payment.AttemptAccepted, alarmed},
		{"no record", result("NO_RECORD_FOUND", "331"), "", noTrace},
		{"no record of this", result("NO_RECORD_FOUND", "331") + about(""), "", noTrace},
		{"no record of another", result("NO_RECORD_FOUND", "331") + about(`,"orderId":"other"`), "", alarmed},
		{"another word", result("SUCCESS", "01") + about(""), "", alarmed},
		{"lower case", result("txn_success", "01") + about(""), "", alarmed},
		{"nothing", `"x":1`, "", alarmed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := saleOrder(t)
			o.Attempt.Status = test.status
			out := over(t, said(200, signed(t, "{"+test.body+"}"))).Lookup(t.Context(), o)
			check(t, out, test.want)
			if test.want == approved {
				paidAt := time.Date(2026, 9, 1, 12, 0, 5, 0, time.UTC)
				if out.Amount != (money.Amount{Minor: 2500, Currency: "INR"}) || out.ProviderID != "T1" || !out.ProviderTime.Equal(paidAt) ||
					out.ProviderCode != "01" || out.ProviderMessage != "as they say" {
					t.Errorf("approved as %+v", out)
				}
			}
		})
	}
}

// refundAbout is what a refund answer says of whom and how much.
func refundAbout(more string) string {
	return `,"mid":"` + mid + `","orderId":"` + saleID + `","refId":"` + refundID + `","refundId":"R1","refundAmount":"10.05"` + more
}

func TestRefundAnswers(t *testing.T) {
	t.Parallel()
	alarmedDecline := want{kind: connector.Declined, code: "20100", alarm: true}
	tests := []struct {
		name, body string
		apply      want
		status     want
	}{
		{"pending", result("PENDING", "601") + refundAbout(""), pending, pending},
		{"601 as a success", result("TXN_SUCCESS", "601") + refundAbout(""), pending, want{kind: connector.Approved}},
		{"done", result("TXN_SUCCESS", "10") + refundAbout(""), pending, want{kind: connector.Approved}},
		{"done, no id", result("TXN_SUCCESS", "10") + refundAbout(`,"refundId":""`), pending, alarmed},
		{"done, no amount", result("TXN_SUCCESS", "10") + refundAbout(`,"refundAmount":""`), pending, alarmed},
		{"done, and no record of it", result("TXN_SUCCESS", "631") + refundAbout(""), pending, alarmed},
		{"another refund", result("TXN_SUCCESS", "10") + refundAbout(`,"refId":"other"`), alarmed, alarmed},
		{"another order", result("TXN_FAILURE", "620") + refundAbout(`,"orderId":"other"`), alarmed, alarmed},
		{"another MID", result("PENDING", "601") + refundAbout(`,"mid":"OTHER"`), alarmed, alarmed},
		{"already raised", result("TXN_FAILURE", "617") + refundAbout(""), pending, inDoubt},
		{"another under way", result("TXN_FAILURE", "626") + refundAbout(""), pending, inDoubt},
		{"pending at the bank", result("TXN_FAILURE", "628") + refundAbout(""), pending, inDoubt},
		{"already done", result("TXN_FAILURE", "629") + refundAbout(""), pending, inDoubt},
		{"repeated refId", result("TXN_FAILURE", "DUPLICATE_REF_ID") + refundAbout(""), pending, inDoubt},
		{"system error", result("PENDING", "501") + refundAbout(""), inDoubt, inDoubt},
		{"system error as a failure", result("TXN_FAILURE", "501") + refundAbout(""), inDoubt, inDoubt},
		{"invalid request", result("TXN_FAILURE", "600") + refundAbout(""), declined("20100"), declined("20100")},
		{"cancelled transaction", result("TXN_FAILURE", "607") + refundAbout(""), declined("20100"), declined("20100")},
		{"invalid amount", result("TXN_FAILURE", "619") + refundAbout(""), declined("20100"), declined("20100")},
		{"invalid amount, by name", result("TXN_FAILURE", "INVALID_REFUND_AMOUNT") + refundAbout(""), declined("20100"), declined("20100")},
		{"invalid state, by name", result("TXN_FAILURE", "INVALID_TXN_STATE") + refundAbout(""), declined("20100"), declined("20100")},
		{"balance", result("TXN_FAILURE", "620") + refundAbout(""), declined("20105"), declined("20105")},
		{"under a rupee", result("TXN_FAILURE", "635") + refundAbout(""), declined("20101"), declined("20101")},
		{"order mismatch", result("TXN_FAILURE", "627") + refundAbout(""), alarmedDecline, declined("20100")},
		{"no record", result("TXN_FAILURE", "631") + refundAbout(""), alarmedDecline, noTrace},
		{"no record, about nobody", result("TXN_FAILURE", "631"), inDoubt, noTrace},
		{"a new code", result("TXN_FAILURE", "699") + refundAbout(""), inDoubt, declined("20100")},
		{"refused, about nobody", result("TXN_FAILURE", "620"), inDoubt, alarmed},
		{"330", result("TXN_FAILURE", "330"), alarmed, alarmed},
		{"335", result("TXN_FAILURE", "335"), alarmed, alarmed},
		{"another word", result("DONE", "10") + refundAbout(""), inDoubt, alarmed},
		{"nothing", `"x":1`, inDoubt, alarmed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := over(t, said(200, signed(t, "{"+test.body+"}")))
			check(t, p.Refund(t.Context(), refundOrder(t)), test.apply)
			out := p.LookupRefund(t.Context(), refundOrder(t))
			check(t, out, test.status)
			if out.Kind == connector.Approved && (out.Amount != (money.Amount{Minor: 1005, Currency: "INR"}) || out.ProviderID != "R1") {
				t.Errorf("approved as %+v", out)
			}
		})
	}
}

// everyCall asks all that a provider can be asked.
func everyCall(t *testing.T, p *paytm.Paytm) map[string]connector.Outcome {
	t.Helper()
	return map[string]connector.Outcome{
		"Sale":         p.Sale(t.Context(), saleOrder(t)),
		"Lookup":       p.Lookup(t.Context(), saleOrder(t)),
		"Refund":       p.Refund(t.Context(), refundOrder(t)),
		"LookupRefund": p.LookupRefund(t.Context(), refundOrder(t)),
	}
}

// TestUnreliableAnswers: none of these is anybody's word, whatever it says.
func TestUnreliableAnswers(t *testing.T) {
	t.Parallel()
	refuses := `{` + result("TXN_FAILURE", "227") + about("") + `}`
	good := signed(t, refuses)
	other, err := paytm.NewChecksummer("another-key-1234", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := other.Sign([]byte(refuses))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, answer string
		status       int
		alarm        bool
	}{
		{"no signature", `{"head":{},"body":` + refuses + `}`, 200, true},
		{"empty signature", `{"head":{"signature":""},"body":` + refuses + `}`, 200, true},
		{"no head", `{"body":` + refuses + `}`, 200, true},
		{"no body", `{"head":{"signature":"` + forged + `"}}`, 200, true},
		{"another key's signature", `{"head":{"signature":"` + forged + `"},"body":` + refuses + `}`, 200, true},
		{"a changed body", strings.Replace(good, `"227"`, `"141"`, 1), 200, true},
		{"a space more", strings.Replace(good, `"body":{`, `"body":{ `, 1), 200, true},
		{"an array for a body", signed(t, `[1]`), 200, false},
		{"a number for a text", signed(t, `{"resultInfo":{"resultStatus":1}}`), 200, false},
		{"not JSON", "no", 200, false},
		{"two documents", good + good, 200, false},
		{"nothing", "", 200, false},
		{"as long as allowed and no more", strings.Repeat(" ", 64<<10), 200, false},
		{"too long", good + strings.Repeat(" ", 64<<10), 200, false},
		{"HTTP 201", good, 201, true},
		{"HTTP 302", good, 302, true},
		{"HTTP 400", good, 400, true},
		{"HTTP 404", good, 404, true},
		{"HTTP 429", good, 429, false},
		{"HTTP 500", good, 500, false},
		{"HTTP 503", good, 503, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for call, out := range everyCall(t, over(t, said(test.status, test.answer))) {
				if out.Kind != connector.Unknown || out.NoRecord || out.Code != "" || (out.Alarm != "") != test.alarm {
					t.Errorf("%s = %+v, want Unknown, with an alarm: %v", call, out, test.alarm)
				}
				if strings.Contains(fmt.Sprintf("%+v", out), secret) {
					t.Errorf("%s shows the key: %+v", call, out)
				}
			}
		})
	}
}

// TestSignatureIsOverTheBytesThatCame: vendors write JSON with spaces, escapes
// and members in any order.
func TestSignatureIsOverTheBytesThatCame(t *testing.T) {
	t.Parallel()
	body := "{ \"txnDate\" : \"2026-09-01 17:30:05.0\",\r\n\t\"new\\/member\":[1,{}]," + result("TXN_SUCCESS", "01") + about("") + " }"
	answer := strings.Replace(signed(t, body), `"body":`, "\"body\"\n:  ", 1)
	check(t, over(t, said(200, answer)).Lookup(t.Context(), saleOrder(t)), want{kind: connector.Approved})
}

// TestFailures: only a dial that failed proves that nothing left.
func TestFailures(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  error
		want connector.Kind // of a Sale and a Refund; a look-up is always Unknown
	}{
		{"refused", &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}, connector.NotSent},
		{"no such host", &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host"}}, connector.NotSent},
		{"wrapped", fmt.Errorf("round trip: %w", &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("timeout")}), connector.NotSent},
		{"proxy", &net.OpError{Op: "proxyconnect", Err: &net.OpError{Op: "dial", Err: errors.New("refused")}}, connector.Unknown},
		{"reset while reading", &net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset")}, connector.Unknown},
		{"reset while writing", &net.OpError{Op: "write", Net: "tcp", Err: errors.New("broken pipe")}, connector.Unknown},
		{"end of file", io.EOF, connector.Unknown},
		{"out of time", context.DeadlineExceeded, connector.Unknown},
		{"cancelled", context.Canceled, connector.Unknown},
		{"a text that says dial", errors.New("dial tcp: connection refused"), connector.Unknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := over(t, roundTrip(func(*http.Request) (*http.Response, error) { return nil, test.err }))
			for call, out := range everyCall(t, p) {
				wanted := test.want
				if strings.HasPrefix(call, "Lookup") {
					wanted = connector.Unknown
				}
				if out.Kind != wanted {
					t.Errorf("%s = %+v, want %s", call, out, wanted)
				}
			}
		})
	}
}

func TestBodyCutOff(t *testing.T) {
	t.Parallel()
	p := over(t, roundTrip(func(*http.Request) (*http.Response, error) {
		body := io.MultiReader(bytes.NewReader([]byte(signed(t, `{`+result("TXN_FAILURE", "227")+about("")+`}`))), broken{})
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(body)}, nil
	}))
	for call, out := range everyCall(t, p) {
		if out.Kind != connector.Unknown {
			t.Errorf("%s = %+v, want Unknown", call, out)
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestProvidersTextsAreCleaned: what goes into rows has no control characters
// and no end-less text.
func TestProvidersTextsAreCleaned(t *testing.T) {
	t.Parallel()
	message := `a\u0000b\nc` + strings.Repeat("ü", 600)
	body := `{"resultInfo":{"resultStatus":"TXN_FAILURE","resultCode":"22\u00007","resultMsg":"` + message + `"}` + about(`,"txnDate":"yesterday"`) + `}`
	out := over(t, said(200, signed(t, body))).Lookup(t.Context(), saleOrder(t))
	if out.Kind != connector.Declined || out.ProviderCode != "227" || !out.ProviderTime.IsZero() {
		t.Errorf("Lookup = %+v", out)
	}
	if m := out.ProviderMessage; !strings.HasPrefix(m, "abcü") || len(m) > 500 || !strings.HasSuffix(m, "ü") {
		t.Errorf("the message became %q", m)
	}
}

// BenchmarkCalls is the connector's own share of a sale and a look-up: no network.
func BenchmarkCalls(b *testing.B) {
	sale := over(b, said(200, signed(b, `{`+result("S", "0000")+`,"txnToken":"tok"}`)))
	lookup := over(b, said(200, signed(b, `{`+result("TXN_SUCCESS", "01")+about("")+`}`)))
	o := saleOrder(b)
	b.ReportAllocs()
	for b.Loop() {
		if out := sale.Sale(b.Context(), o); out.Redirect == nil {
			b.Fatalf("Sale = %+v", out)
		}
		if out := lookup.Lookup(b.Context(), o); out.Kind != connector.Approved {
			b.Fatalf("Lookup = %+v", out)
		}
	}
}
