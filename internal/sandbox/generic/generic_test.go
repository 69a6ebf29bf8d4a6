package generic_test

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/sandbox/fault"
	"aorta/internal/sandbox/generic"
	"aorta/internal/sandbox/journal"
)

const secret = "a secret of the account"

func sign(text string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(text))
	return "sha256=" + hex.EncodeToString(h.Sum(nil))
}

// bench is a simulator behind a listener, and the platform that it tells.
type bench struct {
	t      *testing.T
	url    string
	faults *fault.Queue
	sim    *generic.Simulator
	back   string // the platform's address

	mu   sync.Mutex
	told []map[string]string // webhooks with a good signature
	bad  int                 // those without
	down int                 // webhooks that are answered 500 first
}

func start(t *testing.T, state string) *bench {
	t.Helper()
	b := &bench{t: t, faults: &fault.Queue{}}
	platform := httptest.NewServer(http.HandlerFunc(b.take))
	t.Cleanup(platform.Close)
	b.back = platform.URL
	var kept *journal.Journal
	opts := generic.Options{
		Prefix: "/generic", Faults: b.faults, Rand: rand.Reader, DecideAfter: time.Millisecond, MoveAfter: time.Millisecond,
		SlowFor: 50 * time.Millisecond, HoldFor: 50 * time.Millisecond, LateAfter: 50 * time.Millisecond, NotifyUnit: time.Millisecond, Workers: 2,
	}
	if state != "" {
		opts.Append = func(line []byte) error { return kept.Append("generic", line) }
	}
	var err error
	b.sim, err = generic.New([]generic.Account{{Name: "a", Secret: secret}, {Name: "b", Secret: "another secret"}}, time.Now, opts)
	if err != nil {
		t.Fatal(err)
	}
	if kept, err = journal.Open(state, map[string]journal.Keeper{"generic": b.sim}); err != nil {
		t.Fatal(err)
	}
	b.sim.Start()
	server := httptest.NewServer(b.sim)
	b.url = server.URL + "/generic"
	t.Cleanup(func() { b.stop(server, kept) })
	return b
}

func (b *bench) stop(server *httptest.Server, kept *journal.Journal) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := b.sim.Close(ctx); err != nil {
		b.t.Error(err)
	}
	server.Close()
	_ = kept.Close()
}

