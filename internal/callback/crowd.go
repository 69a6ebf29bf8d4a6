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
	newUS  int64         // until when the last of what it never heard of was put off
	took   time.Duration // by a call of late, about
}

// visit is a call that has its place.
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
	longestWait   = time.Minute // of a call that found no room
	longBehind    = 2 * time.Second
	ownPace       = slowAfter / 2 // of a host that takes longer it is not we who are behind
	keptHosts     = 4096          // beyond it hosts that nobody waits for are forgotten
)

// enter finds a place for a call to a host; news is what it has never heard of.
// Where there is none it answers when there may be. Calls that wait come back one
// after another: to a host that only has much to hear, after an outage of ours for
// one, half as fast as it has answered of late, which leaves room for what is new;
// to slow ones, all together, as often as we can afford to look whether there is
// room, so that one who was slow for a moment soon hears the rest.
func (c *crowd) enter(address string, news bool, now time.Time) (v *visit, at time.Time, ok bool) {
	name := hostOf(address)
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.host(name, now)
	if h.calls >= maxOfHost || h.slow >= maxSlowOfHost || (h.slow > 0 && c.slow >= maxSlow) {
		if h.slow > 0 {
			return nil, wait(&c.nextUS, slowAfter, slowPace, now), false
		}
		at = wait(&h.nextUS, min(10*h.took, slowAfter), max(2*h.took/maxOfHost, quickPace), now)
		if news {
			h.newUS = max(h.newUS, at.UnixMicro())
		}
		return nil, at, false
	}
	h.calls++
	return &visit{c: c, h: h}, time.Time{}, true
}

// begin is when the request leaves: until then it is us who take time.
func (v *visit) begin(now time.Time) {
	v.begun = now
	v.timer = time.AfterFunc(slowAfter, func() {
		v.c.mu.Lock()
		defer v.c.mu.Unlock()
		if !v.ended {
			v.slow = true
			v.h.slow++
			v.c.slow++
		}
	})
}

// end is when the answer is there, or will not come.
func (v *visit) end(now time.Time) {
	v.timer.Stop()
	v.c.mu.Lock()
	defer v.c.mu.Unlock()
	v.ended = true
	v.h.took += (min(max(now.Sub(v.begun), 0), slowAfter) - v.h.took) / 8
	if v.slow {
		v.h.slow--
		v.c.slow--
	}
}

// leave gives the place to another.
func (v *visit) leave() {
	v.c.mu.Lock()
	defer v.c.mu.Unlock()
	v.h.calls--
}

// behind reports whether a host that answers quickly hears of what is new with
// much delay: more is done than we can tell of.
func (c *crowd) behind(address string, now time.Time) bool {
	name := hostOf(address)
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.hosts[name]
	return h != nil && h.slow == 0 && h.took < ownPace && h.newUS > now.Add(longBehind).UnixMicro()
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
