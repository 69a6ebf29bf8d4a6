package main

import (
	"math"
	"net"
	"net/http"
	"sync"

	"aorta/internal/callback"

	"golang.org/x/sys/unix"
)

// share is what each may have of the descriptors of this process. Were those who
// come in to take all, a PSP could not be called, and a customer would be declined
// for it; were connections kept for later to, nobody could ask how the process is.
type share struct {
	connections int // of who comes in
	pool        int // work of one kind done at once, each piece with one connection
	callbacks   int // sent at once
	idle        int // kept to PSPs, and as many to merchants, while nothing goes over them
}

// shares divides the descriptors: 14 of 32 for who comes in, one for each of the
// four kinds of work that ask a PSP, four for callbacks, and two twice to be kept.
// What is left, six, is the store's, the ops listener's and the log's.
func shares() share {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		l.Cur = math.MaxInt32
	}
	return divide(int(min(l.Cur, math.MaxInt32)))
}

func divide(descriptors int) share {
	part := descriptors / 32
	return share{
		connections: max(14, min(14*part, 65536)), pool: max(2, min(part, 192)),
		callbacks: max(4, min(4*part, callback.MostAtOnce)), idle: max(2, min(2*part, 1024)),
	}
}

// bounded is a listener that holds so many connections at once. Whoever comes
// beyond waits in the kernel's queue until another one ends; idle ones are
// closed after a minute, slow ones sooner, and while it is full each is closed
// with its answer (see turns).
type bounded struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
}

func bound(l net.Listener, connections int) *bounded {
	return &bounded{Listener: l, places: make(chan struct{}, connections), closed: make(chan struct{})}
}

// turns has those who are inside leave after their next answer while the listener
// is full. A PSP or a proxy that asks again and again over connections that it
// keeps would else keep all others out for as long as it likes.
func (b *bounded) turns(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(b.places) == cap(b.places) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
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
