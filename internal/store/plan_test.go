package store_test

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"

	"aorta/internal/store"
	"aorta/internal/store/storetest"

	"github.com/jackc/pgx/v5"
)

// A lane's plans are made once and kept, perhaps from a time when the tables
// were empty. So whatever the planner believes about their sizes, it must look
// each row up by its whole key: anything else decays as tables grow.
func TestPlansDoNotDependOnSizes(t *testing.T) {
	t.Parallel()
	dsn := storetest.Database(t)
	db := storetest.OpenPostgres(t, dsn)
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(cfg.RuntimeParams, store.LaneSettings())
	check := func(when string) {
		t.Helper()
		c, err := pgx.ConnectConfig(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(t.Context())
		looked := 0
		for _, s := range store.LaneStatements() {
			if strings.HasPrefix(s.Name, "insert ") {
				continue
			}
			looked++
			words := strings.Fields(s.Name)
			table := words[len(words)-1]
			plan := explain(t, c, s)
			key := regexp.MustCompile(`Index Scan using ` + table + `_pkey on ` + table + ` t.*\n *Index Cond: .*\b(id|scope)\b.* AND \(bucket = `)
			if !key.MatchString(plan) || strings.Contains(plan, "Join Filter") || strings.Contains(plan, "Seq Scan") {
				t.Errorf("%s, %s does not look rows up by key:\n%s", when, s.Name, plan)
			}
		}
		if looked != 161 {
			t.Errorf("looked at %d statements, want 5 for each of 32 kinds, and one for windows", looked)
		}
	}
	admin, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(t.Context())
	check("on new tables")
	vacuum := func() {
		t.Helper()
		if _, err := admin.Exec(t.Context(), "VACUUM ANALYZE"); err != nil {
			t.Fatalf("VACUUM: %v", err)
		}
	}
	vacuum()
	check("on tables known to be empty")
	m := new(minter)
	mustWrite(t, lane(t, db), m.batch(), rows(m, 1, 0))
	vacuum()
	check("on tables of three rows")
}

// explain gives the plan that a lane's prepared statement has.
func explain(t *testing.T, c *pgx.Conn, s store.LaneStatement) string {
	t.Helper()
	if _, err := c.PgConn().Prepare(t.Context(), s.Name, s.SQL, s.Params); err != nil {
		t.Fatalf("prepare %s: %v", s.Name, err)
	}
	nulls := strings.TrimSuffix(strings.Repeat("NULL, ", len(s.Params)), ", ")
	results, err := c.PgConn().Exec(t.Context(), fmt.Sprintf("EXPLAIN EXECUTE %q (%s)", s.Name, nulls)).ReadAll()
	if err != nil {
		t.Fatalf("explain %s: %v", s.Name, err)
	}
	var plan strings.Builder
	for _, row := range results[0].Rows {
		plan.Write(row[0])
		plan.WriteByte('\n')
	}
	return plan.String()
}
