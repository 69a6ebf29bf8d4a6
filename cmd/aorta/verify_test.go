package main

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"aorta/internal/book"
	"aorta/internal/customer"
	"aorta/internal/due"
	"aorta/internal/id"
	"aorta/internal/payment"
	"aorta/internal/store"
)

// aorta runs the program in this process.
func aorta(t *testing.T, args ...string) (out, log string, err error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	err = run(t.Context(), args, streams{&stdout, &stderr})
	return stdout.String(), stderr.String(), err
}

// database makes a SQLite database with some rows in a directory of its own.
// It stays open, as a server's would, until the test closes it.
func database(t *testing.T, c *book.Changes) (dir string, db store.DB) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	db, _, _, err := openDatabase(t.Context(), settings{Data: dir}, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c == nil {
		return dir, db
	}
	lane, err := db.Lane(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lane.Begin(t.Context(), id.Batch{1}, id.Batch{}, &book.Keys{}); err != nil {
		t.Fatal(err)
	}
	if err := lane.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return dir, db
}

// orphan is a due row without subject.
func orphan() *book.Changes {
	var c book.Changes
	c.Due.Insert = []due.Due{due.At(id.Raw{1}, due.Watch, 1)}
	return &c
}

func TestVerify(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		rows    *book.Changes
		running bool // a server has the database
		args    []string
		want    string
		wantErr error
	}{
		{
			name: "json", args: []string{"--json"},
			want: `{"ok":true,"accounts":0,"transfers":0,"payments":0,"violations":[],"checks":{"C1":0,"C11":0,"C13":0,"C3":0,"C5":0,"C6":0,"C9":0}}` + "\n",
		},
		{
			name: "beside a server", running: true, args: []string{"--json"},
			want: `{"ok":true,"accounts":0,"transfers":0,"payments":0,"violations":[],"checks":{"C1":0,"C11":0,"C13":0,"C3":0,"C5":0,"C6":0,"C9":0}}` + "\n",
		},
		{
			name: "violated", rows: orphan(), args: []string{"--json"}, wantErr: errViolated,
			want: `{"ok":false,"accounts":0,"transfers":0,"payments":0,"violations":["C13: Due row 01000000000000000000000000000000 (watch) has no subject."],"checks":{"C1":0,"C11":0,"C13":1,"C3":0,"C5":0,"C6":0,"C9":0}}` + "\n",
		},
		{
			name: "for people", want: "0 payments, 0 transfers, 0 accounts\nevery invariant holds\n",
		},
		{
			name: "violated, for people", rows: orphan(), wantErr: errViolated,
			want: "0 payments, 0 transfers, 0 accounts\nVIOLATED: C13: Due row 01000000000000000000000000000000 (watch) has no subject.\n" +
				"1 invariants are violated: keep a copy of the database before anything else\n",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir, db := database(t, test.rows)
			if !test.running {
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
			}
			out, log, err := aorta(t, append([]string{"verify", "--data", dir}, test.args...)...)
			if out != test.want || !errors.Is(err, test.wantErr) {
				t.Errorf("verify printed %q (%v, log %s), want %q (%v)", out, err, log, test.want, test.wantErr)
			}
		})
	}
}

// Work that is overdue is a violation only where a server should be doing it.
func TestVerifyLive(t *testing.T) {
	t.Parallel()
	dir, _ := database(t, orphan())
	out, _, err := aorta(t, "verify", "--data", dir, "--live")
	if !errors.Is(err, errViolated) || !strings.Contains(out, "is overdue by") {
		t.Errorf("verify --live printed %q (%v), want overdue work", out, err)
	}
}

func TestVerifyOfNoDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, _, err := aorta(t, "verify", "--data", dir)
	if err == nil || !strings.Contains(err.Error(), "there is no database") {
		t.Errorf("verify = %v, want that there is no database", err)
	}
}

// A bench never mixes its payments with anybody's, nor its customers.
func TestBenchWantsADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	var bought, played book.Changes
	bought.Payments.Insert = []payment.Payment{{ID: id.Payment{1}, ProjectID: 200}}
	played.Customers.Insert = []customer.Customer{{ID: id.Customer{1}, MerchantID: 1, Name: "42"}}
	for _, c := range []*book.Changes{&bought, &played} {
		dir, db := database(t, c)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		for _, what := range [][]string{{"--core"}, {"--flow", "deposit"}, {"--flow", "round"}} {
			_, _, err := aorta(t, append([]string{"bench", "--data", dir, "--duration", "1ms"}, what...)...)
			if err == nil || !strings.Contains(err.Error(), "that no bench has made") {
				t.Errorf("bench %s on a merchant's database = %v, want a refusal", what, err)
			}
		}
	}
}

func TestBenchWantsToKnowWhat(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"--core", "--flow", "deposit"}, {"--core", "--duration", "0s"}} {
		if _, _, err := aorta(t, append([]string{"bench"}, args...)...); err == nil {
			t.Errorf("bench %s measured something", args)
		}
	}
}