func (b *bench) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var w1 map[string]string
	if err == nil {
		err = json.Unmarshal(body, &w1)
	}
	if err != nil {
		b.t.Errorf("webhook %s: %v", body, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down > 0 {
		b.down--
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	if r.Header.Get("X-Signature") != sign(string(body)) {
		b.bad++
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	b.told = append(b.told, w1)
}

// webhooks waits for n of them about a reference.
func (b *bench) webhooks(reference string, n int) []map[string]string {
	b.t.Helper()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		b.mu.Lock()
		var found []map[string]string
		for _, each := range b.told {
			if each["reference"] == reference {
				found = append(found, each)
			}
		}
		b.mu.Unlock()
		if len(found) >= n {
			return found
		}
		if time.Now().After(end) {
			b.t.Fatalf("%d webhooks about %s, want %d", len(found), reference, n)
		}
	}
}

// call sends a signed request and checks that the answer is signed to it.
func (b *bench) call(method, path, body string) (int, map[string]any) {
	b.t.Helper()
	return b.ask(method, path, body, func(*http.Request) {})
}

func (b *bench) ask(method, path, body string, change func(*http.Request)) (int, map[string]any) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	var named struct{ Reference string }
	_ = json.Unmarshal([]byte(body), &named)
	r.Header.Set("X-Account", "a")
	r.Header.Set("X-Timestamp", at)
	r.Header["Idempotency-key"] = []string{cmp.Or(named.Reference, "att_1")} // so written, net/http does not send it twice
	r.Header.Set("X-Signature", sign(at+"\n"+method+"\n"+path+"\n"+body))
	change(r)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	var out map[string]any
	if json.Unmarshal(text, &out) != nil {
		return resp.StatusCode, nil
	}
	out["signed"] = resp.Header.Get("X-Signature") == sign(strconv.Itoa(resp.StatusCode)+"\n"+r.Header.Get("X-Signature")+"\n"+string(text))
	return resp.StatusCode, out
}

func (b *bench) payment(reference, method, amount, currency string) string {
	return fmt.Sprintf(`{"amount":%q,"currency":%q,"method":%q,"reference":%q,"payment_id":"pay_1","return_url":%q,"notify_url":%q}`,
		amount, currency, method, reference, b.back+"/back", b.back+"/n")
}

func (b *bench) begin(reference, method, amount, currency string) map[string]any {
	b.t.Helper()
	status, out := b.call("POST", "/v1/payments/init", b.payment(reference, method, amount, currency))
	if status != http.StatusOK || out["status"] != "pending" || out["signed"] != true || out["amount"] != amount {
		b.t.Fatalf("init = %d %v", status, out)
	}
	return out
}

func (b *bench) status(of, reference string) string {
	b.t.Helper()
	status, out := b.call("GET", "/v1/"+of+"/"+reference, "")
	if status != http.StatusOK || out["signed"] != true {
		b.t.Fatalf("look-up = %d %v", status, out)
	}
	return fmt.Sprint(out["status"])
}

var noFollow = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// page presses the buttons of a payment's page and gives where that leads.
func (b *bench) page(redirect string, presses ...string) string {
	b.t.Helper()
	resp, err := noFollow.Get(redirect)
	for _, action := range presses {
		if err != nil {
			b.t.Fatal(err)
		}
		raw, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || !strings.Contains(string(raw), `<button name="action" value="leave">`) {
			b.t.Fatalf("page %d %s", resp.StatusCode, raw)
		}
		form := url.Values{"action": {action}}
		for _, m := range regexp.MustCompile(`<input type="hidden" name="([a-z]+)" value="([^"]*)">`).FindAllStringSubmatch(string(raw), -1) {
			form.Set(m[1], m[2])
		}
		at := regexp.MustCompile(`action="([^"]+)"`).FindStringSubmatch(string(raw))
		resp, err = noFollow.PostForm(strings.TrimSuffix(b.url, "/generic")+at[1], form)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.Header.Get("Location")
}

func TestPages(t *testing.T) {
	t.Parallel()
	tests := []struct {
		method, currency, amount string
		presses                  []string
		want, code               string
	}{
		{"card", "EUR", "50.00", []string{"approve", "approve"}, "captured", ""},
		{"card", "JPY", "500", []string{"approve", "decline"}, "failed", "authentication_failed"},
		{"card", "INR", "0.01", []string{"decline"}, "failed", "declined"},
		{"bank", "EUR", "50.00", []string{"approve", "approve"}, "captured", ""},
		{"bank", "EUR", "50.00", []string{"approve", "decline"}, "failed", "cancelled"},
		{"wallet", "JPY", "1", []string{"approve"}, "captured", ""},
		{"wallet", "JPY", "1", []string{"leave"}, "pending", ""},
		{"card", "EUR", "50.00", []string{"approve", "leave"}, "pending", ""},
	}
	b := start(t, "")
	for n, test := range tests {
		reference := fmt.Sprint("att_", n)
		begun := b.begin(reference, test.method, test.amount, test.currency)
		if to := b.page(fmt.Sprint(begun["redirect_url"]), test.presses...); to != b.back+"/back" {
			t.Errorf("%v leads to %q, want back to the merchant", test, to)
		}
		if got := b.status("payments", reference); got != test.want {
			t.Errorf("%v: the payment is %s", test, got)
		}
		if test.want == "pending" {
			continue
		}
		told := b.webhooks(reference, 1)[0]
		if told["status"] != test.want || told["code"] != test.code || told["amount"] != test.amount || told["payment_id"] != "pay_1" || told["event_id"] == "" {
			t.Errorf("%v: told %v", test, told)
		}
	}
	begun := b.begin("att_x", "card", "1.00", "EUR")
	if to := b.page(strings.Replace(fmt.Sprint(begun["redirect_url"]), "token=", "token=0", 1)); to != "" || b.status("payments", "att_x") != "pending" {
		t.Error("a page without its token does something")
	}
}

// TestFaults: what each behaviour does to payments, refunds and payouts.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"sale", "refund", "payout"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := start(t, "")
			done := "succeeded"
			if kind == "sale" {
				done = "captured"
			}
			tests := []struct {
				next     fault.Behaviour
				answer   int // 0: none
				becomes  string
				webhooks int
				amount   string
			}{
				{fault.Approve, 200, done, 1, "5.00"},
				{fault.Decline, 200, "failed", 1, "5.00"},
				{fault.Silent, 200, done, 0, "5.00"},
				{fault.Timeout, 0, done, 0, "5.00"},
				{fault.Duplicate, 200, done, 3, "5.00"},
				{fault.Late, 200, done, 1, "5.00"},
				{fault.WrongAmount, 200, done, 1, "6.00"},
				{fault.WrongSignature, 200, done, 0, "5.00"},
				{fault.HTTP500, 500, "", 0, ""},
				{fault.Slow, 200, done, 1, "5.00"},
			}
			for _, test := range tests {
				reference, of := "att_"+string(test.next), "payments"
				path, body := "/v1/payments/init", b.payment(reference, "card", "5.00", "EUR")
				switch kind {
				case "refund":
					paid := b.begin("paid_"+string(test.next), "wallet", "5.00", "EUR")
					b.page(fmt.Sprint(paid["redirect_url"]), "approve")
					of, path = "refunds", "/v1/refunds/init"
					body = fmt.Sprintf(`{"amount":"5.00","currency":"EUR","reference":%q,"payment_reference":"paid_%s","notify_url":%q}`, reference, test.next, b.back)
				case "payout":
					of, path = "payouts", "/v1/payouts/init"
				}
				if err := b.faults.Add(fault.Rule{Next: test.next, Operation: kind, Left: 1}); err != nil {
					t.Fatal(err)
				}
				begun := time.Now()
				if status, out := b.call("POST", path, body); status != test.answer {
					t.Errorf("%s: init = %d %v, want %d", test.next, status, out, test.answer)
				}
				if took := time.Since(begun); (test.next == fault.Slow) != (took >= 50*time.Millisecond) && test.next != fault.Timeout {
					t.Logf("%s took %s", test.next, took)
				}
				if test.next == fault.HTTP500 {
					if status, out := b.call("GET", "/v1/"+of+"/"+reference, ""); status != http.StatusNotFound || out["error"] != "not_found" || out["signed"] != true {
						t.Errorf("look-up of what never was = %d %v", status, out)
					}
					continue
				}
				want := test.becomes
				if test.next == fault.Timeout && kind == "sale" {
					want = "pending" // nobody was sent to its page
				}
				if test.next == fault.Late {
					if got := b.status(of, reference); got != "pending" {
						t.Errorf("late: it is %s at once", got)
					}
				}
				for end := time.Now().Add(5 * time.Second); b.status(of, reference) != want; time.Sleep(time.Millisecond) {
					if time.Now().After(end) {
						t.Fatalf("%s: it is %s, want %s", test.next, b.status(of, reference), want)
					}
				}
				told := b.webhooks(reference, test.webhooks)
				for _, each := range told {
					if each["status"] != want || each["amount"] != test.amount || each["event_id"] != told[0]["event_id"] {
						t.Errorf("%s: told %v", test.next, each)
					}
				}
			}
			for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
				b.mu.Lock()
				bad := b.bad
				b.mu.Unlock()
				if bad == 1 {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("%d webhooks were signed with another key, want 1", bad)
				}
			}
			// silent, wrong_signature and, where it moved money, timeout
			want := 2
			if kind != "sale" {
				want = 3
			}
			if told, taken := b.sim.TellAll(t.Context()); told < want || taken != told {
				t.Errorf("TellAll told %d, of which %d were taken, want %d at least", told, taken, want)
			}
			if got := b.webhooks("att_wrong_signature", 1)[0]; got["status"] != done {
				t.Errorf("told at last: %v", got)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	b := start(t, "")
	good := b.payment("att_1", "card", "5.00", "EUR")
	replace := func(from, to string) string {
		if !strings.Contains(good, from) {
			t.Fatalf("no %s in %s", from, good)
		}
		return strings.Replace(good, from, to, 1)
	}
	resign := func(r *http.Request, secret, at string) {
		body, _ := r.GetBody()
		text, _ := io.ReadAll(body)
		h := hmac.New(sha256.New, []byte(secret))
		h.Write([]byte(at + "\n" + r.Method + "\n" + strings.TrimPrefix(r.URL.Path, "/generic") + "\n" + string(text)))
		r.Header.Set("X-Timestamp", at)
		r.Header.Set("X-Signature", "sha256="+hex.EncodeToString(h.Sum(nil)))
	}
	now := func(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).Unix(), 10) }
	tests := []struct {
		name   string
		path   string
		body   string
		change func(*http.Request)
		status int
		code   string
		signed bool
	}{
		{name: "no account", body: good, change: func(r *http.Request) { r.Header.Del("X-Account") }, status: 401, code: "invalid_signature"},
		{name: "another's account", body: good, change: func(r *http.Request) { r.Header.Set("X-Account", "b") }, status: 401, code: "invalid_signature"},
		{name: "another secret", body: good, change: func(r *http.Request) { resign(r, "guess", now(0)) }, status: 401, code: "invalid_signature"},
		{name: "another time than signed", body: good, change: func(r *http.Request) { r.Header.Set("X-Timestamp", now(time.Second)) }, status: 401, code: "invalid_signature"},
		{name: "replayed", body: good, change: func(r *http.Request) { resign(r, secret, now(-6*time.Minute)) }, status: 401, code: "invalid_signature", signed: true},
		{name: "ahead", body: good, change: func(r *http.Request) { resign(r, secret, now(6*time.Minute)) }, status: 401, code: "invalid_signature", signed: true},
		{name: "no key", body: good, change: func(r *http.Request) { delete(r.Header, "Idempotency-key") }, status: 400, code: "idempotency_key_missing", signed: true},
		{name: "another key", body: good, change: func(r *http.Request) { r.Header["Idempotency-key"] = []string{"x"} }, status: 400, code: "bad_header", signed: true},
		{name: "not JSON", body: "x", status: 400, code: "malformed_json", signed: true},
		{name: "unknown member", body: replace(`"method"`, `"card":"4111","method"`), status: 400, code: "malformed_json", signed: true},
		{name: "amount as a number", body: replace(`"5.00"`, `5`), status: 400, code: "malformed_json", signed: true},
		{name: "too exact", body: replace(`"5.00"`, `"5.001"`), status: 422, code: "validation_failed", signed: true},
		{name: "nothing", body: replace(`"5.00"`, `"0.00"`), status: 422, code: "validation_failed", signed: true},
		{name: "negative", body: replace(`"5.00"`, `"-5.00"`), status: 422, code: "validation_failed", signed: true},
		{name: "yen with decimals", body: b.payment("att_1", "card", "5.00", "JPY"), status: 422, code: "validation_failed", signed: true},
		{name: "dollars", body: replace(`"EUR"`, `"USD"`), status: 422, code: "currency_not_supported", signed: true},
		{name: "cash", body: replace(`"card"`, `"cash"`), status: 422, code: "method_not_supported", signed: true},
		{name: "a script to return to", body: replace(b.back+"/back", "javascript:x"), status: 422, code: "validation_failed", signed: true},
		{name: "a refund of nothing", path: "/v1/refunds/init", body: `{"amount":"5.00","currency":"EUR","reference":"att_2","payment_reference":"att_0"}`, status: 404, code: "not_found", signed: true},
	}
	for _, test := range tests {
		path := test.path
		if path == "" {
			path = "/v1/payments/init"
		}
		change := test.change
		if change == nil {
			change = func(*http.Request) {}
		}
		status, out := b.ask("POST", path, test.body, change)
		trace, _ := out["trace_id"].(string)
		if status != test.status || out["error"] != test.code || out["signed"] != test.signed || len(trace) != 32 || out["details"] == nil {
			t.Errorf("%s = %d %v, want %d %s, signed %t", test.name, status, out, test.status, test.code, test.signed)
		}
	}
	if entries, _, _ := b.sim.Journal("", 0, 10); len(entries) != 0 {
		t.Errorf("refused, and yet remembered: %+v", entries)
	}
	first := b.begin("att_1", "wallet", "5.00", "EUR")
	if again := b.begin("att_1", "wallet", "5.00", "EUR"); again["transaction_id"] != first["transaction_id"] {
		t.Errorf("repeated: %v, want %v", again, first)
	}
	if status, out := b.call("POST", "/v1/payments/init", b.payment("att_1", "wallet", "5.01", "EUR")); status != 409 || out["error"] != "idempotency_conflict" {
		t.Errorf("the same reference for something else = %d %v", status, out)
	}
	refund := func(reference, amount string) (int, map[string]any) {
		return b.call("POST", "/v1/refunds/init", fmt.Sprintf(`{"amount":%q,"currency":"EUR","reference":%q,"payment_reference":"att_1"}`, amount, reference))
	}
	if status, out := refund("r_0", "1.00"); status != 409 || out["error"] != "state_conflict" {
		t.Errorf("refund of what is not captured = %d %v", status, out)
	}
	b.page(fmt.Sprint(first["redirect_url"]), "approve")
	if status, out := refund("r_1", "3.00"); status != 200 {
		t.Errorf("refund = %d %v", status, out)
	}
	if status, out := refund("r_2", "2.01"); status != 422 || out["error"] != "refund_exceeds_captured" {
		t.Errorf("refund of more than is left = %d %v", status, out)
	}
	if status, out := b.call("GET", "/v1/statements/yesterday", ""); status != 422 || out["signed"] != true {
		t.Errorf("statement of no day = %d %v", status, out)
	}
}

