// Package fault is the tester's hand on a simulator: an ordered queue of
// behaviours for the next operations (design.md section 6, control door).
//
// It decides nothing itself; each simulator says what a behaviour means in its
// own protocol. The queue lives in memory only: it is the tester's wish, not
// the provider's memory, so a restarted simulator behaves normally until told
// otherwise. What was already taken is remembered with the operation it fell on.
package fault

import (
	"errors"
	"sync"
	"time"
)

// Behaviour names what a simulator does with one operation.
type Behaviour string

// The behaviours of the control door. None is what happens when nobody asked
// for anything: a person decides, or the simulator answers well.
const (
	None           Behaviour = ""
	Approve        Behaviour = "approve"
	Decline        Behaviour = "decline"
	Silent         Behaviour = "silent"
	Timeout        Behaviour = "timeout"
	Duplicate      Behaviour = "duplicate"
	Late           Behaviour = "late"
	WrongAmount    Behaviour = "wrong_amount"
	WrongSignature Behaviour = "wrong_signature"
	HTTP500        Behaviour = "http_500"
	HTTP410        Behaviour = "http_410"
	HTTP429        Behaviour = "http_429"
	Slow           Behaviour = "slow"
	Redirect       Behaviour = "redirect"
	Expire         Behaviour = "expire"
	Match          Behaviour = "match"
	Unclear        Behaviour = "unclear"
	PEP            Behaviour = "pep"
)

// Bounds of one rule and of the queue.
const (
	MaxRules = 1_000
	MaxCount = 1_000_000_000
	MaxDelay = 10 * time.Minute
)

// ErrFull means that MaxRules rules are waiting; clear the queue or use them up.
var ErrFull = errors.New("control queue is full")

// Rule is one entry of the queue: the next Left operations behave like Next.
type Rule struct {
	Next      Behaviour
	Operation string        // "sale", "refund"; empty means any
	Delay     time.Duration // 0 means the simulator's own
	Left      int64
}

// Queue hands out behaviours in the order they were asked for. The zero value
// is ready for use.
type Queue struct {
	mu    sync.Mutex
	rules []Rule
}

// Add appends a rule. It returns ErrFull beyond MaxRules.
func (q *Queue) Add(r Rule) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.rules) >= MaxRules {
		return ErrFull
	}
	q.rules = append(q.rules, r)
	return nil
}

// Take uses up one operation of the first rule that fits. Without such a rule
// it returns the zero Rule, whose Next is None.
func (q *Queue) Take(operation string) Rule {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.rules {
		r := &q.rules[i]
		if r.Operation != "" && r.Operation != operation {
			continue
		}
		taken := *r
		r.Left--
		if r.Left <= 0 {
			q.rules = append(q.rules[:i], q.rules[i+1:]...)
		}
		return taken
	}
	return Rule{}
}

// Rules returns a copy of what still waits, first to be used first.
func (q *Queue) Rules() []Rule {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]Rule{}, q.rules...)
}

// Clear forgets every rule.
func (q *Queue) Clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.rules = nil
}
