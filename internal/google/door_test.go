package google_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/google"
	"aorta/internal/pgp"

	"github.com/prometheus/client_golang/prometheus"
)

// counts is a registry of which integrations were asked.
type counts struct{ *prometheus.Registry }

// of gives how many answers each integration has given.
func (c counts) of(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := c.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "aorta_google_answers_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "integration" {
					out[l.GetValue()] += m.GetCounter().GetValue()
				}
			}
		}
	}
	return out
}

// now is the time of the examples in section 11.
var now = time.UnixMilli(1705276860250)

func key(t testing.TB, name string) pgp.Key {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "pgp", "testdata", "pgp", name))
	if err != nil {
		t.Fatal(err)
	}
	k, err := pgp.ReadKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func ring(t testing.TB, ours, theirs pgp.Key) *pgp.Ring {
	t.Helper()
	r, err := pgp.NewRing(pgp.Keys{Decrypt: []pgp.Key{ours}, Sign: []pgp.Key{ours}, Verify: []pgp.Key{theirs}, Encrypt: []pgp.Key{theirs}}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// other is the name of the second integration, whose Google has another key.
const other = "other"

// world is a door with two integrations, and the Google of each.
type world struct {
	door        *google.Door
	options     google.Options
	google, not *pgp.Ring // of "main", and of other
	log         *bytes.Buffer
	house       *house
}

func integration(name string) google.Integration {
	return google.Integration{
		Name: name, ProjectID: 200, Layout: google.LayoutV1, BasePath: "/gsp/" + name, Accounts: []string{"AORTA_" + strings.ToUpper(name) + "_INR"},
		CallbackHosts: google.DefaultCallbackHosts(), CallTimeout: google.DefaultCallTimeout, AsyncTime: google.DefaultAsyncTime,
		ProofTime: google.DefaultProofTime, CodeTime: google.DefaultCodeTime,
	}
}

func newWorld(t testing.TB) world {
	t.Helper()
	ours, next := key(t, "integrator-secret.asc"), key(t, "integrator-next-secret.asc")
	theirs, strange := key(t, "google-side-secret.asc"), key(t, "unknown-signer-secret.asc")
	w := world{google: ring(t, theirs, ours), not: ring(t, strange, next), log: &bytes.Buffer{}, house: newHouse(t, book.NewMemory())}
	us, others := ring(t, ours, theirs), ring(t, next, strange)
	w.options = google.Options{
		Integrations: []google.Hosted{
			{Integration: integration("main"), Ring: func() *pgp.Ring { return us }},
			{Integration: integration(other), Ring: func() *pgp.Ring { return others }},
		},
		Wallets: w.house.flows, Now: func() time.Time { return now }, Random: rand.Reader, Server: "aorta 0.1", Log: slog.New(slog.NewJSONHandler(w.log, nil)),
	}
	w.door = google.New(w.options)
	return w
}

// answer is what came back, opened.
type answer struct {
	Status                           int
	Code                             google.Code `json:"errorResponseCode"`
	Description                      string      `json:"errorDescription"`
	PaymentIntegratorErrorIdentifier string
	ClientMessage, ServerMessage     string
	ResponseHeader                   struct{ ResponseTimestamp string }
}

// ask sends a body and opens what comes back with the keys of by.
func (w world) ask(t testing.TB, r *http.Request, by *pgp.Ring) answer {
	t.Helper()
	recorder := httptest.NewRecorder()
	w.door.ServeHTTP(recorder, r)
	got := answer{Status: recorder.Code}
	if recorder.Body.Len() == 0 {
		return got
	}
	if c := recorder.Header().Get("Content-Type"); c != google.ContentType {
		t.Errorf("Content-Type %q", c)
	}
	opened, err := by.Open(recorder.Body.Bytes(), now)
	if err != nil {
		t.Fatalf("%d, and an answer that does not open: %v", recorder.Code, err)
	}
	if err := json.Unmarshal(opened.Plain, &got); err != nil {
		t.Fatalf("%s: %v", opened.Plain, err)
	}
	if got.ResponseHeader.ResponseTimestamp != google.Millis(now) {
		t.Errorf("responseTimestamp %q", got.ResponseHeader.ResponseTimestamp)
	}
	return got
}

func post(path string, body []byte) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "http://pay.example"+path, bytes.NewReader(body))
	r.Header.Set("Content-Type", google.ContentType)
	return r
}

