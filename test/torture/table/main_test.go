package main

import (
	"strings"
	"testing"

	"aorta/test/torture"
)

// all is a run in which everything that is built held.
func all() []torture.Row {
	var rows []torture.Row
	for _, f := range faults {
		for _, store := range f.stores {
			rows = append(rows, torture.Row{ID: f.id, Fault: f.fault, Store: store, Planned: 3, Injected: 3, Survived: 3})
		}
	}
	return rows
}

func TestTable(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func([]torture.Row) []torture.Row
		want   bool
		says   string
	}{
		{"all hold", func(r []torture.Row) []torture.Row { return r }, true, "| T25 | network: loss, delay, DNS, certificates | | not built"},
		{"more than the programme's", func(r []torture.Row) []torture.Row {
			return append(r, torture.Row{ID: "T31", Fault: "one more", Planned: 1, Injected: 1, Survived: 1})
		}, true, "| T31 | one more |"},
		{"one was not run", func(r []torture.Row) []torture.Row { return r[2:] }, false, "| T01 | SIGKILL at every step | sqlite | **was not run**"},
		{"one was run on one store alone", func(r []torture.Row) []torture.Row { return r[1:] }, false, "| T01 | SIGKILL at every step | postgres | **was not run**"},
		{"too few injected", func(r []torture.Row) []torture.Row { r[0].Injected = 2; return r }, false, "2 of 3, **does not hold**"},
		{"violated", func(r []torture.Row) []torture.Row { r[4].Violations = 1; return r }, false, "**does not hold**"},
		{"nothing", func([]torture.Row) []torture.Row { return nil }, false, "was not run"},
	} {
		var b strings.Builder
		if got := write(&b, c.change(all())); got != c.want || !strings.Contains(b.String(), c.says) {
			t.Errorf("%s: holds = %t, want %t and %q:\n%s", c.name, got, c.want, c.says, b.String())
		}
	}
}
