package storetest

import (
	"testing"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/id"
)

// Verify gives a customer, who need not be known, a level by a check that was passed
// and does not end; level 0 takes all their levels away.
func Verify(t testing.TB, b *book.Book, c customer.Customer, level int64) {
	t.Helper()
	_, err := book.Do(t.Context(), b, book.Act[struct{}]{Name: "test.verify", Bucket: c.ID.Bucket(), Decide: func(p *book.Page) (struct{}, error) {
		row, ok := p.Customers.Get(c.ID)
		if !ok {
			row = c
			row.CreatedUS = p.NowUS()
		}
		var v customer.Verification
		if level > 0 {
			check := customer.Check{
				ID: id.Check(p.Mint()), Customer: c.ID, Level: level, State: customer.CheckPassed, Provider: "test", Facts: "{}",
				CreatedUS: p.NowUS(), ChangedUS: p.NowUS(),
			}
			p.Checks.New(check)
			v = v.Pass(customer.Proof{Level: level, Check: check.ID}, id.Person{})
		}
		p.Customers.Put(row.Verified(v, p.NowUS()))
		return struct{}{}, nil
	}})
	if err != nil {
		t.Fatalf("verify a customer: %v", err)
	}
}
