package hosted_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/connector"
	"aorta/internal/connector/connectortest"
	"aorta/internal/connector/exchange"
	"aorta/internal/sandbox/fault"
	simulator "aorta/internal/sandbox/kyc"
	"aorta/internal/verification"
	"aorta/internal/verification/hosted"
	"aorta/internal/verification/verificationtest"
)

const (
	account   = "test"
	secret    = "a secret of the account"
	personKey = "a key that persons are hashed with"
)

func config(base string) hosted.Config {
	return hosted.Config{
		BaseURL: base, Account: account, Secret: exchange.NewSecret(secret), Now: time.Now, CallTimeout: 300 * time.Millisecond,
	}
}

func connect(t testing.TB, c hosted.Config) *hosted.Hosted {
	t.Helper()
	h, err := hosted.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestConformance(t *testing.T) {
	t.Parallel()
	verificationtest.Exercise(t, subject)
}

var decisions = map[verificationtest.Decision]fault.Behaviour{
	verificationtest.Approve: fault.Approve, verificationtest.Decline: fault.Decline,
	verificationtest.Expire: fault.Expire, verificationtest.Forge: fault.WrongSignature,
}

// subject is a provider with a simulator of its own behind it.
func subject(t *testing.T) verificationtest.Subject {
	var mu sync.Mutex
	var notices []connector.Notification
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		notices = append(notices, connector.Notification{Method: r.Method, Header: r.Header.Clone(), Body: body})
	}))
	t.Cleanup(receiver.Close)
	faults := &fault.Queue{}
	sim, err := simulator.New([]simulator.Account{{Name: account, Secret: secret, PersonKey: personKey}}, time.Now, simulator.Options{
		Prefix: "/kyc", Faults: faults, Rand: rand.Reader, DecideAfter: time.Millisecond, ExpireAfter: time.Millisecond, NotifyUnit: time.Hour, Workers: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	sim.Start()
	t.Cleanup(func() {
		if err := sim.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	wire := connectortest.NewWire(t, sim)
	with := func(base string) verification.Provider {
		if defect := os.Getenv(defectName); defect != "" {
			return defective{connect(t, config(base)), defect}
		}
		return connect(t, config(base))
	}
	persons, err := verification.NewPersonKey(exchange.NewSecret(personKey))
	if err != nil {
		t.Fatal(err)
	}
	return verificationtest.Subject{
		Provider: with(wire.URL + "/kyc/"), Unreachable: with(connectortest.DeadURL(t)), Wire: wire, NotifyURL: receiver.URL,
		Next: func(t *testing.T, d verificationtest.Decision) {
			behaviour, decided := decisions[d]
			if !decided {
				return
			}
			if err := faults.Add(fault.Rule{Next: behaviour, Left: 1}); err != nil {
				t.Fatal(err)
			}
		},
		// The simulator hashes by code of its own: that both agree is tested here.
		Person: func(t *testing.T, customer string) string {
			hash, err := persons.Person(customer+", CUSTOMER", time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), "demo-"+customer)
			if err != nil {
				t.Fatal(err)
			}
			return hash
		},
		Notification: func(t *testing.T, reference string) connector.Notification {
			for range 5000 {
				mu.Lock()
				for _, n := range notices {
					if bytes.Contains(n.Body, []byte(reference)) {
						mu.Unlock()
						return n
					}
				}
				mu.Unlock()
				time.Sleep(2 * time.Millisecond)
			}
			t.Fatalf("no notification about %s", reference)
			return connector.Notification{}
		},
	}
}

// defectName tells a run of this test binary which mistake to make.
const defectName = "AORTA_TEST_DEFECT"

// defects are mistakes of a provider, and the test of the suite that must see each.
var defects = map[string]string{
	"lost-is-failed":        "start over a broken wire",
	"unheard-is-failed":     "look-up over a broken wire",
	"nothing-is-open":       "look-up of what was never asked",
	"failed-passes":         "failed",
	"another-person":        "passed",
	"level-unread":          "another under the reference",
	"signature-unread":      "notification forged",
	"time-unread":           "notification",
	"expired-passes":        "expired",
	"dial-failed-is-failed": "nobody listens",
}

// defective is a provider with one mistake.
type defective struct {
	*hosted.Hosted
	defect string
}

func (d defective) wrong(o verification.Order, out verification.Outcome) verification.Outcome {
	switch {
	case d.defect == "failed-passes" && out.Kind == verification.Failed, d.defect == "expired-passes" && out.Kind == verification.Expired:
		out.Kind = verification.Passed
	case d.defect == "another-person" && out.Result.Person != "":
		out.Result.Person = strings.Repeat("0", 64)
	case d.defect == "level-unread" && out.Kind == verification.Unknown:
		out.Kind, out.Alarm = verification.Open, ""
	case d.defect == "nothing-is-open" && out.NoRecord:
		out.Kind, out.NoRecord = verification.Open, false
	}
	return out
}

func (d defective) Start(ctx context.Context, o verification.Order) verification.Outcome {
	out := d.wrong(o, d.Hosted.Start(ctx, o))
	if d.defect == "lost-is-failed" && out.Kind == verification.Unknown || d.defect == "dial-failed-is-failed" && out.Kind == verification.NotSent {
		out.Kind = verification.Failed
	}
	return out
}

func (d defective) Lookup(ctx context.Context, o verification.Order) verification.Outcome {
	out := d.wrong(o, d.Hosted.Lookup(ctx, o))
	if d.defect == "unheard-is-failed" && out.Kind == verification.Unknown {
		out.Kind = verification.Failed
	}
	return out
}

func (d defective) ReadNotification(n connector.Notification) (verification.News, error) {
	switch d.defect {
	case "signature-unread":
		n.Header = n.Header.Clone()
		n.Header.Set("X-Signature", sign(string(n.Body)))
	case "time-unread":
		n.Received = time.Time{}
	}
	return d.Hosted.ReadNotification(n)
}

// TestTheSuiteSeesDefects: a suite that cannot fail proves nothing. Each mistake is
// made in a run of its own, and the test that is about it must fail.
func TestTheSuiteSeesDefects(t *testing.T) {
	t.Parallel()
	if os.Getenv(defectName) != "" {
		t.Skip("this is such a run")
	}
	for defect, by := range defects {
		t.Run(defect, func(t *testing.T) {
			t.Parallel()
			name := strings.ReplaceAll(by, " ", "_")
			run := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestConformance$/^"+name+"$", "-test.timeout=60s", "-test.v")
			run.Env = append(os.Environ(), defectName+"="+defect)
			out, err := run.CombinedOutput()
			if want := "--- FAIL: TestConformance/" + name; err == nil || !strings.Contains(string(out), want) {
				t.Errorf("%q lets it pass (%v): %s", by, err, out)
			}
		})
	}
}

func sign(text string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func TestNewRefusesBadSettings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*hosted.Config)
		want   string
	}{
		{"no base URL", func(c *hosted.Config) { c.BaseURL = "" }, "base URL"},
		{"base URL with a user", func(c *hosted.Config) { c.BaseURL = "https://u:" + secret + "@host" }, "base URL"},
		{"odd account", func(c *hosted.Config) { c.Account = "a\nb" }, "account"},
		{"short secret", func(c *hosted.Config) { c.Secret = exchange.NewSecret("a secret of t"[:13]) }, "secret"},
		{"no clock", func(c *hosted.Config) { c.Now = nil }, "clock"},
		{"negative timeout", func(c *hosted.Config) { c.CallTimeout = -1 }, "timeout"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := config("https://host")
			test.change(&c)
			h, err := hosted.New(c)
			if h != nil || err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), secret) {
				t.Fatalf("New = %v, %v, want an error about the %s without the secret", h, err, test.want)
			}
		})
	}
}

