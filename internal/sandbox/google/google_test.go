package google_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/sandbox/google"
	"aorta/internal/sandbox/gpg"
)

// side is a small integrator, whose cryptography is gpg's as well: what it answers
// each test says.
type side struct {
	t      *testing.T
	ring   *gpg.Keyring
	own    string // its key
	google string // Google's
	peer   *google.Peer
	url    string // of Google
	server *httptest.Server

	mu      sync.Mutex
	asked   []map[string]any // bodies, in order
	answers func(method string, body map[string]any) (status int, members map[string]any)
}

const account = "SHOP_INR"

// begin starts a Google and an integrator that have each other's keys.
func begin(t *testing.T, change func(*google.Options)) *side {
	t.Helper()
	dir, err := os.MkdirTemp("", "gpg") // t.TempDir's paths are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	keys, err := google.OpenKeys(t.Context(), filepath.Join(dir, "g"))
	if errors.Is(err, google.ErrNoGPG) && os.Getenv("AORTA_TEST_ALL") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &side{t: t}
	if s.ring, err = gpg.New(filepath.Join(dir, "i")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(keys.Close(), s.ring.Close()); err != nil {
			t.Error(err)
		}
	})
	s.google = keys.Fingerprint()
	if s.own, err = s.ring.Generate(t.Context(), "integrator", 2048, "1y"); err != nil {
		t.Fatal(err)
	}
	ours, err := s.ring.Export(t.Context(), s.own)
	if err == nil {
		err = keys.Take(t.Context(), ours, s.own)
	}
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := keys.Public(t.Context())
	if err == nil {
		err = s.ring.Import(t.Context(), theirs)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.server = httptest.NewServer(http.HandlerFunc(s.hear))
	t.Cleanup(s.server.Close)
	var front *httptest.Server
	opts := google.Options{
		Keys: keys, Rand: random{}, Own: func() string { return front.URL },
		Integrator: google.Integrator{Account: account, Methods: s.server.URL + "/v1", Page: s.server.URL + "/page"},
	}
	if change != nil {
		change(&opts)
	}
	if s.peer, err = google.New(time.Now, opts); err != nil {
		t.Fatal(err)
	}
	front = httptest.NewServer(s.peer)
	t.Cleanup(front.Close)
	t.Cleanup(s.peer.Close)
	s.url = front.URL
	return s
}

// random counts: names are different, and that is all that they must be here.
type random struct{}

var counted struct {
	sync.Mutex
	n uint64
}

func (random) Read(b []byte) (int, error) {
	counted.Lock()
	defer counted.Unlock()
	counted.n++
	for i := range b {
		b[i] = byte(counted.n >> (8 * (i % 8)))
	}
	return len(b), nil
}

// hear is the integrator's methods.
func (s *side) hear(w http.ResponseWriter, r *http.Request) {
	text, _ := io.ReadAll(r.Body)
	raw, err := base64.URLEncoding.DecodeString(string(text))
	if err != nil {
		s.t.Errorf("Google sends %q: %v", text, err)
	}
	opened, err := s.ring.Open(r.Context(), raw)
	if err != nil || !slices.Contains(opened.Signers, s.google) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var body map[string]any
	if err := json.Unmarshal(opened.Plain, &body); err != nil {
		s.t.Errorf("Google sends %s: %v", opened.Plain, err)
	}
	s.mu.Lock()
	s.asked = append(s.asked, body)
	answers := s.answers
	s.mu.Unlock()
	status, members := answers(strings.TrimPrefix(r.URL.Path, "/v1/"), body)
	if status == 0 {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/octet-stream; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, s.seal(members))
}

// seal writes an answer of the integrator's, or a request.
func (s *side) seal(members map[string]any) string {
	if _, isRequest := members["requestHeader"]; !isRequest {
		members["responseHeader"] = map[string]any{"responseTimestamp": fmt.Sprint(time.Now().UnixMilli())}
	}
	return s.sealText(members, gpg.Message{Signers: []string{s.own}, Recipients: []string{s.google}})
}

