package callback

import (
	"net/http"
	"net/netip"
	"time"
)

// MayDial is the check that a dialled address meets.
func MayDial(allowed []netip.Prefix, secure bool, address string) error {
	return dialRule{allowed, secure}.control("tcp", address, nil)
}

// Clients are the HTTP clients that a sender uses.
func (s *HTTPSender) Clients() []*http.Client { return []*http.Client{s.secure, s.plain} }

// Crowd is who is being called.
type Crowd struct{ crowd }

// Enter begins a call to an address, or answers when there may be room.
func (c *Crowd) Enter(address string, news bool, now time.Time) (leave func(time.Time), at time.Time, ok bool) {
	v, at, ok := c.enter(address, news, now)
	if !ok {
		return nil, at, false
	}
	v.begin(now)
	return func(now time.Time) { v.end(now); v.leave() }, at, true
}

// Behind reports whether a host hears late of what is new.
func (c *Crowd) Behind(address string, now time.Time) bool { return c.behind(address, now) }

// The bounds of a crowd.
const (
	MaxOfHost     = maxOfHost
	MaxSlowOfHost = maxSlowOfHost
)
