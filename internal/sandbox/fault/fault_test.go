package fault_test

import (
	"errors"
	"testing"

	"aorta/internal/sandbox/fault"
)

func TestTakeFollowsTheOrderAsked(t *testing.T) {
	t.Parallel()
	var q fault.Queue
	for _, r := range []fault.Rule{
		{Next: fault.Decline, Operation: "refund", Left: 1},
		{Next: fault.Silent, Left: 2},
		{Next: fault.Approve, Operation: "sale", Left: 1},
	} {
		if err := q.Add(r); err != nil {
			t.Fatalf("Add(%+v) = %v, want nil", r, err)
		}
	}
	steps := []struct {
		operation string
		want      fault.Behaviour
	}{
		{operation: "sale", want: fault.Silent},
		{operation: "refund", want: fault.Decline},
		{operation: "refund", want: fault.Silent},
		{operation: "refund", want: fault.None},
		{operation: "sale", want: fault.Approve},
		{operation: "sale", want: fault.None},
	}
	for i, s := range steps {
		if got := q.Take(s.operation).Next; got != s.want {
			t.Errorf("step %d: Take(%q) = %q, want %q", i, s.operation, got, s.want)
		}
	}
}

func TestQueueIsBoundedAndCanBeCleared(t *testing.T) {
	t.Parallel()
	var q fault.Queue
	for range fault.MaxRules {
		if err := q.Add(fault.Rule{Next: fault.Approve, Left: 1}); err != nil {
			t.Fatalf("Add = %v, want nil", err)
		}
	}
	if err := q.Add(fault.Rule{Next: fault.Approve, Left: 1}); !errors.Is(err, fault.ErrFull) {
		t.Errorf("Add beyond the bound = %v, want ErrFull", err)
	}
	q.Clear()
	if got := len(q.Rules()); got != 0 {
		t.Errorf("len(Rules()) after Clear = %d, want 0", got)
	}
}
