package paypage_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"aorta/internal/connector"
	"aorta/internal/payment"
	"aorta/internal/project"
)

// patient is a shop whose customers may try again.
func patient() project.Project {
	pr := shop()
	pr.PageAttempts, pr.RetryTime = 5, 10*time.Minute
	return pr
}

// TestTryAgain: after a decline the customer may pay after all, without scripts.
func TestTryAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, patient(), nil)
	session := h.pay(signed(t, params()))
	first := h.get(session)
	h.wait(time.Second)
	h.hear(connector.Declined, payment.CodeExternalFunds)

	offer := h.get(session)
	name, method, action, fields := form(t, offer)
	if name != "again-form" || method != "post" || action != session+"/again" || fields.Get("after") == "" {
		t.Fatalf("the form is %s %s %s %v, want again-form post %s/again", name, method, action, fields, session)
	}
	for _, want := range []string{"10:00", "4 attempts left", "enough money", `href="https://shop.example/cart"`, `data-outcome="decline"`} {
		if !strings.Contains(offer.body, want) {
			t.Errorf("the offer lacks %q:\n%s", want, offer.body)
		}
	}
	var answer struct {
		Status string
		Final  bool
		Result json.RawMessage
	}
	if err := json.Unmarshal([]byte(h.get(session+"/status?from=provider").body), &answer); err != nil || answer.Status != "decline" || !answer.Final || answer.Result != nil {
		t.Errorf("the status is %+v, %v; want a decline whose page has more to say, without a result", answer, err)
	}

	again := h.post(action, fields.Encode())
	if again.status != http.StatusSeeOther || again.location() != session {
		t.Fatalf("trying again = %d to %q, want 303 to the session: %s", again.status, again.location(), again.body)
	}
	_, _, _, was := form(t, first)
	_, _, _, now := form(t, h.get(session))
	if was.Get("orderId") == now.Get("orderId") || now.Get("orderId") == "" {
		t.Errorf("the second handoff is for order %q, the first for %q; want another", now.Get("orderId"), was.Get("orderId"))
	}
	if a := h.post(action, fields.Encode()); a.status != http.StatusSeeOther || len(h.psp.sales) != 2 {
		t.Errorf("pressing twice = %d, with %d sales asked for; want 303 and two", a.status, len(h.psp.sales))
	}
	h.wait(time.Second)
	h.hear(connector.Approved, "")
	if a := h.get(session); !strings.Contains(a.body, "Payment successful") {
		t.Errorf("the session after payment = %d, want the result:\n%s", a.status, a.body)
	}
}

// TestOfferEnds: the last decline, or the time, ends the offer; the screen says
// so at once, even before the payment does.
func TestOfferEnds(t *testing.T) {
	t.Parallel()
	pr := patient()
	pr.PageAttempts = 2
	h := newHouse(t, pr, nil)
	session := h.pay(signed(t, params()))
	h.hear(connector.Declined, "")
	h.wait(10 * time.Minute)
	if a := h.get(session); strings.Contains(a.body, "again-form") || !strings.Contains(a.body, `data-status-url`) {
		t.Errorf("the session after the time = %d, want the waiting screen:\n%s", a.status, a.body)
	}

	h = newHouse(t, pr, nil)
	session = h.pay(signed(t, params()))
	h.hear(connector.Declined, "")
	h.wait(time.Second)
	_, _, _, fields := form(t, h.get(session))
	if a := h.post(session+"/again", fields.Encode()); a.location() != session {
		t.Fatalf("trying again = %d: %s", a.status, a.body)
	}
	h.hear(connector.Declined, payment.CodeExternalFunds)
	a := h.get(session)
	if strings.Contains(a.body, "again-form") || !strings.Contains(a.body, "data-result") {
		t.Errorf("the second decline of two = %d, want the result:\n%s", a.status, a.body)
	}
	if b := h.post(session+"/again", fields.Encode()); b.location() != session || len(h.psp.sales) != 2 {
		t.Errorf("trying again after the end = %d to %q with %d sales, want the session and two", b.status, b.location(), len(h.psp.sales))
	}
}

