package paypage_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/money"
	"aorta/internal/paypage"
	"aorta/internal/project"
	"aorta/internal/store/storetest"
	"aorta/internal/verify"
)

// linkedHouse is the page of a house whose wallets are linked with Google, on any store.
type linkedHouse struct {
	*house
	db storetest.DB
}

const (
	linkedAccount = "SHOP_INR"
	asyncTime     = 30 * time.Minute
)

func rupees(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "INR"} }

func newLinkedHouse(t *testing.T, db storetest.DB) *linkedHouse {
	t.Helper()
	pr := shop()
	pr.Wallet = true
	h := &linkedHouse{&house{TB: t, project: pr, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, db}
	b, err := book.New(t.Context(), []book.Home{{Store: db}}, book.Options{Now: h.clock, Random: rand.Reader, Epoch: 1, Work: func([]due.Due) {}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	h.book = b
	projects := func(n int64) (project.Project, bool) { return pr, n == pr.ID }
	h.flows = flow.New(b, db, flow.Options{
		Projects: projects, Now: h.clock, Vault: fop.NewVault([32]byte{1}, rand.Reader),
		Integrations: func(name string) (flow.GoogleTerms, bool) {
			return flow.GoogleTerms{
				Project: pr, AsyncTime: asyncTime, TokenTime: 400 * 24 * time.Hour, Limits: []fop.Limit{{Currency: "INR", Transaction: 50_000, Day: 50_000}},
			}, name == "main"
		},
	})
	h.page = paypage.New(paypage.Options{
		Flows: h.flows, Read: db, Projects: projects, PublicURL: func() string { return "https://pay.example" }, Key: [32]byte{7}, Now: h.clock,
	})
	return h
}

// link is the path of a customer's page for an hour.
func (h *linkedHouse) link(name string) string {
	return strings.TrimPrefix(h.page.CustomerURL(h.project, name, "", "en", h.clock().Add(time.Hour)), "https://pay.example")
}

func (h *linkedHouse) credit(name, txn string, minor int64) {
	h.Helper()
	if _, err := h.flows.Credit(h.Context(), flow.WalletMove{Project: h.project, CustomerID: name, TxnID: txn, Amount: rupees(minor)}); err != nil {
		h.Fatal(err)
	}
}

func (h *linkedHouse) called(m fop.Method, name string) flow.GoogleCall {
	c := flow.GoogleCall{
		Name: fop.Name{Integration: "main", Method: m, RequestID: name}, Print: name,
		Members: func(a flow.Answered) string { return fmt.Sprintf(`{"id":%q}`, a.Call.ID) },
	}
	if m == fop.CaptureLater {
		c.Account = linkedAccount
	}
	return c
}

// linked links a customer's wallet.
func (h *linkedHouse) linked(name string) id.Association {
	h.Helper()
	if _, err := h.flows.Prove(h.Context(), flow.Proving{
		Project: h.project, Integration: "main", RequestID: "rdr-" + name, CustomerID: name, How: "password", Lasts: time.Minute,
	}); err != nil {
		h.Fatal(err)
	}
	c, err := h.flows.LinkWallet(h.Context(), flow.Linking{
		GoogleCall: h.called(fop.AssociateAccount, "link-"+name), Token: "token-" + name, Association: "assoc_" + name, Evidence: flow.Evidence{RequestID: "rdr-" + name},
	})
	if err != nil || c.Result != fop.Success {
		h.Fatalf("linking %s: %+v, %v", name, c, err)
	}
	return c.Association
}

// begin has a purchase wait for a customer.
func (h *linkedHouse) begin(name, request string, minor int64) id.Call {
	h.Helper()
	c, err := h.flows.BeginPurchase(h.Context(), flow.Buying{
		GoogleCall: h.called(fop.CaptureLater, request), Token: "token-" + name, Amount: rupees(minor), Description: "Google - <film>",
	})
	if err != nil || c.State != fop.CallWaiting {
		h.Fatalf("begin %s: %+v, %v", request, c, err)
	}
	return c.ID
}

func (h *linkedHouse) answers(path, do string, k id.Call, header ...string) answer {
	h.Helper()
	return h.post(path, url.Values{"do": {do}, "purchase": {k.String()}}.Encode(), header...)
}

// says wants a press to lead to the page, which then says that the purchase has ended
// so; "" that it waits.
func (h *linkedHouse) says(what string, a answer, k id.Call, path, end string) string {
	h.Helper()
	if a.status != http.StatusSeeOther || a.location() != path+"?purchase="+k.String() {
		h.Errorf("%s = %d to %s, want 303 to the page of %s", what, a.status, a.location(), k)
	}
	page := h.get(path + "?purchase=" + k.String())
	ended := regexp.MustCompile(`data-ended="([a-z]+)"`).FindStringSubmatch(page.body)
	if page.status != http.StatusOK || (end == "") != (ended == nil) || ended != nil && ended[1] != end {
		h.Errorf("%s: the page is %d and says %q, want %q", what, page.status, ended, end)
	}
	if waits := strings.Contains(page.body, `data-purchase="`+k.String()+`"`); waits != (end == "") {
		h.Errorf("%s: the page asks for an answer: %t", what, waits)
	}
	return page.body
}

// books wants what a customer has left, what Google has to get, and what it hears of
// purchases, in any order.
func (h *linkedHouse) books(what, name string, left, google int64, hears ...fop.Result) {
	h.Helper()
	bucket := h.flows.CustomerOf(h.project, name).Bucket()
	balance := func(owner string, p ledger.Purpose) int64 {
		a, _, err := h.db.Account(h.Context(), ledger.AccountID(bucket, owner, p, "INR"))
		if err != nil {
			h.Fatal(err)
		}
		return a.Balance()
	}
	if a, r := balance("customer:1:"+name, ledger.Available), balance("google:main:"+linkedAccount, ledger.Receivable); a != left || r != google {
		h.Errorf("%s: %s has %d and Google gets %d, want %d and %d", what, name, a, r, left, google)
	}
	told, err := h.db.ScanTold(h.Context(), id.Told{}, 100)
	if err != nil {
		h.Fatal(err)
	}
	count := map[fop.Result]int{}
	for _, r := range hears {
		count[r]++
	}
	for _, row := range told {
		code := regexp.MustCompile(`"captureResultCode":"([A-Z_]+)"`).FindStringSubmatch(row.Body)
		if row.Method != "captureResultNotification" || code == nil {
			h.Errorf("%s: Google hears %+v", what, row)
			continue
		}
		count[fop.Result(code[1])]--
	}
	for r, n := range count {
		if n != 0 {
			h.Errorf("%s: Google hears %s %d times less than it should", what, r, n)
		}
	}
}

// TestPurchasesOnTheCustomersPage: a purchase of Google's that waits is confirmed or
// refused by its customer, once; whatever else is pressed moves nothing, and is told.
func TestPurchasesOnTheCustomersPage(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		h := newLinkedHouse(t, db)
		h.credit("c1", "gift-1", 2_500)
		h.credit("c2", "gift-2", 2_500)
		h.linked("c1")
		h.linked("c2")
		path, other := h.link("c1"), h.link("c2")
		wantWords(t, "before any", h.get(path).body, nil, []string{"data-purchase", "Waiting for you"})

		paid, refused := h.begin("c1", "cap-1", 2_000), h.begin("c1", "cap-2", 100)
		wantWords(t, "two that wait", h.get(path).body, []string{
			"Waiting for you", `data-purchase="` + paid.String() + `"`, `data-purchase="` + refused.String() + `"`, "₹20.00", "Google - &lt;film&gt;",
			`datetime="2026-01-02T03:34:05Z"`, `value="confirm"`, `value="refuse"`, "Tea &amp; &lt;Sons&gt;",
		}, []string{"There is not enough", "data-ended"})
		wantWords(t, "somebody else's page", h.get(other+"?purchase="+paid.String()).body, nil, []string{"data-purchase", "data-ended", paid.String()})
		for what, a := range map[string]answer{
			"by somebody else":       h.answers(other, "confirm", paid),
			"refused by another":     h.answers(other, "refuse", paid),
			"by nobody who is known": h.answers(h.link("c3"), "confirm", paid),
			"of what is none":        h.post(path, "do=confirm&purchase=gpc_1"),
			"of one there is not":    h.answers(path, "confirm", id.Call(h.book.Mint(3))),
			"of one beyond":          h.answers(path, "confirm", id.Call{6: 200, 1: 1}),
			"of nothing":             h.post(path, "do=refuse"),
		} {
			if a.status != http.StatusBadRequest {
				t.Errorf("confirmed %s = %d %s, want 400", what, a.status, a.location())
			}
		}
		for _, do := range []string{"confirm", "refuse"} {
			if a := h.answers(path, do, paid, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"); a.status != http.StatusSeeOther || a.location() != path {
				t.Errorf("%s by a page of another house = %d %s, want 303 to the page", do, a.status, a.location())
			}
		}
		h.books("after presses that are nobody's", "c1", 2_500, 0)

		body := h.says("confirming", h.answers(path, "confirm", paid), paid, path, "paid")
		wantWords(t, "confirmed", body, []string{"It was taken from your wallet.", `role="status"`, `data-purchase="` + refused.String() + `"`, "Last purchase: ₹20.00"}, nil)
		h.says("pressed twice", h.answers(path, "confirm", paid), paid, path, "paid")
		h.says("refused after that", h.answers(path, "refuse", paid), paid, path, "paid")
		h.books("confirmed once", "c1", 500, 2_000, fop.Success)

		wantWords(t, "refused", h.says("refusing", h.answers(path, "refuse", refused), refused, path, "refused"), []string{"You have refused it."}, []string{"Waiting for you"})
		h.says("confirmed after that", h.answers(path, "confirm", refused), refused, path, "refused")
		h.books("refused once", "c1", 500, 2_000, fop.Success, fop.NotConfirmed)

		dear := h.begin("c1", "cap-3", 600)
		wantWords(t, "more than there is", h.says("without the money", h.answers(path, "confirm", dear), dear, path, ""), []string{"There is not enough in your wallet"}, nil)
		h.books("without the money", "c1", 500, 2_000, fop.Success, fop.NotConfirmed)
		h.credit("c1", "gift-3", 100)
		wantWords(t, "with it", h.get(path).body, []string{dear.String()}, []string{"There is not enough"})
		h.says("with it", h.answers(path, "confirm", dear), dear, path, "paid")
		h.books("with the money", "c1", 0, 2_600, fop.Success, fop.Success, fop.NotConfirmed)

		// Too late, before the work that is due has ended it, and after.
		late := h.begin("c1", "cap-4", 100)
		h.credit("c1", "gift-4", 1_000)
		h.wait(asyncTime)
		path = h.link("c1")
		wantWords(t, "too late", h.get(path).body, nil, []string{"data-purchase"})
		h.says("too late", h.answers(path, "confirm", late), late, path, "over")
		if err := h.flows.Handle(t.Context(), due.At(late.Raw(), due.Purchase, 1)); err != nil {
			t.Fatal(err)
		}
		h.says("later still", h.answers(path, "confirm", late), late, path, "over")
		h.books("too late", "c1", 1_000, 2_600, fop.Success, fop.Success, fop.NotConfirmed, fop.NotConfirmed)

		// Declined whatever the customer says: over at once.
		huge := h.begin("c1", "cap-5", 60_000)
		wantWords(t, "beyond a limit", h.get(path).body, nil, []string{"data-purchase"})
		if err := h.flows.Handle(t.Context(), due.At(huge.Raw(), due.Purchase, 1)); err != nil {
			t.Fatal(err)
		}
		h.says("beyond a limit", h.answers(path, "confirm", huge), huge, path, "limit")

		closing, held := h.begin("c2", "cap-6", 100), h.begin("c1", "cap-7", 100)
		links, err := h.flows.LinksOf(t.Context(), h.project, "c2")
		if err != nil || len(links) != 1 {
			t.Fatalf("c2 has %v, %v", links, err)
		}
		other = h.link("c2")
		h.post(other, url.Values{"do": {"unlink"}, "link": {links[0].Association.ID.String()}}.Encode())
		h.says("with a link that is closed", h.answers(other, "confirm", closing), closing, other, "failed")
		h.books("with a link that is closed", "c2", 2_500, 0,
			fop.Success, fop.Success, fop.NotConfirmed, fop.NotConfirmed, fop.OverTransactionLimit, fop.TokenInvalidated)

		who := h.flows.CustomerOf(h.project, "c1")
		if _, err := book.Do(t.Context(), h.book, book.Act[struct{}]{Name: "test.freeze", Bucket: who.Bucket(), Decide: func(p *book.Page) (struct{}, error) {
			row, _ := p.Customers.Get(who)
			row.Restriction = customer.Frozen
			p.Customers.Put(row)
			return struct{}{}, nil
		}}); err != nil {
			t.Fatal(err)
		}
		wantWords(t, "on hold", h.says("on hold", h.answers(path, "confirm", held), held, path, "held"), []string{"Your account is on hold"}, nil)
		h.books("on hold", "c1", 1_000, 2_600,
			fop.Success, fop.Success, fop.NotConfirmed, fop.NotConfirmed, fop.OverTransactionLimit, fop.TokenInvalidated, fop.AccountOnHold)

		if report, err := verify.Run(t.Context(), db, verify.Options{}); err != nil || !report.OK {
			t.Errorf("verify: %v %v", report.Violations, err)
		}
	})
}

// TestAPurchaseIsConfirmedOnce: of many presses at once money moves by one.
func TestAPurchaseIsConfirmedOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		h := newLinkedHouse(t, db)
		h.credit("c1", "gift-1", 10_000)
		h.linked("c1")
		path, k := h.link("c1"), h.begin("c1", "cap-1", 1_000)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if a := h.answers(path, "confirm", k); a.status != http.StatusSeeOther {
					t.Errorf("confirming = %d", a.status)
				}
			})
		}
		all.Wait()
		h.books("eight presses", "c1", 9_000, 1_000, fop.Success)
	})
}
