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
	for name, by := range map[string]operator.Actor{"the same": ann, "who it is": {Name: "cid"}, "no person": token} {
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
