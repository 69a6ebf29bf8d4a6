package paytm_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aorta/internal/sandbox/desk"
	"aorta/internal/sandbox/fault"
	"aorta/internal/sandbox/paytm"
)

const (
	mid     = "AORTATEST00000000001"
	secret  = "aB3$kLm9Qw2!xYz7"
	website = "WEBSTAGING"
	back    = "http://127.0.0.1:1/back?x=1&y=2"
)

// notice is one notification as the platform would see it.
type notice struct {
	Head struct{ Signature, Version string }
	Body json.RawMessage
	form map[string]any
}

// world is one simulator, a receiver of its notifications and the merchant key.
type world struct {
	t       *testing.T
	sim     *paytm.Simulator
	server  *httptest.Server
	key     *paytm.Key
	faults  *fault.Queue
	notices chan notice
	answers atomic.Int64 // the status the receiver answers with
	tries   atomic.Int64
	ahead   atomic.Int64 // how far the clock was set forward
	mu      sync.Mutex
	lines   [][]byte // what a journal would hold
}

func start(t *testing.T, change func(*paytm.Options)) *world {
	t.Helper()
	w := &world{t: t, notices: make(chan notice, 100), faults: &fault.Queue{}}
	w.answers.Store(http.StatusOK)
	key, err := paytm.NewKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	w.key = key
	receiver := httptest.NewServer(http.HandlerFunc(w.receive))
	t.Cleanup(receiver.Close)
	w.sim = w.boot(receiver.URL, change, nil)
	return w
}

// boot starts a simulator that remembers lines.
func (w *world) boot(notify string, change func(*paytm.Options), lines [][]byte) *paytm.Simulator {
	w.t.Helper()
	opts := paytm.Options{
		Prefix: "/paytm", Faults: w.faults, Rand: rand.Reader, Append: w.remember,
		DecideAfter: time.Millisecond, RefundAfter: time.Millisecond, LateAfter: 400 * time.Millisecond,
		SlowFor: 60 * time.Millisecond, HoldFor: 80 * time.Millisecond, NotifyUnit: time.Millisecond,
	}
	if change != nil {
		change(&opts)
	}
	accounts := []paytm.Account{{MID: mid, Key: secret, Website: website, NotifyURL: notify}}
	clock := func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }
	sim, err := paytm.New(accounts, clock, opts)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, line := range lines {
		if err := sim.Load(line); err != nil {
			w.t.Fatalf("Load(%s) = %v", line, err)
		}
	}
	sim.Start()
	w.server = httptest.NewServer(sim)
	w.t.Cleanup(w.server.Close)
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := sim.Close(ctx); err != nil {
			w.t.Errorf("Close = %v", err)
		}
	})
	return sim
}

func (w *world) remember(line []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, slices.Clone(line))
	return nil
}

func (w *world) remembered() [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.lines)
}

func (w *world) receive(rw http.ResponseWriter, r *http.Request) {
	status := int(w.answers.Load()) // before the try is counted: who counts may change the answer then
	w.tries.Add(1)
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		w.t.Error(err)
	}
	var n notice
	if err := json.Unmarshal(raw, &n); err != nil {
		w.t.Errorf("notification %s: %v", raw, err)
	}
	if err := json.Unmarshal(n.Body, &n.form); err != nil {
		w.t.Errorf("notification %s: %v", raw, err)
	}
	rw.WriteHeader(status)
	if status == http.StatusOK {
		w.notices <- n
	}
}

// notified waits for the next notification.
func (w *world) notified() notice {
	w.t.Helper()
	select {
	case n := <-w.notices:
		return n
	case <-time.After(5 * time.Second):
		w.t.Fatal("no notification came")
		return notice{}
	}
}

// quiet checks that no notification comes.
func (w *world) quiet() {
	w.t.Helper()
	select {
	case n := <-w.notices:
		w.t.Errorf("notification %s, want none", n.Body)
	case <-time.After(60 * time.Millisecond):
	}
}

// post sends a signed request and returns the answer's body.
func (w *world) post(path string, body map[string]any) (map[string]any, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return w.postSigned(path, text, w.key.Checksum(text, "AbC1"))
}

func (w *world) postSigned(path string, text []byte, signature string) (map[string]any, error) {
	raw := fmt.Sprintf(`{"head":{"signature":%q},"body":%s}`, signature, text)
	resp, err := http.Post(w.server.URL+"/paytm"+path, "application/json", strings.NewReader(raw))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	var n notice
	if err := json.Unmarshal(answer, &n); err != nil {
		return nil, fmt.Errorf("%s: %w", answer, err)
	}
	if n.Head.Signature != "" && !w.key.Verify(n.Body, n.Head.Signature) {
		return nil, fmt.Errorf("the answer %s has a wrong signature", answer)
	}
	var out map[string]any
	return out, json.Unmarshal(n.Body, &out)
}

func (w *world) must(path string, body map[string]any) map[string]any {
	w.t.Helper()
	out, err := w.post(path, body)
	if err != nil {
		w.t.Fatalf("POST %s: %v", path, err)
	}
	return out
}

func initiatePath(id string) string {
	return "/theia/api/v1/initiateTransaction?" + url.Values{"mid": {mid}, "orderId": {id}}.Encode()
}

func initiateBody(id, amount string) map[string]any {
	return map[string]any{
		"requestType": "Payment", "mid": mid, "websiteName": website, "orderId": id, "callbackUrl": back,
		"txnAmount": map[string]any{"value": amount, "currency": "INR"}, "userInfo": map[string]any{"custId": "c1"},
	}
}

