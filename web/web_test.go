package web_test

import (
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"aorta/web"
)

// views gives each screen with everything in it that a view can hold, in one language.
func views(lang string) map[string]web.View {
	page := web.Page{
		Lang: lang, Nonce: "bm9uY2U", Merchant: "Tea & <Sons>", TestMode: true, Framed: true,
		ParentOrigin: "https://shop.example",
	}
	fields := []web.Field{{Name: "token", Value: `a"b<c`}}
	back := &web.Button{Kind: web.ButtonReturn, URL: "https://shop.example/cart", Mode: web.ModeParent}
	all := map[string]web.View{
		"confirm": web.ConfirmView{
			Page: page, Amount: "₹25.00", Description: `Green tea <b>"250 g"</b>`, Order: "A-1", Action: "/p/x/pay", Fields: fields,
			SecondsLeft: 899, Return: back, Methods: []web.Method{{Code: "paytm-wallet", Name: "Paytm Wallet"}},
		},
		"confirm with a choice": web.ConfirmView{
			Page: page, Amount: "₹25.00", Action: "/p/x/pay",
			Methods: []web.Method{{Code: "a", Name: "A", Note: "slow"}, {Code: "b", Name: "B", Selected: true}},
		},
		"handoff": web.HandoffView{
			Page: page, Provider: "Paytm Wallet", URL: "https://psp.example/pay", Method: "POST", Fields: fields, RequestID: "r-1",
		},
		"handoff top": web.HandoffView{Page: page, Provider: "X", URL: "https://psp.example/pay", Method: "GET", Top: true},
		"processing":  web.ProcessingView{Page: page, StatusURL: "/p/x/status", PageURL: "/p/x", Returned: true, Amount: "₹25.00"},
		"processing with ways on": web.ProcessingView{
			Page: page, StatusURL: "/p/x/status", PageURL: "/p/x", Continue: &web.Onward{Provider: "Paytm Wallet", URL: "/p/x"},
			Return: &web.Button{Kind: web.ButtonFail, URL: "https://shop.example/cart", Mode: web.ModeParent},
		},
		"success": web.ResultView{
			Page: page, Outcome: web.OutcomeSuccess, Amount: "₹25.00", Order: "A-1", MethodName: "Paytm Wallet",
			Buttons: []web.Button{{Kind: web.ButtonSuccess, URL: "https://shop.example/ok", Mode: web.ModeBlank}},
			Result:  map[string]any{"description": `</script><script>alert("x")</script>`},
		},
		"success with redirect": web.ResultView{
			Page: page, Outcome: web.OutcomeSuccess, Redirect: &web.Redirect{URL: "https://shop.example/ok?a=1&b=2", Mode: web.ModeParent},
		},
		"decline with retry": web.ResultView{
			Page: page, Outcome: web.OutcomeDecline, Reason: web.ReasonProvider,
			Retry: &web.Retry{Action: "/p/x/again", Fields: fields, SecondsLeft: 540, AttemptsLeft: 4},
		},
		"pending": web.ResultView{Page: page, Outcome: web.OutcomePending, StatusURL: "/p/x/status", PageURL: "/p/x"},
	}
	at := web.At(1_767_323_045_000_000)
	own := web.CustomerView{Page: page, Restricted: &web.Restricted{Kind: "cool_off", Until: at}, Return: back}
	for _, state := range []web.PayoutState{
		web.PayoutProcessing, web.PayoutVerify, web.PayoutReview, web.PayoutDeferred, web.PayoutPartly, web.PayoutPaid, web.PayoutFailed, web.PayoutCancelled,
	} {
		own.Payouts = append(own.Payouts, web.Payout{
			Name: "po_1", State: state, Amount: "€25.00", Asked: at, Paid: "€5.00", Returned: "€2.00", ETA: at,
			Check:  web.Check{URL: "https://bureau.example/", Begin: &web.Action{URL: "/customer/x", Fields: fields}, Under: true},
			Cancel: &web.Action{URL: "/customer/x", Fields: fields},
		})
	}
	for _, reason := range []web.PayoutReason{web.PayoutRefused, web.PayoutProvider, web.PayoutLimit, web.PayoutUnavailable, web.PayoutOther} {
		own.Payouts = append(own.Payouts, web.Payout{Name: "po_2", State: web.PayoutFailed, Amount: "€25.00", Asked: at, Reason: reason})
	}
	for _, kind := range web.NoticeKinds() {
		own.Notices = append(own.Notices, web.Notice{
			Kind: kind, At: at, State: web.PayoutPaid, Amount: "€25.00", Limit: "deposit", Period: "day", Level: "2", From: at,
		})
	}
	for _, period := range []string{"day", "week", "month", "calendar_month", "once"} {
		for _, kind := range []string{"deposit", "net_deposit", "loss", "stake", "single_deposit"} {
			own.Limits = append(own.Limits, web.Limit{
				Kind: kind, Period: period, Amount: "€25.00", Used: "€5.00", ByHouse: true, Asked: "€30.00", Remove: period == "day", From: at,
			})
		}
	}
	own.Purchases = []web.Purchase{{
		Name: "call_1", What: "Google - <film>", Amount: "€25.00", Until: at, Short: true, Answer: web.Action{URL: "/customer/x", Fields: fields},
	}}
	own.Links = []web.Link{
		{Name: "***-91", Since: at, Last: at, Amount: "€25.00", Close: web.Action{URL: "/customer/x", Fields: fields}},
		{Name: "***-92", Since: at, Close: web.Action{URL: "/customer/x", Fields: fields}},
	}
	own.Ended = &web.EndedPurchase{End: web.PurchasePaid, Name: "call_2", What: "Google - <film>", Amount: "€25.00"}
	all["customer"] = own
	for _, end := range []web.PurchaseEnd{web.PurchasePaid, web.PurchaseRefused, web.PurchaseOver, web.PurchaseHeld, web.PurchaseLimit, web.PurchaseFailed} {
		ended := web.CustomerView{Page: page, Unlicensed: true, Ended: &web.EndedPurchase{End: end, Name: "call_3", What: "Google - film", Amount: "€25.00"}}
		all["customer whose purchase ended: "+string(end)] = ended
	}
	for _, problem := range append(web.SignInProblems(), "") {
		all["sign in "+problem] = web.SignInView{
			Page: page, Known: problem == "", Problem: problem, Name: `a"b`, Action: "/gsp/x", Fields: fields, Passkey: `{"publicKey":{"challenge":"x"}}`,
		}
	}
	all["sign in elsewhere"] = web.SignInView{Page: page, Action: "/gsp/x", Fields: fields, Home: "https://house.example/login?a=1&b=2"}
	all["consent"] = web.ConsentView{
		Page: page, Wallet: "***-91", Action: "/gsp/x", Fields: fields, Passkey: `{"publicKey":{}}`, Added: true,
		Limits: []web.Bound{{Kind: "once", Amount: "€1.00"}, {Kind: "day", Amount: "€2.00"}, {Kind: "month", Amount: "€3.00"}},
	}
	all["consent to what is linked"] = web.ConsentView{Page: page, Known: true, Wallet: "***-91", Action: "/gsp/x", Fields: fields}
	for _, kind := range []web.LinkErrorKind{web.LinkRequest, web.LinkOver, web.LinkLogin, web.LinkBusy} {
		all["link error "+string(kind)] = web.LinkErrorView{Page: page, Kind: kind, Reference: "trace-1"}
	}
	all["customer without rules"] = web.CustomerView{Page: page, Unlicensed: true, Links: own.Links}
	all["customer without rules and links"] = web.CustomerView{Page: page, Unlicensed: true}
	all["customer with nothing"] = web.CustomerView{Page: page, Restricted: &web.Restricted{Kind: "house"}}
	all["customer who is excluded"] = web.CustomerView{Page: page, Restricted: &web.Restricted{Kind: "self_excluded"}}
	for _, reason := range []web.Reason{
		"", web.ReasonInsufficientFunds, web.ReasonCancelled, web.ReasonTimeOver, web.ReasonProvider, web.ReasonLimit, web.ReasonUnavailable,
	} {
		all["decline "+string(reason)] = web.ResultView{
			Page: page, Outcome: web.OutcomeDecline, Reason: reason,
			Buttons: []web.Button{{Kind: web.ButtonFail, URL: "https://shop.example/no"}},
		}
	}
	for _, kind := range []web.ErrorKind{
		web.ErrorApplication, web.ErrorCompleted, web.ErrorConflict, web.ErrorExpired, web.ErrorNoMethod, web.ErrorNotFound, web.ErrorBusy,
	} {
		all["error "+string(kind)] = web.ErrorView{Page: page, Kind: kind, Reference: "trace-1", Return: back, ReloadURL: "/p/x"}
	}
	return all
}

