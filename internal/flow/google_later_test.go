package flow_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/due"
	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/store/storetest"
)

func (s *shop) begin(name, token string, minor int64) (fop.Call, error) {
	return s.flows.BeginPurchase(s.t.Context(), flow.Buying{
		GoogleCall: s.call(fop.CaptureLater, name, fmt.Sprint("later", token, minor)), Token: token, Amount: inr(minor), Description: "Google - film",
	})
}

// expires does the work that is due on purchases.
func (s *shop) expires() {
	s.t.Helper()
	rows, err := s.db.Overdue(s.t.Context(), s.clock().UnixMicro(), nil, 100)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, d := range rows {
		if d.Kind == due.Purchase {
			if err := s.flows.Handle(s.t.Context(), d); err != nil {
				s.t.Errorf("%s: %v", d.Kind, err)
			}
		}
	}
}

// hears wants Google to be told just these results, in order.
func (s *shop) hears(want ...fop.Result) {
	s.t.Helper()
	rows, err := s.db.ScanTold(s.t.Context(), id.Told{}, 100)
	if err != nil || len(rows) != len(want) {
		s.t.Fatalf("Google hears %+v, %v, want %v", rows, err, want)
	}
	slices.SortFunc(rows, func(a, b fop.Told) int { return cmp.Compare(a.CreatedUS, b.CreatedUS) })
	for n, r := range rows {
		if r.Method != "captureResultNotification" || !strings.Contains(r.Body, `"`+string(want[n])+`"`) || r.State != fop.ToldWaiting {
			s.t.Errorf("Google hears %+v, want %s", r, want[n])
		}
	}
}

func TestPurchasesThatWaitForTheirCustomer(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		s := newShop(t, db)
		ann, bob := s.has("ann", 1_000), s.has("bob", 1_000)
		s.linked("ann")
		token := shopToken + "ann"
		one, err := s.begin("a1", token, 1_500)
		if err != nil || one.State != fop.CallWaiting || !one.Transfer.IsZero() {
			t.Fatalf("begin: %+v, %v", one, err)
		}
		again, err := s.begin("a1", token, 1_500)
		if err != nil || again != one {
			t.Errorf("a repeat: %+v, %v, want %+v", again, err, one)
		}
		c, err := s.buy("a1", token, 1_500, flow.Evidence{})
		s.fails("a capture of that name", c, err, flow.ErrOtherCall)
		c, err = s.back("b1", "a1", inr(100))
		s.fails("a refund while it waits", c, err, flow.ErrNotCaptured)
		s.want("ann", 1_000, 0)
		s.sound()
		c, err = s.flows.ConfirmPurchase(t.Context(), bob, one.ID, true)
		s.fails("by somebody else", c, err, flow.ErrNoPurchase)
		c, err = s.flows.ConfirmPurchase(t.Context(), ann, one.ID, true)
		s.fails("without the money", c, err, flow.ErrInsufficient)
		s.hears()
		s.has("ann", 1_000)
		c, err = s.flows.ConfirmPurchase(t.Context(), ann, one.ID, true)
		s.result("with it", c, err, fop.Success)
		s.want("ann", 500, 1_500)
		s.hears(fop.Success)
		c, err = s.flows.ConfirmPurchase(t.Context(), ann, one.ID, false)
		s.fails("once more", c, err, flow.ErrPurchaseOver)
		again, err = s.begin("a1", token, 1_500)
		if err != nil || again.Answer != one.Answer {
			t.Errorf("a repeat when it has ended: %+v, %v, want the answer of before", again, err)
		}
		c, err = s.back("b1", "a1", inr(1_500))
		s.result("and given back", c, err, fop.Success)

		s.later(time.Second)
		two, err := s.begin("a2", token, 100)
		if err != nil {
			t.Fatal(err)
		}
		c, err = s.flows.ConfirmPurchase(t.Context(), ann, two.ID, false)
		s.result("refused", c, err, fop.NotConfirmed)
		s.later(time.Second)
		three, err := s.begin("a3", token, 100)
		if err != nil {
			t.Fatal(err)
		}
		s.expires()
		s.hears(fop.Success, fop.NotConfirmed)
		s.later(30 * time.Minute)
		c, err = s.flows.ConfirmPurchase(t.Context(), ann, three.ID, true)
		s.fails("too late", c, err, flow.ErrPurchaseOver)
		s.expires()
		s.hears(fop.Success, fop.NotConfirmed, fop.NotConfirmed)
		c, err = s.begin("a4", token, 50_001)
		s.result("declined whatever ann says", c, err, "")
		c, err = s.flows.ConfirmPurchase(t.Context(), ann, c.ID, true)
		s.fails("which she cannot confirm", c, err, flow.ErrPurchaseOver)
		s.later(time.Minute)
		s.expires()
		s.hears(fop.Success, fop.NotConfirmed, fop.NotConfirmed, fop.OverTransactionLimit)
		s.want("ann", 2_000, 0)
		s.sound()
	})
}

// A confirmation and the work that ends a purchase cannot both end it.
func TestAPurchaseEndsOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t, book.NewMemory())
	ann := s.has("ann", 1_000)
	s.linked("ann")
	one, err := s.begin("a1", shopToken+"ann", 500)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.flows.ConfirmPurchase(t.Context(), ann, one.ID, true); err != nil {
		t.Fatal(err)
	}
	// Its work was claimed before it was taken away.
	if err := s.flows.Handle(t.Context(), due.At(one.ID.Raw(), due.Purchase, 1)); err != nil {
		t.Errorf("the work of one that has ended: %v", err)
	}
	s.hears(fop.Success)
	s.want("ann", 500, 500)
}
