package torture

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// GivenDatabase is the variable that names a PostgreSQL database for the
// programme to run on, one world after another, instead of those that it makes
// itself. It must be empty, and is left empty.
const GivenDatabase = "AORTA_TORTURE_DATABASE"

// borrow takes a given database for one test.
func borrow(t testing.TB, database string) string {
	t.Helper()
	if err := Empty(database); err != nil {
		t.Fatalf("%s: %v", GivenDatabase, err)
	}
	t.Cleanup(func() {
		if err := clearOut(database); err != nil {
			t.Errorf("%s: %v", GivenDatabase, err)
		}
	})
	return database
}

// Empty refuses a database that holds anything: a torture leaves its own rows
// behind and kills what it finds at work.
func Empty(database string) error {
	tables, err := tablesOf(database)
	if err != nil {
		return err
	}
	if len(tables) > 0 {
		return fmt.Errorf("the database is not empty: it has %d tables, such as %s; the torture programme runs on an empty one, or without the variable on its own",
			len(tables), tables[0])
	}
	return nil
}

const listTables = `SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f', 'm') AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%' ORDER BY 1`

func tablesOf(database string) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, database)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer c.Close(ctx)
	rows, err := c.Query(ctx, listTables)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	return tables, nil
}

// clearOut drops what was made since the database was found empty.
func clearOut(database string) error {
	tables, err := tablesOf(database)
	if err != nil || len(tables) == 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, database)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, "DROP TABLE "+strings.Join(tables, ", ")+" CASCADE"); err != nil {
		return fmt.Errorf("drop the run's tables: %w", err)
	}
	return nil
}
