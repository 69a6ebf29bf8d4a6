package sdk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	aorta "aorta/clients/go"
	"aorta/test/demo"
)

// TestTypeScriptAlone runs aorta-alone.mjs, whose scenarios are named in it.
func TestTypeScriptAlone(t *testing.T) {
	t.Parallel()
	judge(t, nodeAlone(t), "aorta-alone.mjs", nil)
}

// nodeAlone gives Node.js' path, or skips the test: our own client needs nothing else.
func nodeAlone(t *testing.T) string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil && os.Getenv("AORTA_TEST_ALL") != "" {
		t.Fatal("Node.js is missing; test/setup.sh installs it")
	}
	if err != nil {
		t.Skip("Node.js is missing; make test installs it")
	}
	return node
}

// TestClients has both of our clients use the built binary on each store, over a line that loses what it is told to.
func TestClients(t *testing.T) {
	for store, flags := range demo.Stores(t) {
		t.Run(store, func(t *testing.T) {
			d := demo.Start(t, flags...)
			to, err := url.Parse(d.Public)
			if err != nil {
				t.Fatal(err)
			}
			t.Run("go", func(t *testing.T) {
				l := newLine(t, to)
				u := &user{t: t, d: d, line: l, client: aorta.New(l.URL, d.APIKey, aorta.Options{}), me: "go"}
				u.pays()
				u.plays()
				u.reads()
				u.paysOut()
				u.hears()
			})
			t.Run("typescript", func(t *testing.T) {
				node, l := nodeAlone(t), newLine(t, to)
				judge(t, node, "aorta-demo.mjs", map[string]string{"line": l.URL, "api_key": d.APIKey})
				l.sent(t, "ts-order-1", 7) // the last one with another amount
				l.sent(t, "ts-payout-1", 4)
			})
		})
	}
}

// line is the network between a client and the platform. POST /~next?faults=cut,503 has the next requests lost:
//
//	503, 429, 409  refused on the way, as by the platform
//	500            done, and answered 500
//	lost           not delivered
//	cut            done, and the answer is lost
//	half           done, and half of the answer is lost
type line struct {
	*httptest.Server
	to     *url.URL
	mu     sync.Mutex
	faults []string
	seen   []string // key and fault of each call that changes something
}

func newLine(t *testing.T, to *url.URL) *line {
	l := &line{to: to}
	l.Server = httptest.NewServer(l)
	t.Cleanup(l.Close)
	return l
}

func (l *line) next(faults ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = faults
}

// sent checks that a key was sent so often, and met all faults.
func (l *line) sent(t *testing.T, key string, tries int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(slices.DeleteFunc(slices.Clone(l.seen), func(s string) bool { return !strings.HasPrefix(s, key+" ") })); n != tries {
		t.Errorf("%s was sent %d times, want %d: %q", key, n, tries, l.seen)
	}
	if len(l.faults) > 0 {
		t.Errorf("nobody met the faults %q", l.faults)
	}
}

// ServeHTTP passes a request on, or does not.
func (l *line) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/~next" {
		l.next(strings.Split(r.URL.Query().Get("faults"), ",")...)
		return
	}
	l.mu.Lock()
	fault := ""
	if len(l.faults) > 0 {
		fault, l.faults = l.faults[0], l.faults[1:]
	}
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		l.seen = append(l.seen, key+" "+fault)
	}
	l.mu.Unlock()
	says := func(status int, code string) {
		w.Header().Set("Content-Type", "application/json")
		if status != 503 {
			w.Header().Set("Retry-After", "1")
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":%q,"message":"","trace_id":"","details":{}}`, code)
	}
	switch fault {
	case "503":
		says(503, "overloaded")
		return
	case "429":
		says(429, "rate_limited")
		return
	case "409":
		says(409, "request_in_progress")
		return
	case "lost":
		panic(http.ErrAbortHandler)
	}
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.RequestURI = l.to.Scheme, l.to.Host, ""
	answer, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || fault == "cut" {
		panic(http.ErrAbortHandler)
	}
	if fault == "500" {
		says(500, "internal")
		return
	}
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.StatusCode)
	if fault == "half" {
		w.Write(body[:len(body)/2])
		panic(http.ErrAbortHandler)
	}
	w.Write(body)
}

