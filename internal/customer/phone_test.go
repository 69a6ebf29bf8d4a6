package customer_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"aorta/internal/customer"
)

// TestPhone: only what E.164 writes is a number; nothing is guessed.
func TestPhone(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"+918067218010", "+12025550", "+123456789012345"} {
		p, err := customer.ParsePhone(good)
		if err != nil || p.Reveal() != good || p.IsZero() {
			t.Errorf("ParsePhone(%q) = %q, %v", good, p.Reveal(), err)
		}
	}
	for _, bad := range []string{"", "+", "919800000001", "+0919800000001", "+1234567", "+1234567890123456", "+91 9800000001", "+91-9800000001", "+91980000٠001", "++919800000001"} {
		p, err := customer.ParsePhone(bad)
		if !errors.Is(err, customer.ErrPhone) || !p.IsZero() || p.Masked() != "" {
			t.Errorf("ParsePhone(%q) = %q, %v, want ErrPhone", bad, p.Reveal(), err)
		}
		if bad != "" && bad != "+" && strings.Contains(err.Error(), bad) {
			t.Errorf("the error repeats %q", bad)
		}
	}
	p, err := customer.ParsePhone("+918067218010")
	if err != nil {
		t.Fatal(err)
	}
	if p.Masked() != "+91••••••••10" {
		t.Errorf("Masked = %q", p.Masked())
	}
	if text, err := json.Marshal(map[string]any{"phone": p}); err != nil || strings.Contains(string(text), "8067218010") {
		t.Errorf("as JSON: %s, %v", text, err)
	}
}
