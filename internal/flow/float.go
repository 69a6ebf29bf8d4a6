package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"aorta/internal/book"
	"aorta/internal/due"
	"aorta/internal/id"
	"aorta/internal/limit"
	"aorta/internal/money"
	"aorta/internal/operator"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/risk"
)

// What a merchant, and a PSP account, pay out in a day are sums over customers of all
// buckets (limits-and-risk.md section 4.7), and no act may touch two. So a payout takes
// its place in them by acts of their own, before the act that begins it or lets it go:
//
//	claim ─▶ payout.begin, judged by what the claims say ─▶ … ─▶ it ends ─▶ claim.end
//	   └── due row: an hour at most after that, also where this process has died
//
// An amount that does not fit gets no place, and makes the payout wait for a person,
// whose release takes the place all the same.

// floatShare is what a payout takes of one float.
type floatShare struct {
	name   string // the float's
	rule   string // by which it is judged
	amount money.Amount
	most   int64       // in a day, in the rules' reference currency
	let    []risk.Pass // what people have let pass
}

// claimed are the places of a payout: what each float held before it.
type claimed struct {
	payment id.Payment
	shares  []floatShare
	before  []risk.Sum // of the share of the same place in the list
}

// merchantFloat is the name of what a merchant pays out.
func merchantFloat(pr project.Project) string {
	return ofMerchant + strconv.FormatInt(pr.MerchantID, 10)
}

const ofMerchant = "merchant:"

func accountFloat(connectorName, account string) string {
	return "psp:" + connectorName + ":" + account
}

// sharesOf are what a payout in these parts takes of the floats that the rules bound.
// let is what people have let pass.
func sharesOf(rules *risk.Rules, pr project.Project, a money.Amount, parts []risk.Part, let []risk.Pass) []floatShare {
	var out []floatShare
	if most := rules.Payout.MerchantDayMax; most > 0 {
		out = append(out, floatShare{merchantFloat(pr), risk.RuleMerchantDay, a, most, let})
	}
	most := rules.Payout.AccountDayMax
	if most <= 0 {
		return out
	}
	for _, part := range parts {
		name := accountFloat(part.Connector, part.Account)
		n := slices.IndexFunc(out, func(s floatShare) bool { return s.name == name })
		if n < 0 {
			n = len(out)
			out = append(out, floatShare{name, risk.AccountDay(part.Connector, part.Account), money.Amount{Currency: a.Currency}, most, let})
		}
		out[n].amount.Minor += part.Minor
	}
	return out
}

// facts notes on a payout's facts what the floats held before it. Where parts go by one
// account, each is judged with those before it.
func (c *claimed) facts(f *risk.PayoutFacts, pr project.Project) {
	if c == nil {
		return
	}
	own := map[string]int64{}
	f.Parts = slices.Clone(f.Parts)
	for n := range f.Parts {
		part := &f.Parts[n]
		name := accountFloat(part.Connector, part.Account)
		if before, ok := c.of(name); ok {
			if own[name] > 0 {
				before = append(slices.Clone(before), money.Amount{Minor: own[name], Currency: f.Amount.Currency})
			}
			part.AccountDay = &before
			own[name] += part.Minor
		}
	}
	if before, ok := c.of(merchantFloat(pr)); ok {
		f.MerchantDay = &before
	}
}

func (c *claimed) of(name string) (risk.Sum, bool) {
	n := slices.IndexFunc(c.shares, func(s floatShare) bool { return s.name == name })
	if n < 0 {
		return nil, false
	}
	return c.before[n], true
}

// covers reports whether these are the places of a payout that takes so much.
func (c *claimed) covers(k id.Payment, shares []floatShare) bool {
	if c == nil {
		return len(shares) == 0
	}
	return c.payment == k && slices.EqualFunc(c.shares, shares, func(a, b floatShare) bool { return a.name == b.name && a.amount == b.amount })
}

// claimsError: the payout takes these places, which it has not claimed.
type claimsError struct {
	payment id.Payment
	shares  []floatShare
}

func (e *claimsError) Error() string { return "other places are needed in floats" }

// maxClaims bounds how often a payout is claimed for anew, since it comes to be split otherwise.
const maxClaims = 4

