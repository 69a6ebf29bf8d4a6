package flow_test

import (
	"errors"
	"testing"

	"aorta/internal/book"
	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/id"
)

// linkRows writes links of a customer's as calls of Google's do: with each a purchase, of
// which the first one's took no money.
func linkRows(t *testing.T, h *house, name string, count int) []id.Association {
	t.Helper()
	who := h.flows.CustomerOf(h.pr, name)
	var list []id.Association
	for range count {
		list = append(list, id.Association(h.book.Mint(who.Bucket())))
	}
	_, err := book.Do(t.Context(), h.book, book.Act[struct{}]{Name: "test.links", Bucket: who.Bucket(), Decide: func(p *book.Page) (struct{}, error) {
		k := fop.LinkedID(who)
		p.Linked.Get(k)
		mine := fop.Linked{ID: k, Customer: who}
		for n, link := range list {
			p.Associations.Get(link)
			a := fop.Association{
				ID: link, Customer: who, Prev: mine.Newest, Integration: "main", Name: "a", Token: "x", TokenHash: "x", Account: who.String(),
				State: fop.AssociationActive, CreatedUS: p.NowUS(), ChangedUS: p.NowUS(),
			}
			c := fop.Call{ID: id.Call(p.Mint()), Name: fop.Name{Integration: "main", Method: fop.CaptureNow, RequestID: "c"}, State: fop.CallDone, Customer: who, Association: a.ID, Amount: inr(100)}
			if n > 0 {
				c.Transfer = id.Transfer(p.Mint())
			}
			w := c
			w.ID, w.Method, w.State, w.Transfer, w.Prev = id.Call(p.Mint()), fop.CaptureLater, fop.CallWaiting, id.Transfer{}, c.ID
			p.Associations.Put(a)
			p.Calls.New(c)
			p.Calls.New(w)
			s := fop.Spent{ID: fop.SpentID(a.ID), Association: a.ID, Newest: w.ID, Waiting: 1}
			p.Spent.Get(s.ID)
			p.Spent.Put(s)
			mine.Newest, mine.Open = a.ID, mine.Open+1
		}
		p.Linked.Put(mine)
		return struct{}{}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestLinksOfACustomer(t *testing.T) {
	t.Parallel()
	h := walletHouse(t, 1)
	if links, err := h.flows.LinksOf(t.Context(), h.pr, "c1"); err != nil || len(links) != 0 {
		t.Fatalf("of nobody: %v, %v", links, err)
	}
	list := linkRows(t, h, "c1", 3)
	links, err := h.flows.LinksOf(t.Context(), h.pr, "c1")
	if err != nil || len(links) != 3 {
		t.Fatalf("%d links, %v", len(links), err)
	}
	for n, l := range links {
		if l.Association.ID != list[2-n] || len(l.Waiting) != 1 || l.Last.ID.IsZero() != (n == 2) {
			t.Errorf("link %d: %+v", n, l)
		}
	}
	if err := h.flows.CloseLink(t.Context(), h.pr, "c2", list[1]); !errors.Is(err, flow.ErrNoLink) {
		t.Errorf("somebody else closes it: %v", err)
	}
	for range 2 { // pressed twice
		if err := h.flows.CloseLink(t.Context(), h.pr, "c1", list[1]); err != nil {
			t.Fatal(err)
		}
	}
	if links, err = h.flows.LinksOf(t.Context(), h.pr, "c1"); err != nil || len(links) != 2 || links[0].Association.ID != list[2] || links[1].Association.ID != list[0] {
		t.Errorf("%+v, %v", links, err)
	}
	closed, _, err := h.homes[0].Association(t.Context(), list[1])
	if err != nil || closed.State != fop.AssociationClosed || closed.Reason != fop.ClosedByCustomer || closed.ClosedUS == 0 {
		t.Errorf("%+v, %v", closed, err)
	}
	mine, _, err := h.homes[0].Linked(t.Context(), fop.LinkedID(h.flows.CustomerOf(h.pr, "c1")))
	if err != nil || mine.Open != 2 || mine.Newest != list[2] {
		t.Errorf("%+v, %v", mine, err)
	}
}
