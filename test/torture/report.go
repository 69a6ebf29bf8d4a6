// Package torture is the programme of faults that Aorta must survive
// (torture.md): real processes, real kills, real databases. Its tests are short
// in `make test` and take the counts of the programme when AORTA_TORTURE=full;
// `make torture` runs them so and prints one table of what they report.
package torture

import (
	"encoding/json"
	"os"
	"testing"
)

// Row is a line of the table.
type Row struct {
	ID         string `json:"id"`    // of torture.md: T01
	Fault      string `json:"fault"` // in words
	Store      string `json:"store"` // sqlite, postgres or memory
	Planned    int    `json:"planned"`
	Injected   int    `json:"injected"`
	Survived   int    `json:"survived"`
	Violations int    `json:"violations"`
}

// Holds reports whether all that was planned was injected, and all that was
// injected was survived: a torture that hit nothing is not a pass (torture.md 2.1).
func (r Row) Holds() bool {
	return r.Planned > 0 && r.Injected >= r.Planned && r.Survived >= r.Injected && r.Violations == 0
}

// Full reports whether the counts of the programme are asked for.
func Full() bool { return os.Getenv(counts) == full }

// counts is the variable that asks for them: full, or empty for short ones.
const counts, full = "AORTA_TORTURE", "full"

// Count is how often a fault is injected: as often as the programme says, or a
// few times where the whole of it would take too long. 0 skips the test.
func Count(t testing.TB, most, quick int) int {
	t.Helper()
	n := quick
	switch asked := os.Getenv(counts); asked {
	case "":
	case full:
		n = most
	default:
		t.Fatalf("%s is %q; there is %q, and without it the short counts", counts, asked, full)
	}
	if n == 0 {
		t.Skip("only in the full programme: AORTA_TORTURE=full")
	}
	return n
}

// Report tells what became of a fault, for the table, and fails the test if it
// does not hold.
func Report(t testing.TB, r Row) {
	t.Helper()
	t.Logf("%s %s, %s: %d of %d injected, %d survived, %d violations", r.ID, r.Fault, r.Store, r.Injected, r.Planned, r.Survived, r.Violations)
	if !r.Holds() {
		t.Errorf("%s %s, %s did not hold", r.ID, r.Fault, r.Store)
	}
	path := os.Getenv("AORTA_TORTURE_TABLE")
	if path == "" {
		return
	}
	line, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
