package kyc_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/sandbox/fault"
	"aorta/internal/sandbox/journal"
	"aorta/internal/sandbox/kyc"
)

const secret = "a secret of the account"

func sign(text string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(text))
	return "sha256=" + hex.EncodeToString(h.Sum(nil))
}

type told struct {
	EventID   string `json:"event_id"`
	Reference string `json:"reference"`
	Level     int64  `json:"level"`
	Status    string `json:"status"`
	Reason    string `json:"reason"`
	URL       string `json:"url"`
	Person    string `json:"person"`
	Holder    string `json:"holder"`
	ExpiresAt string `json:"expires_at"`
	Timestamp string `json:"timestamp"`
	Error     string `json:"error"`
}

// bench is a simulator behind a listener, and the platform that it tells.
type bench struct {
	t      *testing.T
	url    string
	back   string
	faults *fault.Queue
	sim    *kyc.Simulator
	stop   func()

	mu   sync.Mutex
	told []told // webhooks with a good signature
	bad  int    // those without
}

func start(t *testing.T, state string) *bench {
	t.Helper()
	b := &bench{t: t, faults: &fault.Queue{}}
	platform := httptest.NewServer(http.HandlerFunc(b.take))
	t.Cleanup(platform.Close)
	b.back = platform.URL
	var kept *journal.Journal
	opts := kyc.Options{
		Prefix: "/kyc", Faults: b.faults, Rand: rand.Reader, DecideAfter: time.Millisecond, ExpireAfter: 50 * time.Millisecond,
		SlowFor: 50 * time.Millisecond, HoldFor: 50 * time.Millisecond, LateAfter: 50 * time.Millisecond, NotifyUnit: time.Millisecond, Workers: 2,
	}
	if state != "" {
		opts.Append = func(line []byte) error { return kept.Append("kyc", line) }
	}
	var err error
	b.sim, err = kyc.New([]kyc.Account{{Name: "a", Secret: secret, PersonKey: "persons"}, {Name: "b", Secret: "another secret", PersonKey: "persons"}}, time.Now, opts)
	if err != nil {
		t.Fatal(err)
	}
	if kept, err = journal.Open(state, map[string]journal.Keeper{"kyc": b.sim}); err != nil {
		t.Fatal(err)
	}
	b.sim.Start()
	server := httptest.NewServer(b.sim)
	b.url = server.URL + "/kyc"
	b.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := b.sim.Close(ctx); err != nil {
			t.Error(err)
		}
		server.Close()
		_ = kept.Close()
	})
	t.Cleanup(b.stop)
	return b
}

