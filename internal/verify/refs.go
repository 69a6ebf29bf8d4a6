package verify

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"aorta/internal/book"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/payment"
	"aorta/internal/project"
)

// fingerprint is a sum over a set that does not depend on its order: equal
// fingerprints mean equal sets. Names are compared so because they are ordered
// by text and the rows they name by time, and because holding either in memory
// would cost as much as the store.
type fingerprint [4]uint64

func (f *fingerprint) add(n name, target id.Raw) {
	h := sha256.New()
	fmt.Fprintf(h, "%d:%s%d:%s", len(n.scope), n.scope, len(n.text), n.text)
	h.Write(target[:])
	sum := h.Sum(nil)
	for k := range f {
		f[k] += binary.BigEndian.Uint64(sum[8*k:])
	}
}

// name is what a ref is called, wherever it lies.
type name struct{ scope, text string }

// Scopes of the names that exist so far (design section 3). A payment's and a
// refund's go on with the project's number.
const (
	scopePayment = "payment:"
	scopeRefund  = "refund:"
	scopeVoid    = "void"
	scopeAnswer  = "answer:"
	scopeMoved   = "moved" // says that a reserved transfer was made
)

// paymentName is the name under which a merchant's payment must be found, if the
// merchant gave it one.
func paymentName(p *payment.Payment) name {
	return name{scopePayment + strconv.FormatInt(p.ProjectID, 10), project.FoldPaymentID(p.MerchantPaymentID)}
}

// refundName is the name of a refund; false if the merchant gave it none.
func refundName(projectID int64, o *payment.Operation) (name, bool) {
	return name{scopeRefund + strconv.FormatInt(projectID, 10), o.MerchantRefundID}, o.Kind == payment.KindRefund && o.MerchantRefundID != ""
}

// answerName is the key of a request that was answered.
func answerName(a *payment.Answer) name {
	return name{scopeAnswer + strconv.FormatInt(a.ProjectID, 10) + ":" + a.Route, a.Key}
}

// name notes what a payment and its refunds are called.
func (c *checker) name(h *history) {
	if h.payment.MerchantPaymentID != "" {
		c.named.add(paymentName(&h.payment), h.payment.ID.Raw())
	}
	for n := range h.operations {
		if x, ok := refundName(h.payment.ProjectID, &h.operations[n]); ok {
			c.named.add(x, h.operations[n].ID.Raw())
		}
	}
}

// judgeRefs: each name belongs to the row that says so, and each row has its
// name; a voided id was never begun (C13, design section 3).
func (c *checker) judgeRefs(ctx context.Context) error {
	err := eachRef(ctx, c.read, func(r payment.Ref) error {
		switch {
		case strings.HasPrefix(r.Scope, scopePayment):
			return c.takePaymentRef(ctx, r)
		case strings.HasPrefix(r.Scope, scopeRefund):
			c.refs.add(name{r.Scope, r.Text}, r.Target)
		case strings.HasPrefix(r.Scope, scopeAnswer):
			c.answerRefs.add(name{r.Scope, r.Text}, r.Target)
		case r.Scope == scopeVoid && r.Target.IsZero(): // begun, and so never to be voided
		case r.Scope == scopeVoid:
			_, begun, err := c.read.Payment(ctx, id.Payment(r.Target))
			if err != nil {
				return fmt.Errorf("read payment: %w", err)
			}
			if begun {
				c.violation(C13, "Payment %s exists although its id was voided.", id.Payment(r.Target))
			}
		case r.Scope == scopeMoved:
			_, made, err := c.read.Transfer(ctx, id.Transfer(r.Target))
			if err != nil {
				return fmt.Errorf("read transfer: %w", err)
			}
			if !made || id.Transfer(r.Target).String() != r.Text {
				c.violation(C13, "A ref says that transfer %s was made, which does not exist.", r.Text)
			}
		case googleScope(r.Scope):
			return c.takeGoogleRef(ctx, r)
		default:
			if move, rollback := moveScope(r.Scope); move {
				return c.takeMoveRef(ctx, r, rollback)
			}
			c.violation(C13, "Ref %q has scope %q, which does not exist.", r.Text, r.Scope)
		}
		return nil
	})
	if err != nil {
		return err
	}
	answers := pages[payment.Answer, id.Answer]{scan: c.read.ScanAnswers, key: func(a *payment.Answer) id.Answer { return a.ID }, take: func(a *payment.Answer) {
		c.answers.add(answerName(a), a.ID.Raw())
	}}
	if err := merge(ctx, &answers); err != nil {
		return err
	}
	if c.refs == c.named && c.answerRefs == c.answers {
		return nil
	}
	return c.explainRefs(ctx)
}

// takePaymentRef notes the name of a payment or payout, unless a payout came to
// nothing after its name was reserved.
func (c *checker) takePaymentRef(ctx context.Context, r payment.Ref) error {
	if c.opts.Homes {
		_, begun, err := c.read.Payment(ctx, id.Payment(r.Target))
		if err != nil {
			return fmt.Errorf("read what a name is of: %w", err)
		}
		if !begun {
			return nil
		}
	}
	c.refs.add(name{r.Scope, r.Text}, r.Target)
	return nil
}

