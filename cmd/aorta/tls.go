package main

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
)

// googleSuites are those that Google's callers are offered with TLS 1.2
// (google-tokenized-fop.md section 2.1); with 1.3 all are as good. The two with CBC
// that it also allows stay off.
var googleSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// secure gives the public listener's TLS what the settings ask of it.
func (s settings) secure(c *tls.Config) *tls.Config {
	if c == nil {
		return nil
	}
	if s.TLSMax == "1.2" {
		c.MaxVersion = tls.VersionTLS12
	}
	if len(s.Google) > 0 {
		c.CipherSuites = googleSuites
	}
	return c
}

func (s settings) checkTLS() error {
	if s.TLSMax != "" && s.TLSMax != "1.2" && s.TLSMax != "1.3" {
		return errors.New("tls_max must be 1.2 or 1.3")
	}
	return nil
}

// silent is a listener that speaks TLS alone. Who speaks plain HTTP to it gets no
// answer, not even that this was wrong: Google's probe counts any answer as one
// (google-tokenized-fop.md section 2.1).
type silent struct{ net.Listener }

// Accept gives a connection that ends when its first byte is not TLS's.
func (l silent) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // the server looks at its kind
	}
	return &silentConn{Conn: c}, nil
}

type silentConn struct {
	net.Conn
	once  sync.Once
	plain bool
}

// handshake is the first byte of whatever begins TLS.
const handshake = 22

// Read looks at the first byte that comes.
func (c *silentConn) Read(b []byte) (int, error) {
	if c.plain {
		return 0, io.EOF
	}
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.once.Do(func() { c.plain = b[0] != handshake })
		if c.plain {
			return 0, io.EOF
		}
	}
	return n, err //nolint:wrapcheck // as the connection says it
}
