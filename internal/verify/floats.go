package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"aorta/internal/due"
	"aorta/internal/id"
	"aorta/internal/limit"
	"aorta/internal/payment"
)

// What a merchant and a PSP account paid out in a day is kept as sums over customers
// (limits-and-risk.md section 4.7), and a second time as the claims of payouts, which
// are kept for as long as they count.

// floats are what claims have said, and what payouts say that there must be.
type floats struct {
	claims []limit.Claim
	of     map[place]limit.ClaimState
	needed []need
}

// place is that of a payout in a float.
type place struct {
	payment id.Payment
	float   string
}

// need is a place that a payout was let go with.
type need struct {
	place
	open    bool
	endedUS int64
}

const dayUS = 24 * hourUS

// takeClaim: a claim ends with its payout, whatever happens: there is work that sees to it.
func (c *checker) takeClaim(x *limit.Claim) {
	if !c.isDue(x.ID, due.Float) {
		c.violation(C11, "Claim %s of payout %s on %s will not be ended: it has no due row.", rawText(x.ID), x.Payment, x.Name)
	}
	if x.ID != limit.ClaimID(x.Float(), x.Payment) {
		c.violation(C13, "Claim %s of payout %s on %s lies elsewhere.", rawText(x.ID), x.Payment, x.Name)
	}
	if c.floats.of == nil {
		c.floats.of = map[place]limit.ClaimState{}
	}
	c.floats.of[place{x.Payment, x.Name}] = x.State
	c.floats.claims = append(c.floats.claims, *x)
}

// needClaims notes which places a payout was let go with, by the decision that did it.
func (c *checker) needClaims(h *history, last *decision) {
	p := &h.payment
	if p.Status.Final() && p.CapturedMinor == 0 {
		return // its claims are gone, or will be
	}
	var names []string
	if len(last.Payout.MerchantDay) > 0 {
		merchant, _, _ := strings.Cut(strings.TrimPrefix(c.customers[h.review.Customer].owner, wallet), ":")
		names = append(names, ofMerchant+merchant)
	}
	for n := range h.attempts {
		a := &h.attempts[n]
		bounded := slices.ContainsFunc(last.Payout.Parts, func(x partOf) bool {
			return x.Connector == a.Connector && x.Account == a.Account && len(x.AccountDay) > 0
		})
		if bounded && (!p.Status.Final() || a.Status == payment.AttemptApproved) && !slices.Contains(names, a.PSP()) {
			names = append(names, a.PSP())
		}
	}
	for _, name := range names {
		c.floats.needed = append(c.floats.needed, need{place{p.ID, name}, !p.Status.Final(), p.ChangedUS})
	}
}

const ofMerchant = "merchant:"

// judgeFloats: each float holds what the claims on it say, each claim what its payout
// says, and no payout was let go without one (C3).
func (c *checker) judgeFloats(ctx context.Context) error {
	said := map[id.Raw]limit.Outflows{}
	for n := range c.floats.claims {
		x := &c.floats.claims[n]
		out := said[x.Float()]
		if out == nil {
			out = limit.Outflows{}
			said[x.Float()] = out
		}
		switch x.State {
		case limit.ClaimReserved:
			out.Reserve(x.Amount())
		case limit.ClaimUsed:
			out.Use(x.Amount(), x.AtUS)
		default:
			c.violation(C5, "Claim %s is in state %q, which does not exist.", rawText(x.ID), x.State)
		}
		if err := c.judgeClaim(ctx, x); err != nil {
			return err
		}
	}
	changedUS := map[string]int64{}
	all := pages[limit.Float, id.Raw]{scan: c.read.ScanFloats, key: func(f *limit.Float) id.Raw { return f.ID }, take: func(f *limit.Float) {
		changedUS[f.Name] = f.ChangedUS
		c.judgeFloat(f, said[f.ID])
		delete(said, f.ID)
	}}
	if err := merge(ctx, &all); err != nil {
		return err
	}
	for k := range said {
		c.violation(C13, "There are claims on float %s, which does not exist.", rawText(k))
	}
	for _, n := range c.floats.needed {
		state, ok := c.floats.of[n.place]
		recent := n.endedUS > changedUS[n.float]-dayUS
		if n.open && state != limit.ClaimReserved || !n.open && recent && !ok {
			c.violation(C3, "Payout %s was sent, and has no place in %s, by which it was judged.", n.payment, n.float)
		}
	}
	return nil
}

// judgeClaim compares a claim with its payout. One that is reserved may be of a payout
// that was not begun yet, or that has ended just now: its due row ends it.
func (c *checker) judgeClaim(ctx context.Context, x *limit.Claim) error {
	p, ok, err := c.read.Payment(ctx, x.Payment)
	if err != nil {
		return fmt.Errorf("read payout of a claim: %w", err)
	}
	if ok && (p.Type != payment.TypePayout || p.Amount.Currency != x.Currency || x.Minor > p.Amount.Minor) {
		c.violation(C3, "Claim %s is of %d %s, its payment %s of %d %s.", rawText(x.ID), x.Minor, x.Currency, p.ID, p.Amount.Minor, p.Amount.Currency)
	}
	whole := strings.HasPrefix(x.Name, ofMerchant)
	switch {
	case x.State == limit.ClaimReserved && ok && whole && x.Minor != p.Amount.Minor:
		c.violation(C3, "Payout %s is of %d minor units, of which %s has %d reserved.", p.ID, p.Amount.Minor, x.Name, x.Minor)
	case x.State != limit.ClaimUsed:
	case !ok || !p.Status.Final():
		c.violation(C3, "Payout %s has used its place in %s, and has not ended.", x.Payment, x.Name)
	case whole && x.Minor != p.CapturedMinor || x.Minor > p.CapturedMinor:
		c.violation(C3, "Payout %s has paid %d minor units, of which %s counts %d.", p.ID, p.CapturedMinor, x.Name, x.Minor)
	}
	return nil
}

// judgeFloat compares a float with what claims say. What counts no more it may have
// left out, as a process may have found whose clock is ahead.
func (c *checker) judgeFloat(f *limit.Float, said limit.Outflows) {
	has, err := f.Outflows()
	if err != nil || f.ID != (limit.Claim{ID: f.ID, Name: f.Name}).Float() {
		c.violation(C13, "Float %s (%s) cannot be read, or lies elsewhere: %v.", rawText(f.ID), f.Name, err)
		return
	}
	after := f.ChangedUS - dayUS + clocksUS + time.Minute.Microseconds()
	if got, want := has.Sum(after), said.Sum(after); !slices.Equal(got, want) {
		c.violation(C3, "Float %s holds %v, the claims on it %v.", f.Name, got, want)
	}
}
