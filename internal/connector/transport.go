package connector

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// Bounds of connections to providers (security.md S21).
const (
	dialTimeout    = 5 * time.Second
	headerTimeout  = 15 * time.Second
	maxHeaderBytes = 16 << 10
	// Shorter than what servers usually keep, so that a call seldom meets a
	// connection that is just being closed: its answer would be lost.
	idleTimeout = 30 * time.Second
)

// NewTransport makes connections to providers, of which it keeps at most idle
// while nothing is asked. The accounts of a process share one, so that what they
// keep together is bounded.
//
// HTTP/1.1 only: over HTTP/2 all calls of the house would share one connection
// and its losses. A custom dialer without ForceAttemptHTTP2 says so. No proxy from
// the environment (S21).
func NewTransport(idle int) *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		MaxIdleConns:           idle,
		MaxIdleConnsPerHost:    idle,
		IdleConnTimeout:        idleTimeout,
		DisableCompression:     true,
	}
}
