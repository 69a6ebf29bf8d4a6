package paypage_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/paypage"
	"aorta/internal/project"
	"aorta/internal/risk"
	"aorta/internal/store/storetest"
	"aorta/internal/verification"
	"aorta/internal/verification/manual"
	"aorta/web"
)

// payer is a provider that sends money as the amount says, in minor units.
type payer struct{ psp }

const (
	sendsIt  = 1000
	says     = 1100 // no
	takesOff = 1200 // and cannot be reached
	waits    = 1300 // and says nothing yet
)

func (p *payer) Payout(_ context.Context, o connector.Order) connector.Outcome {
	switch o.Attempt.Amount.Minor {
	case sendsIt:
		return connector.Outcome{Kind: connector.Approved, Amount: o.Attempt.Amount, ProviderID: "p-1"}
	case says:
		return connector.Outcome{Kind: connector.Declined, Code: payment.CodeExternalDecline, ProviderCode: "51"}
	case takesOff:
		return connector.Outcome{Kind: connector.NotSent}
	}
	return connector.Outcome{Kind: connector.Pending}
}

func (p *payer) LookupPayout(context.Context, connector.Order) connector.Outcome {
	return connector.Outcome{Kind: connector.Pending}
}

func (p *payer) Capabilities() connector.Capabilities {
	return connector.Capabilities{Methods: []string{"bank"}, PayoutBeyond: true, LookupSchedule: []time.Duration{time.Hour}}
}

// bureau checks customers on a page of its own.
type bureau struct{ manual.Manual }

const bureauPage = "https://bureau.example/check?ref="

func (bureau) Start(_ context.Context, o verification.Order) verification.Outcome {
	return verification.Outcome{Kind: verification.Open, URL: bureauPage + o.Reference + "&back=" + url.QueryEscape(o.ReturnURL)}
}

const customerRules = `
profile = "generic"
[payout]
turnover_permille = 0
manual_above_minor = 150000
[[rule]]
id = "P04"
enabled = false
[[rule]]
id = "V10"
enabled = false
`

// customers is a licensed house whose customer c1 has 10,000.00 euros, and has once paid
// in a little from their bank.
type customers struct {
	*house
	book *book.Book
}

