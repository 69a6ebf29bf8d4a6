package browser

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"aorta/web"
)

// TestWidget judges merchant.js, the payment page's screens and page.js against a stand-in for the platform, so that
// each step can be held, broken and looked at. What the real platform does with them is flow_test.go's matter.
func TestWidget(t *testing.T) {
	needs(t)
	s := newStandIn(t)
	drive(t, "widget.mjs", map[string]any{"pay": s.pay.URL, "psp": s.psp.URL, "shop": s.shopURL})
}

// standIn is a payment page over web's views, a provider with three buttons and a shop, each on an origin of its own;
// the shop's is another site.
type standIn struct {
	pay, psp, shop *httptest.Server
	shopURL        string

	mu       sync.Mutex
	sessions map[string]*session
}

// session is one payment on the stand-in, controlled by test_… parameters of its opening.
type session struct {
	form     url.Values // as the widget sent it
	method   string
	state    string // new, asked, waiting, success, decline
	attempts int
	looks    int // at the state since it is waiting
}

func newStandIn(t *testing.T) *standIn {
	s := &standIn{sessions: map[string]*session{}}
	pay := http.NewServeMux()
	pay.Handle("/shared/", web.Handler())
	pay.HandleFunc("/payment", s.open)
	pay.HandleFunc("GET /p/{id}", s.show)
	pay.HandleFunc("POST /p/{id}/pay", s.move(func(p *session) { p.state = "asked"; p.attempts++ }))
	pay.HandleFunc("POST /p/{id}/again", s.move(func(p *session) { p.state = "asked"; p.attempts++ }))
	pay.HandleFunc("GET /p/{id}/status", s.status)
	pay.HandleFunc("GET /p/{id}/sent", s.sent)
	pay.HandleFunc("POST /back/{id}/{action}", s.back)
	s.pay = httptest.NewServer(pay)
	t.Cleanup(s.pay.Close)

	psp := http.NewServeMux()
	psp.HandleFunc("POST /pay", s.provider)
	s.psp = httptest.NewServer(psp)
	t.Cleanup(s.psp.Close)

	shop := http.NewServeMux()
	shop.HandleFunc("GET /shop", s.shopPage)
	shop.HandleFunc("GET /back", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<!doctype html><html lang="en"><title>Back</title><h1>Back at the shop</h1>`)
	})
	s.shop = httptest.NewServer(shop)
	t.Cleanup(s.shop.Close)
	s.shopURL = strings.Replace(s.shop.URL, "127.0.0.1", "localhost", 1)
	return s
}

func (s *standIn) page(p *session) (web.Page, web.Policy) {
	nonce := rand.Text()
	page := web.Page{Lang: web.Language(p.form.Get("language_code")), Nonce: nonce, Merchant: "Tea House", TestMode: true}
	policy := web.Policy{Nonce: nonce, FormAction: []string{s.psp.URL}, FrameAncestors: []string{s.shopURL}}
	if mode := p.form.Get("frame_mode"); mode != "" {
		page.Framed = true
		if origin := web.Origin(p.form.Get("_referrer")); origin == s.shopURL {
			page.ParentOrigin = origin
		}
	}
	return page, policy
}

func write(w http.ResponseWriter, status int, policy web.Policy, v web.View) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy.String())
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if err := web.Render(w, v); err != nil {
		panic(err)
	}
}

func (s *standIn) open(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p := &session{form: r.Form, method: r.Method, state: "new"}
	if r.Form.Get("signature") != "good" {
		page, policy := s.page(p)
		write(w, http.StatusForbidden, policy, web.ErrorView{Page: page, Kind: web.ErrorApplication, Reference: "5f0c17"})
		return
	}
	id := r.Form.Get("payment_id")
	s.mu.Lock()
	s.sessions[id] = p
	s.mu.Unlock()
	http.Redirect(w, r, "/p/"+id, http.StatusSeeOther)
}

// with runs fn on a session under the lock.
func (s *standIn) with(w http.ResponseWriter, r *http.Request, fn func(id string, p *session)) {
	id := r.PathValue("id")
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.sessions[id]
	if !ok {
		write(w, http.StatusNotFound, web.Policy{}, web.ErrorView{Kind: web.ErrorNotFound})
		return
	}
	fn(id, p)
}

func (s *standIn) move(change func(*session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.with(w, r, func(id string, p *session) {
			change(p)
			http.Redirect(w, r, "/p/"+id, http.StatusSeeOther)
		})
	}
}

func (s *standIn) show(w http.ResponseWriter, r *http.Request) {
	s.with(w, r, func(id string, p *session) {
		page, policy := s.page(p)
		base := "/p/" + id
		switch p.state {
		case "new":
			if p.form.Get("test_seconds") == "over" {
				write(w, http.StatusGone, policy, web.ErrorView{Page: page, Kind: web.ErrorExpired, Reference: "5f0c18"})
				return
			}
			var seconds int
			_, _ = fmt.Sscan(p.form.Get("test_seconds"), &seconds)
			methods := []web.Method{{Code: "paytm-wallet", Name: "Paytm Wallet"}}
			if p.form.Get("test_methods") != "" {
				methods = append(methods, web.Method{Code: "upi", Name: "UPI", Note: "Any UPI app", Selected: true})
			}
			write(w, http.StatusOK, policy, web.ConfirmView{
				Page: page, Amount: "₹25.00", Description: p.form.Get("payment_description"), Order: p.form.Get("payment_id"),
				Methods: methods, Action: base + "/pay", SecondsLeft: seconds,
				Return: &web.Button{Kind: web.ButtonReturn, URL: s.shopURL + "/back", Mode: web.ModeParent},
			})
		case "asked":
			write(w, http.StatusOK, policy, web.HandoffView{
				Page: page, Provider: "Paytm Wallet", URL: s.psp.URL + "/pay", Method: "POST", RequestID: "req-" + id,
				Fields: []web.Field{{Name: "return", Value: s.pay.URL + "/back/" + id}, {Name: "submit", Value: "a field that hides form.submit"}},
			})
		case "waiting":
			p.looks++
			// Without scripts every look is a page of its own.
			if p.looks > 4 {
				p.state = "success"
			}
			write(w, http.StatusOK, policy, web.ProcessingView{
				Page: page, StatusURL: base + "/status", PageURL: base, Returned: true, Amount: "₹25.00",
			})
		default:
			write(w, http.StatusOK, policy, s.result(id, p, page))
		}
	})
}

func (s *standIn) result(id string, p *session, page web.Page) web.ResultView {
	v := web.ResultView{
		Page: page, Outcome: web.Outcome(p.state), Amount: "₹25.00", Description: p.form.Get("payment_description"),
		Order: id, MethodName: "Paytm Wallet", Returned: true,
		Result: map[string]any{"payment": map[string]any{"id": id, "status": p.state}},
	}
	kind, redirect := web.ButtonSuccess, "redirect_success"
	if v.Outcome == web.OutcomeDecline {
		kind, redirect = web.ButtonFail, "redirect_fail"
		v.Reason = web.ReasonProvider
		if p.form.Get("test_again") != "" && p.attempts < 2 {
			v.Retry = &web.Retry{Action: "/p/" + id + "/again", SecondsLeft: 540, AttemptsLeft: 4}
		}
	}
	v.Buttons = []web.Button{{Kind: kind, URL: s.shopURL + "/back", Mode: web.ModeParent}}
	if address := p.form.Get(redirect + "_url"); address != "" {
		v.Redirect = &web.Redirect{URL: address, Mode: web.Mode(p.form.Get(redirect + "_mode"))}
		v.Buttons = nil
	}
	return v
}

func (s *standIn) status(w http.ResponseWriter, r *http.Request) {
	s.with(w, r, func(_ string, p *session) {
		p.looks++
		if p.form.Get("test_down") != "" && p.looks < 4 {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		if p.state == "waiting" && p.looks >= 2 {
			p.state = "success"
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"status": p.state, "final": p.state != "waiting"})
	})
}

// sent shows a test what the widget sent.
func (s *standIn) sent(w http.ResponseWriter, r *http.Request) {
	s.with(w, r, func(_ string, p *session) {
		_ = json.NewEncoder(w).Encode(map[string]any{"method": p.method, "form": p.form})
	})
}

func (s *standIn) back(w http.ResponseWriter, r *http.Request) {
	s.with(w, r, func(id string, p *session) {
		switch r.PathValue("action") {
		case "approve":
			p.state, p.looks = "waiting", 0
		case "decline":
			p.state = "decline"
		}
		http.Redirect(w, r, "/p/"+id, http.StatusSeeOther)
	})
}

var providerPage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><head><title>Provider</title><meta name="viewport" content="width=device-width"></head>
<body><h1>Provider</h1>
<form method="post">
<button formaction="{{.}}/approve">Approve</button>
<button formaction="{{.}}/decline">Decline</button>
</form>
<script>
// A provider's page, or whoever sits on it, must not be able to say that the payment succeeded.
parent.postMessage(JSON.stringify({message: "epframe.payment.success", data: {forged: true}}), "*");
parent.postMessage(JSON.stringify({message: "epframe.redirect", data: {url: "http://127.0.0.1:9/forged"}}), "*");
</script></body></html>`))