// user is somebody who builds against Aorta in Go.
type user struct {
	t      *testing.T
	d      *demo.Demo
	line   *line
	client *aorta.Client
	me     string // names their customers and keys
	paid   string // a payment
}

func (u *user) fatal(err error) {
	u.t.Helper()
	if err != nil {
		u.t.Fatal(err)
	}
}

// press presses a button of the provider's hosted page, and goes nowhere from there.
func (u *user) press(page, step, action string) {
	u.t.Helper()
	stay := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := stay.PostForm(page, url.Values{"step": {step}, "action": {action}})
	u.fatal(err)
	resp.Body.Close()
}

// pays is L11: one payment, however often it is sent, and its money once.
func (u *user) pays() {
	u.t.Helper()
	ctx := u.t.Context()
	order := aorta.PaymentInitParams{
		Amount: "50.00", Currency: "EUR", Method: "card", ReturnURL: "https://shop.example/", CustomerID: u.me, Meta: map[string]string{"country": "FI", "device": "ios"},
	}
	u.line.next("lost", "cut", "half", "503", "429")
	begun, err := u.client.Payments.Init(ctx, order, aorta.IdempotencyKey(u.me+"-order-1"))
	u.fatal(err)
	if begun.Status != aorta.PaymentStatusPending || begun.RedirectURL == "" {
		u.t.Fatalf("Init = %+v", begun)
	}
	u.line.sent(u.t, u.me+"-order-1", 6)
	order.Amount = "51.00"
	_, err = u.client.Payments.Init(ctx, order, aorta.IdempotencyKey(u.me+"-order-1"))
	var refused *aorta.Error
	if !errors.As(err, &refused) || !errors.Is(err, aorta.ErrIdempotencyConflict) || fmt.Sprint(refused.Differs) != "[amount]" || refused.Status != 409 {
		u.t.Errorf("another amount under the same key: %v", err)
	}
	var all []aorta.Payment
	for p, err := range u.client.Payments.List(ctx, aorta.PaymentListParams{CustomerID: u.me}, aorta.Expand("meta")) {
		u.fatal(err)
		all = append(all, p)
	}
	if len(all) != 1 || all[0].PaymentID != begun.PaymentID || all[0].Meta["device"] != "ios" {
		u.t.Fatalf("there are %d payments, want one: %+v", len(all), all)
	}
	_, err = u.client.Wallet.Credit(ctx, aorta.WalletCreditParams{PaymentID: begun.PaymentID, TxnID: u.me + "-early", Amount: "50.00"})
	if !errors.As(err, &refused) || !errors.Is(err, aorta.ErrStateConflict) || refused.State != "pending" {
		u.t.Errorf("a credit of a payment that is not captured: %v", err)
	}
	u.press(begun.RedirectURL, "3ds", "approve")
	u.paid = begun.PaymentID
	u.captured(begun.PaymentID)
	credit, err := u.client.Wallet.Credit(ctx, aorta.WalletCreditParams{PaymentID: begun.PaymentID, TxnID: u.me + "-txn_1", Amount: "50.00"})
	u.fatal(err)
	if credit.Kind != "deposit" || credit.Available != "50.00" {
		u.t.Errorf("the credit of a payment is %+v", credit)
	}
}

