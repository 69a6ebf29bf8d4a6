package verify

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/id"
)

// checkStates say of a check in each state whether something must be due of it: always
// (it will be looked up), when it has an end, or never.
var checkStates = map[customer.CheckState]string{"open": "always", "passed": "with an end", "failed": "never", "expired": "never"}

// verified is what a customer's row says of who they are, until the checks say so too.
type verified struct {
	row  customer.Customer
	says customer.Verification
	met  map[id.Check]bool // checks that have come by
}

// takeVerified keeps what a customer's row says of checks, and that nothing is said
// twice of it.
func (c *checker) takeVerified(x *customer.Customer) {
	v, err := customer.DecodeVerification(x.Checks)
	if err != nil {
		c.violation(C13, "What is known of customer %s cannot be read: %v.", x.ID, err)
		return
	}
	if x.Checks == "" && x.Level == 0 && x.Person.IsZero() {
		return
	}
	c.verified[x.ID] = &verified{row: *x, says: v, met: map[id.Check]bool{}}
	who := id.Raw{}
	if len(v.Persons) > 0 {
		who = v.Persons[0].Raw()
	}
	if x.Person != who {
		c.violation(C13, "Customer %s is one person by the row, and another by what is known of them.", x.ID)
	}
}

// takeLink: who is to be told to the others of the same person is a customer. Their row
// does not come by among those of payments.
func (c *checker) takeLink(d *due.Due) {
	k := id.Customer(d.ID)
	if _, known := c.customers[k]; !known {
		c.violation(C13, "Due row %s (%s) has no subject.", rawText(d.ID), d.Kind)
	}
	c.linking[k] = true
	if c.opts.AtRest {
		c.violation(C11, "Customer %s is not linked in the end.", k)
	}
}

// takeCheck: a check is of a customer, who knows of it, and of what is still to come
// of it something is due (C5, C11, C13).
func (c *checker) takeCheck(x *customer.Check) {
	waits := c.isDue(x.ID.Raw(), due.Check)
	must, known := checkStates[x.State]
	switch {
	case !known:
		c.violation(C5, "Check %s is in state %q, which does not exist.", x.ID, x.State)
		return
	case x.Level < 1 || x.Level > 3:
		c.violation(C5, "Check %s is for level %d, which does not exist.", x.ID, x.Level)
	}
	var facts struct {
		Screen bool `json:"screen"`
	}
	if err := json.Unmarshal([]byte(x.Facts), &facts); err != nil && x.Facts != "" {
		c.violation(C5, "The facts of check %s cannot be read.", x.ID)
	}
	if want := must == "always" || must == "with an end" && (x.UntilUS != 0 || facts.Screen); want != waits {
		c.violation(C11, "Check %s is %s until %d, and work is due of it: %t.", x.ID, x.State, x.UntilUS, waits)
	}
	v := c.verified[x.Customer]
	if v == nil {
		v = &verified{}
	}
	isOpen := slices.ContainsFunc(v.says.Open, func(p customer.Proof) bool { return p.Check == x.ID && p.Level == x.Level })
	if isOpen != (x.State == "open") {
		c.violation(C13, "Check %s is %s, and under way for customer %s: %t.", x.ID, x.State, x.Customer, isOpen)
	}
	bears := slices.ContainsFunc(v.says.Proofs, func(p customer.Proof) bool { return p.Check == x.ID })
	if bears && x.State != "passed" {
		c.violation(C13, "Check %s is %s, and bears a level of customer %s.", x.ID, x.State, x.Customer)
	}
	if bears && !slices.Contains(v.says.Proofs, customer.Proof{Level: x.Level, Check: x.ID, UntilUS: x.UntilUS}) {
		c.violation(C13, "Check %s gives level %d until %d, and customer %s has something else by it.", x.ID, x.Level, x.UntilUS, x.Customer)
	}
	if v.met != nil {
		v.met[x.ID] = true
	}
}

// judgeLevels: whoever has a level has it by a check that they passed (C13). One that
// has ended may still be on the row, until the act that is due of it has noticed.
func (c *checker) judgeLevels() {
	for _, k := range slices.SortedFunc(maps.Keys(c.verified), id.Customer.Compare) {
		v := c.verified[k]
		borne := v.row.Level == 0
		for _, p := range slices.Concat(v.says.Proofs, v.says.Open) {
			if !v.met[p.Check] {
				c.violation(C13, "Customer %s names check %s, which does not exist.", k, p.Check)
			}
		}
		for _, p := range v.says.Proofs {
			borne = borne || p.Level == v.row.Level && p.UntilUS == v.row.LevelUntilUS
			if p.Level > v.row.Level && p.UntilUS == 0 {
				c.violation(C13, "Customer %s has level %d, and passed check %s for level %d.", k, v.row.Level, p.Check, p.Level)
			}
		}
		if !borne {
			c.violation(C13, "Customer %s has level %d until %d, and no check that they passed bears it.", k, v.row.Level, v.row.LevelUntilUS)
		}
	}
}

// judgePersons: a person's members are customers, and whoever is known as a person is
// one of their members, or about to be (C13).
func (c *checker) judgePersons(ctx context.Context) error {
	member := map[id.Person]map[id.Customer]bool{}
	all := pages[customer.Person, id.Person]{scan: c.read.ScanPersons, key: func(x *customer.Person) id.Person { return x.ID }, take: func(x *customer.Person) {
		members, err := customer.MembersOf(*x)
		if err != nil {
			c.violation(C13, "The members of person %s cannot be read: %v.", x.ID, err)
			return
		}
		member[x.ID] = map[id.Customer]bool{}
		for _, m := range members {
			if member[x.ID][m.Customer] {
				c.violation(C13, "Customer %s is person %s twice.", m.Customer, x.ID)
			}
			member[x.ID][m.Customer] = true
			if _, known := c.customers[m.Customer]; !known {
				c.violation(C13, "Person %s is customer %s, who does not exist.", x.ID, m.Customer)
			}
			if !m.Joined && !c.linking[m.Customer] {
				c.violation(C11, "Customer %s is person %s, and nobody will tell them what keeps the others out.", m.Customer, x.ID)
			}
		}
	}}
	if err := merge(ctx, &all); err != nil {
		return err
	}
	for _, k := range slices.SortedFunc(maps.Keys(c.verified), id.Customer.Compare) {
		for _, who := range c.verified[k].says.Persons {
			if !member[who][k] && !c.linking[k] {
				c.violation(C13, "Customer %s is known as person %s, who does not know of it.", k, who)
			}
		}
	}
	return nil
}
