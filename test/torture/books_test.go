package torture_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/due"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/payment"
	"aorta/internal/store"
	"aorta/test/torture"
)

// books are what everybody has written down: our store, the provider's journal
// and what the merchant received.
type books struct {
	t *testing.T
	w *torture.World
	p *torture.Platform
	g *store.Postgres // nil on SQLite

	told  int64           // the provider has told us of all its entries up to here
	known map[string]bool // request ids, once read
}

func (b *books) open(t *testing.T, w *torture.World, p *torture.Platform) {
	b.t, b.w, b.p = t, w, p
	if w.Database == "" {
		return
	}
	var err error
	if b.g, err = store.OpenPostgres(t.Context(), w.Database, store.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.g.Close() })
}

// read shows the store of the moment, whether or not a platform runs.
func (b *books) read(do func(book.Reader) error) error {
	var s *store.Snapshot
	var err error
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if b.g != nil {
		s, err = b.g.Snapshot(ctx)
	} else {
		s, err = store.SnapshotSQLite(ctx, filepath.Join(b.p.Data, "aorta.db"))
	}
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	return do(s)
}

// every gives all rows of a kind to do, which answers the row's key.
func every[R, K any](scan func(context.Context, K, int) ([]R, error), do func(R) K) error {
	const page = 1000
	var after K
	for {
		rows, err := scan(context.Background(), after, page)
		if err != nil {
			return err
		}
		for _, r := range rows {
			after = do(r)
		}
		if len(rows) < page {
			return nil
		}
	}
}

