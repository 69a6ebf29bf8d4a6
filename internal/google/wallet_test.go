package google_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/google"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/pgp"
	"aorta/internal/project"
	"aorta/internal/store/storetest"
)

// house is what lies behind the door: wallets of a project, on some store.
type house struct {
	db    storetest.DB
	book  *book.Book
	flows *flow.Flows
	pr    project.Project
}

func newHouse(t testing.TB, db storetest.DB) *house {
	t.Helper()
	h := &house{db: db, pr: project.Project{ID: 200, MerchantID: 1, Wallet: true}}
	clock := func() time.Time { return now }
	b, err := book.New(t.Context(), []book.Home{{Store: db}}, book.Options{Now: clock, Random: rand.Reader, Epoch: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	h.book = b
	h.flows = flow.New(b, db, flow.Options{
		Projects:   func(int64) (project.Project, bool) { return h.pr, true },
		Connectors: func(string, string) (connector.Connector, bool) { return nil, false },
		NotifyURL:  func(string, string) string { return "" },
		Now:        clock,
		Vault:      fop.NewVault([32]byte{1}, rand.Reader),
		Integrations: func(name string) (flow.GoogleTerms, bool) {
			return flow.GoogleTerms{Project: h.pr, TokenTime: time.Hour, AsyncTime: time.Minute, Limits: []fop.Limit{{Currency: "INR", Transaction: 100_000_000}}}, true
		},
	})
	return h
}

// has gives a customer money.
func (h *house) has(t testing.TB, name string, minor int64) {
	t.Helper()
	m := flow.WalletMove{Project: h.pr, CustomerID: name, TxnID: "gift-" + name, Amount: money.Amount{Minor: minor, Currency: "INR"}}
	if _, err := h.flows.Credit(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// proves has a customer sign in for a redirect.
func (h *house) proves(t testing.TB, name, redirect string) {
	t.Helper()
	who := h.flows.CustomerOf(h.pr, name)
	_, err := book.Do(t.Context(), h.book, book.Act[struct{}]{Name: "test", Bucket: who.Bucket(), Decide: func(p *book.Page) (struct{}, error) {
		row := fop.Proof{ID: id.Proof(p.Mint()), Customer: who, Integration: "main", Name: redirect, State: fop.ProofProven, UntilUS: p.NowUS() + 1_000_000}
		key := h.book.RefKey(fop.ProofScope("main"), redirect)
		p.Refs.Get(key)
		p.Proofs.New(row)
		p.Refs.Put(payment.Ref{RefKey: key, Target: row.ID.Raw()})
		return struct{}{}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
}

const (
	theToken   = "R1BULWV4YW1wbGU"
	theAccount = "AORTA_MAIN_INR"
)

// body is a request: its header, then members.
func body(requestID, members string) string {
	return fmt.Sprintf(`{"requestHeader":{"requestId":%q,"requestTimestamp":"1705276860000","protocolVersion":{"major":1,"minor":0,"revision":0}},%s}`, requestID, members)
}

// said is an answer to a call, with its members as they came.
type said struct {
	Status  int
	Members map[string]any
}

func (s said) text(name string) string { v, _ := s.Members[name].(string); return v }

// do makes a call as Google.
func (w world) do(t testing.TB, method, plain string) said {
	t.Helper()
	recorder := httptest.NewRecorder()
	w.door.ServeHTTP(recorder, post("/gsp/main/v1/"+method, sealed(t, w.google, plain)))
	opened, err := w.google.Open(recorder.Body.Bytes(), now)
	if err != nil {
		t.Fatalf("%s: %d, and an answer that does not open: %v", method, recorder.Code, err)
	}
	out := said{Status: recorder.Code}
	if err := json.Unmarshal(opened.Plain, &out.Members); err != nil {
		t.Fatalf("%s: %s: %v", method, opened.Plain, err)
	}
	return out
}

// linkedWorld is a world in which ann, who has 10,000.00 rupees, has linked her wallet.
func linkedWorld(t testing.TB) world {
	t.Helper()
	w := newWorld(t)
	w.house.has(t, "ann", 1_000_000)
	w.house.proves(t, "ann", "rdr-77=")
	got := w.do(t, "associateAccount", body("asc-01", associateMembers))
	if got.Status != 200 || got.text("result") != "SUCCESS" {
		t.Fatalf("associateAccount: %+v", got)
	}
	return w
}

const associateMembers = `"googlePaymentToken":"` + theToken + `","associationId":"assoc_5f","provideUserInformation":true,"authenticationRequestId":"rdr-77="`

func captureMembers(amount string) string {
	return `"paymentIntegratorAccountId":"` + theAccount + `","googlePaymentToken":"` + theToken +
		`","transactionDescription":"Google - 500 gems","currencyCode":"INR","amount":"` + amount + `","captureContext":{}`
}

func refundMembers(capture, amount string) string {
	return `"paymentIntegratorAccountId":"` + theAccount + `","captureRequestId":"` + capture + `","currencyCode":"INR","refundAmount":"` + amount + `"`
}

// TestAWalletIsLinkedChargedAndGivenBack: the examples of section 11, over the wire.
func TestAWalletIsLinkedChargedAndGivenBack(t *testing.T) {
	t.Parallel()
	w := linkedWorld(t)
	link := w.do(t, "associateAccount", body("asc-01", associateMembers))
	account := w.house.flows.CustomerOf(w.house.pr, "ann").String()
	if link.text("accountId") != account || link.text("accountNickname") != "Wallet ***"+account[len(account)-4:] ||
		link.text("tokenExpirationTime") != google.Millis(now.Add(time.Hour)) || link.text("paymentIntegratorAssociateAccountId") == "" {
		t.Errorf("associateAccount, again: %+v", link)
	}
	bought := w.do(t, "capture", body("cap-01", captureMembers("499000000")))
	if bought.Status != 200 || bought.text("result") != "SUCCESS" || bought.text("paymentIntegratorTransactionId") == "" {
		t.Errorf("capture: %+v", bought)
	}
	// A repeat may write numbers otherwise, and its header; it is the same request.
	again := w.do(t, "capture", strings.NewReplacer(`"499000000"`, "499000000", `"minor":0`, `"minor":1`).Replace(body("cap-01", captureMembers("499000000"))))
	if again.text("paymentIntegratorTransactionId") != bought.text("paymentIntegratorTransactionId") || again.Status != 200 {
		t.Errorf("capture, again: %+v", again)
	}
	over := w.do(t, "capture", body("cap-02", captureMembers("1000000010000")))
	if raw, _ := over.Members["rawResult"].(map[string]any); over.text("result") != "CHARGE_EXCEEDS_TRANSACTION_LIMIT" || raw["rawCode"] != "1000000000000 INR" {
		t.Errorf("capture beyond the limit: %+v", over)
	}
	if poor := w.do(t, "capture", body("cap-03", captureMembers("99999000000"))); poor.Status != 200 || poor.text("result") != "INSUFFICIENT_FUNDS" {
		t.Errorf("capture beyond the balance: %+v", poor)
	}
	back := w.do(t, "refund", body("rfd-01", refundMembers("cap-01", "99000000")))
	if back.Status != 200 || back.text("result") != "SUCCESS" || back.text("paymentIntegratorRefundId") == "" {
		t.Errorf("refund: %+v", back)
	}
	w.house.proves(t, "ann", "rdr-78")
	fresh := w.do(t, "refreshToken", body("rfr-01", `"googlePaymentToken":"`+theToken+`","authenticationRequestId":"rdr-78"`))
	if fresh.Status != 200 || fresh.text("result") != "SUCCESS" || fresh.text("tokenExpirationTime") == "" || fresh.text("paymentIntegratorRefreshTokenId") == "" {
		t.Errorf("refreshToken: %+v", fresh)
	}
	if logged := w.log.String(); strings.Contains(logged, theToken) {
		t.Errorf("the token is in the log: %s", logged)
	}
}

// TestRefusedCalls: what is no 200 of these methods, and that it leaves nothing.
func TestRefusedCalls(t *testing.T) {
	t.Parallel()
	w := linkedWorld(t)
	w.do(t, "capture", body("cap-01", captureMembers("499000000")))
	capture := captureMembers("499000000")
	tests := []struct {
		name, method, plain string
		status              int
		code                google.Code
		field               string
	}{
		{"no token", "associateAccount", body("a1", strings.Replace(associateMembers, "googlePaymentToken", "x", 1)), 400, google.CodeMissing, "googlePaymentToken"},
		{"no associationId", "associateAccount", body("a1", strings.Replace(associateMembers, "associationId", "x", 1)), 400, google.CodeMissing, "associationId"},
		{"no proof", "associateAccount", body("a1", strings.Replace(associateMembers, "authenticationRequestId", "x", 1)), 400, google.CodeMissing, "authenticationRequestId"},
		{"both proofs", "associateAccount", body("a1", associateMembers+`,"otpVerification":{"sendOtpRequestId":"o","otp":"1"}`), 400, google.CodeFieldValue, "otpVerification"},
		{"a text for an object", "associateAccount", body("a1", strings.Replace(associateMembers, `"authenticationRequestId":"rdr-77="`, `"otpVerification":"1"`, 1)), 400, google.CodeDecrypted, "otpVerification"},
		{"no code", "associateAccount", body("a1", strings.Replace(associateMembers, `"authenticationRequestId":"rdr-77="`, `"otpVerification":{"sendOtpRequestId":"o"}`, 1)), 400, google.CodeMissing, "otpVerification.otp"},
		{"a code that was not asked for", "associateAccount", body("a1", strings.NewReplacer(`"authenticationRequestId":"rdr-77="`, `"otpVerification":{"sendOtpRequestId":"o","otp":"1"}`, theToken, "t2", "assoc_5f", "a2").Replace(associateMembers)), 404, google.CodeIdentifier, "sendOtpRequestId"},
		{"a proof that was used", "associateAccount", body("a1", strings.NewReplacer(theToken, "t2", "assoc_5f", "a2").Replace(associateMembers)), 404, google.CodeIdentifier, "authenticationRequestId"},
		{"a token that is taken", "associateAccount", body("a1", associateMembers), 412, google.CodeIdempotency, "googlePaymentToken"},
		{"another request of the name", "associateAccount", body("asc-01", strings.Replace(associateMembers, "true", "false", 1)), 412, google.CodeIdempotency, "requestId"},
		{"no flag", "associateAccount", body("a1", strings.Replace(associateMembers, "true", `"yes"`, 1)), 400, google.CodeDecrypted, "provideUserInformation"},
		{"an unknown token", "refreshToken", body("f1", `"googlePaymentToken":"x","authenticationRequestId":"rdr-78"`), 404, google.CodeIdentifier, "googlePaymentToken"},
		{"no account", "capture", body("c1", strings.Replace(capture, "paymentIntegratorAccountId", "x", 1)), 400, google.CodeMissing, "paymentIntegratorAccountId"},
		{"somebody else's account", "capture", body("c1", strings.Replace(capture, theAccount, "AORTA_OTHER_INR", 1)), 404, google.CodeIdentifier, "paymentIntegratorAccountId"},
		{"an unknown token", "capture", body("c1", strings.Replace(capture, theToken, "x", 1)), 404, google.CodeIdentifier, "googlePaymentToken"},
		{"a part of a paisa", "capture", body("c1", captureMembers("499001000")), 400, google.CodeFieldValue, "amount"},
		{"nothing", "capture", body("c1", captureMembers("0")), 400, google.CodeFieldValue, "amount"},
		{"less than nothing", "capture", body("c1", captureMembers("-499000000")), 400, google.CodeFieldValue, "amount"},
		{"no currency", "capture", body("c1", strings.Replace(capture, "INR\",\"amount", "XXQ\",\"amount", 1)), 400, google.CodeFieldValue, "currencyCode"},
		{"no description", "capture", body("c1", strings.Replace(capture, "transactionDescription", "x", 1)), 400, google.CodeMissing, "transactionDescription"},
		{"a long description", "capture", body("c1", strings.Replace(capture, "Google - 500 gems", strings.Repeat("x", 1001), 1)), 400, google.CodeFieldValue, "transactionDescription"},
		{"no context", "capture", body("c1", strings.Replace(capture, "captureContext", "x", 1)), 400, google.CodeMissing, "captureContext"},
		{"a mandate", "capture", body("c1", strings.Replace(capture, `"googlePaymentToken":"`+theToken+`"`, `"mandateDetails":{}`, 1)), 400, google.CodeFieldValue, "mandateDetails"},
		{"another request of the name", "capture", body("cap-01", captureMembers("498000000")), 412, google.CodeIdempotency, "requestId"},
		{"an unknown capture", "refund", body("r1", refundMembers("cap-99", "1000000")), 404, google.CodeIdentifier, "captureRequestId"},
		{"more than it took", "refund", body("r1", refundMembers("cap-01", "499010000")), 400, google.CodePrecondition, "refundAmount"},
		{"another currency", "refund", body("r1", strings.Replace(refundMembers("cap-01", "1000000"), "INR\",\"refund", "USD\",\"refund", 1)), 400, google.CodeFieldValue, "currencyCode"},
	}
	for _, test := range tests {
		t.Run(test.method+"/"+test.name, func(t *testing.T) {
			got := w.do(t, test.method, test.plain)
			if got.Status != test.status || got.text("errorResponseCode") != string(test.code) || !strings.Contains(got.text("errorDescription"), test.field) {
				t.Errorf("%d %s %q, want %d %s about %s", got.Status, got.text("errorResponseCode"), got.text("errorDescription"), test.status, test.code, test.field)
			}
		})
	}
	calls, err := w.house.db.ScanCalls(t.Context(), id.Call{}, 100)
	if err != nil || len(calls) != 2 {
		t.Errorf("%d calls were kept, %v, want the link and the one capture", len(calls), err)
	}
	if logged := w.log.String(); strings.Contains(logged, theToken) || strings.Contains(logged, "gems") {
		t.Errorf("the log has something of a request: %s", logged)
	}
}

// TestAPurchaseWaits: the example of section 11, and that nothing was taken.
func TestAPurchaseWaits(t *testing.T) {
	t.Parallel()
	w := linkedWorld(t)
	const members = `"paymentIntegratorAccountId":"` + theAccount + `","tokenizedInstrumentDetails":{"googlePaymentToken":"` + theToken +
		`"},"transactionDescription":"Google - film","currencyCode":"INR","amount":"199000000"`
	plain := strings.Replace(body("cap-02", members), `"minor":0`, `"minor":1`, 1)
	got := w.do(t, "asynchronousCapture", plain)
	if got.Status != 200 || got.text("result") != "ACKNOWLEDGED" || got.text("paymentIntegratorTransactionId") == "" {
		t.Errorf("asynchronousCapture: %+v", got)
	}
	if again := w.do(t, "asynchronousCapture", plain); again.text("paymentIntegratorTransactionId") != got.text("paymentIntegratorTransactionId") {
		t.Errorf("again: %+v", again)
	}
	for name, x := range map[string]struct {
		members string
		status  int
		code    google.Code
	}{
		"UPI":         {strings.Replace(members, "tokenizedInstrumentDetails", "upiDetails", 1), 400, google.CodeFieldValue},
		"no payer":    {strings.Replace(members, "tokenizedInstrumentDetails", "x", 1), 400, google.CodeMissing},
		"a text":      {strings.Replace(members, `{"googlePaymentToken":"`+theToken+`"}`, `"x"`, 1), 400, google.CodeDecrypted},
		"no token":    {strings.Replace(members, "googlePaymentToken", "x", 1), 400, google.CodeMissing},
		"one unknown": {strings.Replace(members, theToken, "x", 1), 404, google.CodeIdentifier},
	} {
		if got := w.do(t, "asynchronousCapture", body("cap-03", x.members)); got.Status != x.status || got.text("errorResponseCode") != string(x.code) {
			t.Errorf("%s: %+v, want %d %s", name, got, x.status, x.code)
		}
	}
	if got := w.do(t, "refund", body("rfd-01", refundMembers("cap-02", "1000000"))); got.Status != 400 || got.text("errorResponseCode") != string(google.CodePrecondition) {
		t.Errorf("a refund while it waits: %+v", got)
	}
}

// BenchmarkCapture is a purchase over HTTP on one machine, on SQLite's file, beside its
// cryptography alone: opening the request and sealing the answer. Processor time is of
// the caller, too, and tells the same ratio where other work slows both.
func BenchmarkCapture(b *testing.B) {
	ours, theirs := key(b, "integrator-secret.asc"), key(b, "google-side-secret.asc")
	us, peer := ring(b, ours, theirs), ring(b, theirs, ours)
	h := newHouse(b, storetest.SQLite(b))
	h.has(b, "ann", 1<<50)
	h.proves(b, "ann", "rdr-77=")
	door := google.New(google.Options{
		Integrations: []google.Hosted{{Integration: integration("main"), Ring: func() *pgp.Ring { return us }}},
		Wallets:      h.flows, Now: func() time.Time { return now }, Random: rand.Reader, InFlight: 1024,
	})
	server := httptest.NewServer(door)
	b.Cleanup(server.Close)
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	b.Cleanup(transport.CloseIdleConnections)
	send := func(method string, text []byte) {
		r, err := http.NewRequest(http.MethodPost, server.URL+"/gsp/main/v1/"+method, bytes.NewReader(text))
		if err != nil {
			b.Error(err)
			return
		}
		r.Header.Set("Content-Type", google.ContentType)
		resp, err := transport.RoundTrip(r)
		if err != nil {
			b.Error(err)
			return
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			b.Errorf("%d, %v", resp.StatusCode, err)
		}
		resp.Body.Close()
	}
	send("associateAccount", sealed(b, peer, body("asc-01", associateMembers)))
	answer := []byte(`{"responseHeader":{"responseTimestamp":"1705276860250"},"paymentIntegratorTransactionId":"gpc_01hm5d1q5t000000000000000a","result":"SUCCESS"}`)
	var names atomic.Int64
	call := func(text []byte) { send("capture", text) }
	for _, load := range []struct {
		name    string
		callers int // for each processor: acts of many are committed together
		do      func(text []byte)
	}{
		{"call", 128, call},
		{"crypto", 128, func(text []byte) {
			if _, err := us.Open(text, now); err != nil {
				b.Error(err)
			}
			if _, err := us.Seal(answer, now, pgp.Form{}); err != nil {
				b.Error(err)
			}
		}},
		{"call by few", 4, call},
	} {
		b.Run(load.name, func(b *testing.B) {
			// Google's own cryptography is no part of it: requests are sealed before.
			texts := make([][]byte, b.N)
			for n := range texts {
				texts[n] = sealed(b, peer, body(fmt.Sprint("cap-", names.Add(1)), captureMembers("10000")))
			}
			var next atomic.Int64
			took := make([]time.Duration, b.N)
			b.SetParallelism(load.callers)
			b.ReportAllocs()
			b.ResetTimer()
			began, used := time.Now(), processorTime(b)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					n, asked := next.Add(1)-1, time.Now()
					load.do(texts[n])
					took[n] = time.Since(asked)
				}
			})
			b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "calls/s")
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(float64((processorTime(b)-used).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
