package flow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/customer"
	"aorta/internal/event"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/project"
)

// payer is a house with a customer who has something to be paid out.
func payer(t *testing.T, homes int, minor int64) *house {
	t.Helper()
	h := walletHouse(t, homes)
	player{h, "c1"}.must("credit", "start", "", minor)
	h.tick()
	return h
}

func (h *house) payout(name string, minor int64) flow.PayoutRequest {
	return flow.PayoutRequest{
		Project: h.pr, Route: flow.Route{Method: "paytm-wallet", Connector: "paytm", Account: "demo"}, Door: "api", PayoutID: name,
		CustomerID: "c1", Description: "winnings", Amount: inr(minor),
	}
}

func (h *house) pay(name string, minor int64) flow.Begun {
	h.t.Helper()
	b, err := h.flows.BeginPayout(h.t.Context(), h.payout(name, minor))
	if err != nil {
		h.t.Fatalf("BeginPayout(%s): %v", name, err)
	}
	return b
}

func (h *house) wantWallet(available, reserved, clearing int64) {
	h.t.Helper()
	const owner = "customer:1:c1"
	if a, r, c := h.balance(owner, ledger.Available), h.balance(owner, ledger.Reserved), h.balance("psp:paytm:demo", ledger.Clearing); a != available || r != reserved || c != clearing {
		h.t.Errorf("available %d, reserved %d, clearing %d; want %d, %d, %d", a, r, c, available, reserved, clearing)
	}
}

// history is what happened to a payment, oldest first.
func (h *house) history(p id.Payment) []event.Kind {
	h.t.Helper()
	var out []event.Kind
	for next := h.payment(p).LastEvent; !next.IsZero(); {
		e, ok, err := h.read.of(p.Bucket()).Event(h.t.Context(), next)
		if err != nil || !ok {
			h.t.Fatalf("event %s: found %t, %v", next, ok, err)
		}
		out, next = append(out, e.Kind), e.Prev
	}
	slices.Reverse(out)
	return out
}

