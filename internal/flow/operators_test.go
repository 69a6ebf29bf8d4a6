package flow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aorta/internal/book"
	"aorta/internal/flow"
	"aorta/internal/id"
	"aorta/internal/operator"
)

// audited gives the log of all homes, in the order of its numbers, and fails the
// test unless every chain holds.
func (h *house) audited() []operator.Entry {
	h.t.Helper()
	var all []operator.Entry
	check := operator.NewAudit()
	var heads []operator.Head
	for _, m := range h.homes {
		rows, err := m.ScanAudit(h.t.Context(), id.Audit{}, 10_000)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, e := range rows {
			check.Take(e)
		}
		all = append(all, rows...)
		some, err := m.ScanAuditHeads(h.t.Context(), id.Raw{}, 1000)
		if err != nil {
			h.t.Fatal(err)
		}
		heads = append(heads, some...)
	}
	if found := check.End(heads); len(found) > 0 {
		h.t.Errorf("the log does not hold: %v", found)
	}
	slices.SortFunc(all, func(x, y operator.Entry) int { return int(x.Number - y.Number) })
	return all
}

var (
	ann   = operator.Actor{Name: "ann", Roles: "admin"}
	bob   = operator.Actor{Name: "bob", Roles: "admin"}
	token = operator.Actor{Name: operator.Bootstrap}
)

// TestOperators: who a person has made opens nothing before a second person agrees,
// and all of it is in the log.
func TestOperators(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	make := func(name string, by operator.Actor) (operator.Operator, error) {
		roles := operator.Roles("finance")
		if !by.Person() {
			roles = "admin"
		}
		return h.flows.MakeOperator(t.Context(), name, roles, "1:hash of "+name, by)
	}
	first, err := make("ann", token)
	if err != nil || !first.Good() || first.Waiting() {
		t.Fatalf("the first = %+v, %v, want one who may act at once", first, err)
	}
	if _, err := make("ann", token); !errors.Is(err, flow.ErrOperatorKnown) {
		t.Errorf("the same name = %v, want ErrOperatorKnown", err)
	}
	next, err := make("cid", ann)
	if err != nil || next.Good() || !next.Waiting() {
		t.Fatalf("made by a person = %+v, %v, want one who waits", next, err)
	}
	if _, err := h.flows.ConfirmOperator(t.Context(), next.ID, token); !errors.Is(err, flow.ErrNoPerson) {
		t.Errorf("confirmed by no person = %v, want ErrNoPerson", err)
	}
	for name, by := range map[string]operator.Actor{"the same": ann, "who it is": {Name: "cid"}, "a rule": operator.Automatic("rule", "x")} {
		if _, err := h.flows.ConfirmOperator(t.Context(), next.ID, by); !errors.Is(err, flow.ErrSamePerson) {
			t.Errorf("confirmed by %s = %v, want ErrSamePerson", name, err)
		}
	}
	if next, err = h.flows.ConfirmOperator(t.Context(), next.ID, bob); err != nil || !next.Good() {
		t.Errorf("confirmed by another = %+v, %v", next, err)
	}
	if _, err := h.flows.ConfirmOperator(t.Context(), next.ID, bob); !errors.Is(err, flow.ErrState) {
		t.Errorf("confirmed again = %v, want ErrState", err)
	}
	for range 2 {
		if next, err = h.flows.RevokeOperator(t.Context(), next.ID, ann); err != nil || next.Good() {
			t.Errorf("revoked = %+v, %v", next, err)
		}
	}
	if next, err = h.flows.InstallOperator(t.Context(), "cid", "viewer", "1:another", token); err != nil || !next.Good() || next.Roles != "viewer" {
		t.Errorf("made again = %+v, %v", next, err)
	}
	for _, k := range []id.Operator{operator.KeyOf(operator.Bucket(32), "nobody"), {6: 200}, {}} {
		if _, err := h.flows.RevokeOperator(t.Context(), k, ann); !errors.Is(err, flow.ErrNoOperator) {
			t.Errorf("revoke %s = %v, want ErrNoOperator", k, err)
		}
		if _, err := h.flows.ConfirmOperator(t.Context(), k, ann); !errors.Is(err, flow.ErrNoOperator) {
			t.Errorf("confirm %s = %v, want ErrNoOperator", k, err)
		}
	}
	var log []string
	for _, e := range h.audited() {
		log = append(log, e.Who+" "+e.What)
	}
	want := "ops:token operator.create, ann operator.create, bob operator.confirm, ann operator.revoke, ops:token operator.create"
	if got := strings.Join(log, ", "); got != want {
		t.Errorf("the log is %s\nwant %s", got, want)
	}
	if all, err := h.flows.Operators(t.Context()); err != nil || len(all) != 2 || all[0].Name != "ann" {
		t.Errorf("Operators = %v, %v", all, err)
	}
}