func (u *user) captured(paymentID string) {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.t.Context(), 20*time.Second)
	defer cancel()
	for {
		p, err := u.client.Payments.Get(ctx, paymentID, aorta.Expand("operations"))
		u.fatal(err)
		if p.Status == aorta.PaymentStatusCaptured && len(p.Operations) == 1 && p.Operations[0].Amount == "50.00" {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// plays: moves that are sent more than once move once.
func (u *user) plays() {
	u.t.Helper()
	ctx := u.t.Context()
	move := func(round, txn, amount string) aorta.RoundParams {
		return aorta.RoundParams{RoundID: u.me + round, TxnID: u.me + txn, CustomerID: u.me, Amount: amount, Currency: "EUR"}
	}
	u.line.next("cut", "409", "500")
	got, err := u.client.Rounds.Stake(ctx, move("-spin-1", "-bet-1", "5.00"))
	u.fatal(err)
	if got.Available != "45.00" || got.Kind != "stake" {
		u.t.Errorf("a stake that was sent four times: %+v", got)
	}
	got, err = u.client.Rounds.Win(ctx, move("-spin-1", "-win-1", "7.50"))
	u.fatal(err)
	if got.Available != "52.50" {
		u.t.Errorf("a win: %+v", got)
	}
	_, err = u.client.Rounds.Rollback(ctx, aorta.RoundRollbackParams{RoundID: u.me + "-spin-1", TxnID: u.me + "-undo-1", CustomerID: u.me})
	u.fatal(err)
	if _, err = u.client.Rounds.Win(ctx, move("-spin-1", "-win-2", "1.00")); !errors.Is(err, aorta.ErrStateConflict) {
		u.t.Errorf("a win after the rollback: %v", err)
	}
	if _, err = u.client.Rounds.Stake(ctx, move("-spin-2", "-bet-2", "50.01")); !errors.Is(err, aorta.ErrInsufficientFunds) {
		u.t.Errorf("a stake of more than there is: %v", err)
	}
	_, err = u.client.Wallet.Debit(ctx, aorta.MoveParams{TxnID: u.me + "-hat", CustomerID: u.me, Amount: "5.001", Currency: "EUR"})
	var refused *aorta.Error
	if !errors.As(err, &refused) || !errors.Is(err, aorta.ErrValidationFailed) || len(refused.Fields) != 1 || refused.Fields[0].Path != "amount" {
		u.t.Errorf("an amount with three decimals: %v", err)
	}
	c, err := u.client.Customers.Get(ctx, u.me)
	u.fatal(err)
	if len(c.Balances) != 1 || c.Balances[0].Available != "50.00" {
		u.t.Errorf("the customer has %+v", c.Balances)
	}
}

// reads: a list is gone through page by page, each line once.
func (u *user) reads() {
	u.t.Helper()
	ctx := u.t.Context()
	for n := range 6 {
		name := fmt.Sprint(u.me, "-tea-", n)
		_, err := u.client.Wallet.Debit(ctx, aorta.MoveParams{TxnID: name, CustomerID: u.me, Amount: "1.00", Currency: "EUR"})
		u.fatal(err)
	}
	kinds := ""
	for transfer, err := range u.client.Customers.ListTransfers(ctx, u.me, aorta.TransferListParams{Limit: 2}) {
		u.fatal(err)
		kinds += transfer.Kind + transfer.Change + " "
	}
	if want := strings.Repeat("debit-1.00 ", 6) + "rollback-2.50 win7.50 stake-5.00 deposit50.00 "; kinds != want {
		u.t.Errorf("the statement is %s\nwant %s", kinds, want)
	}
	if _, err := u.client.Payments.Get(ctx, "pay_nonsense"); !errors.Is(err, aorta.ErrNotFound) {
		u.t.Errorf("a payment that there is not: %v", err)
	}
	refund, err := u.client.Payments.CreateRefund(ctx, u.paid, aorta.RefundCreateParams{Amount: "1.00", Currency: "EUR"})
	u.fatal(err)
	if again, err := u.client.Refunds.Get(ctx, refund.RefundID); err != nil || again.PaymentID != u.paid || again.Amount != "1.00" {
		u.t.Errorf("a refund is %+v, %v", again, err)
	}
}

// paysOut: a payout that is sent more than once leaves once, by the way that the deposit came.
func (u *user) paysOut() {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.t.Context(), 30*time.Second)
	defer cancel()
	u.line.next("cut", "503", "half")
	payout, err := u.client.Payouts.Init(ctx, aorta.PayoutInitParams{CustomerID: u.me, Amount: "20.00", Currency: "EUR"}, aorta.IdempotencyKey(u.me+"-payout-1"))
	u.fatal(err)
	u.line.sent(u.t, u.me+"-payout-1", 4)
	for payout.Status == aorta.PayoutStatusPending {
		time.Sleep(20 * time.Millisecond)
		payout, err = u.client.Payouts.Get(ctx, payout.PayoutID)
		u.fatal(err)
	}
	if payout.Status != aorta.PayoutStatusPaid || payout.Method != "card" {
		u.t.Errorf("the payout is %+v", payout)
	}
	payouts := 0
	for p, err := range u.client.Payouts.List(ctx, aorta.PayoutListParams{CustomerID: u.me, Limit: 1}) {
		u.fatal(err)
		if payouts++; p.PayoutID != payout.PayoutID {
			u.t.Errorf("another payout is %+v", p)
		}
	}
	c, err := u.client.Customers.Get(ctx, u.me)
	u.fatal(err)
	for c.Balances[0].Reserved != "0.00" { // the refund is under way
		time.Sleep(20 * time.Millisecond)
		c, err = u.client.Customers.Get(ctx, u.me)
		u.fatal(err)
	}
	if payouts != 1 || c.Balances[0].Available != "23.00" {
		u.t.Errorf("after %d payouts the customer has %+v", payouts, c.Balances)
	}
	_, err = u.client.Payouts.Init(ctx, aorta.PayoutInitParams{CustomerID: u.me, Amount: "23.01", Currency: "EUR"})
	if !errors.Is(err, aorta.ErrInsufficientFunds) {
		u.t.Errorf("a payout of more than there is: %v", err)
	}
}

// hears: an endpoint's messages are believed, while its secret is changed too.
func (u *user) hears() {
	u.t.Helper()
	ctx := u.t.Context()
	var mu sync.Mutex
	var receivers []*aorta.Receiver
	heard := make(chan string, 100)
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		word := ""
		for _, receiver := range receivers {
			if m, err := receiver.Verify(r.Header, body); err == nil && m.Data.State == aorta.EndpointStateEnabled {
				word += string(m.Type) + " "
			} else if !errors.Is(err, aorta.ErrNotGenuine) {
				word += fmt.Sprint(m, err)
			}
			if _, err := receiver.Verify(r.Header, append(bytes.Clone(body), ' ')); !errors.Is(err, aorta.ErrNotGenuine) {
				word += "FORGED "
			}
		}
		heard <- word
	}))
	defer shop.Close()
	knows := func(secret string) {
		u.t.Helper()
		r, err := aorta.NewReceiver(secret)
		u.fatal(err)
		mu.Lock()
		defer mu.Unlock()
		receivers = append(receivers, r)
	}
	u.line.next("cut") // the answer with the secret
	endpoint, err := u.client.WebhookEndpoints.Create(ctx, aorta.WebhookEndpointCreateParams{URL: shop.URL, Events: []aorta.EventType{aorta.EventTypePaymentPending}})
	u.fatal(err)
	if endpoint.Secret != "" {
		u.t.Error("a secret was told twice")
	}
	if endpoint, err = u.client.WebhookEndpoints.Rotate(ctx, endpoint.EndpointID, aorta.WebhookEndpointRotateParams{OverlapHours: new(0)}); err != nil {
		u.t.Fatal(err)
	}
	knows(endpoint.Secret)
	test := func(want string) {
		u.t.Helper()
		_, err := u.client.WebhookEndpoints.Test(ctx, endpoint.EndpointID)
		u.fatal(err)
		select {
		case got := <-heard:
			if got != want {
				u.t.Errorf("the receivers heard %q, want %q", got, want)
			}
		case <-time.After(20 * time.Second):
			u.t.Fatal("no webhook came")
		}
	}
	test("endpoint.test ")
	turned, err := u.client.WebhookEndpoints.Rotate(ctx, endpoint.EndpointID, aorta.WebhookEndpointRotateParams{})
	u.fatal(err)
	knows(turned.Secret)
	knows("whsec_" + strings.Repeat("A", 43) + "=")
	test("endpoint.test endpoint.test ")
	sent := 0
	for d, err := range u.client.WebhookEndpoints.ListDeliveries(ctx, endpoint.EndpointID, aorta.DeliveryListParams{Limit: 1}) {
		u.fatal(err)
		if sent++; d.Type != "endpoint.test" {
			u.t.Errorf("a delivery is %+v", d)
		}
	}
	gone, err := u.client.WebhookEndpoints.Delete(ctx, endpoint.EndpointID)
	u.fatal(err)
	if sent != 2 || gone.State != "deleted" {
		u.t.Errorf("%d deliveries are listed, want 2; deleted: %+v", sent, gone)
	}
}
