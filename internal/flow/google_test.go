package flow_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/store/storetest"
	"aorta/internal/verify"

	"pgregory.net/rapid"
)

// shop is a platform whose wallets are linked with Google, on any store.
type shop struct {
	t     testing.TB
	db    storetest.DB
	book  *book.Book
	flows *flow.Flows
	vault *fop.Vault

	mu    sync.Mutex
	now   time.Time
	work  []due.Due
	terms flow.GoogleTerms
	calls int
}

const (
	shopAccount = "SHOP_INR"
	shopToken   = "R1BULWEgdG9rZW4gdGhhdCBub2JvZHkgbXVzdCBzZWU"
)

func newShop(t testing.TB, db storetest.DB) *shop {
	t.Helper()
	s := &shop{t: t, db: db, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), vault: fop.NewVault([32]byte{1}, rand.Reader)}
	s.terms = flow.GoogleTerms{
		Project: project.Project{ID: 200, MerchantID: 1, Wallet: true}, AsyncTime: 30 * time.Minute, TokenTime: 400 * 24 * time.Hour,
		Limits: []fop.Limit{{Currency: "INR", Least: 100, Transaction: 50_000, Day: 80_000, Month: 100_000}},
	}
	b, err := book.New(t.Context(), []book.Home{{Store: db}}, book.Options{
		Now: s.clock, Random: seeded{mathrand.NewChaCha8([32]byte{7})}, Epoch: 1,
		Work: func(rows []due.Due) { s.mu.Lock(); s.work = append(s.work, rows...); s.mu.Unlock() },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	s.book = b
	s.flows = flow.New(b, db, flow.Options{
		Projects:     func(int64) (project.Project, bool) { return s.terms.Project, true },
		Connectors:   func(string, string) (connector.Connector, bool) { return nil, false },
		NotifyURL:    func(string, string) string { return "" },
		Now:          s.clock,
		Vault:        s.vault,
		Integrations: func(name string) (flow.GoogleTerms, bool) { return s.terms, name == "main" },
	})
	return s
}

func (s *shop) clock() time.Time { s.mu.Lock(); defer s.mu.Unlock(); return s.now }

func (s *shop) later(d time.Duration) { s.mu.Lock(); defer s.mu.Unlock(); s.now = s.now.Add(d) }

// call names a call; body stands for the rest of the request.
func (s *shop) call(m fop.Method, name, body string) flow.GoogleCall {
	c := flow.GoogleCall{
		Name: fop.Name{Integration: "main", Method: m, RequestID: name}, Print: body,
		Members: func(a flow.Answered) string {
			return fmt.Sprintf(`{"id":%q,"result":%q,"account":%q,"limit":%d}`, a.Call.ID, a.Call.Result, a.Association.Account, a.Limit.Minor)
		},
	}
	if m == fop.CaptureNow || m == fop.CaptureLater || m == fop.Refund {
		c.Account = shopAccount
	}
	return c
}

// has gives a customer money.
func (s *shop) has(name string, minor int64) id.Customer {
	s.t.Helper()
	s.mu.Lock()
	s.calls++
	txn := fmt.Sprint("gift", s.calls)
	s.mu.Unlock()
	if _, err := s.flows.Credit(s.t.Context(), flow.WalletMove{Project: s.terms.Project, CustomerID: name, TxnID: txn, Amount: inr(minor)}); err != nil {
		s.t.Fatal(err)
	}
	return s.flows.CustomerOf(s.terms.Project, name)
}

// act does something to rows that no flow under test does.
func (s *shop) act(b id.Bucket, do func(*book.Page)) {
	s.t.Helper()
	_, err := book.Do(s.t.Context(), s.book, book.Act[struct{}]{Name: "test", Bucket: b, Decide: func(p *book.Page) (struct{}, error) {
		do(p)
		return struct{}{}, nil
	}})
	if err != nil {
		s.t.Fatal(err)
	}
}

// proves has a customer sign in for a redirect, perhaps for a link of theirs.
func (s *shop) proves(name, redirect string, link id.Association) flow.Evidence {
	s.t.Helper()
	who := s.flows.CustomerOf(s.terms.Project, name)
	s.act(who.Bucket(), func(p *book.Page) {
		row := fop.Proof{
			ID: id.Proof(p.Mint()), Customer: who, Association: link, Integration: "main", Name: redirect, State: fop.ProofProven, How: "password",
			UntilUS: p.NowUS() + (15 * time.Minute).Microseconds(), CreatedUS: p.NowUS(), ChangedUS: p.NowUS(),
		}
		key := s.book.RefKey(fop.ProofScope("main"), redirect)
		p.Refs.Get(key)
		p.Proofs.New(row)
		p.Refs.Put(payment.Ref{RefKey: key, Target: row.ID.Raw()})
	})
	return flow.Evidence{RequestID: redirect}
}

// sends has a code sent to a customer.
func (s *shop) sends(name, request string, link id.Association) flow.Evidence {
	s.t.Helper()
	who := s.flows.CustomerOf(s.terms.Project, name)
	digits := s.vault.Digits("main", request)
	s.act(who.Bucket(), func(p *book.Page) {
		c := fop.Call{ID: id.Call(p.Mint()), Name: s.call(fop.SendOTP, request, "").Name, State: fop.CallDone, Result: fop.Success, Customer: who, Answer: "{}"}
		row := fop.Code{
			ID: fop.CodeID(who.Bucket(), "main", request), Customer: who, Association: link, Call: c.ID, Integration: "main", Name: request, State: fop.CodeSent,
			Hash: s.vault.CodeHash("main", request, digits), TriesLeft: fop.CodeTries, UntilUS: p.NowUS() + (5 * time.Minute).Microseconds(),
		}
		c.About = row.ID.Raw()
		p.Calls.New(c)
		key := s.book.RefKey(c.Scope(), request)
		p.Refs.Get(key)
		p.Codes.New(row)
		p.Refs.Put(payment.Ref{RefKey: key, Target: c.ID.Raw()})
	})
	return flow.Evidence{RequestID: request, Digits: digits}
}

func (s *shop) link(name, token, association string, by flow.Evidence) (fop.Call, error) {
	s.t.Helper()
	return s.flows.LinkWallet(s.t.Context(), flow.Linking{
		GoogleCall: s.call(fop.AssociateAccount, name, name+token+association), Token: token, Association: association, Evidence: by,
	})
}

// linked links a customer's wallet.
func (s *shop) linked(name string) fop.Association {
	s.t.Helper()
	c, err := s.link("link-"+name, shopToken+name, "assoc_"+name, s.proves(name, "redirect-"+name, id.Association{}))
	if err != nil || c.Result != fop.Success {
		s.t.Fatalf("link %s: %+v, %v", name, c, err)
	}
	a, ok, err := s.db.Association(s.t.Context(), c.Association)
	if err != nil || !ok {
		s.t.Fatalf("association of %s: %t, %v", name, ok, err)
	}
	return a
}

func (s *shop) buy(name, token string, minor int64, by flow.Evidence) (fop.Call, error) {
	return s.flows.Purchase(s.t.Context(), flow.Buying{
		GoogleCall: s.call(fop.CaptureNow, name, fmt.Sprint(token, minor, by)), Token: token, Amount: inr(minor), Description: "Google - gems", Evidence: by,
	})
}

func (s *shop) back(name, capture string, a money.Amount) (fop.Call, error) {
	return s.flows.GiveBack(s.t.Context(), flow.GivingBack{GoogleCall: s.call(fop.Refund, name, fmt.Sprint(capture, a)), Capture: capture, Amount: a})
}

func (s *shop) balance(owner string, p ledger.Purpose) int64 {
	s.t.Helper()
	sum := int64(0)
	for b := range id.Bucket(32) {
		a, _, err := s.db.Account(s.t.Context(), ledger.AccountID(b, owner, p, "INR"))
		if err != nil {
			s.t.Fatal(err)
		}
		sum += a.Balance()
	}
	return sum
}

// want says what a customer has left, and what Google has to get.
func (s *shop) want(name string, left, google int64) {
	s.t.Helper()
	if a, r := s.balance("customer:1:"+name, ledger.Available), s.balance("google:main:"+shopAccount, ledger.Receivable); a != left || r != google {
		s.t.Errorf("%s has %d and Google gets %d, want %d and %d", name, a, r, left, google)
	}
}

// result wants a call to have ended so.
func (s *shop) result(what string, c fop.Call, err error, want fop.Result) {
	s.t.Helper()
	if err != nil || c.Result != want {
		s.t.Errorf("%s: %q, %v, want %q", what, c.Result, err, want)
	}
}

// fails wants an error, which leaves nothing.
func (s *shop) fails(what string, c fop.Call, err, want error) {
	s.t.Helper()
	if !errors.Is(err, want) || c != (fop.Call{}) {
		s.t.Errorf("%s: %+v, %v, want %v", what, c, err, want)
	}
}

func (s *shop) sound() {
	s.t.Helper()
	report, err := verify.Run(s.t.Context(), s.db, verify.Options{})
	if err != nil || !report.OK {
		s.t.Errorf("verify: %v %v", report.Violations, err)
	}
	links, err := s.db.ScanAssociations(s.t.Context(), id.Association{}, 1000)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, l := range links {
		if strings.Contains(fmt.Sprintf("%+v", l), shopToken) {
			s.t.Errorf("association %s has its token in the clear", l.ID)
		}
	}
}

func TestLinkingAWallet(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		s := newShop(t, db)
		ann := s.has("ann", 1000)
		by := s.proves("ann", "r1", id.Association{})
		first, err := s.link("l1", shopToken, "assoc_1", by)
		s.result("with a proof", first, err, fop.Success)
		again, err := s.link("l1", shopToken, "assoc_1", by)
		if err != nil || again != first {
			t.Errorf("a repeat: %+v, %v, want %+v", again, err, first)
		}
		row, ok, err := db.Association(t.Context(), first.Association)
		if err != nil || !ok || row.Customer != ann || row.Account != ann.String() || !strings.Contains(first.Answer, row.Account) {
			t.Errorf("association %+v, %t, %v", row, ok, err)
		}
		if token, err := s.vault.Open(row.Token, fop.TokenPlace(row.TokenHash)); token != shopToken || err != nil {
			t.Errorf("the token opens to %q, %v", token, err)
		}
		other, err := s.link("l1", shopToken+"x", "assoc_1", by)
		s.fails("another request of that name", other, err, flow.ErrOtherCall)

		c, err := s.link("l2", shopToken+"2", "assoc_2", by)
		s.fails("a proof that was used", c, err, flow.ErrNoProof)
		c, err = s.link("l2", shopToken+"2", "assoc_2", flow.Evidence{RequestID: "nobody's"})
		s.fails("a proof that there is not", c, err, flow.ErrNoProof)
		c, err = s.link("l2", shopToken+"2", "assoc_2", s.proves("ann", "r2", first.Association))
		s.fails("a proof for another link", c, err, flow.ErrNoProof)
		// Of a link that is about to be made, too, the redirect's is the only one.
		if _, err := s.flows.Prove(t.Context(), flow.Proving{
			Project: s.terms.Project, Integration: "main", RequestID: "r2b", Association: "assoc_9", CustomerID: "ann", How: "password", Lasts: time.Minute,
		}); err != nil {
			t.Fatal(err)
		}
		named := flow.Evidence{RequestID: "r2b"}
		c, err = s.link("l9", shopToken+"9", "assoc_8", named)
		s.fails("another associationId than the redirect's", c, err, flow.ErrNoProof)
		c, err = s.flows.RefreshLink(t.Context(), flow.Refreshing{GoogleCall: s.call(fop.RefreshToken, "f9", "f9"), Token: shopToken, Evidence: named})
		s.fails("a refresh of another link than the redirect's", c, err, flow.ErrNoProof)
		ninth, err := s.link("l9", shopToken+"9", "assoc_9", named)
		s.result("the redirect's", ninth, err, fop.Success)
		if ninth.Association != fop.LinkID(ann.Bucket(), "main", "assoc_9") {
			t.Errorf("the link is %s", ninth.Association)
		}
		fresh := s.proves("ann", "r3", id.Association{})
		c, err = s.link("l2", shopToken, "assoc_2", fresh)
		s.fails("a token that is taken", c, err, flow.ErrTokenTaken)
		c, err = s.link("l2", shopToken+"2", "assoc_1", fresh)
		s.fails("an associationId that is taken", c, err, flow.ErrTokenTaken)
		// The same name, which was refused, is judged anew.
		second, err := s.link("l2", shopToken+"2", "assoc_2", fresh)
		s.result("after it was refused", second, err, fop.Success)
		if row, _, _ := db.Linked(t.Context(), fop.LinkedID(ann)); row.Open != 3 || row.Newest != second.Association {
			t.Errorf("ann has %+v of links", row)
		}

		late := s.proves("ann", "r4", id.Association{})
		s.later(15 * time.Minute)
		c, err = s.link("l3", shopToken+"3", "assoc_3", late)
		s.fails("a proof that is over", c, err, flow.ErrNoProof)
		s.sound()
	})
}

