package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/project"
	"aorta/internal/risk"
)

// What --limits says: the core bench pays into wallets, of customers without limits, or
// of a licensed project's with every limit that there is.
const (
	limitsNone = "none"
	limitsAll  = "all"
)

// limitedCustomers is how many customers take turns then: enough that none of them
// pays in all the time.
const limitedCustomers = 10_000

// limitedProjects are those of the core bench with --limits.
func (c benchCmd) limitedProjects() []project.Project {
	all := benchProjects(c.Accounts)
	for n := range all {
		all[n].Wallet, all[n].WalletOnly = true, true
	}
	return all
}

// benchRules are a profile's, whose customers need no level, since a level is borne by a
// check that they passed; with a rate, without which each deposit would be a case, and
// that is so high that no sum of deposits is reached.
const benchRules = "profile = \"generic\"\n[rates]\nINR = \"1000000\"\n[kyc.l0]\ndeposits = \"agreed\"\n"

// payoutRules are of a house whose payouts are checked in full, and wait for nothing: its
// customers need no level, and what would have a person look is found and noted without
// effect, since a thousand customers ask for thirty payouts each, of money that they were
// given.
const payoutRules = `profile = "generic"

[kyc.l0]
payouts = "agreed"

[[rule]]
id = "V10"
shadow = true

[[rule]]
id = "A07"
shadow = true
`

// rules are those that the bench's project has: with all limits a profile's, else none.
func (c benchCmd) rules() (func(int64) *risk.Rules, error) {
	if c.Limits != limitsAll {
		return nil, nil
	}
	rules, err := risk.Load("bench", []byte(benchRules))
	return func(int64) *risk.Rules { return rules }, err
}

// meet makes the customers of each project: with all limits, so high that none refuses.
func (b *coreBench) meet(ctx context.Context, to *book.Book, limited bool) error {
	const high = 1 << 50
	work := make(chan int)
	var wg sync.WaitGroup
	var once sync.Once
	var failed error
	for range 64 {
		wg.Go(func() {
			for n := range work {
				p := b.projects[n%len(b.projects)]
				if err := meetOne(ctx, to, p, "customer-"+strconv.Itoa(n), high, limited); err != nil {
					once.Do(func() { failed = err })
				}
			}
		})
	}
	for n := range limitedCustomers {
		work <- n
	}
	close(work)
	wg.Wait()
	return failed
}

func meetOne(ctx context.Context, to *book.Book, p project.Project, name string, most int64, limited bool) error {
	row := customer.Customer{MerchantID: p.MerchantID, Name: name}
	row.ID = customer.KeyOf(p.PaymentBucket(buckets, "", name), strconv.FormatInt(p.MerchantID, 10), name)
	_, err := book.Do(ctx, to, book.Act[struct{}]{
		Name: "bench.meet", Bucket: row.ID.Bucket(), Hint: func(pg *book.Page) { pg.Customers.Get(row.ID) },
		Decide: func(pg *book.Page) (struct{}, error) {
			if _, ok := pg.Customers.Get(row.ID); ok {
				return struct{}{}, nil
			}
			c := row
			c.CreatedUS = pg.NowUS()
			if limited {
				c.Limits = everyLimit(money.Amount{Minor: most, Currency: p.Methods[0].Currency}, pg.NowUS()).Encode()
			}
			pg.Customers.Put(c)
			return struct{}{}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("meet %s: %w", name, err)
	}
	return nil
}

// everyLimit is a limit of each kind and period.
func everyLimit(a money.Amount, nowUS int64) customer.Limits {
	var l customer.Limits
	for _, k := range customer.LimitKinds() {
		for _, p := range k.Periods() {
			if p == limit.CalendarMonth {
				continue // few rules offer it
			}
			l.List = append(l.List, customer.Limit{Kind: k, Period: p, Amount: a, SetUS: nowUS, LowerUS: nowUS})
		}
	}
	return l
}
