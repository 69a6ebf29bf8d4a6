package paytm_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"aorta/internal/connector"
	"aorta/internal/connector/paytm"
	"aorta/internal/money"
)

// callback is the vendor's example of a payment's form, with our names.
func callback() map[string]string {
	return map[string]string{
		"ORDERID": saleID, "MID": mid, "TXNID": "202005081112128XXXXXX68470101509706", "TXNAMOUNT": "25.00",
		"PAYMENTMODE": "PPI", "CURRENCY": "INR", "TXNDATE": "2020-07-24 15:13:02.0", "STATUS": "TXN_SUCCESS", "RESPCODE": "01",
		"RESPMSG": "Txn Success", "GATEWAYNAME": "WALLET", "BANKTXNID": "62909899", "BANKNAME": "WALLET",
	}
}

// arn is the vendor's example of a refund ARN notification, with our names.
func arn() map[string]string {
	return map[string]string{
		"ORDERID": saleID, "REFID": refundID, "MID": mid, "TXNID": "202005081112128XXXXXX68470101509706",
		"REFUNDID": "202303140203384XXXXXX59549002323111", "TXNAMOUNT": "25.00", "REFUNDAMOUNT": "10.05",
		"TXNDATETIME": "2023-02-24 15:35:33", "REFUNDDATETIME": "2023-03-14 11:04:28", "PAYMENTMODE": "CC", "GATEWAYNAME": "HDFC",
		"BANKNAME": "AXIS", "ARN": "73256633124312285716334", "RRN": "6830672893766936005961",
	}
}