func TestLinkingByCode(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		s := newShop(t, db)
		s.has("ann", 1000)
		right := s.sends("ann", "otp1", id.Association{})
		wrong := flow.Evidence{RequestID: "otp1", Digits: "x"}
		c, err := s.link("l1", shopToken, "assoc_1", wrong)
		s.result("a wrong code", c, err, fop.OTPNotMatched)
		c, err = s.link("l1", shopToken, "assoc_1", wrong)
		s.result("a repeat of it", c, err, fop.OTPNotMatched)
		if _, known, err := s.flows.CallOf(t.Context(), fop.Name{Integration: "main", Method: fop.AssociateAccount, RequestID: "l1"}); !known || err != nil {
			t.Errorf("a decline is not kept: %t, %v", known, err)
		}
		code, _, err := db.Code(t.Context(), fop.CodeID(s.flows.CustomerOf(s.terms.Project, "ann").Bucket(), "main", "otp1"))
		if err != nil || code.TriesLeft != fop.CodeTries-1 {
			t.Errorf("a guess and its repeat leave %d tries, %v", code.TriesLeft, err)
		}
		c, err = s.link("l2", shopToken, "assoc_1", right)
		s.result("the right one", c, err, fop.Success)
		c, err = s.link("l3", shopToken+"3", "assoc_3", right)
		s.result("the right one again", c, err, fop.OTPAlreadyUsed)
		c, err = s.link("l4", shopToken+"4", "assoc_4", flow.Evidence{RequestID: "otp9", Digits: "123456"})
		s.fails("a code that nobody asked for", c, err, flow.ErrNoCode)
		s.sound()
	})
}

