package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
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

// Who keeps his connections does not keep others out: a full listener takes turns.
func TestBoundedListenerTakesTurns(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := bound(inner, 2)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: l.turns(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))}
	go func() { _ = server.Serve(l) }()
	ctx, cancel := context.WithCancel(t.Context())
	defer func() { cancel(); _ = server.Close() }()
	var asked atomic.Int64
	ask := func(ctx context.Context, c *http.Client) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+inner.Addr().String(), nil)
		if err != nil {
			return err
		}
		resp, err := c.Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	for range 4 {
		go func() {
			for c := (&http.Client{Transport: new(http.Transport)}); ctx.Err() == nil; asked.Add(1) {
				_ = ask(ctx, c)
			}
		}()
	}
	for asked.Load() < 100 {
		time.Sleep(time.Millisecond)
	}
	soon, done := context.WithTimeout(ctx, 20*time.Second)
	defer done()
	if err := ask(soon, &http.Client{Transport: new(http.Transport)}); err != nil {
		t.Errorf("nobody new gets in while four ask for ever: %v", err)
	}
}

// All who may have connections at once leave some descriptors to the store, the
// ops listener and the log; a process that may have many works as wide as it can.
func TestDescriptorsAreDivided(t *testing.T) {
	t.Parallel()
	for _, descriptors := range []int{256, 300, 1024, 4096, 65536, 1 << 20} {
		may := divide(descriptors)
		if all := may.connections + 4*may.pool + may.callbacks + 2*may.idle; descriptors-all < 6*descriptors/32 {
			t.Errorf("of %d descriptors %+v leave %d, want %d", descriptors, may, descriptors-all, 6*descriptors/32)
		}
	}
	if may := divide(1 << 20); may.pool != 192 || may.callbacks != 1024 {
		t.Errorf("of many descriptors %+v are used", may)
	}
	if may := divide(0); may.connections == 0 || may.pool == 0 || may.callbacks < may.pool || may.idle < 2 {
		t.Errorf("of none %+v are used; nothing would work", may)
	}
}
