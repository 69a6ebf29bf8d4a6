package generic_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/connector"
	"aorta/internal/connector/connectortest"
	"aorta/internal/connector/exchange"
	"aorta/internal/connector/generic"
	"aorta/internal/id"
	"aorta/internal/instrument"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/sandbox/fault"
	simulator "aorta/internal/sandbox/generic"
)

const (
	account = "test"
	secret  = "a secret of the account"
)

// config is a good one, for a provider at base.
func config(base string) generic.Config {
	return generic.Config{
		BaseURL: base, Account: account, Secret: exchange.NewSecret(secret), Now: time.Now, CallTimeout: 300 * time.Millisecond,
	}
}

func connect(t testing.TB, c generic.Config) *generic.Generic {
	t.Helper()
	g, err := generic.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, currencies := range [][]money.Currency{{"EUR", "INR", "JPY"}, {"JPY"}} {
		t.Run(fmt.Sprint(currencies[0]), func(t *testing.T) {
			t.Parallel()
			connectortest.Exercise(t, func(t *testing.T) connectortest.Subject { return subject(t, currencies) })
		})
	}
}

// decisions are the simulator's words for the suite's; leaving it alone is none.
var decisions = map[connectortest.Decision]fault.Behaviour{
	connectortest.Approve:     fault.Approve,
	connectortest.Decline:     fault.Decline,
	connectortest.WrongAmount: fault.WrongAmount,
	connectortest.Forge:       fault.WrongSignature,
}