// held makes a customer so.
func (s *shop) held(name string, r customer.Restriction) {
	s.t.Helper()
	who := s.flows.CustomerOf(s.terms.Project, name)
	s.act(who.Bucket(), func(p *book.Page) {
		row, _ := p.Customers.Get(who)
		row.Restriction = r
		p.Customers.Put(row)
	})
}

func TestWhoIsHeldLinksAndBuysNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t, book.NewMemory())
	s.has("ann", 10_000)
	link := s.linked("ann")
	bought, err := s.buy("c0", shopToken+"ann", 500, flow.Evidence{})
	s.result("before", bought, err, fop.Success)
	for n, x := range []struct {
		is   customer.Restriction
		want fop.Result
	}{{customer.Frozen, fop.AccountOnHold}, {customer.Closed, fop.AccountClosed}} {
		s.held("ann", x.is)
		name := fmt.Sprint(n)
		c, err := s.buy("c"+name+"x", shopToken+"ann", 500, flow.Evidence{})
		s.result(string(x.is)+" buys", c, err, x.want)
		c, err = s.back("b"+name, "c0", inr(100))
		s.result(string(x.is)+" gets back", c, err, x.want)
		c, err = s.link("l"+name, shopToken+name, "assoc_"+name, s.proves("ann", "r"+name, id.Association{}))
		s.result(string(x.is)+" links", c, err, x.want)
		if !c.Association.IsZero() || strings.Contains(c.Answer, link.Account) {
			t.Errorf("a decline tells of the account: %s", c.Answer)
		}
	}
	s.held("ann", customer.SelfExcluded)
	c, err := s.buy("c9", shopToken+"ann", 500, flow.Evidence{})
	s.result("who does not play buys elsewhere", c, err, fop.Success)
}

