package opsapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/connector/exchange"
	"aorta/internal/due"
	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/operator"
	"aorta/internal/opsapi"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/risk"
	"aorta/internal/store/storetest"
	"aorta/internal/verification"
	"aorta/internal/verification/manual"
	"aorta/internal/verify"

	"github.com/prometheus/client_golang/prometheus"
)

// silent is a PSP that takes everything and says nothing.
type silent struct{ payouts atomic.Int64 }

func (*silent) Capabilities() connector.Capabilities {
	return connector.Capabilities{PayoutBeyond: true}
}

func (*silent) Sale(context.Context, connector.Order) connector.Outcome {
	return connector.Outcome{Kind: connector.Pending}
}

func (s *silent) Payout(context.Context, connector.Order) connector.Outcome {
	s.payouts.Add(1)
	return connector.Outcome{Kind: connector.Unknown}
}

func (*silent) LookupPayout(context.Context, connector.Order) connector.Outcome {
	return connector.Outcome{Kind: connector.Unknown}
}

// shop gives an office over flows with a PSP that says nothing: what it is made to
// say later, the test books itself.
func shop(t *testing.T, db storetest.DB) *office {
	t.Helper()
	o := &office{t: t, db: db, tokens: map[string]string{}, now: start, sealer: operator.NewSealer([32]byte{9})}
	random := &locked{r: seeded{rand.NewChaCha8([32]byte{11})}}
	var mu sync.Mutex
	var work []due.Due
	b, err := book.New(t.Context(), []book.Home{{Store: db}}, book.Options{Now: o.clock, Random: random, Epoch: 1, Work: func(rows []due.Due) {
		mu.Lock()
		defer mu.Unlock()
		work = append(work, rows...)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	find := func(n int64) (project.Project, bool) {
		return project.Project{
			ID: n, MerchantID: 1, LateSuccess: project.LateHold, LimitTime: time.Hour, Wallet: true,
			Methods: []project.Method{{Code: "card", Connector: "psp", Account: "main", Currency: "EUR"}},
		}, n == 200
	}
	persons, err := verification.NewPersonKey(exchange.NewSecret("a key of the persons here"))
	if err != nil {
		t.Fatal(err)
	}
	psp := &silent{}
	o.book, o.find, o.sent = b, find, func() int { return int(psp.payouts.Load()) }
	o.flows = flow.New(b, db, flow.Options{
		Vault:    fop.NewVault([32]byte{1}, random),
		Projects: find, Connectors: func(string, string) (connector.Connector, bool) { return psp, true }, Now: o.clock,
		Rules:     func(int64) *risk.Rules { return o.rules },
		NotifyURL: func(string, string) string { return "https://pay.example/n" },
		Verifiers: verification.Directory{{Name: "bureau", Levels: []int64{1}, Provider: speaking{}}, {Name: "people", Levels: []int64{2, 3}, Provider: manual.Manual{}}},
		Persons:   persons,
		Google:    emptyStatements{},
	})
	o.door = opsapi.New(opsapi.Options{
		Read: db, Metrics: prometheus.NewRegistry(), Token: "sesame", Projects: find,
		Operators: &opsapi.Operators{Flows: o.flows, Hash: operator.NewHasher([32]byte{9}), Sealer: o.sealer, Random: random, Now: o.clock},
	})
	o.settle = func() {
		for {
			mu.Lock()
			rows := work
			work = nil
			mu.Unlock()
			if len(rows) == 0 {
				return
			}
			for _, d := range rows {
				if err := o.flows.Handle(t.Context(), d); err != nil {
					t.Error(err)
				}
			}
		}
	}
	return o
}

func eur(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "EUR"} }

// late makes a payment whose money comes after our decline, and gives its case.
func (o *office) late(name string, said int64) (flow.Begun, string) {
	o.t.Helper()
	p := project.Project{ID: 200, MerchantID: 1, Wallet: true, LimitTime: time.Minute, LateSuccess: project.LateHold}
	b, err := o.flows.BeginSale(o.t.Context(), flow.SaleRequest{
		Project: p, Method: project.Method{Code: "card", Connector: "psp", Account: "main", Currency: "EUR"}, Door: "api", PaymentID: name, CustomerID: name, Amount: eur(5000),
	})
	if err != nil {
		o.t.Fatal(err)
	}
	o.settle()
	for _, out := range []connector.Outcome{{Kind: connector.Declined, Code: payment.CodeGeneralDecline}, {Kind: connector.Approved, Amount: eur(said)}} {
		if err := o.flows.Apply(o.t.Context(), b.Attempt, out); err != nil {
			o.t.Fatal(err)
		}
	}
	return b, o.caseOf(b.Payment.ID)
}

func (o *office) caseOf(p id.Payment) string {
	o.t.Helper()
	rows, err := o.db.Cases(o.t.Context(), id.Case{}, 1000)
	if err != nil {
		o.t.Fatal(err)
	}
	n := slices.IndexFunc(rows, func(c payment.Case) bool { return c.Payment == p })
	if n < 0 {
		o.t.Fatalf("no case about %s", p)
	}
	return rows[n].ID.String()
}

func (o *office) sound() {
	o.t.Helper()
	report, err := verify.Run(o.t.Context(), o.db, verify.Options{})
	if err != nil || !report.OK {
		o.t.Errorf("verify: %v %v", report.Violations, err)
	}
}

// TestCases: operators see, take, prove and settle cases over HTTP; who may not, and
// who comes twice, is refused.
func TestCases(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		o := shop(t, db)
		o.hire(operator.Viewer, operator.Support, operator.Finance, operator.PayoutApprover, operator.Admin)
		o.name("erin", operator.Finance)
		b, name := o.late("c1", 5000)
		path := "/admin/cases/" + name
		seen := o.want("viewer", "GET", path, "", 200)
		if text := fmt.Sprint(seen["resolutions"]); seen["state"] != "open" || !strings.Contains(text, "credit") || seen["customer"] == nil || strings.Contains(fmt.Sprint(seen), "c1") {
			t.Errorf("the case is shown as %v", seen)
		}
		unknown := id.Case(o.book.Mint(3)).String()
		for _, call := range []struct {
			who, path, body string
			want            int
		}{
			{"", path + "/resolve", `{"resolution":"credit","note":"x"}`, 401},
			{"sesame", path + "/resolve", `{"resolution":"credit","note":"x"}`, 403},
			{"viewer", path + "/resolve", `{"resolution":"credit","note":"x"}`, 403},
			{"support", path + "/resolve", `{"resolution":"credit","note":"x"}`, 403},
			{"finance", path + "/resolve", `{"resolution":"credit"}`, 422},
			{"finance", path + "/resolve", `{"resolution":"paid","note":"x"}`, 422},
			{"finance", path + "/resolve", `{"resolution":"","note":"x"}`, 422},
			{"finance", path + "/resolve", `{"resolution":"credit","note":"x","amount":1}`, 422},
			{"finance", path + "/resolve", `{"resolution":"close","note":"x"}`, 409},
			{"finance", path + "/evidence", `{"note":"card 4111 1111 1111 1111"}`, 422},
			{"finance", path + "/evidence", `{"note":"x","reference":"4111111111111111"}`, 422},
			{"finance", path + "/evidence", `{}`, 422},
			{"finance", "/admin/cases/" + unknown + "/resolve", `{"resolution":"credit","note":"x"}`, 404},
			{"finance", "/admin/cases/" + unknown + "/assign", `{}`, 404},
			{"finance", "/admin/cases/case_1/assign", `{}`, 422},
			{"finance", path + "/assign", `{"to":"nobody"}`, 422},
			{"finance", path + "/reopen", `{"note":"x"}`, 409},
		} {
			o.want(call.who, "POST", call.path, call.body, call.want)
		}
		o.want("finance", "GET", "/admin/cases/"+unknown, "", 404)
		if got := o.want("support", "POST", path+"/assign", `{"to":"finance"}`, 200); got["state"] != "assigned" || got["owner"] != "finance" {
			t.Errorf("assigned = %v", got)
		}
		o.want("finance", "POST", path+"/evidence", `{"note":"seen in their books","reference":"TCK-7"}`, 200)
		if got := o.want("finance", "POST", path+"/resolve", `{"resolution":"credit","note":"theirs"}`, 200); got["state"] != "investigating" || got["proposed"] == nil {
			t.Errorf("resolved by the first = %v", got)
		}
		o.want("finance", "POST", path+"/resolve", `{"resolution":"credit","note":"theirs"}`, 403)
		for range 2 {
			if got := o.want("erin", "POST", path+"/resolve", `{"resolution":"credit","note":"theirs"}`, 200); got["state"] != "resolved" || got["resolution"] != "credit" || len(got["log"].([]any)) != 4 {
				t.Errorf("resolved = %v", got)
			}
		}
		o.want("finance", "POST", path+"/resolve", `{"resolution":"refund","note":"theirs"}`, 409)
		if p, _, err := db.Payment(t.Context(), b.Payment.ID); err != nil || p.Status != payment.StatusCaptured {
			t.Errorf("the payment is %s (%v)", p.Status, err)
		}
		list := o.want("finance", "GET", "/admin/cases?state=resolved&kind=late_success&owner=finance", "", 200)["cases"].([]any)
		none := o.want("finance", "GET", "/admin/cases?state=open", "", 200)["cases"].([]any)
		if len(list) != 1 || len(none) != 0 {
			t.Errorf("%d cases are resolved, %d open; want 1 and 0", len(list), len(none))
		}
		o.want("finance", "GET", "/admin/cases?state=lost", "", 422)
		for what, want := range map[[2]string]int{
			{"viewer", "case.read"}: 1, {"support", "case.assign"}: 1, {"finance", "case.evidence"}: 1, {"finance", "case.credit"}: 1, {"erin", "case.credit"}: 1, {"finance", "case.list"}: 2,
		} {
			if got := o.logged(what[0], what[1]); got != want {
				t.Errorf("%s by %s is logged %d times, want %d", what[1], what[0], got, want)
			}
		}
		o.sound()
	})
}

