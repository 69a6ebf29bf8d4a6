package desk

import (
	"container/heap"
	"sync"
	"time"
)

// longestNap bounds how long the agenda sleeps, so that a clock set forward
// (tests do that) is noticed.
const longestNap = 250 * time.Millisecond

// shortestNap lets decisions gather under load instead of waking for each.
const shortestNap = time.Millisecond

type taskKind uint8

const (
	decideTask taskKind = iota
	tellTask
)

// task is something to do about a record at a time.
type task struct {
	dueUS   int64
	seq     int64
	kind    taskKind
	attempt uint8 // notifications sent so far
}

// agenda holds what is to be done later and what is ready to be told. It holds
// at most one decision or three notifications per record, so it is bounded by
// Options.MaxRecords. One goroutine (Desk.decide) moves what is due from
// later to ready; Options.Workers goroutines empty ready. So a platform that
// does not answer its notifications delays notifications, never decisions.
type agenda struct {
	mu     sync.Mutex
	later  taskHeap
	ready  []task
	filled sync.Cond // ready is not empty, or closed
	sooner chan struct{}
	closed bool
}

func (a *agenda) init() {
	a.filled.L = &a.mu
	a.sooner = make(chan struct{}, 1)
}

// push adds a task and wakes the agenda if it is now the first one.
func (a *agenda) push(t task) {
	a.mu.Lock()
	heap.Push(&a.later, t)
	first := a.later[0] == t
	a.mu.Unlock()
	if first {
		select {
		case a.sooner <- struct{}{}:
		default:
		}
	}
}

// due moves the notifications that are due to ready, returns the decisions that
// are, and says when to look again.
func (a *agenda) due(now time.Time, decisions []task) ([]task, time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	nowUS := now.UnixMicro()
	nap := longestNap
	for len(a.later) > 0 {
		if wait := a.later[0].dueUS - nowUS; wait > 0 {
			nap = min(nap, max(time.Duration(wait)*time.Microsecond, shortestNap))
			break
		}
		t, _ := heap.Pop(&a.later).(task)
		if t.kind == decideTask {
			decisions = append(decisions, t)
			continue
		}
		a.ready = append(a.ready, t)
		a.filled.Signal()
	}
	return decisions, nap
}

// next waits for a notification to send; false means that the agenda is closed.
func (a *agenda) next() (task, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.ready) == 0 && !a.closed {
		a.filled.Wait()
	}
	if a.closed {
		return task{}, false
	}
	t := a.ready[0]
	a.ready = a.ready[1:]
	return t, true
}

func (a *agenda) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	a.filled.Broadcast()
}

// taskHeap is a heap.Interface, soonest first.
type taskHeap []task

func (h taskHeap) Len() int           { return len(h) }
func (h taskHeap) Less(i, j int) bool { return h[i].dueUS < h[j].dueUS }
func (h taskHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

func (h *taskHeap) Push(x any) {
	t, _ := x.(task)
	*h = append(*h, t)
}

func (h *taskHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	*h = (*h)[:last]
	return t
}