// Exclusions and pauses stop purchases where the integration says so: as long as they
// hold, and nothing but purchases.
func TestExclusionsMayStopPurchases(t *testing.T) {
	t.Parallel()
	s := newShop(t, book.NewMemory())
	s.terms.ExclusionsStop = true
	s.has("ann", 10_000)
	s.linked("ann")
	bought, err := s.buy("c0", shopToken+"ann", 500, flow.Evidence{})
	s.result("before", bought, err, fop.Success)
	for _, r := range []customer.Restriction{customer.SelfExcluded, customer.OperatorExcluded, customer.RegistryExcluded} {
		s.held("ann", r)
		c, err := s.buy("c-"+string(r), shopToken+"ann", 500, flow.Evidence{})
		s.result(string(r)+" buys", c, err, fop.AccountOnHold)
		c, err = s.back("b-"+string(r), "c0", inr(10))
		s.result(string(r)+" gets back", c, err, fop.Success)
	}
	s.act(s.flows.CustomerOf(s.terms.Project, "ann").Bucket(), func(p *book.Page) {
		row, _ := p.Customers.Get(s.flows.CustomerOf(s.terms.Project, "ann"))
		row.Restriction, row.RestrictedUntilUS = customer.CoolOff, p.NowUS()+time.Hour.Microseconds()
		p.Customers.Put(row)
	})
	c, err := s.buy("c1", shopToken+"ann", 500, flow.Evidence{})
	s.result("who pauses buys", c, err, fop.AccountOnHold)
	s.later(2 * time.Hour)
	c, err = s.buy("c2", shopToken+"ann", 500, flow.Evidence{})
	s.result("after the pause", c, err, fop.Success)
}