// TestAdminAlone: when one of two admins has lost their token, ops_token stands for
// them towards one admin whom the other has made, and only then: after three days
// without a word of theirs.
func TestAdminAlone(t *testing.T) {
	t.Parallel()
	// left gives a house where ann has made cid, an admin, whom bob does not confirm.
	left := func(t *testing.T, roles operator.Roles) (*house, id.Operator) {
		t.Helper()
		h := newHouse(t, 1, nil)
		for _, name := range []string{"ann", "bob"} {
			if _, err := h.flows.MakeOperator(t.Context(), name, "admin", "1:"+name, token); err != nil {
				t.Fatal(err)
			}
		}
		h.signIn(bob)
		h.pass(time.Hour)
		made, err := h.flows.MakeOperator(t.Context(), "cid", roles, "1:cid", ann)
		if err != nil || !made.Waiting() {
			t.Fatalf("made by ann: %+v, %v, want one who waits", made, err)
		}
		return h, made.ID
	}
	confirm := func(t *testing.T, h *house, k id.Operator) error {
		t.Helper()
		row, err := h.flows.ConfirmOperator(t.Context(), k, token)
		if (err == nil) != row.Good() {
			t.Errorf("confirmed by ops_token = %+v, %v", row, err)
		}
		return err
	}
	t.Run("lost", func(t *testing.T) {
		t.Parallel()
		h, k := left(t, "admin")
		h.signIn(ann)
		h.pass(flow.AdminAlone - time.Second)
		if err := confirm(t, h, k); !errors.As(err, new(*flow.AloneError)) {
			t.Errorf("before three days = %v, want *AloneError", err)
		}
		h.pass(time.Second)
		if err := confirm(t, h, k); err != nil {
			t.Fatal(err)
		}
		if err := confirm(t, h, k); !errors.Is(err, flow.ErrState) {
			t.Errorf("again = %v, want ErrState", err)
		}
		log := h.audited()
		if e := log[len(log)-1]; e.Who != operator.Bootstrap || e.What != "operator.recover" || e.About != k.String() {
			t.Errorf("the log ends with %+v", e)
		}
		// By them four eyes are there again.
		cid := operator.Actor{Name: "cid", Roles: "admin"}
		made, err := h.flows.MakeOperator(t.Context(), "dora", "finance", "1:dora", ann)
		if err != nil {
			t.Fatal(err)
		}
		if made, err = h.flows.ConfirmOperator(t.Context(), made.ID, cid); err != nil || !made.Good() {
			t.Errorf("confirmed by who was let in = %+v, %v", made, err)
		}
	})
	for name, test := range map[string]struct {
		roles operator.Roles
		does  func(t *testing.T, h *house, k id.Operator)
		want  error
	}{
		"not an admin":            {roles: "payout_approver", want: flow.ErrNoPerson},
		"more than an admin":      {roles: "admin finance", want: flow.ErrNoPerson},
		"the other has been seen": {roles: "admin", does: func(_ *testing.T, h *house, _ id.Operator) { h.signIn(bob) }, want: new(flow.AloneError)},
		"the other objects": {roles: "admin", does: func(t *testing.T, h *house, k id.Operator) {
			if _, err := h.flows.RevokeOperator(t.Context(), k, bob); err != nil {
				t.Error(err)
			}
		}, want: flow.ErrState},
		"the maker was revoked": {roles: "admin", does: func(t *testing.T, h *house, _ id.Operator) {
			if _, err := h.flows.RevokeOperator(t.Context(), h.flows.OperatorKey("ann"), bob); err != nil {
				t.Error(err)
			}
		}, want: new(flow.AloneError)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, k := left(t, test.roles)
			h.pass(time.Hour)
			if test.does != nil {
				test.does(t, h, k)
			}
			h.pass(flow.AdminAlone)
			err := confirm(t, h, k)
			if alone := new(*flow.AloneError); !errors.Is(err, test.want) && !(errors.As(test.want, alone) && errors.As(err, alone)) {
				t.Errorf("confirmed by ops_token = %v, want %v (%T)", err, test.want, test.want)
			}
		})
	}
	t.Run("seen, and then revoked", func(t *testing.T) {
		t.Parallel()
		h, k := left(t, "admin")
		h.signIn(bob) // or whoever has found their token
		h.pass(flow.AdminAlone)
		if err := confirm(t, h, k); !errors.As(err, new(*flow.AloneError)) {
			t.Errorf("while bob is there = %v, want *AloneError", err)
		}
		if _, err := h.flows.RevokeOperator(t.Context(), h.flows.OperatorKey("bob"), ann); err != nil {
			t.Fatal(err)
		}
		if err := confirm(t, h, k); err != nil {
			t.Errorf("with bob revoked: %v", err)
		}
	})
	t.Run("seen meanwhile", func(t *testing.T) {
		t.Parallel()
		h, k := left(t, "admin")
		h.pass(flow.AdminAlone)
		b, _ := h.process(2, nil)
		var once sync.Once
		slow := flow.New(b, meddled{h.read, func() { once.Do(func() { h.signIn(bob) }) }}, flow.Options{Now: h.clock})
		if _, err := slow.ConfirmOperator(t.Context(), k, token); !errors.As(err, new(*flow.AloneError)) {
			t.Errorf("signed in after the log was read = %v, want *AloneError", err)
		}
	})
}

