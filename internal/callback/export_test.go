package callback

import (
	"net/http"
	"net/netip"
)

// MayDial is the check that a dialled address meets.
func MayDial(allowed []netip.Prefix, secure bool, address string) error {
	return dialRule{allowed, secure}.control("tcp", address, nil)
}

// Clients are the HTTP clients that a sender uses.
func (s *HTTPSender) Clients() []*http.Client { return []*http.Client{s.secure, s.plain} }