// What becomes of a payout and its money, by what the PSP says of it first, and
// then when it is looked up.
func TestPayouts(t *testing.T) {
	t.Parallel()
	lost, accepted, silent := connector.Outcome{Kind: connector.Unknown}, connector.Outcome{Kind: connector.Pending}, connector.Outcome{Kind: connector.Unknown, NoRecord: true}
	no := connector.Outcome{Kind: connector.Declined, Code: payment.CodeExternalLimit}
	odd := []connector.Outcome{{Kind: connector.Approved, Amount: inr(401), Mismatch: "amount"}}
	tests := []struct {
		name                          string
		says                          connector.Outcome
		lookup                        []connector.Outcome
		news                          []connector.Outcome // that comes by itself, before any look-up
		wait                          time.Duration
		status                        payment.Status
		code                          string
		attempt                       payment.AttemptStatus
		available, reserved, clearing int64
		events                        []event.Kind
		cases                         []string
	}{
		{
			name: "paid at once", says: approved(400), status: payment.StatusPaid, code: "0", attempt: payment.AttemptApproved,
			available: 600, clearing: -400, events: []event.Kind{event.PayoutPending, event.PayoutPaid},
		},
		{
			name: "paid later", says: accepted, lookup: []connector.Outcome{accepted, approved(400)}, wait: time.Hour, status: payment.StatusPaid, code: "0",
			attempt: payment.AttemptApproved, available: 600, clearing: -400, events: []event.Kind{event.PayoutPending, event.PayoutPaid},
		},
		{
			name: "refused", says: no, status: payment.StatusFailed, code: payment.CodeExternalLimit, attempt: payment.AttemptDeclined,
			available: 1000, events: []event.Kind{event.PayoutPending, event.PayoutFailed},
		},
		{
			name: "refused without a reason", says: connector.Outcome{Kind: connector.Declined}, status: payment.StatusFailed, code: payment.CodeGeneralDecline,
			attempt: payment.AttemptDeclined, available: 1000, events: []event.Kind{event.PayoutPending, event.PayoutFailed},
		},
		{
			name: "not sent", says: connector.Outcome{Kind: connector.NotSent}, status: payment.StatusFailed, code: payment.CodeProviderUnavailable,
			attempt: payment.AttemptNotSent, available: 1000, events: []event.Kind{event.PayoutPending, event.PayoutFailed},
		},
		{
			name: "accepted", says: accepted, lookup: []connector.Outcome{accepted}, wait: time.Hour, status: payment.StatusSubmitting,
			attempt: payment.AttemptAccepted, available: 600, reserved: 400, events: []event.Kind{event.PayoutPending},
		},
		{
			name: "unknown", says: lost, lookup: []connector.Outcome{lost}, wait: 23 * time.Hour, status: payment.StatusUnknown,
			attempt: payment.AttemptUnknown, available: 600, reserved: 400, events: []event.Kind{event.PayoutPending, event.PayoutUnknown},
		},
		{
			name: "unknown for a day", says: lost, lookup: []connector.Outcome{lost}, wait: 25 * time.Hour, status: payment.StatusUnknown,
			attempt: payment.AttemptUnknown, available: 600, reserved: 400, events: []event.Kind{event.PayoutPending, event.PayoutUnknown}, cases: []string{flow.CaseUnsettled},
		},
		{
			name: "unknown and paid", says: lost, lookup: []connector.Outcome{lost, accepted, approved(400)}, wait: time.Hour, status: payment.StatusPaid, code: "0",
			attempt: payment.AttemptApproved, available: 600, clearing: -400, events: []event.Kind{event.PayoutPending, event.PayoutUnknown, event.PayoutPaid},
		},
		{
			name: "unknown and refused", says: lost, lookup: []connector.Outcome{no}, wait: time.Hour, status: payment.StatusFailed, code: payment.CodeExternalLimit,
			attempt: payment.AttemptDeclined, available: 1000, events: []event.Kind{event.PayoutPending, event.PayoutUnknown, event.PayoutFailed},
		},
		{
			name: "unknown, and there is no such payout for nine minutes", says: lost, lookup: []connector.Outcome{silent}, wait: 9 * time.Minute,
			status: payment.StatusUnknown, attempt: payment.AttemptUnknown, available: 600, reserved: 400, events: []event.Kind{event.PayoutPending, event.PayoutUnknown},
		},
		{
			name: "unknown, and there is no such payout for longer", says: lost, lookup: []connector.Outcome{silent}, wait: 20 * time.Minute,
			status: payment.StatusFailed, code: payment.CodeProviderUnavailable, attempt: payment.AttemptNotSent, available: 1000,
			events: []event.Kind{event.PayoutPending, event.PayoutUnknown, event.PayoutFailed},
		},
		{
			name: "accepted, and then there is no such payout", says: accepted, lookup: []connector.Outcome{silent}, wait: time.Hour,
			status: payment.StatusSubmitting, attempt: payment.AttemptAccepted, available: 600, reserved: 400, events: []event.Kind{event.PayoutPending},
			cases: []string{flow.CaseConflict},
		},
		{
			name: "another amount", says: approved(500), lookup: []connector.Outcome{approved(500)}, wait: time.Hour, status: payment.StatusSubmitting,
			attempt: payment.AttemptAccepted, available: 600, reserved: 400, events: []event.Kind{event.PayoutPending}, cases: []string{flow.CaseMismatch},
		},
		{
			name: "another amount, and then there is no such payout", says: approved(500), lookup: []connector.Outcome{silent}, wait: time.Hour, status: payment.StatusSubmitting,
			attempt: payment.AttemptAccepted, available: 600, reserved: 400, events: []event.Kind{event.PayoutPending}, cases: []string{flow.CaseConflict, flow.CaseMismatch},
		},
		{
			name: "unknown, and its news does not fit, and then there is no such payout", says: lost, lookup: []connector.Outcome{silent}, news: odd, wait: time.Hour,
			status: payment.StatusUnknown, attempt: payment.AttemptAccepted, available: 600, reserved: 400, events: []event.Kind{event.PayoutPending, event.PayoutUnknown},
			cases: []string{flow.CaseConflict, flow.CaseMismatch},
		},
		{
			name: "unknown, and a refusal of another amount, and then it is paid", says: lost, lookup: []connector.Outcome{silent, approved(400)}, wait: time.Hour,
			news:   []connector.Outcome{{Kind: connector.Declined, Amount: inr(399), Mismatch: "amount"}},
			status: payment.StatusPaid, code: "0", attempt: payment.AttemptApproved, available: 600, clearing: -400,
			events: []event.Kind{event.PayoutPending, event.PayoutUnknown, event.PayoutPaid}, cases: []string{flow.CaseConflict, flow.CaseMismatch},
		},
		{
			name: "news that does not fit of one that is paid", says: approved(400), news: odd, status: payment.StatusPaid, code: "0", attempt: payment.AttemptApproved,
			available: 600, clearing: -400, events: []event.Kind{event.PayoutPending, event.PayoutPaid}, cases: []string{flow.CaseMismatch},
		},
		{
			name: "taken, as its news shows, and then said to be not sent", says: lost, lookup: []connector.Outcome{accepted}, wait: time.Hour,
			news:   append(slices.Clone(odd), connector.Outcome{Kind: connector.NotSent}),
			status: payment.StatusUnknown, attempt: payment.AttemptAccepted, available: 600, reserved: 400, events: []event.Kind{event.PayoutPending, event.PayoutUnknown},
			cases: []string{flow.CaseConflict, flow.CaseMismatch},
		},
		{
			name: "another currency, then the right one", says: connector.Outcome{Kind: connector.Approved, Amount: money.Amount{Minor: 400, Currency: "EUR"}},
			lookup: []connector.Outcome{approved(400)}, wait: time.Hour, status: payment.StatusPaid, code: "0", attempt: payment.AttemptApproved,
			available: 600, clearing: -400, events: []event.Kind{event.PayoutPending, event.PayoutPaid}, cases: []string{flow.CaseMismatch},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := payer(t, 1, 1000)
			h.psp.payout, h.psp.lookup = []connector.Outcome{test.says}, test.lookup
			b := h.pay("p1", 400)
			h.wantWallet(600, 400, 0)
			h.settle()
			<-b.Asked
			for _, out := range test.news {
				h.apply(b.Attempt, out)
			}
			h.pass(test.wait)
			h.wantStatus(b.Payment.ID, test.status, test.code)
			h.wantWallet(test.available, test.reserved, test.clearing)
			a, _, _ := h.read.Attempt(t.Context(), b.Attempt.ID)
			o, _, _ := h.read.Operation(t.Context(), b.Operation.ID)
			if a.Status != test.attempt || o.Status.Final() != test.status.Final() || o.Code != test.code {
				t.Errorf("attempt is %s, operation %s %q; want %s, and %q", a.Status, o.Status, o.Code, test.attempt, test.code)
			}
			if got := h.history(b.Payment.ID); !slices.Equal(got, test.events) {
				t.Errorf("events %v, want %v", got, test.events)
			}
			cases := h.cases()
			if slices.Sort(cases); !slices.Equal(cases, test.cases) {
				t.Errorf("cases %v, want %v", cases, test.cases)
			}
			if len(h.psp.payouts) != 1 {
				t.Errorf("the PSP was asked %d times to pay, want once", len(h.psp.payouts))
			}
			if o := h.psp.payouts[0]; o.Attempt.ID != b.Attempt.ID || o.Method != "paytm-wallet" || o.CustomerID != "c1" || o.Description != "winnings" || o.NotifyURL == "" || o.ReturnURL != "" {
				t.Errorf("the PSP was asked %+v", o)
			}
			if test.status.Final() {
				h.noDue()
			}
		})
	}
}