func TestSecretsAreHidden(t *testing.T) {
	t.Parallel()
	c := config("https://host")
	h := connect(t, c)
	persons, err := verification.NewPersonKey(exchange.NewSecret(personKey))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	for _, v := range []any{c, &c, h, *h, persons, struct{ hidden verification.PersonKey }{persons}} {
		fmt.Fprintf(&out, "%v %+v %#v %s %x %q\n", v, v, v, v, v, v)
		log.Info("settings", "of", v)
	}
	for _, text := range []string{secret, personKey} {
		for _, shown := range []string{text, fmt.Sprintf("%x", text), fmt.Sprintf("%d", []byte(text))} {
			if strings.Contains(out.String(), shown) {
				t.Errorf("a secret is shown as %s", shown)
			}
		}
	}
}

// provider answers every request with one answer, signed as the protocol says, and
// notes what came.
type provider struct {
	t        *testing.T
	status   int
	body     string
	unsigned bool
	seen     []string
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Error(err)
	}
	p.seen = append(p.seen, fmt.Sprintf("%s %s\nIdempotency-Key: %s\nX-Account: %s\nX-Timestamp: %s\n%s",
		r.Method, r.URL.RequestURI(), r.Header.Get("Idempotency-Key"), r.Header.Get("X-Account"), r.Header.Get("X-Timestamp"), body))
	want := sign(r.Header.Get("X-Timestamp") + "\n" + r.Method + "\n" + strings.TrimPrefix(r.URL.RequestURI(), "/base") + "\n" + string(body))
	if got := r.Header.Get("X-Signature"); got != want {
		p.t.Errorf("%s %s is signed %s, want %s", r.Method, r.URL, got, want)
	}
	if !p.unsigned {
		w.Header().Set("X-Signature", sign(strconv.Itoa(p.status)+"\n"+want+"\n"+p.body))
	}
	w.WriteHeader(p.status)
	_, _ = io.WriteString(w, p.body)
}

