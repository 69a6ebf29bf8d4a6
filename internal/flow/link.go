package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/id"
)

// Customers of a merchant who are one person are excluded together, and no more once that
// is lifted (limits-and-risk.md section 1.3). Each lies in a bucket of their own, so that
// is no act: a due row of the customer who changed has it told to the others, again and
// again until it is done, and telling it twice changes nothing. No merchant has a word in
// who pays in at another one's.
//
//	customer A ── excluded ──▶ due.Link of A ──▶ person: A, B, C ──▶ B, C excluded
//	customer D ── verified ──▶ due.Link of D ──▶ D joins the person ──▶ D excluded
//
// Each step reads what the one before has made durable: a customer joins before the
// others are read, and who is excluded is so before the members are read. So of two
// that happen at once at least one sees the other.

// personID is where a person lies, as a merchant knows them: in the bucket of their own
// hash. Another merchant's person with the same hash is another one.
func personID(buckets int, merchant int64, hash string) id.Person {
	scope := "person:" + strconv.FormatInt(merchant, 10)
	return id.Person(id.Derive(id.BucketOf(buckets, scope, hash), scope, hash))
}

// linkNow has a customer linked with those who are the same person.
func linkNow(p *book.Page, k id.Customer) {
	p.Due.Get(k.Raw())
	p.Due.Put(due.Now(k.Raw(), due.Link, p.NowUS(), p.Epoch(), nil))
}

// spread has a restriction told to those who are the same person, or that it was lifted,
// if it is one that holds for all of them. It is called by the act that changes it.
func spread(p *book.Page, c customer.Customer, r customer.Restriction) {
	if !c.Person.IsZero() && r.OfPerson() {
		linkNow(p, c.ID)
	}
}

// maxMembers bounds how many customers one person can be. Beyond it linking fails,
// and goes on failing loudly: that many accounts of one person are nobody's mistake.
const maxMembers = 1000

var errMembers = errors.New("too many customers are one person")