func vendor(t testing.TB, key string) *paytm.Checksummer {
	t.Helper()
	c, err := paytm.NewChecksummer(key, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// posted is a signed form.
func posted(t testing.TB, params map[string]string) connector.Notification {
	t.Helper()
	signature, err := vendor(t, secret).SignParams(params)
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"CHECKSUMHASH": {signature}}
	for name, value := range params {
		form.Set(name, value)
	}
	return formOf(form.Encode())
}

func formOf(body string) connector.Notification {
	return connector.Notification{
		Method: "POST", Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=UTF-8"}}, Body: []byte(body),
	}
}

func jsonOf(body string) connector.Notification {
	return connector.Notification{Method: "POST", Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(body)}
}

// with gives params with changes; an empty value takes a parameter away.
func with(params map[string]string, changes ...string) map[string]string {
	for i := 0; i < len(changes); i += 2 {
		params[changes[i]] = changes[i+1]
		if changes[i+1] == "" {
			delete(params, changes[i])
		}
	}
	return params
}

var (
	saleAmount   = money.Amount{Minor: 2500, Currency: "INR"}
	refundAmount = money.Amount{Minor: 1005, Currency: "INR"}
)

func TestFormNotifications(t *testing.T) {
	t.Parallel()
	news := func(kind connector.Kind, status string) connector.News {
		return connector.News{Reference: saleID, Kind: kind, Amount: saleAmount, EventID: saleID + "/" + status + "/form"}
	}
	mismatched := func(n connector.News, why string) connector.News {
		n.Mismatch, n.Amount = why, money.Amount{}
		return n
	}
	tests := []struct {
		name   string
		params map[string]string
		want   connector.News
	}{
		{"success", callback(), news(connector.Approved, "TXN_SUCCESS")},
		{"failure", with(callback(), "STATUS", "TXN_FAILURE", "RESPCODE", "227"), news(connector.Declined, "TXN_FAILURE")},
		{"server down", with(callback(), "STATUS", "TXN_FAILURE", "RESPCODE", "501"), news(connector.Unknown, "TXN_FAILURE")},
		{"pending", with(callback(), "STATUS", "PENDING", "RESPCODE", "402"), news(connector.Pending, "PENDING")},
		{"another word", with(callback(), "STATUS", "OK"), news(connector.Unknown, "OK")},
		{
			"the fewest fields", with(callback(), "TXNID", "", "PAYMENTMODE", "", "TXNDATE", "", "RESPMSG", "", "GATEWAYNAME", "", "BANKTXNID", "", "BANKNAME", ""),
			news(connector.Approved, "TXN_SUCCESS"),
		},
		{"all fields", with(callback(), "MERC_UNQ_REF", "x", "CUSTID", "y"), news(connector.Approved, "TXN_SUCCESS")},
		{"a plus and an ampersand", with(callback(), "RESPMSG", "a+b & c=d"), news(connector.Approved, "TXN_SUCCESS")},
		{"another MID", with(callback(), "MID", "OTHER"), mismatched(news(connector.Approved, "TXN_SUCCESS"), "it names another MID than ours")},
		{"an amount that is none", with(callback(), "TXNAMOUNT", "25,00"), mismatched(news(connector.Approved, "TXN_SUCCESS"), "its amount or currency cannot be read")},
		{"a currency that is none", with(callback(), "CURRENCY", "RS"), mismatched(news(connector.Approved, "TXN_SUCCESS"), "its amount or currency cannot be read")},
		{"arn", arn(), connector.News{Reference: refundID, Kind: connector.Approved, Amount: refundAmount, EventID: refundID + "/ARN/form"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := over(t, nil)
			for _, header := range []http.Header{posted(t, test.params).Header, nil} {
				n := posted(t, test.params)
				n.Header = header
				if got, err := p.ReadNotification(n); err != nil || got != test.want {
					t.Errorf("ReadNotification = %+v, %v, want %+v", got, err, test.want)
				}
			}
		})
	}
	dollars, err := over(t, nil).ReadNotification(posted(t, with(callback(), "CURRENCY", "USD")))
	if err != nil || dollars.Amount != (money.Amount{Minor: 2500, Currency: "USD"}) {
		t.Errorf("a callback in dollars = %+v, %v; the flow must see them", dollars, err)
	}
}

func TestFormNotificationsRefused(t *testing.T) {
	t.Parallel()
	genuine := string(posted(t, callback()).Body)
	forged, err := vendor(t, "another-key-1234").SignParams(callback())
	if err != nil {
		t.Fatal(err)
	}
	piped := callback()
	piped["BANKNAME"], piped["BANKTXNID"] = "WAL|LET", "62909899"
	tests := []struct {
		name string
		body string
		want error
	}{
		{"another key", strings.Replace(genuine, url.QueryEscape(between(genuine, "CHECKSUMHASH=")), url.QueryEscape(forged), 1), connector.ErrSignature},
		{"another status", strings.Replace(genuine, "TXN_SUCCESS", "TXN_FAILURE", 1), connector.ErrSignature},
		{"another amount", strings.Replace(genuine, "25.00", "2500.00", 1), connector.ErrSignature},
		{"an empty checksum", strings.Replace(genuine, url.QueryEscape(between(genuine, "CHECKSUMHASH=")), "", 1), connector.ErrSignature},
		{"the checksum's + as a space", strings.ReplaceAll(plusForm(t), "%2B", "+"), connector.ErrSignature},
		{"no checksum", strings.Replace(genuine, "CHECKSUMHASH", "CHECKSUM", 1), connector.ErrSignature},
		{"a field twice", genuine + "&STATUS=TXN_SUCCESS", connector.ErrMalformed},
		{"a field more", genuine + "&ADDED=1", connector.ErrSignature},
		{"a field more, signed", string(posted(t, with(callback(), "ADDED", "1")).Body), connector.ErrMalformed},
		{"a field in lower case, signed", string(posted(t, with(callback(), "RESPMSG", "", "respmsg", "x")).Body), connector.ErrMalformed},
		{"more fields than there are", manyFields(), connector.ErrMalformed},
		// Signed as it stands, since names are not signed.
		{"a field renamed in place", strings.Replace(genuine, "TXNAMOUNT", "TXNAMOUNS", 1), connector.ErrMalformed},
		{"a pipe", string(posted(t, piped).Body), connector.ErrMalformed},
		{"a pipe moved", movePipe(t), connector.ErrMalformed},
		{"no status", string(posted(t, with(callback(), "STATUS", "")).Body), connector.ErrMalformed},
		{"no order", string(posted(t, with(callback(), "ORDERID", "")).Body), connector.ErrMalformed},
		{"an order that is none of ours", string(posted(t, with(callback(), "ORDERID", "a b")).Body), connector.ErrMalformed},
		{"a long order", string(posted(t, with(callback(), "ORDERID", strings.Repeat("a", 51))).Body), connector.ErrMalformed},
		{"arn without a refund id", string(posted(t, with(arn(), "REFUNDID", "")).Body), connector.ErrMalformed},
		{"arn with a status", string(posted(t, with(arn(), "STATUS", "TXN_SUCCESS")).Body), connector.ErrMalformed},
		{"not UTF-8", string(posted(t, with(callback(), "RESPMSG", "\xff")).Body), connector.ErrMalformed},
		{"a semicolon", strings.Replace(genuine, "&", ";", 1), connector.ErrMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if news, err := over(t, nil).ReadNotification(formOf(test.body)); !errors.Is(err, test.want) || news != (connector.News{}) {
				t.Errorf("ReadNotification = %+v, %v, want %v", news, err, test.want)
			}
		})
	}
}

