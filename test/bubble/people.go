package bubble

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/sign"
)

// buyer is a merchant's order and the customer who pays it.
type buyer struct {
	w       *world
	n       int
	name    string
	minor   int64
	page    bool // on the payment page, else by Gate
	session string
}

// buy is all that is done about order n.
func (w *world) buy(wg *sync.WaitGroup, n int) {
	b := &buyer{w: w, n: n, name: fmt.Sprint("order-", n), minor: 100 + int64(w.draw("amount", n)*5000), page: w.draw("page", n) < 0.4}
	wg.Go(func() {
		time.Sleep(w.span(4*time.Minute, "begins", n))
		if b.page {
			b.byPage()
		} else {
			b.byGate()
		}
	})
	for i := range int(w.draw("refunds", n) * 4) {
		wg.Go(func() {
			time.Sleep(time.Duration(w.draw("refund at", n, i) * float64(22*time.Minute)))
			b.refund(i)
		})
	}
}

func (b *buyer) customer() string { return fmt.Sprint("c", b.n%3) }

// request is what the platform will be asked for, for the model.
func (b *buyer) request() flow.SaleRequest {
	r := flow.SaleRequest{PaymentID: b.name, CustomerID: b.customer(), Amount: money.Amount{Minor: b.minor, Currency: "INR"}}
	if b.page {
		r.Retries = b.w.project.PageAttempts - 1
	}
	return r
}

// byGate orders until there is an answer, then pays as a callback leads.
func (b *buyer) byGate() {
	body := map[string]any{
		"general":  map[string]any{"project_id": 200, "payment_id": b.name},
		"customer": map[string]any{"id": b.customer(), "ip_address": "192.0.2.10"},
		"payment":  map[string]any{"amount": b.minor, "currency": "INR"},
	}
	b.w.witness.Sale(b.request())
	b.w.insist("sale/"+b.name, func() bool {
		status, answer := b.w.gate("/v2/payment/wallet/paytm/sale", body)
		known := strings.Contains(answer, `"general.payment_id"`)
		if status == http.StatusOK || known {
			b.w.taken(b.name)
		}
		if status != http.StatusOK && !known && status != 0 && status != http.StatusServiceUnavailable {
			b.w.fault("sale %s was answered %d: %s", b.name, status, answer)
			return true
		}
		return status == http.StatusOK || known
	})
	b.pay(func(try int) *form { return b.w.invited(b.name, try) })
}

// taken: what was acknowledged is there (C2).
func (w *world) taken(name string) {
	w.mu.Lock()
	w.acked[name] = true
	w.mu.Unlock()
	w.witness.SaleTaken(name)
}

// insist does it again until it is done.
func (w *world) insist(what string, do func() bool) {
	for try := 0; !do(); try++ {
		time.Sleep(time.Second + w.span(20*time.Second, "insists", what, try))
	}
}

// gate signs and posts a request; status 0: no answer.
func (w *world) gate(path string, body map[string]any) (int, string) {
	raw, err := json.Marshal(body)
	must(w.t, err)
	doc, err := sign.ParseJSON(raw)
	must(w.t, err)
	general := map[string]any{"signature": sign.Sign(doc, w.project.Secret)}
	for k, v := range body["general"].(map[string]any) {
		general[k] = v
	}
	out := map[string]any{}
	for k, v := range body {
		out[k] = v
	}
	out["general"] = general
	raw, err = json.Marshal(out)
	must(w.t, err)
	return w.post("http://pay"+path, "application/json", raw)
}

func (w *world) post(to, kind string, body []byte) (int, string) {
	r, err := http.NewRequest(http.MethodPost, to, bytes.NewReader(body))
	must(w.t, err)
	r.Header.Set("Content-Type", kind)
	if kind == formKind {
		r.Header.Set("Accept", "text/html")
	}
	return w.do(r)
}

const formKind = "application/x-www-form-urlencoded"

// do gives the answer's status and body; of a redirect, its address.
func (w *world) do(r *http.Request) (int, string) {
	answer, err := w.client.Do(r)
	if err != nil {
		return 0, ""
	}
	defer answer.Body.Close()
	if to := answer.Header.Get("Location"); to != "" {
		return answer.StatusCode, to
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, ""
	}
	return answer.StatusCode, string(text)
}

// form is one on a screen, with its button.
type form struct {
	name, action string
	fields       url.Values
}

var (
	formTag  = regexp.MustCompile(`(?s)<form([^>]*)>(.*?)</form>`)
	inputTag = regexp.MustCompile(`<input type="(hidden|radio)" name="([^"]*)" value="([^"]*)"`)
	attrTag  = regexp.MustCompile(`(id|action)="([^"]*)"`)
)

