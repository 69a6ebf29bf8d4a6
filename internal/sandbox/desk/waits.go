package desk

import (
	"net/http"
	"time"
)

// Waits are answers that a simulator holds back: a bounded number at once, each until
// its time, or until its caller or the simulator goes.
type Waits struct {
	within chan struct{}
	over   <-chan struct{}
}

// NewWaits holds back at most so many answers at once. over closes when the simulator does.
func NewWaits(most int, over <-chan struct{}) *Waits {
	return &Waits{make(chan struct{}, most), over}
}

// Hold waits; not at all, if so many wait already.
func (w *Waits) Hold(r *http.Request, long time.Duration) {
	select {
	case w.within <- struct{}{}:
		defer func() { <-w.within }()
	default:
		return
	}
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	case <-w.over:
	}
}