// subject is a connector with a simulator of its own behind it.
func subject(t *testing.T, currencies []money.Currency) connectortest.Subject {
	var mu sync.Mutex
	var notices []connector.Notification
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
	sim, err := simulator.New(
		[]simulator.Account{{Name: account, Secret: secret, NotifyURL: receiver.URL}}, time.Now,
		simulator.Options{
			Prefix: "/generic", Faults: faults, Rand: rand.Reader,
			DecideAfter: time.Millisecond, MoveAfter: time.Millisecond, NotifyUnit: time.Hour, Workers: 2,
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
	with := func(base string) connector.Connector {
		c := config(base)
		c.Currencies = slices.Clone(currencies)
		if defect := os.Getenv(defectName); defect != "" {
			return defective{connect(t, c), defect}
		}
		return connect(t, c)
	}
	find := func(t *testing.T, reference string) simulator.Entry {
		entries, _, _ := sim.Journal(account, 0, 10_000)
		for _, e := range entries {
			if e.Reference == reference {
				return e
			}
		}
		t.Fatalf("the simulator knows no %s", reference)
		return simulator.Entry{}
	}
	return connectortest.Subject{
		Connector:   with(wire.URL + "/generic/"),
		Unreachable: with(connectortest.DeadURL(t)),
		Wire:        wire,
		NotifyURL:   "https://pay.example/n/generic/test",
		Next: func(t *testing.T, kind payment.OperationKind, d connectortest.Decision) {
			behaviour, decided := decisions[d]
			if !decided {
				return
			}
			if err := faults.Add(fault.Rule{Next: behaviour, Operation: string(kind), Left: 1}); err != nil {
				t.Fatal(err)
			}
		},
		GivenBack: func(t *testing.T, sale connector.Order) int64 { return find(t, sale.Reference()).RefundedMinor },
		PaidOut: func(t *testing.T, reference string) int64 {
			if e := find(t, reference); e.State == "paid" {
				return e.AmountMinor
			}
			return 0
		},
		PaidTo: func(t *testing.T, reference string) string { return find(t, reference).Instrument },
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

func TestNewRefusesBadSettings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*generic.Config)
		want   string
	}{
		{"no base URL", func(c *generic.Config) { c.BaseURL = "" }, "base URL"},
		{"base URL of another scheme", func(c *generic.Config) { c.BaseURL = "ftp://host" }, "base URL"},
		{"base URL with a user", func(c *generic.Config) { c.BaseURL = "https://u:" + secret + "@host" }, "base URL"},
		{"no account", func(c *generic.Config) { c.Account = "" }, "account"},
		{"odd account", func(c *generic.Config) { c.Account = "a\nb" }, "account"},
		{"no secret", func(c *generic.Config) { c.Secret = exchange.Secret{} }, "secret"},
		{"short secret", func(c *generic.Config) { c.Secret = exchange.NewSecret("a secret of t"[:13]) }, "secret"},
		{"no such currency", func(c *generic.Config) { c.Currencies = []money.Currency{"EUR", "XXX"} }, "currency"},
		{"no clock", func(c *generic.Config) { c.Now = nil }, "clock"},
		{"negative timeout", func(c *generic.Config) { c.CallTimeout = -1 }, "timeout"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := config("https://host")
			test.change(&c)
			g, err := generic.New(c)
			if g != nil || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("New = %v, %v, want an error about the %s", g, err, test.want)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

func TestSecretsAreHidden(t *testing.T) {
	t.Parallel()
	c := config("https://host")
	g := connect(t, c)
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	for _, v := range []any{c, &c, c.Secret, struct{ hidden generic.Config }{c}, g, *g} {
		fmt.Fprintf(&out, "%v %+v %#v %s %x %q\n", v, v, v, v, v, v)
		log.Info("settings", "of", v)
	}
	for _, shown := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%d", []byte(secret))} {
		if strings.Contains(out.String(), shown) {
			t.Errorf("the secret is shown as %s", shown)
		}
	}
}

const (
	saleID    = "att_01k4zfn0g0e00000000000s1e0"
	refundID  = "att_01k4zfn0g0e00000000000rfd0"
	paymentID = "pay_01k4zfn0g0e00000000000pay0"
	payoutID  = "po_01k4zfn0g0e00000000000pay0"
)

var at = time.Date(2025, 10, 17, 9, 41, 0, 0, time.UTC)

func order(t testing.TB, kind payment.OperationKind) connector.Order {
	t.Helper()
	parse := func(text string) id.Attempt {
		a, err := id.ParseAttempt(text)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	pay, err := id.ParsePayment(paymentID)
	if err != nil {
		t.Fatal(err)
	}
	o := connector.Order{
		Attempt:    payment.Attempt{ID: parse(saleID), Payment: pay, Kind: kind, Amount: money.Amount{Minor: 5000, Currency: "EUR"}},
		CustomerID: "c1", Method: "generic-card", NotifyURL: "https://pay.example/n/generic/test", ReturnURL: "https://pay.example/payment/s/x",
	}
	if kind == payment.KindRefund {
		o.Attempt.ID, o.Attempt.Of, o.Attempt.OfProviderID = parse(refundID), parse(saleID), "gtx_1"
	}
	return o
}

func sign(text string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// provider answers every request with one answer, signed as the protocol says,
// and notes what came.
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

// told connects to a provider that answers so.
func told(t *testing.T, status int, body string) (*generic.Generic, *provider) {
	t.Helper()
	p := &provider{t: t, status: status, body: body}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	c := config(server.URL + "/base")
	c.Now = func() time.Time { return at }
	return connect(t, c), p
}

// TestRequests holds what leaves: L11's body, and what the protocol adds.
func TestRequests(t *testing.T) {
	t.Parallel()
	g, p := told(t, http.StatusNotFound, `{"error":"not_found"}`)
	sale, refund, payout := order(t, payment.KindSale), order(t, payment.KindRefund), order(t, payment.KindPayout)
	payout.Attempt.Amount, payout.Destination = money.Amount{Minor: 500, Currency: "JPY"}, "dst_1"
	ctx := t.Context()
	g.Sale(ctx, sale)
	g.Lookup(ctx, sale)
	g.Refund(ctx, refund)
	g.LookupRefund(ctx, refund)
	g.Payout(ctx, payout)
	g.LookupPayout(ctx, payout)
	_, _ = g.Statement(ctx, at)
	head := "X-Account: test\nX-Timestamp: 1760694060\n"
	want := []string{
		"POST /base/v1/payments/init\nIdempotency-Key: " + saleID + "\n" + head + `{"amount":"50.00","currency":"EUR","method":"card",` +
			`"return_url":"https://pay.example/payment/s/x","notify_url":"https://pay.example/n/generic/test","reference":"` + saleID + `","payment_id":"` + paymentID + `","customer_id":"c1"}`,
		"GET /base/v1/payments/" + saleID + "\nIdempotency-Key: \n" + head,
		"POST /base/v1/refunds/init\nIdempotency-Key: " + refundID + "\n" + head + `{"amount":"50.00","currency":"EUR","reference":"` + refundID +
			`","payment_reference":"` + saleID + `","transaction_id":"gtx_1","payment_id":"` + paymentID + `","notify_url":"https://pay.example/n/generic/test"}`,
		"GET /base/v1/refunds/" + refundID + "\nIdempotency-Key: \n" + head,
		"POST /base/v1/payouts/init\nIdempotency-Key: " + saleID + "\n" + head + `{"amount":"500","currency":"JPY","method":"card","reference":"` + saleID +
			`","payment_id":"` + payoutID + `","customer_id":"c1","destination":"dst_1","notify_url":"https://pay.example/n/generic/test"}`,
		"GET /base/v1/payouts/" + saleID + "\nIdempotency-Key: \n" + head,
		"GET /base/v1/statements/2025-10-17\nIdempotency-Key: \n" + head,
	}
	for n := range want {
		if n >= len(p.seen) || p.seen[n] != want[n] {
			t.Fatalf("request %d is\n%s\nwant\n%s", n, p.seen[min(n, len(p.seen)-1)], want[n])
		}
	}
}

// answerOf is a good answer about the sale, changed as said.
func answerOf(reference string, changes map[string]string) string {
	fields := map[string]string{
		"reference": reference, "payment_id": paymentID, "transaction_id": "gtx_1", "status": "pending", "amount": "50.00", "currency": "EUR",
		"timestamp": "2025-10-17T09:41:00Z", "redirect_url": "https://psp.example/pay/1",
	}
	for name, value := range changes {
		if fields[name] = value; value == "" {
			delete(fields, name)
		}
	}
	text, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// TestAnswers says of each answer what is believed of it.
func TestAnswers(t *testing.T) {
	t.Parallel()
	type calls struct{ sale, lookup, refund, lookupRefund connector.Kind }
	const (
		approved, pending, declined, unknown, notSent = connector.Approved, connector.Pending, connector.Declined, connector.Unknown, connector.NotSent
	)
	tests := []struct {
		name    string
		status  int               // 0: 200
		changes map[string]string // of a good answer
		body    string            // instead of it
		bad     bool              // it is not signed
		want    calls
	}{
		{name: "pending", want: calls{pending, pending, pending, pending}},
		{name: "captured", changes: map[string]string{"status": "captured"}, want: calls{approved, approved, unknown, unknown}},
		{name: "succeeded", changes: map[string]string{"status": "succeeded"}, want: calls{unknown, unknown, approved, approved}},
		{name: "authorized", changes: map[string]string{"status": "authorized"}, want: calls{pending, pending, unknown, unknown}},
		{name: "failed", changes: map[string]string{"status": "failed", "code": "insufficient_funds"}, want: calls{declined, declined, declined, declined}},
		{name: "no such status", changes: map[string]string{"status": "paid"}, want: calls{unknown, unknown, unknown, unknown}},
		{name: "no status", changes: map[string]string{"status": ""}, want: calls{unknown, unknown, unknown, unknown}},
		{name: "another reference", changes: map[string]string{"reference": "att_1"}, want: calls{unknown, unknown, unknown, unknown}},
		{name: "no reference", changes: map[string]string{"reference": ""}, want: calls{unknown, unknown, unknown, unknown}},
		{name: "another payment", changes: map[string]string{"payment_id": "pay_1"}, want: calls{unknown, unknown, unknown, unknown}},
		{name: "no payment", changes: map[string]string{"payment_id": ""}, want: calls{pending, pending, pending, pending}},
		{name: "another amount", changes: map[string]string{"amount": "50.01"}, want: calls{unknown, unknown, unknown, unknown}},
		{name: "no amount", changes: map[string]string{"amount": ""}, want: calls{unknown, unknown, unknown, unknown}},
		{name: "an amount too exact", changes: map[string]string{"amount": "50.000"}, want: calls{unknown, unknown, unknown, unknown}},
		{name: "another currency", changes: map[string]string{"currency": "USD"}, want: calls{unknown, unknown, unknown, unknown}},
		{name: "no currency", changes: map[string]string{"currency": ""}, want: calls{unknown, unknown, unknown, unknown}},
		{name: "no id", changes: map[string]string{"status": "captured", "transaction_id": ""}, want: calls{unknown, unknown, unknown, unknown}},
		{name: "no page", changes: map[string]string{"redirect_url": ""}, want: calls{unknown, pending, pending, pending}},
		{name: "a page that is a script", changes: map[string]string{"redirect_url": "javascript:alert(1)"}, want: calls{unknown, pending, pending, pending}},
		{name: "a page with a password", changes: map[string]string{"redirect_url": "https://u:p@psp.example/"}, want: calls{unknown, pending, pending, pending}},
		{name: "not JSON", body: "captured", want: calls{unknown, unknown, unknown, unknown}},
		{name: "unsigned", bad: true, want: calls{unknown, unknown, unknown, unknown}},
		{name: "unsigned refusal", status: 402, body: `{"error":"payment_declined"}`, bad: true, want: calls{unknown, unknown, unknown, unknown}},
		{name: "declined", status: 402, body: `{"error":"payment_declined"}`, want: calls{declined, unknown, declined, unknown}},
		{name: "expired", status: 410, body: `{"error":"expired"}`, want: calls{declined, unknown, declined, unknown}},
		{name: "bad header", status: 400, body: `{"error":"bad_header"}`, want: calls{notSent, unknown, notSent, unknown}},
		{name: "clock", status: 401, body: `{"error":"invalid_signature"}`, want: calls{notSent, unknown, notSent, unknown}},
		{name: "not found", status: 404, body: `{"error":"not_found"}`, want: calls{unknown, pending, declined, pending}},
		{name: "not found, and not the protocol's", status: 404, body: `{"error":"no_route"}`, want: calls{unknown, unknown, unknown, unknown}},
		{name: "conflict", status: 409, body: `{"error":"idempotency_conflict"}`, want: calls{unknown, unknown, unknown, unknown}},
		{name: "in progress", status: 409, body: `{"error":"request_in_progress"}`, want: calls{pending, unknown, pending, unknown}},
		{name: "wrong state", status: 409, body: `{"error":"state_conflict"}`, want: calls{unknown, unknown, declined, unknown}},
		{name: "invalid", status: 422, body: `{"error":"validation_failed"}`, want: calls{notSent, unknown, declined, unknown}},
		{name: "too much", status: 422, body: `{"error":"amount_out_of_range"}`, want: calls{declined, unknown, declined, unknown}},
		{name: "busy", status: 429, body: `{"error":"rate_limited"}`, want: calls{notSent, unknown, notSent, unknown}},
		{name: "broken", status: 500, body: `{"error":"internal"}`, want: calls{unknown, unknown, unknown, unknown}},
		{name: "away", status: 503, body: `{"error":"overloaded"}`, want: calls{unknown, unknown, unknown, unknown}},
		{name: "moved", status: 302, body: `{}`, want: calls{unknown, unknown, unknown, unknown}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ask := func(kind payment.OperationKind, reference string, call func(*generic.Generic, connector.Order) connector.Outcome) connector.Kind {
				status, body := test.status, test.body
				if status == 0 {
					status = http.StatusOK
				}
				if body == "" {
					body = answerOf(reference, test.changes)
					if test.changes["reference"] == reference {
						t.Fatal("it should differ")
					}
				}
				g, p := told(t, status, body)
				p.unsigned = test.bad
				out := call(g, order(t, kind))
				if strings.Contains(fmt.Sprint(out), secret) {
					t.Errorf("%+v shows the secret", out)
				}
				if out.Kind == approved && (out.Amount != money.Amount{Minor: 5000, Currency: "EUR"} || out.ProviderID != "gtx_1" || !out.ProviderTime.Equal(at)) {
					t.Errorf("approved: %+v", out)
				}
				if (out.Kind == declined || out.Kind == notSent) == (out.Code == "") {
					t.Errorf("%s with code %q", out.Kind, out.Code)
				}
				return out.Kind
			}
			ctx := context.Background()
			got := calls{
				sale:         ask(payment.KindSale, saleID, func(g *generic.Generic, o connector.Order) connector.Outcome { return g.Sale(ctx, o) }),
				lookup:       ask(payment.KindSale, saleID, func(g *generic.Generic, o connector.Order) connector.Outcome { return g.Lookup(ctx, o) }),
				refund:       ask(payment.KindRefund, refundID, func(g *generic.Generic, o connector.Order) connector.Outcome { return g.Refund(ctx, o) }),
				lookupRefund: ask(payment.KindRefund, refundID, func(g *generic.Generic, o connector.Order) connector.Outcome { return g.LookupRefund(ctx, o) }),
			}
			if test.name == "another amount" || test.name == "another currency" {
				// Of money that has moved the amount is told as it is, for the flow to compare.
				test.changes["status"] = "captured"
				if kind := ask(payment.KindSale, saleID, func(g *generic.Generic, o connector.Order) connector.Outcome {
					out := g.Lookup(ctx, o)
					if out.Amount == o.Attempt.Amount {
						t.Errorf("told of %v, which is what was asked for", out.Amount)
					}
					out.Amount, out.Kind = o.Attempt.Amount, connector.Approved
					return out
				}); kind != approved {
					t.Errorf("captured: %s", kind)
				}
			}
			if got != test.want {
				t.Errorf("sale, look-up, refund, look-up: %v, want %v", got, test.want)
			}
		})
	}
}

// An answer is to one request: that to another one, replayed, is nobody's word.
func TestAnAnswerIsToItsRequestAlone(t *testing.T) {
	t.Parallel()
	body := answerOf(saleID, map[string]string{"status": "captured"})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Signature", sign("200\n"+sign("1760690000\nGET\n/v1/payments/"+saleID+"\n")+"\n"+body))
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	if out := connect(t, config(server.URL)).Lookup(t.Context(), order(t, payment.KindSale)); out.Kind != connector.Unknown || out.Alarm == "" {
		t.Errorf("Lookup answered with an old answer = %+v, want Unknown and an alarm", out)
	}
}

// What is lost is sent again by the flow or not at all: net/http repeats a request
// with an Idempotency-Key by itself when a connection that it kept breaks.
func TestNothingIsSentTwice(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var calls int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		defer mu.Unlock()
		if calls++; calls > 1 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusNotFound) // and the connection is kept
	}))
	t.Cleanup(server.Close)
	g := connect(t, config(server.URL))
	for range 2 {
		if out := g.Payout(t.Context(), order(t, payment.KindPayout)); out.Kind != connector.Unknown {
			t.Errorf("Payout = %+v, want Unknown", out)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if calls != 2 {
		t.Errorf("%d requests came, want the 2 that were made", calls)
	}
}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	good := map[string]any{
		"event_id": "evt_1", "payment_id": paymentID, "status": "captured", "amount": "50.00", "currency": "EUR", "timestamp": "2025-10-17T09:41:00Z",
	}
	eur := money.Amount{Minor: 5000, Currency: "EUR"}
	tests := []struct {
		name    string
		changes map[string]any // nil: left out
		now     time.Duration  // after its timestamp
		want    connector.News
		err     error
	}{
		{name: "L11's, letter for letter", want: connector.News{Payment: paymentID, Operation: payment.KindSale, Kind: connector.Approved, Amount: eur, EventID: "evt_1", Final: true, ProviderCode: "captured"}},
		{
			name:    "a refund's",
			changes: map[string]any{"type": "refund", "reference": refundID, "status": "failed", "code": "insufficient_funds", "transaction_id": "gtx_2"},
			want: connector.News{
				Reference: refundID, Payment: paymentID, Operation: payment.KindRefund, Kind: connector.Declined, Amount: eur, EventID: "evt_1", Final: true,
				Code: payment.CodeExternalFunds, ProviderID: "gtx_2", ProviderCode: "insufficient_funds",
			},
		},
		{name: "a status that is not agreed", changes: map[string]any{"status": "paid"}, want: connector.News{Payment: paymentID, Operation: payment.KindSale, Kind: connector.Unknown, Amount: eur, EventID: "evt_1", ProviderCode: "paid"}},
		{name: "a payout's word of a payment", changes: map[string]any{"type": "payout"}, want: connector.News{Payment: paymentID, Operation: payment.KindPayout, Kind: connector.Unknown, Amount: eur, EventID: "evt_1", ProviderCode: "captured"}},
		{
			name: "a payout's", changes: map[string]any{"type": "payout", "payment_id": payoutID, "status": "succeeded"},
			want: connector.News{Payment: paymentID, Operation: payment.KindPayout, Kind: connector.Approved, Amount: eur, EventID: "evt_1", Final: true, ProviderCode: "succeeded"},
		},
		{
			name: "a payout's, without a type", changes: map[string]any{"payment_id": payoutID, "status": "failed"},
			want: connector.News{
				Payment: paymentID, Operation: payment.KindPayout, Kind: connector.Declined, Amount: eur, EventID: "evt_1", Final: true, Code: payment.CodeExternalDecline,
			},
		},
		{
			name: "a payment's, by the name of a payout", changes: map[string]any{"type": "payment", "payment_id": payoutID},
			want: connector.News{Payment: paymentID, Operation: payment.KindSale, Kind: connector.Approved, Amount: eur, EventID: "evt_1", Final: true, ProviderCode: "captured"},
		},
		{name: "a payout of nobody's", changes: map[string]any{"payment_id": "po_1"}, err: connector.ErrMalformed},
		{name: "90 days old", now: 90 * 24 * time.Hour, want: connector.News{Payment: paymentID, Operation: payment.KindSale, Kind: connector.Approved, Amount: eur, EventID: "evt_1", Final: true, ProviderCode: "captured"}},
		{name: "older", now: 90*24*time.Hour + time.Second, err: connector.ErrMalformed},
		{name: "300 s ahead", now: -300 * time.Second, want: connector.News{Payment: paymentID, Operation: payment.KindSale, Kind: connector.Approved, Amount: eur, EventID: "evt_1", Final: true, ProviderCode: "captured"}},
		{name: "further ahead", now: -301 * time.Second, err: connector.ErrMalformed},
		{name: "no event", changes: map[string]any{"event_id": nil}, err: connector.ErrMalformed},
		{name: "no time", changes: map[string]any{"timestamp": nil}, err: connector.ErrMalformed},
		{name: "a time that is none", changes: map[string]any{"timestamp": "1760694060"}, err: connector.ErrMalformed},
		{name: "nobody named", changes: map[string]any{"payment_id": nil}, err: connector.ErrMalformed},
		{name: "a payment of nobody's", changes: map[string]any{"payment_id": "order-1"}, err: connector.ErrMalformed},
		{name: "a type that is none", changes: map[string]any{"type": "dispute"}, err: connector.ErrMalformed},
		{name: "a number for an amount", changes: map[string]any{"amount": 50}, err: connector.ErrMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			fields := map[string]any{}
			for k, v := range good {
				fields[k] = v
			}
			for k, v := range test.changes {
				if fields[k] = v; v == nil {
					delete(fields, k)
				}
			}
			body, err := json.Marshal(fields)
			if err != nil {
				t.Fatal(err)
			}
			c := config("https://host")
			c.Now = func() time.Time { return at.Add(test.now) }
			n := connector.Notification{Method: "POST", Header: http.Header{"X-Signature": {sign(string(body))}, "Content-Type": {"application/json"}}, Body: body}
			news, err := connect(t, c).ReadNotification(n)
			if test.err == nil {
				test.want.ProviderTime = at
			}
			if !errors.Is(err, test.err) || news != test.want {
				t.Errorf("ReadNotification(%s) = %+v, %v, want %+v, %v", body, news, err, test.want, test.err)
			}
			if test.name == "older" { // it was taken when it came, and is read again
				n.Received = at.Add(time.Hour)
				if _, err := connect(t, c).ReadNotification(n); err != nil {
					t.Errorf("read again after 90 days: %v", err)
				}
			}
		})
	}
	for _, amount := range []string{"50.001", "-50.00", "5e1", "", "50,00"} {
		body := strings.Replace(`{"event_id":"e","payment_id":"`+paymentID+`","status":"captured","amount":"A","currency":"EUR","timestamp":"2025-10-17T09:41:00Z"}`, `"A"`, strconv.Quote(amount), 1)
		c := config("https://host")
		c.Now = func() time.Time { return at }
		news, err := connect(t, c).ReadNotification(connector.Notification{Method: "POST", Header: http.Header{"X-Signature": {sign(body)}}, Body: []byte(body)})
		if err != nil || news.Mismatch == "" {
			t.Errorf("an amount of %q: %+v, %v, want a mismatch", amount, news, err)
		}
	}
}

// TestKeptWithoutNames: what is stored of a webhook says whose an instrument is no more,
// and is taken again as the same news; nobody else can make such a one.
func TestKeptWithoutNames(t *testing.T) {
	t.Parallel()
	c := config("https://host")
	c.Now = func() time.Time { return at }
	g := connect(t, c)
	for name, test := range map[string]struct {
		instrument string
		same       bool // stored as it came
		reads      connector.Instrument
	}{
		"nothing":          {instrument: ``, same: true},
		"nobody":           {instrument: `"instrument":{"token":"t","kind":"card","label":"Visa"},`, same: true, reads: connector.Instrument{Token: "t", Kind: instrument.Card, Label: "Visa"}},
		"a name":           {instrument: `"instrument":{"token":"t","kind":"card","holder":"Ann Example"},`, reads: connector.Instrument{Token: "t", Kind: instrument.Card}},
		"in other letters": {instrument: `"INSTRUMENT":{"token":"t","kind":"card","Holder":"Ann Example"},"name":"Ann Example",`, reads: connector.Instrument{Token: "t", Kind: instrument.Card}},
		"said twice":       {instrument: `"instrument":{"token":"t","kind":"card"},"instrument":{"holder":"Ann Example"},`, reads: connector.Instrument{Token: "t", Kind: instrument.Card}},
		"a card number":    {instrument: `"instrument":{"token":"t","kind":"card","holder":"Ann Example 4111111111111111"},`},
	} {
		body := `{"event_id":"e",` + test.instrument + `"payment_id":"` + paymentID + `","status":"captured","amount":"50.00","currency":"EUR","timestamp":"2025-10-17T09:41:00Z"}`
		n := connector.Notification{Method: "POST", Header: http.Header{"X-Signature": {sign(body)}}, Body: []byte(body)}
		news, err := g.ReadNotification(n)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		kept, err := g.Kept(n)
		if err != nil || strings.Contains(string(kept.Body), "Ann") || strings.Contains(string(kept.Body), "4111") || (string(kept.Body) == body) != test.same {
			t.Errorf("%s is kept as %s, %v", name, kept.Body, err)
		}
		if kept.Header.Get("X-Signature") != sign(body) {
			t.Errorf("%s is kept without the provider's signature", name)
		}
		news.Instrument = test.reads
		if again, err := g.ReadNotification(kept); err != nil || again != news {
			t.Errorf("%s is read again as %+v, %v, want %+v", name, again, err, news)
		}
		if test.same {
			continue
		}
		for forged, header := range map[string]http.Header{
			"the provider's signature": {"X-Signature": {sign(string(kept.Body))}, "X-Kept": {sign(string(kept.Body))}},
			"ours as the provider's":   {"X-Signature": kept.Header.Values("X-Kept")},
			"none":                     {"X-Signature": kept.Header.Values("X-Signature")},
			"nonsense":                 {"X-Signature": {sign(string(kept.Body))}, "X-Kept": {"x"}},
		} {
			if _, err := g.ReadNotification(connector.Notification{Method: "POST", Header: header, Body: kept.Body}); !errors.Is(err, connector.ErrSignature) {
				t.Errorf("%s with %s: %v, want ErrSignature", name, forged, err)
			}
		}
	}
}

// TestGuide runs the adapter of docs/connector.md: who copies it must get one
// that works.
func TestGuide(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("AORTA_TEST_ALL") != "" {
			t.Fatal("no python3")
		}
		t.Skip("no python3")
	}
	guide, err := os.ReadFile("../../../docs/connector.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(guide), "```python\n")
	program, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("the guide has no adapter")
	}
	base := connectortest.DeadURL(t)
	_, port, _ := strings.Cut(strings.TrimPrefix(base, "http://"), ":")
	cmd := exec.CommandContext(t.Context(), python, "-")
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(program, "9000", port))
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	heard := make(chan connector.Notification, 10)
	platform := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		heard <- connector.Notification{Method: r.Method, Header: r.Header.Clone(), Body: body}
	}))
	t.Cleanup(platform.Close)

	c := config(base)
	c.Account, c.Secret, c.CallTimeout = "shop-17", exchange.NewSecret("at least 14 characters"), 5*time.Second
	g, o := connect(t, c), order(t, payment.KindSale)
	o.NotifyURL, o.ReturnURL = platform.URL, platform.URL+"/back"
	out := g.Sale(t.Context(), o)
	for end := time.Now().Add(10 * time.Second); out.Kind == connector.NotSent && time.Now().Before(end); out = g.Sale(t.Context(), o) {
		time.Sleep(20 * time.Millisecond) // it is starting
	}
	if out.Kind != connector.Pending || out.Redirect == nil || out.Alarm != "" {
		t.Fatalf("Sale = %+v, want a page", out)
	}
	if again := g.Sale(t.Context(), o); again.Redirect == nil || again.Redirect.URL != out.Redirect.URL {
		t.Errorf("Sale, repeated = %+v, want as before", again)
	}
	resp, err := http.Post(out.Redirect.URL, "application/x-www-form-urlencoded", strings.NewReader("action=approve"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Request.URL.String(); got != o.ReturnURL {
		t.Errorf("the customer is led to %s, want %s", got, o.ReturnURL)
	}
	if news, err := g.ReadNotification(<-heard); err != nil || !news.Final || news.Kind != connector.Approved || news.Amount != o.Attempt.Amount || news.Reference != o.Reference() {
		t.Errorf("webhook = %+v, %v, want the payment captured", news, err)
	}
	if out = g.Lookup(t.Context(), o); out.Kind != connector.Approved || out.Amount != o.Attempt.Amount {
		t.Errorf("Lookup = %+v, want the payment captured", out)
	}
	refund := order(t, payment.KindRefund)
	refund.Attempt.OfProviderID = out.ProviderID
	if out := g.LookupRefund(t.Context(), refund); !out.NoRecord {
		t.Errorf("LookupRefund of what was never asked = %+v, want no record", out)
	}
	if out := g.Refund(t.Context(), refund); out.Kind != connector.Approved {
		t.Errorf("Refund = %+v, want it done", out)
	}
	refund.Attempt.Amount.Minor--
	if out := g.Refund(t.Context(), refund); out.Kind != connector.Unknown {
		t.Errorf("Refund of another amount under the same reference = %+v, want Unknown", out)
	}
	if out := g.Payout(t.Context(), order(t, payment.KindPayout)); out.Kind != connector.Approved {
		t.Errorf("Payout = %+v, want it done", out)
	}
	if lines, err := g.Statement(t.Context(), at); err != nil || len(lines) != 0 {
		t.Errorf("Statement = %+v, %v", lines, err)
	}
	c.Secret = exchange.NewSecret("another one, a stranger's")
	if out := connect(t, c).Lookup(t.Context(), o); out.Kind != connector.Unknown || out.Alarm == "" {
		t.Errorf("Lookup by a stranger = %+v, want Unknown and an alarm", out)
	}
}