func sealed(t testing.TB, by *pgp.Ring, plain string) []byte {
	t.Helper()
	text, err := by.Seal([]byte(plain), now, pgp.Form{})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// request is a call of echo, with its header's members replaced.
func request(replace ...string) string {
	return strings.NewReplacer(replace...).Replace(
		`{"requestHeader":{"requestId":"ech-01","requestTimestamp":"1705276860000","protocolVersion":{"major":1,"minor":0,"revision":0}},"clientMessage":"ping 7"}`)
}

// TestEcho: the example of section 11.
func TestEcho(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.ask(t, post("/gsp/main/v1/echo", sealed(t, w.google, request())), w.google)
	if got.Status != 200 || got.ClientMessage != "ping 7" || got.ServerMessage != "aorta 0.1" {
		t.Errorf("echo = %+v", got)
	}
	for _, message := range []string{"✓ नमस्ते", `<b>&\"quoted\"</b>`, strings.Repeat("x", 20_000)} {
		got := w.ask(t, post("/gsp/main/v1/echo", sealed(t, w.google, request("ping 7", message))), w.google)
		if got.Status != 200 || got.ClientMessage != strings.ReplaceAll(message, `\"`, `"`) {
			t.Errorf("echo of %.40q = %d %.60q", message, got.Status, got.ClientMessage)
		}
	}
}

// TestRefusals: every row of sections 1.6 and 2.4 that needs no money, each answer
// encrypted, since only Google may read it.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const echo = "/gsp/main/v1/echo"
	good := func() []byte { return sealed(t, w.google, request()) }
	vector := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join("..", "pgp", "testdata", "pgp", name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	with := func(r *http.Request, name, value string) *http.Request {
		r.Header.Set(name, value)
		return r
	}
	plain := func(replace ...string) *http.Request { return post(echo, sealed(t, w.google, request(replace...))) }
	at := func(ms int64) *http.Request {
		return plain("1705276860000", fmt.Sprint(now.UnixMilli()+ms))
	}
	tests := []struct {
		name   string
		r      *http.Request
		status int
		code   google.Code
	}{
		{"no such method", post("/gsp/main/v1/steal", good()), 404, ""},
		{"the method of another version", post("/gsp/main/e-wallets-v1/echo", good()), 404, ""},
		{"the account in the URL", post("/gsp/main/v1/echo/AORTA_MAIN_INR", good()), 404, ""},
		{"GET", httptest.NewRequest(http.MethodGet, "http://pay.example"+echo, nil), 405, ""},
		{"no content type", with(post(echo, good()), "Content-Type", ""), 415, ""},
		{"JOSE", with(post(echo, good()), "Content-Type", "application/jose; charset=utf-8"), 415, ""},
		{"JSON", with(post(echo, []byte(request())), "Content-Type", "application/json"), 415, ""},
		{"another charset", with(post(echo, good()), "Content-Type", "application/octet-stream; charset=latin1"), 415, ""},
		{"compressed by HTTP", with(post(echo, good()), "Content-Encoding", "gzip"), 415, ""},
		{"content type without charset", with(post(echo, good()), "Content-Type", "application/octet-stream"), 200, ""},
		{"content type in capitals", with(post(echo, good()), "Content-Type", "Application/Octet-Stream; Charset=UTF-8"), 200, ""},
		{"a line break behind", post(echo, append(good(), '\n')), 200, ""},
		{"too long", post(echo, bytes.Repeat([]byte("A"), pgp.MaxText+3)), 413, ""},
		{"too long, of no known length", unsized(post(echo, bytes.Repeat([]byte("A"), pgp.MaxText+3))), 413, ""},
		{"nothing", post(echo, nil), 400, google.CodeEncryption},
		{"in the clear", post(echo, []byte(request())), 400, google.CodeEncryption},
		{"not encrypted", post(echo, vector("bad-not-encrypted.b64url")), 400, google.CodeEncryption},
		{"to another", post(echo, vector("bad-wrong-recipient.b64url")), 400, google.CodeEncryption},
		{"damaged", post(echo, vector("bad-tampered.b64url")), 400, google.CodeEncryption},
		{"unsigned", post(echo, vector("bad-unsigned.b64url")), 401, google.CodeSignature},
		{"by a stranger", post(echo, vector("bad-unknown-signer.b64url")), 401, google.CodeSignature},
		{"to and by the keys of another integration", post(echo, sealed(t, w.not, request())), 400, google.CodeEncryption},
		{"a list", post(echo, sealed(t, w.google, `[]`)), 400, google.CodeDecrypted},
		{"a trailing comma", post(echo, sealed(t, w.google, `{"a":1,}`)), 400, google.CodeDecrypted},
		{"a name twice", plain(`"clientMessage"`, `"clientMessage":"x","clientMessage"`), 400, google.CodeDecrypted},
		{"a BOM", post(echo, sealed(t, w.google, "\ufeff"+request())), 400, google.CodeDecrypted},
		{"bytes behind", post(echo, sealed(t, w.google, request()+"x")), 400, google.CodeDecrypted},
		{"invalid UTF-8", plain("ping 7", "\xff"), 400, google.CodeDecrypted},
		{"no header", post(echo, sealed(t, w.google, `{"clientMessage":"x"}`)), 400, google.CodeMissing},
		{"a bad request id", plain("ech-01", "ech 01"), 400, google.CodeFieldValue},
		{"version 2", plain(`"major":1`, `"major":2`), 400, google.CodeVersion},
		{"a minute old", at(-60_000), 200, ""},
		{"a millisecond older", at(-60_001), 400, google.CodeTimestamp},
		{"a minute ahead", at(60_000), 200, ""},
		{"a millisecond more", at(60_001), 400, google.CodeTimestamp},
		{"our account", plain(`"clientMessage"`, `"paymentIntegratorAccountId":"AORTA_MAIN_INR","clientMessage"`), 200, ""},
		{"the account of another integration", plain(`"clientMessage"`, `"paymentIntegratorAccountId":"AORTA_OTHER_INR","clientMessage"`), 404, google.CodeIdentifier},
		{"our account in small letters", plain(`"clientMessage"`, `"paymentIntegratorAccountId":"aorta_main_inr","clientMessage"`), 404, google.CodeIdentifier},
		{"an account that is no text", plain(`"clientMessage"`, `"paymentIntegratorAccountId":7,"clientMessage"`), 400, google.CodeDecrypted},
		{"no message", plain(`"clientMessage":"ping 7"`, `"other":1`), 400, google.CodeMissing},
		{"a message that is no text", plain(`"ping 7"`, `{"a":1}`), 400, google.CodeDecrypted},
		{"an unknown member", plain(`"clientMessage"`, `"later":{"x":[1]},"clientMessage"`), 200, ""},
		{"an empty message", plain("ping 7", ""), 200, ""},
	}
	for _, tt := range tests {
		got := w.ask(t, tt.r, w.google)
		if got.Status != tt.status || got.Code != tt.code {
			t.Errorf("%s: %d %s (%s), want %d %s", tt.name, got.Status, got.Code, got.Description, tt.status, tt.code)
		}
		if tt.status != 200 && (got.Description == "" || !strings.HasPrefix(got.PaymentIntegratorErrorIdentifier, "err_") ||
			!strings.Contains(w.log.String(), got.PaymentIntegratorErrorIdentifier)) {
			t.Errorf("%s: the error %q (%q) is not in the log", tt.name, got.PaymentIntegratorErrorIdentifier, got.Description)
		}
	}
}

// unsized is a request whose length nobody says.
func unsized(r *http.Request) *http.Request {
	r.ContentLength, r.Body = -1, io.NopCloser(r.Body)
	return r
}

// TestNobody: where no integration is, there is nothing to read.
func TestNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"/gsp/nobody/v1/echo", "/gsp/v1/echo", "/gsp/mainly/v1/echo", "/gsp", "/", "/gsp/main"} {
		if got := w.ask(t, post(path, sealed(t, w.google, request())), w.google); got != (answer{Status: 404}) {
			t.Errorf("%s = %+v, want an empty 404", path, got)
		}
	}
}