func (h *house) signIn(who operator.Actor) {
	h.t.Helper()
	if err := h.flows.Audit(h.t.Context(), who, "signin", "", nil); err != nil {
		h.t.Error(err)
	}
}

// TestFirstAdmins: who is no person makes two admins ever, however many they ask for
// at once, in two processes, and whatever became of those.
func TestFirstAdmins(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	_, other := h.process(2, nil)
	for _, roles := range []operator.Roles{"finance", "admin finance", ""} {
		if _, err := h.flows.MakeOperator(t.Context(), "eve", roles, "1:x", token); !errors.Is(err, flow.ErrNoPerson) {
			t.Errorf("made as %q by no person = %v, want ErrNoPerson", roles, err)
		}
	}
	var wg sync.WaitGroup
	var made atomic.Int64
	for n := range 8 {
		for i, f := range []*flow.Flows{h.flows, other} {
			wg.Go(func() {
				_, err := f.MakeOperator(t.Context(), fmt.Sprintf("admin-%d-%d", n, i), "admin", "1:x", token)
				switch {
				case err == nil:
					made.Add(1)
				case !errors.Is(err, flow.ErrNoPerson) && !errors.Is(err, book.ErrBusy):
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	if made.Load() != 2 {
		t.Fatalf("%d admins were made by no person, want 2", made.Load())
	}
	all, err := h.flows.Operators(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatalf("Operators = %v, %v", all, err)
	}
	for _, o := range all { // both go, and come again as something else
		if _, err := h.flows.RevokeOperator(t.Context(), o.ID, token); !errors.Is(err, flow.ErrNoPerson) {
			t.Errorf("revoked by no person = %v, want ErrNoPerson", err)
		}
		if _, err := h.flows.RevokeOperator(t.Context(), o.ID, ann); err != nil {
			t.Error(err)
		}
		if _, err := h.flows.MakeOperator(t.Context(), o.Name, "viewer", "1:y", ann); err != nil {
			t.Error(err)
		}
	}
	if _, err := h.flows.MakeOperator(t.Context(), "eve", "admin", "1:x", token); !errors.Is(err, flow.ErrNoPerson) {
		t.Errorf("a third admin ever = %v, want ErrNoPerson", err)
	}
}

// TestAuditAtOnce: the chain of a bucket holds whoever writes at the same time, in
// two processes, and an act that fails leaves nothing in it.
func TestAuditAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	_, other := h.process(2, nil)
	const each = 40
	var wg sync.WaitGroup
	for n := range each {
		for _, f := range []*flow.Flows{h.flows, other} {
			wg.Go(func() {
				if err := f.Audit(context.WithoutCancel(t.Context()), ann, "test", fmt.Sprint(n), map[string]any{"card": "4111 1111 1111 1111"}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	if _, err := h.flows.ConfirmOperator(t.Context(), operator.KeyOf(operator.Bucket(32), "nobody"), ann); err == nil {
		t.Error("nobody was confirmed")
	}
	if err := h.flows.Audit(t.Context(), operator.Actor{}, "test", "", nil); err != nil {
		t.Error(err)
	}
	entries := h.audited()
	if len(entries) != 2*each {
		t.Errorf("%d entries, want %d", len(entries), 2*each)
	}
	for _, e := range entries {
		if strings.Contains(e.Details, "1111 1111 1111") {
			t.Fatalf("an entry has a card number: %s", e.Details)
		}
	}
	h.homes[0].Fail = func(s book.Step) book.Fault { return book.FaultAway }
	if err := h.flows.Audit(t.Context(), ann, "test", "", nil); !errors.Is(err, book.ErrNotRun) {
		t.Errorf("with the store away: %v, want ErrNotRun", err)
	}
}

// meddled is a reader behind which somebody acts once the log was read.
type meddled struct {
	book.Reader
	then func()
}

func (m meddled) ScanAudit(ctx context.Context, after id.Audit, limit int) ([]operator.Entry, error) {
	rows, err := m.Reader.ScanAudit(ctx, after, limit)
	m.then()
	return rows, err
}

// TestFirstAdminsAtOnce: an admin who is made between the count and the act counts.
func TestFirstAdminsAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	b, other := h.process(2, nil)
	make := func(f *flow.Flows, name string) error {
		_, err := f.MakeOperator(t.Context(), name, "admin", "1:x", token)
		return err
	}
	if err := make(other, "one"); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	slow := flow.New(b, meddled{h.read, func() {
		once.Do(func() {
			if err := make(other, "two"); err != nil {
				t.Error(err)
			}
		})
	}}, flow.Options{Now: h.clock})
	if err := make(slow, "three"); !errors.Is(err, flow.ErrNoPerson) {
		t.Errorf("a third, counted before the second was made = %v, want ErrNoPerson", err)
	}
}