// claim takes a payout's places, as far as it fits in.
func (f *Flows) claim(ctx context.Context, rules *risk.Rules, k id.Payment, shares []floatShare) (*claimed, error) {
	if len(shares) == 0 {
		return nil, nil
	}
	out := &claimed{payment: k, shares: shares}
	for _, s := range shares {
		before, err := f.claimIn(ctx, rules, k, s)
		if err != nil {
			return nil, err
		}
		out.before = append(out.before, before)
	}
	return out, nil
}

// startClaimed is start of a payout that takes places in floats. Which they are, its act
// finds: it runs again once they are claimed, and finds the same.
func (f *Flows) startClaimed(ctx context.Context, c *checks, s start, want id.Payment) (begun Begun, err error) {
	for range maxClaims + maxRepoints {
		begun, err = f.start(ctx, s, want)
		var needs *claimsError
		switch {
		case errors.As(err, &needs):
			if c.claims != nil && c.claims.payment != needs.payment {
				f.freeClaims(ctx, c.claims.payment, c.claims.shares)
			}
			if c.claims, err = f.claim(ctx, c.rules, needs.payment, needs.shares); err != nil {
				return Begun{}, err
			}
			continue
		case errors.Is(err, errVoid): // it took so long that somebody has given up on it
			want = successor(want)
			continue
		}
		break
	}
	if errors.As(err, new(*claimsError)) || errors.Is(err, errVoid) {
		err = fmt.Errorf("claim for a payout: %w", book.ErrBusy) // its customer's instruments change faster than we claim
	}
	if c.claims != nil && !errors.Is(err, book.ErrUnknown) && (err != nil || begun.Payment.ID != c.claims.payment) {
		f.freeClaims(ctx, c.claims.payment, c.claims.shares)
	}
	return begun, err
}

// lookAtClaim is when a claim is looked at first: its payout is begun by then, or never.
const lookAtClaim = time.Minute

func (f *Flows) claimIn(ctx context.Context, rules *risk.Rules, k id.Payment, s floatShare) (risk.Sum, error) {
	float := limit.FloatID(f.book.Buckets(), s.name)
	key := limit.ClaimID(float, k)
	before, err := book.Do(ctx, f.book, book.Act[risk.Sum]{
		Name: "claim.take", Bucket: float.Bucket(),
		Hint: func(p *book.Page) { p.Floats.Get(float); p.Claims.Get(key); p.Due.Get(key) },
		Decide: func(p *book.Page) (risk.Sum, error) {
			row, out, err := floatOn(p, float, s.name)
			if err != nil {
				return nil, err
			}
			c, known := p.Claims.Get(key)
			switch {
			case known && (c.State == limit.ClaimUsed || c.Amount() == s.amount):
				var before risk.Sum
				if err := json.Unmarshal([]byte(c.Before), &before); err != nil {
					return nil, fmt.Errorf("claim of %s: %w", k, err)
				}
				return before, nil
			case known: // it was of another amount
				out.Reserve(money.Amount{Minor: -c.Minor, Currency: c.Currency})
			}
			now := p.NowUS()
			before := risk.Sum(out.Sum(limit.Day.After(now, nil)))
			fits := rules.Fits(s.rule, before, s.amount, s.most, s.let)
			if fits {
				out.Reserve(s.amount)
				p.Claims.Put(limit.Claim{
					ID: key, Payment: k, Name: s.name, State: limit.ClaimReserved, Currency: s.amount.Currency, Minor: s.amount.Minor,
					Before: encodeSum(before), AtUS: now, ChangedUS: now,
				})
				p.Due.Get(key)
				p.Due.Put(due.At(key, due.Float, now+lookAtClaim.Microseconds()))
			} else if known {
				p.Claims.Delete(key)
				forgetWork(p, key)
			}
			if fits || known {
				p.Floats.Put(row.With(out, now))
			}
			return before, nil
		},
	})
	if err != nil {
		return nil, fmt.Errorf("claim in %s: %w", s.name, err)
	}
	return before, nil
}

func floatOn(p *book.Page, k id.Raw, name string) (limit.Float, limit.Outflows, error) {
	row, ok := p.Floats.Get(k)
	if !ok {
		row = limit.Float{ID: k, Name: name}
	}
	out, err := row.Outflows()
	return row, out, err
}

func encodeSum(s risk.Sum) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic("amounts cannot fail to encode: " + err.Error())
	}
	return string(text)
}

func forgetWork(p *book.Page, subject id.Raw) {
	if _, ok := p.Due.Get(subject); ok {
		p.Due.Delete(subject)
	}
}

