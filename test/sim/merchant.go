package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"aorta/internal/book"
	"aorta/internal/callback"
	"aorta/internal/connector"
	"aorta/internal/event"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/project"
)

// told is what a callback says.
type told struct {
	Event   string
	Kind    event.Kind
	Payment string
	Status  payment.Status
	Number  int
}

// render is the callbacks' style. No two bodies are equal, so one that was
// rendered anew for a retry is seen.
func (m *merchant) render(w event.Work, _ project.Project) ([]byte, http.Header, error) {
	m.rendered++
	body, err := json.Marshal(told{w.Event.ID.String(), w.Event.Kind, w.Snapshot.Payment.MerchantPaymentID, w.Snapshot.Payment.Status, m.rendered})
	return body, nil, err
}

// merchant gets callbacks and makes payments.
type merchant struct {
	w      *world
	bodies map[string]string // by event: what was sent first
	heard  map[string]bool   // by event: it has it
	tries  map[string]int    // by event
	visits map[string]bool   // payments whose customers look at the page

	rendered int
}

func newMerchant(w *world) *merchant {
	return &merchant{w: w, bodies: map[string]string{}, heard: map[string]bool{}, tries: map[string]int{}, visits: map[string]bool{}}
}

// Send is the merchant's endpoint.
func (m *merchant) Send(_ context.Context, _ string, _ http.Header, body []byte) (callback.Answer, error) {
	w := m.w
	var t told
	if err := json.Unmarshal(body, &t); err != nil {
		panic(err)
	}
	name := fmt.Sprint(t.Payment, "/", t.Kind)
	m.tries[t.Event]++
	name = fmt.Sprint(name, "/", m.tries[t.Event])
	w.crash(CrashBeforeCallback, name)
	if first, ok := m.bodies[t.Event]; ok && first != string(body) {
		w.broken = append(w.broken, fmt.Sprintf("event %s was told as %s and as %s", t.Event, first, body))
	}
	m.bodies[t.Event] = string(body)
	if w.chance(MerchantFails, name) {
		return callback.Answer{Status: http.StatusInternalServerError}, nil
	}
	m.heard[t.Event] = true
	w.while(w.span(time.Second, "merchant", name), 2)
	w.crash(CrashAfterCallback, name)
	if w.chance(MerchantDeaf, name) {
		return callback.Answer{}, errors.New("no answer")
	}
	return callback.Answer{Status: http.StatusOK}, nil
}

// client has the merchant make a payment, and what may come of it.
func (w *world) client(n int) {
	name := strconv.Itoa(n)
	r := flow.SaleRequest{
		Project: w.project, Method: w.project.Methods[0], Door: "gate", PaymentID: "order-" + name, CustomerID: "c" + strconv.Itoa(n%3),
		CallbackURL: w.project.CallbackURL, Amount: money.Amount{Minor: 100 + int64(draw(w.plan.Seed, "amount", n)*1000), Currency: "INR"},
	}
	if draw(w.plan.Seed, "page", n) < 0.4 {
		r.Door, r.Retries = "page", 2
	}
	w.later(w.span(2*time.Minute, "begins", n), name, func() { w.begin(r, name, 0) })
	for i := range int(draw(w.plan.Seed, "refunds", n) * 5) {
		at := time.Duration(draw(w.plan.Seed, "refund at", n, i) * float64(90*time.Minute))
		w.later(at, name, func() { w.refund(r, name, i, 0) })
	}
}

// begin makes the payment; whoever has no answer asks again.
func (w *world) begin(r flow.SaleRequest, name string, try int) {
	w.witness.Sale(r)
	begun, err := w.process.flows.BeginSale(context.Background(), r)
	if err == nil {
		w.witness.SaleAnswered(r.PaymentID, begun.Payment.ID)
		for p, known := range w.names {
			if known == name && p != begun.Payment.ID {
				w.broken = append(w.broken, fmt.Sprintf("payment %s is %s and %s", name, p, begun.Payment.ID))
			}
		}
		w.names[begun.Payment.ID] = name
	}
	dead := w.process.dead
	if dead || err != nil {
		w.later(w.span(20*time.Second, "asks again", name, try), name, func() { w.begin(r, name, try+1) })
		w.bear(err)
		return
	}
	if try == 0 && draw(w.plan.Seed, "impatient", name) < 0.3 { // the same order once more, in other letters
		r.PaymentID = "ORDER-" + name
		w.later(w.span(time.Minute, "impatient", name), name, func() { w.begin(r, name, 1) })
	}
	if r.Retries > 0 && !w.merchant.visits[name] {
		w.merchant.visits[name] = true
		for n := 1; n <= 8; n++ {
			w.later(time.Duration(n)*3*time.Minute, name, func() { w.again(begun.Payment.ID, name, n) })
		}
	}
}

// again is the customer, who looks at the page now and then.
func (w *world) again(p id.Payment, name string, n int) {
	pay, ok, err := w.store.Payment(context.Background(), p)
	if err != nil || !ok || !pay.RetryOffered() || draw(w.plan.Seed, "gives up", name, n) < 0.3 {
		return
	}
	w.witness.Again(pay.ID, pay.LastOperation)
	_, err = w.process.flows.TryAgain(context.Background(), pay, pay.LastOperation, connector.Person{})
	w.bear(err)
	if err == nil { // a finger that presses twice
		twice, err := w.process.flows.TryAgain(context.Background(), pay, pay.LastOperation, connector.Person{})
		w.bear(err)
		if err == nil && !twice.Repeat {
			w.broken = append(w.broken, fmt.Sprintf("payment %s was tried twice on one offer", name))
		}
	}
}

// refund gives some of it back, if it is paid by then.
func (w *world) refund(r flow.SaleRequest, name string, n, try int) {
	ctx := context.Background()
	pay, err := w.process.flows.Find(ctx, w.project, r.PaymentID)
	if errors.Is(err, payment.ErrNoPayment) {
		return
	}
	w.bear(err)
	share := draw(w.plan.Seed, "share", name, n)
	request := flow.RefundRequest{Project: w.project, Payment: pay, Amount: money.Amount{Minor: 1 + int64(share*1.2*float64(pay.Amount.Minor)), Currency: "INR"}}
	if share > 0.8 {
		request.Amount = money.Amount{} // all that remains
	}
	if share < 0.5 {
		request.MerchantRefundID = fmt.Sprint("refund-", name, "-", n)
	}
	w.witness.Refund(pay.ID, request.MerchantRefundID, request.Amount.Minor)
	begun, err := w.process.flows.BeginRefund(ctx, request)
	if err == nil {
		w.witness.RefundAnswered(begun.Operation.ID)
	}
	lost := w.process.dead || errors.Is(err, book.ErrNotRun) || errors.Is(err, book.ErrUnknown)
	if lost && request.MerchantRefundID != "" { // with a name it may ask again
		w.later(w.span(time.Minute, "refund again", name, n, try), name, func() { w.refund(r, name, n, try+1) })
	}
	if errors.Is(err, flow.ErrState) || errors.Is(err, flow.ErrRefundIDKnown) {
		return
	}
	w.bear(err)
}
