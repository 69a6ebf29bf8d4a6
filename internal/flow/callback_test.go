package flow_test

import (
	"testing"
	"time"

	"aorta/internal/connector"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/flow"
	"aorta/internal/id"
)

// TestSaleSaysHowItIsTold: what a sale says of its callbacks holds for all of
// them, and a muted one is still told when the merchant must act.
func TestSaleSaysHowItIsTold(t *testing.T) {
	t.Parallel()
	const all, paid, not = "https://shop.example/cb", "https://shop.example/paid", "https://shop.example/not"
	declined := connector.Outcome{Kind: connector.Declined, Code: "20105"}
	for _, test := range []struct {
		name   string
		say    flow.SaleRequest
		answer connector.Outcome
		want   []string // addresses, oldest first
	}{
		{"one for all", flow.SaleRequest{}, approved(2500), []string{all, all}},
		{"paid", flow.SaleRequest{SuccessURL: paid, DeclineURL: not}, approved(2500), []string{all, paid}},
		{"not paid", flow.SaleRequest{SuccessURL: paid, DeclineURL: not}, declined, []string{all, not}},
		{"muted", flow.SaleRequest{SuccessURL: paid, Mute: true}, approved(2500), []string{all}},
		{"muted, not paid", flow.SaleRequest{Mute: true}, declined, []string{all}},
		{"later", flow.SaleRequest{Delay: 10 * time.Minute}, approved(2500), []string{all, all}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 1, nil)
			h.psp.sale = []connector.Outcome{redirected}
			r := test.say
			r.Project, r.Method, r.Door, r.PaymentID, r.CustomerID, r.CallbackURL, r.Amount = h.pr, h.pr.Methods[0], "gate", "order-1", "c1", all, inr(2500)
			b, err := h.flows.BeginSale(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if err := h.flows.Apply(t.Context(), b.Attempt, redirected); err != nil {
				t.Fatal(err)
			}
			h.apply(b.Attempt, test.answer)

			m := h.read.of(b.Payment.ID.Bucket())
			rows, err := m.ScanDue(t.Context(), id.Raw{}, 100)
			if err != nil {
				t.Fatal(err)
			}
			waits := map[id.Raw]due.Due{}
			for _, d := range rows {
				waits[d.ID] = d
			}
			var got []event.Delivery
			for next := h.payment(b.Payment.ID).LastDelivery; !next.IsZero(); next = got[0].Prev {
				d, ok, err := m.Delivery(t.Context(), next)
				if err != nil || !ok {
					t.Fatalf("delivery %s: found %t, %v", next, ok, err)
				}
				got = append([]event.Delivery{d}, got...)
			}
			if len(got) != len(test.want) {
				t.Fatalf("%d deliveries, want %d", len(got), len(test.want))
			}
			for n, d := range got {
				if d.URL != test.want[n] {
					t.Errorf("delivery %d goes to %s, want %s", n, d.URL, test.want[n])
				}
				at, owner := d.CreatedUS+due.LeaseUS, int64(1)
				if test.say.Delay > 0 {
					at, owner = d.CreatedUS+test.say.Delay.Microseconds(), 0
				}
				if w := waits[d.ID.Raw()]; w.Kind != due.Deliver || w.DueUS != at || w.Owner != owner {
					t.Errorf("delivery %d: %+v, want it due at %d, owned by %d", n, w, at, owner)
				}
			}
		})
	}
}