// open initiates an order and returns its token.
func (w *world) open(id string) string {
	w.t.Helper()
	out := w.must(initiatePath(id), initiateBody(id, "25.00"))
	token, _ := out["txnToken"].(string)
	if code(out) != "0000" || token == "" {
		w.t.Fatalf("initiate %s = %v, want 0000 and a token", id, out)
	}
	return token
}

func code(answer map[string]any) string {
	info, _ := answer["resultInfo"].(map[string]any)
	c, _ := info["resultCode"].(string)
	return c
}

func (w *world) status(id string) map[string]any {
	w.t.Helper()
	return w.must("/v3/order/status", map[string]any{"mid": mid, "orderId": id})
}

// until asks until the answer has the code.
func (w *world) until(want string, ask func() map[string]any) map[string]any {
	w.t.Helper()
	var got map[string]any
	for range 500 {
		if got = ask(); code(got) == want {
			return got
		}
		time.Sleep(4 * time.Millisecond)
	}
	w.t.Fatalf("answer %v, want code %s", got, want)
	return nil
}

var (
	inputs = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)
	action = regexp.MustCompile(`<form method="post" action="([^"]+)"`)
)

// browse posts a form to the hosted page and returns status, target and fields
// of the form in the answer.
func (w *world) browse(form url.Values) (int, string, map[string]string, string) {
	w.t.Helper()
	resp, err := http.PostForm(w.server.URL+"/paytm/theia/api/v1/showPaymentPage?mid="+mid+"&orderId="+form.Get("orderId"), form)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	fields := map[string]string{}
	for _, m := range inputs.FindAllStringSubmatch(string(text), -1) {
		fields[m[1]] = html.UnescapeString(m[2])
	}
	target := ""
	if m := action.FindStringSubmatch(string(text)); m != nil {
		target = html.UnescapeString(m[1])
	}
	return resp.StatusCode, target, fields, string(text)
}

func (w *world) press(id, token, button string) map[string]string {
	w.t.Helper()
	status, target, fields, _ := w.browse(url.Values{"mid": {mid}, "orderId": {id}, "txnToken": {token}, "action": {button}})
	if status != http.StatusOK || target != back {
		w.t.Fatalf("press %s = %d to %q, want 200 to %q", button, status, target, back)
	}
	if !w.key.Verify(paytm.FormText(fields), fields["CHECKSUMHASH"]) {
		w.t.Errorf("form %v has a wrong checksum", fields)
	}
	return fields
}

func TestInitiateRefusals(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	w.open("taken")
	set := func(name string, value any) func(map[string]any) {
		return func(b map[string]any) { b[name] = value }
	}
	amount := func(value, currency string) func(map[string]any) {
		return set("txnAmount", map[string]any{"value": value, "currency": currency})
	}
	tests := []struct {
		name   string
		change func(map[string]any)
		path   string
		want   string
	}{
		{name: "fine", want: "0000"},
		{name: "no order id", change: set("orderId", ""), want: "1007"},
		{name: "no amount", change: set("txnAmount", nil), want: "1007"},
		{name: "no customer", change: set("userInfo", nil), want: "1007"},
		{name: "unknown MID", change: set("mid", "NOBODY"), want: "2006"},
		{name: "other MID in the query", path: "/theia/api/v1/initiateTransaction?mid=X&orderId=o", want: "2013"},
		{name: "other order in the query", path: initiatePath("other"), want: "2014"},
		{name: "request type", change: set("requestType", "NATIVE"), want: "1001"},
		{name: "callback that is no address", change: set("callbackUrl", "javascript:alert(1)"), want: "1001"},
		{name: "bar in the callback", change: set("callbackUrl", "http://x/a|b"), want: "1008"},
		{name: "website", change: set("websiteName", "ELSE"), want: "501"},
		{name: "zero", change: amount("0.00", "INR"), want: "2007"},
		{name: "three places", change: amount("1.001", "INR"), want: "2007"},
		{name: "point without places", change: amount("1.", "INR"), want: "2007"},
		{name: "negative", change: amount("-1.00", "INR"), want: "2007"},
		{name: "too many digits", change: amount("12345678901.00", "INR"), want: "2007"},
		{name: "other currency", change: amount("1.00", "USD"), want: "2007"},
		{name: "identical repeat", change: set("orderId", "taken"), path: initiatePath("taken"), want: "0002"},
	}
	for i, tt := range tests {
		id := fmt.Sprintf("o-%d", i)
		body := initiateBody(id, "25.00")
		if tt.change != nil {
			tt.change(body)
		}
		path := initiatePath(id)
		if tt.path != "" {
			path = tt.path
		}
		if got := w.must(path, body); code(got) != tt.want {
			t.Errorf("%s: initiate = %v, want code %s", tt.name, got, tt.want)
		}
	}
	long := strings.Repeat("o", 51)
	if got := w.must(initiatePath(long), initiateBody(long, "25.00")); code(got) != "1001" {
		t.Errorf("initiate with 51 characters of order id = %v, want code 1001", got)
	}
	if got := w.must(initiatePath("taken"), initiateBody("taken", "26.00")); code(got) != "2023" {
		t.Errorf("initiate again with another amount = %v, want code 2023", got)
	}
}

func TestAmountsTheVendorTakes(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	for i, tt := range []struct{ text, want string }{
		{text: "1", want: "1.00"}, {text: "1.5", want: "1.50"}, {text: "0.01", want: "0.01"}, {text: "9999999.99", want: "9999999.99"},
	} {
		id := fmt.Sprintf("o-%d", i)
		if got := w.must(initiatePath(id), initiateBody(id, tt.text)); code(got) != "0000" {
			t.Fatalf("initiate of %q = %v, want 0000", tt.text, got)
		}
		entries, _, _ := w.sim.Journal(mid, int64(i), 1)
		if len(entries) != 1 || entries[0].Amount != tt.want {
			t.Errorf("journal of %q = %+v, want amount %s", tt.text, entries, tt.want)
		}
	}
}

