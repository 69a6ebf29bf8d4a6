package verify_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"aorta/internal/callback"
	"aorta/internal/connector"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/verify"
)

// told runs payments of a shop with endpoints: one that hears all, one that
// hears of captures alone, one that is disabled, and one that came too late.
func told(t *testing.T) (*house, map[string]id.Endpoint) {
	t.Helper()
	h := newHouse(t)
	shopProject, _ := projects(shop)
	named := map[string]id.Endpoint{}
	of := shopProject
	make := func(name string, types ...string) {
		address := "https://" + name + ".example/hook"
		e, _, err := h.endpoints.Create(t.Context(), of, callback.EndpointSettings{URL: &address, Types: &types}, "")
		if err != nil {
			t.Fatal(err)
		}
		named[name] = e.ID
	}
	make("all")
	make("captures", event.TypeCaptured)
	make("off")
	of, _ = projects(wallets)
	make("payouts", event.TypePayoutPaid, event.TypePayoutFailed)
	make("moves", "wallet.stake", "wallet.credit", "wallet.rollback")
	make("stakes", "wallet.stake")
	make("unmoved")
	of = shopProject
	off := false
	if _, err := h.endpoints.Update(t.Context(), shop, named["off"], callback.EndpointSettings{Enabled: &off}); err != nil {
		t.Fatal(err)
	}
	h.later(time.Minute)
	h.psp.sale = connector.Outcome{Kind: connector.Pending}
	paid := h.begin(shop, "paid")
	h.pump()
	h.approve(paid.Attempt)
	h.psp.refund = connector.Outcome{Kind: connector.Approved, Amount: rupees(2500)}
	h.refund(paid.Payment.ID, 2500, "r1")
	h.pump()
	p, _ := projects(wallets)
	if _, err := h.flows.Credit(t.Context(), flow.WalletMove{Project: p, CustomerID: "c3", TxnID: "funds", Amount: rupees(1000)}); err != nil {
		t.Fatal(err)
	}
	h.play()
	h.psp.payout = connector.Outcome{Kind: connector.Approved, Amount: rupees(100)}
	h.payout("paid out", 100)
	h.pump()
	if _, err := h.endpoints.Test(t.Context(), shop, named["all"]); err != nil {
		t.Fatal(err)
	}
	h.pump()
	h.merchant = http.StatusInternalServerError
	h.begin(shop, "untold")
	h.pump()
	h.merchant = http.StatusOK
	make("late")
	h.approve(h.begin(shop, "last").Attempt)
	h.pump()
	return h, named
}

// moveWebhook tells an endpoint of a move.
func (r rows) moveWebhook(name string, to id.Endpoint) *event.Delivery {
	t := r.move(name).ID.String()
	return pick(r.Deliveries.Insert, func(d *event.Delivery) bool {
		return d.Endpoint == to && pick(r.Events, func(e *event.Event) bool { return e.ID == d.Event }).Kind == event.Kind(d.Type) &&
			strings.Contains(pick(r.Events, func(e *event.Event) bool { return e.ID == d.Event }).Snapshot, t)
	})
}

func (r rows) webhook(name, typ string, to id.Endpoint) *event.Delivery {
	p := r.payment(name)
	return pick(r.Deliveries.Insert, func(d *event.Delivery) bool { return d.Payment == p.ID && d.Type == typ && d.Endpoint == to })
}

func TestWebhooksHold(t *testing.T) {
	t.Parallel()
	h, named := told(t)
	report := run(t, h.memory, verify.Options{LiveUS: h.now.UnixMicro()})
	if !report.OK {
		t.Errorf("violations: %s", list(report.Violations))
	}
	all := allRows(t, h.memory)
	states := map[event.State]int{}
	for _, d := range all.Deliveries.Insert {
		if d.Door == event.DoorWebhook {
			states[d.State]++
		}
	}
	if states[event.DeliveryDelivered] == 0 || states[event.DeliveryParked] == 0 || states[event.DeliveryPending] == 0 {
		t.Errorf("webhooks by state: %v, want some of each", states)
	}
	if all.webhook("paid", event.TypeRefunded, named["all"]).Event != all.webhook("paid", event.TypeRefundSucceeded, named["all"]).Event {
		t.Error("a refund in full is one event under two types")
	}
}

