package callback

import (
	"net/url"
	"sync"
	"time"
)

// crowd is who is being called. It keeps slow merchants from taking all the
// goroutines that there are for callbacks: as long as one answers quickly he may
// have many calls at once, and once he does not, few.
type crowd struct {
	mu     sync.Mutex
	hosts  map[string]*host
	slow   int   // calls under way that are slow, of all hosts
	nextUS int64 // when the next call to a slow host may come back
}

// host is one merchant's server.
type host struct {
	calls  int           // under way
	slow   int           // of them
	nextUS int64         // when the next call may come back
	took   time.Duration // by a call of late, about
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
	longestWait   = time.Minute // of a call that found no room
	keptHosts     = 4096        // beyond it hosts that nobody waits for are forgotten
)

// enter begins a call to a host, and gives what ends it. Where there is no room
// it answers when there may be. Calls that wait come back one after another: to a
// host that only has much to hear, after an outage of ours for one, half as fast as
// it has answered of late, which leaves room for what is new; to slow ones, all
// together, as often as we can afford to look whether there is room, so that one who
// was slow for a moment soon hears the rest.
func (c *crowd) enter(address string, now time.Time) (leave func(end time.Time), at time.Time, ok bool) {
	name := hostOf(address)
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.host(name, now)
	if h.calls >= maxOfHost || h.slow >= maxSlowOfHost || (h.slow > 0 && c.slow >= maxSlow) {
		if h.slow > 0 {
			return nil, wait(&c.nextUS, slowAfter, slowPace, now), false
		}
		return nil, wait(&h.nextUS, min(10*h.took, slowAfter), max(2*h.took/maxOfHost, quickPace), now), false
	}
	h.calls++
	slow, ended := false, false
	timer := time.AfterFunc(slowAfter, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !ended {
			slow = true
			h.slow++
			c.slow++
		}
	})
	return func(end time.Time) {
		timer.Stop()
		c.mu.Lock()
		defer c.mu.Unlock()
		ended = true
		h.took += (min(max(end.Sub(now), 0), slowAfter) - h.took) / 8
		h.calls--
		if slow {
			h.slow--
			c.slow--
		}
	}, time.Time{}, true
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
