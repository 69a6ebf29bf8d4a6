// Package testdb gives tests of the binary a PostgreSQL database of their own.
package testdb

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/url"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
)

// New makes an empty database on the server that AORTA_TEST_POSTGRES names,
// and drops it when the test ends. Without a server the test is skipped, which
// `make test` never lets happen.
func New(t testing.TB) string {
	t.Helper()
	server := os.Getenv("AORTA_TEST_POSTGRES")
	if server == "" {
		t.Skip("AORTA_TEST_POSTGRES names no server")
	}
	var raw [6]byte
	_, _ = rand.Read(raw[:])
	name := "aorta_" + hex.EncodeToString(raw[:])
	exec := func(sql string) {
		ctx := context.Background()
		conn, err := pgx.Connect(ctx, server)
		if err != nil {
			t.Fatalf("connect to PostgreSQL: %v", err)
		}
		defer conn.Close(ctx)
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	exec("CREATE DATABASE " + name)
	t.Cleanup(func() { exec("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)") })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}
