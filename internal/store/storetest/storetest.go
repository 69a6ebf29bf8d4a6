// Package storetest gives tests an empty home of their own on every backend.
package storetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"aorta/internal/book"
	"aorta/internal/store"

	"github.com/jackc/pgx/v5"
)

// Env names a PostgreSQL server, as a URL of a user who may create databases.
const Env = "AORTA_TEST_POSTGRES"

// DB is a home as all backends have it; package store's are a store.DB too.
type DB interface {
	book.Store
	book.Reader
	book.Processes
}

// Each runs fn once per backend, each time on an empty home of its own.
// PostgreSQL joins when AORTA_TEST_POSTGRES names a server; memory and SQLite
// always run.
func Each(t *testing.T, fn func(t *testing.T, db DB)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		fn(t, book.NewMemory())
	})
	EachStore(t, func(t *testing.T, db store.DB) { fn(t, db) })
}

// EachStore is Each without memory.
func EachStore(t *testing.T, fn func(t *testing.T, db store.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		fn(t, SQLite(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		fn(t, Postgres(t))
	})
}

// SQLite opens an empty home in a file of its own.
func SQLite(t testing.TB) *store.SQLite {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "aorta.db"), store.Options{})
	if err != nil {
		t.Fatalf("OpenSQLite: %v", err)
	}
	ready(t, db)
	return db
}

// Postgres opens an empty home in a database of its own, or skips the test.
func Postgres(t testing.TB) *store.Postgres {
	t.Helper()
	return OpenPostgres(t, Database(t))
}

// OpenPostgres opens and migrates the database that dsn names.
func OpenPostgres(t testing.TB, dsn string) *store.Postgres {
	t.Helper()
	db, err := store.OpenPostgres(t.Context(), dsn, store.Options{})
	if err != nil {
		t.Fatalf("OpenPostgres: %v", err)
	}
	ready(t, db)
	return db
}

// Database creates an empty database and answers its URL, or skips the test.
func Database(t testing.TB) string {
	t.Helper()
	server := os.Getenv(Env)
	if server == "" {
		t.Skipf("%s is not set: no PostgreSQL to test on", Env)
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s: %v", Env, err)
	}
	name := "aorta_test_" + rand.Text()
	admin(t, server, fmt.Sprintf("CREATE DATABASE %q", name))
	t.Cleanup(func() { admin(t, server, fmt.Sprintf("DROP DATABASE %q WITH (FORCE)", name)) })
	u.Path = "/" + name
	return u.String()
}

func admin(t testing.TB, server, sql string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	c, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatalf("connect to %s: %v", Env, err)
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// ready migrates a home and closes it after the test.
func ready(t testing.TB, db store.DB) {
	t.Helper()
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
}
