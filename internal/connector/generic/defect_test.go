package generic_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"aorta/internal/connector"
	"aorta/internal/connector/generic"
	"aorta/internal/id"
	"aorta/internal/payment"
)

// defectName tells a run of this test binary which mistake to make.
const defectName = "AORTA_TEST_DEFECT"

// defects are mistakes of a connector, and the test of the suite that must see
// each.
var defects = map[string]string{
	"payout-lost-is-declined":    "payout over a broken wire",
	"payout-under-another-name":  "payout approved",
	"payout-unheard-is-not-sent": "payout over a broken wire",
	"payout-to-elsewhere":        "payout to where it came from",
	"instrument-unsaid":          "payout to where it came from",
	"payout-of-nothing-declined": "look-up of a payout never asked",
	"payout-look-up-guesses":     "look-up of a payout over a broken wire",
	"payout-declined-approved":   "payout declined",
	"statement-leaves-out":       "statement",
	"statement-swallows":         "statement over a broken wire",
	"signature-unread":           "notification forged",
}

// defective is a connector with one mistake.
type defective struct {
	*generic.Generic
	defect string
}

func (d defective) Lookup(ctx context.Context, o connector.Order) connector.Outcome {
	out := d.Generic.Lookup(ctx, o)
	if d.defect == "instrument-unsaid" {
		out.Instrument = connector.Instrument{}
	}
	return out
}

func (d defective) Payout(ctx context.Context, o connector.Order) connector.Outcome {
	if d.defect == "payout-to-elsewhere" && o.Destination != "" {
		o.Method, o.Destination = "generic-wallet", ""
	}
	if d.defect == "payout-under-another-name" {
		o.Attempt.ID = id.Attempt(id.Minter{Bits: func() uint64 {
			var raw [8]byte
			_, _ = rand.Read(raw[:])
			return binary.BigEndian.Uint64(raw[:])
		}}.Mint(time.Now(), 7))
	}
	out := d.Generic.Payout(ctx, o)
	switch {
	case d.defect == "payout-lost-is-declined" && out.Kind == connector.Unknown:
		out.Kind, out.Code = connector.Declined, payment.CodeExternalDecline
	case d.defect == "payout-unheard-is-not-sent" && out.Kind == connector.Unknown:
		out.Kind, out.Code = connector.NotSent, payment.CodeProviderUnavailable
	}
	return out
}

func (d defective) LookupPayout(ctx context.Context, o connector.Order) connector.Outcome {
	out := d.Generic.LookupPayout(ctx, o)
	switch {
	case d.defect == "payout-of-nothing-declined" && out.NoRecord:
		out = connector.Outcome{Kind: connector.Declined, Code: payment.CodeExternalDecline}
	case d.defect == "payout-look-up-guesses" && out.Kind == connector.Unknown:
		out = connector.Outcome{Kind: connector.Pending, NoRecord: true}
	case d.defect == "payout-declined-approved" && out.Kind == connector.Declined:
		out = connector.Outcome{Kind: connector.Approved, Amount: o.Attempt.Amount, ProviderID: "1"}
	}
	return out
}

func (d defective) Statement(ctx context.Context, day time.Time) ([]connector.StatementLine, error) {
	lines, err := d.Generic.Statement(ctx, day)
	switch d.defect {
	case "statement-leaves-out":
		return nil, err
	case "statement-swallows":
		return lines, nil
	}
	return lines, err
}

func (d defective) ReadNotification(n connector.Notification) (connector.News, error) {
	if d.defect == "signature-unread" {
		n.Header = n.Header.Clone()
		n.Header.Set("X-Signature", sign(string(n.Body)))
	}
	return d.Generic.ReadNotification(n)
}

// TestTheSuiteSeesDefects: a suite that cannot fail proves nothing. Each mistake
// is made in a run of its own, and the test that is about it must fail.
func TestTheSuiteSeesDefects(t *testing.T) {
	t.Parallel()
	if os.Getenv(defectName) != "" {
		t.Skip("this is such a run")
	}
	for defect, by := range defects {
		t.Run(defect, func(t *testing.T) {
			t.Parallel()
			pattern := "^TestConformance$/^EUR$/^" + strings.ReplaceAll(by, " ", "_") + "$"
			run := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+pattern, "-test.timeout=60s", "-test.v")
			run.Env = append(os.Environ(), defectName+"="+defect)
			out, err := run.CombinedOutput()
			if want := "--- FAIL: TestConformance/EUR/" + strings.ReplaceAll(by, " ", "_"); err == nil || !strings.Contains(string(out), want) {
				t.Errorf("%q lets it pass (%v): %s", by, err, out)
			}
		})
	}
}