// screen reads the first form of a screen; nil: it has none.
func screen(text string) *form {
	m := formTag.FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	f := &form{fields: url.Values{}}
	for _, a := range attrTag.FindAllStringSubmatch(m[1], -1) {
		if a[1] == "id" {
			f.name = a[2]
		} else {
			f.action = html.UnescapeString(a[2])
		}
	}
	for _, i := range inputTag.FindAllStringSubmatch(m[2], -1) {
		if name := html.UnescapeString(i[2]); i[1] == "hidden" || !f.fields.Has(name) {
			f.fields.Add(name, html.UnescapeString(i[3]))
		}
	}
	return f
}

// byPage opens the page, confirms, and goes where it leads.
func (b *buyer) byPage() {
	w := b.w
	v := url.Values{
		"project_id": {"200"}, "payment_id": {b.name}, "payment_amount": {fmt.Sprint(b.minor)}, "payment_currency": {"INR"}, "customer_id": {b.customer()},
	}
	doc, err := sign.ParseForm(v.Encode())
	must(w.t, err)
	query := v.Encode() + "&signature=" + url.QueryEscape(sign.Sign(doc, w.project.Secret))
	w.insist("page/"+b.name, func() bool {
		status, text := w.get("http://pay/payment?" + query)
		switch {
		case status == http.StatusSeeOther: // confirmed before, and the answer lost
			b.session = "http://pay" + strings.TrimSuffix(text, "?from=shop")
			return true
		case status == http.StatusConflict || strings.Contains(text, "already"): // over before anybody saw it
			return true
		case status != http.StatusOK:
			return false
		}
		f := screen(text)
		if f == nil || f.action != "/payment/confirm" {
			w.fault("the payment page of %s has no form to confirm: %s", b.name, text)
			return true
		}
		w.witness.Sale(b.request())
		status, text = w.post("http://pay"+f.action, formKind, []byte(f.fields.Encode()))
		if status != http.StatusSeeOther {
			return false
		}
		w.taken(b.name)
		b.session = "http://pay" + text
		return true
	})
	if b.session != "" {
		b.pay(b.led)
	}
}

func (w *world) get(at string) (int, string) {
	r, err := http.NewRequest(http.MethodGet, at, nil)
	must(w.t, err)
	return w.do(r)
}

// led is where the payment's session leads the customer on try; nil: nowhere,
// yet. An offer to try again is taken or not.
func (b *buyer) led(try int) *form {
	status, text := b.w.get(b.session)
	if status != http.StatusOK {
		return nil
	}
	f := screen(text)
	if f == nil || !strings.HasSuffix(f.action, "/again") {
		if f != nil && !strings.HasPrefix(f.action, "http://psp/") {
			return nil
		}
		return f
	}
	declined, ok := payment.OperationOf(f.fields.Get("after"))
	if !ok {
		b.w.fault("the offer of %s names no sale: %s", b.name, text)
		return nil
	}
	if b.w.draw("gives up", b.name, try) < 0.3 {
		return nil
	}
	b.w.witness.AgainOf(b.name, declined)
	presses := 1
	if b.w.chance(PressesTwice, fmt.Sprint(b.name, "/", try)) {
		presses = 2
	}
	var wg sync.WaitGroup
	for range presses {
		wg.Go(func() { b.w.post("http://pay"+f.action, formKind, []byte(f.fields.Encode())) })
	}
	wg.Wait()
	return nil // the session leads on when it is looked at next
}

// invited is where a callback has led the merchant's customer; nil: nowhere, yet.
func (w *world) invited(name string, _ int) *form {
	var found *form
	for _, c := range w.told(name) {
		var body struct {
			RedirectData *struct {
				URL  string            `json:"url"`
				Body map[string]string `json:"body"`
			} `json:"redirect_data"`
		}
		if json.Unmarshal([]byte(c.Raw), &body) != nil || body.RedirectData == nil {
			continue
		}
		found = &form{action: body.RedirectData.URL, fields: url.Values{}}
		for k, v := range body.RedirectData.Body {
			found.fields.Set(k, v)
		}
	}
	return found
}