func (s *side) sealText(members any, m gpg.Message) string {
	text, isText := members.(string)
	if !isText {
		plain, err := json.Marshal(members)
		if err != nil {
			s.t.Error(err)
		}
		text = string(plain)
	}
	raw, err := s.ring.Seal(context.WithoutCancel(s.t.Context()), []byte(text), m)
	if err != nil {
		s.t.Error(err)
	}
	return base64.URLEncoding.EncodeToString(raw)
}

// say has the integrator answer in one way.
func (s *side) say(answers func(method string, body map[string]any) (int, map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = answers
}

// good answers as an integrator whose every customer has money.
func good(method string, body map[string]any) (int, map[string]any) {
	switch method {
	case "associateAccount":
		return 200, map[string]any{"result": "SUCCESS", "accountId": "AC-1", "accountNickname": "Wallet ***1", "tokenExpirationTime": "0"}
	case "capture":
		return 200, map[string]any{"result": "SUCCESS", "paymentIntegratorTransactionId": "tx_" + body["requestHeader"].(map[string]any)["requestId"].(string)}
	case "asynchronousCapture":
		return 200, map[string]any{"result": "ACKNOWLEDGED", "paymentIntegratorTransactionId": "tx_async"}
	case "remittanceStatementNotification":
		return 200, map[string]any{"result": "ACCEPTED"}
	}
	return 200, map[string]any{"result": "SUCCESS"}
}

// press presses a button, and gives where it leads.
func (s *side) press(path string, form url.Values) (to *url.URL) {
	s.t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.PostForm(s.url+path, form)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if to, err = resp.Location(); err != nil || resp.StatusCode != http.StatusSeeOther {
		s.t.Fatalf("%s: %d, %v", path, resp.StatusCode, err)
	}
	return to
}

// says presses a button, and gives what it says.
func (s *side) says(path string, form url.Values) string {
	s.t.Helper()
	return s.press(path, form).Query().Get("says")
}

// remembered is what the control door shows.
type remembered struct {
	Instruments []struct {
		AssociationID string `json:"association_id"`
		GPT           string
		State, Code   string
		AccountID     string `json:"account_id"`
		Proof         string
		Steps         []struct {
			AtMS int64 `json:"at_ms"`
		}
	}
	Purchases  []struct{ ID, State, Code, Theirs string }
	Refunds    []struct{ ID, State, Code string }
	Statements []struct {
		ID, State string
		Total     int64
		Read      int
		Lines     []struct{ ID string }
	}
}

func (s *side) remembers() (r remembered) {
	s.t.Helper()
	resp, err := http.Get(s.url + "/google/control")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil {
		s.t.Fatal(err)
	}
	return r
}

// redirected plays the integrator's page: it opens what Google says, and leads back.
func (s *side) redirected(to *url.URL, result string, outcome map[string]any) (says string) {
	s.t.Helper()
	q := to.Query()
	raw, err := base64.URLEncoding.DecodeString(q.Get("gspAuthenticationRequest"))
	if err != nil {
		s.t.Fatalf("%s: %v", to, err)
	}
	opened, err := s.ring.Open(s.t.Context(), raw)
	if err != nil {
		s.t.Fatal(err)
	}
	var request map[string]any
	if err := json.Unmarshal(opened.Plain, &request); err != nil || request["associationId"] != nil && request["associationId"] != q.Get("gspAssociationId") {
		s.t.Fatalf("%s: %v", opened.Plain, err)
	}
	for name, v := range outcome {
		request[name] = v
	}
	back, err := url.Parse(q.Get("gspCallbackUrl"))
	if err != nil {
		s.t.Fatal(err)
	}
	query := back.Query()
	query.Set("gspResult", result)
	query.Set("gspAuthenticationResponse", s.sealText(request, gpg.Message{Signers: []string{s.own}, Recipients: []string{s.google}}))
	back.RawQuery = query.Encode()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(back.String())
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	led, err := resp.Location()
	if err != nil {
		s.t.Fatal(err)
	}
	return led.Query().Get("says")
}

func outcome(word string) map[string]any {
	return map[string]any{"authenticationResult": map[string]any{word: map[string]any{}}}
}

// link links a wallet, and gives its associationId.
func (s *side) link() string {
	s.t.Helper()
	s.say(good)
	if says := s.redirected(s.press("/google/link", url.Values{"user": {"sally"}}), "100", outcome("success")); says != "Linked: Wallet ***1." {
		s.t.Fatalf("linking says %q", says)
	}
	all := s.remembers().Instruments
	return all[len(all)-1].AssociationID
}

// TestLinkByRedirect: the eight steps; and that nothing is believed of an address
// but what is signed in it, and fits.
func TestLinkByRedirect(t *testing.T) {
	t.Parallel()
	s := begin(t, nil)
	s.link()
	i := s.remembers().Instruments[0]
	if i.State != "active" || i.AccountID != "AC-1" || len(i.GPT) > 12 || slices.ContainsFunc(i.Steps, func(s struct {
		AtMS int64 `json:"at_ms"`
	},
	) bool {
		return s.AtMS == 0
	}) {
		t.Errorf("linked %+v", i)
	}
	s.mu.Lock()
	asked := s.asked[0]
	s.mu.Unlock()
	if asked["authenticationRequestId"] != i.Proof || asked["associationId"] != i.AssociationID || len(asked["googlePaymentToken"].(string)) < 32 {
		t.Errorf("Google asks %v", asked)
	}
	for _, tt := range []struct {
		name, result string
		outcome      map[string]any
		says, state  string
	}{
		{"cancelled", "201", outcome("cancelled"), "You have cancelled at Aorta.", "refused"},
		{"fatal", "202", outcome("fatalError"), "Aorta could not say who you are.", "refused"},
		{"a result that its blob does not bear out", "100", outcome("cancelled"), "cannot be believed", "pending"},
		{"another request's blob", "100", map[string]any{"requestId": "rdr-OTHER", "authenticationResult": map[string]any{"success": map[string]any{}}}, "cannot be believed", "pending"},
		{"another association", "100", map[string]any{"associationId": "assoc_x", "authenticationResult": map[string]any{"success": map[string]any{}}}, "cannot be believed", "pending"},
		{"a result of no meaning", "300", outcome("success"), "cannot be believed", "pending"},
	} {
		if says := s.redirected(s.press("/google/link", url.Values{"user": {"ravi"}}), tt.result, tt.outcome); !strings.Contains(says, tt.says) {
			t.Errorf("%s says %q", tt.name, says)
		}
		all := s.remembers().Instruments
		if got := all[len(all)-1]; got.State != tt.state {
			t.Errorf("%s leaves it %s", tt.name, got.State)
		}
	}
	// A user who comes back twice is linked once.
	to := s.press("/google/link", url.Values{"user": {"ravi"}})
	s.mu.Lock()
	before := len(s.asked)
	s.mu.Unlock()
	for range 2 {
		if says := s.redirected(to, "100", outcome("success")); says != "Linked: Wallet ***1." {
			t.Errorf("coming back says %q", says)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) != before+1 {
		t.Errorf("associateAccount was called %d times", len(s.asked)-before)
	}
}

// TestLinkByOTP: a wrong code may be followed by another, under another requestId
// and with another token.
func TestLinkByOTP(t *testing.T) {
	t.Parallel()
	s := begin(t, nil)
	s.say(func(method string, body map[string]any) (int, map[string]any) {
		if proof, ok := body["otpVerification"].(map[string]any); ok && proof["otp"] != "123456" {
			return 200, map[string]any{"result": "OTP_NOT_MATCHED"}
		}
		return good(method, body)
	})
	if says := s.says("/google/otp", url.Values{"user": {"sally"}, "phone": {"+919800000001"}}); says != "A code is on its way to +919800000001." {
		t.Errorf("sending says %q", says)
	}
	wallet := s.remembers().Instruments[0].AssociationID
	if says := s.says("/google/code", url.Values{"wallet": {wallet}, "code": {"000000"}}); says != "Not linked: OTP_NOT_MATCHED" {
		t.Errorf("a wrong code says %q", says)
	}
	if says := s.says("/google/code", url.Values{"wallet": {wallet}, "code": {"123456"}, "alone": {"1"}}); says != "verifyOtp: SUCCESS" {
		t.Errorf("the code alone says %q", says)
	}
	if says := s.says("/google/code", url.Values{"wallet": {wallet}, "code": {"123456"}}); says != "Linked: Wallet ***1." {
		t.Errorf("the right code says %q", says)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	first, second := s.asked[1], s.asked[3]
	if s.asked[0]["accountPhoneNumber"] != "+919800000001" || len(s.asked[0]["smsMatchingToken"].(string)) != 11 {
		t.Errorf("sendOtp has %v", s.asked[0])
	}
	if first["googlePaymentToken"] == second["googlePaymentToken"] || first["associationId"] != second["associationId"] {
		t.Errorf("first %v, then %v", first, second)
	}
}

// TestBuy: what is not final is asked again under the same requestId; what closes
// an instrument closes it.
func TestBuy(t *testing.T) {
	t.Parallel()
	s := begin(t, nil)
	wallet := s.link()
	var mu sync.Mutex
	ids := map[string]int{}
	failing := 2
	s.say(func(method string, body map[string]any) (int, map[string]any) {
		mu.Lock()
		defer mu.Unlock()
		ids[body["requestHeader"].(map[string]any)["requestId"].(string)]++
		if failing--; failing >= 0 {
			return failing * 500, map[string]any{} // once 500, once no answer
		}
		return good(method, body)
	})
	if says := s.says("/google/buy", url.Values{"wallet": {wallet}, "good": {"gems"}}); says != "500 gems, ₹499.00: bought." {
		t.Errorf("buying says %q", says)
	}
	mu.Lock()
	if len(ids) != 1 {
		t.Errorf("it was asked under %v", ids)
	}
	mu.Unlock()
	bought := s.remembers().Purchases[0]
	if bought.State != "done" || bought.Theirs != "tx_"+bought.ID {
		t.Errorf("bought %+v", bought)
	}
	if says := s.says("/google/refund", url.Values{"purchase": {bought.ID}, "amount": {"208.5"}}); says != "Refund of ₹208.50: given back." {
		t.Errorf("giving back says %q", says)
	}
	s.mu.Lock()
	if got := s.asked[len(s.asked)-1]["refundAmount"]; got != "208500000" {
		t.Errorf("refundAmount is %v", got)
	}
	s.mu.Unlock()
	for _, amount := range []string{"", "0", "-1", "1.005", "x", "1,5"} {
		if says := s.says("/google/refund", url.Values{"purchase": {bought.ID}, "amount": {amount}}); !strings.Contains(says, "208.00") {
			t.Errorf("an amount %q says %q", amount, says)
		}
	}
	// No final answer: it stays open until it is sent again.
	s.say(func(string, map[string]any) (int, map[string]any) {
		return 400, map[string]any{"errorResponseCode": "PRECONDITION_VIOLATION"}
	})
	if says := s.says("/google/buy", url.Values{"wallet": {wallet}, "good": {"film"}}); !strings.Contains(says, "no final answer yet, HTTP 400 PRECONDITION_VIOLATION") {
		t.Errorf("400 says %q", says)
	}
	s.say(good)
	open := s.remembers().Purchases[1]
	if says := s.says("/google/again", url.Values{"id": {open.ID}}); open.State != "sent" || !strings.HasSuffix(says, ": bought.") {
		t.Errorf("again says %q of %+v", says, open)
	}
	for code, state := range map[string]string{"INSUFFICIENT_FUNDS": "active", "TOKEN_REFRESH_REQUIRED": "refresh_needed", "GOOGLE_PAYMENT_TOKEN_INVALIDATED_BY_USER": "closed"} {
		wallet := s.link()
		s.say(func(string, map[string]any) (int, map[string]any) { return 200, map[string]any{"result": code} })
		if says := s.says("/google/buy", url.Values{"wallet": {wallet}, "good": {"gems"}}); !strings.Contains(says, "declined, "+code) {
			t.Errorf("%s says %q", code, says)
		}
		all := s.remembers().Instruments
		if got := all[len(all)-1]; got.State != state {
			t.Errorf("after %s it is %s", code, got.State)
		}
	}
}

// TestRefresh: the redirect names the association, and the token can be used again.
func TestRefresh(t *testing.T) {
	t.Parallel()
	s := begin(t, nil)
	wallet := s.link()
	s.say(func(string, map[string]any) (int, map[string]any) {
		return 200, map[string]any{"result": "TOKEN_REFRESH_REQUIRED"}
	})
	s.says("/google/buy", url.Values{"wallet": {wallet}, "good": {"gems"}})
	s.say(good)
	if says := s.says("/google/buy", url.Values{"wallet": {wallet}, "good": {"gems"}}); !strings.Contains(says, "First refresh") {
		t.Errorf("buying says %q", says)
	}
	to := s.press("/google/refresh", url.Values{"wallet": {wallet}})
	if to.Query().Get("gspAssociationId") != wallet || len(to.String()) > 2048 {
		t.Errorf("it leads to %s", to)
	}
	if says := s.redirected(to, "100", outcome("success")); !strings.HasPrefix(says, "Refreshed") || s.remembers().Instruments[0].State != "active" {
		t.Errorf("refreshing says %q", says)
	}
	// A purchase for which the user says again who they are.
	if says := s.redirected(s.press("/google/buy", url.Values{"wallet": {wallet}, "good": {"gems"}, "how": {"challenge"}}), "100", outcome("success")); !strings.HasSuffix(says, ": bought.") {
		t.Errorf("a challenged purchase says %q", says)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if proof, _ := s.asked[len(s.asked)-1]["authenticationRequestId"].(string); !strings.HasPrefix(proof, "rdr-") {
		t.Errorf("capture has %v", s.asked[len(s.asked)-1])
	}
}

// tell calls one of Google's methods as the integrator does.
func (s *side) tell(method, id string, members map[string]any) (int, map[string]any) {
	s.t.Helper()
	members["requestHeader"] = map[string]any{"requestId": id, "requestTimestamp": fmt.Sprint(time.Now().UnixMilli()), "protocolVersion": map[string]any{"major": 1, "minor": 1, "revision": 0}}
	members["paymentIntegratorAccountId"] = account
	return s.send(method+"/"+account, s.seal(members))
}

func (s *side) send(path, text string) (int, map[string]any) {
	s.t.Helper()
	resp, err := http.Post(s.url+"/secure-serving/gsp/v1/"+path, "application/octet-stream; charset=utf-8", strings.NewReader(text))
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if len(body) == 0 {
		return resp.StatusCode, nil
	}
	raw, err := base64.URLEncoding.DecodeString(string(body))
	if err != nil {
		s.t.Fatalf("%d %s: %v", resp.StatusCode, body, err)
	}
	opened, err := s.ring.Open(s.t.Context(), raw)
	if err != nil {
		s.t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(opened.Plain, &out); err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, out
}

// TestNotifications: the first result of a purchase holds; a repeat is answered as
// the first; and who has not proved to be the integrator gets an empty 404.
func TestNotifications(t *testing.T) {
	t.Parallel()
	s := begin(t, nil)
	wallet := s.link()
	if says := s.says("/google/buy", url.Values{"wallet": {wallet}, "good": {"film"}, "how": {"confirm"}}); !strings.Contains(says, "waits for the customer") {
		t.Fatalf("buying says %q", says)
	}
	b := s.remembers().Purchases[0]
	result := func(code string) map[string]any {
		return map[string]any{"captureRequestId": b.ID, "captureResult": map[string]any{"captureResultCode": code}, "paymentIntegratorTransactionId": "tx_async"}
	}
	for _, tt := range []struct {
		name, method, id string
		members          map[string]any
		status           int
		code             string
	}{
		{"of no purchase", "captureResultNotification", "n0", map[string]any{"captureRequestId": "cap-x", "captureResult": map[string]any{"captureResultCode": "SUCCESS"}}, 404, "INVALID_IDENTIFIER"},
		{"without a code", "captureResultNotification", "n0", map[string]any{"captureRequestId": b.ID, "captureResult": map[string]any{}}, 400, "MISSING_REQUIRED_FIELD"},
		{"the result", "captureResultNotification", "n1", result("SUCCESS"), 200, ""},
		{"the result again", "captureResultNotification", "n1", result("SUCCESS"), 200, ""},
		{"another under its name", "captureResultNotification", "n1", result("INSUFFICIENT_FUNDS"), 412, "IDEMPOTENCY_VIOLATION"},
		{"another result", "captureResultNotification", "n2", result("INSUFFICIENT_FUNDS"), 412, "IDEMPOTENCY_VIOLATION"},
		{"the same under another name", "captureResultNotification", "n3", result("SUCCESS"), 200, ""},
		{"a refund of nothing", "refundResultNotification", "n4", map[string]any{"refundRequestId": "rfd-x", "refundResult": "SUCCESS"}, 404, "INVALID_IDENTIFIER"},
		{"no such statement", "acceptRemittanceStatement", "n5", map[string]any{"statementId": "stm-x"}, 404, "INVALID_IDENTIFIER"},
	} {
		status, body := s.tell(tt.method, tt.id, tt.members)
		code, _ := body["errorResponseCode"].(string)
		if status != tt.status || code != tt.code {
			t.Errorf("%s: %d %v", tt.name, status, body)
		}
	}
	if got := s.remembers().Purchases[0]; got.State != "done" || got.Code != "SUCCESS" {
		t.Errorf("it is %+v", got)
	}
	now := fmt.Sprint(time.Now().UnixMilli())
	echo := func(header, rest string) string {
		return `{"requestHeader":` + header + `,"clientMessage":"m"` + rest + `}`
	}
	head := `{"requestId":"e1","requestTimestamp":"` + now + `","protocolVersion":{"major":1,"minor":0,"revision":0}}`
	both := gpg.Message{Signers: []string{s.own}, Recipients: []string{s.google}}
	for _, tt := range []struct {
		name, path, text string
		how              gpg.Message
		status           int
		code             string
	}{
		{"as it must be", "echo/" + account, echo(head, ""), both, 200, ""},
		{"another account", "echo/OTHER", echo(head, ""), both, 404, ""},
		{"another account in the body", "echo/" + account, echo(head, `,"paymentIntegratorAccountId":"OTHER"`), both, 404, ""},
		{"no such method", "echoes/" + account, echo(head, ""), both, 404, ""},
		{"not signed", "echo/" + account, echo(head, ""), gpg.Message{Recipients: both.Recipients}, 404, ""},
		{"not encrypted", "echo/" + account, echo(head, ""), gpg.Message{Signers: both.Signers}, 404, ""},
		{"a weak digest", "echo/" + account, echo(head, ""), gpg.Message{Signers: both.Signers, Recipients: both.Recipients, Digest: "SHA256"}, 404, ""},
		{"a weak cipher", "echo/" + account, echo(head, ""), gpg.Message{Signers: both.Signers, Recipients: both.Recipients, Cipher: "AES"}, 404, ""},
		{"a name twice", "echo/" + account, echo(head, `,"clientMessage":"n"`), both, 400, "INVALID_DECRYPTED_REQUEST"},
		{"a trailing comma", "echo/" + account, echo(head, `,`), both, 400, "INVALID_DECRYPTED_REQUEST"},
		{"bytes behind it", "echo/" + account, echo(head, "") + " x", both, 400, "INVALID_DECRYPTED_REQUEST"},
		{"a list", "echo/" + account, `[]`, both, 400, "INVALID_DECRYPTED_REQUEST"},
		{"no UTF-8", "echo/" + account, echo(head, ",\"x\":\"\xff\""), both, 400, "INVALID_DECRYPTED_REQUEST"},
		{"no header", "echo/" + account, `{"clientMessage":"m"}`, both, 400, "MISSING_REQUIRED_FIELD"},
		{"another version", "echo/" + account, echo(strings.Replace(head, `"major":1`, `"major":2`, 1), ""), both, 400, "INVALID_API_VERSION"},
		{"an old time", "echo/" + account, echo(strings.Replace(head, now, fmt.Sprint(time.Now().Add(-61*time.Second).UnixMilli()), 1), ""), both, 400, "REQUEST_TIMESTAMP_OUT_OF_RANGE"},
		{"a requestId with a blank", "echo/" + account, echo(strings.Replace(head, "e1", "e 1", 1), ""), both, 400, "INVALID_FIELD_VALUE"},
	} {
		status, body := s.send(tt.path, s.sealText(tt.text, tt.how))
		code, _ := body["errorResponseCode"].(string)
		if status != tt.status || code != tt.code || status == 200 && body["clientMessage"] != "m" {
			t.Errorf("%s: %d %v", tt.name, status, body)
		}
	}
}

// TestStatement: the figures of the worked example (section 7), its pages, and what
// can be made wrong.
func TestStatement(t *testing.T) {
	t.Parallel()
	s := begin(t, nil)
	wallet := s.link()
	for _, good := range []string{"album", "gems", "film"} {
		s.says("/google/buy", url.Values{"wallet": {wallet}, "good": {good}})
	}
	first := s.remembers().Purchases[0].ID
	s.says("/google/refund", url.Values{"purchase": {first}, "amount": {"208.00"}})
	if says := s.says("/google/period", nil); !strings.HasPrefix(says, "Statement of 4 events, due ₹1,175.933: received by Aorta") {
		t.Errorf("the statement says %q", says)
	}
	st := s.remembers().Statements[0]
	if st.Total != 1_175_933_000 {
		t.Errorf("its total is %d", st.Total)
	}
	resp, err := http.Post(s.url+"/google/control", "application/json", strings.NewReader(`{"page_size":3}`))
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(err)
	}
	resp.Body.Close()
	status, page := s.tell("remittanceStatementDetails", "d1", map[string]any{"statementId": st.ID})
	if status != 200 || page["nextEventOffset"] != 3.0 || page["totalEvents"] != 4.0 || len(page["captureEvents"].([]any)) != 3 || page["captureEvents"].([]any)[0].(map[string]any)["fee"] != "18200000" {
		t.Errorf("page one is %v", page)
	}
	status, page = s.tell("remittanceStatementDetails", "d2", map[string]any{"statementId": st.ID, "eventOffset": 3, "numberOfEvents": 1000})
	if _, more := page["nextEventOffset"]; status != 200 || more || len(page["refundEvents"].([]any)) != 1 {
		t.Errorf("page two is %v", page)
	}
	for name, members := range map[string]map[string]any{"offset": {"eventOffset": 5}, "number": {"numberOfEvents": 1001}} {
		members["statementId"] = st.ID
		if status, body := s.tell("remittanceStatementDetails", "d3", members); status != 400 || body["errorResponseCode"] != "INVALID_FIELD_VALUE" {
			t.Errorf("a wrong %s: %d %v", name, status, body)
		}
	}
	if status, body := s.tell("acceptRemittanceStatement", "a1", map[string]any{"statementId": st.ID}); status != 200 || body["acceptRemittanceStatementResultCode"] != "SUCCESS" {
		t.Errorf("accepted: %d %v", status, body)
	}
	if status, body := s.tell("acceptRemittanceStatementWithModifications", "a2", map[string]any{"statementId": st.ID, "feeToVatModification": map[string]any{"vatToFeeRatioInMicros": "180000"}}); status != 400 || body["errorResponseCode"] != "PRECONDITION_VIOLATION" {
		t.Errorf("accepted twice: %d %v", status, body)
	}
	if got := s.remembers().Statements[0]; got.State != "accepted" || got.Read != 4 {
		t.Errorf("it is %+v", got)
	}
	// The next one has what came since, and what the form makes wrong.
	for _, tt := range []struct {
		wrong string
		lines int
		total int64
	}{
		{"leave_out", 0, 0},
		{"wrong_amount", 1, 193_129_500 + 1_000_000},
		{"wrong_fee", 1, 193_129_500 - 1_180_000},
		{"duplicate", 2, 2 * 193_129_500},
		{"unknown_event", 2, 193_129_500 + 97_050_000},
		{"wrong_total", 1, 193_129_500 + 5_000_000},
	} {
		s := begin(t, nil)
		s.says("/google/buy", url.Values{"wallet": {s.link()}, "good": {"film"}})
		s.says("/google/period", url.Values{"wrong": {tt.wrong}})
		got := s.remembers().Statements
		if len(got) != 1 || len(got[0].Lines) != tt.lines || got[0].Total != tt.total {
			t.Errorf("%s: %+v, want %d lines and %d", tt.wrong, got, tt.lines, tt.total)
		}
	}
}

// TestMemory: what a Google has said and heard it knows after a restart, and its
// journal can be read strictly.
func TestMemory(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var journal [][]byte
	var opts google.Options
	s := begin(t, func(o *google.Options) {
		o.Append = func(line []byte) error {
			mu.Lock()
			defer mu.Unlock()
			journal = append(journal, bytes.Clone(line))
			return nil
		}
		opts = *o
	})
	wallet := s.link()
	s.says("/google/buy", url.Values{"wallet": {wallet}, "good": {"film"}, "how": {"confirm"}})
	b := s.remembers().Purchases[0]
	news := map[string]any{"captureRequestId": b.ID, "captureResult": map[string]any{"captureResultCode": "SUCCESS"}}
	if status, _ := s.tell("captureResultNotification", "n1", news); status != 200 {
		t.Fatal(status)
	}
	s.says("/google/period", nil)
	again, err := google.New(time.Now, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.Close)
	for _, line := range journal {
		if err := again.Load(line); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	dump := func(p *google.Peer) (out []string) {
		if err := p.Dump(func(line []byte) error { out = append(out, string(line)); return nil }); err != nil {
			t.Fatal(err)
		}
		return out
	}
	if before, after := dump(s.peer), dump(again); !slices.Equal(before, after) || len(after) < 6 {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	front := httptest.NewServer(again)
	t.Cleanup(front.Close)
	s.url = front.URL
	if status, _ := s.tell("captureResultNotification", "n1", news); status != 200 {
		t.Errorf("the same again: %d", status)
	}
	if says := s.says("/google/again", url.Values{"id": {b.ID}}); !strings.HasSuffix(says, ": bought.") {
		t.Errorf("sent again after a restart, it says %q", says)
	}
}

// TestPages: each page is whole, shows no token, and lets in nothing but its style.
func TestPages(t *testing.T) {
	t.Parallel()
	s := begin(t, nil)
	wallet := s.link()
	s.mu.Lock()
	token := s.asked[0]["googlePaymentToken"].(string)
	s.mu.Unlock()
	s.says("/google/buy", url.Values{"wallet": {wallet}, "good": {"gems"}})
	s.says("/google/period", nil)
	for path, want := range map[string]string{
		"/google?user=sally": "Wallet \\*\\*\\*1: linked", "/google/store?user=sally": "500 gems, ₹499.00</strong>: bought", "/google/remittance": "received by Aorta",
		"/google/wire": "associateAccount", "/google/control": `"gpt":"....…`,
	} {
		resp, err := http.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || !regexp.MustCompile(want).Match(text) || bytes.Contains(text, []byte(token)) {
			t.Errorf("%s: %d %s", path, resp.StatusCode, text)
		}
		if policy := resp.Header.Get("Content-Security-Policy"); path != "/google/control" && !strings.HasPrefix(policy, "default-src 'none'") {
			t.Errorf("%s has the policy %q", path, policy)
		}
	}
	// Other sites cannot press its buttons.
	req, _ := http.NewRequest(http.MethodPost, s.url+"/google/period", nil)
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("another site's form is answered %d", resp.StatusCode)
	}
}
