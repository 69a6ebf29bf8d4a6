package main

import (
	"context"
	"fmt"

	"aorta/internal/store"
)

// where names a database: the flags that migrate, verify and bench share.
type where struct {
	Data     string `help:"Data directory of a SQLite database." default:"aorta-data" env:"AORTA_DATA"`
	Database string `help:"PostgreSQL address, postgres://…; instead of --data." env:"AORTA_DATABASE"`
}

func (w where) open(ctx context.Context) (store.DB, error) {
	db, _, _, err := openDatabase(ctx, settings{Data: w.Data, Database: w.Database}, store.Options{})
	return db, err
}

// migrateCmd brings the schema up to date.
type migrateCmd struct {
	where
}

// Run migrates.
func (c migrateCmd) Run(ctx context.Context, s streams) error {
	db, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Migrate(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	fmt.Fprintln(s.out, "the schema is up to date")
	return nil
}