func TestPurchases(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		s := newShop(t, db)
		s.has("ann", 20_000)
		s.linked("ann")
		token := shopToken + "ann"
		none := flow.Evidence{}

		c, err := s.buy("c1", token, 7_280, none)
		s.result("a purchase", c, err, fop.Success)
		s.want("ann", 12_720, 7_280)
		again, err := s.buy("c1", token, 7_280, none)
		if err != nil || again != c {
			t.Errorf("a repeat: %+v, %v, want %+v", again, err, c)
		}
		x, err := s.buy("c1", token, 7_281, none)
		s.fails("the same name with another amount", x, err, flow.ErrOtherCall)
		s.has("bob", 50_000)
		s.linked("bob")
		x, err = s.buy("c1", shopToken+"bob", 7_280, none)
		s.fails("the same name with another token", x, err, flow.ErrOtherCall)
		x, err = s.buy("c2", "nobody's", 500, none)
		s.fails("a token that there is not", x, err, flow.ErrNoToken)

		x, err = s.buy("c3", token, 12_721, none)
		s.result("more than there is", x, err, fop.InsufficientFunds)
		s.has("ann", 100_000)
		x, err = s.buy("c3", token, 12_721, none)
		s.result("the same, though money has come", x, err, fop.InsufficientFunds)
		x, err = s.buy("c4", token, 12_721, none)
		s.result("under another name", x, err, fop.Success)
		s.want("ann", 99_999, 20_001)

		x, err = s.buy("c5", token, 99, none)
		s.result("too little", x, err, fop.UnderLimit)
		if !strings.Contains(x.Answer, `"limit":100`) {
			t.Errorf("the limit is not told: %s", x.Answer)
		}
		x, err = s.buy("c6", token, 50_001, none)
		s.result("too much at once", x, err, fop.OverTransactionLimit)
		x, err = s.buy("c7", token, 50_000, none)
		s.result("just so much", x, err, fop.Success)
		x, err = s.buy("c8", token, 10_000, none)
		s.result("too much on a day", x, err, fop.OverDailyLimit)
		x, err = s.buy("c8b", shopToken+"bob", 10_000, none)
		s.result("with another link", x, err, fop.Success)
		s.later(24 * time.Hour)
		x, err = s.buy("c9", token, 30_000, none)
		s.result("too much in a month", x, err, fop.OverMonthlyLimit)
		x, err = s.flows.Purchase(t.Context(), flow.Buying{GoogleCall: s.call(fop.CaptureNow, "c10", "usd"), Token: token, Amount: money.Amount{Minor: 5, Currency: "USD"}})
		s.result("a currency that ann has none of", x, err, fop.NoSuchCurrency)
		s.later(400 * 24 * time.Hour)
		x, err = s.buy("c11", token, 500, none)
		s.result("a token that has ended", x, err, fop.TokenRefreshRequired)
		s.sound()
	})
}

