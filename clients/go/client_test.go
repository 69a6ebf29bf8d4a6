package aorta_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	aorta "aorta/clients/go"
)

// line is a network that answers by a script, the last answer again and again. It runs
// in a bubble of synctest, so that pauses are exact and take no time.
type line struct {
	answers []func(*http.Request) (*http.Response, error)
	sent    []sent
}

type sent struct {
	at                   time.Time
	key, address, method string
	body                 string
	header               http.Header
}

// RoundTrip answers one request.
func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.Body != nil {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		body = string(raw)
	}
	l.sent = append(l.sent, sent{time.Now(), r.Header.Get("Idempotency-Key"), r.URL.String(), r.Method, body, r.Header})
	return l.answers[min(len(l.sent), len(l.answers))-1](r)
}

// pauses are the times between requests.
func (l *line) pauses() (out []time.Duration) {
	for n := 1; n < len(l.sent); n++ {
		out = append(out, l.sent[n].at.Sub(l.sent[n-1].at))
	}
	return out
}

func says(status int, body string, headers ...string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		h := http.Header{}
		for n := 0; n+1 < len(headers); n += 2 {
			h.Set(headers[n], headers[n+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

func refusal(code, details string) string {
	return fmt.Sprintf(`{"error":%q,"message":"No.","trace_id":"00000000000000000000000000000000","details":%s}`, code, details)
}

func lost(*http.Request) (*http.Response, error) { return nil, errors.New("connection reset") }

func half(*http.Request) (*http.Response, error) {
	r, w := io.Pipe()
	go func() {
		_, _ = w.Write([]byte(`{"payment_id":"pay_`))
		w.CloseWithError(io.ErrUnexpectedEOF)
	}()
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: r}, nil
}

const begun = `{"payment_id":"pay_1","status":"pending"}`

var fifty = aorta.PaymentInitParams{Amount: "50.00", Currency: "EUR", Method: "card"}

func on(opts aorta.Options, answers ...func(*http.Request) (*http.Response, error)) (*aorta.Client, *line) {
	l := &line{answers: answers}
	opts.HTTPClient = &http.Client{Transport: l}
	return aorta.New("https://pay.example/", "sk_secret", opts), l
}

func TestCall(t *testing.T) {
	t.Parallel()
	client, l := on(aorta.Options{Language: "fi"}, says(200, begun))
	got, err := client.Payments.Init(t.Context(), aorta.PaymentInitParams{
		Amount: "50.00", Currency: "EUR", Method: "card", Meta: map[string]string{"country": "FI"},
	}, aorta.IdempotencyKey("order-1"))
	if err != nil || got.PaymentID != "pay_1" || got.Status != aorta.PaymentStatusPending {
		t.Fatalf("Init = %+v, %v", got, err)
	}
	s := l.sent[0]
	if s.method != "POST" || s.address != "https://pay.example/v1/payments/init" || s.body != `{"amount":"50.00","currency":"EUR","method":"card","meta":{"country":"FI"}}` {
		t.Errorf("sent %s %s %s", s.method, s.address, s.body)
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer sk_secret", "Idempotency-Key": "order-1", "Content-Type": "application/json", "Accept-Language": "fi",
	} {
		if got := s.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if text := fmt.Sprintf("%v %+v %#v", client, client, client); strings.Contains(text, "sk_secret") {
		t.Errorf("a client prints its key: %s", text)
	}
}

// TestWhatIsSent: what is left out and what is empty are two things where they mean two.
func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	client, l := on(aorta.Options{}, says(200, `{}`))
	ctx := t.Context()
	_, _ = client.WebhookEndpoints.Update(ctx, "we_1", aorta.WebhookEndpointUpdateParams{Description: new(""), Events: []aorta.EventType{}})
	_, _ = client.WebhookEndpoints.Rotate(ctx, "we_1", aorta.WebhookEndpointRotateParams{OverlapHours: new(0)})
	_, _ = client.WebhookEndpoints.Rotate(ctx, "we_1", aorta.WebhookEndpointRotateParams{})
	_, _ = client.WebhookEndpoints.Test(ctx, "we_1")
	_, _ = client.WebhookEndpoints.Delete(ctx, "we_1")
	from := time.Date(2025, 10, 17, 11, 41, 0, 5000, time.FixedZone("", 7200))
	_, _ = client.WebhookEndpoints.ListDeliveriesPage(ctx, "we_1", aorta.DeliveryListParams{State: aorta.DeliveryStateDead, CreatedFrom: from, Limit: 5})
	_, _ = client.Payments.Get(ctx, "pay_1", aorta.Expand("operations"))
	_, _ = client.Customers.ListTransfersPage(ctx, "a/b ?ü", aorta.TransferListParams{})
	want := []string{
		`PATCH /v1/webhook_endpoints/we_1 {"description":"","events":[]}`,
		`POST /v1/webhook_endpoints/we_1/rotate {"overlap_hours":0}`,
		`POST /v1/webhook_endpoints/we_1/rotate {}`,
		`POST /v1/webhook_endpoints/we_1/test {}`,
		`DELETE /v1/webhook_endpoints/we_1 `,
		`GET /v1/webhook_endpoints/we_1/deliveries?created_from=2025-10-17T09%3A41%3A00.000005Z&limit=5&state=dead `,
		`GET /v1/payments/pay_1?expand=operations `,
		`GET /v1/customers/a%2Fb%20%3F%C3%BC/transfers `,
	}
	if len(l.sent) != len(want) {
		t.Fatalf("%d requests, want %d", len(l.sent), len(want))
	}
	for n, s := range l.sent {
		got := s.method + " " + strings.TrimPrefix(s.address, "https://pay.example") + " " + s.body
		if got != want[n] {
			t.Errorf("request %d is %s\nwant %s", n, got, want[n])
		}
		if mutates := s.method != "GET"; (s.key != "") != mutates {
			t.Errorf("%s has the key %q", got, s.key)
		}
	}
	for _, name := range []string{"", ".", ".."} {
		if _, err := client.Customers.Get(ctx, name); err == nil {
			t.Errorf("a customer can be called %q", name)
		}
	}
	if len(l.sent) != len(want) {
		t.Error("a name that leads elsewhere was sent")
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer func(*http.Request) (*http.Response, error)
		again  bool
	}{
		{"503", says(503, refusal("overloaded", `{}`)), true},
		{"500", says(500, refusal("internal", `{}`)), true},
		{"502 of a proxy", says(502, "<html>"), true},
		{"504", says(504, refusal("psp_timeout", `{}`)), true},
		{"429", says(429, refusal("rate_limited", `{}`)), true},
		{"409 request_in_progress", says(409, refusal("request_in_progress", `{}`)), true},
		{"nothing", lost, true},
		{"half an answer", half, true},
		{"no JSON", says(200, "OK"), true},
		{"400", says(400, refusal("bad_header", `{}`)), false},
		{"401", says(401, refusal("unauthenticated", `{}`)), false},
		{"402", says(402, refusal("insufficient_funds", `{}`)), false},
		{"403", says(403, refusal("forbidden", `{}`)), false},
		{"404", says(404, refusal("not_found", `{}`)), false},
		{"409 state_conflict", says(409, refusal("state_conflict", `{}`)), false},
		{"409 idempotency_conflict", says(409, refusal("idempotency_conflict", `{}`)), false},
		{"410", says(410, refusal("expired", `{}`)), false},
		{"422", says(422, refusal("validation_failed", `{}`)), false},
		{"a redirect", says(302, "", "Location", "https://elsewhere.example/"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, l := on(aorta.Options{}, tt.answer, tt.answer, says(200, begun))
				got, err := client.Payments.Init(t.Context(), fifty)
				if !tt.again {
					var refused *aorta.Error
					if !errors.As(err, &refused) || refused.IdempotencyKey != l.sent[0].key || len(l.sent) != 1 {
						t.Errorf("%d tries, then %v", len(l.sent), err)
					}
					return
				}
				if err != nil || got.PaymentID != "pay_1" || len(l.sent) != 3 {
					t.Fatalf("%d tries, then %+v, %v", len(l.sent), got, err)
				}
				for _, s := range l.sent {
					if s.key != l.sent[0].key || len(s.key) < 20 || s.body != l.sent[0].body {
						t.Errorf("a try under key %q with body %s, the first under %q with %s", s.key, s.body, l.sent[0].key, l.sent[0].body)
					}
				}
			})
		})
	}
}

// TestBackOff: six tries at most, with pauses that double and are of random length.
func TestBackOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var least, most [5]time.Duration
		for n := range 300 {
			client, l := on(aorta.Options{}, says(503, refusal("overloaded", `{}`)))
			_, err := client.Payments.Init(t.Context(), fifty)
			if !errors.Is(err, aorta.ErrOverloaded) || len(l.sent) != 6 {
				t.Fatalf("%d tries, then %v", len(l.sent), err)
			}
			for k, p := range l.pauses() {
				most[k] = max(most[k], p)
				if n == 0 || p < least[k] {
					least[k] = p
				}
			}
		}
		for k := range most {
			bound := 500 * time.Millisecond << k
			if most[k] > bound || most[k] < bound*8/10 || least[k] > bound*2/10 {
				t.Errorf("pause %d is %v to %v, want 0 to %v", k, least[k], most[k], bound)
			}
		}
		client, l := on(aorta.Options{Tries: 20}, lost)
		_, err := client.Payments.Init(t.Context(), fifty)
		var unanswered *aorta.ConnectionError
		if !errors.As(err, &unanswered) || unanswered.IdempotencyKey != l.sent[0].key || len(l.sent) != 11 { // the budget's reserve is ten
			t.Errorf("%d tries, then %v", len(l.sent), err)
		}
		for _, p := range l.pauses() {
			if p > 30*time.Second {
				t.Errorf("a pause of %v", p)
			}
		}
	})
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			header      string
			least, most time.Duration
			tries       int
		}{
			{"7", 7 * time.Second, 7500 * time.Millisecond, 2},
			{time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), 0, 0, 1}, // for the caller to wait for
			{"3600", 0, 0, 1},
			{"999999999999999999999", 0, 500 * time.Millisecond, 2},
			{"-5", 0, 500 * time.Millisecond, 2},
			{"soon", 0, 500 * time.Millisecond, 2},
		} {
			client, l := on(aorta.Options{}, says(429, refusal("rate_limited", `{}`), "Retry-After", tt.header), says(200, begun))
			_, _ = client.Payments.Init(t.Context(), fifty)
			if len(l.sent) != tt.tries {
				t.Errorf("after Retry-After %s %d tries, want %d", tt.header, len(l.sent), tt.tries)
			} else if p := l.pauses(); len(p) == 1 && (p[0] < tt.least || p[0] > tt.most) {
				t.Errorf("after Retry-After %s a pause of %v, want %v to %v", tt.header, p[0], tt.least, tt.most)
			}
		}
		client, l := on(aorta.Options{}, says(503, "", "Retry-After", time.Now().Add(20*time.Second).UTC().Format(http.TimeFormat)), says(200, begun))
		if _, err := client.Payments.Init(t.Context(), fifty); err != nil || l.pauses()[0] < 19*time.Second || l.pauses()[0] > 21*time.Second {
			t.Errorf("after an instant in 20 s a pause of %v, %v", l.pauses(), err)
		}
	})
}

