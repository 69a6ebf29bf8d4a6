package api

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"

	"aorta/internal/book"
	"aorta/internal/id"
)

// Lists of customers and accounts go through rows of all merchants in the order of
// their ids, which are plain hashes of names. So where a page ends may be at another
// merchant's row, and its id would tell who has guessed the name that it is there.
// Such a cursor is sealed: one block of AES, which an id is. It needs no seal of
// who made it, since another one is another place in the same list.

// Cursors seals where such lists have got to.
type Cursors struct{ customers, accounts cipher.Block }

// NewCursors draws the keys from a master key, one for each list.
func NewCursors(master [32]byte) Cursors {
	return Cursors{cursorBlock(master, "cursors of customers"), cursorBlock(master, "cursors of accounts")}
}

func cursorBlock(master [32]byte, label string) cipher.Block {
	mac := hmac.New(sha256.New, master[:])
	mac.Write([]byte(label))
	b, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		panic("a key of 32 bytes is one of AES: " + err.Error())
	}
	return b
}

// sealed shows the place behind a row; "" of none.
func sealed[T id.Kind](b cipher.Block, last id.Of[T]) string {
	if last.IsZero() {
		return ""
	}
	var out id.Cursor
	b.Encrypt(out[:], last[:])
	return out.String()
}

// opened reads what sealed has shown, into an id of last's kind; the zero id of no
// text. One of another list, or made up, is refused as far as it can be told.
func opened[T id.Kind](a *API, b cipher.Block, text string, last id.Of[T]) (id.Of[T], error) {
	var c id.Cursor
	if err := c.UnmarshalText([]byte(text)); err != nil || c.IsZero() {
		return last, nil // the schema has found it to be a cursor, or absent
	}
	b.Decrypt(last[:], c[:])
	if int(last.Bucket()) >= a.opts.Flows.Buckets() {
		return last, invalid(problem{"cursor", "cursor", "is not of this list"})
	}
	return last, nil
}

// walkPage is how many rows a walk reads at once.
const walkPage = 500

// walk shows the rows behind one that are the caller's, until limit of them are
// shown, book.ListWindow rows are seen, or there are no more: then next is zero.
func walk[R any, T id.Kind](
	ctx context.Context, after id.Of[T], limit int, scan func(context.Context, id.Of[T], int) ([]R, error), show func(R) (key id.Of[T], shown bool, err error),
) (next id.Of[T], err error) {
	for seen, count := 0, 0; seen < book.ListWindow; {
		rows, err := scan(ctx, after, walkPage)
		if err != nil {
			return next, away(err)
		}
		for _, x := range rows {
			seen++
			k, shown, err := show(x)
			if err != nil {
				return next, err
			}
			if after = k; shown {
				count++
			}
			if count == limit {
				return after, nil
			}
		}
		if len(rows) < walkPage {
			return next, nil
		}
	}
	return after, nil
}
