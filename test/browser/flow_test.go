package browser

import (
	"os"
	"os/exec"
	"testing"

	"aorta/test/demo"
)

// TestFlow takes payments through the built binary as a customer does: demo shop, widget, payment page, sandbox
// Paytm, and back. When it is over the books are verified.
func TestFlow(t *testing.T) {
	needs(t)
	d := demo.Start(t)
	drive(t, "flow.mjs", map[string]any{"public": d.Public, "sandbox": d.Sandbox})
}

// TestTryAgain declines payments and tries them again.
func TestTryAgain(t *testing.T) {
	needs(t)
	d := demo.Start(t, "--page-attempts", "3")
	drive(t, "again.mjs", map[string]any{"public": d.Public, "sandbox": d.Sandbox})
}

// TestCustomer shows customers of the licensed house where their payouts stand.
func TestCustomer(t *testing.T) {
	needs(t)
	d := demo.Start(t)
	drive(t, "customer.mjs", map[string]any{"public": d.Public, "sandbox": d.Sandbox, "key": d.Licensed.APIKey})
}

// TestGoogle is what a person does at the sandbox's Google.
func TestGoogle(t *testing.T) {
	needs(t)
	if _, err := exec.LookPath("gpg"); err != nil {
		if os.Getenv("AORTA_TEST_ALL") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	d := demo.Start(t)
	drive(t, "google.mjs", map[string]any{"public": d.Public, "sandbox": d.Sandbox, "customers": d.Customers, "key": d.APIKey})
}