func (s *standIn) provider(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = providerPage.Execute(w, r.FormValue("return"))
}

var shopTemplate = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><head><title>Shop</title><meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{{.Pay}}/shared/merchant.css">
<script src="{{.Pay}}/shared/merchant.js"></script></head>
<body><main><h1>Tea House</h1><p>Green tea, 250 g, ₹25.00</p>
<button id="buy" type="button">Buy</button> <a href="#elsewhere">Elsewhere</a>
<div id="here"></div></main>
<script nonce="{{.Nonce}}">
const asked = {{.Asked}};
window.events = [];
const config = {...asked.config};
for (const name of ['onLoaded', 'onFailLoading', 'onResize', 'onPaymentMethodSelect', 'onPaymentSent', 'onPaymentSubmitResult',
  'onRedirectIframe', 'onRedirectIframeComplete', 'onPaymentSuccess', 'onPaymentFail', 'onDestroy', 'onExit']) {
  config[name] = (data) => { window.events.push([name, data === undefined ? null : JSON.parse(JSON.stringify(data))]); };
}
if (asked.host) window.EP_HOST = asked.host;
if (asked.open === 'bind') window.widget = EPayWidget.bind('buy', config, asked.method);
else document.getElementById('buy').addEventListener('click', () => {
  window.widget = asked.open === 'embedded' ? EPayWidget.runEmbedded(config) : EPayWidget.run(config, asked.method);
});
</script></body></html>`))

// shopPage is a merchant's page with a policy as strict as merchants have them.
func (s *standIn) shopPage(w http.ResponseWriter, r *http.Request) {
	var asked map[string]any
	if err := json.Unmarshal([]byte(r.FormValue("asked")), &asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	nonce := rand.Text()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", fmt.Sprintf("default-src 'none'; img-src data:; script-src %[1]s 'nonce-%[2]s'; style-src %[1]s; frame-src *",
		s.pay.URL, nonce))
	_ = shopTemplate.Execute(w, map[string]any{"Pay": s.pay.URL, "Nonce": nonce, "Asked": asked})
}