// TestItRemembers: what was answered for is there after a restart, and what was
// not yet told is told.
func TestItRemembers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	var before []generic.Entry
	t.Run("before", func(t *testing.T) {
		b := start(t, path)
		for _, each := range []struct{ reference, press string }{{"att_paid", "approve"}, {"att_no", "decline"}, {"att_left", "leave"}} {
			b.page(fmt.Sprint(b.begin(each.reference, "wallet", "5.00", "EUR")["redirect_url"]), each.press)
		}
		b.begin("att_open", "card", "500", "JPY")
		b.page(fmt.Sprint(b.begin("att_3ds", "card", "5.00", "EUR")["redirect_url"]), "approve", "decline")
		if status, out := b.call("POST", "/v1/refunds/init", `{"amount":"2.00","currency":"EUR","reference":"r_1","payment_reference":"att_paid"}`); status != 200 {
			t.Fatalf("refund = %d %v", status, out)
		}
		if status, out := b.call("POST", "/v1/payouts/init", b.payment("p_1", "bank", "7.00", "EUR")); status != 200 {
			t.Fatalf("payout = %d %v", status, out)
		}
		for _, of := range []string{"refunds/r_1", "payouts/p_1"} {
			kind, reference, _ := strings.Cut(of, "/")
			for b.status(kind, reference) != "succeeded" {
				time.Sleep(time.Millisecond)
			}
		}
		b.webhooks("att_paid", 1)
		b.webhooks("p_1", 1)
		before, _, _ = b.sim.Journal("a", 0, 100)
		if len(before) != 7 || before[0].RefundedMinor != 200 {
			t.Fatalf("journal %+v", before)
		}
	})
	b := start(t, path)
	after, _, _ := b.sim.Journal("a", 0, 100)
	for n := range before {
		before[n].Told, after[n].Told = true, true
		if after[n] != before[n] {
			t.Errorf("after a restart %+v, want %+v", after[n], before[n])
		}
	}
	if got := fmt.Sprint(b.status("payments", "att_left"), b.status("payments", "att_open"), b.status("payments", "att_3ds")); got != "pendingpendingfailed" {
		t.Errorf("after a restart: %s", got)
	}
	if status, out := b.call("POST", "/v1/refunds/init", `{"amount":"3.01","currency":"EUR","reference":"r_2","payment_reference":"att_paid"}`); status != 422 {
		t.Errorf("a refund of more than is left, after a restart = %d %v", status, out)
	}
}

