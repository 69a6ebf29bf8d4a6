package store_test

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"aorta/internal/store"
	"aorta/internal/store/schema"
)

// What at least one of the engines that the house may live on refuses, or does
// wrongly (design section 7). A statement that needs one of these is written
// differently.
var denied = map[string]*regexp.Regexp{
	"savepoint":                 regexp.MustCompile(`(?i)\b(SAVEPOINT|RELEASE)\b`),
	"trigger or procedure":      regexp.MustCompile(`(?i)\b(TRIGGER|FUNCTION|PROCEDURE|DO \$)`),
	"LISTEN/NOTIFY":             regexp.MustCompile(`(?i)\b(LISTEN|NOTIFY|pg_notify)\b`),
	"advisory lock":             regexp.MustCompile(`(?i)advisory`),
	"LOCK TABLE":                regexp.MustCompile(`(?i)\bLOCK TABLE\b`),
	"sequence":                  regexp.MustCompile(`(?i)\b(SEQUENCE|(BIG|SMALL)?SERIAL|NEXTVAL|AUTOINCREMENT|IDENTITY)\b`),
	"temporary table":           regexp.MustCompile(`(?i)\bTEMP(ORARY)?\b`),
	"JSON operator":             regexp.MustCompile(`->|#>|@>|\?\||(?i)\bjsonb?_`),
	"deferrable constraint":     regexp.MustCompile(`(?i)\bDEFERR`),
	"foreign key":               regexp.MustCompile(`(?i)\b(FOREIGN KEY|REFERENCES)\b`),
	"the database's own clock":  regexp.MustCompile(`(?i)\b(now\(|CURRENT_TIMESTAMP|clock_timestamp)`),
	"unique besides the key":    regexp.MustCompile(`(?i)\bUNIQUE\b`),
	"subscript of a parameter":  regexp.MustCompile(`\$\d+\s*\)?\s*\[`), // crashed a Citus worker
	"bucket as a bare constant": regexp.MustCompile(`(?i)k\.\w+ AND t\.bucket = \$`),
	"insert in a CTE":           regexp.MustCompile(`(?i)WITH \w+ AS \(INSERT`),
	"change of a bucket":        regexp.MustCompile(`(?i)SET (\w+ = [^,]+, )*bucket =`),
	"insert without columns":    regexp.MustCompile(`(?i)INSERT INTO \w+ (VALUES|SELECT)`),
	"select star from a table":  regexp.MustCompile(`(?i)SELECT \* `),
}

func TestStatementsKeepTheLaws(t *testing.T) {
	t.Parallel()
	all := store.Statements()
	if len(all) < 100 {
		t.Errorf("only %d statements were found", len(all))
	}
	update := regexp.MustCompile(`(?s)\b(UPDATE|DELETE FROM) (.*)`)
	for _, sql := range all {
		keepsLaws(t, sql)
		if m := update.FindStringSubmatch(strings.ReplaceAll(sql, "FOR UPDATE", "FOR CHANGE")); m != nil {
			_, where, _ := strings.Cut(m[2], "WHERE")
			if !strings.Contains(where, ".bucket = ") {
				t.Errorf("no bucket in the WHERE of %s", sql)
			}
		}
	}
}

func keepsLaws(t *testing.T, sql string) {
	t.Helper()
	for what, law := range denied {
		if found := law.FindString(sql); found != "" {
			t.Errorf("%s (%q) in %s", what, found, sql)
		}
	}
}

func TestSchemaKeepsTheLaws(t *testing.T) {
	t.Parallel()
	comment := regexp.MustCompile(`--.*`)
	key := regexp.MustCompile(`PRIMARY KEY \(([^)]*)\)`)
	for _, d := range []schema.Dialect{schema.Postgres, schema.SQLite} {
		files, err := schema.For(d)
		if err != nil {
			t.Fatalf("For(%s): %v", d, err)
		}
		names, err := fs.Glob(files, "*.sql")
		if err != nil || len(names) == 0 {
			t.Fatalf("%s has migrations %v, %v", d, names, err)
		}
		for _, name := range names {
			text, err := fs.ReadFile(files, name)
			if err != nil {
				t.Fatalf("ReadFile: %v", err)
			}
			sql := comment.ReplaceAllString(string(text), "")
			keepsLaws(t, sql)
			tables := strings.Count(sql, "CREATE TABLE")
			keys := key.FindAllStringSubmatch(sql, -1)
			if len(keys) != tables {
				t.Errorf("%s has %d tables and %d primary keys", name, tables, len(keys))
			}
			for _, k := range keys {
				if !strings.HasSuffix(k[1], ", bucket") {
					t.Errorf("%s: primary key (%s) does not end with the bucket", name, k[1])
				}
			}
			if n := strings.Count(sql, "STRICT"); d == schema.SQLite && n != tables {
				t.Errorf("%s: %d of %d tables are STRICT on SQLite", name, n, tables)
			}
		}
	}
}