// takeMoveRef notes the name of a move, unless the move came to nothing after
// its name was reserved.
func (c *checker) takeMoveRef(ctx context.Context, r payment.Ref, rollback bool) error {
	made := true
	var err error
	switch {
	case !c.opts.Homes:
	case rollback:
		var x ledger.Round
		x, made, err = c.read.Round(ctx, id.Round(r.Target))
		made = made && x.RolledBack != ""
	default:
		_, made, err = c.read.Transfer(ctx, id.Transfer(r.Target))
	}
	if err != nil {
		return fmt.Errorf("read what a name is of: %w", err)
	}
	if made {
		c.refs.add(name{r.Scope, r.Text}, r.Target)
	}
	return nil
}

func eachRef(ctx context.Context, r book.Reader, do func(payment.Ref) error) error {
	var after payment.RefKey
	for {
		rows, err := r.ScanRefs(ctx, after, page)
		if err != nil {
			return fmt.Errorf("read refs: %w", err)
		}
		for _, x := range rows {
			if err := do(x); err != nil {
				return err
			}
			after = x.RefKey
		}
		if len(rows) < page {
			return nil
		}
	}
}

// explainRefs finds out, name by name, where the fingerprints differ. It holds
// all names in memory, which a store that is found wrong is worth.
func (c *checker) explainRefs(ctx context.Context) error {
	all := map[name]id.Raw{}
	err := eachRef(ctx, c.read, func(r payment.Ref) error {
		n := name{r.Scope, r.Text}
		if _, twice := all[n]; twice {
			c.violation(C13, "The name %q in %s is there twice.", n.text, n.scope)
		}
		if n.scope != scopeVoid && n.scope != scopeMoved {
			all[n] = r.Target
		}
		return nil
	})
	if err != nil {
		return err
	}
	check := func(what string, n name, target id.Raw) {
		switch owner, ok := all[n]; {
		case !ok:
			c.violation(C13, "%s is called %q in %s, but there is no such ref.", what, n.text, n.scope)
		case owner != target:
			c.violation(C13, "%s is called %q in %s, but that ref names %s.", what, n.text, n.scope, rawText(owner))
		}
		delete(all, n)
	}
	payments := pages[payment.Payment, id.Payment]{scan: c.read.ScanPayments, key: paymentKey, take: func(p *payment.Payment) {
		if p.MerchantPaymentID != "" {
			check("Payment "+p.ID.String(), paymentName(p), p.ID.Raw())
		}
	}}
	if err := merge(ctx, &payments); err != nil {
		return err
	}
	answers := pages[payment.Answer, id.Answer]{scan: c.read.ScanAnswers, key: func(a *payment.Answer) id.Answer { return a.ID }, take: func(a *payment.Answer) {
		check("Answer "+a.ID.String(), answerName(a), a.ID.Raw())
	}}
	if err := merge(ctx, &answers); err != nil {
		return err
	}
	if err := c.explainRefunds(ctx, check); err != nil {
		return err
	}
	if err := c.explainMoves(ctx, check); err != nil {
		return err
	}
	if err := c.explainGoogle(ctx, check); err != nil {
		return err
	}
	order := func(a, b name) int { return strings.Compare(a.scope+"\x00"+a.text, b.scope+"\x00"+b.text) }
	for _, n := range slices.SortedFunc(maps.Keys(all), order) {
		if move, _ := moveScope(n.scope); (move || strings.HasPrefix(n.scope, scopePayment) || strings.HasPrefix(n.scope, scopeProof)) && c.opts.Homes {
			continue // perhaps one that came to nothing
		}
		c.violation(C13, "The ref %q in %s names %s, which does not exist or is called otherwise.", n.text, n.scope, rawText(all[n]))
	}
	return nil
}

// explainMoves checks the names of moves, and of rollbacks that found nothing
// to undo.
func (c *checker) explainMoves(ctx context.Context, check func(string, name, id.Raw)) error {
	transfers := pages[ledger.Transfer, id.Transfer]{scan: c.read.ScanTransfers, key: transferKey, take: func(t *ledger.Transfer) {
		if _, move := moveKinds[t.Kind]; move && t.Name != "" {
			n, target := moveName(t)
			check("Transfer "+t.ID.String(), n, target)
		}
	}}
	if err := merge(ctx, &transfers); err != nil {
		return err
	}
	return c.eachRound(ctx, func(r *ledger.Round) {
		if n, ok := rollbackName(r); ok {
			check("Rollback of round "+r.ID.String(), n, r.ID.Raw())
		}
	})
}

// explainRefunds checks the names of refunds.
func (c *checker) explainRefunds(ctx context.Context, check func(string, name, id.Raw)) error {
	var failed error
	operations := pages[payment.Operation, id.Operation]{scan: c.read.ScanOperations, key: operationKey, take: func(o *payment.Operation) {
		if _, named := refundName(0, o); !named || failed != nil {
			return
		}
		p, ok, err := c.read.Payment(ctx, o.Payment)
		if err != nil || !ok {
			failed = err // an operation without payment has been reported
			return
		}
		n, _ := refundName(p.ProjectID, o)
		check("Refund "+o.ID.String(), n, o.ID.Raw())
	}}
	if err := merge(ctx, &operations); err != nil {
		return err
	}
	return failed
}