// TestWhereTryingAgainIsOffered: it needs the result page (ecommpay.md 2.3).
func TestWhereTryingAgainIsOffered(t *testing.T) {
	t.Parallel()
	const no = "https://shop.example/no"
	once := patient()
	once.PageAttempts = 1
	for name, tt := range map[string]struct {
		project project.Project
		more    []string
		frame   bool
		offered bool
	}{
		"plain":                            {project: patient(), offered: true},
		"one attempt":                      {project: once},
		"led away":                         {project: patient(), more: []string{"redirect_fail_url", no}},
		"led away in a frame":              {project: patient(), more: []string{"redirect_fail_url", no}, frame: true},
		"led away only in a tab, in a tab": {project: patient(), more: []string{"redirect_fail_url", no, "redirect_fail_enabled", "1"}},
		"led away only in a tab, framed":   {project: patient(), more: []string{"redirect_fail_url", no, "redirect_fail_enabled", "1"}, frame: true, offered: true},
		"never led away":                   {project: patient(), more: []string{"redirect_fail_url", no, "redirect_fail_enabled", "0"}, offered: true},
		"in a new window":                  {project: patient(), more: []string{"redirect_fail_url", no, "redirect_fail_mode", "blank_page"}, offered: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, tt.project, nil)
			var window []string
			if tt.frame {
				window = []string{"Sec-Fetch-Dest", "iframe", "Sec-Fetch-Site", "same-origin"}
			}
			session := h.pay(signed(t, params(tt.more...)), window...)
			h.hear(connector.Declined, "")
			if a := h.get(session, window...); strings.Contains(a.body, "again-form") != tt.offered {
				t.Errorf("offered is %t, want %t: %d %s", !tt.offered, tt.offered, a.status, a.body)
			}
		})
	}
}

// TestAgainIsOurs: no other site presses the button for the customer.
func TestAgainIsOurs(t *testing.T) {
	t.Parallel()
	h := newHouse(t, patient(), nil)
	session := h.pay(signed(t, params()))
	h.hear(connector.Declined, "")
	_, _, _, fields := form(t, h.get(session))
	if a := h.post(session+"/again", fields.Encode(), "Sec-Fetch-Site", "cross-site"); a.status != http.StatusForbidden {
		t.Errorf("another site's form = %d, want 403", a.status)
	}
	for _, body := range []string{"", "after=x", "after=" + strings.Repeat("0", 2000)} {
		if a := h.post(session+"/again", body); a.status != http.StatusBadRequest && a.status != http.StatusRequestEntityTooLarge {
			t.Errorf("a form without the offer it answers = %d, want 400 or 413", a.status)
		}
	}
	if a := h.post(session[:len(session)-1]+"x/again", ""); a.status != http.StatusNotFound {
		t.Errorf("a forged token = %d, want 404", a.status)
	}
	if n := len(h.psp.sales); n != 1 {
		t.Errorf("%d sales were asked for, want one", n)
	}
}

// TestOldOfferIsNotPressedAnew: a press belongs to the offer it was made on, so
// a browser that sends it once more burns no other try.
func TestOldOfferIsNotPressedAnew(t *testing.T) {
	t.Parallel()
	h := newHouse(t, patient(), nil)
	session := h.pay(signed(t, params()))
	h.hear(connector.Declined, "")
	_, _, action, old := form(t, h.get(session))
	h.post(action, old.Encode())
	h.wait(time.Second)
	h.hear(connector.Declined, "")
	if a := h.post(action, old.Encode()); a.location() != session || len(h.psp.sales) != 2 {
		t.Errorf("pressing an old offer = %d to %q with %d sales, want the session and two", a.status, a.location(), len(h.psp.sales))
	}
}

// TestEarlierTryPaid: the result tells of the try that paid, not of the newest.
func TestEarlierTryPaid(t *testing.T) {
	t.Parallel()
	h := newHouse(t, patient(), nil)
	session := h.pay(signed(t, params()))
	_, first := h.only()
	h.hear(connector.Declined, "")
	_, _, action, fields := form(t, h.get(session))
	h.post(action, fields.Encode())
	if err := h.flows.Apply(t.Context(), first, connector.Outcome{Kind: connector.Approved, Amount: first.Amount}); err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Result struct {
			RequestID string `json:"request_id"`
			Payment   struct{ Status string }
		}
	}
	if err := json.Unmarshal([]byte(h.get(session+"/status").body), &answer); err != nil || answer.Result.Payment.Status != "success" ||
		answer.Result.RequestID != fields.Get("after") {
		t.Errorf("the result is %+v, %v; want the success of request %s", answer.Result, err, fields.Get("after"))
	}
}

// TestAgainInAFrame: a refusal after a press stays in the merchant's frame, in
// the customer's language.
func TestAgainInAFrame(t *testing.T) {
	t.Parallel()
	h := newHouse(t, patient(), nil)
	frame := []string{"Sec-Fetch-Dest", "iframe", "Sec-Fetch-Site", "same-origin"}
	session := h.pay(signed(t, params("language_code", "hi")), frame...)
	h.hear(connector.Declined, "")
	a := h.post(session+"/again", "after=x", frame...)
	if policy := a.header.Get("Content-Security-Policy"); !strings.Contains(policy, "frame-ancestors https://shop.example") {
		t.Errorf("a refused press has the policy %q, want one that lets the shop frame it", policy)
	}
	if !strings.Contains(a.body, `lang="hi"`) {
		t.Errorf("a refused press is not in Hindi:\n%s", a.body)
	}
}
