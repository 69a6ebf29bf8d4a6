package verify_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/connector"
	"aorta/internal/connector/exchange"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/project"
	"aorta/internal/risk"
	"aorta/internal/verification"
	"aorta/internal/verify"
)

// bureau passes level 1 at once, and leaves the rest open.
type bureau struct{}

func (bureau) Start(_ context.Context, o verification.Order) verification.Outcome {
	if o.Level == 1 {
		return verification.Outcome{Kind: verification.Passed, Result: verification.Result{Person: strings.Repeat("0a", 32), Holder: "Ann", Until: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}}
	}
	if o.CustomerID == "bob" {
		return verification.Outcome{Kind: verification.Failed, Result: verification.Result{Reason: "mismatch"}}
	}
	return verification.Outcome{Kind: verification.Open, URL: "https://kyc.example/1"}
}

func (bureau) Lookup(context.Context, verification.Order) verification.Outcome {
	return verification.Outcome{Kind: verification.Open}
}

// checked has a house in which ann and bob, the same person, have passed level 1; she
// has another check under way, and he has failed one.
func checked(t *testing.T) *book.Memory {
	t.Helper()
	h := newHouse(t)
	pr, _ := projects(licensed)
	persons, err := verification.NewPersonKey(exchange.NewSecret("a key of the persons here"))
	if err != nil {
		t.Fatal(err)
	}
	h.flows = flow.New(h.book, h.memory, flow.Options{
		Projects: func(int64) (project.Project, bool) { return pr, true }, Rules: func(int64) *risk.Rules { return rules() },
		Connectors: func(string, string) (connector.Connector, bool) { return h, true },
		Now:        func() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.now }, NotifyURL: func(string, string) string { return "https://pay.example/n" },
		Verifiers: verification.Directory{{Name: "bureau", Levels: []int64{1, 2}, Provider: bureau{}}}, Persons: persons,
	})
	for _, each := range []flow.CheckRequest{{CustomerID: "ann", Level: 1}, {CustomerID: "bob", Level: 1}, {CustomerID: "ann", Level: 2}, {CustomerID: "bob", Level: 2}} {
		each.Project = pr
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // nobody works beside it
		if _, err := h.flows.StartCheck(ctx, each); err != nil {
			t.Fatal(err)
		}
		cancel()
		h.later(time.Second)
		h.pump()
	}
	return h.memory
}

func (r rows) customerOf(name string) *customer.Customer {
	return pick(r.Customers.Insert, func(c *customer.Customer) bool { return c.Name == name })
}

func (r rows) checkIn(state customer.CheckState) *customer.Check {
	return pick(r.Checks.Insert, func(c *customer.Check) bool { return c.State == state })
}

// Each defect of levels and persons must be found, and be called what it is.
func TestCorruptionsOfChecks(t *testing.T) {
	t.Parallel()
	house := checked(t)
	if report := run(t, allRows(t, house).store(t), verify.Options{}); !report.OK {
		t.Fatalf("violations in a house that is healthy: %s", list(report.Violations))
	}
	dueOf := func(r rows, k id.Raw) *due.Due {
		return pick(r.Due.Insert, func(d *due.Due) bool { return d.ID == k })
	}
	for n, test := range []struct {
		name    string
		check   verify.Check
		corrupt func(r rows)
		want    string
	}{
		{"a level from nowhere", verify.C13, func(r rows) { r.customerOf("bob").Level = 3 }, "no check that they passed bears it"},
		{"a level that ends later than its check", verify.C13, func(r rows) { r.customerOf("bob").LevelUntilUS++ }, "no check that they passed bears it"},
		{"a level without what is known", verify.C13, func(r rows) { c := r.customerOf("bob"); c.Checks = "" }, "no check that they passed bears it"},
		{"a check lost", verify.C13, func(r rows) {
			k := r.checkIn(customer.CheckOpen).ID
			drop(&r.Checks.Insert, func(c *customer.Check) bool { return c.ID == k })
		}, "which does not exist"},
		{"a proof that was not passed", verify.C13, func(r rows) { r.checkIn(customer.CheckPassed).State = customer.CheckFailed }, "bears a level"},
		{"a proof of another level", verify.C13, func(r rows) { r.checkIn(customer.CheckPassed).Level = 2 }, "has something else by it"},
		{"a proof of another's", verify.C13, func(r rows) { r.checkIn(customer.CheckOpen).Customer = r.customerOf("bob").ID }, "under way for customer"},
		{"no such state", verify.C5, func(r rows) { r.checkIn(customer.CheckFailed).State = "lost" }, "which does not exist"},
		{"no such level", verify.C5, func(r rows) { r.checkIn(customer.CheckFailed).Level = 4 }, "level 4"},
		{"nobody looks it up", verify.C11, func(r rows) {
			k := r.checkIn(customer.CheckOpen).ID.Raw()
			drop(&r.Due.Insert, func(d *due.Due) bool { return d.ID == k })
		}, "is open until 0, and work is due of it: false"},
		{"nobody notices its end", verify.C11, func(r rows) {
			k := r.checkIn(customer.CheckPassed).ID.Raw()
			drop(&r.Due.Insert, func(d *due.Due) bool { return d.ID == k })
		}, "and work is due of it: false"},
		{"work on what has ended", verify.C11, func(r rows) {
			d := *dueOf(r, r.checkIn(customer.CheckOpen).ID.Raw())
			d.ID = r.checkIn(customer.CheckFailed).ID.Raw()
			r.Due.Insert = append(r.Due.Insert, d)
		}, "is failed until 0, and work is due of it: true"},
		{"what is known cannot be read", verify.C13, func(r rows) { r.customerOf("ann").Checks = "?" }, "cannot be read"},
		{"another person by the row", verify.C13, func(r rows) { r.customerOf("ann").Person = id.Raw{1} }, "another by what is known"},
		{"a person who does not know of it", verify.C13, func(r rows) { r.Persons.Insert[0].Members = "" }, "who does not know of it"},
		{"a member who is nobody", verify.C13, func(r rows) {
			k := r.customerOf("ann").ID
			x := &r.Persons.Insert[0]
			x.Members = strings.Replace(x.Members, k.String(), id.Customer{7}.String(), 1)
		}, "who does not exist"},
		{"a member who is not told", verify.C11, func(r rows) {
			x := &r.Persons.Insert[0]
			x.Members = strings.Replace(x.Members, `,"joined":true`, "", 1)
		}, "nobody will tell them"},
		{"a link of nobody", verify.C13, func(r rows) { r.Due.Insert = append(r.Due.Insert, due.At(id.Raw{1}, due.Link, 1)) }, "has no subject"},
	} {
		t.Run(fmt.Sprint(n, " ", test.name), func(t *testing.T) {
			t.Parallel()
			r := allRows(t, house)
			test.corrupt(r)
			report := run(t, r.store(t), verify.Options{})
			found := regexp.MustCompile(string(test.check) + ": .*" + test.want)
			for _, v := range report.Violations {
				if found.MatchString(v) {
					return
				}
			}
			t.Errorf("want %s %q, found %s", test.check, test.want, list(report.Violations))
		})
	}
}
