package verify

import "fmt"

// Check names an invariant as torture.md 2.1 does.
type Check string

// The invariants. What decides each, and from which rows, is in
// docs/reliability.md; C8 (limits) and C12 (reconciliation) come with the
// flows that they judge.
const (
	C1  Check = "C1"  // conservation: balances sum to zero, and each is the sum of its postings
	C2  Check = "C2"  // no lost acknowledgement
	C3  Check = "C3"  // exactly once
	C4  Check = "C4"  // the provider's books are ours
	C5  Check = "C5"  // legal states
	C6  Check = "C6"  // callbacks
	C7  Check = "C7"  // idempotency
	C9  Check = "C9"  // audit: the chain of what operators did holds
	C10 Check = "C10" // secrecy
	C11 Check = "C11" // liveness
	C13 Check = "C13" // orphans
)

// always are the invariants that a store alone decides. The others need to be
// told what was seen outside of it: see Options, and Secrets for C10.
var always = []Check{C1, C3, C5, C6, C9, C11, C13}

// finding is a violation. In a run its key is its sentence; where two runs are
// compared, what the sentence is about.
type finding struct {
	check     Check
	key, text string
}

// findings gathers violations, a bounded number of them.
type findings struct {
	found    []finding
	counts   map[Check]int // of every check that ran
	unlisted int           // violations beyond maxViolations
}

// maxViolations bounds a report. A store that is wrong in more places is wrong
// in all.
const maxViolations = 1000

func newFindings(ran ...Check) findings {
	f := findings{counts: map[Check]int{}}
	for _, c := range ran {
		f.counts[c] = 0
	}
	return f
}

func (f *findings) violation(c Check, format string, args ...any) {
	f.counts[c]++
	if len(f.found) == maxViolations {
		f.unlisted++
		return
	}
	text := fmt.Sprintf(format, args...)
	f.found = append(f.found, finding{c, text, text})
}

// list gives all as sentences, "C1: Account … holds …", and how many are not among them.
func (f *findings) list() []string {
	out := make([]string, 0, len(f.found)+1)
	for _, x := range f.found {
		out = append(out, string(x.check)+": "+x.text)
	}
	if f.unlisted > 0 {
		out = append(out, fmt.Sprintf("There are %d more violations.", f.unlisted))
	}
	return out
}