func TestBadChecksumIsRefusedEverywhere(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	tests := []struct {
		path string
		body map[string]any
		want string
	}{
		{path: initiatePath("o"), body: initiateBody("o", "25.00"), want: "2005"},
		{path: "/v3/order/status", body: map[string]any{"mid": mid, "orderId": "o"}, want: "330"},
		{path: "/refund/apply", body: map[string]any{"mid": mid, "orderId": "o", "txnType": "REFUND"}, want: "330"},
		{path: "/v2/refund/status", body: map[string]any{"mid": mid, "orderId": "o", "refId": "r"}, want: "330"},
	}
	for _, tt := range tests {
		text, err := json.Marshal(tt.body)
		if err != nil {
			t.Fatal(err)
		}
		good := w.key.Checksum(text, "AbC1")
		for name, signature := range map[string]string{
			"of other text": w.key.Checksum(append(text, ' '), "AbC1"),
			"cut":           good[:88],
			"not base64":    strings.Repeat("#", 108),
		} {
			got, err := w.postSigned(tt.path, text, signature)
			if err != nil || code(got) != tt.want {
				t.Errorf("%s with a checksum %s = %v, %v, want code %s", tt.path, name, got, err, tt.want)
			}
		}
	}
	if got := w.status("o"); code(got) != "331" {
		t.Errorf("status = %v, want 331: nothing may be recorded", got)
	}
}