// manyFields is a form that would be dear to sort.
func manyFields() string {
	form := url.Values{}
	for i := range 1000 {
		form.Set(fmt.Sprint("F", i), "x")
	}
	return form.Encode()
}

// between gives the decoded value of a form's field.
func between(form, field string) string {
	_, rest, _ := strings.Cut(form, field)
	value, _, _ := strings.Cut(rest, "&")
	decoded, err := url.QueryUnescape(value)
	if err != nil {
		return value
	}
	return decoded
}

// plusForm is a form whose checksum has a "+" in it.
func plusForm(t testing.TB) string {
	t.Helper()
	for {
		form := string(posted(t, callback()).Body)
		if strings.Contains(between(form, "CHECKSUMHASH="), "+") {
			return form
		}
	}
}

// movePipe is a form that verifies, with a "|" of a value moved to its neighbour.
func movePipe(t testing.TB) string {
	t.Helper()
	params := callback()
	params["BANKNAME"], params["BANKTXNID"] = "A|B", "C"
	signature, err := vendor(t, secret).SignParams(params)
	if err != nil {
		t.Fatal(err)
	}
	params["BANKNAME"], params["BANKTXNID"] = "A", "B|C"
	if !vendor(t, secret).VerifyParams(params, signature) {
		t.Fatal("the moved pipe no longer verifies: this test proves nothing")
	}
	form := url.Values{"CHECKSUMHASH": {signature}}
	for name, value := range params {
		form.Set(name, value)
	}
	return form.Encode()
}

// saleHook is a payment webhook's body.
func saleHook(more string) string {
	return `{"mid":"` + mid + `","orderId":"` + saleID + `","txnId":"T1","txnAmount":"25.00","currency":"INR","status":"TXN_SUCCESS",` +
		`"respCode":"01","respMsg":"Txn Success","txnType":"SALE","paymentMode":"PPI","bankTxnId":"1","bankName":"WALLET","txnDate":"2026-09-01 12:00:00.0"` + more + `}`
}

// refundHook is a refund webhook's body as the vendor's pages show it.
func refundHook(more string) string {
	return `{"txnTimestamp":"2020-09-03 16:51:41.0","orderId":"` + saleID + `","refundAmount":"10.05","refundId":"R1","txnAmount":"25.00",` +
		`"txnId":"T1","refId":"` + refundID + `","agentInfo":{"employeeId":"Emp-001","phoneNo":"7777777777"}` + more + `}`
}

// documentSigned signs the document as it is without its signature, and puts
// that first or last into the head.
func documentSigned(t testing.TB, head, body string, first bool) string {
	t.Helper()
	bare := `{"head":{` + head + `},"body":` + body + `}`
	signature, err := vendor(t, secret).Sign([]byte(bare))
	if err != nil {
		t.Fatal(err)
	}
	member := `"signature":"` + signature + `"`
	switch {
	case head == "":
		return `{"head":{` + member + `},"body":` + body + `}`
	case first:
		return `{"head":{` + member + `,` + head + `},"body":` + body + `}`
	}
	return `{"head":{` + head + `,` + member + `},"body":` + body + `}`
}

