package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"aorta/internal/operator"
	peer "aorta/internal/sandbox/google"
)

// needsGPG skips a test where there is no gpg; in `make test` that is a failure.
func needsGPG(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("gpg"); err != nil {
		if os.Getenv("AORTA_TEST_ALL") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// googleDemo runs a demo that has Google.
func googleDemo(t *testing.T, more ...string) (d ready, data string) {
	t.Helper()
	needsGPG(t)
	data = filepath.Join(t.TempDir(), "data")
	return demoAt(t, data, more...), data
}

func demoAt(t *testing.T, data string, more ...string) (d ready) {
	t.Helper()
	args := []string{"demo", "--json", "--data", data, "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0"}
	out := launch(t, append(args, more...)...)
	if err := json.NewDecoder(out).Decode(&d); err != nil || !d.Ready {
		t.Fatalf("ready line %+v: %v", d, err)
	}
	return d
}

func fetched(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// wished is what Google's control door answers: one answer for each copy.
type wished struct {
	RequestID string `json:"request_id"`
	Answers   []struct {
		Status  int
		Body    map[string]any
		Trouble string
	}
	Error string
}

func wish(t *testing.T, sandbox, body string) (w wished) {
	t.Helper()
	resp, err := http.Post(sandbox+"/google/control", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&w); err != nil {
		t.Fatalf("the control door answers %d: %v", resp.StatusCode, err)
	}
	return w
}

// TestDemoGoogleEcho: the keys of a demo fit from its first second, both ways, and
// what Google's probe tries is refused.
func TestDemoGoogleEcho(t *testing.T) {
	t.Parallel()
	d, data := googleDemo(t)
	if status, page := fetched(t, d.Sandbox+"/google"); status != http.StatusOK || !strings.Contains(page, "<h1>") {
		t.Errorf("Google's page: %d %s", status, page)
	}
	const echo = `{"call":"echo","request_id":"ech-1","members":{"clientMessage":"ping"}`
	for _, tt := range []struct {
		name, body string
		status     int
		code       string // errorResponseCode, or what came back
	}{
		{"as it should be", echo + "}", 200, "ping"},
		{"59 seconds old", echo + `,"how":{"skew_ms":-59000}}`, 200, "ping"},
		{"61 seconds old", echo + `,"how":{"skew_ms":-61000}}`, 400, "REQUEST_TIMESTAMP_OUT_OF_RANGE"},
		{"61 seconds early", echo + `,"how":{"skew_ms":61000}}`, 400, "REQUEST_TIMESTAMP_OUT_OF_RANGE"},
		{"signed by a stranger", echo + `,"how":{"signer":"stranger"}}`, 401, "INVALID_PAYLOAD_SIGNATURE"},
		{"not signed", echo + `,"how":{"signer":"none"}}`, 401, "INVALID_PAYLOAD_SIGNATURE"},
		{"signed by a stranger and Google", echo + `,"how":{"signer":"both"}}`, 200, "ping"},
		{"signed with SHA-1", echo + `,"how":{"digest":"SHA1"}}`, 401, "INVALID_PAYLOAD_SIGNATURE"},
		{"signed with SHA-512", echo + `,"how":{"digest":"SHA512"}}`, 200, "ping"},
		{"encrypted to a stranger", echo + `,"how":{"recipient":"stranger"}}`, 400, "INVALID_PAYLOAD_ENCRYPTION"},
		{"not encrypted", echo + `,"how":{"recipient":"none"}}`, 400, "INVALID_PAYLOAD_ENCRYPTION"},
		{"an account of somebody else", echo + `,"how":{"account":"OTHER_INR"}}`, 404, "INVALID_IDENTIFIER"},
		{"a comma too many", echo + `,"how":{"text":"{\"clientMessage\":\"ping\",}"}}`, 400, "INVALID_DECRYPTED_REQUEST"},
		{"a number for a text", echo + `,"how":{"change":{"clientMessage":7}}}`, 400, "INVALID_DECRYPTED_REQUEST"},
		{"nothing said", echo + `,"how":{"change":{"clientMessage":null}}}`, 400, "MISSING_REQUIRED_FIELD"},
		{"of another version", echo + `,"how":{"change":{"requestHeader":{"requestId":"x","requestTimestamp":"1","protocolVersion":{"major":2}}}}}`, 400, "INVALID_API_VERSION"},
		{"no such method", `{"call":"echoes","members":{}}`, 404, ""},
	} {
		w := wish(t, d.Sandbox, tt.body)
		if len(w.Answers) != 1 {
			t.Errorf("%s: %+v", tt.name, w)
			continue
		}
		said := w.Answers[0].Body["clientMessage"]
		if tt.status != http.StatusOK {
			said = w.Answers[0].Body["errorResponseCode"]
		}
		if w.Answers[0].Status != tt.status || tt.code != "" && said != tt.code {
			t.Errorf("%s: %+v, want %d %s", tt.name, w.Answers[0], tt.status, tt.code)
		}
	}
	// The very bytes again are answered while they are fresh; many at once are many.
	wish(t, d.Sandbox, echo+"}")
	if w := wish(t, d.Sandbox, `{"call":"echo","request_id":"ech-1","how":{"replay":true,"copies":4,"together":true}}`); len(w.Answers) != 4 || w.Answers[3].Status != 200 {
		t.Errorf("replayed: %+v", w)
	}
	if w := wish(t, d.Sandbox, `{"call":"echo","request_id":"ech-1","how":{"lose":true}}`); len(w.Answers) != 1 || w.Answers[0].Status != 0 {
		t.Errorf("lost: %+v", w)
	}
	for name, body := range map[string]string{"many copies": `{"call":"echo","how":{"copies":33}}`, "no call": `{}`, "a misspelt wish": `{"cal":"echo"}`, "a replay of nothing": `{"call":"echo","request_id":"never","how":{"replay":true}}`} {
		if w := wish(t, d.Sandbox, body); w.Error == "" {
			t.Errorf("%s: %+v", name, w)
		}
	}

	// The other way: Aorta calls Google, as `aorta keys google echo` does.
	config := write(t, t.TempDir(), "aorta.toml", fmt.Sprintf("data = %q\n%s[[google]]\nname = \"demo\"\nproject = 200\naccounts = [\"%s\"]\ngoogle_url = %q\n", data, walletProject, demoGoogleAccount, d.Sandbox), 0o600)
	ask := func(next string) (string, error) {
		t.Helper()
		if next != "" {
			resp, err := http.Post(d.Sandbox+"/control", "application/json", strings.NewReader(`{"connector":"google","next":"`+next+`","operation":"echo"}`))
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("the control door: %v", err)
			}
			resp.Body.Close()
		}
		out, _, err := aorta(t, "keys", "google", "echo", "--config", config, "demo")
		return out, err
	}
	if out, err := ask(""); err != nil || !strings.Contains(out, `"ok":true,"server_message":"google sandbox"`) {
		t.Errorf("echo of Google: %s, %v", out, err)
	}
	for next, says := range map[string]string{"http_500": "status 500", "http_429": "status 429", "wrong_signature": "does not open"} {
		if out, err := ask(next); !errors.Is(err, errNoEcho) || !strings.Contains(out, says) {
			t.Errorf("echo of Google that does %s: %s, %v", next, out, err)
		}
	}
	other := bytes.Replace([]byte(mustRead(t, config)), []byte(demoGoogleAccount), []byte("OTHER_INR"), 1)
	config = write(t, t.TempDir(), "aorta.toml", string(other), 0o600)
	if out, err := ask(""); !errors.Is(err, errNoEcho) || !strings.Contains(out, "status 404") {
		t.Errorf("echo under an account that is not ours: %s, %v", out, err)
	}
	if status, page := fetched(t, d.Sandbox+"/google/wire"); status != http.StatusOK || !strings.Contains(page, "Aorta → Google") || !strings.Contains(page, "INVALID_PAYLOAD_SIGNATURE") {
		t.Errorf("the wire: %d", status)
	}
	resp, err := http.PostForm(d.Sandbox+"/google/echo", nil)
	if err != nil {
		t.Fatal(err)
	}
	page, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if !bytes.Contains(page, []byte("the keys fit, both ways")) {
		t.Errorf("the button says %s", page)
	}
}

// TestDemoKeysStay: a demo that starts again has the keys of before, and makes one
// for each that has gone.
func TestDemoKeysStay(t *testing.T) {
	t.Parallel()
	needsGPG(t)
	data := filepath.Join(t.TempDir(), strings.Repeat("long-", 20)) // longer than a socket's path may be
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	begin := func() string {
		t.Helper()
		k, err := demoGoogleKeys(t.Context(), data)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := k.Close(); err != nil {
				t.Error(err)
			}
		}()
		return k.Fingerprint() + " " + mustRead(t, filepath.Join(demoKeyring(data), "keys.json"))
	}
	first := begin()
	if again := begin(); again != first {
		t.Errorf("first %s, then %s", first, again)
	}
	if err := os.RemoveAll(demoKeyring(data)); err != nil {
		t.Fatal(err)
	}
	if anew := begin(); anew == first || !strings.Contains(anew, first[:40]) || strings.Count(anew, `"active"`) != 2 {
		t.Errorf("after ours were lost: %s", anew)
	}
}

// TestDemoWithoutGPG: everything but Google works, and the page says why.
func TestDemoWithoutGPG(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := peer.OpenKeys(t.Context(), t.TempDir()); !errors.Is(err, peer.ErrNoGPG) {
		t.Fatalf("there is a gpg: %v", err)
	}
	d := demoAt(t, filepath.Join(t.TempDir(), "data"))
	for path, want := range map[string]string{"/google": "apt install gnupg", "/google/wire": "apt install gnupg", "/shop": "Darjeeling"} {
		if _, page := fetched(t, d.Sandbox+path); !strings.Contains(page, want) {
			t.Errorf("%s does not say %q: %s", path, want, page)
		}
	}
	settles(t, http.DefaultClient, d.Public, d.Sandbox, d.Project)
}

// press sends a form of a page, with the fields that it hides, and gives the page
// that comes of it.
func press(t *testing.T, client *http.Client, at *url.URL, page, button string, more url.Values) (*url.URL, string) {
	t.Helper()
	for _, form := range regexp.MustCompile(`(?s)<form[^>]*method="post" action="([^"]*)"[^>]*>(.*?)</form>`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(form[2], button) {
			continue
		}
		fields := url.Values{}
		for _, hidden := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`).FindAllStringSubmatch(form[2], -1) {
			fields.Set(hidden[1], html.UnescapeString(hidden[2]))
		}
		for name, values := range more {
			fields[name] = values
		}
		to, err := at.Parse(html.UnescapeString(form[1]))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.PostForm(to.String(), fields)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.Request.URL, string(text)
	}
	t.Fatalf("%s has no form with %q: %s", at, button, page)
	return nil, ""
}

// linkWallet links the wallet of the demo's first customer as a browser does, with
// ₹2,000.00 in it, and gives its association.
func linkWallet(t *testing.T, client *http.Client, d ready) string {
	t.Helper()
	at, err := url.Parse(d.Sandbox + "/google?user=sally")
	if err != nil {
		t.Fatal(err)
	}
	_, page := fetched(t, at.String())
	who := d.Customers[0]
	at, page = press(t, client, at, page, "Give "+who.CustomerID, nil)
	at, page = press(t, client, at, page, "Link at Aorta", nil)
	at, page = press(t, client, at, page, `value="signin"`, url.Values{"name": {who.Name}, "password": {who.Password}, "do": {"signin"}})
	at, page = press(t, client, at, page, `value="link"`, url.Values{"do": {"link"}})
	association := regexp.MustCompile(`assoc_\w+`).FindString(page)
	if !strings.HasPrefix(at.Query().Get("says"), "Linked: ") || association == "" || strings.Count(page, `<li class="done">`) != 8 {
		t.Fatalf("linking ends at %s: %s", at, page)
	}
	return association
}

func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar}
}

// TestDemoGooglePurchases links a wallet as a browser does, and buys with it what
// Google's control door sends once, twice, at once, changed, late and forged.
func TestDemoGooglePurchases(t *testing.T) {
	t.Parallel()
	d, _ := googleDemo(t)
	wallet := linkWallet(t, browser(t), d)
	const body = `"members":{"paymentIntegratorAccountId":"AORTA_DEMO_INR","transactionDescription":"t","currencyCode":"INR","amount":"10000000","captureContext":{}}`
	capture := func(id, how string) string {
		return `{"call":"capture","request_id":"` + id + `","token_of":"` + wallet + `",` + body + `,"how":{` + how + `}}`
	}
	refund := func(id, micros, how string) string {
		return `{"call":"refund","request_id":"` + id + `","members":{"paymentIntegratorAccountId":"AORTA_DEMO_INR","captureRequestId":"c1","currencyCode":"INR","refundAmount":"` + micros + `"},"how":{` + how + `}}`
	}
	for _, tt := range []struct {
		name, body string
		copies     int
		status     int
		word       string // result, or errorResponseCode
	}{
		{"eight at once", capture("c1", `"copies":8,"together":true`), 8, 200, "SUCCESS"},
		{"a retry", `{"call":"capture","request_id":"c1"}`, 1, 200, "SUCCESS"},
		{"the same bytes", `{"call":"capture","request_id":"c1","how":{"replay":true}}`, 1, 200, "SUCCESS"},
		{"another amount", `{"call":"capture","request_id":"c1","how":{"change":{"amount":"20000000"}}}`, 1, 412, "IDEMPOTENCY_VIOLATION"},
		{"another token", `{"call":"capture","request_id":"c1","how":{"change":{"googlePaymentToken":"nobodys"}}}`, 1, 412, "IDEMPOTENCY_VIOLATION"},
		{"a lost answer", capture("c2", `"lose":true`), 1, 0, ""},
		{"after it", `{"call":"capture","request_id":"c2"}`, 1, 200, "SUCCESS"},
		{"an old time", capture("c3", `"skew_ms":-61000`), 1, 400, "REQUEST_TIMESTAMP_OUT_OF_RANGE"},
		{"a stranger", capture("c3", `"signer":"stranger"`), 1, 401, "INVALID_PAYLOAD_SIGNATURE"},
		{"somebody else's account", capture("c3", `"account":"OTHER_INR"`), 1, 404, "INVALID_IDENTIFIER"},
		{"a token of nobody", capture("c3", `"change":{"googlePaymentToken":"nobodys"}`), 1, 404, "INVALID_IDENTIFIER"},
		{"half a paisa", capture("c3", `"change":{"amount":"5000"}`), 1, 400, "INVALID_FIELD_VALUE"},
		{"more than there is", capture("c4", `"change":{"amount":"4000000000"}`), 1, 200, "INSUFFICIENT_FUNDS"},
		{"a refund, four at once", refund("r1", "6000000", `"copies":4,"together":true`), 4, 200, "SUCCESS"},
		{"more than is left", refund("r2", "5000000", ""), 1, 400, "PRECONDITION_VIOLATION"},
		{"what is left", refund("r2", "4000000", ""), 1, 200, "SUCCESS"},
		{"nothing is left", refund("r3", "4000000", ""), 1, 200, "NO_MONEY_LEFT_ON_TRANSACTION"},
	} {
		w := wish(t, d.Sandbox, tt.body)
		if len(w.Answers) != tt.copies {
			t.Errorf("%s: %+v", tt.name, w)
		}
		for _, a := range w.Answers {
			word, _ := a.Body["result"].(string)
			if a.Status != http.StatusOK {
				word, _ = a.Body["errorResponseCode"].(string)
			}
			if a.Status != tt.status || word != tt.word {
				t.Errorf("%s: %+v, want %d %s", tt.name, a, tt.status, tt.word)
			}
		}
	}
	// Two purchases of 10.00, of which one was given back in whole.
	if _, page := fetched(t, d.Sandbox+"/google"); !strings.Contains(page, `<strong>₹1,990.00</strong>`) || !strings.Contains(page, `<dd id="claim">₹10.00</dd>`) {
		t.Errorf("Aorta's books are %s", page)
	}
}

// TestDemoGooglePurchasesThatWait: the customer confirms one on their page, and refuses
// another; the third they leave, and its time ends. Google hears of each, and its books
// and ours agree.
func TestDemoGooglePurchasesThatWait(t *testing.T) {
	t.Parallel()
	d, data := googleDemo(t, "--limit-time", "15s")
	client := browser(t)
	linkWallet(t, client, d)
	store, err := url.Parse(d.Sandbox + "/google/store?user=sally")
	if err != nil {
		t.Fatal(err)
	}
	// buys has one wait, and gives the customer's page that shows it.
	buys := func(good string) (*url.URL, string) {
		t.Helper()
		_, page := fetched(t, store.String())
		wallet := regexp.MustCompile(`<option value="(assoc_\w+)"`).FindStringSubmatch(page)
		if wallet == nil {
			t.Fatalf("the store has no wallet: %s", page)
		}
		at, page := press(t, client, store, page, `id="good"`, url.Values{"good": {good}, "wallet": {wallet[1]}, "how": {"confirm"}})
		if !strings.Contains(at.Query().Get("says"), "waits for the customer to confirm it at Aorta") {
			t.Fatalf("buying %s: %s", good, at)
		}
		return press(t, client, at, page, d.Customers[0].CustomerID+"'s page", nil)
	}
	// stands waits until Google has heard how its newest purchase has ended.
	stands := func(what, state, code, wallet, claim string) {
		t.Helper()
		var told struct {
			Purchases []struct{ State, Code string }
		}
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			_, text := fetched(t, d.Sandbox+"/google/control")
			if err := json.Unmarshal([]byte(text), &told); err != nil {
				t.Fatal(err)
			}
			if newest := told.Purchases[len(told.Purchases)-1]; newest.State == state && newest.Code == code {
				break
			} else if time.Now().After(end) {
				t.Fatalf("%s: Google has %+v, want %s %s", what, newest, state, code)
			}
		}
		if _, page := fetched(t, store.String()); !strings.Contains(page, `<strong>`+wallet+`</strong>`) || !strings.Contains(page, `<dd id="claim">`+claim+`</dd>`) || !strings.Contains(page, `data-agrees="yes"`) {
			t.Errorf("%s: the books are %s", what, page)
		}
	}
	at, page := buys("film")
	if !strings.HasPrefix(at.String(), d.Public+"/customer/") || !strings.Contains(page, "Google - Film, to rent") || !strings.Contains(page, "₹199.00") {
		t.Fatalf("the customer's page is %s: %s", at, page)
	}
	at, confirmed := press(t, client, at, page, `value="confirm"`, url.Values{"do": {"confirm"}})
	if !strings.Contains(confirmed, `data-ended="paid"`) || at.Query().Get("purchase") == "" {
		t.Errorf("confirmed, the page is %s: %s", at, confirmed)
	}
	stands("confirmed", "done", "SUCCESS", "₹1,801.00", "₹199.00")
	if _, again := press(t, client, at, page, `value="confirm"`, url.Values{"do": {"refuse"}}); !strings.Contains(again, `data-ended="paid"`) {
		t.Errorf("pressed again, the page is %s", again)
	}
	at, page = buys("gems")
	if _, page = press(t, client, at, page, `value="refuse"`, url.Values{"do": {"refuse"}}); !strings.Contains(page, `data-ended="refused"`) {
		t.Errorf("refused, the page is %s", page)
	}
	stands("refused", "declined", "RISK_DECLINED", "₹1,801.00", "₹199.00")
	at, page = buys("album")
	stands("left", "declined", "RISK_DECLINED", "₹1,801.00", "₹199.00")
	if _, page = press(t, client, at, page, `value="confirm"`, url.Values{"do": {"confirm"}}); !strings.Contains(page, `data-ended="over"`) {
		t.Errorf("confirmed too late, the page is %s", page)
	}
	stands("confirmed too late", "declined", "RISK_DECLINED", "₹1,801.00", "₹199.00")
	if out, log, err := aorta(t, "verify", "--data", data, "--live"); err != nil {
		t.Errorf("verify: %v %s%s", err, out, log)
	}
}

// says presses a button of the sandbox's Google by a script, and gives what it answers.
func says(t *testing.T, d ready, button string, form url.Values) string {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.PostForm(d.Sandbox+"/google/"+button, form)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	to, err := resp.Location()
	if err != nil {
		t.Fatalf("%s answers %d: %v", button, resp.StatusCode, err)
	}
	return to.Query().Get("says")
}

// calls calls an API of the demo's, and reads its answer.
func calls(t *testing.T, method, address, token, body string, into any) {
	t.Helper()
	r, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", t.Name())
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode == http.StatusOK {
		err = json.Unmarshal(text, into)
	}
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s = %d %s, %v", method, address, resp.StatusCode, text, err)
	}
}

// TestDemoGoogleStatementsThatDiffer: a fee that is not the contract's is compared once
// more, accepted by two and paid; an amount that is not ours is disputed. The books agree
// at each step.
func TestDemoGoogleStatementsThatDiffer(t *testing.T) {
	t.Parallel()
	d, data := googleDemo(t)
	client := browser(t)
	wallet := linkWallet(t, client, d)
	var finance []string
	for _, o := range d.Operators {
		if slices.Contains(o.Roles, operator.Finance) {
			finance = append(finance, o.Token)
		}
	}
	token := finance[0]
	// by says something by the verb, as one of finance.
	by := func(who int, args ...string) string {
		t.Helper()
		out, _, err := aorta(t, append(append([]string{"statements"}, args...), "--ops", d.Ops, "--token", finance[who])...)
		if err != nil {
			t.Fatalf("aorta statements %v: %v", args, err)
		}
		return out
	}
	type statement struct {
		ID      string
		Name    string `json:"statement_id"`
		State   string
		Changed time.Time `json:"changed_at"`
		Found   struct{ Classes map[string]int }
	}
	// stands waits until the newest statement is so, and shows it.
	stands := func(what, state string, after time.Time) (s statement) {
		t.Helper()
		end := time.Now().Add(30 * time.Second)
		for ; ; time.Sleep(50 * time.Millisecond) {
			var list struct{ Statements []statement }
			calls(t, http.MethodGet, d.Ops+"/admin/statements", token, "", &list)
			if len(list.Statements) > 0 {
				s = list.Statements[len(list.Statements)-1]
			}
			if s.State == state && s.Changed.After(after) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s: the newest statement is %+v, want %s after %s", what, s, state, after)
			}
		}
		calls(t, http.MethodGet, d.Ops+"/admin/statements/"+s.ID, token, "", &s)
		for ; ; time.Sleep(50 * time.Millisecond) { // what is paid leaves each bucket's receivable by an act of its own
			_, page := fetched(t, d.Sandbox+"/google/remittance")
			if strings.Contains(page, `data-there="`+state+`"`) && strings.Contains(page, `data-agrees="yes"`) {
				return s
			}
			if time.Now().After(end) {
				t.Fatalf("%s: Google's page is %s", what, page)
			}
		}
	}
	// presses presses a button of the newest statement's, and gives what the page then says.
	presses := func(button string, more url.Values) string {
		t.Helper()
		at, err := url.Parse(d.Sandbox + "/google/remittance")
		if err != nil {
			t.Fatal(err)
		}
		_, page := fetched(t, at.String())
		at, _ = press(t, client, at, page, button, more)
		return at.Query().Get("says")
	}
	agree := func(what string) {
		t.Helper()
		if got := presses(`value="`+what+`"`, url.Values{"what": {what}}); !strings.HasPrefix(got, "Done at Aorta") {
			t.Fatalf("%s: %s", what, got)
		}
	}
	period := func(wrong string) statement {
		t.Helper()
		if got := says(t, d, "buy", url.Values{"wallet": {wallet}, "good": {"film"}}); !strings.HasSuffix(got, ": bought.") {
			t.Fatalf("the film: %s", got)
		}
		if got := says(t, d, "period", url.Values{"wrong": {wrong}}); !strings.Contains(got, "received by Aorta") {
			t.Fatalf("the end of the period: %s", got)
		}
		return stands(wrong, "mismatch", time.Time{})
	}

	s := period("wrong_fee")
	if len(s.Found.Classes) != 1 || s.Found.Classes["FEE_DIFF"] != 1 {
		t.Errorf("a fee of 1.00 too much is found as %v", s.Found.Classes)
	}
	agree("recheck")
	s = stands("compared again", "mismatch", s.Changed)
	if len(s.Found.Classes) != 1 || s.Found.Classes["FEE_DIFF"] != 1 {
		t.Errorf("compared again, a fee of 1.00 too much is found as %v", s.Found.Classes)
	}
	agree("accept")
	s = stands("accepted as it is", "accepted", s.Changed)
	if out := by(0, "pay", s.ID, "--note", "it is right"); strings.Contains(out, `"state":"resolved"`) {
		t.Errorf("one alone agrees to an order: %s", out)
	}
	if out := by(1, "pay", s.ID, "--note", "it is right"); !strings.Contains(out, `"state":"resolved"`) {
		t.Errorf("two agree to an order: %s", out)
	}
	if out := by(0, "order", s.ID, "--csv"); !strings.HasPrefix(out, "direction,amount,") || !strings.Contains(out, "\nto_google,191.95,INR,"+s.Name) {
		t.Errorf("the order is %s", out)
	}
	if out := by(0, "lines", s.ID); !strings.Contains(out, `"differs":["FEE_DIFF"]`) {
		t.Errorf("its lines are %s", out)
	}
	by(0, "paid", s.ID, "--reference", "UTR-1", "--note", "the bank says so")
	s = stands("paid", "paid", s.Changed)
	if out := by(0, "list", "--state", "paid"); !strings.Contains(out, s.ID) {
		t.Errorf("what is paid is %s", out)
	}

	first := s.ID
	s = period("wrong_amount")
	if s.ID == first || s.Found.Classes["AMOUNT_DIFF"] != 1 || s.Found.Classes["FEE_DIFF"] != 1 {
		t.Errorf("an amount of 1.00 too much is found as %v in %s", s.Found.Classes, s.ID)
	}
	agree("dispute")
	s = stands("disputed", "disputed", s.Changed)
	if got := says(t, d, "agree", url.Values{"statement": {s.Name}, "what": {"accept"}}); strings.HasPrefix(got, "Done at Aorta") {
		t.Errorf("what is disputed is accepted: %s", got)
	}
	if got := presses("Google corrects it", nil); !strings.Contains(got, "of 1 events, due ₹193.1295: received by Aorta") {
		t.Errorf("the statement in its place: %s", got)
	}
	if got := says(t, d, "correct", url.Values{"statement": {s.Name}}); !strings.Contains(got, "replaced already") {
		t.Errorf("corrected twice: %s", got)
	}
	disputed := s.ID
	if s = stands("corrected", "accepted", s.Changed); s.ID == disputed {
		t.Errorf("what was disputed is accepted: %+v", s)
	}
	agree("pay")
	agree("paid")
	stands("paid as corrected", "paid", s.Changed)
	if _, page := fetched(t, d.Sandbox+"/google/remittance"); !strings.Contains(page, `<dd id="claim">₹0.00</dd>`) {
		t.Errorf("all is paid, and Google claims %s", page)
	}
	if out, log, err := aorta(t, "verify", "--data", data, "--live"); err != nil {
		t.Errorf("verify: %v %s%s", err, out, log)
	}
}

// TestDemoGoogleCodes: a code is tried alone, wrong, right and again; one that was used
// links nothing, and a fresh one does.
func TestDemoGoogleCodes(t *testing.T) {
	t.Parallel()
	d, _ := googleDemo(t)
	const phone = "+918067218010"
	var contact map[string]any
	calls(t, http.MethodPut, d.Public+"/v1/customers/"+d.Customers[0].CustomerID+"/contact", d.APIKey, `{"phone":"`+phone+`"}`, &contact)
	// sends asks for a code, and gives the wallet that is being linked and what the phone has.
	sends := func() (wallet, code string) {
		t.Helper()
		if got := says(t, d, "otp", url.Values{"user": {"sally"}, "phone": {phone}}); got != "A code is on its way to "+phone+"." {
			t.Fatalf("sendOtp: %s", got)
		}
		var inbox struct{ Messages []struct{ Text string } }
		_, text := fetched(t, d.Sandbox+"/sms/inbox?"+url.Values{"to": {phone}}.Encode())
		if err := json.Unmarshal([]byte(text), &inbox); err != nil || len(inbox.Messages) == 0 {
			t.Fatalf("the phone has %s, %v", text, err)
		}
		_, page := fetched(t, d.Sandbox+"/google?user=sally")
		newest := regexp.MustCompile(`name="wallet" value="(assoc_\w+)"`).FindStringSubmatch(page)
		code = regexp.MustCompile(`\b\d{6}\b`).FindString(inbox.Messages[0].Text)
		if newest == nil || code == "" {
			t.Fatalf("the message is %q, and Google's page %s", inbox.Messages[0].Text, page)
		}
		return newest[1], code
	}
	tries := func(wallet, code string) string {
		t.Helper()
		return says(t, d, "code", url.Values{"wallet": {wallet}, "code": {code}, "alone": {"1"}})
	}
	links := func(wallet, code string) string {
		t.Helper()
		return says(t, d, "code", url.Values{"wallet": {wallet}, "code": {code}})
	}
	wallet, code := sends()
	wrong := "000000"
	if code == wrong {
		wrong = "000001"
	}
	for _, tt := range []struct{ what, got, want string }{
		{"a wrong code alone", tries(wallet, wrong), "verifyOtp: OTP_NOT_MATCHED"},
		{"the right one", tries(wallet, code), "verifyOtp: SUCCESS"},
		{"again", tries(wallet, code), "verifyOtp: OTP_ALREADY_USED"},
		{"to link with it", links(wallet, code), "Not linked: OTP_ALREADY_USED"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", tt.what, tt.got, tt.want)
		}
	}
	wallet, code = sends()
	if got := links(wallet, code); !strings.HasPrefix(got, "Linked: ") {
		t.Errorf("to link with a fresh one: %q", got)
	}
}
