package callback

import (
	"net/url"
	"slices"
	"sync"
	"time"
)

// crowd is who is being called. It keeps slow merchants from taking all the
// goroutines that there are for callbacks: as long as one answers quickly he may
// have many calls at once, and once he does not, few.
type crowd struct {
	now    func() time.Time
	mu     sync.Mutex
	hosts  map[string]*host
	slow   int   // calls under way that are slow, of all hosts
	nextUS int64 // when the next call to a slow host may come back
}

// host is one merchant's server.
type host struct {
	calls  int             // under way
	slow   int             // of them
	line   []chan struct{} // who waits here for a call to end, each for a place that is handed over
	nextUS int64           // when the next call may come back
	newUS  int64           // until when the last of what it never heard of was put off
	took   time.Duration   // by a call of late, about
}

// visit is a call under way.
type visit struct {
	c     *crowd
	h     *host
	begun time.Time
	timer *time.Timer
	slow  bool
	ended bool
}

// Bounds on the calls under way (torture.md T16).
const (
	// MostAtOnce is how many callbacks the bounds are made for: a worker that does
	// no more at once is full before they bite.
	MostAtOnce = 1024

	maxOfHost     = MostAtOnce / 8 // calls to one host
	maxSlowOfHost = 8              // of them slow
	maxSlow       = MostAtOnce / 2 // slow ones of all hosts: the rest is left to those who answer
	slowAfter     = time.Second    // a call that takes longer is slow
	usualCall     = slowAfter / 10 // as long as nothing is known of a host
	quickPace     = 100 * time.Microsecond
	slowPace      = 4 * time.Millisecond
	maxLine       = 3 * maxOfHost  // calls that wait here for a place with one host; beyond it they are put off
	lineTook      = slowAfter / 20 // of a host that takes longer none wait here
	longestWait   = time.Minute    // of a call that found no room
	longBehind    = 2 * time.Second
	ownPace       = slowAfter / 2 // of a host that takes longer it is not we who are behind
	keptHosts     = 4096          // beyond it hosts that nobody waits for are forgotten
)

// room answers, before anything is done for a call to a host, when there may be
// room for it if there is none now; news is what the host has never heard of.
func (c *crowd) room(address string, news bool) (at time.Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if h := c.host(hostOf(address), now); !h.room(c) && !h.queues() {
		return c.putOff(h, news, now), false
	}
	return time.Time{}, true
}

// enter begins a call to a host, if there is room or soon will be. Its place is
// taken for as long as the host takes and no longer: how quickly we can store what
// it is told, and what it has answered, must not bound how much it is told. What
// was stored together wants to leave together: where the host is quick, some wait.
func (c *crowd) enter(address string, news bool) (v *visit, at time.Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.host(hostOf(address), c.now())
	switch {
	case h.room(c):
		h.calls++
	case !h.queues() || !c.queue(h):
		return nil, c.putOff(h, news, c.now()), false
	}
	v = &visit{c: c, h: h, begun: c.now()}
	v.timer = time.AfterFunc(slowAfter, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !v.ended {
			v.slow = true
			h.slow++
			c.slow++
		}
	})
	return v, time.Time{}, true
}

// end is when the answer is there, or will not come.
func (v *visit) end() {
	v.timer.Stop()
	v.c.mu.Lock()
	defer v.c.mu.Unlock()
	v.ended = true
	v.h.took += (min(max(v.c.now().Sub(v.begun), 0), slowAfter) - v.h.took) / 8
	if v.slow {
		v.h.slow--
		v.c.slow--
	}
	v.h.calls--
	if len(v.h.line) > 0 && v.h.room(v.c) {
		v.h.calls++
		close(v.h.line[0])
		v.h.line = v.h.line[1:]
	}
}

// room reports whether a host may have one more call.
func (h *host) room(c *crowd) bool {
	return h.calls < maxOfHost && h.slow < maxSlowOfHost && (h.slow == 0 || c.slow < maxSlow)
}

// queues reports whether a call may wait for another to end.
func (h *host) queues() bool { return h.slow == 0 && h.took < lineTook && len(h.line) < maxLine }

// queue waits for a place that another hands over, not for long. The caller holds c.mu.
func (c *crowd) queue(h *host) bool {
	turn := make(chan struct{})
	h.line = append(h.line, turn)
	c.mu.Unlock()
	patience := time.NewTimer(slowAfter)
	select {
	case <-turn:
	case <-patience.C:
	}
	patience.Stop()
	c.mu.Lock()
	n := slices.Index(h.line, turn)
	if n < 0 {
		return true // it may have come in the last moment
	}
	h.line = slices.Delete(h.line, n, n+1)
	return false
}

// putOff gives when a call for which there is no room may come back. They do one
// after another: to a host that only has much to hear, after an outage of ours for
// one, half as fast as it has answered of late, which leaves room for what is new;
// to slow ones, all together, as often as we can afford to look whether there is
// room, so that one who was slow for a moment soon hears the rest.
func (c *crowd) putOff(h *host, news bool, now time.Time) time.Time {
	if h.slow > 0 {
		return wait(&c.nextUS, slowAfter, slowPace, now)
	}
	at := wait(&h.nextUS, min(10*h.took, slowAfter), max(2*h.took/maxOfHost, quickPace), now)
	if news {
		h.newUS = max(h.newUS, at.UnixMicro())
	}
	return at
}

// behind reports whether a host that answers quickly hears of what is new with
// much delay: more is done than we can tell of.
func (c *crowd) behind(address string) bool {
	name := hostOf(address)
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.hosts[name]
	return h != nil && h.slow == 0 && h.took < ownPace && h.newUS > c.now().Add(longBehind).UnixMicro()
}

// wait gives when a call may come back, after least, and the next one a pace later.
func wait(nextUS *int64, least, pace time.Duration, now time.Time) time.Time {
	nowUS := now.UnixMicro()
	first := max(*nextUS, nowUS+least.Microseconds())
	*nextUS = min(first+pace.Microseconds(), nowUS+longestWait.Microseconds())
	return time.UnixMicro(first)
}

func (c *crowd) host(name string, now time.Time) *host {
	if h := c.hosts[name]; h != nil {
		return h
	}
	if len(c.hosts) >= keptHosts {
		for k, h := range c.hosts {
			if h.calls == 0 && h.nextUS <= now.UnixMicro() {
				delete(c.hosts, k)
			}
		}
	}
	if c.hosts == nil {
		c.hosts = map[string]*host{}
	}
	h := &host{took: usualCall}
	c.hosts[name] = h
	return h
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "" // the sender says what is wrong with it
	}
	return u.Host
}
