package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

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

// firstAdmins is how many operators may ever be made by who is no person: one admin
// who makes the next operators, and one who agrees.
const firstAdmins = 2

// MakeOperator makes an operator, or gives one who was revoked another token and
// other roles. Hash is of the new token. Where a person makes one, a second person
// must agree before the token opens anything (ConfirmOperator). Who is no person
// makes admins, and nothing but admins, and only while fewer than two operators who
// are admins were ever made, revoked ones too: otherwise who holds ops_token could
// be both of two people. ErrOperatorKnown, ErrNoPerson.
func (f *Flows) MakeOperator(ctx context.Context, name string, roles operator.Roles, hash string, by operator.Actor) (operator.Operator, error) {
	if by.Person() {
		return f.makeOperator(ctx, name, roles, hash, by, anyHead)
	}
	if roles != operator.Roles(operator.Admin) {
		return operator.Operator{}, fmt.Errorf("operator.create: only admins are made without one: %w", ErrNoPerson)
	}
	for range beginnerTries {
		seen, err := f.adminsMade(ctx)
		if err != nil {
			return operator.Operator{}, err
		}
		row, err := f.makeOperator(ctx, name, roles, hash, by, seen)
		if !errors.Is(err, errLogMoved) {
			return row, err
		}
	}
	return operator.Operator{}, fmt.Errorf("operator.create: %w", book.ErrBusy)
}

// InstallOperator makes an operator of whatever roles who may act at once, as the
// program itself: the demo's come from here. No door leads to it.
func (f *Flows) InstallOperator(ctx context.Context, name string, roles operator.Roles, hash string, by operator.Actor) (operator.Operator, error) {
	return f.makeOperator(ctx, name, roles, hash, by, anyHead)
}

// anyHead: it does not matter what is in the log.
const anyHead = -1

// beginnerTries is how often the log is read anew because somebody wrote in it.
const beginnerTries = 20

// errLogMoved: the log is longer than it was when it was read.
var errLogMoved = errors.New("the log has grown meanwhile")

// makeOperator makes one if the log of the operators' bucket ends at number head.
func (f *Flows) makeOperator(ctx context.Context, name string, roles operator.Roles, hash string, by operator.Actor, head int64) (operator.Operator, error) {
	k := f.OperatorKey(name)
	return f.changeOperator(ctx, k, "operator.create", by, func(p *book.Page, row *operator.Operator) error {
		if row.Hash != "" && row.RevokedUS == 0 {
			return ErrOperatorKnown
		}
		if at, _ := p.AuditHeads.Get(operator.HeadID(p.Bucket())); head != anyHead && at.Number != head {
			return errLogMoved
		}
		*row = operator.Operator{ID: k, Name: name, Roles: string(roles), Hash: hash, CreatedBy: by.Name, CreatedUS: p.NowUS()}
		return nil
	})
}

// adminsMade gives how far the log was before it was read, and ErrNoPerson if there
// were admins enough. Every making is in the log, so an act that finds it as long as
// that knows of all of them, which rows alone do not tell: one who was an admin may
// have been given other roles since.
func (f *Flows) adminsMade(ctx context.Context) (int64, error) {
	head, _, err := f.read.from.AuditHead(ctx, operator.HeadID(operator.Bucket(f.book.Buckets())))
	if err != nil {
		return 0, fmt.Errorf("read head of the log: %w", unread(err))
	}
	all, err := f.Operators(ctx)
	if err != nil {
		return 0, err
	}
	admins := 0
	for _, o := range all {
		if operator.Roles(o.Roles).Has(operator.Admin) {
			admins++
		}
	}
	if admins < firstAdmins { // seldom, and then the log is short
		if admins, err = f.adminsLogged(ctx); err != nil {
			return 0, err
		}
	}
	if admins >= firstAdmins {
		return 0, fmt.Errorf("operator.create: there were %d admins: %w", admins, ErrNoPerson)
	}
	return head.Number, nil
}

// adminsLogged counts how often the log has that an admin was made.
func (f *Flows) adminsLogged(ctx context.Context) (int, error) {
	admins := 0
	for after := (id.Audit{}); ; {
		rows, err := f.read.from.ScanAudit(ctx, after, operatorPage)
		if err != nil {
			return 0, fmt.Errorf("read log: %w", unread(err))
		}
		for _, e := range rows {
			after = e.ID
			var made struct {
				Roles []operator.Role `json:"roles"`
			}
			if e.What != "operator.create" {
				continue
			}
			if err := json.Unmarshal([]byte(e.Details), &made); err != nil {
				return 0, fmt.Errorf("read log, entry %s: %w", e.ID, err)
			}
			if slices.Contains(made.Roles, operator.Admin) {
				admins++
			}
		}
		if len(rows) < operatorPage {
			return admins, nil
		}
	}
}

// OperatorKey gives the id of the operator of a name, whether or not there is one.
func (f *Flows) OperatorKey(name string) id.Operator {
	return operator.KeyOf(operator.Bucket(f.book.Buckets()), name)
}