func licensedCustomers(t *testing.T, change func(*paypage.Options)) *customers {
	t.Helper()
	pr := project.Project{
		ID: 300, MerchantID: 2, Name: "Casino & <Sons>", Wallet: true, WalletOnly: true, LimitTime: time.Hour, Origins: []string{"https://house.example"},
		Methods: []project.Method{{Code: "generic-bank", Name: "Bank", Connector: "psp", Account: "demo", Currency: "EUR"}},
	}
	h := &house{TB: t, store: book.NewMemory(), project: pr, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	psp := &payer{psp{sales: map[string]connector.Outcome{}}}
	rules, err := risk.Load("rules.toml", []byte(customerRules))
	if err != nil {
		t.Fatal(err)
	}
	h.rules = rules
	var work sync.WaitGroup
	ctx := context.WithoutCancel(t.Context())
	b, err := book.New(ctx, []book.Home{{Store: h.store}}, book.Options{
		Now: h.clock, Random: rand.Reader, Epoch: 1,
		Work: func(rows []due.Due) {
			for _, d := range rows {
				if d.Kind != due.Deliver {
					work.Go(func() { _ = h.flows.Handle(ctx, d) })
				}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { work.Wait(); b.Close() })
	projects := func(n int64) (project.Project, bool) { return h.project, n == h.project.ID }
	h.flows = flow.New(b, h.store, flow.Options{
		Projects: projects, Connectors: func(name, _ string) (connector.Connector, bool) { return psp, name == "psp" },
		NotifyURL: func(name, account string) string { return "https://pay.example/n/" + name + "/" + account },
		Now:       h.clock, Rules: func(int64) *risk.Rules { return h.rules },
		Verifiers: verification.Directory{{Name: "bureau", Levels: []int64{1, 2}, Provider: bureau{}}, {Name: "people", Levels: []int64{3}, Provider: manual.Manual{}}},
	})
	o := paypage.Options{
		Flows: h.flows, Read: h.store, Projects: projects, PublicURL: func() string { return "https://pay.example" }, Key: [32]byte{7}, Now: h.clock,
	}
	if change != nil {
		change(&o)
	}
	h.page = paypage.New(o)
	c := &customers{h, b}
	c.deposit("c1")
	c.credit("c1", 1_000_000)
	return c
}

func euros(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "EUR"} }

func (c *customers) credit(name string, minor int64) {
	c.Helper()
	if _, err := c.flows.Credit(c.Context(), flow.WalletMove{Project: c.project, CustomerID: name, TxnID: "start " + name, Amount: euros(minor)}); err != nil {
		c.Fatal(err)
	}
}

// deposit pays 10.00 in, so that the house knows where payouts may go.
func (c *customers) deposit(name string) {
	c.Helper()
	b, err := c.flows.BeginSale(c.Context(), flow.SaleRequest{
		Project: c.project, Method: c.project.Methods[0], Door: "page", PaymentID: "in " + name, CustomerID: name, Amount: euros(1_000),
	})
	if err != nil {
		c.Fatal(err)
	}
	<-b.Asked
	if err := c.flows.Apply(c.Context(), b.Attempt, connector.Outcome{Kind: connector.Approved, Amount: euros(1_000), ProviderID: "s-1"}); err != nil {
		c.Fatal(err)
	}
}

func (c *customers) verified(name string, level int64) {
	c.Helper()
	storetest.Verify(c, c.book, customer.Customer{ID: c.flows.CustomerOf(c.project, name), MerchantID: 2, Name: name}, level)
}

// payout asks for one, and waits for the provider's first answer.
func (c *customers) payout(name string, minor int64) id.Payout {
	c.Helper()
	c.wait(time.Second)
	b, err := c.flows.BeginPayout(c.Context(), flow.PayoutRequest{
		Project: c.project, Route: flow.Route{Method: "generic-bank", Connector: "psp", Account: "demo"}, Door: "api", CustomerID: name, Amount: euros(minor),
	})
	if err != nil {
		c.Fatal(err)
	}
	if b.Asked != nil {
		<-b.Asked
	}
	return id.Payout(b.Payment.ID)
}

// link is the path of a customer's page for an hour.
func (c *customers) link(name string) string {
	c.Helper()
	text := c.page.CustomerURL(c.project, name, "https://house.example/account", "en", c.clock().Add(time.Hour))
	path, ours := strings.CutPrefix(text, "https://pay.example")
	if !ours {
		c.Fatalf("the link is %s", text)
	}
	return path
}

// shows gives what a page says of a payout.
func (c *customers) shows(path string, k id.Payout) string {
	c.Helper()
	a := c.get(path)
	found := regexp.MustCompile(`(?s)<li class="entry" data-payout="` + k.String() + `".*?</li>`).FindString(a.body)
	if a.status != http.StatusOK || found == "" {
		c.Fatalf("GET %s = %d, and shows nothing of %s: %s", path, a.status, k, a.body)
	}
	return found
}

func wantWords(t *testing.T, what, text string, has, hasNot []string) {
	t.Helper()
	for _, w := range has {
		if !strings.Contains(text, w) {
			t.Errorf("%s lacks %q: %.2000s", what, w, text)
		}
	}
	for _, w := range hasNot {
		if strings.Contains(text, w) {
			t.Errorf("%s has %q: %.2000s", what, w, text)
		}
	}
}

// TestCustomersPayouts: the page says in plain words where each payout stands, why it
// was not made, and what is asked of its customer.
func TestCustomersPayouts(t *testing.T) {
	t.Parallel()
	c := licensedCustomers(t, nil)
	link := c.link("c1")
	wantWords(t, "before any payout", c.get(link).body, []string{"You have not asked for a payout yet", `href="https://house.example/account"`}, []string{"<form"})
	early := c.payout("c1", sendsIt)
	wantWords(t, "one that needs a level", c.shows(link, early), []string{`data-state="verify"`, "€10.00", "show who you are", `value="verify"`, `value="cancel"`}, []string{"under_review"})
	c.verified("c1", 3)
	paid, no, away, open, held := c.payout("c1", sendsIt), c.payout("c1", says), c.payout("c1", takesOff), c.payout("c1", waits), c.payout("c1", 200_000)
	for _, tt := range []struct {
		what        string
		payout      id.Payout
		has, hasNot []string
	}{
		{"one that is paid", paid, []string{`data-state="paid"`, "state--good", "The money has been sent to you", `datetime="2026-01-02T03:04:07Z"`}, []string{"<form"}},
		{"one that is declined", no, []string{`data-state="failed"`, "The bank or wallet did not accept it.", "in your account again"}, []string{"<form"}},
		{"one that nobody takes", away, []string{`data-state="deferred"`, "Next try:", "<time"}, []string{`value="cancel"`}}, // it may yet be found to have been sent
		{"one on its way", open, []string{`data-state="processing"`}, []string{"<form"}},
		{"one that is held", held, []string{`data-state="review"`, "€2,000.00", "A person is looking at it", `value="cancel"`}, []string{"under_review", "manual", "rule"}},
	} {
		wantWords(t, tt.what, c.shows(link, tt.payout), tt.has, tt.hasNot)
	}
	all := c.get(link).body
	wantWords(t, "what happened", all, []string{`data-notice="payout"`, "Payout of €11.00: Not paid", "Payout of €2,000.00: Being checked", "Payout of €10.00: We need something from you"}, nil)
	if newest, oldest := strings.Index(all, held.String()), strings.Index(all, early.String()); newest > oldest {
		t.Error("the oldest payout stands before the newest")
	}
	if _, _, err := c.flows.RejectPayout(t.Context(), id.Payment(held), operator.Actor{Name: "ann"}, "secret suspicion"); err != nil {
		t.Fatal(err)
	}
	wantWords(t, "one that was rejected", c.shows(link, held), []string{`data-state="failed"`, "It was not approved. Support can tell you more."}, []string{"suspicion", "<form"})
	wantWords(t, "the page then", c.get(link).body, nil, []string{"suspicion"})
}

// TestCustomersButtons: a customer cancels a payout that waits, and goes on to be
// checked; nobody presses for somebody else.
func TestCustomersButtons(t *testing.T) {
	t.Parallel()
	c := licensedCustomers(t, nil)
	c.credit("c2", 1_000_000)
	link, other := c.link("c1"), c.link("c2")
	k := c.payout("c1", sendsIt)
	press := func(path, do string, k id.Payout, header ...string) answer {
		t.Helper()
		return c.post(path, url.Values{"do": {do}, "payout": {k.String()}}.Encode(), header...)
	}
	status := func(k id.Payout) payment.Status {
		t.Helper()
		p, _, err := c.store.Payment(t.Context(), id.Payment(k))
		if err != nil {
			t.Fatal(err)
		}
		return p.Status
	}
	for what, a := range map[string]answer{
		"by somebody else":       press(other, "cancel", k),
		"a check by another":     press(other, "verify", k),
		"by nobody who is known": press(c.link("c3"), "cancel", k),
		"of none":                c.post(link, "do=cancel"),
		"of what is none":        c.post(link, "do=cancel&payout=po_1"),
		"of one there is not":    press(link, "cancel", id.Payout(c.book.Mint(3))),
		"of one beyond":          press(link, "cancel", id.Payout{6: 200, 1: 1}),
		"another deed":           press(link, "pay", k),
		"no form":                c.post(link, `{"do":"cancel"}`, "Content-Type", "application/json"),
	} {
		if a.status != http.StatusBadRequest {
			t.Errorf("cancelled %s = %d %s, want 400", what, a.status, a.location())
		}
	}
	for _, do := range []string{"cancel", "verify"} { // a provider's POST that brings the customer back looks the same
		if a := press(link, do, k, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"); a.status != http.StatusSeeOther || a.location() != link {
			t.Errorf("%s by a page of another house = %d %s, want 303 to the page", do, a.status, a.location())
		}
	}
	if v, err := c.flows.Verification(t.Context(), c.project, "c1"); err != nil || len(v.Checks) != 0 {
		t.Errorf("checks are %v (%v), want none", v.Checks, err)
	}
	if s := status(k); s != payment.StatusStepUp {
		t.Fatalf("after presses that are nobody's it is %s", s)
	}
	if a := press(link, "verify", k); a.status != http.StatusSeeOther || a.location() != link {
		t.Errorf("beginning a check = %d %s", a.status, a.location())
	}
	back := regexp.QuoteMeta(url.QueryEscape("https://pay.example" + link))
	if text := c.shows(link, k); !regexp.MustCompile(`<a class="button" href="https://bureau\.example/check\?ref=kyc_[0-9a-z]+&amp;back=`+back+`"`).MatchString(text) || strings.Contains(text, `value="verify"`) {
		t.Errorf("with a check under way: %s", text)
	}
	if v, err := c.flows.Verification(t.Context(), c.project, "c1"); err != nil || len(v.Checks) != 1 {
		t.Errorf("checks are %v (%v), want one", v.Checks, err)
	}
	press(link, "verify", k)
	if v, err := c.flows.Verification(t.Context(), c.project, "c1"); err != nil || len(v.Checks) != 1 {
		t.Errorf("pressed twice: checks are %v (%v), want one", v.Checks, err)
	}
	for range 2 { // the second finds it done
		if a := press(link, "cancel", k); a.status != http.StatusSeeOther || a.location() != link {
			t.Errorf("cancel = %d %s", a.status, a.location())
		}
	}
	if s := status(k); s != payment.StatusCancelled {
		t.Errorf("it is %s", s)
	}
	wantWords(t, "cancelled", c.shows(link, k), []string{`data-state="cancelled"`, "in your account again"}, []string{"<form"})
	press(link, "verify", k)
	c.verified("c1", 3)
	paid := c.payout("c1", sendsIt)
	if a := press(link, "cancel", paid); a.status != http.StatusSeeOther || status(paid) != payment.StatusPaid {
		t.Errorf("cancelling what is paid = %d, and it is %s", a.status, status(paid))
	}
	strict := *c.rules
	strict.Payout.Cancel = false
	c.rules = &strict
	held := c.payout("c1", 200_000)
	wantWords(t, "where the rules take no cancelling", c.shows(link, held), nil, []string{"<form"})
	press(link, "cancel", held)
	if s := status(held); s != payment.StatusHold {
		t.Errorf("cancelled though the rules take none: %s", s)
	}
}

// TestCustomersLink: a link opens one customer's page, until its time is over, and
// nothing else opens it.
func TestCustomersLink(t *testing.T) {
	t.Parallel()
	c := licensedCustomers(t, nil)
	c.credit("c2", 100)
	link := c.link("c1")
	a := c.get(link)
	if a.status != http.StatusOK {
		t.Fatalf("the page = %d %s", a.status, a.body)
	}
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	policy := a.header.Get("Content-Security-Policy")
	wantWords(t, "the policy", policy, []string{"default-src 'none'", "form-action 'self';", "frame-ancestors https://house.example"}, []string{"unsafe"})
	wantWords(t, "the link", link, nil, []string{"c1"}) // who it is of, only we know
	body, mac, _ := strings.Cut(strings.TrimPrefix(link, "/customer/"), ".")
	text, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		t.Fatal(err)
	}
	longer := base64.RawURLEncoding.EncodeToString([]byte(regexp.MustCompile(`"u":\d+`).ReplaceAllString(string(text), `"u":9999999999`)))
	otherBody, _, _ := strings.Cut(strings.TrimPrefix(c.link("c2"), "/customer/"), ".")
	for what, path := range map[string]string{
		"nothing": "/customer/x", "no signature": "/customer/" + body, "an empty one": "/customer/" + body + ".", "a longer one": "/customer/" + longer + "." + mac,
		"another's": "/customer/" + otherBody + "." + mac, "cut": link[:len(link)-1], "a payment's": strings.Replace(link, "/customer/", "/payment/s/", 1),
	} {
		for _, a := range []answer{c.get(path), c.post(path, "do=cancel")} {
			if a.status != http.StatusNotFound || strings.Contains(a.body, "Casino") {
				t.Errorf("%s = %d %s", what, a.status, a.body)
			}
		}
	}
	c.wait(time.Hour - time.Second)
	if a := c.get(link); a.status != http.StatusOK {
		t.Errorf("a second before its end = %d", a.status)
	}
	c.wait(time.Second)
	for _, a := range []answer{c.get(link), c.post(link, "do=cancel&payout="+id.Payout{}.String())} {
		if a.status != http.StatusGone || !strings.Contains(a.body, `href="https://house.example/account"`) {
			t.Errorf("at its end = %d %s", a.status, a.body)
		}
	}
	fresh := c.link("c1")
	c.project.MerchantID = 9
	if a := c.get(fresh); a.status != http.StatusNotFound {
		t.Errorf("of a project that is another merchant's now = %d", a.status)
	}
	c.project.ID = 301
	if a := c.get(fresh); a.status != http.StatusNotFound {
		t.Errorf("of a project that is gone = %d", a.status)
	}
}

// TestCustomersLimits: limits, restrictions and what happened are shown as they are,
// in every language, and nothing of what the house thinks.
func TestCustomersLimits(t *testing.T) {
	t.Parallel()
	c := licensedCustomers(t, nil)
	change := flow.CustomerChange{Project: c.project, CustomerID: "c1", By: flow.Player(c.project)}
	house := flow.CustomerChange{Project: c.project, CustomerID: "c1", By: operator.Actor{Name: "carol"}, Reason: "secret suspicion"}
	check := func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	check(
		c.flows.SetLimit(t.Context(), change, customer.LimitDeposit, limit.Day, euros(10_000)),
		c.flows.SetLimit(t.Context(), change, customer.LimitDeposit, limit.Day, euros(20_000)),
		c.flows.SetLimit(t.Context(), change, customer.LimitLoss, limit.Week, euros(5_000)),
		c.flows.RemoveLimit(t.Context(), change, customer.LimitLoss, limit.Week),
		c.flows.SetHouseLimit(t.Context(), house, customer.LimitSingleDeposit, limit.Once, euros(7_000)),
	)
	link := c.link("c1")
	wantWords(t, "the limits", c.get(link).body, []string{
		`data-limit="deposit"`, "What you pay in, in 24 hours: <strong>€100.00</strong>", "€200.00 instead can be confirmed from", "That it goes can be confirmed from",
		"What you pay in, at one time: <strong>€70.00</strong>", "(not set by you)", "We have set a limit for you", "Higher limit asked for",
	}, []string{"suspicion", "carol", "restricted."})
	check(
		c.flows.CoolOff(t.Context(), change, 24),
		c.flows.Restrict(t.Context(), house, customer.Restraint{Restriction: customer.Frozen}),
	)
	wantWords(t, "who is frozen", c.get(link).body, []string{"Support can tell you more", "You have paused until"}, []string{"frozen", "sanction", "suspicion", "carol", "You can still ask for your money"})
	other := house
	other.By = operator.Actor{Name: "rod", Roles: operator.Roles(operator.MLRO)}
	check(c.flows.Lift(t.Context(), other, customer.Frozen), c.flows.SetHouseLimit(t.Context(), other, customer.LimitSingleDeposit, limit.Once, money.Amount{Currency: "EUR"}))
	wantWords(t, "who has paused", c.get(link).body, []string{"You have paused paying in and playing.", `datetime="2026-01-03T03:04:05Z"`, "You can still ask for your money.", "A restriction of your account was lifted.", "We have taken away our limit"}, nil)
	c.verified("c1", 1)
	c.payout("c1", sendsIt)
	for _, lang := range web.Languages() {
		a := c.get(strings.TrimPrefix(c.page.CustomerURL(c.project, "c1", "", lang, c.clock().Add(time.Minute)), "https://pay.example"))
		if found := regexp.MustCompile(`(?:customer|payout|notice|limit|period|restricted)\.[a-z_]+[.<: ]`).FindString(a.body); a.status != http.StatusOK || found != "" || !strings.Contains(a.body, `<html lang="`+lang+`"`) {
			t.Errorf("in %s the page = %d, and shows %q", lang, a.status, found)
		}
	}
}

// TestCustomersPageWithTheStoreAway: nobody is told that they have nothing.
func TestCustomersPageWithTheStoreAway(t *testing.T) {
	t.Parallel()
	c := licensedCustomers(t, func(o *paypage.Options) { o.Read = away{o.Read} })
	if a := c.get(c.link("c1")); a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "/customer/") {
		t.Errorf("the page = %d %s", a.status, a.body)
	}
}

// away is a store that does not answer.
type away struct{ book.Reader }

func (away) Customer(context.Context, id.Customer) (customer.Customer, bool, error) {
	return customer.Customer{}, false, book.ErrNotRun
}