func TestRefreshedTokens(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		s := newShop(t, db)
		s.has("ann", 20_000)
		s.has("bob", 20_000)
		link := s.linked("ann")
		s.linked("bob")
		refresh := func(name, token string, by flow.Evidence) (fop.Call, error) {
			return s.flows.RefreshLink(t.Context(), flow.Refreshing{GoogleCall: s.call(fop.RefreshToken, name, fmt.Sprint(token, by)), Token: token, Evidence: by})
		}
		token := shopToken + "ann"
		s.later(401 * 24 * time.Hour)
		c, err := refresh("f1", token, s.proves("bob", "rb", id.Association{}))
		s.fails("by somebody else's proof", c, err, flow.ErrNoProof)
		c, err = refresh("f1", "nobody's", s.proves("ann", "ra", id.Association{}))
		s.fails("a token that there is not", c, err, flow.ErrNoToken)
		by := s.proves("ann", "rc", link.ID)
		c, err = refresh("f1", token, by)
		s.result("by their own", c, err, fop.Success)
		again, err := refresh("f1", token, by)
		if err != nil || again != c {
			t.Errorf("a repeat: %+v, %v, want %+v", again, err, c)
		}
		x, err := refresh("f2", token, by)
		s.fails("by one that was used", x, err, flow.ErrNoProof)
		x, err = s.buy("c1", token, 500, flow.Evidence{})
		s.result("and buys again", x, err, fop.Success)
		row, _, err := db.Association(t.Context(), link.ID)
		if want := s.clock().Add(s.terms.TokenTime).UnixMicro(); err != nil || row.ExpiresUS != want {
			t.Errorf("it ends at %d, %v, want %d", row.ExpiresUS, err, want)
		}
		s.sound()
	})
}

