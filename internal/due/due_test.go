package due_test

import (
	"testing"

	"aorta/internal/due"
	"aorta/internal/id"
)

var subject = id.Derive(3, "subject")

func TestClaim(t *testing.T) {
	t.Parallel()
	const now, epoch = 1_000_000_000, 7
	tests := []struct {
		name string
		was  due.Due
		want due.Due
	}{
		{
			name: "a timer", was: due.At(subject, due.Watch, 5),
			want: due.Due{ID: subject, Kind: due.Watch, DueUS: now + 30_000_000, Owner: epoch, Tries: 1, Carry: due.Watch},
		},
		{
			name: "something may have been sent", was: due.Due{ID: subject, Kind: due.Ask, DueUS: 5, Owner: 3, Tries: 2, Carry: "what the dead one knew"},
			want: due.Due{ID: subject, Kind: due.Ask, DueUS: now + 30_000_000, Owner: epoch, Tries: 3, Carry: due.Ask},
		},
		{
			name: "nothing was sent until now", was: due.At(subject, due.AskLater, 5),
			want: due.Due{ID: subject, Kind: due.Ask, DueUS: now + 30_000_000, Owner: epoch, Tries: 1, Carry: due.AskLater},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := test.was.Claim(now, epoch); got != test.want {
				t.Errorf("Claim() = %+v, want %+v", got, test.want)
			}
		})
	}
}

// Should the process die that claimed it, the next one must not think that
// nothing was sent.
func TestASecondClaimKnowsOfTheFirst(t *testing.T) {
	t.Parallel()
	first := due.At(subject, due.AskLater, 5).Claim(10, 1)
	first.Carry = nil // it is not stored
	if second := first.Claim(20, 2); second.Carry != due.Ask || second.Tries != 2 {
		t.Errorf("second Claim() = %+v, want one that carries ask", second)
	}
}

func TestNowIsLeasedToItsWriter(t *testing.T) {
	t.Parallel()
	got := due.Now(subject, due.Deliver, 100, 7, "carried")
	want := due.Due{ID: subject, Kind: due.Deliver, DueUS: 100 + due.LeaseUS, Owner: 7, Carry: "carried"}
	if got != want {
		t.Errorf("Now() = %+v, want %+v", got, want)
	}
	if timer := due.At(subject, due.Watch, 100); timer.Owner != 0 || timer.DueUS != 100 {
		t.Errorf("At() = %+v, want nobody's, at 100", timer)
	}
}
