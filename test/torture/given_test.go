package torture_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"aorta/test/scenario/testdb"
	"aorta/test/torture"

	"github.com/jackc/pgx/v5"
)

// fatal takes what ends a test: a world that is refused must not be gone on with.
type fatal struct {
	testing.TB
	said string
}

func (f *fatal) Helper() {}
func (f *fatal) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	panic(f)
}

// TestGivenDatabase: a store that holds anything is refused before anything
// runs on it; an empty one is used, and is empty afterwards.
func TestGivenDatabase(t *testing.T) {
	database := testdb.New(t)
	t.Setenv(torture.GivenDatabase, database)
	t.Run("empty", func(t *testing.T) {
		w := torture.NewWorld(t, "postgres")
		if w.Database != database {
			t.Errorf("the world is on %q, want the given one", w.Database)
		}
		w.NewPlatform("p", "").Start()
	})
	if err := torture.Empty(database); err != nil {
		t.Errorf("after a run: %v", err)
	}

	c, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(t.Context(), "CREATE SCHEMA old; CREATE TABLE old.payment (id int)"); err != nil {
		t.Fatal(err)
	}
	f := &fatal{TB: t}
	func() {
		defer func() {
			if said := recover(); said != nil && said != any(f) {
				panic(said)
			}
		}()
		torture.NewWorld(f, "postgres")
	}()
	if !strings.Contains(f.said, "not empty") || !strings.Contains(f.said, "old.payment") {
		t.Errorf("a database with a table is refused with %q", f.said)
	}
}