// endClaim looks at a claim: it ends with its payout. A payout that is not begun by now
// never will be: its id is given up first. A used claim is forgotten when it counts no more.
func (f *Flows) endClaim(ctx context.Context, d due.Due) error {
	c, ok, err := f.read.Claim(ctx, d.ID)
	switch {
	case err != nil:
		return fmt.Errorf("read claim: %w", err)
	case !ok || c.State == limit.ClaimUsed:
		return f.leaveClaim(ctx, d, 0)
	}
	pay, begun, err := f.read.Payment(ctx, c.Payment)
	if err == nil && !begun {
		pay, begun, err = f.void(ctx, c.Payment)
	}
	switch {
	case err != nil:
		return fmt.Errorf("read payout of a claim: %w", err)
	case !begun:
		return f.useClaim(ctx, c.ID, 0, 0)
	case !pay.Status.Final():
		age := f.opts.Now().UnixMicro() - c.AtUS
		return f.leaveClaim(ctx, d, min(max(age, lookAtClaim.Microseconds()), time.Hour.Microseconds()))
	}
	used, err := f.usedOf(ctx, pay, c.Name)
	if err != nil {
		return err
	}
	return f.useClaim(ctx, c.ID, used, pay.ChangedUS)
}

// usedOf is what an ended payout has paid out of a float.
func (f *Flows) usedOf(ctx context.Context, pay payment.Payment, float string) (int64, error) {
	if pay.CapturedMinor == 0 || strings.HasPrefix(float, ofMerchant) {
		return pay.CapturedMinor, nil
	}
	v, err := f.Status(ctx, pay, limit.MaxParts)
	if err != nil {
		return 0, err
	}
	used := int64(0)
	for _, o := range v.Operations {
		if o.Operation.Status == payment.OperationSuccess && o.Attempt.PSP() == float {
			used += o.Operation.Amount.Minor
		}
	}
	return used, nil
}

