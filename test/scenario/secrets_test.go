package scenario_test

import (
	"net/http"
	"strings"
	"testing"

	"aorta/test/scenario"
	"aorta/test/scenario/testdb"
)

// TestNothingSpills plants a card number wherever a text of the merchant's may
// stand, and looks for it and for the project's secret in all that the platform
// lets out or keeps (C10), with all that it can say in its log. A word that may
// be kept is planted too: what would not find that would find nothing.
func TestNothingSpills(t *testing.T) {
	t.Parallel()
	for store, database := range map[string]func(testing.TB) string{"sqlite": func(testing.TB) string { return "" }, "postgres": testdb.New} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			const pan, spaced, kept = "4000001234567899", "4000 0012-3456 7899", "kept-in-the-books-4711"
			d := scenario.Start(t, database(t), append([]string{"--log-level=debug"}, quick...)...)
			d.Control("paytm", "approve", "sale", 1)
			status, answer := d.Gate("/v2/payment/wallet/paytm/sale", scenario.Sale(kept, 1000))
			accepted(t, status, answer)
			d.Await(kept, "success/sale success 0")
			for _, number := range []string{pan, spaced} {
				for field, body := range map[string]map[string]any{
					"payment_id": scenario.Sale(number, 1000), "description": scenario.Sale("described", 1000), "customer": scenario.Sale("bought", 1000),
					"refund": scenario.Refund(kept, 1, number),
				} {
					path := "/v2/payment/wallet/paytm/sale"
					switch field {
					case "description":
						body["payment"].(map[string]any)["description"] = "card " + number
					case "customer":
						body["customer"].(map[string]any)["id"] = number
					case "refund":
						path = "/v2/payment/wallet/paytm/refund"
					}
					if status, answer := d.Gate(path, body); status == http.StatusOK {
						t.Errorf("a card number as %s was taken: %v", field, answer)
					}
				}
			}
			seen := 0
			for _, found := range d.Spills(map[string]string{"pan": pan, "secret": d.Secret, "kept": kept}) {
				if strings.Contains(found, "the canary kept") {
					seen++
				} else {
					t.Error(found)
				}
			}
			if seen < 2 {
				t.Errorf("what is kept was seen in %d places, want the database and the callbacks", seen)
			}
		})
	}
}
