package torture_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/due"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/test/scenario"
	"aorta/test/torture"
)

// books are what everybody has written down: our store, the provider's journal
// and what the merchant received.
type books struct {
	t *testing.T
	w *torture.World

	told  map[string]int64 // by provider: it has told us of all its entries up to here
	known map[string]bool  // request ids, once read
}

// callbacks are those of a payment, oldest first. Each must be signed.
func (b *books) callbacks(name string) []scenario.Callback {
	out, err := b.w.Callbacks(name)
	if err != nil {
		b.t.Errorf("callbacks of %s: %v", name, err)
	}
	for _, c := range out {
		if !c.ValidSignature {
			b.t.Errorf("payment %s: a callback is not signed as it must be: %s", name, c.Raw)
		}
	}
	return out
}

// busy says what is still to be done within so long; "" if nothing.
func (b *books) busy(within time.Duration) string {
	if b.told == nil {
		b.told = map[string]int64{}
	}
	for _, name := range scenario.Providers() {
		entries, err := b.w.Provider(name, b.told[name])
		if err != nil {
			return err.Error()
		}
		for _, e := range entries {
			waits := e.Kind == "sale" && (e.State == "open" || e.State == "left") // for a customer
			if !e.Told && !waits {
				return fmt.Sprintf("%s: %s %s is %s and not told", name, e.Kind, e.Reference, e.State)
			}
			if e.Told {
				b.told[name] = e.Seq
			}
		}
	}
	work := ""
	until := time.Now().Add(within).UnixMicro()
	err := b.w.Read(func(r book.Reader) error {
		return scenario.Every(r.ScanDue, func(d due.Due) id.Raw {
			if d.Owner != 0 || d.DueUS < until {
				work = fmt.Sprintf("%s of %s is due", d.Kind, d.ID)
			}
			return d.ID
		})
	})
	if err != nil {
		return err.Error()
	}
	return work
}

// waits reports whether a payment's refund comes to wait for it to be sure that
// the provider has never heard of it. It gives that a moment.
func (b *books) waits(name string) bool {
	for deadline := time.Now().Add(1500 * time.Millisecond); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var waiting []payment.Attempt
		var pay id.Payment
		err := b.w.Read(func(r book.Reader) (err error) {
			if waiting, err = b.w.Waiting(r); err != nil || len(waiting) == 0 {
				return err
			}
			return scenario.Every(r.ScanPayments, func(p payment.Payment) id.Payment {
				if p.MerchantPaymentID == name {
					pay = p.ID
				}
				return p.ID
			})
		})
		if err == nil && slices.ContainsFunc(waiting, func(a payment.Attempt) bool { return a.Payment == pay }) {
			return true
		}
	}
	return false
}

// compare sees to it that the provider's journal is equal to our books, both
// ways, by the names that both know (C4), and says where it is not. What is
// under way may end for so long.
func (b *books) compare(within time.Duration) {
	b.t.Helper()
	var differences []string
	for deadline := time.Now().Add(within); ; time.Sleep(50 * time.Millisecond) {
		var err error
		if differences, err = b.differences(); err != nil {
			b.t.Fatalf("compare: %v", err)
		}
		if len(differences) == 0 {
			return
		}
		if time.Now().After(deadline) {
			break
		}
	}
	b.t.Errorf("the provider's journal and our books differ in %d places, such as %q", len(differences), differences[:min(5, len(differences))])
}

func (b *books) differences() (out []string, err error) {
	b.known = map[string]bool{}
	err = b.w.Read(func(r book.Reader) (err error) {
		if out, err = b.w.Differences(r); err != nil {
			return err
		}
		return scenario.Every(r.ScanOperations, func(o payment.Operation) id.Operation {
			b.known[o.RequestID()] = true
			return o.ID
		})
	})
	return out, err
}

// unnoticed lists sales whose money the provider took, which we do not know and
// should know without being told: wherever a customer was led to its page, we
// look until the sale is over.
//
// The others, which it counts, are orders that a kill abandoned. The answer with the page's
// address died with the process, so the sale went on with another order
// (payment-loop.md L15), and the simulator takes the money all the same. Only
// news can tell us, and what it brings must be booked as late success.
func (b *books) unnoticed() (out []string, abandoned int, err error) {
	entries, err := b.w.Books()
	if err != nil {
		return nil, 0, err
	}
	paid := map[string]string{}
	for _, e := range entries {
		if e.Kind == "sale" && e.State == "paid" && e.Behaviour != "wrong_amount" { // of that a case tells
			paid[e.Reference] = e.Behaviour
		}
	}
	err = b.w.Read(func(r book.Reader) error {
		return scenario.Every(r.ScanAttempts, func(a payment.Attempt) id.Attempt {
			how, moved := paid[a.ID.String()]
			switch {
			case !moved || a.Kind != payment.KindSale || a.Status == payment.AttemptApproved:
			case a.Status == payment.AttemptUnknown && a.Redirect == "":
				abandoned++
			default:
				out = append(out, fmt.Sprintf("The provider took the money of %s (%s), whose page was known, and it is %s.", a.ID, how, a.Status))
			}
			return a.ID
		})
	})
	return out, abandoned, err
}

// knows reports whether a request id names an operation of ours. compare has
// read them.
func (b *books) knows(request string) bool { return b.known[request] }