// News after the end moves nothing: the same is known, another is a case.
func TestNewsOfAPayoutThatIsOver(t *testing.T) {
	t.Parallel()
	no, yes := connector.Outcome{Kind: connector.Declined, Code: payment.CodeExternalDecline}, approved(400)
	for _, test := range []struct {
		name          string
		first, second connector.Outcome
		want          []string
	}{
		{"paid twice", yes, yes, nil},
		{"refused twice", no, no, nil},
		{"paid, then refused", yes, no, []string{flow.CaseConflict}},
		{"refused, then paid", no, yes, []string{flow.CaseConflict}},
		{"not sent, then paid", connector.Outcome{Kind: connector.NotSent}, yes, []string{flow.CaseConflict}},
		{"paid, then lost", yes, connector.Outcome{Kind: connector.Unknown}, nil},
		{"paid, then unheard of", yes, connector.Outcome{Kind: connector.Unknown, NoRecord: true}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := payer(t, 1, 1000)
			h.psp.payout = []connector.Outcome{test.first}
			b := h.pay("p1", 400)
			h.settle()
			before, events := h.payment(b.Payment.ID), h.history(b.Payment.ID)
			available, reserved, clearing := h.balance("customer:1:c1", ledger.Available), h.balance("customer:1:c1", ledger.Reserved), h.balance("psp:paytm:demo", ledger.Clearing)
			h.apply(b.Attempt, test.second)
			h.apply(b.Attempt, test.second)
			h.wantWallet(available, reserved, clearing)
			if after := h.payment(b.Payment.ID); after != before || !slices.Equal(h.history(b.Payment.ID), events) {
				t.Errorf("the payout has changed from %+v to %+v", before, after)
			}
			if got := h.cases(); !slices.Equal(got, test.want) {
				t.Errorf("cases %v, want %v", got, test.want)
			}
			h.noDue()
		})
	}
}

