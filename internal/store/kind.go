package store

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"aorta/internal/book"
	"aorta/internal/id"
)

// column is one column of a kind of row R, and where its value lies in R.
// Exactly one of the accessors is set: it says the column's type.
type column[R any] struct {
	name   string
	id     func(*R) *id.Raw    // UUID or 16 bytes
	bucket func(*R) *id.Bucket // INTEGER
	int    func(*R) *int64     // BIGINT
	text   func(*R) *string    // TEXT
	coded  *coding[R]          // TEXT made of something else
	max    int                 // bytes of text; 0: as many as there are
}

// coding writes a part of a row as text and reads it again.
type coding[R any] struct {
	encode func(*R) string
	decode func(*R, string) error
}

// kind is a kind of row, declared once: load, insert, update, delete and scan
// for both databases follow from it. An update writes every column but the
// key's: to declare some as never changing would save little, and a column
// declared so by mistake would lose a change in silence.
type kind[R any] struct {
	name    string      // of its table
	key     []column[R] // the primary key
	columns []column[R] // the rest
	logged  bool        // only ever added: no version, and acts never load it
}

// table is a kind of row with its places in what the book hands over.
type table[R, K any] struct {
	kind[R]
	keyOf  []column[K] // the primary key again, as a key names it
	keys   func(*book.Keys) []K
	found  func(*book.Found) *[]book.Stored[R]
	change func(*book.Changes) book.Change[R, K]
	// sorted inserts, where two committers may make the same row: in one order,
	// the second waits for the first; otherwise each could wait for the other.
	compare func(a, b R) int

	free bool // rows may be read without a lock (book.Keys.Unlocked)
}

// all are the key's columns and the rest, in the order of every SELECT.
func (k *kind[R]) all() []column[R] {
	return append(k.key[:len(k.key):len(k.key)], k.columns...)
}

// string is the value of a column of text.
func (c *column[R]) string(r *R) string {
	if c.text != nil {
		return *c.text(r)
	}
	return c.coded.encode(r)
}

// names lists columns as "p.a, p.b".
func names[R any](prefix string, cols []column[R]) string {
	var b strings.Builder
	for n, c := range cols {
		if n > 0 {
			b.WriteString(", ")
		}
		b.WriteString(prefix + c.name)
	}
	return b.String()
}

// selects begins a query for whole rows, in the order that scan reads.
func (k *kind[R]) selects() string {
	return "SELECT " + names(k.name+".", k.all()) + " FROM " + k.name
}

// values is one row of an answer.
type values interface {
	id(n int, to *id.Raw)
	int(n int) int64
	text(n int) string
}

// scan reads columns from v, beginning with its first.
func scan[R any](cols []column[R], v values, r *R) error {
	for n := range cols {
		switch c := &cols[n]; {
		case c.id != nil:
			v.id(n, c.id(r))
		case c.int != nil:
			*c.int(r) = v.int(n)
		case c.text != nil:
			*c.text(r) = v.text(n)
		case c.bucket != nil:
			*c.bucket(r) = id.Bucket(v.int(n))
		case c.coded != nil:
			if err := c.coded.decode(r, v.text(n)); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxKeyText bounds text in a key: PostgreSQL has no entry of an index longer
// than a third of a page.
const maxKeyText = 1100

// clean refuses text that only one of the databases would take, so that both
// behave alike: PostgreSQL has no NUL in text and takes UTF-8 only.
func (c *column[R]) clean(table, s string) error {
	var why string
	switch {
	case strings.IndexByte(s, 0) >= 0:
		why = "NUL in text"
	case !utf8.ValidString(s):
		why = "text is not UTF-8"
	case c.max > 0 && len(s) > c.max:
		why = "text is too long for a key"
	default:
		return nil
	}
	return &book.DataError{Err: fmt.Errorf("%s.%s: %s", table, c.name, why)}
}
