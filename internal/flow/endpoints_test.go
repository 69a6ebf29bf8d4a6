package flow_test

import (
	"testing"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/event"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/project"
)

// TestAnActTellsWhomItBeganWith: an act that has to run again tells the endpoints
// that there were when it began, whatever has become of them meanwhile.
func TestAnActTellsWhomItBeganWith(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	b := h.begin("order-1", 2500)
	var looks, runs int
	flows := flow.New(h.book, h.read, flow.Options{
		Projects:   func(int64) (project.Project, bool) { return h.pr, true },
		Connectors: func(string, string) (connector.Connector, bool) { return h.psp, true },
		NotifyURL:  func(string, string) string { return "https://pay.example/n/paytm/demo" },
		Now:        h.clock,
		Endpoints: func() func(int64) []event.Endpoint {
			looks++ // and each time there is one more
			var list []event.Endpoint
			for range looks {
				list = append(list, event.Endpoint{ID: id.Endpoint(h.book.Mint(0)), ProjectID: h.pr.ID, State: event.EndpointEnabled})
			}
			return func(int64) []event.Endpoint { runs++; return list }
		},
	})
	again := 3
	h.homes[0].Fail = func(s book.Step) book.Fault {
		if s == book.StepCommit && again > 0 {
			again--
			return book.FaultConflict
		}
		return book.FaultNone
	}
	if err := flows.Apply(t.Context(), b.Attempt, approved(2500)); err != nil {
		t.Fatal(err)
	}
	if runs < 4 || looks != 1 {
		t.Errorf("of %d runs of the act %d looked which endpoints there are, want one look, before the first of at least 4", runs, looks)
	}
	told := 0
	for next := h.payment(b.Payment.ID).LastWebhook; !next.IsZero(); told++ {
		d, ok, err := h.homes[0].Delivery(t.Context(), next)
		if err != nil || !ok {
			t.Fatalf("delivery %s: found %t, %v", next, ok, err)
		}
		next = d.Prev
	}
	if told != 1 {
		t.Errorf("%d endpoints were told, want the one that there was", told)
	}
}
