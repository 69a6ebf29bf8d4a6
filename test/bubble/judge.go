package bubble

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/payment"
	"aorta/internal/verify"
)

const all = 1_000_000

// Result is what a run has shown.
type Result struct {
	Broken   []string // what must not be; empty: all is well
	Injected map[Fault]int
	History  string // canonical: equal for equal seeds, whatever the schedule
	Payments int
	Captured int
	Late     int
}

// judge says what became of a run that has come to rest.
func (w *world) judge() Result {
	ctx := context.Background()
	report, err := verify.Run(ctx, w.db, verify.Options{})
	must(w.t, err)
	byModel, err := w.witness.End(w.db)
	must(w.t, err)
	pays, err := w.db.ScanPayments(ctx, id.Payment{}, all)
	must(w.t, err)
	attempts, err := w.db.ScanAttempts(ctx, id.Attempt{}, all)
	must(w.t, err)
	rest, err := w.db.ScanDue(ctx, id.Raw{}, all)
	must(w.t, err)
	w.mu.Lock()
	r := Result{Injected: w.injected, Payments: len(pays)}
	r.Broken = append(append(append(r.Broken, w.wrong...), report.Violations...), byModel...)
	w.mu.Unlock()
	wrong := func(format string, args ...any) { r.Broken = append(r.Broken, fmt.Sprintf(format, args...)) }
	if len(rest) > 0 {
		wrong("%d pieces of work are still due, the first is a %s", len(rest), rest[0].Kind)
	}
	for _, p := range pays {
		if p.CapturedMinor > 0 {
			r.Captured++
		}
		delete(w.acked, p.MerchantPaymentID)
	}
	for name := range w.acked {
		wrong("payment %s was acknowledged, and is not there (C2)", name)
	}
	for _, a := range attempts {
		if a.Kind == payment.KindSale { // and not its refund
			r.Late += int(a.Late)
		}
	}
	w.judgeProvider(attempts, wrong)
	w.judgeMerchant(pays, wrong)
	r.History = w.history(pays, attempts)
	return r
}

// booked is a line of the provider's books.
type booked struct {
	Kind        string `json:"kind"`
	OrderID     string `json:"order_id"`
	RefID       string `json:"ref_id"`
	State       string `json:"state"`
	AmountMinor int64  `json:"amount_minor"`
}

// judgeProvider: the provider's books and ours are the same (C4).
func (w *world) judgeProvider(attempts []payment.Attempt, wrong func(string, ...any)) {
	answer, err := w.client.Transport.(faulty).next.RoundTrip(mustRequest(w, "http://psp/control/journal?connector=paytm&limit=10000&mid="))
	must(w.t, err)
	defer answer.Body.Close()
	var books struct{ Entries []booked }
	must(w.t, json.NewDecoder(answer.Body).Decode(&books))
	ours := map[string]payment.Attempt{}
	for _, a := range attempts {
		ours[a.ID.String()] = a
	}
	theirs, moved := map[string]bool{}, int64(0)
	for _, e := range books.Entries {
		ref, sign := e.OrderID, int64(1)
		if e.Kind == "refund" {
			ref, sign = e.RefID, -1
		}
		a, known := ours[ref]
		switch {
		case !known:
			wrong("the provider knows %s %s, we do not (C4)", e.Kind, ref)
		case (e.State == "paid") != (a.Status == payment.AttemptApproved):
			wrong("%s is %s at the provider and %s here (C4)", w.attempts[a.ID], e.State, a.Status)
		case a.Amount.Minor != e.AmountMinor:
			wrong("%s is of %d at the provider and of %d here (C4)", w.attempts[a.ID], e.AmountMinor, a.Amount.Minor)
		}
		theirs[ref] = true
		if e.State == "paid" {
			moved += sign * e.AmountMinor
		}
	}
	for ref, a := range ours {
		if a.Status == payment.AttemptApproved && !theirs[ref] {
			wrong("%s is approved, and the provider does not know it (C4)", w.attempts[a.ID])
		}
	}
	accounts, err := w.db.ScanAccounts(context.Background(), id.Account{}, all)
	must(w.t, err)
	for _, a := range accounts {
		if a.Purpose == ledger.Clearing {
			moved -= a.Balance()
		}
	}
	if moved != 0 {
		wrong("the provider has moved %d more than our clearing accounts say (C4)", moved)
	}
}

func mustRequest(w *world, at string) *http.Request {
	r, err := http.NewRequest(http.MethodGet, at, nil)
	must(w.t, err)
	return r
}

// judgeMerchant: all that was to be told has arrived, in the same bytes, and
// nothing else (C6).
func (w *world) judgeMerchant(pays []payment.Payment, wrong func(string, ...any)) {
	deliveries, err := w.db.ScanDeliveries(context.Background(), id.Delivery{}, all)
	must(w.t, err)
	sent := map[id.Payment]map[string]bool{}
	for _, d := range deliveries {
		if d.State != event.DeliveryDelivered {
			wrong("a delivery of %s is %s in the end (C6)", w.names[d.Payment], d.State)
		}
		if sent[d.Payment] == nil {
			sent[d.Payment] = map[string]bool{}
		}
		sent[d.Payment][d.Body] = true
	}
	for _, p := range pays {
		heard := map[string]bool{}
		for _, c := range w.told(p.MerchantPaymentID) {
			heard[c.Raw] = true
			if !c.ValidSignature || !sent[p.ID][c.Raw] {
				wrong("the merchant heard of %s what we do not say (signature %t): %s (C6)", p.MerchantPaymentID, c.ValidSignature, c.Raw)
			}
		}
		for body := range sent[p.ID] {
			if !heard[body] {
				wrong("the merchant has not heard of %s: %s (C6)", p.MerchantPaymentID, body)
			}
		}
	}
}

// history is what became of everything, in the merchants' words and sorted: no
// ids, no instants, no order between payments.
func (w *world) history(pays []payment.Payment, attempts []payment.Attempt) string {
	ctx := context.Background()
	var lines []string
	add := func(args ...any) { lines = append(lines, fmt.Sprintln(args...)) }
	for _, p := range pays {
		add("payment", p.MerchantPaymentID, p.Status, p.Code, p.CapturedMinor, p.RefundedMinor)
	}
	for _, a := range attempts {
		add("attempt", w.attempts[a.ID], a.Status, a.Amount.Minor, a.Late)
	}
	events, err := w.db.ScanEvents(ctx, id.Event{}, all)
	must(w.t, err)
	for _, e := range events {
		add("event", w.names[e.Payment], e.Kind, e.From, e.To)
	}
	cases, err := w.db.Cases(ctx, id.Case{}, all)
	must(w.t, err)
	for _, c := range cases {
		add("case", w.names[c.Payment], c.Kind)
	}
	accounts, err := w.db.ScanAccounts(ctx, id.Account{}, all)
	must(w.t, err)
	for _, a := range accounts {
		add("account", a.ID.Bucket(), a.Owner, a.Purpose, a.Minor)
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}
