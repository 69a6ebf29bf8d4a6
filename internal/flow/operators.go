package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"aorta/internal/book"
	"aorta/internal/id"
	"aorta/internal/operator"
)

var (
	// ErrNoOperator: no such operator.
	ErrNoOperator = errors.New("no such operator")
	// ErrOperatorKnown: there is an operator of that name, who is not revoked.
	ErrOperatorKnown = errors.New("there is an operator of that name: revoke them first")
	// ErrSamePerson: a second person is needed, and this is the first again.
	ErrSamePerson = errors.New("a second person is needed: this one has acted already")
)

// MakeOperator makes an operator, or gives one who was revoked another token and
// other roles. Hash is of the new token. Where a person makes one, a second person
// must agree before the token opens anything (ConfirmOperator). ErrOperatorKnown.
func (f *Flows) MakeOperator(ctx context.Context, name string, roles operator.Roles, hash string, by operator.Actor) (operator.Operator, error) {
	k := operator.KeyOf(operator.Bucket(f.book.Buckets()), name)
	return f.changeOperator(ctx, k, "operator.create", by, func(p *book.Page, row *operator.Operator) error {
		if row.Hash != "" && row.RevokedUS == 0 {
			return ErrOperatorKnown
		}
		*row = operator.Operator{ID: k, Name: name, Roles: string(roles), Hash: hash, CreatedBy: by.Name, CreatedUS: p.NowUS()}
		return nil
	})
}

// OperatorKey gives the id of the operator of a name, whether or not there is one.
func (f *Flows) OperatorKey(name string) id.Operator {
	return operator.KeyOf(operator.Bucket(f.book.Buckets()), name)
}

// ConfirmOperator lets an operator in whom a person has made, by a second person.
// ErrNoOperator, ErrSamePerson; ErrState: nobody needs to agree.
func (f *Flows) ConfirmOperator(ctx context.Context, k id.Operator, by operator.Actor) (operator.Operator, error) {
	return f.changeOperator(ctx, k, "operator.confirm", by, func(_ *book.Page, row *operator.Operator) error {
		switch {
		case row.Hash == "":
			return ErrNoOperator
		case row.RevokedUS != 0 || !row.Waiting():
			return ErrState
		case by.Is(row.CreatedBy) || by.Is(row.Name) || !by.Person():
			return ErrSamePerson
		}
		row.CreatedBy += " " + by.Name
		return nil
	})
}

// RevokeOperator ends an operator's token at once; one who is revoked stays so.
func (f *Flows) RevokeOperator(ctx context.Context, k id.Operator, by operator.Actor) (operator.Operator, error) {
	return f.changeOperator(ctx, k, "operator.revoke", by, func(p *book.Page, row *operator.Operator) error {
		if row.Hash == "" {
			return ErrNoOperator
		}
		if row.RevokedUS == 0 {
			row.RevokedUS = p.NowUS()
		}
		return nil
	})
}

func (f *Flows) changeOperator(ctx context.Context, k id.Operator, what string, by operator.Actor, change func(*book.Page, *operator.Operator) error) (operator.Operator, error) {
	if k.Bucket() != operator.Bucket(f.book.Buckets()) {
		return operator.Operator{}, ErrNoOperator
	}
	row, err := book.Do(ctx, f.book, book.Act[operator.Operator]{
		Name: what, Bucket: k.Bucket(),
		Hint: func(p *book.Page) { p.Operators.Get(k); hintAudit(p) },
		Decide: func(p *book.Page) (operator.Operator, error) {
			row, _ := p.Operators.Get(k)
			was := row
			if err := change(p, &row); err != nil || row == was {
				return row, err
			}
			p.Operators.Put(row)
			audit(p, by, what, k.String(), map[string]any{"name": row.Name, "roles": strings.Fields(row.Roles)})
			return row, nil
		},
	})
	if err != nil {
		return operator.Operator{}, fmt.Errorf("%s: %w", what, err)
	}
	return row, nil
}

// Operators lists all operators, also those who were revoked.
func (f *Flows) Operators(ctx context.Context) ([]operator.Operator, error) {
	var all []operator.Operator
	for after := (id.Operator{}); ; {
		rows, err := f.read.from.ScanOperators(ctx, after, operatorPage)
		if err != nil {
			return nil, fmt.Errorf("read operators: %w", unread(err))
		}
		all = append(all, rows...)
		if len(rows) < operatorPage {
			slices.SortFunc(all, func(x, y operator.Operator) int { return strings.Compare(x.Name, y.Name) })
			return all, nil
		}
		after = rows[len(rows)-1].ID
	}
}

// operatorPage is how many operators are read at once.
const operatorPage = 200