func TestJSONNotifications(t *testing.T) {
	t.Parallel()
	sale := func(kind connector.Kind, event string) connector.News {
		return connector.News{Reference: saleID, Kind: kind, Amount: saleAmount, EventID: saleID + "/" + event}
	}
	refund := func(kind connector.Kind, event string) connector.News {
		return connector.News{Reference: refundID, Kind: kind, Amount: refundAmount, EventID: refundID + "/" + event}
	}
	noAmount := sale(connector.Approved, "TXN_SUCCESS/json body")
	noAmount.Amount = money.Amount{}
	otherMID := refund(connector.Approved, "CREDITED/json body")
	otherMID.Mismatch, otherMID.Amount = "it names another MID than ours", money.Amount{}
	noMID := sale(connector.Approved, "TXN_SUCCESS/json body")
	noMID.Mismatch, noMID.Amount = "it names another MID than ours", money.Amount{}
	const credited = `,"userCreditInitiateTimestamp":"2020-09-03 16:52:10.0","refundDetailInfoList":[{"refundType":"TO_SOURCE"}]`
	tests := []struct {
		name, body string
		want       connector.News
	}{
		{"success", signed(t, saleHook("")), sale(connector.Approved, "TXN_SUCCESS/json body")},
		{"failure", signed(t, strings.Replace(saleHook(""), "TXN_SUCCESS", "TXN_FAILURE", 1)), sale(connector.Declined, "TXN_FAILURE/json body")},
		{"pending", signed(t, strings.Replace(saleHook(""), "TXN_SUCCESS", "PENDING", 1)), sale(connector.Pending, "PENDING/json body")},
		{"new members", signed(t, saleHook(`,"more":{"a":[1,2,{"a":null}]}`)), sale(connector.Approved, "TXN_SUCCESS/json body")},
		{"spaces", strings.Replace(signed(t, saleHook(" ")), `"body":`, "\"body\" :\n", 1), sale(connector.Approved, "TXN_SUCCESS/json body")},
		{"no amount", signed(t, strings.Replace(saleHook(""), `"25.00"`, `null`, 1)), noAmount},
		{"no MID", signed(t, strings.Replace(saleHook(""), `"mid"`, `"dim"`, 1)), noMID},
		{"document, signature alone", documentSigned(t, "", saleHook(""), true), sale(connector.Approved, "TXN_SUCCESS/json document")},
		{"document, signature first", documentSigned(t, `"version":"v1"`, saleHook(""), true), sale(connector.Approved, "TXN_SUCCESS/json document")},
		{"document, signature last", documentSigned(t, `"version":"v1","x":[{}]`, saleHook(""), false), sale(connector.Approved, "TXN_SUCCESS/json document")},
		{"refund accepted", signed(t, refundHook(`,"status":"SUCCESS"`)), refund(connector.Pending, "ACCEPTED/json body")},
		{"refund refused", signed(t, refundHook(`,"status":"FAILED","rejectRefundReasonCode":"1"`)), refund(connector.Declined, "FAILED/json body")},
		{"refund sent out", signed(t, refundHook(`,"mid":"`+mid+`"`+credited)), refund(connector.Approved, "CREDITED/json body")},
		{"refund of another MID", signed(t, refundHook(`,"mid":"OTHER"`+credited)), otherMID},
		{"refund of another kind", signed(t, refundHook("")), refund(connector.Unknown, "OTHER/json body")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := over(t, nil)
			for _, n := range []connector.Notification{jsonOf(test.body), {Method: "POST", Body: []byte(test.body)}} {
				if got, err := p.ReadNotification(n); err != nil || got != test.want {
					t.Errorf("ReadNotification of %s = %+v, %v, want %+v", test.body, got, err, test.want)
				}
			}
		})
	}
}

