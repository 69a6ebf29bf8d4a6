package google_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector/exchange"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/google"
	"aorta/internal/pgp"
	"aorta/internal/project"
	"aorta/internal/sandbox/fault"
	simulator "aorta/internal/sandbox/sms"
	"aorta/internal/sms"
	"aorta/internal/sms/twilio"
)

// codeWorld is a door behind which codes leave by the sandbox's gateway.
type codeWorld struct {
	world
	phones string // where the simulator listens
	faults *fault.Queue
}

// annsNumber is that of the vectors, sandyNumber that of section 11.
const (
	annsNumber   = "+918067218010"
	sandysNumber = "+919800000001"
)

func newCodeWorld(t *testing.T) codeWorld {
	t.Helper()
	w := codeWorld{faults: &fault.Queue{}}
	clock := func() time.Time { return now }
	sim, err := simulator.New([]simulator.Account{{SID: "AC0", Key: "a key of the account"}}, clock, simulator.Options{Prefix: "/sms", Faults: w.faults})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim)
	t.Cleanup(func() { sim.Close(); server.Close() })
	w.phones = server.URL + "/sms"
	gateway, err := twilio.New(twilio.Config{
		BaseURL: w.phones, Account: "AC0", Key: exchange.NewSecret("a key of the account"), Sender: "AORTA", Transport: &http.Transport{DisableKeepAlives: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := sms.NewText(sms.DefaultText)
	if err != nil {
		t.Fatal(err)
	}
	memory := book.NewMemory()
	b, err := book.New(t.Context(), []book.Home{{Store: memory}}, book.Options{Now: clock, Random: rand.Reader, Epoch: 1, Work: func([]due.Due) {}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	w.log = &bytes.Buffer{}
	log := slog.New(slog.NewJSONHandler(w.log, nil))
	pr := project.Project{ID: 200, MerchantID: 1, Wallet: true}
	flows := flow.New(b, memory, flow.Options{
		Now: clock, Log: log, Vault: fop.NewVault([32]byte{1}, rand.Reader), Codes: flow.Codes{Sender: gateway, Text: text},
		Integrations: func(string) (flow.GoogleTerms, bool) {
			return flow.GoogleTerms{Project: pr, CodeTime: google.DefaultCodeTime}, true
		},
	})
	for name, number := range map[string]string{"ann": annsNumber, "sandy": sandysNumber} {
		phone, err := customer.ParsePhone(number)
		if err == nil {
			err = flows.SetContact(t.Context(), flow.CustomerChange{Project: pr, CustomerID: name, By: flow.Player(pr)}, phone)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ours, theirs := key(t, "integrator-secret.asc"), key(t, "google-side-secret.asc")
	us := ring(t, ours, theirs)
	w.google = ring(t, theirs, ours)
	w.door = google.New(google.Options{
		Integrations: []google.Hosted{{Integration: integration("main"), Ring: func() *pgp.Ring { return us }}},
		Now:          clock, Random: rand.Reader, Log: log, Wallets: flows,
	})
	return w
}

// call sends a request and gives what came back, without its time.
func (w codeWorld) call(t *testing.T, method, plain string) (status int, members map[string]any) {
	t.Helper()
	recorder := httptest.NewRecorder()
	w.door.ServeHTTP(recorder, post("/gsp/main/v1/"+method, sealed(t, w.google, plain)))
	opened, err := w.google.Open(recorder.Body.Bytes(), now)
	if err != nil {
		t.Fatalf("%s: %d, %v", method, recorder.Code, err)
	}
	if err := json.Unmarshal(opened.Plain, &members); err != nil {
		t.Fatal(err)
	}
	delete(members, "responseHeader")
	return recorder.Code, members
}

// inbox gives the newest message of a phone, and how often the gateway was asked for any.
func (w codeWorld) inbox(t *testing.T, number string) (text string, asked int) {
	t.Helper()
	resp, err := http.Get(w.phones + "/inbox?to=" + number)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var said struct {
		Messages []struct{ Text string }
		Asked    int
	}
	if err := json.NewDecoder(resp.Body).Decode(&said); err != nil {
		t.Fatal(err)
	}
	if len(said.Messages) > 0 {
		text = said.Messages[0].Text
	}
	return text, said.Asked
}

var code = regexp.MustCompile(`\b\d{6}\b`)

func vectorOf(t *testing.T, name string) vector {
	t.Helper()
	for _, v := range vectors(t) {
		if v.ID == name {
			return v
		}
	}
	t.Fatalf("there is no vector %s", name)
	return vector{}
}

// fresh gives a printed request the time of now.
func fresh(text string) string {
	return regexp.MustCompile(`"requestTimestamp": *"\d+"`).ReplaceAllString(text, `"requestTimestamp":"`+google.Millis(now)+`"`)
}

// TestCodeVectors: sendOtp and verifyOtp as Google's pages print them, down to the phone;
// both under one requestId, as they are printed.
func TestCodeVectors(t *testing.T) {
	t.Parallel()
	w := newCodeWorld(t)
	send := fresh(string(vectorOf(t, "sendOtp").Request))
	status, said := w.call(t, "sendOtp", send)
	if status != 200 || said["result"] != "SUCCESS" || said["paymentIntegratorSendOtpId"] == "" || len(said) != 2 {
		t.Fatalf("sendOtp = %d %v", status, said)
	}
	text, asked := w.inbox(t, annsNumber)
	digits := code.FindString(text)
	if !strings.Contains(text, "AB12345678C") || digits == "" || asked != 1 {
		t.Fatalf("the phone has %q, of %d", text, asked)
	}
	if again, repeat := w.call(t, "sendOtp", strings.Replace(send, `"minor": 0`, `"minor": 1`, 1)); again != 200 || repeat["paymentIntegratorSendOtpId"] != said["paymentIntegratorSendOtpId"] {
		t.Errorf("a repeat = %d %v, first %v", again, repeat, said)
	}
	if _, asked := w.inbox(t, annsNumber); asked != 1 {
		t.Errorf("the gateway was asked %d times", asked)
	}
	verify := fresh(string(vectorOf(t, "verifyOtp").Request))
	if status, said := w.call(t, "verifyOtp", strings.Replace(verify, "7754321", digits, 1)); status != 200 || said["result"] != "SUCCESS" || said["paymentIntegratorVerifyOtpId"] == "" || len(said) != 2 {
		t.Errorf("verifyOtp = %d %v", status, said)
	}
	if status, said := w.call(t, "verifyOtp", verify); status != 412 || said["errorResponseCode"] != "IDEMPOTENCY_VIOLATION" {
		t.Errorf("another guess under the same requestId = %d %v", status, said)
	}
	for _, secret := range []string{digits, annsNumber[1:], "AB12345678C", "7754321"} {
		if strings.Contains(w.log.String(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

// TestMatchingToken: the vector's token is in the message, by itself, and what is no
// token is refused before anything is sent.
func TestMatchingToken(t *testing.T) {
	t.Parallel()
	w := newCodeWorld(t)
	v := vectorOf(t, "sms-match-token")
	if len(v.SMSMatchingToken) != v.Length || v.Length != sms.TokenLength || !sms.IsToken(v.SMSMatchingToken) {
		t.Fatalf("the vector has %q of %d", v.SMSMatchingToken, v.Length)
	}
	request := func(name, token string) string { return otp(name, `"accountPhoneNumber":"`+annsNumber+`",`, token) }
	if status, said := w.call(t, "sendOtp", request("m1", v.SMSMatchingToken)); status != 200 || said["result"] != "SUCCESS" {
		t.Fatalf("sendOtp = %d %v", status, said)
	}
	text, _ := w.inbox(t, annsNumber)
	if !strings.HasPrefix(text, v.SMSMatchingToken+"\n") && !strings.HasSuffix(text, "\n"+v.SMSMatchingToken) {
		t.Errorf("the message does not have the token before or after its text: %q", text)
	}
	for _, bad := range []string{v.SMSMatchingToken[1:], v.SMSMatchingToken + "0", "http://x.yz", "0123456789 "} {
		if status, said := w.call(t, "sendOtp", request("bad", bad)); status != 400 || said["errorResponseCode"] != "INVALID_FIELD_VALUE" {
			t.Errorf("token %q = %d %v", bad, status, said)
		}
	}
	if _, asked := w.inbox(t, annsNumber); asked != 1 {
		t.Errorf("the gateway was asked %d times", asked)
	}
}

// otp is a sendOtp of section 11 for a number or a link.
func otp(name, whom, token string) string {
	return `{"requestHeader":{"requestId":"` + name + `","requestTimestamp":"` + google.Millis(now) + `","protocolVersion":{"major":1,"minor":0,"revision":0}},` +
		whom + `"smsMatchingToken":"` + token + `","otpContext":{"association":{}}}`
}

func guess(name, of, digits string) string {
	return `{"requestHeader":{"requestId":"` + name + `","requestTimestamp":"` + google.Millis(now) + `","protocolVersion":{"major":1,"minor":0,"revision":0}},` +
		`"sendOtpRequestId":"` + of + `","otp":"` + digits + `"}`
}

// TestCodeExamples: section 11, and a link made by the code.
func TestCodeExamples(t *testing.T) {
	t.Parallel()
	w := newCodeWorld(t)
	if status, said := w.call(t, "sendOtp", otp("otp-01", `"accountPhoneNumber":"`+sandysNumber+`",`, "Q7w8E9r0T1y")); status != 200 || said["result"] != "SUCCESS" {
		t.Fatalf("sendOtp = %d %v", status, said)
	}
	text, _ := w.inbox(t, sandysNumber)
	digits := code.FindString(text)
	wrong := "204815"
	if wrong == digits {
		wrong = "204816"
	}
	if status, said := w.call(t, "verifyOtp", guess("otv-01", "otp-01", wrong)); status != 200 || said["result"] != "OTP_NOT_MATCHED" {
		t.Errorf("verifyOtp = %d %v", status, said)
	}
	link := strings.Replace(guess("asc-02", "otp-01", digits), `"sendOtpRequestId"`, `"googlePaymentToken":"R1BULXR3bw","associationId":"assoc_60","otpVerification":{"sendOtpRequestId"`, 1) + "}"
	if status, said := w.call(t, "associateAccount", link); status != 200 || said["result"] != "SUCCESS" || said["accountId"] == nil {
		t.Fatalf("associateAccount = %d %v", status, said)
	}
	if status, said := w.call(t, "verifyOtp", guess("otv-02", "otp-01", digits)); status != 200 || said["result"] != "OTP_ALREADY_USED" {
		t.Errorf("verifyOtp after it was used = %d %v", status, said)
	}
	if status, said := w.call(t, "sendOtp", otp("otp-02", `"associationId":"assoc_60",`, "Q7w8E9r0T1y")); status != 200 || said["result"] != "SUCCESS" {
		t.Errorf("sendOtp of the link = %d %v", status, said)
	}
	if again, asked := w.inbox(t, sandysNumber); asked != 2 || code.FindString(again) == "" {
		t.Errorf("the phone has %q, of %d", again, asked)
	}
}

// TestCodeRefusals: each row of the tables of docs/google.md that is no success.
func TestCodeRefusals(t *testing.T) {
	t.Parallel()
	phone := `"accountPhoneNumber":"` + annsNumber + `",`
	tests := []struct {
		name, method, plain string
		next                fault.Behaviour
		status              int
		result, code        string
	}{
		{name: "nobody's number", method: "sendOtp", plain: otp("x", `"accountPhoneNumber":"+919800000009",`, "Q7w8E9r0T1y"), status: 200, result: "INVALID_PHONE_NUMBER"},
		{name: "no number", method: "sendOtp", plain: otp("x", `"accountPhoneNumber":"call me",`, "Q7w8E9r0T1y"), status: 200, result: "INVALID_PHONE_NUMBER"},
		{name: "the gateway refuses", method: "sendOtp", plain: otp("x", phone, "Q7w8E9r0T1y"), next: fault.Decline, status: 200, result: "MESSAGE_UNABLE_TO_BE_SENT"},
		{name: "the gateway does not take it", method: "sendOtp", plain: otp("x", phone, "Q7w8E9r0T1y"), next: fault.HTTP429, status: 503},
		{name: "nobody knows", method: "sendOtp", plain: otp("x", phone, "Q7w8E9r0T1y"), next: fault.HTTP500, status: 200, result: "SUCCESS"},
		{name: "unknown link", method: "sendOtp", plain: otp("x", `"associationId":"assoc_0",`, "Q7w8E9r0T1y"), status: 404, code: "INVALID_IDENTIFIER"},
		{name: "both", method: "sendOtp", plain: otp("x", phone+`"associationId":"assoc_0",`, "Q7w8E9r0T1y"), status: 400, code: "INVALID_FIELD_VALUE"},
		{name: "neither", method: "sendOtp", plain: otp("x", "", "Q7w8E9r0T1y"), status: 400, code: "MISSING_REQUIRED_FIELD"},
		{name: "number of another type", method: "sendOtp", plain: otp("x", `"accountPhoneNumber":918067218010,`, "Q7w8E9r0T1y"), status: 400, code: "INVALID_DECRYPTED_REQUEST"},
		{name: "no token", method: "sendOtp", plain: otp("x", phone, ""), status: 400, code: "MISSING_REQUIRED_FIELD"},
		{name: "no context", method: "sendOtp", plain: strings.Replace(otp("x", phone, "Q7w8E9r0T1y"), "otpContext", "other", 1), status: 400, code: "MISSING_REQUIRED_FIELD"},
		{name: "context is a text", method: "sendOtp", plain: strings.Replace(otp("x", phone, "Q7w8E9r0T1y"), `{"association":{}}`, `"association"`, 1), status: 400, code: "INVALID_DECRYPTED_REQUEST"},
		{name: "a mandate", method: "sendOtp", plain: strings.Replace(otp("x", phone, "Q7w8E9r0T1y"), "association", "mandateCreation", 1), status: 400, code: "INVALID_FIELD_VALUE"},
		{name: "never sent", method: "verifyOtp", plain: guess("x", "nothing", "123456"), status: 404, code: "INVALID_IDENTIFIER"},
		{name: "no guess", method: "verifyOtp", plain: guess("x", "nothing", ""), status: 400, code: "MISSING_REQUIRED_FIELD"},
		{name: "a number for a guess", method: "verifyOtp", plain: strings.Replace(guess("x", "nothing", "1"), `"1"`, "1", 1), status: 400, code: "INVALID_DECRYPTED_REQUEST"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newCodeWorld(t)
			if test.next != "" {
				if err := w.faults.Add(fault.Rule{Next: test.next, Left: 1}); err != nil {
					t.Fatal(err)
				}
			}
			status, said := w.call(t, test.method, test.plain)
			result, _ := said["result"].(string)
			code, _ := said["errorResponseCode"].(string)
			if status != test.status || result != test.result || code != test.code {
				t.Errorf("= %d %v, want %d %s%s", status, said, test.status, test.result, test.code)
			}
			if test.status == 503 { // so it may come again, and be done
				if status, said := w.call(t, test.method, test.plain); status != 200 || said["result"] != "SUCCESS" {
					t.Errorf("again = %d %v", status, said)
				}
			}
			if strings.Contains(w.log.String(), annsNumber[1:]) || strings.Contains(w.log.String(), "Q7w8E9r0T1y") {
				t.Errorf("the log tells: %s", w.log)
			}
		})
	}
}
