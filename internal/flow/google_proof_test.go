package flow_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"aorta/internal/flow"
	"aorta/internal/fop"
)

// Prove over one home and two: one redirect proves one customer, whoever else comes with it.
func TestProve(t *testing.T) {
	t.Parallel()
	for _, homes := range []int{1, 2} {
		h := walletHouse(t, homes)
		g := flow.Proving{Project: h.pr, Integration: "main", RequestID: "rdr==/1", CustomerID: "c1", How: "password", Lasts: 15 * time.Minute}
		first, err := h.flows.Prove(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := h.flows.Prove(t.Context(), g); err != nil || again != first {
			t.Errorf("%d homes: again %+v, %v, want %+v", homes, again, err, first)
		}
		other := g
		other.CustomerID = "c2"
		if _, err := h.flows.Prove(t.Context(), other); !errors.Is(err, flow.ErrProofTaken) {
			t.Errorf("%d homes: another customer: %v", homes, err)
		}
		elsewhere := g
		elsewhere.Integration = "second"
		if p, err := h.flows.Prove(t.Context(), elsewhere); err != nil || p.ID == first.ID {
			t.Errorf("%d homes: another integration: %+v, %v", homes, p, err)
		}
		for _, nobody := range []flow.Proving{{Project: h.pr}, {CustomerID: "c1"}} {
			if _, err := h.flows.Prove(t.Context(), nobody); !errors.Is(err, flow.ErrNoWallet) {
				t.Errorf("%d homes: without a wallet: %v", homes, err)
			}
		}
		h.mu.Lock()
		h.now = h.now.Add(15 * time.Minute)
		h.mu.Unlock()
		if _, err := h.flows.Prove(t.Context(), g); !errors.Is(err, flow.ErrProofTaken) {
			t.Errorf("%d homes: when it is over: %v", homes, err)
		}
		// At once: one customer is proved, and is the one who is told so.
		g.RequestID = "race"
		var mu sync.Mutex
		var wg sync.WaitGroup
		proved := map[fop.Proof]bool{}
		for _, name := range []string{"a", "b", "c", "d", "a", "b", "c", "d"} {
			wg.Go(func() {
				g := g
				g.CustomerID = name
				p, err := h.flows.Prove(t.Context(), g)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					proved[p] = true
				} else if !errors.Is(err, flow.ErrProofTaken) {
					t.Errorf("%d homes: %s: %v", homes, name, err)
				}
			})
		}
		wg.Wait()
		if len(proved) != 1 {
			t.Errorf("%d homes: %d proofs of one redirect", homes, len(proved))
		}
	}
}