// TestPlaces: the three layouts, at paths and hosts of their own.
func TestPlaces(t *testing.T) {
	t.Parallel()
	r := ring(t, key(t, "integrator-secret.asc"), key(t, "google-side-secret.asc"))
	at := func(name string, layout google.Layout, base string, hosts ...string) google.Hosted {
		i := integration(name)
		i.Layout, i.BasePath, i.Hosts = layout, base, hosts
		if err := i.Check(); err != nil {
			t.Fatal(err)
		}
		return google.Hosted{Integration: i, Ring: func() *pgp.Ring { return r }}
	}
	list := []google.Hosted{
		at("root", google.LayoutOldest, "", "pay.example"),
		at("main", google.LayoutV1, "/gsp/main"),
		at("deep", google.LayoutV1, "/gsp/main-2"),
		at("wallets", google.LayoutEWallets, "/gsp", "wallet.example", "wallet2.example"),
	}
	var all []google.Integration
	for _, h := range list {
		all = append(all, h.Integration)
	}
	if err := google.CheckAll(all); err != nil {
		t.Fatal(err)
	}
	registry := counts{prometheus.NewRegistry()}
	door := google.New(google.Options{Integrations: list, Now: func() time.Time { return now }, Random: rand.Reader, Metrics: registry})
	for _, tt := range []struct{ host, path, want string }{
		{"pay.example", "/v1/echo", "root"},
		{"PAY.example:8443", "/v1/echo", "root"},
		{"other.example", "/v1/echo", ""},
		{"pay.example", "/gsp/main/v1/echo", "main"},
		{"any.example", "/gsp/main/v1/echo", "main"},
		{"any.example", "/gsp/main-2/v1/echo", "deep"},
		{"wallet.example", "/gsp/e-wallets-v1/echo", "wallets"},
		{"wallet2.example", "/gsp/e-wallets-v1/echo", "wallets"},
		{"wallet.example", "/gsp/main/v1/echo", "main"},
		{"any.example", "/gsp/e-wallets-v1/echo", ""},
		{"pay.example", "/v2/echo", ""},
		{"pay.example", "/", ""},
	} {
		before := registry.of(t)
		door.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "http://"+tt.host+tt.path, nil))
		got := ""
		for name, n := range registry.of(t) {
			if n > before[name] {
				got += name
			}
		}
		if got != tt.want {
			t.Errorf("%s%s belongs to %q, want %q", tt.host, tt.path, got, tt.want)
		}
	}
}

