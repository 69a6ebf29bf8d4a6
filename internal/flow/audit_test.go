package flow_test

import (
	"encoding/json"
	"strings"
	"testing"

	"aorta/internal/flow"
)

// TestLoggedDetails: what is long loses its end and nothing else is lost, a card
// number in a text is masked, and a time that looks like one stays a number.
func TestLoggedDetails(t *testing.T) {
	t.Parallel()
	const looksLikeACard = 2366841600000005 // microseconds of the year 2045; Luhn holds
	text := flow.LoggedDetails(map[string]any{
		"amount": "55.00", "until_us": looksLikeACard, "note": strings.Repeat("\u2039", 20_000), "said": "4111 1111 1111 1111",
		"ids": make([]string, 5_000),
	})
	var got map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("the details are no JSON: %v: %.200s", err, text)
	}
	if len(text) > 16<<10 {
		t.Errorf("%d bytes are kept", len(text))
	}
	if got["amount"] != "55.00" || got["until_us"] != float64(looksLikeACard) {
		t.Errorf("amount and time are %v, %v", got["amount"], got["until_us"])
	}
	if s, _ := got["said"].(string); strings.Contains(strings.ReplaceAll(s, " ", ""), "4111111111111111") {
		t.Errorf("a card number is kept: %q", s)
	}
	for _, name := range []string{"note", "ids"} {
		if sum, _ := got[name+"_sha256"].(string); len(sum) != 64 {
			t.Errorf("%s is cut without a digest of the whole: %v", name, got[name+"_sha256"])
		}
	}
	if short := flow.LoggedDetails(map[string]int{"n": 1}); short != `{"n":1}` {
		t.Errorf("short details became %s", short)
	}
}
