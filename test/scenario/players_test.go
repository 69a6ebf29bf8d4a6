package scenario_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/id"
	"aorta/internal/ledger"
	"aorta/internal/payment"
	"aorta/test/scenario"
)

// transfers shows a store's transfers otherwise than they are.
type transfers struct {
	book.Reader
	change func([]ledger.Transfer) []ledger.Transfer
}

func (x transfers) ScanTransfers(ctx context.Context, after id.Transfer, limit int) ([]ledger.Transfer, error) {
	rows, err := x.Reader.ScanTransfers(ctx, after, limit)
	return x.change(rows), err
}

// payouts does so with its payments.
type payouts struct {
	book.Reader
	change func([]payment.Payment) []payment.Payment
}

func (x payouts) ScanPayments(ctx context.Context, after id.Payment, limit int) ([]payment.Payment, error) {
	rows, err := x.Reader.ScanPayments(ctx, after, limit)
	return x.change(rows), err
}

// TestPlayersSee: what players were told is held against the books, and each way
// in which the two can differ is seen.
func TestPlayersSee(t *testing.T) {
	t.Parallel()
	d := scenario.Start(t, "", quick...)
	plays := 0
	played := func(answers int64) *scenario.Players {
		plays++
		p := scenario.NewPlayers(t, fmt.Sprintf("seen%d", plays), func() scenario.Native { return scenario.Native{URL: d.Public, Key: d.APIKey} })
		p.Go(2)
		for deadline := time.Now().Add(20 * time.Second); p.Told() < answers && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
		p.Stop()
		return p
	}
	p := played(200)
	judge := func(change func([]ledger.Transfer) []ledger.Transfer) (out []string) {
		d.Read(func(r book.Reader) error {
			out = p.Judge(transfers{r, change}, true)
			return nil
		})
		return out
	}
	same := func(rows []ledger.Transfer) []ledger.Transfer { return rows }
	if wrong := judge(same); len(wrong) > 0 {
		t.Fatalf("of what is true the judge says %q", wrong)
	}
	named := func(x ledger.Transfer) bool { return x.Name != "" }
	for want, change := range map[string]func([]ledger.Transfer) []ledger.Transfer{
		"was acknowledged as": func(rows []ledger.Transfer) []ledger.Transfer { return slices.DeleteFunc(rows, named) },
		"is made twice":       func(rows []ledger.Transfer) []ledger.Transfer { return append(rows, rows...) },
		"nobody asked for it": func(rows []ledger.Transfer) []ledger.Transfer {
			rows[slices.IndexFunc(rows, named)].Name = "seen1-another"
			return rows
		},
	} {
		if wrong := judge(change); !slices.ContainsFunc(wrong, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("the judge says %q, want %q", wrong, want)
		}
	}
	d.Read(func(r book.Reader) error {
		for want, change := range map[string]func([]payment.Payment) []payment.Payment{
			"payout seen1":           func([]payment.Payment) []payment.Payment { return nil },
			"is made twice: as pay_": func(rows []payment.Payment) []payment.Payment { return append(rows, rows...) },
		} {
			if wrong := p.Judge(payouts{r, change}, true); !slices.ContainsFunc(wrong, func(s string) bool { return strings.Contains(s, want) }) {
				t.Errorf("the judge says %q, want %q", wrong, want)
			}
		}
		return nil
	})
	// What follows spoils the journal for good, one thing after the other.
	first := func(change func(map[string]any)) func(map[string]any) bool {
		done := false
		return func(line map[string]any) bool {
			if !done && line["kind"] == "credit" && line["status"] == 200.0 && line["other"] == nil {
				done = true
				change(line)
			}
			return true
		}
	}
	for _, test := range []struct {
		want  string
		spoil func(line map[string]any) bool
	}{
		{"the moves that were acknowledged leave", first(func(l map[string]any) {
			l["minor"] = 5.0
			l["text"] = strings.Replace(l["text"].(string), `"amount":"100.00"`, `"amount":"0.05"`, 1)
		})},
		{"was acknowledged as of", first(func(l map[string]any) { l["minor"] = 7.0 })},
		{"was answered as", first(func(l map[string]any) { l["kind"] = "debit" })},
		{"was accepted with another amount", first(func(l map[string]any) { l["other"] = true })},
		{"was never told so", func(l map[string]any) bool { return l["kind"] != "stake" || l["status"] != 200.0 }},
	} {
		p = played(60)
		p.Spoil(test.spoil)
		if wrong := judge(same); !slices.ContainsFunc(wrong, func(s string) bool { return strings.Contains(s, test.want) }) {
			t.Errorf("the judge says %q, want %q", wrong, test.want)
		}
	}
}