func TestJSONNotificationsRefused(t *testing.T) {
	t.Parallel()
	genuine := signed(t, saleHook(""))
	tests := []struct {
		name, body string
		want       error
	}{
		{"changed", strings.Replace(genuine, "25.00", "26.00", 1), connector.ErrSignature},
		{"a space more", strings.Replace(genuine, `"body":{`, `"body":{ `, 1), connector.ErrSignature},
		{"no signature", `{"head":{},"body":` + saleHook("") + `}`, connector.ErrSignature},
		{"signature elsewhere", `{"signature":"x","head":{},"body":` + saleHook("") + `}`, connector.ErrSignature},
		{"document changed", strings.Replace(documentSigned(t, `"version":"v1"`, saleHook(""), true), "v1", "v2", 1), connector.ErrSignature},
		{"body twice", strings.Replace(genuine, `"body":`, `"body":{},"body":`, 1), connector.ErrMalformed},
		{"body twice, in another case", strings.Replace(genuine, `"body":`, `"Body":{},"body":`, 1), connector.ErrMalformed},
		{"body twice, escaped", strings.Replace(genuine, `"body":`, `"bod\u0079":{},"body":`, 1), connector.ErrMalformed},
		{"head twice", strings.Replace(genuine, `"head":`, `"head":{},"head":`, 1), connector.ErrMalformed},
		{"status twice, signed", signed(t, saleHook(`,"status":"TXN_FAILURE"`)), connector.ErrMalformed},
		{"status twice, with a long s, signed", signed(t, saleHook(`,"`+"ſtatus"+`":"TXN_FAILURE"`)), connector.ErrMalformed},
		{"twice deep down, signed", signed(t, saleHook(`,"x":[{"a":1,"a":2}]`)), connector.ErrMalformed},
		{"too deep, signed", signed(t, saleHook(`,"x":`+strings.Repeat("[", 40)+strings.Repeat("]", 40))), connector.ErrMalformed},
		{"a number for a text, signed", signed(t, strings.Replace(saleHook(""), `"25.00"`, `25.00`, 1)), connector.ErrMalformed},
		{"an odd order, signed", signed(t, strings.Replace(saleHook(""), saleID, "x/y", 1)), connector.ErrMalformed},
		{"no order, signed", signed(t, strings.Replace(saleHook(""), saleID, "", 1)), connector.ErrMalformed},
		{"something behind", genuine + "x", connector.ErrMalformed},
		{"two documents", genuine + genuine, connector.ErrMalformed},
		{"an array for a body", signed(t, `[]`), connector.ErrMalformed},
		{"null for a body", signed(t, `null`), connector.ErrMalformed},
		{"no body", `{"head":{"signature":"x"}}`, connector.ErrMalformed},
		{"an array", `[` + genuine + `]`, connector.ErrMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if news, err := over(t, nil).ReadNotification(jsonOf(test.body)); !errors.Is(err, test.want) || news != (connector.News{}) {
				t.Errorf("ReadNotification of %s = %+v, %v, want %v", test.body, news, err, test.want)
			}
		})
	}
}

func TestGETChangesNothing(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "HEAD", "PUT", ""} {
		n := posted(t, callback())
		n.Method = method
		if news, err := over(t, nil).ReadNotification(n); !errors.Is(err, connector.ErrMalformed) || news != (connector.News{}) {
			t.Errorf("%s: ReadNotification = %+v, %v, want ErrMalformed", method, news, err)
		}
	}
}

// FuzzReadNotification: no panic, and nothing that was not signed with the key is
// believed. A seed that is believed must say what it said before any change.
func FuzzReadNotification(f *testing.F) {
	seeds := []connector.Notification{
		posted(f, callback()), posted(f, arn()), jsonOf(signed(f, saleHook(""))), jsonOf(signed(f, refundHook(`,"status":"SUCCESS"`))),
		jsonOf(documentSigned(f, `"version":"v1"`, saleHook(""), true)), jsonOf(`{"head":{"signature":{"signature":""}},"body":{}}`), formOf("%"),
	}
	p := over(f, nil)
	believed := map[connector.News]bool{}
	for _, n := range seeds {
		f.Add(n.Method, n.Header.Get("Content-Type"), n.Body)
		if news, err := p.ReadNotification(n); err == nil {
			believed[news] = true
		}
	}
	if len(believed) != 5 {
		f.Fatalf("believed at first: %v", slices.Collect(maps.Keys(believed)))
	}
	f.Fuzz(func(t *testing.T, method, contentType string, body []byte) {
		n := connector.Notification{Method: method, Header: http.Header{"Content-Type": {contentType}}, Body: body}
		news, err := p.ReadNotification(n)
		switch {
		case err == nil && believed[news]:
		case err != nil && news == (connector.News{}) && (errors.Is(err, connector.ErrSignature) || errors.Is(err, connector.ErrMalformed)):
		default:
			t.Errorf("ReadNotification = %+v, %v", news, err)
		}
	})
}

func BenchmarkReadNotification(b *testing.B) {
	p := over(b, nil)
	n := jsonOf(signed(b, saleHook("")))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.ReadNotification(n); err != nil {
			b.Fatal(err)
		}
	}
}
