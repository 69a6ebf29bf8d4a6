package generic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"aorta/internal/connector"
	"aorta/internal/connector/exchange"
	"aorta/internal/money"
	"aorta/internal/payment"
)

// page is a part of a day's statement.
type page struct {
	Date  string `json:"date"`
	Next  string `json:"next"` // empty: this is the last
	Lines []struct {
		Type          string `json:"type"`
		Reference     string `json:"reference"`
		TransactionID string `json:"transaction_id"`
		Amount        string `json:"amount"`
		Fee           string `json:"fee"`
		Currency      string `json:"currency"`
		Timestamp     string `json:"timestamp"`
	} `json:"lines"`
}

// kinds are the protocol's names of operations.
var kinds = map[string]payment.OperationKind{"payment": payment.KindSale, "refund": payment.KindRefund, "payout": payment.KindPayout}

// Statement reads a day's movements, page by page. A line that cannot be read
// makes the whole statement an error: what is left out would be missed in
// silence.
func (g *Generic) Statement(ctx context.Context, day time.Time) ([]connector.StatementLine, error) {
	date := day.UTC().Format(time.DateOnly)
	var all []connector.StatementLine
	after := ""
	for range maxPages {
		query := ""
		if after != "" {
			query = "after=" + url.QueryEscape(after)
		}
		r, lost := g.call(ctx, g.pages, "v1/statements/"+date, query, "", nil)
		switch {
		case lost != nil:
			return nil, fmt.Errorf("generic: statement of %s: %s", date, lost.Reason)
		case r.status != http.StatusOK:
			return nil, fmt.Errorf("generic: statement of %s: HTTP status %d", date, r.status)
		}
		var p page
		if err := json.Unmarshal(r.raw, &p); err != nil || p.Date != date {
			return nil, fmt.Errorf("generic: statement of %s: not of the agreed shape, or of another day", date)
		}
		for n, l := range p.Lines {
			amount, err1 := money.ParseDecimal(l.Amount, money.Currency(l.Currency))
			fee := money.Amount{Currency: amount.Currency}
			var err2 error
			if l.Fee != "" {
				fee, err2 = money.ParseDecimal(l.Fee, money.Currency(l.Currency))
			}
			line := connector.StatementLine{
				Kind: kinds[l.Type], Reference: exchange.Visible(l.Reference), ProviderID: exchange.Visible(l.TransactionID),
				Amount: amount, Fee: fee, At: instant(l.Timestamp),
			}
			if errors.Join(err1, err2) != nil || line.Kind == "" || line.Reference == "" || line.ProviderID == "" || line.At.IsZero() {
				return nil, fmt.Errorf("generic: statement of %s: line %d of a page cannot be read", date, n+1)
			}
			all = append(all, line)
		}
		if p.Next == "" {
			return all, nil
		}
		if p.Next == after {
			break
		}
		after = p.Next
	}
	return nil, fmt.Errorf("generic: statement of %s: it does not end", date)
}