// TestNoKeys: before the ceremony nothing can be said, and that is no 200.
func TestNoKeys(t *testing.T) {
	t.Parallel()
	empty, err := pgp.NewRing(pgp.Keys{}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	log := &bytes.Buffer{}
	door := google.New(google.Options{
		Integrations: []google.Hosted{{Integration: integration("main"), Ring: func() *pgp.Ring { return empty }}},
		Now:          func() time.Time { return now }, Random: rand.Reader, Log: slog.New(slog.NewJSONHandler(log, nil)),
	})
	recorder := httptest.NewRecorder()
	door.ServeHTTP(recorder, post("/gsp/main/v1/echo", []byte("AAAA")))
	if recorder.Code != 400 || recorder.Body.Len() != 0 || !strings.Contains(log.String(), "ALARM") {
		t.Errorf("%d %q, log %s", recorder.Code, recorder.Body, log)
	}
}

// TestCrowd: what is beyond the bound is refused unread, and what follows is not.
func TestCrowd(t *testing.T) {
	t.Parallel()
	r := ring(t, key(t, "integrator-secret.asc"), key(t, "google-side-secret.asc"))
	door := google.New(google.Options{
		Integrations: []google.Hosted{{Integration: integration("main"), Ring: func() *pgp.Ring { return r }}},
		Now:          func() time.Time { return now }, Random: rand.Reader, InFlight: 1,
	})
	inside, release := make(chan struct{}), make(chan struct{})
	ended := make(chan int)
	go func() {
		body := io.MultiReader(gate{inside, release}, strings.NewReader("AAAA"))
		slow := unsized(post("/gsp/main/v1/echo", nil))
		slow.Body = io.NopCloser(body)
		recorder := httptest.NewRecorder()
		door.ServeHTTP(recorder, slow)
		ended <- recorder.Code
	}()
	<-inside
	recorder := httptest.NewRecorder()
	door.ServeHTTP(recorder, post("/gsp/main/v1/echo", []byte("AAAA")))
	if recorder.Code != 503 || recorder.Header().Get("Retry-After") == "" {
		t.Errorf("beyond the bound: %d, want 503", recorder.Code)
	}
	close(release)
	if code := <-ended; code != 400 {
		t.Errorf("the one within: %d, want 400", code)
	}
	recorder = httptest.NewRecorder()
	door.ServeHTTP(recorder, post("/gsp/main/v1/echo", []byte("AAAA")))
	if recorder.Code != 400 {
		t.Errorf("after it: %d, want 400", recorder.Code)
	}
}

// gate is a body that comes when it may.
type gate struct{ inside, release chan struct{} }

func (g gate) Read([]byte) (int, error) {
	close(g.inside)
	<-g.release
	return 0, io.EOF
}

// TestNothingInLogs: no plaintext of a request is in the log, not even the names
// that its sender made up.
func TestNothingInLogs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const canary = "R1BULWV4YW1wbGU"
	for _, body := range []string{
		request("ping 7", canary), request("ech-01", "ech 01 "+canary), `{"` + canary + `":1,"` + canary + `":2}`, `{"` + canary + `":}`,
		request(`"clientMessage"`, `"paymentIntegratorAccountId":"`+canary+`","clientMessage"`), request(`"ping 7"`, `{"`+canary+`":"`+canary+`"}`),
	} {
		got := w.ask(t, post("/gsp/main/v1/echo", sealed(t, w.google, body)), w.google)
		if strings.Contains(w.log.String(), canary) || strings.Contains(got.Description, canary) {
			t.Errorf("%s is told: %s; log: %s", body, got.Description, w.log)
		}
	}
}

// FuzzDoor: whatever Google says within a good message is answered, and a 200 only
// if it is JSON.
func FuzzDoor(f *testing.F) {
	w := newWorld(f)
	f.Add(request())
	f.Add(`{}`)
	f.Add(`{"requestHeader":{"requestId":"a","requestTimestamp":1705276860000,"protocolVersion":{"major":1}},"clientMessage":""}`)
	f.Fuzz(func(t *testing.T, plain string) {
		got := w.ask(t, post("/gsp/main/v1/echo", sealed(t, w.google, plain)), w.google)
		if got.Status >= 500 || got.Status != 200 && got.Description == "" || got.Status == 200 && !json.Valid([]byte(plain)) {
			t.Errorf("%q = %+v", plain, got)
		}
	})
}
