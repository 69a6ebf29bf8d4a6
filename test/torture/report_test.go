package torture_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aorta/test/torture"
)

// heard takes what a report says of a test instead of failing this one.
type heard struct {
	testing.TB
	failed bool
}

func (h *heard) Helper()               {}
func (h *heard) Logf(string, ...any)   {}
func (h *heard) Errorf(string, ...any) { h.failed = true }

// TestCount: counts that there are not are refused with those that there are.
func TestCount(t *testing.T) {
	for asked, want := range map[string]int{"": 3, "full": 100, "ful": 0} {
		t.Setenv("AORTA_TORTURE", asked)
		f, n := &fatal{TB: t}, 0
		func() {
			defer func() {
				if said := recover(); said != nil && said != any(f) {
					panic(said)
				}
			}()
			n = torture.Count(f, 100, 3)
		}()
		if n != want || (want == 0) != strings.Contains(f.said, `there is "full"`) {
			t.Errorf("AORTA_TORTURE=%s: %d, and it said %q; want %d", asked, n, f.said, want)
		}
	}
}

// TestReport: a row stands only if all that was planned was injected, and all
// that was injected was survived.
func TestReport(t *testing.T) {
	table := filepath.Join(t.TempDir(), "table")
	t.Setenv("AORTA_TORTURE_TABLE", table)
	for _, c := range []struct {
		name string
		row  torture.Row
		want bool
	}{
		{"all", torture.Row{Planned: 5, Injected: 6, Survived: 6}, true},
		{"fewer than planned", torture.Row{Planned: 5, Injected: 4, Survived: 4}, false},
		{"not survived", torture.Row{Planned: 5, Injected: 5, Survived: 4}, false},
		{"violated", torture.Row{Planned: 5, Injected: 5, Survived: 5, Violations: 1}, false},
		{"nothing planned", torture.Row{}, false},
	} {
		h := &heard{TB: t}
		if torture.Report(h, c.row); h.failed == c.want {
			t.Errorf("%s: holds = %t, want %t", c.name, !h.failed, c.want)
		}
	}
	raw, err := os.ReadFile(table)
	if err != nil || strings.Count(string(raw), "\n") != 5 {
		t.Errorf("table = %q, %v, want five lines", raw, err)
	}
}