// useClaim ends a reserved claim: so much was paid, at an instant, or nothing.
func (f *Flows) useClaim(ctx context.Context, key id.Raw, used, atUS int64) error {
	_, err := book.Do(ctx, f.book, book.Act[struct{}]{
		Name: "claim.end", Bucket: key.Bucket(), Background: true,
		Hint: func(p *book.Page) { p.Claims.Get(key); p.Due.Get(key) },
		Decide: func(p *book.Page) (struct{}, error) {
			c, ok := p.Claims.Get(key)
			if !ok || c.State != limit.ClaimReserved {
				return struct{}{}, nil // it has ended
			}
			row, out, err := floatOn(p, c.Float(), c.Name)
			if err != nil {
				return struct{}{}, err
			}
			now := p.NowUS()
			out.Reserve(money.Amount{Minor: -c.Minor, Currency: c.Currency})
			p.Due.Get(key)
			if used > 0 {
				c.State, c.Minor, c.AtUS, c.ChangedUS = limit.ClaimUsed, used, atUS, now
				out.Use(c.Amount(), atUS)
				p.Claims.Put(c)
				p.Due.Put(due.At(key, due.Float, atUS+limit.ClaimKeptFor))
			} else {
				p.Claims.Delete(key)
				p.Due.Delete(key)
			}
			p.Floats.Put(row.With(out, now))
			return struct{}{}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("end claim: %w", err)
	}
	return nil
}

// leaveClaim ends this look at a claim: it is looked at again after a while, or, after
// 0, it is used and counts no more, and is forgotten.
func (f *Flows) leaveClaim(ctx context.Context, d due.Due, afterUS int64) error {
	_, err := book.Do(ctx, f.book, book.Act[struct{}]{
		Name: "claim.look", Bucket: d.ID.Bucket(), Background: true,
		Hint: func(p *book.Page) { p.Claims.Get(d.ID); p.Due.Get(d.ID) },
		Decide: func(p *book.Page) (struct{}, error) {
			work, ok := p.Due.Get(d.ID)
			c, held := p.Claims.Get(d.ID)
			now := p.NowUS()
			switch {
			case !ok || work.DueUS != d.DueUS || work.Owner != d.Owner:
				return struct{}{}, nil // somebody else has been here
			case !held:
				p.Due.Delete(d.ID)
			case c.State == limit.ClaimReserved:
				p.Due.Put(due.At(d.ID, due.Float, now+max(afterUS, lookAtClaim.Microseconds())))
			default:
				row, out, err := floatOn(p, c.Float(), c.Name)
				if err != nil {
					return struct{}{}, err
				}
				p.Floats.Put(row.With(out, now)) // it is out of it by now
				p.Claims.Delete(d.ID)
				p.Due.Delete(d.ID)
			}
			return struct{}{}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("look at claim: %w", err)
	}
	return nil
}

// freeClaims ends the claims of a payout that has ended, or is not begun and then never
// will be, at once. It is a favour to those who wait for room: their due rows end them
// all the same.
func (f *Flows) freeClaims(ctx context.Context, k id.Payment, shares []floatShare) {
	ctx = context.WithoutCancel(ctx)
	for _, s := range shares {
		key := limit.ClaimID(limit.FloatID(f.book.Buckets(), s.name), k)
		pay, ok, err := f.read.Payment(ctx, k)
		if err == nil && !ok {
			pay, ok, err = f.void(ctx, k)
		}
		switch {
		case err == nil && !ok:
			err = f.useClaim(ctx, key, 0, 0)
		case err == nil && pay.Status.Final():
			var used int64
			if used, err = f.usedOf(ctx, pay, s.name); err == nil {
				err = f.useClaim(ctx, key, used, pay.ChangedUS)
			}
		}
		if err != nil {
			f.opts.Log.Warn("a payout's place in a float is kept for a while", slog.String("float", s.name), slog.Any("error", err))
		}
	}
}

// freeEnded ends the claims of a payout that has just ended.
func (f *Flows) freeEnded(ctx context.Context, pay payment.Payment) {
	rules := f.opts.Rules(pay.ProjectID)
	if pay.ID.IsZero() || !pay.Status.Final() || rules == nil || !bounded(rules) {
		return
	}
	pr, ok := f.opts.Projects(pay.ProjectID)
	review, reviewed, err := f.read.Review(ctx, pay.ID.Raw())
	if err != nil || !ok || !reviewed {
		return
	}
	if shares, err := claimable(rules, pr, pay, review, nil); err == nil {
		f.freeClaims(ctx, pay.ID, shares)
	}
}

// claimable are the shares of a payout that was begun: its parts are those that its first
// decision was about.
func claimable(rules *risk.Rules, pr project.Project, pay payment.Payment, r payment.Review, let []risk.Pass) ([]floatShare, error) {
	var log []risk.Record
	if err := json.Unmarshal([]byte(r.Log), &log); err != nil {
		return nil, fmt.Errorf("the decisions of payout %s: %w", pay.ID, err)
	}
	if len(log) == 0 || log[0].Payout == nil {
		return nil, fmt.Errorf("payout %s: %w", pay.ID, errNoDecision)
	}
	return sharesOf(rules, pr, pay.Amount, log[0].Payout.Parts, let), nil
}

var errNoDecision = errors.New("it has no decision")

// claimAgain takes the places of a payout that is gone on with. releases: who lets pass
// what its last decision was stopped by.
func (f *Flows) claimAgain(ctx context.Context, c *checks, pay payment.Payment, who operator.Actor, releases bool) error {
	if c.rules == nil || !bounded(c.rules) || pay.Status.Final() {
		return nil
	}
	r, ok, err := f.read.Review(ctx, pay.ID.Raw())
	if err != nil {
		return fmt.Errorf("read review: %w", err)
	}
	if !ok {
		return nil // it was never checked
	}
	allowed, err := approvalsOf(r)
	if err != nil {
		return err
	}
	let := allowed.Released
	if d := lastOf(pay.ID, r).Decision; releases && mayRelease(d, who) {
		let = withPasses(let, d.Stopped())
	}
	shares, err := claimable(c.rules, c.pr, pay, r, let)
	if err != nil {
		return err
	}
	c.claims, err = f.claim(ctx, c.rules, pay.ID, shares)
	return err
}

// bounded reports whether rules bound what merchants or PSP accounts pay out.
func bounded(r *risk.Rules) bool { return r.Payout.MerchantDayMax > 0 || r.Payout.AccountDayMax > 0 }

// successor is the id that takes the place of one that was given up before it was begun:
// whoever goes on with the same request comes to the same.
func successor(k id.Payment) id.Payment {
	next, sum := k, id.Derive(k.Bucket(), "successor", k.String())
	copy(next[8:], sum[8:])
	return next
}