// TestBudget: not more than a tenth of all calls are repeats.
func TestBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, l := on(aorta.Options{}, says(503, refusal("overloaded", `{}`)))
		for range 1000 {
			_, _ = client.Payments.Init(t.Context(), fifty)
		}
		if n := len(l.sent); n < 1090 || n > 1110 {
			t.Errorf("%d tries of 1000 calls", n)
		}
	})
}

// TestContext: a call never outlives its context, nor one try its time.
func TestContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		client, l := on(aorta.Options{}, says(503, "", "Retry-After", "30"))
		if _, err := client.Payments.Init(ctx, fifty); err == nil || len(l.sent) != 1 || time.Since(start) != 3*time.Second {
			t.Errorf("a call was given up after %v and %d tries: %v", time.Since(start), len(l.sent), err)
		}
		start = time.Now()
		ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		client, _ = on(aorta.Options{}, says(503, "", "Retry-After", "30"))
		if _, err := client.Payments.Init(ctx, fifty); err == nil || time.Since(start) != 0 {
			t.Errorf("a pause that ends too late was begun: %v, %v", time.Since(start), err)
		}
		start = time.Now()
		client, l = on(aorta.Options{Timeout: 2 * time.Second, Tries: 2}, func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		_, err := client.Payments.Init(t.Context(), fifty)
		var unanswered *aorta.ConnectionError
		if !errors.As(err, &unanswered) || len(l.sent) != 2 || time.Since(start) > 4500*time.Millisecond {
			t.Errorf("silence ended after %v and %d tries: %v", time.Since(start), len(l.sent), err)
		}
	})
}

