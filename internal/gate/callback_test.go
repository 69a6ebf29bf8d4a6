package gate_test

import (
	"testing"

	"aorta/internal/event"
	"aorta/internal/gate"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/project"
	"aorta/internal/sign"
)

// snapshot is a captured sale.
func snapshot() event.Snapshot {
	amount := payment.Payment{}.Amount
	amount.Minor, amount.Currency = 250, "INR"
	return event.Snapshot{
		Payment: payment.Payment{
			ID: id.Payment{1}, ProjectID: 200, MerchantPaymentID: "gate-1", Type: payment.TypePurchase, Status: payment.StatusCaptured,
			Method: "paytm-wallet", Amount: amount, CustomerID: "12345", CapturedMinor: 250, ChangedUS: 1767323045000678,
		},
		Operation: payment.Operation{
			ID: id.Operation{2}, Number: 49572000001893, Kind: payment.KindSale, Status: payment.OperationSuccess, Amount: amount,
			Code: "0", Message: "Success", CreatedUS: 1767322860000000, ChangedUS: 1767323045000678,
		},
		Attempt: payment.Attempt{ID: id.Attempt{3}, ProviderID: "fccc", ProviderUS: 1767323040000000},
	}
}

func shop() project.Project {
	return project.Project{ID: 200, Secret: sign.NewSecret(secret), Methods: []project.Method{{Code: "paytm-wallet", Name: "Paytm Wallet", Provider: 2469}}}
}

// TestEveryWordHasAnother: no status, kind or type is told as an empty word.
func TestEveryWordHasAnother(t *testing.T) {
	t.Parallel()
	for status := range payment.Moves() {
		for _, kind := range []payment.OperationKind{payment.KindSale, payment.KindRefund, payment.KindManualChange} {
			for _, state := range []payment.OperationStatus{
				payment.OperationProcessing, payment.OperationAwaitingCustomer, payment.OperationSuccess, payment.OperationDecline,
			} {
				s := snapshot()
				s.Payment.Status, s.Operation.Kind, s.Operation.Status = status, kind, state
				body, _, err := gate.RenderCallback(event.Work{Snapshot: s}, shop())
				if err != nil {
					t.Fatal(err)
				}
				verify(t, body, sign.AtRoot)
				doc, err := sign.ParseJSON(body)
				if err != nil {
					t.Fatal(err)
				}
				for _, path := range [][]string{{"payment", "status"}, {"payment", "type"}, {"operation", "type"}, {"operation", "status"}, {"operation", "code"}} {
					if doc.Get(path...).Text() == "" {
						t.Errorf("%s, %s, %s: %v is empty in %s", status, kind, state, path, body)
					}
				}
			}
		}
	}
}

// TestCallbackWords: the table of payment-loop.md L15.
func TestCallbackWords(t *testing.T) {
	t.Parallel()
	for status, want := range map[payment.Status]string{
		payment.StatusNew: "processing", payment.StatusPending: "processing", payment.StatusAwaitingCustomer: "awaiting redirect result",
		payment.StatusAuthorized: "awaiting capture", payment.StatusCaptured: "success", payment.StatusPartiallyRefunded: "partially refunded",
		payment.StatusRefunded: "refunded", payment.StatusDeclined: "decline", payment.StatusCancelled: "cancelled", payment.StatusChargedBack: "success",
	} {
		s := snapshot()
		s.Payment.Status = status
		body, _, err := gate.RenderCallback(event.Work{Snapshot: s}, shop())
		if err != nil {
			t.Fatal(err)
		}
		doc, _ := sign.ParseJSON(body)
		if got := doc.Get("payment", "status").Text(); got != want {
			t.Errorf("%s is told as %q, want %q", status, got, want)
		}
	}
}

// TestCallbackOfATry: "try again" of the payment page is told as a number and as
// seconds, and only of payments that have it.
func TestCallbackOfATry(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name            string
		change          func(*payment.Payment)
		status          string
		available, left string
	}{
		{"no such offer", func(*payment.Payment) {}, "success", "", ""},
		{"paid at once", func(p *payment.Payment) { p.TriesLeft = 4 }, "success", "0", "0"},
		{"declined, may try", func(p *payment.Payment) {
			p.Status, p.Awaiting, p.TriesLeft = payment.StatusAwaitingCustomer, payment.AwaitedRetry, 3
			p.RetryUS = p.ChangedUS + 599_000_000
		}, "awaiting customer", "1", "599"},
		{"trying", func(p *payment.Payment) {
			p.Status, p.TriesLeft, p.RetryUS = payment.StatusAwaitingCustomer, 2, p.ChangedUS+599_000_000
		}, "awaiting redirect result", "0", "0"},
		{"declined for good", func(p *payment.Payment) { p.Status, p.RetryUS = payment.StatusDeclined, 1 }, "decline", "0", "0"},
	} {
		s := snapshot()
		test.change(&s.Payment)
		body, _, err := gate.RenderCallback(event.Work{Snapshot: s}, shop())
		if err != nil {
			t.Fatal(err)
		}
		verify(t, body, sign.AtRoot)
		doc, _ := sign.ParseJSON(body)
		for field, want := range map[string]string{"status": test.status, "is_new_attempts_available": test.available, "attempts_timeout": test.left} {
			if got := doc.Get("payment", field).Text(); got != want {
				t.Errorf("%s: payment.%s is %q, want %q", test.name, field, got, want)
			}
		}
		if test.available == "1" && doc.Get("redirect_data", "url").Text() != "" {
			t.Errorf("%s: the old way to the PSP is told again: %s", test.name, body)
		}
	}
}

// TestCallbackFreeText: nothing that a merchant or PSP wrote keeps a callback from
// being signed.
func TestCallbackFreeText(t *testing.T) {
	t.Parallel()
	s := snapshot()
	s.Payment.Description = "two; teas <b>\u2028\n\"चाय\""
	s.Operation.Message, s.Attempt.ProviderID = "no; funds", ";;"
	s.Payment.Method = "gone" // no longer offered by the project
	s.Operation.MerchantRefundID = "r-1"
	body, _, err := gate.RenderCallback(event.Work{Snapshot: s}, shop())
	if err != nil {
		t.Fatal(err)
	}
	verify(t, body, sign.AtRoot)
	golden(t, "callbacks/free-text.json", body)
}

// TestProviderDate: where the provider named no time, the date is that of our last
// news of the attempt, never empty.
func TestProviderDate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		provider int64
		want     string
	}{
		{"the provider's", 1767323040000000, "2026-01-02T03:04:00+0000"},
		{"ours", 0, "2026-01-02T03:04:07+0000"},
	} {
		s := snapshot()
		s.Attempt.ProviderUS, s.Attempt.ChangedUS = test.provider, 1767323047000000
		kept, err := event.Event{Snapshot: s.Encode()}.Decode()
		if err != nil {
			t.Fatal(err)
		}
		body, _, err := gate.RenderCallback(event.Work{Snapshot: kept.Over(s.Payment, s.Operation, s.Attempt)}, shop())
		if err != nil {
			t.Fatal(err)
		}
		doc, _ := sign.ParseJSON(body)
		if got := doc.Get("operation", "provider", "date").Text(); got != test.want {
			t.Errorf("%s: provider.date = %q, want %q", test.name, got, test.want)
		}
	}
}

func BenchmarkRenderCallback(b *testing.B) {
	w, p := event.Work{Snapshot: snapshot()}, shop()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := gate.RenderCallback(w, p); err != nil {
			b.Fatal(err)
		}
	}
}