func TestChallengedPurchases(t *testing.T) {
	t.Parallel()
	s := newShop(t, book.NewMemory())
	s.has("ann", 20_000)
	s.has("bob", 20_000)
	link, token := s.linked("ann"), shopToken+"ann"
	s.linked("bob")
	c, err := s.buy("c1", token, 500, s.proves("bob", "rb", id.Association{}))
	s.fails("with somebody else's proof", c, err, flow.ErrNoProof)
	by := s.proves("ann", "ra", link.ID)
	c, err = s.buy("c2", token, 40_000, by)
	s.result("declined", c, err, fop.InsufficientFunds)
	c, err = s.buy("c3", token, 500, by)
	s.result("with the proof that a decline has not used up", c, err, fop.Success)
	c, err = s.buy("c4", token, 500, by)
	s.fails("with it again", c, err, flow.ErrNoProof)
	right := s.sends("ann", "otp1", link.ID)
	c, err = s.buy("c5", token, 500, flow.Evidence{RequestID: "otp1", Digits: "no"})
	s.result("with a wrong code", c, err, fop.OTPNotMatched)
	c, err = s.buy("c6", token, 500, right)
	s.result("with a right one", c, err, fop.Success)
	c, err = s.buy("c7", token, 500, s.sends("bob", "otp2", id.Association{}))
	s.fails("with somebody else's code", c, err, flow.ErrNoCode)
	s.want("ann", 19_000, 1_000)
	s.sound()
}

// closes closes a link as its customer or the house would.
func (s *shop) closes(link fop.Association, why fop.Reason) {
	s.t.Helper()
	s.act(link.ID.Bucket(), func(p *book.Page) {
		row, _ := p.Associations.Get(link.ID)
		p.Associations.Put(row.Close(why, p.NowUS()))
		mine, _ := p.Linked.Get(fop.LinkedID(link.Customer))
		mine.Open--
		p.Linked.Put(mine)
	})
}

func TestAClosedLinkBuysNothing(t *testing.T) {
	t.Parallel()
	for why, want := range map[fop.Reason]fop.Result{
		fop.ClosedByCustomer: fop.TokenInvalidated, fop.ClosedByHouse: fop.AccountClosed, fop.ClosedForFraud: fop.AccountFraud, fop.ClosedTakenOver: fop.AccountTakenOver,
	} {
		s := newShop(t, book.NewMemory())
		s.has("ann", 20_000)
		link := s.linked("ann")
		c, err := s.buy("c1", shopToken+"ann", 500, flow.Evidence{})
		s.result("before", c, err, fop.Success)
		s.closes(link, why)
		c, err = s.buy("c2", shopToken+"ann", 500, flow.Evidence{})
		s.result(string(why), c, err, want)
		c, err = s.back("b1", "c1", inr(500))
		s.result("money goes back all the same", c, err, fop.Success)
		s.want("ann", 20_000, 0)
		s.sound()
	}
}

func TestGivingBack(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		s := newShop(t, db)
		s.has("ann", 20_000)
		s.linked("ann")
		c, err := s.back("b0", "c1", inr(100))
		s.fails("before the capture is there", c, err, flow.ErrNoCapture)
		c, err = s.buy("c1", shopToken+"ann", 5_000, flow.Evidence{})
		s.result("capture", c, err, fop.Success)
		c, err = s.buy("c2", shopToken+"ann", 50_000, flow.Evidence{})
		s.result("a declined one", c, err, fop.InsufficientFunds)
		c, err = s.back("b0", "c1", inr(2_000))
		s.result("a part, under the name that was refused before", c, err, fop.Success)
		again, err := s.back("b0", "c1", inr(2_000))
		if err != nil || again != c {
			t.Errorf("a repeat: %+v, %v, want %+v", again, err, c)
		}
		s.want("ann", 17_000, 3_000)
		c, err = s.back("b0", "c1", inr(2_001))
		s.fails("the same name with another amount", c, err, flow.ErrOtherCall)
		c, err = s.back("b1", "c1", inr(3_001))
		s.fails("more than what is left", c, err, flow.ErrOverRefund)
		c, err = s.back("b1", "c1", money.Amount{Minor: 100, Currency: "USD"})
		s.fails("in another currency", c, err, flow.ErrOtherCurrency)
		c, err = s.back("b1", "c2", inr(100))
		s.fails("of what was declined", c, err, flow.ErrNotCaptured)
		c, err = s.back("b1", "c1", inr(3_000))
		s.result("the rest", c, err, fop.Success)
		c, err = s.back("b2", "c1", inr(1))
		s.result("when nothing is left", c, err, fop.NoMoneyLeft)
		s.want("ann", 20_000, 0)
		s.sound()
	})
}