// TestWebhookViolations plants what verify must find.
func TestWebhookViolations(t *testing.T) {
	t.Parallel()
	h, named := told(t)
	h.book.Close()
	tests := []struct {
		name    string
		check   verify.Check
		corrupt func(rows)
		want    string
		rest    bool
	}{
		{name: "not told", check: verify.C6, corrupt: func(r rows) {
			gone := r.webhook("paid", event.TypeRefunded, named["all"]).ID
			p := r.payment("paid")
			before := pick(r.Deliveries.Insert, func(d *event.Delivery) bool { return d.ID == gone }).Prev
			for n := range r.Deliveries.Insert {
				if r.Deliveries.Insert[n].Prev == gone {
					r.Deliveries.Insert[n].Prev = before
				}
			}
			if p.LastWebhook == gone {
				p.LastWebhook = before
			}
			drop(&r.Deliveries.Insert, func(d *event.Delivery) bool { return d.ID == gone })
		}, want: "is not told of event"},
		{name: "payout not told", check: verify.C6, corrupt: func(r rows) {
			gone := r.webhook("paid out", event.TypePayoutPaid, named["payouts"]).ID
			r.payment("paid out").LastWebhook = id.Delivery{}
			drop(&r.Deliveries.Insert, func(d *event.Delivery) bool { return d.ID == gone })
		}, want: `is not told of event evt_\w+ \(payout.paid\)`},
		{name: "payout told as failed", check: verify.C6, corrupt: func(r rows) {
			r.webhook("paid out", event.TypePayoutPaid, named["payouts"]).Type = event.TypePayoutFailed
		}, want: `\(payout.paid\) as "payout.failed"`},
		{name: "move not told", check: verify.C6, corrupt: func(r rows) {
			gone := r.moveWebhook("s1", named["stakes"]).ID
			drop(&r.Deliveries.Insert, func(d *event.Delivery) bool { return d.ID == gone })
		}, want: `is not told of transfer txn_`},
		{name: "move told twice", check: verify.C6, corrupt: func(r rows) {
			twice := *r.moveWebhook("s1", named["stakes"])
			twice.ID = mint(twice.ID)
			r.Deliveries.Insert = append(r.Deliveries.Insert, twice)
		}, want: `is told of transfer txn_\w+ twice`},
		{name: "move told who did not ask", check: verify.C6, corrupt: func(r rows) {
			r.moveWebhook("s1", named["stakes"]).Endpoint = named["payouts"]
		}, want: "which it did not ask for"},
		{name: "move told who asked for everything", check: verify.C6, corrupt: func(r rows) {
			r.moveWebhook("s1", named["stakes"]).Endpoint = named["unmoved"]
		}, want: "which it did not ask for"},
		{name: "move told as another", check: verify.C6, corrupt: func(r rows) {
			r.moveWebhook("s1", named["moves"]).Type = "wallet.credit"
		}, want: `\(stake\) as "wallet.credit"`},
		{name: "move told as an event of another", check: verify.C6, corrupt: func(r rows) {
			k := r.moveWebhook("s1", named["moves"]).Event
			pick(r.Events, func(e *event.Event) bool { return e.ID == k }).Kind = event.WalletWin
		}, want: `\(stake\) as "wallet.stake"`},
		{name: "move told to another project", check: verify.C6, corrupt: func(r rows) {
			r.moveWebhook("s1", named["stakes"]).Endpoint = named["all"]
		}, want: "which is no move of its"},
		{name: "move that never was", check: verify.C6, corrupt: func(r rows) {
			k := r.moveWebhook("s1", named["stakes"]).Event
			pick(r.Events, func(e *event.Event) bool { return e.ID == k }).Snapshot = `{"transfer_id":"` + mint(r.move("s1").ID).String() + `"}`
		}, want: "which is no move of its"},
		{name: "event of no move", check: verify.C13, corrupt: func(r rows) {
			k := r.moveWebhook("s1", named["stakes"]).Event
			pick(r.Events, func(e *event.Event) bool { return e.ID == k }).Snapshot = "{}"
		}, want: "tells of no transfer"},
		{name: "told twice", check: verify.C6, corrupt: func(r rows) {
			p := r.payment("paid")
			twice := *r.webhook("paid", event.TypeCaptured, named["captures"])
			twice.ID = mint(twice.ID)
			twice.Prev, p.LastWebhook = p.LastWebhook, twice.ID
			r.Deliveries.Insert = append(r.Deliveries.Insert, twice)
		}, want: `2 times as "payment.captured"`},
		{name: "told what it did not ask for", check: verify.C6, corrupt: func(r rows) {
			r.webhook("paid", event.TypeRefunded, named["all"]).Endpoint = named["captures"]
		}, want: "which it did not ask for"},
		{name: "told as something else", check: verify.C6, corrupt: func(r rows) {
			r.webhook("paid", event.TypeCaptured, named["all"]).Type = event.TypeDeclined
		}, want: `\(payment.captured\) as "payment.declined"`},
		{name: "told to another project", check: verify.C6, corrupt: func(r rows) {
			pick(r.Endpoints.Insert, func(e *event.Endpoint) bool { return e.ID == named["captures"] }).ProjectID = wallets
		}, want: "which is of project"},
		{name: "to nobody", check: verify.C13, corrupt: func(r rows) {
			drop(&r.Endpoints.Insert, func(e *event.Endpoint) bool { return e.ID == named["captures"] })
		}, want: "goes to endpoint"},
		{name: "pending and not due", check: verify.C11, corrupt: func(r rows) {
			k := pick(r.Deliveries.Insert, func(d *event.Delivery) bool { return d.State == event.DeliveryPending && d.Endpoint == named["all"] }).ID
			drop(&r.Due.Insert, func(d *due.Due) bool { return d.ID == k.Raw() })
		}, want: "nothing will send it"},
		{name: "pending in the end", check: verify.C11, corrupt: func(rows) {}, want: "Webhook .* is pending in the end", rest: true},
		{name: "parked and due", check: verify.C5, corrupt: func(r rows) {
			r.webhook("paid", event.TypeCaptured, named["off"]).State = "asleep"
		}, want: `in state "asleep"`},
		{name: "delivered and never sent", check: verify.C6, corrupt: func(r rows) {
			r.webhook("paid", event.TypeCaptured, named["all"]).Body = ""
		}, want: "without having been sent"},
		{name: "dead and never tried", check: verify.C6, corrupt: func(r rows) {
			d := r.webhook("paid", event.TypeCaptured, named["all"])
			d.State, d.Tries = event.DeliveryDead, 0
		}, want: "without having been tried"},
		{name: "not in its chain", check: verify.C13, corrupt: func(r rows) {
			r.payment("paid").LastWebhook = r.webhook("paid", event.TypeRefundSucceeded, named["all"]).Prev
		}, want: "is one too many|not in the chain"},
		{name: "chain broken", check: verify.C13, corrupt: func(r rows) {
			p := r.payment("paid")
			p.LastWebhook = mint(p.LastWebhook)
		}, want: "Webhooks of payment .* break"},
		{name: "of an event that is not there", check: verify.C13, corrupt: func(r rows) {
			d := r.webhook("paid", event.TypeCaptured, named["all"])
			d.Event = mint(d.Event)
		}, want: "not among those of payment"},
		{name: "test of an event that is not there", check: verify.C13, corrupt: func(r rows) {
			drop(&r.Events, func(e *event.Event) bool { return e.Kind == event.EndpointTest })
		}, want: "which does not exist"},
		{name: "test told twice", check: verify.C6, corrupt: func(r rows) {
			twice := *pick(r.Deliveries.Insert, func(d *event.Delivery) bool { return d.Type == string(event.EndpointTest) })
			twice.ID = mint(twice.ID)
			r.Deliveries.Insert = append(r.Deliveries.Insert, twice)
		}, want: "2 times"},
		{name: "endpoint in a strange state", check: verify.C5, corrupt: func(r rows) { r.Endpoints.Insert[0].State = "tired" }, want: `in state "tired"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			all := allRows(t, h.memory)
			test.corrupt(all)
			report := run(t, all.store(t), verify.Options{AtRest: test.rest})
			want := regexp.MustCompile(`(?m)^  ` + string(test.check) + `: .*(` + test.want + `)`)
			if report.OK || report.Checks[test.check] == 0 || !want.MatchString(list(report.Violations)) {
				t.Errorf("found %t, want a violation of %s like %q; got %s", !report.OK, test.check, test.want, list(report.Violations))
			}
		})
	}
}