// The process that asked is dead: nobody knows what was sent, so it is looked up.
func TestPayoutIsTakenOver(t *testing.T) {
	t.Parallel()
	h := payer(t, 1, 1000)
	h.psp.payout = []connector.Outcome{approved(400)} // if it were asked
	b := h.pay("p1", 400)
	h.mu.Lock()
	h.work = nil // it dies
	h.mu.Unlock()
	h.psp.lookup = []connector.Outcome{{Kind: connector.Pending}}
	h.pass(time.Minute)
	h.wantStatus(b.Payment.ID, payment.StatusUnknown, "")
	h.psp.lookup = []connector.Outcome{approved(400)}
	h.pass(time.Hour)
	h.wantStatus(b.Payment.ID, payment.StatusPaid, "0")
	h.wantWallet(600, 0, -400)
	if len(h.psp.payouts) != 0 {
		t.Errorf("the PSP was asked %d times more", len(h.psp.payouts))
	}
}

// Nothing is written of a payout that cannot be, so its name is free for another.
func TestPayoutsThatCannotBegin(t *testing.T) {
	t.Parallel()
	for _, homes := range []int{1, 2} {
		h := payer(t, homes, 1000)
		for _, test := range []struct {
			name   string
			change func(*flow.PayoutRequest)
			want   error
		}{
			{"more than there is", func(r *flow.PayoutRequest) { r.Amount = inr(1001) }, flow.ErrInsufficient},
			{"another currency", func(r *flow.PayoutRequest) { r.Amount.Currency = "EUR" }, flow.ErrInsufficient},
			{"a stranger", func(r *flow.PayoutRequest) { r.CustomerID = "c9" }, flow.ErrInsufficient},
			{"nobody", func(r *flow.PayoutRequest) { r.CustomerID = "" }, flow.ErrNoWallet},
			{"a shop", func(r *flow.PayoutRequest) { r.Project.Wallet = false }, flow.ErrNoWallet},
			{"nothing", func(r *flow.PayoutRequest) { r.Amount = inr(0) }, flow.ErrAmount},
			{"less than nothing", func(r *flow.PayoutRequest) { r.Amount = inr(-1) }, flow.ErrAmount},
		} {
			for n := range 8 { // of names in both homes
				r := h.payout(fmt.Sprint("p", n), 400)
				test.change(&r)
				if _, err := h.flows.BeginPayout(t.Context(), r); !errors.Is(err, test.want) {
					t.Errorf("%d homes, %s: BeginPayout = %v, want %v", homes, test.name, err, test.want)
				}
			}
		}
		h.behind.Store(true)
		if _, err := h.flows.BeginPayout(t.Context(), h.payout("p1", 400)); !errors.Is(err, book.ErrBusy) {
			t.Errorf("BeginPayout while too much is under way = %v, want ErrBusy", err)
		}
		h.behind.Store(false)
		h.wantWallet(1000, 0, 0)
		for n := range 8 {
			if b := h.pay(fmt.Sprint("p", n), 100); b.Repeat || b.Payment.MerchantPaymentID != fmt.Sprint("p", n) {
				t.Errorf("%d homes: a payout under a name that was tried before is %+v", homes, b)
			}
		}
		h.wantWallet(200, 800, 0)
	}
}

