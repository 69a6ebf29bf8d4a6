package google

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ledger is the integrator's books as its own API tells them, beside Google's.
type ledger struct {
	Trouble  string // why there is nothing to show
	Wallets  []wallet
	Claim    int64 // micros: Google's claim, as the integrator's receivable says
	Accounts []account
	// Google's own figures, micros.
	Bought, Refunded, Paid int64
	Open                   int // calls without a final answer, with which nothing can be compared
	Agrees                 bool
	Remittances            map[string]remittance // by Google's id of the statement
}

type wallet struct {
	Customer string
	Micros   int64
}

type account struct {
	Purpose string
	Micros  int64
}

// remittance is a statement as the integrator's operations tell of it.
type remittance struct {
	ID    string `json:"id"`
	Name  string `json:"statement_id"`
	State string `json:"state"`
	Case  string `json:"case"`
}

// Bounds on what is asked of the integrator's API for one page.
const (
	apiTime  = 10 * time.Second
	apiBody  = 1 << 20
	apiPages = 20
)

// api makes one call of the integrator's own API, by its merchant or an operator.
func (p *Peer) api(ctx context.Context, method, address, token string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, apiTime)
	defer cancel()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", p.name("gs-"))
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answered, err := io.ReadAll(io.LimitReader(resp.Body, apiBody))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s is answered %d %s", method, req.URL.Path, resp.StatusCode, answered)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answered, into)
}

