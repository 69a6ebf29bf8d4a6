package storetest

import (
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Cut says where a connection ends: at a lane's COMMIT.
type Cut int32

// The places of a cut.
const (
	cutNothing Cut = iota
	CutBefore      // the server does not get the COMMIT
	CutAfter       // the server gets it, the client does not get the answer
)

// Cutter is a TCP proxy before a PostgreSQL server that ends a connection at a
// COMMIT when it is told to.
type Cutter struct {
	to            string
	mode          atomic.Int32 // Cut: what to do with the next COMMIT
	before, after atomic.Int32
}

// NewCutter starts one before the server of dsn, and gives the address that
// goes through it, without TLS.
func NewCutter(t testing.TB, dsn string) (*Cutter, string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	c := &Cutter{to: u.Host}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go c.relay(client)
		}
	}()
	u.Host = l.Addr().String()
	q := u.Query()
	q.Set("sslmode", "disable")
	u.RawQuery = q.Encode()
	return c, u.String()
}

// Cut cuts the next COMMIT and reports whether there was one before ended was closed.
func (c *Cutter) Cut(at Cut, ended <-chan struct{}) bool {
	done := c.Before() + c.After()
	c.mode.Store(int32(at))
	for c.Before()+c.After() == done {
		select {
		case <-ended:
			c.mode.Store(int32(cutNothing))
			return c.Before()+c.After() > done
		case <-time.After(time.Millisecond):
		}
	}
	return true
}

// Before is how many COMMITs the server did not get.
func (c *Cutter) Before() int { return int(c.before.Load()) }

// After is how many it got, and its answer was lost.
func (c *Cutter) After() int { return int(c.after.Load()) }

func (c *Cutter) relay(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	defer server.Close()
	var deaf atomic.Bool // the client gets no more answers
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			if n > 0 && !deaf.Load() {
				_, _ = client.Write(buf[:n])
			}
			if err != nil {
				_ = client.Close()
				return
			}
		}
	})
	defer wg.Wait()
	defer server.Close()
	for {
		kind, message, err := readMessage(client)
		if err != nil {
			return
		}
		if kind == 'B' && isCommit(message) {
			switch Cut(c.mode.Swap(int32(cutNothing))) {
			case cutNothing:
			case CutBefore:
				c.before.Add(1)
				return
			case CutAfter:
				deaf.Store(true)
				// What follows, Execute and Sync, still reaches the server.
				_, _ = server.Write(message)
				for kind != 'S' {
					if kind, message, err = readMessage(client); err != nil {
						return
					}
					_, _ = server.Write(message)
				}
				time.Sleep(20 * time.Millisecond) // let it commit
				c.after.Add(1)
				return
			}
		}
		if _, err := server.Write(message); err != nil {
			return
		}
	}
}

// readMessage reads one message of PostgreSQL's protocol; the first of a
// connection has no kind.
func readMessage(r io.Reader) (kind byte, message []byte, err error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, nil, err
	}
	kind, size := head[0], binary.BigEndian.Uint32(head[1:])-4
	if kind == 0 {
		size = binary.BigEndian.Uint32(head) - 5
	}
	message = append(head, make([]byte, size)...)
	_, err = io.ReadFull(r, message[5:])
	return kind, message, err
}

// isCommit: a Bind of the lanes' statement of that name.
func isCommit(message []byte) bool {
	const name = "commit"
	return len(message) > 6+len(name) && string(message[6:6+len(name)]) == name
}
