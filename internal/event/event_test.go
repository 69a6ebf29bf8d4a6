package event_test

import (
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"aorta/internal/event"
	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/payment"

	"pgregory.net/rapid"
)

func text(t *rapid.T, name string) string { return rapid.String().Draw(t, name) }

func amount(t *rapid.T, name string) money.Amount {
	return money.Amount{Minor: rapid.Int64().Draw(t, name), Currency: "INR"}
}

// TestKinds: what the native API lists is all that payments and payouts have.
func TestKinds(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("event.go")
	if err != nil {
		t.Fatal(err)
	}
	var want []event.Kind
	for _, m := range regexp.MustCompile(`Kind = "([a-z_.]+)"`).FindAllStringSubmatch(string(source), -1) {
		want = append(want, event.Kind(m[1]))
	}
	got := event.Kinds()
	slices.Sort(got)
	if slices.Sort(want); len(want) < 13 || !slices.Equal(got, want) {
		t.Errorf("Kinds() = %v, event.go has %v", got, want)
	}
}

// A renderer that gets the snapshot carried and one that gets it read from the
// store must see the same, whatever has become of the payment since.
func TestSnapshotRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := func(name string) int64 { return rapid.Int64().Draw(t, name) }
		want := event.Snapshot{
			Payment: payment.Payment{
				ID: id.Payment(id.Derive(3, text(t, "pay"))), ProjectID: n("project"), MerchantPaymentID: text(t, "merchant"),
				Type: payment.TypePurchase, Status: payment.StatusCaptured, Method: text(t, "method"), Amount: amount(t, "amount"),
				CustomerID: text(t, "customer"), Description: text(t, "description"), Door: "gate", Code: text(t, "code"), Message: text(t, "message"),
				CapturedMinor: n("captured"), RefundedMinor: n("refunded"), RefundingMinor: n("refunding"),
				CreatedUS: n("created"), ChangedUS: n("changed"), LimitUS: n("limit"),
			},
			Operation: payment.Operation{
				ID: id.Operation(id.Derive(3, text(t, "op"))), Number: n("number"), Kind: payment.KindRefund, Status: payment.OperationSuccess,
				Amount: amount(t, "refund"), MerchantRefundID: text(t, "refund id"), Description: text(t, "reason"),
				Code: text(t, "op code"), Message: text(t, "op message"), CreatedUS: n("op created"), ChangedUS: n("op changed"),
			},
			Attempt: payment.Attempt{
				ID: id.Attempt(id.Derive(3, text(t, "att"))), Status: payment.AttemptApproved, ProviderID: text(t, "psp id"),
				ProviderCode: text(t, "psp code"), ProviderMessage: text(t, "psp message"), ProviderUS: n("psp time"), Redirect: text(t, "redirect"), ChangedUS: n("att changed"),
			},
		}
		c, err := event.Event{Snapshot: want.Encode()}.Decode()
		now := later(want)
		if got := c.Over(now.Payment, now.Operation, now.Attempt); err != nil || got != want {
			t.Fatalf("Encode(%+v) over %+v = %+v, %v", want, now, got, err)
		}
	})
}

// What is written by hand is what encoding/json writes: every text, and every
// value that it leaves out.
func TestSnapshotIsItsChangeAsJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var s event.Snapshot
		for _, row := range []any{&s.Payment, &s.Operation, &s.Attempt} {
			if rapid.IntRange(0, 9).Draw(t, "empty") == 0 {
				continue
			}
			v := reflect.ValueOf(row).Elem()
			for n := range v.NumField() {
				if rapid.Bool().Draw(t, "zero") {
					continue
				}
				switch f := v.Field(n); f.Kind() {
				case reflect.String:
					f.SetString(text(t, v.Type().Field(n).Name))
				case reflect.Int64:
					f.SetInt(rapid.Int64().Draw(t, v.Type().Field(n).Name))
				case reflect.Array:
					f.Set(reflect.ValueOf(id.Derive(3, text(t, v.Type().Field(n).Name))).Convert(f.Type()))
				}
			}
		}
		want, err := json.Marshal(s.Change())
		if got := s.Encode(); err != nil || got != string(want) {
			t.Fatalf("Encode of %+v:\n%s\nwant\n%s", s, got, want)
		}
	})
}

