package payment_test

import (
	"strings"
	"testing"

	"aorta/internal/id"
	"aorta/internal/payment"

	"pgregory.net/rapid"
)

func TestARequestIDNamesItsOperation(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		o := payment.Operation{
			ID:     id.Operation(id.Derive(3, rapid.String().Draw(t, "operation"))),
			Number: rapid.Int64Range(1, 1<<53-1).Draw(t, "number"),
		}
		text := o.RequestID()
		got, ok := payment.OperationOf(text)
		if len(text) != 41 || !ok || got != o.ID || !payment.IsRequestID(text) {
			t.Fatalf("OperationOf(%q) = %s, %t; want %s", text, got, ok, o.ID)
		}
	})
}

func TestRequestIDKeepsLeadingZeros(t *testing.T) {
	t.Parallel()
	o := payment.Operation{ID: id.Operation{0: 1, 15: 0xab}, Number: 7_00000201}
	if got, want := o.RequestID(), "010000000000000000000000000000ab-00000201"; got != want {
		t.Errorf("RequestID() = %q, want %q", got, want)
	}
}

func TestWhatIsNoRequestID(t *testing.T) {
	t.Parallel()
	good := payment.Operation{ID: id.Operation{0: 0xab}, Number: 1}.RequestID()
	for _, text := range []string{
		"", good[1:], good + "0", strings.ToUpper(good), strings.Replace(good, "-", "0", 1), strings.Replace(good, "a", "g", 1),
		good[:40] + "a", strings.Repeat("0", 32) + "-00000001",
	} {
		if got, ok := payment.OperationOf(text); ok {
			t.Errorf("OperationOf(%q) = %s, want none", text, got)
		}
	}
}
