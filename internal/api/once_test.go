package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/api"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/payment"
)

// TestRepeats: the same request under the same key is answered in the same bytes,
// whichever way the key comes and the body is written.
func TestRepeats(t *testing.T) {
	t.Parallel()
	for homes := 1; homes <= 2; homes++ {
		h := newHouseOf(t, homes)
		for n := range 20 { // names of many buckets
			key := fmt.Sprintf("key-%d", n)
			body := sale("50.00", fmt.Sprintf(`,"merchant_payment_id":"Order-%d","customer_id":"c%d"`, n, n))
			first := h.post(initPath, key, body)
			if first.Code != 200 || first.Header().Get("Idempotent-Replayed") != "" {
				t.Fatalf("first = %d %s", first.Code, first.Body)
			}
			for _, r := range []*http.Request{
				h.request("POST", initPath, body, "Idempotency-Key", key),
				h.request("POST", initPath, body, "Idempotency-Key", `"`+key+`"`),
				h.request("POST", initPath, strings.Replace(body, "{", `{ "idempotency_key" : "`+key+`", `, 1)),
				h.request("POST", initPath, strings.Replace(body, "{", `{"idempotency_key":"`+key+`",`, 1), "Idempotency-Key", key),
			} {
				again := h.send(r)
				if again.Code != 200 || again.Body.String() != first.Body.String() || again.Header().Get("Idempotent-Replayed") != "true" {
					t.Errorf("%d homes: again = %d %s, want %s", homes, again.Code, again.Body, first.Body)
				}
			}
		}
		h.psp.mu.Lock()
		if payments, answers, _ := h.rows(); payments != 20 || answers != 20 || h.psp.asked != 20 {
			t.Errorf("%d homes: %d payments, %d answers, the provider was asked %d times; want 20 of each", homes, payments, answers, h.psp.asked)
		}
		h.psp.mu.Unlock()
	}
}

// TestConflict: another request under the same key is told in which members it
// differs, and no value.
func TestConflict(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	body := sale("50.00", `,"customer_id":"c1","meta":{"country":"FI"}`)
	h.post(initPath, "k", body)
	for _, tt := range []struct{ name, body, differs string }{
		{"amount", strings.Replace(body, "50.00", "51.00", 1), `["amount"]`},
		{"the same amount, written otherwise", strings.Replace(body, "50.00", "50.0", 1), `["amount"]`},
		{"customer and meta", strings.NewReplacer("c1", "c2", "FI", "SE").Replace(body), `["customer_id","meta.country"]`},
		{"a member more", strings.Replace(body, "{", `{"description":"x",`, 1), `["description"]`},
		{"a member less", strings.Replace(body, `,"customer_id":"c1"`, "", 1), `["customer_id"]`},
	} {
		a := h.post(initPath, "k", tt.body)
		wants(t, tt.name, a, 409, "idempotency_conflict")
		if a.text("details", "differs") != tt.differs {
			t.Errorf("%s: differs = %s, want %s", tt.name, a.text("details"), tt.differs)
		}
	}
	pay := h.post(initPath, "paid", sale("1.00")).text("payment_id")
	if a := h.post("/v1/payments/"+pay+"/refunds", "k", `{}`); a.Code != 200 {
		t.Errorf("the same key on another call = %d %s", a.Code, a.Body)
	}
}

// TestAtOnce: of many equal requests at once one is done; the others are told that
// it is running, or how it ended.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	for homes := 1; homes <= 2; homes++ {
		h := newHouseOf(t, homes)
		var all sync.WaitGroup
		answers := make([]answer, 30)
		for n := range answers {
			all.Go(func() { answers[n] = h.post(initPath, "k", sale("50.00", `,"merchant_payment_id":"o"`)) })
		}
		all.Wait()
		done := map[string]bool{}
		for _, a := range answers {
			switch {
			case a.Code == 200:
				done[a.text("payment_id")] = true
			case a.Code != 409 || a.text("error") != "request_in_progress" || a.Header().Get("Retry-After") != "1":
				t.Errorf("%d homes: answer = %d %v %s", homes, a.Code, a.Header(), a.Body)
			}
		}
		if payments, _, _ := h.rows(); payments != 1 || len(done) != 1 {
			t.Errorf("%d homes: %d payments, told %v", homes, payments, done)
		}
	}
}