var at = time.Date(2025, 10, 17, 9, 41, 0, 0, time.UTC)

// told connects to a provider that answers so.
func told(t *testing.T, status int, body string) (*hosted.Hosted, *provider) {
	t.Helper()
	p := &provider{t: t, status: status, body: body}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	c := config(server.URL + "/base")
	c.Now = func() time.Time { return at }
	return connect(t, c), p
}

var order = verification.Order{
	Reference: "kyc_1", Level: 2, CustomerID: "c-1", ReturnURL: "https://shop.example/", NotifyURL: "https://pay.example/n/kyc/test",
}

// TestRequests holds what leaves, byte for byte.
func TestRequests(t *testing.T) {
	t.Parallel()
	h, p := told(t, http.StatusNotFound, `{"error":"not_found"}`)
	h.Start(t.Context(), order)
	h.Lookup(t.Context(), order)
	want := []string{
		"POST /base/v1/checks\nIdempotency-Key: kyc_1\nX-Account: test\nX-Timestamp: 1760694060\n" +
			`{"reference":"kyc_1","level":2,"customer_id":"c-1","return_url":"https://shop.example/","notify_url":"https://pay.example/n/kyc/test"}`,
		"GET /base/v1/checks/kyc_1\nIdempotency-Key: \nX-Account: test\nX-Timestamp: 1760694060\n",
	}
	if fmt.Sprint(p.seen) != fmt.Sprint(want) {
		t.Errorf("sent\n%s\nwant\n%s", strings.Join(p.seen, "\n"), strings.Join(want, "\n"))
	}
}