// TestTwoPeople: a payout of which nobody knows is settled by two, and a mismatch is
// accepted by two.
func TestTwoPeople(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		o := shop(t, db)
		o.hire(operator.Support)
		o.name("dan", operator.Finance)
		o.name("erin", operator.Finance)
		o.name("paul", operator.PayoutApprover)
		p := project.Project{ID: 200, MerchantID: 1, Wallet: true, LimitTime: time.Hour}
		if _, err := o.flows.Credit(t.Context(), flow.WalletMove{Project: p, CustomerID: "c2", TxnID: "start", Amount: eur(9000)}); err != nil {
			t.Fatal(err)
		}
		b, err := o.flows.BeginPayout(t.Context(), flow.PayoutRequest{
			Project: p, Route: flow.Route{Method: "card", Connector: "psp", Account: "main"}, Door: "api", PayoutID: "w1", CustomerID: "c2", Amount: eur(4000),
		})
		if err != nil {
			t.Fatal(err)
		}
		o.settle()
		o.mu.Lock()
		o.now = o.now.Add(25 * time.Hour)
		o.mu.Unlock()
		if err := o.flows.Apply(t.Context(), b.Attempt, connector.Outcome{Kind: connector.Unknown}); err != nil {
			t.Fatal(err)
		}
		path := "/admin/cases/" + o.caseOf(b.Payment.ID) + "/resolve"
		o.want("support", "POST", path, `{"resolution":"paid","note":"x"}`, 403)
		first := o.want("dan", "POST", path, `{"resolution":"paid","note":"in their books"}`, 200)
		if who := fmt.Sprint(first["proposed"]); first["state"] != "investigating" || !strings.Contains(who, "dan") {
			t.Errorf("by the first: %v", first)
		}
		again := o.want("dan", "POST", path, `{"resolution":"paid","note":"still"}`, 403)
		if details, _ := json.Marshal(again["details"]); again["error"] != "forbidden" || string(details) != `{"reason":"same_person"}` {
			t.Errorf("by the same: %v", again)
		}
		if done := o.want("paul", "POST", path, `{"resolution":"paid","note":"I see it too"}`, 200); done["state"] != "resolved" {
			t.Errorf("by the second: %v", done)
		}
		if got, _, err := db.Payment(t.Context(), b.Payment.ID); err != nil || got.Status != payment.StatusPaid {
			t.Errorf("the payout is %s (%v)", got.Status, err)
		}

		sale, err := o.flows.BeginSale(t.Context(), flow.SaleRequest{
			Project: p, Method: project.Method{Code: "card", Connector: "psp", Account: "main", Currency: "EUR"}, Door: "api", PaymentID: "m1", CustomerID: "c3", Amount: eur(5000),
		})
		if err != nil {
			t.Fatal(err)
		}
		o.settle()
		if err := o.flows.Apply(t.Context(), sale.Attempt, connector.Outcome{Kind: connector.Approved, Amount: eur(4900)}); err != nil {
			t.Fatal(err)
		}
		path = "/admin/cases/" + o.caseOf(sale.Payment.ID) + "/resolve"
		o.want("paul", "POST", path, `{"resolution":"accept","note":"x"}`, 403)
		o.want("dan", "POST", path, `{"resolution":"accept","note":"the customer paid the fee"}`, 200)
		o.want("dan", "POST", path, `{"resolution":"accept","note":"x"}`, 403)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { o.want("erin", "POST", path, `{"resolution":"accept","note":"agreed"}`, 200) })
		}
		wg.Wait()
		if got, _, err := db.Payment(t.Context(), sale.Payment.ID); err != nil || got.Status != payment.StatusCaptured || got.CapturedMinor != 4900 {
			t.Errorf("the payment is %s of %d (%v)", got.Status, got.CapturedMinor, err)
		}
		if got := o.logged("erin", "case.accept"); got != 1 {
			t.Errorf("accepted by erin is logged %d times, want 1", got)
		}
		o.sound()
	})
}