// TestInProgress: while it runs, a repeat is told so; another request under the
// key is a conflict even then.
func TestInProgress(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ended := make(chan answer)
	go func() { ended <- h.post(initPath, "k", sale("5.00")) }()
	for {
		if payments, _, _ := h.rows(); payments == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	a := h.post(initPath, "k", sale("5.00"))
	wants(t, "a repeat while it runs", a, 409, "request_in_progress")
	wants(t, "another while it runs", h.post(initPath, "k", sale("6.00")), 409, "idempotency_conflict")
	close(h.psp.hold)
	first := <-ended
	if again := h.post(initPath, "k", sale("5.00")); again.Code != 200 || again.Body.String() != first.Body.String() {
		t.Errorf("afterwards = %d %s, want %s", again.Code, again.Body, first.Body)
	}
}

// TestNames: a merchant_payment_id names one payment for ever, whatever the key
// and the case of its letters.
func TestNames(t *testing.T) {
	t.Parallel()
	for homes := 1; homes <= 2; homes++ {
		h := newHouseOf(t, homes)
		first := h.post(initPath, "k1", sale("50.00", `,"merchant_payment_id":"Order-1"`)).text("payment_id")
		a := h.post(initPath, "k2", sale("50.00", `,"merchant_payment_id":"order-1"`))
		wants(t, "a name again", a, 409, "duplicate_payment_id")
		if a.text("details", "payment_id") != first {
			t.Errorf("%d homes: %s, want %s", homes, a.Body, first)
		}
		if a := h.post(initPath, "k2", sale("50.00", `,"merchant_payment_id":"order-2"`)); a.Code != 200 {
			t.Errorf("%d homes: the key that was refused, with another name = %d %s", homes, a.Code, a.Body)
		}
	}
}

// TestOrphans: a process dies while it answers. The repeat, by the next one, is
// answered by what became of the payment, and from then on alike.
func TestOrphans(t *testing.T) {
	t.Parallel()
	body := sale("50.00", `,"merchant_payment_id":"o","customer_id":"c"`)
	for homes := 1; homes <= 2; homes++ {
		h := newHouseOf(t, homes, func(_ *house, o *api.Options) { o.Wait = time.Nanosecond })
		h.idle = true // the provider is never asked
		h.abandon(initPath, "k", body)
		h.restart(true)
		a := h.post(initPath, "k", body)
		if a.Code != 200 || a.text("status") != "pending" || a.text("redirect_url") != "" {
			t.Fatalf("%d homes: the repeat = %d %s", homes, a.Code, a.Body)
		}
		if again := h.post(initPath, "k", body); again.Body.String() != a.Body.String() || again.Header().Get("Idempotent-Replayed") != "true" {
			t.Errorf("%d homes: and again = %s", homes, again.Body)
		}
		if payments, answers, _ := h.rows(); payments != 1 || answers != 1 {
			t.Errorf("%d homes: %d payments, %d answers", homes, payments, answers)
		}
	}
}

// TestKeysAreForgotten: after 90 days a key is free again; the names behind it are not.
func TestKeysAreForgotten(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	named := sale("50.00", `,"merchant_payment_id":"o"`)
	h.post(initPath, "k", named)
	h.post(creditPath, "k", move("prize", "1.00"))
	h.pass(flow.KeepAnswers - time.Hour)
	young := h.post(initPath, "young", sale("50.00"))
	forget := func() int {
		t.Helper()
		n, err := h.flows.ForgetAnswers(t.Context(), h.clock().Add(-flow.KeepAnswers))
		if err != nil {
			t.Error(err)
		}
		return n
	}
	if n := forget(); n != 0 {
		t.Errorf("%d answers were forgotten too early", n)
	}
	h.pass(2 * time.Hour)
	if n := forget(); n != 2 {
		t.Errorf("%d answers were forgotten, want 2", n)
	}
	wants(t, "the key again, with the name", h.post(initPath, "k", named), 409, "duplicate_payment_id")
	if a := h.post(initPath, "k", sale("50.00")); a.Code != 200 || a.Header().Get("Idempotent-Replayed") != "" {
		t.Errorf("the key again, without = %d %s", a.Code, a.Body)
	}
	if a := h.post(creditPath, "k", move("prize", "1.00")); a.Code != 200 || a.text("available") != "1.00" {
		t.Errorf("the move again = %d %s", a.Code, a.Body)
	}
	if a := h.post(initPath, "young", sale("50.00")); a.Body.String() != young.Body.String() {
		t.Errorf("the younger one = %s", a.Body)
	}
	for _, m := range h.homes {
		rows, _ := m.ScanAnswers(t.Context(), id.Answer{}, 100)
		refs, _ := m.ScanRefs(t.Context(), payment.RefKey{}, 100)
		named := 0
		for _, r := range refs {
			if strings.HasPrefix(r.Scope, "answer:") {
				named++
			}
		}
		if len(rows) != 3 || named != 3 {
			t.Errorf("%d answers and %d keys are left, want 3 of each", len(rows), named)
		}
	}
}

// TestCallerWhoLeaves: a caller who hangs up while the provider thinks has no answer
// kept for them; when they come again, they are told how it stands then.
func TestCallerWhoLeaves(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		h.api.ServeHTTP(httptest.NewRecorder(), h.request("POST", initPath, sale("5.00"), "Idempotency-Key", "k").WithContext(ctx))
	}()
	for {
		if payments, _, _ := h.rows(); payments == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	leave()
	<-gone
	close(h.psp.hold)
	h.work.Wait()
	if a := h.post(initPath, "k", sale("5.00")); a.Code != 200 || a.text("redirect_url") == "" {
		t.Errorf("the repeat = %d %s", a.Code, a.Body)
	}
	if payments, answers, _ := h.rows(); payments != 1 || answers != 1 {
		t.Errorf("%d payments, %d answers", payments, answers)
	}
}

// TestOrphanOfTheLiving: whether another process has died nobody knows for a while.
func TestOrphanOfTheLiving(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(_ *house, o *api.Options) { o.Wait = time.Nanosecond })
	h.idle = true
	h.abandon(initPath, "k", sale("50.00"))
	h.restart(false)
	wants(t, "soon", h.post(initPath, "k", sale("50.00")), 409, "request_in_progress")
	h.pass(time.Minute)
	if a := h.post(initPath, "k", sale("50.00")); a.Code != 200 {
		t.Errorf("later = %d %s", a.Code, a.Body)
	}
}