func (b *books) get(address string, into any) error {
	resp, err := http.Get(address)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %d", address, resp.StatusCode)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

func (b *books) control(wish map[string]any) error {
	method, body := http.MethodDelete, []byte(nil)
	if wish != nil {
		method = http.MethodPost
		var err error
		if body, err = json.Marshal(wish); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(context.Background(), method, b.w.OtherURL+"/control", bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("control %s: %d", body, resp.StatusCode)
	}
	return nil
}

// received is a callback as the merchant got it.
type received struct {
	Body           map[string]any `json:"body"`
	Raw            string         `json:"raw"`
	ValidSignature bool           `json:"valid_signature"`
	ReceivedAt     string         `json:"received_at"`
	Answer         int            `json:"answer"`
}

// word is "payment status/operation type operation status code".
func (c received) word() string {
	p, _ := c.Body["payment"].(map[string]any)
	o, _ := c.Body["operation"].(map[string]any)
	return fmt.Sprintf("%v/%v %v %v", p["status"], o["type"], o["status"], o["code"])
}

// callbacks are those of a payment, oldest first. Each must be signed.
func (b *books) callbacks(name string) []received {
	var out []received
	if err := b.get(b.w.OtherURL+"/merchant/callbacks?payment_id="+url.QueryEscape(name), &out); err != nil {
		b.t.Errorf("callbacks of %s: %v", name, err)
	}
	for _, c := range out {
		if !c.ValidSignature {
			b.t.Errorf("payment %s: a callback is not signed as it must be: %s", name, c.Raw)
		}
	}
	return out
}

// journal is an entry of the provider's own books.
type journal struct {
	Seq         int64  `json:"seq"`
	Kind        string `json:"kind"`
	MID         string `json:"mid"`
	OrderID     string `json:"order_id"`
	RefID       string `json:"ref_id"`
	State       string `json:"state"`
	AmountMinor int64  `json:"amount_minor"`
	Told        bool   `json:"told"`
	Behaviour   string `json:"behaviour"`
}

// provider gives the provider's entries after one.
func (b *books) provider(after int64) ([]journal, error) {
	var all []journal
	for {
		var page struct {
			Entries []journal
			Next    int64
			More    bool
		}
		if err := b.get(fmt.Sprintf("%s/control/journal?connector=paytm&limit=10000&after=%d", b.w.OtherURL, after), &page); err != nil {
			return all, err
		}
		all = append(all, page.Entries...)
		if after = page.Next; !page.More {
			return all, nil
		}
	}
}

// busy says what is still to be done within so long; "" if nothing.
func (b *books) busy(within time.Duration) string {
	entries, err := b.provider(b.told)
	if err != nil {
		return err.Error()
	}
	untold := ""
	for _, e := range entries {
		waits := e.Kind == "sale" && (e.State == "open" || e.State == "left") // for a customer
		if !e.Told && !waits {
			untold = fmt.Sprintf("%s %s%s is %s and not told", e.Kind, e.OrderID, e.RefID, e.State)
		}
		if untold == "" && e.Told {
			b.told = e.Seq
		}
	}
	if untold != "" {
		return untold
	}
	work := ""
	until := time.Now().Add(within).UnixMicro()
	err = b.read(func(r book.Reader) error {
		return every(r.ScanDue, func(d due.Due) id.Raw {
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
// the provider has never heard of it: its outcome is unknown, it is looked up
// later, and the provider's journal lacks it. It gives that a moment.
func (b *books) waits(name string) bool {
	for deadline := time.Now().Add(1500 * time.Millisecond); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		entries, err := b.provider(0)
		if err != nil {
			continue
		}
		asked := map[string]bool{}
		for _, e := range entries {
			asked[e.RefID] = true
		}
		var pay id.Payment
		waiting := map[id.Raw]bool{}
		err = b.read(func(r book.Reader) error {
			if err := every(r.ScanPayments, func(p payment.Payment) id.Payment {
				if p.MerchantPaymentID == name {
					pay = p.ID
				}
				return p.ID
			}); err != nil {
				return err
			}
			if err := every(r.ScanAttempts, func(a payment.Attempt) id.Attempt {
				if a.Payment == pay && a.Kind == payment.KindRefund && a.Status == payment.AttemptUnknown && a.NoRecords > 0 && !asked[a.ID.String()] {
					waiting[a.ID.Raw()] = true
				}
				return a.ID
			}); err != nil {
				return err
			}
			return every(r.ScanDue, func(d due.Due) id.Raw {
				if waiting[d.ID] && d.Kind == due.Watch {
					pay = id.Payment{} // found
				}
				return d.ID
			})
		})
		if err == nil && len(waiting) > 0 && pay.IsZero() {
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
	entries, err := b.provider(0)
	if err != nil {
		return nil, err
	}
	theirs, sum := map[string]journal{}, int64(0)
	for _, e := range entries {
		name := e.OrderID
		if e.Kind == "refund" {
			name = e.RefID
		}
		theirs[name] = e
		switch {
		case e.State == "paid" && e.Kind == "refund":
			sum -= e.AmountMinor
		case e.State == "paid":
			sum += e.AmountMinor
		}
	}
	b.known = map[string]bool{}
	err = b.read(func(r book.Reader) error {
		var clearing int64
		if err := every(r.ScanAccounts, func(a ledger.Account) id.Account {
			if a.Purpose == ledger.Clearing {
				clearing += a.Minor
			}
			return a.ID
		}); err != nil {
			return err
		}
		if clearing != sum {
			out = append(out, fmt.Sprintf("clearing holds %d minor units, the provider %d", clearing, sum))
		}
		if err := every(r.ScanOperations, func(o payment.Operation) id.Operation {
			b.known[o.RequestID()] = true
			return o.ID
		}); err != nil {
			return err
		}
		err := every(r.ScanAttempts, func(a payment.Attempt) id.Attempt {
			name, approved := a.ID.String(), a.Status == payment.AttemptApproved
			if e := theirs[name]; (e.State == "paid") != approved || (approved && e.AmountMinor != a.Amount.Minor) {
				out = append(out, fmt.Sprintf("attempt %s is %s of %d, the provider has it %q of %d", name, a.Status, a.Amount.Minor, e.State, e.AmountMinor))
			}
			delete(theirs, name)
			return a.ID
		})
		for name, e := range theirs {
			out = append(out, fmt.Sprintf("the provider has a %s %s, which we do not know", e.Kind, name))
		}
		return err
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
	entries, err := b.provider(0)
	if err != nil {
		return nil, 0, err
	}
	paid := map[string]string{}
	for _, e := range entries {
		if e.Kind == "sale" && e.State == "paid" && e.Behaviour != "wrong_amount" { // of that a case tells
			paid[e.OrderID] = e.Behaviour
		}
	}
	err = b.read(func(r book.Reader) error {
		return every(r.ScanAttempts, func(a payment.Attempt) id.Attempt {
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