// TestAnswers says of each answer what is believed of it.
func TestAnswers(t *testing.T) {
	t.Parallel()
	person := strings.Repeat("0a", 32)
	for _, test := range []struct {
		name     string
		status   int // 0: 200
		body     string
		unsigned bool
		start    verification.Kind
		lookup   verification.Kind
		alarm    bool
	}{
		{name: "pending", body: `{"reference":"kyc_1","level":2,"status":"pending","url":"https://kyc.example/1"}`, start: verification.Open, lookup: verification.Open},
		{name: "passed", body: `{"reference":"kyc_1","level":2,"status":"passed","person":"` + person + `"}`, start: verification.Passed, lookup: verification.Passed},
		{name: "no such status", body: `{"reference":"kyc_1","level":2,"status":"ok"}`, start: verification.Unknown, lookup: verification.Unknown, alarm: true},
		{name: "our own word for nothing", body: `{"reference":"kyc_1","level":2,"status":"unknown"}`, start: verification.Unknown, lookup: verification.Unknown, alarm: true},
		{name: "another reference", body: `{"reference":"kyc_2","level":2,"status":"passed"}`, start: verification.Unknown, lookup: verification.Unknown, alarm: true},
		{name: "a lower level", body: `{"reference":"kyc_1","level":1,"status":"passed"}`, start: verification.Unknown, lookup: verification.Unknown, alarm: true},
		{name: "a person who is none", body: `{"reference":"kyc_1","level":2,"status":"passed","person":"Sam"}`, start: verification.Unknown, lookup: verification.Unknown, alarm: true},
		{name: "an end that is none", body: `{"reference":"kyc_1","level":2,"status":"passed","expires_at":"soon"}`, start: verification.Unknown, lookup: verification.Unknown, alarm: true},
		{name: "unsigned", body: `{"reference":"kyc_1","level":2,"status":"passed"}`, unsigned: true, start: verification.Unknown, lookup: verification.Unknown, alarm: true},
		{name: "no JSON", body: `passed`, start: verification.Unknown, lookup: verification.Unknown, alarm: true},
		{name: "not found", status: 404, body: `{"error":"not_found"}`, start: verification.Unknown, lookup: verification.Unknown, alarm: true},
		{name: "refused", status: 422, body: `{"error":"validation_failed"}`, start: verification.NotSent, lookup: verification.Unknown, alarm: true},
		{name: "too often", status: 429, body: `{"error":"rate_limited"}`, start: verification.NotSent, lookup: verification.Unknown},
		{name: "broken", status: 500, body: `{}`, start: verification.Unknown, lookup: verification.Unknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			status := test.status
			if status == 0 {
				status = http.StatusOK
			}
			h, p := told(t, status, test.body)
			p.unsigned = test.unsigned
			start, lookup := h.Start(t.Context(), order), h.Lookup(t.Context(), order)
			if start.Kind != test.start || lookup.Kind != test.lookup {
				t.Errorf("Start = %+v, Lookup = %+v, want %s and %s", start, lookup, test.start, test.lookup)
			}
			if (start.Alarm != "") != test.alarm {
				t.Errorf("Start = %+v, want an alarm: %v", start, test.alarm)
			}
		})
	}
}

// TestWhatIsKept: texts of a provider's are cleaned before they reach our rows.
func TestWhatIsKept(t *testing.T) {
	t.Parallel()
	h, _ := told(t, 200, `{"reference":"kyc_1","level":2,"status":"passed","holder":" Sam\u0000\n `+strings.Repeat("é", 300)+`","check_id":"a\nb","expires_at":"2030-01-01T00:00:00Z"}`)
	out := h.Lookup(t.Context(), order)
	if len(out.Result.Holder) > 200 || strings.ContainsAny(out.Result.Holder, "\x00\n") || !strings.HasPrefix(out.Result.Holder, "Sam") || out.Result.ProviderID != "" {
		t.Errorf("kept: %+v", out.Result)
	}
	if want := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC); !out.Result.Until.Equal(want) {
		t.Errorf("until %v, want %v", out.Result.Until, want)
	}
	h, _ = told(t, 200, `{"reference":"kyc_1","level":2,"status":"failed","reason":"rule A06 of our catalogue: \u003cb\u003e"}`)
	if out := h.Lookup(t.Context(), order); out.Result.Reason != "declined" {
		t.Errorf("reason %q, want declined", out.Result.Reason)
	}
	h, _ = told(t, 200, `{"reference":"kyc_1","level":2,"status":"pending","url":"javascript:alert(1)"}`)
	if out := h.Lookup(t.Context(), order); out.Kind != verification.Open || out.URL != "" {
		t.Errorf("a script for a page: %+v", out)
	}
}