// pay looks where to pay, now and then, and does there as the draws say.
func (b *buyer) pay(where func(try int) *form) {
	w, seen := b.w, ""
	for try := 1; time.Since(w.begun) < quietFrom; try++ {
		time.Sleep(20*time.Second + w.span(time.Minute, "looks", b.name, try))
		f := where(try)
		if f == nil || f.fields.Get("txnToken") == seen {
			continue
		}
		seen = f.fields.Get("txnToken")
		visit := fmt.Sprint(b.name, "/", try)
		switch {
		case w.chance(LeavesOrder, visit):
			f.fields.Set("action", "leave")
		case w.draw("declines", visit) < 0.3:
			f.fields.Set("action", "decline")
		default:
			f.fields.Set("action", "approve")
		}
		if w.chance(PaysLate, visit) { // beyond our limit time, within the provider's
			time.Sleep(limitTime + w.span(3*time.Minute, "late", visit))
		}
		status, text := w.post(f.action, formKind, []byte(f.fields.Encode()))
		if back := screen(text); status == http.StatusOK && back != nil && strings.HasPrefix(back.action, "http://pay/n/") && w.draw("comes back", visit) < 0.7 {
			w.post(back.action, formKind, []byte(back.fields.Encode()))
		}
		if !b.page {
			return
		}
	}
}

// refund asks for some of it back, until there is an answer.
func (b *buyer) refund(n int) {
	w := b.w
	name := fmt.Sprint("refund-", b.name, "-", n)
	p := map[string]any{"description": "back", "merchant_refund_id": name}
	share, minor := w.draw("share", b.name, n), int64(0)
	if share < 0.8 {
		minor = 1_00 + int64(share*float64(b.minor))
		p["amount"], p["currency"] = minor, "INR"
	}
	body := map[string]any{"general": map[string]any{"project_id": 200, "payment_id": b.name}, "payment": p}
	w.insist(name, func() bool {
		w.mu.Lock()
		there := w.acked[b.name]
		w.mu.Unlock()
		if !there {
			return true
		}
		w.witness.RefundOf(b.name, name, minor)
		status, answer := w.gate("/v2/payment/wallet/paytm/refund", body)
		switch {
		case status == http.StatusOK:
			w.witness.RefundTaken(name)
			return true
		case status == http.StatusBadRequest: // not paid, or known by now
			return true
		case status == 0, status == http.StatusServiceUnavailable:
			return false
		}
		w.fault("refund %s was answered %d: %s", name, status, answer)
		return true
	})
}

// told is a callback that the merchant has.
type told struct {
	Raw            string `json:"raw"`
	ValidSignature bool   `json:"valid_signature"`
}

// told asks the merchant what he was told of a payment.
func (w *world) told(name string) []told {
	r, err := http.NewRequest(http.MethodGet, "http://merchant/merchant/callbacks?payment_id="+name, nil)
	must(w.t, err)
	answer, err := w.client.Transport.(faulty).next.RoundTrip(r)
	must(w.t, err)
	defer answer.Body.Close()
	var out []told
	must(w.t, json.NewDecoder(answer.Body).Decode(&out))
	return out
}

// Names of calls, the same in every run.

func (w *world) attemptNamed(text string) string {
	k, err := id.ParseAttempt(text)
	if err != nil {
		return text
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.attempts[k]
}

var attemptText = regexp.MustCompile(`att_[0-9a-z]{26}`)

// callKey names a call to the provider: what is asked, and of which attempt. A
// refund's own reference stands behind that of its sale.
func (w *world) callKey(r *http.Request, body []byte) string {
	refs := attemptText.FindAllString(string(body), -1)
	if len(refs) == 0 {
		return r.URL.Path
	}
	names := map[string]bool{}
	key := r.URL.Path
	for _, ref := range refs {
		if name := w.attemptNamed(ref); !names[name] {
			names[name] = true
			key += " " + name
		}
	}
	return key
}

func (w *world) newsKey(r *http.Request, body []byte) string { return "news" + w.callKey(r, body) }

var nameText = regexp.MustCompile(`(refund-)?order-[0-9]+(-[0-9]+)?`)

// clientKey names a call of a client: the order that it is about.
func (w *world) clientKey(r *http.Request, body []byte) string {
	name := nameText.FindString(string(body))
	if name == "" {
		name = nameText.FindString(r.URL.RawQuery)
	}
	path := r.URL.Path
	if rest, ok := strings.CutPrefix(path, "/payment/s/"); ok {
		token, tail, _ := strings.Cut(rest, ".")
		if p, err := id.ParsePayment(token); err == nil {
			w.mu.Lock()
			name = w.names[p]
			w.mu.Unlock()
		}
		path = "/payment/s/" + fmt.Sprint(strings.HasSuffix(tail, "/again"))
	}
	if ref := attemptText.FindString(string(body)); ref != "" && name == "" {
		name = w.attemptNamed(ref)
	}
	return "client " + path + " " + name
}

// word says what a callback is about: payment, statuses, operation.
func word(body []byte) string {
	var c struct {
		Payment   struct{ ID, Status string }
		Operation struct{ Type, Status string }
	}
	if json.Unmarshal(body, &c) != nil {
		return "?"
	}
	return fmt.Sprint(c.Payment.ID, " ", c.Payment.Status, " ", c.Operation.Type, " ", c.Operation.Status)
}