// TestInstruments: a customer has the same card, wallet and bank account for ever,
// and is paid to the one that is named.
func TestInstruments(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	with := func(reference, method, customer, destination string) string {
		return fmt.Sprintf(`{"amount":"5.00","currency":"EUR","method":%q,"reference":%q,"customer_id":%q,"destination":%q}`, method, reference, customer, destination)
	}
	told := map[string]any{} // by method
	run := func(t *testing.T, suffix string) {
		b := start(t, path)
		for method, presses := range map[string][]string{"card": {"approve", "approve"}, "wallet": {"approve"}, "bank": {"approve", "approve"}} {
			reference := "att_" + method + suffix
			status, out := b.call("POST", "/v1/payments/init", with(reference, method, "7", ""))
			if status != 200 || out["instrument"] != nil {
				t.Fatalf("init = %d %v, want no instrument before one is used", status, out)
			}
			b.page(fmt.Sprint(out["redirect_url"]), presses...)
			_, out = b.call("GET", "/v1/payments/"+reference, "")
			said, _ := out["instrument"].(map[string]any)
			if said["kind"] != method || said["label"] == "" || said["holder"] != "Customer 7" {
				t.Errorf("paid by %s: %v", method, out)
			}
			if was := told[method]; was != nil && was != said["token"] {
				t.Errorf("after a restart the %s is %v, want %v", method, said["token"], was)
			}
			told[method] = said["token"]
		}
	}
	t.Run("before", func(t *testing.T) { run(t, "_1") })
	run(t, "_2")
	b := start(t, "")
	if told["card"] == told["bank"] || told["card"] == told["wallet"] {
		t.Fatalf("one name for two instruments: %v", told)
	}
	status, out := b.call("POST", "/v1/payouts/init", with("p_1", "bank", "7", fmt.Sprint(told["bank"])))
	if said, _ := out["instrument"].(map[string]any); status != 200 || said["token"] != told["bank"] {
		t.Errorf("payout to %v = %d %v", told["bank"], status, out)
	}
	for _, wrong := range []string{with("p_2", "bank", "8", fmt.Sprint(told["bank"])), with("p_2", "card", "7", fmt.Sprint(told["bank"])), with("p_2", "bank", "", fmt.Sprint(told["bank"]))} {
		if status, out := b.call("POST", "/v1/payouts/init", wrong); status != 422 || out["error"] != "destination_unknown" {
			t.Errorf("payout of %s = %d %v, want destination_unknown", wrong, status, out)
		}
	}
	entries, _, _ := b.sim.Journal("a", 0, 10)
	if len(entries) != 1 || entries[0].Destination != told["bank"] || entries[0].Instrument != told["bank"] || entries[0].Customer != "7" {
		t.Errorf("journal %+v, want the one payout to %v", entries, told["bank"])
	}
}

