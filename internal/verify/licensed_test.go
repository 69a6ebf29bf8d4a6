package verify_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"aorta/internal/connector"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/instrument"
	"aorta/internal/ledger"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/risk"
	"aorta/internal/store/storetest"
	"aorta/internal/verify"
)

// cashDesk approves sales, and answers payouts by their method.
type cashDesk struct {
	*house
	payouts map[string]connector.Outcome
}

func (c *cashDesk) Sale(_ context.Context, o connector.Order) connector.Outcome {
	kind := instrument.Kind(strings.TrimPrefix(o.Method, "generic-"))
	return connector.Outcome{Kind: connector.Approved, ProviderID: "1", Amount: o.Attempt.Amount, Instrument: connector.Instrument{Token: "t-" + string(kind), Kind: kind}}
}

func (c *cashDesk) Payout(_ context.Context, o connector.Order) connector.Outcome {
	if out, ok := c.payouts[o.Method]; ok {
		return out
	}
	return connector.Outcome{Kind: connector.Approved, ProviderID: "2", Amount: o.Attempt.Amount}
}

func (c *cashDesk) Refund(_ context.Context, o connector.Order) connector.Outcome {
	return connector.Outcome{Kind: connector.Approved, ProviderID: "3", Amount: o.Attempt.Amount}
}

const licensedRules = `
profile = "generic"
[payout]
merchant_day_max_minor = 10000000
account_day_max_minor = 10000000
turnover_permille = 0
manual_above_minor = 30000
dual_above_minor = 60000
[[rule]]
id = "P04"
enabled = false
[[rule]]
id = "V10"
enabled = false
`

// cashed has the rows of a licensed house whose customer was paid out in every way:
// in parts, in part, approved by two, held, deferred.
func cashed(t *testing.T) rows {
	t.Helper()
	h := newHouse(t)
	desk := &cashDesk{house: h}
	rules, err := risk.Load("rules.toml", []byte(licensedRules))
	if err != nil {
		t.Fatal(err)
	}
	pr, _ := projects(wallets)
	pr.Methods = nil
	for _, m := range []string{"generic-card", "generic-bank"} {
		pr.Methods = append(pr.Methods, project.Method{Code: m, Connector: "generic", Account: m, Currency: "EUR"})
	}
	h.flows = flow.New(h.book, h.memory, flow.Options{
		Projects: func(int64) (project.Project, bool) { return pr, true }, Rules: func(int64) *risk.Rules { return rules },
		Connectors: func(string, string) (connector.Connector, bool) { return desk, true },
		Now:        func() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.now }, NotifyURL: func(string, string) string { return "https://pay.example/n" },
	})
	eur := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "EUR"} }
	if _, err := h.flows.Credit(t.Context(), flow.WalletMove{Project: pr, CustomerID: "c", TxnID: "won", Amount: eur(200_000)}); err != nil {
		t.Fatal(err)
	}
	k := h.flows.CustomerOf(pr, "c")
	storetest.Verify(t, h.book, customer.Customer{ID: k}, 3)
	for n, m := range pr.Methods {
		h.later(time.Second)
		b, err := h.flows.BeginSale(t.Context(), flow.SaleRequest{Project: pr, Method: m, Door: "api", PaymentID: "in-" + m.Code, CustomerID: "c", Amount: eur(20_000)})
		if err != nil {
			t.Fatal(err)
		}
		h.pump()
		if pay, _, _ := h.memory.Payment(t.Context(), b.Payment.ID); n == 1 {
			if _, err := h.flows.BeginRefund(t.Context(), flow.RefundRequest{Project: pr, Payment: pay, Amount: eur(500)}); err != nil {
				t.Fatal(err)
			}
			h.pump()
		}
	}
	pay := func(name string, minor int64) id.Payment {
		h.later(time.Second)
		b, err := h.flows.BeginPayout(t.Context(), flow.PayoutRequest{Project: pr, Door: "api", PayoutID: name, CustomerID: "c", Amount: eur(minor), ForfeitBonus: true})
		if err != nil {
			t.Fatal(err)
		}
		h.pump()
		return b.Payment.ID
	}
	if _, err := h.flows.GrantBonus(t.Context(), flow.WalletMove{Project: pr, CustomerID: "c", TxnID: "gift", Amount: eur(40)}); err != nil {
		t.Fatal(err)
	}
	pay("paid", 25_000)
	desk.payouts = map[string]connector.Outcome{"generic-bank": {Kind: connector.Pending}}
	pay("open", 1_000)
	desk.payouts = nil
	approved := pay("approved", 60_001)
	pay("held", 30_001)
	for _, who := range []string{"ann", "bob"} {
		h.later(time.Second)
		if _, _, err := h.flows.ApprovePayout(t.Context(), approved, operator.Actor{Name: who}, ""); err != nil {
			t.Fatal(err)
		}
	}
	h.pump()
	desk.payouts = map[string]connector.Outcome{"generic-bank": {Kind: connector.NotSent}}
	pay("waits", 700)
	return allRows(t, h.memory)
}