// pagesOf reads a list of the integrator's to its end.
func pagesOf[T any](ctx context.Context, p *Peer, path string, each func(T)) error {
	cursor := ""
	for range apiPages {
		var page struct {
			Data       []T    `json:"data"`
			HasMore    bool   `json:"has_more"`
			NextCursor string `json:"next_cursor"`
		}
		query := url.Values{"limit": {"100"}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		joint := "?"
		if strings.Contains(path, "?") {
			joint = "&"
		}
		if err := p.api(ctx, http.MethodGet, p.opts.Integrator.API+path+joint+query.Encode(), p.opts.Integrator.APIKey, nil, &page); err != nil {
			return err
		}
		for _, row := range page.Data {
			each(row)
		}
		if !page.HasMore {
			return nil
		}
		cursor = page.NextCursor
	}
	return errors.New("there are more accounts than this page looks at")
}

// ledger reads the integrator's books and lays Google's beside them.
func (p *Peer) ledger(ctx context.Context) ledger {
	var l ledger
	if p.opts.Integrator.API == "" {
		l.Trouble = "This Google was not told where Aorta's API is."
		return l
	}
	var errs []error
	sum := map[string]int64{}
	err := pagesOf(ctx, p, "/v1/accounts", func(a struct{ Owner, Purpose, Currency, Balance string }) {
		micros, err := signedMicros(a.Balance)
		if errs = append(errs, err); a.Currency != Currency {
			return
		}
		if strings.HasPrefix(a.Owner, "google:") {
			l.Claim += micros
		} else if slices.Contains([]string{"bank", "revenue", "taxes", "suspense", "rounding", "transit"}, a.Purpose) {
			sum[a.Purpose] += micros
		}
	})
	errs = append(errs, err)
	err = pagesOf(ctx, p, "/v1/customers?expand=balances", func(c struct {
		CustomerID string `json:"customer_id"`
		Balances   []struct{ Currency, Available string }
	},
	) {
		for _, b := range c.Balances {
			micros, err := signedMicros(b.Available)
			errs = append(errs, err)
			if b.Currency == Currency {
				l.Wallets = append(l.Wallets, wallet{c.CustomerID, micros})
			}
		}
	})
	if err := errors.Join(append(errs, err)...); err != nil {
		l.Trouble = "Aorta's API says: " + err.Error()
		return l
	}
	for _, purpose := range []string{"bank", "revenue", "taxes", "suspense", "rounding", "transit"} {
		if sum[purpose] != 0 {
			l.Accounts = append(l.Accounts, account{purpose, sum[purpose]})
		}
	}
	slices.SortFunc(l.Wallets, func(a, b wallet) int { return strings.Compare(a.Customer, b.Customer) })
	l.Remittances = p.remittances(ctx)
	p.compare(&l)
	return l
}

// compare lays Google's own figures beside the claim.
func (p *Peer) compare(l *ledger) {
	p.book.Lock()
	defer p.book.Unlock()
	moved := map[string]int64{} // by requestId, whatever a statement says of it
	for _, b := range p.book.purchases.all() {
		switch b.State {
		case done:
			l.Bought += b.Micros
			moved[b.ID] = b.Micros
		case sent:
			l.Open++
		}
	}
	for _, r := range p.book.refunds.all() {
		switch r.State {
		case done:
			l.Refunded += r.Micros
			moved[r.ID] = -r.Micros
		case sent:
			l.Open++
		}
	}
	for _, s := range p.book.statements.all() {
		if l.Remittances[s.ID].State == "paid" {
			for _, e := range s.Lines {
				l.Paid += moved[e.ID]
				delete(moved, e.ID) // a line that is there twice is paid once
			}
		}
	}
	l.Agrees = l.Open == 0 && l.Bought-l.Refunded-l.Paid == l.Claim
}

// remittances are how the integrator's operations say that statements stand;
// nothing if they do not say.
func (p *Peer) remittances(ctx context.Context) map[string]remittance {
	if p.opts.Integrator.Ops == "" || len(p.opts.Integrator.Finance) == 0 {
		return nil
	}
	var list struct {
		Statements []remittance `json:"statements"`
	}
	if err := p.api(ctx, http.MethodGet, p.opts.Integrator.Ops+"/admin/statements", p.opts.Integrator.Finance[0].Token, nil, &list); err != nil {
		p.opts.Log.Debug("google sandbox: statements at the integrator", "error", err)
		return nil
	}
	out := map[string]remittance{}
	for _, r := range list.Statements {
		out[r.Name] = r
	}
	return out
}

// agree does in place of two people at the integrator what they decide of a
// statement: to accept what differs, to pay; and then that the bank has paid.
func (p *Peer) agree(ctx context.Context, id, resolution string) error {
	r, known := p.remittances(ctx)[id]
	if !known {
		return errors.New("no such statement is known at Aorta")
	}
	ops := p.opts.Integrator.Ops
	if resolution == "paid" {
		return p.api(ctx, http.MethodPost, ops+"/admin/statements/"+r.ID+"/paid", p.opts.Integrator.Finance[0].Token, map[string]any{"reference": id, "note": "the demo's bank has paid"}, nil)
	}
	if r.Case == "" {
		return errors.New("nobody is asked at Aorta")
	}
	for _, who := range p.opts.Integrator.Finance {
		var told struct{ State string }
		if err := p.api(ctx, http.MethodPost, ops+"/admin/cases/"+r.Case+"/resolve", who.Token, map[string]any{"resolution": resolution, "note": "decided in the demo"}, &told); err != nil {
			return err
		}
		if told.State == "resolved" || told.State == "closed" {
			return nil
		}
	}
	return nil
}

// fill gives a customer of the integrator's money, as its merchant can.
func (p *Peer) fill(ctx context.Context, customer string) error {
	return p.api(ctx, http.MethodPost, p.opts.Integrator.API+"/v1/wallet/credit", p.opts.Integrator.APIKey, map[string]any{
		"txn_id": p.name("gift-"), "customer_id": customer, "amount": "2000.00", "currency": Currency,
	}, nil)
}

// ownPage asks for the page on which a customer of the integrator's sees what waits
// for them, as its merchant can.
func (p *Peer) ownPage(ctx context.Context, customer, back string) (string, error) {
	var link struct{ URL string }
	err := p.api(ctx, http.MethodPost, p.opts.Integrator.API+"/v1/customers/"+url.PathEscape(customer)+"/page", p.opts.Integrator.APIKey, map[string]any{"return_url": back}, &link)
	return link.URL, err
}

// signedMicros reads an amount as the API writes it: "45.00", "-0.5".
func signedMicros(text string) (int64, error) {
	digits, below := strings.CutPrefix(text, "-")
	whole, rest, _ := strings.Cut(digits, ".")
	if len(rest) > 6 {
		return 0, fmt.Errorf("an amount %q", text)
	}
	n, err := strconv.ParseInt(whole+rest+strings.Repeat("0", 6-len(rest)), 10, 64)
	if below {
		n = -n
	}
	return n, err
}