// TestRetries: a webhook that is not taken comes again.
func TestRetries(t *testing.T) {
	t.Parallel()
	b := start(t, "")
	b.down = 2
	b.page(fmt.Sprint(b.begin("att_1", "wallet", "5.00", "EUR")["redirect_url"]), "approve")
	b.webhooks("att_1", 1)
}

// TestStatementPages: a day of many movements comes in pages, none twice.
func TestStatementPages(t *testing.T) {
	t.Parallel()
	b := start(t, "")
	const many = 1_003
	for n := range many {
		if status, _ := b.call("POST", "/v1/payouts/init", fmt.Sprintf(`{"amount":"%d","currency":"JPY","method":"bank","reference":"p_%d"}`, n+1, n)); status != 200 {
			t.Fatal("payout refused")
		}
	}
	for end := time.Now().Add(10 * time.Second); b.status("payouts", fmt.Sprint("p_", many-1)) != "succeeded" && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	seen, pages := map[string]bool{}, 0
	after, day := "", time.Now().UTC().Format(time.DateOnly)
	for {
		_, out := b.call("GET", "/v1/statements/"+day+after, "")
		lines, _ := out["lines"].([]any)
		for _, each := range lines {
			line, _ := each.(map[string]any)
			seen[fmt.Sprint(line["reference"])] = true
		}
		pages++
		if out["next"] == nil {
			break
		}
		after = "?after=" + fmt.Sprint(out["next"])
	}
	if len(seen) != many && len(seen) != 0 || pages != 2 { // 0: midnight fell between
		t.Errorf("%d movements on %d pages, want %d on 2", len(seen), pages, many)
	}
}
