package main

import (
	"math"
	"net"
	"sync"

	"golang.org/x/sys/unix"
)

// shares divides the descriptors that this process may have: half for whoever
// comes in, a sixteenth for each kind of work, of which there are five, to go
// out with. What is left is the store's. Were those who come in to take all, a
// PSP could not be called, and a customer would be declined for it.
func shares() (connections, pool int) {
	const mostConnections, mostPool = 65536, 192
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return mostConnections, mostPool
	}
	n := int(min(l.Cur, math.MaxInt32))
	return max(16, min(n/2, mostConnections)), max(4, min(n/16, mostPool))
}

// bounded is a listener that holds so many connections at once. Whoever comes
// beyond waits in the kernel's queue until another one ends; idle ones are
// closed after a minute, slow ones sooner.
type bounded struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
}

func bound(l net.Listener, connections int) net.Listener {
	return &bounded{Listener: l, places: make(chan struct{}, connections), closed: make(chan struct{})}
}

// Accept waits for a place, then for a connection.
func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.places <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.places
		return nil, err
	}
	return &placed{Conn: c, leave: sync.OnceFunc(func() { <-b.places })}, nil
}

// Close ends the listener, and whoever waits in Accept.
func (b *bounded) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Listener.Close()
}

// placed gives its place back when it is closed.
type placed struct {
	net.Conn
	leave func()
}

func (c *placed) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
