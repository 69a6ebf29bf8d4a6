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
func (c *Crowd) Enter(address string, now time.Time) (leave func(time.Time), at time.Time, ok bool) {
	return c.enter(address, now)
}

// The bounds of a crowd.
const (
	MaxOfHost     = maxOfHost
	MaxSlowOfHost = maxSlowOfHost
)