// TestEmptyKey: an empty idempotency key is a mistake of the caller's, who would
// have the thing done again each time.
func TestEmptyKey(t *testing.T) {
	t.Parallel()
	client, l := on(aorta.Options{}, says(200, begun))
	if _, err := client.Payments.Init(t.Context(), fifty, aorta.IdempotencyKey("")); err == nil || len(l.sent) != 0 {
		t.Errorf("%d tries under an empty key, then %v", len(l.sent), err)
	}
	if _, err := client.Payments.Init(t.Context(), fifty); err != nil || len(l.sent) != 1 || l.sent[0].key == "" {
		t.Errorf("%d tries under a key of the client's own, then %v", len(l.sent), err)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	of := func(answer func(*http.Request) (*http.Response, error)) *aorta.Error {
		t.Helper()
		client, _ := on(aorta.Options{Tries: 1}, answer)
		_, err := client.Payments.Init(t.Context(), fifty, aorta.IdempotencyKey("k"))
		var e *aorta.Error
		if !errors.As(err, &e) {
			t.Fatalf("the error is %v", err)
		}
		return e
	}
	declined := of(says(402, refusal("payment_declined", `{"payment_id":"pay_1","status":"failed","decline_code":"20105","retryable":true,"alternatives":["bank"]}`)))
	if d := declined.Decline; d == nil || d.Code != "20105" || !d.Retryable || fmt.Sprint(d.Alternatives) != "[bank]" || declined.PaymentID != "pay_1" {
		t.Errorf("a decline is %+v", declined)
	}
	if !errors.Is(declined, aorta.ErrPaymentDeclined) || errors.Is(declined, aorta.ErrExpired) || declined.IdempotencyKey != "k" || len(declined.TraceID) != 32 {
		t.Errorf("a decline is %+v", declined)
	}
	invalid := of(says(422, refusal("validation_failed", `{"fields":[{"path":"amount","code":"decimals","message":"has too many decimals"}]}`)))
	if len(invalid.Fields) != 1 || invalid.Fields[0].Path != "amount" || !strings.Contains(invalid.Error(), "422 validation_failed: No. amount has too many decimals.") {
		t.Errorf("what is invalid is %v, %+v", invalid, invalid.Fields)
	}
	if e := of(says(409, refusal("idempotency_conflict", `{"differs":["amount"]}`))); fmt.Sprint(e.Differs) != "[amount]" || e.Decline != nil {
		t.Errorf("a conflict is %+v", e)
	}
	if e := of(says(409, refusal("state_conflict", `{"state":"failed"}`))); e.State != "failed" {
		t.Errorf("a conflict is %+v", e)
	}
	if e := of(says(429, refusal("rate_limited", `{}`), "Retry-After", "90")); e.RetryAfter != 90*time.Second {
		t.Errorf("to wait for is %v", e.RetryAfter)
	}
	if e := of(says(502, "<html>", "Aorta-Trace-Id", "abc")); e.Code != "" || e.Status != 502 || e.TraceID != "abc" {
		t.Errorf("a proxy's error is %+v", e)
	}
	if e := of(says(422, `{"error":"x","details":{"fields":"y","decline_code":7,"differs":[1],"state":"z"}}`)); e.Code != "x" || e.State != "z" || len(e.Fields) != 0 {
		t.Errorf("an odd error is %+v", e)
	}
	if e := of(says(422, `{"error":"x","details":7}`)); e.Code != "x" {
		t.Errorf("an odd error is %+v", e)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	one := says(200, `{"data":[{"payment_id":"a"},{"payment_id":"b"}],"has_more":true,"next_cursor":"1"}`)
	client, l := on(aorta.Options{}, one, says(200, `{"data":[],"has_more":true,"next_cursor":"2"}`), says(200, `{"data":[{"payment_id":"c"}],"has_more":false}`))
	seen := ""
	for p, err := range client.Payments.List(t.Context(), aorta.PaymentListParams{Status: aorta.PaymentStatusCaptured}) {
		if err != nil {
			t.Fatal(err)
		}
		seen += p.PaymentID
	}
	addresses := ""
	for _, s := range l.sent {
		addresses += strings.TrimPrefix(s.address, "https://pay.example/v1/payments?") + " "
	}
	if seen != "abc" || addresses != "status=captured cursor=1&status=captured cursor=2&status=captured " {
		t.Errorf("seen %s by %s", seen, addresses)
	}
	client, l = on(aorta.Options{}, one)
	for range client.Payments.List(t.Context(), aorta.PaymentListParams{}) {
		break
	}
	if len(l.sent) != 1 {
		t.Errorf("%d pages were asked for, want 1", len(l.sent))
	}
	for name, next := range map[string]func(*http.Request) (*http.Response, error){
		"a page that is refused":             says(422, refusal("validation_failed", `{}`)),
		"a page that leads nowhere":          says(200, `{"data":[],"has_more":true}`),
		"a page that leads back to itself":   says(200, `{"data":[],"has_more":true,"next_cursor":"1"}`),
		"a page that is no page, many times": says(200, `[]`),
	} {
		synctest.Test(t, func(t *testing.T) {
			client, l := on(aorta.Options{}, one, next)
			failed := 0
			for _, err := range client.Payments.List(t.Context(), aorta.PaymentListParams{}) {
				if err != nil {
					failed++
				}
			}
			if failed != 1 || len(l.sent) > 7 {
				t.Errorf("%s: %d errors after %d requests", name, failed, len(l.sent))
			}
		})
	}
	client, _ = on(aorta.Options{}, says(200, `{"data":[{"operation_id":"op_1","amount":"50.00"}]}`))
	list, err := client.Payments.ListOperations(t.Context(), "pay_1")
	if err != nil || len(list) != 1 || list[0].Amount != "50.00" {
		t.Errorf("operations are %+v, %v", list, err)
	}
}

// TestNewer: an answer of a later version may have more members and other words.
func TestNewer(t *testing.T) {
	t.Parallel()
	client, _ := on(aorta.Options{}, says(200, `{"payment_id":"pay_1","status":"dreaming","colour":"blue","created_at":"2025-10-17T09:41:00.000001Z","meta":{"a":"b"}}`))
	p, err := client.Payments.Get(t.Context(), "pay_1")
	if err != nil || p.Status != "dreaming" || p.Meta["a"] != "b" || p.CreatedAt.Nanosecond() != 1000 || !p.ExpiresAt.IsZero() || p.Decline != nil {
		t.Errorf("Get = %+v, %v", p, err)
	}
	again, err := json.Marshal(p)
	if err != nil || strings.Contains(string(again), "expires_at") || strings.Contains(string(again), "decline") {
		t.Errorf("it is written as %s, %v", again, err)
	}
}