// TestExpired: an intent whose time is over when its answer is asked for again.
func TestExpired(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(_ *house, o *api.Options) { o.Wait = time.Nanosecond })
	h.idle = true
	h.abandon(initPath, "k", sale("50.00"))
	h.restart(true)
	h.pass(31 * time.Minute)
	h.expire()
	a := h.post(initPath, "k", sale("50.00"))
	wants(t, "after its time", a, 410, "expired")
	if again := h.post(initPath, "k", sale("50.00")); again.Body.String() != a.Body.String() {
		t.Errorf("again = %s", again.Body)
	}
}

// TestStoredAnswerOfWhatIsGone: a repeat is answered as the first time, also where the
// method is gone since; another request is told that it is.
func TestStoredAnswerOfWhatIsGone(t *testing.T) {
	t.Parallel()
	for homes := 1; homes <= 2; homes++ {
		h := rich(t, homes)
		pays, paysOut := sale("50.00", `,"merchant_payment_id":"o"`), payout("4.00")
		first, second := h.post(initPath, "k", pays), h.post(payoutPath, "k", paysOut)
		gone := h.projects[200]
		gone.Methods = nil
		h.projects[200] = gone
		for _, call := range []struct {
			path, body string
			want       answer
		}{{initPath, pays, first}, {payoutPath, paysOut, second}} {
			again := h.post(call.path, "k", call.body)
			if again.Code != 200 || again.Body.String() != call.want.Body.String() || again.Header().Get("Idempotent-Replayed") != "true" {
				t.Errorf("%d homes: %s again = %d %s, want %s", homes, call.path, again.Code, again.Body, call.want.Body)
			}
			wants(t, "under another key", h.post(call.path, "k2", call.body), 422, "method_not_supported")
			other := h.post(call.path, "k", strings.Replace(call.body, "0", "1", 1))
			if call.path == payoutPath {
				wants(t, "another request under the key", other, 409, "idempotency_conflict")
			} else {
				wants(t, "another request under the key", other, 422, "method_not_supported")
			}
		}
	}
}