// A payout begins once: under its id, and under the merchant's name, which no
// payment can have besides.
func TestPayoutBeginsOnce(t *testing.T) {
	t.Parallel()
	for _, homes := range []int{1, 2} {
		for n := range 8 {
			name := fmt.Sprint("Order-", n)
			h := payer(t, homes, 1000)
			first := h.pay(name, 400)
			again := h.payout(fmt.Sprint("order-", n), 500)
			second, err := h.flows.BeginPayout(t.Context(), again)
			if err != nil || !second.Repeat || second.Payment.ID != first.Payment.ID || second.Asked != nil {
				t.Errorf("%s again = %+v, %v; want a repeat of %s", name, second, err, first.Payment.ID)
			}
			sale, err := h.flows.BeginSale(t.Context(), flow.SaleRequest{Project: h.pr, Method: h.pr.Methods[0], Door: "gate", PaymentID: name, CustomerID: "c2", Amount: inr(400)})
			if err != nil || !sale.Repeat || sale.Payment.ID != first.Payment.ID {
				t.Errorf("a sale called %s = %+v, %v; want a repeat of the payout", name, sale, err)
			}
			if _, err := h.flows.Find(t.Context(), h.pr, name); !errors.Is(err, payment.ErrNoPayment) {
				t.Errorf("Find(%s) = %v, want ErrNoPayment: it is a payout", name, err)
			}
			if p, err := h.flows.FindPayout(t.Context(), h.pr, name); err != nil || p.ID != first.Payment.ID {
				t.Errorf("FindPayout(%s) = %s, %v", name, p.ID, err)
			}
			h.begin("sale", 100)
			if _, err := h.flows.FindPayout(t.Context(), h.pr, "sale"); !errors.Is(err, payment.ErrNoPayment) {
				t.Errorf("FindPayout(sale) = %v, want ErrNoPayment: it is a payment", err)
			}
			if b, err := h.flows.BeginPayout(t.Context(), h.payout("sale", 100)); err != nil || !b.Repeat || b.Payment.Type != payment.TypePurchase {
				t.Errorf("a payout called as a sale = %+v, %v; want that sale", b, err)
			}
			nameless := h.payout("", 100)
			nameless.ID = h.flows.NewPayment(h.pr, "", "c1", "")
			for range 2 {
				if b, err := h.flows.BeginPayout(t.Context(), nameless); err != nil || b.Payment.ID != nameless.ID {
					t.Errorf("nameless: %+v, %v", b, err)
				}
			}
			h.wantWallet(500, 500, 0)
			if _, _, found, err := h.flows.OperationByID(t.Context(), first.Operation.ID); found || err != nil {
				t.Errorf("the operation of a payout is found as a payment's: %t, %v", found, err)
			}
			if _, err := h.flows.BeginRefund(t.Context(), flow.RefundRequest{Project: h.pr, Payment: first.Payment, Amount: inr(1)}); err == nil {
				t.Error("a payout is refunded")
			}
		}
	}
}

// What is there bears ten, and ten are begun, however many ask at once.
func TestManyPayoutsAtOnce(t *testing.T) {
	t.Parallel()
	h := payer(t, 1, 1000)
	h.psp.payout = []connector.Outcome{approved(100)}
	var wg sync.WaitGroup
	var mu sync.Mutex
	begun, refused := 0, 0
	for n := range 50 {
		wg.Go(func() {
			_, err := h.flows.BeginPayout(context.WithoutCancel(t.Context()), h.payout(fmt.Sprint("p", n), 100))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				begun++
			case errors.Is(err, flow.ErrInsufficient):
				refused++
			default:
				t.Errorf("BeginPayout: %v", err)
			}
		})
	}
	wg.Wait()
	h.wantWallet(0, 1000, 0)
	h.settle()
	h.wantWallet(0, 0, -1000)
	if begun != 10 || refused != 40 || len(h.psp.payouts) != 10 {
		t.Errorf("%d begun, %d refused, %d sent; want 10, 40, 10", begun, refused, len(h.psp.payouts))
	}
}

// The money goes back the way that it came, if that account can send money.
// TestPayoutOfALostAccount has an unknown payout's PSP account leave the
// configuration: nobody can be asked, a person hears of it, and nothing is freed.
func TestPayoutOfALostAccount(t *testing.T) {
	t.Parallel()
	h := payer(t, 1, 1000)
	h.psp.payout, h.psp.lookup = []connector.Outcome{{Kind: connector.Unknown}}, []connector.Outcome{approved(400)}
	b := h.pay("p1", 400)
	h.settle()
	<-b.Asked
	h.gone.Store(true)
	h.pass(25 * time.Hour)
	h.wantStatus(b.Payment.ID, payment.StatusUnknown, "")
	h.wantWallet(600, 400, 0)
	if got := h.cases(); !slices.Equal(got, []string{flow.CaseUnsettled}) {
		t.Errorf("cases %v, want one that calls for a person", got)
	}
	h.gone.Store(false)
	h.pass(time.Hour)
	h.wantStatus(b.Payment.ID, payment.StatusPaid, "0")
	h.wantWallet(600, 0, -400)
}

func TestRouteBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, func(p *project.Project) {
		p.Wallet = true
		p.Methods = []project.Method{{Code: "paytm-wallet", Connector: "paytm", Account: "demo", Currency: "INR"}, {Code: "generic-bank", Connector: "generic", Account: "new", Currency: "INR"}}
	})
	h.psp.sale = []connector.Outcome{approved(100)}
	deposit := func(name, customer string, m int) payment.Payment {
		b, err := h.flows.BeginSale(t.Context(), flow.SaleRequest{Project: h.pr, Method: h.pr.Methods[m], Door: "api", PaymentID: name, CustomerID: customer, Amount: inr(100)})
		if err != nil {
			t.Fatal(err)
		}
		h.settle()
		h.tick()
		return h.payment(b.Payment.ID)
	}
	want := func(what string, got flow.Route, err error, wantErr error, want flow.Route) {
		t.Helper()
		if got != want || !errors.Is(err, wantErr) {
			t.Errorf("%s: %+v, %v; want %+v, %v", what, got, err, want, wantErr)
		}
	}
	paytm, bank := flow.Route{Method: "paytm-wallet", Connector: "paytm", Account: "demo"}, flow.Route{Method: "generic-bank", Connector: "generic", Account: "new"}
	back := func(customer string, c money.Currency) (flow.Route, error) {
		return h.flows.RouteBack(t.Context(), h.pr, customer, c)
	}
	r, err := back("c1", "INR")
	want("nothing was ever paid in", r, err, flow.ErrNoRoute, flow.Route{})
	player{h, "c1"}.must("credit", "start", "", 1000)
	one := deposit("one", "c1", 0)
	two := deposit("two", "c1", 1)
	deposit("theirs", "c2", 0)
	r, err = back("c1", "INR")
	want("the newest deposit", r, err, nil, bank)
	r, err = back("c1", "EUR")
	want("another currency", r, err, flow.ErrNoRoute, flow.Route{})
	r, err = back("", "INR")
	want("nobody", r, err, flow.ErrNoWallet, flow.Route{})
	sister := h.pr
	sister.ID++
	r, err = h.flows.RouteBack(t.Context(), sister, "c1", "INR")
	want("what was paid in by another project of the merchant's", r, err, flow.ErrNoRoute, flow.Route{})
	r, err = h.flows.RouteOf(t.Context(), one)
	want("of a payment", r, err, nil, paytm)
	h.psp.sale = []connector.Outcome{{Kind: connector.Declined}}
	r, err = h.flows.RouteOf(t.Context(), deposit("declined", "c1", 1))
	want("of a payment that was declined", r, err, flow.ErrState, flow.Route{})

	h.mute.Store("generic")
	r, err = back("c1", "INR")
	want("the newest deposit's account cannot", r, err, nil, paytm)
	r, err = h.flows.RouteOf(t.Context(), two)
	want("of a payment whose account cannot", r, err, flow.ErrNoRoute, flow.Route{})
	h.mute.Store("")

	for n := range 999 {
		player{h, "c1"}.must("stake", fmt.Sprint("s", n), fmt.Sprint("r", n), 1)
	}
	r, err = back("c1", "INR")
	want("999 moves ago", r, err, nil, bank)
	player{h, "c1"}.must("credit", "last", "", 1)
	r, err = back("c1", "INR")
	want("1,000 moves ago", r, err, flow.ErrNoRoute, flow.Route{})
}

// paidOut has c1 paid a sum, as the window of payouts will tell.
func (h *house) paidOut(minor int64) {
	h.t.Helper()
	h.forged = true
	k := h.flows.CustomerOf(h.pr, "c1")
	_, err := book.Do(h.t.Context(), h.book, book.Act[struct{}]{Name: "test.paid", Bucket: k.Bucket(), Decide: func(p *book.Page) (struct{}, error) {
		row, ok := p.Windows.Get(limit.WindowID(k, limit.Payouts, "INR"))
		if !ok {
			row = limit.Window{ID: limit.WindowID(k, limit.Payouts, "INR"), Customer: k, Kind: limit.Payouts, Currency: "INR"}
		}
		e, err := limit.DecodeEntries(row.Entries)
		e.Use(id.Payment{}, minor, p.NowUS())
		row.Entries = e.Encode()
		p.Windows.Put(row)
		c, _ := p.Customers.Get(k)
		limits, err2 := customer.DecodeLimits(c.Limits)
		limits, _ = limits.PaidIn("INR")
		c.Limits = limits.Encode()
		p.Customers.Put(c)
		return struct{}{}, errors.Join(err, err2)
	}})
	if err != nil {
		h.t.Fatal(err)
	}
}
