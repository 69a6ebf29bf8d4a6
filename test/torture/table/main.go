// Command table prints one table of what the tests of the torture programme
// have reported (test/torture, Report), and fails if a fault that is built was
// not injected as often as planned, or was not survived. The faults that wait
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

// faults are those of torture.md 2.2, in order; later: what they wait for.
var faults = []struct{ id, fault, later string }{
	{"T01", "SIGKILL at every step", ""},
	{"T02", "SIGKILL of PostgreSQL", ""},
	{"T03", "connection lost at COMMIT", ""},
	{"T04", "database stands still", "its issue"},
	{"T05", "disk full", ""},
	{"T06", "flush fails, short write, read-only disk", "its issue"},
	{"T07", "PSP times out, success later", ""},
	{"T08", "PSP times out, never happened", ""},
	{"T09", "success after our decline", ""},
	{"T10", "notifications twice and more", ""},
	{"T11", "news out of order", ""},
	{"T12", "tampered, unsigned, stale", ""},
	{"T13", "other amount, currency, account or payment", ""},
	{"T14", "unknown types, huge and broken bodies", ""},
	{"T15", "clock jumps", "its issue"},
	{"T16", "slow merchant", ""},
	{"T17", "poison callback", ""},
	{"T18", "retry storm", ""},
	{"T19", "two processes on one database", ""},
	{"T20", "partial refunds race", ""},
	{"T21", "one name, many at once", ""},
	{"T22", "payout submitted twice", "payouts"},
	{"T23", "unknown for days", ""},
	{"T24", "payout against chargeback, refund, limit", "payouts and limits"},
	{"T25", "network: loss, delay, DNS, certificates", "its issue"},
	{"T26", "memory and files run out", ""},
	{"T27", "restore from a backup", "backups"},
	{"T28", "upgrade and downgrade in mid-flight", "a second release"},
	{"T29", "faults of settlement reports", "reconciliation"},
	{"T30", "SIGTERM under load", ""},
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
		switch {
		case len(of) > 0:
		case f.later != "":
			fmt.Fprintf(w, "| %s | %s | | not built: waits for %s | | |\n", f.id, f.fault, f.later)
		default:
			holds = false
			fmt.Fprintf(w, "| %s | %s | | **was not run** | | |\n", f.id, f.fault)
		}
	}
	for _, r := range rows {
		if !known[r.ID] {
			show(r)
		}
	}
	return holds
}