func render(t *testing.T, v web.View) string {
	t.Helper()
	var out strings.Builder
	if err := web.Render(&out, v); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestPagesFitThePolicy: a page with default-src 'none' must hold nothing inline, or a browser shows half of it.
func TestPagesFitThePolicy(t *testing.T) {
	t.Parallel()
	forbidden := map[string]*regexp.Regexp{
		"inline handler":                    regexp.MustCompile(`(?i)<[^>]*\son[a-z]+\s*=`),
		"inline style":                      regexp.MustCompile(`(?i)<[^>]*\sstyle\s*=`),
		"style element":                     regexp.MustCompile(`(?i)<style`),
		"inline script":                     regexp.MustCompile(`(?i)<script(?:[^>]*)>[^<]`),
		"foreign address":                   regexp.MustCompile(`(?i)(?:src|rel="stylesheet" href)="(?:https?:)?//`),
		"untranslated":                      regexp.MustCompile(`(?:confirm|timer|handoff|processing|result|reason|button|error|label|page)\.[a-z_.]+<`),
		"untranslated on a customer's page": regexp.MustCompile(`(?:customer|payout|notice|limit|period|restricted|link|google)\.[a-z_]+`),
		"unfilled":                          regexp.MustCompile(`\{(?:amount|method|provider|n|state|limit|level|merchant)\}`),
		"refused by html/template":          regexp.MustCompile(`ZgotmplZ`),
		// html/template takes data-on… for a handler and quotes its text like a script's.
		"text quoted as a script": regexp.MustCompile(`data-on[a-z]*=`),
	}
	dir := map[string]string{"ar": "rtl", "en": "ltr", "es": "ltr", "hi": "ltr", "ru": "ltr"}
	for _, lang := range web.Languages() {
		for name, view := range views(lang) {
			html := render(t, view)
			for what, pattern := range forbidden {
				if found := pattern.FindString(html); found != "" {
					t.Errorf("%s in %s holds %s: %s", name, lang, what, found)
				}
			}
			if !strings.Contains(html, `<html lang="`+lang+`" dir="`+dir[lang]+`" class="framed">`) {
				t.Errorf("%s in %s does not say its language", name, lang)
			}
			if n := strings.Count(html, "<h1"); n != 1 {
				t.Errorf("%s in %s has %d headings of the first rank, want 1", name, lang, n)
			}
		}
	}
}

// TestScriptsAreInTheInventory is security.md S29: what a rendered page loads is what the inventory lists, byte for
// byte, and every line has a reason.
func TestScriptsAreInTheInventory(t *testing.T) {
	t.Parallel()
	var inventory []struct{ Path, Source, Reason, Integrity string }
	if err := json.Unmarshal(web.Inventory(), &inventory); err != nil {
		t.Fatal(err)
	}
	approved := map[string]string{}
	for _, line := range inventory {
		if line.Reason == "" {
			t.Errorf("%s is in the inventory without a reason", line.Path)
		}
		body, err := os.ReadFile(filepath.Join("dist", path.Base(line.Path)))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha512.Sum384(body)
		if want := "sha384-" + base64.StdEncoding.EncodeToString(sum[:]); line.Integrity != want {
			t.Errorf("%s is in the inventory as %s, its file has %s: run go generate ./web", line.Path, line.Integrity, want)
		}
		approved[line.Path] = line.Integrity
	}
	loads := regexp.MustCompile(`<(?:script src|link rel="stylesheet" href)="([^"?]+)\?v=[^"]+" integrity="([^"]+)"`)
	elements := regexp.MustCompile(`<script|<link rel="stylesheet"`)
	for name, view := range views("en") {
		html := render(t, view)
		found := loads.FindAllStringSubmatch(html, -1)
		if got, want := len(found), len(elements.FindAllString(html, -1)); got != want || got != 2 {
			t.Errorf("%s: %d of %d scripts and styles have a version and an integrity, want 2 of 2", name, got, want)
		}
		for _, f := range found {
			if got := strings.ReplaceAll(f[2], "&#43;", "+"); approved[f[1]] != got {
				t.Errorf("%s loads %s as %s, the inventory has %q", name, f[1], got, approved[f[1]])
			}
		}
	}
}

func TestRenderEscapes(t *testing.T) {
	t.Parallel()
	for name, view := range views("en") {
		html := render(t, view)
		for _, raw := range []string{"<Sons>", `<b>"250`, `a"b<c`, "<script>alert"} {
			if strings.Contains(html, raw) {
				t.Errorf("%s holds %s as markup", name, raw)
			}
		}
	}
}

func TestRenderDetails(t *testing.T) {
	t.Parallel()
	plain := web.Page{Lang: "en"}
	tests := []struct {
		name   string
		view   web.View
		has    []string
		hasNot []string
	}{
		{
			name: "no nonce, no script", view: web.ErrorView{Page: plain, Kind: web.ErrorApplication},
			has: []string{"<title>This payment cannot be opened</title>"}, hasNot: []string{"<script", "data-parent-origin"},
		},
		{
			name: "waiting without scripts", view: web.ProcessingView{Page: plain, StatusURL: "/s", PageURL: "/p"},
			has: []string{`<noscript><meta http-equiv="refresh" content="3"></noscript>`, `data-status-url="/s"`, `href="/p"`},
		},
		{
			name: "redirect of a tab without scripts",
			view: web.ResultView{Page: plain, Outcome: web.OutcomeSuccess, Redirect: &web.Redirect{URL: "https://shop.example/?a=1&b=2", Mode: web.ModeParent}},
			has:  []string{`content="0;url=https://shop.example/?a=1&amp;b=2"`, `data-redirect-mode="parent_page"`},
		},
		{
			name:   "redirect out of a frame needs a press without scripts",
			view:   web.ResultView{Page: web.Page{Framed: true}, Outcome: web.OutcomeSuccess, Redirect: &web.Redirect{URL: "https://shop.example/", Mode: web.ModeParent}},
			has:    []string{`target="_parent"`},
			hasNot: []string{"http-equiv"},
		},
		{
			name:   "redirect to no web address",
			view:   web.ResultView{Page: plain, Outcome: web.OutcomeSuccess, Redirect: &web.Redirect{URL: "javascript:alert(1)"}},
			hasNot: []string{"javascript:", "http-equiv"},
		},
		{
			name: "time left above five minutes", view: web.ConfirmView{Page: plain, SecondsLeft: 3725},
			has: []string{`data-seconds="3725"`, ">1:02:05<"}, hasNot: []string{"timer--last"},
		},
		{
			name: "the last five minutes", view: web.ConfirmView{Page: plain, SecondsLeft: 300},
			has: []string{"timer--last", ">05:00<"},
		},
		{
			name: "no limit", view: web.ConfirmView{Page: plain}, hasNot: []string{"timer"},
		},
		{
			name: "the first method is chosen when none is",
			view: web.ConfirmView{Page: plain, Methods: []web.Method{{Code: "a", Name: "A"}, {Code: "b", Name: "B"}}},
			has:  []string{`value="a" data-name="A" required checked`},
		},
		{
			name: "attempts left", view: views("en")["decline with retry"],
			has: []string{"That did not work", "4 attempts left", `id="again-form"`, `data-seconds="540"`},
		},
	}
	for _, tt := range tests {
		html := render(t, tt.view)
		for _, want := range tt.has {
			if !strings.Contains(html, want) {
				t.Errorf("%s: lacks %s in\n%s", tt.name, want, html)
			}
		}
		for _, not := range tt.hasNot {
			if strings.Contains(html, not) {
				t.Errorf("%s: has %s in\n%s", tt.name, not, html)
			}
		}
	}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	got := web.Policy{
		Nonce:          "bm9uY2U",
		FormAction:     []string{"https://psp.example/theia?x=1", "https://evil.example; script-src *", "javascript:x"},
		FrameAncestors: []string{"https://Shop.example:8443/cart"},
		ReportURI:      "/csp",
	}.String()
	want := "default-src 'none'; style-src 'self'; img-src data:; connect-src 'self'; form-action 'self' https://psp.example; " +
		"frame-ancestors https://shop.example:8443; base-uri 'none'; object-src 'none'; script-src 'nonce-bm9uY2U'; report-uri /csp"
	if got != want {
		t.Errorf("Policy.String()\n got %s\nwant %s", got, want)
	}
	got = web.Policy{Loopback: true}.String()
	if !strings.Contains(got, "frame-ancestors http://127.0.0.1:* http://localhost:* https://127.0.0.1:* https://localhost:*;") {
		t.Errorf("the policy of a demo is %s", got)
	}
	for address, want := range map[string]bool{
		"http://127.0.0.1:3000/shop": true, "https://localhost": true, "http://LOCALHOST:1": true, "http://localhost.evil.example": false,
		"http://127.0.0.1.evil.example:80": false, "http://127.0.0.2": false, "file:///127.0.0.1": false, "http://a@localhost": true, "": false,
	} {
		if got := web.Loopback(address); got != want {
			t.Errorf("Loopback(%q) = %t, want %t", address, got, want)
		}
	}
	if zero := (web.Policy{Nonce: "x'; *"}).String(); strings.Contains(zero, "script-src") || !strings.Contains(zero, "frame-ancestors 'none'") {
		t.Errorf("a nonce with a quote gives %s", zero)
	}
}

func FuzzOrigin(f *testing.F) {
	f.Add("https://shop.example/cart?x=1")
	f.Add("http://[::1]:8080/")
	f.Add("https://a;b'/")
	f.Fuzz(func(t *testing.T, address string) {
		got := web.Origin(address)
		if got != "" && web.Origin(got) != got {
			t.Errorf("Origin(%q) = %q, whose own origin is %q", address, got, web.Origin(got))
		}
		if strings.ContainsAny(got, " ;,'\"\n") {
			t.Errorf("Origin(%q) = %q would change a policy", address, got)
		}
	})
}

func TestHandler(t *testing.T) {
	t.Parallel()
	handler := web.Handler()
	get := func(method, target string, header http.Header) *http.Response {
		r := httptest.NewRequest(method, target, nil)
		r.Header = header
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Result()
	}
	for _, a := range []web.Asset{web.MerchantJS(), web.MerchantCSS(), web.PageJS(), web.PageCSS(), web.SignInJS()} {
		plain := get(http.MethodGet, a.Path, nil)
		if plain.StatusCode != 200 || plain.Header.Get("Content-Type") != a.Type || plain.Header.Get("Cache-Control") != "public, max-age=300" {
			t.Errorf("GET %s: %d %v", a.Path, plain.StatusCode, plain.Header)
		}
		versioned := get(http.MethodGet, a.URL(), nil)
		if !strings.Contains(versioned.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("GET %s: Cache-Control %q", a.URL(), versioned.Header.Get("Cache-Control"))
		}
		again := get(http.MethodGet, a.Path, http.Header{"If-None-Match": {plain.Header.Get("ETag")}})
		if again.StatusCode != http.StatusNotModified {
			t.Errorf("GET %s with its ETag: %d, want 304", a.Path, again.StatusCode)
		}
	}
	if got := get(http.MethodPost, "/shared/page.js", nil).StatusCode; got != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d, want 405", got)
	}
	for _, target := range []string{"/shared/", "/shared/../web.go", "/shared/inventory.json", "/"} {
		if got := get(http.MethodGet, target, nil).StatusCode; got != http.StatusNotFound {
			t.Errorf("GET %s: %d, want 404", target, got)
		}
	}
}

// TestTemplatesAreAllUsed: a template nobody renders would not be judged by anything above.
func TestTemplatesAreAllUsed(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	seen := []string{"layout", "parts"}
	for _, view := range views("en") {
		page := regexp.MustCompile(`data-page="([a-z]+)"`).FindStringSubmatch(render(t, view))
		seen = append(seen, page[1])
	}
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".html"); !slices.Contains(seen, name) {
			t.Errorf("no test renders %s", file)
		}
	}
}

func ExampleRender() {
	var page strings.Builder
	err := web.Render(&page, web.ErrorView{
		Page: web.Page{Lang: web.Language("", "hi-IN,hi;q=0.9")}, Kind: web.ErrorExpired, Reference: "5f0c",
	})
	fmt.Println(err, strings.Contains(page.String(), "समय समाप्त हो गया"))
	// Output: <nil> true
}