// TestForeignNews: what has a good signature and is no news of this protocol.
func TestForeignNews(t *testing.T) {
	t.Parallel()
	c := config("https://host")
	c.Now = func() time.Time { return at }
	h := connect(t, c)
	good := `"event_id":"evt_1","reference":"kyc_1","level":2,"status":"passed","timestamp":"2025-10-17T09:41:00Z"`
	for _, test := range []struct{ name, body string }{
		{"array", `[]`},
		{"no nonce", `{` + strings.Replace(good, "evt_1", "", 1) + `}`},
		{"no reference", `{` + strings.Replace(good, "kyc_1", "", 1) + `}`},
		{"no time", `{` + strings.Replace(good, "2025-10-17T09:41:00Z", "", 1) + `}`},
		{"no such status", `{` + strings.Replace(good, "passed", "paid", 1) + `}`},
		{"a payment's", `{"event_id":"evt_1","type":"payment","reference":"att_1","status":"captured","amount":"5.00","currency":"EUR","timestamp":"2025-10-17T09:41:00Z"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := connector.Notification{Method: http.MethodPost, Header: http.Header{"X-Signature": {sign(test.body)}}, Body: []byte(test.body)}
			if news, err := h.ReadNotification(n); err == nil {
				t.Errorf("ReadNotification = %+v, want an error", news)
			}
		})
	}
	body := `{` + good + `}`
	n := connector.Notification{Method: http.MethodPost, Header: http.Header{"X-Signature": {strings.ToUpper(sign(body))}}, Body: []byte(body)}
	n.Header.Set("X-Signature", "sha256="+strings.ToUpper(strings.TrimPrefix(sign(body), "sha256=")))
	if news, err := h.ReadNotification(n); err != nil || news.Outcome.Kind != verification.Passed {
		t.Errorf("ReadNotification of a good one = %+v, %v", news, err)
	}
}

// TestKept: what is stored of a webhook tells nobody's name, is read again as what came,
// and is nothing that anybody else can have written.
func TestKept(t *testing.T) {
	t.Parallel()
	h := connect(t, config("https://kyc.example"))
	person := strings.Repeat("0a", 32)
	body := `{"event_id":"e1","reference":"kyc_1","check_id":"c1","level":2,"status":"passed","person":"` + person +
		`","holder":"Ann Example","holder_hash":"forged","date_of_birth":"1990-01-01","expires_at":"2090-01-01T00:00:00Z","timestamp":"` + time.Now().UTC().Format(time.RFC3339) + `"}`
	came := connector.Notification{Method: http.MethodPost, Header: http.Header{"X-Signature": {sign(body)}}, Body: []byte(body)}
	news, err := h.ReadNotification(came)
	if err != nil || news.Outcome.Result.Holder != "Ann Example" || news.Outcome.Result.HolderHash != "" {
		t.Fatalf("as it came: %+v, %v", news, err)
	}
	stored, err := h.Kept(came, "a hash")
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"Ann", "Example", "1990", "forged"} {
		if strings.Contains(string(stored.Body), secret) || strings.Contains(fmt.Sprint(stored.Header), secret) {
			t.Errorf("%q is stored: %s %v", secret, stored.Body, stored.Header)
		}
	}
	if stored.Header.Get("X-Signature") != sign(body) {
		t.Error("the signature of what came is not kept")
	}
	again, err := h.ReadNotification(stored)
	want := news
	want.Outcome.Result.Holder, want.Outcome.Result.HolderHash = "", "a hash"
	if err != nil || again != want {
		t.Errorf("read again: %+v, %v, want %+v", again, err, want)
	}
	for name, spoil := range map[string]func(*connector.Notification){
		"another person": func(n *connector.Notification) {
			n.Body = bytes.Replace(n.Body, []byte("0a0a"), []byte("0b0b"), 1)
		},
		"signed as a webhook": func(n *connector.Notification) { n.Header = http.Header{"X-Kept": {sign(string(n.Body))}} },
		"by its first signature": func(n *connector.Notification) {
			n.Header = http.Header{"X-Signature": n.Header.Values("X-Signature")}
		},
		"for a webhook": func(n *connector.Notification) { n.Header = http.Header{"X-Signature": n.Header.Values("X-Kept")} },
	} {
		n := stored
		n.Header = stored.Header.Clone()
		spoil(&n)
		if news, err := h.ReadNotification(n); !errors.Is(err, connector.ErrSignature) {
			t.Errorf("%s: %+v, %v, want ErrSignature", name, news, err)
		}
	}
}