// ConfirmOperator lets an operator in whom a person has made, by a second person.
// ErrNoOperator, ErrSamePerson; ErrState: nobody needs to agree.
//
// Who signs by ops_token is no person, and agrees to one thing alone: an admin whom the
// only admin there is has made, when nobody else could for AdminAlone (see alone).
// ErrNoPerson for any other operator; *AloneError: others can, or it is too early.
func (f *Flows) ConfirmOperator(ctx context.Context, k id.Operator, by operator.Actor) (operator.Operator, error) {
	if by.Name == operator.Bootstrap {
		return f.confirmAlone(ctx, k, by)
	}
	return f.changeOperator(ctx, k, "operator.confirm", by, func(_ *book.Page, row *operator.Operator) error {
		if err := undecided(*row); err != nil {
			return err
		}
		if by.Is(row.CreatedBy) || by.Is(row.Name) || !by.Person() {
			return ErrSamePerson
		}
		row.CreatedBy += " " + by.Name
		return nil
	})
}

// undecided refuses an operator to whom nobody needs to agree.
func undecided(row operator.Operator) error {
	switch {
	case row.Hash == "":
		return ErrNoOperator
	case row.RevokedUS != 0 || !row.Waiting():
		return ErrState
	}
	return nil
}

// AdminAlone is how long an admin waits, whom the only one left has made, before
// ops_token can stand for the second person: longer than a weekend, so that whoever
// can object to it does.
const AdminAlone = 72 * time.Hour

// An AloneError says why ops_token cannot stand for a second admin.
type AloneError struct{ Why string }

func (e *AloneError) Error() string { return e.Why }

// confirmAlone is the way out when one of two admins has lost their token, so that
// nobody can agree to a third: the other one makes an admin, and whoever has ops_token,
// which is the owner of the machine, lets them in. It is no way around four eyes while
// there are four: no admin but the one may have done anything since, and each of them
// can still revoke the new one.
func (f *Flows) confirmAlone(ctx context.Context, k id.Operator, by operator.Actor) (operator.Operator, error) {
	for range beginnerTries {
		made, head, err := f.alone(ctx, k)
		if err != nil {
			f.opts.Log.Warn("ops_token was refused as the second person towards an operator", "operator", k.String(), "error", err)
			return operator.Operator{}, fmt.Errorf("operator.recover: %w", err)
		}
		row, err := f.changeOperator(ctx, k, "operator.recover", by, func(p *book.Page, row *operator.Operator) error {
			if at, _ := p.AuditHeads.Get(operator.HeadID(p.Bucket())); at.Number != head || *row != made {
				return errLogMoved
			}
			row.CreatedBy += " " + by.Name
			return nil
		})
		if errors.Is(err, errLogMoved) {
			continue
		}
		if err == nil {
			f.opts.Log.Error("ALARM: an admin was let in by one admin and ops_token, since no second admin is there", "admin", row.Name, "made_by", made.CreatedBy)
		}
		return row, err
	}
	return operator.Operator{}, fmt.Errorf("operator.recover: %w", book.ErrBusy)
}

// alone reads an admin who waits, if the one who made them is the only admin who has
// done anything since, and how far the log was before.
func (f *Flows) alone(ctx context.Context, k id.Operator) (made operator.Operator, head int64, err error) {
	at, _, err := f.read.from.AuditHead(ctx, operator.HeadID(operator.Bucket(f.book.Buckets())))
	if err != nil {
		return made, 0, fmt.Errorf("read head of the log: %w", unread(err))
	}
	all, err := f.Operators(ctx)
	if err != nil {
		return made, 0, err
	}
	if n := slices.IndexFunc(all, func(o operator.Operator) bool { return o.ID == k }); n >= 0 {
		made = all[n]
	}
	if err := undecided(made); err != nil {
		return made, 0, err
	}
	if operator.Roles(made.Roles) != operator.Roles(operator.Admin) {
		return made, 0, ErrNoPerson
	}
	others := map[string]bool{}
	for _, o := range all {
		others[o.Name] = o.Good() && operator.Roles(o.Roles).Has(operator.Admin)
	}
	if !others[made.CreatedBy] {
		return made, 0, &AloneError{"who has made them is no admin any more"}
	}
	delete(others, made.CreatedBy)
	if from := time.UnixMicro(made.CreatedUS).Add(AdminAlone).UTC(); f.opts.Now().Before(from) {
		return made, 0, &AloneError{"ops_token can stand for a second admin from " + from.Format(time.RFC3339) + " on, if none has been there by then"}
	}
	who, err := f.loggedSince(ctx, made.CreatedUS, func(e operator.Entry) bool { return others[e.Who] })
	if err != nil {
		return made, 0, err
	}
	if who != "" {
		return made, 0, &AloneError{who + " is an admin, and has been there since: they can agree. If that was not them, revoke them"}
	}
	return made, at.Number, nil
}

// loggedSince gives who did the first thing in the log, from an instant on, that fits;
// "" if there is none.
func (f *Flows) loggedSince(ctx context.Context, us int64, fits func(operator.Entry) bool) (string, error) {
	for after := id.Audit(id.At(time.UnixMicro(us))); ; {
		rows, err := f.read.from.ScanAudit(ctx, after, operatorPage)
		if err != nil {
			return "", fmt.Errorf("read log: %w", unread(err))
		}
		for _, e := range rows {
			after = e.ID
			if fits(e) {
				return e.Who, nil
			}
		}
		if len(rows) < operatorPage {
			return "", nil
		}
	}
}

// RevokeOperator ends an operator's token at once; one who is revoked stays so.
// ErrNoOperator, ErrNoPerson.
func (f *Flows) RevokeOperator(ctx context.Context, k id.Operator, by operator.Actor) (operator.Operator, error) {
	return f.changeOperator(ctx, k, "operator.revoke", by, func(p *book.Page, row *operator.Operator) error {
		if row.Hash == "" {
			return ErrNoOperator
		}
		if !by.Person() {
			return ErrNoPerson
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
