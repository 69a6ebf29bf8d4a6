// Command table prints one table of what the tests of the torture programme
// have reported (test/torture, Report), and fails if a fault that is built was
// not tried on each of its stores, not injected as often as planned, or not survived. The faults that wait
// for a flow to be built are named, and count neither as passed nor as planned.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"

	"aorta/test/torture"
)

// The stores on which a fault that is built must have been tried.
var (
	both     = []string{"postgres", "sqlite"}
	postgres = []string{"postgres"} // what SQLite does not have: a server, and a connection to it
	memory   = []string{"memory"}   // what lies between us and others, in virtual time
)

// faults are those of torture.md 2.2, in order, and the overload; later: what
// they wait for.
var faults = []struct {
	id, fault string
	stores    []string
	later     string
}{
	{"T01", "SIGKILL at every step", both, ""},
	{"T02", "SIGKILL of PostgreSQL", postgres, ""},
	{"T03", "connection lost at COMMIT", postgres, ""},
	{"T04", "database stands still", nil, "its issue"},
	{"T05", "disk full", both, ""},
	{"T06", "flush fails, short write, read-only disk", nil, "its issue"},
	{"T07", "PSP times out, success later", memory, ""},
	{"T08", "PSP times out, never happened", memory, ""},
	{"T09", "success after our decline", memory, ""},
	{"T10", "notifications twice and more", both, ""},
	{"T11", "news out of order", memory, ""},
	{"T12", "tampered, unsigned, stale", both, ""},
	{"T13", "other amount, currency, account or payment", both, ""},
	{"T14", "unknown types, huge and broken bodies", both, ""},
	{"T15", "clock jumps", memory, ""},
	{"T16", "slow merchant", memory, ""},
	{"T17", "poison callback", memory, ""},
	{"T18", "retry storm", memory, ""},
	{"T19", "two processes on one database", both, ""},
	{"T20", "partial refunds race", both, ""},
	{"T21", "one name, many at once", both, ""},
	{"T22", "payout submitted twice", slices.Concat(memory, both), ""},
	{"T23", "unknown for days", memory, ""},
	{"T24", "payout against refund, exclusion, limit change", slices.Concat(memory, both), ""}, // chargebacks wait for their issue
	{"T25", "network: loss, delay, DNS, certificates", nil, "its issue"},
	{"T26", "memory and files run out", both, ""},
	{"T27", "restore from a backup", nil, "backups"},
	{"T28", "upgrade and downgrade in mid-flight", nil, "a second release"},
	{"T29", "faults of settlement reports", nil, "reconciliation"},
	{"T30", "SIGTERM under load", both, ""},
	{"overload", "twice the most that it can do", both, ""},
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: table FILE, which AORTA_TORTURE_TABLE has named while the tests ran")
		os.Exit(2)
	}
	rows, err := read(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "table:", err)
		os.Exit(2)
	}
	if !write(os.Stdout, rows) {
		os.Exit(1)
	}
}

func read(path string) ([]torture.Row, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var rows []torture.Row
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var r torture.Row
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("line %q: %w", lines.Text(), err)
		}
		rows = append(rows, r)
	}
	return rows, lines.Err()
}

// write prints the table; false: something in it must not be.
func write(w io.Writer, rows []torture.Row) (holds bool) {
	holds = true
	fmt.Fprintln(w, "| | fault | store | injected | survived | violations |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|")
	slices.SortStableFunc(rows, func(a, b torture.Row) int { return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Store, b.Store)) })
	show := func(r torture.Row) {
		injected := fmt.Sprint(r.Injected)
		if !r.Holds() {
			holds = false
			injected += fmt.Sprintf(" of %d, **does not hold**", r.Planned)
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %d | %d |\n", r.ID, r.Fault, r.Store, injected, r.Survived, r.Violations)
	}
	known := map[string]bool{}
	for _, f := range faults {
		known[f.id] = true
		of := slices.DeleteFunc(slices.Clone(rows), func(r torture.Row) bool { return r.ID != f.id })
		for _, r := range of {
			show(r)
		}
		if f.later != "" && len(of) == 0 {
			fmt.Fprintf(w, "| %s | %s | | not built: waits for %s | | |\n", f.id, f.fault, f.later)
		}
		for _, store := range f.stores {
			if !slices.ContainsFunc(of, func(r torture.Row) bool { return r.Store == store }) {
				holds = false
				fmt.Fprintf(w, "| %s | %s | %s | **was not run** | | |\n", f.id, f.fault, store)
			}
		}
	}
	for _, r := range rows {
		if !known[r.ID] {
			show(r)
		}
	}
	return holds
}
