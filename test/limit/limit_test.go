package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aorta/test/demo"
	"aorta/test/scenario/testdb"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"
)

// content is what a table holds, per payment but for the accounts.
type content struct {
	rows     float64
	versions float64 // sum: rises by one with each update
	bytes    float64 // of all texts and numbers, as text
}

// unversioned are the tables whose rows never change.
var unversioned = []string{"transfer", "event"}

// contents reads all tables that the limit writes.
func contents(t *testing.T, driver, dsn string, payments int64) map[string]content {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	columns := map[string][]string{}
	for _, w := range append(writes, openAccounts) {
		if w.verb != insert {
			continue
		}
		whole(t, db, w)
		for _, c := range w.cols {
			// What was counted up differs in digits, and an account's balance in both.
			if c.kind == kindText || c.kind == kindInt && c.name != "minor" && c.name != "number" {
				columns[w.table] = append(columns[w.table], fmt.Sprintf("LENGTH(CAST(%s AS TEXT))", c.name))
			}
		}
	}
	out := map[string]content{}
	for table, lengths := range columns {
		version := "0"
		if !slices.Contains(unversioned, table) {
			version = "version"
		}
		if table == "account" {
			version = "1" // one a batch: as many as there were batches
		}
		slices.Sort(lengths)
		var rows, versions, bytes float64
		query := fmt.Sprintf("SELECT COUNT(*), COALESCE(SUM(%s), 0), COALESCE(SUM(%s), 0) FROM %s", version, strings.Join(slices.Compact(lengths), " + "), table)
		if err := db.QueryRow(query).Scan(&rows, &versions, &bytes); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		n := float64(payments)
		if table == "account" {
			n = 1
		}
		out[table] = content{rows / n, versions / n, bytes / n}
	}
	return out
}

// whole: a row is written with all of its columns; a new one is the limit's, too.
func whole(t *testing.T, db *sql.DB, w write) {
	t.Helper()
	rows, err := db.Query("SELECT * FROM " + w.table + " LIMIT 0")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	have, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range have {
		if name != "version" && !slices.ContainsFunc(w.cols, func(c column) bool { return c.name == name }) {
			t.Errorf("the limit does not write %s.%s", w.table, name)
		}
	}
}

// differences are the tables in which a limit does not write what the core does.
func differences(core, limit map[string]content) []string {
	var out []string
	for _, table := range slices.Sorted(maps.Keys(core)) {
		a, b := core[table], limit[table]
		if a.rows != b.rows || a.versions != b.versions || math.Abs(a.bytes-b.bytes) > 0.03*a.bytes {
			out = append(out, fmt.Sprintf("%s: the core %+v, the limit %+v", table, a, b))
		}
	}
	return out
}

// stored runs a short core bench and a short limit, and reads what each left.
func stored(t *testing.T, database string) (core, limit map[string]content) {
	t.Helper()
	driver, dsn, limitDSN := "pgx", database, ""
	var flags []string
	var o options
	if database != "" {
		limitDSN = testdb.New(t)
		flags, o = []string{"--database", database}, options{database: limitDSN}
	} else {
		a, b := t.TempDir(), t.TempDir()
		driver, dsn, limitDSN = "sqlite", filepath.Join(a, "aorta.db"), filepath.Join(b, "aorta.db")
		flags, o = []string{"--data", a}, options{data: b}
	}
	// As many as give payments the same number of digits, and every bucket some.
	args := append([]string{"bench", "--core", "--json", "--no-verify", "--callers", "64", "--duration", "100ms", "--prefill", "3000"}, flags...)
	out, err := exec.CommandContext(t.Context(), demo.Binary(t), args...).Output()
	if err != nil {
		t.Fatalf("aorta bench: %v", err)
	}
	var r struct {
		Batches []int `json:"batch_deciles"`
	}
	if err := json.Unmarshal(out, &r); err != nil || len(r.Batches) != 10 {
		t.Fatalf("aorta bench says %s: %v", out, err)
	}
	core = contents(t, driver, dsn, paymentsOf(t, driver, dsn))
	o.batches, o.callers, o.duration = []int{96, 192}, 512, time.Second
	if _, err := run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return core, contents(t, driver, limitDSN, paymentsOf(t, driver, limitDSN))
}

func paymentsOf(t *testing.T, driver, dsn string) (n int64) {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow("SELECT COUNT(*) FROM payment").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// The limit writes what the core writes, no row less and no update: a limit
// that does less flatters nobody, but one that does more flatters the core.
func TestWritesWhatTheCoreWrites(t *testing.T) {
	for _, store := range []string{"sqlite", "postgres"} {
		t.Run(store, func(t *testing.T) {
			database := ""
			if store == "postgres" {
				database = testdb.New(t)
			}
			core, limit := stored(t, database)
			if d := differences(core, limit); len(d) > 0 {
				t.Errorf("differences:\n%s", strings.Join(d, "\n"))
			}
		})
	}
}

// A limit that forgets a statement is found out.
func TestForgottenStatementIsSeen(t *testing.T) {
	all := writes
	defer func() { writes = all }()
	for _, forgotten := range []struct {
		verb  verb
		table string
	}{{remove, "due"}, {update, "attempt"}, {insert, "event"}} {
		writes = slices.DeleteFunc(slices.Clone(all), func(w write) bool { return w.verb == forgotten.verb && w.table == forgotten.table })
		if len(writes) == len(all) {
			t.Fatalf("there is no %s of %s", forgotten.verb, forgotten.table)
		}
		data := t.TempDir()
		if _, err := run(t.Context(), options{data: data, batches: []int{60}, callers: 90, duration: 100 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		dsn := filepath.Join(data, "aorta.db")
		writes = all // to read every table
		whole := t.TempDir()
		if _, err := run(t.Context(), options{data: whole, batches: []int{60}, callers: 90, duration: 100 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		wholeDSN := filepath.Join(whole, "aorta.db")
		got := differences(contents(t, "sqlite", wholeDSN, paymentsOf(t, "sqlite", wholeDSN)), contents(t, "sqlite", dsn, paymentsOf(t, "sqlite", dsn)))
		if len(got) != 1 || !strings.HasPrefix(got[0], forgotten.table+":") {
			t.Errorf("without %s of %s the differences are %q", forgotten.verb, forgotten.table, got)
		}
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{},
		{"--data", "d", "--database", "u"},
		{"--data", "d", "--batch", "0"},
		{"--data", "d", "--batch", "10,x"},
		{"--data", "d", "--duration", "0s"},
		{"--data", "d", "--callers", "1"},
	} {
		if _, _, err := parse(args); err == nil {
			t.Errorf("parse(%q) takes it", args)
		}
	}
	o, asJSON, err := parse([]string{"--data", "d", "--batch", "30,60.4", "--json"})
	if err != nil || !asJSON || !slices.Equal(o.batches, []int{30, 60}) || o.callers != 512 {
		t.Errorf("parse = %+v, %t, %v", o, asJSON, err)
	}
}
