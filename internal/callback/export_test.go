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

// NewCrowd makes one that nobody is in.
func NewCrowd() *Crowd { return &Crowd{crowd{now: time.Now}} }

// Enter begins a call to an address, or answers when there may be room.
func (c *Crowd) Enter(address string, news bool) (end func(), at time.Time, ok bool) {
	v, at, ok := c.enter(address, news)
	if !ok {
		return nil, at, false
	}
	return v.end, at, true
}

// Room reports when there may be room for a call.
func (c *Crowd) Room(address string, news bool) (at time.Time, ok bool) { return c.room(address, news) }

// Behind reports whether a host hears late of what is new.
func (c *Crowd) Behind(address string) bool { return c.behind(address) }

// The bounds of a crowd.
const (
	MaxOfHost     = maxOfHost
	MaxLine       = maxLine
	MaxSlowOfHost = maxSlowOfHost
)
