// Package mutation proves that the simulator sees what it is there for: each
// build with a mistake made on purpose must fail it. One processor each, so that the
// first seed that fails is the same each time.
package mutation

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestMistakesAreSeen(t *testing.T) {
	t.Parallel()
	for tag, sign := range map[string]string{
		"mutation_dedupe":     "payments, want",               // a payment_id that is known makes a second payment
		"mutation_unknown":    "but the provider says",        // an outcome that nobody knows is taken for a failure
		"mutation_early":      "Our clearing account is",      // money is credited before the provider has said that it moved
		"mutation_expire":     "was declined by time",         // a payment is declined before its limit time
		"mutation_late":       "late sales have",              // late money is not sent back, although the project says so
		"mutation_norecord":   "and nothing says so",          // one "no such operation" is taken for "not sent"
		"mutation_trustnews":  ", without ",                   // a notification is taken for the answer
		"mutation_rerender":   "was told as",                  // a retry of a callback is rendered anew
		"mutation_newid":      "; its endpoint has",           // a retry of a webhook has another id
		"mutation_untold":     "is not told of event",         // endpoints do not hear of refunds
		"mutation_nameless":   "but there is no such ref",     // a move of a wallet does not write its name
		"mutation_release":    "no, or proof that it did not", // a payout that nobody knows of is given back to the wallet
		"mutation_unlimited":  "is let in:",                   // a deposit passes its customer's limit
		"mutation_retryguard": "may not move from",            // a customer may try again on an offer that does not stand
		"mutation_unreserved": "what was ever paid out:",      // a level's bound leaves out what other payouts have reserved
		"mutation_foureyes":   "has had a hand in it",         // one operator approves twice
		"mutation_sameroute":  "is split into",                // all of a payout goes to the first instrument
		"mutation_resend":     "without proof that",           // a part of which nobody knows is sent again
		"mutation_stepup":     "without a decision to",        // a payout that waits for a level goes on without it
		"mutation_excluded":   "without a clear way",          // money that comes after an exclusion is played with
		"mutation_unsealed":   "says that a limit was last",   // windows do not hear of restrictions and lowered limits
		"mutation_unlinked":   "who is the same person",       // an exclusion is not told to the person's other customers
		"mutation_raise":      "is let in:",                   // a raise of a limit holds at once
		"mutation_unplayed":   "is let in:",                   // a stake passes its customer's limit
		"mutation_zone":       "→ declined, without",          // calendar months begin in UTC
		"mutation_recapture":  "Google has to get differs",    // a capture under a known requestId takes the money again
		"mutation_overrefund": "which is more than it took",   // Google gives back more than was captured
	} {
		t.Run(tag, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-cpu=1", "-tags", tag, "-run", "TestSeeds$", "./test/sim", "-sim.seeds=500")
			cmd.Dir = "../.."
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "seed ") || !strings.Contains(string(out), sign) {
				t.Errorf("the simulator on a build with %s: %v, want it to fail and say %q:\n%s", tag, err, sign, out)
			}
		})
	}
}
