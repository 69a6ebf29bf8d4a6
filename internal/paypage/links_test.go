package paypage_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/fop"
	"aorta/internal/id"
)

// TestLinksOnTheCustomersPage: a customer of a project without rules sees what their
// wallet is linked with, and closes it; nobody else does.
func TestLinksOnTheCustomersPage(t *testing.T) {
	t.Parallel()
	pr := shop()
	pr.Wallet = true
	h := newHouse(t, pr, nil)
	who := func(name string) id.Customer { return h.flows.CustomerOf(pr, name) }
	page := func(name string) string {
		return strings.TrimPrefix(h.page.CustomerURL(pr, name, "", "en", h.clock().Add(time.Hour)), "https://pay.example")
	}
	for _, name := range []string{"c1", "c2"} {
		if _, err := book.Do(t.Context(), h.book, book.Act[struct{}]{Name: "test.meet", Bucket: who(name).Bucket(), Decide: func(p *book.Page) (struct{}, error) {
			p.Customers.Get(who(name))
			p.Customers.Put(customer.Customer{ID: who(name), MerchantID: pr.MerchantID, Name: name, CreatedUS: 1})
			return struct{}{}, nil
		}}); err != nil {
			t.Fatal(err)
		}
	}
	wantWords(t, "before any link", h.get(page("c1")).body, []string{"Your wallet and Google", "Your wallet is not linked with Google."}, []string{"Your payouts", "data-link"})
	link := id.Association(h.book.Mint(who("c1").Bucket()))
	if _, err := book.Do(t.Context(), h.book, book.Act[struct{}]{Name: "test.link", Bucket: link.Bucket(), Decide: func(p *book.Page) (struct{}, error) {
		k := fop.LinkedID(who("c1"))
		p.Linked.Get(k)
		p.Associations.Get(link)
		p.Associations.Put(fop.Association{
			ID: link, Customer: who("c1"), Integration: "main", Name: "a", Token: "x", TokenHash: "x", Account: who("c1").String(), State: fop.AssociationActive, CreatedUS: 1_767_323_045_000_000,
		})
		p.Linked.Put(fop.Linked{ID: k, Customer: who("c1"), Newest: link, Open: 1})
		return struct{}{}, nil
	}}); err != nil {
		t.Fatal(err)
	}
	a := h.get(page("c1"))
	wantWords(t, "the link", a.body, []string{"data-link", fop.Nickname(who("c1").String()), `datetime="2026-01-02T03:04:05Z"`, "Nothing was bought with it yet.", link.String()}, []string{"Your payouts"})
	press := func(name, link string, header ...string) answer {
		return h.post(page(name), url.Values{"do": {"unlink"}, "link": {link}}.Encode(), header...)
	}
	for what, a := range map[string]answer{"by somebody else": press("c2", link.String()), "of what is none": press("c1", "gpa_1")} {
		if a.status != http.StatusBadRequest {
			t.Errorf("closing %s = %d", what, a.status)
		}
	}
	if press("c1", link.String(), "Sec-Fetch-Site", "cross-site"); !strings.Contains(h.get(page("c1")).body, "data-link") {
		t.Error("another site has closed it")
	}
	for range 2 {
		if a := press("c1", link.String()); a.status != http.StatusSeeOther || a.location() != page("c1") {
			t.Errorf("closing = %d to %s", a.status, a.location())
		}
	}
	wantWords(t, "closed", h.get(page("c1")).body, []string{"Your wallet is not linked with Google."}, []string{"data-link"})
}
