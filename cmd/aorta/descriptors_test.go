package main

import (
	"errors"
	"net"
	"testing"
	"time"
)

// A bounded listener takes no more than it may hold, and the next one as soon
// as one leaves; closing it ends who waits.
func TestBoundedListener(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := bound(inner, 2)
	taken := make(chan net.Conn, 10)
	ended := make(chan error, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				ended <- err
				return
			}
			taken <- c
		}
	}()
	for range 3 {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	first := <-taken
	<-taken
	select {
	case <-taken:
		t.Error("a third connection was taken while two are held")
	case <-time.After(100 * time.Millisecond):
	}
	for range 2 { // twice is once
		_ = first.Close()
	}
	select {
	case <-taken:
	case <-time.After(10 * time.Second):
		t.Error("nobody was taken after one had left")
	}
	_ = l.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close = %v, want net.ErrClosed", err)
	}
}
