// Package schema has the tables of a home, in one text for both databases.
//
// The text is PostgreSQL's; For gives SQLite's by the substitutions below and
// nothing else, so the two cannot drift apart. What both lack on purpose is in
// the deny-list of a test in package store: no sequence, trigger or foreign
// key, every primary key with its bucket (design sections 3 and 7).
package schema

import (
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"testing/fstest"
)

//go:embed *.sql
var files embed.FS

// Dialect is the database that a text is for.
type Dialect string

// The dialects.
const (
	Postgres Dialect = "postgres"
	SQLite   Dialect = "sqlite"
)

// substitutions turn the text into SQLite's, in this order.
//
//   - A STRICT table refuses the type names BIGINT and UUID.
//   - The zero id is text of PostgreSQL's and bytes of SQLite's.
//   - COLLATE "C" is what SQLite does anyway: keys order as bytes.
//   - Only PostgreSQL leaves room in pages.
//   - Tables with a fillfactor have short rows, looked up by key: SQLite keeps
//     those in the key's own tree (WITHOUT ROWID). The others have rows that may
//     be long, which would make that tree deep.
var substitutions = []struct {
	from *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`\bBIGINT\b`), "INTEGER"},
	{regexp.MustCompile(`\bUUID\b`), "BLOB"},
	{regexp.MustCompile(`'00000000-0000-0000-0000-000000000000'`), "x'00000000000000000000000000000000'"},
	{regexp.MustCompile(` COLLATE "C"`), ""},
	{regexp.MustCompile(`(?m)^ALTER TABLE \w+ SET \(fillfactor = \d+\);\n`), ""},
	{regexp.MustCompile(`(?m)^\) WITH \([^)]*\);$`), ") STRICT, WITHOUT ROWID;"},
	{regexp.MustCompile(`(?m)^\);$`), ") STRICT;"},
}

// For gives the migrations of a dialect.
func For(d Dialect) (fs.FS, error) {
	if d == Postgres {
		return files, nil
	}
	out := fstest.MapFS{}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read migration: %w", err)
		}
		sql := string(text)
		for _, s := range substitutions {
			sql = s.from.ReplaceAllString(sql, s.to)
		}
		out[name] = &fstest.MapFile{Data: []byte(strings.TrimSpace(sql) + "\n")}
	}
	return out, nil
}