func TestStatusHeadOfAnotherAPI(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	body := []byte(`{"mid":"` + mid + `","orderId":"o"}`)
	raw := fmt.Sprintf(`{"head":{"signature":%q,"tokenType":"AES"},"body":%s}`, w.key.Checksum(body, "AbC1"), body)
	resp, err := http.Post(w.server.URL+"/paytm/v3/order/status", "application/json", strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Contains(text, []byte(`"330"`)) {
		t.Errorf("status with tokenType = %s, %v, want code 330", text, err)
	}
}

func TestPersonDecides(t *testing.T) {
	t.Parallel()
	tests := []struct {
		button, formStatus, formCode, statusCode, entry string
		told                                            bool
	}{
		{button: "approve", formStatus: "TXN_SUCCESS", formCode: "01", statusCode: "01", entry: "paid", told: true},
		{button: "decline", formStatus: "TXN_FAILURE", formCode: "227", statusCode: "227", entry: "failed", told: true},
		{button: "leave", formStatus: "PENDING", formCode: "402", statusCode: "402", entry: "left"},
	}
	for _, tt := range tests {
		t.Run(tt.button, func(t *testing.T) {
			t.Parallel()
			w := start(t, nil)
			token := w.open("o")
			if got := w.status("o"); code(got) != "331" {
				t.Errorf("status before anybody tried = %v, want 331", got)
			}
			status, target, fields, text := w.browse(url.Values{"mid": {mid}, "orderId": {"o"}, "txnToken": {token}})
			if status != http.StatusOK || !strings.HasPrefix(target, "/paytm/theia/") || fields["txnToken"] != token {
				t.Fatalf("page = %d with form to %q and %v, want 200 with a form of its own", status, target, fields)
			}
			for _, value := range []string{"approve", "decline", "leave"} {
				if !strings.Contains(text, `name="action" value="`+value+`"`) {
					t.Errorf("page has no button %q", value)
				}
			}
			form := w.press("o", token, tt.button)
			want := map[string]string{
				"MID": mid, "ORDERID": "o", "TXNAMOUNT": "25.00", "CURRENCY": "INR",
				"STATUS": tt.formStatus, "RESPCODE": tt.formCode,
			}
			for name, value := range want {
				if form[name] != value {
					t.Errorf("form %s = %q, want %q", name, form[name], value)
				}
			}
			if !tt.told {
				w.quiet()
			} else if n := w.notified(); n.form["status"] != tt.formStatus || n.form["txnAmount"] != "25.00" ||
				n.form["orderId"] != "o" || n.form["txnId"] != form["TXNID"] || !w.key.Verify(n.Body, n.Head.Signature) {
				t.Errorf("notification = %s, want %s of 25.00 with a good signature", n.Body, tt.formStatus)
			}
			got := w.status("o")
			if code(got) != tt.statusCode || got["txnAmount"] != "25.00" {
				t.Errorf("status = %v, want %s of 25.00", got, tt.statusCode)
			}
			entries, _, _ := w.sim.Journal("", 0, 10)
			if len(entries) != 1 || entries[0].State != tt.entry {
				t.Errorf("journal = %+v, want one entry %s", entries, tt.entry)
			}
		})
	}
}

func TestPressingAgainOnlyLeadsBack(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	token := w.open("o")
	w.press("o", token, "leave")
	if form := w.press("o", token, "approve"); form["STATUS"] != "TXN_SUCCESS" {
		t.Errorf("approve after leave: STATUS = %s, want TXN_SUCCESS", form["STATUS"])
	}
	w.notified()
	for _, button := range []string{"decline", "leave", "approve"} {
		if form := w.press("o", token, button); form["STATUS"] != "TXN_SUCCESS" {
			t.Errorf("%s after approve: STATUS = %s, want TXN_SUCCESS", button, form["STATUS"])
		}
	}
	w.quiet()
}

func TestTheTokenGuardsThePage(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	token := w.open("o")
	get := func(query string) int {
		resp, err := http.Get(w.server.URL + "/paytm/theia/api/v1/showPaymentPage?" + query)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	bare := "mid=" + mid + "&orderId=o"
	if got := get(bare); got != http.StatusGone {
		t.Errorf("GET without a token = %d, want 410", got)
	}
	if got := get(bare + "&txnToken=wrong"); got != http.StatusGone {
		t.Errorf("GET with a wrong token = %d, want 410", got)
	}
	if got := get(bare + "&txnToken=" + token); got != http.StatusOK {
		t.Errorf("GET with the token = %d, want 200", got)
	}
	if got := get(bare); got != http.StatusOK {
		t.Errorf("reload of a page once shown = %d, want 200", got)
	}
	status, _, _, _ := w.browse(url.Values{"mid": {mid}, "orderId": {"o"}, "txnToken": {"wrong"}, "action": {"approve"}})
	if status != http.StatusGone {
		t.Errorf("press with a wrong token = %d, want 410", status)
	}
	status, _, _, _ = w.browse(url.Values{"mid": {mid}, "orderId": {"o"}, "txnToken": {token}, "action": {"steal"}})
	if status != http.StatusBadRequest {
		t.Errorf("press of an unknown button = %d, want 400", status)
	}
	w.ahead.Store(int64(16 * time.Minute))
	status, _, _, _ = w.browse(url.Values{"mid": {mid}, "orderId": {"o"}, "txnToken": {token}, "action": {"approve"}})
	if status != http.StatusGone {
		t.Errorf("press after 16 minutes = %d, want 410", status)
	}
	if got := w.must(initiatePath("o"), initiateBody("o", "25.00")); code(got) != "1006" {
		t.Errorf("initiate again after 16 minutes = %v, want 1006", got)
	}
}

func TestPageAllowsItsOwnStyleAndScriptOnly(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	token := w.open("o")
	resp, err := http.PostForm(w.server.URL+"/paytm/theia/api/v1/showPaymentPage",
		url.Values{"mid": {mid}, "orderId": {"o"}, "txnToken": {token}, "action": {"approve"}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	policy := resp.Header.Get("Content-Security-Policy")
	for tag, directive := range map[string]string{"style": "style-src", "script": "script-src"} {
		_, rest, _ := strings.Cut(string(text), "<"+tag+">")
		inner, _, _ := strings.Cut(rest, "</"+tag+">")
		if want := directive + " '" + desk.Digest(inner) + "'"; inner == "" || !strings.Contains(policy, want) {
			t.Errorf("policy %q does not allow the page's %s (%s)", policy, tag, want)
		}
	}
	if got := resp.Header.Get("X-Frame-Options"); got != "" || strings.Contains(policy, "frame-ancestors") {
		t.Errorf("the page cannot be framed: %q, %q", got, policy)
	}
}

func TestControlledSales(t *testing.T) {
	t.Parallel()
	tests := []struct {
		next    fault.Behaviour
		code    string // what status ends in
		amount  string // which every report carries
		notices int
		forged  bool
	}{
		{next: fault.Approve, code: "01", amount: "25.00", notices: 1},
		{next: fault.Decline, code: "227", amount: "25.00", notices: 1},
		{next: fault.Silent, code: "01", amount: "25.00"},
		{next: fault.Duplicate, code: "01", amount: "25.00", notices: 3},
		{next: fault.Late, code: "01", amount: "25.00", notices: 1},
		{next: fault.WrongAmount, code: "01", amount: "26.00", notices: 1},
		{next: fault.WrongSignature, code: "01", amount: "25.00", notices: 1, forged: true},
		{next: fault.Slow, code: "01", amount: "25.00", notices: 1},
	}
	for _, tt := range tests {
		t.Run(string(tt.next), func(t *testing.T) {
			t.Parallel()
			w := start(t, nil)
			if err := w.faults.Add(fault.Rule{Next: tt.next, Operation: "sale", Left: 1}); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			token := w.open("o")
			if took := time.Since(begun); took < 60*time.Millisecond && tt.next == fault.Slow {
				t.Errorf("initiate took %v, want 60ms or more", took)
			}
			if tt.next == fault.Late {
				if got := w.status("o"); code(got) != "402" {
					t.Errorf("status before it is late = %v, want 402", got)
				}
				if form := w.press("o", token, "approve"); form["STATUS"] != "PENDING" {
					t.Errorf("a press before it is late: STATUS = %s, want PENDING", form["STATUS"])
				}
			}
			got := w.until(tt.code, func() map[string]any { return w.status("o") })
			if got["txnAmount"] != tt.amount {
				t.Errorf("status = %v, want amount %s", got, tt.amount)
			}
			for range tt.notices {
				n := w.notified()
				if n.form["respCode"] != tt.code || n.form["txnAmount"] != tt.amount {
					t.Errorf("notification = %s, want %s of %s", n.Body, tt.code, tt.amount)
				}
				if good := w.key.Verify(n.Body, n.Head.Signature); good == tt.forged {
					t.Errorf("signature of the notification is good: %v, want %v", good, !tt.forged)
				}
			}
			w.quiet()
			if form := w.press("o", token, "decline"); form["RESPCODE"] != tt.code || form["TXNAMOUNT"] != tt.amount {
				t.Errorf("form after the decision = %v, want %s of %s", form, tt.code, tt.amount)
			}
			if w.open("next"); code(w.status("next")) != "331" {
				t.Errorf("the rule fell on a second order")
			}
		})
	}
}

func TestControlledSaleWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	if err := w.faults.Add(fault.Rule{Next: fault.Timeout, Left: 1}); err != nil {
		t.Fatal(err)
	}
	if got, err := w.post(initiatePath("o"), initiateBody("o", "25.00")); !errors.Is(err, io.EOF) {
		t.Errorf("initiate = %v, %v, want a connection cut without an answer", got, err)
	}
	w.quiet()
	if got := w.status("o"); code(got) != "331" {
		t.Errorf("status = %v, want 331", got)
	}
	if entries, _, _ := w.sim.Journal(mid, 0, 10); len(entries) != 1 || entries[0].State != "open" {
		t.Errorf("journal = %+v, want one open order", entries)
	}
	if err := w.faults.Add(fault.Rule{Next: fault.HTTP500, Left: 1}); err != nil {
		t.Fatal(err)
	}
	if got, err := w.post(initiatePath("p"), initiateBody("p", "25.00")); err == nil || err.Error() != "status 500" {
		t.Errorf("initiate = %v, %v, want status 500", got, err)
	}
	if entries, _, _ := w.sim.Journal(mid, 0, 10); len(entries) != 1 {
		t.Errorf("journal = %+v, want nothing recorded of the 500", entries)
	}
}

// paidOrder makes a paid order of 25.00 and returns its txnId.
func (w *world) paidOrder(id string) string {
	w.t.Helper()
	form := w.press(id, w.open(id), "approve")
	w.notified()
	return form["TXNID"]
}

func refundBody(order, txn, ref, amount string) map[string]any {
	return map[string]any{"mid": mid, "txnType": "REFUND", "orderId": order, "txnId": txn, "refId": ref, "refundAmount": amount}
}

func (w *world) refundStatus(order, ref string) map[string]any {
	w.t.Helper()
	return w.must("/v2/refund/status", map[string]any{"mid": mid, "orderId": order, "refId": ref})
}

func TestRefunds(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	txn := w.paidOrder("o")
	for i, amount := range []string{"10.00", "14.00"} {
		ref := fmt.Sprintf("r-%d", i)
		got := w.must("/refund/apply", refundBody("o", txn, ref, amount))
		if code(got) != "601" || got["refundId"] == "" || got["refundAmount"] != amount || got["txnAmount"] != "25.00" {
			t.Fatalf("refund/apply = %v, want 601 of %s", got, amount)
		}
		n := w.notified()
		if n.form["refId"] != ref || n.form["refundAmount"] != amount || n.form["userCreditInitiateTimestamp"] == "" ||
			n.form["refundId"] != got["refundId"] || n.Head.Version != "v1" || !w.key.Verify(n.Body, n.Head.Signature) {
			t.Errorf("notification = %s, want the success of %s", n.Body, ref)
		}
		if done := w.refundStatus("o", ref); code(done) != "10" || done["refundAmount"] != amount {
			t.Errorf("refund status = %v, want 10 of %s", done, amount)
		}
	}
	if got := w.status("o"); got["refundAmt"] != "24.00" || code(got) != "01" {
		t.Errorf("order status = %v, want 01 with 24.00 refunded", got)
	}
	w.open("unpaid")
	w.press("declined", w.open("declined"), "decline")
	w.notified()
	tests := []struct {
		name string
		body map[string]any
		want string
	}{
		{name: "more than is left", body: refundBody("o", txn, "r-9", "1.01"), want: "619"},
		{name: "no amount", body: refundBody("o", txn, "r-9", ""), want: "619"},
		{name: "part below one rupee", body: refundBody("o", txn, "r-9", "0.99"), want: "635"},
		{name: "same refId, done", body: refundBody("o", txn, "r-0", "10.00"), want: "629"},
		{name: "same refId, other amount", body: refundBody("o", txn, "r-0", "11.00"), want: "627"},
		{name: "same refId, other order", body: refundBody("unpaid", txn, "r-0", "10.00"), want: "627"},
		{name: "unknown order", body: refundBody("none", txn, "r-9", "1.00"), want: "631"},
		{name: "other txnId", body: refundBody("o", "1", "r-9", "1.00"), want: "627"},
		{name: "no refId", body: refundBody("o", txn, "", "1.00"), want: "600"},
		{name: "unpaid order", body: refundBody("unpaid", w.entry("unpaid").TxnID, "r-9", "1.00"), want: "600"},
		{name: "declined order", body: refundBody("declined", w.entry("declined").TxnID, "r-9", "1.00"), want: "607"},
	}
	for _, tt := range tests {
		if got := w.must("/refund/apply", tt.body); code(got) != tt.want {
			t.Errorf("%s: refund/apply = %v, want %s", tt.name, got, tt.want)
		}
	}
	if got := w.refundStatus("o", "none"); code(got) != "631" {
		t.Errorf("refund status of an unknown refId = %v, want 631", got)
	}
	if got := w.refundStatus("unpaid", "r-0"); code(got) != "631" {
		t.Errorf("refund status under another order = %v, want 631", got)
	}
	w.quiet()
}

// entry finds an order in the simulator's books.
func (w *world) entry(order string) paytm.Entry {
	w.t.Helper()
	entries, _, _ := w.sim.Journal(mid, 0, 1000)
	for _, e := range entries {
		if e.OrderID == order && e.Kind == "sale" {
			return e
		}
	}
	w.t.Fatalf("journal has no order %s", order)
	return paytm.Entry{}
}

func TestControlledRefunds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		next    fault.Behaviour
		code    string
		amount  string
		notices int
		forged  bool
	}{
		{next: fault.Approve, code: "10", amount: "10.00", notices: 1},
		{next: fault.Decline, code: "620", amount: "10.00", notices: 1},
		{next: fault.Silent, code: "10", amount: "10.00"},
		{next: fault.Duplicate, code: "10", amount: "10.00", notices: 3},
		{next: fault.Late, code: "10", amount: "10.00", notices: 1},
		{next: fault.WrongAmount, code: "10", amount: "11.00", notices: 1},
		{next: fault.WrongSignature, code: "10", amount: "10.00", notices: 1, forged: true},
		{next: fault.Slow, code: "10", amount: "10.00", notices: 1},
	}
	for _, tt := range tests {
		t.Run(string(tt.next), func(t *testing.T) {
			t.Parallel()
			w := start(t, nil)
			if err := w.faults.Add(fault.Rule{Next: tt.next, Operation: "refund", Left: 1}); err != nil {
				t.Fatal(err)
			}
			txn := w.paidOrder("o")
			if got := w.must("/refund/apply", refundBody("o", txn, "r", "10.00")); code(got) != "601" {
				t.Fatalf("refund/apply = %v, want 601", got)
			}
			if tt.next == fault.Late {
				if got := w.refundStatus("o", "r"); code(got) != "601" {
					t.Errorf("refund status before it is late = %v, want 601", got)
				}
				if got := w.must("/refund/apply", refundBody("o", txn, "r", "10.00")); code(got) != "617" {
					t.Errorf("refund/apply again while pending = %v, want 617", got)
				}
				if got := w.must("/refund/apply", refundBody("o", txn, "r2", "15.01")); code(got) != "619" {
					t.Errorf("refund/apply over what is pending = %v, want 619", got)
				}
			}
			got := w.until(tt.code, func() map[string]any { return w.refundStatus("o", "r") })
			if got["refundAmount"] != tt.amount {
				t.Errorf("refund status = %v, want amount %s", got, tt.amount)
			}
			for range tt.notices {
				n := w.notified()
				if n.form["refId"] != "r" || n.form["refundAmount"] != tt.amount || (n.form["status"] == "FAILED") != (tt.next == fault.Decline) {
					t.Errorf("notification = %s, want one about r of %s", n.Body, tt.amount)
				}
				if good := w.key.Verify(n.Body, n.Head.Signature); good == tt.forged {
					t.Errorf("signature of the notification is good: %v, want %v", good, !tt.forged)
				}
			}
			w.quiet()
			if tt.next == fault.Decline {
				if got := w.must("/refund/apply", refundBody("o", txn, "r2", "25.00")); code(got) != "601" {
					t.Errorf("refund/apply of all after a failed one = %v, want 601", got)
				}
				w.notified()
			}
		})
	}
}

func TestControlledRefundWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	txn := w.paidOrder("o")
	for _, next := range []fault.Behaviour{fault.Timeout, fault.HTTP500} {
		if err := w.faults.Add(fault.Rule{Next: next, Left: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := w.post("/refund/apply", refundBody("o", txn, "r", "10.00")); !errors.Is(err, io.EOF) {
		t.Errorf("refund/apply = %v, %v, want a connection cut without an answer", got, err)
	}
	if got := w.refundStatus("o", "r"); code(got) != "10" {
		t.Errorf("refund status = %v, want 10: it is done", got)
	}
	w.quiet()
	if _, err := w.post("/refund/apply", refundBody("o", txn, "r2", "10.00")); err == nil || err.Error() != "status 500" {
		t.Errorf("refund/apply = %v, want status 500", err)
	}
	if got := w.refundStatus("o", "r2"); code(got) != "631" {
		t.Errorf("refund status = %v, want 631: nothing was recorded", got)
	}
}

func TestNotificationRetries(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status int
		tries  int64 // before it is given up
	}{
		{name: "client error is final", status: http.StatusUnauthorized, tries: 1},
		{name: "server error is repeated", status: http.StatusInternalServerError, tries: 10},
		{name: "redirect is repeated, not followed", status: http.StatusFound, tries: 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// The unit is tiny: the whole schedule is 6,318 units long.
			w := start(t, func(o *paytm.Options) { o.NotifyUnit = 20 * time.Microsecond })
			w.answers.Store(int64(tt.status))
			w.press("o", w.open("o"), "approve")
			for range 500 {
				if w.entry("o").Told {
					break
				}
				time.Sleep(4 * time.Millisecond)
			}
			if got := w.tries.Load(); got != tt.tries || !w.entry("o").Told {
				t.Errorf("tries = %d, told = %v, want %d, true", got, w.entry("o").Told, tt.tries)
			}
		})
	}
}

func TestNotificationIsRepeatedUntilTaken(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	w.answers.Store(http.StatusServiceUnavailable)
	w.press("o", w.open("o"), "approve")
	for w.tries.Load() < 2 {
		time.Sleep(time.Millisecond)
	}
	w.answers.Store(http.StatusOK)
	if n := w.notified(); n.form["status"] != "TXN_SUCCESS" {
		t.Errorf("notification = %s, want TXN_SUCCESS", n.Body)
	}
	w.quiet()
}

// TestTellAll: what a rule kept from being heard, or the receiver's absence, is
// told on demand, signed right, and what was taken is not told again.
func TestTellAll(t *testing.T) {
	t.Parallel()
	w := start(t, func(o *paytm.Options) { o.NotifyUnit = time.Hour })
	told := func(want ...string) {
		t.Helper()
		sent, taken := w.sim.TellAll(t.Context())
		if sent != len(want) || taken != len(want) {
			t.Fatalf("TellAll = %d told, %d taken, want %d of %v", sent, taken, len(want), want)
		}
		var got []string
		for range want {
			n := w.notified()
			if !w.key.Verify(n.Body, n.Head.Signature) {
				t.Errorf("notification %s is not signed", n.Body)
			}
			got = append(got, fmt.Sprint(n.form["orderId"]))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("TellAll told of %v, want %v", got, want)
		}
	}
	w.open("unpaid")
	heard := func(order string) {
		for !w.entry(order).Told {
			time.Sleep(time.Millisecond)
		}
	}
	w.press("heard", w.open("heard"), "approve")
	w.notified()
	heard("heard")
	told()
	for _, next := range []fault.Behaviour{fault.Silent, fault.WrongSignature} {
		if err := w.faults.Add(fault.Rule{Next: next, Left: 1}); err != nil {
			t.Fatal(err)
		}
		w.answers.Store(http.StatusUnauthorized)
		w.open(string(next))
		w.until("01", func() map[string]any { return w.status(string(next)) })
	}
	heard(string(fault.WrongSignature))
	w.answers.Store(http.StatusServiceUnavailable)
	before := w.tries.Load()
	w.press("away", w.open("away"), "decline")
	for w.tries.Load() == before { // its own notification meets nobody, and comes again in an hour
		time.Sleep(time.Millisecond)
	}
	if sent, taken := w.sim.TellAll(t.Context()); sent != 3 || taken != 0 {
		t.Errorf("TellAll while nobody listens = %d told, %d taken, want 3, 0", sent, taken)
	}
	w.answers.Store(http.StatusOK)
	told("away", string(fault.Silent), string(fault.WrongSignature))
	told()
	w.quiet()
}

func TestNotificationsWaitForAnAddress(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	w.sim.SetNotifyURL(mid, "")
	w.press("o", w.open("o"), "approve")
	w.quiet()
	receiver := httptest.NewServer(http.HandlerFunc(w.receive))
	t.Cleanup(receiver.Close)
	if !w.sim.SetNotifyURL(mid, receiver.URL) || w.sim.SetNotifyURL("NOBODY", "") {
		t.Error("SetNotifyURL does not know its accounts")
	}
	w.notified()
	w.quiet()
}

// TestRestart loads a second simulator from what the first remembered, as after
// a SIGKILL: nothing that was answered is lost, what was not told is told.
func TestRestart(t *testing.T) {
	t.Parallel()
	w := start(t, func(o *paytm.Options) { o.NotifyUnit = time.Hour })
	txn := w.paidOrder("paid")
	token := w.open("open")
	w.press("left", w.open("left"), "leave")
	w.must("/refund/apply", refundBody("paid", txn, "r", "10.00"))
	w.notified()
	w.answers.Store(http.StatusServiceUnavailable)
	w.press("untold", w.open("untold"), "decline")
	if err := w.faults.Add(fault.Rule{Next: fault.Late, Left: 1}); err != nil {
		t.Fatal(err)
	}
	w.open("late")
	// That the sale and the refund were told is remembered only after their notifications were answered.
	told := func(line []byte) bool { return bytes.Contains(line, []byte(`"told":true`)) }
	for w.tries.Load() < 3 || len(slices.DeleteFunc(w.remembered(), func(line []byte) bool { return !told(line) })) < 2 {
		time.Sleep(time.Millisecond)
	}
	lines := w.remembered()
	w.sim.SetNotifyURL(mid, "") // the first one is gone
	w.answers.Store(http.StatusOK)

	for _, how := range []string{"from the lines", "from a dump"} {
		v := &world{t: t, notices: make(chan notice, 100), faults: &fault.Queue{}, key: w.key}
		v.answers.Store(http.StatusServiceUnavailable) // until the dump is made: it is to hold what was not told
		receiver := httptest.NewServer(http.HandlerFunc(v.receive))
		t.Cleanup(receiver.Close)
		v.sim = v.boot(receiver.URL, nil, lines)
		lines = nil
		if err := v.sim.Dump(func(line []byte) error {
			lines = append(lines, slices.Clone(line))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		v.answers.Store(http.StatusOK)
		for order, want := range map[string]string{"paid": "01", "open": "331", "left": "402", "untold": "227", "none": "331"} {
			if got := v.status(order); code(got) != want {
				t.Errorf("%s: status of %s = %v, want %s", how, order, got, want)
			}
		}
		v.until("01", func() map[string]any { return v.status("late") })
		if got := v.status("paid"); got["txnId"] != txn || got["refundAmt"] != "10.00" {
			t.Errorf("%s: status = %v, want txnId %s and 10.00 refunded", how, got, txn)
		}
		if got := v.must("/refund/apply", refundBody("paid", txn, "r", "10.00")); code(got) != "629" {
			t.Errorf("%s: refund/apply again = %v, want 629", how, got)
		}
		told := map[any]bool{v.notified().form["orderId"]: true, v.notified().form["orderId"]: true}
		if !told["untold"] || !told["late"] {
			t.Errorf("%s: told about %v, want untold and late", how, told)
		}
		v.quiet()
		if got := v.must(initiatePath("open"), initiateBody("open", "25.00")); code(got) != "0002" || got["txnToken"] != token {
			t.Errorf("%s: initiate again = %v, want 0002 with the token of before", how, got)
		}
		if how == "from the lines" {
			continue
		}
		if form := v.press("open", token, "approve"); form["STATUS"] != "TXN_SUCCESS" {
			t.Errorf("%s: press = %v, want TXN_SUCCESS", how, form)
		}
		v.notified()
	}
}

func TestLoadRefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, line string }{
		{name: "not JSON", line: "x"},
		{name: "unknown MID", line: `{"seq":1,"kind":"sale","mid":"NOBODY","id":"o","paise":1}`},
		{name: "gap", line: `{"seq":2,"kind":"sale","mid":"` + mid + `","id":"o","paise":1}`},
		{name: "refund without an order", line: `{"seq":1,"kind":"refund","mid":"` + mid + `","id":"r","order":1,"paise":1}`},
		{name: "news of nothing", line: `{"seq":1,"state":"paid"}`},
	}
	for _, tt := range tests {
		sim, err := paytm.New([]paytm.Account{{MID: mid, Key: secret, Website: website}}, time.Now, paytm.Options{Rand: rand.Reader})
		if err != nil {
			t.Fatal(err)
		}
		if err := sim.Load([]byte(tt.line)); err == nil {
			t.Errorf("%s: Load = nil, want an error", tt.name)
		}
	}
}

func TestNothingIsAnsweredThatCannotBeRemembered(t *testing.T) {
	t.Parallel()
	w := start(t, func(o *paytm.Options) {
		o.Append = func([]byte) error { return errors.New("disk full") }
	})
	if got := w.must(initiatePath("o"), initiateBody("o", "25.00")); code(got) != "501" || got["txnToken"] != nil {
		t.Errorf("initiate = %v, want 501", got)
	}
	if got := w.must(initiatePath("o"), initiateBody("o", "25.00")); code(got) != "501" {
		t.Errorf("initiate again = %v, want 501: nothing was recorded", got)
	}
}

func TestRecordsAreBounded(t *testing.T) {
	t.Parallel()
	w := start(t, func(o *paytm.Options) { o.MaxRecords = 2 })
	w.open("a")
	w.open("b")
	if got := w.must(initiatePath("c"), initiateBody("c", "25.00")); code(got) != "501" {
		t.Errorf("initiate beyond the bound = %v, want 501", got)
	}
}

func TestOversizedAndBrokenRequests(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	for _, tt := range []struct{ name, path, body, want string }{
		{name: "too large", path: initiatePath("o"), body: `{"head":{},"body":"` + strings.Repeat("x", 70<<10) + `"}`, want: "1001"},
		{name: "not JSON", path: initiatePath("o"), body: "x", want: "1001"},
		{name: "no body", path: initiatePath("o"), body: "{}", want: "1001"},
		{name: "status", path: "/v3/order/status", body: "x", want: "501"},
		{name: "refund", path: "/refund/apply", body: "x", want: "600"},
		{name: "refund status", path: "/v2/refund/status", body: "[]", want: "600"},
	} {
		resp, err := http.Post(w.server.URL+"/paytm"+tt.path, "application/json", strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !bytes.Contains(text, []byte(`"resultCode":"`+tt.want+`"`)) {
			t.Errorf("%s: %s, %v, want code %s", tt.name, text, err, tt.want)
		}
	}
}

func TestJournalPages(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	for i := range 5 {
		w.open(fmt.Sprintf("o-%d", i))
	}
	var seen []string
	var after int64
	for more := true; more; {
		var page []paytm.Entry
		page, after, more = w.sim.Journal(mid, after, 2)
		for _, e := range page {
			seen = append(seen, e.OrderID)
		}
	}
	if want := []string{"o-0", "o-1", "o-2", "o-3", "o-4"}; !slices.Equal(seen, want) {
		t.Errorf("journal by pages = %v, want %v", seen, want)
	}
	if page, _, _ := w.sim.Journal("NOBODY", 0, 10); len(page) != 0 {
		t.Errorf("journal of another MID = %+v, want none", page)
	}
	if page, next, more := w.sim.Journal("", 99, 10); len(page) != 0 || next != 5 || more {
		t.Errorf("journal after the end = %v, %d, %v, want none, 5, false", page, next, more)
	}
}

func TestNewRefusesBadAccounts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		accounts []paytm.Account
	}{
		{name: "short key", accounts: []paytm.Account{{MID: mid, Key: "short"}}},
		{name: "no MID", accounts: []paytm.Account{{Key: secret}}},
		{name: "long MID", accounts: []paytm.Account{{MID: strings.Repeat("M", 21), Key: secret}}},
		{name: "twice", accounts: []paytm.Account{{MID: mid, Key: secret}, {MID: mid, Key: secret}}},
	}
	for _, tt := range tests {
		if _, err := paytm.New(tt.accounts, time.Now, paytm.Options{Rand: rand.Reader}); err == nil {
			t.Errorf("%s: New = nil error, want one", tt.name)
		}
	}
	if _, err := paytm.New(nil, nil, paytm.Options{Rand: rand.Reader}); err == nil {
		t.Error("New without a clock = nil error, want one")
	}
}