func (r rows) review(name string) *payment.Review {
	p := r.payment(name)
	return pick(r.Reviews.Insert, func(x *payment.Review) bool { return x.ID == p.ID.Raw() })
}

// theirs is the float of what the merchant pays out.
var theirs = fmt.Sprint("merchant:", wallets)

// changeSource changes the source of a method.
func (r rows) changeSource(method string, change func(*limit.Source)) {
	row := pick(r.Windows.Insert, func(w *limit.Window) bool { return w.Sources != "" })
	list, err := limit.DecodeSources(row.Sources)
	if err != nil {
		panic(err)
	}
	for n := range list {
		if list[n].Method == method {
			change(&list[n])
		}
	}
	row.Sources = limit.EncodeSources(list)
}

func (r rows) payoutWindow() *limit.Window {
	return pick(r.Windows.Insert, func(w *limit.Window) bool { return w.Kind == limit.Payouts })
}

func (r rows) claim(name, float string) *limit.Claim {
	p := r.payment(name)
	return pick(r.Claims.Insert, func(c *limit.Claim) bool { return c.Payment == p.ID && c.Name == float })
}

// changeFloat changes what a float holds in euros.
func (r rows) changeFloat(name string, change func(limit.Outflow) limit.Outflow) {
	f := pick(r.Floats.Insert, func(f *limit.Float) bool { return f.Name == name })
	out, err := f.Outflows()
	if err != nil {
		panic(err)
	}
	out["EUR"] = change(out["EUR"])
	*f = f.With(out, f.ChangedUS)
}

// partOf is the last part of a payout.
func (r rows) partOf(name string) *payment.Operation {
	p := r.payment(name)
	return pick(r.Operations.Insert, func(o *payment.Operation) bool { return o.ID == p.LastOperation })
}

func (r rows) sent(name string) *payment.Attempt {
	o := r.partOf(name)
	return pick(r.Attempts.Insert, func(a *payment.Attempt) bool { return a.ID == o.Attempt })
}