// TestParallelDuplicates: however many copies of a call come at once, money moves once,
// all hear the same, and refunds that together exceed do not pass together.
func TestParallelDuplicates(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		s := newShop(t, db)
		s.has("ann", 20_000)
		s.linked("ann")
		const copies = 8
		var wg sync.WaitGroup
		seen := make([]fop.Call, copies)
		for n := range copies {
			wg.Go(func() {
				var err error
				if seen[n], err = s.buy("c1", shopToken+"ann", 5_000, flow.Evidence{}); err != nil {
					t.Errorf("copy %d: %v", n, err)
				}
			})
		}
		wg.Wait()
		for n := range copies {
			if seen[n] != seen[0] {
				t.Errorf("copy %d heard %+v, another %+v", n, seen[n], seen[0])
			}
		}
		s.want("ann", 15_000, 5_000)
		var mu sync.Mutex
		passed := 0
		for n := range copies {
			wg.Go(func() {
				c, err := s.back(fmt.Sprint("b", n), "c1", inr(3_000))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil && c.Result == fop.Success:
					passed++
				case !errors.Is(err, flow.ErrOverRefund):
					t.Errorf("refund %d: %+v, %v", n, c, err)
				}
			})
		}
		wg.Wait()
		if passed != 1 {
			t.Errorf("%d refunds of 3000 of 5000 have passed", passed)
		}
		s.want("ann", 18_000, 2_000)
		s.sound()
	})
}

// TestPropertyMoneyMovesOnce: whatever order calls, repeats and refunds come in, each
// name moves money once at most, and no capture gives back more than it took.
func TestPropertyMoneyMovesOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := newShop(t, book.NewMemory())
		s.has("ann", 30_000)
		s.linked("ann")
		captures := map[string]int64{}
		refunds := map[string]int64{}
		given := map[string]int64{} // by capture
		left := int64(30_000)
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			capture := rapid.SampledFrom([]string{"c1", "c2", "c3"}).Draw(rt, "capture")
			minor := rapid.Int64Range(100, 20_000).Draw(rt, "minor")
			if rapid.Bool().Draw(rt, "buy") {
				c, err := s.buy(capture, shopToken+"ann", minor, flow.Evidence{})
				switch was, known := captures[capture]; {
				case err != nil && !errors.Is(err, flow.ErrOtherCall), err == nil && known && c.Amount.Minor != minor:
					rt.Fatalf("capture %s of %d: %+v, %v", capture, minor, c, err)
				case err == nil && !known && c.Result == fop.Success:
					left -= minor
					captures[capture] = minor
				case err == nil && !known:
					captures[capture] = 0
				case err != nil && !known:
					rt.Fatalf("capture %s, which was not known, of %d: %v; was %d", capture, minor, err, was)
				}
			} else {
				name := rapid.SampledFrom([]string{"b1", "b2", "b3", "b4"}).Draw(rt, "refund")
				c, err := s.back(name, capture, inr(minor))
				_, known := refunds[name]
				if err == nil && !known {
					refunds[name] = 0
					if c.Result == fop.Success {
						refunds[name] = minor
						given[capture] += minor
						left += minor
					}
				}
			}
			if given[capture] > captures[capture] {
				rt.Fatalf("capture %s of %d gave %d back", capture, captures[capture], given[capture])
			}
		}
		if a := s.balance("customer:1:ann", ledger.Available); a != left {
			rt.Fatalf("ann has %d, want %d", a, left)
		}
		report, err := verify.Run(t.Context(), s.db, verify.Options{})
		if err != nil || !report.OK {
			rt.Fatalf("verify: %v %v", report.Violations, err)
		}
	})
}