func (b *bench) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var n told
	if err == nil {
		err = json.Unmarshal(body, &n)
	}
	if err != nil {
		b.t.Errorf("webhook %s: %v", body, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.Header.Get("X-Signature") != sign(string(body)) {
		b.bad++
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	b.told = append(b.told, n)
}

// webhooks waits for n of them about a reference.
func (b *bench) webhooks(reference string, n int) []told {
	b.t.Helper()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		b.mu.Lock()
		var found []told
		for _, each := range b.told {
			if each.Reference == reference {
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

// ask sends a signed request and checks that the answer is signed to it.
func (b *bench) ask(method, path, body string, change func(*http.Request)) (int, told) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	var named told
	_ = json.Unmarshal([]byte(body), &named)
	r.Header.Set("X-Account", "a")
	r.Header.Set("X-Timestamp", at)
	r.Header.Set("X-Signature", sign(at+"\n"+method+"\n"+path+"\n"+body))
	if method == http.MethodPost {
		r.Header.Set("Idempotency-Key", named.Reference)
	}
	if change != nil {
		change(r)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	signed := resp.Header.Get("X-Signature") == sign(strconv.Itoa(resp.StatusCode)+"\n"+r.Header.Get("X-Signature")+"\n"+string(text))
	if !signed && resp.StatusCode != http.StatusUnauthorized && resp.StatusCode != http.StatusInternalServerError {
		b.t.Errorf("%s %s: the answer %d %s is not signed", method, path, resp.StatusCode, text)
	}
	var n told
	if json.Unmarshal(text, &n) != nil && resp.StatusCode != http.StatusInternalServerError {
		b.t.Errorf("%s %s: the answer %d %s is no JSON", method, path, resp.StatusCode, text)
	}
	return resp.StatusCode, n
}

func body(reference string, level int, customer string) string {
	return fmt.Sprintf(`{"reference":%q,"level":%d,"customer_id":%q,"return_url":"http://shop.example/back"}`, reference, level, customer)
}

// begin asks for a check and gives its page.
func (b *bench) begin(reference, customer string) string {
	b.t.Helper()
	status, n := b.ask(http.MethodPost, "/v1/checks", body(reference, 2, customer), nil)
	if status != http.StatusOK || n.Status != "pending" || n.URL == "" {
		b.t.Fatalf("a check = %d %+v, want 200 pending with a page", status, n)
	}
	return n.URL
}

func (b *bench) look(reference string) told {
	b.t.Helper()
	status, n := b.ask(http.MethodGet, "/v1/checks/"+reference, "", nil)
	if status != http.StatusOK {
		b.t.Fatalf("look-up of %s = %d %+v", reference, status, n)
	}
	return n
}

// press sends the page's form; a picture of a document goes along where there is one.
func (b *bench) press(page string, picture []byte, fields url.Values) (*http.Response, string) {
	b.t.Helper()
	var form bytes.Buffer
	kind := "application/x-www-form-urlencoded"
	if picture == nil {
		form.WriteString(fields.Encode())
	} else {
		w := multipart.NewWriter(&form)
		for name := range fields {
			_ = w.WriteField(name, fields.Get(name))
		}
		part, err := w.CreateFormFile("document", "passport.jpg")
		if err != nil {
			b.t.Fatal(err)
		}
		_, _ = part.Write(picture)
		_ = w.Close()
		kind = w.FormDataContentType()
	}
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, page, &form)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp, string(text)
}

func person(b *bench, reference string) string { return b.webhooks(reference, 1)[0].Person }

// TestButtons: a person decides on the page, and the platform is told.
func TestButtons(t *testing.T) {
	t.Parallel()
	b := start(t, "")
	b.sim.SetNotifyURL("a", b.back)
	page := b.begin("kyc_1", "c1")
	resp, _ := b.press(page, nil, url.Values{"action": {"approve"}})
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "http://shop.example/back" {
		t.Errorf("approve = %d to %q, want 303 to the return address", resp.StatusCode, resp.Header.Get("Location"))
	}
	n := b.webhooks("kyc_1", 1)[0]
	if n.Status != "passed" || n.Level != 2 || n.Holder != "Customer c1" || n.EventID == "" || len(n.Person) != 64 {
		t.Errorf("told %+v", n)
	}
	// Pressed again, nothing changes.
	b.press(page, nil, url.Values{"action": {"decline"}})
	if n := b.look("kyc_1"); n.Status != "passed" {
		t.Errorf("after a second press: %+v", n)
	}

	b.press(b.begin("kyc_2", "c1"), nil, url.Values{"action": {"decline"}})
	if n := b.webhooks("kyc_2", 1)[0]; n.Status != "failed" || n.Reason != "mismatch" || n.Person != "" {
		t.Errorf("declined: told %+v", n)
	}
	left := b.begin("kyc_3", "c1")
	b.press(left, nil, url.Values{"action": {"leave"}})
	if n := b.look("kyc_3"); n.Status != "pending" || n.URL != left {
		t.Errorf("left: %+v, want pending at the same page", n)
	}
	b.press(b.begin("kyc_4", "c1"), nil, url.Values{"action": {"approve"}, "until": {"2001-01-01"}})
	if n := b.webhooks("kyc_4", 1)[0]; n.Status != "failed" || n.Reason != "document_expired" {
		t.Errorf("a document that has ended: told %+v", n)
	}
}

// TestPersons: who shows the same papers is the same person, at every account.
func TestPersons(t *testing.T) {
	t.Parallel()
	b := start(t, "")
	b.sim.SetNotifyURL("a", b.back)
	ann := url.Values{"action": {"approve"}, "name": {"Ann Äs"}, "birth": {"1980-02-03"}, "number": {"X 1"}, "until": {"2090-01-01"}}
	again := url.Values{"action": {"approve"}, "name": {"äs, ANN"}, "birth": {"1980-02-03"}, "number": {"x-1"}}
	b.press(b.begin("kyc_1", "c1"), nil, ann)
	b.press(b.begin("kyc_2", "c2"), nil, again)
	b.press(b.begin("kyc_3", "c3"), nil, url.Values{"action": {"approve"}})
	b.press(b.begin("kyc_4", "c4"), nil, url.Values{"action": {"approve"}})
	if one, two := person(b, "kyc_1"), person(b, "kyc_2"); one != two {
		t.Errorf("Ann is %s and %s", one, two)
	}
	if three, four := person(b, "kyc_3"), person(b, "kyc_4"); three == four || three == person(b, "kyc_1") {
		t.Error("customers who show nothing are one person")
	}
	if n := b.webhooks("kyc_1", 1)[0]; n.ExpiresAt != "2090-01-01T00:00:00.000Z" || n.Holder != "Ann Äs" {
		t.Errorf("told %+v", n)
	}
	page := b.begin("kyc_5", "c5")
	for _, bad := range []url.Values{{"birth": {"yesterday"}}, {"name": {"--"}}, {"number": {" "}}, {"until": {"later"}}} {
		bad.Set("action", "approve")
		if resp, text := b.press(page, nil, bad); resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(text, `value="approve"`) {
			t.Errorf("%v = %d, want 422 and the form", bad, resp.StatusCode)
		}
	}
	if n := b.look("kyc_5"); n.Status != "pending" {
		t.Errorf("after bad forms: %+v", n)
	}
}

// TestPicture: of a document a digest is kept, nowhere the document.
func TestPicture(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "state")
	b := start(t, state)
	picture := bytes.Repeat([]byte("PICTURE OF ANN "), 10_000)
	page := b.begin("kyc_1", "c1")
	resp, _ := b.press(page, picture, url.Values{"action": {"approve"}, "name": {"Ann"}, "number": {"SECRET-99"}, "birth": {"1980-02-03"}})
	if resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("a form with a picture = %d", resp.StatusCode)
	}
	digest := sha256.Sum256(picture)
	entries, _, _ := b.sim.Journal("a", 0, 10)
	if len(entries) != 1 || entries[0].Digest != "sha256:"+hex.EncodeToString(digest[:]) || entries[0].Status != "passed" {
		t.Errorf("the journal has %+v", entries)
	}
	b.stop()
	text, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	for _, kept := range []string{"PICTURE", "SECRET", "1980"} {
		if bytes.Contains(text, []byte(kept)) {
			t.Errorf("%q is kept: %s", kept, text)
		}
	}
	b = start(t, "")
	if resp, _ := b.press(b.begin("kyc_2", "c1"), make([]byte, 9<<20), url.Values{"action": {"approve"}}); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("9 MB = %d, want 400", resp.StatusCode)
	}
}

// TestRestart: what was answered for is remembered, and what was not told is told.
func TestRestart(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "state")
	b := start(t, state)
	page := b.begin("kyc_1", "c1")
	b.begin("kyc_2", "c1")
	b.press(page, nil, url.Values{"action": {"approve"}, "name": {"Ann"}})
	was := b.look("kyc_1")
	b.stop()

	b = start(t, state)
	if is := b.look("kyc_1"); is != was {
		t.Errorf("after a restart %+v, before %+v", is, was)
	}
	b.sim.SetNotifyURL("a", b.back)
	if n := b.webhooks("kyc_1", 1)[0]; n.Person != was.Person || n.Holder != "Ann" {
		t.Errorf("told after a restart: %+v", n)
	}
	if n := b.look("kyc_2"); n.Status != "pending" || !strings.Contains(n.URL, "/check/a/kyc_2?token=") {
		t.Errorf("left open before a restart: %+v", n)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	b := start(t, "")
	b.sim.SetNotifyURL("a", b.back)
	next := func(what fault.Behaviour) {
		if err := b.faults.Add(fault.Rule{Next: what, Left: 1}); err != nil {
			t.Fatal(err)
		}
	}
	begin := func(reference string) { b.ask(http.MethodPost, "/v1/checks", body(reference, 1, "c"), nil) }
	wait := func(reference, status string) {
		for end := time.Now().Add(5 * time.Second); b.look(reference).Status != status; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s is %+v, want %s", reference, b.look(reference), status)
			}
		}
	}
	next(fault.Approve)
	begin("approve")
	b.webhooks("approve", 1)
	next(fault.Decline)
	begin("decline")
	if n := b.webhooks("decline", 1)[0]; n.Status != "failed" {
		t.Errorf("decline: told %+v", n)
	}
	next(fault.Late)
	begin("late")
	if n := b.look("late"); n.Status != "pending" {
		t.Errorf("late, at first: %+v", n)
	}
	b.webhooks("late", 1)
	next(fault.Duplicate)
	begin("duplicate")
	all := b.webhooks("duplicate", 3)
	if all[0].EventID != all[2].EventID {
		t.Errorf("duplicates under two names: %+v", all)
	}
	next(fault.Expire)
	begin("expire")
	if n := b.webhooks("expire", 1)[0]; n.Status != "passed" {
		t.Errorf("expire: told %+v, want passed", n)
	}
	wait("expire", "expired")
	next(fault.Silent)
	begin("silent")
	wait("silent", "passed")
	next(fault.WrongSignature)
	begin("forged")
	wait("forged", "passed")
	next(fault.HTTP500)
	if status, _ := b.ask(http.MethodPost, "/v1/checks", body("broken", 1, "c"), nil); status != http.StatusInternalServerError {
		t.Errorf("http_500 = %d", status)
	}
	if status, n := b.ask(http.MethodGet, "/v1/checks/broken", "", nil); status != http.StatusNotFound || n.Error != "not_found" {
		t.Errorf("after http_500: %d %+v, want not_found", status, n)
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		b.mu.Lock()
		bad := b.bad
		b.mu.Unlock()
		if bad > 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("no forged webhook came")
		}
	}
	if told, taken := b.sim.TellAll(t.Context()); told < 2 || taken != told { // silent and forged
		t.Errorf("TellAll = %d, %d", told, taken)
	}
	b.webhooks("silent", 1)
	b.webhooks("forged", 1)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	b := start(t, "")
	for _, test := range []struct {
		name, body string
		change     func(*http.Request)
		want       int
	}{
		{name: "good", body: body("kyc_1", 1, "c"), want: 200},
		{name: "again", body: body("kyc_1", 1, "c"), want: 200},
		{name: "another level under the reference", body: body("kyc_1", 2, "c"), want: 409},
		{name: "level 0", body: body("kyc_2", 0, "c"), want: 422},
		{name: "level 4", body: body("kyc_2", 4, "c"), want: 422},
		{name: "no customer", body: body("kyc_2", 1, ""), want: 422},
		{name: "no JSON", body: `level=1`, change: func(r *http.Request) { r.Header.Set("Idempotency-Key", "x") }, want: 400},
		{name: "unknown member", body: `{"reference":"kyc_2","level":1,"customer_id":"c","card":"1"}`, want: 400},
		{name: "odd reference", body: body("kyc 2", 1, "c"), want: 400},
		{name: "no key", body: body("kyc_2", 1, "c"), change: func(r *http.Request) { r.Header.Del("Idempotency-Key") }, want: 400},
		{name: "another account", body: body("kyc_2", 1, "c"), change: func(r *http.Request) { r.Header.Set("X-Account", "b") }, want: 401},
		{name: "bad signature", body: body("kyc_2", 1, "c"), change: func(r *http.Request) { r.Header.Set("X-Signature", sign("x")) }, want: 401},
		{name: "an old request", body: body("kyc_2", 1, "c"), change: func(r *http.Request) {
			at := strconv.FormatInt(time.Now().Add(-time.Hour).Unix(), 10)
			r.Header.Set("X-Timestamp", at)
			r.Header.Set("X-Signature", sign(at+"\nPOST\n/v1/checks\n"+body("kyc_2", 1, "c")))
		}, want: 401},
	} {
		if status, n := b.ask(http.MethodPost, "/v1/checks", test.body, test.change); status != test.want {
			t.Errorf("%s: %d %+v, want %d", test.name, status, n, test.want)
		}
	}
	page := b.begin("kyc_9", "c")
	for name, address := range map[string]string{
		"another token": page[:len(page)-1] + "x", "no token": strings.Split(page, "?")[0], "another account": strings.Replace(page, "/check/a/", "/check/b/", 1),
	} {
		if resp, _ := b.press(address, nil, url.Values{"action": {"approve"}}); resp.StatusCode != http.StatusGone {
			t.Errorf("the page with %s = %d, want 410", name, resp.StatusCode)
		}
	}
	if resp, _ := b.press(page, nil, url.Values{"action": {"jump"}}); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("no such button = %d, want 400", resp.StatusCode)
	}
	if n := b.look("kyc_9"); n.Status != "pending" {
		t.Errorf("after strangers: %+v", n)
	}
}