// link links a customer with those who are the same person.
func (f *Flows) link(ctx context.Context, d due.Due) error {
	k := id.Customer(d.ID)
	c, ok, err := f.read.Customer(ctx, k)
	if err != nil || !ok {
		return fmt.Errorf("read customer to link (found %t): %w", ok, err)
	}
	v, err := customer.DecodeVerification(c.Checks)
	if err != nil {
		return err
	}
	var failed error
	for _, person := range v.Persons {
		failed = errors.Join(failed, f.linkTo(ctx, person, k))
	}
	if failed != nil {
		return failed // the due row has it done again: by then it is for those alone who have not heard
	}
	_, err = book.Do(ctx, f.book, book.Act[struct{}]{
		Name: "link.end", Bucket: k.Bucket(), Background: true,
		Hint: func(p *book.Page) { p.Due.Get(d.ID) },
		Decide: func(p *book.Page) (struct{}, error) {
			// Only what this process holds: should the customer have changed meanwhile, it is to be done again.
			if row, ok := p.Due.Get(d.ID); ok && row.DueUS == d.DueUS && row.Owner == d.Owner {
				p.Due.Delete(d.ID)
			}
			return struct{}{}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("end link of %s: %w", k, err)
	}
	return nil
}

// linkTo makes a customer a member of a person, and has the restrictions of each told
// to the other: the new member's to all, and all theirs to a new member. One who cannot
// be told keeps nobody else from hearing.
func (f *Flows) linkTo(ctx context.Context, person id.Person, k id.Customer) error {
	members, err := f.join(ctx, person, k, false)
	if err != nil {
		return err
	}
	joined := slices.ContainsFunc(members, func(m customer.Member) bool { return m.Customer == k && m.Joined })
	var failed error
	for _, m := range members {
		if m.Customer == k {
			continue
		}
		if ctx.Err() != nil {
			return errors.Join(failed, ctx.Err())
		}
		failed = errors.Join(failed, f.restrictAs(ctx, m.Customer, k))
		if !joined {
			failed = errors.Join(failed, f.restrictAs(ctx, k, m.Customer))
		}
	}
	if joined || failed != nil {
		return failed
	}
	_, err = f.join(ctx, person, k, true)
	return err
}

// join makes a customer a member of a person, and gives all members. done: they have
// what the others had.
func (f *Flows) join(ctx context.Context, person id.Person, k id.Customer, done bool) ([]customer.Member, error) {
	members, err := book.Do(ctx, f.book, book.Act[[]customer.Member]{
		Name: "person.join", Bucket: person.Bucket(), Background: true,
		Hint: func(p *book.Page) { p.Persons.Get(person) },
		Decide: func(p *book.Page) ([]customer.Member, error) {
			row, ok := p.Persons.Get(person)
			if !ok {
				row = customer.Person{ID: person}
			}
			members, err := customer.MembersOf(row)
			if err != nil {
				return nil, err
			}
			n := slices.IndexFunc(members, func(m customer.Member) bool { return m.Customer == k })
			switch {
			case n < 0 && len(members) >= maxMembers:
				return nil, fmt.Errorf("person %s: %w", person, errMembers)
			case n < 0:
				members = append(members, customer.Member{Customer: k, Joined: done})
			case done && !members[n].Joined:
				members[n].Joined = true
			default:
				return members, nil
			}
			text, err := json.Marshal(members)
			if err != nil {
				return nil, fmt.Errorf("members of %s: %w", person, err)
			}
			row.Members, row.ChangedUS = string(text), p.NowUS()
			p.Persons.Put(row)
			return members, nil
		},
	})
	if err != nil {
		return nil, fmt.Errorf("join %s to %s: %w", k, person, err)
	}
	return members, nil
}

// restrictAs has a customer restricted as another one of the same person is, and no more
// by what was lifted there.
func (f *Flows) restrictAs(ctx context.Context, k, as id.Customer) error {
	other, ok, err := f.read.Customer(ctx, as)
	if err != nil || !ok {
		return fmt.Errorf("read customer %s (found %t): %w", as, ok, err)
	}
	from, err := customer.DecodeLimits(other.Limits)
	if err != nil {
		return fmt.Errorf("limits of %s: %w", as, err)
	}
	if len(from.Restraints)+len(from.Gone) == 0 || mutation == "unlinked" {
		return nil
	}
	if known, err := f.hasHeard(ctx, k, as, from); known || err != nil {
		return err
	}
	_, err = book.Do(ctx, f.book, book.Act[struct{}]{
		Name: "person.restrict", Bucket: k.Bucket(), Background: true,
		Hint: func(p *book.Page) { p.Customers.Get(k) },
		Decide: func(p *book.Page) (struct{}, error) {
			c, ok := p.Customers.Get(k)
			if !ok {
				return struct{}{}, fmt.Errorf("customer %s: %w", k, errNobody)
			}
			own, err := customer.DecodeLimits(c.Limits)
			if err != nil {
				return struct{}{}, fmt.Errorf("limits of %s: %w", k, err)
			}
			// What is gone there goes first: else it would stand here for what took its place there, and go with nothing left.
			next, limits, lifted := c.LiftAs(own, from, p.NowUS())
			next, limits, restricted := next.RestrictAs(limits, as, from, p.NowUS())
			lifted = slices.DeleteFunc(lifted, func(r customer.Restraint) bool {
				return slices.ContainsFunc(limits.Restraints, func(x customer.Restraint) bool { return x.Restriction == r.Restriction })
			})
			if next == c {
				return struct{}{}, nil
			}
			putBounded(p, next, limits)
			for _, r := range restricted {
				note(p, k, NoteLinked, "rules", linkedNote{Restriction: r.Restriction, Until: instantOf(r.UntilUS)})
			}
			for _, r := range lifted {
				note(p, k, NoteUnlinked, "rules", linkedNote{Restriction: r.Restriction})
			}
			linkNow(p, k) // they may be known as somebody else, too
			return struct{}{}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("restrict %s as %s: %w", k, as, err)
	}
	return nil
}

// hasHeard reports whether a customer's row says already what restrictAs would make of
// it. Whoever tells many of which one failed asks again, and the others cost no act.
func (f *Flows) hasHeard(ctx context.Context, k, as id.Customer, from customer.Limits) (bool, error) {
	c, ok, err := f.read.Customer(ctx, k)
	switch {
	case err != nil:
		return false, fmt.Errorf("read customer %s: %w", k, err)
	case !ok:
		return false, fmt.Errorf("customer %s: %w", k, errNobody)
	}
	own, err := customer.DecodeLimits(c.Limits)
	if err != nil {
		return false, fmt.Errorf("limits of %s: %w", k, err)
	}
	now := f.opts.Now().UnixMicro()
	next, limits, _ := c.RestrictAs(own, as, from, now)
	next, _, _ = next.LiftAs(limits, from, now)
	return next == c, nil
}

var errNobody = errors.New("no such customer")

// Kinds of note of a customer who is the same person as another one.
const (
	NoteLinked   = "restricted_as_person"         // they are restricted, since the other is
	NoteUnlinked = "restriction_lifted_as_person" // it was lifted there
)

type linkedNote struct {
	Restriction customer.Restriction `json:"restriction"`
	Until       string               `json:"until,omitempty"`
}
