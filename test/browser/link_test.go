package browser

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/due"
	"aorta/internal/flow"
	"aorta/internal/google"
	"aorta/internal/google/login"
	"aorta/internal/google/people"
	"aorta/internal/pgp"
	"aorta/internal/project"
	"aorta/internal/sign"
	"aorta/web"
)

// TestLink links wallets as customers do, at the page and with scripts as they are, and
// keys as Google has them. What stands in for Google sends the browser and reads what it
// comes back with; the operator's own login is a button.
func TestLink(t *testing.T) {
	needs(t)
	s := newLinkServer(t)
	drive(t, "link.mjs", map[string]any{"public": s.url, "password": "correct horse", "user": "demo"})
}

// linkServer has everything at one address: page, Google's side, the operator's login.
type linkServer struct {
	url    string
	google *pgp.Ring
	next   atomic.Int64
	secret sign.Secret
}

func linkKey(t *testing.T, name string) pgp.Key {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "internal", "pgp", "testdata", "pgp", name))
	if err != nil {
		t.Fatal(err)
	}
	k, err := pgp.ReadKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func linkRing(t *testing.T, ours, theirs pgp.Key) *pgp.Ring {
	t.Helper()
	r, err := pgp.NewRing(pgp.Keys{Decrypt: []pgp.Key{ours}, Sign: []pgp.Key{ours}, Verify: []pgp.Key{theirs}, Encrypt: []pgp.Key{theirs}}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newLinkServer(t *testing.T) *linkServer {
	t.Helper()
	ours, theirs := linkKey(t, "integrator-secret.asc"), linkKey(t, "google-side-secret.asc")
	us := linkRing(t, ours, theirs)
	s := &linkServer{google: linkRing(t, theirs, ours), secret: sign.NewSecret("0123456789abcdef0123456789abcdef")}
	// The keys of the vectors live in 2024.
	began, then := time.Now(), time.UnixMilli(1705276860250)
	clock := func() time.Time { return then.Add(time.Since(began)) }

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	// Passkeys are of a name, so browsers know the server by one.
	s.url = fmt.Sprintf("http://localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	store := book.NewMemory()
	b, err := book.New(context.WithoutCancel(t.Context()), []book.Home{{Store: store}}, book.Options{
		Now: clock, Random: rand.Reader, Epoch: 1, Work: func([]due.Due) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	pr := project.Project{ID: 200, MerchantID: 1, Name: "Demo shop", Secret: sign.NewSecret("s"), Wallet: true}
	projects := func(n int64) (project.Project, bool) { return pr, n == pr.ID }
	flows := flow.New(b, store, flow.Options{Projects: projects, Now: clock})
	known, err := people.Open(filepath.Join(t.TempDir(), "people.json"), people.Options{House: "Demo shop", Now: clock, Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	if err := known.Put("demo", "demo-customer", "correct horse"); err != nil {
		t.Fatal(err)
	}
	integration := func(name string) google.Hosted {
		return google.Hosted{Ring: func() *pgp.Ring { return us }, Integration: google.Integration{
			Name: name, ProjectID: 200, Layout: google.LayoutV1, BasePath: "/gsp/" + name, Accounts: []string{"SHOP_INR"}, Sandbox: true,
			CallbackHosts: google.DefaultCallbackHosts(), ProofTime: google.DefaultProofTime,
			Limits: []google.Limit{{Currency: "INR", Transaction: 5_000_00, Day: 20_000_00, Month: 100_000_00}},
		}}
	}
	page := google.NewPage(google.PageOptions{
		Integrations: []google.Hosted{integration("main"), integration("own")},
		SignIns: map[string]google.SignIn{
			"main": known, "own": login.New(login.Options{Integration: "own", URL: s.url + "/login", Secret: s.secret, Now: clock, Random: rand.Reader}),
		},
		Flows: flows, Projects: projects, PublicURL: func() string { return s.url }, Key: [32]byte{7}, Now: clock, TestMode: true,
	})
	mux := http.NewServeMux()
	for _, pattern := range page.Patterns() {
		mux.Handle(pattern, page)
	}
	mux.Handle("/shared/", web.Handler())
	mux.HandleFunc("/google/start", func(w http.ResponseWriter, r *http.Request) { s.start(w, r, clock()) })
	mux.HandleFunc("/google/callback", func(w http.ResponseWriter, r *http.Request) { s.callback(w, r, clock()) })
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) { s.login(w, r, clock()) })
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: mux}}
	server.Start()
	t.Cleanup(server.Close)
	return s
}

// start sends the browser to the page: ?integration=…&id=…
func (s *linkServer) start(w http.ResponseWriter, r *http.Request, now time.Time) {
	name := r.FormValue("id")
	if name == "" {
		name = fmt.Sprintf("rdr-%d==", s.next.Add(1))
	}
	plain, err := json.Marshal(map[string]string{"requestId": name})
	if err != nil {
		panic(err)
	}
	text, err := s.google.Seal(plain, now, pgp.Form{Short: true})
	if err != nil {
		panic(err)
	}
	http.Redirect(w, r, s.url+"/gsp/"+r.FormValue("integration")+"/v1/authenticate?"+url.Values{
		"gspMajorVersion": {"1"}, "gspAuthenticationRequest": {string(text)}, "gspCallbackUrl": {s.url + "/google/callback?s=1"},
	}.Encode(), http.StatusFound)
}

// callback shows what the browser has come back with.
func (s *linkServer) callback(w http.ResponseWriter, r *http.Request, now time.Time) {
	opened, err := s.google.Open([]byte(r.FormValue("gspAuthenticationResponse")), now)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintf(w, "<!doctype html><title>Google</title><p id=result>%s</p><p id=answer>%s</p>", html.EscapeString(r.FormValue("gspResult")), html.EscapeString(string(opened.Plain)))
}

// login is the operator's: a page with a button that leads back, signed.
func (s *linkServer) login(w http.ResponseWriter, r *http.Request, now time.Time) {
	doc, err := sign.ParseForm(r.URL.RawQuery)
	if err == nil {
		err = sign.VerifyForm(doc, s.secret)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	q := url.Values{"state": {r.FormValue("state")}, "time": {fmt.Sprint(now.Unix())}, "customer_id": {"demo-customer"}}
	answer, err := sign.ParseForm(q.Encode())
	if err != nil {
		panic(err)
	}
	q.Set("signature", sign.Sign(answer, s.secret))
	back := r.FormValue("return_url")
	fmt.Fprintf(w, `<!doctype html><title>Login</title><a id=in href="%s">in</a>`, html.EscapeString(back+"?"+strings.TrimPrefix(q.Encode(), "?")))
}