// Each defect of a licensed house's payouts must be found, and be called what it is.
func TestCorruptionsOfLicensedPayouts(t *testing.T) {
	t.Parallel()
	if report := run(t, cashed(t).store(t), verify.Options{}); !report.OK {
		t.Fatalf("violations in a house that is healthy: %s", list(report.Violations))
	}
	tests := []struct {
		name    string
		check   verify.Check
		corrupt func(r rows)
		want    string
	}{
		{"parts do not sum to it", verify.C3, func(r rows) { r.payment("paid").Amount.Minor++ }, "its parts of"},
		{"more is said to be paid", verify.C3, func(r rows) { r.payment("paid").CapturedMinor++ }, "its parts say"},
		{"more is said to be back", verify.C3, func(r rows) { r.payment("open").RefundedMinor++ }, "its parts say"},
		{"a part lost", verify.C13, func(r rows) {
			k := r.partOf("paid").ID
			drop(&r.Operations.Insert, func(o *payment.Operation) bool { return o.ID == k })
		}, "break at"},
		{"ended while a part is open", verify.C5, func(r rows) { r.payment("open").Status = payment.StatusPaid }, "by its parts it must be"},
		{"deferred, with a part on its way", verify.C5, func(r rows) { r.payment("open").Status = payment.StatusDeferred }, "by its parts it must be"},
		{"held, and a part sent", verify.C5, func(r rows) { r.payment("waits").Status = payment.StatusHold }, "by its parts it must be"},
		{"of a project without rules, and held", verify.C13, func(r rows) {
			k := r.review("held").ID
			drop(&r.Reviews.Insert, func(x *payment.Review) bool { return x.ID == k })
		}, "has no attempt|operations, want one"},
		{"review of nothing", verify.C13, func(r rows) { r.review("held").ID = id.Raw(mint(r.payment("held").ID)) }, "is of no payout"},
		{"sent without a decision", verify.C5, func(r rows) {
			r.review("paid").Log = strings.ReplaceAll(r.review("paid").Log, `"action":"allow","approvals"`, `"action":"hold","approvals"`)
			r.review("paid").Log = regexp.MustCompile(`("rules":"[0-9a-f]+","action":)"allow"`).ReplaceAllString(r.review("paid").Log, `$1"hold"`)
		}, "no decision had allowed it"},
		{"sent with one approval of two", verify.C5, func(r rows) {
			x := r.review("approved")
			x.Approvals = strings.Replace(x.Approvals, `"bob"`, `"ann"`, 1)
		}, "approval of 1 people, but needs 2"},
		{"approved by the last editor", verify.C5, func(r rows) { r.review("approved").Editor = "bob" }, "approval of 1 people"},
		{"approved after it was sent", verify.C5, func(r rows) {
			x := r.review("approved")
			x.Approvals = regexp.MustCompile(`"at_us":\d+`).ReplaceAllString(x.Approvals, `"at_us":9999999999999999`)
		}, "approval of 0 people"},
		{"sent again after an unclear answer", verify.C3, func(r rows) {
			again := *r.sent("waits")
			before := r.sent("waits")
			again.ID, again.Prev, again.Status = id.Attempt(mint(again.ID)), before.ID, payment.AttemptAsking
			before.Status = payment.AttemptUnknown
			r.Attempts.Insert = append(r.Attempts.Insert, again)
			r.partOf("waits").Attempt = again.ID
		}, "was sent again after attempt"},
		{"paid, and never sent", verify.C3, func(r rows) { r.partOf("held").Status = payment.OperationSuccess }, "was never sent|settle"},
		{"one debit too many", verify.C3, func(r rows) {
			x := *r.transfer("paid", ledger.KindPayoutSettle)
			x.ID = mint(x.ID)
			r.Transfers = append(r.Transfers, x)
		}, `payout_settle|is one too many`},
		{"a release of what was paid", verify.C3, func(r rows) {
			x := *r.transfer("paid", ledger.KindPayoutReserve)
			x.ID, x.Kind = mint(x.ID), ledger.KindPayoutRelease
			x.Postings = []ledger.Posting{x.Postings[1], x.Postings[0]}
			x.Postings[0].Minor, x.Postings[1].Minor = -x.Postings[0].Minor, -x.Postings[1].Minor
			r.Transfers = append(r.Transfers, x)
		}, `payout_release`},
		{"nothing will send it", verify.C11, func(r rows) { r.Due.Insert = nil }, "nothing will send it"},
		{"a source that has taken more", verify.C3, func(r rows) { r.changeSource("generic-card", func(s *limit.Source) { s.Captured++ }) }, "its payments say"},
		{"a source that was refunded less", verify.C3, func(r rows) { r.changeSource("generic-bank", func(s *limit.Source) { s.Refunded-- }) }, "its payments say"},
		{"a source that was paid less", verify.C3, func(r rows) { r.changeSource("generic-card", func(s *limit.Source) { s.Paid-- }) }, "its payments say"},
		{"a source of another token", verify.C3, func(r rows) { r.changeSource("generic-card", func(s *limit.Source) { s.Token = "t-other" }) }, "no source says so"},
		{"a share that nobody reserves", verify.C3, func(r rows) { r.changeSource("generic-bank", func(s *limit.Source) { s.Open = nil }) }, "no source has them reserved"},
		{"a share of another amount", verify.C3, func(r rows) { r.changeSource("generic-bank", func(s *limit.Source) { s.Open[0].Minor++ }) }, "is not such a part"},
		{"sources lost", verify.C3, func(r rows) {
			for n := range r.Windows.Insert {
				r.Windows.Insert[n].Sources = ""
			}
		}, "no source says so"},
		{"sources in another window", verify.C13, func(r rows) {
			in := pick(r.Windows.Insert, func(w *limit.Window) bool { return w.Sources != "" })
			r.payoutWindow().Sources, in.Sources = in.Sources, ""
		}, "lie elsewhere"},
		{"a window without entries", verify.C3, func(r rows) {
			pick(r.Windows.Insert, func(w *limit.Window) bool { return w.Sources != "" }).Entries = ""
		}, "has no entries"},
		{"a part that went elsewhere", verify.C3, func(r rows) { r.sent("open").Way = "generic-bank t-other" }, "is not such a part|no source says so"},
		{"a part that went nowhere", verify.C13, func(r rows) { r.sent("open").Way = "" }, "says not where to"},
		{"a window that has paid less", verify.C3, func(r rows) { r.payoutWindow().EverMinor-- }, "their payouts say"},
		{"a window without what is under way", verify.C3, func(r rows) {
			w := r.payoutWindow()
			e, err := limit.DecodeEntries(w.Entries)
			if err != nil {
				panic(err)
			}
			e.Free(r.payment("open").ID)
			w.Entries = e.Encode()
		}, "does not count it"},
		{"a window of what has ended", verify.C3, func(r rows) {
			w := r.payoutWindow()
			e, err := limit.DecodeEntries(w.Entries)
			if err == nil {
				err = e.Reserve(r.payment("paid").ID, 5, w.ChangedUS)
			}
			if err != nil {
				panic(err)
			}
			w.Entries = e.Encode()
		}, "which has 0 under way"},
		{"windows lost", verify.C3, func(r rows) {
			drop(&r.Windows.Insert, func(w *limit.Window) bool { return w.Kind == limit.Payouts })
		}, "no window says so"},
		{"a window of payouts that limits do not count", verify.C13, func(r rows) {
			for n := range r.Customers.Insert {
				limits, err := customer.DecodeLimits(r.Customers.Insert[n].Limits)
				if err != nil {
					panic(err)
				}
				limits.Paid = nil
				r.Customers.Insert[n].Limits = limits.Encode()
			}
		}, "which their limits do not count"},
		{"a bonus taken that nobody gave up", verify.C3, func(r rows) {
			r.review("paid").Log = strings.ReplaceAll(r.review("paid").Log, `"forfeit":true`, `"forfeit":false`)
		}, "nobody agreed|bonus_forfeit.*is one too many"},
		{"a bonus taken twice", verify.C3, func(r rows) {
			x := *r.transfer("paid", ledger.KindBonusForfeit)
			x.ID = mint(x.ID)
			r.Transfers = append(r.Transfers, x)
		}, "bonus_forfeit"},
		{"a bonus given up, and not taken", verify.C3, func(r rows) {
			k := r.transfer("paid", ledger.KindBonusForfeit).ID
			drop(&r.Transfers, func(x *ledger.Transfer) bool { return x.ID == k })
		}, "has 0 transfers of kind bonus_forfeit"},
		{"another bonus than was given up", verify.C3, func(r rows) {
			x := r.transfer("paid", ledger.KindBonusForfeit)
			x.Postings = []ledger.Posting{x.Postings[0], x.Postings[1]}
			x.Postings[0].Minor, x.Postings[1].Minor = 41, -41
		}, "does not move the bonus of 40"},
		{"a merchant's float that holds less", verify.C3, func(r rows) { r.changeFloat(theirs, func(o limit.Outflow) limit.Outflow { o.Reserved--; return o }) }, "the claims on it"},
		{"an account's float that has paid less", verify.C3, func(r rows) {
			r.changeFloat("psp:generic:generic-card", func(o limit.Outflow) limit.Outflow { o.Minutes[0][1]--; return o })
		}, "the claims on it"},
		{"a request that does not count", verify.C3, func(r rows) {
			w := pick(r.Windows.Insert, func(w *limit.Window) bool { return w.Kind == limit.Requests })
			e, err := limit.DecodeEntries(w.Entries)
			if err != nil {
				panic(err)
			}
			e.List = e.List[1:]
			w.Entries = e.Encode()
		}, "as asked for"},
		{"a request that nobody made", verify.C3, func(r rows) {
			w := pick(r.Windows.Insert, func(w *limit.Window) bool { return w.Kind == limit.Requests })
			e, err := limit.DecodeEntries(w.Entries)
			if err != nil {
				panic(err)
			}
			e.Add(5, w.ChangedUS)
			w.Entries = e.Encode()
		}, "as asked for"},
		{"turnover of more than was paid in", verify.C3, func(r rows) {
			w := pick(r.Windows.Insert, func(w *limit.Window) bool { return w.Kind == limit.Deposits })
			w.SinceMinor = w.EverMinor + 1
		}, "since"},
		{"a float lost", verify.C13, func(r rows) { r.Floats.Insert = nil }, "which does not exist"},
		{"a claim that nothing ends", verify.C11, func(r rows) {
			k := r.Claims.Insert[0].ID
			drop(&r.Due.Insert, func(d *due.Due) bool { return d.ID == k })
		}, "will not be ended"},
		{"a claim of less than was paid", verify.C3, func(r rows) {
			r.claim("paid", theirs).Minor--
			r.changeFloat(theirs, func(o limit.Outflow) limit.Outflow { o.Minutes[0][1]--; return o })
		}, `of which merchant:\d+ (has|counts)`},
		{"a claim of less than is under way", verify.C3, func(r rows) {
			r.claim("open", theirs).Minor--
			r.changeFloat(theirs, func(o limit.Outflow) limit.Outflow { o.Reserved--; return o })
		}, `of which merchant:\d+ has`},
		{"used by one that is under way", verify.C3, func(r rows) { r.claim("open", theirs).State = limit.ClaimUsed }, "has not ended"},
		{"sent without a place", verify.C3, func(r rows) {
			for _, p := range []string{"paid", "open"} {
				x := *r.claim(p, theirs)
				drop(&r.Claims.Insert, func(c *limit.Claim) bool { return c.ID == x.ID })
				drop(&r.Due.Insert, func(d *due.Due) bool { return d.ID == x.ID })
			}
		}, "has no place in merchant"},
		{"another customer's review", verify.C3, func(r rows) { r.review("paid").Customer = id.Customer{} }, "the payout is customer"},
	}
	for n, test := range tests {
		t.Run(fmt.Sprint(n, " ", test.name), func(t *testing.T) {
			t.Parallel()
			r := cashed(t)
			test.corrupt(r)
			report := run(t, r.store(t), verify.Options{})
			found := regexp.MustCompile(string(test.check) + ": .*(" + test.want + ")")
			for _, v := range report.Violations {
				if found.MatchString(v) {
					return
				}
			}
			t.Errorf("want %s %q, found %s", test.check, test.want, list(report.Violations))
		})
	}
}