// An event of before decision 008 has the way to the PSP's page itself.
func TestOldSnapshot(t *testing.T) {
	t.Parallel()
	now := payment.Attempt{Redirect: "the newest way"}
	for text, want := range map[string]string{
		`{"attempt":{"status":"accepted","redirect":"{\"url\":\"https://psp.example\"}"}}`: now.Redirect,
		`{"attempt":{"status":"accepted","redirected":true}}`:                              now.Redirect,
		`{"attempt":{"status":"accepted"}}`:                                                "",
	} {
		c, err := event.Event{Snapshot: text}.Decode()
		if err != nil {
			t.Fatalf("Decode(%s): %v", text, err)
		}
		s := c.Over(payment.Payment{}, payment.Operation{}, now)
		if s.Attempt.Redirect != want || s.Attempt.Status != payment.AttemptAccepted {
			t.Errorf("of %s: status %s, redirect %q; want %q", text, s.Attempt.Status, s.Attempt.Redirect, want)
		}
	}
}

// later gives the rows after they have changed in all that may.
func later(s event.Snapshot) event.Snapshot {
	p, o, a := &s.Payment, &s.Operation, &s.Attempt
	p.Status, p.Awaiting, p.Code, p.Message = payment.StatusRefunded, payment.AwaitedRetry, "x", "y"
	p.CapturedMinor, p.RefundedMinor, p.RefundingMinor, p.ChangedUS, p.TriesLeft, p.RetryUS = 1, 2, 3, 4, 5, 6
	o.Status, o.Code, o.Message, o.ChangedUS = payment.OperationDecline, "x", "y", 7
	a.Status, a.ProviderID, a.ProviderCode, a.ProviderMessage, a.ProviderUS, a.ChangedUS = payment.AttemptDeclined, "p", "q", "r", 8, 9
	if a.Redirect == "" {
		a.Redirect = "later"
	}
	return s
}

// What a merchant may never see, and what only acts need, is not in it.
func TestSnapshotKeepsNoMore(t *testing.T) {
	t.Parallel()
	s := event.Snapshot{
		Payment:   payment.Payment{CallbackURL: "https://shop.example/secret-path"},
		Operation: payment.Operation{Payment: id.Payment(id.Derive(3, "p"))},
		Attempt:   payment.Attempt{Connector: "paytm", Account: "demo-account", Payee: "merchant:1"},
	}
	for _, hidden := range []string{"secret-path", "paytm", "demo-account", "merchant:1"} {
		if strings.Contains(s.Encode(), hidden) {
			t.Errorf("Encode() = %s, want no %q", s.Encode(), hidden)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for _, snapshot := range []string{"", "{", `{"payment":5}`, `{"attempt":{"id":"op_00000000000000000000000001"}}`} {
		if got, err := (event.Event{Snapshot: snapshot}).Decode(); err == nil {
			t.Errorf("Decode(%q) = %+v, want an error", snapshot, got)
		}
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	const all, paid, not = "https://shop.example/cb", "https://shop.example/paid", "https://shop.example/not"
	plain := payment.Payment{CallbackURL: all}
	split := payment.Payment{CallbackURL: all, SuccessURL: paid, DeclineURL: not}
	muted := split
	muted.CallbackMute = 1
	for _, test := range []struct {
		name string
		of   payment.Payment
		kind event.Kind
		want string
	}{
		{"one for all", plain, event.PaymentCaptured, all},
		{"none", payment.Payment{}, event.PaymentCaptured, ""},
		{"success", split, event.PaymentCaptured, paid},
		{"success alone", payment.Payment{SuccessURL: paid}, event.PaymentCaptured, paid},
		{"decline", split, event.PaymentDeclined, not},
		{"decline without its own", payment.Payment{CallbackURL: all, SuccessURL: paid}, event.PaymentDeclined, all},
		{"customer needed", split, event.PaymentAwaiting, all},
		{"refund", split, event.RefundSucceeded, all},
		{"refund declined", split, event.RefundDeclined, all},
		{"muted success", muted, event.PaymentCaptured, ""},
		{"muted decline", muted, event.PaymentDeclined, ""},
		{"muted refund", muted, event.RefundSucceeded, ""},
		{"nothing mutes what must be done", muted, event.PaymentAwaiting, all},
	} {
		if got := event.Address(test.of, test.kind); got != test.want {
			t.Errorf("%s: Address() = %q, want %q", test.name, got, test.want)
		}
	}
}
