package flow_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/due"
	"aorta/internal/event"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/project"
)

// Moves are told to those endpoints alone that ask for them by name, each once,
// with all that there is to say; and where nobody asks, nothing is written.
func TestMovesAreHeard(t *testing.T) {
	t.Parallel()
	h := walletHouse(t, 1)
	var list []event.Endpoint
	ask := func(state event.EndpointState, types ...string) id.Endpoint {
		ep := event.Endpoint{ID: id.Endpoint(h.book.Mint(0)), ProjectID: h.pr.ID, State: state, Types: strings.Join(types, " ")}
		list = append(list, ep)
		return ep.ID
	}
	h.flows = flow.New(h.book, h.read, flow.Options{
		Projects: func(int64) (project.Project, bool) { return h.pr, true }, Now: h.clock,
		Endpoints: func() func(int64) []event.Endpoint {
			now := slices.Clone(list)
			return func(int64) []event.Endpoint { return now }
		},
	})
	c := player{h, "c1"}
	events := func() []event.Event {
		t.Helper()
		rows, err := h.homes[0].ScanEvents(t.Context(), id.Event{}, 100)
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	all := ask(event.EndpointEnabled)
	c.must("credit", "start", "", 1000)
	c.must("stake", "s0", "r0", 10)
	if got := events(); len(got) != 0 {
		t.Fatalf("nobody asks, and %d events are written", len(got))
	}
	some := ask(event.EndpointEnabled, "payment.captured", "wallet.stake", "wallet.win", "wallet.rollback")
	off := ask(event.EndpointOff, "wallet.stake")
	ask(event.EndpointDeleted, "wallet.stake", "wallet.debit")
	rest := ask(event.EndpointEnabled, "wallet.credit", "wallet.bonus_granted", "wallet.bonus_released")

	c.must("stake", "s1", "r1", 300)
	c.must("stake", "s1", "r1", 300) // a repeat is no news
	c.must("win", "w1", "r1", 500)
	if _, err := c.ask("grant", "g1", "", 70, false); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ask("stake", "s2", "r1", 50, true); err != nil {
		t.Fatal(err)
	}
	c.must("rollback", "b1", "r1", 350)
	c.must("rollback", "b2", "never seen", 0) // nothing moves
	c.must("debit", "d1", "", 5)              // nobody asks
	c.must("credit", "c2", "", 9)
	if _, err := c.ask("debit", "d2", "", 100_000, false); !errors.Is(err, flow.ErrInsufficient) {
		t.Errorf("too much: %v", err)
	}
	type line struct {
		kind event.Kind
		to   []id.Endpoint
		data map[string]string
	}
	want := []line{
		{event.WalletStake, []id.Endpoint{some, off}, map[string]string{"txn_id": "s1", "kind": "stake", "round_id": "r1", "customer_id": "c1", "amount": "3.00", "currency": "INR", "available": "6.90"}},
		{event.WalletWin, []id.Endpoint{some}, map[string]string{"txn_id": "w1", "kind": "win", "round_id": "r1", "customer_id": "c1", "amount": "5.00", "currency": "INR", "available": "11.90"}},
		{event.WalletBonusGranted, []id.Endpoint{rest}, map[string]string{"txn_id": "g1", "kind": "bonus_grant", "customer_id": "c1", "amount": "0.70", "currency": "INR", "available": "11.90", "bonus": "0.70"}},
		{event.WalletStake, []id.Endpoint{some, off}, map[string]string{"txn_id": "s2", "kind": "stake", "round_id": "r1", "customer_id": "c1", "amount": "0.50", "currency": "INR", "available": "11.90", "bonus": "0.20"}},
		{event.WalletRollback, []id.Endpoint{some}, map[string]string{"txn_id": "b1", "kind": "rollback", "round_id": "r1", "customer_id": "c1", "amount": "3.50", "currency": "INR", "available": "9.90", "bonus": "0.70"}},
		{event.WalletCredit, []id.Endpoint{rest}, map[string]string{"txn_id": "c2", "kind": "credit", "customer_id": "c1", "amount": "0.09", "currency": "INR", "available": "9.94"}},
	}
	got := events()
	if len(got) != len(want) {
		t.Fatalf("%d events %+v, want %d", len(got), got, len(want))
	}
	deliveries, err := h.homes[0].ScanDeliveries(t.Context(), id.Delivery{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	for n, e := range got {
		var data map[string]string
		if err := json.Unmarshal([]byte(e.Snapshot), &data); err != nil || e.Kind != want[n].kind || !e.Payment.IsZero() {
			t.Errorf("event %d is %+v, %v; want a %s", n, e, err, want[n].kind)
		}
		made, err := id.ParseTransfer(data["transfer_id"])
		x, ok, _ := h.homes[0].Transfer(t.Context(), made)
		if err != nil || !ok || x.Name != want[n].data["txn_id"] || data["created_at"] != time.UnixMicro(x.CreatedUS).UTC().Format(time.RFC3339Nano) {
			t.Errorf("event %d tells of transfer %q at %q: %+v", n, data["transfer_id"], data["created_at"], x)
		}
		delete(data, "transfer_id")
		delete(data, "created_at")
		if len(data) != len(want[n].data) {
			t.Errorf("event %d tells %v, want %v", n, data, want[n].data)
		}
		for k, v := range want[n].data {
			if data[k] != v {
				t.Errorf("event %d tells %s %q, want %q", n, k, data[k], v)
			}
		}
		var to []id.Endpoint
		for _, d := range deliveries {
			if d.Event == e.ID {
				to = append(to, d.Endpoint)
				work, waits, _ := one(t, h.homes[0], d.ID)
				if pending := d.Endpoint != off; d.Type != string(e.Kind) || (d.State == event.DeliveryPending) != pending || waits != pending || waits && work.Kind != due.Deliver {
					t.Errorf("delivery %+v of event %d, due %t", d, n, waits)
				}
			}
		}
		slices.SortFunc(to, id.Endpoint.Compare)
		slices.SortFunc(want[n].to, id.Endpoint.Compare)
		if !slices.Equal(to, want[n].to) || slices.Contains(to, all) {
			t.Errorf("event %d is told to %v, want %v", n, to, want[n].to)
		}
	}
}

// one finds the due row of a delivery.
func one(t *testing.T, m *book.Memory, k id.Delivery) (due.Due, bool, error) {
	t.Helper()
	rows, err := m.ScanDue(t.Context(), id.Raw{}, 1000)
	for _, d := range rows {
		if d.ID == k.Raw() {
			return d, true, err
		}
	}
	return due.Due{}, false, err
}
