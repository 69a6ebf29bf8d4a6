package flow

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"aorta/internal/book"
	"aorta/internal/id"
	"aorta/internal/operator"
	"aorta/internal/project"
)

// ErrNoKey: no such API key.
var ErrNoKey = errors.New("no such API key")

// Buckets is the number of buckets: an id from outside may name one that there is not.
func (f *Flows) Buckets() int { return f.book.Buckets() }

// NewKey chooses the id of an API key of a project.
func (f *Flows) NewKey(p project.Project) id.Key {
	return id.Key(f.book.Mint(p.KeyBucket(f.book.Buckets())))
}

// PutKey makes an API key, unless there is one of that id.
func (f *Flows) PutKey(ctx context.Context, k project.Key, by operator.Actor) error {
	_, err := book.Do(ctx, f.book, book.Act[struct{}]{
		Name: "key.put", Bucket: k.ID.Bucket(),
		Hint: func(p *book.Page) { p.Keys.Get(k.ID) },
		Decide: func(p *book.Page) (struct{}, error) {
			if _, ok := p.Keys.Get(k.ID); !ok {
				k.CreatedUS = p.NowUS()
				p.Keys.Put(k)
				audit(p, by, "key.create", k.ID.String(), map[string]any{"project": k.ProjectID, "name": k.Name, "scopes": strings.Fields(k.Scopes)})
			}
			return struct{}{}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("make API key: %w", err)
	}
	return nil
}

// RevokeKey ends a key for good; one that is revoked stays as it is.
func (f *Flows) RevokeKey(ctx context.Context, k id.Key, by operator.Actor) error {
	return f.changeKey(ctx, k, by, "key.revoke", func(p *book.Page, row *project.Key) {
		if row.RevokedUS == 0 {
			row.RevokedUS = p.NowUS()
		}
	})
}

// ExpireKey lets a key end at an instant, unless it ends before.
func (f *Flows) ExpireKey(ctx context.Context, k id.Key, atUS int64, by operator.Actor) error {
	return f.changeKey(ctx, k, by, "key.expire", func(_ *book.Page, row *project.Key) {
		if row.ExpiresUS == 0 || row.ExpiresUS > atUS {
			row.ExpiresUS = atUS
		}
	})
}

// SealKeys has rows of API keys that were written before hashes had a key hold
// what seal makes of them. It is called at the start; a plain hash opens nothing.
func (f *Flows) SealKeys(ctx context.Context, seal func(hash string) (string, bool)) error {
	for after := (id.Key{}); ; {
		rows, err := f.read.from.ScanKeys(ctx, after, sealPage)
		if err != nil {
			return fmt.Errorf("read API keys: %w", unread(err))
		}
		for _, k := range rows {
			after = k.ID
			if _, plain := seal(k.Hash); !plain {
				continue
			}
			err := f.changeKey(ctx, k.ID, operator.Actor{}, "", func(_ *book.Page, row *project.Key) {
				if sealed, plain := seal(row.Hash); plain {
					row.Hash = sealed
				}
			})
			if err != nil {
				return err
			}
		}
		if len(rows) < sealPage {
			return nil
		}
	}
}

// sealPage is how many API keys are read at once.
const sealPage = 500

func (f *Flows) changeKey(ctx context.Context, k id.Key, by operator.Actor, what string, change func(*book.Page, *project.Key)) error {
	if int(k.Bucket()) >= f.book.Buckets() {
		return ErrNoKey
	}
	_, err := book.Do(ctx, f.book, book.Act[struct{}]{
		Name: "key.change", Bucket: k.Bucket(),
		Hint: func(p *book.Page) { p.Keys.Get(k) },
		Decide: func(p *book.Page) (struct{}, error) {
			row, ok := p.Keys.Get(k)
			if !ok {
				return struct{}{}, ErrNoKey
			}
			was := row
			change(p, &row)
			if row == was {
				return struct{}{}, nil
			}
			p.Keys.Put(row)
			audit(p, by, what, k.String(), map[string]any{"project": row.ProjectID, "name": row.Name})
			return struct{}{}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("change API key: %w", err)
	}
	return nil
}