// BenchmarkInitiateAndStatus is the simulator's own part of a payment under
// load: one initiate decided by a rule, and one look-up.
func BenchmarkInitiateAndStatus(b *testing.B) {
	faults := &fault.Queue{}
	if err := faults.Add(fault.Rule{Next: fault.Silent, Left: fault.MaxCount}); err != nil {
		b.Fatal(err)
	}
	sim, err := paytm.New([]paytm.Account{{MID: mid, Key: secret, Website: website}}, time.Now,
		paytm.Options{Prefix: "/paytm", Faults: faults, Rand: rand.Reader})
	if err != nil {
		b.Fatal(err)
	}
	sim.Start()
	defer sim.Close(context.Background())
	key, err := paytm.NewKey(secret)
	if err != nil {
		b.Fatal(err)
	}
	call := func(path string, body map[string]any) {
		text, err := json.Marshal(body)
		if err != nil {
			b.Fatal(err)
		}
		raw := fmt.Sprintf(`{"head":{"signature":%q},"body":%s}`, key.Checksum(text, "AbC1"), text)
		rec := httptest.NewRecorder()
		sim.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/paytm"+path, strings.NewReader(raw)))
		if rec.Code != http.StatusOK {
			b.Fatalf("%s = %d", path, rec.Code)
		}
	}
	i := 0
	for b.Loop() {
		id := fmt.Sprintf("o-%d", i)
		i++
		call(initiatePath(id), initiateBody(id, "25.00"))
		call("/v3/order/status", map[string]any{"mid": mid, "orderId": id})
	}
}
